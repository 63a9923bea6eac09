"""Wrong primitives."""

from nnspec.conformance.mutants import Mutant, mutant

SIGMOID = "np.where(positive, 1, e) / (1 + e)"
SOFTMAX = "e / e.sum(axis=axis, keepdims=True)"
SHIFT = "shift = nominal(x).max(axis=axis, keepdims=True).astype(x.dtype)"


def mutants() -> list[Mutant]:
    """All mutants of the topic."""
    return [
        *functions(),
        *softmax(),
        *likelihood(),
        *normalisation(),
        *words(),
        *layers(),
        *equivalent(),
    ]


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


def likelihood() -> list[Mutant]:
    """log_softmax and cross_entropy."""
    f, g = "log_softmax", "log_softmax_vjp"
    c, d = "cross_entropy", "cross_entropy_vjp"
    line = "(x - shift) - np.log(e.sum(axis=axis, keepdims=True))"
    return [
        mutant(
            "primitives.log_softmax",
            "log_softmax_of_softmax",
            "took the logarithm of the softmax",
            f,
            (line, "np.log(softmax(x, axis=axis))"),
            mend="subtract the logarithm of the sum",
        ),
        mutant(
            "primitives.log_softmax",
            "log_softmax_epsilon",
            "added 1e-12 before the logarithm of the softmax",
            f,
            (line, "np.log(softmax(x, axis=axis) + 1e-12)"),
        ),
        mutant(
            "primitives.log_softmax",
            "log_softmax_no_shift",
            "subtracted no maximum",
            f,
            (line, "x - np.log(np.exp(x).sum(axis=axis, keepdims=True))"),
        ),
        mutant(
            "primitives.log_softmax",
            "log_softmax_axis_ignored",
            "used the last axis whatever `axis`",
            f,
            (SHIFT, "axis = -1; " + SHIFT),
        ),
        mutant(
            "primitives.log_softmax",
            "log_softmax_base_2",
            "took the logarithm to base 2",
            f,
            (line, f"({line}) / np.log(2).astype(x.dtype)"),
        ),
        mutant(
            "primitives.log_softmax",
            "log_softmax_half_sum",
            "summed in float16",
            f,
            ("e.sum(axis=axis, keepdims=True)", "wrong.total_in_half(e, axis=axis, keepdims=True)"),
        ),
        mutant(
            "primitives.log_softmax",
            "log_softmax_clamped",
            "clamped the result at -100",
            f,
            (line, f"np.maximum({line}, -100)"),
        ),
        mutant(
            "primitives.log_softmax",
            "log_softmax_vjp_softmax",
            "used the softmax's gradient",
            g,
            (
                "dy - softmax(x, axis=axis) * dy.sum(axis=axis, keepdims=True)",
                'softmax_vjp(x, dy, axis=axis)["dx"]',
            ),
        ),
        mutant(
            "primitives.log_softmax",
            "log_softmax_vjp_no_sum",
            "multiplied p with dy instead of its sum",
            g,
            (" * dy.sum(axis=axis, keepdims=True)", " * dy"),
        ),
        mutant(
            "primitives.log_softmax",
            "log_softmax_vjp_axis",
            "used the last axis in the gradient whatever `axis`",
            g,
            ("softmax(x, axis=axis) * dy.sum(axis=axis", "softmax(x, axis=-1) * dy.sum(axis=-1"),
        ),
        mutant(
            "primitives.cross_entropy",
            "cross_entropy_sum",
            "summed over the batch",
            c,
            ("-log_p.sum() / max(B, 1)", "-log_p.sum()"),
        ),
        mutant(
            "primitives.cross_entropy",
            "cross_entropy_sign",
            "forgot the minus",
            c,
            ("-log_p.sum()", "log_p.sum()"),
        ),
        mutant(
            "primitives.cross_entropy",
            "cross_entropy_base_2",
            "took the logarithm to base 2",
            c,
            ("-log_p.sum()", "-log_p.sum() / np.log(2).astype(logits.dtype)"),
        ),
        mutant(
            "primitives.cross_entropy",
            "cross_entropy_over_classes",
            "divided by the number of classes as well",
            c,
            ("max(B, 1)", "max(B, 1) / K"),
        ),
        mutant(
            "primitives.cross_entropy",
            "cross_entropy_empty",
            "gave NaN for a batch of 0",
            c,
            ("-log_p.sum() / max(B, 1)", "-log_p.sum() / logits.dtype.type(B)"),
        ),
        mutant(
            "primitives.cross_entropy",
            "cross_entropy_of_softmax",
            "took the logarithm of the softmax in the loss",
            c,
            ("log_softmax(logits)[", "np.log(softmax(logits))["),
        ),
        mutant(
            "primitives.cross_entropy",
            "cross_entropy_one_based",
            "counted the classes from 1",
            c,
            ("[np.arange(B), targets]", "[np.arange(B), targets - 1]"),
        ),
        mutant(
            "primitives.cross_entropy",
            "cross_entropy_half_sum",
            "summed the loss in float16",
            c,
            ("-log_p.sum()", "-wrong.total_in_half(log_p)"),
        ),
        mutant(
            "primitives.cross_entropy",
            "cross_entropy_vjp_sum",
            "forgot 1/B in the gradient",
            d,
            ("(dloss / max(B, 1))", "dloss"),
        ),
        mutant(
            "primitives.cross_entropy",
            "cross_entropy_vjp_sign",
            "took one-hot - p for p - one-hot",
            d,
            ("p - 1, p)", "1 - p, -p)"),
        ),
        mutant(
            "primitives.cross_entropy",
            "cross_entropy_vjp_no_cotangent",
            "forgot dloss",
            d,
            ("(dloss / max(B, 1))", "(1 / max(B, 1))"),
        ),
    ]


def normalisation() -> list[Mutant]:
    """layer_norm."""
    f, g, n = "layer_norm", "layer_norm_vjp", "normalised"
    clause = "primitives.layer_norm"
    var = "var = (centred * centred).sum(axis=-1, keepdims=True) / D"
    return [
        mutant(
            clause,
            "layer_norm_unbiased",
            "divided the squares by D - 1",
            n,
            (var, var.replace("/ D", "/ (D - 1)")),
            mend="use the biased variance, ddof = 0",
        ),
        mutant(
            clause,
            "layer_norm_eps_outside",
            "added eps after the root",
            n,
            ("np.sqrt(var + eps)", "np.sqrt(var) + eps"),
            mend="add eps to the variance, inside of the root",
        ),
        mutant(
            clause,
            "layer_norm_no_eps",
            "left eps out",
            n,
            ("np.sqrt(var + eps)", "np.sqrt(var)"),
        ),
        mutant(
            clause,
            "layer_norm_eps_fixed",
            "used an eps of 1e-5 whatever is given",
            n,
            ("np.sqrt(var + eps)", "np.sqrt(var + 1e-5)"),
        ),
        mutant(
            clause,
            "layer_norm_no_root",
            "divided by the variance",
            n,
            ("np.sqrt(var + eps)", "(var + eps)"),
        ),
        mutant(
            clause,
            "layer_norm_difference_of_squares",
            "computed the variance as E[x²] - E[x]², as Flax does",
            n,
            (
                var,
                "m = x.sum(axis=-1, keepdims=True) / D;"
                " var = np.maximum((x * x).sum(axis=-1, keepdims=True) / D - m * m, 0)",
            ),
            mend="subtract the mean before squaring",
        ),
        mutant(
            clause,
            "layer_norm_root_mean_square",
            "did not subtract the mean, as RMSNorm",
            n,
            ("centred = x - x.sum(axis=-1, keepdims=True) / D", "centred = x"),
        ),
        mutant(
            clause,
            "layer_norm_over_the_batch",
            "took mean and variance over the first axis, as batch normalisation",
            n,
            ("D = x.shape[-1]", "D = x.shape[0]"),
            ("x - x.sum(axis=-1,", "x - x.sum(axis=0,"),
            ("(centred * centred).sum(axis=-1,", "(centred * centred).sum(axis=0,"),
        ),
        mutant(
            clause,
            "layer_norm_all_axes",
            "took mean and variance over all axes but the first",
            n,
            ("D = x.shape[-1]", "D = x[0].size if x.size else 1"),
            ("x - x.sum(axis=-1,", "x - x.sum(axis=tuple(range(1, x.ndim)),"),
            (
                "(centred * centred).sum(axis=-1,",
                "(centred * centred).sum(axis=tuple(range(1, x.ndim)),",
            ),
        ),
        mutant(
            clause,
            "layer_norm_half_sum",
            "summed the squares in float16",
            n,
            (
                "(centred * centred).sum(axis=-1, keepdims=True)",
                "wrong.total_in_half(centred * centred, axis=-1, keepdims=True)",
            ),
        ),
        mutant(
            clause,
            "layer_norm_no_gamma",
            "ignored gamma",
            f,
            ("gamma * x_hat + beta", "x_hat + beta"),
        ),
        mutant(
            clause,
            "layer_norm_no_beta",
            "ignored beta",
            f,
            ("gamma * x_hat + beta", "gamma * x_hat"),
        ),
        mutant(
            clause,
            "layer_norm_gamma_plus_one",
            "multiplied with 1 + gamma",
            f,
            ("gamma * x_hat", "(1 + gamma) * x_hat"),
        ),
        mutant(
            clause,
            "layer_norm_vjp_no_mean",
            "took the mean for a constant in the gradient",
            g,
            ("(dh - mean)", "dh"),
        ),
        mutant(
            clause,
            "layer_norm_vjp_no_variance",
            "took the variance for a constant in the gradient",
            g,
            (" - x_hat * slope", ""),
        ),
        mutant(
            clause,
            "layer_norm_vjp_elementwise",
            "took mean and variance for constants in the gradient",
            g,
            ("((dh - mean) - x_hat * slope)", "dh"),
        ),
        mutant(
            clause,
            "layer_norm_vjp_no_gamma",
            "forgot gamma in the gradient of x",
            g,
            ("dh = dy * gamma", "dh = dy"),
        ),
        mutant(
            clause,
            "layer_norm_vjp_no_scale",
            "forgot 1 / √(var + eps)",
            g,
            ("scale * ((dh", "((dh"),
        ),
        mutant(
            clause,
            "layer_norm_vjp_first_axis",
            "summed the gradient of gamma over the first axis alone",
            g,
            ('"dgamma": (dy * x_hat).sum(axis=others)', '"dgamma": (dy * x_hat).sum(axis=0)'),
        ),
        mutant(
            clause,
            "layer_norm_vjp_batch_mean",
            "averaged the gradient of beta",
            g,
            ('"dbeta": dy.sum(axis=others)', '"dbeta": dy.mean(axis=others)'),
        ),
    ]


def words() -> list[Mutant]:
    """one_hot, its product, and embedding."""
    inside = "refuse_outside(index, size)"
    return [
        mutant(
            "primitives.one_hot",
            "one_hot_one_based",
            "counted the words from 1",
            "one_hot",
            (inside, inside + "; index = index - 1"),
        ),
        mutant(
            "primitives.one_hot",
            "one_hot_reversed",
            "counted the words from the end",
            "one_hot",
            (inside, inside + "; index = size - 1 - index"),
        ),
        mutant(
            "primitives.one_hot",
            "one_hot_transposed",
            "put the words in columns",
            "one_hot",
            (
                "np.where(np.arange(size) == index[:, np.newaxis], 1, 0)",
                "np.where(np.arange(size)[:, np.newaxis] == index, 1, 0)",
            ),
        ),
        mutant(
            "primitives.one_hot_product",
            "one_hot_product_multiplied",
            "multiplied with the one-hot vector",
            "one_hot_product",
            ("U.T[index]", "one_hot(index, size=U.shape[1]).astype(U.dtype) @ U.T"),
        ),
        mutant(
            "primitives.one_hot_product",
            "one_hot_product_next",
            "took the next word's column",
            "one_hot_product",
            ("U.T[index]", "U.T[(index + 1) % U.shape[1]]"),
        ),
        mutant(
            "primitives.embedding",
            "embedding_next",
            "took the next word's row",
            "embedding",
            ("return E[index]", "return E[(index + 1) % len(E)]"),
        ),
        mutant(
            "primitives.embedding",
            "embedding_multiplied",
            "multiplied with the one-hot vector",
            "embedding",
            (
                "return E[index]",
                "return (index[..., None] == np.arange(len(E))).astype(E.dtype) @ E",
            ),
        ),
        mutant(
            "primitives.embedding",
            "embedding_padding",
            "took word 0 for padding and gave it zeros",
            "embedding",
            ("return E[index]", "return np.where((index == 0)[..., None], 0, E[index])"),
        ),
        mutant(
            "primitives.embedding",
            "embedding_scaled",
            "scaled the rows with √D",
            "embedding",
            ("return E[index]", "return E[index] * np.sqrt(E.shape[1]).astype(E.dtype)"),
        ),
        mutant(
            "primitives.embedding",
            "embedding_vjp_repeats",
            "kept one error of a word that is repeated",
            "embedding_vjp",
            ("dE[v] = dE[v] + dy_v", "dE[v] = dy_v"),
            mend="accumulate: numpy's dE[index] += dy loses repeats",
        ),
        mutant(
            "primitives.embedding",
            "embedding_vjp_mean",
            "averaged the errors of a repeated word",
            "embedding_vjp",
            ("dE[v] = dE[v] + dy_v", "dE[v] = dE[v] + dy_v / (index == v).sum()"),
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
        mutant(
            "primitives.layer_norm",
            "equal_scale",
            "multiplied with gamma / √(var + eps)",
            "layer_norm",
            ("x_hat, _ = normalised(x, eps)", "_, scale = normalised(x, eps)"),
            (
                "gamma * x_hat + beta",
                "(x - x.mean(axis=-1, keepdims=True)) * (gamma * scale) + beta",
            ),
            equivalent=True,
        ),
    ]
