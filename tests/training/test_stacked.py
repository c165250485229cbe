"""Repeats as one network: each becomes what it is alone, to rounding."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from repeats import CPU, repeats_of, states_of, trained

from wsiseg.network.fcnn import FCNN
from wsiseg.network.stacked import StackedFCNN, read_row, row_of, statistics
from wsiseg.training.stacked import can_stack

pytestmark = pytest.mark.slow


def networks_of(count: int, classes: int = 2) -> list[FCNN]:
    torch.manual_seed(0)
    networks = [FCNN(classes).train() for _ in range(count)]
    for network in networks:
        network.logits(torch.rand(2, 3, 30, 30))  # running statistics of its own
    return networks


def assert_near(first, second):
    """The values are the same but for what Adam makes of rounding: a step moves any weight by 2e-4."""
    a, b = (torch.cat([value.double().flatten() for value in values]) for values in (first, second))
    assert (a - b).abs().max() < 2e-4
    assert (a - b).abs().mean() < 3e-6


def assert_alike(first, second):
    assert_near(first.network.state_dict().values(), second.network.state_dict().values())
    assert len(first.optimiser.state) == len(second.optimiser.state)
    for one, other in zip(first.network.parameters(), second.network.parameters(), strict=True):
        if one not in first.optimiser.state:
            continue
        a, b = first.optimiser.state[one], second.optimiser.state[other]
        assert a["step"] == b["step"]
        assert torch.allclose(a["exp_avg"], b["exp_avg"], rtol=1e-2, atol=1e-4)
        assert torch.allclose(a["exp_avg_sq"], b["exp_avg_sq"], rtol=1e-2, atol=1e-6)
    for a, b in zip(first.history, second.history, strict=True):
        assert (a.epoch, a.skips, a.steps) == (b.epoch, b.skips, b.steps)
        assert (a.loss is None) == (b.loss is None)
        assert a.loss is None or a.loss == pytest.approx(b.loss, rel=1e-4)
        assert a.scores == pytest.approx(b.scores, abs=2e-3)
    assert set(first.weights) == set(second.weights)


def test_logits_statistics_and_gradients_are_those_of_each():
    networks = networks_of(3)
    stacked = StackedFCNN(networks).train()
    images = torch.rand(3, 2, 3, 40, 30)
    maps = stacked.logits(images)
    assert maps.shape == (3, 2, 2, 40, 30)
    weights = torch.rand_like(maps)
    (maps * weights).sum().backward()
    for r, network in enumerate(networks):
        alone = network.logits(images[r])
        assert torch.allclose(maps[r], alone, atol=1e-5)
        (alone * weights[r]).sum().backward()
        gradient = row_of((name, p.grad) for name, p in network.named_parameters())
        assert torch.allclose(stacked.rows.grad[r], gradient, rtol=1e-3, atol=1e-3 * gradient.abs().max())
        assert torch.allclose(stacked.running[r], row_of(statistics(network)), atol=1e-6)


def test_rows_come_back_as_they_were():
    first, second = networks_of(2)
    read_row(row_of(first.named_parameters()), second.named_parameters())
    read_row(row_of(statistics(first)), statistics(second))
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("jobs", [3, 2])
def test_each_repeat_is_what_it_is_alone(images, config, tmp_path, jobs):
    alone = trained(repeats_of(images, config, tmp_path / "alone", 3))
    together = trained(repeats_of(images, config, tmp_path / "together", 3), jobs)
    for place, state in enumerate(alone):
        assert_alike(state, together[place])


def test_with_a_target_a_moving_average_and_rates_that_change(images, config, tmp_path):
    target = replace(config.target, weight=1.0, channels=(1.0, 0.5))
    config = replace(
        config, target=target, average=0.9, schedule="onecycle", flips=True, jitter=0.2, input="stains"
    )
    alone = trained(repeats_of(images, config, tmp_path / "alone", 3))
    together = trained(repeats_of(images, config, tmp_path / "together", 3), 3)
    for place, state in enumerate(alone):
        assert_alike(state, together[place])
        assert_near(state.average.state_dict().values(), together[place].average.state_dict().values())


def test_a_repeat_that_skips_a_step_leaves_the_others_going(images, config, tmp_path):
    """Repeat 1 has no positives, so that none of its steps changes it."""

    def without_positives(repeats):
        weights = states_of(repeats)[1].network.state_dict()
        weights["head.bias"].fill_(-200.0)
        weights["head.weight"].zero_()
        repeats[1] = replace(repeats[1], start=weights)
        return repeats

    alone = without_positives(repeats_of(images, config, tmp_path / "alone", 3))
    together = without_positives(repeats_of(images, config, tmp_path / "together", 3))
    first, second = trained(alone), trained(together, 3)
    assert second[1].history[-1].skips == second[1].history[-1].steps
    assert not second[1].optimiser.state
    for place, state in enumerate(first):
        assert_alike(state, second[place])


def test_a_stop_changes_nothing_and_those_of_as_many_epochs_go_on_together(images, config, tmp_path):
    whole = trained(repeats_of(images, config, tmp_path / "whole", 3), 3)
    pieces = repeats_of(images, config, tmp_path / "pieces", 3)
    trained(pieces[2:], goes_on=lambda: False)
    stopped = trained(pieces, 3, goes_on=lambda: False)
    assert [len(state.history) for state in stopped] == [1, 1, 2]
    ended = trained(pieces, 3)
    for first, second in zip(whole, ended, strict=True):
        assert_alike(first, second)


def test_the_cosine_is_not_stacked(config):
    assert can_stack(config)
    assert not can_stack(replace(config, similarity="cosine", patch_px=50))


def test_many_are_scored_as_each_is_alone(images, config, tmp_path):
    (repeat,) = repeats_of(images, config, tmp_path)
    validation = repeat.validation
    networks = [network.eval() for network in networks_of(3)]
    together = validation.score_all(StackedFCNN(networks).eval().logits_of_same, CPU)
    before = [row_of(statistics(network)) for network in networks]
    for r, network in enumerate(networks):
        alone = validation.score(network, CPU)
        assert together[r].inverted == alone.inverted
        assert together[r].stain == pytest.approx(alone.stain, abs=1e-3)
        assert torch.equal(row_of(statistics(network)), before[r])
