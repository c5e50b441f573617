"""Collecting: the moments and features of all images, kept, and not computed twice."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from feature_toys import WIDTHS, images, toy_net
from refusals import refused

from glide_jax.evaluation.features.collecting import collect

GIVEN = images(23)
OUTPUTS = ("pool", "spatial")


def split(given, size):
    return (given[i : i + size] for i in range(0, len(given), size))


def counting(net):
    """(the net, the number of images of each call of it)."""
    calls = []

    def compute(place):
        def placed(filled):
            calls.append(len(filled))
            return place(filled)

        return placed

    return dataclasses.replace(net, _place=compute(net._place)), calls


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("size", [1, 5, 23])
def test_all_images_are_collected(kept, size, tmp_path):
    net, seen = toy_net(), []
    keep = tmp_path / "deep" / "features" if kept else None
    found = collect(net, split(GIVEN, size), OUTPUTS, keep, seen.append)
    for name, expected in net(GIVEN).items():
        assert found[name].count == 23
        np.testing.assert_array_equal(found[name].features, expected)
        np.testing.assert_allclose(found[name].mean, expected.astype(float).mean(0), atol=1e-12)
        covariance = np.cov(expected.astype(float), rowvar=False)
        np.testing.assert_allclose(found[name].covariance, covariance, atol=1e-12)
    assert seen[-1] == 23
    assert seen == sorted(seen)


def test_kept_features_are_mapped(tmp_path):
    found = collect(toy_net(), [GIVEN], ["pool"], tmp_path)["pool"]
    assert isinstance(found.features, np.memmap)


def test_an_interrupted_run_goes_on(tmp_path):
    def interrupted():
        yield from split(GIVEN[:13], 5)
        raise KeyboardInterrupt

    net, calls = counting(toy_net())
    with pytest.raises(KeyboardInterrupt):
        collect(net, interrupted(), OUTPUTS, tmp_path)
    assert len(calls) == 5  # 13 images in batches of 5, of 4 at once
    calls.clear()
    found = collect(net, split(GIVEN, 7), OUTPUTS, tmp_path)
    assert len(calls) == 4  # for the last of the second 7, for the third, and for the last 2
    expected = collect(toy_net(), [GIVEN], OUTPUTS, None)
    for name in OUTPUTS:
        np.testing.assert_array_equal(found[name].features, expected[name].features)
        np.testing.assert_allclose(found[name].covariance, expected[name].covariance, atol=1e-12)


def test_features_of_another_image_are_not_taken(tmp_path):
    collect(toy_net(), [GIVEN], OUTPUTS, tmp_path)
    changed = GIVEN.copy()
    changed[9, 3, 3, 0] ^= 1
    found = collect(toy_net(), split(changed, 6), OUTPUTS, tmp_path)
    np.testing.assert_array_equal(found["pool"].features, toy_net()(changed)["pool"])
    found = collect(toy_net(), [GIVEN[:4]], OUTPUTS, tmp_path)
    assert found["pool"].features.shape == (4, 5)


@pytest.mark.parametrize("other", [{"resize": "tensorflow"}, {"fingerprint": "another's"}])
def test_features_of_another_net_are_not_taken(other, tmp_path):
    collect(toy_net(), [GIVEN], OUTPUTS, tmp_path)
    net, calls = counting(toy_net(**other))
    found = collect(net, [GIVEN], OUTPUTS, tmp_path)
    assert calls
    np.testing.assert_array_equal(found["pool"].features, net(GIVEN)["pool"])


def test_features_cut_off_by_a_crash_are_computed_again(tmp_path):
    collect(toy_net(), [GIVEN], OUTPUTS, tmp_path)
    file = tmp_path / "spatial.f32"
    file.write_bytes(file.read_bytes()[:-5])
    found = collect(toy_net(), [GIVEN], OUTPUTS, tmp_path)
    np.testing.assert_array_equal(found["spatial"].features, toy_net()(GIVEN)["spatial"])


def test_memory_does_not_grow_with_the_images(tmp_path):
    """Of 6,080 more images neither the pixels, 2.6 MB, nor the features, 195 kB, stay in memory."""
    net, peaks = toy_net(rows=64), []
    collect(net, [GIVEN], OUTPUTS, None)  # compiled, and counted by nobody
    for count in (5, 100):
        tracemalloc.start()
        given = (images(64, seed=seed) for seed in range(count))
        collect(net, given, OUTPUTS, tmp_path / str(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 95 * 64 * 4 * sum(WIDTHS.values()) / 2


def test_images_of_several_sizes():
    found = collect(toy_net(), [images(3), images(2, 20)], ["pool"], None)
    assert found["pool"].count == 5


def test_nothing_to_collect_is_refused(tmp_path):
    refused(lambda: collect(toy_net(), [], ["pool"], tmp_path), "no image")
    refused(lambda: collect(toy_net(), [GIVEN], ["logits"], None), "no logits", "pool, spatial")
    (tmp_path / "file").touch()
    refused(lambda: collect(toy_net(), [GIVEN], ["pool"], tmp_path / "file"), "can't write")
