"""Small pixel kernels that the readers share."""

from __future__ import annotations

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

READ_ONLY = types.Array(types.uint8, 3, "C", readonly=True)


@numba.njit(types.void(READ_ONLY, types.uint8[:, :, ::1]), nogil=True, cache=True)
def _over_white(rgba: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    for row in range(rgba.shape[0]):
        for col in range(rgba.shape[1]):
            alpha = np.uint32(rgba[row, col, 3])
            if alpha == 255:
                for c in range(3):
                    out[row, col, c] = rgba[row, col, c]
            else:
                for c in range(3):
                    blend = np.uint32(rgba[row, col, c]) * alpha + np.uint32(255) * (np.uint32(255) - alpha)
                    out[row, col, c] = (blend + np.uint32(127)) // np.uint32(255)


def over_white(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Compose RGBA with straight alpha on white.

    Parameters
    ----------
    rgba : ndarray of uint8, (H, W, 4)
        Pixels with alpha.

    Returns
    -------
    ndarray of uint8, (H, W, 3)
    """
    out = np.empty((*rgba.shape[:2], 3), np.uint8)
    _over_white(np.ascontiguousarray(rgba), out)
    return out
