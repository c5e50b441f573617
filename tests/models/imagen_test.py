"""What must hold of Imagen's models whatever their weights are."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from imagen_toys import CONFIG, EFFICIENT
from model_toys import filled

from glide_jax.models.enlargement import ENLARGEMENTS
from glide_jax.models.imagen import imagen
from glide_jax.types import Condition

pytestmark = pytest.mark.newest

RNG = np.random.default_rng(1)
X_T = RNG.standard_normal((3, 8, 8, 3)).astype(np.float32)
T = np.array([0, 100, 900], np.int32)
TEXT = RNG.standard_normal((3, 5, 24)).astype(np.float32)
MASK = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 0, 0, 0, 0]], bool)
LAYOUTS = [{}, EFFICIENT]
ONE_LEVEL = {
    "channel_mult": (1,),
    "attention_resolutions": (8,),
    "self_attention_resolutions": (8,),
}


@functools.cache
def _built(changes):
    model = imagen(dataclasses.replace(CONFIG, **dict(changes)), learn_variance=False)
    params = filled(model.shapes)

    @jax.jit
    def run(x_t, t, condition):
        return model.apply(params, x_t, t, model.encode(params, condition))

    return model, params, run


def build(**changes):
    """(model, weights, a compiled (x_t, t, Condition) → the model's output)."""
    return _built(tuple(sorted(changes.items())))


def condition(text=TEXT, mask=MASK, **more):
    return Condition(text_embedding=jnp.asarray(text), mask=jnp.asarray(mask), **more)


def differs(a, b):
    """Which images of a batch are not the same."""
    return (jnp.abs(a - b).max(axis=(1, 2, 3)) > 1e-3).tolist()


@pytest.mark.parametrize("changes", LAYOUTS)
def test_an_image_depends_on_all_that_is_its_own_and_on_no_other_image(changes):
    _, _, run = build(**changes)
    middle = np.array([0, 1, 0], np.float32)[:, None, None]
    out = run(X_T, T, condition())
    for changed in (
        run(X_T + np.float32(0.1) * middle[..., None], T, condition()),
        run(X_T, T + np.array([0, 300, 0], np.int32), condition()),
        run(X_T, T, condition(TEXT + middle * np.ascontiguousarray(TEXT[::-1], np.float32))),
    ):
        assert differs(out, changed) == [False, True, False]


@pytest.mark.parametrize("changes", LAYOUTS)
def test_padding_has_no_effect_where_it_is_masked(changes):
    _, _, run = build(**changes)
    out = run(X_T, T, condition())
    other = np.where(MASK[..., None], TEXT, np.float32(100))
    np.testing.assert_array_equal(out, run(X_T, T, condition(other)))
    longer = np.pad(TEXT, ((0, 0), (0, 4), (0, 0))), np.pad(MASK, ((0, 0), (0, 4)))
    np.testing.assert_allclose(out, run(X_T, T, condition(*longer)), atol=1e-5)


def test_padding_has_an_effect_where_it_is_attended_to():
    _, _, run = build(text_mask="attended", text_norm="group")
    other = np.where(MASK[..., None], TEXT, np.float32(1))
    out = run(X_T, T, condition())
    assert differs(out, run(X_T, T, condition(other))) == [True] * 3
    np.testing.assert_array_equal(out, run(X_T, T, condition(mask=~MASK)))


@pytest.mark.parametrize(("text_layers", "reads_order"), [(0, False), (2, True)])
def test_only_text_layers_read_the_order_of_words(text_layers, reads_order):
    """The frozen encoder's output says it; what pools it and attends to it doesn't."""
    _, _, run = build(text_layers=text_layers, text_width=12)
    turned = condition(np.ascontiguousarray(TEXT[:, ::-1]), np.ascontiguousarray(MASK[:, ::-1]))
    distance = jnp.abs(run(X_T, T, condition()) - run(X_T, T, turned)).max(axis=(1, 2, 3))
    assert (np.asarray(distance) > 1e-3).tolist() == [reads_order] * 3


def test_a_caption_of_which_nothing_is_left_gives_numbers():
    _, _, run = build()
    assert jnp.isfinite(run(X_T, T, condition(mask=np.zeros_like(MASK)))).all()


@pytest.mark.parametrize(
    ("changes", "lacking", "message"),
    [
        ({}, {"text_embedding": None}, "needs a text_embedding"),
        ({}, {"text_embedding": jnp.zeros((3, 5, 32))}, "another encoder's: it has 32 channels"),
        ({}, {"mask": None}, "needs the text_embedding's mask"),
        ({"low_res_size": 4}, {}, "needs low_res"),
        ({"low_res_size": 4}, {"low_res": jnp.zeros((3, 4, 4, 3))}, "enlarged to x_t's size"),
    ],
)
def test_a_condition_that_lacks_something_is_refused(changes, lacking, message):
    _, _, run = build(**changes)
    with pytest.raises(ValueError, match=message):
        run(X_T, T, dataclasses.replace(condition(), **lacking))


@pytest.mark.parametrize("changes", LAYOUTS)
def test_an_upsampler_is_conditioned_on_the_level_of_its_low_res_image(changes):
    _, _, run = build(low_res_size=4, aug_level_conditioning=True, **changes)
    given = condition(low_res=jnp.asarray(X_T[::-1]), aug_level=jnp.zeros(3))
    noisier = dataclasses.replace(given, aug_level=jnp.array([0, 0.1, 0]))
    brighter = dataclasses.replace(given, low_res=jnp.asarray(X_T[::-1]).at[1].add(0.5))
    out = run(X_T, T, given)
    assert differs(out, run(X_T, T, noisier)) == [False, True, False]
    assert differs(out, run(X_T, T, brighter)) == [False, True, False]


@pytest.mark.parametrize("changes", LAYOUTS)
@pytest.mark.parametrize("shape", [(8, 16), (4, 4)])
def test_images_need_not_be_square_or_of_the_config_s_size(changes, shape):
    _, _, run = build(**changes)
    x_t = jax.ShapeDtypeStruct((3, *shape, 3), jnp.float32)
    assert jax.eval_shape(run, x_t, T, condition()).shape == x_t.shape


def test_the_efficient_layout_computes_nothing_but_its_edges_at_full_resolution():
    config = dataclasses.replace(
        CONFIG, **EFFICIENT | {"channel_mult": (1, 2, 4), "num_res_blocks": (1, 2, 3)}
    )
    config = dataclasses.replace(config, attention_resolutions=(1,))
    shapes = imagen(config, learn_variance=False).shapes
    assert config.level_sizes == (4, 2, 1)
    unet = [path for path in shapes if path.startswith("unet.")]
    count = lambda leaf: sum(path.endswith(leaf) for path in unet)  # noqa: E731
    # Each level's blocks twice: on the way down and on the way up.
    assert count(".in_conv.kernel") == 2 * (1 + 2 + 3)
    assert count(".query.kernel") == 2
    assert count(".qkv.kernel") == 0
    assert count(".down.kernel") == count(".up.kernel") == 3


@pytest.mark.parametrize("scale", ["none", "residual", "residual_and_attention", "concatenated"])
def test_each_reading_of_the_scaled_skips_is_a_model_of_its_own(scale):
    _, _, run = build(skip_scale=scale, **ONE_LEVEL)
    others = {"none", "residual", "residual_and_attention", "concatenated"} - {scale}
    out = run(X_T, T, condition())
    for other in others:
        assert (
            differs(out, build(skip_scale=other, **ONE_LEVEL)[2](X_T, T, condition())) == [True] * 3
        )


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["products", "blocks"])
def test_rematerialised_gradients_are_the_same(policy):
    def gradient(remat):
        model, params, _ = build(remat=remat, **ONE_LEVEL)

        def loss(params):
            encoded = model.encode(params, condition())
            return jnp.square(model.apply(params, X_T, T, encoded)).mean()

        return jax.jit(jax.grad(loss))(params)

    kept, again = gradient("none"), gradient(policy)
    assert all(jnp.abs(leaf).max() > 0 for leaf in kept.values())
    for path, leaf in kept.items():
        np.testing.assert_allclose(again[path], leaf, rtol=1e-3, atol=1e-5, err_msg=path)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_prepared_weights_give_the_same_image_but_for_rounding(dtype):
    wide = {"channels": 64, "resblock_updown": False} | ONE_LEVEL
    model, params, run = build(dtype=dtype, **wide)
    x_t = jnp.asarray(np.tile(X_T, (1, 4, 4, 1)))
    out, encoded = run(x_t, T, condition()), model.encode(params, condition())
    prepared = model.prepare(params, x_t, jnp.asarray(T), encoded)
    assert any("conv" in path for path in prepared)
    again = jax.jit(model.apply)(params | prepared, x_t, T, encoded)
    rounding = 1e-4 if dtype == "float32" else 0.03
    np.testing.assert_allclose(again, out, atol=rounding * np.abs(out).max())


@pytest.mark.parametrize("changes", LAYOUTS)
def test_bfloat16_gives_the_same_image_but_for_rounding(changes):
    model, _, run = build(**changes)
    half, _, half_run = build(dtype="bfloat16", **changes)
    assert half.shapes == model.shapes
    out = run(X_T, T, condition())
    assert np.abs(half_run(X_T, T, condition()) - out).max() < 0.1 * np.abs(out).max()


@pytest.mark.parametrize("name", ENLARGEMENTS)
def test_enlarging_keeps_constants_and_is_linear_between_pixels(name):
    enlarge = ENLARGEMENTS[name]
    np.testing.assert_allclose(enlarge(jnp.ones((1, 3, 5, 2)), 12, 20), 1, atol=1e-6)
    ramp = jnp.broadcast_to(jnp.arange(4.0)[None, :, None, None], (1, 4, 2, 1))
    rows = np.asarray(enlarge(ramp, 16, 8))[0, :, 3, 0]
    assert (np.diff(rows) >= 0).all()
    np.testing.assert_allclose((rows[0], rows[-1]), (0, 3), atol=1e-6)
    if name == "align_corners":
        np.testing.assert_allclose(rows, np.linspace(0, 3, 16), atol=1e-6)
