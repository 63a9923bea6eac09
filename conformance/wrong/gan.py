"""Wrong GANs."""

from nnspec.conformance.mutants import Mutant, mutant

LOG_REAL = "mean(np.log(v_real))"
LOG_FAKE = "mean(np.log1p(-v_fake))"
SURE_REAL = "-mean(softplus(-a_real))"
SURE_FAKE = "- mean(softplus(a_fake))"
LOSS_REAL = "mean(softplus(-a_real))"
LOSS_FAKE = "mean(softplus(a_fake))"
G_LOSS = "L_G: Array = mean(softplus(-a_fake))"
RADIUS = "np.sqrt(-2 * np.log(u_1))"


def mutants() -> list[Mutant]:
    """All mutants of the topic."""
    return [
        *priors(),
        *networks(),
        *values(),
        *discriminator_loss(),
        *generator_losses(),
        *distributions(),
        *steps(),
        *algorithm(),
        *equivalent(),
    ]


def priors() -> list[Mutant]:
    """The noise."""
    f, g = "gan_prior_uniform", "gan_prior_gaussian"
    return [
        mutant(
            "gan.prior_uniform",
            "uniform_unscaled",
            "took u itself for the noise",
            f,
            ("low + (high - low) * u", "u + 0 * (low + high)"),
        ),
        mutant(
            "gan.prior_uniform",
            "uniform_high_as_width",
            "took the upper bound for the width of the interval",
            f,
            ("(high - low) * u", "high * u"),
        ),
        mutant(
            "gan.prior_uniform",
            "uniform_symmetric",
            "scaled to ±high whatever the lower bound is",
            f,
            ("low + (high - low) * u", "high * (2 * u - 1)"),
        ),
        mutant(
            "gan.prior_gaussian",
            "box_muller_no_2",
            "left the 2 of the radius out",
            g,
            (RADIUS, "np.sqrt(-np.log(u_1))"),
        ),
        mutant(
            "gan.prior_gaussian",
            "box_muller_half_turn",
            "took π u for the angle",
            g,
            ("two_pi(u_2) * u_2", "two_pi(u_2) * u_2 / 2"),
        ),
        mutant(
            "gan.prior_gaussian",
            "box_muller_sine_first",
            "exchanged sine and cosine",
            g,
            (
                "radius * np.cos(angle), radius * np.sin(angle)",
                "radius * np.sin(angle), radius * np.cos(angle)",
            ),
        ),
        mutant(
            "gan.prior_gaussian",
            "box_muller_exchanged",
            "took the radius from u_2 and the angle from u_1",
            g,
            (RADIUS, "np.sqrt(-2 * np.log(u_2))"),
            ("two_pi(u_2) * u_2", "two_pi(u_1) * u_1"),
        ),
        mutant(
            "gan.prior_gaussian",
            "box_muller_complement",
            "took the logarithm of 1 - u_1",
            g,
            (RADIUS, "np.sqrt(-2 * np.log1p(-u_1))"),
            mend="hand over 1 - u_1, where the uniform numbers are in [0, 1)",
        ),
        mutant(
            "gan.prior_gaussian",
            "box_muller_clipped",
            "clipped u_1 at 1e-7",
            g,
            (RADIUS, "np.sqrt(-2 * np.log(np.maximum(u_1, 1e-7)))"),
        ),
        mutant(
            "gan.prior_gaussian",
            "pi_of_five_digits",
            "wrote π as 3.14159",
            "two_pi",
            ("return (2 * p)", "return (2 * np.floor(p * 1e5) / 1e5)"),
        ),
    ]


def networks() -> list[Mutant]:
    """Generator and discriminator."""
    f, g, h = "gan_generator", "gan_discriminator", "gan_discriminator_vjp"
    return [
        mutant(
            "gan.generator",
            "generator_no_first_bias",
            "ignored b_G1",
            f,
            ("b_1=b_G1", "b_1=None"),
        ),
        mutant(
            "gan.generator",
            "generator_no_last_bias",
            "ignored b_G2",
            f,
            ("b_2=b_G2", "b_2=None"),
        ),
        mutant(
            "gan.generator",
            "generator_linear",
            "left the hidden layer's activation out",
            f,
            ("activation=f,", "activation='identity',"),
        ),
        mutant(
            "gan.generator",
            "generator_output_as_hidden",
            "used the hidden layer's activation at the output too",
            f,
            ("output_activation=f_out", "output_activation=f"),
        ),
        mutant(
            "gan.generator",
            "generator_tanh_output",
            "gave the sample through tanh whatever the output activation",
            f,
            ("output_activation=f_out", "output_activation='tanh'"),
        ),
        mutant(
            "gan.generator",
            "generator_output_ignored",
            "ignored the output activation",
            f,
            ("output_activation=f_out", "output_activation='identity'"),
        ),
        mutant(
            "gan.generator",
            "generator_vjp_linear_output",
            "left the output activation out of the backward pass",
            "gan_generator_vjp",
            ("output_activation=f_out)", "output_activation='identity')"),
        ),
        mutant(
            "gan.logit",
            "discriminator_no_bias",
            "ignored b_D2",
            g,
            ("b_2=b_D2", "b_2=None"),
        ),
        mutant(
            "gan.logit",
            "discriminator_column",
            "kept an axis of length 1 behind the batch",
            g,
            ("return v, a", "return v[:, None], a[:, None]"),
        ),
        mutant(
            "gan.logit",
            "logit_from_probability",
            "took the logit from the probability, log v - log(1 - v)",
            g,
            ("return v, a", "return v, np.log(v) - np.log(1 - v)"),
            mend="return the last layer's sum before σ",
        ),
        mutant(
            "gan.logit",
            "logit_clamped",
            "clamped the logit to ±18",
            g,
            ("activation=activation)[:, 0]", "activation=activation)[:, 0].clip(-18, 18)"),
        ),
        mutant(
            "gan.discriminator",
            "discriminator_no_sigmoid",
            "gave the logit for the probability",
            g,
            ("v = sigmoid(a)  #", "v = a.copy()  #"),
        ),
        mutant(
            "gan.discriminator",
            "discriminator_sigmoid_twice",
            "applied σ to what had gone through σ",
            g,
            ("v = sigmoid(a)  #", "v = sigmoid(sigmoid(a))  #"),
        ),
        mutant(
            "gan.discriminator",
            "discriminator_fake_is_one",
            "gave the probability that x is fake",
            g,
            ("v = sigmoid(a)  #", "v = sigmoid(-a)  #"),
        ),
        mutant(
            "gan.discriminator",
            "discriminator_naive_sigmoid",
            "wrote σ as e^a / (1 + e^a)",
            g,
            ("v = sigmoid(a)  #", "v = np.exp(a) / (1 + np.exp(a))  #"),
        ),
        mutant(
            "gan.discriminator",
            "probability_clipped",
            "clipped the probability to 1e-7 … 1 - 1e-7, as Keras does",
            g,
            ("v = sigmoid(a)  #", "v = np.clip(sigmoid(a), 1e-7, 1 - 1e-7)  #"),
        ),
        mutant(
            "gan.discriminator",
            "discriminator_vjp_no_probability",
            "dropped the gradient that comes in by the probability",
            h,
            ("da + dv * v * sigmoid(-a)", "da + 0 * dv"),
        ),
        mutant(
            "gan.logit",
            "discriminator_vjp_no_logit",
            "dropped the gradient that comes in by the logit",
            h,
            ("da + dv * v * sigmoid(-a)", "dv * v * sigmoid(-a)"),
        ),
        mutant(
            "gan.discriminator",
            "discriminator_vjp_complement",
            "computed 1 - v by subtraction in the backward pass",
            h,
            ("dv * v * sigmoid(-a)", "dv * v * (1 - v)"),
            mend="1 - σ(a) is σ(-a)",
        ),
    ]


def values() -> list[Mutant]:
    """The value function, of probabilities and of logits."""
    f, g, h = "gan_value", "gan_value_logits", "gan_value_logits_vjp"
    return [
        mutant(
            "gan.value",
            "value_sum",
            "summed over the batches for the means",
            f,
            (LOG_REAL, "np.log(v_real).sum()"),
            (LOG_FAKE, "np.log1p(-v_fake).sum()"),
        ),
        mutant(
            "gan.value",
            "value_pooled",
            "took one mean over real and fake examples together",
            f,
            (
                f"{LOG_REAL} + {LOG_FAKE}",
                "2 * mean(np.concatenate([np.log(v_real), np.log1p(-v_fake)]))",
            ),
        ),
        mutant(
            "gan.value",
            "value_fake_label",
            "gave the fakes the label of the real ones",
            f,
            (LOG_FAKE, "mean(np.log(v_fake))"),
        ),
        mutant(
            "gan.value",
            "value_bits",
            "took logarithms to the base 2",
            f,
            (LOG_REAL, "mean(np.log2(v_real))"),
            (LOG_FAKE, "mean(np.log1p(-v_fake)) / np.log(2)"),
        ),
        mutant(
            "gan.value",
            "value_plain_log",
            "wrote log(1 - v) where v may be tiny",
            f,
            (LOG_FAKE, "mean(np.log(1 - v_fake))"),
            mend="log1p(-v) keeps a v below the rounding of 1",
        ),
        mutant(
            "gan.value",
            "value_clipped",
            "clipped the probabilities to 1e-7 … 1 - 1e-7, as Keras does",
            f,
            (LOG_REAL, "mean(np.log(np.clip(v_real, 1e-7, 1 - 1e-7)))"),
            (LOG_FAKE, "mean(np.log1p(-np.clip(v_fake, 1e-7, 1 - 1e-7)))"),
        ),
        mutant(
            "gan.value",
            "value_log_clamped",
            "clamped the logarithms at -100, as torch's binary cross-entropy does",
            f,
            (LOG_REAL, "mean(np.maximum(np.log(v_real), -100))"),
            (LOG_FAKE, "mean(np.maximum(np.log1p(-v_fake), -100))"),
        ),
        mutant(
            "gan.value",
            "value_vjp_no_mean",
            "forgot the mean in the backward pass",
            "gan_value_vjp",
            ("dV / v_real / v_real.shape[0]", "dV / v_real"),
            ("dV / (v_fake - 1) / v_fake.shape[0]", "dV / (v_fake - 1)"),
        ),
        mutant(
            "gan.value",
            "value_vjp_sign",
            "took the wrong sign for the fakes' gradient",
            "gan_value_vjp",
            ("(v_fake - 1)", "(1 - v_fake)"),
        ),
        mutant(
            "gan.value_logits",
            "value_logits_from_probabilities",
            "took the logarithms of σ(a) and of 1 - σ(a)",
            g,
            (SURE_REAL, "mean(np.log(sigmoid(a_real)))"),
            (SURE_FAKE, "+ mean(np.log(1 - sigmoid(a_fake)))"),
            mend="log σ(a) is -softplus(-a), log(1 - σ(a)) is -softplus(a)",
        ),
        mutant(
            "gan.value_logits",
            "value_logits_negated",
            "gave the discriminator's loss for the value",
            g,
            (f"{SURE_REAL} {SURE_FAKE}", f"{LOSS_REAL} + {LOSS_FAKE}"),
        ),
        mutant(
            "gan.value_logits",
            "value_logits_clamped",
            "clamped the logits to ±18",
            g,
            (SURE_REAL, "-mean(softplus(-a_real.clip(-18, 18)))"),
            (SURE_FAKE, "- mean(softplus(a_fake.clip(-18, 18)))"),
        ),
        mutant(
            "gan.value_logits",
            "value_logits_naive_softplus",
            "wrote softplus as log(1 + e^a)",
            g,
            (SURE_REAL, "-mean(np.log(1 + np.exp(-a_real)))"),
            (SURE_FAKE, "- mean(np.log(1 + np.exp(a_fake)))"),
        ),
        mutant(
            "gan.value_logits",
            "value_logits_vjp_sign",
            "took the wrong sign for the fakes' gradient",
            h,
            ("-sigmoid(a_fake)", "sigmoid(a_fake)"),
        ),
        mutant(
            "gan.value_logits",
            "value_logits_vjp_one_batch",
            "divided the fakes' gradient by the number of real examples",
            h,
            ("/ a_fake.shape[0]", "/ a_real.shape[0]"),
        ),
    ]


def discriminator_loss() -> list[Mutant]:
    """What the discriminator descends."""
    f, g = "gan_discriminator_loss", "gan_discriminator_loss_vjp"
    return [
        mutant(
            "gan.discriminator_loss",
            "d_loss_sum",
            "summed over the batches for the means",
            f,
            (LOSS_REAL, "softplus(-a_real).sum()"),
            (LOSS_FAKE, "softplus(a_fake).sum()"),
        ),
        mutant(
            "gan.discriminator_loss",
            "d_loss_halved",
            "took half of the sum of the two cross-entropies",
            f,
            (f"{LOSS_REAL} + {LOSS_FAKE}", f"({LOSS_REAL} + {LOSS_FAKE}) / 2"),
        ),
        mutant(
            "gan.discriminator_loss",
            "d_loss_fake_label",
            "gave the fakes the label of the real ones",
            f,
            (LOSS_FAKE, "mean(softplus(-a_fake))"),
        ),
        mutant(
            "gan.discriminator_loss",
            "d_loss_labels_exchanged",
            "exchanged the labels of real and fake",
            f,
            (LOSS_REAL, "mean(softplus(a_real))"),
            (LOSS_FAKE, "mean(softplus(-a_fake))"),
        ),
        mutant(
            "gan.discriminator_loss",
            "d_loss_sign",
            "gave the value for the loss: descent would go the wrong way",
            f,
            (f"{LOSS_REAL} + {LOSS_FAKE}", f"-{LOSS_REAL} - {LOSS_FAKE}"),
        ),
        mutant(
            "gan.discriminator_loss",
            "d_loss_smoothed",
            "smoothed the label of the real ones to 0.9",
            f,
            (LOSS_REAL, "mean(0.9 * softplus(-a_real) + 0.1 * softplus(a_real))"),
        ),
        mutant(
            "gan.discriminator_loss",
            "d_loss_pooled",
            "took one mean over real and fake examples together",
            f,
            (
                f"{LOSS_REAL} + {LOSS_FAKE}",
                "2 * mean(softplus(np.concatenate([-a_real, a_fake])))",
            ),
        ),
        mutant(
            "gan.discriminator_loss",
            "d_loss_from_probabilities",
            "computed the cross-entropy from probabilities clipped to 1e-7, as Keras does",
            f,
            (LOSS_REAL, "-mean(np.log(np.clip(sigmoid(a_real), 1e-7, 1 - 1e-7)))"),
            (LOSS_FAKE, "mean(-np.log(1 - np.clip(sigmoid(a_fake), 1e-7, 1 - 1e-7)))"),
        ),
        mutant(
            "gan.discriminator_loss",
            "d_loss_sigmoid_twice",
            "gave the probability to a loss that expects the logit",
            f,
            (LOSS_REAL, "mean(softplus(-sigmoid(a_real)))"),
            (LOSS_FAKE, "mean(softplus(sigmoid(a_fake)))"),
        ),
        mutant(
            "gan.discriminator_loss",
            "d_loss_total_in_half",
            "summed over the batch in float16",
            f,
            (LOSS_REAL, "wrong.total_in_half(softplus(-a_real)) / a_real.shape[0]"),
            (LOSS_FAKE, "wrong.total_in_half(softplus(a_fake)) / a_fake.shape[0]"),
        ),
        mutant(
            "gan.discriminator_loss",
            "d_loss_vjp_no_mean",
            "forgot the mean in the backward pass",
            g,
            (" / a_real.shape[0]", ""),
            (" / a_fake.shape[0]", ""),
        ),
        mutant(
            "gan.discriminator_loss",
            "d_loss_vjp_real_sign",
            "took the wrong sign for the real examples' gradient",
            g,
            ("-sigmoid(-a_real)", "sigmoid(-a_real)"),
        ),
        mutant(
            "gan.discriminator_loss",
            "d_loss_vjp_complement",
            "took σ(a) - 1 by subtraction for the real examples' gradient",
            g,
            ("-sigmoid(-a_real)", "(sigmoid(a_real) - 1)"),
            mend="σ(a) - 1 is -σ(-a)",
        ),
    ]


def generator_losses() -> list[Mutant]:
    """The two losses of the generator, and their gradients."""
    f, g = "gan_saturating_loss", "gan_non_saturating_loss"
    f_vjp, g_vjp, h = f"{f}_vjp", f"{g}_vjp", "gan_logit_gradients"
    return [
        mutant(
            "gan.saturating_loss",
            "saturating_as_non_saturating",
            "used -log D, the non-saturating loss, for log(1 - D)",
            f,
            ("-mean(softplus(a_fake))", "mean(softplus(-a_fake))"),
        ),
        mutant(
            "gan.saturating_loss",
            "saturating_sign",
            "took the sign of a cross-entropy: descent would help the discriminator",
            f,
            ("-mean(softplus(a_fake))", "mean(softplus(a_fake))"),
        ),
        mutant(
            "gan.saturating_loss",
            "saturating_sum",
            "summed over the batch for the mean",
            f,
            ("-mean(softplus(a_fake))", "-softplus(a_fake).sum()"),
        ),
        mutant(
            "gan.saturating_loss",
            "saturating_from_probability",
            "took the logarithm of 1 - σ(a)",
            f,
            ("-mean(softplus(a_fake))", "mean(np.log(1 - sigmoid(a_fake)))"),
        ),
        mutant(
            "gan.saturating_loss",
            "saturating_log_clamped",
            "clamped log(1 - D) at -100, as torch's binary cross-entropy does",
            f,
            ("-mean(softplus(a_fake))", "-mean(np.minimum(softplus(a_fake), 100))"),
        ),
        mutant(
            "gan.saturating_loss",
            "saturating_vjp_other",
            "returned the non-saturating loss's gradient",
            f_vjp,
            ("-sigmoid(a_fake)", "-sigmoid(-a_fake)"),
        ),
        mutant(
            "gan.saturating_loss",
            "saturating_vjp_no_mean",
            "forgot the mean in the backward pass",
            f_vjp,
            (" / a_fake.shape[0]", ""),
        ),
        mutant(
            "gan.saturating_loss",
            "saturating_vjp_flushed",
            "cut the gradient off at 1e-7",
            f_vjp,
            ("-sigmoid(a_fake)", "-np.maximum(sigmoid(a_fake), 1e-7)"),
        ),
        mutant(
            "gan.non_saturating_loss",
            "non_saturating_as_saturating",
            "used log(1 - D), the saturating loss, for -log D",
            g,
            (G_LOSS, "L_G: Array = -mean(softplus(a_fake))"),
            mend="make mean(softplus(-a)) small, not mean(log(1 - σ(a)))",
        ),
        mutant(
            "gan.non_saturating_loss",
            "non_saturating_sign",
            "gave log D for -log D",
            g,
            (G_LOSS, "L_G: Array = -mean(softplus(-a_fake))"),
        ),
        mutant(
            "gan.non_saturating_loss",
            "non_saturating_fake_label",
            "gave the fakes the label 0 in the generator's cross-entropy",
            g,
            (G_LOSS, "L_G: Array = mean(softplus(a_fake))"),
            mend="the generator wants its samples taken for real: the label is 1",
        ),
        mutant(
            "gan.non_saturating_loss",
            "non_saturating_sum",
            "summed over the batch for the mean",
            g,
            (G_LOSS, "L_G: Array = softplus(-a_fake).sum()"),
        ),
        mutant(
            "gan.non_saturating_loss",
            "non_saturating_log_of_mean",
            "took the logarithm of the mean probability",
            g,
            (G_LOSS, "L_G: Array = -np.log(mean(sigmoid(a_fake)))"),
        ),
        mutant(
            "gan.non_saturating_loss",
            "non_saturating_from_probability",
            "took the logarithm of σ(a)",
            g,
            (G_LOSS, "L_G: Array = -mean(np.log(sigmoid(a_fake)))"),
        ),
        mutant(
            "gan.non_saturating_loss",
            "non_saturating_epsilon",
            "added 1e-8 inside the logarithm",
            g,
            (G_LOSS, "L_G: Array = -mean(np.log(sigmoid(a_fake) + 1e-8))"),
        ),
        mutant(
            "gan.non_saturating_loss",
            "non_saturating_log_clamped",
            "clamped log D at -100, as torch's binary cross-entropy does",
            g,
            (G_LOSS, "L_G: Array = mean(np.minimum(softplus(-a_fake), 100))"),
        ),
        mutant(
            "gan.non_saturating_loss",
            "non_saturating_naive_softplus",
            "wrote softplus as log(1 + e^-a)",
            g,
            (G_LOSS, "L_G: Array = mean(np.log(1 + np.exp(-a_fake)))"),
        ),
        mutant(
            "gan.non_saturating_loss",
            "non_saturating_vjp_other",
            "returned the saturating loss's gradient",
            g_vjp,
            ("-sigmoid(-a_fake)", "-sigmoid(a_fake)"),
        ),
        mutant(
            "gan.non_saturating_loss",
            "non_saturating_vjp_no_mean",
            "forgot the mean in the backward pass",
            g_vjp,
            (" / a_fake.shape[0]", ""),
        ),
        mutant(
            "gan.non_saturating_loss",
            "non_saturating_vjp_through_probability",
            "went back through -1 / v and v (1 - v)",
            g_vjp,
            (
                "-sigmoid(-a_fake)",
                "-1 / sigmoid(a_fake) * sigmoid(a_fake) * (1 - sigmoid(a_fake))",
            ),
        ),
        mutant(
            "gan.saturation",
            "logit_gradients_exchanged",
            "exchanged the two losses' gradients",
            h,
            ("-sigmoid(a), -sigmoid(-a)", "-sigmoid(-a), -sigmoid(a)"),
        ),
        mutant(
            "gan.saturation",
            "logit_gradients_sign",
            "gave the gradient of log D for that of -log D",
            h,
            ("-sigmoid(a), -sigmoid(-a)", "-sigmoid(a), sigmoid(-a)"),
        ),
        mutant(
            "gan.saturation",
            "logit_gradients_of_probability",
            "gave the derivatives by the probability, -1 / (1 - v) and -1 / v",
            h,
            ("-sigmoid(a), -sigmoid(-a)", "-1 / sigmoid(-a), -1 / sigmoid(a)"),
        ),
        mutant(
            "gan.saturation",
            "logit_gradients_complement",
            "took σ(a) - 1 by subtraction",
            h,
            ("-sigmoid(a), -sigmoid(-a)", "-sigmoid(a), sigmoid(a) - 1"),
        ),
        mutant(
            "gan.saturation",
            "logit_gradients_clamped",
            "clamped the logit to ±18",
            h,
            ("-sigmoid(a), -sigmoid(-a)", "-sigmoid(a.clip(-18)), -sigmoid(-a.clip(max=18))"),
        ),
    ]


def distributions() -> list[Mutant]:
    """The optimal discriminator, the Jensen-Shannon divergence, the criterion."""
    d, d_vjp = "gan_optimal_discriminator", "gan_optimal_discriminator_vjp"
    j, j_vjp = "gan_jensen_shannon", "gan_jensen_shannon_vjp"
    c, c_vjp = "gan_criterion", "gan_criterion_vjp"
    share = "np.where(empty, 0, np.log((p + empty) / (total + empty)))"
    optimal = "np.where(empty, 0.5, p_data / np.where(empty, 1, total))"
    return [
        mutant(
            "gan.optimal_discriminator",
            "optimal_of_fake",
            "gave the probability that x is fake, p_g / (p + p_g)",
            d,
            ("0.5, p_data /", "0.5, p_g /"),
        ),
        mutant(
            "gan.optimal_discriminator",
            "optimal_ratio",
            "gave p / p_g, the ratio of the densities",
            d,
            (optimal, "p_data / p_g"),
        ),
        mutant(
            "gan.optimal_discriminator",
            "optimal_nan",
            "divided 0 by 0 where neither has mass",
            d,
            (optimal, "p_data / total"),
        ),
        mutant(
            "gan.optimal_discriminator",
            "optimal_zero",
            "gave 0 where neither has mass",
            d,
            ("np.where(empty, 0.5,", "np.where(empty, 0,"),
        ),
        mutant(
            "gan.optimal_discriminator",
            "optimal_epsilon",
            "added 1e-8 to the denominator",
            d,
            ("np.where(empty, 1, total)", "(total + 1e-8)"),
        ),
        mutant(
            "gan.optimal_discriminator",
            "optimal_vjp_sign",
            "took the wrong sign for dp_g",
            d_vjp,
            ("-dD * (p_data", "dD * (p_data"),
        ),
        mutant(
            "gan.optimal_discriminator",
            "optimal_vjp_constant_total",
            "took p + p_g for a constant in the backward pass",
            d_vjp,
            ("dD * (p_g / total) / total", "dD / total"),
            ("-dD * (p_data / total) / total", "0 * dD"),
        ),
        mutant(
            "gan.optimal_discriminator",
            "optimal_vjp_squared",
            "squared the total, which underflows",
            d_vjp,
            ("dD * (p_g / total) / total", "dD * p_g / (total * total)"),
        ),
        mutant(
            "gan.jensen_shannon",
            "jsd_bits",
            "measured the divergence in bits",
            j,
            ("terms.sum() / 2", "terms.sum() / 2 / np.log(2)"),
        ),
        mutant(
            "gan.jensen_shannon",
            "jsd_no_half",
            "summed the two divergences without halving them",
            j,
            ("terms.sum() / 2", "terms.sum()"),
        ),
        mutant(
            "gan.jensen_shannon",
            "jsd_of_sum",
            "compared with p + p_g instead of their mean",
            j,
            ("(p_data + p_g) / 2", "(p_data + p_g)"),
        ),
        mutant(
            "gan.jensen_shannon",
            "jsd_one_sided",
            "took the divergence of p from the mean alone",
            j,
            (" + p_g * log_share(p_g, middle)", ""),
            ("terms.sum() / 2", "terms.sum()"),
        ),
        mutant(
            "gan.jensen_shannon",
            "jsd_kullback_leibler",
            "gave the Kullback-Leibler divergence of p from p_g",
            j,
            ("terms.sum() / 2", "(p_data * log_share(p_data, p_g)).sum()"),
        ),
        mutant(
            "gan.jensen_shannon",
            "jsd_root",
            "gave the Jensen-Shannon distance, the root of the divergence, as scipy does",
            j,
            ("terms.sum() / 2", "np.sqrt(np.maximum(terms.sum() / 2, 0))"),
        ),
        mutant(
            "gan.jensen_shannon",
            "zero_log_zero",
            "let 0 log 0 be NaN",
            "log_share",
            (share, "np.log(p / total)"),
            mend="leave out the terms whose probability is 0",
        ),
        mutant(
            "gan.jensen_shannon",
            "log_epsilon",
            "added 1e-8 inside the logarithms",
            "log_share",
            (share, "np.log((p + 1e-8) / (total + 1e-8))"),
        ),
        mutant(
            "gan.jensen_shannon",
            "jsd_vjp_no_half",
            "forgot the half in the backward pass",
            j_vjp,
            ("log_share(p_data, middle) * dJSD / 2", "log_share(p_data, middle) * dJSD"),
            ("log_share(p_g, middle) * dJSD / 2", "log_share(p_g, middle) * dJSD"),
        ),
        mutant(
            "gan.jensen_shannon",
            "jsd_vjp_constant_middle",
            "took the mean distribution for a constant in the backward pass",
            j_vjp,
            ("log_share(p_data, middle) * dJSD", "(log_share(p_data, middle) + 1) * dJSD"),
            ("log_share(p_g, middle) * dJSD", "(log_share(p_g, middle) + 1) * dJSD"),
        ),
        mutant(
            "gan.criterion",
            "criterion_no_log_4",
            "gave 2 JSD without -log 4",
            c,
            ("C: Array = terms.sum()", "C: Array = terms.sum() + np.log(4)"),
        ),
        mutant(
            "gan.criterion",
            "criterion_sign",
            "gave the discriminator's least loss for its largest value",
            c,
            ("C: Array = terms.sum()", "C: Array = -terms.sum()"),
        ),
        mutant(
            "gan.criterion",
            "criterion_one_divergence",
            "wrote -log 4 + JSD, without the 2",
            c,
            ("C: Array = terms.sum()", "C: Array = (terms.sum() - np.log(4)) / 2"),
        ),
        mutant(
            "gan.criterion",
            "criterion_vjp_exchanged",
            "exchanged the two gradients",
            c_vjp,
            ("log_share(p_data, total) * dC", "log_share(p_g, total) * dC"),
            ('"dp_g": log_share(p_g, total)', '"dp_g": log_share(p_data, total)'),
        ),
    ]


def steps() -> list[Mutant]:
    """One ascent of the discriminator, one descent of the generator."""
    f, g = "gan_discriminator_step", "gan_generator_step"
    both = "da_real, da_fake = sigmoid(-a_real) / x.shape[0], -sigmoid(a_fake) / z.shape[0]"
    return [
        mutant(
            "gan.discriminator_step",
            "d_step_descends",
            "went down the value instead of up",
            f,
            (both, f"{both}; eta_D = -eta_D"),
        ),
        mutant(
            "gan.discriminator_step",
            "d_step_fake_label",
            "gave the fakes the label of the real ones",
            f,
            ("-sigmoid(a_fake) / z", "sigmoid(-a_fake) / z"),
        ),
        mutant(
            "gan.discriminator_step",
            "d_step_real_only",
            "trained on the real examples alone",
            f,
            ("-sigmoid(a_fake) / z", "-0 * sigmoid(a_fake) / z"),
        ),
        mutant(
            "gan.discriminator_step",
            "d_step_sum",
            "summed over the batches for the means",
            f,
            (both, "da_real, da_fake = sigmoid(-a_real), -sigmoid(a_fake)"),
        ),
        mutant(
            "gan.discriminator_step",
            "d_step_halved",
            "took half of the gradient, the mean of real and fake",
            f,
            (both, f"{both}; eta_D = eta_D / 2"),
        ),
        mutant(
            "gan.discriminator_step",
            "d_step_no_bias",
            "left the last bias as it was",
            f,
            ('b_D2 + eta_D * (real["db_D2"] + drawn["db_D2"])', "b_D2.copy()"),
        ),
        mutant(
            "gan.discriminator_step",
            "d_step_in_order",
            "took W_D1's gradient with the new W_D2",
            f,
            (
                "    return (",
                "    old, W_D2 = W_D2, W_D2 + eta_D * (real['dW_D2'] + drawn['dW_D2'])\n"
                "    real = through_discriminator(x, W_D1, W_D2, da_real, b_D1, b_D2, f)"
                " | {'dW_D2': real['dW_D2'], 'db_D2': real['db_D2']}\n"
                "    drawn = through_discriminator(fake, W_D1, W_D2, da_fake, b_D1, b_D2, f)"
                " | {'dW_D2': drawn['dW_D2'], 'db_D2': drawn['db_D2']}\n"
                "    W_D2 = old\n"
                "    return (",
            ),
        ),
        mutant(
            "gan.generator_step",
            "g_step_ascends",
            "went up the generator's loss instead of down",
            g,
            ("gradient / z.shape[0]", "-gradient / z.shape[0]"),
        ),
        mutant(
            "gan.generator_step",
            "g_step_saturating",
            "trained with log(1 - D) whatever the loss is called",
            g,
            ('"non_saturating": non_saturating', '"non_saturating": saturating'),
        ),
        mutant(
            "gan.generator_step",
            "g_step_non_saturating",
            "trained with -log D whatever the loss is called",
            g,
            ('{"saturating": saturating', '{"saturating": non_saturating'),
        ),
        mutant(
            "gan.generator_step",
            "g_step_sum",
            "summed over the batch for the mean",
            g,
            ("gradient / z.shape[0]", "gradient"),
        ),
        mutant(
            "gan.generator_step",
            "g_step_no_output_activation",
            "left the output activation out of the backward pass",
            g,
            (
                "fake = gan_generator(z, W_G1, W_G2, b_G1=b_G1, b_G2=b_G2, activation=f,"
                " output_activation=f_out)",
                "fake = gan_generator(z, W_G1, W_G2, b_G1=b_G1, b_G2=b_G2, activation=f,"
                " output_activation=f_out); f_out = 'identity'",
            ),
        ),
        mutant(
            "gan.generator_step",
            "g_step_last_layer_only",
            "trained the last layer alone",
            g,
            ('W_G1 - eta_G * d["dW_G1"]', "W_G1.copy()"),
            ('b_G1 - eta_G * d["db_G1"]', "b_G1.copy()"),
        ),
    ]


def algorithm() -> list[Mutant]:
    """Algorithm 1."""
    f = "gan_step"
    ascent = "x_k, z_k, *theta_G, *theta_D, activation=f, output_activation=f_out, eta_D=eta_D"
    descent = "generator_loss=generator_loss, activation=f, output_activation=f_out, eta_G=eta_G"
    loop = "for x_k, z_k in zip(X, Z, strict=True):"
    return [
        mutant(
            "gan.algorithm_1",
            "d_step_reaches_generator",
            "let the discriminator's step reach θ^G: the fakes were not detached",
            f,
            (
                f"{ascent}\n        )",
                f"{ascent}\n        )\n"
                "        theta_G = gan_generator_step(z_k, *theta_G, *theta_D,"
                " generator_loss='saturating', activation=f, output_activation=f_out,"
                " eta_G=-eta_D)",
            ),
        ),
        mutant(
            "gan.algorithm_1",
            "generator_every_ascent",
            "trained the generator after every ascent of the discriminator",
            f,
            (
                f"{ascent}\n        )",
                f"{ascent}\n        )\n"
                "        theta_G = gan_generator_step(z, *theta_G, *theta_D,"
                f" {descent}) if x_k is not X[-1] and len(X) > 1 else theta_G",
            ),
        ),
        mutant(
            "gan.algorithm_1",
            "one_ascent",
            "made one ascent of the discriminator instead of k",
            f,
            ("zip(X, Z, strict=True)", "zip(X[:1], Z[:1], strict=True)"),
        ),
        mutant(
            "gan.algorithm_1",
            "same_noise",
            "used the first noise again for every ascent",
            f,
            ("x_k, z_k, *theta_G", "x_k, Z[0], *theta_G"),
        ),
        mutant(
            "gan.algorithm_1",
            "same_data",
            "used the first batch again for every ascent",
            f,
            ("x_k, z_k, *theta_G", "X[0], z_k, *theta_G"),
        ),
        mutant(
            "gan.algorithm_1",
            "ascents_from_the_start",
            "began every ascent from the first θ^D",
            f,
            ("x_k, z_k, *theta_G, *theta_D,", "x_k, z_k, *theta_G, W_D1, W_D2, b_D1, b_D2,"),
        ),
        mutant(
            "gan.algorithm_1",
            "generator_first",
            "made the generator's descent before the ascents",
            f,
            (
                loop,
                f"theta_G = gan_generator_step(z, *theta_G, *theta_D, {descent})\n"
                f"    eta_G = 0.0\n    {loop}",
            ),
        ),
        mutant(
            "gan.algorithm_1",
            "simultaneous",
            "made both steps from the old parameters at once",
            f,
            (
                "        z,\n        *theta_G,\n        *theta_D,",
                "        z,\n        *theta_G,\n        *(W_D1, W_D2, b_D1, b_D2),",
            ),
        ),
        mutant(
            "gan.algorithm_1",
            "noise_of_the_ascent",
            "used the last ascent's noise again for the descent",
            f,
            ("        z,\n        *theta_G,", "        Z[-1] if len(Z) else z,\n        *theta_G,"),
        ),
        mutant(
            "gan.algorithm_1",
            "one_rate",
            "used the discriminator's learning rate for both",
            f,
            ("eta_G=eta_G", "eta_G=eta_D"),
        ),
    ]


def equivalent() -> list[Mutant]:
    """Rewrites that are right: a suite that kills them raises false alarms."""
    return [
        mutant(
            "gan.non_saturating_loss",
            "equal_softplus",
            "wrote softplus(-a) as log(e^0 + e^-a) by logaddexp",
            "gan_non_saturating_loss",
            (G_LOSS, "L_G: Array = mean(np.logaddexp(np.zeros_like(a_fake), -a_fake))"),
            equivalent=True,
        ),
        mutant(
            "gan.value_logits",
            "equal_one_sum",
            "took the two means as one difference",
            "gan_value_logits",
            (f"{SURE_REAL} {SURE_FAKE}", f"-({LOSS_REAL} + {LOSS_FAKE})"),
            equivalent=True,
        ),
        mutant(
            "gan.criterion",
            "equal_by_divergence",
            "summed the two distributions' terms one after the other",
            "gan_criterion",
            (
                "C: Array = terms.sum()",
                "C: Array = (p_data * log_share(p_data, total)).sum()"
                " + (p_g * log_share(p_g, total)).sum()",
            ),
            equivalent=True,
        ),
    ]
