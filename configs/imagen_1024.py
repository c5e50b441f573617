"""Imagen's second upsampler: 256×256 and a caption → 1024×1024, an Efficient U-Net of 400 M.

    python -m glide_jax.main --config=configs/imagen_1024.py --workdir=runs/imagen_1024 \\
        --config.text.embeddings=embeddings

It is trained on crops, 64×64 → 256×256: no pixel of it attends to others, so that what it learns
there holds for the whole image. Embeddings are written as for configs/imagen_base.py.

Hardware: GPUs of 80 GB, or a TPU pod. Time: docs/planning.md has it by arithmetic. Expected: nobody
has trained it here.

Where the figures come from.
Imagen's paper (Saharia et al. 2022): blocks, attention to the text alone, crops (app. B.1
and F; sec. 4.1). DeepFloyd IF: almost no noise on the low-res image to sample.
The rest as in configs/imagen_256.py.
"""

from glide_jax.config import load_config


def get_config():
    config = load_config("imagen_256")
    stage = config.stages.upsampler
    stage.update(
        model=dict(
            image_size=1024,
            low_res_size=256,
            attention_resolutions=(64,),
            self_attention_resolutions=(),
        ),
        training=dict(crop_size=256),
        sampling=dict(aug_level=0.1, steps="64", batch_size=1),
    )
    config.stages = dict(upsampler_1024=stage)
    config.update(data=dict(source="shapes/1024"))
    return config
