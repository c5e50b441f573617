"""Shards as img2dataset writes them."""

import io
import json
import tarfile

from glide_jax.data import images


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
