"""What the backward pass computes again, rather than keep it since the forward pass.

Rematerialisation (Chen et al. 2016): time for memory. Loss and gradients stay what they are.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax

from glide_jax.models import cpu_conv

F = TypeVar("F", bound=Callable)


def _is_product(primitive: Any, *_: Any, **params: Any) -> bool:
    """Whether it is a convolution or a product with weights; attention's products are neither."""
    if primitive is jax.lax.conv_general_dilated_p:
        return True
    if primitive is not jax.lax.dot_general_p:
        return False
    _, (batch_axes, _) = params["dimension_numbers"]
    return not batch_axes


# jax.checkpoint's policies: what may be kept of a block, beside its input.
_KEPT: dict[str, Callable[..., bool]] = {
    "products": jax.checkpoint_policies.save_from_both_policies(
        _is_product, jax.checkpoint_policies.save_only_these_names(cpu_conv.SAVED)
    ),
    "blocks": jax.checkpoint_policies.nothing_saveable,
}


def remat(policy: str, block: F) -> F:
    """The block, of which the backward pass computes again what `policy` does not keep.

    Args:
        policy: `none`, `products` or `blocks`, as `UNetConfig.remat` says.
        block: a function of arrays; weights may be in its closure.
    """
    if policy == "none":
        return block
    return cast(F, jax.checkpoint(block, policy=_KEPT[policy]))
