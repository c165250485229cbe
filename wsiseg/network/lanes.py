"""Eight float32 values at a time in numba functions, and the register tile of a convolution.

Whether LLVM finds the vectors in a loop nest, and keeps a dozen sums in registers, is chance. Here they
are spelt out, and LLVM only maps them to the registers that there are: one of AVX, two of NEON or SSE.
Nothing is reordered, so that the bits of a result do not depend on the width of the registers.
"""
# mypy: ignore-errors
# numba types what it compiles.

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 8
# Outputs by vectors of a register tile: 12 sums, 3 inputs and a weight fill the 16 registers of AVX.
TILE_OUTPUTS, TILE_VECTORS = 4, 3
TILE_PX = TILE_VECTORS * LANES

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(ir.IntType(32), LANES)
_MANTISSA_BITS = 23


class _Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__(name="wsiseg.Lanes")


_lanes = _Lanes()


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)


def _arithmetic(of: Callable[..., Any], name: str) -> None:
    """Let Python's operator act on lanes."""

    @infer_global(of)
    class _Template(ConcreteTemplate):
        cases = (signature(_lanes, _lanes, _lanes),)

    @lower_builtin(of, _lanes, _lanes)
    def _lower(context, builder, sig, args):
        return getattr(builder, name)(*args)


for _operator, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _arithmetic(_operator, _instruction)


def _address(context, builder, kind, array, at):
    return builder.gep(context.make_array(kind)(context, builder, array).data, [at])


def _read(builder, address):
    value = builder.load(builder.bitcast(address, _FLOATS.as_pointer()))
    value.align = 4
    return value


def _write(builder, value, address):
    builder.store(value, builder.bitcast(address, _FLOATS.as_pointer()), align=4)


def _repeated(builder, value):
    unknown, index = ir.Constant(_FLOATS, ir.Undefined), ir.IntType(32)
    first = builder.insert_element(unknown, value, ir.Constant(index, 0))
    return builder.shuffle_vector(first, unknown, ir.Constant(ir.VectorType(index, LANES), [0] * LANES))


def _multiply_add(builder, *args):
    kind = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
    name = f"llvm.fmuladd.v{LANES}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


@intrinsic
def load(typingctx, array, at):
    """Return array[at : at + LANES] of a flat float32 array; no bound is checked."""

    def codegen(context, builder, sig, args):
        return _read(builder, _address(context, builder, sig.args[0], *args))

    return _lanes(array, types.intp), codegen


@intrinsic
def store(typingctx, array, at, value):
    """Write array[at : at + LANES] of a flat float32 array; no bound is checked."""

    def codegen(context, builder, sig, args):
        array, at, value = args
        _write(builder, value, _address(context, builder, sig.args[0], array, at))
        return context.get_dummy_value()

    return types.none(array, types.intp, _lanes), codegen


@intrinsic
def splat(typingctx, value):
    """Return a float32 in every lane."""

    def codegen(context, builder, sig, args):
        return _repeated(builder, args[0])

    return _lanes(types.float32), codegen


@intrinsic
def fma(typingctx, a, b, c):
    """Return a b + c, rounded once where the processor can."""

    def codegen(context, builder, sig, args):
        return _multiply_add(builder, *args)

    return _lanes(_lanes, _lanes, _lanes), codegen


@intrinsic
def at_least(typingctx, a, b):
    """Return the larger of a and b, lane by lane."""

    def codegen(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return _lanes(_lanes, _lanes), codegen


@intrinsic
def one_over(typingctx, a):
    """Return 1 / a."""

    def codegen(context, builder, sig, args):
        return builder.fdiv(ir.Constant(_FLOATS, [1.0] * LANES), args[0])

    return _lanes(_lanes), codegen


@intrinsic
def where_negative(typingctx, z, a, b):
    """Return a in the lanes whose z has its sign bit set, b in the others."""

    def codegen(context, builder, sig, args):
        z, a, b = args
        negative = builder.icmp_signed("<", builder.bitcast(z, _INTS), ir.Constant(_INTS, [0] * LANES))
        return builder.select(negative, a, b)

    return _lanes(_lanes, _lanes, _lanes), codegen


@intrinsic
def times_power_of_two(typingctx, a, shifted):
    """Return a 2^n, where `shifted` is n + 1.5 x 2^23, whose lowest bits are the whole number n."""

    def codegen(context, builder, sig, args):
        a, n = (builder.bitcast(arg, _INTS) for arg in args)
        exponent = builder.shl(n, ir.Constant(_INTS, [_MANTISSA_BITS] * LANES))
        return builder.bitcast(builder.add(a, exponent), _FLOATS)

    return _lanes(_lanes, _lanes), codegen


@intrinsic
def convolve_tile(typingctx, x, at, stride, step, channels, weights, first, out, to):
    """Convolve TILE_PX pixels of a row with three taps, for TILE_OUTPUTS outputs, all sums in registers.

    out[to + o TILE_PX + p] is the sum of weights[first + (3 i + k) TILE_OUTPUTS + o] times
    x[at + i stride + (k - 1) step + p] over the input channels i and the taps k. Arrays are flat float32; no
    bound is checked.
    """

    def codegen(context, builder, sig, args):
        x, at, stride, step, channels, weights, first, out, to = args

        def number(value):
            return ir.Constant(at.type, value)

        pixel = cgutils.alloca_once_value(builder, _address(context, builder, sig.args[0], x, at))
        weight = cgutils.alloca_once_value(builder, _address(context, builder, sig.args[5], weights, first))
        zero, tile = ir.Constant(_FLOATS, [0.0] * LANES), range(TILE_VECTORS)
        sums = [[cgutils.alloca_once_value(builder, zero) for _ in tile] for _ in range(TILE_OUTPUTS)]
        with cgutils.for_range(builder, channels):
            row, factor = builder.load(pixel), builder.load(weight)
            for k in range(3):
                tap = builder.gep(row, [builder.mul(step, number(k - 1))])
                seen = [_read(builder, builder.gep(tap, [number(v * LANES)])) for v in tile]
                for o in range(TILE_OUTPUTS):
                    by = builder.load(builder.gep(factor, [number(k * TILE_OUTPUTS + o)]))
                    by = _repeated(builder, by)
                    for v in tile:
                        total = _multiply_add(builder, by, seen[v], builder.load(sums[o][v]))
                        builder.store(total, sums[o][v])
            builder.store(builder.gep(row, [stride]), pixel)
            builder.store(builder.gep(factor, [number(3 * TILE_OUTPUTS)]), weight)
        target = _address(context, builder, sig.args[7], out, to)
        for o in range(TILE_OUTPUTS):
            for v in tile:
                place = builder.gep(target, [number((o * TILE_VECTORS + v) * LANES)])
                _write(builder, builder.load(sums[o][v]), place)
        return context.get_dummy_value()

    size = types.intp
    return types.none(x, size, size, size, size, weights, size, out, size), codegen
