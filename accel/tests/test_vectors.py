"""Vectors as values: every length's tail, each operator, and both dtypes, against NumPy."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nnspec.accel.jit import lean_kernel
from nnspec.accel.vectors import lanes, put, select, signed, take

Array = npt.NDArray[Any]
DTYPES = (np.float32, np.float64)


@lean_kernel
def _formula(x: Array, z: Array, y: Array) -> None:
    for k in range(0, x.size, lanes(x)):
        a, b = take(x, k), take(z, k)
        total = a * b + 1
        total += 2 * a - b / 4
        put(y, k, select(a > b, total, -abs(a)))


@lean_kernel
def _signs(x: Array, z: Array, y: Array) -> None:
    for k in range(0, x.size, lanes(x)):
        put(y, k, signed(take(x, k), take(z, k)))


@lean_kernel
def _comparisons(x: Array, z: Array, y: Array) -> None:
    for k in range(0, x.size, lanes(x)):
        a, b = take(x, k), take(z, k)
        count = select(a < b, 1, 0) * 1.0 + select(a <= b, 2, 0) + select(a >= b, 4, 0)
        put(y, k, count + select(a == b, 8, 0))


def drawn(length: int, dtype: Any) -> tuple[Array, Array]:
    random = np.random.default_rng(length)
    x, z = random.integers(-8, 8, (2, length)).astype(dtype)
    return x, z


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 100])
def test_a_row_of_any_length_is_computed_and_no_more_written(length: int, dtype: Any) -> None:
    x, z = drawn(length, dtype)
    room = np.full(length + 64, 77, dtype)
    _formula(x, z, room[:length])
    # whole numbers and quarters: every operation is exact
    wanted = np.where(x > z, x * z + 1 + 2 * x - z / 4, -np.abs(x))
    assert np.array_equal(room[:length], wanted)
    assert (room[length:] == 77).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_signs_are_those_of_the_other_number(dtype: Any) -> None:
    x = np.array([1, -1, 0.0, -0.0, np.inf, 3, np.nan, 5] * 3, dtype)
    z = np.array([-0.0, 0.0, -1, 1, -np.inf, np.inf, 1, -2] * 3, dtype)
    y = np.empty_like(x)
    _signs(x, z, y)
    assert np.array_equal(y, np.copysign(x, z), equal_nan=True)
    assert np.array_equal(np.signbit(y), np.signbit(np.copysign(x, z)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_comparisons_with_a_nan_are_false(dtype: Any) -> None:
    x = np.array([1, 2, 3, np.nan, 1, np.inf, -np.inf, 0.0] * 5, dtype)
    z = np.array([2, 2, 2, 1, np.nan, np.inf, 1, -0.0] * 5, dtype)
    y = np.empty_like(x)
    _comparisons(x, z, y)
    wanted = 1 * (x < z) + 2 * (x <= z) + 4 * (x >= z) + 8 * (x == z)
    assert np.array_equal(y, wanted)
