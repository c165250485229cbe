"""What is refused, and that settings survive a file."""

from __future__ import annotations

import json

import pytest

from wsiseg.errors import UsageError
from wsiseg.training.config import TrainingConfig, from_json
from wsiseg.training.presets import preset


@pytest.mark.parametrize("name", ["paper", "default"])
def test_a_configuration_survives_json(name):
    config = preset(name, seed=7)
    assert from_json(json.loads(json.dumps(config.to_json()))) == config


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
