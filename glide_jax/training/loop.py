"""Training one stage: batches in, a checkpoint out; stopped and taken up again at any step."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from glide_jax.config import TEXT_PRETRAINING, Experiment, StageConfig
from glide_jax.data.pipeline import Batches, batches
from glide_jax.data.source import Source
from glide_jax.data.told import Told
from glide_jax.diffusion.timesteps import TIMESTEPS, Timesteps, not_noised
from glide_jax.errors import Interrupted, UserError
from glide_jax.models.families import model_of
from glide_jax.models.model import IMAGE_CHANNELS
from glide_jax.parallel.mesh import batch_sharding, make_mesh, replicated
from glide_jax.text import Tokenizer
from glide_jax.training.checkpoints import CHECKPOINTS, Checkpoint, Checkpoints, find_checkpoint
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.metrics import Metrics
from glide_jax.training.objectives import check_pieces
from glide_jax.training.optimizer import make_optimizer
from glide_jax.training.packing import Packing
from glide_jax.training.profiling import Profile
from glide_jax.training.progress import Progress
from glide_jax.training.reporting import Mfu, Reports
from glide_jax.training.state import TrainState, fresh_state, state_sharding
from glide_jax.training.step import Loss, Step, num_pieces, train_step
from glide_jax.types import Params
from glide_jax.writing import DiskError

Sampled = Callable[[Params, int], np.ndarray]
"""(averaged weights, step) → uint8[n s s 3], drawn from the experiment's prompts."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One stage to train.

    Attributes:
        name: of the stage, `base` or `upsampler`.
        experiment: all of it; the checkpoint carries it.
        stage: this stage's part.
        model: its model, of any family.
        source: the pictures.
        tokenizer: of the captions; None: no stage is told one.
        directory: where its checkpoints and metrics lie.
        loss: what it minimises.
        told: what is said of a picture in its batches.
        given: weights that were learned before, by their paths; they stay as they are.
        start: the weights to begin with, by their paths; of those not there, random ones.
        mfu: how much of the devices so many steps a second use; None: it is not told.
    """

    name: str
    experiment: Experiment
    stage: StageConfig
    model: Any
    source: Source
    tokenizer: Tokenizer | None
    directory: Path
    loss: Loss
    told: Told
    given: Params = dataclasses.field(default_factory=dict)
    start: Params = dataclasses.field(default_factory=dict)
    mfu: Mfu | None = None

    @property
    def one_picture(self) -> dict[str, jax.ShapeDtypeStruct]:
        """The shapes of a batch of one picture, as the loss is given it."""
        size = self.model.config.image_size
        rows = self.told((("",), 0), np.random.default_rng(0))
        batch = {"image": np.zeros((size, size, IMAGE_CHANNELS), np.float32)} | rows
        batch |= {"index": np.int32(0), "t": np.int32(0), "t_weight": np.float32(1)}
        return {name: jax.ShapeDtypeStruct((1, *np.shape(x)), x.dtype) for name, x in batch.items()}


def build_model(stage: StageConfig, experiment: Experiment, tokenizer: Tokenizer | None) -> Any:
    """The stage's model for this tokenizer's vocabulary; None: it is told no captions."""
    vocab_size = tokenizer.vocab_size if tokenizer else 0
    return model_of(stage, vocab_size=vocab_size, text_length=experiment.text.length)


def train(job: Job, interrupt: Interrupt, sampled: Sampled | None) -> Params:
    """Train until the stage's last step, from its newest checkpoint if it has one.

    Args:
        job: what to train.
        interrupt: asked to stop, the run saves and raises Interrupted.
        sampled: draws the grid that is written every `sample_every_steps`; None: there is none.

    Returns:
        The averaged weights.

    Raises:
        UserError: the batch does not fit the devices, the directory holds another experiment,
            too many losses in a row are no number, or the disk is full.
        Interrupted: stopped early; everything is saved.
    """
    config = job.stage.training
    mesh = make_mesh(config.fsdp)
    check_batch(job.name, job.stage, mesh.size)
    with (
        _saying_where_it_goes_on(job.directory),
        Checkpoints(
            job.directory / CHECKPOINTS,
            keep=config.keep_checkpoints,
            experiment=job.experiment,
            tokenizer=job.tokenizer.to_dict() if job.tokenizer else {},
        ) as checkpoints,
    ):
        state, data_state = _start(job, mesh, checkpoints.latest())
        step = int(state.step)
        with (
            _open_batches(job, data_state) as data,
            Metrics(job.directory, step + 1, job.experiment.watching.sinks) as metrics,
            Progress(job.name, step, config.num_steps, config.batch_size) as progress,
            Profile(job.directory, job.experiment.watching.profile_steps) as profile,
        ):
            reports = Reports(config, job.mfu, checkpoints, metrics, progress)
            tools = _Tools(data, checkpoints, reports, profile, interrupt, sampled)
            state = _run(job, mesh, state, tools)
    return state.ema_params


@contextlib.contextmanager
def _saying_where_it_goes_on(directory: Path) -> Iterator[None]:
    """Adds to a complaint about the disk what is safe."""
    try:
        yield
    except DiskError as error:
        found = find_checkpoint(directory / CHECKPOINTS)
        where = f"it goes on from step {found.step}" if found else "nothing was saved yet"
        raise UserError(f"{error}; {where}") from error


def check_batch(name: str, stage: StageConfig, devices: int) -> None:
    """Raises UserError unless the batch splits evenly over devices, and then into pieces.

    And unless it may be cut into pieces, where it would be.
    """
    batch, piece = stage.training.batch_size, stage.training.microbatch_size
    prefix = "" if name == "base" else f"{name}."
    if batch % devices:
        raise UserError(
            f"{prefix}training.batch_size={batch} is not divisible by the {devices} devices; "
            f"the nearest that is: {max(1, round(batch / devices)) * devices}"
        )
    if piece and batch // devices % piece:
        raise UserError(
            f"{prefix}training.microbatch_size={piece} does not divide the {batch // devices} "
            f"pictures of a device ({batch} over {devices} devices)"
        )
    check_pieces(name, stage, num_pieces(stage.training, devices))


def _start(job: Job, mesh: jax.sharding.Mesh, checkpoint: Checkpoint | None):
    """The state to start from, laid out over the mesh, and the data's position."""
    around = state_around(job)

    def fresh(key, given):
        return around(job.model.init(key) | given)

    begin = jax.random.key(job.experiment.seed), job.start | job.given
    abstract = jax.eval_shape(fresh, *begin)
    shardings = state_sharding(mesh, abstract)
    if checkpoint is None:
        # Run once: XLA's CPU backend would spend longer on making it fast than on running it.
        once = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else {}
        return jax.jit(fresh, out_shardings=shardings, compiler_options=once)(*begin), None
    placed = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract, shardings
    )
    if not checkpoint.is_of_a_run:
        print(f"{job.name}: starting from the weights of {checkpoint.path}")
        params = checkpoint.restore({"ema_params": placed.ema_params})["ema_params"]
        return jax.jit(around, out_shardings=shardings)(params), None
    print(f"{job.name}: going on from step {checkpoint.step} of {checkpoint.path.parent}")
    return checkpoint.restore(placed), checkpoint.data_state


def state_around(job: Job) -> Callable[[Params], TrainState]:
    """Weights → the job's state at step 0."""
    optimizer, packing, timesteps = _optimizer_of(job), packing_of(job), _timesteps_of(job)
    return lambda params: fresh_state(params, optimizer, packing, timesteps)


def step_of(job: Job, mesh: jax.sharding.Mesh, state: TrainState) -> Step:
    """The job's train step on this mesh; `state`: arrays or shapes."""
    tools = _optimizer_of(job), packing_of(job), _timesteps_of(job)
    return train_step(job.loss, *tools, job.stage.training, mesh, state)


def _optimizer_of(job: Job) -> optax.GradientTransformation:
    return make_optimizer(job.stage.training, packing_of(job))


def packing_of(job: Job) -> Packing:
    """How the job's weights are packed; those that it was given stay, and are left out."""
    return Packing(job.model.shapes, tuple(job.given))


def _timesteps_of(job: Job) -> Timesteps:
    diffusion = job.stage.diffusion
    if job.name == TEXT_PRETRAINING:
        return not_noised(diffusion.num_steps)
    return TIMESTEPS[diffusion.timesteps](diffusion.num_steps)


def _open_batches(job: Job, data_state: dict | None) -> Batches:
    data = batches(
        job.source,
        job.told,
        image_size=job.model.config.image_size,
        batch_size=job.stage.training.batch_size,
        seed=job.experiment.seed,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        workers=job.experiment.data.workers,
        start_step=0,
    )
    if data_state is not None:
        data.set_state(data_state)
    return data


def _run(job: Job, mesh: jax.sharding.Mesh, state: TrainState, tools: "_Tools") -> TrainState:
    config = job.stage.training
    step_function = step_of(job, mesh, state)
    # Made where it is needed: no key can be put on another process's devices.
    seed = job.experiment.seed + 1
    seed_key = jax.jit(lambda: jax.random.key(seed), out_shardings=replicated(mesh))()
    sharding = batch_sharding(mesh)
    count = jax.jit(jnp.sum, out_shardings=replicated(mesh))
    reports = tools.reports

    def is_drawn(step: int) -> bool:
        return step > 0 and step % config.sample_every_steps == 0

    for step in range(int(state.step) + 1, config.num_steps + 1):
        if tools.sampled and is_drawn(step - 1):
            # Only now, so that a run that was stopped in the midst of it draws it when it goes on.
            with reports.progress.paused():
                pictures = tools.sampled(state.ema_params, step - 1)
                reports.metrics.picture(step - 1, "samples", pictures)
        with reports.progress.waiting():
            rows = next(tools.data)
        batch = {
            name: jax.make_array_from_process_local_data(sharding, values)
            for name, values in rows.items()
        }
        stand_ins = count(batch.pop("stand_in"))
        tools.profile.before(step)
        with jax.profiler.StepTraceAnnotation("train", step_num=step):
            state, gave = step_function(state, batch, seed_key)
        tools.profile.after(step, gave)
        reports.tell()
        reports.add(gave | {"stand_ins": stand_ins})
        stopping = tools.interrupt.after_step() and step < config.num_steps
        last = stopping or step == config.num_steps
        # Before a grid too: who stops a run may not wait until it is drawn.
        saves = (
            last or (tools.sampled and is_drawn(step)) or step % config.checkpoint_every_steps == 0
        )
        if saves or step % config.log_every_steps == 0 or reports.progress.is_first:
            reports.due(step)
        if saves:
            # Its lines first: a run that goes on from it writes no line of a step before.
            reports.tell()
            tools.checkpoints.save(step, state, tools.data.state())
        if stopping:
            tools.checkpoints.wait()
            raise Interrupted(
                f"stopped after step {step} of {config.num_steps} of {job.name}, saved in "
                f"{tools.checkpoints.directory}; the same command goes on from there"
            )
    return state


@dataclasses.dataclass(frozen=True)
class _Tools:
    """What a run reads from, writes to and listens to."""

    data: Batches
    checkpoints: Checkpoints
    reports: Reports
    profile: Profile
    interrupt: Interrupt
    sampled: Sampled | None
