"""Bits/dim of held-out images: the bound of the diffusion package, for every kind of model."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from models.model_toys import filled
from sampling import pipeline_toys
from shrinking import shrunk
from toy_encoder import ToyEncoder

from glide_jax import cli, data, entry
from glide_jax.checkpoints import Checkpoints
from glide_jax.data.images import BrokenImage, to_float
from glide_jax.diffusion.gaussian import denoiser_from
from glide_jax.diffusion.guidance import clip_x_0
from glide_jax.diffusion.losses import bits_per_dim
from glide_jax.diffusion.sample import image_keys, step_noise
from glide_jax.diffusion.schedule import BETAS, make_schedule
from glide_jax.evaluation.metrics import bits_per_dim as module
from glide_jax.evaluation.metrics.bits_per_dim import bits_of, read_images
from glide_jax.models.families import model_of
from glide_jax.sampling.request import stage_key
from glide_jax.sampling.stages import condition_of, make_stage
from glide_jax.text.reader import EmbeddingReader

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


@pytest.mark.newest
@pytest.mark.parametrize("name", ["classes", pytest.param("text", marks=pytest.mark.slow)])
def test_it_is_the_bound_over_every_step(name):
    stage = one_stage(name)
    images = read_images(tiny.Swatches(), stage, 5)
    seen = []
    found = bits_of(stage, images, 7, lambda progress: seen.append(progress.step))
    assert seen[:2] == [25, STEPS]
    schedule = make_schedule(BETAS[stage.config.diffusion.schedule](STEPS))
    condition = condition_of(stage, images.subjects, None, [1.0] * len(images.subjects))
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
    np.testing.assert_allclose(found.total, bound["total"], rtol=1e-4)
    np.testing.assert_allclose(found.x_0_mse, bound["x_0_mse"].mean(1), rtol=1e-4)
    np.testing.assert_allclose(found.by_step["vlb"], bound["vlb"].mean(0), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.by_step["vlb"].sum() + found.prior.mean(), found.total.mean())


@pytest.mark.newest
def test_an_images_bits_do_not_depend_on_its_batch():
    stage = one_stage("classes")
    images = read_images(tiny.Swatches(), stage, 5)
    small = dataclasses.replace(stage.config.sampling, batch_size=2)
    other = dataclasses.replace(stage, config=dataclasses.replace(stage.config, sampling=small))
    a, b = (bits_of(one, images, 0, None).total for one in (stage, other))
    assert a.shape == b.shape == (5,)
    np.testing.assert_allclose(a, b, rtol=1e-4)


def glide_upsampler():
    return pipeline_toys.stages(f"stages.upsampler.diffusion.num_steps={STEPS}")[1]


def imagen_upsampler():
    """It reads a frozen encoder's embeddings, and enlarges the low-res image before the noise."""
    steps = f"stages.upsampler.diffusion.num_steps={STEPS}"
    rest = ("stages.upsampler_128=none", steps)
    experiment = shrunk(tiny.CONFIGS / "imagen_quickstart.py", *rest)
    stage = experiment.stages["upsampler"]
    model = model_of(stage, vocab_size=0, text_length=experiment.text_length)
    reader = EmbeddingReader(ToyEncoder(), experiment.text_length, padding=False)
    return make_stage("upsampler", stage, model, filled(model.shapes), reader, step=0)


@pytest.mark.newest
@pytest.mark.parametrize("make", [glide_upsampler, imagen_upsampler], ids=["glide", "imagen"])
def test_an_upsampler_is_given_the_images_reduction(make, monkeypatch):
    stage = make()
    images = read_images(tiny.Swatches(), stage, 2)
    found = bits_of(stage, images, 0, None)
    assert found.by_step["vlb"].shape == (STEPS,)
    assert np.all(np.isfinite(found.total))
    # Its low-res image counts, and nothing else changes.
    grey = lambda x_0, size: jnp.zeros((len(x_0), size, size, 3))  # noqa: E731
    monkeypatch.setattr(module, "mean_blocks", grey)
    assert np.all(bits_of(stage, images, 0, None).total != found.total)


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
    words = ["--checkpoint", str(workdir), "--metrics", "bits_per_dim", "--num-images=3"]
    assert cli.main(["evaluate", *words, "--split=test"]) == 0
    said = capsys.readouterr()
    results = json.loads((workdir / "evaluation" / "results.json").read_text())["test"]
    details = results["metrics"]["bits_per_dim"]["details"]
    assert (details["images"], details["steps"], details["num_broken"]) == (3, STEPS, 0)
    values = json.loads((workdir / "summary.json").read_text())["metrics"]["test"]
    assert values == results["metrics"]["bits_per_dim"]["values"]
    total, prior = (values[name]["value"] for name in ("bits_per_dim", "bits_per_dim_prior"))
    assert values["bits_per_dim"]["low"] < total < values["bits_per_dim"]["high"]
    terms = details["by_timestep"]["vlb"]
    assert len(terms) == STEPS
    assert sum(terms) + prior == pytest.approx(total, rel=1e-4)
    first, second = said.out.splitlines()[:2]
    assert first == "test"
    assert second.split()[:2] == ["bits_per_dim", f"{total:.5g}"]
    assert f"step {STEPS}/{STEPS}" in said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metrics=bits_per_dm"], "did you mean 'bits_per_dim'"),
        (["--metrics=bits_per_dim", "--num-images=0"], "--num-images must be 1 or more"),
        ([], "--metrics bits_per_dim"),
    ],
)
@pytest.mark.parametrize("workdir", ["unconditional"], indirect=True)
def test_a_mistake_is_one_line(workdir, words, message, capsys):
    assert cli.main(["evaluate", f"--checkpoint={workdir}", *words]) == entry.BAD_INPUT
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


@pytest.mark.newest
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
