"""What reads a run's captions: a tokenizer, or a frozen encoder's stored embeddings."""

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glide_jax import data, text
from glide_jax.cache import NoLocks, lock
from glide_jax.checkpoints import checkpoints_of, find_checkpoint, initial_checkpoint
from glide_jax.config import TEXT_PRETRAINING, Experiment, FrozenTextConfig, TextConfig
from glide_jax.data.source import Source
from glide_jax.encoders import encoding, lazy
from glide_jax.encoders.lazy import EMBEDDINGS
from glide_jax.errors import UserError
from glide_jax.progress import say
from glide_jax.storage import is_in_bucket, storage_path
from glide_jax.text.embeddings import EmbeddingStore, is_store
from glide_jax.text.reader import CaptionReader, EmbeddingReader, TokenReader
from glide_jax.text.tokenizer import Tokenizer, tokenize
from glide_jax.writing import atomic_path, disk_errors

CHECKED = "captions.json"
"""The file of a workdir that remembers which captions were looked up in which embeddings."""


def make_reader(experiment: Experiment, source: Source, workdir: Path) -> CaptionReader | None:
    """What reads the captions of a run; None: no stage reads captions.

    Args:
        experiment: to be trained.
        source: its data set, all of whose captions the tokenizer is made from, or encoded.
        workdir: of the run.

    Raises:
        UserError: the tokenizer can't be made or the encoder not be loaded, or the checkpoints that
            are there were trained on another.
    """
    if experiment.text is None:
        return None
    if isinstance(experiment.text, FrozenTextConfig):
        store = _store(experiment, experiment.text, source, workdir)
        lazy.check_fingerprint(_saved(experiment, workdir), store, workdir)
        return EmbeddingReader(store, experiment.text.length, experiment.text.padding)
    tokenizer = _tokenizer(experiment, experiment.text, source, workdir)
    return TokenReader(tokenizer, experiment.text.length)


def sampling_reader(reader: CaptionReader | None, experiment: Experiment) -> CaptionReader | None:
    """The reader for a run's samples, whose captions need not be in its data set.

    Args:
        reader: of `make_reader`.
        experiment: of the run.
    """
    config = experiment.text
    if not isinstance(reader, EmbeddingReader) or not isinstance(config, FrozenTextConfig):
        return reader
    assert isinstance(reader.encoder, EmbeddingStore)
    encoder = lazy.PromptEncoder(reader.encoder, lazy.shared_encoder(config))
    return dataclasses.replace(reader, encoder=encoder)


def _store(
    experiment: Experiment, config: FrozenTextConfig, source: Source, workdir: Path
) -> EmbeddingStore:
    """The embeddings of every caption: those that the config names, or made here.

    That all captions are there is looked up once for a data set, and remembered in the workdir.
    """
    folder = (
        storage_path(config.embeddings).expanduser() if config.embeddings else workdir / EMBEDDINGS
    )
    note = workdir / CHECKED
    store = lazy.open_store(config, folder) if config.embeddings else _fitting(config, folder)
    known = {} if store is None else _read_note(note)
    if store is None or known.get("of") != _checked_for(experiment, source, store):
        captions = list(data.captions(source))
        prompts = experiment.prompts or ()
        if store is None or not config.embeddings:
            store = _encoded(config, [*prompts, *captions], folder)
        lazy.check_complete(store, prompts)
        cut = lazy.check_complete(store, captions)
        known = {"of": _checked_for(experiment, source, store), "cut": cut}
        with disk_errors(workdir):
            workdir.mkdir(parents=True, exist_ok=True)
            with atomic_path(note) as part:
                part.write_text(json.dumps(known), encoding="utf-8")
    _say_cut(known["cut"], config.length)
    return store


def _fitting(config: FrozenTextConfig, folder: Path) -> EmbeddingStore | None:
    """The embeddings in the run's own folder; None: there are none, or others."""
    if not is_store(folder):
        return None
    with contextlib.suppress(UserError):  # which is said when captions are encoded
        return lazy.open_store(config, folder)
    return None


def _encoded(config: FrozenTextConfig, captions: Sequence[str], folder: Path) -> EmbeddingStore:
    """The run's own embeddings, with these captions among them."""
    with disk_errors(folder), contextlib.ExitStack() as stack:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(NoLocks):
            waiting = f"another process encodes captions into {folder}; waiting for it"
            # In a bucket all write the same objects.
            if not is_in_bucket(folder):
                stack.enter_context(lock(folder / "lock", waiting))
        return encoding.encode_captions(config, captions, folder)


def _checked_for(experiment: Experiment, source: Source, store: EmbeddingStore) -> dict[str, Any]:
    """What decides whether a store holds every caption, JSON-compatible."""
    return {
        "data": source.fingerprint,
        "prompts": list(experiment.prompts or ()),
        "embeddings": dataclasses.asdict(store.index),
        "captions": len(store),
    }


def _read_note(note: Path) -> dict[str, Any]:
    """What an earlier start has found; {}: nothing that can be read."""
    try:
        known = json.loads(note.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) and type(known.get("cut")) is int else {}


def _say_cut(count: int, length: int) -> None:
    if count:
        say(f"{count:,} captions are cut to text.length={length} tokens")


def _saved(experiment: Experiment, workdir: Path) -> dict | None:
    """What the run's checkpoints, or those it starts from, say of their captions; None: nothing."""
    folders = [TEXT_PRETRAINING] if experiment.text_pretraining else []
    for name in [*folders, *experiment.stages]:
        if found := find_checkpoint(checkpoints_of(workdir, name)):
            return found.tokenizer
    for name, stage in experiment.stages.items():
        if found := initial_checkpoint(name, stage):
            return found.tokenizer
    return None


def _tokenizer(
    experiment: Experiment, settings: TextConfig, source: Source, workdir: Path
) -> Tokenizer:
    """The tokenizer of the workdir's checkpoints, or of `init_from`; else a new one."""
    if saved := _saved(experiment, workdir):
        return text.from_dict(saved)
    captions = list(data.captions(source))
    tokenizer = text.train(settings.tokenizer, captions, settings.vocab_size)
    _say_cut(int(tokenize(tokenizer, captions, settings.length).cut.sum()), settings.length)
    return tokenizer
