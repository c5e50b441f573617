"""The recipes of CONTRIBUTING.md, followed with a toy each, in a copy of the repository.

What a recipe doesn't say to edit isn't edited: that the toys work is the test. They are then used
together: a run of the toy family on the toy data, with the toy tokenizer, objective, optimizer and
sink; samples of it with the toy sampler and the toy guidance; the toy command.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import recipe_toys
from PIL import Image

ROOT = Path(__file__).parent.parent
SAMPLING = "diffusion/samplers"
SINKS = "training/monitoring/sinks"


class Repository:
    """A copy of the package and its configs, which notes which files are touched."""

    def __init__(self, folder):
        for name in ("glide_jax", "configs"):
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        self.folder, self.touched = folder, set()

    def new(self, path, text):
        """Add a file."""
        assert not (self.folder / path).exists()
        (self.folder / path).write_text(text.lstrip())
        self.touched.add(path)

    def edit(self, path, pattern, replacement):
        """Change one place of a file."""
        file = self.folder / path
        text, count = re.subn(pattern, replacement, file.read_text(), count=1, flags=re.MULTILINE)
        assert count == 1, (path, pattern)
        file.write_text(text)
        self.touched.add(path)

    def register(self, path, registry, line):
        """Add a line at the end of a registry."""
        self.edit(path, rf"^({registry}\b[^\n]*\{{\n(?: .*\n)*)\}}", rf"\1    {line}\n}}")

    def imports(self, path, line):
        """Add an import to a file."""
        self.edit(path, r"^(from glide_jax)", rf"{line}\n\1")


def sampler(repository):
    registry = f"glide_jax/{SAMPLING}/__init__.py"
    repository.new(f"glide_jax/{SAMPLING}/toy.py", recipe_toys.SAMPLER)
    repository.imports(registry, "from glide_jax.diffusion.samplers.toy import toy")
    repository.register(registry, "SAMPLERS", '"toy": lambda eta: toy(),')


def guidance(repository):
    registry = "glide_jax/sampling/guidance.py"
    repository.new("glide_jax/diffusion/guidance/toy.py", recipe_toys.GUIDANCE)
    repository.imports(registry, "from glide_jax.diffusion.guidance.toy import toy")
    repository.edit(registry, r"^(GUIDANCE\b)", recipe_toys.TRANSFORM.lstrip() + r"\1")
    repository.register(registry, "GUIDANCE", '"toy": _toy,')


def sampling_setting(repository):
    sections = "glide_jax/config/sections.py"
    repository.edit(
        sections, r"^(    dynamic_threshold: float \| None)$", r"\1\n    toy_level: float"
    )
    repository.edit(
        sections, r"^(        temperature: standard)", r"        toy_level: scales x_0_hat.\n\1"
    )
    for name in ("base", "emoji", "quickstart"):
        repository.edit(f"configs/{name}.py", r"^( +)(temperature=)", r"\1toy_level=1.0,\n\1\2")


def model_family(repository):
    models, families = "glide_jax/models/families.py", "glide_jax/config/families.py"
    repository.new("glide_jax/models/toy.py", recipe_toys.MODEL)
    repository.new("glide_jax/config/toy.py", recipe_toys.FAMILY_CONFIG)
    repository.imports(models, "from glide_jax.models.toy import toy")
    repository.register(
        models, "_FACTORIES", '"toy": lambda stage, text: toy(stage.model, **text),'
    )
    repository.imports(families, "from glide_jax.config.toy import ToyConfig")
    repository.edit(families, r"^(ModelConfig = .*)$", r"\1 | ToyConfig")
    repository.edit(families, r"(ClipConfig)\)$", r"\1, ToyConfig)")
    stages = "glide_jax/config/stages.py"
    repository.imports(stages, "from glide_jax.config.toy import ToyConfig")
    repository.edit(stages, r"^(    model: GlideConfig.*)$", r"\1 | ToyConfig")


def objective(repository):
    folder = "glide_jax/training/objectives"
    repository.new(f"{folder}/toy.py", recipe_toys.OBJECTIVE)
    repository.imports(
        f"{folder}/registry.py", "from glide_jax.training.objectives.toy import toy_loss"
    )
    line = '"toy": Objective(lambda model, stage, _: toy_loss(model, stage), reads_captions=True),'
    repository.register(f"{folder}/registry.py", "OBJECTIVES", line)


def data_source(repository):
    repository.new("glide_jax/data/toy.py", recipe_toys.DATA)
    repository.register("glide_jax/data/__init__.py", "SOURCES", '"toy": "glide_jax.data.toy",')


def tokenizer(repository):
    repository.new("glide_jax/text/toy.py", recipe_toys.TOKENIZER)
    repository.register("glide_jax/text/__init__.py", "KINDS", '"toy": "glide_jax.text.toy",')


def text_encoder(repository):
    registry = "glide_jax/encoders/__init__.py"
    repository.new("glide_jax/encoders/toy.py", recipe_toys.TEXT_ENCODER)
    repository.imports(registry, "from glide_jax.encoders import toy")
    repository.register(registry, "ENCODERS", '"toy": toy.load,')


def optimizer(repository):
    path = "glide_jax/training/optimizer.py"
    repository.edit(path, r"^(OPTIMIZERS\b.*)\}$", r'\1, "toy": lambda packing: optax.identity()}')


def sink_of_metrics(repository):
    repository.new(f"glide_jax/{SINKS}/toy.py", recipe_toys.SINK)
    repository.register(f"glide_jax/{SINKS}/registry.py", "SINKS", '"toy": f"{_HERE}.toy:Toy",')


def metric(repository):
    repository.new("glide_jax/evaluation/metrics/toy.py", recipe_toys.METRIC)
    registry = "glide_jax/evaluation/registry.py"
    line = '"toy": Registered(f"{_HERE}.toy:metric", (MODEL,), False),'
    repository.register(registry, "METRICS", line)


def command(repository):
    repository.new("glide_jax/commands/toy.py", recipe_toys.COMMAND)
    repository.register("glide_jax/commands/__init__.py", "COMMANDS", '"toy": "toy",')


def config(repository):
    repository.new("configs/toy.py", recipe_toys.CONFIG)


RECIPES = {
    "Sampler": sampler,
    "Guidance": guidance,
    "Sampling setting": sampling_setting,
    "Model family": model_family,
    "Objective": objective,
    "Data source": data_source,
    "Tokenizer": tokenizer,
    "Text encoder": text_encoder,
    "Optimizer": optimizer,
    "Sink of metrics": sink_of_metrics,
    "Metric": metric,
    "Command": command,
    "Config": config,
}


def paragraph(title):
    """A recipe's text in CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    return text.partition(f"**{title}.**")[2].partition("\n\n")[0]


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """(the copy with all recipes followed, title → the files that each touched)."""
    repository, touched = Repository(tmp_path_factory.mktemp("repository")), {}
    for title, recipe in RECIPES.items():
        repository.touched = set()
        recipe(repository)
        touched[title] = repository.touched
    return repository.folder, touched


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_names_every_file_that_it_touches(followed, title):
    named = set(re.findall(r"`([\w./{}]+\.py)`", paragraph(title)))
    touched = {path.replace("/toy.py", "/{name}.py") for path in followed[1][title]}
    assert touched <= named


@pytest.mark.slow
def test_the_toys_work_together(followed, tmp_path):
    folder, _ = followed
    workdir, out = tmp_path / "run", tmp_path / "out"
    environment = os.environ | {"PYTHONPATH": str(folder), "GLIDE_JAX_CACHE": str(tmp_path)}
    words = [sys.executable, "-c", recipe_toys.USE, str(workdir), str(out)]
    done = subprocess.run(
        words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("toy works\n")
    losses = [float(line.split()[1]) for line in (workdir / "base" / "toy.txt").open()]
    assert losses[-1] < losses[0]
    sampled = {
        name: np.asarray(Image.open(next((out / name).glob("*.png"))))
        for name in ("plain", "sampler", "guidance")
    }
    grey = np.full((8, 8, 3), 128)
    np.testing.assert_array_equal(sampled["sampler"], grey)
    np.testing.assert_array_equal(sampled["guidance"], grey)
    assert sampled["plain"].std((0, 1)).max() == 0
    assert (sampled["plain"] != grey).any()
