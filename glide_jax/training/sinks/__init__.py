"""Where a run's figures go. A new place is a module with a Sink, and one line here."""

from glide_jax.training.sinks.json_lines import JsonLines
from glide_jax.training.sinks.sink import OpenSink, Sink
from glide_jax.training.sinks.tensorboard import TensorBoard
from glide_jax.training.sinks.weights_and_biases import WeightsAndBiases

SINKS: dict[str, OpenSink] = {
    "jsonl": JsonLines,
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
}
"""Name in `watching.sinks` → what opens it."""

__all__ = ["SINKS", "Sink"]
