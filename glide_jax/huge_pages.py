"""Large pages for what a command allocates, where Linux gives them to those who ask alone.

A program of XLA's CPU backend allocates its intermediate results anew at every call, tens to
hundreds of MB, and the system hands them out page by page of 4 KiB: up to a third of the processor
time of a train step of the quickstart's models. Pages of 2 MiB leave a tenth (docs/quickstart.md).
"""

import contextlib
import os
import sys
from pathlib import Path

_SETTING = "GLIBC_TUNABLES"
_ASK = "glibc.malloc.hugetlb"
_FIRST = (2, 35)
_ON_REQUEST = "[madvise]"
_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def restart_with_huge_pages() -> None:
    """Start this process again, as it was started, with glibc's malloc asking for huge pages.

    Only at a process's start can that be asked for, by the variable GLIBC_TUNABLES; a setting of
    one's own stays. Where they can't be had on request, or in a debugger, nothing is done.
    """
    if not _can_ask() or sys.gettrace() is not None:
        return
    asked = os.environ.get(_SETTING, "")
    if _ASK in asked:
        return
    os.environ[_SETTING] = ":".join(filter(None, [asked, f"{_ASK}=1"]))
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _can_ask() -> bool:
    """Whether the system gives huge pages on request, and glibc is new enough to ask."""
    try:
        _, version = str(os.confstr("CS_GNU_LIBC_VERSION")).split()
        is_new = tuple(map(int, version.split("."))) >= _FIRST
        return is_new and _ON_REQUEST in _PAGES.read_text()
    except (AttributeError, OSError, ValueError):  # another system, or another C library
        return False
