"""A cascade that nobody trained, small enough to sample in a second."""

import dataclasses
import functools

import tiny
from models.model_toys import filled

from glide_jax import config
from glide_jax.checkpoints import Checkpoints
from glide_jax.config import AdmConfig
from glide_jax.models.families import model_of
from glide_jax.sampling.guides import ClipGuide
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.stages import make_stage
from glide_jax.text.reader import TokenReader

PROMPTS = ["red square", "green square", "blue square", "", "red square"]


@functools.cache
def stages(*overrides):
    """8×8 by three steps of DDIM, guided, then 16×16 by two."""
    loaded = config.load_config(
        tiny.CONFIGS / "quickstart.py", [*tiny.OVERRIDES, *tiny.UPSAMPLER_OVERRIDES, *overrides]
    )
    experiment = config.experiment_from(loaded)
    return tuple(stage_of(experiment, name) for name in experiment.stages)


def stage_of(experiment, name, step=0):
    """A stage with weights of the experiment's config."""
    stage = experiment.stages[name]
    length = experiment.text_length
    reader = TokenReader(tiny.tokenizer(), length) if stage.model.reads_captions else None
    vocab_size = reader.vocab_size if reader else 0
    model = model_of(stage, vocab_size=vocab_size, text_length=length)
    return make_stage(name, stage, model, filled(model.shapes), reader, step)


def pipeline(*overrides):
    return Pipeline(stages(*overrides))


def shared(config):
    """The quickstart's sizes, for another family of U-Nets."""
    names = [field.name for field in dataclasses.fields(config)]
    base = dataclasses.asdict(tiny.experiment().first_stage.model)
    return {name: base[name] for name in names if name in base and name != "family"}


def class_stage():
    config = AdmConfig(
        family="adm", num_heads=0, attention_order="by_head", num_classes=3, **shared(AdmConfig)
    )
    whole = tiny.experiment("stages.base.sampling.guidance_scale=1")
    stage = dataclasses.replace(whole.first_stage, model=config)
    experiment = dataclasses.replace(whole, stages={"base": stage}, text=None, prompts=None)
    return stage_of(experiment, "base")


def saved(directory):
    """A workdir of the cascade."""
    loaded = config.load_config(
        tiny.CONFIGS / "quickstart.py", [*tiny.OVERRIDES, *tiny.UPSAMPLER_OVERRIDES]
    )
    experiment = config.experiment_from(loaded)
    tokenizer = tiny.tokenizer().to_dict()
    for name, stage in zip(experiment.stages, stages(), strict=True):
        with Checkpoints(
            directory / name / "checkpoints", keep=1, experiment=experiment, tokenizer=tokenizer
        ) as checkpoints:
            checkpoints.save(0, {"ema_params": stage.params}, {})
    return directory


def clip_guide(size, log_probability=None, score=None, text_features=None, image_features=None):
    """A CLIP of these functions; those that a test does not use may be left out."""
    return ClipGuide(
        image_size=size,
        num_steps=1000,
        log_probability=log_probability or (lambda captions, scale: None),
        logit_scale=100.0,
        score=score or (lambda captions, images: None),
        text_features=text_features or (lambda captions: None),
        image_features=image_features or (lambda images: None),
        noised_features=lambda x_t, t: None,
    )
