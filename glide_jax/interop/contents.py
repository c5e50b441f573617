"""Whether a file holds what its name says; nothing in the file is executed."""

import functools
import gzip
import hashlib
import zipfile
import zlib
from pathlib import Path

_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The start of a file of torch.save before 1.6, which was no zip file.

By their sizes, ADM's U-Nets are such files."""

_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)
"""What reading a damaged, an encrypted or an unusual archive raises."""


def integrity_error(path: Path, name: str, size: int | None, digest: str) -> str:
    """What is wrong with a file, in a few words; "": nothing.

    Args:
        path: of the file as it is now.
        name: its final name. A .pt must be a PyTorch checkpoint, a .gz a gzip file; of others only
            size and digest are checked.
        size: expected, in bytes; None: unknown.
        digest: expected, "sha256:…" or "md5:…", hexadecimal; "": unknown, and the checksums inside
            the file are checked instead.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        head = file.read(len(_OLD_TORCH))
    if head.lstrip().startswith(b"<"):
        return "it is a web page"
    actual = path.stat().st_size
    if size is not None and actual != size:
        return f"it has {actual:,} bytes, not {size:,}"
    if name.endswith(".pt") and head != _OLD_TORCH and (error := _torch_error(path, not digest)):
        return error
    if name.endswith(".gz") and (error := _gzip_error(path)):
        return error
    return _digest_error(path, digest) if digest else ""


def _digest_error(path: Path, digest: str) -> str:
    algorithm, _, expected = digest.partition(":")
    with path.open("rb") as file:
        # MD5 only checks here that the transfer was complete; it is no protection.
        new = functools.partial(hashlib.new, algorithm, usedforsecurity=algorithm != "md5")
        found = hashlib.file_digest(file, new).hexdigest()
    return "" if found == expected else f"its {algorithm} is {found}, not {expected}"


def _torch_error(path: Path, check_content: bool) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            if not any(name.endswith("/data.pkl") for name in archive.namelist()):
                return "it is a zip archive, but not a PyTorch checkpoint"
            damaged = archive.testzip() if check_content else None
    except _ZIP_ERRORS:
        return "it is cut off, or not a PyTorch checkpoint"
    return f"{damaged} in it is damaged" if damaged else ""


def _gzip_error(path: Path) -> str:
    try:
        with gzip.open(path) as file:
            while file.read(1 << 20):
                pass
    except (gzip.BadGzipFile, zlib.error, EOFError):
        return "it is cut off, or not a gzip file"
    return ""
