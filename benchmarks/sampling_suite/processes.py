"""Programs in processes of their own, to measure their memory and their start."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any


def answer(program: str, *words: object, **variables: str) -> Mapping[str, Any]:
    """Run a program and return the JSON that it prints last.

    Args:
        program: Python code.
        words: its sys.argv[1:].
        variables: of the environment, besides this process's.
    """
    command = [sys.executable, "-c", program, *map(str, words)]
    environment = os.environ | variables
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])
