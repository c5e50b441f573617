"""Schemathesis reads the API's document and sends what fits it, and what does not."""

import importlib.util
import subprocess
import sys

import pytest
from web.serve.serving_toys import Instant, page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("schemathesis") is None,
        reason="the package schemathesis is missing",
    ),
]

UPLOADS = "/api/images"


@pytest.mark.parametrize(
    "flags",
    [
        ["--exclude-path", UPLOADS],
        # What fits the document may still be no image: only decoding can say so.
        ["--include-path", UPLOADS, "--exclude-checks", "positive_data_acceptance"],
    ],
    ids=["json", "uploads"],
)
def test_the_api_is_what_its_document_says(flags, tmp_path):
    with page(Instant.tiny(), batch_size=4) as (served, _):
        document = f"{served.address}/api/openapi.json"
        command = [sys.executable, "-m", "schemathesis.cli", "run", document, *flags]
        command += ["--max-examples=60", "--suppress-health-check=all", "--seed=1"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-6000:]
        assert served.get("/api/info").status == 200
