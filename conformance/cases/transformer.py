"""Inputs for spec/transformer.md: which attention, which mask, which layer a backend has built."""

from typing import Any

import numpy as np

from nnspec.conformance.cases.draft import NARROW, Draft, draw, narrowed
from nnspec.reference.array import Array

Inputs = dict[str, Any]

TABLE = ("transformer.positional_encoding",)
POSITIONS = ("transformer.positions",)
SCORES = ("transformer.scores",)
MASK = ("transformer.mask",)
CAUSAL = ("transformer.causal",)
LENGTHS = ("transformer.lengths",)
WEIGHTS = ("transformer.weights",)
ATTENTION = ("transformer.attention",)
HEADS = ("transformer.heads",)
MULTI_HEAD = ("transformer.multi_head_attention",)
KEY_BIAS = ("transformer.key_bias",)
ADD_NORM = ("transformer.add_norm",)
ENCODER = ("transformer.encoder_layer",)
DECODER = ("transformer.decoder_layer",)
EMBEDDING = ("transformer.embedding",)
EMBED = ("transformer.embed",)
STACK = ("transformer.stack",)
LOGITS = ("transformer.logits",)
CONTEXT = ("transformer.contextual_embedding",)
PERMUTATION = ("transformer.permutation",)


def whole(*values: Any) -> Array:
    """Integers."""
    return np.array(values, dtype=np.int64)


def heads_in(key: str, B: int, N: int, L: int, S: int, K: int, J: int = 0) -> Inputs:
    """q and k, and v where J is given."""
    v = {"v": draw(f"{key} v", B, N, S, J)} if J else {}
    return {"q": draw(f"{key} q", B, N, L, K), "k": draw(f"{key} k", B, N, S, K), **v}


def projections(key: str, P: int, R: int, D: int, prefix: str = "", *lead: int) -> Inputs:
    """W_q, W_k, W_v and W_o."""
    shapes = {"W_q": (P, D), "W_k": (P, D), "W_v": (R, D), "W_o": (D, R)}
    return {
        f"{prefix}{name}": draw(f"{key} {prefix}{name}", *lead, *shape)
        for name, shape in shapes.items()
    }


def projection_biases(key: str, P: int, R: int, D: int, prefix: str = "") -> Inputs:
    """b_q, b_k, b_v and b_o."""
    sizes = {"b_q": P, "b_k": P, "b_v": R, "b_o": D}
    return {f"{prefix}{name}": draw(f"{key} {prefix}{name}", size) for name, size in sizes.items()}


def norms(key: str, D: int, count: int, prefix: str = "", *lead: int) -> Inputs:
    """gamma and beta of each sublayer, gamma about 1 and unlike in every element."""
    made: Inputs = {}
    for n in range(1, count + 1):
        made[f"{prefix}gamma_{n}"] = 1 + draw(f"{key} {prefix}gamma_{n}", *lead, D, scale=0.5)
        made[f"{prefix}beta_{n}"] = draw(f"{key} {prefix}beta_{n}", *lead, D)
    return made


def network(key: str, H: int, D: int, prefix: str = "", *lead: int) -> Inputs:
    """W_1 and W_2."""
    return {
        f"{prefix}W_1": draw(f"{key} {prefix}W_1", *lead, H, D),
        f"{prefix}W_2": draw(f"{key} {prefix}W_2", *lead, D, H),
    }


def network_biases(key: str, H: int, D: int) -> Inputs:
    """b_1 and b_2."""
    return {"b_1": draw(f"{key} b_1", H), "b_2": draw(f"{key} b_2", D)}


def multi(
    key: str, B: int, L: int, S: int, D: int, P: int, R: int, *, bias: bool = False
) -> Inputs:
    """The inputs of multi_head_attention."""
    return {
        "q": draw(f"{key} q", B, L, D),
        "k": draw(f"{key} k", B, S, D),
        "v": draw(f"{key} v", B, S, D),
        **projections(key, P, R, D),
        **(projection_biases(key, P, R, D) if bias else {}),
    }


def encoder(key: str, B: int, L: int, D: int, P: int, R: int, H: int, *, bias: bool) -> Inputs:
    """The inputs of encoder_layer."""
    return {
        "x": draw(f"{key} x", B, L, D),
        **projections(key, P, R, D, "self_"),
        **norms(key, D, 2),
        **network(key, H, D),
        **(projection_biases(key, P, R, D, "self_") | network_biases(key, H, D) if bias else {}),
    }


def decoder(
    key: str, B: int, L: int, S: int, D: int, P: int, R: int, H: int, *, bias: bool
) -> Inputs:
    """The inputs of decoder_layer."""
    given: Inputs = {}
    if bias:
        for prefix in ("self_", "cross_"):
            given |= projection_biases(key, P, R, D, prefix)
        given |= network_biases(key, H, D)
    return {
        "x": draw(f"{key} x", B, L, D),
        "memory": draw(f"{key} memory", B, S, D),
        **projections(key, P, R, D, "self_"),
        **projections(key, P, R, D, "cross_"),
        **norms(key, D, 3),
        **network(key, H, D),
        **given,
    }


def whole_model(
    key: str, N: int, V: int, D: int, P: int, R: int, H: int, *, bias: bool = False
) -> Inputs:
    """Every parameter of transformer_forward."""
    given: Inputs = {}
    if bias:
        for side in ("enc_", "dec_"):
            given[f"{side}b_1"] = draw(f"{key} {side}b_1", N, H)
            given[f"{side}b_2"] = draw(f"{key} {side}b_2", N, D)
    return {
        "E": draw(f"{key} E", V, D),
        **projections(key, P, R, D, "enc_self_", N),
        **norms(key, D, 2, "enc_", N),
        **network(key, H, D, "enc_", N),
        **projections(key, P, R, D, "dec_self_", N),
        **projections(key, P, R, D, "dec_cross_", N),
        **norms(key, D, 3, "dec_", N),
        **network(key, H, D, "dec_", N),
        **given,
    }


def put(inputs: Inputs, name: str, place: Any, value: float) -> Inputs:
    """The inputs with one element, row or block of one array replaced."""
    changed = inputs[name].copy()
    changed[place] = value
    return {**inputs, name: changed}


def bools(key: str, *shape: int) -> Array:
    """A mask that keeps about two of three, drawn."""
    kept: Array = draw(key, *shape) > -0.3
    return kept


# what people run in half precision: these drafts in float16 and bfloat16, too
HALF = {
    "attention_weights": "plain square far mask empty-row lengths causal causal-cache",
    "scaled_dot_product_attention": (
        "plain square mask lengths causal causal-cache causal-short nan far"
    ),
    "scaled_dot_product_attention.vjp": "plain square mask empty-row causal-cache",
    "multi_head_attention": "plain bias square one-head causal mask-heads",
    "feed_forward": "plain bias square",
    "encoder_layer": "plain bias lengths mask square",
    "decoder_layer": "plain bias lengths",
}


# q kᵀ / √3 is about 14.9, 16.7, -6.6 and 19.6, 13.7, 4.7
HALF_OVERFLOW: Inputs = {
    "q": np.array([[[[6.1, -2.3, 0.7], [3.3, 2.9, 5.7]]]]),
    "k": np.array([[[[4.3, 1.1, 2.9], [4.7, 0.3, 1.3], [-1.1, 2.3, 0.9]]]]),
}


def drafts() -> list[Draft]:
    """All drafts of the page."""
    return narrowed(
        [
            *positions(),
            *weights(),
            *attentions(),
            *attention_vjps(),
            *multi_heads(),
            *networks(),
            *encoders(),
            *decoders(),
            *embeddings(),
            *models(),
            *contexts(),
        ],
        HALF,
    )


def both(
    operation: str, name: str, note: str, note_vjp: str, inputs: Inputs, *rest: Any, **options: Any
) -> list[Draft]:
    """The same inputs forward and for the VJP."""
    return [
        Draft(operation, name, note, inputs, *rest, **options),
        Draft(f"{operation}.vjp", name, note_vjp, inputs, *rest, **options),
    ]


def positions() -> list[Draft]:
    """positional_encoding and positional_rotation."""
    name = "positional_encoding"
    plain = {"x": draw(f"{name} plain x", 2, 4, 6)}
    special = {"x": draw(f"{name} special x", 2, 3, 4)}
    special["x"][1, 1, 2] = np.nan
    special["x"][0, 2, 1] = -np.inf
    table = {"x": np.zeros((1, 5, 8))}
    rotation = {"x": draw("positional_rotation plain x", 2, 3, 6)}
    place = np.arange(4)[:, None] * 10000.0 ** (-np.arange(0, 6, 2) / 6)
    rows = np.empty((1, 4, 6))
    rows[0, :, 0::2], rows[0, :, 1::2] = np.sin(place), np.cos(place)
    return [
        *both(
            name,
            "plain",
            "positions from 1, sine and cosine exchanged, exponent c / D for 2i / D, halves for"
            " pairs; the axis of batch taken for that of positions",
            "a gradient that the table scales or turns",
            plain,
            clauses=TABLE + POSITIONS,
        ),
        Draft(
            name,
            "table",
            "x = 0, so the table itself: frequencies spaced by D/2 - 1, halves, exponent c / D",
            table,
            ("isolated",),
            clauses=TABLE,
        ),
        Draft(
            name,
            "odd",
            "D = 5: the last column is a sine alone, and the exponent has D, not D + 1",
            {"x": draw(f"{name} odd x", 3, 4, 5)},
            clauses=TABLE,
        ),
        Draft(
            name,
            "square",
            "B = L = D: the table added along another axis has the same shape",
            {"x": draw(f"{name} square x", 4, 4, 4)},
            ("square",),
            clauses=POSITIONS,
        ),
        Draft(
            name,
            "hand",
            "D = 1: y = sin(p), by hand 0 at the first position; a count from 1 gives sin 1",
            {"x": np.zeros((1, 1, 1))},
            ("hand",),
            clauses=TABLE,
        ),
        Draft(
            name,
            "offset",
            "offset 7 ignored, or added once too often",
            {"x": draw(f"{name} offset x", 2, 3, 6)},
            attributes={"offset": 7},
            clauses=POSITIONS,
        ),
        *both(
            name,
            "far",
            "p from 99998 on: an angle in float32 is off by 4e-3",
            "the gradient does not depend on the offset",
            {"x": draw(f"{name} far x", 1, 4, 6)},
            ("long",),
            attributes={"offset": 99998},
            clauses=TABLE + POSITIONS,
        ),
        Draft(
            name,
            "special",
            "a NaN and an infinity stay in their elements",
            special,
            ("special",),
            clauses=POSITIONS,
        ),
        *both(
            name,
            "no-positions",
            "L = 0: an empty result of shape (B, 0, D)",
            "L = 0: an empty gradient of shape (B, 0, D)",
            {"x": np.zeros((2, 0, 4))},
            ("zero-length",),
            clauses=POSITIONS,
        ),
        *both(
            "positional_rotation",
            "plain",
            "a turn the other way round (that of rotary embeddings), halves for pairs",
            "the gradient turned forwards and not back",
            rotation,
            attributes={"shift": 3},
        ),
        Draft(
            "positional_rotation",
            "table",
            "rows PE(0) to PE(3) become PE(5) to PE(8): shift taken as part of a pair's number",
            {"x": rows},
            ("isolated",),
            attributes={"shift": 5},
        ),
        *both(
            "positional_rotation",
            "back",
            "a negative shift turns back; its absolute value turns on",
            "a negative shift in the gradient",
            {"x": draw("positional_rotation back x", 1, 4, 8)},
            attributes={"shift": -2},
        ),
        Draft(
            "positional_rotation",
            "far",
            "shift 100000: an angle in float32 is off by 4e-3",
            {"x": draw("positional_rotation far x", 1, 2, 6)},
            ("long",),
            attributes={"shift": 100000},
        ),
    ]


def weights() -> list[Draft]:
    """attention_weights."""
    name = "attention_weights"
    plain = heads_in(f"{name} plain", 2, 3, 4, 5, 6)
    large = heads_in(f"{name} large", 1, 2, 4, 5, 3)
    large["q"], large["k"] = large["q"] * 100, large["k"] * 100
    far = {"q": np.ones((1, 1, 2, 1)), "k": np.array([[[[0.5], [-20000.0], [-20001.0]]]])}
    nan = put(heads_in(f"{name} nan", 1, 2, 3, 4, 5), "k", (0, 1, 2, 3), np.nan)
    row = put(heads_in(f"{name} nan-row", 2, 1, 4, 3, 2), "q", (1, 0, 2, 1), np.nan)
    ties = {
        "q": np.array([[[[1.0, 2.0], [0.0, 0.0], [-1.0, 1.0]]]]),
        "k": np.array([[[[2.0, 0.0], [0.0, 1.0], [4.0, -1.0]]]]),
    }
    empty = np.array([[True, False, True], [False] * 3, [True] * 3, [False, True, False]])
    return [
        *both(
            name,
            "plain",
            "softmax over the queries, 1/d or nothing for 1/√d, √ of another size",
            "dk = ds q without the transpose, no 1/√d in the gradient, p dp without - sum p dp",
            plain,
            clauses=SCORES + WEIGHTS,
        ),
        *both(
            name,
            "square",
            "L = S = K: softmax along the wrong axis, q and k exchanged, keep their shape",
            "dq and dk exchanged",
            heads_in(f"{name} square", 2, 1, 3, 3, 3),
            ("square",),
            clauses=SCORES + WEIGHTS,
        ),
        Draft(
            name,
            "hand",
            "scores worked by hand: query 1 has a tie of the keys 1, 2 and 3, query 2 is 0 and"
            " sees all alike; equal maxima share",
            ties,
            ("hand",),
            clauses=SCORES + WEIGHTS,
        ),
        Draft(
            name,
            "large",
            "scores in the thousands: an exponential without the row's maximum overflows",
            large,
            ("saturation",),
            clauses=WEIGHTS,
        ),
        Draft(
            name,
            "half-overflow",
            "scores to 20: without the row's maximum their exponentials are infinite in float16",
            HALF_OVERFLOW,
            ("saturation",),
            clauses=WEIGHTS,
            dtypes=NARROW,
        ),
        Draft(
            name,
            "far",
            "every seen score lies below -1e4: a mask of -1e4 lets the hidden key win",
            {**far, "mask": np.array([[False, True, True]])},
            ("saturation",),
            clauses=MASK + WEIGHTS,
        ),
        *both(
            name,
            "mask",
            "True for drop; a mask times the score; a mask after the softmax, whose rows no longer"
            " sum to 1; a mask for the heads read as one for the batch",
            "ds not masked: a hidden key has a gradient",
            {**heads_in(f"{name} mask", 2, 3, 4, 5, 2), "mask": bools(f"{name} m", 2, 3, 4, 5)},
            clauses=MASK + WEIGHTS,
        ),
        Draft(
            name,
            "mask-keys",
            "a mask (B, 1, 1, S) broadcasts over heads and queries, with B = N = L = S",
            {
                **heads_in(f"{name} mask-keys", 3, 3, 3, 3, 2),
                "mask": np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]]).reshape(3, 1, 1, 3),
            },
            ("square",),
            clauses=MASK,
        ),
        *both(
            name,
            "empty-row",
            "a query without a key has weights 0: NaN from a softmax of -inf, 1/S from -1e9",
            "the query without a key has no gradient, and gives none",
            {**heads_in(f"{name} empty-row", 2, 1, 4, 3, 5), "mask": empty},
            ("isolated",),
            clauses=MASK + WEIGHTS,
        ),
        *both(
            name,
            "lengths",
            "lengths 0, 3, 5 of keys: taken for those of queries, or off by one",
            "a key beyond the length has no gradient",
            {**heads_in(f"{name} lengths", 3, 2, 4, 5, 2), "lengths": whole(0, 3, 5)},
            ("lengths",),
            clauses=LENGTHS,
        ),
        *both(
            name,
            "causal",
            "j < i or j <= i + 1 for j <= i",
            "the gradient of a later key",
            heads_in(f"{name} causal", 1, 2, 4, 4, 3),
            ("square",),
            attributes={"causal": True},
            clauses=CAUSAL,
        ),
        *both(
            name,
            "causal-cache",
            "L = 2 queries at the end of S = 5 keys: top left shows the first only one key",
            "the gradient with the wrong corner",
            heads_in(f"{name} causal-cache", 2, 1, 2, 5, 3),
            attributes={"causal": True},
            clauses=CAUSAL,
        ),
        Draft(
            name,
            "causal-short",
            "L = 5 and S = 3: the first two queries see nothing",
            heads_in(f"{name} causal-short", 1, 2, 5, 3, 4),
            attributes={"causal": True},
            clauses=CAUSAL + WEIGHTS,
        ),
        Draft(
            name,
            "all",
            "mask, lengths and causal together, of which one overrules another",
            {
                **heads_in(f"{name} all", 2, 1, 4, 5, 3),
                "mask": bools(f"{name} all m", 4, 5),
                "lengths": whole(4, 2),
            },
            ("lengths",),
            attributes={"causal": True},
            clauses=MASK + LENGTHS + CAUSAL,
        ),
        *both(
            name,
            "nan",
            "a NaN key that is masked: its weight is 0 and the others are as without it",
            "a NaN key that is masked spoils no gradient",
            {**nan, "mask": np.array([True, True, False, True])},
            ("special",),
            clauses=MASK + WEIGHTS,
        ),
        *both(
            name,
            "nan-row",
            "a NaN in a query makes its own row NaN and no other; a hidden key there stays 0",
            "a NaN in a query, whose ds is NaN, leaves the gradient of a hidden key at 0",
            {**row, "lengths": whole(3, 2)},
            ("special",),
            clauses=WEIGHTS,
        ),
        *both(
            name,
            "no-keys",
            "S = 0: weights of shape (B, N, L, 0), no maximum of nothing",
            "S = 0: dq is 0",
            heads_in(f"{name} no-keys", 2, 1, 3, 0, 4),
            ("zero-length",),
            clauses=WEIGHTS,
        ),
        Draft(
            name,
            "one-key",
            "one key has the weight 1 exactly, whatever its score",
            heads_in(f"{name} one-key", 1, 2, 3, 1, 4),
            ("isolated",),
            clauses=WEIGHTS,
        ),
    ]


# by hand: equal scores, so y is the mean of the seen values: (1 + 3) / 2 = 2, and 10
HAND: Inputs = {
    "q": np.array([[[[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]]]),
    "k": np.array([[[[1.0, 2.0], [3.0, -1.0], [5.0, 7.0]]]]),
    "v": np.array([[[[1.0], [3.0], [10.0]]]]),
    "mask": np.array([[True, True, False], [False, False, True], [False, False, False]]),
}


def attentions() -> list[Draft]:
    """scaled_dot_product_attention."""
    name = "scaled_dot_product_attention"
    nan = heads_in(f"{name} nan", 2, 1, 4, 3, 2, 5)
    nan["k"][0, 0, 2, 1] = np.nan
    nan["v"][1, 0, 2, :] = np.nan
    future = put(heads_in(f"{name} nan-future", 1, 2, 4, 4, 3, 2), "v", (0, 1, 2, 0), np.nan)
    large = heads_in(f"{name} large", 1, 1, 4, 5, 3, 2)
    return [
        Draft(
            name,
            "plain",
            "√ of d_v for √ of d_k, K and V exchanged, softmax over the queries",
            heads_in(f"{name} plain", 2, 3, 4, 5, 6, 2),
            clauses=SCORES + WEIGHTS + ATTENTION,
        ),
        Draft(
            name,
            "square",
            "B = N = L = S = K = J: any two of q, k, v exchanged, heads for batch, p transposed",
            heads_in(f"{name} square", 3, 3, 3, 3, 3, 3),
            ("square",),
            clauses=SCORES + ATTENTION,
        ),
        Draft(
            name,
            "hand",
            "by hand 2, 10 and 0: the mean over all keys, or NaN for the query without a key",
            HAND,
            ("hand",),
            clauses=MASK + WEIGHTS + ATTENTION,
        ),
        Draft(
            name,
            "mask",
            "a mask (B, 1, L, S): True for drop, or weights that no longer sum to 1",
            {
                **heads_in(f"{name} mask", 2, 3, 4, 5, 2, 3),
                "mask": bools(f"{name} mask m", 2, 1, 4, 5),
            },
            clauses=MASK + ATTENTION,
        ),
        Draft(
            name,
            "lengths",
            "lengths 2, 0, 4: an example without a key gives 0",
            {**heads_in(f"{name} lengths", 3, 1, 2, 4, 5, 6), "lengths": whole(2, 0, 4)},
            ("lengths",),
            clauses=LENGTHS,
        ),
        Draft(
            name,
            "causal",
            "j < i or j <= i + 1 for j <= i: the first query sees itself alone",
            heads_in(f"{name} causal", 2, 1, 4, 4, 3, 5),
            attributes={"causal": True},
            clauses=CAUSAL,
        ),
        Draft(
            name,
            "causal-cache",
            "L = 2, S = 5: aligned at the top left, which torch, jax and onnxruntime do",
            heads_in(f"{name} causal-cache", 1, 3, 2, 5, 4, 2),
            attributes={"causal": True},
            clauses=CAUSAL,
        ),
        Draft(
            name,
            "causal-short",
            "L = 5, S = 3: two queries see nothing and give 0",
            heads_in(f"{name} causal-short", 2, 1, 5, 3, 2, 4),
            attributes={"causal": True},
            clauses=CAUSAL + WEIGHTS,
        ),
        Draft(
            name,
            "nan",
            "a NaN in a key and in a value beyond the length: 0 * NaN in p v",
            {**nan, "lengths": whole(2, 2)},
            ("special", "lengths"),
            clauses=LENGTHS + ATTENTION,
        ),
        Draft(
            name,
            "nan-future",
            "a NaN value at place 3 under the causal mask: places 1 and 2 are as without it",
            future,
            ("special",),
            attributes={"causal": True},
            clauses=CAUSAL + ATTENTION,
        ),
        Draft(
            name,
            "large",
            "scores to 1e4: no overflow, and the rows are not normalised by a common maximum",
            {**large, "q": large["q"] * 1e4},
            ("saturation",),
            clauses=WEIGHTS,
        ),
        Draft(
            name,
            "half-overflow",
            "scores to 20: without the row's maximum their exponentials are infinite in float16",
            {**HALF_OVERFLOW, "v": draw(f"{name} half-overflow v", 1, 1, 3, 2)},
            ("saturation",),
            clauses=WEIGHTS,
            dtypes=NARROW,
        ),
        Draft(
            name,
            "far",
            "scores below -1e4 beside a hidden key: with -1e4 for its score it wins",
            {
                "q": np.array([[[[1.0], [2.0]]]]),
                "k": np.array([[[[-30000.0], [-30000.5], [0.25]]]]),
                "v": draw(f"{name} far v", 1, 1, 3, 2),
                "lengths": whole(2),
            },
            ("saturation", "lengths"),
            clauses=LENGTHS + WEIGHTS,
        ),
        Draft(
            name,
            "no-keys",
            "S = 0 gives zeros of shape (B, N, L, J)",
            heads_in(f"{name} no-keys", 2, 1, 3, 0, 4, 5),
            ("zero-length",),
            clauses=WEIGHTS + ATTENTION,
        ),
        Draft(
            name,
            "no-batch",
            "B = 0 with lengths of no element",
            {**heads_in(f"{name} no-batch", 0, 2, 3, 4, 5, 6), "lengths": whole()},
            ("zero-length",),
            clauses=ATTENTION,
        ),
        Draft(
            name,
            "long",
            "S = 200: a sum of many weights, and a block-wise softmax that forgets to rescale",
            heads_in(f"{name} long", 1, 1, 2, 200, 3, 2),
            ("long",),
            clauses=WEIGHTS + ATTENTION,
        ),
    ]


def attention_vjps() -> list[Draft]:
    """scaled_dot_product_attention.vjp."""
    name = "scaled_dot_product_attention"
    vjp = f"{name}.vjp"
    nan = heads_in(f"{name} nan", 2, 1, 4, 3, 2, 5)
    nan["k"][0, 0, 2, 1] = np.nan
    nan["v"][1, 0, 2, :] = np.nan
    return [
        Draft(
            vjp,
            "plain",
            "no 1/√d in dq or dk, dv = p dy without the transpose, p dp without - sum p dp",
            heads_in(f"{name} plain", 2, 3, 4, 5, 6, 2),
            clauses=SCORES + WEIGHTS + ATTENTION,
        ),
        Draft(
            vjp,
            "square",
            "all sizes 3: dq and dk exchanged, p transposed",
            heads_in(f"{name} square", 3, 1, 3, 3, 3, 3),
            ("square",),
            clauses=SCORES + ATTENTION,
        ),
        Draft(
            vjp,
            "mask",
            "ds or dv not masked",
            {
                **heads_in(f"{name} mask", 2, 3, 4, 5, 2, 3),
                "mask": bools(f"{name} mask m", 2, 1, 4, 5),
            },
            clauses=MASK + ATTENTION,
        ),
        Draft(
            vjp,
            "empty-row",
            "the query without a key has gradient 0 and adds nothing to dk and dv; NaN where its"
            " row is 0 / 0",
            {**HAND, "q": draw(f"{vjp} empty-row q", 1, 1, 3, 2)},
            clauses=MASK + WEIGHTS,
        ),
        Draft(
            vjp,
            "causal-cache",
            "L = 2, S = 5: the backward pass masks at another corner than the forward pass",
            heads_in(f"{name} causal-cache", 1, 3, 2, 5, 4, 2),
            attributes={"causal": True},
            clauses=CAUSAL,
        ),
        Draft(
            vjp,
            "causal-short",
            "L = 5, S = 3: the queries without a key have gradient 0",
            heads_in(f"{name} causal-short", 2, 1, 5, 3, 2, 4),
            attributes={"causal": True},
            clauses=CAUSAL + WEIGHTS,
        ),
        Draft(
            vjp,
            "nan",
            "NaN in a hidden key and a hidden value: dp = dy v is NaN there, 0 * NaN in ds and dq",
            {**nan, "lengths": whole(2, 2)},
            ("special", "lengths"),
            clauses=LENGTHS + ATTENTION,
        ),
        Draft(
            vjp,
            "nan-row",
            "a NaN in query 2 under the causal mask reaches dk and dv of places 1 and 2 and none"
            " later",
            put(heads_in(f"{vjp} nan-row", 1, 2, 4, 4, 3, 2), "q", (0, 1, 1, 2), np.nan),
            ("special",),
            attributes={"causal": True},
            clauses=CAUSAL + WEIGHTS,
        ),
        Draft(
            vjp,
            "no-keys",
            "S = 0: dq is 0, dk and dv are empty",
            heads_in(f"{name} no-keys", 2, 1, 3, 0, 4, 5),
            ("zero-length",),
            clauses=ATTENTION,
        ),
        Draft(
            vjp,
            "no-batch",
            "B = 0: empty gradients of full rank",
            heads_in(f"{name} no-batch", 0, 2, 3, 4, 5, 6),
            ("zero-length",),
            clauses=ATTENTION,
        ),
    ]


def multi_heads() -> list[Draft]:
    """multi_head_attention."""
    name = "multi_head_attention"
    nan = multi(f"{name} nan", 2, 3, 4, 2, 2, 4, bias=True)
    nan["k"][0, 3, 1] = np.nan
    nan["v"][1, 2, :] = np.nan
    keyed = multi(f"{name} key-bias", 1, 3, 2, 4, 6, 2)
    keyed["b_k"] = draw(f"{name} key-bias b_k", 6, scale=8.0)
    return [
        *both(
            name,
            "plain",
            "heads cut without the exchange of axes, heads interleaved, √D or √P for √d_k,"
            " d_v = 3 taken for d_k = 2",
            "dk and dv exchanged, gradients of the last head alone, dW not summed over the batch",
            multi(f"{name} plain", 2, 3, 4, 5, 4, 6),
            attributes={"heads": 2},
            clauses=HEADS + MULTI_HEAD,
        ),
        *both(
            name,
            "bias",
            "biases given to each other's projection, or b_o before W_o",
            "db summed over the batch alone, db_k is 0",
            multi(f"{name} bias", 2, 4, 3, 2, 6, 3, bias=True),
            attributes={"heads": 3},
            clauses=MULTI_HEAD,
        ),
        *both(
            name,
            "square",
            "P = R = D = L = S: a transposed W, W_q for W_k, heads cut along the positions",
            "dW transposed, dq for dk",
            multi(f"{name} square", 1, 4, 4, 4, 4, 4),
            ("square",),
            attributes={"heads": 2},
            clauses=HEADS + MULTI_HEAD,
        ),
        Draft(
            name,
            "one-head",
            "heads = 1: a fault here is not the heads'",
            multi(f"{name} one-head", 2, 3, 2, 4, 5, 3),
            ("isolated",),
            clauses=MULTI_HEAD,
        ),
        Draft(
            name,
            "many-heads",
            "d_k = d_v = 1 and heads = P = R = 5: the scale is 1, and the order of heads is all",
            multi(f"{name} many-heads", 1, 3, 2, 4, 5, 5),
            ("isolated",),
            attributes={"heads": 5},
            clauses=HEADS,
        ),
        *both(
            name,
            "causal",
            "the causal mask in some heads only, L = 2 and S = 4 aligned at the top left",
            "the backward pass without the causal mask",
            multi(f"{name} causal", 2, 2, 4, 3, 4, 2),
            attributes={"heads": 2, "causal": True},
            clauses=CAUSAL + MULTI_HEAD,
        ),
        Draft(
            name,
            "mask-heads",
            "a mask (heads, 1, S), unlike from head to head, in the order of the heads",
            {
                **multi(f"{name} mask-heads", 2, 3, 4, 5, 6, 3),
                "mask": np.array([[[1, 0, 1, 1]], [[0, 1, 1, 0]], [[1, 1, 0, 0]]]),
            },
            attributes={"heads": 3},
            clauses=MASK + HEADS,
        ),
        *both(
            name,
            "nan",
            "NaN beyond the lengths 3 and 2 of key and value",
            "NaN in a key that nobody sees: 0 * NaN in dW_k and dW_v",
            {**nan, "lengths": whole(3, 2)},
            ("special", "lengths"),
            attributes={"heads": 2},
            clauses=LENGTHS + MULTI_HEAD,
        ),
        Draft(
            name,
            "no-keys",
            "lengths 0 and 2: without a key the result is b_o, not 0 and not NaN",
            {
                **multi(f"{name} no-keys", 2, 3, 2, 4, 2, 3, bias=True),
                "lengths": whole(0, 2),
            },
            ("lengths",),
            clauses=LENGTHS + MULTI_HEAD,
        ),
        *both(
            name,
            "key-bias",
            "b_k up to 8 alone: the output is that without it; b_k added to the scores' keys"
            " after the softmax or given to the values changes it",
            "db_k is 0 though b_k is large",
            keyed,
            ("isolated", "cancellation"),
            attributes={"heads": 2},
            clauses=KEY_BIAS,
        ),
        *both(
            name,
            "no-positions",
            "L = 0: an empty result",
            "L = 0: zeros of full shape for the weights",
            multi(f"{name} no-positions", 2, 0, 3, 4, 2, 4),
            ("zero-length",),
            attributes={"heads": 2},
            clauses=MULTI_HEAD,
        ),
    ]


def networks() -> list[Draft]:
    """feed_forward."""
    name = "feed_forward"

    def fed(key: str, B: int, L: int, D: int, H: int, *, bias: bool) -> Inputs:
        optional = network_biases(key, H, D) if bias else {}
        return {"x": draw(f"{key} x", B, L, D), **network(key, H, D), **optional}

    hand = {
        "x": np.array([[[1.0, -1.0], [2.0, 1.0]]]),
        "W_1": np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 2.0]]),
        "W_2": np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 4.0]]),
    }
    special = put(fed(f"{name} special", 2, 3, 4, 5, bias=True), "x", (1, 2, 0), np.nan)
    return [
        *both(
            name,
            "plain",
            "no ReLU, a ReLU on the result too, another activation",
            "the derivative of the ReLU at the result, dW averaged",
            fed(f"{name} plain", 2, 3, 4, 5, bias=False),
        ),
        *both(
            name,
            "bias",
            "b_1 behind the ReLU, b_2 left out",
            "db summed over the batch alone, or over the positions alone",
            fed(f"{name} bias", 3, 2, 5, 4, bias=True),
        ),
        *both(
            name,
            "square",
            "D = H = L: a transposed W_1 or W_2, the two exchanged",
            "dW transposed",
            fed(f"{name} square", 2, 3, 3, 3, bias=True),
            ("square",),
        ),
        Draft(
            name,
            "hand",
            "by hand (4, 1) and (5, -2.5), from W_1 x = (0, 2, -3) and (3, 1, 0); GELU gives other"
            " numbers",
            hand,
            ("hand",),
        ),
        Draft(
            f"{name}.vjp",
            "kink",
            "x = 0 at one place, so W_1 x is exactly 0: the derivative there is 0, not 1 or 1/2",
            put(fed(f"{name} kink", 1, 2, 3, 4, bias=False), "x", (0, 1), 0.0),
            ("kink",),
        ),
        Draft(
            name,
            "special",
            "a NaN makes its position NaN and no other; a ReLU by comparison turns it into 0",
            special,
            ("special",),
        ),
        *both(
            name,
            "no-positions",
            "L = 0: an empty result",
            "L = 0: zeros of full shape for weights and biases",
            fed(f"{name} no-positions", 2, 0, 3, 4, bias=True),
            ("zero-length",),
        ),
    ]


def encoders() -> list[Draft]:
    """encoder_layer."""
    name = "encoder_layer"
    nan = encoder(f"{name} nan", 2, 4, 4, 2, 4, 3, bias=False)
    nan["x"][0, 2:] = np.nan
    nan["x"][1, 3:, 1] = np.inf
    pre = {"heads": 2, "norm": "pre"}
    return [
        *both(
            name,
            "plain",
            "pre for post, a norm or a residual connection missing, the norms exchanged, no eps",
            "the residual's gradient lost, dx as query, key or value lost",
            encoder(f"{name} plain", 2, 3, 4, 2, 6, 5, bias=False),
            attributes={"heads": 2},
            clauses=ADD_NORM + ENCODER,
        ),
        *both(
            name,
            "bias",
            "a bias in another place, among six",
            "a bias' gradient in another place",
            encoder(f"{name} bias", 1, 4, 3, 6, 3, 2, bias=True),
            attributes={"heads": 3},
            clauses=ENCODER,
        ),
        *both(
            name,
            "pre",
            "post for pre, the norm's result for the residual, a last norm too many",
            "the norm's gradient added twice, or left out beside the residual",
            encoder(f"{name} pre", 2, 3, 5, 2, 4, 6, bias=True),
            attributes=pre,
            clauses=ADD_NORM + ENCODER,
        ),
        *both(
            name,
            "lengths",
            "lengths 3, 0, 1: keys beyond the length seen, rows beyond it not 0",
            "dy beyond the length counted, dx there not 0",
            {**encoder(f"{name} lengths", 3, 3, 4, 2, 2, 3, bias=True), "lengths": whole(3, 0, 1)},
            ("lengths",),
            attributes=pre,
            clauses=LENGTHS + ENCODER,
        ),
        *both(
            name,
            "nan",
            "NaN and infinity beyond the lengths 2 and 3",
            "NaN beyond the length: 0 * NaN in every weight's gradient",
            {**nan, "lengths": whole(2, 3)},
            ("special", "lengths"),
            attributes={"heads": 2},
            clauses=LENGTHS + ENCODER,
        ),
        *both(
            name,
            "mask",
            "a mask (L, L) for all examples and heads, transposed",
            "a mask (L, L) for all examples and heads, transposed on the way back",
            {
                **encoder(f"{name} mask", 2, 4, 3, 2, 4, 5, bias=False),
                "mask": np.array([[1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 1, 1]]),
            },
            attributes={"heads": 2},
            clauses=MASK + ENCODER,
        ),
        Draft(
            name,
            "square",
            "B = L = D = P = R = H: transposed weights, positions for batch",
            encoder(f"{name} square", 3, 3, 3, 3, 3, 3, bias=False),
            ("square",),
            clauses=ENCODER,
        ),
        *both(
            name,
            "no-positions",
            "L = 0: an empty result",
            "L = 0: zeros of full shape for all weights",
            encoder(f"{name} no-positions", 2, 0, 4, 2, 4, 3, bias=False),
            ("zero-length",),
            attributes={"heads": 2},
            clauses=ENCODER,
        ),
    ]


def decoders() -> list[Draft]:
    """decoder_layer."""
    name = "decoder_layer"
    nan = decoder(f"{name} nan", 2, 3, 4, 4, 2, 4, 3, bias=False)
    nan["x"][0, 2:] = np.nan
    nan["memory"][1, 3:] = np.nan
    future = decoder(f"{name} nan-future", 1, 4, 2, 3, 2, 2, 4, bias=False)
    future["x"][0, 2, 1] = np.nan
    return [
        *both(
            name,
            "plain",
            "no causal mask, keys and values of the second attention from x, the sublayers in"
            " another order, a norm of another sublayer",
            "dmemory from the keys alone, the residual's gradient lost",
            decoder(f"{name} plain", 2, 3, 4, 4, 2, 6, 5, bias=False),
            attributes={"heads": 2},
            clauses=ADD_NORM + DECODER + CAUSAL,
        ),
        *both(
            name,
            "bias",
            "a bias in another place, among ten; cross for self",
            "a bias' gradient in another place",
            decoder(f"{name} bias", 1, 4, 2, 3, 3, 6, 2, bias=True),
            attributes={"heads": 3},
            clauses=DECODER,
        ),
        *both(
            name,
            "pre",
            "post for pre; the memory normalised once more",
            "the norm's gradient left out beside the residual",
            decoder(f"{name} pre", 2, 3, 2, 4, 4, 2, 5, bias=True),
            attributes={"heads": 2, "norm": "pre"},
            clauses=ADD_NORM + DECODER,
        ),
        *both(
            name,
            "lengths",
            "lengths 3, 1 and 0 of x, 0, 4 and 2 of memory: exchanged; an example without memory",
            "dmemory beyond its length, dy beyond the length of x",
            {
                **decoder(f"{name} lengths", 3, 3, 4, 3, 2, 2, 4, bias=True),
                "lengths": whole(3, 1, 0),
                "memory_lengths": whole(0, 4, 2),
            },
            ("lengths",),
            attributes={"norm": "pre"},
            clauses=LENGTHS + DECODER,
        ),
        *both(
            name,
            "nan",
            "NaN beyond both lengths",
            "NaN beyond both lengths spoils every weight's gradient",
            {**nan, "lengths": whole(2, 3), "memory_lengths": whole(4, 3)},
            ("special", "lengths"),
            attributes={"heads": 2},
            clauses=LENGTHS + DECODER,
        ),
        Draft(
            name,
            "nan-future",
            "a NaN at place 3: places 1 and 2 are as without it, 4 is NaN",
            future,
            ("special",),
            clauses=CAUSAL + DECODER,
        ),
        Draft(
            name,
            "square",
            "all sizes 3: memory and x exchanged, transposed weights",
            decoder(f"{name} square", 3, 3, 3, 3, 3, 3, 3, bias=False),
            ("square",),
            clauses=DECODER,
        ),
        *both(
            name,
            "no-memory",
            "S = 0: the second attention gives its bias",
            "S = 0: zeros for the weights of keys and values",
            decoder(f"{name} no-memory", 2, 3, 0, 4, 2, 4, 3, bias=True),
            ("zero-length",),
            attributes={"heads": 2, "norm": "pre"},
            clauses=DECODER,
        ),
    ]


def embeddings() -> list[Draft]:
    """transformer_embed."""
    name = "transformer_embed"
    tokens = whole([3, 0, 6, 3], [1, 3, 3, 5])
    return [
        *both(
            name,
            "plain",
            "no √D, √D on the position too, the position by the word's number",
            "dE of the last place alone, where word 3 stands four times; no √D",
            {"tokens": tokens, "E": draw(f"{name} plain E", 7, 6)},
            clauses=EMBEDDING + EMBED,
        ),
        *both(
            name,
            "square",
            "V = D = L: columns of E for rows",
            "dE transposed",
            {"tokens": whole([2, 0, 1, 0]), "E": draw(f"{name} square E", 4, 4)},
            ("square",),
            clauses=EMBEDDING + EMBED,
        ),
        *both(
            name,
            "offset",
            "offset 12 ignored",
            "the gradient does not depend on the offset",
            {"tokens": whole([4, 1], [0, 4], [2, 2]), "E": draw(f"{name} offset E", 5, 3)},
            attributes={"offset": 12},
            clauses=EMBED,
        ),
        Draft(
            name,
            "far",
            "offset 50000: ignored, or an angle in float32",
            {"tokens": whole([1, 0, 2, 1]), "E": draw(f"{name} far E", 3, 6)},
            ("long",),
            attributes={"offset": 50000},
            clauses=EMBED,
        ),
        Draft(
            name,
            "hand",
            "D = 4 and place 0: 2 E + (0, 1, 0, 1), by hand (3, 0, 1, -4)",
            {"tokens": whole([1]), "E": np.array([[9.0] * 4, [1.5, -0.5, 0.5, -2.5]])},
            ("hand",),
            clauses=EMBEDDING + EMBED,
        ),
        Draft(
            name,
            "unused",
            "a NaN in the row of a word that does not occur: a product with one-hot vectors"
            " spreads it",
            {
                "tokens": whole([0, 2, 0]),
                "E": put({"E": draw(f"{name} unused E", 4, 3)}, "E", 1, np.nan)["E"],
            },
            ("special",),
            clauses=EMBEDDING,
        ),
        *both(
            name,
            "no-words",
            "L = 0: an empty result",
            "L = 0: dE is 0, of full shape",
            {"tokens": np.zeros((2, 0), np.int64), "E": draw(f"{name} no-words E", 4, 3)},
            ("zero-length",),
            clauses=EMBED,
        ),
    ]


def models() -> list[Draft]:
    """transformer_forward."""
    name = "transformer_forward"
    source, target = whole([4, 0, 2], [1, 1, 3]), whole([0, 4], [3, 2])
    return [
        *both(
            name,
            "plain",
            "logits by a transposed or scaled E, no causal mask, the encoder not run, the target's"
            " positions counted on from the source's",
            "one of the three gradients of E lost",
            {"source": source, "target": target, **whole_model(f"{name} plain", 1, 5, 4, 2, 6, 3)},
            attributes={"heads": 2},
            clauses=STACK + LOGITS,
        ),
        *both(
            name,
            "source-padding",
            "a padded source with D = 4: at D = 2 a norm leaves little but signs, in which an"
            " encoder that attends to the padding does not show",
            "the source's padding has no share in the gradients",
            {
                "source": source,
                "target": target,
                **whole_model(f"{name} source-padding", 1, 5, 4, 2, 6, 3),
                "source_lengths": whole(2, 1),
            },
            ("lengths",),
            attributes={"heads": 2},
            clauses=STACK + LENGTHS,
        ),
        *both(
            name,
            "two-layers",
            "decoder layer n given the output of encoder layer n; the layers in reverse order, or"
            " the first one twice",
            "the memory's gradient of the last decoder layer alone",
            {
                "source": source[:1],
                "target": target[:1],
                **whole_model(f"{name} two-layers", 2, 5, 3, 2, 2, 4, bias=True),
            },
            attributes={"heads": 2},
            clauses=STACK,
        ),
        *both(
            name,
            "lengths",
            "source lengths 1 and 3, target lengths 3 and 2: exchanged, or the padding's word"
            " seen; logits in the padding are 0",
            "the padding's word has a gradient",
            {
                "source": whole([4, 0, 0], [1, 1, 3]),
                "target": whole([0, 4, 2], [3, 2, 0]),
                **whole_model(f"{name} lengths", 1, 5, 2, 2, 3, 4),
                "source_lengths": whole(1, 3),
                "target_lengths": whole(3, 2),
            },
            ("lengths",),
            clauses=STACK + LOGITS + LENGTHS,
        ),
        *both(
            name,
            "no-layers",
            "N = 0: logits are y Eᵀ of the embedding, √D once",
            "N = 0: dE has the parts of target and logits; the source's is 0",
            {"source": source, "target": target, **whole_model(f"{name} none", 0, 5, 4, 2, 4, 3)},
            ("isolated", "zero-length"),
            attributes={"heads": 2},
            clauses=EMBED + LOGITS,
        ),
        *both(
            name,
            "no-target",
            "L = 0: logits of shape (B, 0, V)",
            "L = 0: zeros of full shape",
            {
                "source": source,
                "target": np.zeros((2, 0), np.int64),
                **whole_model(f"{name} no-target", 1, 5, 2, 2, 2, 3),
            },
            ("zero-length",),
            clauses=STACK,
        ),
    ]


def contexts() -> list[Draft]:
    """contextual_embedding."""
    name = "contextual_embedding"

    def model(key: str, V: int, D: int, P: int, R: int) -> Inputs:
        return {"E": draw(f"{name} {key} E", V, D), **projections(f"{name} {key}", P, R, D)}

    order = whole([0, 1, 2, 3], [2, 0, 3, 1])
    return [
        *both(
            name,
            "context",
            "word 1 at place 2 in two sentences has two vectors: a table of words gives one",
            "dE without the parts of z as query, key or value",
            {"tokens": whole([0, 1, 2], [3, 1, 4]), **model("context", 5, 4, 2, 6)},
            attributes={"heads": 2},
            clauses=CONTEXT,
        ),
        Draft(
            name,
            "place",
            "one word three times, so the context is alike: only the places tell them apart",
            {"tokens": whole([1, 1, 1]), **model("place", 2, 5, 4, 3)},
            ("isolated",),
            clauses=CONTEXT,
        ),
        *both(
            name,
            "permutation",
            "without positions a sentence in another order has the same vectors in that order; a"
            " position that is added all the same, or a causal mask, changes them",
            "two orders of one sentence without positions",
            {"tokens": order, **model("permutation", 4, 5, 4, 2)},
            ("isolated",),
            attributes={"heads": 2, "position": "none"},
            clauses=PERMUTATION,
        ),
        Draft(
            name,
            "order",
            "the same two orders with positions: the vectors differ",
            {"tokens": order, **model("permutation", 4, 5, 4, 2)},
            attributes={"heads": 2},
            clauses=CONTEXT + PERMUTATION,
        ),
        Draft(
            name,
            "twice",
            "without positions a word that stands twice has the same vector twice",
            {"tokens": whole([2, 0, 2, 1]), **model("twice", 3, 4, 3, 6)},
            ("isolated",),
            attributes={"heads": 3, "position": "none"},
            clauses=PERMUTATION,
        ),
        *both(
            name,
            "alone",
            "one word sees itself alone: h = z + W_o W_v z, whatever W_q and W_k are",
            "dW_q and dW_k are 0",
            {"tokens": whole([1], [0]), **model("alone", 3, 4, 2, 5)},
            ("isolated",),
            clauses=CONTEXT,
        ),
        *both(
            name,
            "no-words",
            "L = 0: an empty result",
            "L = 0: zeros of full shape",
            {"tokens": np.zeros((2, 0), np.int64), **model("no-words", 3, 4, 2, 5)},
            ("zero-length",),
            clauses=CONTEXT,
        ),
    ]
