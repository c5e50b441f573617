"""Stored text embeddings read back as they were written, whatever interrupted the writing."""

import pickle

import ml_dtypes
import numpy as np
import pytest
from toy_encoder import WIDTH, ToyEncoder

from glide_jax.errors import UserError
from glide_jax.text import embeddings
from glide_jax.text.embeddings import EmbeddingStore, write_embeddings

CAPTIONS = ["a red square", "a", "一 二", "a red square", "one two three four five six seven"]


def write(folder, captions=CAPTIONS, encoder=None, **changes):
    arguments = {"length": 6, "padding": False, "cleaning": "none"} | changes
    return write_embeddings(encoder or ToyEncoder(), captions, folder, **arguments)


def assert_as_encoded(store, captions, padding=False):
    there, direct = store.encode(captions, 6), ToyEncoder().encode(captions, 6)
    assert there.embedding.dtype == ml_dtypes.bfloat16
    wanted = direct.embedding.astype(ml_dtypes.bfloat16)
    if not padding:
        wanted = np.where(direct.mask[..., None], wanted, np.zeros((), wanted.dtype))
    assert (there.embedding == wanted).all()
    assert (there.mask == direct.mask).all()
    assert (there.cut == direct.cut).all()


@pytest.mark.parametrize("padding", [False, True])
def test_what_was_written_is_read_back(tmp_path, padding):
    store = write(tmp_path / "e", padding=padding)
    assert len(store) == 5  # each caption once, and the null caption
    assert_as_encoded(store, [*CAPTIONS, ""], padding)
    assert store.encode(CAPTIONS, 6).cut.tolist() == [False] * 4 + [True]
    assert_as_encoded(pickle.loads(pickle.dumps(store)), CAPTIONS[::-1], padding)


def test_what_is_there_and_what_was_cut_is_looked_up(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "SHARD_CAPTIONS", 2)
    store = write(tmp_path / "e")
    there, cut = store.look_up([CAPTIONS[-1], "new", "a", CAPTIONS[-1]])
    assert there.tolist() == [True, False, True, True]
    assert cut.tolist() == [True, False, False, True]
    there, cut = store.look_up([])
    assert len(there) == len(cut) == 0


def test_nothing_is_encoded_twice(tmp_path):
    write(tmp_path / "e", CAPTIONS[:2])
    encoder = ToyEncoder()
    store = write(tmp_path / "e", encoder=encoder)
    assert sorted(encoder.encoded) == sorted(set(CAPTIONS[2:]) - set(CAPTIONS[:2]))
    assert_as_encoded(store, CAPTIONS)


def test_an_interrupted_writing_goes_on_after_its_last_complete_shard(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "SHARD_CAPTIONS", 3)
    monkeypatch.setattr(embeddings, "_BATCH", 2)
    captions = [f"caption {i}" for i in range(8)]

    def stop(done, total):
        assert total == 9  # with the null caption
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "e", captions, on_encoded=stop)
    assert len(EmbeddingStore(tmp_path / "e")) == 3
    seen, encoder = [], ToyEncoder()
    store = write(tmp_path / "e", captions, encoder, on_encoded=lambda *at: seen.append(at))
    assert encoder.encoded == captions[2:]
    assert seen == [(5, 9), (6, 9), (8, 9), (9, 9)]
    assert_as_encoded(store, captions)


def test_processes_share_the_captions(tmp_path):
    for number in (1, 0):
        store = write(tmp_path / "e", process=(number, 2))
    assert len(store) == 5
    assert_as_encoded(store, CAPTIONS)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"encoder": ToyEncoder(seed=1)}, "fingerprint 00000000 → 00000001"),
        ({"encoder": ToyEncoder("other")}, "encoder toy → other"),
        ({"length": 7}, "length 6 → 7"),
        ({"padding": True}, "padding False → True"),
        ({"cleaning": "deepfloyd_if"}, "cleaning none → deepfloyd_if"),
    ],
)
def test_other_embeddings_are_refused(tmp_path, changes, what):
    write(tmp_path / "e")
    with pytest.raises(UserError, match=what):
        write(tmp_path / "e", **changes)
    assert_as_encoded(EmbeddingStore(tmp_path / "e"), CAPTIONS)


def test_captions_that_are_not_there_are_named(tmp_path):
    store = write(tmp_path / "e")
    assert "a red square" in store
    assert "a blue square" not in store
    with pytest.raises(UserError, match=r"2 captions .* such as 'a blue square'"):
        store.encode(["a", "a blue square", "b"], 6)
    with pytest.raises(UserError, match=r"6 tokens a caption, and the config's text.length is 7"):
        store.encode(["a"], 7)


def test_a_lone_surrogate_is_a_caption_like_any(tmp_path):
    assert "\ud800" in write(tmp_path / "e", ["\ud800"])


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    class Broken(ToyEncoder):
        def encode(self, captions, length):
            encoded = super().encode(captions, length)
            return encoded._replace(embedding=encoded.embedding * np.float32(np.inf))

    with pytest.raises(UserError, match="not finite"):
        write(tmp_path / "e", encoder=Broken())


@pytest.mark.parametrize("ending", ["npy", "npz", "json"])
def test_damage_is_one_line(tmp_path, ending):
    write(tmp_path / "e")
    (file,) = (tmp_path / "e").glob(f"*.{ending}")
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(UserError, match="is damaged"):
        EmbeddingStore(tmp_path / "e").encode(["a"], 6)
    with pytest.raises(UserError, match="holds no text embeddings"):
        EmbeddingStore(tmp_path / "nothing")


def test_width_is_the_encoder_s(tmp_path):
    assert write(tmp_path / "e").width == WIDTH
