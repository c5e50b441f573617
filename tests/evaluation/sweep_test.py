"""Sweeps: every combination is a point, none is made twice, and the best is named."""

import json

import pytest
import tiny
from evaluation import evaluation_toys
from PIL import Image
from sampling import pipeline_toys

from glide_jax import cli, data, entry
from glide_jax.errors import UserError
from glide_jax.evaluation import features
from glide_jax.evaluation.curves import write_curves
from glide_jax.evaluation.metric import Value
from glide_jax.evaluation.settings import parse_setting, with_settings
from glide_jax.evaluation.sweep import Point, best_of, parse_axis
from glide_jax.sampling.pipeline import Pipeline


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "prepare", lambda name, path: None)
    monkeypatch.setattr(data, "open_source", lambda name, path, split: tiny.Swatches())
    monkeypatch.setitem(
        features.FEATURE_NETS, "toy", lambda path, *, resize, mesh: evaluation_toys.net("toy")
    )
    with evaluation_toys.workdir_of(tmp_path / "run") as path:
        yield path


def sweep(workdir, *words):
    common = ["--checkpoint", workdir, "--net", "toy", "--num-images", 4, "--reference", "train"]
    return cli.main(["sweep", *map(str, [*common, *words])])


def test_curves_of_two_settings_and_a_restart(workdir, capsys):
    words = ["--over", "temperature=0.5,1", "--over", "sampler=ddim,ddpm"]
    words += ["--metrics", "kid,precision_recall", "--best", "mmd (toy)"]
    assert sweep(workdir, *words[:-1], "mmd") == entry.BAD_INPUT
    shown, said = capsys.readouterr()
    assert "did you mean 'mmd (toy)'" in said or "unknown number of the sweep 'mmd'" in said
    assert not shown, "it is said at the first point"
    assert len(list((workdir / "evaluation" / "images").rglob("*.png"))) == 4
    assert sweep(workdir, *words) == 0
    out = capsys.readouterr().out.splitlines()
    points = [line.partition(":")[0] for line in out[:4]]
    assert points == [f"temperature={t}, sampler={s}" for t in (0.5, 1.0) for s in ("ddim", "ddpm")]
    content = json.loads(
        (workdir / "evaluation" / out[-2].rpartition("evaluation/")[2]).read_text()
    )
    values = {
        tuple(p["settings"].values()): p["metrics"]["kid"]["values"]["mmd (toy)"]["value"]
        for p in content["points"]
    }
    best = min(values, key=values.get)
    assert f"at temperature={best[0]}, sampler={best[1]}" in out[4]
    assert Image.open(out[-1]).width > 1000
    images = {
        path: path.stat().st_mtime_ns for path in (workdir / "evaluation" / "images").rglob("*.png")
    }
    assert len(images) == 16
    assert sweep(workdir, *words, "--over", "eta=0,1") == 0, "another sweep"
    assert sweep(workdir, *words) == 0
    assert capsys.readouterr().out.splitlines()[-7:] == out
    assert all(path.stat().st_mtime_ns == time for path, time in images.items())


def test_a_cascade_s_aug_level_is_its_upsampler_s():
    pipe = Pipeline(pipeline_toys.stages())
    changed = with_settings(pipe, {"aug_level": 0.2, "guidance_scale": 2.0, "upsampler.eta": 0.5})
    base, upsampler = (stage.config.sampling for stage in changed.stages)
    assert (base.aug_level, base.guidance_scale, base.eta) == (0, 2, 0)
    assert (upsampler.aug_level, upsampler.guidance_scale, upsampler.eta) == (0.2, 1, 0.5)
    assert changed.stages[0].program is pipe.stages[0].program, "nothing compiled is lost"
    assert "stages.upsampler.sampling.aug_level=0.2" in changed.origin.overrides
    with pytest.raises(UserError, match="the models have none"):
        with_settings(Pipeline(pipe.stages[:1]), {"aug_level": 0.1})
    with pytest.raises(UserError, match="did you mean 'upsampler'"):
        with_settings(pipe, {"upsample.eta": 0.5})
    with pytest.raises(UserError, match="eta"):
        with_settings(pipe, {"eta": 2.0})
    with pytest.raises(UserError, match="unknown sampler"):
        with_settings(pipe, {"sampler": "ddmi"})


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("guidance_scale=1,2.5", (1.0, 2.5)),
        ("base.sampler=ddim,ddpm", ("ddim", "ddpm")),
        ("steps=20,fast27", ("20", "fast27")),
        ("steps=10,10,3,2,2;20", ("10,10,3,2,2", "20")),
        ("dynamic_threshold=none,0.99", (None, 0.99)),
        ("guidance_interval=0,1;0.2,0.8", ((0.0, 1.0), (0.2, 0.8))),
    ],
)
def test_axes_as_people_write_them(text, values):
    assert parse_axis(text).values == values


@pytest.mark.parametrize(
    "text",
    ["guidance_scale", "guidance_scale=1", "guidance_scale=1,x", "guidance_scale=1,1.0"],
)
def test_an_axis_that_is_none(text):
    with pytest.raises(UserError, match="guidance_scale"):
        parse_axis(text)


def test_a_setting_that_is_none():
    with pytest.raises(UserError, match="did you mean 'guidance_scale'"):
        parse_setting("base.guidance", "1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give --over"),
        (["--over", "eta=0,1", "--metrics", "bits_per_dim"], "is a metric of a model"),
        (["--over", "eta=0,7", "--metrics", "inception_score"], "base.eta=7.0"),
        (["--over", "guidance-scal=1,2"], "did you mean 'guidance_scale'?"),
        (
            ["--over", "eta=0,1", "--eta", "0.5", "--metrics", "inception_score"],
            "eta is swept over, and set to 0.5 too: leave one out",
        ),
    ],
)
def test_a_mistake_is_one_line(workdir, capsys, words, message):
    assert sweep(workdir, *words) == entry.BAD_INPUT
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not list(workdir.rglob("*.png")), "nothing was sampled"


def point(scale, fid, precision):
    values = {"fid": Value(fid, fid - 1, fid + 1), "precision": Value(precision)}
    record = {
        "metrics": {
            "fid": {"values": {"fid": {}}},
            "precision_recall": {"values": {"precision": {}}},
        }
    }
    headlines = {"fid": "fid", "precision": "precision_recall"}
    return Point({"guidance_scale": scale}, values, headlines, record)


def test_the_best_is_the_lowest_or_the_highest_as_the_metric_has_it(tmp_path):
    points = [point(1.0, 9, 0.2), point(2.0, 5, 0.4), point(3.0, 7, 0.6)]
    assert best_of(points, None)[1].settings == {"guidance_scale": 2.0}
    assert best_of(points, "precision")[1].settings == {"guidance_scale": 3.0}
    with pytest.raises(UserError, match="did you mean 'fid'"):
        best_of(points, "fidd")
    write_curves(tmp_path / "a.png", points, "three")
    # Three panels: each number over the scale, and one against the other.
    assert Image.open(tmp_path / "a.png").width > 2 * Image.open(tmp_path / "a.png").height
