"""Crops at random places of slides and images, where there is tissue."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsiseg.errors import SlideError
from wsiseg.tiles import Box
from wsiseg.training.sources import OpenViews, TrainingSource

Pixels = npt.NDArray[np.uint8]
# Authors' code: a pixel is white when all three channels are above 0.7.
WHITE = 0.7 * 255
TRIES = 30


def white_share(pixels: Pixels) -> float:
    """Return the share of pixels whose three channels are all above 0.7: what glass looks like."""
    return float((pixels > WHITE).all(axis=-1).mean())


def draw_crop(
    source: TrainingSource, views: OpenViews, side_px: int, max_white: float, generator: np.random.Generator
) -> tuple[Box, Pixels]:
    """Read a crop at a random place of tissue; redraw it while it is too white.

    A place that cannot be decoded is redrawn too. After 30 tries the least white crop is taken.

    Raises
    ------
    SlideError
        If no place could be read.
    """
    best: tuple[float, Box, Pixels] | None = None
    failure: SlideError | None = None
    for _ in range(TRIES):
        box = random_box(source, side_px, generator)
        try:
            pixels = views.get(source).read(box)
        except SlideError as error:
            failure = error
            continue
        white = white_share(pixels) if max_white < 1 else 0.0
        if best is None or white < best[0]:
            best = (white, box, pixels)
        if white <= max_white:
            break
    if best is None:
        assert failure is not None
        raise failure
    return best[1], best[2]


def random_box(source: TrainingSource, side_px: int, generator: np.random.Generator) -> Box:
    """Return a random square inside the frame: anywhere in an image, around a place of tissue on a slide."""
    most_x, most_y = source.width - side_px, source.height - side_px
    if source.places is None:
        x, y = int(generator.integers(0, most_x + 1)), int(generator.integers(0, most_y + 1))
    else:
        place = source.places[int(generator.integers(0, len(source.places)))]
        shift = generator.integers(0, source.place_px, 2)
        x = min(max(int(place[0] + shift[0]) - side_px // 2, 0), most_x)
        y = min(max(int(place[1] + shift[1]) - side_px // 2, 0), most_y)
    return Box(x, y, x + side_px, y + side_px)
