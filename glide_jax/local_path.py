"""Paths on this machine: a workdir, an image or a file of weights can't be the URL of a bucket.

`pathlib` takes `gs://bucket/run` for a folder called `gs:`; a run would train into it. Shards alone
are read from URLs, see `data.remote`.
"""

import os
import re
from pathlib import Path

from glide_jax.errors import UserError

# pathlib joins the slashes: `gs:/bucket`. One letter is a drive.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")
_MOUNTS = {"gs": "gcsfuse", "gcs": "gcsfuse", "s3": "mount-s3", "s3a": "mount-s3"}
"""Scheme → the program that makes a bucket a folder."""


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
    text = os.fspath(path)
    found = _URL.match(text)
    if found is None:
        return ""
    scheme, rest = found[1].lower(), text[found.end() :]
    if scheme == "file":
        return f"{text} is a URL: give it as a path, /{rest}"
    program = _MOUNTS.get(scheme)
    mounted = f"mount the bucket with {program} and give its folder" if program else "copy it here"
    return f"{scheme}://{rest} is not a path on this machine, as this must be: {mounted}"
