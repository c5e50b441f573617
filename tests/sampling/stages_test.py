"""Workdirs opened: what they hold, and what they can't be used for."""

import dataclasses

import jax
import pytest
import tiny
from models.model_toys import filled
from sampling import pipeline_toys

from glide_jax.cache import CACHE_VARIABLE
from glide_jax.checkpoints import Checkpoints
from glide_jax.config import (
    ClassifierConfig,
    GuideStageConfig,
    GuideTrainingConfig,
    NoiseConfig,
)
from glide_jax.errors import UserError
from glide_jax.models.families import model_of
from glide_jax.sampling import released
from glide_jax.sampling.loading import load_classifier, load_clip, load_stages
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.stages import check_cascade


def written(directory, experiment, params, tokenizer):
    with Checkpoints(
        directory / "base" / "checkpoints", keep=1, experiment=experiment, tokenizer=tokenizer
    ) as checkpoints:
        checkpoints.save(0, {"ema_params": params}, {})
    return directory


def part(kind, section):
    """The fields that a smaller section has."""
    return kind(**{field.name: getattr(section, field.name) for field in dataclasses.fields(kind)})


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
    whole = tiny.experiment()
    sizes = {k: v for k, v in vars(whole.first_stage.model).items() if k in names}
    model = ClassifierConfig(**(sizes | {"family": "classifier", "num_classes": 3}))
    diffusion, training = whole.first_stage.diffusion, whole.first_stage.training
    stage = GuideStageConfig(
        model, part(NoiseConfig, diffusion), part(GuideTrainingConfig, training)
    )
    parts = {"text": None, "prompts": None, "evaluation": None}
    experiment = dataclasses.replace(whole, stages={"base": stage}, **parts)
    model = model_of(experiment.stages["base"], vocab_size=0, text_length=0)
    return written(tmp_path_factory.mktemp("judge"), experiment, filled(model.shapes), {})


def test_weights_come_to_every_device(base):
    _, (stage,) = load_stages(base, ["stages.base.sampling.guidance_scale=5"])
    assert stage.mesh is not None
    assert stage.mesh.size == jax.device_count()
    assert stage.config.sampling.guidance_scale == 5


@pytest.mark.parametrize(
    "override", ["stages.base.model.channels=64", "stages.base.diffusion.prediction=eps"]
)
def test_what_the_weights_were_trained_for_is_not_to_be_changed(base, override):
    key, _, value = override.partition("=")
    with pytest.raises(UserError, match=rf"with other values .*{key}: .* → '?{value}'?\)"):
        load_stages(base, [override])
    load_stages(base, ["stages.base.training.learning_rate=1", "stages.base.sampling.steps=3"])


def test_a_workdir_of_the_wrong_kind_is_one_line(base, judge, tmp_path):
    with pytest.raises(UserError, match="family 'classifier', which generates no images"):
        Pipeline.load(judge)
    with pytest.raises(UserError, match="no checkpoint in"):
        Pipeline.load(tmp_path)
    with pytest.raises(UserError, match="family 'glide', not a CLIP"):
        load_clip(base)
    with pytest.raises(UserError, match="family 'glide', not a classifier"):
        load_classifier(base)
    with pytest.raises(UserError, match="give the workdir"):
        Pipeline.load()
    assert load_classifier(judge).image_size == 8


def test_stages_that_do_not_follow_each_other_are_refused(base):
    first, second = pipeline_toys.stages()
    check_cascade([first, second])
    with pytest.raises(UserError, match="16 pixels a side comes one that is a base model"):
        check_cascade([second, first])
    with pytest.raises(UserError, match="generates 16 pixels a side comes one that enlarges 8"):
        check_cascade([second, second])
    with pytest.raises(UserError, match="generates 8 pixels a side comes one that is a base model"):
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
