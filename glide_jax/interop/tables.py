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

_PARTS = "(heads parts d) ..."
_APART = "parts (heads d) ..."

# kind → ((our leaf, their leaf, axes from ours to theirs, axes added at their end), …)
_LEAVES = {
    "norm": (("scale", "weight", (0,), 0), ("bias", "bias", (0,), 0)),
    "linear": (("kernel", "weight", (1, 0), 0), ("bias", "bias", (0,), 0)),
    "conv1d": (("kernel", "weight", (1, 0), 1), ("bias", "bias", (0,), 0)),
    "conv2d": (("kernel", "weight", (3, 2, 0, 1), 0), ("bias", "bias", (0,), 0)),
    "batch_norm": (
        ("scale", "weight", (0,), 0),
        ("bias", "bias", (0,), 0),
        ("mean", "running_mean", (0,), 0),
        ("variance", "running_var", (0,), 0),
    ),
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
    ("guidance_embedding.level_in", "guidance_embedding.level_in", "linear"),
    ("guidance_embedding.level_out", "guidance_embedding.level_out", "linear"),
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
        parts: PyTorch's names of the layers that it has in place of one, where ours is each head's
            three, or two, together: they take the place of `{part}` in `theirs`; (): there is one.
        head_channels: of each of the parts.
        heads: for an attention that PyTorch stores as all heads' queries, then keys, then values,
            where ours has each head's three together: {"heads": their number} or {"d": channels of
            one}. None for every other array.
    """

    ours: re.Pattern
    theirs: str
    axes: tuple[int, ...]
    added: int
    heads: Mapping[str, int] | None = None
    parts: tuple[str, ...] = ()
    head_channels: int = 0

    def keys(self, groups: Iterable[str]) -> tuple[str, ...]:
        """PyTorch's keys, for the block numbers of a path: one, or one for each part."""
        return tuple(
            self.theirs.replace("{part}", part).format(*groups) for part in self.parts or ("",)
        )

    def shape(self, ours: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of our array → that of PyTorch's, of each part's where there are several."""
        turned = [ours[axis] for axis in self.axes]
        turned[0] //= len(self.parts) or 1
        return (*turned, *[1] * self.added)

    def split(self, array: np.ndarray) -> list[np.ndarray]:
        """Our array → PyTorch's, one for each of the keys."""
        whole = self.to_torch(array)
        if not self.parts:
            return [whole]
        sizes = {"parts": len(self.parts), "d": self.head_channels}
        return list(np.ascontiguousarray(einops.rearrange(whole, f"{_PARTS} -> {_APART}", **sizes)))

    def join(self, arrays: Iterable[np.ndarray]) -> np.ndarray:
        """The inverse of `split`."""
        each = list(arrays)
        if not self.parts:
            return self.from_torch(each[0])
        sizes = {"parts": len(self.parts), "d": self.head_channels}
        return self.from_torch(einops.rearrange(np.stack(each), f"{_APART} -> {_PARTS}", **sizes))

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


def in_parts(
    made: Iterable[Rule], parts: Mapping[str, tuple[str, ...]], head_channels: int
) -> list[Rule]:
    """The rules, with the layers of some roles apart.

    Args:
        made: rules of a table.
        parts: the end of PyTorch's path of a layer, as in its row of the table → the layers that
            it is.
        head_channels: of one head.
    """
    changed = []
    for rule in made:
        for end, names in parts.items():
            if f".{end}." in rule.theirs:
                theirs = rule.theirs.replace(f".{end}.", ".{part}.")
                rule = dataclasses.replace(
                    rule, theirs=theirs, parts=names, head_channels=head_channels
                )
        changed.append(rule)
    return changed


def match(
    path: str, table_rules: Iterable[Rule], blocks: Mapping[str, str] | None = None
) -> tuple[tuple[str, ...], Rule]:
    """Our path → PyTorch's keys, and the rule of the array.

    Args:
        path: of one of our arrays.
        table_rules: the first that fits is taken.
        blocks: our numbers of a block, `input_blocks.3.0`, → PyTorch's name of it, where that is
            another; None: it is the same.

    Raises:
        KeyError: there is no rule.
    """
    for rule in table_rules:
        found = rule.ours.fullmatch(path)
        if found:
            groups = found.groups()
            names = groups if blocks is None else [blocks.get(g, g) for g in groups]
            return rule.keys(names), rule
    raise KeyError(path)
