"""Batches: every image once, one shape for all."""

import pytest

from glide_jax.sampling.batching import batches


@pytest.mark.parametrize(
    ("count", "size", "multiple"),
    [(1, 4, 1), (5, 4, 1), (8, 4, 1), (1, 4, 8), (9, 3, 2), (3, 1, 1)],
)
def test_every_image_is_sampled_once_in_batches_of_one_shape(count, size, multiple):
    cut = batches(count, size, multiple)
    assert [batch.slots[slot] for batch in cut for slot in batch.kept] == list(range(count))
    (shape,) = {len(batch.slots) for batch in cut}
    assert shape % multiple == 0
    assert shape < size + multiple
