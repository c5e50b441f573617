"""The sinks by name. None is imported before a run opens it: some need packages of their own."""

import importlib
from pathlib import Path

from glide_jax.training.monitoring.sinks.sink import OpenSink, Sink

_HERE = "glide_jax.training.monitoring.sinks"

SINKS: dict[str, str] = {
    "jsonl": f"{_HERE}.json_lines:JsonLines",
    "tensorboard": f"{_HERE}.tensorboard:TensorBoard",
    "wandb": f"{_HERE}.weights_and_biases:WeightsAndBiases",
}
"""Name in `monitoring.sinks` → "MODULE:NAME" of its `OpenSink`."""


CONTINUED = ("metrics.jsonl", "wandb_id")
"""Files of the sinks that a run continues; of a bucket they are fetched first."""


def open_sink(name: str, directory: Path, first_step: int) -> Sink:
    """Open a sink.

    Args:
        name: in SINKS.
        directory: the job's folder.
        first_step: the first step that will be written; what an earlier run wrote of it and of
            later steps is dropped.

    Raises:
        DiskError: the disk is full or can't be written to.
        UserError: its package is not installed, or its service refuses.
    """
    module, _, attribute = SINKS[name].partition(":")
    make: OpenSink = getattr(importlib.import_module(module), attribute)
    return make(directory, first_step)
