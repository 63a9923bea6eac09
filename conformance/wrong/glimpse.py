"""Wrong glimpses, wrong locations and wrong policy gradients."""

from nnspec.conformance.mutants import Mutant, mutant

PIXEL = "np.floor((near + 1) * n / 2).astype(int)"
P_X = "p_x = pixel(l[:, 0], X.shape[2], sizes[-1])"
P_Y = "p_y = pixel(l[:, 1], X.shape[1], sizes[-1])"
FIRST = "first: Array = p[:, None, :] - np.array([size // 2 for size in sizes])[:, None]"
PATCH = "patch[n, to_rows, to_columns] = X[n, rows, columns]"
POOL = "cells.sum(axis=(2, 4)) / s**2"
H_G = "h_g = relu(affine(flat(rho), W_rho, b=b_rho))"
H_L = "h_l = relu(affine(l, W_l, b=b_l))"
BOTH = "relu(affine(h_g, W_gr, b=b_g) + affine(h_l, W_gl))"


def mutants() -> list[Mutant]:
    """All mutants of the topic."""
    return [
        *sensor(),
        *network(),
        *core(),
        *location(),
        *action(),
        *rollout(),
        *unroll(),
        *reinforce(),
        *training(),
        *equivalent(),
    ]


def sensor() -> list[Mutant]:
    """Where a location is, and what is seen there."""
    f, g = "glimpse_sensor", "glimpse_sensor_vjp"
    rows = "np.arange(y, y + g_w * s)"
    columns = "np.arange(x, x + g_w * s)"
    return [
        mutant(
            "glimpse.pixel",
            "align_corners",
            "put -1 and 1 on the middles of the first and the last pixel",
            "pixel",
            (PIXEL, "np.floor((near + 1) * (n - 1) / 2).astype(int)"),
            mend="scale with n / 2",
        ),
        mutant(
            "glimpse.pixel",
            "half_pixel",
            "moved the grid by half a pixel",
            "pixel",
            (PIXEL, "np.floor((near + 1) * n / 2 - 0.5).astype(int)"),
        ),
        mutant(
            "glimpse.pixel",
            "rounded_pixel",
            "rounded to the nearest pixel border",
            "pixel",
            (PIXEL, "np.rint((near + 1) * n / 2).astype(int)"),
        ),
        mutant(
            "glimpse.pixel",
            "int_for_floor",
            "cut the fraction off with int() instead of floor",
            "pixel",
            (PIXEL, "((near + 1) * n / 2).astype(int)"),
        ),
        mutant(
            "glimpse.pixel",
            "unit_interval",
            "read the locations in [0, 1]",
            "pixel",
            (PIXEL, "np.floor(near * n).astype(int)"),
        ),
        mutant(
            "glimpse.pixel",
            "location_in_the_image",
            "clamped the location to [-1, 1]",
            "pixel",
            ("far = 1 + 2 * (size + 1) / n", "far = 1"),
        ),
        mutant(
            "glimpse.order",
            "x_y_exchanged",
            "read the locations as (y, x)",
            "starts",
            (P_X, P_X.replace("l[:, 0]", "l[:, 1]")),
            (P_Y, P_Y.replace("l[:, 1]", "l[:, 0]")),
            mend="l[:, 0] is the column, l[:, 1] the row",
        ),
        mutant(
            "glimpse.order",
            "sizes_exchanged",
            "scaled x with the number of rows and y with the number of columns",
            "starts",
            (P_X, P_X.replace("X.shape[2]", "X.shape[1]")),
            (P_Y, P_Y.replace("X.shape[1]", "X.shape[2]")),
        ),
        mutant(
            "glimpse.order",
            "y_upwards",
            "let y grow upwards",
            "starts",
            (P_Y, P_Y.replace("l[:, 1]", "-l[:, 1]")),
        ),
        mutant(
            "glimpse.sensor",
            "corner_on_the_location",
            "put the patch's corner on the location instead of its middle",
            "starts",
            (FIRST, FIRST.replace("size // 2", "0")),
        ),
        mutant(
            "glimpse.sensor",
            "odd_size_rounded_up",
            "rounded half an odd size up",
            "starts",
            (FIRST, FIRST.replace("size // 2", "(size + 1) // 2")),
        ),
        mutant(
            "glimpse.outside",
            "patch_moved_inside",
            "moved a patch that reaches over the edge back into the image",
            "starts",
            (
                FIRST,
                FIRST.replace("first: Array = ", "first: Array = np.maximum(") + ", 0)",
            ),
        ),
        mutant(
            "glimpse.outside",
            "edge_padding",
            "repeated the edge outside of the image",
            f,
            (
                PATCH,
                f"patch[n] = X[n][np.clip({rows}, 0, M - 1)][:, np.clip({columns}, 0, N - 1)]",
            ),
            mend="pad with zeros",
        ),
        mutant(
            "glimpse.outside",
            "wrapped",
            "went on at the other side of the image",
            f,
            (PATCH, f"patch[n] = X[n][{rows} % M][:, {columns} % N]"),
        ),
        mutant(
            "glimpse.outside",
            "mean_of_the_inside",
            "averaged over the pixels inside of the image alone",
            f,
            (PATCH, "patch[n] = np.nan; " + PATCH),
            (POOL, "np.nan_to_num(np.nanmean(cells, axis=(2, 4)))"),
        ),
        mutant(
            "glimpse.locality",
            "gathered_by_product",
            "cut the patch out by products with 0 and 1",
            f,
            (
                PATCH,
                f"patch[n] = (np.arange(M) == {rows}[:, None]).astype(X.dtype) @ X[n]"
                f" @ (np.arange(N)[:, None] == {columns}).astype(X.dtype)",
            ),
        ),
        mutant(
            "glimpse.sensor",
            "subsampled",
            "took every s-th pixel for the mean of s x s",
            f,
            (POOL, "cells[:, :, 0, :, 0]"),
        ),
        mutant(
            "glimpse.sensor",
            "max_pooled",
            "took the largest pixel for the mean",
            f,
            (POOL, "cells.max(axis=(2, 4))"),
        ),
        mutant(
            "glimpse.sensor",
            "sum_pooled",
            "summed the pixels of a cell",
            f,
            (POOL, "cells.sum(axis=(2, 4))"),
        ),
        mutant(
            "glimpse.sensor",
            "divided_by_s",
            "divided by s for s²",
            f,
            (POOL, "cells.sum(axis=(2, 4)) / s"),
        ),
        mutant(
            "glimpse.sensor",
            "sides_1_2_3",
            "made the patches g, 2 g, 3 g wide",
            f,
            (
                "first = starts(X, l, g_w, k)",
                "first = starts(X, l, g_w, k) + np.array("
                "[g_w * 2**i // 2 - g_w * (i + 1) // 2 for i in range(k)])[:, None]",
            ),
            ("s = 2**i", "s = i + 1"),
            mend="double the side at every scale",
        ),
        mutant(
            "glimpse.sensor",
            "one_scale",
            "saw the finest scale k times",
            f,
            ("s = 2**i", "s = 1"),
        ),
        mutant(
            "glimpse.sensor",
            "coarse_first",
            "stored the coarsest scale first",
            f,
            ("rho[:, i] =", "rho[:, k - 1 - i] ="),
        ),
        mutant(
            "glimpse.sensor",
            "patch_transposed",
            "stored the patches transposed",
            f,
            (POOL, f"({POOL}).swapaxes(1, 2)"),
        ),
        mutant(
            "glimpse.sensor",
            "pooled_in_bfloat16",
            "averaged in bfloat16",
            f,
            (POOL, f"wrong.brain({POOL})"),
        ),
        mutant(
            "glimpse.sensor",
            "sensor_vjp_not_shared",
            "gave every pixel the whole error of its cell",
            g,
            ("(drho[:, i] / s**2)", "drho[:, i]"),
        ),
        mutant(
            "glimpse.sensor",
            "sensor_vjp_overwritten",
            "kept the coarsest scale's error alone where scales overlap",
            g,
            ("dX[n, rows, columns] + dpatch[n, to_rows", "dpatch[n, to_rows"),
        ),
        mutant(
            "glimpse.sensor",
            "sensor_vjp_fine_only",
            "backpropagated the finest scale alone",
            g,
            ("for i in range(k):", "for i in range(min(k, 1)):"),
        ),
        mutant(
            "glimpse.sensor",
            "sensor_vjp_tiled",
            "tiled the errors over the patch instead of repeating each",
            g,
            (".repeat(s, axis=1).repeat(s, axis=2)", ".repeat(1, axis=1)"),
            (
                "for n in range(B):",
                "dpatch = np.tile(dpatch, (1, s, s))\n        for n in range(B):",
            ),
        ),
    ]


def network() -> list[Mutant]:
    """What and where, in one vector."""
    f, g = "glimpse_network", "glimpse_network_vjp"
    return [
        mutant(
            "glimpse.encoders",
            "no_relu_what",
            "left the rectifier of the patches' layer out",
            f,
            (H_G, "h_g = affine(flat(rho), W_rho, b=b_rho)"),
        ),
        mutant(
            "glimpse.encoders",
            "no_relu_where",
            "left the rectifier of the location's layer out",
            f,
            (H_L, "h_l = affine(l, W_l, b=b_l)"),
        ),
        mutant(
            "glimpse.network",
            "no_relu_both",
            "left the last rectifier out",
            f,
            (BOTH, BOTH[4:]),
        ),
        mutant(
            "glimpse.network",
            "tanh_both",
            "used tanh for the last rectifier",
            f,
            (BOTH, "np.tanh" + BOTH[4:]),
        ),
        mutant(
            "glimpse.network",
            "relu_before_the_sum",
            "rectified both parts before they were added",
            f,
            (BOTH, "relu(affine(h_g, W_gr, b=b_g)) + relu(affine(h_l, W_gl))"),
        ),
        mutant(
            "glimpse.network",
            "what_times_where",
            "multiplied what and where",
            f,
            (BOTH, "relu(affine(h_g, W_gr, b=b_g) * affine(h_l, W_gl))"),
        ),
        mutant(
            "glimpse.network",
            "no_where",
            "left the location out",
            f,
            (BOTH, "relu(affine(h_g, W_gr, b=b_g))"),
        ),
        mutant(
            "glimpse.network",
            "bias_in_both",
            "added b_g to both parts",
            f,
            (BOTH, BOTH.replace("affine(h_l, W_gl)", "affine(h_l, W_gl, b=b_g)")),
        ),
        mutant(
            "glimpse.encoders",
            "no_bias_where",
            "ignored b_l",
            f,
            (H_L, "h_l = relu(affine(l, W_l))"),
        ),
        mutant(
            "glimpse.encoders",
            "columns_first",
            "laid the patches out column by column",
            "flat",
            ("rho.reshape(", "rho.swapaxes(2, 3).reshape("),
        ),
        mutant(
            "glimpse.encoders",
            "scales_last",
            "laid the scales out last, as an image with channels last",
            "flat",
            ("rho.reshape(", "np.moveaxis(rho, 1, 3).reshape("),
        ),
        mutant(
            "glimpse.network",
            "network_in_bfloat16",
            "multiplied in bfloat16",
            f,
            (
                BOTH,
                "relu(wrong.product_in_brain(h_g, W_gr.T) + (0 if b_g is None else b_g)"
                " + affine(h_l, W_gl))",
            ),
        ),
        mutant(
            "glimpse.network",
            "vjp_kink",
            "took 1 for the rectifier's derivative at 0",
            g,
            ("np.where(g > 0, dg, 0)", "np.where(g >= 0, dg, 0)"),
        ),
        mutant(
            "glimpse.encoders",
            "vjp_no_inner_relu",
            "let the error through the patches' rectifier unchecked",
            g,
            ("np.where(h_g > 0, da @ W_gr, 0)", "da @ W_gr"),
        ),
        mutant(
            "glimpse.encoders",
            "vjp_no_dl",
            "returned no error for the location",
            g,
            ('"dl": da_l @ W_l', '"dl": 0 * (da_l @ W_l)'),
        ),
        mutant(
            "glimpse.network",
            "vjp_bias_mean",
            "averaged the bias gradients over the batch",
            "given",
            ("da.sum(axis=0)", "da.mean(axis=0)"),
        ),
    ]


def core() -> list[Mutant]:
    """The state."""
    f, g = "glimpse_core", "glimpse_core_vjp"
    line = "relu(affine(h_prev, W, b=b_h) + affine(g, U))"
    return [
        mutant("glimpse.core", "core_tanh", "used tanh in the core", f, ("relu(", "np.tanh(")),
        mutant("glimpse.core", "core_linear", "left the core's rectifier out", f, ("relu(", "(")),
        mutant(
            "glimpse.core",
            "core_no_state",
            "forgot the state before",
            f,
            (line, "relu(affine(g, U, b=b_h) + 0 * h_prev)"),
        ),
        mutant(
            "glimpse.core",
            "core_no_bias",
            "ignored the core's bias",
            f,
            (line, line.replace(", b=b_h", "")),
        ),
        mutant(
            "glimpse.core",
            "core_w_transposed",
            "multiplied the state with W instead of its transpose",
            f,
            (line, line.replace("W, b=", "W.T, b=")),
        ),
        mutant(
            "glimpse.core",
            "core_vjp_kink",
            "took 1 for the core's derivative at 0",
            g,
            ("> 0, dh, 0)", ">= 0, dh, 0)"),
        ),
        mutant(
            "glimpse.core",
            "core_vjp_no_relu",
            "let the error through the core's rectifier unchecked",
            g,
            ("np.where(glimpse_core(g, h_prev, U, W, b_h=b_h) > 0, dh, 0)", "dh"),
        ),
    ]


def location() -> list[Mutant]:
    """The Gaussian that says where to look."""
    f, g = "glimpse_location", "glimpse_location_vjp"
    mean, out = 'np.tanh(a) if mean == "tanh" else a', "return mu, mu + sigma * eps"
    da = '(dmu + dl) * (1 - mu * mu) if mean == "tanh" else dmu + dl'
    return [
        mutant(
            "glimpse.location", "always_tanh", "always squashed the mean", f, (mean, "np.tanh(a)")
        ),
        mutant("glimpse.location", "never_tanh", "never squashed the mean", f, (mean, "a")),
        mutant(
            "glimpse.location",
            "mean_clipped",
            "clipped the mean to [-1, 1] for tanh",
            f,
            (mean, 'np.clip(a, -1, 1) if mean == "tanh" else a'),
        ),
        mutant(
            "glimpse.location",
            "mean_tanh_1e6",
            "used a tanh good to 1e-6",
            f,
            (mean, mean.replace("np.tanh", "wrong.tanh_1e6")),
        ),
        mutant(
            "glimpse.sample",
            "variance_for_sigma",
            "multiplied the noise with σ²",
            f,
            (out, "return mu, mu + sigma**2 * eps"),
        ),
        mutant(
            "glimpse.sample",
            "sigma_as_variance",
            "multiplied the noise with the root of σ",
            f,
            (out, "return mu, mu + sigma**0.5 * eps"),
        ),
        mutant(
            "glimpse.sample",
            "noise_unscaled",
            "added the noise without σ",
            f,
            (out, "return mu, mu + eps"),
        ),
        mutant("glimpse.sample", "no_noise", "returned the mean", f, (out, "return mu, mu")),
        mutant(
            "glimpse.sample",
            "sample_clamped",
            "clamped the location to [-1, 1]",
            f,
            (out, "return mu, np.clip(mu + sigma * eps, -1, 1)"),
        ),
        mutant(
            "glimpse.sample",
            "sample_squashed",
            "squashed the location after the noise",
            f,
            (out, 'return mu, np.tanh(a + sigma * eps) if mean == "tanh" else mu + sigma * eps'),
        ),
        mutant(
            "glimpse.sample",
            "location_vjp_no_dl",
            "let no error of the location reach its mean",
            g,
            (da, 'dmu * (1 - mu * mu) if mean == "tanh" else dmu'),
        ),
        mutant(
            "glimpse.location",
            "location_vjp_no_derivative",
            "forgot tanh' of the mean",
            g,
            (da, "dmu + dl"),
        ),
        mutant(
            "glimpse.location",
            "location_vjp_always_tanh",
            "used tanh' for the linear mean too",
            g,
            (da, "(dmu + dl) * (1 - mu * mu)"),
        ),
    ]


def action() -> list[Mutant]:
    """The classes."""
    f, g = "glimpse_action", "glimpse_action_vjp"
    line = "softmax(affine(h, W_a, b=b_a))"
    return [
        mutant(
            "glimpse.action",
            "action_logits",
            "returned the scores before the softmax",
            f,
            (line, "affine(h, W_a, b=b_a)"),
        ),
        mutant(
            "glimpse.action",
            "action_over_the_batch",
            "normalised over the batch instead of the classes",
            f,
            (line, line.replace("b=b_a))", "b=b_a), axis=0)")),
        ),
        mutant(
            "glimpse.action",
            "action_no_shift",
            "took the exponentials without subtracting the largest score",
            f,
            (
                line,
                "(e := np.exp(affine(h, W_a, b=b_a))) / e.sum(axis=-1, keepdims=True)",
            ),
        ),
        mutant(
            "glimpse.action",
            "action_independent",
            "used a sigmoid for each class",
            f,
            (line, "1 / (1 + np.exp(-affine(h, W_a, b=b_a)))"),
        ),
        mutant("glimpse.action", "action_no_bias", "ignored b_a", f, (", b=b_a", "")),
        mutant(
            "glimpse.action",
            "action_in_bfloat16",
            "multiplied the classes' scores in bfloat16",
            f,
            (line, "softmax(wrong.product_in_brain(h, W_a.T) + (0 if b_a is None else b_a))"),
        ),
        mutant(
            "glimpse.action",
            "action_vjp_diagonal",
            "kept the diagonal of the softmax's Jacobian alone",
            g,
            (
                'softmax_vjp(affine(h, W_a, b=b_a), dp)["dx"]',
                "(p := softmax(affine(h, W_a, b=b_a))) * (1 - p) * dp",
            ),
        ),
    ]


def rollout() -> list[Mutant]:
    """Glimpse after glimpse."""
    f = "glimpse_rollout"
    store = "h[t], l[t], p[t] = h_t, l_t, glimpse_action(h_t, W_a, b_a=b_a)"
    move = "mu[t], l_t = glimpse_location(h_t, eps[t], W_mu, b_mu=b_mu, sigma=sigma, mean=mean)"
    see = "rho = glimpse_sensor(X, l_t, g_w=g_w, k=k)"
    return [
        mutant(
            "glimpse.rollout",
            "looks_where_it_was",
            "stored the location that was looked at for the one that is next",
            f,
            (see, "seen_at = l_t; " + see),
            (store, store.replace("h_t, l_t,", "h_t, seen_at,")),
        ),
        mutant(
            "glimpse.rollout",
            "looks_at_l_0",
            "looked at l_0 every time",
            f,
            (see, see.replace("l_t", "l_0")),
        ),
        mutant(
            "glimpse.rollout",
            "looks_at_the_mean",
            "went to the mean and not to the drawn location",
            f,
            (store, store + "; l_t = mu[t]"),
        ),
        mutant(
            "glimpse.rollout",
            "looks_at_the_clamped",
            "clamped the next location to the image",
            f,
            (store, store + "; l_t = np.clip(l_t, -1, 1)"),
        ),
        mutant(
            "glimpse.rollout",
            "one_noise",
            "used the first time's noise every time",
            f,
            (move, move.replace("eps[t]", "eps[0]")),
        ),
        mutant(
            "glimpse.rollout",
            "moves_from_the_old_state",
            "chose the location from the state before the glimpse",
            f,
            ("h_t = glimpse_core(", "h_old = h_t; h_t = glimpse_core("),
            (move, move.replace("(h_t,", "(h_old,")),
        ),
        mutant(
            "glimpse.rollout",
            "rollout_h_0",
            "started from h = 0 whatever h_0 is",
            f,
            ("if h_0 is None else h_0", "if True else h_0"),
        ),
        mutant(
            "glimpse.rollout",
            "rollout_one_scale",
            "ignored the number of scales past the first",
            f,
            (see, see + "; rho = np.repeat(rho[:, :1], k, axis=1)"),
        ),
    ]


def unroll() -> list[Mutant]:
    """Glimpses at given locations, and backpropagation through them."""
    f, g = "glimpse_unroll", "glimpse_unroll_vjp"
    see = "rho = glimpse_sensor(X, l[t], g_w=g_w, k=k)"
    carry = 'd_t = at_h.pop("dh_prev")'
    return [
        mutant(
            "glimpse.unroll",
            "unroll_late",
            "looked at each location one glimpse late",
            f,
            (see, see.replace("l[t]", "l[max(t - 1, 0)]")),
        ),
        mutant(
            "glimpse.unroll",
            "unroll_no_memory",
            "began every glimpse with the first state",
            f,
            (
                "h_t = glimpse_core(g_t, h_t, U, W, b_h=b_h)",
                "h_t = glimpse_core(g_t, h_t * (t == 0), U, W, b_h=b_h)",
            ),
        ),
        mutant(
            "glimpse.unroll",
            "unroll_vjp_through_the_location",
            "let the gradient flow through the location into its mean",
            g,
            (
                'at_g.pop("dl")  # l is given: it is no function of the parameters',
                'dl = at_g.pop("dl"); dmu = np.concatenate('
                "[dmu[:t - 1], dmu[t - 1:t] + dl, dmu[t:]]) if t > 0 else dmu",
            ),
            mend="hold the locations fixed: REINFORCE trains them",
        ),
        mutant(
            "glimpse.unroll",
            "unroll_vjp_cut",
            "cut the error that comes back in time",
            g,
            (carry, carry + "; d_t = 0 * d_t"),
        ),
        mutant(
            "glimpse.unroll",
            "unroll_vjp_overwritten",
            "kept one glimpse's gradient instead of the sum",
            g,
            ("total[name] = total[name] + d", "total[name] = d"),
        ),
        mutant(
            "glimpse.unroll",
            "unroll_vjp_image_overwritten",
            "kept one glimpse's error of the image",
            g,
            ("dX = dX + glimpse_sensor_vjp", "dX = glimpse_sensor_vjp"),
        ),
        mutant(
            "glimpse.unroll",
            "unroll_vjp_wrong_state",
            "took h_t for h_{t-1} in the backward pass",
            g,
            ("h[t - 1] if t > 0 else h_first", "h[t]"),
        ),
        mutant(
            "glimpse.unroll",
            "unroll_vjp_h_0_zero",
            "took 0 for h_0 in the backward pass",
            g,
            ("h[t - 1] if t > 0 else h_first", "h[t - 1] if t > 0 else 0 * h_first"),
        ),
        mutant(
            "glimpse.unroll",
            "unroll_vjp_no_action_error",
            "dropped the error of the classes' probabilities",
            g,
            (' + at_a.pop("dh")', ' + 0 * at_a.pop("dh")'),
        ),
    ]


def reinforce() -> list[Mutant]:
    """The policy gradient and its baseline."""
    f, g = "glimpse_reinforce", "glimpse_reinforce_vjp"
    b, h = "glimpse_baseline", "glimpse_baseline_vjp"
    loss = "advantage * distance / (2 * sigma**2) / B"
    square = "((l - mu) * (l - mu))"
    dmu = "-advantage[..., None] * (l - mu) / sigma**2 / B * dloss"
    advantage = "R if b is None else R - b"
    clause = "glimpse.reinforce"
    return [
        mutant(
            clause,
            "reinforce_sign",
            "gave the loss the wrong sign: it descends on the reward",
            f,
            (loss, "-" + loss),
        ),
        mutant(
            clause,
            "reinforce_no_variance",
            "left 1/σ² out of the loss",
            f,
            (loss, "advantage * distance / 2 / B"),
        ),
        mutant(
            clause,
            "reinforce_sigma",
            "divided by σ for σ²",
            f,
            (loss, loss.replace("sigma**2", "sigma")),
        ),
        mutant(
            clause,
            "reinforce_no_half",
            "left the 1/2 of the Gaussian's exponent out",
            f,
            (loss, loss.replace("(2 * sigma**2)", "sigma**2")),
        ),
        mutant(
            clause,
            "reinforce_batch_sum",
            "summed over the batch",
            f,
            (loss, loss.replace(" / B", "")),
        ),
        mutant(
            clause,
            "reinforce_time_mean",
            "averaged over time as well",
            f,
            (loss, loss.replace(" / B", " / B / max(len(l), 1)")),
        ),
        mutant(
            clause,
            "reinforce_clamped",
            "scored the location after clamping it to the image",
            f,
            (square, "((np.clip(l, -1, 1) - mu) * (np.clip(l, -1, 1) - mu))"),
            mend="score the location that was drawn, before any clamping",
        ),
        mutant(
            clause,
            "reinforce_distance",
            "took the distance for its square",
            f,
            (square, "np.abs(l - mu)"),
        ),
        mutant(
            clause,
            "reinforce_no_baseline",
            "ignored the baseline",
            f,
            (advantage, "R * np.ones_like(l[..., 0])"),
        ),
        mutant(
            clause,
            "reinforce_baseline_added",
            "added the baseline to the return",
            f,
            (advantage, "R if b is None else R + b"),
        ),
        mutant(
            clause,
            "reinforce_batch_baseline",
            "took the mean return of the batch off as well",
            f,
            (advantage, "R - R.sum() / max(len(R), 1) if b is None else R - b"),
        ),
        mutant(
            clause,
            "reinforce_vjp_sign",
            "sent the location's mean away from what paid",
            g,
            (dmu, dmu[1:]),
        ),
        mutant(
            clause,
            "reinforce_vjp_no_variance",
            "left 1/σ² out of the gradient",
            g,
            (dmu, dmu.replace(" / sigma**2", "")),
        ),
        mutant(
            clause,
            "reinforce_vjp_sigma",
            "divided the gradient by σ for σ²",
            g,
            (dmu, dmu.replace("sigma**2", "sigma")),
        ),
        mutant(
            clause,
            "reinforce_vjp_clamped",
            "scored the clamped location in the gradient",
            g,
            (dmu, dmu.replace("(l - mu)", "(np.clip(l, -1, 1) - mu)")),
        ),
        mutant(
            clause,
            "reinforce_vjp_batch_sum",
            "summed the gradient over the batch",
            g,
            (dmu, dmu.replace(" / B", "")),
        ),
        mutant(
            clause,
            "reinforce_vjp_no_baseline",
            "ignored the baseline in the gradient",
            g,
            (advantage, "R * np.ones_like(l[..., 0])"),
        ),
        mutant(
            clause,
            "reinforce_vjp_no_cotangent",
            "forgot dloss",
            g,
            (dmu, dmu.replace(" * dloss", "")),
        ),
        mutant("glimpse.baseline", "baseline_no_bias", "ignored b_b", b, (", b=b_b", "")),
        mutant(
            "glimpse.baseline",
            "baseline_batch_first",
            "read the states as (B, T, H)",
            b,
            (".reshape(T, B)", ".reshape(B, T).T"),
        ),
        mutant(
            "glimpse.baseline_loss",
            "baseline_half",
            "put 1/2 before the squared error",
            b,
            ("(R - b) * (R - b) / B", "(R - b) * (R - b) / B / 2"),
        ),
        mutant(
            "glimpse.baseline_loss",
            "baseline_batch_sum",
            "summed the squared errors over the batch",
            b,
            ("(R - b) * (R - b) / B", "(R - b) * (R - b)"),
        ),
        mutant(
            "glimpse.baseline_loss",
            "baseline_time_mean",
            "averaged the squared errors over time",
            b,
            ("(R - b) * (R - b) / B", "(R - b) * (R - b) / B / max(T, 1)"),
        ),
        mutant(
            "glimpse.baseline_loss",
            "baseline_vjp_sign",
            "took R - b for b - R in the gradient",
            h,
            ("2 * (b - R)", "2 * (R - b)"),
        ),
        mutant(
            "glimpse.baseline_loss",
            "baseline_vjp_no_two",
            "forgot the 2 of the square's derivative",
            h,
            ("2 * (b - R)", "(b - R)"),
        ),
    ]


def training() -> list[Mutant]:
    """One step of gradient descent on the hybrid loss."""
    f = "glimpse_train_step"
    clause = "glimpse.train_step"
    reward = "np.where(np.argmax(a, axis=-1) == y, 1, 0)"
    return [
        mutant(
            clause,
            "ascent",
            "went up the gradient",
            f,
            ("value - lr * d[", "value + lr * d["),
        ),
        mutant(
            "glimpse.reward",
            "reward_plus_minus",
            "gave -1 for a wrong class",
            f,
            (reward, "np.where(np.argmax(a, axis=-1) == y, 1, -1)"),
        ),
        mutant(
            "glimpse.reward",
            "reward_last_tie",
            "took the last of equal scores",
            f,
            (reward, "np.where(a.shape[1] - 1 - np.argmax(a[:, ::-1], axis=-1) == y, 1, 0)"),
        ),
        mutant(
            "glimpse.reward",
            "reward_probability",
            "took the class's probability for the reward",
            f,
            (reward, "softmax(a)[np.arange(B), y]"),
        ),
        mutant(
            "glimpse.cross_entropy",
            "entropy_batch_sum",
            "summed the cross-entropy over the batch",
            f,
            ("-(log_p / B).sum()", "-log_p.sum()"),
        ),
        mutant(
            "glimpse.cross_entropy",
            "entropy_gradient_sum",
            "summed the cross-entropy's gradient over the batch",
            f,
            (
                "(softmax(a) - np.where(target, 1, 0).astype(X.dtype)) / B",
                "(softmax(a) - np.where(target, 1, 0).astype(X.dtype))",
            ),
        ),
        mutant(
            "glimpse.cross_entropy",
            "log_of_softmax",
            "took the logarithm of the softmax",
            "log_softmax",
            ("a - shift - np.log(e.sum(axis=-1, keepdims=True))", "np.log(softmax(a))"),
        ),
        mutant(
            clause,
            "baseline_not_detached",
            "let REINFORCE's gradient into the baseline",
            f,
            (
                "np.zeros_like(b), one",
                "-((l - mu) * (l - mu)).sum(axis=-1) / (2 * sigma**2) / B, one",
            ),
            mend="the baseline learns from its squared error alone",
        ),
        mutant(
            clause,
            "baseline_trains_the_core",
            "let the baseline's error into the core",
            f,
            (
                'dh[T - 1] = at_a["dx"]',
                'dh = (2 * (b - R) / B)[..., None] * W_b[0]; dh[T - 1] += at_a["dx"]',
            ),
        ),
        mutant(
            clause,
            "baseline_not_used",
            "trained without the baseline",
            f,
            (
                'glimpse_reinforce_vjp(l, mu, R, one, b=b, sigma=sigma)["dmu"]',
                'glimpse_reinforce_vjp(l, mu, R, one, b=0 * b, sigma=sigma)["dmu"]',
            ),
        ),
        mutant(
            clause,
            "always_through",
            "always let REINFORCE's gradient into the core",
            f,
            ('dmu if reinforce == "all" else np.zeros_like(dmu)', "dmu"),
        ),
        mutant(
            clause,
            "never_through",
            "never let REINFORCE's gradient into the core",
            f,
            ('dmu if reinforce == "all" else np.zeros_like(dmu)', "np.zeros_like(dmu)"),
        ),
        mutant(
            clause,
            "locations_late",
            "backpropagated at the locations that came after",
            f,
            ("np.concatenate([l_0[None], l[: T - 1]])", "l"),
        ),
        mutant(
            clause,
            "classified_every_time",
            "sent the class's error into every state",
            f,
            ('dh[T - 1] = at_a["dx"]', 'dh[:] = at_a["dx"]'),
        ),
        mutant(
            clause,
            "last_location_only",
            "trained the location on the last glimpse alone",
            f,
            ("error = dmu.reshape(T * B, 2)", "dmu[:-1] = 0; error = dmu.reshape(T * B, 2)"),
        ),
        mutant(
            clause,
            "classifier_frozen",
            "did not update the classes' layer",
            f,
            ('"dW_a": at_a["dW"], "db_a": at_a["db"]', '"dW_a": 0 * W_a, "db_a": 0 * b_a'),
        ),
    ]


def equivalent() -> list[Mutant]:
    """Rewrites that are right: a suite that kills them raises false alarms."""
    return [
        mutant(
            "glimpse.sensor",
            "equal_mean",
            "called the mean by its name",
            "glimpse_sensor",
            (POOL, "cells.mean(axis=(2, 4))"),
            equivalent=True,
        ),
        mutant(
            "glimpse.network",
            "equal_concatenated",
            "concatenated what and where, and their weights",
            "glimpse_network",
            (
                BOTH,
                "relu(affine(np.concatenate([h_g, h_l], 1), np.concatenate([W_gr, W_gl], 1),"
                " b=b_g))",
            ),
            equivalent=True,
        ),
        mutant(
            "glimpse.reinforce",
            "equal_log_density",
            "divided the deviation by σ before squaring it",
            "glimpse_reinforce",
            ("((l - mu) * (l - mu)).sum(axis=-1)", "(((l - mu) / sigma) ** 2).sum(axis=-1)"),
            ("(2 * sigma**2)", "2"),
            equivalent=True,
        ),
    ]
