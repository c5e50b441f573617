"""What is imported is exported as it was, and the other way round."""

import json

import numpy as np
import pytest
import tiny
from interop_toys import (
    CASCADE,
    EXPERIMENT,
    GOLDEN,
    TOKENIZER,
    load,
    refused_cleanly,
    same,
    trained,
    weights,
    write,
)
from refusals import refused
from shrinking import shrunk

from glide_jax import config
from glide_jax.checkpoints import open_checkpoint
from glide_jax.interop import files, openai
from glide_jax.interop.exporting import export_checkpoint
from glide_jax.interop.importing import import_checkpoint
from glide_jax.sampling.pipeline import Pipeline

pytestmark = pytest.mark.usefixtures("small_releases")


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


def test_the_scale_that_a_clip_learned_goes_along(tmp_path):
    experiment = shrunk(tiny.CONFIGS / "clip.py")
    sets = trained(tmp_path / "run", experiment)
    scale = min(np.exp(sets["clip"]["params"]["logit_scale"]), 100)
    done = export_checkpoint(tmp_path / "run", tmp_path / "clip.safetensors")
    assert any(f"logit_scale is {scale:.6g}" in line for line in done.unlike)
    import_checkpoint(done.files, [], tmp_path / "back")
    back = weights(tmp_path / "back")
    np.testing.assert_allclose(np.exp(back.pop("logit_scale")), scale, rtol=1e-5)
    same(back, {path: sets["clip"]["params"][path] for path in back})


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


def test_a_model_conditioned_on_the_guidance_scale_keeps_its_embedding(tmp_path):
    distilled = config.with_overrides(EXPERIMENT, ["stages.base.model.guidance_range=1,4"])
    sets = trained(tmp_path / "run", distilled)
    done = export_checkpoint(tmp_path / "run", tmp_path / "w.safetensors", ema=True)
    assert "guidance_range=(1.0, 4.0)" in done.unlike[0]
    assert "guidance_embedding.level_in.weight" in files.read(done.files[0])
    assert import_checkpoint(done.files, [], tmp_path / "back") == distilled
    same(weights(tmp_path / "back"), sets["base"]["ema_params"])


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
    out = tmp_path / "x.safetensors"
    refused(
        lambda: export_checkpoint(tmp_path / "run", out, stage_name="upsampeler"), "'upsampler'"
    )


@pytest.mark.newest
def test_a_third_stage_of_the_same_name_gets_its_size(tmp_path):
    larger = config.with_overrides(
        CASCADE.only("upsampler"),
        ["stages.upsampler.model.image_size=32", "stages.upsampler.model.low_res_size=16"],
    )
    sets = trained(tmp_path / "run", CASCADE) | {"upsampler_32": trained(tmp_path / "up", larger)}
    outs = [tmp_path / f"{name}.safetensors" for name in ("base", "small", "large")]
    for workdir, name, out in zip(
        ("run", "run", "up"), ("base", "upsampler", "upsampler"), outs, strict=True
    ):
        export_checkpoint(tmp_path / workdir, out, stage_name=name, ema=True)
    experiment = import_checkpoint([*reversed(outs)], [], tmp_path / "back")
    assert list(experiment.stages) == ["base", "upsampler", "upsampler_32"]
    assert experiment.stages["upsampler_32"] == larger.stages["upsampler"]
    large = sets["upsampler_32"]["upsampler"]["ema_params"]
    same(weights(tmp_path / "back", "upsampler_32"), large)
    same(weights(tmp_path / "back", "upsampler"), sets["upsampler"]["ema_params"])


@pytest.mark.newest
def test_released_models_of_one_cascade_share_a_workdir(tmp_path):
    names = ("adm-64-to-256", "adm-64")
    paths = [write(tmp_path / f"{name}.safetensors", GOLDEN[name]) for name in names]
    experiment = import_checkpoint(paths, names, tmp_path / "run")
    assert list(experiment.stages) == ["base", "upsampler"]
    for stage, name in zip(("upsampler", "base"), names, strict=True):
        same(weights(tmp_path / "run", stage), load(GOLDEN[name])[3])


def test_models_that_form_no_cascade_are_refused(tmp_path):
    names = ("adm-64", "base")
    paths = [write(tmp_path / f"{name}.safetensors", GOLDEN[name]) for name in names]
    refused_cleanly(
        lambda: import_checkpoint(paths, names, tmp_path / "run"),
        "tokenize captions in different ways",
        "a workdir of its own",
        folder=tmp_path,
    )


@pytest.mark.slow
def test_an_imported_workdir_samples_with_the_imported_weights(tmp_path):
    trained(tmp_path / "run")
    done = export_checkpoint(tmp_path / "run", tmp_path / "w.safetensors", ema=True)
    import_checkpoint(done.files, [], tmp_path / "back")
    images = [
        Pipeline.load(tmp_path / workdir)("red square", steps="1", seed=1).arrays
        for workdir in ("run", "back")
    ]
    np.testing.assert_array_equal(*images)


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
    run = tmp_path / "run"
    assert import_checkpoint([file], [name], run).first_stage.model.num_classes == 10
    done = export_checkpoint(tmp_path / "run", tmp_path / "x.safetensors")
    (line,) = done.unlike
    assert words in line
    import_checkpoint(done.files, [], tmp_path / "back")
    same(weights(tmp_path / "back"), weights(tmp_path / "run"))
    same(files.read(done.files[0]), files.read(file))
