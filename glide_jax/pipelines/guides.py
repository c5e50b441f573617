"""Models that look at a picture half drawn, and say which way what was asked lies.

A guide's `towards` gives a Partial of one function, the same for all its life: another caption,
class or scale is another argument of a program, and compiles nothing.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from glide_jax.data.images import square, to_float
from glide_jax.models.classifier import Classifier
from glide_jax.models.clip import Clip, similarity
from glide_jax.models.labels import class_labels
from glide_jax.pipelines.inputs import LogProbability
from glide_jax.text import Tokenizer, tokenize
from glide_jax.types import Params


@dataclasses.dataclass(frozen=True)
class Guide:
    """What leads pictures towards captions or classes.

    Attributes:
        size: pixels a side of the pictures it sees.
        num_steps: of the noising process it knows.
        towards: (b captions or classes, scale) → scale · log p of each under a picture. Raises
            UserError for a class that there is none of.
    """

    size: int
    num_steps: int
    towards: Callable[[Sequence, float], LogProbability]


@dataclasses.dataclass(frozen=True)
class ClipGuide(Guide):
    """A guide towards captions, who can also tell how well a finished picture is of one.

    Attributes:
        score: (n captions, pictures: uint8[n s s 3] of any size) → f32[n], cosines.
    """

    score: Callable[[Sequence[str], np.ndarray], np.ndarray]


def clip_guide(model: Clip, params: Params, tokenizer: Tokenizer, text_length: int) -> ClipGuide:
    """GLIDE's noised CLIP as a guide: log p = logit_scale · cosine (Nichol et al. 2021, sec. 2.4).

    Args:
        model: the CLIP.
        params: its weights.
        tokenizer: its own, which may be another than a stage's.
        text_length: tokens a caption is padded or cut to.
    """
    encode_text, size = jax.jit(model.encode_text), model.config.image_size
    logit_scale = model.config.logit_scale

    def log_probability(params, features, scale, x_t, t):
        return scale * logit_scale * similarity(features, model.encode_image(params, x_t, t))

    @jax.jit
    def cosine(params, features, pictures):
        clean = jnp.zeros(len(pictures), jnp.int32)
        return similarity(features, model.encode_image(params, pictures, clean))

    def features_of(captions):
        batch = tokenize(tokenizer, captions, text_length)
        return encode_text(params, jnp.asarray(batch.tokens), jnp.asarray(batch.mask))

    def towards(captions, scale):
        return Partial(log_probability, params, features_of(captions), jnp.float32(scale))

    def score(captions, pictures):
        seen = to_float(np.stack([square(picture, size) for picture in pictures]))
        return np.asarray(cosine(params, features_of(captions), seen))

    return ClipGuide(size, model.config.image.num_timesteps, towards, score)


def classifier_guide(model: Classifier, params: Params, num_steps: int) -> Guide:
    """ADM's classifier as a guide: log p = log softmax (Dhariwal & Nichol 2021, sec. 4).

    Args:
        model: the classifier.
        params: its weights.
        num_steps: of the noising process it was trained on.
    """
    num_classes = model.config.num_classes

    def log_probability(params, labels, scale, x_t, t):
        logs = jax.nn.log_softmax(model.apply(params, x_t, t))
        return scale * jnp.take_along_axis(logs, labels[:, None], axis=1)[:, 0]

    def towards(labels, scale):
        return Partial(
            log_probability, params, class_labels(labels, num_classes), jnp.float32(scale)
        )

    return Guide(model.config.image_size, num_steps, towards)
