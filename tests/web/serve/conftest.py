"""The server and the image that the tests of its API share."""

import pytest
from web.serve.serving_toys import noise, page, png


@pytest.fixture(scope="module")
def served():
    with page() as (made, _):
        yield made


@pytest.fixture(scope="module")
def image(served):
    return served.upload(png(noise(16, 16, 3))).json["id"]
