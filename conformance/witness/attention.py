"""Scalar transcription of spec/attention.md: one example, one location at a time."""

from typing import Any

import numpy as np

from nnspec.reference.array import Array

Number = Any
Nested = list[Any]


def attention_dot_scores(query: Array, keys: Array) -> Nested:
    """attention.dot_scores."""
    T, B, D = keys.shape
    scores: Nested = []
    for j in range(T):
        row = []
        for n in range(B):
            total: Number = 0
            for d in range(D):
                total = total + query[n, d] * keys[j, n, d]
            row.append(total)
        scores.append(row)
    return scores


def attention_general_scores(query: Array, keys: Array, W: Array) -> Nested:
    """attention.general_scores: the double sum over d and e."""
    T, B, E = keys.shape
    scores: Nested = []
    for j in range(T):
        row = []
        for n in range(B):
            total: Number = 0
            for d in range(query.shape[1]):
                for e in range(E):
                    total = total + query[n, d] * W[d, e] * keys[j, n, e]
            row.append(total)
        scores.append(row)
    return scores


def attention_additive_scores(
    query: Array, keys: Array, W_q: Array, W_k: Array, v: Array, b: Array | None = None
) -> Nested:
    """attention.additive_scores: one hidden unit after the other."""
    T, B, E = keys.shape
    scores: Nested = []
    for j in range(T):
        row = []
        for n in range(B):
            score: Number = 0
            for i in range(v.shape[0]):
                inner: Number = 0 if b is None else b[i]
                for e in range(E):
                    inner = inner + W_k[i, e] * keys[j, n, e]
                for d in range(query.shape[1]):
                    inner = inner + W_q[i, d] * query[n, d]
                score = score + v[i] * np.tanh(inner)
            row.append(score)
        scores.append(row)
    return scores


def locations(T: int, n: int, lengths: Array | None, mask: Array | None) -> list[int]:
    """attention.mask: the locations of example n that take part."""
    end = T if lengths is None else int(lengths[n])
    return [j for j in range(end) if mask is None or bool(mask[j, n])]


def softened(scores: Array, n: int, among: list[int]) -> dict[int, Number]:
    """attention.weights: one over the sum of e^(s_k - s_j), for each location j of `among`."""
    sizes = {k: float(scores[k, n]) for k in among}
    undefined = any(np.isnan(s) or s == np.inf for s in sizes.values())
    weights: dict[int, Number] = {}
    for j in among:
        if undefined or all(s == -np.inf for s in sizes.values()):
            weights[j] = float("nan")
        elif sizes[j] == -np.inf:
            weights[j] = 0.0
        else:
            total: Number = 0
            for k in among:
                if sizes[k] != -np.inf:
                    total = total + np.exp(scores[k, n] - scores[j, n])
            weights[j] = 1 / total
    return weights


def soft_attention(
    scores: Array, values: Array, lengths: Array | None = None, mask: Array | None = None
) -> tuple[Nested, Nested]:
    """attention.soft."""
    T, B, E = values.shape
    context: Nested = []
    weights: Nested = [[0] * B for _ in range(T)]
    for n in range(B):
        found = softened(scores, n, locations(T, n, lengths, mask))
        mixed: Nested = [0] * E
        for j, weight in found.items():
            weights[j][n] = weight
            mixed = [mixed[e] + weight * values[j, n, e] for e in range(E)]
        context.append(mixed)
    return context, weights


def hard_attention(
    scores: Array,
    values: Array,
    u: Array,
    lengths: Array | None = None,
    mask: Array | None = None,
) -> tuple[Nested, Nested]:
    """attention.hard: locations are passed until the weights so far exceed u."""
    T, B, E = values.shape
    context: Nested = []
    index: Nested = []
    for n in range(B):
        selected = -1
        reached: Number = 0
        for j, weight in softened(scores, n, locations(T, n, lengths, mask)).items():
            selected = j
            reached = reached + weight
            if u[n] < reached:
                break
        index.append(selected)
        context.append([0] * E if selected < 0 else [values[selected, n, e] for e in range(E)])
    return context, index


def hard_attention_score_gradient(
    scores: Array,
    index: Array,
    reward: Array,
    baseline: Array | None = None,
    lengths: Array | None = None,
    mask: Array | None = None,
) -> Nested:
    """attention.score_gradient."""
    T, B = scores.shape
    dscores: Nested = [[0] * B for _ in range(T)]
    for n in range(B):
        for j, weight in softened(scores, n, locations(T, n, lengths, mask)).items():
            hit = 1 if j == int(index[n]) else 0
            gain = reward[n] - (0 if baseline is None else baseline[n])
            dscores[j][n] = gain * (weight - hit) / B
    return dscores
