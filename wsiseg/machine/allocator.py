"""The C library's allocator, told to keep memory together."""

from __future__ import annotations

import ctypes
import sys

M_ARENA_MAX = -8
ARENAS = 2


def share_arenas() -> None:
    """Let all threads take memory from the same two arenas of glibc; elsewhere do nothing.

    Left alone, glibc opens an arena for each thread and keeps in each what was freed there: on large tiles
    that are hundreds of megabytes. Threads that hold big arrays seldom ask for memory at the same moment.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, ARENAS)
    except (OSError, AttributeError):
        return


def give_back() -> None:
    """Give freed memory back to the system where the C library is glibc, between stages of another kind."""
    if not sys.platform.startswith("linux"):
        return
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return
