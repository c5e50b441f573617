"""The API of `glide-jax serve`: what it offers, and what it answers to anything else."""

import dataclasses
import io
import json
import math
import socket
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from sampling import pipeline_toys
from web.serve.serving_toys import ADA, SAMPLE, gated, page

from glide_jax.sampling.pipeline import Pipeline
from glide_jax.web.access import LOOPBACK, Access
from glide_jax.web.serve.offer import MAX_IMAGES, offer_of
from glide_jax.web.serve.uploads import MAX_SIDE, MAX_UPLOAD_BYTES

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def served():
    with page() as (made, _):
        yield made


def png(array, **save):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, save.pop("format", "PNG"), **save)
    return buffer.getvalue()


def noise(*shape):
    return RANDOM.integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module")
def image(served):
    return served.upload(png(noise(16, 16, 3))).json["id"]


def mask_of(served, array):
    return served.upload(png(array.astype(np.uint8) * 255)).json["id"]


def pixels(served, job):
    return np.asarray(Image.open(io.BytesIO(served.png(job["images"][0]["id"]))))


HALF = np.arange(16)[None] >= np.full((16, 1), 8)


def test_what_the_models_can_do_is_what_is_offered(served):
    info = served.get("/api/info").json
    assert list(info["tasks"]) == ["sample", "inpaint", "edit", "upsample"]
    assert (info["image_size"], info["classes"], info["reads_captions"]) == (16, 0, True)
    names = {task: {field["name"] for field in fields} for task, fields in info["tasks"].items()}
    assert "resamples" in names["inpaint"]
    assert "strength" in names["edit"]
    assert not {"image", "strength", "clip_scale"} & names["sample"]


@pytest.mark.parametrize(
    ("stages", "tasks"),
    [
        (slice(0, 1), ["sample", "inpaint", "edit"]),
        (slice(1, 2), ["upsample"]),
    ],
    ids=["base", "upsampler"],
)
def test_a_pipeline_of_fewer_models_offers_less(stages, tasks):
    offer = offer_of(Pipeline(pipeline_toys.stages()[stages]))
    assert list(offer.tasks) == tasks


@pytest.mark.newest
def test_a_model_of_classes_samples_them_and_nothing_else():
    with page(Pipeline((pipeline_toys.class_stage(),))) as (served, _):
        info = served.get("/api/info").json
        assert (list(info["tasks"]), info["classes"]) == (["sample"], 3)
        names = {field["name"] for field in info["tasks"]["sample"]}
        assert "label" in names
        assert not {"prompt", "negative_prompt", "guidance_scale"} & names
        asked = {"client": ADA, "task": "sample", "label": 2}
        job = served.wait(served.post("/api/jobs", asked).json["id"])
        assert job["images"][0]["provenance"]["label"] == 2
        refused = served.post("/api/jobs", asked | {"label": 3})
        assert "from 0 to 2" in refused.json["error"]


@pytest.mark.newest
def test_a_model_that_was_trained_to_inpaint_is_not_offered_repaint(image, served):
    inpainter = Pipeline(pipeline_toys.stages("stages.base.model.inpaint=True")[:1])
    with page(inpainter) as (other, _):
        info = other.get("/api/info").json
        assert info["trained_to_inpaint"]
        assert "resamples" not in {field["name"] for field in info["tasks"]["inpaint"]}
        assert other.sampled()["state"] == "done"
        given = other.upload(served.png(image)).json["id"]
        frame = {"left": -8, "top": 0, "side": 16}
        done = other.sampled(task="inpaint", image=given, frame=frame)
        assert pixels(other, done).shape == (16, 24, 3)
        done = other.sampled(task="inpaint", image=given, frame=frame, result="frame")
        assert pixels(other, done).shape == (8, 8, 3)


@pytest.mark.parametrize(
    "request_",
    [
        {"task": "inpaint", "mask": HALF, "resamples": 1},
        {"task": "inpaint", "frame": {"left": -8, "top": 0, "side": 16}, "resamples": 1},
        {"task": "edit", "strength": 0.5},
        {"task": "upsample"},
    ],
    ids=["inpaint", "outpaint", "edit", "upsample"],
)
def test_every_task_gives_an_image(served, image, request_):
    given = {"image": image, **request_}
    if "mask" in given:
        given["mask"] = mask_of(served, given["mask"])
    job = served.sampled(**given)
    found = pixels(served, job)
    assert found.shape == (16, 24 if "frame" in given else 16, 3)
    original = np.asarray(Image.open(io.BytesIO(served.png(image))))
    if "mask" in given:
        np.testing.assert_array_equal(found[:, :8], original[:, :8])
    if "frame" in given:
        np.testing.assert_array_equal(found[:, 8:], original)
    # The result is the next input.
    again = served.sampled(task="edit", image=job["images"][0]["id"], strength=0.3)
    assert again["images"][0]["provenance"]["strength"] == 0.3


def test_an_image_grows_by_what_lies_beyond_it(served, image):
    """To the right, then down: what nothing covers is transparent until it is sampled."""
    original = np.asarray(Image.open(io.BytesIO(served.png(image))))
    frames = ({"left": 8, "top": 0, "side": 16}, {"left": 0, "top": 8, "side": 16})
    first = served.sampled(task="inpaint", image=image, frame=frames[0], resamples=1)
    assert first["size"] == 24
    grown = pixels(served, first)
    assert grown.shape == (16, 24, 3)
    np.testing.assert_array_equal(grown[:, :16], original)
    asked = {"task": "inpaint", "resamples": 1}
    second = served.sampled(image=first["images"][0]["id"], frame=frames[1], **asked)
    larger = pixels(served, second)
    assert larger.shape == (24, 24, 4)
    np.testing.assert_array_equal(larger[:16, :, :3], grown)
    assert (larger[..., 3] == 0).sum() == 8 * 8
    corner = {"left": 8, "top": 8, "side": 16}
    third = served.sampled(image=second["images"][0]["id"], frame=corner, **asked)
    full = pixels(served, third)
    assert full.shape == (24, 24, 3)
    np.testing.assert_array_equal(full[:16, :16], original)
    np.testing.assert_array_equal(full[16:, :16], larger[16:, :16, :3])


def test_an_image_does_not_grow_without_end(served):
    wide = served.upload(png(noise(16, 1024, 3))).json["id"]
    frame = {"left": 1000, "top": -2000, "side": 2100}
    reply = served.submit(task="inpaint", image=wide, frame=frame, resamples=1)
    assert (reply.status, "2048 a side are the most" in reply.json["error"]) == (400, True)


@pytest.mark.newest
def test_later_stages_have_settings_of_their_own(served):
    info = served.get("/api/info").json
    names = {task: {field["name"] for field in fields} for task, fields in info["tasks"].items()}
    own = {f"upsampler.{name}" for name in ("steps", "sampler", "guidance_scale", "aug_level")}
    assert own <= names["sample"] & names["edit"]
    assert own & names["inpaint"] == own - {"upsampler.sampler"}
    assert not own & names["upsample"]
    as_configured, other = (
        served.sampled(**more)
        for more in ({}, {"upsampler.steps": "10", "upsampler.aug_level": 0.5})
    )
    made = other["images"][0]["provenance"]
    assert made["overrides"] == [
        *("stages.upsampler.sampling.steps=10", "stages.upsampler.sampling.aug_level=0.5")
    ]
    assert as_configured["images"][0]["provenance"]["overrides"] == []
    assert (pixels(served, other) != pixels(served, as_configured)).any()
    # What a config says anyway is no change.
    same = served.sampled(**{"upsampler.steps": "2"})
    np.testing.assert_array_equal(pixels(served, same), pixels(served, as_configured))


@pytest.mark.newest
def test_guidance_has_an_interval_and_thresholding_a_cap(served):
    settings = {"guidance_interval": [0.9, 0.1], "dynamic_threshold": 0.9, "threshold_cap": 1.5}
    settings |= {"cache_interval": 2}
    made = served.sampled(**settings)["images"][0]["provenance"]["settings"]
    assert made["guidance_interval"] == [0.1, 0.9]
    assert (made["dynamic_threshold"], made["threshold_cap"]) == (0.9, 1.5)
    assert made["cache_interval"] == 2


@pytest.mark.newest
def test_the_best_of_several_are_kept():
    pipeline = pipeline_toys.pipeline()

    def score(captions, images):
        assert captions == ["red square"] * 3
        assert images.shape == (3, 8, 8, 3)
        return np.array([0.1, 0.9, 0.5])

    judged = dataclasses.replace(pipeline, clip=pipeline_toys.clip_guide(8, score=score))
    with page(judged) as (served, _):
        fields = {field["name"] for field in served.get("/api/info").json["tasks"]["sample"]}
        assert {"rerank", "clip_scale"} <= fields
        job = served.sampled(rerank=3, num_images=2)
        assert [image["provenance"]["index"] for image in job["images"]] == [1, 2]
        expected = judged("red square", seed=3, num_images=2, rerank=3)
        for image, one in zip(job["images"], expected.arrays, strict=True):
            found = np.asarray(Image.open(io.BytesIO(served.png(image["id"]))))
            np.testing.assert_array_equal(found, one)
        assert "ask for fewer" in served.submit(rerank=2, num_images=3).json["error"]


def test_an_all_white_mask_repaints_everything(served, image):
    job = served.sampled(
        task="inpaint", image=image, mask=mask_of(served, np.ones((9, 9))), resamples=1
    )
    assert job["state"] == "done"


@pytest.mark.parametrize(
    ("request_", "status", "sentence"),
    [
        ({"prompt": "x" * 10_000}, 400, "at most 4,000 characters long, and this has 10,000"),
        ({"prompt": 3}, 400, "'prompt' must be text"),
        ({"num_images": MAX_IMAGES + 1}, 400, f"from 1 to {MAX_IMAGES}"),
        ({"task": "paint"}, 400, "one of sample, inpaint, edit, upsample"),
        ({"task": ["sample"]}, 400, "one of"),
        ({"client": "x"}, 400, "8 to 64 letters"),
        ({"steps": "99999"}, 400, "'steps' must be one of"),
        ({"sampler": "dimm"}, 400, "'sampler' must be one of"),
        ({"image": "abcdefgh"}, 400, "unknown field 'image'"),
        ({"task": "edit", "strength": 0.5}, 400, "'image' is missing"),
        ({"task": "edit", "image": "abcdefgh", "strength": 0.5}, 404, "send it again"),
        ({"task": "edit", "image": "../../etc/passwd", "strength": 0.5}, 400, "8 to 64 letters"),
        ({"task": "edit", "image": "ok", "strength": 0}, 400, "'image' must be"),
        ({"dynamic_threshold": 0}, 400, "above 0 to 1"),
    ],
    ids=str,
)
def test_a_wrong_request_is_one_sentence(served, request_, status, sentence):
    reply = served.submit(**request_)
    assert (reply.status, list(reply.json)) == (status, ["error"])
    assert sentence in reply.json["error"]
    assert len(reply.json["error"]) < 400


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"seed": NaN}', {}, 400),
        (b'{"seed": 1e999}', {}, 400),
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b"\xff", {}, 400),
        (b"[" * 30_000, {}, 400),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"{}", {"Content-Length": "999999999"}, 413),
        (b"{}", {"Origin": "https://elsewhere.example"}, 403),
    ],
    ids=str,
)
def test_a_body_that_is_none_is_refused(served, body, headers, status):
    assert served.post("/api/jobs", body, headers).status == status


def at_limits(fields, end):
    """A value at one end of each number and each interval that may be asked for."""
    asked = {}
    for field in fields:
        if field["kind"] == "number":
            low = math.ulp(0.0) if field.get("above_low") else field["low"]
            asked[field["name"]] = field["high"] if end == "high" else low
        elif field["kind"] == "interval":
            asked[field["name"]] = [math.nextafter(1, 0), 1] if end == "high" else [0, math.ulp(0)]
    return asked


@pytest.mark.parametrize("end", ["low", "high"])
@pytest.mark.parametrize("task", ["sample", "inpaint", "edit", "upsample"])
def test_every_number_may_be_at_its_limits(served, image, task, end):
    """Finite in JSON, and subnormal or large enough to break what divides by it."""
    fields = served.get("/api/info").json["tasks"][task]
    asked = at_limits(fields, end)
    assert {"temperature", "eta", "dynamic_threshold", "threshold_cap"} <= set(asked)
    asked |= {"image": image} if task != "sample" else {}
    if task == "inpaint":
        asked |= {"mask": mask_of(served, HALF), "resamples": 1}
    job = served.sampled(task=task, **asked)
    found = pixels(served, job)
    assert found.shape == (16, 16, 3)
    settings = job["images"][0]["provenance"]["settings"]
    assert settings["temperature"] == asked["temperature"]


TINY_OR_LONG = {
    "a pixel": noise(1, 1, 3),
    "a stripe": noise(3, 900, 3),
    "a transparent one": np.zeros((16, 16, 4), np.uint8),
}


@pytest.mark.parametrize("name", TINY_OR_LONG)
def test_a_pixel_and_a_stripe_are_edited_enlarged_and_grow_while_they_can(served, name):
    array = TINY_OR_LONG[name]
    height, width = array.shape[:2]
    image = served.upload(png(array)).json["id"]
    for task in ({"task": "edit", "strength": 0.3}, {"task": "upsample"}):
        assert pixels(served, served.sampled(image=image, **task)).shape == (16, 16, 3)
    side = 16 if height == 16 else 4
    frame = {"left": -1, "top": -1, "side": side}
    asked = {"task": "inpaint", "image": image, "frame": frame, "resamples": 1}
    if width > 16:
        assert "2048 a side are the most" in served.submit(**asked).json["error"]
        return
    # Enlarged until the frame has the model's size.
    grown = max(side - 1, height) + 1
    assert pixels(served, served.sampled(**asked)).shape[:2] == (grown * 16 // side,) * 2
    white = mask_of(served, np.ones((height, width)))
    assert served.sampled(task="inpaint", image=image, mask=white, resamples=1)["state"] == "done"


def repaint(served, image, **more):
    return served.submit(task="inpaint", image=image, resamples=1, **more)


def test_no_mask_and_an_empty_one_are_one_sentence(served, image):
    assert "give a mask" in repaint(served, image).json["error"]
    empty = mask_of(served, np.zeros((16, 16)))
    assert "the mask has no white" in repaint(served, image, mask=empty).json["error"]
    other = mask_of(served, np.ones((16, 64)))
    assert "give a mask of the image's shape" in repaint(served, image, mask=other).json["error"]
    far = {"left": 500, "top": 0, "side": 16}
    assert "shows nothing of the image" in repaint(served, image, frame=far).json["error"]
    large = {"left": 0, "top": 0, "side": 60_000}
    assert "from 1 to 64 pixels" in repaint(served, image, frame=large).json["error"]


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
    "jpeg": (lambda: png(noise(20, 30, 3), format="JPEG"), (30, 20)),
    "16 bits": (sixteen_bits, (30, 20)),
    "16 bits a colour": (sixteen_bits_a_colour, (30, 20)),
    "grey": (lambda: png(noise(20, 30)), (30, 20)),
    "transparent": (lambda: png(noise(20, 30, 4)), (30, 20)),
    "webp": (lambda: png(noise(20, 30, 3), format="WEBP"), (30, 20)),
    "gif": (lambda: png(noise(20, 30), format="GIF"), (30, 20)),
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


@pytest.mark.parametrize(
    "path",
    [
        "/api/images/../../../../etc/passwd.png",
        "/api/images/..%2f..%2f..%2fetc%2fpasswd.png",
        "/api/images/%00.png",
        "/../serve.py",
        "/..%2fserve.js",
        "/api/jobs/..%2f..",
        "/api/jobs/abcdefgh/previews/999999.png",
        "/api/events?jobs=../../x",
        "/api/nothing",
    ],
)
def test_no_path_from_outside_reaches_the_disk(served, path):
    assert served.get(path).status == 404


def test_a_connection_that_is_cut_does_no_harm(served):
    with socket.create_connection((LOOPBACK, served.port)) as cut:
        head = f"POST /api/images?client={ADA} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
        cut.sendall(f"{head}Content-Type: image/png\r\nContent-Length: 5000\r\n\r\n".encode())
        cut.sendall(bytes(100))
    job_id = served.submit().json["id"]
    with socket.create_connection((LOOPBACK, served.port)) as cut:
        head = f"GET /api/events?jobs={job_id} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n"
        cut.sendall(head.encode())
        assert cut.recv(10)
    assert served.wait(job_id)["state"] == "done"


def test_a_prompt_that_is_cut_is_said(served):
    notes = served.sampled(prompt="red square " * 100)["notes"]
    assert notes == ["The model reads 6 tokens: the end of the prompt was cut off."]
    assert served.sampled()["notes"] == []


def test_without_a_seed_each_request_has_its_own(served):
    seeds = [served.post("/api/jobs", {"client": ADA, "task": "sample"}).json["seed"] for _ in "ab"]
    assert seeds[0] != seeds[1]


def test_the_document_lists_every_route_and_the_same_limits(served):
    document = served.get("/api/openapi.json").json
    assert document["openapi"] == "3.1.0"
    assert json.dumps(document).count("$ref") > 5
    bodies = document["paths"]["/api/jobs"]["post"]["requestBody"]["content"]["application/json"]
    tasks = {one["title"]: one["properties"] for one in bodies["schema"]["oneOf"]}
    info = served.get("/api/info").json
    for task, fields in info["tasks"].items():
        assert set(tasks[task]) == {"client", "task", *(field["name"] for field in fields)}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            reply = served.send(method.upper(), path.format(id="abcdefgh", place=0), b"")
            assert str(reply.status) in operation["responses"], (path, method)
            assert reply.status != 405


def test_a_client_may_not_queue_without_end():
    with page(gated()) as (served, _):
        statuses = [served.submit().status for _ in range(10)]
        assert statuses == [202] * 8 + [429] * 2
        assert "You have 8 requests that wait already" in served.submit().json["error"]
        assert served.submit("ben-ben-ben").status == 202


def test_a_network_needs_the_token():
    with page(access=Access("secret")) as (served, _):
        for path in ("/", "/api/info", "/serve.js", "/api/openapi.json"):
            assert served.get(path).status == 401
        assert served.post("/api/jobs", {"client": ADA, **SAMPLE}).status == 401
        bearer = {"Authorization": "Bearer secret"}
        assert served.get("/api/info", headers=bearer).status == 200
        leads = served.get("/?token=secret")
        assert leads.status == 303
        cookie = leads.headers["set-cookie"].partition(";")[0]
        assert served.get("/api/info", headers={"Cookie": cookie}).status == 200


def test_the_page_is_light_and_loads_nothing_from_elsewhere(served):
    total, names = 0, ["/", "/serve.css", "/common.css", "/serve_icon.svg"]
    names += ["/serve.js", "/api.js", "/form.js", "/editor.js", "/results.js"]
    for name in names:
        reply = served.get(name)
        assert reply.status == 200, name
        total += len(reply.body)
        text = reply.body.decode().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text
        assert "script-src 'self'" in reply.headers["content-security-policy"]
    assert total <= 300_000
