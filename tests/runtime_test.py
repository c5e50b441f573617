"""The process's global state: the commands set it, the library leaves it alone."""

import logging
import os
import subprocess
import sys

import jax
import pytest

from glide_jax import runtime

COUNT = "from glide_jax.runtime import split_cpu; split_cpu({}); import jax; "
FLAG_OF_3 = "--xla_force_host_platform_device_count=3"


def devices(count: int, flags: str, before: str = "") -> int:
    code = before + COUNT.format(count) + "print(jax.device_count())"
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    return int(done.stdout)


@pytest.mark.parametrize(
    ("count", "flags", "expected"), [(1, "", 1), (2, "", 2), (2, FLAG_OF_3, 3)], ids=str
)
def test_as_many_devices_as_asked_for(count, flags, expected):
    assert devices(count, flags) == expected


def test_a_jax_that_has_started_stays_as_it_is():
    assert devices(2, "", before="import jax; jax.devices(); ") == 1


def test_what_a_person_set_of_the_cache_stays(monkeypatch):
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", "/elsewhere")
    try:
        runtime.enable_compilation_cache()
        assert jax.config.values["jax_compilation_cache_dir"] == "/elsewhere"
        jax.config.update("jax_compilation_cache_dir", None)
        monkeypatch.setenv("HOME", "/home/somebody")
        runtime.enable_compilation_cache()
        kept = jax.config.values["jax_compilation_cache_dir"]
        assert kept == "/home/somebody/.cache/glide_jax/compiled"
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_notes_are_printed_once_however_often_it_is_configured(capsys):
    for _ in range(2):
        runtime.show_notes()
    logging.getLogger("glide_jax.data.folder").info("a note")
    assert capsys.readouterr().out == "a note\n"


IMPORTS = """
import json, logging, os, sys
import jax
def state():
    values = {name: repr(value) for name, value in jax.config.values.items()}
    log = logging.getLogger("absl")
    return [values, os.environ.get("XLA_FLAGS"), repr(sys.unraisablehook), len(log.filters)]
before = state()
import glide_jax.sampling.pipeline, glide_jax.training.loop, glide_jax.checkpoints
import glide_jax.runtime, glide_jax.cli, glide_jax.main
after = state()
# Flax adds options of its own to jax.config; what was there must be as it was.
after[0] = {name: after[0][name] for name in before[0]}
print(json.dumps([a for a, b in zip(before, after) if a != b]))
"""


def test_an_import_changes_no_global_state():
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr[-2000:]
