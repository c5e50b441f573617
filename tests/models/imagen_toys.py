"""A small Imagen, whose text encoder is not here."""

from glide_jax.config import ImagenConfig

CONFIG = ImagenConfig(
    family="imagen",
    image_size=8,
    low_res_size=0,
    aug_level_conditioning=False,
    guidance_range=(),
    channels=16,
    channel_mult=(1, 2),
    num_res_blocks=1,
    attention_resolutions=(4,),
    self_attention_resolutions=(4,),
    head_channels=8,
    norm_groups=4,
    dropout=0.0,
    scale_shift_norm=True,
    resblock_updown=True,
    layout="adm",
    activation="silu",
    embedding_activation="block",
    skip_scale="residual",
    time_width=48,
    encoder_width=24,
    text_width=16,
    text_layers=0,
    text_norm="layer",
    text_mask="masked",
    pool_heads=3,
    enlargement="half_pixel",
    dtype="float32",
    remat="none",
)
EFFICIENT = {
    "layout": "efficient",
    "resblock_updown": False,
    "attention_resolutions": (2,),
    "self_attention_resolutions": (),
}
"""Changes that make it an Efficient U-Net without self-attention."""
