"""One set of images, or one model, by the metrics that were asked for.

images, prompts, reference, net, CLIP ─ Instruments.of_images ─→ {metric: Result}
model, split ─────────────────────────── Instruments.of_model ─→ {metric: Result}
"""

import dataclasses
from pathlib import Path

from glide_jax.evaluation.feature_sets import Features, FeatureSets
from glide_jax.evaluation.images.image_set import ImageSet
from glide_jax.evaluation.metric import Evaluation, ModelSplit, Result
from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
from glide_jax.evaluation.registry import METRICS, MODEL, find_metric
from glide_jax.sampling.guides import ClipGuide
from glide_jax.sampling.run import OnProgress


@dataclasses.dataclass(frozen=True)
class Instruments:
    """What all sets of images are measured with.

    Attributes:
        metrics: names in METRICS.
        seed: of all random choices.
        features: of the reference, and the net that they are of; None: no metric needs them.
        clip: scores how well an image fits its caption; None: no metric needs it.
    """

    metrics: tuple[str, ...]
    seed: int
    features: Features | None = None
    clip: ClipGuide | None = None

    @property
    def image_metrics(self) -> tuple[str, ...]:
        """Those that are of images."""
        return tuple(name for name in self.metrics if MODEL not in METRICS[name].needs)

    @property
    def model_metrics(self) -> tuple[str, ...]:
        """Those that are of a model, and need no images."""
        return tuple(name for name in self.metrics if MODEL in METRICS[name].needs)

    def of_images(
        self, images: ImageSet, prompts: PromptSet | None, keep: Path | None
    ) -> dict[str, Result]:
        """The metrics of a set of images.

        Args:
            images: n of them.
            prompts: what each is to show, n of them; None: nobody knows.
            keep: a folder for their features; None: they stay in memory.

        Raises:
            UserError: a metric can't be computed of these images.
        """
        features = self.features and FeatureSets(self.features, images, keep)
        if self.features is not None:
            self.features.check(images.height, images.width)
        evaluation = Evaluation(
            seed=self.seed, images=images, prompts=prompts, features=features, clip=self.clip
        )
        return {name: find_metric(name)(evaluation) for name in self.image_metrics}

    def of_model(self, model: ModelSplit, on_progress: OnProgress | None) -> dict[str, Result]:
        """The metrics of a model on a split.

        Args:
            model: and its split.
            on_progress: see `Pipeline`.

        Raises:
            UserError: a metric can't be computed of this model.
        """
        evaluation = Evaluation(seed=self.seed, on_progress=on_progress, model=model)
        return {name: find_metric(name)(evaluation) for name in self.model_metrics}
