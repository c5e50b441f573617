import numpy as np
import pytest

from glide_jax.data.shapes.render import coverage, render
from glide_jax.data.shapes.scene import (
    BACKGROUNDS,
    COLOURS,
    SHAPES,
    SPLITS,
    Object,
    Scene,
    sample_scene,
)


def one(shape, across=0.4, x=0.5, y=0.5):
    return Scene((Object(shape, "red", "large", across, x, y),), None, "white")


def covered(image):
    """How much of each pixel is red: the blue channel runs from 255 (white) to 30 (red)."""
    return (255 - image[..., 2].astype(float)) / (255 - COLOURS["red"][2])


@pytest.mark.parametrize(
    ("shape", "area"),
    [("circle", np.pi / 4), ("square", 0.88**2), ("ring", np.pi * (0.25 - 0.26**2))],
)
def test_areas_are_those_of_geometry(shape, area):
    # At any place and size: an edge through a pixel colours it in part.
    for across, x in [(0.4, 0.5), (0.31, 0.437)]:
        image = render(one(shape, across, x), 128)
        assert covered(image).sum() / 128**2 == pytest.approx(area * across**2, rel=0.01)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_is_the_same_at_every_resolution(shape):
    fine = render(one(shape, x=0.43), 256).astype(float)
    coarse = render(one(shape, x=0.43), 64).astype(float)
    averaged = fine.reshape(64, 4, 64, 4, 3).mean(axis=(1, 3))
    error = np.abs(averaged - coarse).max(axis=-1)
    assert error.mean() < 0.5
    assert (error > 30).sum() <= 10  # the tips: a pixel there has more than one edge


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_are_symmetric_upright_and_not_cut_off(shape):
    alpha = covered(render(one(shape, 0.42), 64))
    np.testing.assert_allclose(alpha, alpha[:, ::-1], atol=0.01)
    assert not alpha[:14].any()
    assert not alpha[-14:].any()
    assert alpha.max() == 1


def test_every_shape_differs_from_every_other():
    axis = (np.arange(64) + 0.5) / 32 - 1
    masks = [coverage(shape, axis[None, :], axis[:, None], 32) for shape in SHAPES]
    for i, one_mask in enumerate(masks):
        for other in masks[:i]:
            assert np.minimum(one_mask, other).sum() < 0.85 * np.maximum(one_mask, other).sum()


def test_a_scene_is_painted_in_its_colours_where_it_says():
    scene = Scene(
        (
            Object("circle", "red", "small", 0.28, 0.25, 0.3),
            Object("square", "blue", "small", 0.28, 0.7, 0.3),
        ),
        "left of",
        "grey",
    )
    image = render(scene, 50)
    assert image.shape == (50, 50, 3)
    assert image.dtype == np.uint8
    assert tuple(image[15, 12]) == COLOURS["red"]
    assert tuple(image[15, 35]) == COLOURS["blue"]
    assert tuple(image[40, 25]) == BACKGROUNDS["grey"]


def test_an_object_at_the_edge_is_cut_not_wrapped():
    image = render(one("square", x=0.0), 64)
    assert covered(image)[32, 0] == 1
    assert not covered(image)[:, 40:].any()


@pytest.mark.slow
def test_no_test_image_was_trained_on_at_the_smallest_size():
    trained = {render(sample_scene("train", i), 32).tobytes() for i in range(SPLITS["train"])}
    tested = [render(sample_scene("test", i), 32).tobytes() for i in range(SPLITS["test"])]
    assert not trained & set(tested)
