"""Generative Adversarial Network as kernels: priors, networks, losses on the logit, algorithm 1.

1 - σ(a) is σ(-a) and log(1 - σ(a)) is -softplus(a) everywhere, so that no tail is lost.
"""

from collections.abc import Sequence

import numpy as np

from nnspec.accel.arrays import Array, arrays, floating
from nnspec.accel.dense import layer, layer_vjp, named
from nnspec.accel.jit import kernel
from nnspec.accel.scalar import CODES, IDENTITY, ONE, ZERO, softplus
from nnspec.accel.vector_math import sigmoid


@kernel
def _gaussian(u_1: Array, u_2: Array) -> tuple[Array, Array]:
    z_1, z_2 = np.empty_like(u_1), np.empty_like(u_1)
    two_pi = u_1.dtype.type(6.283185307179586)
    two = ONE + ONE
    for i in range(u_1.size):
        radius = np.sqrt(-two * np.log(u_1[i]))
        angle = two_pi * u_2[i]
        z_1[i] = radius * np.cos(angle)
        z_2[i] = radius * np.sin(angle)
    return z_1, z_2


@kernel
def _sigmoids(a: Array) -> tuple[Array, Array]:
    """σ(a) and σ(-a), each right in its tail."""
    v, rest = np.empty_like(a), np.empty_like(a)
    for i in range(a.size):
        v[i] = sigmoid(a[i])
        rest[i] = sigmoid(-a[i])
    return v, rest


# what a mean is taken of
LOG, LOG_REST, COST_REAL, COST_FAKE = range(4)


@kernel
def _mean(x: Array, code: int) -> Array:  # (M,) -> (1,)
    """The mean of log v, log(1 - v), softplus(-a) or softplus(a)."""
    total = x.dtype.type(ZERO)
    # in parts of 128, whose error grows with 128 + M / 128 and not with M
    for start in range(0, x.size, 128):
        part = x.dtype.type(ZERO)
        for i in range(start, min(start + 128, x.size)):
            if code == LOG:
                part += np.log(x[i])
            elif code == LOG_REST:
                part += np.log1p(-x[i])
            elif code == COST_REAL:
                part += softplus(-x[i])
            else:
                part += softplus(x[i])
        total += part
    mean = np.empty(1, x.dtype)
    mean[0] = total / x.size
    return mean


@kernel
def _optimal(p: Array, q: Array) -> tuple[Array, Array, Array]:  # (S,), (S,)
    """p / (p + q) with its derivatives by p and q; 1/2 and 0 where both are 0."""
    D, by_p, by_q = np.empty_like(p), np.zeros_like(p), np.zeros_like(p)
    half = ONE / (ONE + ONE)
    for i in range(p.size):
        total = p[i] + q[i]
        if total <= ZERO:
            D[i] = half
            continue
        D[i] = p[i] / total
        by_p[i] = q[i] / total / total
        by_q[i] = -D[i] / total
    return D, by_p, by_q


@kernel
def _divergence(p: Array, q: Array, halves: bool) -> tuple[Array, Array, Array]:  # (S,), (S,)
    """Sum of p log(p / m) + q log(q / m), and the two logarithms; m is p + q, or half of it.

    0 log 0 is 0, and so is the logarithm beside it.
    """
    log_p, log_q = np.zeros_like(p), np.zeros_like(p)
    two = ONE + ONE
    sums = np.zeros(1, p.dtype)
    for start in range(0, p.size, 128):
        part = p.dtype.type(ZERO)
        for i in range(start, min(start + 128, p.size)):
            m = p[i] + q[i]
            if halves:
                m /= two
            if not p[i] <= ZERO:
                log_p[i] = np.log(p[i] / m)
            if not q[i] <= ZERO:
                log_q[i] = np.log(q[i] / m)
            part += p[i] * log_p[i] + q[i] * log_q[i]
        sums[0] += part
    return sums, log_p, log_q


def _scalar(x: Array) -> Array:  # (1,)
    """x without its axis."""
    return x.reshape(())


def gan_prior_uniform(u: Array, *, low: float = -1.0, high: float = 1.0) -> Array:
    """z = low + (high - low) u, u of any shape."""
    u, _ = floating(u)
    return np.asarray(low + (high - low) * u)


def gan_prior_gaussian(u_1: Array, u_2: Array) -> tuple[Array, Array]:
    """z = √(-2 log u_1) times cos and sin of 2π u_2, arrays of any one shape."""
    u_1, u_2 = floating(u_1, u_2)
    z_1, z_2 = _gaussian(u_1.reshape(-1), u_2.reshape(-1))
    return z_1.reshape(u_1.shape), z_2.reshape(u_1.shape)


def gan_generator(
    z: Array,  # (B, N)
    W_G1: Array,  # (H, N)
    W_G2: Array,  # (I, H)
    *,
    b_G1: Array | None = None,  # (H,)
    b_G2: Array | None = None,  # (I,)
    activation: str = "relu",
    output_activation: str = "identity",
) -> Array:
    """x = G(z; θ^G), (B, I)."""
    z, *theta = arrays(
        z=(z, "B N"),
        W_G1=(W_G1, "H N"),
        W_G2=(W_G2, "I H"),
        b_G1=(b_G1, "H"),
        b_G2=(b_G2, "I"),
    )
    return _forward(z, theta, CODES[activation], CODES[output_activation])[1]


def gan_generator_vjp(
    z: Array,
    W_G1: Array,
    W_G2: Array,
    dx: Array,  # (B, I)
    *,
    b_G1: Array | None = None,
    b_G2: Array | None = None,
    activation: str = "relu",
    output_activation: str = "identity",
) -> dict[str, Array]:
    """The gradients of noise, weights and given biases."""
    z, dx, *theta = arrays(
        z=(z, "B N"),
        dx=(dx, "B I"),
        W_G1=(W_G1, "H N"),
        W_G2=(W_G2, "I H"),
        b_G1=(b_G1, "H"),
        b_G2=(b_G2, "I"),
    )
    f, f_out = CODES[activation], CODES[output_activation]
    d = _backward(z, theta, *_forward(z, theta, f, f_out), dx, f, f_out)
    biases = named(db_G1=(d[3], b_G1), db_G2=(d[4], b_G2))
    return {"dz": d[0], "dW_G1": d[1], "dW_G2": d[2]} | biases


def gan_discriminator(
    x: Array,  # (B, I)
    W_D1: Array,  # (J, I)
    W_D2: Array,  # (1, J)
    *,
    b_D1: Array | None = None,  # (J,)
    b_D2: Array | None = None,  # (1,)
    activation: str = "relu",
) -> tuple[Array, Array]:
    """v = σ(a) and the logit a, (B,) each."""
    x, *theta = arrays(
        x=(x, "B I"),
        W_D1=(W_D1, "J I"),
        W_D2=(W_D2, "O J"),
        b_D1=(b_D1, "J"),
        b_D2=(b_D2, "O"),
    )
    _one_logit(theta[1])
    _, a = _forward(x, theta, CODES[activation], IDENTITY)
    a = a.reshape(-1)
    return _sigmoids(a)[0], a


def gan_discriminator_vjp(
    x: Array,
    W_D1: Array,
    W_D2: Array,
    dv: Array,  # (B,)
    da: Array,  # (B,)
    *,
    b_D1: Array | None = None,
    b_D2: Array | None = None,
    activation: str = "relu",
) -> dict[str, Array]:
    """The gradients of examples, weights and given biases."""
    x, dv, da, *theta = arrays(
        x=(x, "B I"),
        dv=(dv, "B"),
        da=(da, "B"),
        W_D1=(W_D1, "J I"),
        W_D2=(W_D2, "O J"),
        b_D1=(b_D1, "J"),
        b_D2=(b_D2, "O"),
    )
    _one_logit(theta[1])
    f = CODES[activation]
    h, a = _forward(x, theta, f, IDENTITY)
    v, rest = _sigmoids(a.reshape(-1))
    da_total = (da + dv * v * rest).reshape(-1, 1)
    d = _backward(x, theta, h, a, da_total, f, IDENTITY)
    biases = named(db_D1=(d[3], b_D1), db_D2=(d[4], b_D2))
    return {"dx": d[0], "dW_D1": d[1], "dW_D2": d[2]} | biases


def _one_logit(W_D2: Array) -> None:
    if W_D2.shape[0] != 1:
        raise ValueError(f"W_D2 has shape {W_D2.shape}, wanted (1, J): one logit for each example")


def _forward(x: Array, theta: Sequence[Array], f: int, f_out: int) -> tuple[Array, Array]:
    """The hidden layer and the output of an MLP of W_1, W_2, b_1, b_2."""
    h = layer(x, theta[0], theta[2], f)
    return h, layer(h, theta[1], theta[3], f_out)


def _backward(
    x: Array, theta: Sequence[Array], h: Array, y: Array, dy: Array, f: int, f_out: int
) -> tuple[Array, Array, Array, Array, Array]:
    """dx, dW_1, dW_2, db_1, db_2."""
    dh, dW_2, db_2 = layer_vjp(h, theta[1], y, dy, f_out)
    dx, dW_1, db_1 = layer_vjp(x, theta[0], h, dh, f)
    return dx, dW_1, dW_2, db_1, db_2


def gan_value(
    v_real: Array,  # (M,)
    v_fake: Array,  # (F,)
) -> Array:
    """V = mean log v_real + mean log(1 - v_fake)."""
    v_real, v_fake = arrays(v_real=(v_real, "M"), v_fake=(v_fake, "F"))
    return _scalar(_mean(v_real, LOG) + _mean(v_fake, LOG_REST))


def gan_value_vjp(v_real: Array, v_fake: Array, dV: Array) -> dict[str, Array]:
    """1 / (M v) for each real example, -1 / (F (1 - v)) for each fake one."""
    v_real, v_fake, dV = arrays(v_real=(v_real, "M"), v_fake=(v_fake, "F"), dV=(dV, ""))
    with np.errstate(all="ignore"):  # v = 0 and v = 1 have no finite gradient
        return {
            "dv_real": dV / v_real / v_real.size,
            "dv_fake": -dV / (1 - v_fake) / v_fake.size,
        }


def gan_value_logits(
    a_real: Array,  # (M,)
    a_fake: Array,  # (F,)
) -> Array:
    """V = -mean softplus(-a_real) - mean softplus(a_fake)."""
    a_real, a_fake = arrays(a_real=(a_real, "M"), a_fake=(a_fake, "F"))
    return _scalar(-_mean(a_real, COST_REAL) - _mean(a_fake, COST_FAKE))


def gan_value_logits_vjp(a_real: Array, a_fake: Array, dV: Array) -> dict[str, Array]:
    """σ(-a) / M for each real example, -σ(a) / F for each fake one."""
    a_real, a_fake, dV = arrays(a_real=(a_real, "M"), a_fake=(a_fake, "F"), dV=(dV, ""))
    return {
        "da_real": dV * _sigmoids(a_real)[1] / a_real.size,
        "da_fake": -dV * _sigmoids(a_fake)[0] / a_fake.size,
    }


def gan_discriminator_loss(
    a_real: Array,  # (M,)
    a_fake: Array,  # (F,)
) -> Array:
    """L_D = mean softplus(-a_real) + mean softplus(a_fake)."""
    a_real, a_fake = arrays(a_real=(a_real, "M"), a_fake=(a_fake, "F"))
    return _scalar(_mean(a_real, COST_REAL) + _mean(a_fake, COST_FAKE))


def gan_discriminator_loss_vjp(a_real: Array, a_fake: Array, dL_D: Array) -> dict[str, Array]:
    """-σ(-a) / M for each real example, σ(a) / F for each fake one."""
    a_real, a_fake, dL_D = arrays(a_real=(a_real, "M"), a_fake=(a_fake, "F"), dL_D=(dL_D, ""))
    return {
        "da_real": -dL_D * _sigmoids(a_real)[1] / a_real.size,
        "da_fake": dL_D * _sigmoids(a_fake)[0] / a_fake.size,
    }


def gan_saturating_loss(
    a_fake: Array,  # (F,)
) -> Array:
    """L_G = -mean softplus(a)."""
    (a_fake,) = arrays(a_fake=(a_fake, "F"))
    return _scalar(-_mean(a_fake, COST_FAKE))


def gan_saturating_loss_vjp(a_fake: Array, dL_G: Array) -> dict[str, Array]:
    """-σ(a) / F for each example."""
    a_fake, dL_G = arrays(a_fake=(a_fake, "F"), dL_G=(dL_G, ""))
    return {"da_fake": -dL_G * _sigmoids(a_fake)[0] / a_fake.size}


def gan_non_saturating_loss(
    a_fake: Array,  # (F,)
) -> Array:
    """L_G = mean softplus(-a)."""
    (a_fake,) = arrays(a_fake=(a_fake, "F"))
    return _scalar(_mean(a_fake, COST_REAL))


def gan_non_saturating_loss_vjp(a_fake: Array, dL_G: Array) -> dict[str, Array]:
    """-σ(-a) / F for each example."""
    a_fake, dL_G = arrays(a_fake=(a_fake, "F"), dL_G=(dL_G, ""))
    return {"da_fake": -dL_G * _sigmoids(a_fake)[1] / a_fake.size}


def gan_logit_gradients(a: Array) -> tuple[Array, Array]:
    """-σ(a) and -σ(-a), a of any shape."""
    a, _ = floating(a)
    v, rest = _sigmoids(a.reshape(-1))
    return (-v).reshape(a.shape), (-rest).reshape(a.shape)


def gan_optimal_discriminator(
    p_data: Array,  # (S,)
    p_g: Array,  # (S,)
) -> Array:
    """D = p_data / (p_data + p_g), 1/2 where both are 0."""
    p_data, p_g = arrays(p_data=(p_data, "S"), p_g=(p_g, "S"))
    return _optimal(p_data, p_g)[0]


def gan_optimal_discriminator_vjp(p_data: Array, p_g: Array, dD: Array) -> dict[str, Array]:
    """p_g / (p + p_g)² and -p / (p + p_g)²; 0 where both are 0."""
    p_data, p_g, dD = arrays(p_data=(p_data, "S"), p_g=(p_g, "S"), dD=(dD, "S"))
    _, by_p, by_q = _optimal(p_data, p_g)
    return {"dp_data": dD * by_p, "dp_g": dD * by_q}


def gan_jensen_shannon(
    p_data: Array,  # (S,)
    p_g: Array,  # (S,)
) -> Array:
    """JSD in nats; 0 log 0 is 0."""
    p_data, p_g = arrays(p_data=(p_data, "S"), p_g=(p_g, "S"))
    return _scalar(_divergence(p_data, p_g, True)[0] / 2)


def gan_jensen_shannon_vjp(p_data: Array, p_g: Array, dJSD: Array) -> dict[str, Array]:
    """log(2 p / (p + p_g)) / 2, and the same of p_g."""
    p_data, p_g, dJSD = arrays(p_data=(p_data, "S"), p_g=(p_g, "S"), dJSD=(dJSD, ""))
    _, log_p, log_q = _divergence(p_data, p_g, True)
    return {"dp_data": dJSD * log_p / 2, "dp_g": dJSD * log_q / 2}


def gan_criterion(
    p_data: Array,  # (S,)
    p_g: Array,  # (S,)
) -> Array:
    """C = V(D*, G); 0 log 0 is 0."""
    p_data, p_g = arrays(p_data=(p_data, "S"), p_g=(p_g, "S"))
    return _scalar(_divergence(p_data, p_g, False)[0])


def gan_criterion_vjp(p_data: Array, p_g: Array, dC: Array) -> dict[str, Array]:
    """log D* and log(1 - D*)."""
    p_data, p_g, dC = arrays(p_data=(p_data, "S"), p_g=(p_g, "S"), dC=(dC, ""))
    _, log_p, log_q = _divergence(p_data, p_g, False)
    return {"dp_data": dC * log_p, "dp_g": dC * log_q}


SHAPES = {
    "W_G1": "H N",
    "W_G2": "I H",
    "b_G1": "H",
    "b_G2": "I",
    "W_D1": "J I",
    "W_D2": "O J",
    "b_D1": "J",
    "b_D2": "O",
}


def _ready(shapes: dict[str, str], *values: Array) -> list[Array]:
    """Data and noise, then θ^G and θ^D."""
    shapes = shapes | SHAPES
    pairs = zip(shapes.items(), values, strict=True)
    ready = arrays(**{name: (value, shape) for (name, shape), value in pairs})
    _one_logit(ready[-3])
    return ready


def _ascent(
    x: Array,
    z: Array,
    G: Sequence[Array],
    D: Sequence[Array],
    f: int,
    f_out: int,
    eta: float,
) -> list[Array]:
    """θ^D after one step on x and G(z)."""
    fake = _forward(z, G, f, f_out)[1]
    changes = []
    for batch, real in ((x, True), (fake, False)):
        h, a = _forward(batch, D, f, IDENTITY)
        v, rest = _sigmoids(a.reshape(-1))
        da = (rest if real else -v).reshape(-1, 1) / len(batch)
        changes.append(_backward(batch, D, h, a, da, f, IDENTITY)[1:])
    return [old + eta * (a + b) for old, a, b in zip(D, *changes, strict=True)]


def _descent(
    z: Array,
    G: Sequence[Array],
    D: Sequence[Array],
    saturating: bool,
    f: int,
    f_out: int,
    eta: float,
) -> list[Array]:
    """θ^G after one step through D."""
    h_G, fake = _forward(z, G, f, f_out)
    h_D, a = _forward(fake, D, f, IDENTITY)
    v, rest = _sigmoids(a.reshape(-1))
    da = -(v if saturating else rest).reshape(-1, 1) / len(z)
    dfake = _backward(fake, D, h_D, a, da, f, IDENTITY)[0]
    d = _backward(z, G, h_G, fake, dfake, f, f_out)
    return [old - eta * change for old, change in zip(G, d[1:], strict=True)]


SATURATING = {"non_saturating": False, "saturating": True}


def gan_discriminator_step(
    x: Array,  # (M, I)
    z: Array,  # (F, N)
    W_G1: Array,  # (H, N)
    W_G2: Array,  # (I, H)
    b_G1: Array,  # (H,)
    b_G2: Array,  # (I,)
    W_D1: Array,  # (J, I)
    W_D2: Array,  # (1, J)
    b_D1: Array,  # (J,)
    b_D2: Array,  # (1,)
    *,
    activation: str = "relu",
    output_activation: str = "identity",
    eta_D: float = 0.125,
) -> tuple[Array, Array, Array, Array]:
    """The new W_D1, W_D2, b_D1, b_D2 after one ascent."""
    x, z, *theta = _ready(
        {"x": "M I", "z": "F N"}, x, z, W_G1, W_G2, b_G1, b_G2, W_D1, W_D2, b_D1, b_D2
    )
    f, f_out = CODES[activation], CODES[output_activation]
    W_1, W_2, b_1, b_2 = _ascent(x, z, theta[:4], theta[4:], f, f_out, eta_D)
    return W_1, W_2, b_1, b_2


def gan_generator_step(
    z: Array,  # (B, N)
    W_G1: Array,  # (H, N)
    W_G2: Array,  # (I, H)
    b_G1: Array,  # (H,)
    b_G2: Array,  # (I,)
    W_D1: Array,  # (J, I)
    W_D2: Array,  # (1, J)
    b_D1: Array,  # (J,)
    b_D2: Array,  # (1,)
    *,
    generator_loss: str = "non_saturating",
    activation: str = "relu",
    output_activation: str = "identity",
    eta_G: float = 0.125,
) -> tuple[Array, Array, Array, Array]:
    """The new W_G1, W_G2, b_G1, b_G2 after one descent."""
    z, *theta = _ready({"z": "B N"}, z, W_G1, W_G2, b_G1, b_G2, W_D1, W_D2, b_D1, b_D2)
    f, f_out = CODES[activation], CODES[output_activation]
    loss = SATURATING[generator_loss]
    W_1, W_2, b_1, b_2 = _descent(z, theta[:4], theta[4:], loss, f, f_out, eta_G)
    return W_1, W_2, b_1, b_2


def gan_step(
    X: Array,  # (K, M, I)
    Z: Array,  # (K, F, N)
    z: Array,  # (B, N)
    W_G1: Array,  # (H, N)
    W_G2: Array,  # (I, H)
    b_G1: Array,  # (H,)
    b_G2: Array,  # (I,)
    W_D1: Array,  # (J, I)
    W_D2: Array,  # (1, J)
    b_D1: Array,  # (J,)
    b_D2: Array,  # (1,)
    *,
    generator_loss: str = "non_saturating",
    activation: str = "relu",
    output_activation: str = "identity",
    eta_D: float = 0.125,
    eta_G: float = 0.125,
) -> tuple[Array, Array, Array, Array, Array, Array, Array, Array]:
    """The new θ^G and θ^D after K ascents of the discriminator and one generator descent."""
    X, Z, z, *theta = _ready(
        {"X": "K M I", "Z": "K F N", "z": "B N"},
        *(X, Z, z, W_G1, W_G2, b_G1, b_G2, W_D1, W_D2, b_D1, b_D2),
    )
    f, f_out = CODES[activation], CODES[output_activation]
    G, D = theta[:4], [array.copy() for array in theta[4:]]
    for k in range(len(X)):
        D = _ascent(X[k], Z[k], G, D, f, f_out, eta_D)
    W_1, W_2, b_1, b_2 = _descent(z, G, D, SATURATING[generator_loss], f, f_out, eta_G)
    V_1, V_2, c_1, c_2 = D
    return W_1, W_2, b_1, b_2, V_1, V_2, c_1, c_2
