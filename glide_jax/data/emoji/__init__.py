"""Every emoji of a colour font, with its name for a caption: "emoji/32", "emoji/64", "emoji/128".

The path is the font's; "" is where Debian puts Noto Color Emoji. The `test` split holds
combinations of a person and a skin tone that `train` never shows.
"""

from glide_jax.data import prepared
from glide_jax.data.emoji import builder
from glide_jax.errors import unknown_name


def prepare(variant: str, path: str) -> None:
    """Draw the data set, once.

    Args:
        variant: the pictures' side in pixels, "32", "64" or "128".
        path: a colour-emoji font; "": Debian's.

    Raises:
        UserError: unknown variant, no font, no raqm, no room.
    """
    prepared.prepare(_builder(variant, path))


def open_split(variant: str, path: str, split: str) -> prepared.PreparedSource:
    """Open "train", "test" or a slice of one; arguments as `prepare`.

    Raises:
        UserError: unknown variant or split, not prepared.
    """
    return prepared.open_split(_builder(variant, path), split)


def _builder(variant: str, path: str) -> builder.Emoji:
    known = [str(size) for size in builder.SIZES]
    if variant not in known:
        raise unknown_name("size of emoji", variant, known)
    config = builder.config(int(variant), path) if path else variant
    return builder.Emoji(config=config, data_dir=prepared.data_dir())
