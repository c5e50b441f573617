"""The acceptance script for accelerators: small, on this CPU; a part that fails or hangs alone."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import xla_flags

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "accelerator.py"


def run(out, *more):
    command = [sys.executable, str(SCRIPT), f"--out={out}", "--smoke", *more]
    one_device = os.environ | {"XLA_FLAGS": xla_flags.quick_cpu(1)}
    options = {"capture_output": True, "text": True, "cwd": ROOT, "check": False}
    return subprocess.run(command, env=one_device, **options)


@pytest.mark.slow
def test_every_part_says_what_it_found(tmp_path):
    done = run(tmp_path / "out")
    found = json.loads((tmp_path / "out" / "accelerator.json").read_text())["parts"]
    page = (tmp_path / "out" / "accelerator.md").read_text()
    assert "Traceback" not in done.stderr
    for name, part in found.items():
        assert f"## {name}" in page
        if name == "emoji" and "font" in (tmp_path / "out" / "emoji.log").read_text():
            continue  # the machine has no colour-emoji font, and the page says so
        assert part["status"] == "complete", (name, part["status"])
    results = {name: part["results"] for name, part in found.items()}
    assert results["golden"]["tiny_base"]["float32"] < 1e-3
    assert results["golden"]["tiny_base"]["float32"] < results["golden"]["tiny_base"]["bfloat16"]
    assert results["golden"]["tiny_base"]["bfloat16"] < 0.1
    assert results["sampling"]["batch 1"]["ms an image"] > 0
    assert results["training"]["batch 2 a device"]["images/s"] > 0
    assert results["training"]["largest batch a device that ran"] == 2


@pytest.fixture
def script(monkeypatch):
    """The script's functions, with a part that is found beside them."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return runpy.run_path(str(SCRIPT))


PARTS = {
    "fails": "    yield 'first', 1.5\n    raise RuntimeError('no such kernel')\n",
    "hangs": "    yield 'first', {'ms': 2}\n    import time\n    time.sleep(600)\n",
    "dies": "    yield 'first', 'x'\n    import os\n    os.kill(os.getpid(), 9)\n",
}


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("fails", "failed with status 1: RuntimeError: no such kernel"),
        ("hangs", "stopped after its 5 s"),
        ("dies", "failed with status -9"),
    ],
)
def test_a_part_that_does_not_end_well_loses_nothing(tmp_path, name, status):
    """A copy of the script whose only part is this."""
    folder = tmp_path / "benchmarks"
    (folder / "accelerator_suite").mkdir(parents=True)
    (folder / "accelerator_suite" / "__init__.py").touch()
    (folder / "accelerator_suite" / f"{name}.py").write_text(
        f"def run(out, *, smoke):\n{PARTS[name]}"
    )
    text = SCRIPT.read_text("utf-8").replace('    "device": 40,\n', f'    "{name}": 1,\n')
    copy = folder / "accelerator.py"
    copy.write_text(text)
    command = [sys.executable, str(copy), f"--out={tmp_path / 'out'}", "--smoke"]
    done = subprocess.run(
        [*command, f"--parts={name}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == (name != "hangs"), done.stderr
    found = json.loads((tmp_path / "out" / "accelerator.json").read_text())["parts"][name]
    assert found["status"].startswith(status)
    assert "first" in found["results"]
    assert status in (tmp_path / "out" / "accelerator.md").read_text()


def test_all_parts_together_take_less_than_twelve_minutes(script):
    assert sum(script["PARTS"].values()) < 12 * 60
    there = {f.stem for f in (SCRIPT.parent / "accelerator_suite").glob("*.py")}
    assert set(script["PARTS"]) <= there
