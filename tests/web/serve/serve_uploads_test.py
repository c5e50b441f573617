"""Images that are sent to `glide-jax serve`: those of all kinds are read, other files refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from web.serve.serving_toys import noise, png

from glide_jax.web.serve.uploads import MAX_SIDE, MAX_UPLOAD_BYTES


def raw_png(width, height, bits, data):
    """A PNG of colours, whatever its data are."""
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    made = b"\x89PNG\r\n\x1a\n"
    for name, chunk in ((b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")):
        made += struct.pack(">I", len(chunk)) + name + chunk
        made += struct.pack(">I", zlib.crc32(name + chunk))
    return made


def sixteen_bits():
    return png(noise(20, 30).astype(np.uint16) * 257)


def sixteen_bits_a_colour():
    rows = np.broadcast_to(np.linspace(0, 65535, 30).astype(">u2")[None, :, None], (20, 30, 3))
    return raw_png(30, 20, 16, b"".join(b"\0" + row.tobytes() for row in rows))


UPLOADS = {
    "jpeg": (lambda: png(noise(20, 30, 3), "JPEG"), (30, 20)),
    "16 bits": (sixteen_bits, (30, 20)),
    "16 bits a colour": (sixteen_bits_a_colour, (30, 20)),
    "grey": (lambda: png(noise(20, 30)), (30, 20)),
    "transparent": (lambda: png(noise(20, 30, 4)), (30, 20)),
    "webp": (lambda: png(noise(20, 30, 3), "WEBP"), (30, 20)),
    "gif": (lambda: png(noise(20, 30), "GIF"), (30, 20)),
    "one pixel": (lambda: png(noise(1, 1, 3)), (1, 1)),
    "a stripe": (lambda: png(noise(1, 3000, 3)), (MAX_SIDE, 1)),
}


@pytest.mark.parametrize("kind", UPLOADS)
def test_images_of_all_kinds_are_read_and_large_ones_reduced(served, kind):
    make, size = UPLOADS[kind]
    reply = served.upload(make())
    assert reply.status == 201, reply.body
    assert (reply.json["width"], reply.json["height"]) == size
    kept = Image.open(io.BytesIO(served.png(reply.json["id"])))
    assert (kept.size, kept.mode) == (size, "RGB")


@pytest.mark.slow
def test_a_photo_of_twenty_megabytes_is_reduced(served):
    photo = png(noise(2800, 2500, 3))
    assert 20e6 < len(photo) < MAX_UPLOAD_BYTES
    reply = served.upload(photo)
    assert reply.status == 201
    assert reply.json["height"] == MAX_SIDE


def bomb(width, height):
    """A PNG of a few bytes that says it is huge."""
    return raw_png(width, height, 8, bytes(10_000_000))


def media(brand, *others):
    """The beginning of an ISO base media file."""
    box = b"ftyp" + brand + bytes(4) + b"".join(others)
    return (len(box) + 4).to_bytes(4) + box + bytes(100)


HEIC = media(b"heic", b"mif1", b"heic")


SVG = '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>'


@pytest.mark.parametrize(
    ("data", "kind", "status", "sentence"),
    [
        (HEIC, "image/heic", 400, "HEIC files are not read here: save it as PNG"),
        (media(b"mif1", b"miaf", b"avif"), "image/avif", 400, "AVIF files are not read here"),
        (media(b"mif1", b"miaf", b"heix"), "image/heif", 400, "HEIC files are not read here"),
        (media(b"isom", b"mp42"), "image/png", 400, "not an image file"),
        (b"\xff\xff\xff\xffftyp", "image/png", 400, "not an image file"),
        (SVG.encode(), "image/svg+xml", 400, "SVG files have no pixels"),
        (SVG.encode("utf-16"), "image/svg+xml", 400, "SVG files have no pixels"),
        (bomb(60_000, 60_000), "image/png", 400, "pixels"),
        (bomb(7000, 7000), "image/png", 400, "cannot read the image that was sent"),
        (b"", "image/png", 400, "the body is empty"),
        (b"hello", "image/png", 400, "not an image file"),
        (png(noise(30, 30, 3))[:-40], "image/png", 400, "cannot read the image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "image/eps", 400, "not an image file"),
        (png(noise(3, 3, 3)), "text/plain", 415, "Send the image itself"),
        (png(noise(3, 3, 3)), "", 415, "Send the image itself"),
        (bytes(MAX_UPLOAD_BYTES + 1), "image/png", 413, "at most 26,214,400 bytes"),
    ],
    ids=[
        *("heic", "avif", "heif", "video", "brands", "svg", "svg16", "bomb", "bomb2", "empty"),
        *("text", "cut", "eps", "type", "none", "large"),
    ],
)
def test_a_bad_file_is_one_sentence(served, data, kind, status, sentence):
    reply = served.upload(data, kind)
    assert reply.status == status, reply.body
    assert sentence in reply.json["error"]
    assert served.get("/api/info").status == 200
