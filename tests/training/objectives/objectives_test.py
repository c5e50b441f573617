"""What each family learns: its loss, on however many devices, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.sharding import AxisType
from shrinking import shrunk

from glide_jax import config
from glide_jax.diffusion.timesteps import TIMESTEPS
from glide_jax.errors import UserError
from glide_jax.models.families import model_of
from glide_jax.parallel import mesh
from glide_jax.parallel.mesh import BATCH_AXES, batch_sharding
from glide_jax.training.jobs import check_batches
from glide_jax.training.objectives import OBJECTIVES
from glide_jax.training.optimizer import make_optimizer
from glide_jax.training.packing import Packing
from glide_jax.training.state import fresh_state, state_sharding
from glide_jax.training.step import train_step

BATCH = 16


def built(name, *overrides):
    """A shrunk config's stage, its model and its loss."""
    experiment = shrunk(tiny.CONFIGS / f"{name}.py", *overrides)
    tokenizer, stage = tiny.tokenizer(), experiment.first_stage
    model = model_of(stage, vocab_size=tokenizer.vocab_size, text_length=6)
    loss = OBJECTIVES[stage.model.family].loss(model, stage, tiny.reader())
    return stage, model, loss


def batch_of(stage):
    """Noise for images: no two are alike, so that no order goes unseen."""
    keys = jax.random.split(jax.random.key(0), 3)
    size = stage.model.image_size
    lengths = jax.random.randint(keys[2], (BATCH, 1), 1, 7)
    return {
        "image": jax.random.uniform(keys[0], (BATCH, size, size, 3), minval=-1),
        "tokens": jax.random.randint(keys[1], (BATCH, 6), 0, 300),
        "mask": jnp.arange(6)[None] < lengths,
        "label": jnp.arange(BATCH) % 3,
    }


def with_t(stage, t):
    index = jnp.arange(BATCH)
    weight = jnp.ones(BATCH)
    return batch_of(stage) | {
        "index": index,
        "t": jnp.broadcast_to(t, (BATCH,)),
        "t_weight": weight,
    }


def mesh_of(data, fsdp):
    devices = jax.devices()[: data * fsdp]
    return jax.make_mesh((data, fsdp), BATCH_AXES, axis_types=(AxisType.Auto,) * 2, devices=devices)


def run(devices, steps=2):
    """CLIP's state after some steps, and what they measured."""
    stage, model, loss = built("clip")
    packing = Packing(model.shapes)
    optimizer = make_optimizer(stage.training, packing)
    timesteps = TIMESTEPS["uniform"](stage.diffusion.num_steps)

    def fresh(key):
        return fresh_state(model.init(key), optimizer, packing, timesteps)

    key = jax.random.key(0)
    shardings = state_sharding(devices, jax.eval_shape(fresh, key))
    state = jax.jit(fresh, out_shardings=shardings)(key)
    step = train_step(loss, optimizer, packing, timesteps, stage.training, devices, state)
    batch = jax.device_put(batch_of(stage), batch_sharding(devices))
    batch.pop("label")
    rows = []
    for _ in range(steps):
        state, metrics = step(state, batch, jax.random.key(1))
        rows.append([float(metrics[name]) for name in ("loss", "grad_norm", "accuracy")])
    return state, rows


@pytest.fixture(scope="module")
def on_one_device():
    return run(mesh_of(1, 1))


@pytest.mark.parametrize(
    ("data", "fsdp"), [(8, 1), pytest.param(2, 4, marks=pytest.mark.slow)], ids=str
)
def test_a_batch_is_compared_with_itself_over_all_devices(on_one_device, data, fsdp, monkeypatch):
    monkeypatch.setattr(mesh, "SMALL", 500)
    state, rows = run(mesh_of(data, fsdp))
    expected, expected_rows = on_one_device
    np.testing.assert_allclose(rows, expected_rows, rtol=1e-4)
    for path, value in expected.params.items():
        # Adam divides by the gradient's own size: rounding of a gradient near 0 becomes a fraction
        # of a step of up to the learning rate, 2e-3.
        np.testing.assert_allclose(state.params[path], value, atol=1e-4, err_msg=path)


@pytest.mark.newest
def test_the_contrastive_loss_is_that_of_clip():
    stage, model, loss = built("clip")
    params, batch = model.init(jax.random.key(0)), with_t(stage, 0)
    value, aux = jax.jit(loss)(params, batch, jax.random.key(1))
    # At t = 0 next to no noise is in the images.
    image = np.asarray(model.encode_image(params, batch["image"], batch["t"]), np.float64)
    text = np.asarray(model.encode_text(params, batch["tokens"], batch["mask"]), np.float64)
    cosine = image @ text.T / np.linalg.norm(image, axis=1)[:, None] / np.linalg.norm(text, axis=1)
    logits = stage.model.logit_scale * cosine

    def cross_entropy(logits):
        return np.log(np.exp(logits).sum(1)) - np.diag(logits)

    expected = (cross_entropy(logits) + cross_entropy(logits.T)) / 2
    np.testing.assert_allclose(aux.per_example_losses, expected, atol=0.1)
    assert value == pytest.approx(expected.mean(), abs=0.05)
    assert aux.means["accuracy"] == pytest.approx(
        np.mean(logits.argmax(1) == np.arange(BATCH)), abs=1 / BATCH
    )


@pytest.mark.newest
def test_a_classifier_is_conditioned_on_t_and_minimises_the_cross_entropy():
    stage, model, loss = built("classifier")
    params, batch = model.init(jax.random.key(0)), with_t(stage, 0)
    value, aux = jax.jit(loss)(params, batch, jax.random.key(1))
    logits = np.asarray(model.apply(params, batch["image"], batch["t"]), np.float64)
    own = logits[np.arange(BATCH), np.asarray(batch["label"])]
    expected = np.log(np.exp(logits).sum(1)) - own
    np.testing.assert_allclose(aux.per_example_losses, expected, atol=0.05)
    assert value == pytest.approx(expected.mean(), abs=0.02)
    # Twice the weight, twice the loss; an image's own loss is unweighted.
    twice, again = jax.jit(loss)(
        params, batch | {"t_weight": jnp.full(BATCH, 2.0)}, jax.random.key(1)
    )
    assert float(twice) == pytest.approx(2 * float(value), rel=1e-5)
    np.testing.assert_array_equal(again.per_example_losses, aux.per_example_losses)


def test_a_class_conditional_model_learns_the_hybrid_loss_of_its_class():
    stage, model, loss = built("adm_imagenet64")
    params, batch = model.init(jax.random.key(0)), with_t(stage, 400)
    value, aux = jax.jit(loss)(params, batch, jax.random.key(1))
    assert set(aux.means) == {"mse", "vlb"}
    weight = stage.diffusion.vlb_weight
    hybrid = aux.means["mse"] + weight * aux.means["vlb"]
    assert float(value) == pytest.approx(float(hybrid), rel=1e-5)


def test_every_family_has_an_objective():
    assert set(OBJECTIVES) == set(config.FAMILIES)


def test_a_batch_that_is_compared_is_not_split_into_microbatches():
    def experiment(*overrides):
        return shrunk(tiny.CONFIGS / "clip.py", *overrides)

    message = r"stages.clip.training.microbatch_size must be 0: its loss compares the examples"
    with pytest.raises(UserError, match=message):
        check_batches(experiment("stages.clip.training.microbatch_size=1"), 8)
    check_batches(experiment(), 8)
