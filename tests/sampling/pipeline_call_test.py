"""The Pipeline: what it gives back, what an image depends on, and what it refuses."""

import dataclasses

import jax
import numpy as np
import pytest
from sampling import pipeline_toys

import glide_jax
from glide_jax.errors import UserError
from glide_jax.parallel.mesh import make_mesh, replicated
from glide_jax.sampling.output import Origin, read_provenance
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.program import StaticArguments

IMAGE = np.arange(12 * 16 * 3).reshape(12, 16, 3).astype(np.uint8)
MASK = np.zeros((12, 16), np.uint8)
MASK[:, :8] = 255


@pytest.fixture(scope="module")
def pipe():
    return pipeline_toys.pipeline()


def test_the_package_offers_it():
    assert glide_jax.Pipeline is Pipeline
    with pytest.raises(AttributeError, match="Pipelin"):
        _ = glide_jax.Pipelin


def test_images_come_prompt_by_prompt(pipe):
    output = pipe(["red square", "blue square"], num_images=2, seed=3)
    assert output.prompts == ["red square"] * 2 + ["blue square"] * 2
    assert output.seeds == [(3, 0), (3, 1), (3, 2), (3, 3)]
    assert [stage.shape for stage in output.stages] == [(4, 8, 8, 3), (4, 16, 16, 3)]
    assert [image.size for image in output.images] == [(16, 16)] * 4
    np.testing.assert_array_equal(output.images[2], output.arrays[2])
    assert (output.arrays[0] != output.arrays[1]).any()


def test_an_image_comes_again_from_its_file_alone(pipe, tmp_path):
    numbers = {"seed": np.int64(3), "guidance_scale": np.float32(4)}
    output = pipe(["red square", "blue square", ""], num_images=2, **numbers)
    files = output.save(tmp_path / "out")
    assert [file.name for file in files][2] == "blue-square-3-2.png"
    for place in (3, 5):
        made = read_provenance(files[place])
        assert made == output.provenance[place]
        again = pipe.reproduce(files[place])
        np.testing.assert_array_equal(again.arrays[0], output.arrays[place])
        assert again.provenance[0] == made


def test_weights_of_another_step_can_t_make_it_again(pipe):
    made = dataclasses.replace(pipe("", batch_size=4).provenance[0], steps=(1, 0))
    with pytest.raises(UserError, match=r"weights of steps \(1, 0\), and these are of \(0, 0\)"):
        pipe.reproduce(made)


def test_a_config_of_other_values_can_t_make_it_again(pipe):
    changed = dataclasses.replace(pipe, origin=Origin.of([], ["stages.upsampler.sampling.steps=1"]))
    made = pipe("", batch_size=4).provenance[0]
    with pytest.raises(UserError, match=r"its config as it is, and .* loaded with stages\.ups"):
        changed.reproduce(made)
    made = dataclasses.replace(made, overrides=changed.origin.overrides)
    with pytest.raises(
        UserError, match=r"load them with overrides=\['stages\.upsampler\.sampling\.steps=1'"
    ):
        pipe.reproduce(made)


@pytest.mark.slow
def test_every_device_samples_its_share(pipe):
    """The weights on eight devices: the answer is one device's."""
    stage = pipe.stages[0]
    everywhere = jax.device_put(stage.params, replicated(make_mesh(fsdp=1)))
    spread = Pipeline((dataclasses.replace(stage, params=everywhere),))
    prompts = ["red square", "blue square", ""]
    reports = []
    output = spread(prompts, seed=1, on_progress=reports.append)
    assert reports[-1].x_0_hat.shape == (8, 8, 8, 3)
    static = StaticArguments("ddim", "3", None, spread.stages[0].mesh)
    assert stage.program(static).advance._cache_size() == 1, (
        "the second step is the first's program"
    )
    alone = Pipeline((stage,))(prompts, seed=1)
    np.testing.assert_allclose(output.arrays.astype(int), alone.arrays, atol=1)
    again = spread.reproduce(alone.provenance[1])
    np.testing.assert_allclose(again.arrays[0].astype(int), alone.arrays[1], atol=1)


def test_an_upsampler_enlarges_what_it_is_given(pipe):
    output = pipe.upsample(IMAGE, "red square", num_images=2)
    assert output.arrays.shape == (2, 16, 16, 3)
    other = pipe.upsample(IMAGE[::-1].copy(), "red square", num_images=2)
    assert (output.arrays != other.arrays).any()
    assert output.provenance[0].task == "upsample"
    with pytest.raises(UserError, match="made by 'upsample', from another image"):
        pipe.reproduce(output.provenance[0])


@pytest.mark.newest
def test_every_stage_keeps_what_is_known(pipe):
    """Plain models, by RePaint; then the result is edited once more."""
    output = pipe.inpaint(IMAGE, MASK, "red square", resamples=1, guidance_scale=1)
    once_more = pipe.inpaint(
        output.images[0], np.fliplr(MASK[:, 2:14]), "", resamples=1, guidance_scale=1
    )
    np.testing.assert_array_equal(once_more.arrays[0][:, :8], output.arrays[0][:, :8])
    assert (once_more.arrays[0][:, 8:] != output.arrays[0][:, 8:]).any()


def test_a_model_that_inpaints_sees_the_mask_and_keeps_what_is_known():
    inpainter = Pipeline(pipeline_toys.stages("stages.base.model.inpaint=True")[:1])
    small = IMAGE[2:10, 2:10]
    mask = np.zeros((8, 8), bool)
    mask[2:5] = True
    output = inpainter.inpaint(small, mask, "red square", guidance_scale=2)
    np.testing.assert_array_equal(output.arrays[0][~mask], small[~mask])
    assert output.provenance[0].settings["sampler"] == "ddpm"
    other = np.where(mask[..., None], 255 - small, small)
    same = inpainter.inpaint(other, mask, "red square", guidance_scale=2)
    np.testing.assert_array_equal(
        same.arrays, output.arrays, "what is output anew is not looked at"
    )


def test_rerank_keeps_the_best_of_each_prompt(pipe):
    """Two prompts fill whole batches, of four images each that are sampled and two that are kept;
    the third is a part of its own."""
    prompts, asked = ["red square", "blue square", "green square"], []
    scores = {8: np.arange(8) % 5, 4: np.arange(4)}

    def score(captions, images):
        asked.append(captions)
        assert images.shape == (len(captions), 8, 8, 3)
        return scores[len(captions)]

    clip = pipeline_toys.clip_guide(8, score=score)
    judged = dataclasses.replace(pipe, clip=clip)
    output = judged(prompts, num_images=2, rerank=4)
    assert asked == [["red square"] * 4 + ["blue square"] * 4, ["green square"] * 4]
    assert output.seeds == [(0, i) for i in (3, 2, 4, 7, 11, 10)]
    assert output.prompts == [prompt for prompt in prompts for _ in range(2)]
    all_of_them = pipe(prompts, num_images=4)
    kept = all_of_them.stages[0][[3, 2, 4, 7, 11, 10]]
    np.testing.assert_array_equal(output.stages[0], kept)
    assert output.arrays.shape == (6, 16, 16, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "0"),
        ({"steps": 10_000}, "10000|10,000"),
        ({"sampler": "dimm"}, "did you mean 'ddim'"),
        ({"guidance_scale": float("nan")}, "guidance_scale must be a number"),
        ({"guidance_scale": -1}, "guidance_scale must be a number, 0 or more"),
        ({"guidance_scale": [1, 2, 3]}, "1 prompts and 3 guidance scales"),
        ({"guidance_scal": 3}, "did you mean 'guidance_scale'"),
        ({"guidance_interval": (0.5, 0.2)}, "two rising numbers"),
        ({"dynamic_threshold": 2}, "quantile"),
        ({"eta": 2}, "eta must be from 0 to 1"),
        ({"clip_scale": 3}, "load one with clip=DIR"),
        ({"classifier_scale": 3}, "load one with classifier=DIR"),
        ({"rerank": 4}, "rerank needs a CLIP"),
        ({"num_images": 0}, "num_images must be 1 or more"),
        ({"num_images": 10**12}, "images at once .* fit the memory that is free; sample fewer"),
        ({"num_images": 10**30}, "images at once .* fit the memory that is free; sample fewer"),
        ({"steps": "9" * 5000}, "not understood"),
        ({"batch_size": 0}, "batch_size must be 1 or more"),
        ({"cache_interval": 0}, "cache_interval must be 1 or more"),
        ({"guidance_scale": "3"}, "guidance_scale must be a number"),
        ({"seed": -1}, "a seed is an integer"),
        ({"seed": 0.5}, "a seed is an integer"),
        ({"prompt": []}, "give a prompt"),
        ({"prompt": [7]}, "a prompt is text, not 7"),
        ({"prompt": 7}, "a prompt is text, not 7"),
        ({"prompt": None}, "a prompt is text, not None"),
        ({"prompt": b"a"}, "a prompt is text, not b'a'"),
        ({"negative_prompt": 7}, "a prompt is text, not 7"),
        ({"negative_prompt": ["a", "b"]}, "1 prompts and 2 negative prompts"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_one_line(pipe, changes, message):
    with pytest.raises(UserError, match=message) as error:
        pipe(**({"prompt": "red square"} | changes))
    assert "\n" not in str(error.value)


def test_a_job_that_the_models_can_t_do_is_one_line(pipe):
    base, upsampler = (Pipeline((stage,)) for stage in pipe.stages)
    with pytest.raises(UserError, match="no upsampler among these models"):
        base.upsample(IMAGE)
    with pytest.raises(UserError, match="it needs an image to enlarge"):
        upsampler("red square")
    with pytest.raises(UserError, match="not class-conditional"):
        base.sample_classes(3)
    for strength in (0, 1.5, float("nan")):
        with pytest.raises(UserError, match="strength must be above 0"):
            base.image_to_image(IMAGE, "", strength=strength)
    with pytest.raises(UserError, match="the mask is 16×16"):
        base.inpaint(IMAGE, np.full((16, 16), 255, np.uint8), "")


def test_a_clip_of_another_size_is_no_guide(pipe):
    clip = pipeline_toys.clip_guide(32)
    with pytest.raises(UserError, match="clip was trained on 32 pixels a side, and the model on 8"):
        dataclasses.replace(pipe, clip=clip)("red square", clip_scale=1)
