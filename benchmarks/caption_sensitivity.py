"""How much the words of a caption matter to a base model in training, to compare configs.

    python benchmarks/caption_sensitivity.py --config=configs/quickstart.py [--config.KEY=VALUE …]

Trains the first stage in a temporary folder and prints, every `training.sample_every_steps`, the
mean squared error of x_0_hat on 256 images of `test`, noised to alpha_bar 0.6 … 0.006: given the
image's own caption, none, another image's, and its own with every colour, or every shape, replaced
by another. The error of a model that uses a word rises when the word changes. Only the data set
`shapes` has these words. Compare runs where they have seen as many images.
"""

import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax import config, data
from glide_jax.data.images import square, to_float
from glide_jax.data.shapes.scene import COLOURS, SHAPES
from glide_jax.diffusion.gaussian import denoiser_from, q_sample, x_0_hat_of
from glide_jax.diffusion.schedule import BETAS, make_schedule
from glide_jax.training import loop
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.job import Job
from glide_jax.training.jobs import make_jobs, pretrain_text
from glide_jax.types import Condition, Params

IMAGES = 256
ALPHA_BAR = (0.6, 0.006)


def main(argv: Sequence[str]) -> None:
    """Train, and print what the docstring above says."""
    words, overrides = config.split_overrides(argv)
    if len(words) != 1 or not words[0].startswith("--config="):
        sys.exit(__doc__)
    experiment = config.experiment_from(
        config.load_config(words[0].removeprefix("--config="), overrides)
    )
    with tempfile.TemporaryDirectory() as directory, Interrupt() as interrupt:
        base, *_ = pretrain_text(make_jobs(experiment, Path(directory)), interrupt)
        assert isinstance(base.training, config.DenoiserTrainingConfig)
        every_steps = base.training.sample_every_steps
        loop.train(base, interrupt, loop.SampleGrids(every_steps, caption_errors(base)))


def caption_errors(job: Job) -> Callable[[Params, int], np.ndarray]:
    """A function of (weights, step) that prints the errors; its grid is a black image."""
    assert isinstance(job.stage, config.DenoiserStageConfig)
    assert job.reader is not None
    reader = job.reader
    settings, diffusion = job.experiment.data, job.stage.diffusion
    test = data.open_source(settings.source, settings.path, "test")
    examples = [test[i] for i in range(IMAGES)]
    captions = [example.captions[0] for example in examples]
    wordings = {
        "own": captions,
        "none": [""] * IMAGES,
        "another's": captions[1:] + captions[:1],
        "colours": [swapped(caption, list(COLOURS), 3) for caption in captions],
        "shapes": [swapped(caption, list(SHAPES), 2) for caption in captions],
    }
    size = job.model.config.image_size
    x_0 = jnp.asarray(np.stack([to_float(square(example.image, size)) for example in examples]))
    schedule = make_schedule(BETAS[diffusion.schedule](diffusion.num_steps))
    wanted = jnp.linspace(*ALPHA_BAR, IMAGES)
    t = jnp.abs(schedule.alpha_bar[None] - wanted[:, None]).argmin(1).astype(jnp.int32)
    x_t = q_sample(schedule, t, x_0, jax.random.normal(jax.random.key(0), x_0.shape))

    @jax.jit
    def error(params: Params, condition: Condition):
        encoded = job.model.encode(params, condition)
        denoiser = denoiser_from(
            lambda x, t: job.model.apply(params, x, t, encoded), schedule, diffusion.prediction
        )
        x_0_hat = x_0_hat_of(schedule, t, x_t, denoiser(x_t, t))
        return jnp.square(jnp.clip(x_0_hat, -1, 1) - x_0).mean()

    def condition(captions: list[str]) -> Condition:
        arrays = reader.read(captions).arrays
        return Condition(**{name: jnp.asarray(array) for name, array in arrays.items()})

    conditions = {name: condition(captions) for name, captions in wordings.items()}

    def print_errors(params: Params, step: int) -> np.ndarray:
        shown = (f"{name} {error(params, given):.4f}" for name, given in conditions.items())
        print(f"after {step * job.training.batch_size:,} images:", ", ".join(shown))
        return np.zeros((1, size, size, 3), np.uint8)

    return print_errors


def swapped(caption: str, words: list[str], by: int) -> str:
    """The caption with each of these words replaced by the one `by` places on."""
    other = {word: words[(place + by) % len(words)] for place, word in enumerate(words)}
    return re.sub("|".join(words), lambda found: other[found[0]], caption)


if __name__ == "__main__":
    main(sys.argv[1:])
