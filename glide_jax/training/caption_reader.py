"""What reads a run's captions: a tokenizer, or a frozen encoder's stored embeddings."""

import contextlib
import dataclasses
import itertools
from pathlib import Path

from glide_jax import data, text
from glide_jax.cache import NoLocks, lock
from glide_jax.checkpoints import checkpoints_of, find_checkpoint
from glide_jax.config import TEXT_PRETRAINING, Experiment, FrozenTextConfig, TextConfig
from glide_jax.data.source import Source
from glide_jax.encoders import encoding, lazy
from glide_jax.text.embeddings import EmbeddingStore
from glide_jax.text.reader import CaptionReader, EmbeddingReader, TokenReader
from glide_jax.text.tokenizer import Tokenizer, tokenize
from glide_jax.training.initialization import initial_checkpoint
from glide_jax.writing import disk_errors


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
    encoder = lazy.StoredFirst(reader.encoder, lazy.shared_encoder(config))
    return dataclasses.replace(reader, encoder=encoder)


def _store(
    experiment: Experiment, config: FrozenTextConfig, source: Source, workdir: Path
) -> EmbeddingStore:
    """The embeddings of every caption: those that the config names, or made here."""
    captions = itertools.chain(experiment.prompts or (), data.captions(source))
    if config.embeddings:
        store = lazy.open_store(config, Path(config.embeddings))
        lazy.check_complete(store, captions)
        return store
    folder = workdir / lazy.EMBEDDINGS
    with disk_errors(folder), contextlib.ExitStack() as stack:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(NoLocks):
            waiting = f"another process encodes captions into {folder}; waiting for it"
            stack.enter_context(lock(folder / "lock", waiting))
        return encoding.encode_captions(config, captions, folder)


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
    if cut := int(tokenize(tokenizer, captions, settings.length).cut.sum()):
        print(f"{cut:,} captions are cut to text.length={settings.length} tokens")
    return tokenizer
