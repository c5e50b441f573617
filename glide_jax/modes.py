"""What `glide_jax.main` can be asked for: train, sample, evaluate."""

import dataclasses
import json
import re
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from glide_jax import config, data, text
from glide_jax.config import Experiment
from glide_jax.data.source import Source
from glide_jax.evaluation import prompt_truth
from glide_jax.pipelines.cascade import Stage, draw_pictures, make_stage, needs_picture
from glide_jax.pipelines.drawing import plan
from glide_jax.pipelines.grid import grid, save_picture
from glide_jax.text import Tokenizer, tokenize
from glide_jax.training import cost, loop
from glide_jax.training.checkpoints import (
    find_checkpoint,
    open_checkpoint,
    refuse_another_run,
)
from glide_jax.training.interrupt import Interrupt
from glide_jax.types import Params

SUMMARY = "summary.json"
_KIB_IN_A_GIB = 2**20


def train(experiment: Experiment, workdir: Path) -> None:
    """Train every stage, draw the prompts, and score what the stages draw.

    Raises:
        UserError: something asked for is impossible.
        Interrupted: stopped early; everything is saved.
    """
    start = time.perf_counter()
    for name, stage in experiment.stages.items():
        loop.check_family(stage.model)
        loop.check_batch(name, stage, jax.device_count())
        plan(stage.diffusion, stage.sampling)
        refuse_another_run(_checkpoints(workdir, name), experiment)
    data.prepare(experiment.data.source, experiment.data.path)
    source = data.open_source(experiment.data.source, experiment.data.path, experiment.data.split)
    tokenizer = _tokenizer(experiment, source, workdir)
    jobs = [
        loop.Job(
            name=name,
            experiment=experiment,
            stage=stage,
            model=loop.build_model(stage, experiment, tokenizer),
            source=source,
            tokenizer=tokenizer,
            directory=workdir / name,
        )
        for name, stage in experiment.stages.items()
    ]
    _say_cost(jobs, len(source), workdir)
    stages: list[Stage] = []
    with Interrupt() as interrupt:
        for job in jobs:
            stages.append(_train_stage(job, stages, interrupt))
    figures = {} if needs_picture(stages) else _draw_and_score(stages, experiment, workdir)
    seconds = time.perf_counter() - start
    figures |= {"seconds": round(seconds, 1), "peak_rss_gib": round(_peak_rss_gib(), 2)}
    _summarise(workdir, figures)
    print(f"done in {cost.duration(seconds)}, at most {figures['peak_rss_gib']} GiB of memory")
    if needs_picture(stages):
        print(f"an upsampler draws no prompts without a base model; figures: {workdir / SUMMARY}")
        return
    print(f"pictures of prompts it never saw: {workdir / 'samples.png'}; figures: {SUMMARY} there")
    print(f'draw your own: python -m glide_jax.main --mode=sample --workdir={workdir} --prompt="…"')


def sample(
    workdir: Path, overrides: Sequence[str], prompts: Sequence[str] | None, seed: int
) -> None:
    """Draw prompts with a trained workdir's newest checkpoints; where none is given, its own.

    Raises:
        UserError: the workdir holds no model, or an override is wrong.
    """
    start = time.perf_counter()
    experiment, stages = load_stages(workdir, overrides)
    wanted = tuple(prompts) if prompts else experiment.prompts
    _say_cut(wanted, stages[0])
    files = _draw_prompts(stages, wanted, seed, workdir / "samples")
    print("\n".join(str(file) for file in files))
    drawn = {"prompts": wanted, "seed": seed, "files": [str(file) for file in files]}
    drawn["seconds"] = round(time.perf_counter() - start, 1)
    _summarise(workdir, {"sample": drawn})


def evaluate(workdir: Path, overrides: Sequence[str]) -> None:
    """Score what a trained workdir draws.

    Raises:
        UserError: the workdir holds no model, an override is wrong, or nobody can score its data.
    """
    start = time.perf_counter()
    experiment, stages = load_stages(workdir, overrides)
    scores = prompt_truth.evaluate(stages, experiment, print)
    took = {"seconds": round(time.perf_counter() - start, 1)}
    _summarise(workdir, {"scores": scores, "evaluate": took})


def load_stages(workdir: Path, overrides: Sequence[str]) -> tuple[Experiment, list[Stage]]:
    """A workdir's newest averaged weights, ready to draw.

    Args:
        workdir: where training ran.
        overrides: `KEY=VALUE`, such as `sampling.guidance_scale=5`.

    Raises:
        UserError: there is no model, or an override is wrong.
    """
    experiment = config.with_overrides(
        open_checkpoint(_checkpoints(workdir, config.BASE)).experiment, overrides
    )
    stages = []
    for name, stage in experiment.stages.items():
        loop.check_family(stage.model)
        checkpoint = open_checkpoint(_checkpoints(workdir, name))
        tokenizer = text.from_dict(checkpoint.tokenizer)
        model = loop.build_model(stage, experiment, tokenizer)
        params = checkpoint.restore({"ema_params": model.shapes})["ema_params"]
        stages.append(make_stage(stage, model, params, tokenizer, experiment.text.length))
    return experiment, stages


def _train_stage(job: loop.Job, before: list[Stage], interrupt: Interrupt) -> Stage:
    """Train one stage; the stages before it feed its sample grids."""
    length = job.experiment.text.length
    stage = make_stage(job.stage, job.model, {}, job.tokenizer, length)
    prompts = job.experiment.prompts

    def sampled(params: Params, step: int) -> np.ndarray:
        stages = [*before, dataclasses.replace(stage, params=params)]
        pictures = draw_pictures(stages, prompts, seed=job.experiment.seed)[-1]
        save_picture(grid(pictures, prompts), job.directory / "samples" / f"{step:08d}.png")
        return pictures

    draws = None if needs_picture([*before, stage]) else sampled
    return dataclasses.replace(stage, params=loop.train(job, interrupt, draws))


def _draw_and_score(
    stages: Sequence[Stage], experiment: Experiment, workdir: Path
) -> dict[str, Any]:
    """Draw the experiment's prompts; the figures of its data set's scorer, if it has one."""
    _draw_prompts(stages, experiment.prompts, experiment.seed, workdir / "samples")
    if not prompt_truth.has_scorer(experiment.data.source):
        return {}
    return {"scores": prompt_truth.evaluate(stages, experiment, print)}


def _tokenizer(experiment: Experiment, source: Source, workdir: Path) -> Tokenizer:
    """The tokenizer of the checkpoints there, or one made for these captions."""
    for name in experiment.stages:
        if found := find_checkpoint(_checkpoints(workdir, name)):
            return text.from_dict(found.tokenizer)
    captions = list(data.captions(source))
    settings = experiment.text
    tokenizer = text.train(settings.tokenizer, captions, settings.vocab_size)
    cut = int(tokenize(tokenizer, captions, settings.length).cut.sum())
    if cut:
        print(f"{cut:,} captions are cut to text.length={settings.length} tokens")
    return tokenizer


def _say_cost(jobs: Sequence[loop.Job], num_pictures: int, workdir: Path) -> None:
    devices = f"{jax.device_count()} × {jax.devices()[0].device_kind}"
    print(f"{num_pictures:,} pictures of {jobs[0].experiment.data.source}; {devices}; to {workdir}")
    for job in jobs:
        told = cost.estimate(job.model, job.stage, job.experiment.text.length)
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


def _say_cut(prompts: Sequence[str], stage: Stage) -> None:
    cut = tokenize(stage.tokenizer, prompts, stage.text_length).cut
    for prompt in np.asarray(prompts)[cut]:
        print(f"cut to its first {stage.text_length} tokens: {prompt!r}")


def _draw_prompts(
    stages: Sequence[Stage], prompts: Sequence[str], seed: int, directory: Path
) -> list[Path]:
    """Write a picture a prompt, and beside the directory one sheet of all of them."""
    drawn = draw_pictures(stages, prompts, seed=seed)[-1]
    files = []
    for place, (pixels, prompt) in enumerate(zip(drawn, prompts, strict=True)):
        files.append(directory / f"{_slug(prompt)}-{seed}-{place}.png")
        save_picture(pixels, files[-1])
    sheet = directory.with_suffix(".png")
    save_picture(grid(drawn, prompts), sheet)
    return [*files, sheet]


def _slug(prompt: str) -> str:
    return re.sub(r"\W+", "-", prompt.lower()).strip("-")[:60] or "no-prompt"


def _checkpoints(workdir: Path, stage: str) -> Path:
    return workdir / stage / "checkpoints"


def _summarise(workdir: Path, figures: dict[str, Any]) -> None:
    """Put figures among those that are there; another mode's stay."""
    path = workdir / SUMMARY
    there = json.loads(path.read_text()) if path.exists() else {}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(there | figures, indent=2, ensure_ascii=False) + "\n")
    part.replace(path)


def _peak_rss_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_IN_A_GIB
