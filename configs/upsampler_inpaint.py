"""GLIDE's released upsampler, taught to inpaint: 64×64 → 256×256 where a part is known.

    python -m glide_jax.main --config=configs/upsampler_inpaint.py --workdir=runs/upsampler_inpaint

Hardware: as configs/upsampler.py, whose workdir, runs/upsampler, it begins from. Expected: no one
has run it at this size; before the first step it draws what that upsampler does.

Where the figures come from.
GLIDE's paper (Nichol et al. 2021, sec. 4.3): the whole low-res picture is shown, and of the large
one what is not erased. The steps are an estimate: of this model the paper gives none. The rest as
in configs/inpaint.py.
"""

from pathlib import Path

from glide_jax.config import load_config


def get_config():
    config = load_config(Path(__file__).with_name("upsampler.py"))
    config.update(
        model=dict(inpaint=True),
        training=dict(init_from="runs/upsampler", num_steps=160_000, learning_rate=1e-5),
    )
    return config
