"""The page of `glide-jax serve` in a real browser: painting, frames, settings, files, screens."""

import numpy as np
import pytest
from PIL import Image
from web.browser_toys import CHROMIUM
from web.serve.faces import cards, current, generate, opened, until, wait_for_cards

pytest.importorskip("playwright.sync_api", reason="the package playwright is missing")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
PROMPT = 'a <b>red</b> "square" & <img src=x onerror=alert(1)> 猫'


@pytest.fixture(scope="module")
def server(browser):
    with opened(browser) as made:
        yield made


@pytest.fixture
def faces(server):
    server.complaints.clear()
    yield server
    for context in server.contexts:
        context.close()
    server.contexts.clear()


def with_image(tab):
    """The page with one image in its editor, and the task that paints on it."""
    generate(tab, Prompt="red square", Seed=1)
    wait_for_cards(tab, 1)
    tab.get_by_text("Inpaint", exact=True).click()
    tab.wait_for_selector("#tools:not([hidden])")
    tab.get_by_label("Resamples").select_option("1")
    return current(tab)


def drag(tab, points):
    """With the mouse, over the canvas; points from 0 to 1."""
    box = tab.locator("#canvas").bounding_box()
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in points]
    tab.mouse.move(*places[0])
    tab.mouse.down()
    for place in places[1:]:
        tab.mouse.move(*place, steps=8)
    tab.mouse.up()


def test_a_prompt_becomes_images_by_keys_alone(faces):
    tab = faces.open()
    tab.get_by_label("Prompt", exact=True).focus()
    tab.keyboard.type(PROMPT)
    tab.get_by_label("Images", exact=True).fill("3")
    tab.keyboard.press("Control+Enter")
    wait_for_cards(tab, 3)
    tab.wait_for_selector("button.tile")
    assert tab.get_by_role("button", name=f"Go on with {PROMPT}").count() == 3
    tab.get_by_role("button", name="Go on with result 2").focus()
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#canvas:not([hidden])")
    assert tab.locator("#strip img").count() == 1
    assert cards(tab).first.locator(".caption").text_content() == PROMPT
    assert faces.complaints == []
    assert faces.hosts == {f"127.0.0.1:{faces.served.port}"}


def test_what_is_painted_is_repainted_and_nothing_else(faces):
    tab = faces.open()
    before = with_image(tab)
    tab.get_by_label("Size of the brush").fill("120")
    drag(tab, [(0.75, -0.0), (0.75, 0.5), (0.75, 1.0), (0.95, 1.0), (0.95, 0.0)])
    generate(tab, Prompt="green square")
    wait_for_cards(tab, 2)
    until(lambda: current(tab) != before)
    old, new = faces.pixels(before), faces.pixels(current(tab))
    np.testing.assert_array_equal(new[:, :8], old[:, :8])
    assert (new[:, 12:] != old[:, 12:]).any()
    # Back to the one before, by the strip.
    tab.locator("#strip button").first.click()
    until(lambda: current(tab) == before)
    assert faces.complaints == []


def mask_levels(tab):
    """How much of the mask is painted, from 0 to 1, by the canvas' own colours."""
    return tab.evaluate("""() => {
      const canvas = document.getElementById("canvas");
      const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      let count = 0;
      const base = window.unpainted;
      if (!base) { window.unpainted = data; return 0; }
      for (let i = 0; i < data.length; i += 4)
        count += Math.abs(data[i] - base[i]) + Math.abs(data[i + 1] - base[i + 1])
          + Math.abs(data[i + 2] - base[i + 2]) > 6;
      return count / (data.length / 4);
    }""")


def test_brush_eraser_undo_invert_clear_and_keys(faces):
    tab = faces.open()
    with_image(tab)
    tab.mouse.move(0, 0)
    assert mask_levels(tab) == 0
    drag(tab, [(0.2, 0.5), (0.8, 0.5)])
    tab.mouse.move(0, 0)
    painted = mask_levels(tab)
    assert 0.02 < painted < 0.3
    tab.keyboard.press("i")
    assert mask_levels(tab) == pytest.approx(1 - painted, abs=0.05)
    tab.keyboard.press("Control+z")
    assert mask_levels(tab) == pytest.approx(painted, abs=0.01)
    tab.keyboard.press("e")
    assert tab.get_by_role("button", name="Eraser").get_attribute("aria-pressed") == "true"
    drag(tab, [(0.1, 0.5), (0.5, 0.5)])
    tab.mouse.move(0, 0)
    assert 0.01 < mask_levels(tab) < 0.8 * painted
    tab.get_by_role("button", name="Clear").click()
    assert mask_levels(tab) == 0
    # By keys alone.
    tab.keyboard.press("b")
    tab.locator("#canvas").focus()
    for key in ("ArrowLeft", "ArrowUp", " ", "ArrowRight", "]", " "):
        tab.keyboard.press(key)
    tab.evaluate("document.activeElement.blur()")
    assert 0.003 < mask_levels(tab) < 0.3


def test_the_frame_is_dragged_beyond_the_image_which_grows(faces):
    tab = faces.open()
    before = with_image(tab)
    tab.keyboard.press("f")
    # The view is 5/3 of the image: a quarter of it is 0.42 of the image, 7 pixels.
    drag(tab, [(0.5, 0.5), (0.75, 0.5)])
    tab.locator("#canvas").focus()
    tab.keyboard.press("ArrowRight")
    generate(tab, Prompt="green square")
    wait_for_cards(tab, 2)
    until(lambda: current(tab) != before)
    old, new = faces.pixels(before), faces.pixels(current(tab))
    moved = new.shape[1] - 16
    assert (new.shape[0], 6 <= moved <= 10) == (16, True)
    np.testing.assert_array_equal(new[:, :16], old)
    pressed = tab.locator("[data-tool][aria-pressed=true]")
    assert pressed.all_text_contents() == ["Brush"]  # the result is there to be painted on
    # The frame is where it was: nothing more is asked for, and the same again downwards.
    tab.keyboard.press("f")
    tab.locator("#canvas").focus()
    for _ in range(5):
        tab.keyboard.press("ArrowDown")
    grown = current(tab)
    generate(tab, Prompt="blue square")
    wait_for_cards(tab, 3)
    until(lambda: current(tab) != grown)
    larger = faces.pixels(current(tab))
    assert larger.shape[0] > 16
    assert larger.shape[1:] == (16 + moved, 4)  # below the old image nothing was sampled
    np.testing.assert_array_equal(larger[:16, :, :3], new)
    # A hole is sampled without anything being painted.
    tab.keyboard.press("f")
    tab.locator("#canvas").focus()
    for _ in range(12):
        tab.keyboard.press("ArrowLeft")
    generate(tab)
    wait_for_cards(tab, 4)
    assert faces.complaints == []


def test_advanced_settings_are_sent(faces):
    tab = faces.open()
    tab.locator("#more summary").click()
    tab.get_by_label("Guidance from, to, its end").fill("0.8")
    tab.get_by_label("Dynamic threshold").fill("0.9")
    tab.get_by_label("Threshold cap").fill("1.5")
    tab.get_by_label("Whole network every").fill("2")
    tab.get_by_label("upsampler: Steps").select_option("10")
    generate(tab, Prompt="red square")
    wait_for_cards(tab, 1)
    # The card is there before it is kept.
    first = "JSON.parse(sessionStorage.getItem('glide_jax'))?.history[0]"
    # A function: an expression would be evaluated again at each look, which the page forbids.
    tab.wait_for_function(f"() => {first}")
    kept = tab.evaluate(f"{first}.provenance")
    settings = kept["settings"]
    assert settings["guidance_interval"] == [0, 0.8]
    assert (settings["dynamic_threshold"], settings["threshold_cap"]) == (0.9, 1.5)
    assert settings["cache_interval"] == 2
    assert kept["overrides"] == ["stages.upsampler.sampling.steps=10"]
    # They come back with the rest.
    tab.get_by_label("Guidance from, to, its end").fill("")
    cards(tab).last.locator("summary").click()
    cards(tab).last.get_by_role("button", name="Same settings").click()
    assert tab.get_by_label("Guidance from, to, its end").input_value() == "0.8"
    assert faces.complaints == []


def test_every_task_and_button_of_the_gallery(faces):
    tab = faces.open()
    first = with_image(tab)
    tab.get_by_text("Image to image", exact=True).click()
    assert not tab.is_visible("#tools")
    generate(tab, Strength="0.4")
    wait_for_cards(tab, 2)
    tab.get_by_text("Enlarge", exact=True).click()
    generate(tab)
    wait_for_cards(tab, 3)
    cards(tab).last.get_by_role("button", name="Again").click()
    wait_for_cards(tab, 4)
    cards(tab).last.get_by_role("button", name="Vary").click()
    wait_for_cards(tab, 5)
    with tab.expect_download() as download:
        cards(tab).last.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "red-square-1-0.png"
    with open(download.value.path(), "rb") as file:
        assert file.read() == faces.served.png(first)
    # The same settings give the same image.
    cards(tab).last.locator("summary").click()
    assert "ddim" in cards(tab).last.locator("dl").text_content()
    cards(tab).last.get_by_role("button", name="Same settings").click()
    assert tab.get_by_label("Seed", exact=True).input_value() == "1"
    tab.get_by_role("button", name="Generate").click()
    wait_for_cards(tab, 6)
    until(lambda: current(tab) != first)
    np.testing.assert_array_equal(faces.pixels(current(tab)), faces.pixels(first))
    assert faces.complaints == []


def test_bad_files_are_one_sentence_and_a_good_one_opens(faces, tmp_path):
    tab = faces.open()
    files = {
        "notes.png": (b"hello", "not an image file"),
        "icon.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "SVG files have no pixels"),
        "photo.heic": (b"\x00\x00\x00\x18ftypheic" + bytes(99), "HEIC files are not read"),
        "empty.png": (b"", "the body is empty"),
    }
    for name, (data, sentence) in files.items():
        (tmp_path / name).write_bytes(data)
        tab.set_input_files("#file", tmp_path / name)
        tab.get_by_role("alert").filter(has_text=sentence).wait_for()
    Image.new("RGB", (40, 20), "red").save(tmp_path / "good.png")
    tab.set_input_files("#file", tmp_path / "good.png")
    tab.wait_for_selector("#tools:not([hidden])")
    assert not tab.get_by_role("alert").is_visible()
    generate(tab)
    tab.get_by_role("alert").filter(has_text="Paint what is to be repainted").wait_for()
    Image.new("L", (10, 30), "white").save(tmp_path / "mask.png")
    tab.set_input_files("#mask-file", tmp_path / "mask.png")
    tab.get_by_role("alert").filter(has_text="use a mask of the image's shape").wait_for()
    mask = Image.new("L", (80, 40), "black")
    mask.paste(255, (40, 0, 80, 40))
    mask.save(tmp_path / "half.png")
    tab.set_input_files("#mask-file", tmp_path / "half.png")
    tab.get_by_label("Resamples").select_option("1")
    generate(tab)
    wait_for_cards(tab, 1)
    red = faces.pixels(current(tab))[:, :7]
    np.testing.assert_array_equal(red, np.broadcast_to([255, 0, 0], red.shape))
    refusals = [text for text in faces.complaints if "400 (Bad Request)" not in text]
    assert refusals == []


def test_twenty_browsers_at_once(faces):
    tabs = [faces.open() for _ in range(20)]
    for i, tab in enumerate(tabs):
        generate(tab, Prompt="red square", Seed=i)
    for tab in tabs:
        wait_for_cards(tab, 1)
    names = [current(tab) for tab in tabs]
    assert len(set(names)) == 20
    images = {faces.pixels(name).tobytes() for name in names}
    assert len(images) == 20
    assert faces.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [{}, PHONE], ids=["desktop", "phone"])
def test_all_can_be_read_and_reached_on_any_screen(faces, scheme, screen):
    tab = faces.open(color_scheme=scheme, reduced_motion="reduce", **screen)
    with_image(tab)
    tab.locator("#more summary").click()
    tab.evaluate("document.getElementById('message').hidden = false")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = dict(tab.evaluate(CONTRASTS))
    assert len(found) > 25
    assert {what: round(c, 2) for what, c in found.items() if c < 4.5} == {}
    if screen:
        for button in tab.get_by_role("button").all():
            if button.is_visible():
                assert button.bounding_box()["height"] >= 44, button.text_content()


CONTRASTS = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const texts = document.querySelectorAll(
    "h1, h2, p, button:enabled, label, summary, a, kbd, input, select, #tasks span, #message-text");
  return [...texts].filter((e) => e.offsetParent).map((e) => {
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))];
    return [e.outerHTML.slice(0, 70), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
  });
}"""
