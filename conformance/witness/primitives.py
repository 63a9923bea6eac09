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
