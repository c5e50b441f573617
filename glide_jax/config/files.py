"""Config files: Python whose `get_config()` returns an ml_collections.ConfigDict of every value."""

import difflib
import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_collections

from glide_jax.config.experiment import Experiment
from glide_jax.config.overrides import override
from glide_jax.config.reading import from_dict
from glide_jax.errors import UserError
from glide_jax.local_path import not_local


def load_config(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Any:
    """Runs a config file's `get_config()` and changes what the overrides say.

    Args:
        name_or_path: the name of a released config, such as `quickstart`, or a Python file.
        overrides: `KEY=VALUE` each, such as `stages.base.training.batch_size=64`; the last one of
            a key wins.

    Returns:
        An ml_collections.ConfigDict, whose attributes no type checker knows.

    Raises:
        UserError: no such config, a mistake in it, or an override of an unknown key or wrong type.
    """
    config = _run(find_config(name_or_path))
    if overrides:
        with config.unlocked(), config.ignore_type():
            override(config, overrides)
    return config


def experiment_from(config: ml_collections.ConfigDict) -> Experiment:
    """Checks a config and freezes it.

    Raises:
        UserError: a key is unknown or missing, or a value has a wrong type or makes no sense.
    """
    return from_dict(config)


def config_folder() -> Path:
    """Where the released configs are: in the installed package, or beside it in the repository."""
    package = Path(__file__).parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def find_config(name_or_path: str | Path) -> Path:
    """The file of a config.

    Args:
        name_or_path: the name of a released config, such as `quickstart`, or a Python file. A
            released config comes before a file without a suffix; write `./NAME` for that file.

    Raises:
        UserError: there is no such config, or it is a URL: nothing from elsewhere is run as Python.
    """
    text = str(name_or_path)
    if why := not_local(name_or_path):
        raise UserError(why)
    released = config_folder() / f"{text}.py"
    if text.isidentifier() and released.is_file():
        return released
    path = Path(name_or_path)
    if not path.is_file():
        raise UserError(f"no config file {path}{_nearest(path)}")
    return path


def _run(path: Path) -> Any:
    try:
        config = runpy.run_path(str(path))["get_config"]()
    except KeyError as error:
        if error.args != ("get_config",):
            raise _broken(path, error) from error
        raise UserError(f"{path} has no get_config(); see configs/quickstart.py") from None
    except Exception as error:
        # Whatever a config file does wrong is its writer's to read; the cause is chained.
        raise _broken(path, error) from error
    if not isinstance(config, ml_collections.ConfigDict):
        raise UserError(f"{path}: get_config() must return an ml_collections.ConfigDict")
    # A frozen one can't be overridden.
    return config.as_configdict() if isinstance(config, ml_collections.FrozenConfigDict) else config


def _broken(path: Path, error: Exception) -> UserError:
    line = getattr(error, "lineno", None)
    trace = error.__traceback__
    while line is None and trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    # A SyntaxError's text has the line once more.
    what = " ".join(str(getattr(error, "msg", error)).split())
    return UserError(f"{path}, line {line}: {type(error).__name__}: {what}")


def _nearest(path: Path) -> str:
    """The config that was probably meant: a file beside it or a released one; else, all of them."""
    released = sorted(file.stem for file in config_folder().glob("*.py"))
    files = path.parent.glob("*.py") if path.parent.is_dir() else ()
    known = {name: name for name in released} | {file.name: str(file) for file in files}
    near = difflib.get_close_matches(path.name, known, n=1)
    if near:
        return f"; did you mean {known[near[0]]}?"
    return f"; is the path right? released configs: {', '.join(released)}"
