"""Wrong attention over locations."""

from nnspec.conformance.mutants import Mutant, mutant

DOT = "(keys * query).sum(axis=-1)"
GENERAL = "(keys * (query @ W)).sum(axis=-1)"
HIDDEN = "np.tanh(a if b is None else a + b)"
VALID = "within if mask is None else within & mask"
E = "e = np.where(valid, np.exp(np.where(valid, shown - shift, zero)), 0)"
WEIGHTS = "return np.where(valid, e / np.where(some, e.sum(axis=0), 1), 0)"
INDEX = "index = np.minimum((cumulated <= u).sum(axis=0), last)"
GRADIENT = "np.where(valid, -advantage * log_gradient / len(reward), 0)"


def mutants() -> list[Mutant]:
    """All mutants of the topic."""
    return [
        *scores(),
        *scores_vjp(),
        *masks(),
        *weights(),
        *soft(),
        *hard(),
        *score_gradient(),
        *equivalent(),
    ]


def scores() -> list[Mutant]:
    """Dot, general and additive."""
    d, g, a = "attention_dot_scores", "attention_general_scores", "attention_additive_scores"
    h = "additive_hidden"
    return [
        mutant(
            "attention.dot_scores",
            "dot_scaled",
            "divided by √D, as the Transformer does",
            d,
            (DOT, f"{DOT} / np.sqrt(query.shape[-1]).astype(query.dtype)"),
            mend="this score is not scaled",
        ),
        mutant(
            "attention.dot_scores",
            "dot_mean",
            "took the mean of the products for their sum",
            d,
            (DOT, "(keys * query).mean(axis=-1)"),
        ),
        mutant(
            "attention.dot_scores",
            "dot_cosine",
            "took the cosine of the angle between key and query",
            d,
            (DOT, f"{DOT} / np.sqrt((keys * keys).sum(-1) * (query * query).sum(-1))"),
        ),
        mutant(
            "attention.dot_scores",
            "dot_in_half",
            "summed the products in float16",
            d,
            (DOT, "wrong.total_in_half(keys * query, axis=2)"),
        ),
        mutant(
            "attention.general_scores",
            "general_transposed",
            "multiplied with W's transpose, h_jᵀ W q",
            g,
            (GENERAL, "(keys * (query @ W.T)).sum(axis=-1)"),
            mend="the rows of W belong to the query: qᵀ W h_j",
        ),
        mutant(
            "attention.general_scores",
            "general_no_matrix",
            "left W out where the sizes allow it",
            g,
            (
                GENERAL,
                "(keys * (query if query.shape[-1] == keys.shape[-1] else query @ W)).sum(axis=-1)",
            ),
        ),
        mutant(
            "attention.general_scores",
            "general_scaled",
            "divided by √D",
            g,
            (GENERAL, f"{GENERAL} / np.sqrt(query.shape[-1]).astype(query.dtype)"),
        ),
        mutant(
            "attention.general_scores",
            "general_in_brain",
            "rounded query and W to bfloat16",
            g,
            (GENERAL, "(keys * wrong.product_in_brain(query, W)).sum(axis=-1)"),
        ),
        mutant(
            "attention.additive_scores",
            "additive_linear",
            "left the tanh out",
            h,
            (HIDDEN, "a if b is None else a + b"),
        ),
        mutant(
            "attention.additive_scores",
            "additive_relu",
            "used the ReLU for tanh",
            h,
            (HIDDEN, "np.maximum(a if b is None else a + b, 0)"),
        ),
        mutant(
            "attention.additive_scores",
            "additive_sigmoid",
            "used σ for tanh",
            h,
            (HIDDEN, "0.5 + 0.5 * np.tanh((a if b is None else a + b) * 0.5)"),
        ),
        mutant(
            "attention.additive_scores",
            "additive_two_tanhs",
            "took the tanh of each product and added them",
            h,
            (
                "a = query @ W_q.T + keys @ W_k.T",
                "a = np.tanh(query @ W_q.T) + np.tanh(keys @ W_k.T)",
            ),
            (HIDDEN, "a if b is None else a + b"),
        ),
        mutant(
            "attention.additive_scores", "additive_no_bias", "ignored b", h, (HIDDEN, "np.tanh(a)")
        ),
        mutant(
            "attention.additive_scores",
            "additive_bias_outside",
            "added b outside the tanh",
            h,
            (HIDDEN, "np.tanh(a) + (0 if b is None else b)"),
        ),
        mutant(
            "attention.additive_scores",
            "additive_no_query",
            "left the query out",
            h,
            ("a = query @ W_q.T +", "a = 0 * (query @ W_q.T) +"),
        ),
        mutant(
            "attention.additive_scores",
            "additive_exchanged",
            "used W_q for the keys and W_k for the query, where the sizes allow it",
            h,
            (
                "a = query @ W_q.T + keys @ W_k.T",
                "a = query @ W_k.T + keys @ W_q.T if W_q.shape == W_k.shape else query @ W_q.T +"
                " keys @ W_k.T",
            ),
        ),
        mutant(
            "attention.additive_scores",
            "additive_no_v",
            "summed the hidden layer without v",
            a,
            ("(n * v).sum", "n.sum"),
        ),
        mutant(
            "attention.additive_scores",
            "additive_tanh_1e4",
            "used a tanh good to 1e-4",
            h,
            (HIDDEN, HIDDEN.replace("np.tanh", "wrong.tanh_1e4")),
        ),
        mutant(
            "attention.additive_scores",
            "additive_tanh_1e6",
            "used a tanh good to 1e-6",
            h,
            (HIDDEN, HIDDEN.replace("np.tanh", "wrong.tanh_1e6")),
        ),
        mutant(
            "attention.additive_scores",
            "additive_clamped",
            "clamped the tanh's argument to ±1",
            h,
            (HIDDEN, "np.tanh(np.clip(a if b is None else a + b, -1, 1))"),
        ),
    ]


def scores_vjp() -> list[Mutant]:
    """The gradients of the scores."""
    d, g = "attention_dot_scores_vjp", "attention_general_scores_vjp"
    a = "attention_additive_scores_vjp"
    return [
        mutant(
            "attention.dot_scores",
            "dot_vjp_mean",
            "averaged the query's gradient over the locations",
            d,
            ("(de * keys).sum(axis=0)", "(de * keys).mean(axis=0)"),
        ),
        mutant(
            "attention.dot_scores",
            "dot_vjp_keys_alone",
            "gave each key the sum of all locations' errors",
            d,
            ('"dkeys": de * query', '"dkeys": de.sum(axis=0) * query + 0 * keys'),
        ),
        mutant(
            "attention.general_scores",
            "general_vjp_transposed",
            "gave W the gradient of its transpose, where it is square",
            g,
            ("query.T @ dqW", "(dqW.T @ query if W.shape[0] == W.shape[1] else query.T @ dqW)"),
        ),
        mutant(
            "attention.general_scores",
            "general_vjp_no_matrix",
            "left W out of the keys' gradient, where the sizes allow it",
            g,
            (
                '"dkeys": d["dkeys"]',
                '"dkeys": dscores[..., None] * query if W.shape[0] == W.shape[1] else d["dkeys"]',
            ),
        ),
        mutant(
            "attention.additive_scores",
            "additive_vjp_linear",
            "left the tanh's derivative out",
            a,
            ("de * v * (1 - n * n)", "de * v + 0 * n"),
        ),
        mutant(
            "attention.additive_scores",
            "additive_vjp_query_mean",
            "averaged the query's gradient over the locations",
            a,
            ("da_q = da.sum(axis=0)", "da_q = da.mean(axis=0)"),
        ),
        mutant(
            "attention.additive_scores",
            "additive_vjp_last_location",
            "kept the last location's share of dW_k alone",
            a,
            ("da.reshape(-1, len(v)).T @ keys.reshape(-1, keys.shape[-1])", "da[-1].T @ keys[-1]"),
        ),
        mutant(
            "attention.additive_scores",
            "additive_vjp_v",
            "took dv from what goes into the tanh",
            a,
            ("(de * n).sum", "(de * np.arctanh(np.clip(n, -0.999, 0.999))).sum"),
        ),
        mutant(
            "attention.additive_scores",
            "additive_vjp_bias_mean",
            "averaged the bias's gradient over locations and examples",
            a,
            ("da.sum(axis=(0, 1))", "da.mean(axis=(0, 1))"),
        ),
    ]


def masks() -> list[Mutant]:
    """Which locations take part."""
    f, c = "attended", "attention.mask"
    return [
        mutant(
            c,
            "polarity",
            "took True for a location to leave out",
            f,
            (VALID, "within if mask is None else within & ~mask"),
            mend="True takes part: negate the mask",
        ),
        mutant(c, "mask_ignored", "ignored the mask", f, (VALID, "within")),
        mutant(
            c,
            "mask_or_length",
            "let a location take part that either the mask or the length allows",
            f,
            (VALID, "within if mask is None else mask if lengths is None else within | mask"),
        ),
        mutant(
            c,
            "mask_instead_of_length",
            "let a mask take the place of the lengths",
            f,
            (VALID, "within if mask is None else mask"),
        ),
        mutant(c, "lengths_ignored", "ignored the lengths", f, ("if lengths is None", "if True")),
        mutant(
            c,
            "one_too_long",
            "let one location beyond the length take part",
            f,
            ("locations < lengths", "locations <= lengths"),
        ),
        mutant(
            c,
            "one_too_short",
            "left the last location of the length out",
            f,
            ("locations < lengths", "locations < lengths - 1"),
        ),
        mutant(
            c,
            "lengths_at_the_front",
            "took the padding to be in front",
            f,
            ("locations < lengths", "locations >= len(scores) - lengths"),
        ),
    ]


def weights() -> list[Mutant]:
    """The softmax over the locations."""
    f, c = "attention_weights", "attention.weights"
    return [
        mutant(
            c,
            "softmax_over_batch",
            "took the softmax over the examples",
            f,
            (
                "shift = np.where(some, largest, 0)",
                "some, largest = valid.any(axis=1, keepdims=True), np.where(valid, shown,"
                " -np.inf).max(axis=1, keepdims=True, initial=-np.inf)\n    shift = np.where(some,"
                " largest, 0)",
            ),
            (WEIGHTS, WEIGHTS.replace("e.sum(axis=0)", "e.sum(axis=1, keepdims=True)")),
            mend="locations come first: axis 0",
        ),
        mutant(
            c,
            "nan_without_location",
            "gave NaN where nothing takes part",
            f,
            (
                WEIGHTS,
                "return np.where(some, np.where(valid, e / np.where(some, e.sum(axis=0), 1), 0),"
                " np.nan).astype(scores.dtype)",
            ),
            mend="weights are 0 where nothing takes part",
        ),
        mutant(
            c,
            "uniform_without_location",
            "gave equal weights where nothing takes part",
            f,
            (
                WEIGHTS,
                "return np.where(some, np.where(valid, e / np.where(some, e.sum(axis=0), 1), 0), 1"
                " / max(len(scores), 1)).astype(scores.dtype)",
            ),
        ),
        mutant(
            c,
            "minus_1e9",
            "masked with -1e9 instead of leaving the location out",
            f,
            (
                E,
                "shown = np.where(valid, scores, -1e9).astype(scores.dtype); e = np.exp(shown -"
                " shown.max(axis=0, initial=-3e38))",
            ),
            (WEIGHTS, "return e / e.sum(axis=0)"),
        ),
        mutant(
            c,
            "minus_1e4",
            "masked with -1e4, and set examples without a location to 0 afterwards",
            f,
            (
                E,
                "shown = np.where(valid, scores, -1e4).astype(scores.dtype); e = np.exp(shown -"
                " shown.max(axis=0, initial=-3e38))",
            ),
            (WEIGHTS, "return np.where(some, e / e.sum(axis=0), 0)"),
        ),
        mutant(
            c,
            "scores_times_mask",
            "multiplied the scores with the mask: a masked location has the score 0",
            f,
            (E, "e = np.exp(shown - shown.max(axis=0, initial=-3e38))"),
            (WEIGHTS, "return e / e.sum(axis=0)"),
        ),
        mutant(
            c,
            "mask_after_softmax",
            "masked the weights after the softmax, without normalising again",
            f,
            (E, "e = np.exp(scores - scores.max(axis=0, initial=-3e38))"),
        ),
        mutant(
            c,
            "product_after_softmax",
            "multiplied the weights with the mask, which lets a NaN through",
            f,
            ("shown = np.where(valid, scores, zero)", "shown = scores"),
            (E, "e = valid * np.exp(shown - shift)"),
            (WEIGHTS, "return e / np.where(some, e.sum(axis=0), 1)"),
        ),
        mutant(
            c,
            "no_max",
            "left the subtraction of the largest score out",
            f,
            ("np.where(some, largest, 0)", "np.where(some, 0 * np.nan_to_num(largest), 0)"),
            mend="subtract each example's largest score before the exponential",
        ),
        mutant(
            c,
            "global_max",
            "subtracted the largest score of all examples",
            f,
            (".max(axis=0, initial=-np.inf)", ".max(initial=-np.inf)"),
        ),
        mutant(
            c,
            "epsilon_in_the_denominator",
            "added 1e-6 to the denominator",
            f,
            ("e.sum(axis=0), 1)", "e.sum(axis=0) + 1e-6, 1)"),
        ),
        mutant(
            c,
            "sigmoid_weights",
            "gave σ of each score, not normalised",
            f,
            (
                WEIGHTS,
                "return np.where(valid, 0.5 + 0.5 * np.tanh(0.5 * shown), 0).astype(scores.dtype)",
            ),
        ),
        mutant(c, "exp_1e4", "used an exponential good to 1e-4", f, ("np.exp(", "wrong.exp_1e4(")),
        mutant(c, "exp_1e6", "used an exponential good to 1e-6", f, ("np.exp(", "wrong.exp_1e6(")),
        mutant(
            c,
            "total_in_half",
            "summed the exponentials in float16",
            f,
            ("e.sum(axis=0)", "wrong.total_in_half(e, axis=0)"),
        ),
        mutant(
            c,
            "weights_flushed",
            "took subnormal weights for 0 and 1e-7 for the smallest",
            f,
            (
                WEIGHTS,
                "a = np.where(valid, e / np.where(some, e.sum(axis=0), 1), 0); return np.where(a <"
                " 1e-7, 0, a).astype(a.dtype)",
            ),
        ),
    ]


def soft() -> list[Mutant]:
    """The mean of the values, and its gradients."""
    f, g, c = "soft_attention", "soft_attention_vjp", "attention.soft"
    ds = "a * (da - (a * da).sum(axis=0))"
    context = "(weights[..., np.newaxis] * shown).sum(axis=0)"
    return [
        mutant(
            c,
            "soft_mean",
            "divided the weighted sum by the number of locations",
            f,
            (context, context.replace("sum", "mean")),
        ),
        mutant(
            c,
            "soft_largest",
            "took the value of the largest weight",
            f,
            (
                context,
                "shown[weights.argmax(axis=0), np.arange(weights.shape[1])] if len(weights) else "
                + context,
            ),
        ),
        mutant(
            c,
            "soft_masked_nan",
            "multiplied masked values with 0, which lets a NaN through",
            f,
            ("shown = np.where(valid[..., np.newaxis], values, 0)", "shown = values"),
            mend="leave masked values out by selection",
        ),
        mutant(
            c,
            "soft_scores_for_weights",
            "returned the scores for the weights",
            f,
            ("return context, weights", "return context, scores"),
        ),
        mutant(
            c,
            "soft_in_half",
            "summed the weighted values in float16",
            f,
            (context, "wrong.total_in_half(weights[..., np.newaxis] * shown, axis=0)"),
        ),
        mutant(c, "soft_vjp_no_sum", "left out the sum in ds = a (da - Σ a da)", g, (ds, "a * da")),
        mutant(
            c,
            "soft_vjp_diagonal",
            "took a (1 - a) for the softmax's derivative",
            g,
            (ds, "a * (1 - a) * da"),
        ),
        mutant(
            c,
            "soft_vjp_over_batch",
            "summed a da over the examples",
            g,
            (ds, "a * (da - (a * da).sum(axis=1, keepdims=True))"),
        ),
        mutant(
            c,
            "soft_vjp_no_weights_error",
            "ignored the error of the weights",
            g,
            (" + dweights, 0)", ", 0)"),
        ),
        mutant(
            c,
            "soft_vjp_no_context_error",
            "ignored the error of the context in the scores' gradient",
            g,
            ("(shown * dcontext).sum(axis=-1) + dweights", "dweights"),
        ),
        mutant(
            c,
            "soft_vjp_values",
            "gave the values' gradient without the weights",
            g,
            ("a[..., np.newaxis] * dcontext, 0)", "dcontext + 0 * values, 0)"),
        ),
        mutant(
            c,
            "soft_vjp_masked_nan",
            "let a NaN of a masked value into the gradient",
            g,
            ("shown = np.where(valid[..., np.newaxis], values, 0)", "shown = values"),
            (
                "da = np.where(valid, (shown * dcontext).sum(axis=-1) + dweights, 0)",
                "da = (shown * dcontext).sum(axis=-1) + dweights",
            ),
        ),
    ]


def hard() -> list[Mutant]:
    """The selection of one location."""
    f, g, c = "hard_attention", "hard_attention_vjp", "attention.hard"
    return [
        mutant(
            c,
            "hard_argmax",
            "took the location of the largest weight, not the drawn one",
            f,
            (
                INDEX,
                "index = np.minimum(cumulated.shape[0] and np.diff(cumulated, axis=0,"
                " prepend=0).argmax(axis=0), last)",
            ),
        ),
        mutant(
            c,
            "hard_tie_before",
            "took the location before, where u equals a cumulated weight",
            f,
            (INDEX, INDEX.replace("<= u", "< u")),
            mend="the first k with u < a_1 + … + a_k",
        ),
        mutant(
            c,
            "hard_from_the_end",
            "cumulated the weights from the last location",
            f,
            (INDEX, "index = np.minimum((1 - cumulated > u).sum(axis=0), last)"),
        ),
        mutant(
            c,
            "hard_one_based",
            "counted the locations from 1",
            f,
            ("return context, index", "return context, index + 1"),
        ),
        mutant(
            c,
            "hard_zero_for_none",
            "gave location 0 where nothing takes part",
            f,
            ("return context, index", "return context, np.maximum(index, 0)"),
        ),
        mutant(
            c,
            "hard_any_value_for_none",
            "took a value where nothing takes part",
            f,
            (
                INDEX,
                "index = np.minimum((cumulated <= u).sum(axis=0), np.maximum(last, len(scores) - 1"
                " if len(scores) else -1))",
            ),
        ),
        mutant(
            c,
            "hard_without_mask",
            "drew from the weights of all locations",
            f,
            ("attention_weights(scores, valid)", "attention_weights(scores, np.ones_like(valid))"),
        ),
        mutant(
            c,
            "hard_even",
            "drew all locations with the same probability",
            f,
            (
                "attention_weights(scores, valid)",
                "(valid / np.maximum(valid.sum(axis=0), 1)).astype(scores.dtype)",
            ),
        ),
        mutant(
            c,
            "hard_unscaled_value",
            "multiplied the value with its weight",
            f,
            (
                "return context, index",
                "return context * np.where(index >= 0,"
                " np.take_along_axis(attention_weights(scores, valid), np.maximum(index, 0)[None],"
                " 0)[0] if len(scores) else 0, 0).astype(context.dtype)[:, None], index",
            ),
        ),
        mutant(
            c,
            "hard_first_u",
            "drew all examples with the first one's number",
            f,
            (INDEX, INDEX.replace("<= u", "<= u[:1]")),
        ),
        mutant(
            c,
            "hard_vjp_straight_through",
            "passed the error to all values by their weights, as if attention were soft",
            g,
            (
                "np.where(chosen[..., np.newaxis], dcontext, 0)",
                "np.where(chosen[..., np.newaxis], dcontext, dcontext * attention_weights(scores,"
                " attended(scores, lengths, mask))[..., None])",
            ),
        ),
        mutant(
            c,
            "hard_vjp_all",
            "gave every value the whole error",
            g,
            (
                "np.where(chosen[..., np.newaxis], dcontext, 0)",
                "dcontext + 0 * chosen[..., None].astype(dcontext.dtype)",
            ),
        ),
        mutant(
            c,
            "hard_vjp_first",
            "gave the error to the first location",
            g,
            ("== index", "== 0 * index"),
        ),
    ]


def score_gradient() -> list[Mutant]:
    """REINFORCE."""
    f, c = "hard_attention_score_gradient", "attention.score_gradient"
    return [
        mutant(
            c,
            "reinforce_sign",
            "gave the gradient for ascent",
            f,
            (GRADIENT, GRADIENT.replace("-advantage", "advantage")),
            mend="the gradient is that of -J: descent",
        ),
        mutant(
            c,
            "reinforce_sum",
            "summed over the examples for the mean",
            f,
            (GRADIENT, GRADIENT.replace(" / len(reward)", "")),
        ),
        mutant(
            c,
            "reinforce_no_baseline",
            "ignored the baseline",
            f,
            ("reward if baseline is None else reward - baseline", "reward"),
        ),
        mutant(
            c,
            "reinforce_baseline_added",
            "added the baseline",
            f,
            ("reward - baseline", "reward + baseline"),
        ),
        mutant(
            c,
            "reinforce_mean_baseline",
            "took the batch's mean reward for the baseline where none is given",
            f,
            (
                "reward if baseline is None",
                "reward - (reward.mean() if len(reward) else 0) if baseline is None",
            ),
        ),
        mutant(
            c,
            "reinforce_chosen_only",
            "left -a out of the gradient of log a_k",
            f,
            ("np.where(chosen, 1 - a, -a)", "np.where(chosen, 1, 0 * a)"),
        ),
        mutant(
            c,
            "reinforce_of_probability",
            "took the gradient of a_k for that of its logarithm",
            f,
            (
                "np.where(chosen, 1 - a, -a)",
                "np.where(chosen, 1 - a, -a) * (a * chosen).sum(axis=0)",
            ),
        ),
        mutant(
            c,
            "reinforce_by_weight",
            "divided 1_k by the weight: the gradient by the weights, not by the scores",
            f,
            ("np.where(chosen, 1 - a, -a)", "np.where(chosen, 1 / a, 0)"),
        ),
        mutant(
            c,
            "reinforce_by_locations",
            "divided by the number of locations too",
            f,
            (GRADIENT, GRADIENT.replace("/ len(reward)", "/ len(reward) / max(len(scores), 1)")),
        ),
        mutant(
            c,
            "reinforce_masked_reward",
            "let the reward of an example without a location through",
            f,
            (GRADIENT, "-advantage * np.where(valid, log_gradient, 0) / len(reward)"),
        ),
    ]


def equivalent() -> list[Mutant]:
    """Rewrites that are right: a suite that kills them raises false alarms."""
    return [
        mutant(
            "attention.weights",
            "equal_shift",
            "subtracted half more than the largest score",
            "attention_weights",
            ("np.where(some, largest, 0)", "np.where(some, largest + 0.5, 0)"),
            equivalent=True,
        ),
        mutant(
            "attention.general_scores",
            "equal_association",
            "multiplied W with the keys first",
            "attention_general_scores",
            (GENERAL, "((keys @ W.T) * query).sum(axis=-1)"),
            equivalent=True,
        ),
        mutant(
            "attention.additive_scores",
            "equal_concatenation",
            "multiplied [q, h_j] with [W_q, W_k]",
            "additive_hidden",
            (
                "a = query @ W_q.T + keys @ W_k.T",
                "a = np.concatenate([np.broadcast_to(query, (*keys.shape[:2], query.shape[-1])),"
                " keys], -1) @ np.concatenate([W_q, W_k], -1).T",
            ),
            equivalent=True,
        ),
    ]
