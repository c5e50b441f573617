"""The FID's Inception as a feature net, from the weights that everybody's FID uses."""

from pathlib import Path

from jax.sharding import Mesh

from glide_jax.cache import cache_folder
from glide_jax.encoders.placing import Layout, read_weights
from glide_jax.errors import UserError
from glide_jax.evaluation.features.net import FeatureNet, feature_net
from glide_jax.interop import released
from glide_jax.models.inception import (
    CONVOLUTIONS,
    SIZE,
    inception,
    network_input,
    network_input_of_pytorch,
)
from glide_jax.types import Array

NAME = "inception"

RESIZE = "tensorflow"
"""What is meant where none is named: the resize of the network's own graph."""

OUTPUTS = {"pool": "pool", "spatial": "spatial", "logits": "unbiased_logits"}
"""Of the feature net → field of `InceptionFeatures`. The Inception Score's logits lack the bias."""

_INPUTS = {"tensorflow": network_input, "pytorch": network_input_of_pytorch}


def _theirs(name: str) -> str:
    """PyTorch's path of a convolution; it is ours but for its capital."""
    return name[0].upper() + name[1:]


LAYOUT = Layout(
    (
        *((name, f"{_theirs(name)}.conv", "conv2d") for name in CONVOLUTIONS),
        *((f"{name}.norm", f"{_theirs(name)}.bn", "batch_norm") for name in CONVOLUTIONS),
        ("fc", "fc", "linear"),
    ),
    # torchvision's second classifier, which FID's files lack.
    ignored=r"AuxLogits\..*",
)


def load(path: Path | None, *, resize: str | None, mesh: Mesh | None) -> FeatureNet:
    """Read it from `pt_inception-2015-12-05-6726825d.pth`, or its weights as `.safetensors`.

    Args:
        path, resize, mesh: as for `load_feature_net`.

    Raises:
        UserError: as `load_feature_net`.
    """
    path = downloaded() if path is None else path
    net = inception()
    params, fingerprint = read_weights(path, LAYOUT, net.shapes, None, NAME)
    resize = resize or RESIZE

    def apply(prepared: dict[str, Array], x: Array) -> dict[str, Array]:
        features = net.apply(prepared, x)
        return {name: getattr(features, field) for name, field in OUTPUTS.items()}

    return feature_net(
        NAME,
        resize=resize,
        size=SIZE,
        network_input=_INPUTS[resize],
        apply=apply,
        prepared=net.prepare(params),
        fingerprint=fingerprint,
        mesh=mesh,
    )


def downloaded() -> Path:
    """Where `glide-jax download inception` puts the weights.

    Raises:
        UserError: they are not there.
    """
    path = cache_folder() / released.FILES[NAME].url.rpartition("/")[2]
    if not path.is_file():
        raise UserError(
            f"the weights of {NAME} are not at {path}: give their path, fetch them with "
            f"`glide-jax download {NAME}`, or take the feature net efficientnet_lite0, whose "
            "weights pip carries and whose figures are no FID"
        )
    return path
