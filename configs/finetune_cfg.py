"""A base model fine-tuned on other images, for guidance: 20 % of the captions are dropped.

    python -m glide_jax.main --config=configs/finetune_cfg.py --workdir=runs/finetune_cfg

Hardware: one GPU of 80 GB. Time: not measured; the first lines of a run estimate it. It starts from
runs/base, trained by configs/base.py, or imported, with `--config.text.tokenizer=gpt2`. Expected:
nobody has run it at this size.

Where the figures come from.
GLIDE's paper (Nichol et al. 2021, sec. 4.2): 20 % of the captions dropped, which configs/base.py
has already; the rest of its fine-tuning is exactly as its training, for 500,000 steps (app. B.1).
This project, an estimate: the batch, the steps, the learning rate and EMA, for a data set far
smaller than GLIDE's.
"""

from glide_jax.config import load_config


def get_config():
    config = load_config("base")
    config.stages.base.update(
        training=dict(
            init_from="runs/base",
            batch_size=128,
            num_steps=20_000,
            learning_rate=1e-5,
            ema_decay=0.999,
        ),
    )
    return config
