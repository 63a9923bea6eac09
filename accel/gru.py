"""Gated Recurrent Unit as kernels: the deck's form, and cuDNN's variant beside it.

A step is a sequence of one. The deck resets the state before the product, and z is the share of
the new state; cuDNN and torch (`gru_reset_after_*`) let r scale the product, and z is the share of
the old. In the kernels c is [h, x] and d is [r * h, x].
"""

import numpy as np

from nnspec.accel.arrays import Array, arrays, transposed, whole_or
from nnspec.accel.dense import add_outer, add_product, named
from nnspec.accel.jit import kernel
from nnspec.accel.scalar import ONE, sigmoid


@kernel
def _states(
    X: Array,  # (T, B, I)
    W_z_T: Array,  # (H + I, H)
    W_r_T: Array,  # (H + I, H)
    W_T: Array,  # (H + I, H)
    h_0: Array,  # (B, H)
    b_z: Array,  # (H,)
    b_r: Array,  # (H,)
    b: Array,  # (H,)
    lengths: Array,  # (B,)
    keep: bool,
) -> tuple[Array, Array, Array]:  # (T, B, H), (B, H), and z, r, n for the VJP where kept
    T, B, I = X.shape
    H = h_0.shape[1]
    h = np.zeros((T, B, H), X.dtype)
    h_T = h_0.copy()
    gates = np.empty((T if keep else 0, B, 3, H), X.dtype)
    c = np.empty(H + I, X.dtype)
    z = np.empty(H, X.dtype)
    r = np.empty(H, X.dtype)
    n = np.empty(H, X.dtype)
    for t in range(T):
        for i in range(B):
            if t >= lengths[i]:
                continue
            for k in range(H):
                c[k] = h_T[i, k]
                z[k] = b_z[k]
                r[k] = b_r[k]
                n[k] = b[k]
            for k in range(I):
                c[H + k] = X[t, i, k]
            add_product(z, c, W_z_T)
            add_product(r, c, W_r_T)
            for k in range(H):
                z[k] = sigmoid(z[k])
                r[k] = sigmoid(r[k])
                c[k] *= r[k]  # c is d from here on
            add_product(n, c, W_T)
            for k in range(H):
                n[k] = np.tanh(n[k])
                h_T[i, k] = (ONE - z[k]) * h_T[i, k] + z[k] * n[k]
                h[t, i, k] = h_T[i, k]
            if keep:
                gates[t, i, 0] = z
                gates[t, i, 1] = r
                gates[t, i, 2] = n
    return h, h_T, gates


@kernel
def _states_vjp(
    X: Array,  # (T, B, I)
    W_z: Array,  # (H, H + I)
    W_r: Array,  # (H, H + I)
    W: Array,  # (H, H + I)
    h_0: Array,  # (B, H)
    h: Array,  # (T, B, H)
    gates: Array,  # (T, B, 3, H)
    lengths: Array,  # (B,)
    dh: Array,  # (T, B, H)
    dh_T: Array,  # (B, H)
) -> tuple[Array, Array, Array, Array, Array, Array]:
    T, B, I = X.shape
    H = h_0.shape[1]
    dX = np.zeros_like(X)
    dW_z = np.zeros_like(W_z)
    dW_r = np.zeros_like(W_r)
    dW = np.zeros_like(W)
    db = np.zeros((3, H), X.dtype)
    carry = dh_T.copy()  # the error from the next step
    c = np.empty(H + I, X.dtype)
    d = np.empty(H + I, X.dtype)
    dc = np.empty(H + I, X.dtype)
    dd = np.empty(H + I, X.dtype)
    da_z = np.empty(H, X.dtype)
    da_r = np.empty(H, X.dtype)
    da_n = np.empty(H, X.dtype)
    for t in range(T - 1, -1, -1):
        for i in range(B):
            if t >= lengths[i]:  # passed over: a product with 0 would let a NaN there through
                continue
            h_prev = h[t - 1, i] if t > 0 else h_0[i]
            z = gates[t, i, 0]
            r = gates[t, i, 1]
            n = gates[t, i, 2]
            for k in range(I):
                c[H + k] = X[t, i, k]
                d[H + k] = X[t, i, k]
            for k in range(H):
                c[k] = h_prev[k]
                d[k] = r[k] * h_prev[k]
                carry[i, k] += dh[t, i, k]
                da_z[k] = carry[i, k] * (n[k] - h_prev[k]) * (z[k] * (ONE - z[k]))
                da_n[k] = carry[i, k] * z[k] * (ONE - n[k] * n[k])
            for k in range(H + I):
                dc[k] = 0
                dd[k] = 0
            add_product(dd, da_n, W)
            for k in range(H):
                da_r[k] = dd[k] * h_prev[k] * (r[k] * (ONE - r[k]))
                db[0, k] += da_z[k]
                db[1, k] += da_r[k]
                db[2, k] += da_n[k]
            add_product(dc, da_z, W_z)
            add_product(dc, da_r, W_r)
            for k in range(H):
                carry[i, k] = carry[i, k] * (ONE - z[k]) + dd[k] * r[k] + dc[k]
            for k in range(I):
                dX[t, i, k] = dd[H + k] + dc[H + k]
            add_outer(dW_z, da_z, c)
            add_outer(dW_r, da_r, c)
            add_outer(dW, da_n, d)
    return dX, dW_z, dW_r, dW, carry, db


@kernel
def _after_states(
    X: Array,  # (T, B, I)
    W_z_T: Array,  # (H + I, H)
    W_r_T: Array,  # (H + I, H)
    W_T: Array,  # (H + I, H)
    h_0: Array,  # (B, H)
    b_z: Array,  # (H,)
    b_r: Array,  # (H,)
    b: Array,  # (H,)
    b_h: Array,  # (H,)
    lengths: Array,  # (B,)
    keep: bool,
) -> tuple[Array, Array, Array]:  # (T, B, H), (B, H), and z, r, n, q for the VJP where kept
    T, B, I = X.shape
    H = h_0.shape[1]
    h = np.zeros((T, B, H), X.dtype)
    h_T = h_0.copy()
    gates = np.empty((T if keep else 0, B, 4, H), X.dtype)
    c = np.empty(H + I, X.dtype)
    z = np.empty(H, X.dtype)
    r = np.empty(H, X.dtype)
    n = np.empty(H, X.dtype)
    q = np.empty(H, X.dtype)
    for t in range(T):
        for i in range(B):
            if t >= lengths[i]:
                continue
            for k in range(H):
                c[k] = h_T[i, k]
                z[k] = b_z[k]
                r[k] = b_r[k]
                n[k] = b[k]
                q[k] = b_h[k]
            for k in range(I):
                c[H + k] = X[t, i, k]
            add_product(z, c, W_z_T)
            add_product(r, c, W_r_T)
            add_product(q, c[:H], W_T[:H])
            add_product(n, c[H:], W_T[H:])
            for k in range(H):
                z[k] = sigmoid(z[k])
                r[k] = sigmoid(r[k])
                n[k] = np.tanh(n[k] + r[k] * q[k])
                h_T[i, k] = (ONE - z[k]) * n[k] + z[k] * h_T[i, k]
                h[t, i, k] = h_T[i, k]
            if keep:
                gates[t, i, 0] = z
                gates[t, i, 1] = r
                gates[t, i, 2] = n
                gates[t, i, 3] = q
    return h, h_T, gates


@kernel
def _after_states_vjp(
    X: Array,  # (T, B, I)
    W_z: Array,  # (H, H + I)
    W_r: Array,  # (H, H + I)
    W_h: Array,  # (H, H): the part of W for h
    W_x: Array,  # (H, I): the part of W for x
    h_0: Array,  # (B, H)
    h: Array,  # (T, B, H)
    gates: Array,  # (T, B, 4, H)
    lengths: Array,  # (B,)
    dh: Array,  # (T, B, H)
    dh_T: Array,  # (B, H)
) -> tuple[Array, Array, Array, Array, Array, Array, Array]:
    T, B, I = X.shape
    H = h_0.shape[1]
    dX = np.zeros_like(X)
    dW_z = np.zeros_like(W_z)
    dW_r = np.zeros_like(W_r)
    dW_h = np.zeros_like(W_h)
    dW_x = np.zeros_like(W_x)
    db = np.zeros((4, H), X.dtype)
    carry = dh_T.copy()  # the error from the next step
    c = np.empty(H + I, X.dtype)
    dc = np.empty(H + I, X.dtype)
    da_z = np.empty(H, X.dtype)
    da_r = np.empty(H, X.dtype)
    da_n = np.empty(H, X.dtype)
    dq = np.empty(H, X.dtype)
    for t in range(T - 1, -1, -1):
        for i in range(B):
            if t >= lengths[i]:  # passed over: a product with 0 would let a NaN there through
                continue
            h_prev = h[t - 1, i] if t > 0 else h_0[i]
            z = gates[t, i, 0]
            r = gates[t, i, 1]
            n = gates[t, i, 2]
            q = gates[t, i, 3]
            for k in range(I):
                c[H + k] = X[t, i, k]
            for k in range(H):
                c[k] = h_prev[k]
                carry[i, k] += dh[t, i, k]
                da_z[k] = carry[i, k] * (h_prev[k] - n[k]) * (z[k] * (ONE - z[k]))
                da_n[k] = carry[i, k] * (ONE - z[k]) * (ONE - n[k] * n[k])
                dq[k] = da_n[k] * r[k]
                da_r[k] = da_n[k] * q[k] * (r[k] * (ONE - r[k]))
                db[0, k] += da_z[k]
                db[1, k] += da_r[k]
                db[2, k] += da_n[k]
                db[3, k] += dq[k]
            for k in range(H + I):
                dc[k] = 0
            add_product(dc, da_z, W_z)
            add_product(dc, da_r, W_r)
            add_product(dc[:H], dq, W_h)
            add_product(dc[H:], da_n, W_x)
            for k in range(H):
                carry[i, k] = carry[i, k] * z[k] + dc[k]
            for k in range(I):
                dX[t, i, k] = dc[H + k]
            add_outer(dW_z, da_z, c)
            add_outer(dW_r, da_r, c)
            add_outer(dW_h, dq, h_prev)
            add_outer(dW_x, da_n, X[t, i])
    return dX, dW_z, dW_r, dW_h, dW_x, carry, db


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
    X, W_z, W_r, W, h_0, b_z, b_r, b = arrays(
        X=(X, "T B I"),
        W_z=(W_z, "H H+I"),
        W_r=(W_r, "H H+I"),
        W=(W, "H H+I"),
        h_0=(h_0, "B H"),
        b_z=(b_z, "H"),
        b_r=(b_r, "H"),
        b=(b, "H"),
    )
    weights = transposed(W_z), transposed(W_r), transposed(W)
    lengths = whole_or(lengths, *X.shape[:2])
    h, h_T, _ = _states(X, *weights, h_0, b_z, b_r, b, lengths, False)
    return h, h_T


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
    X, W_z, W_r, W, dh, dh_T, h_0, b_z, b_r, b = arrays(
        X=(X, "T B I"),
        W_z=(W_z, "H H+I"),
        W_r=(W_r, "H H+I"),
        W=(W, "H H+I"),
        dh=(dh, "T B H"),
        dh_T=(dh_T, "B H"),
        h_0=(h_0, "B H"),
        b_z=(b_z, "H"),
        b_r=(b_r, "H"),
        b=(b, "H"),
    )
    weights = transposed(W_z), transposed(W_r), transposed(W)
    lengths = whole_or(lengths, *X.shape[:2])
    h, _, gates = _states(X, *weights, h_0, b_z, b_r, b, lengths, True)
    dX, dW_z, dW_r, dW, dh_0, db = _states_vjp(X, W_z, W_r, W, h_0, h, gates, lengths, dh, dh_T)
    d = {"dX": dX, "dW_z": dW_z, "dW_r": dW_r, "dW": dW, "dh_0": dh_0}
    return d | named(db_z=(db[0], given_b_z), db_r=(db[1], given_b_r), db=(db[2], given_b))


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
    X, W_z, W_r, W, h_0, b_z, b_r, b, b_h = arrays(
        X=(X, "T B I"),
        W_z=(W_z, "H H+I"),
        W_r=(W_r, "H H+I"),
        W=(W, "H H+I"),
        h_0=(h_0, "B H"),
        b_z=(b_z, "H"),
        b_r=(b_r, "H"),
        b=(b, "H"),
        b_h=(b_h, "H"),
    )
    weights = transposed(W_z), transposed(W_r), transposed(W)
    lengths = whole_or(lengths, *X.shape[:2])
    h, h_T, _ = _after_states(X, *weights, h_0, b_z, b_r, b, b_h, lengths, False)
    return h, h_T


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
    X, W_z, W_r, W, dh, dh_T, h_0, b_z, b_r, b, b_h = arrays(
        X=(X, "T B I"),
        W_z=(W_z, "H H+I"),
        W_r=(W_r, "H H+I"),
        W=(W, "H H+I"),
        dh=(dh, "T B H"),
        dh_T=(dh_T, "B H"),
        h_0=(h_0, "B H"),
        b_z=(b_z, "H"),
        b_r=(b_r, "H"),
        b=(b, "H"),
        b_h=(b_h, "H"),
    )
    H = len(W)
    weights = transposed(W_z), transposed(W_r), transposed(W)
    lengths = whole_or(lengths, *X.shape[:2])
    h, _, gates = _after_states(X, *weights, h_0, b_z, b_r, b, b_h, lengths, True)
    W_h, W_x = np.ascontiguousarray(W[:, :H]), np.ascontiguousarray(W[:, H:])
    dX, dW_z, dW_r, dW_h, dW_x, dh_0, db = _after_states_vjp(
        X, W_z, W_r, W_h, W_x, h_0, h, gates, lengths, dh, dh_T
    )
    d = {"dX": dX, "dW_z": dW_z, "dW_r": dW_r, "dW": np.concatenate([dW_h, dW_x], axis=1)}
    biases = named(
        db_z=(db[0], given_b_z),
        db_r=(db[1], given_b_r),
        db=(db[2], given_b),
        db_h=(db[3], given_b_h),
    )
    return d | {"dh_0": dh_0} | biases
