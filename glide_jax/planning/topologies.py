"""The machines a run can be planned for: their chips, and the layout of TPU slices."""

import dataclasses
import math
import re

from glide_jax.errors import UserError, unknown_name


@dataclasses.dataclass(frozen=True)
class Chip:
    """One chip, which is one device to JAX.

    Attributes:
        name: as it is sold.
        platform: `tpu` or `gpu`.
        memory_gib: memory that a program may use. Of a TPU what its compiler reports; of a GPU
            nine tenths of all (XLA_PYTHON_CLIENT_MEM_FRACTION=0.9; JAX's default is 0.75).
        flops_per_second: of dense products in bfloat16, by the manufacturer's data sheet.
        link_bytes_per_second: that leave it over all its links to other chips at once (ICI,
            NVLink), half of what the data sheet counts in both directions.
    """

    name: str
    platform: str
    memory_gib: float
    flops_per_second: float
    link_bytes_per_second: float


@dataclasses.dataclass(frozen=True)
class Topology:
    """A number of chips that train together.

    Attributes:
        name: `v5e-16`, `h100-8`, …
        chip: the kind of chip.
        chips: number of chips.
        layout: the arrangement of a TPU slice by its compiler's name: `v5e:4x4`; "" for GPUs.
    """

    name: str
    chip: Chip
    chips: int
    layout: str


# cloud.google.com/tpu/docs/{v4,v5e,v5p,v6e}; NVIDIA's data sheets of A100, H100, H200 and B200.
# Name → chip, and how many a slice's name counts for one chip: v4-128 has 128 cores, 64 chips.
_CHIPS = {
    "v4": (Chip("TPU v4", "tpu", 30.75, 275e12, 300e9), 2),
    "v5e": (Chip("TPU v5e", "tpu", 15.75, 197e12, 200e9), 1),
    "v5p": (Chip("TPU v5p", "tpu", 95.74, 459e12, 600e9), 2),
    "v6e": (Chip("TPU v6e", "tpu", 31.25, 918e12, 400e9), 1),
    "a100": (Chip("A100 80 GB", "gpu", 72.0, 312e12, 300e9), 1),
    "h100": (Chip("H100 80 GB", "gpu", 71.7, 989e12, 450e9), 1),
    "h200": (Chip("H200 141 GB", "gpu", 126.4, 989e12, 450e9), 1),
    "b200": (Chip("B200 180 GB", "gpu", 160.9, 2250e12, 900e9), 1),
}

_FLAT = ("2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_CUBIC = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8", "8x8x16")
_LAYOUTS = {"v4": _CUBIC, "v5e": _FLAT, "v5p": _CUBIC, "v6e": _FLAT}
"""Google's usual slices of each, the smallest first."""


def topology_of(name: str) -> Topology:
    """The topology of a name, such as `v5e-16`, `v4-128`, `v5p-64` or `h100-8`.

    For TPUs it is Google's accelerator type: v5e and v6e count chips, v4 and v5p count cores, two a
    chip. For GPUs it counts GPUs, any number of them.

    Raises:
        UserError: there is no such chip, or no slice of this size.
    """
    match = re.fullmatch(r"([a-z]+\w*)-(\d+)", name)
    if not match:
        raise UserError(
            f"--topology={name} must be CHIP-NUMBER, such as v5e-16, v4-128, v5p-64 or h100-8"
        )
    kind, number = match[1], int(match[2])
    if kind not in _CHIPS:
        raise unknown_name("chip", kind, _CHIPS)
    chip, parts = _CHIPS[kind]
    if chip.platform == "gpu":
        if not number:
            raise UserError(f"--topology={name} must have one GPU or more")
        return Topology(name, chip, number, "")
    layouts = {parts * _chips_of(layout): layout for layout in _LAYOUTS[kind]}
    if number not in layouts:
        slices = ", ".join(f"{kind}-{n}" for n in layouts)
        raise UserError(f"--topology={name}: no such slice; there are {slices}")
    return Topology(name, chip, number // parts, f"{kind}:{layouts[number]}")


def _chips_of(layout: str) -> int:
    return math.prod(int(side) for side in layout.split("x"))
