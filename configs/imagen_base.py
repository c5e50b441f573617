"""Imagen's base model: T5-XXL's embedding of a caption → 64×64, 2 B parameters beside T5's 4.8 B.

    glide-jax encode --config=imagen_base --config.text.weights=DIR --out=embeddings
    python -m glide_jax.main --config=configs/imagen_base.py --workdir=runs/imagen_base \\
        --config.text.embeddings=embeddings

DIR holds T5-XXL as people share it: config.json, model-….safetensors, spiece.model
The first command needs T5's weights on the devices, and the second doesn't: the two never meet.

Hardware: a TPU pod, or GPUs of 80 GB. Time: docs/planning.md has it by arithmetic; the first lines
of a run estimate it for the machine at hand. Expected: nobody has trained it here.

Where the figures come from.
Imagen's paper (Saharia et al. 2022, arXiv 2205.11487): widths, blocks, where there is attention,
pooling and layer norms (app. F and B); batches of 2048, 2.5 M steps, a learning rate of 1e-4 after
10,000 steps of warm-up, 10 % of the captions dropped (sec. 4.1); 256 steps of DDPM, dynamic
thresholding at 0.995 (sec. 2.3, app. F). It optimizes the base model by Adafactor and the
upsamplers by Adam; here it is AdamW without decay for all.
This project: v-prediction, 128 tokens a caption, heads of 64 channels as in ADM, clipping,
bfloat16, an average of 0.9999, the images, and what `training` and `data` say of the machine.
"""

import ml_collections

from glide_jax.config import load_config


def get_config():
    config = load_config("base")
    config.text = ml_collections.ConfigDict(
        dict(
            encoder="t5-v1_1-xxl",
            weights="",
            embeddings="",
            length=128,
            padding=False,
            cleaning="none",
            dtype="bfloat16",
        )
    )
    stage = config.stages.base
    stage.model = ml_collections.ConfigDict(model())
    stage.update(
        diffusion=dict(prediction="v", learn_variance=False, vlb_weight=0.0),
        training=dict(num_steps=2_500_000, lr_warmup_steps=10_000, caption_dropout=0.1),
        sampling=dict(steps="256", guidance_scale=7.0, dynamic_threshold=0.995),
    )
    return config


def model():
    return dict(
        family="imagen",
        layout="adm",
        image_size=64,
        low_res_size=0,
        aug_level_conditioning=False,
        guidance_range=(),
        channels=512,
        channel_mult=(1, 2, 3, 4),
        num_res_blocks=(3, 3, 3, 3),
        attention_resolutions=(32, 16, 8),
        self_attention_resolutions=(32, 16, 8),
        head_channels=64,
        norm_groups=32,
        dropout=0.0,
        scale_shift_norm=True,
        resblock_updown=True,
        activation="silu",
        embedding_activation="block",
        skip_scale="none",
        time_width=2048,
        encoder_width=4096,
        text_width=2048,
        text_layers=0,
        text_norm="layer",
        text_mask="masked",
        pool_heads=64,
        enlargement="half_pixel",
        dtype="bfloat16",
        remat="none",
    )
