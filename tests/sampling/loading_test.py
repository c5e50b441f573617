"""A frozen text encoder and the models that read it are never in memory together without need."""

import numpy as np
import pytest
import tiny
from models.model_toys import filled
from shrinking import shrunk
from toy_encoder import WIDTH, ToyEncoder

from glide_jax import encoders
from glide_jax.checkpoints import Checkpoint, Checkpoints
from glide_jax.errors import UserError
from glide_jax.models.families import model_of
from glide_jax.parallel import free_memory, mesh
from glide_jax.sampling import loading
from glide_jax.sampling.pipeline import Pipeline

EXPERIMENT = shrunk(
    tiny.CONFIGS / "imagen_quickstart.py",
    "stages.upsampler_128=none",
    "stages.base.sampling.steps='1'",
    "stages.upsampler.sampling.steps='1'",
)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A cascade of two stages, as an import leaves it."""
    folder = tmp_path_factory.mktemp("run")
    for name, stage in EXPERIMENT.stages.items():
        model = model_of(stage, vocab_size=0, text_length=EXPERIMENT.text_length)
        with Checkpoints(
            folder / name / "checkpoints",
            keep=1,
            experiment=EXPERIMENT,
            tokenizer={"kind": "frozen_encoder", "encoder": EXPERIMENT.text.encoder},
        ) as checkpoints:
            checkpoints.save(0, {"ema_params": filled(model.shapes)}, {})
    return folder


@pytest.fixture
def events(monkeypatch):
    """What was loaded and freed, in order."""
    happened = []

    class Toy(ToyEncoder):
        def release(self):
            happened.append("encoder freed")

    def load(name, path, *, dtype):
        happened.append("encoder loaded")
        return Toy(name)

    weights = Checkpoint.weights

    def read(self, *arguments):
        happened.append(self.stage)
        return weights(self, *arguments)

    monkeypatch.setattr(encoders, "load_encoder", load)
    monkeypatch.setattr(Checkpoint, "weights", read)
    return happened


@pytest.mark.newest
def test_the_encoder_is_freed_before_the_models_come_in_or_loaded_after_them(workdir, events):
    assert EXPERIMENT.stages["base"].model.encoder_width == WIDTH
    pipeline = Pipeline.load(workdir, prompts=["a red disc", "a box"])
    assert events == ["encoder loaded", "encoder freed", "base", "upsampler"]
    first = pipeline("a red disc", guidance_scale=2, negative_prompt="a box")
    assert len(events) == 4, "all its captions are encoded"
    pipeline("a new one", guidance_scale=2)
    other = pipeline("another", guidance_scale=2)
    assert events[4:] == ["encoder loaded"], "it stays for the next prompt"
    assert (other.arrays != first.arrays).any()
    # Without prompts it is loaded when one comes, as nobody has it any more, and gives the same.
    del pipeline
    events.clear()
    late = Pipeline.load(workdir)
    assert events == ["base", "upsampler"]
    again = late("a red disc", guidance_scale=2, negative_prompt="a box")
    assert events[2:] == ["encoder loaded"]
    np.testing.assert_array_equal(again.arrays, first.arrays)


def test_too_little_memory_is_said_before_a_weight_is_read(workdir, events, monkeypatch):
    monkeypatch.setattr(free_memory, "free_host_bytes", lambda: 100)
    with pytest.raises(
        UserError, match=r"the models' weights take .* GiB .* are free; import them"
    ):
        Pipeline.load(workdir)
    assert events == []


def test_weights_that_do_not_fit_a_device_are_split_over_few(workdir, events, monkeypatch):
    asked = {"prompt": "a red disc", "negative_prompt": "a box", "guidance_scale": 2}
    expected = Pipeline.load(workdir)(**asked)
    monkeypatch.setattr(loading, "missing_memory", lambda arrays: _none_if_split(arrays, 4))
    monkeypatch.setattr(mesh, "SMALL", 500)
    pipeline = Pipeline.load(workdir)
    assert [stage.mesh.shape["fsdp"] for stage in pipeline.stages] == [4, 4]
    parts = pipeline.stages[0].params
    assert any(x.addressable_shards[0].data.size == x.size // 4 for x in parts.values())
    found = pipeline(**asked)
    assert np.abs(found.arrays.astype(int) - expected.arrays).max() <= 1, "up to rounding"


def _none_if_split(arrays, least):
    return None if arrays[0].sharding.mesh.shape["fsdp"] >= least else "too much"
