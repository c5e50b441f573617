"""What every page has: who may use it, what it answers when something is wrong, its headers."""

import socket

import pytest
from refusals import refused
from starlette.responses import JSONResponse
from starlette.routing import Route
from web.web_toys import LOCAL, serving

from glide_jax.errors import UserError
from glide_jax.web.access import Access, access_for, is_loopback, new_token
from glide_jax.web.application import build_application
from glide_jax.web.assets import page_routes
from glide_jax.web.bodies import MAX_BYTES, read_json
from glide_jax.web.serving import address_of, listen
from glide_jax.writing import DiskError

TOKEN = new_token()
ERRORS = {
    "person": UserError("the mask has no hole"),
    "disk": DiskError("the disk is full"),
    "program": KeyError("a secret of the program"),
}


async def echo(request):
    return JSONResponse(await read_json(request))


async def fail(request):
    raise ERRORS[request.path_params["kind"]]


def application(access):
    routes = [Route("/echo", echo, methods=["POST"]), Route("/fail/{kind}", fail)]
    return build_application([*page_routes(["common", "judge"]), *routes], access)


@pytest.fixture(scope="module")
def local():
    with serving(application(LOCAL)) as page:
        yield page


@pytest.fixture(scope="module")
def guarded():
    with serving(application(Access(TOKEN))) as page:
        yield page


def test_json_comes_back(local):
    value = {"text": "é 猫", "deep": [1, [2.5, None]]}
    assert local.post("/echo", value).json == value
    kind = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert local.post("/echo", value, headers=kind).status == 200


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b'{"a": NaN}', 400, "not JSON"),
        (b'{"a": -Infinity}', 400, "not JSON"),
        (b'{"a": "\xff"}', 400, "not JSON"),
        (b"[" * 60_000, 400, "not JSON"),
        (b'{"a":' * 10_000, 400, "not JSON"),
        (b'{"a": ' + b"9" * 20_000 + b"}", 400, "not JSON"),
        (b"[1, 2]", 400, "object"),
        (b"null", 400, "object"),
        (b'"' + b"x" * MAX_BYTES + b'"', 413, "at most 65,536 bytes"),
        (b"x" * 20_000_000, 413, "at most 65,536 bytes"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_wrong_body_is_one_sentence(body, status, word, local):
    reply = local.post("/echo", body)
    assert reply.status == status
    assert list(reply.json) == ["error"]
    assert word in reply.json["error"]
    assert local.post("/echo", {}).status == 200  # the server lives


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "json"])
def test_another_content_type_is_refused(kind, local):
    reply = local.post("/echo", {}, headers={"Content-Type": kind})
    assert reply.status == 415
    assert "application/json" in reply.json["error"]


def test_a_body_without_a_length_is_limited_too(local):
    """Chunked: the size is not said in advance."""
    with socket.create_connection(("127.0.0.1", local.port), timeout=30) as connection:
        host = f"127.0.0.1:{local.port}"
        connection.sendall(
            f"POST /echo HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        try:
            for _ in range(200):
                connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_cut_connection_leaves_the_server_alive(local):
    for sent in (
        b"",
        b"POST /echo HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/9\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", local.port), timeout=30) as connection:
            connection.sendall(sent)
    host = f"127.0.0.1:{local.port}"
    head = f"POST /echo HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", local.port), timeout=30) as connection:
        connection.sendall(f"{head}Content-Length: 50\r\n\r\n{{".encode())
    assert local.post("/echo", {"a": 1}).json == {"a": 1}


@pytest.mark.parametrize(
    ("kind", "status", "sentence"),
    [
        ("person", 400, "the mask has no hole"),
        ("disk", 503, "the disk is full"),
        ("program", 500, "log"),
    ],
)
def test_what_goes_wrong_is_one_sentence(kind, status, sentence, local):
    reply = local.get(f"/fail/{kind}")
    assert reply.status == status
    assert sentence in reply.json["error"]
    assert b"secret" not in reply.body
    assert b"Traceback" not in reply.body


def test_unknown_addresses_and_methods_are_one_sentence(local):
    assert "nothing" in local.get("/none").json["error"]
    assert local.get("/none").status == 404
    reply = local.send("DELETE", "/")
    assert (reply.status, list(reply.json)) == (405, ["error"])
    assert "GET" in reply.headers["allow"]


@pytest.mark.parametrize(
    "path",
    [
        "/../setup.py",
        "/judge/../../access.py",
        "/%2e%2e/%2e%2e/access.py",
        "/..%2f..%2faccess.py",
        "/..\\access.py",
        "/judge.js/../access.py",
        "//etc/passwd",
        "/etc/passwd",
        "/file:///etc/passwd",
        "/judge.js%00.png",
        "/access.py",
        "/pages/judge/judge.js",
        "/common/",
    ],
)
def test_no_path_from_outside_reaches_the_disk(path, local):
    reply = local.get(path)
    assert reply.status == 404
    assert b"import" not in reply.body
    assert b"root:" not in reply.body


@pytest.mark.parametrize("path", ["/", "/judge.js", "/none", "/fail/program", "/fail/person"])
def test_every_response_has_the_headers_that_guard_a_page(path, local):
    headers = local.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


def test_a_file_is_sent_again_only_if_it_has_changed(local):
    first = local.get("/judge.js")
    assert first.headers["content-type"].startswith("text/javascript")
    again = local.get("/judge.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert local.get("/judge.js", headers={"If-None-Match": '"other"'}).body == first.body
    assert local.send("HEAD", "/judge.js").body == b""


@pytest.mark.parametrize("name", ["127.0.0.1", "127.0.0.2", "localhost", "[::1]", "LOCALHOST"])
def test_loopback_has_these_names_through_any_port(name, local):
    assert local.get("/", host=f"{name}:{local.port}").status == 200
    assert local.get("/", host=f"{name}:9000").status == 200
    assert local.get("/", host=name).status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "0.0.0.0", "", "[::"])
def test_a_foreign_name_of_loopback_is_refused(host, local):
    """DNS rebinding: a site's own name that comes to resolve to 127.0.0.1."""
    reply = local.get("/", host=f"{host}:{local.port}")
    assert reply.status in (400, 403)
    assert b"<" not in reply.body


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://["]
)
def test_another_site_s_script_is_refused(origin, local, guarded):
    assert local.post("/echo", {}, headers={"Origin": origin}).status == 403
    with_token = {"Origin": origin, "Authorization": f"Bearer {TOKEN}"}
    assert guarded.post("/echo", {}, headers=with_token).status == 403
    assert local.post("/echo", {}, headers={"Origin": local.address}).status == 200


def test_the_token_opens_the_page_and_is_kept_in_a_cookie(guarded):
    reply = guarded.get(f"/?token={TOKEN}")
    assert (reply.status, reply.headers["location"]) == (303, "/")
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    pair = {"Cookie": cookie.partition(";")[0]}
    assert guarded.get("/", headers=pair, host="gpu-box:80").status == 200
    assert guarded.post("/echo", {"a": 1}, headers=pair).json == {"a": 1}
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.post("/echo", {"a": 1}, headers=bearer).json == {"a": 1}


@pytest.mark.parametrize(
    "path", ["/", "/judge.js", "/none", "/?token=", "/?token=x", "/echo?token=x"]
)
def test_without_the_token_there_is_nothing(path, guarded):
    for headers in (
        {},
        {"Cookie": f"glide_jax_{guarded.port}=x"},
        {"Cookie": f"glide_jax_1={TOKEN}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer é".encode().decode("latin-1")},
    ):
        reply = guarded.get(path, headers=headers)
        assert reply.status == 401
        assert b"token" in reply.body
        assert b"<" not in reply.body
    assert guarded.post("/echo", {}).status == 401


def test_only_loopback_goes_without_a_token():
    assert [is_loopback(h) for h in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [True] * 4
    assert [is_loopback(h) for h in ("0.0.0.0", "::", "10.0.0.1", "gpu-box", "")] == [False] * 5
    assert access_for("127.0.0.1", TOKEN) == LOCAL
    assert access_for("0.0.0.0", TOKEN) == Access(TOKEN)
    assert len({new_token() for _ in range(9)}) == 9


def test_the_address_has_the_token_where_one_is_needed():
    with listen("127.0.0.1", 0) as one, listen("0.0.0.0", 0) as other:
        port = one.getsockname()[1]
        assert address_of(one, LOCAL) == f"http://127.0.0.1:{port}/"
        address = address_of(other, Access(TOKEN))
        assert address == (f"http://{socket.gethostname()}:{other.getsockname()[1]}/?token={TOKEN}")


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host", "x" * 300, "256.1.1.1"])
def test_an_address_that_is_not_this_machine_s_is_refused(host):
    refused(lambda: listen(host, 0), "can't listen on", "--port")


def test_a_port_that_is_in_use_or_none_is_refused():
    with listen("127.0.0.1", 0) as taken:
        refused(lambda: listen("127.0.0.1", taken.getsockname()[1]), "in use", "--port")
    refused(lambda: listen("127.0.0.1", 70_000), "from 0 to 65535")
