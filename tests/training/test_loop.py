"""The training loop: what it learns, keeps and repeats exactly."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from repeats import CPU, repeats_of, trained

from wsiseg.training.loop import snapshot_epochs
from wsiseg.training.observer import FitObserver
from wsiseg.training.state import new_state

pytestmark = pytest.mark.slow


@pytest.fixture
def repeats(images, config, tmp_path):
    return repeats_of(images, config, tmp_path)


def weights_of(state) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in state.network.state_dict().values()])


def test_stopping_after_any_epoch_changes_nothing(images, config, tmp_path):
    config = replace(config, average=0.9, schedule="onecycle", flips=True, jitter=0.2, input="stains")
    whole = trained(repeats_of(images, config, tmp_path / "whole"))[0]
    pieces = repeats_of(images, config, tmp_path / "pieces")
    for epochs in (1, 2, 3):
        (state,) = trained(pieces, goes_on=lambda: False)
        assert len(state.history) == epochs
    assert torch.equal(weights_of(whole), weights_of(state))
    for a, b in zip(whole.history, state.history, strict=True):
        assert replace(a, seconds=0.0) == replace(b, seconds=0.0)
    for a, b in zip(whole.histograms, state.histograms, strict=True):
        assert torch.equal(a, b)


def test_a_finished_repeat_is_not_done_again(repeats):
    (first,) = trained(repeats)

    class Steps(FitObserver):
        def step(self, *_values) -> None:
            raise AssertionError("a step was done")

    (second,) = trained(repeats, observer=Steps())
    assert torch.equal(weights_of(first), weights_of(second))


def test_weights_of_the_best_epoch_of_each_channel_are_kept(repeats):
    (state,) = trained(repeats)
    for channel in range(2):
        record = state.best_record(channel)
        assert record.scores[channel] == max(r.scores[channel] for r in state.history)
        assert record.epoch in state.weights
    assert set(snapshot_epochs(3)) == {1, 2, 3} == set(state.weights)


def test_feature_network_is_trained_along(images, config, tmp_path):
    config = replace(config, similarity="cosine", patch_px=50, epochs=2)
    before = new_state(config, 0, CPU)
    (state,) = trained(repeats_of(images, config, tmp_path))
    moved = [
        not torch.equal(a, b)
        for a, b in zip(before.features.parameters(), state.features.parameters(), strict=True)
    ]
    assert any(moved)


def test_the_stain_s_target_teaches_nuclei(images, config, tmp_path):
    target = replace(config.target, weight=1.0, channels=(1.0, 0.5))
    config = replace(config, target=target, contrastive_weight=0.02, epochs=12, flips=True)
    (state,) = trained(repeats_of(images, config, tmp_path))
    assert state.history[-1].scores[0] > 0.8
    assert not state.history[-1].inverted[0]
