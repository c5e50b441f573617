import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import time

import numpy as np
import pytest

from glide_jax import text
from glide_jax.data import Example, images, pipeline
from glide_jax.data.conditioning import caption_conditioning
from glide_jax.errors import UserError
from glide_jax.text.reader import TokenReader

_SIZE = 4
_LENGTH = 6
_CAPTIONS = ("one", "two words", "three short words")


class _Numbered:
    """Every pixel of image i is i, so that a batch shows which images are in it."""

    fingerprint = "numbered"

    def __init__(self, count, broken=None):
        self._count = count
        self._broken = broken
        self.reads = 0

    def __len__(self):
        return self._count

    def __getitem__(self, i):
        self.reads += 1
        if i == self._broken:
            raise images.BrokenImage(f"cannot read the image {i}.png: broken")
        return Example(np.full((8, 9, 3), i, np.uint8), _CAPTIONS, {})

    def captions(self, i):
        return _CAPTIONS


@pytest.fixture(scope="module")
def tokenizer():
    return text.train("sentencepiece", _CAPTIONS, 300)


@pytest.fixture
def take(tokenizer):
    """Batches `first … first + count` of a source."""

    def take(source, count, **changes):
        with _open(source, tokenizer, **changes) as batches:
            return [next(batches) for _ in range(count)]

    return take


def _open(source, tokenizer, **changes):
    arguments = {
        "image_size": _SIZE,
        "crop_size": 0,
        "batch_size": 4,
        "seed": 0,
        "process_index": 0,
        "process_count": 1,
        "workers": 0,
        "start_step": 0,
    }
    return pipeline.batches(
        source, caption_conditioning(TokenReader(tokenizer, _LENGTH)), **arguments | changes
    )


def _assert_same(a, b):
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert x.keys() == y.keys()
        for key in x:
            np.testing.assert_array_equal(x[key], y[key])


def _numbers(batches):
    """Which images a list of batches holds, in order."""
    return np.concatenate([images.to_uint8(b["image"])[:, 0, 0, 0] for b in batches]).tolist()


def _texts(batches):
    return [tuple(t[m]) for b in batches for t, m in zip(b["tokens"], b["mask"], strict=True)]


def test_batches_have_the_promised_shapes_and_ranges(take):
    (batch,) = take(_Numbered(10), 1)
    assert {k: (v.dtype.name, v.shape) for k, v in batch.items()} == {
        "image": ("float32", (4, _SIZE, _SIZE, 3)),
        "replacement": ("bool", (4,)),
        "tokens": ("int32", (4, _LENGTH)),
        "mask": ("bool", (4, _LENGTH)),
    }
    assert -1 <= batch["image"].min() <= batch["image"].max() <= 1
    assert batch["mask"].any(axis=1).all()


def test_every_epoch_shows_every_image_once_in_another_order(take):
    numbers = _numbers(take(_Numbered(12), 9))
    epochs = [numbers[:12], numbers[12:24], numbers[24:]]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_seed_decides(take):
    source = _Numbered(12)
    _assert_same(take(source, 3, seed=5), take(source, 3, seed=5))
    assert _numbers(take(source, 3, seed=5)) != _numbers(take(source, 3, seed=6))
    assert len(take(source, 1, seed=-1)) == 1


def test_captions_are_chosen_anew_every_epoch(take, tokenizer):
    batches = take(_Numbered(1), 20)
    counts = [_texts(batches).count(tuple(tokenizer.encode(c))) for c in _CAPTIONS]
    assert sum(counts) == 80
    assert min(counts) > 10


class _Gradient(_Numbered):
    """Images whose pixels say where they are: red is the row, green the column."""

    def __getitem__(self, i):
        rows, columns = np.indices((8, 8), dtype=np.uint8)
        pixels = np.stack([rows, columns, np.full((8, 8), i, np.uint8)], axis=-1)
        return Example(pixels, _CAPTIONS, {})


@pytest.mark.newest
def test_crops_are_parts_of_an_image_each_time_others(take):
    crops = [
        images.to_uint8(crop)
        for batch in take(_Gradient(2), 60, image_size=8, crop_size=6)
        for crop in batch["image"]
    ]
    starts = [tuple(crop[0, 0, :2].tolist()) for crop in crops]
    for crop, (top, left) in zip(crops, starts, strict=True):
        assert crop.shape == (6, 6, 3)
        assert (crop[..., 0] == top + np.arange(6)[:, None]).all()
        assert (crop[..., 1] == left + np.arange(6)[None]).all()
    assert set(starts) == {(top, left) for top in range(3) for left in range(3)}


@pytest.mark.parametrize("count", [2, 4])
def test_processes_share_the_same_global_batches(take, count):
    source = _Numbered(11)  # not a multiple of anything, and less than three batches
    whole = take(source, 6)
    shares = [take(source, 6, process_index=i, process_count=count) for i in range(count)]
    for step, batch in enumerate(whole):
        for key, value in batch.items():
            together = np.concatenate([share[step][key] for share in shares])
            np.testing.assert_array_equal(together, value)


@pytest.mark.parametrize("workers", [0, 1])
def test_position_is_restored_exactly(take, tokenizer, workers):
    source = _Numbered(11)
    whole = take(source, 9)
    with _open(source, tokenizer, workers=workers, start_step=4) as batches:
        assert batches.state() == {"next_index": 4}
        _assert_same([next(batches) for _ in range(2)], whole[4:6])
        state = pickle.loads(pickle.dumps(batches.state()))
        _assert_same([next(batches)], whole[6:7])
        batches.set_state(state)
        assert batches.state() == state
        _assert_same([next(batches) for _ in range(3)], whole[6:9])


def test_fewer_images_than_a_batch(take):
    numbers = _numbers(take(_Numbered(3), 3, batch_size=8))
    assert [numbers.count(i) for i in range(3)] == [8, 8, 8]


def test_decoded_once_if_it_fits(take, monkeypatch):
    source = _Numbered(8)
    cached = take(source, 20)
    assert source.reads == 8
    _assert_same(take(source, 20), cached)
    assert source.reads == 8, "the next job decodes again"
    monkeypatch.setattr(pipeline, "CACHE_BYTES", 8 * _SIZE * _SIZE * 3 - 1)
    _assert_same(take(source, 20), cached)
    assert source.reads > 80


@pytest.mark.parametrize("workers", [0, 1])
def test_the_next_image_replaces_a_broken_one(take, workers):
    whole, broken = take(_Numbered(8), 4), take(_Numbered(8, broken=3), 4, workers=workers)
    expected = [4 if number == 3 else number for number in _numbers(whole)]
    assert 3 in _numbers(whole)
    assert _numbers(broken) == expected
    replacement = np.concatenate([batch["replacement"] for batch in broken])
    assert replacement.tolist() == [number == 3 for number in _numbers(whole)]


def test_broken_images_are_counted_and_named(take, caplog):
    take(_Numbered(8, broken=3), 8)
    assert [r.getMessage() for r in caplog.records] == [
        "a broken image replaced by others; the last: cannot read the image 3.png: broken"
    ]


def test_where_no_image_can_be_read_the_run_stops(take):
    class AllBroken(_Numbered):
        def __getitem__(self, i):
            raise images.BrokenImage(f"cannot read the image {i}.png: gone")

    with pytest.raises(UserError, match=r"8 consecutive images.*the first: .*\.png: gone"):
        take(AllBroken(8), 1)


class _Away(_Numbered):
    """Images whose numbers are `away` can't be read now; of a set that may change."""

    def __init__(self, count, away):
        super().__init__(count)
        self.away = away

    def __getitem__(self, i):
        if i in self.away:
            raise images.Unavailable(f"cannot read the image {i}.png: no answer")
        return super().__getitem__(i)


def _levels(batches):
    return {round(float((x + 1) * 127.5)) for batch in batches for x in batch["image"][:, 0, 0, 0]}


def test_images_that_are_away_are_replaced_until_they_are_back(tokenizer):
    source = _Away(64, away=set(range(32)))
    with _open(source, tokenizer) as batches:
        some = [next(batches) for _ in range(16)]
        assert _levels(some) <= set(range(32, 64))
        replaced = sum(int(batch["replacement"].sum()) for batch in some)
        assert 0 < replaced < sum(len(batch["replacement"]) for batch in some)
        source.away.clear()
        assert _levels(next(batches) for _ in range(32)) == set(range(64)), "none was kept"


def test_where_all_are_away_it_waits_and_says_so(tokenizer, monkeypatch, caplog):
    monkeypatch.setattr(pipeline, "_PAUSE_S", 0.01)
    source = _Away(8, away=set(range(8)))
    with _open(source, tokenizer) as batches:
        timer = threading.Timer(0.5, source.away.clear)
        timer.start()
        assert len(_levels([next(batches)])) > 1
        timer.join()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("no image can be read, waiting until one can: cannot read the image")


def test_what_waits_for_images_ends_when_it_is_closed(tokenizer, monkeypatch):
    monkeypatch.setattr(pipeline, "_PAUSE_S", 0.05)
    before = set(threading.enumerate())
    batches = _open(_Away(8, away=set(range(8))), tokenizer)

    def take():
        with contextlib.suppress(Exception):
            next(batches)

    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    time.sleep(0.3)
    batches.close()
    deadline = time.monotonic() + 10
    while any(thread is not taker for thread in set(threading.enumerate()) - before):
        assert time.monotonic() < deadline, "a thread still waits"
        time.sleep(0.05)


def test_interrupts_are_the_parents_business(tokenizer):
    with _open(_Numbered(8), tokenizer, workers=1) as batches:
        next(batches)
        children = multiprocessing.active_children()
        assert children
        for child in children:
            assert child.pid
            os.kill(child.pid, signal.SIGINT)  # as Ctrl-C does to the whole process group
        for _ in range(20):
            next(batches)


def test_close_stops_it(tokenizer):
    batches = _open(_Numbered(8), tokenizer)
    next(batches)
    batches.close()
    batches.close()
    with pytest.raises(ValueError, match="closed"):
        next(batches)


def test_nothing_to_read(take):
    with pytest.raises(UserError, match="no images"):
        take(_Numbered(0), 1)


def test_a_batch_must_divide(take):
    with pytest.raises(ValueError, match="multiple"):
        take(_Numbered(8), 1, process_count=3)
