"""A place in a bucket, as a Path."""

import fnmatch
import io
import posixpath
from collections.abc import Callable, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, Self, TypeVar

from glide_jax.errors import UserError
from glide_jax.storage.bucket import SCHEMES, asked_again, bucket_errors, open_bucket

_T = TypeVar("_T")


class BucketPath(type(Path())):
    """`gs://BUCKET/PATH` or `s3://BUCKET/PATH`: joined, read, listed and written as a Path is.

    Nothing but whole objects is written: `write_bytes` and `write_text` here, and
    `writing.atomic_path`. A folder is there while an object is in it, so that `mkdir` does nothing.
    Whatever would hand the path to the system, such as `open(path)`, raises UserError.

    Every method that asks the bucket raises UserError where it can't be opened, and OSError as
    `bucket.bucket_errors` where it fails later; `exists` and its like never take a failure for
    an absence.
    """

    def __str__(self) -> str:
        text = super().__str__()
        scheme, colon, rest = text.partition(":/")
        # Relative to another, it is no URL.
        return f"{scheme}://{rest}" if colon and scheme in SCHEMES else text

    def __fspath__(self) -> str:
        raise UserError(f"{self} is in a bucket, and this must be a path on this machine")

    @property
    def scheme(self) -> str:
        """`gs` or `s3`."""
        return self.parts[0].rstrip(":")

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.parts[1]

    @property
    def plain(self) -> str:
        """`BUCKET/PATH`, as the file system has it."""
        return "/".join(self.parts[1:])

    @property
    def system(self) -> Any:
        """The bucket's file system; UserError: it can't be opened."""
        return open_bucket(self.scheme, self.bucket)

    def ask(self, action: Callable[[Any], _T]) -> _T:
        """action(file system), again where the bucket fails. Raises as `asked_again`."""
        system = self.system
        return asked_again(lambda: action(system), str(self))

    # What only the name decides.

    def absolute(self) -> Self:
        """Itself."""
        return self

    def resolve(self, strict: bool = False) -> Self:
        """Itself."""
        return self

    def expanduser(self) -> Self:
        """Itself."""
        return self

    # Reading.

    def info(self) -> dict[str, Any] | None:
        """What the file system says of an object or a folder; None: it is not there."""
        try:
            return self.ask(lambda system: system.info(self.plain))
        except FileNotFoundError:
            return None

    def exists(self, **_: Any) -> bool:
        """Whether an object or a folder is there."""
        return self.info() is not None

    def is_file(self, **_: Any) -> bool:
        """Whether an object is there."""
        found = self.info()
        return found is not None and found["type"] == "file"

    def is_dir(self, **_: Any) -> bool:
        """Whether objects are in it."""
        found = self.info()
        return found is not None and found["type"] == "directory"

    def stat(self, **_: Any) -> Any:
        """`st_size` in bytes, and `st_mtime_ns`; FileNotFoundError: there is no such object."""
        found = self.ask(lambda system: system.info(self.plain))
        modified: Any = found.get("LastModified") or found.get("mtime") or 0
        seconds = modified.timestamp() if hasattr(modified, "timestamp") else float(modified)
        return SimpleNamespace(
            st_size=found.get("size") or 0, st_mtime=seconds, st_mtime_ns=int(seconds * 1e9)
        )

    def iterdir(self) -> Generator[Self, None, None]:
        """What is in the folder; FileNotFoundError: nothing is."""
        names = self.ask(lambda system: system.ls(self.plain, detail=False))
        for name in sorted({name.rstrip("/") for name in names}):
            if posixpath.dirname(name) == self.plain:
                yield self / posixpath.basename(name)

    def glob(self, pattern: str, **_: Any) -> Generator[Self, None, None]:
        """As Path's; a folder at a time, without `**`."""
        first, rest = [*str(pattern).split("/", 1), ""][:2]
        if not any(c in first for c in "*?["):
            found = [self / first] if rest or (self / first).exists() else []
        else:
            try:
                found = [p for p in self.iterdir() if fnmatch.fnmatchcase(p.name, first)]
            except FileNotFoundError:
                found = []
        for path in found:
            yield from path.glob(rest) if rest else [path]

    def rglob(self, pattern: str, **_: Any) -> Generator[Self, None, None]:
        """As Path's, of objects alone."""
        names = self.ask(lambda system: system.find(self.plain))
        for name in sorted(names):
            if name != self.plain and fnmatch.fnmatchcase(posixpath.basename(name), pattern):
                yield self / posixpath.relpath(name, self.plain)

    def read_bytes(self) -> bytes:
        """The object's bytes; FileNotFoundError: there is none."""
        return self.ask(lambda system: system.cat_file(self.plain))

    def read_text(self, encoding: str | None = None, errors: str | None = None, **_: Any) -> str:
        """The object's text; of UTF-8 unless said otherwise."""
        text = self.read_bytes().decode(encoding or "utf-8", errors or "strict")
        return text.replace("\r\n", "\n")

    def open(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, mode: str = "r", *_: Any, **options: Any
    ) -> IO[Any]:
        """A file to read; ValueError: it would be written, see `writing.atomic_path`."""
        if mode in ("r", "rt"):
            return io.StringIO(self.read_text(options.get("encoding")))
        if mode != "rb":
            raise ValueError(f"{self} is written whole, not opened with {mode!r}")
        with bucket_errors(str(self)):
            return self.system.open(self.plain, "rb")

    # Writing.

    def write_bytes(self, data: Any) -> int:
        """Make it the whole object, in one request."""
        content = bytes(data)
        self.written(lambda system: system.pipe_file(self.plain, content))
        return len(content)

    def write_text(self, data: str, encoding: str | None = None, *_: Any, **__: Any) -> int:
        """As `write_bytes`, of UTF-8 unless said otherwise."""
        return self.write_bytes(data.encode(encoding or "utf-8"))

    def written(self, action: Callable[[Any], object]) -> None:
        """Do what writes; a bucket that is not there any more is no missing file."""
        try:
            self.ask(action)
        except FileNotFoundError as error:
            where = f"{self.scheme}://{self.bucket}"
            raise PermissionError(error.errno, f"there is no bucket {where} any more") from error

    def mkdir(self, *_: Any, **__: Any) -> None:
        """Nothing: a bucket has no folders to make."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object. Of one that is not there S3 says nothing."""
        try:
            self.ask(lambda system: system.rm_file(self.plain))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def replace(self, target: Any) -> Any:
        """A bucket can't rename: raises NotImplementedError."""
        raise NotImplementedError(f"{self} can't be renamed to {target}")

    rename = replace
