"""One row's product and tiles of another beside it: each product whole, whatever the edges."""

import importlib
from typing import Any

import numpy as np
import pytest

beside = importlib.import_module("nnspec.accel.beside")
jit = importlib.import_module("nnspec.accel.jit")
packed = importlib.import_module("nnspec.accel.packed")
threads = importlib.import_module("nnspec.accel.threads")


@jit.lean_kernel  # type: ignore[untyped-decorator]
def _pack(packed_rows: Any, W: Any) -> None:
    packed.pack_transposed(W, packed_rows)


@jit.lean_kernel  # type: ignore[untyped-decorator]
def _both(
    h: Any, V: Any, z: Any, x: Any, W: Any, b: Any, y: Any, panel: int, panel_end: int, seen: Any
) -> None:
    """z = the product of h, as often as `seen` has numbers, y that of x; how many tiles were left.

    Of each gate of V and W some panels.
    """
    other, part = (x, W, y), (W.shape[0] // b.shape[0], panel, panel_end)
    beside.begin_other(other, b, part)
    left = beside.tiles(other, part)
    for k in range(seen.size):
        seen[k] = left
        odd = k % 2 == 1
        left = beside.multiply_beside(h, V, z[k : k + 1], 0, V.shape[0], odd, other, part, left)
    beside.finish(other, part, left)


def _panels(W: Any) -> Any:
    """Wᵀ, W (N, K), in panels."""
    w = packed.width(W.dtype)
    M = packed.aligned((-(-len(W) // w), W.shape[1], w), W.dtype)
    _pack(M, W)
    return M


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gates", [1, 3])
@pytest.mark.parametrize(
    ("rows", "depth", "K", "panels"),
    [
        (12, 128, 128, 4),
        (13, 130, 300, 5),
        (6, 16, 7, 3),
        (29, 300, 129, 2),
        (5, 40, 64, 4),
        (12, 8, 200, 2),  # too deep a row for the tiles: they are left
        (12, 3, 5, 1),
    ],
)
def test_both_products_are_whole(
    dtype: Any, gates: int, rows: int, depth: int, K: int, panels: int
) -> None:
    w = packed.width(dtype)
    rng = np.random.default_rng(rows * depth + K)
    columns, N = panels * w, gates * panels * w
    x, W, b = (
        rng.integers(-4, 5, shape) for shape in ((rows, depth), (N, depth), (gates, columns))
    )
    h, V = rng.integers(-4, 5, (1, K)), rng.integers(-4, 5, (N, K))
    args = [each.astype(dtype) for each in (h, x[:, np.newaxis], b)]
    for panel, panel_end in ((0, panels), (panels // 3, panels - panels // 4)):
        z, y = np.zeros((5, N), dtype), np.full((rows, 1, N), 7, dtype)
        seen = np.zeros(5, np.int64)
        of_V, of_W = _panels(V.astype(dtype)), _panels(W.astype(dtype))
        _both(args[0], of_V, z, args[1], of_W, args[2], y, panel, panel_end, seen)
        np.testing.assert_array_equal(z, np.repeat(h @ V.T, 5, axis=0))  # small integers: exact
        want = np.full((rows, gates, columns), 7)
        mine = slice(panel * w, panel_end * w)
        want[:, :, mine] = (b + (x @ W.T).reshape(rows, gates, columns))[:, :, mine]
        np.testing.assert_array_equal(y[:, 0], want.reshape(rows, N))
        in_pairs = gates * panels if panel_end - panel == panels else panel_end - panel
        assert (seen[0] > 0) == (rows >= beside.TILE and in_pairs > 1)
        fits = depth >= K // beside.AT_ONCE
        assert (seen[1] < seen[0]) == (fits and seen[0] > 0)


LAYERS = {"rnn.rnn": 1, "gru.gru": 3, "gru.gru_reset_after": 3, "lstm.lstm": 4}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("sizes", [(1, 20, 200), (12, 70, 200), (25, 130, 161), (50, 300, 300)])
@pytest.mark.parametrize("count", [1, 2])
def test_one_row_is_as_in_a_batch(layer: str, sizes: tuple[int, int, int], count: int) -> None:
    topic, name = layer.split(".")
    module = importlib.import_module(f"nnspec.accel.{topic}")
    T, I, H = sizes
    rng = np.random.default_rng(T)
    X, biases = rng.normal(size=(T, 2, I)), rng.normal(size=(LAYERS[layer], H))
    weights = list(rng.normal(size=(LAYERS[layer], H, H + I)) / H**0.5)
    if layer == "rnn.rnn":
        weights = [weights[0][:, :I], weights[0][:, I:]]
    names = {1: ["b"], 3: ["b_z", "b_r", "b"], 4: ["b_i", "b_f", "b_g", "b_o"]}[LAYERS[layer]]
    given = dict(zip(names, biases, strict=True))
    lengths = np.array([T, T - T // 3])
    threads.limit(count)
    try:
        both = getattr(module, f"{name}_sequence")(X, *weights, lengths=lengths, **given)
        for row in (0, 1):
            of_row = X[:, row : row + 1], *weights
            alone = getattr(module, f"{name}_sequence")(
                *of_row, lengths=lengths[row : row + 1], **given
            )
            np.testing.assert_allclose(alone[0][:, 0], both[0][:, row], rtol=1e-11, atol=1e-13)
            for got, want in zip(alone[1:], both[1:], strict=True):
                np.testing.assert_allclose(got[0], want[row], rtol=1e-11, atol=1e-13)
    finally:
        threads.limit(None)
