"""Kept images: bounded memory, and nobody loses theirs to somebody who makes many."""

from glide_jax.web.serve.kept_images import KeptImage, KeptImages


def image(client, size=10):
    return KeptImage(client, b"x" * size, 1, 1)


def test_who_has_most_loses_the_oldest():
    images = KeptImages(max_bytes=100)
    small = images.add(image("ada"))
    many = [images.add(image("ben")) for _ in range(50)]
    assert images.num_bytes <= 100
    assert images.find(small) is not None
    assert [name for name in many if images.find(name)] == many[-9:]


def test_what_is_used_is_kept_longest():
    images = KeptImages(max_bytes=30)
    first, second, third = (images.add(image("ada")) for _ in range(3))
    images.find(first)
    images.add(image("ada"))
    assert images.find(second) is None
    assert images.find(first) is not None
    assert images.find(third) is not None


def test_names_are_long_and_their_number_is_limited():
    images = KeptImages(max_count=5)
    names = {images.add(image("ada")) for _ in range(9)}
    assert len(names) == 9
    assert min(map(len, names)) >= 20
    assert sum(images.find(name) is not None for name in names) == 5


def test_one_image_that_is_too_large_for_all_room_is_kept_alone():
    images = KeptImages(max_bytes=5)
    images.add(image("ada", 3))
    large = images.add(image("ben", 50))
    assert images.find(large) is not None
    assert images.num_bytes == 50
