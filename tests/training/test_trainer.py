"""The training loop: what it learns, keeps and repeats exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from wsiseg.errors import StoreError, UsageError
from wsiseg.network.fcnn import FCNN, to_input
from wsiseg.slides.sources import expand
from wsiseg.training.config import consensus_config, preset
from wsiseg.training.crops import CropStream
from wsiseg.training.guided.consensus import stain_maker
from wsiseg.training.guided.fields import Fields
from wsiseg.training.observer import Observer
from wsiseg.training.sources import OpenViews, check_sources
from wsiseg.training.state import load_state, new_state
from wsiseg.training.step import near_gaps, step_loss, target_loss
from wsiseg.training.trainer import Repeat, snapshot_epochs, train_repeat
from wsiseg.training.validation import make_validation, mean_dice

CPU = torch.device("cpu")


@pytest.fixture
def repeat(images, config, tmp_path):
    return make_repeat(images, config, tmp_path / "repeat")


def make_repeat(images, config, folder):
    folder.mkdir(exist_ok=True)
    sources, _ = check_sources(expand([str(images)], 0.25), config)
    views = OpenViews(config.mpp)
    maker = stain_maker(config)
    fields = None if maker is None else Fields(sources, config, views, maker)
    stream = CropStream(sources, config, views, 2, fields)
    return Repeat(0, config, stream, make_validation(sources, config, views), CPU, folder)


def weights_of(state) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in state.network.state_dict().values()])


def test_stopping_after_any_epoch_changes_nothing(images, config, tmp_path):
    config = replace(config, average=0.9, schedule="onecycle", flips=True, jitter=0.2, input="stains")
    whole = train_repeat(make_repeat(images, config, tmp_path / "whole"), Observer())
    pieces = make_repeat(images, config, tmp_path / "pieces")
    for epochs in (1, 2, 3):
        state = train_repeat(pieces, Observer(), lambda state: False)
        assert len(state.history) == epochs
    assert torch.equal(weights_of(whole), weights_of(state))
    for a, b in zip(whole.history, state.history, strict=True):
        assert replace(a, seconds=0.0) == replace(b, seconds=0.0)
    for a, b in zip(whole.histograms, state.histograms, strict=True):
        assert torch.equal(a, b)


def test_a_finished_repeat_is_not_done_again(repeat):
    first = train_repeat(repeat, Observer())

    class Steps(Observer):
        def step(self, *_values) -> None:
            raise AssertionError("a step was done")

    second = train_repeat(repeat, Steps())
    assert torch.equal(weights_of(first), weights_of(second))


def test_weights_of_the_best_epoch_of_each_channel_are_kept(repeat):
    state = train_repeat(repeat, Observer())
    for channel in range(2):
        record = state.best_record(channel)
        assert record.scores[channel] == max(r.scores[channel] for r in state.history)
        assert record.epoch in state.weights
    assert set(snapshot_epochs(3)) == {1, 2, 3} == set(state.weights)


def test_a_broken_checkpoint_is_refused_in_words(repeat):
    train_repeat(repeat, Observer(), lambda state: False)
    file = repeat.folder / "checkpoint"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(StoreError, match="checkpoint"):
        load_state(repeat.folder, repeat.config, 0, CPU)


def test_repeats_start_from_different_weights(config):
    first, second, again = (new_state(config, number, CPU) for number in (0, 1, 0))
    assert torch.equal(weights_of(first), weights_of(again))
    assert not torch.equal(weights_of(first), weights_of(second))


def test_global_random_state_is_left_alone(config):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    new_state(config, 0, CPU)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_step_without_positives_is_skipped_and_counted(config):
    network = FCNN(2)
    with torch.no_grad():
        network.head.bias.fill_(-200.0)
    images = to_input(np.random.default_rng(0).integers(0, 255, (2, 80, 80, 3)).astype(np.uint8))
    done = step_loss(network, images, config, torch.Generator().manual_seed(0))
    assert done.skipped
    assert done.loss is None


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("similarity", ["mse", "ce", "kl", "mi"])
def test_constant_images_give_no_nan(config, similarity, value):
    config = replace(config, similarity=similarity)
    network = FCNN(2)
    images = to_input(np.full((2, 80, 80, 3), value, np.uint8))
    done = step_loss(network, images, config, torch.Generator().manual_seed(0))
    if done.loss is not None:
        done.loss.backward()
        assert torch.isfinite(done.loss)
        assert all(torch.isfinite(p.grad).all() for p in network.parameters())


def test_feature_network_is_trained_along(images, config, tmp_path):
    config = replace(config, similarity="cosine", patch_px=50, epochs=2)
    repeat = make_repeat(images, config, tmp_path / "cosine")
    before = new_state(config, 0, CPU)
    state = train_repeat(repeat, Observer())
    moved = [
        not torch.equal(a, b)
        for a, b in zip(before.features.parameters(), state.features.parameters(), strict=True)
    ]
    assert any(moved)


def test_the_stain_s_target_teaches_nuclei(images, config, tmp_path):
    target = replace(config.target, weight=1.0, channels=(1.0, 0.5))
    config = replace(config, target=target, contrastive_weight=0.02, epochs=12, flips=True)
    state = train_repeat(make_repeat(images, config, tmp_path / "led"), Observer())
    assert state.history[-1].scores[0] > 0.8
    assert not state.history[-1].inverted[0]


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


def test_only_the_consensus_of_the_default_weighs_gaps():
    assert (preset("default").gap_weight, preset("paper").gap_weight) == (0, 0)
    assert consensus_config(preset("default")).gap_weight == 4
    assert consensus_config(preset("default", consensus_gap_weight=0.0)).gap_weight == 0
    with pytest.raises(UsageError, match="gap_weight = -1"):
        preset("default", gap_weight=-1.0)


def test_target_loss_is_least_where_the_target_is():
    target = (torch.arange(16.0).reshape(1, 1, 4, 4) > 7).float()
    right = target_loss(20 * (2 * target - 1), target, [1.0])
    wrong = target_loss(20 * (1 - 2 * target), target, [1.0])
    assert right < 0.01
    assert wrong > 10


def test_mean_dice_of_hand_worked_masks():
    truth = np.array([[[1, 1, 0, 0]], [[0, 0, 0, 0]], [[1, 0, 0, 0]]], bool)
    found = np.array([[[1, 0, 0, 0]], [[0, 0, 0, 0]], [[0, 1, 0, 0]]], bool)
    assert mean_dice(found, truth) == pytest.approx((2 / 3 + 1 + 0) / 3)
