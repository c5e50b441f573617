"""Writes docs/api.md from the docstrings: python docs/make_api.py.

Nothing of glide_jax is imported. A function's line has its first sentence and, of its arguments and
what it returns, the arrays with their shapes and ranges, as the docstring writes them.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api.md"

MODULES = {
    "Sampling": (
        "sampling/pipeline.py",
        "sampling/output.py",
        "sampling/run.py",
        "sampling/loading.py",
        "sampling/stages.py",
        "sampling/guidance.py",
        "sampling/guides.py",
        "sampling/images.py",
        "sampling/grid.py",
    ),
    "Types": ("types.py", "errors.py"),
    "Config": (
        "config/files.py",
        "config/overrides.py",
        "config/reading.py",
        "config/comparing.py",
        "config/experiment.py",
        "config/stages.py",
        "config/sections.py",
        "config/fine_tuning.py",
        "config/unets.py",
        "config/imagen.py",
        "config/clip.py",
        "registries.py",
    ),
    "Diffusion": (
        "diffusion/schedule.py",
        "diffusion/gaussian.py",
        "diffusion/losses.py",
        "diffusion/distillation.py",
        "diffusion/timesteps.py",
        "diffusion/augmentation.py",
        "diffusion/sample.py",
        "diffusion/caching.py",
        "diffusion/samplers/sampler.py",
        "diffusion/samplers/ddpm.py",
        "diffusion/samplers/ddim.py",
        "diffusion/samplers/plms.py",
        "diffusion/samplers/dpm_solver_pp.py",
        "diffusion/samplers/euler.py",
        "diffusion/samplers/heun.py",
        "diffusion/samplers/repaint.py",
        "diffusion/guidance/classifier_free.py",
        "diffusion/guidance/thresholding.py",
        "diffusion/guidance/known_pixels.py",
        "diffusion/guidance/gradients.py",
    ),
    "Models": (
        "models/model.py",
        "models/families.py",
        "models/glide.py",
        "models/adm.py",
        "models/imagen.py",
        "models/classifier.py",
        "models/clip.py",
    ),
    "Text": ("text/__init__.py", "text/tokenizer.py", "text/encoder.py", "text/if_captions.py"),
    "Text encoders": (
        "encoders/__init__.py",
        "encoders/frozen.py",
        "encoders/placing.py",
        "models/t5.py",
        "models/bert.py",
    ),
    "Data": ("data/__init__.py", "data/source.py", "data/pipeline.py", "data/conditioning.py"),
    "Training": (
        "training/jobs.py",
        "training/job.py",
        "training/loop.py",
        "training/step.py",
        "training/state.py",
        "training/optimizer.py",
        "training/objectives/registry.py",
        "training/objectives/image_to_text.py",
        "training/monitoring/sinks/sink.py",
    ),
    "Checkpoints": ("checkpoints/reading.py", "checkpoints/writing.py", "checkpoints/workdir.py"),
    "Evaluation and planning": (
        "evaluation/metric.py",
        "evaluation/registry.py",
        "evaluation/evaluating.py",
        "evaluation/sets.py",
        "evaluation/images/image_set.py",
        "evaluation/prompt_sets/prompt_set.py",
        "evaluation/report.py",
        "planning/plan.py",
        "planning/cost.py",
    ),
    "Judging": (
        "evaluation/judging/questions.py",
        "evaluation/judging/reading.py",
        "evaluation/judging/comparison.py",
        "evaluation/judging/assigning.py",
        "evaluation/judging/votes.py",
        "evaluation/judging/elo.py",
        "evaluation/judging/shares.py",
        "evaluation/judging/results.py",
    ),
    "Pages": (
        "web/__init__.py",
        "web/access.py",
        "web/application.py",
        "web/assets.py",
        "web/bodies.py",
        "web/serving.py",
        "web/judge.py",
    ),
    "Other people's weights": (
        "interop/files.py",
        "interop/weights.py",
        "interop/openai.py",
        "interop/released.py",
        "interop/download.py",
        "interop/importing.py",
        "interop/exporting.py",
    ),
    "The process": ("runtime.py", "cache.py", "writing.py"),
}
"""Heading → the modules below it, in glide_jax/."""

_ARRAY = re.compile(r"\b(?:f32|i32|u?int8|bool|key)\[[^\]]*\]")
_ENTRY = re.compile(r"^ {4}(\w[\w, ]*): (.*)")


def render() -> str:
    """The page."""
    parts = [
        "# Python API\n\n"
        "Public functions and classes by package; arrays with their shapes and ranges. Docstrings\n"
        "say more: `help(glide_jax.Pipeline)`. This page is written by `python docs/make_api.py`.\n"
    ]
    for heading, modules in MODULES.items():
        parts.append(f"\n## {heading}\n")
        for module in modules:
            lines = list(_lines(ast.parse((ROOT / "glide_jax" / module).read_text("utf-8"))))
            if lines:
                dotted = f"glide_jax.{module.removesuffix('.py').replace('/', '.')}"
                name = dotted.removesuffix(".__init__")
                parts.append(f"\n**`{name}`**\n\n" + "\n".join(lines) + "\n")
    return "".join(parts)


def _lines(body: ast.Module | ast.ClassDef, indent: str = "") -> Iterator[str]:
    """A list item for each public function and class, and for a class's methods."""
    for node in body.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        called = node.name == "__call__"
        if node.name.startswith("_") and not called:
            continue
        doc = ast.get_docstring(node) or ""
        name = node.name if not called else "__call__"
        signature = _signature(node) if isinstance(node, ast.FunctionDef) else ""
        arrays = _arrays(doc)
        yield (
            f"{indent}- `{name}{signature}`: {_first_sentence(doc)}"
            + (f" `{'`; `'.join(arrays)}`" if arrays else "")
        )
        if isinstance(node, ast.ClassDef):
            yield from _lines(node, indent + "  ")


def _signature(node: ast.FunctionDef) -> str:
    if any(isinstance(d, ast.Name) and d.id == "property" for d in node.decorator_list):
        return ""
    arguments = node.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        argument.annotation = None
    for argument in (arguments.vararg, arguments.kwarg):
        if argument:
            argument.annotation = None
    if arguments.args and arguments.args[0].arg in ("self", "cls"):
        del arguments.args[0]
    return f"({ast.unparse(arguments)})"


def _first_sentence(doc: str) -> str:
    return " ".join(doc.split("\n\n")[0].split())


def _arrays(doc: str) -> list[str]:
    """`x_0: f32[b h w c] in [-1, 1]` of each argument that is an array; `→ f32[b]` at the end."""
    section, found = "", []
    for line in doc.split("\n"):
        if heading := re.fullmatch(r"(\w+):", line):
            section = heading[1]
        elif section in ("Args", "Attributes") and (entry := _ENTRY.match(line)):
            if _ARRAY.match(entry[2]):
                found.append(f"{entry[1]}: {_array(entry[2])}")
        elif section == "Returns" and _ARRAY.match(line.strip()):
            found.append(f"→ {_array(line.strip())}")
    return found


def _array(text: str) -> str:
    """`f32[b h w c] in [-1, 1]` of a text that begins so."""
    match = re.match(_ARRAY.pattern + r"( in [\[\(][^\]\)]*[\]\)])?", text)
    return match[0] if match else ""


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
