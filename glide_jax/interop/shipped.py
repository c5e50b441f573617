"""A released model's experiment: the shipped config of its kind, and its own options in it."""

import dataclasses
import importlib.resources
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import glide_jax
from glide_jax import config
from glide_jax.config import Experiment, TextConfig
from glide_jax.errors import UserError
from glide_jax.interop.families import glide
from glide_jax.interop.noising import with_options

_FILES = {
    "glide": "base.py",
    "adm": "adm_imagenet64.py",
    "classifier": "classifier.py",
    "clip": "clip.py",
}
_UPSAMPLER_FILE = "upsampler.py"
_TOKENIZERS = {"glide": "gpt2", "clip": "clip_bpe"}
"""Family → its tokenizer's kind. A family that is told no caption has none."""


def released_experiment(model: Any, options: Mapping[str, Any]) -> Experiment:
    """All there is to say of a released model, for drawing and for training on.

    Args:
        model: of any family.
        options: the reference's; the noising process is read from them.

    Raises:
        UserError: the options' schedule is none that we know, or the vocabulary is another than
            the released models'.
    """
    family = model.config.family
    is_upsampler = family == "glide" and model.config.low_res_size
    file = _UPSAMPLER_FILE if is_upsampler else _FILES[family]
    shipped = config.experiment_from(config.load_config(config_folder() / file))
    return dataclasses.replace(
        shipped,
        text=_text(model, shipped.text),
        model=model.config,
        labels=tuple(i for i in shipped.labels if i < getattr(model.config, "num_classes", 0)),
        diffusion=with_options(shipped.diffusion, family, options),
    )


def config_folder() -> Path:
    """Where the shipped configs lie: in the installed package, or beside it in the repository."""
    package = Path(str(importlib.resources.files(glide_jax)))
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def released_tokenizer(experiment: Experiment) -> dict[str, Any]:
    """The `to_dict` of a released model's tokenizer, without its vocabulary at hand; {}: none."""
    if experiment.model.family not in _TOKENIZERS:
        return {}
    kind = experiment.text.tokenizer
    # Whose size is known needs not say it.
    return {"kind": kind} | ({"vocab_size": experiment.text.vocab_size} if kind != "gpt2" else {})


def _text(model: Any, shipped: TextConfig) -> TextConfig:
    if model.config.family not in _TOKENIZERS:
        return shipped
    vocab_size, _ = model.shapes["text.token_embedding"].shape
    if model.config.family == "glide" and vocab_size != glide.VOCAB_SIZE:
        raise UserError(
            f"its vocabulary is {vocab_size} tokens, a released model's {glide.VOCAB_SIZE}; if "
            "glide-jax exported it, import it without --as, its options beside it"
        )
    length, _ = model.shapes["text.positional_embedding"].shape
    return TextConfig(_TOKENIZERS[model.config.family], vocab_size, length)
