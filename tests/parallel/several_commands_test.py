"""`glide-jax sample` and `evaluate` in two processes give what they give in one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xla_flags
from evaluation import evaluation_toys
from PIL import Image
from several_processes_test import finish, free_address

PROGRAM = Path(__file__).with_name("one_of_several_commands.py")
EVALUATE = "evaluate --split test --reference train --net toy --guidance-scale 1 --num-images 7"
METRICS = "--metrics=fid,kid,precision_recall,inception_score,bits_per_dim"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    with evaluation_toys.workdir_of(tmp_path_factory.mktemp("run")) as path:
        yield path


def start(workdir, count, words, *, joined=True, **environment):
    """The processes of a command, a device each."""
    tests = PROGRAM.parents[1]
    environment = os.environ | environment
    environment |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": xla_flags.quick_cpu(1)}
    environment |= {"PYTHONPATH": f"{tests.parent}:{tests}"}
    several = [f"--num-processes={count}"] * (count > 1)
    several += [f"--coordinator={free_address()}"] * (count > 1 and joined)
    command = [sys.executable, PROGRAM, workdir, *words, *several]
    return [
        subprocess.Popen(
            [*command, *[f"--process-id={i}"][: len(several)]],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(count)
    ]


def pixels(folder):
    return {
        path.relative_to(folder): np.asarray(Image.open(path)).astype(int)
        for path in sorted(folder.rglob("*.png"))
    }


def assert_same(folder, other):
    images, others = pixels(folder), pixels(other)
    assert images.keys() == others.keys()
    assert images
    for path, image in images.items():
        assert np.abs(image - others[path]).max() <= 1, path  # each device's rows may round so


@pytest.mark.slow
@pytest.mark.parametrize("fsdp", ["0", "2"], ids=["copies", "sharded weights"])
def test_two_processes_sample_what_one_does(workdir, fsdp, tmp_path):
    words = ["sample", "red square", "blue square", "--num-images=3", "--out"]
    finish(start(workdir, 1, [*words, tmp_path / "one"]))
    first, second = finish(start(workdir, 2, [*words, tmp_path / "two"], FSDP=fsdp))
    assert_same(tmp_path / "one", tmp_path / "two")
    assert "step 3/3" in first
    assert "step 3/3" not in second
    assert ".png" not in second, "only the first says what it has written"


@pytest.mark.slow
def test_two_processes_evaluate_what_one_does(workdir, tmp_path):
    words, found = [*EVALUATE.split(), METRICS, "--out"], {}
    for count in (1, 2):
        folder = tmp_path / str(count)
        outputs = finish(start(workdir, count, [*words, folder]))
        assert "frechet (toy)" in outputs[0]
        found[count] = json.loads((folder / "results.json").read_text())
    assert "toy" not in outputs[1]
    assert_same(tmp_path / "1", tmp_path / "2")
    metrics = {count: sets["test, guidance 1"]["metrics"] for count, sets in found.items()}
    assert metrics[1].keys() == {"fid", "kid", "precision_recall", "inception_score"}
    for name, metric in metrics[1].items():
        for key, value in metric["values"].items():
            other = metrics[2][name]["values"][key]
            # Of the same images it would be the same to the last bit.
            assert other == pytest.approx(value, rel=1e-3), key
    bits = {count: sets["test"]["metrics"]["bits_per_dim"] for count, sets in found.items()}
    for name, value in bits[1]["values"].items():
        assert bits[2]["values"][name]["value"] == pytest.approx(value["value"], rel=1e-5)


@pytest.mark.slow
def test_processes_that_have_only_the_folder_in_common_share_the_images(workdir, tmp_path):
    words = [*EVALUATE.split(), "--metrics=kid", "--out"]
    finish(start(workdir, 1, [*words, tmp_path / "one"]))
    processes = start(workdir, 2, [*words, tmp_path / "two"], joined=False)
    first, second = finish(processes)
    assert_same(tmp_path / "one", tmp_path / "two")
    results = [json.loads((tmp_path / n / "results.json").read_text()) for n in ("one", "two")]
    assert results[0] == results[1]
    assert "7 images of 8×8" in first
    assert "images of 8×8" not in second
