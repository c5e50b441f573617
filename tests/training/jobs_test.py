"""An experiment becomes one job a stage, and goes on with the tokenizer it began with."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny
from shrinking import shrunk
from toy_encoder import ToyEncoder

from glide_jax import config, data
from glide_jax.checkpoints import Checkpoints, checkpoints_of
from glide_jax.text import train
from glide_jax.text.reader import EmbeddingReader
from glide_jax.training.ahead import Ahead
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.jobs import after_first, build_jobs, make_jobs, pretrain_text
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
    assert [job.name for job in jobs.in_order] == ["text_pretraining", "base", "upsampler"]
    assert jobs.in_order == (jobs.text_pretraining, *jobs.stages)
    assert jobs.text_pretraining.stage is None
    assert jobs.text_pretraining.training == experiment.text_pretraining.training
    for job in jobs.stages:
        assert job.stage == experiment.stages[job.name]
        assert job.training == job.stage.training
        assert job.model.config == job.stage.model
    for job in jobs.in_order:
        assert job.directory / "checkpoints" == checkpoints_of(tmp_path, job.name)
        assert job.reader is jobs.text_pretraining.reader


def test_a_change_of_all_jobs_keeps_their_places():
    jobs = build_jobs(cascade(), tiny.Swatches(), tiny.reader(), Path())
    renamed = jobs.map(lambda job: dataclasses.replace(job, name=f"new {job.name}"))
    assert renamed.text_pretraining.name == "new text_pretraining"
    assert [job.name for job in renamed.stages] == ["new base", "new upsampler"]
    alone = build_jobs(tiny.experiment(), tiny.Swatches(), tiny.reader(), Path())
    assert alone.map(lambda job: job) == alone


def test_the_tokenizer_of_checkpoints_is_used_again(tmp_path):
    earlier = train("sentencepiece", ["a purple hexagon", "an orange star"], 290).to_dict()
    fresh = make_jobs(cascade(), tmp_path).text_pretraining
    assert fresh.reader.to_dict() != earlier
    directory = checkpoints_of(tmp_path, "upsampler")
    with Checkpoints(directory, keep=1, experiment=cascade(), tokenizer=earlier) as checkpoints:
        checkpoints.save(1, {"params": {"a": np.zeros(1)}}, {})
    for job in make_jobs(cascade(), tmp_path).in_order:
        assert job.reader.to_dict() == earlier


def test_captions_that_are_cut_are_counted(tmp_path, capsys):
    make_jobs(tiny.experiment("text.length=1"), tmp_path)
    assert "24 captions are cut to text.length=1 tokens" in capsys.readouterr().out
    make_jobs(tiny.experiment("text.length=16"), tmp_path)
    assert "are cut" not in capsys.readouterr().out


def check_frozen(jobs):
    """Pretrain the text, and check what the stages were given of it."""
    stages = pretrain_text(jobs, Interrupt())
    # It is trained already: this only reads its checkpoint.
    learned = train_job(jobs.text_pretraining, Interrupt(), None)
    for job, known in zip(stages, after_first(jobs), strict=True):
        shapes = {path: weights.shape for path, weights in known.frozen_params.items()}
        assert shapes == {path: weights.shape for path, weights in job.frozen_params.items()}
        text = {path for path in job.model.shapes if path.startswith("text.")}
        assert text
        assert set(job.frozen_params) == text
        for path in text:
            np.testing.assert_array_equal(job.frozen_params[path], learned[path])
    return stages, learned


@pytest.mark.slow
@pytest.mark.usefixtures("one_device")
def test_the_stages_keep_the_pretrained_text_encoder_frozen(tmp_path):
    jobs = make_jobs(cascade(), tmp_path)
    (base, _), learned = check_frozen(jobs)
    with Ahead(after_first(jobs)[:1]) as compiled:
        step = compiled.step_of(base)
    assert step is not None
    trained = train_job(base, Interrupt(), None, step_function=step)
    fresh = base.model.init(jax.random.key(base.experiment.seed))
    for path, weights in trained.items():
        if path.startswith("text."):
            np.testing.assert_array_equal(weights, learned[path], err_msg=path)
        else:
            assert np.abs(weights - fresh[path]).max() > 0, path


@pytest.mark.slow
@pytest.mark.usefixtures("one_device")
def test_imagen_s_stages_are_given_what_was_pretrained_on_embeddings(tmp_path):
    experiment = shrunk(tiny.CONFIGS / "imagen_quickstart.py")
    reader = EmbeddingReader(ToyEncoder(), experiment.text.length, padding=False)
    stages, _ = check_frozen(build_jobs(experiment, tiny.Swatches(), reader, tmp_path))
    assert len(stages) == 3


def test_without_text_pretraining_stages_stay_as_they_are(tmp_path):
    jobs = make_jobs(tiny.experiment(), tmp_path)
    assert jobs.text_pretraining is None
    assert [job.name for job in jobs.stages] == ["base"]
    assert pretrain_text(jobs, Interrupt()) == jobs.stages
    assert after_first(jobs) == ()
