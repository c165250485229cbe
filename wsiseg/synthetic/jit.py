"""Numba as this package uses it: compiled once and kept on disk, without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def jit(function: Function) -> Function:
    """Return `function` compiled; its type is kept for the checkers.

    If no folder can be written (a read-only installation), each process compiles it.
    """
    try:
        compiled = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True)(function)
    except RuntimeError:
        compiled = numba.njit(nogil=True, error_model="numpy", fastmath=True)(function)
    return cast(Function, compiled)
