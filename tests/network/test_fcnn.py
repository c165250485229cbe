"""The network of method.md: its size, its reach, and that inference folds it without changing it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from wsiseg.network.appearance import StainScale, network_input, rgb_table, stain_table
from wsiseg.network.architecture import RADIUS_PX
from wsiseg.network.engine import Engine, FusedEngine, TorchEngine, looked_up
from wsiseg.network.fcnn import FCNN, to_input
from wsiseg.network.fold import fold
from wsiseg.network.model import Model, ModelInfo, weights_of


@pytest.fixture(scope="module")
def network() -> FCNN:
    """A network whose batch norms have statistics of their own, as after training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        made = FCNN().eval()
        for module in made.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for tensor, low, high in (
                    (module.running_mean, -0.1, 0.1),
                    (module.running_var, 0.5, 1.5),
                    (module.weight.data, 0.5, 1.5),
                    (module.bias.data, -0.1, 0.1),
                ):
                    tensor.uniform_(low, high)
    return made


def test_it_has_exactly_the_parameters_of_the_method() -> None:
    count = sum(parameter.numel() for parameter in FCNN(4).parameters() if parameter.requires_grad)
    assert count == 7372


def test_a_pixel_depends_on_83_pixels_around_it_and_no_more(network: FCNN) -> None:
    image = torch.rand(1, 3, 1, 200, requires_grad=True)
    network(image)[0, 0, 0, 100].backward()
    assert image.grad is not None
    reached = np.flatnonzero(image.grad.abs().sum((0, 1, 2)).numpy())
    assert (reached.min(), reached.max()) == (100 - RADIUS_PX, 100 + RADIUS_PX) == (17, 183)


def test_a_window_with_the_halo_gives_what_the_whole_image_gives(network: FCNN) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 400, 3), dtype=np.uint8)
    with torch.no_grad():
        whole = network(to_input(image))[..., 150:250]
        window = network(to_input(image[:, 150 - RADIUS_PX : 250 + RADIUS_PX]))[..., RADIUS_PX:-RADIUS_PX]
    torch.testing.assert_close(window, whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("engine", [FusedEngine, TorchEngine])
def test_engines_agree_with_the_network(network: FCNN, engine: type[Engine], inverted: bool) -> None:
    info = ModelInfo(channel=2, inverted=inverted)
    made = engine(fold(Model(weights_of(network), info, "")))  # type: ignore[call-arg]
    rgb = np.random.default_rng(1).integers(0, 256, (130, 90, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = network(to_input(rgb))[0, 2].numpy()
    found = made.confidence(rgb, rgb_table())
    np.testing.assert_allclose(found, 1 - expected if inverted else expected, atol=1e-5)


def test_the_input_of_training_is_the_input_of_inference() -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(network_input(rgb, rgb_table()), to_input(rgb)[0].numpy())


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_gpu_agrees_from_several_threads(network: FCNN, device: str) -> None:
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if not there[device]():
        pytest.skip(f"no {device} device on this machine")
    folded = fold(Model(weights_of(network), ModelInfo(channel=2), ""))
    rng = np.random.default_rng(3)
    windows = [rng.integers(0, 256, (100 + 7 * k, 300, 3), dtype=np.uint8) for k in range(12)]
    engine, plain = TorchEngine(folded, device), TorchEngine(folded, "cpu")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda rgb: engine.confidence(rgb, rgb_table()), windows))
    for rgb, confidence in zip(windows, found, strict=True):
        np.testing.assert_allclose(confidence, plain.confidence(rgb, rgb_table()), atol=1e-3)


def test_a_gpu_is_given_pixels_and_looks_up_what_the_network_sees() -> None:
    rgb = np.random.default_rng(4).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    for table in (rgb_table(), stain_table(StainScale.of(rgb))):
        seen = looked_up(torch.from_numpy(rgb), torch.from_numpy(table))
        assert seen.is_contiguous(memory_format=torch.channels_last)
        np.testing.assert_allclose(seen[0].numpy(), network_input(rgb, table), atol=1e-6)
