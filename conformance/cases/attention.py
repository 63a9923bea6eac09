"""Inputs for spec/attention.md: which score, which softmax, which mask, told by numbers."""

from typing import Any

import numpy as np

from nnspec.conformance.cases.draft import Draft, draw, narrowed
from nnspec.reference.array import Array

Inputs = dict[str, Any]

WEIGHTS = ("attention.weights",)
SOFT = ("attention.soft",)
MASK = ("attention.mask",)

NAN, INF = np.nan, np.inf


def dot(key: str, T: int, B: int, D: int) -> Inputs:
    """Inputs of the dot score."""
    return {"query": draw(f"{key} query", B, D), "keys": draw(f"{key} keys", T, B, D)}


def general(key: str, T: int, B: int, D: int, E: int) -> Inputs:
    """Inputs of the general score."""
    return {
        "query": draw(f"{key} query", B, D),
        "keys": draw(f"{key} keys", T, B, E),
        "W": draw(f"{key} W", D, E),
    }


def additive(key: str, T: int, B: int, D: int, E: int, A: int, *, bias: bool = False) -> Inputs:
    """Inputs of the additive score."""
    return {
        "query": draw(f"{key} query", B, D),
        "keys": draw(f"{key} keys", T, B, E),
        "W_q": draw(f"{key} W_q", A, D),
        "W_k": draw(f"{key} W_k", A, E),
        "v": draw(f"{key} v", A),
        **({"b": draw(f"{key} b", A)} if bias else {}),
    }


def soft(key: str, T: int, B: int, E: int, scale: float = 2.0) -> Inputs:
    """Scores and values."""
    return {
        "scores": draw(f"{key} scores", T, B, scale=scale),
        "values": draw(f"{key} values", T, B, E),
    }


def hard(key: str, T: int, B: int, E: int, *u: float) -> Inputs:
    """Scores and values, and the draws."""
    return {**soft(key, T, B, E), "u": np.array(u)}


def lengths_of(*lengths: int) -> Array:
    """Lengths."""
    return np.array(lengths, dtype=np.int64)


def spoiled(inputs: Inputs, valid: Array, value: float, *names: str) -> Inputs:
    """The named inputs with `value` at every location that does not take part."""
    made = dict(inputs)
    for name in names:
        x = inputs[name]
        keep = valid.reshape(*valid.shape, *(1,) * (x.ndim - 2))
        made[name] = np.where(keep, x, value)
    return made


def within(T: int, *lengths: int) -> Array:
    """(T, B) bool: the locations within the lengths."""
    return np.arange(T)[:, None] < np.array(lengths)


# of five locations and four examples: gaps, the first location left out, one alone, none
GAPS = np.array(
    [
        [True, False, False, False],
        [False, True, False, False],
        [True, True, False, False],
        [False, False, True, False],
        [True, True, False, False],
    ]
)

# six examples; the NaN and the infinities each in a row of its own
SPECIAL_SCORES = np.array(
    [
        [0.5, NAN, INF, -INF, -INF, 1.0],
        [-1.0, 0.25, 0.5, 0.75, -INF, -0.5],
        [0.25, 1.0, -1.5, -0.5, -INF, 0.75],
        [1.5, -0.5, 0.25, 1.25, -INF, NAN],
    ]
)

# what people run in half precision: these drafts in float16 and bfloat16, too
HALF = {
    "attention_dot_scores": "plain square cancellation",
    "attention_general_scores": "plain square",
    "attention_additive_scores": "plain bias square saturation",
    "soft_attention": "plain shifted square large rows-apart mask lengths all-masked",
}


def drafts() -> list[Draft]:
    """All drafts of the page."""
    return narrowed(
        [
            *dot_scores(),
            *general_scores(),
            *additive_scores(),
            *soft_cases(),
            *soft_vjps(),
            *hard_cases(),
            *score_gradients(),
        ],
        HALF,
    )


def dot_scores() -> list[Draft]:
    """attention_dot_scores and its VJP."""
    f = "attention_dot_scores"
    cancelling = dot(f"{f} cancellation", 4, 3, 6)
    # 4000 q - 4000 (q - small): 12 bits are lost, no more
    cancelling["keys"][:, :, 1:3] = 4000.0
    cancelling["query"][:, 2] = 0.0004 - cancelling["query"][:, 1]
    special = dot(f"{f} special", 4, 3, 5)
    special["query"][1, 2] = NAN
    special["keys"][2, 0, 3] = NAN
    special["keys"][1, 2, 4] = INF
    return [
        Draft(
            f,
            "plain",
            "divided by √D, or by D, as the Transformer's score; the mean for the sum",
            dot(f"{f} plain", 4, 2, 5),
        ),
        Draft(
            f,
            "one-location",
            "T = 1: the axis of the locations squeezed away",
            dot(f"{f} one-location", 1, 3, 4),
        ),
        Draft(
            f,
            "wide",
            "D = 64, where √D = 8: the scale in a size that attention has",
            dot(f"{f} wide", 3, 2, 64),
        ),
        Draft(
            f,
            "square",
            "T = B = D: locations and batch exchanged, or the sum over the wrong axis",
            dot(f"{f} square", 3, 3, 3),
            ("square",),
        ),
        Draft(
            f,
            "hand",
            "by hand (8, 1): cosine similarity instead of the dot product gives 1 for the first",
            {"query": np.array([[4.0, 0.0]]), "keys": np.array([[[2.0, 0.0]], [[0.25, -7.0]]])},
            ("hand",),
        ),
        Draft(
            f,
            "cancellation",
            "products rounded to half precision, or summed in it",
            cancelling,
            ("cancellation",),
        ),
        Draft(
            f,
            "special",
            "a NaN in one query or one key reaches another example or location",
            special,
            ("special",),
        ),
        Draft(
            f,
            "no-locations",
            "T = 0: no score",
            dot(f"{f} no-locations", 0, 2, 3),
            ("zero-length",),
        ),
        Draft(
            f,
            "no-batch",
            "B = 0: scores of shape (T, 0)",
            dot(f"{f} no-batch", 4, 0, 3),
            ("zero-length",),
        ),
        Draft(
            f"{f}.vjp",
            "plain",
            "dq and dh exchanged; dq of the last location only, overwritten and not summed",
            dot(f"{f} plain", 4, 2, 5),
        ),
        Draft(
            f"{f}.vjp",
            "square",
            "T = B = D: dq summed over the batch instead of the locations",
            dot(f"{f} square", 3, 3, 3),
            ("square",),
        ),
        Draft(
            f"{f}.vjp",
            "no-locations",
            "T = 0: dq is zeros of full shape",
            dot(f"{f} no-locations", 0, 2, 3),
            ("zero-length",),
        ),
        Draft(
            f"{f}.vjp",
            "long",
            "T = 700: the sum over the locations loses digits, or stops at a block's end",
            dot(f"{f} long", 700, 1, 3),
            ("long",),
        ),
    ]


def general_scores() -> list[Draft]:
    """attention_general_scores and its VJP."""
    f = "attention_general_scores"
    return [
        Draft(
            f,
            "plain",
            "the matrix left out, or divided by √D; another sum than over both sizes",
            general(f"{f} plain", 4, 2, 5, 3),
        ),
        Draft(
            f,
            "square",
            "D = E: Wᵀ for W has the same shape",
            general(f"{f} square", 5, 2, 4, 4),
            ("square",),
        ),
        Draft(
            f,
            "hand",
            "by hand 2 * 3 * 5 = 30: W[query, key]; with W transposed 0",
            {
                "query": np.array([[2.0, 0.0]]),
                "keys": np.array([[[0.0, 5.0]]]),
                "W": np.array([[0.0, 3.0], [0.0, 0.0]]),
            },
            ("hand", "square"),
        ),
        Draft(
            f,
            "no-batch",
            "B = 0: scores of shape (T, 0)",
            general(f"{f} no-batch", 4, 0, 3, 2),
            ("zero-length",),
        ),
        Draft(
            f,
            "no-locations",
            "T = 0: no score",
            general(f"{f} no-locations", 0, 2, 3, 4),
            ("zero-length",),
        ),
        Draft(
            f"{f}.vjp",
            "plain",
            "dW transposed, or from one example; dq through Wᵀ where W is due",
            general(f"{f} plain", 4, 2, 5, 3),
        ),
        Draft(
            f"{f}.vjp",
            "square",
            "D = E: dW transposed keeps its shape, and so do dq W and dh Wᵀ",
            general(f"{f} square", 5, 2, 4, 4),
            ("square",),
        ),
        Draft(
            f"{f}.vjp",
            "batch",
            "B = 6: dW the mean over the batch, where the sum is due",
            general(f"{f} batch", 3, 6, 2, 4),
        ),
        Draft(
            f"{f}.vjp",
            "no-batch",
            "B = 0: dW is zeros of full shape",
            general(f"{f} no-batch", 4, 0, 3, 2),
            ("zero-length",),
        ),
        Draft(
            f"{f}.vjp",
            "no-locations",
            "T = 0: dq and dW are zeros of full shape",
            general(f"{f} no-locations", 0, 2, 3, 4),
            ("zero-length",),
        ),
    ]


def additive_scores() -> list[Draft]:
    """attention_additive_scores and its VJP."""
    f = "attention_additive_scores"
    saturated = additive(f"{f} saturation", 4, 2, 3, 5, 6)
    saturated["keys"] = draw(f"{f} saturation keys", 4, 2, 5, scale=1e4)
    special = additive(f"{f} special", 4, 3, 5, 2, 3)
    special["keys"][2, 0, 1] = NAN
    special["keys"][1, 1, 0] = INF
    special["query"][2, 3] = NAN
    hand: Inputs = {
        # units: tanh(4 - 4) = 0, tanh(1e4) = 1, tanh(-1e4) = -1
        "query": np.array([[2.0]]),
        "keys": np.array([[[4.0, 1.0]]]),
        "W_q": np.array([[2.0], [5e3], [0.0]]),
        "W_k": np.array([[-1.0, 0.0], [0.0, 0.0], [0.0, -1e4]]),
        "v": np.array([7.0, 0.5, 3.0]),
    }
    tied = additive(f"{f} square", 4, 3, 3, 3, 3)
    return [
        Draft(
            f,
            "plain",
            "no tanh; v inside of the tanh; W_q and W_k by each other's input",
            additive(f"{f} plain", 4, 2, 3, 5, 6),
        ),
        Draft(
            f,
            "bias",
            "the bias after v, or left out",
            additive(f"{f} bias", 5, 3, 4, 2, 6, bias=True),
        ),
        Draft(
            f,
            "bias-alone",
            "query = 0: v · tanh(W_k h + b), b added to the score instead",
            {**additive(f"{f} bias-alone", 3, 2, 4, 5, 3, bias=True), "query": np.zeros((2, 4))},
            ("isolated",),
        ),
        Draft(
            f,
            "square",
            "D = E = A: W_q and W_k exchanged, or [W_k | W_q] in Luong's concat",
            tied,
            ("square",),
        ),
        Draft(
            f,
            "hand",
            "by hand 7 * 0 + 0.5 * 1 - 3 * 1 = -2.5: sigmoid for tanh gives 4",
            hand,
            ("hand", "saturation"),
        ),
        Draft(
            f,
            "saturation",
            "hidden units at ±1: a tanh of exponentials is NaN from 400 on",
            saturated,
            ("saturation",),
        ),
        Draft(
            f,
            "special",
            "a NaN in a query is its example's, in a key its location's; +inf saturates",
            special,
            ("special",),
        ),
        Draft(
            f,
            "no-locations",
            "T = 0: no score",
            additive(f"{f} no-locations", 0, 2, 3, 4, 5),
            ("zero-length",),
        ),
        Draft(
            f,
            "no-batch",
            "B = 0: scores of shape (T, 0)",
            additive(f"{f} no-batch", 4, 0, 3, 2, 5, bias=True),
            ("zero-length",),
        ),
        Draft(
            f"{f}.vjp",
            "plain",
            "dq and dW_q of the last location alone: the query stands in every location's sum",
            additive(f"{f} plain", 4, 2, 3, 5, 6),
        ),
        Draft(
            f"{f}.vjp",
            "bias",
            "db the mean, or over the batch alone; db returned where b is given",
            additive(f"{f} bias", 5, 3, 4, 2, 6, bias=True),
        ),
        Draft(
            f"{f}.vjp",
            "square",
            "D = E = A: dW_q and dW_k exchanged or transposed",
            tied,
            ("square",),
        ),
        Draft(
            f"{f}.vjp",
            "saturation",
            "1 - n² is 0 at the ends, and dv is not",
            saturated,
            ("saturation",),
        ),
        Draft(
            f"{f}.vjp",
            "no-locations",
            "T = 0: zeros of full shape for query, weights and v",
            additive(f"{f} no-locations", 0, 2, 3, 4, 5),
            ("zero-length",),
        ),
        Draft(
            f"{f}.vjp",
            "no-batch",
            "B = 0: zeros of full shape for the weights",
            additive(f"{f} no-batch", 4, 0, 3, 2, 5, bias=True),
            ("zero-length",),
        ),
    ]


def hand_soft() -> Inputs:
    """Equal scores, so a = 1/4 each: c = (4 + 8 - 2 + 2) / 4 = 3; beside it one score far above."""
    return {
        "scores": np.array([[7.0, 0.0], [7.0, -2e4], [7.0, -1e4], [7.0, -3e4]]),
        "values": np.array([[[4.0], [5.0]], [[8.0], [3.0]], [[-2.0], [9.0]], [[2.0], [-6.0]]]),
    }


def masked(key: str, value: float | None = None) -> Inputs:
    """Five locations, four examples, the mask GAPS; `value` where a location takes no part."""
    inputs = {**soft(key, 5, 4, 3), "mask": GAPS}
    return inputs if value is None else spoiled(inputs, GAPS, value, "scores", "values")


def padded(key: str, value: float | None = None) -> Inputs:
    """Six locations, lengths 4, 0, 6, 1; `value` beyond them."""
    inputs = {**soft(key, 6, 4, 3), "lengths": lengths_of(4, 0, 6, 1)}
    return (
        inputs
        if value is None
        else spoiled(inputs, within(6, 4, 0, 6, 1), value, "scores", "values")
    )


def both(key: str) -> Inputs:
    """Mask and lengths, NaN where either says no."""
    valid = GAPS & within(5, 4, 5, 3, 2)
    inputs = {**soft(key, 5, 4, 2), "mask": GAPS, "lengths": lengths_of(4, 5, 3, 2)}
    return spoiled(inputs, valid, NAN, "scores", "values")


def high_outside(key: str) -> Inputs:
    """Scores of 1e4 in the padding and of ±1 before it."""
    inputs = {**soft(key, 5, 3, 2), "lengths": lengths_of(3, 2, 4)}
    return spoiled(inputs, within(5, 3, 2, 4), 1e4, "scores")


def low_inside(key: str) -> Inputs:
    """The scores that take part about -2e4, below what stands for minus infinity elsewhere."""
    inputs = {**soft(key, 5, 3, 2), "lengths": lengths_of(3, 2, 4)}
    return {**inputs, "scores": inputs["scores"] - np.where(within(5, 3, 2, 4), 2e4, 0)}


def special_soft() -> Inputs:
    """SPECIAL_SCORES, the NaN of the last example masked."""
    mask = np.ones((4, 6), dtype=bool)
    mask[3, 5] = False
    return {
        "scores": SPECIAL_SCORES,
        "values": draw("soft_attention special values", 4, 6, 2),
        "mask": mask,
    }


def soft_cases() -> list[Draft]:
    """soft_attention."""
    f = "soft_attention"
    nan_values = soft(f"{f} nan-value", 4, 3, 5)
    nan_values["values"][1, 2, 3] = NAN
    nan_values["values"][2, 0, 0] = INF
    apart = soft(f"{f} rows-apart", 4, 3, 2)
    apart["scores"] = apart["scores"] + np.array([500.0, 0.0, -500.0])
    shifted = soft(f"{f} plain", 4, 2, 5)
    shifted["scores"] = shifted["scores"] + np.array([64.0, -128.0])
    tiny = soft(f"{f} tail", 4, 2, 3)
    tiny["scores"][:, 0] = [0.0, -20.0, -45.0, -80.0]
    tiny["values"][0, 0] = 0
    return [
        Draft(
            f,
            "plain",
            "the softmax over the batch, or over all; weights that are not normalised",
            soft(f"{f} plain", 4, 2, 5),
            clauses=WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "shifted",
            "64 and -128 added to the scores of plain: the same weights, to the digits that the"
            " scores have",
            shifted,
            clauses=WEIGHTS,
        ),
        Draft(
            f,
            "square",
            "T = B = E: the sum over the wrong axis keeps every shape",
            soft(f"{f} square", 4, 4, 4),
            ("square",),
            clauses=WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "hand",
            "by hand (3, 5): equal weights, and one location alone; e^-1e4 is 0",
            hand_soft(),
            ("hand", "saturation"),
            clauses=WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "one-location",
            "T = 1: the weight is 1 and the context the value, bit for bit",
            soft(f"{f} one-location", 1, 3, 4, scale=1e4),
            clauses=WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "large",
            "scores up to 1e4: no maximum subtracted",
            soft(f"{f} large", 5, 3, 2, scale=1e4),
            ("saturation",),
            clauses=WEIGHTS,
        ),
        Draft(
            f,
            "rows-apart",
            "examples 500 apart: one maximum for the whole batch makes 0 / 0",
            apart,
            ("saturation",),
            clauses=WEIGHTS,
        ),
        Draft(
            f,
            "tail",
            "weights down to e^-80 that decide the context, whose largest value is 0: 1e-9 added"
            " to a denominator, or a cut-off",
            tiny,
            ("saturation",),
            clauses=WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "mask",
            "True for False; the weights multiplied by the mask and not normalised again; a row"
            " without a location",
            masked(f"{f} mask"),
            ("lengths",),
            clauses=MASK + WEIGHTS,
        ),
        Draft(
            f,
            "mask-nan",
            "NaN where nothing takes part, in scores and values: a product with 0, or a maximum"
            " over all",
            masked(f"{f} mask-nan", NAN),
            ("lengths", "special"),
            clauses=MASK + WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "mask-inf",
            "+inf where nothing takes part: inf - inf in the shift",
            masked(f"{f} mask-inf", INF),
            ("lengths", "special"),
            clauses=MASK + WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "mask-square",
            "T = B: the mask transposed",
            {**soft(f"{f} mask-square", 4, 4, 3), "mask": GAPS[1:]},
            ("lengths", "square"),
            clauses=MASK,
        ),
        Draft(
            f,
            "lengths",
            "lengths 4, 0, 6, 1: one off, the length 0 a mean or NaN, the longest for all",
            padded(f"{f} lengths"),
            ("lengths",),
            clauses=MASK + WEIGHTS,
        ),
        Draft(
            f,
            "lengths-nan",
            "NaN in the padding of scores and values",
            padded(f"{f} lengths-nan", NAN),
            ("lengths", "special"),
            clauses=MASK + WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "lengths-and-mask",
            "both given: one of them ignored, or 'or' for 'and'",
            both(f"{f} lengths-and-mask"),
            ("lengths", "special"),
            clauses=MASK,
        ),
        Draft(
            f,
            "high-padding",
            "scores of 1e4 in the padding: the maximum over all locations makes the others 0",
            high_outside(f"{f} high-padding"),
            ("lengths", "saturation"),
            clauses=MASK + WEIGHTS,
        ),
        Draft(
            f,
            "low-scores",
            "scores of -2e4 take part: -1e4 in place of minus infinity wins over them",
            low_inside(f"{f} low-scores"),
            ("lengths", "saturation"),
            clauses=MASK + WEIGHTS,
        ),
        Draft(
            f,
            "all-masked",
            "nothing takes part in any example: 0, where a score of -1e9 gives the mean of the"
            " values",
            {**soft(f"{f} all-masked", 4, 3, 2), "mask": np.zeros((4, 3), dtype=bool)},
            ("lengths",),
            clauses=MASK + WEIGHTS,
        ),
        Draft(
            f,
            "special",
            "NaN, +inf and -inf scores are of their own example; -inf weighs 0, and -inf alone is"
            " NaN",
            special_soft(),
            ("special",),
            clauses=WEIGHTS,
        ),
        Draft(
            f,
            "nan-value",
            "a NaN in a value is of its own column and example",
            nan_values,
            ("special",),
            clauses=SOFT,
        ),
        Draft(
            f,
            "no-locations",
            "T = 0: the context is 0, the maximum of nothing does not exist",
            soft(f"{f} no-locations", 0, 2, 3),
            ("zero-length",),
            clauses=WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "no-batch",
            "B = 0: weights (T, 0) and context (0, E)",
            {**soft(f"{f} no-batch", 4, 0, 3), "lengths": lengths_of()},
            ("zero-length", "lengths"),
            clauses=WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "long",
            "T = 900: the sum of 900 exponentials",
            soft(f"{f} long", 900, 1, 2),
            ("long",),
            clauses=WEIGHTS + SOFT,
        ),
    ]


def soft_vjps() -> list[Draft]:
    """soft_attention.vjp."""
    f = "soft_attention.vjp"
    g = "soft_attention"
    return [
        Draft(
            f,
            "plain",
            "ds without the sum, or the sum over the batch; the cotangent of the weights left out",
            soft(f"{g} plain", 4, 2, 5),
            clauses=WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "context-alone",
            "dweights = 0: the way through the context by itself",
            {**soft(f"{g} context-alone", 5, 3, 2), "dweights": np.zeros((5, 3))},
            ("isolated",),
            clauses=SOFT,
        ),
        Draft(
            f,
            "weights-alone",
            "dcontext = 0: the way through the weights by itself, dvalues is 0",
            {**soft(f"{g} weights-alone", 4, 3, 2), "dcontext": np.zeros((3, 2))},
            ("isolated",),
            clauses=WEIGHTS,
        ),
        Draft(
            f,
            "square",
            "T = B = E: sums over the wrong axis",
            soft(f"{g} square", 4, 4, 4),
            ("square",),
            clauses=WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "hand",
            "by hand: equal weights of 1/4; where one location has all, ds is 0",
            {**hand_soft(), "dcontext": np.array([[2.0], [4.0]]), "dweights": np.zeros((4, 2))},
            ("hand", "saturation"),
            clauses=WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "one-location",
            "T = 1: ds is 0 and dv is dc",
            soft(f"{g} one-location", 1, 3, 4, scale=1e4),
            clauses=WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "mask",
            "a gradient where nothing takes part; dweights there has an effect",
            masked(f"{g} mask"),
            ("lengths",),
            clauses=MASK + WEIGHTS,
        ),
        Draft(
            f,
            "mask-nan",
            "NaN where nothing takes part: 0 * NaN in the sum of a da, or in dv",
            masked(f"{g} mask-nan", NAN),
            ("lengths", "special"),
            clauses=MASK + WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "lengths-nan",
            "NaN in the padding; the length 0 has gradients of 0",
            padded(f"{g} lengths-nan", NAN),
            ("lengths", "special"),
            clauses=MASK + WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "lengths-and-mask",
            "both given: a gradient where only one says yes",
            both(f"{g} lengths-and-mask"),
            ("lengths", "special"),
            clauses=MASK,
        ),
        Draft(
            f,
            "all-masked",
            "nothing takes part: zero gradient, where 0 / 0 gives NaN",
            {**soft(f"{g} all-masked", 4, 3, 2), "mask": np.zeros((4, 3), dtype=bool)},
            ("lengths",),
            clauses=MASK + WEIGHTS,
        ),
        Draft(
            f,
            "no-locations",
            "T = 0: gradients without an element",
            soft(f"{g} no-locations", 0, 2, 3),
            ("zero-length",),
            clauses=WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "no-batch",
            "B = 0: gradients (T, 0) and (T, 0, E)",
            soft(f"{g} no-batch", 4, 0, 3),
            ("zero-length",),
            clauses=WEIGHTS + SOFT,
        ),
        Draft(
            f,
            "long",
            "T = 900: sums of 900 terms",
            soft(f"{g} long", 900, 1, 2),
            ("long",),
            clauses=WEIGHTS + SOFT,
        ),
    ]


def quarters(*u: float) -> Inputs:
    """Four equal scores, so that the sums of the weights are 1/4, 1/2, 3/4 and 1 exactly."""
    B = len(u)
    return {
        "scores": np.full((4, B), 3.0),
        "values": draw(f"hard_attention edges values {B}", 4, B, 3),
        "u": np.array(u),
    }


def hard_cases() -> list[Draft]:
    """hard_attention and its VJP."""
    f = "hard_attention"
    clauses = ("attention.hard",)
    edges = quarters(0.0, 0.25, 0.5, 0.75, 0.7421875, 0.9999)
    # of GAPS: three locations of equal weight are thirds, two would be halves
    skipping: Inputs = {
        "scores": np.full((5, 4), -1.5),
        "values": draw(f"{f} skipping values", 5, 4, 2),
        "u": np.array([0.0, 0.0, 0.5, 0.25]),
        "mask": GAPS,
    }
    nan_elsewhere = {**hard(f"{f} nan-elsewhere", 5, 4, 3, 0.41, 0.62, 0.5, 0.3), "mask": GAPS}
    nan_elsewhere = spoiled(nan_elsewhere, GAPS, NAN, "scores", "values")
    ends = hard(f"{f} last", 4, 3, 2, 0.99999, 0.9999, 0.99999)
    ends = {**ends, "lengths": lengths_of(4, 2, 3)}
    unselected = hard(f"{f} unselected-nan", 4, 2, 3, 0.125, 0.9375)
    unselected["scores"] = np.array([[0.0, 0.5], [-1.0, 0.25], [0.5, -0.5], [0.25, 3.0]])
    unselected["values"][1:, 0] = NAN
    unselected["values"][:3, 1] = INF
    peaked = hard(f"{f} saturation", 5, 2, 3, 0.5, 0.001)
    peaked["scores"] = np.array([[0.0, 1e4], [-1e4, 0.0], [2e4, -1e4], [1e4, 0.0], [0.0, 0.0]])
    spread = hard(f"{f} plain", 4, 5, 3, 0.12, 0.83, 0.47, 0.66, 0.31)
    cases = [
        Draft(
            f,
            "plain",
            "the largest weight taken and u ignored; the weighted mean of soft attention; 1 - u"
            " for u",
            spread,
            clauses=clauses,
        ),
        Draft(
            f,
            "square",
            "T = B = E: the value of location b for example k",
            hard(f"{f} square", 4, 4, 4, 0.07, 0.38, 0.93, 0.55),
            ("square",),
            clauses=clauses,
        ),
        Draft(
            f,
            "edges",
            "u on the sums 1/4, 1/2, 3/4 exactly: the next location, and the first for u = 0;"
            " '<=' for '<' takes the one before",
            edges,
            ("hand",),
            clauses=clauses,
        ),
        Draft(
            f,
            "skipping",
            "u = 0 with the first locations masked: the first of weight 0 is never taken; nothing"
            " at all gives -1",
            skipping,
            ("lengths",),
            clauses=(*clauses, *MASK),
        ),
        Draft(
            f,
            "mask-nan",
            "NaN where nothing takes part enters the sums or the context by a product with the"
            " selection",
            nan_elsewhere,
            ("lengths", "special"),
            clauses=(*clauses, *MASK),
        ),
        Draft(
            f,
            "last",
            "u near 1: the last location that takes part, not the last of all",
            ends,
            ("lengths",),
            clauses=(*clauses, *MASK),
        ),
        Draft(
            f,
            "unselected-nan",
            "NaN and inf in the values that are not selected: a product with a one-hot vector"
            " lets them in",
            unselected,
            ("special",),
            clauses=clauses,
        ),
        Draft(
            f,
            "saturation",
            "one location has all the weight: no maximum subtracted",
            peaked,
            ("saturation",),
            clauses=clauses,
        ),
        Draft(
            f,
            "moved",
            "a subnormal value and -0.0 are moved and not computed",
            {
                **quarters(0.1, 0.6),
                "values": np.array(
                    [[[1e-39, -0.0]] * 2, [[2.0, 3.0]] * 2, [[-0.0, -3e-40]] * 2, [[1.0, 5.0]] * 2]
                ),
            },
            ("subnormal", "signed-zero"),
            clauses=clauses,
            dtypes=("float32",),
            exact_zeros=True,
            flush_allowed=False,
        ),
        Draft(
            f,
            "no-locations",
            "T = 0: the context is 0 and the index -1",
            {**soft(f"{f} no-locations", 0, 2, 3), "u": np.array([0.25, 0.75])},
            ("zero-length",),
            clauses=clauses,
        ),
        Draft(
            f,
            "no-batch",
            "B = 0: no context",
            {**soft(f"{f} no-batch", 4, 0, 3), "u": np.zeros(0)},
            ("zero-length",),
            clauses=clauses,
        ),
        Draft(
            f"{f}.vjp",
            "plain",
            "dv weighted by a as in soft attention, or for every location",
            spread,
            clauses=clauses,
        ),
        Draft(
            f"{f}.vjp",
            "square",
            "T = B = E: dv at location b of example k",
            hard(f"{f} square", 4, 4, 4, 0.07, 0.38, 0.93, 0.55),
            ("square",),
            clauses=clauses,
        ),
        Draft(
            f"{f}.vjp",
            "skipping",
            "index -1 taken as the last location: its example has no gradient",
            skipping,
            ("lengths",),
            clauses=(*clauses, *MASK),
        ),
        Draft(
            f"{f}.vjp",
            "mask-nan",
            "NaN in the values where nothing takes part",
            nan_elsewhere,
            ("lengths", "special"),
            clauses=(*clauses, *MASK),
        ),
        Draft(
            f"{f}.vjp",
            "no-locations",
            "T = 0: dv without an element",
            {**soft(f"{f} no-locations", 0, 2, 3), "u": np.array([0.25, 0.75])},
            ("zero-length",),
            clauses=clauses,
        ),
    ]
    return cases


def gradient(key: str, T: int, index: tuple[int, ...], *, baseline: bool = True) -> Inputs:
    """Scores, a selection, its reward and a baseline."""
    B = len(index)
    return {
        "scores": draw(f"{key} scores", T, B, scale=2),
        "index": np.array(index, dtype=np.int64),
        "reward": draw(f"{key} reward", B, scale=3),
        **({"baseline": draw(f"{key} baseline", B)} if baseline else {}),
    }


def score_gradients() -> list[Draft]:
    """hard_attention_score_gradient."""
    f = "hard_attention_score_gradient"
    clauses = ("attention.score_gradient",)
    at_baseline = gradient(f"{f} at-baseline", 4, (2, 0, 3))
    at_baseline["baseline"] = at_baseline["reward"].copy()
    no_part = {**gradient(f"{f} mask", 5, (2, 4, 3, -1)), "mask": GAPS}
    spoilt = spoiled(no_part, GAPS, NAN, "scores")
    reward = no_part["reward"].copy()
    reward[3] = NAN
    sure = gradient(f"{f} saturation", 4, (1, 2), baseline=False)
    sure["scores"] = np.array([[0.0, 5.0], [1e4, -1e4], [0.0, -40.0], [-1e4, 2.0]])
    hand: Inputs = {
        # a = 1/4 each, B = 2: -(5 - 1) (1 - 1/4) / 2 = -3/2 and 1/2; -(-2 - 2) (…) / 2 = 3/2, -1/2
        "scores": np.full((4, 2), -2.0),
        "index": np.array([1, 3]),
        "reward": np.array([5.0, -2.0]),
        "baseline": np.array([1.0, 2.0]),
    }
    return [
        Draft(
            f,
            "plain",
            "the sign of ascent; 1_k alone, without -a; the weights of soft attention as gradient",
            gradient(f"{f} plain", 4, (2, 0, 3, 1, 2)),
            clauses=clauses,
        ),
        Draft(
            f,
            "no-baseline",
            "an absent baseline is 0, not the mean reward",
            gradient(f"{f} no-baseline", 5, (1, 4, 0), baseline=False),
            clauses=clauses,
        ),
        Draft(
            f,
            "hand",
            "by hand -3/2 at the selection and 1/2 elsewhere: the sum over the batch gives -3,"
            " the sum of R and b -9/4",
            hand,
            ("hand",),
            clauses=clauses,
        ),
        Draft(
            f,
            "square",
            "T = B: the selection taken for the example",
            gradient(f"{f} square", 4, (3, 0, 0, 1)),
            ("square",),
            clauses=clauses,
        ),
        Draft(
            f,
            "one-example",
            "B = 1, where mean and sum agree: a fault here is not the mean's",
            gradient(f"{f} one-example", 6, (4,)),
            ("isolated",),
            clauses=clauses,
        ),
        Draft(
            f,
            "at-baseline",
            "R = b: no gradient at all; a baseline that is left out, or subtracted twice, leaves"
            " one",
            at_baseline,
            ("isolated",),
            clauses=clauses,
        ),
        Draft(
            f,
            "mask",
            "a gradient where nothing takes part; the example of index -1 counts in B, and has 0",
            no_part,
            ("lengths",),
            clauses=(*clauses, *MASK),
        ),
        Draft(
            f,
            "mask-nan",
            "NaN scores where nothing takes part, and a NaN reward of an example without a"
            " location",
            {**spoilt, "reward": reward},
            ("lengths", "special"),
            clauses=(*clauses, *MASK),
        ),
        Draft(
            f,
            "lengths",
            "lengths 3, 5, 1: the softmax over all locations; one location alone has no gradient",
            {**gradient(f"{f} lengths", 5, (2, 4, 0)), "lengths": lengths_of(3, 5, 1)},
            ("lengths",),
            clauses=(*clauses, *MASK),
        ),
        Draft(
            f,
            "saturation",
            "scores ±1e4: the selected location has all the weight and no gradient, or next to"
            " none and -R",
            sure,
            ("saturation",),
            clauses=clauses,
        ),
        Draft(
            f,
            "no-locations",
            "T = 0: no gradient",
            gradient(f"{f} no-locations", 0, (-1, -1)),
            ("zero-length",),
            clauses=clauses,
        ),
        Draft(
            f,
            "no-batch",
            "B = 0: the mean over no example is not computed",
            gradient(f"{f} no-batch", 4, ()),
            ("zero-length",),
            clauses=clauses,
        ),
    ]
