"""Wrong on purpose: the tables of mutants, one module per topic, and what they call.

The functions here are the numerical sins that mutants commit: narrow accumulation, cheap
approximations, clamps, flushes. Mutated source reaches them as `wrong.NAME`.
"""

from typing import Any

import numpy as np

from nnspec.reference.array import Array


def tanh_1e4(x: Array) -> Array:
    """A rational tanh, good to about 1e-4."""
    c = np.clip(x, -4.97, 4.97)
    s = c * c
    y = c * (135135 + s * (17325 + s * (378 + s))) / (135135 + s * (62370 + s * (3150 + 28 * s)))
    return np.asarray(np.clip(y, -1, 1), dtype=x.dtype)


def tanh_1e6(x: Array) -> Array:
    """tanh with a relative error of 1e-6."""
    return np.asarray(np.tanh(x) * (1 + 1e-6), dtype=x.dtype)


def exp_1e4(x: Array) -> Array:
    """An exponential with a relative error of 1e-4 that varies with x."""
    return np.asarray(np.exp(x) * (1 + 1e-4 * np.sin(40 * x)), dtype=x.dtype)


def exp_1e6(x: Array) -> Array:
    """An exponential with a relative error of 1e-6 that varies with x."""
    return np.asarray(np.exp(x) * (1 + 1e-6 * np.sin(40 * x)), dtype=x.dtype)


def half(x: Array) -> Array:
    """x rounded to float16 and back."""
    with np.errstate(over="ignore"):
        return np.asarray(x).astype(np.float16).astype(np.asarray(x).dtype)


def brain(x: Array) -> Array:
    """x cut to bfloat16's eight significant bits and back."""
    x = np.asarray(x)
    bits = x.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
    return bits.view(np.float32).astype(x.dtype)


def product_in_half(a: Array, b: Array) -> Array:
    """A matrix product accumulated in float16."""
    return _narrow_product(a, b, half)


def product_in_brain(a: Array, b: Array) -> Array:
    """A matrix product of bfloat16 operands, accumulated in the dtype."""
    return brain(a) @ brain(b)


def _narrow_product(a: Array, b: Array, narrow: Any) -> Array:
    total = np.zeros((*a.shape[:-1], b.shape[-1]), dtype=a.dtype)
    for k in range(a.shape[-1]):
        total = narrow(total + a[..., :, k, None] * b[..., None, k, :])
    return total


def total_in_half(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """A sum accumulated in float16, term after term."""
    x = np.asarray(x)
    axes = axis if axis is not None else tuple(range(x.ndim))
    moved = np.moveaxis(x, axes, 0) if isinstance(axes, int) else x.reshape(-1)
    total = np.zeros(moved.shape[1:], dtype=x.dtype)
    for term in moved:
        total = half(total + term)
    return np.expand_dims(total, axis) if keepdims and axis is not None else total


def flush(x: Array) -> Array:
    """Subnormal numbers as zero."""
    x = np.asarray(x)
    return np.where(np.abs(x) < np.finfo(x.dtype).smallest_normal, 0, x).astype(x.dtype)
