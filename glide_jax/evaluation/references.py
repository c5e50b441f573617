"""Reference statistics of other people, and our own: what a set of images is compared with.

    ADM's       VIRTUAL_imagenet64_labeled.npz: arr_0 [n h w 3], mu, sigma, mu_s, sigma_s
    pytorch-fid's   mu, sigma
    ours        mu, sigma, mu_s, sigma_s, features of the pool, and what they are of

The names are those of ADM's evaluator, so that its code and pytorch-fid's read ours.
"""

import contextlib
import dataclasses
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from glide_jax.errors import UserError
from glide_jax.evaluation.features.collecting import Collected
from glide_jax.evaluation.features.net import FeatureNet
from glide_jax.writing import atomic_path

ABOUT = "glide_jax"
"""The array in our files that says what they are of, in JSON."""

STATISTICS = {"pool": ("mu", "sigma"), "spatial": ("mu_s", "sigma_s")}
"""Output of a net → the arrays of its mean and covariance."""

FEATURES = "features_{}"
"""The array of all features of an output."""

IMAGES = "arr_0"

_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, MemoryError, NotImplementedError),
    *(KeyError, TypeError, ValueError, RuntimeError, SyntaxError),
)


@dataclasses.dataclass(frozen=True)
class About:
    """What statistics are of; None: the file doesn't say.

    Attributes:
        net: name of the feature net.
        resize: its name in RESIZES.
        fingerprint: of the net's weights.
        resolution: (h, w) of the images.
        count: images.
    """

    net: str | None
    resize: str | None
    fingerprint: str | None
    resolution: tuple[int, int] | None
    count: int | None


@dataclasses.dataclass(frozen=True)
class Reference:
    """A file of reference statistics.

    Attributes:
        path: of the file.
        about: what it is of.
        statistics: output → (mean f64[d], covariance f64[d d]); {}: there are images alone.
        images: where the file has them, else None.
        feature_names: outputs whose features the file has, see `features`.
    """

    path: Path
    about: About
    statistics: Mapping[str, tuple[np.ndarray, np.ndarray]]
    images: "NpzImages | None"
    feature_names: tuple[str, ...]

    def features(self, output: str) -> np.ndarray:
        """f32[n d], of an output in `feature_names`."""
        with np.load(self.path, allow_pickle=False) as file:
            return file[FEATURES.format(output)]

    def check(self, net: FeatureNet, resolution: tuple[int, int]) -> None:
        """Refuse statistics that figures of this net and of such images can't be held against.

        What the file doesn't say isn't checked.

        Args:
            net: of the figures.
            resolution: (h, w) of the images that are evaluated.

        Raises:
            UserError: they are of another net, of other weights, resize or resolution.
        """
        theirs, (h, w) = self.about, resolution
        if theirs.net not in (None, net.name):
            raise UserError(
                f"{self.path} is of the feature net {theirs.net}, not {net.name}: give a reference "
                f"of {net.name}, or take {theirs.net}"
            )
        if theirs.resize not in (None, net.resize):
            raise UserError(
                f"{self.path} is of images resized as {theirs.resize}, not {net.resize}, which "
                f"changes every figure: evaluate with the resize {theirs.resize}, or make the "
                "reference again"
            )
        if theirs.fingerprint not in (None, net.fingerprint):
            raise UserError(
                f"{self.path} was made with other weights of {net.name}: give the same, or make "
                "the reference again"
            )
        if theirs.resolution not in (None, (h, w)):
            height, width = theirs.resolution
            raise UserError(
                f"{self.path} is of images of {height}×{width} pixels, not {h}×{w}: give a "
                "reference of images of the same size"
            )


@dataclasses.dataclass(frozen=True)
class NpzImages:
    """The images in an .npz file, read some at a time.

    Attributes:
        path: of the file.
        shape: (n, h, w, 3).
    """

    path: Path
    shape: tuple[int, int, int, int]

    def __len__(self) -> int:
        return self.shape[0]

    def batches(self, size: int, rows: range | None = None) -> Iterator[np.ndarray]:
        """u8[≤ size h w 3], one after the other, in the order of the file.

        Args:
            size: of a batch.
            rows: which, one after the other; None: all.

        Raises:
            UserError: the file is damaged.
        """
        _, *image = self.shape
        name, opened = f"{IMAGES}.npy", _opened(self.path)
        with opened as archive, _reading(self.path), archive.open(name) as file:
            _header(file, self.path)
            rows, bytes_each = range(len(self)) if rows is None else rows, int(np.prod(image))
            if rows.start:  # the checksum of a file that was sought in isn't checked
                file.seek(bytes_each * rows.start, io.SEEK_CUR)
            for start in rows[::size]:
                count = min(size, rows.stop - start)
                data = file.read(count * bytes_each)
                yield np.frombuffer(data, np.uint8).reshape(count, *image)


def read_reference(path: str | Path) -> Reference:
    """Read a reference file; its images are not read yet.

    Args:
        path: of an .npz with images (`arr_0`), with statistics (`mu` and `sigma`), or both.

    Raises:
        UserError: there is no such file, it is damaged, or no .npz; it has neither images nor
            statistics, or they have another shape or dtype than they must have.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no file {path}; is the path right?")
    images = images_of(path)
    wanted = (ABOUT, *(name for pair in STATISTICS.values() for name in pair))
    with _reading(path), np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in wanted if name in file}
        names = tuple(file)
    statistics = {
        output: _checked(path, arrays[mean], arrays[covariance])
        for output, (mean, covariance) in STATISTICS.items()
        if mean in arrays and covariance in arrays
    }
    if not statistics and images is None:
        held = ", ".join(names[:6]) or "nothing"
        raise UserError(
            f"{path} has neither images ({IMAGES}) nor statistics (mu and sigma), but {held}: give "
            "a reference batch, or what `pytorch-fid --save-stats` or this program has written"
        )
    features = tuple(o for o in STATISTICS if FEATURES.format(o) in names)
    return Reference(path, _about(path, arrays, images), statistics, images, features)


def images_of(path: Path) -> NpzImages | None:
    """The images in an .npz, if it has any.

    Raises:
        UserError: it is no .npz, or its `arr_0` is no uint8[n h w 3].
    """
    with _opened(path) as archive:
        if f"{IMAGES}.npy" not in archive.namelist():
            return None
        with _reading(path), archive.open(f"{IMAGES}.npy") as file:
            shape, dtype = _header(file, path)
    if len(shape) != 4 or shape[-1] != 3 or dtype != np.uint8 or not shape[0]:
        raise UserError(
            f"{path}: {IMAGES} is {dtype}{list(shape)}; images are uint8[n h w 3], RGB from 0 to "
            "255: save them so"
        )
    return NpzImages(path, (shape[0], shape[1], shape[2], shape[3]))


def write_reference(
    path: str | Path,
    net: FeatureNet,
    resolution: tuple[int, int],
    collected: Mapping[str, Collected],
) -> None:
    """Write statistics that `read_reference` reads, and ADM's evaluator and pytorch-fid.

    Args:
        path: of the .npz.
        net: that made the features.
        resolution: (h, w) of the images.
        collected: by output of STATISTICS; the features of the pool are stored too, as KID,
            precision and recall need them.

    Raises:
        UserError: fewer than 2 images.
        DiskError: it can't be written.
    """
    count = next(iter(collected.values())).count
    about = About(net.name, net.resize, net.fingerprint, resolution, count)
    arrays: dict[str, Any] = {ABOUT: np.array(json.dumps(dataclasses.asdict(about)))}
    for output, (mean, covariance) in STATISTICS.items():
        if output in collected:
            arrays[mean] = collected[output].mean
            arrays[covariance] = collected[output].covariance
    if "pool" in collected:
        arrays[FEATURES.format("pool")] = collected["pool"].features
    with atomic_path(Path(path)) as part, part.open("wb") as file:
        np.savez(file, **arrays)


def _about(path: Path, arrays: Mapping[str, np.ndarray], images: NpzImages | None) -> About:
    if ABOUT in arrays:
        with _reading(path):
            said = json.loads(str(arrays[ABOUT]))
            said["resolution"] = tuple(said["resolution"])
            return About(**said)
    resolution = None if images is None else images.shape[1:3]
    count = None if images is None else len(images)
    # Only ADM's evaluator writes mu_s, and it has TensorFlow's network and resize.
    of_adm = "mu_s" in arrays
    net = "inception" if "mu" in arrays else None
    return About(net, "tensorflow" if of_adm else None, None, resolution, count)


def _checked(path: Path, mean: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    fits = mean.ndim == 1 and covariance.shape == (mean.size, mean.size)
    if not fits or mean.dtype.kind != "f" or covariance.dtype.kind != "f":
        raise UserError(
            f"{path}: the mean is {mean.dtype}{list(mean.shape)} and the covariance "
            f"{covariance.dtype}{list(covariance.shape)}, not float[d] and float[d d]: it is no "
            "file of statistics"
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise UserError(f"{path}: its statistics are not finite: make the reference again")
    return mean.astype(np.float64), covariance.astype(np.float64)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(
            f"{path} is no .npz file: give one with images ({IMAGES}) or statistics (mu and sigma)"
        ) from error


def _header(file: Any, path: Path) -> tuple[tuple[int, ...], np.dtype]:
    """(shape, dtype) at the start of an array's file; the array follows."""
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[np.lib.format.read_magic(file)]
    shape, fortran, dtype = read(file)
    if fortran and len(shape) > 1:
        raise UserError(f"{path}: {IMAGES} is stored column by column: save it in C order")
    return shape, dtype


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns what reading a damaged archive raises, which is a lot, into a UserError."""
    try:
        yield
    except UserError:
        raise
    except _DAMAGED as error:
        raise UserError(f"{path} is damaged, or holds more than arrays: get it again") from error
