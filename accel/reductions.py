"""Sums, scalar products and maxima of rows, in vectors: LLVM keeps to the written order otherwise.

Four vectors of partial results go side by side, so that an error grows with a 64th (float32) of the
length, and the units are kept busy.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from nnspec.accel.arrays import Array
from nnspec.accel.host import VECTOR
from nnspec.accel.jit import config
from nnspec.accel.vectors import spread

CHAINS = 4


def _reduction(kind: str, arrays: int, *, shifted: bool = False) -> Any:
    """An intrinsic for one or two contiguous rows of one size, from which a number is taken."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        dtype = signature.return_type
        size = dtype.bitwidth // 8
        lanes = VECTOR // size
        integer = ir.IntType(64)
        element = context.get_data_type(dtype)
        vector = ir.VectorType(element, lanes)
        rows = [
            context.make_array(signature.args[i])(context, builder, args[i]) for i in range(arrays)
        ]
        data = [row.data for row in rows]
        length = builder.extract_value(rows[0].shape, 0)
        first = ir.Constant(element, float("-inf") if kind == "largest" else 0.0)

        shift = {vector: spread(builder, args[-1], lanes), element: args[-1]} if shifted else {}

        def fma(kind_of: Any) -> Any:
            name = f"llvm.fmuladd.{f'v{lanes}' if kind_of is vector else ''}f{8 * size}"
            function = ir.FunctionType(kind_of, [kind_of] * 3)
            return cgutils.get_or_insert_function(builder.module, function, name)

        def step(held: Any, values: list[Any], kind_of: Any) -> Any:
            if shifted:
                values = [builder.fsub(values[0], shift[kind_of])]
            if kind == "squares":
                values = values * 2
            if len(values) == 2:
                return builder.call(fma(kind_of), [*values, held])
            return join(held, values[0])

        def join(one: Any, two: Any) -> Any:
            if kind == "largest":  # a NaN is not larger than another
                return builder.select(builder.fcmp_ordered(">", two, one), two, one)
            return builder.fadd(one, two)

        def load(index: Any, chain: int) -> list[Any]:
            values = []
            for base in data:
                place = builder.gep(base, [builder.add(index, integer(chain * lanes))])
                value = builder.load(builder.bitcast(place, vector.as_pointer()))
                value.align = size
                values.append(value)
            return values

        def loop(start: Any, stop: Any, stride: int, held: list[Any], kind_of: Any) -> Any:
            before = builder.block
            head = builder.append_basic_block("head")
            body = builder.append_basic_block("body")
            done = builder.append_basic_block("done")
            builder.branch(head)
            builder.position_at_end(head)
            k = builder.phi(integer)
            k.add_incoming(start, before)
            phis = []
            for value in held:
                phi = builder.phi(kind_of)
                phi.add_incoming(value, before)
                phis.append(phi)
            builder.cbranch(builder.icmp_signed("<", k, stop), body, done)
            builder.position_at_end(body)
            if kind_of is vector:
                new = [step(phi, load(k, c), vector) for c, phi in enumerate(phis)]
            else:
                values = [builder.load(builder.gep(base, [k])) for base in data]
                new = [step(phis[0], values, element)]
            k.add_incoming(builder.add(k, integer(stride)), builder.block)
            for phi, value in zip(phis, new, strict=True):
                phi.add_incoming(value, builder.block)
            builder.branch(head)
            builder.position_at_end(done)
            return k, phis

        start = ir.Constant(vector, [first] * lanes)
        many, single = CHAINS * lanes, lanes
        whole = builder.mul(builder.sdiv(length, integer(many)), integer(many))
        k, held = loop(integer(0), whole, many, [start] * CHAINS, vector)
        joined = join(join(held[0], held[1]), join(held[2], held[3]))
        whole = builder.mul(builder.sdiv(length, integer(single)), integer(single))
        k, (joined,) = loop(k, whole, single, [joined], vector)
        width = lanes
        while width > 1:  # halves upon each other
            width //= 2
            order = [(i + width) % lanes for i in range(lanes)]
            mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), order)
            joined = join(joined, builder.shuffle_vector(joined, joined, mask))
        total = builder.extract_element(joined, ir.IntType(32)(0))
        _, (total,) = loop(k, length, 1, [total], element)
        return total

    if shifted:

        def reduce_shifted(typingctx: Any, x: Any, shift: Any) -> Any:
            return x.dtype(x, x.dtype), emit

        return intrinsic(reduce_shifted)
    if arrays == 1:

        def reduce_row(typingctx: Any, x: Any) -> Any:
            return x.dtype(x), emit

        return intrinsic(reduce_row)

    def reduce_rows(typingctx: Any, x: Any, y: Any) -> Any:
        return x.dtype(x, y), emit

    return intrinsic(reduce_rows)


if config.DISABLE_JIT:

    def total(x: Array) -> Any:
        """Σ x."""
        return x.sum()

    def dot(x: Array, y: Array) -> Any:
        """x · y, of one size."""
        return x.dtype.type(x @ y)

    def total_less(x: Array, shift: Any) -> Any:
        """Σ (x - shift)."""
        return (x - shift).sum()

    def squares_less(x: Array, shift: Any) -> Any:
        """Σ (x - shift)²."""
        return np.square(x - shift).sum()

    def largest(x: Array) -> Any:
        """The largest x that is a number; -inf where there is none."""
        numbers = x[~np.isnan(x)]
        return numbers.max(initial=x.dtype.type(-np.inf))

else:
    total, dot, largest = _reduction("total", 1), _reduction("dot", 2), _reduction("largest", 1)
    total_less = _reduction("total", 1, shifted=True)
    squares_less = _reduction("squares", 1, shifted=True)
