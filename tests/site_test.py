"""What the site is made of: its navigation, the maths page, the models page, and a strict build."""

import importlib
import json
import math
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from glide_jax.evaluation.maths.intervals import Interval
from glide_jax.experiments.registry import find_claim
from glide_jax.experiments.verdict import Finding, verdict
from glide_jax.interop import released

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def script(name):
    return runpy.run_path(str(DOCS / f"{name}.py"))


def read(name):
    return (DOCS / name).read_text("utf-8")


def test_every_page_is_in_the_navigation():
    named = set(re.findall(r": ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.M))
    assert {page.name for page in DOCS.glob("*.md")} - named == set()
    assert [page for page in named if not ((DOCS / page).exists() or (ROOT / page).exists())] == []


def test_every_image_is_in_the_gallery():
    text = read("gallery.md")
    assert [image.name for image in DOCS.glob("*.png") if f"({image.name})" not in text] == []


def test_every_function_beside_the_maths_exists_and_is_in_the_reference():
    named = script("equations")["named_functions"](read("maths.md"))
    modules = {path for paths in script("make_api")["MODULES"].values() for path in paths}
    assert len(named) > 30
    for module, name in named:
        found = getattr(importlib.import_module(module), name)
        assert found.__module__ == module, name
        assert found.__doc__, name
        assert f"{module.removeprefix('glide_jax.').replace('.', '/')}.py" in modules


def test_every_equation_has_a_function():
    text = read("maths.md")
    blocks = set(re.findall(r"^\$\$\n.*?\n\$\$$", text, re.M | re.S))
    found = {one for own in script("equations")["equations_of"](text).values() for one in own}
    assert len(blocks) > 25
    assert blocks - found == set()


def test_an_equation_belongs_to_the_functions_of_the_next_paragraph_that_names_one():
    page = (
        "# A\n\n$$\na\n$$\n\nand\n\n$$\nb\n$$\n\nby [`f`](../glide_jax/m.py).\n\n"
        "[`g`](../glide_jax/m/n.py)\n\n$$\nc\n$$\n\n# B\n\n[`g`](../glide_jax/m/n.py)\n"
    )
    found = script("equations")["equations_of"](page)
    assert found == {"glide_jax.m.f": ["$$\na\n$$", "$$\nb\n$$"], "glide_jax.m.n.g": []}


def test_every_model_and_config_is_on_the_models_page():
    text = read("models.md")
    assert [name for name in released.models() if f"| `{name}` |" not in text] == []
    names = script("make_models")["config_names"]()
    assert [name for name in names if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize("config", ["clip_quickstart", "quickstart"])
def test_a_config_s_rows_are_what_the_code_makes_of_it(config):
    """If not: python docs/make_models.py."""
    rows = list(script("make_models")["config_rows"](config))
    assert rows
    assert [row for row in rows if row not in read("models.md")] == []


def test_a_released_model_s_row_is_what_the_code_makes_of_it():
    assert script("make_models")["released_row"]("clip") in read("models.md")


@pytest.mark.slow
def test_the_models_page_is_what_the_code_makes():
    """If not: python docs/make_models.py."""
    assert read("models.md") == script("make_models")["render"]()


@pytest.mark.slow
def test_the_site_builds_strictly_and_calls_no_other(tmp_path):
    pytest.importorskip("mkdocs", reason="pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    pages = {path: path.read_text("utf-8") for path in tmp_path.rglob("*.html")}
    assert len(pages) > 30
    called = (
        r'<(?:script|img|iframe)[^>]* src="?https?:[^>]*|<link[^>]*stylesheet[^>]*"https?:[^>]*'
    )
    assert {
        path.name: found for path, text in pages.items() if (found := re.findall(called, text))
    } == {}
    maths = (tmp_path / "maths" / "index.html").read_text("utf-8")
    assert maths.count('display="block"') == read("maths.md").count("\n$$\n") // 2
    assert "arithmatex" not in maths
    # The reference shows the equation with the docstring.
    assert 'display="block"' in (tmp_path / "reference" / "diffusion" / "index.html").read_text(
        "utf-8"
    )


def test_the_claims_page_is_what_the_results_say():
    """If not: python docs/make_claims.py."""
    assert read("claims.md") == script("make_claims")["render"]()


@pytest.mark.parametrize("path", sorted((DOCS / "claims").glob("*.json")), ids=lambda p: p.stem)
def test_a_result_in_the_docs_is_of_its_claim_and_its_verdict_of_the_rule(path):
    claim, result = find_claim(path.stem), json.loads(path.read_text("utf-8"))
    assert script("make_claims")["differs"](claim, result) == ""
    findings = [
        # JSON has no infinity.
        Finding(
            one["kind"],
            one["score"],
            one["text"],
            one["above"],
            Interval(
                one["value"],
                -math.inf if one["low"] is None else one["low"],
                math.inf if one["high"] is None else one["high"],
            ),
        )
        for one in result["findings"]
    ]
    assert [finding.outcome for finding in findings] == [o["outcome"] for o in result["findings"]]
    assert verdict(findings) == result["verdict"]
    assert path.stat().st_size < 50_000


def test_a_result_of_another_size_is_not_taken():
    make = script("make_claims")
    claim = find_claim("guidance")
    result = {
        "split": claim.split,
        "rows": 4,
        "seeds": list(claim.seeds),
        "trained": {},
        "arms": [],
        "findings": [],
    }
    assert make["differs"](claim, result) == "rows, trained, arms, comparisons"
