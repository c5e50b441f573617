"""The table of public files agrees with the references."""

import hashlib
import json
import math
import re
from pathlib import Path

import pytest
from golden.load import HERE

from glide_jax.errors import UserError
from glide_jax.interop import families, openai, released

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"
MANIFESTS = {
    "base": "base",
    "upsample": "upsample",
    "base-inpaint": "base_inpaint",
    "upsample-inpaint": "upsample_inpaint",
    "clip-image": "clip_image",
    "clip-text": "clip_text",
    "adm-64": "adm_64",
    "adm-64-classifier": "adm_64_classifier",
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_options_are_the_manifests(name):
    path = GOLDEN / f"{MANIFESTS[name]}.manifest.json"
    if not path.exists():
        pytest.skip("the released models' manifests are not here")
    assert released.FILES[name].options == json.loads(path.read_text("utf-8"))["options"]


NO_MODELS = ("vocabulary", "features")
"""Kinds of files that `glide-jax import` doesn't read."""

STATE_DICTS = json.loads((HERE / "state_dicts.json").read_text("utf-8"))
"""Name → what the references' own code says of the model's state dict.

It was built from `released.FILES[name].options` by the public create_model (and its like) on
PyTorch's meta device; `digest` is that of the sorted lines "KEY 3x32x…", a tensor each.
"""
NOT_OFTEN = pytest.mark.slow
OFTEN = ("adm-512", "adm-512-classifier", "clip-text")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in OFTEN else NOT_OFTEN) for n in STATE_DICTS]
)
def test_keys_and_shapes_are_those_of_the_reference_s_own_code(name):
    file = released.FILES[name]
    kinds = {family.NAME: family for family in families.FAMILIES.values()}
    model = kinds[file.kind].build({}, file.options)
    shapes = openai.reference_shapes(model)
    lines = sorted(f"{key} {'x'.join(map(str, shape))}" for key, shape in shapes.items())
    assert STATE_DICTS[name] == {
        "tensors": len(shapes),
        "parameters": sum(map(math.prod, shapes.values())),
        "digest": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    }
    assert openai.options(model).items() <= file.options.items()


def test_every_model_s_keys_are_held():
    names = {file.name for file in released.FILES.values() if file.kind not in NO_MODELS}
    assert STATE_DICTS.keys() == names


@pytest.mark.parametrize("file", released.FILES.values(), ids=lambda file: file.name)
def test_every_entry_is_complete(file):
    assert file.url.startswith("https://")
    assert re.fullmatch(r"|sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", file.digest)
    assert bool(file.options) == (file.kind not in NO_MODELS)


def test_no_two_files_share_an_address_or_a_name_in_the_cache():
    files = released.FILES.values()
    assert len({file.url for file in files}) == len(files)
    assert len({file.url.rpartition("/")[2] for file in files}) == len(files)


@pytest.mark.parametrize("kind", ["glide", "adm", "classifier", "clip_image", "clip_text"])
def test_models_of_a_kind_have_the_same_option_names(kind):
    def names(options):
        # ADM's upsamplers have two sizes, and no say in these two.
        upsampler = {"large_size", "small_size"}
        base = {"image_size", "channel_mult", "use_new_attention_order"}
        return options.keys() - upsampler | base if upsampler <= options.keys() else options.keys()

    options = [names(file.options) for file in released.FILES.values() if file.kind == kind]
    assert all(each == options[0] for each in options)


def test_names_and_groups_are_found():
    assert [file.name for file in released.find("base")] == ["base"]
    assert [file.kind for file in released.find("clip")] == ["clip_image", "clip_text"]
    assert released.find("all") == tuple(released.FILES.values())
    with pytest.raises(UserError, match="did you mean 'adm-64'"):
        released.find("adm-46")
