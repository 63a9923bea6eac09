"""Wrong primitives."""

from nnspec.conformance.mutants import Mutant, mutant

SIGMOID = "np.where(positive, 1, e) / (1 + e)"
SOFTMAX = "e / e.sum(axis=axis, keepdims=True)"
SHIFT = "shift = nominal(x).max(axis=axis, keepdims=True).astype(x.dtype)"


def mutants() -> list[Mutant]:
    """All mutants of the topic."""
    return [*functions(), *softmax(), *layers(), *equivalent()]


def functions() -> list[Mutant]:
    """Functions of one number."""
    return [
        mutant(
            "primitives.sigmoid",
            "sigmoid_naive",
            "wrote e^x / (1 + e^x)",
            "sigmoid",
            (SIGMOID, "np.exp(x) / (1 + np.exp(x))"),
        ),
        mutant(
            "primitives.sigmoid",
            "sigmoid_by_tanh",
            "wrote (1 + tanh(x / 2)) / 2",
            "sigmoid",
            (SIGMOID, "(1 + np.tanh(x / 2)) / 2"),
        ),
        mutant(
            "primitives.sigmoid",
            "sigmoid_clamped",
            "clamped x to ±18",
            "sigmoid",
            ("positive = nominal(x) >= 0", "x = np.clip(x, -18, 18); positive = x >= 0"),
        ),
        mutant(
            "primitives.sigmoid",
            "sigmoid_complement",
            "wrote 1 - σ(-x)",
            "sigmoid",
            (SIGMOID, "1 - np.where(positive, e, 1) / (1 + e)"),
        ),
        mutant(
            "primitives.sigmoid",
            "sigmoid_exp_1e4",
            "used an exponential good to 1e-4",
            "sigmoid",
            ("e = np.exp(", "e = wrong.exp_1e4("),
        ),
        mutant(
            "primitives.sigmoid",
            "sigmoid_exp_1e6",
            "used an exponential good to 1e-6",
            "sigmoid",
            ("e = np.exp(", "e = wrong.exp_1e6("),
        ),
        mutant(
            "primitives.sigmoid",
            "sigmoid_hard",
            "used the hard sigmoid",
            "sigmoid",
            (SIGMOID, "np.clip(x / 6 + 0.5, 0, 1)"),
        ),
        mutant(
            "primitives.sigmoid",
            "sigmoid_half",
            "computed in float16",
            "sigmoid",
            (SIGMOID, "wrong.half(np.where(positive, 1, e) / (1 + e))"),
        ),
        mutant(
            "primitives.sigmoid",
            "sigmoid_vjp_tanh",
            "used 1 - y²",
            "sigmoid_vjp",
            ("dy * y * (1 - y)", "dy * (1 - y * y)"),
        ),
        mutant(
            "primitives.sigmoid",
            "sigmoid_vjp_no_dy",
            "forgot dy",
            "sigmoid_vjp",
            ("dy * y * (1 - y)", "y * (1 - y)"),
        ),
        mutant(
            "primitives.tanh",
            "tanh_by_exponentials",
            "wrote the quotient of exponentials",
            "tanh",
            ("np.tanh(x)", "(np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))"),
        ),
        mutant(
            "primitives.tanh",
            "tanh_by_sigmoid",
            "wrote 2σ(2x) - 1",
            "tanh",
            ("np.tanh(x)", "2 * sigmoid(2 * x) - 1"),
        ),
        mutant(
            "primitives.tanh",
            "tanh_1e4",
            "used a tanh good to 1e-4",
            "tanh",
            ("np.tanh(x)", "wrong.tanh_1e4(x)"),
        ),
        mutant(
            "primitives.tanh",
            "tanh_1e6",
            "used a tanh good to 1e-6",
            "tanh",
            ("np.tanh(x)", "wrong.tanh_1e6(x)"),
        ),
        mutant(
            "primitives.tanh",
            "tanh_flushed",
            "flushed subnormal inputs to zero",
            "tanh",
            ("np.tanh(x)", "np.tanh(wrong.flush(wrong.brain(x) * 0 + wrong.flush(x)))"),
        ),
        mutant(
            "primitives.tanh",
            "tanh_vjp_at_x",
            "took the derivative 1 - x²",
            "tanh_vjp",
            ("1 - y * y", "1 - x * x"),
        ),
        mutant(
            "primitives.tanh",
            "tanh_vjp_sigmoid",
            "used y (1 - y)",
            "tanh_vjp",
            ("(1 - y * y)", "y * (1 - y)"),
        ),
        mutant(
            "primitives.softplus",
            "softplus_naive",
            "wrote log(1 + e^x)",
            "softplus",
            ("np.where(positive, x, 0) + np.log1p(e)", "np.log(1 + np.exp(x))"),
        ),
        mutant(
            "primitives.softplus",
            "softplus_plain_log",
            "used log(1 + e) for log1p(e)",
            "softplus",
            ("np.log1p(e)", "np.log(1 + e)"),
        ),
        mutant(
            "primitives.softplus",
            "softplus_threshold",
            "returned x above 10",
            "softplus",
            (
                "np.where(positive, x, 0) + np.log1p(e)",
                "np.where(x > 10, x, np.where(positive, x, 0) + np.log1p(e))",
            ),
        ),
        mutant(
            "primitives.softplus",
            "softplus_base_2",
            "took the logarithm to base 2",
            "softplus",
            ("np.log1p(e)", "np.log1p(e) / np.log(2).astype(x.dtype)"),
        ),
        mutant(
            "primitives.softplus",
            "softplus_vjp_clamped",
            "clamped x to ±18 in the gradient",
            "softplus_vjp",
            ("sigmoid(x)", "sigmoid(np.clip(x, -18, 18))"),
        ),
        mutant(
            "primitives.relu",
            "relu_leaky",
            "used a slope of 0.01 below 0",
            "relu",
            ("np.maximum(x, 0)", "np.where(x > 0, x, 0.01 * x).astype(x.dtype)"),
        ),
        mutant(
            "primitives.relu",
            "relu_6",
            "cut off at 6",
            "relu",
            ("np.maximum(x, 0)", "np.clip(x, 0, 6)"),
        ),
        mutant(
            "primitives.relu",
            "relu_swallows_nan",
            "let NaN through as 0",
            "relu",
            ("np.maximum(x, 0)", "np.where(x > 0, x, 0).astype(x.dtype)"),
        ),
        mutant(
            "primitives.relu",
            "relu_flushed",
            "flushed subnormals to zero",
            "relu",
            ("np.maximum(x, 0)", "np.maximum(wrong.flush(x), 0)"),
        ),
        mutant(
            "primitives.relu",
            "relu_vjp_at_0",
            "took 1 for the derivative at 0",
            "relu_vjp",
            ("np.where(x > 0", "np.where(x >= 0"),
        ),
    ]


def softmax() -> list[Mutant]:
    """softmax."""
    return [
        mutant(
            "primitives.softmax",
            "softmax_no_shift",
            "subtracted no maximum",
            "softmax",
            ("np.exp(x - shift)", "np.exp(x)"),
        ),
        mutant(
            "primitives.softmax",
            "softmax_global_shift",
            "subtracted the maximum of the whole array",
            "softmax",
            (SHIFT, "shift = np.full_like(x, x.max() if x.size else 0)"),
        ),
        mutant(
            "primitives.softmax",
            "softmax_axis_ignored",
            "used the last axis whatever `axis`",
            "softmax",
            (SHIFT, "axis = -1; " + SHIFT),
        ),
        mutant(
            "primitives.softmax",
            "softmax_axis_0",
            "used the first axis whatever `axis`",
            "softmax",
            (
                SHIFT,
                "axis = 0; shift = x.max(axis=0, keepdims=True, initial=-np.inf).astype(x.dtype)",
            ),
        ),
        mutant(
            "primitives.softmax",
            "softmax_all",
            "divided by the sum of the whole array",
            "softmax",
            (SOFTMAX, "e / e.sum()"),
        ),
        mutant(
            "primitives.softmax",
            "softmax_epsilon",
            "added 1e-6 to the denominator",
            "softmax",
            (SOFTMAX, "(e / (e.sum(axis=axis, keepdims=True) + 1e-6)).astype(x.dtype)"),
        ),
        mutant(
            "primitives.softmax",
            "softmax_half_sum",
            "summed in float16",
            "softmax",
            (SOFTMAX, "e / wrong.total_in_half(e, axis=axis, keepdims=True)"),
        ),
        mutant(
            "primitives.softmax",
            "softmax_exp_1e6",
            "used an exponential good to 1e-6",
            "softmax",
            ("np.exp(x - shift)", "wrong.exp_1e6(x - shift)"),
        ),
        mutant(
            "primitives.softmax",
            "softmax_base_2",
            "used powers of 2",
            "softmax",
            ("np.exp(x - shift)", "np.exp2(x - shift)"),
        ),
        mutant(
            "primitives.softmax",
            "softmax_nan_to_zero",
            "turned NaN weights into 0",
            "softmax",
            (SOFTMAX, "np.nan_to_num(e / e.sum(axis=axis, keepdims=True))"),
        ),
        mutant(
            "primitives.softmax",
            "softmax_vjp_diagonal",
            "kept the diagonal of the Jacobian alone",
            "softmax_vjp",
            ("y * (dy - (dy * y).sum(axis=axis, keepdims=True))", "y * (1 - y) * dy"),
        ),
        mutant(
            "primitives.softmax",
            "softmax_vjp_plain_sum",
            "summed dy without the weights y",
            "softmax_vjp",
            ("(dy * y).sum(", "dy.sum("),
        ),
    ]


def layers() -> list[Mutant]:
    """affine and mlp."""
    return [
        mutant(
            "primitives.affine",
            "affine_no_bias",
            "ignored the bias",
            "affine",
            ("return y if b is None else y + b", "return y"),
        ),
        mutant(
            "primitives.affine",
            "affine_bias_subtracted",
            "subtracted the bias",
            "affine",
            ("y + b", "y - b"),
        ),
        mutant(
            "primitives.affine",
            "affine_reversed_rows",
            "read the outputs in reverse",
            "affine",
            ("x @ W.T", "x @ W[::-1].T"),
        ),
        mutant(
            "primitives.affine",
            "affine_bfloat16",
            "multiplied in bfloat16",
            "affine",
            ("x @ W.T", "wrong.product_in_brain(x, W.T)"),
        ),
        mutant(
            "primitives.affine",
            "affine_half",
            "accumulated in float16",
            "affine",
            ("x @ W.T", "wrong.product_in_half(x, W.T)"),
        ),
        mutant(
            "primitives.affine",
            "affine_flushed",
            "flushed subnormal inputs to zero",
            "affine",
            ("x @ W.T", "wrong.flush(x) @ wrong.flush(W).T"),
        ),
        mutant(
            "primitives.affine",
            "affine_vjp_mean",
            "averaged dW over the batch",
            "affine_vjp",
            ('"dW": dy.T @ x', '"dW": dy.T @ x / max(len(x), 1)'),
        ),
        mutant(
            "primitives.affine",
            "affine_vjp_bias_mean",
            "averaged db over the batch",
            "affine_vjp",
            ("dy.sum(axis=0)", "dy.sum(axis=0) / max(len(x), 1)"),
        ),
        mutant(
            "primitives.mlp",
            "mlp_linear",
            "left the hidden activation out",
            "mlp",
            ("y_1 = f(affine(x, W_1, b=b_1))", "y_1 = affine(x, W_1, b=b_1)"),
        ),
        mutant(
            "primitives.mlp",
            "mlp_middle_linear",
            "left the second activation out",
            "mlp",
            ("y_2 = f(affine(y_1, W_2, b=b_2))", "y_2 = affine(y_1, W_2, b=b_2)"),
        ),
        mutant(
            "primitives.mlp",
            "mlp_output_hidden",
            "used the hidden activation on the output",
            "mlp",
            (
                "ACTIVATIONS[activation], ACTIVATIONS[output_activation]",
                "ACTIVATIONS[activation], ACTIVATIONS[activation]",
            ),
        ),
        mutant(
            "primitives.mlp",
            "mlp_no_output_activation",
            "ignored the output activation",
            "mlp",
            (
                "ACTIVATIONS[activation], ACTIVATIONS[output_activation]",
                "ACTIVATIONS[activation], identity",
            ),
        ),
        mutant(
            "primitives.mlp",
            "mlp_third_ignored",
            "ignored the third layer",
            "mlp",
            ("if W_3 is None:", "if True:"),
        ),
        mutant(
            "primitives.mlp",
            "mlp_vjp_derivative",
            "skipped the derivative in the hidden layers",
            "mlp_vjp",
            (
                "dy_l * DERIVATIVES[name](y[layer])",
                "dy_l * (DERIVATIVES[name](y[layer]) if layer == len(weights) else 1)",
            ),
        ),
        mutant(
            "primitives.mlp",
            "mlp_vjp_input",
            "took dW from the layer's own output",
            "mlp_vjp",
            (
                "affine_vjp(y[layer - 1], W,",
                "affine_vjp(y[0] if layer == 1 else 0 * y[layer - 1], W,",
            ),
        ),
    ]


def equivalent() -> list[Mutant]:
    """Rewrites that are right."""
    return [
        mutant(
            "primitives.softmax",
            "equal_shift",
            "shifted by the maximum plus one",
            "softmax",
            (SHIFT, SHIFT + " + 1"),
            equivalent=True,
        ),
    ]
