"""Scaled dot-product attention where its tiles begin and end, what is hidden, and its memory.

That the equations are right is for the suite to say; its sizes are small. Here they are around a
tile's, against the reference in float64.
"""

import itertools
import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nnspec.accel import threads, tiled
from nnspec.accel import transformer as accel
from nnspec.reference import transformer as reference

Array = npt.NDArray[Any]

SIZES = ((63, 63), (64, 64), (65, 65), (127, 129), (129, 127), (300, 65), (65, 300), (1, 300))
# relative to the largest number of a result, in units of the dtype's eps
CLOSE = 100
MASKS = ("none", "full", "keys", "queries", "nothing")


def inputs(dtype: Any, *sizes: int) -> dict[str, Array]:
    B, N, L, S, K, J = sizes
    rng = np.random.default_rng(sum(sizes))
    shapes = {"q": (B, N, L, K), "k": (B, N, S, K), "v": (B, N, S, J), "dy": (B, N, L, J)}
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def mask(kind: str, B: int, N: int, L: int, S: int) -> Array | None:
    rng = np.random.default_rng(L + S)
    shapes = {"full": (B, N, L, S), "keys": (B, 1, 1, S), "queries": (L, 1), "nothing": (1, S)}
    if kind == "none":
        return None
    return rng.random(shapes[kind]) < (0.0 if kind == "nothing" else 0.6)


def results(module: Any, x: dict[str, Array], **see: Any) -> dict[str, Array]:
    qkv = x["q"], x["k"], x["v"]
    with np.errstate(all="ignore"):
        y = module.scaled_dot_product_attention(*qkv, **see)
        d: dict[str, Array] = module.scaled_dot_product_attention_vjp(*qkv, x["dy"], **see)
    return {"y": y} | d


def assert_close(got: dict[str, Array], want: dict[str, Array], dtype: Any) -> None:
    for name, value in want.items():
        assert got[name].dtype == dtype
        bound = CLOSE * np.finfo(dtype).eps * abs(value).max(initial=1)
        np.testing.assert_allclose(got[name], value, rtol=0, atol=bound, err_msg=name)
        np.testing.assert_array_equal(got[name][value == 0], 0, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("L", "S"), SIZES)
def test_around_a_tile(L: int, S: int, dtype: Any) -> None:
    B, N, K, J = 2, 2, 9, 33
    x = inputs(dtype, B, N, L, S, K, J)
    wide = {name: value.astype(np.float64) for name, value in x.items()}
    for kind, causal, lengths in itertools.product(MASKS, (False, True), (None, [S // 2, 0])):
        see = {
            "mask": mask(kind, B, N, L, S),
            "causal": causal,
            "lengths": None if lengths is None else np.array(lengths),
        }
        assert_close(results(accel, x, **see), results(reference, wide, **see), dtype)


@pytest.mark.parametrize("sizes", [(0, 2, 3, 3, 4, 4), (2, 0, 3, 3, 4, 4), (2, 2, 0, 3, 4, 4)])
@pytest.mark.parametrize("causal", [False, True])
def test_nothing_to_do(sizes: tuple[int, ...], causal: bool) -> None:
    x = inputs(np.float32, *sizes)
    assert_close(results(accel, x, causal=causal), results(reference, x, causal=causal), np.float32)


@pytest.mark.parametrize("sizes", [(2, 2, 3, 0, 4, 4), (1, 1, 3, 3, 4, 0)])
def test_no_keys_or_no_values(sizes: tuple[int, ...]) -> None:
    x = inputs(np.float32, *sizes)
    assert_close(results(accel, x), results(reference, x), np.float32)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["length", "mask", "causal"])
def test_what_is_hidden_has_no_effect(kind: str, bad: float) -> None:
    """Keys that no query sees, queries that see no key: not a bit changes, whatever is there."""
    B, N, L, S = 1, 2, 130, 100
    clean = inputs(np.float32, B, N, L, S, 8, 40)
    spoilt = {name: value.copy() for name, value in clean.items()}
    see: dict[str, Any] = {}
    if kind == "length":
        see["lengths"] = np.array([70])
        for name in "kv":
            spoilt[name][:, :, 70:] = bad
    elif kind == "mask":
        see["mask"] = np.ones((L, S), bool)
        see["mask"][:, 40:50] = see["mask"][60:70] = False
        for name in "kv":
            spoilt[name][:, :, 40:50, 3] = bad
        for name in ("q", "dy"):
            spoilt[name][:, :, 60:70, 5] = bad
    else:  # the first L - S queries see no key
        see["causal"] = True
        for name in ("q", "dy"):
            spoilt[name][:, :, : L - S, 5] = bad
    want, got = results(accel, clean, **see), results(accel, spoilt, **see)
    for name, value in want.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)
        assert np.isfinite(value).all()


def test_a_nan_that_is_seen_reaches_those_who_see_it() -> None:
    x = inputs(np.float64, 1, 1, 130, 130, 8, 40)
    x["v"][0, 0, 70, 2] = np.nan
    y = results(accel, x, causal=True)["y"]
    expected = np.zeros(y.shape, bool)
    expected[0, 0, 70:, 2] = True
    np.testing.assert_array_equal(np.isnan(y), expected)


def test_threads_share_heads_and_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "WORTHWHILE", 0.0)
    monkeypatch.setattr(threads, "COMPILED", 0.0)
    x = inputs(np.float64, 1, 1, 300, 300, 8, 8)
    see: dict[str, Any] = {"causal": True, "lengths": np.array([290])}
    want = results(reference, x, **see)
    try:
        for count in (1, 2, 3, 7):
            threads.limit(count)
            assert_close(results(accel, x, **see), want, np.float64)
    finally:
        threads.limit(None)


def test_weights_of_many_keys() -> None:
    x = inputs(np.float64, 1, 2, 65, 130, 8, 1)
    see: dict[str, Any] = {"mask": mask("full", 1, 2, 65, 130), "causal": True}
    dp = np.random.default_rng(0).normal(size=(1, 2, 65, 130))
    for module in (accel, reference):
        x[module.__name__] = module.attention_weights(x["q"], x["k"], **see)
        d = module.attention_weights_vjp(x["q"], x["k"], dp, **see)
        x |= {f"{module.__name__} {name}": value for name, value in d.items()}
    for name in ("", " dq", " dk"):
        got, want = x[accel.__name__ + name], x[reference.__name__ + name]
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-14)
        np.testing.assert_array_equal(got[want == 0], 0)


def test_memory_is_linear() -> None:
    """Of a length L, below a tenth of the L x L scores; the inputs and outputs do not count."""
    L = 8192
    x = inputs(np.float32, 1, 1, L, L, 8, 8)
    see = tiled.See(np.ones((1, 1, 1, 1), bool), False, np.array([L]), True)
    qkv = x["q"], x["k"], x["v"]
    for call in (
        lambda: tiled.attention(*qkv, see),
        lambda: tiled.attention_vjp(*qkv, x["dy"], see),
    ):
        tracemalloc.start()
        try:
            call()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < L * L * 4 / 10
