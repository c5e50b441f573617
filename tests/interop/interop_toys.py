"""Small released files and workdirs, and what tests ask of both."""

import functools
import os

import jax
import numpy as np
import tiny
from golden.load import load as load_again
from refusals import refused

from glide_jax import config
from glide_jax.interop import files
from glide_jax.training import loop
from glide_jax.training.checkpoints import Checkpoints, open_checkpoint

GOLDEN = {
    "base": "tiny_base",
    "upsample": "tiny_upsample",
    "base-inpaint": "tiny_base_inpaint",
    "adm-64": "tiny_adm",
    "adm-64-classifier": "tiny_adm_classifier",
    "clip-image": "tiny_clip_image",
    "clip-text": "tiny_clip_text",
}
"""Released name → the golden model that stands in for it here."""


TOKENIZER = tiny.tokenizer()
EXPERIMENT = tiny.experiment()
CASCADE = config.experiment_from(
    config.load_config(tiny.CONFIGS / "quickstart.py", [*tiny.OVERRIDES, *tiny.UPSAMPLER_OVERRIDES])
)
load = functools.lru_cache(maxsize=len(GOLDEN))(load_again)


def write(path, golden, **changes):
    """A released file, small; a change of a key of None is that key left out."""
    arrays = load(golden)[1] | changes
    files.write(path, {k: a for k, a in arrays.items() if a is not None}, "float32")
    return path


def trained(workdir, experiment=EXPERIMENT, step=3):
    """A workdir as training leaves it; its two sets of weights differ."""
    sets = {}
    for name, stage in experiment.stages.items():
        shapes = loop.build_model(stage, experiment, TOKENIZER).shapes
        sets[name] = {part: _some(shapes, part) for part in ("params", "ema_params")}
        with Checkpoints(
            workdir / name / "checkpoints",
            keep=1,
            experiment=experiment,
            tokenizer=TOKENIZER.to_dict(),
        ) as checkpoints:
            checkpoints.save(step, {"step": jax.numpy.int32(step)} | sets[name], {})
    return sets


def _some(shapes, part):
    rng = np.random.default_rng(len(part))
    return {path: rng.standard_normal(s.shape, dtype=np.float32) for path, s in shapes.items()}


def weights(workdir, stage="base"):
    checkpoint = open_checkpoint(workdir / stage / "checkpoints")
    shapes = checkpoint.shapes("ema_params")
    return checkpoint.restore({"ema_params": shapes})["ema_params"]


def same(a, b):
    assert a.keys() == b.keys()
    for path, array in a.items():
        np.testing.assert_array_equal(np.asarray(array), np.asarray(b[path]), strict=True)


def refused_cleanly(action, *words, folder):
    before = sorted(os.listdir(folder))
    refused(action, *words)
    assert sorted(os.listdir(folder)) == before, "something half-written is left"
