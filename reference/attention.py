"""Attention over locations: three scores, soft weights, and hard selection with its gradient.

One query for each example; T locations, first in every array: keys (T, B, D), scores (T, B).
Soft attention mixes the values of all locations, hard attention takes the value of one. Not to
be confused with the scaled dot-product of the Transformer, which has many queries and 1/√d.
"""

import numpy as np

from nnspec.reference.array import Array, constants, nominal


def attention_dot_scores(
    query: Array,  # (B, D)
    keys: Array,  # (T, B, D)
) -> Array:
    """e_j = h_j · q: one number for each location, not scaled.

    Returns scores (T, B).
    Source: slide "Application to Machine Translation", h_j · h_t; Luong 2015, section 3.1, dot;
    spec/attention.md. Not the Transformer's score, which is divided by √D.
    """
    scores: Array = (keys * query).sum(axis=-1)  # attention.dot_scores
    return scores


def attention_dot_scores_vjp(query: Array, keys: Array, dscores: Array) -> dict[str, Array]:
    """dq = sum over j of de_j h_j, dh_j = de_j q."""
    de = dscores[..., np.newaxis]
    return {"dquery": (de * keys).sum(axis=0), "dkeys": de * query}


def attention_general_scores(
    query: Array,  # (B, D)
    keys: Array,  # (T, B, E)
    W: Array,  # (D, E)
) -> Array:
    """e_j = qᵀ W h_j: keys and query may differ in size.

    Returns scores (T, B).
    Source: Luong 2015, section 3.1, general; spec/attention.md.
    """
    scores: Array = (keys * (query @ W)).sum(axis=-1)  # attention.general_scores
    return scores


def attention_general_scores_vjp(
    query: Array, keys: Array, W: Array, dscores: Array
) -> dict[str, Array]:
    """The dot product's VJP with q W in place of the query, then that of the product."""
    d = attention_dot_scores_vjp(query @ W, keys, dscores)
    dqW = d["dquery"]
    return {"dquery": dqW @ W.T, "dkeys": d["dkeys"], "dW": query.T @ dqW}


def attention_additive_scores(
    query: Array,  # (B, D)
    keys: Array,  # (T, B, E)
    W_q: Array,  # (A, D)
    W_k: Array,  # (A, E)
    v: Array,  # (A,)
    *,
    b: Array | None = None,  # (A,)
) -> Array:
    """e_j = v · tanh(W_q q + W_k h_j): a network of one hidden layer as the score.

    Returns scores (T, B).
    Source: Bahdanau 2015, appendix A.1.2; Luong 2015, section 3.1, concat, with W = [W_q | W_k];
    spec/attention.md.
    """
    n = additive_hidden(query, keys, W_q, W_k, b)
    scores: Array = (n * v).sum(axis=-1)  # attention.additive_scores
    return scores


def additive_hidden(query: Array, keys: Array, W_q: Array, W_k: Array, b: Array | None) -> Array:
    """The hidden layer tanh(W_q q + W_k h_j + b), (T, B, A); without b where it is not given."""
    a = query @ W_q.T + keys @ W_k.T
    n: Array = np.tanh(a if b is None else a + b)
    return n


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
    """da_j = de_j v (1 - n_j²); the query stands in every location's sum, so its errors add up."""
    n = additive_hidden(query, keys, W_q, W_k, b)
    de = dscores[..., np.newaxis]
    da = de * v * (1 - n * n)
    da_q = da.sum(axis=0)
    d = {
        "dquery": da_q @ W_q,
        "dkeys": da @ W_k,
        "dW_q": da_q.T @ query,
        "dW_k": da.reshape(-1, len(v)).T @ keys.reshape(-1, keys.shape[-1]),
        "dv": (de * n).sum(axis=(0, 1)),
    }
    return d if b is None else d | {"db": da.sum(axis=(0, 1))}


def attended(
    scores: Array,  # (T, B)
    lengths: Array | None,  # (B,)
    mask: Array | None,  # (T, B)
) -> Array:
    """(T, B): which locations take part: those within the length *and* of a True in the mask."""
    locations = np.arange(len(scores))[:, np.newaxis]
    within = np.ones(scores.shape, dtype=bool) if lengths is None else locations < lengths
    valid: Array = within if mask is None else within & mask  # attention.mask
    return valid


def attention_weights(
    scores: Array,  # (T, B)
    valid: Array,  # (T, B), bool
) -> Array:
    """a_j = e^{s_j} / sum over the valid k of e^{s_k}, and 0 at every other location.

    Returns weights (T, B); zeros where no location of an example is valid.
    """
    # not a 0 times e^s: a NaN at a masked location must not come through
    zero = constants(np.zeros(scores.shape), like=scores).astype(scores.dtype)
    shown = np.where(valid, scores, zero)
    largest = np.where(valid, nominal(shown), -np.inf).max(axis=0, initial=-np.inf)
    some = valid.any(axis=0)
    shift = np.where(some, largest, 0).astype(scores.dtype)
    e = np.where(valid, np.exp(np.where(valid, shown - shift, zero)), 0)
    return np.where(valid, e / np.where(some, e.sum(axis=0), 1), 0)  # attention.weights


def soft_attention(
    scores: Array,  # (T, B)
    values: Array,  # (T, B, E)
    *,
    lengths: Array | None = None,  # (B,), integers in 0 … T
    mask: Array | None = None,  # (T, B), True: takes part
) -> tuple[Array, Array]:
    """c = sum_j a_j v_j: every location's value, by its weight.

    Returns context (B, E) and weights (T, B); both 0 where nothing takes part.
    Source: slide "Attention Mechanism (cont.)", "soft weights to various locations"; Bahdanau
    2015, equations 5 and 6; spec/attention.md.
    """
    valid = attended(scores, lengths, mask)
    weights = attention_weights(scores, valid)
    # by selection: 0 times the NaN of a padded value is NaN
    shown = np.where(valid[..., np.newaxis], values, 0)
    context = (weights[..., np.newaxis] * shown).sum(axis=0)  # attention.soft
    return context, weights


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
    valid = attended(scores, lengths, mask)
    a = attention_weights(scores, valid)
    shown = np.where(valid[..., np.newaxis], values, 0)
    da = np.where(valid, (shown * dcontext).sum(axis=-1) + dweights, 0)
    return {
        "dscores": np.where(valid, a * (da - (a * da).sum(axis=0)), 0),
        "dvalues": np.where(valid[..., np.newaxis], a[..., np.newaxis] * dcontext, 0),
    }


def hard_attention(
    scores: Array,  # (T, B)
    values: Array,  # (T, B, E)
    u: Array,  # (B,), uniform in [0, 1)
    *,
    lengths: Array | None = None,  # (B,), integers in 0 … T
    mask: Array | None = None,  # (T, B), True: takes part
) -> tuple[Array, Array]:
    """One location for each example, drawn with the soft weights as probabilities by a given u.

    The location is the first k with u < a_1 + … + a_k. Returns context (B, E), the value there,
    and index (B,), the location counted from 0; 0 and -1 where nothing takes part.
    Source: slide "Attention Mechanism (cont.)", "hard attention selects specific locations"; Xu
    2015, section 4.1; spec/attention.md.
    """
    valid = attended(scores, lengths, mask)
    cumulated = np.cumsum(attention_weights(scores, valid), axis=0)
    # the sum is 1: that it is found below u is rounding, and means the last location
    last = np.where(valid, np.arange(len(scores))[:, np.newaxis], -1).max(axis=0, initial=-1)
    index = np.minimum((cumulated <= u).sum(axis=0), last)  # attention.hard
    context = np.zeros_like(values, shape=values.shape[1:])
    for j in range(len(values)):
        context = np.where((index == j)[:, np.newaxis], values[j], context)  # attention.hard
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
    """dv_j = dc at the location that was selected, 0 elsewhere; the scores have no derivative."""
    _, index = hard_attention(scores, values, u, lengths=lengths, mask=mask)
    chosen = np.arange(len(scores))[:, np.newaxis] == index
    return {"dvalues": np.where(chosen[..., np.newaxis], dcontext, 0)}


def hard_attention_score_gradient(
    scores: Array,  # (T, B)
    index: Array,  # (B,), integers
    reward: Array,  # (B,)
    *,
    baseline: Array | None = None,  # (B,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
    mask: Array | None = None,  # (T, B), True: takes part
) -> Array:
    """-(R - b) (1_k - a) / B: the gradient of -J by the score function, J the mean reward.

    Returns dscores (T, B), for descent. Not divided by a temperature, no entropy term.
    Source: slide "Attention Mechanism (cont.)", "uses reinforcement learning"; Williams 1992,
    REINFORCE; Xu 2015, section 4.1; spec/attention.md.
    """
    valid = attended(scores, lengths, mask)
    a = attention_weights(scores, valid)
    chosen = np.arange(len(scores))[:, np.newaxis] == index
    advantage = reward if baseline is None else reward - baseline
    log_gradient = np.where(chosen, 1 - a, -a)  # of log a_k with respect to the scores
    # by selection, since the reward of an example without a location may be anything
    return np.where(valid, -advantage * log_gradient / len(reward), 0)  # attention.score_gradient
