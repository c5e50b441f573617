"""Adapters as files of their own: the low-rank arrays in safetensors, and what they belong to.

rank, alpha, weights       as in `training.adapter`
stage, base, step          whose stage of that name it changes, the fingerprint of the weights
                           that it was trained on, the training step
config                     JSON: the experiment, of that stage alone
"""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import safetensors
import safetensors.numpy

from glide_jax import __version__, config
from glide_jax.checkpoints.fingerprint import weights_fingerprint
from glide_jax.checkpoints.reading import Checkpoint
from glide_jax.config import AdapterConfig, Experiment
from glide_jax.errors import UserError, a_few, one_line
from glide_jax.models import lora
from glide_jax.storage import fetched, storage_path
from glide_jax.types import Array, Params
from glide_jax.writing import atomic_path

ADAPTER = "adapter.safetensors"
"""The file in a stage's folder of a workdir that trained one."""

_KIND = "glide_jax adapter"


@dataclasses.dataclass(frozen=True)
class Adapter:
    """A trained adapter.

    Attributes:
        shown: where it is from, for errors.
        stage: the name of the stage that it changes.
        config: its rank, its α, the kernels that it changes.
        base: the fingerprint of the weights that it was trained on.
        step: the training step.
        params: its arrays, see `models.lora`.
    """

    shown: str
    stage: str
    config: AdapterConfig
    base: str
    step: int
    params: Mapping[str, Any]

    @property
    def scale(self) -> float:
        """α/r."""
        return self.config.alpha / self.config.rank


class AdapterFile(NamedTuple):
    """An adapter's file and the weight that it is given.

    Attributes:
        path: of the file.
        weight: any finite number: 1 as it was trained, 0 as if it weren't there.
    """

    path: Path
    weight: float

    @classmethod
    def parse(cls, text: str | Path) -> Self:
        """`FILE` or `FILE:WEIGHT`; without a weight it is 1. Raises UserError for a URL that is
        no bucket's."""
        name, colon, number = str(text).rpartition(":")
        try:
            weight = float(number) if colon and name else math.nan
        except ValueError:
            weight = math.nan
        if math.isfinite(weight):
            return cls(storage_path(name), weight)
        return cls(storage_path(text), 1.0)

    def __str__(self) -> str:
        return f"{self.path}:{self.weight:g}"


def write_adapter(path: Path, adapter: Adapter, experiment: Experiment) -> None:
    """Write an adapter's file.

    Args:
        path: of the file; one that is there is replaced.
        adapter: its arrays are on this machine.
        experiment: that trained it.

    Raises:
        DiskError: it can't be written.
    """
    described = {
        "kind": _KIND,
        "version": __version__,
        "stage": adapter.stage,
        "rank": str(adapter.config.rank),
        "alpha": repr(adapter.config.alpha),
        "weights": ",".join(adapter.config.weights),
        "base": adapter.base,
        "step": str(adapter.step),
        "config": json.dumps(config.to_dict(experiment.only(adapter.stage))),
    }
    arrays = {name: np.asarray(x, np.float32, order="C") for name, x in adapter.params.items()}
    with atomic_path(path) as part:
        part.write_bytes(safetensors.numpy.save(arrays, described))


def read_adapter(path: Path) -> Adapter:
    """Read an adapter's file.

    Raises:
        UserError: there is none, its bucket can't be read, it is damaged, or it is something else.
    """
    here = fetched(path)
    if not here.is_file():
        raise UserError(
            f"there is no adapter {path}: give the file that training one writes, "
            f"WORKDIR/STAGE/{ADAPTER}"
        )
    try:
        with safetensors.safe_open(here, framework="numpy") as file:
            described = file.metadata() or {}
            params = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path} is not a complete .safetensors file ({one_line(error)}): copy it again"
        ) from error
    if described.get("kind") != _KIND:
        raise UserError(f"{path} holds no adapter that glide_jax trained: give one of those")
    try:
        groups = tuple(described["weights"].split(","))
        settings = AdapterConfig(int(described["rank"]), float(described["alpha"]), groups)
        step = int(described["step"])
        stage, base = described["stage"], described["base"]
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{path} lacks what describes an adapter ({one_line(error)}): another program has "
            "changed it; get the original"
        ) from error
    return Adapter(str(path), stage, settings, base, step, params)


def adapter_in(checkpoint: Checkpoint) -> Adapter | None:
    """The averaged adapter of a checkpoint; None: it holds a model's weights, or none yet.

    Raises:
        UserError: it is damaged.
    """
    shapes = checkpoint.shapes("ema_params")
    if not lora.adapted_paths(shapes):
        return None
    stage = checkpoint.experiment.stages[checkpoint.stage]
    settings, base = getattr(stage.training, "adapter", None), checkpoint.base
    if settings is None or base is None:
        raise UserError(f"{checkpoint.path} is damaged: it doesn't say what its adapter is of")
    stored = checkpoint.weights("ema_params", shapes)
    # From this machine's memory they go to whatever devices the base is on.
    params = {path: np.asarray(x) for path, x in stored.items()}
    shown = str(checkpoint.path)
    return Adapter(shown, checkpoint.stage, settings, base, checkpoint.step, params)


def with_adapters(params: Params, adapters: Sequence[tuple[Adapter, float]], shown: str) -> Params:
    """A stage's weights, each adapter's added: W + Σ w · α/r · A B (Hu et al. 2021, eq. 3).

    Args:
        params: the weights that all of them were trained on.
        adapters: each with the weight w that it is given. Their order doesn't matter, but for
            rounding.
        shown: where the weights are from, for the error.

    Raises:
        UserError: one of the adapters was trained on other weights.
    """
    if not adapters:
        return params
    check_base(weights_fingerprint(params), [adapter for adapter, _ in adapters], shown)
    found = dict(params)
    for path in params:
        found[path] = adapted(path, params[path], adapters)
    return found


def adapted(path: str, kernel: Array, adapters: Sequence[tuple[Adapter, float]]) -> Array:
    """One of a stage's weights, with what each adapter adds to it; see `with_adapters`."""
    for adapter, weight in adapters:
        if path + lora.A in adapter.params:
            a, b = adapter.params[path + lora.A], adapter.params[path + lora.B]
            kernel = lora.add(kernel, a, b, weight * adapter.scale)
    return kernel


def check_base(fingerprint: str, adapters: Sequence[Adapter], shown: str) -> None:
    """Raises UserError unless the weights with this fingerprint are the base of all adapters.

    Args:
        fingerprint: of the weights.
        adapters: to be added to them.
        shown: where the weights are from.
    """
    for adapter in adapters:
        if adapter.base != fingerprint:
            raise UserError(
                f"{adapter.shown} is an adapter of other weights than {shown}: give the "
                f"checkpoint that it was trained on (fingerprint {adapter.base}, here "
                f"{fingerprint})"
            )


def check_stages(adapters: Sequence[Adapter], stages: Sequence[str]) -> None:
    """Raises UserError unless each adapter's stage is among these."""
    for adapter in adapters:
        if adapter.stage not in stages:
            raise UserError(
                f"{adapter.shown} is an adapter of a stage {adapter.stage!r}, and these models "
                f"have {a_few(list(stages))}: give its own base"
            )
