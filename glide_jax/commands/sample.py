"""`glide-jax sample`."""

import argparse
from pathlib import Path

from glide_jax.commands import drawing
from glide_jax.commands.command import Run
from glide_jax.entry import Parser
from glide_jax.errors import UserError


def add(parser: Parser) -> Run:
    """Draw prompts, or classes; or a picture of before once more."""
    drawing.add_prompts(parser)
    drawing.add_output(parser)
    drawing.add_settings(parser)
    drawing.add_words_of_captions(parser)
    parser.add_argument(
        "--rerank", type=int, metavar="N", help="draw N a prompt and keep CLIP's best; needs --clip"
    )
    parser.add_argument(
        "--class",
        nargs="+",
        type=int,
        dest="labels",
        metavar="N",
        help="draw classes, not prompts, with a class-conditional model",
    )
    parser.add_argument("--classifier", type=Path, metavar="DIR", help="a classifier's workdir")
    parser.add_argument(
        "--classifier-scale", type=float, metavar="X", help="guide by it; needs --classifier"
    )
    parser.add_argument(
        "--like",
        type=Path,
        metavar="PNG",
        help="draw this picture once more, with all that it says made it",
    )

    def run(arguments: argparse.Namespace) -> None:
        if arguments.like is not None:
            _again(arguments)
            return
        told = drawing.common(arguments)
        if arguments.labels is not None and arguments.prompts:
            raise UserError("give either PROMPT or --class")
        prompts = [] if arguments.labels is not None else drawing.prompts_of(arguments)
        pipeline = drawing.load(arguments.checkpoint, arguments.clip, arguments.classifier)
        drawing.say_cut(pipeline, prompts)
        with drawing.watch(arguments) as watch:
            if arguments.labels is not None:
                drawn = pipeline.of_classes(arguments.labels, on_step=watch, **told)
            else:
                drawn = pipeline(prompts, rerank=arguments.rerank, on_step=watch, **told)
        drawing.save(drawn, arguments.out)

    return run


def _again(arguments: argparse.Namespace) -> None:
    from glide_jax.pipelines.metadata import read_made

    places = ("like", "checkpoint", "clip", "classifier", "out", "preview_every", "run")
    others = {name: v for name, v in vars(arguments).items() if name not in places}
    if any(value not in (None, []) for value in others.values()):
        raise UserError("--like takes all from the picture: leave prompts and settings out")
    made = read_made(arguments.like)
    if arguments.out.resolve() == arguments.like.resolve().parent:
        raise UserError(f"--like would write over {arguments.like}: choose another --out")
    pipeline = drawing.load(
        arguments.checkpoint or [Path(workdir) for workdir in made.checkpoints],
        arguments.clip or (Path(made.clip) if made.clip else None),
        arguments.classifier or (Path(made.classifier) if made.classifier else None),
        made.overrides,
    )
    with drawing.watch(arguments) as watch:
        drawn = pipeline.again(made, on_step=watch)
    drawing.save(drawn, arguments.out)
