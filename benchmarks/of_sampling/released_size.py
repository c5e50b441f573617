"""GLIDE's released base model and upsampler with weights that a formula makes, here and in PyTorch.

What a model costs does not hang on what it has learned, and nobody has to fetch gigabytes.
"""

import importlib.util
import math
import os
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from glide_jax.compile_cache import keep_compiled
from glide_jax.interop import files, openai, released
from glide_jax.interop.importing import import_checkpoint
from glide_jax.pipelines.loading import load_stages
from glide_jax.pipelines.stage import Stage

NAMES = ("base", "upsample")
PROMPT = "an oil painting of a corgi"


def workdir(folder: Path) -> Path:
    """A workdir of both models, made by import as the published files would be.

    Args:
        folder: where it is made, if it is not there; 3 GB.
    """
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        paths = [Path(made) / f"{name}.safetensors" for name in NAMES]
        for name, path in zip(NAMES, paths, strict=True):
            # The family is told from the keys: one of them will do.
            model = openai.build({"transformer.": np.zeros(0)}, options(name))
            params = {path: weight(path, leaf.shape) for path, leaf in model.shapes.items()}
            files.write(path, openai.to_state_dict(model, params), "float32")
        import_checkpoint(paths, NAMES, folder)
    return folder


def options(name: str) -> Mapping[str, Any]:
    """The reference's options of a released model."""
    return released.FILES[name].options


def weight(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """One weight from its path: normal, of a size that keeps activations near 1."""
    noise = np.random.default_rng(zlib.crc32(path.encode())).standard_normal(shape, np.float32)
    if len(shape) > 1:
        return noise / math.sqrt(math.prod(shape[:-1]))
    return 0.1 * noise + path.endswith("scale")


def reference(name: str, model: Any, params: Mapping[str, Any]) -> Any:
    """The same model in the public PyTorch code, which must be importable as `glide_text2im`.

    Args:
        name: of NAMES.
        model, params: ours; theirs has the same weights.
    """
    import torch
    from glide_text2im import model_creation

    chosen = {key: value for key, value in options(name).items() if key not in _OF_THE_DIFFUSION}
    theirs = model_creation.create_model(**chosen, use_fp16=False).eval()
    arrays = openai.to_state_dict(model, params)
    theirs.load_state_dict(
        {key: torch.from_numpy(np.array(value)) for key, value in arrays.items()}
    )
    return theirs


_OF_THE_DIFFUSION = ("diffusion_steps", "timestep_respacing", "noise_schedule")


def stages(folder: Path) -> dict[str, Stage]:
    """Both models of the workdir, ready to draw; it is made if it is not there."""
    keep_compiled()
    return dict(zip(NAMES, load_stages(workdir(folder))[1], strict=True))


def has_reference() -> bool:
    """Whether the public PyTorch code is there; it is told to use as many threads as JAX."""
    if importlib.util.find_spec("glide_text2im") is None:
        print("the public PyTorch code is not importable as glide_text2im: ours alone")
        return False
    import torch

    torch.set_num_threads(threads())
    return True


def threads() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))
