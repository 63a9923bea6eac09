"""What rnn, gru and lstm share: packed weights, the inputs' part, gradients, threads.

The preactivations are one array `a` (T, B, gates, columns), where columns are the units, filled up
to whole panels. X W_xᵀ + b is done for many steps at once, W_h h_prev step by step. Threads share
the rows of the batch, and meet nowhere; where the rows are too few they share the units instead,
and meet within each step; where a step is too small for that, one thread goes from step to step,
and another does the inputs' part ahead of it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnspec.accel import threads
from nnspec.accel.arrays import Array, all_steps
from nnspec.accel.jit import lean_helper, lean_kernel
from nnspec.accel.packed import (
    ROWS,
    add_to,
    aligned,
    fill,
    multiply,
    multiply_by_turns,
    pack,
    pack_transposed,
    room_for,
    transpose,
    width,
)
from nnspec.accel.team import mark, marked, new_counter, take, wait

# bytes of `a` whose inputs' part is done at once: it is still in the cache when its step comes
AT_ONCE = 1 << 20
# units of rows for each thread, the rows of one, and the weights that are near enough to read more
# often
UNITS, UNIT_ROWS, NEAR = 4, 2 * ROWS, 1 << 18
# multiply-adds of a step that pay for threads which wait for each other in every step
STEP = 250_000
# steps whose inputs' part is done at once where two threads do it, numbers of a cache line
AHEAD, LINE = 24, 8
# rows that a weight's gradient sums over at once
SUM_BLOCK = 256
# units of a weight's gradient at once
UNIT_BLOCK = 64

# row, row_end, panel, panel_end, barrier, threads at the barrier: one thread's part
Part = tuple[int, int, int, int, Array, int]

# a kernel has one signature: always so many weights, the last one again where there are fewer
MOST_GATES = 4


def _four(weights: Sequence[Array]) -> tuple[Array, ...]:
    return (*weights, *[weights[-1]] * (MOST_GATES - len(weights)))


@lean_kernel
def _pack_gates(packed: Array, weights: Any, column: int) -> None:
    _, _, K, _ = packed.shape
    for g in range(packed.shape[0]):
        pack_transposed(weights[g][:, column : column + K], packed[g])


def gates(weights: Sequence[Array], column: int, K: int) -> Array:
    """K columns of the gates' weights (H, …), rows outputs, for x Wᵀ: (gates, panels, K, WIDTH)."""
    H, dtype = len(weights[0]), weights[0].dtype
    w = width(dtype)
    packed = aligned((len(weights), -(-H // w), K, w), dtype, zeros=False)
    _pack_gates(packed, _four(weights), column)
    return packed


@lean_kernel
def _pack_errors(packed: Array, weights: Any, column: int, count: int, K: int) -> None:
    columns = packed.shape[1] // count
    for g in range(count):
        W = weights[g]
        rows = packed[:, g * columns : (g + 1) * columns]
        pack(W[:, column : column + K], rows[:, : W.shape[0]])
        rows[:, W.shape[0] :] = 0


def biases_of(biases: Sequence[Array]) -> Array:
    """The gates' biases (H,), filled up to whole panels: (gates, columns)."""
    H, dtype = len(biases[0]), biases[0].dtype
    w = width(dtype)
    b = aligned((len(biases), -(-H // w) * w), dtype)
    for row, values in zip(b, biases, strict=True):
        row[:H] = values
    return b


def for_errors(weights: Sequence[Array], column: int, K: int) -> Array:
    """The same columns for da W, da a row of `a`: (panels, gates columns, WIDTH)."""
    H, dtype = len(weights[0]), weights[0].dtype
    w = width(dtype)
    columns = -(-H // w) * w
    packed = aligned((-(-K // w), len(weights) * columns, w), dtype, zeros=False)
    _pack_errors(packed, _four(weights), column, len(weights), K)
    return packed


@lean_helper
def _steps_in(step: int) -> int:
    """How many steps' inputs' part is near enough, a step's `a` being so many bytes."""
    return max(1, AT_ONCE // max(step, 1))


@lean_helper
def steps_at_once(a: Array, progress: Array) -> int:
    """How many steps' inputs' part is done at once."""
    step = a.shape[1] * a.shape[2] * a.shape[3] * a.itemsize
    return AHEAD if progress.size else _steps_in(step)


def preactivations(T: int, B: int, G: int, W_h: Array, *, keep: bool) -> Array:
    """Room for `a`: of all steps where the VJP wants them, else of those done at once."""
    _, panels, _, w = W_h.shape
    step = B * G * panels * w * W_h.itemsize
    steps = T if keep else min(T, _steps_in(step))
    return room_for("preactivations", (steps, B, G, panels * w), W_h.dtype)


def _threads(T: int, B: int, per_row: int, panels: int) -> tuple[int, bool]:
    """How many threads share the steps, and whether by rows; `per_row`: multiply-adds of a row."""
    count = threads.useful(float(T) * B * per_row)
    if ROWS * count <= B:
        return count, True
    return min(count, panels) if B * per_row > STEP else 1, False


def together(T: int, B: int, per_row: int, panels: int, work: Callable[..., Any]) -> None:
    """Call work(*part) in as many threads as pay; `per_row`: multiply-adds of a row's step."""
    count, by_rows = _threads(T, B, per_row, panels)
    barrier = new_counter()
    if count == 1:
        work(0, B, 0, panels, barrier, 1)
        return
    if by_rows:
        # units of a few tiles at the least: each reads the weights once more
        units = min(UNITS * count, B // UNIT_ROWS)
        units = units if units > count and per_row <= NEAR else count

        def rows(unit: int) -> None:
            work(*threads.share(B, unit, units, ROWS), 0, panels, barrier, 1)

        threads.in_turn(count, units, rows)
        return

    def part(index: int, count: int) -> None:
        work(0, B, *threads.share(panels, index, count), barrier, count)

    threads.together(count, part)


def in_steps(X: Array, packed: Sequence[Array], a: Array, work: Callable[..., Any]) -> None:
    """Call work(progress, *part) for a forward pass, as `together`; `packed`: W_x, W_h, b and more.

    Where one thread does all steps, another does the inputs' part ahead: `progress` has the roll of
    its blocks, and a mark for each that is done. Else it is empty.
    """
    W_x, W_h, b = packed[:3]
    (T, B, I), (G, panels, H, _) = X.shape, W_h.shape
    per_row, blocks = G * H * (H + I), -(-T // AHEAD)
    ahead = len(a) == T and blocks > 2 and threads.useful(float(T) * B * G * H * I) > 1
    if not ahead or _threads(T, B, per_row, panels)[0] > 1:
        nothing = np.empty(0, np.int64)
        together(T, B, per_row, panels, lambda *part: work(nothing, *part))
        return
    progress = np.zeros((1 + blocks) * LINE, np.int64)

    def part(index: int, _: int) -> None:
        if index == 0:
            work(progress, 0, B, 0, panels, new_counter(), 1)
        else:
            _inputs_ahead(X, W_x, b, a, progress)

    threads.together(2, part)


@lean_helper
def clear_beyond(a: Array, H: int) -> None:
    """0 in the columns that fill up each gate's last panel: NaN where the input is infinite."""
    for g in range(a.shape[0]):
        for k in range(H, a.shape[1]):
            a[g, k] = 0


@lean_helper
def add_gates(
    x: Array,  # (rows, K)
    W: Array,  # (gates panels, K, WIDTH)
    a: Array,  # (rows, at least gates columns): from the first of these gates on
    panels: int,  # of one gate
    panel: int,
    panel_end: int,
    backwards: bool,
) -> None:
    """a += x W_gᵀ for each gate g, of one thread's panels."""
    if panel_end - panel == panels:  # in one go: a call costs as much as a small product
        multiply_by_turns(x, W, a, 0, W.shape[0], backwards)
        return
    count = W.shape[0] // panels
    for k in range(count):
        g = count - 1 - k if backwards else k
        of_gate, some = W[g * panels : (g + 1) * panels], a[:, g * panels * W.shape[2] :]
        multiply_by_turns(x, of_gate, some, panel, panel_end, backwards)


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
    mark(progress[(1 + begin // AHEAD) * LINE :])
    return True


@lean_kernel
def _inputs_ahead(X: Array, W_x: Array, b: Array, a: Array, progress: Array) -> None:
    V_x = W_x.reshape(W_x.shape[0] * W_x.shape[1], X.shape[2], W_x.shape[3])
    flat = a.reshape(a.shape[0], a.shape[1], a.shape[2] * a.shape[3])
    while _next_block(X, V_x, b, flat, progress):
        pass


@lean_helper
def inputs_ready(
    X: Array,
    W_x: Array,
    b: Array,
    a: Array,
    begin: int,
    end: int,
    place: int,
    progress: Array,
    row: int,
    row_end: int,
    panel: int,
    panel_end: int,
) -> None:
    """`inputs_part`, by this thread or by the one that does it ahead."""
    if progress.size == 0:
        inputs_part(X, W_x, b, a, begin, end, place, row, row_end, panel, panel_end)
        return
    done = progress[(1 + begin // AHEAD) * LINE :]
    while not marked(done):
        if not _next_block(X, W_x, b, a, progress):
            wait(done, 1)


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


def valid_alone(X: Array, lengths: Array) -> Array:
    """X with zeros beyond the lengths: in a product the zero error there lets a NaN through."""
    T = len(X)
    if whole(lengths, T):
        return X
    valid = np.arange(T)[:, np.newaxis] < lengths
    alone: Array = np.where(valid[:, :, np.newaxis], X, X.dtype.type(0))
    return alone


def before(h: Array, h_0: Array) -> Array:
    """The state before each step, (T, B, H)."""
    return np.concatenate([h_0[np.newaxis], h[:-1]]) if len(h) else h


@lean_kernel
def _add_products(
    da: Array,  # (N, gates, columns)
    Y: Array,  # (N, K)
    total: Array,  # (targets, columns, at least column + K filled up to panels)
    right: Array,  # room for Y: (panels, SUM_BLOCK, WIDTH)
    left: Array,  # room for da: (UNIT_BLOCK, SUM_BLOCK)
    gate: int,
    gate_end: int,
    target: int,
    column: int,
    unit: int,
    unit_end: int,
) -> None:
    N = da.shape[0]
    count, _, w = right.shape
    end_column = column + count * w
    for start in range(0, N, SUM_BLOCK):
        depth = min(N - start, SUM_BLOCK)
        packed = right.reshape(right.size)[: count * depth * w].reshape(count, depth, w)
        pack(Y[start : start + depth], packed)
        for g in range(gate, gate_end):
            y = total[target + g - gate]
            for u in range(unit, unit_end, UNIT_BLOCK):
                end = min(unit_end, u + UNIT_BLOCK)
                rows = left[: end - u, :depth]
                transpose(da[start : start + depth, g, u:end], rows)
                multiply(rows, packed, y[u:end, column:end_column], 0, count)


# gates of `a`, the rows that their errors meet, and where the products go: first gate and column
Sum = tuple[range, Array, int, int]


def weight_gradients(da: Array, shape: tuple[int, int, int], *sums: Sum) -> Array:
    """Σ da[t, i, gate, unit] Y[t, i] for each sum, in one array (gates, H, K).

    da is (T, B, gates, columns), Y (T, B, its share of K).
    """
    T, B, G, columns = da.shape
    targets, H, K = shape
    w = width(da.dtype)
    total = np.zeros((targets, columns, K), da.dtype)
    flat = da.reshape(T * B, G, columns)
    # a sum that does not end with a whole panel would write over what stands behind it
    rooms = [
        total
        if Y.shape[2] % w == 0
        else np.zeros((len(some), columns, -(-Y.shape[2] // w) * w), da.dtype)
        for some, Y, _, _ in sums
    ]

    def part(index: int, count: int) -> None:
        units = threads.share(columns, index, count, ROWS)
        left = room_for("errors", (UNIT_BLOCK, SUM_BLOCK), da.dtype)
        for (some, Y, target, column), room in zip(sums, rooms, strict=True):
            place = (target, column) if room is total else (0, 0)
            rows = Y.reshape(T * B, Y.shape[2])
            right = room_for("rows", (-(-Y.shape[2] // w), SUM_BLOCK, w), da.dtype)
            _add_products(flat, rows, room, right, left, some.start, some.stop, *place, *units)

    threads.together(threads.useful(float(T) * B * targets * H * K), part)
    for (some, Y, target, column), room in zip(sums, rooms, strict=True):
        if room is not total:
            end = column + Y.shape[2]
            total[target : target + len(some), :, column:end] = room[:, :, : Y.shape[2]]
    return total[:, :H]


@lean_kernel
def _add_rows(da: Array, total: Array) -> None:
    for n in range(da.shape[0]):
        row = da[n]
        for k in range(row.size):
            total[k] += row[k]


def bias_gradients(da: Array, H: int) -> Array:
    """Σ da[t, i], (gates, H)."""
    T, B, G, columns = da.shape
    total = np.zeros(G * columns, da.dtype)
    _add_rows(da.reshape(T * B, G * columns), total)
    return total.reshape(G, columns)[:, :H]


@lean_kernel
def _product(x: Array, packed: Array, y: Array, row: int, row_end: int) -> None:
    multiply(x[row:row_end, : packed.shape[1]], packed, y[row:row_end], 0, packed.shape[0])


def product(x: Array, packed: Array, N: int) -> Array:
    """x M, (B, N), with M (K, N) packed; x (B, K) has many rows, and may have more columns."""
    y = aligned((x.shape[0], packed.shape[0] * packed.shape[2]), x.dtype)

    def part(index: int, count: int) -> None:
        _product(x, packed, y, *threads.share(len(x), index, count, ROWS))

    threads.together(threads.useful(float(len(x)) * packed.size), part)
    return np.ascontiguousarray(y[:, :N])


def input_gradients(da: Array, weights: Sequence[Array], column: int, I: int) -> Array:
    """da W_x for all steps, (T, B, I); the weights are those of the first gates."""
    T, B, G, columns = da.shape
    packed = for_errors(weights, column, I)
    return product(da.reshape(T * B, G * columns), packed, I).reshape(T, B, I)
