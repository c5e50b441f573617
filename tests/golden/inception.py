"""The formula's weights of the FID's Inception, whose figures are in evaluation/."""

import json

import numpy as np
from golden.formula import weight
from golden.load import HERE

MANIFEST = json.loads((HERE / "evaluation" / "fid_inception.manifest.json").read_text("utf-8"))


def inception_state_dict():
    """Arrays by PyTorch's key; the gain keeps the signal alive through the ReLUs."""
    arrays = {key: weight(key, tuple(shape)) for key, shape in MANIFEST["state_dict"].items()}
    gain = np.float32(MANIFEST["options"]["conv_gain"])
    for key, array in arrays.items():
        if key.endswith("conv.weight"):
            arrays[key] = gain * array
        elif key.endswith("running_var"):
            arrays[key] = 1 + abs(array)
    return arrays


def figures(name):
    """The arrays of a golden file of evaluation/."""
    with np.load(HERE / "evaluation" / f"{name}.npz") as file:
        return dict(file)
