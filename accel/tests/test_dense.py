"""Products, softmax, layer norm and attention at the edges of their blocks, in any threads."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Array = npt.NDArray[Any]

jit = importlib.import_module("nnspec.accel.jit")
dense = importlib.import_module("nnspec.accel.dense")
packed = importlib.import_module("nnspec.accel.packed")
reductions = importlib.import_module("nnspec.accel.reductions")
threads = importlib.import_module("nnspec.accel.threads")

both = pytest.mark.parametrize("dtype", [np.float32, np.float64])
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-13}


def functions(topic: str, name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The function here, and the reference's."""
    return (
        getattr(importlib.import_module(f"nnspec.accel.{topic}"), name),
        getattr(importlib.import_module(f"nnspec.reference.{topic}"), name),
    )


def listed(outputs: Any) -> list[Array]:
    if isinstance(outputs, dict):
        return [outputs[name] for name in sorted(outputs)]
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def agree(got: Any, want: Any, dtype: Any) -> None:
    for one, two in zip(listed(got), listed(want), strict=True):
        assert one.dtype == dtype
        scale = max(1.0, float(np.max(np.abs(two), initial=0)))
        np.testing.assert_allclose(one, two, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * scale)


def against_reference(topic: str, name: str, dtype: Any, *inputs: Array, **more: Any) -> None:
    ours, theirs = functions(topic, name)
    wide = {k: v.astype("d") if isinstance(v, np.ndarray) else v for k, v in more.items()}
    agree(ours(*inputs, **more), theirs(*(x.astype("d") for x in inputs), **wide), dtype)


@pytest.fixture
def any_threads() -> Iterator[Callable[[Callable[[], Any]], None]]:
    """Compare what a call returns with one thread and with more."""

    def compare(call: Callable[[], Any]) -> None:
        threads.limit(1)
        want = listed(call())
        for count in (2, 3):
            threads.limit(count)
            for one, two in zip(listed(call()), want, strict=True):
                scale = float(np.max(np.abs(two), initial=0))
                np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-12 * scale)

    yield compare
    threads.limit(None)


@both
@pytest.mark.parametrize("I", [0, 1, 15, 33, 300])
@pytest.mark.parametrize("O", [0, 1, 16, 31, 32, 70])
def test_affine_at_every_edge(dtype: Any, I: int, O: int) -> None:
    rng = np.random.default_rng(I * 100 + O)
    for B in (0, 1, 2, 7, 8, 9, 65, 131):
        # small integers: exact in either dtype
        x, W, b, dy = (
            rng.integers(-4, 5, shape).astype(dtype) for shape in ((B, I), (O, I), (O,), (B, O))
        )
        ours, _ = functions("primitives", "affine")
        np.testing.assert_array_equal(ours(x, W, b=b), x @ W.T + b)
        ours, _ = functions("primitives", "affine_vjp")
        d = ours(x, W, dy, b=b)
        np.testing.assert_array_equal(d["dx"], dy @ W)
        np.testing.assert_array_equal(d["dW"], dy.T @ x)
        np.testing.assert_array_equal(d["db"], dy.sum(axis=0))


@both
@pytest.mark.parametrize("shape", [(130, 1100, 600), (700, 513, 40), (9, 512, 1500), (300, 0, 300)])
def test_affine_of_several_units_in_any_threads(
    dtype: Any, shape: tuple[int, int, int], any_threads: Callable[[Callable[[], Any]], None]
) -> None:
    B, I, O = shape
    rng = np.random.default_rng(O)
    x, W, b, dy = (
        rng.integers(-4, 5, shape).astype(dtype) for shape in ((B, I), (O, I), (O,), (B, O))
    )
    layer, _ = functions("primitives", "affine")
    vjp, _ = functions("primitives", "affine_vjp")
    any_threads(lambda: layer(x, W, b=b))
    any_threads(lambda: vjp(x, W, dy, b=b))
    np.testing.assert_array_equal(layer(x, W, b=b), x @ W.T + b)
    d = vjp(x, W, dy, b=b)
    np.testing.assert_array_equal(d["dx"], dy @ W)
    np.testing.assert_array_equal(d["dW"], dy.T @ x)


@pytest.mark.parametrize("B", [3, 40])
def test_a_layer_of_arrays_that_are_not_contiguous(B: int) -> None:
    rng = np.random.default_rng(B)
    x, W, dy = rng.normal(size=(B, 20)), rng.normal(size=(35, 20)), rng.normal(size=(B, 35))
    b = np.zeros(35)
    y = dense.layer(x, W, b, 1)
    x_F, W_F, y_F, dy_F = (np.asfortranarray(array) for array in (x, W, y, dy))
    np.testing.assert_array_equal(dense.layer(x_F, W_F, b, 1), y)
    got, want = dense.layer_vjp(x_F, W_F, y_F, dy_F, 1), dense.layer_vjp(x, W, y, dy, 1)
    for one, two in zip(got, want, strict=True):
        np.testing.assert_array_equal(one, two)


@both
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "identity"])
@pytest.mark.parametrize("B", [3, 40])
def test_layers_with_every_activation(dtype: Any, activation: str, B: int) -> None:
    rng = np.random.default_rng(B)
    x, W_1, W_2, b_1, b_2, dy = (
        rng.normal(size=shape).astype(dtype)
        for shape in ((B, 20), (37, 20), (35, 37), (37,), (35,), (B, 35))
    )
    more = {"b_1": b_1, "b_2": b_2, "activation": activation, "output_activation": activation}
    against_reference("primitives", "mlp", dtype, x, W_1 / 4, W_2 / 4, **more)
    against_reference("primitives", "mlp_vjp", dtype, x, W_1 / 4, W_2 / 4, dy, **more)


@both
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_along_any_axis(dtype: Any, name: str) -> None:
    rng = np.random.default_rng(1)
    shapes = [(3, 1), (300, 5), (2, 31), (3, 32), (2, 33), (2, 1000), (7, 40, 3), (2, 3, 300)]
    for shape in [*shapes, (0, 4), (4, 0, 3)]:
        x, dy = (3 * rng.normal(size=shape).astype(dtype) for _ in range(2))
        for axis in range(-len(shape), len(shape)):
            if shape[axis]:
                against_reference("primitives", name, dtype, x, axis=axis)
                against_reference("primitives", f"{name}_vjp", dtype, x, dy, axis=axis)
    ours, _ = functions("primitives", name)
    with pytest.raises(ValueError, match="axis 2"):
        ours(np.ones((2, 3), dtype), axis=2)


@both
def test_softmax_columns_keep_to_themselves(dtype: Any) -> None:
    softmax, _ = functions("primitives", "softmax")
    nan, inf = np.nan, np.inf
    x = np.array([[0, nan, -inf, inf, 0], [0, 1, -inf, 0, -inf]], dtype)
    want = [[0.5, nan, nan, nan, 1], [0.5, nan, nan, nan, 0]]
    np.testing.assert_array_equal(softmax(x, axis=0), want)
    np.testing.assert_array_equal(softmax(np.ascontiguousarray(x.T)), np.transpose(want))


@both
@pytest.mark.parametrize("D", [1, 2, 15, 64, 65, 300])
def test_layer_norm_at_every_edge(dtype: Any, D: int) -> None:
    rng = np.random.default_rng(D)
    for R in (0, 1, 70):
        x, dy = (rng.normal(size=(R, D)).astype(dtype) for _ in range(2))
        gamma, beta = (rng.normal(size=D).astype(dtype) for _ in range(2))
        against_reference("primitives", "layer_norm", dtype, x, gamma, beta)
        against_reference("primitives", "layer_norm_vjp", dtype, x, gamma, beta, dy)


@both
def test_attention_at_every_edge(dtype: Any) -> None:
    rng = np.random.default_rng(2)
    for T, B, D, E, A in ((1, 1, 1, 1, 1), (5, 3, 17, 33, 40), (40, 2, 5, 6, 70), (0, 2, 3, 3, 3)):
        query, keys, W_q, W_k, v, b, W, dscores, values, dcontext, dweights = (
            rng.normal(size=shape).astype(dtype) / 2
            for shape in (
                (B, D), (T, B, E), (A, D), (A, E), (A,), (A,), (D, E), (T, B), (T, B, E), (B, E),
                (T, B),
            )
        )  # fmt: skip
        additive, general = "attention_additive_scores", "attention_general_scores"
        inputs = query, keys, W_q, W_k, v
        against_reference("attention", additive, dtype, *inputs, b=b)
        against_reference("attention", f"{additive}_vjp", dtype, *inputs, dscores, b=b)
        against_reference("attention", general, dtype, query, keys, W)
        against_reference("attention", f"{general}_vjp", dtype, query, keys, W, dscores)
        against_reference("attention", "soft_attention", dtype, dscores, values)
        soft = dscores, values, dcontext, dweights
        against_reference("attention", "soft_attention_vjp", dtype, *soft)


def test_the_same_with_any_number_of_threads(any_threads: Any) -> None:
    rng = np.random.default_rng(3)

    def normal(*shape: int) -> Array:
        return rng.normal(size=shape)

    primitives = importlib.import_module("nnspec.accel.primitives")
    attention = importlib.import_module("nnspec.accel.attention")
    for B, I, O in ((200, 300, 333), (3, 3000, 1000), (5000, 40, 33)):
        x, W, b, dy = normal(B, I), normal(O, I), normal(O), normal(B, O)
        any_threads(lambda: primitives.affine(x, W, b=b))  # noqa: B023
        any_threads(lambda: primitives.affine_vjp(x, W, dy, b=b))  # noqa: B023
    x, dy, gamma, beta = normal(700, 500), normal(700, 500), normal(500), normal(500)
    any_threads(lambda: primitives.softmax(x))
    any_threads(lambda: primitives.log_softmax_vjp(x, dy, axis=0))
    any_threads(lambda: primitives.tanh(x))
    any_threads(lambda: primitives.sigmoid_vjp(x, dy))
    any_threads(lambda: primitives.layer_norm(x, gamma, beta))
    any_threads(lambda: primitives.layer_norm_vjp(x, gamma, beta, dy))
    targets = rng.integers(0, 500, 700)
    any_threads(lambda: primitives.cross_entropy(x, targets))
    any_threads(lambda: primitives.cross_entropy_vjp(x, targets, np.ones(())))
    query, keys, W_q, W_k, v = (
        normal(9, 80),
        normal(130, 9, 70),
        normal(90, 80),
        normal(90, 70),
        normal(90),
    )
    dscores, dcontext = normal(130, 9), normal(9, 70)
    any_threads(lambda: attention.attention_additive_scores(query, keys, W_q, W_k, v))
    any_threads(lambda: attention.attention_additive_scores_vjp(query, keys, W_q, W_k, v, dscores))
    any_threads(lambda: attention.soft_attention(dscores, keys))
    any_threads(lambda: attention.soft_attention_vjp(dscores, keys, dcontext, dscores))


@jit.kernel  # type: ignore[untyped-decorator]
def _reduce(x: Any, y: Any, out: Any) -> None:
    out[0] = reductions.total(x)
    out[1] = reductions.dot(x, y)
    out[2] = reductions.largest(x)
    out[3] = reductions.total_less(x, y[0])
    out[4] = reductions.squares_less(x, y[0])


@both
def test_reductions_of_every_length(dtype: Any) -> None:
    rng = np.random.default_rng(4)
    for n in (*range(1, 40), 63, 64, 65, 127, 200, 1000):
        x, y = (rng.integers(-9, 10, n).astype(dtype) for _ in range(2))
        out = np.empty(5, dtype)
        _reduce(x, y, out)
        less = x - y[0]
        assert out.tolist() == [x.sum(), x @ y, x.max(), less.sum(), less @ less]
    x[7] = np.nan
    _reduce(x, y, out)
    assert np.isnan(out[[0, 1, 3, 4]]).all()
    assert out[2] == np.nanmax(x)  # a NaN is not larger than another
    _reduce(np.full(70, -np.inf, dtype), np.ones(70, dtype), out)
    assert out[2] == -np.inf


@jit.kernel  # type: ignore[untyped-decorator]
def _transpose(M: Any, y: Any) -> None:
    packed.transpose(M, y)


@both
def test_transposition_at_every_edge(dtype: Any) -> None:
    for N in (0, 1, 7, 8, 9, 16, 17, 40):
        for K in (0, 1, 8, 15, 16, 33):
            M = np.arange(N * K, dtype=dtype).reshape(N, K)
            y = np.full((K, N), np.nan, dtype)
            _transpose(M, y)
            np.testing.assert_array_equal(y, M.T)
