"""Fuzzed workdirs and command lines, and what a tiny model samples of fuzzed prompts."""

import atexit
import contextlib
import functools
import io
import shutil
import tempfile
from pathlib import Path

import numpy as np
import tiny
from stress.fuzz_data import Lost, an_image, mutated, pick, words

from glide_jax import cli, config
from glide_jax.checkpoints import Checkpoints, open_stage
from glide_jax.errors import UserError
from glide_jax.interop.exporting import export_checkpoint
from glide_jax.models.families import model_of

WORDS = (
    *("--help", "--", "-", "", "a red square", "é", "\x00", "\ud800", "x" * 300, "0", "-1", "nan"),
    *("--seed", "--seed=0", "--seed=-1", "--num-images=0", "--num-images", "--steps=2", "--steps="),
    *("--checkpoint", "--checkpoint=.", "--out", "--out=file/x", "--out=\x00", "--config.seed=1"),
    *("--config.", "--config.seed", "--config.data.path=x", "--config", "--strength=2", "--clip=."),
    *("--guidance-scale=nan", "--eta=1e999", "--like", "--like=file", "--prompts-file=file"),
    *("--class", "--class=1", "--path=file", "--path=.", "--split=x", "--sample=0", "--format=pt"),
    *("check", "folder", "shapes/7", "tfds/", "huggingface/", "webdataset", "folder?x=1", "file"),
    *("nowhere", ".", "image.png", "mask.png", "run", "--checkpoint=run", "--as=base", "--ema"),
)
COMMANDS = ("sample", "inpaint", "edit", "upsample", "data", "import", "export", "info", "report")
"""Those that neither train nor fetch, whatever their words are."""

OTHERS = ("train", "evaluate", "plan", "download", "smaple", "--version", "--help", "", "-x")


@functools.cache
def tiny_workdir() -> Path:
    """A workdir of a small model that nobody trained."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    experiment, tokenizer = tiny.experiment(), tiny.tokenizer()
    (stage,) = experiment.stages.values()
    shapes = model_of(stage, vocab_size=tokenizer.vocab_size, text_length=6).shapes
    rng = np.random.default_rng(0)
    params = {path: rng.standard_normal(s.shape, np.float32) / 9 for path, s in shapes.items()}
    with Checkpoints(
        folder / "run" / "base" / "checkpoints",
        keep=1,
        experiment=experiment,
        tokenizer=tokenizer.to_dict(),
    ) as checkpoints:
        checkpoints.save(3, {"step": np.int32(3), "params": params, "ema_params": params}, {})
    return folder / "run"


@functools.cache
def tiny_export() -> Path:
    """A folder with `whole.safetensors` of that model, and its options."""
    folder = tiny_workdir().parent
    export_checkpoint(tiny_workdir(), folder / "whole.safetensors", ema=True, dtype="float32")
    return folder


def workdirs(rng: np.random.Generator, folder: Path) -> None:
    """A workdir of which one file is damaged or missing."""
    run = folder / "run"
    shutil.copytree(tiny_workdir(), run)
    found = sorted(path for path in run.rglob("*") if path.is_file())
    path = pick(rng, found)
    way = rng.random()
    if way < 0.2:
        path.unlink()
    elif way < 0.3:
        shutil.rmtree(path.parent)
    else:
        path.write_bytes(mutated(rng, path.read_bytes()))
    checkpoint = open_stage(run)
    experiment = checkpoint.experiment
    shapes = checkpoint.shapes("ema_params")
    checkpoint.restore({"ema_params": shapes})
    _ = config.to_dict(experiment), checkpoint.tokenizer, checkpoint.data_state, checkpoint.data_set


def command_lines(rng: np.random.Generator, folder: Path) -> None:
    """A command line of words that don't fit together."""
    del folder
    Path("file").write_bytes(rng.bytes(30))
    for name in ("image.png", "mask.png"):
        Path(name).write_bytes(an_image(rng))
    count = int(rng.integers(0, 7))
    line = [pick(rng, WORDS) for _ in range(count)]
    if rng.random() < 0.7:
        line = [pick(rng, COMMANDS), *line]
    else:
        # These could begin to work for minutes: one of the words is always wrong.
        line = [pick(rng, OTHERS), *line, "--wrong-flag"]
    _run(line)


def sampling(rng: np.random.Generator, folder: Path) -> None:
    """A tiny model's images of fuzzed prompts, or from fuzzed images."""
    command = pick(rng, ("sample", "sample", "edit", "inpaint"))
    prompts = [pick(rng, ("", "a", "a-", "A", words(rng, ""))) for _ in range(rng.integers(1, 4))]
    line = [command, f"--checkpoint={tiny_workdir()}", f"--out={folder / 'out'}"]
    line += [f"--seed={pick(rng, (0, 1, 2**32 + 5, 2**63 - 1, 2**63, -1))}"]
    given = []
    for name in {"sample": (), "edit": ("image",), "inpaint": ("image", "mask")}[command]:
        content = an_image(rng)
        given.append(str(folder / f"{name}.png"))
        Path(given[-1]).write_bytes(content if rng.random() < 0.7 else mutated(rng, content))
    if command == "edit":
        line += [f"--strength={pick(rng, (0, 0.5, 1, 1.5))}"]
    _run([*line, "--", *given, *prompts])
    found = len(list((folder / "out").glob("*.png")))
    if found != len(prompts):
        raise Lost(f"{found} images of {len(prompts)} prompts: {prompts}")


def _run(line: list[str]) -> None:
    """Run a command line in this process; a UserError with its message if it ends with status 2."""
    output, errors = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            status = cli.main(line)
    except SystemExit as stop:  # --help
        status = stop.code
    if status not in (0, None):
        lines = [one for one in errors.getvalue().split("\n") if one.startswith("error: ")]
        if status != 2 or len(lines) != 1:
            raise Lost(f"{line}: status {status}: {errors.getvalue()}")
        raise UserError(lines[0])


KINDS = {"workdirs": workdirs, "commands": command_lines, "sampling": sampling}
