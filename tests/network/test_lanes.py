"""Eight values at a time are what numpy computes one by one; the register tile is a convolution."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from numba import njit

from wsiseg.network import lanes
from wsiseg.network.fused_kernel import _elu

LANES = lanes.LANES


@pytest.mark.parametrize("of", [operator.add, operator.sub, operator.mul])
def test_operators_act_lane_by_lane(of) -> None:
    @njit
    def both(a, b, out):
        lanes.store(out, 1, of(lanes.load(a, 2), lanes.load(b, 0)))

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 12)).astype(np.float32)
    out = np.zeros(12, np.float32)
    both(a, b, out)
    np.testing.assert_array_equal(out[1 : 1 + LANES], of(a[2 : 2 + LANES], b[:LANES]))
    assert not out[0]
    assert not out[1 + LANES :].any()


def test_elu_is_that_of_double_precision_for_any_number() -> None:
    @njit
    def each(x, out):
        for at in range(0, len(x), LANES):
            lanes.store(out, at, _elu(lanes.load(x, at)))

    x = np.concatenate([np.linspace(-20, 5, 80_000), [0.0, -0.0, -1e-30, -87, -1e4, -3e38, 3e38, 700]])
    x = x.astype(np.float32)
    out = np.empty_like(x)
    each(x, out)
    np.testing.assert_array_equal(out[x >= 0], x[x >= 0])
    below = x[x < 0].astype(np.float64)
    assert np.abs(out[x < 0] - np.expm1(below)).max() < 2e-7


def test_a_tile_is_a_convolution_of_a_row() -> None:
    @njit
    def tile(x, stride, step, channels, weights, out):
        lanes.convolve_tile(x, 5, stride, step, channels, weights, 2, out, 3)

    rng = np.random.default_rng(1)
    channels, step, outputs = 3, 4, lanes.TILE_OUTPUTS
    x = rng.integers(-5, 5, (channels, 40)).astype(np.float32)
    weights = rng.integers(-5, 5, 2 + channels * 3 * outputs).astype(np.float32)
    out = np.zeros(3 + outputs * lanes.TILE_PX, np.float32)
    tile(x.ravel(), x.shape[1], step, channels, weights, out)
    w = weights[2:].reshape(channels, 3, outputs)
    expected = [
        [
            sum(w[i, k, o] * x[i, 5 + p + (k - 1) * step] for i in range(channels) for k in range(3))
            for p in range(lanes.TILE_PX)
        ]
        for o in range(outputs)
    ]
    np.testing.assert_array_equal(out[3:].reshape(outputs, -1), expected)
