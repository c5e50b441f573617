"""How pictures are drawn, where that is to be another way than a stage's config says."""

import dataclasses
import math
import numbers
from collections.abc import Mapping
from typing import Any, Self

from glide_jax.config import SamplingConfig
from glide_jax.errors import UserError, unknown_name


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a person may choose for the first stage that draws; the stages after keep their own.

    None stands for what the stage's config says; where it says nothing, for nothing of the kind.

    Attributes:
        sampler, steps, eta, temperature, low_res_noise, batch_size: in the place of
            SamplingConfig's; steps may be a number.
        guidance_scale: likewise; or one for each prompt.
        guidance_interval: (low, high), shares of the noising process, 0 its clean end: guidance
            is where low ≤ t / num_steps < high, and outside it its work is saved (Kynkäänniemi et
            al. 2024).
        dynamic_threshold: p of Imagen's (Saharia et al. 2022, sec. 2.3), such as 0.995; without
            it x_0_hat is clipped to [-1, 1].
        clip_scale: of the gradient of the noised CLIP's 100 · cosine (GLIDE, sec. 2.4).
        classifier_scale: of the gradient of the classifier's log p(class) (Dhariwal & Nichol
            2021, sec. 4).
        resamples: how often each step is done in inpainting with a model that was not trained for
            it (RePaint, Lugmayr et al. 2022).

    Raises:
        UserError: a value makes no sense.
    """

    sampler: str | None = None
    steps: str | int | None = None
    eta: float | None = None
    guidance_scale: float | tuple[float, ...] | None = None
    guidance_interval: tuple[float, float] | None = None
    dynamic_threshold: float | None = None
    temperature: float | None = None
    low_res_noise: float | None = None
    clip_scale: float | None = None
    classifier_scale: float | None = None
    resamples: int | None = None
    batch_size: int | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """The Settings of keyword arguments. Raises UserError for one that nobody knows."""
        names = [field.name for field in dataclasses.fields(cls)]
        for name in given:
            if name not in names:
                raise unknown_name("setting", name, names)
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in given.items()
        }
        return cls(**values)

    def __post_init__(self):
        for name in ("eta", "temperature", "low_res_noise", "clip_scale", "classifier_scale"):
            _check_number(name, getattr(self, name))
        for scale in self.guidance_scales or ():
            _check_number("guidance_scale", scale)
        if self.dynamic_threshold is not None and not 0 < self.dynamic_threshold <= 1:
            raise UserError(
                f"dynamic_threshold is a quantile, above 0 and at most 1, such as 0.995, not "
                f"{self.dynamic_threshold}"
            )
        if self.guidance_interval is not None:
            _check_interval(self.guidance_interval)
        for name in ("resamples", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} must be 1 or more, not {value}")

    @property
    def guidance_scales(self) -> tuple[float, ...] | None:
        """One, or one for each prompt; None: none was given."""
        scale = self.guidance_scale
        return scale if scale is None or isinstance(scale, tuple) else (scale,)

    def over(self, sampling: SamplingConfig) -> SamplingConfig:
        """A stage's config with these in it, but for scales of several prompts.

        Raises:
            UserError: a value makes no sense.
        """
        changes = {
            name: getattr(self, name)
            for name in ("sampler", "eta", "temperature", "low_res_noise", "batch_size")
            if getattr(self, name) is not None
        }
        if self.steps is not None:
            changes["steps"] = str(self.steps)
        if self.guidance_scale is not None and not isinstance(self.guidance_scale, tuple):
            changes["guidance_scale"] = self.guidance_scale
        return dataclasses.replace(sampling, **changes)

    def to_dict(self) -> dict[str, Any]:
        """What was chosen, ready for JSON; `of` makes it again."""
        return {name: v for name, v in dataclasses.asdict(self).items() if v is not None}


def _check_number(name: str, value: float | None) -> None:
    good = isinstance(value, numbers.Real) and math.isfinite(value) and value >= 0
    if value is not None and not good:
        raise UserError(f"{name} must be a number, 0 or more, not {value!r}")


def _check_interval(interval: tuple[float, ...]) -> None:
    if len(interval) != 2 or not 0 <= interval[0] < interval[1] <= 1:
        shown = ", ".join(map(str, interval))
        raise UserError(
            f"guidance_interval must be two rising numbers from 0 to 1, such as 0.2, 0.8, not "
            f"{shown}"
        )
