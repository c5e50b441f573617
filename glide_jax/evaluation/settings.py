"""A pipeline with other sampling settings: what a sweep goes over."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from glide_jax.config import SamplingConfig
from glide_jax.config.overrides import meaning
from glide_jax.config.reading import plain
from glide_jax.errors import UserError, unknown_name
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.program import make_steps
from glide_jax.sampling.stages import Stage

_OF_UPSAMPLERS = ("aug_level",)
"""Settings that mean something to upsamplers alone: without a stage's name, they are set in all."""


def parse_setting(name: str, text: str) -> Any:
    """A setting's value as it is written on the command line.

    Args:
        name: of the setting, `guidance_scale` or `STAGE.guidance_scale`.
        text: its value.

    Raises:
        UserError: there is no such setting, or the value is of another type.
    """
    own = name.rpartition(".")[2]
    hints = typing.get_type_hints(SamplingConfig)
    if own not in hints:
        raise unknown_name("setting", own, hints)
    return plain(meaning(text, hints[own]), hints[own], name)


def with_settings(pipeline: Pipeline, settings: Mapping[str, Any]) -> Pipeline:
    """The pipeline with some settings of its stages changed; nothing compiled is lost.

    Args:
        pipeline: of any stages.
        settings: by name: `guidance_scale` of the first stage, `STAGE.guidance_scale` of another;
            `aug_level` of all upsamplers.

    Returns:
        A pipeline whose images' provenance says what was changed.

    Raises:
        UserError: there is no such stage or setting, or the value makes no sense.
    """
    overrides = list(pipeline.origin.overrides)
    stages = {stage.name: stage for stage in pipeline.stages}
    for name, value in settings.items():
        prefix, _, own = name.rpartition(".")
        if own not in typing.get_type_hints(SamplingConfig):
            raise unknown_name("setting", own, typing.get_type_hints(SamplingConfig))
        for stage in _stages_of(pipeline, prefix, own):
            stages[stage] = _changed(stages[stage], own, value)
            overrides.append(f"stages.{stage}.sampling.{own}={value}")
    origin = dataclasses.replace(pipeline.origin, overrides=tuple(overrides))
    return dataclasses.replace(pipeline, stages=tuple(stages.values()), origin=origin)


def _stages_of(pipeline: Pipeline, prefix: str, setting: str) -> list[str]:
    """The names of the stages whose setting it is."""
    names = [stage.name for stage in pipeline.stages]
    if prefix:
        if prefix not in names:
            raise unknown_name("stage", prefix, names)
        return [prefix]
    if setting not in _OF_UPSAMPLERS:
        return names[:1]
    upsamplers = [stage.name for stage in pipeline.stages if stage.low_res_size]
    if not upsamplers:
        raise UserError(f"{setting} is a setting of upsamplers, and the models have none")
    return upsamplers


def _changed(stage: Stage, setting: str, value: Any) -> Stage:
    try:
        value = plain(value, typing.get_type_hints(SamplingConfig)[setting], setting)
        sampling = dataclasses.replace(stage.config.sampling, **{setting: value})
        make_steps(stage.config.diffusion, sampling.sampler, sampling.steps)
    except UserError as error:
        raise UserError(f"{stage.name}.{setting}={value}: {error}") from error
    return dataclasses.replace(stage, config=dataclasses.replace(stage.config, sampling=sampling))
