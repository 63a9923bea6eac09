"""Attention over locations as kernels: scores, the soft mixture, the hard selection.

Arrays have the locations first: keys (T, B, D), scores (T, B). Which locations take part is one
boolean array for every kernel, made of lengths and mask.
"""

from typing import Any

import numpy as np

from nnspec.accel.arrays import Array, arrays, plain, transposed, whole_or
from nnspec.accel.dense import add_outer, add_product, layer, named
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
    return valid & mask


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
    # dW = qᵀ dqW and dq = dqW Wᵀ: products of layers again, with the batch as the inner size
    none = np.zeros(W.shape[0], W.dtype)
    dW = (
        layer(transposed(query), transposed(dqW), np.zeros(W.shape[0], W.dtype)[:0], IDENTITY)
        if False
        else np.ascontiguousarray(query.T @ dqW)
    )
    return {"dquery": layer(dqW, W, none, IDENTITY), "dkeys": dkeys, "dW": dW}
