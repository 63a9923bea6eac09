"""Scalar transcription of spec/translation.md: one sentence, one number at a time."""

from typing import Any

import numpy as np

from nnspec.reference.array import Array

Number = Any
Row = list[Any]
Nested = list[Any]


def product(M: Array, row: int, first: int, values: Row) -> Number:
    """Sum over i of M[row, first + i] values[i]."""
    total: Number = 0
    for i, value in enumerate(values):
        total = total + M[row, first + i] * value
    return total


def squashed(U: Array, x: Row, W: Array, h: Row, b: Array | None) -> Row:
    """tanh(U x + W h + b), unit by unit."""
    return [
        np.tanh(product(U, k, 0, x) + product(W, k, 0, h) + (0 if b is None else b[k]))
        for k in range(W.shape[0])
    ]


def alignment(h_t: Row, states: list[Row]) -> Row:
    """translation.attention: 1 / sum over k of e^(h_k·h_t - h_j·h_t), for each j."""
    scores = []
    for h_j in states:
        total: Number = 0
        for x, y in zip(h_j, h_t, strict=True):
            total = total + x * y
        scores.append(total)
    weights = []
    for s_j in scores:
        total = 0
        for s_k in scores:
            total = total + np.exp(s_k - s_j)
        weights.append(1 / total)
    return weights


def mixture(weights: Row, states: list[Row], H: int) -> Row:
    """translation.context."""
    mixed: Row = [0] * H
    for weight, h_j in zip(weights, states, strict=True):
        mixed = [m + weight * x for m, x in zip(mixed, h_j, strict=True)]
    return mixed


def mixed_state(c: Row, h: Row, W_c: Array, b_c: Array | None) -> Row:
    """translation.attentional_state."""
    return [
        np.tanh(product(W_c, k, len(c), h) + product(W_c, k, 0, c) + (0 if b_c is None else b_c[k]))
        for k in range(W_c.shape[0])
    ]


def size(lengths: Array | None, n: int, most: int) -> int:
    """How many words of sentence n count."""
    return most if lengths is None else int(lengths[n])


class Translator:
    """The weights, and what they make of one sentence."""

    def __init__(self, w: dict[str, Any]):
        self.w = w

    def read(self, words: list[int]) -> tuple[list[Row], Row]:
        """translation.encoder: every state, and the last."""
        h: Row = [0] * self.w["W_e"].shape[0]
        states = []
        for word in words:
            x = list(self.w["E_s"][word])
            h = squashed(self.w["U_e"], x, self.w["W_e"], h, self.w["b_e"])
            states.append(h)
        return states, h

    def step(self, x: Row, h: Row, states: list[Row]) -> tuple[Row, Row, Row]:
        """translation.decoder and translation.output: logits, state and alignment."""
        h = squashed(self.w["U_d"], x, self.w["W_d"], h, self.w["b_d"])
        a = alignment(h, states)
        s = mixed_state(mixture(a, states, len(h)), h, self.w["W_c"], self.w["b_c"])
        b_y = self.w["b_y"]
        logits = [
            product(self.w["W_y"], z, 0, s) + (0 if b_y is None else b_y[z])
            for z in range(self.w["W_y"].shape[0])
        ]
        return logits, h, a

    def after(self, word: int, h: Row, states: list[Row]) -> tuple[Row, Row, Row]:
        """A step from a word."""
        return self.step(list(self.w["E_t"][word]), h, states)


def log_share(logits: Row, z: int) -> Number:
    """log(e^(l_z) / sum over k of e^(l_k))."""
    total: Number = 0
    for value in logits:
        total = total + np.exp(value - logits[z])
    return -np.log(total)


def translation_attention(h_d: Array, h_e: Array, lengths: Array | None = None) -> Nested:
    """translation.attention."""
    (N, B, _), T = h_d.shape, h_e.shape[0]
    a: Nested = [[[0] * B for _ in range(T)] for _ in range(N)]
    for n in range(B):
        states = [list(h_e[j, n]) for j in range(size(lengths, n, T))]
        for t in range(N):
            for j, weight in enumerate(alignment(list(h_d[t, n]), states)):
                a[t][j][n] = weight
    return a


def translation_context(a: Array, h_e: Array, lengths: Array | None = None) -> Nested:
    """translation.context."""
    N, T, B = a.shape
    c: Nested = [[[] for _ in range(B)] for _ in range(N)]
    for n in range(B):
        length = size(lengths, n, T)
        states = [list(h_e[j, n]) for j in range(length)]
        for t in range(N):
            c[t][n] = mixture([a[t, j, n] for j in range(length)], states, h_e.shape[2])
    return c


def translation_attentional_state(
    c: Array, h: Array, W_c: Array, b_c: Array | None = None
) -> Nested:
    """translation.attentional_state."""
    return [mixed_state(list(c[n]), list(h[n]), W_c, b_c) for n in range(c.shape[0])]


def translation_step(
    x: Array,
    h_prev: Array,
    h_e: Array,
    U_d: Array,
    W_d: Array,
    W_c: Array,
    W_y: Array,
    b_d: Array | None = None,
    b_c: Array | None = None,
    b_y: Array | None = None,
    lengths: Array | None = None,
) -> tuple[Nested, Nested, Nested]:
    """translation.decoder, translation.output."""
    weights = {"U_d": U_d, "W_d": W_d, "W_c": W_c, "W_y": W_y, "b_d": b_d, "b_c": b_c, "b_y": b_y}
    model = Translator(weights)
    T, B = h_e.shape[:2]
    logits: Nested = []
    h: Nested = []
    a: Nested = [[0] * B for _ in range(T)]
    for n in range(B):
        states = [list(h_e[j, n]) for j in range(size(lengths, n, T))]
        scores, state, row = model.step(list(x[n]), list(h_prev[n]), states)
        logits.append(scores)
        h.append(state)
        for j, weight in enumerate(row):
            a[j][n] = weight
    return logits, h, a


def forced(
    source: Array,
    target: Array,
    lengths: Array | None,
    target_lengths: Array | None,
    start: int,
    weights: dict[str, Any],
) -> list[list[tuple[Row, Row]]]:
    """translation.teacher_forcing: logits and alignment of each word of each sentence."""
    model = Translator(weights)
    found = []
    for n in range(source.shape[1]):
        words = [int(source[j, n]) for j in range(size(lengths, n, source.shape[0]))]
        states, h = model.read(words)
        rows = []
        word = start
        for t in range(size(target_lengths, n, target.shape[0])):
            logits, h, a = model.after(word, h, states)
            rows.append((logits, a))
            word = int(target[t, n])
        found.append(rows)
    return found


def translation_forward(
    source: Array,
    target: Array,
    E_s: Array,
    E_t: Array,
    U_e: Array,
    W_e: Array,
    U_d: Array,
    W_d: Array,
    W_c: Array,
    W_y: Array,
    b_e: Array | None = None,
    b_d: Array | None = None,
    b_c: Array | None = None,
    b_y: Array | None = None,
    lengths: Array | None = None,
    target_lengths: Array | None = None,
    start: int = 0,
) -> tuple[Nested, Nested]:
    """translation.forward."""
    weights = {"E_s": E_s, "E_t": E_t, "U_e": U_e, "W_e": W_e, "U_d": U_d, "W_d": W_d}
    weights |= {"W_c": W_c, "W_y": W_y}
    biases = {"b_e": b_e, "b_d": b_d, "b_c": b_c, "b_y": b_y}
    (T, B), N, Z = source.shape, target.shape[0], W_y.shape[0]
    logits: Nested = [[[0] * Z for _ in range(B)] for _ in range(N)]
    a: Nested = [[[0] * B for _ in range(T)] for _ in range(N)]
    found = forced(source, target, lengths, target_lengths, start, {**weights, **biases})
    for n, rows in enumerate(found):
        for t, (scores, row) in enumerate(rows):
            logits[t][n] = scores
            for j, weight in enumerate(row):
                a[t][j][n] = weight
    return logits, a


def translation_loss(
    source: Array,
    target: Array,
    E_s: Array,
    E_t: Array,
    U_e: Array,
    W_e: Array,
    U_d: Array,
    W_d: Array,
    W_c: Array,
    W_y: Array,
    b_e: Array | None = None,
    b_d: Array | None = None,
    b_c: Array | None = None,
    b_y: Array | None = None,
    lengths: Array | None = None,
    target_lengths: Array | None = None,
    start: int = 0,
) -> Number:
    """translation.loss."""
    weights = {"E_s": E_s, "E_t": E_t, "U_e": U_e, "W_e": W_e, "U_d": U_d, "W_d": W_d}
    weights |= {"W_c": W_c, "W_y": W_y}
    biases = {"b_e": b_e, "b_d": b_d, "b_c": b_c, "b_y": b_y}
    total: Number = 0
    count = 0
    found = forced(source, target, lengths, target_lengths, start, {**weights, **biases})
    for n, rows in enumerate(found):
        for t, (logits, _) in enumerate(rows):
            total = total - log_share(logits, int(target[t, n]))
            count += 1
    return total / count if count else 0


def translation_greedy(
    source: Array,
    E_s: Array,
    E_t: Array,
    U_e: Array,
    W_e: Array,
    U_d: Array,
    W_d: Array,
    W_c: Array,
    W_y: Array,
    b_e: Array | None = None,
    b_d: Array | None = None,
    b_c: Array | None = None,
    b_y: Array | None = None,
    lengths: Array | None = None,
    start: int = 0,
    end: int = 1,
    steps: int = 1,
) -> tuple[Nested, Nested]:
    """translation.greedy."""
    weights = {"E_s": E_s, "E_t": E_t, "U_e": U_e, "W_e": W_e, "U_d": U_d, "W_d": W_d}
    weights |= {"W_c": W_c, "W_y": W_y}
    biases = {"b_e": b_e, "b_d": b_d, "b_c": b_c, "b_y": b_y}
    model = Translator({**weights, **biases})
    T, B = source.shape
    tokens: Nested = [[end] * B for _ in range(steps)]
    length: Nested = []
    for n in range(B):
        states, h = model.read([int(source[j, n]) for j in range(size(lengths, n, T))])
        word, said = start, 0
        while said < steps and (said == 0 or word != end):
            logits, h, _ = model.after(word, h, states)
            word = 0
            for z in range(1, len(logits)):
                if logits[z] > logits[word]:
                    word = z
            tokens[said][n] = word
            said += 1
        length.append(said)
    return tokens, length


def translation_beam(
    source: Array,
    E_s: Array,
    E_t: Array,
    U_e: Array,
    W_e: Array,
    U_d: Array,
    W_d: Array,
    W_c: Array,
    W_y: Array,
    b_e: Array | None = None,
    b_d: Array | None = None,
    b_c: Array | None = None,
    b_y: Array | None = None,
    lengths: Array | None = None,
    start: int = 0,
    end: int = 1,
    steps: int = 1,
    width: int = 1,
) -> tuple[Nested, Nested, Nested]:
    """translation.beam: every candidate counts those that stand before it."""
    weights = {"E_s": E_s, "E_t": E_t, "U_e": U_e, "W_e": W_e, "U_d": U_d, "W_d": W_d}
    weights |= {"W_c": W_c, "W_y": W_y}
    biases = {"b_e": b_e, "b_d": b_d, "b_c": b_c, "b_y": b_y}
    model = Translator({**weights, **biases})
    T, B = source.shape
    tokens: Nested = [[end] * B for _ in range(steps)]
    length: Nested = []
    score: Nested = []
    for n in range(B):
        states, first = model.read([int(source[j, n]) for j in range(size(lengths, n, T))])
        # (words, total, state, parent, logit of the last word)
        beam: list[tuple[list[int], Number, Row, int, Number]] = [([], 0, first, 0, 0)]
        for _ in range(steps):
            candidates = []
            for parent, (words, total, h, _, _) in enumerate(beam):
                if words and words[-1] == end:
                    candidates.append((words, total, h, parent, 0))
                    continue
                logits, h_new, _ = model.after(words[-1] if words else start, h, states)
                for z, logit in enumerate(logits):
                    more = total + log_share(logits, z)
                    candidates.append(([*words, z], more, h_new, parent, logit))
            places: dict[int, int] = {}
            for i, candidate in enumerate(candidates):
                places[sum(stands_before(other, candidate) for other in candidates)] = i
            beam = [candidates[places[p]] for p in range(min(width, len(candidates)))]
        words, total = beam[0][0], beam[0][1]
        for t, word in enumerate(words):
            tokens[t][n] = word
        length.append(len(words))
        score.append(total)
    return tokens, length, score


def stands_before(one: Any, other: Any) -> bool:
    """Whether candidate `one` is better: more probable; else of an earlier parent, a lower word."""
    words, total, _, parent, logit = one
    words_other, total_other, _, parent_other, logit_other = other
    if words == words_other:
        return False
    if parent == parent_other:  # the order of the totals is that of the logits
        return bool(
            logit > logit_other or (not logit < logit_other and words[-1] < words_other[-1])
        )
    return bool(total > total_other or (not total < total_other and parent < parent_other))
