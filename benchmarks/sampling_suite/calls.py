"""One call of a released model, as a sampler makes it: ours and PyTorch's."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax.diffusion import guidance
from glide_jax.diffusion.gaussian import denoiser_from
from glide_jax.diffusion.schedule import BETAS, make_schedule
from glide_jax.sampling.stages import Stage
from glide_jax.types import Condition
from sampling_suite import released_size

GUIDANCE = 3.0
T = 500


class Call:
    """One image's predicted eps: the base model's with guidance, the upsampler's without.

    Args:
        name: of released_size.NAMES.
        stage: of that model.
    """

    def __init__(self, name: str, stage: Stage):
        self.name, self.stage = name, stage
        self.guided = name == "base"
        captions = [released_size.PROMPT, ""] if self.guided else [released_size.PROMPT]
        assert stage.reader is not None
        self.arrays = stage.reader.read(captions).arrays
        rng = np.random.default_rng(0)
        self.x_t = rng.standard_normal((1, stage.image_size, stage.image_size, 3), np.float32)
        low = stage.low_res_size
        self.low_res = rng.uniform(-1, 1, (1, low, low, 3)).astype(np.float32) if low else None

    def ours(self) -> tuple[jax.stages.Compiled, Callable[[], np.ndarray]]:
        """Our program and its call; as in sampling, text and kernels are prepared before it."""
        model, config = self.stage.model, self.stage.config.diffusion
        schedule = make_schedule(BETAS[config.schedule](config.num_steps))

        def call(params, x_t, encoded):
            denoiser = denoiser_from(
                lambda x_t, t: model.apply(params, x_t, t, encoded), schedule, config.prediction
            )
            if self.guided:
                denoiser = guidance.classifier_free(denoiser, jnp.float32([GUIDANCE]))
            return denoiser(x_t, jnp.int32([T])).eps

        condition = Condition(
            tokens=jnp.asarray(self.arrays["tokens"]),
            mask=jnp.asarray(self.arrays["mask"]),
            low_res=None if self.low_res is None else jnp.asarray(self.low_res),
        )
        x_t, encoded = jnp.asarray(self.x_t), jax.jit(model.encode)(self.stage.params, condition)
        rows = len(self.arrays["tokens"])
        x_ts, ts = jnp.repeat(x_t, rows, 0), jnp.full(rows, T, jnp.int32)
        prepared = jax.jit(model.prepare)(self.stage.params, x_ts, ts, encoded)
        inputs = self.stage.params | prepared, x_t, encoded
        program = jax.jit(call).lower(*inputs).compile()
        return program, lambda: np.asarray(program(*inputs))

    def reference(self) -> dict[bool, Callable[[], np.ndarray]]:
        """PyTorch's call with the same weights and threads, by whether it caches the text."""
        import torch

        theirs = released_size.reference(self.name, self.stage.model, self.stage.params)
        rows = len(self.arrays["tokens"])
        condition = {
            "tokens": torch.from_numpy(np.asarray(self.arrays["tokens"])).long(),
            "mask": torch.from_numpy(np.asarray(self.arrays["mask"])),
        }
        if self.low_res is not None:
            condition["low_res"] = torch.from_numpy(np.moveaxis(self.low_res, -1, 1).copy())
        x_t = torch.from_numpy(np.moveaxis(self.x_t, -1, 1).copy()).repeat(rows, 1, 1, 1)

        @torch.no_grad()
        def call(caches_text: bool) -> np.ndarray:
            theirs.cache_text_emb = caches_text
            eps = theirs(x_t, torch.full((rows,), T), **condition)[:, :3]
            if self.guided:
                conditional, unconditional = eps.chunk(2)
                eps = unconditional + GUIDANCE * (conditional - unconditional)
            return np.moveaxis(eps.numpy(), 1, -1)

        return {caches: functools.partial(call, caches) for caches in (True, False)}
