"""Wrong GRUs."""

import itertools

from nnspec.conformance.mutants import Mutant, mutant

Z = "z_t = sigmoid(preactivation(hx, W_z, b_z))"
R = "r_t = sigmoid(preactivation(hx, W_r, b_r))"
RHX = "rhx = np.concatenate([r_t * h_prev, x], axis=-1)"
N = "h_new = np.tanh(preactivation(rhx, W, b))"
STATE = "(1 - z_t) * h_prev + z_t * h_new"
FIRST = "hx = np.concatenate([h_prev, x], axis=-1)"


def mutants() -> list[Mutant]:
    """All mutants of the topic."""
    return [*orders(), *step(), *step_vjp(), *sequence(), *reset_after(), *equivalent()]


def orders() -> list[Mutant]:
    """The five wrong orders of the three gates."""
    found = []
    names = ("z", "r", "n")
    for order in itertools.permutations(names):
        if order == names:
            continue
        weights = {"z": "W_z, b_z", "r": "W_r, b_r", "n": "W, b"}
        as_z, as_r, as_n = (weights[name] for name in order)
        found.append(
            mutant(
                "gru.step",
                f"order_{''.join(order)}",
                f"took the weights of the gates in the order {', '.join(order)} for z, r, n",
                "gru_step",
                (Z, Z.replace("W_z, b_z", as_z)),
                (R, R.replace("W_r, b_r", as_r)),
                (N, N.replace("W, b", as_n)),
            )
        )
    return found


def step() -> list[Mutant]:
    """One step."""
    f = "gru_step"
    return [
        mutant(
            "gru.state",
            "z_swapped",
            "exchanged z and 1 - z, as torch, cuDNN, ONNX and Keras define z",
            f,
            (STATE, "z_t * h_prev + (1 - z_t) * h_new"),
            mend="negate W_z and b_z, or weigh the old state with 1 - z",
        ),
        mutant(
            "gru.state",
            "no_leak",
            "left out (1 - z) h: the old state is lost",
            f,
            (STATE, "z_t * h_new"),
        ),
        mutant(
            "gru.state",
            "no_one_minus",
            "added the whole old state",
            f,
            (STATE, "h_prev + z_t * h_new"),
        ),
        mutant(
            "gru.state",
            "z_of_the_reset_state",
            "interpolated with r * h instead of h",
            f,
            (STATE, "(1 - z_t) * (r_t * h_prev) + z_t * h_new"),
        ),
        mutant(
            "gru.candidate",
            "reset_after",
            "reset after the product, the form of cuDNN and torch",
            f,
            (
                N,
                "H = h_prev.shape[-1]; h_new = np.tanh(affine(x, W[:, H:], b=b)"
                " + r_t * affine(h_prev, W[:, :H]))",
            ),
        ),
        mutant(
            "gru.candidate",
            "no_reset",
            "forgot the reset gate",
            f,
            (RHX, RHX.replace("r_t * h_prev", "h_prev")),
        ),
        mutant(
            "gru.candidate",
            "reset_gates_x",
            "reset x as well as h",
            f,
            (RHX, "rhx = np.concatenate([r_t * h_prev, x * r_t.mean(-1, keepdims=True)], -1)"),
        ),
        mutant(
            "gru.candidate",
            "sigmoid_candidate",
            "used the sigmoid for the candidate",
            f,
            (N, N.replace("np.tanh", "sigmoid")),
        ),
        mutant(
            "gru.candidate",
            "linear_candidate",
            "left the tanh out",
            f,
            (N, N.replace("np.tanh", "")),
        ),
        mutant(
            "gru.step",
            "x_first",
            "concatenated [x, h] for [h, x]",
            f,
            (FIRST, FIRST.replace("[h_prev, x]", "[x, h_prev]")),
            (RHX, RHX.replace("[r_t * h_prev, x]", "[x, r_t * h_prev]")),
        ),
        mutant(
            "gru.step",
            "x_first_in_the_gates",
            "concatenated [x, h] in the gates only",
            f,
            (FIRST, FIRST.replace("[h_prev, x]", "[x, h_prev]")),
        ),
        mutant(
            "gru.update_gate",
            "z_from_reset_state",
            "computed z from r * h",
            f,
            (STATE, "(1 - (z_t := sigmoid(preactivation(rhx, W_z, b_z)))) * h_prev + z_t * h_new"),
        ),
        mutant(
            "gru.update_gate",
            "hard_sigmoid",
            "used the hard sigmoid for z",
            f,
            (Z, "z_t = np.clip(preactivation(hx, W_z, b_z) / 6 + 0.5, 0, 1)"),
        ),
        mutant(
            "gru.reset_gate",
            "tanh_reset",
            "used tanh for the reset gate",
            f,
            (R, R.replace("sigmoid", "np.tanh")),
        ),
        mutant(
            "gru.reset_gate",
            "one_minus_r",
            "reset with 1 - r",
            f,
            (RHX, RHX.replace("r_t", "(1 - r_t)")),
        ),
        mutant("gru.bias", "no_bias_z", "ignored b_z", f, (Z, Z.replace("b_z", "None"))),
        mutant("gru.bias", "no_bias_r", "ignored b_r", f, (R, R.replace("b_r", "None"))),
        mutant("gru.bias", "no_bias_n", "ignored b", f, (N, N.replace("W, b)", "W, None)"))),
        mutant(
            "gru.bias",
            "weights_negated_only",
            "swapped z for 1 - z by negating W_z and not b_z",
            f,
            (Z, "z_t = sigmoid(preactivation(hx, -W_z, b_z))"),
            (STATE, "z_t * h_prev + (1 - z_t) * h_new"),
        ),
        mutant(
            "gru.update_gate",
            "clamped_gate",
            "clamped the pre-activation of z to ±18",
            f,
            (Z, "z_t = sigmoid(np.clip(preactivation(hx, W_z, b_z), -18, 18))"),
        ),
        mutant(
            "gru.candidate",
            "tanh_1e4",
            "used a tanh good to 1e-4",
            f,
            (N, N.replace("np.tanh", "wrong.tanh_1e4")),
        ),
        mutant(
            "gru.candidate",
            "tanh_1e6",
            "used a tanh good to 1e-6",
            f,
            (N, N.replace("np.tanh", "wrong.tanh_1e6")),
        ),
        mutant(
            "gru.state",
            "state_in_bfloat16",
            "kept the state in bfloat16",
            f,
            (STATE, "wrong.brain((1 - z_t) * h_prev + z_t * h_new)"),
        ),
        mutant(
            "gru.state",
            "state_in_half",
            "kept the state in float16",
            f,
            (STATE, "wrong.half((1 - z_t) * h_prev + z_t * h_new)"),
        ),
    ]


def step_vjp() -> list[Mutant]:
    """The gradients of one step."""
    f = "gru_step_vjp"
    return [
        mutant(
            "gru.state",
            "vjp_no_leak",
            "dropped dh (1 - z) from the gradient of h_prev",
            f,
            ("dh * (1 - z) + drh * r", "drh * r"),
        ),
        mutant(
            "gru.candidate",
            "vjp_no_reset_path",
            "dropped the path through r * h",
            f,
            ("dh * (1 - z) + drh * r + dhx", "dh * (1 - z) + dhx"),
        ),
        mutant(
            "gru.candidate",
            "vjp_reset_as_one",
            "passed the error through r * h without r",
            f,
            ("+ drh * r +", "+ drh +"),
        ),
        mutant(
            "gru.update_gate",
            "vjp_z_sign",
            "took h - h~ for h~ - h in the gradient of z",
            f,
            ("dh * (n - h_prev) * z", "dh * (h_prev - n) * z"),
        ),
        mutant(
            "gru.update_gate",
            "vjp_z_derivative",
            "used 1 - z² as the derivative of σ",
            f,
            ("(n - h_prev) * z * (1 - z)", "(n - h_prev) * (1 - z * z)"),
        ),
        mutant(
            "gru.reset_gate",
            "vjp_r_without_h",
            "forgot the factor h in the gradient of r",
            f,
            ("da_r = drh * h_prev * r", "da_r = drh * r"),
        ),
        mutant(
            "gru.reset_gate",
            "vjp_no_gate_path",
            "dropped the gates' paths to h and x",
            f,
            ("dhx = da_z @ W_z + da_r @ W_r", "dhx = da_z @ W_z + 0 * (da_r @ W_r)"),
        ),
        mutant(
            "gru.candidate",
            "vjp_weights_of_h",
            "took dW from [h, x] instead of [r * h, x]",
            f,
            ('"dW": da_n.T @ rhx', '"dW": da_n.T @ hx'),
        ),
        mutant(
            "gru.candidate",
            "vjp_preactivation",
            "took tanh' at tanh's own output twice",
            f,
            ("(1 - n * n)", "(1 - np.tanh(n) * np.tanh(n))"),
        ),
        mutant(
            "gru.bias",
            "vjp_batch_mean",
            "averaged the bias gradients over the batch",
            f,
            ("d[name] = da.sum(axis=0)", "d[name] = da.mean(axis=0)"),
        ),
        mutant(
            "gru.step",
            "vjp_x_from_candidate_only",
            "gave dx the candidate's share alone",
            f,
            ("drhx[:, H:] + dhx[:, H:]", "drhx[:, H:]"),
        ),
    ]


def sequence() -> list[Mutant]:
    """Sequences and their gradients."""
    f = "gru_sequence"
    back = "through_time"
    return [
        mutant(
            "gru.initial_state",
            "h_0_ignored",
            "started from zeros whatever h_0 is",
            f,
            ("if h_0 is None else h_0.copy()", "if True else h_0"),
        ),
        mutant(
            "gru.lengths",
            "lengths_ignored",
            "ran every example to T",
            f,
            ("np.full(B, T) if lengths is None else lengths", "np.full(B, T)"),
        ),
        mutant(
            "gru.lengths",
            "last_of_all",
            "gave h[T - 1] as the final state",
            f,
            ("return h, h_t", "return h, (h[-1] if T else h_t)"),
        ),
        mutant(
            "gru.lengths",
            "zero_length_gives_zero",
            "gave 0 as the final state of an example of length 0",
            f,
            ("return h, h_t", "return h, np.where((steps == 0)[:, None], 0, h_t)"),
        ),
        mutant(
            "gru.lengths",
            "padding_holds",
            "repeated the last state in the padding",
            f,
            ("h[t] = np.where(valid, h_new, 0)", "h[t] = h_t"),
        ),
        mutant(
            "gru.lengths",
            "one_too_long",
            "ran one step beyond the length",
            f,
            ("valid = (t < steps)", "valid = (t <= steps)"),
        ),
        mutant(
            "gru.lengths",
            "masked_by_product",
            "masked by multiplying with 0",
            f,
            ("x_t = np.where(valid, X[t], 0)", "x_t = X[t]"),
            ("h_t = np.where(valid, h_new, h_t)", "h_t = valid * h_new + ~valid * h_t"),
            ("h[t] = np.where(valid, h_new, 0)", "h[t] = valid * h_new"),
        ),
        mutant(
            "gru.sequence",
            "first_step_skipped",
            "began with the second step",
            f,
            ("for t in range(T):", "for t in range(1, T):"),
        ),
        mutant(
            "gru.sequence",
            "reversed_time",
            "ran from the last step to the first",
            f,
            ("for t in range(T):", "for t in reversed(range(T)):"),
        ),
        mutant(
            "gru.sequence",
            "batch_first",
            "read X as (B, T, I)",
            f,
            (
                "x_t = np.where(valid, X[t], 0)",
                "x_t = np.where(valid, X.reshape(B, T, -1)[:, t], 0)",
            ),
        ),
        mutant(
            "gru.sequence",
            "state_before",
            "stored the state before the step",
            f,
            (
                "h[t] = np.where(valid, h_new, 0)",
                "h[t] = np.where(valid, h_new, 0); h[t] = (h[t - 1] if t else h[t])",
            ),
        ),
        mutant(
            "gru.sequence",
            "vjp_no_recurrent_error",
            "cut the error that comes back in time",
            back,
            ('d_t = np.where(valid, d["dh_prev"], d_t)', "d_t = 0 * d_t"),
        ),
        mutant(
            "gru.sequence",
            "vjp_not_summed",
            "kept the weight gradient of the first step alone",
            back,
            (
                "dW = {name: total + d[name] for name, total in dW.items()}",
                "dW = {name: d[name] for name, total in dW.items()}",
            ),
        ),
        mutant(
            "gru.sequence",
            "vjp_bias_not_summed",
            "kept the bias gradient of one step",
            back,
            (
                "db = {name: total + d[name] for name, total in db.items()}",
                "db = {name: d[name] for name, total in db.items()}",
            ),
        ),
        mutant(
            "gru.sequence",
            "vjp_no_final_cotangent",
            "ignored the error of the final state",
            back,
            ("d_t = dh_T.copy()", "d_t = 0 * dh_T"),
        ),
        mutant(
            "gru.sequence",
            "vjp_only_final",
            "ignored the errors of the states in between",
            back,
            ("np.where(valid, dh[t] + d_t, 0)", "np.where(valid, d_t, 0)"),
        ),
        mutant(
            "gru.sequence",
            "vjp_wrong_state",
            "took h_t for h_{t-1} in the backward pass",
            back,
            ("h[t - 1] if t > 0 else h_first", "h[t]"),
        ),
        mutant(
            "gru.initial_state",
            "vjp_h_0_zero",
            "took 0 for h_0 in the backward pass",
            back,
            ("h[t - 1] if t > 0 else h_first", "h[t - 1] if t > 0 else 0 * h_first"),
        ),
        mutant(
            "gru.initial_state",
            "vjp_no_dh_0",
            "returned no error for the initial state",
            back,
            ('"dh_0": d_t', '"dh_0": 0 * d_t'),
        ),
        mutant(
            "gru.lengths",
            "vjp_padding_counts",
            "let the errors of padded outputs in",
            back,
            ("np.where(valid, dh[t] + d_t, 0)", "dh[t] + d_t"),
        ),
        mutant(
            "gru.lengths",
            "vjp_final_at_t",
            "sent the final state's error in at T - 1 for all",
            back,
            ('d_t = np.where(valid, d["dh_prev"], d_t)', 'd_t = d["dh_prev"]'),
        ),
        mutant(
            "gru.sequence",
            "vjp_truncated",
            "cut backpropagation off after three steps",
            back,
            (
                'd_t = np.where(valid, d["dh_prev"], d_t)',
                'd_t = np.where(valid, d["dh_prev"], d_t) * (t > T - 3)',
            ),
        ),
    ]


def reset_after() -> list[Mutant]:
    """cuDNN's variant."""
    f, g = "gru_reset_after_step", "gru_reset_after_step_vjp"
    candidate = "np.tanh(affine(x, W_x, b=b) + r_t * affine(h_prev, W_h, b=b_h))"
    return [
        mutant(
            "gru.reset_after",
            "variant_reset_before",
            "reset before the product (the deck's)",
            f,
            (candidate, "np.tanh(affine(x, W_x, b=b) + affine(r_t * h_prev, W_h, b=b_h))"),
        ),
        mutant(
            "gru.reset_after",
            "variant_b_h_outside",
            "added b_h outside of the reset",
            f,
            (
                candidate,
                "np.tanh(affine(x, W_x, b=b) + r_t * affine(h_prev, W_h)"
                " + (0 if b_h is None else b_h))",
            ),
        ),
        mutant(
            "gru.reset_after",
            "variant_b_inside",
            "put b inside the reset",
            f,
            (
                candidate,
                "np.tanh(affine(x, W_x) + r_t * (affine(h_prev, W_h, b=b_h)"
                " + (0 if b is None else b)))",
            ),
        ),
        mutant(
            "gru.reset_after",
            "variant_z_new",
            "took z as the share of the new state",
            f,
            ("(1 - z_t) * h_new + z_t * h_prev", "z_t * h_new + (1 - z_t) * h_prev"),
        ),
        mutant(
            "gru.reset_after",
            "variant_x_first",
            "took the columns of x for those of h",
            f,
            ("W_h, W_x = W[:, :H], W[:, H:]", "W_h, W_x = W[:, -H:], W[:, :-H]"),
        ),
        mutant(
            "gru.reset_after",
            "variant_vjp_b_h",
            "gave b_h the gradient of b",
            g,
            ('("db_h", b_h, dq)', '("db_h", b_h, da_n)'),
        ),
        mutant(
            "gru.reset_after",
            "variant_vjp_r",
            "took h for q in the gradient of r",
            g,
            ("da_r = da_n * q * r", "da_r = da_n * h_prev * r"),
        ),
        mutant(
            "gru.reset_after",
            "variant_vjp_weights",
            "took dW^h from da_n instead of da_n r",
            g,
            ("[dq.T @ h_prev, da_n.T @ x]", "[da_n.T @ h_prev, da_n.T @ x]"),
        ),
        mutant(
            "gru.reset_after_sequence",
            "variant_sequence_deck",
            "ran the deck's step in time",
            "gru_reset_after_sequence",
            (
                "h_new = gru_reset_after_step(",
                "h_new = (lambda *a, b_h=None, **k: gru_step(*a, **k))(",
            ),
        ),
    ]


def equivalent() -> list[Mutant]:
    """Rewrites that are right: a suite that kills them raises false alarms."""
    return [
        mutant(
            "gru.state",
            "equal_interpolation",
            "wrote h + z (h~ - h)",
            "gru_step",
            (STATE, "h_prev + z_t * (h_new - h_prev)"),
            equivalent=True,
        ),
        mutant(
            "gru.update_gate",
            "equal_complement",
            "wrote 1 - z as σ(-a)",
            "gru_step",
            (STATE, "sigmoid(-preactivation(hx, W_z, b_z)) * h_prev + z_t * h_new"),
            equivalent=True,
        ),
    ]
