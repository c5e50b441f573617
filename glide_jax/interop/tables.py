"""One table a model family: our parameter paths ↔ the public PyTorch names and layouts.

A row is (our path, PyTorch's path, kind). `{}` stands for a run of block numbers, kept as it is.
The kind says how a leaf's array is laid out on the other side; the tables are read in both
directions, so a layout is written once.
"""

import dataclasses
import re
from collections.abc import Iterable

import numpy as np

_NUMBERS = r"((?:input_blocks|output_blocks|middle_block)(?:\.\d+)+|\d+)"

# kind → ((our leaf, their leaf, axes from ours to theirs, axes added at their end), …)
_LEAVES = {
    "norm": (("scale", "weight", (0,), 0), ("bias", "bias", (0,), 0)),
    "linear": (("kernel", "weight", (1, 0), 0), ("bias", "bias", (0,), 0)),
    "conv1d": (("kernel", "weight", (1, 0), 1), ("bias", "bias", (0,), 0)),
    "conv2d": (("kernel", "weight", (3, 2, 0, 1), 0), ("bias", "bias", (0,), 0)),
    "array": (("", "", (0, 1), 0),),
    "embedding": (("", "weight", (0, 1), 0),),
}

_UNET = (
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
)

GLIDE = (
    *_UNET,
    ("text.token_embedding", "token_embedding", "embedding"),
    ("text.positional_embedding", "positional_embedding", "array"),
    ("text.padding_embedding", "padding_embedding", "array"),
    ("text.blocks.{}.attention_norm", "transformer.resblocks.{}.ln_1", "norm"),
    ("text.blocks.{}.qkv", "transformer.resblocks.{}.attn.c_qkv", "linear"),
    ("text.blocks.{}.proj", "transformer.resblocks.{}.attn.c_proj", "linear"),
    ("text.blocks.{}.mlp_norm", "transformer.resblocks.{}.ln_2", "norm"),
    ("text.blocks.{}.mlp_in", "transformer.resblocks.{}.mlp.c_fc", "linear"),
    ("text.blocks.{}.mlp_out", "transformer.resblocks.{}.mlp.c_proj", "linear"),
    ("text.final_norm", "final_ln", "norm"),
    ("text.pooled", "transformer_proj", "linear"),
)


@dataclasses.dataclass(frozen=True)
class Rule:
    """Where one of our arrays stands in a PyTorch state dict, and how it is turned."""

    ours: re.Pattern
    theirs: str
    axes: tuple[int, ...]
    added: int

    def to_torch(self, array: np.ndarray) -> np.ndarray:
        """Our layout → PyTorch's."""
        turned = np.transpose(array, self.axes)
        return np.ascontiguousarray(turned.reshape(turned.shape + (1,) * self.added))

    def from_torch(self, array: np.ndarray) -> np.ndarray:
        """PyTorch's layout → ours."""
        squeezed = array.reshape(array.shape[: array.ndim - self.added])
        return np.ascontiguousarray(np.transpose(squeezed, np.argsort(self.axes)))


def rules(table: Iterable[tuple[str, str, str]]) -> list[Rule]:
    """A table's rows as rules, one for each leaf."""
    made = []
    for ours, theirs, kind in table:
        for our_leaf, their_leaf, axes, added in _LEAVES[kind]:
            pattern = re.escape(".".join(filter(None, (ours, our_leaf)))).replace(r"\{\}", _NUMBERS)
            target = ".".join(filter(None, (theirs, their_leaf)))
            made.append(Rule(re.compile(pattern), target, axes, added))
    return made


def match(path: str, table_rules: Iterable[Rule]) -> tuple[str, Rule]:
    """Our path → (PyTorch's key, the rule that turns the array). Raises KeyError for neither."""
    for rule in table_rules:
        found = rule.ours.fullmatch(path)
        if found:
            return rule.theirs.format(*found.groups()), rule
    raise KeyError(path)
