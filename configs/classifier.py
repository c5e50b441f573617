"""ADM's noisy classifier of ImageNet 64×64 at its published size, 65 M parameters.

    python -m glide_jax.main --config=configs/classifier.py --workdir=runs/classifier

Hardware: a GPU of 80 GB, or several; the start says how long it would take. It learns classes as
configs/adm_imagenet64.py does, from the same data, and draws nothing: it guides,

    glide-jax sample --class 1 --checkpoint runs/adm_imagenet64 \\
        --classifier runs/classifier --classifier-scale 1

`metrics.jsonl` has its `accuracy`, over pictures of every noise level, so that even a perfect one
stays far from 1. Expected: no one has trained it here. The published one comes in by

    glide-jax download adm-64-classifier
    glide-jax import 64x64_classifier.pt --as adm-64-classifier --out runs/adm-64-classifier

Where the figures come from.
ADM (Dhariwal & Nichol 2021, arXiv 2105.05233), table 12, column ImageNet 64: the architecture, the
noise, 300,000 steps of 1024 pictures, a learning rate of 6e-4, and a weight decay of 0.2.
ADM's code: a learning rate that falls linearly to 0; of what there is here, a cosine is nearest.
This project: warm-up, clipping, EMA and bfloat16. The sections `text`, `sampling` and `evaluation`
ask nothing of a classifier.
"""

from pathlib import Path

from glide_jax.config import load_config


def get_config():
    config = load_config(Path(__file__).with_name("base.py"))
    config.model = dict(
        family="classifier",
        image_size=64,
        channels=128,
        channel_mult=(1, 2, 3, 4),
        num_res_blocks=4,
        attention_resolutions=(32, 16, 8),
        head_channels=64,
        norm_groups=32,
        dropout=0.0,
        scale_shift_norm=True,
        resblock_updown=True,
        num_classes=1000,
        dtype="bfloat16",
        remat="none",
    )
    config.update(
        text=dict(vocab_size=2, length=1),
        diffusion=dict(learn_variance=False, vlb_weight=0.0),
        training=dict(
            batch_size=1024,
            num_steps=300_000,
            optimizer="adamw",
            learning_rate=6e-4,
            lr_decay="cosine",
            weight_decay=0.2,
            caption_dropout=0.0,
        ),
        sampling=dict(steps="250", guidance_scale=1.0),
        prompts=(),
        evaluation=dict(splits=("test",), guidance_scales=(1.0,)),
    )
    return config
