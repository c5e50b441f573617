"""Training one job: batches in, checkpoints out; stopped and continued at any step."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax.checkpoints import CHECKPOINTS, Checkpoints, find_checkpoint
from glide_jax.checkpoints.adapters import ADAPTER, Adapter, write_adapter
from glide_jax.checkpoints.fingerprint import weights_fingerprint
from glide_jax.data.pipeline import Batches, batches
from glide_jax.errors import Interrupted, UserError
from glide_jax.parallel.mesh import (
    batch_sharding,
    make_mesh,
    replicated,
)
from glide_jax.progress import say
from glide_jax.training.fetching import Fetcher
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.job import Job, check_batch
from glide_jax.training.monitoring.metrics import Metrics
from glide_jax.training.monitoring.profiling import Profile
from glide_jax.training.monitoring.progress import Progress
from glide_jax.training.monitoring.reporting import Reports
from glide_jax.training.objectives.distilled import of_teacher
from glide_jax.training.starting import initial_state, read_base, step_of, weights_of
from glide_jax.training.state import TrainState
from glide_jax.training.step import TrainStep
from glide_jax.training.stopping import back_at, batch_without_data, taken_by_all
from glide_jax.types import Params
from glide_jax.writing import DiskError


@dataclasses.dataclass(frozen=True)
class SampleGrids:
    """The sample grids of a stage.

    Attributes:
        every_steps: steps between two grids.
        sample: (EMA weights, step) → uint8[n s s 3], images of the experiment's prompts or labels.
    """

    every_steps: int
    sample: Callable[[Params, int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Evaluations:
    """The evaluations of a stage during its training.

    Attributes:
        every_steps: steps between two.
        is_done: step → whether an earlier run has evaluated it.
        evaluate: (EMA weights, step) → names of metrics → numbers, for the sinks.
    """

    every_steps: int
    is_done: Callable[[int], bool]
    evaluate: Callable[[Params, int], Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class _Services:
    """What a run reads from, writes to and reacts to."""

    data: Batches
    fetcher: Fetcher
    checkpoints: Checkpoints
    reports: Reports
    profile: Profile
    interrupt: Interrupt
    grids: SampleGrids | None
    evaluations: Evaluations | None
    weights: Callable[[Params], Params]

    def has_evaluation(self, step: int) -> bool:
        """Whether the weights are evaluated after this step."""
        return (
            self.evaluations is not None and step > 0 and step % self.evaluations.every_steps == 0
        )

    def has_grid(self, step: int) -> bool:
        """Whether there is a sample grid after this step."""
        return self.grids is not None and step > 0 and step % self.grids.every_steps == 0


def train(
    job: Job,
    interrupt: Interrupt,
    grids: SampleGrids | None,
    evaluations: Evaluations | None = None,
    step_function: TrainStep | None = None,
) -> Params:
    """Train until the job's last step, from its newest checkpoint if there is one.

    Args:
        job: what to train.
        interrupt: where it is asked to stop, the run saves and raises Interrupted.
        grids: sample grids during training; None: there are none.
        evaluations: of the EMA weights during training; None: there are none.
        step_function: the train step, compiled; None: it is compiled at the first step.

    Returns:
        The EMA weights of the model; an adapter's are added to its base's.

    Raises:
        UserError: the batch does not fit the devices, the directory holds another experiment
            or was trained on other data, too many steps in a row had a loss that is not finite, or
            the disk is full.
        Interrupted: stopped early; everything is saved.
    """
    config = job.training
    mesh = make_mesh(config.fsdp)
    check_batch(job.section, config, mesh.size, compares_examples=job.compares_examples)
    base = read_base(job, mesh)
    fingerprint = None if base is None else weights_fingerprint(of_teacher(base) or base)
    with (
        _naming_last_checkpoint(job.directory),
        Checkpoints(
            job.directory / CHECKPOINTS,
            keep=config.keep_checkpoints,
            experiment=job.experiment,
            tokenizer=job.reader.to_dict() if job.reader else {},
            data_set=job.data_set,
            base=fingerprint,
        ) as checkpoints,
    ):
        state, data_state = initial_state(job, mesh, checkpoints.latest())
        step = int(state.step)
        with (
            _open_batches(job, data_state) as data,
            Fetcher(data, interrupt.is_requested) as fetcher,
            Metrics(job.directory, step + 1, job.experiment.monitoring.sinks) as metrics,
            Progress(job.title, step, config.num_steps, config.batch_size) as progress,
            Profile(job.directory, job.experiment.monitoring.profile_steps) as profile,
        ):
            reports = Reports(config, job.mfu, checkpoints, metrics, progress)
            weights = weights_of(job, base)
            services = _Services(
                data,
                fetcher,
                checkpoints,
                reports,
                profile,
                interrupt,
                grids,
                evaluations,
                weights,
            )
            step_function = step_function or step_of(job, mesh, state, base)
            state = _run(job, mesh, step_function, state, base, services)
    if fingerprint is not None and job.adapter is not None:
        _write_adapter(job, state, fingerprint)
    return weights(state.ema_params)


def _write_adapter(job: Job, state: TrainState, base: str) -> None:
    """Write the averaged adapter into a file of its own; in one of several processes."""
    assert job.adapter is not None
    if jax.process_index():
        return
    path, config = job.directory / ADAPTER, job.adapter.config
    adapter = Adapter(str(path), job.name, config, base, int(state.step), state.ema_params)
    write_adapter(path, adapter, job.experiment)
    say(f"{job.name}: the adapter is {path}, {path.stat().st_size / 2**20:.2g} MiB")


@contextlib.contextmanager
def _naming_last_checkpoint(directory: Path) -> Iterator[None]:
    """Add to an error of the disk from which step the run will continue."""
    try:
        yield
    except DiskError as error:
        try:
            found = find_checkpoint(directory / CHECKPOINTS)
        except (OSError, UserError):  # a bucket that fails
            raise error from None
        where = f"it continues from step {found.step}" if found else "nothing was saved yet"
        raise UserError(f"{error}; {where}") from error


def _open_batches(job: Job, data_state: dict | None) -> Batches:
    data = batches(
        job.source,
        job.conditioning,
        image_size=job.model.config.image_size,
        crop_size=job.crop_size,
        batch_size=job.training.batch_size,
        seed=job.experiment.seed,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        workers=job.experiment.data.workers,
        start_step=0,
    )
    if data_state is not None:
        data.set_state(data_state)
    return data


def _run(
    job: Job,
    mesh: jax.sharding.Mesh,
    step_function: TrainStep,
    state: TrainState,
    base: Params | None,
    services: _Services,
) -> TrainState:
    config, frozen = job.training, [] if base is None else [base]
    # Computed on the devices: a key can't be put on those of another process.
    seed = job.experiment.seed + 1
    seed_key = jax.jit(lambda: jax.random.key(seed), out_shardings=replicated(mesh))()
    place = functools.partial(jax.make_array_from_process_local_data, batch_sharding(mesh))
    count = jax.jit(jnp.sum, out_shardings=replicated(mesh))
    reports, without_data = services.reports, 0  # the first step that this process has no data for
    for step in range(int(state.step) + 1, config.num_steps + 1):
        # The grid of the step before, so that a run stopped while sampling it samples it again.
        _sample_grid(state, step - 1, services)
        _evaluate(state, step - 1, services)
        with reports.progress.waiting():
            rows = None if without_data else services.fetcher.next()
        if rows is None and jax.process_count() == 1:
            _stop_without_data(job, state, services)
        if rows is None:
            without_data, rows = without_data or step, batch_without_data(job)
        batch = {name: place(values) for name, values in rows.items()}
        replacements = count(batch.pop("replacement"))
        services.profile.before(step)
        with jax.profiler.StepTraceAnnotation("train", step_num=step):
            state, step_metrics = step_function(state, batch, seed_key, *frozen)
        services.profile.after(step, step_metrics)
        reports.write()
        reports.add(step_metrics | {"replacements": replacements})
        asked = services.interrupt.after_step()
        taken = taken_by_all(without_data - 1 if without_data else step) if asked else step
        if taken < step:
            _stop_without_data(job, back_at(state, taken), services)
        stops = asked and step < config.num_steps
        last = stops or step == config.num_steps
        # Also before a grid: whoever stops the run may not wait until it is sampled.
        looks = services.has_grid(step) or services.has_evaluation(step)
        saves = last or looks or step % config.checkpoint_every_steps == 0
        if saves or step % config.log_every_steps == 0 or reports.progress.is_first:
            reports.due(step)
        if saves:
            # The metrics first: a run that continues from here does not write them again.
            reports.write()
            reports.metrics.flush()
            services.checkpoints.save(step, state, services.data.state())
        if stops:
            _stop(job, step, services)
    _evaluate(state, config.num_steps, services)
    return state


def _stop_without_data(job: Job, state: TrainState, services: _Services) -> NoReturn:
    """Save the state, unless a later step was saved meanwhile, and raise Interrupted."""
    services.reports.write()
    step, newest = int(state.step), services.checkpoints.latest()
    if newest and newest.step > step:
        _stop(job, newest.step, services)
    services.checkpoints.save(step, state, {"next_index": step})
    _stop(job, step, services)


def _stop(job: Job, step: int, services: _Services) -> NoReturn:
    """Raise Interrupted once everything is saved."""
    services.checkpoints.wait()
    raise Interrupted(
        f"stopped after step {step} of {job.training.num_steps} of {job.title}, saved in "
        f"{services.checkpoints.directory}; the same command continues from there"
    )


def _sample_grid(state: TrainState, step: int, services: _Services) -> None:
    """Sample and write the grid of a step, if it has one."""
    if services.grids is None or not services.has_grid(step):
        return
    with services.reports.progress.paused():
        images = services.grids.sample(services.weights(state.ema_params), step)
        services.reports.metrics.image(step, "samples", images)
    services.reports.progress.show_images(images)


def _evaluate(state: TrainState, step: int, services: _Services) -> None:
    """Evaluate the weights after a step and write what was found, unless an earlier run has."""
    evaluations = services.evaluations
    if evaluations is None or not services.has_evaluation(step) or evaluations.is_done(step):
        return
    services.reports.write()
    # The best weights are saved too, and processes that save meet at barriers whose names Orbax's
    # managers share: two saves at once would meet each other's.
    services.checkpoints.wait()
    with services.reports.progress.paused():
        found = evaluations.evaluate(services.weights(state.ema_params), step)
        services.reports.metrics.write(step, found)
