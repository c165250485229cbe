"""The fused kernel computes what torch computes, whatever the window, and the same bits wherever it lies."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsiseg.network.appearance import rgb_table
from wsiseg.network.architecture import DILATIONS, RADIUS_PX
from wsiseg.network.engine import TorchEngine
from wsiseg.network.fold import Convolution, FoldedNetwork, fold
from wsiseg.network.fused import FusedNetwork
from wsiseg.network.model import load_model


def pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def random_network(width: int, dilations: tuple[int, ...] = DILATIONS) -> FoldedNetwork:
    """Return a network of other channels, whose features stay near 1."""
    rng = np.random.default_rng(width)

    def layer(inputs: int, outputs: int, kernel: int, dilation: int = 1, residual: bool = False):
        scale = (inputs * kernel**2) ** -0.5
        weight = rng.normal(0, scale, (outputs, inputs, kernel, kernel)).astype(np.float32)
        bias = rng.normal(0, 0.1, outputs).astype(np.float32)
        return Convolution(weight, bias, dilation * (kernel // 2), dilation, kernel > 1, residual)

    pairs = [layer(width, width, 3, dilation, half) for dilation in dilations for half in (False, True)]
    return (layer(3, width, 3), *pairs, layer(width, 1, 1))


@pytest.mark.parametrize("width", [4, 8, 16, 24])
def test_networks_of_any_width_are_those_of_torch(width: int) -> None:
    network, rgb = random_network(width), pixels(70, 101)
    expected = TorchEngine(network, "cpu").confidence(rgb, rgb_table())
    assert expected.std() > 0.01
    np.testing.assert_allclose(FusedNetwork(network).run(rgb, rgb_table()), expected, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_part_of_any_window_is_that_of_torch(data: st.DataObject) -> None:
    """The reach is small, so that windows lie across it; memory is full of the windows before."""
    height, width = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    inner = (
        slice(top, data.draw(st.integers(top + 1, height))),
        slice(left, data.draw(st.integers(left + 1, width))),
    )
    rgb = pixels(height, width, seed=height * width)
    found = SMALL.run(rgb, rgb_table(), inner)
    np.testing.assert_allclose(found, SMALL_TORCH.confidence(rgb, rgb_table(), inner), atol=1e-5)


SMALL_NETWORK = random_network(8, (1, 3, 2))
SMALL, SMALL_TORCH = FusedNetwork(SMALL_NETWORK), TorchEngine(SMALL_NETWORK, "cpu")


def test_nothing_that_was_in_memory_before_shows() -> None:
    network, rgb = FusedNetwork(SMALL_NETWORK), pixels(50, 40)
    inner = slice(20, 33), slice(11, 25)
    expected = network.run(rgb, rgb_table(), inner)
    memory = network._idle.get_nowait()
    memory[:] = np.nan
    network._idle.put(memory)
    np.testing.assert_array_equal(network.run(rgb, rgb_table(), inner), expected)
    assert network._idle.get_nowait() is memory


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.integers(0, 40)] * 4))
def test_a_pixel_has_the_same_bits_in_every_window_that_holds_its_halo(margins: tuple[int, ...]) -> None:
    network = FusedNetwork(fold(load_model()))
    size, around = 21, RADIUS_PX + 40
    image = pixels(size + 2 * around, size + 2 * around)

    def within(top: int, bottom: int, left: int, right: int) -> np.ndarray:
        top, bottom, left, right = (RADIUS_PX + margin for margin in (top, bottom, left, right))
        window = image[around - top : around + size + bottom, around - left : around + size + right]
        return network.run(window, rgb_table(), (slice(top, top + size), slice(left, left + size)))

    np.testing.assert_array_equal(within(*margins), within(0, 0, 0, 0))


def test_threads_do_not_meet() -> None:
    network = FusedNetwork(fold(load_model()))
    windows = [pixels(150 + 10 * k, 190, seed=k) for k in range(6)]
    alone = [network.run(rgb, rgb_table()) for rgb in windows]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda rgb: network.run(rgb, rgb_table()), windows * 3))
    for k, found in enumerate(together):
        np.testing.assert_array_equal(found, alone[k % len(windows)])


def test_pixels_may_be_a_view_that_cannot_be_written() -> None:
    rgb = pixels(60, 60)
    view = rgb[10:50, ::2]
    view.flags.writeable = False
    expected = SMALL.run(view.copy(), rgb_table())
    np.testing.assert_array_equal(SMALL.run(view, rgb_table()), expected)


def test_a_network_of_another_shape_is_refused() -> None:
    stem, first, second, *rest = random_network(8)
    with pytest.raises(ValueError, match="residual pairs"):
        FusedNetwork((stem, second, first, *rest))
    with pytest.raises(ValueError, match="multiples of 4"):
        FusedNetwork(random_network(6))
