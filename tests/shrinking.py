"""Any config, so small that it trains in seconds, on pictures that are made here."""

from pathlib import Path

from glide_jax import config
from glide_jax.config import ClipConfig, Experiment, GlideConfig, StageConfig

SIZE = 8
"""Pixels a side of a base model's pictures; an upsampler draws twice as many."""

SHARED = {
    "cpu_devices": 1,
    "data.source": "shapes/32",
    "data.path": "",
    "data.workers": 0,
    "text.tokenizer": "sentencepiece",
    "text.vocab_size": 320,
    "text.length": 16,
    "evaluation.splits": ("test",),
    "evaluation.num_captions": 2,
}
TRAINING = {
    "init_from": "",
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
    "sample_every_steps": 16,
}
LEARNING = {"classifier": {"learning_rate": 1e-2}}
"""What a family needs to learn something in so few steps."""

SAMPLING = {"steps": "4", "batch_size": 8}
UNET = {
    "channels": 32,
    "channel_mult": (1, 1),
    "num_res_blocks": 1,
    "norm_groups": 8,
    "dtype": "float32",
}
TEXT = {"text_width": 32, "text_layers": 1, "text_heads": 2}
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
    whole = config.experiment_from(config.load_config(path))
    changes = dict(SHARED)
    if whole.text_pretraining:
        lesson = TRAINING | {"num_steps": 10}
        changes |= {"text_pretraining.hidden_width": 8}
        changes |= _under("text_pretraining.training", lesson)
    for name, stage in whole.stages.items():
        prefix = "" if name == config.BASE else f"{name}."
        changes |= _under(f"{prefix}model", _model(stage))
        changes |= _under(f"{prefix}training", TRAINING | LEARNING.get(stage.model.family, {}))
        changes |= _under(f"{prefix}sampling", SAMPLING)
    changes |= {
        "labels": whole.labels and (0, 1),
        "prompts": whole.prompts[:2],
        # That of the grids: what draws them is compiled already.
        "evaluation.guidance_scales": (whole.sampling.guidance_scale,),
    }
    words = [f"{key}={value}" for key, value in changes.items()]
    return config.experiment_from(config.load_config(path, [*words, *overrides]))


def _under(section: str, values: dict) -> dict:
    return {f"{section}.{key}": value for key, value in values.items()}


def _model(stage: StageConfig) -> dict:
    model = stage.model
    if isinstance(model, ClipConfig):
        return CLIP
    low_res = bool(getattr(model, "low_res_size", 0))
    size = 2 * SIZE if low_res else SIZE
    changes = UNET | {"image_size": size, "attention_resolutions": (size // 2,)}
    if low_res:
        changes |= {"low_res_size": SIZE}
    if model.head_channels:
        changes |= {"head_channels": 16}
    if getattr(model, "num_classes", 0):
        changes |= {"num_classes": 48}
    return changes | (TEXT if isinstance(model, GlideConfig) else {})
