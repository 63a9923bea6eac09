"""Long Short-Term Memory as kernels; two directions and two layers put together from sequences.

A step is a sequence of one. The gates are in the order i, f, g, o. With peepholes i and f see the
old cell, o the new one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from nnspec.accel.arrays import Array, arrays, reader, transposed, whole_or
from nnspec.accel.backward import (
    begin_back,
    clear_beyond,
    errors_of,
    go_back,
    hand_down,
    last_rows,
    next_rows,
    states,
    valid_alone,
    went_back,
)
from nnspec.accel.dense import add_outer, add_product, named
from nnspec.accel.gru import gru_sequence, gru_sequence_vjp
from nnspec.accel.jit import inlined, kernel, lean_helper, lean_kernel
from nnspec.accel.packed import fill
from nnspec.accel.recurrent import (
    Packed,
    add_gates,
    block_beside,
    in_either_way,
    in_steps,
    inputs_ahead,
    inputs_ready,
    last_valid,
    own_copy,
    pack_layer,
    place_of,
    preactivations,
    steps_at_once,
)
from nnspec.accel.rnn import rnn_sequence, rnn_sequence_vjp
from nnspec.accel.scalar import ONE
from nnspec.accel.sums import NO_SUM
from nnspec.accel.team import meet
from nnspec.accel.threads import share
from nnspec.accel.vector_math import sigmoid, tanh
from nnspec.accel.vectors import lanes, put, take, zero_vector


@inlined
def _cell(
    i: Array,  # these four: preactivations; the gates where they are kept
    f: Array,
    g: Array,
    o: Array,
    p: Array,  # (3, columns): of i, f and o
    c: Array,  # c_{t-1}, then c_t
    cell: Array,  # c_t where it is kept
    h: Array,
    peepholes: bool,
    keep: bool,
) -> None:
    """c = f c + i g and h = o tanh(c), of one row.

    In two loops: a processor looks some 500 instructions ahead, and waits for the end of a chain as
    long as both make.
    """
    for k in range(0, c.size, lanes(c)):
        c_prev = take(c, k)
        a_i, a_f = take(i, k), take(f, k)
        if peepholes:  # not by p = 0: 0 times an infinite cell is NaN
            a_i += take(p[0], k) * c_prev
            a_f += take(p[1], k) * c_prev
        i_t, f_t, g_t = sigmoid(a_i), sigmoid(a_f), tanh(take(g, k))
        c_t = f_t * c_prev + i_t * g_t
        put(c, k, c_t)
        if keep:
            put(i, k, i_t)
            put(f, k, f_t)
            put(g, k, g_t)
            put(cell, k, c_t)
    for k in range(0, c.size, lanes(c)):
        c_t, a_o = take(c, k), take(o, k)
        if peepholes:
            a_o += take(p[2], k) * c_t
        o_t = sigmoid(a_o)
        put(h, k, o_t * tanh(c_t))
        if keep:
            put(o, k, o_t)


@lean_helper
def _steps(
    part: int,  # of the units; or 0 for the steps, else the inputs' part ahead of them
    count: int,  # who shares the units
    row: int,
    row_end: int,
    X: Array,  # (T, B, I)
    W_x: Array,  # (4, panels, I, WIDTH): what x meets of W_i, W_f, W_g and W_o
    W_h: Array,  # (4, panels, H, WIDTH): what h meets
    b: Array,  # (4, columns)
    p: Array,  # (3, H): of i, f and o
    h_0: Array,  # (B, H)
    lengths: Array,  # (B,)
    a: Array,  # (steps, B, 4, columns): preactivations, then i, f, g and o
    c: Array,  # (B, H): c_0, then c_T
    cells: Array,  # (T, B, H): every c where they are kept, else empty
    h: Array,  # (T, B, H)
    peepholes: bool,
    progress: Array,
    copies: int,
    barrier: Array,
) -> None:
    T, B, H = h.shape
    keep = cells.shape[0] > 0
    panel, panel_end = share(W_h.shape[1], part, count)
    first, last = panel * W_h.shape[3], min(panel_end * W_h.shape[3], H)
    a = own_copy(a, part, copies)
    V_x = W_x.reshape(W_x.shape[0] * W_x.shape[1], X.shape[2], W_x.shape[3])
    V_h = W_h.reshape(W_h.shape[0] * W_h.shape[1], H, W_h.shape[3])
    flat = a.reshape(a.shape[0], B, a.shape[2] * a.shape[3])
    own_panels = W_h.shape[1], panel, panel_end
    if progress.size and part > 0:
        inputs_ahead(X, V_x, b, flat, progress)
        return
    (at_once, beside), tiles = steps_at_once(X, V_h, flat, progress), 0
    inputs = X, V_x, b, flat, at_once, beside
    for begin in range(0, T, at_once):
        end, place = min(T, begin + at_once), place_of(begin, inputs)
        own = row, row_end, panel, panel_end
        tiles, other = inputs_ready(inputs, begin, progress, tiles, *own), block_beside(inputs, end)
        for t in range(begin, end):
            h_prev = h[t - 1] if t > 0 else h_0
            gate_t = a[place + t - begin]
            rows = flat[place + t - begin, row:row_end]
            h_rows = h_prev[row:row_end]
            tiles = add_gates(h_rows, V_h, rows, own_panels, t, other, tiles)
            for n in range(row, row_end):
                cell = c[n, first:last]
                kept = cells[t, n, first:last] if keep else cell
                if t < lengths[n]:
                    i, f = gate_t[n, 0, first:last], gate_t[n, 1, first:last]
                    g, o = gate_t[n, 2, first:last], gate_t[n, 3, first:last]
                    h_t = h[t, n, first:last]
                    _cell(i, f, g, o, p[:, first:last], cell, kept, h_t, peepholes, keep)
                else:
                    h[t, n, first:last] = 0
                    if keep:
                        fill(kept, cell)
            meet(barrier, count)  # the next product takes all of h_t


_in_either_way = in_either_way(_steps)


@lean_kernel
def _states(*arguments: Any) -> None:
    """The arguments of `_steps` after its rows, then six for `in_either_way`."""
    _in_either_way(arguments[:-6], arguments[-6:])


@inlined
def _errors(
    i: Array,  # these four: gates, then the errors of their preactivations
    f: Array,
    g: Array,
    o: Array,
    p: Array,  # (3, columns): of i, f and o
    c: Array,
    c_prev: Array,
    dh: Array,
    carry: Array,  # the next step's error of h, then 0
    dc: Array,  # the next step's error of c, then this step's of c_{t-1}
    peepholes: bool,
) -> None:
    """The errors of one row's step."""
    for k in range(0, c.size, lanes(c)):
        i_t, f_t, g_t, o_t = take(i, k), take(f, k), take(g, k), take(o, k)
        e = take(dh, k) + take(carry, k)
        m = tanh(take(c, k))
        da_o = e * m * (o_t * (ONE - o_t))
        dc_t = take(dc, k) + e * o_t * (ONE - m * m)
        if peepholes:
            dc_t += take(p[2], k) * da_o
        da_i = dc_t * g_t * (i_t * (ONE - i_t))
        da_f = dc_t * take(c_prev, k) * (f_t * (ONE - f_t))
        put(g, k, dc_t * i_t * (ONE - g_t * g_t))
        dc_prev = dc_t * f_t
        if peepholes:
            dc_prev += take(p[0], k) * da_i + take(p[1], k) * da_f
        put(i, k, da_i)
        put(f, k, da_f)
        put(o, k, da_o)
        put(dc, k, dc_prev)
        put(carry, k, zero_vector(c))


@lean_helper
def _steps_back(
    part: int,  # of the units
    count: int,  # who shares them
    row: int,
    row_end: int,
    dh: Array,  # (T, B, H)
    W_h: Array,  # (panels, 4 columns, WIDTH): for da W_h
    p: Array,  # (3, H)
    c_0: Array,  # (B, H)
    cells: Array,  # (T, B, H)
    lengths: Array,  # (B,)
    a: Array,  # (T, B, 4, columns): i, f, g and o, then their errors
    carry: Array,  # (B, columns): dh_T, then dh_0
    dc: Array,  # (B, H): dc_T, then dc_0
    peepholes: bool,
    M: Array,  # these three: see `backward.Errors`
    zeros: Array,
    dX: Array,
    beside: bool,
    progress: Array,
    barrier: Array,
) -> None:
    T, _, H = dh.shape
    flat = a.reshape(T, a.shape[1], a.shape[2] * a.shape[3])
    panel, panel_end = share(W_h.shape[0], part, count)
    first, last = panel * W_h.shape[2], min(panel_end * W_h.shape[2], H)
    errors, tiles = errors_of(a, M, zeros, dX), 0
    for t in range(T - 1, -1, -1):
        if beside:
            tiles = next_rows(errors, W_h, t, panel, panel_end, tiles)
        for n in range(row, row_end):
            clear_beyond(a[t, n], H)
            if t >= lengths[n]:
                a[t, n, :, first:last] = 0
                continue
            i, f = a[t, n, 0, first:last], a[t, n, 1, first:last]
            g, o = a[t, n, 2, first:last], a[t, n, 3, first:last]
            c_prev = cells[t - 1, n, first:last] if t > 0 else c_0[n, first:last]
            error, dcell = carry[n, first:last], dc[n, first:last]
            c, dh_t = cells[t, n, first:last], dh[t, n, first:last]
            see = p[:, first:last]
            _errors(i, f, g, o, see, c, c_prev, dh_t, error, dcell, peepholes)
        went_back(t, progress)
        meet(barrier, count)  # the product takes the errors of all units
        da_t, error_t = flat[t, row:row_end], carry[row:row_end]
        tiles = hand_down(da_t, W_h, error_t, panel, panel_end, t, errors, tiles)
    if beside:
        last_rows(errors, W_h, panel, panel_end, tiles)


_back_in_either_way = in_either_way(_steps_back)


@lean_kernel
def _states_vjp(*arguments: Any) -> None:
    """The arguments of `_steps_back` after its rows, then six for `in_either_way`."""
    _back_in_either_way(arguments[:-6], arguments[-6:])


@kernel
def _coupled(
    x: Array,  # (B, I)
    W_T: Array,  # (H + I, 2 H)
    b: Array,  # (2 H,)
    h_prev: Array,  # (B, H)
) -> tuple[Array, Array]:  # (B, H), and i, g for the VJP
    B, I = x.shape
    H = h_prev.shape[1]
    h = np.empty_like(h_prev)
    gates = np.empty((B, 2, H), x.dtype)
    hx = np.empty(H + I, x.dtype)
    a = np.empty(2 * H, x.dtype)
    for n in range(B):
        for k in range(H):
            hx[k] = h_prev[n, k]
        for k in range(I):
            hx[H + k] = x[n, k]
        for k in range(2 * H):
            a[k] = b[k]
        add_product(a, hx, W_T)
        for k in range(H):
            i = sigmoid(a[k])
            g = np.tanh(a[H + k])
            gates[n, 0, k] = i
            gates[n, 1, k] = g
            h[n, k] = (ONE - i) * h_prev[n, k] + i * g
    return h, gates


@kernel
def _coupled_vjp(
    x: Array,  # (B, I)
    W: Array,  # (2 H, H + I)
    h_prev: Array,  # (B, H)
    gates: Array,  # (B, 2, H)
    dh: Array,  # (B, H)
) -> tuple[Array, Array, Array, Array]:
    B, I = x.shape
    H = h_prev.shape[1]
    dx = np.empty_like(x)
    dh_prev = np.empty_like(h_prev)
    dW = np.zeros_like(W)
    db = np.zeros(2 * H, x.dtype)
    hx = np.empty(H + I, x.dtype)
    dhx = np.empty(H + I, x.dtype)
    da = np.empty(2 * H, x.dtype)
    for n in range(B):
        for k in range(I):
            hx[H + k] = x[n, k]
        for k in range(H):
            hx[k] = h_prev[n, k]
            i = gates[n, 0, k]
            g = gates[n, 1, k]
            da[k] = dh[n, k] * (g - h_prev[n, k]) * (i * (ONE - i))
            da[H + k] = dh[n, k] * i * (ONE - g * g)
        for k in range(2 * H):
            db[k] += da[k]
        for k in range(H + I):
            dhx[k] = 0
        add_product(dhx, da, W)
        add_outer(dW, da, hx)
        for k in range(H):
            dh_prev[n, k] = dh[n, k] * (ONE - gates[n, 0, k]) + dhx[k]
        for k in range(I):
            dx[n, k] = dhx[H + k]
    return dx, dh_prev, dW, db


# arrays as they were given, of which some may be None, or numbers
Some = tuple[Any, ...]


def _pack(weights: list[Array], biases: list[Array], *, keep: bool) -> Packed:
    """W_x, W_h and b of `_states`."""
    return pack_layer(weights, len(weights[0]), weights, biases, keep=keep)


def _run_packed(
    X: Array,
    packed: Packed,
    p: Array,  # (3, H), or none
    h_0: Array,
    c_0: Array,
    lengths: Array,
    kept: tuple[Array, Array] | None = None,
) -> tuple[Array, Array, Array]:
    """h and c_T, and the gates too where there is room to keep every h and c."""
    (T, B, _), H = X.shape, h_0.shape[1]
    a = preactivations(X, packed, 4, keep=kept is not None)
    c = c_0.copy()
    h, cells = kept or (np.empty((T, B, H), X.dtype), np.empty((0, B, H), X.dtype))

    def work(*part: Any) -> None:
        _states(X, *packed, p, h_0, lengths, a, c, cells, h, p.size > 0, *part)

    in_steps(X, packed, a, work, keep=kept is not None)
    return h, c, a


_WEIGHTS = {f"W_{gate}": "H H+I" for gate in "ifgo"} | {f"b_{gate}": "H" for gate in "ifgo"}
_STARTS = {"h_0": "B H", "c_0": "B H"}
_ERRORS = {"dh": "T B H", "dh_T": "B H", "dc_T": "B H"}
_PEEPHOLES = {"p_i": "H", "p_f": "H", "p_o": "H"}
# by how many errors and peepholes there are: all or none of them
_READERS = {
    (len(errors), len(peepholes)): reader(X="T B I", **_WEIGHTS, **_STARTS, **errors, **peepholes)
    for errors in ({}, _ERRORS)
    for peepholes in ({}, _PEEPHOLES)
}


def _ready(
    X: Any, weights: Some, biases: Some, peepholes: Some, starts: Some, errors: Some = ()
) -> tuple[Array, list[Array], list[Array], Array, list[Array]]:
    """X, 4 weights, 4 biases, the peepholes' (3, H) or none, and the rest: h_0, c_0, errors."""
    read = _READERS[len(errors), len(peepholes)]
    X, *found = read(X, *weights, *biases, *starts, *errors, *peepholes)
    p = np.stack(found[-3:]) if peepholes else np.empty((3, 0), X.dtype)
    return X, found[:4], found[4:8], p, found[8 : 10 + len(errors)]


def _run(
    X: Any, weights: Some, biases: Some, peepholes: Some, starts: Some, lengths: Any
) -> tuple[Array, Array, Array]:
    """h, h_T and c_T of a sequence; `peepholes` are p_i, p_f and p_o, or none."""
    X, W, b, p, (h_0, c_0) = _ready(X, weights, biases, peepholes, starts)
    lengths = whole_or(lengths, *X.shape[:2])
    h, c_T, _ = _run_packed(X, _pack(W, b, keep=False), p, h_0, c_0, lengths)
    return h, last_valid(h, h_0, lengths), c_T


def _run_vjp(
    X: Any,
    weights: Some,
    given_b: Some,
    peepholes: Some,
    starts: Some,
    errors: Some,  # dh, dh_T and dc_T
    lengths: Any,
) -> dict[str, Array]:
    """The gradients of a sequence."""
    ready = _ready(X, weights, given_b, peepholes, starts, errors)
    X, W, b, p, (h_0, c_0, dh, dh_T, dc_T) = ready
    (T, B, _), (H, K) = X.shape, W[0].shape
    lengths = whole_or(lengths, T, B)
    (h_prevs, h), (c_prevs, cells) = states(h_0, T), states(c_0, T)
    _, _, a = _run_packed(X, _pack(W, b, keep=False), p, h_0, c_0, lengths, (h, cells))
    (carry, M, W_h, _), dc = begin_back(dh_T, W, H, W), dc_T.copy()

    def work(*part: Any) -> None:
        _states_vjp(dh, W_h, p, c_0, cells, lengths, a, carry, dc, p.size > 0, *part)

    X_valid, dW = valid_alone(X, lengths), np.empty((4, H, K), X.dtype)
    sums, Ys = ((0, 4, 0, 0), (0, 4, 0, H), NO_SUM), (h_prevs, X_valid, X_valid)
    dX, db = go_back(work, 4 * H * H, W_h.shape[0], a, X, M, sums, Ys, (dW, dW, dW))
    (dW_i, dW_f, dW_g, dW_o), (db_i, db_f, db_g, db_o), (b_i, b_f, b_g, b_o) = dW, db, given_b
    d = {"dX": dX, "dW_i": dW_i, "dW_f": dW_f, "dW_g": dW_g, "dW_o": dW_o}
    d |= {"dh_0": carry[:, :H].copy(), "dc_0": dc}
    d |= named(db_i=(db_i, b_i), db_f=(db_f, b_f), db_g=(db_g, b_g), db_o=(db_o, b_o))
    if not peepholes:
        return d
    da_i, da_f, da_o = a[:, :, 0, :H], a[:, :, 1, :H], a[:, :, 3, :H]
    d["dp_i"], d["dp_f"] = (da_i * c_prevs).sum(axis=(0, 1)), (da_f * c_prevs).sum(axis=(0, 1))
    d["dp_o"] = (da_o * cells).sum(axis=(0, 1))
    return d


def lstm_step(
    x: Array,  # (B, I)
    h_prev: Array,  # (B, H)
    c_prev: Array,  # (B, H)
    W_i: Array,  # (H, H + I)
    W_f: Array,  # (H, H + I)
    W_g: Array,  # (H, H + I)
    W_o: Array,  # (H, H + I)
    *,
    b_i: Array | None = None,  # (H,)
    b_f: Array | None = None,  # (H,)
    b_g: Array | None = None,  # (H,)
    b_o: Array | None = None,  # (H,)
) -> tuple[Array, Array]:
    """One step, h and c (B, H)."""
    X, starts = np.asarray(x)[np.newaxis], (h_prev, c_prev)
    weights, biases = (W_i, W_f, W_g, W_o), (b_i, b_f, b_g, b_o)
    return _run(X, weights, biases, (), starts, None)[1:]


def lstm_step_vjp(
    x: Array,
    h_prev: Array,
    c_prev: Array,
    W_i: Array,
    W_f: Array,
    W_g: Array,
    W_o: Array,
    dh: Array,  # (B, H)
    dc: Array,  # (B, H)
    *,
    b_i: Array | None = None,
    b_f: Array | None = None,
    b_g: Array | None = None,
    b_o: Array | None = None,
) -> dict[str, Array]:
    """The VJP of a sequence of one, where the last states alone have cotangents."""
    X, errors, starts = _sequence_of_one(x, h_prev, c_prev, dh, dc)
    weights, biases = (W_i, W_f, W_g, W_o), (b_i, b_f, b_g, b_o)
    return _of_a_step(_run_vjp(X, weights, biases, (), starts, errors, None))


def _sequence_of_one(
    x: Array, h_prev: Array, c_prev: Array, dh: Array, dc: Array
) -> tuple[Array, Some, Some]:
    """X (1, B, I), its errors, of no influence but for the last states, and its first states."""
    errors = np.zeros_like(np.asarray(dh)[np.newaxis]), dh, dc
    return np.asarray(x)[np.newaxis], errors, (h_prev, c_prev)


def _of_a_step(d: dict[str, Array]) -> dict[str, Array]:
    """The gradients of a sequence of one by the names of a step's."""
    return {"dx": d.pop("dX")[0], "dh_prev": d.pop("dh_0"), "dc_prev": d.pop("dc_0")} | d


def lstm_peephole_step(
    x: Array,  # (B, I)
    h_prev: Array,  # (B, H)
    c_prev: Array,  # (B, H)
    W_i: Array,  # (H, H + I)
    W_f: Array,  # (H, H + I)
    W_g: Array,  # (H, H + I)
    W_o: Array,  # (H, H + I)
    p_i: Array,  # (H,)
    p_f: Array,  # (H,)
    p_o: Array,  # (H,)
    *,
    b_i: Array | None = None,  # (H,)
    b_f: Array | None = None,  # (H,)
    b_g: Array | None = None,  # (H,)
    b_o: Array | None = None,  # (H,)
) -> tuple[Array, Array]:
    """One step with peepholes, h and c (B, H)."""
    X, starts = np.asarray(x)[np.newaxis], (h_prev, c_prev)
    weights, biases = (W_i, W_f, W_g, W_o), (b_i, b_f, b_g, b_o)
    return _run(X, weights, biases, (p_i, p_f, p_o), starts, None)[1:]


def lstm_peephole_step_vjp(
    x: Array,
    h_prev: Array,
    c_prev: Array,
    W_i: Array,
    W_f: Array,
    W_g: Array,
    W_o: Array,
    p_i: Array,
    p_f: Array,
    p_o: Array,
    dh: Array,  # (B, H)
    dc: Array,  # (B, H)
    *,
    b_i: Array | None = None,
    b_f: Array | None = None,
    b_g: Array | None = None,
    b_o: Array | None = None,
) -> dict[str, Array]:
    """The VJP of a sequence of one, where the last states alone have cotangents."""
    X, errors, starts = _sequence_of_one(x, h_prev, c_prev, dh, dc)
    weights, biases = (W_i, W_f, W_g, W_o), (b_i, b_f, b_g, b_o)
    return _of_a_step(_run_vjp(X, weights, biases, (p_i, p_f, p_o), starts, errors, None))


def lstm_sequence(
    X: Array,  # (T, B, I)
    W_i: Array,  # (H, H + I)
    W_f: Array,  # (H, H + I)
    W_g: Array,  # (H, H + I)
    W_o: Array,  # (H, H + I)
    *,
    h_0: Array | None = None,  # (B, H)
    c_0: Array | None = None,  # (B, H)
    b_i: Array | None = None,  # (H,)
    b_f: Array | None = None,  # (H,)
    b_g: Array | None = None,  # (H,)
    b_o: Array | None = None,  # (H,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
) -> tuple[Array, Array, Array]:
    """The states h (T, B, H), 0 beyond the lengths, and the last valid ones, h_T and c_T."""
    weights, biases = (W_i, W_f, W_g, W_o), (b_i, b_f, b_g, b_o)
    return _run(X, weights, biases, (), (h_0, c_0), lengths)


def lstm_sequence_of(
    W_i: Array,
    W_f: Array,
    W_g: Array,
    W_o: Array,
    *,
    b_i: Array | None = None,
    b_f: Array | None = None,
    b_g: Array | None = None,
    b_o: Array | None = None,
) -> Callable[..., tuple[Array, Array, Array]]:
    """`lstm_sequence` with these weights, packed once: call it with X, and h_0=, c_0=, lengths=."""
    weights = {f"W_{g}": (W, "H K") for g, W in zip("ifgo", (W_i, W_f, W_g, W_o), strict=True)}
    biases = {f"b_{g}": (b, "H") for g, b in zip("ifgo", (b_i, b_f, b_g, b_o), strict=True)}
    ready = arrays(**weights, **biases)
    H, K = ready[0].shape
    dtype, I = ready[0].dtype, K - H
    packed, no_peepholes = _pack(ready[:4], ready[4:], keep=True), np.empty((3, 0), dtype)
    read = reader(dtype, X=f"T B {I}", h_0=f"B {H}", c_0=f"B {H}")

    def sequence(
        X: Array,
        *,
        h_0: Array | None = None,
        c_0: Array | None = None,
        lengths: Array | None = None,
    ) -> tuple[Array, Array, Array]:
        X, h_0, c_0 = read(X, h_0, c_0)
        lengths = whole_or(lengths, *X.shape[:2])
        h, c_T, _ = _run_packed(X, packed, no_peepholes, h_0, c_0, lengths)
        return h, last_valid(h, h_0, lengths), c_T

    return sequence


def lstm_sequence_vjp(
    X: Array,
    W_i: Array,
    W_f: Array,
    W_g: Array,
    W_o: Array,
    dh: Array,  # (T, B, H)
    dh_T: Array,  # (B, H)
    dc_T: Array,  # (B, H)
    *,
    h_0: Array | None = None,
    c_0: Array | None = None,
    b_i: Array | None = None,
    b_f: Array | None = None,
    b_g: Array | None = None,
    b_o: Array | None = None,
    lengths: Array | None = None,
) -> dict[str, Array]:
    """Backpropagation through time; dh_0 and dc_0 are left over before the first step."""
    errors, starts = (dh, dh_T, dc_T), (h_0, c_0)
    weights, biases = (W_i, W_f, W_g, W_o), (b_i, b_f, b_g, b_o)
    return _run_vjp(X, weights, biases, (), starts, errors, lengths)


def lstm_peephole_sequence(
    X: Array,  # (T, B, I)
    W_i: Array,  # (H, H + I)
    W_f: Array,  # (H, H + I)
    W_g: Array,  # (H, H + I)
    W_o: Array,  # (H, H + I)
    p_i: Array,  # (H,)
    p_f: Array,  # (H,)
    p_o: Array,  # (H,)
    *,
    h_0: Array | None = None,  # (B, H)
    c_0: Array | None = None,  # (B, H)
    b_i: Array | None = None,  # (H,)
    b_f: Array | None = None,  # (H,)
    b_g: Array | None = None,  # (H,)
    b_o: Array | None = None,  # (H,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
) -> tuple[Array, Array, Array]:
    """The states h (T, B, H), 0 beyond the lengths, and the last valid ones, h_T and c_T."""
    weights, biases = (W_i, W_f, W_g, W_o), (b_i, b_f, b_g, b_o)
    return _run(X, weights, biases, (p_i, p_f, p_o), (h_0, c_0), lengths)


def lstm_peephole_sequence_vjp(
    X: Array,
    W_i: Array,
    W_f: Array,
    W_g: Array,
    W_o: Array,
    p_i: Array,
    p_f: Array,
    p_o: Array,
    dh: Array,  # (T, B, H)
    dh_T: Array,  # (B, H)
    dc_T: Array,  # (B, H)
    *,
    h_0: Array | None = None,
    c_0: Array | None = None,
    b_i: Array | None = None,
    b_f: Array | None = None,
    b_g: Array | None = None,
    b_o: Array | None = None,
    lengths: Array | None = None,
) -> dict[str, Array]:
    """Backpropagation through time, as `lstm_sequence_vjp`."""
    errors, starts = (dh, dh_T, dc_T), (h_0, c_0)
    weights, biases = (W_i, W_f, W_g, W_o), (b_i, b_f, b_g, b_o)
    return _run_vjp(X, weights, biases, (p_i, p_f, p_o), starts, errors, lengths)


def lstm_coupled_step(
    x: Array,  # (B, I)
    h_prev: Array,  # (B, H)
    W_i: Array,  # (H, H + I)
    W_g: Array,  # (H, H + I)
    *,
    b_i: Array | None = None,  # (H,)
    b_g: Array | None = None,  # (H,)
) -> Array:
    """One step of the LSTM with f = 1 - i, o = 1 and h = c: h (B, H)."""
    x, h_prev, W_i, W_g, b_i, b_g = arrays(
        x=(x, "B I"),
        h_prev=(h_prev, "B H"),
        W_i=(W_i, "H H+I"),
        W_g=(W_g, "H H+I"),
        b_i=(b_i, "H"),
        b_g=(b_g, "H"),
    )
    W, b = np.concatenate([W_i, W_g]), np.concatenate([b_i, b_g])
    return _coupled(x, transposed(W), b, h_prev)[0]


def lstm_coupled_step_vjp(
    x: Array,
    h_prev: Array,
    W_i: Array,
    W_g: Array,
    dh: Array,  # (B, H)
    *,
    b_i: Array | None = None,
    b_g: Array | None = None,
) -> dict[str, Array]:
    """The error of i is dh (g - h_prev)."""
    given_b_i, given_b_g = b_i, b_g
    x, h_prev, W_i, W_g, dh, b_i, b_g = arrays(
        x=(x, "B I"),
        h_prev=(h_prev, "B H"),
        W_i=(W_i, "H H+I"),
        W_g=(W_g, "H H+I"),
        dh=(dh, "B H"),
        b_i=(b_i, "H"),
        b_g=(b_g, "H"),
    )
    W, b = np.concatenate([W_i, W_g]), np.concatenate([b_i, b_g])
    _, gates = _coupled(x, transposed(W), b, h_prev)
    dx, dh_prev, dW, db = _coupled_vjp(x, W, h_prev, gates, dh)
    H = len(W_i)
    d = {"dx": dx, "dh_prev": dh_prev, "dW_i": dW[:H], "dW_g": dW[H:]}
    return d | named(db_i=(db[:H], given_b_i), db_g=(db[H:], given_b_g))


def recurrent_macs(
    H: Array | int,  # ()
    I: Array | int,  # ()
) -> tuple[int, int, int]:
    """Multiply-adds of the matrix products in one step of one example: rnn, gru, lstm."""
    product = int(H) * (int(H) + int(I))
    return product, 3 * product, 4 * product


def reverse_valid(X: Any, lengths: Any) -> Array:
    """Each example's valid steps in reverse order; what lies beyond its length stays in place."""
    X = np.asarray(X)
    T, B = X.shape[:2]
    steps, t = whole_or(lengths, T, B), np.arange(T)[:, np.newaxis]
    mirrored: Array = X[np.where(t < steps, steps - 1 - t, t), np.arange(B)]
    return mirrored


def suffixed(d: dict[str, Array], suffix: str) -> dict[str, Array]:
    """The gradients of one direction or layer by its names: dW_i as dW_i_fwd."""
    return {f"{name}_{suffix}": gradient for name, gradient in d.items()}


def rnn_bidirectional(
    X: Array,  # (T, B, I)
    U_fwd: Array,  # (H, I)
    W_fwd: Array,  # (H, H)
    U_bwd: Array,  # (H, I)
    W_bwd: Array,  # (H, H)
    *,
    S_0_fwd: Array | None = None,  # (B, H)
    b_fwd: Array | None = None,  # (H,)
    S_0_bwd: Array | None = None,  # (B, H)
    b_bwd: Array | None = None,  # (H,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
    activation: str = "tanh",
) -> tuple[Array, Array, Array]:
    """S (T, B, 2 H), the states of both directions, and the last valid ones of each."""
    fwd = {"S_0": S_0_fwd, "b": b_fwd, "lengths": lengths}
    bwd = {"S_0": S_0_bwd, "b": b_bwd, "lengths": lengths}
    S_fwd, S_T_fwd = rnn_sequence(X, U_fwd, W_fwd, **fwd, activation=activation)
    X_bwd = reverse_valid(X, lengths)
    S_bwd, S_T_bwd = rnn_sequence(X_bwd, U_bwd, W_bwd, **bwd, activation=activation)
    S = np.concatenate([S_fwd, reverse_valid(S_bwd, lengths)], axis=-1)
    return S, S_T_fwd, S_T_bwd


def rnn_bidirectional_vjp(
    X: Array,
    U_fwd: Array,
    W_fwd: Array,
    U_bwd: Array,
    W_bwd: Array,
    dS: Array,  # (T, B, 2 * H)
    dS_T_fwd: Array,  # (B, H)
    dS_T_bwd: Array,  # (B, H)
    *,
    S_0_fwd: Array | None = None,
    b_fwd: Array | None = None,
    S_0_bwd: Array | None = None,
    b_bwd: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """Each direction's VJP on its half of dS, backwards what runs backward; the two dX add."""
    X, dS = np.asarray(X), np.asarray(dS)
    H = len(W_fwd)
    fwd = {"S_0": S_0_fwd, "b": b_fwd, "lengths": lengths}
    bwd = {"S_0": S_0_bwd, "b": b_bwd, "lengths": lengths}
    dS_fwd, dS_bwd = dS[..., :H], reverse_valid(dS[..., H:], lengths)
    X_bwd = reverse_valid(X, lengths)
    d_fwd = rnn_sequence_vjp(X, U_fwd, W_fwd, dS_fwd, dS_T_fwd, **fwd, activation=activation)
    d_bwd = rnn_sequence_vjp(X_bwd, U_bwd, W_bwd, dS_bwd, dS_T_bwd, **bwd, activation=activation)
    dX = d_fwd.pop("dX") + reverse_valid(d_bwd.pop("dX"), lengths)
    return {"dX": dX} | suffixed(d_fwd, "fwd") | suffixed(d_bwd, "bwd")


def gru_bidirectional(
    X: Array,  # (T, B, I)
    W_z_fwd: Array,  # (H, H + I)
    W_r_fwd: Array,  # (H, H + I)
    W_fwd: Array,  # (H, H + I)
    W_z_bwd: Array,  # (H, H + I)
    W_r_bwd: Array,  # (H, H + I)
    W_bwd: Array,  # (H, H + I)
    *,
    h_0_fwd: Array | None = None,  # (B, H)
    b_z_fwd: Array | None = None,  # (H,)
    b_r_fwd: Array | None = None,  # (H,)
    b_fwd: Array | None = None,  # (H,)
    h_0_bwd: Array | None = None,  # (B, H)
    b_z_bwd: Array | None = None,  # (H,)
    b_r_bwd: Array | None = None,  # (H,)
    b_bwd: Array | None = None,  # (H,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
) -> tuple[Array, Array, Array]:
    """h (T, B, 2 H), the states of both directions, and the last valid ones of each."""
    fwd = {"h_0": h_0_fwd, "b_z": b_z_fwd, "b_r": b_r_fwd, "b": b_fwd, "lengths": lengths}
    bwd = {"h_0": h_0_bwd, "b_z": b_z_bwd, "b_r": b_r_bwd, "b": b_bwd, "lengths": lengths}
    h_fwd, h_T_fwd = gru_sequence(X, W_z_fwd, W_r_fwd, W_fwd, **fwd)
    X_bwd = reverse_valid(X, lengths)
    h_bwd, h_T_bwd = gru_sequence(X_bwd, W_z_bwd, W_r_bwd, W_bwd, **bwd)
    h = np.concatenate([h_fwd, reverse_valid(h_bwd, lengths)], axis=-1)
    return h, h_T_fwd, h_T_bwd


def gru_bidirectional_vjp(
    X: Array,
    W_z_fwd: Array,
    W_r_fwd: Array,
    W_fwd: Array,
    W_z_bwd: Array,
    W_r_bwd: Array,
    W_bwd: Array,
    dh: Array,  # (T, B, 2 * H)
    dh_T_fwd: Array,  # (B, H)
    dh_T_bwd: Array,  # (B, H)
    *,
    h_0_fwd: Array | None = None,
    b_z_fwd: Array | None = None,
    b_r_fwd: Array | None = None,
    b_fwd: Array | None = None,
    h_0_bwd: Array | None = None,
    b_z_bwd: Array | None = None,
    b_r_bwd: Array | None = None,
    b_bwd: Array | None = None,
    lengths: Array | None = None,
) -> dict[str, Array]:
    """Each direction's VJP on its half of dh, backwards what runs backward; the two dX add."""
    X, dh = np.asarray(X), np.asarray(dh)
    H = len(W_fwd)
    fwd = {"h_0": h_0_fwd, "b_z": b_z_fwd, "b_r": b_r_fwd, "b": b_fwd, "lengths": lengths}
    bwd = {"h_0": h_0_bwd, "b_z": b_z_bwd, "b_r": b_r_bwd, "b": b_bwd, "lengths": lengths}
    dh_fwd, dh_bwd = dh[..., :H], reverse_valid(dh[..., H:], lengths)
    X_bwd = reverse_valid(X, lengths)
    d_fwd = gru_sequence_vjp(X, W_z_fwd, W_r_fwd, W_fwd, dh_fwd, dh_T_fwd, **fwd)
    d_bwd = gru_sequence_vjp(X_bwd, W_z_bwd, W_r_bwd, W_bwd, dh_bwd, dh_T_bwd, **bwd)
    dX = d_fwd.pop("dX") + reverse_valid(d_bwd.pop("dX"), lengths)
    return {"dX": dX} | suffixed(d_fwd, "fwd") | suffixed(d_bwd, "bwd")


def lstm_bidirectional(
    X: Array,  # (T, B, I)
    W_i_fwd: Array,  # (H, H + I)
    W_f_fwd: Array,  # (H, H + I)
    W_g_fwd: Array,  # (H, H + I)
    W_o_fwd: Array,  # (H, H + I)
    W_i_bwd: Array,  # (H, H + I)
    W_f_bwd: Array,  # (H, H + I)
    W_g_bwd: Array,  # (H, H + I)
    W_o_bwd: Array,  # (H, H + I)
    *,
    h_0_fwd: Array | None = None,  # (B, H)
    c_0_fwd: Array | None = None,  # (B, H)
    b_i_fwd: Array | None = None,  # (H,)
    b_f_fwd: Array | None = None,  # (H,)
    b_g_fwd: Array | None = None,  # (H,)
    b_o_fwd: Array | None = None,  # (H,)
    h_0_bwd: Array | None = None,  # (B, H)
    c_0_bwd: Array | None = None,  # (B, H)
    b_i_bwd: Array | None = None,  # (H,)
    b_f_bwd: Array | None = None,  # (H,)
    b_g_bwd: Array | None = None,  # (H,)
    b_o_bwd: Array | None = None,  # (H,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
) -> tuple[Array, Array, Array, Array, Array]:
    """h (T, B, 2 H), the states of both directions, and the last valid ones of each."""
    fwd = {
        "h_0": h_0_fwd,
        "c_0": c_0_fwd,
        "b_i": b_i_fwd,
        "b_f": b_f_fwd,
        "b_g": b_g_fwd,
        "b_o": b_o_fwd,
        "lengths": lengths,
    }
    bwd = {
        "h_0": h_0_bwd,
        "c_0": c_0_bwd,
        "b_i": b_i_bwd,
        "b_f": b_f_bwd,
        "b_g": b_g_bwd,
        "b_o": b_o_bwd,
        "lengths": lengths,
    }
    h_fwd, h_T_fwd, c_T_fwd = lstm_sequence(X, W_i_fwd, W_f_fwd, W_g_fwd, W_o_fwd, **fwd)
    X_bwd = reverse_valid(X, lengths)
    h_bwd, h_T_bwd, c_T_bwd = lstm_sequence(X_bwd, W_i_bwd, W_f_bwd, W_g_bwd, W_o_bwd, **bwd)
    h = np.concatenate([h_fwd, reverse_valid(h_bwd, lengths)], axis=-1)
    return h, h_T_fwd, c_T_fwd, h_T_bwd, c_T_bwd


def lstm_bidirectional_vjp(
    X: Array,
    W_i_fwd: Array,
    W_f_fwd: Array,
    W_g_fwd: Array,
    W_o_fwd: Array,
    W_i_bwd: Array,
    W_f_bwd: Array,
    W_g_bwd: Array,
    W_o_bwd: Array,
    dh: Array,  # (T, B, 2 * H)
    dh_T_fwd: Array,  # (B, H)
    dc_T_fwd: Array,  # (B, H)
    dh_T_bwd: Array,  # (B, H)
    dc_T_bwd: Array,  # (B, H)
    *,
    h_0_fwd: Array | None = None,
    c_0_fwd: Array | None = None,
    b_i_fwd: Array | None = None,
    b_f_fwd: Array | None = None,
    b_g_fwd: Array | None = None,
    b_o_fwd: Array | None = None,
    h_0_bwd: Array | None = None,
    c_0_bwd: Array | None = None,
    b_i_bwd: Array | None = None,
    b_f_bwd: Array | None = None,
    b_g_bwd: Array | None = None,
    b_o_bwd: Array | None = None,
    lengths: Array | None = None,
) -> dict[str, Array]:
    """Each direction's VJP on its half of dh, backwards what runs backward; the two dX add."""
    X, dh = np.asarray(X), np.asarray(dh)
    H = len(W_o_fwd)
    fwd = {
        "h_0": h_0_fwd,
        "c_0": c_0_fwd,
        "b_i": b_i_fwd,
        "b_f": b_f_fwd,
        "b_g": b_g_fwd,
        "b_o": b_o_fwd,
        "lengths": lengths,
    }
    bwd = {
        "h_0": h_0_bwd,
        "c_0": c_0_bwd,
        "b_i": b_i_bwd,
        "b_f": b_f_bwd,
        "b_g": b_g_bwd,
        "b_o": b_o_bwd,
        "lengths": lengths,
    }
    dh_fwd, dh_bwd = dh[..., :H], reverse_valid(dh[..., H:], lengths)
    X_bwd = reverse_valid(X, lengths)
    d_fwd = lstm_sequence_vjp(
        X, W_i_fwd, W_f_fwd, W_g_fwd, W_o_fwd, dh_fwd, dh_T_fwd, dc_T_fwd, **fwd
    )
    d_bwd = lstm_sequence_vjp(
        X_bwd, W_i_bwd, W_f_bwd, W_g_bwd, W_o_bwd, dh_bwd, dh_T_bwd, dc_T_bwd, **bwd
    )
    dX = d_fwd.pop("dX") + reverse_valid(d_bwd.pop("dX"), lengths)
    return {"dX": dX} | suffixed(d_fwd, "fwd") | suffixed(d_bwd, "bwd")


def rnn_stacked(
    X: Array,  # (T, B, I)
    U_1: Array,  # (H, I)
    W_1: Array,  # (H, H)
    U_2: Array,  # (K, H)
    W_2: Array,  # (K, K)
    *,
    S_0_1: Array | None = None,  # (B, H)
    b_1: Array | None = None,  # (H,)
    S_0_2: Array | None = None,  # (B, K)
    b_2: Array | None = None,  # (K,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
    activation: str = "tanh",
) -> tuple[Array, Array, Array]:
    """S (T, B, K), the states of the second layer, and the last valid ones of each."""
    first = {"S_0": S_0_1, "b": b_1, "lengths": lengths}
    second = {"S_0": S_0_2, "b": b_2, "lengths": lengths}
    S_1, S_T_1 = rnn_sequence(X, U_1, W_1, **first, activation=activation)
    S_2, S_T_2 = rnn_sequence(S_1, U_2, W_2, **second, activation=activation)
    return S_2, S_T_1, S_T_2


def rnn_stacked_vjp(
    X: Array,
    U_1: Array,
    W_1: Array,
    U_2: Array,
    W_2: Array,
    dS: Array,  # (T, B, K)
    dS_T_1: Array,  # (B, H)
    dS_T_2: Array,  # (B, K)
    *,
    S_0_1: Array | None = None,
    b_1: Array | None = None,
    S_0_2: Array | None = None,
    b_2: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """The second layer's gradient of its input is the first layer's cotangent."""
    first = {"S_0": S_0_1, "b": b_1, "lengths": lengths}
    second = {"S_0": S_0_2, "b": b_2, "lengths": lengths}
    S_1, _ = rnn_sequence(X, U_1, W_1, **first, activation=activation)
    d_2 = rnn_sequence_vjp(S_1, U_2, W_2, dS, dS_T_2, **second, activation=activation)
    dS_1 = d_2.pop("dX")
    d_1 = rnn_sequence_vjp(X, U_1, W_1, dS_1, dS_T_1, **first, activation=activation)
    return {"dX": d_1.pop("dX")} | suffixed(d_1, "1") | suffixed(d_2, "2")


def gru_stacked(
    X: Array,  # (T, B, I)
    W_z_1: Array,  # (H, H + I)
    W_r_1: Array,  # (H, H + I)
    W_1: Array,  # (H, H + I)
    W_z_2: Array,  # (K, K + H)
    W_r_2: Array,  # (K, K + H)
    W_2: Array,  # (K, K + H)
    *,
    h_0_1: Array | None = None,  # (B, H)
    b_z_1: Array | None = None,  # (H,)
    b_r_1: Array | None = None,  # (H,)
    b_1: Array | None = None,  # (H,)
    h_0_2: Array | None = None,  # (B, K)
    b_z_2: Array | None = None,  # (K,)
    b_r_2: Array | None = None,  # (K,)
    b_2: Array | None = None,  # (K,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
) -> tuple[Array, Array, Array]:
    """h (T, B, K), the states of the second layer, and the last valid ones of each."""
    first = {"h_0": h_0_1, "b_z": b_z_1, "b_r": b_r_1, "b": b_1, "lengths": lengths}
    second = {"h_0": h_0_2, "b_z": b_z_2, "b_r": b_r_2, "b": b_2, "lengths": lengths}
    h_1, h_T_1 = gru_sequence(X, W_z_1, W_r_1, W_1, **first)
    h_2, h_T_2 = gru_sequence(h_1, W_z_2, W_r_2, W_2, **second)
    return h_2, h_T_1, h_T_2


def gru_stacked_vjp(
    X: Array,
    W_z_1: Array,
    W_r_1: Array,
    W_1: Array,
    W_z_2: Array,
    W_r_2: Array,
    W_2: Array,
    dh: Array,  # (T, B, K)
    dh_T_1: Array,  # (B, H)
    dh_T_2: Array,  # (B, K)
    *,
    h_0_1: Array | None = None,
    b_z_1: Array | None = None,
    b_r_1: Array | None = None,
    b_1: Array | None = None,
    h_0_2: Array | None = None,
    b_z_2: Array | None = None,
    b_r_2: Array | None = None,
    b_2: Array | None = None,
    lengths: Array | None = None,
) -> dict[str, Array]:
    """The second layer's gradient of its input is the first layer's cotangent."""
    first = {"h_0": h_0_1, "b_z": b_z_1, "b_r": b_r_1, "b": b_1, "lengths": lengths}
    second = {"h_0": h_0_2, "b_z": b_z_2, "b_r": b_r_2, "b": b_2, "lengths": lengths}
    h_1, _ = gru_sequence(X, W_z_1, W_r_1, W_1, **first)
    d_2 = gru_sequence_vjp(h_1, W_z_2, W_r_2, W_2, dh, dh_T_2, **second)
    dh_1 = d_2.pop("dX")
    d_1 = gru_sequence_vjp(X, W_z_1, W_r_1, W_1, dh_1, dh_T_1, **first)
    return {"dX": d_1.pop("dX")} | suffixed(d_1, "1") | suffixed(d_2, "2")


def lstm_stacked(
    X: Array,  # (T, B, I)
    W_i_1: Array,  # (H, H + I)
    W_f_1: Array,  # (H, H + I)
    W_g_1: Array,  # (H, H + I)
    W_o_1: Array,  # (H, H + I)
    W_i_2: Array,  # (K, K + H)
    W_f_2: Array,  # (K, K + H)
    W_g_2: Array,  # (K, K + H)
    W_o_2: Array,  # (K, K + H)
    *,
    h_0_1: Array | None = None,  # (B, H)
    c_0_1: Array | None = None,  # (B, H)
    b_i_1: Array | None = None,  # (H,)
    b_f_1: Array | None = None,  # (H,)
    b_g_1: Array | None = None,  # (H,)
    b_o_1: Array | None = None,  # (H,)
    h_0_2: Array | None = None,  # (B, K)
    c_0_2: Array | None = None,  # (B, K)
    b_i_2: Array | None = None,  # (K,)
    b_f_2: Array | None = None,  # (K,)
    b_g_2: Array | None = None,  # (K,)
    b_o_2: Array | None = None,  # (K,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
) -> tuple[Array, Array, Array, Array, Array]:
    """h (T, B, K), the states of the second layer, and the last valid ones of each."""
    first = {
        "h_0": h_0_1,
        "c_0": c_0_1,
        "b_i": b_i_1,
        "b_f": b_f_1,
        "b_g": b_g_1,
        "b_o": b_o_1,
        "lengths": lengths,
    }
    second = {
        "h_0": h_0_2,
        "c_0": c_0_2,
        "b_i": b_i_2,
        "b_f": b_f_2,
        "b_g": b_g_2,
        "b_o": b_o_2,
        "lengths": lengths,
    }
    h_1, h_T_1, c_T_1 = lstm_sequence(X, W_i_1, W_f_1, W_g_1, W_o_1, **first)
    h_2, h_T_2, c_T_2 = lstm_sequence(h_1, W_i_2, W_f_2, W_g_2, W_o_2, **second)
    return h_2, h_T_1, c_T_1, h_T_2, c_T_2


def lstm_stacked_vjp(
    X: Array,
    W_i_1: Array,
    W_f_1: Array,
    W_g_1: Array,
    W_o_1: Array,
    W_i_2: Array,
    W_f_2: Array,
    W_g_2: Array,
    W_o_2: Array,
    dh: Array,  # (T, B, K)
    dh_T_1: Array,  # (B, H)
    dc_T_1: Array,  # (B, H)
    dh_T_2: Array,  # (B, K)
    dc_T_2: Array,  # (B, K)
    *,
    h_0_1: Array | None = None,
    c_0_1: Array | None = None,
    b_i_1: Array | None = None,
    b_f_1: Array | None = None,
    b_g_1: Array | None = None,
    b_o_1: Array | None = None,
    h_0_2: Array | None = None,
    c_0_2: Array | None = None,
    b_i_2: Array | None = None,
    b_f_2: Array | None = None,
    b_g_2: Array | None = None,
    b_o_2: Array | None = None,
    lengths: Array | None = None,
) -> dict[str, Array]:
    """The second layer's gradient of its input is the first layer's cotangent."""
    first = {
        "h_0": h_0_1,
        "c_0": c_0_1,
        "b_i": b_i_1,
        "b_f": b_f_1,
        "b_g": b_g_1,
        "b_o": b_o_1,
        "lengths": lengths,
    }
    second = {
        "h_0": h_0_2,
        "c_0": c_0_2,
        "b_i": b_i_2,
        "b_f": b_f_2,
        "b_g": b_g_2,
        "b_o": b_o_2,
        "lengths": lengths,
    }
    h_1, _, _ = lstm_sequence(X, W_i_1, W_f_1, W_g_1, W_o_1, **first)
    d_2 = lstm_sequence_vjp(h_1, W_i_2, W_f_2, W_g_2, W_o_2, dh, dh_T_2, dc_T_2, **second)
    dh_1 = d_2.pop("dX")
    d_1 = lstm_sequence_vjp(X, W_i_1, W_f_1, W_g_1, W_o_1, dh_1, dh_T_1, dc_T_1, **first)
    return {"dX": d_1.pop("dX")} | suffixed(d_1, "1") | suffixed(d_2, "2")
