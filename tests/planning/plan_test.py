"""What a plan says is what XLA says, where XLA is at hand: on the eight devices of the tests."""

import dataclasses

import jax
import pytest
import tiny

from glide_jax.commands import training_run
from glide_jax.errors import UserError
from glide_jax.parallel import mesh as mesh_module
from glide_jax.parallel.mesh import make_mesh
from glide_jax.planning import compiling, plan
from glide_jax.planning.collectives import collectives_of
from glide_jax.planning.compiling import MEMORY_SCHEDULER, Linear
from glide_jax.planning.jobs import planned_jobs
from glide_jax.planning.links import expected_collectives
from glide_jax.planning.lowering import lowered_gradients
from glide_jax.planning.memory import (
    abstract_mesh,
    check_state_fits,
    least_fsdp,
    memory_limit,
    state_bytes,
)
from glide_jax.planning.topologies import Chip, Topology
from glide_jax.training.lowering import abstract_state, lowered_step


def job(*overrides):
    (one,) = planned_jobs(tiny.experiment(*overrides)).stages
    return one


def box(memory_gib, chips=8):
    """Eight GPUs of so much memory."""
    return Topology(f"toy-{chips}", Chip("toy", "gpu", memory_gib, 1e12, 1e9), chips, "")


@pytest.fixture(autouse=True)
def split_even_small_arrays(monkeypatch):
    monkeypatch.setattr(mesh_module, "SMALL", 500)


@pytest.mark.slow
@pytest.mark.parametrize(("fsdp", "microbatch"), [(1, 8), (4, 8)])
def test_arithmetic_comes_to_what_xla_needs_for_the_step(fsdp, microbatch):
    settings = ("stages.base.training.batch_size=128", f"stages.base.training.fsdp={fsdp}")
    microbatches = f"stages.base.training.microbatch_size={microbatch}"
    planned = job(*tiny.ATTENDING, *settings, microbatches)
    step = lowered_step(planned, make_mesh(fsdp)).compile(compiler_options=MEMORY_SCHEDULER)
    memory = step.memory_analysis()
    abstract = abstract_state(planned)
    state = state_bytes(abstract, abstract_mesh(8, fsdp))
    batch = 16 * (8 * 8 * 3 * 4 + 6 * 4 + 6)
    # The step's number, Adam's counters and the seed are a few bytes more.
    assert 0 <= memory.argument_size_in_bytes - state.kept - batch < 100
    activations = compiling.activations(lambda n: lowered_gradients(planned, n), print)
    images, gathered = plan.images_at_once(planned.training, 8), plan.gathered(planned, fsdp)
    need = plan.Need(state, 2 if microbatch else 1, gathered, activations.of(images)).total
    donated = memory.alias_size_in_bytes
    theirs = memory.argument_size_in_bytes + memory.output_size_in_bytes - donated
    theirs += memory.temp_size_in_bytes
    # The partitioner of jax 0.12 rematerialises more of what it reshards: a fifth above this.
    rel = 0.2 if jax.__version_info__ < (0, 12) else 0.25
    assert need == pytest.approx(theirs, rel=rel)
    sent = collectives_of(step.as_text()).sent
    expected = expected_collectives(planned, box(1.0)).sent
    if fsdp == 1:  # once for all microbatches; metrics are a few bytes more
        assert sent == {"all-reduce": pytest.approx(expected["all-reduce"], rel=0.01)}
    else:
        assert sent["all-gather"] == pytest.approx(expected["all-gather"], rel=0.15)
        # A CPU's compiler scatters gradients by a sum of all of them, twice the bytes.
        least = expected["reduce-scatter"] + expected["all-reduce"]
        assert least < sent["all-reduce"] < 2 * least


def test_state_falls_as_the_devices_that_share_it():
    state = abstract_state(job("stages.base.model.channels=64", "text.vocab_size=304"))
    whole = state_bytes(state, abstract_mesh(8, 1))
    assert whole.average == whole.weights == whole.gradients
    assert whole.optimizer == pytest.approx(2 * whole.weights, abs=100)
    for fsdp in (2, 4, 8):
        shared = state_bytes(state, abstract_mesh(8, fsdp))
        assert shared.least == pytest.approx(whole.least / fsdp, rel=0.1 * fsdp)
        assert shared.least < state_bytes(state, abstract_mesh(8, fsdp // 2)).least
    assert least_fsdp(state, 8, whole.least) == 1
    assert least_fsdp(state, 8, 0.6 * whole.least) == 2
    assert least_fsdp(state, 8, 10) is None


def test_a_state_that_cannot_fit_is_refused_with_what_would():
    state = abstract_state(job())
    whole = state_bytes(state, abstract_mesh(8, 1)).least
    check_state_fits("stages.base", state, 1, 8, whole, "toy")
    with pytest.raises(UserError, match=r"GiB of a device with training.fsdp=1, .*fsdp=2"):
        check_state_fits("stages.base", state, 1, 8, whole - 1, "toy")
    with pytest.raises(UserError, match=r"take more devices or larger ones"):
        check_state_fits("stages.upsampler", state, 1, 8, 10, "toy")


def test_training_refuses_it_where_the_devices_report_their_memory(tmp_path, monkeypatch):
    device = dataclasses.make_dataclass("Device", ["stats"])
    device.memory_stats = lambda self: self.stats
    assert memory_limit([device({"bytes_limit": 9}), device({"bytes_limit": 7})]) == 7
    assert memory_limit([device({"bytes_limit": 9}), device(None)]) is None
    training_run.check_memory([job()])  # a CPU reports none
    monkeypatch.setattr(training_run, "free_host_bytes", lambda: 1e6)
    with pytest.raises(UserError, match=r"gradients take .* GiB of a device with training\.fsdp=1"):
        training_run.check_memory([job()])
    monkeypatch.setattr(training_run, "free_host_bytes", lambda: 1e3)
    with pytest.raises(UserError, match=r"base.training.batch_size=8: 8 images of 8×8 take 0"):
        training_run.check_memory([job()])
    monkeypatch.setattr(training_run, "free_host_bytes", lambda: 1e12)
    monkeypatch.setattr(training_run, "memory_limit", lambda devices: 1000)
    with pytest.raises(UserError, match="base: weights, average, optimizer and gradients take"):
        training_run.check_memory([job()])


def test_a_plan_ends_in_what_fits(monkeypatch):
    lines = []
    costs = {"none": 1e9, "products": 0.5e9, "blocks": 1e6}
    monkeypatch.setattr(
        plan.compiling, "activations", lambda lowered, log: Linear(0, costs[lowered(0)])
    )
    monkeypatch.setattr(plan, "lowered_gradients", lambda job, n: job.stage.model.remat)
    monkeypatch.setattr(plan, "step_flops", lambda job: 1e12)
    experiment = tiny.experiment("stages.base.training.batch_size=32")
    plan.plan_stages(experiment, box(20.0), None, estimate=False, log=lines.append)
    assert lines[-1].endswith("of 20 GiB, it fits")
    lines.clear()
    plan.plan_stages(experiment, box(1.5), None, estimate=False, log=lines.append)
    assert lines[-4].endswith("what would fit, by arithmetic:")
    keys = "stages.base.training"
    assert (
        f"stages.base.model.remat=none {keys}.microbatch_size=1 {keys}.fsdp=1: about 0.9"
        in (lines[-3])
    )
    assert f"remat=products {keys}.microbatch_size=2" in lines[-2]
    assert f"remat=blocks {keys}.microbatch_size=4" in lines[-1]
    with pytest.raises(UserError, match="take more devices or larger ones"):
        plan.plan_stages(experiment, box(1e-6), None, estimate=False, log=lines.append)
    costs = dict.fromkeys(costs, 1e12)
    lines.clear()
    plan.plan_stages(experiment, box(1.5), None, estimate=False, log=lines.append)
    assert lines[-1].endswith("nothing on toy-8: take more chips, or larger ones")


def test_what_fits_nothing_is_answered_before_anything_is_compiled(monkeypatch):
    """Sharded, the state fits; with all weights gathered it does not, whatever the activations."""
    monkeypatch.setattr(plan, "step_flops", lambda job: 1e12)
    monkeypatch.setattr(plan, "_measure", lambda job, log: pytest.fail("it compiles"))
    planned, lines = job(), []
    least = state_bytes(abstract_state(planned), abstract_mesh(8, 8)).least
    assert least < 1.1 * least < plan.least_bytes(planned, 8)
    room = box(1.1 * least / 2**30)
    experiment = tiny.experiment("stages.base.training.fsdp=8")
    plan.plan_stages(experiment, room, None, estimate=False, log=lines.append)
    assert "nothing on toy-8 fits it: without activations it takes at least" in lines[-1]


def test_a_stage_that_is_not_there():
    with pytest.raises(UserError, match="unknown stage 'bse'"):
        plan.plan_stages(tiny.experiment(), box(1.0), "bse", estimate=True, log=print)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages.base.training.batch_size=12", "batch_size=12 is not divisible by the 8 devices"),
        ("stages.base.training.fsdp=3", "fsdp=3 does not divide the 8 devices"),
    ],
)
def test_what_does_not_divide_the_chips(override, message):
    with pytest.raises(UserError, match=message):
        plan.plan_stages(tiny.experiment(override), box(1.0), None, estimate=True, log=print)


def test_without_the_tpu_s_compiler(monkeypatch):
    from jax.experimental import topologies

    def missing(**_):
        raise RuntimeError("JAX TPU support not installed; cannot generate TPU topology.")

    monkeypatch.setattr(topologies, "get_topology_desc", missing)
    with pytest.raises(UserError, match=r"pip install 'glide_jax\[tpu\]'"):
        compiling.tpu_devices(_v5e())


@pytest.mark.parametrize(
    ("text", "gib"),
    [
        ("Ran out of memory in memory space hbm. Used 17.25G of 15.75G hbm.", 17.25),
        ("the total memory required for HLO temporaries (768.00G) exceeds available HBM", 768),
        ("something else", None),
    ],
)
def test_a_refusal_says_what_was_needed(text, gib):
    found = compiling._bytes_needed(text)
    assert found == (None if gib is None else int(gib * 2**30))


@pytest.mark.slow
def test_a_step_is_compiled_for_a_tpu_that_is_not_here():
    pytest.importorskip("libtpu")
    devices = compiling.tpu_devices(plan_topology := _v5e())
    planned = job("stages.base.training.batch_size=4")
    lowered = lowered_step(planned, make_mesh(1, devices))
    compiled = compiling.compile_for_tpu(lowered, print)
    kept = state_bytes(abstract_state(planned), abstract_mesh(plan_topology.chips, 1)).kept
    assert compiled.collectives is not None
    assert compiled.arguments > kept
    assert jax.default_backend() == "cpu"


def _v5e():
    from glide_jax.planning.topologies import topology_of

    return topology_of("v5e-4")
