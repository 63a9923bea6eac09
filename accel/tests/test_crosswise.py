"""The gradient's product, of rows as they lie: every tile, any strides, and nothing beyond."""

import importlib
from typing import Any

import numpy as np
import pytest

from nnspec.accel import jit, packed
from nnspec.accel.arrays import Array

crosswise = importlib.import_module("nnspec.accel.crosswise")


@jit.lean_kernel
def _add(
    x: Array,
    first: int,
    last: int,
    M: Array,
    M_start: int,
    M_row: int,
    panels: int,
    before: bool,
    y: Array,
) -> None:
    w = packed.PANEL // x.itemsize
    flat = M.reshape(M.size)
    crosswise.add_crosswise(x, first, last, flat, M_start, M_row, w, panels, before, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("panels", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("rows", [1, 3, 128, 129, 300])
@pytest.mark.parametrize("before", [True, False])
def test_every_tile(dtype: Any, panels: int, rows: int, before: bool) -> None:
    rng, w = np.random.default_rng(0), packed.width(dtype)
    K = panels * w + 3
    M = rng.normal(size=(2 * rows, K)).astype(dtype)
    for columns in (*range(1, 20), 33):
        x = rng.normal(size=(rows, columns + 7)).astype(dtype)
        y = rng.normal(size=(columns, panels * w + 5)).astype(dtype)
        want = y.astype(float)
        if not before:
            want[:, : panels * w] = 0
            y[:, : panels * w] = np.nan
        # every other row of M
        want[:, : panels * w] += x[:, 4 : 4 + columns].T.astype(float) @ M[1::2, : panels * w]
        _add(x, 4, 4 + columns, M, K, 2 * K, panels, before, y)
        tolerance = 1e-4 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(y, want, rtol=0, atol=tolerance)
