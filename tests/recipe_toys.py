"""The toys of recipes_test: what a person would write in their own files, as text."""

SAMPLER = '''
"""A sampler whose image is grey."""

import jax.numpy as jnp

from glide_jax.diffusion.samplers.sampler import Sampler, evaluate, no_state


def toy() -> Sampler:
    """Every step gives zeros."""

    def update(denoiser, schedule, i, x_t, state, noise):
        _, x_0_hat = evaluate(denoiser, schedule, i, x_t)
        return jnp.zeros_like(x_t), state, x_0_hat

    return Sampler(no_state, update, "score")
'''

GUIDANCE = '''
"""A guidance that scales x_0_hat."""

from glide_jax.diffusion.guidance.on_x_0_hat import on_x_0_hat


def toy(denoiser, schedule, level):
    """level: f32[]."""
    return on_x_0_hat(denoiser, schedule, lambda x_0_hat: level * x_0_hat)
'''

TRANSFORM = """
def _toy(inputs: GuidanceInputs) -> Transform | None:
    level = inputs.sampling.toy_level
    return None if level == 1 else Partial(_apply_toy, jnp.float32(level))


def _apply_toy(level: Array, denoiser: Denoiser, context: GuidanceContext) -> Denoiser:
    return toy(denoiser, context.schedule, level)


"""

FAMILY_CONFIG = '''
"""The toy family."""

import dataclasses
from typing import Literal

from glide_jax.config.checks import own_family


@dataclasses.dataclass(frozen=True)
class ToyConfig:
    """A model of one colour."""

    family: Literal["toy"]
    image_size: int
    low_res_size: int
    dtype: str

    reads_captions = True
    reads_embeddings = False

    def __post_init__(self):
        own_family(self)
'''

MODEL = '''
"""The toy family: the mean of the tokens' embeddings is the image's colour."""

import jax
import jax.numpy as jnp

from glide_jax.models.model import Encoded, Model


def toy(config, *, vocab_size, text_length):
    """Without flax: a Model is pure functions."""
    shapes = {"text.token_embedding": jax.ShapeDtypeStruct((vocab_size, 3), jnp.float32)}

    def init(key):
        return {path: jax.random.normal(key, s.shape) for path, s in shapes.items()}

    def encode(params, condition):
        rows = params["text.token_embedding"][condition.tokens]
        return Encoded(rows.mean(1), None, None, None)

    def apply(params, x_t, t, encoded, keys=None):
        return jnp.broadcast_to(encoded.pooled[:, None, None], x_t.shape)

    return Model(config, shapes, init, encode, apply, lambda *_: {})
'''

OBJECTIVE = '''
"""The loss of the toy family: text_to_image's, without dropped captions."""

from glide_jax.training.objectives.denoising import denoising_loss
from glide_jax.types import Condition


def toy_loss(model, stage):
    """Denoise, given the caption."""
    return denoising_loss(
        model, stage, lambda batch, rng: Condition(tokens=batch["tokens"], mask=batch["mask"])
    )
'''

DATA = '''
"""Squares of one colour."""

import numpy as np

from glide_jax.data.source import Example, checked_index


def prepare(variant, path):
    """Nothing to do."""


def open_split(variant, path, split):
    """The only split."""
    return Squares()


class Squares:
    """A Source."""

    classes = None
    fingerprint = "squares"

    def __len__(self):
        return 16

    def captions(self, i):
        """One caption."""
        return ("light" if checked_index(i, 16) % 2 else "dark",)

    def __getitem__(self, i):
        return Example(np.full((8, 8, 3), 255 * (i % 2), np.uint8), self.captions(i), {})
'''

TOKENIZER = '''
"""A token a byte."""


class Bytes:
    """A Tokenizer."""

    start_ids, end_ids, vocab_size, pad_id = (), (), 256, 0

    def encode(self, text):
        """Any text."""
        return list(text.encode())

    def to_dict(self):
        """The kind is all."""
        return {"kind": "toy"}


def train(captions, vocab_size):
    """Nothing is trained."""
    return Bytes()


def from_dict(d):
    """See to_dict."""
    return Bytes()
'''

TEXT_ENCODER = '''
"""A text encoder that embeds bytes as unit vectors."""

import jax.numpy as jnp

from glide_jax.encoders.frozen import FrozenEncoder


class Bytes:
    """A FrozenTokenizer."""

    start_ids, end_ids, pad_id = (), (), 0

    def encode(self, text):
        """Any text."""
        return list(text.encode())

    def fingerprint(self):
        """There is only one."""
        return "bytes"


def load(path, *, dtype, mesh):
    """Without files."""
    return FrozenEncoder(
        "toy",
        tokenizer=Bytes(),
        params={"table": jnp.eye(256, dtype=dtype)},
        apply=lambda params, tokens, mask: params["table"][tokens],
        fingerprint="toy",
        width=256,
        max_length=None,
        mesh=mesh,
    )
'''

SINK = '''
"""toy.txt: a line a step."""


class Toy:
    """A Sink."""

    def __init__(self, directory, first_step):
        self._file = (directory / "toy.txt").open("a")

    def write(self, step, values):
        """See Sink."""
        print(step, values["loss"], file=self._file)

    def image(self, step, name, sheet):
        """See Sink."""

    def close(self):
        """See Sink."""
        self._file.close()
'''

COMMAND = '''
"""`glide-jax toy`."""


def add(parser):
    """Print one word."""
    parser.add_argument("word")
    return lambda arguments: print(f"toy {arguments.word}")
'''

METRIC = '''
"""The pixels of the first model's images."""

from glide_jax.evaluation.metric import Result, Value


def metric(evaluation):
    """Their number."""
    return Result({"toy": Value(evaluation.model.pipeline.stages[0].image_size ** 2)})
'''

CONFIG = '''
"""The quickstart's base stage with a toy of everything."""

from glide_jax.config import load_config


def get_config():
    config = load_config("quickstart")
    base = config.stages.base.to_dict()
    base["model"] = dict(family="toy", image_size=8, low_res_size=0, dtype="float32")
    base["training"] |= dict(num_steps=20, optimizer="toy", learning_rate=0.1, lr_warmup_steps=1)
    base["training"] |= dict(log_every_steps=5)
    base["sampling"] |= dict(steps="3")
    del config.text_pretraining, config.evaluation
    config.stages = dict(base=base)
    config.data.source = "toy"
    config.text = dict(tokenizer="toy", vocab_size=256, length=6)
    config.monitoring.sinks = ("jsonl", "toy")
    config.prompts = ("light", "dark")
    return config
'''

USE = """
import sys
from pathlib import Path

from glide_jax import config
from glide_jax.cli import main
from glide_jax.encoders import load_encoder

workdir, out = sys.argv[1:]
for path in config.config_folder().glob("*.py"):
    config.experiment_from(config.load_config(path))
assert main(["toy", "works"]) == 0
assert main(["train", "--config=toy", f"--workdir={workdir}"]) == 0
common = ["light", "--checkpoint", workdir, "--guidance-scale", "1"]
assert main(["sample", *common, "--out", f"{out}/plain"]) == 0
assert main(["sample", *common, "--out", f"{out}/sampler", "--sampler", "toy"]) == 0
assert main(["sample", *common, "--out", f"{out}/guidance", "--toy-level", "0"]) == 0
assert main(["evaluate", "--checkpoint", workdir, "--metrics", "toy"]) == 0
assert '"value": 64' in (Path(workdir) / "summary.json").read_text()
found = load_encoder("toy", None, dtype="float32").encode(["a"], 2)
assert found.embedding.argmax(-1).tolist() == [[97, 0]]
"""
