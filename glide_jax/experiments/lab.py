"""A Lab: the models, prompts and folders that an experiment's measures use."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from glide_jax import data
from glide_jax.checkpoints import open_stage, read_experiment
from glide_jax.checkpoints.fingerprint import fingerprint_of_each
from glide_jax.config import Experiment
from glide_jax.data.source import fingerprint_of
from glide_jax.evaluation.images.from_data import open_data
from glide_jax.evaluation.images.generated import (
    UNGUIDED,
    GenerationProgress,
    Guiding,
    Share,
    generated,
)
from glide_jax.evaluation.images.image_set import BATCH, ImageSet
from glide_jax.evaluation.prompt_sets.from_data import prompts_of_split
from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
from glide_jax.evaluation.settings import with_settings
from glide_jax.sampling.guides import ClipGuide
from glide_jax.sampling.loading import load_classifier, load_clip
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.request import GUIDE_SETTINGS

_AVERAGED = "ema_params"
"""The part of a checkpoint that is sampled from."""

IMAGES = "images"
"""The folder of generated sets, which all experiments of a folder share."""

CLIP_SCALE, CLASSIFIER_SCALE = GUIDE_SETTINGS

_T = TypeVar("_T")


class LedBy(NamedTuple):
    """A guide, and how much it guides.

    Attributes:
        setting: CLIP_SCALE or CLASSIFIER_SCALE.
        workdir: the name of the guide's.
        scale: of its gradient.
    """

    setting: str
    workdir: str
    scale: float


class Lab:
    """What measures use. What is loaded once stays.

    Args:
        workdirs: name → a trained workdir.
        folder: of all experiments.
        split: whose first captions or images are the rows.
        rows: how many.
        on_progress: called with the name of a set of images, while it is sampled.
    """

    def __init__(
        self,
        workdirs: Mapping[str, Path],
        folder: Path,
        split: str,
        rows: int,
        on_progress: Callable[[str, GenerationProgress], object],
    ):
        self.workdirs, self.folder = workdirs, folder
        self.split, self.rows = split, rows
        self._on_progress = on_progress
        self._kept: dict[tuple[str, str], Any] = {}

    def generate(
        self,
        name: str,
        settings: Mapping[str, Any],
        seed: int,
        prompts: PromptSet,
        *,
        num_stages: int,
        led_by: LedBy | None = None,
    ) -> ImageSet:
        """Images of prompts, sampled once and kept.

        Args:
            name: of the workdir.
            settings: that differ from its config's, see `with_settings`.
            seed: of the noise.
            prompts: the rows', or as many others.
            num_stages: how many of its stages sample, from the first.
            led_by: the guide; None: there is none.

        Raises:
            UserError: the models can't be sampled so.
        """
        whole, guiding = self.pipeline(name), UNGUIDED
        cut = dataclasses.replace(whole, stages=whole.stages[:num_stages])
        if led_by is not None:
            guiding = Guiding({led_by.setting: led_by.scale}, self.fingerprint(led_by.workdir))
            cut = self._with_guide(cut, led_by)
        shown = f"{name}, {prompts.name}"
        images, _ = generated(
            with_settings(cut, settings),
            prompts,
            shown,
            seed,
            self.folder / IMAGES,
            Share(0, 1),
            functools.partial(self._on_progress, shown),
            guiding,
        )
        return images

    def pipeline(self, name: str) -> Pipeline:
        """The models of a workdir."""
        prompts = self.prompts(name).captions
        return self._once("pipeline", name, lambda d: Pipeline.load(d, prompts=prompts))

    def clip(self, name: str) -> ClipGuide:
        """The noised CLIP of a workdir."""
        return self._once("clip", name, load_clip)

    def _with_guide(self, cut: Pipeline, led_by: LedBy) -> Pipeline:
        if led_by.setting == CLIP_SCALE:
            return dataclasses.replace(cut, clip=self.clip(led_by.workdir))
        guide = self._once("classifier", led_by.workdir, load_classifier)
        return dataclasses.replace(cut, classifier=guide)

    def experiment(self, name: str) -> Experiment:
        """What a workdir was trained by."""
        return self._once("experiment", name, read_experiment)

    def prompts(self, name: str) -> PromptSet:
        """The captions of the rows, of a workdir's data set."""
        experiment = self.experiment(name)
        make = lambda _: prompts_of_split(experiment, self.split, self.rows)  # noqa: E731
        return self._once("prompts", name, make)

    def labels(self, name: str) -> list[int]:
        """The classes of the split's first images, of a workdir's data set that has classes."""
        settings = self.experiment(name).data
        source = data.open_prepared(settings.source, settings.path, self.split)
        labels = [source[i].label for i in range(min(self.rows, len(source)))]
        return [label for label in labels if label is not None]

    def pixels(self, name: str, size: int) -> np.ndarray:
        """uint8[rows size size 3]: the split's first images, of a workdir's data set."""
        settings = self.experiment(name).data
        images = open_data(settings.source, settings.path, self.split, size, self.rows)
        return np.concatenate(list(images.batches(BATCH)))

    def fingerprint(self, name: str) -> str:
        """Says whether two workdirs hold the same weights: those of the newest checkpoints."""
        return self._once("fingerprint", name, fingerprint_of_workdir)

    def _once(self, kind: str, name: str, make: Callable[[Path], _T]) -> _T:
        if (kind, name) not in self._kept:
            self._kept[kind, name] = make(self.workdirs[name])
        return self._kept[kind, name]


def fingerprint_of_workdir(workdir: Path) -> str:
    """A digest of each stage's newest averaged weights, wherever and however they are stored."""
    found = []
    for stage in read_experiment(workdir).stages:
        checkpoint = open_stage(workdir, stage)
        shapes = checkpoint.shapes(_AVERAGED)
        found.append(fingerprint_of_each(checkpoint.each_weight(_AVERAGED, shapes)))
    return fingerprint_of(found)[:16]
