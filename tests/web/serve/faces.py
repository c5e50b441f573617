"""The page of `glide-jax serve` in a browser: who opens it, what they do, what it shows."""

import contextlib
import time

from web.serve.serving_toys import page


class Faces:
    """A server, the browsers that are open on it, and what their pages complain of."""

    def __init__(self, browser, served, worker, pipeline):
        self.served, self.worker, self.pipeline = served, worker, pipeline
        self._browser = browser
        self.contexts, self.complaints, self.hosts = [], [], set()

    def open(self, *, address=None, **keywords):
        context = self._browser.new_context(accept_downloads=True, **keywords)
        context.set_default_timeout(60_000)
        self.contexts.append(context)
        return self.tab(context, address)

    def tab(self, context, address=None):
        tab = context.new_page()
        tab.on("console", lambda message: self.complaints.append(message.text))
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        tab.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        tab.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        tab.goto(address or self.served.address)
        tab.wait_for_selector("body.ready")
        return tab

    def pixels(self, image_id):
        return self.served.pixels(image_id)


@contextlib.contextmanager
def opened(browser, pipeline=None):
    with page(pipeline) as (served, worker):
        made = Faces(browser, served, worker, pipeline)
        try:
            yield made
        finally:
            if pipeline is not None:
                pipeline.let()
            for context in made.contexts:
                context.close()


def generate(tab, **fields):
    for name, value in fields.items():
        tab.get_by_label(name.replace("_", " "), exact=True).fill(str(value))
    tab.get_by_role("button", name="Generate").click()


def cards(tab):
    return tab.locator("#cards > li")


def current(tab):
    """The name of the image that the editor shows."""
    return tab.evaluate("JSON.parse(sessionStorage.getItem('glide_jax')).current")


def wait_for_cards(tab, count):
    tab.wait_for_function("n => document.querySelectorAll('#cards > li').length === n", arg=count)


def until(reached):
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)
