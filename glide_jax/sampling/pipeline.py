"""The Pipeline: prompts, images and masks in, images out."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from glide_jax.checkpoints.adapters import AdapterFile
from glide_jax.errors import UserError
from glide_jax.sampling import request as requests
from glide_jax.sampling import tasks
from glide_jax.sampling.guides import ClipGuide, Guide, guides_of
from glide_jax.sampling.images import Frame, ImageLike
from glide_jax.sampling.loading import add_adapters, load_cascade, load_classifier, load_clip
from glide_jax.sampling.output import (
    Origin,
    PipelineOutput,
    Provenance,
    joined,
    provenance_of,
    read_provenance,
)
from glide_jax.sampling.released import released_workdirs
from glide_jax.sampling.request import SampleRequest, Subject
from glide_jax.sampling.run import OnProgress, Progress, RunResult, run_request
from glide_jax.sampling.sharing import Row, of_each_row, shared_request
from glide_jax.sampling.stages import Stage, check_labels, check_prompts
from glide_jax.sampling.tasks import Wanted
from glide_jax.storage import storage_path

Prompts = str | Sequence[str]


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """A cascade of models, ready to sample.

    What its methods have in common: `prompt` is one caption or a list, "" asks for an image of
    anything, and what is longer than the model reads is cut. `num_images` are sampled of each
    prompt. Image i, prompt by prompt, is a function of (`seed`, i) and its conditioning, not of
    how many are sampled, in what batches or on how many devices, up to rounding.

    `on_progress` is called with a `SamplingProgress` every `progress_every` steps; that changes no
    bit of the images and compiles nothing.

    The other keyword arguments are settings of the first stage that samples, those of
    `config.SamplingConfig` and `clip_scale` and `classifier_scale`; what is left out is as the
    checkpoint's config says. `guidance_scale` may also be one for each prompt.

    Attributes:
        stages: the base model's, then the upsamplers'.
        clip: for clip_scale and rerank; None: there is none.
        classifier: for classifier_scale; None: there is none.
        origin: what it was loaded from.
        folder: where images are saved as soon as they are sampled, see `saving_to`; None: nowhere.
    """

    stages: tuple[Stage, ...]
    clip: ClipGuide | None = None
    classifier: Guide | None = None
    origin: Origin = dataclasses.field(default_factory=Origin)
    folder: Path | None = None

    @classmethod
    def load(
        cls,
        *workdirs: str | Path,
        overrides: Sequence[str] = (),
        clip: str | Path | None = None,
        classifier: str | Path | None = None,
        text_encoder: str | Path | None = None,
        prompts: Sequence[str] = (),
        adapters: Sequence[str | Path] = (),
    ) -> "Pipeline":
        """The newest weights of workdirs, of training or of import.

        Args:
            workdirs: one, or several whose stages follow each other: a base model's, then its
                upsampler's.
            overrides: what to change in their configs, such as
                `stages.upsampler.sampling.steps=20`.
            clip: the workdir of a noised CLIP.
            classifier: the workdir of a classifier.
            text_encoder: for models that were trained on a frozen one: a folder of text embeddings
                that holds the prompts, or of the encoder's weights; None: as their configs say.
            prompts: of these, negative prompts among them, a frozen encoder makes embeddings before
                the models are loaded; its memory is free again then. Others can be sampled all the
                same: the encoder is loaded for the first of them, and stays.
            adapters: files of adapters, each `FILE` or `FILE:WEIGHT`; without a weight it is 1.

        Raises:
            UserError: there is no model in one of them, none of the right kind, they make no
                cascade, an override is wrong, the text encoder is not the models', an adapter is of
                other weights, or there is too little memory.
        """
        if not workdirs:
            raise UserError("give the workdir of a model")
        encoder = storage_path(text_encoder) if text_encoder else None
        stages = load_cascade([*map(storage_path, workdirs)], overrides, encoder, prompts)
        mesh = stages[0].mesh
        loaded = cls(
            stages=tuple(stages),
            clip=load_clip(storage_path(clip), mesh) if clip else None,
            classifier=load_classifier(storage_path(classifier), mesh) if classifier else None,
            origin=Origin.of(workdirs, overrides, clip, classifier, text_encoder),
        )
        return loaded.with_adapters(*adapters) if adapters else loaded

    def with_adapters(self, *adapters: str | Path) -> "Pipeline":
        """These models with low-rank adapters; what is compiled already is kept.

        Args:
            adapters: files that training with `training.adapter` writes, see `load`.

        Raises:
            UserError: a file is no adapter, or one of other models than these.
        """
        files = [AdapterFile.parse(text) for text in adapters]
        stages = add_adapters(self.stages, files, self.origin.checkpoints)
        return dataclasses.replace(self, stages=stages, origin=self.origin.adding(files))

    def saving_to(self, folder: str | Path) -> "Pipeline":
        """These models; what all stages have sampled is saved batch by batch, in `folder`."""
        return dataclasses.replace(self, folder=storage_path(folder))

    @classmethod
    def released(cls, *, inpaint: bool = False, clip: bool = False) -> "Pipeline":
        """OpenAI's released base model and upsampler.

        Their files are taken from the cache folder, or downloaded into it, and imported there once.

        Args:
            inpaint: the models that were trained to inpaint.
            clip: with the noised CLIP.

        Raises:
            UserError: a file can't be had; the message says what to download, and where to put it.
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
        on_progress: OnProgress | None = None,
        progress_every: int = 1,
        **settings: Any,
    ) -> PipelineOutput:
        """Sample prompts.

        Args:
            prompt, num_images, seed, on_progress, progress_every, settings: see the class.
            negative_prompt: guidance leads away from it; one, or one for each prompt.
            rerank: sample so many of each prompt, and keep the num_images that CLIP scores
                highest, the best first.

        Raises:
            UserError: a value makes no sense, or these models can't do it.
        """
        subjects = requests.subjects_of(prompt, negative_prompt)
        sampled = num_images
        if rerank is not None:
            if self.clip is None:
                raise UserError("rerank needs a CLIP: load one with clip=DIR")
            if rerank < num_images:
                raise UserError(f"rerank={rerank} is fewer than num_images={num_images}")
            sampled = rerank
        request = tasks.sample_request(self.stages, Wanted(subjects, sampled, seed, settings))
        if rerank is not None:
            request = dataclasses.replace(request, rerank=(num_images, rerank))
        return self._run(request, on_progress, progress_every)

    def sample_classes(
        self,
        labels: int | Sequence[int],
        *,
        num_images: int = 1,
        seed: int = 0,
        on_progress: OnProgress | None = None,
        progress_every: int = 1,
        **settings: Any,
    ) -> PipelineOutput:
        """Sample classes, with a class-conditional model (ADM) or a classifier that guides.

        Args:
            labels: numbers of classes.
            num_images, seed, on_progress, progress_every, settings: see the class.

        Raises:
            UserError: a class that doesn't exist, a value that makes no sense, or a model without
                classes that no classifier guides.
        """
        numbers = [labels] if isinstance(labels, int) else labels
        subjects = [Subject(label=label) for label in numbers]
        if not subjects:
            raise UserError("give a class")
        request = tasks.sample_request(self.stages, Wanted(subjects, num_images, seed, settings))
        return self._run(request, on_progress, progress_every)

    def sample_indices(
        self,
        subjects: Sequence[Subject],
        indices: Sequence[int],
        *,
        seed: int,
        on_progress: OnProgress | None = None,
        progress_every: int = 1,
        **settings: Any,
    ) -> PipelineOutput:
        """Sample some of a seed's images.

        Args:
            subjects: what each image is to show.
            indices: of each, its index: with the seed it decides its noise, see the class.
            seed, on_progress, progress_every, settings: see the class.

        Raises:
            UserError: as __call__.
        """
        request = tasks.sample_request(self.stages, Wanted(subjects, 1, seed, settings))
        request = dataclasses.replace(request, indices=tuple(indices))
        return self._run(request, on_progress, progress_every)

    def inpaint(
        self,
        image: ImageLike,
        mask: ImageLike | None,
        prompt: Prompts,
        *,
        frame: Frame | None = None,
        num_images: int = 1,
        seed: int = 0,
        negative_prompt: Prompts = "",
        on_progress: OnProgress | None = None,
        progress_every: int = 1,
        **settings: Any,
    ) -> PipelineOutput:
        """Repaint a part of an image.

        A model that was trained to inpaint is conditioned on the known pixels, and its x_0_hat is
        replaced by them there (Nichol et al. 2021, sec. 4.3); any other inpaints by RePaint. The
        sampler is the config's inpaint_sampler unless another is given.

        Args:
            image: its middle square is used, or what lies in the frame.
            mask: of the image's shape, or of the frame's; white: repaint, black: keep. None: with a
                frame, only what lies outside of the image is repainted.
            frame: the square of the image that is sampled, (left, top, side) in its pixels. It may
                reach beyond the image, which is outpainted there; None: the middle square.
            prompt, num_images, seed, negative_prompt, on_progress, progress_every, settings: see
                the class.

        Raises:
            UserError: as __call__, or an image that can't be read.
        """
        subjects = requests.subjects_of(prompt, negative_prompt)
        wanted = Wanted(subjects, num_images, seed, settings)
        request = tasks.inpaint_request(self.stages, image, mask, frame, wanted)
        return self._run(request, on_progress, progress_every)

    def image_to_image(
        self,
        image: ImageLike,
        prompt: Prompts,
        *,
        strength: float,
        num_images: int = 1,
        seed: int = 0,
        negative_prompt: Prompts = "",
        on_progress: OnProgress | None = None,
        progress_every: int = 1,
        **settings: Any,
    ) -> PipelineOutput:
        """Sample a prompt starting from an image with noise (SDEdit, Meng et al. 2022).

        Args:
            image: its middle square is started from; upsamplers enlarge what became of it.
            strength: in (0, 1], the share of the steps that are taken: low keeps the image, 1
                almost nothing of it.
            prompt, num_images, seed, negative_prompt, on_progress, progress_every, settings: see
                the class.

        Raises:
            UserError: as __call__, or an image that can't be read.
        """
        subjects = requests.subjects_of(prompt, negative_prompt)
        wanted = Wanted(subjects, num_images, seed, settings)
        request = tasks.edit_request(self.stages, image, strength, wanted)
        return self._run(request, on_progress, progress_every)

    def upsample(
        self,
        image: ImageLike,
        prompt: Prompts = "",
        *,
        num_images: int = 1,
        seed: int = 0,
        on_progress: OnProgress | None = None,
        progress_every: int = 1,
        **settings: Any,
    ) -> PipelineOutput:
        """Enlarge an image with the pipeline's upsamplers.

        Args:
            image: its middle square, reduced to the size that the first upsampler takes.
            prompt: what it shows.
            num_images, seed, on_progress, progress_every, settings: see the class.

        Raises:
            UserError: there is no upsampler, a value makes no sense, or the image can't be read.
        """
        wanted = Wanted(requests.subjects_of(prompt, ""), num_images, seed, settings)
        request = tasks.upsample_request(self.stages, image, wanted)
        return self._run(request, on_progress, progress_every)

    def reproduce(
        self,
        image: str | Path | Provenance,
        *,
        on_progress: OnProgress | None = None,
        progress_every: int = 1,
    ) -> PipelineOutput:
        """Sample an image again: bit for bit on the same hardware, with the same versions.

        Where scales or negative prompts differed from prompt to prompt, up to rounding.

        Args:
            image: its file, or its provenance.
            on_progress, progress_every: see the class.

        Raises:
            UserError: the file has no provenance, the image was not made by `sample`, or these are
                not the weights, or not the config, that it was sampled with.
        """
        found = image if isinstance(image, Provenance) else read_provenance(image)
        sampling = self.stages[0].config.sampling
        settings = requests.resolve(found.settings, sampling, 1, 1, inpaints=False)
        request = found.request(self.stages, self.origin, settings)
        return self._run(request, on_progress, progress_every)

    def sample_rows(
        self,
        rows: Sequence[Row],
        *,
        batch_size: int,
        on_progress: OnProgress | None = None,
        progress_every: int = 1,
    ) -> list[PipelineOutput]:
        """Sample images of several requests in one batch, as a server does.

        Args:
            rows: at most batch_size, whose requests `sharing.sharing_key` allows in one batch.
            batch_size: of the batch, which is filled up: an image depends on it by rounding alone,
                and on the other rows not at all.
            on_progress, progress_every: see the class; x_0_hat begins with the rows.

        Returns:
            For each row an output of one image.

        Raises:
            UserError: as the methods that sample at once.
        """
        request = shared_request(rows, batch_size)
        (result,) = self._results(request, on_progress, progress_every)  # one batch, one part
        each = zip(rows, of_each_row(result, rows), strict=True)
        return [self._output(row.request, own) for row, own in each]

    def _run(
        self, request: SampleRequest, on_progress: OnProgress | None, progress_every: int
    ) -> PipelineOutput:
        outputs = []
        for part in self._results(request, on_progress, progress_every):
            outputs.append(self._output(request, part))
            if self.folder is not None:
                outputs[-1].save(self.folder)
        return joined(outputs)

    def _output(self, request: SampleRequest, result: RunResult) -> PipelineOutput:
        provenance = provenance_of(request, result, self.stages, self.origin)
        return PipelineOutput(result.stages, provenance)

    def _results(
        self, request: SampleRequest, on_progress: OnProgress | None, progress_every: int
    ) -> Iterator[RunResult]:
        if progress_every < 1:
            raise UserError(f"progress_every must be 1 or more, not {progress_every}")
        if request.low_res is None:
            check_prompts(self.stages, [subject.prompt for subject in request.subjects])
        first, subjects = self.stages[request.first_stage], request.subjects
        check_labels(first, [s.label for s in subjects], request.settings.classifier_scale)
        guides = guides_of(
            request.settings, first.image_size, first.config.diffusion, self.clip, self.classifier
        )
        progress = Progress(on_progress, progress_every)
        return run_request(request, self.stages, guides, self.clip, progress)
