"""Images of several requests in one batch, each image what it would be alone in that batch.

Rows of a SampleRequest are independent: each has its own seed, index, caption, scale and image. So
those of other requests may stand in the slots of a batch that one request leaves empty, if all run
the same program with the same numbers.
"""

import dataclasses
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from glide_jax.sampling.request import SampleRequest, Settings, StageEdit
from glide_jax.sampling.run import RunResult


class Row(NamedTuple):
    """One image of a request.

    Attributes:
        request: of any task.
        place: which of its images.
    """

    request: SampleRequest
    place: int


def sharing_key(request: SampleRequest) -> Hashable:
    """Requests with equal keys may share a batch.

    They have the same task, first stage, settings but for the guidance scale, strength and negative
    prompts. A request that is guided shares with none that is not: half of its work would be
    another program's.
    """
    settings = request.settings
    guided = any(scale != 1 for scale in settings.guidance_scales)
    negatives = frozenset(subject.negative_prompt for subject in request.subjects)
    sampling = dataclasses.replace(settings.sampling, guidance_scale=1.0)
    return (
        (request.task, request.first_stage, request.strength),
        dataclasses.replace(settings, sampling=sampling, guidance_scales=()),
        negatives if guided else None,
        request.edit(0).known is None,
    )


def shared_request(rows: Sequence[Row], size: int) -> SampleRequest:
    """One request for the images of several.

    Args:
        rows: one or more, whose requests have one `sharing_key`.
        size: of the batch; slots that are left show the first row's image once more.

    Returns:
        A request of `size` images, of which the first are the rows'.
    """
    rows = [*rows, *[rows[0]] * (size - len(rows))]
    first = rows[0].request
    scales = tuple(row.request.settings.guidance_scales[row.place] for row in rows)
    sampling = dataclasses.replace(first.settings.sampling, batch_size=size)
    guides = first.settings.clip_scale, first.settings.classifier_scale
    low_res = None
    if first.low_res is not None:
        low_res = np.stack([_low_res(row) for row in rows])
    return SampleRequest(
        task=first.task,
        subjects=tuple(row.request.subjects[row.place] for row in rows),
        indices=tuple(row.request.indices[row.place] for row in rows),
        seeds=tuple(row.request.seeds[row.place] for row in rows),
        settings=Settings(sampling, scales, *guides),
        first_stage=first.first_stage,
        low_res=low_res,
        edits=tuple(_stacked(rows, place) for place in range(len(first.edits))),
        strength=first.strength,
    )


def _low_res(row: Row) -> np.ndarray:
    assert row.request.low_res is not None
    return row.request.low_res[row.place]


def _stacked(rows: Sequence[Row], stage: int) -> StageEdit:
    """The edits of one stage, a row for each image, also where it is the same for all.

    Otherwise the number of requests in a batch would decide which program runs.
    """
    edits = [row.request.edits[stage].of_rows([row.place]) for row in rows]
    known = [edit.known for edit in edits if edit.known is not None]
    initial = [edit.initial for edit in edits if edit.initial is not None]
    return StageEdit(
        known=_joined(known) if known else None,
        initial=(np.concatenate([image for image, _ in initial]), initial[0][1])
        if initial
        else None,
    )


def _joined(known: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    images, masks = zip(*known, strict=True)
    return np.concatenate(images), np.concatenate(masks)


def of_each_row(result: RunResult, rows: Sequence[Row]) -> list[RunResult]:
    """What became of each row, of what became of their `shared_request`."""
    return [
        RunResult(
            tuple(stage[slot : slot + 1] for stage in result.stages),
            (row.place,),
            (result.batch_slots[slot],),
        )
        for slot, row in enumerate(rows)
    ]
