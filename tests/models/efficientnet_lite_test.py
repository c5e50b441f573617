"""EfficientNet-Lite0: sizes of its blocks, its table, the real weights on a real photograph."""

import importlib.util
from pathlib import Path

import jax
import matplotlib
import numpy as np
import pytest
from PIL import Image

from glide_jax.evaluation.features import efficientnet_lite as feature_net
from glide_jax.evaluation.features import load_feature_net
from glide_jax.models import efficientnet_lite

NET = efficientnet_lite.efficientnet_lite()
HAS_TORCH = importlib.util.find_spec("torch") is not None
INSTALLED = importlib.util.find_spec(feature_net.PACKAGE) is not None


def test_the_blocks_are_the_paper_s():
    """Tan & Le 2019, table 1: 16 blocks, 7×7 pixels at the end; 4.65 M weights."""
    assert len(efficientnet_lite.BLOCKS) == 16
    assert np.prod([b.stride for b in efficientnet_lite.BLOCKS]) * 2 == efficientnet_lite.SIZE // 7
    assert sum(b.has_skip for b in efficientnet_lite.BLOCKS) == 9
    statistics = (".mean", ".variance")
    trained = {k: s.shape for k, s in NET.shapes.items() if not k.endswith(statistics)}
    assert sum(map(np.prod, trained.values())) == 4_652_008


def test_shapes_of_the_features():
    prepared = NET.prepare({k: np.ones(s.shape, np.float32) for k, s in NET.shapes.items()})
    x = jax.ShapeDtypeStruct((3, efficientnet_lite.SIZE, efficientnet_lite.SIZE, 3), np.float32)
    pool, logits = jax.eval_shape(NET.apply, prepared, x)
    assert (pool.shape, logits.shape) == ((3, 1280), (3, 1000))


@pytest.mark.skipif(not (HAS_TORCH and INSTALLED), reason=f"needs {feature_net.INSTALL}, PyTorch")
def test_the_real_weights_know_a_uniform():
    """A portrait in uniform, which comes with matplotlib: ImageNet's class 652."""
    data = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    image = np.asarray(Image.open(data).convert("RGB"))[None, :512]
    logits = load_feature_net("efficientnet_lite0", None, resize=None)(image)["logits"]
    assert logits.argmax(1) == 652
