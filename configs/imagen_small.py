"""An Imagen that one GPU of 24 GB trains: T5-base's embedding of a caption → 64×64 → 256×256.

    glide-jax encode --config=imagen_small --config.text.weights=DIR --out=embeddings
    python -m glide_jax.main --config=configs/imagen_small.py --workdir=runs/imagen_small \\
        --config.text.embeddings=embeddings

DIR holds T5 v1.1 base as people share it (docs/imagen.md).

Hardware: one GPU of 24 GB. Time: the first lines of a run estimate it for the machine at hand.
Expected: nobody has trained it here.

Where the figures come from: configs/imagen_base.py and configs/imagen_256.py, narrower; the batch
and the number of steps are this project's.
"""

from glide_jax.config import load_config


def get_config():
    config = load_config("imagen_base")
    upsampler = load_config("imagen_256").stages.upsampler
    config.stages.base.update(
        model=dict(channels=128, time_width=512, text_width=512, encoder_width=768),
        training=dict(batch_size=256, microbatch_size=32, num_steps=500_000),
    )
    upsampler.update(
        model=dict(channels=64, time_width=256, text_width=256, encoder_width=768, pool_heads=12),
        training=dict(batch_size=256, microbatch_size=8, num_steps=200_000),
    )
    config.stages.base.model.pool_heads = 12
    config.stages.upsampler = upsampler
    config.text.encoder = "t5-v1_1-base"
    config.data.source = "shapes/256"
    return config
