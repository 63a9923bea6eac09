"""Image captioning as kernels: one for a caption of T words forwards, one for it backwards.

A step is a caption of one word from given states. What the scores take from the image, W_a a_i, is
the same for every word and is computed once. In the kernels the four gates stand one above the
other in W_x, in the order i, f, g, o, and act on [h, E y, z]; the word -1 is no word.
"""

from typing import Any

import numpy as np

from nnspec.accel.arrays import Array, arrays, plain, transposed, whole_or
from nnspec.accel.dense import (
    activate_row,
    add_outer,
    add_product,
    add_scaled,
    layer,
    layer_vjp,
    named,
    product,
)
from nnspec.accel.jit import contracted, helper, kernel
from nnspec.accel.reductions import dot, largest, total
from nnspec.accel.scalar import IDENTITY, ONE, SIGMOID, TANH, ZERO
from nnspec.accel.softmaxes import exp_minus, softmax_row
from nnspec.accel.vector_math import log, sigmoid, tanh

GATES = ("i", "f", "g", "o")


@helper
def log_total(x: Array) -> tuple[Any, Any]:
    """The largest x, and the logarithm of the sum of e^(x - largest): log p is x minus both."""
    high = largest(x)
    room = np.empty_like(x)
    exp_minus(room, x, high)
    return high, log(total(room))


@helper
def _hide(g: Array, ahead: Array, q: Array) -> None:
    for k in range(q.size):
        g[k] = tanh(ahead[k] + q[k])


@helper
def score_rows(
    e: Array,  # (L,), filled
    g: Array,  # (L, K), filled: the hidden layer
    q: Array,  # (K,), room
    ahead: Array,  # (L, K): W_a a_i
    h: Array,  # (H,)
    W_h_T: Array,  # (H, K)
    v: Array,  # (K,)
    b: Array,  # (K,)
) -> None:
    """f_att for every location."""
    for k in range(len(q)):
        q[k] = b[k]
    add_product(q, h, W_h_T)
    for i in range(len(e)):
        _hide(g[i], ahead[i], q)
        e[i] = dot(v, g[i])


@contracted
def _unhide(de: Any, g: Array, v: Array, dahead: Array, q: Array) -> None:
    for k in range(q.size):
        ds = de * v[k] * (ONE - g[k] * g[k])
        dahead[k] += ds
        q[k] += ds


@helper
def score_rows_vjp(
    de: Array,  # (L,)
    g: Array,  # (L, K)
    h: Array,  # (H,)
    W_h: Array,  # (K, H)
    v: Array,  # (K,)
    q: Array,  # (K,), room
    dahead: Array,  # (L, K); it and the rest are added to
    dh: Array,  # (H,)
    dW_h: Array,  # (K, H)
    dv: Array,  # (K,)
    db: Array,  # (K,)
) -> None:
    """From the scores to the hidden layer's inputs; q gathers what the state receives."""
    for k in range(len(q)):
        q[k] = ZERO
    for i in range(len(de)):
        _unhide(de[i], g[i], v, dahead[i], q)
        add_scaled(dv, de[i], g[i])
    for k in range(len(q)):
        db[k] += q[k]
    add_outer(dW_h, q, h)
    add_product(dh, q, W_h)


@helper
def gate_of(h: Array, w_beta: Array, b_beta: Array) -> Any:
    """The gate of a context: one number."""
    return sigmoid(b_beta[0] + dot(w_beta, h))


@helper
def context_vjp(
    dz: Array,  # (D,)
    dalpha: Array,  # (L,)
    alpha: Array,  # (L,)
    mean: Array,  # (D,): the context before the gate
    beta: Any,
    a: Array,  # (L, D)
    h: Array,  # (H,)
    w_beta: Array,  # (H,)
    de: Array,  # (L,), filled
    da: Array,  # (L, D); it and the rest are added to
    dh: Array,  # (H,)
    dw_beta: Array,  # (H,)
    db_beta: Array,  # (1,)
) -> None:
    """From the context to the scores, the image and the gate."""
    ds = dot(dz, mean) * (beta * (ONE - beta))
    db_beta[0] += ds
    add_scaled(dh, ds, w_beta)
    add_scaled(dw_beta, ds, h)
    for i in range(len(de)):
        add_scaled(da[i], alpha[i] * beta, dz)
        de[i] = dalpha[i] + beta * dot(dz, a[i])
    through = dot(de, alpha)
    for i in range(len(de)):
        de[i] = alpha[i] * (de[i] - through)


@helper
def speak_vjp(
    dlogits: Array,  # (V,)
    word: int,
    n: Array,  # (M,)
    h: Array,  # (H,)
    z: Array,  # (D,)
    L_h: Array,  # (M, H)
    L_z: Array,  # (M, D)
    L_o: Array,  # (V, M)
    dn: Array,  # (M,), room
    dh: Array,  # (H,); it and the rest are added to
    dz: Array,  # (D,)
    dE: Array,  # (V, M)
    dL_h: Array,  # (M, H)
    dL_z: Array,  # (M, D)
    dL_o: Array,  # (V, M)
    db_y: Array,  # (V,)
) -> None:
    """From the logits to the three terms of their sum."""
    for m in range(len(dn)):
        dn[m] = ZERO
    for k in range(len(dlogits)):
        db_y[k] += dlogits[k]
    add_product(dn, dlogits, L_o)
    add_outer(dL_o, dlogits, n)
    add_product(dh, dn, L_h)
    add_outer(dL_h, dn, h)
    add_product(dz, dn, L_z)
    add_outer(dL_z, dn, z)
    if word >= 0:
        for m in range(len(dn)):
            dE[word, m] += dn[m]


@helper
def speak(
    logits: Array,  # (V,), filled
    n: Array,  # (M,), filled
    word: int,
    h: Array,  # (H,)
    z: Array,  # (D,)
    E: Array,  # (V, M)
    L_h_T: Array,  # (H, M)
    L_z_T: Array,  # (D, M)
    L_o_T: Array,  # (M, V)
    b_y: Array,  # (V,)
) -> None:
    """The logits of a word, and the sum n that L_o acts on."""
    for m in range(len(n)):
        n[m] = E[word, m] if word >= 0 else ZERO
    add_product(n, h, L_h_T)
    add_product(n, z, L_z_T)
    for k in range(len(logits)):
        logits[k] = b_y[k]
    add_product(logits, n, L_o_T)


def _ahead(a: Array, W_a: Array) -> Array:
    """W_a a_i, (B, L, K)."""
    B, L, D = a.shape
    return product(a.reshape(B * L, D), W_a).reshape(B, L, len(W_a))


def _ahead_vjp(a: Array, W_a: Array, dahead: Array) -> tuple[Array, Array]:
    """(da, dW_a) for the errors of `_ahead`."""
    B, L, D = a.shape
    errors = dahead.reshape(B * L, len(W_a))
    da, dW_a, _ = layer_vjp(a.reshape(B * L, D), W_a, errors, errors, IDENTITY)
    return da.reshape(a.shape), dW_a


@kernel
def _scores(
    ahead: Array, h: Array, W_h_T: Array, v: Array, b: Array
) -> tuple[Array, Array]:  # e (B, L), g (B, L, K)
    g = np.empty_like(ahead)
    e = np.empty(ahead.shape[:2], ahead.dtype)
    q = np.empty(len(v), ahead.dtype)
    for n in range(len(h)):
        score_rows(e[n], g[n], q, ahead[n], h[n], W_h_T, v, b)
    return e, g


@kernel
def _scores_vjp(
    de: Array, g: Array, h: Array, W_h: Array, v: Array
) -> tuple[Array, Array, Array, Array, Array]:  # dahead, dh, dW_h, dv, db
    dahead, dh, dW_h = np.zeros_like(g), np.zeros_like(h), np.zeros_like(W_h)
    dv, db, q = np.zeros_like(v), np.zeros_like(v), np.empty_like(v)
    for n in range(len(h)):
        score_rows_vjp(de[n], g[n], h[n], W_h, v, q, dahead[n], dh[n], dW_h, dv, db)
    return dahead, dh, dW_h, dv, db


@kernel
def _soft(
    a: Array, e: Array, h: Array, w_beta: Array, b_beta: Array
) -> tuple[Array, Array, Array, Array]:  # z, alpha, mean, beta
    B, _, D = a.shape
    alpha = np.empty_like(e)
    mean = np.zeros((B, D), a.dtype)
    z = np.empty((B, D), a.dtype)
    beta = np.empty(B, a.dtype)
    for n in range(B):
        softmax_row(alpha[n], e[n])
        add_product(mean[n], alpha[n], a[n])
        beta[n] = gate_of(h[n], w_beta, b_beta)
        for j in range(D):
            z[n, j] = beta[n] * mean[n, j]
    return z, alpha, mean, beta


@kernel
def _soft_vjp(
    a: Array,
    alpha: Array,
    mean: Array,
    beta: Array,
    h: Array,
    w_beta: Array,
    dz: Array,
    dalpha: Array,
) -> tuple[Array, Array, Array, Array, Array]:  # da, de, dh, dw_beta, db_beta
    da, de, dh = np.zeros_like(a), np.empty_like(alpha), np.zeros_like(h)
    dw_beta, db_beta = np.zeros_like(w_beta), np.zeros(1, a.dtype)
    for n in range(len(h)):
        context_vjp(
            dz[n], dalpha[n], alpha[n], mean[n], beta[n], a[n], h[n], w_beta,
            de[n], da[n], dh[n], dw_beta, db_beta,
        )  # fmt: skip
    return da, de, dh, dw_beta, db_beta


@kernel
def _word(
    h: Array, z: Array, y: Array, E: Array, L_h_T: Array, L_z_T: Array, L_o_T: Array, b_y: Array
) -> tuple[Array, Array, Array]:  # logits, p, and the sum that L_o acts on
    B = len(h)
    logits = np.empty((B, len(b_y)), h.dtype)
    p = np.empty_like(logits)
    n = np.empty((B, E.shape[1]), h.dtype)
    for i in range(B):
        speak(logits[i], n[i], y[i], h[i], z[i], E, L_h_T, L_z_T, L_o_T, b_y)
        softmax_row(p[i], logits[i])
    return logits, p, n


@kernel
def _word_vjp(
    h: Array, z: Array, y: Array, E: Array, n: Array, p: Array, L_h: Array, L_z: Array, L_o: Array,
    dlogits: Array, dp: Array,
) -> tuple[Array, Array, Array, Array, Array, Array, Array]:  # fmt: skip
    # dh, dz, dE, dL_h, dL_z, dL_o, db_y
    dh, dz, dE = np.zeros_like(h), np.zeros_like(z), np.zeros_like(E)
    dL_h, dL_z, dL_o = np.zeros_like(L_h), np.zeros_like(L_z), np.zeros_like(L_o)
    db_y = np.zeros(len(L_o), h.dtype)
    dl = np.empty(len(L_o), h.dtype)
    dn = np.empty(len(L_h), h.dtype)
    for i in range(len(h)):
        through = dot(dp[i], p[i])
        for k in range(len(dl)):
            dl[k] = dlogits[i, k] + p[i, k] * (dp[i, k] - through)
        speak_vjp(
            dl, y[i], n[i], h[i], z[i], L_h, L_z, L_o, dn, dh[i], dz[i],
            dE, dL_h, dL_z, dL_o, db_y,
        )  # fmt: skip
    return dh, dz, dE, dL_h, dL_z, dL_o, db_y


@helper
def _remember(i: Array, f: Array, g: Array, c_prev: Array, c: Array) -> None:
    for k in range(c.size):
        c[k] = f[k] * c_prev[k] + i[k] * g[k]


@helper
def _reveal(o: Array, c: Array, h: Array) -> None:
    for k in range(h.size):
        h[k] = o[k] * tanh(c[k])


@kernel
def _caption(
    a: Array,  # (B, L, D)
    ahead: Array,  # (B, L, K)
    fed: Array,  # (T, B)
    lengths: Array,  # (B,)
    h_0: Array,  # (B, H)
    c_0: Array,  # (B, H)
    E: Array,  # (V, M)
    W_h_T: Array,  # (H, K)
    v: Array,  # (K,)
    b: Array,  # (K,)
    w_beta: Array,  # (H,)
    b_beta: Array,  # (1,)
    W_x_T: Array,  # (H + M + D, 4 H)
    b_x: Array,  # (4 H,)
    L_h_T: Array,  # (H, M)
    L_z_T: Array,  # (D, M)
    L_o_T: Array,  # (M, V)
    b_y: Array,  # (V,)
) -> tuple[Array, Array, Array, Array, Array, Array, Array, Array]:
    # logits, alpha, states h and c (T + 1, B, H) from the first on, and for the VJP the hidden
    # layer of the scores, the mean, [beta, i, f, g, o] and the sum that L_o acts on
    T, B = fed.shape
    _, L, D = a.shape
    H, M = h_0.shape[1], E.shape[1]
    logits = np.zeros((T, B, len(b_y)), a.dtype)
    alpha = np.zeros((T, B, L), a.dtype)
    h = np.zeros((T + 1, B, H), a.dtype)
    c = np.zeros((T + 1, B, H), a.dtype)
    hidden = np.empty((T, B, L, len(v)), a.dtype)
    mean = np.zeros((T, B, D), a.dtype)
    gates = np.empty((T, B, 1 + 4 * H), a.dtype)
    n = np.empty((T, B, M), a.dtype)
    h[0] = h_0
    c[0] = c_0
    e = np.empty(L, a.dtype)
    q = np.empty(len(v), a.dtype)
    x = np.empty(H + M + D, a.dtype)
    for t in range(T):
        for i in range(B):
            if t >= lengths[i]:
                continue
            word = fed[t, i]
            score_rows(e, hidden[t, i], q, ahead[i], h[t, i], W_h_T, v, b)
            softmax_row(alpha[t, i], e)
            add_product(mean[t, i], alpha[t, i], a[i])
            beta = gate_of(h[t, i], w_beta, b_beta)
            gates[t, i, 0] = beta
            for k in range(H):
                x[k] = h[t, i, k]
            for m in range(M):
                x[H + m] = E[word, m] if word >= 0 else ZERO
            for j in range(D):
                x[H + M + j] = beta * mean[t, i, j]
            s = gates[t, i, 1:]
            for k in range(4 * H):
                s[k] = b_x[k]
            add_product(s, x, W_x_T)
            activate_row(s[: 2 * H], SIGMOID)
            activate_row(s[2 * H : 3 * H], TANH)
            activate_row(s[3 * H :], SIGMOID)
            _remember(s[:H], s[H : 2 * H], s[2 * H : 3 * H], c[t, i], c[t + 1, i])
            _reveal(s[3 * H :], c[t + 1, i], h[t + 1, i])
            z = x[H + M :]
            speak(logits[t, i], n[t, i], word, h[t + 1, i], z, E, L_h_T, L_z_T, L_o_T, b_y)
    return logits, alpha, h, c, hidden, mean, gates, n


@kernel
def _caption_vjp(
    a: Array,
    fed: Array,
    lengths: Array,
    E: Array,
    W_h: Array,
    v: Array,
    w_beta: Array,
    W_x: Array,  # (4 H, H + M + D)
    L_h: Array,
    L_z: Array,
    L_o: Array,
    alpha: Array,
    h: Array,  # (T + 1, B, H)
    c: Array,  # (T + 1, B, H)
    hidden: Array,
    mean: Array,
    gates: Array,
    sums: Array,  # (T, B, M)
    dlogits: Array,
    dalpha: Array,
    dh_T: Array,  # (B, H)
    dc_T: Array,  # (B, H)
) -> tuple[
    Array, Array, Array, Array, Array, Array, Array, Array, Array, Array, Array, Array, Array,
    Array, Array, Array,
]:  # fmt: skip
    # da, dahead, dE, dW_h, dv, db, dw_beta, db_beta, dW_x, db_x, dL_h, dL_z, dL_o, db_y, dh_0, dc_0
    T, B = fed.shape
    _, L, D = a.shape
    H, M = h.shape[2], E.shape[1]
    da = np.zeros_like(a)
    dahead = np.zeros((B, L, len(v)), a.dtype)
    dE, dW_h, dv, db = np.zeros_like(E), np.zeros_like(W_h), np.zeros_like(v), np.zeros_like(v)
    dw_beta, db_beta = np.zeros_like(w_beta), np.zeros(1, a.dtype)
    dW_x, db_x = np.zeros_like(W_x), np.zeros(4 * H, a.dtype)
    dL_h, dL_z, dL_o = np.zeros_like(L_h), np.zeros_like(L_z), np.zeros_like(L_o)
    db_y = np.zeros(len(L_o), a.dtype)
    dh, dc = dh_T.copy(), dc_T.copy()
    dn = np.empty(M, a.dtype)
    dz = np.empty(D, a.dtype)
    de = np.empty(L, a.dtype)
    q = np.empty(len(v), a.dtype)
    x = np.empty(H + M + D, a.dtype)
    dx = np.empty(H + M + D, a.dtype)
    ds = np.empty(4 * H, a.dtype)
    for t in range(T - 1, -1, -1):
        for i in range(B):
            if t >= lengths[i]:
                continue
            word = fed[t, i]
            beta = gates[t, i, 0]
            s = gates[t, i, 1:]
            for k in range(H):
                x[k] = h[t, i, k]
            for m in range(M):
                x[H + m] = E[word, m] if word >= 0 else ZERO
            for j in range(D):
                x[H + M + j] = beta * mean[t, i, j]
                dz[j] = ZERO
            speak_vjp(
                dlogits[t, i], word, sums[t, i], h[t + 1, i], x[H + M :], L_h, L_z, L_o, dn, dh[i],
                dz, dE, dL_h, dL_z, dL_o, db_y,
            )  # fmt: skip
            for k in range(H):
                i_k, f_k, g_k, o_k = s[k], s[H + k], s[2 * H + k], s[3 * H + k]
                tanh_c = tanh(c[t + 1, i, k])
                dc_k = dc[i, k] + dh[i, k] * o_k * (ONE - tanh_c * tanh_c)
                ds[k] = dc_k * g_k * (i_k * (ONE - i_k))
                ds[H + k] = dc_k * c[t, i, k] * (f_k * (ONE - f_k))
                ds[2 * H + k] = dc_k * i_k * (ONE - g_k * g_k)
                ds[3 * H + k] = dh[i, k] * tanh_c * (o_k * (ONE - o_k))
                dc[i, k] = dc_k * f_k
            for k in range(4 * H):
                db_x[k] += ds[k]
            for k in range(H + M + D):
                dx[k] = ZERO
            add_product(dx, ds, W_x)
            add_outer(dW_x, ds, x)
            for k in range(H):
                dh[i, k] = dx[k]  # the new state has passed its error on; from here on the old's
            if word >= 0:
                for m in range(M):
                    dE[word, m] += dx[H + m]
            for j in range(D):
                dz[j] += dx[H + M + j]
            context_vjp(
                dz, dalpha[t, i], alpha[t, i], mean[t, i], beta, a[i], h[t, i], w_beta,
                de, da[i], dh[i], dw_beta, db_beta,
            )  # fmt: skip
            score_rows_vjp(de, hidden[t, i], h[t, i], W_h, v, q, dahead[i], dh[i], dW_h, dv, db)
    return (
        da, dahead, dE, dW_h, dv, db, dw_beta, db_beta, dW_x, db_x, dL_h, dL_z, dL_o, db_y, dh, dc
    )  # fmt: skip


@kernel
def _likelihood(logits: Array, words: Array, lengths: Array) -> Array:  # (B,)
    T, B, _ = logits.shape
    total = np.zeros(B, logits.dtype)
    for n in range(B):
        for t in range(min(T, lengths[n])):
            row = logits[t, n]
            high, rest = log_total(row)
            total[n] += (row[words[t, n]] - high) - rest
    return total


@kernel
def _likelihood_vjp(logits: Array, words: Array, lengths: Array, dtotal: Array) -> Array:
    T, B, V = logits.shape
    d = np.zeros_like(logits)
    for n in range(B):
        for t in range(min(T, lengths[n])):
            softmax_row(d[t, n], logits[t, n])
            for k in range(V):
                wrong = d[t, n, k] - ONE if k == words[t, n] else d[t, n, k]
                d[t, n, k] = -dtotal[n] * wrong
    return d


@kernel
def _lack(alpha: Array, lengths: Array, tau: Array) -> Array:  # tau (1,) to τ - Σ_t α_ti, (B, L)
    T, B, L = alpha.shape
    lack = np.zeros((B, L), alpha.dtype)
    for n in range(B):
        for t in range(min(T, lengths[n])):
            for i in range(L):
                lack[n, i] += alpha[t, n, i]
        for i in range(L):
            lack[n, i] = tau[0] - lack[n, i]
    return lack


@kernel
def _hard_gradient(
    e: Array, index: Array, lengths: Array, advantage: Array, lambda_e: Array
) -> Array:  # advantage (B,) with λ_r in it, lambda_e (1,)
    T, B, L = e.shape
    de = np.zeros_like(e)
    alpha = np.empty(L, e.dtype)
    surprise = np.empty(L, e.dtype)
    for n in range(B):
        for t in range(min(T, lengths[n])):
            softmax_row(alpha, e[t, n])
            high, rest = log_total(e[t, n])
            entropy = e.dtype.type(ZERO)
            for i in range(L):
                surprise[i] = ZERO
                if alpha[i] > ZERO:
                    surprise[i] = alpha[i] * ((e[t, n, i] - high) - rest)
                entropy -= surprise[i]
            for i in range(L):
                score = ONE - alpha[i] if i == index[t, n] else -alpha[i]
                spread = surprise[i] + alpha[i] * entropy
                de[t, n, i] = advantage[n] * score - lambda_e[0] * spread
    return de


@kernel
def _select(alpha: Array, u: Array) -> Array:  # (B, L), (B,) to (B,)
    B, L = alpha.shape
    index = np.zeros(B, np.int64)
    for n in range(B):
        total = alpha.dtype.type(ZERO)
        count = 0
        last = L - 1
        for i in range(L):
            total += alpha[n, i]
            if total <= u[n]:
                count += 1
            if alpha[n, i] > ZERO:
                last = i
        index[n] = min(count, last)
    return index


@kernel
def _accuracy(logits: Array, words: Array, lengths: Array) -> Array:  # (B,)
    T, B, V = logits.shape
    share = np.zeros(B, logits.dtype)
    for n in range(B):
        steps = min(T, lengths[n])
        right = 0
        for t in range(steps):
            best = 0
            for k in range(V):
                if logits[t, n, k] > logits[t, n, best]:
                    best = k
            if best == words[t, n]:
                right += 1
        if steps > 0:
            share[n] = right / steps
    return share


@kernel
def _location_gradient(
    h: Array, W: Array, W_T: Array, b: Array, index: Array, lengths: Array, advantage: Array
) -> tuple[Array, Array, Array]:  # dh, dW, db
    T, B, _ = h.shape
    L = len(W)
    dh, dW, db = np.zeros_like(h), np.zeros_like(W), np.zeros(L, h.dtype)
    s = np.empty(L, h.dtype)
    p = np.empty(L, h.dtype)
    for n in range(B):
        for t in range(min(T, lengths[n])):
            for i in range(L):
                s[i] = b[i]
            add_product(s, h[t, n], W_T)
            softmax_row(p, s)
            for i in range(L):
                score = ONE - p[i] if i == index[t, n] else -p[i]
                p[i] = advantage[n] * score
                db[i] += p[i]
            add_product(dh[t, n], p, W)
            add_outer(dW, p, h[t, n])
    return dh, dW, db


def _whole(index: Any, shape: tuple[int, ...], name: str) -> Array:
    """Integers of a shape, as a kernel takes them."""
    index = np.asarray(index)
    if index.shape != shape:
        raise ValueError(f"{name} has shape {index.shape}, wanted {shape}")
    if index.dtype.kind not in "iu" and index.size:
        raise TypeError(f"{name} are integers, not {index.dtype}")
    return plain(index, np.int64)


def _words(words: Array, V: int, lengths: Array | None = None) -> Array:
    """Words that may be read, -1 for every negative one; beyond a caption's length 0.

    Raises IndexError for a word that the vocabulary does not have.
    """
    if lengths is not None:
        words = np.where(np.arange(len(words))[:, None] < lengths, words, 0)
    if (words >= V).any():
        raise IndexError(f"a word lies outside 0 … {V - 1}")
    return plain(np.maximum(words, -1))


def _said(words: Any, shape: tuple[int, ...], V: int, lengths: Array) -> Array:
    """The words of captions: each must be one of the vocabulary."""
    said = _words(_whole(words, shape, "words"), V, lengths)
    if (said < 0).any():
        raise IndexError(f"a word lies outside 0 … {V - 1}")
    return said


def _constant(value: float, like: Array) -> Array:
    """A number as an array of one, so that it has the kernel's dtype."""
    return np.full(1, value, like.dtype)


def captioning_init(
    a: Array,  # (B, L, D)
    W_init_h: Array,  # (H, D)
    W_init_c: Array,  # (H, D)
    *,
    b_init_h: Array | None = None,  # (H,)
    b_init_c: Array | None = None,  # (H,)
) -> tuple[Array, Array]:
    """The states h_0 and c_0 (B, H) before the first word, from the mean annotation vector."""
    a, W_init_h, W_init_c, b_init_h, b_init_c = _init_arrays(
        a, W_init_h, W_init_c, b_init_h, b_init_c
    )
    mean = _mean(a)
    return layer(mean, W_init_h, b_init_h, TANH), layer(mean, W_init_c, b_init_c, TANH)


def _init_arrays(a: Any, W_init_h: Any, W_init_c: Any, b_init_h: Any, b_init_c: Any) -> list[Array]:
    return arrays(
        a=(a, "B L D"),
        W_init_h=(W_init_h, "H D"),
        W_init_c=(W_init_c, "H D"),
        b_init_h=(b_init_h, "H"),
        b_init_c=(b_init_c, "H"),
    )


def _mean(a: Array) -> Array:
    return np.asarray(a.sum(axis=1) / a.shape[1])


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
    given_h, given_c = b_init_h, b_init_c
    a, W_init_h, W_init_c, b_init_h, b_init_c = _init_arrays(
        a, W_init_h, W_init_c, b_init_h, b_init_c
    )
    states = {"dh_0": (dh_0, "B H"), "dc_0": (dc_0, "B H"), "W_init_h": (W_init_h, "H D")}
    dh_0, dc_0, _ = arrays(**states)
    mean = _mean(a)
    h_0, c_0 = layer(mean, W_init_h, b_init_h, TANH), layer(mean, W_init_c, b_init_c, TANH)
    dmean_h, dW_h, db_h = layer_vjp(mean, W_init_h, h_0, dh_0, TANH)
    dmean_c, dW_c, db_c = layer_vjp(mean, W_init_c, c_0, dc_0, TANH)
    da = np.zeros_like(a) + ((dmean_h + dmean_c) / a.shape[1])[:, None, :]
    d = {"da": da, "dW_init_h": dW_h, "dW_init_c": dW_c}
    return d | named(db_init_h=(db_h, given_h), db_init_c=(db_c, given_c))


def captioning_scores(
    a: Array,  # (B, L, D)
    h_prev: Array,  # (B, H)
    W_a: Array,  # (K, D)
    W_h: Array,  # (K, H)
    v: Array,  # (K,)
    *,
    b: Array | None = None,  # (K,)
) -> Array:
    """The scores e (B, L) of the locations, from the previous state."""
    a, h_prev, W_a, W_h, v, b = arrays(
        a=(a, "B L D"),
        h_prev=(h_prev, "B H"),
        W_a=(W_a, "K D"),
        W_h=(W_h, "K H"),
        v=(v, "K"),
        b=(b, "K"),
    )
    return _scores(_ahead(a, W_a), h_prev, transposed(W_h), v, b)[0]


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
    given_b = b
    a, h_prev, W_a, W_h, v, de, b = arrays(
        a=(a, "B L D"),
        h_prev=(h_prev, "B H"),
        W_a=(W_a, "K D"),
        W_h=(W_h, "K H"),
        v=(v, "K"),
        de=(de, "B L"),
        b=(b, "K"),
    )
    _, g = _scores(_ahead(a, W_a), h_prev, transposed(W_h), v, b)
    dahead, dh, dW_h, dv, db = _scores_vjp(de, g, h_prev, W_h, v)
    da, dW_a = _ahead_vjp(a, W_a, dahead)
    return {"da": da, "dh_prev": dh, "dW_a": dW_a, "dW_h": dW_h, "dv": dv} | named(db=(db, given_b))


def captioning_soft(
    a: Array,  # (B, L, D)
    e: Array,  # (B, L)
    h_prev: Array,  # (B, H)
    w_beta: Array,  # (H,)
    *,
    b_beta: Array | None = None,  # ()
) -> tuple[Array, Array]:
    """The gated context z (B, D) and the weights alpha (B, L)."""
    a, e, h_prev, w_beta, b_beta = arrays(
        a=(a, "B L D"),
        e=(e, "B L"),
        h_prev=(h_prev, "B H"),
        w_beta=(w_beta, "H"),
        b_beta=(b_beta, ""),
    )
    z, alpha, _, _ = _soft(a, e, h_prev, w_beta, b_beta.reshape(1))
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
    given_b_beta = b_beta
    a, e, h_prev, w_beta, dz, dalpha, b_beta = arrays(
        a=(a, "B L D"),
        e=(e, "B L"),
        h_prev=(h_prev, "B H"),
        w_beta=(w_beta, "H"),
        dz=(dz, "B D"),
        dalpha=(dalpha, "B L"),
        b_beta=(b_beta, ""),
    )
    _, alpha, mean, beta = _soft(a, e, h_prev, w_beta, b_beta.reshape(1))
    da, de, dh, dw_beta, db_beta = _soft_vjp(a, alpha, mean, beta, h_prev, w_beta, dz, dalpha)
    d = {"da": da, "de": de, "dh_prev": dh, "dw_beta": dw_beta}
    return d | named(db_beta=(db_beta.reshape(()), given_b_beta))


def captioning_hard(
    a: Array,  # (B, L, D)
    alpha: Array,  # (B, L)
    u: Array,  # (B,), uniform in [0, 1)
) -> tuple[Array, Array]:
    """The drawn annotation vector z (B, D), and which it is, index (B,)."""
    a, alpha, u = arrays(a=(a, "B L D"), alpha=(alpha, "B L"), u=(u, "B"))
    index = _select(alpha, u)
    return a[np.arange(len(a)), index], index


def captioning_hard_vjp(
    a: Array,
    alpha: Array,
    u: Array,
    dz: Array,  # (B, D)
) -> dict[str, Array]:
    """The drawn location receives dz."""
    a, alpha, u, dz = arrays(a=(a, "B L D"), alpha=(alpha, "B L"), u=(u, "B"), dz=(dz, "B D"))
    da = np.zeros_like(a)
    da[np.arange(len(a)), _select(alpha, u)] = dz
    return {"da": da}


def captioning_regulariser(
    alpha: Array,  # (T, B, L)
    *,
    lengths: Array | None = None,  # (B,), integers in 0 … T
    tau: float = 1.0,
    lambda_alpha: float = 1.0,
) -> Array:
    """The doubly stochastic penalty (B,): λ Σ_i (τ - Σ_t α_ti)²."""
    (alpha,) = arrays(alpha=(alpha, "T B L"))
    lack = _lack(alpha, whole_or(lengths, *alpha.shape[:2]), _constant(tau, alpha))
    return np.asarray(_constant(lambda_alpha, alpha) * (lack * lack).sum(axis=1))


def captioning_regulariser_vjp(
    alpha: Array,
    dpenalty: Array,  # (B,)
    *,
    lengths: Array | None = None,
    tau: float = 1.0,
    lambda_alpha: float = 1.0,
) -> dict[str, Array]:
    """dα_ti = -2 λ (τ - Σ_t α_ti), the same at every time of the caption."""
    alpha, dpenalty = arrays(alpha=(alpha, "T B L"), dpenalty=(dpenalty, "B"))
    lengths = whole_or(lengths, *alpha.shape[:2])
    lack = _lack(alpha, lengths, _constant(tau, alpha))
    dlack = _constant(-2 * lambda_alpha, alpha) * lack * dpenalty[:, None]
    valid = np.arange(len(alpha))[:, None] < lengths
    return {"dalpha": np.where(valid[:, :, None], dlack, np.zeros_like(alpha))}


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
    """The next word's logits and probabilities p, (B, V) each."""
    h, z, E, L_h, L_z, L_o, b_y = arrays(
        h=(h, "B H"),
        z=(z, "B D"),
        E=(E, "V M"),
        L_h=(L_h, "M H"),
        L_z=(L_z, "M D"),
        L_o=(L_o, "V M"),
        b_y=(b_y, "V"),
    )
    y = _words(_whole(y, (len(h),), "y"), len(E))
    logits, p, _ = _word(h, z, y, E, transposed(L_h), transposed(L_z), transposed(L_o), b_y)
    return logits, p


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
    given_b_y = b_y
    h, z, E, L_h, L_z, L_o, dlogits, dp, b_y = arrays(
        h=(h, "B H"),
        z=(z, "B D"),
        E=(E, "V M"),
        L_h=(L_h, "M H"),
        L_z=(L_z, "M D"),
        L_o=(L_o, "V M"),
        dlogits=(dlogits, "B V"),
        dp=(dp, "B V"),
        b_y=(b_y, "V"),
    )
    y = _words(_whole(y, (len(h),), "y"), len(E))
    _, p, n = _word(h, z, y, E, transposed(L_h), transposed(L_z), transposed(L_o), b_y)
    names = ("dh", "dz", "dE", "dL_h", "dL_z", "dL_o", "db_y")
    made = _word_vjp(h, z, y, E, n, p, L_h, L_z, L_o, dlogits, dp)
    d = dict(zip(names, made, strict=True))
    db_y = d.pop("db_y")
    return d | named(db_y=(db_y, given_b_y))


SHAPES = {
    "a": "B L D",
    "h_prev": "B H",
    "c_prev": "B H",
    "E": "V M",
    "W_init_h": "H D",
    "W_init_c": "H D",
    "W_a": "K D",
    "W_h": "K H",
    "v": "K",
    "w_beta": "H",
    "W_i": "H H+M+D",
    "W_f": "H H+M+D",
    "W_g": "H H+M+D",
    "W_o": "H H+M+D",
    "L_h": "M H",
    "L_z": "M D",
    "L_o": "V M",
    "b_init_h": "H",
    "b_init_c": "H",
    "b": "K",
    "b_beta": "",
    "b_i": "H",
    "b_f": "H",
    "b_g": "H",
    "b_o": "H",
    "b_y": "V",
}
COTANGENTS = {
    "step": {"dlogits": "B V", "dalpha": "B L", "dh": "B H", "dc": "B H"},
    "forward": {"dlogits": "T B V", "dalpha": "T B L"},
}


def _ready(inputs: dict[str, Any], cotangents: dict[str, str]) -> dict[str, Array]:
    """All floating inputs by name, as kernels take them; b_beta is (1,)."""
    shapes = SHAPES | cotangents
    made = arrays(**{name: (value, shapes[name]) for name, value in inputs.items()})
    w = dict(zip(inputs, made, strict=True))
    w["b_beta"] = w["b_beta"].reshape(1)
    return w


def _run(w: dict[str, Array], fed: Array, lengths: Array, h_0: Array, c_0: Array) -> Any:
    """The kernel forwards from given states."""
    W_x = np.concatenate([w[f"W_{k}"] for k in GATES])
    b_x = np.concatenate([w[f"b_{k}"] for k in GATES])
    return _caption(
        w["a"], _ahead(w["a"], w["W_a"]), fed, lengths, h_0, c_0, w["E"],
        transposed(w["W_h"]), w["v"], w["b"], w["w_beta"], w["b_beta"], transposed(W_x), b_x,
        transposed(w["L_h"]), transposed(w["L_z"]), transposed(w["L_o"]), w["b_y"],
    )  # fmt: skip


def _run_vjp(
    w: dict[str, Array],
    fed: Array,
    lengths: Array,
    run: Any,
    cotangents: tuple[Array, Array, Array, Array],
    given: dict[str, Any],
) -> tuple[dict[str, Array], Array, Array]:
    """The kernel backwards: the gradients of image, weights and given biases, dh_0 and dc_0."""
    _, alpha, h, c, hidden, mean, gates, sums = run
    H = h.shape[2]
    W_x = np.concatenate([w[f"W_{k}"] for k in GATES])
    names = (
        "da", "dahead", "dE", "dW_h", "dv", "db", "dw_beta", "db_beta", "dW_x", "db_x", "dL_h",
        "dL_z", "dL_o", "db_y", "dh_0", "dc_0",
    )  # fmt: skip
    made = _caption_vjp(
        w["a"], fed, lengths, w["E"], w["W_h"], w["v"], w["w_beta"], W_x, w["L_h"], w["L_z"],
        w["L_o"], alpha, h, c, hidden, mean, gates, sums, *cotangents,
    )  # fmt: skip
    d = dict(zip(names, made, strict=True))
    da, d["dW_a"] = _ahead_vjp(w["a"], w["W_a"], d.pop("dahead"))
    d["da"] += da
    dW_x, db_x = d.pop("dW_x"), d.pop("db_x")
    for place, k in enumerate(GATES):
        d[f"dW_{k}"] = dW_x[place * H : place * H + H].copy()
        d[f"db_{k}"] = db_x[place * H : place * H + H].copy()
    d["db_beta"] = d["db_beta"].reshape(())
    for name, value in given.items():
        if value is None:
            d.pop(f"d{name}")
    return d, d.pop("dh_0"), d.pop("dc_0")


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
    """One word of the decoder: logits (B, V), alpha (B, L), h (B, H) and c (B, H)."""
    inputs = {"h_prev": h_prev, "c_prev": c_prev, "a": a, "E": E, "W_a": W_a, "W_h": W_h} | {
        "v": v, "w_beta": w_beta, "W_i": W_i, "W_f": W_f, "W_g": W_g, "W_o": W_o, "L_h": L_h,
        "L_z": L_z, "L_o": L_o, "b": b, "b_beta": b_beta, "b_i": b_i, "b_f": b_f, "b_g": b_g,
        "b_o": b_o, "b_y": b_y,
    }  # fmt: skip
    w = _ready(inputs, {})
    B = len(w["a"])
    fed = _words(_whole(y, (B,), "y"), len(w["E"])).reshape(1, B)
    logits, alpha, h, c, *_ = _run(w, fed, whole_or(None, 1, B), w["h_prev"], w["c_prev"])
    return logits[0], alpha[0], h[1], c[1]


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
    """The step backwards: word, cell, context, scores."""
    given = {"b": b, "b_beta": b_beta, "b_i": b_i, "b_f": b_f, "b_g": b_g, "b_o": b_o, "b_y": b_y}
    inputs = {"h_prev": h_prev, "c_prev": c_prev, "a": a, "E": E, "W_a": W_a, "W_h": W_h} | {
        "v": v, "w_beta": w_beta, "W_i": W_i, "W_f": W_f, "W_g": W_g, "W_o": W_o, "L_h": L_h,
        "L_z": L_z, "L_o": L_o, "dlogits": dlogits, "dalpha": dalpha, "dh": dh, "dc": dc,
    }  # fmt: skip
    w = _ready(inputs | given, COTANGENTS["step"])
    B = len(w["a"])
    fed, lengths = _words(_whole(y, (B,), "y"), len(w["E"])).reshape(1, B), whole_or(None, 1, B)
    run = _run(w, fed, lengths, w["h_prev"], w["c_prev"])
    cotangents = (w["dlogits"][None], w["dalpha"][None], w["dh"], w["dc"])
    d, dh_prev, dc_prev = _run_vjp(w, fed, lengths, run, cotangents, given)
    return d | {"dh_prev": dh_prev, "dc_prev": dc_prev}


def _fed(words: Any, first: Any, lengths: Any, B: int, V: int) -> tuple[Array, Array]:
    """The word that each step is fed, (T, B), and the lengths."""
    words = np.asarray(words)
    words = _whole(words, (len(words), B), "words")
    T = len(words)
    steps = whole_or(lengths, T, B)
    begin = np.full(B, -1) if first is None else _whole(first, (B,), "first")
    return _words(np.concatenate([begin[None], words])[:T], V, steps), steps


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
    """A caption with teacher forcing: logits (T, B, V) and alpha (T, B, L)."""
    inputs = {"a": a, "E": E, "W_init_h": W_init_h, "W_init_c": W_init_c, "W_a": W_a} | {
        "W_h": W_h, "v": v, "w_beta": w_beta, "W_i": W_i, "W_f": W_f, "W_g": W_g, "W_o": W_o,
        "L_h": L_h, "L_z": L_z, "L_o": L_o, "b_init_h": b_init_h, "b_init_c": b_init_c, "b": b,
        "b_beta": b_beta, "b_i": b_i, "b_f": b_f, "b_g": b_g, "b_o": b_o, "b_y": b_y,
    }  # fmt: skip
    w = _ready(inputs, {})
    fed, steps = _fed(words, first, lengths, len(w["a"]), len(w["E"]))
    logits, alpha, *_ = _run(w, fed, steps, *_start(w))
    return logits, alpha


def _start(w: dict[str, Array]) -> tuple[Array, Array]:
    """The initial states."""
    mean = _mean(w["a"])
    return (
        layer(mean, w["W_init_h"], w["b_init_h"], TANH),
        layer(mean, w["W_init_c"], w["b_init_c"], TANH),
    )


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
    given = {"b": b, "b_beta": b_beta, "b_i": b_i, "b_f": b_f, "b_g": b_g, "b_o": b_o, "b_y": b_y}
    inputs = {"a": a, "E": E, "W_init_h": W_init_h, "W_init_c": W_init_c, "W_a": W_a} | {
        "W_h": W_h, "v": v, "w_beta": w_beta, "W_i": W_i, "W_f": W_f, "W_g": W_g, "W_o": W_o,
        "L_h": L_h, "L_z": L_z, "L_o": L_o, "b_init_h": b_init_h, "b_init_c": b_init_c,
        "dlogits": dlogits, "dalpha": dalpha,
    }  # fmt: skip
    w = _ready(inputs | given, COTANGENTS["forward"])
    fed, steps = _fed(words, first, lengths, len(w["a"]), len(w["E"]))
    h_0, c_0 = _start(w)
    run = _run(w, fed, steps, h_0, c_0)
    none = np.zeros_like(h_0)
    cotangents = (w["dlogits"], w["dalpha"], none, none)
    d, dh_0, dc_0 = _run_vjp(w, fed, steps, run, cotangents, given)
    biases = {"b_init_h": b_init_h, "b_init_c": b_init_c}
    d_init = captioning_init_vjp(w["a"], w["W_init_h"], w["W_init_c"], dh_0, dc_0, **biases)
    return d | d_init | {"da": d["da"] + d_init["da"]}


def captioning_loss(
    logits: Array,  # (T, B, V)
    alpha: Array,  # (T, B, L)
    words: Array,  # (T, B), the words that should be said
    *,
    lengths: Array | None = None,  # (B,), integers in 0 … T
    tau: float = 1.0,
    lambda_alpha: float = 1.0,
) -> Array:
    """-log p(y | a) and the doubly stochastic penalty, of each caption by itself: (B,)."""
    logits, alpha = arrays(logits=(logits, "T B V"), alpha=(alpha, "T B L"))
    steps = whole_or(lengths, *logits.shape[:2])
    said = _said(words, logits.shape[:2], logits.shape[2], steps)
    penalty = captioning_regulariser(alpha, lengths=steps, tau=tau, lambda_alpha=lambda_alpha)
    return np.asarray(penalty - _likelihood(logits, said, steps))


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
    logits, alpha, dloss = arrays(
        logits=(logits, "T B V"), alpha=(alpha, "T B L"), dloss=(dloss, "B")
    )
    steps = whole_or(lengths, *logits.shape[:2])
    said = _said(words, logits.shape[:2], logits.shape[2], steps)
    options = {"tau": tau, "lambda_alpha": lambda_alpha}
    d = captioning_regulariser_vjp(alpha, dloss, lengths=steps, **options)
    return {"dlogits": _likelihood_vjp(logits, said, steps, -dloss)} | d


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
    """λ_r (log p - b) ∇log p(s) + λ_e ∇H(s) for the scores, (T, B, L), to ascend."""
    e, log_p, baseline = arrays(e=(e, "T B L"), log_p=(log_p, "B"), baseline=(baseline, "B"))
    steps = whole_or(lengths, *e.shape[:2])
    advantage = _constant(lambda_r, e) * (log_p - baseline)
    index = _whole(index, e.shape[:2], "index")
    return _hard_gradient(e, index, steps, advantage, _constant(lambda_e, e))


def captioning_baseline(
    baseline: Array,  # ()
    log_p: Array,  # (B,), B >= 1
    *,
    decay: float = 0.9,
) -> Array:
    """The moving average () of the log-likelihoods of the minibatches so far."""
    baseline, log_p = arrays(baseline=(baseline, ""), log_p=(log_p, "B"))
    mean = log_p.sum() / log_p.dtype.type(len(log_p))
    share = log_p.dtype.type
    return np.asarray(share(decay) * baseline + share(1 - decay) * mean)


def captioning_location_policy(
    h: Array,  # (B, H)
    W: Array,  # (L, H)
    u: Array,  # (B,), uniform in [0, 1)
    *,
    b: Array | None = None,  # (L,)
) -> tuple[Array, Array]:
    """The probabilities p (B, L) of the L variants, and the one that is drawn, index (B,)."""
    h, W, u, b = arrays(h=(h, "B H"), W=(W, "L H"), u=(u, "B"), b=(b, "L"))
    p = _policy(layer(h, W, b, IDENTITY))
    return p, _select(p, u)


@kernel
def _policy(s: Array) -> Array:  # (B, L), the softmax of each row
    p = np.empty_like(s)
    for n in range(len(s)):
        softmax_row(p[n], s[n])
    return p


def captioning_location_policy_vjp(
    h: Array,
    W: Array,
    u: Array,
    dp: Array,  # (B, L)
    *,
    b: Array | None = None,
) -> dict[str, Array]:
    """Softmax's VJP, then the layer's; the draw passes nothing on."""
    given_b = b
    h, W, _, dp, b = arrays(h=(h, "B H"), W=(W, "L H"), u=(u, "B"), dp=(dp, "B L"), b=(b, "L"))
    s = layer(h, W, b, IDENTITY)
    p = _policy(s)
    ds = p * (dp - (dp * p).sum(axis=1, keepdims=True))
    dh, dW, db = layer_vjp(h, W, s, ds, IDENTITY)
    return {"dh": dh, "dW": dW} | named(db=(db, given_b))


def captioning_reward(
    logits: Array,  # (T, B, V)
    words: Array,  # (T, B)
    *,
    lengths: Array | None = None,  # (B,), integers in 0 … T
    measure: str = "accuracy",
) -> Array:
    """The share of the caption's words that are predicted, or their log-likelihood: (B,)."""
    (logits,) = arrays(logits=(logits, "T B V"))
    steps = whole_or(lengths, *logits.shape[:2])
    said = _said(words, logits.shape[:2], logits.shape[2], steps)
    if measure == "log_likelihood":
        return _likelihood(logits, said, steps)
    return _accuracy(logits, said, steps)


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
    """REINFORCE's dh (T, B, H), dW (L, H) and db (L,), to ascend the expected reward."""
    h, W, reward, b, baseline = arrays(
        h=(h, "T B H"), W=(W, "L H"), reward=(reward, "B"), b=(b, "L"), baseline=(baseline, "B")
    )
    steps = whole_or(lengths, *h.shape[:2])
    index = _whole(index, h.shape[:2], "index")
    return _location_gradient(h, W, transposed(W), b, index, steps, reward - baseline)
