"""`glide-jax encode`."""

import argparse
from collections.abc import Iterator

from glide_jax.commands import sampling_options
from glide_jax.commands.command import Run, accept_overrides, given_path
from glide_jax.commands.progress_options import add_progress
from glide_jax.config import Experiment, FrozenTextConfig, experiment_from, load_config
from glide_jax.entry import Parser
from glide_jax.errors import UserError
from glide_jax.storage import check_writable


def add(parser: Parser) -> Run:
    """Write text embeddings of a frozen encoder: of a config's data set, or of prompts."""
    sampling_options.add_captions(parser)
    parser.add_argument(
        "--config",
        metavar="NAME|FILE",
        help="whose text section says which encoder, and whose data set and prompts are encoded "
        "where no PROMPT is given",
    )
    parser.add_argument(
        "--split",
        action="append",
        metavar="NAME",
        help="of the data set; repeat it for several; default: the config's data.split",
    )
    parser.add_argument(
        "--out",
        type=given_path,
        metavar="DIR",
        help="folder for the embeddings; those that are there already are kept, and not computed "
        "again",
    )
    parser.add_argument(
        "--process",
        type=int,
        nargs=2,
        default=(0, 1),
        metavar=("I", "N"),
        help="encode the I-th of N shares, from 0, to share the work among N machines; DIR is on a "
        "disk that all of them see, or in a bucket",
    )
    accept_overrides(parser, "text.weights=t5-v1_1-xxl")
    add_progress(parser)
    return _run


def _run(arguments: argparse.Namespace) -> None:
    if not arguments.config or arguments.out is None:
        raise UserError("give --config=NAME or --config=FILE, and --out=DIR")
    number, count = arguments.process
    if not 0 <= number < count:
        raise UserError(f"--process {number} {count}: the first must be from 0 to {count - 1}")
    prompts = sampling_options.prompts_of(arguments)
    if prompts and arguments.split:
        raise UserError("give either PROMPT or --split")
    experiment = experiment_from(load_config(arguments.config, arguments.overrides))
    config = experiment.text
    if not isinstance(config, FrozenTextConfig):
        raise UserError(
            f"the text section of {arguments.config} has no frozen encoder, and its model reads "
            "tokens: there is nothing to encode"
        )
    check_writable(arguments.out)
    from glide_jax import runtime
    from glide_jax.registries import check_names

    check_names(experiment)
    runtime.configure(experiment.cpu_devices)
    from glide_jax.encoders.encoding import encode_captions

    captions = prompts or _captions_of(experiment, arguments.split)
    store = encode_captions(config, captions, arguments.out, (number, count))
    size = sum(file.stat().st_size for file in arguments.out.glob("*.npy"))
    print(f"{len(store):,} captions by {store.name}, {size / 2**20:.1f} MiB: {arguments.out}")
    print(f"train on them with --config.text.embeddings={arguments.out}")


def _captions_of(experiment: Experiment, splits: list[str] | None) -> Iterator[str]:
    """The config's prompts, and every caption of these splits of its data set."""
    from glide_jax import data

    settings = experiment.data
    yield from experiment.prompts or ()
    data.prepare(settings.source, settings.path)
    for split in splits or [settings.split]:
        yield from data.captions(data.open_source(settings.source, settings.path, split))
