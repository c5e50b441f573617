"""`glide-jax reference`."""

import argparse
import sys

from glide_jax.commands import evaluation_options
from glide_jax.commands.command import Run, given_path
from glide_jax.commands.progress_options import add_progress
from glide_jax.entry import Parser
from glide_jax.errors import UserError
from glide_jax.storage import check_writable


def add(parser: Parser) -> Run:
    """Make reference statistics, for `evaluate --reference`, of a data set's split, a folder of
    images or an .npz. ADM's evaluator and pytorch-fid read them too."""
    parser.add_argument("--data", metavar="NAME", help="a data set, such as tfds/coco_captions")
    parser.add_argument("--path", default="", metavar="PATH", help="where the data set is")
    parser.add_argument("--split", default="train", metavar="NAME", help="of it; default: train")
    parser.add_argument(
        "--size",
        type=int,
        metavar="N",
        help="pixels a side, to which the middle squares of a data set or a folder are resized",
    )
    parser.add_argument(
        "--images",
        type=given_path,
        metavar="FOLDER|NPZ",
        help="instead of a data set: these images",
    )
    parser.add_argument(
        "--num-images", type=int, metavar="N", help="only the data set's first N; default: all"
    )
    parser.add_argument(
        "--out", type=given_path, required=True, metavar="NPZ", help="the file to write"
    )
    evaluation_options.add_net(parser)
    add_progress(parser)
    return _run


def _run(arguments: argparse.Namespace) -> None:
    if (arguments.data is None) == (arguments.images is None):
        raise UserError("give either --data NAME or --images FOLDER|NPZ")
    if arguments.data and arguments.size is None:
        raise UserError("--data needs --size N, pixels a side of the images to compare with")
    if arguments.size is not None and arguments.size < 1:
        raise UserError(f"--size must be 1 or more, not {arguments.size}")
    if arguments.num_images is not None and arguments.num_images < 1:
        raise UserError(f"--num-images must be 1 or more, not {arguments.num_images}")
    if arguments.out.suffix != ".npz":
        raise UserError(f"--out={arguments.out} must end in .npz")
    from glide_jax import runtime
    from glide_jax.data import check_name
    from glide_jax.evaluation.features.collecting import collect
    from glide_jax.evaluation.images.files import open_images
    from glide_jax.evaluation.images.from_data import open_data
    from glide_jax.evaluation.images.image_set import BATCH
    from glide_jax.evaluation.references import STATISTICS, write_reference
    from glide_jax.progress import Line, TaskProgress

    check_writable(arguments.out.parent)
    if arguments.data:
        check_name(arguments.data)
    runtime.configure(1)
    net = evaluation_options.net_of(arguments).load()
    size, count = arguments.size, arguments.num_images
    if arguments.images:
        images = open_images(arguments.images, size)
    else:
        assert size is not None
        images = open_data(arguments.data, arguments.path, arguments.split, size, count)
    line = Line(sys.stderr)

    def show(done: int) -> None:
        if line.shows_all or done == images.count:
            text = f"{images.name}: {done:,}/{images.count:,} images"
            line.show(TaskProgress(images.name, done, images.count, "images", None, text))

    outputs = [name for name in STATISTICS if name in net.outputs]
    with line:
        found = collect(net, images.batches(BATCH), outputs, None, show)
    write_reference(arguments.out, net, (images.height, images.width), found)
    count = found[outputs[0]].count
    print(
        f"{arguments.out}: {count:,} images of {images.width}×{images.height}, "
        f"{net.name}, resize {net.resize}"
    )
    print("".join(f"note: {note}\n" for note in images.notes), end="")
