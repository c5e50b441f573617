"""What version 0.2 wrote is read."""

import json

import numpy as np
import pytest
import tiny
from PIL import Image, PngImagePlugin

from glide_jax import config
from glide_jax.checkpoints import Checkpoints, find_checkpoint
from glide_jax.checkpoints.upgrading import upgraded
from glide_jax.errors import UserError
from glide_jax.sampling.output import KEY, read_provenance


def test_a_checkpoint_of_0_2_is_read(tmp_path):
    experiment = tiny.experiment()
    with Checkpoints(tmp_path, keep=1, experiment=experiment, tokenizer={}) as checkpoints:
        checkpoints.save(1, {"ema_params": {"x": np.zeros(1)}}, {})
    (meta,) = tmp_path.glob("1/meta/metadata")
    values = json.loads(meta.read_text())
    del values["config"]["stages"]["base"]["training"]["crop_size"]
    del values["config"]["stages"]["base"]["training"]["distillation"]
    del values["config"]["stages"]["base"]["model"]["guidance_range"]
    del values["config"]["stages"]["base"]["sampling"]["threshold_cap"]
    del values["config"]["stages"]["base"]["sampling"]["cache_interval"]
    del values["config"]["evaluation"]["periodic"]
    meta.write_text(json.dumps(values))
    found = find_checkpoint(tmp_path)
    assert found is not None
    assert config.differences(found.experiment, experiment) == []


def test_an_imagen_model_of_0_3_is_refused():
    values = {"stages": {"base": {"model": {"family": "imagen"}, "training": {}}}}
    with pytest.raises(UserError, match=r"of version 0\.3, .* train or import it again"):
        upgraded(values)
    values["stages"]["base"]["model"]["text_layers"] = 0
    assert upgraded(values) == values


def test_an_image_of_0_2_says_what_made_it(tmp_path):
    info = PngImagePlugin.PngInfo()
    made = {
        "task": "sample",
        "prompt": "a red square",
        "negative_prompt": "",
        "label": None,
        "seed": 7,
        "index": 0,
        "settings": {"steps": "20"},
        "strength": None,
        "batch_slots": [[1, 0]],
        "checkpoints": ["/runs/quickstart"],
        "overrides": [],
        "steps": [6000, 700],
        "clip": None,
        "classifier": None,
        "input_files": {},
        "version": "0.2.0",
    }
    info.add_itxt(KEY, json.dumps(made))
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", pnginfo=info)
    found = read_provenance(tmp_path / "a.png")
    assert (found.prompt, found.seed, found.text_encoder) == ("a red square", 7, None)
