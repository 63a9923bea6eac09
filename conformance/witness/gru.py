"""Scalar transcription of spec/gru.md."""

from typing import Any

import numpy as np

from nnspec.reference.array import Array

Number = Any
Row = list[Any]
Nested = list[Any]


def logistic(v: Number) -> Number:
    """1 / (1 + e^-v), multiplied out by e^v below 0, where e^-v has no bound."""
    return 1 / (1 + np.exp(-v)) if v > 0 else np.exp(v) / (np.exp(v) + 1)


def row_of(M: Array | None, index: tuple[int, ...], size: int) -> Row:
    """The numbers M[index, 0 … size - 1]; zeros where M is not given."""
    return [0 if M is None else M[(*index, k)] for k in range(size)]


def dot(W: Array, k: int, first: int, values: Row) -> Number:
    """Sum over j of W[k, first + j] values[j]."""
    total: Number = 0
    for j, value in enumerate(values):
        total = total + W[k, first + j] * value
    return total


def gate(W: Array, k: int, h: Row, x: Row, b: Row) -> Number:
    """gru.update_gate and gru.reset_gate, unit k: the state's columns stand before the input's."""
    return logistic(dot(W, k, len(h), x) + dot(W, k, 0, h) + b[k])


def deck_unit(k: int, h: Row, x: Row, W_z: Array, r: Row, W: Array, b_z: Row, b: Row) -> Number:
    """gru.candidate and gru.state, unit k, from the reset gates of all units."""
    kept = [r[j] * h[j] for j in range(len(h))]
    candidate = np.tanh(dot(W, k, len(h), x) + dot(W, k, 0, kept) + b[k])
    z = gate(W_z, k, h, x, b_z)
    return z * candidate + (1 - z) * h[k]


def deck_row(x: Row, h: Row, W_z: Array, W_r: Array, W: Array, b_z: Row, b_r: Row, b: Row) -> Row:
    """gru.step for one example."""
    units = range(len(h))
    r = [gate(W_r, j, h, x, b_r) for j in units]
    return [deck_unit(k, h, x, W_z, r, W, b_z, b) for k in units]


def after_row(
    x: Row, h: Row, W_z: Array, W_r: Array, W: Array, b_z: Row, b_r: Row, b: Row, b_h: Row
) -> Row:
    """gru.reset_after for one example: r of unit k scales unit k's product alone."""
    new = []
    for k in range(len(h)):
        r = gate(W_r, k, h, x, b_r)
        z = gate(W_z, k, h, x, b_z)
        candidate = np.tanh(r * (dot(W, k, 0, h) + b_h[k]) + dot(W, k, len(h), x) + b[k])
        new.append(z * h[k] + (1 - z) * candidate)
    return new


def gru_step(
    x: Array,
    h_prev: Array,
    W_z: Array,
    W_r: Array,
    W: Array,
    b_z: Array | None = None,
    b_r: Array | None = None,
    b: Array | None = None,
) -> Nested:
    """gru.step."""
    H, I = W.shape[0], x.shape[1]
    bias = [row_of(v, (), H) for v in (b_z, b_r, b)]
    return [
        deck_row(row_of(x, (n,), I), row_of(h_prev, (n,), H), W_z, W_r, W, *bias)
        for n in range(x.shape[0])
    ]


def gru_reset_after_step(
    x: Array,
    h_prev: Array,
    W_z: Array,
    W_r: Array,
    W: Array,
    b_z: Array | None = None,
    b_r: Array | None = None,
    b: Array | None = None,
    b_h: Array | None = None,
) -> Nested:
    """gru.reset_after."""
    H, I = W.shape[0], x.shape[1]
    bias = [row_of(v, (), H) for v in (b_z, b_r, b, b_h)]
    return [
        after_row(row_of(x, (n,), I), row_of(h_prev, (n,), H), W_z, W_r, W, *bias)
        for n in range(x.shape[0])
    ]


def gru_sequence(
    X: Array,
    W_z: Array,
    W_r: Array,
    W: Array,
    h_0: Array | None = None,
    b_z: Array | None = None,
    b_r: Array | None = None,
    b: Array | None = None,
    lengths: Array | None = None,
) -> tuple[Nested, Nested]:
    """gru.sequence, gru.initial_state and gru.lengths: one example after the other."""
    T, B, I = X.shape
    H = W.shape[0]
    bias = [row_of(v, (), H) for v in (b_z, b_r, b)]
    h: Nested = [[[0] * H for _ in range(B)] for _ in range(T)]
    h_T: Nested = []
    for n in range(B):
        state = row_of(h_0, (n,), H)
        for t in range(T if lengths is None else int(lengths[n])):
            state = deck_row(row_of(X, (t, n), I), state, W_z, W_r, W, *bias)
            h[t][n] = state
        h_T.append(state)
    return h, h_T


def gru_reset_after_sequence(
    X: Array,
    W_z: Array,
    W_r: Array,
    W: Array,
    h_0: Array | None = None,
    b_z: Array | None = None,
    b_r: Array | None = None,
    b: Array | None = None,
    b_h: Array | None = None,
    lengths: Array | None = None,
) -> tuple[Nested, Nested]:
    """gru.reset_after_sequence: one example after the other."""
    T, B, I = X.shape
    H = W.shape[0]
    bias = [row_of(v, (), H) for v in (b_z, b_r, b, b_h)]
    h: Nested = [[[0] * H for _ in range(B)] for _ in range(T)]
    h_T: Nested = []
    for n in range(B):
        state = row_of(h_0, (n,), H)
        for t in range(T if lengths is None else int(lengths[n])):
            state = after_row(row_of(X, (t, n), I), state, W_z, W_r, W, *bias)
            h[t][n] = state
        h_T.append(state)
    return h, h_T
