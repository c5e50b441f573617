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
from glide_jax.data.pipeline import batches
from glide_jax.data.shards import index_of, shards_of
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


@pytest.mark.newest
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


def first_batch(source, start_step):
    numbers = {"image_size": 8, "crop_size": 0, "batch_size": 8, "seed": 0, "workers": 0}
    process = {"process_index": 0, "process_count": 1}
    with batches(source, tiny.conditioning(), **numbers, **process, start_step=start_step) as some:
        return next(some)


@pytest.mark.newest
def test_a_run_goes_on_without_a_shard_that_is_gone_on_another_machine(tmp_path, caplog):
    here, workdir = tmp_path / "here", tmp_path / "run"
    write("webdataset", here)
    run("webdataset", here, workdir, 2)
    complete = first_batch(resume("webdataset", here, workdir).source, 2)
    (here / "1.tar").unlink()
    shutil.rmtree(tmp_path / "cache")
    shards_of.cache_clear()
    index_of.cache_clear()
    job = resume("webdataset", here, workdir)
    assert "1.tar: it does not exist; images of other shards replace its own" in caplog.text
    found = first_batch(job.source, 2)
    replaced = found["replacement"]
    assert 0 < replaced.sum() < len(replaced)
    for name in ("image", "tokens"):
        np.testing.assert_array_equal(found[name][~replaced], complete[name][~replaced])
    train(job, Interrupt(), None)
    assert find_checkpoint(workdir / "base" / "checkpoints").step == 4


def test_another_path_that_leaves_a_shard_out_is_refused(tmp_path):
    """What somebody no longer wants is not what can't be read."""
    here, workdir = tmp_path / "here", tmp_path / "run"
    write("webdataset", here)
    save("webdataset", here, workdir)
    with pytest.raises(UserError, match="12 images then, 6 now"):
        resume("webdataset", here / "0.tar", workdir)


def test_a_run_that_has_saved_nothing_begins_with_what_is_there(tmp_path):
    here, workdir = tmp_path / "here", tmp_path / "run"
    write("webdataset", here, 11)
    assert len(resume("webdataset", here, workdir).source) == 11
    shutil.rmtree(here)
    write("webdataset", here)
    shards_of.cache_clear()
    save("webdataset", here, workdir)
    assert len(resume("webdataset", here, workdir).source) == 12
