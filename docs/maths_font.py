"""The font that the site sets equations in: STIX Two Math, as much of it as equations need.

Few systems have a font for mathematics, and without one browsers leave indices on the line.
"""

import io
from importlib.resources import files

from fontTools import subset

NAME = "maths.woff"
"""Its file on the site, which site.css names."""

_CHARACTERS = (
    *range(0x20, 0x180),  # Latin
    *range(0x2B0, 0x400),  # accents, Greek
    *range(0x2000, 0x2070),  # spaces, punctuation
    *range(0x2100, 0x2150),  # letter-like
    *range(0x2190, 0x2400),  # arrows, operators, brackets and braces
    *range(0x27C0, 0x2800),  # more brackets
    *range(0x1D400, 0x1D800),  # italic, bold and script letters
)


def font() -> bytes:
    """A WOFF of those characters, with what sets mathematics: sizes, shifts, tall brackets."""
    # Of the package we use the font alone, whose licence is the SIL Open Font License.
    source = files("ziamath").joinpath("fonts/STIXTwoMath-Regular.ttf").read_bytes()
    options = subset.Options(flavor="woff", layout_features=["ssty", "dtls", "flac"])
    found = subset.load_font(io.BytesIO(source), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=_CHARACTERS)
    subsetter.subset(found)
    out = io.BytesIO()
    subset.save_font(found, out, options)
    return out.getvalue()
