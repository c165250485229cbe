"""The rates of the steps."""

from __future__ import annotations

import pytest

from wsiseg.training.config import TrainingConfig
from wsiseg.training.schedule import rates


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
