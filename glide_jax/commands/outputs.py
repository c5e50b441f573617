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


def save_sheet(output: PipelineOutput, file: Path) -> None:
    """Write the contact sheet. Raises DiskError where it can't be written."""
    save_image(contact_sheet(output), file)
