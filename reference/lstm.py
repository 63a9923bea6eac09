"""Long Short-Term Memory: the step, its sequence, peepholes; two directions and two layers.

The deck names the LSTM and has no equation for it: the forget gate is Gers 2000's, the state
stands before the input as in the deck's GRU. Both directions and both layers of `*_bidirectional`
and `*_stacked` are sequences of rnn, gru and lstm put together.
"""

from collections.abc import Callable, Mapping

import numpy as np

from nnspec.reference.array import Array
from nnspec.reference.gru import gru_sequence, gru_sequence_vjp
from nnspec.reference.primitives import affine, sigmoid
from nnspec.reference.rnn import rnn_sequence, rnn_sequence_vjp


def preactivation(
    hx: Array,  # (B, H + I)
    W: Array,  # (H, H + I)
    b: Array | None,  # (H,)
) -> Array:
    """What a gate and the candidate are functions of: [h, x] Wᵀ + b. Returns (B, H)."""
    return affine(hx, W, b=b)  # lstm.bias


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
    """One step with input, forget and output gate; c is the long-term memory, h the short-term.

    Returns h (B, H) and c (B, H).
    Source: Hochreiter 1997; the forget gate Gers 2000; spec/lstm.md. Not the cell of 1997, which
    has f = 1, nor that with peepholes, which is `lstm_peephole_step`.
    """
    hx = np.concatenate([h_prev, x], axis=-1)  # lstm.step
    i_t = sigmoid(preactivation(hx, W_i, b_i))  # lstm.input_gate
    f_t = sigmoid(preactivation(hx, W_f, b_f))  # lstm.forget_gate
    g_t = np.tanh(preactivation(hx, W_g, b_g))  # lstm.candidate
    o_t = sigmoid(preactivation(hx, W_o, b_o))  # lstm.output_gate
    kept = f_t * c_prev  # lstm.memory
    c = kept + i_t * g_t  # lstm.cell
    h = o_t * np.tanh(c)  # lstm.hidden
    return h, c


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
    """Two errors meet in c: its own, and that of h through tanh.

    da_i, da_f, da_g, da_o are the gradients of the four pre-activations, m = tanh(c).
    """
    hx = np.concatenate([h_prev, x], axis=-1)
    i = sigmoid(preactivation(hx, W_i, b_i))
    f = sigmoid(preactivation(hx, W_f, b_f))
    g = np.tanh(preactivation(hx, W_g, b_g))
    o = sigmoid(preactivation(hx, W_o, b_o))
    m = np.tanh(f * c_prev + i * g)
    da_o = dh * m * o * (1 - o)
    dc_t = dc + dh * o * (1 - m * m)
    da_i = dc_t * g * i * (1 - i)
    da_f = dc_t * c_prev * f * (1 - f)
    da_g = dc_t * i * (1 - g * g)
    gates = {"i": (W_i, b_i, da_i), "f": (W_f, b_f, da_f), "g": (W_g, b_g, da_g)}
    return {"dc_prev": dc_t * f} | through_gates(hx, gates | {"o": (W_o, b_o, da_o)})


def through_gates(
    hx: Array,  # (B, H + I)
    gates: Mapping[str, tuple[Array, Array | None, Array]],
) -> dict[str, Array]:
    """The gradients of what lies before the four pre-activations.

    `gates` maps a gate's letter to its W, its b and the gradient of its pre-activation, da.
    """
    H = next(iter(gates.values()))[0].shape[0]
    dhx = np.zeros_like(hx)
    d: dict[str, Array] = {}
    for letter, (W, b, da) in gates.items():
        dhx = dhx + da @ W
        d[f"dW_{letter}"] = da.T @ hx
        if b is not None:
            d[f"db_{letter}"] = da.sum(axis=0)
    return d | {"dh_prev": dhx[:, :H], "dx": dhx[:, H:]}


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
    """One step whose gates also see the cell, each unit its own: i and f the old, o the new one.

    Returns h (B, H) and c (B, H).
    Source: Gers 2002, section 3; Graves 2013, equations 3 to 7; spec/lstm.md. Not WebNN's form,
    whose output gate sees the old cell.
    """
    hx = np.concatenate([h_prev, x], axis=-1)
    i_t = sigmoid(preactivation(hx, W_i, b_i) + p_i * c_prev)  # lstm.peephole
    f_t = sigmoid(preactivation(hx, W_f, b_f) + p_f * c_prev)  # lstm.peephole
    g_t = np.tanh(preactivation(hx, W_g, b_g))  # lstm.peephole
    c = f_t * c_prev + i_t * g_t  # lstm.peephole
    # after the cell: the output gate sees the new one
    o_t = sigmoid(preactivation(hx, W_o, b_o) + p_o * c)  # lstm.peephole
    h = o_t * np.tanh(c)  # lstm.peephole
    return h, c


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
    """As `lstm_step_vjp`; a third error meets in c, from the output gate through p_o."""
    hx = np.concatenate([h_prev, x], axis=-1)
    i = sigmoid(preactivation(hx, W_i, b_i) + p_i * c_prev)
    f = sigmoid(preactivation(hx, W_f, b_f) + p_f * c_prev)
    g = np.tanh(preactivation(hx, W_g, b_g))
    c = f * c_prev + i * g
    o = sigmoid(preactivation(hx, W_o, b_o) + p_o * c)
    m = np.tanh(c)
    da_o = dh * m * o * (1 - o)
    dc_t = dc + dh * o * (1 - m * m) + da_o * p_o
    da_i = dc_t * g * i * (1 - i)
    da_f = dc_t * c_prev * f * (1 - f)
    da_g = dc_t * i * (1 - g * g)
    gates = {"i": (W_i, b_i, da_i), "f": (W_f, b_f, da_f), "g": (W_g, b_g, da_g)}
    return {
        "dc_prev": dc_t * f + da_i * p_i + da_f * p_f,
        "dp_i": (da_i * c_prev).sum(axis=0),
        "dp_f": (da_f * c_prev).sum(axis=0),
        "dp_o": (da_o * c).sum(axis=0),
    } | through_gates(hx, gates | {"o": (W_o, b_o, da_o)})


def states(
    step: Callable[..., tuple[Array, Array]],
    X: Array,  # (T, B, I)
    H: int,
    parameters: Mapping[str, Array | None],
    h_0: Array | None,  # (B, H)
    c_0: Array | None,  # (B, H)
    lengths: Array | None,  # (B,)
) -> tuple[Array, Array, Array, Array]:
    """A step from the first time to each example's last.

    `parameters` are the step's arguments after the states. Returns h and c (T, B, H), both 0
    beyond an example's length, and h_T and c_T (B, H), those after its last valid step.
    """
    T, B, _ = X.shape
    steps = np.full(B, T) if lengths is None else lengths
    # copies, since they are what T = 0 returns
    h_t = np.zeros_like(X, shape=(B, H)) if h_0 is None else h_0.copy()  # lstm.initial_state
    c_t = np.zeros_like(X, shape=(B, H)) if c_0 is None else c_0.copy()  # lstm.initial_state
    h, c = np.zeros_like(X, shape=(T, B, H)), np.zeros_like(X, shape=(T, B, H))
    for t in range(T):
        valid = (t < steps)[:, None]
        x_t = np.where(valid, X[t], 0)
        h_new, c_new = step(x_t, h_t, c_t, **parameters)
        h[t], c[t] = np.where(valid, h_new, 0), np.where(valid, c_new, 0)  # lstm.lengths
        h_t, c_t = np.where(valid, h_new, h_t), np.where(valid, c_new, c_t)  # lstm.lengths
    return h, c, h_t, c_t


def through_time(
    step: Callable[..., tuple[Array, Array]],
    step_vjp: Callable[..., dict[str, Array]],
    X: Array,  # (T, B, I)
    parameters: Mapping[str, Array | None],
    dh: Array,  # (T, B, H)
    dh_T: Array,  # (B, H)
    dc_T: Array,  # (B, H)
    h_0: Array | None,  # (B, H)
    c_0: Array | None,  # (B, H)
    lengths: Array | None,  # (B,)
) -> dict[str, Array]:
    """A sequence's VJP from its step's, backwards in time.

    The error of h_t is dh_t and what time t + 1 hands down, that of c_t what time t + 1 hands
    down; those of h_T and c_T enter at the example's last valid step. The gradients of the
    parameters add up over time.
    """
    T, B, _ = X.shape
    steps = np.full(B, T) if lengths is None else lengths
    h, c, _, _ = states(step, X, dh_T.shape[1], parameters, h_0, c_0, lengths)
    h_first = np.zeros_like(dh_T) if h_0 is None else h_0
    c_first = np.zeros_like(dc_T) if c_0 is None else c_0
    given = {name: value for name, value in parameters.items() if value is not None}
    dX = np.zeros_like(X)
    total = {f"d{name}": np.zeros_like(value) for name, value in given.items()}
    dh_t, dc_t = dh_T.copy(), dc_T.copy()
    for t in reversed(range(T)):
        valid = (t < steps)[:, None]
        x_t = np.where(valid, X[t], 0)
        # an example that has ended takes no part, whatever its state is
        h_prev = np.where(valid, h[t - 1] if t > 0 else h_first, 0)
        c_prev = np.where(valid, c[t - 1] if t > 0 else c_first, 0)
        errors = {"dh": np.where(valid, dh[t] + dh_t, 0), "dc": np.where(valid, dc_t, 0)}
        d = step_vjp(x_t, h_prev, c_prev, **given, **errors)
        dX[t] = np.where(valid, d["dx"], 0)
        dh_t = np.where(valid, d["dh_prev"], dh_t)
        dc_t = np.where(valid, d["dc_prev"], dc_t)
        total = {name: value + d[name] for name, value in total.items()}
    return {"dX": dX, "dh_0": dh_t, "dc_0": dc_t} | total


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
    """`lstm_step` from the first time to each example's last: its states, and the last ones.

    Returns h (T, B, H), 0 beyond an example's length, and h_T and c_T (B, H), the states after
    its last valid step. X beyond the length is never used, be it NaN.
    Source: Hochreiter 1997; Gers 2000; spec/lstm.md.
    """
    weights = {"W_i": W_i, "W_f": W_f, "W_g": W_g, "W_o": W_o}
    parameters = weights | {"b_i": b_i, "b_f": b_f, "b_g": b_g, "b_o": b_o}
    h, _, h_T, c_T = states(  # lstm.sequence
        lstm_step, X, len(W_i), parameters, h_0, c_0, lengths
    )
    return h, h_T, c_T


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
    weights = {"W_i": W_i, "W_f": W_f, "W_g": W_g, "W_o": W_o}
    parameters = weights | {"b_i": b_i, "b_f": b_f, "b_g": b_g, "b_o": b_o}
    start = (h_0, c_0, lengths)
    return through_time(lstm_step, lstm_step_vjp, X, parameters, dh, dh_T, dc_T, *start)


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
    """`lstm_peephole_step` over time; states, lengths and padding as in `lstm_sequence`.

    Returns h (T, B, H), 0 beyond an example's length, and h_T and c_T (B, H), the states after
    its last valid step.
    Source: Gers 2002; spec/lstm.md.
    """
    weights = {"W_i": W_i, "W_f": W_f, "W_g": W_g, "W_o": W_o}
    biases = {"b_i": b_i, "b_f": b_f, "b_g": b_g, "b_o": b_o}
    parameters = weights | {"p_i": p_i, "p_f": p_f, "p_o": p_o} | biases
    h, _, h_T, c_T = states(  # lstm.peephole_sequence
        lstm_peephole_step, X, len(W_i), parameters, h_0, c_0, lengths
    )
    return h, h_T, c_T


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
    weights = {"W_i": W_i, "W_f": W_f, "W_g": W_g, "W_o": W_o}
    biases = {"b_i": b_i, "b_f": b_f, "b_g": b_g, "b_o": b_o}
    parameters = weights | {"p_i": p_i, "p_f": p_f, "p_o": p_o} | biases
    step, start = (lstm_peephole_step, lstm_peephole_step_vjp), (h_0, c_0, lengths)
    return through_time(*step, X, parameters, dh, dh_T, dc_T, *start)


def lstm_coupled_step(
    x: Array,  # (B, I)
    h_prev: Array,  # (B, H)
    W_i: Array,  # (H, H + I)
    W_g: Array,  # (H, H + I)
    *,
    b_i: Array | None = None,  # (H,)
    b_g: Array | None = None,  # (H,)
) -> Array:
    """The LSTM that a GRU with r = 1 is: f = 1 - i, o = 1, no tanh on the output, so h = c.

    Returns h (B, H), what `gru_step` gives with W_z = W_i, W = W_g and an open reset gate.
    Source: slide "Gated Recurrent Unit (GRU)", "combines the Forget Gate and the Input Gate";
    spec/lstm.md.
    """
    hx = np.concatenate([h_prev, x], axis=-1)
    i_t = sigmoid(preactivation(hx, W_i, b_i))
    g_t = np.tanh(preactivation(hx, W_g, b_g))
    h: Array = (1 - i_t) * h_prev + i_t * g_t  # lstm.coupled
    return h


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
    """The error of i is dh (g - h_prev): what the one gate lets in it keeps out of the memory."""
    hx = np.concatenate([h_prev, x], axis=-1)
    i = sigmoid(preactivation(hx, W_i, b_i))
    g = np.tanh(preactivation(hx, W_g, b_g))
    da_i = dh * (g - h_prev) * i * (1 - i)
    da_g = dh * i * (1 - g * g)
    d = through_gates(hx, {"i": (W_i, b_i, da_i), "g": (W_g, b_g, da_g)})
    return d | {"dh_prev": dh * (1 - i) + d["dh_prev"]}


def recurrent_macs(
    H: Array | int,  # ()
    I: Array | int,  # ()
) -> tuple[int, int, int]:
    """Multiply-adds of the matrix products in one step of one example: H (H + I) for each gate.

    Returns the counts of rnn_step, gru_step and lstm_step: 1, 3 and 4 products of W [h, x].
    Source: table "LSTM, GRU" after slide "Gated Recurrent Unit (GRU)", "Less computation";
    spec/lstm.md.
    """
    product = int(H) * (int(H) + int(I))
    rnn, gru, lstm = product, 3 * product, 4 * product  # lstm.macs
    return rnn, gru, lstm


def reverse_valid(
    X: Array,  # (T, B, I)
    lengths: Array | None,  # (B,)
) -> Array:
    """Each example's valid steps in reverse order; what lies beyond its length stays in place.

    It undoes itself, and is its own VJP. Returns (T, B, I).
    """
    T, B, _ = X.shape
    t = np.arange(T)[:, np.newaxis]
    steps = np.full(B, T) if lengths is None else lengths
    source = np.where(t < steps, steps - 1 - t, t)
    mirrored: Array = X[source, np.arange(B)]
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
    """`rnn_sequence` in both directions, each with weights of its own; S is [forward, backward].

    The backward direction begins at each example's last valid step. Returns S (T, B, 2 H), 0 beyond
    an example's length, and the last states of each direction (B, H): the backward one's are those
    after the first time.
    Source: Schuster 1997; spec/lstm.md. Not two layers (`rnn_stacked`).
    """
    fwd = {"S_0": S_0_fwd, "b": b_fwd, "lengths": lengths}
    bwd = {"S_0": S_0_bwd, "b": b_bwd, "lengths": lengths}
    S_fwd, S_T_fwd = rnn_sequence(X, U_fwd, W_fwd, **fwd, activation=activation)
    X_bwd = reverse_valid(X, lengths)
    S_bwd, S_T_bwd = rnn_sequence(X_bwd, U_bwd, W_bwd, **bwd, activation=activation)
    S = np.concatenate([S_fwd, reverse_valid(S_bwd, lengths)], axis=-1)  # lstm.rnn_bidirectional
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
    """`gru_sequence` in both directions, each with weights of its own; h is [forward, backward].

    The backward direction begins at each example's last valid step. Returns h (T, B, 2 H), 0 beyond
    an example's length, and the last states of each direction (B, H): the backward one's are those
    after the first time.
    Source: Schuster 1997; spec/lstm.md. Not two layers (`gru_stacked`).
    """
    fwd = {"h_0": h_0_fwd, "b_z": b_z_fwd, "b_r": b_r_fwd, "b": b_fwd, "lengths": lengths}
    bwd = {"h_0": h_0_bwd, "b_z": b_z_bwd, "b_r": b_r_bwd, "b": b_bwd, "lengths": lengths}
    h_fwd, h_T_fwd = gru_sequence(X, W_z_fwd, W_r_fwd, W_fwd, **fwd)
    X_bwd = reverse_valid(X, lengths)
    h_bwd, h_T_bwd = gru_sequence(X_bwd, W_z_bwd, W_r_bwd, W_bwd, **bwd)
    h = np.concatenate([h_fwd, reverse_valid(h_bwd, lengths)], axis=-1)  # lstm.gru_bidirectional
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
    """`lstm_sequence` in both directions, each with weights of its own; h is [forward, backward].

    The backward direction begins at each example's last valid step. Returns h (T, B, 2 H), 0 beyond
    an example's length, and the last states of each direction (B, H): the backward one's are those
    after the first time.
    Source: Graves 2005, after Schuster 1997; spec/lstm.md. Not two layers (`lstm_stacked`).
    """
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
    h = np.concatenate([h_fwd, reverse_valid(h_bwd, lengths)], axis=-1)  # lstm.bidirectional
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
    """Two layers of `rnn_sequence`: the states of the first are the input of the second.

    Returns S (T, B, K), the second layer's states, 0 beyond an example's length, and the last
    states of each layer, (B, H) and (B, K).
    Source: Graves 2013, section 2; spec/lstm.md. Not two directions (`rnn_bidirectional`).
    """
    first = {"S_0": S_0_1, "b": b_1, "lengths": lengths}
    second = {"S_0": S_0_2, "b": b_2, "lengths": lengths}
    S_1, S_T_1 = rnn_sequence(X, U_1, W_1, **first, activation=activation)
    S_2, S_T_2 = rnn_sequence(S_1, U_2, W_2, **second, activation=activation)  # lstm.rnn_stacked
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
    """Two layers of `gru_sequence`: the states of the first are the input of the second.

    Returns h (T, B, K), the second layer's states, 0 beyond an example's length, and the last
    states of each layer, (B, H) and (B, K).
    Source: Graves 2013, section 2; spec/lstm.md. Not two directions (`gru_bidirectional`).
    """
    first = {"h_0": h_0_1, "b_z": b_z_1, "b_r": b_r_1, "b": b_1, "lengths": lengths}
    second = {"h_0": h_0_2, "b_z": b_z_2, "b_r": b_r_2, "b": b_2, "lengths": lengths}
    h_1, h_T_1 = gru_sequence(X, W_z_1, W_r_1, W_1, **first)
    h_2, h_T_2 = gru_sequence(h_1, W_z_2, W_r_2, W_2, **second)  # lstm.gru_stacked
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
    """Two layers of `lstm_sequence`: the states of the first are the input of the second.

    Returns h (T, B, K), the second layer's states, 0 beyond an example's length, and the last
    states of each layer, (B, H) and (B, K).
    Source: Graves 2013, section 2; spec/lstm.md. Not two directions (`lstm_bidirectional`).
    """
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
    h_2, h_T_2, c_T_2 = lstm_sequence(h_1, W_i_2, W_f_2, W_g_2, W_o_2, **second)  # lstm.stacked
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
