"""A noisy classifier for the quickstart's base model, learned from nothing on two CPU cores.

    python -m glide_jax.main --config=configs/classifier_quickstart.py \\
        --workdir=runs/classifier_quickstart
    glide-jax sample --class 3 --checkpoint runs/quickstart \\
        --classifier runs/classifier_quickstart --classifier-scale 4

The class is that of an image's left or upper object, one of 8 colours and one of 6 shapes: 0 is a
red circle, 3 a green one, 8 a red square.

Hardware: two CPU cores, 2 GiB of memory. Time: some minutes. Expected: with the null caption it
leads a base model of 2,000 steps to its class in 17 % of 384 samples at scale 1 and in 36 % at 4,
where 1.6 % show it by chance (`glide-jax experiment classifier_guidance`).

Where the figures come from: the architecture is configs/classifier.py's; widths, steps and batch
are this project's.
"""

from glide_jax.config import load_config


def get_config():
    config, quickstart = load_config("classifier"), load_config("clip_quickstart")
    # The quickstart's images and noise: it guides that model.
    for section in ("seed", "cpu_devices", "data", "monitoring"):
        config[section] = quickstart[section]
    stage, clip = config.stages.classifier, quickstart.stages.clip
    stage.model.update(
        image_size=16,
        channels=32,
        norm_groups=8,
        channel_mult=(1, 2, 2, 2),
        num_res_blocks=1,
        attention_resolutions=(8, 4, 2),
        head_channels=32,
        resblock_updown=False,
        num_classes=48,
        dtype="float32",
    )
    stage.diffusion = clip.diffusion
    stage.training = clip.training
    stage.training.update(num_steps=800)
    return config
