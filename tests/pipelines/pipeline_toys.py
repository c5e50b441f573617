"""A cascade that nobody trained, small enough to draw in a second."""

import functools

import tiny
from models.model_toys import filled

from glide_jax import config
from glide_jax.models.families import model_of
from glide_jax.pipelines.pipeline import Pipeline
from glide_jax.pipelines.stage import make_stage

PROMPTS = ["red square", "green square", "blue square", "", "red square"]


@functools.cache
def stages(*overrides):
    """8×8 by three steps of DDIM, guided, then 16×16 by two."""
    loaded = config.load_config(
        tiny.CONFIGS / "quickstart.py", [*tiny.OVERRIDES, *tiny.UPSAMPLER_OVERRIDES, *overrides]
    )
    experiment = config.experiment_from(loaded)
    return tuple(stage_of(experiment, stage) for stage in experiment.stages.values())


def stage_of(experiment, stage, step=0):
    """A stage with weights of the experiment's config."""
    tokenizer, length = tiny.tokenizer(), experiment.text.length
    model = model_of(stage, vocab_size=tokenizer.vocab_size, text_length=length)
    told = tokenizer if stage.model.family == "glide" else None
    return make_stage(stage, model, filled(model.shapes), told, length, step)


def pipeline(*overrides):
    return Pipeline(stages(*overrides))
