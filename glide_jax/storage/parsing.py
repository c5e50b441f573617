"""From what somebody gave to a path."""

import os
from pathlib import Path

from glide_jax.errors import UserError
from glide_jax.local_path import local_path, url_of
from glide_jax.storage.bucket import SCHEMES
from glide_jax.storage.path import BucketPath


def storage_path(path: str | os.PathLike[str]) -> Path:
    """A path on this machine or in a bucket. Nothing is asked of the bucket yet.

    Args:
        path: as somebody gave it: `runs/1`, `gs://BUCKET/runs/1`, `s3://BUCKET/runs/1`; or a path.

    Raises:
        UserError: it is another URL, or names a bucket alone.
    """
    if isinstance(path, BucketPath):
        return path
    found = url_of(path)
    if found is None:
        return Path(path)
    scheme, rest = found
    if scheme == "gcs":
        raise UserError(f"gcs://{rest} must begin with gs://: gs://{rest}")
    if scheme not in SCHEMES:
        return local_path(path)
    parts = [part for part in rest.split("/") if part not in ("", ".")]
    if len(parts) < 2 or ".." in parts:
        raise UserError(
            f"{scheme}://{rest} names no place in a bucket: give one, such as "
            f"{scheme}://{parts[0] if parts else 'BUCKET'}/runs/1"
        )
    return BucketPath(f"{scheme}://{'/'.join(parts)}")
