"""The compiled loops of the fused kernel: what a pixel looks like, the steps of a plan, and the head.

Memory is flat float32, as `wsiseg.network.fused_plan.Plan` describes it. No bound is checked.
"""
# mypy: ignore-errors
# numba types what it compiles.

from __future__ import annotations

import math

import numpy as np
from numba import njit

from wsiseg.network.fused_plan import COLOURS, FROM, INPUT_BEHIND, LAYER, MADE, SEEN, TO
from wsiseg.network.lanes import (
    LANES,
    TILE_OUTPUTS,
    TILE_PX,
    at_least,
    convolve_tile,
    fma,
    load,
    one_over,
    splat,
    store,
    times_power_of_two,
    where_negative,
)

_ZERO, _ONE, _TWO, _FOUR, _EIGHT = (np.float32(value) for value in (0, 1, 2, 4, 8))
_MINUS_FOUR, _MINUS_FIVE = np.float32(-4), np.float32(-5)
_LOWEST, _LOG2E, _MINUS_LN2 = np.float32(-87), np.float32(math.log2(math.e)), np.float32(-math.log(2))
# Added to a small number, it leaves the nearest whole number in the lowest bits.
_WHOLE = np.float32(1.5 * 2**23)
# Coefficients of (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2, nearest in Chebyshev's sense: 1.1e-7 of exp(r).
_C2, _C3, _C4, _C5 = (np.float32(value) for value in (0.4999923, 0.16667115, 0.04189035, 0.00831251))
_SCALE, _OFFSET = np.float32(0.95), np.float32(0.05)

_INLINED = {
    "error_model": "numpy", "forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True,
}  # fmt: skip
_COMPILED = {"error_model": "numpy", "nogil": True, "cache": True}


@njit(**_INLINED)
def _exp(t):
    """Return exp(t) for t <= 0."""
    t = at_least(t, splat(_LOWEST))
    shifted = fma(t, splat(_LOG2E), splat(_WHOLE))
    r = fma(shifted - splat(_WHOLE), splat(_MINUS_LN2), t)
    square = r * r
    tail = fma(fma(splat(_C5), r, splat(_C4)), square, fma(splat(_C3), r, splat(_C2)))
    return times_power_of_two(fma(tail, square, r + splat(_ONE)), shifted)


@njit(**_INLINED)
def _elu(z):
    return where_negative(z, _exp(z) - splat(_ONE), z)


@njit(**_INLINED)
def _transform(x, step, size, channels, cols, begin, end, out):
    """Write what F(4, 3) multiplies of the six rows that a step sees: (SEEN, channels, cols)."""
    part = channels * cols
    r0, r1, r2 = step[FROM] * size, step[FROM + 1] * size, step[FROM + 2] * size
    r3, r4, r5 = step[FROM + 3] * size, step[FROM + 4] * size, step[FROM + 5] * size
    for start in range(0, part, cols):
        for at in range(start + begin, start + end, LANES):
            a, b, c = load(x, r0 + at), load(x, r1 + at), load(x, r2 + at)
            d, e, f = load(x, r3 + at), load(x, r4 + at), load(x, r5 + at)
            even, odd = fma(splat(_MINUS_FOUR), c, e), fma(splat(_MINUS_FOUR), b, d)
            near, twice = e - c, splat(_TWO) * (d - b)
            store(out, at, fma(splat(_FOUR), a, fma(splat(_MINUS_FIVE), c, e)))
            store(out, at + part, even + odd)
            store(out, at + 2 * part, even - odd)
            store(out, at + 3 * part, near + twice)
            store(out, at + 4 * part, near - twice)
            store(out, at + 5 * part, fma(splat(_FOUR), b, fma(splat(_MINUS_FIVE), d, f)))


@njit(**_INLINED)
def _convolve(
    seen, channels, cols, begin, end, dilation, weights, first, bias, products, out, to, apart, adds
):
    """Write four rows of ELU(convolution + bias), `apart` floats from row to row; add them if `adds`."""
    outputs = len(bias)
    part = outputs * TILE_PX
    for col in range(begin, end, TILE_PX):
        factor, product = first, 0
        for at in range(col, SEEN * channels * cols, channels * cols):
            for _ in range(0, outputs, TILE_OUTPUTS):
                convolve_tile(seen, at, cols, dilation, channels, weights, factor, products, product)
                factor += channels * 3 * TILE_OUTPUTS
                product += TILE_OUTPUTS * TILE_PX
        for o in range(outputs):
            offset = splat(bias[o])
            for p in range(0, TILE_PX, LANES):
                m, at = o * TILE_PX + p, to + o * cols + col + p
                a, b, c = load(products, m), load(products, m + part) + offset, load(products, m + 2 * part)
                d, e = load(products, m + 3 * part), load(products, m + 4 * part)
                f = load(products, m + 5 * part)
                even, odd, far_even, far_odd = b + c, b - c, d + e, d - e
                row0 = _elu(a + (even + far_even))
                row1 = _elu(fma(splat(_TWO), far_odd, odd))
                row2 = _elu(fma(splat(_FOUR), far_even, even))
                row3 = _elu(fma(splat(_EIGHT), far_odd, f + odd))
                if adds:
                    row0, row1 = row0 + load(out, at), row1 + load(out, at + apart)
                    row2, row3 = row2 + load(out, at + 2 * apart), row3 + load(out, at + 3 * apart)
                store(out, at, row0)
                store(out, at + apart, row1)
                store(out, at + 2 * apart, row2)
                store(out, at + 3 * apart, row3)


@njit(**_COMPILED)
def look_up(rgb, table, lines, left):
    """Write the network's input, as `network_input` does, to where the stem reads it."""
    height, width, _ = rgb.shape
    for row in range(height):
        for col in range(width):
            red, green, blue = rgb[row, col, 0], rgb[row, col, 1], rgb[row, col, 2]
            for k in range(COLOURS):
                value = table[0, red, k] + table[1, green, k] + table[2, blue, k]
                value = min(max(value, _ZERO), _ONE)
                lines[row + 1 + INPUT_BEHIND, k, left + col] = _SCALE * value + _OFFSET


@njit(**_COMPILED)
def run_layers(steps, layers, first_weights, weights, biases, memory, cols, edge):
    """Execute the steps of a plan; `edge` is the first column behind the window."""
    outputs = biases.shape[1]
    size = outputs * cols
    seen = np.zeros(SEEN * size, np.float32)
    products = np.empty(SEEN * outputs * TILE_PX, np.float32)
    for nth in range(len(steps)):
        step = steps[nth]
        layer = step[LAYER]
        dilation, begin, end = layers[layer, 0], layers[layer, 1], layers[layer, 2]
        to, apart = step[TO] * size, layers[layer, 3] * size
        channels = outputs if layer else COLOURS
        # The second layer of each pair adds to what the first one saw.
        adds = layer > 0 and layer % 2 == 0
        reach = -(-dilation // LANES) * LANES
        _transform(memory, step, size, channels, cols, begin - reach, end + reach, seen)
        _convolve(
            seen, channels, cols, begin, end, dilation, weights, first_weights[layer], biases[layer],
            products, memory, to, apart, adds,
        )  # fmt: skip
        if end + TILE_PX > edge:
            # The last vectors ended behind the window, where all is zero.
            for row in range(MADE):
                for channel in range(outputs):
                    at = to + row * apart + channel * cols + edge
                    memory[at : at + TILE_PX] = _ZERO


@njit(**_COMPILED)
def run_head(lines, left, wanted, head, out):
    """Write the sigmoid of a weighted sum of the channels, row after row."""
    channels, cols = lines.shape[1:]
    memory = lines.reshape(-1)
    top, bottom, begin, end = wanted
    for row in range(top, bottom):
        for col in range(begin, end, LANES):
            z = splat(head[channels])
            for channel in range(channels):
                at = ((1 + row) * channels + channel) * cols + left + col
                z = fma(splat(head[channel]), load(memory, at), z)
            e = _exp(splat(_ZERO) - at_least(z, splat(_ZERO) - z))
            share = one_over(splat(_ONE) + e)
            store(out, (row - top) * (end - begin) + col - begin, where_negative(z, e * share, share))
