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
from glide_jax.training.caption_reader import CHECKED, make_reader, sampling_reader

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
    again = make_reader(experiment(), tiny.Swatches(), tmp_path)
    assert len(loaded) == 1, "a run that goes on needs no encoder"
    assert again.to_dict() == reader.to_dict()


def test_another_data_set_s_captions_are_added(loaded, tmp_path):
    class More(tiny.Swatches):
        fingerprint = "more"

        def captions(self, i):
            return (*super().captions(i), "a new one")

    make_reader(experiment(), tiny.Swatches(), tmp_path)
    reader = make_reader(experiment(), More(), tmp_path)
    assert loaded[1].encoded == ["a new one"]
    assert "a new one" in reader.encoder


def test_captions_are_looked_up_once_for_a_data_set(loaded, tmp_path, monkeypatch):
    make_reader(experiment(), tiny.Swatches(), tmp_path / "one")
    given = experiment(f"text.embeddings={tmp_path / 'one' / lazy.EMBEDDINGS}")
    make_reader(given, tiny.Swatches(), tmp_path / "two")

    def look_up(self, captions):
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr(EmbeddingStore, "look_up", look_up)
        make_reader(given, tiny.Swatches(), tmp_path / "two")
    (tmp_path / "two" / CHECKED).write_text("{")
    make_reader(given, tiny.Swatches(), tmp_path / "two")
    other = experiment(f"text.embeddings={given.text.embeddings}", "prompts=('a new prompt',)")
    with pytest.raises(UserError, match="such as 'a new prompt'"):
        make_reader(other, tiny.Swatches(), tmp_path / "two")


def test_how_many_captions_are_cut_is_said_without_encoding_them_again(loaded, tmp_path, capsys):
    class Long(tiny.Swatches):
        fingerprint = "long"

        def captions(self, i):
            return ("one two three four five six seven",) if i < 5 else super().captions(i)

    said = "5 captions are cut to text.length=6 tokens"
    make_reader(experiment(), Long(), tmp_path / "one")
    assert said in capsys.readouterr().out
    given = experiment(f"text.embeddings={tmp_path / 'one' / lazy.EMBEDDINGS}")
    for workdir in ("one", "two", "two"):
        make_reader(given if workdir == "two" else experiment(), Long(), tmp_path / workdir)
        assert said in capsys.readouterr().out
    assert len(loaded) == 1
    make_reader(experiment(), tiny.Swatches(), tmp_path / "short")
    assert "cut" not in capsys.readouterr().out


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
    assert [file.name for file in (tmp_path / "run").iterdir()] == [CHECKED]


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
