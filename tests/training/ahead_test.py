"""A later job's step, compiled while an earlier one trains, is the step that it would have."""

import dataclasses
import threading

import jax
import numpy as np
import pytest
import tiny

from glide_jax.training import ahead, loop
from glide_jax.training.ahead import Ahead
from glide_jax.training.interrupt import Interrupt

pytestmark = pytest.mark.usefixtures("one_device")


def job(directory, *overrides):
    return tiny.job(directory, tiny.experiment(*overrides), tiny.linear)


def test_it_trains_the_same_and_compiles_nothing_more(tmp_path, monkeypatch):
    later = job(tmp_path / "a")
    expected = loop.train(job(tmp_path / "b"), Interrupt(), None)
    with Ahead([later]) as compiled:
        step = compiled.step_of(later)
    monkeypatch.setattr(loop, "step_of", lambda *_: pytest.fail("it is compiled again"))
    found = loop.train(later, Interrupt(), None, step_function=step)
    for path, value in expected.items():
        np.testing.assert_array_equal(found[path], value, err_msg=path)


def test_what_is_done_or_not_known_yet_is_left_to_its_turn(tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(ahead, "_compiled", lambda job: compiled.append(job.name))
    done = job(tmp_path, "stages.base.training.num_steps=1")
    loop.train(done, Interrupt(), None)
    taught = dataclasses.replace(done, directory=tmp_path / "new", teacher=done.model)
    with Ahead([done, taught]) as steps:
        assert steps.step_of(done) is steps.step_of(taught) is None
    assert compiled == []


@pytest.mark.parametrize(("name", "value"), [("process_count", 2), ("default_backend", "gpu")])
def test_several_processes_and_gpus_compile_at_their_turn(tmp_path, monkeypatch, name, value):
    monkeypatch.setattr(ahead, "_compiled", lambda job: pytest.fail("it is compiled"))
    monkeypatch.setattr(jax, name, lambda: value)
    with Ahead([job(tmp_path)]) as steps:
        assert steps.step_of(job(tmp_path)) is None


def test_what_waits_when_a_run_ends_is_not_compiled(tmp_path, monkeypatch):
    begun = []
    started, goes_on = (threading.Event() for _ in range(2))

    def slow(job):
        begun.append(job.name)
        started.set()
        goes_on.wait(60)

    monkeypatch.setattr(ahead, "_compiled", slow)
    jobs = [dataclasses.replace(job(tmp_path), name=name) for name in ("first", "second")]

    def interrupted():
        with Ahead(jobs):
            started.wait(60)
            threading.Timer(0.2, goes_on.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert begun == ["first"]


def test_an_error_is_raised_at_the_job_s_turn(tmp_path, monkeypatch):
    def fails(job):
        raise ValueError("no such operation")

    monkeypatch.setattr(ahead, "_compiled", fails)
    with Ahead([job(tmp_path)]) as steps, pytest.raises(ValueError, match="no such operation"):
        steps.step_of(job(tmp_path))
