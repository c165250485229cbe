"""The feature network of the featurised cosine similarity (ablation only): 3,386 parameters."""

from __future__ import annotations

from torch import Tensor, nn


class FeatureNetwork(nn.Sequential):
    """Patches 1 x 50 x 50 -> 32 features; no padding, so that 81 values reach the linear layer."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 8, 3),
            nn.BatchNorm2d(8),
            nn.ELU(),
            nn.Conv2d(8, 8, 3, stride=2, dilation=2, bias=False),
            nn.BatchNorm2d(8),
            nn.ELU(),
            nn.Conv2d(8, 1, 3, stride=2, dilation=2, bias=False),
            nn.BatchNorm2d(1),
            nn.ELU(),
            nn.Flatten(),
            nn.Linear(81, 32),
        )

    def featurise(self, patches: Tensor) -> Tensor:
        """Return the features of the mean over colours: (M, 3, 50, 50) -> (M, 32)."""
        return self(patches.mean(1, keepdim=True))  # type: ignore[no-any-return]
