"""What the votes say: Elo scores and win rates of pairs, mean ratings of single images."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from glide_jax.evaluation.judging.elo import elo_scores, unbeaten
from glide_jax.evaluation.judging.questions import NEITHER, QUESTIONS, Question
from glide_jax.evaluation.judging.shares import share
from glide_jax.evaluation.judging.votes import Vote
from glide_jax.evaluation.maths.intervals import Interval


def results_of(votes: Sequence[Vote]) -> dict[str, Any]:
    """The results of each question that has votes, for JSON.

    Args:
        votes: of any questions and judges.

    Returns:
        {question: {"votes", "judges", "prompts": counts, and of pairs "elo": {model: INTERVAL} or
        None, "unbeaten": models because of which there is none, "win_rates": a list of {"model",
        "against", "won", "tied", "lost", "rate": INTERVAL}; of ratings "ratings": {model: INTERVAL
        of 0 … 100 with the count of each answer}}}. INTERVAL: {"value", "low", "high"}, 95 %; an
        end that is infinite is None.
    """
    return {
        name: _result(question, of_question)
        for name, question in QUESTIONS.items()
        if (of_question := [vote for vote in votes if vote.question == name])
    }


def _result(question: Question, votes: Sequence[Vote]) -> dict[str, Any]:
    counts = {
        "votes": len(votes),
        "judges": len({vote.judge for vote in votes}),
        "prompts": len({vote.prompt for vote in votes}),
    }
    summarise = _compared if question.num_images == 2 else _rated
    return counts | summarise(question, votes)


def _compared(question: Question, votes: Sequence[Vote]) -> dict[str, Any]:
    models = sorted({model for vote in votes for model in vote.shown})
    points = _points(question, votes, models)
    found = elo_scores(points)
    stuck = unbeaten(points) or []
    return {
        "elo": found and {m: _entry(x) for m, x in zip(models, found, strict=True)},
        "unbeaten": [models[i] for i in stuck],
        "win_rates": [
            _win_rate(votes, points[:, [i, j], [j, i]], models[i], models[j])
            for i, j in itertools.combinations(range(len(models)), 2)
            if points[:, [i, j], [j, i]].any()
        ],
    }


def _points(question: Question, votes: Sequence[Vote], models: Sequence[str]) -> np.ndarray:
    """f64[c n n], as for `elo_scores`."""
    prompts = {prompt: i for i, prompt in enumerate(sorted({vote.prompt for vote in votes}))}
    points = np.zeros((len(prompts), len(models), len(models)))
    for vote in votes:
        left, right = (models.index(model) for model in vote.shown)
        score = question.scores[vote.answer]
        points[prompts[vote.prompt], left, right] += score
        points[prompts[vote.prompt], right, left] += 1 - score
    return points


def _win_rate(
    votes: Sequence[Vote], points: np.ndarray, model: str, against: str
) -> dict[str, Any]:
    """`points`: f64[c 2], of each prompt what the model has won and what the other has."""
    outcomes = Counter(
        "tied" if vote.answer == NEITHER else vote.shown[vote.answer == "right"]
        for vote in votes
        if set(vote.shown) == {model, against}
    )
    return {
        "model": model,
        "against": against,
        "won": outcomes[model],
        "tied": outcomes["tied"],
        "lost": outcomes[against],
        "rate": _entry(share(points[:, 0], points.sum(1))),
    }


def _rated(question: Question, votes: Sequence[Vote]) -> dict[str, Any]:
    prompts = {prompt: i for i, prompt in enumerate(sorted({vote.prompt for vote in votes}))}
    ratings = {}
    for model in sorted({vote.shown[0] for vote in votes}):
        points, counts = np.zeros(len(prompts)), np.zeros(len(prompts))
        own = [vote for vote in votes if vote.shown[0] == model]
        for vote in own:
            points[prompts[vote.prompt]] += question.scores[vote.answer]
            counts[prompts[vote.prompt]] += 1
        answers = Counter(vote.answer for vote in own)
        ratings[model] = _entry(share(points, counts).scaled(100)) | {
            answer: answers[answer] for answer in question.answers
        }
    return {"ratings": ratings}


def _entry(interval: Interval) -> dict[str, float | None]:
    return {k: v if math.isfinite(v) else None for k, v in interval._asdict().items()}


def lines_of(results: dict[str, Any]) -> list[str]:
    """The results as a table for people; 95 % intervals."""
    if not results:
        return ["no votes yet"]
    lines = []
    for name, result in results.items():
        counted = [_count(result[what], what) for what in ("votes", "judges", "prompts")]
        lines += [*([""] if lines else []), f"{name}: {', '.join(counted)}; 95 % intervals"]
        lines += _rating_lines(result["ratings"]) if "ratings" in result else _pair_lines(result)
    return lines


def _pair_lines(result: dict[str, Any]) -> list[str]:
    lines = []
    if result["elo"] is None:
        lines.append(
            f"  no Elo scores yet: nobody has a vote against {', '.join(result['unbeaten'])}"
        )
    else:
        ranked = sorted(result["elo"].items(), key=lambda item: -item[1]["value"])
        width = max(len(model) for model, _ in ranked)
        lines += [f"  {model:{width}}  Elo {_shown(elo, '+.0f')}" for model, elo in ranked]
    for row in result["win_rates"]:
        rate = {name: None if x is None else 100 * x for name, x in row["rate"].items()}
        lines.append(
            f"  {row['model']} against {row['against']}: wins {_shown(rate, '.1f')} %, of "
            f"{row['won']} won, {row['tied']} tied, {row['lost']} lost"
        )
    return lines


def _rating_lines(ratings: dict[str, Any]) -> list[str]:
    ranked = sorted(ratings.items(), key=lambda item: -item[1]["value"])
    width = max(len(model) for model, _ in ranked)
    return [
        f"  {model:{width}}  {_shown(rating, '.1f')} of 100: {rating['yes']} yes, "
        f"{rating['somewhat']} somewhat, {rating['no']} no"
        for model, rating in ranked
    ]


def _shown(entry: dict[str, Any], form: str) -> str:
    def text(value: float | None) -> str:
        # + 0 makes 0 of -0.
        return "?" if value is None else f"{round(value, digits) + 0:{form}}"

    digits = int(form[-2])
    return f"{text(entry['value'])} ({text(entry['low'])} … {text(entry['high'])})"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what if number != 1 else what[:-1]}"
