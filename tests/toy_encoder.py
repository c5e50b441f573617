"""A frozen text encoder that costs nothing."""

import hashlib

import numpy as np

from glide_jax.text.encoder import TextEmbedding

WIDTH = 8


class ToyEncoder:
    """Each word's embedding is a function of the word, its place and a seed; an end follows."""

    width = WIDTH

    def __init__(self, name="toy", seed=0):
        self.name, self.fingerprint, self.seed = name, f"{seed:08x}", seed
        self.encoded, self.released = [], 0

    def encode(self, captions, length):
        self.encoded += captions
        rows = [[*caption.split()[: length - 1], "</s>"] for caption in captions]
        embedding = np.stack([self._row(row + [""] * (length - len(row))) for row in rows])
        lengths = np.array([len(row) for row in rows])
        cut = np.array([len(caption.split()) > length - 1 for caption in captions])
        return TextEmbedding(embedding, np.arange(length)[None] < lengths[:, None], cut)

    def release(self):
        self.released += 1

    def _row(self, words):
        seeds = [
            f"{self.seed} {i} {word}".encode("utf-8", "surrogatepass")
            for i, word in enumerate(words)
        ]
        digests = [hashlib.sha256(seed).digest()[:WIDTH] for seed in seeds]
        return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, WIDTH).astype(np.float32) / 64
