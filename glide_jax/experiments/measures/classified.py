"""Images of classes, sampled by a model that knows none and a classifier that guides it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from glide_jax.experiments.measures.sampled import pixels_of

if TYPE_CHECKING:
    from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
    from glide_jax.experiments.claim import Scores
    from glide_jax.experiments.lab import Lab

_NEIGHBOURS = 3
"""ADM's k of precision and recall."""


@dataclasses.dataclass(frozen=True)
class Classified:
    """Images of the classes of the rows' images; the null caption asks the model for anything.

    Attributes:
        workdir: the name of a base model's.
        settings: that differ from its config's.
        features: the name of the workdir of a CLIP, among whose features neighbours are found.
        classifier: the name of the guide's workdir; "": none guides.
        classifier_scale: of its gradient.
    """

    workdir: str
    settings: Mapping[str, Any]
    features: str
    classifier: str = ""
    classifier_scale: float = 0.0

    @property
    def needs(self) -> tuple[str, ...]:
        """The workdirs of the model, of the features and of the guide."""
        own = self.workdir, self.features
        return (*own, self.classifier) if self.classifier else own

    def scores(self, lab: "Lab", seed: int) -> "Scores":
        """What is shown, and whether it is as diverse as the rows' images.

        Returns:
            `class_shown`: 1 where an object that the scorer reads has the class's colour and shape;
            `precision`: 1 where an image is among the neighbours of a true one, and `recall`: 1
            where a true one is among those of an image (Kynkäänniemi et al. 2019), with k = 3.
        """
        from glide_jax.evaluation.maths.neighbours import precision_recall
        from glide_jax.experiments.lab import CLASSIFIER_SCALE, LedBy

        led_by = None
        if self.classifier:
            led_by = LedBy(CLASSIFIER_SCALE, self.classifier, self.classifier_scale)
        labels = lab.labels(self.workdir)
        # A model that knows no classes is asked for them by a classifier alone.
        wanted = labels if led_by else [None] * len(labels)
        asked = _classes(lab.prompts(self.workdir), wanted)
        images = lab.generate(self.workdir, self.settings, seed, asked, num_stages=1, led_by=led_by)
        pixels = pixels_of(images)
        features = lab.clip(self.features).image_features
        true = lab.pixels(self.workdir, images.height)
        found = precision_recall(features(true), features(pixels), _NEIGHBOURS)
        return {
            "class_shown": class_shown(pixels, labels),
            "precision": found.fake_is_inside.astype(np.float64),
            "recall": found.real_is_inside.astype(np.float64),
        }


def class_shown(pixels: np.ndarray, labels: Sequence[int]) -> np.ndarray:
    """Whether an image has an object of a class of `shapes`.

    Args:
        pixels: uint8[n h w 3].
        labels: n indices of `scene.CLASSES`.

    Returns:
        f64[n] of 0 and 1.
    """
    from glide_jax.data.shapes.reading import read_image
    from glide_jax.data.shapes.scene import CLASSES

    shown = []
    for image, label in zip(pixels, labels, strict=True):
        seen = [f"{one.colour} {one.shape}" for one in read_image(image).objects]
        shown.append(CLASSES[label] in seen)
    return np.array(shown, np.float64)


def _classes(prompts: "PromptSet", labels: Sequence[int | None]) -> "PromptSet":
    from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
    from glide_jax.sampling.request import Subject

    subjects = tuple(Subject(label=label) for label in labels)
    return PromptSet(f"{prompts.name} classes", f"{prompts.fingerprint} classes", subjects)
