"""Panels: how exact their exponentials are, what is not finite, and rows in parts."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nnspec.accel.jit import config, kernel
from nnspec.accel.packed import width
from nnspec.accel.panels import all_finite, take_in

Array = npt.NDArray[Any]


@kernel
def _taken_in(x: Array, scale: Any, before: bool, m: Array, total: Array, factor: Array) -> None:
    take_in(x, 0, x.shape[1], x.shape[0], scale, before, m, total, factor, 0)


@kernel
def _finite(x: Array) -> bool:
    return all_finite(x, 0, x.shape[0])


def softmax_parts(x: Array, scale: float, parts: int = 1) -> tuple[Array, Array, Array]:
    """(e^(scale (x - m)), m, their sums) of the columns, taken in so many parts of the rows."""
    dtype = x.dtype
    m, total, factor = (np.empty(x.shape[1], dtype) for _ in range(3))
    done: list[Array] = []
    for part in np.array_split(x, parts):
        e = part.copy()
        with np.errstate(all="ignore"):
            _taken_in(e, dtype.type(scale), bool(done), m, total, factor)
        done = [before * factor for before in done] + [e]
    return np.concatenate(done), m, total


@pytest.mark.skipif(config.DISABLE_JIT, reason="without compiled kernels they are NumPy's")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponentials_are_close_down_to_the_smallest(dtype: Any) -> None:
    w = width(dtype)
    lowest = -104 if dtype == np.float32 else -746
    x = np.linspace(lowest, 0, 101 * w).reshape(w, 101).T.astype(dtype).copy()
    x[0] = 0  # the maximum of each column
    e, m, total = softmax_parts(x, 1.0)
    want = np.exp(x.astype(np.longdouble))
    # half an ulp of 1 / ln 2, times the exponent, is what the product may lose
    ulps = abs(e - want) / np.spacing(want.astype(dtype))
    assert (ulps < 1 + abs(x) / 4).all()
    np.testing.assert_array_equal(m, 0)
    np.testing.assert_allclose(total, want.sum(axis=0).astype(dtype), rtol=64 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_finite(dtype: Any) -> None:
    w = width(dtype)
    x = np.zeros((6, w), dtype)
    x[1, 0], x[1, 1], x[1, 2], x[:, 3] = -np.inf, np.nan, np.inf, -np.inf
    x[2, 0] = np.finfo(dtype).min
    e, m, total = softmax_parts(x, 0.5)
    np.testing.assert_array_equal(e[1:3, 0], 0)
    assert total[0] == 4
    assert np.isnan(total[1])
    assert np.isnan(total[2])
    assert (m[3], total[3]) == (-np.inf, 0)
    np.testing.assert_array_equal(e[:, 3], 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_in_parts(dtype: Any) -> None:
    x = np.random.default_rng(0).normal(size=(23, width(dtype)), scale=20).astype(dtype)
    x[:8, 0] = -np.inf  # a column that has nothing in its first part
    whole, parts = softmax_parts(x, 0.3), softmax_parts(x, 0.3, 3)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rows", [1, 4, 7])
def test_all_finite(rows: int, bad: float) -> None:
    x = np.full((rows, width(np.float32)), np.finfo(np.float32).max, np.float32)
    assert _finite(x)
    for row in range(rows):
        spoilt = x.copy()
        spoilt[row, row] = bad
        assert not _finite(spoilt)
