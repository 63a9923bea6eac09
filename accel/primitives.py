"""The functions that every other topic is made of, and their derivatives, as kernels."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nnspec.accel import threads, vector_math
from nnspec.accel.arrays import Array, arrays, floating, plain, reader
from nnspec.accel.dense import SUM_ROWS, layer, layer_of, layer_vjp
from nnspec.accel.jit import helper, kernel
from nnspec.accel.reductions import dot, largest, squares_less, total, total_less
from nnspec.accel.scalar import CODES, IDENTITY, ONE, RELU, SIGMOID, SOFTPLUS, TANH, chain_x
from nnspec.accel.scalar import relu as rectified
from nnspec.accel.scalar import softplus as soft
from nnspec.accel.softmaxes import add_row, along, along_vjp, exp_minus, softmax_row
from nnspec.accel.vector_math import log

# what an element costs, in multiply-adds as `threads.useful` counts them
ELEMENT = 16.0


@helper
def _map_row(y: Array, x: Array, code: int) -> None:
    if code == TANH:
        for k in range(x.size):
            y[k] = vector_math.tanh(x[k])
    elif code == SIGMOID:
        for k in range(x.size):
            y[k] = vector_math.sigmoid(x[k])
    elif code == RELU:
        for k in range(x.size):
            y[k] = rectified(x[k])
    else:
        for k in range(x.size):
            y[k] = soft(x[k])


@helper
def _map_row_vjp(dx: Array, x: Array, dy: Array, code: int) -> None:
    if code == TANH:
        for k in range(x.size):
            dx[k] = chain_x(x[k], dy[k], TANH)
    elif code == SIGMOID:
        for k in range(x.size):
            dx[k] = chain_x(x[k], dy[k], SIGMOID)
    elif code == RELU:
        for k in range(x.size):
            dx[k] = chain_x(x[k], dy[k], RELU)
    else:
        for k in range(x.size):
            dx[k] = chain_x(x[k], dy[k], SOFTPLUS)


@kernel
def _elementwise(x: Array, y: Array, code: int, first: int, last: int) -> None:
    _map_row(y[first:last], x[first:last], code)


@kernel
def _elementwise_vjp(x: Array, dy: Array, dx: Array, code: int, first: int, last: int) -> None:
    _map_row_vjp(dx[first:last], x[first:last], dy[first:last], code)


def _in_threads(size: int, work: Callable[[int, int], Any]) -> None:
    """work(first, last) for the parts of so many elements."""
    count = threads.useful(ELEMENT * size)
    if count == 1:
        work(0, size)
    else:
        threads.together(count, lambda i, n: work(*threads.share(size, i, n, 16)))


def _map(x: Array, code: int) -> Array:
    x, _ = floating(x)
    y = np.empty_like(x)
    x_1, y_1 = x.reshape(-1), y.reshape(-1)
    _in_threads(x.size, lambda *part: _elementwise(x_1, y_1, code, *part))
    return y


def _map_vjp(x: Array, dy: Array, code: int) -> dict[str, Array]:
    x, dy = floating(x, dy)
    dx = np.empty_like(x)
    x_1, dy_1, dx_1 = x.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    _in_threads(x.size, lambda *part: _elementwise_vjp(x_1, dy_1, dx_1, code, *part))
    return {"dx": dx}


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


def softmax(x: Array, *, axis: int = -1) -> Array:
    """softmax(x)_i = e^{x_i} / sum_k e^{x_k} along one axis.

    A row with a NaN or a +inf, or of -inf alone, is NaN; other rows are not touched.
    """
    return along(floating(x)[0], axis, logarithm=False)


def softmax_vjp(x: Array, dy: Array, *, axis: int = -1) -> dict[str, Array]:
    """dx_i = y_i (dy_i - sum_k dy_k y_k)."""
    return {"dx": along_vjp(*floating(x, dy), axis, logarithm=False)}


def log_softmax(x: Array, *, axis: int = -1) -> Array:
    """log softmax(x)_i = x_i - log(sum_k e^{x_k}) along one axis.

    A row with a NaN or a +inf, or of -inf alone, is NaN; other rows are not touched.
    """
    return along(floating(x)[0], axis, logarithm=True)


def log_softmax_vjp(x: Array, dy: Array, *, axis: int = -1) -> dict[str, Array]:
    """dx_i = dy_i - softmax(x)_i sum_k dy_k."""
    return {"dx": along_vjp(*floating(x, dy), axis, logarithm=True)}


@kernel
def _surprises(
    x: Array,  # (B, K)
    targets: Array,  # (B,)
    y: Array,  # (B,): minus the logarithms of the targets' probabilities
    first: int,
    last: int,
) -> None:
    e = np.empty(x.shape[1], x.dtype)
    for i in range(first, last):
        shift = largest(x[i])
        exp_minus(e, x[i], shift)
        y[i] = log(total(e)) - (x[i, targets[i]] - shift)


@kernel
def _cross_entropy_vjp(
    x: Array,  # (B, K)
    targets: Array,  # (B,)
    dloss: Array,  # (1,)
    dx: Array,  # (B, K)
    first: int,
    last: int,
) -> None:
    share = dloss[0] / x.dtype.type(x.shape[0])
    for i in range(first, last):
        softmax_row(dx[i], x[i])
        dx[i, targets[i]] -= ONE
        _scale(dx[i], share)


@helper
def _scale(y: Array, factor: Any) -> None:
    for k in range(y.size):
        y[k] *= factor


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
    y = np.empty(len(logits), logits.dtype)
    _in_rows(logits, lambda *part: _surprises(logits, targets, y, *part))
    # pairwise in NumPy
    return np.asarray(y.sum() / y.dtype.type(max(len(y), 1)))


def cross_entropy_vjp(logits: Array, targets: Array, dloss: Array) -> dict[str, Array]:
    """dlogits = dloss (softmax(logits) - onehot(targets)) / B."""
    logits, targets = _classified(logits, targets)
    _, dloss = arrays(logits=(logits, "B K"), dloss=(dloss, ""))
    share, d = dloss.reshape(1), np.empty_like(logits)
    _in_rows(logits, lambda *part: _cross_entropy_vjp(logits, targets, share, d, *part))
    return {"dlogits": d}


def _in_rows(x: Array, work: Callable[[int, int], Any]) -> None:
    """work(first, last) for the parts of the rows of x, which each thread has some of."""
    count = threads.useful(ELEMENT * x.size)
    if count == 1:
        work(0, len(x))
    else:
        threads.together(count, lambda i, n: work(*threads.share(len(x), i, n)))


def _classified(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Logits and targets, ready, of the same number of rows."""
    (logits,) = arrays(logits=(logits, "B K"))
    targets = _indices(targets, "B", logits.shape[1])
    if len(targets) != len(logits):
        raise ValueError(f"targets have the shape {targets.shape}, wanted ({len(logits)},)")
    return logits, targets


@helper
def _moments(x: Array, eps: float) -> tuple[Any, Any, Any]:
    """The mean, what it has lost in rounding, and the root of variance + eps."""
    D = x.dtype.type(x.size)
    # by way of the first number, so that it is exact in a constant row
    mean = x[0] + total_less(x, x[0]) / D
    # much, where the row lies far off
    rest = total_less(x, mean) / D
    return mean, rest, np.sqrt((squares_less(x, mean) / D - rest * rest) + x.dtype.type(eps))


@helper
def _normal(x_hat: Array, x: Array, mean: Any, rest: Any, root: Any) -> None:
    # divided: a product with 1 / root would round twice
    for d in range(x.size):
        x_hat[d] = ((x[d] - mean) - rest) / root


@helper
def _scale_and_shift(y: Array, gamma: Array, beta: Array) -> None:
    for d in range(y.size):
        y[d] = gamma[d] * y[d] + beta[d]


@kernel
def _layer_norm(
    x: Array,  # (R, D)
    gamma: Array,  # (D,)
    beta: Array,  # (D,)
    eps: float,
    y: Array,  # (R, D)
    first: int,
    last: int,
) -> None:
    for i in range(first, last):
        mean, rest, root = _moments(x[i], eps)
        _normal(y[i], x[i], mean, rest, root)
        _scale_and_shift(y[i], gamma, beta)


@helper
def _products(y: Array, a: Array, b: Array) -> None:
    for d in range(y.size):
        y[d] = a[d] * b[d]


@helper
def _through(dx: Array, x_hat: Array, scale: Any, mean: Any, slope: Any) -> None:
    for d in range(dx.size):
        dx[d] = scale * ((dx[d] - mean) - x_hat[d] * slope)


@helper
def _add_both(dgamma: Array, dbeta: Array, dy: Array, x_hat: Array) -> None:
    for d in range(dy.size):
        dgamma[d] += dy[d] * x_hat[d]
    add_row(dbeta, dy)


@kernel
def _layer_norm_vjp(
    x: Array,  # (R, D)
    gamma: Array,  # (D,)
    eps: float,
    dy: Array,  # (R, D)
    dx: Array,  # (R, D)
    dgamma: Array,  # (threads, D), zeros
    dbeta: Array,  # (threads, D), zeros
    first: int,
    last: int,
    index: int,
) -> None:
    D = x.dtype.type(gamma.size)
    x_hat, part, part_hat = np.empty_like(gamma), np.empty_like(gamma), np.empty_like(gamma)
    for start in range(first, last, SUM_ROWS):
        part[:] = 0
        part_hat[:] = 0
        for i in range(start, min(start + SUM_ROWS, last)):
            mean, rest, root = _moments(x[i], eps)
            _normal(x_hat, x[i], mean, rest, root)
            _products(dx[i], dy[i], gamma)
            error, slope = total(dx[i]) / D, dot(dx[i], x_hat) / D
            _through(dx[i], x_hat, ONE / root, error, slope)
            _add_both(part_hat, part, dy[i], x_hat)
        add_row(dgamma[index], part_hat)
        add_row(dbeta[index], part)


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
    y = np.empty_like(rows)
    _in_rows(rows, lambda *part: _layer_norm(rows, gamma, beta, eps, y, *part))
    return y.reshape(x.shape)


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
    dx = np.empty_like(rows)
    count = threads.useful(ELEMENT * rows.size)
    dgamma, dbeta = (np.zeros((count, gamma.size), gamma.dtype) for _ in range(2))

    def part(index: int, count: int) -> None:
        some = threads.share(len(rows), index, count)
        _layer_norm_vjp(rows, gamma, eps, d_rows, dx, dgamma, dbeta, *some, index)

    threads.together(count, part)
    return {"dx": dx.reshape(x.shape), "dgamma": dgamma.sum(axis=0), "dbeta": dbeta.sum(axis=0)}


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


def affine_of(
    W: Array,  # (O, I)
    *,
    b: Array | None = None,  # (O,)
) -> Callable[[Array], Array]:
    """`affine` with these weights, packed once: call it with x (B, I).

    Raises as `affine` does, and TypeError where x has another dtype than the weights.
    """
    W, b = arrays(W=(W, "O I"), b=(b, "O"))
    read, of_rows = reader(W.dtype, x=f"B {W.shape[1]}"), layer_of(W, b, IDENTITY)
    return lambda x: of_rows(*read(x))


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
