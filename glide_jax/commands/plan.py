"""`glide-jax plan`."""

import argparse
import dataclasses
import json

from glide_jax.commands.command import Run, accept_overrides, given_path
from glide_jax.entry import Parser
from glide_jax.writing import atomic_path


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
    parser.add_argument(
        "--json", type=given_path, metavar="FILE", help="write what is found as JSON too"
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
    found = plan_stages(
        experiment, topology, arguments.stage, estimate=arguments.estimate, log=_log
    )
    if arguments.json is not None:
        rows = [dataclasses.asdict(planned) for planned in found]
        with atomic_path(arguments.json) as part:
            part.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _log(line: str) -> None:
    print(line, flush=True)
