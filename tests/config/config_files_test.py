"""A config file is found and run; what is wrong with it is one line that says where."""

import os
import shutil
import subprocess
import sys

import ml_collections
import pytest
from config_toys import BASE, CONFIGS

from glide_jax import config
from glide_jax.config import experiment_from, find_config, load_config
from glide_jax.errors import UserError

ROOT = BASE.parents[1]


def test_a_config_file_with_overrides():
    quickstart = BASE.with_name("quickstart.py")
    overrides = ["stages.base.training.batch_size=6", "stages.upsampler=none"]
    loaded = load_config(quickstart, overrides)
    assert loaded.stages.base.training.batch_size == 6
    assert list(loaded.stages) == ["base"]
    expected = config.with_overrides(experiment_from(load_config(quickstart)), overrides)
    assert experiment_from(loaded) == expected


@pytest.mark.parametrize("kind", ["locked", "frozen", "other types"])
def test_any_config_dict_can_be_overridden(tmp_path, kind):
    changes = {
        "locked": "config.lock()",
        "frozen": "config = ml_collections.FrozenConfigDict(config)",
        "other types": "config.stages.base.training.learning_rate = 1; config.prompts = ['a']",
    }
    path = tmp_path / "mine.py"
    path.write_text(
        "import ml_collections\nfrom glide_jax.config import load_config\ndef get_config():\n"
        f"    config = load_config('quickstart')\n    with config.ignore_type():\n"
        f"        {changes[kind]}\n    return config\n"
    )
    overrides = ("stages.base.training.learning_rate=0.5", "prompts=b,c", "labels=none")
    loaded = load_config(path, [*overrides, "stages.upsampler=none", "evaluation=none"])
    e = experiment_from(loaded)
    assert e.first_stage.training.learning_rate == 0.5
    assert (e.prompts, e.labels, e.evaluation) == (("b", "c"), None, None)
    assert list(e.stages) == ["base"]
    assert loaded.is_locked == (kind == "locked")
    assert isinstance(loaded, ml_collections.ConfigDict)


def test_a_released_config_is_found_by_its_name_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in CONFIGS:
        assert find_config(path.stem) == path
        assert load_config(path.stem).to_dict() == load_config(path).to_dict()
    assert config.config_folder() == BASE.parent
    # What is not its name: a file called so, unless it is asked for as one.
    (tmp_path / "base").write_text(BASE.with_name("clip.py").read_text())
    (tmp_path / "quickstart").mkdir()
    assert "base" in load_config("base").stages
    assert "base" in load_config("quickstart").stages
    assert "clip" in load_config("./base").stages
    assert "clip" in load_config(tmp_path / "base").stages
    monkeypatch.chdir(BASE.parent)
    assert load_config("upsampler.py").to_dict() == load_config("upsampler").to_dict()


def test_a_config_derives_from_a_released_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base, upsampler = load_config(BASE), load_config(BASE.with_name("upsampler.py"))
    assert upsampler.stages.upsampler.model.image_size != base.stages.base.model.image_size
    assert upsampler.stages.upsampler.model.text_width == base.stages.base.model.text_width


def test_an_installed_package_has_its_configs_in_it(tmp_path):
    """As setup.py's package_dir puts them there."""
    package = tmp_path / "site" / "glide_jax"
    shutil.copytree(ROOT / "glide_jax", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(BASE.parent, package / "configs", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "from glide_jax.config import *; e = experiment_from(load_config('base_paper'));"
        "print(config_folder(), e.first_stage.model.channels)"
    )
    environment = os.environ | {"PYTHONPATH": str(package.parent)}
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert output.stdout.split() == [str(package / "configs"), "512"], output.stderr


def test_a_wrong_key_is_answered_before_jax_is_loaded():
    code = (
        "import sys; from glide_jax import config\n"
        "try:\n    config.load_config('quickstart', ['sede=1'])\n"
        "except Exception as error: print(error)\n"
        "config.experiment_from(config.load_config('upsampler', ['seed=1']))\n"
        "print(*sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, env=environment, capture_output=True, text=True)
    line, modules = output.stdout.splitlines()
    assert line == "config.sede: no such key; did you mean config.seed?"
    heavy = {"jax", "flax", "numpy", "optax", "orbax", "grain", "PIL", "tensorflow_datasets"}
    assert not heavy & set(modules.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def get_config(:", "line 1: SyntaxError: invalid syntax"),
        ("x = 1\n1 / 0", "line 2: ZeroDivisionError: division by zero"),
        ("def get_config():\n    return {}['a']", "line 2: KeyError: 'a'"),
        ("import nonsuch_module", "line 1: ModuleNotFoundError: No module named 'nonsuch_module'"),
        ("def config(): pass", "has no get_config(); see configs/quickstart.py"),
        ("def get_config(): return {}", "get_config() must return an ml_collections.ConfigDict"),
    ],
)
def test_a_broken_file_says_where(tmp_path, text, expected):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert str(caught.value).startswith(str(path))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_names_the_nearest(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"no config file .*; did you mean .*quickstart\.py\?"):
        load_config(BASE.with_name("quikstart.py"))
    with pytest.raises(UserError, match=r"no config file /nonsuch/a\.py; is the path right\?"):
        load_config("/nonsuch/a.py")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no config file quikstart; did you mean quickstart\?"):
        load_config("quikstart")
    # As the docs of a checkout write it, where there is only the installed package.
    with pytest.raises(UserError, match=r"no config file configs/clip.py; did you mean clip\?"):
        load_config("configs/clip.py")
    with pytest.raises(UserError, match="released configs: adm_imagenet64, base, base_paper, cc"):
        load_config("zzz")
