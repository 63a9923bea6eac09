"""float16 and bfloat16: their rounding, their vectors, and how backends are asked in them."""

import sys
import types
from typing import Any

import numpy as np
import pytest

from nnspec.conformance import worker
from nnspec.conformance.backends import Unsupported, reference
from nnspec.conformance.cases.draft import Draft, narrowed
from nnspec.conformance.formats import LIMITS, bfloat16_neighbours, rounded, spacing
from nnspec.conformance.mutants import all_mutants, candidates
from nnspec.conformance.number_types import RUNS, Rounding
from nnspec.conformance.profiles import PROFILES
from nnspec.conformance.protocol import OutputData, Reply
from nnspec.conformance.runner import request, run_object, verdict_of
from nnspec.conformance.suite import NARROW_DTYPES, ArrayData, Vector, encode, select, suite
from nnspec.reference.array import Array

ml_dtypes = pytest.importorskip("ml_dtypes")
BFLOAT16 = ml_dtypes.bfloat16

narrow = pytest.mark.parametrize("dtype", NARROW_DTYPES)


def every_bfloat16() -> Array:
    """All finite ones, in order of their bits."""
    with np.errstate(all="ignore"):
        values = np.arange(1 << 16, dtype=np.uint16).view(BFLOAT16).astype(np.float64)
    finite: Array = values[np.isfinite(values)]
    return finite


def vectors(dtype: str, *only: str) -> list[Vector]:
    return select(suite().vectors, only, dtype)


def test_every_bfloat16_rounds_to_itself() -> None:
    values = every_bfloat16()
    found = rounded(values, "bfloat16")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(values))


def test_rounding_is_that_of_ml_dtypes() -> None:
    coins = np.random.default_rng(1)
    values = every_bfloat16()
    ties = (values[:-1] + values[1:]) / 2
    anywhere = coins.standard_normal(20_000) * 2.0 ** coins.integers(-140, 127, 20_000)
    # ml_dtypes reads float64 by way of float32, which rounds twice; these are float32
    given = np.concatenate([ties, anywhere.astype(np.float32)])
    np.testing.assert_array_equal(
        rounded(given, "bfloat16"), given.astype(np.float32).astype(BFLOAT16).astype(np.float32)
    )


def test_a_float64_is_rounded_once() -> None:
    # just above the tie of 1 and 1 + 2^-7: float32 would have it at the tie, and then 1
    assert rounded(np.array(1 + 2.0**-8 + 2.0**-40), "bfloat16") == 1 + 2.0**-7
    assert rounded(np.array(1 + 2.0**-8), "bfloat16") == 1


def test_bfloat16_ends_as_float32_does_in_exponent() -> None:
    limits = LIMITS["bfloat16"]
    found = ml_dtypes.finfo(BFLOAT16)
    assert (limits.eps, limits.largest) == (float(found.eps), float(found.max))
    assert limits.smallest_normal == float(found.smallest_normal)
    assert limits.smallest_subnormal == float(found.smallest_subnormal)
    near = rounded(np.array([3.4e38, -3.4e38, 1e39, 4e-41, 5e-41, np.nan]), "bfloat16")
    assert near[:3].tolist() == [np.inf, -np.inf, np.inf]
    assert near[3:5].tolist() == [0.0, float(found.smallest_subnormal)]
    assert np.isnan(near[5])


def test_the_neighbours_of_a_number_lie_on_both_sides() -> None:
    values = every_bfloat16()
    positive = np.sort(values[values > 0])
    between = positive[:-1] + 0.3 * np.diff(positive)
    near, other = bfloat16_neighbours(between)
    np.testing.assert_array_equal(near, positive[:-1])
    np.testing.assert_array_equal(other, positive[1:])
    near, other = bfloat16_neighbours(-between)
    np.testing.assert_array_equal(near, -positive[:-1])
    np.testing.assert_array_equal(other, -positive[1:])
    np.testing.assert_array_equal(spacing(positive[:-1], "bfloat16"), np.diff(positive))
    assert spacing(np.array([0.0]), "bfloat16") == positive[0]


def test_random_rounding_takes_both_neighbours_and_keeps_what_is_exact() -> None:
    rounding = Rounding("bfloat16", np.random.PCG64(0))
    third = rounding.quotient(np.ones(RUNS), np.full(RUNS, 3.0))
    assert set(third.tolist()) == {0.33203125, 0.333984375}
    assert set(rounding.sum(np.ones(RUNS), np.full(RUNS, 0.5)).tolist()) == {1.5}


@narrow
def test_decimals_read_back_and_are_short(dtype: str) -> None:
    values = every_bfloat16()[::37]
    array = rounded(values[np.abs(values) < LIMITS[dtype].largest], dtype)
    data = encode(array, dtype)
    assert data.dtype == dtype
    np.testing.assert_array_equal(data.array(), array)
    most = {"float16": 5, "bfloat16": 4}[dtype]
    digits = (f"{x:.8e}".split("e")[0].replace(".", "").strip("-0") for x in data.data)
    assert max(map(len, digits)) <= most


@narrow
def test_inputs_are_numbers_of_the_dtype_and_every_profile_has_cases(dtype: str) -> None:
    chosen = vectors(dtype)
    assert len(chosen) > 150
    for vector in chosen:
        for array in vector.inputs.values():
            if array.dtype.kind == "f":
                np.testing.assert_array_equal(rounded(array, dtype), array)
    for name, profile in PROFILES.items():
        if profile.dtype == dtype:
            assert any(map(profile.holds, chosen)), name


@narrow
def test_the_reference_passes(dtype: str) -> None:
    with np.errstate(all="ignore"):
        done = run_object(reference, vectors(dtype))
    wrong = [f"{r.case}: {r.verdict}: {r.reason}" for r in done.results if r.verdict != "pass"]
    assert not wrong, "\n".join(wrong[:10])


def test_the_reference_stays_in_bfloat16() -> None:
    x, W = (np.array(v, dtype=BFLOAT16) for v in ([[1.0, 2.0]], [[0.1, 0.2], [3.0, 4.0]]))
    for value in (
        reference.affine(x, W),
        reference.layer_norm(x, W[0], W[1], eps=1e-5),
        reference.softmax(x),
        reference.sigmoid(x[0, 0]),
        *reference.affine_vjp(x, W, x).values(),
    ):
        assert np.asarray(value).dtype == BFLOAT16
    # 0.1 and 0.2 in bfloat16, their exact sum of products rounded once
    product = float(reference.affine(x, W)[0, 0])
    assert product == float(rounded(np.array(0.10009765625 + 2 * 0.2001953125), "bfloat16"))


def answering(dtype: str) -> Any:
    """A backend whose sigmoid is right, in this dtype."""
    made = types.SimpleNamespace(DTYPES=("float32", *NARROW_DTYPES))
    made.sigmoid = lambda x: (1 / (1 + np.exp(-x.astype(np.float64)))).astype(dtype)
    return made


def test_float32_is_no_bfloat16() -> None:
    chosen = vectors("bfloat16", "sigmoid-plain-bf16")
    (found,) = run_object(answering("float32"), chosen).results
    assert found.verdict == "fail"
    assert found.reason == "output 'y' has dtype float32, wanted bfloat16"
    (found,) = run_object(answering(BFLOAT16), chosen).results
    assert found.verdict == "pass"
    assert found.sigma_error is not None
    assert found.sigma_error < 1


def test_a_wrong_bfloat16_is_told_in_its_own_ulp() -> None:
    (vector,) = vectors("bfloat16", "sigmoid-plain-bf16")
    truth = rounded(vector.outputs["y"], "bfloat16")
    off = truth.reshape(-1).tolist()
    off[0] *= 1.5
    data = OutputData("bfloat16", list(truth.shape), off)
    found, _ = verdict_of(vector, Reply(id=vector.id, outputs={"y": data}), 0.0)
    assert found.verdict == "fail"
    assert found.worst == "y[0, 0, 0]"
    assert found.ulp_error is not None
    assert 64 <= found.ulp_error <= 256


@narrow
def test_a_module_that_names_no_dtypes_is_not_asked(dtype: str) -> None:
    module = types.SimpleNamespace(sigmoid=lambda x: x)
    results = run_object(module, vectors(dtype, "sigmoid")).results
    assert {r.verdict for r in results} == {"unsupported"}
    assert {r.reason for r in results} == {f"SimpleNamespace does not take {dtype}"}


def test_without_ml_dtypes_bfloat16_is_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    monkeypatch.delitem(sys.modules, "nnspec.conformance.bfloat16", raising=False)
    (vector,) = vectors("bfloat16", "sigmoid-plain-bf16")
    assert vector.inputs["x"].dtype == np.float32  # reading needs no such package
    reply = worker.answer(answering("float32"), request(vector))
    assert reply.unsupported == (
        "bfloat16 needs the package 'ml_dtypes', which is not installed; install it with:"
        " pip install 'nnspec[bfloat16]'"
    )
    with pytest.raises(Unsupported):
        worker.taken(ArrayData("bfloat16", [1], [1.0]))


def test_mutants_are_scored_in_float32_and_float64() -> None:
    m = all_mutants(["gru"])[0]
    assert {v.case.dtype for v in candidates(m)} == {"float32", "float64"}


def test_a_name_without_a_draft_is_refused() -> None:
    draft = Draft("sigmoid", "plain", "a note", {"x": np.ones(2)})
    (found,) = narrowed([draft], {"sigmoid": "plain"})
    assert found.dtypes == ("float32", "float64", "float16", "bfloat16")
    with pytest.raises(ValueError, match=r"^no draft sigmoid-plian$"):
        narrowed([draft], {"sigmoid": "plian"})


@narrow
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_framework_answers_in_the_dtype(name: str, dtype: str) -> None:
    pytest.importorskip(name)
    backend = __import__(f"nnspec.conformance.backends.{name}", fromlist=["softmax"])
    chosen = [v for v in vectors(dtype, "softmax") if "special" not in v.case.flags]
    results = run_object(backend, chosen).results
    assert {r.verdict for r in results} == {"pass"}, [r.reason for r in results]
