"""What the commands of the documentation need to be run: what a page has written, and replacements.

A page names workdirs, images and files of prompts that its reader has. Here they are small, made
when a command first names one; models keep the weights that they have, but compute next to nothing.
"""

import dataclasses
import json
import re
import shlex
from pathlib import Path

import jax
import jax.numpy as jnp
import notebook_toys
import numpy as np
import tiny
from evaluation import evaluation_toys
from evaluation.judging import judging_toys
from interop import interop_toys
from PIL import Image
from shrinking import shrinking
from toy_encoder import ToyEncoder

from glide_jax import cli, data
from glide_jax.data.shapes import builder
from glide_jax.encoders import ENCODERS
from glide_jax.evaluation.features import FEATURE_NETS
from glide_jax.evaluation.judging.assigning import Assignment
from glide_jax.evaluation.judging.votes import Votes
from glide_jax.models import families
from glide_jax.models.caption_guesser import caption_guesser
from glide_jax.models.model import Encoded
from glide_jax.training import jobs

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?((?:glide-jax|python -m glide_jax(?:\.main)?) .*)$")
PROMPTS = "a red circle\na blue square\na green star\na red square\n"
SIZES = {"train": 16, "test": 8, "compositional": 8}
TRAINING = ("num_steps=2", "sample_every_steps=2", "lr_warmup_steps=1")
CAPTIONS = "evaluation.num_captions=4"
"""The fewest that precision and recall are computed of."""

NUMBERS = {"--num-images": "8", "--steps": "3", "--size": "16"}
"""Flags whose number is replaced by a small one; what is no number, such as logsnr10, stays."""


def steps_of(page):
    """What a page's blocks have one run, in order: ("command", words) or ("python", source)."""
    for language, block in BLOCK.findall(page.read_text("utf-8")):
        if language == "python":
            yield "python", block
        elif not language:
            block = re.sub(r"\s*\\\n\s*", " ", block)
            for line in block.split("\n"):
                yield from (("command", line) for line in commands_in(line))


def commands_in(line):
    """The commands of a line of a shell."""
    for part in line.split(" && "):
        if found := COMMAND.search(part):
            yield " ".join(map(shlex.quote, shlex.split(found[1], comments=True)))


def small(words):
    """A command's words, small: its config is shrunk, its numbers are, its values stay."""
    words = list(words)
    for i, word in enumerate(words):
        flag, _, value = word.partition("=")
        if flag in NUMBERS and not value and words[i + 1].isdecimal():
            words[i + 1] = NUMBERS[flag]
        if flag == "--config":
            name = Path(value).stem
            own = [_small(w) for w in words if w.startswith("--config.")]
            others = [w for w in words if not w.startswith("--config.")]
            others[others.index(word)] = f"--config={name}"
            return [*others, *(f"--config.{change}" for change in _changes(name)), *own]
    return words


def _small(override):
    # A microbatch is of no more images than a device has.
    override = re.sub(r"(\.microbatch_size=)[1-9].*", r"\g<1>1", override)
    return re.sub(r"(\.num_steps=).*", r"\g<1>2", override)


def _changes(name):
    path = tiny.CONFIGS / f"{name}.py"
    # What a config starts from is what its page has made before.
    changes = [change for change in shrinking(path) if ".init_from=" not in change]
    stages = {change.split(".")[1] for change in changes if change.startswith("stages.")}
    sections = [f"stages.{stage}" for stage in sorted(stages)]
    if any(change.startswith("text_pretraining.") for change in changes):
        sections.append("text_pretraining")
    known = {change.partition("=")[0] for change in changes}
    training = [f"{section}.training.{one}" for section in sections for one in TRAINING]
    changes += [change for change in training if change.partition("=")[0] in known]
    # Muon takes as long to compile as a model; tests/every_config_test.py trains with it.
    changes += [f"{section}.training.optimizer=adamw" for section in sections]
    if any(change.startswith("evaluation.num_captions=") for change in changes):
        changes.append(CAPTIONS)
    if any(change.startswith("evaluation.periodic.") for change in changes):
        changes = [c for c in changes if not c.startswith("evaluation.periodic.")]
        changes.append("evaluation.periodic=none")
    return changes


def install(patch, folder):
    """Make models, encoders, feature nets and the data set `shapes` cheap; see the module."""
    patch.setattr(builder, "SPLITS", SIZES)
    patch.setenv("TFDS_DATA_DIR", str(folder / "data"))
    data.prepare("shapes/32", "")
    for name in ("t5", "toy"):
        patch.setitem(ENCODERS, name, lambda path, *, dtype, mesh=None: ToyEncoder())
    for name in FEATURE_NETS:
        net = evaluation_toys.net(name)
        patch.setitem(FEATURE_NETS, name, lambda path, *, resize, mesh, net=net: net)
    known = {}
    for family in ("glide", "adm", "imagen"):
        build = families._FACTORIES[family]

        def quick(stage, text, build=build):
            key = repr((stage.model, stage.diffusion.learn_variance, text))
            if key not in known:
                known[key] = _without_work(build(stage, text), stage.diffusion.learn_variance)
            return known[key]

        patch.setitem(families._FACTORIES, family, quick)
    patch.setattr(jobs, "caption_guesser", _quick_guesser)


def _quick_guesser(config, **sizes):
    """Its weights; both guesses are one of them everywhere."""
    model = caption_guesser(config, **sizes)
    name = min(model.shapes)

    def apply(params, condition):
        guess = jax.eval_shape(model.apply, params, condition)
        return jax.tree.map(lambda s: jnp.broadcast_to(params[name].mean(), s.shape), guess)

    return dataclasses.replace(model, init=lambda key: _filled(model), apply=apply)


def _filled(model):
    return {path: jnp.full(s.shape, 0.01, s.dtype) for path, s in model.shapes.items()}


def _without_work(model, learns_variance):
    """Its weights; what is computed has the right shape, and depends on one of them."""
    name = min(model.shapes)

    def apply(params, x_t, t, encoded, keys=None):
        half = x_t / 2 + params[name].astype(jnp.float32).mean()
        return jnp.concatenate([half, jnp.zeros_like(half)], -1) if learns_variance else half

    return dataclasses.replace(
        model,
        init=lambda key: _filled(model),
        encode=lambda params, condition: Encoded(None, None, None, None),
        apply=apply,
        prepare=lambda *_: {},
    )


def _workdir(config, *overrides):
    return lambda path: notebook_toys.write_workdir(path, config, *overrides)


def _image(path, size=16):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.arange(size * size * 3, dtype=np.int64).reshape(size, size, 3) * 5 % 256
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def _mask(path):
    Image.fromarray(np.eye(16, dtype=np.uint8) * 255).save(path)


def _images(path):
    for i in range(12):
        _image(path / f"{i}.png")
        (path / f"{i}.txt").write_text(f"an image {i % 3}\n")


def _adapter(path):
    """Of the weights in the folder that this is made in: it fits no others."""
    words = _training("finetune_own", path.parents[1], "stages.base.training.init_from=runs/base")
    assert cli.main(words) == 0


def _training(name, workdir, *overrides):
    """A command that trains, small."""
    own = [f"--config.{override}" for override in overrides]
    return small(["train", f"--config={name}", f"--workdir={workdir}", *own])


def _npz(path):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), np.uint8)
    np.savez(path, arr_0=pixels)


def _text(text):
    return lambda path: path.write_text(text)


def _released(path):
    interop_toys.write(path, "tiny_base")


def _options(path):
    path.write_text(json.dumps(interop_toys.load("tiny_base")[0]["options"]))


def _votes(path):
    comparison = judging_toys.comparison()
    with Votes(path) as votes:
        votes.add_images(judging_toys.images())
        for trial in comparison.trials():
            votes.cast("somebody", Assignment(trial, 0, trial.models), "left")


REPLACEMENTS = {
    "runs/quickstart": _workdir("quickstart", CAPTIONS),
    "runs/half": _workdir("quickstart", CAPTIONS),
    "runs/a": _workdir("quickstart"),
    "runs/b": _workdir("quickstart"),
    "runs/inpaint": _workdir("quickstart", *notebook_toys.INPAINT),
    "runs/base": _workdir("finetune_own", "stages.base.training.adapter=none"),
    "runs/released": _workdir("quickstart"),
    "runs/imagen": _workdir("imagen_quickstart", CAPTIONS),
    "runs/imagen_base": _workdir("imagen_base"),
    "runs/clip": _workdir("clip"),
    "photo.png": _image,
    "sketch.png": _image,
    "small.png": lambda path: _image(path, 8),
    "mask.png": _mask,
    "other_mask.png": _mask,
    "prompts.txt": _text(PROMPTS),
    "coco30k.txt": _text(PROMPTS),
    "PartiPrompts.tsv": _text(
        "Prompt\tCategory\na red circle\tAbstract\na blue square\tAbstract\n"
    ),
    "samples": _images,
    "photos": _images,
    "images": _images,
    "mine": _images,
    "coco/val2014": _images,
    "samples.npz": _npz,
    "VIRTUAL_imagenet64_labeled.npz": _npz,
    "small.safetensors": _released,
    "base-fp16.safetensors": _released,
    "small.json": _options,
    "votes.sqlite": _votes,
}
"""What a reader has → what makes it, at a path."""

IMPLIED = {"judge --results": "votes.sqlite"}
"""Part of a command → the file that it reads without naming it."""

OF_OTHERS = {"runs/mine/base/adapter.safetensors": _adapter}
"""The same of what depends on what the page has made before."""
