"""A registered name in a config is checked against the registry that it is registered in."""

import dataclasses

import pytest
import tiny

from glide_jax import config, data, registries, text
from glide_jax.diffusion import gaussian, losses, samplers, schedule, timesteps
from glide_jax.errors import UserError
from glide_jax.training import optimizer
from glide_jax.training.monitoring import sinks

KEYS = {
    "data.source": data.SOURCES,
    "text.tokenizer": text.KINDS,
    "text_pretraining.training.optimizer": optimizer.OPTIMIZERS,
    "stages.upsampler.training.optimizer": optimizer.OPTIMIZERS,
    "stages.upsampler.diffusion.schedule": schedule.BETAS,
    "stages.upsampler.diffusion.timesteps": timesteps.TIMESTEPS,
    "stages.upsampler.diffusion.prediction": gaussian.PREDICTIONS,
    "stages.upsampler.diffusion.weighting": losses.WEIGHTINGS,
    "stages.upsampler.sampling.sampler": samplers.SAMPLERS,
    "stages.upsampler.sampling.inpaint_sampler": samplers.SAMPLERS,
    "monitoring.sinks": sinks.SINKS,
}


def experiment(*overrides, name="quickstart"):
    return config.experiment_from(config.load_config(name, overrides))


@pytest.mark.parametrize("path", sorted(tiny.CONFIGS.glob("*.py")), ids=lambda path: path.stem)
def test_every_config_s_names_are_registered(path):
    registries.check_names(experiment(name=path))


@pytest.mark.parametrize(("key", "registry"), KEYS.items(), ids=KEYS)
def test_a_name_is_checked_where_it_is_registered(key, registry, monkeypatch):
    for name in registry:
        registries.check_names(experiment(f"{key}={name}"))
    near = next(iter(registry))
    wrong = experiment(f"{key}={near}x")
    with pytest.raises(UserError) as caught:
        registries.check_names(wrong)
    line = str(caught.value)
    assert line.startswith(f"config.{key}: unknown ")
    assert f" {near + 'x'!r}: did you mean " in line
    assert line.endswith(f"known: {', '.join(sorted(registry))}")
    monkeypatch.setitem(registry, f"{near}x", None)
    registries.check_names(wrong)


def test_every_one_of_several_names_is_checked():
    registries.check_names(experiment("monitoring.sinks=()"))
    with pytest.raises(UserError, match=r"config\.monitoring\.sinks: unknown sink 'josnl'"):
        registries.check_names(experiment("monitoring.sinks=tensorboard,josnl"))


def test_a_data_set_s_variant_is_its_own_to_check():
    for source in ("shapes/7", "folder?label=folder", "tfds/nonsuch?image=a&caption=b"):
        registries.check_names(experiment(f"data.source={source}"))


@pytest.mark.parametrize("name", ["clip", "classifier"])
def test_a_guide_s_names_are_checked(name):
    key = f"stages.{name}.diffusion.schedule"
    with pytest.raises(UserError, match=f"config.{key}: unknown schedule 'sigmoid'"):
        registries.check_names(experiment(f"{key}=sigmoid", name=name))


def test_a_name_is_checked_in_every_stage():
    e = experiment("stages.base.sampling.sampler=nonsuch")
    stages = {"anything": e.stages["base"]}
    e = dataclasses.replace(e, stages=stages)
    with pytest.raises(UserError, match=r"config\.stages\.anything.sampling.sampler: unknown sam"):
        registries.check_names(e)
