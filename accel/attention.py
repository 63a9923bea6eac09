"""Attention over locations as kernels: scores, the soft mixture, the hard selection.

Arrays have the locations first: keys (T, B, D), scores (T, B). Which locations take part is one
boolean array for every kernel, made of lengths and mask.
"""

from typing import Any

import numpy as np

from nnspec.accel import threads
from nnspec.accel.arrays import Array, arrays, plain, transposed, whole_or
from nnspec.accel.dense import add_scaled, layer, layer_vjp, named, product
from nnspec.accel.jit import helper, kernel
from nnspec.accel.reductions import dot
from nnspec.accel.scalar import IDENTITY, ONE, ZERO
from nnspec.accel.softmaxes import add_row, along
from nnspec.accel.vector_math import exp, tanh

# what a number of the keys or of the hidden layer costs, in multiply-adds as `threads.useful`
# counts them: reading it from memory, tanh
READ, TANH_COST = 8.0, 32.0


@kernel
def _dot_scores(
    query: Array,  # (B, D)
    keys: Array,  # (T, B, D)
    scores: Array,  # (T, B)
    first: int,
    last: int,
) -> None:
    for j in range(first, last):
        for i in range(keys.shape[1]):
            scores[j, i] = dot(keys[j, i], query[i])


def _scores(query: Array, keys: Array) -> Array:
    """h_j · q, (T, B)."""
    T, B, _ = keys.shape
    scores = np.empty((T, B), query.dtype)

    def part(index: int, count: int) -> None:
        _dot_scores(query, keys, scores, *threads.share(T, index, count))

    threads.together(threads.useful(READ * keys.size), part)
    return scores


@helper
def _scaled(y: Array, factor: Any, x: Array) -> None:
    for d in range(x.size):
        y[d] = factor * x[d]


@kernel
def _dot_scores_vjp(
    query: Array,  # (B, D)
    keys: Array,  # (T, B, D)
    dscores: Array,  # (T, B)
    dquery: Array,  # (B, D), zeros
    dkeys: Array,  # (T, B, D)
    first: int,
    last: int,
) -> None:
    for j in range(keys.shape[0]):
        for i in range(first, last):
            add_scaled(dquery[i], dscores[j, i], keys[j, i])
            _scaled(dkeys[j, i], dscores[j, i], query[i])


def _scores_vjp(query: Array, keys: Array, dscores: Array) -> tuple[Array, Array]:
    """(dquery, dkeys) of `_scores`."""
    dquery, dkeys = np.zeros_like(query), np.empty_like(keys)

    def part(index: int, count: int) -> None:
        rows = threads.share(len(query), index, count)
        _dot_scores_vjp(query, keys, dscores, dquery, dkeys, *rows)

    threads.together(threads.useful(2 * READ * keys.size), part)
    return dquery, dkeys


@helper
def _hide(n: Array, shared: Array) -> None:
    for m in range(n.size):
        n[m] = tanh(n[m] + shared[m])


@kernel
def _additive(
    shared: Array,  # (B, A): the query's part, the same at every location
    v: Array,  # (A,)
    hidden: Array,  # (T, B, A): the keys' part, then the hidden units
    scores: Array,  # (T, B)
    first: int,
    last: int,
) -> None:
    for j in range(first, last):
        for i in range(hidden.shape[1]):
            _hide(hidden[j, i], shared[i])
            scores[j, i] = dot(hidden[j, i], v)


def _hidden(
    query: Array, keys: Array, W_q: Array, W_k: Array, v: Array, b: Array
) -> tuple[Array, Array]:
    """The scores (T, B) and the hidden units (T, B, A)."""
    (T, B, E), A = keys.shape, len(v)
    shared = layer(query, W_q, b, IDENTITY)
    hidden = product(keys.reshape(T * B, E), W_k).reshape(T, B, A)
    scores = np.empty((T, B), query.dtype)

    def part(index: int, count: int) -> None:
        _additive(shared, v, hidden, scores, *threads.share(T, index, count))

    threads.together(threads.useful(TANH_COST * hidden.size), part)
    return scores, hidden


@helper
def _unhide(n: Array, v: Array, de: Any, dv: Array) -> None:
    for m in range(n.size):
        dv[m] += de * n[m]
    for m in range(n.size):
        n[m] = de * v[m] * (ONE - n[m] * n[m])


@kernel
def _additive_vjp(
    hidden: Array,  # (T, B, A), then its errors
    v: Array,  # (A,)
    dscores: Array,  # (T, B)
    da_q: Array,  # (B, A), zeros
    dv: Array,  # (A,), zeros
) -> None:
    part = np.empty_like(v)
    for j in range(hidden.shape[0]):
        part[:] = 0
        for i in range(hidden.shape[1]):
            _unhide(hidden[j, i], v, dscores[j, i], part)
            add_row(da_q[i], hidden[j, i])
        add_row(dv, part)


@helper
def soften(weights: Array, valid: Array) -> None:
    """Scores (T,) to their softmax over the valid locations; 0 at the others."""
    T = weights.shape[0]
    largest = weights.dtype.type(-np.inf)
    for j in range(T):
        # a NaN is no larger than another: it makes its own exponential NaN, and so the sum
        if valid[j] and weights[j] > largest:
            largest = weights[j]
    total = weights.dtype.type(ZERO)
    for start in range(0, T, 128):  # in parts, as in primitives
        part = weights.dtype.type(ZERO)
        for j in range(start, min(start + 128, T)):
            if valid[j]:
                weights[j] = exp(weights[j] - largest)
                part += weights[j]
            else:
                weights[j] = 0
        total += part
    for j in range(T):
        if valid[j]:
            weights[j] /= total


def _weights(scores: Array, valid: Array) -> Array:
    """The softmax of the scores over the valid locations, (T, B); 0 at the others."""
    if not scores.size:
        return np.zeros_like(scores)
    weights = along(np.where(valid, scores, scores.dtype.type(-np.inf)), 0, logarithm=False)
    weights[~valid] = 0
    return weights


@kernel
def _soft(
    weights: Array,  # (T, B)
    values: Array,  # (T, B, E)
    valid: Array,  # (T, B)
    context: Array,  # (B, E), zeros
    first: int,
    last: int,
) -> None:
    for j in range(values.shape[0]):
        for i in range(first, last):
            if valid[j, i]:
                add_scaled(context[i], weights[j, i], values[j, i])


def _context(weights: Array, values: Array, valid: Array) -> Array:
    """Σ_j a_j v_j over the valid locations, (B, E)."""
    context = np.zeros(values.shape[1:], values.dtype)

    def part(index: int, count: int) -> None:
        _soft(weights, values, valid, context, *threads.share(len(context), index, count))

    threads.together(threads.useful(READ * values.size), part)
    return context


@kernel
def _soft_vjp(
    values: Array,  # (T, B, E)
    weights: Array,  # (T, B)
    valid: Array,  # (T, B)
    dcontext: Array,  # (B, E)
    dweights: Array,  # (T, B)
    dscores: Array,  # (T, B)
    dvalues: Array,  # (T, B, E)
    first: int,
    last: int,
) -> None:
    T = values.shape[0]
    sums = np.zeros(last - first, values.dtype)
    for j in range(T):
        for i in range(first, last):
            if valid[j, i]:
                _scaled(dvalues[j, i], weights[j, i], dcontext[i])
                dscores[j, i] = dweights[j, i] + dot(values[j, i], dcontext[i])
                sums[i - first] += weights[j, i] * dscores[j, i]
            else:
                dvalues[j, i] = 0
                dscores[j, i] = 0
    for j in range(T):
        for i in range(first, last):
            if valid[j, i]:
                dscores[j, i] = weights[j, i] * (dscores[j, i] - sums[i - first])


@kernel
def _hard(scores: Array, u: Array, valid: Array) -> Array:  # (T, B), (B,), (T, B) to (B,)
    T, B = scores.shape
    index = np.full(B, -1, np.int64)
    weights = scores.copy()
    for i in range(B):
        soften(weights[:, i], valid[:, i])
        reached = scores.dtype.type(ZERO)
        for j in range(T):
            if valid[j, i]:
                reached += weights[j, i]
                index[i] = j
                if u[i] < reached:
                    break
    return index


@kernel
def _score_gradient(scores: Array, index: Array, advantage: Array, valid: Array) -> Array:
    T, B = scores.shape
    d = scores.copy()
    for i in range(B):
        soften(d[:, i], valid[:, i])
        for j in range(T):
            if valid[j, i]:
                log_gradient = ONE - d[j, i] if j == index[i] else -d[j, i]
                d[j, i] = -advantage[i] * log_gradient / scores.dtype.type(B)
    return d


def take_part(scores: Array, lengths: Any, mask: Any) -> Array:
    """(T, B) bool: the locations within the length and of a True in the mask."""
    T, B = scores.shape
    valid: Array = np.arange(T)[:, np.newaxis] < whole_or(lengths, T, B)
    if mask is None:
        return valid
    mask = np.asarray(mask)
    if mask.shape != (T, B):
        raise ValueError(f"mask has shape {mask.shape}, wanted that of scores, {(T, B)}")
    if mask.dtype != bool:
        raise TypeError(f"mask is of bool, not of {mask.dtype}")
    both: Array = valid & mask
    return both


def attention_dot_scores(
    query: Array,  # (B, D)
    keys: Array,  # (T, B, D)
) -> Array:
    """h_j · q, (T, B)."""
    query, keys = arrays(query=(query, "B D"), keys=(keys, "T B D"))
    return _scores(query, keys)


def attention_dot_scores_vjp(query: Array, keys: Array, dscores: Array) -> dict[str, Array]:
    """dq = sum over j of ds_j h_j, dh_j = ds_j q."""
    query, keys, dscores = arrays(
        query=(query, "B D"), keys=(keys, "T B D"), dscores=(dscores, "T B")
    )
    dquery, dkeys = _scores_vjp(query, keys, dscores)
    return {"dquery": dquery, "dkeys": dkeys}


def attention_general_scores(
    query: Array,  # (B, D)
    keys: Array,  # (T, B, E)
    W: Array,  # (D, E)
) -> Array:
    """qᵀ W h_j, (T, B)."""
    query, keys, W = arrays(query=(query, "B D"), keys=(keys, "T B E"), W=(W, "D E"))
    return _scores(product(query, W, transposed=False), keys)


def attention_general_scores_vjp(
    query: Array, keys: Array, W: Array, dscores: Array
) -> dict[str, Array]:
    """The dot product's VJP with q W for the query, then that of the product."""
    query, keys, W, dscores = arrays(
        query=(query, "B D"), keys=(keys, "T B E"), W=(W, "D E"), dscores=(dscores, "T B")
    )
    dqW, dkeys = _scores_vjp(product(query, W, transposed=False), keys, dscores)
    dW = product(transposed(query), dqW, transposed=False)
    return {"dquery": product(dqW, W), "dkeys": dkeys, "dW": dW}


def attention_additive_scores(
    query: Array,  # (B, D)
    keys: Array,  # (T, B, E)
    W_q: Array,  # (A, D)
    W_k: Array,  # (A, E)
    v: Array,  # (A,)
    *,
    b: Array | None = None,  # (A,)
) -> Array:
    """v · tanh(W_q q + W_k h_j + b), (T, B)."""
    query, keys, W_q, W_k, v, b = arrays(
        query=(query, "B D"),
        keys=(keys, "T B E"),
        W_q=(W_q, "A D"),
        W_k=(W_k, "A E"),
        v=(v, "A"),
        b=(b, "A"),
    )
    return _hidden(query, keys, W_q, W_k, v, b)[0]


def attention_additive_scores_vjp(
    query: Array,
    keys: Array,
    W_q: Array,
    W_k: Array,
    v: Array,
    dscores: Array,
    *,
    b: Array | None = None,
) -> dict[str, Array]:
    """da_j = ds_j v (1 - n_j²); the query's part has the sum over the locations."""
    given_b = b
    query, keys, W_q, W_k, v, dscores, b = arrays(
        query=(query, "B D"),
        keys=(keys, "T B E"),
        W_q=(W_q, "A D"),
        W_k=(W_k, "A E"),
        v=(v, "A"),
        dscores=(dscores, "T B"),
        b=(b, "A"),
    )
    _, da = _hidden(query, keys, W_q, W_k, v, b)
    da_q, dv = np.zeros((len(query), len(v)), query.dtype), np.zeros_like(v)
    _additive_vjp(da, v, dscores, da_q, dv)
    rows, da = keys.reshape(dscores.size, keys.shape[2]), da.reshape(dscores.size, len(v))
    dkeys, dW_k, _ = layer_vjp(rows, W_k, da, da, IDENTITY)
    dkeys = dkeys.reshape(keys.shape)
    dquery, dW_q, db = layer_vjp(query, W_q, da_q, da_q, IDENTITY)
    d = {"dquery": dquery, "dkeys": dkeys, "dW_q": dW_q, "dW_k": dW_k, "dv": dv}
    return d | named(db=(db, given_b))


def soft_attention(
    scores: Array,  # (T, B)
    values: Array,  # (T, B, E)
    *,
    lengths: Array | None = None,  # (B,), integers in 0 … T
    mask: Array | None = None,  # (T, B), True: takes part
) -> tuple[Array, Array]:
    """The context (B, E) and the weights (T, B), both 0 where nothing takes part."""
    scores, values = arrays(scores=(scores, "T B"), values=(values, "T B E"))
    valid = take_part(scores, lengths, mask)
    weights = _weights(scores, valid)
    return _context(weights, values, valid), weights


def soft_attention_vjp(
    scores: Array,
    values: Array,
    dcontext: Array,  # (B, E)
    dweights: Array,  # (T, B)
    *,
    lengths: Array | None = None,
    mask: Array | None = None,
) -> dict[str, Array]:
    """da_j = dc · v_j + dweights_j, ds_j = a_j (da_j - sum_k a_k da_k), dv_j = a_j dc."""
    scores, values, dcontext, dweights = arrays(
        scores=(scores, "T B"),
        values=(values, "T B E"),
        dcontext=(dcontext, "B E"),
        dweights=(dweights, "T B"),
    )
    valid = take_part(scores, lengths, mask)
    weights = _weights(scores, valid)
    dscores, dvalues = np.empty_like(scores), np.empty_like(values)

    def part(index: int, count: int) -> None:
        rows = threads.share(len(dcontext), index, count)
        _soft_vjp(values, weights, valid, dcontext, dweights, dscores, dvalues, *rows)

    threads.together(threads.useful(2 * READ * values.size), part)
    return {"dscores": dscores, "dvalues": dvalues}


def hard_attention(
    scores: Array,  # (T, B)
    values: Array,  # (T, B, E)
    u: Array,  # (B,), uniform in [0, 1)
    *,
    lengths: Array | None = None,  # (B,), integers in 0 … T
    mask: Array | None = None,  # (T, B), True: takes part
) -> tuple[Array, Array]:
    """The selected value (B, E), and its location (B,): 0 and -1 where nothing takes part."""
    scores, values, u = arrays(scores=(scores, "T B"), values=(values, "T B E"), u=(u, "B"))
    index = _hard(scores, u, take_part(scores, lengths, mask))
    context = np.zeros(values.shape[1:], values.dtype)
    some = np.flatnonzero(index >= 0)
    context[some] = values[index[some], some]
    return context, index


def hard_attention_vjp(
    scores: Array,
    values: Array,
    u: Array,
    dcontext: Array,  # (B, E)
    *,
    lengths: Array | None = None,
    mask: Array | None = None,
) -> dict[str, Array]:
    """dv_j = dc at the selected location, 0 elsewhere."""
    scores, values, u, dcontext = arrays(
        scores=(scores, "T B"), values=(values, "T B E"), u=(u, "B"), dcontext=(dcontext, "B E")
    )
    index = _hard(scores, u, take_part(scores, lengths, mask))
    dvalues = np.zeros_like(values)
    some = np.flatnonzero(index >= 0)
    dvalues[index[some], some] = dcontext[some]
    return {"dvalues": dvalues}


def hard_attention_score_gradient(
    scores: Array,  # (T, B)
    index: Array,  # (B,), integers
    reward: Array,  # (B,)
    *,
    baseline: Array | None = None,  # (B,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
    mask: Array | None = None,  # (T, B), True: takes part
) -> Array:
    """-(R - b) (1_k - a) / B, (T, B), 0 where a location does not take part."""
    scores, reward, baseline = arrays(
        scores=(scores, "T B"), reward=(reward, "B"), baseline=(baseline, "B")
    )
    index = np.asarray(index)
    if index.shape != reward.shape:
        raise ValueError(f"index has shape {index.shape}, wanted that of reward, {reward.shape}")
    if index.dtype.kind not in "iu" and len(index):
        raise TypeError(f"index is of integers, not of {index.dtype}")
    valid = take_part(scores, lengths, mask)
    return _score_gradient(scores, plain(index, np.int64), reward - baseline, valid)
