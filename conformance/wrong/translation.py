"""Wrong translations."""

from nnspec.conformance.mutants import Mutant, mutant

SCORE = "attention_dot_scores(h_d[t], shown)"
CONTEXT = "(seen[..., np.newaxis] * shown).sum(axis=1)"
TILDE = "np.tanh(affine(ch, W_c, b=b_c))"
CH = "ch = np.concatenate([c, h], axis=-1)"
LOSS = "return cross_entropy(logits[valid], target[valid])"
ENDED = "ended = ended | (word == end)"


def mutants() -> list[Mutant]:
    """All mutants of the topic."""
    return [
        *attention(),
        *state(),
        *step_vjp(),
        *encoder(),
        *forward(),
        *forward_vjp(),
        *loss(),
        *greedy(),
        *beam(),
        *equivalent(),
    ]


def attention() -> list[Mutant]:
    """a(t, j) and the context."""
    f, g = "translation_attention", "translation_context"
    c, d = "translation.attention", "translation.context"
    return [
        mutant(
            c,
            "attention_scaled",
            "divided the scores by √H, as the Transformer does",
            f,
            (SCORE, f"{SCORE} / np.sqrt(h_d.shape[-1]).astype(h_d.dtype)"),
            mend="a(t, j) takes h_j · h_t as it is",
        ),
        mutant(
            c,
            "attention_over_targets",
            "took the softmax over the target's words",
            f,
            (
                "    return a",
                "    s = np.stack([attention_dot_scores(q, shown) for q in h_d]) if len(h_d) else"
                " a\n    e = np.exp(s - s.max(axis=0)) if len(h_d) else a\n    return"
                " np.where(valid, e / e.sum(axis=0), 0).astype(a.dtype)",
            ),
            mend="the weights of one target word sum to 1 over the source",
        ),
        mutant(
            c,
            "attention_lengths_ignored",
            "attended to the source's padding",
            f,
            ("attended(h_e[..., 0], lengths, None)", "attended(h_e[..., 0], None, None)"),
        ),
        mutant(
            c,
            "attention_state_before",
            "took the query of the step before",
            f,
            (SCORE, SCORE.replace("[t]", "[max(t - 1, 0)]")),
        ),
        mutant(
            c,
            "attention_not_normalised",
            "gave the scores for the weights",
            f,
            (
                "a[t] = attention_weights(",
                "a[t] = np.where(valid, attention_dot_scores(h_d[t], shown), 0) if True else"
                " attention_weights(",
            ),
        ),
        mutant(
            c,
            "attention_padding_nan",
            "read the padding's states, and let a NaN there through",
            f,
            ("shown = np.where(valid[..., np.newaxis], h_e, 0)", "shown = h_e"),
            ("    return a", "    return a + 0 * shown[..., 0]"),
        ),
        mutant(
            c,
            "attention_in_brain",
            "rounded the states to bfloat16",
            f,
            (SCORE, "attention_dot_scores(wrong.brain(h_d[t]), wrong.brain(shown))"),
        ),
        mutant(
            c,
            "attention_vjp_no_sum",
            "left out the sum in ds = a (da - Σ a da)",
            "translation_attention_vjp",
            ("a * (da_valid - (a * da_valid).sum(axis=1, keepdims=True))", "a * da_valid"),
        ),
        mutant(
            c,
            "attention_vjp_last",
            "kept the last target word's share of dh_e alone",
            "translation_attention_vjp",
            ('dh_e = dh_e + d["dkeys"]', 'dh_e = d["dkeys"]'),
        ),
        mutant(
            d,
            "context_mean",
            "divided the weighted sum by the number of source words",
            g,
            (CONTEXT, CONTEXT.replace("sum", "mean")),
        ),
        mutant(
            d,
            "context_lengths_ignored",
            "added the padding's states",
            g,
            ("attended(h_e[..., 0], lengths, None)", "attended(h_e[..., 0], None, None)"),
        ),
        mutant(
            d,
            "context_padding_nan",
            "multiplied the padding's states with 0, which lets a NaN through",
            g,
            ("shown = np.where(valid[..., np.newaxis], h_e, 0)", "shown = h_e"),
        ),
        mutant(
            d,
            "context_largest",
            "took the state of the largest weight",
            g,
            (
                CONTEXT,
                f"(({CONTEXT}) * 0 + np.take_along_axis(shown[None], seen.argmax(axis=1)[:, None,"
                f" :, None], axis=1)[:, 0]) if len(shown) else {CONTEXT}",
            ),
        ),
        mutant(
            d,
            "context_vjp_states",
            "gave the states' gradient of the first target word alone",
            "translation_context_vjp",
            (
                "(seen[..., np.newaxis] * dc_t).sum(axis=0)",
                "(seen[..., np.newaxis] * dc_t)[:1].sum(axis=0)",
            ),
        ),
        mutant(
            d,
            "context_vjp_padding",
            "let the padding's weights have gradients",
            "translation_context_vjp",
            ("np.where(valid, (dc_t * shown).sum(axis=-1), 0)", "(dc_t * h_e).sum(axis=-1)"),
        ),
    ]


def state() -> list[Mutant]:
    """The attentional state, and one step."""
    f, g = "translation_attentional_state", "translation_step"
    c, d, o = "translation.attentional_state", "translation.decoder", "translation.output"
    return [
        mutant(
            c,
            "state_first",
            "concatenated [h; c] for [c; h]",
            f,
            (CH, CH.replace("[c, h]", "[h, c]")),
            mend="the context comes first",
        ),
        mutant(c, "tilde_linear", "left the tanh out", f, (TILDE, "affine(ch, W_c, b=b_c)")),
        mutant(
            c,
            "tilde_sigmoid",
            "used σ for tanh",
            f,
            (TILDE, "0.5 + 0.5 * np.tanh(affine(ch, W_c, b=b_c) * 0.5)"),
        ),
        mutant(c, "tilde_no_bias", "ignored b_c", f, ("b=b_c", "b=None")),
        mutant(
            c,
            "tilde_no_context",
            "left the context out",
            f,
            (CH, CH.replace("[c, h]", "[0 * c, h]")),
        ),
        mutant(
            c, "tilde_no_state", "left the state out", f, (CH, CH.replace("[c, h]", "[c, 0 * h]"))
        ),
        mutant(
            c,
            "tilde_tanh_1e4",
            "used a tanh good to 1e-4",
            f,
            (TILDE, TILDE.replace("np.tanh", "wrong.tanh_1e4")),
        ),
        mutant(
            c,
            "tilde_tanh_1e6",
            "used a tanh good to 1e-6",
            f,
            (TILDE, TILDE.replace("np.tanh", "wrong.tanh_1e6")),
        ),
        mutant(
            c,
            "tilde_vjp_exchanged",
            "exchanged the context's and the state's gradients",
            "translation_attentional_state_vjp",
            ('dch[:, :H], "dh": dch[:, H:]', 'dch[:, H:], "dh": dch[:, :H]'),
        ),
        mutant(
            c,
            "tilde_vjp_linear",
            "left the tanh's derivative out",
            "translation_attentional_state_vjp",
            ("dh_tilde * (1 - h_tilde * h_tilde)", "dh_tilde"),
        ),
        mutant(
            d,
            "bahdanau",
            "looked at the source from the state before, h_{t-1}, as Bahdanau does",
            g,
            ("translation_attention(h[np.newaxis]", "translation_attention(h_prev[np.newaxis]"),
            mend="the query is the new state h_t",
        ),
        mutant(d, "decoder_no_bias", "ignored b_d", g, ("b=b_d", "b=None")),
        mutant(
            d,
            "decoder_no_input",
            "left the word before out",
            g,
            ("rnn_step(x, h_prev", "rnn_step(0 * x, h_prev"),
        ),
        mutant(
            d,
            "decoder_tilde_as_state",
            "handed h~ to the next step, where the sizes allow it",
            g,
            (
                "return logits, h, a[0]",
                "return logits, (h_tilde if h_tilde.shape == h.shape else h), a[0]",
            ),
        ),
        mutant(
            d,
            "decoder_lengths_ignored",
            "attended to the source's padding",
            g,
            ("h[np.newaxis], h_e, lengths=lengths", "h[np.newaxis], h_e, lengths=None"),
            ("translation_context(a, h_e, lengths=lengths)", "translation_context(a, h_e)"),
        ),
        mutant(o, "output_no_bias", "ignored b_y", g, ("b=b_y", "b=None")),
        mutant(
            o,
            "output_probabilities",
            "gave probabilities for the logits",
            g,
            (
                "return logits, h",
                "logits = np.exp(logits); logits = logits / logits.sum(-1, keepdims=True); return"
                " logits, h",
            ),
        ),
        mutant(
            o,
            "output_log_probabilities",
            "gave log-probabilities for the logits",
            g,
            ("return logits, h", "logits = log_softmax(logits); return logits, h"),
        ),
        mutant(
            o,
            "output_in_brain",
            "rounded the last product's operands to bfloat16",
            g,
            ("affine(h_tilde, W_y", "affine(wrong.brain(h_tilde), wrong.brain(W_y)"),
        ),
    ]


def step_vjp() -> list[Mutant]:
    """The gradients of one step."""
    f, d = "translation_step_vjp", "translation.decoder"
    return [
        mutant(
            d,
            "vjp_no_query",
            "dropped the state's gradient as a query",
            f,
            (' + d_weights["dh_d"][0]', ""),
        ),
        mutant(
            d,
            "vjp_no_mixed",
            "dropped the state's gradient in the attentional state",
            f,
            ("dh + dh_mixed + ", "dh + "),
        ),
        mutant(
            d,
            "vjp_no_next",
            "dropped the gradient that comes from the next step",
            f,
            ("dh + dh_mixed + ", "dh_mixed + "),
        ),
        mutant(
            d,
            "vjp_no_weights",
            "ignored the error of the weights",
            f,
            ('d_seen["da"] + da[np.newaxis]', 'd_seen["da"]'),
        ),
        mutant(
            d,
            "vjp_states_by_context",
            "gave the encoder's states the context's gradient alone",
            f,
            ('d_seen["dh_e"] + d_weights["dh_e"]', 'd_seen["dh_e"]'),
        ),
        mutant(
            d,
            "vjp_states_by_scores",
            "gave the encoder's states the scores' gradient alone",
            f,
            ('d_seen["dh_e"] + d_weights["dh_e"]', 'd_weights["dh_e"]'),
        ),
        mutant(
            d,
            "vjp_constant_weights",
            "took the attention weights for constants in the backward pass",
            f,
            ('d_seen["da"] + da[np.newaxis]', '0 * d_seen["da"]'),
        ),
    ]


def encoder() -> list[Mutant]:
    """The encoder."""
    f, c = "encode", "translation.encoder"
    call = "return rnn_sequence(X, U_e, W_e, b=b_e, lengths=lengths)"
    return [
        mutant(
            c,
            "source_reversed",
            "read the source backwards, as Sutskever does",
            f,
            (
                "X = embedding(within(source, lengths, 0), E_s)",
                "X = embedding(within(source, lengths, 0), E_s)[::-1]",
            ),
            mend="the source is read in its order",
        ),
        mutant(
            c,
            "encoder_lengths_ignored",
            "read the source's padding",
            f,
            ("lengths=lengths)", "lengths=None)"),
        ),
        mutant(c, "encoder_no_bias", "ignored b_e", f, ("b=b_e", "b=None")),
        mutant(
            c,
            "encoder_first_state",
            "handed the first state to the decoder",
            f,
            (call, f"h = {call[7:]}[0]; return h, (h[0] if len(h) else 0 * {call[7:]}[1])"),
        ),
        mutant(
            c,
            "encoder_padded_state",
            "handed the state at the last place to the decoder, padding or not",
            f,
            (call, f"h, h_T = {call[7:]}; return h, (h[-1] if len(h) else h_T)"),
        ),
        mutant(
            c,
            "encoder_mean_state",
            "handed the mean of the states to the decoder",
            f,
            (call, f"h, h_T = {call[7:]}; return h, (h.mean(axis=0) if len(h) else h_T)"),
        ),
    ]


def forward() -> list[Mutant]:
    """The whole network with the words that are known."""
    f, g = "words_before", "translation_forward"
    c, d = "translation.teacher_forcing", "translation.forward"
    before = "np.concatenate([first, target])[: len(target)]"
    return [
        mutant(
            c,
            "not_shifted",
            "read the word that is to be predicted",
            f,
            (before, "target"),
            mend="step t reads target[t - 1], and the start word at t = 0",
        ),
        mutant(
            c,
            "shifted_twice",
            "read the target two words late",
            f,
            (before, "np.concatenate([first, first, target])[: len(target)]"),
        ),
        mutant(
            c,
            "shifted_back",
            "read the target one word early",
            f,
            (before, "np.concatenate([target[1:], first])[: len(target)]"),
        ),
        mutant(
            c,
            "start_ignored",
            "began with word 0 whatever the start word is",
            f,
            ("np.full((1, target.shape[1]), start)", "np.full((1, target.shape[1]), 0)"),
        ),
        mutant(
            c,
            "first_word_for_start",
            "began with the target's first word",
            f,
            ("first = np.full((1, target.shape[1]), start)", "first = target[:1]"),
        ),
        mutant(
            d,
            "decoder_from_zero",
            "began the decoder at 0 instead of the encoder's last state",
            g,
            (
                "valid = attended(target, target_lengths, None)",
                "valid = attended(target, target_lengths, None); h = 0 * h",
            ),
        ),
        mutant(
            d,
            "padding_has_logits",
            "gave logits beyond the target's length",
            g,
            ("np.where(valid[t][:, np.newaxis], scores, 0)", "scores"),
        ),
        mutant(
            d,
            "padding_has_weights",
            "gave weights beyond the target's length",
            g,
            ("np.where(valid[t], weights, 0)", "weights"),
        ),
        mutant(
            d,
            "state_not_kept",
            "began every step at the encoder's last state",
            g,
            ("scores, h, weights = translation_step(", "scores, _, weights = translation_step("),
        ),
        mutant(
            d,
            "forward_lengths_ignored",
            "attended to the source's padding",
            g,
            ('"lengths": lengths', '"lengths": None'),
        ),
        mutant(
            d,
            "biases_exchanged",
            "used the encoder's bias in the decoder",
            g,
            ('{"b_d": b_d,', '{"b_d": b_e,'),
        ),
    ]


def forward_vjp() -> list[Mutant]:
    """Backpropagation through both networks."""
    f, d = "translation_forward_vjp", "translation.forward"
    return [
        mutant(
            d,
            "vjp_no_first_state",
            "cut the path from the decoder's first state to the encoder",
            f,
            ("dh_e, dh, b=b_e", "dh_e, 0 * dh, b=b_e"),
        ),
        mutant(
            d,
            "vjp_no_attended_states",
            "cut the path from the attention to the encoder",
            f,
            ("dh_e, dh, b=b_e", "0 * dh_e, dh, b=b_e"),
        ),
        mutant(
            d,
            "vjp_attended_once",
            "kept one target word's gradient of the encoder's states",
            f,
            ('dh_e = dh_e + d_t["dh_e"]', 'dh_e = d_t["dh_e"]'),
        ),
        mutant(
            d,
            "vjp_not_summed",
            "kept the weights' gradient of the first step alone",
            f,
            ("d = {name: total + d_t[name]", "d = {name: d_t[name]"),
        ),
        mutant(
            d,
            "vjp_truncated",
            "did not carry the error from step to step",
            f,
            ('dX[t], dh = d_t["dx"], d_t["dh_prev"]', 'dX[t] = d_t["dx"]'),
        ),
        mutant(
            d,
            "vjp_padding_counts",
            "let the errors beyond the target's length in",
            f,
            ("np.where(valid[t][:, np.newaxis], dlogits[t], 0)", "dlogits[t]"),
        ),
        mutant(
            d,
            "vjp_words_not_shifted",
            "gave the target's table the gradients of the words that are predicted",
            f,
            (
                "embedding_vjp(before, E_t, dX)",
                "embedding_vjp(within(target, target_lengths, start), E_t, dX)",
            ),
        ),
        mutant(
            "translation.encoder",
            "vjp_encoder_lengths",
            "let the padding's errors into the encoder",
            f,
            ("dh_e, dh, b=b_e, lengths=lengths", "dh_e, dh, b=b_e, lengths=None"),
        ),
    ]


def loss() -> list[Mutant]:
    """The mean over all words."""
    f, g, c = "translation_loss", "translation_loss_vjp", "translation.loss"
    own = (
        "-(np.take_along_axis(log_softmax(logits), within(target, target_lengths, 0)[..., None],"
        " 2)[..., 0] * valid)"
    )
    return [
        mutant(
            c,
            "loss_sum",
            "summed over the words for the mean",
            f,
            (
                LOSS,
                f"{LOSS} * max(valid.sum(), 1).astype(logits.dtype)".replace(
                    "max(valid.sum(), 1)", "np.maximum(valid.sum(), 1)"
                ),
            ),
        ),
        mutant(
            c,
            "loss_padding_counted",
            "counted the padding in the mean's denominator",
            f,
            (
                LOSS,
                f"{LOSS} * (valid.sum() / max(valid.size, 1)).astype(logits.dtype)".replace(
                    "(valid.sum() / max(valid.size, 1))",
                    "np.asarray(valid.sum() / max(valid.size, 1))",
                ),
            ),
            mend="divide by the number of words, not by N B",
        ),
        mutant(
            c,
            "loss_padding_included",
            "took the padding's words into the loss",
            f,
            (
                LOSS,
                "t = within(target, target_lengths, 0).reshape(-1); return"
                " cross_entropy(logits.reshape(len(t), -1), t)",
            ),
        ),
        mutant(
            c,
            "loss_by_sentence",
            "took the mean of the sentences' means",
            f,
            (
                LOSS,
                f"n = valid.sum(axis=0); return (({own}).sum(axis=0) / np.maximum(n,"
                " 1)).astype(logits.dtype).sum() / np.maximum((n > 0).sum(),"
                " 1).astype(logits.dtype)",
            ),
        ),
        mutant(
            c,
            "loss_over_sentences",
            "summed over each sentence and took the mean of the sentences",
            f,
            (LOSS, f"return ({own}).sum() / np.maximum(valid.shape[1], 1).astype(logits.dtype)"),
        ),
        mutant(
            c,
            "loss_bits",
            "took logarithms to the base 2",
            f,
            (LOSS, f"{LOSS} / np.log(2).astype(logits.dtype)"),
        ),
        mutant(
            c,
            "loss_sign",
            "gave the log-probability for the loss",
            f,
            (LOSS, LOSS.replace("return ", "return -")),
        ),
        mutant(
            c,
            "loss_softmax_twice",
            "gave probabilities to a loss that expects logits",
            f,
            (
                LOSS,
                "p = np.exp(log_softmax(logits[valid])); return cross_entropy(p, target[valid])",
            ),
        ),
        mutant(
            c,
            "loss_wrong_axis",
            "normalised over the batch, not over the words",
            f,
            (
                LOSS,
                "M = np.maximum(valid.sum(), 1).astype(logits.dtype); l = log_softmax(logits,"
                " axis=1) if logits.size else logits; return -(np.take_along_axis(l,"
                " within(target, target_lengths, 0)[..., None], 2)[..., 0] * valid).sum() / M",
            ),
        ),
        mutant(
            c,
            "loss_log_of_softmax",
            "took the logarithm of 1e-7 more than the probability",
            f,
            (
                LOSS,
                "p = np.exp(log_softmax(logits[valid]))[np.arange(valid.sum()), target[valid]];"
                " return -np.log(p + p.dtype.type(1e-7)).sum() / p.dtype.type(max(len(p), 1))",
            ),
        ),
        mutant(
            c,
            "loss_word_read",
            "took the loss of the word that was read, not of the next",
            f,
            (
                LOSS,
                "return cross_entropy(logits[valid], words_before(target, target_lengths,"
                " start)[valid])",
            ),
        ),
        mutant(
            c,
            "loss_vjp_sum",
            "forgot the mean in the backward pass",
            g,
            (
                "target[valid], dloss)",
                "target[valid], dloss * np.maximum(valid.sum(), 1).astype(logits.dtype))",
            ),
        ),
        mutant(
            c,
            "loss_vjp_padding_counted",
            "divided by N B in the backward pass",
            g,
            (
                "target[valid], dloss)",
                "target[valid], dloss * np.asarray(valid.sum() / max(valid.size,"
                " 1)).astype(logits.dtype))",
            ),
        ),
        mutant(
            c,
            "loss_vjp_target",
            "left the 1 of the right word out of the gradient",
            g,
            (
                "dlogits[valid] = cross_entropy_vjp(logits[valid], target[valid], dloss)"
                '["dlogits"]',
                "dlogits[valid] = np.exp(log_softmax(logits[valid])) * dloss /"
                " np.maximum(valid.sum(), 1).astype(logits.dtype)",
            ),
        ),
    ]


def greedy() -> list[Mutant]:
    """The most probable word at each step."""
    f, c = "translation_greedy", "translation.greedy"
    choice = "word = np.where(ended, end, logits.argmax(axis=-1))"
    return [
        mutant(
            c,
            "greedy_last_tie",
            "took the last of words with the same score",
            f,
            ("logits.argmax(axis=-1)", "logits.shape[1] - 1 - logits[:, ::-1].argmax(axis=-1)"),
            mend="of equals the first",
        ),
        mutant(
            c,
            "greedy_goes_on",
            "went on after the end word",
            f,
            (choice, "word = logits.argmax(axis=-1)"),
        ),
        mutant(
            c,
            "greedy_all_stop",
            "stopped the whole batch at the first end word",
            f,
            (ENDED, "ended = ended | (word == end).any()"),
        ),
        mutant(
            c,
            "greedy_end_not_counted",
            "left the end word out of the length",
            f,
            (
                "length = length + ~ended\n        " + ENDED,
                ENDED + "\n        length = length + ~ended",
            ),
        ),
        mutant(
            c,
            "greedy_full_length",
            "gave the number of steps for the length",
            f,
            ("length = length + ~ended", "length = length + 1"),
        ),
        mutant(
            c,
            "greedy_starts_with_0",
            "began with word 0 whatever the start word is",
            f,
            ("np.full(B, start)", "np.full(B, 0)"),
        ),
        mutant(
            c,
            "greedy_reads_start",
            "read the start word at every step",
            f,
            ("x = embedding(word, E_t)", "x = embedding(np.full(B, start), E_t)"),
        ),
        mutant(
            c,
            "greedy_state_lost",
            "began every step at the encoder's last state",
            f,
            ("logits, h, _ = translation_step", "logits, _, _ = translation_step"),
        ),
        mutant(
            c,
            "greedy_padding_zero",
            "filled up with 0 after the end word",
            f,
            ("tokens[t] = word", "tokens[t] = np.where(t < length, word, 0)"),
        ),
        mutant(
            c, "greedy_least", "took the least probable word", f, ("logits.argmax", "logits.argmin")
        ),
        mutant(
            c,
            "greedy_no_lengths",
            "attended to the source's padding",
            f,
            ('"lengths": lengths}', '"lengths": None}'),
        ),
    ]


def beam() -> list[Mutant]:
    """The search."""
    f, g = "translation_beam", "continuations"
    c, s = "translation.beam", "translation.beam_score"
    kept = "continued.append([hypothesis])\n"
    best = "tokens[: len(beam[0].words), n] = beam[0].words"
    return [
        mutant(
            c,
            "beam_ended_dropped",
            "dropped a hypothesis once it had ended",
            f,
            (kept, "pass\n"),
            (
                "beam = most_probable(continued, width)",
                "beam = most_probable(continued, width) or beam",
            ),
        ),
        mutant(
            c,
            "beam_ended_goes_on",
            "went on after the end word",
            f,
            ("if hypothesis.ended:", "if False:"),
        ),
        mutant(
            c,
            "beam_stops_at_first_end",
            "took the first hypothesis that ended for the result",
            f,
            (
                "beam = most_probable(continued, width)",
                "beam = most_probable(continued, width)\n            if any(b.ended for b in"
                " beam):\n                beam = [next(b for b in beam if b.ended)]\n"
                "                break",
            ),
        ),
        mutant(
            c,
            "beam_outside",
            "kept ended hypotheses beside the beam, where they take no place",
            f,
            (
                "beam = most_probable(continued, width)",
                "beam = most_probable(continued, width + sum(b.ended for b in beam))",
            ),
        ),
        mutant(
            c,
            "beam_by_length",
            "divided the score by the length for the choice of the best",
            f,
            (
                best,
                "beam = sorted(beam, key=lambda b: float(b.score) / max(len(b.words), 1),"
                " reverse=True)\n        " + best,
            ),
            mend="no normalisation by length",
        ),
        mutant(
            c,
            "beam_greedy",
            "kept one hypothesis whatever the width",
            f,
            ("most_probable(continued, width)", "most_probable(continued, 1)"),
        ),
        mutant(
            c,
            "beam_one_wider",
            "kept one hypothesis more",
            f,
            ("most_probable(continued, width)", "most_probable(continued, width + 1)"),
        ),
        mutant(
            c,
            "beam_one_each",
            "kept the best continuation of each hypothesis",
            f,
            (
                "continued.append(continuations(hypothesis, logits, h, end))",
                "continued.append(continuations(hypothesis, logits, h, end)[: width if len(beam) <"
                " 2 else 1])",
            ),
        ),
        mutant(
            c,
            "beam_starts_with_0",
            "began with word 0 whatever the start word is",
            f,
            ("if hypothesis.words else start", "if hypothesis.words else 0"),
        ),
        mutant(
            c,
            "beam_state_of_the_source",
            "began every step at the encoder's last state",
            f,
            ("x, hypothesis.h,", "x, h_0[n : n + 1],"),
        ),
        mutant(
            c,
            "beam_state_shared",
            "continued every hypothesis with the best one's state",
            f,
            ("x, hypothesis.h,", "x, beam[0].h,"),
        ),
        mutant(
            c,
            "beam_length_of_steps",
            "gave the number of steps for the length",
            f,
            ("length[n], score[n] = len(beam[0].words)", "length[n], score[n] = steps"),
        ),
        mutant(
            c,
            "beam_worst",
            "gave the worst hypothesis of the beam",
            f,
            (best, "beam = beam[::-1]; " + best),
        ),
        mutant(
            s,
            "beam_score_of_the_last",
            "kept the last word's log-probability for the score",
            g,
            ("score=hypothesis.score + log_p[word]", "score=log_p[word]"),
        ),
        mutant(
            s,
            "beam_score_logits",
            "added logits for log-probabilities",
            g,
            ("hypothesis.score + log_p[word]", "hypothesis.score + logits[0, word]"),
        ),
        mutant(
            s,
            "beam_score_probability",
            "gave the probability for its logarithm",
            f,
            ("beam[0].score\n", "np.exp(beam[0].score)\n"),
        ),
        mutant(
            s,
            "beam_score_bits",
            "took logarithms to the base 2",
            g,
            ("log_p[word]", "log_p[word] / np.log(2).astype(logits.dtype)"),
        ),
        mutant(
            s,
            "beam_score_mean",
            "gave the mean of the words' log-probabilities",
            f,
            ("beam[0].score\n", "beam[0].score / max(len(beam[0].words), 1)\n"),
        ),
        mutant(
            s,
            "beam_higher_word",
            "put the higher word first of equals",
            g,
            ("sorted(range(len(log_p)),", "sorted(reversed(range(len(log_p))),"),
        ),
    ]


def equivalent() -> list[Mutant]:
    """Rewrites that are right: a suite that kills them raises false alarms."""
    return [
        mutant(
            "translation.attentional_state",
            "equal_two_products",
            "multiplied context and state with their halves of W_c",
            "translation_attentional_state",
            (
                TILDE,
                "np.tanh(affine(c, W_c[:, : c.shape[-1]], b=b_c) + affine(h, W_c[:, c.shape[-1]"
                " :]))",
            ),
            equivalent=True,
        ),
        mutant(
            "translation.greedy",
            "equal_of_log_probabilities",
            "took the largest of the scores less 1",
            "translation_greedy",
            ("logits.argmax(axis=-1)", "(logits * 2).argmax(axis=-1)"),
            equivalent=True,
        ),
    ]
