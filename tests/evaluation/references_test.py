"""Reference files: ADM's, pytorch-fid's and ours; what can't be compared is refused."""

import contextlib
import json

import numpy as np
import pytest
from evaluation.features.feature_toys import images, toy_net
from refusals import refused

from glide_jax.errors import UserError
from glide_jax.evaluation.features.collecting import collect
from glide_jax.evaluation.references import images_of, read_reference, write_reference

GIVEN = images(9)
MEAN, COVARIANCE = np.arange(5.0), np.eye(5)


def written(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.fixture
def ours(tmp_path):
    """A file of ours, of 9 images of 12×12 pixels."""
    net = toy_net()
    write_reference(
        tmp_path / "ours.npz", net, (12, 12), collect(net, [GIVEN], ("pool", "spatial"), None)
    )
    return tmp_path / "ours.npz"


def test_what_is_written_is_read(ours):
    found, net = read_reference(ours), toy_net()
    collected = collect(net, [GIVEN], ("pool", "spatial"), None)
    for name, (mean, covariance) in found.statistics.items():
        np.testing.assert_array_equal(mean, collected[name].mean)
        np.testing.assert_array_equal(covariance, collected[name].covariance)
    assert found.statistics.keys() == {"pool", "spatial"}
    assert found.feature_names == ("pool",)
    np.testing.assert_array_equal(found.features("pool"), collected["pool"].features)
    assert found.images is None
    assert (found.about.count, found.about.resolution) == (9, (12, 12))
    found.check(net, (12, 12))


def test_others_read_what_is_written(ours):
    """ADM's evaluator and pytorch-fid take these four arrays, without pickle."""
    with np.load(ours) as file:
        assert [file[name].ndim for name in ("mu", "sigma", "mu_s", "sigma_s")] == [1, 2, 1, 2]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_adm_s_file(save, tmp_path):
    statistics = {"mu": MEAN, "sigma": COVARIANCE, "mu_s": MEAN[:3], "sigma_s": COVARIANCE[:3, :3]}
    save(tmp_path / "adm.npz", arr_0=GIVEN, **statistics)
    found = read_reference(tmp_path / "adm.npz")
    assert found.about.resize == "tensorflow"
    assert (found.about.net, found.about.count) == ("inception", 9)
    assert found.about.resolution == (12, 12)
    np.testing.assert_array_equal(found.statistics["spatial"][0], MEAN[:3])
    assert found.images is not None
    assert len(found.images) == 9
    for size in (4, 9, 100):
        batches = list(found.images.batches(size))
        assert max(map(len, batches)) == min(size, 9)
        np.testing.assert_array_equal(np.concatenate(batches), GIVEN)


def test_a_pytorch_fid_file_says_little(tmp_path):
    path = written(tmp_path / "fid.npz", mu=MEAN.astype(np.float32), sigma=COVARIANCE)
    found = read_reference(path)
    assert found.about.resize is None
    assert found.about.resolution is None
    assert found.statistics["pool"][0].dtype == np.float64
    found.check(toy_net(), (64, 64))  # nothing speaks against it


def test_labels_beside_images_are_nobody_s(tmp_path):
    """ADM's sampler writes them as arr_1."""
    path = written(tmp_path / "samples.npz", arr_0=GIVEN, arr_1=np.arange(9))
    found = read_reference(path)
    assert found.statistics == {}
    assert found.about.net is None
    assert found.images is not None


@pytest.mark.parametrize(
    ("other", "resolution", "words"),
    [
        ({"resize": "tensorflow"}, (12, 12), ["resized as pytorch", "not tensorflow"]),
        ({"fingerprint": "b"}, (12, 12), ["other weights of inception"]),
        ({}, (12, 16), ["12×12 pixels", "not 12×16"]),
    ],
)
def test_a_reference_of_something_else_is_refused(other, resolution, words, ours):
    refused(lambda: read_reference(ours).check(toy_net(**other), resolution), "ours.npz", *words)


def test_a_reference_of_another_net_is_refused(tmp_path):
    about = {"net": "efficientnet_lite0", "resize": "pytorch", "fingerprint": "c"}
    about |= {"resolution": [12, 12], "count": 9}
    text = np.array(json.dumps(about))
    path = written(tmp_path / "a.npz", mu=MEAN, sigma=COVARIANCE, glide_jax=text)
    refused(lambda: read_reference(path).check(toy_net(), (12, 12)), "efficientnet_lite0, not inc")


WRONG = {
    "of another kind": ({"tokens": MEAN, "mask": MEAN}, ["neither images", "tokens, mask"]),
    "empty": ({}, ["neither images", "nothing"]),
    "without a covariance": ({"mu": MEAN}, ["neither images", "mu"]),
    "float images": ({"arr_0": GIVEN / 255}, ["float64[9, 12, 12, 3]", "uint8[n h w 3]"]),
    "grey images": ({"arr_0": GIVEN[..., 0]}, ["uint8[9, 12, 12]", "uint8[n h w 3]"]),
    "images with alpha": ({"arr_0": np.zeros((2, 4, 4, 4), np.uint8)}, ["[2, 4, 4, 4]"]),
    "no images": ({"arr_0": GIVEN[:0]}, ["[0, 12, 12, 3]"]),
    "columns first": ({"arr_0": np.asfortranarray(GIVEN)}, ["C order"]),
    "pickled": ({"mu": np.array([None]), "sigma": COVARIANCE}, ["more than arrays"]),
    "of two sizes": ({"mu": MEAN, "sigma": np.eye(4)}, ["float64[4, 4]", "float[d d]"]),
    "integers": ({"mu": np.arange(4), "sigma": np.eye(4)}, ["int64[4]"]),
    "not finite": ({"mu": MEAN * np.nan, "sigma": COVARIANCE}, ["not finite"]),
    "without a meaning": ({"mu": MEAN, "sigma": COVARIANCE, "glide_jax": "{"}, ["damaged"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_of_the_wrong_kind_is_refused(case, tmp_path):
    arrays, words = WRONG[case]
    refused(lambda: read_reference(written(tmp_path / "a.npz", **arrays)), "a.npz", *words)


def test_what_is_no_npz_is_refused(tmp_path):
    refused(lambda: read_reference(tmp_path / "nowhere.npz"), "no file")
    np.save(tmp_path / "array.npy", MEAN)
    (tmp_path / "text.npz").write_text("mu: 3")
    for name in ("array.npy", "text.npz"):
        refused(lambda: read_reference(tmp_path / name), name, "no .npz file")  # noqa: B023


def test_a_file_that_is_cut_off_is_refused(tmp_path):
    """Anywhere: in one line, or read as it was."""
    path = written(tmp_path / "a.npz", arr_0=GIVEN, mu=MEAN, sigma=COVARIANCE)
    data = path.read_bytes()
    for count in range(0, len(data), len(data) // 40):
        path.write_bytes(data[:count])
        refused(lambda: read_reference(path), "a.npz")


def test_a_file_with_a_wrong_byte_gives_a_result_or_one_line(tmp_path):
    path = written(tmp_path / "a.npz", arr_0=GIVEN[:2], mu=MEAN, sigma=COVARIANCE)
    data, random = path.read_bytes(), np.random.default_rng(0)
    for place in random.integers(len(data), size=200):
        changed = bytearray(data)
        changed[place] ^= int(random.integers(1, 256))
        path.write_bytes(changed)
        with contextlib.suppress(UserError):
            found = read_reference(path)
            if found.images is not None:
                list(found.images.batches(1))


def test_images_are_asked_for_alone(tmp_path):
    assert images_of(written(tmp_path / "a.npz", mu=MEAN)) is None
    found = images_of(written(tmp_path / "b.npz", arr_0=GIVEN))
    assert found is not None
    assert found.shape == GIVEN.shape
