"""Training an adapter: the base is frozen, nothing but the adapter is kept, any devices agree."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny
from jax.sharding import AxisType
from models.model_toys import filled
from shrinking import shrunk
from toy_encoder import ToyEncoder

from glide_jax import config, data
from glide_jax.checkpoints import Checkpoints, checkpoints_of, open_checkpoint
from glide_jax.checkpoints.adapters import ADAPTER, read_adapter
from glide_jax.checkpoints.fingerprint import weights_fingerprint
from glide_jax.config import AdapterConfig
from glide_jax.encoders import ENCODERS
from glide_jax.errors import UserError
from glide_jax.models import lora
from glide_jax.models.families import model_of
from glide_jax.models.model import Model
from glide_jax.parallel import mesh
from glide_jax.parallel.mesh import BATCH_AXES, batch_sharding
from glide_jax.planning.memory import abstract_mesh, state_bytes
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.training import loop, starting
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.jobs import make_jobs
from glide_jax.training.objectives.adapted import adapted_loss
from glide_jax.training.state import state_sharding

SETTINGS = AdapterConfig(2, 4.0, ("attention", "dense", "convolutions", "text"))


@pytest.fixture(autouse=True)
def swatches(monkeypatch):
    monkeypatch.setattr(data, "prepare", lambda source, path: None)
    monkeypatch.setattr(data, "open_source", lambda source, path, split: tiny.Swatches())


def named_as_a_unet(experiment):
    """`tiny.convolutional`, its convolutions named as a U-Net's are."""
    model = tiny.convolutional(experiment)

    def named(params):
        return {p if p.startswith("text.") else f"unet.{p}": x for p, x in params.items()}

    def own(params):
        return {path.removeprefix("unet."): x for path, x in params.items()}

    return Model(
        model.config,
        named(model.shapes),
        lambda key: named(model.init(key)),
        lambda params, condition: model.encode(own(params), condition),
        lambda params, *arguments: model.apply(own(params), *arguments),
        model.prepare,
    )


def write_base(workdir, params, experiment, reader=None):
    with Checkpoints(
        checkpoints_of(workdir, "base"),
        keep=1,
        experiment=experiment,
        tokenizer=(reader or tiny.reader()).to_dict(),
    ) as checkpoints:
        checkpoints.save(0, {"ema_params": params}, {})
    return open_checkpoint(checkpoints_of(workdir, "base"))


def experiment_of(base, *overrides):
    """The tiny experiment, with an adapter of the base in this workdir."""
    values = config.to_dict(tiny.experiment(f"stages.base.training.init_from={base}", *overrides))
    values["stages"]["base"]["training"]["adapter"] = dataclasses.asdict(SETTINGS)
    return config.from_dict(values)


def job_of(tmp_path, name, *overrides, seed=3):
    """A job of an adapter of a model that compiles in no time."""
    model = named_as_a_unet(tiny.experiment())
    base = tmp_path / f"base_{seed}"
    params = {path: np.asarray(x) for path, x in model.init(jax.random.key(seed)).items()}
    if not base.exists():
        write_base(base, params, tiny.experiment())
    experiment = experiment_of(base, *overrides)
    plain = tiny.job(tmp_path / name, experiment, named_as_a_unet)
    adapter = lora.lora_of(model.shapes, SETTINGS)
    return dataclasses.replace(
        plain,
        adapter=adapter,
        base=open_checkpoint(checkpoints_of(base, "base")),
        loss=adapted_loss(plain.loss, adapter),
    )


@pytest.mark.newest
def test_only_the_adapter_is_trained_and_kept(tmp_path):
    job = job_of(tmp_path, "run")
    params = loop.train(job, Interrupt(), None)
    checkpoint, base = open_checkpoint(tmp_path / "run" / "checkpoints"), job.base
    for part in ("params", "ema_params"):
        assert checkpoint.shapes(part).keys() == job.adapter.shapes.keys()
    before = base.weights("ema_params", base.shapes("ema_params"))
    assert checkpoint.base == weights_fingerprint(before)
    changed = {path for path, x in before.items() if not np.array_equal(x, params[path])}
    assert changed == {path for path in before if path.endswith(".kernel")}
    file = read_adapter(tmp_path / "run" / ADAPTER)
    kept = checkpoint.weights("ema_params", checkpoint.shapes("ema_params"))
    assert (file.stage, file.step, file.base) == ("base", 6, checkpoint.base)
    merged = lora.merged(before, file.params, file.scale)
    for path, x in kept.items():
        np.testing.assert_array_equal(file.params[path], x)
    for path, x in merged.items():
        np.testing.assert_allclose(params[path], x, rtol=1e-5, atol=1e-6)


@pytest.mark.newest
def test_before_the_first_step_it_is_the_base(tmp_path):
    job = job_of(tmp_path, "run")
    base = starting.read_base(job, mesh.make_mesh(1))
    start = starting.weights_of(job, base)(job.adapter.init(jax.random.key(0)))
    for path, x in base.items():
        np.testing.assert_array_equal(start[path], x, err_msg=path)


@pytest.mark.newest
def test_a_run_that_was_stopped_equals_one_that_was_not(tmp_path):
    whole = loop.train(job_of(tmp_path, "whole"), Interrupt(), None)
    loop.train(job_of(tmp_path, "two", "stages.base.training.num_steps=3"), Interrupt(), None)
    resumed = loop.train(job_of(tmp_path, "two"), Interrupt(), None)
    for path, x in whole.items():
        np.testing.assert_array_equal(resumed[path], x, err_msg=path)


def test_a_run_does_not_go_on_with_another_base(tmp_path):
    loop.train(job_of(tmp_path, "run", "stages.base.training.num_steps=3"), Interrupt(), None)
    with pytest.raises(UserError, match=r"begun with other weights than training\.init_from"):
        loop.train(job_of(tmp_path, "run", seed=4), Interrupt(), None)


def stepped(job, devices, steps=3):
    """The adapter after some steps on a mesh, and the losses."""
    base = starting.read_base(job, devices)
    abstract = jax.eval_shape(
        lambda key: starting.state_from_params(job)(job.adapter.init(key)), jax.random.key(0)
    )
    make = jax.jit(
        lambda key: starting.state_from_params(job)(job.adapter.init(key)),
        out_shardings=state_sharding(devices, abstract),
    )
    state, losses = make(jax.random.key(0)), []
    step = starting.step_of(job, devices, state, base)
    source, reader = tiny.Swatches(), tiny.reader()
    images = np.stack([source[i].image[::2, ::2] for i in range(8)]).astype(np.float32)
    arrays = reader.read([source.captions(i)[0] for i in range(8)]).arrays
    batch = jax.device_put(arrays | {"image": images / 127.5 - 1}, batch_sharding(devices))
    for _ in range(steps):
        state, metrics = step(state, batch, jax.random.key(1), base)
        losses.append(float(metrics["loss"]))
    return state, losses, base


@pytest.mark.slow
@pytest.mark.parametrize(("data_axis", "fsdp", "microbatch"), [(2, 4, 0), (2, 2, 1)], ids=str)
def test_devices_and_microbatches_do_not_change_the_step(
    tmp_path, monkeypatch, data_axis, fsdp, microbatch
):
    """With the base split over the mesh as any weights are."""
    monkeypatch.setattr(mesh, "SMALL", 500)

    def mesh_of(*sizes):
        kinds, devices = (AxisType.Auto,) * 2, jax.devices()[: sizes[0] * sizes[1]]
        return jax.make_mesh(sizes, BATCH_AXES, axis_types=kinds, devices=devices)

    one, expected, _ = stepped(job_of(tmp_path, "one"), mesh_of(1, 1))
    split = job_of(tmp_path, "split", f"stages.base.training.microbatch_size={microbatch}")
    other, losses, base = stepped(split, mesh_of(data_axis, fsdp))
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for path, x in one.params.items():
        np.testing.assert_allclose(other.params[path], x, atol=5e-5, err_msg=path)
    kernel = base["unet.middle_conv.kernel"]
    assert kernel.sharding.shard_shape(kernel.shape)[3] == kernel.shape[3] // fsdp


def test_memory_is_that_of_the_base_and_the_adapter(tmp_path):
    job = job_of(tmp_path, "run")
    state = jax.eval_shape(
        lambda key: starting.state_from_params(job)(job.adapter.init(key)), jax.random.key(0)
    )
    found = state_bytes(state, abstract_mesh(1, 1), job.base_shapes)
    of_adapter = 4 * sum(s.size for s in job.adapter.shapes.values())
    assert found.base == 4 * sum(s.size for s in job.model.shapes.values())
    assert (found.weights, found.average, found.gradients) == (of_adapter,) * 3
    assert 2 * of_adapter <= found.optimizer < 2 * of_adapter + 100
    assert found.kept == found.base + 2 * of_adapter + found.optimizer


@pytest.fixture
def imagen(tmp_path, monkeypatch):
    """A workdir of an Imagen base, and an experiment that trains an adapter of it.

    every_config_test trains one of GLIDE's.
    """
    monkeypatch.setitem(ENCODERS, "toy", lambda path, *, dtype, mesh=None: ToyEncoder())
    loaded = shrunk(
        tiny.CONFIGS / "imagen_quickstart.py",
        "stages.base.training.num_steps=2",
        "stages.base.sampling.steps='1'",
        "evaluation=none",
    )
    experiment = dataclasses.replace(loaded, prompts=("red square",)).only("base")
    base = tmp_path / "base"
    (plain,) = make_jobs(experiment, base).stages
    write_base(base, filled(plain.model.shapes), experiment, plain.reader)
    values = config.to_dict(experiment)
    values["stages"]["base"]["training"] |= {
        "init_from": str(base),
        "adapter": dataclasses.asdict(SETTINGS),
    }
    return base, config.from_dict(values)


@pytest.mark.slow
@pytest.mark.usefixtures("one_device")
def test_imagen_is_adapted_and_sampled(imagen, tmp_path):
    base, experiment = imagen
    (job,) = make_jobs(experiment, tmp_path / "run").stages
    params = loop.train(job, Interrupt(), None)
    own = Pipeline.load(tmp_path / "run")
    added = Pipeline.load(base, adapters=[tmp_path / "run" / "base" / ADAPTER])
    plain = Pipeline.load(base)
    for path, x in own.stages[0].params.items():
        np.testing.assert_allclose(params[path], x, rtol=1e-5, atol=1e-6, err_msg=path)
        np.testing.assert_array_equal(added.stages[0].params[path], x, err_msg=path)
    images = [p("red square", seed=1).arrays.astype(int) for p in (own, added, plain)]
    np.testing.assert_array_equal(images[0], images[1])
    assert np.abs(images[0] - images[2]).max() > 0


def test_an_adapter_of_an_adapter_is_refused(tmp_path):
    experiment = tiny.experiment()
    model = model_of(
        experiment.stages["base"], vocab_size=tiny.tokenizer().vocab_size, text_length=6
    )
    arrays = filled(lora.lora_of(model.shapes, SETTINGS).shapes)
    write_base(tmp_path / "adapter", arrays, experiment)
    with pytest.raises(UserError, match="holds an adapter, not a model's weights"):
        make_jobs(experiment_of(tmp_path / "adapter"), tmp_path / "run")


def test_an_adapter_does_not_learn_to_inpaint(tmp_path):
    experiment = tiny.experiment()
    model = model_of(
        experiment.stages["base"], vocab_size=tiny.tokenizer().vocab_size, text_length=6
    )
    write_base(tmp_path / "base", filled(model.shapes), experiment)
    inpaints = experiment_of(tmp_path / "base", "stages.base.model.inpaint=True")
    with pytest.raises(UserError, match=r"holds a different model .*model.inpaint"):
        make_jobs(inpaints, tmp_path / "run")
