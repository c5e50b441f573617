"""A model with weights and all that drawing with it takes; and what is asked of it."""

import dataclasses
import numbers
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from glide_jax.config import StageConfig
from glide_jax.errors import UserError
from glide_jax.models.labels import class_labels
from glide_jax.models.model import Model
from glide_jax.pipelines.drawing import Drawer, drawer, plan
from glide_jax.text import Tokenizer, tokenize
from glide_jax.types import Condition, Params


@dataclasses.dataclass(frozen=True)
class Stage:
    """A model with weights, and all that drawing with it takes.

    Attributes:
        config: its part of the experiment.
        model: as config describes it.
        params: its weights; pictures are split over the mesh that they lie on.
        tokenizer: of its captions; None: it is told none.
        text_length: tokens a caption is padded or cut to.
        step: of training, that the weights are of.
        draw: gives the program that draws.
    """

    config: StageConfig
    model: Model
    params: Params
    tokenizer: Tokenizer | None
    text_length: int
    step: int
    draw: Drawer

    @property
    def size(self) -> int:
        """Pixels a side of what it draws."""
        return self.model.config.image_size

    @property
    def low_res_size(self) -> int:
        """Pixels a side of what it enlarges; 0: it is no upsampler."""
        return self.model.config.low_res_size

    @property
    def inpaints(self) -> bool:
        """Whether it was trained to see which pixels are known."""
        return getattr(self.model.config, "inpaint", False)

    @property
    def mesh(self) -> Mesh | None:
        """The devices that the weights lie on; None: one that nobody chose."""
        sharding = getattr(next(iter(self.params.values()), None), "sharding", None)
        mesh = sharding.mesh if isinstance(sharding, NamedSharding) else None
        return mesh if isinstance(mesh, Mesh) else None

    @property
    def num_devices(self) -> int:
        """How many share each batch."""
        return 1 if self.mesh is None else self.mesh.size


class Subject(NamedTuple):
    """What one picture is to be of.

    Attributes:
        prompt: a caption; "" for a picture of anything.
        negative_prompt: guidance leads away from it; "" for away from pictures of anything.
        label: a class, for the models that are told one; None: none was given.
    """

    prompt: str = ""
    negative_prompt: str = ""
    label: int | None = None


def make_stage(
    config: StageConfig,
    model: Model,
    params: Params,
    tokenizer: Tokenizer | None,
    text_length: int,
    step: int,
) -> Stage:
    """A stage ready to draw. Raises UserError where its sampling config makes no sense."""
    plan(config.diffusion, config.sampling)
    draw = drawer(model, config.diffusion)
    return Stage(config, model, params, tokenizer, text_length, step, draw)


def condition_of(stage: Stage, subjects: Sequence[Subject], low_res: np.ndarray | None):
    """What the stage is told of these pictures.

    Args:
        stage: of any family.
        subjects: b of them.
        low_res: uint8[b h w 3], where it is an upsampler.

    Returns:
        The Condition, of b pictures.

    Raises:
        UserError: it wants a class, and there is none, or none of that number; or it knows no
            classes.
    """
    condition = Condition()
    if stage.tokenizer is not None:
        condition = _captions(stage, [subject.prompt for subject in subjects])
    labels = [subject.label for subject in subjects]
    num_classes = getattr(stage.model.config, "num_classes", 0)
    if num_classes or any(label is not None for label in labels):
        if num_classes and None in labels:
            raise UserError(f"this model draws classes, not prompts: give 0 … {num_classes - 1}")
        condition = dataclasses.replace(condition, label=class_labels(labels, num_classes))
    if low_res is not None:
        low_res_pixels = jnp.asarray(low_res, jnp.float32) / 127.5 - 1
        condition = dataclasses.replace(condition, low_res=low_res_pixels)
    return condition


def null_condition_of(stage: Stage, subjects: Sequence[Subject]) -> Condition:
    """What guidance leads away from: one row where it is the same for all, else one a picture.

    Raises:
        UserError: the stage is told no captions, so that there is none.
    """
    if stage.tokenizer is None:
        raise UserError(
            f"a model of family {stage.model.config.family!r} is told no caption: guidance_scale "
            "must be 1; a classifier can guide it, by classifier_scale"
        )
    captions = [subject.negative_prompt for subject in subjects]
    return _captions(stage, captions[:1] if len(set(captions)) == 1 else captions)


def _captions(stage: Stage, captions: Sequence[str]) -> Condition:
    assert stage.tokenizer is not None
    batch = tokenize(stage.tokenizer, captions, stage.text_length)
    return Condition(tokens=jnp.asarray(batch.tokens), mask=jnp.asarray(batch.mask))


def cut_prompts(stage: Stage, prompts: Sequence[str]) -> list[str]:
    """Those of the prompts that are longer than the stage reads."""
    if stage.tokenizer is None:
        return []
    cut = tokenize(stage.tokenizer, prompts, stage.text_length).cut
    return [prompt for prompt, is_cut in zip(prompts, cut, strict=True) if is_cut]


def key_of(seed: int, place: int) -> jax.Array:
    """The key of a seed at a stage, `place` in the cascade. Raises UserError for a bad seed."""
    if not (isinstance(seed, numbers.Integral) and 0 <= seed < 2**63):
        raise UserError(f"a seed is a whole number from 0 to 2⁶³ - 1, not {seed!r}")
    return jax.random.fold_in(jax.random.key(int(seed)), place)
