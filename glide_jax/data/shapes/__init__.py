"""Coloured shapes that stand left of, right of, above and below each other: "shapes/64".

Made here, nothing is downloaded; the path is the folder to keep it in, "" TFDS's own. `test` shows
what `train` shows; `compositional` shows colours of shapes, and relations of shapes, that `train`
never does. `scorer` tells whether a picture is what a caption asserts.
"""

from glide_jax.data.source import Source
from glide_jax.errors import unknown_name


def prepare(variant: str, path: str) -> None:
    """Draw the data set, once.

    Args:
        variant: the pictures' side in pixels, "32", "64", "128" or "256".
        path: the folder to keep it in; "": TFDS_DATA_DIR, else TFDS's default.

    Raises:
        UserError: unknown variant, no room.
    """
    from glide_jax.data import prepared

    prepared.prepare(_builder(variant, path))


def open_split(variant: str, path: str, split: str) -> Source:
    """Open "train", "test", "compositional" or a slice of one; arguments as `prepare`.

    Raises:
        UserError: unknown variant or split, not prepared.
    """
    from glide_jax.data import prepared

    return prepared.open_split(_builder(variant, path), split)


def _builder(variant: str, path: str):
    # Imported here: the scorer lives in this package and has no use for TFDS.
    from glide_jax.data import prepared
    from glide_jax.data.shapes import builder

    known = [str(size) for size in builder.SIZES]
    if variant not in known:
        raise unknown_name("size of shapes", variant, known)
    return builder.Shapes(config=variant, data_dir=path or prepared.data_dir())
