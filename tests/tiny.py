"""An experiment and a data set so small that tests can train on them."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax import config
from glide_jax.data.conditioning import caption_conditioning
from glide_jax.data.source import Example
from glide_jax.models.families import model_of
from glide_jax.models.model import Model
from glide_jax.text import train
from glide_jax.text.reader import TokenReader
from glide_jax.training.job import Job
from glide_jax.training.jobs import build_jobs
from glide_jax.training.objectives.text_to_image import text_to_image_loss

CONFIGS = Path(__file__).parents[1] / "configs"
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (30, 60, 220)}

OVERRIDES = (
    "stages.base.model.image_size=8",
    "stages.base.model.channels=32",
    # One size, and attention in the middle alone: half of what two sizes take to compile.
    "stages.base.model.channel_mult=(1,)",
    "stages.base.model.num_res_blocks=1",
    "stages.base.model.attention_resolutions=()",
    "stages.base.model.text_width=16",
    "stages.base.model.text_layers=1",
    "stages.base.model.text_heads=2",
    "stages.base.model.dropout=0.1",
    "text_pretraining.hidden_width=8",
    "text_pretraining.training.batch_size=8",
    "text_pretraining.training.num_steps=3",
    "text_pretraining.training.checkpoint_every_steps=100",
    "stages.base.training.batch_size=8",
    "stages.base.training.num_steps=6",
    "stages.base.training.optimizer=adamw",
    "stages.base.training.learning_rate=1e-3",
    "stages.base.training.lr_warmup_steps=2",
    "stages.base.training.log_every_steps=2",
    "stages.base.training.checkpoint_every_steps=100",
    "stages.base.training.sample_every_steps=100",
    "stages.base.diffusion.weighting=uniform",
    "text.vocab_size=300",
    "text.length=6",
    "stages.base.sampling.steps='3'",
    "stages.base.sampling.batch_size=4",
    "evaluation.periodic=none",
)
TWO_SIZES = "stages.base.model.channel_mult=(1, 1)"
"""For tests of what halves and doubles images inside a U-Net."""

ATTENDING = (TWO_SIZES, "stages.base.model.attention_resolutions=(4,)")
"""The same, with attention at the smaller size."""

UPSAMPLER_OVERRIDES = (
    "stages.upsampler.model.image_size=16",
    "stages.upsampler.model.low_res_size=8",
    "stages.upsampler.model.channels=32",
    "stages.upsampler.model.channel_mult=(1,)",
    "stages.upsampler.model.num_res_blocks=1",
    "stages.upsampler.model.attention_resolutions=()",
    "stages.upsampler.model.text_width=16",
    "stages.upsampler.model.text_layers=1",
    "stages.upsampler.model.text_heads=2",
    "stages.upsampler.training.batch_size=8",
    "stages.upsampler.training.num_steps=3",
    "stages.upsampler.training.checkpoint_every_steps=100",
    "stages.upsampler.training.sample_every_steps=100",
    "stages.upsampler.training.crop_size=0",
    "stages.upsampler.training.max_aug_level=0.1",
    "stages.upsampler.sampling.aug_level=0.0",
    "stages.upsampler.sampling.steps='2'",
    "stages.upsampler.sampling.batch_size=4",
)


def experiment(*overrides: str) -> config.Experiment:
    """The quickstart's base stage, shrunk."""
    loaded = config.load_config(CONFIGS / "quickstart.py", [*OVERRIDES, *overrides])
    del loaded.text_pretraining
    loaded.stages = {"base": loaded.stages.base}
    return config.experiment_from(loaded)


class Swatches:
    """Plain squares of three colours, named in their captions."""

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(COLOURS)

    @property
    def fingerprint(self) -> str:
        return "swatches"

    def __len__(self) -> int:
        return 24

    def __getitem__(self, i: int) -> Example:
        image = np.empty((16, 16, 3), np.uint8)
        image[:] = list(COLOURS.values())[i % 3]
        image[: 4 + i // 3] = 255
        return Example(image, self.captions(i), {}, i % 3)

    def captions(self, i: int) -> tuple[str, ...]:
        return (f"{list(COLOURS)[i % 3]} square",)


def tokenizer():
    return train("sentencepiece", ["red square", "green square", "blue square"], 300)


def reader():
    """What reads the tiny experiment's captions."""
    return TokenReader(tokenizer(), 6)


def loss(model, stage):
    """What a stage of `experiment` minimises."""
    return text_to_image_loss(model, stage, reader())


def unet(experiment: config.Experiment) -> Model:
    """The experiment's own model."""
    return model_of(experiment.stages["base"], vocab_size=tokenizer().vocab_size, text_length=6)


def linear(experiment: config.Experiment) -> Model:
    """A model of two matrices in its place, for tests of all else: it is traced in no time."""
    config = experiment.first_stage.model
    width = config.image_size**2 * 3
    shapes = {
        f"{name}.kernel": jax.ShapeDtypeStruct((width, width), jnp.float32)
        for name in ("first", "second")
    }

    def init(key):
        keys = jax.random.split(key, len(shapes))
        return {
            path: jax.random.normal(k, s.shape) / s.shape[0] ** 0.5
            for (path, s), k in zip(shapes.items(), keys, strict=True)
        }

    def apply(params, x_t, t, encoded, keys=None):
        flat = x_t.reshape(len(x_t), -1)
        return (jnp.tanh(flat @ params["first.kernel"]) @ params["second.kernel"]).reshape(
            x_t.shape
        )

    def nothing(*_):
        return {}

    return Model(config, shapes, init, lambda params, condition: None, apply, nothing)


def convolutional(experiment: config.Experiment) -> Model:
    """Three convolutions of the image and of its caption's mean: each kind of weight there is.

    Kernels that a mesh splits once `mesh.SMALL` is 500, and small ones; a bias, a matrix, an
    embedding. It compiles in a tenth of the U-Net's time, so that what training does to weights is
    tested on many meshes.
    """
    config, vocab_size, width = experiment.first_stage.model, tokenizer().vocab_size, 16
    shapes = {
        "in_conv.kernel": (3, 3, 3, width),
        "middle_conv.kernel": (3, 3, width, width),
        "middle_conv.bias": (width,),
        "out_conv.kernel": (3, 3, width, 3),
        "text.token_embedding": (vocab_size, width),
        "text.out.kernel": (width, 2 * width),
        "text.skip.kernel": (2 * width, width),
    }

    def init(key):
        keys = jax.random.split(key, len(shapes))
        return {
            path: jax.random.normal(k, shape) / np.prod(shape[:-1]) ** 0.5
            for (path, shape), k in zip(shapes.items(), keys, strict=True)
        }

    def encode(params, condition):
        kept = condition.mask[..., None]
        embeddings = params["text.token_embedding"][condition.tokens] * kept
        mean = embeddings.sum(1) / jnp.maximum(kept.sum(1), 1)
        return jnp.tanh(mean @ params["text.out.kernel"]) @ params["text.skip.kernel"]

    def convolved(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def apply(params, x_t, t, encoded, keys=None):
        h = jnp.tanh(convolved(x_t, params["in_conv.kernel"]) + encoded[:, None, None])
        h = (
            convolved(h, params["middle_conv.kernel"])
            + params["middle_conv.bias"][None, None, None]
        )
        return convolved(jnp.tanh(h), params["out_conv.kernel"])

    structs = {path: jax.ShapeDtypeStruct(shape, jnp.float32) for path, shape in shapes.items()}
    return Model(config, structs, init, encode, apply, lambda *_: {})


def job(
    directory: Path,
    experiment: config.Experiment,
    build: Callable[[config.Experiment], Model] = unet,
) -> Job:
    """The training of an experiment's base stage on `Swatches`."""
    (own,) = build_jobs(experiment, Swatches(), reader(), directory).stages
    stage, model = experiment.stages["base"], build(experiment)
    return dataclasses.replace(own, model=model, loss=loss(model, stage), directory=directory)


def conditioning():
    """What its batches hold beside images."""
    return caption_conditioning(reader())


def metrics(directory: Path) -> list[dict]:
    """The lines that a stage's training wrote."""
    lines = (directory / "metrics.jsonl").read_text("utf-8")
    return [json.loads(line) for line in lines.splitlines()]
