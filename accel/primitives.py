"""The functions that every other topic is made of, and their derivatives, as kernels."""

import numpy as np

from nnspec.accel.arrays import Array, arrays, floating
from nnspec.accel.dense import layer, layer_vjp
from nnspec.accel.jit import kernel
from nnspec.accel.scalar import (
    CODES,
    IDENTITY,
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
