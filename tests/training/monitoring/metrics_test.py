"""Figures come back as they were written, and a resumed run leaves no line twice."""

import io
import json
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tensorboardX.proto.event_pb2 import Event, SessionLog

from glide_jax.errors import UserError
from glide_jax.training.monitoring.metrics import Metrics
from glide_jax.training.monitoring.sinks import SINKS

BOTH = ("jsonl", "tensorboard")


def lines(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def events(directory):
    """Every event of the TensorBoard files: records of length, checksum, bytes, checksum."""
    for path in sorted((directory / "tensorboard").iterdir()):
        data = io.BytesIO(path.read_bytes())
        while header := data.read(12):
            (length,) = struct.unpack("Q", header[:8])
            yield Event.FromString(data.read(length))
            data.read(4)


def test_a_line_a_step(tmp_path):
    with Metrics(tmp_path / "run", 1, BOTH) as metrics:
        metrics.write(1, {"loss": 0.5, "grad_norm": np.float32(2)})
        metrics.write(20, {"loss": float("nan"), "images_per_s": 7.25})
    assert lines(tmp_path / "run") == [
        {"step": 1, "loss": 0.5, "grad_norm": 2.0},
        {"step": 20, "loss": None, "images_per_s": 7.25},
    ]


def test_a_line_can_be_read_as_soon_as_it_is_written(tmp_path):
    with Metrics(tmp_path, 1, BOTH) as metrics:
        metrics.write(1, {"loss": 0.5})
        assert lines(tmp_path) == [{"step": 1, "loss": 0.5}]


def test_a_resumed_run_drops_what_it_writes_again(tmp_path):
    with Metrics(tmp_path, 1, BOTH) as metrics:
        for step in (1, 2, 3, 4):
            metrics.write(step, {"loss": step})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')
    with Metrics(tmp_path, 3, BOTH) as metrics:
        metrics.write(3, {"loss": 30})
    assert [line["loss"] for line in lines(tmp_path)] == [1, 2, 30]
    # TensorBoard drops them itself, where it is told of a restart.
    starts = [e.step for e in events(tmp_path) if e.session_log.status == SessionLog.START]
    assert starts == [1, 3]


def test_tensorboard_has_the_scalars(tmp_path):
    with Metrics(tmp_path, 1, BOTH) as metrics:
        metrics.write(7, {"loss": 0.5, "grad_norm": 2.0})
    written = [(e.step, v.tag, v.simple_value) for e in events(tmp_path) for v in e.summary.value]
    assert written == [(7, "loss", 0.5), (7, "grad_norm", 2.0)]


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (3, 2, 2), (4, 2, 2), (5, 2, 3)])
def test_tensorboard_has_the_images_side_by_side(tmp_path, count, rows, columns):
    images = np.random.default_rng(0).integers(1, 256, (count, 4, 6, 3), np.uint8)
    with Metrics(tmp_path, 1, BOTH) as metrics:
        metrics.image(3, "samples", images)
    (value,) = (v for e in events(tmp_path) for v in e.summary.value)
    assert (value.tag, value.image.height, value.image.width) == ("samples", rows * 4, columns * 6)
    sheet = np.array(Image.open(io.BytesIO(value.image.encoded_image_string)))
    for i, image in enumerate(images):
        y, x = i // columns * 4, i % columns * 6
        np.testing.assert_array_equal(sheet[y : y + 4, x : x + 6], image)
    assert (sheet > 0).sum() == images.size


def test_a_directory_that_can_not_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"can't write .*/file: File exists; put"):
        Metrics(tmp_path / "file", 1, BOTH)


def test_a_full_disk(tmp_path):
    metrics = Metrics(tmp_path, 1, ["jsonl"])
    (sink,) = metrics._sinks
    sink._file.close()
    sink._file = open("/dev/full", "w")  # noqa: SIM115
    with pytest.raises(UserError, match=r"can't write .*jsonl: No space left on device"):
        metrics.write(1, {"loss": 1.0})
    with pytest.raises(UserError, match="No space left on device"):
        metrics.close()


def test_figures_go_where_the_config_says(tmp_path):
    for sinks, files in (
        ([], set()),
        (["jsonl"], {"metrics.jsonl"}),
        (["tensorboard"], {"tensorboard"}),
    ):
        directory = tmp_path / "-".join(["run", *sinks])
        with Metrics(directory, 1, sinks) as metrics:
            metrics.write(1, {"loss": 0.5})
            metrics.image(1, "samples", np.zeros((1, 4, 4, 3), np.uint8))
        assert {path.name for path in directory.iterdir()} == files


def test_the_sinks_names_are_known_without_importing_any():
    program = "import sys; from glide_jax.training.monitoring.metrics import SINKS; print(*SINKS);"
    program += "assert not {'tensorboardX', 'wandb'} & set(sys.modules)"
    program = program.replace("metrics import", "sinks import")
    names = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert names.stdout.split() == list(SINKS), names.stderr


def test_weights_and_biases_where_it_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"not installed: pip install 'glide_jax\[wandb\]'"):
        Metrics(tmp_path, 1, ["wandb"])


@pytest.mark.slow
def test_weights_and_biases_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for first in (1, 3):
        with Metrics(tmp_path / "run" / "base", first, ["wandb"]) as metrics:
            metrics.write(first, {"loss": 0.5, "loss_q1": float("nan")})
            metrics.image(first, "samples", np.zeros((2, 4, 4, 3), np.uint8))
    files = list((tmp_path / "run" / "base" / "wandb").glob("offline-run-*/*.wandb"))
    kept = (tmp_path / "run" / "base" / "wandb_id").read_text()
    assert len(files) == 2
    assert all(kept in file.name and b"loss_q1" in file.read_bytes() for file in files)
