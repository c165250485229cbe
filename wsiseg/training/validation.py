"""Scores the channels of a network on fixed crops: agreement with the stain, Dice with labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from wsiseg.errors import SlideError
from wsiseg.network.appearance import network_input
from wsiseg.network.fcnn import FCNN
from wsiseg.tiles import Box
from wsiseg.training.config import TrainingConfig
from wsiseg.training.crops import draw_crop
from wsiseg.training.guided.stain_target import local_mask, otsu_mask
from wsiseg.training.randomness import Purpose, numpy_generator
from wsiseg.training.sources import OpenViews, TrainingSource
from wsiseg.training.state import channels_last, with_weights

Mask = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.float64] | npt.NDArray[np.int64]
SIGMA_UM = 0.25
# Crops per pass of the network: as many as fit a CPU's caches, or fill a GPU.
CHUNK, CHUNK_OF_GPU = 2, 10


@dataclass(frozen=True)
class Scores:
    """Scores of the K channels of one network.

    Parameters
    ----------
    inverted : tuple of bool
        Whether nuclei are where the channel is low: the better polarity, by the labels where there are
        labels, else by the stain.
    stain : tuple of float
        Mean Dice with the stain's mask, in that polarity.
    dice : tuple of float or None
        Mean Dice with the labels in that polarity, where there are labels.
    """

    inverted: tuple[bool, ...]
    stain: tuple[float, ...]
    dice: tuple[float, ...] | None


@dataclass(frozen=True, eq=False)
class Validation:
    """Fixed crops, the same for all repeats and epochs.

    Parameters
    ----------
    pixels : uint8 (V, S, S, 3)
        The crops.
    images : float32 (V, 3, S, S)
        What the network sees of them.
    stain : bool (V, S, S)
        Nuclei according to the stain: haematoxylin above Otsu's threshold of the crop, or the local mask of
        the preset's target.
    labels : bool (V, S, S) or None
        The truth, where there are labels.
    threshold : float
        Confidence from which a pixel is taken for nucleus.
    invert : bool
        Whether a channel may also show nuclei where it is low.
    """

    pixels: npt.NDArray[np.uint8]
    images: npt.NDArray[np.float32]
    stain: Mask
    labels: Mask | None
    threshold: float = 0.5
    invert: bool = True
    _kept: dict[torch.device, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict, repr=False)

    def score(self, network: FCNN, device: torch.device) -> Scores:
        """Score the network, which must be in evaluation mode and on the device."""
        return self.score_all(lambda images: network.logits(images)[None], device)[0]

    def score_all(self, logits: Callable[[torch.Tensor], torch.Tensor], device: torch.device) -> list[Scores]:
        """Score R networks at once.

        Parameters
        ----------
        logits : callable
            Maps of each network before the sigmoid: (N, 3, S, S) -> (R, N, K, S, S).
        device : torch.device
            Device of the images.
        """
        images, masks = self._on(device)
        least = logit(self.threshold)
        parts = []
        chunk = CHUNK if device.type == "cpu" else CHUNK_OF_GPU
        for start in range(0, len(images), chunk):
            with torch.no_grad():
                maps = logits(images[start : start + chunk]).transpose(2, 3)
            # Numbers of pixels, exact in float32: (polarities, R, V, K, masks + 1). Row by row: one product
            # over all pixels was a quarter of a GPU's work.
            parts.append(
                torch.stack(
                    [((m > least).float() @ masks[start : start + chunk]).sum(2) for m in (maps, -maps)]
                )
            )
        counts = torch.cat(parts, 2).cpu().double().numpy()
        truth = masks.sum((1, 2)).cpu().double().numpy()[:, None, 1:]
        return [_scores(found, truth, self.invert) for found in counts.swapaxes(0, 1)]

    def _on(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images and, as 0 and 1, (V, S, S, masks + 1): all pixels and those of each mask."""
        if device not in self._kept:
            masks = [np.ones_like(self.stain), self.stain]
            if self.labels is not None:
                masks.append(self.labels)
            counted = torch.from_numpy(np.stack(masks, axis=-1))
            images = torch.from_numpy(self.images).to(device)
            self._kept[device] = (
                images.contiguous(memory_format=torch.channels_last),
                counted.to(device, torch.float32),
            )
        return self._kept[device]


def _scores(counts: Counts, truth: Counts, invert: bool) -> Scores:
    """Score one network: pixels found and those of each mask among them, (polarities, V, K, masks + 1)."""
    dice = [_dice(found[..., 1:], found[..., :1] + truth) for found in counts]
    # By the last mask: the labels where there are labels.
    inverted = invert & (dice[1][:, -1] > dice[0][:, -1])
    stain, *labelled = np.where(inverted[:, None], dice[1], dice[0]).T.tolist()
    return Scores(tuple(inverted.tolist()), tuple(stain), tuple(labelled[0]) if labelled else None)


def _dice(shared: Counts, total: Counts) -> npt.NDArray[np.float64]:
    """Return the mean Dice over images, 1 where both are empty: (V, ...) -> (...)."""
    mean: npt.NDArray[np.float64] = np.where(total > 0, 2 * shared / np.maximum(total, 1), 1.0).mean(0)
    return mean


def logit(threshold: float) -> float:
    """Return the logit whose sigmoid is the threshold."""
    return math.log(threshold / (1 - threshold))


def mean_dice(masks: Mask, truth: Mask) -> float:
    """Return the mean Dice over images: bool (V, H, W) each; 1 where both are empty."""
    shared = np.logical_and(masks, truth).sum((1, 2))
    total = masks.sum((1, 2)) + truth.sum((1, 2))
    return float(_dice(shared, total))


def make_validation(
    sources: Sequence[TrainingSource],
    config: TrainingConfig,
    views: OpenViews,
    labels: Mapping[str, Path] | None = None,
) -> Validation:
    """Draw the fixed crops: from the labelled images where there are labels, else from all sources.

    Raises
    ------
    LabelError
        If a label file does not fit its image.
    SlideError
        If no crop can be read.
    """
    chosen = [s for s in sources if labels is None or s.name in labels]
    side = min(config.validation_px, *(min(s.width, s.height) for s in chosen))
    pixels, images, truth = [], [], []
    for i in range(max(1, config.validation_crops)):
        if labels is not None and i >= len(chosen):
            break
        source = chosen[i % len(chosen)]
        generator = numpy_generator(Purpose.VALIDATION, config.seed, i)
        max_white = config.max_white if labels is None else 1.0
        try:
            box, crop = draw_crop(source, views, side, max_white, generator)
        except SlideError:
            continue
        pixels.append(crop)
        images.append(network_input(crop, source.table))
        if labels is not None:
            truth.append(_label_mask(source, labels[source.name])[box.y0 : box.y1, box.x0 : box.x1])
    if not pixels:
        raise SlideError(chosen[0].path, "no crop of it or of any other slide could be read")
    stain = np.stack([_stain_mask(crop, config) for crop in pixels])
    labelled = np.stack(truth) if truth else None
    return Validation(np.stack(pixels), np.stack(images), stain, labelled, config.threshold, config.invert)


def _stain_mask(crop: npt.NDArray[np.uint8], config: TrainingConfig) -> Mask:
    if config.target.weight > 0:
        return local_mask(crop, config.target, config.mpp)
    return otsu_mask(crop, SIGMA_UM / config.mpp)


def _label_mask(source: TrainingSource, path: Path) -> Mask:
    """Return the labels of an image as a mask of its frame, bool (height, width)."""
    from wsiseg.evaluation.labels import read_labels

    width_l0, height_l0 = source.size_l0
    mask = read_labels(path, (height_l0, width_l0)) > 0
    if mask.shape == (source.height, source.width):
        return mask
    rows = ((np.arange(source.height) + 0.5) * height_l0 / source.height).astype(np.int64)
    cols = ((np.arange(source.width) + 0.5) * width_l0 / source.width).astype(np.int64)
    return mask[rows[:, None], cols]


def labelled_dice(
    weights: Mapping[str, torch.Tensor],
    channel: int,
    inverted: bool,
    threshold: float,
    sources: Sequence[TrainingSource],
    labels: Mapping[str, Path],
    views: OpenViews,
) -> float:
    """Return the mean Dice of a channel over the whole labelled images."""
    network = channels_last(with_weights(weights))
    found = []
    for source in sources:
        if source.name not in labels:
            continue
        pixels = views.get(source).read(Box(0, 0, source.width, source.height))
        images = torch.from_numpy(network_input(pixels, source.table))[None]
        with torch.no_grad():
            logits = network.logits(images.contiguous(memory_format=torch.channels_last))
        confidence = logits[:, channel].numpy() * (-1 if inverted else 1)
        mask = confidence > logit(threshold)
        found.append(mean_dice(mask, _label_mask(source, labels[source.name])[None]))
    return float(np.mean(found))
