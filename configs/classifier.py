"""ADM's noisy classifier of ImageNet 64×64 at its published size, 65 M parameters.

    python -m glide_jax.main --config=configs/classifier.py --workdir=runs/classifier

Hardware: one GPU of 80 GB, or several. Time: not measured; the first lines of a run estimate it. It
learns the classes of configs/adm_imagenet64.py from the same data and generates no images: it
guides the sampling of that model,

    glide-jax sample --class 1 --checkpoint runs/adm_imagenet64 \\
        --classifier runs/classifier --classifier-scale 1

`metrics.jsonl` has its `accuracy`, over images of all noise levels: the noisiest show no class, so
that even a perfect classifier stays far from 1. Expected: nobody has trained it here. To import the
published one:

    glide-jax download adm-64-classifier
    glide-jax import 64x64_classifier.pt --as adm-64-classifier --out runs/adm-64-classifier

Where the figures come from.
ADM (Dhariwal & Nichol 2021, arXiv 2105.05233), table 12, column ImageNet 64: the architecture, the
noise, 300,000 steps of 1024 images, a learning rate of 6e-4, and a weight decay of 0.2.
ADM's code: a learning rate that falls linearly to 0; the cosine here is the nearest to it.
This project: warm-up, clipping, EMA and bfloat16.
"""

from glide_jax.config import load_config


def get_config():
    # A guide of the same base model as CLIP: with its noise.
    config = load_config("clip")
    stage = config.stages.clip
    stage.model = dict(
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
    stage.training.update(
        batch_size=1024,
        microbatch_size=4,
        num_steps=300_000,
        learning_rate=6e-4,
        lr_warmup_steps=1000,
        lr_decay="cosine",
        weight_decay=0.2,
    )
    config.stages = dict(classifier=stage)
    del config.text
    return config
