"""Small released files and workdirs, and assertions about both."""

import dataclasses
import functools
import os

import jax
import numpy as np
import tiny
from golden.load import load as load_again
from refusals import refused

from glide_jax import config
from glide_jax.checkpoints import Checkpoints, open_stage
from glide_jax.interop import files
from glide_jax.models.families import model_of

GOLDEN = {
    "base": "tiny_base",
    "upsample": "tiny_upsample",
    "base-inpaint": "tiny_base_inpaint",
    "adm-64": "tiny_adm",
    "adm-64-to-256": "tiny_adm_upsample",
    "adm-64-classifier": "tiny_adm_classifier",
    "clip-image": "tiny_clip_image",
    "clip-text": "tiny_clip_text",
}
"""Released name → the small golden model that replaces it here."""

TOKENIZER = tiny.tokenizer()
EXPERIMENT = tiny.experiment()
PRETRAINED = config.experiment_from(
    config.load_config(tiny.CONFIGS / "quickstart.py", [*tiny.OVERRIDES, *tiny.UPSAMPLER_OVERRIDES])
)
"""A cascade whose text encoder is trained before it."""
CASCADE = dataclasses.replace(PRETRAINED, text_pretraining=None)
load = functools.lru_cache(maxsize=len(GOLDEN))(load_again)


def write(path, golden, **changes):
    """A small released file; a key that is changed to None is left out."""
    arrays = load(golden)[1] | changes
    files.write(path, {k: a for k, a in arrays.items() if a is not None}, "float32")
    return path


def trained(workdir, experiment=EXPERIMENT, step=3):
    """A workdir as training leaves it; `params` and `ema_params` differ."""
    sets = {}
    for name, stage in experiment.stages.items():
        shapes = model_of(
            stage, vocab_size=TOKENIZER.vocab_size, text_length=experiment.text_length
        ).shapes
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


def weights(workdir, stage=None):
    """The averaged weights of a workdir's stage; None: of the first."""
    checkpoint = open_stage(workdir, stage)
    shapes = checkpoint.shapes("ema_params")
    return checkpoint.restore({"ema_params": shapes})["ema_params"]


def same(a, b):
    assert a.keys() == b.keys()
    for path, array in a.items():
        np.testing.assert_array_equal(np.asarray(array), np.asarray(b[path]), strict=True)


def refused_cleanly(action, *words, folder):
    before = sorted(os.listdir(folder))
    message = refused(action, *words)
    assert sorted(os.listdir(folder)) == before, "something half-written is left"
    return message
