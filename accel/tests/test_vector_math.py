"""exp, tanh, sigmoid, log and log1p: within 2 ulp everywhere, right at the ends."""

import importlib
import os
import subprocess
import sys
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pytest
from flint import arb, ctx

Array = npt.NDArray[Any]
vector_math = importlib.import_module("nnspec.accel.vector_math")
vectors = importlib.import_module("nnspec.accel.vectors")

FUNCTIONS = ("exp", "tanh", "sigmoid", "log", "log1p")
MOST_ULP = 2

# some processors have instructions of their own for a whole vector
forms = pytest.mark.parametrize("form", ["number", "vector"])


def compiled(name: str, form: str = "number") -> Any:
    function = getattr(vector_math, name)
    lanes, put, take = vectors.lanes, vectors.put, vectors.take

    @numba.njit(error_model="numpy")  # type: ignore[untyped-decorator]
    def every_number(x: Any) -> Any:
        y = np.empty_like(x)
        for k in range(x.size):
            y[k] = function(x[k])
        return y

    @numba.njit(error_model="numpy")  # type: ignore[untyped-decorator]
    def every_vector(x: Any) -> Any:
        y = np.empty_like(x)
        for k in range(0, x.size, lanes(x)):
            put(y, k, function(take(x, k)))
        return y

    return every_number if form == "number" else every_vector


def true_64(name: str, x: Array) -> Array:
    """In float64, which is exact enough for float32."""
    with np.errstate(all="ignore"):
        if name == "sigmoid":
            e = np.exp(-abs(x))
            return np.asarray(np.where(x >= 0, 1, e) / (1 + e))
        return np.asarray(getattr(np, name)(x))


def true_arb(name: str, x: float) -> arb:
    v = arb(x)
    if name == "sigmoid":
        return 1 / (1 + (-v).exp())
    return getattr(v, name)()


@forms
@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_within_2_ulp(name: str, form: str) -> None:
    # every 509th number of all, NaNs and infinities among them
    x = np.arange(0, 2**32, 509, dtype=np.uint64).astype(np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        got, want = compiled(name, form)(x), true_64(name, x.astype(np.float64))
        nearest = want.astype(np.float32)
    finite = np.isfinite(nearest)
    np.testing.assert_array_equal(got[~finite], nearest[~finite])
    ulp = np.spacing(abs(nearest[finite])).astype(np.float64)
    error = abs(got[finite].astype(np.float64) - want[finite]) / ulp
    worst = int(error.argmax())
    assert error[worst] <= MOST_ULP, f"{name}({x[finite][worst]}) is {error[worst]:.3f} ulp off"


@forms
@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_within_2_ulp(name: str, form: str) -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=400) * scale for scale in (1e-300, 1e-8, 0.3, 1, 20, 500)])
    if name == "log":
        x = abs(x)
    elif name == "log1p":
        x = np.where(x <= -1, -x, x)
    got = compiled(name, form)(x)
    ctx.prec = 200
    for each, found in zip(x.tolist(), got.tolist(), strict=True):
        truth = true_arb(name, each)
        nearest = float(truth)
        if not np.isfinite(nearest):
            assert found == nearest
            continue
        error = float(abs(arb(found) - truth) / arb(float(np.spacing(abs(nearest)))))
        assert error <= MOST_ULP, f"{name}({each!r}) is {error:.3f} ulp off"


ENDS = {
    "exp": ([-np.inf, np.inf, np.nan, 0.0, -0.0], [0, np.inf, np.nan, 1, 1]),
    "tanh": ([-np.inf, np.inf, np.nan, 0.0, -0.0], [-1, 1, np.nan, 0.0, -0.0]),
    "sigmoid": ([-np.inf, np.inf, np.nan, 0.0, -0.0], [0, 1, np.nan, 0.5, 0.5]),
    "log": ([0.0, -0.0, -1, np.inf, np.nan, 1], [-np.inf, -np.inf, np.nan, np.inf, np.nan, 0]),
    "log1p": ([-1, -2, np.inf, np.nan, 0.0, -0.0], [-np.inf, np.nan, np.inf, np.nan, 0.0, -0.0]),
}


@forms
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_ends(name: str, dtype: Any, form: str) -> None:
    given, want = (np.array(values, dtype) for values in ENDS[name])
    got = compiled(name, form)(given)
    np.testing.assert_array_equal(got, want)
    finite = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(got)[finite], np.signbit(want)[finite])
    assert got.dtype == dtype


@forms
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_below(dtype: Any, form: str) -> None:
    lowest = -104 if dtype == np.float32 else -746  # all results down to 0, the subnormal too
    x = np.concatenate([np.linspace(lowest, 0, 100001), np.linspace(-2, 0, 100001)]).astype(dtype)
    got, want = compiled("exp_below", form)(x), np.exp(x.astype(np.longdouble))
    error = abs(got - want) / np.spacing(want.astype(dtype))
    # where long double is no longer than double, the truth itself is half an ulp off
    assert error.max() <= MOST_ULP
    patterns = {
        np.float32: (0x7FC00001, 0xFFC12345),
        np.float64: (0x7FF8 << 48 | 1, 0xFFF8 << 48 | 5),
    }
    unsigned = np.uint32 if dtype == np.float32 else np.uint64
    nans = np.array(patterns[dtype], unsigned).view(dtype)
    assert np.isnan(compiled("exp_below", form)(nans)).all()  # whatever else such a NaN carries
    ends = np.array([0.0, -0.0, -np.inf, -1e30], dtype)
    np.testing.assert_array_equal(compiled("exp_below")(ends), [1, 1, 0, 0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log1p_fraction(dtype: Any) -> None:
    small = np.finfo(dtype).smallest_subnormal * np.array([0, 1, 5, 1e6], dtype)
    x = np.concatenate([small, np.linspace(0, 1, 300001), np.geomspace(1e-30, 1, 100001)])
    x = x.astype(dtype)
    got, want = compiled("log1p_fraction")(x), np.log1p(x.astype(np.longdouble))
    assert (abs(got - want) / np.spacing(want.astype(dtype))).max() <= MOST_ULP
    assert np.isnan(compiled("log1p_fraction")(np.full(1, np.nan, dtype)))[0]


INTERPRETED = """
import numpy as np
from nnspec.accel import vector_math
for dtype in (np.float32, np.float64):
    for x in np.array([-90, -20.5, -1, -1e-3, 0, 1e-3, 0.5, 3, 60, 1e-310, np.nan], dtype):
        for name in ("exp", "tanh", "log1p", "log"):
            with np.errstate(all="ignore"):
                got, want = getattr(vector_math, name)(x), getattr(np, name)(x)
            assert np.allclose(got, want, rtol=1e-6, atol=0, equal_nan=True), (name, x, got, want)
"""


def test_without_compilation() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
