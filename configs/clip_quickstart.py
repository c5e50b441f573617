"""A noised CLIP for the quickstart's base model, learned from nothing on two CPU cores.

    python -m glide_jax.main --config=configs/clip_quickstart.py --workdir=runs/clip_quickstart
    glide-jax sample "a large yellow ring" --checkpoint runs/quickstart \\
        --clip runs/clip_quickstart --clip-scale 1

Hardware: two CPU cores, 2 GiB of memory. Time: 15 minutes beside other work. Expected: among 64
captions of `compositional`, which training never saw, 83 % of images find their own at t = 0, 76 %
at t = 500, 45 % at t = 749, and none at t = 999 (`glide-jax experiment retrieval`); the scale of
the cosine ends at 22.6.

Where the figures come from: the architecture and the scale's beginning are configs/clip.py's;
widths, steps and batch are this project's.
"""

import ml_collections

from glide_jax.config import load_config


def get_config():
    config, quickstart = load_config("clip"), load_config("quickstart")
    # The quickstart's captions, images and noise: it guides that model.
    for section in ("seed", "cpu_devices", "data", "text", "monitoring"):
        config[section] = quickstart[section]
    base, stage = quickstart.stages.base, config.stages.clip
    stage.model.update(
        image=dict(image_size=16, patch_size=4, width=128, layers=4, heads=4, num_timesteps=1000),
        text=dict(width=128, layers=3, heads=4),
        embedding_width=64,
    )
    stage.diffusion = {key: base.diffusion[key] for key in stage.diffusion}
    training = {key: base.training[key] for key in stage.training}
    stage.training = ml_collections.ConfigDict(
        training | dict(batch_size=64, num_steps=3000, learning_rate=2e-3)
    )
    return config
