"""Config files: Python that returns an ml_collections.ConfigDict of every value there is."""

import difflib
import runpy
from collections.abc import Sequence
from pathlib import Path

import ml_collections

from glide_jax.config.experiment import Experiment
from glide_jax.config.overrides import override
from glide_jax.config.reading import from_dict
from glide_jax.errors import UserError


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> ml_collections.ConfigDict:
    """Runs a config file's `get_config()` and changes what the overrides say.

    Args:
        path: a Python file.
        overrides: `KEY=VALUE` each, such as `training.batch_size=64`; the last one of a key wins.

    Raises:
        UserError: no such file, a mistake in it, or an override of an unknown key or wrong type.
    """
    return ml_collections.ConfigDict(override(_run(Path(path)).to_dict(), overrides))


def experiment_from(config: ml_collections.ConfigDict) -> Experiment:
    """Checks a config and freezes it.

    Raises:
        UserError: a key is unknown or missing, or a value has a wrong type or makes no sense.
    """
    return from_dict(config.to_dict())


def _run(path: Path) -> ml_collections.ConfigDict:
    if not path.is_file():
        raise UserError(f"no config file {path}{_nearest_file(path)}")
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
    return config


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


def _nearest_file(path: Path) -> str:
    names = [file.name for file in path.parent.glob("*.py")] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / near[0]}?" if near else "; is the path right?"
