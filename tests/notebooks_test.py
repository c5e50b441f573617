"""The notebooks: Colab opens them, their commands are ones that glide_jax reads, and they run."""

import ast
import os
import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import filelock
import nbformat
import notebook_toys
import pytest
import xla_flags
from nbclient import NotebookClient

from glide_jax import config
from glide_jax.commands import find_command
from glide_jax.entry import Parser

ROOT = Path(__file__).parent.parent
PATHS = {path.stem: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
README = (ROOT / "README.md").read_text("utf-8")
COMMAND = re.compile(r"^( *)!(glide-jax (?:.*\\\n)*.*)$", re.MULTILINE)
INSTALL = "%pip install"
TO_RUN = [pytest.param(name, marks=pytest.mark.slow) for name in PATHS]


def read(name):
    return nbformat.read(PATHS[name], as_version=4)


def sources(notebook, kind="code"):
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def install_cell(name):
    (cell,) = [source for source in sources(read(name)) if INSTALL in source]
    return cell


def python(source):
    """A cell without what is IPython's alone."""
    return re.sub(r"^( *)[!%](?:.*\\\n)*.*$", r"\1pass", source, flags=re.MULTILINE)


def test_those_that_were_promised_are_there():
    assert set(PATHS) == {
        *("text2im", "inpaint", "clip_guided", "imagen_if"),
        *("quickstart_train", "finetune_your_images", "evaluate"),
    }


@pytest.mark.parametrize("name", PATHS)
def test_it_is_a_notebook_for_an_accelerator_without_outputs(name):
    """In Colab: Edit → Clear all outputs, before it is saved."""
    notebook = read(name)
    nbformat.validate(notebook)
    assert notebook.metadata.accelerator in ("GPU", "TPU")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
            ast.parse(python(cell.source))


@pytest.mark.parametrize("name", PATHS)
def test_it_has_no_placeholder_and_its_links_lead_somewhere(name):
    notebook = read(name)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert not re.search(r"OWNER|TODO|FIXME|example\.com|<\w+>", text)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not link.startswith("https://"):
            assert (PATHS[name].parent / link.partition("#")[0]).exists(), link


@pytest.mark.parametrize("name", PATHS)
def test_the_readme_links_to_it(name):
    assert f"](notebooks/{name}.ipynb)" in README


def test_the_readme_names_no_other_notebook():
    """Colab's badges too, which hold the address of a repository: it must be one for all."""
    assert set(re.findall(r"notebooks/(\w+)\.ipynb", README)) == set(PATHS)
    opened = re.findall(r"colab\.research\.google\.com/github/(\S+?)/blob/", README)
    assert len(set(opened)) <= 1


def test_all_install_alike():
    assert len({install_cell(name) for name in PATHS}) == 1


def test_a_kernel_that_pip_changed_must_be_restarted(monkeypatch):
    cell = python(install_cell("text2im"))
    exec(cell, {})  # this process has what is installed
    monkeypatch.setitem(sys.modules, "numpy", SimpleNamespace(__version__="1.0"))
    with pytest.raises(RuntimeError, match=r"replaced numpy beneath .* Restart session"):
        exec(cell, {})


@pytest.mark.parametrize("name", PATHS)
def test_its_commands_and_flags_exist(name):
    for source in sources(read(name)):
        for _, line in COMMAND.findall(source):
            # A number where a variable is: most are of numbers, and paths may be called so.
            words = shlex.split(re.sub(r"\$\w+", "8", line.replace("\\\n", "")))[1:]
            words, overrides = config.split_overrides(words)
            parser = Parser()
            find_command(words[0])(parser)
            parser.parse(words[1:], overrides)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The folder of small models, made once: workers have folders beside each other."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder = folder / "notebooks"
    with filelock.FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir()
            notebook_toys.write(folder)
    return folder


@pytest.fixture
def kernel(small, tmp_path, monkeypatch):
    """The environment of a kernel: one device, and no files but those in its own folder."""
    values = {
        "GLIDE_JAX_NOTEBOOK_TINY": small,
        "GLIDE_JAX_CACHE": tmp_path / "cache",
        "TFDS_DATA_DIR": small / "data",
        "IPYTHONDIR": tmp_path / "ipython",
        "XLA_FLAGS": xla_flags.quick_cpu(1),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    for variable, value in values.items():
        monkeypatch.setenv(variable, str(value))
    return tmp_path


@pytest.mark.parametrize("name", TO_RUN)
def test_it_runs_from_top_to_bottom(name, kernel):
    """Every cell; a command that fails, which IPython lets pass, fails here."""
    notebook = read(name)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = COMMAND.sub(r"\g<0>\n\1assert _exit_code == 0, r'''\2'''", cell.source)
    folder = {"metadata": {"path": str(kernel)}}
    NotebookClient(notebook, timeout=1800, kernel_name="python3", resources=folder).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(shown) >= 2
