"""What a program sends between devices is what one counts by hand: eight devices of the tests."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from glide_jax.planning.collectives import Collectives, collectives_of, described

WIDE, TALL, STEPS = 128, 64, 5


@pytest.fixture(scope="module")
def mesh():
    return jax.make_mesh((2, 4), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)


def program(f, mesh, *arrays, out):
    """What f of (shape, spec) sends, and its result's sharding."""
    placed = [
        jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, PartitionSpec(*spec)))
        for shape, spec in arrays
    ]
    sharding = NamedSharding(mesh, PartitionSpec(*out))
    return collectives_of(jax.jit(f, out_shardings=sharding).lower(*placed).compile().as_text())


@pytest.mark.parametrize(
    ("f", "out", "kind", "sent"),
    [
        # Of 4 devices each gets the parts of the 3 others: 3/4 of the array passes each link.
        (lambda x: jax.lax.all_gather(x, "fsdp", axis=1, tiled=True), (), "all-gather", 3 / 4),
        # A device has WIDE/4 columns: of these it keeps a quarter.
        (
            lambda x: jax.lax.psum_scatter(x, "fsdp", scatter_dimension=1, tiled=True),
            (None, "fsdp"),
            "reduce-scatter",
            3 / 4 / 4,
        ),
        (lambda x: jax.lax.psum(x, "fsdp"), (), "all-reduce", 2 * 3 / 4 / 4),
        (
            lambda x: jax.lax.all_to_all(x, "fsdp", 0, 1, tiled=True),
            ("fsdp",),
            "all-to-all",
            3 / 4 / 4,
        ),
        (
            lambda x: jax.lax.ppermute(x, "fsdp", [(i, (i + 1) % 4) for i in range(4)]),
            (None, "fsdp"),
            "collective-permute",
            1 / 4,
        ),
    ],
    ids=["gather", "scatter", "sum", "exchange", "shift"],
)
def test_each_kind(mesh, f, out, kind, sent):
    run = jax.shard_map(
        f,
        mesh=mesh,
        in_specs=PartitionSpec(None, "fsdp"),
        out_specs=PartitionSpec(*out),
        check_vma=False,
    )
    found = program(run, mesh, ((TALL, WIDE), (None, "fsdp")), out=out)
    assert found == Collectives({kind: pytest.approx(4 * TALL * WIDE * sent)})


def test_what_a_loop_sends_counts_at_every_iteration(mesh):
    """Sharded weights of a data-parallel layer, as XLA's partitioner does it."""

    def step(weights, rows):
        def add(total, some):
            def loss(weights):
                return jnp.sum(jnp.sin(some @ weights) ** 2)

            grads = jax.grad(loss)(weights)
            spec = NamedSharding(mesh, PartitionSpec(None, "fsdp"))
            return total + jax.lax.with_sharding_constraint(grads, spec), None

        return jax.lax.scan(add, jnp.zeros_like(weights), rows)[0]

    rows = (STEPS, 16, TALL), (None, "data")
    once = ((TALL, WIDE), (None, "fsdp")), rows
    found = program(step, mesh, *once, out=(None, "fsdp"))
    # Both copies of the weights have gradients of their own rows: those of a quarter are summed.
    gradients = 4 * TALL * WIDE / 4
    assert found == Collectives({"all-reduce": pytest.approx(STEPS * 2 * gradients / 2)})


TPU = """HloModule jit_step, is_scheduled=true, num_partitions=4

%all-reduce-scatter.1 (input: f32[16,64]) -> f32[4,64] {
  %all-reduce.1 = f32[16,64]{1,0:T(8,128)} all-reduce(%input), channel_id=7, \
replica_groups={{0,1,2,3}}, to_apply=%add
  ROOT %slice = f32[4,64]{1,0:T(8,128)} dynamic-slice(%all-reduce.1, %place)
}

%fused_computation.1 (p: bf16[32,8]) -> (bf16[32,8], bf16[32,32]) {
  %all-gather.1 = bf16[32,32]{1,0:T(8,128)(2,1)S(1)} all-gather(%p), channel_id=9, \
replica_groups=mesh['data'=2,'fsdp'=2] {'data','fsdp'}, dimensions={1}
}

%async_collective_fusion.2 (p: bf16[32,8], q: bf16[32,32]) -> (bf16[32,32], u32[]) {
  %all-gather.2 = bf16[32,32]{1,0:T(8,128)(2,1)S(1)} all-gather(%p), channel_id=9, \
replica_groups=mesh['data'=2,'fsdp'=2] {'data','fsdp'}, dimensions={1}
}

%body (arg: (s32[], f32[16,64])) -> (s32[], f32[16,64]) {
  %fusion.1 = (bf16[32,8]{1,0}, bf16[32,32]{1,0}) fusion(%x), kind=kCustom, \
calls=%fused_computation.1
  %fusion.2 = (bf16[32,32]{1,0}, u32[]{:S(2)}) fusion(%x, %y), kind=kOutput, \
calls=%async_collective_fusion.2
  %fusion.3 = f32[4,64]{1,0:T(8,128)S(1)} fusion(%z), kind=kCustom, calls=%all-reduce-scatter.1
}

%condition (arg: (s32[], f32[16,64])) -> pred[] {
  %constant.1 = s32[]{:T(128)} constant(6)
  ROOT %lt = pred[]{:T(512)} compare(%i, %constant.1), direction=LT
}

ENTRY %main (param: f32[16,64]) -> f32[16,64] {
  %while.1 = (s32[]{:T(128)}, f32[16,64]{1,0:T(8,128)}) while(%tuple), \
condition=%condition, body=%body
  %collective-permute-start.1 = (f32[8]{0}, f32[8]{0}, u32[]{:S(2)}, u32[]{:S(2)}) \
collective-permute-start(%v), channel_id=3, source_target_pairs={{0,1},{1,0}}
  %all-reduce.8 = (f32[4]{0}, f32[8]{0}) all-reduce(%a, %b), channel_id=1, \
replica_groups={{0,1,2,3}}, to_apply=%add
  %all-reduce.10 = (f32[4]{0}, f32[8]{0}) all-reduce(%d, %e), channel_id=1, \
replica_groups={{0,1,2,3}}, to_apply=%add
  %all-reduce.9 = f32[2]{0} all-reduce(%c), channel_id=1, replica_groups={{0,1,2,3}}, to_apply=%add
  %collective-permute-done.1 = f32[8]{0} collective-permute-done(%collective-permute-start.1)
}
"""


def test_as_a_tpu_s_compiler_writes_it():
    """A gather lies in several fusions, a reduce-scatter is a fusion, a condition has the limit.

    Sums of other arrays may share a channel, also where their shapes are the same.
    """
    found = collectives_of(TPU)
    assert found == Collectives(
        {
            "all-gather": 6 * 2 * 32 * 32 * 3 / 4,
            "reduce-scatter": 6 * 4 * 16 * 64 * 3 / 4,
            "all-reduce": 2 * 4 * (4 + 8 + 4 + 8 + 2) * 3 / 4,
            "collective-permute": 4 * 8,
        }
    )
    assert found.total == sum(found.sent.values())
    unknown = collectives_of(TPU.replace("constant(6)", "parameter(1)"))
    assert unknown.unread_loops == 1
    assert unknown.sent["all-gather"] == found.sent["all-gather"] / 6


def test_in_words():
    assert described({"all-gather": 1.25e9}) == "all-gather 1.25 GB"
    assert described({}) == "none"
