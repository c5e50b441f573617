"""Programs in processes of their own, so that their memory and their start are their own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any


def answer(program: str, *words: object, **variables: str) -> Mapping[str, Any]:
    """Run a program; what it prints last is JSON, and the answer.

    Args:
        program: Python.
        words: its sys.argv[1:].
        variables: of the environment, beside those that are there.
    """
    command = [sys.executable, "-c", program, *map(str, words)]
    environment = os.environ | variables
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])
