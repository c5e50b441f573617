"""Where the commands with a page serve it."""

from glide_jax.entry import Parser


def add_address(parser: Parser, port: int) -> None:
    """Add --port, whose default is `port`, and --network, whose default is None."""
    parser.add_argument(
        "--port", type=int, default=port, metavar="N", help=f"0: any; default: {port}"
    )
    parser.add_argument(
        "--network",
        metavar="ADDRESS",
        help="open the page to other machines at this address of this one (0.0.0.0: all of them); "
        "they need the token in the address that is printed; default: this machine alone",
    )
