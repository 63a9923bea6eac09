"""The transformer of Vaswani 2017: attention and positions in place of recurrence.

Batch first, (B, L, D), since no time step waits for another; the recurrent topics are time first.
The rows of a weight matrix are outputs, x Wᵀ, where the paper writes x W.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from nnspec.reference.array import Array, cast, constants, nominal
from nnspec.reference.primitives import (
    affine,
    affine_vjp,
    layer_norm,
    layer_norm_vjp,
    refuse_outside,
    relu,
    relu_vjp,
)

Gradients = dict[str, Array]

Sublayer = tuple[Callable[[Array], Array], Callable[[Array, Array], Gradients]]

ATTENTION = ("W_q", "W_k", "W_v", "W_o", "b_q", "b_k", "b_v", "b_o")


def encoding(
    L: int,
    D: int,
    offset: int,
    like: Array,
) -> Array:
    """PE(p, c) for p = offset … offset + L - 1: sin where c is even, cos where it is odd.

    Columns 2i and 2i + 1 share a frequency. Returns (L, D).
    """
    p = constants(np.arange(offset, offset + L)[:, None], like=like)
    pair = constants(np.arange(D) // 2 * 2, like=like)
    frequency = np.exp(-pair / D * np.log(constants([10000], like=like)))
    angle = p * frequency
    even = np.arange(D) % 2 == 0
    table = np.where(even, np.sin(angle), np.cos(angle))  # transformer.positional_encoding
    return cast(table, like=like)


def positional_encoding(
    x: Array,  # (B, L, D)
    *,
    offset: int = 0,
) -> Array:
    """y = x + PE, x[:, 0] at position `offset`.

    Returns y (B, L, D).
    Source: Vaswani 2017, section 3.5; spec/transformer.md. Not the form whose first half of
    columns are sines and whose second half cosines.
    """
    _, L, D = x.shape
    y: Array = x + encoding(L, D, offset, like=x)  # transformer.positions
    return y


def positional_encoding_vjp(x: Array, dy: Array, *, offset: int = 0) -> Gradients:
    """dx = dy: the positions are constants."""
    return {"dx": dy.copy()}


def positional_rotation(
    x: Array,  # (B, L, D), D even
    *,
    shift: int = 0,
) -> Array:
    """R x: each pair of columns (2i, 2i + 1) turned by `shift` times its frequency.

    PE(p) becomes PE(p + shift), whatever p is. Returns y (B, L, D).
    Source: Vaswani 2017, section 3.5; spec/transformer.md.
    """
    D = x.shape[-1]
    if D % 2:
        raise ValueError(f"x has shape {x.shape}, wanted an even last axis: columns in pairs")
    turn = encoding(1, D, shift, like=x)[0]
    sine, cosine = turn[0::2], turn[1::2]
    y = np.zeros_like(x)
    y[..., 0::2] = x[..., 0::2] * cosine + x[..., 1::2] * sine  # transformer.rotation
    y[..., 1::2] = x[..., 1::2] * cosine - x[..., 0::2] * sine  # transformer.rotation
    return y


def positional_rotation_vjp(x: Array, dy: Array, *, shift: int = 0) -> Gradients:
    """dx = Rᵀ dy, the turn back."""
    return {"dx": positional_rotation(dy, shift=-shift)}


def visible(
    shape: tuple[int, ...],  # B, N, L, S
    mask: Array | None,
    lengths: Array | None,  # (B,)
    causal: bool,
) -> Array:
    """Which key each query sees, (B, N, L, S) of bool: where mask, length and order all allow it.

    Raises ValueError for a mask that does not broadcast to that shape.
    """
    L, S = shape[2:]
    i, j = np.arange(L)[:, None], np.arange(S)
    keep = np.ones(shape, dtype=bool)
    if mask is not None:
        keep = keep & np.broadcast_to(mask, shape)  # transformer.mask
    if lengths is not None:
        keep = keep & (j < lengths[:, None, None, None])  # transformer.lengths
    if causal:
        keep = keep & (j <= i + (S - L))  # transformer.causal
    return keep


def scores(
    q: Array,  # (B, N, L, K)
    k: Array,  # (B, N, S, K)
) -> Array:
    """q · k / √K of each query with each key, (B, N, L, S)."""
    root = cast(np.sqrt(constants([q.shape[-1]], like=q)), like=q)
    s: Array = q @ k.swapaxes(-1, -2) / root  # transformer.scores
    return s


def masked_softmax(
    s: Array,  # (…, S)
    keep: Array,  # (…, S)
) -> Array:
    """Softmax over the kept elements of each row, 0 elsewhere; a row that keeps none is 0."""
    some = keep.any(axis=-1, keepdims=True)
    largest = np.where(keep, nominal(s), -np.inf).max(axis=-1, keepdims=True, initial=-np.inf)
    # any shift gives the same quotient; the row's largest keeps every exponential at or below 1
    shift = np.where(largest == -np.inf, 0, largest).astype(s.dtype)
    e = np.where(keep, np.exp(chosen(keep, s) - np.where(keep, shift, 0)), 0)
    total = e.sum(axis=-1, keepdims=True)
    p: Array = np.where(keep, e / np.where(some, total, 1), 0)  # transformer.weights
    return p


def attention_weights(
    q: Array,  # (B, N, L, K)
    k: Array,  # (B, N, S, K)
    *,
    mask: Array | None = None,  # broadcasts to (B, N, L, S); True keeps
    lengths: Array | None = None,  # (B,), integers in 0 … S
    causal: bool = False,
) -> Array:
    """How much each query attends to each key: softmax(q kᵀ / √K) over the keys that it sees.

    Returns p (B, N, L, S), whose rows sum to 1, or to 0 where a query sees nothing.
    Source: Vaswani 2017, equation 1; spec/transformer.md.
    """
    s = scores(q, k)
    return masked_softmax(s, visible(s.shape, mask, lengths, causal))


def attention_weights_vjp(
    q: Array,
    k: Array,
    dp: Array,  # (B, N, L, S)
    *,
    mask: Array | None = None,
    lengths: Array | None = None,
    causal: bool = False,
) -> Gradients:
    """ds = p (dp - sum_j dp p), dq = ds k / √K, dk = dsᵀ q / √K, over what is seen."""
    s = scores(q, k)
    keep = visible(s.shape, mask, lengths, causal)
    p = masked_softmax(s, keep)
    dp = np.where(keep, dp, 0)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    return scores_vjp(q, k, ds, keep)


def scores_vjp(q: Array, k: Array, ds: Array, keep: Array) -> Gradients:
    """dq and dk from the gradient of the scores, which is 0 where a key is not seen."""
    root = cast(np.sqrt(constants([q.shape[-1]], like=q)), like=q)
    ds = np.where(keep, ds, 0)  # a NaN of the row reaches no key that it does not see
    return {
        "dq": seen_product(ds, k, keep) / root,
        "dk": seen_product(ds.swapaxes(-1, -2), q, keep.swapaxes(-1, -2)) / root,
    }


def seen_product(
    a: Array,  # (B, N, L, S)
    b: Array,  # (B, N, S, J)
    keep: Array,  # (B, N, L, S)
) -> Array:
    """a b, (B, N, L, J), where row i leaves out the rows of b that it does not keep.

    A product with 0 would let a NaN there through.
    """
    y = np.zeros_like(a, shape=(*a.shape[:-1], b.shape[-1]))
    for i in range(a.shape[-2]):
        seen = np.where(keep[..., i, :, None], b, 0)
        y[..., i, :] = (a[..., i : i + 1, :] @ seen)[..., 0, :]
    return y


def scaled_dot_product_attention(
    q: Array,  # (B, N, L, K)
    k: Array,  # (B, N, S, K)
    v: Array,  # (B, N, S, J)
    *,
    mask: Array | None = None,  # broadcasts to (B, N, L, S); True keeps
    lengths: Array | None = None,  # (B,), integers in 0 … S
    causal: bool = False,
) -> Array:
    """softmax(q kᵀ / √K) v: for each query the mean of the values, weighted by its attention.

    Returns y (B, N, L, J); 0 for a query that sees nothing.
    Source: Vaswani 2017, equation 1; spec/transformer.md.
    """
    s = scores(q, k)
    keep = visible(s.shape, mask, lengths, causal)
    p = masked_softmax(s, keep)
    return seen_product(p, v, keep)  # transformer.attention


def scaled_dot_product_attention_vjp(
    q: Array,
    k: Array,
    v: Array,
    dy: Array,  # (B, N, L, J)
    *,
    mask: Array | None = None,
    lengths: Array | None = None,
    causal: bool = False,
) -> Gradients:
    """dv = pᵀ dy, dp = dy vᵀ, ds = p (dp - sum_j dp p), then as `attention_weights_vjp`."""
    s = scores(q, k)
    keep = visible(s.shape, mask, lengths, causal)
    p = masked_softmax(s, keep)
    dp = np.where(keep, dy @ v.swapaxes(-1, -2), 0)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    dv = seen_product(p.swapaxes(-1, -2), dy, keep.swapaxes(-1, -2))
    return scores_vjp(q, k, ds, keep) | {"dv": dv}


def split(
    x: Array,  # (B, L, heads * K)
    heads: int,
) -> Array:
    """Head n takes columns n K … n K + K - 1. Returns (B, heads, L, K)."""
    B, L, P = x.shape
    return x.reshape(B, L, heads, P // heads).swapaxes(1, 2)  # transformer.heads


def merge(
    x: Array,  # (B, heads, L, K)
) -> Array:
    """Concat(head_1 … head_N), the inverse of `split`. Returns (B, L, heads * K)."""
    B, heads, L, K = x.shape
    return x.swapaxes(1, 2).reshape(B, L, heads * K)


def multi_head_attention(
    q: Array,  # (B, L, D)
    k: Array,  # (B, S, D)
    v: Array,  # (B, S, D)
    W_q: Array,  # (P, D), P = heads * d_k
    W_k: Array,  # (P, D)
    W_v: Array,  # (R, D), R = heads * d_v
    W_o: Array,  # (D, R)
    *,
    b_q: Array | None = None,  # (P,)
    b_k: Array | None = None,  # (P,)
    b_v: Array | None = None,  # (R,)
    b_o: Array | None = None,  # (D,)
    mask: Array | None = None,  # broadcasts to (B, heads, L, S); True keeps
    lengths: Array | None = None,  # (B,), integers in 0 … S
    heads: int = 1,
    causal: bool = False,
) -> Array:
    """Concat(head_1 … head_N) W_oᵀ, each head attending with its own rows of W_q, W_k, W_v.

    Returns y (B, L, D). A key that no query sees is never used, be it NaN.
    Source: Vaswani 2017, section 3.2.2; spec/transformer.md.
    """
    k, v, _ = seen_keys(q, k, v, mask, lengths, heads, causal)
    q_n = split(affine(q, W_q, b=b_q), heads)
    k_n = split(affine(k, W_k, b=b_k), heads)  # transformer.key_bias
    v_n = split(affine(v, W_v, b=b_v), heads)
    head = scaled_dot_product_attention(q_n, k_n, v_n, mask=mask, lengths=lengths, causal=causal)
    return affine(merge(head), W_o, b=b_o)  # transformer.multi_head_attention


def seen_keys(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None,
    lengths: Array | None,
    heads: int,
    causal: bool,
) -> tuple[Array, Array, Array]:
    """k and v with 0 for the keys that no query of any head sees, and which are seen (B, S, 1)."""
    B, L, S = *q.shape[:2], k.shape[1]
    keep = visible((B, heads, L, S), mask, lengths, causal)
    some: Array = np.logical_or.reduce(keep, axis=(1, 2))
    seen = some[..., None]
    return chosen(seen, k), chosen(seen, v), seen


def chosen(keep: Array, x: Array) -> Array:
    """x where kept, and a 0 of its kind elsewhere."""
    zero = constants([0], like=x).astype(x.dtype)
    return np.where(keep, x, zero)


def multi_head_attention_vjp(
    q: Array,
    k: Array,
    v: Array,
    W_q: Array,
    W_k: Array,
    W_v: Array,
    W_o: Array,
    dy: Array,  # (B, L, D)
    *,
    b_q: Array | None = None,
    b_k: Array | None = None,
    b_v: Array | None = None,
    b_o: Array | None = None,
    mask: Array | None = None,
    lengths: Array | None = None,
    heads: int = 1,
    causal: bool = False,
) -> Gradients:
    """The projections' VJPs around that of the attention, head by head."""
    k, v, seen = seen_keys(q, k, v, mask, lengths, heads, causal)
    q_n = split(affine(q, W_q, b=b_q), heads)
    k_n = split(affine(k, W_k, b=b_k), heads)
    v_n = split(affine(v, W_v, b=b_v), heads)
    see: dict[str, Any] = {"mask": mask, "lengths": lengths, "causal": causal}
    head = scaled_dot_product_attention(q_n, k_n, v_n, **see)
    d_o = rows_vjp(merge(head), W_o, dy, b_o)
    dhead = split(d_o["dx"], heads)
    d_n = scaled_dot_product_attention_vjp(q_n, k_n, v_n, dhead, **see)
    d = {"dW_o": d_o["dW"]} | ({} if b_o is None else {"db_o": d_o["db"]})
    for name, x, W, b in (("q", q, W_q, b_q), ("k", k, W_k, b_k), ("v", v, W_v, b_v)):
        d_x = rows_vjp(x, W, merge(d_n[f"d{name}"]), b)
        d |= {f"d{name}": d_x["dx"], f"dW_{name}": d_x["dW"]}
        d |= {} if b is None else {f"db_{name}": d_x["db"]}
    return d | {"dk": np.where(seen, d["dk"], 0), "dv": np.where(seen, d["dv"], 0)}


def rows_vjp(
    x: Array,  # (B, L, I)
    W: Array,  # (O, I)
    dy: Array,  # (B, L, O)
    b: Array | None,  # (O,)
) -> Gradients:
    """`affine_vjp` over batch and positions: every position is a row."""
    d = affine_vjp(x.reshape(-1, W.shape[1]), W, dy.reshape(-1, W.shape[0]), b=b)
    return d | {"dx": d["dx"].reshape(x.shape)}


def feed_forward(
    x: Array,  # (B, L, D)
    W_1: Array,  # (H, D)
    W_2: Array,  # (D, H)
    *,
    b_1: Array | None = None,  # (H,)
    b_2: Array | None = None,  # (D,)
) -> Array:
    """max(0, x W_1ᵀ + b_1) W_2ᵀ + b_2, at each position by itself.

    Returns y (B, L, D).
    Source: Vaswani 2017, equation 2; spec/transformer.md.
    """
    return affine(relu(affine(x, W_1, b=b_1)), W_2, b=b_2)  # transformer.feed_forward


def feed_forward_vjp(
    x: Array,
    W_1: Array,
    W_2: Array,
    dy: Array,  # (B, L, D)
    *,
    b_1: Array | None = None,
    b_2: Array | None = None,
) -> Gradients:
    """Back through W_2, the ReLU and W_1; dW and db are sums over batch and positions."""
    a = affine(x, W_1, b=b_1)
    d_2 = rows_vjp(relu(a), W_2, dy, b_2)
    d_1 = rows_vjp(x, W_1, relu_vjp(a, d_2["dx"])["dx"], b_1)
    d = {"dx": d_1["dx"], "dW_1": d_1["dW"], "dW_2": d_2["dW"]}
    return d | {f"db_{n}": e["db"] for n, e in ((1, d_1), (2, d_2)) if "db" in e}


def add_norm(
    x: Array,  # (B, L, D)
    f: Callable[[Array], Array],
    gamma: Array,  # (D,)
    beta: Array,  # (D,)
    norm: str,
) -> Array:
    """A sublayer f with its residual connection, normalised after the sum, or before f."""
    if norm == "post":
        return layer_norm(x + f(x), gamma, beta)  # transformer.add_norm
    if norm == "pre":
        return x + f(layer_norm(x, gamma, beta))  # transformer.add_norm
    raise ValueError(f"norm is 'post' or 'pre', not {norm!r}")


def add_norm_vjp(
    x: Array,
    sublayer: Sublayer,
    gamma: Array,
    beta: Array,
    dy: Array,
    norm: str,
    number: int,
) -> Gradients:
    """dx and the sublayer's gradients; x reaches y by two ways, through f and beside it."""
    f, f_vjp = sublayer
    if norm == "post":
        d_n = layer_norm_vjp(x + f(x), gamma, beta, dy)
        d = f_vjp(x, d_n["dx"])
        dx = d_n["dx"] + d["dx"]
    else:
        d = f_vjp(layer_norm(x, gamma, beta), dy)
        d_n = layer_norm_vjp(x, gamma, beta, d["dx"])
        dx = dy + d_n["dx"]
    return d | {f"dgamma_{number}": d_n["dgamma"], f"dbeta_{number}": d_n["dbeta"], "dx": dx}


def attending(
    prefix: str,
    weights: tuple[Array, Array, Array, Array],
    biases: tuple[Array | None, Array | None, Array | None, Array | None],
    memory: Array | None,
    mask: Array | None,
    lengths: Array | None,
    heads: int,
    causal: bool,
) -> Sublayer:
    """Attention of u to `memory`, or to u itself where there is none, and its VJP.

    The VJP gives the weights' gradients under the names that the layer has for them.
    """
    b_q, b_k, b_v, b_o = biases

    def f(u: Array) -> Array:
        m = u if memory is None else memory
        return multi_head_attention(
            *(u, m, m, *weights),
            b_q=b_q,
            b_k=b_k,
            b_v=b_v,
            b_o=b_o,
            mask=mask,
            lengths=lengths,
            heads=heads,
            causal=causal,
        )

    def f_vjp(u: Array, dy: Array) -> Gradients:
        m = u if memory is None else memory
        d = multi_head_attention_vjp(
            *(u, m, m, *weights, dy),
            b_q=b_q,
            b_k=b_k,
            b_v=b_v,
            b_o=b_o,
            mask=mask,
            lengths=lengths,
            heads=heads,
            causal=causal,
        )
        named = {f"d{prefix}_{name}": d[f"d{name}"] for name in ATTENTION if f"d{name}" in d}
        dm = d["dk"] + d["dv"]
        if memory is None:
            return named | {"dx": d["dq"] + dm}
        return named | {"dx": d["dq"], "dmemory": dm}

    return f, f_vjp


def feeding(W_1: Array, W_2: Array, b_1: Array | None, b_2: Array | None) -> Sublayer:
    """The feed-forward network, and its VJP."""
    return (
        lambda u: feed_forward(u, W_1, W_2, b_1=b_1, b_2=b_2),
        lambda u, dy: feed_forward_vjp(u, W_1, W_2, dy, b_1=b_1, b_2=b_2),
    )


def inside(lengths: Array | None, B: int, L: int) -> Array:
    """Which positions are within the length, (B, L, 1)."""
    steps = np.full(B, L) if lengths is None else lengths
    within: Array = (np.arange(L) < steps[:, None])[..., None]
    return within


def encoder_layer(
    x: Array,  # (B, L, D)
    self_W_q: Array,  # (P, D)
    self_W_k: Array,  # (P, D)
    self_W_v: Array,  # (R, D)
    self_W_o: Array,  # (D, R)
    gamma_1: Array,  # (D,)
    beta_1: Array,  # (D,)
    W_1: Array,  # (H, D)
    W_2: Array,  # (D, H)
    gamma_2: Array,  # (D,)
    beta_2: Array,  # (D,)
    *,
    self_b_q: Array | None = None,  # (P,)
    self_b_k: Array | None = None,  # (P,)
    self_b_v: Array | None = None,  # (R,)
    self_b_o: Array | None = None,  # (D,)
    b_1: Array | None = None,  # (H,)
    b_2: Array | None = None,  # (D,)
    mask: Array | None = None,  # broadcasts to (B, heads, L, L); True keeps
    lengths: Array | None = None,  # (B,), integers in 0 … L
    heads: int = 1,
    norm: str = "post",
) -> Array:
    """Self-attention, then the feed-forward network, each with residual connection and norm.

    Returns y (B, L, D), 0 beyond an example's length; x there is never used.
    Source: Vaswani 2017, section 3.1, figure 1; spec/transformer.md.
    """
    within = inside(lengths, *x.shape[:2])
    weights = (self_W_q, self_W_k, self_W_v, self_W_o)
    biases = (self_b_q, self_b_k, self_b_v, self_b_o)
    attend, _ = attending("self", weights, biases, None, mask, lengths, heads, False)
    feed, _ = feeding(W_1, W_2, b_1, b_2)
    x = chosen(within, x)
    a = add_norm(x, attend, gamma_1, beta_1, norm)  # transformer.encoder_layer
    y = add_norm(a, feed, gamma_2, beta_2, norm)  # transformer.encoder_layer
    return chosen(within, y)


def encoder_layer_vjp(
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
    dy: Array,  # (B, L, D)
    *,
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
) -> Gradients:
    """The two sublayers backwards; queries, keys and values of the first are all x."""
    within = inside(lengths, *x.shape[:2])
    weights = (self_W_q, self_W_k, self_W_v, self_W_o)
    biases = (self_b_q, self_b_k, self_b_v, self_b_o)
    attend = attending("self", weights, biases, None, mask, lengths, heads, False)
    feed = feeding(W_1, W_2, b_1, b_2)
    x = chosen(within, x)
    a = add_norm(x, attend[0], gamma_1, beta_1, norm)
    d_2 = add_norm_vjp(a, feed, gamma_2, beta_2, np.where(within, dy, 0), norm, 2)
    d_1 = add_norm_vjp(x, attend, gamma_1, beta_1, d_2["dx"], norm, 1)
    return d_2 | d_1 | {"dx": np.where(within, d_1["dx"], 0)}


def decoder_layer(
    x: Array,  # (B, L, D)
    memory: Array,  # (B, S, D)
    self_W_q: Array,  # (P, D)
    self_W_k: Array,  # (P, D)
    self_W_v: Array,  # (R, D)
    self_W_o: Array,  # (D, R)
    gamma_1: Array,  # (D,)
    beta_1: Array,  # (D,)
    cross_W_q: Array,  # (P, D)
    cross_W_k: Array,  # (P, D)
    cross_W_v: Array,  # (R, D)
    cross_W_o: Array,  # (D, R)
    gamma_2: Array,  # (D,)
    beta_2: Array,  # (D,)
    W_1: Array,  # (H, D)
    W_2: Array,  # (D, H)
    gamma_3: Array,  # (D,)
    beta_3: Array,  # (D,)
    *,
    self_b_q: Array | None = None,  # (P,)
    self_b_k: Array | None = None,  # (P,)
    self_b_v: Array | None = None,  # (R,)
    self_b_o: Array | None = None,  # (D,)
    cross_b_q: Array | None = None,  # (P,)
    cross_b_k: Array | None = None,  # (P,)
    cross_b_v: Array | None = None,  # (R,)
    cross_b_o: Array | None = None,  # (D,)
    b_1: Array | None = None,  # (H,)
    b_2: Array | None = None,  # (D,)
    lengths: Array | None = None,  # (B,), integers in 0 … L
    memory_lengths: Array | None = None,  # (B,), integers in 0 … S
    heads: int = 1,
    norm: str = "post",
) -> Array:
    """Causal self-attention, attention to the encoder's output, then the feed-forward network.

    Returns y (B, L, D), 0 beyond an example's length; x there is never used.
    Source: Vaswani 2017, section 3.1, figure 1; spec/transformer.md.
    """
    within = inside(lengths, *x.shape[:2])
    weights = (self_W_q, self_W_k, self_W_v, self_W_o)
    biases = (self_b_q, self_b_k, self_b_v, self_b_o)
    attend, _ = attending("self", weights, biases, None, None, lengths, heads, True)
    weights = (cross_W_q, cross_W_k, cross_W_v, cross_W_o)
    biases = (cross_b_q, cross_b_k, cross_b_v, cross_b_o)
    look, _ = attending("cross", weights, biases, memory, None, memory_lengths, heads, False)
    feed, _ = feeding(W_1, W_2, b_1, b_2)
    x = chosen(within, x)
    a = add_norm(x, attend, gamma_1, beta_1, norm)  # transformer.decoder_layer
    c = add_norm(a, look, gamma_2, beta_2, norm)  # transformer.decoder_layer
    y = add_norm(c, feed, gamma_3, beta_3, norm)  # transformer.decoder_layer
    return chosen(within, y)


def decoder_layer_vjp(
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
    dy: Array,  # (B, L, D)
    *,
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
) -> Gradients:
    """The three sublayers backwards; `memory` is reached through keys and values of the second."""
    within = inside(lengths, *x.shape[:2])
    weights = (self_W_q, self_W_k, self_W_v, self_W_o)
    biases = (self_b_q, self_b_k, self_b_v, self_b_o)
    attend = attending("self", weights, biases, None, None, lengths, heads, True)
    weights = (cross_W_q, cross_W_k, cross_W_v, cross_W_o)
    biases = (cross_b_q, cross_b_k, cross_b_v, cross_b_o)
    look = attending("cross", weights, biases, memory, None, memory_lengths, heads, False)
    feed = feeding(W_1, W_2, b_1, b_2)
    x = chosen(within, x)
    a = add_norm(x, attend[0], gamma_1, beta_1, norm)
    c = add_norm(a, look[0], gamma_2, beta_2, norm)
    d_3 = add_norm_vjp(c, feed, gamma_3, beta_3, np.where(within, dy, 0), norm, 3)
    d_2 = add_norm_vjp(a, look, gamma_2, beta_2, d_3["dx"], norm, 2)
    d_1 = add_norm_vjp(x, attend, gamma_1, beta_1, d_2["dx"], norm, 1)
    return d_3 | d_2 | d_1 | {"dx": np.where(within, d_1["dx"], 0)}


def rows_of(
    E: Array,  # (V, D)
    tokens: Array,  # (B, L), integers in 0 … V - 1
) -> Array:
    """E[tokens] √D, (B, L, D). Raises IndexError for a token outside 0 … V - 1."""
    V, D = E.shape
    refuse_outside(tokens, V)
    root = cast(np.sqrt(constants([D], like=E)), like=E)
    z: Array = E[tokens] * root  # transformer.embedding
    return z


def rows_of_vjp(E: Array, tokens: Array, dz: Array) -> Array:
    """dE: the gradients of all places of a token add up in its row."""
    root = cast(np.sqrt(constants([E.shape[1]], like=E)), like=E)
    dE = np.zeros_like(E)
    for place in np.ndindex(*tokens.shape):
        dE[tokens[place]] = dE[tokens[place]] + dz[place] * root
    return dE


def transformer_embed(
    tokens: Array,  # (B, L), integers in 0 … V - 1
    E: Array,  # (V, D)
    *,
    offset: int = 0,
) -> Array:
    """E[tokens] √D + PE: what the first layer is given.

    Returns y (B, L, D). Raises IndexError for a token outside 0 … V - 1.
    Source: Vaswani 2017, sections 3.4 and 3.5; spec/transformer.md.
    """
    return positional_encoding(rows_of(E, tokens), offset=offset)  # transformer.embed


def transformer_embed_vjp(
    tokens: Array,
    E: Array,
    dy: Array,  # (B, L, D)
    *,
    offset: int = 0,
) -> Gradients:
    """dE, the sum over all places of a token."""
    return {"dE": rows_of_vjp(E, tokens, dy)}


def contextual_embedding(
    tokens: Array,  # (B, L), integers in 0 … V - 1
    E: Array,  # (V, D)
    W_q: Array,  # (P, D)
    W_k: Array,  # (P, D)
    W_v: Array,  # (R, D)
    W_o: Array,  # (D, R)
    *,
    heads: int = 1,
    position: str = "sinusoidal",
) -> Array:
    """A word's embedding adjusted to its use: z + attention(z), z with its position or without.

    Returns h (B, L, D). Raises IndexError for a token outside 0 … V - 1.
    Source: slide "Transformer"; Vaswani 2017, section 3.1; spec/transformer.md.
    """
    z = placed(E, tokens, position)
    h: Array = z + multi_head_attention(
        z, z, z, W_q, W_k, W_v, W_o, heads=heads
    )  # transformer.contextual_embedding
    return h


def placed(E: Array, tokens: Array, position: str) -> Array:
    """The embedding with its position, or by itself."""
    if position == "none":
        return rows_of(E, tokens)  # transformer.permutation
    if position == "sinusoidal":
        return transformer_embed(tokens, E)
    raise ValueError(f"position is 'sinusoidal' or 'none', not {position!r}")


def contextual_embedding_vjp(
    tokens: Array,
    E: Array,
    W_q: Array,
    W_k: Array,
    W_v: Array,
    W_o: Array,
    dh: Array,  # (B, L, D)
    *,
    heads: int = 1,
    position: str = "sinusoidal",
) -> Gradients:
    """dz has four parts: z itself, and z as query, key and value."""
    z = placed(E, tokens, position)
    d = multi_head_attention_vjp(z, z, z, W_q, W_k, W_v, W_o, dh, heads=heads)
    dz = dh + d.pop("dq") + d.pop("dk") + d.pop("dv")
    return d | {"dE": rows_of_vjp(E, tokens, dz)}


def transformer_forward(
    source: Array,  # (B, S), integers in 0 … V - 1
    target: Array,  # (B, L), integers in 0 … V - 1
    E: Array,  # (V, D)
    enc_self_W_q: Array,  # (N, P, D)
    enc_self_W_k: Array,  # (N, P, D)
    enc_self_W_v: Array,  # (N, R, D)
    enc_self_W_o: Array,  # (N, D, R)
    enc_gamma_1: Array,  # (N, D)
    enc_beta_1: Array,  # (N, D)
    enc_W_1: Array,  # (N, H, D)
    enc_W_2: Array,  # (N, D, H)
    enc_gamma_2: Array,  # (N, D)
    enc_beta_2: Array,  # (N, D)
    dec_self_W_q: Array,  # (N, P, D)
    dec_self_W_k: Array,  # (N, P, D)
    dec_self_W_v: Array,  # (N, R, D)
    dec_self_W_o: Array,  # (N, D, R)
    dec_gamma_1: Array,  # (N, D)
    dec_beta_1: Array,  # (N, D)
    dec_cross_W_q: Array,  # (N, P, D)
    dec_cross_W_k: Array,  # (N, P, D)
    dec_cross_W_v: Array,  # (N, R, D)
    dec_cross_W_o: Array,  # (N, D, R)
    dec_gamma_2: Array,  # (N, D)
    dec_beta_2: Array,  # (N, D)
    dec_W_1: Array,  # (N, H, D)
    dec_W_2: Array,  # (N, D, H)
    dec_gamma_3: Array,  # (N, D)
    dec_beta_3: Array,  # (N, D)
    *,
    enc_b_1: Array | None = None,  # (N, H)
    enc_b_2: Array | None = None,  # (N, D)
    dec_b_1: Array | None = None,  # (N, H)
    dec_b_2: Array | None = None,  # (N, D)
    source_lengths: Array | None = None,  # (B,), integers in 0 … S
    target_lengths: Array | None = None,  # (B,), integers in 0 … L
    heads: int = 1,
) -> Array:
    """Encoder and decoder of N layers each, and the scores of the next word at every place.

    The n-th layer has element n of each array. `target` is what the decoder has been told so
    far, already shifted right. Returns logits (B, L, V), 0 beyond an example's target length.
    Source: Vaswani 2017, section 3, figure 1; spec/transformer.md.
    """
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
    } | given(b_1=enc_b_1, b_2=enc_b_2)
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
    } | given(b_1=dec_b_1, b_2=dec_b_2)
    _, y = through(source, target, E, encoder, decoder, source_lengths, target_lengths, heads)
    logits: Array = y[-1] @ E.T  # transformer.logits
    return logits


def given(**optional: Array | None) -> Gradients:
    """Those that are not None."""
    return {name: value for name, value in optional.items() if value is not None}


def layer_of(stack: Gradients, n: int) -> dict[str, Any]:
    """The parameters of one layer out of the arrays of all."""
    return {name: value[n] for name, value in stack.items()}


def through(
    source: Array,
    target: Array,
    E: Array,
    encoder: Gradients,
    decoder: Gradients,
    source_lengths: Array | None,
    target_lengths: Array | None,
    heads: int,
) -> tuple[list[Array], list[Array]]:
    """What goes into and comes out of every encoder layer, and of every decoder layer."""
    N = len(encoder["W_1"])
    x = [transformer_embed(source, E)]
    for n in range(N):
        layer = layer_of(encoder, n)
        out = encoder_layer(x[n], lengths=source_lengths, heads=heads, **layer)  # transformer.stack
        x.append(out)
    # without a layer nothing else would leave the padding out
    y = [chosen(inside(target_lengths, *target.shape), transformer_embed(target, E))]
    lengths: dict[str, Any] = {"lengths": target_lengths, "memory_lengths": source_lengths}
    for n in range(N):
        # every decoder layer sees the output of the last encoder layer
        out = decoder_layer(
            y[n], x[N], heads=heads, **lengths, **layer_of(decoder, n)
        )  # transformer.stack
        y.append(out)
    return x, y


def transformer_forward_vjp(
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
    dlogits: Array,  # (B, L, V)
    *,
    enc_b_1: Array | None = None,
    enc_b_2: Array | None = None,
    dec_b_1: Array | None = None,
    dec_b_2: Array | None = None,
    source_lengths: Array | None = None,
    target_lengths: Array | None = None,
    heads: int = 1,
) -> Gradients:
    """Decoder, then encoder, layer by layer; E is used three times, and its gradients add up."""
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
    } | given(b_1=enc_b_1, b_2=enc_b_2)
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
    } | given(b_1=dec_b_1, b_2=dec_b_2)
    x, y = through(source, target, E, encoder, decoder, source_lengths, target_lengths, heads)
    N = len(x) - 1
    d_out = rows_vjp(y[N], E, dlogits, None)
    d = {f"denc_{name}": np.zeros_like(value) for name, value in encoder.items()}
    d |= {f"ddec_{name}": np.zeros_like(value) for name, value in decoder.items()}
    lengths: dict[str, Any] = {"lengths": target_lengths, "memory_lengths": source_lengths}
    dy, dx = d_out["dx"], np.zeros_like(x[N])
    for n in reversed(range(N)):
        layer = layer_of(decoder, n)
        d_n = decoder_layer_vjp(y[n], x[N], dy=dy, heads=heads, **lengths, **layer)
        dy, dx = d_n["dx"], dx + d_n["dmemory"]
        for name in decoder:
            d[f"ddec_{name}"][n] = d_n[f"d{name}"]
    for n in reversed(range(N)):
        layer = layer_of(encoder, n)
        d_n = encoder_layer_vjp(x[n], dy=dx, lengths=source_lengths, heads=heads, **layer)
        dx = d_n["dx"]
        for name in encoder:
            d[f"denc_{name}"][n] = d_n[f"d{name}"]
    dy = np.where(inside(target_lengths, *target.shape), dy, 0)
    dE = d_out["dW"] + rows_of_vjp(E, target, dy) + rows_of_vjp(E, source, dx)
    return d | {"dE": dE}
