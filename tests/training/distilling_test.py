"""Distillation: rounds one after the other, each by the weights of the one before."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from models.model_toys import filled

from glide_jax import config, data
from glide_jax.checkpoints import Checkpoints, checkpoints_of, open_checkpoint, read_experiment
from glide_jax.checkpoints.fingerprint import weights_fingerprint
from glide_jax.commands.train import train
from glide_jax.errors import UserError
from glide_jax.models.families import model_of
from glide_jax.parallel.mesh import make_mesh
from glide_jax.planning.cost import step_flops
from glide_jax.planning.jobs import planned_jobs
from glide_jax.sampling import loading
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.training import jobs, starting
from glide_jax.training.distilling import rounds_left
from glide_jax.training.jobs import make_jobs
from glide_jax.training.lowering import abstract_state
from glide_jax.training.objectives.distilled import TEACHER, as_teacher, distillation_loss
from glide_jax.training.rounds import rounds_of
from glide_jax.types import Condition


@pytest.fixture(autouse=True)
def swatches(monkeypatch):
    monkeypatch.setattr(data, "prepare", lambda source, path: None)
    monkeypatch.setattr(data, "open_source", lambda source, path, split: tiny.Swatches())


def linear(stage, **text):
    """`tiny.linear` as `model_of` builds models."""
    del text
    return tiny.linear(SimpleNamespace(first_stage=stage))


def teacher_of(workdir, *overrides, build=model_of):
    """A workdir with a model that nobody trained."""
    experiment = tiny.experiment(*overrides)
    stage, reader = experiment.stages["base"], tiny.reader()
    model = build(stage, vocab_size=reader.vocab_size, text_length=reader.length)
    params = filled(model.shapes)
    with Checkpoints(
        checkpoints_of(workdir, "base"), keep=1, experiment=experiment, tokenizer=reader.to_dict()
    ) as checkpoints:
        checkpoints.save(0, {"ema_params": params}, {})
    return params


def student_of(teacher, *overrides, rounds=("guidance", "2", "1"), **distillation):
    """The experiment of a student of the model in this workdir; it samples nothing by itself."""
    values = config.to_dict(tiny.experiment("prompts=none", "evaluation=none", *overrides))
    stage = values["stages"]["base"]
    stage["model"]["dropout"] = 0.0
    stage["training"] |= {"init_from": str(teacher), "caption_dropout": 0.0}
    stage["training"] |= {"num_steps": 2, "lr_warmup_steps": 0}
    stage["training"]["distillation"] = {
        "rounds": rounds,
        "teacher_prediction": "x_0",
        "teacher_learns_variance": False,
    } | distillation
    if "guidance" in rounds:
        stage["model"]["guidance_range"] = (1.0, 4.0)
    if rounds[-1] != "guidance":
        stage["sampling"] |= {"steps": f"trailing{rounds[-1]}"}
    return config.from_dict(config.to_dict(config.from_dict(values)))


def weights(folder):
    checkpoint = open_checkpoint(folder / "checkpoints")
    return checkpoint.weights("ema_params", checkpoint.shapes("ema_params"))


@pytest.mark.usefixtures("one_device")
def test_a_chain_of_rounds_is_trained_resumed_and_sampled(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(jobs, "model_of", linear)
    monkeypatch.setattr(loading, "model_of", linear)
    teacher_of(tmp_path / "teacher", build=linear)
    experiment, run = student_of(tmp_path / "teacher"), tmp_path / "run"
    (job,) = make_jobs(experiment, run).stages
    assert [one.title for one in rounds_left(job)] == [
        "base, round guidance",
        "base, round 2",
        "base, round 1",
    ]
    train(experiment, run)
    first, second = (run / "rounds" / name for name in ("base_guidance", "base_2"))
    folders = [tmp_path / "teacher", first, second, run]
    for before, after in itertools.pairwise(folders):
        checkpoint = open_checkpoint(after / "base" / "checkpoints")
        assert checkpoint.step == 2
        assert checkpoint.base == weights_fingerprint(weights(before / "base"))
        assert not any(path.startswith(TEACHER) for path in checkpoint.shapes("params"))
    steps = [read_experiment(folder).first_stage.sampling.steps for folder in folders[1:]]
    assert steps == ["trailing4", "trailing2", "trailing1"]
    # Of the rounds that are complete none is touched again; the last goes on where it was.
    capsys.readouterr()
    longer = student_of(tmp_path / "teacher", "stages.base.training.log_every_steps=1")
    train(longer, run)
    said = capsys.readouterr().out
    assert "round 1: continuing from step 2" in said
    assert "round 2: continuing" not in said
    for folder in (second, run):
        pipeline = Pipeline.load(folder)
        seen = []
        pipeline("red square", guidance_scale=2.5, on_progress=seen.append)
        assert seen[-1].num_steps == (1 if folder == run else 2)


def linear_round(what, **changes):
    """A round of `tiny.linear`, which heeds no condition, and its loss."""
    experiment = student_of("teacher", rounds=(what,))
    (taught,) = rounds_of("base", experiment, Path("run"))
    model = tiny.linear(experiment)

    def condition_of(batch, rng):
        return Condition(tokens=batch["tokens"])

    null = {"tokens": np.zeros((1, 6), np.int32)}
    loss = distillation_loss(model, model, taught, condition_of, null)
    params = {path: 0.1 * x for path, x in model.init(jax.random.key(0)).items()}
    key = jax.random.key(1)
    batch = {
        "image": jnp.tanh(jax.random.normal(key, (4, 8, 8, 3))),
        "tokens": jnp.ones((4, 6), jnp.int32),
        "index": jnp.arange(4),
        "t": jnp.array([999, 999, 999, 999]) if what == "1" else jnp.array([0, 300, 600, 999]),
        "t_weight": jnp.ones(4),
    }
    return loss, params, batch, key


@pytest.mark.newest
def test_a_student_that_is_its_teacher_has_no_loss_where_guidance_changes_nothing():
    loss, params, batch, key = linear_round("guidance")
    same = params | as_teacher(params)
    assert loss(same, batch, key)[0] < 1e-6
    other = as_teacher({path: 2 * x for path, x in params.items()})
    assert loss(params | other, batch, key)[0] > 1e-4


@pytest.mark.newest
@pytest.mark.parametrize("what", ["guidance", "1"])
def test_the_teacher_learns_nothing(what):
    loss, params, batch, key = linear_round(what)
    teacher = as_teacher({path: 2 * x for path, x in params.items()})
    gradients = jax.grad(lambda both: loss(both, batch, key)[0])(params | teacher)
    for path, gradient in gradients.items():
        assert bool(gradient.any()) == (path in params), path


@pytest.mark.newest
@pytest.mark.usefixtures("one_device")
def test_a_student_starts_from_its_teacher_without_the_variance(tmp_path):
    """Its state holds its own weights alone, and it is trained where it samples."""
    learned = ("learn_variance=True", "vlb_weight=0.001", "prediction=eps")
    params = teacher_of(tmp_path / "teacher", *[f"stages.base.diffusion.{x}" for x in learned])
    given = {"teacher_prediction": "eps", "teacher_learns_variance": True}
    experiment = student_of(
        tmp_path / "teacher",
        "stages.base.diffusion.prediction=v",
        rounds=("guidance", "2"),
        **given,
    )
    (job,) = make_jobs(experiment, tmp_path / "run").stages
    (first,) = job.earlier
    assert first.trained.shapes["unet.out_conv.kernel"].shape[-1] == 3
    assert params["unet.out_conv.kernel"].shape[-1] == 6
    new = {path for path in first.model.shapes if path.startswith("guidance_embedding.")}
    assert first.initial_params.keys() == first.model.shapes.keys() - new
    for path, x in first.initial_params.items():
        np.testing.assert_array_equal(x, params[path][..., : x.shape[-1]], err_msg=path)
    base = starting.read_base(first, make_mesh(1))
    assert {path: x.shape for path, x in base.items()} == {
        path: x.shape for path, x in first.base_shapes.items()
    }
    assert abstract_state(first).params.keys() == first.model.shapes.keys()
    t, weight = job.timesteps.sample({}, jax.random.split(jax.random.key(0), 64))
    assert (np.unique(t).tolist(), weight.min()) == ([499, 999], 1)
    # Planned without a teacher's files: later rounds are never there before the first has run.
    planned = planned_jobs(experiment).in_order
    assert [one.title for one in planned] == ["base, round guidance", "base, round 2"]
    assert [one.base_shapes.keys() for one in planned] == [
        {f"{TEACHER}{path}" for path in params},
        {f"{TEACHER}{path}" for path in first.model.shapes},
    ]


@pytest.mark.newest
def test_a_stopped_chain_goes_on_with_the_round_that_it_was_in(tmp_path):
    teacher_of(tmp_path / "teacher")
    experiment = student_of(tmp_path / "teacher")
    (job,) = make_jobs(experiment, tmp_path / "run").stages
    with Checkpoints(
        job.earlier[1].directory / "checkpoints",
        keep=1,
        experiment=job.earlier[1].experiment,
        tokenizer=tiny.reader().to_dict(),
    ) as checkpoints:
        checkpoints.save(1, {"ema_params": {"x": np.zeros(1)}}, {})
    left = rounds_left(job)
    assert [one.round.name for one in left] == ["2", "1"]
    (again,) = make_jobs(experiment, tmp_path / "run").stages
    assert again.earlier[0].base is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rounds": ("8", "guidance")}, "rounds must be rounds such as"),
        ({"rounds": ("8", "2")}, "rounds must be rounds such as"),
        ({"rounds": ()}, "rounds must be rounds such as"),
        ({"rounds": ("0",)}, "rounds must be rounds such as"),
        ({"rounds": ("512",)}, "asks for 1024 steps of a schedule of 1000"),
        ({"teacher_prediction": "eps"}, "different model .*prediction: 'x_0' → 'eps'"),
        ({"steps": "4"}, r"sampling.steps must be 'trailing1', not '4'"),
        ({"timesteps": "loss_second_moment"}, "diffusion.timesteps must be 'uniform'"),
        ({"guidance_range": ()}, "guidance_range must be the scales of the round of guidance"),
        ({"distillation": None}, r"guidance_range must be \(\) without a training.distillation"),
        ({"init_from": ""}, "init_from must be a workdir: training.distillation has a teacher"),
        ({"adapter": {"rank": 1, "alpha": 1.0, "weights": ("text",)}}, "adapter must be left out"),
    ],
    ids=str,
)
def test_what_can_t_be_distilled_is_refused_before_it_begins(tmp_path, changes, expected):
    teacher_of(tmp_path / "teacher")
    values = config.to_dict(student_of(tmp_path / "teacher", rounds=("guidance", "2", "1")))
    stage = values["stages"]["base"]
    if changes.get("rounds") == ("512",):
        stage["sampling"]["steps"] = "trailing512"
    distillation = stage["training"]["distillation"]
    sections = (distillation, *stage.values(), stage["training"])
    for name, value in changes.items():
        next(section for section in sections if name in section)[name] = value
    with pytest.raises(UserError, match=expected):
        make_jobs(config.from_dict(values), tmp_path / "run")


@pytest.mark.parametrize("what", ["guidance", "1"])
def test_a_step_is_counted_with_gradients_of_the_student_alone(monkeypatch, what):
    """In products of one image with a matrix: 5 of the student's two layers, forth and back."""
    monkeypatch.setattr(jobs, "model_of", linear)
    (job,) = planned_jobs(student_of("teacher", rounds=(what,))).stages
    of_teacher = 2 * 2  # layers, and either both conditions or two steps
    assert step_flops(job) == (5 + of_teacher) * 2 * (8 * 8 * 3) ** 2


@pytest.mark.parametrize("what", ["guidance", "1"])
def test_a_student_learns_from_a_teacher_that_is_another(what):
    loss, params, batch, key = linear_round(what)
    teacher = as_teacher({path: 2 * x for path, x in params.items()})

    def of_student(own):
        return loss(own | teacher, batch, key)[0]

    step = jax.jit(jax.value_and_grad(of_student))
    values = []
    for _ in range(20):
        value, gradients = step(params)
        values.append(float(value))
        size = optax.tree.norm(gradients)
        params = {path: x - 0.05 * gradients[path] / size for path, x in params.items()}
    assert min(values) < 0.7 * values[0]
