"""GLIDE, text-guided diffusion: train, sample, edit images, import and export weights.

glide-jax train --config=quickstart
glide-jax sample "a red circle above a blue square" --checkpoint runs/quickstart
glide-jax inpaint photo.png mask.png "a hat" --checkpoint runs/inpaint
glide-jax edit sketch.png "a red house" --strength 0.6 --checkpoint runs/quickstart
glide-jax upsample small.png --checkpoint runs/quickstart
glide-jax evaluate --checkpoint runs/quickstart
glide-jax judge guided=runs/a/samples unguided=runs/b/samples
glide-jax sweep --over guidance_scale=1,2,3 --checkpoint runs/quickstart
glide-jax experiment guidance
glide-jax reference --data shapes/64 --size 64 --out shapes.npz
glide-jax plan --config=base --topology=v5e-16
glide-jax data check folder --path photos
glide-jax encode --config=imagen_quickstart --out embeddings
glide-jax import base.pt --as base --out runs/released
glide-jax export runs/mine --ema --format pt --out mine.pt
glide-jax download base
glide-jax info runs/mine
glide-jax report runs/mine
"""

import sys
from collections.abc import Sequence

from glide_jax import __version__
from glide_jax.commands import COMMANDS, find_command
from glide_jax.commands.command import run_command
from glide_jax.config import split_overrides
from glide_jax.entry import status_of
from glide_jax.errors import UserError
from glide_jax.huge_pages import restart_with_huge_pages

PROGRAM = "glide-jax"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the result is the exit status.

    Args:
        argv: the command line's words after the program's name; None: those of sys.argv.
    """
    if argv is None:
        restart_with_huge_pages()
    return status_of(lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> None:
    words, overrides = split_overrides(argv)
    if not words:
        raise UserError(f"give a COMMAND: {', '.join(COMMANDS)}; see --help")
    name, *rest = words
    if name in ("-h", "--help"):
        print(_overview())
    elif name == "--version":
        print(f"{PROGRAM} {__version__}")
    else:
        run_command(f"{PROGRAM} {name}", find_command(name), rest, overrides)


def _overview() -> str:
    summaries = [(name, (find_command(name).__doc__ or "").split("\n")[0]) for name in COMMANDS]
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {summary}" for name, summary in summaries]
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND …    {PROGRAM} COMMAND --help    {PROGRAM} --version",
            "",
            *(__doc__ or "").strip().split("\n"),
            "",
            "commands:",
            *lines,
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
