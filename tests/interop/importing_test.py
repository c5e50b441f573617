"""Files become workdirs to sample and train from; or one line says why not, and nothing is left."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
import tiny
from interop_toys import load, refused_cleanly, same, trained, write

from glide_jax import config, text
from glide_jax.checkpoints import open_checkpoint, refuse_another_run
from glide_jax.errors import UserError
from glide_jax.interop import openai, released
from glide_jax.interop.exporting import export_checkpoint
from glide_jax.interop.importing import import_checkpoint
from glide_jax.interop.released_config import released_experiment, released_tokenizer
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.training import loop, starting
from glide_jax.training.interrupt import Interrupt

RELEASED = dict(released.FILES)
pytestmark = pytest.mark.usefixtures("small_releases")


@pytest.mark.newest
def test_a_released_workdir_carries_a_complete_experiment(tmp_path, monkeypatch):
    file = write(tmp_path / "base.safetensors", "tiny_base")
    experiment = import_checkpoint([file], ["base"], tmp_path / "run")
    assert open_checkpoint(tmp_path / "run/base/checkpoints").experiment == experiment
    expected = config.experiment_from(config.load_config(tiny.CONFIGS / "base.py")).first_stage
    assert experiment.first_stage.diffusion == expected.diffusion
    assert experiment.first_stage.sampling == expected.sampling
    assert experiment.text == config.TextConfig("gpt2", 50257, 12)

    class Toy:
        vocab_size, pad_id, start_ids, end_ids = 50257, 0, (), ()

        def encode(self, caption):
            return [len(caption)]

    monkeypatch.setattr(text, "from_dict", lambda d: Toy() if d == {"kind": "gpt2"} else None)
    same(Pipeline.load(tmp_path / "run").stages[0].params, load("tiny_base")[3])


@pytest.mark.newest
@pytest.mark.parametrize(
    ("name", "config_file"),
    [
        ("base", "base"),
        ("upsample", "upsampler"),
        ("adm-64", "adm_imagenet64"),
        ("adm-64-classifier", "classifier"),
    ],
)
def test_a_released_config_is_the_released_model_and_trains_on_from_it(name, config_file):
    expected = config.experiment_from(config.load_config(tiny.CONFIGS / f"{config_file}.py"))
    keys = {"glide": "transformer.", "adm": "output_blocks.", "classifier": "input_blocks.0"}
    model = openai.build({keys[RELEASED[name].kind]: np.zeros(0)}, RELEASED[name].options)
    experiment = released_experiment(model, RELEASED[name].options)
    conflicts = config.conflicts(experiment, expected, config.MAY_CHANGE_BEFORE)
    # Which is said on the command line.
    assert [line for line in conflicts if not line.startswith("text.tokenizer")] == []


@pytest.mark.newest
def test_an_upsampler_is_imported_with_the_noising_process_it_knows(tmp_path):
    options = released.FILES["upsample"].options | {"noise_schedule": "linear"}
    model = openai.build(load("tiny_upsample")[1], options)
    experiment = released_experiment(model, options)
    assert experiment.first_stage.diffusion.schedule == "linear"
    assert experiment.first_stage.diffusion.learn_variance
    sampling = experiment.first_stage.sampling
    assert (sampling.sampler, sampling.steps, sampling.temperature) == ("ddim", "fast27", 0.997)
    with pytest.raises(UserError, match="noise_schedule"):
        released_experiment(model, options | {"noise_schedule": "sigmoid"})


@pytest.mark.parametrize(("config_file", "kind"), [("base", "gpt2"), ("clip", "clip_bpe")])
def test_a_released_tokenizer_is_described_as_it_describes_itself(config_file, kind):
    for library in ("tiktoken", "tokenizers", "ftfy"):
        pytest.importorskip(library)
    from text.text_toys import ALL

    tokenizer = ALL[kind]()
    experiment = config.experiment_from(config.load_config(tiny.CONFIGS / f"{config_file}.py"))
    words = config.TextConfig(kind, tokenizer.vocab_size, 77)
    assert released_tokenizer(dataclasses.replace(experiment, text=words)) == tokenizer.to_dict()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"out.2.weight": None}, ["missing out.2.weight"]),
        ({"more": np.zeros(3, np.float32)}, ["unknown more"]),
        (
            {"out.0.weight": np.zeros(3, np.float32), "out.0.bias": None},
            ["out.0.weight is (3,), not (32,)", "missing out.0.bias"],
        ),
        ({"out.2.bias": np.full(6, np.nan, np.float32)}, ["out.2.bias", "finite"]),
        ({"out.2.bias": np.full(6, np.inf, np.float32)}, ["out.2.bias", "finite"]),
        (
            {"token_embedding.weight": np.ones((300, 32), np.float32)},
            ["300 tokens", "--as"],
        ),
    ],
    ids=["missing", "extra", "several", "nan", "overflowed", "vocabulary"],
)
def test_a_wrong_state_dict_is_refused_and_nothing_is_left(tmp_path, change, words):
    file = write(tmp_path / "w.safetensors", "tiny_base", **change)
    for out in (tmp_path / "run", tmp_path / "new" / "folders" / "run"):
        action = functools.partial(import_checkpoint, [file], ["base"], out)
        refused_cleanly(action, *words, folder=tmp_path)


@pytest.mark.parametrize(
    ("golden", "name", "words"),
    [
        ("tiny_base", "adm-64", ["family adm", "glide"]),
        ("tiny_adm", "base", ["family glide", "adm"]),
        ("tiny_adm_classifier", "adm-64", ["family adm", "classifier"]),
        ("tiny_base", "clip", ["clip takes 2"]),
        ("tiny_base", "upsample", ["another model", "of its keys are wrong"]),
        (
            "tiny_base",
            "base-inpaint",
            ["weight is (32, 3, 3, 3), not (32, 7, 3, 3)"],
        ),
        ("tiny_base", "bse", ["did you mean 'base'"]),
        ("tiny_base", "all", ["unknown model"]),
    ],
)
def test_a_wrong_name_is_refused_and_nothing_is_left(tmp_path, golden, name, words):
    file = write(tmp_path / "w.safetensors", golden)
    out = tmp_path / "run"
    refused_cleanly(lambda: import_checkpoint([file], [name], out), *words, folder=tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("one_device")
def test_training_goes_on_from_imported_weights(tmp_path, capsys):
    sets = trained(tmp_path / "run")
    done = export_checkpoint(tmp_path / "run", tmp_path / "w.safetensors", ema=True)
    experiment = import_checkpoint(done.files, [], tmp_path / "back")
    other = [
        "seed=5",
        "stages.base.training.learning_rate=1e-30",
        "data.source=folder",
        "stages.base.model.dropout=0.0",
    ]
    run = config.with_overrides(experiment, other)
    state = _trained_state(run, tmp_path / "back" / "base")
    assert int(state.step) == run.first_stage.training.num_steps
    for path, array in sets["base"]["ema_params"].items():
        np.testing.assert_allclose(state.params[path], array, atol=1e-6)
    newest = open_checkpoint(tmp_path / "back" / "base" / "checkpoints")
    assert newest.is_of_a_run
    assert newest.experiment == run
    assert "starting from the weights of" in capsys.readouterr().out
    with pytest.raises(UserError, match="another experiment's"):
        refuse_another_run(newest.path.parent, config.with_overrides(run, ["seed=6"]))


def _trained_state(experiment, directory):
    """The state after training on swatches."""
    job = tiny.job(directory, experiment)
    with Interrupt() as interrupt:
        loop.train(job, interrupt, None)
    key = jax.random.key(0)
    fresh = jax.eval_shape(lambda: starting.state_from_params(job)(job.model.init(key)))
    return open_checkpoint(directory / "checkpoints").restore(fresh)


@pytest.mark.newest
def test_imported_weights_are_refused_to_another_model(tmp_path):
    file = write(tmp_path / "w.safetensors", "tiny_base")
    experiment = import_checkpoint([file], ["base"], tmp_path / "run")
    checkpoints = tmp_path / "run" / "base" / "checkpoints"
    other = [
        "seed=5",
        "stages.base.training.learning_rate=1",
        "data.source=folder",
        "stages.base.model.dropout=0",
    ]
    refuse_another_run(checkpoints, config.with_overrides(experiment, other))
    for override in (
        "stages.base.model.num_res_blocks=2",
        "text.length=7",
        "stages.base.diffusion.prediction=v",
    ):
        with pytest.raises(UserError, match=override.partition("=")[0]):
            refuse_another_run(checkpoints, config.with_overrides(experiment, [override]))
