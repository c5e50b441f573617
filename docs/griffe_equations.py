"""On the site a function's docstring has the equations that maths.md has beside its name."""

import runpy
from pathlib import Path

from griffe import Docstring, Extension, Object

_HERE = Path(__file__).parent


class Equations(Extension):
    """Puts them after a docstring's first paragraph."""

    def __init__(self) -> None:
        equations_of = runpy.run_path(str(_HERE / "equations.py"))["equations_of"]
        self._found = equations_of((_HERE / "maths.md").read_text("utf-8"))

    def on_object(self, *, obj: Object, **kwargs: object) -> None:
        """Griffe calls it for every object that it reads."""
        if obj.docstring and (own := self._found.get(obj.path)):
            first, gap, rest = obj.docstring.value.partition("\n\n")
            text = "\n\n".join([first, *own]) + gap + rest
            obj.docstring = Docstring(text, parent=obj, parser=obj.docstring.parser)
