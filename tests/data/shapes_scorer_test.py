import dataclasses

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from glide_jax.data.shapes.builder import example
from glide_jax.data.shapes.render import render
from glide_jax.data.shapes.scene import (
    COLOURS,
    CONVERSE,
    SHAPES,
    Object,
    Scene,
    relation_holds,
    sample_scene,
)
from glide_jax.data.shapes.scorer import Score, read_image, score, score_reading

RED_CIRCLE = Object("circle", "red", "large", 0.4, 0.28, 0.5)
BLUE_SQUARE = Object("square", "blue", "small", 0.28, 0.75, 0.52)
SCENE = Scene((RED_CIRCLE, BLUE_SQUARE), "left of", "white")

NOTHING_RIGHT = Score(False, False, False, None, None, False)


def facts_of(scene):
    objects = [{"shape": o.shape, "colour": o.colour, "size": o.size} for o in scene.objects]
    return {"objects": objects, "relation": scene.relation, "background": scene.background}


def perfect(scene, image):
    verdict = dataclasses.astuple(score(image, facts_of(scene)))
    return all(v for v in verdict if v is not None)


def share_perfect(change, count, split="test", size=64):
    scenes = [sample_scene(split, i) for i in range(count)]
    return np.mean([perfect(s, change(render(s, size), i)) for i, s in enumerate(scenes)])


def noisy(image, seed, sigma=0.05):
    """Float image in [-1, 1] with noise of σ in units of the full range."""
    noise = np.random.default_rng(seed).normal(0, 2 * sigma, image.shape)
    return np.clip(image / 127.5 - 1 + noise, -1, 1).astype(np.float32)


def rendered_at_16(image, _):
    small = Image.fromarray(image).resize((16, 16), Image.Resampling.BOX)
    return np.asarray(small.resize((64, 64), Image.Resampling.BICUBIC))


def blurred(image, _):
    return ndimage.gaussian_filter(image, (1.5, 1.5, 0))


def tinted(image, seed):
    shift = np.random.default_rng(seed).uniform(-20, 20, (1, 1, 3))
    return np.clip(image + shift, 0, 255).astype(np.uint8)


def bent(image, seed):
    """Every outline strays by about a pixel."""
    rng = np.random.default_rng(seed)
    bends = [ndimage.gaussian_filter(rng.normal(0, 12, (64, 64)), 5) for _ in range(2)]
    places = np.mgrid[:64, :64] + np.stack(bends)
    channels = [
        ndimage.map_coordinates(image[..., c].astype(np.float32), places, order=1, mode="nearest")
        for c in range(3)
    ]
    return np.stack(channels, axis=-1).astype(np.uint8)


@pytest.mark.parametrize("split", ["test", "compositional"])
def test_real_renders_are_read_right(split):
    assert share_perfect(lambda image, _: image, 150, split) >= 0.99


@pytest.mark.parametrize(
    ("change", "least"), [(noisy, 0.98), (blurred, 0.97), (tinted, 0.98), (bent, 0.95)]
)
def test_images_that_a_person_would_read_are_read(change, least):
    assert share_perfect(change, 60) >= least


def test_shapes_can_be_distinguished_at_16_by_16():
    assert share_perfect(rendered_at_16, 100) >= 0.96


@pytest.mark.parametrize("size", [32, 128])
def test_any_resolution_is_read(size):
    assert share_perfect(lambda image, _: image, 30, size=size) >= 0.96


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "test", "compositional"])
def test_thousands_of_real_renders_are_read_right(split):
    assert share_perfect(lambda image, _: image, 1000, split) >= 0.99


def is_true(facts, scene):
    """Whether a caption that asserts these facts is true of a scene, sizes and ground apart."""
    asserted = [(o["shape"], o["colour"]) for o in facts["objects"]]
    shown = {(o.shape, o.colour): o for o in scene.objects}
    if sorted(asserted) != sorted(shown):
        return False
    if facts["relation"] is None:
        return True
    first, second = (shown[kind] for kind in asserted)
    return relation_holds(facts["relation"], first.x - second.x, first.y - second.y)


def test_captions_of_the_data_set_pass_on_the_images_they_are_true_of_and_no_other():
    examples = [example("test", i, 64) for i in range(40)]
    scenes = [sample_scene("test", i) for i in range(40)]
    readings = [read_image(e.image) for e in examples]
    passing = [[score_reading(reading, e.facts).all for reading in readings] for e in examples]
    assert passing == [[is_true(e.facts, scene) for scene in scenes] for e in examples]
    assert all(passing[i][i] for i in range(40))


def test_a_wrong_caption_fails_in_what_is_wrong():
    for i in range(40):
        scene = sample_scene("test", i)
        reading = read_image(render(scene, 64))
        first, *rest = scene.objects

        def verdict(changed, scene=scene, reading=reading, rest=rest):
            wrong = dataclasses.replace(scene, objects=(changed, *rest))
            return score_reading(reading, facts_of(wrong))

        for shape in set(SHAPES) - {o.shape for o in scene.objects}:
            v = verdict(dataclasses.replace(first, shape=shape))
            assert (v.shape, v.colour, v.all) == (False, True, False)
        for colour in set(COLOURS) - {o.colour for o in scene.objects}:
            v = verdict(dataclasses.replace(first, colour=colour))
            assert (v.shape, v.colour, v.all) == (True, False, False)
        if scene.relation is not None:
            for relation in set(CONVERSE) - {scene.relation}:
                v = score_reading(reading, facts_of(dataclasses.replace(scene, relation=relation)))
                assert (v.shape, v.colour, v.relation, v.all) == (True, True, False, False)


def test_colours_bound_to_the_wrong_shapes_fail_though_each_is_there():
    swapped = dataclasses.replace(
        SCENE,
        objects=(
            dataclasses.replace(RED_CIRCLE, colour="blue"),
            dataclasses.replace(BLUE_SQUARE, colour="red"),
        ),
    )
    verdict = score(render(swapped, 64), facts_of(SCENE))
    assert (verdict.colour, verdict.shape) == (True, True)
    assert (verdict.relation, verdict.all) == (False, False)


def test_size_and_background_are_scored_but_do_not_fail_the_image():
    sized = dataclasses.replace(
        SCENE, objects=(RED_CIRCLE, dataclasses.replace(BLUE_SQUARE, size="large"))
    )
    verdict = score(render(SCENE, 64), facts_of(sized))
    assert (verdict.size, verdict.background, verdict.all) == (False, True, True)
    grounded = dataclasses.replace(SCENE, background="cream")
    verdict = score(render(SCENE, 64), facts_of(grounded))
    assert (verdict.size, verdict.background, verdict.all) == (True, False, True)


def test_what_is_not_asserted_is_not_judged():
    silent = {
        "objects": [
            {"shape": o.shape, "colour": o.colour, "size": None} for o in SCENE.objects[::-1]
        ],
        "relation": None,
        "background": None,
    }
    verdict = score(render(SCENE, 64), silent)
    assert (verdict.relation, verdict.size, verdict.background) == (None, None, None)
    assert verdict.all


@pytest.mark.parametrize("objects", [(), (RED_CIRCLE,), (BLUE_SQUARE,)])
def test_a_missing_object_fails(objects):
    verdict = score(render(Scene(objects, None, "white"), 64), facts_of(SCENE))
    assert dataclasses.replace(verdict, size=None, background=None) == NOTHING_RIGHT


def test_an_extra_object_fails_and_a_speck_does_not():
    extra = Object("star", "green", "small", 0.2, 0.75, 0.15)
    image = render(dataclasses.replace(SCENE, objects=(RED_CIRCLE, BLUE_SQUARE, extra)), 64)
    verdict = score(image, facts_of(SCENE))
    assert dataclasses.replace(verdict, size=None, background=None) == NOTHING_RIGHT
    speck = render(SCENE, 64)
    speck[5:8, 50:53] = COLOURS["green"]
    assert score(speck, facts_of(SCENE)).all


def test_noise_and_blank_images_hold_nothing():
    rng = np.random.default_rng(0)
    for i in range(10):
        noise = rng.normal(size=(64, 64, 3))
        soft = ndimage.gaussian_filter(noise, (1 + i / 2, 1 + i / 2, 0))
        image = np.clip(soft / soft.std() / 2, -1, 1)
        assert not score(image, facts_of(SCENE)).all
    for colour in ((255, 255, 255), COLOURS["red"]):
        reading = read_image(np.full((64, 64, 3), colour, np.uint8))
        assert not reading.objects
        assert reading.background == ("white" if colour == (255, 255, 255) else None)


def test_objects_that_touch_are_read_apart():
    for colour in ("red", "blue", "yellow"):
        square = Object("square", colour, "large", 0.4, 0.66, 0.5)
        scene = Scene((RED_CIRCLE, square), "left of", "mint")
        assert perfect(scene, render(scene, 64))


def test_other_forms_are_no_shapes():
    image = np.full((64, 64, 3), 255, np.uint8)
    image[28:36, 10:54] = COLOURS["blue"]  # a bar
    (seen,) = read_image(image).objects
    assert (seen.shape, seen.colour) == (None, "blue")


def test_bytes_and_floats_read_the_same():
    image = render(SCENE, 64)
    assert read_image(image) == read_image(image.astype(np.float32) / 127.5 - 1)


def test_places_are_fractions_of_the_side():
    seen = sorted(read_image(render(SCENE, 64)).objects, key=lambda o: o.x)
    for o, truth in zip(seen, SCENE.objects, strict=True):
        assert (o.x, o.y) == pytest.approx((truth.x, truth.y), abs=0.01)
