"""What is compared, and who judges what: each trial once a judge, the least-judged first."""

import itertools
from collections import Counter

import pytest
from evaluation.judging import judging_toys
from refusals import refused

from glide_jax.evaluation.judging.assigning import BLOCK, Assigner
from glide_jax.evaluation.judging.comparison import Assignment, compare
from glide_jax.evaluation.judging.questions import QUESTIONS, find_questions
from glide_jax.evaluation.judging.votes import Votes

ALL = tuple(QUESTIONS)


@pytest.fixture
def votes(tmp_path):
    with Votes(tmp_path / "votes.sqlite") as file:
        file._database.execute("PRAGMA synchronous = OFF")  # nothing here needs a disk
        yield file


def answer_all(assigner, votes, judge, limit=10**6):
    """The trials that a judge gets, in order."""
    given = []
    while len(given) < limit:
        assignment, answered = assigner.next(judge)
        if assignment is None:
            break
        assert answered == len(given)
        assert assigner.next(judge)[0] == assignment  # a reload changes nothing
        answers = list(QUESTIONS[assignment.trial.question].answers)
        assert votes.cast(judge, assignment, answers[len(given) % 3])
        given.append(assignment)
    return given


def test_every_pair_and_every_image_is_asked_once():
    made = judging_toys.comparison(("a", "b", "c"), questions=ALL, numbers=2)
    trials = made.trials()
    assert len(set(trials)) == len(trials) == 3 * 2 * (3 + 3 + 3)
    by_question = Counter((trial.question, trial.models) for trial in trials)
    pairs = list(itertools.combinations("abc", 2))
    assert by_question == {
        **{(q, pair): 6 for q in ("photorealism", "caption_similarity") for pair in pairs},
        **{("alignment", (model,)): 6 for model in "abc"},
    }
    keys = b"1" * 32, b"2" * 32
    assert len({trial.id(key) for trial in trials for key in keys}) == 2 * len(trials)


def test_a_judge_answers_each_trial_once(votes):
    assigner = Assigner(judging_toys.comparison(("a", "b", "c"), questions=ALL), votes)
    given = answer_all(assigner, votes, "ada")
    assert Counter(a.trial for a in given) == Counter(assigner._trials.values())
    assert assigner.next("ada") == (None, assigner.total)
    assert len(votes.all()) == assigner.total


def test_the_least_judged_come_first(votes):
    assigner = Assigner(judging_toys.comparison(("a", "b", "c"), questions=["alignment"]), votes)
    first = {a.trial for a in answer_all(assigner, votes, "ada", 4)}
    later = [a.trial for a in answer_all(assigner, votes, "ben")]
    assert set(later[5:]) == first
    assert len(later) == 9
    counts = Counter()
    for judge in ("cy", "di", "ed"):
        counts.update(a.trial for a in answer_all(assigner, votes, judge, 6))
    total = Counter(a for a in [*first, *later]) + counts
    assert max(total.values()) - min(total.values()) <= 1


def test_questions_change_in_blocks_and_start_with_any(votes):
    prompts = [f"prompt {i}" for i in range(3 * BLOCK)]
    assigner = Assigner(judging_toys.comparison(("a", "b"), prompts), votes)
    given = [a.trial.question for a in answer_all(assigner, votes, "ada")]
    blocks = [set(given[i : i + BLOCK]) for i in range(0, len(given), BLOCK)]
    assert all(len(block) == 1 for block in blocks)
    assert all(one != other for one, other in itertools.pairwise(blocks))
    starts = {assigner.next(f"judge {i}")[0].trial.question for i in range(30)}
    assert starts == {"photorealism", "caption_similarity"}


def test_sides_and_orders_are_random_and_follow_from_the_stored_key(votes):
    made = judging_toys.comparison(("a", "b"), [f"prompt {i}" for i in range(100)])
    assigner = Assigner(made, votes)
    given = answer_all(assigner, votes, "ada", 60)
    other = answer_all(assigner, votes, "ben", 60)
    swapped = [a.shown == ("b", "a") for a in [*given, *other]]
    assert 40 <= sum(swapped) <= 80
    assert [a.trial.prompt for a in given] != sorted(a.trial.prompt for a in given)
    assert [a.trial for a in given] != [a.trial for a in other]
    for stored in votes.all():
        assert (stored.shown == ("b", "a")) == bool(stored.key & 1)
    # The order says nothing of the sides.
    first_half = sum(swapped[:30]) + sum(swapped[60:90])
    assert 15 <= first_half <= 45


def test_an_assignment_is_a_function_of_trial_judge_and_key():
    trial = judging_toys.comparison().trials()[0]
    one = Assignment.of(trial, "ada", b"k" * 32)
    assert one == Assignment.of(trial, "ada", b"k" * 32)
    assert len({Assignment.of(trial, f"{i}", b"k" * 32).key for i in range(50)}) == 50
    assert 0 <= one.key < 2**63


def test_a_withdrawn_image_is_asked_no_more(votes):
    made = judging_toys.comparison(("a", "b", "c"), questions=ALL)
    assigner = Assigner(made, votes)
    gone = made.images["a", judging_toys.PROMPTS[0], 0]
    assigner.withdraw(gone)
    given = answer_all(assigner, votes, "ada")
    assert len(given) == len(made.trials()) - (2 + 2 + 1)
    assert not any(a.trial.prompt == gone.prompt and "a" in a.trial.models for a in given)


def questions(*names):
    return find_questions(names)


def test_images_without_partners_are_refused_or_left_away():
    made = judging_toys.images(("a", "b"), ("p", "q"))[:-1]
    refused(
        lambda: compare(made, questions("photorealism"), skip_unpaired=False),
        *("1 images lack a partner", "b of 'q'", "--skip-unpaired"),
    )
    found = compare(made, questions("photorealism"), skip_unpaired=True)
    assert {prompt for _, prompt, _ in found.images} == {"p"}
    apart = [*judging_toys.images("a", ("p",)), *judging_toys.images("b", ("q",))]
    refused(lambda: compare(apart, questions("alignment"), skip_unpaired=True), "no prompt")


def test_one_model_can_be_rated_but_not_compared():
    made = judging_toys.images(("a",))
    assert len(compare(made, questions("alignment"), skip_unpaired=False).trials()) == 3
    refused(
        lambda: compare(made, questions("alignment", "photorealism"), skip_unpaired=False),
        *("only 'a'", "--questions alignment"),
    )


def test_a_wrong_question_is_refused():
    refused(lambda: questions("photorealsm"), "did you mean 'photorealism'")
    refused(lambda: questions(), "give a question")
