"""One row's product and tiles of another beside it: each product whole, whatever the edges."""

import importlib
from functools import partial
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
        (12, 8, 200, 2),  # each panel is deeper than a tile
        (12, 130, 3000, 2),
        (6, 2, 300, 3),  # deeper than all tiles: they are left
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
    args = [each.astype(dtype) for each in (h, x, b)]
    for panel, panel_end in ((0, panels), (panels // 3, panels - panels // 4)):
        z, y = np.zeros((5, N), dtype), np.full((rows, N), 7, dtype)
        seen = np.zeros(5, np.int64)
        of_V, of_W = _panels(V.astype(dtype)), _panels(W.astype(dtype))
        _both(args[0], of_V, z, args[1], of_W, args[2], y, panel, panel_end, seen)
        np.testing.assert_array_equal(z, np.repeat(h @ V.T, 5, axis=0))  # small integers: exact
        want = np.full((rows, gates, columns), 7)
        mine = slice(panel * w, panel_end * w)
        want[:, :, mine] = (b + (x @ W.T).reshape(rows, gates, columns))[:, :, mine]
        np.testing.assert_array_equal(y, want.reshape(rows, N))
        in_pairs = gates * panels if panel_end - panel == panels else panel_end - panel
        assert (seen[0] > 0) == (rows >= beside.TILE and in_pairs > 1)
        last_depth = (depth - 1) % packed.CHUNK + 1
        fits = depth >= K // beside.AT_ONCE or seen[0] > K // (beside.AT_ONCE * last_depth)
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
    run, gradients = (getattr(module, f"{name}_sequence{end}") for end in ("", "_vjp"))
    close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)
    threads.limit(count)
    try:
        both = run(X, *weights, lengths=lengths, **given)
        d_both = gradients(X, *weights, *both, lengths=lengths, **given)
        d_sum = dict.fromkeys(d_both, 0)
        for row in (slice(0, 1), slice(1, 2)):
            alone = run(X[:, row], *weights, lengths=lengths[row], **given)
            close(alone[0], both[0][:, row])
            for got, want in zip(alone[1:], both[1:], strict=True):
                close(got, want[row])
            of_row = [both[0][:, row], *(state[row] for state in both[1:])]
            d = gradients(X[:, row], *weights, *of_row, lengths=lengths[row], **given)
            close(d["dX"], d_both["dX"][:, row])
            d_sum = {key: d_sum[key] + d[key] for key in d if d[key].shape == d_both[key].shape}
        assert len(d_sum) == LAYERS[layer] * 2 + (layer == "rnn.rnn")  # the weights and biases
        for key, total in d_sum.items():
            close(total, d_both[key], err_msg=key)
    finally:
        threads.limit(None)
