"""What `packed`, `panels` and `parts` emit alike, in LLVM's terms: loops, and vectors in memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from nnspec.accel.arrays import Array
from nnspec.accel.host import VECTOR
from nnspec.accel.vectors import spread


def loop(
    builder: Any,
    start: Any,
    stop: Any,
    step: int,
    held: list[Any],
    body: Callable[[Any, list[Any]], list[Any]],
) -> tuple[Any, list[Any]]:
    """held = body(i, held) for i from start in steps as long as i < stop; the last i, held."""
    before = builder.block
    head, inside, done = (builder.append_basic_block(name) for name in ("head", "body", "done"))
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(start.type)
    i.add_incoming(start, before)
    phis = []
    for value in held:
        phi = builder.phi(value.type)
        phi.add_incoming(value, before)
        phis.append(phi)
    builder.cbranch(builder.icmp_signed("<", i, stop), inside, done)
    builder.position_at_end(inside)
    new = body(i, phis)
    i.add_incoming(builder.add(i, start.type(step)), builder.block)
    for phi, value in zip(phis, new, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(done)
    return i, phis


class Vectors:
    """Vectors of one dtype, as LLVM's builder makes them."""

    def __init__(self, context: Any, builder: Any, dtype: Any) -> None:
        self.context, self.builder = context, builder
        self.size = dtype.bitwidth // 8
        self.lanes = VECTOR // self.size
        self.element = context.get_data_type(dtype)
        self.kind = ir.VectorType(self.element, self.lanes)
        self.integers = ir.VectorType(ir.IntType(8 * self.size), self.lanes)

    def constant(self, value: float) -> Any:
        """The number in every lane."""
        return ir.Constant(self.kind, [ir.Constant(self.element, float(value))] * self.lanes)

    def integer(self, value: int) -> Any:
        """The integer in every lane."""
        return ir.Constant(self.integers, [value] * self.lanes)

    def splat(self, value: Any) -> Any:
        """A computed number in every lane."""
        return spread(self.builder, value, self.lanes)

    def fma(self, a: Any, b: Any, c: Any, *, once: bool = False) -> Any:
        """a b + c, in one instruction where there is one; else rounded twice, unless `once`.

        To round once without it takes some fifty times as long.
        """
        name = f"llvm.{'fma' if once else 'fmuladd'}.v{self.lanes}f{8 * self.size}"
        kind = ir.FunctionType(self.kind, [self.kind] * 3)
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, [a, b, c])

    def larger(self, a: Any, b: Any) -> Any:
        """a where it is larger, else b, so also where one is NaN."""
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def data(self, kind: Any, array: Any, start: Any) -> Any:
        """The address of an array's element."""
        data = self.context.make_array(kind)(self.context, self.builder, array).data
        return self.builder.gep(data, [start])

    def at(self, base: Any, index: Any) -> Any:
        """The address of the vector that begins at an element."""
        return self.builder.bitcast(self.builder.gep(base, [index]), self.kind.as_pointer())

    def load(self, place: Any) -> Any:
        """The vector at an address."""
        value = self.builder.load(place)
        value.align = self.size
        return value

    def row(self, base: Any, start: Any, count: int) -> list[Any]:
        """So many vectors of a row."""
        indices = [self.builder.add(start, start.type(k * self.lanes)) for k in range(count)]
        return [self.load(self.at(base, index)) for index in indices]

    def pair(self, base: Any, start: Any) -> list[Any]:
        """The two vectors of a panel's row."""
        return self.row(base, start, 2)

    def put(self, value: Any, base: Any, start: Any) -> None:
        """Store a vector."""
        self.builder.store(value, self.at(base, start)).align = self.size

    def put_row(self, values: list[Any], base: Any, start: Any) -> None:
        """Store the vectors of a row."""
        for number, value in enumerate(values):
            self.put(value, base, self.builder.add(start, start.type(number * self.lanes)))

    def turned(self, base: Any, row: Any) -> list[Any]:
        """The columns of a square at `base`, a vector each, whose rows are `row` elements apart."""
        builder, half = self.builder, self.lanes // 2
        kind, place = ir.VectorType(self.element, half), base
        parts = []
        for _ in range(self.lanes):
            ends = [builder.gep(place, [row.type(k)]) for k in (0, half)]
            parts.append([builder.load(builder.bitcast(end, kind.as_pointer())) for end in ends])
            for part in parts[-1]:
                part.align = self.size
            place = builder.gep(place, [row])

        def chosen(a: Any, b: Any, lanes: list[int]) -> Any:
            mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
            return builder.shuffle_vector(a, b, mask)

        # the quarters change places as they are read, smaller squares beside the diagonal in
        # vectors
        everything = list(range(self.lanes))
        lines = [
            chosen(parts[k][side], parts[k + half][side], everything)
            for side in (0, 1)
            for k in range(half)
        ]
        step = half // 2
        while step:
            low = [k if not k & step else self.lanes + k - step for k in everything]
            high = [k + step if not k & step else self.lanes + k for k in everything]
            for k in everything:
                if not k & step:
                    a, b = lines[k], lines[k + step]
                    lines[k], lines[k + step] = chosen(a, b, low), chosen(a, b, high)
            step //= 2
        return lines


def view(x: Array, start: int, shape: tuple[int, int], strides: tuple[int, int]) -> Array:
    """The elements from `start` on, of which only those of the shape are touched.

    For an interpreter without compiled kernels.
    """
    first = np.lib.stride_tricks.as_strided(x, (start + 1,), (x.itemsize,))[start:]
    return np.lib.stride_tricks.as_strided(first, shape, [x.itemsize * step for step in strides])
