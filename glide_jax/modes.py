"""What `glide_jax.main` can be asked for: train, sample, evaluate."""

import dataclasses
import json
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from glide_jax import data
from glide_jax.config import DenoiserConfig, Experiment
from glide_jax.errors import UserError
from glide_jax.evaluation import prompt_truth
from glide_jax.evaluation.report import write_report
from glide_jax.parallel.mesh import make_mesh
from glide_jax.parallel.processes import by_first_process
from glide_jax.pipelines.drawing import plan
from glide_jax.pipelines.drawn import Drawn
from glide_jax.pipelines.grid import grid, save_picture
from glide_jax.pipelines.loading import load_stages
from glide_jax.pipelines.making import Origin
from glide_jax.pipelines.pipeline import Pipeline
from glide_jax.pipelines.stage import Stage, cut_prompts, make_stage
from glide_jax.training import cost, loop
from glide_jax.training.checkpoints import checkpoints_of, open_checkpoint, refuse_another_run
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.jobs import make_jobs, pretrain_text
from glide_jax.training.lowering import abstract_state
from glide_jax.training.memory import check_state_fits, memory_limit
from glide_jax.types import Params
from glide_jax.writing import whole

SUMMARY = "summary.json"
_KIB_IN_A_GIB = 2**20


def train(experiment: Experiment, workdir: Path) -> None:
    """Train every stage, draw the prompts, and score what the stages draw.

    Raises:
        UserError: something asked for is impossible.
        Interrupted: stopped early; everything is saved.
    """
    start = time.perf_counter()
    data.check_name(experiment.data.source)
    for name, stage in experiment.training_stages.items():
        loop.check_batch(name, stage, jax.device_count())
        make_mesh(stage.training.fsdp)  # refused now, not when its turn comes
        plan(stage.diffusion, stage.sampling)
    for name in experiment.training_stages:
        refuse_another_run(checkpoints_of(workdir, name), experiment)
    jobs = make_jobs(experiment, workdir)
    _check_memory(jobs)
    jobs = _with_costs(jobs, workdir)
    stages: list[Stage] = []
    with Interrupt() as interrupt:
        for job in pretrain_text(jobs, interrupt):
            stages += _train_stage(job, stages, interrupt)
    why_not = _draws_nothing(experiment)
    figures = {} if why_not else _draw_and_score(stages, experiment, workdir)
    seconds = time.perf_counter() - start
    figures |= {"seconds": round(seconds, 1), "peak_rss_gib": round(_peak_rss_gib(), 2)}
    _summarise(workdir, figures)
    if "jsonl" in experiment.watching.sinks:
        write_report(workdir)
    print(f"done in {cost.duration(seconds)}, at most {figures['peak_rss_gib']} GiB of memory")
    if why_not:
        print(f"{why_not}; figures: {workdir / SUMMARY}")
        return
    print(f"pictures: {workdir / 'samples.png'}; figures: {SUMMARY} there")
    if experiment.prompts:
        own = f'--workdir={workdir} --prompt="…"'
        print(f"draw your own: python -m glide_jax.main --mode=sample {own}")


def sample(
    workdir: Path, overrides: Sequence[str], prompts: Sequence[str] | None, seed: int
) -> None:
    """Draw prompts with a trained workdir's newest checkpoints; where none is given, its own.

    A model that is told classes draws its own `labels`.

    Raises:
        UserError: the workdir holds no model, or an override is wrong.
    """
    start = time.perf_counter()
    experiment, pipeline = _load(workdir, overrides)
    experiment = dataclasses.replace(experiment, prompts=tuple(prompts)) if prompts else experiment
    _say_cut(experiment.prompts, pipeline.stages[0])
    files = _draw(pipeline, experiment, seed, workdir / "samples")
    print("\n".join(str(file) for file in files))
    drawn = {"prompts": experiment.prompts, "labels": experiment.labels, "seed": seed}
    drawn["files"] = [str(file) for file in files]
    drawn["seconds"] = round(time.perf_counter() - start, 1)
    _summarise(workdir, {"sample": drawn})


def evaluate(workdir: Path, overrides: Sequence[str]) -> None:
    """Score what a trained workdir draws.

    Raises:
        UserError: the workdir holds no model, an override is wrong, or nobody can score its data.
    """
    start = time.perf_counter()
    experiment, pipeline = _load(workdir, overrides)
    scores = prompt_truth.evaluate(pipeline, experiment, print)
    took = {"seconds": round(time.perf_counter() - start, 1)}
    _summarise(workdir, {"scores": scores, "evaluate": took})


def _load(workdir: Path, overrides: Sequence[str]) -> tuple[Experiment, Pipeline]:
    experiment, stages = load_stages(workdir, overrides)
    return experiment, Pipeline(tuple(stages), origin=Origin.of([workdir], overrides))


def _train_stage(job: loop.Job, before: list[Stage], interrupt: Interrupt) -> list[Stage]:
    """Train one stage; the stages before it feed its sample grids. []: it is none that draws."""
    if not isinstance(job.stage.model, DenoiserConfig):
        loop.train(job, interrupt, None)
        return []
    length = job.experiment.text.length
    stage = make_stage(job.stage, job.model, {}, job.tokenizer, length, step=0)

    def sampled(params: Params, step: int) -> np.ndarray:
        pipeline = Pipeline((*before, dataclasses.replace(stage, params=params)))
        drawn = _drawn(pipeline, job.experiment, job.experiment.seed)
        save_picture(_sheet(drawn), job.directory / "samples" / f"{step:08d}.png")
        return drawn.arrays

    params = loop.train(job, interrupt, None if _draws_nothing(job.experiment) else sampled)
    step = open_checkpoint(job.directory / "checkpoints").step
    return [dataclasses.replace(stage, params=params, step=step)]


def _draws_nothing(experiment: Experiment) -> str:
    """Why a run of the experiment ends without pictures; "": it draws some."""
    model = experiment.model
    if not isinstance(model, DenoiserConfig):
        return f"a model of family {model.family!r} draws nothing: it guides those that do"
    if model.low_res_size:
        return "an upsampler draws no prompts without a base model"
    return "" if experiment.prompts or experiment.labels else "the config has no prompts to draw"


def _drawn(pipeline: Pipeline, experiment: Experiment, seed: int) -> Drawn:
    """The experiment's prompts or, where the model is told classes, its labels."""
    if experiment.labels:
        return pipeline.of_classes(experiment.labels, seed=seed)
    return pipeline(experiment.prompts, seed=seed)


def _sheet(drawn: Drawn) -> Image.Image:
    names = [m.prompt if m.label is None else f"class {m.label}" for m in drawn.made]
    return grid(drawn.arrays, names)


def _draw_and_score(
    stages: Sequence[Stage], experiment: Experiment, workdir: Path
) -> dict[str, Any]:
    """Draw what the experiment asks for; the figures of its data set's scorer, if it has one."""
    pipeline = Pipeline(tuple(stages), origin=Origin.of([workdir]))
    _draw(pipeline, experiment, experiment.seed, workdir / "samples")
    if not experiment.prompts or not prompt_truth.has_scorer(experiment.data.source):
        return {}
    return {"scores": prompt_truth.evaluate(pipeline, experiment, print)}


def _check_memory(jobs: Sequence[loop.Job]) -> None:
    """Raises UserError where a stage's state alone is more than the devices say they have."""
    limit = memory_limit(jax.local_devices())
    if limit is None:
        return
    devices, kind = jax.device_count(), jax.devices()[0].device_kind
    for job in jobs:
        state, fsdp = abstract_state(job), job.stage.training.fsdp
        check_state_fits(job.name, state, fsdp, devices, limit, kind)


def _with_costs(jobs: Sequence[loop.Job], workdir: Path) -> list[loop.Job]:
    """Say what they will take here; the jobs, told of it."""
    pictures = f"{len(jobs[0].source):,} pictures of {jobs[0].experiment.data.source}"
    devices = f"{jax.device_count()} × {jax.devices()[0].device_kind}"
    print(f"{pictures}; {devices}; to {workdir}")
    costs = []
    for job in jobs:
        told = cost.estimate(job)
        costs.append(told)
        steps = job.stage.training.num_steps
        print(
            f"{job.name}: {told}; {steps:,} steps of {job.stage.training.batch_size} pictures at "
            f"about {cost.duration(told.seconds_per_step)} take "
            f"{cost.duration(told.seconds_per_step * steps)} here",
            flush=True,
        )
        if told.seconds_per_step > cost.LONG_STEP_S:
            print(
                f"{job.name}: for a first look on this hardware add "
                "--config.training.batch_size=4 --config.training.num_steps=20"
            )
    return [dataclasses.replace(job, mfu=told.mfu) for job, told in zip(jobs, costs, strict=True)]


def _say_cut(prompts: Sequence[str], stage: Stage) -> None:
    for prompt in cut_prompts(stage, prompts):
        print(f"cut to its first {stage.text_length} tokens: {prompt!r}")


def _draw(pipeline: Pipeline, experiment: Experiment, seed: int, directory: Path) -> list[Path]:
    """Write a picture each, and beside the directory one sheet of all of them."""
    drawn = _drawn(pipeline, experiment, seed)
    sheet = directory.with_suffix(".png")
    try:
        files = drawn.save(directory)
        save_picture(_sheet(drawn), sheet)
    except OSError as error:
        raise UserError(f"can't write to {directory}: {error.strerror}") from error
    return [*files, sheet]


@by_first_process
def _summarise(workdir: Path, figures: dict[str, Any]) -> None:
    """Put figures among those that are there; another mode's stay."""
    path = workdir / SUMMARY
    there = json.loads(path.read_text()) if path.exists() else {}
    with whole(path) as part:
        part.write_text(json.dumps(there | figures, indent=2, ensure_ascii=False) + "\n")


def _peak_rss_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_IN_A_GIB
