"""Features of 64×64 images by the FID's Inception on a CPU, beside PyTorch's same network.

    python benchmarks/inception.py [--images=256] [--batch=8] [--turn=256] [--memory=64,512]

Both compute the same images, resize included, in turns of so many: the machine's drift meets both
alike. PyTorch's gets batches of --batch, of which 8 are its fastest on two cores; ours gets what
`glide-jax evaluate` gives it. The weights are random. PyTorch's is written out below as public
implementations have it: convolution, batch normalisation, ReLU. It prints images per second of
wall-clock time and of CPU time, the ratios (above 1 we are faster), over all and by turns, how far
the features are apart, and the peak memory of a process that collects the features of each number
of images given to --memory, which must be flat.
"""

import argparse
import functools
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy
from sampling_suite.timing import Took, once, table

from glide_jax.evaluation.features import inception as inception_net
from glide_jax.evaluation.features import load_feature_net
from glide_jax.evaluation.features.collecting import collect
from glide_jax.evaluation.images.image_set import BATCH
from glide_jax.models import inception

SIZE = 64


def main() -> None:
    """Print what the docstring above says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=256, metavar="N")
    parser.add_argument("--batch", type=int, default=8, metavar="N")
    parser.add_argument("--turn", type=int, default=256, metavar="N")
    parser.add_argument("--memory", default="64,512", metavar="N,…")
    parser.add_argument("--collect", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--weights", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.collect:
        peak(arguments.collect, Path(arguments.weights))
        return
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "inception.safetensors"
        safetensors.numpy.save_file(random_state_dict(), weights)
        compare(weights, arguments.images, arguments.batch, arguments.turn)
        for count in filter(None, arguments.memory.split(",")):
            own = [sys.executable, __file__, f"--collect={count}", f"--weights={weights}"]
            subprocess.run(own, check=True)


def random_state_dict() -> dict[str, np.ndarray]:
    """Weights of the network by PyTorch's keys, that keep the signal's size."""
    random = np.random.default_rng(0)
    net, arrays = inception.inception(), {}
    for key, shape in inception_net.LAYOUT.reference_shapes(net.shapes).items():
        w = random.standard_normal(shape, dtype=np.float32)
        if len(shape) > 1:
            w *= np.sqrt(2 / np.prod(shape[1:])).astype(np.float32)
        elif key.endswith(("weight", "running_var")):
            w = 1 + 0.1 * np.abs(w)
        else:
            w *= 0.1
        arrays[key] = w
    return arrays


def batches(count: int, batch: int) -> Iterator[np.ndarray]:
    """Smooth random images, as many as asked for."""
    random = np.random.default_rng(0)
    for start in range(0, count, batch):
        small = random.integers(0, 256, (min(batch, count - start), 8, 8, 3), np.uint8)
        yield small.repeat(SIZE // 8, 1).repeat(SIZE // 8, 2)


def compare(weights: Path, count: int, batch: int, turn: int) -> None:
    """Print the table of times."""
    import torch

    net = load_feature_net("inception", weights, resize="pytorch")
    nets = {
        "PyTorch": PyTorchInception(safetensors.numpy.load_file(weights)),
        "ours": net,
    }
    sizes = {"PyTorch": batch, "ours": BATCH}
    images = next(batches(BATCH, BATCH))
    reference, ours = (f(images)["pool"] for f in nets.values())
    apart = np.abs(ours - reference).max() / np.abs(reference).max()
    took: dict[str, list[Took]] = {name: [] for name in nets}
    for images in batches(count, turn):
        for name, f in nets.items():
            parts = [images[i : i + sizes[name]] for i in range(0, len(images), sizes[name])]
            took[name].append(once(lambda f=f, parts=parts: [f(x) for x in parts]))
    wall, cpu = (
        {name: sum(getattr(one, kind) for one in each) for name, each in took.items()}
        for kind in ("wall", "cpu")
    )
    rows = [
        (
            name,
            count / wall[name],
            count / cpu[name],
            wall["PyTorch"] / wall[name],
            cpu["PyTorch"] / cpu[name],
        )
        for name in nets
    ]
    print(
        f"{os.cpu_count()} cores, {count} images in turns of {turn}, to PyTorch in batches of "
        f"{batch}, to ours of {BATCH}; "
        f"JAX {jax.__version__}, PyTorch {torch.__version__}; features differ by {apart:.1e}"
    )
    print(table(("", "images / s", "images / s of CPU time", "ratio", "ratio of CPU time"), rows))
    pairs = zip(took["PyTorch"], took["ours"], strict=True)
    low, middle, high = np.quantile([a.wall / b.wall for a, b in pairs], (0.05, 0.5, 0.95))
    print(f"ratio of a turn: median {middle:.3g}, 90 % from {low:.3g} to {high:.3g}", flush=True)


def peak(count: int, weights: Path) -> None:
    """Print the peak memory of collecting the features of so many images."""
    net = load_feature_net("inception", weights, resize=None)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as keep:
        found = collect(net, batches(count, 32), ("pool", "spatial"), Path(keep))
        assert found["pool"].count == count
        seconds = time.perf_counter() - start
        gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{count} images collected in {seconds:.0f} s; peak memory {gib:.3f} GiB", flush=True)


class PyTorchInception:
    """The network in PyTorch, on the CPU: u8[b h w 3] → pool, by pytorch-fid's resize."""

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        import torch

        self._torch, self._weights = torch, {k: torch.from_numpy(a) for k, a in arrays.items()}

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The features of a batch."""
        functional = self._torch.nn.functional
        with self._torch.inference_mode():
            x = self._torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
            size = (inception.SIZE, inception.SIZE)
            x = 2 * functional.interpolate(x, size, mode="bilinear", align_corners=False) - 1
            return {"pool": self._features(x).mean((2, 3)).numpy()}

    def _features(self, x: Any) -> Any:
        functional = self._torch.nn.functional
        pool = functools.partial(functional.max_pool2d, kernel_size=3, stride=2)
        for name in ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"):
            x = self._conv(name, x, 2 if "1a" in name else 1, "2b" in name)
        x = self._conv("Conv2d_4a_3x3", self._conv("Conv2d_3b_1x1", pool(x)), 1, False)
        x = pool(x)
        for block in inception.BLOCKS:
            x = self._block(block.capitalize(), x)
        return x

    def _conv(self, name: str, x: Any, stride: int = 1, same: bool = True) -> Any:
        functional, w = self._torch.nn.functional, self._weights
        kernel = w[f"{name}.conv.weight"]
        padding = tuple(n // 2 for n in kernel.shape[2:]) if same else 0
        x = functional.conv2d(x, kernel, None, stride, padding)
        x = functional.batch_norm(
            x,
            *(w[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")),
            eps=1e-3,
        )
        return functional.relu(x, inplace=True)

    def _block(self, block: str, x: Any) -> Any:
        """Every convolution of a block, in the order of its name's ending; then the pools."""
        functional = self._torch.nn.functional
        reduces = block in ("Mixed_6a", "Mixed_7a")
        chains: dict[str, list[str]] = {}
        for name in inception.BLOCKS[block.lower()]:
            chains.setdefault(name.partition("_")[0], []).append(name)
        results = []
        for branch, names in chains.items():
            h = x
            if branch == "branch" and block == "Mixed_7c":
                h = functional.max_pool2d(h, 3, 1, 1)
            elif branch == "branch":
                h = functional.avg_pool2d(h, 3, 1, 1, count_include_pad=False)
            ends = [name for name in names if name[-1] in "ab"]
            for name in names:
                last = reduces and name == names[-1]
                if name not in ends:
                    h = self._conv(f"{block}.{name}", h, 1 + last, not last)
            results += [self._conv(f"{block}.{name}", h) for name in ends] or [h]
        if reduces:
            results.append(functional.max_pool2d(x, 3, 2))
        return self._torch.cat(results, 1)


if __name__ == "__main__":
    main()
