"""Makes every random choice of a run a pure function of its place.

Nothing is drawn from a shared stream: the generator of a step or of a crop follows from the repeat's seed
(the run's seed plus the repeat's number from 0), the epoch and the index. So a resumed run draws what an
uninterrupted one draws, with any number of workers, and a repeat depends on its own seed only.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What a generator is for; the first number of its key."""

    ORDER = 1
    CROP = 2
    STEP = 3
    VALIDATION = 4
    TISSUE = 5
    FIELD = 6
    GENERATED = 7
    COMPARISON = 8


def numpy_generator(purpose: Purpose, *key: int) -> np.random.Generator:
    """Return the generator of one purpose and key, for example (seed, epoch, index)."""
    return np.random.default_rng([int(purpose), *key])


def torch_generator(purpose: Purpose, *key: int) -> torch.Generator:
    """Return a torch generator, on the CPU, of one purpose and key."""
    state = np.random.SeedSequence([int(purpose), *key]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))
