"""The product y += x M, with M packed once into panels that the vector registers take whole.

A panel is WIDTH columns of M, row after row: (K, WIDTH), the last one filled up with zeros. `tile`
holds a block of y in registers over some depth, one fused multiply-add a cycle and vector unit;
everything above it is loops over tiles. Sizes follow the processor: two vectors to a panel's row,
and as many rows as leave registers for the operands: 6 with 16 of these. With 32 registers, 6 rows
meet two panels at once: 10 loads for 24 multiply-adds, where 8 rows and one panel take 10 for 16.
"""

import ctypes
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from nnspec.accel.arrays import Array
from nnspec.accel.emit import Vectors, loop, view
from nnspec.accel.host import ARM, FIRST_CACHE, VECTOR
from nnspec.accel.jit import config, inlined, lean_helper, lean_view
from nnspec.accel.parts import AT_ONCE, DEEP, FEW, NARROW, add_parts

# whether there are 32 registers, so that a tile may take two panels; AVX2 and SSE have 16
PAIRS = VECTOR == 64 or ARM
# rows that threads share come in multiples of these, and the most rows of a tile of one panel
ROWS, MOST = (8, 8) if PAIRS else (4, 6)
PANEL = 2 * VECTOR
# rows of x that stay near while the panels go by: with 16 registers each is read twice as often
ROW_BLOCK = 96 if PAIRS else 24
# terms that a sum in registers takes before it goes to y: longer ones are less exact
CHUNK = 128
# rows of a panel that stay in the first-level cache while the rows of x go by, two panels beside
# x; where that is too small for them, or few rows go by, they come from the second in any case
DEPTH_BLOCK = CHUNK if PAIRS and 3 * CHUNK * PANEL <= FIRST_CACHE else 4 * CHUNK
# rows of a panel in one round of a tile's loop
STEPS = 4
# bytes of the largest room that a thread keeps
KEPT = 4 << 20

_rooms = threading.local()


def width(dtype: Any) -> int:
    """The columns of a panel."""
    return PANEL // int(np.dtype(dtype).itemsize)


def aligned(shape: tuple[int, ...], dtype: Any, *, zeros: bool = True) -> Array:
    """Room that begins at a vector's boundary: a load across two cache lines costs two."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = (np.zeros if zeros else np.empty)(size + VECTOR, np.uint8)
    # `raw.ctypes` takes 5 µs to say where it begins
    start = -ctypes.addressof(ctypes.c_char.from_buffer(raw)) % VECTOR  # type: ignore[arg-type]
    return np.ndarray(shape, dtype, raw, start)


def rooms_for(purpose: str, dtype: Any, shapes: tuple[tuple[int, ...], ...]) -> tuple[Array, ...]:
    """Rooms of any contents; small ones their thread keeps until it next has that purpose.

    To make them, page by page, takes longer than to use them.
    """
    kept: Any = getattr(_rooms, purpose, None)
    if kept is not None and kept[0] == (dtype, shapes):
        found: tuple[Array, ...] = kept[1]
        return found
    rooms = tuple([aligned(shape, dtype, zeros=False) for shape in shapes])
    if all(room.nbytes <= KEPT for room in rooms):
        setattr(_rooms, purpose, ((dtype, shapes), rooms))
    return rooms


def room_for(purpose: str, shape: tuple[int, ...], dtype: Any) -> Array:
    """One of `rooms_for`."""
    return rooms_for(purpose, dtype, (shape,))[0]


@lean_view
def panels_in(room: Array, count: int, depth: int, w: int) -> Array:
    """So many panels of so many rows, in the room's beginning."""
    return room[: count * depth * w].reshape(count, depth, w)


def apart(builder: Any, value: Any) -> Any:
    """The address or index, as one that LLVM knows nothing of.

    Else it computes each row's from the one before in every step: a fourth more instructions, and
    a processor that two programs share is as slow as these are many.
    """
    kind = ir.FunctionType(value.type, [value.type])
    return builder.call(ir.InlineAsm(kind, "", "=r,0"), [value])


def _ahead(builder: Any, address: Any, level: int) -> None:
    """Begin to bring what is there into the cache of this level: 1 or 2."""
    byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    for_reading, for_data, near = flag(0), flag(1), flag(4 - level)
    builder.call(prefetch, [builder.bitcast(address, byte), for_reading, near, for_data])


def _tile(rows: int, chains: int, panels: int) -> Any:
    """The product of `rows` rows and `panels` panels side by side, as an intrinsic.

    `chains` sums over every so many-th row of M run side by side, so that few rows keep the
    multiply-add units as busy as many; so do more panels, which share the elements of x as well.
    """
    # a short loop of few rows is over before the instructions of its end have paid
    many = rows >= 4
    steps = max(chains, STEPS) if many else chains
    hide = apart if many else lambda builder, value: value

    def tile(
        typingctx: Any,
        x: Any,  # the array that has the rows, …
        x_row: Any,  # … the element stride from row to row, …
        x_column: Any,  # … and along a row
        x_start: Any,
        M: Any,  # the array that has the panel, …
        M_start: Any,  # … from this element on, …
        M_panel: Any,  # … and the element stride to the next panel
        depth: Any,
        M_next: Any,  # elements from M_start to those of M that a later tile will want
        s: Any,  # what the product is added to
        s_start: Any,
        s_row: Any,
        y: Any,  # where the sum goes
        y_start: Any,
        y_row: Any,
    ) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x_array, x_row, x_column, x_start, M_array, M_start, M_panel, depth, M_next = args[:9]
            s_array, s_start, s_row, y_array, y_start, y_row = args[9:]
            v, n = Vectors(context, builder, x.dtype), depth.type
            w, vectors = 2 * v.lanes, 2 * panels
            x_data = v.data(signature.args[0], x_array, x_start)
            M_data = v.data(signature.args[4], M_array, M_start)
            s_data = v.data(signature.args[9], s_array, s_start)
            y_data = v.data(signature.args[12], y_array, y_start)
            lines = [
                hide(builder, builder.gep(x_data, [builder.mul(x_row, n(row))]))
                for row in range(rows)
            ]
            places = [
                [
                    v.at(data, builder.add(builder.mul(stride, n(row)), n(number * v.lanes)))
                    for data, stride in ((s_data, s_row), (y_data, y_row))
                ]
                for row in range(rows)
                for number in range(vectors)
            ]
            if many:
                for _, place in places:
                    _ahead(builder, place, 1)
            panel_starts = [builder.mul(M_panel, n(panel)) for panel in range(panels)]

            def several(stride: int) -> Callable[..., list[Any]]:
                def body(k: Any, held: list[Any]) -> list[Any]:
                    column, *sums = held
                    if many and panels == 2 and stride == STEPS:
                        after = builder.add(M_next, builder.mul(k, n(w // STEPS)))
                        for line in (0, v.lanes):
                            far = builder.add(after, n(line))
                            _ahead(builder, builder.gep(M_data, [far]), 2)
                    for step in range(stride):
                        in_panel = builder.mul(builder.add(k, n(step)), n(w))
                        right = []
                        for start in panel_starts:
                            right += v.pair(M_data, builder.add(start, in_panel))
                        for row, line in enumerate(lines):
                            left = v.splat(builder.load(builder.gep(line, [column])))
                            for number in range(vectors):
                                j = (step % chains * rows + row) * vectors + number
                                sums[j] = v.fma(left, right[number], sums[j])
                        column = hide(builder, builder.add(column, x_column))
                    return [column, *sums]

                return body

            def chunk(begin: Any, held: list[Any]) -> list[Any]:
                end = depth
                if many:
                    end = builder.add(begin, n(CHUNK))
                    end = builder.select(builder.icmp_signed("<", end, depth), end, depth)
                whole = builder.sdiv(builder.sub(end, begin), n(steps))
                whole = builder.add(begin, builder.mul(whole, n(steps)))
                nothing = [v.constant(0.0)] * (vectors * rows * chains)
                k, held = loop(builder, begin, whole, steps, held + nothing, several(steps))
                if steps > 1:
                    _, held = loop(builder, k, end, 1, held, several(1))
                column, *sums = held
                first = builder.icmp_signed("==", begin, n(0))
                for j, (start, place) in enumerate(places):
                    total = sums[j]
                    for chain in range(1, chains):
                        total = builder.fadd(total, sums[vectors * rows * chain + j])
                    before = v.load(builder.select(first, start, place))
                    # added last: it may be larger than all of the terms
                    builder.store(builder.fadd(before, total), place).align = v.size
                return [column]

            if many:
                loop(builder, n(0), depth, CHUNK, [n(0)], chunk)
            else:
                chunk(n(0), [n(0)])
            return context.get_dummy_value()

        n = types.intp
        return types.void(x, n, n, n, M, n, n, n, n, s, n, n, y, n, n), emit

    return intrinsic(tile)


def _mover(elements: Callable[[int], int]) -> Any:
    """y[…] = x[…] as an intrinsic, of as many elements as this says for their size in bytes."""

    def move(typingctx: Any, x: Any, x_start: Any, y: Any, y_start: Any) -> Any:
        size = x.dtype.bitwidth // 8

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x_array, x_start, y_array, y_start = args
            vector = ir.VectorType(context.get_data_type(x.dtype), elements(size)).as_pointer()
            x_data = context.make_array(signature.args[0])(context, builder, x_array).data
            y_data = context.make_array(signature.args[2])(context, builder, y_array).data
            value = builder.load(builder.bitcast(builder.gep(x_data, [x_start]), vector))
            value.align = size
            target = builder.bitcast(builder.gep(y_data, [y_start]), vector)
            builder.store(value, target).align = size
            return context.get_dummy_value()

        return types.void(x, types.intp, y, types.intp), emit

    def interpreted(x: Array, x_start: int, y: Array, y_start: int) -> None:
        shape = (1, elements(x.itemsize))
        view(y, y_start, shape, (1, 1))[...] = view(x, x_start, shape, (1, 1))

    return interpreted if config.DISABLE_JIT else intrinsic(move)


def _interpreted(rows: int, panels: int) -> Any:
    """`_tile` for an interpreter without compiled kernels."""

    def tile(
        x: Array,
        x_row: int,
        x_column: int,
        x_start: int,
        M: Array,
        M_start: int,
        M_panel: int,
        depth: int,
        M_next: int,
        s: Array,
        s_start: int,
        s_row: int,
        y: Array,
        y_start: int,
        y_row: int,
    ) -> None:
        w = width(x.dtype)
        left = view(x, x_start, (rows, depth), (x_row, x_column))
        for panel in range(panels):
            right = view(M, M_start + panel * M_panel, (depth, w), (w, 1))
            start = view(s, s_start + panel * w, (rows, w), (s_row, 1))
            view(y, y_start + panel * w, (rows, w), (y_row, 1))[...] = start + left @ right

    return tile


_move_panel_row = _mover(lambda size: PANEL // size)


def _make(rows: int, chains: int, panels: int = 1) -> Any:
    return _interpreted(rows, panels) if config.DISABLE_JIT else _tile(rows, chains, panels)


_tile_most, _tile_4 = _make(MOST, 1), _make(4, 2 if PAIRS else 1)
_tile_2, _tile_1 = _make(2, 4 if PAIRS else 2), _make(1, 4)
# of many rows, two panels at once: each element of x is then loaded for twice as many products
_pair_6, _pair_4 = _make(6, 1, 2), _make(4, 1, 2)
# panels that a product which goes backwards takes forwards
TURN = 8
# panels that one row meets at once where all of them, of so many bytes, are near; from further
# off a single stream comes faster
ABREAST, NEAR = 4, 1 << 15
_tile_abreast = _make(1, 1, ABREAST)


@lean_helper
def pack_part(M: Array, top: int, left: int, right: int, packed: Array) -> None:
    """Columns left … right-1 of M's rows from `top` on into panels; M has contiguous rows."""
    K, w = packed.shape[1:]
    M_row, row = M.strides[0] // M.itemsize, packed.strides[1] // packed.itemsize
    for start in range(0, K, 32):  # few rows at once: whole panels would jump from page to page
        end = min(start + 32, K)
        for p in range(packed.shape[0]):
            panel = packed[p]
            first = left + p * w
            if first + w <= right:
                for k in range(start, end):
                    _move_panel_row(M, (top + k) * M_row + first, panel, k * row)
            else:
                for k in range(start, end):
                    for j in range(w):
                        panel[k, j] = M[top + k, first + j] if first + j < right else 0


@lean_helper
def pack(M: Array, packed: Array) -> None:
    """M (K, N) into panels (panels, K, WIDTH), whose columns beyond N become zeros."""
    pack_part(M, 0, 0, M.shape[1], packed)


def _transpose_block(
    typingctx: Any, M: Any, row: Any, place: Any, y: Any, y_row: Any, at: Any
) -> Any:
    """A square of LANES² elements: element strides from row to row, first elements."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        M_array, row, place, y_array, y_row, at = args
        v = Vectors(context, builder, M.dtype)
        base = v.data(signature.args[0], M_array, place)
        into = v.data(signature.args[3], y_array, at)
        for number, line in enumerate(v.turned(base, row)):
            v.put(line, into, builder.mul(y_row, y_row.type(number)))
        return context.get_dummy_value()

    n = types.intp
    return types.void(M, n, n, y, n, n), emit


def _interpreted_block(M: Array, row: int, place: int, y: Array, y_row: int, at: int) -> None:
    """`_transpose_block` for an interpreter without compiled kernels."""
    square = (width(M.dtype) // 2,) * 2
    view(y, at, square, (y_row, 1))[...] = view(M, place, square, (row, 1)).T


_block: Any = _interpreted_block if config.DISABLE_JIT else intrinsic(_transpose_block)


@lean_helper
def transpose(M: Array, y: Array) -> None:
    """y = Mᵀ, M (N, K), y (K, N), both with contiguous rows."""
    N, K = M.shape
    lanes = VECTOR // M.itemsize
    row, y_row = M.strides[0] // M.itemsize, y.strides[0] // y.itemsize
    whole, deep = N - N % lanes, K - K % lanes
    for k in range(0, deep, lanes):
        for j in range(0, whole, lanes):
            _block(M, row, j * row + k, y, y_row, k * y_row + j)
    for j in range(N):
        line = M[j]
        for k in range(deep if j < whole else 0, K):
            y[k, j] = line[k]


@lean_helper
def pack_transposed(M: Array, packed: Array) -> None:
    """Mᵀ into panels, M (N, K): as `pack` of the transposed matrix."""
    N = M.shape[0]
    w = packed.shape[2]
    for p in range(packed.shape[0]):
        here = min(w, N - p * w)
        transpose(M[p * w : p * w + here], packed[p])
        if here < w:
            packed[p, :, here:] = 0


@lean_helper
def fill(y: Array, x: Array) -> None:
    """y = x."""
    for k in range(y.size):
        y[k] = x[k]


@inlined
def multiply_by_turns(
    x: Array, packed: Array, y: Array, first: int, last: int, backwards: bool
) -> None:
    """`multiply`, the panels from the last to the first where it goes backwards.

    Of a matrix larger than a cache, the product that goes the other way than the one before meets
    what that has left there: half of the time at some sizes.
    """
    if x.shape[0] == 1:
        _add_row(y, x, packed, y, first, last, backwards)
    elif backwards:
        while first < last:
            start = max(first, last - TURN)
            multiply(x, packed, y, start, last)
            last = start
    else:
        multiply(x, packed, y, first, last)


@lean_helper
def multiply(x: Array, packed: Array, y: Array, first: int, last: int) -> None:
    """y += x M for the panels first … last-1: x (B, K), packed (panels, K, WIDTH).

    y has B rows of at least last WIDTH columns, contiguous; x may have any strides, and the panels
    may be rows of deeper ones, or have their parts behind the K rows (see `parts`). All of y up to
    that column is written, the filled-up columns of the last panel too.
    """
    add_to(y, y.strides[0] // y.itemsize, x, packed, y, first, last)


@lean_helper
def add_to(s: Array, s_row: int, x: Array, packed: Array, y: Array, first: int, last: int) -> None:
    """y = s + x M, as `multiply`; s_row is the element stride of s from row to row, 0 for one row.

    K is at least 1.
    """
    B, K = x.shape
    x_column, y_row = x.strides[1] // x.itemsize, y.strides[0] // y.itemsize
    if B == 1:
        _add_row(s, x, packed, y, first, last, False)
        return
    row_block, depth_block = ROW_BLOCK, DEPTH_BLOCK if B > ROWS else max(K, 1)
    by_parts = packed.shape[1] > K and B >= FEW and last - first >= NARROW and x_column == 1
    if by_parts:
        row_block, depth_block = -(-B // -(-B // AT_ONCE)), DEEP
    for row in range(0, B, row_block):
        row_end = min(B, row + row_block)
        for deep in range(0, K if first < last else 0, depth_block):
            part = deep, min(depth_block, K - deep), packed, y, first, last, row, row_end
            if deep == 0:
                if not (by_parts and add_parts(s, s_row, x, *part)):
                    _add_block(s, s_row, x, *part)
            elif not (by_parts and add_parts(y, y_row, x, *part)):
                _add_block(y, y_row, x, *part)


@inlined
def _add_row(
    s: Array, x: Array, packed: Array, y: Array, first: int, last: int, backwards: bool
) -> None:
    """y = s + x M of one row."""
    K, w, panel = x.shape[1], packed.shape[2], packed.strides[0] // packed.itemsize
    x_column = x.strides[1] // x.itemsize
    if (last - first) * K * PANEL <= NEAR:
        while first + ABREAST <= last:
            _tile_abreast(
                x, 0, x_column, 0, packed, first * panel, panel, K, 0,
                s, first * w, 0, y, first * w, 0,
            )  # fmt: skip
            first += ABREAST
    for n in range(first, last):
        p = first + last - 1 - n if backwards else n
        _tile_1(x, 0, x_column, 0, packed, p * panel, 0, K, 0, s, p * w, 0, y, p * w, 0)


@lean_helper
def _add_block(
    s: Array,
    s_row: int,
    x: Array,
    deep: int,
    depth: int,
    packed: Array,
    y: Array,
    first: int,
    last: int,
    row: int,
    row_end: int,
) -> None:
    """y = s + x M of some rows, over `depth` of the columns of x from `deep` on."""
    w, panel = packed.shape[2], packed.strides[0] // packed.itemsize
    x_row, x_column = x.strides[0] // x.itemsize, x.strides[1] // x.itemsize
    y_row = y.strides[0] // y.itemsize
    from_k = deep * x_column
    done, done_panel = row, first
    pairs = PAIRS and last - first >= 2
    if pairs and (row_end - row > 8 or row_end - row in (4, 6, 7)):
        done_panel = last - (last - first) % 2
        part = deep, depth, first, done_panel, row, row_end
        done = _add_pairs(s, s_row, x, packed, y, *part)
    for p in range(first if done < row_end else done_panel, last):
        M_start = p * panel + deep * w
        i = done if p < done_panel else row
        while i + 4 <= row_end and rows_of_tile(row_end - i) == MOST:
            _tile_most(
                x, x_row, x_column, i * x_row + from_k, packed, M_start, 0, depth, 0,
                s, i * s_row + p * w, s_row, y, i * y_row + p * w, y_row,
            )  # fmt: skip
            i += MOST
        while i + 4 <= row_end:
            _tile_4(
                x, x_row, x_column, i * x_row + from_k, packed, M_start, 0, depth, 0,
                s, i * s_row + p * w, s_row, y, i * y_row + p * w, y_row,
            )  # fmt: skip
            i += 4
        while i + 2 <= row_end:
            _tile_2(
                x, x_row, x_column, i * x_row + from_k, packed, M_start, 0, depth, 0,
                s, i * s_row + p * w, s_row, y, i * y_row + p * w, y_row,
            )  # fmt: skip
            i += 2
        if i < row_end:
            _tile_1(
                x, x_row, x_column, i * x_row + from_k, packed, M_start, 0, depth, 0,
                s, i * s_row + p * w, s_row, y, i * y_row + p * w, y_row,
            )  # fmt: skip


@lean_helper
def rows_of_pair(left: int) -> int:
    """How many of 4 rows or more the next tile of two panels takes: of 8 and 9, twice 4."""
    return 6 if left >= 10 or 6 <= left <= 7 else 4


@lean_helper
def rows_of_tile(left: int) -> int:
    """The same of one panel."""
    if MOST == 6:
        return rows_of_pair(left)
    return MOST if left >= MOST else 4


@lean_helper
def _add_pairs(
    s: Array,
    s_row: int,
    x: Array,
    packed: Array,
    y: Array,
    deep: int,
    depth: int,
    first: int,
    last: int,
    row: int,
    row_end: int,
) -> int:
    """The same of an even number of panels, but for up to 3 rows; the first row that is left."""
    K, w = x.shape[1], packed.shape[2]
    panel = packed.strides[0] // packed.itemsize
    x_row, x_column = x.strides[0] // x.itemsize, x.strides[1] // x.itemsize
    y_row = y.strides[0] // y.itemsize
    i, from_k = row, deep * x_column
    for p in range(first, last, 2):
        M_start = p * panel + deep * w
        i, tiles = row, 0
        # the pair that comes then: each of the first 8 tiles has a fourth of a panel brought
        if p + 2 < last:
            next_pair = 2 * panel
        else:
            next_pair = (first - p) * panel + depth * w if deep + depth < K else 0
        while i + 4 <= row_end:
            M_next = 0
            if tiles < 8 and next_pair:
                M_next = next_pair + tiles // 4 * panel + tiles % 4 * (depth // 4) * w
            tiles += 1
            if rows_of_pair(row_end - i) == 6:
                _pair_6(
                    x, x_row, x_column, i * x_row + from_k, packed, M_start, panel, depth, M_next,
                    s, i * s_row + p * w, s_row, y, i * y_row + p * w, y_row,
                )  # fmt: skip
                i += 6
            else:
                _pair_4(
                    x, x_row, x_column, i * x_row + from_k, packed, M_start, panel, depth, M_next,
                    s, i * s_row + p * w, s_row, y, i * y_row + p * w, y_row,
                )  # fmt: skip
                i += 4
    return i
