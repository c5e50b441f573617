"""Imagen's first upsampler: 64×64 and a caption → 256×256, an Efficient U-Net of 600 M parameters.

    python -m glide_jax.main --config=configs/imagen_256.py --workdir=runs/imagen_256 \\
        --config.text.embeddings=embeddings

Embeddings are written as for configs/imagen_base.py, which is another run.

Hardware: GPUs of 80 GB, or a TPU pod. Time: docs/planning.md has it by arithmetic. Expected: nobody
has trained it here.

Where the figures come from.
Imagen's paper (Saharia et al. 2022): the blocks of each level, self-attention at the last (app. F);
the order of a level's blocks and the scaled skips (app. B.1); noise of every level on the low-res
image, on which the model is conditioned (sec. 2.4); 10 % of the captions dropped, batches of 2048.
DeepFloyd IF: level 0.25 to sample, guidance of 4.
The rest as in configs/imagen_base.py.
"""

from glide_jax.config import load_config


def get_config():
    config = load_config("imagen_base")
    stage = config.stages.base
    stage.update(
        model=dict(
            layout="efficient",
            image_size=256,
            low_res_size=64,
            aug_level_conditioning=True,
            channels=128,
            channel_mult=(1, 2, 4, 8),
            num_res_blocks=(2, 4, 8, 8),
            attention_resolutions=(16,),
            self_attention_resolutions=(16,),
            resblock_updown=False,
            skip_scale="residual",
            time_width=512,
            text_width=512,
            text_layers=0,
        ),
        training=dict(batch_size=2048, microbatch_size=2, max_aug_level=1.0),
        sampling=dict(guidance_scale=4.0, aug_level=0.25, steps="128", resamples=1),
    )
    config.stages = dict(upsampler=stage)
    config.update(data=dict(source="shapes/256"), evaluation=dict(guidance_scales=(1.0,)))
    return config
