"""Stored text embeddings: captions encoded once, then read by training and sampling.

    DIR/embeddings.json        which encoder made them, and how
        00000-00000.npz        of each caption: its hash, where its rows begin, its number of tokens
        00000-00000.npy        the rows, [n d], as bfloat16

The first number of a shard is the process that wrote it. A shard is written under a temporary name
and renamed when it is complete, so that what was interrupted goes on where it stopped.
"""

import dataclasses
import functools
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from glide_jax.errors import UserError, a_few
from glide_jax.storage import local_copy, storage_path
from glide_jax.text.encoder import TextEmbedding, TextEncoder
from glide_jax.writing import atomic_path

INDEX = "embeddings.json"
SHARD_CAPTIONS = 4096
"""Captions of a shard; what an interruption loses at most."""

_BATCH = 256
_FORMAT = 1

OnEncoded = Callable[[int, int], object]
"""(captions encoded so far, those that were there included; of how many) → ignored."""


@dataclasses.dataclass(frozen=True)
class StoreIndex:
    """What a folder of embeddings says of itself.

    Attributes:
        encoder, fingerprint, width: of the TextEncoder.
        length: tokens that its captions were cut or padded to.
        padding: whether the encoder's output at padding was kept; if not, it reads as 0.
        cleaning: what was done to captions before they were encoded, as in `FrozenTextConfig`.
    """

    encoder: str
    fingerprint: str
    width: int
    length: int
    padding: bool
    cleaning: str


class EmbeddingStore:
    """A folder of text embeddings; a TextEncoder of the captions that are in it. Picklable.

    Args:
        folder: as `write_embeddings` left it.

    Raises:
        UserError: it is none, or another version of glide_jax wrote it.
    """

    def __init__(self, folder: str | Path):
        self.folder = storage_path(folder)
        self.index = read_index(self.folder)

    @property
    def name(self) -> str:
        """The encoder's."""
        return self.index.encoder

    @property
    def fingerprint(self) -> str:
        """The encoder's."""
        return self.index.fingerprint

    @property
    def width(self) -> int:
        """Channels of an embedding."""
        return self.index.width

    def __len__(self) -> int:
        """Number of captions."""
        return len(self._hashes)

    def __contains__(self, caption: str) -> bool:
        return self._place(caption) is not None

    def __getstate__(self) -> dict[str, Any]:
        # A data worker opens the files itself.
        return {"folder": self.folder, "index": self.index}

    def missing(self, captions: Sequence[str]) -> list[str]:
        """Those of the captions that are not in it."""
        there, _ = self.look_up(captions)
        return [caption for caption, found in zip(captions, there, strict=True) if not found]

    def look_up(self, captions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(bool[n]: whether each caption is in it, bool[n]: and its end was cut off)."""
        wanted = np.array([hash_of(caption) for caption in captions], np.uint64)
        if not len(self):
            return np.zeros(len(wanted), bool), np.zeros(len(wanted), bool)
        at = np.minimum(np.searchsorted(self._hashes, wanted), len(self) - 1)
        there = self._hashes[at] == wanted
        return there, there & self._cut[at]

    def encode(self, captions: Sequence[str], length: int) -> TextEmbedding:
        """Read the embeddings of captions.

        Raises:
            UserError: one is not there, or they were written for another length.
        """
        if length != self.index.length:
            raise UserError(
                f"{self.folder} holds embeddings of {self.index.length} tokens a caption, and the "
                f"config's text.length is {length}: encode them again with that, or change it"
            )
        if missing := self.missing(captions):
            raise UserError(
                f"{len(missing)} captions are not in {self.folder}, such as "
                f"{a_few([repr(caption) for caption in missing[:1]])}: add them with "
                "`glide-jax encode`"
            )
        embedding = np.zeros((len(captions), length, self.width), ml_dtypes.bfloat16)
        mask, cut = np.zeros((len(captions), length), bool), np.zeros(len(captions), bool)
        for row, caption in enumerate(captions):
            place = self._place(caption)
            assert place is not None
            shard, first, tokens = self._shards[place[0]], *self._rows(*place)
            kept = length if self.index.padding else tokens
            rows = shard.embedding[first : first + kept]
            embedding[row, :kept] = rows.view(ml_dtypes.bfloat16)
            mask[row, :tokens] = True
            cut[row] = shard.cut[place[1]]
        return TextEmbedding(embedding, mask, cut)

    def _rows(self, shard: int, row: int) -> tuple[int, int]:
        opened = self._shards[shard]
        return int(opened.first[row]), int(opened.tokens[row])

    def _place(self, caption: str) -> tuple[int, int] | None:
        """(shard, its row) of a caption; None: it is not there."""
        wanted = hash_of(caption)
        at = int(np.searchsorted(self._hashes, wanted))
        if at == len(self._hashes) or self._hashes[at] != wanted:
            return None
        shard, row = self._places[at]
        return int(shard), int(row)

    @functools.cached_property
    def _shards(self) -> list["_Shard"]:
        return [_open_shard(path, self.width) for path in _shards_of(self.folder)]

    @functools.cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        each = [shard.hashes for shard in self._shards] or [np.zeros(0, np.uint64)]
        hashes = np.concatenate(each)
        sizes = [len(part) for part in each]
        rows = np.concatenate([np.arange(size) for size in sizes])
        places = np.stack([np.repeat(np.arange(len(each)), sizes), rows], axis=1)
        order = np.argsort(hashes, kind="stable")
        return hashes[order], places[order]

    @functools.cached_property
    def _cut(self) -> np.ndarray:
        """bool[n], in the order of `_hashes`."""
        each = [shard.cut for shard in self._shards]
        first = np.cumsum([0, *map(len, each)])
        shards, rows = self._places.T
        return np.concatenate(each)[first[shards] + rows]

    @property
    def _hashes(self) -> np.ndarray:
        return self._sorted[0]

    @property
    def _places(self) -> np.ndarray:
        return self._sorted[1]


@dataclasses.dataclass(frozen=True)
class _Shard:
    hashes: np.ndarray
    first: np.ndarray
    tokens: np.ndarray
    cut: np.ndarray
    embedding: np.ndarray


def is_store(folder: Path) -> bool:
    """Whether a folder holds embeddings."""
    return (folder / INDEX).is_file()


def read_index(folder: Path) -> StoreIndex:
    """What a folder of embeddings says of itself. Raises UserError as `EmbeddingStore`."""
    try:
        values = json.loads((folder / INDEX).read_text())
        if values.pop("format") != _FORMAT:
            raise ValueError
        return StoreIndex(**values)
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} holds no text embeddings: write them with `glide-jax encode`"
        ) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{folder / INDEX} is damaged, or of another version of glide_jax: encode again into "
            "another folder"
        ) from error


def write_embeddings(
    encoder: TextEncoder,
    captions: Iterable[str],
    folder: Path,
    *,
    length: int,
    padding: bool,
    cleaning: str,
    process: tuple[int, int] = (0, 1),
    on_encoded: OnEncoded | None = None,
) -> EmbeddingStore:
    """Encode the captions that a folder lacks, and the null caption "".

    Stopped at any time, the same call goes on; only the shard that was being written is lost.

    Args:
        encoder: the frozen encoder.
        captions: any; each is encoded once.
        folder: made if it is not there.
        length, padding, cleaning: see `StoreIndex`; the encoder does the cleaning.
        process: (which of the processes that write into the folder, how many there are); each
            encodes its share of the captions.
        on_encoded: called after every batch.

    Returns:
        What is there then. Other processes may not be done yet.

    Raises:
        UserError: the folder holds embeddings of another encoder, length or padding.
        DiskError: it can't be written.
    """
    wanted = StoreIndex(encoder.name, encoder.fingerprint, encoder.width, length, padding, cleaning)
    _begin(folder, wanted)
    store = EmbeddingStore(folder)
    number, count = process
    mine = [c for i, c in enumerate(dict.fromkeys(["", *captions])) if i % count == number]
    left = store.missing(mine)
    done, shard = len(mine) - len(left), len(list(folder.glob(f"{number:05d}-*.npy")))
    for start in range(0, len(left), SHARD_CAPTIONS):
        part = left[start : start + SHARD_CAPTIONS]
        rows, offset = [], done + start
        for at, batch in _batches(part):
            rows.append(_encoded(encoder, batch, length, padding))
            if on_encoded is not None:
                on_encoded(offset + at + len(batch), len(mine))
        _write_shard(folder / f"{number:05d}-{shard:05d}", part, rows)
        shard += 1
    return EmbeddingStore(folder)


def hash_of(caption: str) -> np.uint64:
    """The first 64 bits of the caption's SHA-256: in 12 M captions, two meet once in 250,000."""
    # A lone surrogate, from a wrongly set terminal, is no UTF-8.
    encoded = caption.encode("utf-8", "surrogatepass")
    return np.frombuffer(hashlib.sha256(encoded).digest()[:8], "<u8")[0]


def _begin(folder: Path, wanted: StoreIndex) -> None:
    if is_store(folder):
        if (there := read_index(folder)) != wanted:
            names = [field.name for field in dataclasses.fields(StoreIndex)]
            changed = [
                f"{name} {getattr(there, name)} → {getattr(wanted, name)}"
                for name in names
                if getattr(there, name) != getattr(wanted, name)
            ]
            raise UserError(
                f"{folder} holds other embeddings (theirs → yours: {a_few(changed, '; ')}): choose "
                "another folder"
            )
        return
    with atomic_path(folder / INDEX) as part:
        part.write_text(json.dumps({"format": _FORMAT} | dataclasses.asdict(wanted), indent=1))


def _batches(captions: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    for at in range(0, len(captions), _BATCH):
        yield at, captions[at : at + _BATCH]


def _encoded(
    encoder: TextEncoder, captions: Sequence[str], length: int, padding: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows: bf16[n d], tokens: i32[b], cut: bool[b])."""
    embedding, mask, cut = encoder.encode(captions, length)
    if not np.isfinite(np.asarray(embedding, np.float32)).all():
        raise UserError(
            f"the encoder {encoder.name} gives numbers that are not finite: its weights are "
            "broken, or its dtype is too small for it"
        )
    kept = embedding.reshape(-1, embedding.shape[-1]) if padding else embedding[mask]
    return kept.astype(ml_dtypes.bfloat16), mask.sum(1).astype(np.int32), cut


def _write_shard(stem: Path, captions: Sequence[str], parts: Sequence[tuple]) -> None:
    rows, tokens, cut = (np.concatenate(column) for column in zip(*parts, strict=True))
    kept = np.full(len(tokens), len(rows) // len(tokens)) if len(rows) > tokens.sum() else tokens
    first = np.concatenate([[0], np.cumsum(kept)[:-1]]).astype(np.int64)
    hashes = np.array([hash_of(caption) for caption in captions], np.uint64)
    # The rows come last: a shard with rows is complete.
    with atomic_path(stem.with_suffix(".npz")) as part, part.open("wb") as file:
        np.savez(file, hashes=hashes, first=first, tokens=tokens, cut=cut)
    with atomic_path(stem.with_suffix(".npy")) as part, part.open("wb") as file:
        np.save(file, rows.view(np.uint16))


def _shards_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*-[0-9]*.npy"))


def _open_shard(path: Path, width: int) -> _Shard:
    try:
        rows = local_copy(path)
        with np.load(local_copy(path.with_suffix(".npz")), allow_pickle=False) as index:
            names = ("hashes", "first", "tokens", "cut")
            columns = {name: index[name] for name in names}
        embedding = np.load(rows, mmap_mode="r", allow_pickle=False)
        if embedding.ndim != 2 or embedding.shape[1] != width or embedding.dtype != np.uint16:
            raise ValueError
        return _Shard(**columns, embedding=embedding)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged: delete it and its .npz, and encode again") from error
