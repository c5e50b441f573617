"""What comes in goes out as it was, and the other way round."""

import json

import numpy as np
import pytest
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
from PIL import Image
from refusals import refused

from glide_jax import modes
from glide_jax.interop import files, openai
from glide_jax.interop.exporting import export_checkpoint
from glide_jax.interop.importing import import_checkpoint
from glide_jax.training.checkpoints import open_checkpoint

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
    # What each says of itself names its own workdir.
    np.testing.assert_array_equal(*[np.asarray(Image.open(picture)) for picture in pictures])


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
