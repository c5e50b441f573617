"""Batches come as they are; where none comes, a run can be stopped all the same."""

import itertools
import threading

import pytest
import tiny

from glide_jax.checkpoints import find_checkpoint
from glide_jax.data.pipeline import Batches
from glide_jax.errors import Interrupted
from glide_jax.training import fetching, loop
from glide_jax.training.fetching import Fetcher
from glide_jax.training.interrupt import Interrupt


def test_batches_come_in_their_order():
    with Fetcher(itertools.count(), lambda: False) as fetcher:
        assert [fetcher.next() for _ in range(5)] == list(range(5))


def test_what_the_iterator_raises_is_raised():
    def broken():
        yield 1
        raise OSError("gone")

    with Fetcher(broken(), lambda: False) as fetcher:
        assert fetcher.next() == 1
        with pytest.raises(OSError, match="gone"):
            fetcher.next()


def test_who_asks_to_stop_waits_for_a_batch_no_longer_than_the_grace(monkeypatch):
    monkeypatch.setattr(fetching, "GRACE_S", 0.1)
    never = threading.Event()

    def blocked():
        yield 1
        never.wait()

    with Fetcher(blocked(), lambda: True) as fetcher:
        assert fetcher.next() == 1
        assert fetcher.next() is None
    never.set()


@pytest.mark.usefixtures("one_device")
def test_a_run_without_data_saves_its_last_step_when_it_is_asked_to_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "GRACE_S", 0.1)
    job = tiny.job(tmp_path, tiny.experiment("stages.base.training.num_steps=9"), tiny.linear)
    never, take = threading.Event(), Batches.__next__
    with Interrupt() as interrupt:

        def some(self):
            if self.state()["next_index"] == 3:
                interrupt._requested = True  # as by Ctrl-C
                never.wait()
            return take(self)

        monkeypatch.setattr(Batches, "__next__", some)
        with pytest.raises(Interrupted, match="stopped after step 3 of 9"):
            loop.train(job, interrupt, None)
    never.set()
    found = find_checkpoint(tmp_path / "checkpoints")
    assert found.step == 3
    assert found.data_state == {"next_index": 3}
    monkeypatch.setattr(Batches, "__next__", take)
    loop.train(job, Interrupt(), None)
    assert [row["step"] for row in tiny.metrics(tmp_path)][-1] == 9
