"""The transformer of both of CLIP's encoders (Radford et al. 2021, sec. 2.4)."""

import math

import jax
import jax.numpy as jnp
from flax import nnx

from glide_jax.models import kernels, layers
from glide_jax.types import Array


def linear(
    width_in: int, width_out: int, std: float, dtype: jnp.dtype, rngs: nnx.Rngs, *, bias: bool
) -> nnx.Linear:
    """A dense layer whose kernel starts normal with this standard deviation."""
    init = nnx.initializers.normal(std)
    return nnx.Linear(width_in, width_out, use_bias=bias, dtype=dtype, kernel_init=init, rngs=rngs)


class Block(nnx.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)).

    Keys have no bias: it would add the same to all of a query's scores, which softmax ignores.
    """

    def __init__(
        self,
        width: int,
        num_layers: int,
        heads: int,
        causal: bool,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        self.num_heads = heads
        self.causal = causal
        # There are two residual branches a layer; the more there are, the smaller each starts.
        branch = 1 / (2 * num_layers * math.sqrt(width))
        inside = 1 / math.sqrt(width)
        self.attention_norm = layers.LayerNorm(width)
        self.query = linear(width, width, inside, dtype, rngs, bias=True)
        self.key = linear(width, width, inside, dtype, rngs, bias=False)
        self.value = linear(width, width, inside, dtype, rngs, bias=True)
        self.proj = linear(width, width, branch, dtype, rngs, bias=True)
        self.mlp_norm = layers.LayerNorm(width)
        self.mlp_in = linear(width, 4 * width, inside / math.sqrt(2), dtype, rngs, bias=True)
        self.mlp_out = linear(4 * width, width, branch, dtype, rngs, bias=True)

    def __call__(self, x: Array) -> Array:
        """x: [b l c] → the same shape."""
        h = self.attention_norm(x)
        per_head = (*x.shape[:-1], self.num_heads, -1)
        query, keys, values = (f(h).reshape(per_head) for f in (self.query, self.key, self.value))
        attended = kernels.attention(query, keys, values, is_causal=self.causal)
        x = x + self.proj(attended.reshape(x.shape))
        return x + self.mlp_out(jax.nn.gelu(self.mlp_in(self.mlp_norm(x)), approximate=False))


class Transformer(nnx.Module):
    """Blocks in sequence; the features are the projected vector of one position.

    Args:
        width, num_layers, heads: of the blocks.
        embedding_width: width of the features.
        causal: a position attends only to itself and to those before it.
        dtype: of the activations; the features are float32.
        rngs: of the weights.
    """

    def __init__(
        self,
        width: int,
        num_layers: int,
        heads: int,
        embedding_width: int,
        *,
        causal: bool,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        self.dtype = dtype
        self.blocks = layers.module_list(
            Block(width, num_layers, heads, causal, dtype, rngs) for _ in range(num_layers)
        )
        self.norm = layers.LayerNorm(width)
        std = math.sqrt(2 / (width + embedding_width))
        self.proj = linear(width, embedding_width, std, jnp.dtype(jnp.float32), rngs, bias=False)

    def __call__(self, h: Array, position: Array) -> Array:
        """h: f32[b l width], position: i32[b] in [0, l) → f32[b embedding_width]."""
        h = h.astype(self.dtype)
        for block in self.blocks:
            h = block(h)
        chosen = jnp.take_along_axis(h, position[:, None, None], axis=1)
        return self.proj(self.norm(chosen.astype(jnp.float32)))[:, 0]
