"""exp, log and their like from IEEE additions, multiplications and divisions alone.

An error budget must come out the same to the last bit on every machine, and NumPy's own
functions do not: they pick another kernel for each processor. These are right to a few units in
the last place of float64, which is all that a budget needs.
"""

import math

import numpy as np

from nnspec.reference.array import Array

# ln 2 in two parts: n * LN2_HIGH is exact for every exponent n
LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")
LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")


def _exp_minus_1(r: Array) -> Array:
    """e^r - 1 for |r| <= 0.35, by its series."""
    series = np.full_like(r, 1 / math.factorial(14))
    for n in range(13, 0, -1):
        series = series * r + 1 / math.factorial(n)
    return series * r


def exp(x: Array) -> Array:
    """e^x."""
    clipped = np.clip(x, -800.0, 800.0)
    n = np.rint(clipped * (1 / math.log(2)))
    r = (clipped - n * LN2_HIGH) - n * LN2_LOW
    whole = np.nan_to_num(n).astype(np.int32)
    y: Array = np.ldexp(1 + _exp_minus_1(r), whole)
    return y


def expm1(x: Array) -> Array:
    """e^x - 1."""
    return np.where(np.abs(x) < 0.34, _exp_minus_1(np.clip(x, -0.34, 0.34)), exp(x) - 1)


def tanh(x: Array) -> Array:
    """tanh(x), the sign of a zero kept."""
    e = expm1(2 * np.minimum(np.abs(x), 30.0))
    y: Array = np.copysign(e / (e + 2), x)
    return y


def log(x: Array) -> Array:
    """log(x)."""
    m, n = np.frexp(x)
    small = m < math.sqrt(0.5)
    m = np.where(small, 2 * m, m)
    n = np.where(small, n - 1, n)
    s = (m - 1) / (m + 1)
    square = s * s
    series = np.full_like(s, 1 / 23)
    for k in range(21, 0, -2):
        series = series * square + 1 / k
    y = n * LN2_HIGH + (n * LN2_LOW + 2 * s * series)
    return np.where(x > 0, np.where(np.isinf(x), x, y), np.where(x == 0, -np.inf, np.nan))


def log1p(x: Array) -> Array:
    """log(1 + x)."""
    u = 1 + x
    return np.where(u == 1, x, log(u) * (x / np.where(u == 1, 1, u - 1)))


def _split_turns(x: Array) -> tuple[Array, Array]:
    """x as r + n π/2 with |r| <= π/4, for |x| up to about 1e5."""
    n = np.rint(x * (2 / math.pi))
    r = x - n * float.fromhex("0x1.921fb54400000p+0")
    r = r - n * float.fromhex("0x1.0b4611a600000p-34")
    r = r - n * float.fromhex("0x1.3198a2e037073p-69")
    return r, np.nan_to_num(n).astype(np.int64) % 4


def _sin_series(r: Array) -> Array:
    square, series = r * r, np.zeros_like(r)
    for n in range(19, 0, -2):
        series = series * square + (-1) ** (n // 2) / math.factorial(n)
    return series * r


def _cos_series(r: Array) -> Array:
    square, series = r * r, np.zeros_like(r)
    for n in range(20, -1, -2):
        series = series * square + (-1) ** (n // 2) / math.factorial(n)
    return series


def sin(x: Array) -> Array:
    """sin(x)."""
    r, quarter = _split_turns(x)
    y = np.where(quarter % 2 == 0, _sin_series(r), _cos_series(r))
    return np.where(quarter >= 2, -y, y)


def cos(x: Array) -> Array:
    """cos(x)."""
    r, quarter = _split_turns(x)
    y = np.where(quarter % 2 == 0, _cos_series(r), _sin_series(r))
    return np.where((quarter == 1) | (quarter == 2), -y, y)
