"""Small comparisons, and judges who don't exist."""

import hashlib
import itertools

import numpy as np
from PIL import Image

from glide_jax.evaluation.judging.comparison import JudgedImage, compare
from glide_jax.evaluation.judging.questions import GLIDE_QUESTIONS, find_questions
from glide_jax.evaluation.judging.votes import Vote
from glide_jax.sampling.grid import save_image
from glide_jax.sampling.output import Provenance, file_name, png_info

PROMPTS = ("a red circle", "a blue square", "a green star")


def provenance(prompt, index=0, seed=7, label=None):
    return Provenance(
        task="sample",
        prompt=prompt,
        negative_prompt="",
        label=label,
        seed=seed,
        index=index,
        settings={},
        strength=None,
        batch_slots=((1, 0),),
        checkpoints=("/runs/secret-model",),
        overrides=(),
        steps=(1,),
        clip=None,
        classifier=None,
        text_encoder=None,
        adapters=(),
        input_files={},
        version="0",
    )


def sample(folder, prompts=PROMPTS, colour=0, size=8):
    """A folder as `glide-jax sample` writes it; the images of one colour are all alike but for
    their indices."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, prompt in enumerate(prompts):
        pixels = np.full((size, size, 3), colour, np.uint8)
        pixels[0, 0] = index
        made = provenance(prompt, index)
        save_image(pixels, folder / file_name(made), png_info(made))
    return folder


def save_plain(folder, names):
    """Images that hold no prompts."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(folder / name)
    return folder


def images(models=("a", "b"), prompts=PROMPTS, numbers=1, folder=None):
    """Images without files."""
    return [
        JudgedImage(model, prompt, number, sha256(model, prompt, number), folder)
        for model, prompt, number in itertools.product(models, prompts, range(numbers))
    ]


def sha256(*parts):
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def comparison(*arguments, questions=GLIDE_QUESTIONS, **keywords):
    made = images(*arguments, **keywords)
    return compare(made, find_questions(questions), skip_unpaired=False)


def vote(left, right, answer, prompt="p", judge="j", question="photorealism"):
    shown = (left,) if right is None else (left, right)
    return Vote(judge, question, prompt, 0, shown, answer, 0)


def simulate(rng, chances, prompts, ties=0.0):
    """f64[c n n]: one vote of every pair on each prompt; chances: f64[n n], of a win of i over j,
    where it is no tie."""
    n = len(chances)
    points = np.zeros((prompts, n, n))
    for i, j in itertools.combinations(range(n), 2):
        tied = rng.random(prompts) < ties
        won = np.where(tied, 0.5, rng.random(prompts) < chances[i, j])
        points[:, i, j], points[:, j, i] = won, 1 - won
    return points
