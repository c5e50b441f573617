"""A feature net: its resize, its compiled network and its weights on the devices."""

import dataclasses
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, SingleDeviceSharding

from glide_jax.encoders.placing import on_devices
from glide_jax.evaluation.features.resizes import RESIZES
from glide_jax.parallel.mesh import batch_sharding, replicated
from glide_jax.types import Array, Params

ROWS = 64
"""Images that a GPU or TPU computes at once."""

CPU_ROWS = 8
"""On a CPU more are no faster, and take more memory."""

AT_ONCE = 2
"""Batches that one device computes at once, each in a thread: pools and small convolutions of one
leave a CPU's cores idle, and a GPU computes one while another is copied."""

OWN_METRICS = {"fid": "frechet", "sfid": "spatial frechet", "kid": "mmd", "is": "class score"}
"""Metric whose name says Inception → what it is called of another net."""


@dataclasses.dataclass(frozen=True)
class FeatureNet:
    """Images → features.

    An image's features don't depend on its neighbours or their number: they are always computed in
    a batch of one size, which is filled up. The network is compiled once, its resize once an image
    size.

    Attributes:
        name: of the net.
        resize: its name in RESIZES.
        fingerprint: a SHA-256 of the weights.
        outputs: name → width of what it makes of an image.
        rows: images of a batch, over all devices.
    """

    name: str
    resize: str
    fingerprint: str
    outputs: Mapping[str, int]
    rows: int
    _at_once: int = dataclasses.field(repr=False)
    _place: Callable[[np.ndarray], Array] = dataclasses.field(repr=False)
    _resized: Callable[[Array], Array] = dataclasses.field(repr=False)
    _features: Callable[[Array], dict[str, Array]] = dataclasses.field(repr=False)
    _compiled_for: set[tuple[int, ...]] = dataclasses.field(default_factory=set, repr=False)

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The features of images of one size.

        Of several processes all must give the same images; each gets all features.

        Args:
            images: u8[b h w 3], RGB; of any b.

        Returns:
            f32[b d] by name, for each of `outputs`.

        Raises:
            ValueError: another dtype or shape.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise ValueError(f"images are {images.dtype}{list(images.shape)}, not uint8[b h w 3]")
        starts = range(0, len(images), self.rows)
        # The first of its size alone: two threads would both compile the programs.
        alone = 0 if images.shape[1:] in self._compiled_for else 1
        done = [self._of_batch(images, start) for start in starts[:alone]]
        self._compiled_for.add(images.shape[1:])
        with ThreadPoolExecutor(self._at_once) as threads:
            done += threads.map(lambda start: self._of_batch(images, start), starts[alone:])
        empty = {name: np.zeros((0, width), np.float32) for name, width in self.outputs.items()}
        return {
            name: np.concatenate([none, *[batch[name] for batch in done]])[: len(images)]
            for name, none in empty.items()
        }

    def _of_batch(self, images: np.ndarray, start: int) -> dict[str, np.ndarray]:
        rows = images[start : start + self.rows]
        filled = np.concatenate([rows, np.repeat(rows[-1:], self.rows - len(rows), axis=0)])
        features = self._features(self._resized(self._place(filled)))
        return {name: np.asarray(array) for name, array in features.items()}

    def metric_name(self, metric: str) -> str:
        """What people are shown for a metric of this net: only the Inception's is a FID.

        Args:
            metric: `fid`, `sfid`, `kid`, `is`, or a name that says no network, as `precision`.
        """
        if self.name == "inception":
            return metric
        return f"{OWN_METRICS.get(metric, metric)} ({self.name})"


def feature_net(
    name: str,
    *,
    resize: str,
    size: int,
    network_input: Callable[[Array], Array],
    apply: Callable[[Any, Array], dict[str, Array]],
    prepared: Mapping[str, np.ndarray],
    fingerprint: str,
    mesh: Mesh | None,
    rows: int | None = None,
) -> FeatureNet:
    """A feature net from a network.

    Args:
        name, resize, fingerprint: see `FeatureNet`.
        size: s, of the network's images.
        network_input: resized pixels, f32[b s s 3] from 0 to 255, as the network reads them.
        apply: (prepared weights, f32[b s s 3]) → f32[b d] by name.
        prepared: its weights; every device gets a copy.
        mesh: see `load_feature_net`.
        rows: images that a device computes at once; None: what suits its platform.
    """
    devices = jax.local_devices()[:1] if mesh is None else [*mesh.devices.flat]
    rows = rows or (CPU_ROWS if devices[0].platform == "cpu" else ROWS)
    here = SingleDeviceSharding(devices[0])
    batch, copied = (here, here) if mesh is None else (batch_sharding(mesh), replicated(mesh))
    params: Params = {name: on_devices(array, copied) for name, array in prepared.items()}

    def resized(images: Array) -> Array:
        return network_input(RESIZES[resize](images, size))

    def features(params: Params, x: Array) -> dict[str, Array]:
        # Or a GPU or TPU would round products to 10 bits: more than the sets differ by.
        with jax.default_matmul_precision("float32"):
            return apply(params, x)

    shape = jax.ShapeDtypeStruct((1, size, size, 3), np.float32)
    widths = {key: f.shape[-1] for key, f in jax.eval_shape(features, params, shape).items()}
    resize_program = jax.jit(resized, out_shardings=batch)
    program = jax.jit(features, out_shardings=copied)  # so that every process can read them
    return FeatureNet(
        name,
        resize,
        fingerprint,
        widths,
        rows * len(devices),
        # Two threads could start programs in another order on each of several devices, which then
        # wait for each other.
        AT_ONCE if len(devices) == 1 else 1,
        lambda images: on_devices(images, batch),
        resize_program,
        lambda x: program(params, x),
    )
