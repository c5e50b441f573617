"""What a stage's program is told, and what of it no argument can tell."""

from collections.abc import Callable
from typing import NamedTuple

from jax.sharding import Mesh

from glide_jax.types import Array, Condition

LogProbability = Callable[[Array, Array], Array]
"""(x_t: f32[b h w 3], t: i32[b]) → f32[b], whose gradient guides. A pytree, jax.tree_util.Partial:
the weights and numbers in it are arguments of the program."""


class Towards(NamedTuple):
    """Classifier-free guidance.

    Attributes:
        null: what it leads away from, of b pictures, or of 1 where that is the same for all.
        scale: f32[b], each picture's s.
        interval: f32[2], where guidance is, see Settings; None: everywhere.
    """

    null: Condition
    scale: Array
    interval: Array | None


class Known(NamedTuple):
    """Pixels to keep.

    Attributes:
        image: f32[1 h w 3] in [-1, 1].
        mask: f32[1 h w 1], 1 where the pixel is KEPT.
    """

    image: Array
    mask: Array


class Begin(NamedTuple):
    """A picture to begin from, in the place of noise (SDEdit, Meng et al. 2022, algorithm 1).

    Attributes:
        image: f32[1 h w 3] in [-1, 1].
        start: i32[], the first step taken, an index into the schedule of the steps to take.
    """

    image: Array
    start: Array


class Inputs(NamedTuple):
    """All that a program is told, but for the weights.

    Attributes:
        seed_key: key[], of this stage.
        indices: i32[b], which picture of the seed each is.
        condition: of b pictures; known pixels are not in it.
        towards: classifier-free guidance, or None: half the work.
        quantile: f32[], of dynamic thresholding; None: static, at 1.
        eta, temperature, low_res_noise: f32[], as in SamplingConfig.
        known: pixels to keep, or None.
        begin: what to begin from, or None: noise.
        log_probabilities: whose gradients guide.
    """

    seed_key: Array
    indices: Array
    condition: Condition
    towards: Towards | None
    quantile: Array | None
    eta: Array
    temperature: Array
    low_res_noise: Array
    known: Known | None
    begin: Begin | None
    log_probabilities: tuple[LogProbability, ...]


class Way(NamedTuple):
    """What of a program no argument can tell; another one compiles.

    Attributes:
        sampler: a name of SAMPLERS.
        steps: see kept_timesteps.
        resamples: RePaint's; None: known pixels, if any, are the model's own affair.
        mesh: over which the pictures are split; None: they lie where the weights do.
    """

    sampler: str
    steps: str
    resamples: int | None
    mesh: Mesh | None
