"""A line of metrics says what its steps gave, how fast, and what was broken."""

import dataclasses
import gzip
import json

import pytest
import tiny

from glide_jax.data import images
from glide_jax.training import loop
from glide_jax.training.interrupt import Interrupt


class Broken(tiny.Swatches):
    """A quarter of the images can't be read."""

    def __getitem__(self, i):
        if i % 4 == 0:
            raise images.BrokenImage(f"cannot read {i}")
        return super().__getitem__(i)


def train(directory, *overrides, source=None, mfu=None):
    experiment = tiny.experiment("stages.base.training.batch_size=24", *overrides)
    job = tiny.job(directory, experiment, tiny.linear)
    job = dataclasses.replace(job, source=source or job.source, mfu=mfu)
    loop.train(job, Interrupt(), None)
    return tiny.metrics(directory)


@pytest.mark.newest
def test_replacements_of_broken_images_are_counted(tmp_path):
    """Of the 24 images, each once an epoch, which is a batch here."""
    rows = train(tmp_path, source=Broken())
    assert [(row["step"], row["replacements"]) for row in rows] == [
        (1, 6),
        (2, 6),
        (4, 12),
        (6, 12),
    ]


def test_figures_of_speed(tmp_path):
    rows = train(tmp_path, mfu=lambda steps_per_s: steps_per_s / 1e6)
    assert "images_per_s" not in rows[0], "it compiled"
    for row in rows[1:]:
        assert row["mfu"] == pytest.approx(row["images_per_s"] / 24 / 1e6)
        assert 0 <= row["input_wait"] <= 1


@pytest.mark.slow
def test_a_trace_of_the_steps_that_are_named(tmp_path, capfd):
    train(tmp_path, "monitoring.profile_steps=(3, 4)")
    assert "a trace of steps 3 to 4" in capfd.readouterr().out
    assert list(tmp_path.glob("profile/plugins/profile/*/*.xplane.pb")), "what TensorBoard reads"
    (trace,) = tmp_path.glob("profile/plugins/profile/*/perfetto_trace.json.gz")
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    steps = {e["args"]["step_num"] for e in events if e.get("name") == "train"}
    assert {int(step) for step in steps} == {3, 4}


def test_a_trace_that_the_run_ends_in_is_written(tmp_path):
    train(tmp_path, "monitoring.profile_steps=(6, 100)", "stages.base.training.num_steps=6")
    assert list(tmp_path.glob("profile/plugins/profile/*/*.xplane.pb"))
