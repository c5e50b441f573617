"""The commands of `glide-jax`, a file each."""

import importlib

from glide_jax.commands.command import Add
from glide_jax.errors import unknown_name

COMMANDS = {
    "train": "train",
    "sample": "sample",
    "inpaint": "inpaint",
    "edit": "edit",
    "upsample": "upsample",
    "evaluate": "evaluate",
    "sweep": "sweep",
    "experiment": "experiment",
    "reference": "reference",
    "serve": "serve",
    "judge": "judge",
    "plan": "plan",
    "data": "data",
    "encode": "encode",
    "import": "import_",
    "export": "export",
    "download": "download",
    "info": "info",
    "report": "report",
}
"""Name → the module of this package, whose `add` it is; imported when it is run or listed."""


def find_command(name: str) -> Add:
    """The `add` of a command. Raises UserError for a name that doesn't exist."""
    if name not in COMMANDS:
        raise unknown_name("command", name, COMMANDS)
    return importlib.import_module(f"glide_jax.commands.{COMMANDS[name]}").add
