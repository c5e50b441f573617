"""MiniLM as an encoder: BERT by its definition in NumPy, the tokenizer, the real weights."""

import importlib.util
import sys

import encoder_toys
import numpy as np
import pytest
import safetensors.numpy
from encoder_toys import PIECES, write_bert
from refusals import refused
from scipy.special import erf

from glide_jax.encoders import load_encoder, minilm
from glide_jax.interop.weights import open_weights

INSTALLED = importlib.util.find_spec(minilm.PACKAGE) is not None
real = pytest.mark.skipif(not INSTALLED, reason=f"needs {minilm.INSTALL}")


@pytest.fixture
def small(tmp_path, monkeypatch):
    """(the folder of a small BERT, its arrays)."""
    monkeypatch.setattr(minilm, "CONFIG", encoder_toys.BERT)
    return write_bert(tmp_path / "bert")


def by_definition(arrays, tokens, mask, heads):
    """BERT in float64 (Devlin et al. 2018): i[b l], bool[b l] → f64[b l c]."""
    w = {key: np.asarray(a).astype(np.float64) for key, a in arrays.items() if "ids" not in key}

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        normed = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return normed * w[f"{name}.weight"] + w[f"{name}.bias"]

    def attend(x, name):
        b, length, c = x.shape
        q, k, v = (
            linear(x, f"{name}.{part}").reshape(b, length, heads, c // heads)
            for part in ("query", "key", "value")
        )
        scores = np.einsum("bnhd,bmhd->bhnm", q, k) / np.sqrt(c // heads)
        weights = np.exp(scores) * mask[:, None, None]
        weights /= weights.sum(-1, keepdims=True)
        return np.einsum("bhnm,bmhd->bnhd", weights, v).reshape(b, length, c)

    h = w["embeddings.word_embeddings.weight"][tokens]
    h = h + w["embeddings.position_embeddings.weight"][: tokens.shape[1]][None]
    h = h + w["embeddings.token_type_embeddings.weight"][0]
    h = norm(h, "embeddings.LayerNorm")
    layers = 1 + max(int(key.split(".")[2]) for key in w if key.startswith("encoder.layer"))
    for name in (f"encoder.layer.{i}" for i in range(layers)):
        attended = linear(attend(h, f"{name}.attention.self"), f"{name}.attention.output.dense")
        h = norm(h + attended, f"{name}.attention.output.LayerNorm")
        inside = linear(h, f"{name}.intermediate.dense")
        inside = inside * (1 + erf(inside / np.sqrt(2))) / 2
        h = norm(h + linear(inside, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    return h


def test_it_is_bert_by_definition(small):
    folder, arrays = small
    encoder = load_encoder("minilm", folder, dtype="float32")
    found = encoder.encode(["A red, BLUEISH disc!", "", "Café unheard"], 9)
    ids = [
        ["[CLS]", "a", "red", ",", "blue", "##ish", "disc", "!", "[SEP]"],
        ["[CLS]", "[SEP]"] + ["[PAD]"] * 7,
        ["[CLS]", "cafe", "[UNK]", "[SEP]"] + ["[PAD]"] * 5,
    ]
    tokens = np.array([[PIECES.index(piece) for piece in row] for row in ids])
    mask = tokens != 0
    np.testing.assert_array_equal(found.mask, mask)
    assert not found.cut.any()
    expected = by_definition(arrays, tokens, mask, encoder_toys.BERT.heads)
    np.testing.assert_allclose(found.embedding, expected, atol=1e-4)
    assert encoder.width == encoder_toys.BERT.width


def test_a_long_caption_is_cut_before_its_end_token(small):
    encoder = load_encoder("minilm", small[0], dtype="float32")
    long, exact = encoder.encode(["a red disc", "a red"], 4), encoder.encode(["a red"], 4)
    np.testing.assert_array_equal(long.cut, [True, False])
    np.testing.assert_array_equal(long.embedding[0], exact.embedding[0])


def test_more_tokens_than_positions_are_refused(small):
    encoder = load_encoder("minilm", small[0], dtype="float32")
    refused(lambda: encoder.encode(["a"], 11), "text.length=11", "10 or less")


def test_the_prefix_of_larger_models_is_removed(small):
    folder, arrays = small
    expected = load_encoder("minilm", folder, dtype="float32").fingerprint
    prefixed = {f"bert.{key}": array for key, array in arrays.items()}
    safetensors.numpy.save_file(
        prefixed | {"cls.predictions.bias": np.ones(3, np.float32)}, folder / "model.safetensors"
    )
    assert load_encoder("minilm", folder, dtype="float32").fingerprint == expected


@pytest.mark.parametrize("content", [None, "a\nb\n", "[PAD]\n" * 99 + "[UNK]\n[CLS]\n[SEP]\n"])
def test_a_vocabulary_that_is_missing_or_another_s(small, content):
    folder, _ = small
    (folder / "vocab.txt").unlink()
    if content is not None:
        (folder / "vocab.txt").write_text(content)
    refused(lambda: load_encoder("minilm", folder, dtype="float32"), "vocab.txt")


def test_where_the_package_is_not_installed_the_command_is_named(monkeypatch):
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    refused(lambda: load_encoder("minilm", None, dtype="float32"), minilm.INSTALL)


def test_without_tokenizers_the_command_is_named(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    monkeypatch.delitem(sys.modules, "glide_jax.text.wordpiece", raising=False)
    refused(lambda: load_encoder("minilm", small[0], dtype="float32"), "glide_jax[glide]")


@real
def test_the_real_weights_are_read_and_computed_as_bert():
    folder = minilm.package_folder()
    encoder = load_encoder("minilm", None, dtype="float32")
    captions = ["a crimson disc over a navy box", "two dogs playing chess", ""]
    found = encoder.encode(captions, 12)
    pieces = (folder / "vocab.txt").read_text("utf-8").split("\n")
    # Every word of theirs is one piece.
    rows = [["[CLS]", *caption.split(), "[SEP]"] for caption in captions]
    tokens = np.array([[pieces.index(p) for p in row] + [0] * (12 - len(row)) for row in rows])
    np.testing.assert_array_equal(found.mask, tokens != 0)
    expected = by_definition(open_weights(folder), tokens, tokens != 0, minilm.CONFIG.heads)
    np.testing.assert_allclose(found.embedding, expected, atol=1e-4)


@real
def test_captions_of_like_meaning_are_near():
    """Cosines of mean-pooled embeddings, as the model was trained: a language model's knowledge."""
    encoder = load_encoder("minilm", None, dtype="float32")

    def directions(captions):
        found = encoder.encode(captions, 16)
        mean = (found.embedding * found.mask[..., None]).sum(1)
        return mean / np.linalg.norm(mean, axis=-1, keepdims=True)

    pairs = {
        "a crimson disc": "a red circle",
        "a navy box": "a dark blue square",
        "a puppy asleep on a couch": "a young dog sleeping on the sofa",
    }
    cosines = directions([*pairs]) @ directions([*pairs.values()]).T
    assert (cosines.argmax(0) == np.arange(3)).all()
    assert (cosines.argmax(1) == np.arange(3)).all()
