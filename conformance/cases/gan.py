"""Inputs for spec/gan.md: tails of the logit, unequal batches, empty masses, and who may move."""

from typing import Any

import numpy as np

from nnspec.conformance.cases.draft import Draft, draw
from nnspec.reference.array import Array

Inputs = dict[str, Any]

NAN, INF = np.nan, np.inf


def drafts() -> list[Draft]:
    """All drafts of the page."""
    return [
        *priors(),
        *generators(),
        *discriminators(),
        *values(),
        *logit_losses(),
        *generator_losses(),
        *saturation(),
        *optimal(),
        *divergences(),
        *discriminator_steps(),
        *generator_steps(),
        *iterations(),
    ]


def even(key: str, *shape: int) -> Array:
    """Numbers in (0, 1), drawn."""
    return np.abs(draw(key, *shape))


def array(*values: float) -> Array:
    """A float64 vector."""
    return np.array(values, dtype=np.float64)


def priors() -> list[Draft]:
    """gan_prior_uniform and gan_prior_gaussian."""

    def pair(key: str, *shape: int) -> Inputs:
        return {"u_1": even(f"{key} u_1", *shape), "u_2": even(f"{key} u_2", *shape)}

    edge = 1 - 2.0**-24
    return [
        Draft(
            "gan_prior_uniform",
            "plain",
            "[0, 1) instead of [-1, 1), or an axis dropped: three axes of different sizes",
            {"u": even("gan_prior_uniform plain", 2, 3, 4)},
        ),
        Draft(
            "gan_prior_uniform",
            "hand",
            "u = 0, 1/4, 1/2 and the last number before 1: low, a quarter of the way, the middle,"
            " and not yet high; rounded to 1 it would leave the interval",
            {"u": array(0.0, 0.25, 0.5, edge)},
            ("hand",),
        ),
        Draft(
            "gan_prior_uniform",
            "ends",
            "low + high u for low + (high - low) u, or the two ends exchanged",
            {"u": even("gan_prior_uniform ends", 5)},
            attributes={"low": 0.5, "high": 3.0},
        ),
        Draft(
            "gan_prior_uniform",
            "special",
            "a NaN that reaches other elements",
            {"u": array(0.25, NAN, 0.75)},
            ("special",),
        ),
        Draft(
            "gan_prior_uniform",
            "empty",
            "no noise at all",
            {"u": np.zeros((0, 3))},
            ("zero-length",),
        ),
        Draft(
            "gan_prior_gaussian",
            "plain",
            "z_1 and z_2 exchanged, π for 2π, or √(-log u) without the 2",
            pair("gan_prior_gaussian plain", 3, 4),
        ),
        Draft(
            "gan_prior_gaussian",
            "quadrants",
            "signs: an angle taken modulo half a turn, or in degrees, gives z of one sign",
            {"u_1": array(0.1, 0.3, 0.5, 0.7), "u_2": array(0.1, 0.35, 0.6, 0.85)},
        ),
        Draft(
            "gan_prior_gaussian",
            "hand",
            "u_2 = 0: z_1 = √(-2 log u_1) and z_2 = 0; u_1 = 1: both are 0, and no NaN from a"
            " negative logarithm",
            {"u_1": array(0.5, 1.0, 1.0), "u_2": array(0.0, 0.0, 0.375)},
            ("hand",),
        ),
        Draft(
            "gan_prior_gaussian",
            "far",
            "u_1 down to the smallest normal numbers: a 1e-8 added to it, or u_1 clipped, cuts off"
            " the tail of the distribution",
            {"u_1": array(2.0**-24, 2e-13, 1e-30, 2e-38), "u_2": array(0.125, 0.3, 0.55, 0.8)},
        ),
        Draft(
            "gan_prior_gaussian",
            "near-one",
            "u_1 just below 1: the radius is √(2 (1 - u_1)), 0 where log u_1 is taken from a"
            " rounded 1 - u_1",
            {"u_1": array(edge, 1 - 2.0**-20, 0.99995), "u_2": array(0.4, 0.9, 0.15)},
            ("cancellation",),
        ),
        Draft(
            "gan_prior_gaussian",
            "subnormal",
            "u_1 subnormal and flushed to 0: the radius would be infinite",
            {"u_1": array(1e-40, 3e-45), "u_2": array(0.2, 0.7)},
            ("subnormal",),
            dtypes=("float32",),
        ),
        Draft(
            "gan_prior_gaussian",
            "special",
            "a NaN in u_1 or in u_2 makes its own pair NaN and no other",
            {"u_1": array(NAN, 0.5, 0.25), "u_2": array(0.3, NAN, 0.65)},
            ("special",),
        ),
        Draft(
            "gan_prior_gaussian",
            "empty",
            "no noise at all",
            {"u_1": np.zeros((0, 2)), "u_2": np.zeros((0, 2))},
            ("zero-length",),
        ),
    ]


def theta_G(key: str, N: int, H: int, I: int, *bias: str) -> Inputs:
    """The generator's weights and the named biases, drawn."""
    sizes = {"b_G1": H, "b_G2": I}
    return {
        "W_G1": draw(f"{key} W_G1", H, N),
        "W_G2": draw(f"{key} W_G2", I, H),
        **{name: draw(f"{key} {name}", sizes[name]) for name in bias},
    }


def theta_D(key: str, I: int, J: int, *bias: str) -> Inputs:
    """The discriminator's weights and the named biases, drawn."""
    sizes = {"b_D1": J, "b_D2": 1}
    return {
        "W_D1": draw(f"{key} W_D1", J, I),
        "W_D2": draw(f"{key} W_D2", 1, J),
        **{name: draw(f"{key} {name}", sizes[name]) for name in bias},
    }


def generators() -> list[Draft]:
    """gan_generator and its VJP."""

    def inputs(key: str, B: int, N: int, H: int, I: int, *bias: str) -> Inputs:
        return {"z": draw(f"{key} z", B, N), **theta_G(key, N, H, I, *bias)}

    both = ("b_G1", "b_G2")
    special = inputs("gan_generator special", 3, 2, 4, 3)
    special["z"][1, 0] = NAN
    # no bias and a row of no noise: every hidden unit of that row is exactly 0
    kink = inputs("gan_generator kink", 3, 2, 5, 4)
    kink["z"][1] = 0
    shapes = [
        Draft(
            "gan_generator",
            "plain",
            "the hidden rectifier missing, tanh in its place, or put on the output as well",
            inputs("gan_generator plain", 2, 3, 6, 4),
        ),
        Draft(
            "gan_generator",
            "bias",
            "a bias left out, or b_G1 behind the rectifier",
            inputs("gan_generator bias", 3, 2, 5, 4, *both),
        ),
        Draft(
            "gan_generator",
            "bias-output-alone",
            "b_G2 without b_G1: packed as the first bias it ends up in the hidden layer",
            inputs("gan_generator bias-output-alone", 2, 3, 4, 4, "b_G2"),
            ("square",),
        ),
        Draft(
            "gan_generator",
            "square",
            "N = H = I: transposed or exchanged weights keep their shape",
            inputs("gan_generator square", 3, 3, 3, 3),
            ("square",),
        ),
        Draft(
            "gan_generator",
            "tanh",
            "the output activation ignored, or used in the hidden layer",
            inputs("gan_generator tanh", 2, 4, 3, 5, *both),
            attributes={"activation": "relu", "output_activation": "tanh"},
        ),
        Draft(
            "gan_generator",
            "sigmoid",
            "hidden tanh and sigmoid output: the two exchanged",
            inputs("gan_generator sigmoid", 2, 4, 6, 3, *both),
            attributes={"activation": "tanh", "output_activation": "sigmoid"},
        ),
        Draft(
            "gan_generator",
            "hand",
            "by hand: hidden (max(1 - 2, 0), max(3 + 2, 0)) = (0, 5), x = -10 + 1 = -9",
            {
                "z": array(1.0, 2.0).reshape(1, 2),
                "W_G1": np.array([[1.0, -1.0], [3.0, 1.0]]),
                "W_G2": np.array([[7.0, -2.0]]),
                "b_G2": array(1.0),
            },
            ("hand",),
        ),
        Draft(
            "gan_generator",
            "special",
            "a NaN in one row of the noise makes that sample NaN and no other",
            special,
            ("special",),
        ),
        Draft(
            "gan_generator",
            "no-batch",
            "B = 0 gives (0, I)",
            inputs("gan_generator no-batch", 0, 3, 5, 4, *both),
            ("zero-length",),
        ),
    ]
    vjps = [
        Draft(
            "gan_generator.vjp",
            "plain",
            "dz dropped, or a weight's gradient transposed",
            inputs("gan_generator plain", 2, 3, 6, 4),
        ),
        Draft(
            "gan_generator.vjp",
            "bias",
            "bias gradients averaged over the batch instead of summed",
            inputs("gan_generator bias", 3, 2, 5, 4, *both),
        ),
        Draft(
            "gan_generator.vjp",
            "square",
            "dx W_G2ᵀ for dx W_G2, silent on a square",
            inputs("gan_generator square", 3, 3, 3, 3),
            ("square",),
        ),
        Draft(
            "gan_generator.vjp",
            "tanh",
            "the derivative of the output activation forgotten, as where a loss takes it up",
            inputs("gan_generator tanh", 2, 4, 3, 5, *both),
            attributes={"activation": "relu", "output_activation": "tanh"},
        ),
        Draft(
            "gan_generator.vjp",
            "sigmoid",
            "the derivative at the pre-activation for the one at the output",
            inputs("gan_generator sigmoid", 2, 4, 6, 3, *both),
            attributes={"activation": "tanh", "output_activation": "sigmoid"},
        ),
        Draft(
            "gan_generator.vjp",
            "kink",
            "hidden units at exactly 0 hand nothing down: dz is 0 for noise 0, and 1 or 1/2 for the"
            " rectifier's derivative at 0 shows",
            kink,
            ("kink",),
        ),
        Draft(
            "gan_generator.vjp",
            "no-batch",
            "B = 0: the gradients of weights and biases are zeros of full shape",
            inputs("gan_generator no-batch", 0, 3, 5, 4, *both),
            ("zero-length",),
        ),
    ]
    return shapes + vjps


# a discriminator that is the identity, so that the logit is the sample
BARE: Inputs = {"W_D1": np.array([[1.0]]), "W_D2": np.array([[1.0]])}
LOGITS = [-103.0, -88.5, -50.0, -17.25, -3.0, 0.0, 3.0, 17.25, 30.0, 36.5, 50.0, 88.5, 103.0]


def discriminators() -> list[Draft]:
    """gan_discriminator and its VJP."""

    def inputs(key: str, B: int, I: int, J: int, *bias: str) -> Inputs:
        return {"x": draw(f"{key} x", B, I), **theta_D(key, I, J, *bias)}

    def bare(*logits: float, **more: Array) -> Inputs:
        return {"x": array(*logits).reshape(-1, 1), **BARE, **more}

    def ones(count: int) -> Array:
        return np.ones(count)

    both = ("b_D1", "b_D2")
    linear = {"activation": "identity"}
    special = inputs("gan_discriminator special", 4, 3, 5)
    special["x"][2, 1] = NAN
    count = len(LOGITS)
    return [
        Draft(
            "gan_discriminator",
            "plain",
            "v and a exchanged, a second sigmoid on v, or an axis of length 1 left on either",
            inputs("gan_discriminator plain", 2, 3, 5),
        ),
        Draft(
            "gan_discriminator",
            "bias",
            "a bias left out, or b_D2 added behind the sigmoid",
            inputs("gan_discriminator bias", 3, 4, 2, *both),
        ),
        Draft(
            "gan_discriminator",
            "square",
            "I = J: W_D1 transposed keeps its shape",
            inputs("gan_discriminator square", 2, 4, 4, "b_D2"),
            ("square",),
        ),
        Draft(
            "gan_discriminator",
            "tanh",
            "the attribute ignored: tanh in the hidden layer",
            inputs("gan_discriminator tanh", 4, 2, 3, *both),
            attributes={"activation": "tanh"},
        ),
        Draft(
            "gan_discriminator",
            "sigmoid",
            "the attribute ignored: sigmoid in the hidden layer",
            inputs("gan_discriminator sigmoid", 2, 5, 3, *both),
            attributes={"activation": "sigmoid"},
        ),
        Draft(
            "gan_discriminator",
            "one",
            "one example, one hidden unit: a squeeze of all axes of length 1 gives a scalar",
            inputs("gan_discriminator one", 1, 3, 1, *both),
        ),
        Draft(
            "gan_discriminator",
            "tails",
            "the logit is the sample, v is σ of it: clamped at ±18, or the logit taken back from v",
            bare(*LOGITS),
            ("isolated", "saturation"),
            attributes=linear,
            clauses=("gan.discriminator",),
        ),
        Draft(
            "gan_discriminator",
            "extremes",
            "a = ±1e4: v is 0 and 1, without overflow on the way, and a is returned as it is",
            bare(1e4, -1e4, 3e38, -3e38),
            ("isolated", "saturation"),
            attributes=linear,
        ),
        Draft(
            "gan_discriminator",
            "special",
            "a NaN in one sample makes its own v and a NaN and no other",
            special,
            ("special",),
        ),
        Draft(
            "gan_discriminator",
            "no-batch",
            "B = 0 gives (0,) twice",
            inputs("gan_discriminator no-batch", 0, 3, 4, *both),
            ("zero-length",),
        ),
        Draft(
            "gan_discriminator.vjp",
            "plain",
            "one of the two cotangents dropped, or dv taken for the logit's",
            inputs("gan_discriminator plain", 2, 3, 5),
        ),
        Draft(
            "gan_discriminator.vjp",
            "bias",
            "bias gradients averaged over the batch instead of summed",
            inputs("gan_discriminator bias", 3, 4, 2, *both),
        ),
        Draft(
            "gan_discriminator.vjp",
            "square",
            "dW_D1 transposed, silent on a square",
            inputs("gan_discriminator square", 2, 4, 4, "b_D2"),
            ("square",),
        ),
        Draft(
            "gan_discriminator.vjp",
            "tanh",
            "the rectifier's derivative for that of tanh",
            inputs("gan_discriminator tanh", 4, 2, 3, *both),
            attributes={"activation": "tanh"},
        ),
        Draft(
            "gan_discriminator.vjp",
            "tails",
            "da = 0: the gradient is σ(a) σ(-a), e^-|a| in both tails; v (1 - v) is 0 on the right",
            bare(*LOGITS, dv=ones(count), da=0 * ones(count)),
            ("isolated", "saturation"),
            attributes=linear,
            clauses=("gan.discriminator",),
        ),
        Draft(
            "gan_discriminator.vjp",
            "probability-of-the-fooled",
            "a = 20 … 35, dv = e^a: the probability's gradient is 1 to nine digits and more, and"
            " garbage from a rounded 1 - v",
            bare(
                20.0,
                25.0,
                35.0,
                dv=array(485165195.0, 72004899337.0, 1586013452313431.0),
                da=0 * ones(3),
            ),
            ("isolated", "saturation"),
            attributes=linear,
            clauses=("gan.discriminator",),
        ),
        Draft(
            "gan_discriminator.vjp",
            "logit-alone",
            "dv = 0, a = ±1e4: a gradient that reaches the logit as it is; through the probability"
            " it would be 0",
            bare(1e4, -1e4, 40.0, dv=0 * ones(3), da=array(0.75, -1.25, 0.5)),
            ("isolated", "saturation"),
            attributes=linear,
            clauses=("gan.logit",),
        ),
        Draft(
            "gan_discriminator.vjp",
            "no-batch",
            "B = 0: the gradients of weights and biases are zeros of full shape",
            inputs("gan_discriminator no-batch", 0, 3, 4, *both),
            ("zero-length",),
        ),
    ]


def values() -> list[Draft]:
    """gan_value and its VJP."""

    def inputs(v_real: Array, v_fake: Array, **more: Array) -> Inputs:
        return {"v_real": v_real, "v_fake": v_fake, **more}

    plain = inputs(even("gan_value plain real", 5), even("gan_value plain fake", 5))
    unequal = inputs(even("gan_value unequal real", 2), even("gan_value unequal fake", 7))
    one = np.array(1.0)
    return [
        Draft(
            "gan_value",
            "plain",
            "sums for means, the tags of real and fake exchanged, or log v for log(1 - v)",
            plain,
        ),
        Draft(
            "gan_value",
            "unequal",
            "M = 2 and F = 7: one mean over all nine, or both sums over the same count",
            unequal,
        ),
        Draft(
            "gan_value",
            "hand",
            "D = 1/2 everywhere: V = -log 4; -2 with the binary logarithm, -log 2 where the two"
            " means are averaged",
            inputs(np.full(2, 0.5), np.full(3, 0.5)),
            ("hand",),
        ),
        Draft(
            "gan_value",
            "small-fake",
            "v_real = 1: V is -v_fake = -1e-20 and -3e-9, where log(1 - v) is 0",
            inputs(array(1.0), array(1e-20)),
            ("saturation",),
        ),
        Draft(
            "gan_value",
            "small-fakes",
            "the same over a batch, v from 1e-12 to 1e-3: the mean shows the largest alone,"
            " to its last digits",
            inputs(array(1.0, 1.0), array(1e-12, 3e-9, 2e-5, 1e-3)),
            ("saturation",),
        ),
        Draft(
            "gan_value",
            "no-clip",
            "v_real = 1e-12: log is -27.6, and -16.1 where probabilities are clipped to 1e-7",
            inputs(array(1e-12, 0.5), array(0.25, 0.125, 0.5)),
            ("saturation",),
        ),
        Draft(
            "gan_value",
            "no-clamp",
            "v_real = 1e-44: the logarithm is -101, and -100 where it is clamped; infinite where a"
            " subnormal is flushed to 0",
            inputs(array(1e-44), array(0.5, 0.75)),
            ("saturation", "subnormal"),
        ),
        Draft(
            "gan_value",
            "no-clamp-f64",
            "v_real = 1e-300 and 1e-60 in one batch: logarithms of -691 and -138, where one clamp"
            " or clip makes them equal",
            inputs(array(1e-300, 1e-60, 0.5), array(0.25, 0.5)),
            ("saturation",),
            dtypes=("float64",),
        ),
        Draft(
            "gan_value",
            "fooled-one",
            "one fake at 1 - 2^-24: -16.6 and nothing beside it; clipped to 1 - 1e-7, or with 1e-8"
            " added, it is another number",
            inputs(array(1.0), array(1 - 2.0**-24)),
            ("saturation",),
        ),
        Draft(
            "gan_value",
            "fooled",
            "v_fake = 1 - 2^-24: 1 - v is exact, log is -16.6; 1e-7 added to it shows",
            inputs(array(0.5, 0.625), array(1 - 2.0**-24, 1 - 2.0**-20, 0.5)),
            ("saturation",),
        ),
        Draft(
            "gan_value",
            "special",
            "a NaN among the fakes is lost by a maximum or a clip",
            inputs(array(0.5, 0.25), array(0.5, NAN)),
            ("special",),
        ),
        Draft(
            "gan_value.vjp",
            "plain",
            "signs, or the mean's 1/M and 1/F forgotten",
            plain,
        ),
        Draft(
            "gan_value.vjp",
            "unequal",
            "1 / (M + F) for 1/M and 1/F, or the two exchanged",
            unequal,
        ),
        Draft(
            "gan_value.vjp",
            "hand",
            "v = 1/4 and dV = 1: 1 / (2 · 1/4) = 2 for the real, -1 / (3/4) = -4/3 for the fake",
            inputs(np.full(2, 0.25), array(0.25), dV=one),
            ("hand",),
        ),
        Draft(
            "gan_value.vjp",
            "no-clip",
            "v_real = 1e-12 and v_fake next to 1: gradients of 1e12 and 2^24, clipped at 1e7",
            inputs(array(1e-12, 0.5), array(1 - 2.0**-24, 0.25, 0.5), dV=one),
            ("saturation",),
        ),
        Draft(
            "gan_value.vjp",
            "one",
            "batches of one: a mean that squeezes the axis away gives a scalar",
            inputs(array(0.3), array(0.9)),
        ),
    ]


def logit_losses() -> list[Draft]:
    """gan_value_logits and gan_discriminator_loss, of one formula and opposite sign."""
    found = []
    for name, letter, cotangent in (
        ("gan_value_logits", "V", "dV"),
        ("gan_discriminator_loss", "L_D", "dL_D"),
    ):

        def inputs(a_real: Array, a_fake: Array, **more: Array) -> Inputs:
            return {"a_real": a_real, "a_fake": a_fake, **more}

        def of_one(a_real: Array, a_fake: Array, given: str = cotangent) -> Inputs:
            return {"a_real": a_real, "a_fake": a_fake, given: np.array(1.0)}

        plain = inputs(
            draw(f"{name} plain real", 5, scale=4), draw(f"{name} plain fake", 5, scale=4)
        )
        unequal = inputs(
            draw(f"{name} unequal real", 2, scale=3), draw(f"{name} unequal fake", 7, scale=3)
        )
        grid = array(20.25, 22.5, 27.0, 31.75, 35.5)
        found += [
            Draft(
                name,
                "plain",
                f"the sign of {letter}, sums for means, or the tags of real and fake exchanged",
                plain,
            ),
            Draft(
                name,
                "unequal",
                "M = 2 and F = 7: one mean over all nine logits, as where both batches are put"
                " into one",
                unequal,
            ),
            Draft(
                name,
                "hand",
                f"a = 0 everywhere: |{letter}| = log 4; 2 with the binary logarithm, log 2 where"
                " the two means are averaged",
                inputs(np.zeros(2), np.zeros(3)),
                ("hand",),
            ),
            Draft(
                name,
                "sure-right",
                "a_real = 40 and a_fake = -45: e^-40 + e^-45, where log(σ(a)) of a rounded σ is 0",
                inputs(array(40.0), array(-45.0)),
                ("saturation",),
            ),
            Draft(
                name,
                "sure-right-batch",
                "logits of ±17 to ±36 of the right sign: log(1 - σ(a)) loses its last digits from"
                " the first on",
                inputs(array(17.0, 21.5, 36.0), array(-18.25, -33.0)),
                ("saturation",),
            ),
            Draft(
                name,
                "sure-wrong",
                "a_real = -200 and a_fake = 150: 350, where probabilities give infinity, a clamp"
                " at -100 gives 200 and a clip to 1e-7 gives 32",
                inputs(array(-200.0), array(150.0)),
                ("saturation",),
            ),
            Draft(
                name,
                "threshold",
                "wrong by 20 to 36: a softplus that is a from 20 on lacks e^-a: float64 shows it",
                inputs(-grid[:1], grid),
                ("saturation",),
            ),
            Draft(
                name,
                "threshold-real",
                "real examples wrong by 20.5 to 33: the threshold of the case before, on the other"
                " side",
                inputs(array(-20.5, -24.0, -33.0), array(21.25)),
                ("saturation",),
            ),
            Draft(
                name,
                "extremes",
                "logits of ±1e4 of both signs in one batch: e^a overflows to infinity",
                inputs(array(1e4, -1e4), array(1e4, -1e4, 5e3)),
                ("saturation",),
            ),
            Draft(
                name,
                "one-term",
                "a_fake = -1e4 adds exactly nothing: what is left is the real term, and the other"
                " way round it would be the fake one",
                inputs(array(0.5, -1.5, 2.25), array(-1e4)),
                ("isolated", "saturation"),
            ),
            Draft(
                name,
                "many",
                "a batch of 700 on one side: a mean in half precision, or a running sum in it",
                inputs(draw(f"{name} many real", 700, scale=6), array(0.25, -1.0)),
            ),
            Draft(
                name,
                "special",
                "a NaN logit is lost by max(a, 0) or by a comparison",
                inputs(array(NAN, 1.0), array(0.5, 0.25, -1.0)),
                ("special",),
            ),
            Draft(
                name,
                "infinite",
                "a_real = +inf and a_fake = -inf add 0, where inf - inf is NaN",
                inputs(array(INF, 0.75), array(-INF)),
                ("special",),
            ),
            Draft(
                f"{name}.vjp",
                "plain",
                "the sign of a batch, σ(a) for σ(-a), or the fakes' tag flipped",
                plain,
            ),
            Draft(
                f"{name}.vjp",
                "unequal",
                "1 / (M + F) for 1/M and 1/F, or the two exchanged",
                unequal,
            ),
            Draft(
                f"{name}.vjp",
                "sure-right",
                "a_real from 17 to 80, a_fake from -17 to -80: e^-|a|, where σ(a) - 1 is 0",
                of_one(array(17.0, 30.0, 45.0, 80.0), array(-17.0, -36.5, -80.0)),
                ("saturation",),
            ),
            Draft(
                f"{name}.vjp",
                "sure-wrong",
                "logits of 30 to 1e4 of the wrong sign: gradients of size 1/M and 1/F, where"
                " probabilities give 0 or NaN",
                of_one(array(-30.0, -150.0, -1e4), array(40.0, 1e4)),
                ("saturation",),
            ),
            Draft(
                f"{name}.vjp",
                "hand",
                "a = 0 and a cotangent of 1: 1/2 over M = 2, 1/2 over F = 1",
                of_one(np.zeros(2), np.zeros(1)),
                ("hand",),
            ),
        ]
    return found


def generator_losses() -> list[Draft]:
    """gan_saturating_loss, gan_non_saturating_loss and their VJPs."""
    found = []
    for name, other in (
        ("gan_saturating_loss", "-log D for log(1 - D)"),
        ("gan_non_saturating_loss", "log(1 - D) for -log D"),
    ):
        saturating = name == "gan_saturating_loss"
        fakes = {"a_fake": draw(f"{name} plain", 6, scale=4)}

        def of_one(*a: float) -> Inputs:
            return {"a_fake": array(*a), "dL_G": np.array(1.0)}

        found += [
            Draft(name, "plain", f"{other}, the sign, or the sum for the mean", fakes),
            Draft(
                name,
                "hand",
                "a = 0: the two losses are -log 2 and log 2; a sign shows, and base 2",
                {"a_fake": np.zeros(3)},
                ("hand",),
            ),
            Draft(
                name,
                "rejected",
                "one fake at a = -50: log(1 - D) is -e^-50 and not 0, -log D is 50",
                {"a_fake": array(-50.0)},
                ("saturation",),
            ),
            Draft(
                name,
                "rejected-batch",
                "early training, a from -20 to -300: probabilities give 0, a clamp at -100 or a"
                " clip to 1e-7 another number",
                {"a_fake": array(-20.0, -35.5, -90.0, -300.0)},
                ("saturation",),
            ),
            Draft(
                name,
                "fooled",
                "a from 18 to 60: -log D is e^-a and not 0, log(1 - D) is -a and not -infinity",
                {"a_fake": array(18.0, 37.5, 60.0)},
                ("saturation",),
            ),
            Draft(
                name,
                "fooled-one",
                "one fake at a = 45: -log D is e^-45 and not 0, log(1 - D) is -45",
                {"a_fake": array(45.0)},
                ("saturation",),
            ),
            Draft(
                name,
                "extremes",
                "a = ±1e4: e^a overflows to infinity",
                {"a_fake": array(1e4, -1e4, 0.5)},
                ("saturation",),
            ),
            Draft(
                name,
                "special",
                "a NaN logit is lost by max(a, 0) or by a comparison",
                {"a_fake": array(0.5, NAN, -1.0)},
                ("special",),
            ),
            Draft(f"{name}.vjp", "plain", f"{other}, the sign, or 1/F forgotten", fakes),
            Draft(
                f"{name}.vjp",
                "hand",
                "a = 0, F = 4 and a cotangent of 1: -1/8, the same for both losses",
                of_one(0.0, 0.0, 0.0, 0.0),
                ("hand",),
            ),
            Draft(
                f"{name}.vjp",
                "rejected",
                "early training, a from -17 to -103: "
                + (
                    "-e^a / F, which is not 0 and shows that it is the saturating loss"
                    if saturating
                    else "-1/F all along; through a rounded probability it fades and then is 0"
                ),
                of_one(-17.0, -28.0, -30.0, -60.0, -103.0),
                ("saturation",),
            ),
            Draft(
                f"{name}.vjp",
                "fooled",
                "a from 17 to 103: "
                + (
                    "-1/F, where probabilities give 0/0"
                    if saturating
                    else "-e^-a / F, where σ(a) - 1 is 0"
                ),
                of_one(17.0, 30.0, 60.0, 103.0),
                ("saturation",),
            ),
            Draft(
                f"{name}.vjp",
                "extremes",
                "a = ±1e4: the gradients are exactly 0 and -1/F, never NaN",
                of_one(1e4, -1e4),
                ("saturation",),
            ),
        ]
    return found


def saturation() -> list[Draft]:
    """gan_logit_gradients."""
    name = "gan_logit_gradients"
    return [
        Draft(
            name,
            "plain",
            "the two gradients exchanged, a sign, or v (1 - v) multiplied in: three axes of"
            " different sizes",
            {"a": draw("gan_logit_gradients plain", 2, 3, 4, scale=5)},
        ),
        Draft(
            name,
            "hand",
            "-1/2 each at 0; -3/4 and -1/4 at log 3, to the rounding of log 3",
            {"a": array(0.0, -0.0, 1.0986122886681098)},
            ("hand",),
        ),
        Draft(
            name,
            "rejected",
            "a from -16.7 to -103: the saturating gradient is -e^a, and 0 or a constant where σ"
            " is clamped; the other is -1",
            {"a": array(-16.7131, -18.5, -28.0, -30.0, -60.0, -87.0, -95.75, -103.0)},
            ("saturation", "subnormal"),
        ),
        Draft(
            name,
            "rejected-f64",
            "a from -200 to -745: the saturating gradient has not yet vanished in float64",
            {"a": array(-200.0, -500.0, -700.0, -740.0, -745.0)},
            ("saturation", "subnormal"),
            dtypes=("float64",),
        ),
        Draft(
            name,
            "fooled",
            "a from 16.7 to 103: the non-saturating gradient is -e^-a, where σ(a) - 1 is 0",
            {"a": array(16.7131, 18.5, 30.0, 36.5, 45.0, 60.0, 87.0, 103.0)},
            ("saturation", "subnormal"),
        ),
        Draft(
            name,
            "extremes",
            "a = ±1e4 and ±3e38: exactly 0 and -1, without overflow on the way",
            {"a": array(1e4, -1e4, 3e38, -3e38)},
            ("saturation",),
        ),
        Draft(
            name,
            "special",
            "infinities give 0 and -1, a NaN gives NaN twice",
            {"a": array(NAN, INF, -INF, 0.5)},
            ("special",),
        ),
        Draft(
            name,
            "empty",
            "no logits: two empty results of the same shape",
            {"a": np.zeros((0, 2))},
            ("zero-length",),
        ),
    ]


def masses(key: str, S: int) -> Array:
    """S masses that add up to 1 as nearly as decimals do, drawn."""
    raw = even(key, S)
    return np.array([float(f"{value:.6f}") for value in (raw / raw.sum()).tolist()])


def optimal() -> list[Draft]:
    """gan_optimal_discriminator and its VJP."""
    name = "gan_optimal_discriminator"

    def inputs(p_data: Array, p_g: Array, **more: Array) -> Inputs:
        return {"p_data": p_data, "p_g": p_g, **more}

    plain = inputs(masses(f"{name} plain data", 5), masses(f"{name} plain g", 5))
    holes = inputs(array(0.25, 0.0, 0.75, 0.0, 0.0), array(0.5, 0.25, 0.0, 0.25, 0.0))
    return [
        Draft(name, "plain", "p_g in the numerator, or a quotient p_data / p_g", plain),
        Draft(
            name,
            "hand",
            "equal masses give 1/2, three to one 3/4, one to seven 1/8",
            inputs(array(0.5, 0.375, 0.125), array(0.5, 0.125, 0.875)),
            ("hand",),
        ),
        Draft(
            name,
            "holes",
            "a mass of 0 on either side gives 0 or 1 exactly, on both sides 1/2, where 0/0 is NaN"
            " and 0 / (0 + 1e-12) is 0",
            holes,
            ("hand",),
        ),
        Draft(
            name,
            "nothing",
            "no mass at all, -0.0 included: 1/2, where 0/0 is NaN, and 0 or 1 is a guess",
            inputs(array(0.0, -0.0, 0.0), array(0.0, 0.0, -0.0)),
            ("signed-zero",),
        ),
        Draft(
            name,
            "tiny",
            "masses of 1e-30 and 1e-12: 1e-8 added to the denominator shows",
            inputs(array(1e-30, 3e-12, 1e-30, 0.5), array(3e-30, 1e-12, 0.5, 1e-30)),
        ),
        Draft(
            name,
            "subnormal",
            "subnormal masses, flushed to 0 together, give 0/0",
            inputs(array(1e-40, 3e-42, 0.0), array(3e-40, 0.0, 1e-41)),
            ("subnormal",),
        ),
        Draft(
            name,
            "densities",
            "densities above 1, of any integral: nothing is normalised",
            inputs(array(3.5, 120.0, 0.25), array(7.25, 40.0, 2.5)),
        ),
        Draft(
            name,
            "special",
            "a NaN at one point is NaN there alone",
            inputs(array(0.5, NAN, 0.25, 0.25), array(NAN, 0.5, 0.25, 0.0)),
            ("special",),
        ),
        Draft(
            name,
            "empty",
            "no points: an empty result, and no division",
            inputs(np.zeros(0), np.zeros(0)),
            ("zero-length",),
        ),
        Draft(f"{name}.vjp", "plain", "signs, or the other's mass in the numerator", plain),
        Draft(
            f"{name}.vjp",
            "hand",
            "1/2 and 1/2 give ±1/2, 3/4 and 1/4 give 1/4 and -3/4",
            inputs(array(0.5, 0.75), array(0.5, 0.25), dD=np.ones(2)),
            ("hand",),
        ),
        Draft(
            f"{name}.vjp",
            "holes",
            "0 on one side has a gradient, 0 on both has none, where 0/0 is NaN",
            holes,
            ("kink",),
        ),
        Draft(
            f"{name}.vjp",
            "tiny",
            "masses near 1e-30: their squares underflow in float32, the gradient is about 1e29",
            inputs(array(1e-30, 3e-28), array(3e-30, 1e-28)),
        ),
        Draft(
            f"{name}.vjp",
            "tiny-f64",
            "masses near 1e-200: their squares underflow in float64",
            inputs(array(1e-200, 3e-180), array(3e-200, 1e-180)),
            dtypes=("float64",),
        ),
    ]


def divergences() -> list[Draft]:
    """gan_jensen_shannon, gan_criterion and their VJPs."""
    found = []
    for name, equal, disjoint, cotangent in (
        ("gan_jensen_shannon", "0", "log 2", "dJSD"),
        ("gan_criterion", "-log 4", "0", "dC"),
    ):

        def inputs(p_data: Array, p_g: Array) -> Inputs:
            return {"p_data": p_data, "p_g": p_g}

        def of_one(p_data: Array, p_g: Array, given: str = cotangent) -> Inputs:
            return {**inputs(p_data, p_g), given: np.array(1.0)}

        plain = inputs(masses(f"{name} plain data", 6), masses(f"{name} plain g", 6))
        eighths = array(0.125, 0.5, 0.25, 0.125)
        holes = inputs(array(0.25, 0.0, 0.75, 0.0), array(0.0, 0.5, 0.5, 0.0))
        near = array(0.3, 0.2, 0.1, 0.4)
        found += [
            Draft(
                name,
                "plain",
                "one of the two halves alone, KL(p || q) for the divergence from the mean, or p_g"
                " and p_data mixed up in a logarithm",
                plain,
            ),
            Draft(
                name,
                "asymmetric",
                "KL(p || m) twice: p_data lies within one point, p_g is spread out",
                inputs(array(0.96875, 0.015625, 0.015625), array(0.25, 0.25, 0.5)),
            ),
            Draft(
                name,
                "equal",
                f"equal distributions: {equal}, to the last digit; base 2 gives another number",
                inputs(eighths, eighths),
                ("hand",),
            ),
            Draft(
                name,
                "disjoint",
                f"disjoint distributions: {disjoint}; 0 log 0 is NaN where nothing is left out",
                inputs(array(0.5, 0.5, 0.0, 0.0), array(0.0, 0.0, 0.25, 0.75)),
                ("hand",),
            ),
            Draft(
                name,
                "holes",
                "a mass of 0 on the one side, on the other, and on both, beside one on neither",
                holes,
            ),
            Draft(
                name,
                "hand",
                "one point against two: by hand JSD = 3/4 log(4/3), C = 3/2 log(4/3) - log 4 of"
                " p = (1, 0), q = (1/2, 1/2)",
                inputs(array(1.0, 0.0), array(0.5, 0.5)),
                ("hand",),
            ),
            Draft(
                name,
                "near",
                "p_g within 1e-3 of p_data: the terms cancel to the square of that; half"
                " precision in a logarithm shows",
                inputs(near, near + array(0.001, -0.0005, -0.001, 0.0005)),
                ("cancellation",),
            ),
            Draft(
                name,
                "tiny",
                "masses of 1e-12 and 1e-30 beside large ones: 1e-8 added inside of a logarithm",
                inputs(array(1e-30, 0.75, 1e-12, 0.25), array(0.5, 1e-30, 3e-12, 0.5)),
            ),
            Draft(
                name,
                "tiny-alone",
                "nothing but masses of 1e-12, 1e-25: a 1e-8 anywhere decides the result",
                inputs(array(1e-12, 2e-25), array(3e-12, 1e-25)),
            ),
            Draft(
                name,
                "many",
                "311 points: a mean over the points for the sum",
                inputs(masses(f"{name} many data", 311), masses(f"{name} many g", 311)),
            ),
            Draft(
                name,
                "one",
                f"one point that holds all: {equal}",
                inputs(array(1.0), array(1.0)),
                ("hand",),
            ),
            Draft(
                name,
                "special",
                "a NaN mass is lost where 'p > 0' chooses what is summed",
                inputs(array(0.5, NAN), array(0.5, 0.5)),
                ("special",),
            ),
            Draft(f"{name}.vjp", "plain", "the logarithm's argument upside down, or + 1", plain),
            Draft(
                f"{name}.vjp",
                "equal",
                "equal distributions: "
                + ("0 everywhere" if cotangent == "dJSD" else "-log 2 everywhere")
                + ", where a forgotten part of the derivative leaves a constant",
                of_one(eighths, eighths),
                ("hand",),
            ),
            Draft(
                f"{name}.vjp",
                "tiny",
                "masses of 1e-12 and 1e-30: gradients of -28 and -69",
                of_one(array(1e-30, 0.75, 1e-12), array(0.5, 1e-30, 3e-12)),
            ),
            Draft(
                f"{name}.vjp",
                "holes",
                "a mass of 0 has gradient 0, where log 0 is -infinity and its product NaN",
                holes,
                ("kink",),
            ),
        ]
    return found


def theta(key: str, N: int, H: int, I: int, J: int, scale: float = 1.0) -> Inputs:
    """All parameters of both networks, drawn; D's last layer scaled."""
    D = theta_D(key, I, J, "b_D1", "b_D2")
    return {**theta_G(key, N, H, I, "b_G1", "b_G2"), **D, "W_D2": D["W_D2"] * scale}


# G(z) = 2 z and D's hidden unit is its input; nothing is decided yet: W_D2 = 0, a = 0, D = 1/2
UNDECIDED: Inputs = {
    "W_G1": np.array([[1.0]]),
    "W_G2": np.array([[2.0]]),
    "b_G1": array(0.0),
    "b_G2": array(0.0),
    "W_D1": np.array([[1.0]]),
    "W_D2": np.array([[0.0]]),
    "b_D1": array(0.0),
    "b_D2": array(0.0),
}


def column(*values: float) -> Array:
    """Numbers as a batch of examples with one feature."""
    return array(*values).reshape(-1, 1)


def sure(key: str, N: int, H: int, I: int, J: int, logit: float) -> Inputs:
    """D answers about `logit` for any sample; b_G2 = 0, so that a tiny step shows in it."""
    parameters = theta(key, N, H, I, J)
    parameters["W_D2"] = parameters["W_D2"] * 0.125
    return {**parameters, "b_D2": array(logit), "b_G2": np.zeros(I)}


def discriminator_steps() -> list[Draft]:
    """gan_discriminator_step."""
    name = "gan_discriminator_step"

    def inputs(key: str, M: int, F: int, N: int, H: int, I: int, J: int) -> Inputs:
        return {
            "x": draw(f"{key} x", M, I, scale=2),
            "z": draw(f"{key} z", F, N),
            **theta(key, N, H, I, J),
        }

    tanh = {"activation": "tanh", "output_activation": "tanh"}
    saturated = {**inputs(f"{name} sure", 2, 4, 3, 5, 2, 6), **sure(f"{name} sure", 3, 5, 2, 6, 30)}
    # the step in b_D1 is about 1, that of the real examples alone e^-30
    saturated["b_D1"] = np.zeros(6)
    return [
        Draft(
            name,
            "plain",
            "descent for ascent, the fakes' tag flipped, a parameter forgotten",
            inputs(f"{name} plain", 4, 4, 3, 6, 2, 5),
        ),
        Draft(
            name,
            "unequal",
            "M = 5 and F = 2: both batches in one mean, so that one of them weighs too much",
            inputs(f"{name} unequal", 5, 2, 4, 3, 6, 7),
            attributes={"activation": "tanh"},
        ),
        Draft(
            name,
            "square",
            "all sizes 3: a transposed gradient keeps its shape",
            inputs(f"{name} square", 3, 3, 3, 3, 3, 3),
            ("square",),
            {"activation": "tanh"},
        ),
        Draft(
            name,
            "hand",
            "by hand: D = 1/2, so W_D2 moves by eta (1/2 · 4 - 1/2 · 2) = 1/2 and nothing else;"
            " a descent gives -1/2",
            {"x": column(4.0), "z": column(1.0), **UNDECIDED},
            ("hand",),
            {"activation": "identity", "eta_D": 0.5},
        ),
        Draft(
            name,
            "equilibrium",
            "fakes equal to the data and D = 1/2: nothing moves, which wrong weights of the two"
            " batches or a flipped tag would break",
            {"x": column(2.0, -1.0, 3.0), "z": column(1.0, -0.5, 1.5), **UNDECIDED},
            ("hand",),
            {"activation": "identity"},
        ),
        Draft(
            name,
            "sequence-of-layers",
            "a large step: W_D1 moved with the new W_D2 for the old one",
            inputs(f"{name} sequence-of-layers", 3, 2, 2, 4, 3, 5),
            attributes={"activation": "tanh", "eta_D": 2.0},
        ),
        Draft(
            name,
            "output",
            "the generator's output activation left out, so that the fakes are others",
            inputs(f"{name} output", 3, 4, 2, 5, 4, 6),
            attributes=tanh,
        ),
        Draft(
            name,
            "sigmoid",
            "sigmoid units: the derivative of tanh in their place",
            inputs(f"{name} sigmoid", 2, 3, 4, 5, 3, 4),
            attributes={"activation": "sigmoid", "output_activation": "sigmoid"},
        ),
        Draft(
            name,
            "still",
            "eta_D = 0 leaves every parameter as it is, to the last bit: weight decay, momentum"
            " or a spectral norm shows",
            inputs(f"{name} still", 2, 3, 3, 4, 2, 5),
            ("isolated",),
            {"eta_D": 0.0},
        ),
        Draft(
            name,
            "fooled",
            "every logit near 30: the fakes' gradient is 1, where 1 - D of a rounded D divides"
            " by 0",
            saturated,
            ("saturation",),
            {"activation": "tanh"},
        ),
        Draft(
            name,
            "sure-right",
            "logits of 30 and -60, biases of 0: they move by e^-30 of the real example, where"
            " 1 - v is 0",
            {"x": column(30.0), "z": column(-30.0), **UNDECIDED, "W_D2": np.array([[1.0]])},
            ("saturation",),
            {"activation": "identity"},
        ),
        Draft(
            name,
            "sure-right-batch",
            "logits from 18 to 45, and below -80 for the fakes: 1 - v has no digit left, and the"
            " biases move by e^-18 and less",
            {
                "x": column(18.0, 25.0, 45.0),
                "z": column(-40.0, -45.0),
                **UNDECIDED,
                "W_D2": np.array([[1.0]]),
            },
            ("saturation",),
            {"activation": "identity"},
        ),
        Draft(
            name,
            "sure",
            "logits of 1e4 and -1e4, all right: nothing moves, and no NaN from 0 · log 0",
            {
                "x": column(50.0, 60.0),
                "z": column(-20.0, -30.0, -25.0),
                **UNDECIDED,
                "W_D2": np.array([[200.0]]),
            },
            ("saturation",),
            {"activation": "identity"},
        ),
    ]


def generator_steps() -> list[Draft]:
    """gan_generator_step."""
    name = "gan_generator_step"
    saturating = {"generator_loss": "saturating"}

    def inputs(key: str, B: int, N: int, H: int, I: int, J: int) -> Inputs:
        return {"z": draw(f"{key} z", B, N), **theta(key, N, H, I, J)}

    def rejected(key: str, logit: float) -> Inputs:
        return {"z": draw(f"{key} z", 3, 2), **sure(key, 2, 4, 3, 5, logit)}

    hand = {"z": column(1.0), **UNDECIDED, "W_D2": np.array([[1.0]]), "b_D2": array(-2.0)}
    return [
        Draft(
            name,
            "plain",
            "ascent for descent, the saturating loss, or the gradient stopped at the fake",
            inputs(f"{name} plain", 4, 3, 6, 2, 5),
        ),
        Draft(
            name,
            "saturating",
            "the non-saturating loss for the one that is asked for",
            inputs(f"{name} saturating", 4, 3, 5, 2, 6),
            attributes=saturating,
        ),
        Draft(
            name,
            "tanh",
            "tanh units and a tanh output: the output's derivative forgotten",
            inputs(f"{name} tanh", 2, 5, 3, 4, 6),
            attributes={"activation": "tanh", "output_activation": "tanh"},
        ),
        Draft(
            name,
            "sigmoid",
            "sigmoid units: the derivative of tanh in their place",
            inputs(f"{name} sigmoid", 3, 2, 5, 4, 3),
            attributes={
                "activation": "sigmoid",
                "output_activation": "sigmoid",
                "generator_loss": "saturating",
            },
        ),
        Draft(
            name,
            "square",
            "all sizes 3: a transposed gradient, or W_D1 for its transpose, keeps its shape",
            inputs(f"{name} square", 3, 3, 3, 3, 3),
            ("square",),
            {"activation": "tanh"},
        ),
        Draft(
            name,
            "hand",
            "by hand: a = 0, so both losses move W_G2 and b_G2 by eta/2 and W_G1 and b_G1 by eta;"
            " an ascent moves them back",
            hand,
            ("hand",),
            {"activation": "identity", "eta_G": 0.5},
        ),
        Draft(
            name,
            "one-layer-at-a-time",
            "a large step: W_G1 moved with the new W_G2 for the old one",
            inputs(f"{name} one-layer-at-a-time", 2, 3, 4, 5, 3),
            attributes={"activation": "tanh", "eta_G": 4.0},
        ),
        Draft(
            name,
            "rejected",
            "early training, logits near -30: b_G2 moves from 0 by the full gradient; from"
            " probabilities it fades, with the saturating loss it is e^-30 of it",
            rejected(f"{name} rejected", -30.0),
            ("saturation",),
            {"activation": "tanh"},
        ),
        Draft(
            name,
            "rejected-saturating",
            "logits near -30: b_G2 moves from 0 by about e^-30, the deck's 'iteration cannot be"
            " performed', and not by 0 or by the full gradient",
            rejected(f"{name} rejected-saturating", -30.0),
            ("saturation",),
            {"activation": "tanh", **saturating},
        ),
        Draft(
            name,
            "fooled",
            "logits near 40: b_G2 moves by about e^-40, where σ(a) - 1 is 0",
            rejected(f"{name} fooled", 40.0),
            ("saturation",),
            {"activation": "tanh"},
        ),
        Draft(
            name,
            "fooled-less",
            "logits near 19: σ(a) - 1 is one unit in the last place of float32, or none",
            rejected(f"{name} fooled-less", 19.0),
            ("saturation",),
            {"activation": "tanh"},
        ),
        Draft(
            name,
            "still",
            "eta_G = 0 leaves every parameter as it is, to the last bit",
            inputs(f"{name} still", 2, 3, 4, 2, 5),
            ("isolated",),
            {"eta_G": 0.0},
        ),
        Draft(
            name,
            "no-batch",
            "B = 0: nothing moves, and no NaN from 0/0",
            inputs(f"{name} no-batch", 0, 3, 4, 2, 5),
            ("zero-length",),
        ),
    ]


def iterations() -> list[Draft]:
    """gan_step."""
    name = "gan_step"

    def inputs(key: str, K: int, M: int, F: int, B: int, N: int, H: int, I: int, J: int) -> Inputs:
        return {
            "X": draw(f"{key} X", K, M, I, scale=2),
            "Z": draw(f"{key} Z", K, F, N),
            "z": draw(f"{key} z", B, N),
            **theta(key, N, H, I, J),
        }

    smooth = {"activation": "tanh"}
    return [
        Draft(
            name,
            "plain",
            "K = 1, Goodfellow's choice: the generator's step against the old discriminator, or"
            " taken before it",
            inputs(f"{name} plain", 1, 4, 3, 2, 3, 6, 2, 5),
        ),
        Draft(
            name,
            "three",
            "K = 3: one ascent only, the first batch used each time, or every ascent from the old"
            " discriminator",
            inputs(f"{name} three", 3, 4, 2, 5, 4, 6, 2, 7),
            attributes={**smooth, "eta_D": 0.5, "eta_G": 0.25},
        ),
        Draft(
            name,
            "square",
            "all sizes 3: batches taken from another axis than the first keep their shape",
            inputs(f"{name} square", 3, 3, 3, 3, 3, 3, 3, 3),
            ("square",),
            {**smooth, "eta_D": 0.5},
        ),
        Draft(
            name,
            "rates",
            "two rates far apart: one used for both networks, or the two exchanged",
            inputs(f"{name} rates", 2, 3, 3, 4, 2, 5, 3, 4),
            attributes={**smooth, "eta_D": 0.03125, "eta_G": 1.5},
        ),
        Draft(
            name,
            "saturating",
            "algorithm 1 as it is printed, with log(1 - D): the attribute not handed on",
            inputs(f"{name} saturating", 2, 3, 4, 5, 2, 6, 3, 4),
            attributes={**smooth, "generator_loss": "saturating"},
        ),
        Draft(
            name,
            "saturating-one",
            "K = 1 and rectifiers, as it is printed: the non-saturating loss in its place",
            inputs(f"{name} saturating-one", 1, 5, 4, 3, 2, 4, 3, 6),
            attributes={"generator_loss": "saturating", "eta_G": 0.5},
        ),
        Draft(
            name,
            "output",
            "sigmoid outputs and rectifiers, as in the paper: the attributes not handed on to"
            " every part",
            inputs(f"{name} output", 2, 4, 3, 2, 3, 5, 4, 6),
            attributes={"output_activation": "sigmoid"},
        ),
        Draft(
            name,
            "generator-still",
            "eta_G = 0: three ascents leave the generator as it is, to the last bit",
            inputs(f"{name} generator-still", 3, 4, 3, 2, 2, 4, 3, 5),
            ("isolated",),
            {**smooth, "eta_D": 1.0, "eta_G": 0.0},
        ),
        Draft(
            name,
            "discriminator-still",
            "eta_D = 0: the generator's descent leaves the discriminator as it is, to the last bit",
            inputs(f"{name} discriminator-still", 2, 4, 3, 5, 2, 4, 3, 6),
            ("isolated",),
            {**smooth, "eta_D": 0.0, "eta_G": 1.0},
        ),
        Draft(
            name,
            "no-ascent",
            "K = 0: the discriminator as it is, and the generator descends all the same",
            inputs(f"{name} no-ascent", 0, 4, 3, 2, 3, 5, 2, 6),
            ("zero-length",),
            smooth,
        ),
        Draft(
            name,
            "hand",
            "by hand: one ascent makes W_D2 = 1/2 and a = 1/2 · 2 = 1 for the fake, so the"
            " descent is -σ(-1) along 1/2; against the old W_D2 = 0 the generator does not move",
            {
                "X": column(4.0).reshape(1, 1, 1),
                "Z": column(1.0).reshape(1, 1, 1),
                "z": column(1.0),
                **UNDECIDED,
            },
            ("hand",),
            {"activation": "identity", "eta_D": 0.5, "eta_G": 1.0},
        ),
        Draft(
            name,
            "long",
            "K = 12 ascents: a state that is kept in lower precision between them",
            inputs(f"{name} long", 12, 2, 2, 2, 2, 3, 2, 3),
            ("long",),
            {**smooth, "eta_D": 0.25},
        ),
    ]
