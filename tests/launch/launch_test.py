"""The scripts of launch/ print the right commands, and errors in one line."""

import itertools
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from glide_jax import config
from glide_jax.main import build_parser as main_parser

LAUNCH = Path(__file__).parents[2] / "launch"
SCRIPTS = sorted(path.name for path in LAUNCH.glob("*.sh") if os.access(path, os.X_OK))

POD = ["--name", "n", "--project", "p", "--zone", "z"]
RUN = ["--config", "configs/base.py", "--workdir", "/mnt/runs/base"]
SLURM = ["--config=configs/base.py", "--workdir=/shared/r", "--nodes=2", "--gpus-per-node=4"]
JOBSET = ["--name=base", "--image=r/i", "--tpu=v5e", "--topology=4x4", "--claim=runs", *RUN]


def launch(script, *words):
    command = ["bash", str(LAUNCH / script), *words]
    nothing = {"PATH": "/usr/bin:/bin", "SECRET": "it's"}  # neither gcloud nor sbatch nor kubectl
    return subprocess.run(command, env=nothing, capture_output=True, text=True, check=False)


def dry(script, *words):
    """What a script would do: the commands' words, and what else it prints."""
    place = words.index("--") if "--" in words else len(words)
    done = launch(script, *words[:place], "--dry-run", *words[place:])
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")
    commands = [shlex.split(line[2:]) for line in lines if line.startswith("+ ")]
    return commands, "\n".join(line for line in lines if not line.startswith("+ "))


def is_training(words):
    """Whether the words after `-m` are a command that glide_jax.main reads; what it would train."""
    module, *arguments = words[words.index("-m") + 1 :]
    assert module == "glide_jax.main"
    plain, overrides = config.split_overrides(arguments)
    read = main_parser().parse(plain)
    assert read.coordinator == "auto"
    return config.experiment_from(config.load_config(read.config, overrides)), str(read.workdir)


def test_there_are_scripts():
    assert SCRIPTS == ["gke_jobset.sh", "lock.sh", "slurm.sh", "tpu_pod.sh"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_the_head_of_the_script(script):
    done = launch(script, "--help")
    assert done.returncode == 0
    assert "--dry-run" in done.stdout
    assert "set -euo" not in done.stdout


def test_shellcheck_finds_nothing():
    beside_python = Path(sys.executable).parent / "shellcheck"
    program = str(beside_python) if beside_python.exists() else shutil.which("shellcheck")
    if not program:
        pytest.skip("shellcheck is not installed")
    command = [program, "--external-sources", *(str(LAUNCH / script) for script in SCRIPTS)]
    done = subprocess.run(command, cwd=LAUNCH.parent, capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_a_slice_is_asked_for_and_given_back():
    words = ["create", *POD, "--accelerator=v5litepod-16", "--spot"]
    (create, ask), _ = dry("tpu_pod.sh", *words)
    assert create[:6] == ["gcloud", "compute", "tpus", "queued-resources", "create", "n"]
    assert {"--project=p", "--zone=z", "--node-id=n", "--spot"} <= set(create)
    assert "--accelerator-type=v5litepod-16" in create
    assert "--runtime-version=v2-alpha-tpuv5-lite" in create
    assert ask[4:6] == ["describe", "n"]
    (create, _), _ = dry("tpu_pod.sh", "create", *POD, "--accelerator=v4-8", "--runtime=mine")
    assert "--runtime-version=mine" in create
    assert "--spot" not in create
    (delete,), _ = dry("tpu_pod.sh", "delete", *POD)
    assert delete[3:6] == ["queued-resources", "delete", "n"]


def test_all_hosts_of_a_slice_install_and_train():
    words = ["--nfs", "10.0.0.2:/share", "--extras", "glide,wandb"]
    (lock, archive, *commands), _ = dry("tpu_pod.sh", "install", *POD, *words)
    assert lock[:3] == ["uv", "pip", "compile"]
    assert [word for before, word in itertools.pairwise(lock) if before == "--extra"] == [
        *("tpu", "glide", "wandb")
    ]
    assert archive[:2] == ["git", "archive"]
    assert all("--worker=all" in command for command in commands)
    assert any("mount -t nfs 10.0.0.2:/share /mnt/runs" in command[-1] for command in commands)
    assert any("-o DPkg::Lock::Timeout=600 install" in command[-1] for command in commands)
    assert any("--requirement requirements.lock" in command[-1] for command in commands)
    override = "--config.prompts=('a red square', 'b')"
    (variables, _, train), text = dry(
        "tpu_pod.sh", "train", *POD, *RUN, "--env=SECRET", "--", override
    )
    assert variables[4] == "scp"
    assert "it's" not in text, "no value is in a command"
    assert "--worker=all" in train
    remote = train[-1].partition("; . ./environment.sh; ")[2].partition(" & ")[0]
    experiment, workdir = is_training(shlex.split(remote))
    assert experiment.prompts == ("a red square", "b")
    assert workdir == "/mnt/runs/base"
    (stop,), _ = dry("tpu_pod.sh", "stop", *POD)
    assert "--worker=0" in stop
    assert "TERM" in stop[-1]


def test_a_slurm_job_has_a_process_a_gpu():
    words = [*SLURM, "--partition=gpu", "--repeat=3", "--", "--config.stages.base.training.fsdp=8"]
    commands, script = dry("slurm.sh", *words)
    assert commands == [["mkdir", "-p", "/shared/r"], *[["sbatch"]] * 3]
    settings = [line.split()[1] for line in script.splitlines() if line.startswith("#SBATCH")]
    expected = "--nodes=2 --ntasks-per-node=4 --gpus-per-node=4 --dependency=singleton"
    assert {*expected.split(), "--signal=TERM@300", "--partition=gpu"} <= set(settings)
    assert not any("account" in setting for setting in settings)
    last = script.strip().splitlines()[-1]
    assert last.startswith("srun ")
    experiment, workdir = is_training(shlex.split(last))
    assert experiment.first_stage.training.fsdp == 8
    assert workdir == "/shared/r"


def test_a_jobset_has_a_pod_a_host():
    commands, text = dry("gke_jobset.sh", *JOBSET, "--spot", "--", '--config.data.path=a"b\\c')
    assert commands == [["kubectl", "apply", "--filename=-"]]
    jobset = yaml.safe_load(text)
    assert jobset["kind"] == "JobSet"
    (job,) = jobset["spec"]["replicatedJobs"]
    pods = job["template"]["spec"]
    assert pods["parallelism"] == pods["completions"] == 4
    pod = pods["template"]["spec"]
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "4x4",
        "cloud.google.com/gke-spot": "true",
    }
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"google.com/tpu": 4}
    experiment, workdir = is_training(container["command"])
    assert experiment.data.path == 'a"b\\c'
    assert workdir.startswith(container["volumeMounts"][0]["mountPath"])


def test_a_bucket_needs_no_shared_file_system():
    bucket = ["--config=base", "--workdir=gs://b/runs"]
    commands, _ = dry("tpu_pod.sh", "keep", *POD, "--accelerator=v6e-16", *bucket)
    assert not any("nfs" in command[-1] for command in commands)
    lock = next(command for command in commands if command[0] == "uv")
    assert lock[lock.index("--extra") + 2 :][:2] == ["--extra", "remote"]
    assert "--workdir=gs://b/runs" in commands[-1][-1]
    commands, script = dry("slurm.sh", *bucket, *SLURM[2:])
    assert commands[0] == ["mkdir", "-p", str(LAUNCH.parent / "slurm")]
    assert f"--output={LAUNCH.parent}/slurm/slurm-%j.log" in script
    words = [word for word in JOBSET if word != "--claim=runs" and word not in RUN]
    commands, text = dry(
        "gke_jobset.sh", *words, *bucket, "--env=SECRET", "--service-account=runner"
    )
    assert commands == [["kubectl", "apply", "--filename=-"]] * 2
    (job,) = yaml.safe_load(text)["spec"]["replicatedJobs"]
    pod = job["template"]["spec"]["template"]["spec"]
    assert [volume["name"] for volume in pod["volumes"]] == ["memory"]
    assert pod["serviceAccountName"] == "runner"
    (container,) = pod["containers"]
    assert [mount["name"] for mount in container["volumeMounts"]] == ["memory"]
    assert container["envFrom"] == [{"secretRef": {"name": "base-environment"}}]
    assert "it's" not in text


@pytest.mark.parametrize(
    ("script", "words", "program"),
    [
        ("tpu_pod.sh", POD, "gcloud"),
        ("slurm.sh", ["--job-name=glide_jax-base"], "squeue"),
        ("gke_jobset.sh", ["--name=base"], "kubectl"),
    ],
)
def test_how_a_run_is_can_be_asked(script, words, program):
    commands, _ = dry(script, "status", *words)
    assert commands[0][0] == program


def test_the_sky_job_is_a_process_a_host():
    job = yaml.safe_load((LAUNCH / "skypilot.yaml").read_text("utf-8"))
    assert job["resources"]["use_spot"]
    variables = job["envs"] | {"SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2", "SKYPILOT_NODE_RANK": "1"}
    variables |= {"SKYPILOT_NUM_NODES": str(job["num_nodes"]), "WORKDIR": "/shared/my runs"}
    variables |= {"OVERRIDES": "--config.seed=3", "PATH": "/usr/bin:/bin"}
    shown = job["run"].replace(".venv/bin/python", r"printf '%s\n'")
    done = subprocess.run(["bash", "-c", shown], env=variables, capture_output=True, text=True)
    assert done.stderr == ""
    words = done.stdout.splitlines()
    assert words[:2] == ["-m", "glide_jax.main"]
    plain, overrides = config.split_overrides(words[2:])
    read = main_parser().parse(plain)
    assert (read.coordinator, read.num_processes, read.process_id) == ("10.0.0.1:8476", 2, 1)
    assert overrides == ["seed=3"]
    assert config.load_config(LAUNCH.parent / read.config, overrides).seed == 3
    extras = set(job["envs"]["EXTRAS"].split(","))
    assert all(f'    "{name}": ' in (LAUNCH.parent / "setup.py").read_text() for name in extras)


@pytest.mark.parametrize(
    ("script", "words", "message"),
    [
        ("tpu_pod.sh", [], "give an ACTION"),
        ("tpu_pod.sh", ["crate", *POD], "give an ACTION"),
        ("tpu_pod.sh", ["create", "--name=n"], "give --project"),
        ("tpu_pod.sh", ["create", *POD], "give --accelerator"),
        ("tpu_pod.sh", ["create", *POD, "--accelerator=h100-8"], "unknown type"),
        ("tpu_pod.sh", ["create", *POD, "--acelerator=v4-8"], "unknown option --acelerator"),
        ("tpu_pod.sh", ["create", *POD, "--spot=yes"], "--spot takes no value"),
        ("tpu_pod.sh", ["create", "--name"], "--name needs a value"),
        ("tpu_pod.sh", ["install", *POD, "--nfs=host"], "must be HOST:/SHARE"),
        ("tpu_pod.sh", ["train", *POD, "--config=nothing.py"], "no config nothing.py"),
        ("tpu_pod.sh", ["train", *POD, *RUN[:2], "--workdir=runs"], "or under /mnt/runs"),
        ("tpu_pod.sh", ["train", *POD, *RUN, "--env=ABSENT"], "there is no such variable here"),
        ("tpu_pod.sh", ["train", *POD, *RUN, "--env=A=B"], "must be the name of a variable"),
        ("tpu_pod.sh", ["install", *POD, "--extras=glid"], "has no extra 'glid'"),
        ("lock.sh", [], "give --extras"),
        ("slurm.sh", SLURM[1:], "give --config"),
        ("slurm.sh", [*SLURM, "--nodes=0"], "--nodes=0 must be an integer from 1"),
        ("slurm.sh", [*SLURM, "--workdir=runs/a"], "or absolute"),
        ("slurm.sh", [*SLURM, "--time=soon"], "--time=soon must have sbatch's format"),
        ("slurm.sh", [*SLURM, "now"], "unexpected word 'now'"),
        ("gke_jobset.sh", [*JOBSET[:4], *RUN], "give --claim"),
        ("gke_jobset.sh", [*JOBSET, "--tpu=v3"], "must be one of v4, v5e, v5p, v6e"),
        ("gke_jobset.sh", [*JOBSET, "--topology=16"], "must look like 4x4"),
        ("gke_jobset.sh", [*JOBSET, "--chips-per-node=3"], "does not divide"),
        ("gke_jobset.sh", [*JOBSET, "--name=My_Run"], "lower-case letters"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_and_status_2(script, words, message):
    done = launch(script, *words, "--dry-run")
    assert done.returncode == 2
    (error,) = done.stderr.strip().splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert done.stdout == ""
