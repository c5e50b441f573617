"""A command starts again with huge pages, once, with its own words; without any it goes on."""

import json
import os
import subprocess
import sys

import pytest

from glide_jax import cli, huge_pages, main

PROGRAM = """
import json, os, sys
from glide_jax import huge_pages
print("started", file=sys.stderr)
huge_pages._can_ask = lambda: True
huge_pages.restart_with_huge_pages()
print(json.dumps([os.environ.get("GLIBC_TUNABLES"), sys.argv[1:]]))
"""


@pytest.mark.parametrize(
    ("given", "expected", "starts"),
    [
        (None, "glibc.malloc.hugetlb=1", 2),
        ("glibc.malloc.perturb=0", "glibc.malloc.perturb=0:glibc.malloc.hugetlb=1", 2),
        ("glibc.malloc.hugetlb=0", "glibc.malloc.hugetlb=0", 1),
    ],
)
def test_it_starts_again_once_with_its_own_words(given, expected, starts):
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    environment |= {"GLIBC_TUNABLES": given} if given else {}
    command = [sys.executable, "-c", PROGRAM, "a b", "--c=é"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [expected, ["a b", "--c=é"]]
    assert done.stderr.count("started") == starts


@pytest.mark.parametrize("pages", ["[always] madvise never", "always madvise [never]", None])
def test_where_they_can_t_be_had_on_request_nothing_is_done(pages, tmp_path, monkeypatch):
    file = tmp_path / "enabled"
    if pages:
        file.write_text(pages)
    monkeypatch.setattr(huge_pages, "_PAGES", file)
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("it starts again"))
    huge_pages.restart_with_huge_pages()


def test_an_older_or_another_c_library_isn_t_asked(tmp_path, monkeypatch):
    file = tmp_path / "enabled"
    file.write_text("always [madvise] never")
    monkeypatch.setattr(huge_pages, "_PAGES", file)
    for version, asks in {"glibc 2.36": True, "glibc 2.35": True, "glibc 2.31": False}.items():
        monkeypatch.setattr(os, "confstr", lambda name, version=version: version)
        assert huge_pages._can_ask() == asks
    monkeypatch.delattr(os, "confstr")
    assert not huge_pages._can_ask()


@pytest.mark.parametrize("module", [cli, main])
def test_a_command_asks_and_what_is_called_from_python_does_not(module, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "restart_with_huge_pages", lambda: asked.append(1))
    monkeypatch.setattr(sys, "argv", ["glide-jax", "--no-such"])
    assert module.main(["--no-such"]) == 2
    assert asked == []
    assert module.main() == 2
    assert asked == [1]
