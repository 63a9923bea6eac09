"""The functions that every other topic is made of, and their derivatives, as kernels."""

from typing import Any

import numpy as np

from nnspec.accel.arrays import Array, arrays, floating, plain
from nnspec.accel.dense import layer, layer_vjp
from nnspec.accel.jit import kernel
from nnspec.accel.scalar import (
    CODES,
    IDENTITY,
    ONE,
    RELU,
    SIGMOID,
    SOFTPLUS,
    TANH,
    ZERO,
    activate,
    chain_x,
)


@kernel
def _elementwise(x: Array, code: int) -> Array:
    y = np.empty_like(x)
    for i in range(x.size):
        y[i] = activate(x[i], code)
    return y


@kernel
def _elementwise_vjp(x: Array, dy: Array, code: int) -> Array:
    dx = np.empty_like(x)
    for i in range(x.size):
        dx[i] = chain_x(x[i], dy[i], code)
    return dx


def _map(x: Array, code: int) -> Array:
    x, _ = floating(x)
    return _elementwise(x.reshape(-1), code).reshape(x.shape)


def _map_vjp(x: Array, dy: Array, code: int) -> dict[str, Array]:
    x, dy = floating(x, dy)
    return {"dx": _elementwise_vjp(x.reshape(-1), dy.reshape(-1), code).reshape(x.shape)}


def sigmoid(x: Array) -> Array:
    """σ(x) = 1 / (1 + e^-x), x of any shape."""
    return _map(x, SIGMOID)


def sigmoid_vjp(x: Array, dy: Array) -> dict[str, Array]:
    """dx = dy σ(x) σ(-x)."""
    return _map_vjp(x, dy, SIGMOID)


def tanh(x: Array) -> Array:
    """tanh(x), x of any shape; the sign of a zero is kept."""
    return _map(x, TANH)


def tanh_vjp(x: Array, dy: Array) -> dict[str, Array]:
    """dx = dy (1 - tanh(x)²)."""
    return _map_vjp(x, dy, TANH)


def softplus(x: Array) -> Array:
    """softplus(x) = max(x, 0) + log(1 + e^-|x|), x of any shape."""
    return _map(x, SOFTPLUS)


def softplus_vjp(x: Array, dy: Array) -> dict[str, Array]:
    """dx = dy σ(x)."""
    return _map_vjp(x, dy, SOFTPLUS)


def relu(x: Array) -> Array:
    """relu(x) = max(x, 0), x of any shape; a NaN stays."""
    return _map(x, RELU)


def relu_vjp(x: Array, dy: Array) -> dict[str, Array]:
    """dx = dy where x > 0, else 0."""
    return _map_vjp(x, dy, RELU)


@kernel
def _softmax(x: Array) -> Array:  # (R, N), each row on its own
    R, N = x.shape
    y = np.empty_like(x)
    for i in range(R):
        largest = x[i, 0]
        for j in range(1, N):
            if x[i, j] > largest:
                largest = x[i, j]
        # in parts of 128, whose error grows with 128 + N / 128 and not with N
        total = x.dtype.type(ZERO)
        for start in range(0, N, 128):
            part = x.dtype.type(ZERO)
            for j in range(start, min(start + 128, N)):
                y[i, j] = np.exp(x[i, j] - largest)
                part += y[i, j]
            total += part
        for j in range(N):
            y[i, j] /= total
    return y


@kernel
def _softmax_vjp(y: Array, dy: Array) -> Array:  # (R, N), (R, N)
    R, N = y.shape
    dx = np.empty_like(y)
    for i in range(R):
        total = y.dtype.type(ZERO)
        for start in range(0, N, 128):
            part = y.dtype.type(ZERO)
            for j in range(start, min(start + 128, N)):
                part += dy[i, j] * y[i, j]
            total += part
        for j in range(N):
            dx[i, j] = y[i, j] * (dy[i, j] - total)
    return dx


def _rows(x: Array, axis: int) -> Array:
    """x as rows along an axis: (R, N)."""
    if x.ndim == 0:
        return x.reshape(1, 1)
    rows = np.ascontiguousarray(np.moveaxis(x, axis, -1))
    if rows.shape[-1] == 0:
        raise ValueError("softmax of no elements: the axis has size 0")
    return rows.reshape(-1, rows.shape[-1])


def _from_rows(rows: Array, like: Array, axis: int) -> Array:
    """The inverse of `_rows`, for an array of the shape of `like`."""
    if like.ndim == 0:
        return rows.reshape(())
    moved = np.moveaxis(like, axis, -1).shape
    return np.ascontiguousarray(np.moveaxis(rows.reshape(moved), -1, axis))


def softmax(x: Array, *, axis: int = -1) -> Array:
    """softmax(x)_i = e^{x_i} / sum_k e^{x_k} along one axis.

    A row with a NaN or a +inf, or of -inf alone, is NaN; other rows are not touched.
    """
    x, _ = floating(x)
    return _from_rows(_softmax(_rows(x, axis)), x, axis)


def softmax_vjp(x: Array, dy: Array, *, axis: int = -1) -> dict[str, Array]:
    """dx_i = y_i (dy_i - sum_k dy_k y_k)."""
    x, dy = floating(x, dy)
    return {"dx": _from_rows(_softmax_vjp(_softmax(_rows(x, axis)), _rows(dy, axis)), x, axis)}


@kernel
def _log_softmax(x: Array) -> Array:  # (R, N), each row on its own
    R, N = x.shape
    y = np.empty_like(x)
    for i in range(R):
        largest = x[i, 0]
        for j in range(1, N):
            if x[i, j] > largest:
                largest = x[i, j]
        total = x.dtype.type(ZERO)
        for start in range(0, N, 128):
            part = x.dtype.type(ZERO)
            for j in range(start, min(start + 128, N)):
                y[i, j] = x[i, j] - largest
                part += np.exp(y[i, j])
            total += part
        log_total = np.log(total)
        for j in range(N):
            y[i, j] -= log_total
    return y


@kernel
def _log_softmax_vjp(y: Array, dy: Array) -> Array:  # (R, N): softmax(x), (R, N)
    R, N = y.shape
    dx = np.empty_like(y)
    for i in range(R):
        total = y.dtype.type(ZERO)
        for start in range(0, N, 128):
            part = y.dtype.type(ZERO)
            for j in range(start, min(start + 128, N)):
                part += dy[i, j]
            total += part
        for j in range(N):
            dx[i, j] = dy[i, j] - y[i, j] * total
    return dx


def log_softmax(x: Array, *, axis: int = -1) -> Array:
    """log softmax(x)_i = x_i - log(sum_k e^{x_k}) along one axis.

    A row with a NaN or a +inf, or of -inf alone, is NaN; other rows are not touched.
    """
    x, _ = floating(x)
    return _from_rows(_log_softmax(_rows(x, axis)), x, axis)


def log_softmax_vjp(x: Array, dy: Array, *, axis: int = -1) -> dict[str, Array]:
    """dx_i = dy_i - softmax(x)_i sum_k dy_k."""
    x, dy = floating(x, dy)
    return {"dx": _from_rows(_log_softmax_vjp(_softmax(_rows(x, axis)), _rows(dy, axis)), x, axis)}


@kernel
def _minus_picked(y: Array, targets: Array) -> Array:  # (B, K), (B,): (1,)
    loss = np.zeros(1, y.dtype)
    total = y.dtype.type(ZERO)
    for start in range(0, y.shape[0], 128):
        part = y.dtype.type(ZERO)
        for i in range(start, min(start + 128, y.shape[0])):
            part -= y[i, targets[i]]
        total += part
    if y.shape[0] > 0:
        loss[0] = total / y.dtype.type(y.shape[0])
    return loss


@kernel
def _cross_entropy_vjp(p: Array, targets: Array, dloss: Array) -> Array:  # (B, K), (B,), (1,)
    B, K = p.shape
    dlogits = np.empty_like(p)
    for i in range(B):
        share = dloss[0] / p.dtype.type(B)
        for k in range(K):
            dlogits[i, k] = (p[i, k] - ONE if k == targets[i] else p[i, k]) * share
    return dlogits


def _indices(index: Any, shape: str, size: int) -> Array:
    """Indices as a kernel takes them, int64; "B" asks for one axis.

    Raises IndexError where one lies outside 0 … size - 1: kernels do not check.
    """
    index = np.asarray(index)
    if shape == "B" and index.ndim != 1:
        raise ValueError(f"indices have the shape {index.shape}, wanted (B,)")
    if index.dtype.kind not in "iu" and index.size:
        raise TypeError(f"indices are integers, not {index.dtype}")
    if index.size and (int(index.min()) < 0 or int(index.max()) >= size):
        raise IndexError(f"an index lies outside 0 … {size - 1}")
    return plain(index, np.int64)


def cross_entropy(
    logits: Array,  # (B, K)
    targets: Array,  # (B,), int64
) -> Array:
    """loss = -1/B sum_i log softmax(logits_i)[targets_i], a scalar; 0 where B is 0."""
    logits, targets = _classified(logits, targets)
    return _minus_picked(_log_softmax(logits), targets).reshape(())


def cross_entropy_vjp(logits: Array, targets: Array, dloss: Array) -> dict[str, Array]:
    """dlogits = dloss (softmax(logits) - onehot(targets)) / B."""
    logits, targets = _classified(logits, targets)
    _, dloss = arrays(logits=(logits, "B K"), dloss=(dloss, ""))
    return {"dlogits": _cross_entropy_vjp(_softmax(logits), targets, dloss.reshape(1))}


def _classified(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Logits and targets, ready, of the same number of rows."""
    (logits,) = arrays(logits=(logits, "B K"))
    targets = _indices(targets, "B", logits.shape[1])
    if len(targets) != len(logits):
        raise ValueError(f"targets have the shape {targets.shape}, wanted ({len(logits)},)")
    return logits, targets


@kernel
def _layer_norm(x: Array, gamma: Array, beta: Array, eps: float) -> tuple[Array, Array, Array]:
    """(y, x_hat, 1 / root) of the rows x (R, D)."""
    R, D = x.shape
    y = np.empty_like(x)
    x_hat = np.empty_like(x)
    scale = np.empty(R, x.dtype)
    for i in range(R):
        # the mean by way of the first number, so that it is exact in a constant row
        first = x[i, 0]
        total = x.dtype.type(ZERO)
        for start in range(0, D, 128):
            part = x.dtype.type(ZERO)
            for d in range(start, min(start + 128, D)):
                part += x[i, d] - first
            total += part
        mean = first + total / x.dtype.type(D)
        # what the rounded mean has left of the deviations: much, where the row lies far off
        total = x.dtype.type(ZERO)
        for start in range(0, D, 128):
            part = x.dtype.type(ZERO)
            for d in range(start, min(start + 128, D)):
                x_hat[i, d] = x[i, d] - mean
                part += x_hat[i, d]
            total += part
        rest = total / x.dtype.type(D)
        total = x.dtype.type(ZERO)
        for start in range(0, D, 128):
            part = x.dtype.type(ZERO)
            for d in range(start, min(start + 128, D)):
                x_hat[i, d] -= rest
                part += x_hat[i, d] * x_hat[i, d]
            total += part
        root = np.sqrt(total / x.dtype.type(D) + x.dtype.type(eps))
        scale[i] = ONE / root
        for d in range(D):
            x_hat[i, d] /= root  # a product with scale would round twice
            y[i, d] = gamma[d] * x_hat[i, d] + beta[d]
    return y, x_hat, scale


@kernel
def _layer_norm_vjp(
    x_hat: Array,  # (R, D)
    scale: Array,  # (R,)
    gamma: Array,  # (D,)
    dy: Array,  # (R, D)
) -> tuple[Array, Array, Array]:
    R, D = x_hat.shape
    dx = np.empty_like(x_hat)
    dgamma = np.zeros_like(gamma)
    dbeta = np.zeros_like(gamma)
    for i in range(R):
        total = x_hat.dtype.type(ZERO)
        total_hat = x_hat.dtype.type(ZERO)
        for start in range(0, D, 128):
            part = x_hat.dtype.type(ZERO)
            part_hat = x_hat.dtype.type(ZERO)
            for d in range(start, min(start + 128, D)):
                dx[i, d] = dy[i, d] * gamma[d]
                part += dx[i, d]
                part_hat += dx[i, d] * x_hat[i, d]
            total += part
            total_hat += part_hat
        mean = total / x_hat.dtype.type(D)
        slope = total_hat / x_hat.dtype.type(D)
        for d in range(D):
            dx[i, d] = scale[i] * ((dx[i, d] - mean) - x_hat[i, d] * slope)
            dgamma[d] += dy[i, d] * x_hat[i, d]
            dbeta[d] += dy[i, d]
    return dx, dgamma, dbeta


def layer_norm(
    x: Array,  # (…, D)
    gamma: Array,  # (D,)
    beta: Array,  # (D,)
    *,
    eps: float = 1e-5,
) -> Array:
    """y = gamma (x - mean) / sqrt(var + eps) + beta, over the last axis, var biased."""
    x = np.asarray(x)
    rows, gamma, beta = arrays(x=(_flat(x, gamma), "R D"), gamma=(gamma, "D"), beta=(beta, "D"))
    return _layer_norm(rows, gamma, beta, eps)[0].reshape(x.shape)


def layer_norm_vjp(
    x: Array, gamma: Array, beta: Array, dy: Array, *, eps: float = 1e-5
) -> dict[str, Array]:
    """dh = gamma dy; dx = (dh - mean(dh) - x_hat mean(dh x_hat)) / sqrt(var + eps)."""
    x, dy = np.asarray(x), np.asarray(dy)
    if x.shape != dy.shape:
        raise ValueError(f"dy has shape {dy.shape}, wanted that of x, {x.shape}")
    rows, gamma, beta, d_rows = arrays(
        x=(_flat(x, gamma), "R D"),
        gamma=(gamma, "D"),
        beta=(beta, "D"),
        dy=(_flat(dy, gamma), "R D"),
    )
    _, x_hat, scale = _layer_norm(rows, gamma, beta, eps)
    dx, dgamma, dbeta = _layer_norm_vjp(x_hat, scale, gamma, d_rows)
    return {"dx": dx.reshape(x.shape), "dgamma": dgamma, "dbeta": dbeta}


def _flat(x: Array, gamma: Array) -> Array:
    """x (…, D) as rows (R, D)."""
    D = np.asarray(gamma).size
    if x.ndim == 0 or x.shape[-1] != D or D == 0:
        raise ValueError(f"x has shape {x.shape}, wanted (… D) with D = {D}, at least 1")
    return x.reshape(x.size // D, D)


def one_hot(
    index: Array,  # (B,), int64
    *,
    size: int = 2500,
) -> Array:
    """y_v = 1 where v = index, else 0, (B, size) of integers."""
    index = _indices(index, "B", size)
    y = np.zeros((len(index), size), np.int64)
    y[np.arange(len(index)), index] = 1
    return y


def one_hot_product(
    index: Array,  # (B,), int64
    U: Array,  # (H, V)
) -> Array:
    """U onehot(index), (B, H): the column of U, bit for bit."""
    (U,) = arrays(U=(U, "H V"))
    index = _indices(index, "B", U.shape[1])
    return np.ascontiguousarray(U.T[index])


def one_hot_product_vjp(index: Array, U: Array, da: Array) -> dict[str, Array]:
    """dU[:, v] = sum of da over the examples whose index is v."""
    U, da = arrays(U=(U, "H V"), da=(da, "B H"))
    index = _indices(index, "B", U.shape[1])
    return {"dU": np.ascontiguousarray(_scatter(index, U.T, da, "da").T)}


def embedding(
    index: Array,  # any shape, int64
    E: Array,  # (V, D)
) -> Array:
    """y = E[index], of the shape of index and D behind it: each word's row, bit for bit."""
    (E,) = arrays(E=(E, "V D"))
    return E[_indices(index, "...", len(E))]


def embedding_vjp(index: Array, E: Array, dy: Array) -> dict[str, Array]:
    """dE[v] = sum of dy over the places where index is v."""
    (E,) = arrays(E=(E, "V D"))
    return {"dE": _scatter(_indices(index, "...", len(E)), E, np.asarray(dy), "dy")}


@kernel
def _add_rows(dy: Array, index: Array, dE: Array) -> None:  # (N, D), (N,), (V, D)
    for i in range(dy.shape[0]):
        v = index[i]
        for d in range(dy.shape[1]):
            dE[v, d] += dy[i, d]


def _scatter(index: Array, E: Array, dy: Array, name: str) -> Array:
    """The errors dy added up at the rows of E that they belong to, (V, D)."""
    if dy.shape != (*index.shape, E.shape[1]):
        raise ValueError(f"{name} has shape {dy.shape}, wanted {(*index.shape, E.shape[1])}")
    dE = np.zeros(E.shape, E.dtype)
    _add_rows(plain(dy, E.dtype).reshape(index.size, E.shape[1]), index.reshape(-1), dE)
    return dE


def affine(
    x: Array,  # (B, I)
    W: Array,  # (O, I)
    *,
    b: Array | None = None,  # (O,)
) -> Array:
    """y = x Wᵀ + b, (B, O)."""
    x, W, b = arrays(x=(x, "B I"), W=(W, "O I"), b=(b, "O"))
    return layer(x, W, b, IDENTITY)


def affine_vjp(x: Array, W: Array, dy: Array, *, b: Array | None = None) -> dict[str, Array]:
    """dx = dy W, dW = dyᵀ x, db = sum over the batch of dy."""
    x, W, dy, _ = arrays(x=(x, "B I"), W=(W, "O I"), dy=(dy, "B O"), b=(b, "O"))
    dx, dW, db = layer_vjp(x, W, dy, dy, IDENTITY)
    d = {"dx": dx, "dW": dW}
    return d if b is None else d | {"db": db}


def mlp(
    x: Array,  # (B, I)
    W_1: Array,  # (H, I)
    W_2: Array,  # (O, H)
    *,
    W_3: Array | None = None,  # (P, O)
    b_1: Array | None = None,  # (H,)
    b_2: Array | None = None,  # (O,)
    b_3: Array | None = None,  # (P,)
    activation: str = "tanh",
    output_activation: str = "identity",
) -> Array:
    """y_l = f(W_l y_{l-1} + b_l), y_0 = x: two layers, or three where W_3 is given."""
    weights, codes = _layers(W_1, W_2, W_3, b_1, b_2, b_3, activation, output_activation)
    y, *ready = arrays(x=(x, "B I"), **weights)
    for i, code in enumerate(codes):
        y = layer(y, ready[2 * i], ready[2 * i + 1], code)
    return y


def mlp_vjp(
    x: Array,
    W_1: Array,
    W_2: Array,
    dy: Array,
    *,
    W_3: Array | None = None,
    b_1: Array | None = None,
    b_2: Array | None = None,
    b_3: Array | None = None,
    activation: str = "tanh",
    output_activation: str = "identity",
) -> dict[str, Array]:
    """δ_l = f'(y_l) ⊙ dy_l, dW_l = δ_lᵀ y_{l-1}, db_l = sum δ_l, dy_{l-1} = δ_l W_l."""
    weights, codes = _layers(W_1, W_2, W_3, b_1, b_2, b_3, activation, output_activation)
    out = "B O" if W_3 is None else "B P"
    x, dy_l, *ready = arrays(x=(x, "B I"), dy=(dy, out), **weights)
    y = [x]
    for i, code in enumerate(codes):
        y.append(layer(y[-1], ready[2 * i], ready[2 * i + 1], code))
    d: dict[str, Array] = {}
    for i in reversed(range(len(codes))):
        dy_l, dW, db = layer_vjp(y[i], ready[2 * i], y[i + 1], dy_l, codes[i])
        d[f"dW_{i + 1}"] = dW
        if weights[f"b_{i + 1}"][0] is not None:
            d[f"db_{i + 1}"] = db
    return {"dx": dy_l} | d


def _layers(
    W_1: Array,
    W_2: Array,
    W_3: Array | None,
    b_1: Array | None,
    b_2: Array | None,
    b_3: Array | None,
    activation: str,
    output_activation: str,
) -> tuple[dict[str, tuple[Array | None, str]], list[int]]:
    """Weights and biases in turn, with shapes, and each layer's activation."""
    weights: dict[str, tuple[Array | None, str]] = {
        "W_1": (W_1, "H I"),
        "b_1": (b_1, "H"),
        "W_2": (W_2, "O H"),
        "b_2": (b_2, "O"),
    }
    if W_3 is not None:
        weights |= {"W_3": (W_3, "P O"), "b_3": (b_3, "P")}
    inner = CODES[activation]
    return weights, [inner] * (len(weights) // 2 - 1) + [CODES[output_activation]]
