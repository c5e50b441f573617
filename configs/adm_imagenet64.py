"""ADM's class-conditional ImageNet 64×64 model at its published size, 296 M parameters.

    python -m glide_jax.main --config=configs/adm_imagenet64.py --workdir=runs/adm_imagenet64

Hardware: GPUs of 80 GB, or a TPU pod. Time: not measured; the first lines of a run estimate it.
ImageNet can't be redistributed: as it is, the config trains on this project's shapes, with a class
for each colour of a shape, and its sample grids show those of `labels`. For a copy of your own,

    --config.data.source='folder?label=folder' --config.data.path=~/imagenet/train

where each class is a folder (docs/data.md). Expected: nobody has trained it here. To import the
published model and sample from it:

    glide-jax download adm-64
    glide-jax import 64x64_diffusion.pt --as adm-64 --out runs/adm-64
    glide-jax sample --class 207 --checkpoint runs/adm-64

A classifier guides it (configs/classifier.py).

Where the figures come from.
ADM (Dhariwal & Nichol 2021, arXiv 2105.05233), table 11, column ImageNet 64: the architecture, the
noise, dropout, 540,000 steps of 2048 images, and a learning rate of 3e-4; its app. I: EMA of
0.9999, 250 steps of sampling.
ADM's code: learned variance, λ = 0.001 of Improved DDPM (Nichol & Dhariwal 2021, sec. 3.1), a
constant learning rate, no weight decay, the order of attention in its published weights.
This project: warm-up, clipping and bfloat16.
"""

from glide_jax.config import load_config


def get_config():
    config = load_config("base")
    stage = config.stages.base
    stage.model = dict(
        family="adm",
        image_size=64,
        low_res_size=0,
        aug_level_conditioning=False,
        guidance_range=(),
        channels=192,
        channel_mult=(1, 2, 3, 4),
        num_res_blocks=3,
        attention_resolutions=(32, 16, 8),
        head_channels=64,
        num_heads=0,
        attention_order="by_role",
        norm_groups=32,
        dropout=0.1,
        scale_shift_norm=True,
        resblock_updown=True,
        num_classes=1000,
        dtype="bfloat16",
        remat="none",
    )
    stage.update(
        training=dict(num_steps=540_000, learning_rate=3e-4, caption_dropout=0.0),
        sampling=dict(steps="250", guidance_scale=1.0),
    )
    del config.text, config.prompts, config.evaluation
    config.labels = (1, 11, 22, 32)
    return config
