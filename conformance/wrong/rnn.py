"""Wrong RNNs and wrong backpropagation through time."""

from nnspec.conformance.mutants import Mutant, mutant

A = "a = affine(x, U, b=b) + S_prev @ W.T"


def mutants() -> list[Mutant]:
    """All mutants of the topic."""
    return [*step(), *outputs(), *sequence(), *sequence_vjp(), *types(), *equivalent()]


def step() -> list[Mutant]:
    """The state's equation and its gradients."""
    f, g = "rnn_step", "rnn_step_vjp"
    return [
        mutant(
            "rnn.state",
            "w_transposed",
            "multiplied the state with W instead of its transpose",
            f,
            (A, A.replace("W.T", "W")),
        ),
        mutant(
            "rnn.state",
            "no_state",
            "forgot the recurrent term",
            f,
            (A, "a = affine(x, U, b=b) + 0 * S_prev"),
        ),
        mutant(
            "rnn.state",
            "no_input",
            "forgot the input term",
            f,
            (A, "a = 0 * affine(x, U, b=b) + S_prev @ W.T"),
        ),
        mutant("rnn.state", "no_bias", "ignored the bias", f, (A, A.replace("b=b", "b=None"))),
        mutant(
            "rnn.state",
            "bias_twice",
            "added the bias with the input and with the state",
            f,
            (A, A + " + (0 if b is None else b)"),
        ),
        mutant("rnn.state", "linear", "left the tanh out", f, ("return tanh(a)", "return a")),
        mutant(
            "rnn.state",
            "sigmoid_for_tanh",
            "used the sigmoid whatever the activation",
            f,
            ("return tanh(a)", "return sigmoid(a)"),
        ),
        mutant(
            "rnn.state_sigmoid",
            "tanh_for_sigmoid",
            "used tanh whatever the activation",
            f,
            ("return sigmoid(a)", "return tanh(a)"),
        ),
        mutant(
            "rnn.state_sigmoid",
            "naive_sigmoid",
            "wrote σ as e^a / (1 + e^a)",
            f,
            ("return sigmoid(a)", "return np.exp(a) / (1 + np.exp(a))"),
        ),
        mutant(
            "rnn.state_sigmoid",
            "clamped_sigmoid",
            "clamped the pre-activation of σ to ±18",
            f,
            ("return sigmoid(a)", "return sigmoid(np.clip(a, -18, 18))"),
        ),
        mutant(
            "rnn.state",
            "exponential_tanh",
            "wrote tanh by exponentials",
            f,
            ("return tanh(a)", "return (np.exp(a) - np.exp(-a)) / (np.exp(a) + np.exp(-a))"),
        ),
        mutant(
            "rnn.state",
            "tanh_1e6",
            "used a tanh good to 1e-6",
            f,
            ("return tanh(a)", "return wrong.tanh_1e6(a)"),
        ),
        mutant(
            "rnn.state",
            "weights_in_bfloat16",
            "multiplied in bfloat16",
            f,
            (A, "a = affine(x, U, b=b) + wrong.product_in_brain(S_prev, W.T)"),
        ),
        mutant(
            "rnn.state",
            "accumulated_in_half",
            "accumulated the product in float16",
            f,
            (A, "a = affine(x, U, b=b) + wrong.product_in_half(S_prev, W.T)"),
        ),
        mutant(
            "rnn.state",
            "flushed",
            "flushed subnormal inputs to zero",
            f,
            (A, "a = affine(wrong.flush(x), U, b=b) + wrong.flush(S_prev) @ W.T"),
        ),
        mutant(
            "rnn.state",
            "vjp_w_transposed",
            "passed the error back with Wᵀ for W",
            g,
            ('"dS_prev": delta @ W,', '"dS_prev": delta @ W.T,'),
        ),
        mutant(
            "rnn.state",
            "vjp_dw_transposed",
            "returned dW transposed",
            g,
            ('"dW": delta.T @ S_prev', '"dW": S_prev.T @ delta'),
        ),
        mutant(
            "rnn.state",
            "vjp_dw_from_new_state",
            "took dW from S_t for S_{t-1}",
            g,
            ('"dW": delta.T @ S_prev', '"dW": delta.T @ S'),
        ),
        mutant(
            "rnn.state",
            "vjp_batch_mean",
            "averaged the weight gradients over the batch",
            g,
            ('"dU": delta.T @ x', '"dU": delta.T @ x / max(len(x), 1)'),
        ),
        mutant(
            "rnn.state",
            "vjp_no_derivative",
            "forgot the activation's derivative",
            g,
            ("delta = dS * DERIVATIVES[activation](S)", "delta = dS * 1"),
        ),
        mutant(
            "rnn.state",
            "vjp_derivative_twice",
            "took the derivative at tanh S for S",
            g,
            ("DERIVATIVES[activation](S)", "DERIVATIVES[activation](ACTIVATIONS[activation](S))"),
        ),
        mutant(
            "rnn.state_sigmoid",
            "vjp_tanh_derivative",
            "used 1 - S² for σ too",
            g,
            ("DERIVATIVES[activation](S)", 'DERIVATIVES["tanh"](S)'),
        ),
    ]


def outputs() -> list[Mutant]:
    """The output's equation."""
    f, g = "rnn_output", "rnn_output_vjp"
    return [
        mutant(
            "rnn.output",
            "output_linear",
            "left the tanh of the output out",
            f,
            ("return f(affine(S, V, b=c))", "return affine(S, V, b=c)"),
        ),
        mutant(
            "rnn.output",
            "output_no_bias",
            "ignored the output's bias",
            f,
            ("affine(S, V, b=c)", "affine(S, V)"),
        ),
        mutant(
            "rnn.output",
            "output_of_tanh",
            "squashed the state once more",
            f,
            ("affine(S, V, b=c)", "affine(np.tanh(S), V, b=c)"),
        ),
        mutant(
            "rnn.output",
            "output_vjp_no_derivative",
            "forgot tanh' of the output",
            g,
            ("dO * DERIVATIVES[activation](O_t)", "dO"),
        ),
        mutant(
            "rnn.deep_output",
            "deep_no_tanh",
            "fed the bare score to the hidden layer",
            "rnn_deep_output",
            ("rnn_output(S, V, c=c)", 'rnn_output(S, V, c=c, activation="identity")'),
        ),
        mutant(
            "rnn.deep_output",
            "deep_squashed",
            "squashed the last layer too",
            "rnn_deep_output",
            ("activation=activation)", 'activation=activation, output_activation="tanh")'),
        ),
        mutant(
            "rnn.deep_output",
            "deep_activation",
            "ignored the activation",
            "rnn_deep_output",
            ("activation=activation)", 'activation="tanh")'),
        ),
        mutant(
            "rnn.deep_output",
            "deep_vjp_first_layer",
            "stopped the error at the hidden layer",
            "rnn_deep_output_vjp",
            ('dO = d_layers.pop("dx")', 'dO = 0 * d_layers.pop("dx")'),
        ),
    ]


def sequence() -> list[Mutant]:
    """The recurrence over time."""
    f = "rnn_sequence"
    return [
        mutant(
            "rnn.initial_state",
            "s_0_ignored",
            "started from zeros whatever S_0 is",
            "initial_state",
            ("return zero if S_0 is None else S_0.copy()", "return zero"),
        ),
        mutant(
            "rnn.lengths",
            "lengths_ignored",
            "ran every example to T",
            f,
            ("valid = valid_steps(X, lengths)", "valid = valid_steps(X, None)"),
        ),
        mutant(
            "rnn.lengths",
            "last_of_all",
            "gave S[T - 1] as the final state",
            f,
            ("return S, S_t", "return S, (S[-1] if len(S) else S_t)"),
        ),
        mutant(
            "rnn.lengths",
            "zero_length_gives_zero",
            "gave 0 as the final state of an example of length 0 (onnxruntime does)",
            f,
            ("return S, S_t", "return S, np.where(valid.any(axis=0), S_t, 0)"),
        ),
        mutant(
            "rnn.lengths",
            "padding_holds",
            "repeated the last state in the padding",
            f,
            ("S[t] = np.where(valid[t], S_next, 0)", "S[t] = np.where(valid[t], S_next, S_t)"),
        ),
        mutant(
            "rnn.lengths",
            "length_off_by_one",
            "ran one step beyond the length",
            "valid_steps",
            ("< lengths[", "<= lengths["),
        ),
        mutant(
            "rnn.lengths",
            "masked_by_product",
            "masked by multiplying with 0",
            f,
            ("X_t = np.where(valid[t], X[t], 0)", "X_t = X[t]"),
            ("S_t = np.where(valid[t], S_next, S_t)", "S_t = valid[t] * S_next + ~valid[t] * S_t"),
            ("S[t] = np.where(valid[t], S_next, 0)", "S[t] = valid[t] * S_next"),
        ),
        mutant(
            "rnn.sequence",
            "first_step_skipped",
            "began with the second step",
            f,
            ("for t in range(len(X)):", "for t in range(1, len(X)):"),
        ),
        mutant(
            "rnn.sequence",
            "reversed_time",
            "ran from the last step to the first",
            f,
            ("for t in range(len(X)):", "for t in reversed(range(len(X))):"),
        ),
        mutant(
            "rnn.sequence",
            "batch_first",
            "read X as (B, T, I)",
            f,
            (
                "X_t = np.where(valid[t], X[t], 0)",
                "X_t = np.where(valid[t], X.reshape(X.shape[1], len(X), -1)[:, t], 0)",
            ),
        ),
        mutant(
            "rnn.sequence",
            "stale_state",
            "read the state of two steps ago",
            f,
            ("S_next = rnn_step(X_t, S_t,", "S_next = rnn_step(X_t, S[t - 2] if t > 1 else S_t,"),
        ),
        mutant(
            "rnn.unrolled",
            "unrolled_reversed",
            "nested the times in the wrong order",
            "rnn_unrolled",
            ("for X_t in X:", "for X_t in X[::-1]:"),
        ),
        mutant(
            "rnn.unrolled",
            "unrolled_cut",
            "nested the last eight times only",
            "rnn_unrolled",
            ("for X_t in X:", "for X_t in X[-8:]:"),
        ),
        mutant(
            "rnn.unrolled",
            "unrolled_no_inner",
            "forgot f around the inner brackets",
            "rnn_unrolled",
            (
                "nested = f(affine(X_t, U, b=b) + nested @ W.T)",
                "nested = affine(X_t, U, b=b) + nested @ W.T",
            ),
            ("return nested", "return f(nested)"),
        ),
    ]


def sequence_vjp() -> list[Mutant]:
    """Backpropagation through time."""
    f = "rnn_sequence_vjp"
    return [
        mutant(
            "rnn.sequence",
            "bptt_no_recurrent_error",
            "dropped the error from time t + 1",
            f,
            ("dS_next = np.where(valid[t], delta @ W, dS_next)", "dS_next = 0 * dS_next"),
        ),
        mutant(
            "rnn.sequence",
            "bptt_no_output_error",
            "dropped the error of the outputs in between",
            f,
            ("(dS[t] + dS_next)", "(0 * dS[t] + dS_next)"),
        ),
        mutant(
            "rnn.sequence",
            "bptt_overwritten",
            "kept one time's gradient instead of the sum",
            f,
            ("dW = dW + delta.T @ S_prev", "dW = delta.T @ S_prev"),
        ),
        mutant(
            "rnn.sequence",
            "bptt_input_overwritten",
            "kept one time's gradient of U",
            f,
            ("dU = dU + delta.T @ X_t", "dU = delta.T @ X_t"),
        ),
        mutant(
            "rnn.sequence",
            "bptt_bias_overwritten",
            "kept one time's gradient of the bias",
            f,
            ("db = db + delta.sum(axis=0)", "db = delta.sum(axis=0)"),
        ),
        mutant(
            "rnn.sequence",
            "bptt_new_state",
            "took dW from S_t for S_{t-1}",
            f,
            ("S[t - 1] if t > 0 else S_first", "S[t]"),
        ),
        mutant(
            "rnn.sequence",
            "bptt_truncated",
            "cut backpropagation off after four steps",
            f,
            (
                "dS_next = np.where(valid[t], delta @ W, dS_next)",
                "dS_next = np.where(valid[t], delta @ W, dS_next) * (t > len(X) - 4)",
            ),
        ),
        mutant(
            "rnn.sequence",
            "bptt_w_transposed",
            "passed the error back with Wᵀ for W",
            f,
            ("delta @ W, dS_next)", "delta @ W.T, dS_next)"),
        ),
        mutant(
            "rnn.sequence",
            "bptt_no_derivative",
            "forgot f' on the way back",
            f,
            (" * DERIVATIVES[activation](S[t])", ""),
        ),
        mutant(
            "rnn.sequence",
            "bptt_time_mean",
            "averaged the weight gradient over time",
            f,
            ('"dW": dW,', '"dW": dW / max(len(X), 1),'),
        ),
        mutant(
            "rnn.initial_state",
            "bptt_no_s_0_error",
            "returned no error for S_0",
            f,
            ('"dS_0": dS_next', '"dS_0": 0 * dS_next'),
        ),
        mutant(
            "rnn.initial_state",
            "bptt_s_0_zero",
            "took 0 for S_0 in the backward pass",
            f,
            ("S[t - 1] if t > 0 else S_first", "S[t - 1] if t > 0 else 0 * S_first"),
        ),
        mutant(
            "rnn.sequence",
            "bptt_no_final_error",
            "ignored the error of the final state",
            f,
            ("dS_next = dS_T.copy()", "dS_next = 0 * dS_T"),
        ),
        mutant(
            "rnn.lengths",
            "bptt_padding_counts",
            "let the errors of padded outputs in",
            f,
            (
                "delta = np.where(valid[t], (dS[t] + dS_next) * DERIVATIVES[activation](S[t]), 0)",
                "delta = (dS[t] + dS_next) * DERIVATIVES[activation](S[t])",
            ),
        ),
        mutant(
            "rnn.lengths",
            "bptt_final_at_t",
            "sent the final state's error in at T - 1",
            f,
            ("delta @ W, dS_next)", "delta @ W, delta @ W)"),
        ),
    ]


def types() -> list[Mutant]:
    """The five types of sequence."""
    return [
        mutant(
            "rnn.one_to_one",
            "one_to_one_no_tanh",
            "left the output's tanh out",
            "rnn_one_to_one",
            ("rnn_output(S, V, c=c)", 'rnn_output(S, V, c=c, activation="identity")'),
        ),
        mutant(
            "rnn.one_to_many",
            "repeats_x",
            "fed x at every step",
            "rnn_one_to_many",
            ("outputs[t] = X_t", "outputs[t] = X_t; X_t = x"),
        ),
        mutant(
            "rnn.one_to_many",
            "feeds_zeros",
            "fed zeros after the first step",
            "rnn_one_to_many",
            ("outputs[t] = X_t", "outputs[t] = X_t; X_t = 0 * x"),
        ),
        mutant(
            "rnn.one_to_many",
            "no_feedback_error",
            "did not pass the error back through the fed-back output",
            "rnn_one_to_many_vjp",
            ("dO[t] + dx_next", "dO[t]"),
        ),
        mutant(
            "rnn.one_to_many",
            "one_step_short",
            "made one output too few",
            "rnn_one_to_many",
            ("for t in range(steps):", "for t in range(steps - 1):"),
        ),
        mutant(
            "rnn.many_to_one",
            "mean_over_time",
            "averaged the states over time",
            "rnn_many_to_one",
            ("_, S_T = rnn_sequence(", "S_T, S_last = rnn_sequence("),
            (
                "return rnn_output(S_T,",
                "S_T = S_T.mean(axis=0) if len(S_T) else S_last; return rnn_output(S_T,",
            ),
        ),
        mutant(
            "rnn.many_to_one",
            "last_step_of_padding",
            "took the state at T - 1",
            "rnn_many_to_one",
            ("_, S_T = rnn_sequence(", "S_T, S_last = rnn_sequence("),
            (
                "return rnn_output(S_T,",
                "S_T = S_T[-1] if len(S_T) else S_last; return rnn_output(S_T,",
            ),
        ),
        mutant(
            "rnn.many_to_many",
            "padding_speaks",
            "gave tanh(c) in the padding",
            "rnn_many_to_many",
            (
                "np.where(valid_steps(X, lengths), rnn_output(S, V, c=c), 0)",
                "rnn_output(S, V, c=c)",
            ),
        ),
        mutant(
            "rnn.many_to_many",
            "padding_errors",
            "let the errors of padded outputs in",
            "rnn_many_to_many_vjp",
            ("np.where(valid_steps(X, lengths), dO, 0)", "dO"),
        ),
        mutant(
            "rnn.encoder_decoder",
            "decoder_from_zero",
            "started the decoder from zeros",
            "rnn_encoder_decoder",
            ('{"S_0": S_T,', '{"S_0": 0 * S_T,'),
        ),
        mutant(
            "rnn.encoder_decoder",
            "one_bias",
            "used the encoder's bias in the decoder",
            "rnn_encoder_decoder",
            ('"b": b_d,', '"b": b_e,'),
        ),
        mutant(
            "rnn.encoder_decoder",
            "encoder_untrained",
            "did not pass the error back into the encoder",
            "rnn_encoder_decoder_vjp",
            ('d_decoder.pop("dS_0")', '0 * d_decoder.pop("dS_0")'),
        ),
        mutant(
            "rnn.encoder_decoder",
            "lengths_dropped",
            "ran the encoder over its padding",
            "rnn_encoder_decoder",
            ("lengths=lengths", "lengths=None"),
        ),
    ]


def equivalent() -> list[Mutant]:
    """Rewrites that are right."""
    return [
        mutant(
            "rnn.state",
            "equal_one_product",
            "multiplied [x, S] with [U, W] at once",
            "rnn_step",
            (A, "a = affine(np.concatenate([x, S_prev], -1), np.concatenate([U, W], -1), b=b)"),
            equivalent=True,
        ),
    ]
