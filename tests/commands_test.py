"""The commands that sample: what they write, and what they say when they can't."""

import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image
from sampling import pipeline_toys

from glide_jax import cli, config, entry, main
from glide_jax.commands import sampling_options
from glide_jax.commands.sampling_progress import ProgressLine, preview_of
from glide_jax.errors import UserError
from glide_jax.progress import Choice, progress_choice
from glide_jax.sampling.output import read_provenance
from glide_jax.sampling.run import SamplingProgress


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A workdir of a cascade that nobody trained."""
    return pipeline_toys.saved(tmp_path_factory.mktemp("run"))


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(np.arange(12 * 12 * 3, dtype=np.uint8).reshape(12, 12, 3)).save(path)
    return path


def run(*words):
    return cli.main([str(word) for word in words])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sample"], "give --checkpoint DIR"),
        (["edit", "a.png", "--strength=0.5"], "give a PROMPT"),
        (["sample", "a"], "give --checkpoint DIR"),
        (["sample", "a", "--checkpoint", "nowhere"], "no workdir nowhere"),
        (["sample", "a", "--checkpoint", "."], "no checkpoint in"),
        (["sample", "--checkpoint", "nowhere", "a"], "no workdir nowhere"),
        (["sample", "a", "--checkpoint", "nowhere", "--checkpoint", "."], "no workdir nowhere"),
        (["sample", "a", "--guidance-scale", "nan", "--checkpoint", "."], "'nan' is not a number"),
        (["sample", "a", "--seed", "x"], "invalid int value"),
        (["sample", "--prompts-file", "none.txt"], "can't read none.txt"),
        (["sample", "--prompts-file", "/dev/null"], "/dev/null is empty: write a prompt on each"),
        (["sample", "a", "--checkpoint="], "--checkpoint: the path is empty; is a variable"),
        (["sample", "a", "--checkpoint=.", "--out="], "--out: the path is empty"),
        (["sample", "a", "--checkpoint=.", "--out=/dev/null"], "can't write to /dev/null: Not a"),
        (["edit", "a", "a", "--strength=1", "--checkpoint=.", "--out=/dev/null/x"], "Not a dir"),
        (["sample", "a", "--checkpoint=.", "--contact-sheet=a.jpg"], "whose name ends in .png"),
        (["sample", "a", "--class", "3"], "either PROMPT or --class"),
        (["sample", "a", "--clip-scale=1"], "--clip-scale needs a noised CLIP: give --clip DIR"),
        (["sample", "a", "--rerank=4"], "--rerank needs a noised CLIP: give --clip DIR"),
        (["sample", "--class=1", "--classifier-scale=1"], "give --classifier DIR"),
        (["edit", "a.png", "a", "--strength=1", "--clip-scale=1"], "give --clip DIR"),
        (["sample", "--like", "none.png"], "none.png: No such file"),
        (["sample", "a", "--like", "none.png"], "leave prompts and settings out"),
        (["sample", "--like", "none.png", "--steps", "3"], "leave prompts and settings out"),
        (["sample", "--like", "none.png", "--config.seed=3"], "leave prompts and settings out"),
        (["sample", "a", "--guidance-interval", "0.2", "--seed=1"], "expected 2 arguments"),
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
def test_an_image_is_reproduced_from_itself(workdir, tmp_path, capsys):
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
    made = read_provenance(files[3])
    assert (made.prompt, made.seed, made.index) == ("blue square", 7, 3)
    assert made.settings["guidance_scale"] == 5
    assert made.checkpoints == (str(workdir),)
    assert run("sample", "--like", files[3], "--out", tmp_path / "again") == 0
    (again,) = capsys.readouterr().out.splitlines()
    np.testing.assert_array_equal(np.asarray(Image.open(again)), np.asarray(Image.open(files[3])))
    assert run("sample", "--like", files[3], "--out", out) == entry.BAD_INPUT
    assert "would write over" in capsys.readouterr().err


@pytest.mark.slow
def test_what_was_sampled_with_other_keys_is_reproduced(workdir, tmp_path, capsys):
    """`main --mode=sample` says in its images all that made them, of every stage."""
    keys = ["--config.stages.base.sampling.steps=2", "--config.stages.upsampler.sampling.steps=3"]
    words = ["--mode=sample", f"--workdir={workdir}", "--prompt=red square", "--prompt=", *keys]
    assert main.main(words) == 0
    first, _, sheet = capsys.readouterr().out.splitlines()[-3:]
    assert sheet == str(workdir / "samples.png")
    made = read_provenance(first)
    assert made.overrides == ("stages.base.sampling.steps=2", "stages.upsampler.sampling.steps=3")
    summary = json.loads((workdir / "summary.json").read_text())
    assert summary["sample"]["prompts"] == ["red square", ""]
    assert run("sample", "--like", first, "--out", tmp_path) == 0
    (again,) = capsys.readouterr().out.splitlines()
    np.testing.assert_array_equal(np.asarray(Image.open(again)), np.asarray(Image.open(first)))
    assert read_provenance(again) == made


@pytest.mark.slow
def test_without_a_prompt_the_config_s_own_are_sampled(workdir, tmp_path, capsys):
    words = ["--checkpoint", workdir, "--out", tmp_path / "out", "--steps", 1]
    keys = ["--config.prompts=red square,blue square", "--config.stages.upsampler.sampling.steps=1"]
    assert run("sample", *words, *keys) == 0
    *files, sheet = capsys.readouterr().out.splitlines()
    assert [read_provenance(file).prompt for file in files] == ["red square", "blue square"]
    assert sheet == str(tmp_path / "out.png")
    assert Image.open(sheet).size[0] > 100
    assert not (tmp_path / "summary.json").exists()
    assert run("sample", *words, "--config.prompts=none") == entry.BAD_INPUT
    assert "give a PROMPT" in capsys.readouterr().err


def test_every_sampling_setting_has_a_flag():
    parser = entry.Parser()
    sampling_options.add_settings(parser, inpaints=True)
    names = {field.name for field in dataclasses.fields(config.SamplingConfig)}
    flags = {action.dest: action for action in parser._actions if action.dest != "help"}
    assert set(flags) == names - {"inpaint_sampler"}
    for name, action in flags.items():
        assert action.option_strings == ["--" + name.replace("_", "-")]
        assert len(action.help) > 10
    read = parser.parse(["--guidance-interval", "0.2", "0.8", "--steps", "27", "--batch-size=2"])
    assert (read.guidance_interval, read.steps, read.batch_size) == ([0.2, 0.8], "27", 2)


@pytest.mark.parametrize(
    ("python", "shell"),
    [
        ("num_images must be 1 or more, not 0", "--num-images must be 1 or more, not 0"),
        ("rerank=2 is fewer than num_images=3", "--rerank=2 is fewer than --num-images=3"),
        ("eta must be from 0 to 1, not 2.0", "--eta must be from 0 to 1, not 2.0"),
        ("so guidance_scale must be 1", "so --guidance-scale must be 1"),
        ("no more steps must be taken", "no more steps must be taken"),
        (
            "config.stages.base.sampling.batch_size: wrong",
            "config.stages.base.sampling.batch_size: wrong",
        ),
    ],
)
def test_the_command_line_is_answered_in_its_own_words(python, shell):
    with pytest.raises(UserError) as error, sampling_options.in_flags():
        raise UserError(python)
    assert str(error.value) == shell


@pytest.mark.slow
def test_images_are_edited_and_enlarged(workdir, image, tmp_path, capsys):
    mask = tmp_path / "mask.png"
    Image.fromarray(np.eye(12, dtype=np.uint8) * 255).save(mask)
    where = ["--checkpoint", workdir, "--out", tmp_path / "out"]
    quick = ["--guidance-scale", 1, "--steps", 2]
    jobs = (
        ["inpaint", image, mask, "red square", "--resamples", 1, *quick],
        ["edit", image, "red square", "--strength", 0.5, *quick],
        ["upsample", image],
    )
    for words in jobs:
        assert run(*words, *where) == 0
        (file,) = capsys.readouterr().out.splitlines()
        assert Image.open(file).size == (16, 16)
        made = read_provenance(file)
        assert made.task == words[0]
        assert made.input_files["image"] == str(image)


def test_progress_says_the_time_left_of_stages_that_take_turns(tmp_path):
    times = iter([0.0, 2.0, 8.0, 100.0, 104.0, 200.0])
    stream = io.StringIO()
    images = np.zeros((2, 4, 4, 3), np.float32)
    preview = tmp_path / "preview.png"
    with (
        progress_choice(Choice("json", "none")),
        ProgressLine(stream, preview, clock=lambda: next(times)) as show,
    ):
        show(SamplingProgress("base", 64, 1, 2, 1, 5, images))
        show(SamplingProgress("base", 64, 1, 2, 2, 5, images))
        show(SamplingProgress("base", 64, 2, 2, 1, 5, images))
        # Compiling and the first step of a stage are not known before it samples.
        show(SamplingProgress("upsampler", 256, 1, 2, 1, 5, images))
        show(SamplingProgress("upsampler", 256, 1, 2, 2, 5, images))
        show(SamplingProgress("base", 64, 2, 2, 3, 5, images))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["task"], line["done"], line["total"], line["left_s"]) for line in lines] == [
        ("64×64", 1, 10, None),
        ("64×64", 2, 10, 16.0),
        ("64×64", 6, 10, 6.4),
        ("256×256", 1, 10, None),
        ("256×256", 2, 10, 6.4 + 32.0),
        ("64×64", 8, 10, 3.2 + 32.0),
    ]
    figures = {"stage": "base", "batch": 2, "num_batches": 2, "step": 1, "num_steps": 5}
    assert lines[2]["figures"] == figures
    assert Image.open(preview).size == (8, 4)


def test_what_is_no_terminal_has_a_line_at_the_end_of_each_batch():
    times = iter([0.0, 8.0, 10.0, 100.0])
    stream = io.StringIO()
    images = np.zeros((2, 4, 4, 3), np.float32)
    with ProgressLine(stream, None, clock=lambda: next(times)) as show:
        for batch, step in ((1, 4), (1, 5), (2, 1), (2, 5)):
            show(SamplingProgress("base", 64, batch, 2, step, 5, images))
    assert stream.getvalue().splitlines() == [
        "64×64: batch 1/2, step 5/5, 0:40 left",
        "64×64: batch 2/2, step 5/5, 0:00 left",
    ]


def test_a_preview_in_a_terminal_has_rows_of_four():
    images = np.linspace(-1, 1, 6)[:, None, None, None] + np.zeros((6, 2, 3, 3))
    shown = preview_of(SamplingProgress("base", 2, 1, 1, 1, 1, images.astype(np.float32)))
    assert shown.shape == (4, 12, 3)
    tops = shown[::2, ::3, 0].flatten().tolist()
    assert tops == [0, 51, 102, 153, 204, 255, 0, 0]
