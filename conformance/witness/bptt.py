"""Scalar transcription of spec/bptt.md: one example, one unit, one path of the error at a time."""

from typing import Any

import numpy as np

from nnspec.conformance.witness.primitives import SCALAR, Nested, Number
from nnspec.reference.array import Array


def slope(y: Number, activation: str) -> Number:
    """f'(a), written in y = f(a)."""
    return (1 - y) * (1 + y) if activation == "tanh" else y - y * y


def first_state(S_0: Array | None, b: int, H: int) -> Nested:
    """S_0 of one example, 0 where none is given."""
    return [0 if S_0 is None else S_0[b, h] for h in range(H)]


def bptt_unfolded(
    X: Array, U: Any, W: Any, V: Any, S_0: Array | None = None, activation: str = "tanh"
) -> tuple[Nested, Nested]:
    """bptt.unfolded; U, W and V have a matrix for each time."""
    T, B, I = X.shape
    H, O = W.shape[1], V.shape[1]
    S: Nested = [[[] for _ in range(B)] for _ in range(T)]
    y: Nested = [[[] for _ in range(B)] for _ in range(T)]
    for b in range(B):
        state = first_state(S_0, b, H)
        for t in range(T):
            following = []
            for h in range(H):
                total: Number = 0
                for j in range(H):
                    total = total + W[t, h, j] * state[j]
                for i in range(I):
                    total = total + U[t, h, i] * X[t, b, i]
                following.append(SCALAR[activation](total))
            state = following
            S[t][b] = state
            for o in range(O):
                total = 0
                for h in range(H):
                    total = total + V[t, o, h] * state[h]
                y[t][b].append(np.tanh(total))
    return S, y


def repeated(M: Array, T: int) -> Any:
    """The same matrix at every time."""
    return np.broadcast_to(M, (T, *M.shape))


def bptt_forward(
    X: Array, U: Array, W: Array, V: Array, S_0: Array | None = None, activation: str = "tanh"
) -> tuple[Nested, Nested]:
    """bptt.forward."""
    T = X.shape[0]
    return bptt_unfolded(X, repeated(U, T), repeated(W, T), repeated(V, T), S_0, activation)


def all_errors(
    S: Any, y: Any, W: Array, V: Array, dO: Array, activation: str, reach: Any
) -> tuple[Nested, Nested]:
    """Every δ_t as a sum over the outputs at t' that reach it, reach(t, t'), and every δ_O."""
    T, B, O = dO.shape
    H = W.shape[0]
    delta_O = [
        [[(1 - y[t][b][o]) * (1 + y[t][b][o]) * dO[t, b, o] for o in range(O)] for b in range(B)]
        for t in range(T)
    ]
    delta: Nested = [[[0] * H for _ in range(B)] for _ in range(T)]
    for b in range(B):
        for last in range(T):
            source = [sum((V[o, h] * delta_O[last][b][o] for o in range(O)), 0) for h in range(H)]
            error = [slope(S[last][b][h], activation) * source[h] for h in range(H)]
            for t in range(last, -1, -1):
                if not reach(t, last):
                    break
                if t < last:
                    error = [
                        slope(S[t][b][j], activation)
                        * sum((error[h] * W[h, j] for h in range(H)), 0)
                        for j in range(H)
                    ]
                for h in range(H):
                    delta[t][b][h] = delta[t][b][h] + error[h]
    return delta, delta_O


def bptt_delta(
    S: Array, O: Array, W: Array, V: Array, dO: Array, activation: str = "tanh"
) -> tuple[Nested, Nested]:
    """bptt.delta and bptt.output_error: the recurrence multiplied out, path by path."""
    return all_errors(S, O, W, V, dO, activation, lambda t, last: True)


def bptt_untied(
    X: Array, S: Array, delta: Array, delta_O: Array, S_0: Array | None = None
) -> tuple[Nested, Nested, Nested]:
    """bptt.untied: the gradient of a sequence of one step, for every time."""
    gradients = []
    for t in range(X.shape[0]):
        previous = S[t - 1] if t > 0 else S_0
        now = slice(t, t + 1)
        H, O = delta.shape[2], delta_O.shape[2]
        gradients.append(summed(X[now], S[now], delta[now], delta_O[now], previous, H, O))
    return (
        [dU for dU, _, _ in gradients],
        [dW for _, dW, _ in gradients],
        [dV for _, _, dV in gradients],
    )


def bptt_gradient(
    X: Array, S: Array, delta: Array, delta_O: Array, S_0: Array | None = None
) -> tuple[Nested, Nested, Nested]:
    """bptt.gradient: one sum over all times and examples."""
    H, O = delta.shape[2], delta_O.shape[2]
    return summed(X, S, delta, delta_O, S_0, H, O)


def summed(
    X: Array, S: Any, delta: Any, delta_O: Any, S_0: Array | None, H: int, O: int
) -> tuple[Nested, Nested, Nested]:
    """The three gradients, element by element."""
    T, B, I = X.shape
    dU: Nested = [[0] * I for _ in range(H)]
    dW: Nested = [[0] * H for _ in range(H)]
    dV: Nested = [[0] * H for _ in range(O)]
    for b in range(B):
        previous = first_state(S_0, b, H)
        for t in range(T):
            for h in range(H):
                for i in range(I):
                    dU[h][i] = dU[h][i] + X[t, b, i] * delta[t][b][h]
                for j in range(H):
                    dW[h][j] = dW[h][j] + previous[j] * delta[t][b][h]
                for o in range(O):
                    dV[o][h] = dV[o][h] + S[t][b][h] * delta_O[t][b][o]
            previous = S[t][b]
    return dU, dW, dV


def bptt_truncated(
    X: Array,
    U: Array,
    W: Array,
    V: Array,
    dO: Array,
    S_0: Array | None = None,
    activation: str = "tanh",
    window: int = 1,
) -> tuple[Nested, Nested, Nested]:
    """bptt.truncated: an output reaches the states of its own time and window - 1 before."""
    S, y = bptt_forward(X, U, W, V, S_0, activation)
    delta, delta_O = all_errors(S, y, W, V, dO, activation, lambda t, last: last - t < window)
    return summed(X, S, delta, delta_O, S_0, W.shape[0], V.shape[0])


def bptt_chunked(
    X: Array,
    U: Array,
    W: Array,
    V: Array,
    dO: Array,
    S_0: Array | None = None,
    activation: str = "tanh",
    window: int = 1,
) -> tuple[Nested, Nested, Nested]:
    """bptt.chunked: an output reaches the states of its own piece."""
    S, y = bptt_forward(X, U, W, V, S_0, activation)
    delta, delta_O = all_errors(
        S, y, W, V, dO, activation, lambda t, last: t // window == last // window
    )
    return summed(X, S, delta, delta_O, S_0, W.shape[0], V.shape[0])


def each(f: Any, *arrays: Array) -> Nested:
    """The nested list of f(a[i, j, …], b[i, j, …], …)."""
    if arrays[0].ndim == 0:
        return [f(*(a[()] for a in arrays))]
    if arrays[0].ndim == 1:
        return [f(*(a[i] for a in arrays)) for i in range(arrays[0].shape[0])]
    return [each(f, *(a[i] for a in arrays)) for i in range(arrays[0].shape[0])]


def sgd_step(theta: Array, g: Array, eta: float = 0.01) -> Nested:
    """bptt.sgd."""
    return each(lambda value, gradient: value - gradient * eta, theta, g)


def length(values: Nested) -> Number:
    """The root of the sum of squares, of numbers made small by a power of two."""
    sizes = [abs(float(v)) for v in values]
    unit = 1.0
    if sizes and 0 < max(sizes) < np.inf:
        unit = 2.0 ** int(np.floor(np.log2(max(sizes))))
    total: Number = 0.0
    for v in values:
        total = total + (v / unit) * (v / unit)
    return np.sqrt(total) * unit


def clip_gradient_norm(
    g_U: Array, g_W: Array, g_V: Array, threshold: float = 1.0
) -> tuple[Nested, Nested, Nested, Number]:
    """bptt.clip."""
    gradients = (g_U, g_W, g_V)
    norm = length([v for g in gradients for v in g.reshape(-1).tolist()])
    short = norm <= threshold
    c_U, c_W, c_V = (each(lambda v: v if short else v * (threshold / norm), g) for g in gradients)
    return c_U, c_W, c_V, norm


def bptt_train_step(
    X: Array,
    Y: Array,
    U: Array,
    W: Array,
    V: Array,
    S_0: Array | None = None,
    activation: str = "tanh",
    eta: float = 0.01,
) -> tuple[Nested, Nested, Nested, Number]:
    """bptt.train_step and bptt.loss."""
    T, B, O = Y.shape
    S, y = bptt_forward(X, U, W, V, S_0, activation)
    dO = np.zeros((T, B, O), dtype=object)
    loss: Number = 0.0
    for t, b, o in np.ndindex(T, B, O):
        miss = y[t][b][o] - Y[t, b, o]
        dO[t, b, o] = miss
        loss = loss + miss * miss / 2
    delta, delta_O = all_errors(S, y, W, V, dO, activation, lambda t, last: True)
    gradients = summed(X, S, delta, delta_O, S_0, W.shape[0], O)
    U_new, W_new, V_new = (
        [[M[r, c] - eta * g[r][c] for c in range(M.shape[1])] for r in range(M.shape[0])]
        for M, g in zip((U, W, V), gradients, strict=True)
    )
    return U_new, W_new, V_new, loss


def state_jacobian(S: Array, W: Array, activation: str = "tanh") -> Nested:
    """bptt.state_jacobian: column j is what a push of unit j at time t becomes by time T."""
    T, B, H = S.shape
    J: Nested = []
    for t in range(T + 1):
        examples = []
        for b in range(B):
            columns = []
            for j in range(H):
                push: Nested = [1 if k == j else 0 for k in range(H)]
                for s in range(t, T):
                    push = [
                        slope(S[s, b, k], activation)
                        * sum((W[k, m] * push[m] for m in range(H)), 0)
                        for k in range(H)
                    ]
                columns.append(push)
            examples.append([[columns[j][k] for j in range(H)] for k in range(H)])
        J.append(examples)
    return J


def frobenius_norm(A: Array) -> Nested:
    """bptt.frobenius_norm."""
    if A.ndim > 2:
        return [frobenius_norm(A[i]) for i in range(A.shape[0])]
    return [length([A[i, j] for i in range(A.shape[0]) for j in range(A.shape[1])])]


def jacobian_bound(sigma: Array, steps: int = 1, activation: str = "tanh") -> Nested:
    """bptt.jacobian_bound."""
    factor = sigma[()] if activation == "tanh" else sigma[()] / 4
    bound: Nested = []
    for n in range(steps + 1):
        product: Number = 1.0
        for _ in range(n):
            product = product * factor
        bound.append(product)
    return bound
