"""What the loaded models can do: the tasks, and what each lets people choose."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from glide_jax.config import SamplingConfig
from glide_jax.diffusion.samplers import SAMPLERS
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.request import EDIT, INPAINT, SAMPLE, UPSAMPLE, Subject
from glide_jax.sampling.sharing import Row
from glide_jax.sampling.stages import Stage
from glide_jax.sampling.tasks import Wanted, first_upsampler, sample_request, upsample_request
from glide_jax.web.serve.fields import Field

MAX_IMAGES = 16
"""That one request may ask for."""

MAX_PROMPT = 4000
"""Characters of a prompt: more than any model reads."""

MAX_SEED = 2**53 - 1
"""Larger ones exist, but JavaScript's numbers can't hold them."""

_STEPS = (10, 20, 50, 100)
_RESAMPLES = (1, 5)
_MAX_SCALE = 100
_MAX_CAP = 100


@dataclasses.dataclass(frozen=True)
class Offer:
    """What people can ask for.

    Attributes:
        tasks: task → its fields, in the order of the page.
        classes: how many classes the first model samples; 0: it samples none.
        reads_captions: whether the first model reads prompts.
        trained_to_inpaint: whether it was; RePaint does it otherwise.
    """

    tasks: dict[str, tuple[Field, ...]]
    classes: int
    reads_captions: bool
    trained_to_inpaint: bool


def offer_of(pipeline: Pipeline) -> Offer:
    """What a pipeline can do. Numbers that would compile another program are choices, a few."""
    first = pipeline.stages[0]
    classes = getattr(first.model.config, "num_classes", 0)
    tasks = {}
    if not first.low_res_size:
        tasks[SAMPLE] = _sample_fields(pipeline, classes)
        if not classes:
            tasks[INPAINT] = _inpaint_fields(pipeline)
            tasks[EDIT] = _edit_fields(pipeline)
    place = first_upsampler(pipeline.stages)
    if place is not None:
        tasks[UPSAMPLE] = _upsample_fields(pipeline.stages, place)
    return Offer(tasks, classes, first.reader is not None, first.inpaints)


def _sample_fields(pipeline: Pipeline, classes: int) -> tuple[Field, ...]:
    first = pipeline.stages[0]
    label = Field("label", "integer", "the class to sample", low=0, high=classes - 1, required=True)
    gradients = []
    if pipeline.clip is not None and first.reader is not None:
        gradients.append(_scale("clip_scale", "scale of the guidance by CLIP's gradient", None))
    if pipeline.classifier is not None and classes:
        about = "scale of the guidance by the classifier's gradient"
        gradients.append(_scale("classifier_scale", about, None))
    if pipeline.clip is not None and first.reader is not None:
        about = "sample so many, and keep the images that CLIP finds closest to the prompt"
        gradients.append(Field("rerank", "integer", about, low=1, high=MAX_IMAGES))
    return (
        *_captions(first),
        *[label] * bool(classes),
        *_settings(first, first.config.sampling),
        *gradients,
        *_later(pipeline.stages[1:], SAMPLE),
    )


def _inpaint_fields(pipeline: Pipeline) -> tuple[Field, ...]:
    first = pipeline.stages[0]
    sampling = first.inpaint_sampling
    fields = [
        _image("the image", required=True),
        Field("mask", "image", "of the image's shape, or of the frame's; white: repaint"),
        Field("frame", "frame", "the square that is sampled; it may reach beyond the image"),
        Field(
            "result",
            "choice",
            "image: the image with what was sampled in its place, larger where the frame reaches "
            "beyond it; frame: the sampled square alone",
            choices=("image", "frame"),
            default="image",
        ),
        *_captions(first),
        *_settings(first, sampling),
    ]
    if not first.inpaints:
        about = "how often RePaint takes each step: more fits better, and takes longer"
        choices = tuple(sorted({*_RESAMPLES, sampling.resamples}))
        fields.append(
            Field("resamples", "choice", about, choices=choices, default=sampling.resamples)
        )
    return *fields, *_later(pipeline.stages[1:], INPAINT)


def _edit_fields(pipeline: Pipeline) -> tuple[Field, ...]:
    first = pipeline.stages[0]
    about = "share of the steps that are taken: low keeps the image, 1 almost nothing of it"
    strength = Field(
        "strength", "number", about, low=0, high=1, above_low=True, default=0.6, required=True
    )
    settings = *_settings(first, first.config.sampling), *_later(pipeline.stages[1:], EDIT)
    return _image("the image", required=True), *_captions(first), strength, *settings


def _upsample_fields(stages: Sequence[Stage], place: int) -> tuple[Field, ...]:
    stage = stages[place]
    sampling = stage.config.sampling
    about = "noise on the image before it is enlarged: more invents more detail"
    level = Field("aug_level", "number", about, low=0, high=1, default=sampling.aug_level)
    image = _image(f"the image, reduced to {stage.low_res_size} pixels a side", required=True)
    prompts = [field for field in _captions(stage) if field.name == "prompt"]
    settings = *_settings(stage, sampling), level, *_later(stages[place + 1 :], UPSAMPLE)
    return image, *prompts, *settings


def _later(stages: Sequence[Stage], task: str) -> tuple[Field, ...]:
    """The settings of the stages after the first that samples, `STAGE.SETTING` each."""
    fields = []
    for stage in stages:
        name, sampling, size = stage.name, stage.config.sampling, stage.image_size
        of = f"of {name}, which enlarges to {size} pixels a side"
        choices = (*_steps(stage), sampling.steps)
        fields.append(_choice(f"{name}.steps", f"steps {of}", choices, sampling.steps))
        if task != INPAINT:
            about = f"how a step is taken, {of}"
            fields.append(_choice(f"{name}.sampler", about, SAMPLERS, sampling.sampler))
        if stage.reader is not None:
            about = f"how strongly the prompt counts, {of}; 1: no guidance"
            fields.append(_scale(f"{name}.guidance_scale", about, sampling))
        about = f"noise on the image before it is enlarged, {of}"
        default = sampling.aug_level
        fields.append(Field(f"{name}.aug_level", "number", about, low=0, high=1, default=default))
    return tuple(fields)


def later_names(stages: Sequence[Stage]) -> dict[str, Any]:
    """The name of each setting of `STAGE.SETTING` → the value that the stage's config has."""
    names = ("steps", "sampler", "guidance_scale", "aug_level")
    return {f"{s.name}.{name}": getattr(s.config.sampling, name) for s in stages for name in names}


def _captions(stage: Stage) -> tuple[Field, ...]:
    if stage.reader is None:
        return ()
    prompt = Field("prompt", "text", "what the image shows; empty: anything", high=MAX_PROMPT)
    if stage.guidance_range:
        return (prompt,)
    away = "guidance leads away from it"
    return prompt, Field("negative_prompt", "text", away, high=MAX_PROMPT)


def _settings(stage: Stage, sampling: SamplingConfig) -> tuple[Field, ...]:
    guided = [_scale("guidance_scale", "how strongly the prompt counts; 1: no guidance", sampling)]
    if stage.guidance_range:
        low, high = stage.guidance_range
        guided = [dataclasses.replace(guided[0], low=low, high=high)]
    about = "the quantile of dynamic thresholding; left out: as the config says"
    cap = "the most that dynamic thresholding divides by; left out: as the config says"
    where = (
        "the part of the noising process where there is guidance, from 0, the clean end, to 1; "
        "left out: as the config says"
    )
    interval = [Field("guidance_interval", "interval", where, low=0, high=1)]
    every = "n: the deep part of the network is evaluated at every n-th step; 1: at every one"
    most, cached = stage.config.diffusion.num_steps, sampling.cache_interval
    caching = [Field("cache_interval", "integer", every, low=1, high=most, default=cached)]
    choices = (*_steps(stage), sampling.steps)
    return (
        *guided * (stage.reader is not None),
        _choice("steps", "how many steps are taken", choices, sampling.steps),
        _choice("sampler", "how a step is taken", SAMPLERS, sampling.sampler),
        Field(
            "num_images",
            "integer",
            "how many images",
            low=1,
            high=MAX_IMAGES,
            default=1,
        ),
        Field("seed", "integer", "left out: a random one", low=0, high=MAX_SEED),
        Field("eta", "number", "DDIM's noise: 0 none", low=0, high=1, default=sampling.eta),
        Field(
            "temperature",
            "number",
            "standard deviation of the noise that sampling starts from",
            low=0,
            high=2,
            default=sampling.temperature,
        ),
        *interval * (stage.reader is not None),
        Field("dynamic_threshold", "number", about, low=0, high=1, above_low=True),
        Field("threshold_cap", "number", cap, low=1, high=_MAX_CAP),
        *caching * (stage.model.caching is not None),
    )


def _steps(stage: Stage) -> tuple[str, ...]:
    most = stage.config.diffusion.num_steps
    return tuple(str(n) for n in _STEPS if n <= most)


def _scale(name: str, about: str, sampling: SamplingConfig | None) -> Field:
    default = None if sampling is None else sampling.guidance_scale
    return Field(name, "number", about, low=0, high=_MAX_SCALE, default=default)


def _choice(name: str, about: str, choices: Any, default: str) -> Field:
    return Field(name, "choice", about, choices=tuple(dict.fromkeys(choices)), default=default)


def _image(about: str, *, required: bool) -> Field:
    return Field("image", "image", about, required=required)


def first_request(pipeline: Pipeline, offer: Offer) -> Row:
    """What the page asks for first, with the settings of the config, to compile it."""
    subject = Subject(label=0) if offer.classes else Subject()
    wanted = Wanted([subject], 1, 0, {})
    if SAMPLE in offer.tasks:
        return Row(sample_request(pipeline.stages, wanted), 0)
    size = pipeline.stages[0].low_res_size
    return Row(upsample_request(pipeline.stages, np.zeros((size, size, 3), np.uint8), wanted), 0)
