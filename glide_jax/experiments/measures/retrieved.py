"""Whether a CLIP finds an image's caption among others, at a level of noise."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from glide_jax.experiments.claim import Scores
    from glide_jax.experiments.lab import Lab


@dataclasses.dataclass(frozen=True)
class Retrieved:
    """The share of noised images whose own caption has the largest cosine of all in their batch.

    The images are the split's first whose captions differ from each other in a batch.

    Attributes:
        clip: the workdir of the CLIP.
        level: of the noise, t / (T - 1).
        among: captions of a batch, and images; fewer where there are fewer rows.
    """

    clip: str
    level: float
    among: int

    @property
    def needs(self) -> tuple[str, ...]:
        """The CLIP's workdir."""
        return (self.clip,)

    def scores(self, lab: "Lab", seed: int) -> "Scores":
        """`found`: 1 where an image's own caption was nearest."""
        import jax
        import jax.numpy as jnp

        from glide_jax.data.images import to_float
        from glide_jax.diffusion.gaussian import q_sample
        from glide_jax.diffusion.schedule import BETAS, make_schedule

        guide, diffusion = lab.clip(self.clip), lab.experiment(self.clip).first_stage.diffusion
        schedule = make_schedule(BETAS[diffusion.schedule](diffusion.num_steps))
        found = []
        for number, (pixels, captions) in enumerate(self._batches(lab, guide.image_size)):
            t = jnp.full(len(pixels), round(self.level * (diffusion.num_steps - 1)), jnp.int32)
            key = jax.random.fold_in(jax.random.key(seed), number)
            x_0 = jnp.asarray(to_float(pixels))
            x_t = q_sample(schedule, t, x_0, jax.random.normal(key, x_0.shape))
            features = np.asarray(guide.noised_features(x_t, t))
            cosines = features @ guide.text_features(captions).T
            found.append(cosines.argmax(1) == np.arange(len(pixels)))
        return {"found": np.concatenate(found).astype(np.float64)}

    def _batches(self, lab: "Lab", size: int) -> Iterator[tuple[np.ndarray, list[str]]]:
        from glide_jax import data
        from glide_jax.data.images import square

        settings, left, i = lab.experiment(self.clip).data, lab.rows, 0
        source = data.open_prepared(settings.source, settings.path, lab.split)
        while left > 0:
            images: dict[str, np.ndarray] = {}
            while len(images) < min(self.among, left) and i < len(source):
                images.setdefault(source[i].captions[0], square(source[i].image, size))
                i += 1
            if not images:
                return
            left -= len(images)
            yield np.stack(list(images.values())), list(images)
