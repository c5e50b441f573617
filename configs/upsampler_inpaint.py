"""GLIDE's released upsampler, fine-tuned to inpaint: 64×64 → 256×256 where a part is known.

    python -m glide_jax.main --config=configs/upsampler_inpaint.py --workdir=runs/upsampler_inpaint

Hardware: as configs/upsampler.py. Time: by arithmetic two fifths of configs/upsampler.py's, for two
fifths of its steps; the first lines of a run estimate it. It starts from runs/upsampler, trained
by that config. Expected: nobody has run it at this size; before the first step it samples as the
upsampler does.

Where the figures come from.
GLIDE's paper (Nichol et al. 2021, sec. 4.3): the model sees all of the low-res image, and what is
not erased of the large one. The number of steps is an estimate: the paper gives none for this
model. The rest as in configs/inpaint.py.
"""

from glide_jax.config import load_config


def get_config():
    config = load_config("upsampler")
    config.stages.upsampler.update(
        model=dict(inpaint=True),
        training=dict(init_from="runs/upsampler", num_steps=160_000, learning_rate=1e-5),
    )
    return config
