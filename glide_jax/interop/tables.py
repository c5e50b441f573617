"""Tables of our parameter paths ↔ the public PyTorch keys and layouts.

There is one table per model family, in `families/`; this is what they share. A row is (our path,
PyTorch's path, kind). `{}` stands for block numbers, which are the same on both sides. The kind
says how PyTorch lays out a leaf's array. Tables are read in both directions, so each layout is
written once.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping

import einops
import numpy as np

_NUMBERS = r"((?:input_blocks|output_blocks|middle_block)(?:\.\d+)+|\d+)"

_BY_HEAD = "(heads qkv d) ..."
_BY_ROLE = "(qkv heads d) ..."

# kind → ((our leaf, their leaf, axes from ours to theirs, axes added at their end), …)
_LEAVES = {
    "norm": (("scale", "weight", (0,), 0), ("bias", "bias", (0,), 0)),
    "linear": (("kernel", "weight", (1, 0), 0), ("bias", "bias", (0,), 0)),
    "conv1d": (("kernel", "weight", (1, 0), 1), ("bias", "bias", (0,), 0)),
    "conv2d": (("kernel", "weight", (3, 2, 0, 1), 0), ("bias", "bias", (0,), 0)),
    "array": (("", "", (0, 1), 0),),
    "embedding": (("", "weight", (0, 1), 0),),
    "turned_array": (("", "", (1, 0), 0),),
    "clip_norm": (("scale", "g", (0,), 0), ("bias", "b", (0,), 0)),
    "clip_linear": (("kernel", "w", (1, 0), 0), ("bias", "b", (0,), 0)),
    "clip_conv2d": (("kernel", "", (3, 2, 0, 1), 0),),
}

UNET = (
    ("unet.time_in", "time_embed.0", "linear"),
    ("unet.time_out", "time_embed.2", "linear"),
    ("unet.{}.in_norm", "{}.in_layers.0", "norm"),
    ("unet.{}.in_conv", "{}.in_layers.2", "conv2d"),
    ("unet.{}.emb_proj", "{}.emb_layers.1", "linear"),
    ("unet.{}.out_norm", "{}.out_layers.0", "norm"),
    ("unet.{}.out_conv", "{}.out_layers.3", "conv2d"),
    ("unet.{}.skip", "{}.skip_connection", "conv2d"),
    ("unet.{}.norm", "{}.norm", "norm"),
    ("unet.{}.qkv", "{}.qkv", "conv1d"),
    ("unet.{}.text_kv", "{}.encoder_kv", "conv1d"),
    ("unet.{}.proj", "{}.proj_out", "conv1d"),
    ("unet.{}.down", "{}.op", "conv2d"),
    ("unet.{}.up", "{}.conv", "conv2d"),
    ("unet.{}", "{}", "conv2d"),
    ("unet.out_norm", "out.0", "norm"),
    ("unet.out_conv", "out.2", "conv2d"),
    # No published model has these; exported files hold them under our own names.
    ("aug_level_embedding.level_in", "aug_level_embedding.level_in", "linear"),
    ("aug_level_embedding.level_out", "aug_level_embedding.level_out", "linear"),
)
"""The rows of every U-Net."""

UNET_SIZES = (
    ("channels", "time_embed.0.weight", 1),
    ("input channels", "input_blocks.0.0.weight", 1),
)
"""`SIZES` of every U-Net."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """The PyTorch key and layout of one of our arrays.

    Attributes:
        ours: our path.
        theirs: PyTorch's key, with `{}` for each group of `ours`.
        axes: of our array, in PyTorch's order.
        added: number of axes of length 1 at the end of PyTorch's array.
        heads: for an attention that PyTorch stores as all heads' queries, then keys, then values,
            where ours has each head's three together: {"heads": their number} or {"d": channels of
            one}. None for every other array.
    """

    ours: re.Pattern
    theirs: str
    axes: tuple[int, ...]
    added: int
    heads: Mapping[str, int] | None = None

    def to_torch(self, array: np.ndarray) -> np.ndarray:
        """Our layout → PyTorch's."""
        turned = np.transpose(array, self.axes)
        if self.heads is not None:
            turned = einops.rearrange(turned, f"{_BY_HEAD} -> {_BY_ROLE}", qkv=3, **self.heads)
        return np.ascontiguousarray(turned.reshape(turned.shape + (1,) * self.added))

    def from_torch(self, array: np.ndarray) -> np.ndarray:
        """PyTorch's layout → ours."""
        squeezed = array.reshape(array.shape[: array.ndim - self.added])
        if self.heads is not None:
            squeezed = einops.rearrange(squeezed, f"{_BY_ROLE} -> {_BY_HEAD}", qkv=3, **self.heads)
        return np.ascontiguousarray(np.transpose(squeezed, np.argsort(self.axes)))


def rules(table: Iterable[tuple[str, str, str]]) -> list[Rule]:
    """A table's rows as rules, one per leaf."""
    made = []
    for ours, theirs, kind in table:
        for our_leaf, their_leaf, axes, added in _LEAVES[kind]:
            pattern = re.escape(".".join(filter(None, (ours, our_leaf)))).replace(r"\{\}", _NUMBERS)
            target = ".".join(filter(None, (theirs, their_leaf)))
            made.append(Rule(re.compile(pattern), target, axes, added))
    return made


def by_role(made: Iterable[Rule], layer: str, heads: Mapping[str, int]) -> list[Rule]:
    """The rules, with one layer stored by PyTorch as all queries, then all keys, then all values.

    Args:
        made: rules of a table.
        layer: PyTorch's path of the layer, as in its row of the table.
        heads: see `Rule`.
    """
    return [
        dataclasses.replace(rule, heads=heads) if rule.theirs.startswith(f"{layer}.") else rule
        for rule in made
    ]


def match(path: str, table_rules: Iterable[Rule]) -> tuple[str, Rule]:
    """Our path → (PyTorch's key, the rule of the array). Raises KeyError if there is no rule."""
    for rule in table_rules:
        found = rule.ours.fullmatch(path)
        if found:
            return rule.theirs.format(*found.groups()), rule
    raise KeyError(path)
