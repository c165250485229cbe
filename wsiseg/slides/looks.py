"""Recognises slides that cannot be H&E on a small picture of them, for warnings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsiseg.slides.unscanned import unscanned

ONE_COLOUR = 3
# Grey to the eye: so little between the lightest and the darkest channel of nearly all pixels.
GREY_RANGE, GREY_SHARE = 8, 0.999
# Brightest channel of a dark pixel: dense stains leave red or blue at 80 and more. Stains are less pure than
# light of one colour: their darkest channel has more than 0.3 of the brightest.
DARK, DARK_SHARE, PURE = 60, 0.5, 0.7
GLASS_LEAST, GLASS_RANGE = 190, 30
# DAB absorbs blue more than green; haematoxylin, eosin and blood the other way round. The share of such
# tissue is at most 0.02 on the H&E images at hand, pigment included, and at least 0.09 on those with DAB.
STAINED_DENSITY, BROWN_BLUE, DAB_SHARE = 0.12, 1.1, 0.05


def no_he(rgb: NDArray[np.uint8], known: NDArray[np.bool_], has_tissue: bool) -> str:
    """Return why a slide can be no H&E, empty for what can.

    Nuclei on a dark ground, as in fluorescence and in inverted images, would be outlined where they are not.
    Black with which a scanner fills is none: beside it is glass, or tissue in the colours of stains.

    Parameters
    ----------
    rgb, known, has_tissue
        See `odd_looks`.
    """
    pixels = rgb[known]
    if not len(pixels) or int(np.ptp(pixels, axis=0).max()) <= ONE_COLOUR:
        return ""
    brightest, scanned = pixels.max(axis=-1), ~unscanned(pixels)
    lit = pixels[brightest >= DARK]
    if not scanned.any() or (brightest < DARK).mean() <= DARK_SHARE:
        return ""
    is_dark = not len(lit) or np.median(brightest[scanned]) < DARK
    if len(lit):
        low, high = lit.min(axis=-1), lit.max(axis=-1)
        is_dark |= bool(np.median(1 - low / high) > PURE)
        is_dark |= not has_tissue and bool(np.median(low) < GLASS_LEAST)
    return "it is mostly dark: fluorescence or an inverted image is no H&E" if is_dark else ""


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
    range_ = np.ptp(pixels, axis=-1)
    scanned = ~unscanned(pixels)
    if (range_ <= GREY_RANGE).mean() >= GREY_SHARE and pixels[scanned].std() > GREY_RANGE:
        return ("it has no colour: a grey image is no H&E, and its nuclei are not to be trusted",)
    glassy = min(middle) >= GLASS_LEAST and max(middle) - min(middle) <= GLASS_RANGE
    if not has_tissue and not glassy:
        return (f"no tissue was found, yet it does not look like glass: it is mostly {middle}",)
    return ()


def dab_remark(brown: float) -> tuple[str, ...]:
    """Return what to know of a slide with such a share of brown, see `brown_share`; nothing for H&E."""
    if brown < DAB_SHARE:
        return ()
    return (
        f"{100 * brown:.0f} % of its tissue is brown, as DAB is (or pigment): wsiseg is made for "
        "haematoxylin and eosin. Brown nuclei are outlined with the others, and brown cytoplasm and "
        "membranes may be; look before you count",
    )


def brown_share(pixels: NDArray[np.uint8]) -> float:
    """Return which share of stained pixels, uint8 (..., 3), is brown, as DAB (Ruifrok & Johnston, 2001).

    Of pixels at the network's resolution: in coarser ones thin brown membranes are blurred.
    """
    density = -np.log10((pixels.reshape(-1, 3).astype(np.float32) + 1) / 256)
    stained = density[density.mean(axis=-1) > STAINED_DENSITY]
    return float((stained[:, 2] > BROWN_BLUE * stained[:, 1]).mean()) if len(stained) else 0.0
