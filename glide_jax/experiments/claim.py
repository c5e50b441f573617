"""A Claim: what a paper says, and everything that decides, before the data, whether it holds here.

Nothing here loads JAX: the claims are listed, and mistakes answered, without it.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from glide_jax.evaluation.maths.intervals import Interval

if TYPE_CHECKING:
    from glide_jax.experiments.lab import Lab

Scores = Mapping[str, np.ndarray]
"""Name of a score → f64[n], of each row, a caption or an image; NaN where a row says nothing."""

Table = Mapping[str, Mapping[str, np.ndarray]]
"""Arm → score → f64[seeds n]; row i is the same caption or image in all arms."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained workdir that an experiment needs.

    Attributes:
        config: the name of its config.
        overrides: `KEY=VALUE` each; `{RUNS}` in one stands for the folder of the shared workdirs.
        own: whether the experiment trains it, for itself and for others that need one of this
            name; if not, whoever runs the experiment has trained it by `command_of`.
    """

    config: str
    overrides: tuple[str, ...]
    own: bool


SHORT_BASE = (
    "stages.upsampler=none",
    "evaluation=none",
    "stages.base.training.num_steps=2500",
    "stages.base.training.sample_every_steps=2500",
)
"""Overrides of the quickstart: its base model alone, of two fifths of its steps, for a few minutes.

Its text encoder is trained as long as the quickstart's: it finds out which word belongs to which
all at once, and one that has not yet done so leaves nothing for guidance to make more of."""

SHORT = {
    "short": Trained(
        "quickstart", (*SHORT_BASE, "stages.base.training.caption_dropout=0.2"), own=True
    )
}
"""A base model that is wrong often enough that what helps it is seen, with GLIDE's share of null
captions. The quickstart's own is right in nearly all captions, and leaves little to gain."""

SHARED = {
    name: Trained(name, (), own=False)
    for name in ("quickstart", "clip_quickstart", "imagen_quickstart")
}
"""The workdirs that several experiments sample from, by the names of their folders."""


def command_of(name: str, trained: Trained, runs: Path) -> str:
    """The command that trains a workdir.

    Args:
        name: of its folder.
        trained: the workdir.
        runs: the folder of the shared workdirs, and of this one where it is trained by hand.
    """
    changes = "".join(f" --config.{change}" for change in filled(trained, runs))
    return f"glide-jax train --config={trained.config} --workdir={runs / name}{changes}"


def filled(trained: Trained, runs: Path) -> list[str]:
    """The overrides of a workdir, with the folder of the shared workdirs in them."""
    return [change.replace("{RUNS}", str(runs)) for change in trained.overrides]


class Measure(Protocol):
    """What is measured of an arm: a frozen dataclass, whose fields are kept with the result."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of the workdirs."""
        ...

    def scores(self, lab: "Lab", seed: int) -> Scores:
        """The scores of every row.

        Args:
            lab: the models, the rows, and where images are kept.
            seed: of all random choices.

        Raises:
            UserError: a model can't be sampled so.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Arm:
    """One of the things that an experiment compares.

    Attributes:
        name: for tables.
        measure: what is measured.
        line: of a plot over `x`, the line that it is on.
        x: where on that line; None: the arms are no curve, and are plotted one below the other.
    """

    name: str
    measure: Measure
    line: str = ""
    x: float | None = None


class Comparison(Protocol):
    """A difference that the claim says is above a number.

    Attributes:
        kind: DIFFERENCE, SHARE or ELO, see `verdict`.
    """

    kind: ClassVar[str]

    @property
    def score(self) -> str:
        """The name of the score, of SCORES."""
        ...

    @property
    def text(self) -> str:
        """What is compared, in words."""
        ...

    @property
    def above(self) -> float:
        """The number."""
        ...

    def interval(self, table: Table) -> Interval:
        """The difference and its 95 % interval."""
        ...


@dataclasses.dataclass(frozen=True)
class Claim:
    """What a paper says, and what decides whether it is reproduced.

    Attributes:
        says: the claim, in a sentence.
        paper: who, when, and its arXiv number.
        where: section and table in it.
        figure: the paper's own figure.
        trained: the workdirs that its arms need, by name.
        split: of the data set, whose first captions or images are the rows.
        rows: how many; the first ones.
        seeds: each arm is measured with each.
        arms: what is compared.
        scores: the names of the scores that are shown, of SCORES, in their order.
        comparisons: what decides, see `verdict`.
        elo_by: the score by which Elo scores of the arms are given, a higher one winning; "": none
            are given.
        x_label: of a plot of curves.
    """

    says: str
    paper: str
    where: str
    figure: str
    trained: Mapping[str, Trained]
    split: str
    rows: int
    seeds: tuple[int, ...]
    arms: tuple[Arm, ...]
    scores: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    elo_by: str = ""
    x_label: str = ""


def declared(measure: Measure) -> dict[str, Any]:
    """The fields of a measure, ready for JSON, and its kind."""
    fields: Any = measure
    return {"kind": type(measure).__name__, **dataclasses.asdict(fields)}
