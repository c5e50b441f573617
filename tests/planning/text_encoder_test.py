"""What `glide-jax plan` says of a frozen text encoder."""

import pytest

from glide_jax.config import FrozenTextConfig
from glide_jax.planning.text_encoder import encoder_line


@pytest.mark.parametrize(
    ("encoder", "dtype", "what"),
    [
        ("t5-v1_1-xxl", "bfloat16", "4,762 M parameters, 8.87 GiB in bfloat16"),
        ("t5-v1_1-base", "float32", "110 M parameters, 0.408 GiB in float32"),
        ("t5", "bfloat16", "its size is in its files"),
    ],
)
def test_its_weights_are_counted(encoder, dtype, what):
    """The counts are those of the released encoders' public configurations."""
    config = FrozenTextConfig(
        encoder=encoder,
        weights="",
        embeddings="",
        length=128,
        padding=False,
        cleaning="none",
        dtype=dtype,
    )
    assert what in encoder_line(config)
