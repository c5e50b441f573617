"""Who judges what next: the least-judged first, in an order of the judge's own."""

from glide_jax.evaluation.judging.comparison import (
    Assignment,
    Comparison,
    JudgedImage,
    Trial,
    assignment_key,
)
from glide_jax.evaluation.judging.votes import Votes

BLOCK = 10
"""A judge answers so many of one question before the next is asked: changing costs attention."""


class Assigner:
    """Gives trials to judges. It holds nothing that is not in the votes, but for speed.

    Args:
        comparison: what is judged.
        votes: so far.
    """

    def __init__(self, comparison: Comparison, votes: Votes):
        self._votes = votes
        self._key = votes.key
        self._trials = {trial.id(self._key): trial for trial in comparison.trials()}
        self._questions = tuple(question.name for question in comparison.questions)

    @property
    def total(self) -> int:
        """The trials of each judge."""
        return len(self._trials)

    def find(self, trial_id: str, judge: str) -> Assignment | None:
        """The assignment of a trial; None: there is no such trial."""
        trial = self._trials.get(trial_id)
        return None if trial is None else Assignment.of(trial, judge, self._key)

    def withdraw(self, image: JudgedImage) -> None:
        """Ask nothing more of an image, such as one that can't be read any more."""
        self._trials = {
            id_: trial
            for id_, trial in self._trials.items()
            if (trial.prompt, trial.number) != (image.prompt, image.number)
            or image.model not in trial.models
        }

    def next(self, judge: str) -> tuple[Assignment | None, int]:
        """What a judge is to answer next, and how many trials they have answered.

        The question changes after every BLOCK answers, and starts with any; of its trials those
        with the fewest votes come first, ordered by a key of judge and trial. Without a vote in
        between, it gives the same one again.

        Returns:
            (the assignment; None: the judge has answered everything, the number of answers).
        """
        trials, counts = self._trials, self._votes.counts(judge)
        own = {trial_id for trial_id, (_, is_own) in counts.items() if is_own}
        own &= trials.keys()
        open_trials = {id_: trial for id_, trial in trials.items() if id_ not in own}
        if not open_trials:
            return None, len(own)
        question = self._question(judge, len(own), open_trials)
        candidates = [id_ for id_, trial in open_trials.items() if trial.question == question]
        fewest = min(counts.get(id_, (0, False))[0] for id_ in candidates)
        least = [id_ for id_ in candidates if counts.get(id_, (0, False))[0] == fewest]
        # The lowest bit decides the sides: it has no say in the order.
        chosen = min(least, key=lambda id_: assignment_key(id_, judge, self._key) >> 1)
        return Assignment.of(open_trials[chosen], judge, self._key), len(own)

    def _question(self, judge: str, answered: int, open_trials: dict[str, Trial]) -> str:
        """The name of the question of this block, or of the next one that has trials left."""
        left = {trial.question for trial in open_trials.values()}
        first = assignment_key("first question", judge, self._key) + answered // BLOCK
        for i in range(len(self._questions)):
            name = self._questions[(first + i) % len(self._questions)]
            if name in left:
                return name
        raise AssertionError("a trial has a question")
