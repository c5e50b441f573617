"""Runs a claim: every arm with every seed, once; then figures, findings and a verdict.

    FOLDER/images/                   generated images, of all experiments
           trained/WORKDIR/          what experiments train themselves, of all that need it
           NAME/scores/ARM-SEED.json the scores of every row, with what decides them
                result.json          all of it
                plot.png

A run that was stopped goes on: trainings resume, images and scores that are there are kept.
"""

import dataclasses
import json
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from glide_jax import __version__
from glide_jax.config import Experiment, experiment_from, load_config
from glide_jax.data.source import fingerprint_of
from glide_jax.errors import UserError
from glide_jax.evaluation.images.generated import GenerationProgress
from glide_jax.evaluation.judging.elo import elo_scores
from glide_jax.evaluation.results import write_json
from glide_jax.experiments.claim import Arm, Claim, Scores, command_of, declared, filled
from glide_jax.experiments.lab import Lab
from glide_jax.experiments.scores import SCORES
from glide_jax.experiments.verdict import figure_of, findings_of, points_of, verdict
from glide_jax.sampling.output import slug

RESULT, PLOT = "result.json", "plot.png"

TRAINED = "trained.json"
"""In a workdir that an experiment has trained to the end: by what."""

Train = Callable[[Experiment, Path], None]
"""Trains an experiment in a workdir, or continues there."""


class ArmScores(NamedTuple):
    """An arm that was measured with a seed.

    Attributes:
        arm: its name.
        seed: the seed.
        scores: of every row, those that the claim shows.
        done, total: of the arms times the seeds.
        left_s: about how many seconds are left.
    """

    arm: str
    seed: int
    scores: Scores
    done: int
    total: int
    left_s: float


class _Measurement(NamedTuple):
    """The scores of an arm with a seed, and the seconds that they took."""

    scores: Scores
    seconds: float


@dataclasses.dataclass(frozen=True)
class Place:
    """Where an experiment finds and leaves what.

    Attributes:
        runs: the folder of the shared workdirs.
        folder: of all experiments.
        name: of this one.
        look: of a run of another size than is declared, the folder in this one's of its scores and
            result; "": it is of the declared size.
    """

    runs: Path
    folder: Path
    name: str
    look: str = ""

    @property
    def own(self) -> Path:
        """This experiment's folder."""
        return self.folder / self.name

    @property
    def results(self) -> Path:
        """Where scores, the result and the plot are."""
        return self.own / self.look

    def workdir(self, claim: Claim, name: str) -> Path:
        """Of a name in `claim.trained`."""
        return (self.folder / "trained" if claim.trained[name].own else self.runs) / name


@dataclasses.dataclass(frozen=True)
class Callbacks:
    """Who is shown how far it is.

    Attributes:
        on_progress: called with a set's name while its images are sampled.
        on_measured: called after each arm and seed.
    """

    on_progress: Callable[[str, GenerationProgress], object]
    on_measured: Callable[[ArmScores], object]


def check_trained(claim: Claim, place: Place) -> None:
    """Raise UserError where a shared workdir is missing: the message has the command."""
    for name, trained in claim.trained.items():
        workdir = place.workdir(claim, name)
        if not trained.own and not list(workdir.glob("*/checkpoints/*")):
            raise UserError(
                f"{workdir} holds no checkpoint, and {place.name} samples from it: run "
                f"{command_of(name, trained, place.runs)}, or give --runs, the folder that has it"
            )


def train_own(claim: Claim, place: Place, train: Train) -> None:
    """Train what the claim trains itself, or continue; what is finished is left as it is.

    Raises:
        UserError: something in an experiment is impossible here, or what is there was trained
            otherwise.
        Interrupted: stopped early; everything is saved.
    """
    for name, trained in claim.trained.items():
        if not trained.own:
            continue
        workdir, changes = place.workdir(claim, name), filled(trained, place.runs)
        done, content = workdir / TRAINED, {"config": trained.config, "overrides": changes}
        if not done.exists():
            train(experiment_from(load_config(trained.config, changes)), workdir)
            write_json(done, content)
        elif json.loads(done.read_text("utf-8")) != content:
            raise UserError(
                f"{workdir} was trained by another config than the experiment declares now: move "
                "it away, and it is trained again"
            )


def run_claim(claim: Claim, place: Place, callbacks: Callbacks) -> dict[str, Any]:
    """Measure what is not measured yet, and write the result.

    Args:
        claim: whose own workdirs are trained.
        place: where its workdirs and folders are.
        callbacks: who is shown how far it is.

    Returns:
        What is in result.json.

    Raises:
        UserError: a model can't be sampled as an arm says.
        DiskError: a file can't be written.
    """
    workdirs = {name: place.workdir(claim, name) for name in claim.trained}
    lab = Lab(workdirs, place.folder, claim.split, claim.rows, callbacks.on_progress)
    measured = _measure(claim, place, lab, callbacks)
    found = {unit: one.scores for unit, one in measured.items()}
    table = {
        arm.name: {
            name: np.stack([found[arm.name, seed][name] for seed in claim.seeds])
            for name in found[arm.name, claim.seeds[0]]
        }
        for arm in claim.arms
    }
    seconds = round(sum(one.seconds for one in measured.values()))
    result = _result(claim, place, lab, table) | {"seconds": seconds}
    write_json(place.results / RESULT, result)
    return result


def _measure(
    claim: Claim, place: Place, lab: Lab, callbacks: Callbacks
) -> Mapping[tuple[str, int], _Measurement]:
    """(arm, seed) → what is there, and the others measured."""
    units = [(arm, seed) for arm in claim.arms for seed in claim.seeds]
    paths = {(a.name, s): place.results / "scores" / f"{slug(a.name)}-{s}.json" for a, s in units}
    keys = {(arm.name, seed): _key(claim, arm, seed, lab) for arm, seed in units}
    found = {u: kept for u, path in paths.items() if (kept := _kept(path, keys[u])) is not None}
    missing = [(arm, seed) for arm, seed in units if (arm.name, seed) not in found]
    begun = time.monotonic()
    for done, (arm, seed) in enumerate(missing, 1):
        unit, at = (arm.name, seed), time.monotonic()
        plain = {name: _plain(v) for name, v in arm.measure.scores(lab, seed).items()}
        now = time.monotonic()
        content = {"key": keys[unit], "seconds": round(now - at, 1), "scores": plain}
        write_json(paths[unit], content)
        found[unit] = _measurement(content)
        left = (now - begun) / done * (len(missing) - done)
        scores = found[unit].scores
        shown = {name: scores[name] for name in claim.scores if name in scores}
        callbacks.on_measured(ArmScores(*unit, shown, len(found), len(units), left))
    return found


def _key(claim: Claim, arm: Arm, seed: int, lab: Lab) -> str:
    """Says whether scores are of the same things: all that decides them."""
    weights = {name: lab.fingerprint(name) for name in arm.measure.needs}
    rows = [lab.prompts(name).fingerprint for name in arm.measure.needs[:1]]
    settings = {name: _sampling_of(lab.experiment(name)) for name in arm.measure.needs}
    decides = [declared(arm.measure), weights, settings, rows, claim.split, claim.rows, seed]
    decides.append(__version__)
    return fingerprint_of([json.dumps(decides, sort_keys=True, default=str)])[:16]


def _sampling_of(experiment: Experiment) -> dict[str, str]:
    """Stage → its settings of sampling; a guide has none."""
    return {name: repr(getattr(s, "sampling", None)) for name, s in experiment.stages.items()}


def _kept(path: Path, key: str) -> _Measurement | None:
    if not path.exists():
        return None
    content = json.loads(path.read_text("utf-8"))
    return _measurement(content) if content["key"] == key else None


def _measurement(content: Mapping[str, Any]) -> _Measurement:
    """Of a file of scores: None is NaN again."""
    scores = {name: np.array(values, np.float64) for name, values in content["scores"].items()}
    return _Measurement(scores, content["seconds"])


def _plain(values: np.ndarray) -> list[float | None]:
    """Ready for JSON, which has no NaN."""
    return [None if np.isnan(value) else float(f"{value:.7g}") for value in values]


def _result(
    claim: Claim, place: Place, lab: Lab, table: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, Any]:
    findings = findings_of(claim.comparisons, table)
    elo = _elo(claim, table)
    return {
        "experiment": place.name,
        "command": f"glide-jax experiment {place.name}",
        "split": claim.split,
        "rows": claim.rows,
        "seeds": list(claim.seeds),
        "trained": {
            name: {
                "command": command_of(name, trained, Path("runs")),
                "by_the_experiment": trained.own,
                "weights": lab.fingerprint(name),
            }
            for name, trained in claim.trained.items()
        },
        "arms": [
            {
                "name": arm.name,
                "line": arm.line,
                "x": arm.x,
                "measured": declared(arm.measure),
                "figures": {
                    name: _rounded(
                        figure_of(table[arm.name][name], is_binary=SCORES[name].is_binary)
                    )
                    for name in claim.scores
                    if name in table[arm.name]
                }
                | elo.get(arm.name, {}),
            }
            for arm in claim.arms
        ],
        "findings": [
            {
                **{key: getattr(one, key) for key in ("kind", "score", "text", "above", "outcome")},
                **_rounded(one.interval),
            }
            for one in findings
        ],
        "verdict": verdict(findings),
        "versions": {
            "glide_jax": __version__,
            "jax": jax.__version__,
            "python": platform.python_version(),
            "device": jax.devices()[0].device_kind,
        },
    }


def _elo(
    claim: Claim, table: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, dict[str, dict[str, float | None]]]:
    if not claim.elo_by:
        return {}
    names = [arm.name for arm in claim.arms]
    found = elo_scores(points_of(table, names, claim.elo_by))
    if found is None:
        return {}
    return {name: {"elo": _rounded(one)} for name, one in zip(names, found, strict=True)}


def _rounded(interval: Any) -> dict[str, float | None]:
    """Value, low and high in six digits; None for what is infinite or unknown, as JSON has it."""
    return {
        name: float(f"{number:.6g}") if np.isfinite(number) else None
        for name, number in interval._asdict().items()
    }
