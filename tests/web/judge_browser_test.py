"""The judges' page in a real browser: keys, clicks, double clicks, reloads, tabs, a lost server."""

import contextlib
import itertools
import json
import time

import pytest
from evaluation.judging.judging_toys import sample
from web.browser_toys import CHROMIUM
from web.web_toys import LOCAL, serving

from glide_jax.evaluation.judging.comparison import compare
from glide_jax.evaluation.judging.questions import QUESTIONS, find_questions
from glide_jax.evaluation.judging.reading import read_models
from glide_jax.evaluation.judging.votes import Votes
from glide_jax.web.judge import judge_application

pytest.importorskip("playwright.sync_api", reason="the package playwright is missing")


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]

SETTLED = "body:not(.waiting) #trial:not([hidden])"
SETTLE_MS = 400
"""The page takes no answer for 350 ms, see judge.js."""
PROMPTS = ("a red circle", 'a <b>blue</b> "square" & <img src=x onerror=alert(1)>', "猫 🐈")
PHONE = {
    "viewport": {"width": 360, "height": 740},
    "is_mobile": True,
    "has_touch": True,
}


class Judging:
    """A comparison that is served, and what its pages complain of."""

    def __init__(self, folder, browser, questions):
        folders = [sample(folder / name, PROMPTS, i) for i, name in enumerate(("one", "two"))]
        images = read_models([str(path) for path in folders], None, lambda *_: None)
        self.folder = folder
        self._compared = compare(images, find_questions(questions), skip_unpaired=False)
        self._browser = browser
        self._stack = contextlib.ExitStack()
        self.contexts, self.complaints, self.hosts = [], [], set()
        self.votes = Votes(folder / "votes.sqlite")
        self.port = 0
        self.start()

    def start(self):
        app = judge_application(self._compared, self.votes, LOCAL)
        self.served = self._stack.enter_context(serving(app, self.port))
        self.port = self.served.port

    def stop(self):
        self._stack.close()

    def open(self, name="Ada", **keywords):
        """The page in a browser of its own, its first trial shown."""
        context = self._browser.new_context(**keywords)
        context.set_default_timeout(60_000)
        self.contexts.append(context)
        return self.tab(context, name)

    def tab(self, context, name=None):
        page = context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        page.goto(self.served.address)
        if name is not None:
            page.get_by_label("Your name").fill(name)
            page.keyboard.press("Enter")
        settle(page)
        return page

    def answers(self):
        return [vote.answer for vote in self.votes.all()]


@pytest.fixture
def judging(tmp_path, browser, request):
    made = Judging(tmp_path, browser, getattr(request, "param", ["photorealism"]))
    yield made
    for context in made.contexts:
        context.close()
    made.stop()
    made.votes.close()


def settle(page):
    page.wait_for_selector(SETTLED)
    page.wait_for_timeout(SETTLE_MS)


def until(reached):
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answer(page, key):
    """Press a key and wait for the next trial, or the end."""
    before = page.text_content("#count")
    page.keyboard.press(key)
    page.wait_for_function(
        "before => document.getElementById('count').textContent != before", arg=before
    )
    page.wait_for_selector("body:not(.waiting)")
    page.wait_for_timeout(SETTLE_MS)


@pytest.mark.parametrize("judging", [list(QUESTIONS)], indirect=True)
def test_everything_can_be_judged_by_keys_alone(judging):
    page = judging.open()
    keys = itertools.cycle(["ArrowLeft", "ArrowDown", "ArrowRight"])
    singles = itertools.cycle(["y", "s", "n"])
    shown = set()
    while page.is_visible("#trial"):
        question = page.get_by_role("heading").text_content()
        images = page.get_by_role("img").all()
        names = [image.get_attribute("alt") for image in images]
        buttons = [b.text_content().split()[0] for b in page.locator("#answers button").all()]
        if question == QUESTIONS["alignment"].text:
            assert (names, buttons) == (["The image"], ["Yes", "Somewhat", "No"])
            key = next(singles)
        else:
            assert (names, buttons) == (["Left image", "Right image"], ["Left", "Neither", "Right"])
            key = next(keys)
        caption = page.text_content("#caption") if page.is_visible("#caption") else None
        assert (caption is None) == (question == QUESTIONS["photorealism"].text)
        shown.add((question, caption))
        assert all(image.evaluate("i => i.naturalWidth") == 8 for image in images)
        answer(page, key)
    assert {caption for _, caption in shown} == {None, *PROMPTS}
    assert {question for question, _ in shown} == {q.text for q in QUESTIONS.values()}
    page.get_by_role("heading", name="Thank you").wait_for()
    assert page.text_content("#count") == "12 of 12 answered"
    assert sorted(set(judging.answers())) == sorted(
        ["left", "neither", "right", "yes", "somewhat", "no"]
    )
    assert judging.complaints == []
    assert judging.hosts == {f"127.0.0.1:{judging.port}"}


def test_a_double_click_is_one_answer(judging):
    page = judging.open()
    page.get_by_role("button", name="Neither").dblclick()
    settle(page)
    page.wait_for_timeout(500)
    assert judging.answers() == ["neither"]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    settle(page)
    page.wait_for_timeout(500)
    assert judging.answers() == ["neither", "left"]
    box = page.get_by_role("button", name="Right").bounding_box()
    for _ in range(5):
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.get_by_role("heading", name="Thank you").wait_for()
    assert judging.answers() == ["neither", "left", "right"]


def test_a_click_on_an_image_chooses_it_and_undo_takes_it_back(judging):
    page = judging.open()
    sources = [image.get_attribute("src") for image in page.get_by_role("img").all()]
    assert page.get_by_role("button", name="Undo last answer").is_disabled()
    page.get_by_role("img", name="Right image").click()
    until(lambda: judging.answers() == ["right"])
    settle(page)
    page.get_by_role("button", name="Undo last answer").dblclick()
    until(lambda: judging.answers() == [])
    settle(page)
    assert [image.get_attribute("src") for image in page.get_by_role("img").all()] == sources
    answer(page, "1")
    answer(page, "2")
    page.keyboard.press("u")
    until(lambda: judging.answers() == ["left"])


def test_whoever_goes_by_tab_stays_where_they_are(judging):
    page = judging.open()
    for name in ("Left", "Neither"):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.textContent")
        assert focused.startswith(name)
    page.keyboard.down("Enter")
    page.keyboard.down("Enter")  # it repeats while it is held
    until(lambda: judging.answers() == ["neither"])
    settle(page)
    page.keyboard.down("Enter")
    page.wait_for_timeout(500)
    assert judging.answers() == ["neither"]
    page.keyboard.up("Enter")
    page.keyboard.press("Enter")
    until(lambda: judging.answers() == ["neither", "neither"])


def test_a_reload_goes_on_and_another_judge_begins(judging):
    page = judging.open("Ada")
    answer(page, "ArrowLeft")
    sources = [image.get_attribute("src") for image in page.get_by_role("img").all()]
    page.reload()
    settle(page)
    assert page.text_content("#count") == "1 of 3 answered"
    assert [image.get_attribute("src") for image in page.get_by_role("img").all()] == sources
    page.get_by_role("button", name="Not Ada?").click()
    page.get_by_label("Your name").fill("   Ben ")
    page.get_by_role("button", name="Start").click()
    settle(page)
    assert page.text_content("#count") == "0 of 3 answered"
    answer(page, "ArrowRight")
    assert [(v.judge, v.answer) for v in judging.votes.all()] == [("Ada", "left"), ("Ben", "right")]


def test_two_tabs_of_one_judge_are_one_vote_a_trial(judging):
    first = judging.open()
    second = judging.tab(judging.contexts[0])
    answer(first, "ArrowLeft")
    answer(second, "ArrowRight")
    assert judging.answers() == ["left"]
    assert "first answer counts" in second.get_by_role("alert").text_content()
    answer(second, "ArrowDown")
    assert judging.answers() == ["left", "neither"]
    assert not second.get_by_role("alert").is_visible()


def test_an_answer_waits_for_a_lost_server(judging):
    page = judging.open()
    judging.stop()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("alert").filter(has_text="kept here and sent again").wait_for()
    page.keyboard.press("ArrowRight")  # a person who is impatient
    judging.start()
    until(lambda: judging.answers() == ["left"])
    settle(page)
    assert not page.get_by_role("alert").is_visible()
    assert page.text_content("#count") == "1 of 3 answered"


def test_a_name_that_can_t_be_and_a_lost_image_are_said(judging):
    page = judging.open()
    page.evaluate("localStorage.setItem('glide_jax judge', 'a' + String.fromCharCode(0x202e))")
    page.reload()
    page.get_by_role("alert").filter(has_text="can be shown").wait_for()
    page.get_by_label("Your name").fill("Ada")
    for file in (judging.folder / "one").iterdir():
        file.unlink()
    page.get_by_role("button", name="Start").click()
    settle(page)  # the browser still has these images
    page.keyboard.press("ArrowLeft")
    page.get_by_role("heading", name="Thank you").wait_for()
    assert "can't be read any more" in page.get_by_role("alert").text_content()
    assert page.text_content("#count") == "1 of 1 answered"


@pytest.mark.parametrize("judging", [list(QUESTIONS)], indirect=True)
def test_a_phone_has_no_sideways_scrolling_and_large_buttons(judging):
    page = judging.open(**PHONE)
    seen = set()
    while page.is_visible("#trial"):
        seen.add(page.text_content("#question"))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for button in page.get_by_role("button").all():
            box = button.bounding_box()
            assert box["height"] >= 44
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 360
        count = page.text_content("#count")
        page.locator("#answers button").first.tap()
        page.wait_for_function(
            "before => document.getElementById('count').textContent != before", arg=count
        )
        page.wait_for_selector("body:not(.waiting)")
        page.wait_for_timeout(SETTLE_MS)
    assert len(seen) == 3
    assert len(judging.answers()) == 12


CONTRASTS = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
  };
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  document.getElementById("message").hidden = false;
  document.getElementById("undo").disabled = false;
  const texts = document.querySelectorAll("h1, p, button, blockquote, label, kbd, .message");
  return [...texts].map((e) => {
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))];
    return [e.outerHTML.slice(0, 60), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_schemes(scheme, judging):
    page = judging.open(color_scheme=scheme, reduced_motion="reduce")
    found = dict(page.evaluate(CONTRASTS))
    assert len(found) > 8
    assert {what: round(c, 2) for what, c in found.items() if c < 4.5} == {}
    grounds = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(json.loads(grounds.replace("rgb(", "[").replace(")", "]")))
    assert (brightness > 380) == (scheme == "light")
