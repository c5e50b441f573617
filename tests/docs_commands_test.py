"""Every command and every Python block of the documentation runs, on small models."""

import re
import shlex
import shutil
from pathlib import Path

import docs_toys
import jax
import pytest
from PIL import Image

from glide_jax import cli, main

ROOT = Path(__file__).parent.parent
PAGES = {p.name: p for p in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}

SERVES = "it serves until it is stopped: tests/web runs it"
DOWNLOADS = "it downloads gigabytes: tests/interop fetches from a server of its own"
TORCH = "it reads or writes PyTorch's format, and PyTorch is not here: tests/interop, on one stack"
LICENSED = "its files are only for who has agreed to their licence: tests/interop has small ones"
PROCESSES = "several processes run it: tests/parallel"
TPU = "it compiles for a TPU, which takes libtpu"
BUCKET = "it needs a bucket: tests/storage has one on loopback"
VOCABULARY = "GLIDE's vocabulary is a download"
OTHERS = "it is of other people's packages, which are not here"
HOURS = "it samples thousands of images: tests/experiments runs each claim on small models"
WEIGHTS = "the encoder's weights are a download of gigabytes"

NOT_RUN = {
    ("claims.md", "experiment guidance"): HOURS,
    ("converting.md", "import base.pt --as base --out"): TORCH,
    ("converting.md", "import base.pt upsample.pt"): TORCH,
    ("converting.md", "import IF-I-XL-v1.0/unet"): LICENSED,
    ("converting.md", "train --config=base --config.text.tokenizer=gpt2"): VOCABULARY,
    ("converting.md", "export runs/tiny --ema --format pt"): TORCH,
    ("converting.md", "download base"): DOWNLOADS,
    ("converting.md", "UNet2DConditionModel"): OTHERS,
    ("converting.md", "glide_text2im"): OTHERS,
    ("converting.md", 'files.read("base.pt")'): TORCH,
    ("evaluation.md", "download inception"): DOWNLOADS,
    ("evaluation.md", "download base upsampler clip inception"): DOWNLOADS,
    ("evaluation.md", "import base.pt upsample.pt"): TORCH,
    ("first_hour.md", "serve --checkpoint"): SERVES,
    ("judging.md", "judge a b"): SERVES,
    ("planning.md", "--config=base --topology=v5e-16"): TPU,
    ("planning.md", "model.image_size=8"): TPU,
    ("serving.md", "serve --checkpoint"): SERVES,
    ("text_encoders.md", "load_encoder"): WEIGHTS,
    ("training.md", "import base.pt --as base"): TORCH,
    ("training.md", "train --config=finetune_cfg"): VOCABULARY,
    ("training.md", "train --config=base --workdir=gs://"): BUCKET,
    ("training.md", "sample 'a red circle' --checkpoint gs://"): BUCKET,
    ("training.md", "--coordinator=auto"): PROCESSES,
    ("training.md", "--coordinator=HOST:PORT"): PROCESSES,
}
"""(page, part of one command or block) → why it isn't run."""


def reason_of(page, step):
    """Why a step of a page isn't run; None: it is."""
    found = [NOT_RUN[key] for key in NOT_RUN if key[0] == page and key[1] in step]
    assert len(found) <= 1, step
    return found[0] if found else None


def test_what_is_not_run_is_there():
    """An exception that nothing needs any more would hide the next one that nobody knows of."""
    steps = {name: [step for _, step in docs_toys.steps_of(page)] for name, page in PAGES.items()}
    unused = [key for key in NOT_RUN if sum(key[1] in step for step in steps[key[0]]) != 1]
    assert unused == []


def test_commands_are_found_as_a_shell_would_read_them():
    assert list(docs_toys.commands_in("$ glide-jax sample 'a b' --out c  # and 1")) == [
        "glide-jax sample 'a b' --out c"
    ]
    line = "pip install . && .venv/bin/python -m glide_jax.main --config=a && glide-jax info b"
    assert list(docs_toys.commands_in(line)) == [
        *("python -m glide_jax.main --config=a", "glide-jax info b")
    ]
    assert list(docs_toys.commands_in("pip install 'glide_jax[web]'; cat glide-jax.txt")) == []
    assert sum(len(list(docs_toys.steps_of(page))) for page in PAGES.values()) > 60


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """A folder of what was made already: replacements, and what a command trained."""
    folder = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch:
        docs_toys.install(patch, folder)
        # As conftest's one_device.
        patch.setattr(jax, "device_count", lambda: 1)
        yield folder


@pytest.fixture
def place(stock, tmp_path, monkeypatch):
    """The folder of a page's reader, which is their home too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GLIDE_JAX_CACHE", str(stock / "cache"))
    monkeypatch.setattr(Image.Image, "show", lambda image: None)
    return tmp_path


def provide(text, stock, place):
    """Put what a command or a block names, and isn't there, where it is named."""
    text += "".join(f" {file}" for part, file in docs_toys.IMPLIED.items() if part in text)
    for name, make in (docs_toys.REPLACEMENTS | docs_toys.OF_OTHERS).items():
        named = re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w.-])", text)
        writes = re.search(rf"--(?:workdir|out)[= ]{re.escape(name)}(?![\w.-])", text)
        if not named or writes or (place / name).exists():
            continue
        if name in docs_toys.OF_OTHERS:
            make(place / name)
            continue
        if not (made := stock / "replacements" / name).exists():
            made.parent.mkdir(parents=True, exist_ok=True)
            make(made)
        copy(made, place / name)


def copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)


def run(command, stock, place):
    """Run a command; of a training that another page runs too, the workdir is copied."""
    words = shlex.split(command)
    workdir = next((w.split("=")[1] for w in words if w.startswith("--workdir=")), None)
    kept = stock / "trained" / re.sub(r"\W+", "-", " ".join(words[1:]))
    if workdir and "--mode" not in command and kept.exists():
        shutil.copytree(kept, place / workdir)
        return
    words = docs_toys.small(words)
    # A file whose name nobody knows before it is sampled.
    words = [
        str(next(Path(word).parent.glob("*.png"))) if word.endswith("/IMAGE.png") else word
        for word in words
    ]
    status = main.main(words[3:]) if words[0] == "python" else cli.main(words[1:])
    assert status == 0, command
    if workdir and "--mode" not in command:
        shutil.copytree(place / workdir, kept)


def has_steps(page):
    return any(reason_of(page, step) is None for _, step in docs_toys.steps_of(PAGES[page]))


@pytest.mark.slow
@pytest.mark.parametrize("page", [name for name in PAGES if has_steps(name)])
def test_what_a_page_says_runs(page, stock, place, capsys):
    namespace = {}
    for kind, step in docs_toys.steps_of(PAGES[page]):
        if reason_of(page, step) is not None:
            continue
        provide(step, stock, place)
        if kind == "python":
            exec(compile(step, page, "exec"), namespace)
        else:
            run(step, stock, place)
