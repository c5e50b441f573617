"""The rounds of a stage's distillation: whose student learns what, and where it is written.

    init_from ─ guidance → WORKDIR/rounds/base_guidance ─ 8 → WORKDIR/rounds/base_8 ─ 4 → WORKDIR

Each round but the last has a workdir of its own, which can be sampled and started from.
"""

import dataclasses
from pathlib import Path

from glide_jax.config import GUIDANCE, DenoiserStageConfig, Experiment, StageConfig
from glide_jax.diffusion.schedule import TRAILING
from glide_jax.errors import UserError

ROUNDS = "rounds"
"""The folder of a workdir that holds those of its rounds."""


@dataclasses.dataclass(frozen=True)
class Round:
    """One round.

    Attributes:
        name: `guidance`, or the student's number of DDIM steps.
        stage: the stage's config as of this round: it starts from its teacher's workdir, and
            samples as it learns to.
        teacher: the teacher's config.
        workdir: where the student is written.
        experiment: that the checkpoints of the student hold.
    """

    name: str
    stage: DenoiserStageConfig
    teacher: DenoiserStageConfig
    workdir: Path
    experiment: Experiment

    @property
    def num_steps(self) -> int | None:
        """The student's number of DDIM steps; None: it learns guidance, at any step."""
        return None if self.name == GUIDANCE else int(self.name)


def check_distillation(section: str, stage: StageConfig) -> None:
    """Check that a stage samples as it is distilled to, and is distilled to what it claims.

    Args:
        section: of the config, such as `stages.base`.
        stage: of any kind.

    Raises:
        UserError: it isn't.
    """
    if not isinstance(stage, DenoiserStageConfig):
        return
    distillation, scales = stage.training.distillation, getattr(stage.model, "guidance_range", ())
    if distillation is None:
        if scales:
            raise UserError(
                f"{section}.model.guidance_range must be () without a training.distillation: the "
                "loss of images alone says nothing of guidance"
            )
        return
    rounds, diffusion, sampling = distillation.rounds, stage.diffusion, stage.sampling
    last = rounds[-1]
    wanted = [
        ("diffusion.learn_variance", diffusion.learn_variance, False),
        ("diffusion.timesteps", diffusion.timesteps, "uniform"),
    ]
    if last != GUIDANCE:
        wanted.append(("sampling.steps", sampling.steps, f"{TRAILING}{last}"))
        wanted.append(("sampling.sampler", sampling.sampler, "ddim"))
        wanted.append(("sampling.eta", sampling.eta, 0.0))
    if GUIDANCE in rounds and not scales:
        raise UserError(
            f"{section}.model.guidance_range must be the scales of the round of guidance, such as "
            "(1.0, 6.0), not ()"
        )
    for key, value, needed in wanted:
        if value != needed:
            raise UserError(
                f"{section}.{key} must be {needed!r}, not {value!r}: training.distillation learns "
                "no other"
            )


def rounds_of(name: str, experiment: Experiment, workdir: Path) -> tuple[Round, ...]:
    """The rounds of a stage with a `training.distillation`, which is checked, in their order.

    Args:
        name: of the stage.
        experiment: to train.
        workdir: of the run.
    """
    stage = experiment.stages[name]
    assert isinstance(stage, DenoiserStageConfig)
    distillation = stage.training.distillation
    assert distillation is not None
    rounds: list[Round] = []
    for place, what in enumerate(distillation.rounds):
        before = rounds[-1] if rounds else None
        is_last = place == len(distillation.rounds) - 1
        own = _stage_of(stage, distillation.rounds[place:], before)
        alone = dataclasses.replace(experiment, stages={name: own})
        there = workdir if is_last else workdir / ROUNDS / f"{name}_{what}"
        teacher = before.stage if before else _first_teacher(stage)
        rounds.append(Round(what, own, teacher, there, experiment if is_last else alone))
    return tuple(rounds)


def _stage_of(
    stage: DenoiserStageConfig, left: tuple[str, ...], before: Round | None
) -> DenoiserStageConfig:
    """The stage's config as of the first of the rounds that are left."""
    assert stage.training.distillation is not None
    what, sampling = left[0], stage.sampling
    distillation = dataclasses.replace(stage.training.distillation, rounds=(what,))
    training = dataclasses.replace(stage.training, distillation=distillation)
    if before:
        diffusion = before.stage.diffusion
        distillation = dataclasses.replace(
            distillation,
            teacher_prediction=diffusion.prediction,
            teacher_learns_variance=diffusion.learn_variance,
        )
        init_from = str(before.workdir)
        training = dataclasses.replace(training, distillation=distillation, init_from=init_from)
    if len(left) > 1:
        # What learns guidance alone is sampled by as many steps as the next round starts from.
        count = 2 * int(left[1]) if what == GUIDANCE else int(what)
        sampling = dataclasses.replace(sampling, steps=f"{TRAILING}{count}")
    return dataclasses.replace(stage, training=training, sampling=sampling)


def _first_teacher(stage: DenoiserStageConfig) -> DenoiserStageConfig:
    """The config of the model in `init_from`, as the stage's own describes it."""
    distillation = stage.training.distillation
    assert distillation is not None
    model = stage.model
    if distillation.rounds[0] == GUIDANCE:
        model = dataclasses.replace(model, guidance_range=())
    diffusion = dataclasses.replace(
        stage.diffusion,
        prediction=distillation.teacher_prediction,
        learn_variance=distillation.teacher_learns_variance,
    )
    training = dataclasses.replace(stage.training, distillation=None)
    return dataclasses.replace(stage, model=model, diffusion=diffusion, training=training)
