"""A config file is run; what is wrong with it is one line that says where."""

import pytest
from config_toys import BASE

from glide_jax import config
from glide_jax.config import experiment_from, load_config
from glide_jax.errors import UserError


def test_a_config_file_with_overrides():
    loaded = load_config(BASE, ["training.batch_size=8", "upsampler=none"])
    assert loaded.to_dict()["training"]["batch_size"] == 8
    assert experiment_from(loaded) == config.with_overrides(
        experiment_from(load_config(BASE)), ["training.batch_size=8"]
    )


def test_a_file_that_begins_from_another_finds_it_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base, upsampler = load_config(BASE), load_config(BASE.with_name("upsampler.py"))
    assert upsampler.model.image_size != base.model.image_size
    assert upsampler.model.text_width == base.model.text_width
    monkeypatch.chdir(BASE.parent)
    assert load_config("upsampler.py").to_dict() == upsampler.to_dict()


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


def test_a_missing_file_names_the_nearest():
    with pytest.raises(UserError, match=r"no config file .*; did you mean .*quickstart\.py\?"):
        load_config(BASE.with_name("quikstart.py"))
    with pytest.raises(UserError, match=r"no config file /nonsuch/a\.py; is the path right\?"):
        load_config("/nonsuch/a.py")
