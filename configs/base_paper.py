"""GLIDE's base model at the paper's size: 64×64 images, 3.55 B parameters.

    python -m glide_jax.main --config=configs/base_paper.py --workdir=runs/base_paper

Hardware: 8 devices of 80 GB or a TPU pod: weights, average, optimizer and gradients alone are 66
GiB, which `training.fsdp` divides among devices. Time: by arithmetic 56 days on v5p-64
(docs/planning.md); for another machine, `glide-jax plan --config=configs/base_paper.py
--topology=v5p-512`. Expected: nobody has trained it here; the paper reports a zero-shot FID of
12.24 on MS-COCO, with its upsampler (table 2).

Where the figures come from.
GLIDE's paper (Nichol et al. 2021, arXiv 2112.10741), sec. 4.1: ADM's ImageNet 64×64 architecture
with 512 channels, 2.3 B parameters (2.24 B here); a text transformer of 24 layers and width 2048,
1.2 B (1.21 B here, and 0.11 B of embeddings); 2.5 M steps of 2048 images. Sec. 4.2: 20 % of the
captions dropped, in the paper by fine-tuning, here from the start.
ADM (Dhariwal & Nichol 2021, arXiv 2105.05233), table 11, column ImageNet 64, as far as the paper
follows it: multiples 1, 2, 3, 4, three residual blocks a level, heads of 64 channels.
What the paper does not say: the learning rate (1e-4 here, the default of its code, as in
configs/base.py; ADM's ImageNet 64 had 3e-4), warm-up, weight decay, dropout, the transformer's
heads (32 here: 64 channels each, as in ADM), the number of tokens.
This project: `model.remat`, and how batch and state are divided. The rest as in configs/base.py.
"""

from glide_jax.config import load_config


def get_config():
    config = load_config("base")
    config.stages.base.update(
        model=dict(channels=512, text_width=2048, text_layers=24, text_heads=32, remat="blocks"),
        training=dict(num_steps=2_500_000, fsdp=8),
    )
    return config
