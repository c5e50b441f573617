"""What must hold of ADM's models whatever their weights are."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from model_toys import filled

from glide_jax.config import AdmConfig
from glide_jax.errors import UserError
from glide_jax.models.adm import adm
from glide_jax.models.labels import class_labels
from glide_jax.types import Condition

pytestmark = pytest.mark.newest

CONFIG = AdmConfig(
    family="adm",
    image_size=8,
    low_res_size=0,
    aug_level_conditioning=False,
    guidance_range=(),
    channels=16,
    channel_mult=(1, 2),
    num_res_blocks=1,
    attention_resolutions=(4,),
    head_channels=8,
    num_heads=0,
    attention_order="by_head",
    norm_groups=4,
    dropout=0.0,
    scale_shift_norm=True,
    resblock_updown=True,
    num_classes=5,
    dtype="float32",
    remat="none",
)
X_T = np.random.default_rng(1).standard_normal((3, 8, 8, 3)).astype(np.float32)
T = np.array([0, 100, 900], np.int32)
LABELS = np.array([0, 1, 4], np.int32)


@functools.cache
def build(learn_variance=False, **changes):
    """A compiled (x_t, t, Condition) → the model's output."""
    model = adm(dataclasses.replace(CONFIG, **changes), learn_variance=learn_variance)
    params = filled(model.shapes)

    @jax.jit
    def run(x_t, t, condition):
        return model.apply(params, x_t, t, model.encode(params, condition))

    return run


def differs(a, b):
    """Which images of a batch are not the same."""
    return jnp.abs(a - b).max(axis=(1, 2, 3)) > 1e-3


def test_a_image_depends_on_all_that_is_its_own_and_on_no_other_image():
    run, middle = build(), np.array([0, 1, 0], np.int32)
    out = run(X_T, T, Condition(label=LABELS))
    for changed in (
        run(X_T + np.float32(0.1) * middle[:, None, None, None], T, Condition(label=LABELS)),
        run(X_T, T + 300 * middle, Condition(label=LABELS)),
        run(X_T, T, Condition(label=LABELS + middle)),
    ):
        assert differs(out, changed).tolist() == [False, True, False]


def test_a_class_that_there_is_none_of_spoils_its_own_image_alone():
    out = build()(X_T, T, Condition(label=np.array([-1, 4, 5], np.int32)))
    assert jnp.isnan(out[0]).all()
    assert jnp.isfinite(out[1]).all()
    assert jnp.isnan(out[2]).all()


def test_a_model_of_classes_needs_one_and_one_of_none_does_not():
    with pytest.raises(ValueError, match="label"):
        build()(X_T, T, Condition())
    assert jax.eval_shape(build(num_classes=0), X_T, T, Condition()).shape == X_T.shape


def test_learned_variance_doubles_the_channels():
    run = build(learn_variance=True)
    assert jax.eval_shape(run, X_T, T, Condition(label=LABELS)).shape == (3, 8, 8, 6)


def test_heads_are_counted_or_measured():
    def program(**changes):
        return build(**changes).lower(X_T, T, Condition(label=LABELS)).as_text()

    # The one level that attends has 32 channels.
    assert program(num_heads=4, head_channels=0) == program(head_channels=8)
    assert program(num_heads=2, head_channels=0) != program(head_channels=8)


def test_upsampler_needs_and_uses_its_low_res_image():
    run = build(low_res_size=4)
    low_res = np.random.default_rng(2).uniform(-1, 1, (3, 4, 4, 3)).astype(np.float32)
    darker = low_res - np.array([0, 1, 0], np.float32)[:, None, None, None]
    out = run(X_T, T, Condition(label=LABELS, low_res=low_res))
    changed = run(X_T, T, Condition(label=LABELS, low_res=darker))
    assert differs(out, changed).tolist() == [False, True, False]
    with pytest.raises(ValueError, match="low_res"):
        run(X_T, T, Condition(label=LABELS))


def test_an_upsampler_may_be_conditioned_on_the_noise_of_its_low_res_image():
    low_res = np.zeros((3, 4, 4, 3), np.float32)
    condition = Condition(label=LABELS, low_res=low_res, aug_level=jnp.zeros(3))
    noisier = dataclasses.replace(condition, aug_level=jnp.array([0, 0.1, 0]))
    run = build(low_res_size=4, aug_level_conditioning=True)
    out = run(X_T, T, condition)
    assert differs(out, run(X_T, T, noisier)).tolist() == [False, True, False]
    with pytest.raises(ValueError, match="needs aug_level"):
        run(X_T, T, Condition(label=LABELS, low_res=low_res))
    without = build(low_res_size=4)
    np.testing.assert_array_equal(without(X_T, T, condition), without(X_T, T, noisier))


def test_the_noise_level_has_no_effect_before_training():
    condition = Condition(label=LABELS, low_res=jnp.zeros((3, 4, 4, 3)))
    config = dataclasses.replace(CONFIG, low_res_size=4, aug_level_conditioning=True)
    model = adm(config, learn_variance=False)
    params = model.init(jax.random.key(0))
    assert {
        "aug_level_embedding.level_in.kernel",
        "aug_level_embedding.level_out.bias",
    } <= params.keys()
    pooled = [
        model.encode(params, dataclasses.replace(condition, aug_level=jnp.full(3, level)))[0]
        for level in (0.0, 0.7)
    ]
    np.testing.assert_array_equal(*pooled)


def test_labels_of_people_are_checked():
    labels = class_labels([0, np.int64(4)], 5)
    assert labels.dtype == jnp.int32
    assert labels.tolist() == [0, 4]


@pytest.mark.parametrize(
    ("label", "num_classes", "message"),
    [
        (5, 5, "no class 5; give a label from 0 to 4"),
        (-1, 5, "no class -1; give a label from 0 to 4"),
        (2.0, 5, r"an integer, not 2\.0"),
        ("cat", 5, "an integer, not 'cat'"),
        (0, 0, "leave the label out"),
    ],
)
def test_labels_that_make_no_sense_are_refused(label, num_classes, message):
    with pytest.raises(UserError, match=message):
        class_labels([label], num_classes)
