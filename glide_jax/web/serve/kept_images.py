"""Images in memory, uploads and results, under names that nobody can guess."""

import secrets
import threading
from collections import Counter, OrderedDict
from typing import NamedTuple

MAX_BYTES = 256 * 2**20
"""Of PNGs, of everybody together."""

MAX_COUNT = 4000


class KeptImage(NamedTuple):
    """An image that is kept for a while.

    Attributes:
        client: whose it is.
        png: the file.
        width, height: in pixels.
    """

    client: str
    png: bytes
    width: int
    height: int


class KeptImages:
    """The images; thread-safe.

    Where there is no more room, the oldest image goes of whoever has most: nobody's images are lost
    because somebody else makes many.

    Args:
        max_bytes: of all PNGs together.
        max_count: of images.
    """

    def __init__(self, max_bytes: int = MAX_BYTES, max_count: int = MAX_COUNT):
        self._max_bytes, self._max_count = max_bytes, max_count
        self._images: OrderedDict[str, KeptImage] = OrderedDict()
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, image: KeptImage) -> str:
        """Keep an image; its name, which is the only way to it."""
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._images[name] = image
            self._held[image.client] += len(image.png)
            while len(self._images) > 1 and self._is_full():
                self._forget_one(name)
        return name

    def find(self, name: str) -> KeptImage | None:
        """The image of a name; None: there is none, or none any more. It is the newest again."""
        with self._lock:
            found = self._images.get(name)
            if found is not None:
                self._images.move_to_end(name)
            return found

    @property
    def num_bytes(self) -> int:
        """Of all PNGs together."""
        with self._lock:
            return self._held.total()

    def _is_full(self) -> bool:
        return self._held.total() > self._max_bytes or len(self._images) > self._max_count

    def _forget_one(self, newest: str) -> None:
        old = [name for name in self._images if name != newest]
        (most, _), *_ = self._held.most_common(1)
        of_most = (name for name in old if self._images[name].client == most)
        forgotten = self._images.pop(next(of_most, old[0]))
        self._held[forgotten.client] -= len(forgotten.png)
        self._held += Counter()  # without those who have nothing
