"""What is saved comes back bit for bit; a killed run leaves a checkpoint to continue from."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from glide_jax import __version__, config
from glide_jax.checkpoints import (
    Checkpoint,
    Checkpoints,
    find_checkpoint,
    open_checkpoint,
    quiet_background_errors,
    read_experiment,
)
from glide_jax.errors import UserError

BASE = Path(__file__).parents[2] / "configs" / "base.py"
TOKENIZER = {"kind": "letters", "letters": "abc é"}


def experiment(*overrides):
    return config.experiment_from(config.load_config(BASE, overrides))


def checkpoints(directory, *overrides, keep=2, tokenizer=TOKENIZER):
    return Checkpoints(directory, keep=keep, experiment=experiment(*overrides), tokenizer=tokenizer)


def some_state(seed=0):
    """Flat dicts, an optax state, bfloat16, scalars, values that arithmetic would not keep."""
    key = jax.random.key(seed)
    params = {
        "blocks.0.kernel": jax.random.normal(key, (16, 8)),
        "blocks.0.bias": jnp.array([0.0, -0.0, jnp.nan, jnp.inf, 1e-42, 3, 4, 5], jnp.float32),
    }
    return {
        "step": jnp.int32(seed),
        "params": params,
        "ema_params": {name: x.astype(jnp.bfloat16) for name, x in params.items()},
        "opt_state": optax.adamw(1e-3).init(params),
    }


def abstract(state, sharding=None):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), state)


def assert_same_bits(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A directory with one checkpoint, step 3; not to be changed."""
    directory = tmp_path_factory.mktemp("saved")
    with checkpoints(directory) as c:
        c.save(3, some_state(), {"next_index": 3})
    return directory


def test_save_then_restore_is_bit_exact(saved):
    found = open_checkpoint(saved)
    assert found.step == 3
    assert_same_bits(found.restore(abstract(some_state())), some_state())
    assert found.data_state == {"next_index": 3}
    assert found.tokenizer == TOKENIZER
    assert found.experiment == experiment()


def test_the_state_may_be_donated_at_once(tmp_path):
    state = {"params": {"w": jnp.ones((512, 512))}}
    overwrite = jax.jit(lambda s: jax.tree.map(lambda x: x * 0 - 7, s), donate_argnums=0)
    with checkpoints(tmp_path) as c:
        c.save(1, state, {})
        for _ in range(5):
            state = overwrite(state)
        jax.block_until_ready(state)
        restored = c.latest().restore(abstract(state))
    assert float(restored["params"]["w"].min()) == 1


def bytes_read():
    counters = Path("/proc/self/io")
    if not counters.exists():
        pytest.skip("counting bytes read needs Linux")
    return int(counters.read_text().split("rchar: ")[1].split()[0])


def test_one_part_is_read_without_the_others(tmp_path):
    noise = jax.random.normal(jax.random.key(0), (5_000_000,))
    state = {"ema_params": {"w": jnp.arange(8.0)}, "opt_state": {"mu": {"w": noise}}}
    with checkpoints(tmp_path) as c:
        c.save(1, state, {})
    before = bytes_read()
    ema = open_checkpoint(tmp_path).restore(abstract({"ema_params": state["ema_params"]}))
    after_part = bytes_read()
    whole = open_checkpoint(tmp_path).restore(abstract(state))
    after_whole = bytes_read()
    assert_same_bits(ema, {"ema_params": state["ema_params"]})
    assert_same_bits(whole, state)
    assert after_whole - after_part > noise.nbytes * 0.8  # that is: compressed, it is still large
    assert after_part - before < noise.nbytes * 0.1


def test_config_and_tokenizer_need_no_arrays(saved, tmp_path):
    step = tmp_path / "3"
    step.mkdir()
    subprocess.run(["cp", "-r", saved / "3" / "meta", step], check=True)
    assert find_checkpoint(tmp_path).experiment == experiment()
    assert find_checkpoint(tmp_path).tokenizer == TOKENIZER


def test_restored_on_eight_devices_from_one_and_back(saved, tmp_path):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    state = {"params": some_state()["params"]}
    spread = open_checkpoint(saved).restore(abstract(state, split))
    assert {len(x.addressable_shards) for x in jax.tree.leaves(spread)} == {8}
    assert {x.sharding for x in jax.tree.leaves(spread)} == {split}
    assert_same_bits(spread, state)
    with checkpoints(tmp_path) as c:
        c.save(1, spread, {})
        back = c.latest().restore(abstract(state))
    assert {len(x.addressable_shards) for x in jax.tree.leaves(back)} == {1}
    assert_same_bits(back, state)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"blocks.0.bias": np.zeros(7, np.float32)},
            "params/blocks.0.bias is float32[8] there and float32[7] here",
        ),
        (
            {"blocks.0.bias": np.zeros(8, ml_dtypes.bfloat16)},
            "params/blocks.0.bias is float32[8] there and bfloat16[8] here",
        ),
        ({"more": np.zeros(1, np.float32)}, "params/more is absent there and float32[1] here"),
        ({"blocks.0.bias": None}, "params/blocks.0.bias is float32[8] there and absent here"),
    ],
)
def test_another_models_arrays_are_refused_by_name(saved, change, expected):
    params = {**some_state()["params"], **change}
    params = {name: jnp.asarray(x) for name, x in params.items() if x is not None}
    with pytest.raises(UserError) as caught:
        open_checkpoint(saved).restore(abstract({"params": params}))
    assert expected in str(caught.value)


def test_weights_are_read_in_the_dtype_that_they_are_stored_in(saved):
    state, found = some_state(), open_checkpoint(saved)
    wanted = abstract(state["params"])
    assert_same_bits(found.weights("ema_params", wanted), state["ema_params"])
    assert_same_bits(found.weights("params", wanted), state["params"])
    for other in ({**wanted, "more": wanted["blocks.0.bias"]}, abstract({"w": jnp.zeros(3)})):
        with pytest.raises(UserError, match="does not fit this model"):
            found.weights("ema_params", other)


def test_weights_of_no_such_dtype_are_refused(tmp_path):
    with checkpoints(tmp_path) as c:
        c.save(1, {"params": {"w": jnp.zeros(3, jnp.int32)}}, {})
    with pytest.raises(UserError, match=r"w is int32\[3\] there and float32\[3\] here"):
        open_checkpoint(tmp_path).weights("params", abstract({"w": jnp.zeros(3)}))


def test_the_newest_are_kept(tmp_path):
    with checkpoints(tmp_path, keep=2) as c:
        for step in (1, 2, 5):
            c.save(step, some_state(step), {"next_index": step})
        latest = c.latest()
    assert latest.step == 5
    assert int(latest.restore(abstract(some_state()))["step"]) == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2", "5"]


def test_steps_only_grow(tmp_path):
    with checkpoints(tmp_path) as c:
        c.save(5, some_state(5), {"next_index": 5})
        c.save(5, some_state(5), {"next_index": 5})
        with pytest.raises(ValueError, match="step 4 comes after step 5"):
            c.save(4, some_state(4), {})
    with checkpoints(tmp_path) as c, pytest.raises(ValueError, match="step 4 comes after step 5"):
        c.save(4, some_state(4), {})
    assert find_checkpoint(tmp_path).step == 5


def test_no_checkpoint(tmp_path):
    for directory in (tmp_path, tmp_path / "nonsuch"):
        assert find_checkpoint(directory) is None
        with pytest.raises(UserError, match=r"no checkpoint in .*; give the workdir of a training"):
            open_checkpoint(directory)


def test_a_run_goes_on_and_another_is_refused(saved):
    with checkpoints(saved, "stages.base.training.num_steps=9") as c:
        assert c.latest().step == 3
    different = [
        "stages.base.model.channels=64",
        "seed=4",
        "data.path=x",
        "stages.base.training.batch_size=4",
    ]
    with pytest.raises(UserError) as caught:
        checkpoints(saved, *different)
    line = str(caught.value)
    assert "another experiment's checkpoints" in line
    assert "seed: 0 → 4; data.path: '' → 'x'; stages.base.model.channels: 192 → 64; …" in line
    with pytest.raises(UserError, match="has another tokenizer"):
        checkpoints(saved, tokenizer={"kind": "other"})
    assert find_checkpoint(saved).step == 3


def test_a_directory_that_can_not_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"can't write to .*: Not a directory; choose another"):
        checkpoints(tmp_path / "file" / "run")
    with pytest.raises(UserError, match="can't write to /proc/run"):
        checkpoints("/proc/run")


@pytest.mark.parametrize("broken", ["meta/metadata", "state/_METADATA", "state/manifest.ocdbt"])
def test_a_damaged_checkpoint_says_so(saved, tmp_path, broken):
    subprocess.run(["cp", "-r", saved / "3", tmp_path / "2"], check=True)
    subprocess.run(["cp", "-r", saved / "3", tmp_path / "3"], check=True)
    with (tmp_path / "3" / broken).open("r+b") as file:
        file.truncate(7)
    found = find_checkpoint(tmp_path)
    with pytest.raises(UserError, match=r"3 is damaged \(.*\); delete it to continue from step 2$"):
        _ = found.experiment, found.restore(abstract(some_state()))
    with pytest.raises(UserError, match="delete it to start from the beginning"):
        Checkpoint(tmp_path, 2)._read_json("nonsuch")


@pytest.mark.parametrize(
    ("item", "key", "value"),
    [
        ("meta", "config", []),
        ("meta", "config", {"stages": []}),
        ("meta", "config", {"stages": {"base": 3}}),
        ("data", "next_index", None),
        ("data", "next_index", -1),
    ],
    ids=str,
)
def test_a_file_that_holds_something_else_is_damaged(saved, tmp_path, item, key, value):
    subprocess.run(["cp", "-r", saved / "3", tmp_path / "3"], check=True)
    file = tmp_path / "3" / item / "metadata"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    found = find_checkpoint(tmp_path)
    with pytest.raises(UserError, match="3 is damaged"):
        _ = found.experiment, found.data_state


def test_where_jax_does_not_start_no_checkpoint_is_damaged(saved, monkeypatch):
    def fail():
        raise RuntimeError("Unable to initialize backend 'tpu'")

    monkeypatch.setattr(jax, "default_backend", fail)
    with pytest.raises(RuntimeError, match="Unable to initialize"):
        open_checkpoint(saved).shapes("params")


def test_folders_that_are_no_steps_are_ignored(saved, tmp_path):
    subprocess.run(["cp", "-r", saved / "3", tmp_path / "3"], check=True)
    for name in ("²", "٩", "07", "7 (copy)", "-8"):
        (tmp_path / name).mkdir()
    assert find_checkpoint(tmp_path).step == 3


def test_what_is_no_workdir_is_not_called_damaged(saved, tmp_path):
    """Of a folder of numbered runs nothing is to be deleted."""
    stage = tmp_path / "1" / "base"
    stage.mkdir(parents=True)
    (stage / "checkpoints").symlink_to(saved)
    assert read_experiment(tmp_path / "1") == experiment()
    with pytest.raises(UserError, match=f"no checkpoint in {tmp_path}; give the workdir"):
        read_experiment(tmp_path)
    with pytest.raises(UserError, match=f"a stage's folder: give its workdir, {tmp_path}/1$"):
        read_experiment(stage)


def test_checkpoints_of_another_version_say_so(saved, tmp_path):
    subprocess.run(["cp", "-r", saved / "3", tmp_path / "3"], check=True)
    file = tmp_path / "3" / "meta" / "metadata"
    meta = json.loads(file.read_text())
    assert meta["version"] == __version__
    meta["version"] = "0.9.1"
    del meta["config"]["seed"]
    file.write_text(json.dumps(meta))
    message = rf"was written by glide_jax 0.9.1, and {__version__} can't read .*config.seed is miss"
    with pytest.raises(UserError, match=message):
        _ = find_checkpoint(tmp_path).experiment


def test_checkpoints_without_stages_say_which_version_reads_them(saved, tmp_path):
    """As glide_jax 0.1 wrote them: the first stage's sections at the top, and no version."""
    subprocess.run(["cp", "-r", saved / "3", tmp_path / "3"], check=True)
    file = tmp_path / "3" / "meta" / "metadata"
    meta = json.loads(file.read_text())
    del meta["version"]
    stages = meta["config"].pop("stages")
    meta["config"] |= stages["base"] | {"lesson": None, "upsampler": None}
    file.write_text(json.dumps(meta))
    with pytest.raises(UserError) as caught:
        _ = find_checkpoint(tmp_path).experiment
    assert str(caught.value) == (
        f"{tmp_path / '3'} was written by glide_jax before 0.2, whose configs had no stages: use "
        "that version, or import the weights or train again in another --workdir"
    )
    with pytest.raises(UserError, match=r"before 0\.2"):
        checkpoints(tmp_path)


WRITER = """
    import sys
    import jax, jax.numpy as jnp
    sys.path.insert(0, {tests!r})
    from checkpoints_test import checkpoints
    c = checkpoints(sys.argv[1], keep=9)
    state = {{"params": {{f"w{{i}}": jax.random.normal(jax.random.key(i), (256, 256, 32))
             for i in range(8)}}}}
    c.save(1, state, {{"next_index": 1}})
    c.wait()
    print("ready", flush=True)
    c.save(2, state, {{"next_index": 2}})
    c.close()
    print("closed", flush=True)
"""


def test_kill_9_while_saving_leaves_the_one_before(tmp_path):
    program = textwrap.dedent(WRITER.format(tests=str(Path(__file__).parent)))
    command = [sys.executable, "-c", program, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("2.*/state*")) and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert (tmp_path / "1").is_dir()
    assert not (tmp_path / "2").exists(), "it was saved before it could be killed"
    found = open_checkpoint(tmp_path)
    assert found.step == 1
    x = jax.ShapeDtypeStruct((256, 256, 32), jnp.float32)
    w = found.restore({"params": {f"w{i}": x for i in range(8)}})["params"]["w3"]
    np.testing.assert_array_equal(w, jax.random.normal(jax.random.key(3), (256, 256, 32)))
    # Killed before the first was whole: there is none, and that is said.
    (tmp_path / "1").rename(tmp_path / "1.orbax-checkpoint-tmp")
    with pytest.raises(UserError, match="only a half-written checkpoint; give the workdir"):
        open_checkpoint(tmp_path)
    # The next run clears up and saves that very step.
    with checkpoints(tmp_path) as c:
        c.save(2, some_state(), {})
    assert [p.name for p in tmp_path.iterdir()] == ["2"]


def test_importing_changes_no_global_state_and_quietness_is_asked_for():
    program = """
import logging, sys
import orbax.checkpoint
before = sys.unraisablehook, list(logging.getLogger("absl").filters)
from glide_jax import checkpoints
assert (sys.unraisablehook, logging.getLogger("absl").filters) == before
checkpoints.quiet_background_errors()
once = sys.unraisablehook, list(logging.getLogger("absl").filters)
checkpoints.quiet_background_errors()
assert (sys.unraisablehook, logging.getLogger("absl").filters) == once != before
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_full_disk_while_saving(small_disk, capfd, monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    quiet_background_errors()
    too_much = {"params": {"w": jax.random.normal(jax.random.key(0), (5_000_000,))}}
    with checkpoints(small_disk / "run") as c:
        c.save(1, some_state(1), {})
        c.save(2, too_much, {})
        with pytest.raises(UserError) as caught:
            c.wait()
        assert str(caught.value) == (
            f"the disk is full: step 2 could not be saved in {small_disk / 'run'}; step 1 is "
            "complete: fix that and run the same command again"
        )
        assert [p.name for p in (small_disk / "run").iterdir()] == ["1"]
        assert_same_bits(c.latest().restore(abstract(some_state())), some_state(1))
        # The half of step 2 is gone: there is room again.
        c.save(3, some_state(3), {})
        assert c.latest().step == 3
    assert "Traceback" not in capfd.readouterr().err


def test_a_disk_too_full_to_begin(tmp_path, monkeypatch):
    def save(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with checkpoints(tmp_path) as c:
        monkeypatch.setattr(c._writer, "save", save)
        with pytest.raises(UserError, match=r"the disk is full: step 1 .*; there is no earlier"):
            c.save(1, some_state(), {})


def test_a_mistake_of_the_program_stays_one(tmp_path):
    with pytest.raises(TypeError, match="JSON"), checkpoints(tmp_path) as c:
        c.save(1, some_state(), {"state": object()})
