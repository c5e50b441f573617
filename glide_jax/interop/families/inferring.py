"""What the names and shapes of a guided-diffusion U-Net's arrays say of its options."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

_BLOCK = re.compile(r"input_blocks\.(\d+)\.(.+)")


class _Block(NamedTuple):
    """One of the encoder's blocks after the first: its channels, and whether it attends."""

    channels: int
    attends: bool
    is_downsampling: bool


class _Levels(NamedTuple):
    """The encoder's levels: channels and attention of each, and how many blocks each has."""

    channels: tuple[int, ...]
    attend: tuple[bool, ...]
    num_res_blocks: int


def unet_options(arrays: Mapping[str, np.ndarray], image_size: int | None) -> dict[str, Any]:
    """The options that follow from the arrays; what doesn't follow is left out.

    Args:
        arrays: by PyTorch key.
        image_size: attention_resolutions are given in its fractions; None: unknown.

    Returns:
        num_channels, use_scale_shift_norm, resblock_updown; and, where only one division of the
        blocks into levels is possible, num_res_blocks, channel_mult and attention_resolutions.
    """
    options: dict[str, Any] = {}
    if "time_embed.0.weight" in arrays:
        options["num_channels"] = arrays["time_embed.0.weight"].shape[1]
    first = "input_blocks.1.0.emb_layers.1.weight"
    bias = "input_blocks.1.0.in_layers.2.bias"
    if first in arrays and bias in arrays:
        rows = arrays[first].shape[0]
        options["use_scale_shift_norm"] = rows == 2 * arrays[bias].shape[0]
    blocks = _blocks(arrays)
    options["resblock_updown"] = not any(block.is_downsampling for block in blocks)
    possible = _divisions(blocks)
    width = options.get("num_channels")
    if len(possible) == 1 and width:
        (levels,) = possible
        options["num_res_blocks"] = levels.num_res_blocks
        if all(channels % width == 0 for channels in levels.channels):
            options["channel_mult"] = ",".join(str(c // width) for c in levels.channels)
        if image_size:
            sizes = [image_size >> i for i, attends in enumerate(levels.attend) if attends]
            options["attention_resolutions"] = ",".join(map(str, sizes or [2 * image_size]))
    return options


def _blocks(arrays: Mapping[str, np.ndarray]) -> list[_Block]:
    """The blocks after the first convolution, as far as they are known."""
    parts: dict[int, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        if found := _BLOCK.fullmatch(key):
            parts.setdefault(int(found[1]), {})[found[2]] = array
    blocks = []
    for number in sorted(parts.keys() - {0}):
        own = parts[number]
        bias = own.get("0.in_layers.2.bias", own.get("0.op.bias"))
        if bias is not None and bias.ndim == 1:
            attends = "1.qkv.weight" in own
            blocks.append(_Block(bias.shape[0], attends, "0.op.bias" in own))
    return blocks


def _divisions(blocks: list[_Block]) -> list[_Levels]:
    """Every way to divide blocks into levels of as many, with one that halves between two."""
    found = []
    for num_levels in range(1, len(blocks) + 1):
        # n levels of k blocks, and n - 1 blocks between them.
        num_res_blocks, rest = divmod(len(blocks) - (num_levels - 1), num_levels)
        if rest or num_res_blocks < 1:
            continue
        levels = [blocks[i : i + num_res_blocks] for i in range(0, len(blocks), num_res_blocks + 1)]
        between = blocks[num_res_blocks :: num_res_blocks + 1]
        even = all(len({(b.channels, b.attends) for b in level}) == 1 for level in levels)
        kept = all(
            b.channels == level[0].channels for b, level in zip(between, levels, strict=False)
        )
        marked = {b.is_downsampling for b in between} | {False}
        halved = all(not b.is_downsampling for level in levels for b in level)
        if (
            even
            and kept
            and halved
            and not any(b.attends for b in between)
            and (len(marked) == 1 or all(b.is_downsampling for b in between))
        ):
            channels, attend = zip(
                *((level[0].channels, level[0].attends) for level in levels), strict=True
            )
            found.append(_Levels(channels, attend, num_res_blocks))
    return found
