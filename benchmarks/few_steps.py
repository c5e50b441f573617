"""What a distilled model's few evaluations are worth, beside its teacher's many.

    python benchmarks/few_steps.py runs/quickstart runs/distill [--split=test] [--count=256] \\
        [--scale=3] [--repeats=5] [--plot=FILE.png]

Samples the first COUNT captions of a split at one guidance scale: by the teacher's base model in 20
and in fewer guided DDIM steps, and by the student of each round of distillation in the steps that
it was distilled to. All of it is enlarged by the teacher's upsampler; the last rows are by the
distilled upsampler. Prints the share of samples that show all that their caption says, by the data
set's scorer, with its 95 % interval, the evaluations that the base model takes for an image, and
the seconds an image of the base model and of both, of batches of 64, timed in turn so that other
load on the machine affects all alike.
"""

import functools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sampling_suite.plot import plot
from sampling_suite.timing import in_turn, table

from glide_jax import runtime
from glide_jax.checkpoints import read_experiment
from glide_jax.evaluation.evaluating import Instruments
from glide_jax.evaluation.images.image_set import image_set_of
from glide_jax.evaluation.prompt_sets.from_data import prompts_of_split
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.program import make_steps
from glide_jax.sampling.stages import Stage
from glide_jax.training.rounds import ROUNDS

TEACHER_STEPS = ("20", "10", "trailing8", "trailing4")
_ALSO = {"base_guidance": ("trailing8", "trailing4")}
"""What learns guidance alone learns it at every timestep."""

BATCH = 64
COLUMNS = ("model", "steps", "evaluations", "all right", "95 %", "ms, base", "ms, both")


class Variant(NamedTuple):
    """A cascade, how its base model is sampled, and what it is called."""

    name: str
    stages: tuple[Stage, Stage]
    steps: str

    @property
    def evaluations(self) -> int:
        """Of the base model, for each image."""
        base = self.stages[0]
        count = make_steps(base.config.diffusion, "ddim", self.steps).taken.num_steps
        return count if base.guidance_range else 2 * count


def main(argv: Sequence[str]) -> None:
    """Print what the docstring above says."""
    workdirs = [Path(word) for word in argv if not word.startswith("--")]
    parted = (word[2:].partition("=") for word in argv if word.startswith("--"))
    flags = {name: value for name, _, value in parted}
    split, count = flags.pop("split", "test"), int(flags.pop("count", 256))
    scale, repeats = float(flags.pop("scale", 3)), int(flags.pop("repeats", 5))
    out = flags.pop("plot", "")
    if len(workdirs) != 2 or flags:
        sys.exit(__doc__)
    runtime.configure(1)
    prompts = prompts_of_split(read_experiment(workdirs[0]), split, count)
    instruments, variants = Instruments(("prompt_truth",), 0), list(_variants(*workdirs))
    settings: dict[str, Any] = {"guidance_scale": scale, "sampler": "ddim", "batch_size": BATCH}
    truths, timed = [], {}
    for variant in variants:
        own: dict[str, Any] = settings | {"steps": variant.steps}
        arrays = Pipeline(variant.stages)(list(prompts.captions), seed=0, **own).arrays
        images = image_set_of(arrays, variant.name)
        values = instruments.of_images(images, prompts, None)["prompt_truth"].values
        truths.append(values["prompt_truth"])
        print(f"{variant.name}: {truths[-1].value:.1%}", flush=True)
        for stages in (variant.stages[:1], variant.stages):
            call = functools.partial(Pipeline(stages), list(prompts.captions[:BATCH]), **own)
            timed[f"{variant.name}/{len(stages)}"] = call
    took, rows, points = in_turn(timed, repeats), [], []
    for variant, truth in zip(variants, truths, strict=True):
        base, both = (1e3 * took[f"{variant.name}/{stages}"].wall / BATCH for stages in (1, 2))
        shares = f"{truth.value:.1%}", f"{truth.low:.1%} to {truth.high:.1%}"
        rows.append((variant.name, variant.steps, variant.evaluations, *shares, base, both))
        points.append((base, truth.value, variant.name, bool(variant.stages[0].guidance_range)))
    print(table(COLUMNS, rows))
    if out:
        plot(points, Path(out))


def _variants(teacher: Path, student: Path) -> Iterator[Variant]:
    """The teacher in more and in fewer steps, then the student of each round."""
    base, upsampler = Pipeline.load(teacher).stages
    for steps in TEACHER_STEPS:
        yield Variant(f"teacher, {steps}", (base, upsampler), steps)
    rounds = sorted((student / ROUNDS).glob("base_*"), key=lambda path: path.stat().st_mtime)
    for workdir in rounds:
        (own,) = Pipeline.load(workdir).stages
        name = workdir.name.replace("base_", "round ")
        for steps in (own.config.sampling.steps, *_ALSO.get(workdir.name, ())):
            yield Variant(f"{name}, {steps}", (own, upsampler), steps)
    own, enlarging = Pipeline.load(student).stages
    yield Variant("last round", (own, upsampler), own.config.sampling.steps)
    yield Variant("last round, distilled upsampler", (own, enlarging), own.config.sampling.steps)


if __name__ == "__main__":
    main(sys.argv[1:])
