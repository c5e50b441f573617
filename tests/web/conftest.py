"""The browser that the tests of pages share."""

import pytest
from web.browser_toys import CHROMIUM, FLAGS


@pytest.fixture(scope="module")
def browser():
    driving = pytest.importorskip("playwright.sync_api")
    with driving.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()
