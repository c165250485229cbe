"""Presets and what is refused."""

from __future__ import annotations

import json

import pytest

from wsiseg.errors import UsageError
from wsiseg.training.config import TrainingConfig, consensus_config, from_json, preset
from wsiseg.training.schedule import rates


def test_paper_preset_is_the_authors_code():
    config = preset("paper")
    assert (config.classes, config.patch_px, config.draws, config.stride_px) == (4, 50, 10, 20)
    assert (config.crop_px, config.batch_size, config.epochs, config.repeats) == (300, 10, 300, 10)
    assert (config.learning_rate, config.weight_decay) == (2e-4, 1e-4)
    assert (config.similarity, config.inter, config.anchors) == ("mse", "log", 10)
    assert config.sampler == "entropy"
    assert config.target.weight == config.jitter == config.average == 0
    assert config.contrastive_weight == 1
    assert not config.flips


@pytest.mark.parametrize("name", ["paper", "default"])
def test_a_configuration_survives_json(name):
    config = preset(name, seed=7)
    assert from_json(json.loads(json.dumps(config.to_json()))) == config


def test_settings_that_are_none_keep_the_preset():
    assert preset("paper", epochs=None, similarity="ce").epochs == 300
    assert preset("paper", similarity="ce").similarity == "ce"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 0}, "epochs"),
        ({"similarity": "psnr"}, "similarity"),
        ({"inter": "exp"}, "inter"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"patch_px": 400}, "patch_px"),
        ({"contrastive_weight": 0.0}, "nothing to learn"),
        ({"similarity": "cosine", "patch_px": 40}, "50 px"),
    ],
)
def test_nonsense_is_refused_in_words(changes, said):
    with pytest.raises(UsageError, match=said):
        TrainingConfig(**changes)


def test_fewer_epochs_are_fewer_for_the_consensus_too():
    whole = preset("default")
    half = preset("default", epochs=whole.epochs // 2)
    assert half.consensus_epochs == whole.consensus_epochs // 2
    assert preset("default", epochs=1, consensus_epochs=7).consensus_epochs == 7


def test_unknown_preset_and_setting():
    with pytest.raises(UsageError, match="no preset"):
        preset("best")
    with pytest.raises(UsageError, match="no training setting"):
        preset("paper", speed=3)


def test_onecycle_rises_and_falls_as_torch_s_own():
    import torch

    config = TrainingConfig(schedule="onecycle", learning_rate=5e-3)
    optimiser = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=40, pct_start=0.15)
    for step in range(40):
        group = optimiser.param_groups[0]
        ours = rates(config, step, 40)
        assert ours.learning_rate == pytest.approx(group["lr"])
        assert ours.beta1 == pytest.approx(group["betas"][0])
        optimiser.step()
        if step < 39:
            theirs.step()


@pytest.mark.parametrize(("room_px", "side", "batch"), [(4000, 288, 2), (200, 200, 4), (100, 160, 6)])
def test_the_consensus_sees_as_large_crops_as_there_is_room_for(room_px: int, side: int, batch: int):
    config = preset("default")
    own = consensus_config(config, room_px)
    assert (own.crop_px, own.batch_size) == (side, batch)
    assert own.epoch_crops / own.batch_size == config.epoch_crops / config.batch_size
    assert own.draws * own.batch_size == config.draws * config.batch_size
    assert own.batch_size * own.crop_px**2 == pytest.approx(config.batch_size * config.crop_px**2, rel=0.1)
