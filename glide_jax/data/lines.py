"""Text files as people write them: UTF-8 with or without a BOM, any of the three line ends."""

import os


def read_text(path: str | os.PathLike) -> str:
    """Read a text file; line ends become "\\n", and a BOM is dropped.

    Raises:
        OSError: it can't be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    with open(path, encoding="utf-8-sig") as file:
        return file.read()


def split_lines(text: str) -> list[str]:
    """Split a text at its line ends: "\\n", "\\r\\n" or "\\r".

    Unlike str.splitlines, which also splits at characters that may be inside a line, such as a
    form feed or U+2028.
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
