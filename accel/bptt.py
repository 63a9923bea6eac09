"""Backpropagation through time in its steps, as kernels; the sequence itself is that of `rnn`.

A kernel for the errors serves the whole gradient and both truncated ones: they differ in where an
error stops on its way back.
"""

import numpy as np

from nnspec.accel.arrays import Array, arrays
from nnspec.accel.dense import add_outer, add_product
from nnspec.accel.jit import kernel
from nnspec.accel.rnn import (
    STATE_CODES,
    rnn_output,
    rnn_output_vjp,
    rnn_sequence,
    rnn_sequence_vjp,
    rnn_step,
    rnn_step_vjp,
)
from nnspec.accel.scalar import ONE, ZERO, chain

GAMMA = {"tanh": 1.0, "sigmoid": 0.25}


@kernel
def _errors(
    S: Array,  # (T, B, H)
    O: Array,  # (T, B, O)
    W: Array,  # (H, H)
    V: Array,  # (O, H)
    dO: Array,  # (T, B, O)
    code: int,
    piece: int,  # no error crosses a multiple of it
) -> tuple[Array, Array]:  # delta (T, B, H), delta_O (T, B, O)
    T, B, H = S.shape
    delta = np.zeros_like(S)
    delta_O = np.empty_like(O)
    for t in range(T - 1, -1, -1):
        inside = t + 1 < T and (t + 1) % piece != 0
        for i in range(B):
            for n in range(O.shape[2]):
                delta_O[t, i, n] = dO[t, i, n] * (ONE - O[t, i, n] * O[t, i, n])
            add_product(delta[t, i], delta_O[t, i], V)
            if inside:
                add_product(delta[t, i], delta[t + 1, i], W)
            for n in range(H):
                delta[t, i, n] = chain(S[t, i, n], delta[t, i, n], code)
    return delta, delta_O


@kernel
def _window_errors(
    S: Array,  # (T, B, H)
    O: Array,  # (T, B, O)
    W: Array,  # (H, H)
    V: Array,  # (O, H)
    dO: Array,  # (T, B, O)
    code: int,
    window: int,
) -> tuple[Array, Array]:  # delta (T, B, H), delta_O (T, B, O)
    T, B, H = S.shape
    delta = np.zeros_like(S)
    delta_O = np.empty_like(O)
    # errors[t % window] began at the output of time t: a ring of those that are still on their way
    errors = np.zeros((window, B, H), S.dtype)
    carried = np.empty(H, S.dtype)
    for t in range(T - 1, -1, -1):
        for i in range(B):
            for n in range(O.shape[2]):
                delta_O[t, i, n] = dO[t, i, n] * (ONE - O[t, i, n] * O[t, i, n])
            for k in range(min(window, T - t)):
                error = errors[(t + k) % window, i]
                for n in range(H):
                    carried[n] = 0
                if k == 0:
                    add_product(carried, delta_O[t, i], V)
                else:
                    add_product(carried, error, W)
                for n in range(H):
                    error[n] = chain(S[t, i, n], carried[n], code)
                    delta[t, i, n] += error[n]
    return delta, delta_O


@kernel
def _gradients(
    X: Array,  # (T, B, I)
    S: Array,  # (T, B, H)
    S_0: Array,  # (B, H)
    delta: Array,  # (T, B, H)
    delta_O: Array,  # (T, B, O)
    untied: bool,
) -> tuple[Array, Array, Array]:  # of each time, or one sum over all of them
    T, B, I = X.shape
    H, O = S.shape[2], delta_O.shape[2]
    N = T if untied else 1
    dU = np.zeros((N, H, I), X.dtype)
    dW = np.zeros((N, H, H), X.dtype)
    dV = np.zeros((N, O, H), X.dtype)
    for t in range(T):
        n = t if untied else 0
        for i in range(B):
            add_outer(dU[n], delta[t, i], X[t, i])
            add_outer(dW[n], delta[t, i], S[t - 1, i] if t > 0 else S_0[i])
            add_outer(dV[n], delta_O[t, i], S[t, i])
    return dU, dW, dV


@kernel
def _jacobians(S: Array, W: Array, code: int) -> Array:  # (T, B, H), (H, H): (T + 1, B, H, H)
    T, B, H = S.shape
    J = np.zeros((T + 1, B, H, H), S.dtype)
    row = np.empty(H, S.dtype)
    for i in range(B):
        for k in range(H):
            J[T, i, k, k] = ONE
    for t in range(T - 1, -1, -1):
        for i in range(B):
            for k in range(H):
                for j in range(H):
                    row[j] = chain(S[t, i, j], J[t + 1, i, k, j], code)
                add_product(J[t, i, k], row, W)
    return J


@kernel
def _largest(x: Array) -> Array:  # (R, N): (R,), NaN where there is one
    most = np.zeros(x.shape[0], x.dtype)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            size = abs(x[i, j])
            if not size <= most[i]:
                most[i] = size
                if size != size:
                    break
    return most


@kernel
def _roots(x: Array, scale: Array) -> Array:  # (R, N), (R,): (R,)
    norm = np.empty(x.shape[0], x.dtype)
    for i in range(x.shape[0]):
        total = x.dtype.type(ZERO)
        for start in range(0, x.shape[1], 128):
            part = x.dtype.type(ZERO)
            for j in range(start, min(start + 128, x.shape[1])):
                small = x[i, j] / scale[i]
                part += small * small
            total += part
        norm[i] = scale[i] * np.sqrt(total)
    return norm


def bptt_forward(
    X: Array,  # (T, B, I)
    U: Array,  # (H, I)
    W: Array,  # (H, H)
    V: Array,  # (O, H)
    *,
    S_0: Array | None = None,  # (B, H)
    activation: str = "tanh",
) -> tuple[Array, Array]:
    """S_t = f(U X_t + W S_{t-1}), (T, B, H), and O_t = tanh(V S_t), (T, B, O)."""
    S, _ = rnn_sequence(X, U, W, S_0=S_0, activation=activation)
    O = rnn_output(S.reshape(-1, S.shape[2]) if S.size else _no_rows(S), V)
    return S, O.reshape(*S.shape[:2], O.shape[1])


def _no_rows(S: Array) -> Array:
    """(0, H)."""
    return np.zeros((0, S.shape[2]), S.dtype)


def bptt_forward_vjp(
    X: Array,
    U: Array,
    W: Array,
    V: Array,
    dS: Array,
    dO: Array,
    *,
    S_0: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """The other two steps in one; a state may have a cotangent of its own beside its output's."""
    X, U, W, V, dS, dO, S_first = arrays(
        X=(X, "T B I"),
        U=(U, "H I"),
        W=(W, "H H"),
        V=(V, "O H"),
        dS=(dS, "T B H"),
        dO=(dO, "T B O"),
        S_0=(S_0, "B H"),
    )
    S, S_T = rnn_sequence(X, U, W, S_0=S_first, activation=activation)
    T, B, H = S.shape
    d_output = rnn_output_vjp(S.reshape(T * B, H), V, dO.reshape(T * B, len(V)))
    dS_all = dS + d_output.pop("dS").reshape(T, B, H)
    nothing = np.zeros_like(S_T)
    d = rnn_sequence_vjp(X, U, W, dS_all, nothing, S_0=S_first, activation=activation)
    return d | d_output


def bptt_delta(
    S: Array,  # (T, B, H)
    O: Array,  # (T, B, O)
    W: Array,  # (H, H)
    V: Array,  # (O, H)
    dO: Array,  # (T, B, O)
    *,
    activation: str = "tanh",
) -> tuple[Array, Array]:
    """The errors delta (T, B, H) of the states and delta_O (T, B, O) of the outputs."""
    S, O, W, V, dO = arrays(
        S=(S, "T B H"), O=(O, "T B O"), W=(W, "H H"), V=(V, "O H"), dO=(dO, "T B O")
    )
    return _errors(S, O, W, V, dO, STATE_CODES[activation], len(S) + 1)


def bptt_untied(
    X: Array,  # (T, B, I)
    S: Array,  # (T, B, H)
    delta: Array,  # (T, B, H)
    delta_O: Array,  # (T, B, O)
    *,
    S_0: Array | None = None,  # (B, H)
) -> tuple[Array, Array, Array]:
    """dU_t (T, H, I), dW_t (T, H, H) and dV_t (T, O, H), of every time's own weights."""
    return _gradients(*_recorded(X, S, delta, delta_O, S_0), True)


def bptt_gradient(
    X: Array,  # (T, B, I)
    S: Array,  # (T, B, H)
    delta: Array,  # (T, B, H)
    delta_O: Array,  # (T, B, O)
    *,
    S_0: Array | None = None,  # (B, H)
) -> tuple[Array, Array, Array]:
    """dU (H, I), dW (H, H) and dV (O, H), accumulated over all times."""
    dU, dW, dV = _gradients(*_recorded(X, S, delta, delta_O, S_0), False)
    return dU[0], dW[0], dV[0]


def _recorded(
    X: Array, S: Array, delta: Array, delta_O: Array, S_0: Array | None
) -> tuple[Array, Array, Array, Array, Array]:
    """What forward and backward pass have left, ready for `_gradients`."""
    X, S, S_0, delta, delta_O = arrays(
        X=(X, "T B I"),
        S=(S, "T B H"),
        S_0=(S_0, "B H"),
        delta=(delta, "T B H"),
        delta_O=(delta_O, "T B O"),
    )
    return X, S, S_0, delta, delta_O


def bptt_unfolded(
    X: Array,  # (T, B, I)
    U: Array,  # (T, H, I)
    W: Array,  # (T, H, H)
    V: Array,  # (T, O, H)
    *,
    S_0: Array | None = None,  # (B, H)
    activation: str = "tanh",
) -> tuple[Array, Array]:
    """The unfolded network with weights of its own at every time: S (T, B, H), O (T, B, O)."""
    X, U, W, V, S_t = arrays(
        X=(X, "T B I"), U=(U, "T H I"), W=(W, "T H H"), V=(V, "T O H"), S_0=(S_0, "B H")
    )
    S = np.zeros((len(X), *S_t.shape), X.dtype)
    O = np.zeros((*S.shape[:2], V.shape[1]), X.dtype)
    for t in range(len(X)):
        S_t = rnn_step(X[t], S_t, U[t], W[t], activation=activation)
        S[t], O[t] = S_t, rnn_output(S_t, V[t])
    return S, O


def bptt_unfolded_vjp(
    X: Array,
    U: Array,
    W: Array,
    V: Array,
    dS: Array,
    dO: Array,
    *,
    S_0: Array | None = None,
    activation: str = "tanh",
) -> dict[str, Array]:
    """Each time's weights get that time's error alone, and no sum over time is taken."""
    X, U, W, V, dS, dO, S_first = arrays(
        X=(X, "T B I"),
        U=(U, "T H I"),
        W=(W, "T H H"),
        V=(V, "T O H"),
        dS=(dS, "T B H"),
        dO=(dO, "T B O"),
        S_0=(S_0, "B H"),
    )
    S, _ = bptt_unfolded(X, U, W, V, S_0=S_first, activation=activation)
    d = {f"d{name}": np.zeros_like(M) for name, M in (("X", X), ("U", U), ("W", W), ("V", V))}
    dS_next = np.zeros_like(S_first)
    for t in reversed(range(len(X))):
        output = rnn_output_vjp(S[t], V[t], dO[t])
        S_prev = S[t - 1] if t > 0 else S_first
        dS_t = output["dS"] + dS[t] + dS_next
        step = rnn_step_vjp(X[t], S_prev, U[t], W[t], dS_t, activation=activation)
        d["dX"][t], d["dU"][t], d["dW"][t] = step["dx"], step["dU"], step["dW"]
        d["dV"][t] = output["dV"]
        dS_next = step["dS_prev"]
    return d | {"dS_0": dS_next}


def bptt_truncated(
    X: Array,  # (T, B, I)
    U: Array,  # (H, I)
    W: Array,  # (H, H)
    V: Array,  # (O, H)
    dO: Array,  # (T, B, O)
    *,
    S_0: Array | None = None,  # (B, H)
    activation: str = "tanh",
    window: int = 1,
) -> tuple[Array, Array, Array]:
    """dU (H, I), dW (H, H), dV (O, H): an output's error reaches `window` states."""
    X, U, W, V, dO, S_first, code = _cut(X, U, W, V, dO, S_0, activation, window)
    S, O = bptt_forward(X, U, W, V, S_0=S_first, activation=activation)
    delta, delta_O = _window_errors(S, O, W, V, dO, code, min(window, len(S) + 1))
    return bptt_gradient(X, S, delta, delta_O, S_0=S_first)


def bptt_chunked(
    X: Array,  # (T, B, I)
    U: Array,  # (H, I)
    W: Array,  # (H, H)
    V: Array,  # (O, H)
    dO: Array,  # (T, B, O)
    *,
    S_0: Array | None = None,  # (B, H)
    activation: str = "tanh",
    window: int = 1,
) -> tuple[Array, Array, Array]:
    """dU (H, I), dW (H, H), dV (O, H): no error crosses a multiple of `window` steps."""
    X, U, W, V, dO, S_first, code = _cut(X, U, W, V, dO, S_0, activation, window)
    S, O = bptt_forward(X, U, W, V, S_0=S_first, activation=activation)
    delta, delta_O = _errors(S, O, W, V, dO, code, window)
    return bptt_gradient(X, S, delta, delta_O, S_0=S_first)


def _cut(
    X: Array,
    U: Array,
    W: Array,
    V: Array,
    dO: Array,
    S_0: Array | None,
    activation: str,
    window: int,
) -> tuple[Array, Array, Array, Array, Array, Array, int]:
    """The inputs of a truncated gradient, ready, and the activation's code."""
    if window < 1:
        raise ValueError(f"window is {window}; the least is 1, the output's own time")
    X, U, W, V, dO, S_0 = arrays(
        X=(X, "T B I"),
        U=(U, "H I"),
        W=(W, "H H"),
        V=(V, "O H"),
        dO=(dO, "T B O"),
        S_0=(S_0, "B H"),
    )
    return X, U, W, V, dO, S_0, STATE_CODES[activation]


def sgd_step(
    theta: Array,  # any shape
    g: Array,  # as theta
    *,
    eta: float = 0.01,
) -> Array:
    """θ' = θ - η g, a new array."""
    theta, g = np.asarray(theta), np.asarray(g)
    if theta.shape != g.shape:
        raise ValueError(f"g has shape {g.shape}, wanted that of theta, {theta.shape}")
    return np.asarray(theta - eta * g)


def clip_gradient_norm(
    g_U: Array,  # any shape
    g_W: Array,  # any shape
    g_V: Array,  # any shape
    *,
    threshold: float = 1.0,
) -> tuple[Array, Array, Array, Array]:
    """The gradients by one factor, so that their joint norm is at most the threshold; the norm."""
    gradients = [np.asarray(g) for g in (g_U, g_W, g_V)]
    (flat,) = arrays(g=(np.concatenate([g.reshape(1, -1) for g in gradients], axis=1), "R N"))
    norm = _norms(flat)
    factor = threshold / np.maximum(norm, threshold)
    with np.errstate(invalid="ignore"):  # an infinite norm's factor is 0, and 0 times infinity NaN
        c_U, c_W, c_V = ((factor * g.reshape(-1)).reshape(g.shape) for g in gradients)
    return c_U, c_W, c_V, norm.reshape(())


def _norms(rows: Array) -> Array:
    """sqrt(sum x²) of each row (R, N), scaled by a power of two so that no square overflows."""
    largest = _largest(rows)
    _, exponent = np.frexp(np.where((largest > 0) & (largest < np.inf), largest, 1))
    return _roots(rows, np.ldexp(np.ones_like(largest), exponent - 1))


def bptt_train_step(
    X: Array,  # (T, B, I)
    Y: Array,  # (T, B, O)
    U: Array,  # (H, I)
    W: Array,  # (H, H)
    V: Array,  # (O, H)
    *,
    S_0: Array | None = None,  # (B, H)
    activation: str = "tanh",
    eta: float = 0.01,
) -> tuple[Array, Array, Array, Array]:
    """U, W and V after one step on L = 1/2 sum of (O_t - Y_t)², and the loss before it."""
    X, Y, U, W, V, S_first = arrays(
        X=(X, "T B I"),
        Y=(Y, "T B O"),
        U=(U, "H I"),
        W=(W, "H H"),
        V=(V, "O H"),
        S_0=(S_0, "B H"),
    )
    S, O = bptt_forward(X, U, W, V, S_0=S_first, activation=activation)
    miss = O - Y
    loss = np.asarray((miss * miss).sum() / 2)
    delta, delta_O = _errors(S, O, W, V, miss, STATE_CODES[activation], len(S) + 1)
    dU, dW, dV = bptt_gradient(X, S, delta, delta_O, S_0=S_first)
    return U - eta * dU, W - eta * dW, V - eta * dV, loss


def state_jacobian(
    S: Array,  # (T, B, H)
    W: Array,  # (H, H)
    *,
    activation: str = "tanh",
) -> Array:
    """J_t = ∂S_T/∂S_t for t = 0 … T, (T + 1, B, H, H)."""
    S, W = arrays(S=(S, "T B H"), W=(W, "H H"))
    return _jacobians(S, W, STATE_CODES[activation])


def frobenius_norm(A: Array) -> Array:
    """sqrt(sum of A_ij²) of every matrix in the last two axes."""
    A = np.asarray(A)
    if A.ndim < 2:
        raise ValueError(f"A has shape {A.shape}, wanted at least two axes")
    size = A.shape[-2] * A.shape[-1]
    rows = A.reshape(int(np.prod(A.shape[:-2])), size)
    (rows,) = arrays(A=(rows, "R N"))
    return _norms(rows).reshape(A.shape[:-2])


def jacobian_bound(
    sigma: Array,  # ()
    *,
    steps: int = 1,
    activation: str = "tanh",
) -> Array:
    """(γ σ)^n for n = 0 … steps, (steps + 1,)."""
    (sigma,) = arrays(sigma=(sigma, ""))
    bound = np.ones(steps + 1, sigma.dtype)
    bound[1:] = GAMMA[activation] * sigma
    return np.asarray(np.multiply.accumulate(bound))
