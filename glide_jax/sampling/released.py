"""OpenAI's released models as workdirs in the cache folder, imported there once."""

from pathlib import Path

from glide_jax.cache import cache_folder
from glide_jax.interop import released
from glide_jax.interop.download import download
from glide_jax.interop.importing import import_checkpoint


def released_workdirs(*, inpaint: bool, clip: bool) -> tuple[Path, Path | None]:
    """The workdir of base model and upsampler, and CLIP's if it is wanted.

    Args:
        inpaint: the models that were trained to inpaint.
        clip: with the noised CLIP.

    Raises:
        UserError: a file can't be had; the message says what to fetch, and where to put it.
    """
    names = ("base-inpaint", "upsample-inpaint") if inpaint else ("base", "upsample")
    workdir = _workdir("glide-inpaint" if inpaint else "glide", names)
    return workdir, _workdir("clip", ("clip",)) if clip else None


def _workdir(folder: str, names: tuple[str, ...]) -> Path:
    workdir = cache_folder() / "workdirs" / folder
    if not workdir.is_dir():
        public = [file for name in names for file in released.model_files(name)]
        files = [download(file.name) for file in public]
        import_checkpoint(files, names, workdir)
    return workdir
