"""The recurrent model of visual attention: glimpses, the network that directs them, its training.

Locations are (x, y): column first, row second, as Mnih 2014 has them. Noise is an input.
"""

from typing import Any

import numpy as np

from nnspec.reference.array import Array, nominal
from nnspec.reference.primitives import affine, affine_vjp, relu, softmax, softmax_vjp


def pixel(
    l: Array,  # (B,): one coordinate
    n: int,  # the image's size along it
    size: int,  # of the largest patch
) -> Array:
    """The pixel that a coordinate in [-1, 1] falls on, (B,) integers; -1 is the edge of pixel 0.

    A coordinate so far outside that no patch touches the image is drawn nearer, to where this is
    still so: an infinity, or a number whose pixel is beyond int64, has no other pixel.
    """
    far = 1 + 2 * (size + 1) / n
    near = np.minimum(np.maximum(l, -far), far)
    p: Array = np.floor((near + 1) * n / 2).astype(int)  # glimpse.pixel
    return p


def inside(start: int, size: int, n: int) -> tuple[slice, slice]:
    """The part of [start, start + size) in [0, n), counted from 0 and counted from start."""
    first = min(max(start, 0), n)
    last = max(min(start + size, n), first)
    return slice(first, last), slice(first - start, last - start)  # glimpse.outside


def starts(X: Array, l: Array, g_w: int, k: int) -> Array:
    """First column and first row of each patch: (B, k, 2) integers.

    Raises ValueError for a location that is NaN: it is nowhere.
    """
    if np.isnan(nominal(l)).any():
        raise ValueError("l holds a NaN: a glimpse at no location")
    sizes = [g_w * 2**i for i in range(k)]
    p_x = pixel(l[:, 0], X.shape[2], sizes[-1])  # glimpse.order
    p_y = pixel(l[:, 1], X.shape[1], sizes[-1])  # glimpse.order
    p = np.concatenate([p_x[:, None], p_y[:, None]], axis=-1)
    # halved before it is subtracted, so that an odd size has its middle on p
    first: Array = p[:, None, :] - np.array([size // 2 for size in sizes])[:, None]
    return first


def glimpse_sensor(
    X: Array,  # (B, M, N)
    l: Array,  # (B, 2), (x, y)
    *,
    g_w: int = 8,
    k: int = 1,
) -> Array:
    """ρ(X, l): k patches around l, of sides g_w, 2 g_w, 4 g_w, …, each averaged to g_w x g_w.

    Returns rho (B, k, g_w, g_w), finest scale first. Zero outside of the image.
    Raises ValueError for a location that is NaN.
    Source: slide "Recurrent Models of Visual Attention (cont.)"; Mnih 2014, section 4, "Retina and
    location encodings"; spec/glimpse.md.
    """
    B, M, N = X.shape
    first = starts(X, l, g_w, k)
    rho = np.zeros_like(X, shape=(B, k, g_w, g_w))
    for i in range(k):
        s = 2**i
        patch = np.zeros_like(X, shape=(B, g_w * s, g_w * s))
        for n in range(B):
            x, y = first[n, i].tolist()
            columns, to_columns = inside(x, g_w * s, N)
            rows, to_rows = inside(y, g_w * s, M)
            patch[n, to_rows, to_columns] = X[n, rows, columns]  # glimpse.locality
        cells = patch.reshape(B, g_w, s, g_w, s)
        rho[:, i] = cells.sum(axis=(2, 4)) / s**2  # glimpse.sensor
    return rho


def glimpse_sensor_vjp(
    X: Array,
    l: Array,
    drho: Array,  # (B, k, g_w, g_w)
    *,
    g_w: int = 8,
    k: int = 1,
) -> dict[str, Array]:
    """Each pixel gets its share of every cell that it is in; l goes through floor and gets none."""
    B, M, N = X.shape
    first = starts(X, l, g_w, k)
    dX = np.zeros_like(X)
    for i in range(k):
        s = 2**i
        dpatch = (drho[:, i] / s**2).repeat(s, axis=1).repeat(s, axis=2)
        for n in range(B):
            x, y = first[n, i].tolist()
            columns, to_columns = inside(x, g_w * s, N)
            rows, to_rows = inside(y, g_w * s, M)
            dX[n, rows, columns] = dX[n, rows, columns] + dpatch[n, to_rows, to_columns]
    return {"dX": dX}


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
    """What was seen and where, in one vector g (B, G).

    rho is laid out row by row: scale, then row, then column.
    Source: slide "Recurrent Models of Visual Attention (cont.)"; Mnih 2014, section 4, "Glimpse
    network"; spec/glimpse.md.
    """
    h_g = relu(affine(flat(rho), W_rho, b=b_rho))  # glimpse.encoders
    h_l = relu(affine(l, W_l, b=b_l))  # glimpse.encoders
    return relu(affine(h_g, W_gr, b=b_g) + affine(h_l, W_gl))  # glimpse.network


def flat(rho: Array) -> Array:
    """(B, K, S, S) as (B, K S S)."""
    B, K, S, _ = rho.shape
    return rho.reshape(B, K * S * S)


def given(**gradients: tuple[Array, Array | None]) -> dict[str, Array]:
    """The bias gradients, sums of the first over the batch, whose bias is given."""
    return {name: da.sum(axis=0) for name, (da, bias) in gradients.items() if bias is not None}


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
    """da is dg where g > 0; it goes both ways, and each way through a rectifier of its own."""
    r = flat(rho)
    h_g = relu(affine(r, W_rho, b=b_rho))
    h_l = relu(affine(l, W_l, b=b_l))
    g = relu(affine(h_g, W_gr, b=b_g) + affine(h_l, W_gl))
    da = np.where(g > 0, dg, 0)
    da_g = np.where(h_g > 0, da @ W_gr, 0)
    da_l = np.where(h_l > 0, da @ W_gl, 0)
    return {
        "drho": (da_g @ W_rho).reshape(rho.shape),
        "dl": da_l @ W_l,
        "dW_rho": da_g.T @ r,
        "dW_l": da_l.T @ l,
        "dW_gr": da.T @ h_g,
        "dW_gl": da.T @ h_l,
    } | given(db_rho=(da_g, b_rho), db_l=(da_l, b_l), db_g=(da, b_g))


def glimpse_core(
    g: Array,  # (B, G)
    h_prev: Array,  # (B, H)
    U: Array,  # (H, G)
    W: Array,  # (H, H)
    *,
    b_h: Array | None = None,  # (H,)
) -> Array:
    """The state after a glimpse, h (B, H).

    Not to be confused with rnn_step, whose activation has a bound.
    Source: Mnih 2014, section 4, "Core network"; spec/glimpse.md.
    """
    return relu(affine(h_prev, W, b=b_h) + affine(g, U))  # glimpse.core


def glimpse_core_vjp(
    g: Array,
    h_prev: Array,
    U: Array,
    W: Array,
    dh: Array,  # (B, H)
    *,
    b_h: Array | None = None,
) -> dict[str, Array]:
    """da is dh where h > 0."""
    da = np.where(glimpse_core(g, h_prev, U, W, b_h=b_h) > 0, dh, 0)
    return {
        "dg": da @ U,
        "dh_prev": da @ W,
        "dU": da.T @ g,
        "dW": da.T @ h_prev,
    } | given(db_h=(da, b_h))


def glimpse_location(
    h: Array,  # (B, H)
    eps: Array,  # (B, 2)
    W_mu: Array,  # (2, H)
    *,
    b_mu: Array | None = None,  # (2,)
    sigma: float = 0.25,
    mean: str = "linear",
) -> tuple[Array, Array]:
    """Where to look next: a Gaussian's mean mu (B, 2), and l (B, 2), drawn with the noise eps.

    `mean` is linear, as in the paper, or tanh, which keeps mu in the image. l is not clamped.
    Source: slide "Recurrent Models of Visual Attention (cont.)"; Mnih 2014, section 4, "Location
    network"; spec/glimpse.md.
    """
    a = affine(h, W_mu, b=b_mu)
    mu = np.tanh(a) if mean == "tanh" else a  # glimpse.location
    return mu, mu + sigma * eps  # glimpse.sample


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
    """l moves with mu, so that both errors reach it; in the model's training dl is 0."""
    mu, _ = glimpse_location(h, eps, W_mu, b_mu=b_mu, sigma=sigma, mean=mean)
    da = (dmu + dl) * (1 - mu * mu) if mean == "tanh" else dmu + dl
    return {"dh": da @ W_mu, "dW_mu": da.T @ h} | given(db_mu=(da, b_mu))


def glimpse_action(
    h: Array,  # (B, H)
    W_a: Array,  # (A, H)
    *,
    b_a: Array | None = None,  # (A,)
) -> Array:
    """The probability of each of A classes, p (B, A).

    Source: Mnih 2014, section 4.1, f_a(h) = exp(Linear(h)) / Z; spec/glimpse.md.
    """
    return softmax(affine(h, W_a, b=b_a))  # glimpse.action


def glimpse_action_vjp(
    h: Array,
    W_a: Array,
    dp: Array,  # (B, A)
    *,
    b_a: Array | None = None,
) -> dict[str, Array]:
    """Softmax's, then the product's."""
    da = softmax_vjp(affine(h, W_a, b=b_a), dp)["dx"]
    return {"dh": da @ W_a, "dW_a": da.T @ h} | given(db_a=(da, b_a))


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
    """T glimpses, each where the one before has sent it; the first at l_0.

    Returns l (T, B, 2), mu (T, B, 2), h (T, B, H) and p (T, B, A): entry t of each is of glimpse
    t + 1, which looked at l[t - 1]. Nothing has looked at l[T - 1].
    Raises ValueError where a location becomes NaN.
    Source: slides "Recurrent Models of Visual Attention"; Mnih 2014, section 3.1; spec/glimpse.md.
    """
    T, B = eps.shape[:2]
    H = W.shape[0]
    l = np.zeros_like(X, shape=(T, B, 2))
    mu = np.zeros_like(X, shape=(T, B, 2))
    h = np.zeros_like(X, shape=(T, B, H))
    p = np.zeros_like(X, shape=(T, B, W_a.shape[0]))
    h_t = np.zeros_like(X, shape=(B, H)) if h_0 is None else h_0
    l_t = l_0
    for t in range(T):
        rho = glimpse_sensor(X, l_t, g_w=g_w, k=k)  # glimpse.rollout
        g_t = glimpse_network(rho, l_t, W_rho, W_l, W_gr, W_gl, b_rho=b_rho, b_l=b_l, b_g=b_g)
        h_t = glimpse_core(g_t, h_t, U, W, b_h=b_h)
        mu[t], l_t = glimpse_location(h_t, eps[t], W_mu, b_mu=b_mu, sigma=sigma, mean=mean)
        h[t], l[t], p[t] = h_t, l_t, glimpse_action(h_t, W_a, b_a=b_a)
    return l, mu, h, p


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
    """T glimpses at given locations: the part of a rollout that has a derivative.

    l[t] is where glimpse t + 1 looks: l_0 first, the last location of a rollout left out. Returns
    mu (T, B, 2), h (T, B, H) and p (T, B, A).
    Source: Mnih 2014, section 3.2, whose gradient holds the locations fixed; spec/glimpse.md.
    """
    T, B = l.shape[:2]
    H = W.shape[0]
    mu = np.zeros_like(X, shape=(T, B, 2))
    h = np.zeros_like(X, shape=(T, B, H))
    p = np.zeros_like(X, shape=(T, B, W_a.shape[0]))
    h_t = np.zeros_like(X, shape=(B, H)) if h_0 is None else h_0
    for t in range(T):
        rho = glimpse_sensor(X, l[t], g_w=g_w, k=k)  # glimpse.unroll
        g_t = glimpse_network(rho, l[t], W_rho, W_l, W_gr, W_gl, b_rho=b_rho, b_l=b_l, b_g=b_g)
        h_t = glimpse_core(g_t, h_t, U, W, b_h=b_h)
        mu[t], _ = glimpse_location(h_t, np.zeros_like(l[t]), W_mu, b_mu=b_mu, mean=mean)
        h[t], p[t] = h_t, glimpse_action(h_t, W_a, b_a=b_a)
    return mu, h, p


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
    """Backpropagation through time; the gradients of weights add up over the glimpses."""
    T, B = l.shape[:2]
    weights = {"W_rho": W_rho, "W_l": W_l, "W_gr": W_gr, "W_gl": W_gl}
    weights |= {"U": U, "W": W, "W_mu": W_mu, "W_a": W_a}
    seen: dict[str, Any] = {"b_rho": b_rho, "b_l": b_l, "b_g": b_g}
    others: dict[str, Any] = {"b_h": b_h, "b_mu": b_mu, "b_a": b_a}
    biases = {name: b for name, b in (seen | others).items() if b is not None}
    parameters = weights | biases
    total = {f"d{name}": np.zeros_like(value) for name, value in parameters.items()}
    dX = np.zeros_like(X)
    h_first = np.zeros_like(X, shape=(B, W.shape[0])) if h_0 is None else h_0
    look: dict[str, Any] = {"g_w": g_w, "k": k, "mean": mean}
    _, h, _ = glimpse_unroll(
        X, l, W_rho, W_l, W_gr, W_gl, U, W, W_mu, W_a, h_0=h_0, **seen, **others, **look
    )
    d_t = np.zeros_like(h_first)
    for t in reversed(range(T)):
        none = np.zeros_like(dmu[t])
        at_l = glimpse_location_vjp(h[t], none, W_mu, dmu[t], none, b_mu=b_mu, mean=mean)
        at_a = glimpse_action_vjp(h[t], W_a, dp[t], b_a=b_a)
        dh_t = dh[t] + d_t + at_l.pop("dh") + at_a.pop("dh")
        rho = glimpse_sensor(X, l[t], g_w=g_w, k=k)
        g_t = glimpse_network(rho, l[t], W_rho, W_l, W_gr, W_gl, **seen)
        at_h = glimpse_core_vjp(g_t, h[t - 1] if t > 0 else h_first, U, W, dh_t, b_h=b_h)
        d_t = at_h.pop("dh_prev")
        at_g = glimpse_network_vjp(rho, l[t], W_rho, W_l, W_gr, W_gl, at_h.pop("dg"), **seen)
        dX = dX + glimpse_sensor_vjp(X, l[t], at_g.pop("drho"), g_w=g_w, k=k)["dX"]
        at_g.pop("dl")  # l is given: it is no function of the parameters
        for name, d in (at_l | at_a | at_h | at_g).items():
            total[name] = total[name] + d
    return {"dX": dX, "dh_0": d_t} | total


def glimpse_reinforce(
    l: Array,  # (T, B, 2)
    mu: Array,  # (T, B, 2)
    R: Array,  # (B,)
    *,
    b: Array | None = None,  # (T, B)
    sigma: float = 0.25,
) -> Array:
    """A loss whose gradient is REINFORCE's, -(R - b) log N(l; mu, σ²) up to a constant.

    Summed over time, a mean over the batch. l, R and b are numbers here: no gradient reaches them.
    Returns loss, a scalar; its value has no meaning by itself.
    Source: Williams 1992; Mnih 2014, section 3.2; spec/glimpse.md.
    """
    B = R.shape[0]
    advantage = R if b is None else R - b
    distance = ((l - mu) * (l - mu)).sum(axis=-1)
    loss: Array = (advantage * distance / (2 * sigma**2) / B).sum()  # glimpse.reinforce
    return loss


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
    B = R.shape[0]
    advantage = R if b is None else R - b
    return {"dmu": -advantage[..., None] * (l - mu) / sigma**2 / B * dloss}


def glimpse_baseline(
    h: Array,  # (T, B, H)
    R: Array,  # (B,)
    W_b: Array,  # (1, H)
    *,
    b_b: Array | None = None,  # (1,)
) -> tuple[Array, Array]:
    """What return to expect in each state, b (T, B), and its squared error, a scalar.

    Summed over time, a mean over the batch. h is a number here: no gradient reaches it.
    Source: Mnih 2014, section 3.2; spec/glimpse.md.
    """
    T, B, H = h.shape
    b = affine(h.reshape(T * B, H), W_b, b=b_b).reshape(T, B)  # glimpse.baseline
    loss: Array = ((R - b) * (R - b) / B).sum()  # glimpse.baseline_loss
    return b, loss


def glimpse_baseline_vjp(
    h: Array,
    R: Array,
    W_b: Array,
    db: Array,  # (T, B)
    dloss: Array,  # ()
    *,
    b_b: Array | None = None,
) -> dict[str, Array]:
    """The errors of b and of the loss, 2 (b - R) / B, add up."""
    T, B, H = h.shape
    b, _ = glimpse_baseline(h, R, W_b, b_b=b_b)
    da = (db + 2 * (b - R) / B * dloss).reshape(T * B, 1)
    return {"dW_b": da.T @ h.reshape(T * B, H)} | given(db_b=(da, b_b))


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
    """One step of gradient descent on the hybrid loss: cross-entropy, REINFORCE and baseline.

    Returns the sixteen parameters after it, in their order, then R (B,) and the three losses.
    `reinforce`: whether REINFORCE's gradient stops at the location network, or goes on into the
    core and the glimpse network (all). T is at least 1.
    Source: Mnih 2014, section 3.2; spec/glimpse.md.
    """
    B, T, H = X.shape[0], eps.shape[0], W.shape[0]
    biases = {"b_rho": b_rho, "b_l": b_l, "b_g": b_g, "b_h": b_h, "b_mu": b_mu, "b_a": b_a}
    look: dict[str, Any] = {**biases, "g_w": g_w, "k": k, "mean": mean}
    l, mu, h, _ = glimpse_rollout(
        X, l_0, eps, W_rho, W_l, W_gr, W_gl, U, W, W_mu, W_a, sigma=sigma, **look
    )
    a = affine(h[T - 1], W_a, b=b_a)
    R = np.where(np.argmax(a, axis=-1) == y, 1, 0).astype(X.dtype)  # glimpse.reward
    b, loss_baseline = glimpse_baseline(h, R, W_b, b_b=b_b)
    loss_reinforce = glimpse_reinforce(l, mu, R, b=b, sigma=sigma)
    target = np.arange(a.shape[1]) == y[:, None]
    log_p = np.where(target, log_softmax(a), 0).sum(axis=-1)
    loss_action = -(log_p / B).sum()  # glimpse.cross_entropy

    da = (softmax(a) - np.where(target, 1, 0).astype(X.dtype)) / B
    at_a = affine_vjp(h[T - 1], W_a, da, b=b_a)
    one = np.ones((), dtype=X.dtype)
    dmu = glimpse_reinforce_vjp(l, mu, R, one, b=b, sigma=sigma)["dmu"]
    at_b = glimpse_baseline_vjp(h, R, W_b, np.zeros_like(b), one, b_b=b_b)
    dh = np.zeros_like(h)
    dh[T - 1] = at_a["dx"]
    # the locations as numbers: none of the losses reaches the parameters through them
    looked_at = np.concatenate([l_0[None], l[: T - 1]])
    through = dmu if reinforce == "all" else np.zeros_like(dmu)
    nothing = np.zeros_like(X, shape=(T, B, W_a.shape[0]))
    d = glimpse_unroll_vjp(
        X, looked_at, W_rho, W_l, W_gr, W_gl, U, W, W_mu, W_a, through, dh, nothing, **look
    )
    states, noise = h.reshape(T * B, H), eps.reshape(T * B, 2)
    error = dmu.reshape(T * B, 2)
    at_l = glimpse_location_vjp(
        states, noise, W_mu, error, np.zeros_like(error), b_mu=b_mu, sigma=sigma, mean=mean
    )
    d |= {"dW_a": at_a["dW"], "db_a": at_a["db"], "dW_mu": at_l["dW_mu"], "db_mu": at_l["db_mu"]}
    d |= at_b
    parameters = {
        "W_rho": W_rho,
        "W_l": W_l,
        "W_gr": W_gr,
        "W_gl": W_gl,
        "U": U,
        "W": W,
        "W_mu": W_mu,
        "W_a": W_a,
        "W_b": W_b,
        **biases,
        "b_b": b_b,
    }
    new = [value - lr * d[f"d{name}"] for name, value in parameters.items()]  # glimpse.train_step
    return *new, R, loss_action, loss_reinforce, loss_baseline


def log_softmax(a: Array) -> Array:
    """a - log sum e^a, the largest a taken out of the sum."""
    shift = nominal(a).max(axis=-1, keepdims=True).astype(a.dtype)
    e = np.exp(a - shift)
    result: Array = a - shift - np.log(e.sum(axis=-1, keepdims=True))
    return result
