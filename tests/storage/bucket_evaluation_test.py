"""What an evaluation keeps, kept in a bucket: images and their features."""

import numpy as np
import pytest
from evaluation.features.feature_toys import images, toy_net

from glide_jax.evaluation.features.collecting import collect
from glide_jax.evaluation.images.files import read_files
from glide_jax.sampling.grid import save_image
from glide_jax.storage import storage_path


@pytest.mark.newest
def test_images_and_features_are_kept_and_not_computed_again(store):
    given = images(7)
    folder = storage_path(store.url("evaluation"))
    paths = [folder / f"{i:06d}.png" for i in range(7)]
    for pixels, path in zip(given, paths, strict=True):
        save_image(pixels, path)
    np.testing.assert_array_equal(np.concatenate(list(read_files(paths, 3))), given)
    computed, traced = [], []
    first = collect(toy_net(traced=computed), [given], ["pool"], folder / "features")["pool"]
    again = collect(toy_net(traced=traced), [given], ["pool"], folder / "features")["pool"]
    np.testing.assert_array_equal(again.features, first.features)
    # Of one image it is asked how wide its features are.
    assert max(shape[0] for shape in computed) > max(shape[0] for shape in traced) == 1
