"""Weights imported in bfloat16: half the size, and read by everything that reads a workdir."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from interop_toys import load, refused_cleanly, same, weights, write

from glide_jax.interop import files, info
from glide_jax.interop.exporting import export_checkpoint
from glide_jax.interop.importing import import_checkpoint
from glide_jax.sampling.pipeline import Pipeline

pytestmark = pytest.mark.usefixtures("small_releases")


def rounded(params):
    return {path: np.asarray(x).astype(jnp.bfloat16) for path, x in params.items()}


@pytest.mark.newest
@pytest.mark.parametrize("name", ["base", "adm-64", "adm-64-classifier"])
def test_the_weights_are_rounded_once_and_the_model_computes_in_their_dtype(tmp_path, name):
    golden = {"base": "tiny_base", "adm-64": "tiny_adm"}.get(name, "tiny_adm_classifier")
    file = write(tmp_path / "w.safetensors", golden)
    experiment = import_checkpoint([file], [name], tmp_path / "run", dtype="bfloat16")
    same(weights(tmp_path / "run"), rounded(load(golden)[3]))
    assert experiment.first_stage.model.dtype == "bfloat16"
    model = dataclasses.replace(experiment.first_stage.model, dtype="float32")
    assert model == load(golden)[2].config
    said = "\n".join(info.describe(tmp_path / "run"))
    assert ", bfloat16" in said
    assert "bfloat16, for computation" in said


def test_both_files_of_clip_are_rounded(tmp_path):
    paths = [
        write(tmp_path / f"{golden}.safetensors", golden)
        for golden in ("tiny_clip_image", "tiny_clip_text")
    ]
    import_checkpoint(paths, ["clip"], tmp_path / "full")
    import_checkpoint(paths, ["clip"], tmp_path / "half", dtype="bfloat16")
    same(weights(tmp_path / "half"), rounded(weights(tmp_path / "full")))


@pytest.mark.slow
def test_it_samples_and_is_exported_again(tmp_path):
    file = write(tmp_path / "w.safetensors", "tiny_adm")
    import_checkpoint([file], ["adm-64"], tmp_path / "run", dtype="bfloat16")
    for override in ((), ("stages.base.model.dtype=float32",)):
        pipeline = Pipeline.load(tmp_path / "run", overrides=override)
        assert {x.dtype for x in pipeline.stages[0].params.values()} == {jnp.dtype("bfloat16")}
        output = pipeline.sample_classes([1], steps="1", guidance_scale=1)
        assert output.arrays.shape[0] == 1
    out = tmp_path / "out.safetensors"
    export_checkpoint(tmp_path / "run", out, dtype="bfloat16")
    same(files.read(out), rounded(load("tiny_adm")[1]))


def test_a_weight_that_is_too_large_is_refused(tmp_path):
    big = np.full(6, np.finfo(np.float32).max, np.float32)
    file = write(tmp_path / "w.safetensors", "tiny_base", **{"out.2.bias": big})
    import_checkpoint([file], ["base"], tmp_path / "run")
    refused_cleanly(
        lambda: import_checkpoint([file], ["base"], tmp_path / "half", dtype="bfloat16"),
        "out.2.bias",
        "not finite in bfloat16",
        folder=tmp_path,
    )
