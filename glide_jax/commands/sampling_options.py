"""What the commands share that sample: their arguments, and what is done with the images."""

import argparse
import contextlib
import dataclasses
import inspect
import math
import re
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glide_jax.commands.checkpoint_options import check_workdirs, read_experiments
from glide_jax.commands.command import accept_overrides, given_path
from glide_jax.commands.progress_options import add_preview, add_progress
from glide_jax.config import SamplingConfig
from glide_jax.entry import Parser
from glide_jax.errors import UserError, shortened
from glide_jax.progress import say
from glide_jax.storage import fetched

if TYPE_CHECKING:
    from glide_jax.commands.sampling_progress import ProgressLine
    from glide_jax.sampling.output import PipelineOutput
    from glide_jax.sampling.pipeline import Pipeline

_NO_FLAG = ("inpaint_sampler",)
"""Settings of SamplingConfig without a flag: `glide-jax inpaint --sampler` is this one."""

_INPAINTING = ("resamples",)
"""Settings that mean something in inpainting alone."""

MODELS = ("clip", "classifier", "text_encoder")
"""Arguments of `Pipeline.load` that are flags of the same name, where a command has them."""

_GUIDE_SCALES = {"clip_scale": "clip", "classifier_scale": "classifier"}
"""Settings beside SamplingConfig's → the flag of the model that they need."""

_NEEDS = _GUIDE_SCALES | {"rerank": "clip"}
"""What can be asked for → the flag of the guide that it needs."""

_MAX_SHOWN = 300
"""Characters of a prompt that is printed."""

_GUIDE_NAMES = {"clip": "noised CLIP", "classifier": "classifier"}

_KEYWORDS = (
    "clip_scale",
    "classifier_scale",
    "num_images",
    "negative_prompt",
    "rerank",
    "strength",
)
"""A Pipeline's other keywords, whose flags have the same names."""


def add_prompts(parser: Parser) -> None:
    """Add the arguments that say what is sampled."""
    add_captions(parser)
    parser.add_argument("--num-images", type=int, metavar="N", help="images per prompt; default: 1")
    parser.add_argument("--seed", type=int, metavar="N", help="random seed; default: 0")


def add_captions(parser: Parser) -> None:
    """Add PROMPT and --prompts-file."""
    parser.add_argument(
        "prompts", nargs="*", metavar="PROMPT", help='captions; "": an image of anything'
    )
    parser.add_argument(
        "--prompts-file", type=given_path, metavar="FILE", help="more prompts, one per line"
    )


def add_models_and_output(parser: Parser) -> None:
    """Add the arguments that say which models sample, and where the images go."""
    add_checkpoint(parser)
    parser.add_argument(
        "--text-encoder",
        type=given_path,
        metavar="DIR",
        help="for a model that was trained on a frozen text encoder: its weights' folder, or one "
        "that `encode` wrote; default: as the config says",
    )
    add_adapters(parser)
    parser.add_argument(
        "--out",
        type=given_path,
        default=Path("samples"),
        metavar="DIR",
        help="folder for the images",
    )
    parser.add_argument(
        "--preview-every",
        type=int,
        metavar="N",
        help="write preview.png, the images so far, every N steps",
    )
    add_progress(parser)
    add_preview(parser)
    accept_overrides(parser, "stages.upsampler.sampling.steps=20")


def add_checkpoint(parser: Parser) -> None:
    """Add --checkpoint."""
    parser.add_argument(
        "--checkpoint",
        # One value each time: with nargs="+" it would take a PROMPT that follows for a workdir.
        action="append",
        type=given_path,
        metavar="DIR",
        help="a workdir of training or of import; repeat it for a cascade from several workdirs: "
        "the base model's, then its upsampler's",
    )


def add_adapters(parser: Parser) -> None:
    """Add --adapter."""
    parser.add_argument(
        "--adapter",
        action="append",
        dest="adapters",
        metavar="FILE[:WEIGHT]",
        help="a low-rank adapter, which training with training.adapter writes, and the weight that "
        "it is given, 1 if none is; may be repeated: all are added",
    )


def add_settings(parser: Parser, *, inpaints: bool = False) -> None:
    """Add a flag for each setting of the first stage that samples.

    Args:
        parser: the command's.
        inpaints: whether to add those of inpainting too.
    """
    group = parser.add_argument_group(
        "sampling settings", "of the first model that samples; default: its config's"
    )
    explanations, hints = _explanations(), typing.get_type_hints(SamplingConfig)
    for field in dataclasses.fields(SamplingConfig):
        if field.name in _NO_FLAG or (field.name in _INPAINTING and not inpaints):
            continue
        explained = explanations.get(field.name, "").replace("%", "%%")
        group.add_argument(_flag(field.name), help=explained, **_kind(hints[field.name]))


def add_caption_options(parser: Parser) -> None:
    """Add what guides towards a caption, or away from one."""
    parser.add_argument("--negative-prompt", metavar="TEXT", help="guidance leads away from it")
    parser.add_argument(
        "--clip", type=given_path, metavar="DIR", help="a noised CLIP's workdir, for --clip-scale"
    )
    add_guide_scale(parser, "clip_scale")


def add_guide_scale(parser: Parser, name: str) -> None:
    """Add the scale of a guide's gradient; its model has a flag of its own."""
    guide = _GUIDE_SCALES[name]
    what = f"scale of the guidance by the gradient of --{guide}"
    parser.add_argument(_flag(name), type=_number, metavar="X", help=what)


def prompts_of(arguments: argparse.Namespace) -> list[str]:
    """The prompts that were given on the command line and in a file; []: none were."""
    prompts = list(arguments.prompts)
    if arguments.prompts_file is not None:
        from glide_jax.data.lines import read_text, split_lines

        try:
            lines = split_lines(read_text(fetched(arguments.prompts_file)))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
            raise UserError(f"can't read {arguments.prompts_file}: {reason}") from error
        found = [line.strip() for line in lines if line.strip()]
        if not found:
            raise UserError(f"{arguments.prompts_file} is empty: write a prompt on each line")
        prompts += found
    return prompts


def required_prompts_of(arguments: argparse.Namespace) -> list[str]:
    """As `prompts_of`. Raises UserError where there are none."""
    prompts = prompts_of(arguments)
    if not prompts:
        raise UserError('give a PROMPT or --prompts-file; "" asks for an image of anything')
    return prompts


def keywords_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of a Pipeline's method that were given, settings among them."""
    settings = [field.name for field in dataclasses.fields(SamplingConfig)]
    names = (*settings, *_GUIDE_SCALES, "num_images", "seed", "negative_prompt")
    given = {name: getattr(arguments, name, None) for name in names}
    every = arguments.preview_every
    if every is not None and every < 1:
        raise UserError(f"--preview-every must be 1 or more, not {every}")
    return {name: v for name, v in (given | {"progress_every": every}).items() if v is not None}


def check_guides(arguments: argparse.Namespace) -> None:
    """Raise UserError where a guide is used whose workdir is not given."""
    for name, guide in _NEEDS.items():
        if getattr(arguments, name, None) is not None and getattr(arguments, guide) is None:
            raise UserError(
                f"{_flag(name)} needs a {_GUIDE_NAMES[guide]}: give --{guide} DIR, its workdir"
            )


@contextlib.contextmanager
def in_flags() -> Iterator[None]:
    """Say in the words of the command line what the Pipeline says in Python's.

    `num_images must be 1 or more` becomes `--num-images must be …`. A keyword that is also a word,
    such as `steps`, is meant where it comes first, or has an `=` behind it.
    """
    names = [*(field.name for field in dataclasses.fields(SamplingConfig)), *_KEYWORDS]
    marked = "|".join(name for name in names if "_" in name)
    words = "|".join(name for name in names if "_" not in name)
    keyword = re.compile(rf"(?<![\w.-])(?:({marked})\b|({words})(?==)|(?<!.)({words})(?= must be))")
    try:
        yield
    except UserError as error:
        text = keyword.sub(lambda found: _flag(found.group()), str(error))
        raise UserError(text) from error


def load_for(arguments: argparse.Namespace, prompts: Sequence[str]) -> "Pipeline":
    """The pipeline of a command's arguments, which saves into --out; prompts that it cuts are
    printed. Raises as `load`."""
    models: dict[str, Any] = {name: getattr(arguments, name, None) for name in MODELS}
    negative = getattr(arguments, "negative_prompt", None)
    captions = [*prompts, negative] if negative else list(prompts)
    models |= {"prompts": captions, "adapters": arguments.adapters or ()}
    pipeline = load(arguments.checkpoint, arguments.overrides, **models)
    warn_of_truncated(pipeline, prompts)
    return pipeline.saving_to(arguments.out)


def load(
    checkpoints: Sequence[Path] | None,
    overrides: Sequence[str] = (),
    *,
    clip: Path | None = None,
    classifier: Path | None = None,
    text_encoder: Path | None = None,
    prompts: Sequence[str] = (),
    adapters: Sequence[str] = (),
) -> "Pipeline":
    """Configure the process and load a pipeline.

    Args:
        checkpoints: the stages' workdirs; None: none were given.
        overrides: changes of their configs, `KEY=VALUE` each.
        clip, classifier: the guides' workdirs, or None.
        text_encoder, prompts, adapters: see `Pipeline.load`.

    Raises:
        UserError: there are no checkpoints, one holds no model, or an override is wrong.
    """
    check_workdirs(*(checkpoints or ()), clip, classifier)
    read_experiments(checkpoints, overrides)
    from glide_jax.sampling.pipeline import Pipeline

    workdirs = checkpoints or ()
    guides = {"clip": clip, "classifier": classifier}
    encoder = {"text_encoder": text_encoder, "prompts": prompts}
    return Pipeline.load(*workdirs, overrides=overrides, adapters=adapters, **guides, **encoder)


def show_progress(arguments: argparse.Namespace) -> "ProgressLine":
    """An `on_progress` that shows a line on stderr and, on request, writes a preview."""
    from glide_jax.commands.sampling_progress import ProgressLine
    from glide_jax.parallel.processes import progress_stream

    preview = arguments.out / "preview.png" if arguments.preview_every else None
    return ProgressLine(progress_stream(), preview)


def warn_of_truncated(pipeline: "Pipeline", prompts: Sequence[str]) -> None:
    """Print which prompts are longer than the first model reads."""
    from glide_jax.parallel.processes import progress_stream
    from glide_jax.sampling.stages import truncated_prompts

    stage = pipeline.stages[0]
    length = stage.reader.length if stage.reader else 0
    for prompt in truncated_prompts(stage, prompts):
        shown = shortened(prompt, _MAX_SHOWN)
        say(f"cut to its first {length} tokens: {shown!r}", progress_stream())


def show_saved(output: "PipelineOutput", folder: Path, sheet: Path | None = None) -> list[Path]:
    """Print the files of saved images and return them; write the contact sheet if it has a path."""
    from glide_jax.commands.outputs import save_sheet

    files = output.files(folder)
    if sheet is not None:
        save_sheet(output, sheet)
        files.append(sheet)
    print("\n".join(map(str, files)))
    return files


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return number


def _kind(hint: Any) -> dict[str, Any]:
    """How argparse reads a field with this type hint."""
    if isinstance(hint, types.UnionType):
        hint = next(kind for kind in typing.get_args(hint) if kind is not type(None))
    if typing.get_origin(hint) is tuple:
        return {"type": _number, "nargs": 2, "metavar": ("LOW", "HIGH")}
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    kind, metavar = {float: (_number, "X"), int: (int, "N"), str: (str, "TEXT")}[hint]
    return {"type": kind, "metavar": metavar}


def _explanations() -> dict[str, str]:
    """Setting → its paragraph in SamplingConfig's docstring, which `python -OO` leaves out."""
    text = inspect.cleandoc(SamplingConfig.__doc__ or "").partition("Attributes:\n")[2]
    paragraphs = re.split(r"^ {4}(\w+): ", text, flags=re.MULTILINE)[1:]
    pairs = zip(paragraphs[::2], paragraphs[1::2], strict=True)
    return {name: " ".join(words.split()).rstrip(".").replace("`", "") for name, words in pairs}
