"""Weights in a size that nobody published: what a JSON says, what shapes say, what neither says."""

import json

import numpy as np
import pytest
from interop_toys import load, refused_cleanly, same, weights, write

from glide_jax import cli, entry
from glide_jax.errors import UserError
from glide_jax.interop import openai, released
from glide_jax.interop.families import glide
from glide_jax.interop.given_options import complete
from glide_jax.interop.importing import import_checkpoint
from glide_jax.interop.sidecar import sidecar_path

NOT_IN_SHAPES = ("image_size", "num_head_channels", "xf_heads", "noise_schedule", "diffusion_steps")
GLIDE = ["tiny_base", "tiny_base_inpaint", "tiny_upsample", "tiny_upsample_inpaint"]


def small(golden="tiny_base", **changes):
    """What a person must say of a golden model."""
    options = load(golden)[0]["options"]
    return {name: options[name] for name in NOT_IN_SHAPES} | changes


def json_file(path, options):
    path.write_text(options if isinstance(options, str) else json.dumps(options))
    return path


@pytest.mark.newest
@pytest.mark.parametrize("golden", [*GLIDE, "tiny_no_text_padding"])
def test_shapes_say_the_rest(golden):
    manifest, arrays, model, _ = load(golden)
    given = {name: manifest["options"][name] for name in NOT_IN_SHAPES}
    found = complete("glide", arrays, given, {})
    assert openai.build(arrays, found).config == openai.build(arrays, manifest["options"]).config
    assert model.shapes == openai.build(arrays, found).shapes


@pytest.mark.slow
@pytest.mark.parametrize("name", ["base", "upsample", "base-inpaint"])
def test_shapes_say_the_released_models_sizes(name):
    options = released.FILES[name].options
    model = openai.build({"transformer.": np.zeros(0)}, options)
    arrays = {
        key: np.broadcast_to(np.float16(0), shape)
        for key, shape in openai.reference_shapes(model).items()
    }
    found = complete("glide", arrays, {key: options[key] for key in NOT_IN_SHAPES}, {})
    assert openai.build(arrays, found).config == model.config


@pytest.mark.parametrize("where", ["--options", "beside"])
def test_weights_in_another_size_are_imported(tmp_path, where, capsys):
    file = write(tmp_path / "small.safetensors", "tiny_base")
    path = tmp_path / "small.json" if where == "--options" else sidecar_path(file)
    words = [f"--options={json_file(path, small())}"] if where == "--options" else []
    json_file(path, small())
    assert cli.main(["import", str(file), *words, f"--out={tmp_path / 'run'}"]) == 0
    assert "base: glide" in capsys.readouterr().out
    same(weights(tmp_path / "run"), load("tiny_base")[3])


def test_a_released_model_says_what_is_left_out(tmp_path):
    file = write(tmp_path / "small.safetensors", "tiny_base")
    sizes = {"image_size": 16, "num_head_channels": 16, "xf_heads": 2}
    given = json_file(tmp_path / "sizes.json", sizes)
    stage = import_checkpoint([file], ["base"], tmp_path / "run", [given]).first_stage
    assert (stage.model.channels, stage.diffusion.schedule) == (32, "squared_cosine")


@pytest.mark.slow
def test_adms_options_are_all_given(tmp_path):
    file = write(tmp_path / "adm.safetensors", "tiny_adm")
    options = load("tiny_adm")[0]["options"]
    given = json_file(tmp_path / "adm.json", options)
    import_checkpoint([file], [], tmp_path / "run", [given])
    same(weights(tmp_path / "run"), load("tiny_adm")[3])
    less = {key: value for key, value in options.items() if key != "num_res_blocks"}
    again = [json_file(tmp_path / "less.json", less)]
    with pytest.raises(UserError, match=r"less\.json: the shapes don't say num_res_blocks: give"):
        import_checkpoint([file], [], tmp_path / "more", again)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {},
            ["don't say image_size, num_head_channels", "xf_heads", "diffusion_steps", "--options"],
        ),
        ({"image_size": 16}, ["don't say num_head_channels", "noise_schedule"]),
        (small(num_channels=64), ["num_channels is 64, and by the shapes 32"]),
        (small(xf_width=8, xf_layers=3), ["xf_layers is 3, and by the shapes 2; xf_width is 8"]),
        (small(channel_mult="1,1,2"), ["channel_mult is '1,1,2', and by the shapes '1,2'"]),
        (small(attention_resolutions="16"), ["attention_resolutions is '16'", "'8'"]),
        (small(super_res=True), ["super_res is True, and by the shapes False"]),
        (small(num_channel=32), ["unknown option 'num_channel'", "did you mean 'num_channels'"]),
        (small(image_size="16"), ["image_size must be of type int", "not '16'"]),
        (small(noise_schedule="sigmoid"), ["noise_schedule", "sigmoid"]),
        ("{", ["no JSON"]),
        ("[]", ["must hold an object of options"]),
    ],
    ids=str,
)
def test_wrong_options_are_one_line_and_nothing_is_left(tmp_path, options, words):
    file = write(tmp_path / "small.safetensors", "tiny_base")
    given = json_file(tmp_path / "given.json", options)
    out = tmp_path / "run"
    message = refused_cleanly(
        lambda: import_checkpoint([file], [], out, [given]), *words, folder=tmp_path
    )
    assert "\n" not in message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--options=o.json"], "give the FILE that --options describe"),
        (["w.safetensors", "--options=none.json"], "can't read none.json"),
        (["w.safetensors"], "give --options FILE.json"),
        (["w.safetensors", "w.safetensors", "--options=none.json"], "--options for each file"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(tmp_path, monkeypatch, words, message, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "w.safetensors", "tiny_base")
    assert cli.main(["import", *words, "--out=run"]) == entry.BAD_INPUT
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_every_option_is_known_inferred_or_asked_for():
    arrays = load("tiny_base")[1]
    inferred = glide.infer(arrays, {"image_size": 16})
    said = {*inferred, *glide.TRAINING_OPTIONS, *NOT_IN_SHAPES, "timestep_respacing"}
    assert said == set(released.FILES["base"].options)
