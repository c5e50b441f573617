"""File names from different systems: how they are printed and compared."""

import unicodedata
from collections.abc import Iterable


def printable(name: str) -> str:
    r"""Return a name that can be printed: bytes that are not UTF-8 become \udc80 … \udcff."""
    return name.encode("utf-8", "backslashreplace").decode()


def portable(name: str) -> str:
    r"""Return a relative name as all systems would write it.

    Windows has backslashes between folders, and macOS stores an accent as a character of its own
    (NFD), where others store one character (NFC): the result has slashes and is NFC.
    """
    return unicodedata.normalize("NFC", name.replace("\\", "/")).removeprefix("./")


def by_portable_name(names: Iterable[str]) -> dict[str, str]:
    """Return {portable name: name} of all names whose portable name no other name has."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(portable(name), []).append(name)
    return {key: same[0] for key, same in found.items() if len(same) == 1}
