"""Arrays that grow inside of compiled loops: plain loops, since slices take numba seconds to compile."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def longer(array):
    """Return an array of twice the length that begins as the given one (one axis)."""
    new = np.empty(2 * array.size, array.dtype)
    for i in range(array.size):
        new[i] = array[i]
    return new


@njit(cache=True, nogil=True)
def longer_rows(array):
    """Return an array of twice as many rows that begins as the given one (two axes)."""
    new = np.empty((2 * array.shape[0], array.shape[1]), array.dtype)
    for i in range(array.shape[0]):
        for k in range(array.shape[1]):
            new[i, k] = array[i, k]
    return new
