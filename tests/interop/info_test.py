"""The description of a workdir or a file."""

import shutil

import pytest
from interop_toys import PRETRAINED, load, trained, write
from refusals import refused

from glide_jax import config
from glide_jax.interop.exporting import export_checkpoint
from glide_jax.interop.info import describe

pytestmark = pytest.mark.usefixtures("small_releases")


def test_info_says_what_a_workdir_and_a_file_are(tmp_path):
    trained(tmp_path / "run", PRETRAINED)
    shutil.copytree(tmp_path / "run" / "base", tmp_path / "run" / config.TEXT_PRETRAINING)
    said = "\n".join(describe(tmp_path / "run"))
    for word in (
        "text_pretraining:",
        "base:",
        "upsampler:",
        "family      glide",
        "float32",
        "step        3 of 3",
        "step        3 of 6",
        "sentencepiece",
    ):
        assert word in said
    assert "training.batch_size = 8" in said
    export_checkpoint(tmp_path / "run", tmp_path / "w.safetensors", dtype="bfloat16")
    said = "\n".join(describe(tmp_path / "w.safetensors"))
    for word in ("glide, by its keys", "bfloat16", "vocabulary  300", "image_size = 8"):
        assert word in said
    for name, golden in (("adm", "tiny_adm"), ("classifier", "tiny_adm_classifier")):
        file = write(tmp_path / f"{name}.safetensors", golden)
        said = "\n".join(describe(file))
        assert f"family      {name}" in said
        assert f"{sum(a.size for a in load(golden)[1].values()):,}" in said
        assert "classes     1000" in said
    refused(lambda: [*describe(tmp_path)], "no checkpoint")
    refused(lambda: [*describe(tmp_path / "none")], "there is no")
