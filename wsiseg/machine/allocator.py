"""Settings of glibc's allocator that keep resident memory small."""

from __future__ import annotations

import ctypes
import sys

M_ARENA_MAX = -8
ARENAS = 2


def share_arenas() -> None:
    """Let all threads allocate from the same two glibc arenas; do nothing elsewhere.

    By default glibc opens an arena per thread, and each keeps the memory freed in it: hundreds of megabytes
    on large tiles. Threads that hold large arrays seldom allocate at the same moment.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, ARENAS)
    except (OSError, AttributeError):
        return


def give_back() -> None:
    """Return freed memory to the system, if the C library is glibc."""
    if not sys.platform.startswith("linux"):
        return
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return
