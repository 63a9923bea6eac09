"""Wrong transformers."""

from nnspec.conformance.mutants import Mutant, mutant

SCORES = "q @ k.swapaxes(-1, -2) / root"
P = "p: Array = np.where(keep, e / np.where(some, total, 1), 0)"
E = "e = np.where(keep, np.exp(chosen(keep, s) - np.where(keep, shift, 0)), 0)"
PRODUCT = "return seen_product(p, v, keep)"
POST = "layer_norm(x + f(x), gamma, beta)"
PRE = "x + f(layer_norm(x, gamma, beta))"
DS = "ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))"


def mutants() -> list[Mutant]:
    """All mutants of the topic."""
    return [
        *positions(),
        *scores(),
        *masks(),
        *weights(),
        *attention_vjp(),
        *heads(),
        *heads_vjp(),
        *feed_forward(),
        *normalised(),
        *layers(),
        *embedded(),
        *stacks(),
        *equivalent(),
    ]


def positions() -> list[Mutant]:
    """The positional encoding."""
    f, c = "encoding", "transformer.positional_encoding"
    return [
        mutant(
            c,
            "exponent_i",
            "took i / D for 2i / D in the exponent",
            f,
            ("-pair / D", "-pair / 2 / D"),
        ),
        mutant(
            c,
            "no_pairs",
            "gave each column a frequency of its own, exponent c / D",
            f,
            ("np.arange(D) // 2 * 2", "np.arange(D)"),
            mend="columns 2i and 2i + 1 share the exponent 2i / D",
        ),
        mutant(
            c,
            "halves",
            "put the sines in the first half and the cosines in the second",
            f,
            ("np.arange(D) // 2 * 2", "np.arange(D) % max((D + 1) // 2, 1) * 2"),
            ("even = np.arange(D) % 2 == 0", "even = np.arange(D) < (D + 1) // 2"),
            mend="sines and cosines alternate: columns 2i and 2i + 1",
        ),
        mutant(c, "cosine_first", "exchanged sine and cosine", f, ("% 2 == 0", "% 2 == 1")),
        mutant(
            c,
            "one_based",
            "counted positions from 1",
            f,
            ("np.arange(offset, offset + L)", "np.arange(offset + 1, offset + L + 1)"),
        ),
        mutant(
            c,
            "last_frequency_reached",
            "spaced the frequencies by D / 2 - 1, as tensor2tensor does",
            f,
            ("-pair / D", "-pair / max(D - 2, 1)"),
        ),
        mutant(c, "base_1000", "took 1000 for 10000", f, ("[10000]", "[1000]")),
        mutant(
            c,
            "narrow_angles",
            "computed the angles in float32",
            f,
            (
                "angle = p * frequency",
                "angle = (p * frequency.astype(np.float32)).astype(np.float32)",
            ),
            mend="compute the table in float64 and round it at the end",
        ),
        mutant(
            c,
            "degrees",
            "took the angles for degrees",
            f,
            ("angle = p * frequency", "angle = np.deg2rad(p * frequency)"),
        ),
        mutant(
            c,
            "offset_ignored",
            "began at position 0 whatever the offset",
            f,
            ("np.arange(offset, offset + L)", "np.arange(L)"),
        ),
        mutant(
            "transformer.positions",
            "positions_of_the_batch",
            "gave every example a position instead of every place",
            "positional_encoding",
            ("_, L, D = x.shape", "L, _, D = x.shape"),
            ("encoding(L, D, offset, like=x)", "encoding(L, D, offset, like=x)[:, None]"),
        ),
        mutant(
            "transformer.positions",
            "positions_scaled",
            "multiplied x by √D here",
            "positional_encoding",
            ("y: Array = x + encoding", "y: Array = x * np.sqrt(D).astype(x.dtype) + encoding"),
            mend="the embedding is scaled where it is looked up, not here",
        ),
        mutant(
            "transformer.rotation",
            "rotation_back",
            "turned the pairs the other way",
            "positional_rotation",
            ("encoding(1, D, shift,", "encoding(1, D, -shift,"),
        ),
        mutant(
            "transformer.rotation",
            "rotation_halves",
            "paired column i with column i + D / 2, as NeoX's rotary embedding does",
            "positional_rotation",
            (
                "y[..., 0::2] = x[..., 0::2] * cosine + x[..., 1::2] * sine",
                "y[..., : D // 2] = x[..., : D // 2] * cosine + x[..., D // 2 :] * sine",
            ),
            (
                "y[..., 1::2] = x[..., 1::2] * cosine - x[..., 0::2] * sine",
                "y[..., D // 2 :] = x[..., D // 2 :] * cosine - x[..., : D // 2] * sine",
            ),
        ),
        mutant(
            "transformer.rotation",
            "rotation_vjp_not_back",
            "turned the gradient the same way as x",
            "positional_rotation_vjp",
            ("shift=-shift", "shift=shift"),
        ),
    ]


def scores() -> list[Mutant]:
    """q · k / √K."""
    f, c = "scores", "transformer.scores"
    return [
        mutant(
            c,
            "no_scale",
            "left out the scale 1/√d_k of the scores",
            f,
            (SCORES, "q @ k.swapaxes(-1, -2)"),
            mend="divide q kᵀ by √d_k",
        ),
        mutant(
            c,
            "scale_by_d",
            "divided by d_k instead of √d_k",
            f,
            (SCORES, "q @ k.swapaxes(-1, -2) / (root * root)"),
        ),
        mutant(
            c,
            "scale_of_values",
            "divided by √d_v instead of √d_k",
            "scaled_dot_product_attention",
            (
                "s = scores(q, k)",
                "s = scores(q, k) * np.sqrt(q.shape[-1] / v.shape[-1]).astype(q.dtype)",
            ),
        ),
        mutant(
            c,
            "scale_of_the_model",
            "divided by the root of the model's size, not of one head's",
            f,
            (SCORES, "q @ k.swapaxes(-1, -2) / (root * np.sqrt(q.shape[1]).astype(q.dtype))"),
        ),
        mutant(
            c,
            "scale_of_the_length",
            "divided by the root of the number of keys",
            f,
            (SCORES, "q @ k.swapaxes(-1, -2) / np.sqrt(k.shape[-2]).astype(q.dtype)"),
        ),
        mutant(
            c,
            "scale_twice",
            "scaled the queries and the scores too",
            f,
            (SCORES, "(q / root) @ k.swapaxes(-1, -2) / root"),
        ),
        mutant(
            c,
            "score_of_directions",
            "took the cosine of the angle between query and key",
            f,
            (
                SCORES,
                "q @ k.swapaxes(-1, -2) / np.sqrt((q * q).sum(-1)[..., None] * (k *"
                " k).sum(-1)[..., None, :])",
            ),
        ),
        mutant(
            c,
            "scores_in_half",
            "accumulated q · k in float16",
            f,
            (SCORES, "wrong.product_in_half(q, k.swapaxes(-1, -2)) / root"),
        ),
        mutant(
            c,
            "scores_in_brain",
            "rounded queries and keys to bfloat16",
            f,
            (SCORES, "wrong.product_in_brain(q, k.swapaxes(-1, -2)) / root"),
        ),
        mutant(
            c,
            "scores_vjp_no_scale",
            "forgot the scale in the backward pass",
            "scores_vjp",
            ("seen_product(ds, k, keep) / root", "seen_product(ds, k, keep)"),
            ("keep.swapaxes(-1, -2)) / root", "keep.swapaxes(-1, -2))"),
        ),
        mutant(
            c,
            "scores_vjp_query_only",
            "forgot the scale in the keys' gradient",
            "scores_vjp",
            ("keep.swapaxes(-1, -2)) / root", "keep.swapaxes(-1, -2))"),
        ),
    ]


def masks() -> list[Mutant]:
    """Which key a query sees."""
    f = "visible"
    causal = "(j <= i + (S - L))"
    broadcast = "keep = keep & np.broadcast_to(mask, shape)"
    within = "(j < lengths[:, None, None, None])"
    return [
        mutant(
            "transformer.mask",
            "polarity",
            "took True for a key to drop, as torch's MultiheadAttention does",
            f,
            (broadcast, "keep = keep & ~np.broadcast_to(mask, shape)"),
            mend="True keeps: negate the mask",
        ),
        mutant("transformer.mask", "mask_ignored", "ignored the mask", f, (broadcast, "pass")),
        mutant(
            "transformer.mask",
            "mask_instead_of_order",
            "let a mask take the place of the causal order",
            f,
            ("if causal:", "if causal and mask is None:"),
        ),
        mutant(
            "transformer.mask",
            "mask_of_the_first_head",
            "used the first head's mask for all",
            f,
            (broadcast, "keep = keep & np.broadcast_to(mask, shape)[:, :1]"),
        ),
        mutant(
            "transformer.mask",
            "mask_of_the_first_example",
            "used the first example's mask for all",
            f,
            (broadcast, "keep = keep & np.broadcast_to(mask, shape)[:1]"),
        ),
        mutant(
            "transformer.lengths",
            "lengths_ignored",
            "attended to the padding",
            f,
            (within, "(j < S)"),
        ),
        mutant(
            "transformer.lengths",
            "one_too_long",
            "attended to one key beyond the length",
            f,
            (within, within.replace("<", "<=")),
        ),
        mutant(
            "transformer.lengths",
            "one_too_short",
            "left the last key of the length out",
            f,
            (within, within.replace("j <", "j + 1 <")),
        ),
        mutant(
            "transformer.lengths",
            "lengths_at_the_front",
            "took the padding to be in front",
            f,
            (within, "(j >= S - lengths[:, None, None, None])"),
        ),
        mutant(
            "transformer.lengths",
            "lengths_of_queries",
            "cut the queries off at the length, not the keys",
            f,
            (within, "(i < lengths[:, None, None, None])"),
        ),
        mutant(
            "transformer.causal",
            "causal_one_ahead",
            "let a query see the key after its own: the causal mask is off by one",
            f,
            (causal, "(j <= i + 1 + (S - L))"),
            mend="query i sees the keys j <= i + (S - L)",
        ),
        mutant(
            "transformer.causal",
            "causal_one_behind",
            "hid a query's own key: the causal mask is off by one",
            f,
            (causal, "(j < i + (S - L))"),
            mend="query i sees the keys j <= i + (S - L)",
        ),
        mutant(
            "transformer.causal",
            "causal_top_left",
            "aligned the causal mask top left, as torch and jax do, where queries and keys differ"
            " in number",
            f,
            (causal, "(j <= i)"),
            mend="the last query sees the last key: j <= i + (S - L)",
        ),
        mutant(
            "transformer.causal",
            "causal_backwards",
            "let queries see what comes later",
            f,
            (causal, "(j >= i + (S - L))"),
        ),
        mutant(
            "transformer.causal",
            "causal_ignored",
            "ignored the causal order",
            f,
            ("if causal:", "if False:"),
        ),
    ]


def weights() -> list[Mutant]:
    """The softmax over what is seen, and the mean of the values."""
    f, c = "masked_softmax", "transformer.weights"
    ordinary = (
        "s = np.where(keep, s, {}).astype(s.dtype); "
        "e = np.exp(s - (s.max(axis=-1, keepdims=True) if s.size else 0))"
    )
    return [
        mutant(
            c,
            "softmax_over_queries",
            "took the softmax over the queries",
            f,
            ("total = e.sum(axis=-1, keepdims=True)", "total = e.sum(axis=-2, keepdims=True)"),
            (P, "p: Array = np.where(keep, e / np.where(total == 0, 1, total), 0)"),
            mend="each query's weights sum to 1: the last axis",
        ),
        mutant(
            c,
            "nan_row",
            "gave NaN to a query that sees nothing",
            f,
            (P, "p: Array = e / np.where(some, total, np.nan).astype(s.dtype)"),
            mend="a query that sees nothing has weights 0",
        ),
        mutant(
            c,
            "uniform_row",
            "gave a query that sees nothing the mean of all values, as jax does",
            f,
            (
                P,
                "p: Array = np.where(some, e / np.where(some, total, 1), 1 / max(s.shape[-1],"
                " 1)).astype(s.dtype)",
            ),
        ),
        mutant(
            c,
            "minus_1e9",
            "masked with -1e9 instead of leaving the key out",
            f,
            (E, ordinary.format("-1e9")),
            (P, "p: Array = e / (total if s.size else 1)"),
            mend="a masked key has weight 0, whatever the scores are",
        ),
        mutant(
            c,
            "minus_1e4",
            "masked with -1e4 instead of leaving the key out",
            f,
            (E, ordinary.format("-1e4")),
            (P, "p: Array = e / (total if s.size else 1)"),
            mend="a masked key has weight 0, whatever the scores are",
        ),
        mutant(
            c,
            "minus_1e4_zeroed",
            "masked with -1e4, and set rows that see nothing to 0 afterwards",
            f,
            (E, ordinary.format("-1e4")),
            (P, "p: Array = np.where(some, e / (total if s.size else 1), 0)"),
        ),
        mutant(
            c,
            "scores_times_mask",
            "multiplied the scores with the mask: a masked key has the score 0",
            f,
            (E, ordinary.format("0")),
            (P, "p: Array = e / (total if s.size else 1)"),
        ),
        mutant(
            c,
            "mask_added",
            "added the boolean mask to the scores, 1 for a kept key",
            f,
            (
                E,
                "s = (s + keep).astype(s.dtype); e = np.exp(s - (s.max(axis=-1, keepdims=True) if"
                " s.size else 0))",
            ),
            (P, "p: Array = e / (total if s.size else 1)"),
        ),
        mutant(
            c,
            "mask_after_softmax",
            "masked the weights after the softmax, without normalising again",
            f,
            (
                E,
                "largest = np.max(s, axis=-1, keepdims=True, initial=-1e30); e = np.exp(s -"
                " largest).astype(s.dtype)",
            ),
        ),
        mutant(
            c,
            "no_max",
            "left the subtraction of the largest score out",
            f,
            (
                "np.where(largest == -np.inf, 0, largest)",
                "np.where(largest == -np.inf, 0, 0 * np.nan_to_num(largest))",
            ),
            mend="subtract each row's largest score before the exponential",
        ),
        mutant(
            c,
            "global_max",
            "subtracted the largest score of all rows",
            f,
            (
                ".max(axis=-1, keepdims=True, initial=-np.inf)",
                ".max(keepdims=True, initial=-np.inf)",
            ),
        ),
        mutant(
            c,
            "max_of_masked",
            "subtracted the largest score with the masked ones",
            f,
            ("np.where(keep, nominal(s), -np.inf)", "np.nan_to_num(nominal(s))"),
        ),
        mutant(
            c,
            "one_in_the_denominator",
            "added a score of 0 to the denominator",
            f,
            (
                "total = e.sum(axis=-1, keepdims=True)",
                "total = e.sum(axis=-1, keepdims=True) + np.exp(-shift)",
            ),
        ),
        mutant(
            c,
            "epsilon_in_the_denominator",
            "added 1e-6 to the denominator",
            f,
            (
                "total = e.sum(axis=-1, keepdims=True)",
                "total = e.sum(axis=-1, keepdims=True) + 1e-6",
            ),
        ),
        mutant(
            c,
            "exp_1e4",
            "used an exponential good to 1e-4",
            f,
            ("np.exp(chosen", "wrong.exp_1e4(chosen"),
        ),
        mutant(
            c,
            "exp_1e6",
            "used an exponential good to 1e-6",
            f,
            ("np.exp(chosen", "wrong.exp_1e6(chosen"),
        ),
        mutant(
            c,
            "total_in_half",
            "summed the exponentials in float16",
            f,
            (
                "total = e.sum(axis=-1, keepdims=True)",
                "total = wrong.total_in_half(e, axis=-1, keepdims=True)",
            ),
        ),
        mutant(
            c,
            "weights_in_half",
            "kept the weights in float16",
            f,
            ("return p", "return wrong.half(p)"),
        ),
        mutant(
            "transformer.attention",
            "nan_of_a_masked_value",
            "multiplied the values of masked keys with 0, which lets a NaN through",
            "scaled_dot_product_attention",
            (PRODUCT, "return p @ v"),
            mend="leave out the values of keys that are not seen",
        ),
        mutant(
            "transformer.attention",
            "mean_in_brain",
            "rounded weights and values to bfloat16 for the product",
            "scaled_dot_product_attention",
            (PRODUCT, "return wrong.product_in_brain(p, np.where(np.isfinite(v), v, 0))"),
        ),
        mutant(
            "transformer.attention",
            "not_normalised",
            "weighted the values with the exponentials, not divided by their sum",
            f,
            (P, "p: Array = e"),
        ),
        mutant(
            "transformer.attention",
            "keys_for_values",
            "took the mean of the keys",
            "scaled_dot_product_attention",
            (PRODUCT, "return seen_product(p, k, keep)"),
        ),
    ]


def attention_vjp() -> list[Mutant]:
    """The gradients of the attention."""
    f, g = "scaled_dot_product_attention_vjp", "attention_weights_vjp"
    return [
        mutant(
            "transformer.weights",
            "vjp_diagonal",
            "took p (1 - p) for the softmax's derivative",
            f,
            (DS, "ds = p * (1 - p) * dp"),
        ),
        mutant(
            "transformer.weights",
            "vjp_no_sum",
            "left out the sum in ds = p (dp - Σ dp p)",
            f,
            (DS, "ds = p * dp"),
        ),
        mutant(
            "transformer.weights",
            "weights_vjp_no_sum",
            "left out the sum in ds = p (dp - Σ dp p)",
            g,
            (DS, "ds = p * dp"),
        ),
        mutant(
            "transformer.weights",
            "weights_vjp_no_p",
            "left the factor p out of ds",
            g,
            (DS, DS.replace("p * (dp -", "(dp -")),
        ),
        mutant(
            "transformer.weights",
            "weights_vjp_over_queries",
            "summed dp p over the queries",
            g,
            (DS, DS.replace("axis=-1", "axis=-2")),
        ),
        mutant(
            "transformer.attention",
            "vjp_values_of_logits",
            "gave the values' gradient without the weights",
            f,
            (
                "seen_product(p.swapaxes(-1, -2), dy",
                "seen_product(keep.swapaxes(-1, -2).astype(p.dtype), dy",
            ),
        ),
        mutant(
            "transformer.mask",
            "vjp_masked_nan",
            "let a NaN of a masked value into the gradient",
            f,
            ("np.where(keep, dy @ v.swapaxes(-1, -2), 0)", "dy @ v.swapaxes(-1, -2)"),
        ),
        mutant(
            "transformer.scores",
            "vjp_query_for_key",
            "exchanged the gradients' sides: dq from q, dk from k, where the shapes allow it",
            "scores_vjp",
            (
                "seen_product(ds, k, keep)",
                "seen_product(ds, q if q.shape == k.shape else 0 * k, keep)",
            ),
        ),
    ]


def heads() -> list[Mutant]:
    """Several heads."""
    f = "multi_head_attention"
    split, merge = (
        "x.reshape(B, L, heads, P // heads).swapaxes(1, 2)",
        "x.swapaxes(1, 2).reshape(B, L, heads * K)",
    )
    return [
        mutant(
            "transformer.heads",
            "split_without_transpose",
            "reshaped to (B, heads, L, K) without exchanging the axes",
            "split",
            (split, "x.reshape(B, heads, L, P // heads)"),
            mend="reshape to (B, L, heads, K), then exchange axes 1 and 2",
        ),
        mutant(
            "transformer.heads",
            "merge_without_transpose",
            "joined the heads without exchanging the axes back",
            "merge",
            (merge, "x.reshape(B, L, heads * K)"),
        ),
        mutant(
            "transformer.heads",
            "heads_both_without_transpose",
            "reshaped to heads and back without exchanging the axes",
            f,
            (
                "q_n = split(",
                "split = lambda x, n: x.reshape(len(x), n, x.shape[1], x.shape[2] // n)\n    merge"
                " = lambda x: x.reshape(len(x), x.shape[2], x.shape[1] * x.shape[3])\n    q_n ="
                " split(",
            ),
        ),
        mutant(
            "transformer.heads",
            "split_interleaved",
            "gave head n the columns n, n + heads, …",
            "split",
            (split, "x.reshape(B, L, P // heads, heads).transpose(0, 3, 1, 2)"),
        ),
        mutant(
            "transformer.heads",
            "merge_interleaved",
            "joined the heads' columns in turn",
            "merge",
            (merge, "x.transpose(0, 2, 3, 1).reshape(B, L, heads * K)"),
        ),
        mutant(
            "transformer.heads",
            "heads_reversed",
            "joined the heads in the opposite order",
            "merge",
            (merge, merge.replace("x.", "x[:, ::-1].", 1)),
        ),
        mutant(
            "transformer.multi_head_attention",
            "one_head",
            "used one head whatever the number",
            f,
            ("q_n = split(", "heads = 1; q_n = split("),
        ),
        mutant(
            "transformer.multi_head_attention",
            "q_and_k_exchanged",
            "exchanged W_q and W_k",
            f,
            ("affine(q, W_q, b=b_q)", "affine(q, W_k, b=b_k)"),
            ("affine(k, W_k, b=b_k)", "affine(k, W_q, b=b_q)"),
        ),
        mutant(
            "transformer.multi_head_attention",
            "k_and_v_exchanged",
            "exchanged W_k and W_v",
            f,
            ("affine(k, W_k, b=b_k)", "affine(k, W_v, b=b_v)"),
            ("affine(v, W_v, b=b_v)", "affine(v, W_k, b=b_k)"),
        ),
        mutant(
            "transformer.multi_head_attention",
            "values_of_keys",
            "projected the values from the keys' input",
            f,
            ("affine(v, W_v", "affine(k, W_v"),
        ),
        mutant(
            "transformer.multi_head_attention",
            "keys_of_queries",
            "projected keys and values from the queries' input",
            f,
            ("affine(k, W_k", "affine(q, W_k"),
            ("affine(v, W_v", "affine(q, W_v"),
        ),
        mutant(
            "transformer.multi_head_attention",
            "output_bias_ignored",
            "ignored b_o",
            f,
            ("W_o, b=b_o", "W_o, b=None"),
        ),
        mutant(
            "transformer.multi_head_attention",
            "query_bias_ignored",
            "ignored b_q",
            f,
            ("W_q, b=b_q", "W_q, b=None"),
        ),
        mutant(
            "transformer.multi_head_attention",
            "value_bias_ignored",
            "ignored b_v",
            f,
            ("W_v, b=b_v", "W_v, b=None"),
        ),
        mutant(
            "transformer.multi_head_attention",
            "output_in_every_head",
            "added b_o once for every head",
            f,
            ("W_o, b=b_o)", "W_o, b=None if b_o is None else heads * b_o)"),
        ),
        mutant(
            "transformer.multi_head_attention",
            "output_in_brain",
            "rounded the last product's operands to bfloat16",
            f,
            ("affine(merge(head), W_o", "affine(wrong.brain(merge(head)), wrong.brain(W_o)"),
        ),
        mutant(
            "transformer.key_bias",
            "key_bias_after_the_scores",
            "added b_k to the values' projection",
            f,
            (
                "split(affine(v, W_v, b=b_v), heads)",
                "split(affine(v, W_v, b=b_v) + (b_k[:1] if b_k is not None else 0), heads)",
            ),
        ),
        mutant(
            "transformer.key_bias",
            "key_bias_for_query",
            "added b_k to the queries instead of the keys",
            f,
            ("affine(q, W_q, b=b_q)", "affine(q, W_q, b=b_q) + (0 if b_k is None else b_k)"),
        ),
        mutant(
            "transformer.multi_head_attention",
            "unseen_nan",
            "projected the padded keys too, so that a NaN there spreads",
            f,
            ("k, v, _ = seen_keys(q, k, v, mask, lengths, heads, causal)", "pass"),
            (
                "return affine(merge(head)",
                "head = head + 0 * v_n.sum(axis=-2, keepdims=True); return affine(merge(head)",
            ),
        ),
    ]


def heads_vjp() -> list[Mutant]:
    """The gradients of several heads."""
    f = "multi_head_attention_vjp"
    c = "transformer.multi_head_attention"
    return [
        mutant(
            c,
            "heads_vjp_no_output",
            "skipped W_o in the backward pass, where the shapes allow it",
            f,
            (
                'split(d_o["dx"], heads)',
                'split(dy if dy.shape == d_o["dx"].shape else 0 * d_o["dx"], heads)',
            ),
        ),
        mutant(
            c,
            "heads_vjp_interleaved",
            "split the gradient's columns over the heads in turn",
            f,
            (
                'split(d_o["dx"], heads)',
                'd_o["dx"].reshape(*dy.shape[:2], -1, heads).transpose(0, 3, 1, 2)',
            ),
        ),
        mutant(
            c,
            "heads_vjp_batch_mean",
            "averaged the weights' gradients over the batch",
            "rows_vjp",
            (
                'return d | {"dx"',
                'd = {n: g if n == "dx" else g / max(len(x), 1) for n, g in d.items()}\n'
                '    return d | {"dx"',
            ),
        ),
        mutant(
            c,
            "heads_vjp_no_bias_sum",
            "took the bias's gradient from the first place alone",
            "rows_vjp",
            (
                'return d | {"dx"',
                'd = d if b is None or not dy.size else d | {"db": dy[0, 0]}; return d | {"dx"',
            ),
        ),
        mutant(
            c,
            "heads_vjp_not_causal",
            "forgot the causal order in the backward pass",
            f,
            ("d_n = scaled", 'see["causal"] = False\n    d_n = scaled'),
        ),
        mutant(
            c,
            "heads_vjp_no_lengths",
            "forgot the lengths in the backward pass",
            f,
            ("d_n = scaled", 'see["lengths"] = None\n    d_n = scaled'),
        ),
        mutant(
            c,
            "heads_vjp_no_mask",
            "forgot the mask in the backward pass",
            f,
            ("d_n = scaled", 'see["mask"] = None\n    d_n = scaled'),
        ),
    ]


def feed_forward() -> list[Mutant]:
    """The position-wise network."""
    f, g, c = "feed_forward", "feed_forward_vjp", "transformer.feed_forward"
    hidden = "relu(affine(x, W_1, b=b_1))"
    return [
        mutant(c, "feed_linear", "left the ReLU out", f, (hidden, "affine(x, W_1, b=b_1)")),
        mutant(
            c, "feed_tanh", "used tanh for the ReLU", f, (hidden, "np.tanh(affine(x, W_1, b=b_1))")
        ),
        mutant(
            c,
            "feed_gelu",
            "used the GELU for the ReLU",
            f,
            (
                "return affine(relu(affine(x, W_1, b=b_1)), W_2, b=b_2)",
                "a = affine(x, W_1, b=b_1); a = 0.5 * a * (1 + np.tanh(0.7978845608 * (a +"
                " 0.044715 * a**3))); return affine(a, W_2, b=b_2)",
            ),
        ),
        mutant(
            c,
            "feed_leaky",
            "used a leaky ReLU of slope 0.01",
            f,
            (
                hidden,
                "(lambda a: np.where(a > 0, a, a * 0.01).astype(a.dtype))(affine(x, W_1, b=b_1))",
            ),
        ),
        mutant(
            c,
            "feed_relu_at_the_end",
            "applied the ReLU to the output too",
            f,
            (
                "return affine(relu(affine(x, W_1, b=b_1)), W_2, b=b_2)",
                "return relu(affine(relu(affine(x, W_1, b=b_1)), W_2, b=b_2))",
            ),
        ),
        mutant(c, "feed_no_first_bias", "ignored b_1", f, ("b=b_1", "b=None")),
        mutant(c, "feed_no_last_bias", "ignored b_2", f, ("b=b_2", "b=None")),
        mutant(
            c,
            "feed_in_brain",
            "rounded the hidden layer to bfloat16",
            f,
            (hidden, f"wrong.brain({hidden})"),
        ),
        mutant(
            c,
            "feed_vjp_linear",
            "left the ReLU out of the backward pass",
            g,
            ('relu_vjp(a, d_2["dx"])["dx"]', 'd_2["dx"]'),
        ),
        mutant(
            c,
            "feed_vjp_derivative_at_0",
            "took 1 for the ReLU's derivative at 0",
            g,
            ('relu_vjp(a, d_2["dx"])["dx"]', 'np.where(a >= 0, d_2["dx"], 0)'),
        ),
        mutant(
            c,
            "feed_vjp_before_relu",
            "took dW_2 from what goes into the ReLU",
            g,
            ("rows_vjp(relu(a), W_2", "rows_vjp(a, W_2"),
        ),
    ]


def normalised() -> list[Mutant]:
    """The residual connection and the normalisation."""
    f, g, c = "add_norm", "add_norm_vjp", "transformer.add_norm"
    by_hand = (
        "(lambda u, m: gamma * (u - m) / {} + beta)(x + f(x), (x + f(x)).mean(-1, keepdims=True))"
    )
    return [
        mutant(
            c,
            "pre_for_post",
            "normalised before the sublayer where the norm comes after the sum",
            f,
            ('norm == "post"', "False"),
            ('norm == "pre"', "True"),
            mend="norm='post' normalises x + f(x); 'pre' is the other one",
        ),
        mutant(
            c,
            "post_for_pre",
            "normalised after the sum where the norm comes before the sublayer",
            f,
            ('norm == "post"', "True"),
        ),
        mutant(
            c,
            "post_no_residual",
            "left the residual connection out",
            f,
            (POST, "layer_norm(f(x), gamma, beta)"),
        ),
        mutant(
            c,
            "pre_no_residual",
            "left the residual connection out where the norm comes first",
            f,
            (PRE, "f(layer_norm(x, gamma, beta))"),
        ),
        mutant(
            c,
            "residual_outside",
            "normalised f(x) alone and added x afterwards",
            f,
            (POST, "x + layer_norm(f(x), gamma, beta)"),
        ),
        mutant(
            c,
            "residual_of_the_norm",
            "added the normalised x instead of x",
            f,
            (PRE, "layer_norm(x, gamma, beta) + f(layer_norm(x, gamma, beta))"),
        ),
        mutant(
            c,
            "norm_gamma_ignored",
            "ignored gamma",
            f,
            (POST, "layer_norm(x + f(x), np.ones_like(gamma), beta)"),
        ),
        mutant(
            c,
            "norm_beta_ignored",
            "ignored beta",
            f,
            (POST, "layer_norm(x + f(x), gamma, 0 * beta)"),
        ),
        mutant(
            c,
            "norm_eps_keras",
            "took 1e-3 for epsilon, as Keras does",
            f,
            (POST, "layer_norm(x + f(x), gamma, beta, eps=1e-3)"),
        ),
        mutant(
            c,
            "norm_eps_flax",
            "took 1e-6 for epsilon, as Flax does",
            f,
            (POST, "layer_norm(x + f(x), gamma, beta, eps=1e-6)"),
        ),
        mutant(
            c,
            "norm_eps_outside",
            "added epsilon outside the root",
            f,
            (POST, by_hand.format("(np.sqrt(((u - m) ** 2).mean(-1, keepdims=True)) + 1e-5)")),
        ),
        mutant(
            c,
            "norm_unbiased",
            "divided the variance by D - 1",
            f,
            (
                POST,
                by_hand.format(
                    "np.sqrt(((u - m) ** 2).sum(-1, keepdims=True) / max(u.shape[-1] - 1, 1) +"
                    " 1e-5)"
                ),
            ),
        ),
        mutant(
            c,
            "norm_over_positions",
            "normalised over the positions",
            f,
            (POST, "layer_norm((x + f(x)).swapaxes(1, 2), gamma[:1], beta[:1]).swapaxes(1, 2) * 1"),
        ),
        mutant(
            c,
            "norm_root_mean_square",
            "divided by the root mean square without taking the mean off",
            f,
            (
                POST,
                by_hand.format("np.sqrt(((u - m) ** 2).mean(-1, keepdims=True) + 1e-5)").replace(
                    "(u - m) /", "u /"
                ),
            ),
        ),
        mutant(
            c,
            "norm_vjp_no_residual",
            "dropped the gradient that goes by beside the sublayer",
            g,
            ('dx = d_n["dx"] + d["dx"]', 'dx = d["dx"]'),
        ),
        mutant(
            c,
            "norm_vjp_no_sublayer",
            "dropped the gradient that goes through the sublayer",
            g,
            ('dx = d_n["dx"] + d["dx"]', 'dx = d_n["dx"]'),
        ),
        mutant(
            c,
            "norm_vjp_pre_no_residual",
            "dropped the gradient beside the sublayer where the norm comes first",
            g,
            ('dx = dy + d_n["dx"]', 'dx = d_n["dx"]'),
        ),
        mutant(
            c,
            "norm_vjp_constant_statistics",
            "took mean and variance for constants in the backward pass",
            g,
            (
                "d_n = layer_norm_vjp(x + f(x), gamma, beta, dy)",
                "d_n = layer_norm_vjp(x + f(x), gamma, beta, dy); u = x + f(x);"
                ' d_n["dx"] = dy * gamma / np.sqrt(u.var(-1, keepdims=True) + 1e-5)',
            ),
        ),
    ]


def layers() -> list[Mutant]:
    """Encoder and decoder layer."""
    f, g, h = "encoder_layer", "decoder_layer", "attending"
    e, d = "transformer.encoder_layer", "transformer.decoder_layer"
    cross = "memory, None, memory_lengths, heads, False"
    return [
        mutant(
            e,
            "encoder_feed_first",
            "put the feed-forward network before the attention",
            f,
            (
                "a = add_norm(x, attend, gamma_1, beta_1, norm)",
                "a = add_norm(x, feed, gamma_1, beta_1, norm)",
            ),
            (
                "y = add_norm(a, feed, gamma_2, beta_2, norm)",
                "y = add_norm(a, attend, gamma_2, beta_2, norm)",
            ),
        ),
        mutant(
            e,
            "encoder_one_norm",
            "used the first normalisation's parameters twice",
            f,
            ("add_norm(a, feed, gamma_2, beta_2", "add_norm(a, feed, gamma_1, beta_1"),
        ),
        mutant(
            e,
            "encoder_no_feed",
            "left the feed-forward network out",
            f,
            ("y = add_norm(a, feed, gamma_2, beta_2, norm)", "y = a"),
        ),
        mutant(
            e,
            "encoder_causal",
            "made the encoder causal",
            f,
            ("lengths, heads, False)", "lengths, heads, True)"),
        ),
        mutant(
            e,
            "encoder_lengths_ignored",
            "let the encoder attend to the padding",
            f,
            ("mask, lengths, heads", "mask, None, heads"),
        ),
        mutant(
            e,
            "encoder_mask_ignored",
            "ignored the encoder's mask",
            f,
            ("None, mask, lengths", "None, None, lengths"),
        ),
        mutant(
            e,
            "encoder_padding_kept",
            "gave numbers beyond an example's length",
            f,
            ("return chosen(within, y)", "return y"),
        ),
        mutant(
            e,
            "encoder_vjp_query_only",
            "took x for the queries alone in the backward pass",
            h,
            ('d["dq"] + dm', 'd["dq"]'),
        ),
        mutant(
            e,
            "encoder_vjp_padding",
            "let the gradients of padded places in",
            "encoder_layer_vjp",
            ("np.where(within, dy, 0)", "dy"),
        ),
        mutant(
            d,
            "decoder_not_causal",
            "left the causal order out of the decoder's self-attention",
            g,
            ("lengths, heads, True)", "lengths, heads, False)"),
        ),
        mutant(
            d,
            "decoder_cross_causal",
            "made the attention to the encoder's output causal",
            g,
            (cross, cross.replace("False", "True")),
        ),
        mutant(
            d,
            "decoder_cross_lengths_ignored",
            "let the decoder attend to the source's padding",
            g,
            ("memory, None, memory_lengths", "memory, None, None"),
        ),
        mutant(
            d,
            "decoder_self_lengths_ignored",
            "ignored the target's lengths",
            g,
            ("None, None, lengths, heads, True", "None, None, None, heads, True"),
            ("within = inside(lengths,", "within = inside(None,"),
        ),
        mutant(
            d,
            "decoder_lengths_of_target_in_cross",
            "masked the memory with the target's lengths",
            g,
            ("memory, None, memory_lengths", "memory, None, lengths"),
        ),
        mutant(
            d,
            "decoder_no_memory",
            "attended to the decoder's own states instead of the memory",
            g,
            (
                'attending("cross", weights, biases, memory, None, memory_lengths',
                'attending("cross", weights, biases, None, None, None',
            ),
        ),
        mutant(
            d,
            "decoder_cross_first",
            "put the attention to the memory before the self-attention",
            g,
            ("a = add_norm(x, attend,", "a = add_norm(x, look,"),
            ("c = add_norm(a, look,", "c = add_norm(a, attend,"),
        ),
        mutant(
            d,
            "decoder_no_cross",
            "left the attention to the memory out",
            g,
            ("c = add_norm(a, look, gamma_2, beta_2, norm)", "c = a"),
        ),
        mutant(
            d,
            "decoder_norms_exchanged",
            "exchanged the second and the third normalisation",
            g,
            ("look, gamma_2, beta_2", "look, gamma_3, beta_3"),
            ("feed, gamma_3, beta_3", "feed, gamma_2, beta_2"),
        ),
        mutant(
            d,
            "decoder_memory_normalised",
            "normalised the memory with the layer's own norm",
            g,
            (
                "biases, memory, None, memory_lengths",
                "biases, layer_norm(memory, gamma_2, beta_2), None, memory_lengths",
            ),
        ),
        mutant(
            d,
            "decoder_vjp_memory_by_keys",
            "gave the memory the keys' gradient alone",
            h,
            ('dm = d["dk"] + d["dv"]', 'dm = d["dk"] + (0 if memory is not None else d["dv"])'),
        ),
        mutant(
            d,
            "decoder_vjp_memory_by_values",
            "gave the memory the values' gradient alone",
            h,
            ('dm = d["dk"] + d["dv"]', 'dm = d["dv"] + (0 if memory is not None else d["dk"])'),
        ),
    ]


def embedded() -> list[Mutant]:
    """Embedding with position, and the contextual embedding."""
    f, g, c = "rows_of", "rows_of_vjp", "transformer.embedding"
    k, k_vjp = "contextual_embedding", "contextual_embedding_vjp"
    return [
        mutant(
            c,
            "no_root_d",
            "left the factor √D of the embedding out",
            f,
            ("E[tokens] * root", "E[tokens]"),
            mend="multiply the rows of E by √D",
        ),
        mutant(
            c,
            "divided_by_root_d",
            "divided the embedding by √D",
            f,
            ("E[tokens] * root", "E[tokens] / root"),
        ),
        mutant(
            c,
            "times_d",
            "multiplied the embedding by D",
            f,
            ("E[tokens] * root", "E[tokens] * root * root"),
        ),
        mutant(
            c,
            "vjp_repeated_lost",
            "kept the gradient of one place where a token stands at several",
            g,
            (
                "dE[tokens[place]] = dE[tokens[place]] + dz[place] * root",
                "dE[tokens[place]] = dz[place] * root",
            ),
        ),
        mutant(
            c,
            "vjp_no_root_d",
            "forgot √D in the embedding's gradient",
            g,
            ("dz[place] * root", "dz[place]"),
        ),
        mutant(
            "transformer.embed",
            "scaled_with_position",
            "multiplied the positions by √D too",
            "transformer_embed",
            (
                "return positional_encoding(rows_of(E, tokens), offset=offset)",
                "root = np.sqrt(E.shape[1]).astype(E.dtype); return positional_encoding(rows_of(E,"
                " tokens) / root, offset=offset) * root",
            ),
        ),
        mutant(
            "transformer.embed",
            "no_position",
            "left the positions out",
            "transformer_embed",
            (
                "return positional_encoding(rows_of(E, tokens), offset=offset)",
                "return rows_of(E, tokens)",
            ),
        ),
        mutant(
            "transformer.embed",
            "embed_offset_ignored",
            "ignored the offset",
            "transformer_embed",
            (", offset=offset)", ")"),
        ),
        mutant(
            "transformer.contextual_embedding",
            "context_without_word",
            "gave the attention without the word's own embedding",
            k,
            ("h: Array = z + multi_head_attention(", "h: Array = multi_head_attention("),
        ),
        mutant(
            "transformer.contextual_embedding",
            "context_one_head",
            "used one head whatever the number",
            k,
            ("heads=heads", "heads=1"),
        ),
        mutant(
            "transformer.contextual_embedding",
            "context_vjp_word_only",
            "dropped the gradient through the keys and values",
            k_vjp,
            ('d.pop("dk") + d.pop("dv")', '0 * d.pop("dk") + 0 * d.pop("dv")'),
        ),
        mutant(
            "transformer.contextual_embedding",
            "context_vjp_no_residual",
            "dropped the gradient of the word's own embedding",
            k_vjp,
            ("dz = dh + d.pop", "dz = d.pop"),
        ),
        mutant(
            "transformer.permutation",
            "position_always",
            "added the positions where none are wanted",
            "placed",
            ("return rows_of(E, tokens)", "return transformer_embed(tokens, E)"),
        ),
        mutant(
            "transformer.permutation",
            "position_never",
            "left the positions out of the contextual embedding",
            "placed",
            ("return transformer_embed(tokens, E)", "return rows_of(E, tokens)"),
        ),
    ]


def stacks() -> list[Mutant]:
    """The whole network."""
    f, g, h = "through", "transformer_forward", "transformer_forward_vjp"
    s, o = "transformer.stack", "transformer.logits"
    return [
        mutant(
            s,
            "first_layer_again",
            "used the first layer's parameters in every encoder layer",
            f,
            ("layer = layer_of(encoder, n)", "layer = layer_of(encoder, 0)"),
        ),
        mutant(
            s,
            "first_decoder_layer_again",
            "used the first layer's parameters in every decoder layer",
            f,
            ("**layer_of(decoder, n)", "**layer_of(decoder, 0)"),
        ),
        mutant(
            s,
            "decoder_sees_its_level",
            "gave each decoder layer the encoder layer of the same level",
            f,
            ("y[n], x[N], heads", "y[n], x[n + 1], heads"),
        ),
        mutant(
            s,
            "decoder_sees_the_source",
            "gave the decoder the source's embedding for the memory",
            f,
            ("y[n], x[N], heads", "y[n], x[0], heads"),
        ),
        mutant(
            s,
            "source_padding_in_cross",
            "let the decoder attend to the source's padding",
            f,
            ('"memory_lengths": source_lengths', '"memory_lengths": None'),
        ),
        mutant(
            s,
            "source_padding_in_encoder",
            "let the encoder attend to the source's padding",
            f,
            ("lengths=source_lengths, heads", "lengths=None, heads"),
        ),
        mutant(
            s,
            "heads_ignored",
            "used one head in the encoder",
            f,
            ("lengths=source_lengths, heads=heads", "lengths=source_lengths, heads=1"),
        ),
        mutant(
            s,
            "pre_norm",
            "built the network with the norm before the sublayers",
            f,
            (
                "lengths=source_lengths, heads=heads",
                "lengths=source_lengths, heads=heads, norm='pre'",
            ),
            ("y[n], x[N], heads=heads", "y[n], x[N], norm='pre', heads=heads"),
            mend="the 2017 network normalises after the sum",
        ),
        mutant(
            s,
            "target_without_position",
            "left the target's positions out",
            f,
            ("transformer_embed(target, E))]", "rows_of(E, target))]"),
        ),
        mutant(
            s,
            "target_shifted_again",
            "shifted the target right a second time",
            f,
            (
                "transformer_embed(target, E))]",
                "transformer_embed(np.concatenate([0 * target[:, :1], target[:, :-1]], axis=1),"
                " E))]",
            ),
        ),
        mutant(
            o,
            "logits_softmax",
            "gave probabilities for the logits",
            g,
            (
                "logits: Array = y[-1] @ E.T",
                "logits: Array = np.exp(y[-1] @ E.T); logits = logits / logits.sum(-1,"
                " keepdims=True)",
            ),
        ),
        mutant(
            o,
            "logits_log_softmax",
            "gave log-probabilities for the logits",
            g,
            (
                "logits: Array = y[-1] @ E.T",
                "logits: Array = y[-1] @ E.T; logits = logits - np.log(np.exp(logits).sum(-1,"
                " keepdims=True))",
            ),
        ),
        mutant(
            o,
            "logits_scaled",
            "multiplied by √D before the output too",
            g,
            (
                "logits: Array = y[-1] @ E.T",
                "logits: Array = y[-1] @ E.T * np.sqrt(E.shape[1]).astype(E.dtype)",
            ),
        ),
        mutant(
            o,
            "logits_of_the_layer_before",
            "took the states before the last layer",
            g,
            ("y[-1] @ E.T", "y[max(len(y) - 2, 0)] @ E.T"),
        ),
        mutant(
            o,
            "logits_in_brain",
            "rounded the last product's operands to bfloat16",
            g,
            ("y[-1] @ E.T", "wrong.product_in_brain(y[-1], E.T)"),
        ),
        mutant(
            o,
            "vjp_table_by_output_only",
            "gave E the output's gradient alone",
            h,
            (
                'd_out["dW"] + rows_of_vjp(E, target, dy) + rows_of_vjp(E, source, dx)',
                'd_out["dW"]',
            ),
        ),
        mutant(
            o,
            "vjp_table_without_output",
            "forgot that the output uses E too",
            h,
            ('d_out["dW"] + rows_of_vjp(E, target, dy)', "rows_of_vjp(E, target, dy)"),
        ),
        mutant(
            s,
            "vjp_table_without_source",
            "forgot that the source uses E too",
            h,
            (" + rows_of_vjp(E, source, dx)", ""),
        ),
        mutant(
            s,
            "vjp_memory_of_one_layer",
            "gave the encoder the gradient of the first decoder layer alone",
            h,
            ('dx + d_n["dmemory"]', 'd_n["dmemory"]'),
        ),
    ]


def equivalent() -> list[Mutant]:
    """Rewrites that are right: a suite that kills them raises false alarms."""
    return [
        mutant(
            "transformer.key_bias",
            "equal_no_key_bias",
            "left b_k out: it moves all scores of a query alike",
            "multi_head_attention",
            ("affine(k, W_k, b=b_k)", "affine(k, W_k, b=None)"),
            equivalent=True,
        ),
        mutant(
            "transformer.weights",
            "equal_shift",
            "subtracted half more than the row's largest score",
            "masked_softmax",
            (
                "np.where(largest == -np.inf, 0, largest)",
                "np.where(largest == -np.inf, 0, largest + 0.5)",
            ),
            equivalent=True,
        ),
        mutant(
            "transformer.scores",
            "equal_scaled_queries",
            "divided the queries by √d_k before the product",
            "scores",
            (SCORES, "(q / root) @ k.swapaxes(-1, -2)"),
            equivalent=True,
        ),
    ]
