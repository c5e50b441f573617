"""Images of the rows, each changed by a request of its own."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
    from glide_jax.sampling.pipeline import Pipeline
    from glide_jax.sampling.request import SampleRequest, Subject

_AT_ONCE = 64


def edited(
    pipeline: "Pipeline",
    prompts: "PromptSet",
    request_of: "Callable[[int, Subject], SampleRequest]",
) -> np.ndarray:
    """Sample one image of each row, many at once.

    Args:
        pipeline: what samples.
        prompts: the rows'.
        request_of: (row, what it asks for) → a request for one image of it.

    Returns:
        uint8[rows h w 3]; image i is image i of its seed.
    """
    from glide_jax.sampling.sharing import Row

    requests = [request_of(i, subject) for i, subject in enumerate(prompts.subjects)]
    rows = [Row(dataclasses.replace(one, indices=(i,)), 0) for i, one in enumerate(requests)]
    outputs, size = [], min(_AT_ONCE, len(rows))
    for first in range(0, len(rows), size):
        outputs += pipeline.sample_rows(rows[first : first + size], batch_size=size)
    return np.concatenate([output.arrays for output in outputs])
