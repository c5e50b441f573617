"""Fuzzed data: captions of folders, tar shards, images and masks."""

import contextlib
import csv
import io
import json
import logging
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from glide_jax import data
from glide_jax.data import images
from glide_jax.data.fields import texts
from glide_jax.data.survey import survey
from glide_jax.sampling.images import read_image, read_mask

WORDS = (
    *("a red square", "", " ", "a, b", '"', "'", '""', "%s {} \\n", "NaN", "null", "true", "0"),
    *("\u2028", "\u0085", "\x0c", "\u200b", "\u2581", "é", "e\u0301", "ﷺ عربي", "猫" * 9),
    *("🦊👩🏽", "<pad></s>", "../", "a.png,", "x" * 300, "word " * 1200, "=1+1", "\x00", "\x1b[0m"),
)
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "I", "F")


class Lost(Exception):
    """Something good was left out, or something bad was not counted."""


def pick(rng: np.random.Generator, options):
    """One of several things."""
    return options[int(rng.integers(len(options)))]


def words(rng: np.random.Generator, without: str = "") -> str:
    """A caption, without some characters."""
    text = " ".join(pick(rng, WORDS) for _ in range(rng.integers(1, 4)))
    return "".join(character for character in text if character not in without)


def mutated(rng: np.random.Generator, content: bytes) -> bytes:
    """The content, damaged in one of the ways in which files are damaged."""
    if not content:
        return rng.bytes(9)
    at, size = int(rng.integers(len(content))), int(rng.integers(1, 65))
    way = int(rng.integers(8))
    if way == 0:
        return content[:at]
    if way == 1:
        flipped = bytearray(content)
        for place in rng.integers(len(content), size=rng.integers(1, 9)):
            flipped[place] ^= 1 << int(rng.integers(8))
        return bytes(flipped)
    if way == 2:
        return content[:at] + content[at + size :]
    if way == 3:
        return content[:at] + rng.bytes(size) + content[at:]
    if way == 4:
        return content[:at] + bytes(size) + content[at + size :]
    if way == 5:
        return content[:at] + content[max(at - size, 0) :]
    if way == 6:
        return rng.bytes(size) + content[at:]
    return pick(rng, (b"", rng.bytes(len(content)), content + rng.bytes(size), bytes(len(content))))


def an_image(rng: np.random.Generator, size: tuple[int, int] | None = None) -> bytes:
    """A sound image file in one of the formats, of a size of its own or this (width, height)."""
    form, mode = pick(rng, FORMATS), pick(rng, MODES)
    size = size or (int(rng.integers(1, 40)), int(rng.integers(1, 40)))
    pixels = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8))
    buffer = io.BytesIO()
    with contextlib.suppress(OSError, ValueError, KeyError):
        _in_mode(pixels, mode).save(buffer, form)
        return buffer.getvalue()
    buffer = io.BytesIO()  # the format has no such mode
    pixels.save(buffer, form)
    return buffer.getvalue()


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    return image.convert(mode)


def _a_broken_image(rng: np.random.Generator) -> bytes:
    sound = images.encode_png(rng.integers(0, 256, (9, 9, 3), np.uint8))
    return pick(rng, (b"", b"GIF", sound[: len(sound) // 2], b"<html>", bytes(500)))


@contextlib.contextmanager
def _log() -> Iterator[list[str]]:
    """What the data sources log."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    log = logging.getLogger("glide_jax.data")
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield lines
    finally:
        log.removeHandler(handler)
        log.level, log.propagate = before


def _skipped(lines: list[str]) -> int:
    """How many images one line of the log says were left out."""
    kinds = "broken images|images without a caption|images that are not files|without an image"
    return sum(int(n) for n in re.findall(rf"(\d+) (?:{kinds})", " ".join(lines)))


def captions(rng: np.random.Generator, folder: Path) -> None:
    """A folder of good and broken images, its captions sound or damaged."""
    count = int(rng.integers(1, 12))
    broken = set(rng.permutation(count)[: rng.integers(count + 1)].tolist())
    names = [f"{pick(rng, ('', 'sub/', 'é/'))}{i}.png" for i in range(count)]
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True)
        good = images.encode_png(np.full((4, 5, 3), i, np.uint8))
        (folder / name).write_bytes(_a_broken_image(rng) if i in broken else good)
    form = pick(rng, ("txt", "captions.csv", "captions.tsv", "captions.jsonl", "metadata.csv"))
    written = _write_captions(rng, folder, form, names)
    damaged = form != "txt" and rng.random() < 0.6
    if damaged:
        (folder / form).write_bytes(mutated(rng, (folder / form).read_bytes()))
    with _log() as lines:
        source = data.open_source("folder", str(folder), "train")
    if len(source) + _skipped(lines) != count:
        raise Lost(f"{count} images, {len(source)} loaded: {lines}")
    expected = {
        name: tuple(dict.fromkeys(texts(written[name])))
        for i, name in enumerate(names)
        if i not in broken and any(texts(written[name]))
    }
    if not damaged and dict(source.items) != expected:
        raise Lost(f"{dict(source.items)} instead of {expected}: {lines}")
    found = survey(source, sample=20, show=3)
    if found.read != len(source):
        raise Lost(f"of {len(source)} images {found.read} can be read: {found.broken}")


def _write_captions(rng, folder: Path, form: str, names: list[str]) -> dict[str, list[str]]:
    without = {"txt": "\r\n", "captions.tsv": "\t\r\n", "captions.jsonl": ""}.get(form, "\t\r\x00")
    written = {name: [words(rng, without) for _ in range(rng.integers(1, 3))] for name in names}
    rows = [(name, caption) for name, several in written.items() for caption in several]
    line_end = pick(rng, ("\n", "\r\n", "\r"))
    bom = pick(rng, ("", "\ufeff"))
    if form == "txt":
        for name, several in written.items():
            path = (folder / name).with_suffix(".txt")
            path.write_bytes((bom + line_end.join(several)).encode())
        return written
    if form == "captions.jsonl":
        text = line_end.join(json.dumps({"file_name": n, "caption": c}) for n, c in rows)
    elif form == "captions.tsv":
        text = line_end.join(f"{name}\t{caption}" for name, caption in rows)
    else:
        buffer = io.StringIO()
        table = csv.writer(buffer, lineterminator=line_end)
        if form == "metadata.csv":
            table.writerow(("file_name", "text"))
        table.writerows(rows)
        text = buffer.getvalue()
    (folder / form).write_bytes((bom + text).encode())
    return written


def tars(rng: np.random.Generator, folder: Path) -> None:
    """Tar shards, sound or damaged."""
    count = int(rng.integers(1, 9))
    buffer = io.BytesIO()
    tar_format = pick(rng, (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as tar:
        for i in range(count):
            row = {f"{i}.png": images.encode_png(np.full((4, 5, 3), i, np.uint8))}
            text = words(rng) or "a"
            row |= pick(rng, ({f"{i}.txt": text.encode()}, {f"{i}.json": _json(rng, text)}))
            for name, content in row.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    content = buffer.getvalue()
    is_damaged = rng.random() < 0.7
    shard = folder / pick(rng, ("0.tar", "my [set].tar", "a::b.tar", "é {1}.tar"))
    shard.write_bytes(mutated(rng, content) if is_damaged else content)
    path = pick(rng, (str(folder), str(shard), f"{shard.parent}/*.tar"))
    with _log() as lines:
        source = data.open_source("webdataset", path, "train")
    # What is damaged between the rows is refused; what is accepted has them all.
    if len(source) + _skipped(lines) != count:
        raise Lost(f"{count} rows, {len(source)} loaded: {lines}")
    found = survey(source, sample=20, show=3)
    if found.read + len(found.broken) != len(source):
        raise Lost(f"{len(source)} images, {found.read} read, {len(found.broken)} broken")
    if not is_damaged and found.broken:
        raise Lost(f"sound images can't be read: {found.broken}")


def _json(rng, text: str) -> bytes:
    values = (text, [text], None, True, float("nan"), {"en": text}, [], 3, [[text]])
    return json.dumps({"caption": pick(rng, values)}).encode()


def some_image(rng: np.random.Generator, folder: Path) -> None:
    """An image file, sound or damaged."""
    content, is_sound = an_image(rng), rng.random() < 0.2
    path = folder / pick(rng, ("image.png", "é.jpg", "no ending"))
    path.write_bytes(content if is_sound else mutated(rng, content))
    for read in (lambda: images.decode(path.read_bytes(), path.name), lambda: read_image(path)):
        array = read()
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
            raise Lost(f"{array.dtype}{array.shape}")
        images.square(array, int(rng.integers(1, 9)))
    images.check(os.fspath(path), path.name)


def masks(rng: np.random.Generator, folder: Path) -> None:
    """A mask that is a file or an array, of any shape, type and values."""
    image = rng.integers(0, 256, (int(rng.integers(1, 20)), int(rng.integers(1, 20)), 3), np.uint8)
    if rng.random() < 0.4:
        given = folder / "mask.png"
        content = an_image(rng, pick(rng, (None, image.shape[1::-1], image.shape[1::-1])))
        given.write_bytes(content if rng.random() < 0.6 else mutated(rng, content))
    else:
        shape = image.shape[:2] if rng.random() < 0.8 else tuple(rng.integers(0, 9, 2).tolist())
        shape += pick(rng, ((), (), (), (1,), (2,), (3,), (4,), (3, 1)))
        kinds = (np.uint8, np.uint8, np.bool_, np.bool_, np.float32, np.float64, np.int64)
        kind = pick(rng, (*kinds, np.complex64, "U1"))
        most = pick(rng, (1, 1, 1, 255, 255, np.nan, np.inf, -1))
        with np.errstate(invalid="ignore"):
            given = (rng.random(shape) * most).astype(kind)
    size = int(rng.integers(1, 33))
    mask = read_mask(given, image, size)
    if mask.shape != (1, size, size, 1) or not set(np.unique(mask)) <= {0.0, 1.0}:
        raise Lost(f"{mask.shape} of {np.unique(mask)}")


KINDS = {"captions": captions, "tars": tars, "images": some_image, "masks": masks}
