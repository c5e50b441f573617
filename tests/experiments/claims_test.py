"""Every claim is complete before it is run, and runs on toys."""

import dataclasses
import json

import pytest
from experiments import experiment_toys

from glide_jax import config
from glide_jax.data.shapes.scene import SPLITS
from glide_jax.evaluation.settings import parse_setting
from glide_jax.experiments.claim import SHARED, command_of, filled
from glide_jax.experiments.registry import CLAIMS, find_claim
from glide_jax.experiments.scores import SCORES
from glide_jax.sampling.output import slug


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_declares_all_that_it_needs(name, tmp_path):
    claim = find_claim(name)
    assert claim.rows <= SPLITS[claim.split]
    assert len(set(claim.seeds)) >= 3
    names = [arm.name for arm in claim.arms]
    assert len({slug(one) for one in names}) == len(names), "each has files of its own"
    assert len({(arm.line, arm.x) for arm in claim.arms if arm.x is not None}) in (0, len(names))
    assert {need for arm in claim.arms for need in arm.measure.needs} == set(claim.trained)
    assert set(claim.scores) <= set(SCORES)
    assert claim.comparisons
    for workdir, trained in claim.trained.items():
        loaded = config.load_config(trained.config, filled(trained, tmp_path))
        config.experiment_from(loaded)
        assert trained.own or SHARED[workdir] == trained
        assert f"--config={trained.config} " in command_of(workdir, trained, tmp_path)


def test_a_name_stands_for_one_training():
    """Experiments share what they train themselves."""
    trained = {}
    for claim in map(find_claim, CLAIMS):
        for name, one in claim.trained.items():
            assert trained.setdefault(name, one) == one, name


def names_in(comparison):
    """The arms that a comparison needs."""
    pair = (comparison.arm, getattr(comparison, "other", comparison.arm))
    return {*pair, *getattr(comparison, "among", pair)}


@pytest.mark.parametrize("name", CLAIMS)
def test_comparisons_are_of_arms_and_scores(name):
    claim = find_claim(name)
    names = {arm.name for arm in claim.arms}
    for comparison in claim.comparisons:
        assert names_in(comparison) <= names
        assert comparison.score in claim.scores


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_runs(name, tmp_path):
    """The arms of its first comparison, and one of each other kind of measure."""
    claim = find_claim(name)
    taken = {arm.name: arm for arm in claim.arms if arm.name in names_in(claim.comparisons[0])}
    for arm in claim.arms:
        if type(arm.measure) not in {type(one.measure) for one in taken.values()}:
            taken[arm.name] = arm
    compared = tuple(c for c in claim.comparisons if names_in(c) <= set(taken))
    small = dataclasses.replace(
        claim, arms=tuple(taken.values()), comparisons=compared, rows=4, seeds=(1, 2)
    )
    learns = "variance_learned" in claim.trained
    with experiment_toys.toy_models(learns_variance=learns):
        result = experiment_toys.run(small, tmp_path, name)
    assert [arm["name"] for arm in result["arms"]] == list(taken)
    assert set(claim.scores) <= {score for arm in result["arms"] for score in arm["figures"]}
    for figure in (one for arm in result["arms"] for one in arm["figures"].values()):
        assert figure["low"] is None or figure["low"] <= figure["value"] <= figure["high"]
    assert len(result["findings"]) == len(compared) > 0
    (written,) = tmp_path.rglob("result.json")
    assert json.loads(written.read_text()) == json.loads(json.dumps(result))


@pytest.mark.parametrize("name", CLAIMS)
def test_settings_are_settings(name):
    for arm in find_claim(name).arms:
        measure = getattr(arm.measure, "sampled", arm.measure)
        for setting, value in getattr(measure, "settings", {}).items():
            text = "none" if value is None else str(value)
            assert parse_setting(setting, text) == value
