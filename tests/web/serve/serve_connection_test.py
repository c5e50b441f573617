"""The page of `glide-jax serve` while things go on: previews, tabs, a reload, a cut connection."""

import contextlib
import dataclasses
import time

import numpy as np
import pytest
from sampling.pipeline_toys import clip_guide
from web.browser_toys import CHROMIUM
from web.serve.faces import Faces, cards, current, generate, opened, until, wait_for_cards
from web.serve.serving_toys import gated, page
from web.wire import Wire

from glide_jax.web.serve import jobs

pytest.importorskip("playwright.sync_api", reason="the package playwright is missing")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]


def jobs_of(faces):
    """The jobs that the server remembers."""
    with faces.worker.lock:
        return list(faces.worker._jobs._jobs.values())


def by_place(captions, images):
    """Of a request's images, CLIP prefers the last."""
    return np.arange(len(images))


def test_previews_come_and_cancel_ends_it(browser):
    with opened(browser, gated()) as faces:
        tab = faces.open()
        generate(tab, Prompt="red square", Images=3)
        faces.pipeline.let(1)
        tab.locator(".tile img").first.wait_for()
        assert tab.locator("#bar").get_attribute("value") is not None
        tab.keyboard.press("Escape")
        tab.wait_for_selector("#progress", state="hidden")
        assert tab.get_by_role("alert").count() == 0
        faces.pipeline.let()
        generate(tab, Prompt="blue square", Images=1)
        wait_for_cards(tab, 1)
        assert cards(tab).first.locator(".caption").text_content() == "blue square"
        assert len(faces.pipeline.batches) == 2
        assert faces.complaints == []


def test_a_reload_midway_loses_nothing(browser):
    with opened(browser, gated()) as faces:
        tab = faces.open()
        generate(tab, Prompt="red square")
        faces.pipeline.let(1)
        tab.locator(".tile img").wait_for()
        tab.reload()
        tab.wait_for_selector("body.ready")
        tab.locator(".tile img").wait_for()
        faces.pipeline.let()
        wait_for_cards(tab, 1)
        until(lambda: current(tab))
        image = current(tab)
        tab.reload()
        tab.wait_for_selector("#canvas:not([hidden])")
        until(lambda: (current(tab), cards(tab).count()) == (image, 1))
        assert len(faces.pipeline.batches) == 1


def test_a_closed_tab_frees_the_device_and_another_one_goes_on(browser, monkeypatch):
    monkeypatch.setattr(jobs, "GRACE_S", 0.5)
    with opened(browser, gated()) as faces:
        tab = faces.open()
        other = faces.tab(faces.contexts[0])
        generate(tab, Prompt="red square")
        until(lambda: len(faces.pipeline.batches) == 1)
        generate(other, Prompt="blue square")
        tab.close()
        time.sleep(1)
        faces.pipeline.let()
        wait_for_cards(other, 1)
        assert cards(other).first.locator(".caption").text_content() == "blue square"
        states = [job.state for job in jobs_of(faces)]
        assert sorted(states) == ["cancelled", "done"]


def test_two_tabs_do_not_mix_while_one_has_the_best_of_several_chosen(browser):
    """Nor does either lose anything where the connection is cut midway."""
    pipeline = dataclasses.replace(gated(), clip=clip_guide(8, score=by_place))
    with opened(browser, pipeline) as faces, Wire(faces.served.port) as wire:
        tab = faces.open(address=wire.address)
        other = faces.tab(tab.context, wire.address)
        tab.locator("#more summary").click()
        generate(tab, Prompt="red square", Keep_the_best_of=4)
        until(lambda: pipeline.batches)
        generate(other, Prompt="blue square")
        pipeline.let(1)
        tab.locator(".tile img").first.wait_for()
        assert (tab.locator(".tile").count(), other.locator(".tile").count()) == (4, 1)
        wire.cut()
        for one in (tab, other):
            one.get_by_role("alert").filter(has_text="connection to the server is lost").wait_for()
        pipeline.let()
        until(lambda: all(job.has_ended for job in jobs_of(faces)))
        wire.mend()
        for one, prompt, index in ((tab, "red square", 3), (other, "blue square", 0)):
            wait_for_cards(one, 1)
            assert cards(one).first.locator(".caption").text_content() == prompt
            one.wait_for_selector("#canvas:not([hidden])")
            first = "JSON.parse(sessionStorage.getItem('glide_jax')).history[0].provenance.index"
            assert one.evaluate(first) == index
            assert one.get_by_role("alert").count() == 0


def test_what_is_cancelled_while_the_connection_is_cut_is_said(browser, monkeypatch):
    monkeypatch.setattr(jobs, "GRACE_S", 0.5)
    with opened(browser, gated()) as faces, Wire(faces.served.port) as wire:
        tab = faces.open(address=wire.address)
        generate(tab, Prompt="red square")
        faces.pipeline.let(1)
        tab.locator(".tile img").wait_for()
        wire.cut()
        time.sleep(1)
        faces.pipeline.let()
        until(lambda: all(job.has_ended for job in jobs_of(faces)))
        wire.mend()
        tab.get_by_role("alert").filter(has_text="was cancelled: the connection").wait_for()
        generate(tab, Prompt="blue square")
        wait_for_cards(tab, 1)
        assert tab.get_by_role("alert").count() == 0


def test_a_server_that_starts_anew_is_said_and_the_page_goes_on(browser):
    pipeline = gated()
    with contextlib.ExitStack() as stack:
        with page(pipeline) as (served, worker):
            faces = Faces(browser, served, worker, pipeline)
            tab = faces.open()
            stack.callback(tab.context.close)
            generate(tab, Prompt="red square")
            until(lambda: pipeline.batches)
        tab.get_by_role("alert").filter(has_text="connection to the server is lost").wait_for()
        with page(port=served.port):
            tab.get_by_role("alert").filter(has_text="started anew").wait_for()
            generate(tab, Prompt="blue square")
            wait_for_cards(tab, 1)
