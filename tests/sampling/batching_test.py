"""Batches: every image once, one shape for all."""

import pytest

from glide_jax.sampling.batching import batch_size, batches, prompts_in_a_part


@pytest.mark.parametrize(
    ("count", "size", "multiple"),
    [(1, 4, 1), (5, 4, 1), (8, 4, 1), (1, 4, 8), (9, 3, 2), (3, 1, 1)],
)
def test_every_image_is_sampled_once_in_batches_of_one_shape(count, size, multiple):
    cut = batches(count, batch_size(count, size, multiple))
    assert [batch.slots[slot] for batch in cut for slot in batch.kept] == list(range(count))
    (shape,) = {len(batch.slots) for batch in cut}
    assert shape % multiple == 0
    assert shape < size + multiple


@pytest.mark.parametrize(
    ("per_prompt", "sizes", "prompts"),
    [((1,), (64,), 64), ((1, 1), (64, 16), 64), ((1, 1), (4, 6), 12), ((8, 2), (64, 16), 8)],
)
def test_a_part_fills_whole_batches_of_every_stage(per_prompt, sizes, prompts):
    assert prompts_in_a_part(per_prompt, sizes) == prompts
    assert all(prompts * n % size == 0 for n, size in zip(per_prompt, sizes, strict=True))
