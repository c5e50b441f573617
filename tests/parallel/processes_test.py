"""Of several processes the first writes, and no other."""

import json

import jax
import numpy as np
import pytest

from glide_jax.evaluation.summary import update_summary
from glide_jax.parallel.processes import by_first_process
from glide_jax.sampling.grid import save_image
from glide_jax.training.monitoring.metrics import Metrics


def write_everything(directory):
    with Metrics(directory, 1, ["jsonl", "tensorboard"]) as metrics:
        metrics.write(1, {"loss": 0.5})
        metrics.image(1, "samples", np.zeros((1, 4, 4, 3), np.uint8))
    save_image(np.zeros((4, 4, 3), np.uint8), directory / "samples" / "00000001.png")
    update_summary(directory, {"seconds": 1})


def test_the_first_process_writes_what_all_of_them_have(tmp_path):
    write_everything(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "metrics.jsonl",
        "tensorboard",
        "samples",
        "summary.json",
    }
    assert json.loads((tmp_path / "summary.json").read_text()) == {"seconds": 1}


def test_another_process_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    write_everything(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_wrapped_gets_its_arguments_and_keeps_its_name():
    seen = []

    @by_first_process
    def write(a, *, b):
        """Says what it writes."""
        seen.append((a, b))

    write(1, b=2)
    assert seen == [(1, 2)]
    assert (write.__name__, write.__doc__) == ("write", "Says what it writes.")
    with pytest.raises(TypeError):
        write(1)
