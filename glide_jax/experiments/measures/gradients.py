"""The noise of the gradient of L_vlb, by how timesteps are sampled."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from glide_jax.experiments.claim import Scores
    from glide_jax.experiments.lab import Lab


@dataclasses.dataclass(frozen=True)
class GradientNoise:
    """How far the gradients of single batches are from their mean; a row is a batch.

    Both ways of sampling t have the same expected gradient, so that distances can be compared.

    Attributes:
        workdir: the name of a base model's that learns its variance.
        timesteps: a name in `diffusion.timesteps.TIMESTEPS`; a memory of losses is filled first.
        batch_size: images of a batch, sampled from the rows' images.
    """

    workdir: str
    timesteps: str
    batch_size: int

    @property
    def needs(self) -> tuple[str, ...]:
        """The model's workdir."""
        return (self.workdir,)

    def scores(self, lab: "Lab", seed: int) -> "Scores":
        """`gradient_noise`: each batch's n / (n - 1) · |g - mean|², of the n batches' gradients."""
        import jax

        from glide_jax.diffusion.timesteps import TIMESTEPS

        stage = lab.pipeline(self.workdir).stages[0]
        batch, losses, gradient = self._functions(lab)
        timesteps = TIMESTEPS[self.timesteps](stage.config.diffusion.num_steps)
        key = jax.random.key(seed)
        memory = self._filled(timesteps, batch, losses, jax.random.fold_in(key, 0))
        gradients = []
        for row in range(lab.rows):
            keys = jax.random.split(jax.random.fold_in(key, row + 1), 2)
            t, weight = timesteps.sample(memory, jax.random.split(keys[0], self.batch_size))
            gradients.append(np.asarray(gradient(*batch(keys[1]), t, weight)))
        rows = np.stack(gradients)
        distances = np.square(rows - rows.mean(0, keepdims=True)).sum(1, dtype=np.float64)
        return {"gradient_noise": distances * len(rows) / (len(rows) - 1)}

    def _functions(self, lab: "Lab") -> tuple[Any, Any, Any]:
        """key → (x_0, condition, noise); those, t → each image's loss; with weights → gradient."""
        import jax
        import jax.numpy as jnp
        from jax.flatten_util import ravel_pytree

        from glide_jax.data.images import to_float
        from glide_jax.diffusion.losses import loss_terms
        from glide_jax.diffusion.schedule import BETAS, make_schedule
        from glide_jax.sampling.stages import condition_of

        stage = lab.pipeline(self.workdir).stages[0]
        model, diffusion = stage.model, stage.config.diffusion
        schedule = make_schedule(BETAS[diffusion.schedule](diffusion.num_steps))
        images = jnp.asarray(to_float(lab.pixels(self.workdir, stage.image_size)))
        conditions = condition_of(stage, lab.prompts(self.workdir).subjects, None)

        def batch(key):
            chosen = jax.random.randint(key, (self.batch_size,), 0, len(images))
            noise = jax.random.normal(key, (self.batch_size, *images.shape[1:]))
            return images[chosen], jax.tree.map(lambda x: jnp.asarray(x)[chosen], conditions), noise

        def losses(params, x_0, condition, noise, t):
            encoded = model.encode(params, condition)
            return loss_terms(
                lambda x_t, t: model.apply(params, x_t, t, encoded),
                schedule,
                diffusion.prediction,
                t,
                x_0,
                noise,
                vlb_weight=1.0,
            )["vlb"]

        def weighted(params, x_0, condition, noise, t, weight):
            return (weight * losses(params, x_0, condition, noise, t)).mean()

        params = stage.params
        compiled = jax.jit(losses)
        gradient = jax.jit(lambda *given: ravel_pytree(jax.grad(weighted)(*given))[0])
        return (
            jax.jit(batch),
            lambda *given: compiled(params, *given),
            lambda *given: gradient(params, *given),
        )

    def _filled(self, timesteps: Any, batch: Any, losses: Any, key: Any) -> Any:
        """The memory once each step has had its losses; nothing, of one that has none."""
        import jax
        import jax.numpy as jnp

        from glide_jax.diffusion.timesteps import HISTORY

        memory = timesteps.memory
        if not memory:
            return memory
        steps = jnp.tile(jnp.arange(timesteps.num_steps), HISTORY)
        steps = jnp.resize(steps, (-(-len(steps) // self.batch_size) * self.batch_size,))
        for number, t in enumerate(steps.reshape(-1, self.batch_size)):
            memory = timesteps.update(memory, t, losses(*batch(jax.random.fold_in(key, number)), t))
        return memory
