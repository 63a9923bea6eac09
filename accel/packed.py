"""The product y += x M, with M packed once into panels that the vector registers take whole.

A panel is WIDTH columns of M, row after row: (K, WIDTH), the last one filled up with zeros. `tile`
holds a block of y in registers over the whole of K, one fused multiply-add a cycle and vector unit;
everything above it is loops over tiles. Sizes follow the processor: two vectors to a panel's row,
and as many rows as leave registers for the operands.
"""

import math
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from nnspec.accel.arrays import Array
from nnspec.accel.jit import config, helper

_features = llvm.get_host_cpu_features()
# bytes of a vector, and rows of a tile: two accumulators a row, 32 registers, or 16 of AVX2 and SSE
if _features.get("avx512f"):
    VECTOR, ROWS = 64, 8
elif _features.get("avx2"):
    VECTOR, ROWS = 32, 4
elif _features.get("neon") or llvm.get_process_triple().startswith(("aarch64", "arm64")):
    VECTOR, ROWS = 16, 8
else:
    VECTOR, ROWS = 16, 4
PANEL = 2 * VECTOR
# rows of x and of M that stay in the second-level cache while the panels go by
ROW_BLOCK, DEPTH_BLOCK = 128, 1024


def width(dtype: Any) -> int:
    """The columns of a panel."""
    return PANEL // int(np.dtype(dtype).itemsize)


def aligned(shape: tuple[int, ...], dtype: Any) -> Array:
    """Zeros that begin at a vector's boundary: a load across two cache lines costs two."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.zeros(size + VECTOR, np.uint8)
    start = -raw.ctypes.data % VECTOR
    room: Array = raw[start : start + size].view(dtype).reshape(shape)
    return room


def _tile(rows: int, chains: int) -> Any:
    """The product of `rows` rows and one panel, as an intrinsic.

    `chains` sums over every so many-th row of M run side by side, so that few rows keep the
    multiply-add units as busy as many.
    """

    def tile(
        typingctx: Any,
        x: Any,  # the array that has the rows, …
        x_row: Any,  # … the element stride from row to row, …
        x_column: Any,  # … and along a row
        x_start: Any,
        M: Any,  # the array that has the panel, …
        M_start: Any,  # … from this element on
        depth: Any,
        y: Any,
        y_start: Any,
        y_row: Any,
    ) -> Any:
        dtype = x.dtype
        size = dtype.bitwidth // 8
        lanes = VECTOR // size
        integer = ir.IntType(64)

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x_array, x_row, x_column, x_start, M_array, M_start, depth, y_array, y_start, y_row = (
                args
            )
            element = context.get_data_type(dtype)
            vector = ir.VectorType(element, lanes)
            name = f"llvm.fma.v{lanes}f{8 * size}"
            function = ir.FunctionType(vector, [vector] * 3)
            fma = cgutils.get_or_insert_function(builder.module, function, name)
            lane_zero = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            zero = ir.Constant(vector, [ir.Constant(element, 0.0)] * lanes)

            def pointer(kind: Any, array: Any, start: Any) -> Any:
                return builder.gep(context.make_array(kind)(context, builder, array).data, [start])

            def at(base: Any, index: Any) -> Any:
                return builder.bitcast(builder.gep(base, [index]), vector.as_pointer())

            def load(place: Any) -> Any:
                value = builder.load(place)
                value.align = size
                return value

            def splat(value: Any) -> Any:
                undefined = ir.Constant(vector, ir.Undefined)
                first = builder.insert_element(undefined, value, ir.IntType(32)(0))
                return builder.shuffle_vector(first, undefined, lane_zero)

            x_data = pointer(signature.args[0], x_array, x_start)
            M_data = pointer(signature.args[4], M_array, M_start)
            y_data = pointer(signature.args[7], y_array, y_start)
            offsets = [builder.mul(x_row, integer(row)) for row in range(rows)]
            places = [
                at(y_data, builder.add(builder.mul(y_row, integer(row)), integer(v * lanes)))
                for row in range(rows)
                for v in range(2)
            ]
            sums = [load(place) for place in places] + [zero] * (2 * rows * (chains - 1))

            def loop(start: Any, stop: Any, stride: int, sums: list[Any]) -> tuple[Any, list[Any]]:
                before = builder.block
                head = builder.append_basic_block("head")
                body = builder.append_basic_block("body")
                done = builder.append_basic_block("done")
                builder.branch(head)
                builder.position_at_end(head)
                k = builder.phi(integer)
                k.add_incoming(start, before)
                held = []
                for value in sums:
                    phi = builder.phi(vector)
                    phi.add_incoming(value, before)
                    held.append(phi)
                builder.cbranch(builder.icmp_signed("<", k, stop), body, done)
                builder.position_at_end(body)
                new = list(held)
                for chain in range(stride):
                    here = builder.add(k, integer(chain))
                    row_of_M = builder.gep(M_data, [builder.mul(here, integer(2 * lanes))])
                    right = [load(at(row_of_M, integer(v * lanes))) for v in range(2)]
                    column = builder.mul(here, x_column)
                    for row in range(rows):
                        place = builder.gep(x_data, [builder.add(offsets[row], column)])
                        left = splat(builder.load(place))
                        for v in range(2):
                            j = (chain * rows + row) * 2 + v
                            new[j] = builder.call(fma, [left, right[v], new[j]])
                k.add_incoming(builder.add(k, integer(stride)), builder.block)
                for phi, value in zip(held, new, strict=True):
                    phi.add_incoming(value, builder.block)
                builder.branch(head)
                builder.position_at_end(done)
                return k, held

            whole = builder.mul(builder.sdiv(depth, integer(chains)), integer(chains))
            k, sums = loop(integer(0), whole, chains, sums)
            if chains > 1:
                k, sums = loop(k, depth, 1, sums)
            for j, place in enumerate(places):
                total = sums[j]
                for chain in range(1, chains):
                    total = builder.fadd(total, sums[2 * rows * chain + j])
                builder.store(total, place).align = size
            return context.get_dummy_value()

        n = types.intp
        return types.void(x, n, n, n, M, n, n, y, n, n), emit

    return intrinsic(tile)


def _interpreted(rows: int) -> Any:
    """`_tile` for an interpreter without compiled kernels."""

    def tile(
        x: Array,
        x_row: int,
        x_column: int,
        x_start: int,
        M: Array,
        M_start: int,
        depth: int,
        y: Array,
        y_start: int,
        y_row: int,
    ) -> None:
        def view(array: Array, start: int, shape: tuple[int, int], strides: list[int]) -> Array:
            # the elements from here on, of which only those of the shape are touched
            first = np.lib.stride_tricks.as_strided(array, (start + 1,), (array.itemsize,))[start:]
            steps = [stride * array.itemsize for stride in strides]
            return np.lib.stride_tricks.as_strided(first, shape, steps)

        w = width(x.dtype)
        left = view(x, x_start, (rows, depth), [x_row, x_column])
        right = view(M, M_start, (depth, w), [w, 1])
        view(y, y_start, (rows, w), [y_row, 1])[...] += left @ right

    return tile


_make = (lambda rows, chains: _interpreted(rows)) if config.DISABLE_JIT else _tile
_tile_8, _tile_4 = _make(8, 1), _make(4, 2 if ROWS == 8 else 1)
_tile_2, _tile_1 = _make(2, 4 if ROWS == 8 else 2), _make(1, 4)


@helper
def pack(M: Array, packed: Array) -> None:
    """M (K, N) into panels (panels, K, WIDTH), whose columns beyond N become zeros."""
    K, N = M.shape
    w = packed.shape[2]
    for p in range(packed.shape[0]):
        here = min(w, N - p * w)
        for k in range(K):
            for j in range(here):
                packed[p, k, j] = M[k, p * w + j]
            for j in range(here, w):
                packed[p, k, j] = 0


@helper
def pack_transposed(M: Array, packed: Array) -> None:
    """Mᵀ into panels, M (N, K): as `pack` of the transposed matrix."""
    N, K = M.shape
    w = packed.shape[2]
    for p in range(packed.shape[0]):
        here = min(w, N - p * w)
        for start in range(0, K, 16):  # by blocks that stay in the cache from both sides
            end = min(K, start + 16)
            panel = packed[p, start:end]
            for j in range(here):
                column = M[p * w + j, start:end]
                for k in range(column.size):
                    panel[k, j] = column[k]
            if here < w:
                panel[:, here:] = 0


@helper
def multiply(x: Array, packed: Array, y: Array, first: int, last: int) -> None:
    """y += x M for the panels first … last-1: x (B, K), packed (panels, K, WIDTH).

    y has B rows of at least last WIDTH columns, contiguous; x may have any strides. All of y up to
    that column is written, the filled-up columns of the last panel too.
    """
    B, K = x.shape
    w = packed.shape[2]
    x_row, x_column = x.strides[0] // x.itemsize, x.strides[1] // x.itemsize
    y_row = y.strides[0] // y.itemsize
    for deep in range(0, K, DEPTH_BLOCK):
        depth = min(DEPTH_BLOCK, K - deep)
        from_k = deep * x_column
        for block in range(0, B, ROW_BLOCK):
            end = min(B, block + ROW_BLOCK)
            for p in range(first, last):
                M_start = (p * K + deep) * w
                i = block
                if ROWS == 8:
                    while i + 8 <= end:
                        _tile_8(
                            x, x_row, x_column, i * x_row + from_k,
                            packed, M_start, depth, y, i * y_row + p * w, y_row,
                        )  # fmt: skip
                        i += 8
                while i + 4 <= end:
                    _tile_4(
                        x, x_row, x_column, i * x_row + from_k,
                        packed, M_start, depth, y, i * y_row + p * w, y_row,
                    )  # fmt: skip
                    i += 4
                while i + 2 <= end:
                    _tile_2(
                        x, x_row, x_column, i * x_row + from_k,
                        packed, M_start, depth, y, i * y_row + p * w, y_row,
                    )  # fmt: skip
                    i += 2
                if i < end:
                    _tile_1(
                        x, x_row, x_column, i * x_row + from_k,
                        packed, M_start, depth, y, i * y_row + p * w, y_row,
                    )  # fmt: skip
