"""What a plan says of a job, for programs: `glide-jax plan --json`."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Planned:
    """One job on one machine.

    Attributes:
        job: its name.
        topology: the machine's.
        chips: how many it has.
        parameters: of the model.
        fsdp, batch_size, microbatch_size: of the training; microbatch_size in images a chip.
        flops_per_step: over all chips.
        seconds_per_step: at the share of the chips' peak that is expected, without collectives.
        by: `compiler` or `arithmetic`.
        bytes_per_chip: that a step needs; without activations where `fits` is known without them.
        bytes_available: of a chip.
        fits: whether a step does.
        collectives_by: `compiler` or `arithmetic`; the latter of a program that doesn't fit.
        collectives: kind → bytes that leave each chip in a step.
        link_seconds: the least that they take.
        link_share: that, of `seconds_per_step`.
    """

    job: str
    topology: str
    chips: int
    parameters: int
    fsdp: int
    batch_size: int
    microbatch_size: int
    flops_per_step: float
    seconds_per_step: float
    by: str
    bytes_per_chip: float
    bytes_available: float
    fits: bool
    collectives_by: str
    collectives: Mapping[str, float]
    link_seconds: float
    link_share: float
