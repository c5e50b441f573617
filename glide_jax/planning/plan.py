"""Whether a stage's training fits a machine, and what would make it fit."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from glide_jax.config import BASE, Experiment, StageConfig, with_overrides
from glide_jax.errors import unknown_name
from glide_jax.parallel.mesh import check_fsdp, make_mesh
from glide_jax.planning import compiling
from glide_jax.planning.compiling import Compiled, Linear
from glide_jax.planning.jobs import planned_jobs
from glide_jax.planning.topologies import Topology
from glide_jax.training.cost import (
    BACKWARD_FACTOR,
    EXPECTED_UTILISATION,
    duration,
    forward_flops,
    quantity,
)
from glide_jax.training.loop import Job, check_batch
from glide_jax.training.lowering import abstract_state, lowered_gradients, lowered_step
from glide_jax.training.memory import (
    GIB,
    StateBytes,
    abstract_mesh,
    check_state_fits,
    state_bytes,
)
from glide_jax.training.objectives import OBJECTIVES

POLICIES = ("none", "products", "blocks")
"""Of `model.remat`, the quickest first."""

Say = Callable[[str], None]
Rebuild = Callable[[str], Job]
"""A value of `model.remat` → the same job with it."""


@dataclasses.dataclass(frozen=True)
class Need:
    """Bytes of one device, by arithmetic.

    Attributes:
        state: of the mesh.
        sets: of gradients at once: two where those of micro-batches are summed.
        gathered: weights, whole, that lie in pieces; XLA may gather all of them at once.
        activations: of a micro-batch.
    """

    state: StateBytes
    sets: int
    gathered: int
    activations: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.state.kept + self.sets * self.state.gradients + self.gathered + self.activations


def plan_stages(
    experiment: Experiment, topology: Topology, only: str | None, *, estimate: bool, say: Say
) -> None:
    """Plan an experiment's stages, one after the other.

    Args:
        experiment: what would be trained.
        topology: the machine.
        only: one stage's name; None: all of them.
        estimate: see `plan`.
        say: prints a line.

    Raises:
        UserError: see `plan`; or there is no such stage.
    """
    names = experiment.training_stages
    if only and only not in names:
        raise unknown_name("stage", only, names)
    for job in planned_jobs(experiment):
        if only in (None, job.name):
            plan(job, functools.partial(_with_remat, job), topology, estimate=estimate, say=say)


def _with_remat(job: Job, policy: str) -> Job:
    prefix = "" if job.name == BASE else f"{job.name}."
    changed = with_overrides(job.experiment, [f"{prefix}model.remat={policy}"])
    return next(other for other in planned_jobs(changed) if other.name == job.name)


def plan(job: Job, rebuild: Rebuild, topology: Topology, *, estimate: bool, say: Say) -> bool:
    """Say what a stage's step takes of a machine, and what would fit where it doesn't.

    Args:
        job: of `planned_jobs`.
        rebuild: makes the job with another `model.remat`.
        topology: the machine.
        estimate: by arithmetic, though a TPU's compiler could say.
        say: prints a line.

    Returns:
        Whether it fits.

    Raises:
        UserError: the batch does not divide, the state alone is too large, or libtpu is missing.
    """
    training, chips, chip = job.stage.training, topology.chips, topology.chip
    limit = chip.memory_gib * GIB
    make_sure_it_divides(job, topology)
    state = abstract_state(job)
    parameters = sum(s.size for s in job.model.shapes.values())
    say(
        f"{job.name}: {quantity(parameters)} parameters on {topology.name}, {chips} × {chip.name} "
        f"of {chip.memory_gib:g} GiB, training.fsdp={training.fsdp}"
    )
    for line in state_lines(state, chips):
        say(line)
    check_state_fits(job.name, state, training.fsdp, chips, limit, chip.name)
    for line in cost_lines(job, topology):
        say(line)
    mesh_state = state_bytes(state, abstract_mesh(chips, training.fsdp))
    pictures = micro_batch(job.stage, chips)
    if chip.platform == "tpu" and not estimate:
        devices = compiling.tpu_devices(topology)
        say(
            f"  compiling the step for {topology.layout}: a full-size model takes a core "
            "many minutes"
        )
        compiled = compiling.compile_for_tpu(
            lowered_step(job, make_mesh(training.fsdp, devices)), say
        )
        if _say_compiled(compiled, chip.memory_gib, say):
            return True
        measured = _measure(job, say)
        scale = compiled.temporaries / max(measured.of(pictures), 1)
    else:
        measured, scale = _measure(job, say), 1.0
        sets = 2 if pictures < training.batch_size // chips else 1
        whole = gathered(state, training.fsdp)
        need = Need(mesh_state, sets, whole, measured.of(pictures))
        if _say_need(need, pictures, measured, chip.memory_gib, say):
            return True
    _say_what_fits(job, rebuild, state, topology, measured, scale, say)
    return False


def make_sure_it_divides(job: Job, topology: Topology) -> None:
    """Raises UserError unless batch and fsdp divide the machine's chips."""
    check_batch(job.name, job.stage, topology.chips)
    check_fsdp(job.stage.training.fsdp, topology.chips)


def state_lines(state: Any, chips: int) -> list[str]:
    """What the state takes of a chip with every `training.fsdp` that divides them."""
    lines = ["  weights + average + optimizer + gradients, GiB a chip, by training.fsdp:"]
    rows = []
    for fsdp in (n for n in range(1, chips + 1) if chips % n == 0):
        b = state_bytes(state, abstract_mesh(chips, fsdp))
        parts = (b.weights, b.average, b.optimizer, b.gradients)
        sizes = " + ".join(f"{part / GIB:.3g}" for part in parts)
        rows.append(f"    {fsdp:>4}: {sizes} = {b.least / GIB:.3g}")
    return lines + rows


def cost_lines(job: Job, topology: Topology) -> list[str]:
    """Operations of a step, and how long they take at a share of the chips' peak."""
    batch, steps = job.stage.training.batch_size, job.stage.training.num_steps
    step = BACKWARD_FACTOR * forward_flops(job) * batch
    peak = topology.chip.flops_per_second * topology.chips
    seconds = step / (peak * EXPECTED_UTILISATION)
    return [
        f"  {quantity(step)}FLOP a step of {batch:,} pictures, "
        f"{quantity(step / topology.chips)}FLOP a chip; at {EXPECTED_UTILISATION:.0%} of its "
        f"peak {duration(seconds)} a step, {duration(seconds * steps)} in all"
    ]


def micro_batch(stage: StageConfig, chips: int) -> int:
    """Pictures a chip works on at once."""
    return stage.training.microbatch_size or stage.training.batch_size // chips


def gathered(state: Any, fsdp: int) -> int:
    """Bytes of all weights, where devices share them; else 0."""
    return state_bytes(state, abstract_mesh(1, 1)).weights if fsdp > 1 else 0


def fitting(
    stage: StageConfig, state: Any, topology: Topology, line: Linear
) -> tuple[int, int, float] | None:
    """The least `training.fsdp`, and with it the largest micro-batch, that fits.

    Args:
        stage: whose batch it is.
        state: shapes.
        topology: the machine.
        line: what a micro-batch takes.

    Returns:
        (fsdp, pictures, bytes), or None.
    """
    chips, limit = topology.chips, topology.chip.memory_gib * GIB
    share = stage.training.batch_size // chips
    smallest = share if OBJECTIVES[stage.model.family].compares else 1
    for fsdp in (n for n in range(1, chips + 1) if chips % n == 0):
        of_state = state_bytes(state, abstract_mesh(chips, fsdp))
        for pictures in (n for n in range(share, smallest - 1, -1) if share % n == 0):
            sets = 1 if pictures == share else 2
            need = Need(of_state, sets, gathered(state, fsdp), line.of(pictures)).total
            if need <= limit:
                return fsdp, pictures, need
    return None


def _say_what_fits(
    job: Job,
    rebuild: Rebuild,
    state: Any,
    topology: Topology,
    measured: Linear,
    scale: float,
    say: Say,
) -> None:
    prefix = "" if job.name == BASE else f"{job.name}."
    mine = getattr(job.stage.model, "remat", None)
    lines = {mine: measured}
    if mine:
        lines = {p: measured if p == mine else _measure(rebuild(p), say) for p in POLICIES}
    say("  what would fit, by arithmetic:")
    found = False
    for policy, line in lines.items():
        scaled = Linear(line.fixed * scale, line.per_picture * scale)
        which = f"{prefix}model.remat={policy} " if policy else ""
        if fits := fitting(job.stage, state, topology, scaled):
            fsdp, pictures, need = fits
            found = True
            say(
                f"    {which}{prefix}training.microbatch_size={pictures} "
                f"{prefix}training.fsdp={fsdp}: about {need / GIB:.3g} GiB"
            )
    if not found:
        say(f"    nothing on {topology.name}: take more chips, or larger ones")


def _measure(job: Job, say: Say) -> Linear:
    say("  compiling the gradients of a micro-batch for this CPU, twice")
    return compiling.activations(lambda pictures: lowered_gradients(job, pictures), say)


def _say_compiled(compiled: Compiled, limit_gib: float, say: Say) -> bool:
    if not compiled.whole:
        say(
            f"  it does not fit: the compiler would need {compiled.temporaries / GIB:.3g} GiB, and "
            f"there are {limit_gib:g}"
        )
        return False
    total = compiled.arguments + compiled.temporaries
    fits = total <= limit_gib * GIB
    say(
        f"  of a chip, by the compiler: arguments {compiled.arguments / GIB:.3g} GiB, temporaries "
        f"{compiled.temporaries / GIB:.3g} GiB: {total / GIB:.3g} of {limit_gib:g} GiB, "
        f"{'it fits' if fits else 'it does not fit'}"
    )
    return fits


def _say_need(need: Need, pictures: int, line: Linear, limit_gib: float, say: Say) -> bool:
    fits = need.total <= limit_gib * GIB
    say(
        f"  of a chip, by arithmetic: state {need.state.kept / GIB:.3g} GiB, "
        f"{need.sets} × gradients {need.state.gradients / GIB:.3g}, gathered weights "
        f"{need.gathered / GIB:.3g}, activations of {pictures} "
        f"pictures {need.activations / GIB:.3g} ({line.fixed / GIB:.3g} + "
        f"{line.per_picture / GIB:.3g} a picture): {need.total / GIB:.3g} of {limit_gib:g} GiB, "
        f"{'it fits' if fits else 'it does not fit'}"
    )
    return fits
