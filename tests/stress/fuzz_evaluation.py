"""Fuzzed input of evaluations: files of prompts, folders and .npz files of images."""

import csv
import json
from pathlib import Path

import numpy as np
from stress.fuzz_data import Lost, an_image, mutated, pick, words

from glide_jax.evaluation.images.files import open_images
from glide_jax.evaluation.prompt_sets.reading import open_prompts
from glide_jax.evaluation.references import read_reference


def prompt_sets(rng: np.random.Generator, folder: Path) -> None:
    """A file of prompts of any kind, sound or damaged."""
    prompts = [words(rng, "\n\r\t\0").strip() for _ in range(rng.integers(1, 6))]
    path = folder / f"prompts{pick(rng, ('.txt', '.tsv', '.csv', '.jsonl'))}"
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".txt":
            file.write("\n".join(prompts))
        elif path.suffix == ".jsonl":
            file.writelines(
                json.dumps({"prompt": text, "category": "a"}) + "\n" for text in prompts
            )
        elif path.suffix == ".tsv":
            file.write("Prompt\tCategory\n" + "".join(f"{text}\ta\n" for text in prompts))
        else:
            csv.writer(file).writerows([("Prompt", "Category"), *((text, "a") for text in prompts)])
    is_sound = bool(rng.integers(3))
    if not is_sound:
        path.write_bytes(mutated(rng, path.read_bytes()))
    found = open_prompts(str(path))
    while path.suffix == ".txt" and not prompts[-1]:
        prompts.pop()  # the end of a file may be blank
    if is_sound and found.captions != prompts:
        raise Lost(f"{found.captions} of {prompts}")


def image_sets(rng: np.random.Generator, folder: Path) -> None:
    """A folder of images or an .npz, sound or damaged."""
    if rng.integers(2):
        for i in range(rng.integers(1, 4)):
            content = an_image(rng, (8, 8) if rng.integers(4) else None)
            content = content if rng.integers(4) else mutated(rng, content)
            (folder / f"{i}.png").write_bytes(content)
        images = open_images(folder, pick(rng, (None, 4)))
        if sum(map(len, images.batches(2))) != images.count:
            raise Lost(f"images of {images.count}")
        return
    pixels = rng.integers(0, 256, (3, 8, 8, 3), np.uint8)
    arrays = pick(
        rng,
        (
            {"arr_0": pixels},
            {"arr_0": pixels, "mu": np.zeros(4), "sigma": np.eye(4)},
            {"mu": np.zeros(4), "sigma": np.full((4, 4), np.nan)},
            {"mu": np.zeros((4, 1)), "sigma": np.eye(3)},
            {"arr_0": pixels.astype(np.float32)},
            {"arr_0": np.asfortranarray(pixels)},
            {"arr_0": pixels[:0]},
            {"images": pixels},
            {},
        ),
    )
    path = folder / "images.npz"
    with path.open("wb") as file:
        np.savez(file, **arrays)
    if is_damaged := not rng.integers(3):
        path.write_bytes(mutated(rng, path.read_bytes()))
    if rng.integers(2):
        read_reference(path)
    found = np.concatenate(list(open_images(path).batches(2)))
    if not is_damaged and not np.array_equal(found, pixels):
        raise Lost("other pixels")


KINDS = {"prompt sets": prompt_sets, "image sets": image_sets}
