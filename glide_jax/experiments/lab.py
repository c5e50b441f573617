"""A Lab: the models, prompts and folders that an experiment's measures use."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from glide_jax.checkpoints import open_stage, read_experiment
from glide_jax.config import Experiment
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
from glide_jax.sampling.loading import load_clip
from glide_jax.sampling.pipeline import Pipeline

IMAGES = "images"
"""The folder of generated sets, which all experiments of a folder share."""

_T = TypeVar("_T")


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
        clip: str = "",
        clip_scale: float = 0.0,
    ) -> ImageSet:
        """Images of prompts, sampled once and kept.

        Args:
            name: of the workdir.
            settings: that differ from its config's, see `with_settings`.
            seed: of the noise.
            prompts: the rows', or as many others.
            num_stages: how many of its stages sample, from the first.
            clip: the workdir of a noised CLIP that guides; "": none does.
            clip_scale: of its gradient.

        Raises:
            UserError: the models can't be sampled so.
        """
        whole, guiding = self.pipeline(name), UNGUIDED
        if clip:
            guiding = Guiding({"clip_scale": clip_scale}, self.fingerprint(clip))
        guide = self.clip(clip) if clip else None
        cut = dataclasses.replace(whole, stages=whole.stages[:num_stages], clip=guide)
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

    def experiment(self, name: str) -> Experiment:
        """What a workdir was trained by."""
        return self._once("experiment", name, read_experiment)

    def prompts(self, name: str) -> PromptSet:
        """The captions of the rows, of a workdir's data set."""
        experiment = self.experiment(name)
        make = lambda _: prompts_of_split(experiment, self.split, self.rows)  # noqa: E731
        return self._once("prompts", name, make)

    def pixels(self, name: str, size: int) -> np.ndarray:
        """uint8[rows size size 3]: the split's first images, of a workdir's data set."""
        settings = self.experiment(name).data
        images = open_data(settings.source, settings.path, self.split, size, self.rows)
        return np.concatenate(list(images.batches(BATCH)))

    def fingerprint(self, name: str) -> str:
        """Says whether two workdirs hold the same weights: of the newest checkpoints' files."""
        return self._once("fingerprint", name, fingerprint_of_workdir)

    def _once(self, kind: str, name: str, make: Callable[[Path], _T]) -> _T:
        if (kind, name) not in self._kept:
            self._kept[kind, name] = make(self.workdirs[name])
        return self._kept[kind, name]


def fingerprint_of_workdir(workdir: Path) -> str:
    """A digest of the files of each stage's newest checkpoint."""
    digest = hashlib.sha256()
    for stage in read_experiment(workdir).stages:
        folder = open_stage(workdir, stage).path
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(str(file.relative_to(folder)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
