"""Scalar transcription of spec/primitives.md."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nnspec.reference.array import Array

Number = Any
Nested = list[Any]


def elementwise(f: Callable[[Number], Number], x: Array) -> Nested:
    """The nested list of f(x[i, j, …])."""
    if x.ndim == 0:
        return [f(x[()])]
    if x.ndim == 1:
        return [f(x[i]) for i in range(x.shape[0])]
    return [elementwise(f, x[i]) for i in range(x.shape[0])]


def logistic(v: Number) -> Number:
    """1 / (1 + e^-v)."""
    return 1 / (1 + np.exp(-v))


def rectified(v: Number) -> Number:
    """max(v, 0)."""
    return 0.0 if v <= 0 else v


def same(v: Number) -> Number:
    """v itself."""
    return v


SCALAR: dict[str, Callable[[Number], Number]] = {
    "tanh": np.tanh,
    "sigmoid": logistic,
    "relu": rectified,
    "identity": same,
}


def sigmoid(x: Array) -> Nested:
    """primitives.sigmoid."""
    return elementwise(logistic, x)


def tanh(x: Array) -> Nested:
    """primitives.tanh."""
    return elementwise(np.tanh, x)


def softplus(x: Array) -> Nested:
    """primitives.softplus: log(1 + e^v), in the form that is finite for every v."""
    return elementwise(lambda v: v + np.log1p(np.exp(-v)) if v > 0 else np.log1p(np.exp(v)), x)


def relu(x: Array) -> Nested:
    """primitives.relu."""
    return elementwise(rectified, x)


def softmax(x: Array, axis: int = -1) -> Nested:
    """primitives.softmax: one over the sum of e^(x_k - x_i), so that no maximum is needed."""
    y = np.empty(x.shape, dtype=object)
    axis %= x.ndim
    for index in np.ndindex(*x.shape):
        row = [x[(*index[:axis], k, *index[axis + 1 :])] for k in range(x.shape[axis])]
        sizes = [float(v) for v in row]
        if any(np.isnan(v) or v == np.inf for v in sizes) or all(v == -np.inf for v in sizes):
            y[index] = float("nan")
        elif float(x[index]) == -np.inf:
            y[index] = 0.0
        else:
            total: Number = 0
            for v, size in zip(row, sizes, strict=True):
                total = total + (np.exp(v - x[index]) if size != -np.inf else 0)
            y[index] = 1 / total
    nested: Nested = y.tolist()
    return nested


def log_softmax(x: Array, axis: int = -1) -> Nested:
    """primitives.log_softmax: minus the logarithm of the sum of e^(x_k - x_i)."""
    y = np.empty(x.shape, dtype=object)
    axis %= x.ndim
    for index in np.ndindex(*x.shape):
        row = [x[(*index[:axis], k, *index[axis + 1 :])] for k in range(x.shape[axis])]
        y[index] = log_weight(row, index[axis])
    nested: Nested = y.tolist()
    return nested


def log_weight(row: Nested, i: int) -> Number:
    """log(e^(row[i]) / sum over k of e^(row[k]))."""
    sizes = [float(v) for v in row]
    if any(np.isnan(v) or v == np.inf for v in sizes) or all(v == -np.inf for v in sizes):
        return float("nan")
    if sizes[i] == -np.inf:
        return -np.inf
    # the largest stands before the sum, so that its logarithm is finite
    top = row[max(range(len(row)), key=lambda k: sizes[k])]
    total: Number = 0
    for v, size in zip(row, sizes, strict=True):
        total = total + (np.exp(v - top) if size != -np.inf else 0)
    return row[i] - top - np.log(total)


def cross_entropy(logits: Array, targets: Array) -> Number:
    """primitives.cross_entropy."""
    total: Number = 0.0
    for i in range(logits.shape[0]):
        total = total - log_weight(list(logits[i]), int(targets[i]))
    return total / logits.shape[0] if logits.shape[0] else total


def layer_norm(x: Array, gamma: Array, beta: Array, eps: float = 1e-5) -> Nested:
    """primitives.layer_norm, one row at a time."""
    if x.ndim > 1:
        return [layer_norm(x[i], gamma, beta, eps) for i in range(x.shape[0])]
    D = x.shape[0]
    mean: Number = 0
    for d in range(D):
        mean = mean + x[d] / D
    variance: Number = 0
    for d in range(D):
        variance = variance + (x[d] - mean) * (x[d] - mean) / D
    return [(x[d] - mean) / np.sqrt(eps + variance) * gamma[d] + beta[d] for d in range(D)]


def one_hot(index: Array, size: int = 2500) -> Nested:
    """primitives.one_hot."""
    return [[1 if v == i else 0 for v in range(size)] for i in index.tolist()]


def one_hot_product(index: Array, U: Array) -> Nested:
    """primitives.one_hot_product: the sum over all words, of which one word's factor is 1."""
    a = []
    for i in index.tolist():
        column = []
        for h in range(U.shape[0]):
            total: Number = 0
            for v in range(U.shape[1]):
                if v == i:
                    total = total + U[h, v]
            column.append(total)
        a.append(column)
    return a


def embedding(index: Array, E: Array) -> Nested:
    """primitives.embedding."""
    if index.ndim == 0:
        return [E[int(index), d] for d in range(E.shape[1])]
    return [embedding(index[i], E) for i in range(index.shape[0])]


def weighted_sum(x: Array, row: int, W: Array, o: int, b: Array | None) -> Number:
    """Sum over i of x[row, i] W[o, i], plus b[o]."""
    total: Number = 0
    for i in range(W.shape[1]):
        total = total + x[row, i] * W[o, i]
    return total if b is None else total + b[o]


def affine(x: Array, W: Array, b: Array | None = None) -> Nested:
    """primitives.affine."""
    return [[weighted_sum(x, row, W, o, b) for o in range(W.shape[0])] for row in range(x.shape[0])]


def mlp(
    x: Array,
    W_1: Array,
    W_2: Array,
    W_3: Array | None = None,
    b_1: Array | None = None,
    b_2: Array | None = None,
    b_3: Array | None = None,
    activation: str = "tanh",
    output_activation: str = "identity",
) -> Nested:
    """primitives.mlp, one unit at a time."""
    layers = [(W_1, b_1), (W_2, b_2)]
    if W_3 is not None:
        layers.append((W_3, b_3))
    y: Nested = []
    for row in range(x.shape[0]):
        units = [x[row, i] for i in range(x.shape[1])]
        for number, (W, b) in enumerate(layers, 1):
            f = SCALAR[output_activation if number == len(layers) else activation]
            following = []
            for o in range(W.shape[0]):
                total: Number = 0
                for i, unit in enumerate(units):
                    total = total + W[o, i] * unit
                following.append(f(total if b is None else total + b[o]))
            units = following
        y.append(units)
    return y
