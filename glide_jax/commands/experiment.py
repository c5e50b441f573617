"""`glide-jax experiment`."""

import argparse
import dataclasses
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glide_jax.commands.command import Run, given_path
from glide_jax.commands.progress_options import add_progress
from glide_jax.entry import Parser
from glide_jax.errors import UserError
from glide_jax.experiments.registry import CLAIMS, find_claim
from glide_jax.storage import check_writable, is_in_bucket

if TYPE_CHECKING:
    from glide_jax.experiments.claim import Claim
    from glide_jax.experiments.running import ArmScores, Callbacks, Place

RUNS = Path("runs")
FOLDER = "experiments"
"""In the folder of the shared workdirs."""


def add(parser: Parser) -> Run:
    """Test a claim of a paper on small models: sample what it compares, and print figures with
    their intervals and a verdict. Without NAME the claims are listed. What was stopped goes on."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="of a claim")
    parser.add_argument(
        "--runs",
        type=given_path,
        default=RUNS,
        metavar="DIR",
        help="the folder that has quickstart, clip_quickstart and imagen_quickstart, the trained "
        f"workdirs that experiments share; default: {RUNS}",
    )
    parser.add_argument(
        "--out",
        type=given_path,
        metavar="DIR",
        help="folder for trainings, images, scores, result.json and plot.png, NAME/ in it for this "
        f"experiment's own; default: RUNS/{FOLDER}",
    )
    parser.add_argument(
        "--rows",
        type=int,
        metavar="N",
        help="captions, or images, that each arm is measured on; default: as the claim declares. "
        "Fewer are a first look: their result is no test of the claim",
    )
    add_progress(parser)
    return _run


def _run(arguments: argparse.Namespace) -> None:
    if arguments.name is None:
        _list(arguments.runs)
        return
    claim = find_claim(arguments.name)
    look = ""
    if arguments.rows not in (None, claim.rows):
        if arguments.rows < 2:
            raise UserError(f"--rows must be 2 or more, not {arguments.rows}")
        claim = dataclasses.replace(claim, rows=arguments.rows)
        look = f"first_look_{arguments.rows}"
    out = arguments.out or arguments.runs / FOLDER
    if any(map(is_in_bucket, (arguments.runs, out))):
        raise UserError("an experiment runs in local folders: give --runs and --out of this disk")
    from glide_jax.experiments.running import Place, check_trained

    place = Place(arguments.runs, out, arguments.name, look)
    check_trained(claim, place)
    check_writable(out)
    _measure(claim, place)


def _measure(claim: "Claim", place: "Place") -> None:
    from glide_jax import runtime
    from glide_jax.commands.train import train
    from glide_jax.experiments.plotting import write_plot
    from glide_jax.experiments.running import PLOT, RESULT, run_claim, train_own
    from glide_jax.experiments.tables import table

    # As the quickstart, whose models they all sample.
    runtime.configure(1)
    train_own(claim, place, train)
    result = run_claim(claim, place, _callbacks())
    write_plot(place.results / PLOT, claim, result)
    print(f"\n{claim.says}.\n{claim.paper}, {claim.where}: {claim.figure}.\n")
    print(table(result))
    if place.look:
        print(f"(a first look, of {claim.rows} rows)")
    print(f"\n{place.results / RESULT}\n{place.results / PLOT}")


def _callbacks() -> "Callbacks":
    from glide_jax.commands.generation_progress import GenerationLine
    from glide_jax.experiments.running import Callbacks
    from glide_jax.experiments.scores import SCORES
    from glide_jax.parallel.processes import progress_stream
    from glide_jax.progress import clock_face, say

    lines: list[GenerationLine] = []

    def on_progress(name: str, progress: Any) -> None:
        if not lines:
            lines.append(GenerationLine(progress_stream(), name))
        lines[0](progress)

    def on_measured(measured: "ArmScores") -> None:
        import numpy as np

        while lines:
            lines.pop().end()
        shown = ", ".join(
            f"{SCORES[name].title} {SCORES[name].shown(float(np.nanmean(values)))}"
            for name, values in measured.scores.items()
        )
        left = f", about {clock_face(measured.left_s)} left" * bool(measured.left_s)
        place = f"{measured.done}/{measured.total}{left}"
        say(f"[{place}] {measured.arm}, seed {measured.seed}: {shown}")

    return Callbacks(on_progress, on_measured)


def _list(runs: Path) -> None:
    from glide_jax.experiments.claim import command_of

    width = max(map(len, CLAIMS))
    needed: dict[str, str] = {}
    for name in CLAIMS:
        claim = find_claim(name)
        text = f"{claim.says} ({claim.paper}, {claim.where})"
        print(textwrap.fill(text, 100, initial_indent=f"{name:{width}}  ",
                            subsequent_indent=" " * (width + 2)))  # fmt: skip
        for workdir, trained in claim.trained.items():
            if not trained.own:
                needed[workdir] = command_of(workdir, trained, runs)
    print("\ntrained workdirs that they need:")
    for command in needed.values():
        print(f"  {command}")
