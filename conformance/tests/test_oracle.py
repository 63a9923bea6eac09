"""Truth is proven, a disagreement is refused, a wrong VJP is caught, a budget is realistic."""

import decimal
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from flint import arb
from hypothesis import given
from hypothesis import strategies as st

from nnspec.conformance import elementary
from nnspec.conformance.number_types import Ball, Dual, Noisy, Rounding, Undecided
from nnspec.conformance.oracle import OracleError, budget, precision, prove_vjp, proven, truth
from nnspec.reference import primitives
from nnspec.spec.loader import spec

SIGMOID = spec().operations["sigmoid"]
SIGMOID_VJP = spec().operations["sigmoid.vjp"]


def test_known_truths() -> None:
    x = np.array([0.0, -16.7131, 1e4, -1e4, np.nan, np.inf])
    y = truth(SIGMOID, {"x": x})["y"]
    np.testing.assert_array_equal(y[[0, 2, 3, 4, 5]], [0.5, 1.0, 0.0, np.nan, 1.0])
    with decimal.localcontext(prec=60):
        third = 1 / (1 + decimal.Decimal(-x[1]).exp())
    assert y[1] == float(third)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 10**6))
def test_the_nearest_float_of_an_exact_ball(value: float, divisor: int) -> None:
    with precision(4096):
        ball = arb(value) / divisor
        assert proven(ball) == float(Fraction(value) / divisor)


def test_a_wide_ball_proves_nothing() -> None:
    assert proven(arb(1, 1e-3)) is None
    assert proven(arb("nan")) is None


def test_a_witness_that_disagrees_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from nnspec.conformance.witness import primitives as witness

    monkeypatch.setattr(witness, "sigmoid", lambda x: [v * 0 + 0.5 for v in x])
    with pytest.raises(OracleError, match=r"y\[0\] is 0\.73.* in reference and 0\.5 in witness"):
        truth(SIGMOID, {"x": np.array([1.0])})


def test_a_witness_off_by_less_than_a_float64_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from nnspec.conformance.witness import primitives as witness

    honest = witness.sigmoid
    monkeypatch.setattr(witness, "sigmoid", lambda x: [v * (1 + arb(10) ** -40) for v in honest(x)])
    with pytest.raises(OracleError, match="in witness"):
        truth(SIGMOID, {"x": np.array([1.0])})


@pytest.mark.parametrize("factor", [1, 2, -1, "tiny"])
def test_a_wrong_vjp_is_refused(monkeypatch: pytest.MonkeyPatch, factor: Any) -> None:
    honest = primitives.sigmoid_vjp

    def scaled(x: Any, dy: Any) -> dict[str, Any]:
        scale = 1 + arb(10) ** -40 if factor == "tiny" else factor
        return {"dx": honest(x, dy)["dx"] * scale}

    monkeypatch.setattr(primitives, "sigmoid_vjp", scaled)
    arguments = {"x": np.array([0.3, -1.2]), "dy": np.array([1.0, 2.0])}
    if factor == 1:
        prove_vjp(SIGMOID_VJP, arguments, "test")
    else:
        with pytest.raises(OracleError, match="by duals through the reference"):
            prove_vjp(SIGMOID_VJP, arguments, "test")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_budget_is_a_few_units_in_the_last_place(dtype: str) -> None:
    x = np.array([0.3, -1.2, 5.0]).astype(dtype)
    y = truth(SIGMOID, {"x": x})
    sigma = budget(SIGMOID, {"x": x}, y, dtype, "test")["y"]
    in_units = sigma / y["y"] / (np.finfo(dtype).eps / 2)
    assert (in_units > 1).all()
    assert (in_units < 6).all()


def test_an_exact_result_has_no_more_budget_than_its_rounding() -> None:
    x = np.array([[2.0, 0.5]], dtype=np.float32)
    W = np.array([[4.0, 8.0]], dtype=np.float32)
    operation = spec().operations["affine"]
    y = truth(operation, {"x": x, "W": W})
    sigma = budget(operation, {"x": x, "W": W}, y, "float32", "test")["y"]
    assert sigma[0, 0] == float(f"{12 * 2.0**-24:.2e}")


def test_a_sum_that_cancels_has_the_budget_of_its_largest_term() -> None:
    x = np.array([[1e4, 1.0, -1e4, 1.0]], dtype=np.float32)
    W = np.array([[1.0, 0.3, 1.0, 0.7]], dtype=np.float32)
    operation = spec().operations["affine"]
    y = truth(operation, {"x": x, "W": W})
    sigma = budget(operation, {"x": x, "W": W}, y, "float32", "test")["y"]
    assert 1e-4 < sigma[0, 0] < 2e-3


def test_overlapping_balls_are_not_ordered() -> None:
    a, b = Ball(arb(1, 0.1)), Ball(arb(1.05, 0.1))
    for compare in (a.__lt__, a.__gt__, a.__le__, a.__ge__):
        with pytest.raises(Undecided):
            compare(b)
    assert Ball(1) < Ball(2)
    assert Ball(2) >= Ball(2)
    assert not Ball(float("nan")) < Ball(1)


@pytest.mark.parametrize("name", ["exp", "log", "log1p", "tanh", "sqrt", "sin", "cos"])
def test_the_functions_of_every_number_type_agree(name: str) -> None:
    v = 0.7
    expected = getattr(math, name)(v)
    slope = (getattr(math, name)(v + 1e-6) - getattr(math, name)(v - 1e-6)) / 2e-6
    dual = getattr(Dual(arb(v), arb(1)), name)()
    assert float(getattr(Ball(v), name)()) == pytest.approx(expected, rel=1e-15)
    assert float(dual.v) == pytest.approx(expected, rel=1e-15)
    assert float(dual.d) == pytest.approx(slope, rel=1e-8)
    noisy = getattr(Noisy(np.full(64, v), Rounding("float32", np.random.PCG64(0))), name)()
    np.testing.assert_allclose(noisy.v, expected, rtol=3e-7)
    assert len(set(noisy.v.tolist())) > 1


@given(st.floats(-700, 700))
def test_the_portable_exponential(x: float) -> None:
    assert elementary.exp(np.array([x]))[0] == pytest.approx(math.exp(x), rel=5e-16)


@given(st.floats(-20, 20))
def test_the_portable_tanh(x: float) -> None:
    assert elementary.tanh(np.array([x]))[0] == pytest.approx(math.tanh(x), rel=2e-15)


@given(st.floats(1e-300, 1e300))
def test_the_portable_logarithm(x: float) -> None:
    assert elementary.log(np.array([x]))[0] == pytest.approx(math.log(x), rel=1e-15, abs=1e-16)


@given(
    st.sampled_from(["float32", "float64"]),
    st.floats(-1e6, 1e6).filter(lambda v: abs(v) > 1e-6),
    st.floats(-1e6, 1e6).filter(lambda v: abs(v) > 1e-6),
)
def test_random_rounding_gives_the_two_neighbours(dtype: str, a: float, b: float) -> None:
    a, b = float(np.dtype(dtype).type(a)), float(np.dtype(dtype).type(b))
    rounding = Rounding(dtype, np.random.PCG64(1))
    x, y = Noisy(np.full(64, a), rounding), Noisy(np.full(64, b), rounding)
    exact = {
        "sum": (x + y, Fraction(a) + Fraction(b)),
        "product": (x * y, Fraction(a) * Fraction(b)),
        "quotient": (x / y, Fraction(a) / Fraction(b)),
    }
    for noisy, value in exact.values():
        found = sorted(set(noisy.v.tolist()))
        if Fraction(float(np.dtype(dtype).type(float(value)))) == value:
            assert found == [float(value)]
        else:
            assert len(found) == 2
            assert Fraction(found[0]) < value < Fraction(found[1])
            assert np.nextafter(np.dtype(dtype).type(found[0]), np.inf) == found[1]
