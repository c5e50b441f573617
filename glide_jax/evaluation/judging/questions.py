"""What judges are asked: GLIDE's two questions of a pair of images, and Imagen's of one image."""

import dataclasses
from collections.abc import Iterable, Mapping

from glide_jax.errors import UserError, unknown_name

LEFT, RIGHT, NEITHER = "left", "right", "neither"


@dataclasses.dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        name: as on the command line.
        text: as on the page.
        shows_caption: whether the judge reads the caption beside the images.
        num_images: 2, images of two models; or 1.
        answers: each answer → what is on its button.
        scores: each answer → the score in [0, 1] of the left image, or of the only one. A tie is
            half a win, as in GLIDE (arXiv 2112.10741, appendix A).
    """

    name: str
    text: str
    shows_caption: bool
    num_images: int
    answers: Mapping[str, str]
    scores: Mapping[str, float]


_PAIR = {LEFT: "Left", NEITHER: "Neither", RIGHT: "Right"}
_PAIR_SCORES = {LEFT: 1.0, NEITHER: 0.5, RIGHT: 0.0}

QUESTIONS = {
    question.name: question
    for question in (
        # Without the caption: how well it fits must not count as realism.
        Question(
            "photorealism",
            "Which image is more photorealistic?",
            shows_caption=False,
            num_images=2,
            answers=_PAIR,
            scores=_PAIR_SCORES,
        ),
        Question(
            "caption_similarity",
            "Which image fits the caption better?",
            shows_caption=True,
            num_images=2,
            answers=_PAIR,
            scores=_PAIR_SCORES,
        ),
        # Imagen (arXiv 2205.11487), section 4: 100, 50 or 0.
        Question(
            "alignment",
            "Does the caption accurately describe the image?",
            shows_caption=True,
            num_images=1,
            answers={"yes": "Yes", "somewhat": "Somewhat", "no": "No"},
            scores={"yes": 1.0, "somewhat": 0.5, "no": 0.0},
        ),
    )
}
"""Name → question."""

GLIDE_QUESTIONS = ("photorealism", "caption_similarity")
"""What is asked where nothing else is chosen."""


def find_questions(names: Iterable[str]) -> tuple[Question, ...]:
    """The questions of these names, once each.

    Raises:
        UserError: there are none, or one doesn't exist.
    """
    names = tuple(dict.fromkeys(names))
    for name in names:
        if name not in QUESTIONS:
            raise unknown_name("question", name, QUESTIONS)
    if not names:
        raise UserError(f"give a question: {', '.join(QUESTIONS)}")
    return tuple(QUESTIONS[name] for name in names)
