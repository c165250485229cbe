"""The target's loss, and the gaps that weigh more in it."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from wsiseg.training.guided.target_loss import near_gaps, target_loss


def test_narrow_gaps_and_what_is_beside_them():
    """The gap of one pixel is found; that of four is not, nor one between a nucleus and the border."""
    rows = ["..........................", "..###.####....####........", "..###.####....####........",
            "..###.####....####........", "..........................",
            ".........................."]  # fmt: skip
    mask = torch.tensor([[float(c == "#") for c in row] for row in rows])
    found = near_gaps(torch.stack([mask, 0 * mask]), 1)
    assert found.shape == (2, 6, 26)
    assert ["".join("#" if value else "." for value in row) for row in found[0].tolist()] == [
        "....###...................",
        "....###...................",
        "....###...................",
        "....###...................",
        "....###...................",
        "..........................",
    ]
    assert not found[1].any()
    assert near_gaps(0.5 * mask, 1).max() == 0.5, "a soft mask has soft gaps"
    assert not near_gaps(mask, 0).any()


def test_pixels_count_as_often_as_they_are_told_to():
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(2, 3, 8, 9, generator=generator), torch.rand(2, 3, 8, 9, generator=generator)
    counts = torch.randint(1, 4, (2, 8, 9), generator=generator).float()
    plain, more = target_loss(logits, target, [1, 1, 0]), target_loss(logits, target, [1, 1, 0], counts)
    entropy = binary_cross_entropy_with_logits(logits[:, 0], target[:, 0], reduction="none")
    assert more - plain == pytest.approx(float(((counts - 1) * entropy).mean()), rel=1e-4)


def test_target_loss_is_least_where_the_target_is():
    target = (torch.arange(16.0).reshape(1, 1, 4, 4) > 7).float()
    right = target_loss(20 * (2 * target - 1), target, [1.0])
    wrong = target_loss(20 * (1 - 2 * target), target, [1.0])
    assert right < 0.01
    assert wrong > 10
