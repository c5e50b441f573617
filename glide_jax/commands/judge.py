"""`glide-jax judge`."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from glide_jax.commands import address_options
from glide_jax.commands.command import Run, given_path
from glide_jax.commands.progress_options import add_progress
from glide_jax.entry import Parser
from glide_jax.errors import UserError
from glide_jax.local_path import local_path
from glide_jax.progress import Line, TaskProgress, clock_face

_PORT = 8765


def add(parser: Parser) -> Run:
    """Compare models by people: serve a page that shows their images of one prompt side by side,
    store the votes, and compute Elo scores and win rates from them."""
    parser.add_argument(
        "folders",
        nargs="*",
        metavar="DIR|NAME=DIR",
        help="images of one model each, as `sample` writes them; NAME: the model's, default: the "
        "folder's",
    )
    parser.add_argument(
        "--votes",
        type=local_path,
        default=Path("votes.sqlite"),
        metavar="FILE",
        help="where the votes are, of one comparison; default: votes.sqlite",
    )
    parser.add_argument(
        "--questions",
        default="",
        metavar="NAME,…",
        help="photorealism, caption_similarity (GLIDE's, of pairs), alignment (Imagen's, of single "
        "images); default: GLIDE's",
    )
    parser.add_argument(
        "--prompts-file",
        type=given_path,
        metavar="FILE",
        help="one prompt per line, for each folder's images in the order of their names; for "
        "images that don't hold their prompts",
    )
    parser.add_argument(
        "--skip-unpaired",
        action="store_true",
        help="judge only prompts that every model has an image of; default: others are an error",
    )
    address_options.add_address(parser, _PORT)
    add_progress(parser)
    parser.add_argument(
        "--results",
        action="store_true",
        help="print Elo scores, win rates and ratings with 95%% intervals, and serve nothing",
    )
    parser.add_argument(
        "--json", type=given_path, metavar="FILE", help="with --results: write them as JSON too"
    )
    return _run


def _run(arguments: argparse.Namespace) -> None:
    if arguments.json is not None and not arguments.results:
        raise UserError("--json writes results: give --results too")
    if arguments.results:
        _print_results(arguments.votes, arguments.json)
    elif not arguments.folders:
        raise UserError("give a folder of images for each model, or --results; see --help")
    else:
        _serve(arguments)


def _print_results(file: Path, json_file: Path | None) -> None:
    from glide_jax.evaluation.judging.results import lines_of, results_of
    from glide_jax.evaluation.judging.votes import Votes
    from glide_jax.writing import atomic_path

    with Votes(file, must_exist=True) as votes:
        results = results_of(votes.all())
    print("\n".join(lines_of(results)))
    if json_file is not None:
        with atomic_path(json_file) as part:
            part.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _serve(arguments: argparse.Namespace) -> None:
    from glide_jax.evaluation.judging.questions import GLIDE_QUESTIONS, find_questions
    from glide_jax.web import require_web

    require_web()
    names = [name.strip() for name in arguments.questions.split(",") if name.strip()]
    questions = find_questions(names or GLIDE_QUESTIONS)

    from glide_jax.evaluation.judging.comparison import compare
    from glide_jax.evaluation.judging.reading import read_models
    from glide_jax.evaluation.judging.votes import Votes
    from glide_jax.web.access import LOOPBACK, access_for, new_token
    from glide_jax.web.judge import judge_application
    from glide_jax.web.serving import address_of, listen, serve

    progress = CheckingLine(Line(sys.stderr))
    try:
        images = read_models(arguments.folders, arguments.prompts_file, progress)
    finally:
        progress.end()
    comparison = compare(images, questions, skip_unpaired=arguments.skip_unpaired)
    host = arguments.network or LOOPBACK
    with listen(host, arguments.port) as listener, Votes(arguments.votes) as votes:
        # The token stays, so that judges may go on after a restart.
        access = access_for(host, votes.secret("token", new_token()))
        app = judge_application(comparison, votes, access)
        print(
            f"{len(comparison.models)} models, {len(comparison.images)} images, "
            f"{len(comparison.trials())} trials for each judge; votes in {arguments.votes}\n"
            f"open {address_of(listener, access)} (Ctrl-C stops)",
            flush=True,
        )
        serve(app, listener)


class CheckingLine:
    """Says how far the images are checked, at most once a second, and how long it will take.

    Args:
        line: where it is shown.
        clock: seconds.
    """

    def __init__(self, line: Line, clock: Callable[[], float] = time.monotonic):
        self._line = line
        self._clock = clock
        self._model = ""
        self._start = self._shown = clock()

    def __call__(self, model: str, done: int, total: int) -> None:
        """Show it, if there is something new."""
        now = self._clock()
        if model != self._model:
            self._model, self._start = model, self._shown
        if now - self._shown >= 1:
            left = (now - self._start) / done * (total - done)
            task = f"checking {model}"
            text = f"{task}: {done:,}/{total:,}, {clock_face(left)} left"
            self._line.show(TaskProgress(task, done, total, "images", left, text))
            self._shown = now

    def end(self) -> None:
        """Leave the line."""
        self._line.end()
