"""DeepFloyd IF's U-Nets compute what the public reference computes, on weights of a formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.load import HERE, load, nhwc

from glide_jax.diffusion.augmentation import augmentation_step, diffused
from glide_jax.models.imagen import Imagen
from glide_jax.models.pure import Pure
from glide_jax.models.unet import UNet
from glide_jax.types import Condition

GOLDEN = HERE / "imagen"
STAGES = ["if_stage1", "if_stage1_levels", "if_upsampler", "if_upsampler_cross_only"]


def close(ours, theirs):
    """Within 1e-4 of the largest magnitude."""
    assert np.shape(ours) == np.shape(theirs)
    assert np.abs(np.asarray(ours) - theirs).max() < 1e-4 * np.abs(theirs).max()


def condition_of(model, golden, text="text_emb"):
    condition = {"text_embedding": jnp.asarray(golden[text])}
    if "low_res" in golden:
        steps = jnp.asarray(golden["aug_steps"], jnp.int32)
        low_res = model.enlarge(nhwc(golden["low_res"]))
        condition["low_res"] = diffused(low_res, steps, nhwc(golden["aug_noise"]))
        condition["aug_level"] = steps.astype(jnp.float32) / 1000
    return Condition(**condition)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "if_stage1")) for n in STAGES]
)
def test_forward_pass_is_the_references(name, monkeypatch):
    manifest, _, model, params = load(name, GOLDEN)
    assert sum(p.size for p in params.values()) == manifest["parameters"]
    golden = np.load(GOLDEN / f"{name}.npz")
    encode = jax.jit(model.encode)
    encoded = encode(params, condition_of(model, golden))
    close(encoded.tokens, golden["text_proj"])
    if "timestep_text_emb" in golden:  # another text is pooled than the one attended to
        pooled = encode(params, condition_of(model, golden, "timestep_text_emb")).pooled
        encoded = encoded._replace(pooled=pooled)
    close(encoded.pooled, golden["text_pool"] + golden.get("aug_emb", np.float32(0)))
    middles, through_middle = [], UNet._middle

    def kept(self, x, run):
        middle, skips = through_middle(self, x, run)
        middles.append(middle)
        return middle, skips

    def run(x_t, t):
        return model.apply(params, x_t, t, encoded), middles.pop()

    monkeypatch.setattr(UNet, "_middle", kept)
    out, middle = jax.jit(run)(nhwc(golden["x"]), jnp.asarray(golden["t"]))
    close(middle, nhwc(golden["middle"]))
    close(out, nhwc(golden["out"]))


@pytest.mark.newest
@pytest.mark.parametrize("name", STAGES)
def test_embeddings_are_the_references(name):
    _, _, model, params = load(name, GOLDEN)
    golden = np.load(GOLDEN / f"{name}.npz")
    module = Pure(lambda rngs: Imagen(model.config, 6, rngs)).bind(
        jax.tree.map(jnp.asarray, params)
    )
    text = jnp.asarray(golden.get("timestep_text_emb", golden["text_emb"]))
    found = {
        "time_emb": module.unet.time_embedding(jnp.asarray(golden["t"])),
        "text_pool": module.text.pool(text, None),
    }
    if module.aug_level_embedding is not None:
        found["aug_emb"] = module.aug_level_embedding(jnp.asarray(golden["aug_steps"], jnp.float32))
    for part, array in (found | {"emb": sum(found.values())}).items():
        close(array, golden[part])


def test_levels_are_the_references_steps():
    golden = np.load(GOLDEN / "augmentation.npz")
    np.testing.assert_array_equal(augmentation_step(golden["aug_level"]), golden["aug_steps"])
