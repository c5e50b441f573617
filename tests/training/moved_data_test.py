"""A run resumes where its data have moved, and not where they have changed."""

import dataclasses
import io
import shutil
import tarfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from glide_jax.checkpoints import Checkpoints, find_checkpoint, refuse_another_run
from glide_jax.data import images
from glide_jax.errors import UserError
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.jobs import make_jobs
from glide_jax.training.loop import train

SOURCES = ("folder", "webdataset")


def write(source, root, count=12, caption="{} square"):
    root.mkdir(parents=True)
    swatches = tiny.Swatches()
    examples = [
        dataclasses.replace(swatches[i], captions=(caption.format(swatches.captions(i)[0]),))
        for i in range(count)
    ]
    for i, example in enumerate(examples):
        files = {f"{i}.png": images.encode_png(example.image)}
        files[f"{i}.txt"] = example.captions[0].encode()
        for name, content in files.items():
            if source == "folder":
                (root / name).write_bytes(content)
                continue
            with tarfile.open(root / f"{i % 2}.tar", "a") as tar:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def experiment(source, path, steps):
    return tiny.experiment(
        f"data.source={source}", f"data.path={path}", f"stages.base.training.num_steps={steps}"
    )


def resume(source, path, workdir, steps=4):
    """The job, of a model that is compiled in no time."""
    wanted = experiment(source, path, steps)
    refuse_another_run(workdir / "base" / "checkpoints", wanted)
    (job,) = make_jobs(wanted, workdir).stages
    model = tiny.linear(wanted)
    return dataclasses.replace(job, model=model, loss=tiny.loss(model, wanted.stages["base"]))


def run(source, path, workdir, steps):
    """The weights after `steps` steps."""
    return train(resume(source, path, workdir, steps), Interrupt(), None)


def save(source, path, workdir, **changed):
    """Write a checkpoint of step 2 without training."""
    job = dataclasses.replace(resume(source, path, workdir), **changed)
    with Checkpoints(
        job.directory / "checkpoints",
        keep=1,
        experiment=job.experiment,
        tokenizer=job.reader.to_dict(),
        data_set=job.data_set,
    ) as checkpoints:
        checkpoints.save(2, {"params": {"kernel": jnp.zeros(1)}}, {})


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GLIDE_JAX_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("source", SOURCES)
def test_a_run_resumes_where_its_data_have_moved(source, tmp_path):
    here, there = tmp_path / "here", tmp_path / "scratch" / "there"
    write(source, here)
    expected = run(source, here, tmp_path / "unmoved", 4)
    run(source, here, tmp_path / "run", 2)
    there.parent.mkdir()
    shutil.copytree(here, there, copy_function=shutil.copyfile)  # with new times
    shutil.rmtree(here)
    found = run(source, there, tmp_path / "run", 4)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    newest = find_checkpoint(tmp_path / "run" / "base" / "checkpoints")
    assert (newest.step, newest.data_set.images) == (4, 12)
    assert newest.experiment.data.path == str(there)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"count": 10}, "12 images then, 10 now"),
        ({"caption": "a {}"}, "12 images then and now, of other names, sizes or captions"),
    ],
)
def test_other_data_are_refused(source, change, counts, tmp_path):
    here, there, workdir = tmp_path / "here", tmp_path / "there", tmp_path / "run"
    write(source, here)
    write(source, there, **change)
    save(source, here, workdir)
    with pytest.raises(UserError) as caught:
        resume(source, there, workdir)
    checkpoint = workdir / "base" / "checkpoints" / "2"
    assert str(caught.value) == (
        f"data.source={source} at {there} is not what {checkpoint} was trained on ({counts}): set "
        "data.path to those, or start a run from its weights in another --workdir, with "
        f"--config.stages.base.training.init_from={workdir}"
    )


def test_a_checkpoint_without_a_fingerprint_resumes_as_before(tmp_path):
    here, there, workdir = tmp_path / "here", tmp_path / "there", tmp_path / "run"
    write("folder", here)
    save("folder", here, workdir, data_set=None)
    assert find_checkpoint(workdir / "base" / "checkpoints").data_set is None
    write("folder", there, 10)
    with pytest.raises(UserError, match=r"data\.path"):
        resume("folder", there, workdir)
    shutil.rmtree(here)
    there.rename(here)
    resume("folder", here, workdir)
