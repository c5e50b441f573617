"""The noise schedule: betas, the steps that sampling keeps, and the Schedule made of them.

Everything is computed in numpy float64 and cast to float32 once. A Schedule is data: two with
the same number of steps use the same compiled function.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax.errors import UserError
from glide_jax.types import Array

_LARGEST_LOG_SNR = 20  # of the continuous cosine, and its smallest is the negative
_LAST_BETA = 0.999  # squared cosine would end at 1, where x_T is independent of x_0


def linear_betas(num_steps: int) -> np.ndarray:
    """β from 1e-4 to 0.02 in equal steps (Ho et al. 2020, sec. 4), scaled by 1000 / num_steps.

    Args:
        num_steps: number of diffusion steps, more than 20.

    Returns:
        f64[num_steps] in (0, 1).

    Raises:
        UserError: with 20 steps or fewer the last β would reach 1.
    """
    if num_steps <= 20:
        raise UserError(
            f"a linear schedule of {num_steps} steps would have a last beta of 1 or more; "
            "take more than 20 steps, or the squared_cosine schedule"
        )
    scale = 1000 / num_steps
    return np.linspace(scale * 1e-4, scale * 0.02, num_steps, dtype=np.float64)


def squared_cosine_betas(num_steps: int) -> np.ndarray:
    """β whose alpha_bar follows cos² (Nichol & Dhariwal 2021, eq. 17), none above 0.999.

    Args:
        num_steps: number of diffusion steps, 1 or more.

    Returns:
        f64[num_steps] in (0, 1).

    Raises:
        UserError: no steps.
    """
    if num_steps < 1:
        raise UserError(f"a schedule can't have {num_steps} steps; take 1 or more")
    time = np.arange(num_steps + 1, dtype=np.float64) / num_steps
    alpha_bar = np.cos((time + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], _LAST_BETA)


def cosine_betas(num_steps: int) -> np.ndarray:
    """β of the continuous cosine schedule at num_steps equal distances of its time u in [0, 1].

    alpha_bar(u) = cos²(a u + b), that is log_snr(u) = -2 log tan(a u + b), where a and b take
    log_snr from 20 to -20 (Ho & Salimans 2022, sec. 3). Imagen is trained at any u; a model of
    more steps is trained at more of them, and of every number of steps they are on one curve.

    Args:
        num_steps: number of diffusion steps, 1 or more.

    Returns:
        f64[num_steps] in (0, 1).

    Raises:
        UserError: no steps.
    """
    if num_steps < 1:
        raise UserError(f"a schedule can't have {num_steps} steps; take 1 or more")
    first, last = np.arctan(np.exp(-_LARGEST_LOG_SNR / 2)), np.arctan(np.exp(_LARGEST_LOG_SNR / 2))
    time = np.arange(1, num_steps + 1, dtype=np.float64) / num_steps
    alpha_bar = np.append(1.0, np.cos(first + (last - first) * time) ** 2)
    return 1 - alpha_bar[1:] / alpha_bar[:-1]


BETAS: dict[str, Callable[[int], np.ndarray]] = {
    "linear": linear_betas,
    "squared_cosine": squared_cosine_betas,
    "cosine": cosine_betas,
}
"""Schedule name → function from the number of steps to its betas."""


SECTIONS: dict[str, str] = {
    "smart27": "7,4,2,1,2,4,7",
    "smart50": "10,6,4,3,2,2,3,4,6,10",
    "smart100": "1,1,1,1,2,2,2,2,2,2,3,3,4,4,5,5,6,7,7,8,9,10,13",
    "smart185": "1,1,2,2,2,3,3,3,4,5,6,7,8,9,10,11,12,13,14,15,16,18,20",
    "super27": "1,1,1,1,1,1,1,2,5,13",
    "super40": "2,2,2,2,2,2,3,4,6,15",
    "super100": "4,4,6,6,8,8,10,10,14,30",
}
"""DeepFloyd IF's respacings by name: steps of equal sections, the least noisy first.

The `super` ones are for upsamplers. IF's own `fast27` is `10,10,3,2,2`; ours is GLIDE's.
"""


_MAX_DIGITS = 10
"""Of a number of steps. What has thousands Python won't read."""

TRAILING = "trailing"
"""How a respacing begins that distilled models are trained at, see kept_timesteps."""


def kept_timesteps(spec: str, betas: np.ndarray) -> np.ndarray:
    """The steps of the original schedule that a respacing keeps.

    Args:
        spec: "100": 100 steps at equal distances, both ends kept. "10,10,3,2,2": five equal
            sections, the least noisy first, with that many steps of each. "fast27": GLIDE's 27
            steps for fast upsampling, the same but for the noisiest. A name in SECTIONS, such as
            "smart50": those sections. "ddim25": 25 steps with an integer stride, from 0 (Song et
            al. 2021). "trailing4": 4 steps at equal distances, of which the last is kept and the
            first is as far from x_0 as from the next (Lin et al. 2023, sec. 3.3): every second of
            "trailing8". "logsnr20": 20 steps at equal distances in log_snr, rounded to steps that
            exist, both ends kept (Lu et al. 2022, DPM-Solver). "": all.
        betas: f64[T] in (0, 1), of the original schedule.

    Returns:
        i64[S], increasing, in [0, T).

    Raises:
        UserError: spec is not one of these, or impossible for T steps.
    """
    num_steps = len(betas)
    if spec == "":
        return np.arange(num_steps)
    if spec.startswith("ddim"):
        return _strided(spec, num_steps)
    if spec.startswith(TRAILING):
        return _trailing(spec, num_steps)
    if spec.startswith("logsnr"):
        return _even_in_log_snr(spec, betas)
    if spec == "fast27":
        kept = _sectioned(spec, [10, 10, 3, 2, 2], num_steps)
        # At the last step x_t is pure noise; to start two steps below gives fewer artefacts.
        kept[-1] = num_steps - 3
        return kept
    return _sectioned(spec, _counts(spec, SECTIONS.get(spec, spec), num_steps), num_steps)


def _counts(spec: str, numbers: str, num_steps: int) -> list[int]:
    """The numbers between commas, each 1 or more, their sum at most num_steps."""
    parts = [part.strip() for part in numbers.split(",")]
    if not all(part.isdecimal() and len(part) < _MAX_DIGITS for part in parts):
        raise UserError(
            f"respacing {spec!r} is not understood; give a number of steps ('100'), a number for "
            f"each section ('10,10,3,2,2'), 'fast27', {', '.join(SECTIONS)}, or a number after "
            "'ddim' ('ddim25'), 'trailing' ('trailing4') or 'logsnr' ('logsnr20')"
        )
    counts = [int(part) for part in parts]
    if min(counts) == 0 or sum(counts) > num_steps:
        wrong = "0 steps" if min(counts) == 0 else f"{sum(counts)} steps"
        raise UserError(
            f"respacing {spec!r} asks for {wrong} of a schedule of {num_steps}; "
            f"take from 1 to {num_steps}"
        )
    return counts


def _single_count(spec: str, number: str, num_steps: int) -> int:
    # With a comma replaced, two numbers are refused.
    return _counts(spec, number.replace(",", "?"), num_steps)[0]


def _strided(spec: str, num_steps: int) -> np.ndarray:
    wanted = _single_count(spec, spec.removeprefix("ddim"), num_steps)
    for stride in range(1, num_steps + 1):
        kept = np.arange(0, num_steps, stride)
        if len(kept) == wanted:
            return kept
        if len(kept) < wanted:
            break
    possible = sorted({-(-num_steps // stride) for stride in range(1, num_steps + 1)})
    nearest = sorted(possible, key=lambda count: abs(count - wanted))[:2]
    raise UserError(
        f"respacing {spec!r}: no integer stride over {num_steps} steps keeps {wanted}; "
        f"take the nearest: {', '.join(f'ddim{count}' for count in sorted(nearest))}"
    )


def _trailing(spec: str, num_steps: int) -> np.ndarray:
    count = _single_count(spec, spec.removeprefix(TRAILING), num_steps)
    # Integers alone: whatever they are rounded to, halving the count keeps every second.
    return np.arange(1, count + 1) * num_steps // count - 1


def _even_in_log_snr(spec: str, betas: np.ndarray) -> np.ndarray:
    count = _single_count(spec, spec.removeprefix("logsnr"), len(betas))
    if count == 1:
        raise UserError(f"respacing {spec!r} can't keep both ends; take 2 steps or more")
    alpha_bar = np.cumprod(1 - betas)
    log_snr = np.log(alpha_bar) - np.log1p(-alpha_bar)
    wanted = np.linspace(log_snr[0], log_snr[-1], count)
    nearest = np.abs(log_snr[None, :] - wanted[:, None]).argmin(axis=1)
    # Near the ends log_snr falls by more than the spacing from one step to the next, and several
    # choose the same step: the later ones move on to the next steps, as far as there are any.
    place = np.arange(count)
    pushed = np.maximum.accumulate(nearest - place)
    return np.minimum(pushed, len(betas) - count) + place


def _sectioned(spec: str, counts: Sequence[int], num_steps: int) -> np.ndarray:
    kept = []
    for section, count in zip(
        np.array_split(np.arange(num_steps), len(counts)), counts, strict=True
    ):
        if len(section) < count:
            raise UserError(
                f"respacing {spec!r} can't keep {count} steps of a section of {len(section)} "
                f"(the schedule has {num_steps}); ask for fewer"
            )
        stride = (len(section) - 1) / max(count - 1, 1)
        # A sum, not a product: the released models' steps were rounded from the sum, which can end
        # just below a half.
        places = np.cumsum([0.0] + [stride] * (count - 1))
        kept.append(section[places.round().astype(int)])
    return np.concatenate(kept)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Schedule:
    """The numbers of a diffusion of S steps; index 0 is the least noisy. A pytree.

    Differences such as 1 - alpha_bar are fields of their own: they can't be computed in float32
    from an alpha_bar near 1.

    Attributes:
        timesteps: i32[S], increasing: the ORIGINAL index of each step, a model's input t.
        beta: f32[S] in (0, 1], variance of q(x_t | x_{t-1}), where t-1 is the previous KEPT step.
        log_beta: f32[S].
        alpha_bar: f32[S] in (0, 1), decreasing: share of x_0's variance left in x_t.
        alpha_bar_prev: f32[S], alpha_bar one step less noisy; 1 at index 0.
        alpha_bar_next: f32[S], alpha_bar one step noisier; 0 at the last index.
        sqrt_alpha_bar: f32[S], the coefficient of x_0 in x_t.
        sqrt_one_minus_alpha_bar: f32[S], the coefficient of eps in x_t.
        one_minus_alpha_bar_prev: f32[S].
        log_snr: f32[S], log(alpha_bar / (1 - alpha_bar)), decreasing.
        posterior_x_0_coefficient: f32[S], of x_0 in the mean of q(x_{t-1} | x_t, x_0).
        posterior_x_t_coefficient: f32[S], of x_t in that mean.
        posterior_variance: f32[S], of q(x_{t-1} | x_t, x_0); 0 at index 0.
        posterior_log_variance_clipped: f32[S], its log, with index 1's value at index 0.
    """

    timesteps: Array
    beta: Array
    log_beta: Array
    alpha_bar: Array
    alpha_bar_prev: Array
    alpha_bar_next: Array
    sqrt_alpha_bar: Array
    sqrt_one_minus_alpha_bar: Array
    one_minus_alpha_bar_prev: Array
    log_snr: Array
    posterior_x_0_coefficient: Array
    posterior_x_t_coefficient: Array
    posterior_variance: Array
    posterior_log_variance_clipped: Array

    @property
    def num_steps(self) -> int:
        """S, the number of steps; static."""
        return self.timesteps.shape[0]


def make_schedule(
    betas: np.ndarray, timesteps: Sequence[int] | np.ndarray | None = None
) -> Schedule:
    """The Schedule of these betas, or of some of its steps (Nichol & Dhariwal 2021, eq. 19).

    Args:
        betas: f64[T] in (0, 1), of the original schedule.
        timesteps: i[S], increasing, in [0, T): the steps to keep; None: all.

    Returns:
        A Schedule of S steps.

    Raises:
        ValueError: betas outside (0, 1); timesteps empty, not increasing or out of range.
    """
    betas = np.asarray(betas, np.float64)
    if betas.ndim != 1 or not np.all((betas > 0) & (betas < 1)):
        raise ValueError("betas must be a vector of numbers between 0 and 1, both excluded")
    kept = np.arange(len(betas)) if timesteps is None else np.asarray(timesteps, np.int64)
    if len(kept) == 0 or np.any(np.diff(kept) <= 0) or kept[0] < 0 or kept[-1] >= len(betas):
        raise ValueError(f"timesteps must increase within [0, {len(betas)})")
    return _from_alpha_bar(np.cumprod(1 - betas)[kept], kept)


def _from_alpha_bar(alpha_bar: np.ndarray, timesteps: np.ndarray) -> Schedule:
    alpha_bar_prev = np.append(1.0, alpha_bar[:-1])
    beta = 1 - alpha_bar / alpha_bar_prev
    variance = beta * (1 - alpha_bar_prev) / (1 - alpha_bar)
    # Index 0's variance is 0; a one-step schedule has no index 1 to borrow from.
    clipped = np.append(variance[1] if len(variance) > 1 else beta[0], variance[1:])
    values = {
        "beta": beta,
        "log_beta": np.log(beta),
        "alpha_bar": alpha_bar,
        "alpha_bar_prev": alpha_bar_prev,
        "alpha_bar_next": np.append(alpha_bar[1:], 0.0),
        "sqrt_alpha_bar": np.sqrt(alpha_bar),
        "sqrt_one_minus_alpha_bar": np.sqrt(1 - alpha_bar),
        "one_minus_alpha_bar_prev": 1 - alpha_bar_prev,
        "log_snr": np.log(alpha_bar) - np.log1p(-alpha_bar),
        "posterior_x_0_coefficient": beta * np.sqrt(alpha_bar_prev) / (1 - alpha_bar),
        "posterior_x_t_coefficient": (1 - alpha_bar_prev) * np.sqrt(1 - beta) / (1 - alpha_bar),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": np.log(clipped),
    }
    return Schedule(
        timesteps=jnp.asarray(timesteps, jnp.int32),
        **{name: jnp.asarray(value, jnp.float32) for name, value in values.items()},
    )
