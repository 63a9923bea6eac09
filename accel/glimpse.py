"""The recurrent model of visual attention: the sensor as kernels, the networks as layers.

Two products that are added, W h + U g, are one layer on [h, g]. Where the locations are given
beforehand, the glimpses of all times are one batch, and only the core goes step by step.
"""

from typing import Any

import numpy as np

from nnspec.accel.arrays import Array, arrays, plain
from nnspec.accel.dense import layer, layer_vjp, named
from nnspec.accel.jit import helper, kernel
from nnspec.accel.primitives import softmax, softmax_vjp
from nnspec.accel.scalar import IDENTITY, RELU, TANH

MEANS = {"linear": IDENTITY, "tanh": TANH}


@helper
def _pixel(coordinate: float, n: int, size: int) -> int:
    """The pixel of a coordinate; of one far outside, a pixel that no patch reaches inside from."""
    p = np.floor((coordinate + np.float32(1)) * np.float32(n) / np.float32(2))
    if p < -size:
        return -size - 1
    if p > n + size:
        return n + size
    return int(p)


@kernel
def _sense(
    X: Array,  # (B, M, N)
    l: Array,  # (T B, 2): row i looks at X[i % B]
    g_w: int,
    k: int,
) -> Array:  # (T B, k, g_w, g_w)
    B, M, N = X.shape
    rho = np.zeros((l.shape[0], k, g_w, g_w), X.dtype)
    largest = g_w * 2 ** (k - 1)
    for i in range(l.shape[0]):
        image = X[i % B]
        p_x = _pixel(l[i, 0], N, largest)
        p_y = _pixel(l[i, 1], M, largest)
        for scale in range(k):
            s = 2**scale
            area = np.float32(s * s)
            x = p_x - g_w * s // 2
            y = p_y - g_w * s // 2
            for u in range(g_w):
                first = max(y + u * s, 0)
                last = min(y + u * s + s, M)
                for v in range(g_w):
                    left = max(x + v * s, 0)
                    right = min(x + v * s + s, N)
                    # no term but the pixels themselves: -0.0 of one pixel stays what it is
                    for row in range(first, last):
                        for column in range(left, right):
                            rho[i, scale, u, v] += image[row, column]
                    rho[i, scale, u, v] /= area
    return rho


@kernel
def _sense_vjp(
    drho: Array,  # (T B, k, g_w, g_w)
    l: Array,  # (T B, 2)
    B: int,
    M: int,
    N: int,
) -> Array:  # (B, M, N)
    dX = np.zeros((B, M, N), drho.dtype)
    k = drho.shape[1]
    g_w = drho.shape[2]
    largest = g_w * 2 ** (k - 1)
    for i in range(l.shape[0]):
        dimage = dX[i % B]
        p_x = _pixel(l[i, 0], N, largest)
        p_y = _pixel(l[i, 1], M, largest)
        for scale in range(k):
            s = 2**scale
            area = np.float32(s * s)
            x = p_x - g_w * s // 2
            y = p_y - g_w * s // 2
            for u in range(g_w):
                for v in range(g_w):
                    share = drho[i, scale, u, v] / area
                    for row in range(max(y + u * s, 0), min(y + u * s + s, M)):
                        for column in range(max(x + v * s, 0), min(x + v * s + s, N)):
                            dimage[row, column] += share
    return dX


def _located(l: Array) -> Array:
    """The locations; raises ValueError where one is NaN."""
    if np.isnan(l).any():
        raise ValueError("l holds a NaN: a glimpse at no location")
    return l


def _joined(*parts: Array) -> Array:
    """Side by side: inputs of one layer, or its weights."""
    return np.concatenate(parts, axis=-1)


def _part(a: Array, first: int, last: int | None) -> Array:
    """Columns of a, as an array of their own."""
    return np.ascontiguousarray(a[:, first:last])


def glimpse_sensor(
    X: Array,  # (B, M, N)
    l: Array,  # (B, 2), (x, y)
    *,
    g_w: int = 8,
    k: int = 1,
) -> Array:
    """ρ(X, l), (B, k, g_w, g_w); raises ValueError for a location that is NaN."""
    X, l = arrays(X=(X, "B M N"), l=(l, "B 2"))
    return _sense(X, _located(l), g_w, k)


def glimpse_sensor_vjp(
    X: Array,
    l: Array,
    drho: Array,  # (B, k, g_w, g_w)
    *,
    g_w: int = 8,
    k: int = 1,
) -> dict[str, Array]:
    """Each pixel gets its share of every cell that it is in."""
    X, l, drho = arrays(X=(X, "B M N"), l=(l, "B 2"), drho=(drho, "B K S S"))
    if drho.shape[1:] != (k, g_w, g_w):
        raise ValueError(f"drho has shape {drho.shape}, wanted (B, {k}, {g_w}, {g_w})")
    return {"dX": _sense_vjp(drho, _located(l), *X.shape)}


def _network(rho: Array, l: Array, weights: list[Array]) -> tuple[Array, Array, Array]:
    """The two encodings side by side, the weights that act on both, and g. rho is (B, R)."""
    W_rho, W_l, W_gr, W_gl, b_rho, b_l, b_g = weights
    seen = _joined(layer(rho, W_rho, b_rho, RELU), layer(l, W_l, b_l, RELU))
    W_g = _joined(W_gr, W_gl)
    return seen, W_g, layer(seen, W_g, b_g, RELU)


def _network_vjp(
    rho: Array, l: Array, weights: list[Array], forward: tuple[Array, Array, Array], dg: Array
) -> dict[str, Array]:
    """From what `_network` returned to all gradients."""
    W_rho, W_l = weights[:2]
    seen, W_g, g = forward
    P = W_rho.shape[0]
    dseen, dW_g, db_g = layer_vjp(seen, W_g, g, dg, RELU)
    drho, dW_rho, db_rho = layer_vjp(rho, W_rho, _part(seen, 0, P), _part(dseen, 0, P), RELU)
    dl, dW_l, db_l = layer_vjp(l, W_l, _part(seen, P, None), _part(dseen, P, None), RELU)
    return {
        "drho": drho, "dl": dl, "dW_rho": dW_rho, "dW_l": dW_l, "dW_gr": dW_g[:, :P],
        "dW_gl": dW_g[:, P:], "db_rho": db_rho, "db_l": db_l, "db_g": db_g,
    }  # fmt: skip


def glimpse_network(
    rho: Array,  # (B, K, S, S)
    l: Array,  # (B, 2), (x, y)
    W_rho: Array,  # (P, K S S)
    W_l: Array,  # (Q, 2)
    W_gr: Array,  # (G, P)
    W_gl: Array,  # (G, Q)
    *,
    b_rho: Array | None = None,  # (P,)
    b_l: Array | None = None,  # (Q,)
    b_g: Array | None = None,  # (G,)
) -> Array:
    """What was seen and where, in one vector g (B, G)."""
    rho, l, *weights = _network_arrays(rho, l, W_rho, W_l, W_gr, W_gl, b_rho, b_l, b_g)
    return _network(rho, l, weights)[2]


def _network_arrays(
    rho: Array,
    l: Array,
    W_rho: Array,
    W_l: Array,
    W_gr: Array,
    W_gl: Array,
    b_rho: Array | None,
    b_l: Array | None,
    b_g: Array | None,
) -> list[Array]:
    """All inputs of a glimpse network, ρ as (B, R)."""
    rho = np.asarray(rho)
    return arrays(
        rho=(rho.reshape(rho.shape[0], int(np.prod(rho.shape[1:]))), "B R"),
        l=(l, "B 2"),
        W_rho=(W_rho, "P R"),
        W_l=(W_l, "Q 2"),
        W_gr=(W_gr, "G P"),
        W_gl=(W_gl, "G Q"),
        b_rho=(b_rho, "P"),
        b_l=(b_l, "Q"),
        b_g=(b_g, "G"),
    )


def glimpse_network_vjp(
    rho: Array,
    l: Array,
    W_rho: Array,
    W_l: Array,
    W_gr: Array,
    W_gl: Array,
    dg: Array,  # (B, G)
    *,
    b_rho: Array | None = None,
    b_l: Array | None = None,
    b_g: Array | None = None,
) -> dict[str, Array]:
    """Both ways back, each through a rectifier of its own."""
    shape = np.shape(rho)
    biases = {"db_rho": b_rho, "db_l": b_l, "db_g": b_g}
    rho, l, *weights = _network_arrays(rho, l, W_rho, W_l, W_gr, W_gl, b_rho, b_l, b_g)
    dg = _like(dg, (rho.shape[0], weights[2].shape[0]), rho)
    d = _network_vjp(rho, l, weights, _network(rho, l, weights), dg)
    d["drho"] = d["drho"].reshape(shape)
    return _only_given(d, biases)


def _like(value: Array, shape: tuple[int, ...], other: Array) -> Array:
    """A cotangent as a kernel takes it, in the dtype of `other`."""
    if np.shape(value) != shape:
        raise ValueError(f"a cotangent has shape {np.shape(value)}, wanted {shape}")
    return plain(np.asarray(value), other.dtype)


def _only_given(d: dict[str, Array], biases: dict[str, Array | None]) -> dict[str, Array]:
    """The gradients without those of biases that were not given."""
    return {name: value for name, value in d.items() if biases.get(name, value) is not None}


def glimpse_core(
    g: Array,  # (B, G)
    h_prev: Array,  # (B, H)
    U: Array,  # (H, G)
    W: Array,  # (H, H)
    *,
    b_h: Array | None = None,  # (H,)
) -> Array:
    """The state after a glimpse, h (B, H)."""
    g, h_prev, U, W, b_h = arrays(
        g=(g, "B G"), h_prev=(h_prev, "B H"), U=(U, "H G"), W=(W, "H H"), b_h=(b_h, "H")
    )
    return layer(_joined(h_prev, g), _joined(W, U), b_h, RELU)


def glimpse_core_vjp(
    g: Array,
    h_prev: Array,
    U: Array,
    W: Array,
    dh: Array,  # (B, H)
    *,
    b_h: Array | None = None,
) -> dict[str, Array]:
    """A layer's VJP on [h, g], taken apart."""
    given = b_h
    g, h_prev, U, W, dh, b_h = arrays(
        g=(g, "B G"),
        h_prev=(h_prev, "B H"),
        U=(U, "H G"),
        W=(W, "H H"),
        dh=(dh, "B H"),
        b_h=(b_h, "H"),
    )
    H = W.shape[0]
    c, W_c = _joined(h_prev, g), _joined(W, U)
    dc, dW_c, db = layer_vjp(c, W_c, layer(c, W_c, b_h, RELU), dh, RELU)
    d = {"dg": dc[:, H:], "dh_prev": dc[:, :H], "dU": dW_c[:, H:], "dW": dW_c[:, :H]}
    return d | named(db_h=(db, given))


def glimpse_location(
    h: Array,  # (B, H)
    eps: Array,  # (B, 2)
    W_mu: Array,  # (2, H)
    *,
    b_mu: Array | None = None,  # (2,)
    sigma: float = 0.25,
    mean: str = "linear",
) -> tuple[Array, Array]:
    """Where to look next: the mean mu (B, 2), and l (B, 2), drawn with the noise eps."""
    h, eps, W_mu, b_mu = arrays(
        h=(h, "B H"), eps=(eps, "B 2"), W_mu=(W_mu, "2 H"), b_mu=(b_mu, "2")
    )
    mu = layer(h, W_mu, b_mu, MEANS[mean])
    return mu, mu + float(sigma) * eps


def glimpse_location_vjp(
    h: Array,
    eps: Array,
    W_mu: Array,
    dmu: Array,  # (B, 2)
    dl: Array,  # (B, 2)
    *,
    b_mu: Array | None = None,
    sigma: float = 0.25,
    mean: str = "linear",
) -> dict[str, Array]:
    """Both errors reach mu."""
    given = b_mu
    h, _, W_mu, dmu, dl, b_mu = arrays(
        h=(h, "B H"),
        eps=(eps, "B 2"),
        W_mu=(W_mu, "2 H"),
        dmu=(dmu, "B 2"),
        dl=(dl, "B 2"),
        b_mu=(b_mu, "2"),
    )
    mu = layer(h, W_mu, b_mu, MEANS[mean])
    dh, dW_mu, db_mu = layer_vjp(h, W_mu, mu, dmu + dl, MEANS[mean])
    return {"dh": dh, "dW_mu": dW_mu} | named(db_mu=(db_mu, given))


def glimpse_action(
    h: Array,  # (B, H)
    W_a: Array,  # (A, H)
    *,
    b_a: Array | None = None,  # (A,)
) -> Array:
    """The probability of each of A classes, p (B, A)."""
    h, W_a, b_a = arrays(h=(h, "B H"), W_a=(W_a, "A H"), b_a=(b_a, "A"))
    return softmax(layer(h, W_a, b_a, IDENTITY))


def glimpse_action_vjp(
    h: Array,
    W_a: Array,
    dp: Array,  # (B, A)
    *,
    b_a: Array | None = None,
) -> dict[str, Array]:
    """Softmax's, then the layer's."""
    given = b_a
    h, W_a, dp, b_a = arrays(h=(h, "B H"), W_a=(W_a, "A H"), dp=(dp, "B A"), b_a=(b_a, "A"))
    a = layer(h, W_a, b_a, IDENTITY)
    da = softmax_vjp(a, dp)["dx"]
    dh, dW_a, db_a = layer_vjp(h, W_a, a, da, IDENTITY)
    return {"dh": dh, "dW_a": dW_a} | named(db_a=(db_a, given))


def glimpse_rollout(
    X: Array,  # (B, M, N)
    l_0: Array,  # (B, 2), (x, y)
    eps: Array,  # (T, B, 2)
    W_rho: Array,  # (P, k g_w g_w)
    W_l: Array,  # (Q, 2)
    W_gr: Array,  # (G, P)
    W_gl: Array,  # (G, Q)
    U: Array,  # (H, G)
    W: Array,  # (H, H)
    W_mu: Array,  # (2, H)
    W_a: Array,  # (A, H)
    *,
    h_0: Array | None = None,  # (B, H)
    b_rho: Array | None = None,  # (P,)
    b_l: Array | None = None,  # (Q,)
    b_g: Array | None = None,  # (G,)
    b_h: Array | None = None,  # (H,)
    b_mu: Array | None = None,  # (2,)
    b_a: Array | None = None,  # (A,)
    g_w: int = 8,
    k: int = 1,
    sigma: float = 0.25,
    mean: str = "linear",
) -> tuple[Array, Array, Array, Array]:
    """T glimpses, each where the one before has sent it: l, mu, h and p over time."""
    X, l_0, eps, W_rho, W_l, W_gr, W_gl, U, W, W_mu, W_a, h_0, b_rho, b_l, b_g, b_h, b_mu, b_a = (
        arrays(
            X=(X, "B M N"),
            l_0=(l_0, "B 2"),
            eps=(eps, "T B 2"),
            W_rho=(W_rho, "P R"),
            W_l=(W_l, "Q 2"),
            W_gr=(W_gr, "G P"),
            W_gl=(W_gl, "G Q"),
            U=(U, "H G"),
            W=(W, "H H"),
            W_mu=(W_mu, "2 H"),
            W_a=(W_a, "A H"),
            h_0=(h_0, "B H"),
            b_rho=(b_rho, "P"),
            b_l=(b_l, "Q"),
            b_g=(b_g, "G"),
            b_h=(b_h, "H"),
            b_mu=(b_mu, "2"),
            b_a=(b_a, "A"),
        )
    )
    T, B, _ = eps.shape
    weights = [W_rho, W_l, W_gr, W_gl, b_rho, b_l, b_g]
    W_c = _joined(W, U)
    l, mu = np.empty((T, B, 2), X.dtype), np.empty((T, B, 2), X.dtype)
    h = np.empty((T, B, W.shape[0]), X.dtype)
    h_t, l_t = h_0, l_0
    for t in range(T):
        rho = _sense(X, _located(l_t), g_w, k).reshape(B, k * g_w * g_w)
        g_t = _network(rho, l_t, weights)[2]
        h_t = h[t] = layer(_joined(h_t, g_t), W_c, b_h, RELU)
        mu[t] = layer(h_t, W_mu, b_mu, MEANS[mean])
        l_t = l[t] = mu[t] + float(sigma) * eps[t]
    p = softmax(layer(_rows(h), W_a, b_a, IDENTITY)).reshape(T, B, W_a.shape[0])
    return l, mu, h, p


def _rows(x: Array) -> Array:
    """(T, B, …) as (T B, …)."""
    T, B = x.shape[:2]
    return x.reshape(T * B, *x.shape[2:])


def glimpse_unroll(
    X: Array,  # (B, M, N)
    l: Array,  # (T, B, 2), (x, y)
    W_rho: Array,  # (P, k g_w g_w)
    W_l: Array,  # (Q, 2)
    W_gr: Array,  # (G, P)
    W_gl: Array,  # (G, Q)
    U: Array,  # (H, G)
    W: Array,  # (H, H)
    W_mu: Array,  # (2, H)
    W_a: Array,  # (A, H)
    *,
    h_0: Array | None = None,  # (B, H)
    b_rho: Array | None = None,  # (P,)
    b_l: Array | None = None,  # (Q,)
    b_g: Array | None = None,  # (G,)
    b_h: Array | None = None,  # (H,)
    b_mu: Array | None = None,  # (2,)
    b_a: Array | None = None,  # (A,)
    g_w: int = 8,
    k: int = 1,
    mean: str = "linear",
) -> tuple[Array, Array, Array]:
    """T glimpses at given locations: mu, h and p over time."""
    (l, W_mu, W_a, b_mu, b_a), steps = _unrolled(
        X, l, W_rho, W_l, W_gr, W_gl, U, W, W_mu, W_a, h_0, b_rho, b_l, b_g, b_h, b_mu, b_a, g_w, k
    )
    T, B, _ = l.shape
    h = _rows(steps["h"])
    mu = layer(h, W_mu, b_mu, MEANS[mean]).reshape(T, B, 2)
    p = softmax(layer(h, W_a, b_a, IDENTITY)).reshape(T, B, W_a.shape[0])
    return mu, steps["h"], p


def _unrolled(
    X: Array,
    l: Array,
    W_rho: Array,
    W_l: Array,
    W_gr: Array,
    W_gl: Array,
    U: Array,
    W: Array,
    W_mu: Array,
    W_a: Array,
    h_0: Array | None,
    b_rho: Array | None,
    b_l: Array | None,
    b_g: Array | None,
    b_h: Array | None,
    b_mu: Array | None,
    b_a: Array | None,
    g_w: int,
    k: int,
) -> tuple[list[Array], dict[str, Array]]:
    """The inputs that act on states, and everything up to the states by name."""
    X, l, W_rho, W_l, W_gr, W_gl, U, W, W_mu, W_a, h_0, b_rho, b_l, b_g, b_h, b_mu, b_a = arrays(
        X=(X, "B M N"),
        l=(l, "T B 2"),
        W_rho=(W_rho, "P R"),
        W_l=(W_l, "Q 2"),
        W_gr=(W_gr, "G P"),
        W_gl=(W_gl, "G Q"),
        U=(U, "H G"),
        W=(W, "H H"),
        W_mu=(W_mu, "2 H"),
        W_a=(W_a, "A H"),
        h_0=(h_0, "B H"),
        b_rho=(b_rho, "P"),
        b_l=(b_l, "Q"),
        b_g=(b_g, "G"),
        b_h=(b_h, "H"),
        b_mu=(b_mu, "2"),
        b_a=(b_a, "A"),
    )
    T, B, _ = l.shape
    at = _located(_rows(l))
    rho = _sense(X, at, g_w, k).reshape(T * B, k * g_w * g_w)
    weights = [W_rho, W_l, W_gr, W_gl, b_rho, b_l, b_g]
    seen, W_g, g = _network(rho, at, weights)
    W_c = _joined(W, U)
    h = np.empty((T, B, W.shape[0]), X.dtype)
    c = np.empty((T, B, W.shape[0] + g.shape[1]), X.dtype)
    h_t = h_0
    for t in range(T):
        c[t] = _joined(h_t, g[t * B : (t + 1) * B])
        h_t = h[t] = layer(c[t], W_c, b_h, RELU)
    names = ("W_rho", "W_l", "W_gr", "W_gl", "b_rho", "b_l", "b_g")
    steps = dict(zip(names, weights, strict=True))
    steps |= {"X": X, "at": at, "rho": rho, "seen": seen, "W_g": W_g, "g": g, "W_c": W_c}
    return [l, W_mu, W_a, b_mu, b_a], steps | {"c": c, "h": h}


def glimpse_unroll_vjp(
    X: Array,
    l: Array,
    W_rho: Array,
    W_l: Array,
    W_gr: Array,
    W_gl: Array,
    U: Array,
    W: Array,
    W_mu: Array,
    W_a: Array,
    dmu: Array,  # (T, B, 2)
    dh: Array,  # (T, B, H)
    dp: Array,  # (T, B, A)
    *,
    h_0: Array | None = None,
    b_rho: Array | None = None,
    b_l: Array | None = None,
    b_g: Array | None = None,
    b_h: Array | None = None,
    b_mu: Array | None = None,
    b_a: Array | None = None,
    g_w: int = 8,
    k: int = 1,
    mean: str = "linear",
) -> dict[str, Array]:
    """Backpropagation through time in the core alone; all else is one batch."""
    biases = {"db_rho": b_rho, "db_l": b_l, "db_g": b_g, "db_h": b_h, "db_mu": b_mu, "db_a": b_a}
    (l, W_mu, W_a, b_mu, b_a), steps = _unrolled(
        X, l, W_rho, W_l, W_gr, W_gl, U, W, W_mu, W_a, h_0, b_rho, b_l, b_g, b_h, b_mu, b_a, g_w, k
    )
    T, B, _ = l.shape
    h, c, W_c = steps["h"], steps["c"], steps["W_c"]
    H = h.shape[2]
    rows = _rows(h)
    dmu = _rows(_like(dmu, (T, B, 2), h))
    dp = _rows(_like(dp, (T, B, W_a.shape[0]), h))
    mu = layer(rows, W_mu, b_mu, MEANS[mean])
    from_mu, dW_mu, db_mu = layer_vjp(rows, W_mu, mu, dmu, MEANS[mean])
    a = layer(rows, W_a, b_a, IDENTITY)
    from_p, dW_a, db_a = layer_vjp(rows, W_a, a, softmax_vjp(a, dp)["dx"], IDENTITY)
    error = _like(dh, h.shape, h) + (from_mu + from_p).reshape(h.shape)
    d_t = np.zeros((B, H), h.dtype)
    dg = np.empty((T, B, c.shape[2] - H), h.dtype)
    dW_c, db_h = np.zeros_like(W_c), np.zeros(H, h.dtype)
    for t in range(T - 1, -1, -1):
        dc, dW_t, db_t = layer_vjp(c[t], W_c, h[t], error[t] + d_t, RELU)
        dg[t] = dc[:, H:]
        d_t = dc[:, :H]
        dW_c += dW_t
        db_h += db_t
    weights = [steps[n] for n in ("W_rho", "W_l", "W_gr", "W_gl", "b_rho", "b_l", "b_g")]
    forward = steps["seen"], steps["W_g"], steps["g"]
    d = _network_vjp(steps["rho"], steps["at"], weights, forward, _rows(dg))
    d.pop("dl")
    drho = d.pop("drho").reshape(T * B, k, g_w, g_w)
    dX = _sense_vjp(drho, steps["at"], *steps["X"].shape)
    d |= {"dX": dX, "dh_0": d_t, "dU": dW_c[:, H:], "dW": dW_c[:, :H]}
    d |= {"dW_mu": dW_mu, "dW_a": dW_a, "db_h": db_h, "db_mu": db_mu, "db_a": db_a}
    return _only_given(d, biases)


def glimpse_reinforce(
    l: Array,  # (T, B, 2)
    mu: Array,  # (T, B, 2)
    R: Array,  # (B,)
    *,
    b: Array | None = None,  # (T, B)
    sigma: float = 0.25,
) -> Array:
    """A loss, as a scalar, whose gradient is REINFORCE's."""
    l, mu, R, b = arrays(l=(l, "T B 2"), mu=(mu, "T B 2"), R=(R, "B"), b=(b, "T B"))
    z = (l - mu) / float(sigma)
    distance = z[..., 0] * z[..., 0] + z[..., 1] * z[..., 1]
    return np.asarray(((R - b) * distance / (2 * max(R.size, 1))).sum())


def glimpse_reinforce_vjp(
    l: Array,
    mu: Array,
    R: Array,
    dloss: Array,  # ()
    *,
    b: Array | None = None,
    sigma: float = 0.25,
) -> dict[str, Array]:
    """dmu = -(R - b) (l - mu) / (σ² B)."""
    l, mu, R, b = arrays(l=(l, "T B 2"), mu=(mu, "T B 2"), R=(R, "B"), b=(b, "T B"))
    scale = np.asarray(dloss, l.dtype) / (float(sigma) ** 2 * max(R.size, 1))
    return {"dmu": (R - b)[..., np.newaxis] * (mu - l) * scale}


def glimpse_baseline(
    h: Array,  # (T, B, H)
    R: Array,  # (B,)
    W_b: Array,  # (1, H)
    *,
    b_b: Array | None = None,  # (1,)
) -> tuple[Array, Array]:
    """What return to expect in each state, b (T, B), and its squared error, a scalar."""
    h, R, W_b, b_b = arrays(h=(h, "T B H"), R=(R, "B"), W_b=(W_b, "One H"), b_b=(b_b, "One"))
    b = layer(_rows(h), W_b, b_b, IDENTITY).reshape(h.shape[:2])
    return b, np.asarray(((R - b) * (R - b) / max(R.size, 1)).sum())


def glimpse_baseline_vjp(
    h: Array,
    R: Array,
    W_b: Array,
    db: Array,  # (T, B)
    dloss: Array,  # ()
    *,
    b_b: Array | None = None,
) -> dict[str, Array]:
    """The errors of b and of the loss add up."""
    given = b_b
    h, R, W_b, db, b_b = arrays(
        h=(h, "T B H"), R=(R, "B"), W_b=(W_b, "One H"), db=(db, "T B"), b_b=(b_b, "One")
    )
    b = layer(_rows(h), W_b, b_b, IDENTITY)
    da = db + np.asarray(dloss, h.dtype) * 2 * (b.reshape(db.shape) - R) / max(R.size, 1)
    _, dW_b, db_b = layer_vjp(_rows(h), W_b, b, plain(da.reshape(b.shape)), IDENTITY)
    return {"dW_b": dW_b} | named(db_b=(db_b, given))


def glimpse_train_step(
    X: Array,  # (B, M, N)
    y: Array,  # (B,), classes
    l_0: Array,  # (B, 2), (x, y)
    eps: Array,  # (T, B, 2)
    W_rho: Array,  # (P, k g_w g_w)
    W_l: Array,  # (Q, 2)
    W_gr: Array,  # (G, P)
    W_gl: Array,  # (G, Q)
    U: Array,  # (H, G)
    W: Array,  # (H, H)
    W_mu: Array,  # (2, H)
    W_a: Array,  # (A, H)
    W_b: Array,  # (1, H)
    b_rho: Array,  # (P,)
    b_l: Array,  # (Q,)
    b_g: Array,  # (G,)
    b_h: Array,  # (H,)
    b_mu: Array,  # (2,)
    b_a: Array,  # (A,)
    b_b: Array,  # (1,)
    *,
    lr: float = 0.0625,
    g_w: int = 8,
    k: int = 1,
    sigma: float = 0.25,
    mean: str = "linear",
    reinforce: str = "location",
) -> tuple[Array, ...]:
    """One step on the hybrid loss: the sixteen parameters after it, R and the three losses."""
    eps, l_0, y = np.asarray(eps), np.asarray(l_0), np.asarray(y)
    T, B = eps.shape[:2]
    weights = {"W_rho": W_rho, "W_l": W_l, "W_gr": W_gr, "W_gl": W_gl, "U": U, "W": W}
    weights |= {"W_mu": W_mu, "W_a": W_a}
    biases = {"b_rho": b_rho, "b_l": b_l, "b_g": b_g, "b_h": b_h, "b_mu": b_mu, "b_a": b_a}
    look: dict[str, Any] = {**weights, **biases, "g_w": g_w, "k": k, "mean": mean}
    l, mu, h, p = glimpse_rollout(X, l_0, eps, sigma=sigma, **look)
    last, W_a, b_a = arrays(h=(h[T - 1], "B H"), W_a=(W_a, "A H"), b_a=(b_a, "A"))
    a = layer(last, W_a, b_a, IDENTITY)
    R = (np.argmax(a, axis=-1) == y).astype(h.dtype)
    b, loss_baseline = glimpse_baseline(h, R, W_b, b_b=b_b)
    loss_reinforce = glimpse_reinforce(l, mu, R, b=b, sigma=sigma)
    shifted = a - a.max(axis=-1, keepdims=True)
    rows = np.arange(B)
    log_p = shifted[rows, y] - np.log(np.exp(shifted).sum(axis=-1))
    loss_action = np.asarray(-(log_p / max(B, 1)).sum())

    da = p[T - 1]
    da[rows, y] -= 1
    dlast, dW_a, db_a = layer_vjp(last, W_a, a, da / max(B, 1), IDENTITY)
    one = np.ones((), h.dtype)
    dmu = glimpse_reinforce_vjp(l, mu, R, one, b=b, sigma=sigma)["dmu"]
    d = glimpse_baseline_vjp(h, R, W_b, np.zeros_like(b), one, b_b=b_b)
    dh = np.zeros_like(h)
    dh[T - 1] = dlast
    looked_at = np.concatenate([l_0[np.newaxis], l[: T - 1]])
    through = dmu if reinforce == "all" else np.zeros_like(dmu)
    d |= glimpse_unroll_vjp(X, looked_at, dmu=through, dh=dh, dp=np.zeros_like(p), **look)
    d |= {"dW_a": dW_a, "db_a": db_a}
    if reinforce == "location":
        error = _rows(dmu)
        at_l = glimpse_location_vjp(
            _rows(h), error, W_mu, error, np.zeros_like(error), b_mu=b_mu, mean=mean
        )
        d |= {"dW_mu": at_l["dW_mu"], "db_mu": at_l["db_mu"]}
    old = weights | {"W_b": W_b} | biases | {"b_b": b_b}
    new = [np.asarray(value) - float(lr) * d[f"d{name}"] for name, value in old.items()]
    return *new, R, loss_action, loss_reinforce, loss_baseline
