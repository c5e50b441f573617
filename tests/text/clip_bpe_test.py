import gzip
import hashlib
import json
import os
import pickle
from pathlib import Path

import pytest
from text_toys import MERGES, PROMPTS, SHARED, clip_bpe, never

from glide_jax import text
from glide_jax.errors import UserError
from glide_jax.text import clip_bpe as module
from glide_jax.text import vocabulary
from glide_jax.text.clip_bpe import ClipBpeTokenizer

SAMPLES = (
    "red cat",
    "it's a cat!",
    "ein Dreieck über дом",
    "猫が好き 🦊👩🏽‍🚒",
    "ﷺ \u200f",
    "\x00 \ud800",
)

# By hand, from the published order: 188 printable bytes and 68 others, the same once more as a
# word's last, then the merges.
RED, CAT, APOSTROPHE_S, START, END = 513, 515, 516, 517, 518


@pytest.fixture(scope="module")
def public():
    """The real one, where its vocabulary lies."""
    folder = os.environ.get("GLIDE_JAX_CACHE", SHARED / "vocab")
    if not (Path(folder) / vocabulary.CLIP_FILE).exists():
        pytest.skip("CLIP's vocabulary is not here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLIDE_JAX_CACHE", str(folder))
        yield text.train("clip_bpe", never(), 65_536)


@pytest.fixture
def toy_file(monkeypatch, tmp_path):
    """A cache folder whose file has the toy's merges, and more that are not to be used."""
    lines = ["a title", *(" ".join(pair) for pair in MERGES), "a b", ""]
    file = tmp_path / vocabulary.CLIP_FILE
    file.write_bytes(gzip.compress("\n".join(lines).encode()))
    monkeypatch.setenv("GLIDE_JAX_CACHE", str(tmp_path))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setattr(vocabulary, "CLIP_SHA256", digest)
    monkeypatch.setattr(module, "_NUM_MERGES", len(MERGES))
    return file


@pytest.mark.parametrize("row", PROMPTS, ids=lambda row: row["prompt"][:20])
def test_tokens_are_the_references(public, row):
    batch = text.tokenize(public, [row["prompt"]], 77)
    assert batch.tokens[0].tolist() == row["clip_padded"]
    assert batch.mask[0].tolist() == [i < row["clip_len"] for i in range(77)]


def test_the_real_one_comes_back_from_json_and_pickle(public):
    assert (public.vocab_size, public.pad_id) == (65_536, 0)
    assert (public.start_ids, public.end_ids) == ((49_406,), (49_407,))
    for other in (
        text.from_dict(json.loads(json.dumps(public.to_dict()))),
        pickle.loads(pickle.dumps(public)),
    ):
        assert [other.encode(s) for s in SAMPLES] == [public.encode(s) for s in SAMPLES]


def test_words_become_merges():
    assert clip_bpe().encode("red cat's") == [RED, CAT, APOSTROPHE_S]


def test_a_word_s_end_is_not_its_middle():
    # "cat" ends in t</w>, "cats" does not.
    assert CAT not in clip_bpe().encode("cats")


def test_no_merge_crosses_words():
    assert clip_bpe().encode("re d") != clip_bpe().encode("red")
    assert len(clip_bpe().encode("42")) == 2


@pytest.mark.parametrize(
    ("rough", "clean"),
    [
        ("RED Cat", "red cat"),
        ("  red \t\n cat\u3000", "red cat"),
        ("red &amp;amp; cat", "red & cat"),
        ("&lt;red&gt;", "<red>"),
        ("schÃ¶n", "schön"),
    ],
)
def test_text_is_mended(rough, clean):
    assert clip_bpe().encode(rough) == clip_bpe().encode(clean)


@pytest.mark.parametrize("sample", SAMPLES)
def test_any_text_encodes(sample):
    ids = clip_bpe().encode(sample)
    assert ids
    assert all(0 <= i < START for i in ids)


def test_different_scripts_stay_different():
    texts = ["кот", "кит", "猫", "犬", "🦊", "🐻", "é", "e"]
    assert len({tuple(clip_bpe().encode(t)) for t in texts}) == len(texts)


def test_captions_stand_between_start_and_end():
    batch = text.tokenize(clip_bpe(), ["red cat", ""], 5)
    assert batch.tokens.tolist() == [[START, RED, CAT, END, 0], [START, END, 0, 0, 0]]
    assert batch.mask.tolist() == [[True] * 4 + [False], [True] * 2 + [False] * 3]
    assert not batch.cut.any()


def test_long_text_keeps_its_beginning_and_the_end_token():
    batch = text.tokenize(clip_bpe(), ["red cat red", "red cat"], 4)
    assert batch.tokens.tolist() == [[START, RED, CAT, END]] * 2
    assert batch.cut.tolist() == [True, False]


def test_the_padding_is_a_token_too_so_the_mask_tells():
    batch = text.tokenize(clip_bpe(), ["!!"], 6)
    assert batch.tokens.tolist() == [[START, 0, 256, END, 0, 0]]
    assert batch.mask.tolist() == [[True] * 4 + [False] * 2]


def test_spelled_out_frame_tokens_are_those_tokens():
    assert clip_bpe().encode("<|endoftext|> red <|STARTOFTEXT|>") == [END, RED, START]
    # Behind other signs they are signs.
    assert END not in clip_bpe().encode("!<|endoftext|>")


@pytest.mark.parametrize("nothing", ["", " ", "\n"])
def test_nothing_is_no_tokens(nothing):
    assert clip_bpe().encode(nothing) == []


@pytest.mark.parametrize(
    "copy",
    [
        lambda t: text.from_dict(json.loads(json.dumps(t.to_dict()))),
        lambda t: pickle.loads(pickle.dumps(t)),
        lambda t: text.train("clip_bpe", never(), 600),
    ],
    ids=["json", "pickle", "trained again"],
)
def test_copies_are_equal(toy_file, copy):
    other = copy(clip_bpe())
    assert other.to_dict() == clip_bpe().to_dict() == {"kind": "clip_bpe", "vocab_size": 600}
    assert (other.start_ids, other.end_ids) == ((START,), (END,))
    assert [other.encode(s) for s in SAMPLES] == [clip_bpe().encode(s) for s in SAMPLES]


def test_the_table_may_have_more_rows_than_ids_but_not_fewer():
    assert ClipBpeTokenizer(MERGES, 519).vocab_size == 519
    with pytest.raises(UserError, match=r"^text\.vocab_size=518 is too small .* 519"):
        ClipBpeTokenizer(MERGES, 518)


def test_without_its_vocabulary_it_says_what_to_put_where(monkeypatch, tmp_path):
    monkeypatch.setenv("GLIDE_JAX_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="glide-jax download clip-vocab") as caught:
        text.from_dict({"kind": "clip_bpe", "vocab_size": 65_536})
    assert str(tmp_path / "bpe_simple_vocab_16e6.txt.gz") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_vocabulary_is_not_used(toy_file):
    toy_file.write_bytes(toy_file.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"damaged.*delete it"):
        text.train("clip_bpe", never(), 600)
