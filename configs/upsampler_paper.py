"""GLIDE's upsampler at the paper's size: 64×64 and a caption → 256×256, 1.54 B parameters.

    python -m glide_jax.main --config=configs/upsampler_paper.py --workdir=runs/upsampler_paper

Hardware: 8 devices of 80 GB or a pod: weights, average, optimizer and gradients alone are 29 GiB,
which training.fsdp shares out. Time: an estimate is in docs/planning.md; of another machine, ask
`glide-jax plan --config=configs/upsampler_paper.py --topology=v5p-512`. Expected: no one has run
it.

Where the figures come from.
GLIDE's paper (Nichol et al. 2021, arXiv 2112.10741), sec. 4.1: ADM's ImageNet upsampler with 384
channels; a text transformer of width 1024; 1.5 B parameters; 1.6 M steps of 512 pictures.
ADM (Dhariwal & Nichol 2021, arXiv 2105.05233), app. I, column 64 → 256, as far as the paper
follows it: multiples 1, 1, 2, 2, 4, 4, two residual blocks a level, attention at 32, 16 and 8.
What the paper does not say: the transformer's layers (16 here, as in the released models, which
comes to the paper's 1.5 B; the base model's 24 would make it 1.64 B) and heads (16 here, 64
channels each), the learning rate, how the low-res picture is made, whether captions are dropped.
The rest as in the config it begins from, and in configs/base_paper.py.
"""

from pathlib import Path

from glide_jax.config import load_config


def get_config():
    config = load_config(Path(__file__).with_name("upsampler.py"))
    config.update(
        model=dict(channels=384, text_width=1024, text_layers=16, text_heads=16, remat="blocks"),
        training=dict(num_steps=1_600_000, fsdp=8),
    )
    return config
