"""The functions that every other topic is made of, and their derivatives.

Every function runs unchanged on float16, float32 and float64 arrays and on object arrays of
balls, duals or noisy numbers; see `nnspec.conformance.numbers`.
"""

from collections.abc import Callable

import numpy as np

from nnspec.reference.array import Array, nominal


def sigmoid(x: Array) -> Array:
    """σ(x) = 1 / (1 + e^-x), in the form whose exponential cannot overflow.

    x: any shape. Returns y of the same shape, in [0, 1].
    Source: slide "Recurrent Neural Network Problem"; spec/primitives.md.
    """
    positive = nominal(x) >= 0
    e = np.exp(np.where(positive, -x, x))
    return np.where(positive, 1, e) / (1 + e)  # primitives.sigmoid


def sigmoid_vjp(x: Array, dy: Array) -> dict[str, Array]:
    """dx = dy σ(x) (1 - σ(x))."""
    y = sigmoid(x)
    return {"dx": dy * y * (1 - y)}


def tanh(x: Array) -> Array:
    """tanh(x) = (e^x - e^-x) / (e^x + e^-x).

    x: any shape. Returns y of the same shape, in [-1, 1]; the sign of a zero is kept.
    Source: slide "Recurrent Neural Network Architecture"; spec/primitives.md.
    """
    y: Array = np.tanh(x)  # primitives.tanh
    return y


def tanh_vjp(x: Array, dy: Array) -> dict[str, Array]:
    """dx = dy (1 - tanh(x)²)."""
    y = tanh(x)
    return {"dx": dy * (1 - y * y)}


def softplus(x: Array) -> Array:
    """softplus(x) = log(1 + e^x) = max(x, 0) + log(1 + e^-|x|).

    x: any shape. Returns y of the same shape, >= 0.
    Source: -log σ(-x), the sound form of the deck's log(1 - D); spec/primitives.md.
    """
    positive = nominal(x) >= 0
    e = np.exp(np.where(positive, -x, x))
    y: Array = np.where(positive, x, 0) + np.log1p(e)  # primitives.softplus
    return y


def softplus_vjp(x: Array, dy: Array) -> dict[str, Array]:
    """dx = dy σ(x)."""
    return {"dx": dy * sigmoid(x)}


def relu(x: Array) -> Array:
    """relu(x) = max(x, 0).

    x: any shape. Returns y of the same shape, >= 0.
    Source: Mnih 2014, section 4 ("Rect"); spec/primitives.md.
    """
    y: Array = np.maximum(x, 0)  # primitives.relu
    return y


def relu_vjp(x: Array, dy: Array) -> dict[str, Array]:
    """dx = dy where x > 0, else 0: the derivative at 0 is 0."""
    return {"dx": np.where(x > 0, dy, 0)}


def softmax(x: Array, *, axis: int = -1) -> Array:
    """softmax(x)_i = e^{x_i} / sum_k e^{x_k} along one axis.

    x: any shape with at least one element along axis. Returns y of the same shape, in [0, 1].
    A row with a NaN or a +inf, or of -inf alone, is NaN.
    Source: slide "Application to Machine Translation", a(t, j); spec/primitives.md.
    """
    # any shift gives the same quotient; the largest x keeps every exponential at or below 1
    shift = nominal(x).max(axis=axis, keepdims=True).astype(x.dtype)
    e = np.exp(x - shift)
    y: Array = e / e.sum(axis=axis, keepdims=True)  # primitives.softmax
    return y


def softmax_vjp(x: Array, dy: Array, *, axis: int = -1) -> dict[str, Array]:
    """dx_i = y_i (dy_i - sum_k dy_k y_k)."""
    y = softmax(x, axis=axis)
    return {"dx": y * (dy - (dy * y).sum(axis=axis, keepdims=True))}


def affine(
    x: Array,  # (B, I)
    W: Array,  # (O, I)
    *,
    b: Array | None = None,  # (O,)
) -> Array:
    """y = x Wᵀ + b: the rows of W are outputs, as in the deck's U X_t. b is 0 unless given.

    Returns y (B, O).
    Source: slide "Recurrent Neural Network Architecture", U X_t; spec/primitives.md.
    """
    y: Array = x @ W.T  # primitives.affine
    return y if b is None else y + b


def affine_vjp(x: Array, W: Array, dy: Array, *, b: Array | None = None) -> dict[str, Array]:
    """dx = dy W, dW = dyᵀ x, db = sum over the batch of dy."""
    d = {"dx": dy @ W, "dW": dy.T @ x}
    return d if b is None else d | {"db": dy.sum(axis=0)}


def identity(x: Array) -> Array:
    """x itself: a layer without an activation."""
    return x


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": tanh,
    "sigmoid": sigmoid,
    "relu": relu,
    "identity": identity,
}

# f'(x) written in y = f(x), as every backward pass of the deck needs it
DERIVATIVES: dict[str, Callable[[Array], Array]] = {
    "tanh": lambda y: 1 - y * y,
    "sigmoid": lambda y: y * (1 - y),
    "relu": lambda y: np.where(y > 0, 1, 0).astype(y.dtype),
    "identity": lambda y: np.ones_like(y),
}


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
    """y_l = f(W_l y_{l-1} + b_l), y_0 = x: two layers, or three where W_3 is given.

    f is `activation`, and `output_activation` in the last layer; each one of tanh, sigmoid,
    relu, identity. Returns y of the last layer: (B, O), or (B, P) with W_3.
    Raises KeyError for an unknown activation.
    Source: slide "Generative Adversarial Network", MLP; spec/primitives.md.
    """
    f, f_out = ACTIVATIONS[activation], ACTIVATIONS[output_activation]
    y_1 = f(affine(x, W_1, b=b_1))
    if W_3 is None:
        return f_out(affine(y_1, W_2, b=b_2))  # primitives.mlp
    y_2 = f(affine(y_1, W_2, b=b_2))
    return f_out(affine(y_2, W_3, b=b_3))


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
    """δ_l = dy_l ⊙ f'(y_l), dW_l = δ_lᵀ y_{l-1}, db_l = sum of δ_l, dy_{l-1} = δ_l W_l."""
    weights = [(1, W_1, b_1), (2, W_2, b_2)] + ([] if W_3 is None else [(3, W_3, b_3)])
    y = [x]
    for layer, W, b in weights:
        name = output_activation if layer == len(weights) else activation
        y.append(ACTIVATIONS[name](affine(y[-1], W, b=b)))
    d: dict[str, Array] = {}
    dy_l = dy
    for layer, W, b in reversed(weights):
        name = output_activation if layer == len(weights) else activation
        grads = affine_vjp(y[layer - 1], W, dy_l * DERIVATIVES[name](y[layer]), b=b)
        d[f"dW_{layer}"] = grads["dW"]
        if b is not None:
            d[f"db_{layer}"] = grads["db"]
        dy_l = grads["dx"]
    return {"dx": dy_l} | d
