"""The presets and what follows from them."""

from __future__ import annotations

import pytest

from wsiseg.errors import UsageError
from wsiseg.training.presets import consensus_config, preset


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


def test_settings_that_are_none_keep_the_preset():
    assert preset("paper", epochs=None, similarity="ce").epochs == 300
    assert preset("paper", similarity="ce").similarity == "ce"


def test_fewer_epochs_are_fewer_for_the_consensus_too():
    whole = preset("small")
    half = preset("small", epochs=whole.epochs // 2)
    assert half.consensus_epochs == whole.consensus_epochs // 2
    assert preset("small", epochs=1, consensus_epochs=7).consensus_epochs == 7


def test_unknown_preset_and_setting():
    with pytest.raises(UsageError, match="no preset"):
        preset("best")
    with pytest.raises(UsageError, match="no training setting"):
        preset("paper", speed=3)


@pytest.mark.parametrize(("room_px", "side", "batch"), [(4000, 288, 2), (200, 200, 4), (100, 160, 6)])
def test_the_consensus_sees_as_large_crops_as_there_is_room_for(room_px: int, side: int, batch: int):
    config = preset("small")
    own = consensus_config(config, room_px)
    assert (own.crop_px, own.batch_size) == (side, batch)
    assert own.epoch_crops / own.batch_size == config.epoch_crops / config.batch_size
    assert own.draws * own.batch_size == config.draws * config.batch_size
    assert own.batch_size * own.crop_px**2 == pytest.approx(config.batch_size * config.crop_px**2, rel=0.1)


def test_only_the_consensus_of_the_small_preset_weighs_gaps():
    assert (preset("small").gap_weight, preset("paper").gap_weight) == (0, 0)
    assert consensus_config(preset("small")).gap_weight == 4
    assert consensus_config(preset("small", consensus_gap_weight=0.0)).gap_weight == 0
    with pytest.raises(UsageError, match="gap_weight = -1"):
        preset("small", gap_weight=-1.0)
