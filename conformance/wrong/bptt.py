"""Wrong backpropagation through time, wrong updates and wrong bounds."""

from nnspec.conformance.mutants import Mutant, mutant

DELTA = "DERIVATIVES[activation](S[t]) * (from_output + from_next)"
SOURCES = "from_output, from_next = delta_O[t] @ V, delta_next @ W"
NORM = "np.squeeze(scale, axis=axes) * np.sqrt((small * small).sum(axis=axes))"
FACTOR = "factor = threshold / np.maximum(norm, threshold)"
JOINT = "norm = root_of_squares(np.concatenate([g.reshape(-1) for g in (g_U, g_W, g_V)]), (0,))"


def mutants() -> list[Mutant]:
    """All mutants of the topic."""
    return [
        *forward(),
        *errors(),
        *gradients(),
        *unfolded(),
        *truncated(),
        *updates(),
        *jacobians(),
        *equivalent(),
    ]


def forward() -> list[Mutant]:
    """Step one of three."""
    f, g = "bptt_forward", "bptt_forward_vjp"
    return [
        mutant(
            "bptt.forward",
            "output_linear",
            "left the output's tanh out",
            f,
            ("rnn_output(S, V)", 'rnn_output(S, V, activation="identity")'),
        ),
        mutant(
            "bptt.forward",
            "output_activation",
            "used the states' activation for the outputs",
            f,
            ("rnn_output(S, V)", "rnn_output(S, V, activation=activation)"),
        ),
        mutant(
            "bptt.forward",
            "s_0_ignored",
            "started from zeros whatever S_0 is",
            f,
            ("S_0=S_0", "S_0=None"),
        ),
        mutant(
            "bptt.forward",
            "always_tanh",
            "used tanh whatever the activation",
            f,
            ("activation=activation", 'activation="tanh"'),
        ),
        mutant(
            "bptt.forward",
            "output_of_the_old_state",
            "computed the output from the state before",
            f,
            ("return S, rnn_output(S, V)", "return S, rnn_output(before(S, S_0), V)"),
        ),
        mutant(
            "bptt.forward",
            "forward_vjp_no_output",
            "dropped the outputs' error from the states",
            g,
            ('dS + d_output.pop("dS")', 'dS + 0 * d_output.pop("dS")'),
        ),
        mutant(
            "bptt.forward",
            "forward_vjp_no_state",
            "dropped the states' own errors",
            g,
            ('dS + d_output.pop("dS")', '0 * dS + d_output.pop("dS")'),
        ),
    ]


def errors() -> list[Mutant]:
    """Step two: the errors."""
    f = "bptt_delta"
    loop = "for t in reversed(range(len(S))):"
    return [
        mutant(
            "bptt.output_error",
            "no_output_derivative",
            "forgot tanh' of the output",
            f,
            ("dO * (1 - O * O)", "dO * 1"),
        ),
        mutant(
            "bptt.output_error",
            "output_derivative_sigmoid",
            "used O (1 - O) as the derivative of the output's tanh",
            f,
            ("dO * (1 - O * O)", "dO * O * (1 - O)"),
        ),
        mutant(
            "bptt.output_error",
            "output_derivative_of_the_state",
            "used the states' activation in the output's derivative",
            f,
            ("dO * (1 - O * O)", "dO * DERIVATIVES[activation](O)"),
        ),
        mutant(
            "bptt.delta",
            "no_error_from_next",
            "dropped the error that comes from time t + 1",
            f,
            (SOURCES, SOURCES.replace("delta_next @", "0 * delta_next @")),
            mend="add Wᵀ δ_{t+1}: a hidden neuron has two sources of error",
        ),
        mutant(
            "bptt.delta",
            "no_error_from_output",
            "took the outputs' error at the last time alone",
            f,
            (SOURCES, SOURCES + "; from_output = from_output * (t == len(S) - 1)"),
        ),
        mutant(
            "bptt.delta",
            "w_transposed",
            "passed the error back with Wᵀ for W",
            f,
            (SOURCES, SOURCES.replace("@ W", "@ W.T")),
        ),
        mutant(
            "bptt.delta",
            "derivative_of_the_sum",
            "took f' at f(S) for S",
            f,
            (DELTA, DELTA.replace("(S[t])", "(np.tanh(S[t]))")),
        ),
        mutant(
            "bptt.delta",
            "no_derivative",
            "forgot f' of the states",
            f,
            (DELTA, "from_output + from_next"),
        ),
        mutant(
            "bptt.delta",
            "derivative_of_the_output_alone",
            "multiplied f' with the outputs' error alone",
            f,
            (DELTA, "DERIVATIVES[activation](S[t]) * from_output + from_next"),
        ),
        mutant(
            "bptt.delta",
            "always_tanh_derivative",
            "used 1 - S² whatever the activation",
            f,
            (DELTA, DELTA.replace("activation", '"tanh"')),
        ),
        mutant(
            "bptt.delta",
            "derivative_of_the_next",
            "took f' of the state at t + 1",
            f,
            (DELTA, DELTA.replace("S[t]", "S[min(t + 1, len(S) - 1)]")),
        ),
        mutant(
            "bptt.delta",
            "forward_in_time",
            "ran from the first time to the last",
            f,
            (loop, "for t in range(len(S)):"),
        ),
        mutant(
            "bptt.delta",
            "three_steps_only",
            "let an error live for three steps",
            f,
            ("delta_next = delta[t]", "delta_next = delta[t] * ((len(S) - t) % 3 != 0)"),
        ),
        mutant(
            "bptt.delta",
            "error_in_half",
            "kept the error in float16",
            f,
            ("delta_next = delta[t]", "delta_next = wrong.half(delta[t])"),
        ),
        mutant(
            "bptt.delta",
            "error_in_bfloat16",
            "multiplied the error in bfloat16",
            f,
            (SOURCES, SOURCES.replace("delta_next @ W", "wrong.product_in_brain(delta_next, W)")),
        ),
        mutant(
            "bptt.delta",
            "error_clipped",
            "clipped the error to ±1 at every step",
            f,
            ("delta_next = delta[t]", "delta_next = np.clip(delta[t], -1, 1)"),
        ),
    ]


def gradients() -> list[Mutant]:
    """Step three: the gradients, untied and accumulated."""
    f, g = "bptt_untied", "bptt_gradient"
    products = "errors @ X, errors @ S_prev, errors_O @ S"
    sums = "dU_t.sum(axis=0), dW_t.sum(axis=0), dV_t.sum(axis=0)"
    return [
        mutant(
            "bptt.untied",
            "dw_from_the_new_state",
            "took dW from S_t for S_{t-1}",
            f,
            (products, products.replace("S_prev", "S")),
        ),
        mutant(
            "bptt.untied",
            "dv_from_the_old_state",
            "took dV from S_{t-1} for S_t",
            f,
            (products, products.replace("errors_O @ S", "errors_O @ S_prev")),
        ),
        mutant(
            "bptt.untied",
            "first_time_without_s_0",
            "took 0 for S_0 in the gradient of W",
            f,
            ("before(S, S_0)", "before(S, None)"),
        ),
        mutant(
            "bptt.untied",
            "batch_mean",
            "averaged over the batch",
            f,
            (products, "tuple(d / max(X.shape[1], 1) for d in (" + products + "))"),
        ),
        mutant(
            "bptt.untied",
            "dw_transposed",
            "returned dW transposed",
            f,
            (products, products.replace("errors @ S_prev", "(errors @ S_prev).swapaxes(1, 2)")),
        ),
        mutant(
            "bptt.gradient",
            "one_time_only",
            "kept the gradient of one time instead of the sum",
            g,
            (sums, "dU_t[:1].sum(axis=0), dW_t[:1].sum(axis=0), dV_t[:1].sum(axis=0)"),
            mend="accumulate over all times",
        ),
        mutant(
            "bptt.gradient",
            "time_mean",
            "averaged the gradients over time",
            g,
            (sums, "tuple(d.sum(axis=0) / max(len(X), 1) for d in (dU_t, dW_t, dV_t))"),
        ),
        mutant(
            "bptt.gradient",
            "first_time_skipped",
            "left the first time out of dW",
            g,
            (sums, sums.replace("dW_t.sum", "dW_t[1:].sum")),
        ),
        mutant(
            "bptt.gradient",
            "summed_in_half",
            "accumulated dW in float16",
            g,
            (sums, sums.replace("dW_t.sum(axis=0)", "wrong.total_in_half(dW_t, axis=0)")),
        ),
    ]


def unfolded() -> list[Mutant]:
    """Weights of their own at every time."""
    f, g = "bptt_unfolded", "bptt_unfolded_vjp"
    return [
        mutant(
            "bptt.unfolded",
            "unfolded_tied",
            "used the first time's weights at every time",
            f,
            ("U[t], W[t], activation", "U[0], W[0], activation"),
        ),
        mutant(
            "bptt.unfolded",
            "unfolded_w_late",
            "used W of the time before",
            f,
            ("U[t], W[t], activation", "U[t], W[max(t - 1, 0)], activation"),
        ),
        mutant(
            "bptt.unfolded",
            "unfolded_v_reversed",
            "counted the outputs' weights from the end",
            f,
            ("rnn_output(S_t, V[t])", "rnn_output(S_t, V[len(X) - 1 - t])"),
        ),
        mutant(
            "bptt.unfolded",
            "unfolded_s_0",
            "started from zeros whatever S_0 is",
            f,
            ("first(S, S_0)", "first(S, None)"),
        ),
        mutant(
            "bptt.unfolded",
            "unfolded_vjp_accumulated",
            "summed the gradients over time",
            g,
            ('{"dX": dX, "dU": dU, "dW": dW,', '{"dX": dX, "dU": dU, "dW": 0 * dW + dW.sum(0),'),
        ),
        mutant(
            "bptt.unfolded",
            "unfolded_vjp_w_next",
            "passed the error back through W of the wrong time",
            g,
            ("dS_next = delta @ W[t]", "dS_next = delta @ W[min(t + 1, len(X) - 1)]"),
        ),
        mutant(
            "bptt.unfolded",
            "unfolded_vjp_no_s_0",
            "returned no error for S_0",
            g,
            ('"dS_0": dS_next', '"dS_0": 0 * dS_next'),
        ),
    ]


def truncated() -> list[Mutant]:
    """Truncated in two ways."""
    f, g = "bptt_truncated", "bptt_chunked"
    return [
        mutant(
            "bptt.truncated",
            "truncated_not",
            "did not truncate at all",
            f,
            ("errors[: window - 1] @ W", "errors @ W"),
        ),
        mutant(
            "bptt.truncated",
            "window_plus_one",
            "let an error reach one state more",
            f,
            ("errors[: window - 1] @ W", "errors[:window] @ W"),
        ),
        mutant(
            "bptt.truncated",
            "truncated_in_pieces",
            "cut the sequence into pieces instead of moving the window along",
            f,
            (
                "errors[: window - 1] @ W",
                "errors[: (window - 1 if (t + 1) % window else 0)] @ W",
            ),
            mend="that is bptt_chunked",
        ),
        mutant(
            "bptt.truncated",
            "truncated_forward",
            "cut the state's past off as well",
            f,
            (
                "S, O = bptt_forward(X, U, W, V, S_0=S_0, activation=activation)",
                "S, O = bptt_forward(X, U, W, V, S_0=S_0, activation=activation);"
                " S, O = S * (len(S) <= window), O",
            ),
        ),
        mutant(
            "bptt.truncated",
            "truncated_s_0",
            "took 0 for S_0 in the gradient of W",
            f,
            ("delta, delta_O, S_0=S_0)", "delta, delta_O, S_0=None)"),
        ),
        mutant(
            "bptt.chunked",
            "chunked_not",
            "let the error cross the borders",
            g,
            ("range(0, len(S), window)", "range(0, len(S), max(len(S), 1))"),
            (
                "piece = slice(start, start + window)",
                "piece = slice(start, None)",
            ),
        ),
        mutant(
            "bptt.chunked",
            "chunked_from_the_end",
            "counted the pieces from the end",
            g,
            (
                "piece = slice(start, start + window)",
                "end = len(S) - start; piece = slice(max(end - window, 0), end)",
            ),
        ),
        mutant(
            "bptt.chunked",
            "chunked_state",
            "began every piece with the state 0 in the gradient of W",
            g,
            (
                "return bptt_gradient(X, S, delta, delta_O, S_0=S_0)",
                "H = W.shape[0]; dU, dW, dV = bptt_gradient(X, S, delta, delta_O, S_0=S_0);"
                " inner = [s for s in range(window, len(S), window)];"
                " lost = sum((delta[s].T @ S[s - 1] for s in inner), np.zeros_like(W));"
                " return dU, dW - lost, dV",
            ),
        ),
        mutant(
            "bptt.chunked",
            "chunked_slides",
            "moved the window by one instead of by its length",
            g,
            ("range(0, len(S), window)", "range(0, max(len(S) - window, 0) + 1, 1)"),
        ),
    ]


def updates() -> list[Mutant]:
    """Gradient descent, clipping, and the three steps in one."""
    f, g = "clip_gradient_norm", "bptt_train_step"
    loss = "((O - Y) * (O - Y)).sum() / 2"
    return [
        mutant(
            "bptt.sgd",
            "sgd_ascent",
            "added the gradient",
            "sgd_step",
            ("theta - eta * g", "theta + eta * g"),
        ),
        mutant(
            "bptt.sgd",
            "sgd_no_rate",
            "ignored the learning rate",
            "sgd_step",
            ("theta - eta * g", "theta - g"),
        ),
        mutant(
            "bptt.sgd",
            "sgd_sign",
            "used the gradient's sign alone",
            "sgd_step",
            ("eta * g", "eta * np.sign(g)"),
        ),
        mutant(
            "bptt.sgd",
            "sgd_decay",
            "decayed the weights as well",
            "sgd_step",
            ("theta - eta * g", "theta * (1 - 1e-4) - eta * g"),
        ),
        mutant(
            "bptt.sgd",
            "sgd_in_half",
            "kept the weights in float16",
            "sgd_step",
            ("theta - eta * g", "wrong.half(theta - eta * g)"),
        ),
        mutant(
            "bptt.clip",
            "clip_each",
            "clipped each array by its own norm",
            f,
            (
                FACTOR,
                "f_U, f_W, f_V = (threshold / np.maximum("
                "root_of_squares(g.reshape(-1), (0,)), threshold) for g in (g_U, g_W, g_V))",
            ),
            (
                "return g_U * factor, g_W * factor, g_V * factor, norm",
                "return g_U * f_U, g_W * f_W, g_V * f_V, norm",
            ),
            mend="one norm and one factor for all three",
        ),
        mutant(
            "bptt.clip",
            "clip_by_value",
            "clipped the elements and not the norm",
            f,
            (
                "return g_U * factor, g_W * factor, g_V * factor, norm",
                "return *(np.clip(g, -threshold, threshold) for g in (g_U, g_W, g_V)), norm",
            ),
        ),
        mutant(
            "bptt.clip",
            "clip_always",
            "scaled small gradients up to the threshold",
            f,
            (FACTOR, "factor = threshold / norm"),
        ),
        mutant(
            "bptt.clip",
            "clip_epsilon",
            "added 1e-6 to the norm, as torch does",
            f,
            (FACTOR, "factor = np.minimum(threshold / (norm + 1e-6), 1).astype(g_U.dtype)"),
        ),
        mutant(
            "bptt.clip",
            "clip_new_norm",
            "returned the norm after clipping",
            f,
            ("g_V * factor, norm", "g_V * factor, np.minimum(norm, threshold).astype(g_U.dtype)"),
        ),
        mutant(
            "bptt.clip",
            "clip_largest",
            "took the largest element for the norm",
            f,
            (JOINT, "norm = max(np.abs(g).max(initial=0) for g in (g_U, g_W, g_V))"),
        ),
        mutant(
            "bptt.clip",
            "norm_overflows",
            "squared the elements without scaling them",
            "root_of_squares",
            (NORM, "np.sqrt((x * x).sum(axis=axes))"),
        ),
        mutant(
            "bptt.loss",
            "loss_no_half",
            "left 1/2 out of the loss",
            g,
            (loss, "((O - Y) * (O - Y)).sum()"),
        ),
        mutant(
            "bptt.loss",
            "loss_mean",
            "averaged the loss",
            g,
            (loss, "((O - Y) * (O - Y)).sum() / 2 / max(O.size, 1)"),
        ),
        mutant(
            "bptt.loss",
            "loss_in_half",
            "summed the loss in float16",
            g,
            (loss, "wrong.total_in_half((O - Y) * (O - Y)) / 2"),
        ),
        mutant(
            "bptt.train_step",
            "error_sign",
            "took Y - O for O - Y",
            g,
            ("W, V, O - Y, activation", "W, V, Y - O, activation"),
        ),
        mutant(
            "bptt.train_step",
            "updated_one_by_one",
            "computed the errors with the updated output weights",
            g,
            (
                "dU, dW, dV = bptt_gradient(X, S, delta, delta_O, S_0=S_0)",
                "_, _, dV = bptt_gradient(X, S, delta, delta_O, S_0=S_0);"
                " V_old = V; V = sgd_step(V, dV, eta=eta);"
                " delta, delta_O = bptt_delta(S, O, W, V, O - Y, activation=activation);"
                " dU, dW, dV = bptt_gradient(X, S, delta, delta_O, S_0=S_0); V = V_old",
            ),
        ),
    ]


def jacobians() -> list[Mutant]:
    """How far an error reaches."""
    f = "state_jacobian"
    line = "(J[t + 1] * slope) @ W"
    return [
        mutant(
            "bptt.state_jacobian",
            "jacobian_transposed",
            "returned the Jacobians transposed",
            f,
            ("return J", "return J.swapaxes(-1, -2)"),
        ),
        mutant(
            "bptt.state_jacobian",
            "jacobian_other_side",
            "multiplied the factors in the opposite order",
            f,
            (line, "W @ (slope.swapaxes(-1, -2) * J[t + 1])"),
        ),
        mutant(
            "bptt.state_jacobian",
            "jacobian_columns",
            "scaled the columns of W with f' instead of the rows",
            f,
            (line, "(J[t + 1] @ W) * slope"),
        ),
        mutant(
            "bptt.state_jacobian",
            "jacobian_no_slope",
            "left f' out, as for a linear network",
            f,
            (line, "J[t + 1] @ W"),
        ),
        mutant(
            "bptt.state_jacobian",
            "jacobian_slope_before",
            "took f' of the state before",
            f,
            ("(S[t])[:, np.newaxis, :]", "(S[max(t - 1, 0)])[:, np.newaxis, :]"),
        ),
        mutant(
            "bptt.state_jacobian",
            "jacobian_one_step",
            "gave each step's own Jacobian instead of the product",
            f,
            (line, "(J[T] * slope) @ W"),
        ),
        mutant(
            "bptt.frobenius_norm",
            "norm_of_absolutes",
            "summed the absolute values for the root of the squares",
            "frobenius_norm",
            (
                "root_of_squares(A, (A.ndim - 2, A.ndim - 1))",
                "np.abs(A).sum(axis=(A.ndim - 2, A.ndim - 1))",
            ),
        ),
        mutant(
            "bptt.frobenius_norm",
            "norm_squared",
            "forgot the root",
            "frobenius_norm",
            (
                "root_of_squares(A, (A.ndim - 2, A.ndim - 1))",
                "(A * A).sum(axis=(A.ndim - 2, A.ndim - 1))",
            ),
        ),
        mutant(
            "bptt.frobenius_norm",
            "norm_spectral",
            "took the largest singular value",
            "frobenius_norm",
            (
                "root_of_squares(A, (A.ndim - 2, A.ndim - 1))",
                "np.linalg.norm(A, 2, axis=(A.ndim - 2, A.ndim - 1))",
            ),
        ),
        mutant(
            "bptt.frobenius_norm",
            "norm_first_axes",
            "summed over the first two axes",
            "frobenius_norm",
            ("(A.ndim - 2, A.ndim - 1)", "(0, 1)"),
        ),
        mutant(
            "bptt.jacobian_bound",
            "bound_gamma_one",
            "took γ = 1 for σ too",
            "jacobian_bound",
            ("(GAMMA[activation] * sigma)", "sigma"),
            mend="σ' is at most 1/4",
        ),
        mutant(
            "bptt.jacobian_bound",
            "bound_gamma_half",
            "took γ = 1/2 for σ",
            "jacobian_bound",
            ("GAMMA[activation]", "GAMMA[activation] ** 0.5"),
        ),
        mutant(
            "bptt.jacobian_bound",
            "bound_shifted",
            "began with one step",
            "jacobian_bound",
            ("return bound", "return bound * (GAMMA[activation] * sigma)"),
        ),
        mutant(
            "bptt.jacobian_bound",
            "bound_linear",
            "multiplied with the number of steps for the power",
            "jacobian_bound",
            (
                "bound[n] * (GAMMA[activation] * sigma)",
                "(n + 1) * (GAMMA[activation] * sigma)",
            ),
        ),
        mutant(
            "bptt.jacobian_bound",
            "bound_by_logarithms",
            "computed the powers through logarithms in float32",
            "jacobian_bound",
            (
                "bound[n] * (GAMMA[activation] * sigma)",
                "np.exp((n + 1) * np.log(GAMMA[activation] * sigma).astype(np.float32))",
            ),
        ),
    ]


def equivalent() -> list[Mutant]:
    """Rewrites that are right: a suite that kills them raises false alarms."""
    return [
        mutant(
            "bptt.delta",
            "equal_distributed",
            "multiplied f' into both sources",
            "bptt_delta",
            (
                DELTA,
                "DERIVATIVES[activation](S[t]) * from_output"
                " + DERIVATIVES[activation](S[t]) * from_next",
            ),
            equivalent=True,
        ),
        mutant(
            "bptt.gradient",
            "equal_one_product",
            "took one product over time and batch for the sum of products",
            "bptt_gradient",
            (
                "dW_t.sum(axis=0)",
                "delta.reshape(-1, S.shape[2]).T @ before(S, S_0).reshape(-1, S.shape[2])",
            ),
            equivalent=True,
        ),
    ]
