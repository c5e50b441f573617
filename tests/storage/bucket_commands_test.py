"""The commands, with a workdir in a bucket from the first to the last."""

import json

import object_store
import pytest
import tiny

from glide_jax import cli, data, entry
from glide_jax.checkpoints import open_stage
from glide_jax.commands.train import train
from glide_jax.sampling.output import read_provenance
from glide_jax.storage import download, storage_path, upload
from glide_jax.training.initialization import initial_checkpoint


@pytest.mark.slow
@pytest.mark.usefixtures("one_device")
def test_from_training_to_an_import(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(data, "prepare", lambda source, path: None)
    monkeypatch.setattr(data, "open_source", lambda source, path, split: tiny.Swatches())
    monkeypatch.setenv("GLIDE_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with object_store.STORES["s3"]() as store, object_store.used(store, monkeypatch):
        workdir = storage_path(store.url("runs/1"))
        steps = ("stages.base.training.num_steps=2", "stages.base.training.sample_every_steps=1")
        train(tiny.experiment(*steps, "prompts=('red square',)", "evaluation=none"), workdir)
        assert f"images: {workdir}/samples.png" in capsys.readouterr().out
        names = {path.relative_to(workdir).as_posix() for path in workdir.rglob("*")}
        assert {"samples.png", "summary.json", "report.png", "base/metrics.jsonl"} <= names
        assert {"base/samples/00000001.png"} <= names
        assert open_stage(workdir).step == 2

        def command(*words):
            assert cli.main(list(map(str, words))) == 0, capsys.readouterr().err
            return capsys.readouterr().out

        assert "base: " in command("info", workdir)
        command("report", workdir)
        out = workdir / "mine"
        command("sample", "blue square", "--checkpoint", workdir, "--out", out, "--seed=3")
        (file,) = out.iterdir()
        assert json.loads((workdir / "summary.json").read_text())["sample"]["seed"] == 3
        download(out, tmp_path / "out")
        assert read_provenance(tmp_path / "out" / file.name).checkpoints == (str(workdir),)
        command("sample", "--like", file, "--out", "again")
        again = tmp_path / "again" / file.name
        assert again.read_bytes() == file.read_bytes()

        exported = storage_path(store.url("exports/base.safetensors"))
        command("export", workdir, "--out", exported, "--ema")
        assert {path.name for path in exported.parent.iterdir()} == {
            "base.safetensors",
            "base.safetensors.options.json",
        }
        download(exported.parent, tmp_path / "exports")
        local = tmp_path / "exports" / exported.name
        command("import", local, "--out", storage_path(store.url("imports/local")))
        imported = storage_path(store.url("imports/base"))
        assert f"copying {exported}" in command("import", exported, "--out", imported)
        assert cli.main(["import", str(local), "--out", str(imported)]) == entry.BAD_INPUT
        assert "is there already" in capsys.readouterr().err
        shapes = open_stage(workdir).shapes("ema_params")
        assert open_stage(imported).shapes("ema_params") == shapes
        stage = tiny.experiment(f"stages.base.training.init_from={imported}").first_stage
        assert initial_checkpoint("base", stage).path == open_stage(imported).path
        download(workdir, tmp_path / "copy")
    with object_store.STORES["gs"]() as store, object_store.used(store, monkeypatch):
        upload(tmp_path / "copy", workdir := storage_path(store.url("runs/1")))
        assert "base: " in command("info", workdir)
        command("report", workdir)
        exported = storage_path(store.url("exports/base.safetensors"))
        command("export", workdir, "--out", exported, "--ema")
        imported = storage_path(store.url("imports/base"))
        command("import", exported, "--out", imported)
        assert open_stage(imported).shapes("ema_params") == shapes
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(("s3", "gs"))]
