"""An order: all that is asked of a pipeline, and how its stages carry it out."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from glide_jax.pipelines.batching import Batch, shared_evenly
from glide_jax.pipelines.guides import ClipGuide
from glide_jax.pipelines.one_stage import (
    Asked,
    Edit,
    Guides,
    OnStep,
    batches_of,
    draw_stage,
    no_guides,
)
from glide_jax.pipelines.settings import Settings
from glide_jax.pipelines.stage import Stage, Subject, key_of

Place = tuple[int, int]
"""(pictures in a batch, the slot of one of them)."""


@dataclasses.dataclass(frozen=True)
class Order:
    """All that is asked of a pipeline, one row a picture.

    Attributes:
        job: of metadata's.
        subjects: what each picture is to be of.
        indices: each one's number i.
        seed: of all the noise.
        settings: the first stage's.
        guidance_scales: each one's, in the first stage; None: as the settings or its config say.
        first: the place of the first stage that draws.
        low_res: uint8[n s s 3], what that one enlarges; None: it is a base model.
        edits: what is there before, for each stage that draws; (): nothing.
        best: (k, m): of each m pictures in a row the k best by CLIP are kept; None: all are.
        places: of the one picture that is drawn again, one for each stage; None: as batches come.
        strength, given: for metadata's Made.
    """

    job: str
    subjects: Sequence[Subject]
    indices: Sequence[int]
    seed: int
    settings: Settings
    guidance_scales: Sequence[float] | None = None
    first: int = 0
    low_res: np.ndarray | None = None
    edits: Sequence[Edit] = ()
    best: tuple[int, int] | None = None
    places: Sequence[Place] | None = None
    strength: float | None = None
    given: Mapping[str, str | None] = dataclasses.field(default_factory=dict)


class Done(NamedTuple):
    """An order carried out.

    Attributes:
        stages: uint8[n s s 3] for each stage that drew.
        rows: which rows of the order the n pictures are.
        places: of each picture, one for each stage.
    """

    stages: tuple[np.ndarray, ...]
    rows: tuple[int, ...]
    places: tuple[tuple[Place, ...], ...]


def carry_out(
    order: Order,
    stages: Sequence[Stage],
    guides: Guides,
    clip: ClipGuide | None,
    on_step: OnStep | None,
) -> Done:
    """Draw what is asked, stage after stage.

    Args:
        order: what.
        stages: all of the pipeline's.
        guides: the first stage's.
        clip: who tells which are best, where only those are kept.
        on_step: told of every step.

    Raises:
        UserError: a stage can't draw what is asked, or a setting makes no sense.
    """
    rows, places = list(range(len(order.subjects))), [()] * len(order.subjects)
    pictures: list[np.ndarray] = []
    settings, scales = order.settings, order.guidance_scales
    low_res = order.low_res
    for place, stage in enumerate(stages[order.first :], order.first):
        turn = place - order.first
        asked = Asked(
            seed_key=key_of(order.seed, place),
            subjects=[order.subjects[i] for i in rows],
            indices=[order.indices[i] for i in rows],
            guidance_scales=scales,
            low_res=low_res,
            edit=order.edits[turn] if order.edits else Edit(),
            guides=guides,
        )
        cut = _cut(order, turn, stage, len(rows), settings)
        low_res = draw_stage(stage, asked, settings, cut, on_step)
        pictures.append(low_res)
        slots = [(len(batch.slots), slot) for batch in cut for slot in batch.kept]
        places = [(*before, slot) for before, slot in zip(places, slots, strict=True)]
        if turn == 0 and order.best and clip:
            good = _best(order, clip, low_res)
            rows, places = good, [places[i] for i in good]
            low_res = pictures[0] = low_res[good]
        # What a person chose is the first stage's.
        settings, scales, guides = Settings(), None, no_guides
    return Done(tuple(pictures), tuple(rows), tuple(places))


def _cut(order: Order, turn: int, stage: Stage, count: int, settings: Settings) -> Sequence[Batch]:
    if order.places is None:
        return batches_of(stage, count, settings)
    size, slot = order.places[turn]
    # On as many devices as before it is even already.
    return [Batch((0,) * shared_evenly(size, stage.num_devices), (slot,))]


def _best(order: Order, clip: ClipGuide, pictures: np.ndarray) -> list[int]:
    """The rows of the pictures that are kept, a prompt's best first."""
    assert order.best is not None
    kept, drawn = order.best
    scores = clip.score([subject.prompt for subject in order.subjects], pictures)
    by_prompt = scores.reshape(-1, drawn)
    best = np.argsort(-by_prompt, axis=1, kind="stable")[:, :kept]
    return (best + drawn * np.arange(len(by_prompt))[:, None]).flatten().tolist()
