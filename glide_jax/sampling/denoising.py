"""The denoiser of a batch: a model on its encoded conditions, guidance transforms around it.

model ─ guidance transforms, folded ─→ Denoiser
   └─── deep features, kept from step to step ─→ CachedDenoiser
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from glide_jax.diffusion import caching
from glide_jax.diffusion.gaussian import denoiser_from
from glide_jax.diffusion.schedule import Schedule
from glide_jax.models.model import Encoded, FeatureCaching, Model
from glide_jax.sampling.guidance import GuidanceContext, Transform
from glide_jax.types import Array, Denoiser, Params


class CachingArguments(NamedTuple):
    """At which steps deep features are computed. A pytree: other numbers compile nothing.

    Attributes:
        interval: i32[], `SamplingConfig.cache_interval`.
        guidance_interval: f32[2], as in SamplingConfig; None: guidance is everywhere, or nowhere.
    """

    interval: Array
    guidance_interval: Array | None


@dataclasses.dataclass(frozen=True)
class BatchModel:
    """A model, ready to be evaluated on a batch of b images.

    Attributes:
        model: the stage's.
        weights: with what `Model.prepare` computed.
        prediction: what it was trained to predict, a name in `gaussian.PREDICTIONS`.
        schedule: the one that it was trained on, every step.
        encoded: the conditions.
        stacked: the conditions, and the null condition below them; None: no guidance.
    """

    model: Model
    weights: Params
    prediction: str
    schedule: Schedule
    encoded: Encoded
    stacked: Encoded | None

    def guided(
        self,
        transforms: Sequence[Transform],
        gradient_shifts: Literal["mean", "score"],
        features: Array | None = None,
    ) -> Denoiser:
        """The denoiser with every transform around it, the first innermost.

        Args:
            transforms: of `sampling.guidance`.
            gradient_shifts: the sampler's.
            features: the deep features that it is evaluated with, of 2b rows where there is
                guidance; None: it is evaluated as a whole.
        """
        stacked = None if self.stacked is None else self._denoiser(self.stacked, features)
        context = GuidanceContext(self.schedule, gradient_shifts, stacked)
        denoiser = self._denoiser(self.encoded, features)
        for transform in transforms:
            denoiser = transform(denoiser, context)
        return denoiser

    def features(
        self, arguments: CachingArguments, taken: Schedule, first: Array
    ) -> caching.Features:
        """The deep features of each step, of 2b rows where there is guidance.

        Args:
            arguments: when they are computed.
            taken: the schedule of the steps to take.
            first: i32[], the first of them.
        """
        when = arguments.interval, first
        conditional = self._deep(self.encoded)
        if self.stacked is None:
            return caching.every(*when, conditional, taken)
        stacked, interval = self._deep(self.stacked), arguments.guidance_interval
        if interval is None:
            return caching.every(*when, caching.of_both(stacked), taken)
        guided = interval, self.schedule.num_steps
        return caching.every_guided(*when, stacked, conditional, taken, guided)

    def no_features(self, x_T: Array) -> Array:
        """Zeros of the features' shape. x_T: f32[b h w c]."""
        deep = self._deep(self.encoded)
        if self.stacked is not None:
            deep = caching.of_both(self._deep(self.stacked))
        shape = jax.eval_shape(deep, x_T, jnp.zeros(len(x_T), jnp.int32))
        return jnp.zeros(shape.shape, shape.dtype)

    def _denoiser(self, encoded: Encoded, features: Array | None) -> Denoiser:
        def apply(x_t: Array, t: Array) -> Array:
            if features is None:
                return self.model.apply(self.weights, x_t, t, encoded)
            # The conditions' half, where the null condition's is not evaluated.
            own = features[: len(x_t)]
            return self._parts.apply_with(self.weights, x_t, t, encoded, own)

        return denoiser_from(apply, self.schedule, self.prediction)

    def _deep(self, encoded: Encoded) -> caching.Deep:
        return lambda x_t, t: self._parts.deep_features(self.weights, x_t, t, encoded)

    @property
    def _parts(self) -> FeatureCaching:
        assert self.model.caching is not None, "`stages.check_caching` has refused it"
        return self.model.caching
