"""What a training run costs: parameters, operations, time and memory, before it starts."""

import dataclasses
import time

import jax
import jax.numpy as jnp

from glide_jax.planning.flops import product_flops
from glide_jax.planning.lowering import on_accelerator
from glide_jax.training.batch import Batch
from glide_jax.training.job import Job
from glide_jax.types import Array, Params

BACKWARD_FACTOR = 3
"""Operations of a train step over those of the forward pass: each product has two gradients."""

EXPECTED_UTILISATION = 0.4
"""Share of an accelerator's matrix product speed that a U-Net's train step reaches, roughly."""

_EXPECTED_HERE = {"cpu": 0.2}
"""Backend → its own share where it is another; a CPU spends more of a step on small operations."""

LONG_STEP_S = 300
"""Above this, a command suggests a smaller run."""

_PROBE_SIZE = {"cpu": 1024}
_PROBE_SIZE_ELSEWHERE = 8192


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of one job on this machine's devices.

    Attributes:
        parameters: number of weights.
        flops_per_step: floating-point operations of an optimizer step, over all devices.
        peak_flops_per_s: measured speed of a matrix product, over all devices.
        seconds_per_step: estimate, within a factor of 2.
        state_gib: one copy of weights, EMA, optimizer state and gradients, and of an adapter's
            base.
    """

    parameters: int
    flops_per_step: float
    peak_flops_per_s: float
    seconds_per_step: float
    state_gib: float

    def mfu(self, steps_per_s: float) -> float:
        """Model FLOP utilisation: the share of `peak_flops_per_s` that training uses, in [0, 1].

        Recomputation (remat), optimizer and EMA don't count (Chowdhery et al. 2022, sec. 4.1,
        where the peak is the manufacturer's; here it is measured).

        Args:
            steps_per_s: speed of training.
        """
        return self.flops_per_step * steps_per_s / self.peak_flops_per_s

    def __str__(self) -> str:
        return (
            f"{quantity(self.parameters)} parameters, {quantity(self.flops_per_step)}FLOP a step, "
            f"{self.state_gib:.2g} GiB of state"
        )


def estimate(job: Job) -> Cost:
    """Count the operations of a job's step and time the devices' matrix product; takes seconds."""
    parameters = sum(s.size for s in job.model.shapes.values())
    per_step = step_flops(job) * job.training.batch_size
    speed = matmul_flops_per_second(job.model.config.dtype) * jax.device_count()
    utilisation = _EXPECTED_HERE.get(jax.default_backend(), EXPECTED_UTILISATION)
    trained = sum(s.size for s in job.trained.shapes.values())
    copies = 5  # weights, EMA, two moments, gradients; float32 each
    return Cost(
        parameters,
        per_step,
        speed,
        per_step / (speed * utilisation),
        4 * (trained * copies + sum(s.size for s in job.base_shapes.values())) / 2**30,
    )


def step_flops(job: Job) -> float:
    """Operations of a train step for one image, with its gradients, which a teacher has none of."""
    if job.teacher is None:
        return BACKWARD_FACTOR * forward_flops(job)

    def gradients(params: Params, teacher: Params, batch: Batch, key: Array):
        return jax.grad(lambda own: job.loss(own | teacher, batch, key)[0])(params)

    key = jax.eval_shape(lambda: jax.random.key(0))
    images = on_accelerator(job.step_shapes(1))
    traced = jax.jit(gradients).trace(job.trained.shapes, job.base_shapes, images, key)
    return product_flops(traced.jaxpr)


def forward_flops(job: Job) -> float:
    """Operations of the loss of one image: its matrix products, as an accelerator computes them."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    traced = jax.jit(job.loss).trace(job.loss_shapes, on_accelerator(job.step_shapes(1)), key)
    return product_flops(traced.jaxpr)


def matmul_flops_per_second(dtype: str) -> float:
    """Speed of one device on a square matrix product, the best of four runs."""
    size = _PROBE_SIZE.get(jax.default_backend(), _PROBE_SIZE_ELSEWHERE)
    a = jax.random.normal(jax.random.key(0), (size, size), dtype)
    product = jax.jit(jnp.matmul)
    product(a, a).block_until_ready()
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        product(a, a).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


def quantity(value: float) -> str:
    """385030726 → "385 M"; 1.2e15 → "1.2 P"."""
    for limit, name in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g} {name}"
    return f"{value:.3g} "


def duration(seconds: float) -> str:
    """75 → "75 s"; 5000 → "83 min"; up to years."""
    limits = ((2 * 31_557_600, 31_557_600, "years"), (2 * 86_400, 86_400, "days"))
    for limit, unit, name in (*limits, (2 * 3600, 3600, "h"), (120, 60, "min")):
        if seconds >= limit:
            return f"{seconds / unit:,.0f} {name}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
