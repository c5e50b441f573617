"""What a training run takes, known before it starts."""

import dataclasses
import time

import jax
import jax.numpy as jnp

from glide_jax.training.flops import product_flops
from glide_jax.training.loop import Job
from glide_jax.training.lowering import on_accelerator

BACKWARD_FACTOR = 3
"""Forward and backward take three forwards: each product has two gradients."""

EXPECTED_UTILISATION = 0.4
"""Share of a device's matrix-product speed that a U-Net's train step reaches, roughly."""

LONG_STEP_S = 300
"""A step longer than this is worth a word to somebody who only wants to see it run."""

_PROBE_SIZE = {"cpu": 1024}
_PROBE_SIZE_ELSEWHERE = 8192


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one stage on the devices at hand.

    Attributes:
        parameters: how many weights.
        flops_per_step: floating-point operations of an optimizer step, on all devices.
        peak_flops_per_s: of a matrix product, measured, of all devices.
        seconds_per_step: estimate, ± a factor of 2.
        state_gib: weights, average, optimizer state and gradients, over all devices.
    """

    parameters: int
    flops_per_step: float
    peak_flops_per_s: float
    seconds_per_step: float
    state_gib: float

    def mfu(self, steps_per_s: float) -> float:
        """Model FLOP utilisation: the share of `peak_flops_per_s` that so many steps use.

        What is computed twice (remat), the optimizer and the average don't count (Chowdhery et
        al. 2022, sec. 4.1, whose peak is the maker's; here it is what was measured).
        """
        return self.flops_per_step * steps_per_s / self.peak_flops_per_s

    def __str__(self) -> str:
        return (
            f"{quantity(self.parameters)} parameters, {quantity(self.flops_per_step)}FLOP a step, "
            f"{self.state_gib:.2g} GiB of state"
        )


def estimate(job: Job) -> Cost:
    """Count the operations of a step and time the devices' matrix product; takes seconds."""
    parameters = sum(s.size for s in job.model.shapes.values())
    per_step = BACKWARD_FACTOR * forward_flops(job) * job.stage.training.batch_size
    speed = matmul_flops_per_second(job.model.config.dtype) * jax.device_count()
    copies = 5  # weights, their average, two moments, gradients; float32 each
    return Cost(
        parameters,
        per_step,
        speed,
        per_step / (speed * EXPECTED_UTILISATION),
        parameters * 4 * copies / 2**30,
    )


def forward_flops(job: Job) -> float:
    """Operations of the loss of one picture: of its products, as an accelerator takes them."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    traced = jax.jit(job.loss).trace(job.model.shapes, on_accelerator(job.one_picture), key)
    return product_flops(traced.jaxpr)


def matmul_flops_per_second(dtype: str) -> float:
    """What one device does on a square matrix product, the best of a few."""
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
    """75 → "75 s"; 5000 → "83 min"; years where it is years."""
    limits = ((2 * 31_557_600, 31_557_600, "years"), (2 * 86_400, 86_400, "days"))
    for limit, unit, name in (*limits, (2 * 3600, 3600, "h"), (120, 60, "min")):
        if seconds >= limit:
            return f"{seconds / unit:,.0f} {name}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
