"""Adapters at sampling: weighted, stacked, reproduced, refused."""

import dataclasses

import numpy as np
import pytest
import tiny
from pipeline_toys import pipeline

from glide_jax import config
from glide_jax.checkpoints import Checkpoints, checkpoints_of
from glide_jax.checkpoints.adapters import Adapter, read_adapter, write_adapter
from glide_jax.checkpoints.fingerprint import weights_fingerprint
from glide_jax.config import AdapterConfig
from glide_jax.errors import UserError
from glide_jax.models import lora
from glide_jax.sampling.output import read_provenance
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.stages import make_stage

SETTINGS = AdapterConfig(2, 1.0, ("attention", "convolutions"))


def write(path, stage, params=None, seed=0):
    """An adapter of a stage's weights, as training it for a while would leave it."""
    shapes = lora.lora_of(stage.model.shapes, SETTINGS).shapes
    rng = np.random.default_rng(seed)
    arrays = {name: 0.3 * rng.standard_normal(s.shape) for name, s in shapes.items()}
    base = weights_fingerprint(params or stage.params)
    adapter = Adapter(str(path), stage.name, SETTINGS, base, 7, arrays)
    write_adapter(path, adapter, tiny.experiment())
    return path


@pytest.fixture(scope="module")
def adapters(tmp_path_factory):
    """A pipeline and two adapters of its base model."""
    folder, pipe = tmp_path_factory.mktemp("adapters"), pipeline()
    return pipe, [write(folder / f"{i}.safetensors", pipe.stages[0], seed=i) for i in range(2)]


@pytest.mark.newest
def test_a_weight_of_zero_is_the_base_and_weights_add_up(adapters):
    pipe, (one, other) = adapters
    base, twice = pipe.stages[0].params, pipe.with_adapters(f"{one}:2").stages[0].params
    zero = pipe.with_adapters(f"{one}:0").stages[0].params
    stacked = pipe.with_adapters(f"{one}:0.5", f"{one}:1.5").stages[0].params
    for path, x in base.items():
        np.testing.assert_array_equal(zero[path], x)
        np.testing.assert_allclose(stacked[path], twice[path], rtol=1e-5, atol=1e-5)
    both = pipe.with_adapters(one, other).stages[0].params
    swapped = pipe.with_adapters(other, one).stages[0].params
    path = next(p for p in base if p.startswith("unet.") and p.endswith("qkv.kernel"))
    assert np.abs(both[path] - twice[path]).max() > 1e-3
    np.testing.assert_allclose(both[path], swapped[path], rtol=1e-5, atol=1e-5)


@pytest.mark.newest
def test_other_weights_compile_nothing(adapters):
    pipe, (one, other) = adapters
    stage, traces = pipe.stages[0], []

    def encode(params, condition):
        traces.append(None)
        return stage.model.encode(params, condition)

    model = dataclasses.replace(stage.model, encode=encode)
    rest = stage.config, model, stage.params, stage.reader, stage.step
    counted = Pipeline((make_stage(stage.name, *rest),))
    base = counted("red square", seed=1, guidance_scale=1).arrays.astype(int)
    before, images = len(traces), []
    for given in ([f"{one}:1"], [f"{one}:0.3", f"{other}:-1"], [f"{one}:0"]):
        output = counted.with_adapters(*given)("red square", seed=1, guidance_scale=1)
        images.append(output.arrays.astype(int))
    assert len(traces) == before
    assert np.abs(images[0] - images[1]).max() > 0
    np.testing.assert_array_equal(images[2], base)


@pytest.mark.newest
def test_an_image_says_which_adapters_it_was_made_with(adapters, tmp_path):
    cascade, (one, _) = adapters
    pipe, asked = Pipeline(cascade.stages[:1]), {"seed": 3, "guidance_scale": 1}
    added = pipe.with_adapters(f"{one}:0.5")
    output = added("red square", **asked)
    (file,) = output.save(tmp_path)
    made = read_provenance(file)
    assert made.adapters == (f"{one.absolute()}:0.5",)
    np.testing.assert_array_equal(added.reproduce(file).arrays, output.arrays)
    with pytest.raises(UserError, match=r"was sampled with .*:0\.5, and these models .* none"):
        pipe.reproduce(file)


@pytest.mark.newest
def test_an_adapter_of_other_models_is_refused(adapters, tmp_path):
    pipe, (one, _) = adapters
    other = write(tmp_path / "a.safetensors", pipe.stages[0], pipe.stages[1].params)
    with pytest.raises(UserError, match="is an adapter of other weights than these models"):
        pipe.with_adapters(other)
    upsampler = Pipeline(pipe.stages[1:])
    with pytest.raises(UserError, match="of a stage 'base', and these models have upsampler"):
        upsampler.with_adapters(one)


def save(workdir, params, experiment, base=None):
    with Checkpoints(
        checkpoints_of(workdir, "base"),
        keep=1,
        experiment=experiment,
        tokenizer=tiny.tokenizer().to_dict(),
        base=base,
    ) as checkpoints:
        checkpoints.save(7, {"ema_params": params}, {})


def test_a_workdir_of_an_adapter_is_loaded_with_its_base(adapters, tmp_path):
    """And is refused once the base has gone on, or is away."""
    pipe, (one, _) = adapters
    stage, adapter = pipe.stages[0], read_adapter(one)
    save(tmp_path / "base", stage.params, tiny.experiment())
    values = config.to_dict(tiny.experiment(f"stages.base.training.init_from={tmp_path / 'base'}"))
    values["stages"]["base"]["training"]["adapter"] = dataclasses.asdict(SETTINGS)
    save(tmp_path / "run", adapter.params, config.from_dict(values), adapter.base)
    loaded = Pipeline.load(tmp_path / "run").stages[0]
    assert loaded.step == 7
    expected = pipe.with_adapters(one).stages[0].params
    for path, x in expected.items():
        np.testing.assert_array_equal(loaded.params[path], x, err_msg=path)
    away = tmp_path / "away"
    (tmp_path / "base").rename(away)
    with pytest.raises(UserError, match=r"init_from=.*does not exist"):
        Pipeline.load(tmp_path / "run")
    moved = Pipeline.load(
        tmp_path / "run", overrides=[f"stages.base.training.init_from={away}"]
    ).stages[0]
    np.testing.assert_array_equal(moved.params[path], expected[path])
    other = {path: x + 1 for path, x in stage.params.items()}
    save(tmp_path / "base", other, tiny.experiment())
    with pytest.raises(UserError, match="is an adapter of other weights than"):
        Pipeline.load(tmp_path / "run")
