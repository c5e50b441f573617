"""Workdirs opened: what they hold, and what they can't be used for."""

import dataclasses
import os
import subprocess
import sys

import jax
import pytest
import tiny
from models.model_toys import filled
from pipelines import pipeline_toys

from glide_jax.cache import CACHE_VARIABLE
from glide_jax.compile_cache import keep_compiled
from glide_jax.config import ClassifierConfig
from glide_jax.errors import UserError
from glide_jax.models.families import model_of
from glide_jax.pipelines import released
from glide_jax.pipelines.cascade import check_cascade
from glide_jax.pipelines.loading import load_classifier, load_clip, load_stages
from glide_jax.pipelines.pipeline import Pipeline
from glide_jax.training.checkpoints import Checkpoints


def written(directory, experiment, params, tokenizer):
    with Checkpoints(
        directory / "base" / "checkpoints", keep=1, experiment=experiment, tokenizer=tokenizer
    ) as checkpoints:
        checkpoints.save(0, {"ema_params": params}, {})
    return directory


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A base model's workdir."""
    params = pipeline_toys.stages()[0].params
    directory = tmp_path_factory.mktemp("base")
    experiment = tiny.experiment("cpu_devices=2")
    return written(directory, experiment, params, tiny.tokenizer().to_dict())


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """A classifier's workdir."""
    names = [field.name for field in dataclasses.fields(ClassifierConfig)]
    sizes = {k: v for k, v in vars(tiny.experiment().model).items() if k in names}
    config = ClassifierConfig(**(sizes | {"family": "classifier", "num_classes": 3}))
    experiment = dataclasses.replace(tiny.experiment(), model=config)
    model = model_of(experiment.stages["base"], vocab_size=0, text_length=0)
    return written(tmp_path_factory.mktemp("judge"), experiment, filled(model.shapes), {})


def test_weights_come_to_every_device(base):
    _, (stage,) = load_stages(base, ["sampling.guidance_scale=5"])
    assert stage.mesh is not None
    assert stage.mesh.size == jax.device_count()
    assert stage.config.sampling.guidance_scale == 5


def test_the_cpu_is_divided_as_it_was_for_training(base):
    """Nothing that reads a workdir may start JAX before it is known into how many devices."""
    code = (
        "import jax, sys; from pathlib import Path; "
        "from glide_jax.pipelines.loading import load_stages; load_stages(Path(sys.argv[1])); "
        "print(jax.device_count())"
    )
    env = os.environ | {"XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", code, str(base)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert int(done.stdout) == 2


@pytest.mark.parametrize("override", ["model.channels=64", "diffusion.prediction=eps"])
def test_what_the_weights_were_trained_for_is_not_to_be_changed(base, override):
    key, _, value = override.partition("=")
    with pytest.raises(UserError, match=rf"trained otherwise .*{key}: .* → '?{value}'?\)"):
        load_stages(base, [override])
    load_stages(base, ["training.learning_rate=1", "sampling.steps=3"])


def test_a_workdir_of_the_wrong_kind_is_one_line(base, judge, tmp_path):
    with pytest.raises(UserError, match="family 'classifier', which draws no pictures"):
        Pipeline.load(judge)
    with pytest.raises(UserError, match="no checkpoint in"):
        Pipeline.load(tmp_path)
    with pytest.raises(UserError, match="family 'glide', no CLIP"):
        load_clip(base)
    with pytest.raises(UserError, match="family 'glide', no classifier"):
        load_classifier(base)
    with pytest.raises(UserError, match="give the workdir"):
        Pipeline.load()
    assert load_classifier(judge).size == 8


def test_stages_that_do_not_follow_each_other_are_refused(base):
    first, second = pipeline_toys.stages()
    check_cascade([first, second])
    with pytest.raises(UserError, match="draws 16 pixels a side comes one that is a base model"):
        check_cascade([second, first])
    with pytest.raises(UserError, match="draws 16 pixels a side comes one that enlarges 8"):
        check_cascade([second, second])
    with pytest.raises(UserError, match="draws 8 pixels a side comes one that is a base model"):
        Pipeline.load(base, base)


def test_released_models_are_fetched_and_imported_once(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    calls = []

    def imported(files, names, out):
        calls.append((files, names, out))
        out.mkdir(parents=True)

    monkeypatch.setattr(released, "download", lambda name: tmp_path / name)
    monkeypatch.setattr(released, "import_checkpoint", imported)
    glide, clip = (tmp_path / "workdirs" / name for name in ("glide-inpaint", "clip"))
    for _ in range(2):
        assert released.released_workdirs(inpaint=True, clip=True) == (glide, clip)
    names, parts = ("base-inpaint", "upsample-inpaint"), ("clip-image", "clip-text")
    assert calls == [
        ([tmp_path / name for name in names], names, glide),
        ([tmp_path / name for name in parts], ("clip",), clip),
    ]


def test_what_a_person_set_of_the_cache_stays(monkeypatch):
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", "/elsewhere")
    try:
        keep_compiled()
        assert jax.config.values["jax_compilation_cache_dir"] == "/elsewhere"
        jax.config.update("jax_compilation_cache_dir", None)
        monkeypatch.setenv("HOME", "/home/somebody")
        keep_compiled()
        kept = jax.config.values["jax_compilation_cache_dir"]
        assert kept == "/home/somebody/.cache/glide_jax/compiled"
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
