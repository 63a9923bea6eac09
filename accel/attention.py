"""Attention over locations as kernels: scores, the soft mixture, the hard selection.

Arrays have the locations first: keys (T, B, D), scores (T, B). Which locations take part is one
boolean array for every kernel, made of lengths and mask.
"""

from typing import Any

import numpy as np

from nnspec.accel.arrays import Array, arrays, plain, transposed, whole_or
from nnspec.accel.dense import add_outer, add_product, layer, layer_vjp, named
from nnspec.accel.jit import contracted, helper, kernel
from nnspec.accel.scalar import IDENTITY, ONE, ZERO


@contracted
def dot(x: Array, y: Array, start: Any) -> Any:
    """start + x · y, x and y of one size."""
    total = start
    for d in range(x.shape[0]):
        total += x[d] * y[d]
    return total


@helper
def add_scaled(y: Array, factor: Any, x: Array) -> None:
    """y += factor x."""
    for d in range(x.shape[0]):
        y[d] += factor * x[d]


@kernel
def _dot_scores(query: Array, keys: Array) -> Array:  # (B, D), (T, B, D) to (T, B)
    T, B, _ = keys.shape
    zero = query.dtype.type(ZERO)
    scores = np.empty((T, B), query.dtype)
    for j in range(T):
        for i in range(B):
            scores[j, i] = dot(keys[j, i], query[i], zero)
    return scores


@kernel
def _dot_scores_vjp(query: Array, keys: Array, dscores: Array) -> tuple[Array, Array]:
    T, B, _ = keys.shape
    dquery = np.zeros_like(query)
    dkeys = np.zeros_like(keys)
    for j in range(T):
        for i in range(B):
            add_scaled(dquery[i], dscores[j, i], keys[j, i])
            add_scaled(dkeys[j, i], dscores[j, i], query[i])
    return dquery, dkeys


@kernel
def _additive(
    query: Array,  # (B, D)
    keys: Array,  # (T, B, E)
    W_q_T: Array,  # (D, A)
    W_k_T: Array,  # (E, A)
    v: Array,  # (A,)
    b: Array,  # (A,)
    keep: bool,
) -> tuple[Array, Array]:  # scores (T, B), and the hidden units (T, B, A) where kept
    T, B, _ = keys.shape
    A = v.shape[0]
    zero = query.dtype.type(ZERO)
    scores = np.empty((T, B), query.dtype)
    hidden = np.empty((T if keep else 0, B, A), query.dtype)
    shared = np.empty((B, A), query.dtype)  # the query's part, the same at every location
    n = np.empty(A, query.dtype)
    for i in range(B):
        for m in range(A):
            shared[i, m] = b[m]
        add_product(shared[i], query[i], W_q_T)
    for j in range(T):
        for i in range(B):
            for m in range(A):
                n[m] = shared[i, m]
            add_product(n, keys[j, i], W_k_T)
            for m in range(A):
                n[m] = np.tanh(n[m])
            scores[j, i] = dot(n, v, zero)
            if keep:
                hidden[j, i] = n
    return scores, hidden


@kernel
def _additive_vjp(
    query: Array,  # (B, D)
    keys: Array,  # (T, B, E)
    W_q: Array,  # (A, D)
    W_k: Array,  # (A, E)
    v: Array,  # (A,)
    hidden: Array,  # (T, B, A)
    dscores: Array,  # (T, B)
) -> tuple[Array, Array, Array, Array, Array, Array]:
    T, B, A = hidden.shape
    dquery = np.zeros_like(query)
    dkeys = np.zeros_like(keys)
    dW_q = np.zeros_like(W_q)
    dW_k = np.zeros_like(W_k)
    dv = np.zeros_like(v)
    db = np.zeros_like(v)
    da = np.empty(A, query.dtype)
    da_q = np.empty(A, query.dtype)
    for i in range(B):
        for m in range(A):
            da_q[m] = 0
        for j in range(T):
            de = dscores[j, i]
            for m in range(A):
                n = hidden[j, i, m]
                dv[m] += de * n
                da[m] = de * v[m] * (ONE - n * n)
                da_q[m] += da[m]
            add_product(dkeys[j, i], da, W_k)
            add_outer(dW_k, da, keys[j, i])
        for m in range(A):
            db[m] += da_q[m]
        add_product(dquery[i], da_q, W_q)
        add_outer(dW_q, da_q, query[i])
    return dquery, dkeys, dW_q, dW_k, dv, db


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
                weights[j] = np.exp(weights[j] - largest)
                part += weights[j]
            else:
                weights[j] = 0
        total += part
    for j in range(T):
        if valid[j]:
            weights[j] /= total


@kernel
def _soft(scores: Array, values: Array, valid: Array) -> tuple[Array, Array]:
    T, B, E = values.shape
    context = np.zeros((B, E), scores.dtype)
    weights = scores.copy()
    for i in range(B):
        soften(weights[:, i], valid[:, i])
        for j in range(T):
            if valid[j, i]:
                add_scaled(context[i], weights[j, i], values[j, i])
    return context, weights


@kernel
def _soft_vjp(
    values: Array,  # (T, B, E)
    weights: Array,  # (T, B)
    valid: Array,  # (T, B)
    dcontext: Array,  # (B, E)
    dweights: Array,  # (T, B)
) -> tuple[Array, Array]:
    T, B, _ = values.shape
    dscores = np.zeros_like(weights)
    dvalues = np.zeros_like(values)
    zero = values.dtype.type(ZERO)
    for i in range(B):
        total = zero
        for j in range(T):
            if valid[j, i]:
                add_scaled(dvalues[j, i], weights[j, i], dcontext[i])
                dscores[j, i] = dweights[j, i] + dot(values[j, i], dcontext[i], zero)
                total += weights[j, i] * dscores[j, i]
        for j in range(T):
            if valid[j, i]:
                dscores[j, i] = weights[j, i] * (dscores[j, i] - total)
    return dscores, dvalues


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


def _general(query: Array, W: Array) -> Array:
    """q W, (B, E): what takes the query's place."""
    return layer(query, transposed(W), np.zeros(W.shape[1], W.dtype), IDENTITY)


def attention_dot_scores(
    query: Array,  # (B, D)
    keys: Array,  # (T, B, D)
) -> Array:
    """h_j · q, (T, B)."""
    query, keys = arrays(query=(query, "B D"), keys=(keys, "T B D"))
    return _dot_scores(query, keys)


def attention_dot_scores_vjp(query: Array, keys: Array, dscores: Array) -> dict[str, Array]:
    """dq = sum over j of ds_j h_j, dh_j = ds_j q."""
    query, keys, dscores = arrays(
        query=(query, "B D"), keys=(keys, "T B D"), dscores=(dscores, "T B")
    )
    dquery, dkeys = _dot_scores_vjp(query, keys, dscores)
    return {"dquery": dquery, "dkeys": dkeys}


def attention_general_scores(
    query: Array,  # (B, D)
    keys: Array,  # (T, B, E)
    W: Array,  # (D, E)
) -> Array:
    """qᵀ W h_j, (T, B)."""
    query, keys, W = arrays(query=(query, "B D"), keys=(keys, "T B E"), W=(W, "D E"))
    return _dot_scores(_general(query, W), keys)


def attention_general_scores_vjp(
    query: Array, keys: Array, W: Array, dscores: Array
) -> dict[str, Array]:
    """The dot product's VJP with q W for the query, then that of the product."""
    query, keys, W, dscores = arrays(
        query=(query, "B D"), keys=(keys, "T B E"), W=(W, "D E"), dscores=(dscores, "T B")
    )
    dqW, dkeys = _dot_scores_vjp(_general(query, W), keys, dscores)
    dquery, dW_T, _ = layer_vjp(query, transposed(W), dqW, dqW, IDENTITY)
    return {"dquery": dquery, "dkeys": dkeys, "dW": transposed(dW_T)}


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
    return _additive(query, keys, transposed(W_q), transposed(W_k), v, b, False)[0]


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
    _, hidden = _additive(query, keys, transposed(W_q), transposed(W_k), v, b, True)
    gradients = _additive_vjp(query, keys, W_q, W_k, v, hidden, dscores)
    dquery, dkeys, dW_q, dW_k, dv, db = gradients
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
    return _soft(scores, values, take_part(scores, lengths, mask))


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
    _, weights = _soft(scores, values, valid)
    dscores, dvalues = _soft_vjp(values, weights, valid, dcontext, dweights)
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
