"""Metrics of features: the maths of the features that were collected, under the right names."""

import dataclasses

import numpy as np
import pytest
from evaluation import evaluation_toys

from glide_jax.errors import UserError
from glide_jax.evaluation.evaluating import Instruments
from glide_jax.evaluation.feature_sets import Features, collected
from glide_jax.evaluation.images.image_set import image_set_of
from glide_jax.evaluation.maths.frechet import frechet_distance
from glide_jax.evaluation.maths.kid import kid
from glide_jax.evaluation.maths.neighbours import precision_recall
from glide_jax.evaluation.opening import open_reference
from glide_jax.evaluation.references import read_reference, write_reference

ALL = ("fid", "sfid", "kid", "inception_score", "precision_recall", "density_coverage")
OUTPUTS = ("pool", "spatial", "logits")
REAL, FAKE = evaluation_toys.images(40), evaluation_toys.images(30, seed=1)


def features(reference=REAL, net=None):
    return Features(net or evaluation_toys.net(), OUTPUTS, reference)


def measured(metrics, images, given=None, keep=None):
    instruments = Instruments(tuple(metrics), 0, given or features())
    return instruments.of_images(images, None, keep)


def values(results):
    return {name: v.value for result in results.values() for name, v in result.values.items()}


def test_images_are_like_themselves():
    found = values(measured(ALL, REAL))
    assert abs(found["fid"]) < 1e-9
    assert abs(found["sfid"]) < 1e-9
    assert found["precision"] == found["recall"] == found["coverage"] == 1
    other = values(measured(ALL, FAKE))
    assert other["fid"] > 1e-5
    assert found.keys() == other.keys()
    assert {"kid", "inception_score", "density"} < found.keys()


def test_each_is_the_maths_of_the_features():
    found = values(measured(ALL, FAKE))
    real, fake = (collected(features(), one, None) for one in (REAL, FAKE))
    for name, output in (("fid", "pool"), ("sfid", "spatial")):
        a, b = real[output], fake[output]
        distance = frechet_distance(a.mean, a.covariance, b.mean, b.covariance)
        assert found[name] == pytest.approx(distance)
    pools = real["pool"].features, fake["pool"].features
    neighbours = precision_recall(*pools, 3)
    assert (found["precision"], found["recall"]) == (neighbours.precision, neighbours.recall)
    assert found["kid"] == kid(*pools, subsets=100, size=30, seed=0).mean


def test_every_number_lies_in_its_interval():
    for name, result in measured(ALL, FAKE).items():
        for value in result.values.values():
            assert value.low < value.high, name
            assert value.low <= value.value <= value.high, name


def test_the_kernel_distance_of_two_sets_alike_may_be_none():
    """Of so few images a subset is all of them: its scatter would say nothing."""
    alike = measured(["kid"], FAKE)["kid"].values["kid"]
    assert alike.low < 0 < alike.high
    pixels = np.concatenate(list(FAKE.batches(30)))
    dark = image_set_of((pixels // 3).astype(np.uint8), "dark")
    assert measured(["kid"], dark)["kid"].values["kid"].low > 0


def test_another_net_gives_no_fid():
    net = evaluation_toys.net("efficientnet_lite0")
    found = measured(ALL, FAKE, features(net=net))
    assert not {"fid", "sfid", "kid", "inception_score"} & values(found).keys()
    assert all("efficientnet_lite0" in name for name in values(found))
    assert found["fid"].details["net"] == "efficientnet_lite0"


def test_fewer_images_than_features_are_said_to_be_biased_and_get_a_kernel_distance():
    few = evaluation_toys.images(5)
    result = measured(["fid"], few)["fid"]
    assert list(result.values) == ["fid", "kid"]
    assert "fewer than the 6 features" in result.notes[0]
    assert measured(["fid"], FAKE)["fid"].notes == ()


def test_features_are_kept(tmp_path):
    class Counting:
        calls = 0

    def counted(size, rows=None):
        Counting.calls += 1
        return FAKE.batches(size, rows)

    images = dataclasses.replace(FAKE, batches=counted)
    first = values(measured(ALL, images, keep=tmp_path))
    assert Counting.calls == 1, "once for all metrics"
    kept = [path.stat().st_mtime_ns for path in tmp_path.rglob("*.f32")]
    assert len(kept) == 3
    assert values(measured(ALL, images, keep=tmp_path)) == first
    assert [path.stat().st_mtime_ns for path in tmp_path.rglob("*.f32")] == kept


def test_a_reference_of_another_size_is_refused():
    with pytest.raises(UserError, match="is of images of 16×16, and the images are 8×8"):
        measured(["kid"], FAKE, features(evaluation_toys.images(9, size=16)))


@pytest.fixture
def written(tmp_path):
    """Our own file of the reference's statistics."""
    path = tmp_path / "real.npz"
    write_reference(path, evaluation_toys.net(), (8, 8), collected(features(), REAL, None))
    return path


def from_file(path, net=None):
    net = net or evaluation_toys.net()
    images, file = open_reference(str(path), net.name, None, None)
    return Features(net, OUTPUTS, images, file)


def test_a_file_of_ours_is_as_good_as_its_images(written):
    from_images = values(measured(ALL, FAKE))
    assert values(measured(ALL, FAKE, from_file(written))) == pytest.approx(from_images)


def test_statistics_alone_give_a_fid_and_nothing_of_neighbours(tmp_path, written):
    file = np.load(written)
    path = tmp_path / "statistics.npz"
    np.savez(path, mu=file["mu"], sigma=file["sigma"])
    found = measured(["fid"], FAKE, from_file(path))["fid"]
    assert found.values["fid"].value == pytest.approx(values(measured(["fid"], FAKE))["fid"])
    for metric, message in (("kid", "no features"), ("sfid", "no statistics")):
        with pytest.raises(UserError, match=message):
            measured([metric], FAKE, from_file(path))
    few = measured(["fid"], evaluation_toys.images(5), from_file(path))["fid"]
    assert list(few.values) == ["fid"], "it can't say more"


def test_a_file_of_another_net_size_or_resize_is_refused(written):
    lite = evaluation_toys.net("efficientnet_lite0")
    with pytest.raises(UserError, match="is of the feature net inception"):
        measured(["kid"], FAKE, from_file(written, lite))
    with pytest.raises(UserError, match="8×8 pixels, not 16×16"):
        measured(["kid"], evaluation_toys.images(9, size=16), from_file(written))
    pytorch = dataclasses.replace(evaluation_toys.net(), resize="pytorch")
    with pytest.raises(UserError, match="resized as tensorflow"):
        measured(["kid"], FAKE, from_file(written, pytorch))


def test_adm_s_batch_gives_another_net_its_images(tmp_path, written):
    file, path = np.load(written), tmp_path / "adm.npz"
    pixels = np.concatenate(list(REAL.batches(40)))
    np.savez(path, pixels, **{name: file[name] for name in ("mu", "sigma", "mu_s", "sigma_s")})
    assert read_reference(path).about.net == "inception"
    lite = evaluation_toys.net("efficientnet_lite0")
    found = values(measured(["fid"], FAKE, from_file(path, lite)))
    expected = values(measured(["fid"], FAKE))["fid"]
    assert found["frechet (efficientnet_lite0)"] == pytest.approx(expected)


def test_what_is_no_reference_is_one_line(tmp_path):
    with pytest.raises(UserError, match="there is no reference none"):
        open_reference("none", "inception", None, None)
    with pytest.raises(UserError, match="needs 4 images"):
        measured(["precision_recall"], evaluation_toys.images(3))
