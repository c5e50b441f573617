"""What the tasks of `glide-jax serve` give, whatever is asked of them that makes sense."""

import math

import numpy as np
import pytest
from web.serve.serving_toys import ADA, HALF, noise, png


@pytest.mark.parametrize(
    "request_",
    [
        {"task": "inpaint", "mask": HALF, "resamples": 1},
        {"task": "inpaint", "frame": {"left": -8, "top": 0, "side": 16}, "resamples": 1},
        {"task": "edit", "strength": 0.5},
        {"task": "upsample"},
    ],
    ids=["inpaint", "outpaint", "edit", "upsample"],
)
def test_every_task_gives_an_image(served, image, request_):
    given = {"image": image, **request_}
    if "mask" in given:
        given["mask"] = served.mask(given["mask"])
    job = served.sampled(**given)
    found = served.first_pixels(job)
    assert found.shape == (16, 24 if "frame" in given else 16, 3)
    original = served.pixels(image)
    if "mask" in given:
        np.testing.assert_array_equal(found[:, :8], original[:, :8])
    if "frame" in given:
        np.testing.assert_array_equal(found[:, 8:], original)
    # The result is the next input.
    again = served.sampled(task="edit", image=job["images"][0]["id"], strength=0.3)
    assert again["images"][0]["provenance"]["strength"] == 0.3


def test_an_image_grows_by_what_lies_beyond_it(served, image):
    """To the right, then down: what nothing covers is transparent until it is sampled."""
    original = served.pixels(image)
    frames = ({"left": 8, "top": 0, "side": 16}, {"left": 0, "top": 8, "side": 16})
    first = served.sampled(task="inpaint", image=image, frame=frames[0], resamples=1)
    assert first["size"] == 24
    grown = served.first_pixels(first)
    assert grown.shape == (16, 24, 3)
    np.testing.assert_array_equal(grown[:, :16], original)
    asked = {"task": "inpaint", "resamples": 1}
    second = served.sampled(image=first["images"][0]["id"], frame=frames[1], **asked)
    larger = served.first_pixels(second)
    assert larger.shape == (24, 24, 4)
    np.testing.assert_array_equal(larger[:16, :, :3], grown)
    assert (larger[..., 3] == 0).sum() == 8 * 8
    corner = {"left": 8, "top": 8, "side": 16}
    third = served.sampled(image=second["images"][0]["id"], frame=corner, **asked)
    full = served.first_pixels(third)
    assert full.shape == (24, 24, 3)
    np.testing.assert_array_equal(full[:16, :16], original)
    np.testing.assert_array_equal(full[16:, :16], larger[16:, :16, :3])


def test_an_image_does_not_grow_without_end(served):
    wide = served.upload(png(noise(16, 1024, 3))).json["id"]
    frame = {"left": 1000, "top": -2000, "side": 2100}
    reply = served.submit(task="inpaint", image=wide, frame=frame, resamples=1)
    assert (reply.status, "2048 a side are the most" in reply.json["error"]) == (400, True)


def at_limits(fields, end):
    """A value at one end of each number and each interval that may be asked for."""
    asked = {}
    for field in fields:
        if field["kind"] == "number":
            low = math.ulp(0.0) if field.get("above_low") else field["low"]
            asked[field["name"]] = field["high"] if end == "high" else low
        elif field["kind"] == "interval":
            # From above to below, which may be either way round.
            asked[field["name"]] = [1, math.nextafter(1, 0)] if end == "high" else [math.ulp(0), 0]
    return asked


@pytest.mark.parametrize("end", ["low", "high"])
@pytest.mark.parametrize("task", ["sample", "inpaint", "edit", "upsample"])
def test_every_number_may_be_at_its_limits(served, image, task, end):
    """Finite in JSON, and subnormal or large enough to break what divides by it."""
    fields = served.get("/api/info").json["tasks"][task]
    asked = at_limits(fields, end)
    assert {"temperature", "eta", "dynamic_threshold", "threshold_cap"} <= set(asked)
    assert {"guidance_interval", "guidance_scale"} <= set(asked)
    asked |= {"image": image} if task != "sample" else {"cache_interval": 2}
    if task == "inpaint":
        asked |= {"mask": served.mask(HALF), "resamples": 1}
    job = served.sampled(task=task, **asked)
    found = served.first_pixels(job)
    assert found.shape == (16, 16, 3)
    settings = job["images"][0]["provenance"]["settings"]
    # Those of a later stage are among the overrides.
    others = {"image", "mask", "strength", *(name for name in asked if "." in name)}
    expected = {name: asked[name] for name in asked.keys() - others}
    expected["guidance_interval"] = sorted(expected["guidance_interval"])
    assert settings == settings | expected


TINY_OR_LONG = {
    "a pixel": noise(1, 1, 3),
    "a stripe": noise(3, 900, 3),
    "a transparent one": np.zeros((16, 16, 4), np.uint8),
}


@pytest.mark.parametrize("name", TINY_OR_LONG)
def test_a_pixel_and_a_stripe_are_edited_enlarged_and_grow_while_they_can(served, name):
    array = TINY_OR_LONG[name]
    height, width = array.shape[:2]
    image = served.upload(png(array)).json["id"]
    for task in ({"task": "edit", "strength": 0.3}, {"task": "upsample"}):
        assert served.first_pixels(served.sampled(image=image, **task)).shape == (16, 16, 3)
    side = 16 if height == 16 else 4
    frame = {"left": -1, "top": -1, "side": side}
    asked = {"task": "inpaint", "image": image, "frame": frame, "resamples": 1}
    if width > 16:
        assert "2048 a side are the most" in served.submit(**asked).json["error"]
        return
    # Enlarged until the frame has the model's size.
    grown = max(side - 1, height) + 1
    assert served.first_pixels(served.sampled(**asked)).shape[:2] == (grown * 16 // side,) * 2
    # A mask has the image's shape, and may have another size.
    white = served.mask(np.ones((9, 9)))
    assert served.sampled(task="inpaint", image=image, mask=white, resamples=1)["state"] == "done"


def repaint(served, image, **more):
    return served.submit(task="inpaint", image=image, resamples=1, **more)


def test_no_mask_and_an_empty_one_are_one_sentence(served, image):
    assert "give a mask" in repaint(served, image).json["error"]
    empty = served.mask(np.zeros((16, 16)))
    assert "the mask has no white" in repaint(served, image, mask=empty).json["error"]
    other = served.mask(np.ones((16, 64)))
    assert "give a mask of the image's shape" in repaint(served, image, mask=other).json["error"]
    far = {"left": 500, "top": 0, "side": 16}
    assert "shows nothing of the image" in repaint(served, image, frame=far).json["error"]
    large = {"left": 0, "top": 0, "side": 60_000}
    assert "from 1 to 64 pixels" in repaint(served, image, frame=large).json["error"]


def test_a_prompt_that_is_cut_is_said(served):
    notes = served.sampled(prompt="red square " * 100)["notes"]
    assert notes == ["The model reads 6 tokens: the end of the prompt was cut off."]
    assert served.sampled()["notes"] == []


def test_without_a_seed_each_request_has_its_own(served):
    seeds = [served.post("/api/jobs", {"client": ADA, "task": "sample"}).json["seed"] for _ in "ab"]
    assert seeds[0] != seeds[1]
