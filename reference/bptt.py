"""Backpropagation through time, step by step: forward, errors, gradients, and the weights' update.

The deck's three steps are operations of their own, where the VJP of a sequence does them in one.
Row-vector batches, time first: X (T, B, I), S (T, B, H), O (T, B, O); see spec/bptt.md.
"""

import numpy as np

from nnspec.reference.array import Array, nominal
from nnspec.reference.primitives import DERIVATIVES
from nnspec.reference.rnn import (
    rnn_output,
    rnn_output_vjp,
    rnn_sequence,
    rnn_sequence_vjp,
    rnn_step,
)

# the largest f'(a) there is: of tanh at 0 it is 1, of σ it is 1/4
GAMMA = {"tanh": 1.0, "sigmoid": 0.25}


def bptt_forward(
    X: Array,  # (T, B, I)
    U: Array,  # (H, I)
    W: Array,  # (H, H)
    V: Array,  # (O, H)
    *,
    S_0: Array | None = None,  # (B, H)
    activation: str = "tanh",
) -> tuple[Array, Array]:
    """Step one of three: S_t = f(U X_t + W S_{t-1}) and O_t = tanh(V S_t) for all times.

    Returns S (T, B, H) and O (T, B, O), what the other two steps are computed from.
    Source: slide "Backpropagation Through Time (BPTT)", first step; spec/bptt.md.
    """
    S, _ = rnn_sequence(X, U, W, S_0=S_0, activation=activation)
    return S, rnn_output(S, V)  # bptt.forward


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
    S, S_T = rnn_sequence(X, U, W, S_0=S_0, activation=activation)
    T, B, H = S.shape
    d_output = rnn_output_vjp(S.reshape(T * B, H), V, dO.reshape(T * B, len(V)))
    dS_all = dS + d_output.pop("dS").reshape(T, B, H)
    nothing = np.zeros_like(S_T)
    d = rnn_sequence_vjp(X, U, W, dS_all, nothing, S_0=S_0, activation=activation)
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
    """Step two: the error of every neuron, from the last time back to the first.

    dO is the loss's gradient at the outputs. A hidden neuron has two sources of error: the output
    at its time, and the memory unit at the next time; after the last time there is none. Returns
    delta (T, B, H) and delta_O (T, B, O), both at the sums inside f and tanh.
    Source: slide "Backpropagation Through Time (BPTT)", second step; spec/bptt.md.
    """
    delta_O = dO * (1 - O * O)  # bptt.output_error
    delta = np.zeros_like(S)
    delta_next = np.zeros_like(S, shape=S.shape[1:])
    for t in reversed(range(len(S))):
        from_output, from_next = delta_O[t] @ V, delta_next @ W
        delta[t] = DERIVATIVES[activation](S[t]) * (from_output + from_next)  # bptt.delta
        delta_next = delta[t]
    return delta, delta_O


def bptt_untied(
    X: Array,  # (T, B, I)
    S: Array,  # (T, B, H)
    delta: Array,  # (T, B, H)
    delta_O: Array,  # (T, B, O)
    *,
    S_0: Array | None = None,  # (B, H)
) -> tuple[Array, Array, Array]:
    """The gradient of every time's own copy of the weights, U_(t), W_(t) and V_(t).

    Summed over the batch, not over time. Returns dU_t (T, H, I), dW_t (T, H, H), dV_t (T, O, H).
    Source: slide "Backpropagation Through Time (BPTT)", "the gradient of the weight at all time
    sequence"; spec/bptt.md.
    """
    S_prev = before(S, S_0)
    errors, errors_O = np.swapaxes(delta, 1, 2), np.swapaxes(delta_O, 1, 2)
    return errors @ X, errors @ S_prev, errors_O @ S  # bptt.untied


def first(S: Array, S_0: Array | None) -> Array:
    """S_0, or zeros (B, H) where it is not given."""
    return np.zeros_like(S, shape=S.shape[1:]) if S_0 is None else S_0


def before(S: Array, S_0: Array | None) -> Array:
    """S_{t-1} for every t: S_0 first, the last state left out."""
    return np.concatenate([first(S, S_0)[np.newaxis], S])[: len(S)]


def bptt_gradient(
    X: Array,  # (T, B, I)
    S: Array,  # (T, B, H)
    delta: Array,  # (T, B, H)
    delta_O: Array,  # (T, B, O)
    *,
    S_0: Array | None = None,  # (B, H)
) -> tuple[Array, Array, Array]:
    """Step three: the gradient of each weight, accumulated over all times.

    Returns dU (H, I), dW (H, H), dV (O, H): sums over time and batch, not means.
    Source: slide "Backpropagation Through Time (BPTT)", third step and "accumulation";
    spec/bptt.md.
    """
    dU_t, dW_t, dV_t = bptt_untied(X, S, delta, delta_O, S_0=S_0)
    return dU_t.sum(axis=0), dW_t.sum(axis=0), dV_t.sum(axis=0)  # bptt.gradient


def bptt_unfolded(
    X: Array,  # (T, B, I)
    U: Array,  # (T, H, I)
    W: Array,  # (T, H, H)
    V: Array,  # (T, O, H)
    *,
    S_0: Array | None = None,  # (B, H)
    activation: str = "tanh",
) -> tuple[Array, Array]:
    """The unfolded network with weights of its own at every time: a deep network of T layers.

    Where all U[t] are one U, and likewise W and V, it is `bptt_forward`. Returns S (T, B, H) and
    O (T, B, O).
    Source: slide "Recurrent Neural Network Architecture (cont.)", LeCun 2015, figure 5;
    spec/bptt.md.
    """
    S = np.zeros_like(X, shape=(*X.shape[:2], W.shape[1]))
    O = np.zeros_like(X, shape=(*X.shape[:2], V.shape[1]))
    S_t = first(S, S_0)
    for t in range(len(X)):
        S_t = rnn_step(X[t], S_t, U[t], W[t], activation=activation)  # bptt.unfolded
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
    S, O = bptt_unfolded(X, U, W, V, S_0=S_0, activation=activation)
    S_prev = before(S, S_0)
    dX, dU, dW, dV = (np.zeros_like(M) for M in (X, U, W, V))
    dS_next = np.zeros_like(X, shape=S.shape[1:])
    for t in reversed(range(len(X))):
        delta_O = dO[t] * (1 - O[t] * O[t])
        delta = DERIVATIVES[activation](S[t]) * (delta_O @ V[t] + dS[t] + dS_next)
        dX[t], dU[t], dW[t] = delta @ U[t], delta.T @ X[t], delta.T @ S_prev[t]
        dV[t] = delta_O.T @ S[t]
        dS_next = delta @ W[t]
    return {"dX": dX, "dU": dU, "dW": dW, "dV": dV, "dS_0": dS_next}


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
    """Truncated BPTT: the error of an output reaches `window` states, its own and those before.

    Forward nothing is cut. With window = 1 there is no error from the next time, with window >= T
    the gradient is whole. Returns dU (H, I), dW (H, H), dV (O, H). Not the form that cuts the
    sequence into pieces, `bptt_chunked`. Raises ValueError for a window below 1.
    Source: Williams and Peng 1990, BPTT(h); spec/bptt.md.
    """
    refuse_below_one(window)
    S, O = bptt_forward(X, U, W, V, S_0=S_0, activation=activation)
    delta_O = dO * (1 - O * O)
    delta = np.zeros_like(S)
    # errors[j] came from the output of j steps later
    errors = np.zeros_like(S, shape=(0, *S.shape[1:]))
    for t in reversed(range(len(S))):
        carried = np.concatenate([(delta_O[t] @ V)[np.newaxis], errors[: window - 1] @ W])
        errors = DERIVATIVES[activation](S[t]) * carried  # bptt.truncated
        delta[t] = errors.sum(axis=0)
    return bptt_gradient(X, S, delta, delta_O, S_0=S_0)


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
    """BPTT in pieces of `window` steps, counted from the first: no error crosses a border.

    The state does cross it. What frameworks do that detach the state; the error of a piece's first
    output reaches one state, that of its last output all of them. Returns dU (H, I), dW (H, H),
    dV (O, H). Raises ValueError for a window below 1.
    Source: Williams and Peng 1990, BPTT(h; h'), with h = h' = window; spec/bptt.md.
    """
    refuse_below_one(window)
    S, O = bptt_forward(X, U, W, V, S_0=S_0, activation=activation)
    delta, delta_O = np.zeros_like(S), np.zeros_like(O)
    for start in range(0, len(S), window):
        piece = slice(start, start + window)
        errors = bptt_delta(S[piece], O[piece], W, V, dO[piece], activation=activation)
        delta[piece], delta_O[piece] = errors  # bptt.chunked
    return bptt_gradient(X, S, delta, delta_O, S_0=S_0)


def refuse_below_one(window: int) -> None:
    """Raises ValueError for a window that holds not even the output's own time."""
    if window < 1:
        raise ValueError(f"window is {window}; the least is 1, the output's own time")


def sgd_step(
    theta: Array,  # any shape
    g: Array,  # as theta
    *,
    eta: float = 0.01,
) -> Array:
    """θ' = θ - η g: a step of gradient descent, against the gradient.

    Returns theta_new, a new array; theta is not changed.
    Source: slide "Backpropagation Through Time (BPTT)", "Updating weights using the SGD
    algorithm"; spec/bptt.md.
    """
    return theta - eta * g  # bptt.sgd


def clip_gradient_norm(
    g_U: Array,  # any shape
    g_W: Array,  # any shape
    g_V: Array,  # any shape
    *,
    threshold: float = 1.0,
) -> tuple[Array, Array, Array, Array]:
    """Scale gradients down so that their joint norm is at most the threshold; never up.

    One norm over all elements of the three arrays, and one factor for all: the direction stays.
    Returns c_U, c_W, c_V and the norm before, a scalar. threshold is above 0.
    Source: Pascanu, Mikolov and Bengio 2013, algorithm 1; spec/bptt.md.
    """
    norm = root_of_squares(np.concatenate([g.reshape(-1) for g in (g_U, g_W, g_V)]), (0,))
    factor = threshold / np.maximum(norm, threshold)
    return g_U * factor, g_W * factor, g_V * factor, norm  # bptt.clip


def root_of_squares(x: Array, axes: tuple[int, ...]) -> Array:
    """sqrt(sum x²) over some axes, scaled by a power of two so that no square overflows."""
    largest = np.abs(nominal(x)).max(axis=axes, keepdims=True, initial=0)
    usable = (largest > 0) & (largest < np.inf)
    _, exponent = np.frexp(np.where(usable, largest, 1))
    scale = np.ldexp(1.0, exponent - 1).astype(x.dtype)
    small = x / scale
    norm: Array = np.squeeze(scale, axis=axes) * np.sqrt((small * small).sum(axis=axes))
    return norm


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
    """The deck's three steps and the update, for the loss L = 1/2 sum of (O_t - Y_t)².

    The sum is over time, batch and units. All gradients are those at the old weights. Returns
    U_new (H, I), W_new (H, H), V_new (O, H) and the loss before the update, a scalar.
    Source: slide "Backpropagation Through Time (BPTT)"; Werbos 1990, section II; spec/bptt.md.
    """
    S, O = bptt_forward(X, U, W, V, S_0=S_0, activation=activation)
    loss = ((O - Y) * (O - Y)).sum() / 2  # bptt.loss
    delta, delta_O = bptt_delta(S, O, W, V, O - Y, activation=activation)
    dU, dW, dV = bptt_gradient(X, S, delta, delta_O, S_0=S_0)
    U_new, W_new, V_new = (sgd_step(theta, g, eta=eta) for theta, g in ((U, dU), (W, dW), (V, dV)))
    return U_new, W_new, V_new, loss  # bptt.train_step


def state_jacobian(
    S: Array,  # (T, B, H)
    W: Array,  # (H, H)
    *,
    activation: str = "tanh",
) -> Array:
    """J_t = ∂S_T/∂S_t for t = 0 … T: the product of diag(f'(S_s)) W over s = T … t + 1.

    Row k of a matrix belongs to unit k of S_T, column j to unit j of S_t. Returns J
    (T + 1, B, H, H), for each example its own; J[T] is the identity.
    Source: slide "Backpropagation Through Time (BPTT)", "vanishing gradient or exploding
    gradient"; Pascanu, Mikolov and Bengio 2013, equation 5; spec/bptt.md.
    """
    T, B, H = S.shape
    J = np.zeros_like(S, shape=(T + 1, B, H, H))
    J[T] = np.where(np.arange(H)[:, np.newaxis] == np.arange(H), 1, 0)
    for t in reversed(range(T)):
        slope = DERIVATIVES[activation](S[t])[:, np.newaxis, :]
        J[t] = (J[t + 1] * slope) @ W  # bptt.state_jacobian
    return J


def frobenius_norm(A: Array) -> Array:
    """sqrt(sum of A_ij²) of every matrix in the last two axes.

    A: any shape of at least two axes. Returns norm, without these two. It is at least the largest
    singular value and at most sqrt(rank) times it.
    Source: Pascanu, Mikolov and Bengio 2013, section 2.1, on norms; spec/bptt.md.
    """
    return root_of_squares(A, (A.ndim - 2, A.ndim - 1))  # bptt.frobenius_norm


def jacobian_bound(
    sigma: Array,  # ()
    *,
    steps: int = 1,
    activation: str = "tanh",
) -> Array:
    """(γ σ)^n for n = 0 … steps: no Jacobian over n steps has a larger singular value.

    sigma is the largest singular value of W, or anything above it (`frobenius_norm`); γ is the
    largest f', 1 for tanh and 1/4 for σ. Returns bound (steps + 1,).
    Source: Pascanu, Mikolov and Bengio 2013, section 2.1; spec/bptt.md.
    """
    bound = np.ones(steps + 1, dtype=sigma.dtype)
    for n in range(steps):
        bound[n + 1] = bound[n] * (GAMMA[activation] * sigma)  # bptt.jacobian_bound
    return bound
