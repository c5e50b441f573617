"""Imagen's tables, by IF's names and by Diffusers': there and back without a difference."""

import dataclasses
import functools
import hashlib
import json
import math

import numpy as np
import pytest
from golden.load import HERE, SHARED, load
from models.imagen_toys import CONFIG, EFFICIENT
from models.model_toys import filled

from glide_jax.errors import UserError
from glide_jax.interop import families, files, importing, namings, openai, released
from glide_jax.interop.exporting import export_checkpoint
from glide_jax.interop.families import adm, imagen, imagen_diffusers, imagen_sizes
from glide_jax.models.imagen import imagen as build_imagen

GOLDEN = HERE / "imagen"
STAGES = ["if_stage1", "if_stage1_levels", "if_upsampler", "if_upsampler_cross_only"]
NAMES = sorted(namings.NAMINGS)
STATE_DICTS = json.loads((GOLDEN / "state_dicts.json").read_text("utf-8"))
"""Name → naming → what the references' own code says of the model's state dict.

It was built on PyTorch's meta device by deepfloyd_if 1.0.1, and by diffusers 0.42.1 from the
config.json that `imagen_diffusers.options` gives; `digest` is as in `released_test`.
"""


@functools.cache
def tiny(name):
    return load(name, GOLDEN)


@pytest.mark.newest
@pytest.mark.parametrize("name", STAGES)
def test_state_dict_goes_out_as_it_came_in(name):
    manifest, state_dict, model, params = tiny(name)
    back = openai.to_state_dict(model, params)
    assert back.keys() == state_dict.keys()
    for key, array in state_dict.items():
        np.testing.assert_array_equal(back[key], array, strict=True)
    assert openai.options(model).items() >= manifest["options"].items()
    assert openai.build(state_dict, openai.options(model)).config == model.config


@pytest.mark.parametrize("name", STAGES)
def test_diffusers_names_hold_the_same_weights(name):
    manifest, state_dict, model, params = tiny(name)
    theirs = openai.to_state_dict(model, params, namings.DIFFUSERS)
    assert not theirs.keys() & state_dict.keys()
    again, back = openai.from_state_dict(theirs, manifest["options"])
    assert again.config == model.config
    for path, array in params.items():
        np.testing.assert_array_equal(back[path], array, strict=True)


def test_each_head_s_queries_keys_and_values_go_to_their_layers():
    _, state_dict, model, params = tiny("if_stage1")
    theirs = openai.to_state_dict(model, params, namings.DIFFUSERS)
    d, block = model.config.head_channels, "middle_block.1"
    qkv, kv = state_dict[f"{block}.qkv.bias"], state_dict[f"{block}.encoder_kv.weight"]
    heads = "mid_block.attentions.0"
    np.testing.assert_array_equal(theirs[f"{heads}.to_q.bias"][:d], qkv[:d])
    np.testing.assert_array_equal(theirs[f"{heads}.to_k.bias"][:d], qkv[d : 2 * d])
    np.testing.assert_array_equal(theirs[f"{heads}.to_q.bias"][d : 2 * d], qkv[3 * d : 4 * d])
    second = theirs[f"{heads}.add_v_proj.weight"][d : 2 * d]
    np.testing.assert_array_equal(second, kv[3 * d : 4 * d, :, 0])


@pytest.mark.slow
@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("name", STATE_DICTS)
def test_released_sizes_have_the_references_keys_and_shapes(name, names):
    (file,) = released.model_files(name)
    model = imagen.build({}, file.options)
    shapes = openai.reference_shapes(model, names)
    lines = sorted(f"{key} {'x'.join(map(str, shape))}" for key, shape in shapes.items())
    assert STATE_DICTS[name][names] == {
        "tensors": len(shapes),
        "parameters": sum(map(math.prod, shapes.values())),
        "digest": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    }
    # Every key comes in again, and is found to be of this model.
    arrays = {k: np.broadcast_to(np.zeros((), np.float32), shape) for k, shape in shapes.items()}
    assert families.of_keys(arrays).NAME == "imagen"
    assert openai.build(arrays, file.options).config == model.config
    assert next(openai.each_param_of(model, arrays))[0] in model.shapes


@pytest.mark.parametrize("name", STATE_DICTS)
def test_options_are_the_manifests(name):
    path = SHARED / "imagen" / f"{name.upper()}.manifest.json"
    if not path.exists():
        pytest.skip("the released models' manifests are not here")
    manifest = json.loads(path.read_text("utf-8"))
    assert released.HELD[name].options == manifest["options"]
    shapes = openai.reference_shapes(imagen.build({}, manifest["options"]))
    assert shapes == {key: tuple(shape) for key, shape in manifest["state_dict"].items()}


def test_its_keys_are_no_other_family_s():
    for name in STAGES:
        assert imagen.is_mine(tiny(name)[1])
        assert not adm.is_mine(tiny(name)[1])


@pytest.mark.parametrize(
    ("holder", "options", "held"),
    [("if_upsampler", "if_stage1", "an upsampler"), ("if_stage1", "if_upsampler", "a base model")],
)
@pytest.mark.parametrize("names", NAMES)
def test_one_stage_s_file_given_as_another_s_is_refused(holder, options, held, names):
    _, _, model, params = tiny(holder)
    state_dict = openai.to_state_dict(model, params, names)
    with pytest.raises(UserError, match=f"it holds {held} .*: give the other stage's name"):
        openai.build(state_dict, tiny(options)[0]["options"])


@pytest.mark.parametrize(
    "changes",
    [
        {"layout": "efficient", "resblock_updown": False},
        {"skip_scale": "concatenated"},
        {"text_norm": "layer"},
        {"text_norm": "none", "text_mask": "masked"},
        {"time_width": 64},
        {"norm_groups": 16},
        {"text_layers": 1},
    ],
)
def test_what_the_reference_has_no_argument_for_is_refused(changes):
    config = dataclasses.replace(tiny("if_stage1")[2].config, **changes)
    model = build_imagen(config, learn_variance=True)
    key = next(iter(changes))
    with pytest.raises(UserError, match=f"{key}="):
        openai.options(model)


@pytest.mark.parametrize("changes", [{"guidance_range": (1.0, 4.0)}, EFFICIENT])
def test_what_the_reference_can_t_build_goes_out_and_in_all_the_same(changes):
    config = dataclasses.replace(CONFIG, low_res_size=4, aug_level_conditioning=True, **changes)
    model = build_imagen(config, learn_variance=False)
    params = filled(model.shapes)
    back = openai.params_of(model, openai.to_state_dict(model, params))
    for path, array in params.items():
        np.testing.assert_array_equal(back[path], array, strict=True)


def test_diffusers_has_names_for_imagen_s_models_alone():
    _, _, glide, _ = load("tiny_base")
    with pytest.raises(UserError, match="no names for a model of family 'glide'"):
        openai.reference_shapes(glide, namings.DIFFUSERS)
    config = dataclasses.replace(tiny("if_stage1")[2].config, resblock_updown=False)
    plain = build_imagen(config, learn_variance=True)
    with pytest.raises(UserError, match="resblock_updown=True alone"):
        openai.reference_shapes(plain, namings.DIFFUSERS)
    config = dataclasses.replace(tiny("if_stage1")[2].config, guidance_range=(1.0, 4.0))
    distilled = build_imagen(config, learn_variance=True)
    with pytest.raises(UserError, match="none for the embedding of a guidance scale"):
        openai.reference_shapes(distilled, namings.DIFFUSERS)


def test_diffusers_config_says_what_the_reference_s_arguments_say():
    options = imagen_diffusers.options(tiny("if_upsampler_cross_only")[2])
    assert options["only_cross_attention"] == [False, True, True]
    assert options["layers_per_block"] == [1, 2, 1]
    assert options["resnet_out_scale_factor"] == pytest.approx(2**0.5, rel=1e-4)
    assert options["class_embed_type"] == "timestep"
    assert json.loads(json.dumps(options)) == options


@pytest.mark.slow
@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("name", ["if-i-xl", "if-ii-l"])
def test_the_shapes_say_the_sizes_that_were_published(name, names):
    options = released.HELD[name].options
    shapes = openai.reference_shapes(imagen.build({}, options), names)
    arrays = {k: np.broadcast_to(np.zeros((), np.float32), shape) for k, shape in shapes.items()}
    found = imagen_sizes.sizes(arrays, options["image_size"])
    expected = {"disable_self_attentions": False, **options}
    assert found == {key: expected[key] for key in found}


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("golden", STAGES)
def test_sizes_that_nobody_published_are_the_file_s_own(golden, names):
    manifest, _, model, params = tiny(golden)
    arrays = openai.to_state_dict(model, params, names)
    found = manifest["options"] | imagen_sizes.sizes(arrays, model.config.image_size)
    again = imagen.build(arrays, found)
    assert openai.reference_shapes(again) == openai.reference_shapes(model)
    levels = dataclasses.replace(again.config, num_res_blocks=model.config.num_res_blocks)
    assert levels == model.config
    del arrays[
        next(key for key in arrays if key.endswith(("pooling.0.weight", "embedding.norm1.weight")))
    ]
    with pytest.raises(UserError, match="can't be read from its shapes"):
        imagen_sizes.sizes(arrays, model.config.image_size)


@pytest.mark.parametrize("name", ["if-iii-l", "if-iii-l-v1.0"])
def test_a_stage_that_was_never_released_is_named_so(name):
    with pytest.raises(UserError, match=rf"no {name}: .* of stage III no weights"):
        released.model_files(name)


@pytest.fixture
def smaller(monkeypatch):
    """Released names that stand for the small golden models."""
    small = {"if-i-m": "if_stage1", "if-ii-l": "if_upsampler", "if-ii-m": "if_upsampler"}
    for name, golden in small.items():
        options = dict(tiny(golden)[0]["options"])
        if name == "if-ii-m":  # as released: without sizes
            sizes = ("model_channels", "channel_mult", "num_res_blocks", "encoder_channels")
            options = {key: value for key, value in options.items() if key not in sizes}
        held = dataclasses.replace(released.HELD[name], options=options)
        monkeypatch.setitem(released.HELD, name, held)


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize(
    ("name", "golden", "stage", "settings"),
    [
        *(
            pytest.param(*one, marks=pytest.mark.newest)
            for one in [
                ("if-i-m", "if_stage1", "base", ("150", 7.0, 1.5, 0.0)),
                ("if-ii-l", "if_upsampler", "upsampler", ("smart50", 4.0, 1.0, 0.25)),
            ]
        ),
        ("if-ii-m", "if_upsampler", "upsampler", ("smart50", 4.0, 1.0, 0.25)),
    ],
)
def test_a_file_that_people_have_becomes_a_workdir_and_a_file_again(
    tmp_path, smaller, names, name, golden, stage, settings
):
    _, _, model, params = tiny(golden)
    folder, out = tmp_path / "unet", tmp_path / "out.safetensors"
    folder.mkdir()
    path = folder / "diffusion_pytorch_model.safetensors"
    files.write(path, openai.to_state_dict(model, params, names), "float32")
    e = importing.import_checkpoint([folder], [name], tmp_path / "run")
    assert e.stages[stage].model == model.config
    assert (e.text.encoder, e.text.length, e.text.padding) == ("t5-v1_1-xxl", 77, True)
    d = e.stages[stage].diffusion
    assert (d.schedule, d.prediction, d.learn_variance) == ("squared_cosine", "eps", True)
    s = e.stages[stage].sampling
    assert (s.steps, s.guidance_scale, s.threshold_cap, s.aug_level) == settings
    export_checkpoint(tmp_path / "run", out, names=names)
    exported, expected = files.read(out), files.read(path)
    assert exported.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_array_equal(exported[key], array, strict=True)
    again = importing.import_checkpoint([out], [], tmp_path / "again")
    assert again.first_stage.model == model.config


def test_an_upsampler_s_file_given_as_stage_one_s_leaves_nothing(tmp_path, smaller):
    path = tmp_path / "stage2.safetensors"
    files.write(path, tiny("if_upsampler")[1], "float32")
    with pytest.raises(UserError) as caught:
        importing.import_checkpoint([path], ["if-i-m"], tmp_path / "run")
    assert str(caught.value).startswith(f"{path}: it holds an upsampler (stage II or III), not")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


class Unread:
    """An array that notes when it is read."""

    def __init__(self, key, array, read):
        self.key, self.array, self.read, self.shape = key, array, read, array.shape

    def __array__(self, dtype=None, copy=None):
        self.read.append(self.key)
        return self.array


@pytest.mark.parametrize("names", NAMES)
def test_arrays_are_read_one_weight_at_a_time_and_once(names):
    manifest, _, model, params = tiny("if_stage1")
    read, arrays = [], openai.to_state_dict(model, params, names)
    unread = {key: Unread(key, array, read) for key, array in arrays.items()}
    each = openai.each_param_of(openai.build(unread, manifest["options"]), unread)
    assert read == []
    for path, array in each:
        np.testing.assert_array_equal(array, params[path])
        keys, _ = namings.naming_of(model, names).match(path)
        assert read[-len(keys) :] == list(keys)
    assert sorted(read) == sorted(arrays)
