"""A CPU's cores become devices, unless somebody has said already how many."""

import os
import subprocess
import sys

import pytest

COUNT = "from glide_jax.parallel.mesh import divide_cpu; divide_cpu({}); import jax; "
TOLD = "--xla_force_host_platform_device_count=3"


def devices(count: int, flags: str, before: str = "") -> int:
    code = before + COUNT.format(count) + "print(jax.device_count())"
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    return int(done.stdout)


@pytest.mark.parametrize(
    ("count", "flags", "expected"), [(1, "", 1), (2, "", 2), (2, TOLD, 3)], ids=str
)
def test_as_many_devices_as_asked_for(count, flags, expected):
    assert devices(count, flags) == expected


def test_a_jax_that_has_started_stays_as_it_is():
    assert devices(2, "", before="import jax; jax.devices(); ") == 1
