"""Rematerialisation (Chen et al. 2016): what the backward pass computes again to save memory.

Loss and gradients are the same, but for rounding.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax

from glide_jax.models.kernels import SAVED_CONVOLUTION

F = TypeVar("F", bound=Callable)


def _is_product(primitive: Any, *_: Any, **params: Any) -> bool:
    """Whether it is a convolution or a product with weights; attention's are batched and aren't."""
    if primitive is jax.lax.conv_general_dilated_p:
        return True
    if primitive is not jax.lax.dot_general_p:
        return False
    _, (batch_axes, _) = params["dimension_numbers"]
    return not batch_axes


# jax.checkpoint's policies: what of a block may be kept, besides its input.
_KEPT: dict[str, Callable[..., bool]] = {
    "products": jax.checkpoint_policies.save_from_both_policies(
        _is_product, jax.checkpoint_policies.save_only_these_names(SAVED_CONVOLUTION)
    ),
    "blocks": jax.checkpoint_policies.nothing_saveable,
}


def remat(policy: str, block: F) -> F:
    """The block, whose backward pass computes again what `policy` does not keep.

    Args:
        policy: `none`, `products` or `blocks`, as `UNetConfig.remat` says.
        block: a function of arrays; it may close over weights.
    """
    if policy == "none":
        return block
    return cast(F, jax.checkpoint(block, policy=_KEPT[policy]))
