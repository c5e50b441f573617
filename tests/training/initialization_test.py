"""A stage that starts from another workdir, and one that learns to inpaint."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from models.model_toys import filled

from glide_jax import data
from glide_jax.checkpoints import Checkpoints, checkpoints_of, initial_checkpoint
from glide_jax.errors import UserError
from glide_jax.models.families import model_of
from glide_jax.models.glide import with_inpainting
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.training import loop
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.jobs import make_jobs
from glide_jax.training.objectives.inpainting_masks import kept_outside_box
from glide_jax.types import Condition


@pytest.fixture(autouse=True)
def swatches(monkeypatch):
    monkeypatch.setattr(data, "prepare", lambda source, path: None)
    monkeypatch.setattr(data, "open_source", lambda source, path, split: tiny.Swatches())


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A workdir as an import leaves it, and its weights."""
    workdir, experiment = tmp_path_factory.mktemp("base"), tiny.experiment()
    tokenizer = tiny.tokenizer()
    shapes = model_of(experiment.stages["base"], vocab_size=tokenizer.vocab_size, text_length=6)
    params = filled(shapes.shapes)
    with Checkpoints(
        checkpoints_of(workdir, "base"),
        keep=1,
        experiment=experiment,
        tokenizer=tokenizer.to_dict(),
    ) as checkpoints:
        checkpoints.save(0, {"ema_params": params}, {})
    return workdir, params


def test_a_workdir_of_other_stages_is_named_with_those_it_has(base):
    experiment = tiny.experiment(f"stages.base.training.init_from={base[0]}")
    with pytest.raises(UserError, match="no checkpoint of a stage 'upsampler', only of base"):
        initial_checkpoint("upsampler", experiment.stages["base"])


def started(base, tmp_path, *overrides):
    """The job of an experiment that starts from it."""
    experiment = tiny.experiment(f"stages.base.training.init_from={base[0]}", *overrides)
    (job,) = make_jobs(experiment, tmp_path).stages
    return job


def test_the_weights_and_the_tokenizer_are_those_of_the_other_workdir(base, tmp_path):
    job = started(base, tmp_path, "stages.base.training.learning_rate=1e-5")
    assert job.reader.to_dict() == tiny.tokenizer().to_dict()
    assert job.initial_params.keys() == job.model.shapes.keys()
    for path, weights in base[1].items():
        np.testing.assert_array_equal(job.initial_params[path], weights, err_msg=path)


@pytest.mark.newest
@pytest.mark.parametrize("low_res_size", [0, 4])
def test_a_model_that_learns_to_inpaint_starts_as_it_was(low_res_size):
    x_t, low_res = jax.random.normal(jax.random.key(0), (2, 1, 8, 8, 3))
    condition = Condition(
        tokens=jnp.ones((1, 6), jnp.int32),
        mask=jnp.ones((1, 6), bool),
        low_res=low_res[:, :4, :4] if low_res_size else None,
        inpaint_image=low_res,
        inpaint_mask=kept_outside_box(*jnp.full((4, 1), 0.3), size=8),
    )

    def outputs(inpaint, params):
        overrides = (
            f"stages.base.model.inpaint={inpaint}",
            f"stages.base.model.low_res_size={low_res_size}",
        )
        stage = tiny.experiment(*overrides).stages["base"]
        model = model_of(stage, vocab_size=300, text_length=6)
        params = params or filled(model.shapes)
        encoded = model.encode(params, condition)
        return model.apply(params, x_t, jnp.array([3]), encoded), params, model

    expected, params, _ = outputs(False, None)
    widened = with_inpainting(params)
    found, _, model = outputs(True, widened)
    assert {k: v.shape for k, v in widened.items()} == {k: v.shape for k, v in model.shapes.items()}
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("stages.base.model.channels=64",),
            r"holds a different model \(theirs → yours: stages.base.model.channels: 32 → 64\)",
        ),
        (("stages.base.diffusion.num_steps=9",), r"diffusion.num_steps: \d+ → 9"),
        (("text.length=7",), "text.length: 6 → 7"),
        (("stages.base.training.init_from=nowhere",), "that workdir does not exist; give one of"),
        (("stages.base.training.init_from=.",), "init_from=.: that workdir holds no checkpoint"),
    ],
    ids=str,
)
def test_another_model_is_refused(base, tmp_path, overrides, message):
    with pytest.raises(UserError, match=message):
        started(base, tmp_path, *overrides)


def test_a_box_is_inside_the_image_and_sometimes_all_of_it():
    numbers = jax.random.uniform(jax.random.key(0), (4, 2000))
    kept = np.asarray(kept_outside_box(*numbers, size=8))
    assert kept.shape == (2000, 8, 8, 1)
    erased = 1 - kept[..., 0]
    assert set(np.unique(erased)) == {0, 1}
    rows, columns = erased.max(axis=2), erased.max(axis=1)
    np.testing.assert_array_equal(erased, rows[:, :, None] * columns[:, None, :])
    assert rows.sum(axis=1).min() >= 1
    for ends in (rows, columns):  # one run each
        assert np.abs(np.diff(ends, axis=1, prepend=0, append=0)).sum(axis=1).max() == 2
    assert np.mean(erased.all(axis=(1, 2))) == pytest.approx(1 / 25, abs=0.015)


@pytest.mark.slow
@pytest.mark.usefixtures("one_device")
def test_a_model_learns_to_inpaint_and_does(base, tmp_path):
    overrides = (
        "stages.base.model.inpaint=True",
        "stages.base.training.num_steps=20",
        "stages.base.training.lr_decay=constant",
    )
    job = started(base, tmp_path, *overrides)
    params = loop.train(job, Interrupt(), None)
    losses = [row["loss"] for row in tiny.metrics(job.directory)]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    new = "unet.input_blocks.0.0.kernel"
    assert np.abs(job.initial_params[new][:, :, 3:7]).max() == 0
    assert np.abs(params[new][:, :, 3:7]).max() > 0
    # Once it has a checkpoint it no longer reads the other workdir.
    assert make_jobs(job.experiment, tmp_path).stages[0].initial_params == {}

    image = tiny.Swatches()[0].image
    mask = np.zeros((16, 16), np.uint8)
    mask[:, 8:] = 255
    output = Pipeline.load(tmp_path).inpaint(image, mask, "red square", guidance_scale=1)
    image = np.asarray(output.images[0])
    assert image.shape == (8, 8, 3)
    # Below the white rows, in the half that is known.
    np.testing.assert_allclose(image[4:, :4], np.full((4, 4, 3), tiny.COLOURS["red"]), atol=2)
