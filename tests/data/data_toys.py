"""Small data sets: TFDS builders, and shards as img2dataset writes them."""

import io
import json
import tarfile

import numpy as np
import tensorflow_datasets as tfds

from glide_jax.data import Example, images, prepared


def add_file(tar, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def write_shard(path, examples, first):
    with tarfile.open(path, "w") as tar:
        for i, example in enumerate(examples, first):
            add_file(tar, f"{i:09}.png", images.encode_png(example.image))
            add_file(tar, f"{i:09}.txt", "\n".join(example.captions).encode())
            title = {"title": f"title {i}", "caption": "not this one", "class": example.label}
            add_file(tar, f"{i:09}.json", json.dumps(title).encode())


def toy_examples(count):
    rng = np.random.default_rng(0)
    for i in range(count):
        image = rng.integers(0, 256, (8 + i, 9, 3), dtype=np.uint8)
        captions = tuple(f"image {i}, wording {k}" for k in range(1 + i % 3))
        yield Example(image, captions, {"number": i, "parts": ["a", {"b": [1.5]}]}, i % 2)


class Toy(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=prepared.features(("even", "odd")))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i, example in enumerate(toy_examples(12)):
            yield i, prepared.record(example)


class CaptionedToy(tfds.core.GeneratorBasedBuilder):
    """Features as in COCO's captions: an image, a class, and a list of captions with their ids."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        caption = {"id": tfds.features.Scalar(np.int64), "text": tfds.features.Text()}
        kinds = {
            "image": tfds.features.Image(encoding_format="png"),
            "captions": tfds.features.Sequence(caption),
            "label": tfds.features.ClassLabel(names=["red_square", "blue_ring"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(kinds))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i, example in enumerate(toy_examples(12)):
            captions = [{"id": k, "text": text} for k, text in enumerate(example.captions)]
            image = io.BytesIO(images.encode_png(example.image))  # TFDS encodes with TensorFlow
            yield i, {"image": image, "captions": captions, "label": i % 2}


def prepared_toy(root):
    builder = Toy(data_dir=root)
    prepared.prepare(builder)
    return prepared.open_split(builder, "train")
