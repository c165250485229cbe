"""Fixtures shared by all rooms."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import Command, command_environment
from hypothesis import settings

from wsiseg.machine.cores import wait_asleep

# Before torch is imported: beside a busy process its spinning threads double the suite's processor time.
wait_asleep()

# No timed assertion: how long an example takes says how busy the machine is.
settings.register_profile("wsiseg", deadline=None)
settings.load_profile("wsiseg")

SHARED_DATA = Path(os.environ.get("WSISEG_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of single tests."""
    parser.addoption("--kills", type=int, default=4, help="workers of a cluster to kill (default: 4)")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real slides and images beside the project; tests that need them skip where they are not."""
    if not SHARED_DATA.is_dir():
        pytest.skip(
            "real slides are not beside the project (WSISEG_TEST_DATA: folder of slides/, free/, monuseg/)"
        )
    return SHARED_DATA


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model set by hand that finds what is dark in the red, as nuclei are.

    A touch of chance in every layer makes the whole 83 px around a pixel count.
    """
    import torch

    from wsiseg.network.fcnn import FCNN
    from wsiseg.network.model import ModelInfo, save_model

    torch.manual_seed(0)
    network = FCNN(1)
    darkest_tissue, contrast = 0.05 + 0.95 * 150 / 255, 20.0
    with torch.no_grad():
        stem, norm = network.stem[0], network.stem[1]
        stem.weight.mul_(0.05)
        stem.weight[0] = 0.0
        stem.weight[0, 0] = -contrast / 9
        norm.bias[0] = contrast * darkest_tissue
        for name, weight in network.blocks.named_parameters():
            if name.endswith(".0.weight"):
                weight.mul_(0.02)
        network.head.weight.mul_(0.1)
        network.head.weight[0, 0] = 2.0
        network.head.bias.zero_()
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(path, network, ModelInfo(classes=1, preset="by hand"))
    return path


@pytest.fixture(scope="session")
def svs_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pyramidal slide of 1500 x 1180 px at 0.25 um, half of it glass: more than one network block."""
    from wsiseg.synthetic import SyntheticSlide, write_synthetic

    slide = SyntheticSlide(1500, 1180, seed=3, tissue_share=0.5, pen=False, stain_variation=0.0)
    return write_synthetic(tmp_path_factory.mktemp("slides") / "slide.svs", slide, levels=(4,), workers=1)


@pytest.fixture(scope="session")
def small_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of 460 x 380 px, tissue all over; it says no resolution (0.25 um)."""
    from wsiseg.synthetic import SyntheticSlide, write_synthetic_image

    slide = SyntheticSlide(460, 380, seed=1, tissue_share=1.0, pen=False, stain_variation=0.0)
    return write_synthetic_image(tmp_path_factory.mktemp("slides") / "small.png", slide)


@pytest.fixture(scope="session")
def command() -> Command:
    """Run `python -m wsiseg ...` in a process of its own."""

    def run(*arguments: object, timeout_s: float = 120, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "wsiseg", *map(str, arguments)],
            env=command_environment() | options.pop("env", {}), text=True, capture_output=True,
            timeout=timeout_s, check=False, **options,
        )  # fmt: skip

    return run
