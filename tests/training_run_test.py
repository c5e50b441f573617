"""A training run, of models so small that it takes seconds."""

import json

import pytest
import tiny
from shrinking import shrunk

from glide_jax import config, data
from glide_jax.checkpoints import open_checkpoint
from glide_jax.commands.sample import sample
from glide_jax.commands.train import train
from glide_jax.errors import UserError


@pytest.mark.parametrize(
    "wrong", ["stages.upsampler.training.batch_size=12", "stages.upsampler.training.fsdp=3"]
)
def test_what_a_later_stage_can_t_do_is_said_before_anything_is_made(tmp_path, monkeypatch, wrong):
    monkeypatch.setattr(data, "prepare", lambda source, path: pytest.fail("it has begun"))
    overrides = [*tiny.OVERRIDES, *tiny.UPSAMPLER_OVERRIDES, wrong]
    loaded = config.load_config(tiny.CONFIGS / "quickstart.py", overrides)
    with pytest.raises(UserError, match=wrong.removeprefix("stages.upsampler.")):
        train(config.experiment_from(loaded), tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("one_device")
def test_an_upsampler_alone_is_trained_and_samples_no_prompts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(data, "prepare", lambda source, path: None)
    monkeypatch.setattr(data, "open_source", lambda source, path, split: tiny.Swatches())
    steps = ("stages.base.training.num_steps=3", "stages.base.training.sample_every_steps=1")
    experiment = tiny.experiment(
        "stages.base.model.low_res_size=4", "stages.upsampler=none", *steps
    )
    train(experiment, tmp_path)
    assert "samples no prompts without a base model" in capsys.readouterr().out
    assert open_checkpoint(tmp_path / "base" / "checkpoints").step == 3
    assert set(json.loads((tmp_path / "summary.json").read_text())) == {"seconds", "peak_rss_gib"}
    # No grid, no sheet of prompts; the report is of the losses.
    assert [path.name for path in tmp_path.rglob("*.png")] == ["report.png"]
    with pytest.raises(UserError, match="needs an image to enlarge"):
        sample(tmp_path, [], ["red square"], seed=0)


@pytest.mark.slow
@pytest.mark.usefixtures("one_device")
def test_an_unconditional_model_gets_sample_grids(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(data, "prepare", lambda source, path: None)
    monkeypatch.setattr(data, "open_source", lambda source, path, split: tiny.Swatches())
    quick = ("num_steps=2", "sample_every_steps=1", "batch_size=8")
    changes = [f"stages.base.training.{change}" for change in quick]
    unconditional = ["stages.base.model.num_classes=0", "labels=none"]
    experiment = shrunk(tiny.CONFIGS / "adm_imagenet64.py", *unconditional, *changes)
    train(experiment, tmp_path)
    assert "glide-jax sample --num-images" in capsys.readouterr().out
    grids = sorted((tmp_path / "base" / "samples").glob("*.png"))
    assert [grid.name for grid in grids] == ["00000001.png"]  # the last step has samples.png
    assert len(list((tmp_path / "samples").glob("*.png"))) == 8
