"""A mesh over several slices: copies of the weights keep within one where they can."""

import dataclasses

import jax
import pytest

from glide_jax.parallel import mesh
from glide_jax.parallel.mesh import local_mesh, make_mesh


@dataclasses.dataclass(frozen=True)
class Device:
    """What JAX lays a mesh out by."""

    id: int
    slice_index: int
    process_index: int = 0
    platform: str = "gpu"
    device_kind: str = "any"


def laid_out(fsdp, slices, each, monkeypatch):
    """The slice of each device: [data, fsdp]."""
    monkeypatch.setattr(mesh, "Mesh", lambda devices, axes, axis_types: devices)
    # In no order, as clusters number their slices.
    devices = [Device(i, (i + 1) % slices) for i in range(slices * each)]
    found = make_mesh(fsdp, devices)
    assert {device.id for device in found.flat} == set(range(slices * each))
    return [[device.slice_index for device in row] for row in found]


@pytest.mark.parametrize("fsdp", [1, 2, 4])
def test_a_copy_of_the_weights_is_within_a_slice(fsdp, monkeypatch):
    rows = laid_out(fsdp, 2, 4, monkeypatch)
    assert len(rows) == 8 // fsdp
    assert all(len(set(row)) == 1 for row in rows)


def test_a_copy_over_several_slices_takes_whole_ones(monkeypatch):
    rows = laid_out(8, 4, 4, monkeypatch)
    assert [len(set(row)) for row in rows] == [2, 2]
    assert not set(rows[0]) & set(rows[1])


def test_any_other_number_is_laid_out_slice_by_slice(monkeypatch):
    assert laid_out(6, 3, 4, monkeypatch) == [[0] * 4 + [1] * 2, [1] * 2 + [2] * 4]


def test_one_slice_is_as_jax_lays_it_out():
    assert make_mesh(2).shape == {"data": 4, "fsdp": 2}
    assert local_mesh().devices.size == jax.local_device_count()
