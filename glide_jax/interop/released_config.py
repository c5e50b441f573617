"""A released model's experiment: the released config of its family, with the model's options."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from glide_jax import config
from glide_jax.config import Experiment, TextConfig
from glide_jax.errors import UserError
from glide_jax.interop.families import glide
from glide_jax.interop.noising import with_options

_CONFIGS = {"glide": "base", "adm": "adm_imagenet64", "classifier": "classifier", "clip": "clip"}
_UPSAMPLER_CONFIG = "upsampler"
_TOKENIZERS = {"glide": "gpt2", "clip": "clip_bpe"}
"""Family → the kind of its tokenizer. Families that read no captions have none."""


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
    labels = released.labels
    if labels is not None:
        labels = tuple(i for i in labels if i < getattr(model.config, "num_classes", 0)) or None
    return dataclasses.replace(
        released, text=_text(model, released.text), stages={name: stage}, labels=labels
    )


def released_tokenizer(experiment: Experiment) -> dict[str, Any]:
    """The `to_dict` of a released model's tokenizer, made without its files; {}: there is none."""
    if experiment.first_stage.model.family not in _TOKENIZERS:
        return {}
    assert experiment.text is not None
    kind = experiment.text.tokenizer
    # GPT-2's has one size, and doesn't write it.
    return {"kind": kind} | ({"vocab_size": experiment.text.vocab_size} if kind != "gpt2" else {})


def _text(model: Any, released: TextConfig | None) -> TextConfig | None:
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
