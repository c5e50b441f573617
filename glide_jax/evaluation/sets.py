"""Which sets of images a model is evaluated on: each with its prompts, its settings and a name."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from glide_jax.config import Experiment
from glide_jax.errors import UserError
from glide_jax.evaluation.images.generated import NOT_DECIDING, OnGeneration, Share, generated
from glide_jax.evaluation.images.image_set import ImageSet
from glide_jax.evaluation.prompt_sets.from_data import FIRST, prompts_of_split
from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
from glide_jax.evaluation.prompt_sets.reading import open_prompts
from glide_jax.evaluation.settings import with_settings
from glide_jax.sampling.pipeline import Pipeline

IMAGES = "images"
"""The folder of generated sets, in that of an evaluation."""

SPLITS = ("test",)
"""Where the config has no `evaluation`."""

_CAPTIONS = 256
"""Of a split, where neither the config nor the command says how many."""

_POLL_S = 2.0

VISIBLE_AFTER_S = 60.0
"""A file that another host has written is seen after so long on any file system that is shared."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which prompts, and how many images.

    Attributes:
        prompts: the name or file of a prompt set; None: splits of the model's data set.
        splits: of it; None: those of the config.
        captions: of a split, see `prompt_sets.from_data`.
        num_images: of each; None: as the config says, or all prompts of a file.
    """

    prompts: str | None = None
    splits: tuple[str, ...] | None = None
    captions: str = FIRST
    num_images: int | None = None

    def splits_of(self, experiment: Experiment) -> tuple[str, ...]:
        """The splits."""
        configured = experiment.evaluation.splits if experiment.evaluation else SPLITS
        return self.splits or configured

    def prompt_sets(self, experiment: Experiment) -> Iterator[PromptSet]:
        """The prompts of each set of images; UserError: there are none."""
        count = self.num_images
        if self.prompts is not None:
            found = open_prompts(self.prompts)
            yield found.first(count or len(found))
            return
        configured = experiment.evaluation.num_captions if experiment.evaluation else _CAPTIONS
        for split in self.splits_of(experiment):
            prompts = prompts_of_split(experiment, split, count or configured, self.captions)
            yield prompts.first(count or len(prompts))


def guidance_scales(
    pipeline: Pipeline, experiment: Experiment, settings: Mapping[str, Any]
) -> tuple[float, ...]:
    """The scales that each prompt is sampled with: those of the config, unless one was given."""
    first = pipeline.stages[0]
    if "guidance_scale" in settings:
        return (settings["guidance_scale"],)
    if experiment.evaluation is None or first.reader is None:
        return (first.config.sampling.guidance_scale,)
    return experiment.evaluation.guidance_scales


def name_of(prompts: PromptSet, settings: Mapping[str, Any]) -> str:
    """`test, guidance 3`: a set of images, for people."""
    shown = {"guidance_scale": "guidance"}
    parts = [
        f"{shown.get(name, name)} {_text(value)}"
        for name, value in settings.items()
        if name.rpartition(".")[2] not in NOT_DECIDING
    ]
    return ", ".join([prompts.name, *parts])


@dataclasses.dataclass(frozen=True)
class Generator:
    """Generates the sets of images of a pipeline.

    Attributes:
        pipeline: the models.
        seed: random seed.
        folder: of the evaluation; images are in its folder IMAGES.
        share: of this process.
    """

    pipeline: Pipeline
    seed: int
    folder: Path
    share: Share

    def generate(
        self,
        prompts: PromptSet,
        settings: Mapping[str, Any],
        on_progress: OnGeneration | None,
        on_wait: Callable[[int], object],
    ) -> tuple[ImageSet, Path]:
        """A set's images, those of other processes included, and their folder.

        Args:
            prompts: n of them.
            settings: that differ from the config's, see `with_settings`.
            on_progress: called while images are sampled.
            on_wait: called with the number of images that other processes still have to sample.

        Raises:
            UserError: the models can't sample these prompts, a setting makes no sense, or the
                processes of a run have no folder in common.
            DiskError: an image can't be written.
        """
        pipeline, name = with_settings(self.pipeline, settings), name_of(prompts, settings)
        images, folder = generated(
            pipeline, prompts, name, self.seed, self.folder / IMAGES, self.share, on_progress
        )
        names = {f"{i:06d}.png" for i in range(images.count)}
        begun = time.monotonic()
        while self.share.is_first and (
            missing := len(names - {path.name for path in folder.glob("*.png")})
        ):
            # All processes of a run have written theirs: a file system may only be slow to show it.
            if jax.process_count() > 1 and time.monotonic() > begun + VISIBLE_AFTER_S:
                raise UserError(
                    f"{missing} of {images.count} images that other processes have written are not "
                    f"in {folder} here: all processes need one folder, on a file system that they "
                    "share; give it with --out"
                )
            on_wait(missing)
            time.sleep(_POLL_S)
        return images, folder


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
