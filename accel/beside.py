"""The product of one row, and beside it tiles of a larger one that nothing waits for yet.

One row's product takes a multiply-add for each vector of the matrix, and from the second-level
cache a vector comes every other cycle or less often: the multiply-add units stand still for half
of the time. A tile has its operands in registers and in the first-level cache and wants nothing but
these units, so both together take little longer than the longer one. A recurrent layer has both:
the step that is due, and the inputs' part of later steps.
"""

from typing import Any

from numba import types
from numba.extending import intrinsic

from nnspec.accel.arrays import Array
from nnspec.accel.emit import Vectors, loop, view
from nnspec.accel.host import FIRST_CACHE
from nnspec.accel.jit import config, lean_helper
from nnspec.accel.packed import (
    CHUNK,
    PAIRS,
    add_to,
    apart,
    fill,
    multiply_by_turns,
    width,
)

# rows of the tile, and rows of a panel that the one row meets in each step along its depth
TILE, AT_ONCE = 6, 8
# rows of the other product: a tile may find its panels in the cache, and few are left without one
BLOCK = 2 * TILE


@lean_helper
def pays(rows: int, nbytes: int) -> bool:
    """Whether it is worth while beside so many rows' product with a matrix of so many bytes.

    One in the first-level cache keeps the units busy by itself. And with 16 registers there is no
    tile of two panels.
    """
    return PAIRS and rows == 1 and nbytes >= 2 * FIRST_CACHE


def _fused(
    typingctx: Any,
    x: Any,  # the array that has the tile's rows, …
    x_row: Any,  # … the element stride from row to row (along a row it is 1), …
    x_start: Any,
    M: Any,  # … the one that has its two panels, …
    M_start: Any,
    M_panel: Any,  # … and the element stride from one to the other
    depth: Any,
    y: Any,  # what the tile is added to
    y_start: Any,
    y_row: Any,
    h: Any,  # the array that has the one row, …
    h_start: Any,
    V: Any,  # … the one that has its panels, …
    V_start: Any,
    V_panel: Any,  # … the element stride from each to the next one, …
    K: Any,  # … their depth, …
    count: Any,  # … and how many there are: count K / AT_ONCE is not more than `depth`
    z: Any,  # what their product is added to
    z_start: Any,
    z_panel: Any,
) -> Any:
    """y += x M of a tile, and z += h V of some panels, as an intrinsic."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x_array, x_row, x_start, M_array, M_start, M_panel, depth = args[:7]
        y_array, y_start, y_row, h_array, h_start, V_array, V_start, V_panel = args[7:15]
        K, count, z_array, z_start, z_panel = args[15:]
        v, n = Vectors(context, builder, x.dtype), depth.type
        w, vectors = 2 * v.lanes, 4
        x_data = v.data(signature.args[0], x_array, x_start)
        M_data = v.data(signature.args[3], M_array, M_start)
        y_data = v.data(signature.args[7], y_array, y_start)
        h_data = v.data(signature.args[10], h_array, h_start)
        V_data = v.data(signature.args[12], V_array, V_start)
        z_data = v.data(signature.args[17], z_array, z_start)
        nothing = v.constant(0.0)
        lines = [
            apart(builder, builder.gep(x_data, [builder.mul(x_row, n(row))])) for row in range(TILE)
        ]

        def tile_row(k: Any, sums: list[Any], meanwhile: Any) -> list[Any]:
            """The tile's step k; after each row, meanwhile(row)."""
            in_panel, right, new = builder.mul(k, n(w)), [], list(sums)
            for start in (n(0), M_panel):
                right += v.pair(M_data, builder.add(start, in_panel))
            for row, line in enumerate(lines):
                left = v.splat(builder.load(builder.gep(line, [k])))
                for number in range(vectors):
                    j = row * vectors + number
                    new[j] = v.fma(left, right[number], new[j])
                meanwhile(row)
            return new

        def panel(p: Any, held: list[Any]) -> list[Any]:
            panel_data = builder.gep(V_data, [builder.mul(p, V_panel)])
            z_panel_data = builder.gep(z_data, [builder.mul(p, z_panel)])

            def add_row(i: Any, row: list[Any]) -> list[Any]:
                left = v.splat(builder.load(builder.gep(h_data, [i])))
                right = v.pair(panel_data, builder.mul(i, n(w)))
                return [v.fma(left, each, total) for each, total in zip(right, row, strict=True)]

            def some(begin: Any, held: list[Any]) -> list[Any]:
                end = builder.add(begin, n(CHUNK))
                end = builder.select(builder.icmp_signed("<", end, K), end, K)
                whole = builder.sdiv(builder.sub(end, begin), n(AT_ONCE))
                whole = builder.add(begin, builder.mul(whole, n(AT_ONCE)))

                def both(i: Any, held: list[Any]) -> list[Any]:
                    k, *sums = held
                    row, taken = sums[:2], iter(range(AT_ONCE))

                    def meanwhile(after: int) -> None:
                        due = AT_ONCE * (after + 1) // TILE - AT_ONCE * after // TILE
                        for _ in range(due):
                            row[:] = add_row(builder.add(i, n(next(taken))), row)

                    new = tile_row(k, sums[2:], meanwhile)
                    return [builder.add(k, n(1)), *row, *new]

                first = [held[0], nothing, nothing, *held[1:]]
                i, [k, *sums] = loop(builder, begin, whole, AT_ONCE, first, both)
                _, row = loop(builder, i, end, 1, sums[:2], add_row)
                v.put_row(
                    [
                        builder.fadd(before, total)
                        for before, total in zip(v.pair(z_panel_data, n(0)), row, strict=True)
                    ],
                    z_panel_data,
                    n(0),
                )
                return [k, *sums[2:]]

            return loop(builder, n(0), K, CHUNK, held, some)[1]

        held = [n(0), *[nothing] * (TILE * vectors)]
        _, [k, *sums] = loop(builder, n(0), count, 1, held, panel)
        _, sums = loop(
            builder, k, depth, 1, sums, lambda k, sums: tile_row(k, sums, lambda row: None)
        )
        for row in range(TILE):
            start, many = builder.mul(y_row, n(row)), sums[row * vectors : (row + 1) * vectors]
            before = v.row(y_data, start, vectors)
            new = [builder.fadd(a, b) for a, b in zip(before, many, strict=True)]
            v.put_row(new, y_data, start)
        return context.get_dummy_value()

    n = types.intp
    return types.void(x, n, n, M, n, n, n, y, n, n, h, n, V, n, n, n, n, z, n, n), emit


def _interpreted(
    x: Array,
    x_row: int,
    x_start: int,
    M: Array,
    M_start: int,
    M_panel: int,
    depth: int,
    y: Array,
    y_start: int,
    y_row: int,
    h: Array,
    h_start: int,
    V: Array,
    V_start: int,
    V_panel: int,
    K: int,
    count: int,
    z: Array,
    z_start: int,
    z_panel: int,
) -> None:
    """`_fused` for an interpreter without compiled kernels."""
    w = width(x.dtype)
    left = view(x, x_start, (TILE, depth), (x_row, 1))
    for panel in range(2):
        right = view(M, M_start + panel * M_panel, (depth, w), (w, 1))
        view(y, y_start + panel * w, (TILE, w), (y_row, 1))[...] += left @ right
    for p in range(count):
        right = view(V, V_start + p * V_panel, (K, w), (w, 1))
        row = view(h, h_start, (1, K), (K, 1))
        view(z, z_start + p * z_panel, (1, w), (w, 1))[...] += row @ right


_tile: Any = _interpreted if config.DISABLE_JIT else intrinsic(_fused)

# the other product: its rows x (N, I), W (panels, I, WIDTH), and y (N, columns) that has the sum; N
# is 0 where there is none
Other = tuple[Array, Array, Array]
# the panels of one gate, and those of a thread: the first and the end
Part = tuple[int, int, int]


@lean_helper
def _gates(other: Other, part: Part) -> tuple[int, int, int, int]:
    """How many gates there are, the panels of one, and of these a thread's first and the end.

    Where one thread has all, they are one gate.
    """
    panels, panel, panel_end = part
    if panel_end - panel == panels:
        return 1, other[1].shape[0], 0, other[1].shape[0]
    return other[1].shape[0] // panels, panels, panel, panel_end


@lean_helper
def tiles(other: Other, part: Part) -> int:
    """How many tiles the other product has."""
    if other[0].shape[0] < TILE:
        return 0
    gates, _, panel, panel_end = _gates(other, part)
    pairs = gates * ((panel_end - panel) // 2)
    rows, I = other[0].shape[0] // TILE, other[0].shape[1]
    count: int = rows * pairs * -(-I // CHUNK)
    return count


@lean_helper
def _tile_at(other: Other, part: Part, number: int) -> tuple[int, int, int, int]:
    """The row, the panel, and the depth's first and number of this tile."""
    rows, I = other[0].shape[0] // TILE, other[0].shape[1]
    gates, panels, panel, panel_end = _gates(other, part)
    pairs = (panel_end - panel) // 2
    pair = number // rows
    deep = pair // (gates * pairs) * CHUNK
    gate, pair = pair // pairs % gates, pair % pairs
    return number % rows * TILE, gate * panels + panel + 2 * pair, deep, min(CHUNK, I - deep)


@lean_helper
def begin_other(other: Other, b: Array, part: Part) -> None:
    """y = b, and + x W of what no tile takes: the last rows, and a last panel.

    b is (gates, columns); the last gates may lack W.
    """
    x, W, y = other
    N, w, flat = x.shape[0], W.shape[2], b.reshape(b.size)
    if N == 0:
        return
    whole = N - N % TILE
    for i in range(N):
        for g in range(b.shape[0]):
            start, end = g * b.shape[1] + part[1] * w, g * b.shape[1] + part[2] * w
            fill(y[i, start:end], flat[start:end])
    gates, panels, panel, panel_end = _gates(other, part)
    for gate in range(gates):
        first, last = gate * panels + panel, gate * panels + panel_end
        if (panel_end - panel) % 2:
            add_to(flat, 0, x[:whole], W, y[:whole], last - 1, last)
        add_to(flat, 0, x[whole:], W, y[whole:], first, last)


@lean_helper
def _next_tile(
    h: Array,
    V: Array,
    z: Array,
    first: int,
    way: int,
    count: int,
    k: int,
    K: int,
    other: Other,
    part: Part,
    number: int,
) -> None:
    """A tile, and beside it rows k … k+K-1 of so many panels of V, on the way from the first."""
    x, W, y = other
    i, p, deep, depth = _tile_at(other, part, number)
    x_row, y_row = x.strides[0] // x.itemsize, y.strides[0] // y.itemsize
    W_panel, V_panel = W.strides[0] // W.itemsize, V.strides[0] // V.itemsize
    w = W.shape[2]
    _tile(
        x, x_row, i * x_row + deep, W, p * W_panel + deep * w, W_panel, depth,
        y, i * y_row + p * w, y_row,
        h, k, V, first * V_panel + k * w, way * V_panel, K, count, z, first * w, way * w,
    )  # fmt: skip


@lean_helper
def finish(other: Other, part: Part, left: int) -> None:
    """The last tiles, so many as are left."""
    _, W, y = other
    total = tiles(other, part)
    for number in range(total - left, total):
        _next_tile(y[:1], W, y[:1], 0, 0, 0, 0, 0, other, part, number)


@lean_helper
def multiply_beside(
    h: Array,
    V: Array,
    z: Array,
    first: int,
    last: int,
    backwards: bool,
    other: Other,
    part: Part,
    left: int,
) -> int:
    """`multiply_by_turns`, and some of the other product's last tiles; how many are left."""
    total, K = tiles(other, part) if left else 0, h.shape[1]
    while left and first < last:
        depth = _tile_at(other, part, total - left)[3]
        count, way = min(last - first, depth // max(1, K // AT_ONCE)), -1 if backwards else 1
        panel = last - 1 if backwards else first
        if count:
            _next_tile(h, V, z, panel, way, count, 0, K, other, part, total - left)
            left -= 1
        elif left > K // (AT_ONCE * _tile_at(other, part, total - 1)[3]):
            k, count = 0, 1
            while k < K:  # of so deep a panel each tile takes some rows
                some = min(K - k, AT_ONCE * _tile_at(other, part, total - left)[3])
                _next_tile(h, V, z, panel, way, 1, k, some, other, part, total - left)
                left, k = left - 1, k + some
        else:
            break
        if backwards:
            last -= count
        else:
            first += count
    if first < last:
        multiply_by_turns(h, V, z, first, last, backwards)
    return left
