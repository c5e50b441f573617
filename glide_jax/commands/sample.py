"""`glide-jax sample`."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glide_jax.commands import joining, sampling_options
from glide_jax.commands.checkpoint_options import check_workdirs, read_experiments
from glide_jax.commands.command import Run, given_path, run_command
from glide_jax.commands.progress_options import NAMES
from glide_jax.entry import Parser
from glide_jax.errors import UserError
from glide_jax.storage import check_writable, storage_path


def add(parser: Parser) -> Run:
    """Sample prompts or classes; without any, those of the checkpoint's config. An unconditional
    model takes neither."""
    sampling_options.add_prompts(parser)
    sampling_options.add_models_and_output(parser)
    parser.add_argument(
        "--contact-sheet",
        type=given_path,
        metavar="FILE",
        help="all images on one sheet; default: OUT.png without a PROMPT, else none",
    )
    parser.add_argument(
        "--class",
        nargs="+",
        type=int,
        dest="labels",
        metavar="N",
        help="sample these classes, not prompts; of a class-conditional model, or by --classifier",
    )
    parser.add_argument(
        "--rerank",
        type=int,
        metavar="N",
        help="sample N images per prompt and keep those that fit it best by --clip",
    )
    parser.add_argument(
        "--like",
        type=given_path,
        metavar="PNG",
        help="sample this image once more, with everything that its file says it was made with",
    )
    sampling_options.add_caption_options(parser)
    parser.add_argument(
        "--classifier",
        type=given_path,
        metavar="DIR",
        help="a noisy classifier's workdir, for --classifier-scale",
    )
    sampling_options.add_guide_scale(parser, "classifier_scale")
    sampling_options.add_settings(parser)
    joining.add_coordinator(parser, "sample")
    return _run


def sample(
    workdir: Path, overrides: Sequence[str] = (), prompts: Sequence[str] = (), seed: int = 0
) -> None:
    """`glide-jax sample` into a workdir's own `samples`, with the contact sheet beside it.

    Args:
        workdir: of training or of import.
        overrides: changes of the checkpoint's config, `KEY=VALUE` each.
        prompts: captions; empty: those of the config, or its labels.
        seed: random seed.

    Raises:
        UserError: the workdir holds no model, or an override is wrong.
    """
    out = workdir / "samples"
    words = [f"--checkpoint={workdir}", f"--out={out}", f"--contact-sheet={out}.png"]
    run_command("sample", add, [*words, f"--seed={seed}", "--", *prompts], overrides)


def _run(arguments: argparse.Namespace) -> None:
    joining.require_coordinator(arguments)
    check_writable(arguments.out)
    _check_sheet(arguments.contact_sheet)
    if arguments.like is not None:
        _reproduce(arguments)
        return
    start = time.perf_counter()
    sampling_options.check_guides(arguments)
    keywords = sampling_options.keywords_of(arguments)
    prompts, labels = sampling_options.prompts_of(arguments), arguments.labels
    if labels is not None and prompts:
        raise UserError("give either PROMPT or --class")
    sheet = arguments.contact_sheet
    if not prompts and labels is None:
        prompts, labels = _prompts_of_config(arguments)
        sheet = sheet or arguments.out.with_name(arguments.out.name + ".png")
    if arguments.coordinator:
        check_workdirs(arguments.clip, arguments.classifier)
        read_experiments(arguments.checkpoint, arguments.overrides)  # it configures the process
        joining.join_run(arguments)
    pipeline = sampling_options.load_for(arguments, prompts)
    with sampling_options.in_flags(), sampling_options.show_progress(arguments) as on_progress:
        keywords |= {"on_progress": on_progress}
        if labels is not None:
            output = pipeline.sample_classes(labels, **keywords)
        else:
            output = pipeline(prompts, rerank=arguments.rerank, **keywords)
    files = sampling_options.show_saved(output, arguments.out, sheet)
    _summarize(arguments, prompts, labels, files, time.perf_counter() - start)


def _check_sheet(sheet: Path | None) -> None:
    """Raise UserError where a contact sheet could not be written once all is sampled."""
    if sheet is None:
        return
    if sheet.is_dir() or sheet.suffix.lower() != ".png":
        raise UserError(f"--contact-sheet {sheet}: give a file whose name ends in .png")
    check_writable(sheet.parent)


def _prompts_of_config(arguments: argparse.Namespace) -> tuple[list[str], list[int] | None]:
    """The config's prompts or labels, of the first checkpoint; of an unconditional model ""."""
    experiment = read_experiments(arguments.checkpoint, arguments.overrides)[0]
    if experiment.labels:
        return [], list(experiment.labels)
    if experiment.samples_anything:
        return [""], None
    if not experiment.prompts:
        raise UserError(
            f"give a PROMPT, --prompts-file or --class: the config of {arguments.checkpoint[0]} "
            "has none of its own"
        )
    return list(experiment.prompts), None


def _summarize(
    arguments: argparse.Namespace,
    prompts: Sequence[str],
    labels: Sequence[int] | None,
    files: Sequence[Path],
    seconds: float,
) -> None:
    """Note samples that were written into a workdir in its summary.json."""
    from glide_jax.evaluation.summary import update_summary

    workdir = arguments.checkpoint[0]
    if arguments.out.resolve().parent != workdir.resolve():
        return
    sampled: dict[str, Any] = {"prompts": prompts, "labels": labels, "seed": arguments.seed or 0}
    sampled |= {"files": [str(file) for file in files], "seconds": round(seconds, 1)}
    update_summary(workdir, {"sample": sampled})


def _reproduce(arguments: argparse.Namespace) -> None:
    from glide_jax.sampling.output import read_provenance

    own = (
        "like",
        "checkpoint",
        *sampling_options.MODELS,
        "adapters",
        "out",
        "preview_every",
        *NAMES,
    )
    others = {name: v for name, v in vars(arguments).items() if name not in own}
    if any(value not in (None, [], ()) for value in others.values()):
        raise UserError("--like takes all from the image: leave prompts and settings out")
    made = read_provenance(arguments.like)
    if arguments.out.resolve() == arguments.like.resolve().parent:
        raise UserError(f"--like would write over {arguments.like}: choose another --out")
    pipeline = sampling_options.load(
        arguments.checkpoint or [storage_path(workdir) for workdir in made.checkpoints],
        made.overrides,
        prompts=[made.prompt, made.negative_prompt],
        adapters=arguments.adapters or made.adapters,
        **{
            name: getattr(arguments, name) or (storage_path(path) if path else None)
            for name in sampling_options.MODELS
            for path in [getattr(made, name)]
        },
    )
    with sampling_options.in_flags(), sampling_options.show_progress(arguments) as on_progress:
        output = pipeline.saving_to(arguments.out).reproduce(made, on_progress=on_progress)
    sampling_options.show_saved(output, arguments.out)
