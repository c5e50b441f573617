"""GLIDE's noised CLIP at its published size: two encoders, 86 M and 72 M parameters.

The published weights come in by

    glide-jax download clip
    glide-jax import clip_image_enc.pt clip_text_enc.pt --as clip --out runs/clip

and carry this. They are trained elsewhere: as CLIP draws no pictures,

    python -m glide_jax.main --config=configs/clip.py --workdir=runs/clip

says so and ends.

Where the figures come from. GLIDE's released code: the architecture, its tokenizer, and the
noise that its pictures had, which is the base model's (Nichol et al. 2021, sec. 4.4). The sections
`training`, `sampling` and `evaluation` are those of configs/base.py and ask nothing of a CLIP.
"""

from pathlib import Path

from glide_jax.config import load_config


def get_config():
    config = load_config(Path(__file__).with_name("base.py"))
    config.model = dict(
        family="clip",
        image=dict(image_size=64, patch_size=4, width=768, layers=12, heads=12, num_timesteps=1000),
        text=dict(width=512, layers=12, heads=8),
        embedding_width=512,
        dtype="float32",
    )
    config.update(
        # CLIP's tokenizer gives ids below 49,408; the published table has rows for more.
        text=dict(tokenizer="clip_bpe", vocab_size=65_536, length=77),
        diffusion=dict(learn_variance=False, vlb_weight=0.0),
        training=dict(caption_dropout=0.0),
        sampling=dict(guidance_scale=1.0),
        prompts=(
            "a red circle above a blue square",
            "a small green triangle on a mint background",
        ),
        evaluation=dict(guidance_scales=(1.0,)),
    )
    return config
