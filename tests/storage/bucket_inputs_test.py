"""What a command is given to read may be in a bucket: images, prompts, references, adapters."""

import numpy as np
import pytest
from evaluation.features.feature_toys import images, toy_net
from refusals import refused

from glide_jax.checkpoints.adapters import read_adapter
from glide_jax.evaluation.features.collecting import collect
from glide_jax.evaluation.images.files import open_images
from glide_jax.evaluation.judging.reading import read_models
from glide_jax.evaluation.opening import open_reference
from glide_jax.evaluation.prompt_sets.reading import open_prompts
from glide_jax.evaluation.references import write_reference
from glide_jax.interop.sidecar import fetched_weights, sidecar_path
from glide_jax.sampling.grid import save_image
from glide_jax.sampling.images import read_image
from glide_jax.sampling.output import read_provenance
from glide_jax.storage import fetched, storage_path


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GLIDE_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def write_folder(folder, given):
    for i, pixels in enumerate(given):
        save_image(pixels, folder / f"{i}.png")
    return folder


def test_images_and_prompts_to_evaluate_and_to_judge(store):
    given = images(3)
    folder = write_folder(storage_path(store.url("sets/mine")), given)
    found = open_images(folder)
    assert found.name == str(folder), "not the copy's path"
    np.testing.assert_array_equal(np.concatenate(list(found.batches(2))), given)
    np.testing.assert_array_equal(read_image(str(folder / "1.png")), given[1])
    requests = len(store.faults.requests)
    open_images(folder)
    assert len(store.faults.requests) - requests < 3, "it is listed, and not fetched again"
    prompts = storage_path(store.url("prompts.txt"))
    prompts.write_text("a ring\na disc\na box\n")
    assert [s.prompt for s in open_prompts(str(prompts)).subjects] == ["a ring", "a disc", "a box"]
    judged = read_models([str(folder), f"other={folder}"], prompts, lambda *_: None)
    assert [(image.model, image.prompt) for image in judged[2:4]] == [
        ("mine", "a box"),
        ("other", "a ring"),
    ]


def test_reference_statistics_go_there_and_come_back(store):
    net, target = toy_net(), storage_path(store.url("references/mine.npz"))
    collected = collect(net, [images(5)], ["pool", "spatial"], None)
    write_reference(target, net, (8, 8), collected)
    _, file = open_reference(str(target), net.name, None, None)
    np.testing.assert_array_equal(file.statistics["pool"][0], collected["pool"].mean)


def test_weights_come_with_what_lies_beside_them_now(store):
    file = storage_path(store.url("exports/mine.safetensors"))
    file.write_bytes(b"weights")
    assert not sidecar_path(fetched_weights(file)).exists()
    for text in ("first", "second"):
        sidecar_path(file).write_text(text)
        here = fetched_weights(file)
        assert (here.name, here.read_bytes()) == (file.name, b"weights")
        assert sidecar_path(here).read_text() == text
    sidecar_path(file).unlink()
    assert not sidecar_path(fetched_weights(file)).exists()


@pytest.mark.parametrize(
    "use",
    [
        open_images,
        read_image,
        lambda url: open_prompts(f"{url}.txt"),
        lambda url: read_models([str(url)], None, lambda *_: None),
        lambda url: open_reference(str(url), "inception", None, None),
        read_adapter,
        read_provenance,
        fetched_weights,
        fetched,
    ],
    ids=["images", "image", "prompts", "judged", "reference", "adapter", "like", "weights", "any"],
)
def test_what_is_not_there_and_what_may_not_be_read_are_one_line(store, use):
    path = storage_path(store.url("nowhere/it"))
    refused(lambda: use(path), "nowhere/it")
    path.with_name("it.txt").write_text("a ring")
    path.write_bytes(b"something")
    store.faults.denied = True
    message = refused(lambda: use(path), store.scheme)
    assert "not a complete" not in message
