"""Inputs for spec/captioning.md: which decoder a backend has built, told by numbers."""

from typing import Any

import numpy as np

from nnspec.conformance.cases.draft import Draft, draw
from nnspec.reference.array import Array

Inputs = dict[str, Any]

# pairwise different: batch, state, embedding, locations, annotation, vocabulary, scoring layer
B, H, M, L, D, V, K, T = 2, 3, 4, 5, 6, 7, 8, 9

WEIGHTS = {
    "E": "V M",
    "W_a": "K D",
    "W_h": "K H",
    "v": "K",
    "w_beta": "H",
    "W_i": "H X",
    "W_f": "H X",
    "W_g": "H X",
    "W_o": "H X",
    "L_h": "M H",
    "L_z": "M D",
    "L_o": "V M",
}
BIASES = {"b": "K", "b_beta": "", "b_i": "H", "b_f": "H", "b_g": "H", "b_o": "H", "b_y": "V"}
SHAPES = {
    **WEIGHTS,
    **BIASES,
    "a": "B L D",
    "W_init_h": "H D",
    "W_init_c": "H D",
    "b_init_h": "H",
    "b_init_c": "H",
    "h_prev": "B H",
    "c_prev": "B H",
    "h": "B H",
    "z": "B D",
    "e": "B L",
    "logits": "T B V",
}


def some(key: str, names: str, **sizes: int) -> Inputs:
    """The named inputs, drawn in their shapes; a size that is not given is the page's."""
    size = {"B": B, "H": H, "M": M, "L": L, "D": D, "V": V, "K": K, "T": T} | sizes
    size["X"] = size["H"] + size["M"] + size["D"]
    return {
        name: draw(f"{key} {name}", *(size[symbol] for symbol in SHAPES[name].split()))
        for name in names.split()
    }


def square(key: str, names: str) -> Inputs:
    """The named inputs with every size 3."""
    return some(key, names, **dict.fromkeys(("B", "H", "M", "L", "D", "V", "K", "T"), 3))


def positive(key: str, *shape: int) -> Array:
    """Numbers in (0, 1)."""
    return np.asarray(np.abs(draw(key, *shape)))


def whole(key: str, high: int, *shape: int) -> Array:
    """Integers 0 … high - 1."""
    return np.asarray(np.floor(positive(key, *shape) * high).astype(np.int64))


def looks(key: str, *shape: int) -> Array:
    """Weights that sum to 1 over the last axis but for rounding."""
    raw = positive(key, *shape) + 0.1
    return np.asarray(np.round(raw / raw.sum(axis=-1, keepdims=True), 6))


def beyond(x: Array, lengths: tuple[int, ...], value: float) -> Array:
    """x (T, B, …) with `value` beyond each example's length."""
    outside = np.arange(x.shape[0])[:, None] >= np.array(lengths)
    return np.where(outside.reshape(*outside.shape, *(1,) * (x.ndim - 2)), value, x)


def drafts() -> list[Draft]:
    """All drafts of the page."""
    return [
        *inits(),
        *scores(),
        *soft(),
        *hard(),
        *regularisers(),
        *words(),
        *steps(),
        *forwards(),
        *losses(),
        *hard_gradients(),
        *baselines(),
        *policies(),
        *rewards(),
        *location_gradients(),
    ]


def both(
    operation: str,
    name: str,
    note: str,
    backward: str,
    inputs: Inputs,
    flags: tuple[str, ...] = ("plain",),
    **options: Any,
) -> list[Draft]:
    """A case of the operation, and one of its VJP with a note of its own."""
    return [
        Draft(operation, name, note, inputs, flags, **options),
        Draft(f"{operation}.vjp", name, backward, inputs, flags, **options),
    ]


INIT = "a W_init_h W_init_c"
INIT_BIASES = " b_init_h b_init_c"


def inits() -> list[Draft]:
    """captioning_init."""
    special = some("captioning_init special", INIT, B=4)
    special["a"][1, 2, 0] = np.nan
    special["a"][2, 0, 3] = np.inf
    offset = some("captioning_init cancellation", INIT + INIT_BIASES)
    offset["a"] = draw("captioning_init cancellation a", B, 1, D, scale=4000.0) * np.array(
        [1.0, -1.0, 1.0, -1.0, 0.0]
    )[:, None] + draw("captioning_init cancellation a small", B, L, D)
    return [
        *both(
            "captioning_init",
            "plain",
            "the mean over the units, the sum for the mean, one layer for both states, h_0 and c_0"
            " swapped, no tanh",
            "da without 1 / L, or of one layer alone; dW from the sum of the vectors",
            some("captioning_init plain", INIT),
        ),
        *both(
            "captioning_init",
            "bias",
            "the biases swapped, left out, or outside of the tanh",
            "db of the other layer; tanh' left out",
            some("captioning_init bias", INIT + INIT_BIASES, B=3, H=4, L=7, D=2),
        ),
        *both(
            "captioning_init",
            "bias-memory-alone",
            "b_init_c without b_init_h: given to h_0, or left out with it",
            "db_init_c without db_init_h",
            some("captioning_init bias-memory-alone", INIT + " b_init_c"),
        ),
        *both(
            "captioning_init",
            "square",
            "B = L = D = H: a mean over batch or units, or a transposed matrix, keeps its shape",
            "transposed products that keep their shape",
            square("captioning_init square", INIT),
            ("square",),
        ),
        Draft(
            "captioning_init",
            "hand",
            "by hand: the mean of (1, 3) and (3, -3) is (2, 0); h_0 = tanh(0, 2e4) = (0, 1) and"
            " c_0 = tanh(-2e4, 0) = (-1, 0)",
            {
                "a": np.array([[[1.0, 3.0], [3.0, -3.0]]]),
                "W_init_h": np.array([[0.0, 5.0], [1e4, 7.0]]),
                "W_init_c": np.array([[-1e4, 3.0], [0.0, 1.0]]),
            },
            ("hand", "saturation"),
        ),
        Draft(
            "captioning_init",
            "one-location",
            "L = 1: the mean is the vector itself; a squeezed axis takes the mean over its units",
            some("captioning_init one-location", INIT, L=1),
        ),
        *both(
            "captioning_init",
            "saturation",
            "pre-activations of ±1e3 and more: a tanh of exponentials is NaN from 400 on",
            "tanh' is 0 and not NaN",
            some("captioning_init saturation", INIT)
            | {"a": draw("captioning_init saturation a", B, L, D, scale=1e5)},
            ("saturation",),
        ),
        Draft(
            "captioning_init",
            "cancellation",
            "annotation vectors of ±4000 that cancel in the mean: one kept in half precision loses"
            " every digit",
            offset,
            ("cancellation",),
        ),
        Draft(
            "captioning_init",
            "special",
            "a NaN makes its own image's states NaN, an infinity puts them at their ends",
            special,
            ("special",),
        ),
        *both(
            "captioning_init",
            "no-batch",
            "B = 0 gives two (0, H)",
            "B = 0: zeros of full shape for the weights",
            some("captioning_init no-batch", INIT + INIT_BIASES, B=0),
            ("zero-length",),
        ),
    ]


SCORES = "a h_prev W_a W_h v"


def scores() -> list[Draft]:
    """captioning_scores."""
    special = some("captioning_scores special", SCORES, B=4)
    special["a"][1, 2, 0] = np.nan
    special["h_prev"][2, 1] = np.nan
    special["a"][3, 4, 5] = -np.inf
    small = some("captioning_scores small", SCORES)
    return [
        *both(
            "captioning_scores",
            "plain",
            "f_att without tanh, dot product for the additive form, the state left out or added"
            " after the tanh",
            "dh of one location alone, not their sum; dv from the pre-activation",
            some("captioning_scores plain", SCORES),
        ),
        *both(
            "captioning_scores",
            "bias",
            "b outside of the tanh, where the softmax does not see it, or left out",
            "db summed over the batch and not over the locations",
            some("captioning_scores bias", SCORES + " b", B=3, H=2, L=4, D=5, K=6),
        ),
        *both(
            "captioning_scores",
            "square",
            "B = L = D = H = K: W_a and W_h swapped, locations and batch swapped, a transposed W",
            "transposed products that keep their shape",
            square("captioning_scores square", SCORES + " b"),
            ("square",),
        ),
        Draft(
            "captioning_scores",
            "state-alone",
            "a = 0: every location has the same score, v . tanh(W_h h + b); with relu another",
            some("captioning_scores state-alone", SCORES + " b") | {"a": np.zeros((B, L, D))},
            ("isolated",),
        ),
        Draft(
            "captioning_scores",
            "hand",
            "by hand: tanh(±1e4) = ±1, so e = (2 - 3, 2 + 3, 0 - 3)",
            {
                "a": np.array([[[1e4, 0.0], [1e4, 1e4], [0.0, 0.0]]]),
                "h_prev": np.array([[2.0]]),
                "W_a": np.array([[1.0, 0.0], [0.0, 2.0]]),
                "W_h": np.array([[0.0], [-5e3]]),
                "v": np.array([2.0, 3.0]),
            },
            ("hand", "saturation"),
        ),
        *both(
            "captioning_scores",
            "saturation",
            "pre-activations of ±1e4: a tanh of exponentials is NaN",
            "1 - tanh² is 0 there and dv is not",
            some("captioning_scores saturation", SCORES)
            | {"a": draw("captioning_scores saturation a", B, L, D, scale=1e5)},
            ("saturation",),
        ),
        Draft(
            "captioning_scores",
            "small",
            "h = 0 and annotation vectors of 1e-12: a tanh of exponentials gives 0 or noise",
            small | {"a": small["a"] * 1e-12, "h_prev": np.zeros((B, H))},
            ("isolated",),
        ),
        Draft(
            "captioning_scores",
            "special",
            "a NaN in a_i makes e_i NaN and no other score; in the state, all of its image; an"
            " infinity is at tanh's end",
            special,
            ("special",),
        ),
        *both(
            "captioning_scores",
            "no-batch",
            "B = 0 gives (0, L)",
            "B = 0: zeros of full shape for the weights",
            some("captioning_scores no-batch", SCORES + " b", B=0),
            ("zero-length",),
        ),
    ]


SOFT = "a e h_prev w_beta"


def soft() -> list[Draft]:
    """captioning_soft."""
    special = some("captioning_soft special", SOFT, B=5)
    special["a"][1, 2, 3] = np.nan
    special["e"][2, 0] = np.nan
    special["h_prev"][3, 1] = np.nan
    special["e"][4, 3] = -np.inf
    opened = some("captioning_soft gate-open", SOFT) | {"b_beta": np.array(1e4)}
    shut = some("captioning_soft gate-tail", SOFT) | {"b_beta": np.array(-30.0)}
    far = some("captioning_soft offset", SOFT)
    return [
        *both(
            "captioning_soft",
            "plain",
            "no gate, softmax over the wrong axis, alpha returned with the gate in it, z summed"
            " over units",
            "the gate's gradient left out, or dalpha that is not given to the softmax",
            some("captioning_soft plain", SOFT),
        ),
        *both(
            "captioning_soft",
            "bias",
            "b_beta left out, or added after the sigmoid",
            "db_beta a mean over the batch, or (1,) and not ()",
            some("captioning_soft bias", SOFT + " b_beta", B=4, H=2, L=3, D=5),
        ),
        *both(
            "captioning_soft",
            "square",
            "B = L = D = H: softmax over the batch, Σ α over units, a gate for each unit",
            "transposed products that keep their shape",
            square("captioning_soft square", SOFT + " b_beta"),
            ("square",),
        ),
        *both(
            "captioning_soft",
            "gate-open",
            "β = 1 exactly: z is Σ α a, so that a fault here is not the gate's",
            "β = 1: dh and dw_beta are 0 exactly",
            opened,
            ("isolated", "saturation"),
            clauses=("captioning.weights", "captioning.context"),
        ),
        *both(
            "captioning_soft",
            "gate-tail",
            "β about e^-30: a sigmoid clamped at ±18 or 0 from there on shows",
            "β (1 - β) about e^-30",
            shut,
            ("saturation",),
            clauses=("captioning.gate",),
        ),
        Draft(
            "captioning_soft",
            "gate-alone",
            "all a_i equal: z = β a whatever the weights; a gate on h of another sign, or 1 - β",
            some("captioning_soft gate-alone", SOFT)
            | {"a": np.tile(draw("captioning_soft gate-alone a", B, 1, D), (1, L, 1))},
            ("isolated",),
            clauses=("captioning.gate",),
        ),
        Draft(
            "captioning_soft",
            "hand",
            "by hand: equal scores and h = 0, so α = 1/4 and β = 1/2, z = (8, -4) / 8",
            {
                "a": np.array([[[1.0, 2.0], [3.0, -1.0], [-2.0, -4.0], [6.0, -1.0]]]),
                "e": np.full((1, 4), 0.75),
                "h_prev": np.zeros((1, 3)),
                "w_beta": np.array([1.0, -2.0, 3.0]),
            },
            ("hand",),
        ),
        *both(
            "captioning_soft",
            "saturation",
            "scores of ±1e4: without the largest taken off they overflow",
            "weights of 0 and 1: de is 0 and not NaN",
            some("captioning_soft saturation", SOFT)
            | {"e": draw("captioning_soft saturation e", B, L, scale=1e4)},
            ("saturation",),
        ),
        Draft(
            "captioning_soft",
            "offset",
            "1000 on every score of one image: a maximum over the batch makes the other's weights"
            " 0 / 0",
            far | {"e": far["e"] + np.array([[1000.0], [-1000.0]])},
            ("saturation",),
            clauses=("captioning.weights",),
        ),
        *both(
            "captioning_soft",
            "one-location",
            "L = 1: α is 1 and z = β a",
            "L = 1: de is 0",
            some("captioning_soft one-location", SOFT, L=1),
        ),
        Draft(
            "captioning_soft",
            "special",
            "a NaN in one unit of a_i makes that unit of z NaN; in a score or the state, its row;"
            " a score of -inf is a location without weight",
            special,
            ("special",),
        ),
        Draft(
            "captioning_soft.vjp",
            "weights-alone",
            "dz = 0: the penalty on alpha reaches e and nothing else",
            some("captioning_soft weights-alone", SOFT) | {"dz": np.zeros((B, D))},
            ("isolated",),
        ),
        *both(
            "captioning_soft",
            "no-batch",
            "B = 0 gives (0, D) and (0, L)",
            "B = 0: dw_beta is zeros and db_beta is 0",
            some("captioning_soft no-batch", SOFT + " b_beta", B=0),
            ("zero-length",),
        ),
    ]


def hard() -> list[Draft]:
    """captioning_hard."""
    rows = np.array([[0.1, 0.25, 0.3, 0.15, 0.2]])
    special = some("captioning_hard special", "a", B=3)
    special["a"][0, 3, 1] = np.nan
    special["a"][1, 0, 0] = np.inf
    special["a"][2, 2, 2] = np.nan
    return [
        *both(
            "captioning_hard",
            "plain",
            "the largest weight instead of a draw; one that counts from the end; a product of"
            " one-hot and weights",
            "da at the wrong location, or spread by alpha",
            {
                **some("captioning_hard plain", "a", B=4),
                "alpha": np.tile(rows, (4, 1)),
                "u": np.array([0.05, 0.72, 0.93, 0.3]),
            },
        ),
        *both(
            "captioning_hard",
            "border",
            "u on a running sum of 1/4, 1/2, 3/4 exactly takes the location behind it",
            "the same location forwards and backwards",
            {
                **some("captioning_hard border", "a", B=4, L=3),
                "alpha": np.tile([[0.25, 0.5, 0.25]], (4, 1)),
                "u": np.array([0.0, 0.25, 0.5, 0.75]),
            },
            ("isolated",),
            clauses=("captioning.index",),
        ),
        Draft(
            "captioning_hard",
            "impossible",
            "u = 0 with α_1 = 0, a border in front of α_3 = 0, and u above a sum of 15/16 with"
            " α_5 = 0: a location of probability 0 is never drawn",
            {
                **some("captioning_hard impossible", "a", B=3),
                "alpha": np.array(
                    [
                        [0.0, 0.5, 0.0, 0.25, 0.25],
                        [0.25, 0.25, 0.0, 0.25, 0.25],
                        [0.25, 0.25, 0.25, 0.1875, 0.0],
                    ]
                ),
                "u": np.array([0.0, 0.5, 0.96875]),
            },
            ("isolated",),
            clauses=("captioning.index",),
        ),
        Draft(
            "captioning_hard",
            "short-sum",
            "weights that sum to 0.96: u = 0.99 takes the last location; searchsorted gives L,"
            " beyond the end",
            {
                **some("captioning_hard short-sum", "a"),
                "alpha": np.array([[0.25, 0.125, 0.125, 0.25, 0.21], [0.5, 0.1, 0.1, 0.1, 0.16]]),
                "u": np.array([0.99, 0.9]),
            },
            ("isolated",),
            clauses=("captioning.index",),
        ),
        Draft(
            "captioning_hard",
            "impossible-last",
            "a sum of 3/4 whose last two locations have probability 0: u = 7/8 takes the second"
            " of four",
            {
                **some("captioning_hard impossible-last", "a", B=1, L=4),
                "alpha": np.array([[0.5, 0.25, 0.0, 0.0]]),
                "u": np.array([0.875]),
            },
            ("isolated", "hand"),
            clauses=("captioning.index",),
        ),
        *both(
            "captioning_hard",
            "square",
            "B = L = D: the unit or the example of that number taken for the location",
            "the scatter on the wrong axis",
            {
                **square("captioning_hard square", "a"),
                "alpha": np.tile([[0.3, 0.3, 0.4]], (3, 1)),
                "u": np.array([0.8, 0.1, 0.5]),
            },
            ("square",),
        ),
        *both(
            "captioning_hard",
            "special",
            "NaN and infinity at a location that is not drawn stay there, as 0 * NaN does not; a"
            " drawn NaN comes out",
            "da does not depend on a",
            {**special, "alpha": np.tile(rows, (3, 1)), "u": np.array([0.05, 0.5, 0.5])},
            ("special",),
            clauses=("captioning.hard",),
        ),
        Draft(
            "captioning_hard",
            "moved",
            "a selection moves its numbers: a subnormal and a negative zero come out as they went"
            " in",
            {
                "a": np.array([[[1.0, 2.0, 3.0], [-0.0, 1e-40, 0.0]]]),
                "alpha": np.array([[0.5, 0.5]]),
                "u": np.array([0.75]),
            },
            ("subnormal", "signed-zero"),
            clauses=("captioning.hard",),
            exact_zeros=True,
            flush_allowed=False,
        ),
        *both(
            "captioning_hard",
            "no-batch",
            "B = 0 gives (0, D) and no index",
            "B = 0 gives (0, L, D)",
            {
                **some("captioning_hard no-batch", "a", B=0),
                "alpha": np.zeros((0, L)),
                "u": np.zeros(0),
            },
            ("zero-length",),
        ),
    ]


MIXED = (4, 0, 9)


def regularisers() -> list[Draft]:
    """captioning_regulariser."""
    alpha = looks("captioning_regulariser lengths", T, 3, L)
    return [
        *both(
            "captioning_regulariser",
            "plain",
            "the inner sum over locations, where it is 1 and the penalty T times 0; a mean; a"
            " penalty of the whole batch",
            "2 or the sign left out; the gradient at one time alone",
            {"alpha": looks("captioning_regulariser plain", T, B, L)},
        ),
        *both(
            "captioning_regulariser",
            "square",
            "T = B = L: the sum over any axis keeps the shape",
            "the gradient spread over the wrong axis",
            {"alpha": positive("captioning_regulariser square", 3, 3, 3)},
            ("square",),
        ),
        *both(
            "captioning_regulariser",
            "tau",
            "τ = 2.5 and λ = 0.75: τ fixed at 1, λ squared, τ for λ",
            "λ left out of the gradient",
            {"alpha": looks("captioning_regulariser tau", 4, 3, L)},
            attributes={"tau": 2.5, "lambda_alpha": 0.75},
        ),
        *both(
            "captioning_regulariser",
            "lengths",
            "lengths 4, 0, 9: padded steps count in the sum, as in the authors' code; a caption of"
            " no words has λ L τ²",
            "dalpha beyond the length is 0",
            {"alpha": alpha, "lengths": np.array(MIXED)},
            ("lengths",),
            attributes={"tau": 1.5, "lambda_alpha": 2.0},
        ),
        *both(
            "captioning_regulariser",
            "lengths-nan",
            "NaN in the padding: a mask that multiplies by 0 lets it in",
            "NaN in the padding does not reach the gradient",
            {"alpha": beyond(alpha, MIXED, np.nan), "lengths": np.array(MIXED)},
            ("lengths", "special"),
        ),
        Draft(
            "captioning_regulariser",
            "hand",
            "by hand: the sums over time are 5/4, 1/2, 1/4, so 1/16 + 1/4 + 9/16",
            {"alpha": np.array([[[0.5, 0.25, 0.25]], [[0.75, 0.25, 0.0]]])},
            ("hand",),
        ),
        *both(
            "captioning_regulariser",
            "met",
            "every location looked at once: the penalty is 0, and a one-sided one as well",
            "the gradient is 0",
            {"alpha": np.eye(3)[:, None, :] * np.ones((1, 2, 1))},
            ("isolated",),
        ),
        Draft(
            "captioning_regulariser",
            "long",
            "T = 400: a sum of 400 weights near τ = 80 that loses digits",
            {"alpha": looks("captioning_regulariser long", 400, 1, L)},
            ("long", "cancellation"),
            attributes={"tau": 80.0, "lambda_alpha": 1.0},
        ),
        *both(
            "captioning_regulariser",
            "no-steps",
            "T = 0: the penalty is λ L τ²",
            "T = 0 gives (0, B, L)",
            {"alpha": np.zeros((0, B, L))},
            ("zero-length",),
        ),
        Draft(
            "captioning_regulariser",
            "no-batch",
            "B = 0 gives (0,)",
            {"alpha": np.zeros((T, 0, L)), "lengths": np.zeros(0, dtype=np.int64)},
            ("zero-length",),
        ),
    ]


WORD = "h z E L_h L_z L_o"


def words() -> list[Draft]:
    """captioning_word."""
    special = some("captioning_word special", WORD, B=4)
    special["E"][5] = np.nan
    special["z"][2, 1] = np.nan
    special["h"][3, 0] = np.nan
    two = {"y": np.array([4, 1])}
    return [
        *both(
            "captioning_word",
            "plain",
            "one of the three terms left out, tanh in front of L_o, E read as (M, V), p for logits",
            "dE from L_o alone, or dense; dp not given to the softmax",
            two | some("captioning_word plain", WORD),
        ),
        *both(
            "captioning_word",
            "bias",
            "b_y left out, or inside of L_o",
            "db_y a mean over the batch",
            {"y": np.array([0, 5, 2])} | some("captioning_word bias", WORD + " b_y", B=3, V=6, D=5),
        ),
        *both(
            "captioning_word",
            "no-word",
            "y = -1 has the embedding 0: E[-1] is the last word's",
            "y = -1 gives no row of dE anything, the last one least of all",
            {"y": np.array([-1, 2])} | some("captioning_word no-word", WORD),
            ("isolated",),
            clauses=("captioning.embedding",),
        ),
        *both(
            "captioning_word",
            "repeated",
            "the first and the last word of the vocabulary, and one of them twice",
            "a word that stands three times: dE[y] += d counts it once",
            {"y": np.array([6, 0, 6, 6])} | some("captioning_word repeated", WORD + " b_y", B=4),
            clauses=("captioning.embedding",),
        ),
        *both(
            "captioning_word",
            "square",
            "B = H = D = M = V: L_h and L_z swapped, E transposed, a transposed L_o",
            "transposed products that keep their shape",
            {"y": np.array([2, 0, 1])} | square("captioning_word square", WORD + " b_y"),
            ("square",),
        ),
        *both(
            "captioning_word",
            "saturation",
            "logits of 1e4 apart: without the largest taken off they overflow",
            "p of 0 and 1: softmax's VJP is 0 and not NaN",
            two
            | some("captioning_word saturation", WORD)
            | {"L_o": draw("captioning_word saturation L_o", V, M, scale=1e4)},
            ("saturation",),
            clauses=("captioning.word",),
        ),
        Draft(
            "captioning_word",
            "special",
            "NaN in another word's embedding is not read; in z or h it makes its own row NaN",
            {"y": np.array([4, 5, 1, 2])} | special,
            ("special",),
        ),
        Draft(
            "captioning_word.vjp",
            "distribution-alone",
            "dlogits = 0: all comes through p",
            two | some("captioning_word distribution-alone", WORD) | {"dlogits": np.zeros((B, V))},
            ("isolated",),
            clauses=("captioning.word",),
        ),
        Draft(
            "captioning_word.vjp",
            "logits-alone",
            "dp = 0: dlogits must not go through the softmax",
            two | some("captioning_word logits-alone", WORD + " b_y") | {"dp": np.zeros((B, V))},
            ("isolated",),
            clauses=("captioning.word",),
        ),
        *both(
            "captioning_word",
            "no-batch",
            "B = 0 gives two (0, V)",
            "B = 0: zeros of full shape for E and the weights",
            {"y": np.zeros(0, dtype=np.int64)} | some("captioning_word no-batch", WORD, B=0),
            ("zero-length",),
        ),
    ]


STEP = "h_prev c_prev a " + " ".join(WEIGHTS)
STEP_BIASES = " " + " ".join(BIASES)


def steps() -> list[Draft]:
    """captioning_step."""
    two = {"y": np.array([4, 1])}
    special = some("captioning_step special", STEP, B=4)
    special["a"][1, 2, 0] = np.nan
    special["c_prev"][2, 1] = np.nan
    special["E"][3] = np.nan
    hold = two | some("captioning_step hold", STEP + " b b_g b_o b_y")
    hold |= {"b_i": np.full(H, -1e4), "b_f": np.full(H, 1e4)}
    blind = two | some("captioning_step blind", STEP) | {"b_beta": np.array(-1e4)}
    return [
        *both(
            "captioning_step",
            "plain",
            "attention from the new state, the word from the old one, [E y, h, z] for [h, E y, z],"
            " gates in another order, c returned for h",
            "h_prev by one of its three ways alone; E or z by one of their two",
            two | some("captioning_step plain", STEP),
        ),
        *both(
            "captioning_step",
            "bias",
            "biases of the gates in another order, or b_o taken for b_y",
            "a bias's gradient under another's name",
            {"y": np.array([0, 3, 3])}
            | some("captioning_step bias", STEP + STEP_BIASES, B=3, L=2, H=4, M=5, K=6),
        ),
        *both(
            "captioning_step",
            "first-word",
            "y = -1: E y is 0 in the cell and in the word; E[-1] is the last word's",
            "y = -1 gives dE nothing, from the cell or from the word",
            {"y": np.array([-1, 6])} | some("captioning_step first-word", STEP + " b_y"),
            clauses=("captioning.step", "captioning.cell"),
        ),
        *both(
            "captioning_step",
            "square",
            "every size 3: any two arrays swapped, or one transposed",
            "any two gradients swapped, or one transposed",
            {"y": np.array([1, 0, 2])} | square("captioning_step square", STEP + STEP_BIASES),
            ("square",),
        ),
        *both(
            "captioning_step",
            "hold",
            "i = 0 and f = 1 exactly: c is held bit for bit; i and f swapped, or f = 1 - i",
            "dc_prev is dc and dh's share; nothing goes to the candidate",
            hold,
            ("isolated", "saturation"),
            clauses=("captioning.cell",),
        ),
        *both(
            "captioning_step",
            "blind",
            "β = 0 exactly: the image has no influence on state and word; alpha is not gated",
            "β = 0: da by alpha's own cotangent alone",
            blind,
            ("isolated", "saturation"),
            clauses=("captioning.step",),
        ),
        Draft(
            "captioning_step",
            "saturation",
            "scores of ±1e3 and gates of ±1e4 at once: an overflow on the way to the word",
            two
            | some("captioning_step saturation", STEP)
            | {
                "v": draw("captioning_step saturation v", K, scale=1e3),
                "h_prev": draw("captioning_step saturation h_prev", B, H, scale=1e4),
            },
            ("saturation",),
        ),
        Draft(
            "captioning_step",
            "special",
            "a NaN in an annotation vector, in the memory or in a word's embedding makes its own"
            " example NaN and no other",
            {"y": np.array([4, 1, 0, 3])} | special,
            ("special",),
        ),
        *both(
            "captioning_step",
            "no-batch",
            "B = 0 gives (0, V), (0, L) and two (0, H)",
            "B = 0: zeros of full shape for the weights",
            {"y": np.zeros(0, dtype=np.int64)}
            | some("captioning_step no-batch", STEP + STEP_BIASES, B=0),
            ("zero-length",),
        ),
    ]


FORWARD = "a " + " ".join(WEIGHTS) + " W_init_h W_init_c"
FORWARD_BIASES = STEP_BIASES + INIT_BIASES


def forwards() -> list[Draft]:
    """captioning_forward."""
    key = "captioning_forward"
    lengths = (3, 0, 5)
    padded = beyond(whole(f"{key} lengths words", V, 5, 3), lengths, 1000).astype(np.int64)
    special = some(f"{key} special", FORWARD, B=3)
    special["a"][1, 2, 0] = np.nan
    same = whole(f"{key} repeated words", 2, 5, B)
    return [
        *both(
            key,
            "plain",
            "the word to be said fed to its own step, no shift; attention from the new state;"
            " zeros for the initial state",
            "no error from step t + 1, or through h or c alone; a and the start of it left out",
            {"words": whole(f"{key} plain words", V, T, B)} | some(f"{key} plain", FORWARD),
        ),
        *both(
            key,
            "bias",
            "biases in the first step alone, or given to each other's layer; first not read",
            "biases' gradients overwritten and not summed over time",
            {
                "words": whole(f"{key} bias words", 5, 6, B),
                "first": np.array([4, -1]),
            }
            | some(f"{key} bias", FORWARD + FORWARD_BIASES, V=5, L=7),
        ),
        *both(
            key,
            "first",
            "a start token in front of the caption: fed to the first step, never said",
            "the start token's row of dE",
            {"words": whole(f"{key} first words", 6, 4, B), "first": np.array([6, 6])}
            | some(f"{key} first", FORWARD),
            clauses=("captioning.previous",),
        ),
        *both(
            key,
            "lengths",
            "lengths 3, 0, 5 and 1000 in the padding, which no embedding has: results are 0 there",
            "dlogits and dalpha in the padding do not count",
            {"words": padded, "lengths": np.array(lengths)}
            | some(f"{key} lengths", FORWARD + " b_y b_beta", B=3),
            ("lengths",),
            clauses=("captioning.forward", "captioning.previous"),
        ),
        *both(
            key,
            "square",
            "every size 3, T too: time and batch swapped, or any two arrays",
            "any two gradients swapped, or one transposed",
            {"words": np.array([[1, 0, 2], [2, 2, 0], [0, 1, 1]])}
            | square(f"{key} square", FORWARD + FORWARD_BIASES),
            ("square",),
        ),
        Draft(
            f"{key}.vjp",
            "repeated",
            "two words in ten places, one of them at two times of one caption: dE sums them all",
            {"words": same} | some(f"{key} repeated", FORWARD),
            clauses=("captioning.forward",),
        ),
        Draft(
            f"{key}.vjp",
            "last-alone",
            "dlogits at the last step alone, dalpha 0: it reaches the initial layers through all"
            " steps",
            {
                "words": whole(f"{key} last-alone words", V, 5, B),
                "dlogits": np.concatenate(
                    [np.zeros((4, B, V)), draw(f"{key} last-alone dlogits", 1, B, V)]
                ),
                "dalpha": np.zeros((5, B, L)),
            }
            | some(f"{key} last-alone", FORWARD),
            ("isolated",),
            clauses=("captioning.forward",),
        ),
        *both(
            key,
            "one-step",
            "T = 1: the only word is never fed",
            "T = 1 with no word before: dE is 0",
            {"words": np.array([[5, 2]])} | some(f"{key} one-step", FORWARD),
        ),
        Draft(
            key,
            "special",
            "a NaN in one image: its captions are NaN, the others as without it",
            {"words": whole(f"{key} special words", V, 4, 3)} | special,
            ("special",),
        ),
        Draft(
            key,
            "long",
            "T = 80: states and errors carried through eighty looks",
            {"words": whole(f"{key} long words", V, 80, 1)}
            | some(f"{key} long", FORWARD + FORWARD_BIASES, B=1, L=3, D=2, K=4, M=2),
            ("long",),
        ),
        *both(
            key,
            "no-steps",
            "T = 0 gives (0, B, V) and (0, B, L)",
            "T = 0: zeros of full shape, the initial layers' too",
            {"words": np.zeros((0, B), dtype=np.int64)} | some(f"{key} no-steps", FORWARD),
            ("zero-length",),
        ),
        *both(
            key,
            "no-batch",
            "B = 0 gives (T, 0, V) and (T, 0, L)",
            "B = 0: zeros of full shape",
            {
                "words": np.zeros((4, 0), dtype=np.int64),
                "lengths": np.zeros(0, dtype=np.int64),
            }
            | some(f"{key} no-batch", FORWARD + " b_y b_beta", B=0),
            ("zero-length",),
        ),
    ]


def caption(key: str, t: int, n: int, v: int = V, l: int = L) -> Inputs:
    """Logits, weights and words of a batch of captions."""
    return {
        "logits": draw(f"{key} logits", t, n, v, scale=3.0),
        "alpha": looks(f"{key} alpha", t, n, l),
        "words": whole(f"{key} words", v, t, n),
    }


def losses() -> list[Draft]:
    """captioning_loss."""
    key = "captioning_loss"
    mixed = caption(f"{key} lengths", T, 3)
    poisoned = {
        "logits": beyond(mixed["logits"], MIXED, np.nan),
        "alpha": beyond(mixed["alpha"], MIXED, np.nan),
        "words": beyond(mixed["words"], MIXED, -100).astype(np.int64),
        "lengths": np.array(MIXED),
    }
    rare = caption(f"{key} rare", 4, B)
    rare["logits"][1, 0] = [0.0, 1.0, 800.0, 2.0, -1.0, 0.5, 0.25]
    rare["words"][1, 0] = 4
    rare["logits"][2, 1] = [-20.0, 20.0, 0.0, -2.0, 1.0, 3.0, 4.0]
    rare["words"][2, 1] = 0
    special = caption(f"{key} special", 4, 3)
    special["logits"][1, 1, 2] = np.nan
    special["logits"][2, 2] = [-np.inf, 1.0, -np.inf, 0.5, 2.0, -1.0, 0.0]
    special["words"][2, 2] = 3
    far = caption(f"{key} offset", 4, B)
    return [
        *both(
            key,
            "plain",
            "the mean over words, log 2 for ln, the words shifted by one, the penalty left out or"
            " subtracted",
            "p - one-hot of another word; the penalty's gradient left out",
            caption(f"{key} plain", 4, B),
        ),
        *both(
            key,
            "likelihood-alone",
            "λ = 0: the cross-entropy and nothing else",
            "λ = 0: dalpha is 0",
            caption(f"{key} likelihood-alone", 6, 3),
            ("isolated",),
            attributes={"tau": 1.0, "lambda_alpha": 0.0},
        ),
        *both(
            key,
            "tau",
            "τ = 0.5 and λ = 2.5",
            "λ on the wrong term",
            caption(f"{key} tau", 3, 4, 6, 8),
            attributes={"tau": 0.5, "lambda_alpha": 2.5},
        ),
        *both(
            key,
            "lengths",
            "lengths 4, 0, 9: padding counted in the likelihood, or in the penalty as the authors'"
            " code does; a mean over T",
            "dlogits beyond the length is 0",
            mixed | {"lengths": np.array(MIXED)},
            ("lengths",),
        ),
        *both(
            key,
            "lengths-nan",
            "NaN and the word -100 in the padding: neither is read",
            "NaN and the word -100 in the padding reach no gradient",
            poisoned,
            ("lengths", "special"),
        ),
        *both(
            key,
            "rare",
            "a word 801 below the largest logit, and one 40 below: the logarithm of a softmax is"
            " infinite, log(p + 1e-8) is 18.4",
            "p - 1 is -1 for the rare word",
            rare,
            ("saturation",),
        ),
        *both(
            key,
            "offset",
            "1e4 on all logits of one example and -1e4 on the other's: exponentials that over- and"
            " underflow",
            "the same, backwards",
            far | {"logits": far["logits"] + np.array([[1e4], [-1e4]])},
            ("saturation",),
        ),
        *both(
            key,
            "square",
            "T = B = V = L: time and batch swapped, the softmax over another axis",
            "the one-hot on another axis",
            caption(f"{key} square", 3, 3, 3, 3),
            ("square",),
        ),
        Draft(
            key,
            "hand",
            "by hand: the penalty is (1 - 3/2)² + (1 - 1/2)² = 1/2, and each word of equal logits"
            " costs ln 2",
            {
                "logits": np.full((2, 1, 2), 0.75),
                "alpha": np.array([[[0.5, 0.5]], [[1.0, 0.0]]]),
                "words": np.array([[0], [1]]),
            },
            ("hand",),
        ),
        Draft(
            key,
            "special",
            "a NaN makes its own caption's loss NaN; words of -inf that are not said do not count",
            special,
            ("special",),
        ),
        *both(
            key,
            "no-steps",
            "T = 0: the loss is λ L τ²",
            "T = 0 gives (0, B, V) and (0, B, L)",
            caption(f"{key} no-steps", 0, B),
            ("zero-length",),
        ),
        *both(
            key,
            "no-batch",
            "B = 0 gives (0,), no mean over nothing",
            "B = 0 gives (T, 0, V) and (T, 0, L)",
            caption(f"{key} no-batch", 4, 0),
            ("zero-length",),
        ),
    ]


def looked(key: str, t: int, n: int, l: int = L) -> Inputs:
    """Scores, draws, log-likelihoods and baselines of a batch of captions."""
    return {
        "e": draw(f"{key} e", t, n, l, scale=2.0),
        "index": whole(f"{key} index", l, t, n),
        "log_p": -positive(f"{key} log_p", n) * 9,
        "baseline": draw(f"{key} baseline", n, scale=5.0),
    }


def hard_gradients() -> list[Draft]:
    """captioning_hard_gradient."""
    key = "captioning_hard_gradient"
    entropy = {"lambda_r": 1.0, "lambda_e": 0.5}
    mixed = looked(f"{key} lengths", T, 3)
    level = looked(f"{key} equal-scores", 4, B)
    even = looked(f"{key} entropy-alone", 4, 3)
    sure = looked(f"{key} certain", 3, B)
    sure["e"] = draw(f"{key} certain e", 3, B, L, scale=1e4)
    barred = looked(f"{key} excluded", 3, B)
    barred["e"][:, :, 2] = -np.inf
    barred["index"][:] = np.array([[0, 4], [1, 3], [3, 0]])
    special = looked(f"{key} special", 3, 3)
    special["e"][1, 0, 2] = np.nan
    special["log_p"][2] = np.nan
    return [
        Draft(
            key,
            "plain",
            "the sign of a loss; no baseline; log p + b; the one-hot without the softmax; the"
            " likelihood of each step for the caption's",
            looked(f"{key} plain", 4, B),
        ),
        Draft(
            key,
            "entropy",
            "the entropy's sign, log α + 1 for log α + H, λ_e on the wrong term, λ_r squared",
            looked(f"{key} entropy", 4, 3),
            attributes={"lambda_r": 0.75, "lambda_e": 1.5},
        ),
        Draft(
            key,
            "entropy-alone",
            "log p = b, so that the entropy's term is all there is",
            even | {"baseline": even["log_p"]},
            ("isolated",),
            attributes=entropy,
            clauses=("captioning.entropy",),
        ),
        Draft(
            key,
            "equal-scores",
            "by hand: equal scores have the largest entropy, whose gradient is 0; the rest is"
            " (log p - b) (one-hot - 1/4)",
            {
                "e": np.full((2, 1, 4), 0.75),
                "index": np.array([[2], [0]]),
                "log_p": np.array([-2.0]),
                "baseline": np.array([-6.0]),
            },
            ("hand",),
        ),
        Draft(
            key,
            "even-likelihood",
            "log p = b and no entropy term: 0 everywhere, whatever was drawn",
            level | {"baseline": level["log_p"]},
            ("isolated",),
            clauses=("captioning.hard_gradient",),
        ),
        Draft(
            key,
            "certain",
            "scores 1e4 apart: α log α is 0 and not NaN where α is 0",
            sure,
            ("saturation",),
            attributes=entropy,
        ),
        Draft(
            key,
            "excluded",
            "a score of -inf: 0 log 0 is 0, the location receives nothing",
            barred,
            ("special",),
            attributes=entropy,
        ),
        Draft(
            key,
            "excluded-others",
            "every score but one -inf: the draw is certain, its entropy 0, and all gradients 0",
            {
                "e": np.array([[[-np.inf, 0.5, -np.inf]], [[2.5, -np.inf, -np.inf]]]),
                "index": np.array([[1], [0]]),
                "log_p": np.array([-3.0]),
                "baseline": np.array([1.5]),
            },
            ("special", "hand"),
            attributes=entropy,
        ),
        Draft(
            key,
            "lengths",
            "lengths 4, 0, 9: looks in the padding that count",
            mixed | {"lengths": np.array(MIXED)},
            ("lengths",),
            attributes=entropy,
        ),
        Draft(
            key,
            "lengths-nan",
            "NaN and the index -1 in the padding",
            mixed
            | {
                "e": beyond(mixed["e"], MIXED, np.nan),
                "index": beyond(mixed["index"], MIXED, -1).astype(np.int64),
                "lengths": np.array(MIXED),
            },
            ("lengths", "special"),
            attributes=entropy,
        ),
        Draft(
            key,
            "square",
            "T = B = L: time, batch and location swapped, or log p spread over time",
            looked(f"{key} square", 3, 3, 3),
            ("square",),
            attributes=entropy,
        ),
        Draft(
            key,
            "special",
            "a NaN score makes its own look NaN, a NaN likelihood its own caption",
            special,
            ("special",),
            attributes=entropy,
        ),
        Draft(
            key,
            "no-steps",
            "T = 0 gives (0, B, L)",
            looked(f"{key} no-steps", 0, B),
            ("zero-length",),
        ),
        Draft(
            key,
            "no-batch",
            "B = 0 gives (T, 0, L)",
            looked(f"{key} no-batch", 4, 0),
            ("zero-length",),
        ),
    ]


def baselines() -> list[Draft]:
    """captioning_baseline."""
    key = "captioning_baseline"
    return [
        Draft(
            key,
            "plain",
            "0.9 on the new value; the sum of the batch for its mean",
            {"baseline": np.array(-20.0), "log_p": -positive(f"{key} plain", 5) * 9},
        ),
        Draft(
            key,
            "decay",
            "decay 0.75: fixed at 0.9, or its complement",
            {"baseline": np.array(3.5), "log_p": draw(f"{key} decay", 3)},
            attributes={"decay": 0.75},
        ),
        Draft(
            key,
            "hand",
            "by hand: 1/2 * 8 + 1/2 * 3 = 11/2, () and not (B,)",
            {"baseline": np.array(8.0), "log_p": np.array([1.0, 5.0])},
            ("hand",),
            attributes={"decay": 0.5},
        ),
        Draft(
            key,
            "first",
            "a baseline of 0 and one caption: no correction of the start, as Adam has",
            {"baseline": np.array(0.0), "log_p": np.array([-7.3])},
        ),
    ]


def policies() -> list[Draft]:
    """captioning_location_policy."""
    key = "captioning_location_policy"

    def policy(name: str, n: int, h: int, l: int, *, bias: bool = False) -> Inputs:
        drawn = {
            "h": draw(f"{key} {name} h", n, h),
            "W": draw(f"{key} {name} W", l, h, scale=2.0),
            "u": positive(f"{key} {name} u", n),
        }
        return drawn | ({"b": draw(f"{key} {name} b", l)} if bias else {})

    special = policy("special", 3, H, L)
    special["h"][1, 0] = np.nan
    special["u"][1] = 0.0
    return [
        *both(
            key,
            "plain",
            "the likeliest variant instead of a draw; logits for probabilities",
            "the softmax's VJP left out",
            policy("plain", 8, H, L),
        ),
        *both(
            key,
            "bias",
            "the bias left out of the scores, or added after the softmax",
            "db a mean over the batch",
            policy("bias", 6, 4, 3, bias=True),
        ),
        *both(
            key,
            "square",
            "B = H = L: a transposed W, a softmax over the batch",
            "a transposed product that keeps its shape",
            policy("square", 3, 3, 3),
            ("square",),
        ),
        *both(
            key,
            "saturation",
            "logits of ±1e4: one variant has all the probability and is drawn by every u",
            "p of 0 and 1: all gradients 0 and not NaN",
            policy("saturation", 4, H, L) | {"W": draw(f"{key} saturation W", L, H, scale=1e4)},
            ("saturation",),
        ),
        Draft(
            key,
            "border",
            "u = 0 takes the first variant; u just below 1 the last",
            policy("border", 2, H, L) | {"u": np.array([0.0, 0.99999])},
            ("isolated",),
        ),
        Draft(
            key,
            "special",
            "a NaN state makes its own probabilities NaN; its draw is the first, in reach of every"
            " index",
            special,
            ("special",),
        ),
        *both(
            key,
            "no-batch",
            "B = 0 gives (0, L) and no index",
            "B = 0: zeros of full shape for W and b",
            policy("no-batch", 0, H, L, bias=True),
            ("zero-length",),
        ),
    ]


def rewards() -> list[Draft]:
    """captioning_reward."""
    key = "captioning_reward"
    likelihood = {"measure": "log_likelihood"}

    def said(name: str, t: int, n: int, v: int = V) -> Inputs:
        drawn = caption(f"{key} {name}", t, n, v)
        best = np.argmax(drawn["logits"], axis=-1)
        # about two thirds of the words are predicted
        right = positive(f"{key} {name} right", t, n) < 0.66
        return {"logits": drawn["logits"], "words": np.where(right, best, drawn["words"])}

    mixed = said("lengths", T, 3)
    poisoned = {
        "logits": beyond(mixed["logits"], MIXED, np.nan),
        "words": beyond(mixed["words"], MIXED, -100).astype(np.int64),
        "lengths": np.array(MIXED),
    }
    rare = said("rare", 3, B)
    rare["logits"][1, 0] = [0.0, 1.0, 800.0, 2.0, -1.0, 0.5, 0.25]
    rare["words"][1, 0] = 4
    tie = np.array([[[1.0, 2.0, 2.0], [0.5, 0.5, 0.5], [3.0, 1.0, 3.0]]])
    return [
        Draft(key, "plain", "a count for a share; the share of the batch", said("plain", 6, 4)),
        Draft(
            key,
            "tie",
            "equal logits: the first is the prediction, the second and third caption miss",
            {"logits": tie, "words": np.array([[1, 1, 2]])},
            ("hand",),
        ),
        Draft(
            key,
            "lengths",
            "lengths 4, 0, 9: divided by T; an empty caption 0 / 0",
            mixed | {"lengths": np.array(MIXED)},
            ("lengths",),
        ),
        Draft(
            key,
            "lengths-nan",
            "NaN and the word -100 in the padding: argmax takes a NaN for the largest",
            poisoned,
            ("lengths", "special"),
        ),
        Draft(
            key,
            "padding-hit",
            "padding whose word is predicted: it must not count",
            {
                "logits": np.tile(np.array([0.5, 2.0, -1.0]), (4, 2, 1)),
                "words": np.ones((4, 2), dtype=np.int64),
                "lengths": np.array([2, 3]),
            },
            ("lengths", "hand"),
        ),
        Draft(
            key,
            "square",
            "T = B = V: argmax over another axis",
            said("square", 3, 3, 3),
            ("square",),
        ),
        Draft(
            key,
            "likelihood",
            "the mean over the words, the loss's sign",
            said("likelihood", 5, 3),
            attributes=likelihood,
        ),
        Draft(
            key,
            "likelihood-lengths-nan",
            "NaN and the word -100 in the padding; an empty caption has the likelihood log 1 = 0",
            poisoned,
            ("lengths", "special"),
            attributes=likelihood,
        ),
        Draft(
            key,
            "likelihood-rare",
            "a word 801 below the largest logit: the logarithm of a softmax is -inf",
            rare,
            ("saturation",),
            attributes=likelihood,
        ),
        Draft(key, "no-steps", "T = 0: rewards of 0", said("no-steps", 0, B), ("zero-length",)),
        Draft(
            key,
            "no-batch",
            "B = 0 gives (0,)",
            said("no-batch", 4, 0),
            ("zero-length",),
        ),
    ]


def location_gradients() -> list[Draft]:
    """captioning_location_gradient."""
    key = "captioning_location_gradient"

    def choices(name: str, t: int, n: int, h: int = H, l: int = L, given: str = "") -> Inputs:
        shapes = {"b": (l,), "baseline": (n,)}
        return {
            "h": draw(f"{key} {name} h", t, n, h),
            "W": draw(f"{key} {name} W", l, h, scale=2.0),
            "index": whole(f"{key} {name} index", l, t, n),
            "reward": positive(f"{key} {name} reward", n),
            **{o: draw(f"{key} {name} {o}", *shapes[o]) for o in given.split()},
        }

    mixed = choices("lengths", T, 3, given="b baseline")
    even = choices("even", 4, B, given="b")
    return [
        Draft(
            key,
            "plain",
            "the sign of a loss; the batch's mean; the gradient of p for that of log p; one time"
            " alone",
            choices("plain", 4, B),
        ),
        Draft(
            key,
            "bias",
            "b left out of p",
            choices("bias", 5, 4, 2, 3, "b"),
        ),
        Draft(
            key,
            "baseline",
            "the baseline added, left out, or one for the whole batch",
            choices("baseline", 4, 3, 2, 6, "baseline"),
        ),
        Draft(
            key,
            "even",
            "every reward equal to the baseline: all gradients are 0",
            even | {"baseline": even["reward"]},
            ("isolated",),
        ),
        Draft(
            key,
            "lengths",
            "lengths 4, 0, 9: choices in the padding that count",
            mixed | {"lengths": np.array(MIXED)},
            ("lengths",),
        ),
        Draft(
            key,
            "lengths-nan",
            "NaN and the index -1 in the padding: 0 * NaN in dW spoils all of it",
            mixed
            | {
                "h": beyond(mixed["h"], MIXED, np.nan),
                "index": beyond(mixed["index"], MIXED, -1).astype(np.int64),
                "lengths": np.array(MIXED),
            },
            ("lengths", "special"),
        ),
        Draft(
            key,
            "hand",
            "by hand: p = 1/2 each, R - b = 4, so ds = (-2, 2), dW = ds hᵀ, dh = ds W",
            {
                "h": np.array([[[1.0, 2.0, -1.0]]]),
                "W": np.zeros((2, 3)),
                "index": np.array([[1]]),
                "reward": np.array([5.0]),
                "baseline": np.array([1.0]),
            },
            ("hand",),
        ),
        Draft(
            key,
            "saturation",
            "logits of ±1e4: a certain choice teaches nothing, an impossible one all",
            choices("saturation", 4, B) | {"W": draw(f"{key} saturation W", L, H, scale=1e4)},
            ("saturation",),
        ),
        Draft(
            key,
            "square",
            "T = B = H = L: the reward spread over time, a transposed W",
            choices("square", 3, 3, 3, 3, "b baseline"),
            ("square",),
        ),
        Draft(
            key,
            "no-steps",
            "T = 0: dW and db are zeros of full shape",
            choices("no-steps", 0, B, given="b"),
            ("zero-length",),
        ),
        Draft(
            key,
            "no-batch",
            "B = 0: dW and db are zeros of full shape",
            choices("no-batch", 4, 0),
            ("zero-length",),
        ),
    ]
