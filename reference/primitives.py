"""The functions that every other topic is made of, and their derivatives.

Every function runs unchanged on float16, float32 and float64 arrays and on object arrays of
balls, duals or noisy numbers; see `nnspec.conformance.number_types`.
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
    y: Array = np.where(positive, 1, e) / (1 + e)  # primitives.sigmoid
    return y


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


def log_softmax(x: Array, *, axis: int = -1) -> Array:
    """log softmax(x)_i = x_i - log(sum_k e^{x_k}) along one axis.

    x: any shape with at least one element along axis. Returns y of the same shape, <= 0. A row
    with a NaN or a +inf, or of -inf alone, is NaN. Not log(softmax(x)), which is -inf where the
    weight has underflowed.
    Source: the -log of the deck's probabilities, Goodfellow 2016, section 6.2.2.3;
    spec/primitives.md.
    """
    shift = nominal(x).max(axis=axis, keepdims=True).astype(x.dtype)
    e = np.exp(x - shift)
    y: Array = (x - shift) - np.log(e.sum(axis=axis, keepdims=True))  # primitives.log_softmax
    return y


def log_softmax_vjp(x: Array, dy: Array, *, axis: int = -1) -> dict[str, Array]:
    """dx_i = dy_i - softmax(x)_i sum_k dy_k."""
    return {"dx": dy - softmax(x, axis=axis) * dy.sum(axis=axis, keepdims=True)}


def refuse_outside(index: Array, size: int) -> None:
    """Raises IndexError unless every index is one of 0 … size - 1: -1 is not the last one."""
    if ((index < 0) | (index >= size)).any():
        raise IndexError(f"an index lies outside 0 … {size - 1}")


def cross_entropy(
    logits: Array,  # (B, K)
    targets: Array,  # (B,), int64
) -> Array:
    """loss = -1/B sum_i log softmax(logits_i)[targets_i]: natural logarithm, mean over the batch.

    Returns loss, a scalar; 0 where B is 0. Raises IndexError for a target outside 0 … K - 1.
    Source: slide "Types of Recurrent Neural Networks", classification; spec/primitives.md.
    """
    B, K = logits.shape
    refuse_outside(targets, K)
    log_p = log_softmax(logits)[np.arange(B), targets]
    loss: Array = -log_p.sum() / max(B, 1)  # primitives.cross_entropy
    return loss


def cross_entropy_vjp(logits: Array, targets: Array, dloss: Array) -> dict[str, Array]:
    """dlogits = dloss (softmax(logits) - onehot(targets)) / B."""
    B, K = logits.shape
    refuse_outside(targets, K)
    p = softmax(logits)
    error = np.where(np.arange(K) == targets[:, np.newaxis], p - 1, p)
    return {"dlogits": error * (dloss / max(B, 1))}


def layer_norm(
    x: Array,  # (…, D)
    gamma: Array,  # (D,)
    beta: Array,  # (D,)
    *,
    eps: float = 1e-5,
) -> Array:
    """y = gamma (x - mean) / sqrt(var + eps) + beta, over the last axis, var the biased variance.

    x: any shape with the last axis D. Returns y of the same shape. Not batch normalisation, which
    takes its mean over the examples.
    Source: Ba, Kiros and Hinton 2016, equations 3 and 4; spec/primitives.md.
    """
    x_hat, _ = normalised(x, eps)
    return gamma * x_hat + beta  # primitives.layer_norm


def normalised(x: Array, eps: float) -> tuple[Array, Array]:
    """(x - mean) / sqrt(var + eps) over the last axis, and 1 / sqrt(var + eps)."""
    D = x.shape[-1]
    centred = x - x.sum(axis=-1, keepdims=True) / D
    var = (centred * centred).sum(axis=-1, keepdims=True) / D
    root = np.sqrt(var + eps)
    return centred / root, 1 / root


def layer_norm_vjp(
    x: Array, gamma: Array, beta: Array, dy: Array, *, eps: float = 1e-5
) -> dict[str, Array]:
    """dh = gamma dy; dx = (dh - mean(dh) - x_hat mean(dh x_hat)) / sqrt(var + eps)."""
    D = x.shape[-1]
    x_hat, scale = normalised(x, eps)
    dh = dy * gamma
    mean = dh.sum(axis=-1, keepdims=True) / D
    slope = (dh * x_hat).sum(axis=-1, keepdims=True) / D
    others = tuple(range(x.ndim - 1))
    return {
        "dx": scale * ((dh - mean) - x_hat * slope),
        "dgamma": (dy * x_hat).sum(axis=others),
        "dbeta": dy.sum(axis=others),
    }


def one_hot(
    index: Array,  # (B,), int64
    *,
    size: int = 2500,
) -> Array:
    """y_v = 1 where v = index, else 0: a word as "1 in a vector of 2500 numbers".

    Returns y (B, size) of integers. Raises IndexError for an index outside 0 … size - 1.
    Source: slide "Why can't we use a simple neural network?"; spec/primitives.md.
    """
    refuse_outside(index, size)
    y: Array = np.where(np.arange(size) == index[:, np.newaxis], 1, 0)  # primitives.one_hot
    return y


def one_hot_product(
    index: Array,  # (B,), int64
    U: Array,  # (H, V)
) -> Array:
    """U onehot(index): the column of U, bit for bit, and nothing is multiplied.

    Returns a (B, H). Raises IndexError for an index outside 0 … V - 1.
    Source: slide "Why can't we use a simple neural network?", U X_t; spec/primitives.md.
    """
    refuse_outside(index, U.shape[1])
    return U.T[index]  # primitives.one_hot_product


def one_hot_product_vjp(index: Array, U: Array, da: Array) -> dict[str, Array]:
    """dU[:, v] = sum of da over the examples whose index is v."""
    return {"dU": embedding_vjp(index, U.T, da)["dE"].T}


def embedding(
    index: Array,  # any shape, int64
    E: Array,  # (V, D)
) -> Array:
    """y = E[index]: each word's row of the table, bit for bit.

    Returns y of the shape of index and D behind it. Raises IndexError for an index outside
    0 … V - 1.
    Source: slide "Transformer", "learns embedding of words"; spec/primitives.md.
    """
    refuse_outside(index, len(E))
    return E[index]  # primitives.embedding


def embedding_vjp(index: Array, E: Array, dy: Array) -> dict[str, Array]:
    """dE[v] = sum of dy over the places where index is v: a repeated word's errors add up."""
    refuse_outside(index, len(E))
    dE = np.zeros_like(E)
    for v, dy_v in zip(index.reshape(-1), dy.reshape(index.size, E.shape[1]), strict=True):
        dE[v] = dE[v] + dy_v
    return {"dE": dE}


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
