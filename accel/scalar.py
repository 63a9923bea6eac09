"""Functions of one number, and activations by code.

Constants are float32: they keep float32 arithmetic in float32, and are exact in float64.
"""

from typing import Any

import numpy as np

from nnspec.accel.jit import helper
from nnspec.accel.vector_math import exp_below, log1p_fraction, sigmoid, tanh

ZERO = np.float32(0)
ONE = np.float32(1)

IDENTITY, TANH, SIGMOID, RELU, SOFTPLUS = range(5)

CODES = {"tanh": TANH, "sigmoid": SIGMOID, "relu": RELU, "identity": IDENTITY}


@helper
def softplus(x: Any) -> Any:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)."""
    tail = log1p_fraction(exp_below(-abs(x)))
    return x + tail if x > ZERO else tail


@helper
def relu(x: Any) -> Any:
    """max(x, 0); a NaN stays."""
    return ZERO if x <= ZERO else x


@helper
def activate(x: Any, code: int) -> Any:
    """f(x)."""
    if code == TANH:
        return tanh(x)
    if code == SIGMOID:
        return sigmoid(x)
    if code == RELU:
        return relu(x)
    if code == SOFTPLUS:
        return softplus(x)
    return x


@helper
def chain(y: Any, dy: Any, code: int) -> Any:
    """dy f'(x), written in y = f(x)."""
    if code == TANH:
        return dy * (ONE - y * y)
    if code == SIGMOID:
        return dy * (y * (ONE - y))
    if code == RELU:
        return dy * (ONE if y > ZERO else ZERO)
    return dy


@helper
def chain_x(x: Any, dy: Any, code: int) -> Any:
    """dy f'(x), written in x: exact where y = f(x) has rounded to 1."""
    if code == TANH:
        y = tanh(x)
        return dy * (ONE - y * y)
    if code == SIGMOID:
        return dy * (sigmoid(x) * sigmoid(-x))
    if code == RELU:
        return dy if x > ZERO else ZERO
    if code == SOFTPLUS:
        return dy * sigmoid(x)
    return dy
