"""What rnn, gru and lstm share: packed weights, the inputs' part, threads.

The preactivations are one array `a` (T, B, gates, columns), where columns are the units, filled up
to whole panels. X W_xᵀ + b is done for many steps at once, W_h h_prev step by step. Threads share
the rows of the batch, and meet nowhere; where the rows are too few they share the units instead,
and meet within each step; where a step is too small for that, one thread goes from step to step,
and another does the inputs' part ahead of it. Where no other does, and there is one row, the
inputs' part of the steps that follow is done beside a step's own product (see `beside`).
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nnspec.accel import threads
from nnspec.accel.arrays import Array, all_steps
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
from nnspec.accel.jit import helper, inlined, lean_helper, lean_kernel, lean_view
from nnspec.accel.packed import (
    PANEL,
    ROWS,
    add_to,
    aligned,
    fill,
    multiply_by_turns,
    pack_transposed,
    room_for,
    rooms_for,
)
from nnspec.accel.team import (
    LINE,
    NOBODY,
    NOTHING,
    gathered,
    mark,
    marked,
    new_counter,
    new_tickets,
    shared,
    take,
    take_after,
    wait,
)

# bytes of `a` whose inputs' part is done at once: it is still in the cache when its step comes
AT_ONCE = 1 << 20
# units of rows for each thread, the rows of one, and the weights that are near enough to read more
# often
UNITS, UNIT_ROWS, NEAR = 2, 2 * ROWS, 1 << 18
# multiply-adds of a step that pay for threads which wait for each other in every step, and of all
# steps for each look for who comes
STEP, WAIT = 60_000, 1_000
# steps whose inputs' part is done at once where two threads do it
AHEAD = 24
# multiply-adds in the time that it takes to pack a number, from the third cache or from beyond it
PACKING = 40

# a kernel has one signature: always so many weights, the last one again where there are fewer
MOST_GATES = 4


def four(weights: Sequence[Array]) -> tuple[Array, ...]:
    """The weights, or biases, as many as a kernel takes."""
    given = tuple(weights)
    return given if len(given) == MOST_GATES else given + given[-1:] * (MOST_GATES - len(given))


# W_x and W_h (gates, panels, K, WIDTH) for x Wᵀ, and b (gates, columns), filled up to whole panels
Packed = tuple[Array, Array, Array]
# the inputs' part: X (T, B, I), W_x (gates panels, I, WIDTH), b (gates, columns), where it goes
# (steps, B, gates columns), of how many steps at once, and whether beside the steps before these
Inputs = tuple[Array, Array, Array, Array, int, bool]


@lean_helper
def _pack_gates(
    part: int,
    W_x: Array,
    W_h: Array,
    b: Array,
    of_x: Any,
    column: int,
    of_h: Any,
    biases: Any,
    tickets: Array,
) -> None:
    H, of_both = W_h.shape[2], W_x.shape[0] + W_h.shape[0]
    gate = take_after(-1, tickets)
    while gate <= of_both:
        if gate < W_x.shape[0]:
            pack_transposed(of_x[gate][:, column:], W_x[gate])
        elif gate < of_both:
            g = gate - W_x.shape[0]
            pack_transposed(of_h[g][:, :H], W_h[g])
        else:
            for g in range(b.shape[0]):
                fill(b[g, :H], biases[g])
                b[g, H:] = 0
        gate = take_after(gate, tickets)


_pack_in_parallel = shared(_pack_gates)


@lean_kernel
def _pack_layer(*arguments: Any) -> None:
    """The arguments of `_pack_gates` after its part, then a team, and how many of it."""
    _pack_in_parallel(arguments[-2], arguments[-1], arguments[:-2])


@functools.lru_cache(256)
def _packing(
    x_gates: int, h_gates: int, biases: int, H: int, I: int, itemsize: int, limit: int
) -> tuple[tuple[tuple[int, ...], ...], int]:
    """The shapes of W_x, W_h and b, and how many threads pack them."""
    w = PANEL // itemsize
    panels = -(-H // w)
    shapes = (x_gates, panels, I, w), (h_gates, panels, H, w), (biases, panels * w)
    return shapes, packers(H * (x_gates * I + h_gates * H))


def packers(numbers: int) -> int:
    """How many threads pay to pack so many numbers."""
    return threads.useful(float(PACKING * numbers), threads.COMPILED)


def pack_layer(
    of_x: Sequence[Array],  # (H, …), of each gate that x meets: x's columns are the last ones, …
    column: int,  # … from here on
    of_h: Sequence[Array],  # (H, …), of each gate that h meets: h's columns are the first H
    biases: Sequence[Array],  # (H,)
    *,
    keep: bool,
) -> Packed:
    """A layer's weights for its steps, to keep, or until the same thread packs those of another."""
    (H, K), dtype = of_x[0].shape, of_x[0].dtype
    gates = len(of_x), len(of_h), len(biases)
    shapes, count = _packing(*gates, H, K - column, dtype.itemsize, threads.limited())
    if keep:
        W_x, W_h, b = [aligned(shape, dtype, zeros=False) for shape in shapes]
    else:
        W_x, W_h, b = rooms_for("layer", dtype, shapes)
    given = W_x, W_h, b, four(of_x), column, four(of_h), four(biases)
    threads.in_team(count, _pack_layer, *given, new_tickets(count))
    return W_x, W_h, b


@lean_helper
def _steps_in(step: int) -> int:
    """How many steps' inputs' part is near enough, a step's `a` being so many bytes."""
    return max(1, AT_ONCE // max(step, 1))


@lean_helper
def steps_at_once(X: Array, W_h: Array, a: Array, progress: Array) -> tuple[int, bool]:
    """How many steps' inputs' part is done at once, and whether that is beside the steps before."""
    step = a.shape[1] * a.shape[2] * a.itemsize
    if progress.size:
        return AHEAD, False
    if X.shape[2] and pays(X.shape[1], W_h.size * W_h.itemsize):
        return BLOCK, True
    return _steps_in(step), False


@lean_helper
def place_of(begin: int, inputs: Inputs) -> int:
    """Where in `a` the steps from `begin` on are."""
    X, _, _, a, at_once, _ = inputs
    steps = a.shape[0]
    return begin if steps == X.shape[0] else begin % (steps - steps % at_once)


@lean_view
def block_beside(inputs: Inputs, begin: int) -> Other:
    """What is done beside the steps before `begin`, if anything: these steps' inputs' part."""
    X, W_x, _, a, at_once, beside = inputs
    T, B, I = X.shape
    some = min(at_once, max(0, T - begin)) if beside else 0
    x, y = X.reshape(T * B, I), a.reshape(a.shape[0] * B, a.shape[2])
    place = place_of(begin, inputs)
    return x[begin : begin + some], W_x, y[place : place + some]


class Sharing(NamedTuple):
    """How threads share the steps: by units of rows, or else the layer's units."""

    threads: int
    rows: int  # how many units of rows
    looks: int  # for who shares the layer's units; else 0


def shared_by(T: int, B: int, per_row: int, panels: int) -> Sharing:
    """For so many multiply-adds of a row's step."""
    cost = float(T) * B * per_row
    count = threads.useful(cost)
    if ROWS * count > B:
        count = min(count, panels) if B * per_row > STEP else 1
        return Sharing(count, 1, int(cost / WAIT) if count > 1 else 0)
    if count == 1:
        return Sharing(1, 1, 0)
    # units of a few tiles at the least: each reads the weights once more
    units = min(UNITS * count, B // UNIT_ROWS)
    return Sharing(count, units if units > count and per_row <= NEAR else count, 0)


class _Way(NamedTuple):
    """What the sizes of a sequence say of its steps."""

    steps: int  # that `a` has room for, in …
    copies: int  # … so many of it
    sharing: Sharing
    ahead: bool  # one thread goes from step to step, and another does the inputs' part ahead of it


@functools.lru_cache(256)
def _way(
    X: tuple[int, ...], W_h: tuple[int, ...], itemsize: int, G: int, keep: bool, limit: int
) -> _Way:
    (T, B, I), (gates, panels, H, w) = X, W_h
    sharing = shared_by(T, B, gates * H * (H + I), panels)
    pay = threads.useful(float(T) * B * gates * H * I, threads.BESIDE) > 1
    steps = T if keep else min(T, _steps_in(B * G * panels * w * itemsize))
    ahead = T > 2 * AHEAD and pay and sharing.threads == 1 and steps == T
    if not keep and not ahead and pays(B, math.prod(W_h) * itemsize):
        steps = min(T, 2 * BLOCK)
    copies = sharing.threads if sharing.looks and not keep else 1
    return _Way(steps, copies, sharing, ahead)


def _way_of(X: Array, packed: Packed, G: int, *, keep: bool) -> _Way:
    return _way(X.shape, packed[1].shape, X.itemsize, G, keep, threads.limited())


def preactivations(X: Array, packed: Packed, G: int, *, keep: bool) -> Array:
    """Room for `a`: of all steps where the VJP wants them, else of those done at once.

    Then each thread that shares the layer's units has its own: what it writes would lie between the
    others' in lines that the processor brings to these in advance.
    """
    way, (_, panels, _, w) = _way_of(X, packed, G, keep=keep), packed[1].shape
    shape = way.copies * way.steps, X.shape[1], G, panels * w
    return room_for("preactivations", shape, X.dtype)


def new_progress(T: int) -> Array:
    """A roll of tickets, and a mark for each block of AHEAD steps."""
    return new_counter(1 + -(-T // AHEAD))


@lean_view
def mark_of(progress: Array, t: int) -> Array:
    """The mark of the block that step t is in."""
    return progress[(1 + t // AHEAD) * LINE :]


@lean_helper
def next_rows_unit(part: int, units: int, rolls: Array) -> int:
    """The next of so many units: first a thread's own, then what is left of others'; else -1.

    Processors that others use as well are seldom equally fast: of two halves one comes late. And
    what a thread did in the call before is in its own cache, which is far from the other's where
    they have no third one in common.
    """
    count = rolls.size // LINE
    for k in range(count):
        owner = (part + k) % count
        first, end = threads.share(units, owner, count)
        unit = first + take(rolls[owner * LINE :])
        if unit < end:
            return int(unit)
    return -1


def by_one(B: int) -> tuple[Array, int, int, int, Array]:
    """The barrier, and how, of one thread through all rows; the team stands behind them."""
    return NOBODY, 0, B, 1, NOTHING


def go_through(sharing: Sharing, B: int, work: Callable[..., Any], *given: Any) -> None:
    """Call work(*given, barrier, *how), `how` as for `in_either_way`, by one thread or by more."""
    if sharing.threads == 1:
        work(*given, *by_one(B), *threads.ALONE)
        return
    rolls = new_counter(sharing.threads) if sharing.rows > 1 else NOTHING
    how = new_counter(), sharing.looks, B, sharing.rows, rolls
    threads.in_team(sharing.threads, work, *given, *how)


def in_steps(X: Array, packed: Packed, a: Array, work: Callable[..., Any], *, keep: bool) -> None:
    """Call work(progress, copies, barrier, *how) for a forward pass, as `go_through` does.

    Where one thread does all steps, another of the team does the inputs' part ahead (see
    `inputs_ahead`): `progress` has the roll of its blocks, and a mark for each that is done. Else
    it is empty. Who shares the layer's units meets at the barrier, and has a copy of `a` of its
    own, but where all steps are kept.
    """
    way, (T, B, _) = _way_of(X, packed, a.shape[2], keep=keep), X.shape
    if way.ahead:
        threads.in_team(2, work, new_progress(T), 1, *by_one(B))
    else:
        go_through(way.sharing, B, work, NOTHING, way.copies)


@lean_view
def own_copy(a: Array, part: int, copies: int) -> Array:
    """A thread's own of these copies."""
    steps = a.shape[0] // copies
    return a[part % copies * steps : (part % copies + 1) * steps]


def in_either_way(steps: Any) -> Any:
    """A helper (arguments, how): steps(part, count, row, row_end, *arguments) of all rows.

    `how` is looks, B, units, rolls, a team, and how many of it. With `looks` they share the layer's
    units (see `team.gathered`), with rolls these units of rows; else part 0 does the steps, and the
    others come when they do.
    """

    @inlined
    def in_step(part: int, count: int, B: int, arguments: tuple[Any, ...]) -> None:
        steps(part, count, 0, B, *arguments)

    @inlined
    def by_rows(part: int, B: int, units: int, rolls: Array, arguments: tuple[Any, ...]) -> None:
        if rolls.size == 0:
            steps(part, 1, 0, B, *arguments)
            return
        unit = next_rows_unit(part, units, rolls)
        while unit >= 0:
            row, row_end = threads.share(B, unit, units, ROWS)
            steps(0, 1, row, row_end, *arguments)
            unit = next_rows_unit(part, units, rolls)

    together, in_parallel = gathered(in_step), shared(by_rows)

    @helper
    def go(arguments: tuple[Any, ...], how: tuple[Any, ...]) -> None:
        looks, B, units, rolls, team, count = how
        if looks:
            together(team, count, looks, (B, arguments))
        else:
            in_parallel(team, count, (B, units, rolls, arguments))

    return go


@inlined
def add_gates(
    x: Array,  # (rows, K)
    W: Array,  # (gates panels, K, WIDTH)
    a: Array,  # (rows, at least gates columns): from the first of these gates on
    part: Part,  # of the panels of a gate
    t: int,
    other: Other,
    left: int,
) -> int:
    """a += x W_gᵀ in step t for each gate g; where tiles of the other product are left, of one row.

    Then some of these are done beside it. Returns how many are left.
    """
    backwards = t % 2 == 1
    if left:
        return _gates_beside(x, W, a, part, backwards, other, left)
    panels, panel, panel_end = part
    if panel_end - panel == panels:  # in one go: a call costs as much as a small product
        multiply_by_turns(x, W, a, 0, W.shape[0], backwards)
        return 0
    count = W.shape[0] // panels
    for k in range(count):
        g = count - 1 - k if backwards else k
        of_gate, some = W[g * panels : (g + 1) * panels], a[:, g * panels * W.shape[2] :]
        multiply_by_turns(x, of_gate, some, panel, panel_end, backwards)
    return 0


@lean_helper
def _gates_beside(
    x: Array, W: Array, a: Array, part: Part, backwards: bool, other: Other, left: int
) -> int:
    each, panel, panel_end = part
    if panel_end - panel == each:
        each, panel_end = W.shape[0], W.shape[0]
    count = W.shape[0] // each
    for k in range(count):
        g = count - 1 - k if backwards else k
        of_gate, some = W[g * each : (g + 1) * each], a[:, g * each * W.shape[2] :]
        left = multiply_beside(x, of_gate, some, panel, panel_end, backwards, other, part, left)
    return left


@lean_helper
def inputs_part(
    X: Array,  # (T, B, I)
    W_x: Array,  # (gates panels, I, WIDTH)
    b: Array,  # (gates, columns)
    a: Array,  # (steps, B, gates columns), the steps begin … end-1 from `place` on
    begin: int,
    end: int,
    place: int,
    row: int,
    row_end: int,
    panel: int,
    panel_end: int,
) -> None:
    """a = b + X W_xᵀ for some steps, of one thread's part; the last gates may lack W_x."""
    B, I = X.shape[1:]
    w = W_x.shape[2]
    columns = a.shape[2] // b.shape[0]
    panels, flat = columns // w, b.reshape(b.size)
    some = W_x.shape[0] // panels if I else 0  # gates that have a product
    for t in range(place, place + end - begin):
        for i in range(row, row_end):
            for g in range(some, b.shape[0]):
                first, last = g * columns + panel * w, g * columns + panel_end * w
                fill(a[t, i, first:last], flat[first:last])
    if not I:
        return
    if row == 0 and row_end == B:  # one product of many rows
        x = X[begin:end].reshape((end - begin) * B, I)
        many = a[place : place + end - begin].reshape((end - begin) * B, a.shape[2])
        for g in range(W_x.shape[0] // panels):
            add_to(flat, 0, x, W_x, many, g * panels + panel, g * panels + panel_end)
        return
    for p in range(0, W_x.shape[0], 2):  # they stay in the cache while the steps go by
        p_end = min(p + 2, W_x.shape[0])
        for t in range(end - begin):
            add_to(flat, 0, X[begin + t, row:row_end], W_x, a[place + t, row:row_end], p, p_end)


def whole(lengths: Array, T: int) -> bool:
    """Whether every row has all T steps."""
    return lengths is all_steps(T, len(lengths)) or bool((lengths == T).all())


@lean_helper
def _next_block(X: Array, W_x: Array, b: Array, a: Array, progress: Array) -> bool:
    """The inputs' part of the next block that nobody has begun; whether there was one."""
    begin = take(progress) * AHEAD
    T, B = X.shape[:2]
    if begin >= T:
        return False
    end, panels = min(T, begin + AHEAD), a.shape[2] // b.shape[0] // W_x.shape[2]
    inputs_part(X, W_x, b, a, begin, end, begin, 0, B, 0, panels)
    mark(mark_of(progress, begin))
    return True


@lean_helper
def inputs_ahead(X: Array, W_x: Array, b: Array, a: Array, progress: Array) -> None:
    """The inputs' part of all blocks that nobody else begins."""
    while _next_block(X, W_x, b, a, progress):
        pass


@lean_helper
def inputs_ready(
    inputs: Inputs,
    begin: int,
    progress: Array,
    left: int,  # tiles that were not done beside the steps before
    row: int,
    row_end: int,
    panel: int,
    panel_end: int,
) -> int:
    """The inputs' part of the steps from `begin` on, whoever does it, or what is left of it.

    Returns how many tiles there are to do beside these steps.
    """
    X, W_x, b, a, at_once, beside = inputs
    if progress.size:
        ready = mark_of(progress, begin)
        while not marked(ready):
            if not _next_block(X, W_x, b, a, progress):
                wait(ready, 1)
        return 0
    part = a.shape[2] // b.shape[0] // W_x.shape[2], panel, panel_end
    if beside and begin:
        finish(block_beside(inputs, begin), part, left)
    else:
        end, place = min(X.shape[0], begin + at_once), place_of(begin, inputs)
        inputs_part(X, W_x, b, a, begin, end, place, row, row_end, panel, panel_end)
    if not beside:
        return 0
    other = block_beside(inputs, begin + at_once)
    begin_other(other, b, part)
    return tiles(other, part)


def last_valid(h: Array, h_0: Array, lengths: Array) -> Array:
    """The state of each row after its last valid step, (B, H)."""
    T, B, _ = h.shape
    if not T:
        return h_0.copy()
    if whole(lengths, T):
        all_of_it: Array = h[T - 1].copy()
        return all_of_it
    reached: Array = h[np.maximum(lengths, 1) - 1, np.arange(B)]
    last: Array = np.where(lengths[:, np.newaxis] > 0, reached, h_0)
    return last
