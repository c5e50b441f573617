"""Whether a file holds what its name says, told without running anything that is in it."""

import functools
import gzip
import hashlib
import zipfile
import zlib
from pathlib import Path

_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How torch.save began before 1.6, when it was no zip. By their sizes, ADM's U-Nets are so."""

_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)
"""What reading a damaged, an encrypted or an exotic archive raises."""


def flaw(path: Path, name: str, size: int | None, digest: str) -> str:
    """Say in a few words what is wrong with a file; "": nothing.

    Args:
        path: where it lies.
        name: what it is to be called. A .pt is a PyTorch checkpoint, a .gz a gzip file; of others
            only size and digest are looked at.
        size: its size in bytes; None: not known.
        digest: "sha256:…" or "md5:…", hexadecimal; "": not known. Without one, the checksums inside
            the file have to do.

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
    if name.endswith(".pt") and head != _OLD_TORCH and (found := _torch_flaw(path, not digest)):
        return found
    if name.endswith(".gz") and (found := _gzip_flaw(path)):
        return found
    return _digest_flaw(path, digest) if digest else ""


def _digest_flaw(path: Path, digest: str) -> str:
    algorithm, _, expected = digest.partition(":")
    with path.open("rb") as file:
        # MD5 tells here whether all has arrived; it guards against nobody.
        new = functools.partial(hashlib.new, algorithm, usedforsecurity=algorithm != "md5")
        found = hashlib.file_digest(file, new).hexdigest()
    return "" if found == expected else f"its {algorithm} is {found}, not {expected}"


def _torch_flaw(path: Path, with_content: bool) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            if not any(name.endswith("/data.pkl") for name in archive.namelist()):
                return "it is a zip archive, but no PyTorch checkpoint"
            damaged = archive.testzip() if with_content else None
    except _ZIP_ERRORS:
        return "it is cut off, or no PyTorch checkpoint"
    return f"{damaged} in it is damaged" if damaged else ""


def _gzip_flaw(path: Path) -> str:
    try:
        with gzip.open(path) as file:
            while file.read(1 << 20):
                pass
    except (gzip.BadGzipFile, zlib.error, EOFError):
        return "it is cut off, or no gzip file"
    return ""
