"""The shards that a run began with, kept in its workdir with their indexes.

A run that goes on has the images that it began with, in the same order, on a machine that has never
read them too: what is in a shard that can't be read now, or is gone, is known from here, and no
other has to be read from end to end again.

The file is JSON lines, gzipped, about 60 bytes an image:

    {"path": data.path, "fields": …}
    {"url": of a shard, "file": its index's name in the cache folder, "index": the index}
    …
"""

import dataclasses
import gzip
import json
from pathlib import Path

from glide_jax.data.fields import Fields
from glide_jax.data.shard_cache import kept, last_index, note_last, write
from glide_jax.data.shards import Shard
from glide_jax.errors import UserError, one_line
from glide_jax.storage import fetched, storage_path
from glide_jax.writing import atomic_path

_FASTEST = 1


def keep_shards(file: Path, path: str, fields: Fields, shards: tuple[Shard, ...]) -> None:
    """Write what a run began with.

    Args:
        file: of its workdir, local or in a bucket.
        path: data.path.
        fields: the suffixes of the image, the caption and the label.
        shards: in their order.

    Raises:
        DiskError: it can't be written.
    """
    with atomic_path(file) as part, gzip.open(part, "wt", _FASTEST, encoding="utf-8") as lines:
        lines.write(json.dumps(_header(path, fields)) + "\n")
        for shard in shards:
            names = json.dumps({"url": shard.url, "file": shard.index.name})
            index = shard.index.read_text(encoding="utf-8")
            lines.write(f'{names[:-1]}, "index": {index}}}\n')


def kept_shards(file: Path, path: str, fields: Fields) -> tuple[str, ...] | None:
    """The URLs of the shards that a run began with; their indexes are in the cache folder then.

    Args:
        file: of its workdir.
        path: data.path.
        fields: the suffixes of the image, the caption and the label.

    Returns:
        The URLs, in their order; None: there is no such file, or it is of another data.path.

    Raises:
        UserError: the file is damaged or can't be read, or the cache folder can't be written to.
    """
    file = storage_path(file)
    if not file.exists():
        return None
    urls = []
    try:
        with gzip.open(fetched(file), "rt", encoding="utf-8") as lines:
            if json.loads(next(lines)) != _header(path, fields):
                return None
            for line in lines:
                one = json.loads(line)
                urls.append(one["url"])
                index = kept(one["file"])
                if not index.exists():
                    write(index, json.dumps(one["index"]))
                if last_index(one["url"], fields) is None:
                    note_last(one["url"], fields, index)
    except (OSError, EOFError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise UserError(
            f"can't read {file}, which holds what this run knows of its shards: {one_line(error)}; "
            "delete it, and the shards are read again"
        ) from error
    return tuple(urls)


def _header(path: str, fields: Fields) -> dict[str, object]:
    return {"path": path, "fields": dataclasses.asdict(fields)}
