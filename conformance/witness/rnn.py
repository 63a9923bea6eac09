"""Scalar transcription of spec/rnn.md: one example at a time, one unit at a time."""

from nnspec.conformance.witness.primitives import SCALAR, Nested, Number
from nnspec.reference.array import Array


def unit(sums: list[tuple[Nested, Array]], h: int, bias: Array | None, activation: str) -> Number:
    """f(sum over i of M[h, i] v[i], for each (v, M) of sums, plus bias[h])."""
    total: Number = 0 if bias is None else bias[h]
    for v, M in sums:
        for i, v_i in enumerate(v):
            total = total + M[h, i] * v_i
    return SCALAR[activation](total)


def layer(sums: list[tuple[Nested, Array]], bias: Array | None, activation: str) -> Nested:
    """Every unit of a layer."""
    return [unit(sums, h, bias, activation) for h in range(sums[0][1].shape[0])]


def start(S_0: Array | None, row: int, W: Array) -> Nested:
    """rnn.initial_state for one example."""
    return [0 if S_0 is None else S_0[row, h] for h in range(W.shape[0])]


def run(
    X: Array, U: Array, W: Array, S: Nested, b: Array | None, row: int, length: int, activation: str
) -> Nested:
    """The states S_0, S_1, … of one example: its own steps only, the padding is never looked at."""
    states = [S]
    while len(states) <= length:
        x = list(X[len(states) - 1, row])
        states.append(layer([(x, U), (states[-1], W)], b, activation))
    return states


def last_length(X: Array, lengths: Array | None, row: int) -> int:
    """How many steps of the example count."""
    return X.shape[0] if lengths is None else int(lengths[row])


def rnn_step(
    x: Array,
    S_prev: Array,
    U: Array,
    W: Array,
    b: Array | None = None,
    activation: str = "tanh",
) -> Nested:
    """rnn.state, rnn.state_sigmoid."""
    return [
        layer([(list(S_prev[row]), W), (list(x[row]), U)], b, activation)
        for row in range(x.shape[0])
    ]


def rnn_output(S: Array, V: Array, c: Array | None = None, activation: str = "tanh") -> Nested:
    """rnn.output."""
    return [layer([(list(S[row]), V)], c, activation) for row in range(S.shape[0])]


def rnn_deep_output(
    S: Array,
    V: Array,
    W_1: Array,
    W_2: Array,
    c: Array | None = None,
    b_1: Array | None = None,
    b_2: Array | None = None,
    activation: str = "tanh",
) -> Nested:
    """rnn.deep_output."""
    y: Nested = []
    for row in range(S.shape[0]):
        output = layer([(list(S[row]), V)], c, "tanh")
        hidden = layer([(output, W_1)], b_1, activation)
        y.append(layer([(hidden, W_2)], b_2, "identity"))
    return y


def rnn_sequence(
    X: Array,
    U: Array,
    W: Array,
    S_0: Array | None = None,
    b: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> tuple[Nested, Nested]:
    """rnn.sequence, rnn.initial_state, rnn.lengths."""
    T, B = X.shape[0], X.shape[1]
    S: Nested = [[[0] * W.shape[0] for _ in range(B)] for _ in range(T)]
    S_T: Nested = []
    for row in range(B):
        length = last_length(X, lengths, row)
        states = run(X, U, W, start(S_0, row, W), b, row, length, activation)
        for t in range(length):
            S[t][row] = states[t + 1]
        S_T.append(states[length])
    return S, S_T


def rnn_unrolled(
    X: Array,
    U: Array,
    W: Array,
    S_0: Array | None = None,
    b: Array | None = None,
    activation: str = "tanh",
) -> Nested:
    """rnn.unrolled, bracket within bracket.

    The brackets from t to u are those from the middle to u, put around those from t to the middle:
    the calls nest log T deep.
    """

    def brackets(row: int, t: int, u: int, inner: Nested) -> Nested:
        if t == u:
            return inner
        if u - t == 1:
            return layer([(list(X[t, row]), U), (inner, W)], b, activation)
        middle = (t + u) // 2
        return brackets(row, middle, u, brackets(row, t, middle, inner))

    return [brackets(row, 0, X.shape[0], start(S_0, row, W)) for row in range(X.shape[1])]


def rnn_one_to_one(
    x: Array,
    U: Array,
    V: Array,
    b: Array | None = None,
    c: Array | None = None,
    activation: str = "tanh",
) -> Nested:
    """rnn.one_to_one."""
    return [
        layer([(layer([(list(x[row]), U)], b, activation), V)], c, "tanh")
        for row in range(x.shape[0])
    ]


def rnn_one_to_many(
    x: Array,
    U: Array,
    W: Array,
    V: Array,
    S_0: Array | None = None,
    b: Array | None = None,
    c: Array | None = None,
    activation: str = "tanh",
    steps: int = 1,
) -> Nested:
    """rnn.one_to_many."""
    songs = []
    for row in range(x.shape[0]):
        state, note = start(S_0, row, W), list(x[row])
        song = []
        for _ in range(steps):
            state = layer([(state, W), (note, U)], b, activation)
            note = layer([(state, V)], c, "tanh")
            song.append(note)
        songs.append(song)
    return [[song[t] for song in songs] for t in range(steps)]


def rnn_many_to_one(
    X: Array,
    U: Array,
    W: Array,
    V: Array,
    S_0: Array | None = None,
    b: Array | None = None,
    c: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> Nested:
    """rnn.many_to_one."""
    y: Nested = []
    for row in range(X.shape[1]):
        length = last_length(X, lengths, row)
        states = run(X, U, W, start(S_0, row, W), b, row, length, activation)
        y.append(layer([(states[-1], V)], c, "tanh"))
    return y


def rnn_many_to_many(
    X: Array,
    U: Array,
    W: Array,
    V: Array,
    S_0: Array | None = None,
    b: Array | None = None,
    c: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> Nested:
    """rnn.many_to_many."""
    T, B = X.shape[0], X.shape[1]
    y: Nested = [[[0] * V.shape[0] for _ in range(B)] for _ in range(T)]
    for row in range(B):
        length = last_length(X, lengths, row)
        states = run(X, U, W, start(S_0, row, W), b, row, length, activation)
        for t in range(length):
            y[t][row] = layer([(states[t + 1], V)], c, "tanh")
    return y


def rnn_encoder_decoder(
    X: Array,
    Y: Array,
    U_e: Array,
    W_e: Array,
    U_d: Array,
    W_d: Array,
    V: Array,
    S_0: Array | None = None,
    b_e: Array | None = None,
    b_d: Array | None = None,
    c: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> Nested:
    """rnn.encoder_decoder."""
    N, B = Y.shape[0], Y.shape[1]
    y: Nested = [[[] for _ in range(B)] for _ in range(N)]
    for row in range(B):
        length = last_length(X, lengths, row)
        thought = run(X, U_e, W_e, start(S_0, row, W_e), b_e, row, length, activation)[-1]
        words = run(Y, U_d, W_d, thought, b_d, row, N, activation)
        for n in range(N):
            y[n][row] = layer([(words[n + 1], V)], c, "tanh")
    return y
