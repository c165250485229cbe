"""The tissue detector: stained, not written on, and not a speck, on a picture of a few micrometres a pixel.

Thresholds are absolute optical densities above the glass, not cuts between two classes: a slide may have no
glass at all, or no tissue at all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsiseg.slides.unscanned import unscanned

SMOOTH_UM = 8.0
# a stain absorbs green most; grey dust, shadows and vignetting absorb all colours alike
CHROMA_OD = 0.016
DENSE_OD = 0.12
COLOURED_SHARE = 0.25
MAX_GLASS_OD = 0.06
CLOSE_UM = 32.0
MARGIN_UM = 24.0
SPECK_UM2 = 10_000.0
SPECK_SHARE = 0.01
HOLE_UM2 = 60_000.0
PEN_UM2 = 2_000.0
PEN_MARGIN_UM = 24.0
# haematoxylin alone, as on slides stained for DAB: blue that differs from grey more than dust does
PALE_OD, PALE_CHROMA_OD = 0.05, 0.02
# ink is even over this distance, tissue never: nuclei, gaps and fibres show in means of 8 um
EVEN_UM, EVEN_RANGE, EVEN_OD, EVEN_UM2 = 24.0, 0.12, 0.3, 800.0
# a thin stroke: a line on glass, long, bluer than eosin makes tissue, and of one colour from end to end
THIN_OD, THIN_UM, LONG_UM, THIN_RED_TO_GREEN, THIN_SPREAD = 0.05, 30.0, 500.0, 0.66, 0.08
# what is even over more than a broad pen's stroke is a stain without texture
STROKE_UM = 1000.0


class Detected(NamedTuple):
    """Tissue, and what is computed: the tissue and a margin around it; both bool (rows, cols)."""

    core: NDArray[np.bool_]
    mask: NDArray[np.bool_]


def detect(rgb: NDArray[np.uint8], mpp: float, known: NDArray[np.bool_] | None = None) -> Detected:
    """Return where a picture shows tissue.

    Parameters
    ----------
    rgb : ndarray of uint8, (rows, cols, 3)
        Pixels.
    mpp : float
        Micrometres per pixel.
    known : ndarray of bool, (rows, cols), optional
        False where the picture holds nothing.

    Returns
    -------
    Detected
    """
    import cv2

    density = optical_density(rgb)
    density -= glass_density(rgb, density)
    # what was not scanned is as good as glass; at its edge it is mixed with what was
    density[grown(unscanned(rgb), 1.0)] = 0
    even, thin = is_even(density, mpp), thin_strokes(density, mpp)
    sigma = SMOOTH_UM / mpp
    if sigma > 0.3:
        blurred = cv2.GaussianBlur(density, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        density = np.asarray(blurred, np.float32)
    red, green, blue = np.moveaxis(density, -1, 0)
    # DAB absorbs blue most: known by being dense and coloured
    chroma = density.max(axis=-1) - density.min(axis=-1)
    stained = green - 0.5 * (red + blue) > CHROMA_OD
    stained |= (green > DENSE_OD) & (chroma > COLOURED_SHARE * green)
    stained |= (green > PALE_OD) & (chroma > PALE_CHROMA_OD)
    # what is even is the middle of a stroke only
    middles = grown(without_specks(even, EVEN_UM2 / mpp**2), EVEN_UM / 2 / mpp)
    pen = grown(without_specks(pen_ink(density), PEN_UM2 / mpp**2) | middles | thin, PEN_MARGIN_UM / mpp)
    tissue = stained & ~pen
    if known is not None:
        tissue &= known
    tissue = closed(tissue, CLOSE_UM / mpp)
    tissue = filled(tissue, HOLE_UM2 / mpp**2)
    tissue = without_specks(tissue, min(SPECK_UM2 / mpp**2, SPECK_SHARE * tissue.size)) & ~pen
    return Detected(tissue, grown(tissue, MARGIN_UM / mpp) & ~pen)


def is_even(density: NDArray[np.float32], mpp: float) -> NDArray[np.bool_]:
    """Return where a dense colour, not eosin's, does not change over 24 um, in parts no broader than a pen.

    On what was smoothed to 8 um.
    """
    import cv2

    side = max(1, round(SMOOTH_UM / mpp))
    means = np.asarray(cv2.blur(density, (side, side)) if side > 1 else density, np.float32)
    reach = max(3, round(EVEN_UM / mpp) | 1)
    window = np.ones((reach, reach), np.uint8)
    spread = (cv2.dilate(means, window) - cv2.erode(means, window)).max(axis=-1)
    red, green = means[..., 0], means[..., 1]
    darkest = np.maximum(red, green)
    even = (darkest > EVEN_OD) & (red > 0.4 * green) & (spread < EVEN_RANGE * darkest)
    half = STROKE_UM / 2 / mpp
    broad = cv2.distanceTransform(even.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) > half
    return np.asarray(even & ~grown(broad, half + reach), np.bool_)


def thin_strokes(density: NDArray[np.float32], mpp: float) -> NDArray[np.bool_]:
    """Return where a thin pen has drawn on glass: long and narrow parts of one bluish colour.

    Strands of tissue are pink, or change their colour from nucleus to nucleus.
    """
    import cv2

    dense = (density.max(axis=-1) > THIN_OD).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dense, connectivity=8)
    inside = cv2.distanceTransform(dense, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    found = np.zeros(dense.shape, np.bool_)
    least_px = 2 * LONG_UM / mpp
    for part in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[part])
        if max(width, height) * mpp < LONG_UM / 3 or area < least_px / 2:
            continue
        place = np.s_[y : y + height, x : x + width]
        mine = labels[place] == part
        half_width = float(inside[place][mine].max())
        if half_width * mpp > THIN_UM or area / (2 * half_width) * mpp < LONG_UM:
            continue
        red, green = density[place][mine][:, 0], density[place][mine][:, 1]
        low, high = np.percentile(red / np.maximum(green, 0.02), [25, 75])
        if red.sum() > THIN_RED_TO_GREEN * green.sum() and high - low < THIN_SPREAD:
            found[place] |= mine
    return found


def optical_density(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return log10(255 / value) of each sample, with 0 read as 1; float32 of the same shape."""
    table = -np.log10(np.maximum(np.arange(256), 1) / 255)
    return table.astype(np.float32)[rgb]


def glass_density(rgb: NDArray[np.uint8], density: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the density of bare glass in red, green and blue, (3,): that of the brightest hundredth.

    Pure white and black, with which scanners fill what they did not scan, are left out. A slide without glass
    has a brightest hundredth too: so the result is limited to what glass and lamp can do, and is grey beyond
    that.
    """
    scanned = density[(rgb < 253).any(axis=-1) & ~unscanned(rgb)]
    if scanned.size == 0:
        return np.zeros(3, np.float32)
    bright = scanned[:, 1] <= np.quantile(scanned[:, 1], 0.02)
    glass = np.median(scanned[bright], axis=0)
    return np.minimum(glass, MAX_GLASS_OD).astype(np.float32)


def pen_ink(density: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where the colour is that of ink and of no stain.

    Haematoxylin, eosin and DAB absorb more green than red, but for haematoxylin alone, which is pale; red ink
    absorbs blue as eosin does not, and no red as DAB does not; black ink absorbs all alike.
    """
    red, green, blue = np.moveaxis(density, -1, 0)
    blue_or_green = ((red > 0.15) & (red > 1.6 * green)) | ((red > 0.5) & (red > 1.15 * green))
    blue_or_green |= (red > 0.6) & (red > 1.02 * green)
    reddish = (green > 0.45) & (blue > 0.74 * green) & (red < 0.3 * green)
    black = (green > 0.6) & (blue > 0.85 * green) & (red > 0.8 * green)
    return np.asarray(blue_or_green | reddish | black, np.bool_)


def without_specks(mask: NDArray[np.bool_], least_px: float) -> NDArray[np.bool_]:
    """Return a mask without its 8-connected parts of less than `least_px` pixels."""
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= least_px
    keep[0] = False
    return np.asarray(keep[labels] if count > 1 else np.zeros_like(mask), np.bool_)


def filled(mask: NDArray[np.bool_], most_px: float) -> NDArray[np.bool_]:
    """Return a mask with its holes of at most `most_px` pixels filled; what touches the border is no hole."""
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    fill = stats[:, cv2.CC_STAT_AREA] <= most_px
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    fill[np.unique(border)] = False
    fill[0] = False
    return np.asarray(mask | fill[labels] if count > 1 else mask, np.bool_)


def grown(mask: NDArray[np.bool_], radius_px: float) -> NDArray[np.bool_]:
    """Return a mask with every pixel within `radius_px` of it."""
    import cv2

    if radius_px < 0.5 or not mask.any():
        return mask
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance <= radius_px, np.bool_)


def closed(mask: NDArray[np.bool_], radius_px: float) -> NDArray[np.bool_]:
    """Return a mask with gaps narrower than 2 * radius_px closed, as if the picture went on at its edges."""
    pad = int(np.ceil(radius_px)) + 1
    rows, cols = mask.shape
    padded = np.pad(mask, pad, mode="edge")
    return ~grown(~grown(padded, radius_px), radius_px)[pad : pad + rows, pad : pad + cols]
