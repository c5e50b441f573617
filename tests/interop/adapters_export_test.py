"""A model with an adapter becomes one file that the reference loads."""

import numpy as np
import pytest
from interop_toys import EXPERIMENT, refused_cleanly, trained

from glide_jax.checkpoints.adapters import Adapter, AdapterFile, write_adapter
from glide_jax.checkpoints.fingerprint import weights_fingerprint
from glide_jax.config import AdapterConfig
from glide_jax.interop import files
from glide_jax.interop.exporting import export_checkpoint
from glide_jax.models import lora
from glide_jax.sampling.pipeline import Pipeline

SETTINGS = AdapterConfig(2, 1.0, ("attention", "convolutions"))


def write(path, stage, params):
    """An adapter of these weights, as training it for a while would leave it."""
    shapes = lora.lora_of(stage.model.shapes, SETTINGS).shapes
    rng = np.random.default_rng(0)
    arrays = {name: 0.3 * rng.standard_normal(s.shape) for name, s in shapes.items()}
    adapter = Adapter(str(path), stage.name, SETTINGS, weights_fingerprint(params), 7, arrays)
    write_adapter(path, adapter, EXPERIMENT)
    return path


@pytest.mark.newest
def test_an_export_is_of_the_merged_weights(tmp_path):
    trained(tmp_path / "run")
    base = Pipeline.load(tmp_path / "run")
    adapter = write(tmp_path / "a.safetensors", base.stages[0], base.stages[0].params)
    added = base.with_adapters(f"{adapter}:0.5")
    given = [AdapterFile(adapter, 0.5)]
    done = export_checkpoint(tmp_path / "run", tmp_path / "out.safetensors", adapters=given)
    assert done.weights == "ema_params"
    from_ = export_checkpoint(tmp_path / "run", tmp_path / "base.safetensors", ema=True)
    found, plain = (files.read(one.files[0]) for one in (done, from_))
    changed = {key for key, x in plain.items() if not np.array_equal(x, found[key])}
    adapted = lora.adapted_paths(lora.lora_of(base.stages[0].model.shapes, SETTINGS).shapes)
    assert len(changed) == len(adapted)
    difference = sum(float(np.square(found[key] - plain[key]).sum()) for key in changed)
    expected = sum(
        float(np.square(added.stages[0].params[p] - base.stages[0].params[p]).sum())
        for p in adapted
    )
    np.testing.assert_allclose(difference, expected, rtol=1e-4)
    wrong = write(tmp_path / "b.safetensors", base.stages[0], added.stages[0].params)
    refused_cleanly(
        lambda: export_checkpoint(
            tmp_path / "run", tmp_path / "no.safetensors", adapters=[AdapterFile(wrong, 1.0)]
        ),
        "an adapter of other weights",
        folder=tmp_path,
    )
