"""An experiment becomes one job a stage, and goes on with the tokenizer it began with."""

import jax
import numpy as np
import pytest
import tiny

from glide_jax import config, data
from glide_jax.text import train
from glide_jax.training.checkpoints import Checkpoints, checkpoints_of
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.jobs import make_jobs, pretrain_text
from glide_jax.training.loop import train as train_job


@pytest.fixture(autouse=True)
def swatches(monkeypatch):
    monkeypatch.setattr(data, "prepare", lambda source, path: None)
    monkeypatch.setattr(data, "open_source", lambda source, path, split: tiny.Swatches())


def cascade():
    overrides = [*tiny.OVERRIDES, *tiny.UPSAMPLER_OVERRIDES]
    return config.experiment_from(config.load_config(tiny.CONFIGS / "quickstart.py", overrides))


def test_one_job_a_stage_each_in_its_folder(tmp_path):
    experiment = cascade()
    jobs = make_jobs(experiment, tmp_path)
    assert [job.name for job in jobs] == ["text_pretraining", "base", "upsampler"]
    for job in jobs:
        assert job.stage == experiment.training_stages[job.name]
        assert job.model.config == job.stage.model
        assert job.directory / "checkpoints" == checkpoints_of(tmp_path, job.name)
        assert job.tokenizer is jobs[0].tokenizer


def test_the_tokenizer_of_checkpoints_is_used_again(tmp_path):
    earlier = train("sentencepiece", ["a purple hexagon", "an orange star"], 290).to_dict()
    fresh, *_ = make_jobs(cascade(), tmp_path)
    assert fresh.tokenizer.to_dict() != earlier
    directory = checkpoints_of(tmp_path, "upsampler")
    with Checkpoints(directory, keep=1, experiment=cascade(), tokenizer=earlier) as checkpoints:
        checkpoints.save(1, {"params": {"a": np.zeros(1)}}, {})
    for job in make_jobs(cascade(), tmp_path):
        assert job.tokenizer.to_dict() == earlier


def test_captions_that_are_cut_are_told_of(tmp_path, capsys):
    make_jobs(tiny.experiment("text.length=1"), tmp_path)
    assert "24 captions are cut to text.length=1 tokens" in capsys.readouterr().out
    make_jobs(tiny.experiment("text.length=16"), tmp_path)
    assert "are cut" not in capsys.readouterr().out


def test_the_others_keep_what_the_text_transformer_learned(tmp_path):
    first, *_ = jobs = make_jobs(cascade(), tmp_path)
    base, upsampler = pretrain_text(jobs, Interrupt())
    learned = train_job(first, Interrupt(), None)  # it is trained: this only reads its checkpoint
    for job in (base, upsampler):
        text = {path for path in job.model.shapes if path.startswith("text.")}
        assert set(job.given) == text
        for path in text:
            np.testing.assert_array_equal(job.given[path], learned[path])
    trained = train_job(base, Interrupt(), None)
    fresh = base.model.init(jax.random.key(base.experiment.seed))
    for path, weights in trained.items():
        if path in text:
            np.testing.assert_array_equal(weights, learned[path], err_msg=path)
        else:
            assert np.abs(weights - fresh[path]).max() > 0, path


def test_without_that_lesson_jobs_stay_as_they_are(tmp_path):
    jobs = make_jobs(tiny.experiment(), tmp_path)
    assert [job.name for job in jobs] == ["base"]
    assert pretrain_text(jobs, Interrupt()) == jobs
