"""The sizes of an IF U-Net by the names and shapes of its arrays, in IF's naming or Diffusers'.

IF's halving blocks have the names of its residual blocks, but never attend. A block of another
width begins a level, and one that attends after one that doesn't; the block before it halved.
Levels of one width without attention could not be distinguished, and IF has none.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from glide_jax.errors import UserError


class _Block(NamedTuple):
    """A residual block on the way down; rows of its attention's queries, keys and values, or 0."""

    channels: int
    attention_rows: int


class _Level(NamedTuple):
    """The residual blocks of a level, without the one that halves."""

    channels: int
    num_blocks: int
    attends: bool
    is_text_only: bool


def sizes(arrays: Mapping[str, Any], image_size: int) -> dict[str, Any]:
    """The options of `families.imagen` that follow from the arrays.

    Args:
        arrays: by their key; only shapes are used.
        image_size: pixels a side; levels are named by theirs.

    Returns:
        model_channels, channel_mult, num_res_blocks, attention_resolutions, encoder_dim,
        encoder_channels and disable_self_attentions.

    Raises:
        UserError: they are not a complete U-Net's.
    """
    try:
        levels = _diffusers(arrays) if "conv_in.weight" in arrays else _original(arrays)
        first, pooled, proj = _named(arrays)
        channels = np.shape(first)[0]
        width = np.shape(pooled)[0]
        encoder_channels = width if proj is None else np.shape(proj)[0]
        if not channels:
            raise KeyError("first convolution")
    except (KeyError, IndexError) as error:
        raise UserError(f"its sizes can't be read from its shapes: there is no {error}") from error
    places = list(enumerate(levels))
    counts = [level.num_blocks for level in levels]
    text_only = [image_size >> i for i, level in places if level.is_text_only]
    return {
        "model_channels": channels,
        "channel_mult": ",".join(str(level.channels // channels) for level in levels),
        "num_res_blocks": counts[0] if len({*counts}) == 1 else counts,
        "attention_resolutions": ",".join(
            str(image_size >> i) for i, level in places if level.attends
        ),
        "encoder_dim": width,
        "encoder_channels": encoder_channels,
        "disable_self_attentions": ",".join(map(str, text_only)) if text_only else False,
    }


def _named(arrays: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """The first convolution, the pooling's norm and, if there is one, the text's projection."""
    if "conv_in.weight" in arrays:
        proj = arrays.get("encoder_hid_proj.weight")
        return arrays["conv_in.weight"], arrays["add_embedding.norm1.weight"], proj
    proj = arrays.get("encoder_proj.weight")
    return arrays["input_blocks.0.0.weight"], arrays["encoder_pooling.0.weight"], proj


def _original(arrays: Mapping[str, Any]) -> list[_Level]:
    found: list[list[_Block]] = []
    for number in range(1, 1 + _count(arrays, r"input_blocks\.(\d+)\.0\.in_layers\.2\.weight")):
        name = f"input_blocks.{number}"
        channels = np.shape(arrays[f"{name}.0.in_layers.2.weight"])[0]
        attention = arrays.get(f"{name}.1.qkv.weight")
        block = _Block(channels, 0 if attention is None else np.shape(attention)[0])
        before = found[-1][-1] if found else None
        attends_first = before and block.attention_rows and not before.attention_rows
        if before is None or before.channels != channels or attends_first:
            found.append([])
        found[-1].append(block)
    return [
        _level(blocks, len(blocks) - (place < len(found) - 1)) for place, blocks in enumerate(found)
    ]


def _diffusers(arrays: Mapping[str, Any]) -> list[_Level]:
    levels = []
    for level in range(_count(arrays, r"down_blocks\.(\d+)\.resnets\.0\.conv1\.weight")):
        name = f"down_blocks.{level}"
        blocks = []
        for i in range(_count(arrays, rf"down_blocks\.{level}\.resnets\.(\d+)\.conv1\.weight")):
            channels = np.shape(arrays[f"{name}.resnets.{i}.conv1.weight"])[0]
            apart = [arrays.get(f"{name}.attentions.{i}.to_{part}.weight") for part in "qkv"]
            rows = sum(np.shape(one)[0] for one in apart if one is not None)
            blocks.append(_Block(channels, rows))
        levels.append(_level(blocks, len(blocks)))
    return levels


def _level(blocks: list[_Block], num_blocks: int) -> _Level:
    first = blocks[0]
    rows = first.attention_rows
    return _Level(first.channels, num_blocks, rows > 0, rows == first.channels)


def _count(arrays: Mapping[str, Any], pattern: str) -> int:
    """How many numbers the keys of a pattern have."""
    found = (re.fullmatch(pattern, key) for key in arrays)
    return len({match[1] for match in found if match})
