"""What sampling costs: seconds beside the public PyTorch code, quality, memory, the second start.

    python benchmarks/sampling.py speed --workdir /tmp/released      one call of each released model
    python benchmarks/sampling.py job --workdir /tmp/released        the notebook's image
    python benchmarks/sampling.py operations --workdir /tmp/released where a call's time goes
    python benchmarks/sampling.py memory --workdir /tmp/released     at batches of 1, 2, 4 and 8
    python benchmarks/sampling.py start --workdir /tmp/released      from nothing to the first step
    python benchmarks/sampling.py quality --workdir runs/quickstart  prompt-truth by seconds
    python benchmarks/sampling.py caching --workdir runs/quickstart  the same, of kept deep features

All but the last two use models of the released sizes; if their workdir does not exist, it is made
with weights from a formula. Each prints a table. The PyTorch code is run beside ours if it can be
imported as `glide_text2im`; both use as many threads as there are cores. To compare them on one
core: `taskset -c 1 python benchmarks/sampling.py speed`.
"""

import argparse
import importlib
import sys
from pathlib import Path

from glide_jax.entry import status_of

PARTS = ("speed", "job", "operations", "memory", "start", "quality", "caching")


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="part", required=True)
    for name in PARTS:
        part = importlib.import_module(f"sampling_suite.{name}")
        own = commands.add_parser(name, help=part.__doc__, description=part.__doc__)
        own.add_argument("--workdir", type=Path, required=True, metavar="DIR")
        part.add(own)
        own.set_defaults(run=part.run)
    arguments = parser.parse_args()
    sys.exit(status_of(lambda: arguments.run(arguments)))


if __name__ == "__main__":
    main()
