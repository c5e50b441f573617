"""Workdirs become files that the reference loads, or one line says why not and nothing is left."""

import functools
import json

import numpy as np
import pytest
from interop_toys import EXPERIMENT, load, refused_cleanly, trained, write
from refusals import refused

from glide_jax import config
from glide_jax.interop import files
from glide_jax.interop.exporting import export_checkpoint
from glide_jax.interop.importing import import_checkpoint

pytestmark = pytest.mark.usefixtures("small_releases")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A workdir as training leaves it, to be read alone."""
    workdir = tmp_path_factory.mktemp("trained") / "run"
    trained(workdir)
    return workdir


def test_what_is_there_already_stays(tmp_path):
    file = write(tmp_path / "w.safetensors", "tiny_base")
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for out in ("run", "link", "w.safetensors"):
        refused_cleanly(
            lambda out=out: import_checkpoint([file], ["base"], tmp_path / out),
            f"{out} is there already",
            folder=tmp_path,
        )
    import_checkpoint([file], ["base"], tmp_path / "new")
    for out, there in (("a.safetensors", "a.safetensors"), ("b.pt", "b.pt.options.json")):
        (tmp_path / there).write_text("mine")
        refused(lambda out=out: export_checkpoint(tmp_path / "new", tmp_path / out), there)
        assert (tmp_path / there).read_text() == "mine"


@pytest.mark.newest
def test_an_export_that_overflows_leaves_nothing(tmp_path):
    big = load("tiny_base")[1]["out.2.bias"] + np.float32(1e6)
    file = write(tmp_path / "w.safetensors", "tiny_base", **{"out.2.bias": big})
    import_checkpoint([file], ["base"], tmp_path / "run")
    out = tmp_path / "half.safetensors"
    refused_cleanly(
        lambda: export_checkpoint(tmp_path / "run", out, dtype="float16"),
        "out.2.bias",
        "float16",
        folder=tmp_path,
    )
    export_checkpoint(tmp_path / "run", out, dtype="bfloat16")
    assert {a.dtype for a in files.read(out).values()} == {files.DTYPES["bfloat16"]}


def test_an_export_without_its_options_says_what_to_do(tmp_path, run):
    done = export_checkpoint(run, tmp_path / "w.safetensors")
    options = tmp_path / "w.safetensors.options.json"
    options.write_text(options.read_text()[:100])
    refused(lambda: import_checkpoint(done.files, [], tmp_path / "back"), "options.json")
    options.unlink()
    refused(lambda: import_checkpoint(done.files, [], tmp_path / "back"), "--as=base|")


def test_options_with_an_impossible_value_are_damaged(tmp_path, run):
    done = export_checkpoint(run, tmp_path / "w.safetensors")
    options = tmp_path / "w.safetensors.options.json"
    sound = json.loads(options.read_text())
    sizes = [{"vocab_size": -1}, {"vocab_size": 10**30}, {"vocab_size": True}]
    for wrong in (*sizes, {"options": []}, {"tokenizer": None}, {"family": 3}):
        options.write_text(json.dumps(sound | wrong))
        action = functools.partial(import_checkpoint, done.files, [], tmp_path / "back")
        refused(action, "options.json is damaged", *wrong)


def test_what_the_reference_has_no_option_for_is_said(tmp_path, run):
    done = export_checkpoint(run, tmp_path / "w.safetensors")
    said = "; ".join(done.unlike)
    for word in ("predicts x_0", "norm_groups is 8", "vocabulary has 300", "out_channels=3"):
        assert word in said
    beside = json.loads((tmp_path / "w.safetensors.options.json").read_text())
    assert tuple(beside["unlike"]) == done.unlike
    alike = [
        "stages.base.diffusion.prediction=eps",
        "stages.base.diffusion.learn_variance=true",
        "stages.base.model.norm_groups=32",
    ]
    alike += ["stages.base.model.channel_mult=(1,)", "stages.base.model.attention_resolutions=()"]
    trained(tmp_path / "alike", config.with_overrides(EXPERIMENT, alike))
    done = export_checkpoint(tmp_path / "alike", tmp_path / "x.safetensors")
    assert [line.partition(" has ")[0] for line in done.unlike] == ["the vocabulary"]


def test_an_export_that_the_disk_refuses_names_the_file_that_was_asked_for(
    tmp_path, run, monkeypatch
):

    def fails(part, shapes, arrays, dtype):
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(files._WRITERS, ".safetensors", fails)
    out = tmp_path / "w.safetensors"
    message = refused_cleanly(lambda: export_checkpoint(run, out), "No space left", folder=tmp_path)
    assert message == f"can't write {out}: No space left on device"
