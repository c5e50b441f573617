"""A run's report shows what its workdir holds, and is plotted from whatever there is."""

import json

import numpy as np
import pytest
from PIL import Image

from glide_jax import cli
from glide_jax.errors import UserError
from glide_jax.evaluation import report


def stage(workdir, name, rows, tail=""):
    (workdir / name).mkdir(parents=True)
    lines = [json.dumps(row) for row in rows]
    (workdir / name / "metrics.jsonl").write_text("\n".join([*lines, tail]))


def rows(count, **more):
    quarters = {f"loss_q{i}": i / 10 for i in (1, 2, 3, 4)}
    return [{"step": 1, "loss": 0.9, "skipped": 0}] + [
        {"step": step, "loss": 1 / step, "skipped": step == 3, "images_per_s": 80.0, "mfu": 0.25}
        | quarters
        | {"input_wait": 0.015}
        | more
        for step in range(2, count + 1)
    ]


def plotted(workdir, monkeypatch):
    """The figure that is plotted, to be read."""
    figures = []
    made = report._figure
    monkeypatch.setattr(report, "_figure", lambda *a: figures.append(made(*a)) or figures[-1])
    report.write_report(workdir)
    assert Image.open(workdir / "report.png").size[0] > 1000
    return figures[0]


def texts(figure):
    return [t.get_text() for axes in figure.get_axes() for t in axes.texts] + [
        axes.get_title(loc="left") for axes in figure.get_axes()
    ]


def test_all_that_a_run_leaves(tmp_path, monkeypatch):
    stage(tmp_path, "base", rows(2000))
    stage(tmp_path, "upsampler", rows(40), tail='{"step": 41, "lo')
    Image.fromarray(np.zeros((100, 800, 3), np.uint8)).save(tmp_path / "samples.png")
    scores = {"test": {"guidance_3": {"colour": 0.66, "all": 0.48}}}
    summary = {"seconds": 1216.0, "peak_rss_gib": 2.5, "scores": scores}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    figure = plotted(tmp_path, monkeypatch)
    shown = texts(figure)
    assert "base: loss" in shown
    assert "upsampler: loss" in shown
    assert "1 steps skipped" in shown
    assert shown.count("MFU 25%, 1.5% of the time waiting for data") == 2
    assert {"66", "48"} <= set(shown), "the scores, in percent"
    assert "base 2,000 steps, upsampler 40 steps" in figure.get_suptitle()
    assert "20.3 min" in figure.get_suptitle()
    loss = next(a for a in figure.get_axes() if a.get_title(loc="left") == "base: loss")
    assert len(loss.lines[0].get_xdata()) == report._POINTS
    np.testing.assert_allclose(loss.lines[0].get_ydata()[-1], 1 / 1997, rtol=0.01)


def test_metrics_of_the_scorer_are_plotted(tmp_path, monkeypatch):
    stage(tmp_path, "base", [*rows(9), {"step": 9, "evaluation/prompt_truth": 0.5}])
    value = {"value": 0.66, "low": 0.6, "high": 0.7}
    truth = {"prompt_truth": value | {"value": 0.48}, "prompt_truth_colour": value, "fid": value}
    metrics = {"test, guidance 3": truth, "test": {"bits_per_dim": value}}
    (tmp_path / "summary.json").write_text(json.dumps({"metrics": metrics}))
    figure = plotted(tmp_path, monkeypatch)
    scores = figure.get_axes()[-1]
    assert [label.get_text() for label in scores.get_xticklabels()] == ["all", "colour"]
    assert {"66", "48"} <= set(texts(figure))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_run_that_has_just_begun(tmp_path, monkeypatch, count):
    stage(tmp_path, "base", rows(count, loss=None, loss_q2=None))
    stage(tmp_path, "upsampler", [{"step": 1, "loss": None, "skipped": 1}])
    plotted(tmp_path, monkeypatch)


@pytest.mark.parametrize("line", ["[1]", "null", '{"loss": 1}', '{"step": 1, "loss": "x"}', "{"])
def test_metrics_that_are_damaged_are_one_line(tmp_path, line):
    stage(tmp_path, "base", rows(3), tail=f"{line}\n")
    with pytest.raises(UserError, match=r"base/metrics\.jsonl: line 4 is damaged .*; delete"):
        report.write_report(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{", '{"metrics": 3}', '{"metrics": {"test": 3}}'])
def test_a_summary_that_is_damaged_is_one_line(tmp_path, text):
    stage(tmp_path, "base", rows(3))
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(UserError, match=r"can't read .*summary\.json: .*; move it away"):
        report.write_report(tmp_path)


def test_a_workdir_without_figures_says_so(tmp_path, capfd):
    with pytest.raises(UserError, match=r"no stage with metrics\.jsonl"):
        report.write_report(tmp_path)
    assert cli.main(["report", str(tmp_path)]) == 2
    stage(tmp_path, "base", rows(3))
    assert cli.main(["report", str(tmp_path)]) == 0
    assert "report.png" in capfd.readouterr().out
