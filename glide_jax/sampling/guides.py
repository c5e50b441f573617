"""Guides: models whose gradients lead sampling towards captions or classes.

A guide's `log_probability` gives a Partial of one function, always the same: another caption, class
or scale is another argument of the compiled program, and compiles nothing.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from glide_jax.config import DiffusionConfig
from glide_jax.data.images import square, to_float
from glide_jax.errors import UserError
from glide_jax.models.classifier import Classifier
from glide_jax.models.clip import Clip, direction, similarity
from glide_jax.models.labels import class_labels
from glide_jax.parallel.collectives import on_host
from glide_jax.sampling.guidance import LogProbability
from glide_jax.sampling.request import Settings, Subject
from glide_jax.text.reader import CaptionReader
from glide_jax.types import Array, Params


@dataclasses.dataclass(frozen=True)
class Guide:
    """A model whose gradient guides.

    Attributes:
        image_size: pixels a side of the images it sees.
        num_steps: of the noising process it was trained on.
        log_probability: (b captions or classes, scale) → scale · log p of each given an image.
            Raises UserError for a class that doesn't exist.
    """

    image_size: int
    num_steps: int
    log_probability: Callable[[Sequence, float], LogProbability]


@dataclasses.dataclass(frozen=True)
class ClipGuide(Guide):
    """A guide towards captions, which also scores how well a finished image fits one.

    Attributes:
        logit_scale: what a cosine is multiplied by for a log probability.
        score: (n captions, images: uint8[n s s 3] of any size) → f32[n], cosines.
        text_features: n captions → f32[n e], of length 1.
        image_features: uint8[n s s 3] of any size → f32[n e], of length 1.
        noised_features: (x_t: f32[n s s 3] of `image_size`, t: i32[n]) → f32[n e], of length 1.
    """

    logit_scale: float
    score: Callable[[Sequence[str], np.ndarray], np.ndarray]
    text_features: Callable[[Sequence[str]], np.ndarray]
    image_features: Callable[[np.ndarray], np.ndarray]
    noised_features: Callable[[Array, Array], Array]


G = TypeVar("G", bound=Guide)


def clip_guide(model: Clip, params: Params, reader: CaptionReader, *, is_noised: bool) -> ClipGuide:
    """GLIDE's noised CLIP as a guide: log p = logit_scale · cosine (Nichol et al. 2021, sec. 2.4).

    Args:
        model: the CLIP.
        params: its weights.
        reader: its own of captions, which may differ from a stage's.
        is_noised: whether it was trained on noised images; if not, it takes any for one at t = 0.
    """
    encode_text, size = jax.jit(model.encode_text), model.config.image_size
    logit_scale = model.logit_scale(params)

    def learned(t):
        return t if is_noised else jnp.zeros_like(t)

    def scaled_cosine(params, features, scale, x_t, t):
        return scale * similarity(features, model.encode_image(params, x_t, learned(t)))

    @jax.jit
    def encode(params, x_t, t):
        return direction(model.encode_image(params, x_t, learned(t)))

    def features_of(captions):
        arrays = reader.read(captions).arrays
        return encode_text(params, jnp.asarray(arrays["tokens"]), jnp.asarray(arrays["mask"]))

    def log_probability(captions, scale):
        return Partial(scaled_cosine, params, features_of(captions), scale * logit_scale)

    def text_features(captions):
        count = len(captions)
        return on_host(direction(features_of(_filled(list(captions)))))[:count]

    def image_features(images):
        seen = to_float(np.stack([square(pixels, size) for pixels in _filled(list(images))]))
        clean = jnp.zeros(len(seen), jnp.int32)
        return on_host(encode(params, seen, clean))[: len(images)]

    def score(captions, images):
        return (text_features(captions) * image_features(images)).sum(-1)

    return ClipGuide(
        image_size=size,
        num_steps=model.config.image.num_timesteps,
        log_probability=log_probability,
        logit_scale=float(logit_scale),
        score=score,
        text_features=text_features,
        image_features=image_features,
        noised_features=partial(encode, params),
    )


def _filled(rows: list) -> list:
    """The rows, and more of the last up to a power of 2: few shapes are compiled."""
    return rows + rows[-1:] * ((1 << (len(rows) - 1).bit_length()) - len(rows))


def classifier_guide(
    model: Classifier, params: Params, num_steps: int, *, is_noised: bool
) -> Guide:
    """ADM's classifier as a guide: log p = log softmax (Dhariwal & Nichol 2021, sec. 4).

    Args:
        model: the classifier.
        params: its weights.
        num_steps: of the noising process it was trained on.
        is_noised: whether it was trained on noised images; if not, it takes any for one at t = 0.
    """
    num_classes = model.config.num_classes

    def scaled_log_softmax(params, labels, scale, x_t, t):
        learned = t if is_noised else jnp.zeros_like(t)
        logs = jax.nn.log_softmax(model.apply(params, x_t, learned))
        return scale * jnp.take_along_axis(logs, labels[:, None], axis=1)[:, 0]

    def log_probability(labels, scale):
        return Partial(
            scaled_log_softmax, params, class_labels(labels, num_classes), jnp.float32(scale)
        )

    return Guide(model.config.image_size, num_steps, log_probability)


def guides_of(
    settings: Settings,
    image_size: int,
    diffusion: DiffusionConfig,
    clip: ClipGuide | None,
    classifier: Guide | None,
) -> Callable[[Sequence[Subject]], tuple[LogProbability, ...]]:
    """The guides of a stage, as the settings say: the subjects of a batch → whose gradients guide.

    Args:
        settings: resolved.
        image_size, diffusion: of the stage that is guided.
        clip, classifier: the guides that are loaded, or None.

    Raises:
        UserError: a guide is asked for that is not loaded, or that does not fit the stage.
    """
    by_clip, by_class = settings.clip_scale, settings.classifier_scale
    if by_clip is not None:
        clip = _fitting("clip", clip, image_size, diffusion)
    if by_class is not None:
        classifier = _fitting("classifier", classifier, image_size, diffusion)

    def guides(subjects: Sequence[Subject]) -> tuple[LogProbability, ...]:
        found = []
        if clip is not None and by_clip is not None:
            captions = [subject.prompt for subject in subjects]
            found.append(clip.log_probability(captions, by_clip))
        if classifier is not None and by_class is not None:
            labels = [subject.label for subject in subjects]
            found.append(classifier.log_probability(labels, by_class))
        return tuple(found)

    return guides


def _fitting(name: str, guide: G | None, image_size: int, diffusion: DiffusionConfig) -> G:
    if guide is None:
        raise UserError(f"{name}_scale needs a guide: load one with {name}=DIR")
    sizes, steps = (guide.image_size, image_size), (guide.num_steps, diffusion.num_steps)
    for what, (theirs, ours) in (("pixels a side", sizes), ("noise levels", steps)):
        if theirs != ours:
            raise UserError(
                f"the {name} was trained on {theirs} {what}, and the model on {ours}: it can't "
                "guide it"
            )
    return guide
