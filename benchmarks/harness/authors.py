"""The paper's method scored as its authors score it: batch norms with the statistics of what is scored."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from skimage.morphology import disk

from harness.fields import Field
from wsiseg.evaluation.metrics import dice
from wsiseg.network.fcnn import to_input
from wsiseg.network.model import Model

Mask = npt.NDArray[np.bool_]
BATCH = 10


def dices(model: Model, fields: Sequence[Field], at_once: int = BATCH) -> dict[str, float]:
    """Return the Dice of each field: `at_once` whole images a batch, confidence above 0.5, their clean-up."""
    network = copy.deepcopy(model.network).train()
    found = {}
    for start in range(0, len(fields), at_once):
        some = fields[start : start + at_once]
        with torch.no_grad():
            maps = network(torch.cat([to_input(field.rgb) for field in some]))[:, model.info.channel].numpy()
        for field, confidence in zip(some, maps, strict=True):
            mask = (1 - confidence if model.info.inverted else confidence) > 0.5
            found[field.name] = dice(field.truth, cleaned(mask))
    return found


def cleaned(mask: Mask) -> Mask:
    """Open and close with disks of 3 and 1 px; beyond the border is background, also in a closing."""
    for radius in (3, 1):
        mask = ndimage.binary_opening(mask, disk(radius))
        mask = ndimage.binary_closing(mask, disk(radius))
    return mask
