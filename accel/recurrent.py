"""What rnn, gru and lstm share: packed weights, the inputs' part, gradients, threads.

The preactivations are one array `a` (T, B, gates, columns), where columns are the units, filled up
to whole panels. X W_xᵀ + b is done for many steps at once, W_h h_prev step by step. Threads share
the rows of the batch, and meet nowhere; where the rows are too few they share the units instead,
and meet within each step.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnspec.accel import threads
from nnspec.accel.arrays import Array
from nnspec.accel.jit import helper, kernel
from nnspec.accel.packed import ROWS, aligned, multiply, pack, pack_transposed, width

# rows whose inputs' part is done at once: their `a` is still in the cache when its step comes
ROWS_AT_ONCE = 64
# rows that a weight's gradient sums over at once
SUM_BLOCK = 256

# row, row_end, panel, panel_end, barrier, threads at the barrier: one thread's part
Part = tuple[int, int, int, int, Array, int]


@kernel
def _pack_gates(W: Array, packed: Array) -> None:
    for g in range(W.shape[0]):
        pack_transposed(W[g], packed[g])


def gates(*weights: Array) -> Array:
    """Weights (H, K) of some gates, rows outputs, as panels (gates, panels, K, WIDTH) for x Wᵀ."""
    H, K = weights[0].shape
    dtype = weights[0].dtype
    w = width(dtype)
    stacked = np.empty((len(weights), H, K), dtype)
    for g, W in enumerate(weights):
        stacked[g] = W
    packed = aligned((len(weights), -(-H // w), K, w), dtype)
    _pack_gates(stacked, packed)
    return packed


@kernel
def _pack(M: Array, packed: Array) -> None:
    pack(M, packed)


def for_errors(*weights: Array) -> Array:
    """The same weights as panels (panels, gates columns, WIDTH) for da W, da a row of `a`."""
    H, K = weights[0].shape
    dtype = weights[0].dtype
    w = width(dtype)
    columns = -(-H // w) * w
    rows = np.zeros((len(weights) * columns, K), dtype)
    for g, W in enumerate(weights):
        rows[g * columns : g * columns + H] = W
    packed = aligned((-(-K // w), len(rows), w), dtype)
    _pack(rows, packed)
    return packed


@helper
def steps_at_once(B: int) -> int:
    """How many steps' inputs' part is done at once."""
    return max(1, ROWS_AT_ONCE // max(B, 1))


def preactivations(T: int, B: int, G: int, W_h: Array, *, keep: bool) -> Array:
    """Room for `a`: of all steps where the VJP wants them, else of those done at once."""
    _, panels, _, w = W_h.shape
    steps = T if keep else min(T, max(1, ROWS_AT_ONCE // max(B, 1)))
    return aligned((steps, B, G, panels * w), W_h.dtype)


def together(T: int, B: int, per_row: int, panels: int, work: Callable[..., Any]) -> None:
    """Call work(*part) in as many threads as pay; `per_row`: multiply-adds of a row's step."""
    count = threads.useful(float(T) * B * per_row)
    by_rows = ROWS * count <= B or count == 1
    if not by_rows:
        count = min(count, panels)
    barrier = threads.new_barrier()

    def part(index: int, count: int) -> None:
        if by_rows:
            work(*threads.share(B, index, count, ROWS), 0, panels, barrier, 1)
        else:
            work(0, B, *threads.share(panels, index, count), barrier, count)

    threads.together(count, part)


@helper
def inputs_part(
    X: Array,  # (T, B, I)
    W_x: Array,  # (gates, panels, I, WIDTH)
    b: Array,  # (gates, H)
    a: Array,  # (steps, B, gates, columns), the steps begin … end-1 from `place` on
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
    G, H = b.shape
    w = W_x.shape[3]
    first, last = panel * w, min(panel_end * w, H)
    for t in range(place, place + end - begin):
        for i in range(row, row_end):
            for g in range(G):
                a[t, i, g, first:last] = b[g, first:last]
    if row == 0 and row_end == B:  # one product of many rows
        x = X[begin:end].reshape((end - begin) * B, I)
        many = a[place : place + end - begin].reshape((end - begin) * B, G, a.shape[3])
        for g in range(W_x.shape[0]):
            multiply(x, W_x[g], many[:, g], panel, panel_end)
        return
    for t in range(end - begin):
        for g in range(W_x.shape[0]):
            some = a[place + t, row:row_end, g]
            multiply(X[begin + t, row:row_end], W_x[g], some, panel, panel_end)


def last_valid(h: Array, h_0: Array, lengths: Array) -> Array:
    """The state of each row after its last valid step, (B, H)."""
    T, B, _ = h.shape
    if not T:
        return h_0.copy()
    if (lengths == T).all():
        all_of_it: Array = h[T - 1].copy()
        return all_of_it
    reached: Array = h[np.maximum(lengths, 1) - 1, np.arange(B)]
    last: Array = np.where(lengths[:, np.newaxis] > 0, reached, h_0)
    return last


def valid_alone(X: Array, lengths: Array) -> Array:
    """X with zeros beyond the lengths: in a product the zero error there lets a NaN through."""
    T = len(X)
    if (lengths == T).all():
        return X
    valid = np.arange(T)[:, np.newaxis] < lengths
    alone: Array = np.where(valid[:, :, np.newaxis], X, X.dtype.type(0))
    return alone


def before(h: Array, h_0: Array) -> Array:
    """The state before each step, (T, B, H)."""
    return np.concatenate([h_0[np.newaxis], h[:-1]]) if len(h) else h


@kernel
def _add_products(
    da: Array,  # (N, gates, columns)
    Y: Array,  # (N, K)
    total: Array,  # (gates - gate, columns, K filled up to panels)
    w: int,
    gate: int,
    unit: int,
    unit_end: int,
) -> None:
    N = da.shape[0]
    count = total.shape[2] // w
    room = np.empty(count * SUM_BLOCK * w, Y.dtype)
    for start in range(0, N, SUM_BLOCK):
        depth = min(N - start, SUM_BLOCK)
        packed = room[: count * depth * w].reshape(count, depth, w)
        pack(Y[start : start + depth], packed)
        for g in range(total.shape[0]):
            some = da[start : start + depth, gate + g, unit:unit_end].T
            multiply(some, packed, total[g, unit:unit_end], 0, count)


def weight_gradients(da: Array, Y: Array, H: int, gates: range) -> Array:
    """Σ da[t, i, gate, unit] Y[t, i], (gates, H, K): da (T, B, gates, columns), Y (T, B, K)."""
    T, B, G, columns = da.shape
    K = Y.shape[2]
    w = width(Y.dtype)
    total = aligned((len(gates), columns, -(-K // w) * w), Y.dtype)
    flat_da, flat_Y = da.reshape(T * B, G, columns), Y.reshape(T * B, K)

    def part(index: int, count: int) -> None:
        units = threads.share(columns, index, count, ROWS)
        _add_products(flat_da, flat_Y, total, w, gates.start, *units)

    threads.together(threads.useful(float(T) * B * len(gates) * H * K), part)
    return np.ascontiguousarray(total[:, :H, :K])


@kernel
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


@kernel
def _product(x: Array, packed: Array, y: Array, row: int, row_end: int) -> None:
    multiply(x[row:row_end, : packed.shape[1]], packed, y[row:row_end], 0, packed.shape[0])


def product(x: Array, packed: Array, N: int) -> Array:
    """x M, (B, N), with M (K, N) packed; x (B, K) has many rows, and may have more columns."""
    y = aligned((x.shape[0], packed.shape[0] * packed.shape[2]), x.dtype)

    def part(index: int, count: int) -> None:
        _product(x, packed, y, *threads.share(len(x), index, count, ROWS))

    threads.together(threads.useful(float(len(x)) * packed.size), part)
    return np.ascontiguousarray(y[:, :N])


def input_gradients(da: Array, weights: Sequence[Array], I: int) -> Array:
    """da W_x for all steps, (T, B, I); the weights are those of the first gates."""
    T, B, G, columns = da.shape
    return product(da.reshape(T * B, G * columns), for_errors(*weights), I).reshape(T, B, I)
