"""Scalar transcription of spec/lstm.md.

A state is a list of rows: [S] of the plain network, [h] of the GRU, [h, c] of the LSTM. A cell
takes one example's row x and its state to the next state; everything in time is one loop.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from nnspec.reference.array import Array

Number = Any
Row = list[Any]
Nested = list[Any]
State = list[Row]
Cell = Callable[[Row, State], State]


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


def sum_into(W: Array, k: int, h: Row, x: Row, b: Row) -> Number:
    """lstm.bias: what goes into unit k, the state's columns before the input's."""
    return b[k] + dot(W, k, 0, h) + dot(W, k, len(h), x)


def lstm_cell(
    W_i: Array,
    W_f: Array,
    W_g: Array,
    W_o: Array,
    biases: tuple[Array | None, ...] = (None, None, None, None),
    peepholes: tuple[Array, Array, Array] | None = None,
) -> Cell:
    """lstm.step, and lstm.peephole where p_i, p_f and p_o are given."""
    H = W_i.shape[0]
    b_i, b_f, b_g, b_o = (row_of(b, (), H) for b in biases)

    def cell(x: Row, state: State) -> State:
        h, c = state
        new_h, new_c = [], []
        for k in range(H):
            into_i = sum_into(W_i, k, h, x, b_i)
            into_f = sum_into(W_f, k, h, x, b_f)
            into_o = sum_into(W_o, k, h, x, b_o)
            if peepholes is not None:
                into_i = into_i + peepholes[0][k] * c[k]
                into_f = into_f + peepholes[1][k] * c[k]
            g = np.tanh(sum_into(W_g, k, h, x, b_g))
            c_k = logistic(into_i) * g + logistic(into_f) * c[k]
            if peepholes is not None:
                into_o = into_o + peepholes[2][k] * c_k
            new_c.append(c_k)
            new_h.append(np.tanh(c_k) * logistic(into_o))
        return [new_h, new_c]

    return cell


def gru_cell(
    W_z: Array,
    W_r: Array,
    W: Array,
    biases: tuple[Array | None, ...] = (None, None, None),
) -> Cell:
    """gru.step."""
    H = W.shape[0]
    b_z, b_r, b = (row_of(v, (), H) for v in biases)

    def cell(x: Row, state: State) -> State:
        (h,) = state
        seen = [logistic(sum_into(W_r, j, h, x, b_r)) * h[j] for j in range(H)]
        new = []
        for k in range(H):
            z = logistic(sum_into(W_z, k, h, x, b_z))
            new.append(z * np.tanh(sum_into(W, k, seen, x, b)) + (1 - z) * h[k])
        return [new]

    return cell


def rnn_cell(U: Array, W: Array, bias: Array | None, activation: str) -> Cell:
    """rnn.state, or rnn.state_sigmoid."""
    H = W.shape[0]
    b = row_of(bias, (), H)
    activations: dict[str, Callable[[Number], Number]] = {"tanh": np.tanh, "sigmoid": logistic}
    f = activations[activation]

    def cell(x: Row, state: State) -> State:
        return [[f(dot(W, k, 0, state[0]) + dot(U, k, 0, x) + b[k]) for k in range(H)]]

    return cell


def first_state(n: int, H: int, *given: Array | None) -> State:
    """lstm.initial_state of example n."""
    return [row_of(M, (n,), H) for M in given]


def follow(
    cell: Cell, rows: dict[int, Row], times: Iterable[int], state: State
) -> tuple[dict[int, Row], State]:
    """The first row of the state after each of these times, and the state after the last."""
    seen: dict[int, Row] = {}
    for t in times:
        state = cell(rows[t], state)
        seen[t] = state[0]
    return seen, state


def valid(n: int, T: int, lengths: Array | None) -> list[int]:
    """lstm.lengths: the times of example n that count."""
    return list(range(T if lengths is None else int(lengths[n])))


def over_time(
    X: Array, H: int, cell: Cell, given: tuple[Array | None, ...], lengths: Array | None
) -> tuple[Nested, ...]:
    """lstm.sequence: one example after the other; the states (T, B, H), then each last one."""
    T, B, I = X.shape
    out: Nested = [[[0] * H for _ in range(B)] for _ in range(T)]
    last: list[Nested] = [[] for _ in given]
    for n in range(B):
        times = valid(n, T, lengths)
        rows = {t: row_of(X, (t, n), I) for t in times}
        seen, state = follow(cell, rows, times, first_state(n, H, *given))
        for t in times:
            out[t][n] = seen[t]
        for kind, row in zip(last, state, strict=True):
            kind.append(row)
    return (out, *last)


def both_ways(
    X: Array,
    H: int,
    cells: tuple[Cell, Cell],
    given: tuple[tuple[Array | None, ...], tuple[Array | None, ...]],
    lengths: Array | None,
) -> tuple[Nested, ...]:
    """The bidirectional clauses: times upwards with the first cell, downwards with the second."""
    T, B, I = X.shape
    out: Nested = [[[0] * (2 * H) for _ in range(B)] for _ in range(T)]
    last: list[list[Nested]] = [[[] for _ in states] for states in given]
    for n in range(B):
        times = valid(n, T, lengths)
        rows = {t: row_of(X, (t, n), I) for t in times}
        for way, order in enumerate((times, times[::-1])):
            seen, state = follow(cells[way], rows, order, first_state(n, H, *given[way]))
            for t in times:
                for k in range(H):
                    out[t][n][way * H + k] = seen[t][k]
            for kind, row in zip(last[way], state, strict=True):
                kind.append(row)
    return (out, *last[0], *last[1])


def one_on_the_other(
    X: Array,
    sizes: tuple[int, int],
    cells: tuple[Cell, Cell],
    given: tuple[tuple[Array | None, ...], tuple[Array | None, ...]],
    lengths: Array | None,
) -> tuple[Nested, ...]:
    """The stacked clauses: at each time the lower cell, and the upper one on its new state."""
    T, B, I = X.shape
    out: Nested = [[[0] * sizes[1] for _ in range(B)] for _ in range(T)]
    last: list[list[Nested]] = [[[] for _ in states] for states in given]
    for n in range(B):
        lower = first_state(n, sizes[0], *given[0])
        upper = first_state(n, sizes[1], *given[1])
        for t in valid(n, T, lengths):
            lower = cells[0](row_of(X, (t, n), I), lower)
            upper = cells[1](lower[0], upper)
            out[t][n] = upper[0]
        for kinds, state in zip(last, (lower, upper), strict=True):
            for kind, row in zip(kinds, state, strict=True):
                kind.append(row)
    return (out, *last[0], *last[1])


def lstm_step(
    x: Array,
    h_prev: Array,
    c_prev: Array,
    W_i: Array,
    W_f: Array,
    W_g: Array,
    W_o: Array,
    b_i: Array | None = None,
    b_f: Array | None = None,
    b_g: Array | None = None,
    b_o: Array | None = None,
) -> tuple[Nested, ...]:
    """lstm.step: a sequence of one."""
    cell = lstm_cell(W_i, W_f, W_g, W_o, (b_i, b_f, b_g, b_o))
    return over_time(x[None], W_i.shape[0], cell, (h_prev, c_prev), None)[1:]


def lstm_peephole_step(
    x: Array,
    h_prev: Array,
    c_prev: Array,
    W_i: Array,
    W_f: Array,
    W_g: Array,
    W_o: Array,
    p_i: Array,
    p_f: Array,
    p_o: Array,
    b_i: Array | None = None,
    b_f: Array | None = None,
    b_g: Array | None = None,
    b_o: Array | None = None,
) -> tuple[Nested, ...]:
    """lstm.peephole: a sequence of one."""
    cell = lstm_cell(W_i, W_f, W_g, W_o, (b_i, b_f, b_g, b_o), (p_i, p_f, p_o))
    return over_time(x[None], W_i.shape[0], cell, (h_prev, c_prev), None)[1:]


def lstm_sequence(
    X: Array,
    W_i: Array,
    W_f: Array,
    W_g: Array,
    W_o: Array,
    h_0: Array | None = None,
    c_0: Array | None = None,
    b_i: Array | None = None,
    b_f: Array | None = None,
    b_g: Array | None = None,
    b_o: Array | None = None,
    lengths: Array | None = None,
) -> tuple[Nested, ...]:
    """lstm.sequence, lstm.initial_state and lstm.lengths."""
    cell = lstm_cell(W_i, W_f, W_g, W_o, (b_i, b_f, b_g, b_o))
    return over_time(X, W_i.shape[0], cell, (h_0, c_0), lengths)


def lstm_peephole_sequence(
    X: Array,
    W_i: Array,
    W_f: Array,
    W_g: Array,
    W_o: Array,
    p_i: Array,
    p_f: Array,
    p_o: Array,
    h_0: Array | None = None,
    c_0: Array | None = None,
    b_i: Array | None = None,
    b_f: Array | None = None,
    b_g: Array | None = None,
    b_o: Array | None = None,
    lengths: Array | None = None,
) -> tuple[Nested, ...]:
    """lstm.peephole_sequence."""
    cell = lstm_cell(W_i, W_f, W_g, W_o, (b_i, b_f, b_g, b_o), (p_i, p_f, p_o))
    return over_time(X, W_i.shape[0], cell, (h_0, c_0), lengths)


def lstm_coupled_step(
    x: Array,
    h_prev: Array,
    W_i: Array,
    W_g: Array,
    b_i: Array | None = None,
    b_g: Array | None = None,
) -> Nested:
    """lstm.coupled, written as the LSTM's cell with f = 1 - i and h = c."""
    (B, I), H = x.shape, W_i.shape[0]
    into_i, into_g = row_of(b_i, (), H), row_of(b_g, (), H)
    new: Nested = []
    for n in range(B):
        h, row = row_of(h_prev, (n,), H), row_of(x, (n,), I)
        cells = []
        for k in range(H):
            i = logistic(sum_into(W_i, k, h, row, into_i))
            f = 1 - i
            cells.append(f * h[k] + i * np.tanh(sum_into(W_g, k, h, row, into_g)))
        new.append(cells)
    return new


def recurrent_macs(H: Array | int, I: Array | int) -> tuple[int, int, int]:
    """lstm.macs, by counting: a gate's sum for each unit over every column."""
    columns = range(int(H) + int(I))
    gate = sum(len(columns) for _ in range(int(H)))
    return gate, gate + gate + gate, gate + gate + gate + gate


def rnn_bidirectional(
    X: Array,
    U_fwd: Array,
    W_fwd: Array,
    U_bwd: Array,
    W_bwd: Array,
    S_0_fwd: Array | None = None,
    b_fwd: Array | None = None,
    S_0_bwd: Array | None = None,
    b_bwd: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> tuple[Nested, ...]:
    """lstm.rnn_bidirectional."""
    up = rnn_cell(U_fwd, W_fwd, b_fwd, activation)
    down = rnn_cell(U_bwd, W_bwd, b_bwd, activation)
    return both_ways(X, W_fwd.shape[0], (up, down), ((S_0_fwd,), (S_0_bwd,)), lengths)


def gru_bidirectional(
    X: Array,
    W_z_fwd: Array,
    W_r_fwd: Array,
    W_fwd: Array,
    W_z_bwd: Array,
    W_r_bwd: Array,
    W_bwd: Array,
    h_0_fwd: Array | None = None,
    b_z_fwd: Array | None = None,
    b_r_fwd: Array | None = None,
    b_fwd: Array | None = None,
    h_0_bwd: Array | None = None,
    b_z_bwd: Array | None = None,
    b_r_bwd: Array | None = None,
    b_bwd: Array | None = None,
    lengths: Array | None = None,
) -> tuple[Nested, ...]:
    """lstm.gru_bidirectional."""
    up = gru_cell(W_z_fwd, W_r_fwd, W_fwd, (b_z_fwd, b_r_fwd, b_fwd))
    down = gru_cell(W_z_bwd, W_r_bwd, W_bwd, (b_z_bwd, b_r_bwd, b_bwd))
    return both_ways(X, W_fwd.shape[0], (up, down), ((h_0_fwd,), (h_0_bwd,)), lengths)


def lstm_bidirectional(
    X: Array,
    W_i_fwd: Array,
    W_f_fwd: Array,
    W_g_fwd: Array,
    W_o_fwd: Array,
    W_i_bwd: Array,
    W_f_bwd: Array,
    W_g_bwd: Array,
    W_o_bwd: Array,
    h_0_fwd: Array | None = None,
    c_0_fwd: Array | None = None,
    b_i_fwd: Array | None = None,
    b_f_fwd: Array | None = None,
    b_g_fwd: Array | None = None,
    b_o_fwd: Array | None = None,
    h_0_bwd: Array | None = None,
    c_0_bwd: Array | None = None,
    b_i_bwd: Array | None = None,
    b_f_bwd: Array | None = None,
    b_g_bwd: Array | None = None,
    b_o_bwd: Array | None = None,
    lengths: Array | None = None,
) -> tuple[Nested, ...]:
    """lstm.bidirectional."""
    up = lstm_cell(W_i_fwd, W_f_fwd, W_g_fwd, W_o_fwd, (b_i_fwd, b_f_fwd, b_g_fwd, b_o_fwd))
    down = lstm_cell(W_i_bwd, W_f_bwd, W_g_bwd, W_o_bwd, (b_i_bwd, b_f_bwd, b_g_bwd, b_o_bwd))
    return both_ways(
        X, W_o_fwd.shape[0], (up, down), ((h_0_fwd, c_0_fwd), (h_0_bwd, c_0_bwd)), lengths
    )


def rnn_stacked(
    X: Array,
    U_1: Array,
    W_1: Array,
    U_2: Array,
    W_2: Array,
    S_0_1: Array | None = None,
    b_1: Array | None = None,
    S_0_2: Array | None = None,
    b_2: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> tuple[Nested, ...]:
    """lstm.rnn_stacked."""
    lower = rnn_cell(U_1, W_1, b_1, activation)
    upper = rnn_cell(U_2, W_2, b_2, activation)
    sizes = (W_1.shape[0], W_2.shape[0])
    return one_on_the_other(X, sizes, (lower, upper), ((S_0_1,), (S_0_2,)), lengths)


def gru_stacked(
    X: Array,
    W_z_1: Array,
    W_r_1: Array,
    W_1: Array,
    W_z_2: Array,
    W_r_2: Array,
    W_2: Array,
    h_0_1: Array | None = None,
    b_z_1: Array | None = None,
    b_r_1: Array | None = None,
    b_1: Array | None = None,
    h_0_2: Array | None = None,
    b_z_2: Array | None = None,
    b_r_2: Array | None = None,
    b_2: Array | None = None,
    lengths: Array | None = None,
) -> tuple[Nested, ...]:
    """lstm.gru_stacked."""
    lower = gru_cell(W_z_1, W_r_1, W_1, (b_z_1, b_r_1, b_1))
    upper = gru_cell(W_z_2, W_r_2, W_2, (b_z_2, b_r_2, b_2))
    sizes = (W_1.shape[0], W_2.shape[0])
    return one_on_the_other(X, sizes, (lower, upper), ((h_0_1,), (h_0_2,)), lengths)


def lstm_stacked(
    X: Array,
    W_i_1: Array,
    W_f_1: Array,
    W_g_1: Array,
    W_o_1: Array,
    W_i_2: Array,
    W_f_2: Array,
    W_g_2: Array,
    W_o_2: Array,
    h_0_1: Array | None = None,
    c_0_1: Array | None = None,
    b_i_1: Array | None = None,
    b_f_1: Array | None = None,
    b_g_1: Array | None = None,
    b_o_1: Array | None = None,
    h_0_2: Array | None = None,
    c_0_2: Array | None = None,
    b_i_2: Array | None = None,
    b_f_2: Array | None = None,
    b_g_2: Array | None = None,
    b_o_2: Array | None = None,
    lengths: Array | None = None,
) -> tuple[Nested, ...]:
    """lstm.stacked."""
    lower = lstm_cell(W_i_1, W_f_1, W_g_1, W_o_1, (b_i_1, b_f_1, b_g_1, b_o_1))
    upper = lstm_cell(W_i_2, W_f_2, W_g_2, W_o_2, (b_i_2, b_f_2, b_g_2, b_o_2))
    sizes = (W_o_1.shape[0], W_o_2.shape[0])
    return one_on_the_other(X, sizes, (lower, upper), ((h_0_1, c_0_1), (h_0_2, c_0_2)), lengths)
