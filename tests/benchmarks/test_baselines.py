"""The baselines: each does what it says on images made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import torch
from harness import baselines
from harness.scale_pretext import (
    ScalePretext,
    ScalePretextConfig,
    resnet34,
    smoothness,
    turned,
)
from harness.scale_pretext_training import attention_of, draw_patches, train_scale_pretext
from harness.supervised import SupervisedConfig, mask_loss, train_supervised

from wsiseg.evaluation import metrics
from wsiseg.evaluation.labels import read_labels

pytestmark = pytest.mark.slow

PINK, VIOLET = (225, 170, 200), (90, 50, 130)


@pytest.fixture(scope="module")
def field() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Nine round nuclei on pink, with some noise."""
    rows, cols = np.mgrid[:120, :130]
    truth = np.zeros((120, 130), np.int32)
    for k in range(9):
        y, x = 20 + 40 * (k // 3), 20 + 42 * (k % 3)
        truth[(rows - y) ** 2 + (cols - x) ** 2 <= 100] = k + 1
    rgb = np.where(truth[..., None] > 0, VIOLET, PINK) + np.random.default_rng(0).normal(0, 6, (120, 130, 3))
    return np.clip(rgb, 0, 255).astype(np.uint8), truth


def test_best_grey_threshold_is_the_best_of_all() -> None:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (2, 20, 30, 3)).astype(np.uint8)
    truths = [baselines.grey(image) + rng.integers(-40, 40, (20, 30)) < 90 for image in images]
    best = baselines.best_grey_threshold(zip(images, truths, strict=True))

    def mean_dice(threshold: int) -> float:
        masks = [baselines.grey_mask(image, threshold) for image in images]
        return float(np.mean([metrics.dice(t, m) for t, m in zip(truths, masks, strict=True)]))

    assert best == max(range(256), key=mean_dice)
    with pytest.raises(ValueError, match="no labelled images"):
        baselines.best_grey_threshold([])


def test_the_script_finds_round_nuclei(field: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]) -> None:
    rgb, truth = field
    scores = metrics.score(truth, baselines.script_nuclei(rgb))
    assert scores.count_predicted == 9
    assert scores.pq > 0.85


@pytest.mark.real_data
def test_the_script_reaches_what_it_is_known_for(shared_data: Path) -> None:
    names = ["TCGA-21-5786-01Z-00-DX1", "TCGA-B0-5711-01Z-00-DX1"]
    found = []
    for name in names:
        rgb = tifffile.imread(shared_data / "monuseg" / "images" / f"{name}.tif")[:500, :500]
        truth = read_labels(shared_data / "monuseg" / "masks" / f"{name}.png")[:500, :500]
        found.append(metrics.dice(truth, baselines.script_nuclei(rgb)))
    assert np.mean(found) > 0.6


def test_supervised_learns_and_repeats(field: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]) -> None:
    rgb, truth = field
    config = SupervisedConfig(epochs=12, crop_px=48, batch_size=4, learning_rate=2e-2)
    losses: list[float] = []

    def train() -> torch.nn.Module:
        return train_supervised(
            [rgb] * 4, [truth > 0] * 4, config, after_epoch=lambda epoch, loss: losses.append(loss)
        )

    first, second = train(), train()
    assert losses[11] < 0.6 * losses[0]
    assert losses[:12] == losses[12:]
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_supervised_augments(field: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]) -> None:
    rgb, truth = field
    shapes = []

    def augment(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        shapes.append(tuple(pixels.shape))
        return 1 - pixels

    config = SupervisedConfig(epochs=2, crop_px=40, batch_size=3)
    train_supervised([rgb] * 4, [truth > 0] * 4, config, augment=augment)
    assert shapes == [(3, 3, 40, 40), (1, 3, 40, 40)] * 2


def test_mask_loss_is_small_for_the_truth_and_finite_without_it() -> None:
    target = torch.zeros(1, 4, 4)
    target[0, :2] = 1
    assert mask_loss((target - 0.5) * 60, target) < 0.01
    assert mask_loss((0.5 - target) * 60, target) > 10
    assert torch.isfinite(mask_loss(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)))


def test_scale_pretext_has_the_parameters_of_the_paper() -> None:
    count = sum(p.numel() for p in ScalePretext(ScalePretextConfig()).parameters())
    assert sum(p.numel() for p in resnet34(1000).parameters()) == 21_797_672
    assert round(count / 1e6, 1) == 21.7


SMALL = ScalePretextConfig(factors=(1, 2), patch_px=32, batch_size=4, steps=3)


def test_scale_pretext_trains_a_few_steps_and_attends(
    field: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]],
) -> None:
    rgb = field[0][:64, :72]
    losses: list[float] = []

    def after_step(step: int, loss: float) -> bool:
        losses.append(loss)
        return True

    before = ScalePretext(SMALL)
    network = train_scale_pretext([rgb], SMALL, after_step=after_step)
    assert len(losses) == 3
    assert np.isfinite(losses).all()
    assert before.threshold.isnan()
    assert torch.isfinite(network.threshold)
    attention = attention_of(network, rgb)
    assert attention.shape == rgb.shape[:2]
    assert 0 <= attention.min() <= attention.max() <= 1


def test_scale_pretext_gradient_reaches_the_attention() -> None:
    network = ScalePretext(SMALL)
    _, logits = network(torch.rand(2, 3, 32, 32))
    logits.square().sum().backward()
    gradient = network.attention[0].weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_attention_keeps_its_share_of_the_pixels() -> None:
    network = ScalePretext(ScalePretextConfig(sparsity=0.25, sharpness=1e4))
    attention = network.attend(torch.rand(1, 3, 40, 40))
    assert (attention > 0.5).float().mean() == pytest.approx(0.25, abs=0.02)


def test_patches_are_drawn_at_their_magnification() -> None:
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    patches, scales = draw_patches([ramp], SMALL, torch.Generator().manual_seed(0))
    slope = (patches[:, 0, 0, -1] - patches[:, 0, 0, 0]) * 255 / 31
    assert slope.tolist() == pytest.approx([SMALL.factors[s] for s in scales.tolist()], abs=0.05)
    with pytest.raises(ValueError, match="has no patch of 256 px"):
        draw_patches([ramp], ScalePretextConfig(factors=(8,), patch_px=32), torch.Generator())


def test_turns_are_eight_and_smoothness_counts_edges() -> None:
    image = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert len({tuple(turned(image, which).flatten().tolist()) for which in range(8)}) == 8
    assert smoothness(torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])) == 1
