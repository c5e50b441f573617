"""Folders with small encoders, as people hold large ones."""

import io
import json

import numpy as np
import safetensors.numpy
import sentencepiece
from golden.formula import weight
from golden.load import HERE

from glide_jax.models.bert import BertConfig

CAPTIONS = (
    "a red circle left of a blue square",
    "a navy box over a crimson disc",
    "two green triangles, one of them small",
)
MANIFEST = json.loads((HERE / "t5_v1_1_tiny.manifest.json").read_text("utf-8"))

PIECES = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]"]
PIECES += ["a", "red", "blue", "##ish", "disc", ",", "!", "cafe"]
BERT = BertConfig(
    vocab_size=len(PIECES),
    width=24,
    layers=2,
    heads=3,
    mlp_width=40,
    positions=10,
    token_types=2,
)


def spiece(captions=CAPTIONS, **more):
    """The bytes of a small spiece.model with T5's special ids."""
    model = io.BytesIO()
    ids = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1} | more
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(captions),
        model_writer=model,
        vocab_size=110,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **ids,
    )
    return model.getvalue()


def t5_arrays():
    """The golden model's, by Hugging Face's keys."""
    return {k: weight(k, tuple(shape)) for k, shape in MANIFEST["state_dict"].items()}


def write_t5(folder, arrays=None):
    """A folder with a complete T5, as it is published; returns it."""
    folder.mkdir(exist_ok=True)
    (folder / "spiece.model").write_bytes(spiece())
    (folder / "config.json").write_text(json.dumps(MANIFEST["options"]))
    arrays = t5_arrays() if arrays is None else arrays
    safetensors.numpy.save_file(arrays, folder / "model.safetensors")
    return folder


def bert_shapes(config=BERT):
    """Hugging Face's keys and shapes."""
    width, inner = config.width, config.mlp_width

    def linear(name, width_in, width_out):
        return {f"{name}.weight": (width_out, width_in), f"{name}.bias": (width_out,)}

    def norm(name):
        return {f"{name}.weight": (width,), f"{name}.bias": (width,)}

    shapes = {
        "embeddings.word_embeddings.weight": (config.vocab_size, width),
        "embeddings.position_embeddings.weight": (config.positions, width),
        "embeddings.token_type_embeddings.weight": (config.token_types, width),
        **norm("embeddings.LayerNorm"),
    }
    for i in range(config.layers):
        block = f"encoder.layer.{i}"
        for name in ("query", "key", "value"):
            shapes |= linear(f"{block}.attention.self.{name}", width, width)
        shapes |= linear(f"{block}.attention.output.dense", width, width)
        shapes |= norm(f"{block}.attention.output.LayerNorm")
        shapes |= linear(f"{block}.intermediate.dense", width, inner)
        shapes |= linear(f"{block}.output.dense", inner, width)
        shapes |= norm(f"{block}.output.LayerNorm")
    return shapes


def write_bert(folder):
    """A folder with a BERT of the sizes BERT; returns (folder, its arrays)."""
    folder.mkdir(exist_ok=True)
    arrays = {key: weight(key, shape) for key, shape in bert_shapes().items()}
    extra = {
        "embeddings.position_ids": np.arange(BERT.positions)[None],
        "pooler.dense.weight": np.ones((2, 2), np.float32),
    }
    safetensors.numpy.save_file(arrays | extra, folder / "model.safetensors")
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    return folder, arrays
