"""What a job starts with: its state, the weights that it reads beside them, and its train step."""

from collections.abc import Callable, Mapping

import jax
import optax

from glide_jax.checkpoints import Checkpoint
from glide_jax.errors import UserError
from glide_jax.parallel.mesh import Shaped, weight_sharding
from glide_jax.progress import say
from glide_jax.training.job import Job
from glide_jax.training.objectives.distilled import as_teacher
from glide_jax.training.optimizer import make_optimizer
from glide_jax.training.packing import Packing
from glide_jax.training.state import TrainState, fresh_state, state_sharding
from glide_jax.training.step import TrainStep, train_step
from glide_jax.types import Params


def initial_state(job: Job, mesh: jax.sharding.Mesh, checkpoint: Checkpoint | None):
    """The state to start from, sharded over the mesh, and the data iterator's state or None.

    Raises:
        UserError: the checkpoint can't be read, does not fit the model, or is of another step.
    """
    from_params, shapes = state_from_params(job), job.trained.shapes

    def fresh(key, given):
        return from_params(job.trained.init(key) | cast(given))

    def cast(params):
        # Imported weights may be stored in bfloat16; training needs more than its 8 bits.
        return {path: x.astype(shapes[path].dtype) for path, x in params.items()}

    arguments = jax.random.key(job.experiment.seed), job.initial_params | job.frozen_params
    abstract = jax.eval_shape(fresh, *arguments)
    shardings = state_sharding(mesh, abstract)
    if checkpoint is None:
        # It runs once: XLA's CPU backend would spend longer on optimizing it than on running it.
        options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else {}
        make = jax.jit(fresh, out_shardings=shardings, compiler_options=options)
        return make(*arguments), None
    placed = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract, shardings
    )
    if not checkpoint.is_of_a_run:
        say(f"{job.title}: starting from the weights of {checkpoint.path}")
        params = checkpoint.weights("ema_params", placed.ema_params)
        start = jax.jit(lambda stored: from_params(cast(stored)), out_shardings=shardings)
        return start(params), None
    say(f"{job.title}: continuing from step {checkpoint.step} of {checkpoint.path.parent}")
    state = checkpoint.restore(placed)
    if int(state.step) != checkpoint.step:
        raise UserError(
            f"{checkpoint.path} holds step {int(state.step)}: it was renamed or copied there; name "
            f"it {int(state.step)}, or choose another --workdir"
        )
    return state, checkpoint.data_state


def read_base(job: Job, mesh: jax.sharding.Mesh) -> Params | None:
    """A teacher's weights, or those that an adapter changes, sharded as any are; None: neither's.

    They stay in the dtype that they are stored in.

    Raises:
        UserError: they can't be read.
    """
    if job.base is None:
        return None
    shapes = job.base.shapes("ema_params")
    shardings = weight_sharding(mesh, shapes)
    wanted = {
        path: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=shardings[path])
        for path, s in shapes.items()
    }
    weights = job.base.weights("ema_params", wanted)
    return as_teacher(weights) if job.teacher else weights


def state_from_params(job: Job) -> Callable[[Params], TrainState]:
    """Weights → the job's state at step 0."""
    optimizer, packing, timesteps = _optimizer_of(job), packing_of(job), job.timesteps
    return lambda params: fresh_state(params, optimizer, packing, timesteps)


def weights_of(job: Job, base: Params | None) -> Callable[[Params], Params]:
    """Weights of the job's state → those of its model, to sample from.

    Args:
        job: what is trained.
        base: of `read_base`.
    """
    adapter = job.adapter
    if adapter is None or base is None:
        return lambda params: params
    merge = jax.jit(lambda base, arrays: adapter.merge(base | arrays))
    return lambda params: merge(base, params)


def step_of(
    job: Job, mesh: jax.sharding.Mesh, state: TrainState, base: Mapping[str, Shaped] | None
) -> TrainStep:
    """The job's train step on a mesh.

    Args:
        job: what to train.
        mesh: of devices here or elsewhere.
        state: an example of the state, arrays or shapes.
        base: of the weights that an adapter changes, or a teacher's, arrays or shapes; None: there
            are none.
    """
    return train_step(
        job.loss,
        _optimizer_of(job),
        packing_of(job),
        job.timesteps,
        job.training,
        mesh,
        state,
        base,
    )


def packing_of(job: Job) -> Packing:
    """How the job's trainable weights are packed."""
    return Packing(job.trained.shapes, tuple(job.frozen_params))


def _optimizer_of(job: Job) -> optax.GradientTransformation:
    return make_optimizer(job.training, packing_of(job))
