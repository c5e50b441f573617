"""Every emoji of a colour font, captioned with its name: "emoji/32", "emoji/64", "emoji/128".

The path is the font's; "" is where Debian puts Noto Color Emoji. The `test` split has combinations
of a person and a skin tone that `train` does not have.
"""

from glide_jax.data import prepared
from glide_jax.data.emoji import builder
from glide_jax.errors import unknown_name


def prepare(variant: str, path: str) -> None:
    """Render the data set, once.

    Args:
        variant: the images' side in pixels, "32", "64" or "128".
        path: a colour-emoji font; "": Debian's.

    Raises:
        UserError: unknown variant, no font, no raqm, or no room on the disk.
    """
    prepared.prepare(_builder(variant, path))


def open_split(variant: str, path: str, split: str) -> prepared.PreparedSource:
    """Open "train", "test" or a slice of one; arguments as for `prepare`.

    Raises:
        UserError: unknown variant or split, or not prepared.
    """
    return prepared.open_split(_builder(variant, path), split)


def _builder(variant: str, path: str) -> builder.Emoji:
    known = [str(size) for size in builder.SIZES]
    if variant not in known:
        raise unknown_name("size of emoji", variant, known)
    config = builder.config(int(variant), path) if path else variant
    return builder.Emoji(config=config, data_dir=prepared.data_dir())
