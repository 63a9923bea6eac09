"""The transformer as kernels: attention is `tiled`'s, the products of its layers are `dense`'s.

Layers keep on a tape what their VJP needs.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from nnspec.accel.arrays import Array, arrays, plain, reader, whole_or
from nnspec.accel.dense import layer, layer_vjp
from nnspec.accel.jit import contracted, kernel
from nnspec.accel.primitives import layer_norm, layer_norm_vjp
from nnspec.accel.scalar import IDENTITY, RELU
from nnspec.accel.tiled import See, attention, attention_vjp, weights, weights_vjp

Gradients = dict[str, Array]
Parameters = dict[str, Array]
Forward = Callable[[Array], tuple[Array, Any]]
Backward = Callable[[Any, Array], Gradients]

NO_MASK = np.ones((1, 1, 1, 1), np.bool_)

ATTENTION = ("W_q", "W_k", "W_v", "W_o", "b_q", "b_k", "b_v", "b_o")


@contracted
def _add(y: Array, a: Any, x: Array) -> None:
    """y += a x."""
    for c in range(x.shape[0]):
        y[c] += a * x[c]


@functools.lru_cache(256)
def _all_seen(S: int, B: int, causal: bool) -> See:
    """All keys, or those that are not later: the same object at each call."""
    return See(NO_MASK, False, whole_or(None, S, B), causal)


def _see(mask: Any, lengths: Any, causal: bool, sizes: tuple[int, int, int, int]) -> See:
    """The mask with four axes, each of full size or 1, and a length for each example."""
    if mask is None and lengths is None:
        return _all_seen(sizes[3], sizes[0], bool(causal))
    lengths = whole_or(lengths, sizes[3], sizes[0])
    if mask is None:
        return See(NO_MASK, False, lengths, bool(causal))
    mask = np.asarray(mask)
    if mask.dtype != np.bool_:
        raise TypeError(f"mask is of bool, True keeps; not of {mask.dtype}")
    four = (1,) * (4 - mask.ndim) + mask.shape
    if mask.ndim > 4 or any(m not in (1, size) for m, size in zip(four, sizes, strict=True)):
        raise ValueError(f"mask has shape {mask.shape}, which does not broadcast to {sizes}")
    return See(plain(mask.reshape(four)), True, lengths, bool(causal))


def _root(q: Array) -> Any:
    """√K in the dtype of q."""
    return q.dtype.type(np.sqrt(q.shape[-1]))


def _encoding(L: int, D: int, offset: int) -> Array:
    """PE of L positions from `offset` on, (L, D) in float64."""
    p = np.arange(offset, offset + L, dtype=np.float64)[:, None]
    angle = p * np.exp(np.arange(D) // 2 * 2 / -D * np.log(10000.0))
    table: Array = np.where(np.arange(D) % 2 == 0, np.sin(angle), np.cos(angle))
    return table


def positional_encoding(
    x: Array,  # (B, L, D)
    *,
    offset: int = 0,
) -> Array:
    """y = x + PE, (B, L, D); x[:, 0] is at position `offset`."""
    (x,) = arrays(x=(x, "B L D"))
    y: Array = x + _encoding(x.shape[1], x.shape[2], offset).astype(x.dtype)
    return y


def positional_encoding_vjp(x: Array, dy: Array, *, offset: int = 0) -> Gradients:
    """dx = dy."""
    _, dy = arrays(x=(x, "B L D"), dy=(dy, "B L D"))
    return {"dx": dy.copy()}


def positional_rotation(
    x: Array,  # (B, L, D), D even
    *,
    shift: int = 0,
) -> Array:
    """Each pair of columns turned by `shift` times its frequency: PE(p) becomes PE(p + shift)."""
    (x,) = arrays(x=(x, "B L D"))
    if x.shape[-1] % 2:
        raise ValueError(f"x has shape {x.shape}, wanted an even last axis: columns in pairs")
    turn = _encoding(1, x.shape[-1], shift)[0].astype(x.dtype)
    y = np.empty_like(x)
    y[..., 0::2] = x[..., 0::2] * turn[1::2] + x[..., 1::2] * turn[0::2]
    y[..., 1::2] = x[..., 1::2] * turn[1::2] - x[..., 0::2] * turn[0::2]
    return y


def positional_rotation_vjp(x: Array, dy: Array, *, shift: int = 0) -> Gradients:
    """The turn back."""
    _, dy = arrays(x=(x, "B L D"), dy=(dy, "B L D"))
    return {"dx": positional_rotation(dy, shift=-shift)}


def attention_weights(
    q: Array,  # (B, N, L, K)
    k: Array,  # (B, N, S, K)
    *,
    mask: Array | None = None,  # broadcasts to (B, N, L, S); True keeps
    lengths: Array | None = None,  # (B,), integers in 0 … S
    causal: bool = False,
) -> Array:
    """softmax(q kᵀ / √K) over the keys that each query sees, (B, N, L, S)."""
    q, k = arrays(q=(q, "B N L K"), k=(k, "B N S K"))
    see = _see(mask, lengths, causal, (*q.shape[:3], k.shape[2]))
    return weights(q, k, see)


def attention_weights_vjp(
    q: Array,
    k: Array,
    dp: Array,  # (B, N, L, S)
    *,
    mask: Array | None = None,
    lengths: Array | None = None,
    causal: bool = False,
) -> Gradients:
    """ds = p (dp - sum_j dp p), dq = ds k / √K, dk = dsᵀ q / √K."""
    q, k, dp = arrays(q=(q, "B N L K"), k=(k, "B N S K"), dp=(dp, "B N L S"))
    see = _see(mask, lengths, causal, dp.shape)
    dq, dk = weights_vjp(q, k, dp, see)
    return {"dq": dq, "dk": dk}


_READ = reader(q="B N L K", k="B N S K", v="B N S J")


def scaled_dot_product_attention(
    q: Array,  # (B, N, L, K)
    k: Array,  # (B, N, S, K)
    v: Array,  # (B, N, S, J)
    *,
    mask: Array | None = None,  # broadcasts to (B, N, L, S); True keeps
    lengths: Array | None = None,  # (B,), integers in 0 … S
    causal: bool = False,
) -> Array:
    """softmax(q kᵀ / √K) v, (B, N, L, J); 0 for a query that sees nothing."""
    q, k, v = _READ(q, k, v)
    return attention(q, k, v, _see(mask, lengths, causal, (*q.shape[:3], k.shape[2])))


_READ_ERRORS = reader(q="B N L K", k="B N S K", v="B N S J", dy="B N L J")


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
    """The weights are computed again, a block of queries at a time."""
    q, k, v, dy = _READ_ERRORS(q, k, v, dy)
    see = _see(mask, lengths, causal, (*q.shape[:3], k.shape[2]))
    dq, dk, dv = attention_vjp(q, k, v, dy, see)
    return {"dq": dq, "dk": dk, "dv": dv}


def _rows(x: Array) -> Array:
    """(B, L, D) as (B L, D)."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


def _project(x: Array, W: Array, b: Array, code: int = IDENTITY) -> Array:
    """f(x Wᵀ + b) at every position."""
    return layer(_rows(x), W, b, code).reshape(*x.shape[:2], len(W))


def _project_vjp(
    x: Array, W: Array, y: Array, dy: Array, code: int = IDENTITY
) -> tuple[Array, Array, Array]:
    """(dx, dW, db) of `_project` with the output y."""
    dx, dW, db = layer_vjp(_rows(x), W, _rows(y), _rows(dy), code)
    return dx.reshape(x.shape), dW, db


def _split(x: Array, heads: int) -> Array:
    """(B, L, heads K) as (B, heads, L, K)."""
    B, L, P = x.shape
    return np.ascontiguousarray(x.reshape(B, L, heads, P // heads).swapaxes(1, 2))


def _merge(x: Array) -> Array:
    """(B, heads, L, K) as (B, L, heads K)."""
    B, heads, L, K = x.shape
    return np.ascontiguousarray(x.swapaxes(1, 2)).reshape(B, L, heads * K)


def _heads(q: Array, k: Array, v: Array, w: Parameters, see: See, heads: int) -> tuple[Array, Any]:
    """Multi-head attention, and its tape."""
    if len(w["W_q"]) % heads or len(w["W_v"]) % heads:
        raise ValueError(f"W_q has shape {w['W_q'].shape}, W_v {w['W_v'].shape}: not {heads} heads")
    q_n = _split(_project(q, w["W_q"], w["b_q"]), heads)
    k_n = _split(_project(k, w["W_k"], w["b_k"]), heads)
    v_n = _split(_project(v, w["W_v"], w["b_v"]), heads)
    head = _merge(attention(q_n, k_n, v_n, see))
    return _project(head, w["W_o"], w["b_o"]), (q, k, v, q_n, k_n, v_n, head)


def _heads_vjp(tape: Any, w: Parameters, see: See, heads: int, dy: Array) -> Gradients:
    q, k, v, q_n, k_n, v_n, head = tape
    d: Gradients = {}
    dhead, d["dW_o"], d["db_o"] = _project_vjp(head, w["W_o"], dy, dy)
    d_n = attention_vjp(q_n, k_n, v_n, _split(dhead, heads), see)
    seen = _seen_by_any(see, (*q_n.shape[:3], k.shape[1]))
    # a key that no query sees may be NaN, and its product with 0 too
    k, v = np.where(seen, k, k.dtype.type(0)), np.where(seen, v, v.dtype.type(0))
    for name, x, dx in zip("qkv", (q, k, v), d_n, strict=True):
        dx = _merge(dx)
        d[f"d{name}"], d[f"dW_{name}"], d[f"db_{name}"] = _project_vjp(x, w[f"W_{name}"], dx, dx)
    return d


def _seen_by_any(see: See, sizes: tuple[int, int, int, int]) -> Array:
    """Which keys any query of any head sees, (B, S, 1)."""
    B, _, L, S = sizes
    seen = np.broadcast_to(see.mask.any(axis=1), (B, see.mask.shape[2], S))
    if see.causal:
        seen = seen & (np.arange(S) <= np.arange(L)[:, None] + (S - L))
    elif L == 0:
        seen = seen[:, :0]
    within: Array = seen.any(axis=1) & (np.arange(S) < see.lengths[:, None])
    return within[..., None]


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
    """Concat(head_1 … head_N) W_oᵀ, (B, L, D)."""
    q, k, v, *weights = arrays(
        q=(q, "B L D"),
        k=(k, "B S D"),
        v=(v, "B S D"),
        W_q=(W_q, "P D"),
        W_k=(W_k, "P D"),
        W_v=(W_v, "R D"),
        W_o=(W_o, "D R"),
        b_q=(b_q, "P"),
        b_k=(b_k, "P"),
        b_v=(b_v, "R"),
        b_o=(b_o, "D"),
    )
    see = _see(mask, lengths, causal, (len(q), heads, q.shape[1], k.shape[1]))
    return _heads(q, k, v, dict(zip(ATTENTION, weights, strict=True)), see, heads)[0]


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
    """The projections' VJPs around that of the attention."""
    absent = _absent(b_q=b_q, b_k=b_k, b_v=b_v, b_o=b_o)
    q, k, v, dy, *weights = arrays(
        q=(q, "B L D"),
        k=(k, "B S D"),
        v=(v, "B S D"),
        dy=(dy, "B L D"),
        W_q=(W_q, "P D"),
        W_k=(W_k, "P D"),
        W_v=(W_v, "R D"),
        W_o=(W_o, "D R"),
        b_q=(b_q, "P"),
        b_k=(b_k, "P"),
        b_v=(b_v, "R"),
        b_o=(b_o, "D"),
    )
    see = _see(mask, lengths, causal, (len(q), heads, q.shape[1], k.shape[1]))
    w = dict(zip(ATTENTION, weights, strict=True))
    d = _heads_vjp(_heads(q, k, v, w, see, heads)[1], w, see, heads, dy)
    return _without(d, absent)


def _absent(**optional: Array | None) -> set[str]:
    """The names of the gradients of inputs that were not given."""
    return {f"d{name}" for name, value in optional.items() if value is None}


def _without(d: Gradients, absent: set[str]) -> Gradients:
    """The gradients of the inputs that were given."""
    return {name: value for name, value in d.items() if name not in absent}


def feed_forward(
    x: Array,  # (B, L, D)
    W_1: Array,  # (H, D)
    W_2: Array,  # (D, H)
    *,
    b_1: Array | None = None,  # (H,)
    b_2: Array | None = None,  # (D,)
) -> Array:
    """max(0, x W_1ᵀ + b_1) W_2ᵀ + b_2, (B, L, D)."""
    x, *weights = arrays(
        x=(x, "B L D"), W_1=(W_1, "H D"), W_2=(W_2, "D H"), b_1=(b_1, "H"), b_2=(b_2, "D")
    )
    return _feed(x, dict(zip(("W_1", "W_2", "b_1", "b_2"), weights, strict=True)))[0]


def feed_forward_vjp(
    x: Array,
    W_1: Array,
    W_2: Array,
    dy: Array,  # (B, L, D)
    *,
    b_1: Array | None = None,
    b_2: Array | None = None,
) -> Gradients:
    """Back through W_2, the ReLU and W_1."""
    absent = _absent(b_1=b_1, b_2=b_2)
    x, dy, *weights = arrays(
        x=(x, "B L D"),
        dy=(dy, "B L D"),
        W_1=(W_1, "H D"),
        W_2=(W_2, "D H"),
        b_1=(b_1, "H"),
        b_2=(b_2, "D"),
    )
    w = dict(zip(("W_1", "W_2", "b_1", "b_2"), weights, strict=True))
    return _without(_feed_vjp(_feed(x, w)[1], w, dy), absent)


def _feed(x: Array, w: Parameters) -> tuple[Array, Any]:
    hidden = _project(x, w["W_1"], w["b_1"], RELU)
    return _project(hidden, w["W_2"], w["b_2"]), (x, hidden)


def _feed_vjp(tape: Any, w: Parameters, dy: Array) -> Gradients:
    x, hidden = tape
    d: Gradients = {}
    dhidden, d["dW_2"], d["db_2"] = _project_vjp(hidden, w["W_2"], dy, dy)
    d["dx"], d["dW_1"], d["db_1"] = _project_vjp(x, w["W_1"], hidden, dhidden, RELU)
    return d


def _add_norm(x: Array, f: Forward, w: Parameters, number: int, norm: str) -> tuple[Array, Any]:
    """A sublayer with its residual connection and norm, and its tape."""
    gamma, beta = w[f"gamma_{number}"], w[f"beta_{number}"]
    if norm == "post":
        y, tape = f(x)
        total = x + y
        return layer_norm(total, gamma, beta), (total, tape)
    if norm == "pre":
        y, tape = f(layer_norm(x, gamma, beta))
        return x + y, (x, tape)
    raise ValueError(f"norm is 'post' or 'pre', not {norm!r}")


def _add_norm_vjp(
    tape: Any, f_vjp: Backward, w: Parameters, number: int, norm: str, dy: Array
) -> Gradients:
    gamma, beta = w[f"gamma_{number}"], w[f"beta_{number}"]
    normed, inner = tape
    if norm == "post":
        d_n = layer_norm_vjp(normed, gamma, beta, dy)
        d = f_vjp(inner, d_n["dx"])
        dx = d_n["dx"] + d["dx"]
    else:
        d = f_vjp(inner, dy)
        d_n = layer_norm_vjp(normed, gamma, beta, d["dx"])
        dx = dy + d_n["dx"]
    return d | {f"dgamma_{number}": d_n["dgamma"], f"dbeta_{number}": d_n["dbeta"], "dx": dx}


def _part(w: Parameters, prefix: str) -> Parameters:
    """The parameters of one attention, without their prefix."""
    return {name: w[f"{prefix}_{name}"] for name in ATTENTION}


def _attend(
    prefix: str, w: Parameters, memory: Array | None, see: See, heads: int
) -> tuple[Forward, Backward]:
    """Attention to `memory`, or to the layer's own input where there is none, and its VJP."""
    part = _part(w, prefix)

    def forward(u: Array) -> tuple[Array, Any]:
        m = u if memory is None else memory
        return _heads(u, m, m, part, see, heads)

    def backward(tape: Any, dy: Array) -> Gradients:
        d = _heads_vjp(tape, part, see, heads, dy)
        dm = d["dk"] + d["dv"]
        named = {f"d{prefix}_{name}": d[f"d{name}"] for name in ATTENTION}
        if memory is None:
            return named | {"dx": d["dq"] + dm}
        return named | {"dx": d["dq"], "dmemory": dm}

    return forward, backward


def _within(lengths: Array, L: int) -> Array:
    """Which positions are within the length, (B, L, 1)."""
    within: Array = (np.arange(L) < lengths[:, None])[..., None]
    return within


def _encode(x: Array, w: Parameters, see: See, heads: int, norm: str) -> tuple[Array, Any]:
    """An encoder layer, and its tape; 0 beyond the lengths, and nothing there is used."""
    within = _within(see.lengths, x.shape[1])
    attend, _ = _attend("self", w, None, see, heads)
    a, tape_1 = _add_norm(np.where(within, x, x.dtype.type(0)), attend, w, 1, norm)
    y, tape_2 = _add_norm(a, lambda u: _feed(u, w), w, 2, norm)
    return np.where(within, y, y.dtype.type(0)), (tape_1, tape_2)


def _encode_vjp(tape: Any, w: Parameters, see: See, heads: int, norm: str, dy: Array) -> Gradients:
    within = _within(see.lengths, dy.shape[1])
    _, attend_vjp = _attend("self", w, None, see, heads)
    zero = dy.dtype.type(0)
    dy = np.where(within, dy, zero)
    d_2 = _add_norm_vjp(tape[1], lambda t, e: _feed_vjp(t, w, e), w, 2, norm, dy)
    d_1 = _add_norm_vjp(tape[0], attend_vjp, w, 1, norm, d_2["dx"])
    return d_2 | d_1 | {"dx": np.where(within, d_1["dx"], zero)}


def _decode(
    x: Array, memory: Array, w: Parameters, see: tuple[See, See], heads: int, norm: str
) -> tuple[Array, Any]:
    """A decoder layer, and its tape; 0 beyond the lengths, and nothing there is used."""
    within = _within(see[0].lengths, x.shape[1])
    attend, _ = _attend("self", w, None, see[0], heads)
    look, _ = _attend("cross", w, memory, see[1], heads)
    a, tape_1 = _add_norm(np.where(within, x, x.dtype.type(0)), attend, w, 1, norm)
    c, tape_2 = _add_norm(a, look, w, 2, norm)
    y, tape_3 = _add_norm(c, lambda u: _feed(u, w), w, 3, norm)
    return np.where(within, y, y.dtype.type(0)), (tape_1, tape_2, tape_3, memory)


def _decode_vjp(
    tape: Any, w: Parameters, see: tuple[See, See], heads: int, norm: str, dy: Array
) -> Gradients:
    within = _within(see[0].lengths, dy.shape[1])
    _, attend_vjp = _attend("self", w, None, see[0], heads)
    _, look_vjp = _attend("cross", w, tape[3], see[1], heads)
    zero = dy.dtype.type(0)
    dy = np.where(within, dy, zero)
    d_3 = _add_norm_vjp(tape[2], lambda t, e: _feed_vjp(t, w, e), w, 3, norm, dy)
    d_2 = _add_norm_vjp(tape[1], look_vjp, w, 2, norm, d_3["dx"])
    d_1 = _add_norm_vjp(tape[0], attend_vjp, w, 1, norm, d_2["dx"])
    return d_3 | d_2 | d_1 | {"dx": np.where(within, d_1["dx"], zero)}


ENCODER = (
    "self_W_q",
    "self_W_k",
    "self_W_v",
    "self_W_o",
    "gamma_1",
    "beta_1",
    "W_1",
    "W_2",
    "gamma_2",
    "beta_2",
    "self_b_q",
    "self_b_k",
    "self_b_v",
    "self_b_o",
    "b_1",
    "b_2",
)

DECODER = (
    "self_W_q",
    "self_W_k",
    "self_W_v",
    "self_W_o",
    "gamma_1",
    "beta_1",
    "cross_W_q",
    "cross_W_k",
    "cross_W_v",
    "cross_W_o",
    "gamma_2",
    "beta_2",
    "W_1",
    "W_2",
    "gamma_3",
    "beta_3",
    "self_b_q",
    "self_b_k",
    "self_b_v",
    "self_b_o",
    "cross_b_q",
    "cross_b_k",
    "cross_b_v",
    "cross_b_o",
    "b_1",
    "b_2",
)


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
    """Self-attention, then the feed-forward network, (B, L, D), 0 beyond the lengths."""
    x, *weights = arrays(
        x=(x, "B L D"),
        self_W_q=(self_W_q, "P D"),
        self_W_k=(self_W_k, "P D"),
        self_W_v=(self_W_v, "R D"),
        self_W_o=(self_W_o, "D R"),
        gamma_1=(gamma_1, "D"),
        beta_1=(beta_1, "D"),
        W_1=(W_1, "H D"),
        W_2=(W_2, "D H"),
        gamma_2=(gamma_2, "D"),
        beta_2=(beta_2, "D"),
        self_b_q=(self_b_q, "P"),
        self_b_k=(self_b_k, "P"),
        self_b_v=(self_b_v, "R"),
        self_b_o=(self_b_o, "D"),
        b_1=(b_1, "H"),
        b_2=(b_2, "D"),
    )
    see = _see(mask, lengths, False, (len(x), heads, x.shape[1], x.shape[1]))
    return _encode(x, dict(zip(ENCODER, weights, strict=True)), see, heads, norm)[0]


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
    """The two sublayers backwards."""
    absent = _absent(
        self_b_q=self_b_q, self_b_k=self_b_k, self_b_v=self_b_v, self_b_o=self_b_o, b_1=b_1, b_2=b_2
    )
    x, dy, *weights = arrays(
        x=(x, "B L D"),
        dy=(dy, "B L D"),
        self_W_q=(self_W_q, "P D"),
        self_W_k=(self_W_k, "P D"),
        self_W_v=(self_W_v, "R D"),
        self_W_o=(self_W_o, "D R"),
        gamma_1=(gamma_1, "D"),
        beta_1=(beta_1, "D"),
        W_1=(W_1, "H D"),
        W_2=(W_2, "D H"),
        gamma_2=(gamma_2, "D"),
        beta_2=(beta_2, "D"),
        self_b_q=(self_b_q, "P"),
        self_b_k=(self_b_k, "P"),
        self_b_v=(self_b_v, "R"),
        self_b_o=(self_b_o, "D"),
        b_1=(b_1, "H"),
        b_2=(b_2, "D"),
    )
    see = _see(mask, lengths, False, (len(x), heads, x.shape[1], x.shape[1]))
    w = dict(zip(ENCODER, weights, strict=True))
    tape = _encode(x, w, see, heads, norm)[1]
    return _without(_encode_vjp(tape, w, see, heads, norm, dy), absent)


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
    """Causal self-attention, attention to `memory`, then the feed-forward network, (B, L, D)."""
    x, memory, *weights = arrays(
        x=(x, "B L D"),
        memory=(memory, "B S D"),
        self_W_q=(self_W_q, "P D"),
        self_W_k=(self_W_k, "P D"),
        self_W_v=(self_W_v, "R D"),
        self_W_o=(self_W_o, "D R"),
        gamma_1=(gamma_1, "D"),
        beta_1=(beta_1, "D"),
        cross_W_q=(cross_W_q, "P D"),
        cross_W_k=(cross_W_k, "P D"),
        cross_W_v=(cross_W_v, "R D"),
        cross_W_o=(cross_W_o, "D R"),
        gamma_2=(gamma_2, "D"),
        beta_2=(beta_2, "D"),
        W_1=(W_1, "H D"),
        W_2=(W_2, "D H"),
        gamma_3=(gamma_3, "D"),
        beta_3=(beta_3, "D"),
        self_b_q=(self_b_q, "P"),
        self_b_k=(self_b_k, "P"),
        self_b_v=(self_b_v, "R"),
        self_b_o=(self_b_o, "D"),
        cross_b_q=(cross_b_q, "P"),
        cross_b_k=(cross_b_k, "P"),
        cross_b_v=(cross_b_v, "R"),
        cross_b_o=(cross_b_o, "D"),
        b_1=(b_1, "H"),
        b_2=(b_2, "D"),
    )
    see = _both(x, memory, lengths, memory_lengths, heads)
    return _decode(x, memory, dict(zip(DECODER, weights, strict=True)), see, heads, norm)[0]


def _both(
    x: Array, memory: Array, lengths: Any, memory_lengths: Any, heads: int
) -> tuple[See, See]:
    """What a decoder layer sees of its own input, and of the memory."""
    B, L = x.shape[:2]
    S = memory.shape[1]
    own = _see(None, lengths, True, (B, heads, L, L))
    return own, _see(None, memory_lengths, False, (B, heads, L, S))


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
    """The three sublayers backwards."""
    absent = _absent(
        self_b_q=self_b_q,
        self_b_k=self_b_k,
        self_b_v=self_b_v,
        self_b_o=self_b_o,
        cross_b_q=cross_b_q,
        cross_b_k=cross_b_k,
        cross_b_v=cross_b_v,
        cross_b_o=cross_b_o,
        b_1=b_1,
        b_2=b_2,
    )
    x, memory, dy, *weights = arrays(
        x=(x, "B L D"),
        memory=(memory, "B S D"),
        dy=(dy, "B L D"),
        self_W_q=(self_W_q, "P D"),
        self_W_k=(self_W_k, "P D"),
        self_W_v=(self_W_v, "R D"),
        self_W_o=(self_W_o, "D R"),
        gamma_1=(gamma_1, "D"),
        beta_1=(beta_1, "D"),
        cross_W_q=(cross_W_q, "P D"),
        cross_W_k=(cross_W_k, "P D"),
        cross_W_v=(cross_W_v, "R D"),
        cross_W_o=(cross_W_o, "D R"),
        gamma_2=(gamma_2, "D"),
        beta_2=(beta_2, "D"),
        W_1=(W_1, "H D"),
        W_2=(W_2, "D H"),
        gamma_3=(gamma_3, "D"),
        beta_3=(beta_3, "D"),
        self_b_q=(self_b_q, "P"),
        self_b_k=(self_b_k, "P"),
        self_b_v=(self_b_v, "R"),
        self_b_o=(self_b_o, "D"),
        cross_b_q=(cross_b_q, "P"),
        cross_b_k=(cross_b_k, "P"),
        cross_b_v=(cross_b_v, "R"),
        cross_b_o=(cross_b_o, "D"),
        b_1=(b_1, "H"),
        b_2=(b_2, "D"),
    )
    see = _both(x, memory, lengths, memory_lengths, heads)
    w = dict(zip(DECODER, weights, strict=True))
    tape = _decode(x, memory, w, see, heads, norm)[1]
    return _without(_decode_vjp(tape, w, see, heads, norm, dy), absent)


def _tokens(tokens: Any, V: int, name: str = "tokens") -> Array:
    """Whole numbers in 0 … V - 1, (B, L) of int64."""
    tokens = np.asarray(tokens)
    if tokens.ndim != 2:
        raise ValueError(f"{name} has shape {tokens.shape}, wanted (B L)")
    if tokens.dtype.kind not in "iu" and tokens.size:
        raise TypeError(f"{name} are integers, not {tokens.dtype}")
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < V:
        raise IndexError(f"an index of {name} lies outside 0 … {V - 1}")
    return plain(tokens, np.int64)


def _rows_of(E: Array, tokens: Array) -> Array:
    """E[tokens] √D."""
    z: Array = E[tokens] * _root(E)
    return z


@kernel
def _scatter(dE: Array, tokens: Array, dz: Array, root: Any) -> None:
    """dE[tokens] += dz √D, each place of a token."""
    for b in range(tokens.shape[0]):
        for l in range(tokens.shape[1]):
            _add(dE[tokens[b, l]], root, dz[b, l])


def transformer_embed(
    tokens: Array,  # (B, L), integers in 0 … V - 1
    E: Array,  # (V, D)
    *,
    offset: int = 0,
) -> Array:
    """E[tokens] √D + PE, (B, L, D)."""
    (E,) = arrays(E=(E, "V D"))
    return positional_encoding(_rows_of(E, _tokens(tokens, len(E))), offset=offset)


def transformer_embed_vjp(
    tokens: Array,
    E: Array,
    dy: Array,  # (B, L, D)
    *,
    offset: int = 0,
) -> Gradients:
    """dE, the sum over all places of a token."""
    E, dy = arrays(E=(E, "V D"), dy=(dy, "B L D"))
    tokens = _tokens(tokens, len(E))
    if tokens.shape != dy.shape[:2]:
        raise ValueError(f"dy has shape {dy.shape}, wanted (B L D) as tokens {tokens.shape}")
    dE = np.zeros_like(E)
    _scatter(dE, tokens, dy, _root(E))
    return {"dE": dE}


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
    """z + attention(z), (B, L, D), z the embedding with its position or without."""
    E, *weights = arrays(
        E=(E, "V D"), W_q=(W_q, "P D"), W_k=(W_k, "P D"), W_v=(W_v, "R D"), W_o=(W_o, "D R")
    )
    return _contextual(_tokens(tokens, len(E)), E, weights, heads, position)[0]


def _contextual(
    tokens: Array, E: Array, weights: list[Array], heads: int, position: str
) -> tuple[Array, Any]:
    z = _rows_of(E, tokens)
    if position == "sinusoidal":
        z = positional_encoding(z)
    elif position != "none":
        raise ValueError(f"position is 'sinusoidal' or 'none', not {position!r}")
    see = _see(None, None, False, (len(z), heads, z.shape[1], z.shape[1]))
    none = [np.zeros(len(W), E.dtype) for W in weights]
    w = dict(zip(ATTENTION, weights + none, strict=True))
    y, tape = _heads(z, z, z, w, see, heads)
    return z + y, (tape, w, see)


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
    """z is reached by itself, as query, key and value."""
    E, dh, *weights = arrays(
        E=(E, "V D"),
        dh=(dh, "B L D"),
        W_q=(W_q, "P D"),
        W_k=(W_k, "P D"),
        W_v=(W_v, "R D"),
        W_o=(W_o, "D R"),
    )
    tokens = _tokens(tokens, len(E))
    if tokens.shape != dh.shape[:2]:
        raise ValueError(f"dh has shape {dh.shape}, wanted (B L D) as tokens {tokens.shape}")
    tape, w, see = _contextual(tokens, E, weights, heads, position)[1]
    d = _heads_vjp(tape, w, see, heads, dh)
    dE = np.zeros_like(E)
    _scatter(dE, tokens, dh + d["dq"] + d["dk"] + d["dv"], _root(E))
    return {"dE": dE} | {f"dW_{name}": d[f"dW_{name}"] for name in "qkvo"}


def _stack(w: Parameters, side: str, n: int) -> Parameters:
    """The parameters of the n-th layer of a side, "enc" or "dec", without biases of attention."""
    of = {
        name.removeprefix(f"{side}_"): plain(value[n])
        for name, value in w.items()
        if name.startswith(side)
    }
    for prefix in ("self", "cross") if side == "dec" else ("self",):
        for name in "qkvo":
            W = of[f"{prefix}_W_{name}"]
            of[f"{prefix}_b_{name}"] = np.zeros(len(W), W.dtype)
    return of


def _through(
    source: Array, target: Array, E: Array, w: Parameters, lengths: tuple[Any, Any], heads: int
) -> tuple[Array, Any]:
    """The decoder's output, and the tape of all layers."""
    N = len(w["enc_W_1"])
    x = transformer_embed(source, E)
    y = transformer_embed(target, E)
    if len(x) != len(y):
        raise ValueError(f"target has shape {target.shape}, source {source.shape}: other batches")
    see = _see(None, lengths[0], False, (len(x), heads, x.shape[1], x.shape[1]))
    both = _both(y, x, lengths[1], lengths[0], heads)
    within = _within(both[0].lengths, y.shape[1])
    y = np.where(within, y, y.dtype.type(0))
    encoder, decoder = [], []
    for n in range(N):
        x, tape = _encode(x, _stack(w, "enc", n), see, heads, "post")
        encoder.append(tape)
    for n in range(N):
        y, tape = _decode(y, x, _stack(w, "dec", n), both, heads, "post")
        decoder.append(tape)
    return y, (encoder, decoder, see, both, within, x)


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
    """Encoder and decoder of N layers each; logits (B, L, V), 0 beyond the target's lengths."""
    E, *weights = arrays(
        E=(E, "V D"),
        enc_self_W_q=(enc_self_W_q, "N P D"),
        enc_self_W_k=(enc_self_W_k, "N P D"),
        enc_self_W_v=(enc_self_W_v, "N R D"),
        enc_self_W_o=(enc_self_W_o, "N D R"),
        enc_gamma_1=(enc_gamma_1, "N D"),
        enc_beta_1=(enc_beta_1, "N D"),
        enc_W_1=(enc_W_1, "N H D"),
        enc_W_2=(enc_W_2, "N D H"),
        enc_gamma_2=(enc_gamma_2, "N D"),
        enc_beta_2=(enc_beta_2, "N D"),
        dec_self_W_q=(dec_self_W_q, "N P D"),
        dec_self_W_k=(dec_self_W_k, "N P D"),
        dec_self_W_v=(dec_self_W_v, "N R D"),
        dec_self_W_o=(dec_self_W_o, "N D R"),
        dec_gamma_1=(dec_gamma_1, "N D"),
        dec_beta_1=(dec_beta_1, "N D"),
        dec_cross_W_q=(dec_cross_W_q, "N P D"),
        dec_cross_W_k=(dec_cross_W_k, "N P D"),
        dec_cross_W_v=(dec_cross_W_v, "N R D"),
        dec_cross_W_o=(dec_cross_W_o, "N D R"),
        dec_gamma_2=(dec_gamma_2, "N D"),
        dec_beta_2=(dec_beta_2, "N D"),
        dec_W_1=(dec_W_1, "N H D"),
        dec_W_2=(dec_W_2, "N D H"),
        dec_gamma_3=(dec_gamma_3, "N D"),
        dec_beta_3=(dec_beta_3, "N D"),
        enc_b_1=(enc_b_1, "N H"),
        enc_b_2=(enc_b_2, "N D"),
        dec_b_1=(dec_b_1, "N H"),
        dec_b_2=(dec_b_2, "N D"),
    )
    source, target = _tokens(source, len(E), "source"), _tokens(target, len(E), "target")
    w = dict(zip(PARAMETERS, weights, strict=True))
    y, _ = _through(source, target, E, w, (source_lengths, target_lengths), heads)
    return _project(y, E, np.zeros(len(E), E.dtype))


PARAMETERS = (
    "enc_self_W_q",
    "enc_self_W_k",
    "enc_self_W_v",
    "enc_self_W_o",
    "enc_gamma_1",
    "enc_beta_1",
    "enc_W_1",
    "enc_W_2",
    "enc_gamma_2",
    "enc_beta_2",
    "dec_self_W_q",
    "dec_self_W_k",
    "dec_self_W_v",
    "dec_self_W_o",
    "dec_gamma_1",
    "dec_beta_1",
    "dec_cross_W_q",
    "dec_cross_W_k",
    "dec_cross_W_v",
    "dec_cross_W_o",
    "dec_gamma_2",
    "dec_beta_2",
    "dec_W_1",
    "dec_W_2",
    "dec_gamma_3",
    "dec_beta_3",
    "enc_b_1",
    "enc_b_2",
    "dec_b_1",
    "dec_b_2",
)


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
    """Decoder, then encoder, layer by layer; the three gradients of E add up."""
    absent = _absent(enc_b_1=enc_b_1, enc_b_2=enc_b_2, dec_b_1=dec_b_1, dec_b_2=dec_b_2)
    E, dlogits, *weights = arrays(
        E=(E, "V D"),
        dlogits=(dlogits, "B L V"),
        enc_self_W_q=(enc_self_W_q, "N P D"),
        enc_self_W_k=(enc_self_W_k, "N P D"),
        enc_self_W_v=(enc_self_W_v, "N R D"),
        enc_self_W_o=(enc_self_W_o, "N D R"),
        enc_gamma_1=(enc_gamma_1, "N D"),
        enc_beta_1=(enc_beta_1, "N D"),
        enc_W_1=(enc_W_1, "N H D"),
        enc_W_2=(enc_W_2, "N D H"),
        enc_gamma_2=(enc_gamma_2, "N D"),
        enc_beta_2=(enc_beta_2, "N D"),
        dec_self_W_q=(dec_self_W_q, "N P D"),
        dec_self_W_k=(dec_self_W_k, "N P D"),
        dec_self_W_v=(dec_self_W_v, "N R D"),
        dec_self_W_o=(dec_self_W_o, "N D R"),
        dec_gamma_1=(dec_gamma_1, "N D"),
        dec_beta_1=(dec_beta_1, "N D"),
        dec_cross_W_q=(dec_cross_W_q, "N P D"),
        dec_cross_W_k=(dec_cross_W_k, "N P D"),
        dec_cross_W_v=(dec_cross_W_v, "N R D"),
        dec_cross_W_o=(dec_cross_W_o, "N D R"),
        dec_gamma_2=(dec_gamma_2, "N D"),
        dec_beta_2=(dec_beta_2, "N D"),
        dec_W_1=(dec_W_1, "N H D"),
        dec_W_2=(dec_W_2, "N D H"),
        dec_gamma_3=(dec_gamma_3, "N D"),
        dec_beta_3=(dec_beta_3, "N D"),
        enc_b_1=(enc_b_1, "N H"),
        enc_b_2=(enc_b_2, "N D"),
        dec_b_1=(dec_b_1, "N H"),
        dec_b_2=(dec_b_2, "N D"),
    )
    source, target = _tokens(source, len(E), "source"), _tokens(target, len(E), "target")
    if target.shape != dlogits.shape[:2]:
        raise ValueError(f"dlogits has shape {dlogits.shape}, target {target.shape}")
    w = dict(zip(PARAMETERS, weights, strict=True))
    lengths = source_lengths, target_lengths
    y, (encoder, decoder, see, both, within, memory) = _through(
        source, target, E, w, lengths, heads
    )
    d = {f"d{name}": np.zeros_like(value) for name, value in w.items()}
    dy, dE, _ = _project_vjp(y, E, dlogits, dlogits)
    dx = np.zeros_like(memory)
    for n in reversed(range(len(decoder))):
        of = _stack(w, "dec", n)
        d_n = _decode_vjp(decoder[n], of, both, heads, "post", dy)
        dy, dx = d_n["dx"], dx + d_n["dmemory"]
        _put(d, d_n, "dec", n)
    for n in reversed(range(len(encoder))):
        of = _stack(w, "enc", n)
        d_n = _encode_vjp(encoder[n], of, see, heads, "post", dx)
        dx = d_n["dx"]
        _put(d, d_n, "enc", n)
    dy = np.where(within, dy, dy.dtype.type(0))
    _scatter(dE, target, dy, _root(E))
    _scatter(dE, source, dx, _root(E))
    return _without(d | {"dE": dE}, absent)


def _put(d: Gradients, d_n: Gradients, side: str, n: int) -> None:
    """The gradients of one layer into those of the stack."""
    for name, value in d_n.items():
        into = f"d{side}_{name[1:]}"
        if into in d:
            d[into][n] = value
