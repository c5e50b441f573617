"""What `--net` and `--reference` name, opened: a feature net, and what images are held against."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from glide_jax.config import Experiment
from glide_jax.errors import UserError
from glide_jax.evaluation.feature_sets import Features
from glide_jax.evaluation.features import FeatureNet, load_feature_net
from glide_jax.evaluation.images.files import open_folder, open_npz
from glide_jax.evaluation.images.from_data import open_data
from glide_jax.evaluation.images.image_set import ImageSet
from glide_jax.evaluation.references import Reference, read_reference
from glide_jax.evaluation.registry import OUTPUTS, REFERENCE, needed
from glide_jax.parallel.mesh import local_mesh
from glide_jax.storage import fetched


@dataclasses.dataclass(frozen=True)
class NetChoice:
    """Which feature net.

    Attributes:
        name: in FEATURE_NETS.
        weights: their file; None: where the net's own are.
        resize: in RESIZES; None: the net's own.
    """

    name: str
    weights: Path | None
    resize: str | None

    def load(self) -> FeatureNet:
        """The net, on the devices of this process: each computes its own images' features.

        Raises:
            UserError: its weights are not there.
        """
        mesh = local_mesh()
        return load_feature_net(self.name, self.weights, resize=self.resize, mesh=mesh)


def open_features(
    metrics: Sequence[str],
    net: NetChoice,
    reference: str | None,
    experiment: Experiment | None,
    size: int | None,
    keep: Path | None,
) -> Features | None:
    """The net and the reference that metrics need; None: they need neither.

    Args:
        metrics: names in METRICS.
        net: which.
        reference: an .npz, a folder of images, or a split of the experiment's data set; None: no
            metric needs one.
        experiment: of the model that is evaluated; None: none is.
        size: pixels a side of its images; None: as `experiment`.
        keep: the folder of the evaluation; None: features stay in memory.

    Raises:
        UserError: the weights or the reference are not there.
    """
    needs = needed(metrics)
    outputs = tuple(name for name in OUTPUTS if name in needs)
    if not outputs:
        return None
    images: ImageSet | None = None
    file: Reference | None = None
    if REFERENCE in needs:
        assert reference is not None
        images, file = open_reference(reference, net.name, experiment, size)
    loaded = net.load()
    folder = keep and images and keep / "references" / images.fingerprint[:12]
    return Features(loaded, outputs, images, file, folder or None)


def open_reference(
    name: str, net: str, experiment: Experiment | None, size: int | None
) -> tuple[ImageSet | None, Reference | None]:
    """The images of a reference, and what its file has beside them; see `open_features`.

    Raises:
        UserError: it is neither a file, nor a folder, nor a split.
    """
    path = fetched(name)
    if path.is_dir():
        return open_folder(path), None
    if path.is_file():
        file = read_reference(path)
        images = open_npz(path) if file.images is not None else None
        # ADM's batches have the images beside the Inception's statistics: another net reads those.
        if images is not None and file.about.net not in (None, net):
            return images, None
        return images, file
    if path.suffix or experiment is None or size is None:
        split = ", or a split of the model's data set" if experiment else ""
        raise UserError(f"there is no reference {name}: give an .npz, a folder of images{split}")
    data = experiment.data
    return open_data(data.source, data.path, name, size, None), None
