"""Feature nets by name: what turns images into the vectors that metrics compare.

    images u8[b h w 3] ─ resize ─ network, compiled once ─→ pool, spatial, logits: f32[b d]

To add one, write a module with a function as `inception.load`, and add a line to FEATURE_NETS.
"""

from collections.abc import Callable
from pathlib import Path

from jax.sharding import Mesh

from glide_jax.errors import UserError, unknown_name
from glide_jax.evaluation.features import efficientnet_lite, inception
from glide_jax.evaluation.features.net import FeatureNet
from glide_jax.evaluation.features.resizes import RESIZES

__all__ = ["FEATURE_NETS", "RESIZES", "FeatureNet", "load_feature_net"]

FEATURE_NETS: dict[str, Callable[..., FeatureNet]] = {
    inception.NAME: inception.load,
    efficientnet_lite.NAME: efficientnet_lite.load,
}
"""Name → what loads it: (path, *, resize, mesh) → FeatureNet."""


def load_feature_net(
    name: str, path: str | Path | None, *, resize: str | None, mesh: Mesh | None = None
) -> FeatureNet:
    """Read a feature net's weights onto the devices.

    Args:
        name: a key of FEATURE_NETS.
        path: a file of its weights, or a folder with one; None: where `glide-jax download`, or the
            net's Python package, has put them.
        resize: a name of RESIZES; None: the one that the net's published figures have.
        mesh: of `parallel.mesh`; every batch is split over all its devices. None: JAX's first
            device.

    Raises:
        UserError: unknown name or resize; the weights are not there, or are another model's.
    """
    if name not in FEATURE_NETS:
        raise unknown_name("feature net", name, FEATURE_NETS)
    if resize is not None and resize not in RESIZES:
        raise unknown_name("resize", resize, RESIZES)
    if path is not None and not Path(path).exists():
        raise UserError(f"there are no weights of {name} at {path}: is the path right?")
    return FEATURE_NETS[name](None if path is None else Path(path), resize=resize, mesh=mesh)
