"""T5's encoders, from folders with `spiece.model` and weights under Hugging Face's names.

Files of a complete T5 hold a decoder too, which is ignored.
"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jax.sharding import Mesh

from glide_jax.encoders.frozen import FrozenEncoder, frozen_encoder
from glide_jax.encoders.placing import Layout
from glide_jax.errors import UserError
from glide_jax.models.t5 import NORM_EPSILON, T5Config, t5
from glide_jax.text.t5_pieces import read_t5_tokenizer

_BLOCK = "encoder.block.{}.layer"

_ROWS = (
    ("token_embedding", "shared", "embedding"),
    (
        "relative_bias",
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias",
        "embedding",
    ),
    ("blocks.{}.attention_norm", f"{_BLOCK}.0.layer_norm", "norm"),
    ("blocks.{}.query", f"{_BLOCK}.0.SelfAttention.q", "linear"),
    ("blocks.{}.key", f"{_BLOCK}.0.SelfAttention.k", "linear"),
    ("blocks.{}.value", f"{_BLOCK}.0.SelfAttention.v", "linear"),
    ("blocks.{}.proj", f"{_BLOCK}.0.SelfAttention.o", "linear"),
    ("blocks.{}.mlp_norm", f"{_BLOCK}.1.layer_norm", "norm"),
    ("blocks.{}.mlp_out", f"{_BLOCK}.1.DenseReluDense.wo", "linear"),
    ("final_norm", "encoder.final_layer_norm", "norm"),
)
_GATED = (
    ("blocks.{}.mlp_gate", f"{_BLOCK}.1.DenseReluDense.wi_0", "linear"),
    ("blocks.{}.mlp_in", f"{_BLOCK}.1.DenseReluDense.wi_1", "linear"),
)
_PLAIN = (("blocks.{}.mlp_in", f"{_BLOCK}.1.DenseReluDense.wi", "linear"),)

_IGNORED = r"decoder\..*|lm_head\.weight|encoder\.embed_tokens\.weight"
_SAME = {"shared.weight": "encoder.embed_tokens.weight"}


def _config(
    width: int, head_width: int, mlp_width: int, layers: int, heads: int, *, gated: bool
) -> T5Config:
    return T5Config(
        vocab_size=32_128,
        width=width,
        layers=layers,
        heads=heads,
        head_width=head_width,
        mlp_width=mlp_width,
        gated=gated,
        buckets=32,
        max_distance=128,
    )


CONFIGS = {
    "t5-v1_1-small": _config(512, 64, 1024, 8, 6, gated=True),
    "t5-v1_1-base": _config(768, 64, 2048, 12, 12, gated=True),
    "t5-v1_1-large": _config(1024, 64, 2816, 24, 16, gated=True),
    "t5-v1_1-xl": _config(2048, 64, 5120, 24, 32, gated=True),
    "t5-v1_1-xxl": _config(4096, 64, 10_240, 24, 64, gated=True),
    "t5-small": _config(512, 64, 2048, 6, 8, gated=False),
    "t5-base": _config(768, 64, 3072, 12, 12, gated=False),
    "t5-large": _config(1024, 64, 4096, 24, 16, gated=False),
    "t5-3b": _config(1024, 128, 16_384, 24, 32, gated=False),
    "t5-11b": _config(1024, 128, 65_536, 24, 128, gated=False),
}
"""The sizes of the published encoders: Raffel et al. 2020, sec. 3.7, and version 1.1's own."""


def table(config: T5Config) -> tuple[tuple[str, str, str], ...]:
    """The rows of `interop.tables` of an encoder: our path, Hugging Face's, kind."""
    return _ROWS + (_GATED if config.gated else _PLAIN)


def config_of(options: Mapping[str, Any]) -> T5Config:
    """The sizes that a `config.json` of Hugging Face has.

    Raises:
        UserError: it is no T5's, or of a kind that is not one of the two published.
    """
    kind = options.get("feed_forward_proj", "relu")
    if kind not in ("relu", "gated-gelu"):
        raise UserError(f"feed_forward_proj is {kind!r}: known are 'relu' and 'gated-gelu'")
    if options.get("layer_norm_epsilon", NORM_EPSILON) != NORM_EPSILON:
        raise UserError(f"layer_norm_epsilon is not T5's {NORM_EPSILON}")
    try:
        return T5Config(
            vocab_size=options["vocab_size"],
            width=options["d_model"],
            layers=options["num_layers"],
            heads=options["num_heads"],
            head_width=options["d_kv"],
            mlp_width=options["d_ff"],
            gated=kind == "gated-gelu",
            buckets=options["relative_attention_num_buckets"],
            # Older files don't have it: it was the same for all.
            max_distance=options.get("relative_attention_max_distance", 128),
        )
    except KeyError as error:
        raise UserError(f"it has no {error}: it is not a T5's") from error


def load(name: str, path: Path | None, *, dtype: str, mesh: Mesh | None) -> FrozenEncoder:
    """One of CONFIGS; or, by the name `t5`, any T5, whose sizes its `config.json` has.

    Args:
        name, path, dtype, mesh: as for `load_encoder`.

    Raises:
        UserError: as `load_encoder`.
    """
    if path is None:
        raise UserError(
            f"{name} needs the folder with its files: spiece.model, and model.safetensors or "
            "pytorch_model.bin or their shards; give its path"
        )
    config = CONFIGS[name] if name in CONFIGS else _read_config(path / "config.json")
    encoder = t5(config, dtype=dtype)
    return frozen_encoder(
        name,
        path,
        tokenizer=read_t5_tokenizer(path / "spiece.model", config.vocab_size),
        layout=Layout(table(config), ignored=_IGNORED, same=_SAME),
        shapes=encoder.shapes,
        apply=encoder.apply,
        max_length=None,
        mesh=mesh,
    )


LOADERS = {name: functools.partial(load, name) for name in (*CONFIGS, "t5")}
"""A loader for each, as `ENCODERS` has them."""


def _read_config(path: Path) -> T5Config:
    try:
        options = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"can't read {path}, which has the sizes of a T5 ({error}); get it, or name a "
            f"published one: {', '.join(CONFIGS)}"
        ) from error
    try:
        return config_of(options)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
