"""What is written of sampled images: a PNG each, and a contact sheet."""

from pathlib import Path

from PIL import Image

from glide_jax.sampling.grid import grid, save_image
from glide_jax.sampling.output import PipelineOutput


def contact_sheet(output: PipelineOutput) -> Image.Image:
    """All images on one sheet, each above its prompt or class."""
    captions = [
        made.prompt if made.label is None else f"class {made.label}" for made in output.provenance
    ]
    return grid(output.arrays, captions)


def save_samples(output: PipelineOutput, folder: Path, sheet: Path | None) -> list[Path]:
    """Write a PNG per image and, where a path for it is given, the contact sheet.

    Args:
        output: the images.
        folder: for the images; made if it is not there.
        sheet: the contact sheet's file; None: there is none.

    Returns:
        The files.

    Raises:
        DiskError: they can't be written.
    """
    files = output.save(folder)
    if sheet is not None:
        save_image(contact_sheet(output), sheet)
    return files if sheet is None else [*files, sheet]
