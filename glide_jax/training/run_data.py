"""The data of a run: as they are where it begins, as they were then where it goes on."""

from pathlib import Path
from typing import NamedTuple

import jax

from glide_jax import data
from glide_jax.checkpoints import find_checkpoint
from glide_jax.checkpoints.layout import checkpoints_of
from glide_jax.config import TEXT_PRETRAINING, DataConfig, Experiment, PriorConfig
from glide_jax.data.prior import WithPrior
from glide_jax.data.source import Source
from glide_jax.training.rounds import ROUNDS

_OWN, _PRIOR = "shards.jsonl.gz", "prior_shards.jsonl.gz"
"""Files of a workdir that say what a run began with; see `data.keep`."""


class RunData(NamedTuple):
    """The data of a run.

    Attributes:
        source: the data set that is trained on, the images of a prior among its own.
        new: its parts, (Source, file of the workdir) each, of which nothing is kept there yet.
    """

    source: Source
    new: tuple[tuple[Source, Path], ...]


def open_data(experiment: Experiment, workdir: Path) -> RunData:
    """Open the data of a run.

    Args:
        experiment: to be trained.
        workdir: of the run. Where it has checkpoints, the data are those that it began with, also
            where parts of them can't be read now.

    Raises:
        UserError: the data can't be prepared or opened.
    """
    goes_on, new = _goes_on(experiment, workdir), []

    def opened(part: DataConfig | PriorConfig, file: Path) -> Source:
        if goes_on and file.exists():
            kept = data.open_kept(part.source, part.path, part.split, file)
            if kept is not None:
                return kept
        source = data.open_prepared(part.source, part.path, part.split)
        new.append((source, file))
        return source

    settings = experiment.data
    source, prior = opened(settings, workdir / _OWN), settings.prior
    if prior is not None:
        source = WithPrior(source, opened(prior, workdir / _PRIOR), prior.share)
    return RunData(source, tuple(new))


def keep_data(found: RunData) -> None:
    """Keep what is needed to go on with the data of a run; the first process does.

    Args:
        found: of `open_data`; the checkpoints that are there were trained on it.

    Raises:
        DiskError: it can't be written.
    """
    for source, file in found.new:
        if not jax.process_index():
            data.keep(source, file)


def _goes_on(experiment: Experiment, workdir: Path) -> bool:
    """Whether a step of the run has been saved."""
    folders = [TEXT_PRETRAINING] if experiment.text_pretraining else []
    found = (
        find_checkpoint(checkpoints_of(workdir, name)) for name in [*folders, *experiment.stages]
    )
    return (workdir / ROUNDS).exists() or any(one is not None and one.is_of_a_run for one in found)
