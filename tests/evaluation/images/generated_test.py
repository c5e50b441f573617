"""Generated sets: kept, gone on with, shared out; image i depends on (seed, i) alone."""

import dataclasses

import numpy as np
import pytest
from evaluation import evaluation_toys

from glide_jax.evaluation.images.generated import MADE_FROM, Share, generated, sampled
from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
from glide_jax.evaluation.settings import with_settings
from glide_jax.sampling.output import read_provenance
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.request import Subject

ALONE = Share(0, 1)
WORDS = ["red square", "green square", "blue square"]


def prompts(count):
    subjects = tuple(Subject(prompt=word) for word in WORDS)
    return PromptSet("three", "fingerprint", subjects).first(count)


@pytest.fixture(scope="module")
def pipe():
    return evaluation_toys.pipeline()


def pixels(images):
    return np.concatenate(list(images.batches(4)))


class Counted(Pipeline):
    """Counts the images that are sampled."""

    sampled = 0

    def sample_indices(self, subjects, indices, **rest):
        Counted.sampled += len(indices)
        return super().sample_indices(subjects, indices, **rest)


def test_a_run_that_was_stopped_goes_on_and_its_images_are_the_same(pipe, tmp_path):
    counted = Counted(pipe.stages)
    seen = []
    images, folder = generated(counted, prompts(10), "ten", 3, tmp_path, ALONE, seen.append)
    expected, sampled_at_first = pixels(images), Counted.sampled
    assert expected.shape == (10, 8, 8, 3)
    assert sampled_at_first == 12, "three batches of 4, the last one filled up"
    assert (seen[0].done, seen[0].total, seen[0].left_s) == (0, 10, None)
    assert (seen[-1].done, seen[-1].total) == (8, 10)
    assert seen[-1].left_s is not None
    (folder / "000005.png").unlink()
    (folder / "000006.part").write_bytes(b"half of it")
    before = (folder / "000004.png").stat().st_mtime_ns
    images, _ = generated(counted, prompts(10), "ten", 3, tmp_path, ALONE)
    assert Counted.sampled == sampled_at_first + 4, "one batch"
    np.testing.assert_array_equal(pixels(images), expected)
    assert (folder / "000004.png").stat().st_mtime_ns == before
    more, same = generated(pipe, prompts(12), "ten", 3, tmp_path, ALONE)
    assert same == folder
    np.testing.assert_array_equal(pixels(more)[:10], expected)
    assert more.fingerprint != images.fingerprint


def test_an_image_depends_on_the_seed_and_its_number(pipe, tmp_path):
    in_memory = pixels(sampled(pipe, prompts(5), "five", 3))
    small = dataclasses.replace(pipe.stages[0].config.sampling, batch_size=2)
    config = dataclasses.replace(pipe.stages[0].config, sampling=small)
    other = Pipeline((dataclasses.replace(pipe.stages[0], config=config),))
    images, _ = generated(other, prompts(5), "five", 3, tmp_path, ALONE)
    difference = np.abs(pixels(images).astype(int) - in_memory)
    assert difference.max() <= 1, "up to rounding"
    again, _ = generated(pipe, prompts(5), "five", 4, tmp_path, ALONE)
    assert np.abs(pixels(again).astype(int) - in_memory).max() > 10


def test_processes_share_the_batches(pipe, tmp_path):
    alone, _ = generated(pipe, prompts(10), "ten", 0, tmp_path / "alone", ALONE)
    for process in (1, 0):
        shared, folder = generated(
            pipe, prompts(10), "ten", 0, tmp_path / "shared", Share(process, 2)
        )
        there = sorted(int(path.stem) for path in folder.glob("*.png"))
        assert there == ([4, 5, 6, 7] if process else list(range(10)))
    np.testing.assert_array_equal(pixels(shared), pixels(alone))


def test_what_decides_the_images_names_their_folder(pipe, tmp_path):
    variants = {
        "as it is": (pipe, prompts(2), 0),
        "another seed": (pipe, prompts(2), 1),
        "another eta": (with_settings(pipe, {"eta": 0.5}), prompts(2), 0),
        "other prompts": (pipe, dataclasses.replace(prompts(2), fingerprint="others"), 0),
    }
    folders = {
        generated(pipeline, rows, "set", seed, tmp_path, ALONE)[1]
        for pipeline, rows, seed in variants.values()
    }
    assert len(folders) == len(variants)
    assert all((folder / MADE_FROM).exists() for folder in folders)


def test_the_files_say_what_they_were_made_with(pipe, tmp_path):
    changed = with_settings(pipe, {"temperature": 0.5})
    _, folder = generated(changed, prompts(2), "set", 5, tmp_path, ALONE)
    made = read_provenance(folder / "000001.png")
    assert (made.prompt, made.seed, made.index) == ("green square", 5, 1)
    assert made.settings["temperature"] == 0.5
