"""Scalar transcription of spec/gan.md."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nnspec.reference.array import Array

Number = Any
Row = list[Any]
Nested = list[Any]


def each(f: Callable[..., Number], *arrays: Array) -> Nested:
    """f of the numbers at every place of arrays of one shape, as nested lists."""
    if arrays[0].ndim == 0:
        return [f(*(array[()] for array in arrays))]
    found = []
    for i in range(arrays[0].shape[0]):
        parts = [array[i] for array in arrays]
        deeper = isinstance(parts[0], np.ndarray)
        found.append(each(f, *parts) if deeper else f(*parts))
    return found


def logistic(s: Number) -> Number:
    """1 / (1 + e^-s), multiplied out by e^s below 0."""
    return 1 / (1 + np.exp(-s)) if s > 0 else np.exp(s) / (np.exp(s) + 1)


def slope(name: str, s: Number) -> Number:
    """f'(s), from the argument."""
    if name == "relu":
        return 1 if s > 0 else 0
    if name == "sigmoid":
        return logistic(s) * logistic(-s)
    if name == "tanh":
        return 4 * logistic(2 * s) * logistic(-2 * s)
    return 1


def value(name: str, s: Number) -> Number:
    """f(s)."""
    if name == "relu":
        return 0 if s <= 0 else s
    if name == "sigmoid":
        return logistic(s)
    return np.tanh(s) if name == "tanh" else s


def sums(W: Array, b: Array | None, below: Row) -> Row:
    """W below + b, row by row."""
    found = []
    for o in range(W.shape[0]):
        total: Number = 0 if b is None else b[o]
        for i, unit in enumerate(below):
            total = total + W[o, i] * unit
        found.append(total)
    return found


def network(
    row: Row,
    first: Array,
    second: Array,
    b_first: Array | None,
    b_second: Array | None,
    f: str,
) -> tuple[Row, Row, Row]:
    """The sums of the first layer, its units, and the sums of the second."""
    s = sums(first, b_first, row)
    h = [value(f, t) for t in s]
    return s, h, sums(second, b_second, h)


def rows(x: Array) -> list[Row]:
    """The rows of a matrix."""
    return [[x[n, i] for i in range(x.shape[1])] for n in range(x.shape[0])]


def gan_prior_uniform(u: Array, low: float = -1.0, high: float = 1.0) -> Nested:
    """gan.prior_uniform, as a mixture of the two ends."""
    return each(lambda v: (1 - v) * low + v * high, u)


def circle(like: Number) -> Number:
    """2π by the arithmetic-geometric mean (Gauss and Legendre); digits double at each step."""
    a, t = like * 0 + 1, like * 0 + 0.25
    b, p = 1 / np.sqrt(a + a), 1
    for _ in range(16):
        following = (a + b) / 2
        b = np.sqrt(a * b)
        t = t - p * (a - following) * (a - following)
        a, p = following, 2 * p
    return (a + b) * (a + b) / (t + t)


def gan_prior_gaussian(u_1: Array, u_2: Array) -> tuple[Nested, Nested]:
    """gan.prior_gaussian, a pair at a time; the radius is √(log 1/u + log 1/u)."""

    def radius(u: Number) -> Number:
        return np.sqrt(np.log(1 / u) + np.log(1 / u))

    return (
        each(lambda u, v: radius(u) * np.cos(v * circle(v)), u_1, u_2),
        each(lambda u, v: radius(u) * np.sin(v * circle(v)), u_1, u_2),
    )


def gan_generator(
    z: Array,
    W_G1: Array,
    W_G2: Array,
    b_G1: Array | None = None,
    b_G2: Array | None = None,
    activation: str = "relu",
    output_activation: str = "identity",
) -> Nested:
    """gan.generator, one example at a time."""
    found = []
    for row in rows(z):
        _, _, s = network(row, W_G1, W_G2, b_G1, b_G2, activation)
        found.append([value(output_activation, t) for t in s])
    return found


def gan_discriminator(
    x: Array,
    W_D1: Array,
    W_D2: Array,
    b_D1: Array | None = None,
    b_D2: Array | None = None,
    activation: str = "relu",
) -> tuple[Nested, Nested]:
    """gan.logit and gan.discriminator, one example at a time."""
    a = [network(row, W_D1, W_D2, b_D1, b_D2, activation)[2][0] for row in rows(x)]
    return [logistic(t) for t in a], a


def average(terms: Row) -> Number:
    """Their sum over their number."""
    total: Number = 0
    for term in terms:
        total = total + term
    return total / len(terms)


def gan_value(v_real: Array, v_fake: Array) -> Nested:
    """gan.value."""
    real = average([np.log(v_real[n]) for n in range(v_real.shape[0])])
    fake = average([np.log(1 - v_fake[n]) for n in range(v_fake.shape[0])])
    return [real + fake]


def cost(s: Number) -> Number:
    """-log σ(s) = log(1 + e^-s), in the form that is finite for every s."""
    return np.log1p(np.exp(-s)) if s > 0 else np.log1p(np.exp(s)) - s


def costs(a: Array, sign: int) -> Number:
    """The mean of -log σ(sign a)."""
    return average([cost(sign * a[n]) for n in range(a.shape[0])])


def gan_value_logits(a_real: Array, a_fake: Array) -> Nested:
    """gan.value_logits: 1 - σ(a) is σ(-a)."""
    return [-(costs(a_real, 1) + costs(a_fake, -1))]


def gan_discriminator_loss(a_real: Array, a_fake: Array) -> Nested:
    """gan.discriminator_loss."""
    return [costs(a_real, 1) + costs(a_fake, -1)]


def gan_saturating_loss(a_fake: Array) -> Nested:
    """gan.saturating_loss."""
    return [-costs(a_fake, -1)]


def gan_non_saturating_loss(a_fake: Array) -> Nested:
    """gan.non_saturating_loss."""
    return [costs(a_fake, 1)]


def gan_logit_gradients(a: Array) -> tuple[Nested, Nested]:
    """gan.saturation."""
    return each(lambda s: -logistic(s), a), each(lambda s: -logistic(-s), a)


def gan_optimal_discriminator(p_data: Array, p_g: Array) -> Nested:
    """gan.optimal_discriminator."""
    found = []
    for i in range(p_data.shape[0]):
        p, q = p_data[i], p_g[i]
        if p <= 0 and q <= 0:
            found.append(0.5)
        else:
            found.append(p / (p + q))
    return found


def information(p: Number) -> Number:
    """p log p, and 0 for 0."""
    return p * 0 if p <= 0 else p * np.log(p)


def gan_jensen_shannon(p_data: Array, p_g: Array) -> Nested:
    """gan.jensen_shannon, as entropy of the mean less mean of the entropies."""
    total: Number = 0
    for i in range(p_data.shape[0]):
        p, q = p_data[i], p_g[i]
        total = total + (information(p) + information(q)) / 2 - information((p + q) / 2)
    return [total]


def gan_criterion(p_data: Array, p_g: Array) -> Nested:
    """gan.criterion in its second form, 2 JSD - (sum of p_data and p_g) log 2.

    The reference has the first, V(D*, G): that the two agree proves Goodfellow's theorem on every
    vector.
    """
    total: Number = 0
    for i in range(p_data.shape[0]):
        mass = p_data[i] + p_g[i]
        total = total + mass * np.log(mass * 0 + 2)
    return [2 * gan_jensen_shannon(p_data, p_g)[0] - total]


def logit_gradients(
    batch: list[Row], errors: Row, W_D1: Array, W_D2: Array, b_D1: Array, b_D2: Array, f: str
) -> tuple[Nested, Nested, Row, Row]:
    """The sums over a batch of error times the derivatives of the logit by θ^D."""
    J, I = W_D1.shape
    first: Nested = [[0] * I for _ in range(J)]
    second: Row = [0] * J
    b_first: Row = [0] * J
    b_second: Number = 0
    for row, error in zip(batch, errors, strict=True):
        s, h, _ = network(row, W_D1, W_D2, b_D1, b_D2, f)
        b_second = b_second + error
        for j in range(J):
            second[j] = second[j] + error * h[j]
            inner = error * W_D2[0, j] * slope(f, s[j])
            b_first[j] = b_first[j] + inner
            for i in range(I):
                first[j][i] = first[j][i] + inner * row[i]
    return first, [second], b_first, [b_second]


def stepped(old: Array, change: Nested, rate: float) -> Nested:
    """old + rate change, place by place."""
    if old.ndim == 1:
        return [old[k] + rate * change[k] for k in range(old.shape[0])]
    return [
        [old[o, k] + rate * change[o][k] for k in range(old.shape[1])] for o in range(old.shape[0])
    ]


def gan_discriminator_step(
    x: Array,
    z: Array,
    W_G1: Array,
    W_G2: Array,
    b_G1: Array,
    b_G2: Array,
    W_D1: Array,
    W_D2: Array,
    b_D1: Array,
    b_D2: Array,
    activation: str = "relu",
    output_activation: str = "identity",
    eta_D: float = 0.125,
) -> tuple[Nested, Nested, Nested, Nested]:
    """gan.discriminator_step: one batch, real examples first, each with its own error."""
    batch = rows(x) + gan_generator(z, W_G1, W_G2, b_G1, b_G2, activation, output_activation)
    errors = []
    for n, row in enumerate(batch):
        a = network(row, W_D1, W_D2, b_D1, b_D2, activation)[2][0]
        real = n < x.shape[0]
        errors.append(logistic(-a) / x.shape[0] if real else -logistic(a) / z.shape[0])
    change = logit_gradients(batch, errors, W_D1, W_D2, b_D1, b_D2, activation)
    return (
        stepped(W_D1, change[0], eta_D),
        stepped(W_D2, change[1], eta_D),
        stepped(b_D1, change[2], eta_D),
        stepped(b_D2, change[3], eta_D),
    )


def gan_generator_step(
    z: Array,
    W_G1: Array,
    W_G2: Array,
    b_G1: Array,
    b_G2: Array,
    W_D1: Array,
    W_D2: Array,
    b_D1: Array,
    b_D2: Array,
    generator_loss: str = "non_saturating",
    activation: str = "relu",
    output_activation: str = "identity",
    eta_G: float = 0.125,
) -> tuple[Nested, Nested, Nested, Nested]:
    """gan.generator_step: the chain from the logit to each parameter, one example at a time."""
    H, N = W_G1.shape
    I, J = W_G2.shape[0], W_D1.shape[0]
    first: Nested = [[0] * N for _ in range(H)]
    second: Nested = [[0] * H for _ in range(I)]
    b_first: Row = [0] * H
    b_second: Row = [0] * I
    for row in rows(z):
        s, h, out = network(row, W_G1, W_G2, b_G1, b_G2, activation)
        fake = [value(output_activation, t) for t in out]
        t, _, a = network(fake, W_D1, W_D2, b_D1, b_D2, activation)
        # the derivative of the loss by the logit
        error = -logistic(a[0]) if generator_loss == "saturating" else -logistic(-a[0])
        by_out: Row = []
        for i in range(I):
            by_fake: Number = 0
            for j in range(J):
                by_fake = by_fake + W_D2[0, j] * slope(activation, t[j]) * W_D1[j, i]
            by_out.append(error / z.shape[0] * by_fake * slope(output_activation, out[i]))
        for k in range(H):
            by_hidden: Number = 0
            for i in range(I):
                second[i][k] = second[i][k] + by_out[i] * h[k]
                by_hidden = by_hidden + by_out[i] * W_G2[i, k] * slope(activation, s[k])
            b_first[k] = b_first[k] + by_hidden
            for n in range(N):
                first[k][n] = first[k][n] + by_hidden * row[n]
        for i in range(I):
            b_second[i] = b_second[i] + by_out[i]
    return (
        stepped(W_G1, first, -eta_G),
        stepped(W_G2, second, -eta_G),
        stepped(b_G1, b_first, -eta_G),
        stepped(b_G2, b_second, -eta_G),
    )


def array_of(nested: Nested, like: Array) -> Array:
    """Nested lists as an object array of a shape, for the next step to read."""
    made = np.empty(like.shape, dtype=object)
    for index in np.ndindex(*like.shape):
        part = nested
        for i in index:
            part = part[i]
        made[index] = part
    return made


def gan_step(
    X: Array,
    Z: Array,
    z: Array,
    W_G1: Array,
    W_G2: Array,
    b_G1: Array,
    b_G2: Array,
    W_D1: Array,
    W_D2: Array,
    b_D1: Array,
    b_D2: Array,
    generator_loss: str = "non_saturating",
    activation: str = "relu",
    output_activation: str = "identity",
    eta_D: float = 0.125,
    eta_G: float = 0.125,
) -> tuple[Nested, ...]:
    """gan.algorithm_1."""
    f, f_out = activation, output_activation
    W_1, W_2, b_1, b_2 = W_D1, W_D2, b_D1, b_D2
    for k in range(X.shape[0]):
        new = gan_discriminator_step(
            X[k], Z[k], W_G1, W_G2, b_G1, b_G2, W_1, W_2, b_1, b_2, f, f_out, eta_D
        )
        W_1, W_2 = array_of(new[0], W_D1), array_of(new[1], W_D2)
        b_1, b_2 = array_of(new[2], b_D1), array_of(new[3], b_D2)
    moved = gan_generator_step(
        z, W_G1, W_G2, b_G1, b_G2, W_1, W_2, b_1, b_2, generator_loss, f, f_out, eta_G
    )
    return *moved, rows(W_1), rows(W_2), b_1.tolist(), b_2.tolist()
