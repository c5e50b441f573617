"""`glide-jax plan`: its mistakes are one line, before anything is compiled."""

import pytest
import tiny

from glide_jax import cli, entry

BASE = f"--config={tiny.CONFIGS / 'base.py'}"
PAPER = f"--config={tiny.CONFIGS / 'base_paper.py'}"


@pytest.mark.newest
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--config"),
        ([BASE], "--topology"),
        (["--config=none.py", "--topology=v5e-16"], "no config file none.py"),
        ([BASE, "--topology=v5e-17"], "no such slice; there are v5e-4"),
        ([BASE, "--topology=v5e-16", "--stage=bse"], "did you mean 'base'?"),
        (
            [BASE, "--topology=v5e-16", "--config.stages.base.training.fsdpp=2"],
            "did you mean config.stages.base.training.fsdp?",
        ),
        ([BASE, "--topology=h100-3"], "batch_size=2048 is not divisible by the 3 devices"),
        (
            [BASE, "--topology=h100-8", "--config.stages.base.training.fsdp=3"],
            "fsdp=3 does not divide the 8",
        ),
        (
            [PAPER, "--topology=v5e-16", "--config.stages.base.training.fsdp=1"],
            "15.8 GiB; set stages.base.training.fsdp=8",
        ),
        (
            [PAPER, "--topology=v5e-4", "--config.stages.base.training.fsdp=4"],
            "fit 4 of them: take more devices",
        ),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_and_status_2(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["plan", *words]) == entry.BAD_INPUT
    (error,) = capsys.readouterr().err.strip().splitlines()
    assert error.startswith("error: ")
    assert message in error


def test_an_override_elsewhere_is_a_mistake(capsys):
    assert cli.main(["info", "a", "--config.seed=1"]) == entry.BAD_INPUT
    assert "unrecognized arguments: --config.seed=1" in capsys.readouterr().err
