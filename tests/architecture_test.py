"""Who may import whom, read from the source; what an import loads; how long things are."""

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("glide_jax", "configs", "launch", "tests")

LAYERS = (
    {"types", "errors", "local_path", "storage", "writing", "cache", "progress", "config"},
    {"diffusion", "models", "text", "data", "parallel"},
    {"training", "checkpoints", "sampling", "planning", "interop", "encoders"},
    {"evaluation", "registries", "runtime"},
    {"experiments"},
    {"entry", "commands", "web", "huge_pages"},
    {"main", "cli"},
)
"""A module imports from its own layer and from those above it in this list."""

STRANGERS = {("diffusion", "models"), ("models", "diffusion"), ("diffusion", "config")}
"""(who, whom): never, though the layers would allow it."""

ONLY_IN = {
    "ml_collections": ("configs/", "glide_jax/config/files.py", "tests/"),
    "flax": ("glide_jax/models/", "tests/models/"),
    "orbax": ("glide_jax/checkpoints/",),
    "torch": ("glide_jax/interop/", "tests/"),
    "datasets": ("glide_jax/data/huggingface.py", "tests/"),
    "matplotlib": (
        "glide_jax/evaluation/report.py",
        "glide_jax/evaluation/curves.py",
        "glide_jax/experiments/plotting.py",
        "benchmarks/",
        "tests/",
    ),
    "starlette": ("glide_jax/web/", "tests/"),
    "uvicorn": ("glide_jax/web/", "tests/"),
    "playwright": ("tests/",),
    "wandb": ("glide_jax/training/monitoring/sinks/weights_and_biases.py", "tests/"),
    "tensorflow": (),
}
"""Other people's package → where it may be imported."""

IN_FUNCTIONS_ALONE = {"torch", "datasets", "wandb"}
"""Extras: a module that imports one at its top can't be imported without it."""

DIFFUSION_NEEDS = {"jax", "numpy", "glide_jax"}
"""Beside the standard library, the maths needs nothing else, and no files."""
FILES = {"io", "os", "pathlib", "shutil", "tempfile"}

NOT_TO_SAMPLE = (
    *("matplotlib", "tensorboardX", "tensorflow_datasets", "emoji", "grain", "datasets"),
    *("torch", "wandb", "tensorflow"),
)
"""Packages that somebody who only samples doesn't load."""

MAX_FUNCTION_LINES, MAX_FILE_LINES = 80, 400


def imports(path: PurePosixPath, source: str) -> Iterator[tuple[str, bool]]:
    """(dotted name, whether inside a function) of everything that a module imports."""

    def visit(node: ast.AST, inside: bool) -> Iterator[tuple[str, bool]]:
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = list(path.parent.parts)[: len(path.parent.parts) - node.level + 1]
            module = ".".join([*package * bool(node.level), *filter(None, [node.module])])
            yield from ((f"{module}.{alias.name}", inside) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    return visit(ast.parse(source), False)


def unit(dotted: str) -> str | None:
    """glide_jax.models.unet → models; None: not of glide_jax, or glide_jax itself."""
    parts = dotted.split(".")
    return parts[1] if parts[0] == "glide_jax" and len(parts) > 1 else None


def layer(name: str) -> int:
    return next((i for i, names in enumerate(LAYERS) if name in names), -1)


def violations(path: PurePosixPath, source: str) -> list[str]:
    """One line for each import that a module at `path` must not have."""
    here = unit(".".join(path.with_suffix("").parts))
    found = []
    for dotted, in_function in imports(path, source):
        top, there = dotted.partition(".")[0], unit(dotted)
        if top in ONLY_IN and not str(path).startswith(ONLY_IN[top] or "nowhere"):
            found.append(f"{path}: {top} belongs in {ONLY_IN[top] or 'no module'}")
        if top in IN_FUNCTIONS_ALONE and here and not in_function:
            found.append(f"{path}: import {top} inside the function that needs it")
        if here == "diffusion" and (top in FILES or is_foreign(top)):
            found.append(f"{path}: diffusion knows nothing of {top}")
        if here and there and dotted != "glide_jax.__version__":
            if layer(there) < 0:
                found.append(f"{path}: {there} is in no layer")
            elif (here, there) in STRANGERS or layer(there) > layer(here) >= 0:
                found.append(f"{path}: {here} must not import {there}")
    return found


def is_foreign(top: str) -> bool:
    return top not in DIFFUSION_NEEDS | set(sys.stdlib_module_names)


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """The names on or behind a cycle; [] if there is none."""
    graph = {name: set(targets) for name, targets in graph.items()}
    while free := [name for name, targets in graph.items() if not targets & graph.keys()]:
        for name in free:
            del graph[name]
    return sorted(graph)


def modules() -> list[tuple[PurePosixPath, str]]:
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
    return [(PurePosixPath(f.relative_to(ROOT).as_posix()), f.read_text("utf-8")) for f in files]


def test_every_import_is_allowed():
    assert [line for path, source in modules() for line in violations(path, source)] == []


def test_packages_do_not_import_each_other_in_circles():
    graph: dict[str, set[str]] = {}
    for path, source in modules():
        if here := unit(".".join(path.with_suffix("").parts)):
            targets = {unit(dotted) for dotted, _ in imports(path, source)} - {here, None}
            graph.setdefault(here, set()).update(name for name in targets if name)
    assert len(graph) > 5
    assert cycle(graph) == []


def test_cycles_are_found():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("glide_jax/models/unet.py", "from glide_jax.diffusion import gaussian"),
        ("glide_jax/diffusion/losses.py", "import glide_jax.models.unet"),
        ("glide_jax/diffusion/losses.py", "from glide_jax.config import DiffusionConfig"),
        ("glide_jax/diffusion/losses.py", "from glide_jax import config"),
        ("glide_jax/diffusion/losses.py", "from ..config import DiffusionConfig"),
        ("glide_jax/diffusion/losses.py", "from .. import models"),
        ("glide_jax/diffusion/losses.py", "from pathlib import Path"),
        ("glide_jax/diffusion/losses.py", "import optax"),
        ("glide_jax/text/tokenizer.py", "from glide_jax.training import loop"),
        ("glide_jax/training/loop.py", "def f():\n    from glide_jax.main import train"),
        ("glide_jax/types.py", "from glide_jax.models import unet"),
        ("glide_jax/config/files.py", "from glide_jax.data import SOURCES"),
        ("glide_jax/config/files.py", "from glide_jax.registries import check_names"),
        ("glide_jax/sampling/pipeline.py", "from glide_jax import runtime"),
        ("glide_jax/sampling/pipeline.py", "from glide_jax.evaluation import registry"),
        ("glide_jax/evaluation/sets.py", "from glide_jax.commands import sample"),
        ("glide_jax/commands/sample.py", "from glide_jax import cli"),
        ("glide_jax/config/reading.py", "import ml_collections"),
        ("glide_jax/training/loop.py", "import glide_jax.helpers"),
        ("glide_jax/training/loop.py", "import ml_collections"),
        ("glide_jax/training/loop.py", "from flax import nnx"),
        ("glide_jax/training/state.py", "import orbax.checkpoint as ocp"),
        ("glide_jax/interop/openai.py", "import torch"),
        ("glide_jax/interop/openai.py", "try:\n    import torch\nexcept ImportError:\n    pass"),
        ("glide_jax/models/unet.py", "def f():\n    import torch.nn"),
        ("glide_jax/data/folder.py", "def f():\n    import tensorflow as tf"),
        ("configs/base.py", "from tensorflow import data"),
        ("tests/data/folder_test.py", "import tensorflow"),
    ],
)
def test_what_is_not_allowed_is_found(path, source):
    assert len(violations(PurePosixPath(path), source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("glide_jax/diffusion/losses.py", "import math\nimport jax.numpy as jnp\nimport numpy"),
        ("glide_jax/diffusion/losses.py", "from . import gaussian\nfrom ..types import Array"),
        ("glide_jax/data/pipeline.py", "import tensorflow_datasets\nfrom glide_jax import text"),
        ("glide_jax/interop/openai.py", "def f():\n    import torch"),
        ("glide_jax/interop/openai.py", "class A:\n    async def f(self):\n        import torch"),
        ("glide_jax/main.py", "from glide_jax.training import loop"),
        (
            "glide_jax/config/files.py",
            "import ml_collections\nimport glide_jax.config.reading",
        ),
        ("glide_jax/training/loop.py", "from glide_jax import __version__, config"),
        ("glide_jax/models/unet.py", "from flax import nnx"),
    ],
)
def test_what_is_allowed_is_let_through(path, source):
    assert violations(PurePosixPath(path), source) == []


@pytest.mark.parametrize(
    "module",
    [
        "glide_jax.sampling.pipeline",
        "glide_jax.runtime",
        "glide_jax.registries",
        "glide_jax.commands.outputs",
        "glide_jax.commands.sampling_progress",
    ],
)
def test_somebody_who_only_samples_loads_no_more_than_that(module):
    program = f"import sys, {module}; print([n for n in {NOT_TO_SAMPLE} if n in sys.modules])"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr[-2000:]


def test_functions_and_files_are_short():
    long = []
    for path, source in modules():
        if path.parts[0] != "glide_jax":
            continue
        if (count := source.count("\n")) > MAX_FILE_LINES:
            long.append(f"{path}: {count} lines")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or 0) - node.lineno + 1
                if count > MAX_FUNCTION_LINES:
                    long.append(f"{path}: {node.name} has {count} lines")
    assert long == []


def test_test_files_have_names_of_their_own():
    """There are no packages of tests: pytest takes two files of one name for one module.

    conftest.py is an exception: nobody imports it, and there may be one per folder.
    """
    names = Counter(path.name for path in Path(__file__).parent.rglob("*.py"))
    assert [n for n, count in names.items() if count > 1 and n != "conftest.py"] == []
