"""A released model's experiment: the released config of its family, with the model's options."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from glide_jax import config
from glide_jax.config import DenoiserStageConfig, Experiment, FrozenTextConfig, TextConfig
from glide_jax.errors import UserError
from glide_jax.interop.families import glide
from glide_jax.interop.noising import with_options
from glide_jax.models.model import IMAGE_CHANNELS

_CONFIGS = {
    "glide": "base",
    "adm": "adm_imagenet64",
    "imagen": "base",
    "classifier": "classifier",
    "clip": "clip",
}
_UPSAMPLER_CONFIG = "upsampler"
_TOKENIZERS = {"glide": "gpt2", "clip": "clip_bpe"}
"""Family → the kind of its tokenizer. Families that read no captions have none."""


_IF_TEXT = FrozenTextConfig(
    encoder="t5-v1_1-xxl",
    weights="",
    embeddings="",
    length=77,
    padding=True,
    cleaning="deepfloyd_if",
    dtype="bfloat16",
)
"""How DeepFloyd IF reads a caption: all of T5's 77 outputs, padding included."""


def released_experiment(model: Any, options: Mapping[str, Any]) -> Experiment:
    """The experiment of a released model: enough to sample from it and to train it further.

    Args:
        model: of any family.
        options: the reference's; the noising process is read from them.

    Returns:
        An experiment with the model as its only stage. The stage's name is the released config's:
        base, upsampler, clip or classifier.

    Raises:
        UserError: the options' schedule is unknown, or the vocabulary is not the released models'.
    """
    family = model.config.family
    upsamples = getattr(model.config, "low_res_size", 0) > 0
    own = _UPSAMPLER_CONFIG if upsamples and family == "glide" else _CONFIGS[family]
    released = config.experiment_from(config.load_config(own))
    ((name, stage),) = released.stages.items()
    # ADM's upsamplers have no config of their own.
    name = "upsampler" if upsamples else name
    diffusion = with_options(stage.diffusion, family, options)
    stage = dataclasses.replace(stage, model=model.config, diffusion=diffusion)
    if family == "imagen" and isinstance(stage, DenoiserStageConfig):
        stage = _of_if(stage, options)
    labels = released.labels
    if labels is not None:
        labels = tuple(i for i in labels if i < getattr(model.config, "num_classes", 0)) or None
    return dataclasses.replace(
        released, text=_text(model, released.text), stages={name: stage}, labels=labels
    )


def _of_if(stage: DenoiserStageConfig, options: Mapping[str, Any]) -> DenoiserStageConfig:
    """The stage as DeepFloyd IF's reference samples it: the defaults of its stages I and II.

    Its upsamplers were trained with levels from 0 to 1.
    """
    upsampler = stage.model.low_res_size > 0
    learn_variance = options["out_channels"] > IMAGE_CHANNELS
    diffusion = dataclasses.replace(stage.diffusion, learn_variance=learn_variance)
    sampling = dataclasses.replace(
        stage.sampling,
        sampler="ddpm",
        steps="smart50" if upsampler else "150",
        guidance_scale=4.0 if upsampler else 7.0,
        guidance_interval=(0.0, 1.0),
        dynamic_threshold=0.95,
        threshold_cap=1.0 if upsampler else 1.5,
        temperature=1.0,
        aug_level=0.25 if upsampler else 0.0,
    )
    training = dataclasses.replace(stage.training, max_aug_level=1.0 if upsampler else 0.0)
    changes = {"diffusion": diffusion, "sampling": sampling, "training": training}
    return dataclasses.replace(stage, **changes)


def released_tokenizer(experiment: Experiment) -> dict[str, Any]:
    """The `to_dict` of a released model's tokenizer, made without its files; {}: there is none."""
    if experiment.first_stage.model.family not in _TOKENIZERS:
        return {}
    assert isinstance(experiment.text, TextConfig)
    kind = experiment.text.tokenizer
    # GPT-2's has one size, and doesn't write it.
    return {"kind": kind} | ({"vocab_size": experiment.text.vocab_size} if kind != "gpt2" else {})


def _text(
    model: Any, released: TextConfig | FrozenTextConfig | None
) -> TextConfig | FrozenTextConfig | None:
    if model.config.family == "imagen":
        return _IF_TEXT
    if model.config.family not in _TOKENIZERS:
        return released
    vocab_size, _ = model.shapes["text.token_embedding"].shape
    if model.config.family == "glide" and vocab_size != glide.VOCAB_SIZE:
        raise UserError(
            f"its vocabulary has {vocab_size} tokens, a released model's {glide.VOCAB_SIZE}; if "
            "glide-jax exported it, import it without --as, with its options beside it"
        )
    length, _ = model.shapes["text.positional_embedding"].shape
    return TextConfig(_TOKENIZERS[model.config.family], vocab_size, length)
