"""`glide-jax plan`."""

import argparse

from glide_jax.commands.command import Run, accept_overrides
from glide_jax.entry import Parser


def add(parser: Parser) -> Run:
    """Estimate whether training fits a TPU slice or GPUs that are not here, and what would."""
    parser.add_argument(
        "--config", required=True, metavar="NAME|FILE", help="the experiment, as for train"
    )
    parser.add_argument(
        "--topology",
        required=True,
        metavar="NAME",
        help="the devices, such as v5e-16, v4-128, v5p-64, h100-8",
    )
    parser.add_argument("--stage", metavar="NAME", help="one of its stages; default: all")
    parser.add_argument(
        "--estimate",
        action="store_true",
        help="estimate the memory of a TPU too, instead of compiling for it, which takes minutes",
    )
    accept_overrides(parser, "stages.base.training.fsdp=8")
    return _plan


def _plan(arguments: argparse.Namespace) -> None:
    from glide_jax import config
    from glide_jax.planning.topologies import topology_of

    experiment = config.experiment_from(config.load_config(arguments.config, arguments.overrides))
    topology = topology_of(arguments.topology)
    # JAX loads only now, after the mistakes that can be found without it.
    from glide_jax.planning.plan import plan_stages
    from glide_jax.registries import check_names

    check_names(experiment)
    plan_stages(experiment, topology, arguments.stage, estimate=arguments.estimate, log=_log)


def _log(line: str) -> None:
    print(line, flush=True)
