"""Wrong attention over an image, wrong words, wrong rewards."""

from nnspec.conformance.mutants import Mutant, mutant

SCORES = "(score_layer(a, h_prev, W_a, W_h, b) * v).sum(axis=-1)"
CONTEXT = "beta[:, None] * (alpha[:, :, None] * a).sum(axis=1)"
CELL = "h, c = lstm_step(x, h_prev, c_prev, W_i, W_f, W_g, W_o, **gates)"
LOGITS = "logits = affine(deep_input(y, h, z, E, L_h, L_z), L_o, b=b_y)"
X = "x = np.concatenate([embedding(y, E), z], axis=-1)"
FED = "fed = np.concatenate([begin[None, :], words], axis=0)[:T]"
LACK = "lack = tau - seen(alpha, lengths)"
PENALTY = "lambda_alpha * (lack * lack).sum(axis=-1)"
HARD = "lambda_r * advantage * score + lambda_e * dH"


def mutants() -> list[Mutant]:
    """All mutants of the topic."""
    return [
        *beginning(),
        *attention(),
        *hard(),
        *regulariser(),
        *words(),
        *step(),
        *forward(),
        *loss(),
        *hard_gradient(),
        *policy(),
        *equivalent(),
    ]


def beginning() -> list[Mutant]:
    """What the LSTM starts from."""
    f, g = "captioning_init", "captioning_init_vjp"
    mean = "a.sum(axis=1) / a.shape[1]"
    return [
        mutant(
            "captioning.init",
            "init_sum",
            "took the sum of the annotation vectors for their mean",
            f,
            (mean, "a.sum(axis=1)"),
        ),
        mutant(
            "captioning.init",
            "init_first",
            "took the first annotation vector for the mean",
            f,
            (mean, "a[:, 0]"),
        ),
        mutant(
            "captioning.init",
            "init_linear",
            "left the tanh of c_0 out",
            f,
            ("np.tanh(affine(mean, W_init_c, b=b_init_c))", "affine(mean, W_init_c, b=b_init_c)"),
        ),
        mutant(
            "captioning.init",
            "init_exchanged",
            "exchanged h_0 and c_0",
            f,
            ("return h_0, c_0", "return c_0, h_0"),
        ),
        mutant(
            "captioning.init",
            "init_tanh_1e6",
            "used a tanh good to 1e-6 for h_0",
            f,
            ("h_0 = np.tanh(", "h_0 = wrong.tanh_1e6("),
        ),
        mutant(
            "captioning.init",
            "init_in_bfloat16",
            "averaged the annotation vectors in bfloat16",
            f,
            (mean, "wrong.brain(a).sum(axis=1) / a.shape[1]"),
        ),
        mutant(
            "captioning.init",
            "init_vjp_not_shared",
            "gave every annotation vector the whole error of the mean",
            g,
            ("dmean[:, None, :] / L", "dmean[:, None, :]"),
        ),
        mutant(
            "captioning.init",
            "init_vjp_h_only",
            "dropped the error that comes through c_0",
            g,
            ('d_h["dx"] + d_c["dx"]', 'd_h["dx"] + 0 * d_c["dx"]'),
        ),
    ]


def attention() -> list[Mutant]:
    """Scores, weights, gate and context."""
    layer, f, g = "score_layer", "captioning_soft", "captioning_soft_vjp"
    scores, scores_vjp = "captioning_scores", "captioning_scores_vjp"
    return [
        mutant(
            "captioning.scores",
            "scores_linear",
            "left the tanh of the scores' layer out",
            layer,
            ("np.asarray(np.tanh(s if b is None else s + b))", "s if b is None else s + b"),
        ),
        mutant(
            "captioning.scores",
            "scores_relu",
            "used a rectifier for the scores' tanh",
            layer,
            ("np.tanh(s if b is None else s + b)", "np.maximum(s if b is None else s + b, 0)"),
        ),
        mutant(
            "captioning.scores",
            "scores_no_bias",
            "ignored the bias of the scores' layer",
            layer,
            ("s if b is None else s + b", "s"),
        ),
        mutant(
            "captioning.scores",
            "scores_no_state",
            "scored the locations without the state",
            layer,
            ("(h_prev @ W_h.T)[:, None, :]", "0 * (h_prev @ W_h.T)[:, None, :]"),
        ),
        mutant(
            "captioning.scores",
            "scores_of_a_product",
            "multiplied the location's and the state's part",
            layer,
            ("a @ W_a.T + (h_prev", "a @ W_a.T * (h_prev"),
        ),
        mutant(
            "captioning.scores",
            "scores_tanh_1e6",
            "used a tanh good to 1e-6 in the scores",
            layer,
            ("np.tanh(", "wrong.tanh_1e6("),
        ),
        mutant(
            "captioning.scores",
            "scores_in_half",
            "accumulated the state's part in float16",
            layer,
            ("h_prev @ W_h.T", "wrong.product_in_half(h_prev, W_h.T)"),
        ),
        mutant(
            "captioning.scores",
            "scores_mean",
            "averaged over the hidden layer instead of summing",
            scores,
            (SCORES, SCORES.replace(".sum(", ".mean(")),
        ),
        mutant(
            "captioning.scores",
            "scores_scaled",
            "divided the scores by the root of the layer's width",
            scores,
            (SCORES, SCORES + " / np.sqrt(len(v)).astype(v.dtype)"),
        ),
        mutant(
            "captioning.scores",
            "scores_vjp_first_location",
            "gave the state the error of the first location alone",
            scores_vjp,
            ("ds.sum(axis=1)", "ds[:, :1].sum(axis=1)"),
        ),
        mutant(
            "captioning.scores",
            "scores_vjp_no_derivative",
            "forgot tanh' in the scores",
            scores_vjp,
            ("v * (1 - g * g)", "v * 1"),
        ),
        mutant(
            "captioning.weights",
            "weights_over_the_batch",
            "normalised over the batch instead of the locations",
            f,
            ("softmax(e)", "softmax(e, axis=0)"),
        ),
        mutant(
            "captioning.weights",
            "weights_sigmoid",
            "used a sigmoid for each location",
            f,
            ("softmax(e)", "sigmoid(e)"),
        ),
        mutant(
            "captioning.weights",
            "weights_no_shift",
            "took the exponentials without subtracting the largest score",
            f,
            ("softmax(e)", "np.exp(e) / np.exp(e).sum(axis=-1, keepdims=True)"),
        ),
        mutant(
            "captioning.weights",
            "weights_epsilon",
            "added 1e-6 to the denominator of the softmax",
            f,
            (
                "softmax(e)",
                "(q := np.exp(e - e.max(axis=-1, keepdims=True)))"
                " / (q.sum(axis=-1, keepdims=True) + 1e-6)",
            ),
        ),
        mutant(
            "captioning.gate",
            "no_gate",
            "left the gate β out",
            f,
            (CONTEXT, "(alpha[:, :, None] * a).sum(axis=1)"),
            mend="multiply the context with β",
        ),
        mutant(
            "captioning.gate",
            "gate_inverted",
            "multiplied the context with 1 - β",
            f,
            (CONTEXT, "(1 - " + CONTEXT.replace("beta[:, None] *", "beta[:, None]) *")),
        ),
        mutant(
            "captioning.gate",
            "gate_bias",
            "ignored the gate's bias",
            "gate",
            ("s if b_beta is None else s + b_beta", "s"),
        ),
        mutant(
            "captioning.gate",
            "gate_tanh",
            "used tanh for the gate",
            "gate",
            ("sigmoid(", "np.tanh("),
        ),
        mutant(
            "captioning.gate",
            "gate_clamped",
            "clamped the gate's pre-activation to ±18",
            "gate",
            (
                "s if b_beta is None else s + b_beta",
                "np.clip(s if b_beta is None else s + b_beta, -18, 18)",
            ),
        ),
        mutant(
            "captioning.context",
            "context_mean",
            "took the mean annotation vector for the weighted one",
            f,
            (CONTEXT, "beta[:, None] * a.sum(axis=1) / a.shape[1]"),
        ),
        mutant(
            "captioning.context",
            "context_divided",
            "divided the weighted sum by the number of locations",
            f,
            (CONTEXT, CONTEXT + " / a.shape[1]"),
        ),
        mutant(
            "captioning.context",
            "context_scores",
            "weighed with the scores before the softmax",
            f,
            (CONTEXT, CONTEXT.replace("alpha", "e")),
        ),
        mutant(
            "captioning.context",
            "weights_gated",
            "returned the weights after the gate",
            f,
            ("return z, alpha", "return z, alpha * beta[:, None]"),
        ),
        mutant(
            "captioning.context",
            "soft_vjp_no_alpha",
            "dropped the weights' own error",
            g,
            ("softmax_vjp(e, dalpha + (", "softmax_vjp(e, 0 * dalpha + ("),
        ),
        mutant(
            "captioning.context",
            "soft_vjp_diagonal",
            "passed the error through the softmax as if it were none",
            g,
            (
                'softmax_vjp(e, dalpha + (dmean[:, None, :] * a).sum(axis=-1))["dx"]',
                "dalpha + (dmean[:, None, :] * a).sum(axis=-1)",
            ),
        ),
        mutant(
            "captioning.gate",
            "soft_vjp_gate_derivative",
            "forgot σ' of the gate",
            g,
            (" * beta * (1 - beta)", ""),
        ),
        mutant(
            "captioning.gate",
            "soft_vjp_no_gate",
            "passed the context's error on without the gate",
            g,
            ("dmean = beta[:, None] * dz", "dmean = dz"),
        ),
        mutant(
            "captioning.gate",
            "soft_vjp_gated_mean",
            "took the gated context in the gate's gradient",
            g,
            (
                "ds = (dz * mean).sum(axis=-1)",
                "ds = (dz * mean * beta[:, None]).sum(axis=-1)",
            ),
        ),
    ]


def hard() -> list[Mutant]:
    """One location drawn."""
    below = "np.cumsum(alpha, axis=-1) <= u[:, None]"
    least = "np.minimum(below.sum(axis=-1), last)"
    f, g = "captioning_hard", "captioning_hard_vjp"
    return [
        mutant(
            "captioning.index",
            "edge_inclusive",
            "took the location whose running sum equals u",
            "select",
            (below, below.replace("<=", "<")),
            mend="take the first whose running sum exceeds u",
        ),
        mutant(
            "captioning.index",
            "beyond_the_last",
            "took the last location where the sum stays below u, be its weight 0",
            "select",
            (least, "np.minimum(below.sum(axis=-1), alpha.shape[1] - 1)"),
        ),
        mutant(
            "captioning.index",
            "one_less",
            "took the location before",
            "select",
            (least, "np.maximum(np.minimum(below.sum(axis=-1), last) - 1, 0)"),
        ),
        mutant(
            "captioning.index",
            "most_likely",
            "took the most likely location",
            "select",
            (least, "np.argmax(alpha, axis=-1)"),
        ),
        mutant(
            "captioning.index",
            "from_the_end",
            "ran the sum from the last location",
            "select",
            (
                least,
                "alpha.shape[1] - 1 - (np.cumsum(alpha[:, ::-1], axis=-1)"
                " <= u[:, None]).sum(axis=-1).clip(0, alpha.shape[1] - 1)",
            ),
        ),
        mutant(
            "captioning.hard",
            "hard_weighted",
            "weighed the drawn vector with its probability",
            f,
            (
                "return a[np.arange(a.shape[0]), index], index",
                "n = np.arange(a.shape[0]); return a[n, index] * alpha[n, index][:, None], index",
            ),
        ),
        mutant(
            "captioning.hard",
            "hard_by_product",
            "picked the vector with a one-hot product",
            f,
            (
                "return a[np.arange(a.shape[0]), index], index",
                "one = (np.arange(a.shape[1]) == index[:, None]).astype(a.dtype);"
                " return (one[:, :, None] * a).sum(axis=1), index",
            ),
        ),
        mutant(
            "captioning.hard",
            "hard_vjp_spread",
            "spread the error over all locations",
            g,
            (
                "da[np.arange(a.shape[0]), select(alpha, u)] = dz",
                "da = alpha[:, :, None] * dz[:, None, :]",
            ),
        ),
    ]


def regulariser() -> list[Mutant]:
    """Doubly stochastic attention."""
    f, g = "captioning_regulariser", "captioning_regulariser_vjp"
    clause = "captioning.regulariser"
    return [
        mutant(
            clause,
            "regulariser_axis",
            "summed the weights over the locations instead of time",
            f,
            (LACK, "lack = (tau - within(alpha, lengths).sum(axis=-1)).T"),
            mend="each location's weights over time should add up to tau",
        ),
        mutant(
            clause,
            "regulariser_tau_one",
            "took 1 for tau",
            f,
            (LACK, LACK.replace("tau", "1")),
        ),
        mutant(
            clause,
            "regulariser_tau_per_location",
            "divided T by the number of locations for tau",
            f,
            (LACK, LACK.replace("tau", "len(alpha) / alpha.shape[2]")),
        ),
        mutant(
            clause,
            "regulariser_absolute",
            "took the absolute value for the square",
            f,
            (PENALTY, "lambda_alpha * np.abs(lack).sum(axis=-1)"),
        ),
        mutant(
            clause,
            "regulariser_mean",
            "averaged over the locations",
            f,
            (PENALTY, PENALTY + " / alpha.shape[2]"),
        ),
        mutant(
            clause,
            "regulariser_half",
            "put 1/2 before the square",
            f,
            (PENALTY, PENALTY + " / 2"),
        ),
        mutant(
            clause,
            "regulariser_time_mean",
            "averaged the weights over time",
            f,
            (LACK, "lack = tau - seen(alpha, lengths) / max(len(alpha), 1)"),
        ),
        mutant(
            clause,
            "regulariser_one_sided",
            "punished only what was looked at too little",
            f,
            (LACK, "lack = np.maximum(tau - seen(alpha, lengths), 0)"),
        ),
        mutant(
            clause,
            "regulariser_no_lambda",
            "ignored λ",
            f,
            (PENALTY, "(lack * lack).sum(axis=-1)"),
        ),
        mutant(
            clause,
            "regulariser_padding",
            "counted the weights of padded steps",
            f,
            (LACK, "lack = tau - seen(alpha, None)"),
        ),
        mutant(
            clause,
            "regulariser_in_half",
            "summed the weights over time in float16",
            f,
            (LACK, "lack = tau - wrong.total_in_half(within(alpha, lengths), axis=0)"),
        ),
        mutant(
            clause,
            "regulariser_vjp_sign",
            "gave the gradient the wrong sign",
            g,
            ("-dlack", "dlack"),
        ),
        mutant(
            clause,
            "regulariser_vjp_no_two",
            "forgot the 2 of the square's derivative",
            g,
            ("2 * lambda_alpha", "lambda_alpha"),
        ),
        mutant(
            clause,
            "regulariser_vjp_padding",
            "sent the error into the padded steps too",
            g,
            ("np.where(valid, -dlack, 0)", "np.where(True, -dlack, 0 * alpha)"),
        ),
    ]


def words() -> list[Mutant]:
    """Embedding and deep output."""
    f, g = "captioning_word", "logits_vjp"
    deep = "embedding(y, E) + h @ L_h.T + z @ L_z.T"
    return [
        mutant(
            "captioning.embedding",
            "no_word_wraps",
            "took -1, no word, for the last word",
            "embedding",
            ("np.where(some[:, None], E[np.where(some, y, 0)], 0)", "E[y]"),
        ),
        mutant(
            "captioning.embedding",
            "no_word_is_zero",
            "took -1, no word, for word 0",
            "embedding",
            ("np.where(some[:, None], E[np.where(some, y, 0)], 0)", "E[np.maximum(y, 0)]"),
        ),
        mutant(
            "captioning.embedding",
            "embedding_shifted",
            "looked up the next row of the table",
            "embedding",
            ("E[np.where(some, y, 0)]", "E[(np.where(some, y, 0) + 1) % len(E)]"),
        ),
        mutant(
            "captioning.embedding",
            "embedding_vjp_repeats",
            "kept one error of a word that is repeated",
            "embedding_vjp",
            ("dE[word] = dE[word] + dx[n]", "dE[word] = dx[n]"),
        ),
        mutant(
            "captioning.embedding",
            "embedding_vjp_no_word",
            "gave the last row the errors of -1, no word",
            "embedding_vjp",
            ("if word >= 0:", "if True:"),
        ),
        mutant(
            "captioning.word",
            "word_no_context",
            "left the context out of the word",
            "deep_input",
            (deep, "embedding(y, E) + h @ L_h.T + 0 * (z @ L_z.T)"),
        ),
        mutant(
            "captioning.word",
            "word_no_previous",
            "left the previous word out of the next",
            "deep_input",
            (deep, "h @ L_h.T + z @ L_z.T"),
        ),
        mutant(
            "captioning.word",
            "word_tanh",
            "squashed the sum with tanh",
            "deep_input",
            (deep, f"np.tanh({deep})"),
        ),
        mutant(
            "captioning.word",
            "word_in_bfloat16",
            "multiplied the state in bfloat16",
            "deep_input",
            (deep, deep.replace("h @ L_h.T", "wrong.product_in_brain(h, L_h.T)")),
        ),
        mutant(
            "captioning.word",
            "word_no_bias",
            "ignored the vocabulary's bias",
            f,
            (LOGITS, LOGITS.replace(", b=b_y", "")),
        ),
        mutant(
            "captioning.word",
            "word_softmax_batch",
            "normalised over the batch instead of the vocabulary",
            f,
            ("softmax(logits)", "softmax(logits, axis=0)"),
        ),
        mutant(
            "captioning.word",
            "word_log",
            "returned log p for p",
            f,
            ("softmax(logits)", "log_softmax(logits)"),
        ),
        mutant(
            "captioning.word",
            "word_vjp_no_p",
            "dropped the error of the probabilities",
            "captioning_word_vjp",
            ("dlogits + softmax_vjp(", "dlogits + 0 * softmax_vjp("),
        ),
        mutant(
            "captioning.word",
            "word_vjp_context",
            "passed no error to the context",
            g,
            ('"dz": dn @ L_z', '"dz": 0 * (dn @ L_z)'),
        ),
    ]


def step() -> list[Mutant]:
    """One word."""
    f, g = "captioning_step", "captioning_step_vjp"
    scores = "e = captioning_scores(a, h_prev, W_a, W_h, v, b=b)"
    return [
        mutant(
            "captioning.step",
            "looks_with_the_new_state",
            "looked with the new state, after the LSTM's step",
            f,
            (
                LOGITS,
                "e = captioning_scores(a, h, W_a, W_h, v, b=b);"
                " z, alpha = captioning_soft(a, e, h, w_beta, b_beta=b_beta); " + LOGITS,
            ),
            mend="score the locations with h_{t-1}",
        ),
        mutant(
            "captioning.step",
            "looks_with_the_cell",
            "looked with the cell instead of the hidden state",
            f,
            (scores, scores.replace("h_prev", "c_prev")),
        ),
        mutant(
            "captioning.step",
            "gate_of_the_cell",
            "computed β from the cell instead of the hidden state",
            f,
            ("captioning_soft(a, e, h_prev,", "captioning_soft(a, e, c_prev,"),
        ),
        mutant(
            "captioning.step",
            "word_from_the_old_state",
            "spoke with the state before the step",
            f,
            (LOGITS, LOGITS.replace("(y, h, z", "(y, h_prev, z")),
        ),
        mutant(
            "captioning.step",
            "context_first",
            "concatenated [z, Ey] for [Ey, z]",
            f,
            (X, X.replace("[embedding(y, E), z]", "[z, embedding(y, E)]")),
        ),
        mutant(
            "captioning.step",
            "no_context_in_the_cell",
            "kept the context out of the LSTM",
            f,
            (X, X.replace(", z]", ", 0 * z]")),
        ),
        mutant(
            "captioning.step",
            "no_word_in_the_cell",
            "kept the previous word out of the LSTM",
            f,
            (X, X.replace("[embedding(y, E)", "[0 * embedding(y, E)")),
        ),
        mutant(
            "captioning.step",
            "step_probabilities",
            "returned probabilities for the logits",
            f,
            ("return logits, alpha", "return softmax(logits), alpha"),
        ),
        mutant(
            "captioning.step",
            "step_scores",
            "returned the scores for the weights",
            f,
            ("return logits, alpha", "return logits, e"),
        ),
        mutant(
            "captioning.cell",
            "cell_i_f",
            "exchanged the weights of the input and the forget gate",
            f,
            (CELL, CELL.replace("W_i, W_f", "W_f, W_i")),
        ),
        mutant(
            "captioning.cell",
            "cell_order_ifog",
            "took the LSTM's weights in the order i, f, o, g",
            f,
            (CELL, CELL.replace("W_g, W_o", "W_o, W_g")),
        ),
        mutant(
            "captioning.cell",
            "cell_forget_plus_one",
            "added 1 to the forget gate's bias",
            f,
            (CELL, 'gates["b_f"] = 1 + (0 * W_f[:, 0] if b_f is None else b_f); ' + CELL),
        ),
        mutant(
            "captioning.cell",
            "cell_h_for_c",
            "handed h on as the cell",
            f,
            ("return logits, alpha, h, c", "return logits, alpha, h, h"),
        ),
        mutant(
            "captioning.step",
            "step_vjp_word_context",
            "dropped the context's error that comes from the word",
            g,
            ('dz = d_word.pop("dz") + dx[:, M:]', 'dz = 0 * d_word.pop("dz") + dx[:, M:]'),
        ),
        mutant(
            "captioning.step",
            "step_vjp_cell_context",
            "dropped the context's error that comes from the LSTM",
            g,
            ('dz = d_word.pop("dz") + dx[:, M:]', 'dz = d_word.pop("dz")'),
        ),
        mutant(
            "captioning.step",
            "step_vjp_embedding",
            "dropped the embedding's error that comes from the LSTM",
            g,
            (" + embedding_vjp(y, E, dx[:, :M])", ""),
        ),
        mutant(
            "captioning.step",
            "step_vjp_word_state",
            "dropped the state's error that comes from the word",
            g,
            ('dh + d_word.pop("dh")', 'dh + 0 * d_word.pop("dh")'),
        ),
        mutant(
            "captioning.step",
            "step_vjp_first_path",
            "kept one path's error of the old state and the annotation vectors",
            "sum_of",
            ("first = first + other", "first = first + 0 * other"),
        ),
    ]


def forward() -> list[Mutant]:
    """A whole caption."""
    f, g = "captioning_forward", "captioning_forward_vjp"
    carry = 'dh, dc, da = d_t["dh_prev"], d_t["dc_prev"], da + d_t["da"]'
    return [
        mutant(
            "captioning.previous",
            "fed_the_target",
            "fed each step the word that it should say",
            "previous",
            (FED, "fed = words"),
            mend="feed the caption one step late",
        ),
        mutant(
            "captioning.previous",
            "fed_two_late",
            "fed the caption two steps late",
            "previous",
            (
                FED,
                FED.replace("[begin[None, :], words]", "[begin[None, :], begin[None, :], words]"),
            ),
        ),
        mutant(
            "captioning.previous",
            "first_ignored",
            "ignored the word before the first",
            "previous",
            ("np.full(B, -1) if first is None else first", "np.full(B, -1)"),
        ),
        mutant(
            "captioning.previous",
            "first_is_word_0",
            "began with word 0 instead of no word",
            "previous",
            ("np.full(B, -1)", "np.full(B, 0)"),
        ),
        mutant(
            "captioning.previous",
            "greedy",
            "fed what the step before said instead of the caption's word",
            f,
            (
                "for t in range(T):",
                "fed = fed.copy()\n    for t in range(T):\n"
                "        fed[t] = fed[t] if t == 0 else np.argmax(logits[t - 1], axis=-1)",
            ),
        ),
        mutant(
            "captioning.forward",
            "forward_state_lost",
            "began every step with h_0 and c_0",
            f,
            (
                "for t in range(T):",
                "h_0, c_0 = h, c\n    for t in range(T):\n        h, c = h_0, c_0",
            ),
        ),
        mutant(
            "captioning.forward",
            "forward_padding",
            "left logits beyond the length",
            f,
            ("np.where(valid[t], word, 0)", "word"),
        ),
        mutant(
            "captioning.forward",
            "forward_weights_padding",
            "left weights beyond the length",
            f,
            ("np.where(valid[t], look, 0)", "look"),
        ),
        mutant(
            "captioning.forward",
            "forward_length",
            "ran one step beyond the length",
            "valid_steps",
            ("< steps", "<= steps"),
        ),
        mutant(
            "captioning.init",
            "forward_from_zeros",
            "started from zeros instead of the mean annotation vector",
            f,
            ("for t in range(T):", "h, c = 0 * h, 0 * c\n    for t in range(T):"),
        ),
        mutant(
            "captioning.forward",
            "forward_vjp_no_hidden_error",
            "cut the error that comes back through h",
            g,
            (carry, carry + "; dh = 0 * dh"),
        ),
        mutant(
            "captioning.forward",
            "forward_vjp_no_cell_error",
            "cut the error that comes back through the cell",
            g,
            (carry, carry + "; dc = 0 * dc"),
        ),
        mutant(
            "captioning.forward",
            "forward_vjp_overwritten",
            "kept one step's gradient instead of the sum",
            g,
            ("total + d_t[name] for name", "d_t[name] for name"),
        ),
        mutant(
            "captioning.forward",
            "forward_vjp_image",
            "kept one step's error of the annotation vectors",
            g,
            (carry, carry.replace("da + d_t", "0 * da + d_t")),
        ),
        mutant(
            "captioning.init",
            "forward_vjp_no_init",
            "left the initial layers without gradients",
            g,
            (
                "a, W_init_h, W_init_c, dh, dc, b_init_h",
                "a, W_init_h, W_init_c, 0 * dh, 0 * dc, b_init_h",
            ),
        ),
        mutant(
            "captioning.forward",
            "forward_vjp_padding",
            "let the errors of padded words in",
            g,
            ("np.where(valid[t], dlogits[t], 0)", "dlogits[t]"),
        ),
    ]


def loss() -> list[Mutant]:
    """Likelihood and penalty."""
    f, g, like = "captioning_loss", "captioning_loss_vjp", "log_likelihood"
    line = "penalty - log_likelihood(logits, words, lengths)"
    total = "np.where(valid, each, 0).sum(axis=0)"
    return [
        mutant(
            "captioning.loss",
            "loss_sign",
            "added the log-likelihood",
            f,
            (line, line.replace(" - ", " + ")),
        ),
        mutant(
            "captioning.loss",
            "loss_no_penalty",
            "left the penalty out",
            f,
            (line, line.replace("penalty", "0 * penalty")),
        ),
        mutant(
            "captioning.loss",
            "loss_padding",
            "counted the padding in the likelihood",
            like,
            (total, "each.sum(axis=0)"),
        ),
        mutant(
            "captioning.loss",
            "loss_time_mean",
            "averaged over the words",
            like,
            (total, total + " / np.maximum(valid.sum(axis=0), 1).astype(each.dtype)"),
        ),
        mutant(
            "captioning.loss",
            "loss_base_2",
            "took the logarithm to base 2",
            like,
            (
                "log_softmax(within(logits, lengths))",
                "(log_softmax(within(logits, lengths)) / np.log(2)).astype(logits.dtype)",
            ),
        ),
        mutant(
            "captioning.loss",
            "loss_log_of_softmax",
            "took the logarithm of the softmax",
            like,
            ("log_softmax(within(logits, lengths))", "np.log(softmax(within(logits, lengths)))"),
        ),
        mutant(
            "captioning.loss",
            "loss_log_clamped",
            "clamped the log-probabilities at -100",
            like,
            (
                "log_softmax(within(logits, lengths))",
                "np.maximum(log_softmax(within(logits, lengths)), -100)",
            ),
        ),
        mutant(
            "captioning.loss",
            "loss_next_word",
            "scored each step with the word after its own",
            like,
            (
                "said = np.where(valid, words, 0)",
                "said = np.where(valid, np.roll(words, -1, axis=0), 0)",
            ),
        ),
        mutant(
            "captioning.loss",
            "loss_smoothed",
            "smoothed the labels with 0.1",
            like,
            ("each = log_p[", "each = 0.1 * log_p.mean(axis=-1) + 0.9 * log_p["),
        ),
        mutant(
            "captioning.loss",
            "loss_in_half",
            "summed the log-probabilities in float16",
            like,
            (total, "wrong.total_in_half(np.where(valid, each, 0), axis=0)"),
        ),
        mutant(
            "captioning.loss",
            "loss_vjp_sign",
            "took one-hot - p for p - one-hot",
            g,
            ("np.where(is_word, p - 1, p)", "np.where(is_word, 1 - p, -p)"),
        ),
        mutant(
            "captioning.loss",
            "loss_vjp_padding",
            "sent the error into the padding",
            g,
            ("np.where(valid, wrong * dloss[:, None], 0)", "wrong * dloss[:, None]"),
        ),
        mutant(
            "captioning.loss",
            "loss_vjp_no_cotangent",
            "forgot dloss at the logits",
            g,
            ("wrong * dloss[:, None]", "wrong"),
        ),
        mutant(
            "captioning.loss",
            "loss_vjp_tau",
            "took 1 for tau in the gradient",
            g,
            ('"tau": tau', '"tau": 1.0'),
        ),
    ]


def hard_gradient() -> list[Mutant]:
    """REINFORCE on the drawn locations."""
    f, clause = "captioning_hard_gradient", "captioning.hard_gradient"
    surprise = "np.where(alpha > 0, alpha * log_alpha, 0)"
    dh = "dH = -(surprise + alpha * H)"
    return [
        mutant(
            clause,
            "hard_sign",
            "returned the gradient to descend",
            f,
            (HARD, f"-({HARD})"),
            mend="the clause's gradient is to ascend",
        ),
        mutant(
            clause,
            "lambdas_exchanged",
            "exchanged λ_r and λ_e",
            f,
            (HARD, "lambda_e * advantage * score + lambda_r * dH"),
        ),
        mutant(
            clause,
            "no_lambda_r",
            "ignored λ_r",
            f,
            (HARD, "advantage * score + lambda_e * dH"),
        ),
        mutant(
            clause,
            "hard_no_baseline",
            "ignored the baseline",
            f,
            ("(log_p - baseline)", "log_p"),
        ),
        mutant(
            clause,
            "hard_baseline_added",
            "added the baseline",
            f,
            ("(log_p - baseline)", "(log_p + baseline)"),
        ),
        mutant(
            clause,
            "hard_probability",
            "rewarded with p instead of log p",
            f,
            ("(log_p - baseline)", "(np.exp(log_p) - baseline)"),
        ),
        mutant(
            clause,
            "hard_drawn_only",
            "sent the error to the drawn location alone",
            f,
            ("np.where(drawn, 1 - alpha, -alpha)", "np.where(drawn, 1 - alpha, 0)"),
        ),
        mutant(
            clause,
            "hard_of_the_weights",
            "took the gradient at the weights for the one at the scores",
            f,
            ("np.where(drawn, 1 - alpha, -alpha)", "np.where(drawn, 1 / alpha, 0)"),
        ),
        mutant(
            clause,
            "hard_padding",
            "sent errors into the padding",
            f,
            ("return np.where(valid, de, 0)", "return de"),
        ),
        mutant(
            "captioning.entropy",
            "entropy_sign",
            "took the entropy with the wrong sign",
            f,
            (dh, "dH = surprise + alpha * H"),
        ),
        mutant(
            "captioning.entropy",
            "entropy_no_mean",
            "left the term α H out of the entropy's gradient",
            f,
            (dh, "dH = -surprise"),
        ),
        mutant(
            "captioning.entropy",
            "entropy_with_advantage",
            "multiplied the entropy's gradient with the advantage",
            f,
            (HARD, "advantage * (lambda_r * score + lambda_e * dH)"),
        ),
        mutant(
            "captioning.entropy",
            "entropy_bits",
            "counted the entropy in bits",
            f,
            (dh, dh + " / np.log(2).astype(e.dtype)"),
        ),
        mutant(
            "captioning.entropy",
            "entropy_nan",
            "let 0 log 0 be NaN",
            f,
            (surprise, "alpha * log_alpha"),
        ),
        mutant(
            "captioning.entropy",
            "entropy_log_of_weights",
            "took the logarithm of the weights, with 1e-8 added",
            f,
            (surprise, "alpha * np.log(alpha + 1e-8)"),
        ),
    ]


def policy() -> list[Mutant]:
    """The moving baseline, the reward, and the deck's choice of a location."""
    f, g, r = "captioning_location_policy", "captioning_location_gradient", "captioning_reward"
    new = "decay * baseline + (1 - decay) * mean"
    ds = "advantage * np.where(drawn, 1 - p, -p)"
    back = "ds @ W, ds.reshape(-1, L).T @ state.reshape(-1, H), ds.sum(axis=(0, 1))"
    right = "valid & (np.argmax(within(logits, lengths), axis=-1) == words)"
    return [
        mutant(
            "captioning.baseline",
            "decay_exchanged",
            "weighed the old baseline with 1 - decay",
            "captioning_baseline",
            (new, "(1 - decay) * baseline + decay * mean"),
        ),
        mutant(
            "captioning.baseline",
            "decay_fixed",
            "used a decay of 0.9 whatever is given",
            "captioning_baseline",
            (new, "0.9 * baseline + 0.1 * mean"),
        ),
        mutant(
            "captioning.baseline",
            "baseline_sum",
            "summed over the minibatch",
            "captioning_baseline",
            ("log_p.sum() / log_p.shape[0]", "log_p.sum()"),
        ),
        mutant(
            "captioning.baseline",
            "baseline_no_leak",
            "added the whole new mean",
            "captioning_baseline",
            (new, "decay * baseline + mean"),
        ),
        mutant(
            "captioning.location_policy",
            "policy_most_likely",
            "took the most likely location",
            f,
            ("select(p, u)", "np.argmax(p, axis=-1)"),
        ),
        mutant(
            "captioning.location_policy",
            "policy_no_bias",
            "ignored the policy's bias",
            f,
            ("affine(h, W, b=b)", "affine(h, W)"),
        ),
        mutant(
            "captioning.location_policy",
            "policy_logits",
            "returned the scores for the probabilities",
            f,
            ("return p, select(p, u)", "return affine(h, W, b=b), select(p, u)"),
        ),
        mutant(
            "captioning.location_policy",
            "policy_in_bfloat16",
            "multiplied the policy's scores in bfloat16",
            f,
            ("affine(h, W, b=b)", "wrong.product_in_brain(h, W.T) + (0 if b is None else b)"),
        ),
        mutant(
            "captioning.location_policy",
            "policy_vjp_softmax",
            "skipped the softmax on the way back",
            "captioning_location_policy_vjp",
            ('softmax_vjp(affine(h, W, b=b), dp)["dx"]', "dp"),
        ),
        mutant(
            "captioning.reward",
            "reward_padding",
            "counted padded words as wrong",
            r,
            ("np.maximum(valid.sum(axis=0), 1)", "np.full(words.shape[1], max(len(words), 1))"),
        ),
        mutant(
            "captioning.reward",
            "reward_padding_right",
            "counted padded words too",
            r,
            (right, right.replace("valid & (", "(")),
        ),
        mutant(
            "captioning.reward",
            "reward_sum",
            "counted the right words instead of their share",
            r,
            ("like=logits) / steps", "like=logits)"),
        ),
        mutant(
            "captioning.reward",
            "reward_whole_caption",
            "rewarded only a caption that is right as a whole",
            r,
            ("like=logits) / steps", "like=logits) // steps"),
        ),
        mutant(
            "captioning.reward",
            "reward_last_tie",
            "took the last of equal logits",
            r,
            (
                "np.argmax(within(logits, lengths), axis=-1)",
                "logits.shape[2] - 1 - np.argmax(within(logits, lengths)[..., ::-1], axis=-1)",
            ),
        ),
        mutant(
            "captioning.reward",
            "reward_empty",
            "gave an empty caption the reward NaN",
            r,
            ("np.maximum(valid.sum(axis=0), 1)", "valid.sum(axis=0)"),
        ),
        mutant(
            "captioning.location_gradient",
            "location_sign",
            "returned the policy's gradient to descend",
            g,
            (ds, "-" + ds),
        ),
        mutant(
            "captioning.location_gradient",
            "location_no_baseline",
            "ignored the policy's baseline",
            g,
            ("reward if baseline is None else reward - baseline", "reward"),
        ),
        mutant(
            "captioning.location_gradient",
            "location_drawn_only",
            "sent the error to the drawn location alone",
            g,
            (ds, "advantage * np.where(drawn, 1 - p, 0)"),
        ),
        mutant(
            "captioning.location_gradient",
            "location_batch_mean",
            "averaged dW over the batch",
            g,
            (
                back,
                back.replace("state.reshape(-1, H)", "state.reshape(-1, H) / max(h.shape[1], 1)"),
            ),
        ),
        mutant(
            "captioning.location_gradient",
            "location_padding",
            "let the padded steps count",
            g,
            ("np.where(valid, ds, 0)", "ds"),
        ),
        mutant(
            "captioning.location_gradient",
            "location_weight_transposed",
            "passed the error back with Wᵀ for W",
            g,
            (back, back.replace("ds @ W,", "ds @ W.T,")),
        ),
    ]


def equivalent() -> list[Mutant]:
    """Rewrites that are right: a suite that kills them raises false alarms."""
    return [
        mutant(
            "captioning.context",
            "equal_matmul",
            "took a matrix product for the weighted sum",
            "captioning_soft",
            (CONTEXT, "beta[:, None] * (alpha[:, None, :] @ a)[:, 0]"),
            equivalent=True,
        ),
        mutant(
            "captioning.entropy",
            "equal_entropy",
            "took α out of the entropy's gradient",
            "captioning_hard_gradient",
            (
                "dH = -(surprise + alpha * H)",
                "dH = np.where(alpha > 0, -alpha * (log_alpha + H), 0)",
            ),
            equivalent=True,
        ),
        mutant(
            "captioning.regulariser",
            "equal_negated",
            "squared Σα - τ for τ - Σα",
            "captioning_regulariser",
            (LACK, "lack = seen(alpha, lengths) - tau"),
            equivalent=True,
        ),
    ]
