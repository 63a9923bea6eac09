"""Products of rows and matrices: the loops that the kernels share, and a layer f(x Wᵀ + b)."""

from typing import Any

import numpy as np

from nnspec.accel.arrays import Array, transposed
from nnspec.accel.jit import contracted, kernel
from nnspec.accel.scalar import activate, chain


@contracted
def add_product(y: Array, x: Array, M: Array) -> None:
    """y += x M, with y (N,), x (K,), M (K, N)."""
    for k in range(M.shape[0]):
        x_k = x[k]
        for n in range(M.shape[1]):
            y[n] += x_k * M[k, n]


@contracted
def add_outer(M: Array, y: Array, x: Array) -> None:
    """M += y xᵀ, with M (N, K), y (N,), x (K,)."""
    for n in range(M.shape[0]):
        y_n = y[n]
        for k in range(M.shape[1]):
            M[n, k] += y_n * x[k]


@kernel
def _layer(
    x: Array,  # (B, I)
    W_T: Array,  # (I, O)
    b: Array,  # (O,)
    code: int,
) -> Array:  # (B, O)
    y = np.empty((x.shape[0], W_T.shape[1]), x.dtype)
    for i in range(x.shape[0]):
        row = y[i]
        for n in range(W_T.shape[1]):
            row[n] = b[n]
        add_product(row, x[i], W_T)
        for n in range(W_T.shape[1]):
            row[n] = activate(row[n], code)
    return y


@kernel
def layer_vjp(
    x: Array,  # (B, I)
    W: Array,  # (O, I)
    y: Array,  # (B, O): f(x Wᵀ + b)
    dy: Array,  # (B, O)
    code: int,
) -> tuple[Array, Array, Array]:
    """(dx, dW, db) of a layer with the output y."""
    dx = np.zeros_like(x)
    dW = np.zeros_like(W)
    db = np.zeros(W.shape[0], x.dtype)
    da = np.empty(W.shape[0], x.dtype)
    for i in range(x.shape[0]):
        for n in range(W.shape[0]):
            da[n] = chain(y[i, n], dy[i, n], code)
            db[n] += da[n]
        add_product(dx[i], da, W)
        add_outer(dW, da, x[i])
    return dx, dW, db


def layer(x: Array, W: Array, b: Array, code: int) -> Array:
    """f(x Wᵀ + b), with x (B, I), W (O, I), b (O,): arrays as `arrays` makes them."""
    return _layer(x, transposed(W), b, code)


def named(**gradients: tuple[Array, Any]) -> dict[str, Array]:
    """The gradients whose input, beside each, was given."""
    return {name: gradient for name, (gradient, given) in gradients.items() if given is not None}
