"""Features of one set of images, in a folder or in memory, in the order of the images.

    features.json     which net, weights, resize and outputs they are of
    images.digests    8 bytes an image: of its size and pixels
    OUTPUT.f32        one row of float32 after the other

An image is known if its digest is that of the image which had its place before. What comes after
the first one that is not known is cut off. Rows are written before digests, and counted by them: a
process that is killed leaves nothing that would be taken for features.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from glide_jax.evaluation.features.net import FeatureNet
from glide_jax.storage import Spool
from glide_jax.writing import atomic_path, disk_errors

DIGEST_BYTES = 8
_INDEX, _DIGESTS = "features.json", "images.digests"


class MemoryStore:
    """Features in memory; no image is known.

    Args:
        widths: of each output.
    """

    def __init__(self, widths: Mapping[str, int]):
        self._rows = {name: [np.zeros((0, width), np.float32)] for name, width in widths.items()}

    def known(self, start: int, images: np.ndarray) -> int:
        """How many of these images, the first of which is number `start`, are known: none."""
        return 0

    def read(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """The features of the images from `start` to `stop`, by output."""
        return {name: each[0][:0] for name, each in self._rows.items()}

    def append(self, images: np.ndarray, features: Mapping[str, np.ndarray]) -> None:
        """Add the features of images that come after those known, or added, before."""
        for name, rows in features.items():
            self._rows[name].append(rows)

    def features(self, count: int) -> dict[str, np.ndarray]:
        """All of them: f32[count d] by output."""
        return {name: np.concatenate(each) for name, each in self._rows.items()}


class FolderStore:
    """Features in a folder; it is locked to nobody, as two runs would write the same.

    Args:
        folder: made if it is not there.
        net: whose features they are; those of another are deleted.
        widths: of each output.
    """

    def __init__(self, folder: Path, net: FeatureNet, widths: Mapping[str, int]):
        self._folder, self._widths = folder, dict(widths)
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if not self._is_of(net):
                self._begin(net)
            self._files = {name: (folder / f"{name}.f32").open("a+b") for name in widths}
            self._digests = (folder / _DIGESTS).open("a+b")
        sizes = [self._size(file) // (4 * self._widths[name]) for name, file in self._files.items()]
        self._count = min(self._size(self._digests) // DIGEST_BYTES, *sizes)

    def known(self, start: int, images: np.ndarray) -> int:
        """See `MemoryStore.known`; what comes after the last known image is cut off."""
        known = 0
        if start < self._count:
            self._digests.seek(start * DIGEST_BYTES)
            stored = self._digests.read(DIGEST_BYTES * min(len(images), self._count - start))
            ours = b"".join(map(_digest, images))
            equal = [
                stored[i : i + DIGEST_BYTES] == ours[i : i + DIGEST_BYTES]
                for i in range(0, len(stored), DIGEST_BYTES)
            ]
            known = equal.index(False) if False in equal else len(equal)
        if known < len(images):
            self._cut(start + known)
        return known

    def read(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """See `MemoryStore.read`."""
        rows = {}
        for name, width in self._widths.items():
            self._files[name].seek(4 * width * start)
            data = self._files[name].read(4 * width * (stop - start))
            rows[name] = np.frombuffer(data, np.float32).reshape(stop - start, width)
        return rows

    def append(self, images: np.ndarray, features: Mapping[str, np.ndarray]) -> None:
        """See `MemoryStore.append`."""
        with disk_errors(self._folder):
            for name, rows in features.items():
                self._files[name].write(np.ascontiguousarray(rows, np.float32).tobytes())
                self._files[name].flush()
            self._digests.write(b"".join(map(_digest, images)))
            self._digests.flush()
        self._count += len(images)

    def features(self, count: int) -> dict[str, np.ndarray]:
        """See `MemoryStore.features`; mapped from the files."""
        if not count:  # an empty file can't be mapped
            return MemoryStore(self._widths).features(0)
        return {
            name: np.memmap(self._folder / f"{name}.f32", np.float32, "r", shape=(count, width))
            for name, width in self._widths.items()
        }

    def close(self) -> None:
        """Close the files."""
        for file in (*self._files.values(), self._digests):
            file.close()

    def _is_of(self, net: FeatureNet) -> bool:
        try:
            index = json.loads((self._folder / _INDEX).read_text("utf-8"))
        except (OSError, ValueError):
            return False
        return index == self._index(net)

    def _index(self, net: FeatureNet) -> dict[str, Any]:
        return {
            "net": net.name,
            "resize": net.resize,
            "fingerprint": net.fingerprint,
            "outputs": self._widths,
        }

    def _begin(self, net: FeatureNet) -> None:
        for file in (_DIGESTS, *(f"{name}.f32" for name in self._widths)):
            (self._folder / file).unlink(missing_ok=True)
        with atomic_path(self._folder / _INDEX) as part:
            part.write_text(json.dumps(self._index(net)) + "\n", "utf-8")

    def _cut(self, count: int) -> None:
        with disk_errors(self._folder):
            self._digests.truncate(count * DIGEST_BYTES)
            for name, file in self._files.items():
                file.truncate(4 * self._widths[name] * count)
        self._count = min(count, self._count)

    @staticmethod
    def _size(file: Any) -> int:
        return file.seek(0, 2)


@contextlib.contextmanager
def open_store(
    folder: Path | None, net: FeatureNet, widths: Mapping[str, int]
) -> Iterator[MemoryStore | FolderStore]:
    """A store in a folder, or in memory if there is none.

    Raises:
        DiskError: the folder can't be written.
    """
    if folder is None:
        yield MemoryStore(widths)
        return
    if jax.process_count() > 1:
        folder = folder / f"{jax.process_index()}-of-{jax.process_count()}"
    with disk_errors(folder):
        spool = Spool(folder, continued=(_INDEX, _DIGESTS, *(f"{name}.f32" for name in widths)))
    with spool, contextlib.closing(FolderStore(spool.folder, net, widths)) as store:
        yield store


def _digest(image: np.ndarray) -> bytes:
    head = f"{image.shape}".encode()
    return hashlib.blake2b(head + image.tobytes(), digest_size=DIGEST_BYTES).digest()
