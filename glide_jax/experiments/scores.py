"""The scores that experiments show, by name."""

from typing import NamedTuple


class Score(NamedTuple):
    """How a score is shown.

    Attributes:
        title: for people.
        percent: whether it is a share, and shown in percent.
        is_binary: whether each row's is 0 or 1, so that its interval is Wilson's.
    """

    title: str
    percent: bool
    is_binary: bool

    def shown(self, value: float) -> str:
        """`94.5 %`, or a number in four digits; what is 0 but for rounding is 0."""
        return f"{100 * value:.1f} %" if self.percent else f"{round(value, 9) + 0.0:.4g}"


SCORES = {
    "prompt_truth": Score("prompt truth", True, True),
    "respects": Score("asserted respects that are right", True, False),
    "saturated": Score("values at −1 or 1", True, False),
    "error": Score("distance to the solution", False, False),
    "border": Score("error at the border", False, False),
    "kept": Score("surroundings kept", True, True),
    "bits_per_dim": Score("bits/dim", False, False),
    "gradient_noise": Score("noise of the gradient", False, False),
    "class_shown": Score("class is shown", True, True),
    "precision": Score("precision", True, True),
    "recall": Score("recall", True, True),
    "distance": Score("distance to the true image", False, False),
    "found": Score("own caption found", True, True),
    "elo": Score("Elo, the scorer as judge", False, False),
}
"""Name → how it is shown."""
