"""Slides that several tests of this room read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from small_slides import picture, write_svs


@pytest.fixture(scope="session")
def svs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JPEG pyramid of 901 x 703 px at 0.25 mpp with levels 1 and 4 (225 x 175: the downsample is odd)."""
    path = tmp_path_factory.mktemp("svs") / "small.svs"
    write_svs(path, picture(703, 901))
    return path


@pytest.fixture(scope="session")
def lossless(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[NDArray[np.uint8]]]:
    """A lossless pyramid of 901 x 703 px at 0.25 mpp with levels 1, 2 and 4, and its pixels."""
    path = tmp_path_factory.mktemp("lossless") / "lossless.svs"
    return path, write_svs(path, picture(703, 901, seed=1), factors=(2, 4), compression="deflate", tile=128)
