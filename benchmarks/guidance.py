"""Which guidance follows captions: none, a noised CLIP's, or classifier-free.

    python benchmarks/guidance.py runs/quickstart runs/clip_quickstart [--split=test] [--count=256]

GLIDE's table 1, small: samples the first COUNT captions of a split without guidance, with CLIP's at
several scales, and with classifier-free guidance at the scale of the config, and prints the share
of samples that show all that their caption says, by the data set's scorer, with its 95 % interval.
The base model alone is guided. CLIP's scales are those of `--clip-scale`, of log p. All of it is
sampled by DDPM in 100 steps: CLIP's gradient shifts the mean by the variance there, as in GLIDE,
while DDIM would divide it by √ᾱ, which next to T is noise alone.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from glide_jax import runtime
from glide_jax.checkpoints import read_experiment
from glide_jax.evaluation.evaluating import Instruments
from glide_jax.evaluation.images.image_set import image_set_of
from glide_jax.evaluation.prompt_sets.from_data import prompts_of_split
from glide_jax.sampling.pipeline import Pipeline

CLIP_SCALES = (0.5, 1.0, 2.0, 4.0)


def main(argv: Sequence[str]) -> None:
    """Print what the docstring above says."""
    workdirs = [Path(word) for word in argv if not word.startswith("--")]
    flags = dict(word[2:].partition("=")[::2] for word in argv if word.startswith("--"))
    split, count = flags.pop("split", "test"), int(flags.pop("count", 256))
    if len(workdirs) != 2 or flags:
        sys.exit(__doc__)
    runtime.configure(1)
    experiment = read_experiment(workdirs[0])
    prompts = prompts_of_split(experiment, split, count)
    instruments = Instruments(("prompt_truth",), 0)
    pipeline = Pipeline.load(workdirs[0], clip=workdirs[1])
    own = experiment.first_stage.sampling.guidance_scale
    kinds = {"none": {"guidance_scale": 1.0}}
    kinds |= {f"CLIP, {s:g}": {"guidance_scale": 1.0, "clip_scale": s} for s in CLIP_SCALES}
    kinds |= {f"classifier-free, {own:g}": {"guidance_scale": own}}
    for name, settings in kinds.items():
        settings |= {"sampler": "ddpm", "steps": "100"}
        images = image_set_of(pipeline(list(prompts.captions), seed=0, **settings).arrays, name)
        values = instruments.of_images(images, prompts, None)["prompt_truth"].values
        share = values["prompt_truth"]
        low_high = f"{share.low:.1%} to {share.high:.1%}"
        print(f"{split}, guidance: {name:20} {share.value:6.1%}  {low_high}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
