"""Attention, computed as it is best where it runs; and the U-Nets' block of it.

Every model attends by `attend`, and what computes it is chosen there alone.
"""

import einops
import jax
import jax.numpy as jnp
from flax import nnx

from glide_jax.config import UNetConfig
from glide_jax.models import layers
from glide_jax.models.cpu_attention import attend_on_cpu
from glide_jax.models.platforms import platform_of
from glide_jax.types import Array

KeysValues = tuple[Array, Array]


FLASH_DTYPES = ("float16", "bfloat16")
FLASH_HEAD_CHANNELS = 128
"""cuDNN's flash attention takes these, and heads of a multiple of 8 up to this."""

FLASH_CAPABILITY = (8, 0)
"""The GPUs that have it: Ampere and younger."""


def attend(query: Array, keys: Array, values: Array, *, is_causal: bool = False) -> Array:
    """softmax(q kᵀ / √d) v, the softmax in float32 (Vaswani et al. 2017, eq. 1).

    No key is masked but by is_causal: padding is attended to, as the published models were
    trained.

    Args:
        query: [b n heads d].
        keys: [b m heads d].
        values: [b m heads d].
        is_causal: query i sees the keys up to i alone.

    Returns:
        [b n heads d].
    """
    platform = platform_of(query)
    if platform == "cpu":
        return attend_on_cpu(query, keys, values, is_causal=is_causal)
    # On a TPU XLA will do: pictures attend at 32×32 and below, to a thousand keys or so, whose
    # scores are small beside the activations. On a GPU cuDNN never writes the scores out.
    how = "cudnn" if platform == "gpu" and _has_flash(query) else "xla"
    return jax.nn.dot_product_attention(
        query, keys, values, is_causal=is_causal, implementation=how
    )


def _has_flash(query: Array) -> bool:
    of_dtype, channels = query.dtype.name in FLASH_DTYPES, query.shape[-1]
    return of_dtype and channels % 8 == 0 and channels <= FLASH_HEAD_CHANNELS and has_flash()


def has_flash() -> bool:
    """Whether this process's GPUs have cuDNN's flash attention; AMD's don't."""
    device = jax.local_devices()[0]
    if device.platform != "gpu" or "cuda" not in device.client.platform_version:
        return False
    return tuple(map(int, device.compute_capability.split("."))) >= FLASH_CAPABILITY


class AttentionBlock(nnx.Module):
    """x + proj(attention(norm(x))); keys and values are the caption's, then the pixels' own."""

    def __init__(
        self, width: int, config: UNetConfig, text_width: int, dtype: jnp.dtype, rngs: nnx.Rngs
    ):
        """`text_width`: channels of the caption's tokens; 0: there is no caption."""
        self.num_heads = config.num_heads_of(width)
        self.norm = layers.GroupNorm(width, config.norm_groups)
        self.qkv = layers.linear(width, 3 * width, dtype, rngs)
        if text_width:
            self.text_kv = layers.linear(text_width, 2 * width, dtype, rngs)
        self.proj = layers.linear(width, width, dtype, rngs, zero=True)

    def text_keys_values(self, text: Array) -> KeysValues:
        """The caption's keys and values, the same at every step. text: [b l text_width]."""
        # Heads outermost, as the published weights have them.
        keys, values = einops.rearrange(
            self.text_kv(text), "b l (heads kv d) -> kv b l heads d", kv=2, heads=self.num_heads
        )
        return keys, values

    def __call__(self, x: Array, text: KeysValues | None) -> Array:
        """x: [b h w c] → the same shape."""
        pixels = "b h w (heads qkv d) -> qkv b (h w) heads d"
        query, keys, values = einops.rearrange(
            self.qkv(self.norm(x)), pixels, qkv=3, heads=self.num_heads
        )
        if text is not None:
            keys = jnp.concatenate([text[0], keys], axis=1)
            values = jnp.concatenate([text[1], values], axis=1)
        return x + self.proj(attend(query, keys, values).reshape(x.shape))
