"""GLIDE's upsampler at the paper's size: 64×64 and a caption → 256×256, 1.54 B parameters.

    python -m glide_jax.main --config=configs/upsampler_paper.py --workdir=runs/upsampler_paper

Hardware: 8 devices of 80 GB or a TPU pod: weights, average, optimizer and gradients alone are 29
GiB, which `training.fsdp` divides among devices. Time: by arithmetic 25 days on v5p-64
(docs/planning.md); for another machine, `glide-jax plan --config=configs/upsampler_paper.py
--topology=v5p-512`. Expected: nobody has trained it here.

Where the figures come from.
GLIDE's paper (Nichol et al. 2021, arXiv 2112.10741), sec. 4.1: ADM's ImageNet upsampler with 384
channels; a text transformer of width 1024; 1.5 B parameters; 1.6 M steps of 512 images.
ADM (Dhariwal & Nichol 2021, arXiv 2105.05233), app. I, column 64 → 256, as far as the paper
follows it: multiples 1, 1, 2, 2, 4, 4, two residual blocks a level, attention at 32, 16 and 8.
What the paper does not say: the transformer's layers (16 here, as in the released models, which
comes to the paper's 1.5 B; the base model's 24 would make it 1.64 B) and heads (16 here, 64
channels each), the learning rate, how the low-res image is made, whether captions are dropped.
The rest as in configs/upsampler.py, from which it derives, and in configs/base_paper.py.
"""

from glide_jax.config import load_config


def get_config():
    config = load_config("upsampler")
    config.stages.upsampler.update(
        model=dict(channels=384, text_width=1024, text_layers=16, text_heads=16, remat="blocks"),
        training=dict(num_steps=1_600_000, fsdp=8),
    )
    return config
