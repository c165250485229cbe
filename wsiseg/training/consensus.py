"""What several trained networks and the stain agree on: the target of one more network of the same size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from wsiseg.network.appearance import network_input
from wsiseg.network.fcnn import FCNN
from wsiseg.training.component_tree import NucleusShape, area_opening, merge_nodes, nodes_of
from wsiseg.training.config import StainTarget, TrainingConfig
from wsiseg.training.sources import TrainingSource
from wsiseg.training.stain_target import (
    Pixels,
    haematoxylin,
    insides,
    local_mask,
    nucleus_nodes,
    pseudo_target,
    smoothed,
    target_planes,
    without_holes,
    without_specks,
)
from wsiseg.training.state import channels_last, with_weights

Labels = npt.NDArray[np.int32]
Maker = Callable[[Pixels, TrainingSource], Pixels]

THRESHOLD = 0.4
# Of a nucleus found by the networks against one found in the stain.
NETWORK_WEIGHT = 0.5
MARKER = NucleusShape(min_area_um2=3.0, max_area_um2=200.0, hole_um2=0.0, min_ellipse=0.7, ellipse_power=12.0)
MARKER_LEVELS = 64
MARKER_CONTRAST, MARKER_LEVEL = 0.01, 0.1
MARKER_SIGMA_UM, DEPTH_UM = 0.35, 3.0
MIN_AREA_UM2, ALONE_UM2 = 7.5, 10.0


def stain_maker(config: TrainingConfig) -> Maker | None:
    """Return what makes the repeats' target, from the stain alone; None for a preset without a target."""
    if config.target.weight == 0:
        return None
    planes = len(config.target.channels)

    def make(rgb: Pixels, source: TrainingSource) -> Pixels:
        return pseudo_target(rgb, config.target, config.mpp)[..., :planes]

    return make


def consensus_maker(config: TrainingConfig, repeats: Sequence[Mapping[str, torch.Tensor]]) -> Maker:
    """Return what makes the target of the consensus, from the stain and the trained repeats' weights."""
    networks = [channels_last(with_weights(weights)) for weights in repeats]
    planes = len(config.target.channels)

    def make(rgb: Pixels, source: TrainingSource) -> Pixels:
        confidence = mean_confidence(networks, network_input(rgb, source.table))
        return consensus_target(rgb, confidence, config.target, config.mpp)[..., :planes]

    return make


def mean_confidence(networks: Sequence[FCNN], image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the mean of the networks' maps: (3, H, W) -> float32 (K, H, W)."""
    seen = torch.from_numpy(image)[None].contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        maps = torch.stack([network(seen)[0] for network in networks]).mean(0)
    found: npt.NDArray[np.float32] = maps.contiguous().numpy()
    return found


def consensus_target(
    rgb: Pixels, confidence: npt.NDArray[np.float32], target: StainTarget, mpp: float
) -> Pixels:
    """Return the target of four channels, as `pseudo_target`, in which the networks have a vote.

    Nuclei found in the stain and by the networks compete for their place, each scored by its shape and by its
    border on the stain and on the confidence. Nucleus is the mean of three votes: the confidence with holes
    closed, those nuclei, and the local mask of the stain.

    Parameters
    ----------
    rgb : uint8 (H, W, 3)
    confidence : float32 (K, H, W)
        Nucleus in channel 0; inside of a nucleus in channel 1, where there is one.
    target : StainTarget
    mpp : float
        Micrometres per pixel.

    Returns
    -------
    uint8 (H, W, 4), 255 for 1
    """
    density = smoothed(haematoxylin(rgb), target.sigma_um / mpp)
    smooth = smoothed(confidence[0], 0.5 / mpp)
    least = float(np.quantile(np.abs(np.diff(density, axis=1))[::3, ::3], 0.9))
    own = network_nodes(confidence, mpp)
    candidates = [labels for labels, _ in nucleus_nodes(rgb, target, mpp)] + [own]
    on_stain = [border_contrast(labels, density, least / 2).clip(0) for labels in candidates]
    on_network = [border_contrast(labels, smooth, 0.02).clip(0) for labels in candidates]
    units = [_median(on_stain), _median(on_network)]
    worth = [
        (stain / units[0] + NETWORK_WEIGHT * network / units[1]) * ellipse_share(labels) ** 4
        for labels, stain, network in zip(candidates, on_stain, on_network, strict=True)
    ]
    nodes = merge_nodes(list(zip(candidates, worth, strict=True)))
    levels = np.rint(confidence[0] * 255).astype(np.uint8)
    closed = (255 - area_opening(255 - levels, max(target.holes_um2, default=0) / mpp**2)) / 255
    votes = (
        np.clip(closed / (2 * THRESHOLD), 0, 1),
        without_holes(nodes > 0, mpp).astype(np.float64),
        local_mask(rgb, target, mpp).astype(np.float64),
    )
    return target_planes(
        rgb, sum(votes, np.zeros(levels.shape)) / 3, 0.6 * insides(nodes) + 0.4 * insides(own)
    )


def network_nodes(confidence: npt.NDArray[np.float32], mpp: float) -> Labels:
    """Return the nuclei that the networks see, parted by markers: float32 (K, H, W) -> int32 (H, W)."""
    import cv2
    from skimage.segmentation import watershed

    mask = without_specks(without_holes(confidence[0] > THRESHOLD, mpp), MIN_AREA_UM2 / mpp**2)
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5) * (mpp / DEPTH_UM)
    middle = smoothed(confidence[min(1, len(confidence) - 1)], MARKER_SIGMA_UM / mpp)
    height = np.clip(255 * middle * np.minimum(depth, 1), 0, 255).astype(np.uint8)
    least = MARKER_CONTRAST * MARKER_LEVELS
    lowest = max(1, int(MARKER_LEVEL * 255) >> 2)
    markers = nodes_of(height >> 2, mpp, MARKER, least, lowest)[0] * mask
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    alone = stats[:, cv2.CC_STAT_AREA] >= ALONE_UM2 / mpp**2
    alone[0] = False
    alone[np.unique(pieces[markers > 0])] = False
    markers = np.where(alone[pieces], pieces + markers.max(), markers)
    labels = watershed(255 - height, markers, mask=mask)
    kept = np.bincount(labels.ravel()) >= MIN_AREA_UM2 / mpp**2
    kept[0] = False
    numbers = np.cumsum(kept) * kept
    numbered: Labels = numbers[labels].astype(np.int32)
    return numbered


def border_contrast(labels: Labels, values: npt.NDArray[np.float32], least: float) -> npt.NDArray[np.float64]:
    """Return each label's step of the values over its border, above `least` a pixel; 0 for the background."""
    count = int(labels.max()) + 1
    total = np.zeros(count)
    for axis in (0, 1):
        inner, outer = (np.delete(labels, end, axis) for end in (0, -1))
        steps = np.diff(values, axis=axis)
        border = inner != outer
        inner, outer, steps = inner[border], outer[border], steps[border]
        total += np.bincount(inner, steps, count) - np.bincount(outer, steps, count)
        edges = np.bincount(inner, minlength=count) + np.bincount(outer, minlength=count)
        total -= least * np.pi / 4 * edges
    total[0] = 0
    return total


def ellipse_share(labels: Labels) -> npt.NDArray[np.float64]:
    """Return for each label its area over that of the ellipse of the same second moments, at most 1."""
    flat = labels.ravel()
    area = np.maximum(np.bincount(flat), 1)
    rows, cols = (axis.ravel().astype(np.float64) for axis in np.indices(labels.shape))

    def mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.bincount(flat, values) / area

    row, col = mean(rows), mean(cols)
    spread = (mean(rows * rows) - row**2 + 1 / 12) * (mean(cols * cols) - col**2 + 1 / 12)
    mixed = (mean(rows * cols) - row * col) ** 2
    share: npt.NDArray[np.float64] = np.clip(
        area / (4 * np.pi * np.sqrt(np.maximum(spread - mixed, 1e-6))), 0, 1
    )
    return share


def _median(scores: Sequence[npt.NDArray[np.float64]]) -> float:
    """Return the median over all labels but the background; never 0."""
    all_scores = np.concatenate([score[1:] for score in scores])
    return max(float(np.median(all_scores)) if len(all_scores) else 0.0, 1e-9)
