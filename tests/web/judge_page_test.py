"""The judges' page over HTTP: blind, each trial once, and alive whatever is sent to it."""

import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import numpy as np
import pytest
from evaluation.judging.judging_toys import PROMPTS, sample
from PIL import Image
from web.web_toys import LOCAL, serving

from glide_jax.evaluation.judging.comparison import compare
from glide_jax.evaluation.judging.questions import QUESTIONS, find_questions
from glide_jax.evaluation.judging.reading import read_models
from glide_jax.evaluation.judging.votes import Votes
from glide_jax.web.judge import judge_application
from glide_jax.writing import DiskError

COLOURS = {"guided": 40, "unguided": 200}
TOTAL = len(PROMPTS) * (1 + 1 + 2)


class Judged:
    """A comparison in a folder, and its votes."""

    def __init__(self, folder):
        self.folders = {m: sample(folder / m, colour=colour) for m, colour in COLOURS.items()}
        self.file = folder / "votes.sqlite"

    def serving(self, votes, port=0):
        images = read_models([str(path) for path in self.folders.values()], None, lambda *_: None)
        compared = compare(images, find_questions(QUESTIONS), skip_unpaired=False)
        return serving(judge_application(compared, votes, LOCAL), port)


@pytest.fixture
def judged(tmp_path):
    return Judged(tmp_path)


@pytest.fixture
def votes(judged):
    with Votes(judged.file) as file:
        yield file


@pytest.fixture
def page(judged, votes):
    with judged.serving(votes) as served:
        yield served


def next_of(page, judge):
    reply = page.get(f"/api/next?judge={quote(judge)}")
    assert reply.status == 200
    return reply.json


def vote(page, judge, trial, answer=None):
    answer = answer or trial["answers"][0]["value"]
    return page.post("/api/votes", {"judge": judge, "trial": trial["id"], "answer": answer})


def judge_all(page, judge):
    """The trials that a judge was given until there were none."""
    reply, given = next_of(page, judge), []
    while reply["trial"]:
        given.append(reply["trial"])
        reply = vote(page, judge, reply["trial"]).json
        assert reply["stored"]
        assert (reply["answered"], reply["total"]) == (len(given), TOTAL)
        assert reply["last"] == given[-1]["id"]
    return given


def test_a_judge_sees_nothing_of_whose_an_image_is(page):
    for trial in judge_all(page, "Ada"):
        text = json.dumps(trial)
        assert not any(word in text for word in (*COLOURS, "secret-model", "sqlite"))
        assert (trial["caption"] in PROMPTS) == (
            trial["question"] != QUESTIONS["photorealism"].text
        )
        for path in trial["images"]:
            reply = page.get(path)
            assert reply.headers["content-type"] == "image/png"
            image = Image.open(io.BytesIO(reply.body))
            assert image.info == {}
            assert np.asarray(image)[-1, -1, 0] in COLOURS.values()


def test_the_stored_sides_are_those_that_were_shown(page, votes):
    shown = {}
    for trial in judge_all(page, "Ada"):
        arrays = [np.asarray(Image.open(io.BytesIO(page.get(i).body))) for i in trial["images"]]
        shown[trial["id"]] = tuple(int(array[-1, -1, 0]) for array in arrays)
    stored = votes.all()
    assert [tuple(COLOURS[m] for m in vote.shown) for vote in stored] == list(shown.values())
    assert {vote.answer for vote in stored} == {"left", "yes"}


def test_an_answer_twice_is_one_vote(page, votes):
    trial = next_of(page, "Ada")["trial"]
    assert vote(page, "Ada", trial).json["stored"]
    for answer in (trial["answers"][0]["value"], trial["answers"][2]["value"]):
        again = vote(page, "Ada", trial, answer)
        assert (again.status, again.json["stored"]) == (200, False)
        assert again.json["trial"]["id"] != trial["id"]
    assert [v.answer for v in votes.all()] == [trial["answers"][0]["value"]]


def test_twenty_judges_at_once_and_each_in_two_tabs(page, votes):
    barrier = threading.Barrier(20)

    def work(i):
        barrier.wait()
        reply = next_of(page, f"judge {i // 2}")
        while reply["trial"]:
            reply = vote(page, f"judge {i // 2}", reply["trial"]).json
        return reply["answered"]

    with ThreadPoolExecutor(20) as threads:
        assert list(threads.map(work, range(20))) == [TOTAL] * 20
    stored = votes.all()
    assert len(stored) == 10 * TOTAL
    assert len({(*vote[:4], frozenset(vote.shown)) for vote in stored}) == 10 * TOTAL


def test_undo_asks_the_same_again_and_only_once(page, votes):
    assert next_of(page, "Ada")["last"] is None
    first = next_of(page, "Ada")["trial"]
    last = vote(page, "Ada", first).json["last"]
    vote(page, "Ada", next_of(page, "Ada")["trial"])
    for _ in range(2):  # a double click
        reply = page.post("/api/undo", {"judge": "Ada", "trial": last}).json
        assert (reply["trial"], reply["answered"]) == (first, 1)
    assert vote(page, "Ada", first, first["answers"][1]["value"]).json["stored"]
    assert len(votes.all()) == 2
    page.post("/api/undo", {"judge": "Ben", "trial": last})
    assert len(votes.all()) == 2


def test_a_restart_goes_on_where_it_was(judged):
    with Votes(judged.file) as votes, judged.serving(votes) as page:
        first = next_of(page, "Ada")["trial"]
        upcoming = vote(page, "Ada", first).json
    with Votes(judged.file) as votes, judged.serving(votes, page.port) as page:
        again = next_of(page, "Ada")
        assert (again["trial"], again["answered"]) == (upcoming["trial"], 1)
        # A tab of the day before sends its answer once more.
        assert vote(page, "Ada", first).json["stored"] is False
        assert vote(page, "Ada", again["trial"]).json["stored"]


GOOD = {"judge": "Ada", "answer": "left"}


@pytest.mark.parametrize(
    ("fields", "status", "word"),
    [
        ({"answer": "best"}, 400, "no answer 'best'"),
        ({"answer": ""}, 400, "no answer"),
        ({"answer": None}, 400, "'answer' must be text"),
        ({"answer": ["left"]}, 400, "'answer' must be text"),
        ({"trial": "0" * 32}, 404, "no such trial"),
        ({"trial": "../../votes"}, 404, "no such trial"),
        ({"trial": "' OR 1=1 --"}, 404, "no such trial"),
        ({"trial": 7}, 400, "'trial' must be text"),
        ({"judge": ""}, 400, "Give a name"),
        ({"judge": "x" * 41}, 400, "at most 40"),
        ({"judge": "a\0b"}, 400, "can be shown"),
        ({"judge": "\ud800"}, 400, "can be shown"),
        ({"judge": {"a": 1}}, 400, "'judge' must be text"),
    ],
    ids=str,
)
def test_a_wrong_vote_is_one_sentence_and_no_vote(fields, status, word, page, votes):
    good = GOOD | {"trial": next_of(page, "Ada")["trial"]["id"]}
    reply = page.post("/api/votes", good | fields)
    assert (reply.status, list(reply.json)) == (status, ["error"])
    assert word in reply.json["error"]
    del good[next(iter(fields))]
    assert page.post("/api/votes", good).status == 400
    assert votes.all() == []


@pytest.mark.parametrize(
    "query", ["", "?judge=", "?judge=%00", "?judge=%ff%fe%00", f"?judge={'x' * 99}"]
)
def test_next_without_a_name_is_one_sentence(query, page):
    reply = page.get(f"/api/next{query}")
    assert (reply.status, list(reply.json)) == (400, ["error"])


@pytest.mark.parametrize(
    "name", ["0" * 32, "..", "%2e%2e", "..%2f..%2fvotes.sqlite", "a'b", "%00", "é"]
)
def test_an_unknown_image_is_404(name, page):
    reply = page.get(f"/images/{quote(name, safe='%')}.png")
    assert (reply.status, list(reply.json)) == (404, ["error"])


@pytest.mark.parametrize("spoil", ["delete", "cut", "replace"])
def test_a_spoilt_image_is_left_out_and_the_rest_goes_on(spoil, judged, page, caplog):
    file = sorted(judged.folders["guided"].iterdir())[0]
    if spoil == "delete":
        file.unlink()
    elif spoil == "cut":
        file.write_bytes(file.read_bytes()[:50])
    else:
        Image.new("RGB", (8, 8)).save(file)
    gone, seen = 0, []
    reply = next_of(page, "Ada")
    while trial := reply["trial"]:
        replies = [page.get(path) for path in trial["images"]]
        if all(r.status == 200 for r in replies):
            seen.append(trial)
            reply = vote(page, "Ada", trial).json
        else:
            gone += 1
            assert "next one" in next(r for r in replies if r.status != 200).json["error"]
            reply = next_of(page, "Ada")
            assert reply["trial"] != trial
    assert gone == 1
    assert len(seen) == TOTAL - 3
    assert str(file) in caplog.text


def test_a_disk_that_is_full_is_said_and_tried_again(page, votes, monkeypatch):
    trial = next_of(page, "Ada")["trial"]

    def full(*_):
        raise DiskError("can't use votes.sqlite: database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(votes, "cast", full)
        reply = vote(page, "Ada", trial)
    assert (reply.status, "full" in reply.json["error"]) == (503, True)
    assert vote(page, "Ada", trial).json["stored"]


def test_the_page_itself_is_small_and_calls_nobody(page):
    size = 0
    for name in ("", "judge.js", "judge.css", "common.css", "icon.svg"):
        reply = page.get(f"/{name}")
        assert reply.status == 200
        size += len(reply.body)
        text = reply.body.decode().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text
        assert "@import" not in text
    assert size <= 60_000
