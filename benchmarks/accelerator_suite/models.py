"""The models that are measured, with new weights: what a model costs doesn't depend on them."""

import jax
import jax.numpy as jnp

from glide_jax import config
from glide_jax.planning import cost
from glide_jax.planning.flops import product_flops
from glide_jax.planning.jobs import planned_jobs
from glide_jax.training.job import Job
from glide_jax.types import Condition

SMALL = (
    "stages.base.model.image_size=16",
    "stages.base.model.channels=32",
    "stages.base.model.channel_mult=(1,)",
    "stages.base.model.num_res_blocks=1",
    "stages.base.model.attention_resolutions=()",
    "stages.base.model.head_channels=32",
    "stages.base.model.text_width=64",
    "stages.base.model.text_layers=1",
    "text.length=16",
    "text.vocab_size=512",
)
"""What makes configs/base.py a model for --smoke."""


def base_job(*overrides: str, smoke: bool) -> Job:
    """GLIDE's base model in bfloat16 as a job without data, 385 M parameters; small for --smoke."""
    small = SMALL if smoke else ()
    experiment = config.experiment_from(config.load_config("base", [*small, *overrides]))
    return planned_jobs(experiment).stages[0]


def forward_flops(job: Job) -> float:
    """Operations of one model evaluation of one image, as an accelerator takes them."""
    model, length = job.model, job.experiment.text_length
    size = model.config.image_size
    tokens = jax.ShapeDtypeStruct((1, length), jnp.int32)
    mask = jax.ShapeDtypeStruct((1, length), jnp.bool_)
    x_t = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    t = jax.ShapeDtypeStruct((1,), jnp.int32)
    encoded = jax.eval_shape(model.encode, model.shapes, Condition(tokens=tokens, mask=mask))
    traced = jax.jit(model.apply).trace(model.shapes, x_t, t, encoded)
    return product_flops(traced.jaxpr)


def peak(job: Job) -> float:
    """FLOP/s of the first device's own matrix product in the model's dtype."""
    return cost.matmul_flops_per_second(job.model.config.dtype)


def memory_gib() -> float | None:
    """The most memory of the first device that was in use so far; None: it doesn't say."""
    found = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return None if found is None else found / 2**30
