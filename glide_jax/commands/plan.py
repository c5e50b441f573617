"""`glide-jax plan`."""

import argparse

from glide_jax.commands.command import Run
from glide_jax.entry import Parser


def add(parser: Parser) -> Run:
    """Say whether a training fits a TPU slice or GPUs that are not here, and what would."""
    parser.add_argument("--config", required=True, metavar="FILE", help="the experiment")
    parser.add_argument(
        "--topology", required=True, metavar="NAME", help="such as v5e-16, v4-128, v5p-64, h100-8"
    )
    parser.add_argument("--stage", metavar="NAME", help="one of its stages; all by default")
    parser.add_argument(
        "--estimate",
        action="store_true",
        help="memory arithmetic for a TPU too, rather than its compiler; minutes less",
    )
    parser.epilog = "--config.KEY=VALUE changes one key, such as --config.training.fsdp=8"

    return _plan


def _plan(arguments: argparse.Namespace) -> None:
    from glide_jax import config
    from glide_jax.planning.topologies import topology_of

    experiment = config.experiment_from(config.load_config(arguments.config, arguments.overrides))
    topology = topology_of(arguments.topology)
    # Only now: a mistake is answered before JAX is loaded.
    from glide_jax.planning.plan import plan_stages

    plan_stages(experiment, topology, arguments.stage, estimate=arguments.estimate, say=_say)


def _say(line: str) -> None:
    print(line, flush=True)
