"""Bits/dim of held-out images: the bound of the diffusion package, for every kind of model."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from sampling import pipeline_toys
from shrinking import shrunk

from glide_jax import cli, data, entry
from glide_jax.checkpoints import Checkpoints
from glide_jax.data.images import BrokenImage, to_float
from glide_jax.diffusion.gaussian import denoiser_from
from glide_jax.diffusion.guidance import clip_x_0
from glide_jax.diffusion.losses import bits_per_dim
from glide_jax.diffusion.sample import image_keys, step_noise
from glide_jax.diffusion.schedule import BETAS, make_schedule
from glide_jax.evaluation.bits_per_dim import bits_of, read_images
from glide_jax.sampling.request import stage_key
from glide_jax.sampling.stages import condition_of

STEPS = 30
"""Of the noising process: more than a chunk, and no multiple of it."""


def text_model():
    return tiny.experiment(f"stages.base.diffusion.num_steps={STEPS}")


def adm(num_classes):
    labels = "labels=(0, 1)" if num_classes else "labels=none"
    steps = f"stages.base.diffusion.num_steps={STEPS}"
    classes = f"stages.base.model.num_classes={num_classes}"
    return shrunk(tiny.CONFIGS / "adm_imagenet64.py", steps, classes, labels)


MODELS = {"text": text_model, "classes": lambda: adm(3), "unconditional": lambda: adm(0)}


def one_stage(name):
    return pipeline_toys.stage_of(MODELS[name](), "base")


@pytest.mark.parametrize("name", ["classes", pytest.param("text", marks=pytest.mark.slow)])
def test_it_is_the_bound_over_every_step(name):
    stage = one_stage(name)
    images = read_images(tiny.Swatches(), stage, 5)
    seen = []
    found = bits_of(stage, images, 7, lambda progress: seen.append(progress.step))
    assert seen[:2] == [25, STEPS]
    schedule = make_schedule(BETAS[stage.config.diffusion.schedule](STEPS))
    condition = condition_of(stage, images.subjects, None)
    encoded = stage.model.encode(stage.params, condition)
    keys = image_keys(stage_key(7, 0), range(5))
    x_0 = jnp.asarray(to_float(images.pixels))
    noise = jnp.stack([step_noise(keys, jnp.array(i), x_0.shape[1:]) for i in range(STEPS)])

    @jax.jit
    def expected(params):
        denoiser = denoiser_from(
            lambda x_t, t: stage.model.apply(params, x_t, t, encoded),
            schedule,
            stage.config.diffusion.prediction,
        )
        return bits_per_dim(clip_x_0(denoiser, schedule), schedule, x_0, noise=noise)

    bound = expected(stage.params)
    np.testing.assert_allclose(found["total"], bound["total"], rtol=1e-4)
    np.testing.assert_allclose(found["x_0_mse"], bound["x_0_mse"].mean(1), rtol=1e-4)


def test_an_images_bits_do_not_depend_on_its_batch():
    stage = one_stage("unconditional")
    images = read_images(tiny.Swatches(), stage, 5)
    small = dataclasses.replace(stage.config.sampling, batch_size=2)
    other = dataclasses.replace(stage, config=dataclasses.replace(stage.config, sampling=small))
    a, b = (bits_of(one, images, 0, None)["total"] for one in (stage, other))
    assert a.shape == b.shape == (5,)
    np.testing.assert_allclose(a, b, rtol=1e-4)


def test_an_upsampler_is_given_the_images_reduction():
    stage = pipeline_toys.stages(f"stages.upsampler.diffusion.num_steps={STEPS}")[1]
    found = bits_of(stage, read_images(tiny.Swatches(), stage, 2), 0, None)
    assert np.all(np.isfinite(found["total"]))


def test_images_that_cannot_be_read_are_left_out_and_counted():
    class Broken(tiny.Swatches):
        def __getitem__(self, i):
            if i in (0, 2):
                raise BrokenImage(f"image {i}")
            return super().__getitem__(i)

    images = read_images(Broken(), one_stage("classes"), 4)
    assert images.num_broken == 2
    assert [subject.label for subject in images.subjects] == [1, 0, 1, 2]


@pytest.fixture
def workdir(tmp_path, monkeypatch, request):
    """A workdir of a model that nobody trained."""
    monkeypatch.setattr(data, "prepare", lambda name, path: None)
    monkeypatch.setattr(data, "open_source", lambda name, path, split: tiny.Swatches())
    experiment = MODELS[request.param]()
    stage = pipeline_toys.stage_of(experiment, "base")
    tokenizer = stage.reader.to_dict() if stage.reader else {}
    folder = tmp_path / "base" / "checkpoints"
    with Checkpoints(folder, keep=1, experiment=experiment, tokenizer=tokenizer) as checkpoints:
        checkpoints.save(0, {"ema_params": stage.params}, {})
    return tmp_path


@pytest.mark.parametrize(
    "workdir",
    [
        "text",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("classes", "unconditional")),
    ],
    indirect=True,
)
def test_the_command_prints_it_and_writes_it_to_the_summary(workdir, capsys):
    words = ["--checkpoint", str(workdir), "--figure", "bits_per_dim", "--num-images=3"]
    assert cli.main(["evaluate", *words, "--split=test"]) == 0
    said = capsys.readouterr()
    figures = json.loads((workdir / "summary.json").read_text())["bits_per_dim"]["test"]
    assert (figures["images"], figures["steps"], figures["num_broken"]) == (3, STEPS, 0)
    assert said.out == (
        f"test, 3 images: {figures['total']:.4f} ± {figures['standard_error']:.4f} bits/dim over "
        f"{STEPS} steps\n"
    )
    assert f"step {STEPS}/{STEPS}" in said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--figure=bits_per_dm"], "did you mean 'bits_per_dim'"),
        (["--figure=bits_per_dim", "--num-images=0"], "--num-images must be 1 or more"),
        ([], "--figure bits_per_dim"),
    ],
)
@pytest.mark.parametrize("workdir", ["unconditional"], indirect=True)
def test_a_mistake_is_one_line(workdir, words, message, capsys):
    assert cli.main(["evaluate", f"--checkpoint={workdir}", *words]) == entry.BAD_INPUT
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


@pytest.mark.parametrize("workdir", ["unconditional"], indirect=True)
def test_an_unconditional_model_samples_without_a_prompt(workdir, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["--checkpoint", str(workdir), "--out", str(out), "--num-images=2", "--steps=2"]
    assert cli.main(["sample", *words]) == 0
    *files, sheet = capsys.readouterr().out.splitlines()
    assert len(files) == 2
    assert sheet == f"{out}.png"
    assert cli.main(["sample", "a cat", *words]) == entry.BAD_INPUT
    assert "reads no captions" in capsys.readouterr().err
