"""What is enlarged are the true images, each from its own reduction."""

import dataclasses

import numpy as np
import pytest
from experiments import experiment_toys

from glide_jax.data.images import square
from glide_jax.experiments.lab import Lab
from glide_jax.experiments.measures.enlarged import Enlarged
from glide_jax.sampling.output import PipelineOutput
from glide_jax.sampling.pipeline import Pipeline

ROWS = 5


@pytest.fixture
def lab(tmp_path):
    with experiment_toys.toy_models():
        yield Lab({"toy": tmp_path}, tmp_path, "test", ROWS, lambda name, progress: None)


def answering(enlarge, asked):
    """In place of `Pipeline.sample_rows`: what is given of each row."""

    def sample_rows(self, rows, *, batch_size):
        asked.extend(rows)
        return [PipelineOutput((enlarge(row)[None],), ()) for row in rows]

    return sample_rows


def test_the_distance_is_to_the_true_image(lab, monkeypatch):
    true, asked = lab.pixels("toy", 16), []
    monkeypatch.setattr(
        Pipeline, "sample_rows", answering(lambda row: true[row.request.indices[0]], asked)
    )
    found = Enlarged("toy", {"steps": "2"}).scores(lab, 3)
    assert found["distance"].tolist() == [0] * ROWS
    for i, row in enumerate(asked):
        assert row.request.indices == (i,)
        assert row.request.seeds == (3,)
        np.testing.assert_array_equal(row.request.low_res[0], square(true[i], 8))
    inverted = answering(lambda row: 255 - true[row.request.indices[0]], asked)
    monkeypatch.setattr(Pipeline, "sample_rows", inverted)
    expected = np.sqrt(np.square((255 - 2.0 * true) / 127.5).mean((1, 2, 3)))
    np.testing.assert_allclose(Enlarged("toy", {}).scores(lab, 3)["distance"], expected, rtol=1e-6)


@pytest.mark.newest
def test_an_upsampler_alone_is_enough(tmp_path):
    with experiment_toys.toy_models() as pipeline:
        alone = dataclasses.replace(pipeline, stages=pipeline.stages[1:])
        lab = Lab({"toy": tmp_path}, tmp_path, "test", 3, lambda name, progress: None)
        lab._kept["pipeline", "toy"] = alone
        found = Enlarged("toy", {"steps": "2"}).scores(lab, 0)
    assert {len(values) for values in found.values()} == {3}
    assert (found["distance"] > 0).all()
