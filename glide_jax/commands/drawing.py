"""What the commands that draw have in common: their words, and what is done with the pictures."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glide_jax.entry import Parser
from glide_jax.errors import UserError
from glide_jax.pipelines.settings import Settings

if TYPE_CHECKING:
    from glide_jax.commands.watching import Watch
    from glide_jax.pipelines.drawn import Drawn
    from glide_jax.pipelines.pipeline import Pipeline


def add_output(parser: Parser) -> None:
    """Add the words that say which models draw, and where to."""
    parser.add_argument(
        "--checkpoint",
        # One value each time: with nargs="+" it would take a PROMPT that follows for a workdir.
        action="append",
        type=Path,
        metavar="DIR",
        help="a workdir; said twice, stages follow: a base model's, then its upsampler's",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("samples"), metavar="DIR", help="where pictures are put"
    )
    parser.add_argument(
        "--preview-every", type=int, metavar="N", help="steps between two writings of preview.png"
    )


def add_prompts(parser: Parser) -> None:
    """Add the words that say what is drawn."""
    parser.add_argument("prompts", nargs="*", metavar="PROMPT", help='"": a picture of anything')
    parser.add_argument(
        "--prompts-file", type=Path, metavar="FILE", help="more prompts, one a line"
    )
    parser.add_argument("--num-images", type=int, metavar="N", help="of each prompt; 1 if not said")
    parser.add_argument("--seed", type=int, metavar="N", help="another seed, other pictures; 0")


def add_settings(parser: Parser) -> None:
    """Add the words of Settings; what is left out is as the checkpoint's config says."""
    number = {"type": float, "metavar": "X"}
    parser.add_argument("--sampler", metavar="NAME", help="such as ddim, plms or dpm_solver++")
    parser.add_argument("--steps", metavar="N", help="how many, or which: 50, fast27, logsnr20")
    parser.add_argument("--eta", **number, help="DDIM's noise: 0 none, 1 as much as DDPM's")
    parser.add_argument("--guidance-scale", **number, help="1: no guidance, half the work")
    parser.add_argument(
        "--guidance-interval",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="guide in this part of the noising process alone: 0 its clean, 1 its noisy end",
    )
    parser.add_argument("--dynamic-threshold", **number, help="Imagen's quantile, such as 0.995")
    parser.add_argument("--temperature", **number, help="standard deviation of the first noise")
    parser.add_argument("--low-res-noise", **number, help="of an upsampler's low-res picture")
    parser.add_argument("--batch-size", type=int, metavar="N", help="pictures drawn at once")


def add_words_of_captions(parser: Parser) -> None:
    """Add what leads towards a prompt, or away from one."""
    parser.add_argument("--negative-prompt", metavar="TEXT", help="guidance leads away from it")
    parser.add_argument("--clip", type=Path, metavar="DIR", help="the workdir of a noised CLIP")
    parser.add_argument(
        "--clip-scale", type=float, metavar="X", help="guide by CLIP too; needs --clip"
    )


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The Settings that were given. Raises UserError for a value that makes no sense."""
    names = [field.name for field in dataclasses.fields(Settings)]
    given = {name: getattr(arguments, name, None) for name in names}
    return Settings.of(given).to_dict()


def prompts_of(arguments: argparse.Namespace) -> list[str]:
    """The prompts that were given, here and in a file. Raises UserError where there are none."""
    prompts = list(arguments.prompts)
    if arguments.prompts_file is not None:
        try:
            lines = arguments.prompts_file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
            raise UserError(f"can't read {arguments.prompts_file}: {reason}") from error
        prompts += [line.strip() for line in lines if line.strip()]
    if not prompts:
        raise UserError('give a PROMPT or --prompts-file; "" asks for a picture of anything')
    return prompts


def common(arguments: argparse.Namespace) -> dict[str, Any]:
    """What every method of a Pipeline is told beside its pictures and prompts."""
    told = settings_of(arguments)
    for name in ("num_images", "seed", "negative_prompt"):
        if getattr(arguments, name, None) is not None:
            told[name] = getattr(arguments, name)
    return told


def load(
    checkpoints: Sequence[Path] | None,
    clip: Path | None = None,
    classifier: Path | None = None,
    overrides: Sequence[str] = (),
) -> "Pipeline":
    """The pipeline of workdirs. Raises UserError where there are none."""
    if not checkpoints:
        raise UserError("give --checkpoint DIR, the workdir of training or of import")
    for workdir in (*checkpoints, *filter(None, (clip, classifier))):
        if not workdir.is_dir():
            raise UserError(f"there is no workdir {workdir}")
    from glide_jax.pipelines.pipeline import Pipeline

    return Pipeline.load(*checkpoints, overrides=overrides, clip=clip, classifier=classifier)


def watch(arguments: argparse.Namespace) -> "Watch":
    """Who shows how far it is."""
    from glide_jax.commands.watching import Watch

    every = arguments.preview_every
    if every is not None and every < 1:
        raise UserError(f"--preview-every must be 1 or more, not {every}")
    return Watch(sys.stderr, arguments.out / "preview.png" if every else None, every or 1)


def say_cut(pipeline: "Pipeline", prompts: Sequence[str]) -> None:
    """Say which prompts are longer than the first model reads."""
    from glide_jax.pipelines.stage import cut_prompts

    stage = pipeline.stages[0]
    for prompt in cut_prompts(stage, prompts):
        print(f"cut to its first {stage.text_length} tokens: {prompt!r}", file=sys.stderr)


def save(drawn: "Drawn", out: Path) -> None:
    """Write the pictures, and say where. Raises UserError where that can't be."""
    try:
        files = drawn.save(out)
    except OSError as error:
        raise UserError(f"can't write to {out}: {error.strerror}; choose another --out") from error
    print("\n".join(map(str, files)))
