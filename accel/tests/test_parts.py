"""Products of bfloat16 parts: exact where they can be, as accurate as multiply-adds elsewhere.

Where the processor has no unit for them, the same products are made of multiply-adds.
"""

import importlib
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

dense = importlib.import_module("nnspec.accel.dense")
jit = importlib.import_module("nnspec.accel.jit")
packed_module = importlib.import_module("nnspec.accel.packed")
parts = importlib.import_module("nnspec.accel.parts")

unit = pytest.mark.skipif(not parts.ON, reason="the processor has no unit for bfloat16 (AMX)")


@jit.kernel  # type: ignore[untyped-decorator]
def _both(x: Any, M: Any, packed: Any, y: Any, plain: Any) -> None:
    K = M.shape[0]
    packed_module.pack(M, packed[:, :K])
    parts.split_panels(packed, K)
    panels = packed.shape[0]
    packed_module.multiply(x, packed, y, 0, panels)
    packed_module.multiply(x, packed[:, :K], plain, 0, panels)


def products(x: Any, M: Any) -> tuple[Any, Any]:
    """x M by parts and by multiply-adds."""
    (B, K), N = x.shape, M.shape[1]
    w = packed_module.width(np.float32)
    panels = -(-N // w)
    deep = K + -(-K // parts.BLOCK) * parts.BLOCK_ROWS + 1 if parts.ON else K
    packed = packed_module.aligned((panels, deep, w), np.float32)
    y, plain = (packed_module.aligned((B, panels * w), np.float32) for _ in range(2))
    _both(x, M, packed, y, plain)
    return y[:, :N], plain[:, :N]


@pytest.mark.parametrize("K", [1, 2, 31, 32, 33, 100, 511, 1100])
@pytest.mark.parametrize("N", [225, 256, 300])
def test_integers_are_exact_at_every_edge(K: int, N: int) -> None:
    rng = np.random.default_rng(K * 1000 + N)
    # of up to 12 bits: an h and an m; their sums are below 2^24
    x, M = rng.integers(-2000, 2001, (65, K)), rng.integers(-3, 4, (K, N))
    M[rng.random(M.shape) < 0.5] = 0
    want = x @ M
    for B in (24, 31, 32, 33, 47, 49, 50, 64, 65):
        y, _ = products(x[:B].astype(np.float32), M.astype(np.float32))
        np.testing.assert_array_equal(y, want[:B])


def test_numbers_of_24_bits_are_whole() -> None:
    # x has every part, and M is a permutation: the products are x itself
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, 300)).astype(np.float32)
    order = rng.permutation(300)
    M = np.zeros((300, 300), np.float32)
    M[np.arange(300), order] = 1
    y, _ = products(x, M)
    np.testing.assert_array_equal(y[:, order], x)


@unit
@pytest.mark.parametrize("K", [64, 512, 2048])
def test_not_less_accurate_than_multiply_adds(K: int) -> None:
    rng = np.random.default_rng(K)
    x = rng.standard_normal((64, K)).astype(np.float32)
    M = rng.standard_normal((K, 256)).astype(np.float32)
    want, scale = x.astype(float) @ M, np.abs(x).astype(float) @ np.abs(M)
    by_parts, plain = (np.sqrt((((y - want) / scale) ** 2).mean()) for y in products(x, M))
    assert by_parts != plain, "the parts are not used"
    assert by_parts <= plain


@unit
@pytest.mark.parametrize("where", ["x", "M"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e-40, 2e-16, 1e16, 3e38])
def test_a_number_that_does_not_fit_leaves_the_product_to_multiply_adds(
    where: str, value: float
) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((32, 70)).astype(np.float32)
    M = rng.standard_normal((70, 300)).astype(np.float32)
    (x if where == "x" else M)[3, 69] = value
    y, plain = products(x, M)
    np.testing.assert_array_equal(y, plain)


@unit
def test_the_least_and_the_largest_that_fit_lose_nothing() -> None:
    x, M = np.zeros((32, 64), np.float32), np.zeros((64, 256), np.float32)
    whole = np.float32(1 + 2.0**-23)  # all 24 bits
    x[:, 0], x[:, 1] = whole * np.float32(2.0**-50), whole * np.float32(2.0**49)
    M[0, 0::2], M[1, 1::2] = whole * np.float32(2.0**-50), whole * np.float32(2.0**49)
    y, plain = products(x, M)
    np.testing.assert_allclose(y, plain, rtol=2**-23)
    assert (y != 0).all()


def test_a_layer_of_numbers_beyond_the_range_is_right() -> None:
    rng = np.random.default_rng(2)
    x = (rng.standard_normal((40, 600)) * 1e-20).astype(np.float32)
    W = (rng.standard_normal((300, 600)) * 1e-19).astype(np.float32)
    want, scale = x.astype(float) @ W.T, np.abs(x).astype(float) @ np.abs(W.T)
    y = dense.product(x, W)
    # the results are subnormal in part: half a unit of the last place, and the sum's own rounding
    assert (np.abs(y - want) <= 2.0**-149 + 8 * 2.0**-24 * scale).all()


@pytest.mark.parametrize("setting", ["0", "1"])
def test_the_setting_turns_it_off(setting: str) -> None:
    code = "from nnspec.accel import parts; print(parts.ON)"
    environment = os.environ | {"NNSPEC_AMX": setting}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    has = importlib.import_module("nnspec.accel.host").has_tiles()
    assert run.stdout.strip() == str(setting != "0" and has)
