"""Image captioning with visual attention: Xu 2015's decoder, and the deck's choice of L variants.

An image is L annotation vectors a_i. At every word the decoder weighs them all (soft attention) or
draws one of them (hard attention), and an LSTM makes the next word from it. Not to be confused with
the attention of translation, whose scores are h_j . h_t without a layer of their own, and whose
query is not always the *previous* state.
"""

from typing import Any

import numpy as np

from nnspec.reference.array import Array, constants
from nnspec.reference.lstm import lstm_step, lstm_step_vjp
from nnspec.reference.primitives import (
    affine,
    affine_vjp,
    log_softmax,
    sigmoid,
    softmax,
    softmax_vjp,
)


def captioning_init(
    a: Array,  # (B, L, D)
    W_init_h: Array,  # (H, D)
    W_init_c: Array,  # (H, D)
    *,
    b_init_h: Array | None = None,  # (H,)
    b_init_c: Array | None = None,  # (H,)
) -> tuple[Array, Array]:
    """What the LSTM starts from: a layer each for h_0 and c_0, on the mean annotation vector.

    Returns h_0 (B, H) and c_0 (B, H).
    Source: Xu 2015, section 3.1.2, f_init,h and f_init,c; spec/captioning.md.
    """
    mean = a.sum(axis=1) / a.shape[1]  # captioning.init
    h_0 = np.tanh(affine(mean, W_init_h, b=b_init_h))  # captioning.init
    c_0 = np.tanh(affine(mean, W_init_c, b=b_init_c))  # captioning.init
    return h_0, c_0


def captioning_init_vjp(
    a: Array,
    W_init_h: Array,
    W_init_c: Array,
    dh_0: Array,  # (B, H)
    dc_0: Array,  # (B, H)
    *,
    b_init_h: Array | None = None,
    b_init_c: Array | None = None,
) -> dict[str, Array]:
    """Both layers' errors meet in the mean, and each a_i receives 1 / L of it."""
    L = a.shape[1]
    mean = a.sum(axis=1) / L
    h_0, c_0 = captioning_init(a, W_init_h, W_init_c, b_init_h=b_init_h, b_init_c=b_init_c)
    d_h = affine_vjp(mean, W_init_h, dh_0 * (1 - h_0 * h_0), b=b_init_h)
    d_c = affine_vjp(mean, W_init_c, dc_0 * (1 - c_0 * c_0), b=b_init_c)
    dmean = d_h["dx"] + d_c["dx"]
    d = {
        "da": np.zeros_like(a) + dmean[:, None, :] / L,
        "dW_init_h": d_h["dW"],
        "dW_init_c": d_c["dW"],
    }
    if b_init_h is not None:
        d["db_init_h"] = d_h["db"]
    if b_init_c is not None:
        d["db_init_c"] = d_c["db"]
    return d


def score_layer(a: Array, h_prev: Array, W_a: Array, W_h: Array, b: Array | None) -> Array:
    """The hidden layer of f_att, tanh(W_a a_i + W_h h + b), for every location: (B, L, K)."""
    s: Array = a @ W_a.T + (h_prev @ W_h.T)[:, None, :]
    return np.asarray(np.tanh(s if b is None else s + b))


def captioning_scores(
    a: Array,  # (B, L, D)
    h_prev: Array,  # (B, H)
    W_a: Array,  # (K, D)
    W_h: Array,  # (K, H)
    v: Array,  # (K,)
    *,
    b: Array | None = None,  # (K,)
) -> Array:
    """e_ti = f_att(a_i, h_{t-1}): how well each location fits the *previous* state.

    Returns e (B, L).
    Source: Xu 2015, equation 4; its form is Bahdanau 2014's; spec/captioning.md.
    """
    e: Array = (score_layer(a, h_prev, W_a, W_h, b) * v).sum(axis=-1)  # captioning.scores
    return e


def captioning_scores_vjp(
    a: Array,
    h_prev: Array,
    W_a: Array,
    W_h: Array,
    v: Array,
    de: Array,  # (B, L)
    *,
    b: Array | None = None,
) -> dict[str, Array]:
    """ds = de v (1 - tanh²); the state receives the sum over the locations."""
    K, D = W_a.shape
    g = score_layer(a, h_prev, W_a, W_h, b)
    ds = de[:, :, None] * v * (1 - g * g)
    ds_h = ds.sum(axis=1)
    d = {
        "da": ds @ W_a,
        "dh_prev": ds_h @ W_h,
        "dW_a": ds.reshape(-1, K).T @ a.reshape(-1, D),
        "dW_h": ds_h.T @ h_prev,
        "dv": (de[:, :, None] * g).sum(axis=(0, 1)),
    }
    return d if b is None else d | {"db": ds_h.sum(axis=0)}


def gate(h_prev: Array, w_beta: Array, b_beta: Array | None) -> Array:
    """β = σ(w_beta . h + b_beta), one number for each example: (B,)."""
    s = (h_prev * w_beta).sum(axis=-1)
    return sigmoid(s if b_beta is None else s + b_beta)  # captioning.gate


def captioning_soft(
    a: Array,  # (B, L, D)
    e: Array,  # (B, L)
    h_prev: Array,  # (B, H)
    w_beta: Array,  # (H,)
    *,
    b_beta: Array | None = None,  # ()
) -> tuple[Array, Array]:
    """Soft attention: the expected annotation vector, times the gate β of the previous state.

    Returns z (B, D) and alpha (B, L), the weights before the gate.
    Source: Xu 2015, equations 5 and 13 and section 4.2.1; spec/captioning.md.
    """
    alpha = softmax(e)  # captioning.weights
    beta = gate(h_prev, w_beta, b_beta)
    z: Array = beta[:, None] * (alpha[:, :, None] * a).sum(axis=1)  # captioning.context
    return z, alpha


def captioning_soft_vjp(
    a: Array,
    e: Array,
    h_prev: Array,
    w_beta: Array,
    dz: Array,  # (B, D)
    dalpha: Array,  # (B, L)
    *,
    b_beta: Array | None = None,
) -> dict[str, Array]:
    """dα is the given one and β dz . a_i, then softmax's VJP; dβ = dz . Σ α_i a_i."""
    alpha = softmax(e)
    beta = gate(h_prev, w_beta, b_beta)
    mean = (alpha[:, :, None] * a).sum(axis=1)
    ds = (dz * mean).sum(axis=-1) * beta * (1 - beta)
    dmean = beta[:, None] * dz
    d = {
        "da": alpha[:, :, None] * dmean[:, None, :],
        "de": softmax_vjp(e, dalpha + (dmean[:, None, :] * a).sum(axis=-1))["dx"],
        "dh_prev": ds[:, None] * w_beta,
        "dw_beta": (ds[:, None] * h_prev).sum(axis=0),
    }
    return d if b_beta is None else d | {"db_beta": ds.sum()}


def select(
    alpha: Array,  # (B, L)
    u: Array,  # (B,)
) -> Array:
    """The first location whose running sum of probabilities exceeds u: (B,), int64.

    Where rounding leaves even the whole sum at or below u, the last location of probability > 0.
    """
    below = np.cumsum(alpha, axis=-1) <= u[:, None]
    last = alpha.shape[1] - 1 - np.argmax((alpha > 0)[:, ::-1], axis=-1)
    index: Array = np.minimum(below.sum(axis=-1), last)  # captioning.index
    return index


def captioning_hard(
    a: Array,  # (B, L, D)
    alpha: Array,  # (B, L)
    u: Array,  # (B,), uniform in [0, 1)
) -> tuple[Array, Array]:
    """Hard attention: one location drawn with the probabilities alpha, its vector passed on.

    Returns z (B, D), without a gate, and index (B,), int64.
    Source: Xu 2015, equations 8 and 9; spec/captioning.md.
    """
    index = select(alpha, u)
    return a[np.arange(a.shape[0]), index], index  # captioning.hard


def captioning_hard_vjp(
    a: Array,
    alpha: Array,
    u: Array,
    dz: Array,  # (B, D)
) -> dict[str, Array]:
    """The drawn location receives dz; alpha receives nothing: see `captioning_hard_gradient`."""
    da = np.zeros_like(a)
    da[np.arange(a.shape[0]), select(alpha, u)] = dz
    return {"da": da}


def valid_steps(
    x: Array,  # (T, B, …)
    lengths: Array | None,  # (B,)
) -> Array:
    """Whether step t belongs to the caption of example b: (T, B), bool."""
    T, B = x.shape[:2]
    steps = np.full(B, T) if lengths is None else lengths
    valid: Array = np.arange(T)[:, None] < steps
    return valid


def within(
    x: Array,  # (T, B, N)
    lengths: Array | None,  # (B,)
) -> Array:
    """x with zeros of its own kind of number beyond each example's length."""
    valid = valid_steps(x, lengths)[:, :, None]
    return np.where(valid, x, constants(0.0, like=x).astype(x.dtype))


def seen(alpha: Array, lengths: Array | None) -> Array:
    """How much each location was looked at in the whole caption, Σ_t α_ti: (B, L)."""
    return np.asarray(within(alpha, lengths).sum(axis=0))


def captioning_regulariser(
    alpha: Array,  # (T, B, L)
    *,
    lengths: Array | None = None,  # (B,), integers in 0 … T
    tau: float = 1.0,
    lambda_alpha: float = 1.0,
) -> Array:
    """Doubly stochastic attention: every location's weights over *time* should add up to tau.

    Returns penalty (B,).
    Source: Xu 2015, equation 14 and section 4.2.1; spec/captioning.md.
    """
    lack = tau - seen(alpha, lengths)
    penalty: Array = lambda_alpha * (lack * lack).sum(axis=-1)  # captioning.regulariser
    return penalty


def captioning_regulariser_vjp(
    alpha: Array,
    dpenalty: Array,  # (B,)
    *,
    lengths: Array | None = None,
    tau: float = 1.0,
    lambda_alpha: float = 1.0,
) -> dict[str, Array]:
    """dα_ti = -2 λ (τ - Σ_t α_ti), the same at every time of the caption."""
    valid = valid_steps(alpha, lengths)[:, :, None]
    dlack = 2 * lambda_alpha * (tau - seen(alpha, lengths)) * dpenalty[:, None]
    return {"dalpha": np.where(valid, -dlack, 0)}


def embedding(
    y: Array,  # (B,), words 0 … V - 1, or -1: no word
    E: Array,  # (V, M)
) -> Array:
    """E y: the row of E that belongs to each word, 0 where there is no word yet. (B, M)."""
    some = y >= 0
    return np.where(some[:, None], E[np.where(some, y, 0)], 0)  # captioning.embedding


def embedding_vjp(
    y: Array,
    E: Array,
    dx: Array,  # (B, M)
) -> Array:
    """dE: a word's row receives the *sum* over all examples that hold the word."""
    dE = np.zeros_like(E)
    for n, word in enumerate(y):
        if word >= 0:
            dE[word] = dE[word] + dx[n]
    return dE


def deep_input(y: Array, h: Array, z: Array, E: Array, L_h: Array, L_z: Array) -> Array:
    """E y + L_h h + L_z z: what the vocabulary's layer acts on. (B, M)."""
    return np.asarray(embedding(y, E) + h @ L_h.T + z @ L_z.T)


def captioning_word(
    y: Array,  # (B,), the previous word, or -1
    h: Array,  # (B, H)
    z: Array,  # (B, D)
    E: Array,  # (V, M)
    L_h: Array,  # (M, H)
    L_z: Array,  # (M, D)
    L_o: Array,  # (V, M)
    *,
    b_y: Array | None = None,  # (V,)
) -> tuple[Array, Array]:
    """Deep output: the next word's distribution from previous word, *new* state and context.

    Returns logits (B, V) and p (B, V).
    Source: Xu 2015, equation 7; spec/captioning.md.
    """
    logits = affine(deep_input(y, h, z, E, L_h, L_z), L_o, b=b_y)  # captioning.word
    return logits, softmax(logits)  # captioning.word


def captioning_word_vjp(
    y: Array,
    h: Array,
    z: Array,
    E: Array,
    L_h: Array,
    L_z: Array,
    L_o: Array,
    dlogits: Array,  # (B, V)
    dp: Array,  # (B, V)
    *,
    b_y: Array | None = None,
) -> dict[str, Array]:
    """Softmax's VJP joins dlogits; what reaches the sum goes to each of its three terms."""
    logits, _ = captioning_word(y, h, z, E, L_h, L_z, L_o, b_y=b_y)
    return logits_vjp(y, h, z, E, L_h, L_z, L_o, dlogits + softmax_vjp(logits, dp)["dx"], b_y=b_y)


def logits_vjp(
    y: Array,
    h: Array,
    z: Array,
    E: Array,
    L_h: Array,
    L_z: Array,
    L_o: Array,
    dlogits: Array,  # (B, V)
    *,
    b_y: Array | None,
) -> dict[str, Array]:
    """The part of `captioning_word_vjp` below the softmax."""
    d_o = affine_vjp(deep_input(y, h, z, E, L_h, L_z), L_o, dlogits, b=b_y)
    dn = d_o["dx"]
    d = {
        "dh": dn @ L_h,
        "dz": dn @ L_z,
        "dE": embedding_vjp(y, E, dn),
        "dL_h": dn.T @ h,
        "dL_z": dn.T @ z,
        "dL_o": d_o["dW"],
    }
    return d if b_y is None else d | {"db_y": d_o["db"]}


def captioning_step(
    y: Array,  # (B,), the previous word, or -1
    h_prev: Array,  # (B, H)
    c_prev: Array,  # (B, H)
    a: Array,  # (B, L, D)
    E: Array,  # (V, M)
    W_a: Array,  # (K, D)
    W_h: Array,  # (K, H)
    v: Array,  # (K,)
    w_beta: Array,  # (H,)
    W_i: Array,  # (H, H + M + D)
    W_f: Array,  # (H, H + M + D)
    W_g: Array,  # (H, H + M + D)
    W_o: Array,  # (H, H + M + D)
    L_h: Array,  # (M, H)
    L_z: Array,  # (M, D)
    L_o: Array,  # (V, M)
    *,
    b: Array | None = None,  # (K,)
    b_beta: Array | None = None,  # ()
    b_i: Array | None = None,  # (H,)
    b_f: Array | None = None,  # (H,)
    b_g: Array | None = None,  # (H,)
    b_o: Array | None = None,  # (H,)
    b_y: Array | None = None,  # (V,)
) -> tuple[Array, Array, Array, Array]:
    """One word of the decoder with soft attention: look (with the old state), update, speak.

    Returns logits (B, V), alpha (B, L), h (B, H) and c (B, H).
    Source: slide "Image Captioning"; Xu 2015, equations 1 to 7 and 13; spec/captioning.md.
    """
    e = captioning_scores(a, h_prev, W_a, W_h, v, b=b)  # captioning.step
    z, alpha = captioning_soft(a, e, h_prev, w_beta, b_beta=b_beta)  # captioning.step
    x = np.concatenate([embedding(y, E), z], axis=-1)  # captioning.step
    gates: dict[str, Any] = {"b_i": b_i, "b_f": b_f, "b_g": b_g, "b_o": b_o}
    h, c = lstm_step(x, h_prev, c_prev, W_i, W_f, W_g, W_o, **gates)  # captioning.cell
    logits = affine(deep_input(y, h, z, E, L_h, L_z), L_o, b=b_y)  # captioning.step
    return logits, alpha, h, c


def captioning_step_vjp(
    y: Array,
    h_prev: Array,
    c_prev: Array,
    a: Array,
    E: Array,
    W_a: Array,
    W_h: Array,
    v: Array,
    w_beta: Array,
    W_i: Array,
    W_f: Array,
    W_g: Array,
    W_o: Array,
    L_h: Array,
    L_z: Array,
    L_o: Array,
    dlogits: Array,  # (B, V)
    dalpha: Array,  # (B, L)
    dh: Array,  # (B, H)
    dc: Array,  # (B, H)
    *,
    b: Array | None = None,
    b_beta: Array | None = None,
    b_i: Array | None = None,
    b_f: Array | None = None,
    b_g: Array | None = None,
    b_o: Array | None = None,
    b_y: Array | None = None,
) -> dict[str, Array]:
    """The step backwards: word, cell, context, scores. E and z are used by word and cell both."""
    M = E.shape[1]
    e = captioning_scores(a, h_prev, W_a, W_h, v, b=b)
    z, _ = captioning_soft(a, e, h_prev, w_beta, b_beta=b_beta)
    x = np.concatenate([embedding(y, E), z], axis=-1)
    cell = (x, h_prev, c_prev, W_i, W_f, W_g, W_o)
    gates: dict[str, Any] = {"b_i": b_i, "b_f": b_f, "b_g": b_g, "b_o": b_o}
    h, _ = lstm_step(*cell, **gates)
    d_word = logits_vjp(y, h, z, E, L_h, L_z, L_o, dlogits, b_y=b_y)
    d_cell = lstm_step_vjp(*cell, dh + d_word.pop("dh"), dc, **gates)
    dx = d_cell.pop("dx")
    dz = d_word.pop("dz") + dx[:, M:]
    d_soft = captioning_soft_vjp(a, e, h_prev, w_beta, dz, dalpha, b_beta=b_beta)
    d_scores = captioning_scores_vjp(a, h_prev, W_a, W_h, v, d_soft.pop("de"), b=b)
    parts = (d_cell, d_soft, d_scores)
    return {
        "dh_prev": sum_of(parts, "dh_prev"),
        "da": sum_of(parts, "da"),
        "dE": d_word.pop("dE") + embedding_vjp(y, E, dx[:, :M]),
    } | {name: value for part in (d_word, *parts) for name, value in part.items()}


def sum_of(parts: tuple[dict[str, Array], ...], name: str) -> Array:
    """The sum of the gradients of that name, which are taken out of the parts."""
    first, *others = [part.pop(name) for part in parts if name in part]
    for other in others:
        first = first + other
    return first


def captioning_forward(
    a: Array,  # (B, L, D)
    words: Array,  # (T, B), the caption's words 0 … V - 1
    E: Array,  # (V, M)
    W_init_h: Array,  # (H, D)
    W_init_c: Array,  # (H, D)
    W_a: Array,  # (K, D)
    W_h: Array,  # (K, H)
    v: Array,  # (K,)
    w_beta: Array,  # (H,)
    W_i: Array,  # (H, H + M + D)
    W_f: Array,  # (H, H + M + D)
    W_g: Array,  # (H, H + M + D)
    W_o: Array,  # (H, H + M + D)
    L_h: Array,  # (M, H)
    L_z: Array,  # (M, D)
    L_o: Array,  # (V, M)
    *,
    b_init_h: Array | None = None,  # (H,)
    b_init_c: Array | None = None,  # (H,)
    b: Array | None = None,  # (K,)
    b_beta: Array | None = None,  # ()
    b_i: Array | None = None,  # (H,)
    b_f: Array | None = None,  # (H,)
    b_g: Array | None = None,  # (H,)
    b_o: Array | None = None,  # (H,)
    b_y: Array | None = None,  # (V,)
    first: Array | None = None,  # (B,), the word before the first, or -1
    lengths: Array | None = None,  # (B,), integers in 0 … T
) -> tuple[Array, Array]:
    """A caption with teacher forcing: the step that should say word t is fed word t - 1.

    Returns logits (T, B, V) and alpha (T, B, L), both 0 beyond an example's length.
    Source: slide "Image Captioning"; Xu 2015, section 3; spec/captioning.md.
    """
    T, B = words.shape
    weights: dict[str, Any] = {"E": E, "W_a": W_a, "W_h": W_h, "v": v, "w_beta": w_beta} | {
        "W_i": W_i, "W_f": W_f, "W_g": W_g, "W_o": W_o, "L_h": L_h, "L_z": L_z, "L_o": L_o
    }  # fmt: skip
    biases: dict[str, Any] = {
        "b": b,
        "b_beta": b_beta,
        "b_i": b_i,
        "b_f": b_f,
        "b_g": b_g,
        "b_o": b_o,
        "b_y": b_y,
    }
    fed = previous(words, first, lengths)
    valid = valid_steps(words, lengths)[:, :, None]
    h, c = captioning_init(a, W_init_h, W_init_c, b_init_h=b_init_h, b_init_c=b_init_c)
    logits = np.zeros_like(a, shape=(T, B, E.shape[0]))
    alpha = np.zeros_like(a, shape=(T, B, a.shape[1]))
    for t in range(T):
        word, look, h, c = captioning_step(
            fed[t], h, c, a, **weights, **biases
        )  # captioning.forward
        logits[t] = np.where(valid[t], word, 0)  # captioning.forward
        alpha[t] = np.where(valid[t], look, 0)  # captioning.forward
    return logits, alpha


def previous(
    words: Array,  # (T, B)
    first: Array | None,  # (B,)
    lengths: Array | None,  # (B,)
) -> Array:
    """The word that each step is fed, (T, B): the caption one step late, -1 beyond its length."""
    T, B = words.shape
    begin = np.full(B, -1) if first is None else first
    fed = np.concatenate([begin[None, :], words], axis=0)[:T]  # captioning.previous
    return np.where(valid_steps(words, lengths), fed, -1)


def captioning_forward_vjp(
    a: Array,
    words: Array,
    E: Array,
    W_init_h: Array,
    W_init_c: Array,
    W_a: Array,
    W_h: Array,
    v: Array,
    w_beta: Array,
    W_i: Array,
    W_f: Array,
    W_g: Array,
    W_o: Array,
    L_h: Array,
    L_z: Array,
    L_o: Array,
    dlogits: Array,  # (T, B, V)
    dalpha: Array,  # (T, B, L)
    *,
    b_init_h: Array | None = None,
    b_init_c: Array | None = None,
    b: Array | None = None,
    b_beta: Array | None = None,
    b_i: Array | None = None,
    b_f: Array | None = None,
    b_g: Array | None = None,
    b_o: Array | None = None,
    b_y: Array | None = None,
    first: Array | None = None,
    lengths: Array | None = None,
) -> dict[str, Array]:
    """Backpropagation through time; what is left before the first step goes through the init."""
    T = len(words)
    weights: dict[str, Any] = {"E": E, "W_a": W_a, "W_h": W_h, "v": v, "w_beta": w_beta} | {
        "W_i": W_i, "W_f": W_f, "W_g": W_g, "W_o": W_o, "L_h": L_h, "L_z": L_z, "L_o": L_o
    }  # fmt: skip
    biases: dict[str, Any] = {
        "b": b,
        "b_beta": b_beta,
        "b_i": b_i,
        "b_f": b_f,
        "b_g": b_g,
        "b_o": b_o,
        "b_y": b_y,
    }
    given = {name: value for name, value in biases.items() if value is not None}
    fed = previous(words, first, lengths)
    valid = valid_steps(words, lengths)[:, :, None]
    h, c = captioning_init(a, W_init_h, W_init_c, b_init_h=b_init_h, b_init_c=b_init_c)
    states = [(h, c)]
    for t in range(T):
        _, _, h, c = captioning_step(fed[t], h, c, a, **weights, **biases)
        states.append((h, c))
    d = {f"d{name}": np.zeros_like(value) for name, value in (weights | given).items()}
    da = np.zeros_like(a)
    dh, dc = np.zeros_like(h), np.zeros_like(c)
    for t in reversed(range(T)):
        cotangents = {
            "dlogits": np.where(valid[t], dlogits[t], 0),
            "dalpha": np.where(valid[t], dalpha[t], 0),
            "dh": dh,
            "dc": dc,
        }
        h, c = states[t]
        d_t = captioning_step_vjp(fed[t], h, c, a, **weights, **cotangents, **biases)
        dh, dc, da = d_t["dh_prev"], d_t["dc_prev"], da + d_t["da"]
        d = {name: total + d_t[name] for name, total in d.items()}
    d_init = captioning_init_vjp(
        a, W_init_h, W_init_c, dh, dc, b_init_h=b_init_h, b_init_c=b_init_c
    )
    return d | d_init | {"da": da + d_init["da"]}


def log_likelihood(
    logits: Array,  # (T, B, V)
    words: Array,  # (T, B)
    lengths: Array | None,  # (B,)
) -> Array:
    """log p(y | a), the sum over the caption's steps of the log-probability of its words: (B,)."""
    T, B = words.shape
    valid = valid_steps(words, lengths)
    log_p = log_softmax(within(logits, lengths))
    said = np.where(valid, words, 0)
    each = log_p[np.arange(T)[:, None], np.arange(B), said]
    return np.asarray(np.where(valid, each, 0).sum(axis=0))


def captioning_loss(
    logits: Array,  # (T, B, V)
    alpha: Array,  # (T, B, L)
    words: Array,  # (T, B), the words that should be said
    *,
    lengths: Array | None = None,  # (B,), integers in 0 … T
    tau: float = 1.0,
    lambda_alpha: float = 1.0,
) -> Array:
    """-log p(y | a) and the doubly stochastic penalty, of each caption by itself.

    Returns loss (B,); steps beyond the length count in neither term.
    Source: Xu 2015, equation 14; spec/captioning.md.
    """
    penalty = captioning_regulariser(alpha, lengths=lengths, tau=tau, lambda_alpha=lambda_alpha)
    loss: Array = penalty - log_likelihood(logits, words, lengths)  # captioning.loss
    return loss


def captioning_loss_vjp(
    logits: Array,
    alpha: Array,
    words: Array,
    dloss: Array,  # (B,)
    *,
    lengths: Array | None = None,
    tau: float = 1.0,
    lambda_alpha: float = 1.0,
) -> dict[str, Array]:
    """dlogits = dloss (p - one-hot of the word), 0 beyond the length."""
    valid = valid_steps(words, lengths)[:, :, None]
    p = softmax(within(logits, lengths))
    is_word = np.arange(logits.shape[2]) == words[:, :, None]
    wrong = np.where(is_word, p - 1, p)
    options = {"tau": tau, "lambda_alpha": lambda_alpha}
    return {
        "dlogits": np.where(valid, wrong * dloss[:, None], 0),
        "dalpha": captioning_regulariser_vjp(alpha, dloss, lengths=lengths, **options)["dalpha"],
    }


def captioning_hard_gradient(
    e: Array,  # (T, B, L)
    index: Array,  # (T, B), the locations that were drawn
    log_p: Array,  # (B,), log p(y | s, a) of the whole caption
    baseline: Array,  # (B,)
    *,
    lengths: Array | None = None,  # (B,), integers in 0 … T
    lambda_r: float = 1.0,
    lambda_e: float = 0.0,
) -> Array:
    """What hard attention's scores receive: λ_r (log p - b) ∇log p(s) + λ_e ∇H(s), to *ascend*.

    Returns de (T, B, L), 0 beyond the length. A location with e = -inf takes no part.
    Source: Xu 2015, section 4.1, equation 12 and the learning rule after it;
    spec/captioning.md.
    """
    valid = valid_steps(index, lengths)[:, :, None]
    scores = within(e, lengths)
    alpha, log_alpha = softmax(scores), log_softmax(scores)
    drawn = np.arange(e.shape[2]) == index[:, :, None]
    score = np.where(drawn, 1 - alpha, -alpha)  # captioning.hard_gradient
    surprise = np.where(alpha > 0, alpha * log_alpha, 0)
    H = -surprise.sum(axis=-1, keepdims=True)  # captioning.entropy
    dH = -(surprise + alpha * H)  # captioning.entropy
    advantage = (log_p - baseline)[:, None]
    de = lambda_r * advantage * score + lambda_e * dH  # captioning.hard_gradient
    return np.where(valid, de, 0)


def captioning_baseline(
    baseline: Array,  # ()
    log_p: Array,  # (B,), B >= 1
    *,
    decay: float = 0.9,
) -> Array:
    """The moving average of the log-likelihoods of the minibatches so far.

    Returns the new baseline ().
    Source: Xu 2015, section 4.1, b_k = 0.9 b_{k-1} + 0.1 log p; spec/captioning.md.
    """
    mean = log_p.sum() / log_p.shape[0]
    new: Array = decay * baseline + (1 - decay) * mean  # captioning.baseline
    return new


def captioning_location_policy(
    h: Array,  # (B, H)
    W: Array,  # (L, H)
    u: Array,  # (B,), uniform in [0, 1)
    *,
    b: Array | None = None,  # (L,)
) -> tuple[Array, Array]:
    """The deck's form: the recurrent network draws which of L preprocessed variants it sees next.

    Returns p (B, L) and index (B,), int64.
    Source: slide "Image Captioning"; spec/captioning.md.
    """
    p = softmax(affine(h, W, b=b))  # captioning.location_policy
    return p, select(p, u)  # captioning.location_policy


def captioning_location_policy_vjp(
    h: Array,
    W: Array,
    u: Array,
    dp: Array,  # (B, L)
    *,
    b: Array | None = None,
) -> dict[str, Array]:
    """Softmax's VJP, then the layer's; the draw passes nothing on."""
    d = affine_vjp(h, W, softmax_vjp(affine(h, W, b=b), dp)["dx"], b=b)
    return {"dh": d.pop("dx")} | d


def captioning_reward(
    logits: Array,  # (T, B, V)
    words: Array,  # (T, B)
    *,
    lengths: Array | None = None,  # (B,), integers in 0 … T
    measure: str = "accuracy",
) -> Array:
    """How well the caption was predicted: the share of its words, or their log-likelihood.

    Returns reward (B,). An empty caption has the reward 0.
    Source: slide "Image Captioning", "reward based on caption prediction accuracy";
    spec/captioning.md.
    """
    if measure == "log_likelihood":
        return log_likelihood(logits, words, lengths)  # captioning.reward
    valid = valid_steps(words, lengths)
    right = valid & (np.argmax(within(logits, lengths), axis=-1) == words)
    steps = constants(np.maximum(valid.sum(axis=0), 1), like=logits)
    share = constants(right.sum(axis=0), like=logits) / steps  # captioning.reward
    return share.astype(logits.dtype)


def captioning_location_gradient(
    h: Array,  # (T, B, H)
    W: Array,  # (L, H)
    index: Array,  # (T, B)
    reward: Array,  # (B,)
    *,
    b: Array | None = None,  # (L,)
    baseline: Array | None = None,  # (B,)
    lengths: Array | None = None,  # (B,), integers in 0 … T
) -> tuple[Array, Array, Array]:
    """REINFORCE: (R - baseline) ∇log p(index), summed over time and batch, to *ascend* E[R].

    Returns dh (T, B, H), dW (L, H) and db (L,).
    Source: slide "Image Captioning", "Reinforcement learning selects one of these L actions";
    Williams 1992; spec/captioning.md.
    """
    L, H = W.shape
    valid = valid_steps(index, lengths)[:, :, None]
    state = within(h, lengths)
    s = state @ W.T
    p = softmax(s if b is None else s + b)
    drawn = np.arange(L) == index[:, :, None]
    advantage = (reward if baseline is None else reward - baseline)[:, None]
    ds = advantage * np.where(drawn, 1 - p, -p)  # captioning.location_gradient
    ds = np.where(valid, ds, 0)
    return ds @ W, ds.reshape(-1, L).T @ state.reshape(-1, H), ds.sum(axis=(0, 1))
