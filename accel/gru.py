"""Gated Recurrent Unit as kernels: the deck's form, and cuDNN's variant beside it.

A step is a sequence of one. The deck resets the state before the product, and z is the share of
the new state; cuDNN and torch (`gru_reset_after_*`) let r scale the product, and z is the share of
the old.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from nnspec.accel.arrays import Array, arrays, reader, whole_or
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
from nnspec.accel.dense import named
from nnspec.accel.jit import inlined, lean_helper, lean_kernel
from nnspec.accel.packed import room_for
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
from nnspec.accel.scalar import ONE
from nnspec.accel.team import meet
from nnspec.accel.threads import share
from nnspec.accel.vector_math import sigmoid, tanh
from nnspec.accel.vectors import lanes, put, take, zero_vector


@inlined
def _gates(z: Array, r: Array, h_prev: Array, d: Array) -> None:
    """z and r in place of their preactivations, and d = r h_prev."""
    for k in range(0, z.size, lanes(z)):
        z_t, r_t = sigmoid(take(z, k)), sigmoid(take(r, k))
        put(z, k, z_t)
        put(r, k, r_t)
        put(d, k, r_t * take(h_prev, k))


@inlined
def _blend(n: Array, z: Array, h_prev: Array, h: Array) -> None:
    """n = tanh(a), in place of a, and h = (1 - z) h_prev + z n."""
    for k in range(0, n.size, lanes(n)):
        z_t, n_t = take(z, k), tanh(take(n, k))
        put(n, k, n_t)
        put(h, k, (ONE - z_t) * take(h_prev, k) + z_t * n_t)


@lean_helper
def _steps(
    part: int,  # of the units; or 0 for the steps, else the inputs' part ahead of them
    count: int,  # who shares the units
    row: int,
    row_end: int,
    X: Array,  # (T, B, I)
    W_x: Array,  # (3, panels, I, WIDTH): what x meets of W_z, W_r and W
    W_h: Array,  # (3, panels, H, WIDTH): what h meets
    b: Array,  # (3, columns)
    h_0: Array,  # (B, H)
    lengths: Array,  # (B,)
    a: Array,  # (steps, B, 3, columns): preactivations, then z, r and n
    d: Array,  # (B, H)
    h: Array,  # (T, B, H)
    progress: Array,
    copies: int,
    barrier: Array,
) -> None:
    T, B, H = h.shape
    panels, columns = W_h.shape[1], a.shape[3]
    panel, panel_end = share(panels, part, count)
    first, last = panel * W_h.shape[3], min(panel_end * W_h.shape[3], H)
    a = own_copy(a, part, copies)
    V_x = W_x.reshape(W_x.shape[0] * W_x.shape[1], X.shape[2], W_x.shape[3])
    V_h = W_h.reshape(W_h.shape[0] * W_h.shape[1], H, W_h.shape[3])
    flat = a.reshape(a.shape[0], B, a.shape[2] * a.shape[3])
    own_panels = panels, panel, panel_end
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
            h_rows, rows = h_prev[row:row_end], flat[place + t - begin, row:row_end]
            gate_t = a[place + t - begin]
            tiles = add_gates(h_rows, V_h[: 2 * panels], rows, own_panels, t, other, tiles)
            for i in range(row, row_end):
                z, r = gate_t[i, 0, first:last], gate_t[i, 1, first:last]
                _gates(z, r, h_prev[i, first:last], d[i, first:last])
            meet(barrier, count)  # the product takes all of d
            d_rows, rows_n = d[row:row_end], rows[:, 2 * columns :]
            tiles = add_gates(d_rows, W_h[2], rows_n, own_panels, t, other, tiles)
            for i in range(row, row_end):
                z, n = gate_t[i, 0, first:last], gate_t[i, 2, first:last]
                if t < lengths[i]:
                    _blend(n, z, h_prev[i, first:last], h[t, i, first:last])
                else:
                    h[t, i, first:last] = 0
            meet(barrier, count)


_in_either_way = in_either_way(_steps)


@lean_kernel
def _states(*arguments: Any) -> None:
    """The arguments of `_steps` after its rows, then six for `in_either_way`."""
    _in_either_way(arguments[:-6], arguments[-6:])


@inlined
def _errors_z_n(
    z: Array,  # these three: gates; then da_z, r as it was, and da_n
    r: Array,
    n: Array,
    h_prev: Array,
    dh: Array,
    carry: Array,  # the next step's error of h
    left: Array,  # what of the error goes straight to the state before
    d: Array,  # r h_prev
    dd: Array,  # 0
) -> None:
    for k in range(0, z.size, lanes(z)):
        z_t, n_t, h_k = take(z, k), take(n, k), take(h_prev, k)
        e = take(carry, k) + take(dh, k)
        put(left, k, e * (ONE - z_t))
        put(d, k, take(r, k) * h_k)
        put(z, k, e * (n_t - h_k) * (z_t * (ONE - z_t)))
        put(n, k, e * z_t * (ONE - n_t * n_t))
        put(dd, k, zero_vector(z))


@inlined
def _error_r(r: Array, dd: Array, h_prev: Array, left: Array, carry: Array) -> None:
    """da_r in place of r, and carry = left + dd r, where dd is the error of r h_prev."""
    for k in range(0, r.size, lanes(r)):
        r_t, dd_k = take(r, k), take(dd, k)
        put(carry, k, take(left, k) + dd_k * r_t)
        put(r, k, dd_k * take(h_prev, k) * (r_t * (ONE - r_t)))


@lean_helper
def _steps_back(
    part: int,  # of the units
    count: int,  # who shares them
    row: int,
    row_end: int,
    dh: Array,  # (T, B, H)
    W_n: Array,  # (panels, columns, WIDTH): W's part for h, for da_n W
    W_zr: Array,  # (panels, 2 columns, WIDTH): W_z's and W_r's
    h_prevs: Array,  # (T, B, H)
    lengths: Array,  # (B,)
    a: Array,  # (T, B, 3, columns): z, r and n, then their errors
    d: Array,  # (T, B, H): r h_prev, for W's gradient
    carry: Array,  # (B, columns): dh_T, then dh_0
    left: Array,  # (B, columns)
    dd: Array,  # (B, columns): the error of r h_prev
    M: Array,  # these three: see `backward.Errors`
    zeros: Array,
    dX: Array,
    beside: bool,
    progress: Array,
    barrier: Array,
) -> None:
    T, _, H = dh.shape
    columns, flat = a.shape[3], a.reshape(T, a.shape[1], a.shape[2] * a.shape[3])
    panel, panel_end = share(W_n.shape[0], part, count)
    first, last = panel * W_n.shape[2], min(panel_end * W_n.shape[2], H)
    errors, tiles = errors_of(a, M, zeros, dX), 0
    for t in range(T - 1, -1, -1):
        if beside:
            tiles = next_rows(errors, W_n, t, panel, panel_end, tiles)
        for i in range(row, row_end):
            clear_beyond(a[t, i], H)
            if t >= lengths[i]:
                a[t, i, :, first:last] = 0
                d[t, i, first:last] = 0
                continue
            z, r, n = a[t, i, 0, first:last], a[t, i, 1, first:last], a[t, i, 2, first:last]
            h_prev = h_prevs[t, i, first:last]
            _errors_z_n(
                z, r, n, h_prev, dh[t, i, first:last], carry[i, first:last], left[i, first:last],
                d[t, i, first:last], dd[i, first:last],
            )  # fmt: skip
        meet(barrier, count)  # the product takes all of da_n
        of_n, of_zr = a[t, row:row_end, 2], flat[t, row:row_end, : 2 * columns]
        tiles = hand_down(of_n, W_n, dd[row:row_end], panel, panel_end, t, errors, tiles)
        for i in range(row, row_end):
            if t < lengths[i]:
                r, h_prev = a[t, i, 1, first:last], h_prevs[t, i, first:last]
                rest, error = left[i, first:last], carry[i, first:last]
                _error_r(r, dd[i, first:last], h_prev, rest, error)
        went_back(t, progress)
        meet(barrier, count)
        tiles = hand_down(of_zr, W_zr, carry[row:row_end], panel, panel_end, t, errors, tiles)
    if beside:
        last_rows(errors, W_n, panel, panel_end, tiles)


_back_in_either_way = in_either_way(_steps_back)


@lean_kernel
def _states_vjp(*arguments: Any) -> None:
    """The arguments of `_steps_back` after its rows, then six for `in_either_way`."""
    _back_in_either_way(arguments[:-6], arguments[-6:])


def _pack(
    W_z: Array, W_r: Array, W: Array, b_z: Array, b_r: Array, b: Array, *, keep: bool
) -> Packed:
    """W_x, W_h and b of `_states`."""
    weights = W_z, W_r, W
    return pack_layer(weights, len(W), weights, (b_z, b_r, b), keep=keep)


def _run(
    X: Array, packed: Packed, h_0: Array, lengths: Array, kept: Array | None = None
) -> tuple[Array, Array]:
    """The states, in room where there is some to keep them, and then z, r and n as well."""
    (T, B, _), H = X.shape, h_0.shape[1]
    a = preactivations(X, packed, 3, keep=kept is not None)
    d, h = np.empty_like(h_0), np.empty((T, B, H), X.dtype) if kept is None else kept

    def work(*part: Any) -> None:
        _states(X, *packed, h_0, lengths, a, d, h, *part)

    in_steps(X, packed, a, work, keep=kept is not None)
    return h, a


@inlined
def _blend_old(n: Array, z: Array, r: Array, q: Array, h_prev: Array, h: Array) -> None:
    """z, r and n = tanh(a + r q) in place of preactivations, and h = z h_prev + (1 - z) n.

    In two loops, as `lstm._cell`.
    """
    for k in range(0, n.size, lanes(n)):
        r_t = sigmoid(take(r, k))
        put(r, k, r_t)
        put(n, k, take(n, k) + r_t * take(q, k))
    for k in range(0, n.size, lanes(n)):
        z_t, n_t = sigmoid(take(z, k)), tanh(take(n, k))
        put(z, k, z_t)
        put(n, k, n_t)
        put(h, k, z_t * take(h_prev, k) + (ONE - z_t) * n_t)


@lean_helper
def _after_steps(
    part: int,  # of the units; or 0 for the steps, else the inputs' part ahead of them
    count: int,  # who shares the units
    row: int,
    row_end: int,
    X: Array,  # (T, B, I)
    W_x: Array,  # (3, panels, I, WIDTH): what x meets of W, W_z and W_r
    W_h: Array,  # (3, panels, H, WIDTH): what h meets of W_z, W_r and W
    b: Array,  # (4, columns): b, b_z, b_r, b_h
    h_0: Array,  # (B, H)
    lengths: Array,  # (B,)
    a: Array,  # (steps, B, 4, columns): preactivations, then n, z, r and q = W_h h + b_h
    h: Array,  # (T, B, H)
    progress: Array,
    copies: int,
    barrier: Array,
) -> None:
    T, B, H = h.shape
    panel, panel_end = share(W_h.shape[1], part, count)
    first, last = panel * W_h.shape[3], min(panel_end * W_h.shape[3], H)
    a, columns = own_copy(a, part, copies), a.shape[3]
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
            h_rows, rows = h_prev[row:row_end], flat[place + t - begin, row:row_end]
            gate_t = a[place + t - begin]
            tiles = add_gates(h_rows, V_h, rows[:, columns:], own_panels, t, other, tiles)
            for i in range(row, row_end):
                if t >= lengths[i]:
                    h[t, i, first:last] = 0
                    continue
                n, z = gate_t[i, 0, first:last], gate_t[i, 1, first:last]
                r, q = gate_t[i, 2, first:last], gate_t[i, 3, first:last]
                _blend_old(n, z, r, q, h_prev[i, first:last], h[t, i, first:last])
            meet(barrier, count)


_after_in_either_way = in_either_way(_after_steps)


@lean_kernel
def _after_states(*arguments: Any) -> None:
    """The arguments of `_after_steps` after its rows, then six for `in_either_way`."""
    _after_in_either_way(arguments[:-6], arguments[-6:])


@inlined
def _errors_old(
    n: Array,  # these four: n, z, r and q, then da_n, da_z, da_r and dq
    z: Array,
    r: Array,
    q: Array,
    h_prev: Array,
    dh: Array,
    carry: Array,  # the next step's error of h, then what of it goes straight to the state before
) -> None:
    for k in range(0, n.size, lanes(n)):
        n_t, z_t, r_t, h_k = take(n, k), take(z, k), take(r, k), take(h_prev, k)
        e = take(carry, k) + take(dh, k)
        da_n = e * (ONE - z_t) * (ONE - n_t * n_t)
        put(n, k, da_n)
        put(z, k, e * (h_k - n_t) * (z_t * (ONE - z_t)))
        put(r, k, da_n * take(q, k) * (r_t * (ONE - r_t)))
        put(q, k, da_n * r_t)
        put(carry, k, e * z_t)


@lean_helper
def _after_steps_back(
    part: int,  # of the units
    count: int,  # who shares them
    row: int,
    row_end: int,
    dh: Array,  # (T, B, H)
    W_h: Array,  # (panels, 3 columns, WIDTH): W_z's, W_r's and W's part for h
    h_prevs: Array,  # (T, B, H)
    lengths: Array,  # (B,)
    a: Array,  # (T, B, 4, columns): n, z, r and q, then their errors
    carry: Array,  # (B, columns): dh_T, then dh_0
    M: Array,  # these three: see `backward.Errors`
    zeros: Array,
    dX: Array,
    beside: bool,
    progress: Array,
    barrier: Array,
) -> None:
    T, _, H = dh.shape
    columns, flat = a.shape[3], a.reshape(T, a.shape[1], a.shape[2] * a.shape[3])
    panel, panel_end = share(W_h.shape[0], part, count)
    first, last = panel * W_h.shape[2], min(panel_end * W_h.shape[2], H)
    errors, tiles = errors_of(a, M, zeros, dX), 0
    for t in range(T - 1, -1, -1):
        if beside:
            tiles = next_rows(errors, W_h, t, panel, panel_end, tiles)
        for i in range(row, row_end):
            clear_beyond(a[t, i], H)
            if t >= lengths[i]:
                a[t, i, :, first:last] = 0
                continue
            n, z = a[t, i, 0, first:last], a[t, i, 1, first:last]
            r, q = a[t, i, 2, first:last], a[t, i, 3, first:last]
            h_prev, dh_t = h_prevs[t, i, first:last], dh[t, i, first:last]
            _errors_old(n, z, r, q, h_prev, dh_t, carry[i, first:last])
        went_back(t, progress)
        meet(barrier, count)  # the product takes the errors of all units
        of_h = flat[t, row:row_end, columns:]
        tiles = hand_down(of_h, W_h, carry[row:row_end], panel, panel_end, t, errors, tiles)
    if beside:
        last_rows(errors, W_h, panel, panel_end, tiles)


_after_back_in_either_way = in_either_way(_after_steps_back)


@lean_kernel
def _after_states_vjp(*arguments: Any) -> None:
    """The arguments of `_after_steps_back` after its rows, then six for `in_either_way`."""
    _after_back_in_either_way(arguments[:-6], arguments[-6:])


def _pack_after(
    W_z: Array,
    W_r: Array,
    W: Array,
    b_z: Array,
    b_r: Array,
    b: Array,
    b_h: Array,
    *,
    keep: bool,
) -> Packed:
    """W_x, W_h and b of `_after_states`."""
    return pack_layer((W, W_z, W_r), len(W), (W_z, W_r, W), (b, b_z, b_r, b_h), keep=keep)


def _run_after(
    X: Array, packed: Packed, h_0: Array, lengths: Array, kept: Array | None = None
) -> tuple[Array, Array]:
    """As `_run`, with n, z, r and q."""
    (T, B, _), H = X.shape, h_0.shape[1]
    a = preactivations(X, packed, 4, keep=kept is not None)
    h = np.empty((T, B, H), X.dtype) if kept is None else kept

    def work(*part: Any) -> None:
        _after_states(X, *packed, h_0, lengths, a, h, *part)

    in_steps(X, packed, a, work, keep=kept is not None)
    return h, a


def gru_step(
    x: Array,  # (B, I)
    h_prev: Array,  # (B, H)
    W_z: Array,  # (H, H + I)
    W_r: Array,  # (H, H + I)
    W: Array,  # (H, H + I)
    *,
    b_z: Array | None = None,  # (H,)
    b_r: Array | None = None,  # (H,)
    b: Array | None = None,  # (H,)
) -> Array:
    """One step as the deck writes it, h (B, H): reset before the product."""
    X = np.asarray(x)[np.newaxis]
    return gru_sequence(X, W_z, W_r, W, h_0=h_prev, b_z=b_z, b_r=b_r, b=b)[1]


def gru_step_vjp(
    x: Array,
    h_prev: Array,
    W_z: Array,
    W_r: Array,
    W: Array,
    dh: Array,  # (B, H)
    *,
    b_z: Array | None = None,
    b_r: Array | None = None,
    b: Array | None = None,
) -> dict[str, Array]:
    """The VJP of a sequence of one, where h_T alone has a cotangent."""
    X, none = _sequence_of_one(x, dh)
    biases = {"b_z": b_z, "b_r": b_r, "b": b}
    return _of_a_step(gru_sequence_vjp(X, W_z, W_r, W, none, dh, h_0=h_prev, **biases))


def _sequence_of_one(x: Array, dh: Array) -> tuple[Array, Array]:
    """X (1, B, I) and a cotangent of no influence for its states, (1, B, H)."""
    return np.asarray(x)[np.newaxis], np.zeros_like(np.asarray(dh)[np.newaxis])


def _of_a_step(d: dict[str, Array]) -> dict[str, Array]:
    """The gradients of a sequence of one by the names of a step's."""
    return {"dx": d.pop("dX")[0], "dh_prev": d.pop("dh_0")} | d


_GIVEN = {
    "X": "T B I",
    **dict.fromkeys(("W_z", "W_r", "W"), "H H+I"),
    "h_0": "B H",
    **dict.fromkeys(("b_z", "b_r", "b"), "H"),
}
_GIVEN_AFTER = _GIVEN | {"b_h": "H"}
_ERRORS = {"dh": "T B H", "dh_T": "B H"}
_READ, _READ_ERRORS = reader(**_GIVEN), reader(**_GIVEN, **_ERRORS)
_READ_AFTER, _READ_AFTER_ERRORS = reader(**_GIVEN_AFTER), reader(**_GIVEN_AFTER, **_ERRORS)


def gru_sequence(
    X: Array,  # (T, B, I)
    W_z: Array,  # (H, H + I)
    W_r: Array,  # (H, H + I)
    W: Array,  # (H, H + I)
    *,
    h_0: Array | None = None,  # (B, H)
    b_z: Array | None = None,  # (H,)
    b_r: Array | None = None,  # (H,)
    b: Array | None = None,  # (H,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
) -> tuple[Array, Array]:
    """The states h (T, B, H), 0 beyond the lengths, and the last valid one, h_T (B, H)."""
    X, W_z, W_r, W, h_0, b_z, b_r, b = _READ(X, W_z, W_r, W, h_0, b_z, b_r, b)
    lengths = whole_or(lengths, *X.shape[:2])
    h, _ = _run(X, _pack(W_z, W_r, W, b_z, b_r, b, keep=False), h_0, lengths)
    return h, last_valid(h, h_0, lengths)


def _with_packed(
    run: Callable[..., tuple[Array, Array]], packed: Packed, W: Array
) -> Callable[..., tuple[Array, Array]]:
    """A sequence with packed weights, as a function of X, h_0 and lengths."""
    H, K = W.shape
    read = reader(W.dtype, X=f"T B {K - H}", h_0=f"B {H}")

    def sequence(
        X: Array, *, h_0: Array | None = None, lengths: Array | None = None
    ) -> tuple[Array, Array]:
        X, h_0 = read(X, h_0)
        lengths = whole_or(lengths, *X.shape[:2])
        h, _ = run(X, packed, h_0, lengths)
        return h, last_valid(h, h_0, lengths)

    return sequence


def gru_sequence_of(
    W_z: Array,
    W_r: Array,
    W: Array,
    *,
    b_z: Array | None = None,
    b_r: Array | None = None,
    b: Array | None = None,
) -> Callable[..., tuple[Array, Array]]:
    """`gru_sequence` with these weights, packed once: call it with X, and h_0= and lengths=."""
    W_z, W_r, W, b_z, b_r, b = arrays(
        W_z=(W_z, "H K"),
        W_r=(W_r, "H K"),
        W=(W, "H K"),
        b_z=(b_z, "H"),
        b_r=(b_r, "H"),
        b=(b, "H"),
    )
    return _with_packed(_run, _pack(W_z, W_r, W, b_z, b_r, b, keep=True), W)


def gru_sequence_vjp(
    X: Array,
    W_z: Array,
    W_r: Array,
    W: Array,
    dh: Array,  # (T, B, H)
    dh_T: Array,  # (B, H)
    *,
    h_0: Array | None = None,
    b_z: Array | None = None,
    b_r: Array | None = None,
    b: Array | None = None,
    lengths: Array | None = None,
) -> dict[str, Array]:
    """Backpropagation through time; dh_0 is what is left over before the first step."""
    given_b_z, given_b_r, given_b = b_z, b_r, b
    X, W_z, W_r, W, h_0, b_z, b_r, b, dh, dh_T = _READ_ERRORS(
        X, W_z, W_r, W, h_0, b_z, b_r, b, dh, dh_T
    )
    T, (H, K), weights = len(X), W.shape, (W_z, W_r, W)
    lengths = whole_or(lengths, *X.shape[:2])
    h_prevs, h = states(h_0, T)
    _, a = _run(X, _pack(*weights, b_z, b_r, b, keep=False), h_0, lengths, h)
    carry, M, W_n, W_zr = begin_back(dh_T, weights, H, (W,), (W_z, W_r))
    d = np.empty((T, *h_0.shape), X.dtype)
    left, dd = room_for("left", (2, *carry.shape), X.dtype)
    dW = np.empty((3, H, K), X.dtype)

    def work(*part: Any) -> None:
        _states_vjp(dh, W_n, W_zr, h_prevs, lengths, a, d, carry, left, dd, *part)

    sums, Ys = ((0, 2, 0, 0), (2, 3, 2, 0), (0, 3, 0, H)), (h_prevs, d, valid_alone(X, lengths))
    dX, d_biases = go_back(work, 3 * H * H, W_n.shape[0], a, X, M, sums, Ys, (dW, dW, dW))
    (dW_z, dW_r, dW_n), (db_z, db_r, db) = dW, d_biases
    d_all = {"dX": dX, "dW_z": dW_z, "dW_r": dW_r, "dW": dW_n, "dh_0": carry[:, :H].copy()}
    return d_all | named(db_z=(db_z, given_b_z), db_r=(db_r, given_b_r), db=(db, given_b))


def gru_reset_after_step(
    x: Array,  # (B, I)
    h_prev: Array,  # (B, H)
    W_z: Array,  # (H, H + I)
    W_r: Array,  # (H, H + I)
    W: Array,  # (H, H + I)
    *,
    b_z: Array | None = None,  # (H,)
    b_r: Array | None = None,  # (H,)
    b: Array | None = None,  # (H,)
    b_h: Array | None = None,  # (H,)
) -> Array:
    """One step as cuDNN and torch.nn.GRU have it, h (B, H): reset after the product."""
    X, biases = np.asarray(x)[np.newaxis], {"b_z": b_z, "b_r": b_r, "b": b, "b_h": b_h}
    return gru_reset_after_sequence(X, W_z, W_r, W, h_0=h_prev, **biases)[1]


def gru_reset_after_step_vjp(
    x: Array,
    h_prev: Array,
    W_z: Array,
    W_r: Array,
    W: Array,
    dh: Array,  # (B, H)
    *,
    b_z: Array | None = None,
    b_r: Array | None = None,
    b: Array | None = None,
    b_h: Array | None = None,
) -> dict[str, Array]:
    """The VJP of a sequence of one, where h_T alone has a cotangent."""
    X, none = _sequence_of_one(x, dh)
    biases = {"b_z": b_z, "b_r": b_r, "b": b, "b_h": b_h}
    return _of_a_step(gru_reset_after_sequence_vjp(X, W_z, W_r, W, none, dh, h_0=h_prev, **biases))


def gru_reset_after_sequence(
    X: Array,  # (T, B, I)
    W_z: Array,  # (H, H + I)
    W_r: Array,  # (H, H + I)
    W: Array,  # (H, H + I)
    *,
    h_0: Array | None = None,  # (B, H)
    b_z: Array | None = None,  # (H,)
    b_r: Array | None = None,  # (H,)
    b: Array | None = None,  # (H,)
    b_h: Array | None = None,  # (H,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
) -> tuple[Array, Array]:
    """The states h (T, B, H), 0 beyond the lengths, and the last valid one, h_T (B, H)."""
    X, W_z, W_r, W, h_0, b_z, b_r, b, b_h = _READ_AFTER(X, W_z, W_r, W, h_0, b_z, b_r, b, b_h)
    lengths = whole_or(lengths, *X.shape[:2])
    packed = _pack_after(W_z, W_r, W, b_z, b_r, b, b_h, keep=False)
    h, _ = _run_after(X, packed, h_0, lengths)
    return h, last_valid(h, h_0, lengths)


def gru_reset_after_sequence_of(
    W_z: Array,
    W_r: Array,
    W: Array,
    *,
    b_z: Array | None = None,
    b_r: Array | None = None,
    b: Array | None = None,
    b_h: Array | None = None,
) -> Callable[..., tuple[Array, Array]]:
    """`gru_reset_after_sequence` with these weights, as `gru_sequence_of`."""
    W_z, W_r, W, b_z, b_r, b, b_h = arrays(
        W_z=(W_z, "H K"),
        W_r=(W_r, "H K"),
        W=(W, "H K"),
        b_z=(b_z, "H"),
        b_r=(b_r, "H"),
        b=(b, "H"),
        b_h=(b_h, "H"),
    )
    packed = _pack_after(W_z, W_r, W, b_z, b_r, b, b_h, keep=True)
    return _with_packed(_run_after, packed, W)


def gru_reset_after_sequence_vjp(
    X: Array,
    W_z: Array,
    W_r: Array,
    W: Array,
    dh: Array,  # (T, B, H)
    dh_T: Array,  # (B, H)
    *,
    h_0: Array | None = None,
    b_z: Array | None = None,
    b_r: Array | None = None,
    b: Array | None = None,
    b_h: Array | None = None,
    lengths: Array | None = None,
) -> dict[str, Array]:
    """Backpropagation through time, as `gru_sequence_vjp`."""
    given_b_z, given_b_r, given_b, given_b_h = b_z, b_r, b, b_h
    X, W_z, W_r, W, h_0, b_z, b_r, b, b_h, dh, dh_T = _READ_AFTER_ERRORS(
        X, W_z, W_r, W, h_0, b_z, b_r, b, b_h, dh, dh_T
    )
    H, K = W.shape
    lengths = whole_or(lengths, *X.shape[:2])
    packed = _pack_after(W_z, W_r, W, b_z, b_r, b, b_h, keep=False)
    h_prevs, h = states(h_0, len(X))
    _, a = _run_after(X, packed, h_0, lengths, h)
    carry, M, W_h, _ = begin_back(dh_T, (W, W_z, W_r), H, (W_z, W_r, W))
    dW = np.empty((3, H, K), X.dtype)

    def work(*part: Any) -> None:
        _after_states_vjp(dh, W_h, h_prevs, lengths, a, carry, *part)

    X_valid = valid_alone(X, lengths)
    # the errors of n stand first for x and last for h
    sums, Ys = ((1, 4, 0, 0), (1, 3, 0, H), (0, 1, 2, H)), (h_prevs, X_valid, X_valid)
    dX, d_biases = go_back(work, 3 * H * H, W_h.shape[0], a, X, M, sums, Ys, (dW, dW, dW))
    (dW_z, dW_r, dW_n), (db, db_z, db_r, db_h) = dW, d_biases
    d = {"dX": dX, "dW_z": dW_z, "dW_r": dW_r, "dW": dW_n, "dh_0": carry[:, :H].copy()}
    return d | named(
        db_z=(db_z, given_b_z), db_r=(db_r, given_b_r), db=(db, given_b), db_h=(db_h, given_b_h)
    )
