"""Checkpoints in and out: the same weights and experiment, nothing half-written, clear refusals."""

import dataclasses
import functools
import json
import os
import shutil

import jax
import numpy as np
import pytest
import tiny
from golden.load import HERE
from golden.load import load as load_again
from refusals import refused

from glide_jax import config, modes, text
from glide_jax.diffusion.timesteps import uniform
from glide_jax.errors import UserError
from glide_jax.interop import files, openai, released
from glide_jax.interop.exporting import export_checkpoint
from glide_jax.interop.importing import import_checkpoint
from glide_jax.interop.info import describe
from glide_jax.interop.shipped import released_experiment, released_tokenizer
from glide_jax.pipelines.loading import load_stages
from glide_jax.training import loop
from glide_jax.training.checkpoints import Checkpoints, open_checkpoint, refuse_another_run
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.optimizer import adamw
from glide_jax.training.state import fresh_state

GOLDEN = {
    "base": "tiny_base",
    "upsample": "tiny_upsample",
    "base-inpaint": "tiny_base_inpaint",
    "adm-64": "tiny_adm",
    "adm-64-classifier": "tiny_adm_classifier",
    "clip-image": "tiny_clip_image",
    "clip-text": "tiny_clip_text",
}
"""Released name → the golden model that stands in for it here."""


RELEASED = dict(released.FILES)
TOKENIZER = tiny.tokenizer()
EXPERIMENT = tiny.experiment()
CASCADE = config.experiment_from(
    config.load_config(tiny.CONFIGS / "quickstart.py", [*tiny.OVERRIDES, *tiny.UPSAMPLER_OVERRIDES])
)
load = functools.lru_cache(maxsize=len(GOLDEN))(load_again)


@pytest.fixture(autouse=True)
def small_releases(monkeypatch):
    """The released models, small: their options are the golden models'."""
    for name, golden in GOLDEN.items():
        options = json.loads((HERE / f"{golden}.manifest.json").read_text())["options"]
        small = dataclasses.replace(released.FILES[name], options=options)
        monkeypatch.setattr(released, "FILES", released.FILES | {name: small})


def write(path, golden, **changes):
    """A released file, small; a change of a key of None is that key left out."""
    arrays = load(golden)[1] | changes
    files.write(path, {k: a for k, a in arrays.items() if a is not None}, "float32")
    return path


def trained(workdir, experiment=EXPERIMENT, step=3):
    """A workdir as training leaves it; its two sets of weights differ."""
    sets = {}
    for name, stage in experiment.stages.items():
        shapes = loop.build_model(stage, experiment, TOKENIZER).shapes
        sets[name] = {part: _some(shapes, part) for part in ("params", "ema_params")}
        with Checkpoints(
            workdir / name / "checkpoints",
            keep=1,
            experiment=experiment,
            tokenizer=TOKENIZER.to_dict(),
        ) as checkpoints:
            checkpoints.save(step, {"step": jax.numpy.int32(step)} | sets[name], {})
    return sets


def _some(shapes, part):
    rng = np.random.default_rng(len(part))
    return {path: rng.standard_normal(s.shape, dtype=np.float32) for path, s in shapes.items()}


def weights(workdir, stage="base"):
    checkpoint = open_checkpoint(workdir / stage / "checkpoints")
    shapes = checkpoint.shapes("ema_params")
    return checkpoint.restore({"ema_params": shapes})["ema_params"]


def same(a, b):
    assert a.keys() == b.keys()
    for path, array in a.items():
        np.testing.assert_array_equal(np.asarray(array), np.asarray(b[path]), strict=True)


def refused_cleanly(action, *words, folder):
    before = sorted(os.listdir(folder))
    refused(action, *words)
    assert sorted(os.listdir(folder)) == before, "something half-written is left"


@pytest.mark.parametrize("name", ["base", "adm-64", "adm-64-classifier"])
def test_a_released_file_comes_in_and_goes_out_as_it_was(tmp_path, name):
    _, state_dict, _, _ = load(GOLDEN[name])
    file = write(tmp_path / "in.safetensors", GOLDEN[name])
    import_checkpoint([file], [name], tmp_path / "run")
    done = export_checkpoint(tmp_path / "run", tmp_path / "out.safetensors")
    assert (done.weights, done.step) == ("ema_params", 0)
    back = files.read(tmp_path / "out.safetensors")
    same(back, state_dict)
    options = json.loads((tmp_path / "out.safetensors.options.json").read_text())["options"]
    model, params = openai.from_state_dict(back, options)
    assert model.config == load(GOLDEN[name])[2].config
    same(params, weights(tmp_path / "run"))
    same(params, load(GOLDEN[name])[3])


def test_the_two_files_of_clip_come_in_any_order_and_go_out_as_two(tmp_path):
    image = write(tmp_path / "image.safetensors", "tiny_clip_image")
    text_ = write(tmp_path / "text.safetensors", "tiny_clip_text")
    import_checkpoint([text_, image], ["clip"], tmp_path / "run")
    import_checkpoint([image, text_], ["clip"], tmp_path / "again")
    same(weights(tmp_path / "run"), weights(tmp_path / "again"))
    done = export_checkpoint(tmp_path / "run", tmp_path / "clip.safetensors")
    assert [file.name for file in done.files] == ["clip-image.safetensors", "clip-text.safetensors"]
    assert done.unlike == ()
    for file, golden in zip(done.files, ("tiny_clip_image", "tiny_clip_text"), strict=True):
        same(files.read(file), load(golden)[1])
    import_checkpoint([*reversed(done.files)], [], tmp_path / "third")
    same(weights(tmp_path / "run"), weights(tmp_path / "third"))
    refused(lambda: import_checkpoint([image, image], ["clip"], tmp_path / "x"), "clip_text")
    refused(lambda: import_checkpoint([image], ["clip"], tmp_path / "x"), "clip takes 2")
    refused(lambda: import_checkpoint([image], [], tmp_path / "x"), "CLIP is two files")


@pytest.mark.parametrize(("format_", "ema"), [("pt", False), ("safetensors", True)])
def test_what_was_trained_goes_out_and_comes_back_bit_for_bit(tmp_path, format_, ema):
    if format_ == "pt":
        pytest.importorskip("torch")
    sets = trained(tmp_path / "run")
    done = export_checkpoint(tmp_path / "run", tmp_path / f"w.{format_}", ema=ema)
    part = "ema_params" if ema else "params"
    assert (done.weights, done.step) == (part, 3)
    assert import_checkpoint(done.files, [], tmp_path / "back") == EXPERIMENT
    same(weights(tmp_path / "back"), sets["base"][part])
    tokenizer = open_checkpoint(tmp_path / "back" / "base" / "checkpoints").tokenizer
    assert tokenizer == TOKENIZER.to_dict()


def test_a_cascade_goes_out_by_stages_and_comes_back_as_one(tmp_path):
    sets = trained(tmp_path / "run", CASCADE)
    outs = [tmp_path / "base.safetensors", tmp_path / "up.safetensors"]
    for name, out in zip(CASCADE.stages, outs, strict=True):
        export_checkpoint(tmp_path / "run", out, stage_name=name, ema=True)
    assert import_checkpoint([*reversed(outs)], [], tmp_path / "back") == CASCADE
    for name in CASCADE.stages:
        same(weights(tmp_path / "back", name), sets[name]["ema_params"])
    import_checkpoint([outs[1]], [], tmp_path / "alone")
    same(weights(tmp_path / "alone"), sets["upsampler"]["ema_params"])
    refused_cleanly(
        lambda: import_checkpoint([outs[0], outs[0]], [], tmp_path / "twice"),
        "low_res_size",
        folder=tmp_path,
    )
    missing = tmp_path / "x.safetensors"
    refused(lambda: export_checkpoint(tmp_path / "run", missing, stage_name="upsampeler"), "no ")


@pytest.mark.slow
def test_an_imported_workdir_draws_with_the_imported_weights(tmp_path):
    trained(tmp_path / "run")
    done = export_checkpoint(tmp_path / "run", tmp_path / "w.safetensors", ema=True)
    import_checkpoint(done.files, [], tmp_path / "back")
    for workdir in ("run", "back"):
        modes.sample(tmp_path / workdir, ["sampling.steps='1'"], ["red square"], seed=1)
    pictures = [tmp_path / w / "samples" / "red-square-1-0.png" for w in ("run", "back")]
    assert pictures[0].read_bytes() == pictures[1].read_bytes()


def test_a_released_workdir_carries_a_whole_experiment(tmp_path, monkeypatch):
    file = write(tmp_path / "base.safetensors", "tiny_base")
    experiment = import_checkpoint([file], ["base"], tmp_path / "run")
    assert open_checkpoint(tmp_path / "run/base/checkpoints").experiment == experiment
    shipped = config.experiment_from(config.load_config(tiny.CONFIGS / "base.py"))
    assert experiment.diffusion == shipped.diffusion
    assert experiment.sampling == shipped.sampling
    assert experiment.text == config.TextConfig("gpt2", 50257, 12)

    class Toy:
        vocab_size, pad_id, start_ids, end_ids = 50257, 0, (), ()

        def encode(self, caption):
            return [len(caption)]

    monkeypatch.setattr(text, "from_dict", lambda d: Toy() if d == {"kind": "gpt2"} else None)
    _, stages = load_stages(tmp_path / "run")
    same(stages[0].params, load("tiny_base")[3])


@pytest.mark.parametrize(
    ("name", "config_file"),
    [
        ("base", "base"),
        ("upsample", "upsampler"),
        ("adm-64", "adm_imagenet64"),
        ("adm-64-classifier", "classifier"),
    ],
)
def test_a_shipped_config_is_the_released_model_and_trains_on_from_it(name, config_file):
    shipped = config.experiment_from(config.load_config(tiny.CONFIGS / f"{config_file}.py"))
    keys = {"glide": "transformer.", "adm": "output_blocks.", "classifier": "input_blocks.0"}
    model = openai.build({keys[RELEASED[name].kind]: np.zeros(0)}, RELEASED[name].options)
    experiment = released_experiment(model, RELEASED[name].options)
    conflicts = config.conflicts(experiment, shipped, config.MAY_CHANGE_BEFORE)
    # Which is said on the command line.
    assert [line for line in conflicts if not line.startswith("text.tokenizer")] == []


def test_an_upsampler_is_imported_with_the_noising_process_it_knows(tmp_path):
    options = released.FILES["upsample"].options | {"noise_schedule": "linear"}
    model = openai.build(load("tiny_upsample")[1], options)
    experiment = released_experiment(model, options)
    assert experiment.diffusion.schedule == "linear"
    assert experiment.diffusion.learn_variance
    sampling = experiment.sampling
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


def test_what_is_there_already_stays(tmp_path):
    file = write(tmp_path / "w.safetensors", "tiny_base")
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for out in ("run", "link", "w.safetensors"):
        refused_cleanly(
            lambda out=out: import_checkpoint([file], ["base"], tmp_path / out),
            f"{out} is there already",
            folder=tmp_path,
        )
    import_checkpoint([file], ["base"], tmp_path / "new")
    for out, there in (("a.safetensors", "a.safetensors"), ("b.pt", "b.pt.options.json")):
        (tmp_path / there).write_text("mine")
        refused(lambda out=out: export_checkpoint(tmp_path / "new", tmp_path / out), there)
        assert (tmp_path / there).read_text() == "mine"


def test_an_export_that_overflows_leaves_nothing(tmp_path):
    big = load("tiny_base")[1]["out.2.bias"] + np.float32(1e6)
    file = write(tmp_path / "w.safetensors", "tiny_base", **{"out.2.bias": big})
    import_checkpoint([file], ["base"], tmp_path / "run")
    out = tmp_path / "half.safetensors"
    refused_cleanly(
        lambda: export_checkpoint(tmp_path / "run", out, dtype="float16"),
        "out.2.bias",
        "float16",
        folder=tmp_path,
    )
    export_checkpoint(tmp_path / "run", out, dtype="bfloat16")
    assert {a.dtype for a in files.read(out).values()} == {files.DTYPES["bfloat16"]}


def test_an_export_without_its_options_says_what_to_do(tmp_path):
    trained(tmp_path / "run")
    done = export_checkpoint(tmp_path / "run", tmp_path / "w.safetensors")
    options = tmp_path / "w.safetensors.options.json"
    options.write_text(options.read_text()[:100])
    refused(lambda: import_checkpoint(done.files, [], tmp_path / "back"), "options.json")
    options.unlink()
    refused(lambda: import_checkpoint(done.files, [], tmp_path / "back"), "--as=base|")


def test_what_the_reference_has_no_option_for_is_said(tmp_path):
    trained(tmp_path / "run")
    done = export_checkpoint(tmp_path / "run", tmp_path / "w.safetensors")
    said = "; ".join(done.unlike)
    for word in ("output means x_0", "norm_groups is 8", "vocabulary is 300", "out_channels=3"):
        assert word in said
    beside = json.loads((tmp_path / "w.safetensors.options.json").read_text())
    assert tuple(beside["unlike"]) == done.unlike
    alike = ["diffusion.prediction=eps", "diffusion.learn_variance=true", "model.norm_groups=32"]
    alike += ["model.channel_mult=(1,)", "model.attention_resolutions=()"]
    trained(tmp_path / "alike", config.with_overrides(EXPERIMENT, alike))
    done = export_checkpoint(tmp_path / "alike", tmp_path / "x.safetensors")
    assert [line.partition(" is ")[0] for line in done.unlike] == ["the vocabulary"]


@pytest.mark.parametrize(
    ("name", "key", "words"),
    [
        ("adm-64", "label_emb.weight", "script_util.NUM_CLASSES = 10"),
        ("adm-64-classifier", "out.2.c_proj", "out_channels=10"),
    ],
)
def test_how_the_reference_makes_another_number_of_classes_is_said(tmp_path, name, key, words):
    arrays = load(GOLDEN[name])[1]
    fewer = {path: array[:10] for path, array in arrays.items() if path.startswith(key)}
    file = write(tmp_path / "w.safetensors", GOLDEN[name], **fewer)
    assert import_checkpoint([file], [name], tmp_path / "run").model.num_classes == 10
    done = export_checkpoint(tmp_path / "run", tmp_path / "x.safetensors")
    (line,) = done.unlike
    assert words in line
    import_checkpoint(done.files, [], tmp_path / "back")
    same(weights(tmp_path / "back"), weights(tmp_path / "run"))
    same(files.read(done.files[0]), files.read(file))


@pytest.mark.slow
def test_training_goes_on_from_imported_weights(tmp_path, capsys):
    sets = trained(tmp_path / "run")
    done = export_checkpoint(tmp_path / "run", tmp_path / "w.safetensors", ema=True)
    experiment = import_checkpoint(done.files, [], tmp_path / "back")
    other = ["seed=5", "training.learning_rate=1e-30", "data.source=folder", "model.dropout=0.0"]
    run = config.with_overrides(experiment, other)
    state = _trained_state(run, tmp_path / "back" / "base")
    assert int(state.step) == run.training.num_steps
    for path, array in sets["base"]["ema_params"].items():
        np.testing.assert_allclose(state.params[path], array, atol=1e-6)
    newest = open_checkpoint(tmp_path / "back" / "base" / "checkpoints")
    assert newest.is_of_a_run
    assert newest.experiment == run
    assert "starting from the weights of" in capsys.readouterr().out
    with pytest.raises(UserError, match="another experiment's"):
        refuse_another_run(newest.path.parent, config.with_overrides(run, ["seed=6"]))


def _trained_state(experiment, directory):
    """The state after training swatches."""
    (stage,) = experiment.stages.values()
    model = loop.build_model(stage, experiment, TOKENIZER)
    job = loop.Job(
        "base",
        experiment,
        stage,
        model,
        tiny.Swatches(),
        TOKENIZER,
        directory,
        tiny.loss(model, stage),
        tiny.told(),
    )
    with Interrupt() as interrupt:
        loop.train(job, interrupt, None)
    key, optimizer = jax.random.key(0), adamw(stage.training)
    timesteps = uniform(stage.diffusion.num_steps)
    fresh = jax.eval_shape(lambda: fresh_state(model.init(key), optimizer, timesteps))
    return open_checkpoint(directory / "checkpoints").restore(fresh)


@pytest.mark.parametrize(
    "override", ["model.num_res_blocks=2", "text.length=7", "diffusion.prediction=v"]
)
def test_imported_weights_are_refused_to_another_model(tmp_path, override):
    file = write(tmp_path / "w.safetensors", "tiny_base")
    experiment = import_checkpoint([file], ["base"], tmp_path / "run")
    checkpoints = tmp_path / "run" / "base" / "checkpoints"
    other = ["seed=5", "training.learning_rate=1", "data.source=folder", "model.dropout=0"]
    refuse_another_run(checkpoints, config.with_overrides(experiment, other))
    with pytest.raises(UserError, match=override.partition("=")[0]):
        refuse_another_run(checkpoints, config.with_overrides(experiment, [override]))


def test_info_says_what_a_workdir_and_a_file_are(tmp_path):
    trained(tmp_path / "run", CASCADE)
    shutil.copytree(tmp_path / "run" / "base", tmp_path / "run" / config.TEXT_PRETRAINING)
    said = "\n".join(describe(tmp_path / "run"))
    for word in (
        "text_pretraining:",
        "base:",
        "upsampler:",
        "family      glide",
        "float32",
        "step        3 of 6",
        "sentencepiece",
    ):
        assert word in said
    assert "training.batch_size = 8" in said
    export_checkpoint(tmp_path / "run", tmp_path / "w.safetensors", dtype="bfloat16")
    said = "\n".join(describe(tmp_path / "w.safetensors"))
    for word in ("glide, told from its keys", "bfloat16", "vocabulary  300", "image_size = 8"):
        assert word in said
    for name, golden in (("adm", "tiny_adm"), ("classifier", "tiny_adm_classifier")):
        file = write(tmp_path / f"{name}.safetensors", golden)
        said = "\n".join(describe(file))
        assert f"family      {name}" in said
        assert f"{sum(a.size for a in load(golden)[1].values()):,}" in said
        assert "classes     1000" in said
    refused(lambda: [*describe(tmp_path)], "no checkpoint")
    refused(lambda: [*describe(tmp_path / "none")], "there is no")
