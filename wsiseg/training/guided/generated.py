"""Generated fields: tissue drawn by `wsiseg.synthetic`, whose nuclei are known to the pixel.

Where nuclei touch, no stain shows where one ends; here it is known. Sizes, sharpness and noise vary more than
any one scanner's, so that shape counts and not the generator's own look.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from threading import Condition

import numpy as np
import numpy.typing as npt
from cachetools import cached

from wsiseg.network.appearance import StainScale, network_input, rgb_table, stain_table
from wsiseg.synthetic import SyntheticSlide
from wsiseg.synthetic.glandular import draw_field
from wsiseg.training.config import TrainingConfig
from wsiseg.training.guided.fields import Field, crop_of
from wsiseg.training.guided.stain_target import insides, target_planes
from wsiseg.training.randomness import Purpose, numpy_generator

Labels = npt.NDArray[np.int32]
Drawn = tuple[npt.NDArray[np.uint8], Labels]
# A field for so many crops of a run, up to a number: drawing one takes seconds.
CROPS_OF_FIELD, FIELDS = 12, 60
SIDE_PX = 600
# Scale of the generated pixels over the model's resolution: nuclei look up to 1.7 times as large.
ZOOM = (0.6, 1.32)
NOISE, BLUR_PX, MORE_NOISE = (0.5, 4.0), (0.3, 0.9), 6.0


class GeneratedFields:
    """Generated fields, as many as a run has use for, made at first use; safe to use from several threads.

    Parameters
    ----------
    config : TrainingConfig
        How the networks are trained.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self._config = config
        crops = config.generated * config.epochs * config.epoch_crops
        self._count = max(1, min(FIELDS, math.ceil(crops / CROPS_OF_FIELD)))
        kept: dict[Hashable, tuple[Field, npt.NDArray[np.float32]]] = {}
        self._field = cached(kept, condition=Condition())(self._made)

    def crop(self, generator: np.random.Generator) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        """Return what the network sees of a random crop, float32 (3, crop, crop), and its target."""
        field, table = self._field(int(generator.integers(0, self._count)))
        pixels, target = crop_of(field, self._config, generator)
        return network_input(pixels, table), target

    def _made(self, number: int) -> tuple[Field, npt.NDArray[np.float32]]:
        config = self._config
        generator = numpy_generator(Purpose.GENERATED, config.seed, number)
        side_px, mpp = max(SIDE_PX, config.crop_px), config.mpp / 2 * generator.uniform(*ZOOM)
        glandular = config.glandular > 0 and generator.random() < config.glandular
        drawn = draw_glandular if glandular else draw_nests
        pixels, labels = _scanned(*drawn(2 * side_px, mpp, generator), generator)
        target = exact_target(pixels, labels)[..., : len(config.target.channels)]
        table = stain_table(StainScale.of(pixels)) if config.input == "stains" else rgb_table()
        return Field(pixels, target), table


def draw_nests(side_px: int, mpp: float, generator: np.random.Generator) -> Drawn:
    """Draw nests in stroma, as `SyntheticSlide` has them: uint8 (side, side, 3) and labels (side, side)."""
    slide = SyntheticSlide(
        side_px,
        side_px,
        mpp=float(np.clip(mpp, 0.02, 20)),
        seed=int(generator.integers(2**31)),
        tissue_share=1.0,
        pen=False,
        noise=float(generator.uniform(*NOISE)),
    )
    return slide.render(slide.frame), slide.truth(slide.frame)


def draw_glandular(side_px: int, mpp: float, generator: np.random.Generator) -> Drawn:
    """Draw glands, muscle or loose stroma: uint8 (side, side, 3) and labels (side, side)."""
    return draw_field(side_px, float(np.clip(mpp, 0.02, 20)), int(generator.integers(2**31)))


def _scanned(drawn: npt.NDArray[np.uint8], labels: Labels, generator: np.random.Generator) -> Drawn:
    """Return pixels at half the resolution, with random blur and noise, and the labels as they are."""
    import cv2

    pixels = _halved(drawn.astype(np.float32))
    if generator.random() < 0.5:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), generator.uniform(*BLUR_PX)), np.float32)
    if generator.random() < 0.5:
        noise = generator.normal(0, generator.uniform(0, MORE_NOISE), pixels.shape)
        pixels = pixels + noise.astype(np.float32)
    return np.rint(pixels).clip(0, 255).astype(np.uint8), labels


def exact_target(rgb: npt.NDArray[np.uint8], labels: Labels) -> npt.NDArray[np.uint8]:
    """Return the target of four channels, as `pseudo_target`, of nuclei that are known.

    Parameters
    ----------
    rgb : uint8 (H, W, 3)
        Pixels.
    labels : int32 (2 H, 2 W)
        0 background, k the k-th nucleus. Where two touch, the target is left empty between them.

    Returns
    -------
    uint8 (H, W, 4), 255 for 1
    """
    import cv2

    between = cv2.dilate(touching(labels).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    nucleus = _halved(((labels > 0) & ~between).astype(np.float32))
    return target_planes(rgb, nucleus, _halved(insides(labels).astype(np.float32)))


def touching(labels: Labels) -> npt.NDArray[np.bool_]:
    """Return the pixels of nuclei that have a pixel of another nucleus beside them: (H, W) -> bool (H, W)."""
    nucleus = labels > 0
    below = (labels[:-1] != labels[1:]) & nucleus[:-1] & nucleus[1:]
    right = (labels[:, :-1] != labels[:, 1:]) & nucleus[:, :-1] & nucleus[:, 1:]
    found = np.zeros(labels.shape, bool)
    found[:-1] |= below
    found[1:] |= below
    found[:, :-1] |= right
    found[:, 1:] |= right
    return found


def _halved(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return means of 2 x 2 pixels: (2 H, 2 W, ...) -> (H, W, ...)."""
    means = values[::2, ::2] + values[::2, 1::2]
    means += values[1::2, ::2] + values[1::2, 1::2]
    means /= 4
    return means
