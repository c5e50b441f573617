"""The TFDS builder that renders the shapes data set, once: `shapes/32` to `shapes/256`."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from glide_jax.data import prepared
from glide_jax.data.shapes.captions import describe
from glide_jax.data.shapes.render import render
from glide_jax.data.shapes.scene import CLASSES, SPLITS, generator, label_of, sample_scene
from glide_jax.data.source import Example

SIZES = (32, 64, 128, 256)


@dataclasses.dataclass(kw_only=True)
class ShapesConfig(tfds.core.BuilderConfig):
    """One data set on disk.

    Attributes:
        size: the images' side in pixels.
    """

    size: int


class Shapes(tfds.core.GeneratorBasedBuilder):
    """One or two coloured shapes on a background, captioned; record i of a split is scene i."""

    VERSION = tfds.core.Version("2.1.0")
    BUILDER_CONFIGS = [  # noqa: RUF012
        ShapesConfig(name=str(size), size=size, description=f"{size}×{size} pixels")
        for size in SIZES
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="One or two coloured shapes, captioned. `compositional` has pairs of "
            "colour and shape, and relations of shapes, that `train` and `test` never have.",
            features=prepared.features(CLASSES),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, Any]]]:
        del dl_manager  # nothing is downloaded
        return {split: self._generate_examples(split) for split in SPLITS}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, Any]]:
        assert isinstance(self.builder_config, ShapesConfig)
        for index in range(SPLITS[split]):
            yield index, prepared.record(example(split, index, self.builder_config.size))


def example(split: str, index: int, size: int) -> Example:
    """Render and caption one scene.

    Args:
        split: one of `scene.SPLITS`.
        index: 0 ≤ index < SPLITS[split].
        size: the image's side in pixels.
    """
    scene = sample_scene(split, index)
    # What is new in a compositional scene may be its relation: the caption must mention it.
    caption = describe(scene, generator(split, index, 1), always_relate=split == "compositional")
    return Example(render(scene, size), (caption.text,), caption.facts, label_of(scene))
