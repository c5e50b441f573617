"""Where a run's processes meet: by arguments, by torchrun's variables, by JAX's clusters."""

import pytest

from glide_jax.errors import UserError
from glide_jax.parallel.cluster import Place, of_torch, place_of

TORCH = {"MASTER_ADDR": "a", "MASTER_PORT": "29500", "WORLD_SIZE": "4", "RANK": "3"}
SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[3-4]",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
}


@pytest.fixture
def environment(monkeypatch):
    def put(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    for name in (*TORCH, *SLURM, "LOCAL_WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_USE_AGENT_STORE"):
        monkeypatch.delenv(name, raising=False)
    return put


def test_arguments_say_it_all():
    assert place_of("host:1234", 4, 3) == Place("host:1234", 4, 3, None)


@pytest.mark.parametrize(
    ("extra", "place"),
    [
        ({}, Place("a:29500", 4, 3, None)),
        ({"LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": "1"}, Place("a:29500", 4, 3, (1,))),
        ({"TORCHELASTIC_USE_AGENT_STORE": "True"}, Place("a:29501", 4, 3, None)),
    ],
    ids=["a process a host", "a process a device", "torchrun itself listens there"],
)
def test_torchrun_s_variables_are_read(extra, place, environment):
    environment(TORCH | extra)
    assert place_of("auto", None, None) == place


def test_without_one_of_them_it_is_something_else():
    assert of_torch({name: value for name, value in TORCH.items() if name != "RANK"}) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [({"RANK": "4"}, "less than WORLD_SIZE=4"), ({"MASTER_PORT": "x"}, "must be an integer")],
    ids=str,
)
def test_variables_that_make_no_sense_are_one_line(change, message):
    with pytest.raises(UserError, match=message):
        of_torch(TORCH | change)


def test_slurm_s_are_read_as_jax_reads_them(environment):
    environment(SLURM)
    place = place_of("auto", None, None)
    assert place.coordinator.startswith("node3:")
    assert place[1:] == (8, 5, (1,))


def test_no_cluster_is_one_line(environment, monkeypatch):
    from jax._src import clusters

    monkeypatch.setattr(clusters.ClusterEnv, "_cluster_types", [])
    with pytest.raises(UserError, match=r"finds no Slurm, .* here, nor MASTER_ADDR"):
        place_of("auto", None, None)
