"""Frozen text encoders where they are used: loaded when a caption needs them, and not before.

config.text ─┬─ text.embeddings, or the run's own ─→ EmbeddingStore ─┬─→ EmbeddingReader
             └─ text.weights ─→ LazyEncoder, for other captions ─────┘
"""

import collections
import dataclasses
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from glide_jax.config import FrozenTextConfig
from glide_jax.errors import UserError
from glide_jax.storage import storage_path
from glide_jax.text.embeddings import EmbeddingStore, is_store
from glide_jax.text.encoder import TextEmbedding, TextEncoder

_REMEMBERED = 256
"""So many captions that were encoded last are kept."""

EMBEDDINGS = "text_embeddings"
"""The folder of a workdir with the embeddings that its run made."""


class LazyEncoder:
    """A frozen encoder that is loaded when it is first needed; a TextEncoder.

    `shared_encoder` gives the one that is in use already.

    Args:
        config: which one, where its weights are, and in which dtype it computes.
    """

    def __init__(self, config: FrozenTextConfig):
        self._config = config
        self._loaded: Any = None
        self._identity: tuple[str, int] | None = None
        # Every stage of a cascade asks for the same captions.
        self._remembered: dict[tuple[str, int], tuple[np.ndarray, ...]] = {}
        self._kept: dict[tuple[str, int], tuple[np.ndarray, ...]] = {}

    @property
    def name(self) -> str:
        """The config's."""
        return self._config.encoder

    @property
    def fingerprint(self) -> str:
        """Of its weights, which are loaded if they never were."""
        return self._identified[0]

    @property
    def width(self) -> int:
        """Channels of an embedding; its weights are loaded if they never were."""
        return self._identified[1]

    def encode(self, captions: Sequence[str], length: int) -> TextEmbedding:
        """See `TextEncoder.encode`; its weights are loaded, unless it encoded them before."""
        known = self._remembered | self._kept
        new = [c for c in dict.fromkeys(captions) if (c, length) not in known]
        if len(captions) > _REMEMBERED and new:
            return self._encode(captions, length)
        if new:
            encoded = self._rows(new, length)
            self._remembered |= encoded
            known |= encoded
        rows = [known[caption, length] for caption in captions]
        while len(self._remembered) > _REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)))
        return TextEmbedding(*(np.stack(column) for column in zip(*rows, strict=True)))

    def encode_first(self, captions: Iterable[str], length: int) -> None:
        """Encode captions now and keep what they become; the memory of the weights is free then.

        Args:
            captions: any.
            length: as they will be asked for.

        Raises:
            UserError: as `TextEncoder.encode`, or the encoder can't be loaded.
        """
        new = [c for c in dict.fromkeys(captions) if (c, length) not in self._kept]
        if new:
            self._kept |= self._rows(new, length)
        self.release()

    def _rows(
        self, captions: Sequence[str], length: int
    ) -> dict[tuple[str, int], tuple[np.ndarray, ...]]:
        encoded = zip(captions, *self._encode(captions, length), strict=True)
        return {(caption, length): tuple(map(np.array, row)) for caption, *row in encoded}

    def _encode(self, captions: Sequence[str], length: int) -> TextEmbedding:
        if self._config.cleaning == "deepfloyd_if":
            from glide_jax.text.if_captions import clean_caption

            captions = [clean_caption(caption) for caption in captions]
        return self._encoder.encode(captions, length)

    def release(self) -> None:
        """Free the memory that its weights take; they are loaded again when they are needed."""
        if self._loaded is not None:
            self._loaded.release()
        self._loaded = None

    @property
    def _identified(self) -> tuple[str, int]:
        """(fingerprint, width), which are known for good once the weights were loaded."""
        return self._identity or _identity_of(self._encoder)

    @property
    def _encoder(self) -> TextEncoder:
        if self._loaded is None:
            from glide_jax.encoders import load_encoder

            weights = self._config.weights
            path = Path(weights).expanduser() if weights else None
            self._loaded = load_encoder(self._config.encoder, path, dtype=self._config.dtype)
            self._identity = _identity_of(self._loaded)
        return self._loaded


def _identity_of(encoder: TextEncoder) -> tuple[str, int]:
    return encoder.fingerprint, encoder.width


_in_use: weakref.WeakValueDictionary[FrozenTextConfig, LazyEncoder] = weakref.WeakValueDictionary()


def shared_encoder(config: FrozenTextConfig) -> LazyEncoder:
    """The encoder of a config, the same as long as anybody uses it: weights are loaded once."""
    # Where stored embeddings lie is no part of which encoder it is.
    config = dataclasses.replace(config, embeddings="")
    return _in_use.setdefault(config, LazyEncoder(config))


@dataclasses.dataclass(frozen=True)
class Expected:
    """The encoder that a model was trained on.

    Attributes:
        saved: what the model's checkpoint says of its captions.
        width: channels of an embedding that the model reads.
        checkpoint: for the error.
    """

    saved: Mapping[str, Any]
    width: int
    checkpoint: Path


@dataclasses.dataclass(frozen=True)
class PromptEncoder:
    """What encodes prompts: stored embeddings, and the encoder itself for captions without.

    Attributes:
        store: what is encoded already; None: nothing is.
        encoder: of the same weights, for the others; None: there are no others.
        expected: the encoder that it must be, or it is refused before it encodes; None: any.
    """

    store: EmbeddingStore | None
    encoder: LazyEncoder | None
    expected: Expected | None = None

    @property
    def _source(self) -> TextEncoder:
        source = self.encoder if self.store is None else self.store
        assert source is not None
        return source

    @property
    def name(self) -> str:
        """The encoder's."""
        return self._source.name

    @property
    def fingerprint(self) -> str:
        """The encoder's."""
        return self._source.fingerprint

    @property
    def width(self) -> int:
        """Channels of an embedding."""
        return self._source.width

    def encode(self, captions: Sequence[str], length: int) -> TextEmbedding:
        """See `TextEncoder.encode`. Raises UserError for another encoder than `expected`."""
        self._check()
        if self.store is None or self.encoder is None:
            return self._source.encode(captions, length)
        new = list(dict.fromkeys(self.store.missing(captions)))
        if not new:
            return self.store.encode(captions, length)
        self._check_same(self.store, self.encoder)
        known = [caption for caption in captions if caption in self.store]
        parts = [self.encoder.encode(new, length)]
        if known:
            parts.append(self.store.encode(known, length))
        places = {caption: i for i, caption in enumerate([*new, *known])}
        rows = [places[caption] for caption in captions]
        embeddings, masks, cuts = zip(*parts, strict=True)
        rounded = [embedding.astype(ml_dtypes.bfloat16) for embedding in embeddings]
        return TextEmbedding(*(np.concatenate(x)[rows] for x in (rounded, masks, cuts)))

    def encode_first(self, captions: Sequence[str], length: int) -> None:
        """Make sure that captions can be read without the encoder's weights, which it frees.

        Raises:
            UserError: as `encode`, or the encoder can't be loaded.
        """
        if self.store is not None and self.encoder is None:
            self.encode(captions, length)
            return
        new = captions if self.store is None else self.store.missing(captions)
        if new and self.encoder is not None:
            self._check()
            if self.store is not None:
                self._check_same(self.store, self.encoder)
            self.encoder.encode_first(new, length)

    def _check(self) -> None:
        if expected := self.expected:
            saved = {"width": expected.width} | dict(expected.saved)
            check_fingerprint(saved, self, expected.checkpoint)

    def _check_same(self, store: EmbeddingStore, encoder: LazyEncoder) -> None:
        if encoder.fingerprint != store.fingerprint:
            raise UserError(
                f"the weights of {self.name} are not those that {store.folder} was encoded with: "
                "give the same, as text.weights"
            )


def open_store(config: FrozenTextConfig, folder: Path) -> EmbeddingStore:
    """The embeddings in a folder. Raises UserError unless they are what a config asks for."""
    store = EmbeddingStore(folder.expanduser())
    for key, theirs, ours in (
        ("encoder", store.index.encoder, config.encoder),
        ("length", store.index.length, config.length),
        ("padding", store.index.padding, config.padding),
        ("cleaning", store.index.cleaning, config.cleaning),
    ):
        if theirs != ours:
            raise UserError(
                f"{folder} holds embeddings with text.{key}={theirs}, and the config says {ours}: "
                "encode again with that, or change it"
            )
    return store


def check_complete(store: EmbeddingStore, captions: Sequence[str]) -> int:
    """How many of the captions were cut at the store's length; each counts as often as it is there.

    Raises:
        UserError: the store lacks one of them, or the null caption.
    """
    counts = collections.Counter(captions)
    each = list({"": 0} | counts)
    there, cut = store.look_up(each)
    missing = [caption for caption, found in zip(each, there, strict=True) if not found]
    if missing:
        raise UserError(
            f"{len(missing):,} captions of the data set are not in {store.folder}, such as "
            f"{missing[0]!r}: add them with `glide-jax encode`"
        )
    return sum(counts[caption] for caption, is_cut in zip(each, cut, strict=True) if is_cut)


def check_fingerprint(saved: Mapping[str, Any] | None, encoder: TextEncoder, where: Path) -> None:
    """Raises UserError where a model was trained on another encoder's embeddings.

    Args:
        saved: what its checkpoint says; None: there is no checkpoint. One that was imported says
            no fingerprint.
        encoder: what is about to be read.
        where: the checkpoint's workdir.
    """
    saved = saved or {}
    for key, ours in (
        ("encoder", encoder.name),
        ("width", encoder.width),
        ("fingerprint", encoder.fingerprint),
    ):
        if saved.get(key, ours) != ours:
            raise UserError(
                f"{where} was trained on embeddings of another text encoder ({key} "
                f"{saved[key]}, not {ours}): give the one it was trained on"
            )


def sampling_encoder(config: FrozenTextConfig, workdir: Path, given: Path | None) -> PromptEncoder:
    """What encodes the prompts of a model.

    Args:
        config: of the checkpoint.
        workdir: of the model.
        given: a folder of embeddings, or of the encoder's weights; None: as the config says.

    Raises:
        UserError: there is no such folder, or it holds other embeddings.
    """
    if given is not None:
        if not given.is_dir():
            raise UserError(f"there is no folder {given}: give embeddings or an encoder's weights")
        if is_store(given):
            return PromptEncoder(open_store(config, given), None)
        return PromptEncoder(None, shared_encoder(dataclasses.replace(config, weights=str(given))))
    encoder = shared_encoder(config)
    for folder in (storage_path(config.embeddings or workdir / EMBEDDINGS), workdir / EMBEDDINGS):
        if is_store(folder):
            return PromptEncoder(open_store(config, folder), encoder)
    return PromptEncoder(None, encoder)
