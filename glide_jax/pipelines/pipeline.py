"""The Pipeline: prompts, pictures and masks in, pictures out."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glide_jax.compile_cache import keep_compiled
from glide_jax.data.images import square
from glide_jax.errors import UserError
from glide_jax.pipelines import metadata
from glide_jax.pipelines.asking import (
    guides_of,
    path_of,
    repeated,
    scales_of,
    subjects_of,
)
from glide_jax.pipelines.cascade import check_cascade, check_prompts
from glide_jax.pipelines.drawn import Drawn
from glide_jax.pipelines.guides import ClipGuide, Guide
from glide_jax.pipelines.loading import load_classifier, load_clip, load_stages
from glide_jax.pipelines.making import Origin, made_of, order_of
from glide_jax.pipelines.metadata import Made, read_made
from glide_jax.pipelines.one_stage import Edit, OnStep
from glide_jax.pipelines.order import Order, carry_out
from glide_jax.pipelines.pictures import Picture, at_size, read_mask, read_picture, shrunk_mask
from glide_jax.pipelines.released import released_workdirs
from glide_jax.pipelines.settings import Settings
from glide_jax.pipelines.stage import Stage, Subject

Prompts = str | Sequence[str]


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """A cascade, ready to draw.

    What its methods have in common: `prompt` is one caption or a list, "" asks for a picture of
    anything, and what is longer than the model reads is cut. `num_images` are drawn of each
    prompt. Picture i, prompt by prompt, is a function of (`seed`, i) and what it is to be, not of
    how many are drawn, in what batches or on how many devices, but for rounding. `on_step` is
    told of every step, see `Step`. The other keyword arguments are those of `Settings`, for the
    first stage that draws; what is left out is as the checkpoint's config says.

    Attributes:
        stages: the base model's, then the upsamplers'.
        clip: for clip_scale and rerank; None: there is none.
        classifier: for classifier_scale; None: there is none.
        origin: what it was loaded from.
    """

    stages: tuple[Stage, ...]
    clip: ClipGuide | None = None
    classifier: Guide | None = None
    origin: Origin = dataclasses.field(default_factory=Origin)

    @classmethod
    def load(
        cls,
        *workdirs: str | Path,
        overrides: Sequence[str] = (),
        clip: str | Path | None = None,
        classifier: str | Path | None = None,
    ) -> "Pipeline":
        """The newest weights of workdirs, of training or of import.

        Args:
            workdirs: one, or several whose stages follow each other: a base model's, then its
                upsampler's.
            overrides: what to change in their configs, such as `upsampler.sampling.steps=20`.
            clip: the workdir of a noised CLIP.
            classifier: the workdir of a classifier.

        Raises:
            UserError: there is no model in one of them, none of the right kind, they make no
                cascade, or an override is wrong.
        """
        if not workdirs:
            raise UserError("give the workdir of a model")
        keep_compiled()
        stages = [
            stage for workdir in workdirs for stage in load_stages(Path(workdir), overrides)[1]
        ]
        check_cascade(stages)
        return cls(
            stages=tuple(stages),
            clip=load_clip(Path(clip)) if clip else None,
            classifier=load_classifier(Path(classifier)) if classifier else None,
            origin=Origin.of(workdirs, overrides, clip, classifier),
        )

    @classmethod
    def released(cls, *, inpaint: bool = False, clip: bool = False) -> "Pipeline":
        """OpenAI's released base model and upsampler.

        The public files are taken from the cache folder, or fetched into it, and imported there
        once.

        Args:
            inpaint: the models that were trained to inpaint.
            clip: with the noised CLIP.

        Raises:
            UserError: a file can't be had; the message says what to fetch, and where to put it.
        """
        workdir, clip_workdir = released_workdirs(inpaint=inpaint, clip=clip)
        return cls.load(workdir, clip=clip_workdir)

    def __call__(
        self,
        prompt: Prompts,
        *,
        num_images: int = 1,
        seed: int = 0,
        negative_prompt: Prompts = "",
        rerank: int | None = None,
        on_step: OnStep | None = None,
        **settings: Any,
    ) -> Drawn:
        """Draw prompts.

        Args:
            prompt, num_images, seed, on_step, settings: see the class.
            negative_prompt: what guidance leads away from; one, or one for each prompt.
            rerank: draw so many of each prompt, and keep the num_images that CLIP finds nearest
                to it, the nearest first.

        Raises:
            UserError: a value makes no sense, or these models can't do it.
        """
        chosen = Settings.of(settings)
        prompts = subjects_of(prompt, negative_prompt)
        drawn = num_images
        if rerank is not None:
            if self.clip is None:
                raise UserError("rerank needs a CLIP: load one with clip=DIR, or --clip DIR")
            if rerank < num_images:
                raise UserError(f"rerank={rerank} is fewer than num_images={num_images}")
            drawn = rerank
        order = self._order(metadata.SAMPLE, prompts, drawn, seed, chosen)
        best = None if rerank is None else (num_images, rerank)
        return self._draw(dataclasses.replace(order, best=best), on_step)

    def of_classes(
        self,
        labels: int | Sequence[int],
        *,
        num_images: int = 1,
        seed: int = 0,
        on_step: OnStep | None = None,
        **settings: Any,
    ) -> Drawn:
        """Draw classes, with a class-conditional model (ADM).

        Args:
            labels: numbers of classes.
            num_images, seed, on_step, settings: see the class.

        Raises:
            UserError: a class that there is none of, a value that makes no sense, or a model that
                knows no classes.
        """
        numbers = [labels] if isinstance(labels, int) else labels
        subjects = [Subject(label=label) for label in numbers]
        order = self._order(metadata.SAMPLE, subjects, num_images, seed, Settings.of(settings))
        return self._draw(order, on_step)

    def inpaint(
        self,
        image: Picture,
        mask: Picture,
        prompt: Prompts,
        *,
        num_images: int = 1,
        seed: int = 0,
        negative_prompt: Prompts = "",
        on_step: OnStep | None = None,
        **settings: Any,
    ) -> Drawn:
        """Draw a part of a picture anew.

        A model that was trained to inpaint is shown what is known, and its x_0_hat is that there
        (Nichol et al. 2021, sec. 4.3); any other is run as RePaint says. The sampler is ddpm
        unless another is asked for.

        Args:
            image: its middle square is what is looked at.
            mask: of the picture's shape; white: draw anew, black: keep.
            prompt, num_images, seed, negative_prompt, on_step, settings: see the class.

        Raises:
            UserError: as __call__, or a picture that can't be read.
        """
        picture = read_picture(image)
        whole = read_mask(mask, picture, self.stages[-1].size)
        edits = [
            Edit(known=(at_size(picture, stage.size), shrunk_mask(whole, stage.size)))
            for stage in self.stages
        ]
        prompts = subjects_of(prompt, negative_prompt)
        order = self._order(metadata.INPAINT, prompts, num_images, seed, Settings.of(settings))
        given = {"image": path_of(image), "mask": path_of(mask)}
        return self._draw(dataclasses.replace(order, edits=edits, given=given), on_step)

    def image_to_image(
        self,
        image: Picture,
        prompt: Prompts,
        *,
        strength: float,
        num_images: int = 1,
        seed: int = 0,
        negative_prompt: Prompts = "",
        on_step: OnStep | None = None,
        **settings: Any,
    ) -> Drawn:
        """Draw a prompt from a picture with noise, not from noise alone (Meng et al. 2022, SDEdit).

        Args:
            image: its middle square is what is begun from; upsamplers enlarge what became of it.
            strength: in (0, 1], the share of the steps that are taken: little keeps the picture, 1
                next to nothing of it.
            prompt, num_images, seed, negative_prompt, on_step, settings: see the class.

        Raises:
            UserError: as __call__, or a picture that can't be read.
        """
        if not (math.isfinite(strength) and 0 < strength <= 1):
            raise UserError(f"strength must be above 0 and at most 1, not {strength}")
        begin = at_size(read_picture(image), self.stages[0].size), strength
        edits = [Edit(begin=begin), *[Edit()] * (len(self.stages) - 1)]
        prompts = subjects_of(prompt, negative_prompt)
        order = self._order(metadata.EDIT, prompts, num_images, seed, Settings.of(settings))
        given = {"image": path_of(image)}
        order = dataclasses.replace(order, edits=edits, given=given, strength=strength)
        return self._draw(order, on_step)

    def upsample(
        self,
        image: Picture,
        prompt: Prompts = "",
        *,
        num_images: int = 1,
        seed: int = 0,
        on_step: OnStep | None = None,
        **settings: Any,
    ) -> Drawn:
        """Enlarge a picture with the pipeline's upsamplers.

        Args:
            image: its middle square, made as small as the first upsampler wants it.
            prompt: what is on it.
            num_images, seed, on_step, settings: see the class.

        Raises:
            UserError: there is no upsampler, a value makes no sense, or the picture can't be read.
        """
        first = next((i for i, stage in enumerate(self.stages) if stage.low_res_size), None)
        if first is None:
            raise UserError("there is no upsampler among these models: add one's workdir")
        low_res = square(read_picture(image), self.stages[first].low_res_size)[None]
        prompts = subjects_of(prompt, "")
        chosen = Settings.of(settings)
        order = self._order(metadata.UPSAMPLE, prompts, num_images, seed, chosen, first)
        low_res = np.repeat(low_res, len(order.subjects), axis=0)
        given = {"image": path_of(image)}
        return self._draw(dataclasses.replace(order, low_res=low_res, given=given), on_step)

    def again(self, picture: str | Path | Made, *, on_step: OnStep | None = None) -> Drawn:
        """Draw a picture once more: bit for bit on the same hardware, with the same versions.

        Where scales or negative prompts differed from prompt to prompt, but for rounding.

        Args:
            picture: its file, or what that says made it.
            on_step: is told of every step, if the picture's was.

        Raises:
            UserError: it does not say what made it, it was no `sample`, or these are not the
                weights, or not the config, that it was drawn with.
        """
        made = picture if isinstance(picture, Made) else read_made(picture)
        order = order_of(made, self.stages, self.origin)
        listening = on_step or (lambda step: None)
        return self._draw(order, listening if made.watched else None)

    def _order(
        self,
        job: str,
        prompts: Sequence[Subject],
        num_images: int,
        seed: int,
        settings: Settings,
        first: int = 0,
    ) -> Order:
        """Every prompt num_images times."""
        if num_images < 1:
            raise UserError(f"num_images must be 1 or more, not {num_images}")
        if not prompts:
            raise UserError("give a prompt; an empty one asks for a picture of anything")
        return Order(
            job=job,
            subjects=repeated(prompts, num_images),
            indices=range(len(prompts) * num_images),
            seed=seed,
            settings=settings,
            guidance_scales=scales_of(settings, len(prompts), num_images),
            first=first,
        )

    def _draw(self, order: Order, on_step: OnStep | None) -> Drawn:
        if order.low_res is None:
            check_prompts(self.stages, [subject.prompt for subject in order.subjects])
        first = self.stages[order.first]
        guides = guides_of(order.settings, first, self.clip, self.classifier)
        done = carry_out(order, self.stages, guides, self.clip, on_step)
        made = made_of(order, done, self.stages, self.origin, watched=on_step is not None)
        return Drawn(done.stages, made)
