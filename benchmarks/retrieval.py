"""Whether a noised CLIP finds an image's caption among others, at every level of noise.

    python benchmarks/retrieval.py runs/clip_quickstart [--split=compositional] [--batches=4]

Takes images of a split that training never saw, of whose captions no two are the same, 64 at a
time, noises them to a t, and prints the share of images whose own caption has the largest cosine of
the 64; 1.6 % by chance. Beside it the 95 % interval, by the bootstrap.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax import data, runtime
from glide_jax.checkpoints import read_experiment
from glide_jax.config import Experiment
from glide_jax.data.images import square, to_float
from glide_jax.diffusion.gaussian import q_sample
from glide_jax.diffusion.schedule import BETAS, make_schedule
from glide_jax.evaluation.maths.bootstrap import mean_interval
from glide_jax.sampling.loading import load_clip

AT_ONCE = 64
LEVELS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
"""Of the noise: t / (T - 1)."""


def main(argv: Sequence[str]) -> None:
    """Print what the docstring above says."""
    workdirs = [Path(word) for word in argv if not word.startswith("--")]
    flags = dict(word[2:].partition("=")[::2] for word in argv if word.startswith("--"))
    split, count = flags.pop("split", "compositional"), int(flags.pop("batches", 4))
    if not workdirs or flags:
        sys.exit(__doc__)
    runtime.configure(1)
    for workdir in workdirs:
        experiment, guide = read_experiment(workdir), load_clip(workdir)
        diffusion = experiment.first_stage.diffusion
        schedule = make_schedule(BETAS[diffusion.schedule](diffusion.num_steps))
        batches = [
            (to_float(images), guide.text_features(captions))
            for images, captions in _batches(experiment, split, guide.image_size, count)
        ]
        print(f"{workdir}: {split}, {len(batches) * AT_ONCE} images, each among {AT_ONCE} captions")
        for level in LEVELS:
            t = jnp.full(AT_ONCE, round(level * (diffusion.num_steps - 1)), jnp.int32)
            right = []
            for number, (x_0, captions) in enumerate(batches):
                noise = jax.random.normal(jax.random.key(number), x_0.shape)
                x_t = q_sample(schedule, t, x_0, noise)
                cosines = np.asarray(guide.noised_features(x_t, t)) @ captions.T
                right.append(cosines.argmax(1) == np.arange(AT_ONCE))
            share = mean_interval(np.concatenate(right), resamples=1000, seed=0)
            print(f"  t {int(t[0]):4}  {share.value:6.1%}  {share.low:.1%} to {share.high:.1%}")


def _batches(
    experiment: Experiment, split: str, size: int, count: int
) -> Iterator[tuple[np.ndarray, list[str]]]:
    name, path = experiment.data.source, experiment.data.path
    data.prepare(name, path)
    source, i = data.open_source(name, path, split), 0
    for _ in range(count):
        images: dict[str, np.ndarray] = {}
        while len(images) < AT_ONCE:
            if i == len(source):
                return
            images.setdefault(source[i].captions[0], square(source[i].image, size))
            i += 1
        yield np.stack(list(images.values())), list(images)


if __name__ == "__main__":
    main(sys.argv[1:])
