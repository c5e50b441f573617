"""GLIDE's released base model and upsampler with weights from a formula, here and in PyTorch.

A model's cost doesn't depend on its weights, and so nobody has to download gigabytes.
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

from glide_jax.interop import files, openai, released
from glide_jax.interop.importing import import_checkpoint
from glide_jax.runtime import enable_compilation_cache
from glide_jax.sampling.loading import load_stages
from glide_jax.sampling.stages import Stage

NAMES = ("base", "upsample")
PROMPT = "an oil painting of a corgi"


def workdir(folder: Path) -> Path:
    """A workdir of both models, imported as the published files would be.

    Args:
        folder: made if it does not exist; 3 GB.
    """
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        paths = [Path(made) / f"{name}.safetensors" for name in NAMES]
        for name, path in zip(NAMES, paths, strict=True):
            # The family is recognised by its keys: one is enough.
            model = openai.build({"transformer.": np.zeros(0)}, options(name))
            params = {path: weight(path, leaf.shape) for path, leaf in model.shapes.items()}
            files.write(path, openai.to_state_dict(model, params), "float32")
        import_checkpoint(paths, NAMES, folder)
    return folder


def options(name: str) -> Mapping[str, Any]:
    """The reference's options of a released model."""
    return released.FILES[name].options


def weight(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """A weight from its path: normal, scaled so that activations stay near 1."""
    noise = np.random.default_rng(zlib.crc32(path.encode())).standard_normal(shape, np.float32)
    if len(shape) > 1:
        return noise / math.sqrt(math.prod(shape[:-1]))
    return 0.1 * noise + path.endswith("scale")


def reference(name: str, model: Any, params: Mapping[str, Any]) -> Any:
    """The same model in the public PyTorch code, importable as `glide_text2im`.

    Args:
        name: of NAMES.
        model, params: ours; PyTorch's gets the same weights.
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
    """Both models of the workdir, which is made if it does not exist."""
    enable_compilation_cache()
    return dict(zip(NAMES, load_stages(workdir(folder))[1], strict=True))


def has_reference() -> bool:
    """Whether the public PyTorch code is there; if so, it gets as many threads as JAX."""
    if importlib.util.find_spec("glide_text2im") is None:
        print("the public PyTorch code is not importable as glide_text2im: ours alone")
        return False
    import torch

    torch.set_num_threads(threads())
    return True


def threads() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0))
