"""What training may do with the weights of `init_from` beside starting from them."""

import dataclasses
import itertools

from glide_jax.config.checks import at_least, require
from glide_jax.errors import UserError

GUIDANCE = "guidance"
"""The round of distillation that learns classifier-free guidance."""


@dataclasses.dataclass(frozen=True)
class AdapterConfig:
    """A low-rank adapter, trained in place of the weights (LoRA, Hu et al. 2021).

    Attributes:
        rank: r of ΔW = α/r · A B, see `models.lora`.
        alpha: α of the same.
        weights: which kernels it changes: `attention`, `dense` and `convolutions` of the U-Net,
            `text` of what reads captions; names in `models.lora.GROUPS`.
    """

    rank: int
    alpha: float
    weights: tuple[str, ...]

    def __post_init__(self):
        at_least(1, self, "rank")
        require(self.alpha > 0, self, "alpha", "above 0")
        require(bool(self.weights), self, "weights", "one group of weights or more")


@dataclasses.dataclass(frozen=True)
class DistillationConfig:
    """A student of the model in `init_from`, which needs fewer evaluations to sample.

    Attributes:
        rounds: what is learned, one after the other; each round's student is the next one's
            teacher, and each takes `training.num_steps`. `guidance`, first: one evaluation in the
            place of the two of classifier-free guidance (Meng et al. 2023, sec. 3.1). A number of
            steps, such as `8`: one DDIM step in the place of two (Salimans & Ho 2022, algorithm 2);
            from round to round half as many.
        teacher_prediction: what the model in `init_from` predicts. `diffusion.prediction` is the
            students'.
        teacher_learns_variance: whether it predicts the variance too, which no student does: DDIM
            doesn't read it.
    """

    rounds: tuple[str, ...]
    teacher_prediction: str
    teacher_learns_variance: bool

    def __post_init__(self):
        numbers = self.rounds[1:] if self.rounds[:1] == (GUIDANCE,) else self.rounds
        good = all(one.isdecimal() and int(one) > 0 for one in numbers)
        halved = good and all(int(a) == 2 * int(b) for a, b in itertools.pairwise(numbers))
        what = "rounds such as ('guidance', '8', '4'): guidance first, if at all, then steps halved"
        require(bool(self.rounds) and halved, self, "rounds", what)


def check_init_from(
    init_from: str, adapter: AdapterConfig | None, distillation: DistillationConfig | None
) -> None:
    """Raises UserError where what needs the weights of `init_from` has none, or two things do."""
    needs = [name for name, x in (("adapter", adapter), ("distillation", distillation)) if x]
    if needs and not init_from:
        uses = {"adapter": "changes", "distillation": "has a teacher of"}[needs[0]]
        raise UserError(
            f"init_from must be a workdir: training.{needs[0]} {uses} the weights that are there"
        )
    if len(needs) > 1:
        raise UserError(
            "adapter must be left out: training.distillation trains all weights of the student"
        )
