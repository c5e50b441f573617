"""The equations of maths.md by the function that computes them."""

import re

_NAME = re.compile(r"\[`([\w.]+)`\]\(\.\./(glide_jax/[\w/]+)\.py\)")


def named_functions(page: str) -> list[tuple[str, str]]:
    """(dotted module, name in it) of every function that the page links to."""
    return [(module.replace("/", "."), name) for name, module in _NAME.findall(page)]


def equations_of(page: str) -> dict[str, list[str]]:
    """Dotted name → the `$$` blocks right before the first paragraph that names a function."""
    found: dict[str, list[str]] = {}
    pending: list[str] = []
    for block in re.split(r"\n{2,}", page):
        if block.startswith("$$"):
            pending.append(block.strip())
            continue
        for module, name in named_functions(block):
            own = found.setdefault(f"{module}.{name}", [])
            own.extend(equation for equation in pending if equation not in own)
        if named_functions(block) or block.startswith("#"):
            pending = []
    return found
