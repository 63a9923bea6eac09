"""Scalar transcription of spec/captioning.md: one example, one word, one location at a time."""

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


def dot(W: Array, k: int, values: Row) -> Number:
    """Sum over j of W[k, j] values[j]."""
    total: Number = 0
    for j, value in enumerate(values):
        total = total + W[k, j] * value
    return total


def layer(W: Array, values: Row, bias: Array | None) -> Row:
    """Every row of W times the values, and the bias where it is given."""
    b = row_of(bias, (), W.shape[0])
    return [dot(W, k, values) + b[k] for k in range(W.shape[0])]


def top(x: Row) -> float:
    """The largest, as a plain number: a shift that every exponential has in common."""
    return max(float(v) for v in x)


def distribution(x: Row) -> Row:
    """e^{x_i} over the sum of all of them."""
    shift = top(x)
    grown = [np.exp(v - shift) for v in x]
    total: Number = 0
    for value in grown:
        total = total + value
    return [value / total for value in grown]


def log_distribution(x: Row) -> Row:
    """x_i minus the logarithm of the sum of all e^{x_k}."""
    shift = top(x)
    total: Number = 0
    for value in x:
        total = total + np.exp(value - shift)
    return [value - shift - np.log(total) for value in x]


def count(T: int, n: int, lengths: Array | None) -> int:
    """The number of steps of example n."""
    return T if lengths is None else int(lengths[n])


def first_states(a: Array, n: int, W: Array, bias: Array | None) -> Row:
    """captioning.init, one of the two layers, for example n."""
    L, D = a.shape[1:]
    mean = []
    for j in range(D):
        total: Number = 0
        for i in range(L):
            total = total + a[n, i, j]
        mean.append(total / L)
    return [np.tanh(v) for v in layer(W, mean, bias)]


def captioning_init(
    a: Array,
    W_init_h: Array,
    W_init_c: Array,
    b_init_h: Array | None = None,
    b_init_c: Array | None = None,
) -> tuple[Nested, Nested]:
    """captioning.init."""
    examples = range(a.shape[0])
    return (
        [first_states(a, n, W_init_h, b_init_h) for n in examples],
        [first_states(a, n, W_init_c, b_init_c) for n in examples],
    )


def score(x: Row, h: Row, W_a: Array, W_h: Array, v: Array, b: Array | None) -> Number:
    """captioning.scores of one location."""
    from_state = layer(W_h, h, b)
    total: Number = 0
    for k in range(len(v)):
        total = total + v[k] * np.tanh(dot(W_a, k, x) + from_state[k])
    return total


def captioning_scores(
    a: Array, h_prev: Array, W_a: Array, W_h: Array, v: Array, b: Array | None = None
) -> Nested:
    """captioning.scores."""
    B, L, D = a.shape
    return [
        [
            score(row_of(a, (n, i), D), row_of(h_prev, (n,), h_prev.shape[1]), W_a, W_h, v, b)
            for i in range(L)
        ]
        for n in range(B)
    ]


def context(a: Array, n: int, alpha: Row, h: Row, w_beta: Array, b_beta: Number) -> Row:
    """captioning.gate and captioning.context of example n."""
    s: Number = 0 if b_beta is None else b_beta
    for k, value in enumerate(h):
        s = s + w_beta[k] * value
    beta = logistic(s)
    z = []
    for j in range(a.shape[2]):
        total: Number = 0
        for i, weight in enumerate(alpha):
            total = total + weight * a[n, i, j]
        z.append(total * beta)
    return z


def scalar(x: Array | None) -> Number:
    """The number in an array of none or of one axis less; None where there is none."""
    return None if x is None else np.asarray(x).reshape(-1).tolist()[0]


def captioning_soft(
    a: Array, e: Array, h_prev: Array, w_beta: Array, b_beta: Array | None = None
) -> tuple[Nested, Nested]:
    """captioning.weights, captioning.gate, captioning.context."""
    B, L, _ = a.shape
    H = h_prev.shape[1]
    alpha = [distribution(row_of(e, (n,), L)) for n in range(B)]
    z = [context(a, n, alpha[n], row_of(h_prev, (n,), H), w_beta, scalar(b_beta)) for n in range(B)]
    return z, alpha


def draw_one(alpha: Row, u: Number) -> int:
    """captioning.index: the first whose running sum passes u, or the last that can be drawn."""
    total: Number = 0
    possible = 0
    for i, weight in enumerate(alpha):
        total = total + weight
        if weight > 0:
            possible = i
        if u < total:
            return i
    return possible


def captioning_hard(a: Array, alpha: Array, u: Array) -> tuple[Nested, Nested]:
    """captioning.hard."""
    B, L, D = a.shape
    index = [draw_one(row_of(alpha, (n,), L), u[n]) for n in range(B)]
    return [row_of(a, (n, index[n]), D) for n in range(B)], index


def captioning_regulariser(
    alpha: Array, lengths: Array | None = None, tau: float = 1.0, lambda_alpha: float = 1.0
) -> Nested:
    """captioning.regulariser."""
    T, B, L = alpha.shape
    penalty = []
    for n in range(B):
        total: Number = 0
        for i in range(L):
            lack: Number = tau
            for t in range(count(T, n, lengths)):
                lack = lack - alpha[t, n, i]
            total = total + lack * lack
        penalty.append(lambda_alpha * total)
    return penalty


def vector_of(word: int, E: Array) -> Row:
    """captioning.embedding."""
    return [0 if word < 0 else E[word, m] for m in range(E.shape[1])]


def speak(
    word: int, h: Row, z: Row, E: Array, L_h: Array, L_z: Array, L_o: Array, b_y: Array | None
) -> Row:
    """The logits of captioning.word."""
    x = vector_of(word, E)
    n = [dot(L_z, m, z) + dot(L_h, m, h) + x[m] for m in range(len(x))]
    return layer(L_o, n, b_y)


def captioning_word(
    y: Array,
    h: Array,
    z: Array,
    E: Array,
    L_h: Array,
    L_z: Array,
    L_o: Array,
    b_y: Array | None = None,
) -> tuple[Nested, Nested]:
    """captioning.word."""
    logits = [
        speak(
            int(y[n]),
            row_of(h, (n,), h.shape[1]),
            row_of(z, (n,), z.shape[1]),
            E,
            L_h,
            L_z,
            L_o,
            b_y,
        )
        for n in range(h.shape[0])
    ]
    return logits, [distribution(row) for row in logits]


def cell(
    x: Row, h: Row, c: Row, weights: tuple[Any, ...], biases: tuple[Any, ...]
) -> tuple[Row, Row]:
    """captioning.cell of one example; weights and biases in the order i, f, g, o."""
    s = [layer(W, h + x, bias) for W, bias in zip(weights, biases, strict=True)]
    new_h, new_c = [], []
    for k in range(len(h)):
        memory = logistic(s[0][k]) * np.tanh(s[2][k]) + logistic(s[1][k]) * c[k]
        new_c.append(memory)
        new_h.append(np.tanh(memory) * logistic(s[3][k]))
    return new_h, new_c


def one_step(
    n: int, word: int, h: Row, c: Row, a: Array, w: dict[str, Any]
) -> tuple[Row, Row, Row, Row]:
    """captioning.step of example n: logits, alpha, h, c."""
    e = [
        score(row_of(a, (n, i), a.shape[2]), h, w["W_a"], w["W_h"], w["v"], w["b"])
        for i in range(a.shape[1])
    ]
    alpha = distribution(e)
    z = context(a, n, alpha, h, w["w_beta"], scalar(w["b_beta"]))
    weights = (w["W_i"], w["W_f"], w["W_g"], w["W_o"])
    biases = (w["b_i"], w["b_f"], w["b_g"], w["b_o"])
    h, c = cell(vector_of(word, w["E"]) + z, h, c, weights, biases)
    return speak(word, h, z, w["E"], w["L_h"], w["L_z"], w["L_o"], w["b_y"]), alpha, h, c


OPTIONAL = ("b", "b_beta", "b_i", "b_f", "b_g", "b_o", "b_y")


def captioning_step(
    y: Array, h_prev: Array, c_prev: Array, a: Array, **weights: Any
) -> tuple[Nested, Nested, Nested, Nested]:
    """captioning.step."""
    w: dict[str, Any] = dict.fromkeys(OPTIONAL) | weights
    B, H = h_prev.shape
    made = [
        one_step(n, int(y[n]), row_of(h_prev, (n,), H), row_of(c_prev, (n,), H), a, w)
        for n in range(B)
    ]
    logits, alpha, h, c = ([row[part] for row in made] for part in range(4))
    return logits, alpha, h, c


def captioning_forward(
    a: Array,
    words: Array,
    W_init_h: Array,
    W_init_c: Array,
    b_init_h: Array | None = None,
    b_init_c: Array | None = None,
    first: Array | None = None,
    lengths: Array | None = None,
    **weights: Any,
) -> tuple[Nested, Nested]:
    """captioning.forward and captioning.previous: one example after the other."""
    w: dict[str, Any] = dict.fromkeys(OPTIONAL) | weights
    T, B = words.shape
    V, L = w["E"].shape[0], a.shape[1]
    logits: Nested = [[[0] * V for _ in range(B)] for _ in range(T)]
    alpha: Nested = [[[0] * L for _ in range(B)] for _ in range(T)]
    for n in range(B):
        h = first_states(a, n, W_init_h, b_init_h)
        c = first_states(a, n, W_init_c, b_init_c)
        word = -1 if first is None else int(first[n])
        for t in range(count(T, n, lengths)):
            logits[t][n], alpha[t][n], h, c = one_step(n, word, h, c, a, w)
            word = int(words[t, n])
    return logits, alpha


def likelihood(logits: Array, words: Array, n: int, lengths: Array | None) -> Number:
    """The log-likelihood of example n's words."""
    T, _, V = logits.shape
    total: Number = 0
    for t in range(count(T, n, lengths)):
        total = total + log_distribution(row_of(logits, (t, n), V))[int(words[t, n])]
    return total


def captioning_loss(
    logits: Array,
    alpha: Array,
    words: Array,
    lengths: Array | None = None,
    tau: float = 1.0,
    lambda_alpha: float = 1.0,
) -> Nested:
    """captioning.loss."""
    penalty = captioning_regulariser(alpha, lengths, tau, lambda_alpha)
    return [penalty[n] - likelihood(logits, words, n, lengths) for n in range(words.shape[1])]


def captioning_hard_gradient(
    e: Array,
    index: Array,
    log_p: Array,
    baseline: Array,
    lengths: Array | None = None,
    lambda_r: float = 1.0,
    lambda_e: float = 0.0,
) -> Nested:
    """captioning.hard_gradient and captioning.entropy."""
    T, B, L = e.shape
    de: Nested = [[[0] * L for _ in range(B)] for _ in range(T)]
    for n in range(B):
        for t in range(count(T, n, lengths)):
            alpha = distribution(row_of(e, (t, n), L))
            log_alpha = log_distribution(row_of(e, (t, n), L))
            H: Number = 0
            for i in range(L):
                if alpha[i] > 0:
                    H = H - alpha[i] * log_alpha[i]
            for i in range(L):
                hit = 1 if i == int(index[t, n]) else 0
                gain = (log_p[n] - baseline[n]) * (hit - alpha[i])
                spread = -alpha[i] * (log_alpha[i] + H) if alpha[i] > 0 else 0
                de[t][n][i] = gain * lambda_r + spread * lambda_e
    return de


def captioning_baseline(baseline: Array, log_p: Array, decay: float = 0.9) -> Number:
    """captioning.baseline."""
    total: Number = 0
    for n in range(len(log_p)):
        total = total + log_p[n]
    return scalar(baseline) * decay + total / len(log_p) * (1 - decay)


def captioning_location_policy(
    h: Array, W: Array, u: Array, b: Array | None = None
) -> tuple[Nested, Nested]:
    """captioning.location_policy."""
    B, H = h.shape
    p = [distribution(layer(W, row_of(h, (n,), H), b)) for n in range(B)]
    return p, [draw_one(p[n], u[n]) for n in range(B)]


def captioning_reward(
    logits: Array, words: Array, lengths: Array | None = None, measure: str = "accuracy"
) -> Nested:
    """captioning.reward."""
    T, B, V = logits.shape
    reward: Row = []
    for n in range(B):
        if measure == "log_likelihood":
            reward.append(likelihood(logits, words, n, lengths))
            continue
        right: Number = 0
        for t in range(count(T, n, lengths)):
            best = 0
            for k in range(1, V):
                if logits[t, n, k] > logits[t, n, best]:
                    best = k
            # a 1 of the kind of the logits, so that the quotient below is exact on balls
            one = np.exp(logits[t, n, best] - logits[t, n, best])
            right = right + (one if best == int(words[t, n]) else one - one)
        reward.append(right / max(count(T, n, lengths), 1))
    return reward


def captioning_location_gradient(
    h: Array,
    W: Array,
    index: Array,
    reward: Array,
    b: Array | None = None,
    baseline: Array | None = None,
    lengths: Array | None = None,
) -> tuple[Nested, Nested, Nested]:
    """captioning.location_gradient."""
    T, B, H = h.shape
    L = W.shape[0]
    dh: Nested = [[[0] * H for _ in range(B)] for _ in range(T)]
    dW: Nested = [[0] * H for _ in range(L)]
    db: Row = [0] * L
    for n in range(B):
        gain = reward[n] - (0 if baseline is None else baseline[n])
        for t in range(count(T, n, lengths)):
            state = row_of(h, (t, n), H)
            p = distribution(layer(W, state, b))
            for i in range(L):
                error = gain * ((1 if i == int(index[t, n]) else 0) - p[i])
                db[i] = db[i] + error
                for k in range(H):
                    dW[i][k] = dW[i][k] + error * state[k]
                    dh[t][n][k] = dh[t][n][k] + error * W[i, k]
    return dh, dW, db
