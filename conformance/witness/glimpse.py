"""Scalar transcription of spec/glimpse.md."""

from typing import Any

import numpy as np

from nnspec.reference.array import Array

Number = Any
Row = list[Any]
Nested = list[Any]


def own(v: Number) -> Number:
    """A number of an array that is not differentiated, as one that a ball can be multiplied by."""
    return v.item() if isinstance(v, np.generic) else v


def linear(W: Array, b: Array | None, n: int, row: Row) -> Number:
    """Row n of W times the row, and b_n where b is given."""
    total: Number = 0 if b is None else b[n]
    for j, value in enumerate(row):
        total = total + W[n, j] * value
    return total


def rect(v: Number) -> Number:
    """max(v, 0)."""
    return v if v > 0 or np.isnan(float(v)) else 0


def pixel_of(coordinate: Number, n: int) -> int:
    """glimpse.pixel, for a number; far off the image where the coordinate is."""
    if abs(float(coordinate)) > 1e6:
        return 10**9 if float(coordinate) > 0 else -(10**9)
    return int(np.floor((coordinate + 1) * n / 2))


def cell(X: Array, n: int, x: int, y: int, s: int) -> Number:
    """The mean of an s x s block with its first pixel at (x, y); nothing is there outside of X."""
    total: Number = 0
    for row in range(y, y + s):
        for column in range(x, x + s):
            if 0 <= row < X.shape[1] and 0 <= column < X.shape[2]:
                total = total + X[n, row, column]
    return total / (s * s)


def retina(X: Array, n: int, l: Row, g_w: int, k: int) -> Nested:
    """glimpse.sensor for one example: [scale][row][column]."""
    middle_x, middle_y = pixel_of(l[0], X.shape[2]), pixel_of(l[1], X.shape[1])
    scales = []
    for i in range(k):
        s = 2**i
        x, y = middle_x - g_w * s // 2, middle_y - g_w * s // 2
        scales.append(
            [[cell(X, n, x + s * v, y + s * u, s) for v in range(g_w)] for u in range(g_w)]
        )
    return scales


def glimpse_sensor(X: Array, l: Array, g_w: int = 8, k: int = 1) -> Nested:
    """glimpse.sensor."""
    return [retina(X, n, [l[n, 0], l[n, 1]], g_w, k) for n in range(X.shape[0])]


def network_row(
    seen: Row,
    l: Row,
    W_rho: Array,
    W_l: Array,
    W_gr: Array,
    W_gl: Array,
    b_rho: Array | None,
    b_l: Array | None,
    b_g: Array | None,
) -> Row:
    """glimpse.network for one example."""
    what = [rect(linear(W_rho, b_rho, n, seen)) for n in range(W_rho.shape[0])]
    where = [rect(linear(W_l, b_l, n, l)) for n in range(W_l.shape[0])]
    return [
        rect(linear(W_gl, None, n, where) + linear(W_gr, b_g, n, what))
        for n in range(W_gr.shape[0])
    ]


def in_line(scales: Any) -> Row:
    """[scale][row][column] as one row of numbers."""
    return [value for rows in scales for row in rows for value in row]


def glimpse_network(
    rho: Array,
    l: Array,
    W_rho: Array,
    W_l: Array,
    W_gr: Array,
    W_gl: Array,
    b_rho: Array | None = None,
    b_l: Array | None = None,
    b_g: Array | None = None,
) -> Nested:
    """glimpse.network."""
    return [
        network_row(in_line(rho[n]), [l[n, 0], l[n, 1]], W_rho, W_l, W_gr, W_gl, b_rho, b_l, b_g)
        for n in range(rho.shape[0])
    ]


def core_row(g: Row, h: Row, U: Array, W: Array, b_h: Array | None) -> Row:
    """glimpse.core for one example."""
    return [rect(linear(U, None, n, g) + linear(W, b_h, n, h)) for n in range(W.shape[0])]


def glimpse_core(g: Array, h_prev: Array, U: Array, W: Array, b_h: Array | None = None) -> Nested:
    """glimpse.core."""
    return [core_row(list(g[n]), list(h_prev[n]), U, W, b_h) for n in range(g.shape[0])]


def mean_row(h: Row, W_mu: Array, b_mu: Array | None, mean: str) -> Row:
    """glimpse.location for one example."""
    mu = [linear(W_mu, b_mu, n, h) for n in range(2)]
    return [np.tanh(v) for v in mu] if mean == "tanh" else mu


def glimpse_location(
    h: Array,
    eps: Array,
    W_mu: Array,
    b_mu: Array | None = None,
    sigma: float = 0.25,
    mean: str = "linear",
) -> tuple[Nested, Nested]:
    """glimpse.location and glimpse.sample."""
    mu = [mean_row(list(h[n]), W_mu, b_mu, mean) for n in range(h.shape[0])]
    return mu, [[sigma * own(eps[n, j]) + mu[n][j] for j in range(2)] for n in range(h.shape[0])]


def shares(a: Row) -> Row:
    """e^a over the sum of e^a, shifted by a number that the quotient does not depend on."""
    shift = max(float(v) for v in a)
    powers = [np.exp(v - shift) for v in a]
    return [power / sum(powers) for power in powers]


def action_row(h: Row, W_a: Array, b_a: Array | None) -> Row:
    """glimpse.action for one example."""
    return shares([linear(W_a, b_a, n, h) for n in range(W_a.shape[0])])


def glimpse_action(h: Array, W_a: Array, b_a: Array | None = None) -> Nested:
    """glimpse.action."""
    return [action_row(list(h[n]), W_a, b_a) for n in range(h.shape[0])]


def start_row(h_0: Array | None, n: int, H: int) -> Row:
    """The first state of example n."""
    return [0 if h_0 is None else h_0[n, j] for j in range(H)]


def blank(T: int, B: int) -> Nested:
    """A list of lists to put rows into."""
    return [[None for _ in range(B)] for _ in range(T)]


def glimpse_rollout(
    X: Array,
    l_0: Array,
    eps: Array,
    W_rho: Array,
    W_l: Array,
    W_gr: Array,
    W_gl: Array,
    U: Array,
    W: Array,
    W_mu: Array,
    W_a: Array,
    h_0: Array | None = None,
    b_rho: Array | None = None,
    b_l: Array | None = None,
    b_g: Array | None = None,
    b_h: Array | None = None,
    b_mu: Array | None = None,
    b_a: Array | None = None,
    g_w: int = 8,
    k: int = 1,
    sigma: float = 0.25,
    mean: str = "linear",
) -> tuple[Nested, Nested, Nested, Nested]:
    """glimpse.rollout, one example after the other."""
    T, B = eps.shape[0], eps.shape[1]
    l, mu, h, p = blank(T, B), blank(T, B), blank(T, B), blank(T, B)
    for n in range(B):
        at, state = [l_0[n, 0], l_0[n, 1]], start_row(h_0, n, W.shape[0])
        for t in range(T):
            seen = in_line(retina(X, n, at, g_w, k))
            g = network_row(seen, at, W_rho, W_l, W_gr, W_gl, b_rho, b_l, b_g)
            state = core_row(g, state, U, W, b_h)
            middle = mean_row(state, W_mu, b_mu, mean)
            at = [sigma * eps[t, n, j] + middle[j] for j in range(2)]
            l[t][n], mu[t][n], h[t][n] = at, middle, state
            p[t][n] = action_row(state, W_a, b_a)
    return l, mu, h, p


def glimpse_unroll(
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
) -> tuple[Nested, Nested, Nested]:
    """glimpse.unroll, one example after the other."""
    T, B = l.shape[0], l.shape[1]
    mu, h, p = blank(T, B), blank(T, B), blank(T, B)
    for n in range(B):
        state = start_row(h_0, n, W.shape[0])
        for t in range(T):
            at = [own(l[t, n, 0]), own(l[t, n, 1])]
            seen = in_line(retina(X, n, at, g_w, k))
            g = network_row(seen, at, W_rho, W_l, W_gr, W_gl, b_rho, b_l, b_g)
            state = core_row(g, state, U, W, b_h)
            mu[t][n], h[t][n] = mean_row(state, W_mu, b_mu, mean), state
            p[t][n] = action_row(state, W_a, b_a)
    return mu, h, p


def glimpse_reinforce(
    l: Array, mu: Array, R: Array, b: Array | None = None, sigma: float = 0.25
) -> Number:
    """glimpse.reinforce."""
    T, B = l.shape[0], l.shape[1]
    total: Number = 0
    for t in range(T):
        for n in range(B):
            advantage = own(R[n]) if b is None else own(R[n]) - own(b[t, n])
            for j in range(2):
                z = (own(l[t, n, j]) - mu[t, n, j]) / sigma
                total = total + advantage * z * z / 2
    return total / max(B, 1)


def glimpse_baseline(
    h: Array, R: Array, W_b: Array, b_b: Array | None = None
) -> tuple[Nested, Number]:
    """glimpse.baseline and glimpse.baseline_loss."""
    T, B = h.shape[0], h.shape[1]
    b = [[linear(W_b, b_b, 0, [own(v) for v in h[t, n]]) for n in range(B)] for t in range(T)]
    total: Number = 0
    for t in range(T):
        for n in range(B):
            error = b[t][n] - own(R[n])
            total = total + error * error
    return b, total / max(B, 1)


def added(M: Nested, rows: Row, columns: Row) -> None:
    """M[r][c] gains rows[r] columns[c]."""
    for r, row in enumerate(rows):
        for c, column in enumerate(columns):
            M[r][c] = M[r][c] + row * column


def zeros(W: Array) -> Nested:
    """Zeros of a matrix's or a vector's shape."""
    return [0] * W.shape[0] if W.ndim == 1 else [[0] * W.shape[1] for _ in range(W.shape[0])]


def back(W: Array, errors: Row) -> Row:
    """Errors of the outputs as errors of the inputs: sum over n of W[n, j] errors[n]."""
    return [sum(W[n, j] * e for n, e in enumerate(errors)) for j in range(W.shape[1])]


def glimpse_train_step(
    X: Array,
    y: Array,
    l_0: Array,
    eps: Array,
    W_rho: Array,
    W_l: Array,
    W_gr: Array,
    W_gl: Array,
    U: Array,
    W: Array,
    W_mu: Array,
    W_a: Array,
    W_b: Array,
    b_rho: Array,
    b_l: Array,
    b_g: Array,
    b_h: Array,
    b_mu: Array,
    b_a: Array,
    b_b: Array,
    lr: float = 0.0625,
    g_w: int = 8,
    k: int = 1,
    sigma: float = 0.25,
    mean: str = "linear",
    reinforce: str = "location",
) -> tuple[Any, ...]:
    """glimpse.train_step: the chain rule on single numbers, one example after the other."""
    T, B = eps.shape[0], eps.shape[1]
    values = {
        **{"W_rho": W_rho, "W_l": W_l, "W_gr": W_gr, "W_gl": W_gl, "U": U, "W": W},
        **{"W_mu": W_mu, "W_a": W_a, "W_b": W_b, "b_rho": b_rho, "b_l": b_l, "b_g": b_g},
        **{"b_h": b_h, "b_mu": b_mu, "b_a": b_a, "b_b": b_b},
    }
    d = {name: zeros(value) for name, value in values.items()}

    def gain(weight: str, bias: str, errors: Row, inputs: Row) -> None:
        added(d[weight], errors, inputs)
        d[bias] = [old + e for old, e in zip(d[bias], errors, strict=True)]

    returns: Row = []
    action: Number = 0
    policy: Number = 0
    expected: Number = 0
    for n in range(B):
        # forward, everything kept
        at, state = [l_0[n, 0], l_0[n, 1]], start_row(None, n, W.shape[0])
        kept = []
        for t in range(T):
            seen = in_line(retina(X, n, at, g_w, k))
            what = [rect(linear(W_rho, b_rho, r, seen)) for r in range(W_rho.shape[0])]
            where = [rect(linear(W_l, b_l, r, at)) for r in range(W_l.shape[0])]
            g = network_row(seen, at, W_rho, W_l, W_gr, W_gl, b_rho, b_l, b_g)
            before, state = state, core_row(g, state, U, W, b_h)
            middle = mean_row(state, W_mu, b_mu, mean)
            kept.append((seen, at, what, where, g, before, state, middle))
            at = [middle[j] + sigma * eps[t, n, j] for j in range(2)]
        logits = [linear(W_a, b_a, c, state) for c in range(W_a.shape[0])]
        best = 0
        for c in range(1, len(logits)):
            if logits[c] > logits[best]:
                best = c
        R = 1 if best == int(y[n]) else 0
        returns.append(R)
        p = shares(logits)
        action = action - np.log(p[int(y[n])])
        error = [(p[c] - (1 if c == int(y[n]) else 0)) / B for c in range(len(p))]
        gain("W_a", "b_a", error, state)
        dh = back(W_a, error)
        for t in reversed(range(T)):
            seen, at, what, where, g, before, state, middle = kept[t]
            b = linear(W_b, b_b, 0, state)
            expected = expected + (R - b) * (R - b)
            gain("W_b", "b_b", [-2 * (R - b) / B], state)
            da = []
            for j in range(2):
                noise = eps[t, n, j]
                policy = policy + (R - b) * noise * noise / 2
                dmu = -(R - b) * noise / sigma / B
                da.append(dmu * (1 - middle[j] * middle[j]) if mean == "tanh" else dmu)
            gain("W_mu", "b_mu", da, state)
            if reinforce == "all":
                dh = [e + m for e, m in zip(dh, back(W_mu, da), strict=True)]
            dh = [e if s > 0 else 0 for e, s in zip(dh, state, strict=True)]
            gain("W", "b_h", dh, before)
            added(d["U"], dh, g)
            dg = [e if v > 0 else 0 for e, v in zip(back(U, dh), g, strict=True)]
            dh = back(W, dh)
            gain("W_gr", "b_g", dg, what)
            added(d["W_gl"], dg, where)
            gain(
                "W_rho",
                "b_rho",
                [e if v > 0 else 0 for e, v in zip(back(W_gr, dg), what, strict=True)],
                seen,
            )
            gain(
                "W_l",
                "b_l",
                [e if v > 0 else 0 for e, v in zip(back(W_gl, dg), where, strict=True)],
                at,
            )
    new = []
    for name, value in values.items():
        if value.ndim == 1:
            new.append([value[r] - lr * d[name][r] for r in range(value.shape[0])])
        else:
            new.append(
                [
                    [value[r, c] - lr * d[name][r][c] for c in range(value.shape[1])]
                    for r in range(value.shape[0])
                ]
            )
    many = max(B, 1)
    return *new, returns, action / many, policy / many, expected / many
