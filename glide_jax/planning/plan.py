"""Whether training fits a machine, and what would make it fit."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from glide_jax.config import Experiment, FrozenTextConfig, TrainingConfig, with_overrides
from glide_jax.errors import unknown_name
from glide_jax.parallel.mesh import check_fsdp, make_mesh
from glide_jax.planning import compiling
from glide_jax.planning.collectives import Collectives
from glide_jax.planning.compiling import Compiled, Linear
from glide_jax.planning.cost import (
    EXPECTED_UTILISATION,
    duration,
    quantity,
    step_flops,
)
from glide_jax.planning.jobs import planned_jobs
from glide_jax.planning.links import expected_collectives, link_line, link_seconds
from glide_jax.planning.lowering import lowered_gradients
from glide_jax.planning.memory import (
    GIB,
    StateBytes,
    abstract_mesh,
    check_state_fits,
    state_bytes,
)
from glide_jax.planning.planned import Planned
from glide_jax.planning.text_encoder import encoder_line
from glide_jax.planning.topologies import Topology
from glide_jax.training.job import Job, check_batch
from glide_jax.training.lowering import abstract_state, lowered_step

POLICIES = ("none", "products", "blocks")
"""Values of `model.remat`, the fastest first."""

Log = Callable[[str], None]
"""Prints a line."""

Rebuild = Callable[[str], Job]
"""A value of `model.remat` → the same job with that value."""


@dataclasses.dataclass(frozen=True)
class Need:
    """The bytes that a train step needs on each device, by arithmetic.

    Attributes:
        state: of the state and one set of gradients.
        sets: sets of gradients at once: two where those of microbatches are summed.
        gathered: bytes of all weights where they are sharded; XLA may gather all of them at once.
        activations: bytes of a microbatch's intermediate values.
    """

    state: StateBytes
    sets: int
    gathered: int
    activations: float

    @property
    def total(self) -> float:
        """All bytes together."""
        return self.state.kept + self.sets * self.state.gradients + self.gathered + self.activations


def plan_stages(
    experiment: Experiment, topology: Topology, only: str | None, *, estimate: bool, log: Log
) -> list[Planned]:
    """Plan the jobs of an experiment, one after the other.

    Args:
        experiment: what would be trained.
        topology: the machine.
        only: the name of one stage, or `text_pretraining`; None: all of them.
        estimate: see `plan`.
        log: prints a line.

    Returns:
        One of each.

    Raises:
        UserError: see `plan`; or there is no such stage.
    """
    jobs = planned_jobs(experiment).in_order
    names = [job.name for job in jobs]
    if only and only not in names:
        raise unknown_name("stage", only, names)
    if isinstance(experiment.text, FrozenTextConfig):
        log(encoder_line(experiment.text))
    return [
        plan(job, functools.partial(_with_remat, job), topology, estimate=estimate, log=log)
        for job in jobs
        if only in (None, job.name)
    ]


def _with_remat(job: Job, policy: str) -> Job:
    changed = with_overrides(job.experiment, [f"{job.section}.model.remat={policy}"])
    return next(other for other in planned_jobs(changed).stages if other.name == job.name)


def plan(job: Job, rebuild: Rebuild, topology: Topology, *, estimate: bool, log: Log) -> Planned:
    """Print what a job's step needs of a machine, and what would fit where it doesn't.

    Args:
        job: of `planned_jobs`.
        rebuild: makes the job with another `model.remat`.
        topology: the machine.
        estimate: by arithmetic alone, even for a TPU, whose compiler could measure it.
        log: prints a line.

    Raises:
        UserError: the batch can't be split so, the state alone is too large, or libtpu is missing.
    """
    training, chips, chip = job.training, topology.chips, topology.chip
    limit = chip.memory_gib * GIB
    check_divides(job, topology)
    state = abstract_state(job)
    parameters = sum(s.size for s in job.model.shapes.values())
    log(
        f"{job.name}: {quantity(parameters)} parameters on {topology.name}, {chips} × {chip.name} "
        f"of {chip.memory_gib:g} GiB, training.fsdp={training.fsdp}"
    )
    if job.adapter:
        count = sum(s.size for s in job.trained.shapes.values())
        log(f"  an adapter of {quantity(count)} parameters is trained, the others are frozen")
    for line in state_lines(state, chips, job.base_shapes):
        log(line)
    check_state_fits(job.section, state, training.fsdp, chips, limit, chip.name, job.base_shapes)
    flops = step_flops(job) * job.training.batch_size
    log(cost_line(job, topology, flops))
    answer = functools.partial(_planned, job, topology, flops, log)
    if chip.platform == "tpu" and not estimate:
        compiled = _compile(job, topology, log)
        needs = compiled.arguments + compiled.temporaries
        done = answer("compiler", needs, compiled.collectives)
        if not _log_compiled(compiled, chip.memory_gib, log):
            measured = _measure(job, log)
            scale = compiled.temporaries / max(measured.of(images_at_once(training, chips)), 1)
            _log_what_fits(job, rebuild, state, topology, measured, scale, log)
        return done
    if (least := least_bytes(job, chips)) > limit:
        # Compiling the activations, which takes minutes, could only add to it.
        log(
            f"  nothing on {topology.name} fits it: without activations it takes at least "
            f"{least / GIB:.3g} GiB of a chip; take more chips, or larger ones"
        )
        return answer("arithmetic", least, None, quiet=True)
    measured = _measure(job, log)
    need = _need(job, state, chips, measured)
    done = answer("arithmetic", need.total, None)
    if not _log_need(need, images_at_once(training, chips), measured, chip.memory_gib, log):
        _log_what_fits(job, rebuild, state, topology, measured, 1.0, log)
    return done


def _planned(
    job: Job,
    topology: Topology,
    flops: float,
    log: Log,
    by: str,
    needs: float,
    read: Collectives | None,
    *,
    quiet: bool = False,
) -> Planned:
    """What is said of a job; a line says what its collectives take, unless that is of no use."""
    chips, limit, training = topology.chips, topology.chip.memory_gib * GIB, job.training
    seconds = step_seconds(flops, topology)
    sent = read or expected_collectives(job, topology)
    if chips > 1 and not quiet:
        log(link_line(sent, topology, seconds, by_compiler=read is not None))
    return Planned(
        job=job.name,
        topology=topology.name,
        chips=chips,
        parameters=sum(s.size for s in job.model.shapes.values()),
        fsdp=training.fsdp,
        batch_size=training.batch_size,
        microbatch_size=images_at_once(training, chips),
        flops_per_step=flops,
        seconds_per_step=seconds,
        by=by,
        bytes_per_chip=needs,
        bytes_available=limit,
        fits=needs <= limit,
        collectives_by="arithmetic" if read is None else "compiler",
        collectives=dict(sent.sent),
        link_seconds=link_seconds(sent, topology),
        link_share=link_seconds(sent, topology) / seconds,
    )


def _compile(job: Job, topology: Topology, log: Log) -> Compiled:
    devices = compiling.tpu_devices(topology)
    log(f"  compiling the step for {topology.layout}: a full-size model takes a core many minutes")
    mesh = make_mesh(job.training.fsdp, devices)
    return compiling.compile_for_tpu(lowered_step(job, mesh), log)


def _need(job: Job, state: Any, chips: int, line: Linear) -> Need:
    """What the job's own settings need, by arithmetic."""
    training = job.training
    images = images_at_once(training, chips)
    of_state = state_bytes(state, abstract_mesh(chips, training.fsdp), job.base_shapes)
    sets = 2 if images < training.batch_size // chips else 1
    return Need(of_state, sets, gathered(job, training.fsdp), line.of(images))


def check_divides(job: Job, topology: Topology) -> None:
    """Raises UserError unless the chips can share the batch, and fsdp divides their number."""
    check_batch(job.section, job.training, topology.chips, compares_examples=job.compares_examples)
    check_fsdp(job.training.fsdp, topology.chips)


def state_lines(state: Any, chips: int, base: Mapping[str, Any]) -> list[str]:
    """What the state takes of each chip, for every `training.fsdp` that divides their number."""
    first = "base + " if base else ""
    lines = [f"  {first}weights + average + optimizer + gradients, GiB a chip, by training.fsdp:"]
    rows = []
    for fsdp in (n for n in range(1, chips + 1) if chips % n == 0):
        b = state_bytes(state, abstract_mesh(chips, fsdp), base)
        parts = (*[b.base] * bool(base), b.weights, b.average, b.optimizer, b.gradients)
        sizes = " + ".join(f"{part / GIB:.3g}" for part in parts)
        rows.append(f"    {fsdp:>4}: {sizes} = {b.least / GIB:.3g}")
    return lines + rows


def step_seconds(flops: float, topology: Topology) -> float:
    """How long a step takes at the expected share of the chips' peak, without collectives."""
    seconds = flops / (topology.chip.flops_per_second * topology.chips * EXPECTED_UTILISATION)
    return max(seconds, 1e-9)  # that of a model without products, to divide by


def cost_line(job: Job, topology: Topology, flops: float) -> str:
    """The operations of a step, and how long they take at a share of the chips' peak."""
    seconds = step_seconds(flops, topology)
    return (
        f"  {quantity(flops)}FLOP a step of {job.training.batch_size:,} images, "
        f"{quantity(flops / topology.chips)}FLOP a chip; at {EXPECTED_UTILISATION:.0%} of its "
        f"peak {duration(seconds)} a step, {duration(seconds * job.training.num_steps)} in all"
    )


def images_at_once(training: TrainingConfig, chips: int) -> int:
    """Number of images that a chip processes at once."""
    return training.microbatch_size or training.batch_size // chips


def gathered(job: Job, fsdp: int) -> int:
    """Bytes of all weights, an adapter's base among them, where devices share them; else 0."""
    sizes = [s.size * s.dtype.itemsize for s in job.loss_shapes.values()]
    return sum(sizes) if fsdp > 1 else 0


def least_bytes(job: Job, chips: int) -> int:
    """The bytes of a chip without activations, with the `training.fsdp` that needs the fewest."""
    state, base = abstract_state(job), job.base_shapes
    needs = (
        state_bytes(state, abstract_mesh(chips, fsdp), base).least + gathered(job, fsdp)
        for fsdp in range(1, chips + 1)
        if chips % fsdp == 0
    )
    return min(needs)


def fitting(
    job: Job, state: Any, topology: Topology, line: Linear
) -> tuple[int, int, float] | None:
    """The least `training.fsdp` that fits, and with it the largest microbatch.

    Args:
        job: what would be trained.
        state: its shapes.
        topology: the machine.
        line: bytes by the images of a microbatch.

    Returns:
        (fsdp, images, bytes), or None.
    """
    chips, limit = topology.chips, topology.chip.memory_gib * GIB
    share = job.training.batch_size // chips
    smallest = share if job.compares_examples else 1
    for fsdp in (n for n in range(1, chips + 1) if chips % n == 0):
        of_state = state_bytes(state, abstract_mesh(chips, fsdp), job.base_shapes)
        for images in (n for n in range(share, smallest - 1, -1) if share % n == 0):
            sets = 1 if images == share else 2
            need = Need(of_state, sets, gathered(job, fsdp), line.of(images)).total
            if need <= limit:
                return fsdp, images, need
    return None


def _log_what_fits(
    job: Job,
    rebuild: Rebuild,
    state: Any,
    topology: Topology,
    measured: Linear,
    scale: float,
    log: Log,
) -> None:
    prefix = f"{job.section}."
    mine = _remat_of(job)
    lines = {mine: measured}
    if mine:
        lines = {p: measured if p == mine else _measure(rebuild(p), log) for p in POLICIES}
    log("  what would fit, by arithmetic:")
    found = False
    for policy, line in lines.items():
        scaled = Linear(line.fixed * scale, line.per_image * scale)
        which = f"{prefix}model.remat={policy} " if policy else ""
        if fits := fitting(job, state, topology, scaled):
            fsdp, images, need = fits
            found = True
            log(
                f"    {which}{prefix}training.microbatch_size={images} "
                f"{prefix}training.fsdp={fsdp}: about {need / GIB:.3g} GiB"
            )
    if not found:
        log(f"    nothing on {topology.name}: take more chips, or larger ones")


def _remat_of(job: Job) -> str | None:
    """The job's `model.remat`; None: its config has no such key."""
    return getattr(getattr(job.stage, "model", None), "remat", None)


def _measure(job: Job, log: Log) -> Linear:
    log("  compiling the gradients of a microbatch for this CPU, twice")
    return compiling.activations(lambda images: lowered_gradients(job, images), log)


def _log_compiled(compiled: Compiled, limit_gib: float, log: Log) -> bool:
    if compiled.collectives is None:
        log(
            f"  it does not fit: the compiler would need {compiled.temporaries / GIB:.3g} GiB, and "
            f"there are {limit_gib:g}"
        )
        return False
    total = compiled.arguments + compiled.temporaries
    fits = total <= limit_gib * GIB
    log(
        f"  of a chip, by the compiler: arguments {compiled.arguments / GIB:.3g} GiB, temporaries "
        f"{compiled.temporaries / GIB:.3g} GiB: {total / GIB:.3g} of {limit_gib:g} GiB, "
        f"{'it fits' if fits else 'it does not fit'}"
    )
    return fits


def _log_need(need: Need, images: int, line: Linear, limit_gib: float, log: Log) -> bool:
    fits = need.total <= limit_gib * GIB
    log(
        f"  of a chip, by arithmetic: state {need.state.kept / GIB:.3g} GiB, "
        f"{need.sets} × gradients {need.state.gradients / GIB:.3g}, gathered weights "
        f"{need.gathered / GIB:.3g}, activations of {images} "
        f"images {need.activations / GIB:.3g} ({line.fixed / GIB:.3g} + "
        f"{line.per_image / GIB:.3g} an image): {need.total / GIB:.3g} of {limit_gib:g} GiB, "
        f"{'it fits' if fits else 'it does not fit'}"
    )
    return fits
