"""What reads a run's captions: a frozen encoder's embeddings, written before the first step."""

import numpy as np
import pytest
import tiny
from toy_encoder import WIDTH, ToyEncoder

from glide_jax import cli, config
from glide_jax.checkpoints import Checkpoints
from glide_jax.encoders import ENCODERS, lazy
from glide_jax.errors import UserError
from glide_jax.text.embeddings import EmbeddingStore
from glide_jax.training.caption_reader import make_reader, sampling_reader

SMALL = (
    "text.encoder=toy",
    "text.length=6",
    *(
        f"stages.{name}.model.{key}"
        for name in ("base", "upsampler", "upsampler_128")
        for key in (f"encoder_width={WIDTH}", "pool_heads=2")
    ),
)


def experiment(*overrides):
    loaded = config.load_config(tiny.CONFIGS / "imagen_quickstart.py", [*SMALL, *overrides])
    return config.experiment_from(loaded)


@pytest.fixture
def loaded(monkeypatch):
    """The toy encoders that were loaded so far."""
    there = []

    def load(path, *, dtype, mesh=None):
        there.append(ToyEncoder(seed=1 if path else 0))
        return there[-1]

    monkeypatch.setitem(ENCODERS, "toy", load)
    return there


def test_captions_and_prompts_are_encoded_once_into_the_workdir(loaded, tmp_path):
    reader = make_reader(experiment(), tiny.Swatches(), tmp_path)
    arrays = reader.read(["red square", ""]).arrays
    assert arrays["text_embedding"].shape == (2, 6, WIDTH)
    assert arrays["mask"].sum(1).tolist() == [3, 1]
    for prompt in experiment().prompts:
        assert prompt in reader.encoder
    assert len(loaded[0].encoded) == 3 + len(experiment().prompts) + 1
    make_reader(experiment(), tiny.Swatches(), tmp_path)
    assert loaded[1].encoded == []


def test_samples_may_have_other_captions(loaded, tmp_path):
    reader = make_reader(experiment(), tiny.Swatches(), tmp_path)
    with pytest.raises(UserError, match="'a crimson disc'"):
        reader.read(["a crimson disc"])
    wider = sampling_reader(reader, experiment())
    assert wider.read(["a crimson disc"]).arrays["mask"].sum() == 4
    assert wider.to_dict() == reader.to_dict()
    tokens = tiny.reader()
    assert sampling_reader(tokens, tiny.experiment()) is tokens


def test_given_embeddings_must_hold_every_caption(loaded, tmp_path):
    folder = tmp_path / "given"
    given = experiment(f"text.embeddings={folder}")
    command = ["encode", f"--config={tiny.CONFIGS / 'imagen_quickstart.py'}", "red square"]
    flags = [f"--config.{change}" for change in SMALL]
    assert cli.main([*command, "--out", str(folder), *flags]) == 0
    with pytest.raises(UserError, match=r"captions of the data set are not in"):
        make_reader(given, tiny.Swatches(), tmp_path / "run")
    more = [*experiment().prompts, "green square", "blue square"]
    assert cli.main([*command, *more, "--out", str(folder), *flags]) == 0
    reader = make_reader(given, tiny.Swatches(), tmp_path / "run")
    assert isinstance(reader.encoder, EmbeddingStore)
    assert not (tmp_path / "run").exists()


def test_a_run_does_not_go_on_with_another_encoder(loaded, tmp_path):
    reader = make_reader(experiment(), tiny.Swatches(), tmp_path / "run")
    saved = reader.to_dict() | {"fingerprint": "another"}
    folder = tmp_path / "run" / "base" / "checkpoints"
    with Checkpoints(folder, keep=1, experiment=experiment(), tokenizer=saved) as checkpoints:
        checkpoints.save(1, {"ema_params": {"x": np.zeros(1)}}, {})
    with pytest.raises(UserError, match="another text encoder"):
        make_reader(experiment(), tiny.Swatches(), tmp_path / "run")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--config=quickstart", "--out=x"], "has no frozen encoder"),
        (["--config=imagen_quickstart"], "give --config=NAME or --config=FILE, and --out=DIR"),
        (["--config=imagen_quickstart", "--out=x", "--process", "2", "2"], "from 0 to 1"),
        (["a", "--config=imagen_quickstart", "--out=x", "--split=test"], "PROMPT or --split"),
        (["--config=imagen_quickstart", "--out=x", "--config.text.encoder=t6"], "unknown text enc"),
    ],
)
def test_a_mistake_is_one_line(words, what, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["encode", *words]) == 2
    assert what in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_embeddings_of_another_length_are_refused(loaded, tmp_path):
    folder = tmp_path / "run" / lazy.EMBEDDINGS
    make_reader(experiment(), tiny.Swatches(), tmp_path / "run")
    with pytest.raises(UserError, match="length 6 → 7"):
        make_reader(experiment("text.length=7"), tiny.Swatches(), tmp_path / "run")
    assert len(EmbeddingStore(folder))
