"""A model's options for the reference, and the differences that no option can express."""

from collections.abc import Iterator
from typing import Any

from glide_jax.config import ClipConfig, DenoiserStageConfig, GlideConfig, StageConfig
from glide_jax.errors import UserError
from glide_jax.interop import families, namings, openai
from glide_jax.interop.families import glide, guided_diffusion, imagen_diffusers
from glide_jax.interop.noising import noising_options

_PREDICTIONS = {"glide": ("eps",), "adm": ("eps", "x_0"), "imagen": ("eps",)}
"""Family → the predictions that its reference knows."""

_RUNTIME = {"glide": {"use_fp16": False}}
"""Family → options that its reference requires and that are no part of the model."""

_GLIDE_CLASSES = {
    (False, False): "Text2ImUNet",
    (False, True): "SuperResText2ImUNet",
    (True, False): "InpaintText2ImUNet",
    (True, True): "SuperResInpaintText2ImUnet",
}
"""(inpaints, upsamples) → the name of the class in GLIDE's code, in its own spelling."""

_CLASSES = {
    "adm": "set guided_diffusion.script_util.NUM_CLASSES = {} before its create_model",
    "classifier": "call its EncoderUNetModel with out_channels={}",
}
"""Family → how to get another number of classes from its reference, which has no option for it."""

CLIP_LOGIT_SCALE = 100.0
"""Of the published CLIP, whose files don't hold it: a line of its config.yaml."""


def reference_options(
    model: Any, stage: StageConfig, names: str = namings.ORIGINAL
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The reference's option dict, and how the reference's model still differs from this one.

    Args:
        model: of any family, or one of CLIP's encoders.
        stage: its config and its noising process.
        names: in `namings.NAMINGS`; of Diffusers', the options are the config.json of its model.

    Returns:
        The options, {} if no options make such a model; a line for each difference.
    """
    name = families.of_model(model).NAME
    try:
        if names == namings.DIFFUSERS:
            return imagen_diffusers.options(model), tuple(_differences(model, stage, name))
        options = openai.options(model) | noising_options(name, stage.diffusion)
        options |= _RUNTIME.get(name, {})
    except UserError as error:
        return {}, (str(error),)
    return options, tuple(_differences(model, stage, name))


def _differences(model: Any, stage: StageConfig, family: str) -> Iterator[str]:
    prediction = getattr(stage.diffusion, "prediction", None)
    if prediction not in _PREDICTIONS.get(family, (prediction,)):
        yield (
            f"the model predicts {prediction}, the reference's eps: it loads the weights but "
            "samples other images"
        )
    classes = getattr(stage.model, "num_classes", 0)
    if classes not in (0, guided_diffusion.NUM_CLASSES):
        yield (
            f"num_classes is {classes}, the reference's {guided_diffusion.NUM_CLASSES}: "
            f"{_CLASSES[family].format(classes)}"
        )
    if isinstance(stage.model, ClipConfig) and stage.model.logit_scale != CLIP_LOGIT_SCALE:
        yield (
            f"logit_scale is {stage.model.logit_scale:.6g}, the reference's {CLIP_LOGIT_SCALE:g}: "
            "no weight but a line of its config.yaml"
        )
    if isinstance(stage, DenoiserStageConfig) and isinstance(stage.model, GlideConfig):
        yield from _of_glide(stage.model, model, stage.diffusion.learn_variance)


def _of_glide(config: GlideConfig, model: Any, learn_variance: bool) -> Iterator[str]:
    if config.norm_groups != guided_diffusion.NORM_GROUPS:
        yield (
            f"norm_groups is {config.norm_groups}, the reference's {guided_diffusion.NORM_GROUPS}: "
            "it loads the weights but computes something else"
        )
    own = _GLIDE_CLASSES[config.inpaint, config.low_res_size > 0]
    vocab_size = model.shapes["text.token_embedding"].shape[0]
    if vocab_size != glide.VOCAB_SIZE:
        yield (
            f"the vocabulary has {vocab_size} tokens, the reference's {glide.VOCAB_SIZE}: give its "
            f"{own} a tokenizer with n_vocab={vocab_size}"
        )
    if not learn_variance:
        yield f"the variance is not learned: give the reference's {own} out_channels=3"
    levels, size = len(config.channel_mult), config.image_size
    if 2 ** (levels + 2) != size and config.channel_mult != glide.CHANNEL_MULT.get(size):
        yield (
            f"there are {levels} levels at {size} pixels, which the reference's create_model "
            f"refuses: call its {own}"
        )
