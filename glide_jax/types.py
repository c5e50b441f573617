"""The few types that the packages hand to each other."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax

Array = jax.Array
Params = dict[str, jax.Array]
"""A model's weights: one flat dict, `input_blocks.0.0.kernel` → array. A pytree."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Condition:
    """What a picture is asked to be. A pytree; every array has the batch first.

    Attributes:
        tokens: i32[b l], the caption's tokens, padded to the model's length.
        mask: bool[b l], True where a token is the caption's own.
        low_res: f32[b h w c] in [-1, 1], the picture to upsample (upsamplers only).
        low_res_noise: f32[b], the standard deviation of the noise on low_res, on its scale (for
            upsamplers that are told; the others don't look).
        inpaint_image: f32[b h w c] in [-1, 1], the picture whose known pixels are kept.
        inpaint_mask: f32[b h w 1], 1 where the pixel is KEPT, 0 where it is drawn anew.
        label: i32[b], the class (class-conditional models only).
    """

    tokens: Array | None = None
    mask: Array | None = None
    low_res: Array | None = None
    low_res_noise: Array | None = None
    inpaint_image: Array | None = None
    inpaint_mask: Array | None = None
    label: Array | None = None


class Prediction(NamedTuple):
    """What a denoiser says of x_t.

    Attributes:
        eps: f32[b h w c], the noise it sees in x_t.
        variance_fraction: f32[b h w c] or None: where log σ² of p(x_{t-1}|x_t) lies between the
            posterior's log variance (0) and log β_t (1); Improved DDPM (Nichol & Dhariwal 2021),
            eq. 15. None: the model learned no variance.
        x_0_hat: f32[b h w c] or None: the picture that eps and x_t amount to, where a transform
            has set it. Float32 can't find it again from eps while next to nothing of the picture
            is left in x_t.
        mean_gradient: f32[b h w c] or None: ∇ log p(y | x_t) with respect to x_t, for a sampler to
            shift the mean of p(x_{t-1} | x_t) by (Dhariwal & Nichol 2021, algorithm 1).
    """

    eps: Array
    variance_fraction: Array | None = None
    x_0_hat: Array | None = None
    mean_gradient: Array | None = None


Denoiser = Callable[[Array, Array], Prediction]
"""(x_t: f32[b h w c], t: i32[b], index into the ORIGINAL schedule) → Prediction."""
