"""`glide-jax serve`."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from glide_jax.commands import address_options, sampling_options
from glide_jax.commands.command import Run, accept_overrides, given_path
from glide_jax.commands.progress_options import add_progress
from glide_jax.entry import Parser
from glide_jax.errors import UserError

if TYPE_CHECKING:
    from glide_jax.sampling.pipeline import Pipeline
    from glide_jax.web.serve.worker import Worker

_PORT = 8766
_BATCH_SIZE = 4


def add(parser: Parser) -> Run:
    """Serve a page, and an API, to sample in a browser: prompts, painted masks, outpainting, image
    to image, enlarging; what the models can do is what it offers."""
    sampling_options.add_checkpoint(parser)
    for name, what in _MODELS.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=given_path, metavar="DIR", help=what
        )
    sampling_options.add_adapters(parser)
    parser.add_argument(
        "--batch-size",
        type=int,
        default=_BATCH_SIZE,
        metavar="N",
        help="images sampled at once, of all who wait with the same settings; a batch is always "
        f"filled up to it; default: {_BATCH_SIZE}",
    )
    address_options.add_address(parser, _PORT)
    add_progress(parser)
    accept_overrides(parser, "stages.base.sampling.guidance_scale=5")
    return _run


_MODELS = {
    "clip": "a noised CLIP's workdir, which offers its guidance",
    "classifier": "a noisy classifier's workdir, which offers its guidance of classes",
    "text_encoder": "for a model that was trained on a frozen text encoder: its weights' folder; "
    "default: as the config says",
}


def _run(arguments: argparse.Namespace) -> None:
    from glide_jax.web import require_web

    require_web()
    if not 1 <= arguments.batch_size <= 1024:
        raise UserError(f"--batch-size must be from 1 to 1024, not {arguments.batch_size}")

    from glide_jax.web.access import LOOPBACK, access_for, new_token
    from glide_jax.web.serve.application import serve_application
    from glide_jax.web.serve.worker import Worker
    from glide_jax.web.serving import address_of, listen, serve

    host = arguments.network or LOOPBACK
    # Before minutes of loading: whether the port is free.
    with listen(host, arguments.port) as listener:
        models: dict[str, Any] = {name: getattr(arguments, name) for name in _MODELS}
        models["adapters"] = arguments.adapters or ()
        pipeline = sampling_options.load(arguments.checkpoint, arguments.overrides, **models)
        worker = Worker(pipeline, arguments.batch_size)
        _warm_up(pipeline, worker)
        access = access_for(host, new_token())
        name = ", ".join(workdir.resolve().name for workdir in arguments.checkpoint)
        app = serve_application(pipeline, worker, access, name)
        worker.start()
        try:
            print(f"open {address_of(listener, access)} (Ctrl-C stops)", flush=True)
            serve(app, listener)
        finally:
            worker.stop()


def _warm_up(pipeline: "Pipeline", worker: "Worker") -> None:
    """Compile what the page asks for first, before anybody waits for it."""
    from glide_jax.commands.sampling_progress import ProgressLine
    from glide_jax.web.serve.offer import first_request, offer_of

    row = first_request(pipeline, offer_of(pipeline))
    print("compiling; this is fast where it was done before", flush=True)
    with ProgressLine(sys.stderr, None) as on_progress:
        worker.warm_up(row, on_progress)
