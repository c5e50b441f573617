"""Models of two matrices in place of all trained workdirs, and the first rows of `shapes`."""

import contextlib
import dataclasses
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import tiny
from jax.tree_util import Partial
from models.model_toys import filled

from glide_jax import config, data
from glide_jax.data.shapes.builder import example
from glide_jax.experiments import lab as labs
from glide_jax.experiments.running import Callbacks, Place, run_claim
from glide_jax.models.model import Encoded
from glide_jax.sampling.guides import ClipGuide, Guide
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.stages import make_stage


class FirstOfSplit:
    """The first examples of a split, without a disk."""

    def __init__(self, split):
        self.split = split
        self.fingerprint = f"first of {split}"

    def __len__(self):
        return 40

    def __getitem__(self, i):
        return example(self.split, i, 64)

    def captions(self, i):
        return self[i].captions


def reading(model):
    """A linear model that reads its caption: the mean of its tokens shifts the output."""

    def encode(params, condition):
        mean = jnp.where(condition.mask, condition.tokens, 0).mean(1) / 300
        return Encoded(mean[:, None], None, None, None)

    def apply(params, x_t, t, encoded, keys=None):
        return model.apply(params, x_t, t, None) + encoded.pooled[:, :, None, None]

    return dataclasses.replace(model, encode=encode, apply=apply)


def learning_variance(model):
    """With three channels more, for the variance."""

    def apply(*given, **rest):
        output = model.apply(*given, **rest)
        return jnp.concatenate([output, jnp.tanh(0.1 * output)], -1)

    return dataclasses.replace(model, apply=apply)


def cascade(learns):
    """8×8 by a linear model, then 16×16 by another, whatever is asked for."""
    variance = [
        f"stages.{name}.diffusion.learn_variance={learns}" for name in ("base", "upsampler")
    ]
    loaded = config.load_config(
        tiny.CONFIGS / "quickstart.py", [*tiny.OVERRIDES, *tiny.UPSAMPLER_OVERRIDES, *variance]
    )
    whole = config.experiment_from(loaded)
    stages = []
    for name, own in whole.stages.items():
        model = reading(tiny.linear(dataclasses.replace(whole, stages={name: own})))
        model = learning_variance(model) if learns else model
        stages.append(make_stage(name, own, model, filled(model.shapes), tiny.reader(), step=7))
    return whole, Pipeline(tuple(stages))


def features(images):
    """f32[n 8]: nothing but a function of the image, of length 1."""
    flat = np.asarray(images, np.float32).reshape(len(images), -1)[:, :8] + 1
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def texts(captions):
    rows = [np.frombuffer(f"{caption:<64}".encode()[:64], np.uint8)[::8] for caption in captions]
    return features(np.stack(rows))


def brightness(scale, x_t, t):
    return scale * x_t.mean((1, 2, 3))


def clip():
    """Guides towards bright images."""
    return ClipGuide(
        image_size=8,
        num_steps=1000,
        log_probability=lambda captions, scale: Partial(brightness, jnp.float32(scale)),
        logit_scale=100.0,
        score=lambda captions, images: np.asarray(images, np.float64).mean((1, 2, 3)),
        text_features=texts,
        image_features=features,
        noised_features=lambda x_t, t: features(x_t + t[:, None, None, None]),
    )


def classifier():
    """The same, whatever the class."""
    return Guide(8, 1000, lambda labels, scale: Partial(brightness, jnp.float32(scale)))


@contextlib.contextmanager
def toy_models(fingerprint="weights", *, learns_variance=False):
    """While the body runs, every workdir holds the toys."""
    whole, pipeline = cascade(learns_variance)
    constants = {
        (data, "prepare"): None,
        (labs, "read_experiment"): whole,
        (labs.Pipeline, "load"): pipeline,
        (labs, "load_clip"): clip(),
        (labs, "load_classifier"): classifier(),
        (labs, "fingerprint_of_workdir"): fingerprint,
        # As conftest's one_device.
        (jax, "device_count"): 1,
    }
    patches = [mock.patch.object(*where, return_value=value) for where, value in constants.items()]
    patches.append(mock.patch.object(data, "open_source", lambda name, path, s: FirstOfSplit(s)))
    with contextlib.ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield pipeline


def run(claim, folder, name="toy", on_measured=lambda one: None):
    """The result of a claim, whose workdirs are toys."""
    place = Place(folder / "runs", folder / "experiments", name)
    return run_claim(claim, place, Callbacks(lambda name, progress: None, on_measured))
