"""Names of machines, and what is said of those that nobody makes."""

import pytest

from glide_jax.errors import UserError
from glide_jax.planning.topologies import topology_of


@pytest.mark.parametrize(
    ("name", "chips", "layout"),
    [
        ("v5e-16", 16, "v5e:4x4"),
        ("v6e-256", 256, "v6e:16x16"),
        ("v4-128", 64, "v4:4x4x4"),
        ("v5p-64", 32, "v5p:2x4x4"),
        ("h100-8", 8, ""),
        ("h200-24", 24, ""),
    ],
)
def test_a_name_says_how_many_chips_and_how_they_are_wired(name, chips, layout):
    topology = topology_of(name)
    assert (topology.chips, topology.layout) == (chips, layout)
    assert (topology.chip.platform == "gpu") == (layout == "")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("v5e", "must be CHIP-NUMBER, such as v5e-16"),
        ("v5e-", "must be CHIP-NUMBER"),
        ("v5litepod-16", "unknown chip 'v5litepod'"),
        ("h10-8", "did you mean 'h100'"),
        ("v5e-12", "no such slice; there are v5e-4, v5e-8, v5e-16"),
        ("v4-4", "no such slice; there are v4-8"),
        ("h100-0", "one GPU or more"),
    ],
)
def test_a_machine_that_nobody_makes(name, message):
    with pytest.raises(UserError, match=message):
        topology_of(name)
