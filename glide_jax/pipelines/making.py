"""An order carried out → what made each picture, and back: from that to an order of one picture."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from glide_jax import __version__
from glide_jax.errors import UserError
from glide_jax.pipelines import metadata
from glide_jax.pipelines.metadata import Made
from glide_jax.pipelines.one_stage import Edit, sampling_of
from glide_jax.pipelines.order import Done, Order
from glide_jax.pipelines.settings import Settings
from glide_jax.pipelines.stage import Stage, Subject


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a pipeline was loaded from.

    Attributes:
        checkpoints: the workdirs of the stages.
        overrides: `KEY=VALUE` each, what was changed in the configs of all of them.
        clip, classifier: the guides' workdirs, or None.
    """

    checkpoints: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    clip: str | None = None
    classifier: str | None = None

    @classmethod
    def of(
        cls,
        workdirs: Sequence[str | Path],
        overrides: Sequence[str] = (),
        clip: str | Path | None = None,
        classifier: str | Path | None = None,
    ) -> Self:
        """The origin as a picture tells it: its paths lead there from everywhere."""
        return cls(
            checkpoints=tuple(map(_absolute, workdirs)),
            overrides=tuple(overrides),
            clip=_absolute(clip) if clip else None,
            classifier=_absolute(classifier) if classifier else None,
        )


def made_of(
    order: Order, done: Done, stages: Sequence[Stage], origin: Origin, *, watched: bool
) -> tuple[Made, ...]:
    """What made each picture of an order.

    Args:
        order: what was asked.
        done: how it was carried out.
        stages: all of the pipeline's.
        origin: where they are from.
        watched: whether somebody was told of every step.
    """
    drew = stages[order.first :]
    sampling = sampling_of(drew[0], order.edits[0] if order.edits else Edit(), order.settings)
    settings = order.settings.to_dict() | dataclasses.asdict(sampling)
    scales = order.guidance_scales or [sampling.guidance_scale] * len(order.subjects)
    return tuple(
        Made(
            job=order.job,
            **order.subjects[row]._asdict(),
            seed=order.seed,
            index=order.indices[row],
            settings=settings | {"guidance_scale": scales[row]},
            strength=order.strength,
            places=places,
            watched=watched,
            **vars(origin),
            steps=tuple(stage.step for stage in drew),
            given=order.given,
            version=__version__,
        )
        for row, places in zip(done.rows, done.places, strict=True)
    )


def order_of(made: Made, stages: Sequence[Stage], origin: Origin) -> Order:
    """The order that makes a picture again.

    Raises:
        UserError: it was no SAMPLE, or these are not the weights, or not the config, that it was
            drawn with.
    """
    if made.job != metadata.SAMPLE:
        files = ", ".join(f"{name} {path}" for name, path in made.given.items())
        raise UserError(
            f"the picture was made by {made.job!r}, from another picture: run that again, with "
            f"{files}"
        )
    steps = tuple(stage.step for stage in stages)
    if steps != made.steps:
        raise UserError(
            f"the picture was drawn with the weights of steps {made.steps}, and these are of "
            f"{steps}: it can't be made again with them"
        )
    if origin.overrides != made.overrides:
        raise UserError(
            f"the picture was drawn with {_changes(made.overrides)}, and these models were loaded "
            f"with {_changes(origin.overrides)}: load them with overrides={list(made.overrides)}"
        )
    return Order(
        job=made.job,
        subjects=[Subject(made.prompt, made.negative_prompt, made.label)],
        indices=[made.index],
        seed=made.seed,
        settings=Settings.of(made.settings),
        places=made.places,
    )


def _absolute(workdir: str | Path) -> str:
    return str(Path(workdir).absolute())


def _changes(overrides: Sequence[str]) -> str:
    return f"{', '.join(overrides)} in its config" if overrides else "its config as it is"
