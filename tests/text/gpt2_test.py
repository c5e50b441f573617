import hashlib
import json
import os
import pickle
import re
import sys
from pathlib import Path

import pytest
import tiktoken
import tiktoken.registry
from text_toys import ENCODING, PROMPTS, SHARED, gpt2, never

from glide_jax import text
from glide_jax.errors import UserError

SAMPLES = (
    "red cat",
    "  two\tspaces ",
    "café 猫が好き 🦊👩🏽‍🚒",
    "\x00 <|endoftext|>",
    "ÅNGSTRÖM İ",
)


@pytest.fixture(scope="module")
def public():
    """The real one, where its vocabulary lies."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", SHARED / "tiktoken_cache")
    if not os.path.isdir(folder):
        pytest.skip("GPT-2's vocabulary is not here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        return text.train("gpt2", never(), 50_257)


@pytest.fixture
def no_vocabulary(monkeypatch, tmp_path):
    """Nothing in tiktoken's cache, and no way to fetch it."""
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    return tmp_path


@pytest.mark.parametrize("row", PROMPTS, ids=lambda row: row["prompt"][:20])
def test_tokens_are_the_references(public, row):
    assert public.encode(row["prompt"]) == row["glide_tokens"]
    batch = text.tokenize(public, [row["prompt"]], 128)
    assert batch.tokens[0].tolist() == row["glide_padded"]
    assert batch.mask[0].tolist() == [i < row["glide_mask_len"] for i in range(128)]
    assert batch.cut[0] == (len(row["glide_tokens"]) > 128)


def test_the_real_one_comes_back_from_json_and_pickle(public):
    assert (public.vocab_size, public.pad_id) == (50_257, 50_256)
    for other in (
        text.from_dict(json.loads(json.dumps(public.to_dict()))),
        pickle.loads(pickle.dumps(public)),
    ):
        assert [other.encode(s) for s in SAMPLES] == [public.encode(s) for s in SAMPLES]


@pytest.mark.parametrize("sample", SAMPLES)
def test_text_comes_back_from_its_tokens_in_lower_case(sample):
    assert ENCODING.decode(gpt2().encode(sample)) == sample.lower()


def test_merges_are_made_and_capitals_mean_nothing():
    assert gpt2().encode("Red CAT") == gpt2().encode("red cat") == [257, 260]


def test_no_text_gives_the_padding():
    assert gpt2().pad_id not in gpt2().encode("<|endoftext|>")


def test_half_a_pair_of_surrogates_encodes():
    assert gpt2().encode("\ud800") == list("�".encode())


def test_the_null_caption_is_padding():
    batch = text.tokenize(gpt2(), [""], 4)
    assert batch.tokens.tolist() == [[261] * 4]
    assert not batch.mask.any()
    assert not batch.cut.any()


def test_long_text_keeps_its_beginning():
    batch = text.tokenize(gpt2(), ["red cat cat cat"], 3)
    assert batch.tokens.tolist() == [[257, 260, 260]]
    assert batch.mask.all()
    assert batch.cut.all()


def test_pickles():
    other = pickle.loads(pickle.dumps(gpt2()))
    assert [other.encode(s) for s in SAMPLES] == [gpt2().encode(s) for s in SAMPLES]


def test_its_json_is_its_kind(monkeypatch):
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: {"gpt2": ENCODING}[name])
    tokenizer = text.from_dict(json.loads(json.dumps(gpt2().to_dict())))
    assert tokenizer.to_dict() == {"kind": "gpt2"}
    assert tokenizer.encode("red cat") == [257, 260]


@pytest.mark.parametrize("size", [261, 263])
def test_the_vocabulary_is_as_large_as_it_is(monkeypatch, size):
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: {"gpt2": ENCODING}[name])
    assert text.train("gpt2", never(), 262).vocab_size == 262
    with pytest.raises(UserError, match=rf"^text\.vocab_size={size} is not GPT-2's; .* 262$"):
        text.train("gpt2", never(), size)


def test_without_its_vocabulary_it_says_what_to_put_where(no_vocabulary):
    with pytest.raises(UserError, match="TIKTOKEN_CACHE_DIR") as caught:
        text.from_dict({"kind": "gpt2"})
    assert "\n" not in str(caught.value)
    # tiktoken looks for a file under the hash of its address.
    files = re.findall(r"(https:\S+) as (\w+)", str(caught.value))
    assert [Path(url).name for url, _ in files] == ["vocab.bpe", "encoder.json"]
    assert all(hashlib.sha1(url.encode()).hexdigest() == name for url, name in files)


def test_a_damaged_vocabulary_is_not_used(no_vocabulary):
    for name in (
        "6d1cbeee0f20b3d9449abfede4726ed8212e3aee",
        "6c7ea1a7e38e3a7f062df639a5b80947f075ffe6",
    ):
        (no_vocabulary / name).write_bytes(b"#version: 0.2\n")
    with pytest.raises(UserError, match="can't be downloaded"):
        text.train("gpt2", never(), 50_257)


@pytest.mark.parametrize(
    ("kind", "library"),
    [("gpt2", "tiktoken"), ("clip_bpe", "ftfy"), ("clip_bpe", "regex"), ("clip_bpe", "tokenizers")],
)
def test_without_its_libraries_it_says_what_to_install(monkeypatch, kind, library):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, text.KINDS[kind])
    with pytest.raises(UserError, match=rf'{library}; run pip install "glide_jax\[glide\]"$'):
        text.train(kind, never(), 50_257)
