"""A training run: every stage in order, then samples, scores, summary.json and report.png."""

import contextlib
import dataclasses
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from glide_jax.cache import NoLocks, lock_at_once
from glide_jax.checkpoints import checkpoints_of, open_checkpoint, refuse_another_run
from glide_jax.commands.outputs import contact_sheet, save_sheet
from glide_jax.config import TEXT_PRETRAINING, DenoiserStageConfig, Experiment
from glide_jax.errors import UserError
from glide_jax.evaluation.evaluating import Instruments
from glide_jax.evaluation.images.generated import sampled
from glide_jax.evaluation.periodic import check_periodic, periodic_of
from glide_jax.evaluation.prompt_sets.from_data import has_scorer
from glide_jax.evaluation.report import write_report
from glide_jax.evaluation.results import in_short, to_json
from glide_jax.evaluation.sets import Choice, name_of
from glide_jax.evaluation.settings import with_settings
from glide_jax.evaluation.summary import SUMMARY, update_summary
from glide_jax.models.model import IMAGE_CHANNELS
from glide_jax.parallel.free_memory import free_host_bytes
from glide_jax.parallel.mesh import make_mesh
from glide_jax.planning import cost
from glide_jax.planning.memory import GIB, check_state_fits, memory_limit
from glide_jax.progress import say
from glide_jax.sampling.grid import save_image
from glide_jax.sampling.output import Origin, PipelineOutput
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.program import make_steps
from glide_jax.sampling.stages import Stage, make_stage
from glide_jax.storage import is_in_bucket
from glide_jax.training import loop
from glide_jax.training.ahead import Ahead
from glide_jax.training.caption_reader import sampling_reader
from glide_jax.training.distilling import rounds_left
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.job import Job, Jobs
from glide_jax.training.jobs import (
    after_first,
    check_batches,
    make_jobs,
    pretrain_text,
    ready,
)
from glide_jax.training.lowering import abstract_state
from glide_jax.types import Params

LOCK = ".training.lock"
"""The file of a workdir that a run has locked; left behind it locks nothing."""

_KIB_IN_A_GIB = 2**20
_UNCONDITIONAL_IMAGES = 8
"""On the sample grids of a model that takes neither prompts nor classes."""


def run(experiment: Experiment, workdir: Path) -> None:
    """Train every stage in order, sample the prompts, score the samples, write the report.

    Args:
        experiment: what to train.
        workdir: where; a run that is there is continued.

    Raises:
        UserError: something in the experiment is impossible here, or another run is in the workdir.
        Interrupted: stopped early; everything is saved.
    """
    start = time.perf_counter()
    _check(experiment, workdir)
    with _alone_in(workdir):
        _run(experiment, workdir, start)


@contextlib.contextmanager
def _alone_in(workdir: Path) -> Iterator[None]:
    """Refuse a second run in a workdir: each would delete what the other is saving.

    The processes of one run meet at the coordinator, where a second of each is refused.
    """
    if is_in_bucket(workdir) or jax.process_count() > 1:
        yield
        return
    try:
        held = lock_at_once(workdir / LOCK)
    except NoLocks:
        held = contextlib.nullcontext()
    if held is None:
        raise UserError(
            f"another run is training in {workdir}: wait until it has ended, or choose another "
            "--workdir"
        )
    with held:
        yield


def _run(experiment: Experiment, workdir: Path, start: float) -> None:
    jobs = make_jobs(experiment, workdir)
    check_memory(jobs.in_order)
    jobs = _with_costs(jobs, workdir)
    stages: list[Stage] = []
    with Interrupt() as interrupt, Ahead(after_first(jobs)) as ahead:
        for job in pretrain_text(jobs, interrupt):
            rounds = rounds_left(job)
            for before in rounds[:-1]:
                _train_stage(before, stages, interrupt, ahead)
            stages += _train_stage(job, stages, interrupt, ahead)
    why_not = _samples_nothing(experiment)
    metrics = {} if why_not else _sample_and_score(stages, experiment, workdir)
    seconds = time.perf_counter() - start
    figures = {"seconds": round(seconds, 1), "peak_rss_gib": round(_peak_rss_gib(), 2)}
    update_summary(workdir, figures, metrics=metrics)
    if "jsonl" in experiment.monitoring.sinks:
        write_report(workdir)
    say(f"done in {cost.duration(seconds)}, at most {figures['peak_rss_gib']} GiB of memory")
    if why_not:
        say(f"{why_not}; figures: {workdir / SUMMARY}")
        return
    say(f"images: {workdir / 'samples.png'}; figures: {workdir / SUMMARY}")
    if experiment.prompts:
        say(f'sample your own: glide-jax sample "…" --checkpoint {workdir}')
    if experiment.samples_anything:
        say(f"sample more: glide-jax sample --num-images 8 --seed 1 --checkpoint {workdir}")


def check_memory(jobs: Sequence[Job]) -> None:
    """Raises UserError where a stage's state alone is more than the devices say they have.

    A CPU's devices share what is free; a batch must fit that too.
    """
    limit, free = memory_limit(jax.local_devices()), free_host_bytes()
    if limit is None and jax.default_backend() == "cpu":
        limit = free / jax.local_device_count()
    devices, kind = jax.device_count(), jax.devices()[0].device_kind
    for job in jobs:
        _check_batch_fits(job, free)
        if limit is None:
            continue
        state, fsdp = abstract_state(job), job.training.fsdp
        check_state_fits(job.section, state, fsdp, devices, limit, kind, job.base_shapes)


def _check_batch_fits(job: Job, free: float) -> None:
    size, count = job.model.config.image_size, job.training.batch_size // jax.process_count()
    needs = 4 * IMAGE_CHANNELS * size**2 * count
    if needs > free:
        raise UserError(
            f"{job.section}.training.batch_size={job.training.batch_size}: {count} images of "
            f"{size}×{size} take {needs / GIB:.1f} GiB of this machine's memory, of which "
            f"{free / GIB:.1f} GiB are free; take a smaller batch, or smaller images"
        )


def _check(experiment: Experiment, workdir: Path) -> None:
    """Raise now what would otherwise be raised when a later stage's turn comes."""
    check_batches(experiment, jax.device_count())
    check_periodic(experiment)
    for stage in experiment.stages.values():
        make_mesh(stage.training.fsdp)
        if isinstance(stage, DenoiserStageConfig):
            for sampler in (stage.sampling.sampler, stage.sampling.inpaint_sampler):
                make_steps(stage.diffusion, sampler, stage.sampling.steps)
    for name in (TEXT_PRETRAINING, *experiment.stages):
        if name != TEXT_PRETRAINING or experiment.text_pretraining:
            refuse_another_run(checkpoints_of(workdir, name), experiment)


def _train_stage(job: Job, before: list[Stage], interrupt: Interrupt, ahead: Ahead) -> list[Stage]:
    """Train one stage.

    Args:
        job: of the stage.
        before: the stages before it, which feed its sample grids.
        interrupt: see `loop.train`.
        ahead: has compiled its step, or not.

    Returns:
        The trained stage; []: it is a guide, which generates no images.
    """
    job, stage_config = ready(job), job.stage
    if not isinstance(stage_config, DenoiserStageConfig):
        loop.train(job, interrupt, None, step_function=ahead.step_of(job))
        return []
    # One for all stages: it may hold an encoder.
    reader = before[0].reader if before else sampling_reader(job.reader, job.experiment)
    stage = make_stage(job.name, stage_config, job.model, {}, reader, step=0)

    def sample_grid(params: Params, step: int) -> np.ndarray:
        pipeline = Pipeline((*before, dataclasses.replace(stage, params=params)))
        output = _sample(pipeline, job.experiment)
        save_image(contact_sheet(output), job.directory / "samples" / f"{step:08d}.png")
        return output.arrays

    grids = evaluations = None
    if not _samples_nothing(job.experiment):
        grids = loop.SampleGrids(stage_config.training.sample_every_steps, sample_grid)
        evaluations = _evaluations(job, stage, before)
    params = loop.train(job, interrupt, grids, evaluations, ahead.step_of(job))
    step = open_checkpoint(job.directory / "checkpoints").step
    return [dataclasses.replace(stage, params=params, step=step)]


def _evaluations(job: Job, stage: Stage, before: Sequence[Stage]) -> loop.Evaluations | None:
    """The evaluations of a stage during its training; None: the config has none.

    Args:
        job: of the stage.
        stage: without weights.
        before: the stages before it.
    """
    periodic = periodic_of(job, job.directory.parent)
    if periodic is None:
        return None

    def evaluate(params: Params, step: int) -> dict[str, float]:
        trained = dataclasses.replace(stage, params=params, step=step)
        return periodic.evaluate(Pipeline((*before, trained)), step)

    return loop.Evaluations(periodic.config.every_steps, periodic.is_done, evaluate)


def _samples_nothing(experiment: Experiment) -> str:
    """Why a run of the experiment ends without images; "": it samples some."""
    stage = experiment.first_stage
    if not isinstance(stage, DenoiserStageConfig):
        return f"a model of family {stage.model.family!r} generates no images: it guides others"
    if stage.model.low_res_size:
        return "an upsampler samples no prompts without a base model"
    if experiment.prompts or experiment.labels or experiment.samples_anything:
        return ""
    return "the config has no prompts to sample"


def _sample(pipeline: Pipeline, experiment: Experiment) -> PipelineOutput:
    """The experiment's prompts, its labels or, from an unconditional model, a row of images."""
    if experiment.labels:
        return pipeline.sample_classes(experiment.labels, seed=experiment.seed)
    if experiment.samples_anything:
        return pipeline("", num_images=_UNCONDITIONAL_IMAGES, seed=experiment.seed)
    return pipeline(experiment.prompts or (), seed=experiment.seed)


def _sample_and_score(
    stages: Sequence[Stage], experiment: Experiment, workdir: Path
) -> dict[str, Any]:
    """Write the samples; prompt truth, of a data set that has a scorer: see `in_short`."""
    pipeline = Pipeline(tuple(stages), origin=Origin.of([workdir]))
    output = _sample(pipeline.saving_to(workdir / "samples"), experiment)
    save_sheet(output, workdir / "samples.png")
    if not (experiment.prompts and experiment.evaluation and has_scorer(experiment.data.source)):
        return {}
    instruments = Instruments(("prompt_truth",), experiment.seed)
    found = {}
    for prompts in Choice().prompt_sets(experiment):
        for scale in experiment.evaluation.guidance_scales:
            settings = {"guidance_scale": scale}
            name = name_of(prompts, settings)
            asked = with_settings(pipeline, settings)
            images = sampled(asked, prompts, name, experiment.seed)
            found[name] = to_json(instruments.of_images(images, prompts, None), images)
            shown = in_short(found)[name].items()
            say(f"{name}: " + ", ".join(f"{key} {v['value']:.1%}" for key, v in shown))
    return in_short(found)


def _with_costs(jobs: Jobs, workdir: Path) -> Jobs:
    """Print what the jobs will cost here; the jobs, with what their utilisation is measured by."""
    first = jobs.stages[0]
    images = f"{len(first.source):,} images of {first.experiment.data.source}"
    devices = f"{jax.device_count()} × {jax.devices()[0].device_kind}"
    say(f"{images}; {devices}; to {workdir}")
    return jobs.map(_with_cost)


def _with_cost(job: Job) -> Job:
    estimate = cost.estimate(job)
    steps = job.training.num_steps
    say(
        f"{job.title}: {estimate}; {steps:,} steps of {job.training.batch_size} images at "
        f"about {cost.duration(estimate.seconds_per_step)} take "
        f"{cost.duration(estimate.seconds_per_step * steps)} here"
    )
    if estimate.seconds_per_step > cost.LONG_STEP_S:
        key = f"--config.{job.section}.training"
        say(
            f"{job.name}: for a first look on this hardware add "
            f"{key}.batch_size=4 {key}.num_steps=20"
        )
    return dataclasses.replace(job, mfu=estimate.mfu)


def _peak_rss_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_IN_A_GIB
