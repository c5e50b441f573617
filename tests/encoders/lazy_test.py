"""Frozen encoders are loaded when they are needed, and no other is taken for the model's."""

from pathlib import Path

import numpy as np
import pytest
from toy_encoder import WIDTH, ToyEncoder

from glide_jax import encoders
from glide_jax.config import FrozenTextConfig
from glide_jax.encoders import lazy
from glide_jax.encoders.encoding import encode_captions
from glide_jax.errors import UserError
from glide_jax.text.reader import EmbeddingReader

CONFIG = FrozenTextConfig(
    encoder="toy",
    weights="",
    embeddings="",
    length=6,
    padding=False,
    cleaning="none",
    dtype="float32",
)


@pytest.fixture
def loaded(monkeypatch):
    """The toy encoders that were loaded so far; `seed` of the weights is in their path."""
    there = []

    def load(name, path, *, dtype):
        assert (name, dtype) == ("toy", "float32")
        there.append(ToyEncoder(seed=int(Path(path).name) if path else 0))
        return there[-1]

    monkeypatch.setattr(encoders, "load_encoder", load)
    return there


def test_an_encoder_is_loaded_once_and_released(loaded):
    encoder = lazy.LazyEncoder(CONFIG)
    assert not loaded
    assert (encoder.width, encoder.fingerprint) == (WIDTH, "00000000")
    encoder.encode(["a"], 6)
    (only,) = loaded
    encoder.release()
    encoder.release()
    assert only.released == 1
    encoder.encode(["b"], 6)
    assert len(loaded) == 2


def test_captions_are_encoded_with_progress(loaded, tmp_path, capsys):
    store = encode_captions(CONFIG, ["a", "b", "a"], tmp_path)
    assert len(store) == 3
    assert "toy: 3 of 3 captions encoded" in capsys.readouterr().out
    assert loaded[0].released == 1


def test_a_stored_caption_and_a_new_one_are_alike(loaded, tmp_path):
    store = encode_captions(CONFIG, ["a red square", "b"], tmp_path)
    both = lazy.PromptEncoder(store, lazy.LazyEncoder(CONFIG))
    both.encode(["b", "a red square", "b"], 6)
    assert len(loaded) == 1  # to write the store
    captions = ["new", "a red square", "new", "newer still"]
    read = EmbeddingReader(both, 6, padding=False).read(captions)
    direct = EmbeddingReader(ToyEncoder(), 6, padding=False).read(captions)
    for name, array in direct.arrays.items():
        assert (read.arrays[name] == array).all(), name
        assert read.arrays[name].dtype == array.dtype
    assert loaded[-1].encoded == ["new", "newer still"]


def test_what_was_encoded_last_is_remembered(loaded, monkeypatch):
    monkeypatch.setattr(lazy, "_REMEMBERED", 3)
    encoder = lazy.LazyEncoder(CONFIG)
    first = encoder.encode(["a", "b c", "a"], 6)
    again = encoder.encode(["b c", "d", "a"], 6)
    assert loaded[0].encoded == ["a", "b c", "d"]
    assert (first.embedding[[1, 0]] == again.embedding[[0, 2]]).all()
    assert (again.mask == ToyEncoder().encode(["b c", "d", "a"], 6).mask).all()
    encoder.encode(["e", "b c"], 6)  # "a" was the first to go
    encoder.encode(["a"], 6)
    assert loaded[0].encoded == ["a", "b c", "d", "e", "a"]
    encoder.encode(["a", "b", "c", "d"], 6)
    assert loaded[0].encoded[-4:] == ["a", "b", "c", "d"]


def test_captions_that_were_encoded_first_need_no_weights(loaded, monkeypatch):
    monkeypatch.setattr(lazy, "_REMEMBERED", 2)
    encoder = lazy.LazyEncoder(CONFIG)
    captions = ["a", "b c", "d", "e"]
    encoder.encode_first([*captions, "a"], 6)
    (only,) = loaded
    assert (only.encoded, only.released) == (captions, 1)
    found = encoder.encode(["e", *captions], 6)
    assert (found.embedding[1:] == ToyEncoder().encode(captions, 6).embedding).all()
    assert (encoder.width, encoder.fingerprint) == (WIDTH, "00000000")
    encoder.encode_first(captions, 6)
    assert len(loaded) == 1
    encoder.encode(["new"], 6)
    encoder.encode(["newer"], 6)
    assert len(loaded) == 2, "it stays for the next prompt"


def test_only_what_is_not_stored_is_encoded_first(loaded, tmp_path):
    store = encode_captions(CONFIG, ["a", "b"], tmp_path)
    both = lazy.PromptEncoder(store, lazy.LazyEncoder(CONFIG))
    both.encode_first(["a", "", "b"], 6)
    assert len(loaded) == 1  # to write the store
    both.encode_first(["a", "new"], 6)
    assert loaded[-1].encoded == ["new"]
    assert loaded[-1].released == 1
    with pytest.raises(UserError, match="captions are not in"):
        lazy.PromptEncoder(store, None).encode_first(["a", "new"], 6)


def test_one_encoder_is_shared_while_it_is_used(loaded):
    one = lazy.shared_encoder(CONFIG)
    assert lazy.shared_encoder(FrozenTextConfig(**vars(CONFIG))) is one
    assert lazy.shared_encoder(FrozenTextConfig(**vars(CONFIG) | {"weights": "1"})) is not one


def test_padding_is_zero_unless_the_model_reads_it(loaded):
    kept = EmbeddingReader(ToyEncoder(), 6, padding=True).read(["a"]).arrays
    zeroed = EmbeddingReader(ToyEncoder(), 6, padding=False).read(["a"]).arrays
    mask = kept["mask"][0]
    assert mask.tolist() == [True, True, False, False, False, False]
    assert np.any(kept["text_embedding"][0, ~mask] != 0)
    assert np.all(zeroed["text_embedding"][0, ~mask] == 0)
    assert (kept["text_embedding"][0, mask] == zeroed["text_embedding"][0, mask]).all()


def test_other_weights_than_the_stored_are_refused(loaded, tmp_path):
    store = encode_captions(CONFIG, ["a"], tmp_path)
    other = lazy.LazyEncoder(FrozenTextConfig(**vars(CONFIG) | {"weights": "1"}))
    with pytest.raises(UserError, match="are not those that"):
        lazy.PromptEncoder(store, other).encode(["b"], 6)


@pytest.mark.parametrize(
    ("saved", "what"),
    [
        ({"encoder": "t5-v1_1-xxl"}, r"\(encoder t5-v1_1-xxl, not toy\)"),
        ({"width": 4096}, r"\(width 4096, not 8\)"),
        ({"fingerprint": "f" * 8}, r"\(fingerprint ffffffff, not 00000000\)"),
    ],
)
def test_a_model_of_another_encoder_is_refused(saved, what, tmp_path):
    with pytest.raises(UserError, match=what):
        lazy.check_fingerprint(saved, ToyEncoder(), tmp_path)
    expected = lazy.Expected(saved, WIDTH, tmp_path)
    checked = lazy.PromptEncoder(None, ToyEncoder(), expected)
    with pytest.raises(UserError, match=what):
        checked.encode(["a"], 6)


def test_what_a_checkpoint_does_not_say_is_not_checked(tmp_path):
    lazy.check_fingerprint({"kind": "frozen_encoder"}, ToyEncoder(), tmp_path)
    lazy.check_fingerprint(None, ToyEncoder(), tmp_path)


def test_stores_of_another_config_and_incomplete_ones_are_refused(loaded, tmp_path):
    store = encode_captions(CONFIG, ["a"], tmp_path)
    assert lazy.check_complete(store, ["a"]) == 0
    with pytest.raises(UserError, match=r"2 captions .* such as 'b'"):
        lazy.check_complete(store, ["a", "b", "c", "b"])
    for name, value in {
        "encoder": "minilm",
        "length": 7,
        "padding": True,
        "cleaning": "deepfloyd_if",
    }.items():
        changed = FrozenTextConfig(**vars(CONFIG) | {name: value})
        with pytest.raises(UserError, match=rf"text\.{name}="):
            lazy.open_store(changed, tmp_path)


def test_prompts_are_encoded_by_what_is_there(loaded, tmp_path):
    empty, run = tmp_path / "empty", tmp_path / "run"
    for folder in (empty, run, tmp_path / "2"):
        folder.mkdir()
    encode_captions(CONFIG, ["a"], run / lazy.EMBEDDINGS)
    loaded.clear()
    assert lazy.sampling_encoder(CONFIG, empty, None).store is None
    both = lazy.sampling_encoder(CONFIG, run, None)
    assert "a" in both.store
    assert both.encoder is lazy.shared_encoder(CONFIG)
    store = lazy.sampling_encoder(CONFIG, empty, run / lazy.EMBEDDINGS)
    assert store.encode(["a"], 6).mask.any()
    assert not loaded
    assert lazy.sampling_encoder(CONFIG, empty, tmp_path / "2").fingerprint == "00000002"
    with pytest.raises(UserError, match="there is no folder"):
        lazy.sampling_encoder(CONFIG, empty, tmp_path / "nowhere")


def test_captions_are_cleaned_where_the_config_says_so(loaded):
    pytest.importorskip("ftfy")
    config = FrozenTextConfig(**vars(CONFIG) | {"cleaning": "deepfloyd_if"})
    lazy.LazyEncoder(config).encode(["A <b>Red</b> Square"], 6)
    lazy.LazyEncoder(CONFIG).encode(["A <b>Red</b> Square"], 6)
    assert [encoder.encoded for encoder in loaded] == [["a red square"], ["A <b>Red</b> Square"]]
