"""What a slide looks like that cannot be H&E, in words: for warnings, on a small picture of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsiseg.slides.tissue_detector import unscanned

ONE_COLOUR = 3
# Grey to the eye: so little between the lightest and the darkest channel of nearly all pixels.
GREY_RANGE, GREY_SHARE = 8, 0.999
# Brightest channel of the middle pixel of a dark picture; dark stains leave red or blue at 80 and more.
DARK, DARK_SHARE, LIT, LIT_SHARE = 60, 0.5, 150, 0.01
GLASS_LEAST, GLASS_RANGE = 190, 30


def odd_looks(rgb: NDArray[np.uint8], known: NDArray[np.bool_], has_tissue: bool) -> tuple[str, ...]:
    """Return what is seen on a slide that is no stained tissue on glass; nothing for one that is.

    Parameters
    ----------
    rgb : ndarray of uint8, (rows, cols, 3)
        The slide at a few micrometres per pixel.
    known : ndarray of bool, (rows, cols)
        False where it could not be read.
    has_tissue : bool
        Whether tissue was found.
    """
    pixels = rgb[known]
    if not len(pixels):
        return ()
    middle = tuple(int(value) for value in np.median(pixels, axis=0))
    if int(np.ptp(pixels, axis=0).max()) <= ONE_COLOUR:
        return (f"it is one colour all over {middle}: empty, transparent, or not what it should be",)
    brightest, range_ = pixels.max(axis=-1), np.ptp(pixels, axis=-1)
    scanned = ~unscanned(pixels)
    if (range_ <= GREY_RANGE).mean() >= GREY_SHARE and pixels[scanned].std() > GREY_RANGE:
        return ("it has no colour: a grey image is no H&E, and its nuclei are not to be trusted",)
    unlit = (brightest < DARK).mean() > DARK_SHARE and (pixels.min(axis=-1) > LIT).mean() < LIT_SHARE
    if unlit or np.median(brightest[scanned] if scanned.any() else brightest) < DARK:
        return ("it is mostly dark: fluorescence or an inverted image is no H&E",)
    glassy = min(middle) >= GLASS_LEAST and max(middle) - min(middle) <= GLASS_RANGE
    if not has_tissue and not glassy:
        return (f"no tissue was found, yet it does not look like glass: it is mostly {middle}",)
    return ()
