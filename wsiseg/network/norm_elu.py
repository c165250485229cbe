"""Batch norm and ELU in one pass on a CPU, channels last.

torch adds a channel up in single precision, pixel after pixel, when channels lie last in memory: over 900,000
pixels its gradients are then a thousand times further from the truth than single precision has to be.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Floats = npt.NDArray[np.float32]
Sums = npt.NDArray[np.float64]

# Values that a loop takes at once: a multiple of the channels and of every vector register.
LANES = 64
# So many times LANES values are added in single precision before they go to a sum in double precision.
RUN = 32
# Values of one part: parts are for several threads, and the same for any number of them.
PART = LANES * RUN * 256

_LOG2E = np.float32(math.log2(math.e))
# ln 2 as a sum of two, the first of which times a small whole number has no rounding.
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(math.log(2) - 0.693359375)
_LOWEST = np.float32(-87.0)
_SHIFT, _BIAS = np.int32(23), np.int32(127)
_HALF, _ONE, _ZERO = np.float32(0.5), np.float32(1), np.float32(0)
# Taylor series of (exp(r) - 1 - r) / r^2 up to r^5: below 2e-8 of exp(r) for |r| <= ln(2) / 2.
_C2, _C3, _C4, _C5, _C6, _C7 = (np.float32(1 / math.factorial(n)) for n in range(2, 8))
_FAST = {"contract", "nsz", "nnan", "ninf"}


def can_fuse(x: Tensor, norm: nn.BatchNorm2d) -> bool:
    """Whether `norm_elu` can take `x`: float32, CPU, channels last, and in training or without gradients."""
    return (
        (norm.training or not torch.is_grad_enabled())
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and LANES % x.shape[1] == 0
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def norm_elu(x: Tensor, norm: nn.BatchNorm2d, plus: Tensor | None = None) -> Tensor:
    """Return ELU(batch norm(x)), as torch does; in training the running statistics follow.

    Parameters
    ----------
    x : Tensor
        float32 (N, C, H, W), for which `can_fuse` holds.
    norm : nn.BatchNorm2d
        With weights, running statistics and a momentum.
    plus : Tensor, optional
        What is added to the result, of the shape and layout of `x`.

    Returns
    -------
    Tensor
        float32 (N, C, H, W), channels last.
    """
    if norm.training:
        y: Tensor = _NormElu.apply(x, norm.weight, norm.bias, plus, norm)
        return y
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = _doubles(norm.weight) / np.sqrt(_doubles(norm.running_var) + norm.eps)
    return _activated(x, scale, _doubles(norm.bias) - _doubles(norm.running_mean) * scale, plus)


def _activated(x: Tensor, scale: Sums, offset: Sums, plus: Tensor | None) -> Tensor:
    """Return ELU(scale x + offset), plus what is added."""
    # Not in place: the compiler's vector code is for arrays that lie apart.
    y = torch.empty_like(x, memory_format=torch.channels_last)
    if plus is None:
        _each(_activate, _lanes(scale, offset), _flat(x), _flat(y))
    else:
        _each(_activate_and_add, _lanes(scale, offset), _flat(x), _flat(_in_order(plus)), _flat(y))
    return y


class _NormElu(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, plus: Tensor | None, norm: nn.BatchNorm2d
    ) -> Tensor:
        """Normalise, activate, add, and keep what the gradient needs."""
        channels, count = x.shape[1], x.numel() // x.shape[1]
        values = _flat(x)
        # Sums of differences to a value of each channel: squares of large values would cost digits.
        near = values[:channels].astype(np.float64)
        total, squares = _summed(_sums, channels, _lanes(near), values)
        mean = near + total / count
        variance = np.maximum(squares / count - (total / count) ** 2, 0)
        per_sd = 1 / np.sqrt(variance + norm.eps)
        _follow(norm, mean, variance * count / max(1, count - 1))
        scale = _doubles(weight) * per_sd
        offset = _doubles(bias) - mean * scale
        y = _activated(x, scale, offset, plus)
        ctx.save_for_backward(x)
        ctx.mean, ctx.per_sd, ctx.scale, ctx.offset = mean, per_sd, scale, offset
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None, None]:
        """Return the gradients for x, weight, bias and what was added."""
        (x,) = ctx.saved_tensors
        mean, per_sd, scale, offset = ctx.mean, ctx.per_sd, ctx.scale, ctx.offset
        channels, count = x.shape[1], x.numel() // x.shape[1]
        gradient = _in_order(gradient)
        given = _flat(gradient), _flat(x)
        total, centred = _summed(_sums_back, channels, _lanes(scale, offset, mean), *given)
        slope = -scale * per_sd**2 * centred / count
        of_x = torch.empty_like(x, memory_format=torch.channels_last)
        constants = _lanes(scale, offset, slope, -scale * total / count - slope * mean)
        _each(_back, constants, *given, _flat(of_x))
        of_plus = gradient if ctx.needs_input_grad[3] else None
        return of_x, _tensor(centred * per_sd), _tensor(total), of_plus, None


def _follow(norm: nn.BatchNorm2d, mean: Sums, variance: Sums) -> None:
    """Move the running statistics towards those of a batch."""
    assert norm.momentum is not None
    assert norm.num_batches_tracked is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.num_batches_tracked.add_(1)
    norm.running_mean.lerp_(_tensor(mean), norm.momentum)
    norm.running_var.lerp_(_tensor(variance), norm.momentum)


def _in_order(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _flat(x: Tensor) -> Floats:
    """Return the values in the order of memory, channels last."""
    values: Floats = x.detach().permute(0, 2, 3, 1).view(-1).numpy()
    return values


def _doubles(x: Tensor) -> Sums:
    values: Sums = x.detach().double().numpy()
    return values


def _tensor(values: Sums) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _lanes(*of_channels: Sums) -> Floats:
    """Return a row of LANES values for each constant of the channels."""
    rows = np.stack(of_channels).astype(np.float32)
    return np.tile(rows, (1, LANES // rows.shape[1]))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="norm")


def _each(kernel: Callable[..., None], constants: Floats, *arrays: Floats) -> None:
    """Call a kernel on all parts of the arrays, on as many threads as torch has."""
    _on_parts(lambda part, nth: kernel(constants, *part), arrays)


def _summed(kernel: Callable[..., None], channels: int, constants: Floats, *arrays: Floats) -> Sums:
    """Return two sums for each channel, (2, C): those of the parts, added in their order."""
    sums = np.zeros((-(-len(arrays[0]) // PART), 2, LANES))
    _on_parts(lambda part, nth: kernel(constants, *part, sums[nth]), arrays)
    total: Sums = sums.sum(0).reshape(2, -1, channels).sum(1)
    return total


def _on_parts(work: Callable[[list[Floats], int], None], arrays: tuple[Floats, ...]) -> None:
    def on_part(start: int) -> None:
        work([array[start : start + PART] for array in arrays], start // PART)

    starts, threads = range(0, len(arrays[0]), PART), torch.get_num_threads()
    list(map(on_part, starts) if threads == 1 else _pool(threads).map(on_part, starts))


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _exp_parts(t):
    """Return e and p, exp(t) = (e + 1) p, for t <= 0, without a branch, so that a loop is vector code."""
    t = max(t, _LOWEST)
    n = np.int32(t * _LOG2E - _HALF)
    whole = np.float32(n)
    r = t - whole * _LN2_HIGH - whole * _LN2_LOW
    tail = ((((_C7 * r + _C6) * r + _C5) * r + _C4) * r + _C3) * r + _C2
    return tail * r * r + r, np.int32((np.int32(n) + _BIAS) << _SHIFT).view(np.float32)


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _elu(z):
    """Return z, or exp(z) - 1 below 0."""
    e, power = _exp_parts(min(z, _ZERO))
    return max(z, _ZERO) + (e * power + (power - _ONE))


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _elu_slope(z):
    """Return 1, or exp(z) below 0."""
    e, power = _exp_parts(min(z, _ZERO))
    return e * power + power


# The compiler makes vector code of loops of a fixed length over slices, each of which writes one array.
@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _sums_of(n, near, x, first, second):
    for lane in range(n):
        first[lane] += x[lane] - near[lane]
    for lane in range(n):
        second[lane] += (x[lane] - near[lane]) ** 2


@njit(cache=True, nogil=True, fastmath=_FAST)
def _sums(constants, x, out):
    """Add sum and sum of squares of x - near to `out`, float64 (2, LANES)."""
    near = constants[0].copy()
    first, second = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    whole = len(x) // LANES * LANES
    for start in range(0, len(x), LANES * RUN):
        first[:] = _ZERO
        second[:] = _ZERO
        for i in range(start, min(start + LANES * RUN, whole), LANES):
            _sums_of(LANES, near, x[i : i + LANES], first, second)
        if start + LANES * RUN > whole:
            _sums_of(len(x) - whole, near, x[whole:], first, second)
        for lane in range(LANES):
            out[0, lane] += first[lane]
            out[1, lane] += second[lane]


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _activate_some(n, scale, shift, x, y):
    for lane in range(n):
        y[lane] = _elu(scale[lane] * x[lane] + shift[lane])


@njit(cache=True, nogil=True, fastmath=_FAST)
def _activate(constants, x, y):
    """Write ELU(scale x + shift) to y."""
    scale, shift = constants[0].copy(), constants[1].copy()
    whole = len(x) // LANES * LANES
    for i in range(0, whole, LANES):
        _activate_some(LANES, scale, shift, x[i : i + LANES], y[i : i + LANES])
    _activate_some(len(x) - whole, scale, shift, x[whole:], y[whole:])


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _activate_and_add_some(n, scale, shift, x, plus, y):
    for lane in range(n):
        y[lane] = _elu(scale[lane] * x[lane] + shift[lane])
    for lane in range(n):
        y[lane] += plus[lane]


@njit(cache=True, nogil=True, fastmath=_FAST)
def _activate_and_add(constants, x, plus, y):
    """Write ELU(scale x + shift) + plus to y."""
    scale, shift = constants[0].copy(), constants[1].copy()
    whole = len(x) // LANES * LANES
    for i in range(0, whole, LANES):
        _activate_and_add_some(LANES, scale, shift, x[i : i + LANES], plus[i : i + LANES], y[i : i + LANES])
    _activate_and_add_some(len(x) - whole, scale, shift, x[whole:], plus[whole:], y[whole:])


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _sums_back_of(n, constants, gradient, x, before, first, second):
    scale, shift, mean = constants
    for lane in range(n):
        before[lane] = _elu_slope(scale[lane] * x[lane] + shift[lane])
    for lane in range(n):
        before[lane] *= gradient[lane]
    for lane in range(n):
        first[lane] += before[lane]
    for lane in range(n):
        second[lane] += before[lane] * (x[lane] - mean[lane])


@njit(cache=True, nogil=True, fastmath=_FAST)
def _sums_back(constants, gradient, x, out):
    """Add to `out` the sums of g, the gradient in front of ELU(scale x + shift), and of g (x - mean)."""
    rows = constants[0].copy(), constants[1].copy(), constants[2].copy()
    first, second = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    before = np.empty(LANES, np.float32)
    whole = len(x) // LANES * LANES
    for start in range(0, len(x), LANES * RUN):
        first[:] = _ZERO
        second[:] = _ZERO
        for i in range(start, min(start + LANES * RUN, whole), LANES):
            _sums_back_of(LANES, rows, gradient[i : i + LANES], x[i : i + LANES], before, first, second)
        if start + LANES * RUN > whole:
            _sums_back_of(len(x) - whole, rows, gradient[whole:], x[whole:], before, first, second)
        for lane in range(LANES):
            out[0, lane] += first[lane]
            out[1, lane] += second[lane]


@njit(cache=True, nogil=True, fastmath=_FAST, inline="always")
def _back_some(n, constants, gradient, x, of_x):
    scale, shift, slope, offset = constants
    for lane in range(n):
        of_x[lane] = scale[lane] * _elu_slope(scale[lane] * x[lane] + shift[lane])
    for lane in range(n):
        of_x[lane] *= gradient[lane]
    for lane in range(n):
        of_x[lane] += slope[lane] * x[lane] + offset[lane]


@njit(cache=True, nogil=True, fastmath=_FAST)
def _back(constants, gradient, x, of_x):
    """Write the gradient for x: scale times that in front of ELU(scale x + shift), plus slope x + offset."""
    rows = constants[0].copy(), constants[1].copy(), constants[2].copy(), constants[3].copy()
    whole = len(x) // LANES * LANES
    for i in range(0, whole, LANES):
        _back_some(LANES, rows, gradient[i : i + LANES], x[i : i + LANES], of_x[i : i + LANES])
    _back_some(len(x) - whole, rows, gradient[whole:], x[whole:], of_x[whole:])
