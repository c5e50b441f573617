"""The API of `glide-jax serve`: who may ask, and what it answers to what makes no sense."""

import socket

import pytest
from web.serve.serving_toys import ADA, SAMPLE, gated, page

from glide_jax.web.access import LOOPBACK, Access
from glide_jax.web.serve.offer import MAX_IMAGES


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
    ids=lambda value: str(value)[:40],
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
    ids=lambda value: str(value)[:40],
)
def test_a_body_that_is_none_is_refused(served, body, headers, status):
    assert served.post("/api/jobs", body, headers).status == status


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
