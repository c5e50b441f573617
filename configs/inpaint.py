"""GLIDE's released base model, fine-tuned to inpaint: 64×64 images of which a part is known.

    python -m glide_jax.main --config=configs/inpaint.py --workdir=runs/inpaint

Hardware: as configs/base.py. Time: by arithmetic about half of configs/base.py's, for half of its
steps; the first lines of a run estimate it. It starts from runs/base, trained by configs/base.py,
or imported, with `--config.text.tokenizer=gpt2`. Expected: nobody has run it at this size; before
the first step it samples as the base model does.

Where the figures come from.
GLIDE's paper (Nichol et al. 2021, sec. 4.3): four more input channels, their weights initially 0;
random regions erased. 500,000 steps (app. B.1).
This project, an estimate: which regions, and a tenth of the learning rate of configs/base.py; the
paper gives neither.
"""

from glide_jax.config import load_config


def get_config():
    config = load_config("base")
    config.stages.base.update(
        model=dict(inpaint=True),
        training=dict(init_from="runs/base", num_steps=500_000, learning_rate=1e-5),
    )
    return config
