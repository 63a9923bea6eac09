"""Vectors as values: kernels read a row a vector at a time, compute with it, and write it.

    for k in range(0, h.size, lanes(h)):
        put(h, k, take(o, k) * tanh(take(c, k)))

A vector has the operators of a float, and the functions of `vector_math` take it as they take one,
so a kernel reads like its equation. LLVM makes vectors of loops over floats too, but not of all:
which ones changes with the number of arrays, the length and the version, and a short row is left
to its slow remainder. Interpreted, a vector is a short NumPy array.
"""

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, imputils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, overload, register_model

from nnspec.accel.arrays import Array
from nnspec.accel.host import VECTOR
from nnspec.accel.jit import config

INT_32 = ir.IntType(32)


class Vector(types.Type):  # type: ignore[misc]
    """As many numbers of a dtype as a register holds."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.lanes = VECTOR * 8 // dtype.bitwidth
        super().__init__(name=f"Vector({dtype}, {self.lanes})")


class Mask(types.Type):  # type: ignore[misc]
    """What a comparison of vectors gives: a bit for each lane."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"Mask({lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, dmm: Any, kind: Vector) -> None:
        floating = ir.FloatType() if kind.dtype == types.float32 else ir.DoubleType()
        super().__init__(dmm, kind, ir.VectorType(floating, kind.lanes))


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, dmm: Any, kind: Mask) -> None:
        super().__init__(dmm, kind, ir.VectorType(ir.IntType(1), kind.lanes))


def scalar_of(kind: Any) -> Any:
    """The dtype of a vector or of a float."""
    return kind.dtype if isinstance(kind, Vector) else kind


def spread(builder: Any, value: Any, lanes: int) -> Any:
    """A vector whose lanes are all this LLVM value."""
    vector = ir.VectorType(value.type, lanes)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, INT_32(0))
    zeros = ir.Constant(ir.VectorType(INT_32, lanes), [0] * lanes)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


def _as_vector(context: Any, builder: Any, value: Any, kind: Any, wanted: Vector) -> Any:
    if isinstance(kind, Vector):
        return value
    return spread(builder, context.cast(builder, value, kind, wanted.dtype), wanted.lanes)


def _common(args: Any) -> Any:
    """The vector type of an operator's arguments, of which one may be a number; None if none."""
    kinds = [kind for kind in args if isinstance(kind, Vector)]
    rest = [kind for kind in args if not isinstance(kind, Vector)]
    if kinds and kinds[0] == kinds[-1] and all(isinstance(kind, types.Number) for kind in rest):
        return kinds[0]
    return None


def _binary(symbol: Any, instruction: str, *, compares: str = "") -> None:
    """An operator for two vectors, or a vector and a number."""

    class Operator(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            vector = _common(args)
            if vector is None or len(args) != 2:
                return None
            return signature(Mask(vector.lanes) if compares else vector, *args)

    infer_global(symbol)(Operator)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = _common(signature.args)
        left, right = (
            _as_vector(context, builder, value, kind, vector)
            for value, kind in zip(args, signature.args, strict=True)
        )
        if compares:
            return builder.fcmp_ordered(compares, left, right)
        # a product and the sum that follows may be one instruction, and nothing else
        return getattr(builder, instruction)(left, right, flags=("contract",))

    for kinds in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        imputils.lower_builtin(symbol, *kinds)(lower)


if not config.DISABLE_JIT:
    for _in_place_or_not in (operator.add, operator.iadd):
        _binary(_in_place_or_not, "fadd")
    for _in_place_or_not in (operator.mul, operator.imul):
        _binary(_in_place_or_not, "fmul")
    _binary(operator.sub, "fsub")
    _binary(operator.truediv, "fdiv")
    _binary(operator.lt, "", compares="<")
    _binary(operator.le, "", compares="<=")
    _binary(operator.gt, "", compares=">")
    _binary(operator.ge, "", compares=">=")
    _binary(operator.eq, "", compares="==")


def _call(builder: Any, name: str, *values: Any) -> Any:
    """LLVM's function of this name for the values' type."""
    kind = values[0].type
    element = kind.element if isinstance(kind, ir.VectorType) else kind
    bits = 32 if isinstance(element, ir.FloatType) else 64
    suffix = f"v{kind.count}f{bits}" if isinstance(kind, ir.VectorType) else f"f{bits}"
    function = ir.FunctionType(kind, [kind] * len(values))
    return builder.call(
        cgutils.get_or_insert_function(builder.module, function, f"llvm.{name}.{suffix}"), values
    )


def _unary(symbol: Any, instruction: Any) -> None:
    """An operator for a vector."""

    class Operator(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            fits = len(args) == 1 and isinstance(args[0], Vector)
            return signature(args[0], *args) if fits else None

    infer_global(symbol)(Operator)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return instruction(builder, args[0])

    imputils.lower_builtin(symbol, Vector)(lower)


if not config.DISABLE_JIT:
    _unary(operator.neg, lambda builder, x: builder.fneg(x))
    _unary(abs, lambda builder, x: _call(builder, "fabs", x))


def _signed(typingctx: Any, x: Any, sign: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, "copysign", *args)

    return x(x, x), emit


def _of_lanes(lanes: int) -> Vector:
    return Vector(types.float32 if VECTOR // lanes == 4 else types.float64)


def _select(typingctx: Any, condition: Any, one: Any, other: Any) -> Any:
    kind = _of_lanes(condition.lanes) if isinstance(condition, Mask) else one

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = [
            _as_vector(context, builder, value, given, kind)
            if isinstance(kind, Vector)
            else context.cast(builder, value, given, kind)
            for value, given in zip(args[1:], signature.args[1:], strict=True)
        ]
        return builder.select(args[0], *values)

    return kind(condition, one, other), emit


def _place(context: Any, builder: Any, kind: Any, array: Any, k: Any) -> tuple[Any, Any, Any]:
    """The vector's address in a row, its type, and how many of the row's numbers are left."""
    row = context.make_array(kind)(context, builder, array)
    vector = context.get_value_type(Vector(kind.dtype))
    address = builder.bitcast(builder.gep(row.data, [k]), vector.as_pointer())
    return address, vector, builder.sub(builder.extract_value(row.shape, 0), k)


def _remaining(builder: Any, left: Any, lanes: int) -> Any:
    """The mask of the lanes that are in the row."""
    numbers = ir.Constant(ir.VectorType(INT_32, lanes), list(range(lanes)))
    return builder.icmp_signed("<", numbers, spread(builder, builder.trunc(left, INT_32), lanes))


def _masked(builder: Any, name: str, vector: Any, result: Any, arguments: list[Any]) -> Any:
    bits = 32 if isinstance(vector.element, ir.FloatType) else 64
    function = ir.FunctionType(result, [value.type for value in arguments])
    full = f"llvm.masked.{name}.v{vector.count}f{bits}.p0"
    if not str(vector.as_pointer()).endswith("ptr"):
        full += f"v{vector.count}f{bits}"
    return builder.call(cgutils.get_or_insert_function(builder.module, function, full), arguments)


def _take(typingctx: Any, x: Any, k: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        address, vector, left = _place(context, builder, kind, *args)
        lanes, size = vector.count, kind.dtype.bitwidth // 8
        found = cgutils.alloca_once(builder, vector)
        with builder.if_else(builder.icmp_signed(">=", left, left.type(lanes)), likely=True) as (
            whole,
            part,
        ):
            with whole:
                value = builder.load(address)
                value.align = size
                builder.store(value, found)
            with part:
                mask, zero = _remaining(builder, left, lanes), ir.Constant(vector, None)
                arguments = [address, INT_32(size), mask, zero]
                builder.store(_masked(builder, "load", vector, vector, arguments), found)
        return builder.load(found)

    return Vector(x.dtype)(x, types.intp), emit


def _put(typingctx: Any, y: Any, k: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        address, vector, left = _place(context, builder, kind, *args[:2])
        lanes, size = vector.count, kind.dtype.bitwidth // 8
        with builder.if_else(builder.icmp_signed(">=", left, left.type(lanes)), likely=True) as (
            whole,
            part,
        ):
            with whole:
                builder.store(args[2], address).align = size
            with part:
                mask = _remaining(builder, left, lanes)
                arguments = [args[2], address, INT_32(size), mask]
                _masked(builder, "store", vector, ir.VoidType(), arguments)
        return context.get_dummy_value()

    return types.void(y, types.intp, value), emit


def _zero(typingctx: Any, x: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(context.get_value_type(signature.return_type), None)

    return Vector(x.dtype)(x), emit


def lanes(x: Array) -> int:
    """How many numbers of a row's dtype are a vector."""
    return VECTOR // x.itemsize


if config.DISABLE_JIT:

    def select(condition: Any, one: Any, other: Any) -> Any:
        """`one` where the condition holds, else `other`; both are computed."""
        chosen = np.where(condition, one, other)
        return chosen if chosen.ndim else chosen[()]

    def take(x: Array, k: int) -> Any:
        """The vector that begins at x[k]; beyond the row's end it is 0."""
        return x[k : k + VECTOR // x.itemsize].copy()

    def put(y: Array, k: int, value: Any) -> None:
        """Write the vector to the row from y[k] on, as far as the row goes."""
        y[k : k + VECTOR // y.itemsize] = value

    def zero_vector(x: Array) -> Any:
        """A vector of zeros of a row's dtype."""
        return x.dtype.type(0)

    signed = np.copysign

else:
    select, signed = intrinsic(_select), intrinsic(_signed)
    take, put, zero_vector = intrinsic(_take), intrinsic(_put), intrinsic(_zero)

    @overload(lanes)
    def _lanes(x):  # type: ignore[no-untyped-def]  # Numba compares both signatures, hints and all
        count = VECTOR * 8 // x.dtype.bitwidth
        return lambda x: count
