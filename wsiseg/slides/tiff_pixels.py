"""What the samples of a TIFF mean: which are colours, which is alpha, which is neither."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.slides.compose import over_white

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}
PREMULTIPLIED, STRAIGHT = 1, 2


def alpha_sample(page: Any) -> int | None:
    """Return which sample of a page is its alpha, None if none is: extra samples are it only if they say so.

    Parameters
    ----------
    page : tifffile.TiffPage
        The page of the samples.
    """
    colours = _colours(page)
    for number, kind in enumerate(page.extrasamples):
        if kind in (PREMULTIPLIED, STRAIGHT):
            return colours + number
    return None


def nameless_samples(page: Any) -> int:
    """Return how many samples of a page are neither colour nor alpha."""
    return max(0, int(page.samplesperpixel) - _colours(page) - (alpha_sample(page) is not None))


def _colours(page: Any) -> int:
    return int(COLOURS.get(page.photometric, page.samplesperpixel))


def grey_or_rgb(samples: NDArray[Any], page: Any) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return the colours of decoded samples, and their alpha where they have one.

    Parameters
    ----------
    samples : ndarray of uint8 or uint16, (H, W, samples)
        Decoded samples.
    page : tifffile.TiffPage
        Says what they mean; WhiteIsZero, BlackIsZero, RGB, YCbCr that is decoded to RGB, CMYK or palette.

    Returns
    -------
    ndarray, (H, W, 1 or 3)
        Not multiplied by alpha.
    ndarray or None, (H, W)
    """
    kind, top = page.photometric, np.iinfo(samples.dtype).max
    colours = samples[..., : COLOURS[kind]]
    at = alpha_sample(page)
    alpha = None if at is None else samples[..., at]
    if kind == WHITE_IS_ZERO:
        colours = top - colours
    elif kind == PALETTE and page.colormap is not None:
        table = (np.moveaxis(page.colormap, 0, -1) >> 8).astype(np.uint8)
        colours = table[samples[..., 0]]
    elif kind == CMYK:
        ink, black = (top - colours[..., :3]).astype(np.uint32), (top - colours[..., 3:]).astype(np.uint32)
        colours = ((ink * black + top // 2) // top).astype(samples.dtype)
    if at is not None and alpha is not None and page.extrasamples[at - COLOURS[kind]] == PREMULTIPLIED:
        whole = np.maximum(alpha, 1).astype(np.uint32)[..., None]
        colours = np.minimum((colours * np.uint32(top) + whole // 2) // whole, top).astype(samples.dtype)
    return colours, alpha


def as_rgb(samples: NDArray[np.uint8], page: Any) -> NDArray[np.uint8]:
    """Return decoded 8-bit samples as RGB on white.

    Parameters
    ----------
    samples : ndarray of uint8, (H, W, samples)
        Decoded samples.
    page : tifffile.TiffPage
        The page of the samples.

    Returns
    -------
    ndarray of uint8, (H, W, 3)
    """
    colours, alpha = grey_or_rgb(samples, page)
    if colours.shape[-1] == 1:
        colours = np.repeat(colours, 3, axis=-1)
    if alpha is None:
        return np.ascontiguousarray(colours)
    return over_white(np.concatenate([colours, alpha[..., None]], axis=-1))
