"""Where a workdir is: a folder, or a place in a bucket, `gs://BUCKET/PATH` or `s3://BUCKET/PATH`.

The one package that knows what a bucket is. All others use paths: `storage_path` makes one of what
somebody gave, and a `BucketPath` is a `Path`. Files are objects, which appear when they are
complete; what is several objects, as a checkpoint is, has a marker that is written last. What can
only be local goes through `local_copy`, a `Scratch` or a `Spool`, or is refused by
`glide_jax.local_path`.
"""

from glide_jax.storage.bucket import BucketError
from glide_jax.storage.parsing import storage_path
from glide_jax.storage.path import BucketPath
from glide_jax.storage.scratch import Scratch
from glide_jax.storage.spool import Spool
from glide_jax.storage.transfer import (
    check_writable,
    download,
    fetched,
    is_in_bucket,
    local_copy,
    move_files,
    put_file,
    remove_tree,
    upload,
)

__all__ = [
    "BucketError",
    "BucketPath",
    "Scratch",
    "Spool",
    "check_writable",
    "download",
    "fetched",
    "is_in_bucket",
    "local_copy",
    "move_files",
    "put_file",
    "remove_tree",
    "storage_path",
    "upload",
]
