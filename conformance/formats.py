"""The floating-point formats of the suite: their limits, their rounding, and who holds them how.

NumPy has no bfloat16. nnspec holds such an array as float32 with values of bfloat16, so that it
reads and judges them without a further package; a Python backend gets and gives arrays of
`ml_dtypes.bfloat16`.
"""

import dataclasses

import numpy as np

from nnspec.reference.array import Array

# the bits of a bfloat16's significand, and the exponent of its smallest subnormal
SIGNIFICAND = 8
LAST_EXPONENT = -133


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a format can hold: 1 + eps is the neighbour of 1."""

    eps: float
    smallest_normal: float
    smallest_subnormal: float
    largest: float


def _of_numpy(dtype: str) -> Limits:
    found = np.finfo(np.dtype(dtype))
    return Limits(
        float(found.eps),
        float(found.smallest_normal),
        float(found.smallest_subnormal),
        float(found.max),
    )


LIMITS = {
    **{dtype: _of_numpy(dtype) for dtype in ("float16", "float32", "float64")},
    "bfloat16": Limits(2.0**-7, 2.0**-126, 2.0**LAST_EXPONENT, (2 - 2.0**-7) * 2.0**127),
}


def holder(dtype: str) -> np.dtype[np.floating]:
    """The NumPy dtype in which nnspec holds this format."""
    return np.dtype("float32" if dtype == "bfloat16" else dtype)


def rounded(values: Array, dtype: str) -> Array:
    """The nearest values of the format, ties to even, in its holder."""
    with np.errstate(over="ignore"):
        if dtype == "bfloat16":
            return _nearest(np.asarray(values, np.float64)).astype(np.float32)
        return np.asarray(values).astype(dtype)


def spacing(values: Array, dtype: str) -> Array:
    """The distance from each value's nearest in the format to the next larger one, in float64."""
    near = rounded(values, dtype)
    if dtype == "bfloat16":
        return np.where(np.isfinite(near), _bfloat16_step(near.astype(np.float64)), np.nan)
    wide: Array = np.spacing(near).astype(np.float64)
    return wide


def _bfloat16_step(x: Array) -> Array:
    """The distance of two bfloat16 of the size of x, which is float64."""
    _, exponent = np.frexp(x)
    exponent = np.where(x == 0, LAST_EXPONENT, exponent - SIGNIFICAND)
    step: Array = np.ldexp(1.0, np.maximum(exponent, LAST_EXPONENT))
    return step


def _in_range(x: Array) -> Array:
    """x, infinite where bfloat16 overflows."""
    infinite: Array = np.copysign(np.inf, x)
    return np.where(np.abs(x) > LIMITS["bfloat16"].largest, infinite, x)


def _nearest(x: Array) -> Array:
    step = _bfloat16_step(x)
    return _in_range(np.rint(x / step) * step)


def bfloat16_neighbours(x: Array) -> tuple[Array, Array]:
    """The bfloat16 nearest to a float64, and the next one on the other side of it."""
    step = _bfloat16_step(x)
    near = np.rint(x / step) * step
    other = np.where(near > x, np.floor(x / step), np.ceil(x / step)) * step
    return _in_range(near), _in_range(other)
