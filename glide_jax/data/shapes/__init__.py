"""Coloured shapes left of, right of, above and below each other: "shapes/64".

The data set is rendered, not downloaded; the path is the folder to keep it in, "" is TFDS's. `test`
has the pairs of colour and shape, and the relations of shapes, that `train` has; `compositional`
has others. `scorer` checks whether an image shows what a caption asserts.
"""

from glide_jax.data.source import Source
from glide_jax.errors import unknown_name


def prepare(variant: str, path: str) -> None:
    """Render the data set, once.

    Args:
        variant: the images' side in pixels, "32", "64", "128" or "256".
        path: the folder to keep it in; "": TFDS_DATA_DIR, else TFDS's default.

    Raises:
        UserError: unknown variant, the folder is one of images, or no room on the disk.
    """
    from glide_jax.data import prepared

    builder = _builder(variant, path)
    prepared.refuse_images(path, "shapes")
    prepared.prepare(builder)


def open_split(variant: str, path: str, split: str) -> Source:
    """Open "train", "test", "compositional" or a slice of one; arguments as for `prepare`.

    Raises:
        UserError: unknown variant or split, or not prepared.
    """
    from glide_jax.data import prepared

    return prepared.open_split(_builder(variant, path), split)


def _builder(variant: str, path: str):
    # Imported here, as the scorer is in this package and does without TFDS.
    from glide_jax.data import prepared
    from glide_jax.data.shapes import builder

    known = [str(size) for size in builder.SIZES]
    if variant not in known:
        raise unknown_name("size of shapes", variant, known)
    return builder.Shapes(config=variant, data_dir=path or prepared.data_dir())
