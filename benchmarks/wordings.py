"""How well models of `shapes` understand captions in words that training never had.

    python benchmarks/wordings.py runs/quickstart runs/imagen_quickstart [--count=256] [--seed=0]

Of every workdir it samples the first COUNT captions of the split `compositional`, at the guidance
of its config: as they are; and with one kind of words replaced by synonyms that no caption of the
data set has (a crimson disc for a red circle). It prints the share of samples that show what the
caption says, by the data set's scorer. Run it on workdirs of equal training time.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from glide_jax import runtime
from glide_jax.checkpoints import read_experiment
from glide_jax.data.shapes.scene import COLOURS, SHAPES
from glide_jax.evaluation.evaluating import Instruments
from glide_jax.evaluation.images.image_set import image_set_of
from glide_jax.evaluation.prompt_sets.from_data import prompts_of_split
from glide_jax.sampling.pipeline import Pipeline

NEW_COLOURS = {
    "red": "crimson",
    "orange": "tangerine",
    "yellow": "lemon-coloured",
    "green": "emerald",
    "cyan": "aqua",
    "blue": "navy",
    "purple": "violet",
    "pink": "rose-coloured",
}
NEW_SHAPES = {
    "circle": "disc",
    "square": "box",
    "triangle": "pyramid",
    "star": "asterisk",
    "cross": "plus sign",
    "ring": "hoop",
}
NEW_SIZES = {"small": "tiny", "little": "tiny", "large": "huge", "big": "huge"}
assert set(NEW_COLOURS) == set(COLOURS)
assert set(NEW_SHAPES) == set(SHAPES)

WORDINGS: dict[str, dict[str, str]] = {
    "as they are": {},
    "new words for colours": NEW_COLOURS,
    "new words for shapes": NEW_SHAPES,
    "new words for sizes": NEW_SIZES,
    "all of them": NEW_COLOURS | NEW_SHAPES | NEW_SIZES,
}


def main(argv: Sequence[str]) -> None:
    """Print what the docstring above says."""
    workdirs = [Path(word) for word in argv if not word.startswith("--")]
    flags = dict(word[2:].partition("=")[::2] for word in argv if word.startswith("--"))
    count, seed = int(flags.pop("count", 256)), int(flags.pop("seed", 0))
    if not workdirs or flags:
        sys.exit(__doc__)
    runtime.configure(1)
    for workdir in workdirs:
        experiment = read_experiment(workdir)
        prompts = prompts_of_split(experiment, "compositional", count)
        instruments = Instruments(("prompt_truth",), seed)
        pipeline = Pipeline.load(workdir)
        for name, words in WORDINGS.items():
            captions = [reworded(caption, words) for caption in prompts.captions]
            images = image_set_of(pipeline(captions, seed=seed).arrays, name)
            values = instruments.of_images(images, prompts, None)["prompt_truth"].values
            shown = ", ".join(f"{name} {share.value:.1%}" for name, share in values.items())
            print(f"{workdir}, {name} ({captions[0]!r}): {shown}", flush=True)


def reworded(caption: str, words: dict[str, str]) -> str:
    """The caption with these words replaced, and its articles right."""
    if not words:
        return caption
    pattern = re.compile(rf"\b({'|'.join(words)})\b")
    replaced = pattern.sub(lambda found: words[found[1]], caption)
    return re.sub(r"\b(a|an) (\w)", _article, replaced)


def _article(found: re.Match[str]) -> str:
    return f"{'an' if found[2] in 'aeiou' else 'a'} {found[2]}"


if __name__ == "__main__":
    main(sys.argv[1:])
