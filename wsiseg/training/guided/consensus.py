"""What several trained networks agree on: the target of one more network of the same size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from wsiseg.config import ObjectsConfig
from wsiseg.network.appearance import network_input
from wsiseg.network.fcnn import FCNN
from wsiseg.objects.segment import segment_whole
from wsiseg.training.config import TrainingConfig
from wsiseg.training.guided.fields import Maker
from wsiseg.training.guided.generated import touching
from wsiseg.training.guided.prior import Prior
from wsiseg.training.guided.stain_target import Pixels, insides, pseudo_target, target_planes
from wsiseg.training.sources import TrainingSource
from wsiseg.training.state import channels_last, with_weights

Labels = npt.NDArray[np.int32]

# Below the model's threshold, so that pale nuclei survive from one generation to the next.
THRESHOLD = 0.35
# Weight of the prior in the vote, against all repeats together.
PRIOR_WEIGHT = 0.5
# Weight of the confidence in the target, against the nuclei found in it.
SOFT = 0.35
ROUNDING_UM = 1.0


def stain_maker(config: TrainingConfig) -> Maker | None:
    """Return what makes the repeats' target, from the stain alone; None for a preset without a target."""
    if config.target.weight == 0:
        return None
    planes = len(config.target.channels)

    def make(rgb: Pixels, source: TrainingSource) -> Pixels:
        return pseudo_target(rgb, config.target, config.mpp)[..., :planes]

    return make


def consensus_maker(
    config: TrainingConfig, repeats: Sequence[Mapping[str, torch.Tensor]], prior: Prior | None
) -> Maker:
    """Return what makes the target of the consensus, from the trained repeats' weights and the prior."""
    networks = [channels_last(with_weights(weights)) for weights in repeats]
    voter = None if prior is None else channels_last(with_weights(prior.weights))
    planes = len(config.target.channels)

    def make(rgb: Pixels, source: TrainingSource) -> Pixels:
        seen = network_input(rgb, source.table)
        confidence = np.mean([nucleus_map(network, 0, seen) for network in networks], axis=0)
        if prior is not None and voter is not None:
            other = nucleus_map(voter, prior.channel, seen)
            confidence = PRIOR_WEIGHT * other + (1 - PRIOR_WEIGHT) * confidence
        return consensus_target(rgb, confidence, config.mpp)[..., :planes]

    return make


def nucleus_map(network: FCNN, channel: int, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the confidence of one channel: (3, H, W) -> float32 (H, W)."""
    seen = torch.from_numpy(image)[None].contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        found: npt.NDArray[np.float32] = network(seen)[0, channel].contiguous().numpy()
    return found


def consensus_target(rgb: Pixels, confidence: npt.NDArray[np.float32], mpp: float) -> Pixels:
    """Return the target of four channels, as `pseudo_target`, of the nuclei that a confidence shows.

    They are found as `predict` finds them, and their outlines rounded, since a nucleus has neither holes nor
    bays; between two that touch the target is empty. The confidence itself enters with a small weight.

    Parameters
    ----------
    rgb : uint8 (H, W, 3)
        Pixels.
    confidence : float32 (H, W)
        What the repeats and the prior agree on.
    mpp : float
        Micrometres per pixel.

    Returns
    -------
    uint8 (H, W, 4), 255 for 1
    """
    nuclei = rounded(nuclei_of(confidence, mpp), ROUNDING_UM / mpp)
    between = touching(nuclei)
    nucleus = np.where(between, 0, (1 - SOFT) * (nuclei > 0) + SOFT * np.clip(confidence, 0, 1))
    return target_planes(rgb, nucleus, insides(nuclei))


def nuclei_of(confidence: npt.NDArray[np.float32], mpp: float) -> Labels:
    """Return the nuclei of a whole window, certain or not: float32 (H, W) -> int32 (H, W)."""
    quantised = np.rint(255 * np.clip(confidence, 0, 1)).astype(np.uint8)
    return segment_whole(quantised, mpp, ObjectsConfig(), THRESHOLD).labels


def rounded(labels: Labels, radius_px: float) -> Labels:
    """Close bays and holes of each nucleus and open its spurs, with a disk; small ones lie on large ones."""
    import cv2
    from scipy.ndimage import find_objects

    reach = max(1, round(radius_px))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    places = find_objects(labels)
    area = np.bincount(labels.ravel(), minlength=len(places) + 1)[1:]
    out = np.zeros_like(labels)
    for k in np.argsort(-area, kind="stable"):
        if places[k] is None:
            continue
        shape = np.pad((labels[places[k]] == k + 1).astype(np.uint8), reach + 1)
        for step in (cv2.MORPH_CLOSE, cv2.MORPH_OPEN):
            shape = cv2.morphologyEx(shape, step, disk)
        holes = cv2.floodFill(shape.copy(), None, (0, 0), 1)[1] == 0
        filled = ((shape > 0) | holes)[reach + 1 : -reach - 1, reach + 1 : -reach - 1]
        out[places[k]][filled] = k + 1
    return out
