"""A pipeline that is traced in no time, a feature net of a few numbers, and sets of images."""

import contextlib
from unittest import mock

import numpy as np
import tiny
from models.model_toys import filled
from PIL import Image

from glide_jax.checkpoints import Checkpoints
from glide_jax.evaluation.features import FeatureNet
from glide_jax.evaluation.images.image_set import image_set_of
from glide_jax.sampling import loading
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.stages import make_stage


def experiment(*overrides):
    return tiny.experiment("stages.base.sampling.guidance_scale=1", *overrides)


def stage(*overrides):
    """8×8 by two steps, of a model of two matrices: it takes captions, and ignores them."""
    whole = experiment("stages.base.sampling.steps='2'", *overrides)
    model = tiny.linear(whole)
    config = whole.first_stage
    return make_stage("base", config, model, filled(model.shapes), tiny.reader(), step=7)


def pipeline(*overrides):
    return Pipeline((stage(*overrides),))


def images(count, size=8, seed=0, name="some"):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)
    return image_set_of(pixels, name)


def net(name="inception", outputs=("pool", "spatial", "logits")):
    """A feature net of means of colours: as fast as NumPy."""

    def features(pixels):
        x = np.asarray(pixels, np.float32) / 255
        rows = x.reshape(len(x), -1)
        means = np.concatenate([x.mean((1, 2)), x.std((1, 2))], 1)
        found = {"pool": means, "spatial": rows[:, :5], "logits": 4 * means[:, :4]}
        return {key: found[key] for key in outputs}

    widths = {key: rows.shape[1] for key, rows in features(np.zeros((1, 8, 8, 3))).items()}
    return FeatureNet(
        name,
        "tensorflow",
        "f" * 64,
        widths,
        4,
        2,
        lambda pixels: pixels,
        lambda pixels: pixels,
        features,
    )


def write_folder(path, image_set):
    """The images of a set as files."""
    path.mkdir(parents=True, exist_ok=True)
    for i, pixels in enumerate(np.concatenate(list(image_set.batches(8)))):
        Image.fromarray(pixels).save(path / f"{i:03d}.png")
    return path


@contextlib.contextmanager
def workdir_of(path, *overrides):
    """A workdir of the linear model; while the body runs, loading it makes that model again."""
    whole, one = experiment(*overrides), stage(*overrides)
    folder = path / "base" / "checkpoints"
    tokenizer = one.reader.to_dict()
    with Checkpoints(folder, keep=1, experiment=whole, tokenizer=tokenizer) as checkpoints:
        checkpoints.save(7, {"ema_params": one.params}, {})
    with mock.patch.object(loading, "model_of", return_value=tiny.linear(whole)):
        yield path
