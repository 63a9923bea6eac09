"""The gradients that a step's errors leave: rows of dX, and sums over the rows for the weights.

Every one takes some rows of all steps' errors, the last ones first.
"""

from typing import Any

from nnspec.accel.arrays import Array
from nnspec.accel.crosswise import add_crosswise
from nnspec.accel.jit import lean_helper, lean_view
from nnspec.accel.packed import add_to, fill, pack, panels_in

# rows that a weight's gradient sums over at once, and columns from which on it pays to pack what
# meets so many
SUM_BLOCK, OFTEN = 256, 640

# of each sum over the steps: its first gate, the end, the first gate's target and the column there.
# A kernel has one signature: always three sums, of no gates where there are fewer
Sums = tuple[tuple[int, int, int, int], tuple[int, int, int, int], tuple[int, int, int, int]]
NO_SUM = 0, 0, 0, 0


@lean_view
def in_a_row(da: Array, dX: Array, Ys: Any) -> tuple[Array, Array, Any]:
    """da (T, B, G, columns), dX and Ys (T, B, K): the rows of all steps as those of one."""
    T, B, G, columns = da.shape
    rows = (
        Ys[0].reshape(1, T * B, Ys[0].shape[2]),
        Ys[1].reshape(1, T * B, Ys[1].shape[2]),
        Ys[2].reshape(1, T * B, Ys[2].shape[2]),
    )
    return da.reshape(1, T * B, G * columns), dX.reshape(1, T * B, dX.shape[2]), rows


@lean_view
def rows_of(x: Array, own: tuple[int, int, bool], o: int, start: int, end: int) -> Array:
    """Rows start … end-1 of `own`'s o-th part, of x (T, B, K)."""
    row, _, across = own
    return x[start:end, row + o] if across else x[o, row + start : row + end]


@lean_helper
def parts_of(T: int, own: tuple[int, int, bool]) -> tuple[int, int]:
    """How many parts, and rows of each: all steps of an example, or all examples of a step."""
    row, row_end, across = own
    return (row_end - row, T) if across else (T, row_end - row)


@lean_helper
def put_sums(
    da: Array,  # (T, B, gates columns)
    own: tuple[int, int, bool],  # rows of B, the end, and whether across the steps
    columns: int,
    Ys: Any,  # three of (T, B, K)
    totals: Any,  # three of (targets, H, at least column + K)
    rests: Any,  # three of (gates H, WIDTH): the last panel where Y ends within it
    places: Any,  # three of `Sums`
    room: Array,
    unit: int,
    unit_end: int,
) -> None:
    """The totals of the products of all rows, for some units; there is a row at least."""
    outer, inner = parts_of(da.shape[0], own)
    for out in range(outer - 1, -1, -1):
        before, into = out < outer - 1, (columns, Ys, totals, rests, places, room, unit, unit_end)
        add_rows(da, own, out, 0, inner, before, *into)


@lean_helper
def add_rows(
    da: Array,
    own: tuple[int, int, bool],
    out: int,
    first: int,
    last: int,
    before: bool,
    columns: int,
    Ys: Any,
    totals: Any,
    rests: Any,
    places: Any,
    room: Array,
    unit: int,
    unit_end: int,
) -> None:
    """Add rows first … last-1 of a part; where there were none `before`, put them."""
    row, _, across = own
    H, w = totals[0].shape[1], rests[0].shape[1]
    for block in range(-(-(last - first) // SUM_BLOCK) - 1, -1, -1):
        start = first + block * SUM_BLOCK
        end = min(start + SUM_BLOCK, last)
        errors, more = rows_of(da, own, out, start, end), before or end < last
        for s in range(3):
            gate, gate_end, target, column = places[s]
            Y, (B, K) = Ys[s], Ys[s].shape[1:]
            inside, panels, depth = K // w, -(-K // w), end - start
            of_panel, some = depth * w, rows_of(Y, own, out, start, end)
            if (unit_end - unit) * (gate_end - gate) >= OFTEN:
                pack(some, panels_in(room, panels, depth, w))
                M, M_start, M_row, M_panel = room, 0, w, of_panel
                rest_start = inside * of_panel
            else:
                at = (start * B + row + out) if across else (out * B + row + start)
                M, M_start, M_row, M_panel = Y.reshape(Y.size), at * K, K, w
                if across:
                    M_row = B * K
                if gate < gate_end and inside < panels:
                    pack(some[:, inside * w :], panels_in(room, 1, depth, w))
                rest_start = 0
            for g in range(gate, gate_end):
                y, rest = totals[s][target + g - gate], rests[s][(g - gate) * H :]
                left, right = g * columns + unit, g * columns + unit_end
                of_M = M, M_start, M_row, M_panel
                add_crosswise(errors, left, right, *of_M, inside, more, y[unit:, column:])
                if inside < panels:
                    of_rest = room, rest_start, w, of_panel
                    add_crosswise(errors, left, right, *of_rest, 1, more, rest[unit:])


@lean_helper
def put_rests(Ys: Any, totals: Any, rests: Any, places: Any, unit: int, unit_end: int) -> None:
    """The columns of the sums' last panels to where they belong, for some units."""
    for s in range(3):
        gate, gate_end, target, column = places[s]
        K, rest = Ys[s].shape[2], rests[s]
        inside = K - K % rest.shape[1]
        if inside == K:
            continue
        for g in range(gate_end - gate):
            y = totals[s][target + g]
            H = y.shape[0]
            for u in range(unit, unit_end):
                fill(y[u, column + inside : column + K], rest[g * H + u, : K - inside])


@lean_helper
def add_errors(da: Array, own: tuple[int, int, bool], total: Array) -> None:
    """Add all rows, each a step's errors, to the total."""
    for t in range(da.shape[0]):
        for i in range(own[0], own[1]):
            errors = da[t, i]
            for k in range(errors.size):
                total[k] += errors[k]


@lean_helper
def put_inputs(
    da: Array,
    own: tuple[int, int, bool],
    M: Array,  # (panels, columns of x's gates, WIDTH): for da W_x
    zeros: Array,  # (columns of dX,)
    dX: Array,  # (T, B, columns of whole panels)
    start: int,
    end: int,
) -> None:
    """dX of rows start … end-1 of each part."""
    outer, panels = parts_of(da.shape[0], own)[0], M.shape[0]
    at_once = max(1, panels) if outer == 1 else 2  # they stay in the cache while the parts go by
    for p in range(0, panels, at_once):
        for o in range(outer):
            errors, some = rows_of(da, own, o, start, end), rows_of(dX, own, o, start, end)
            add_to(zeros, 0, errors[:, : M.shape[1]], M, some, p, min(p + at_once, panels))
