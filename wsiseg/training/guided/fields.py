"""Fields: the places whose weak target is made once, and from which crops with a target are taken.

Making a target costs more than a training step. So it is made for a small image as a whole, and on slides for
a bounded number of larger windows that stand for them, of at most 96 sources; which ones follows from the
seed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from threading import Condition
from typing import NamedTuple

import numpy as np
from cachetools import LRUCache, cached

from wsiseg.tiles import Box
from wsiseg.training.config import TrainingConfig
from wsiseg.training.crops import TRIES, Pixels, draw_crop, white_share
from wsiseg.training.randomness import Purpose, numpy_generator
from wsiseg.training.sources import OpenViews, TrainingSource

# An image up to this size is one field.
WHOLE_PX = 1_200_000
FIELD_PX = 512
FIELDS = 60
MAX_SOURCES = KEPT = 96

Maker = Callable[[Pixels, TrainingSource], Pixels]


class Field(NamedTuple):
    """Pixels, uint8 (H, W, 3), and their target, uint8 (H, W, T), 255 for 1."""

    pixels: Pixels
    target: Pixels


def crop_of(field: Field, config: TrainingConfig, generator: np.random.Generator) -> Field:
    """Return a random crop of a field, redrawn while it is too white: the least white of 30 tries."""
    side = config.crop_px
    height, width = field.pixels.shape[:2]
    best: tuple[float, Box] | None = None
    for _ in range(TRIES):
        x, y = int(generator.integers(0, width - side + 1)), int(generator.integers(0, height - side + 1))
        box = Box(x, y, x + side, y + side)
        white = white_share(field.pixels[y : y + side, x : x + side])
        if best is None or white < best[0]:
            best = white, box
        if white <= config.max_white:
            break
    assert best is not None
    inside = best[1].slices_in(Box(0, 0, width, height))
    return Field(field.pixels[inside], field.target[inside])


def standing_for(sources: Sequence[TrainingSource], seed: int) -> list[TrainingSource]:
    """Return the sources whose fields are used: all, or 96 chosen at random, in their order."""
    if len(sources) <= MAX_SOURCES:
        return list(sources)
    chosen = numpy_generator(Purpose.FIELD, seed).choice(len(sources), MAX_SOURCES, replace=False)
    return [sources[i] for i in sorted(chosen.tolist())]


class Fields:
    """The fields of all sources, the last ones used kept in memory; safe from several threads.

    Parameters
    ----------
    sources : sequence of TrainingSource
        Slides and images to draw from.
    config : TrainingConfig
        How the networks are trained.
    views : OpenViews
        The open slides.
    make : callable
        Makes the target of a field: uint8 (H, W, 3) and its source -> uint8 (H, W, T).
    """

    def __init__(
        self, sources: Sequence[TrainingSource], config: TrainingConfig, views: OpenViews, make: Maker
    ) -> None:
        self._sources, self._config, self._views, self._make = sources, config, views, make
        kept: LRUCache[Hashable, Field] = LRUCache(KEPT)
        # The first caller makes it; others wait.
        self._field = cached(kept, condition=Condition())(self._made)

    def crop(self, source: int, generator: np.random.Generator) -> Field:
        """Return a random crop of a random field of a source, and its target; tissue where there is some."""
        number = int(generator.integers(0, self._count(source)))
        return crop_of(self.get(source, number), self._config, generator)

    def get(self, source: int, number: int) -> Field:
        """Return a field of a source."""
        return self._field(source, number)

    def _made(self, source: int, number: int) -> Field:
        chosen = self._sources[source]
        if _is_small(chosen):
            pixels = self._views.get(chosen).read(Box(0, 0, chosen.width, chosen.height))
        else:
            side = max(self._config.crop_px, min(FIELD_PX, chosen.width, chosen.height))
            generator = numpy_generator(Purpose.FIELD, self._config.seed, source, number)
            _, pixels = draw_crop(chosen, self._views, side, self._config.max_white, generator)
        return Field(pixels, self._make(pixels, chosen))

    def _count(self, source: int) -> int:
        return 1 if _is_small(self._sources[source]) else -(-FIELDS // len(self._sources))


def _is_small(source: TrainingSource) -> bool:
    return source.width * source.height <= WHOLE_PX
