"""Generative Adversarial Network: priors, the two networks, value and losses, algorithm 1.

The losses are functions of the logit a, of which D's probability is v = σ(a), and 1 - v is computed
as σ(-a). `gan_value` is the deck's form, a function of the probability. Both generator losses are
here: log(1 - D), which saturates, and -log D, which the deck trains with.
"""

import numpy as np

from nnspec.reference.array import Array, constants
from nnspec.reference.primitives import mlp, mlp_vjp, sigmoid, softplus


def gan_prior_uniform(u: Array, *, low: float = -1.0, high: float = 1.0) -> Array:
    """Noise of the even distribution on [low, high) from u of the even distribution on [0, 1).

    u: any shape. Returns z of the same shape.
    Source: slide "Generative Adversarial Network (GAN)", "even distribution"; spec/gan.md.
    """
    z: Array = low + (high - low) * u  # gan.prior_uniform
    return z


def two_pi(like: Array) -> Array:
    """2π, shape (1,), as exact as the numbers of `like`.

    p + sin p triples the correct digits of π: nine times from 3 give more than 20,000, beyond the
    radius of any ball.
    """
    p = constants([3.0], like)
    for _ in range(9):
        p = p + np.sin(p)
    return (2 * p).astype(like.dtype)


def gan_prior_gaussian(u_1: Array, u_2: Array) -> tuple[Array, Array]:
    """White Gaussian noise from two even variables, u_1 in (0, 1] and u_2 in [0, 1).

    u_1, u_2: of one shape. Returns z_1 and z_2 of that shape: independent, mean 0, variance 1.
    Source: slide "Generative Model and Discriminative Model", "Gaussian white noise vector z";
    Box and Muller 1958; spec/gan.md.
    """
    radius = np.sqrt(-2 * np.log(u_1))  # gan.prior_gaussian
    angle = two_pi(u_2) * u_2
    return radius * np.cos(angle), radius * np.sin(angle)  # gan.prior_gaussian


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
    """The sample x = G(z; θ^G), an MLP of two layers.

    Returns x (B, I).
    Source: slide "Generative Model and Discriminative Model"; Goodfellow 2014, section 3;
    spec/gan.md.
    """
    f, f_out = activation, output_activation
    return mlp(
        z, W_G1, W_G2, b_1=b_G1, b_2=b_G2, activation=f, output_activation=f_out
    )  # gan.generator


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
    """`mlp_vjp` by its names here: dz, dW_G1, dW_G2 and the biases'."""
    f, f_out = activation, output_activation
    d = mlp_vjp(z, W_G1, W_G2, dx, b_1=b_G1, b_2=b_G2, activation=f, output_activation=f_out)
    return {"dz": d.pop("dx")} | {f"{name[:3]}G{name[3]}": value for name, value in d.items()}


def gan_discriminator(
    x: Array,  # (B, I)
    W_D1: Array,  # (J, I)
    W_D2: Array,  # (1, J)
    *,
    b_D1: Array | None = None,  # (J,)
    b_D2: Array | None = None,  # (1,)
    activation: str = "relu",
) -> tuple[Array, Array]:
    """The probability v = D(x; θ^D) that x is real, and its logit a: v = σ(a).

    Returns v (B,) and a (B,). The losses want a: v has forgotten it where it rounds to 1.
    Source: slide "Generative Model and Discriminative Model"; Goodfellow 2014, section 3;
    spec/gan.md.
    """
    a = mlp(x, W_D1, W_D2, b_1=b_D1, b_2=b_D2, activation=activation)[:, 0]  # gan.logit
    v = sigmoid(a)  # gan.discriminator
    return v, a


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
    """The logit gains dv v (1 - v), with 1 - v as σ(-a); then back through the MLP."""
    v, a = gan_discriminator(x, W_D1, W_D2, b_D1=b_D1, b_D2=b_D2, activation=activation)
    da_total = da + dv * v * sigmoid(-a)
    return through_discriminator(x, W_D1, W_D2, da_total, b_D1, b_D2, activation)


def through_discriminator(
    x: Array,  # (B, I)
    W_D1: Array,  # (J, I)
    W_D2: Array,  # (1, J)
    da: Array,  # (B,)
    b_D1: Array | None,  # (J,)
    b_D2: Array | None,  # (1,)
    activation: str,
) -> dict[str, Array]:
    """From the gradient of the logit to those of x and θ^D."""
    d = mlp_vjp(x, W_D1, W_D2, da[:, None], b_1=b_D1, b_2=b_D2, activation=activation)
    return {"dx": d.pop("dx")} | {f"{name[:3]}D{name[3]}": value for name, value in d.items()}


def mean(x: Array) -> Array:
    """The mean of the examples of a batch, (B,) to a scalar; of no examples it is not defined."""
    average: Array = x.sum() / x.shape[0]
    return average


def gan_value(
    v_real: Array,  # (M,)
    v_fake: Array,  # (F,)
) -> Array:
    """V(D, G) = E log D(x) + E log(1 - D(G(z))), means over two batches of probabilities.

    Returns V, a scalar, at most 0.
    Source: slide "Training Rules of GAN"; Goodfellow 2014, equation 1; spec/gan.md. Where D is
    sure, `gan_value_logits` still is right and this has no number left.
    """
    V: Array = mean(np.log(v_real)) + mean(np.log1p(-v_fake))  # gan.value
    return V


def gan_value_vjp(v_real: Array, v_fake: Array, dV: Array) -> dict[str, Array]:
    """1 / (M v) for each real example, -1 / (F (1 - v)) for each fake one."""
    return {
        "dv_real": dV / v_real / v_real.shape[0],
        "dv_fake": dV / (v_fake - 1) / v_fake.shape[0],
    }


def gan_value_logits(
    a_real: Array,  # (M,)
    a_fake: Array,  # (F,)
) -> Array:
    """V(D, G) from logits: log σ(a) = -softplus(-a) and log(1 - σ(a)) = -softplus(a).

    Returns V, a scalar, at most 0.
    Source: slide "Training Rules of GAN"; spec/gan.md.
    """
    V: Array = -mean(softplus(-a_real)) - mean(softplus(a_fake))  # gan.value_logits
    return V


def gan_value_logits_vjp(a_real: Array, a_fake: Array, dV: Array) -> dict[str, Array]:
    """σ(-a) / M for each real example, -σ(a) / F for each fake one."""
    return {
        "da_real": sigmoid(-a_real) * dV / a_real.shape[0],
        "da_fake": -sigmoid(a_fake) * dV / a_fake.shape[0],
    }


def gan_discriminator_loss(
    a_real: Array,  # (M,)
    a_fake: Array,  # (F,)
) -> Array:
    """What a discriminator that descends makes small: -V(D, G).

    Returns L_D, a scalar, at least 0.
    Source: slide "Training Rules of GAN", max over D; spec/gan.md.
    """
    L_D: Array = mean(softplus(-a_real)) + mean(softplus(a_fake))  # gan.discriminator_loss
    return L_D


def gan_discriminator_loss_vjp(a_real: Array, a_fake: Array, dL_D: Array) -> dict[str, Array]:
    """-σ(-a) / M for each real example, σ(a) / F for each fake one."""
    return {
        "da_real": -sigmoid(-a_real) * dL_D / a_real.shape[0],
        "da_fake": sigmoid(a_fake) * dL_D / a_fake.shape[0],
    }


def gan_saturating_loss(
    a_fake: Array,  # (F,)
) -> Array:
    """The generator's loss as the value function has it: the mean of log(1 - D(G(z))).

    Returns L_G, a scalar, at most 0.
    Source: slide "Training Rules of GAN", min over G; Goodfellow 2014, section 3; spec/gan.md.
    """
    L_G: Array = -mean(softplus(a_fake))  # gan.saturating_loss
    return L_G


def gan_saturating_loss_vjp(a_fake: Array, dL_G: Array) -> dict[str, Array]:
    """-σ(a) / F for each example: 0 where D is sure that it is fake."""
    return {"da_fake": -sigmoid(a_fake) * dL_G / a_fake.shape[0]}


def gan_non_saturating_loss(
    a_fake: Array,  # (F,)
) -> Array:
    """The generator's loss that the deck trains with: the mean of -log D(G(z)).

    Returns L_G, a scalar, at least 0.
    Source: slide "Training Rules of GAN", last paragraph; Goodfellow 2014, section 3; spec/gan.md.
    """
    L_G: Array = mean(softplus(-a_fake))  # gan.non_saturating_loss
    return L_G


def gan_non_saturating_loss_vjp(a_fake: Array, dL_G: Array) -> dict[str, Array]:
    """-σ(-a) / F for each example: -1 / F where D is sure that it is fake."""
    return {"da_fake": -sigmoid(-a_fake) * dL_G / a_fake.shape[0]}


def gan_logit_gradients(a: Array) -> tuple[Array, Array]:
    """What the logit of one fake example gives back: d/da log(1 - σ(a)) and d/da (-log σ(a)).

    a: any shape. Returns g_saturating and g_non_saturating of that shape, both in [-1, 0]; their
    sum is -1.
    Source: slide "Training Rules of GAN", last paragraph; spec/gan.md.
    """
    return -sigmoid(a), -sigmoid(-a)  # gan.saturation


def gan_optimal_discriminator(
    p_data: Array,  # (S,)
    p_g: Array,  # (S,)
) -> Array:
    """The discriminator that maximises V for a fixed generator, point by point.

    Returns D (S,); 1/2 where neither has mass.
    Source: Goodfellow 2014, proposition 1, equation 2; spec/gan.md.
    """
    total = p_data + p_g
    empty = total <= 0
    D: Array = np.where(empty, 0.5, p_data / np.where(empty, 1, total))  # gan.optimal_discriminator
    return D


def gan_optimal_discriminator_vjp(p_data: Array, p_g: Array, dD: Array) -> dict[str, Array]:
    """p_g / (p + p_g)² and -p / (p + p_g)²; 0 where neither has mass."""
    total = p_data + p_g
    empty = total <= 0
    total = np.where(empty, 1, total)
    return {
        "dp_data": np.where(empty, 0, dD * (p_g / total) / total),
        "dp_g": np.where(empty, 0, -dD * (p_data / total) / total),
    }


def log_share(
    p: Array,  # (S,)
    total: Array,  # (S,)
) -> Array:
    """log(p / total), and 0 where p is 0, so that p times it is 0 there: 0 log 0 = 0."""
    empty = p <= 0
    # what is left out takes 1 / (1 + total) along, which has a logarithm
    return np.where(empty, 0, np.log((p + empty) / (total + empty)))


def gan_jensen_shannon(
    p_data: Array,  # (S,)
    p_g: Array,  # (S,)
) -> Array:
    """JSD(p_data || p_g) in nats: half the divergence of each from their mean.

    Returns JSD, a scalar, from 0 (equal) to log 2 (disjoint).
    Source: Goodfellow 2014, theorem 1, equation 6; spec/gan.md.
    """
    middle = (p_data + p_g) / 2
    terms = p_data * log_share(p_data, middle) + p_g * log_share(p_g, middle)
    JSD: Array = terms.sum() / 2  # gan.jensen_shannon
    return JSD


def gan_jensen_shannon_vjp(p_data: Array, p_g: Array, dJSD: Array) -> dict[str, Array]:
    """log(2 p / (p + p_g)) / 2 and log(2 p_g / (p + p_g)) / 2; 0 where that mass is 0."""
    middle = (p_data + p_g) / 2
    return {
        "dp_data": log_share(p_data, middle) * dJSD / 2,
        "dp_g": log_share(p_g, middle) * dJSD / 2,
    }


def gan_criterion(
    p_data: Array,  # (S,)
    p_g: Array,  # (S,)
) -> Array:
    """C(G) = V(D*, G): the value that the best discriminator leaves to the generator.

    Returns C, a scalar: -log 4 for equal distributions, 0 for disjoint ones.
    Source: Goodfellow 2014, equations 4 to 6; spec/gan.md.
    """
    total = p_data + p_g
    terms = p_data * log_share(p_data, total) + p_g * log_share(p_g, total)
    C: Array = terms.sum()  # gan.criterion
    return C


def gan_criterion_vjp(p_data: Array, p_g: Array, dC: Array) -> dict[str, Array]:
    """log D* and log(1 - D*): the change of D* itself adds nothing; 0 where that mass is 0."""
    total = p_data + p_g
    return {"dp_data": log_share(p_data, total) * dC, "dp_g": log_share(p_g, total) * dC}


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
    """θ^D + η ∇V: one ascent of the discriminator on real examples x and fakes G(z).

    Returns the new W_D1, W_D2, b_D1, b_D2. θ^G is read and not changed.
    Source: Goodfellow 2014, algorithm 1, inner loop; spec/gan.md.
    """
    f, f_out = activation, output_activation
    fake = gan_generator(z, W_G1, W_G2, b_G1=b_G1, b_G2=b_G2, activation=f, output_activation=f_out)
    _, a_real = gan_discriminator(x, W_D1, W_D2, b_D1=b_D1, b_D2=b_D2, activation=f)
    _, a_fake = gan_discriminator(fake, W_D1, W_D2, b_D1=b_D1, b_D2=b_D2, activation=f)
    da_real, da_fake = sigmoid(-a_real) / x.shape[0], -sigmoid(a_fake) / z.shape[0]
    real = through_discriminator(x, W_D1, W_D2, da_real, b_D1, b_D2, f)
    drawn = through_discriminator(fake, W_D1, W_D2, da_fake, b_D1, b_D2, f)
    return (
        W_D1 + eta_D * (real["dW_D1"] + drawn["dW_D1"]),  # gan.discriminator_step
        W_D2 + eta_D * (real["dW_D2"] + drawn["dW_D2"]),  # gan.discriminator_step
        b_D1 + eta_D * (real["db_D1"] + drawn["db_D1"]),  # gan.discriminator_step
        b_D2 + eta_D * (real["db_D2"] + drawn["db_D2"]),  # gan.discriminator_step
    )


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
    """θ^G - η ∇L_G: one descent of the generator, through a discriminator that stays.

    Returns the new W_G1, W_G2, b_G1, b_G2. `generator_loss` is non_saturating, the deck's choice,
    or saturating, which algorithm 1 prints; a KeyError for another.
    Source: Goodfellow 2014, algorithm 1, outer loop; spec/gan.md.
    """
    f, f_out = activation, output_activation
    fake = gan_generator(z, W_G1, W_G2, b_G1=b_G1, b_G2=b_G2, activation=f, output_activation=f_out)
    _, a = gan_discriminator(fake, W_D1, W_D2, b_D1=b_D1, b_D2=b_D2, activation=f)
    saturating, non_saturating = gan_logit_gradients(a)
    gradient = {"saturating": saturating, "non_saturating": non_saturating}[generator_loss]
    dfake = through_discriminator(fake, W_D1, W_D2, gradient / z.shape[0], b_D1, b_D2, f)["dx"]
    d = gan_generator_vjp(
        z, W_G1, W_G2, dfake, b_G1=b_G1, b_G2=b_G2, activation=f, output_activation=f_out
    )
    return (
        W_G1 - eta_G * d["dW_G1"],  # gan.generator_step
        W_G2 - eta_G * d["dW_G2"],  # gan.generator_step
        b_G1 - eta_G * d["db_G1"],  # gan.generator_step
        b_G2 - eta_G * d["db_G2"],  # gan.generator_step
    )


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
    """One iteration of algorithm 1: K ascents of the discriminator, then one generator descent.

    Each ascent has its own data X[k] and noise Z[k]; z is the noise of the descent.
    Returns the new W_G1, W_G2, b_G1, b_G2, W_D1, W_D2, b_D1, b_D2.
    Source: Goodfellow 2014, algorithm 1; spec/gan.md.
    """
    f, f_out = activation, output_activation
    theta_G = (W_G1, W_G2, b_G1, b_G2)
    # copies, since they are what K = 0 returns
    theta_D = (W_D1.copy(), W_D2.copy(), b_D1.copy(), b_D2.copy())
    for x_k, z_k in zip(X, Z, strict=True):
        theta_D = gan_discriminator_step(  # gan.algorithm_1
            x_k, z_k, *theta_G, *theta_D, activation=f, output_activation=f_out, eta_D=eta_D
        )
    theta_G = gan_generator_step(  # gan.algorithm_1
        z,
        *theta_G,
        *theta_D,
        generator_loss=generator_loss,
        activation=f,
        output_activation=f_out,
        eta_G=eta_G,
    )
    return *theta_G, *theta_D
