"""What the commands share that start from a checkpoint."""

from collections.abc import Sequence
from pathlib import Path

from glide_jax.config import Experiment, with_overrides
from glide_jax.errors import UserError


def check_workdirs(*workdirs: Path | None) -> None:
    """Raise UserError for a workdir that doesn't exist; None: none was given."""
    for workdir in workdirs:
        if workdir is not None and not workdir.is_dir():
            raise UserError(f"there is no workdir {workdir}")


def read_experiments(
    workdirs: Sequence[Path] | None, overrides: Sequence[str] = ()
) -> list[Experiment]:
    """The experiments of checkpoints; the process is configured for the first, JAX not started.

    Args:
        workdirs: of training or of import; None: none were given.
        overrides: changes of their configs, `KEY=VALUE` each.

    Raises:
        UserError: there are none, one holds no checkpoint, or an override is wrong.
    """
    if not workdirs:
        raise UserError("give --checkpoint DIR, the workdir of training or of import")
    check_workdirs(*workdirs)
    from glide_jax import runtime
    from glide_jax.checkpoints import read_experiment
    from glide_jax.registries import check_names

    experiments = [with_overrides(read_experiment(workdir), overrides) for workdir in workdirs]
    for experiment in experiments:
        check_names(experiment)
    runtime.configure(experiments[0].cpu_devices)
    return experiments
