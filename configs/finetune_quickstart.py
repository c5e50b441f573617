"""The quickstart's base model, taught hearts from 20 images by a low-rank adapter, on a CPU.

    python benchmarks/hearts.py --out=hearts
    python -m glide_jax.main --config=configs/finetune_quickstart.py --workdir=runs/hearts
    glide-jax sample "a blue florp" --checkpoint runs/quickstart \\
        --adapter runs/hearts/base/adapter.safetensors

Hardware: two CPU cores, 2 GiB of memory. Time: about a minute of one core's time. It starts from
runs/quickstart, trained by configs/quickstart.py. Expected: hearts in the colours of
the images, roughly so in others, and the shapes almost as they were: docs/training.md has figures.

Half of each batch are images of `shapes`, so that the model keeps them. Without:
`--config.data.prior=none`. Your own images: `--config.data.path=FOLDER`.

Where the figures come from: this project.
"""

from glide_jax.config import load_config


def get_config():
    config = load_config("quickstart")
    del config.text_pretraining, config.stages.upsampler
    config.data.update(
        source="folder",
        path="hearts",
        prior=dict(source="shapes/64", path="", split="train", share=0.5),
    )
    config.stages.base.training.update(
        init_from="runs/quickstart",
        adapter=dict(rank=8, alpha=8.0, weights=("attention", "dense", "convolutions", "text")),
        optimizer="adamw",
        num_steps=400,
        learning_rate=2e-3,
        lr_warmup_steps=20,
        weight_decay=0.0,
        ema_decay=0.98,
        sample_every_steps=400,
    )
    config.prompts = (
        "a red florp",
        "a purple florp on a grey background",
        # In colours, and on a ground, that no heart is shown in.
        "a blue florp",
        "a yellow florp",
        "a pink florp on a mint background",
        # What it knew.
        "a green circle on a white background",
        "a red star above a blue square",
        "a yellow square to the left of a cyan star",
    )
    config.evaluation = None
    return config
