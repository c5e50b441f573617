"""The metrics' maths against the public references': tests/golden/evaluation holds their figures.

They are torch_fidelity 0.4.0's, prdc 0.2's, SciPy's, and ADM's evaluator's restated in NumPy.
"""

import numpy as np
import pytest
from golden.load import HERE

from glide_jax.evaluation.maths.frechet import frechet_distance
from glide_jax.evaluation.maths.inception_score import inception_score
from glide_jax.evaluation.maths.kid import squared_mmd
from glide_jax.evaluation.maths.moments import Moments
from glide_jax.evaluation.maths.neighbours import density_coverage, precision_recall


def figures(name):
    with np.load(HERE / "evaluation" / f"{name}.npz") as file:
        return dict(file)


FID = figures("fid")
KID = figures("kid")
NEIGHBOURS = figures("precision_recall")
REAL, FAKE = FID["real"], FID["fake"]


def moments(features):
    gathered = Moments(features.shape[1])
    gathered.add(features)
    return gathered.mean, gathered.covariance


def test_moments():
    mean, covariance = moments(REAL)
    np.testing.assert_allclose(mean, FID["mu_real"], rtol=1e-6)
    np.testing.assert_allclose(covariance, FID["sigma_real"], rtol=1e-5, atol=1e-9)


def test_frechet_distance():
    found = frechet_distance(*moments(REAL), *moments(FAKE))
    np.testing.assert_allclose(found, FID["fid_sqrtm"], rtol=1e-6)
    np.testing.assert_allclose(found, FID["fid"], rtol=1e-6)
    assert abs(frechet_distance(*moments(REAL), *moments(REAL))) < 1e-12


def test_frechet_distance_of_fewer_images_than_features():
    few = int(FID["few"])
    found = frechet_distance(*moments(REAL[:few]), *moments(FAKE[:few]))
    np.testing.assert_allclose(found, FID["fid_few"], rtol=1e-6)


def test_kid():
    pairs = zip(KID["real_indices"], KID["fake_indices"], strict=True)
    each = [squared_mmd(REAL[i], FAKE[j]) for i, j in pairs]
    np.testing.assert_allclose(each, KID["kid_each"], rtol=1e-6)
    np.testing.assert_allclose(np.mean(each), KID["kid_mean"], rtol=1e-6)
    np.testing.assert_allclose(np.std(each), KID["kid_std"], rtol=1e-6)
    both = min(len(REAL), len(FAKE))
    np.testing.assert_allclose(squared_mmd(REAL[:both], FAKE[:both]), KID["kid_all"], rtol=1e-6)


def test_inception_score():
    golden = figures("inception_score")
    found = inception_score(golden["logits"], int(golden["splits"]))
    np.testing.assert_allclose(found, [golden["is_mean"], golden["is_std"]], rtol=1e-9)
    one = inception_score(golden["logits"], 1)
    np.testing.assert_allclose(one, [golden["is_one_split"], 0], rtol=1e-9)


@pytest.mark.parametrize(("sets", "k"), [("", 3), ("", 5), ("ties_", 3)])
def test_neighbours(sets, k):
    """Where distances are equal, precision counts them, and density doesn't."""
    golden = {
        key: float(NEIGHBOURS[f"{sets}{key}_k{k}"])
        for key in ("adm_precision", "adm_recall", "density", "coverage")
    }
    real, fake = (NEIGHBOURS["ties_real"], NEIGHBOURS["ties_fake"]) if sets else (REAL, FAKE)
    found = (*precision_recall(real, fake, k)[:2], *density_coverage(real, fake, k)[:2])
    np.testing.assert_allclose(found, list(golden.values()), rtol=0, atol=1e-12)
