"""Captions in words that training never had, and images sampled for them."""

import dataclasses
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from glide_jax.experiments.measures.sampled import Sampled, scores_of_images

if TYPE_CHECKING:
    from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
    from glide_jax.experiments.claim import Scores
    from glide_jax.experiments.lab import Lab

COLOURS = {
    "red": "crimson",
    "orange": "tangerine",
    "yellow": "lemon-coloured",
    "green": "emerald",
    "cyan": "aqua",
    "blue": "navy",
    "purple": "violet",
    "pink": "rose-coloured",
}
SHAPES = {
    "circle": "disc",
    "square": "box",
    "triangle": "pyramid",
    "star": "asterisk",
    "cross": "plus sign",
    "ring": "hoop",
}
SIZES = {"small": "tiny", "little": "tiny", "large": "huge", "big": "huge"}

WORDINGS: Mapping[str, Mapping[str, str]] = {
    "as they are": {},
    "new colours": COLOURS,
    "new shapes": SHAPES,
    "new sizes": SIZES,
}
"""Which words of `shapes`' captions are replaced by synonyms that none of its captions has."""


@dataclasses.dataclass(frozen=True)
class Reworded:
    """Images of the rows' captions with one kind of words replaced.

    Attributes:
        sampled: how images are sampled.
        wording: a name in WORDINGS.
    """

    sampled: Sampled
    wording: str

    @property
    def needs(self) -> tuple[str, ...]:
        """The workdirs of the models."""
        return self.sampled.needs

    def scores(self, lab: "Lab", seed: int) -> "Scores":
        """What `scores_of_images` gives, of what the captions say in their old words."""
        own = lab.prompts(self.sampled.workdir)
        images = self.sampled.images(lab, seed, reworded_prompts(own, self.wording))
        return scores_of_images(images, own)


def reworded_prompts(prompts: "PromptSet", wording: str) -> "PromptSet":
    """Prompts with some of their words replaced; what they assert stays.

    Args:
        prompts: captions of `shapes`.
        wording: a name in WORDINGS.
    """
    words = WORDINGS[wording]
    if not words:
        return prompts
    return dataclasses.replace(
        prompts,
        name=f"{prompts.name}, {wording}",
        fingerprint=f"{prompts.fingerprint} {sorted(words.items())}",
        subjects=tuple(
            subject._replace(prompt=reworded(subject.prompt, words)) for subject in prompts.subjects
        ),
    )


def reworded(caption: str, words: Mapping[str, str]) -> str:
    """The caption with these words replaced, and its articles right."""
    pattern = re.compile(rf"\b({'|'.join(words)})\b")
    replaced = pattern.sub(lambda found: words[found[1]], caption)
    return re.sub(r"\b(a|an) (\w)", _article, replaced)


def _article(found: re.Match[str]) -> str:
    return f"{'an' if found[2] in 'aeiou' else 'a'} {found[2]}"
