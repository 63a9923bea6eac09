"""What the VJPs of rnn, gru and lstm share: the steps back, and the gradients that sum over steps.

A cell's kernel goes back from step to step and leaves the errors of all preactivations. The
gradients are products with these: rows of dX by themselves, and for the weights a sum over all
steps, from the last one back, of some units at a time. Threads take both in turn. Where one thread
goes back alone, another follows close behind; where each has many rows of its own, it sums these
alone: what another has written is in another's cache, and may be far away.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nnspec.accel import threads
from nnspec.accel.arrays import Array
from nnspec.accel.beside import (
    BLOCK,
    Other,
    Part,
    begin_other,
    finish,
    multiply_beside,
    pays,
    tiles,
)
from nnspec.accel.follow import follow, new_queues
from nnspec.accel.jit import inlined, lean_helper, lean_kernel, lean_view
from nnspec.accel.packed import (
    PANEL,
    ROWS,
    add_to,
    aligned,
    fill,
    multiply_by_turns,
    pack,
    room_for,
    rooms_for,
    width,
)
from nnspec.accel.recurrent import (
    AHEAD,
    UNITS,
    Sharing,
    by_one,
    four,
    go_through,
    mark_of,
    new_progress,
    next_rows_unit,
    packers,
    shared_by,
    whole,
)
from nnspec.accel.sums import (
    SUM_BLOCK,
    Sums,
    add_errors,
    in_a_row,
    parts_of,
    put_inputs,
    put_rests,
    put_sums,
)
from nnspec.accel.team import LINE, NOTHING, mark, new_counter, new_tickets, shared, take_after

# parts of dX and of the sums for a thread, so that none waits long for another, and the errors of a
# step from which on it pays for the sums
PARTS, WIDE = 2, 512
# rows of all steps, for each of UNITS, from which on a thread sums its own by themselves, and bytes
# of the sums up to which it does: few rows at a time, it goes through all of these again and again
OWN, OWN_SUMS = 512, 3 << 19
# bytes from which on to align them takes less time than it saves
SMALL = 1 << 15
# rows of each step from which on its products take them by themselves, not a row of all steps
FEW = 32
# of all steps of one row: da (T, columns) of the gates that x meets, M (panels, columns, WIDTH) for
# da W_x, zeros (1, …) for dX to begin with, and dX (T, columns of whole panels)
Errors = tuple[Array, Array, Array, Array]


@lean_helper
def _pack_gate(packed: Array, W: Array, g: int, column: int, K: int) -> None:
    """K columns of gate g's weights (H, …), for da W: (panels, gates columns, WIDTH)."""
    columns, (H, _) = packed.shape[2] * -(-W.shape[0] // packed.shape[2]), W.shape
    rows = packed[:, g * columns : (g + 1) * columns]
    pack(W[:, column : column + K], rows[:, :H])
    rows[:, H:] = 0


@lean_helper
def _begin(
    part: int,
    dh_T: Array,
    carry: Array,
    M: Array,
    of_x: Any,
    column: int,
    x_gates: int,
    E: Array,
    of_h: Any,
    h_gates: int,
    F: Array,
    of_rest: Any,
    rest_gates: int,
    tickets: Array,
) -> None:
    H = dh_T.shape[1]
    if part == 0:
        for i in range(dh_T.shape[0]):
            fill(carry[i, :H], dh_T[i])
            carry[i, H:] = 0
    g = take_after(-1, tickets)
    while g < x_gates + h_gates + rest_gates:
        if g < x_gates:
            _pack_gate(M, of_x[g], g, column, of_x[0].shape[1] - column)
        elif g < x_gates + h_gates:
            _pack_gate(E, of_h[g - x_gates], g - x_gates, 0, H)
        else:
            k = g - x_gates - h_gates
            _pack_gate(F, of_rest[k], k, 0, H)
        g = take_after(g, tickets)


_begin_in_parallel = shared(_begin)


@lean_kernel
def _begin_back(*arguments: Any) -> None:
    """The arguments of `_begin` after its part, then a team, and how many of it."""
    _begin_in_parallel(arguments[-2], arguments[-1], arguments[:-2])


@functools.lru_cache(256)
def _packing_back(
    B: int, x_gates: int, h_gates: int, rest_gates: int, H: int, I: int, itemsize: int, limit: int
) -> tuple[tuple[tuple[int, ...], ...], int]:
    """The shapes of the error and of the three packed weights, and how many threads pack them."""
    w = PANEL // itemsize
    panels = -(-H // w)
    columns = panels * w
    of_x = -(-I // w), x_gates * columns, w
    of_h, of_rest = (panels, h_gates * columns, w), (panels, rest_gates * columns, w)
    numbers = H * (x_gates * I + (h_gates + rest_gates) * H)
    return ((B, columns), of_x, of_h, of_rest), packers(numbers)


def begin_back(
    dh_T: Array,  # (B, H)
    of_x: Sequence[Array],  # (H, …), of each gate that x meets: x's columns are the last ones, …
    column: int,  # … from here on
    of_h: Sequence[Array],  # (H, …), of each gate that h meets: h's columns are the first H
    of_rest: Sequence[Array] = (),  # and of those that meet it in a product of their own
) -> tuple[Array, Array, Array, Array]:
    """The error that the next step hands down, and the weights for what it hands on.

    (B, columns), for the last step dh_T; then for da W of each of these three, da being a row of
    preactivations' errors: (panels, gates columns, WIDTH). Room of the thread's own.
    """
    (B, H), dtype = dh_T.shape, dh_T.dtype
    gates, I = (len(of_x), len(of_h), len(of_rest)), of_x[0].shape[1] - column
    shapes, count = _packing_back(B, *gates, H, I, dtype.itemsize, threads.limited())
    carry, M, E, F = rooms_for("begin_back", dtype, shapes)
    given = carry, M, four(of_x), column, gates[0], E, four(of_h), gates[1]
    rest = F, four(of_rest or of_h), gates[2], new_tickets(count)
    threads.in_team(count, _begin_back, dh_T, *given, *rest)
    return carry, M, E, F


def states(h_0: Array, T: int) -> tuple[Array, Array]:
    """Room for the state before each step, the first of which is h_0, and after it: (T, B, H)."""
    both = np.empty((T + 1, *h_0.shape), h_0.dtype)
    both[0] = h_0
    return both[:-1], both[1:]


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


@lean_view
def errors_of(da: Array, M: Array, zeros: Array, dX: Array) -> Errors:
    """What the steps back of one row do dX from; da is (T, B, gates, columns), x's the first."""
    (T, B, G, columns), filled = da.shape, dX.shape[2]
    return da.reshape(T * B, G * columns)[:, : M.shape[1]], M, zeros, dX.reshape(T * B, filled)


@lean_view
def _rows_beside(errors: Errors, t: int) -> Other:
    """What is done beside step t on the way back: dX of the block of steps behind its own."""
    da, M, _, dX = errors
    T = da.shape[0]
    start = T - (T - 1 - t) // BLOCK * BLOCK
    end = min(T, start + BLOCK)
    return da[start:end], M, dX[start:end]


@lean_helper
def _part_of_dX(M: Array, W: Array, panel: int, panel_end: int) -> Part:
    """A thread's panels of M, which has some of them for each of W's."""
    all_panels = M.shape[0]
    first, end = all_panels * panel // W.shape[0], all_panels * panel_end // W.shape[0]
    return all_panels, first, end


@lean_helper
def next_rows(errors: Errors, W: Array, t: int, panel: int, panel_end: int, left: int) -> int:
    """Before the step t back: how many tiles of dX there are to do beside it, so many being left.

    At a block's first step those are done, and the tiles of the block behind it begin.
    """
    if (errors[0].shape[0] - 1 - t) % BLOCK:
        return left
    part = _part_of_dX(errors[1], W, panel, panel_end)
    finish(_rows_beside(errors, t + 1), part, left)
    other = _rows_beside(errors, t)
    begin_other(other, errors[2], part)
    return tiles(other, part)


@lean_helper
def last_rows(errors: Errors, W: Array, panel: int, panel_end: int, left: int) -> None:
    """After the last step back: the tiles that are left, and dX of the block that was the last."""
    da, M, zeros, dX = errors
    part = _part_of_dX(M, W, panel, panel_end)
    finish(_rows_beside(errors, 0), part, left)
    end = (da.shape[0] - 1) % BLOCK + 1
    add_to(zeros.reshape(zeros.size), 0, da[:end], M, dX[:end], part[1], part[2])


@inlined
def hand_down(
    da: Array, W: Array, carry: Array, panel: int, panel_end: int, t: int, errors: Errors, left: int
) -> int:
    """carry += da W in the step t back; where tiles of dX are left, of one row.

    Then some of these are done beside it. Returns how many are left.
    """
    backwards = t % 2 == 1
    if left:
        return _hand_down_beside(da, W, carry, panel, panel_end, backwards, errors, t, left)
    multiply_by_turns(da, W, carry, panel, panel_end, backwards)
    return 0


@lean_helper
def _hand_down_beside(
    da: Array,
    W: Array,
    carry: Array,
    panel: int,
    panel_end: int,
    backwards: bool,
    errors: Errors,
    t: int,
    left: int,
) -> int:
    other, part = _rows_beside(errors, t), _part_of_dX(errors[1], W, panel, panel_end)
    return multiply_beside(da, W, carry, panel, panel_end, backwards, other, part, left)


@lean_helper
def _part_of_gradients(
    part: int,
    da: Array,  # (T, B, gates columns)
    own: tuple[int, int, bool],
    M: Array,  # (panels, columns of x's gates, WIDTH): for da W_x
    zeros: Array,  # (columns of dX,)
    dX: Array,  # (T, B, columns of whole panels)
    Ys: Any,
    totals: Any,
    rests: Any,
    places: Any,
    db: Array,  # (G, columns)
    rooms: Array,  # (threads, …)
    at_once: int,  # rows of dX
    units: int,  # parts of the sums
    tickets: Array,
) -> None:
    """Rows of dX from the last on, the sums' units, and db, as the tickets come."""
    inner = parts_of(da.shape[0], own)[1]
    blocks = -(-inner // at_once)
    ticket = take_after(-1, tickets)
    while ticket <= blocks + units:
        if ticket < blocks:
            start = (blocks - 1 - ticket) * at_once
            put_inputs(da, own, M, zeros, dX, start, min(inner, start + at_once))
        elif ticket == blocks + units:
            add_errors(da, own, db.reshape(db.size))
        else:
            unit, unit_end = threads.share(totals[0].shape[1], ticket - blocks, units, ROWS)
            into = Ys, totals, rests, places, rooms[part], unit, unit_end
            put_sums(da, own, db.shape[1], *into)
            put_rests(Ys, totals, rests, places, unit, unit_end)
        ticket = take_after(ticket, tickets)


_in_parallel = shared(_part_of_gradients)


@lean_kernel
def _gradients(
    da: Array,  # (T, B, G, columns)
    M: Array,
    zeros: Array,
    dX: Array,
    Ys: Any,  # three of (T, B, K)
    places: Any,
    totals: Any,
    rests: Any,
    db: Array,
    rooms: Array,
    at_once: int,
    units: int,
    tickets: Array,
    team: Array,
    count: int,
) -> None:
    T, B = da.shape[:2]
    errors, dX, rows = in_a_row(da, dX, Ys)
    what = errors, (0, T * B, False), M, zeros, dX, rows, totals, rests, places, db
    _in_parallel(team, count, (*what, rooms, at_once, units, tickets))


@lean_helper
def _own_gradients(
    part: int,
    da: Array,  # (T, B, gates columns)
    M: Array,
    zeros: Array,
    dX: Array,
    Ys: Any,
    places: Any,
    totals: Any,
    rests: Any,
    db: Array,
    more: Any,  # of each unit of rows but the first totals, rests and db
    rooms: Array,
    rolls: Array,
) -> None:
    (T, B), units = da.shape[:2], 1 + more[2].shape[0]
    unit = next_rows_unit(part, units, rolls)
    while unit >= 0:
        row, row_end = threads.share(B, unit, units, ROWS)
        own = row, row_end, row_end - row < FEW
        into, last, total = totals, rests, db
        if unit > 0:
            into = more[0][0][unit - 1], more[0][1][unit - 1], more[0][2][unit - 1]
            last = more[1][0][unit - 1], more[1][1][unit - 1], more[1][2][unit - 1]
            total = more[2][unit - 1]
        how = max(T, row_end - row), 1, NOTHING
        _part_of_gradients(part, da, own, M, zeros, dX, Ys, into, last, places, total, rooms, *how)
        unit = next_rows_unit(part, units, rolls)


_own_in_parallel = shared(_own_gradients)


@lean_kernel
def _gradients_of_own(
    da: Array,  # (T, B, G, columns)
    M: Array,
    zeros: Array,
    dX: Array,
    Ys: Any,
    places: Any,
    totals: Any,
    rests: Any,
    db: Array,
    more: Any,
    rooms: Array,
    rolls: Array,
    team: Array,
    count: int,
) -> None:
    T, B, G, columns = da.shape
    what = da.reshape(T, B, G * columns), M, zeros, dX, Ys, places, totals, rests, db, more
    _own_in_parallel(team, count, (*what, rooms, rolls))


# of each sum its total, and of the last panel where Y ends within it; and db, to be added to
Added = tuple[tuple[Array, ...], tuple[Array, ...], Array]


def _room_like(sums: Added, units: int) -> Added:
    """Room for so many of the same sums; a total that several have in common is one again."""
    totals, rests, db = sums
    rooms = {id(x): np.empty((units, *x.shape), x.dtype) for x in (*totals, *rests)}
    return (
        tuple([rooms[id(total)] for total in totals]),
        tuple([rooms[id(rest)] for rest in rests]),
        np.zeros((units, *db.shape), db.dtype),
    )


def _add_sums(sums: Added, others: Added) -> None:
    """Add the totals and db of all the others, each once."""
    pairs = zip((*sums[0], sums[2]), (*others[0], others[2]), strict=True)
    for total, other in {id(total): (total, other) for total, other in pairs}.values():
        for each in other:
            total += each


class _WayBack(NamedTuple):
    """What the sizes of a sequence say of its way back."""

    zeros: Array  # (1, columns of dX's room: whole panels), never written to
    rests: tuple[int, ...]  # rows of the sums' last panels, and …
    no_rest: Array  # … where there are none, (0, WIDTH)
    cost: float  # multiply-adds of the gradients
    size: int  # numbers of a thread's room for them
    units: int  # parts of the sums for each thread
    sharing: Sharing
    follow: bool  # one thread goes back, and another follows it, …
    beside: bool  # … or it does dX beside its steps
    own: bool  # each thread sums its own rows by themselves


@functools.lru_cache(256)
def _way_back(
    T: int,
    B: int,
    I: int,
    H: int,
    letter: str,  # of the dtype, whose own hash takes longer
    x_gates: int,
    gates: int,
    depths: tuple[int, ...],
    places: Sums,
    per_row: int,
    panels: int,
    limit: int,
) -> _WayBack:
    dtype = np.dtype(letter)
    w = width(dtype)
    rests, adds = [], 0
    for (gate, gate_end, _, _), K in zip(places, depths, strict=True):
        rests.append((gate_end - gate) * H if K % w else 0)
        adds += (gate_end - gate) * K
    size = SUM_BLOCK * w * max(-(-K // w) for K in depths)
    zeros, no_rest = np.zeros((1, -(-I // w) * w), dtype), np.zeros((0, w), dtype)
    cost, sharing = float(T) * B * H * (x_gates * I + adds), shared_by(T, B, per_row, panels)
    follow = sharing.threads == 1 and T > 2 * AHEAD and threads.useful(cost) > 1
    beside = not follow and T > BLOCK and I > 0 and pays(B, per_row * dtype.itemsize)
    units = PARTS if gates * H >= WIDE else 1
    own = sharing.rows > 1 and OWN * UNITS * limit <= T * B
    own = own and H * adds * dtype.itemsize <= OWN_SUMS
    return _WayBack(zeros, tuple(rests), no_rest, cost, size, units, sharing, follow, beside, own)


def go_back(
    work: Callable[..., Any],
    per_row: int,
    panels: int,
    da: Array,  # (T, B, gates, columns): room for the errors
    X: Array,  # (T, B, I)
    M: Array,  # from `begin_back`, for dX
    places: Sums,
    Ys: tuple[Array, Array, Array],  # of each sum the rows (T, B, K)
    totals: tuple[Array, Array, Array],  # of each sum room (targets, H, at least column + K)
) -> tuple[Array, Array]:
    """The steps back, then the rest; `per_row`: multiply-adds of a row's step.

    They are work(M, zeros, dX, beside, progress, barrier, *how), as `go_through` calls it.
    Returns dX, which the steps back have done where it is `beside`, and db.

    db is (gates, H); each sum is Σ da[t, i, gate, unit] Y[t, i] in its total. Where one thread
    goes back, another follows it: `progress` has marks for the blocks of steps that are done. Else
    it is empty. Where threads go back through rows of their own, each goes on to the gradients of
    these, which are in its own cache.
    """
    (T, B, I), (_, _, G, columns), H, dtype = X.shape, da.shape, totals[0].shape[1], X.dtype
    if not T * B:  # no sum has a row to begin with
        for total in totals:
            total[:] = 0
        return np.empty_like(X), np.zeros((G, H), dtype)
    depths = Ys[0].shape[2], Ys[1].shape[2], Ys[2].shape[2]
    some = M.shape[1] // columns, G, depths, places, per_row, panels
    way = _way_back(T, B, I, H, dtype.char, *some, threads.limited())
    filled, w = way.zeros.shape[1], way.no_rest.shape[1]
    # to write beyond a row would take what stands there
    if filled != I:
        rows = room_for("dX", (T, B, filled), dtype)
    elif X.nbytes < SMALL:
        rows = np.empty((T, B, I), dtype)
    else:
        rows = aligned((T, B, I), dtype, zeros=False)
    rests = tuple([np.empty((rest, w), dtype) if rest else way.no_rest for rest in way.rests])
    sums: Added = totals, rests, np.zeros((G, columns), dtype)
    to_inputs = M, way.zeros, rows, way.beside
    given = da, M[:0] if way.beside else M, way.zeros[0], rows, Ys, places
    if way.follow:
        _and_follow(work, to_inputs, given, sums, way)
    else:
        go_through(way.sharing, B, work, *to_inputs, NOTHING)
        (_sum_own if way.own else _sum_all)(given, sums, way)
    return rows if filled == I else rows[:, :, :I].copy(), sums[2][:, :H]


def _sum_own(given: Any, sums: Added, way: _WayBack) -> None:
    """The gradients by threads that have gone back through rows of their own: each of these."""
    count, units = way.sharing.threads, way.sharing.rows
    rooms = room_for("gradients", (count, way.size), given[0].dtype)
    more = _room_like(sums, units - 1)
    how = more, rooms, new_counter(count)
    threads.in_team(count, _gradients_of_own, *given, *sums, *how)
    _add_sums(sums, more)


def _sum_all(given: Any, sums: Added, way: _WayBack) -> None:
    """The gradients by as many threads as pay, of whatever rows."""
    da = given[0]
    count, rows = threads.useful(way.cost, threads.COMPILED), da.shape[0] * da.shape[1]
    rooms = room_for("gradients", (count, way.size), da.dtype)
    at_once, units = max(rows, 1), 1
    if count > 1:
        at_once, units = -(-rows // (PARTS * count * ROWS)) * ROWS, way.units * count
    how = rooms, at_once, units, new_tickets(count)
    threads.in_team(count, _gradients, *given, *sums, *how)


def _and_follow(
    work: Callable[..., Any], to_inputs: Any, given: Any, sums: Added, way: _WayBack
) -> None:
    """The steps back, and the gradients by who follows and, after the steps, by both."""
    da = given[0]
    B, progress, queues = da.shape[1], new_progress(len(da)), new_queues()
    rooms = room_for("gradients", (2, way.size), da.dtype)

    def part(index: int, _: int) -> None:
        if index == 0:
            try:
                work(*to_inputs, progress, *by_one(B), *threads.ALONE)
            except BaseException:  # an interrupt before it began: the other would wait for ever
                progress[LINE::LINE] = 1
                raise
        what: tuple[Any, ...] = (*given, *sums, rooms[index], index, queues, progress)
        follow(*what)

    threads.together(2, part)
