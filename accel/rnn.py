"""The Recurrent Neural Network of the deck as kernels: one for all states, one for its VJP.

A step is a sequence of one; the types of networks are sequences and layers put together. Not to
be confused with torch.nn.RNN, whose outputs are the states.
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
from nnspec.accel.dense import layer, layer_vjp, named
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
from nnspec.accel.scalar import CODES, IDENTITY, ONE, SIGMOID, TANH
from nnspec.accel.sums import NO_SUM
from nnspec.accel.team import meet
from nnspec.accel.threads import share
from nnspec.accel.vector_math import sigmoid, tanh
from nnspec.accel.vectors import lanes, put, take, zero_vector

STATE_CODES = {"tanh": TANH, "sigmoid": SIGMOID}


@inlined
def _activate(a: Array, S: Array, code: int) -> None:
    """S = f(a)."""
    for k in range(0, a.size, lanes(a)):
        if code == TANH:
            put(S, k, tanh(take(a, k)))
        else:
            put(S, k, sigmoid(take(a, k)))


@inlined
def _error(S: Array, dS: Array, carry: Array, delta: Array, code: int) -> None:
    """δ = f'(S) (dS + the error from the next step), which is used up."""
    for k in range(0, S.size, lanes(S)):
        S_t, e = take(S, k), take(dS, k) + take(carry, k)
        slope = ONE - S_t * S_t if code == TANH else S_t * (ONE - S_t)
        put(delta, k, e * slope)
        put(carry, k, zero_vector(S))


@lean_helper
def _steps(
    part: int,  # of the units; or 0 for the steps, else the inputs' part ahead of them
    count: int,  # who shares the units
    row: int,
    row_end: int,
    X: Array,  # (T, B, I)
    U: Array,  # (1, panels, I, WIDTH)
    W: Array,  # (1, panels, H, WIDTH)
    b: Array,  # (1, columns)
    S_0: Array,  # (B, H)
    lengths: Array,  # (B,)
    a: Array,  # (steps, B, 1, columns): preactivations
    S: Array,  # (T, B, H)
    code: int,
    progress: Array,
    copies: int,
    barrier: Array,
) -> None:
    T, B, H = S.shape
    panel, panel_end = share(W.shape[1], part, count)
    first, last = panel * W.shape[3], min(panel_end * W.shape[3], H)
    V_x, own_panels, a = U[0], (W.shape[1], panel, panel_end), own_copy(a, part, copies)
    flat = a.reshape(a.shape[0], B, a.shape[3])
    if progress.size and part > 0:
        inputs_ahead(X, V_x, b, flat, progress)
        return
    (at_once, beside), tiles = steps_at_once(X, W, flat, progress), 0
    inputs = X, V_x, b, flat, at_once, beside
    for begin in range(0, T, at_once):
        end, place = min(T, begin + at_once), place_of(begin, inputs)
        own = row, row_end, panel, panel_end
        tiles, other = inputs_ready(inputs, begin, progress, tiles, *own), block_beside(inputs, end)
        for t in range(begin, end):
            S_prev = S[t - 1] if t > 0 else S_0
            a_t = flat[place + t - begin]
            S_rows, rows = S_prev[row:row_end], a_t[row:row_end]
            tiles = add_gates(S_rows, W[0], rows, own_panels, t, other, tiles)
            for i in range(row, row_end):
                if t < lengths[i]:
                    _activate(a_t[i, first:last], S[t, i, first:last], code)
                else:
                    S[t, i, first:last] = 0
            meet(barrier, count)  # the next product takes all of S_t


_in_either_way = in_either_way(_steps)


@lean_kernel
def _states(*arguments: Any) -> None:
    """The arguments of `_steps` after its rows, then six for `in_either_way`."""
    _in_either_way(arguments[:-6], arguments[-6:])


@lean_helper
def _steps_back(
    part: int,  # of the units
    count: int,  # who shares them
    row: int,
    row_end: int,
    S: Array,  # (T, B, H): from `_states`
    W: Array,  # (panels, columns, WIDTH): for δ W
    lengths: Array,  # (B,)
    dS: Array,  # (T, B, H)
    delta: Array,  # (T, B, 1, columns)
    carry: Array,  # (B, columns): dS_T, then dS_0
    code: int,
    M: Array,  # these three: see `backward.Errors`
    zeros: Array,
    dX: Array,
    beside: bool,
    progress: Array,
    barrier: Array,
) -> None:
    T, _, H = S.shape
    panel, panel_end = share(W.shape[0], part, count)
    first, last = panel * W.shape[2], min(panel_end * W.shape[2], H)
    flat = delta.reshape(T, delta.shape[1], delta.shape[3])
    errors, tiles = errors_of(delta, M, zeros, dX), 0
    for t in range(T - 1, -1, -1):
        if beside:
            tiles = next_rows(errors, W, t, panel, panel_end, tiles)
        for i in range(row, row_end):
            clear_beyond(delta[t, i], H)
            if t < lengths[i]:
                _error(
                    S[t, i, first:last],
                    dS[t, i, first:last],
                    carry[i, first:last],
                    delta[t, i, 0, first:last],
                    code,
                )
            else:
                delta[t, i, 0, first:last] = 0
        went_back(t, progress)
        meet(barrier, count)  # the product takes all of δ_t
        da_t, error_t = flat[t, row:row_end], carry[row:row_end]
        tiles = hand_down(da_t, W, error_t, panel, panel_end, t, errors, tiles)
    if beside:
        last_rows(errors, W, panel, panel_end, tiles)


_back_in_either_way = in_either_way(_steps_back)


@lean_kernel
def _states_vjp(*arguments: Any) -> None:
    """The arguments of `_steps_back` after its rows, then six for `in_either_way`."""
    _back_in_either_way(arguments[:-6], arguments[-6:])


def _run_packed(
    X: Array, packed: Packed, S_0: Array, lengths: Array, code: int, S: Array | None = None
) -> tuple[Array, Array]:
    """S, in room where there is some for it, and S_T."""
    (T, B, _), H = X.shape, S_0.shape[1]
    a = preactivations(X, packed, 1, keep=False)
    S_all = np.empty((T, B, H), X.dtype) if S is None else S

    def work(*part: Any) -> None:
        _states(X, *packed, S_0, lengths, a, S_all, code, *part)

    in_steps(X, packed, a, work, keep=False)
    return S_all, last_valid(S_all, S_0, lengths)


def _run(
    X: Array,
    U: Array,
    W: Array,
    S_0: Array,
    b: Array,
    lengths: Array,
    code: int,
    S: Array | None = None,
) -> tuple[Array, Array]:
    """`_run_packed`, from arrays that are ready."""
    packed = pack_layer((U,), 0, (W,), (b,), keep=False)
    return _run_packed(X, packed, S_0, lengths, code, S)


def _run_vjp(
    X: Array,
    U: Array,
    W: Array,
    S_prevs: Array,  # the states before and …
    S: Array,  # … after each step: room for `_run`, and its results
    lengths: Array,
    dS: Array,
    dS_T: Array,
    code: int,
) -> tuple[Array, Array, Array, Array, Array]:
    """(dX, dU, dW, dS_0, db)."""
    (T, B, I), H = X.shape, dS_T.shape[1]
    carry, M, back, _ = begin_back(dS_T, (U,), 0, (W,))
    delta = room_for("deltas", (T, B, 1, back.shape[1]), X.dtype)
    dU, dW = np.empty((1, H, I), X.dtype), np.empty((1, H, H), X.dtype)

    def work(*part: Any) -> None:
        _states_vjp(S, back, lengths, dS, delta, carry, code, *part)

    X_valid, sums = valid_alone(X, lengths), ((0, 1, 0, 0), (0, 1, 0, 0), NO_SUM)
    Ys, totals = (X_valid, S_prevs, X_valid), (dU, dW, dW)
    dX, db = go_back(work, H * H, back.shape[0], delta, X, M, sums, Ys, totals)
    return dX, dU[0], dW[0], carry[:, :H].copy(), db[0]


def _flat(x: Array) -> Array:
    """All times as one batch: (T, B, N) as (T * B, N)."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


def _outputs(S: Array, V: Array, c: Array, lengths: Array) -> Array:
    """O (T, B, O), 0 beyond the lengths."""
    O_all = layer(_flat(S), V, c, TANH).reshape(*S.shape[:2], len(V))
    O_all[_padding(S, lengths)] = 0
    return O_all


def _outputs_vjp(
    S: Array, V: Array, c: Array, lengths: Array, dO: Array
) -> tuple[Array, Array, Array]:
    """(dS, dV, dc) of `_outputs`."""
    O_all = layer(_flat(S), V, c, TANH)
    dO_valid = dO.copy()
    dO_valid[_padding(S, lengths)] = 0
    dS, dV, dc = layer_vjp(_flat(S), V, O_all, _flat(dO_valid), TANH)
    return dS.reshape(S.shape), dV, dc


def _padding(S: Array, lengths: Array) -> Array:
    """(T, B): whether step t lies beyond the length of example b."""
    beyond: Array = np.arange(len(S))[:, np.newaxis] >= lengths
    return beyond


def rnn_step(
    x: Array,  # (B, I)
    S_prev: Array,  # (B, H)
    U: Array,  # (H, I)
    W: Array,  # (H, H)
    *,
    b: Array | None = None,  # (H,)
    activation: str = "tanh",
) -> Array:
    """S_t = f(U X_t + W S_{t-1} + b), (B, H)."""
    x, S_prev, U, W, b = arrays(
        x=(x, "B I"), S_prev=(S_prev, "B H"), U=(U, "H I"), W=(W, "H H"), b=(b, "H")
    )
    whole = whole_or(None, 1, len(x))
    return _run(x[np.newaxis], U, W, S_prev, b, whole, STATE_CODES[activation])[1]


def rnn_step_vjp(
    x: Array,
    S_prev: Array,
    U: Array,
    W: Array,
    dS: Array,
    *,
    b: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """δ = dS f'(S); dx = δ U, dS_prev = δ W, dU = δᵀ x, dW = δᵀ S_prev, db = sum of δ over B."""
    given_b = b
    x, S_prev, U, W, dS, b = arrays(
        x=(x, "B I"),
        S_prev=(S_prev, "B H"),
        U=(U, "H I"),
        W=(W, "H H"),
        dS=(dS, "B H"),
        b=(b, "H"),
    )
    code = STATE_CODES[activation]
    dx, dS_prev, dU, dW, db = _step_vjp(x, S_prev, U, W, b, dS, code)
    d = {"dx": dx, "dS_prev": dS_prev, "dU": dU, "dW": dW}
    return d | named(db=(db, given_b))


def _step_vjp(
    x: Array, S_prev: Array, U: Array, W: Array, b: Array, dS: Array, code: int
) -> tuple[Array, Array, Array, Array, Array]:
    """(dx, dS_prev, dU, dW, db) of a step, from arrays that are ready."""
    X, whole = x[np.newaxis], whole_or(None, 1, len(x))
    before, S = states(S_prev, 1)
    _run(X, U, W, S_prev, b, whole, code, S)
    none = np.zeros_like(S)
    dX, dU, dW, dS_prev, db = _run_vjp(X, U, W, before, S, whole, none, dS, code)
    return dX[0], dS_prev, dU, dW, db


def rnn_output(
    S: Array,  # (B, H)
    V: Array,  # (O, H)
    *,
    c: Array | None = None,  # (O,)
    activation: str = "tanh",
) -> Array:
    """O_t = f(V S_t + c), (B, O)."""
    S, V, c = arrays(S=(S, "B H"), V=(V, "O H"), c=(c, "O"))
    return layer(S, V, c, CODES[activation])


def rnn_output_vjp(
    S: Array,
    V: Array,
    dO: Array,
    *,
    c: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """δ = dO f'(O); dS = δ V, dV = δᵀ S, dc = sum of δ over B."""
    given_c = c
    S, V, dO, c = arrays(S=(S, "B H"), V=(V, "O H"), dO=(dO, "B O"), c=(c, "O"))
    code = CODES[activation]
    dS, dV, dc = layer_vjp(S, V, layer(S, V, c, code), dO, code)
    return {"dS": dS, "dV": dV} | named(dc=(dc, given_c))


def rnn_deep_output(
    S: Array,  # (B, H)
    V: Array,  # (O, H)
    W_1: Array,  # (M, O)
    W_2: Array,  # (P, M)
    *,
    c: Array | None = None,  # (O,)
    b_1: Array | None = None,  # (M,)
    b_2: Array | None = None,  # (P,)
    activation: str = "tanh",
) -> Array:
    """O_t = tanh(V S_t + c) put through a hidden layer f and a linear one: y (B, P)."""
    S, V, W_1, W_2, c, b_1, b_2 = arrays(
        S=(S, "B H"),
        V=(V, "O H"),
        W_1=(W_1, "M O"),
        W_2=(W_2, "P M"),
        c=(c, "O"),
        b_1=(b_1, "M"),
        b_2=(b_2, "P"),
    )
    hidden = layer(layer(S, V, c, TANH), W_1, b_1, CODES[activation])
    return layer(hidden, W_2, b_2, IDENTITY)


def rnn_deep_output_vjp(
    S: Array,
    V: Array,
    W_1: Array,
    W_2: Array,
    dy: Array,
    *,
    c: Array | None = None,
    b_1: Array | None = None,
    b_2: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """Three layers, from the last back."""
    given_c, given_b_1, given_b_2 = c, b_1, b_2
    S, V, W_1, W_2, dy, c, b_1, b_2 = arrays(
        S=(S, "B H"),
        V=(V, "O H"),
        W_1=(W_1, "M O"),
        W_2=(W_2, "P M"),
        dy=(dy, "B P"),
        c=(c, "O"),
        b_1=(b_1, "M"),
        b_2=(b_2, "P"),
    )
    code = CODES[activation]
    O_t = layer(S, V, c, TANH)
    hidden = layer(O_t, W_1, b_1, code)
    dhidden, dW_2, db_2 = layer_vjp(hidden, W_2, dy, dy, IDENTITY)
    dO, dW_1, db_1 = layer_vjp(O_t, W_1, hidden, dhidden, code)
    dS, dV, dc = layer_vjp(S, V, O_t, dO, TANH)
    d = {"dS": dS, "dV": dV, "dW_1": dW_1, "dW_2": dW_2}
    return d | named(dc=(dc, given_c), db_1=(db_1, given_b_1), db_2=(db_2, given_b_2))


_READ = reader(X="T B I", U="H I", W="H H", S_0="B H", b="H")


def rnn_sequence(
    X: Array,  # (T, B, I)
    U: Array,  # (H, I)
    W: Array,  # (H, H)
    *,
    S_0: Array | None = None,  # (B, H)
    b: Array | None = None,  # (H,)
    lengths: Array | None = None,  # (B,)
    activation: str = "tanh",
) -> tuple[Array, Array]:
    """All states S (T, B, H), 0 beyond the lengths, and the last valid one, S_T (B, H)."""
    X, U, W, S_0, b = _READ(X, U, W, S_0, b)
    return _run(X, U, W, S_0, b, whole_or(lengths, *X.shape[:2]), STATE_CODES[activation])


def rnn_sequence_of(
    U: Array,
    W: Array,
    *,
    b: Array | None = None,
    activation: str = "tanh",
) -> Callable[..., tuple[Array, Array]]:
    """`rnn_sequence` with these weights, packed once: call it with X, and S_0= and lengths=."""
    U, W, b = arrays(U=(U, "H I"), W=(W, "H H"), b=(b, "H"))
    packed, code = pack_layer((U,), 0, (W,), (b,), keep=True), STATE_CODES[activation]
    H, I = U.shape
    read = reader(U.dtype, X=f"T B {I}", S_0=f"B {H}")

    def sequence(
        X: Array, *, S_0: Array | None = None, lengths: Array | None = None
    ) -> tuple[Array, Array]:
        X, S_0 = read(X, S_0)
        return _run_packed(X, packed, S_0, whole_or(lengths, *X.shape[:2]), code)

    return sequence


_READ_ERRORS = reader(X="T B I", U="H I", W="H H", dS="T B H", dS_T="B H", S_0="B H", b="H")


def rnn_sequence_vjp(
    X: Array,
    U: Array,
    W: Array,
    dS: Array,
    dS_T: Array,
    *,
    S_0: Array | None = None,
    b: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """Backpropagation through time: δ_t = f'(S_t) (dS_t + Wᵀ δ_{t+1}), from the last step back."""
    given_b = b
    X, U, W, dS, dS_T, S_0, b = _READ_ERRORS(X, U, W, dS, dS_T, S_0, b)
    lengths, code = whole_or(lengths, *X.shape[:2]), STATE_CODES[activation]
    S_prevs, S = states(S_0, len(X))
    _run(X, U, W, S_0, b, lengths, code, S)
    return _sequence_gradients(_run_vjp(X, U, W, S_prevs, S, lengths, dS, dS_T, code), given_b)


def _sequence_gradients(
    gradients: tuple[Array, Array, Array, Array, Array], given_b: Any
) -> dict[str, Array]:
    """What `_states_vjp` returns, by name."""
    dX, dU, dW, dS_0, db = gradients
    return {"dX": dX, "dU": dU, "dW": dW, "dS_0": dS_0} | named(db=(db, given_b))


def rnn_unrolled(
    X: Array,  # (T, B, I)
    U: Array,  # (H, I)
    W: Array,  # (H, H)
    *,
    S_0: Array | None = None,  # (B, H)
    b: Array | None = None,  # (H,)
    activation: str = "tanh",
) -> Array:
    """S_T (B, H), the same as the recurrence's."""
    return rnn_sequence(X, U, W, S_0=S_0, b=b, activation=activation)[1]


def rnn_unrolled_vjp(
    X: Array,
    U: Array,
    W: Array,
    dS_T: Array,
    *,
    S_0: Array | None = None,
    b: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """The recurrence's VJP where S_T alone has a cotangent."""
    dS_T = np.asarray(dS_T)
    dS = np.zeros((len(X), *dS_T.shape), dS_T.dtype)
    return rnn_sequence_vjp(X, U, W, dS, dS_T, S_0=S_0, b=b, activation=activation)


def rnn_one_to_one(
    x: Array,  # (B, I)
    U: Array,  # (H, I)
    V: Array,  # (O, H)
    *,
    b: Array | None = None,  # (H,)
    c: Array | None = None,  # (O,)
    activation: str = "tanh",
) -> Array:
    """O = tanh(V f(U x + b) + c), (B, O)."""
    x, U, V, b, c = arrays(x=(x, "B I"), U=(U, "H I"), V=(V, "O H"), b=(b, "H"), c=(c, "O"))
    return layer(layer(x, U, b, CODES[activation]), V, c, TANH)


def rnn_one_to_one_vjp(
    x: Array,
    U: Array,
    V: Array,
    dO: Array,
    *,
    b: Array | None = None,
    c: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """Two layers, from the last back."""
    given_b, given_c = b, c
    x, U, V, dO, b, c = arrays(
        x=(x, "B I"), U=(U, "H I"), V=(V, "O H"), dO=(dO, "B O"), b=(b, "H"), c=(c, "O")
    )
    code = CODES[activation]
    S = layer(x, U, b, code)
    dS, dV, dc = layer_vjp(S, V, layer(S, V, c, TANH), dO, TANH)
    dx, dU, db = layer_vjp(x, U, S, dS, code)
    return {"dx": dx, "dU": dU, "dV": dV} | named(db=(db, given_b), dc=(dc, given_c))


def rnn_one_to_many(
    x: Array,  # (B, I)
    U: Array,  # (H, I)
    W: Array,  # (H, H)
    V: Array,  # (I, H)
    *,
    S_0: Array | None = None,  # (B, H)
    b: Array | None = None,  # (H,)
    c: Array | None = None,  # (I,)
    activation: str = "tanh",
    steps: int = 1,
) -> Array:
    """O (steps, B, I): x is the first step's input, O_{t-1} every later step's."""
    x, U, W, V, S_0, b, c = arrays(
        x=(x, "B I"),
        U=(U, "H I"),
        W=(W, "H H"),
        V=(V, "I H"),
        S_0=(S_0, "B H"),
        b=(b, "H"),
        c=(c, "I"),
    )
    return _fed_back(x, U, W, V, S_0, b, c, STATE_CODES[activation], steps)[1][1:]


def _fed_back(
    x: Array,
    U: Array,
    W: Array,
    V: Array,
    S_0: Array,
    b: Array,
    c: Array,
    code: int,
    steps: int,
) -> tuple[Array, Array]:
    """S_0 and all states (1 + steps, B, H); x and all outputs (1 + steps, B, I)."""
    S = np.empty((1 + steps, *S_0.shape), x.dtype)
    X = np.empty((1 + steps, *x.shape), x.dtype)
    S[0], X[0] = S_0, x
    whole = whole_or(None, 1, len(x))
    packed = pack_layer((U,), 0, (W,), (b,), keep=True)
    for t in range(steps):
        S[t + 1] = _run_packed(X[t : t + 1], packed, S[t], whole, code)[1]
        X[t + 1] = layer(S[t + 1], V, c, TANH)
    return S, X


def rnn_one_to_many_vjp(
    x: Array,
    U: Array,
    W: Array,
    V: Array,
    dO: Array,
    *,
    S_0: Array | None = None,
    b: Array | None = None,
    c: Array | None = None,
    activation: str = "tanh",
    steps: int = 1,
) -> dict[str, Array]:
    """Backpropagation through time, where O_t has an error of its own: the next step's input."""
    given_b, given_c = b, c
    x, U, W, V, dO, S_0, b, c = arrays(
        x=(x, "B I"),
        U=(U, "H I"),
        W=(W, "H H"),
        V=(V, "I H"),
        dO=(dO, "T B I"),
        S_0=(S_0, "B H"),
        b=(b, "H"),
        c=(c, "I"),
    )
    if len(dO) != steps:
        raise ValueError(f"dO has {len(dO)} steps, wanted {steps}")
    code = STATE_CODES[activation]
    S, X = _fed_back(x, U, W, V, S_0, b, c, code, steps)
    dU, dW, dV, db, dc = (np.zeros_like(w) for w in (U, W, V, b, c))
    dS_0, dx = np.zeros_like(S_0), np.zeros_like(x)  # the errors from the next step
    whole, none = whole_or(None, 1, len(x)), np.zeros_like(S[:1])
    for t in reversed(range(steps)):
        dS_t, dV_t, dc_t = layer_vjp(S[t + 1], V, X[t + 1], dO[t] + dx, TANH)
        dX_t, dU_t, dW_t, dS_0, db_t = _run_vjp(
            X[t : t + 1], U, W, S[t : t + 1], S[t + 1 : t + 2], whole, none, dS_t + dS_0, code
        )
        dx = dX_t[0]
        dU, dW, dV, db, dc = dU + dU_t, dW + dW_t, dV + dV_t, db + db_t, dc + dc_t
    d = {"dx": dx, "dU": dU, "dW": dW, "dV": dV, "dS_0": dS_0}
    return d | named(db=(db, given_b), dc=(dc, given_c))


def rnn_many_to_one(
    X: Array,  # (T, B, I)
    U: Array,  # (H, I)
    W: Array,  # (H, H)
    V: Array,  # (O, H)
    *,
    S_0: Array | None = None,  # (B, H)
    b: Array | None = None,  # (H,)
    c: Array | None = None,  # (O,)
    lengths: Array | None = None,  # (B,)
    activation: str = "tanh",
) -> Array:
    """O = tanh(V S_T + c), (B, O), from the state after the last valid step."""
    X, U, W, V, S_0, b, c = arrays(
        X=(X, "T B I"),
        U=(U, "H I"),
        W=(W, "H H"),
        V=(V, "O H"),
        S_0=(S_0, "B H"),
        b=(b, "H"),
        c=(c, "O"),
    )
    lengths = whole_or(lengths, *X.shape[:2])
    _, S_T = _run(X, U, W, S_0, b, lengths, STATE_CODES[activation])
    return layer(S_T, V, c, TANH)


def rnn_many_to_one_vjp(
    X: Array,
    U: Array,
    W: Array,
    V: Array,
    dO: Array,
    *,
    S_0: Array | None = None,
    b: Array | None = None,
    c: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """The output's VJP gives dS_T, the sequence's VJP the rest."""
    given_b, given_c = b, c
    X, U, W, V, dO, S_0, b, c = arrays(
        X=(X, "T B I"),
        U=(U, "H I"),
        W=(W, "H H"),
        V=(V, "O H"),
        dO=(dO, "B O"),
        S_0=(S_0, "B H"),
        b=(b, "H"),
        c=(c, "O"),
    )
    lengths, code = whole_or(lengths, *X.shape[:2]), STATE_CODES[activation]
    S_prevs, S = states(S_0, len(X))
    _, S_T = _run(X, U, W, S_0, b, lengths, code, S)
    dS_T, dV, dc = layer_vjp(S_T, V, layer(S_T, V, c, TANH), dO, TANH)
    gradients = _run_vjp(X, U, W, S_prevs, S, lengths, np.zeros_like(S), dS_T, code)
    return _sequence_gradients(gradients, given_b) | {"dV": dV} | named(dc=(dc, given_c))


def rnn_many_to_many(
    X: Array,  # (T, B, I)
    U: Array,  # (H, I)
    W: Array,  # (H, H)
    V: Array,  # (O, H)
    *,
    S_0: Array | None = None,  # (B, H)
    b: Array | None = None,  # (H,)
    c: Array | None = None,  # (O,)
    lengths: Array | None = None,  # (B,)
    activation: str = "tanh",
) -> Array:
    """O_t = tanh(V S_t + c) for each step, (T, B, O), 0 beyond the lengths."""
    X, U, W, V, S_0, b, c = arrays(
        X=(X, "T B I"),
        U=(U, "H I"),
        W=(W, "H H"),
        V=(V, "O H"),
        S_0=(S_0, "B H"),
        b=(b, "H"),
        c=(c, "O"),
    )
    lengths = whole_or(lengths, *X.shape[:2])
    S, _ = _run(X, U, W, S_0, b, lengths, STATE_CODES[activation])
    return _outputs(S, V, c, lengths)


def rnn_many_to_many_vjp(
    X: Array,
    U: Array,
    W: Array,
    V: Array,
    dO: Array,
    *,
    S_0: Array | None = None,
    b: Array | None = None,
    c: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """The output's VJP, all times as one batch, gives dS; the sequence's VJP the rest."""
    given_b, given_c = b, c
    X, U, W, V, dO, S_0, b, c = arrays(
        X=(X, "T B I"),
        U=(U, "H I"),
        W=(W, "H H"),
        V=(V, "O H"),
        dO=(dO, "T B O"),
        S_0=(S_0, "B H"),
        b=(b, "H"),
        c=(c, "O"),
    )
    lengths, code = whole_or(lengths, *X.shape[:2]), STATE_CODES[activation]
    S_prevs, S = states(S_0, len(X))
    _, S_T = _run(X, U, W, S_0, b, lengths, code, S)
    dS, dV, dc = _outputs_vjp(S, V, c, lengths, dO)
    gradients = _run_vjp(X, U, W, S_prevs, S, lengths, dS, np.zeros_like(S_T), code)
    return _sequence_gradients(gradients, given_b) | {"dV": dV} | named(dc=(dc, given_c))


def rnn_encoder_decoder(
    X: Array,  # (T, B, I)
    Y: Array,  # (N, B, J)
    U_e: Array,  # (H, I)
    W_e: Array,  # (H, H)
    U_d: Array,  # (H, J)
    W_d: Array,  # (H, H)
    V: Array,  # (O, H)
    *,
    S_0: Array | None = None,  # (B, H)
    b_e: Array | None = None,  # (H,)
    b_d: Array | None = None,  # (H,)
    c: Array | None = None,  # (O,)
    lengths: Array | None = None,  # (B,)
    activation: str = "tanh",
) -> Array:
    """O (N, B, O): the encoder's last valid state starts the decoder, which reads Y."""
    X, Y, U_e, W_e, U_d, W_d, V, S_0, b_e, b_d, c = arrays(
        X=(X, "T B I"),
        Y=(Y, "N B J"),
        U_e=(U_e, "H I"),
        W_e=(W_e, "H H"),
        U_d=(U_d, "H J"),
        W_d=(W_d, "H H"),
        V=(V, "O H"),
        S_0=(S_0, "B H"),
        b_e=(b_e, "H"),
        b_d=(b_d, "H"),
        c=(c, "O"),
    )
    code = STATE_CODES[activation]
    _, S_T = _run(X, U_e, W_e, S_0, b_e, whole_or(lengths, *X.shape[:2]), code)
    whole = whole_or(None, *Y.shape[:2])
    S, _ = _run(Y, U_d, W_d, S_T, b_d, whole, code)
    return _outputs(S, V, c, whole)


def rnn_encoder_decoder_vjp(
    X: Array,
    Y: Array,
    U_e: Array,
    W_e: Array,
    U_d: Array,
    W_d: Array,
    V: Array,
    dO: Array,
    *,
    S_0: Array | None = None,
    b_e: Array | None = None,
    b_d: Array | None = None,
    c: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """The decoder's gradient of its initial state is the encoder's cotangent of its last."""
    given_b_e, given_b_d, given_c = b_e, b_d, c
    X, Y, U_e, W_e, U_d, W_d, V, dO, S_0, b_e, b_d, c = arrays(
        X=(X, "T B I"),
        Y=(Y, "N B J"),
        U_e=(U_e, "H I"),
        W_e=(W_e, "H H"),
        U_d=(U_d, "H J"),
        W_d=(W_d, "H H"),
        V=(V, "O H"),
        dO=(dO, "N B O"),
        S_0=(S_0, "B H"),
        b_e=(b_e, "H"),
        b_d=(b_d, "H"),
        c=(c, "O"),
    )
    code = STATE_CODES[activation]
    lengths, whole = whole_or(lengths, *X.shape[:2]), whole_or(None, *Y.shape[:2])
    S_e_prevs, S_e = states(S_0, len(X))
    _, S_T = _run(X, U_e, W_e, S_0, b_e, lengths, code, S_e)
    S_d_prevs, S_d = states(S_T, len(Y))
    _, last = _run(Y, U_d, W_d, S_T, b_d, whole, code, S_d)
    dS_d, dV, dc = _outputs_vjp(S_d, V, c, whole, dO)
    dY, dU_d, dW_d, dS_T, db_d = _run_vjp(
        Y, U_d, W_d, S_d_prevs, S_d, whole, dS_d, np.zeros_like(last), code
    )
    dX, dU_e, dW_e, dS_0, db_e = _run_vjp(
        X, U_e, W_e, S_e_prevs, S_e, lengths, np.zeros_like(S_e), dS_T, code
    )
    d = {"dX": dX, "dY": dY, "dU_e": dU_e, "dW_e": dW_e, "dU_d": dU_d, "dW_d": dW_d, "dV": dV}
    biases = named(db_e=(db_e, given_b_e), db_d=(db_d, given_b_d), dc=(dc, given_c))
    return d | {"dS_0": dS_0} | biases
