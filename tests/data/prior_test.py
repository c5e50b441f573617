"""Images of a prior among those that a model is fine-tuned on; one caption for a whole folder."""

import pickle
from collections import Counter

import numpy as np
import pytest
import tiny
from PIL import Image

from glide_jax import config, data
from glide_jax.data.prior import WithPrior
from glide_jax.data.source import Source
from glide_jax.errors import UserError


class First:
    """The first images of `Swatches`, under another name."""

    def __init__(self, count):
        self.count, self.inner = count, tiny.Swatches()

    classes = None

    @property
    def fingerprint(self):
        return f"first {self.count}"

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        return self.inner[i]

    def captions(self, i):
        return (f"own {i}",)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("count", [1, 5, 24, 100])
def test_the_share_is_kept_and_every_image_shown(count, share):
    both = WithPrior(First(count), tiny.Swatches(), share)
    assert isinstance(both, Source)
    captions = [both.captions(i)[0] for i in range(len(both))]
    own = [c for c in captions if c.startswith("own")]
    assert abs(len(own) / len(both) - (1 - share)) <= 0.5 / len(both) + 1e-9
    assert set(own) == {f"own {i}" for i in range(count)}
    shown = Counter(c for c in captions if not c.startswith("own"))
    assert sum(shown.values()) == both.of_prior >= len(tiny.Swatches()) - 1
    repeated = Counter(own).values()
    assert max(repeated) - min(repeated) <= 1, "each as often as the others"
    with pytest.raises(IndexError):
        both[len(both)]


def test_images_are_those_of_either_source():
    both = pickle.loads(pickle.dumps(WithPrior(First(2), tiny.Swatches(), 0.5)))
    assert len(both) == 48
    np.testing.assert_array_equal(both[1].image, tiny.Swatches()[1].image)
    np.testing.assert_array_equal(both[24 + 7].image, tiny.Swatches()[7].image)
    assert both.captions(24 + 7) == tiny.Swatches().captions(7)


def test_the_fingerprint_is_of_both_and_the_share():
    mixtures = [
        WithPrior(First(2), tiny.Swatches(), 0.5),
        WithPrior(First(3), tiny.Swatches(), 0.5),
        WithPrior(First(2), tiny.Swatches(), 0.4),
        WithPrior(tiny.Swatches(), First(2), 0.5),
    ]
    assert len({mixture.fingerprint for mixture in mixtures}) == len(mixtures)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_share_is_between_0_and_1(share):
    values = config.to_dict(tiny.experiment())
    prior = {"source": "folder", "path": "there", "split": "train", "share": share}
    values["data"]["prior"] = prior
    with pytest.raises(UserError, match=r"data\.prior\.share must be above 0 and below 1"):
        config.from_dict(values)


def test_a_star_captions_every_image_that_is_not_named(tmp_path):
    for name in ("a.png", "b.png", "sub/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "captions.csv").write_text("*,a photo of Rex\nb.png,a cat\n*,my dog\n")
    source = data.open_source("folder", str(tmp_path), "train")
    captions = [source.captions(i) for i in range(len(source))]
    assert captions == [
        ("a photo of Rex", "my dog"),
        ("a cat",),
        ("a photo of Rex", "my dog"),
    ]
