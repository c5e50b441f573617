"""Evaluations during training: of a stage's averaged weights, every so many steps.

STAGE/evaluations.json          what each of them found, so that none is made twice
WORKDIR/best/STAGE/checkpoints  the averaged weights that were best; a workdir of its own
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glide_jax.checkpoints import Checkpoints, checkpoints_of, find_checkpoint
from glide_jax.config import Experiment, PeriodicEvaluationConfig
from glide_jax.errors import UserError, unknown_name
from glide_jax.evaluation.evaluating import Instruments
from glide_jax.evaluation.images.generated import sampled
from glide_jax.evaluation.metric import Result
from glide_jax.evaluation.opening import NetChoice, open_features
from glide_jax.evaluation.prompt_sets.from_data import has_scorer, prompts_of_split
from glide_jax.evaluation.registry import (
    CAPTIONS,
    CLIP,
    FACTS,
    METRICS,
    MODEL,
    REFERENCE,
    check_metrics,
    needed,
)
from glide_jax.evaluation.results import values_of, write_json
from glide_jax.parallel.processes import by_first_process
from glide_jax.progress import say
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.storage import remove_tree
from glide_jax.training.job import Job

FILE = "evaluations.json"
BEST = "best"
"""The workdir, in a run's, of the best weights."""

PREFIX = "evaluation/"
"""Before the name of a number, for the sinks."""


def check_periodic(experiment: Experiment) -> None:
    """Raise UserError for evaluations during training that can't be made; nothing is loaded."""
    config = experiment.evaluation and experiment.evaluation.periodic
    if not config:
        return
    section = "evaluation.periodic"
    if not set(config.stages) & experiment.stages.keys():
        unknown = unknown_name("stage", config.stages[0], experiment.stages)
        raise UserError(f"{section}.stages: {unknown}")
    check_metrics(config.metrics)
    needs = needed(config.metrics)
    for need, what in (
        (MODEL, "is of held-out images: glide-jax evaluate computes it"),
        (CLIP, "needs a CLIP: glide-jax evaluate computes it"),
    ):
        if need in needs:
            name = next(name for name in config.metrics if need in METRICS[name].needs)
            raise UserError(f"{section}.metrics: {name} {what}")
    if REFERENCE in needs and not config.reference:
        raise UserError(f"{section}.reference is empty, and {config.metrics} compare images")
    if CAPTIONS in needs and experiment.text is None:
        raise UserError(f"{section}.metrics: the models read no captions")
    if FACTS in needs and not has_scorer(experiment.data.source):
        raise UserError(
            f"{section}.metrics: prompt_truth needs a data set with a scorer, and "
            f"{experiment.data.source!r} has none"
        )


@dataclasses.dataclass
class PeriodicEvaluation:
    """The evaluations of a stage.

    Attributes:
        config: what is evaluated.
        job: of the stage.
        workdir: of the run.
    """

    config: PeriodicEvaluationConfig
    job: Job
    workdir: Path

    def __post_init__(self):
        self._prompts = None
        self._instruments: Instruments | None = None
        path = self.job.directory / FILE
        self._found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def is_done(self, step: int) -> bool:
        """Whether the weights after this step were evaluated before."""
        return str(step) in self._found

    def evaluate(self, pipeline: Pipeline, step: int) -> dict[str, float]:
        """Evaluate the stage's averaged weights; keep them if they are the best so far.

        Args:
            pipeline: whose last stage is evaluated, with its weights after `step` steps.
            step: steps taken.

        Returns:
            Names for the sinks → numbers.

        Raises:
            UserError: a metric can't be computed.
            DiskError: the best weights can't be written.
        """
        prompts, instruments = self._opened(pipeline)
        images = sampled(pipeline, prompts, f"{self.job.name}, step {step}", instruments.seed)
        results = instruments.of_images(images, prompts, None)
        values = {name: value.value for name, value in values_of(results).items()}
        headlines = [name for result in results.values() for name in result.headlines]
        say(f"{images.name}: " + ", ".join(f"{name} {values[name]:.5g}" for name in headlines))
        self._keep_best(pipeline, step, values, results)
        self._found[str(step)] = values
        self._write()
        return {PREFIX + name: value for name, value in values.items()}

    def _opened(self, pipeline: Pipeline):
        """The prompts and the instruments, opened when they are first needed."""
        if self._instruments is None:
            config, experiment = self.config, self.job.experiment
            self._prompts = prompts_of_split(experiment, config.split, config.num_captions)
            features = open_features(
                config.metrics,
                NetChoice(config.net, None, None),
                config.reference or None,
                experiment,
                pipeline.stages[-1].image_size,
                None,
            )
            self._instruments = Instruments(config.metrics, experiment.seed, features)
        assert self._prompts is not None
        return self._prompts, self._instruments

    def _keep_best(
        self,
        pipeline: Pipeline,
        step: int,
        values: Mapping[str, float],
        results: Mapping[str, Result],
    ) -> None:
        name = self.config.best_by
        if not name:
            return
        if name not in values:
            raise unknown_name("number of evaluation.periodic.best_by", name, values)
        metric = next(m for m, result in results.items() if name in result.values)
        sign = 1 if METRICS[metric].lower_is_better else -1
        before = [sign * found[name] for found in self._found.values() if name in found]
        if before and sign * values[name] >= min(before):
            return
        directory = checkpoints_of(self.workdir / BEST, self.job.name)
        found = find_checkpoint(directory)
        if found and found.step > step:
            # Of a run that went on from an earlier step: its checkpoints are gone too.
            remove_tree(directory)
        with Checkpoints(
            directory,
            keep=1,
            # What can be sampled from there.
            experiment=self.job.experiment.only(*self.config.stages),
            tokenizer=self.job.reader.to_dict() if self.job.reader else {},
            data_set=self.job.data_set,
        ) as checkpoints:
            checkpoints.save(step, {"ema_params": pipeline.stages[-1].params}, {})

    @by_first_process
    def _write(self) -> None:
        write_json(self.job.directory / FILE, self._found)


def periodic_of(job: Job, workdir: Path) -> PeriodicEvaluation | None:
    """The evaluations of a job's stage; None: the experiment has none of it."""
    evaluation = job.experiment.evaluation
    config = evaluation.periodic if evaluation else None
    if config is None or job.name not in config.stages:
        return None
    return PeriodicEvaluation(config, job, workdir)
