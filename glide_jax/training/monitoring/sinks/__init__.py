"""Where metrics are written. To add a sink: a module with a `Sink`, and one line here."""

from glide_jax.training.monitoring.sinks.registry import CONTINUED, SINKS, open_sink
from glide_jax.training.monitoring.sinks.sink import Sink

__all__ = ["CONTINUED", "SINKS", "Sink", "open_sink"]
