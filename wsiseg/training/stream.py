"""Batches of crops from slides and images, read ahead by threads.

The order and content of crops follow from the repeat's seed, the epoch and the index alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsiseg.network.appearance import network_input
from wsiseg.training.config import TrainingConfig
from wsiseg.training.crops import Pixels, draw_crop
from wsiseg.training.guided.fields import Fields
from wsiseg.training.guided.generated import GeneratedFields
from wsiseg.training.randomness import Purpose, numpy_generator
from wsiseg.training.sources import OpenViews, TrainingSource

_Cropped = tuple[npt.NDArray[np.float32], Pixels | None]


class Batch(NamedTuple):
    """Crops of one step.

    `images` is what the network sees, float32 (B, 3, crop, crop); `target` is uint8 (B, crop, crop, T), 255
    for 1, or None; `step` counts to `steps` in the epoch.
    """

    epoch: int
    step: int
    steps: int
    images: npt.NDArray[np.float32]
    target: Pixels | None


def epoch_order(
    sources: Sequence[TrainingSource], config: TrainingConfig, repeat: int, epoch: int
) -> list[int]:
    """Return the number of each crop's source in an epoch.

    With `images_once` plain images give one crop each. Otherwise an epoch has `epoch_crops` however many
    sources there are: they take turns across epochs, each turn in a new order.
    """
    seed, count = config.seed + repeat, len(sources)
    if config.images_once and all(source.is_image for source in sources):
        return _turn(seed, epoch, count)
    places = range(epoch * config.epoch_crops, (epoch + 1) * config.epoch_crops)
    turns = {place // count: _turn(seed, place // count, count) for place in places}
    return [turns[place // count][place % count] for place in places]


def _turn(seed: int, number: int, count: int) -> list[int]:
    order: list[int] = numpy_generator(Purpose.ORDER, seed, number).permutation(count).tolist()
    return order


class CropStream:
    """Batches of crops of one repeat, read ahead by a bounded pool of threads.

    Parameters
    ----------
    sources : sequence of TrainingSource
        Slides and images to draw from.
    config : TrainingConfig
        How the networks are trained.
    views : OpenViews
        The open slides.
    workers : int
        Threads that read.
    fields : Fields, optional
        Where crops with a weak target come from; left out, crops come from anywhere and have none.
    generated : GeneratedFields, optional
        Where the configuration's share of generated crops comes from.
    """

    def __init__(
        self,
        sources: Sequence[TrainingSource],
        config: TrainingConfig,
        views: OpenViews,
        workers: int,
        fields: Fields | None = None,
        generated: GeneratedFields | None = None,
    ) -> None:
        self._sources, self._config, self._views, self._workers = sources, config, views, max(1, workers)
        self._fields, self._generated = fields, generated

    def crop(self, source: int, repeat: int, epoch: int, index: int) -> _Cropped:
        """Return what the network sees of one crop, float32 (3, crop, crop), and its target."""
        config, chosen = self._config, self._sources[source]
        generator = numpy_generator(Purpose.CROP, config.seed + repeat, epoch, index)
        if self._generated is not None and generator.random() < config.generated:
            return self._generated.crop(generator)
        if self._fields is not None:
            pixels, target = self._fields.crop(source, generator)
            return network_input(pixels, chosen.table), target
        max_white = 1.0 if chosen.is_image and config.images_once else config.max_white
        _, pixels = draw_crop(chosen, self._views, config.crop_px, max_white, generator)
        return network_input(pixels, chosen.table), None

    def batches(self, repeat: int, first_epoch: int) -> Generator[Batch, None, None]:
        """Yield all batches of a repeat from an epoch on; the next two are being read meanwhile."""
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="wsiseg-crops")
        ahead: deque[_Asked] = deque()
        try:
            for epoch in range(first_epoch, self._config.epochs):
                order = epoch_order(self._sources, self._config, repeat, epoch)
                size = self._config.batch_size
                steps = -(-len(order) // size)
                for step in range(steps):
                    indices = range(step * size, min((step + 1) * size, len(order)))
                    crops = [pool.submit(self.crop, order[i], repeat, epoch, i) for i in indices]
                    ahead.append(_Asked(epoch, step, steps, crops))
                    if len(ahead) > 2:
                        yield ahead.popleft().collect()
            while ahead:
                yield ahead.popleft().collect()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Asked(NamedTuple):
    """A batch whose crops are being read."""

    epoch: int
    step: int
    steps: int
    crops: list[Future[_Cropped]]

    def collect(self) -> Batch:
        done = [future.result() for future in self.crops]
        targets = [target for _, target in done if target is not None]
        images = np.stack([image for image, _ in done])
        return Batch(self.epoch, self.step, self.steps, images, np.stack(targets) if targets else None)
