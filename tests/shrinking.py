"""Any config, so small that it trains in seconds, on images that are made here."""

from pathlib import Path

import toy_encoder

from glide_jax import config
from glide_jax.config import (
    GUIDANCE,
    ClipConfig,
    DenoiserStageConfig,
    Experiment,
    FrozenTextConfig,
    GlideConfig,
    ImagenConfig,
    StageConfig,
)

SIZE = 8
"""Pixels a side of a base model's images; each upsampler's are twice as large."""

SHARED = {
    "cpu_devices": 1,
    "data.source": "shapes/32",
    "data.path": "",
    "data.workers": 0,
}
TEXT_SECTION = {"text.tokenizer": "sentencepiece", "text.vocab_size": 320, "text.length": 16}
FROZEN_TEXT_SECTION = {
    "text.encoder": "toy",
    "text.weights": "",
    "text.embeddings": "",
    "text.length": 16,
    "text.dtype": "float32",
}
"""Of `toy_encoder.ToyEncoder`, which a test registers."""

EVALUATION = {"evaluation.splits": ("test",), "evaluation.num_captions": 2}
TRAINING = {
    "batch_size": 16,
    "microbatch_size": 0,
    "num_steps": 32,
    "learning_rate": 2e-3,
    "lr_warmup_steps": 4,
    "lr_decay": "constant",
    "ema_decay": 0.9,
    "fsdp": 1,
    "log_every_steps": 1,
    "checkpoint_every_steps": 1000,
    "keep_checkpoints": 1,
}
DENOISER_TRAINING = {"batch_size": 8, "sample_every_steps": 16}
"""It has fewer images a step than what compares its images with each other."""

LEARNING = {"classifier": {"learning_rate": 1e-2}}
"""What a family needs to learn something in so few steps."""

SAMPLING = {"steps": "4", "batch_size": 8}
UNET = {
    "channels": 32,
    # One size, and attention in the middle alone: half of what two sizes take to compile.
    "channel_mult": (1,),
    "num_res_blocks": 1,
    "norm_groups": 8,
    "dtype": "float32",
}
TEXT = {"text_width": 32, "text_layers": 1, "text_heads": 2}
IMAGEN = {
    "time_width": 64,
    "encoder_width": toy_encoder.WIDTH,
    "text_width": 32,
    "pool_heads": 2,
}
CLIP = {
    "image.image_size": SIZE,
    "image.patch_size": 4,
    "image.width": 32,
    "image.layers": 1,
    "image.heads": 2,
    "text.width": 32,
    "text.layers": 1,
    "text.heads": 2,
    "embedding_width": 16,
    "dtype": "float32",
}


def shrunk(path: Path, *overrides: str) -> Experiment:
    """The experiment of a config file, small; what it is about stays as it is."""
    return config.experiment_from(config.load_config(path, [*shrinking(path), *overrides]))


def shrinking(path: Path) -> list[str]:
    """The overrides that shrink a config file."""
    full = config.experiment_from(config.load_config(path))
    changes = dict(SHARED)
    if full.text_pretraining:
        changes |= {"text_pretraining.hidden_width": 8}
        changes |= _under("text_pretraining.training", TRAINING)
    size = SIZE
    for name, stage in full.stages.items():
        section = f"stages.{name}"
        size *= 2 if _enlarges(stage) else 1
        changes |= _under(f"{section}.model", _model(stage, size))
        changes |= _under(
            f"{section}.training",
            TRAINING | {"init_from": ""} | LEARNING.get(stage.model.family, {}),
        )
        if isinstance(stage, DenoiserStageConfig):
            changes |= _under(f"{section}.training", DENOISER_TRAINING)
            if stage.training.crop_size:
                changes[f"{section}.training.crop_size"] = size // 2
            changes |= _under(f"{section}.sampling", SAMPLING)
            if distillation := stage.training.distillation:
                first, last = distillation.rounds[0], distillation.rounds[-1]
                # It begins as its teacher, which more would take it away from.
                changes[f"{section}.training.learning_rate"] = 1e-4
                # One round: the whole chain is tests/training/distilling_test.py's.
                changes[f"{section}.training.distillation.rounds"] = (
                    first if first == GUIDANCE else last,
                )
                if first != GUIDANCE:
                    changes[f"{section}.sampling.steps"] = f"trailing{last}"
    if full.text:
        is_frozen = isinstance(full.text, FrozenTextConfig)
        changes |= FROZEN_TEXT_SECTION if is_frozen else TEXT_SECTION
    if full.data.prior:
        changes |= {"data.prior.source": "shapes/32", "data.prior.path": ""}
    if full.labels:
        changes["labels"] = (0, 1)
    if full.prompts:
        changes["prompts"] = full.prompts[:2]
    if full.evaluation:
        # That of the grids: its program is compiled already.
        scale = full.first_stage.sampling.guidance_scale
        changes |= EVALUATION | {"evaluation.guidance_scales": (scale,)}
        if full.evaluation.periodic:
            changes |= {
                "evaluation.periodic.every_steps": 16,
                "evaluation.periodic.num_captions": 2,
                "evaluation.periodic.best_by": "prompt_truth",
            }
    return [f"{key}={value}" for key, value in changes.items()]


def _under(section: str, values: dict) -> dict:
    return {f"{section}.{key}": value for key, value in values.items()}


def _enlarges(stage: StageConfig) -> bool:
    return isinstance(stage, DenoiserStageConfig) and stage.model.low_res_size > 0


def _model(stage: StageConfig, size: int) -> dict:
    model = stage.model
    if isinstance(model, ClipConfig):
        return CLIP
    changes = UNET | {"image_size": size, "attention_resolutions": ()}
    if _enlarges(stage):
        changes |= {"low_res_size": size // 2}
    if model.head_channels:
        changes |= {"head_channels": 16}
    if getattr(model, "num_classes", 0):
        changes |= {"num_classes": 48}
    if isinstance(model, ImagenConfig):
        changes |= _imagen(model, size)
    return changes | (TEXT if isinstance(model, GlideConfig) else {})


def _imagen(model: ImagenConfig, size: int) -> dict:
    # An Efficient U-Net halves the pixels first.
    last = size if model.layout == "adm" else size // 2
    return IMAGEN | {
        "text_layers": min(model.text_layers, 1),
        "num_res_blocks": (1,),
        "attention_resolutions": (last,) if model.attention_resolutions else (),
        "self_attention_resolutions": (last,) if model.self_attention_resolutions else (),
    }
