"""The claims of spec/lstm.md that no single vector can show."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnspec.conformance.cases.draft import draw
from nnspec.reference.array import Array
from nnspec.reference.gru import gru_step
from nnspec.reference.lstm import (
    lstm_bidirectional,
    lstm_coupled_step,
    lstm_sequence,
    lstm_stacked,
    lstm_step,
    recurrent_macs,
    reverse_valid,
)
from nnspec.reference.rnn import rnn_step


class Counted:
    """A number that counts the multiplications it takes part in."""

    products = 0

    def __init__(self, v: float):
        self.v = v

    def __add__(self, other: Any) -> "Counted":
        return Counted(self.v + float(other))

    __radd__ = __add__

    def __sub__(self, other: Any) -> "Counted":
        return Counted(self.v - float(other))

    def __rsub__(self, other: Any) -> "Counted":
        return Counted(float(other) - self.v)

    def __mul__(self, other: Any) -> "Counted":
        Counted.products += 1
        return Counted(self.v * float(other))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "Counted":
        return Counted(self.v / float(other))

    def __rtruediv__(self, other: Any) -> "Counted":
        return Counted(float(other) / self.v)

    def __neg__(self) -> "Counted":
        return Counted(-self.v)

    def __float__(self) -> float:
        return self.v

    def exp(self) -> "Counted":
        return Counted(float(np.exp(self.v)))

    def tanh(self) -> "Counted":
        return Counted(float(np.tanh(self.v)))


def counted(x: Array) -> Array:
    made = np.empty(x.shape, dtype=object)
    made.reshape(-1)[:] = [Counted(v) for v in x.reshape(-1).tolist()]
    return made


def products(function: Callable[..., Any], *shapes: tuple[int, ...]) -> int:
    """The multiplications that a function really does on arrays of these shapes."""
    arguments = [counted(draw(f"count {i}", *shape)) for i, shape in enumerate(shapes)]
    Counted.products = 0
    function(*arguments)
    return Counted.products


@pytest.mark.parametrize(("H", "I"), [(5, 3), (4, 4), (1, 2), (7, 0)])
def test_macs_are_what_the_reference_multiplies(H: int, I: int) -> None:
    x, h, W = (1, I), (1, H), (H, H + I)
    rnn, gru, lstm = recurrent_macs(H, I)
    # beside the matrix products: r h, (1 - z) h and z n; f c, i g and o tanh(c)
    gates = 3 * H
    assert products(rnn_step, x, h, (H, I), (H, H)) == rnn
    assert products(gru_step, x, h, W, W, W) == gru + gates
    assert products(lstm_step, x, h, h, W, W, W, W) == lstm + gates


def test_gru_needs_three_quarters_of_the_lstm() -> None:
    for H in range(1, 20):
        for I in range(20):
            _, gru, lstm = recurrent_macs(H, I)
            assert 4 * gru == 3 * lstm


def drawn(key: str, H: int, I: int) -> list[Array]:
    return [draw(f"{key} {gate}", H, H + I) for gate in "ifgo"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gru_with_open_reset_is_the_coupled_lstm(dtype: str) -> None:
    x, h = draw("coupled x", 4, 3).astype(dtype), draw("coupled h", 4, 5).astype(dtype)
    W_i, W_r, W_g, _ = (W.astype(dtype) for W in drawn("coupled", 5, 3))
    b_i, b_g = draw("coupled b_i", 5).astype(dtype), draw("coupled b_g", 5).astype(dtype)
    b_r = np.full(5, 1e4, dtype=dtype)
    got = lstm_coupled_step(x, h, W_i, W_g, b_i=b_i, b_g=b_g)
    assert np.array_equal(got, gru_step(x, h, W_i, W_r, W_g, b_z=b_i, b_r=b_r, b=b_g))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_memory_is_kept_bit_for_bit(dtype: str) -> None:
    X = draw("memory X", 3000, 2, 3).astype(dtype)
    W = [w.astype(dtype) for w in drawn("memory", 4, 3)]
    c_0 = draw("memory c_0", 2, 4).astype(dtype)
    shut, open_ = np.full(4, -1e4, dtype=dtype), np.full(4, 1e4, dtype=dtype)
    h, _, c_T = lstm_sequence(X, *W, c_0=c_0, b_i=shut, b_f=open_)
    assert np.array_equal(c_T, c_0)
    assert np.abs(np.diff(h, axis=0)).max() > 0.01


def test_a_sequence_cut_in_two_is_the_sequence() -> None:
    X, W = draw("cut X", 7, 2, 3), drawn("cut", 4, 3)
    h, h_T, c_T = lstm_sequence(X, *W)
    first, h_3, c_3 = lstm_sequence(X[:3], *W)
    rest, h_7, c_7 = lstm_sequence(X[3:], *W, h_0=h_3, c_0=c_3)
    assert np.array_equal(np.concatenate([first, rest]), h)
    assert np.array_equal(h_7, h_T)
    assert np.array_equal(c_7, c_T)


def test_a_mirrored_sequence_swaps_the_directions() -> None:
    X, lengths = draw("mirror X", 6, 3, 2), np.array([4, 0, 6])
    fwd, bwd = drawn("mirror fwd", 4, 2), drawn("mirror bwd", 4, 2)
    h, *last = lstm_bidirectional(X, *fwd, *bwd, lengths=lengths)
    turned = reverse_valid(X, lengths)
    g, *ends = lstm_bidirectional(turned, *bwd, *fwd, lengths=lengths)
    swapped = np.concatenate([g[..., 4:], g[..., :4]], axis=-1)
    assert np.array_equal(h, reverse_valid(swapped, lengths))
    for a, b in zip(last, ends[2:] + ends[:2], strict=True):
        assert np.array_equal(a, b)


def test_layers_may_run_time_by_time() -> None:
    X = draw("layers X", 5, 2, 3)
    lower, upper = drawn("layers 1", 4, 3), drawn("layers 2", 6, 4)
    h, *_ = lstm_stacked(X, *lower, *upper)
    a, b = (np.zeros((2, 4)), np.zeros((2, 4))), (np.zeros((2, 6)), np.zeros((2, 6)))
    for t in range(5):
        a = lstm_step(X[t], *a, *lower)
        b = lstm_step(a[0], *b, *upper)
        assert np.array_equal(h[t], b[0])
