"""What kept deep features save of many steps, and what they cost in prompt truth, in turn."""

import argparse
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax.evaluation.images.image_set import image_set_of
from glide_jax.evaluation.metrics.per_image import share
from glide_jax.evaluation.metrics.prompt_truth import scores_of
from glide_jax.evaluation.prompt_sets.from_data import prompts_of_split
from glide_jax.interop import openai
from glide_jax.models.model import Model
from glide_jax.planning.flops import product_flops
from glide_jax.planning.lowering import on_accelerator
from glide_jax.runtime import enable_compilation_cache
from glide_jax.sampling.loading import load_stages
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.request import Subject
from glide_jax.sampling.stages import condition_of
from glide_jax.types import Condition
from sampling_suite import released_size
from sampling_suite.timing import in_turn, table

BATCH = 64
COLUMNS = ("cache_interval", "all right", "95 %", "lost", "gained", "ms, base", "times as fast")
SEED = 0


class Parts(NamedTuple):
    """Operations of one evaluation of an image: of the model, and of its two parts."""

    whole: float
    deep: float
    shallow: float

    def speed_up(self, interval: int) -> float:
        """How many times fewer operations a step has on average."""
        return self.whole * interval / (self.deep + interval * self.shallow)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--split", default="test", metavar="NAME")
    parser.add_argument("--captions", type=int, default=256, metavar="N")
    parser.add_argument("--guidance-scale", type=float, default=3.0, metavar="X")
    parser.add_argument("--sampler", default="ddim", metavar="NAME")
    parser.add_argument("--steps", default="50", metavar="STEPS")
    parser.add_argument("--intervals", type=int, nargs="+", default=(2, 3, 5), metavar="N")
    parser.add_argument("--repeats", type=int, default=3, metavar="N")


def run(arguments: argparse.Namespace) -> None:
    """Measure and print two tables."""
    enable_compilation_cache()
    experiment, stages = load_stages(arguments.workdir)
    prompts = prompts_of_split(experiment, arguments.split, arguments.captions)
    base, cascade = Pipeline(tuple(stages[:1])), Pipeline(tuple(stages))
    names = ("guidance_scale", "sampler", "steps")
    settings: dict[str, Any] = {name: getattr(arguments, name) for name in names}
    settings["batch_size"] = BATCH
    intervals = (1, *arguments.intervals)
    right, calls = {}, {}
    for interval in intervals:
        own: dict[str, Any] = settings | {"cache_interval": interval}
        output = cascade(list(prompts.captions), seed=SEED, **own)
        images = image_set_of(output.arrays, f"interval {interval}")
        right[interval] = scores_of(images, prompts)["prompt_truth"]
        calls[str(interval)] = functools.partial(base, list(prompts.captions[:BATCH]), **own)
        print(f"interval {interval}: {right[interval].mean():.1%}", flush=True)
    took = in_turn(calls, arguments.repeats)
    rows = []
    for interval in intervals:
        truth, ms = share(right[interval]), 1e3 * took[str(interval)].wall / BATCH
        lost, gained = (int((sign * (right[interval] - right[1]) > 0).sum()) for sign in (-1, 1))
        shares = f"{truth.value:.1%}", f"{truth.low:.1%} to {truth.high:.1%}"
        faster = took["1"].wall / took[str(interval)].wall
        rows.append((interval, *shares, lost, gained, ms, faster))
    count, threads = len(prompts.captions), released_size.threads()
    print(f"{count} captions of {arguments.split}, {settings}, {threads} threads; lost and")
    print("gained: captions that are right at interval 1 alone, and here alone, of the same seed")
    print("the time is the base model's alone")
    print(table(COLUMNS, rows))
    print_operations(base, intervals)


def print_operations(base: Pipeline, intervals: tuple[int, ...]) -> None:
    """By arithmetic: operations of the workdir's base model, and of the released ones."""
    (stage,) = base.stages
    counted = {"workdir": parts(stage.model, condition_of(stage, [Subject()], None, [1.0]))}
    for name in released_size.NAMES:
        # The family is recognised by its keys: one is enough.
        model = openai.build({"transformer.": np.zeros(0)}, released_size.options(name))
        length, _ = model.shapes["text.positional_embedding"].shape
        low = model.config.low_res_size
        condition = Condition(
            tokens=jnp.zeros((1, length), jnp.int32),
            mask=jnp.ones((1, length), bool),
            low_res=jnp.zeros((1, low, low, 3)) if low else None,
        )
        counted[f"released, {name}"] = parts(model, condition)
    head = ("model", "shallow part", *(f"fewer operations at {n}" for n in intervals[1:]))
    rows = [
        (name, f"{own.shallow / own.whole:.1%}", *map(own.speed_up, intervals[1:]))
        for name, own in counted.items()
    ]
    print(table(head, rows))


def parts(model: Model, condition: Condition) -> Parts:
    """Count the operations of a model and of its parts; nothing is computed."""
    assert model.caching is not None
    size, params = model.config.image_size, model.shapes
    inputs = {
        "x_t": jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32),
        "t": jax.ShapeDtypeStruct((1,), jnp.int32),
    }
    placed, encoded = on_accelerator(inputs), jax.eval_shape(model.encode, params, condition)
    arguments = params, placed["x_t"], placed["t"], encoded
    features = jax.eval_shape(model.caching.deep_features, *arguments)

    def flops(function: Any, *more: Any) -> float:
        return product_flops(jax.jit(function).trace(*arguments, *more).jaxpr)

    shallow = flops(model.caching.apply_with, on_accelerator({"features": features})["features"])
    return Parts(flops(model.apply), flops(model.caching.deep_features), shallow)
