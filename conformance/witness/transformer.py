"""Scalar transcription of spec/transformer.md: positions are lists of numbers."""

from typing import Any

import numpy as np

from nnspec.reference.array import Array

Number = Any
Row = list[Any]
Nested = list[Any]


def number(value: float, M: Array) -> Number:
    """An exact number of the kind that M holds."""
    return M.reshape(-1)[0].constant(value) if M.dtype == object else np.float64(value)


def angle(p: int, c: int, D: int, M: Array) -> Number:
    """p / 10000^(2i / D), where c is 2i or 2i + 1."""
    i = c // 2
    return p / np.exp(2 * i * np.log(number(10000, M)) / D)


def position(p: int, c: int, D: int, M: Array) -> Number:
    """transformer.positional_encoding, one element."""
    a = angle(p, c, D, M)
    return np.cos(a) if c % 2 else np.sin(a)


def positional_encoding(x: Array, offset: int = 0) -> Nested:
    """transformer.positions."""
    B, L, D = x.shape
    return [
        [[x[b, l, c] + position(offset + l, c, D, x) for c in range(D)] for l in range(L)]
        for b in range(B)
    ]


def positional_rotation(x: Array, shift: int = 0) -> Nested:
    """transformer.rotation: each pair as the matrix [[cos, sin], [-sin, cos]] of its angle."""
    B, L, D = x.shape
    y: Nested = [[[0] * D for _ in range(L)] for _ in range(B)]
    for b in range(B):
        for l in range(L):
            for i in range(D // 2):
                a = angle(shift, 2 * i, D, x)
                s, c = x[b, l, 2 * i], x[b, l, 2 * i + 1]
                y[b][l][2 * i] = np.cos(a) * s + np.sin(a) * c
                y[b][l][2 * i + 1] = np.cos(a) * c - np.sin(a) * s
    return y


def sees(
    b: int,
    n: int,
    i: int,
    j: int,
    sizes: tuple[int, int, int, int],
    mask: Array | None,
    lengths: Array | None,
    causal: bool,
) -> bool:
    """transformer.mask, transformer.lengths and transformer.causal for query i and key j."""
    if causal and sizes[3] - 1 - j < sizes[2] - 1 - i:
        return False
    if lengths is not None and j >= int(lengths[b]):
        return False
    if mask is None:
        return True
    place = (b, n, i, j)[4 - mask.ndim :]
    return bool(mask[tuple(0 if mask.shape[d] == 1 else place[d] for d in range(mask.ndim))])


def inner(u: Row, v: Row) -> Number:
    """Sum of u_c v_c."""
    total: Number = 0
    for c in range(len(u)):
        total = total + u[c] * v[c]
    return total


def attend(q: Row, keys: list[Row], seen: list[bool], root: Number) -> Row:
    """transformer.scores and transformer.weights: one query's weights, 0 where it does not see."""
    s = {j: inner(q, keys[j]) / root for j in range(len(keys)) if seen[j]}
    if not s:
        return [0] * len(keys)
    # relative to a score that no other exceeds by much, so that nothing overflows
    top = s[max(s, key=lambda j: float("inf") if float(s[j]) != float(s[j]) else float(s[j]))]
    e = {j: np.exp(s[j] - top) for j in s}
    total: Number = 0
    for j in e:
        total = total + e[j]
    return [e[j] / total if j in e else 0 for j in range(len(keys))]


def mix(p: Row, values: list[Row], seen: list[bool], J: int) -> Row:
    """transformer.attention: the sum over the seen keys of p_j v_j."""
    y = []
    for c in range(J):
        total: Number = 0
        for j in range(len(values)):
            if seen[j]:
                total = total + p[j] * values[j][c]
        y.append(total)
    return y


def rows(x: Array, *place: int) -> list[Row]:
    """The rows of x[place]."""
    part = x[place]
    return [[part[l, c] for c in range(part.shape[1])] for l in range(part.shape[0])]


def attention_weights(
    q: Array,
    k: Array,
    mask: Array | None = None,
    lengths: Array | None = None,
    causal: bool = False,
) -> Nested:
    """transformer.weights."""
    B, N, L, K = q.shape
    S = k.shape[2]
    root = np.sqrt(number(K, q)) if q.size else 1
    return [
        [
            [
                attend(
                    rows(q, b, n)[i],
                    rows(k, b, n),
                    [sees(b, n, i, j, (B, N, L, S), mask, lengths, causal) for j in range(S)],
                    root,
                )
                for i in range(L)
            ]
            for n in range(N)
        ]
        for b in range(B)
    ]


def scaled_dot_product_attention(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None = None,
    lengths: Array | None = None,
    causal: bool = False,
) -> Nested:
    """transformer.attention."""
    B, N, L, K = q.shape
    S, J = v.shape[2:]
    root = np.sqrt(number(K, q)) if q.size else 1
    y: Nested = []
    for b in range(B):
        y.append([])
        for n in range(N):
            y[b].append([])
            for i in range(L):
                seen = [sees(b, n, i, j, (B, N, L, S), mask, lengths, causal) for j in range(S)]
                p = attend(rows(q, b, n)[i], rows(k, b, n), seen, root)
                y[b][n].append(mix(p, rows(v, b, n), seen, J))
    return y


def linear(W: Array, u: Row, b: Array | None, first: int, last: int) -> Row:
    """Units `first` … `last` - 1 of W u + b."""
    out = []
    for o in range(first, last):
        total = W[o, 0] * u[0]
        for c in range(1, len(u)):
            total = total + W[o, c] * u[c]
        out.append(total if b is None else total + b[o])
    return out


def heads_of(
    b: int,
    x: list[Row],
    m: list[Row],
    w: list[Row],
    W: tuple[Array, Array, Array, Array],
    bias: tuple[Array | None, ...],
    mask: Array | None,
    lengths: Array | None,
    heads: int,
    causal: bool,
) -> list[Row]:
    """transformer.multi_head_attention for example b: queries x, keys from m, values from w."""
    W_q, W_k, W_v, W_o = W
    K, J = W_q.shape[0] // heads, W_v.shape[0] // heads
    root = np.sqrt(number(K, W_q))
    sizes = (0, heads, len(x), len(m))
    joined: list[Row] = [[] for _ in x]
    for n in range(heads):
        keys = [linear(W_k, u, bias[1], n * K, n * K + K) for u in m]
        values = [linear(W_v, u, bias[2], n * J, n * J + J) for u in w]
        for i in range(len(x)):
            seen = [sees(b, n, i, j, sizes, mask, lengths, causal) for j in range(len(m))]
            query = linear(W_q, x[i], bias[0], n * K, n * K + K)
            joined[i] = joined[i] + mix(attend(query, keys, seen, root), values, seen, J)
    return [linear(W_o, u, bias[3], 0, W_o.shape[0]) for u in joined]


def multi_head_attention(
    q: Array,
    k: Array,
    v: Array,
    W_q: Array,
    W_k: Array,
    W_v: Array,
    W_o: Array,
    b_q: Array | None = None,
    b_k: Array | None = None,
    b_v: Array | None = None,
    b_o: Array | None = None,
    mask: Array | None = None,
    lengths: Array | None = None,
    heads: int = 1,
    causal: bool = False,
) -> Nested:
    """transformer.multi_head_attention."""
    W, bias = (W_q, W_k, W_v, W_o), (b_q, b_k, b_v, b_o)
    return [
        heads_of(b, rows(q, b), rows(k, b), rows(v, b), W, bias, mask, lengths, heads, causal)
        for b in range(q.shape[0])
    ]


def fed(u: Row, W_1: Array, W_2: Array, b_1: Array | None, b_2: Array | None) -> Row:
    """transformer.feed_forward at one position."""
    hidden = [a if a > 0 or np.isnan(float(a)) else 0 for a in linear(W_1, u, b_1, 0, len(W_1))]
    return linear(W_2, hidden, b_2, 0, W_2.shape[0])


def feed_forward(
    x: Array, W_1: Array, W_2: Array, b_1: Array | None = None, b_2: Array | None = None
) -> Nested:
    """transformer.feed_forward."""
    return [[fed(u, W_1, W_2, b_1, b_2) for u in rows(x, b)] for b in range(x.shape[0])]


def normal(u: Row, gamma: Array, beta: Array) -> Row:
    """primitives.layer_norm of one position, eps 1e-5."""
    D = len(u)
    mean: Number = 0
    for c in range(D):
        mean = mean + u[c] / D
    variance: Number = 0
    for c in range(D):
        variance = variance + (u[c] - mean) * (u[c] - mean) / D
    return [(u[c] - mean) / np.sqrt(variance + 1e-5) * gamma[c] + beta[c] for c in range(D)]


def plus(x: list[Row], y: list[Row]) -> list[Row]:
    """x + y."""
    return [[a + b for a, b in zip(u, v, strict=True)] for u, v in zip(x, y, strict=True)]


def after(x: list[Row], y: list[Row], gamma: Array, beta: Array, norm: str) -> list[Row]:
    """transformer.add_norm, what comes behind the sublayer's result y."""
    total = plus(x, y)
    return [normal(u, gamma, beta) for u in total] if norm == "post" else total


def before(x: list[Row], gamma: Array, beta: Array, norm: str) -> list[Row]:
    """transformer.add_norm, what the sublayer is given."""
    return [normal(u, gamma, beta) for u in x] if norm == "pre" else x


def parts(w: dict[str, Any], prefix: str) -> tuple[Any, Any]:
    """The weights and the biases of an attention."""
    return (
        tuple(w[f"{prefix}_W_{name}"] for name in "qkvo"),
        tuple(w.get(f"{prefix}_b_{name}") for name in "qkvo"),
    )


def cut(mask: Array | None, n: int) -> Array | None:
    """The mask for the first n of n queries and keys."""
    if mask is None:
        return None
    if mask.ndim > 1 and mask.shape[-2] > 1:
        mask = mask[..., :n, :]
    return mask[..., :n] if mask.shape[-1] > 1 else mask


def encoded(
    b: int, x: list[Row], w: dict[str, Any], mask: Array | None, heads: int, norm: str
) -> list[Row]:
    """transformer.encoder_layer for example b, without its padding."""
    u = before(x, w["gamma_1"], w["beta_1"], norm)
    y = heads_of(b, u, u, u, *parts(w, "self"), cut(mask, len(x)), None, heads, False)
    a = after(x, y, w["gamma_1"], w["beta_1"], norm)
    u = before(a, w["gamma_2"], w["beta_2"], norm)
    y = [fed(row, w["W_1"], w["W_2"], w.get("b_1"), w.get("b_2")) for row in u]
    return after(a, y, w["gamma_2"], w["beta_2"], norm)


def decoded(
    b: int, x: list[Row], memory: list[Row], w: dict[str, Any], heads: int, norm: str
) -> list[Row]:
    """transformer.decoder_layer for example b, without its padding and the memory's."""
    u = before(x, w["gamma_1"], w["beta_1"], norm)
    y = heads_of(b, u, u, u, *parts(w, "self"), None, None, heads, True)
    a = after(x, y, w["gamma_1"], w["beta_1"], norm)
    u = before(a, w["gamma_2"], w["beta_2"], norm)
    y = heads_of(b, u, memory, memory, *parts(w, "cross"), None, None, heads, False)
    c = after(a, y, w["gamma_2"], w["beta_2"], norm)
    u = before(c, w["gamma_3"], w["beta_3"], norm)
    y = [fed(row, w["W_1"], w["W_2"], w.get("b_1"), w.get("b_2")) for row in u]
    return after(c, y, w["gamma_3"], w["beta_3"], norm)


def size_of(lengths: Array | None, b: int, L: int) -> int:
    """How many positions of example b there are."""
    return L if lengths is None else int(lengths[b])


def padded(y: list[Row], L: int, D: int) -> list[Row]:
    """y and rows of 0 up to L."""
    return y + [[0] * D for _ in range(L - len(y))]


def encoder_layer(
    x: Array,
    self_W_q: Array,
    self_W_k: Array,
    self_W_v: Array,
    self_W_o: Array,
    gamma_1: Array,
    beta_1: Array,
    W_1: Array,
    W_2: Array,
    gamma_2: Array,
    beta_2: Array,
    self_b_q: Array | None = None,
    self_b_k: Array | None = None,
    self_b_v: Array | None = None,
    self_b_o: Array | None = None,
    b_1: Array | None = None,
    b_2: Array | None = None,
    mask: Array | None = None,
    lengths: Array | None = None,
    heads: int = 1,
    norm: str = "post",
) -> Nested:
    """transformer.encoder_layer."""
    w = {
        "self_W_q": self_W_q,
        "self_W_k": self_W_k,
        "self_W_v": self_W_v,
        "self_W_o": self_W_o,
        "gamma_1": gamma_1,
        "beta_1": beta_1,
        "W_1": W_1,
        "W_2": W_2,
        "gamma_2": gamma_2,
        "beta_2": beta_2,
        "self_b_q": self_b_q,
        "self_b_k": self_b_k,
        "self_b_v": self_b_v,
        "self_b_o": self_b_o,
        "b_1": b_1,
        "b_2": b_2,
    }
    B, L, D = x.shape
    return [
        padded(encoded(b, rows(x, b)[: size_of(lengths, b, L)], w, mask, heads, norm), L, D)
        for b in range(B)
    ]


def decoder_layer(
    x: Array,
    memory: Array,
    self_W_q: Array,
    self_W_k: Array,
    self_W_v: Array,
    self_W_o: Array,
    gamma_1: Array,
    beta_1: Array,
    cross_W_q: Array,
    cross_W_k: Array,
    cross_W_v: Array,
    cross_W_o: Array,
    gamma_2: Array,
    beta_2: Array,
    W_1: Array,
    W_2: Array,
    gamma_3: Array,
    beta_3: Array,
    self_b_q: Array | None = None,
    self_b_k: Array | None = None,
    self_b_v: Array | None = None,
    self_b_o: Array | None = None,
    cross_b_q: Array | None = None,
    cross_b_k: Array | None = None,
    cross_b_v: Array | None = None,
    cross_b_o: Array | None = None,
    b_1: Array | None = None,
    b_2: Array | None = None,
    lengths: Array | None = None,
    memory_lengths: Array | None = None,
    heads: int = 1,
    norm: str = "post",
) -> Nested:
    """transformer.decoder_layer."""
    w = {
        "self_W_q": self_W_q,
        "self_W_k": self_W_k,
        "self_W_v": self_W_v,
        "self_W_o": self_W_o,
        "gamma_1": gamma_1,
        "beta_1": beta_1,
        "cross_W_q": cross_W_q,
        "cross_W_k": cross_W_k,
        "cross_W_v": cross_W_v,
        "cross_W_o": cross_W_o,
        "gamma_2": gamma_2,
        "beta_2": beta_2,
        "W_1": W_1,
        "W_2": W_2,
        "gamma_3": gamma_3,
        "beta_3": beta_3,
        "self_b_q": self_b_q,
        "self_b_k": self_b_k,
        "self_b_v": self_b_v,
        "self_b_o": self_b_o,
        "cross_b_q": cross_b_q,
        "cross_b_k": cross_b_k,
        "cross_b_v": cross_b_v,
        "cross_b_o": cross_b_o,
        "b_1": b_1,
        "b_2": b_2,
    }
    B, L, D = x.shape
    S = memory.shape[1]
    y = []
    for b in range(B):
        m = rows(memory, b)[: size_of(memory_lengths, b, S)]
        y.append(padded(decoded(b, rows(x, b)[: size_of(lengths, b, L)], m, w, heads, norm), L, D))
    return y


def embedded(tokens: list[int], E: Array, offset: int, place: bool) -> list[Row]:
    """transformer.embedding, and transformer.embed where the place counts."""
    D = E.shape[1]
    root = np.sqrt(number(D, E))
    return [
        [root * E[token, c] + (position(offset + l, c, D, E) if place else 0) for c in range(D)]
        for l, token in enumerate(tokens)
    ]


def transformer_embed(tokens: Array, E: Array, offset: int = 0) -> Nested:
    """transformer.embed."""
    return [embedded(line, E, offset, True) for line in tokens.tolist()]


def contextual_embedding(
    tokens: Array,
    E: Array,
    W_q: Array,
    W_k: Array,
    W_v: Array,
    W_o: Array,
    heads: int = 1,
    position: str = "sinusoidal",
) -> Nested:
    """transformer.contextual_embedding, sentence by sentence."""
    h = []
    for b, line in enumerate(tokens.tolist()):
        z = embedded(line, E, 0, position == "sinusoidal")
        W = (W_q, W_k, W_v, W_o)
        h.append(plus(z, heads_of(b, z, z, z, W, (None,) * 4, None, None, heads, False)))
    return h


def transformer_forward(
    source: Array,
    target: Array,
    E: Array,
    enc_self_W_q: Array,
    enc_self_W_k: Array,
    enc_self_W_v: Array,
    enc_self_W_o: Array,
    enc_gamma_1: Array,
    enc_beta_1: Array,
    enc_W_1: Array,
    enc_W_2: Array,
    enc_gamma_2: Array,
    enc_beta_2: Array,
    dec_self_W_q: Array,
    dec_self_W_k: Array,
    dec_self_W_v: Array,
    dec_self_W_o: Array,
    dec_gamma_1: Array,
    dec_beta_1: Array,
    dec_cross_W_q: Array,
    dec_cross_W_k: Array,
    dec_cross_W_v: Array,
    dec_cross_W_o: Array,
    dec_gamma_2: Array,
    dec_beta_2: Array,
    dec_W_1: Array,
    dec_W_2: Array,
    dec_gamma_3: Array,
    dec_beta_3: Array,
    enc_b_1: Array | None = None,
    enc_b_2: Array | None = None,
    dec_b_1: Array | None = None,
    dec_b_2: Array | None = None,
    source_lengths: Array | None = None,
    target_lengths: Array | None = None,
    heads: int = 1,
) -> Nested:
    """transformer.stack and transformer.logits, sentence by sentence."""
    encoder = {
        "self_W_q": enc_self_W_q,
        "self_W_k": enc_self_W_k,
        "self_W_v": enc_self_W_v,
        "self_W_o": enc_self_W_o,
        "gamma_1": enc_gamma_1,
        "beta_1": enc_beta_1,
        "W_1": enc_W_1,
        "W_2": enc_W_2,
        "gamma_2": enc_gamma_2,
        "beta_2": enc_beta_2,
        "b_1": enc_b_1,
        "b_2": enc_b_2,
    }
    decoder = {
        "self_W_q": dec_self_W_q,
        "self_W_k": dec_self_W_k,
        "self_W_v": dec_self_W_v,
        "self_W_o": dec_self_W_o,
        "gamma_1": dec_gamma_1,
        "beta_1": dec_beta_1,
        "cross_W_q": dec_cross_W_q,
        "cross_W_k": dec_cross_W_k,
        "cross_W_v": dec_cross_W_v,
        "cross_W_o": dec_cross_W_o,
        "gamma_2": dec_gamma_2,
        "beta_2": dec_beta_2,
        "W_1": dec_W_1,
        "W_2": dec_W_2,
        "gamma_3": dec_gamma_3,
        "beta_3": dec_beta_3,
        "b_1": dec_b_1,
        "b_2": dec_b_2,
    }
    N, V = enc_W_1.shape[0], E.shape[0]
    logits = []
    for b in range(source.shape[0]):
        x = embedded(source[b].tolist()[: size_of(source_lengths, b, source.shape[1])], E, 0, True)
        y = embedded(target[b].tolist()[: size_of(target_lengths, b, target.shape[1])], E, 0, True)
        for n in range(N):
            w = {name: M[n] for name, M in encoder.items() if M is not None}
            x = encoded(b, x, w, None, heads, "post")
        for n in range(N):
            w = {name: M[n] for name, M in decoder.items() if M is not None}
            y = decoded(b, y, x, w, heads, "post")
        told = [[inner(u, [E[t, c] for c in range(len(u))]) for t in range(V)] for u in y]
        logits.append(padded(told, target.shape[1], V))
    return logits
