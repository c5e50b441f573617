"""One guided call of the base model and one of the upsampler, beside PyTorch."""

import argparse

import numpy as np

from sampling_suite import released_size
from sampling_suite.calls import Call
from sampling_suite.timing import in_turn, table


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--repeats", type=int, default=5, metavar="N")
    parser.add_argument("--model", choices=released_size.NAMES, help="one of the two alone")


def run(arguments: argparse.Namespace) -> None:
    """Measure and print a table."""
    stages = released_size.stages(arguments.workdir)
    head = ("model", "by", "seconds", "CPU seconds", "seconds to ours", "CPU seconds to ours")
    print(f"{released_size.threads()} threads, medians of {arguments.repeats}, in turn")
    for name in [arguments.model] if arguments.model else released_size.NAMES:
        call = Call(name, stages[name])
        jobs = {"glide_jax": call.ours()[1]}
        if released_size.has_reference():
            theirs = call.reference()
            jobs |= {
                "PyTorch, text cached": theirs[True],
                "PyTorch, as its notebook": theirs[False],
            }
        ours, *others = [job() for job in jobs.values()]
        for other in others:
            off = np.abs(ours - other).max() / np.abs(other).max()
            print(f"{name}: the largest difference is {off:.1e} of the largest output")
        took = in_turn(jobs, arguments.repeats)
        first = took["glide_jax"]
        rows = [
            (name, job, wall, cpu, wall / first.wall, cpu / first.cpu)
            for job, (wall, cpu) in took.items()
        ]
        print(table(head, rows), flush=True)
