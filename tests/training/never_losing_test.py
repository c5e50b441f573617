"""Whatever ends a run, nothing is lost: it goes on, and ends where an unbroken one does."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image
from stress import kills

from glide_jax import entry
from glide_jax.checkpoints import find_checkpoint
from glide_jax.errors import UserError
from glide_jax.sampling.grid import save_image
from glide_jax.training import loop
from glide_jax.training.interrupt import Interrupt

NOISE = np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3), np.uint8)
"""An image that PNG can't make small."""


@pytest.mark.slow
def test_killed_again_and_again_while_it_starts_trains_and_saves(tmp_path):
    hit = kills.kill_and_compare(tmp_path, kills=9, seed=0)
    assert min(hit[kind] for kind in kills.KINDS) >= 1
    assert hit["found half-written"] >= 2, "else no kill came while something was written"


@pytest.fixture
def unbroken(tmp_path):
    """A run of ten steps that nothing broke, and how to start its like: (workdir) → Lives."""

    def lives(workdir):
        return kills.Lives(
            workdir, tmp_path / "cache", *kills.OVERRIDES, "stages.base.training.num_steps=10"
        )

    with lives(tmp_path / "unbroken") as run:
        run.start()
        assert run.end() == 0, run.printed()
    return tmp_path / "unbroken", lives


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_after_the_step_that_it_finds(tmp_path, number):
    options = (
        *kills.OVERRIDES,
        "stages.base.training.num_steps=100000",
        "stages.base.training.lr_decay=constant",
    )
    options += (
        "stages.base.training.checkpoint_every_steps=100000",
        "stages.base.training.sample_every_steps=100000",
    )
    with kills.Lives(tmp_path / "run", tmp_path / "cache", *options) as run:
        process = run.start()
        deadline = time.monotonic() + 300
        while not run.file() or run.steps() < 3:
            assert time.monotonic() < deadline, run.printed()
            time.sleep(0.01)
        os.kill(process, number)
        assert run.end() == 130
        step = find_checkpoint(tmp_path / "run" / "checkpoints").step
        assert f"stopped after step {step} of 100000 of base, saved in" in run.printed()
        assert run.steps() == step, "every step that was taken is written and saved, and no more"


HUNG_UP = """
import signal, sys, time
from pathlib import Path
from glide_jax.training.interrupt import Interrupt

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests are run by nohup
with Interrupt() as interrupt:
    print("ready", flush=True)
    while not interrupt.after_step():
        time.sleep(0.01)
    print("saved", flush=True)
    time.sleep(0.5)
Path(sys.argv[1]).write_text("saved")
"""


def test_a_closed_terminal_s_second_signal_and_its_pipes_hinder_no_save(tmp_path):
    """As of `glide-jax train | tee log`, whose terminal, shell and tee all end."""
    command = [sys.executable, "-c", HUNG_UP, str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout.readline() == b"ready\n"
        process.stdout.close()
        try:
            for _ in range(2):
                process.send_signal(signal.SIGHUP)
                time.sleep(0.1)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
    assert (tmp_path / "file").read_text() == "saved"


@pytest.mark.slow
def test_a_disk_that_fills_up_ends_a_run_in_one_line_and_loses_nothing(unbroken, small_disk):
    expected, lives = unbroken
    # Room for one checkpoint of 1.2 MB and what else there is, not for two.
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    filler = small_disk / "filler"
    filler.write_bytes(bytes(free - 2 * 2**20))
    with lives(small_disk / "run") as run:
        run.start()
        assert run.end() == entry.BAD_INPUT
        (error,) = [line for line in run.printed().splitlines() if line.startswith("error: ")]
        assert "the disk is full: step 10 could not be saved" in error
        assert "step 5 is complete" in error
        assert "Traceback" not in run.printed()
        assert find_checkpoint(small_disk / "run" / "checkpoints").step == 5
        filler.unlink()
        run.start()
        assert run.end() == 0, run.printed()
    kills.compare(expected, small_disk / "run")


WORKER = """
import multiprocessing, os, signal, time
import tiny
from glide_jax.data.pipeline import batches

def main():
    options = dict(image_size=8, crop_size=0, batch_size=2, seed=0, process_index=0)
    options |= dict(process_count=1, workers=1, start_step=0)
    with batches(tiny.Swatches(), tiny.conditioning(), **options) as data:
        next(data)
        children = [child.pid for child in multiprocessing.active_children()]
        for child in children:
            os.kill(child, signal.SIGTERM)
        for _ in range(20):
            next(data)
        print(*children, flush=True)
        time.sleep(600)

if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
def test_workers_leave_sigterm_to_the_run_and_end_with_it(tmp_path):
    """Who stops a job tells all of its processes; the run has a step to finish."""
    program = tmp_path / "program.py"
    program.write_text(WORKER)
    tests = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (tests.parent, tests)))}
    command = [sys.executable, str(program)]
    run = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    children = [Path("/proc", child) for child in run.stdout.readline().split()]
    assert children
    run.kill()
    run.wait()
    _until(lambda: not any(child.exists() for child in children))


def train(directory, sampled, *overrides):
    """The weights of a tiny run that samples a grid after step 3 of 6."""
    experiment = tiny.experiment(*overrides)
    grids = loop.SampleGrids(every_steps=3, sample=sampled)
    return loop.train(tiny.job(directory, experiment, tiny.linear), Interrupt(), grids)


def no_images(params, step):
    return np.zeros((1, 8, 8, 3), np.uint8)


def fill(disk: Path) -> None:
    """Leave not a byte."""
    with (disk / "filler").open("wb", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def to_grid(directory, step):
    save_image(NOISE[0], directory / "samples" / f"{step}.png")
    return NOISE


def to_metrics(directory, step):
    return NOISE


@pytest.mark.newest
@pytest.mark.parametrize("writes", [to_grid, to_metrics])
def test_a_disk_that_fills_up_while_a_grid_is_sampled(small_disk, tmp_path, writes):
    directory = small_disk / "run"
    expected = train(tmp_path / "unbroken", no_images)

    def sampled(params, step):
        _until(lambda: find_checkpoint(directory / "checkpoints"))
        fill(small_disk)
        return writes(directory, step)

    what = r"\S*3\.png" if writes is to_grid else r"\S*tensorboard"
    message = f"can't write {what}: No space left on device; .*; it continues from step 3$"
    with pytest.raises(UserError, match=message):
        train(directory, sampled)
    assert not list(directory.rglob("*.part"))
    (small_disk / "filler").unlink()
    resumed = train(directory, lambda params, step: writes(directory, step))
    assert all(np.array_equal(resumed[path], value) for path, value in expected.items())


def test_an_image_that_a_full_disk_refuses_is_one_line(tmp_path, monkeypatch):
    """As above where no small disk can be made: without root."""

    def refuse(self, file, **options):
        Path(file).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Image.Image, "save", refuse)
    message = r"can't write \S*3\.png: No space left on device; .*; it continues from step 3$"
    with pytest.raises(UserError, match=message):
        train(tmp_path, lambda params, step: to_grid(tmp_path, step))
    assert not list(tmp_path.rglob("*.part"))


def test_a_checkpoint_comes_before_the_grid_of_its_step(tmp_path):
    """Sampling may take longer than whoever stops a run waits."""
    seen = []

    def sampled(params, step):
        _until(lambda: find_checkpoint(tmp_path / "checkpoints"))
        seen.append((step, find_checkpoint(tmp_path / "checkpoints").step))
        return no_images(params, step)

    train(tmp_path, sampled)
    assert seen == [(3, 3)]


@pytest.mark.newest
def test_a_grid_that_was_not_sampled_is_sampled_when_the_run_continues(tmp_path):
    def broken(params, step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, broken)
    seen = []
    train(tmp_path, lambda params, step: seen.append(step) or no_images(params, step))
    assert seen == [3]


def _until(holds):
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
