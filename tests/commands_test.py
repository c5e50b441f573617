"""The commands that draw: what they write, and what they say when they can't."""

import numpy as np
import pytest
import tiny
from PIL import Image
from pipelines import pipeline_toys

from glide_jax import cli, config, entry, main
from glide_jax.commands.watching import Watch
from glide_jax.pipelines.metadata import read_made
from glide_jax.pipelines.one_stage import Step
from glide_jax.training.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A workdir of a cascade that nobody trained."""
    loaded = config.load_config(
        tiny.CONFIGS / "quickstart.py", [*tiny.OVERRIDES, *tiny.UPSAMPLER_OVERRIDES]
    )
    experiment = config.experiment_from(loaded)
    directory = tmp_path_factory.mktemp("run")
    tokenizer = tiny.tokenizer().to_dict()
    for name, stage in zip(experiment.stages, pipeline_toys.stages(), strict=True):
        with Checkpoints(
            directory / name / "checkpoints", keep=1, experiment=experiment, tokenizer=tokenizer
        ) as checkpoints:
            checkpoints.save(0, {"ema_params": stage.params}, {})
    return directory


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(np.arange(12 * 12 * 3, dtype=np.uint8).reshape(12, 12, 3)).save(path)
    return path


def run(*words):
    return cli.main([str(word) for word in words])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sample"], "give a PROMPT"),
        (["sample", "a"], "give --checkpoint DIR"),
        (["sample", "a", "--checkpoint", "nowhere"], "no workdir nowhere"),
        (["sample", "a", "--checkpoint", "."], "no checkpoint in"),
        (["sample", "--checkpoint", "nowhere", "a"], "no workdir nowhere"),
        (["sample", "a", "--checkpoint", "nowhere", "--checkpoint", "."], "no workdir nowhere"),
        (["sample", "a", "--guidance-scale", "nan", "--checkpoint", "."], "must be a number"),
        (["sample", "a", "--seed", "x"], "invalid int value"),
        (["sample", "--prompts-file", "none.txt"], "can't read none.txt"),
        (["sample", "a", "--class", "3"], "either PROMPT or --class"),
        (["sample", "--like", "none.png"], "none.png: No such file"),
        (["sample", "a", "--like", "none.png"], "leave prompts and settings out"),
        (["sample", "--like", "none.png", "--steps", "3"], "leave prompts and settings out"),
        (["inpaint", "a.png"], "MASK"),
        (["edit", "a.png", "a"], "--strength"),
        (["edit", "a.png", "--strength", "0.5", "a", "--seed", "1"], "give --checkpoint DIR"),
        (["sample", "a", "--sed", "1"], "unrecognized arguments: --sed 1"),
        (["upsample"], "IMAGE"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_and_status_2(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*words) == entry.BAD_INPUT
    (error,) = capsys.readouterr().err.strip().splitlines()
    assert error.startswith("error: ")
    assert message in error


@pytest.mark.slow
def test_a_picture_is_drawn_again_from_itself(workdir, tmp_path, capsys):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("blue square\n\ngreen square\n")
    out = tmp_path / "out"
    words = ["red square", "--prompts-file", prompts, "--num-images", 2, "--seed", 7]
    settings = ["--guidance-scale", 5, "--sampler", "ddpm", "--steps", 2, "--preview-every", 1]
    assert run("sample", *words, "--checkpoint", workdir, "--out", out, *settings) == 0
    said = capsys.readouterr()
    assert "8×8: batch 1/1, step 2/2" in said.err or "8×8: step 2/2" in said.err
    files = said.out.splitlines()
    assert len(files) == 6
    assert (out / "preview.png").exists()
    made = read_made(files[3])
    assert (made.prompt, made.seed, made.index) == ("blue square", 7, 3)
    assert made.settings["guidance_scale"] == 5
    assert made.checkpoints == (str(workdir),)
    assert run("sample", "--like", files[3], "--out", tmp_path / "again") == 0
    (again,) = capsys.readouterr().out.splitlines()
    np.testing.assert_array_equal(np.asarray(Image.open(again)), np.asarray(Image.open(files[3])))
    assert run("sample", "--like", files[3], "--out", out) == entry.BAD_INPUT
    assert "would write over" in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_run_drew_with_other_keys_is_drawn_again(workdir, tmp_path, capsys):
    """`main --mode=sample` says in its pictures all that made them, of every stage."""
    keys = ["--config.sampling.steps=2", "--config.upsampler.sampling.steps=3"]
    words = ["--mode=sample", f"--workdir={workdir}", "--prompt=red square", "--prompt=", *keys]
    assert main.main(words) == 0
    first, _, sheet = capsys.readouterr().out.splitlines()[-3:]
    assert sheet == str(workdir / "samples.png")
    made = read_made(first)
    assert made.overrides == ("sampling.steps=2", "upsampler.sampling.steps=3")
    assert run("sample", "--like", first, "--out", tmp_path) == 0
    (again,) = capsys.readouterr().out.splitlines()
    np.testing.assert_array_equal(np.asarray(Image.open(again)), np.asarray(Image.open(first)))
    assert read_made(again) == made


@pytest.mark.slow
def test_pictures_are_edited_and_enlarged(workdir, picture, tmp_path, capsys):
    mask = tmp_path / "mask.png"
    Image.fromarray(np.eye(12, dtype=np.uint8) * 255).save(mask)
    where = ["--checkpoint", workdir, "--out", tmp_path / "out"]
    quick = ["--guidance-scale", 1, "--steps", 2]
    jobs = (
        ["inpaint", picture, mask, "red square", "--resamples", 1, *quick],
        ["edit", picture, "red square", "--strength", 0.5, *quick],
        ["upsample", picture],
    )
    for words in jobs:
        assert run(*words, *where) == 0
        (file,) = capsys.readouterr().out.splitlines()
        assert Image.open(file).size == (16, 16)
        made = read_made(file)
        assert made.job == words[0]
        assert made.given["image"] == str(picture)


class Terminal:
    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_progress_says_the_time_left_of_a_stage(tmp_path):
    times = iter([0.0, 2.0, 10.0, 100.0])
    terminal = Terminal()
    pictures = np.zeros((2, 4, 4, 3), np.float32)
    with Watch(terminal, tmp_path / "preview.png", 2, clock=lambda: next(times)) as watch:
        watch(Step(64, 1, 2, 1, 5, pictures))
        assert terminal.text.endswith("64×64: batch 1/2, step 1/5\x1b[K")
        watch(Step(64, 1, 2, 2, 5, pictures))
        assert terminal.text.endswith("step 2/5, 0:16 left\x1b[K")
        watch(Step(64, 2, 2, 1, 5, pictures))
        assert terminal.text.endswith("batch 2/2, step 1/5, 0:08 left\x1b[K")
        watch(Step(256, 1, 1, 1, 5, pictures))
        assert terminal.text.endswith("256×256: step 1/5\x1b[K")
    assert terminal.text.endswith("\n")
    assert Image.open(tmp_path / "preview.png").size == (8, 4)
