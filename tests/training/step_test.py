"""One step is one step, on any number of devices and microbatches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.sharding import AxisType
from jax.tree_util import tree_flatten_with_path

from glide_jax.diffusion.losses import WEIGHTINGS
from glide_jax.diffusion.timesteps import TIMESTEPS, step_probabilities
from glide_jax.models.caption_guesser import caption_guesser
from glide_jax.parallel import mesh
from glide_jax.parallel.mesh import BATCH_AXES, batch_sharding
from glide_jax.training.objectives.denoising import mean_blocks
from glide_jax.training.objectives.text_pretraining import text_pretraining_loss
from glide_jax.training.objectives.text_to_image import text_to_image_loss
from glide_jax.training.optimizer import learning_rate, make_optimizer
from glide_jax.training.packing import Packing
from glide_jax.training.state import fresh_state, state_sharding
from glide_jax.training.step import train_step


def mesh_of(data, fsdp):
    devices = jax.devices()[: data * fsdp]
    return jax.make_mesh((data, fsdp), BATCH_AXES, axis_types=(AxisType.Auto,) * 2, devices=devices)


def batch_of(size):
    source, tokenizer = tiny.Swatches(), tiny.tokenizer()
    images = np.stack([source[i].image[::2, ::2] for i in range(size)]) / 127.5 - 1
    ids = [tokenizer.encode(source.captions(i)[0])[:6] for i in range(size)]
    tokens = np.array([row + [tokenizer.pad_id] * (6 - len(row)) for row in ids], np.int32)
    mask = np.array([[k < len(row) for k in range(6)] for row in ids])
    return {"image": images.astype(np.float32), "tokens": tokens, "mask": mask}


def with_t(batch, stage):
    """The batch as a loss receives it from the step."""
    index = jnp.arange(len(batch["image"]))
    t, weight = TIMESTEPS["uniform"](stage.diffusion.num_steps).sample(
        {}, jax.random.split(jax.random.key(2), len(index))
    )
    return batch | {"index": index, "t": t, "t_weight": weight}


def images_of_captions(model, stage):
    return text_to_image_loss(model, stage, tiny.reader())


def run(
    devices,
    experiment,
    steps=3,
    frozen=(),
    build=tiny.convolutional,
    loss_of=images_of_captions,
):
    """The state after some steps, and the losses."""
    stage, model = experiment.stages["base"], build(experiment)
    packing, diffusion = Packing(model.shapes, frozen), stage.diffusion
    optimizer = make_optimizer(stage.training, packing)
    timesteps = TIMESTEPS[diffusion.timesteps](diffusion.num_steps)

    def fresh(key):
        return fresh_state(model.init(key), optimizer, packing, timesteps)

    key = jax.random.key(0)
    shardings = state_sharding(devices, jax.eval_shape(fresh, key))
    state = jax.jit(fresh, out_shardings=shardings)(key)
    loss = loss_of(model, stage)
    step = train_step(loss, optimizer, packing, timesteps, stage.training, devices, state)
    batch = jax.device_put(batch_of(stage.training.batch_size), batch_sharding(devices))
    losses = []
    for _ in range(steps):
        state, metrics = step(state, batch, jax.random.key(1))
        losses.append(float(metrics["loss"]))
    return state, losses


@functools.cache
def on_one_device(*options, steps=3):
    """What `run` returns of the tiny experiment with these options, on one device."""
    return run(mesh_of(1, 1), tiny.experiment(*options), steps)


@functools.cache
def pretrained(data, fsdp):
    """What `run` returns of text pretraining."""

    def guesser(experiment):
        sizes = {"vocab_size": tiny.reader().vocab_size, "text_length": 6}
        return caption_guesser(experiment.first_stage.model, hidden_width=8, **sizes)

    return run(
        mesh_of(data, fsdp),
        tiny.experiment(),
        build=guesser,
        loss_of=lambda model, _: text_pretraining_loss(model),
    )


@pytest.fixture(autouse=True)
def split_even_small_arrays(monkeypatch):
    monkeypatch.setattr(mesh, "SMALL", 500)


def assert_same(one, other):
    """Two states, and the losses on the way, are the same but for rounding."""
    np.testing.assert_allclose(other[1], one[1], rtol=1e-5)
    for path, value in one[0].params.items():
        # Adam divides by the gradient's own size: rounding of a gradient near 0 becomes a
        # fraction of a step of up to the learning rate, 1e-3.
        np.testing.assert_allclose(other[0].params[path], value, atol=5e-5, err_msg=path)


@pytest.mark.slow
def test_a_unet_takes_the_same_step_on_any_devices():
    """With dropout, and with a mesh that splits both the batch and the weights."""
    experiment = tiny.experiment(tiny.TWO_SIZES)
    one, other = (run(mesh_of(*d), experiment, build=tiny.unet) for d in [(1, 1), (2, 4)])
    assert_same(one, other)


@pytest.mark.parametrize(
    ("data", "fsdp", "size"),
    [
        (2, 2, 1),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in [(2, 4, 0), (8, 1, 0), (1, 1, 2), (4, 1, 1)]
        ),
    ],
    ids=str,
)
def test_devices_and_microbatches_do_not_change_the_step(data, fsdp, size):
    microbatches = tiny.experiment(f"stages.base.training.microbatch_size={size}")
    assert_same(on_one_device(), run(mesh_of(data, fsdp), microbatches))


@pytest.mark.newest
@pytest.mark.parametrize("size", [0, 1])
def test_weights_on_two_axes_do_not_change_the_step(size, monkeypatch):
    monkeypatch.setattr(mesh, "MOST_A_DIMENSION", 2)
    three_axes = mesh.make_mesh(4)
    assert three_axes.axis_names == ("data", "fsdp", "fsdp_rest")
    microbatches = tiny.experiment(f"stages.base.training.microbatch_size={size}")
    assert_same(on_one_device(), run(three_axes, microbatches))


@pytest.mark.parametrize("devices", [(2, 4), pytest.param((4, 1), marks=pytest.mark.slow)], ids=str)
def test_text_pretraining_takes_the_same_step_on_any_devices(devices):
    """Its loss has variances over the batch; here a device has one caption or two."""
    assert_same(pretrained(1, 1), pretrained(*devices))


@pytest.mark.slow
@pytest.mark.parametrize(("data", "fsdp", "microbatch"), [(2, 4, 0), (2, 2, 1)], ids=str)
def test_devices_and_microbatches_do_not_change_the_memory_of_the_timesteps(data, fsdp, microbatch):
    """Two steps of noise and 32 images: from the second batch on each has its ten losses."""
    options = [
        "stages.base.training.batch_size=32",
        "stages.base.diffusion.num_steps=2",
    ]
    options.append("stages.base.diffusion.timesteps=loss_second_moment")
    expected, expected_losses = on_one_device(*options, steps=4)
    options.append(f"stages.base.training.microbatch_size={microbatch}")
    state, losses = run(mesh_of(data, fsdp), tiny.experiment(*options), steps=4)
    memory = expected.timesteps
    assert memory["counts"].sum() == 4 * 32
    assert memory["counts"].min() >= 10
    probabilities = step_probabilities(memory)
    assert abs(probabilities[0] - 0.5) > 0.01, "it samples unevenly by now"
    np.testing.assert_array_equal(state.timesteps["counts"], memory["counts"])
    np.testing.assert_allclose(state.timesteps["losses"], memory["losses"], rtol=1e-4)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-4)


def test_muon_takes_the_same_step_on_any_devices():
    """Where what it makes orthogonal is split, and the batch too."""
    muon = "stages.base.training.optimizer=muon"
    expected, expected_losses = on_one_device(muon)
    state, losses = run(mesh_of(2, 4), tiny.experiment(muon))
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-4)
    for path, value in expected.params.items():
        np.testing.assert_allclose(state.params[path], value, atol=2e-4, err_msg=path)


def test_fsdp_splits_the_weights_and_their_moments():
    state, _ = run(mesh_of(2, 4), tiny.experiment(), steps=1)
    kernel = state.params["middle_conv.kernel"]
    assert kernel.addressable_shards[0].data.size == kernel.size // 4
    sizes = {(x.size, x.addressable_shards[0].data.size) for x in jax.tree.leaves(state.opt_state)}
    assert (kernel.size, kernel.size // 4) in sizes


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "data", "fsdp"), [("adamw", 1, 1), ("muon", 2, 4)], ids=str)
def test_frozen_weights_stay_and_have_no_moments(kind, data, fsdp):
    options = [f"stages.base.training.optimizer={kind}", "stages.base.training.lr_warmup_steps=0"]
    frozen = ("middle_conv.kernel", "middle_conv.bias")
    start, _ = run(mesh_of(1, 1), tiny.experiment(*options), steps=0)
    state, _ = run(mesh_of(data, fsdp), tiny.experiment(*options), steps=2, frozen=frozen)
    moved, _ = run(mesh_of(data, fsdp), tiny.experiment(*options), steps=2)
    for path, value in start.params.items():
        moves = path not in frozen and not np.array_equal(moved.params[path], value)
        for now in (state.params[path], state.ema_params[path]):
            assert np.array_equal(now, value) != moves, path
    assert all(not np.array_equal(moved.params[path], start.params[path]) for path in frozen)
    leaves = tree_flatten_with_path(state.opt_state)[0]
    moments = {path[-1].key for path, _ in leaves if hasattr(path[-1], "key")}
    assert len(moments) > 1
    assert not moments & set(frozen)


@pytest.mark.newest
def test_loss_falls_and_average_follows():
    state, losses = run(
        mesh_of(1, 1), tiny.experiment("stages.base.training.lr_decay=constant"), steps=60
    )
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    apart = [jnp.abs(state.params[k] - state.ema_params[k]).max() for k in state.params]
    assert 0 < max(apart) < 0.1


@pytest.mark.newest
def test_an_image_s_noise_is_its_own():
    """Half a batch gives the mean of its images' losses, wherever the images stand."""
    experiment = tiny.experiment()
    stage, model = experiment.stages["base"], tiny.convolutional(experiment)
    loss = jax.jit(text_to_image_loss(model, stage, tiny.reader()))
    params, key = model.init(jax.random.key(0)), jax.random.key(1)
    batch = with_t(batch_of(8), stage)
    halves = [jax.tree.map(lambda x, h=h: x[h::2], batch) for h in (0, 1)]
    of_halves = [float(loss(params, half, key)[0]) for half in halves]
    assert np.mean(of_halves) == pytest.approx(float(loss(params, batch, key)[0]), rel=1e-5)
    assert of_halves[0] != of_halves[1]


@pytest.mark.newest
def test_the_weighting_of_the_config_weights_the_loss():
    found = {}
    for name in WEIGHTINGS:
        experiment = tiny.experiment(f"stages.base.diffusion.weighting={name}")
        stage, model = experiment.stages["base"], tiny.convolutional(experiment)
        loss = jax.jit(text_to_image_loss(model, stage, tiny.reader()))
        batch = with_t(batch_of(8), stage)
        value, aux = loss(model.init(jax.random.key(0)), batch, jax.random.key(1))
        found[name] = float(value), float(aux.means["mse"])
    assert len({mse for _, mse in found.values()}) == 1
    assert found["uniform"][0] == pytest.approx(found["uniform"][1])
    assert len({value for value, _ in found.values()}) == len(WEIGHTINGS)


def test_learning_rate_warms_up_and_decays_to_nothing():
    rate = learning_rate(tiny.experiment("stages.base.training.num_steps=100").first_stage.training)
    config = tiny.experiment().first_stage.training
    assert rate(0) == 0
    assert float(rate(config.lr_warmup_steps)) == pytest.approx(config.learning_rate)
    assert float(rate(100)) == pytest.approx(0, abs=1e-9)


def test_mean_blocks_keeps_the_mean():
    image = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
    small = mean_blocks(image, 4)
    assert small.shape == (2, 4, 4, 3)
    np.testing.assert_allclose(small[1, 0, 1], image[1, :2, 2:4].mean((0, 1)), rtol=1e-5)


def test_packing_goes_both_ways_and_leaves_large_arrays_alone():
    params = {"a": jnp.arange(6.0).reshape(2, 3), "b": jnp.ones((30, 20)), "c": jnp.zeros(4)}
    packing = Packing(params)
    packed = packing.pack(params)
    assert packed.keys() == {"b", "packed"}
    assert packed["packed"].shape == (10,)
    back = packing.unpack(packed)
    assert back.keys() == params.keys()
    for path, value in params.items():
        np.testing.assert_array_equal(back[path], value, strict=True)
