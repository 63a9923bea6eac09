"""Gated Recurrent Unit: the deck's form, its sequence, and cuDNN's variant beside them.

The deck resets the state *before* the product, W [r * h, x], and z is the share of the new
state. Not to be confused with the form of cuDNN and torch (`gru_reset_after_step`), where r
scales the product W h and z is the share of the old state.
"""

from collections.abc import Callable, Mapping

import numpy as np

from nnspec.reference.array import Array
from nnspec.reference.primitives import affine, sigmoid


def preactivation(
    c: Array,  # (B, H + I)
    W: Array,  # (H, H + I)
    b: Array | None,  # (H,)
) -> Array:
    """What a gate and the candidate are functions of: c Wᵀ + b, in the deck's form without b.

    Returns (B, H).
    """
    return affine(c, W, b=b)  # gru.bias


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
    """One step as the deck writes it: reset before the product, z the share of the new state.

    Returns h (B, H).
    Source: slide "Gated Recurrent Unit (GRU)"; Cho 2014, equations 5 to 8, with z for their
    1 - z; spec/gru.md. Not cuDNN's form, which is `gru_reset_after_step`.
    """
    hx = np.concatenate([h_prev, x], axis=-1)  # gru.step
    z_t = sigmoid(preactivation(hx, W_z, b_z))  # gru.update_gate
    r_t = sigmoid(preactivation(hx, W_r, b_r))  # gru.reset_gate
    # after the reset gate: every unit of the candidate needs every r
    rhx = np.concatenate([r_t * h_prev, x], axis=-1)
    h_new = np.tanh(preactivation(rhx, W, b))  # gru.candidate
    h: Array = (1 - z_t) * h_prev + z_t * h_new  # gru.state
    return h


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
    """The state reaches h by four ways: (1 - z) h, r * h in the candidate, z and r themselves.

    da_z, da_r, da_n are the gradients of the three pre-activations, n the candidate.
    """
    H = h_prev.shape[-1]
    hx = np.concatenate([h_prev, x], axis=-1)
    z = sigmoid(preactivation(hx, W_z, b_z))
    r = sigmoid(preactivation(hx, W_r, b_r))
    rhx = np.concatenate([r * h_prev, x], axis=-1)
    n = np.tanh(preactivation(rhx, W, b))
    da_z = dh * (n - h_prev) * z * (1 - z)
    da_n = dh * z * (1 - n * n)
    drhx = da_n @ W
    drh = drhx[:, :H]
    da_r = drh * h_prev * r * (1 - r)
    dhx = da_z @ W_z + da_r @ W_r
    d = {
        "dx": drhx[:, H:] + dhx[:, H:],
        "dh_prev": dh * (1 - z) + drh * r + dhx[:, :H],
        "dW_z": da_z.T @ hx,
        "dW_r": da_r.T @ hx,
        "dW": da_n.T @ rhx,
    }
    for name, bias, da in (("db_z", b_z, da_z), ("db_r", b_r, da_r), ("db", b, da_n)):
        if bias is not None:
            d[name] = da.sum(axis=0)
    return d


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
    """`gru_step` from the first time to each example's last: its states, and the last one.

    Returns h (T, B, H), 0 beyond an example's length, and h_T (B, H), the state after its last
    valid step. X beyond the length is never used, be it NaN.
    Source: slide "Gated Recurrent Unit (GRU)"; spec/gru.md.
    """
    T, B, _ = X.shape
    H = W.shape[0]
    steps = np.full(B, T) if lengths is None else lengths
    # a copy, since it is what T = 0 returns
    h_t = np.zeros_like(X, shape=(B, H)) if h_0 is None else h_0.copy()  # gru.initial_state
    h = np.zeros_like(X, shape=(T, B, H))
    for t in range(T):
        valid = (t < steps)[:, None]
        x_t = np.where(valid, X[t], 0)
        h_new = gru_step(x_t, h_t, W_z, W_r, W, b_z=b_z, b_r=b_r, b=b)  # gru.sequence
        h_t = np.where(valid, h_new, h_t)  # gru.lengths
        h[t] = np.where(valid, h_new, 0)  # gru.lengths
    return h, h_t


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
    biases = {"b_z": b_z, "b_r": b_r, "b": b}
    h, _ = gru_sequence(X, W_z, W_r, W, h_0=h_0, b_z=b_z, b_r=b_r, b=b, lengths=lengths)
    return through_time(gru_step_vjp, X, (W_z, W_r, W), h, dh, dh_T, h_0, biases, lengths)


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
    """One step as cuDNN and torch.nn.GRU have it: reset after the product, z the share of the old.

    W is [W^h | W^x]; b_h is added to the product that r scales. Returns h (B, H).
    Source: torch.nn.GRU; cuDNN, CUDNN_GRU; spec/gru.md. Not the deck's form, which is `gru_step`.
    """
    H = h_prev.shape[-1]
    W_h, W_x = W[:, :H], W[:, H:]
    hx = np.concatenate([h_prev, x], axis=-1)
    z_t = sigmoid(preactivation(hx, W_z, b_z))  # gru.reset_after
    r_t = sigmoid(preactivation(hx, W_r, b_r))  # gru.reset_after
    h_new = np.tanh(affine(x, W_x, b=b) + r_t * affine(h_prev, W_h, b=b_h))  # gru.reset_after
    h: Array = (1 - z_t) * h_new + z_t * h_prev  # gru.reset_after
    return h


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
    """As `gru_step_vjp`, with q = h W^hᵀ + b_h, the product that r scales: dq = da_n r."""
    H = h_prev.shape[-1]
    W_h, W_x = W[:, :H], W[:, H:]
    hx = np.concatenate([h_prev, x], axis=-1)
    z = sigmoid(preactivation(hx, W_z, b_z))
    r = sigmoid(preactivation(hx, W_r, b_r))
    q = affine(h_prev, W_h, b=b_h)
    n = np.tanh(affine(x, W_x, b=b) + r * q)
    da_z = dh * (h_prev - n) * z * (1 - z)
    da_n = dh * (1 - z) * (1 - n * n)
    dq = da_n * r
    da_r = da_n * q * r * (1 - r)
    dhx = da_z @ W_z + da_r @ W_r
    d = {
        "dx": da_n @ W_x + dhx[:, H:],
        "dh_prev": dh * z + dq @ W_h + dhx[:, :H],
        "dW_z": da_z.T @ hx,
        "dW_r": da_r.T @ hx,
        "dW": np.concatenate([dq.T @ h_prev, da_n.T @ x], axis=-1),
    }
    for name, bias, da in (
        ("db_z", b_z, da_z),
        ("db_r", b_r, da_r),
        ("db", b, da_n),
        ("db_h", b_h, dq),
    ):
        if bias is not None:
            d[name] = da.sum(axis=0)
    return d


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
    """`gru_reset_after_step` over time; state, lengths and padding as in `gru_sequence`.

    Returns h (T, B, H), 0 beyond an example's length, and h_T (B, H), the state after its last
    valid step.
    Source: torch.nn.GRU; cuDNN, CUDNN_GRU; spec/gru.md.
    """
    T, B, _ = X.shape
    H = W.shape[0]
    steps = np.full(B, T) if lengths is None else lengths
    # a copy, since it is what T = 0 returns
    h_t = np.zeros_like(X, shape=(B, H)) if h_0 is None else h_0.copy()
    h = np.zeros_like(X, shape=(T, B, H))
    biases = {"b_z": b_z, "b_r": b_r, "b": b, "b_h": b_h}
    for t in range(T):
        valid = (t < steps)[:, None]
        x_t = np.where(valid, X[t], 0)
        h_new = gru_reset_after_step(x_t, h_t, W_z, W_r, W, **biases)  # gru.reset_after_sequence
        h_t = np.where(valid, h_new, h_t)
        h[t] = np.where(valid, h_new, 0)
    return h, h_t


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
    biases = {"b_z": b_z, "b_r": b_r, "b": b, "b_h": b_h}
    h, _ = gru_reset_after_sequence(X, W_z, W_r, W, h_0=h_0, lengths=lengths, **biases)
    step_vjp = gru_reset_after_step_vjp
    return through_time(step_vjp, X, (W_z, W_r, W), h, dh, dh_T, h_0, biases, lengths)


def through_time(
    step_vjp: Callable[..., dict[str, Array]],
    X: Array,  # (T, B, I)
    weights: tuple[Array, Array, Array],  # W_z, W_r, W
    h: Array,  # (T, B, H)
    dh: Array,  # (T, B, H)
    dh_T: Array,  # (B, H)
    h_0: Array | None,  # (B, H)
    biases: Mapping[str, Array | None],
    lengths: Array | None,  # (B,)
) -> dict[str, Array]:
    """A sequence's VJP from its step's, backwards in time.

    The error of h_t is dh_t and what time t + 1 hands down; that of h_T enters at the example's
    last valid step. The gradients of the weights add up over time.
    """
    T, B, _ = X.shape
    steps = np.full(B, T) if lengths is None else lengths
    given = {name: value for name, value in biases.items() if value is not None}
    dX = np.zeros_like(X)
    dW = {
        f"d{name}": np.zeros_like(value)
        for name, value in zip(("W_z", "W_r", "W"), weights, strict=True)
    }
    db = {f"d{name}": np.zeros_like(value) for name, value in given.items()}
    h_first = np.zeros_like(dh_T) if h_0 is None else h_0
    d_t = dh_T.copy()
    for t in reversed(range(T)):
        valid = (t < steps)[:, None]
        x_t = np.where(valid, X[t], 0)
        # an example that has ended takes no part, whatever its state is
        h_prev = np.where(valid, h[t - 1] if t > 0 else h_first, 0)
        d = step_vjp(x_t, h_prev, *weights, np.where(valid, dh[t] + d_t, 0), **given)
        dX[t] = np.where(valid, d["dx"], 0)
        d_t = np.where(valid, d["dh_prev"], d_t)
        dW = {name: total + d[name] for name, total in dW.items()}
        db = {name: total + d[name] for name, total in db.items()}
    return {"dX": dX} | dW | {"dh_0": d_t} | db
