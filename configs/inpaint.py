"""GLIDE's released base model, taught to inpaint: 64×64 pictures of which a part is known.

    python -m glide_jax.main --config=configs/inpaint.py --workdir=runs/inpaint

Hardware: as configs/base.py, whose workdir, runs/base, it begins from: trained by that config, or
imported, with `--config.text.tokenizer=gpt2`. Expected: no one has run it at this size; before
the first step it draws what the base model does.

Where the figures come from.
GLIDE's paper (Nichol et al. 2021, sec. 4.3): four input channels more, their weights 0 at first;
random regions erased. 500,000 steps (app. B.1).
This project, an estimate: which regions, and a tenth of the learning rate of configs/base.py, of
which the paper says nothing.
"""

from pathlib import Path

from glide_jax.config import load_config


def get_config():
    config = load_config(Path(__file__).with_name("base.py"))
    config.update(
        model=dict(inpaint=True),
        training=dict(init_from="runs/base", num_steps=500_000, learning_rate=1e-5),
    )
    return config
