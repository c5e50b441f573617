"""What a command is: words added to a parser, and what runs when they are read."""

import argparse
from collections.abc import Callable

from glide_jax.entry import Parser

Run = Callable[[argparse.Namespace], None]

Add = Callable[[Parser], Run]
"""Adds a command's words to its parser and returns what runs; its docstring is the help. What they
need is imported there: a mistake on the command line is answered before JAX is loaded."""
