"""What of a checkpoint is needed, on this machine: in place, or fetched from a bucket."""

from collections.abc import Iterable
from pathlib import Path

from glide_jax.checkpoints.layout import part_of
from glide_jax.storage import Scratch, download, is_in_bucket

_OCDBT = "manifest.ocdbt"
"""In a state that is not stored array by array, as a disk's: it can't be fetched in part."""

_ABOUT_ARRAYS = (".zarray", ".zattrs", "zarr.json")


class Fetched:
    """The folder of one checkpoint, `folder` of which is local. What was fetched goes with it.

    Args:
        path: of the checkpoint.
    """

    def __init__(self, path: Path):
        self._path = path
        self._scratch = Scratch() if is_in_bucket(path) else None
        self.folder = self._scratch.folder if self._scratch else path
        self._parts: set[str] | None = None  # of the state that are here; None: nothing of it is

    def item(self, name: str) -> Path:
        """The local folder of `data` or `meta`. Raises OSError."""
        if self._scratch:
            download(self._path / name, self.folder / name)
        return self.folder / name

    def state(self, parts: Iterable[str] = ()) -> Path:
        """The local folder of the arrays.

        Args:
            parts: of the state, whose arrays are fetched; of the others what is known of them.

        Raises:
            OSError: an object can't be read, or the disk is full.
        """
        folder = self.folder / "state"
        if not self._scratch:
            return folder
        source, parts = self._path / "state", set(parts)
        if self._parts is not None and parts <= self._parts:
            return folder
        complete = (source / _OCDBT).exists()

        def wanted(name: str) -> bool:
            is_array = "/" in name and not name.startswith("array_metadatas/")
            return (
                complete or not is_array or name.endswith(_ABOUT_ARRAYS) or part_of(name) in parts
            )

        download(source, folder, wanted)
        self._parts = parts | (self._parts or set())
        return folder
