"""What the VJPs of rnn, gru and lstm share: the steps back, and the gradients that sum over steps.

A cell's kernel goes back from step to step and leaves the errors of all preactivations. The
gradients are products with these: rows of dX by themselves, and for the weights a sum over all
steps, from the last one back, of some units at a time. Threads take both in turn; where one thread
goes back alone, another follows close behind.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnspec.accel import threads
from nnspec.accel.arrays import Array
from nnspec.accel.jit import lean_helper, lean_kernel
from nnspec.accel.packed import (
    ROWS,
    add_to,
    aligned,
    fill,
    multiply,
    pack,
    panels_in,
    room_for,
    transpose,
    width,
)
from nnspec.accel.recurrent import (
    AHEAD,
    LINE,
    alone,
    four,
    mark_of,
    new_progress,
    together,
    whole,
)
from nnspec.accel.team import mark, new_counter, shared, take, wait

# rows that a weight's gradient sums over at once, and its units at once
SUM_BLOCK, UNIT_BLOCK = 256, 64
# parts of each for a thread, so that none waits long for another, and the errors of a step from
# which on it pays for the sums: each part packs all Y
PARTS, WIDE = 2, 512
# of each sum over the steps: its first gate, the end, the first gate's target and the column there.
# A kernel has one signature: always three sums, of no gates where there are fewer
Sums = tuple[tuple[int, int, int, int], tuple[int, int, int, int], tuple[int, int, int, int]]
NO_SUM = 0, 0, 0, 0

_share = lean_helper(threads.share)


@lean_kernel
def _pack_errors(packed: Array, weights: Any, column: int, count: int, K: int) -> None:
    columns = packed.shape[1] // count
    for g in range(count):
        W = weights[g]
        rows = packed[:, g * columns : (g + 1) * columns]
        pack(W[:, column : column + K], rows[:, : W.shape[0]])
        rows[:, W.shape[0] :] = 0


def for_errors(purpose: str, weights: Sequence[Array], column: int, K: int) -> Array:
    """K columns of gates' weights (H, …), for da W: (panels, gates columns, WIDTH).

    da is a row of preactivations' errors; the room is the thread's own, by its purpose.
    """
    H, dtype = len(weights[0]), weights[0].dtype
    w = width(dtype)
    columns = -(-H // w) * w
    packed = room_for(purpose, (-(-K // w), len(weights) * columns, w), dtype)
    _pack_errors(packed, four(weights), column, len(weights), K)
    return packed


def states(h_0: Array, T: int) -> tuple[Array, Array]:
    """Room for the state before each step, the first of which is h_0, and after it: (T, B, H)."""
    both = np.empty((T + 1, *h_0.shape), h_0.dtype)
    both[0] = h_0
    return both[:-1], both[1:]


def last_errors(dh_T: Array, columns: int) -> Array:
    """The error that the next step hands down, (B, columns): for the last step it is dh_T."""
    B, H = dh_T.shape
    carry = room_for("carry", (B, columns), dh_T.dtype)
    carry[:, :H], carry[:, H:] = dh_T, 0
    return carry


def valid_alone(X: Array, lengths: Array) -> Array:
    """X with zeros beyond the lengths: in a product the zero error there lets a NaN through."""
    T = len(X)
    if whole(lengths, T):
        return X
    valid = np.arange(T)[:, np.newaxis] < lengths
    rows: Array = np.where(valid[:, :, np.newaxis], X, X.dtype.type(0))
    return rows


@lean_helper
def clear_beyond(a: Array, H: int) -> None:
    """0 in the columns that fill up each gate's last panel: NaN where the input is infinite."""
    for g in range(a.shape[0]):
        for k in range(H, a.shape[1]):
            a[g, k] = 0


@lean_helper
def went_back(t: int, progress: Array) -> None:
    """Say that the errors from step t on are there, if anybody waits for them."""
    if progress.size and t % AHEAD == 0:
        mark(mark_of(progress, t))


@lean_helper
def _wait_for(row: int, B: int, progress: Array) -> None:
    """Until the errors from this row of (T B, …) on are there."""
    if progress.size:
        wait(mark_of(progress, row // B), 1)


@lean_helper
def _add_units(
    da: Array,  # (N, G, columns)
    B: int,
    Ys: Any,  # three of (N, K)
    totals: Any,  # three of (targets, H, at least column + K)
    rests: Any,  # three of (gates H, WIDTH): the last panel where Y ends within it
    places: Any,
    room: Array,
    unit: int,
    unit_end: int,
    progress: Array,
) -> None:
    """Add the products of all rows to the totals, for some units."""
    N, H, w = da.shape[0], totals[0].shape[1], rests[0].shape[1]
    left, right = room[: UNIT_BLOCK * SUM_BLOCK], room[UNIT_BLOCK * SUM_BLOCK :]
    for block in range(-(-N // SUM_BLOCK) - 1, -1, -1):
        start = block * SUM_BLOCK
        end = min(start + SUM_BLOCK, N)
        depth = end - start
        _wait_for(start, B, progress)
        for s in range(3):
            gate, gate_end, target, column = places[s]
            K = Ys[s].shape[1]
            panels, inside = -(-K // w), K // w
            packed = panels_in(right, panels, depth, w)
            if gate < gate_end:
                pack(Ys[s][start:end], packed)
            for g in range(gate, gate_end):
                y, rest = totals[s][target + g - gate], rests[s][(g - gate) * H :]
                for u in range(unit, unit_end, UNIT_BLOCK):
                    u_end = min(unit_end, u + UNIT_BLOCK)
                    rows = left[: (u_end - u) * depth].reshape(u_end - u, depth)
                    transpose(da[start:end, g, u:u_end], rows)
                    multiply(rows, packed, y[u:u_end, column:], 0, inside)
                    if inside < panels:
                        multiply(rows, packed[inside:], rest[u:u_end], 0, 1)


@lean_helper
def _put_rests(totals: Any, Ys: Any, rests: Any, places: Any, unit: int, unit_end: int) -> None:
    for s in range(3):
        gate, gate_end, target, column = places[s]
        K, rest = Ys[s].shape[1], rests[s]
        inside = K - K % rest.shape[1]
        if inside == K:
            continue
        for g in range(gate_end - gate):
            y = totals[s][target + g]
            H = y.shape[0]
            for u in range(unit, unit_end):
                fill(y[u, column + inside : column + K], rest[g * H + u, : K - inside])


@lean_helper
def _add_rows(flat: Array, B: int, total: Array, progress: Array) -> None:
    """Add all rows, each a step's errors, to the total."""
    _wait_for(0, B, progress)
    for n in range(flat.shape[0]):
        row = flat[n]
        for k in range(row.size):
            total[k] += row[k]


@lean_helper
def _part_of_gradients(
    part: int,
    da: Array,
    B: int,
    M: Array,  # (panels, columns of x's gates, WIDTH): for da W_x
    zeros: Array,  # (columns of dX,)
    dX: Array,  # (N, columns of whole panels)
    Ys: Any,
    totals: Any,
    rests: Any,
    places: Any,
    db: Array,  # (G, columns)
    rooms: Array,  # (threads, …)
    at_once: int,  # rows of dX
    units: int,  # parts of the sums
    tickets: Array,
    progress: Array,
) -> None:
    """Rows of dX from the last on, the sums' units, and db, as the tickets come."""
    N, panels = da.shape[0], M.shape[0]
    flat = da.reshape(N, da.shape[1] * da.shape[2])
    blocks = -(-N // at_once)
    ticket = take(tickets)
    while ticket <= blocks + units:
        if ticket < blocks:
            row = (blocks - 1 - ticket) * at_once
            row_end = min(N, row + at_once)
            _wait_for(row, B, progress)
            add_to(zeros, 0, flat[row:row_end, : M.shape[1]], M, dX[row:row_end], 0, panels)
        elif ticket == blocks + units:
            _add_rows(flat, B, db.reshape(db.size), progress)
        else:
            unit, unit_end = _share(totals[0].shape[1], ticket - blocks, units, ROWS)
            some = rooms[part], unit, unit_end, progress
            _add_units(da, B, Ys, totals, rests, places, *some)
            _put_rests(totals, Ys, rests, places, unit, unit_end)
        ticket = take(tickets)


_in_parallel = shared(_part_of_gradients)


@lean_kernel
def _gradients(
    da: Array,  # (T, B, G, columns)
    M: Array,
    zeros: Array,
    dX: Array,
    Ys: Any,  # three of (T, B, K)
    totals: Any,
    rests: Any,
    places: Any,
    db: Array,
    rooms: Array,
    at_once: int,
    units: int,
    tickets: Array,
    progress: Array,
    team: Array,
    count: int,
) -> None:
    T, B, G, columns = da.shape
    N = T * B
    rows = (
        Ys[0].reshape(N, Ys[0].shape[2]),
        Ys[1].reshape(N, Ys[1].shape[2]),
        Ys[2].reshape(N, Ys[2].shape[2]),
    )
    sums = rows, totals, rests, places, db
    how = rooms, at_once, units, tickets, progress
    _in_parallel(team, count, (da.reshape(N, G, columns), B, M, zeros, dX, *sums, *how))


def go_back(
    work: Callable[..., Any],
    per_row: int,
    panels: int,
    da: Array,  # (T, B, gates, columns): room for the errors
    X: Array,  # (T, B, I)
    weights: Sequence[Array],  # what x meets of the first gates, …
    column: int,  # … from this column on
    places: Sums,
    Ys: tuple[Array, Array, Array],  # of each sum the rows (T, B, K)
    totals: tuple[Array, Array, Array],  # of each sum zeros (targets, H, at least column + K)
) -> tuple[Array, Array]:
    """work(progress, *part) for the steps back, as `together`, then the gradients: dX and db.

    db is (gates, H); each sum adds Σ da[t, i, gate, unit] Y[t, i] to its total. Where one thread
    goes back, another follows it: `progress` has tickets for the parts of the gradients, and marks
    for the blocks of steps that are done. Else it is empty.
    """
    (T, B, I), H, dtype = X.shape, len(weights[0]), X.dtype
    w = width(dtype)
    M = for_errors("errors_x", weights, column, I)
    filled = len(M) * w
    # to write beyond a row would take what stands there
    dX = aligned((T * B, I), dtype, zeros=False) if filled == I else np.empty(0)
    rows = dX if filled == I else room_for("dX", (T * B, filled), dtype)
    rests, adds, most = [], len(weights) * I, 0
    for (gate, gate_end, _, _), Y in zip(places, Ys, strict=True):
        K, some = Y.shape[2], gate_end - gate
        rests.append(np.zeros((some * H if K % w else 0, w), dtype))
        adds, most = adds + some * K, max(most, -(-K // w))
    size = UNIT_BLOCK * SUM_BLOCK + SUM_BLOCK * w * most
    db = np.zeros(da.shape[2:], dtype)
    given = da, M, np.zeros(filled, dtype), rows, Ys, totals, tuple(rests), places, db

    each = PARTS if da.shape[2] * H >= WIDE else 1
    cost = float(T) * B * H * adds
    if T > 2 * AHEAD and threads.useful(cost) > 1 and alone(T, B, per_row, panels):
        progress = new_progress(T)
        rooms = room_for("gradients", (2, size), dtype)

        def part(index: int, _: int) -> None:
            if index == 0:
                try:
                    work(progress, 0, B, 0, panels, new_counter(), 1)
                except BaseException:  # an interrupt before it began: the other would wait for ever
                    progress[LINE::LINE] = 1
                    raise
            how = rooms[index:], AHEAD * B, 2 * each, progress, progress
            threads.in_team(1, _gradients, *given, *how)

        threads.together(2, part)
    else:
        none = np.empty(0, np.int64)
        together(T, B, per_row, panels, lambda *part: work(none, *part))
        count = threads.useful(cost, threads.COMPILED)
        rooms = room_for("gradients", (count, size), dtype)
        at_once, units = T * B, 1
        if count > 1:
            at_once, units = -(-T * B // (PARTS * count * ROWS)) * ROWS, each * count
        how = rooms, max(at_once, 1), units, new_counter(), none
        threads.in_team(count, _gradients, *given, *how)
    if filled != I:
        dX = rows[:, :I].copy()
    return dX.reshape(T, B, I), db[:, :H]
