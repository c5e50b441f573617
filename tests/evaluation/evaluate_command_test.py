"""`glide-jax evaluate` and `reference`: models and files, what is kept, what is refused."""

import json

import numpy as np
import pytest
import tiny
from evaluation import evaluation_toys

from glide_jax import cli, data, entry
from glide_jax.evaluation import features


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    monkeypatch.setattr(data, "prepare", lambda name, path: None)
    monkeypatch.setattr(data, "open_source", lambda name, path, split: tiny.Swatches())
    monkeypatch.setitem(
        features.FEATURE_NETS, "toy", lambda path, *, resize, mesh: evaluation_toys.net("toy")
    )


@pytest.fixture
def workdir(tmp_path):
    with evaluation_toys.workdir_of(tmp_path / "run") as path:
        yield path


@pytest.fixture
def folder(tmp_path):
    return evaluation_toys.write_folder(tmp_path / "images", evaluation_toys.images(6))


NET = ["--net", "toy"]
METRICS = ["--metrics", "kid,precision_recall,inception_score"]


def evaluate(*words, status=0):
    assert cli.main(["evaluate", *map(str, words)]) == status


def mistake(capsys, *words):
    """The one line that a mistake is answered with."""
    evaluate(*words, status=entry.BAD_INPUT)
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_a_model_s_images_are_kept_and_measured(workdir, capsys):
    words = ["--checkpoint", workdir, "--split", "test", "--reference", "train", *NET, *METRICS]
    evaluate(*words, "--num-images", 6, "--guidance-scale", 1)
    said = capsys.readouterr()
    assert "test, guidance 1, 6 images of 8×8" in said.out
    assert "precision (toy)" in said.out
    assert "test: 4/6 images, 8×8 step 3/3" in said.err
    results = json.loads((workdir / "evaluation" / "results.json").read_text())
    metrics = results["test, guidance 1"]["metrics"]
    assert metrics["kid"]["details"]["images"] == 6
    assert metrics["kid"]["details"]["reference_images"] == 24
    summary = json.loads((workdir / "summary.json").read_text())
    assert (
        summary["metrics"]["test, guidance 1"]["mmd (toy)"] == metrics["kid"]["values"]["mmd (toy)"]
    )
    (images,) = (workdir / "evaluation" / "images").iterdir()
    assert len(list(images.glob("*.png"))) == 6
    before = {path: path.stat().st_mtime_ns for path in images.glob("*.png")}
    evaluate(*words, "--num-images", 8, "--guidance-scale", 1)
    assert "8 images of 8×8" in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert len(list(images.glob("*.png"))) == 8


def test_processes_share_the_images(workdir, capsys):
    words = ["--checkpoint", workdir, "--metrics", "inception_score", *NET, "--num-images", 8]
    words += ["--split", "test", "--guidance-scale", 1, "--num-processes", 2]
    evaluate(*words, "--process-id", 1)
    assert capsys.readouterr().out == ""
    (images,) = (workdir / "evaluation" / "images").iterdir()
    assert [path.name for path in sorted(images.glob("*.png"))] == [
        f"{i:06d}.png" for i in (4, 5, 6, 7)
    ]
    evaluate(*words, "--process-id", 0)
    assert "8 images of 8×8" in capsys.readouterr().out


def test_a_folder_and_an_npz_of_it_are_the_same(folder, tmp_path, capsys):
    pixels = np.concatenate(list(evaluation_toys.images(6).batches(6)))
    np.savez(tmp_path / "a.npz", pixels)
    found = []
    for images in (folder, tmp_path / "a.npz"):
        evaluate("--images", images, "--reference", folder, *NET, *METRICS, "--json")
        (results,) = json.loads(capsys.readouterr().out).values()
        found.append({name: one["values"] for name, one in results["metrics"].items()})
    assert found[0] == found[1]
    assert found[0]["precision_recall"]["recall (toy)"]["value"] == 1


def test_a_reference_of_a_split_is_read(folder, tmp_path, capsys):
    path = tmp_path / "reference.npz"
    words = ["--data", "shapes/64", "--split", "test", "--size", 8, "--out", path, *NET]
    assert cli.main(["reference", *map(str, words)]) == 0
    assert "24 images of 8×8, toy" in capsys.readouterr().out
    evaluate("--images", folder, "--reference", path, *NET, *METRICS, "--out", tmp_path / "out")
    assert "mmd (toy)" in capsys.readouterr().out
    assert (tmp_path / "out" / "results.json").exists()


def test_categories_have_their_own_numbers(workdir, tmp_path, capsys, monkeypatch):
    from sampling import pipeline_toys

    clip = pipeline_toys.clip_guide(8, score=lambda captions, images: np.ones(len(images)))
    monkeypatch.setattr("glide_jax.sampling.loading.load_clip", lambda path, mesh: clip)
    prompts = tmp_path / "prompts.tsv"
    prompts.write_text("Prompt\tCategory\nred square\tred\nblue square\tblue\n")
    words = ["--checkpoint", workdir, "--prompts", prompts, "--metrics", "clip_score"]
    evaluate(*words, "--clip", workdir, "--guidance-scale", 1)
    out = capsys.readouterr().out
    assert "prompts, guidance 1, 2 images" in out
    assert "clip_score by category" in out
    assert "blue 100 100 … 100" in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metrics", "fidd"], "did you mean 'fid'"),
        (["--metrics", ","], "give metrics"),
        ([], "give --checkpoint DIR"),
        (["--checkpoint", "a", "--images", "b"], "give --checkpoint DIR"),
        (["--checkpoint", "a", "--metrics", "fid"], "fid compares images with others"),
        (["--checkpoint", "a", "--metrics", "clip_score"], "clip_score needs a noised CLIP"),
        (["--checkpoint", "a", "--num-images", "0"], "--num-images must be 1 or more"),
        (["--checkpoint", "a", "--split", "test", "--prompts", "b"], "either --split or --prompts"),
        (["--checkpoint", "a", "--num-processes", "2"], "needs --process-id"),
        (["--checkpoint", "a", "--num-processes", "2", "--process-id", "2"], "from 0 to N - 1"),
        (["--images", "a", "--metrics", "bits_per_dim"], "is a metric of a model"),
        (["--images", "a", "--metrics", "inception_score"], "there are no images a"),
        (["--checkpoint", "none-such"], "there is no workdir none-such"),
    ],
)
def test_a_mistake_is_one_line(words, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert message in mistake(capsys, *words)


def test_what_files_can_t_be_measured_by(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GLIDE_JAX_CACHE", str(tmp_path / "cache"))
    images = ["--images", folder]
    assert "glide-jax download inception" in mistake(
        capsys, *images, "--metrics", "fid", "--reference", folder
    )
    assert "unknown feature net" in mistake(
        capsys, *images, "--metrics", "inception_score", "--net", "vgg"
    )
    assert "needs captions of the images" in mistake(capsys, *images)
    prompts = tmp_path / "p.txt"
    prompts.write_text("red\nblue\n")
    line = mistake(capsys, *images, "--prompts", prompts)
    assert "has 6 images and" in line
    assert "2 prompts" in line
    other = evaluation_toys.write_folder(tmp_path / "other", evaluation_toys.images(6, size=16))
    assert "give a reference of the same size" in mistake(
        capsys, *images, "--reference", other, *METRICS, *NET
    )


def test_a_model_s_mistakes(workdir, tmp_path, capsys):
    words = ["--checkpoint", workdir, *METRICS, *NET, "--reference"]
    other = evaluation_toys.write_folder(tmp_path / "other", evaluation_toys.images(6, size=16))
    assert "give a reference of the same size" in mistake(capsys, *words, other)
    assert not list(workdir.rglob("*.png")), "before anything is sampled"
    words = [*words, "train"]
    assert "unknown sampler 'ddmi'" in mistake(capsys, *words, "--sampler", "ddmi")
    assert "eta must be from 0 to 1" in mistake(capsys, *words, "--eta", 3)
    assert "prompt_truth needs" in mistake(
        capsys, "--checkpoint", workdir, "--prompts", "skills", "--num-images", 4
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "a.npz"], "give either --data NAME or --images"),
        (["--data", "shapes/64", "--out", "a.npz"], "--data needs --size"),
        (["--images", "a", "--out", "a.txt"], "must end in .npz"),
        (["--data", "shape/64", "--size", "8", "--out", "a.npz"], "did you mean 'shapes'"),
    ],
)
def test_a_mistake_of_reference_is_one_line(words, message, capsys):
    assert cli.main(["reference", *words]) == entry.BAD_INPUT
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
