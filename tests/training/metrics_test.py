"""Figures come back as they were written, and a resumed run leaves no line twice."""

import io
import json
import struct

import numpy as np
import pytest
from PIL import Image
from tensorboardX.proto.event_pb2 import Event, SessionLog

from glide_jax.errors import UserError
from glide_jax.training.metrics import Metrics


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
    with Metrics(tmp_path / "run", first_step=1) as metrics:
        metrics.write(1, {"loss": 0.5, "grad_norm": np.float32(2)})
        metrics.write(20, {"loss": float("nan"), "pictures_per_s": 7.25})
    assert lines(tmp_path / "run") == [
        {"step": 1, "loss": 0.5, "grad_norm": 2.0},
        {"step": 20, "loss": None, "pictures_per_s": 7.25},
    ]


def test_a_line_can_be_read_as_soon_as_it_is_written(tmp_path):
    with Metrics(tmp_path, first_step=1) as metrics:
        metrics.write(1, {"loss": 0.5})
        assert lines(tmp_path) == [{"step": 1, "loss": 0.5}]


def test_a_resumed_run_drops_what_it_writes_again(tmp_path):
    with Metrics(tmp_path, first_step=1) as metrics:
        for step in (1, 2, 3, 4):
            metrics.write(step, {"loss": step})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')
    with Metrics(tmp_path, first_step=3) as metrics:
        metrics.write(3, {"loss": 30})
    assert [line["loss"] for line in lines(tmp_path)] == [1, 2, 30]
    # TensorBoard drops them itself, where it is told of a restart.
    starts = [e.step for e in events(tmp_path) if e.session_log.status == SessionLog.START]
    assert starts == [1, 3]


def test_tensorboard_has_the_scalars(tmp_path):
    with Metrics(tmp_path, first_step=1) as metrics:
        metrics.write(7, {"loss": 0.5, "grad_norm": 2.0})
    written = [(e.step, v.tag, v.simple_value) for e in events(tmp_path) for v in e.summary.value]
    assert written == [(7, "loss", 0.5), (7, "grad_norm", 2.0)]


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (3, 2, 2), (4, 2, 2), (5, 2, 3)])
def test_tensorboard_has_the_pictures_side_by_side(tmp_path, count, rows, columns):
    pictures = np.random.default_rng(0).integers(1, 256, (count, 4, 6, 3), np.uint8)
    with Metrics(tmp_path, first_step=1) as metrics:
        metrics.picture(3, "samples", pictures)
    (value,) = (v for e in events(tmp_path) for v in e.summary.value)
    assert (value.tag, value.image.height, value.image.width) == ("samples", rows * 4, columns * 6)
    sheet = np.array(Image.open(io.BytesIO(value.image.encoded_image_string)))
    for i, picture in enumerate(pictures):
        y, x = i // columns * 4, i % columns * 6
        np.testing.assert_array_equal(sheet[y : y + 4, x : x + 6], picture)
    assert (sheet > 0).sum() == pictures.size


def test_a_directory_that_can_not_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"can't write metrics in .*/file: Not a directory; put"):
        Metrics(tmp_path / "file", first_step=1)


def test_a_full_disk(tmp_path):
    metrics = Metrics(tmp_path, first_step=1)
    metrics._lines.close()
    metrics._lines = open("/dev/full", "w")  # noqa: SIM115
    with pytest.raises(UserError, match=r"can't write metrics in .*: No space left on device"):
        metrics.write(1, {"loss": 1.0})
    with pytest.raises(UserError, match="No space left on device"):
        metrics.close()
