"""A run in a bucket is the run on a disk: stopped, killed, refused, it goes on bit for bit."""

import dataclasses
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from evaluation import evaluation_toys
from evaluation.periodic_test import experiment as evaluated_experiment
from refusals import refused

from glide_jax import data
from glide_jax.checkpoints import Checkpoints, find_checkpoint, open_checkpoint
from glide_jax.checkpoints.markers import marked_steps, marker_name, step_of
from glide_jax.evaluation import features, periodic
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.storage import Spool, spool, storage_path
from glide_jax.training import loop
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.monitoring.metrics import Metrics

EVERY_2 = (
    "stages.base.training.checkpoint_every_steps=2",
    "stages.base.training.log_every_steps=1",
    "stages.base.training.keep_checkpoints=2",
)


def no_images(params, step):
    return np.zeros((1, 8, 8, 3), np.uint8)


def train(directory, sampled=no_images, *overrides):
    """The weights of a tiny run with a checkpoint every other step, and a grid after step 3."""
    experiment = tiny.experiment(*EVERY_2, *overrides)
    grids = loop.SampleGrids(every_steps=3, sample=sampled)
    return loop.train(tiny.job(directory, experiment, tiny.linear), Interrupt(), grids)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The weights and the losses of a run on a disk that nothing broke."""
    directory = tmp_path_factory.mktemp("unbroken") / "base"
    return train(directory), losses(directory)


def losses(directory):
    return [(row["step"], row["loss"]) for row in tiny.metrics(directory)]


def assert_same(weights, directory, unbroken):
    expected, expected_losses = unbroken
    assert all(np.array_equal(weights[path], value) for path, value in expected.items())
    assert losses(directory) == expected_losses


def test_a_run_that_was_stopped_goes_on_bit_for_bit(store, unbroken):
    directory = storage_path(store.url("runs/1/base"))

    def stopped(params, step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(directory, stopped)
    assert find_checkpoint(directory / "checkpoints").step == 3
    assert losses(directory)[-1][0] == 3
    # What a killed save leaves: no marker.
    (directory / "checkpoints" / "5" / "state" / "_METADATA").write_text("half")
    assert_same(train(directory), directory, unbroken)
    names = sorted(path.name for path in (directory / "checkpoints").iterdir())
    assert names == ["4", marker_name(4, 0, 1), "6", marker_name(6, 0, 1)]
    assert len(list((directory / "tensorboard").iterdir())) == 2


def test_what_is_sampled_is_fetched_and_nothing_else(store):
    directory = storage_path(store.url("runs/1/base/checkpoints"))
    weights = {"out.kernel": jnp.arange(6.0).reshape(2, 3)}
    parts = ("params", "ema_params", "opt_state")
    with Checkpoints(directory, keep=1, experiment=tiny.experiment(), tokenizer={}) as checkpoints:
        checkpoints.save(1, dict.fromkeys(parts, weights), {})
    store.faults.requests.clear()
    checkpoint = open_checkpoint(directory)
    shapes = checkpoint.shapes("ema_params")
    found = checkpoint.weights("ema_params", shapes)
    assert np.array_equal(found["out.kernel"], weights["out.kernel"])
    got = [path.replace("%2F", "/") for method, path in store.faults.requests if method == "GET"]
    chunks = [path for path in got if "/state/" in path and "/.z" not in path]
    assert any("/state/ema_params/" in path for path in chunks)
    assert not any(f"/state/{part}/" in path for path in chunks for part in ("params", "opt_state"))


@pytest.mark.slow
def test_a_store_that_is_unsteady_delays_a_run_and_ends_none(store, unbroken):
    directory = storage_path(store.url("runs/1/base"))
    store.faults.slow_s = 0.005
    left = 4

    def unsteady(method, path):
        nonlocal left
        if method in ("PUT", "POST") and left and len(store.faults.requests) % 20 == 0:
            left -= 1
            store.faults.unavailable = 1

    store.faults.before = unsteady
    weights = train(directory)
    assert left < 4
    store.faults.mend()
    assert_same(weights, directory, unbroken)


@pytest.mark.slow
def test_a_bucket_that_vanishes_ends_the_run_with_nothing_lost(store, unbroken, capsys):
    directory = storage_path(store.url("runs/1/base"))

    def vanished(params, step):
        store.vanish()
        return no_images(params, step)

    message = refused(
        lambda: train(directory, vanished),
        "there is no bucket",
        "could not be saved in",
        "run the same command again",
    )
    step, kept = message.split("; step ")[1].split(",")[0].split(" is in ")
    store.make()
    for file in Path(kept).rglob("*"):
        if file.is_file():
            name = file.relative_to(kept).as_posix()
            (directory / "checkpoints" / name).write_bytes(file.read_bytes())
    assert find_checkpoint(directory / "checkpoints").step == int(step)
    weights = train(directory)
    expected, _ = unbroken
    assert all(np.array_equal(weights[path], value) for path, value in expected.items())


@pytest.mark.slow
def test_metrics_that_can_t_be_written_end_no_run(store, unbroken, monkeypatch, caplog):
    directory = storage_path(store.url("runs/1/base"))
    put_file = spool.put_file

    def refuse(file, target):
        if "metrics" in target.name:
            raise PermissionError(13, "access is denied", str(target))
        put_file(file, target)

    monkeypatch.setattr(spool, "put_file", refuse)
    with caplog.at_level("WARNING"):
        weights = train(directory)
    expected, _ = unbroken
    assert all(np.array_equal(weights[path], value) for path, value in expected.items())
    *_, last = [line for line in caplog.messages if "metrics" in line or "newest files" in line]
    assert "access is denied" in last
    kept = Path(last.rpartition(" ")[2]) / "metrics.jsonl"
    assert kept.read_text().count("\n") == 6


def below(directory):
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*")}


@pytest.mark.slow
def test_events_and_a_trace_lie_beside_the_checkpoints(store):
    directory = storage_path(store.url("runs/1/base"))
    train(
        directory,
        no_images,
        "monitoring.sinks=('jsonl', 'tensorboard')",
        "monitoring.profile_steps=(2, 3)",
        "stages.base.training.num_steps=4",
    )
    names = below(directory)
    assert "metrics.jsonl" in names
    assert any(name.startswith("tensorboard/") for name in names)
    assert any(name.endswith("perfetto_trace.json.gz") for name in names)


@pytest.mark.slow
def test_weights_and_biases_goes_on_in_a_bucket(store, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    directory = storage_path(store.url("runs/1/base"))
    for first in (1, 3):
        with Metrics(directory, first, ["wandb"]) as metrics:
            metrics.write(first, {"loss": 0.5})
            assert metrics._sinks[0]._run.name == "1/base"
    run_id = (directory / "wandb_id").read_text()
    files = [name for name in below(directory) if name.endswith(".wandb")]
    assert len({Path(name).name for name in files}) == 1
    assert all(run_id in name for name in files)


@pytest.mark.slow
def test_evaluations_during_training_and_the_best_weights(store, monkeypatch):
    monkeypatch.setattr(data, "open_source", lambda name, path, split: tiny.Swatches())
    monkeypatch.setitem(
        features.FEATURE_NETS, "toy", lambda path, *, resize, mesh: evaluation_toys.net("toy")
    )
    monkeypatch.setattr(periodic, "sampled", lambda *_: evaluation_toys.images(4))
    workdir = storage_path(store.url("runs/1"))
    job = tiny.job(workdir / "base", evaluated_experiment(), tiny.linear)
    stage = evaluation_toys.stage()
    params = {path: jnp.asarray(x) for path, x in stage.params.items()}
    stage = dataclasses.replace(stage, step=2, params=params)
    periodic.periodic_of(job, workdir).evaluate(Pipeline((stage,)), 2)
    assert find_checkpoint(workdir / "best" / "base" / "checkpoints").step == 2
    again = periodic.periodic_of(job, workdir)
    assert again.is_done(2)
    assert not again.is_done(4)


def test_markers_of_all_processes_make_a_checkpoint():
    names = [marker_name(2, i, 2) for i in range(2)] + [marker_name(4, 0, 2), marker_name(6, 0, 1)]
    assert marked_steps([*names, "2", "4", "6", "8", "x"]) == [2, 6]
    assert marked_steps([]) == []
    assert [step_of(name) for name in ("12", names[0], "x", "2.complete-0", "-1")] == [
        12,
        2,
        None,
        None,
        None,
    ]


def test_a_local_spool_is_its_folder(tmp_path):
    with Spool(tmp_path, continued=["a"]) as spooled:
        assert spooled.folder == tmp_path
        spooled.flush()


def test_a_spool_copies_by_time_what_has_changed(store, monkeypatch):
    monkeypatch.setattr(spool, "EVERY_S", 0.05)
    directory = storage_path(store.url("runs/1"))
    (directory / "old.txt").write_text("1\n")
    with Spool(directory, continued=["old.txt", "none.txt"]) as spooled:
        file = spooled.folder / "old.txt"
        assert file.read_text() == "1\n"
        assert not (spooled.folder / "none.txt").exists()
        with file.open("a") as lines:
            lines.write("2\n")
        spooled.flush()
        assert (directory / "old.txt").read_text() == "1\n2\n"
        store.faults.requests.clear()
        time.sleep(0.3)
        assert not [m for m, _ in store.faults.requests if m in ("PUT", "POST")]
        (spooled.folder / "b").mkdir()
        (spooled.folder / "b" / "new.txt").write_text("new")
    assert (directory / "b" / "new.txt").read_text() == "new"
    assert not spooled.folder.exists()


def test_a_slow_store_does_not_make_the_steps_wait(store):
    """10 ms a request: what a step and a line of metrics wait for is not the bucket."""
    store.faults.slow_s = 0.01
    directory = storage_path(store.url("runs/1/base"))
    with Metrics(directory, 1, ("jsonl", "tensorboard")) as metrics:
        store.faults.requests.clear()
        for step in range(1, 101):
            metrics.write(step, {"loss": 1 / step})
        assert not store.faults.requests
    assert len(tiny.metrics(directory)) == 100
    writes = [path for method, path in store.faults.requests if method in ("PUT", "POST")]
    assert len(writes) == 2, "each file once"
