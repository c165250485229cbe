"""Scores of masks."""

from __future__ import annotations

import numpy as np
import pytest

from wsiseg.training.validation import mean_dice

pytestmark = pytest.mark.slow


def test_mean_dice_of_hand_worked_masks():
    truth = np.array([[[1, 1, 0, 0]], [[0, 0, 0, 0]], [[1, 0, 0, 0]]], bool)
    found = np.array([[[1, 0, 0, 0]], [[0, 0, 0, 0]], [[0, 1, 0, 0]]], bool)
    assert mean_dice(found, truth) == pytest.approx((2 / 3 + 1 + 0) / 3)
