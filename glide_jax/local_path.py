"""Paths that must be on this machine: databases, caches, files of weights to import.

`pathlib` takes `gs://bucket/run` for a folder called `gs:`, and would write into it. What may be in
a bucket as well is a `glide_jax.storage.storage_path`; shards are read from any URL, see
`data.remote`.
"""

import os
import re
from pathlib import Path

from glide_jax.errors import UserError

# pathlib joins the slashes: `gs:/bucket`. One letter is a drive.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")
_COPY = {
    "gs": "gcloud storage cp",
    "gcs": "gcloud storage cp",
    "s3": "aws s3 cp",
    "s3a": "aws s3 cp",
}
"""Scheme → what copies to and from such a bucket. Not a mount: S3's allows neither the appended
metrics nor the renamed checkpoints of a workdir, and Google's renames a folder file by file."""


def local_path(path: str | os.PathLike[str]) -> Path:
    """The path, if it is one.

    Args:
        path: as somebody gave it; what only looks like a URL is taken behind `./` or `/`.

    Raises:
        UserError: it is a URL.
    """
    if why := not_local(path):
        raise UserError(why)
    return Path(path)


def not_local(path: str | os.PathLike[str]) -> str:
    """What is wrong with a path that is a URL, and what to do; "": it is local.

    Args:
        path: as somebody gave it, or a Path of that.
    """
    found = url_of(path)
    if found is None:
        return ""
    scheme, rest = found
    if scheme == "file":
        return f"{path} is a URL: give it as a path, /{rest}"
    how = f"copy with {_COPY[scheme]}" if scheme in _COPY else "copy it here"
    return (
        f"{scheme}://{rest} is not a path on this machine, as this must be: use a disk or a "
        f"network share, and {how}"
    )


def url_of(path: str | os.PathLike[str]) -> tuple[str, str] | None:
    """(scheme in lower case, what follows `://`) of a URL; None: it is a path.

    Args:
        path: as somebody gave it, or a Path of that.
    """
    # Not os.fspath: of a path in a bucket there is none.
    text = str(path)
    found = _URL.match(text)
    return (found[1].lower(), text[found.end() :]) if found else None
