"""The registries whose names a config may hold: one line each.

A new sampler, optimizer, schedule, … is a line in its own registry, and nothing here or in
`config`.
"""

import fnmatch
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from glide_jax import data, encoders, text
from glide_jax.config import Experiment, to_dict
from glide_jax.config.reading import dotted
from glide_jax.diffusion.gaussian import PREDICTIONS
from glide_jax.diffusion.losses import WEIGHTINGS
from glide_jax.diffusion.samplers import SAMPLERS
from glide_jax.diffusion.schedule import BETAS
from glide_jax.diffusion.timesteps import TIMESTEPS
from glide_jax.errors import UserError, unknown_name
from glide_jax.evaluation.registry import METRICS
from glide_jax.models.lora import GROUPS
from glide_jax.training.monitoring.sinks import SINKS
from glide_jax.training.optimizer import OPTIMIZERS


class _Registered(NamedTuple):
    """Keys whose values are names of one registry.

    Attributes:
        keys: pattern of the keys; each holds a name, or a tuple of names.
        kind: what is registered there, for the error.
        registry: name → what it stands for.
        has_variants: whether a `/` or `?` and more may follow the name, as in `shapes/64`.
    """

    keys: str
    kind: str
    registry: Mapping[str, Any]
    has_variants: bool = False


_REGISTERED = (
    _Registered("data.source", "data set", data.SOURCES, has_variants=True),
    _Registered("data.prior.source", "data set", data.SOURCES, has_variants=True),
    _Registered("text.tokenizer", "tokenizer", text.KINDS),
    _Registered("text.encoder", "text encoder", encoders.ENCODERS),
    _Registered("*.training.optimizer", "optimizer", OPTIMIZERS),
    _Registered("stages.*.training.adapter.weights", "group of weights", GROUPS),
    _Registered("stages.*.diffusion.schedule", "schedule", BETAS),
    _Registered("stages.*.diffusion.timesteps", "sampling of timesteps", TIMESTEPS),
    _Registered("stages.*.diffusion.prediction", "prediction", PREDICTIONS),
    _Registered("stages.*.training.distillation.teacher_prediction", "prediction", PREDICTIONS),
    _Registered("stages.*.diffusion.weighting", "weighting", WEIGHTINGS),
    _Registered("stages.*.sampling.sampler", "sampler", SAMPLERS),
    _Registered("stages.*.sampling.inpaint_sampler", "sampler", SAMPLERS),
    _Registered("monitoring.sinks", "sink", SINKS),
    _Registered("evaluation.periodic.metrics", "metric", METRICS),
)


def check_names(experiment: Experiment) -> None:
    """Checks every name in an experiment that is registered somewhere.

    Raises:
        UserError: a name is not registered; the message has its key and the names that are.
    """
    for key, value in _leaves(to_dict(experiment), ""):
        for registered in _REGISTERED:
            if fnmatch.fnmatchcase(key, registered.keys):
                _check(key, value if isinstance(value, tuple) else (value,), registered)


def _check(key: str, names: tuple[str, ...], registered: _Registered) -> None:
    for name in names:
        own = re.split("[/?]", name, maxsplit=1)[0] if registered.has_variants else name
        if own not in registered.registry:
            error = unknown_name(registered.kind, own, registered.registry)
            raise UserError(f"{dotted(key)}: {error}")


def _leaves(section: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of everything in nested sections."""
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
