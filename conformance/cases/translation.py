"""Inputs for spec/translation.md: which translator a backend has built, told by numbers."""

from typing import Any

import numpy as np

from nnspec.conformance.cases.draft import Draft, draw
from nnspec.reference.array import Array

Inputs = dict[str, Any]

ATTENTION = ("translation.attention",)
CONTEXT = ("translation.context",)
MIXED = ("translation.attentional_state",)
DECODER = ("translation.decoder",)
OUTPUT = ("translation.output",)
ENCODER = ("translation.encoder",)
TEACHER = ("translation.teacher_forcing",)
FORWARD = ("translation.forward",)
LOSS = ("translation.loss",)
GREEDY = ("translation.greedy",)
BEAM = ("translation.beam",)
SCORE = ("translation.beam_score",)

BIASES = ("b_e", "b_d", "b_c", "b_y")
NAN, INF = np.nan, np.inf


def words(key: str, many: int, *shape: int) -> Array:
    """Numbers of words, 0 … many - 1, drawn."""
    return np.floor((draw(key, *shape) + 1) / 2 * many).astype(np.int64)


def whole(*numbers: int) -> Array:
    """Lengths."""
    return np.array(numbers, dtype=np.int64)


def beyond(words_: Array, lengths: Array, value: Any) -> Array:
    """The first axis beyond each length replaced by `value`."""
    within = np.arange(len(words_))[:, None] < lengths
    return np.where(within.reshape(*within.shape, *(1,) * (words_.ndim - 2)), words_, value)


def weights(key: str, sizes: dict[str, int], *biases: str, output: float = 1.0) -> Inputs:
    """The tables, the matrices and the named biases of a translator, drawn."""
    H, I, J, K, V, Z = (sizes[name] for name in "HIJKVZ")
    shapes: dict[str, tuple[int, ...]] = {
        "E_s": (V, I),
        "E_t": (Z, J),
        "U_e": (H, I),
        "W_e": (H, H),
        "U_d": (H, J),
        "W_d": (H, H),
        "W_c": (K, 2 * H),
        "W_y": (Z, K),
    }
    shapes |= {
        name: (sizes[size],) for name, size in zip(BIASES, "HHKZ", strict=True) if name in biases
    }
    scale = {"W_y": output}
    return {
        name: draw(f"{key} {name}", *shape, scale=scale.get(name, 1.0))
        for name, shape in shapes.items()
    }


SIZES = {"H": 3, "I": 6, "J": 7, "K": 8, "V": 9, "Z": 10}
SQUARE = {"H": 4, "I": 4, "J": 4, "K": 4, "V": 4, "Z": 4}
SMALL = {"H": 3, "I": 2, "J": 4, "K": 5, "V": 6, "Z": 7}


def sentences(
    key: str, T: int, N: int, B: int, *biases: str, sizes: dict[str, int] = SIZES, output: float = 1
) -> Inputs:
    """Source, target and weights."""
    return {
        "source": words(f"{key} source", sizes["V"], T, B),
        "target": words(f"{key} target", sizes["Z"], N, B),
        **weights(key, sizes, *biases, output=output),
    }


def to_translate(
    key: str, T: int, B: int, *biases: str, sizes: dict[str, int] = SMALL, output: float = 6
) -> Inputs:
    """Source and weights, the output sharp enough to decide.

    A number in a key was chosen so that sentences differ, end at different steps, and no choice
    is close; in a beam so that greedy search and a narrower beam find something else.
    """
    return {
        "source": words(f"{key} source", sizes["V"], T, B),
        **weights(key, sizes, *biases, output=output),
    }


def states(key: str, N: int, T: int, B: int, H: int, scale: float = 1.0) -> Inputs:
    """States of the decoder and of the encoder."""
    return {
        "h_d": draw(f"{key} h_d", N, B, H, scale=scale),
        "h_e": draw(f"{key} h_e", T, B, H, scale=scale),
    }


def seen(key: str, N: int, T: int, B: int, H: int) -> Inputs:
    """Weights that are none of a softmax, and states of the encoder."""
    return {"a": draw(f"{key} a", N, T, B), "h_e": draw(f"{key} h_e", T, B, H)}


def step(key: str, T: int, B: int, *biases: str, sizes: dict[str, int] = SIZES) -> Inputs:
    """Inputs of a step of the decoder."""
    named = weights(key, sizes, *biases)
    return {
        "x": draw(f"{key} x", B, sizes["J"]),
        "h_prev": draw(f"{key} h_prev", B, sizes["H"]),
        "h_e": draw(f"{key} h_e", T, B, sizes["H"]),
        **{n: w for n, w in named.items() if n not in ("E_s", "E_t", "U_e", "W_e", "b_e")},
    }


def drafts() -> list[Draft]:
    """All drafts of the page."""
    return [
        *attention(),
        *context(),
        *attentional_state(),
        *steps(),
        *forward(),
        *loss(),
        *greedy(),
        *beam(),
    ]


def attention() -> list[Draft]:
    """translation_attention and its VJP."""
    f = "translation_attention"
    plain = states(f"{f} plain", 5, 4, 2, 3, 2.0)
    hand: Inputs = {
        # h_1 · h = h_2 · h = 2, so 1/2 each; the second time all on h_2, e^-2e4 being 0
        "h_d": np.array([[[2.0, 0.0]], [[0.0, 1e4]]]),
        "h_e": np.array([[[1.0, -1.0]], [[1.0, 1.0]]]),
    }
    padded = {**states(f"{f} lengths-nan", 3, 5, 4, 2, 2.0), "lengths": whole(3, 0, 5, 1)}
    padded = {**padded, "h_e": beyond(padded["h_e"], padded["lengths"], NAN)}
    special = states(f"{f} special", 4, 3, 2, 5)
    special["h_d"][2, 1, 0] = NAN
    special["h_e"][1, 0, 3] = NAN
    return [
        Draft(
            f,
            "plain",
            "normalised over the target's times or the batch instead of the source",
            plain,
            clauses=ATTENTION,
        ),
        Draft(
            f,
            "square",
            "N = T = B = H: a(j, t) for a(t, j), h_e and h_d exchanged",
            states(f"{f} square", 3, 3, 3, 3, 2.0),
            ("square",),
            clauses=ATTENTION,
        ),
        Draft(
            f,
            "scale",
            "H = 16: scores divided by √H = 4, as the Transformer has them",
            states(f"{f} scale", 3, 4, 2, 16),
            clauses=ATTENTION,
        ),
        Draft(
            f,
            "hand",
            "by hand 1/2, 1/2 and then 0, 1: no maximum subtracted at scores of ±1e4",
            hand,
            ("hand", "saturation"),
            clauses=ATTENTION,
        ),
        Draft(
            f,
            "lengths",
            "lengths 2, 0, 4: padding of the source has a weight, a source of no words NaN",
            {**states(f"{f} lengths", 5, 4, 3, 2), "lengths": whole(2, 0, 4)},
            ("lengths",),
            clauses=ATTENTION,
        ),
        Draft(
            f,
            "lengths-nan",
            "NaN in the encoder's padding comes through a product with 0",
            padded,
            ("lengths", "special"),
            clauses=ATTENTION,
        ),
        Draft(
            f,
            "special",
            "a NaN in a state is of its example, in the decoder of its time",
            special,
            ("special",),
            clauses=ATTENTION,
        ),
        Draft(
            f,
            "one-word",
            "T = 1: every weight is 1",
            states(f"{f} one-word", 4, 1, 2, 3),
            clauses=ATTENTION,
        ),
        Draft(
            f,
            "no-source",
            "T = 0: a is (N, 0, B)",
            states(f"{f} no-source", 4, 0, 2, 3),
            ("zero-length",),
            clauses=ATTENTION,
        ),
        Draft(
            f,
            "no-target",
            "N = 0: a is (0, T, B)",
            states(f"{f} no-target", 0, 4, 2, 3),
            ("zero-length",),
            clauses=ATTENTION,
        ),
        Draft(
            f"{f}.vjp",
            "plain",
            "the gradient of h_j from the last time alone, overwritten and not summed",
            plain,
            clauses=ATTENTION,
        ),
        Draft(
            f"{f}.vjp",
            "square",
            "N = T = B = H: dh_e and dh_d exchanged, sums over the wrong axis",
            states(f"{f} square", 3, 3, 3, 3, 2.0),
            ("square",),
            clauses=ATTENTION,
        ),
        Draft(
            f"{f}.vjp",
            "lengths",
            "a gradient in the padding; the padding's da has an effect",
            {**states(f"{f} lengths", 5, 4, 3, 2), "lengths": whole(2, 0, 4)},
            ("lengths",),
            clauses=ATTENTION,
        ),
        Draft(
            f"{f}.vjp",
            "lengths-nan",
            "NaN in the encoder's padding in dh_d, by 0 * NaN",
            padded,
            ("lengths", "special"),
            clauses=ATTENTION,
        ),
        Draft(
            f"{f}.vjp",
            "no-source",
            "T = 0: dh_d is zeros",
            states(f"{f} no-source", 4, 0, 2, 3),
            ("zero-length",),
            clauses=ATTENTION,
        ),
        Draft(
            f"{f}.vjp",
            "no-target",
            "N = 0: dh_e is zeros of full shape",
            states(f"{f} no-target", 0, 4, 2, 3),
            ("zero-length",),
            clauses=ATTENTION,
        ),
    ]


def context() -> list[Draft]:
    """translation_context and its VJP."""
    f = "translation_context"
    plain = seen(f"{f} plain", 5, 4, 2, 3)
    padded = {**seen(f"{f} lengths-nan", 3, 5, 4, 2), "lengths": whole(3, 0, 5, 1)}
    padded = {**padded, "h_e": beyond(padded["h_e"], padded["lengths"], NAN)}
    hand: Inputs = {
        "a": np.array([[[0.25], [0.75]], [[1.0], [0.0]]]),
        "h_e": np.array([[[4.0, -8.0]], [[8.0, 16.0]]]),
    }
    return [
        Draft(
            f,
            "plain",
            "the weights normalised again, or the mean over the source",
            plain,
            clauses=CONTEXT,
        ),
        Draft(
            f,
            "square",
            "N = T = B = H: a transposed",
            seen(f"{f} square", 3, 3, 3, 3),
            ("square",),
            clauses=CONTEXT,
        ),
        Draft(f, "hand", "by hand (7, 10) and (4, -8)", hand, ("hand",), clauses=CONTEXT),
        Draft(
            f,
            "lengths-nan",
            "weights and NaN states in the padding are used",
            padded,
            ("lengths", "special"),
            clauses=CONTEXT,
        ),
        Draft(
            f,
            "no-source",
            "T = 0: the context is 0",
            seen(f"{f} no-source", 4, 0, 2, 3),
            ("zero-length",),
            clauses=CONTEXT,
        ),
        Draft(f"{f}.vjp", "plain", "dh_e of the last time alone", plain, clauses=CONTEXT),
        Draft(
            f"{f}.vjp",
            "square",
            "N = T = B = H: da transposed",
            seen(f"{f} square", 3, 3, 3, 3),
            ("square",),
            clauses=CONTEXT,
        ),
        Draft(
            f"{f}.vjp",
            "lengths-nan",
            "da where nothing is read, NaN there",
            padded,
            ("lengths", "special"),
            clauses=CONTEXT,
        ),
        Draft(
            f"{f}.vjp",
            "no-target",
            "N = 0: dh_e is zeros of full shape",
            seen(f"{f} no-target", 0, 4, 2, 3),
            ("zero-length",),
            clauses=CONTEXT,
        ),
    ]


def attentional_state() -> list[Draft]:
    """translation_attentional_state and its VJP."""
    f = "translation_attentional_state"

    def mixed(name: str, B: int, H: int, K: int, *, bias: bool = False) -> Inputs:
        key = f"{f} {name}"
        made = {"c": draw(f"{key} c", B, H), "h": draw(f"{key} h", B, H)}
        made["W_c"] = draw(f"{key} W_c", K, 2 * H)
        return made | ({"b_c": draw(f"{key} b_c", K)} if bias else {})

    hand: Inputs = {
        # tanh(2 * 3 - 6) = 0, tanh(6.6e4 - 6e4) = 1; with [h; c] tanh(12 - 3) and tanh(-8.7e4)
        "c": np.array([[3.0]]),
        "h": np.array([[6.0]]),
        "W_c": np.array([[2.0, -1.0], [-2e4, 1.1e4]]),
    }
    return [
        Draft(
            f, "plain", "[h_t; c_t] for [c_t; h_t]; no tanh", mixed("plain", 2, 3, 5), clauses=MIXED
        ),
        Draft(f, "bias", "the bias left out", mixed("bias", 4, 2, 3, bias=True), clauses=MIXED),
        Draft(
            f,
            "square",
            "K = 2 H: W_c transposed",
            mixed("square", 3, 2, 4),
            ("square",),
            clauses=MIXED,
        ),
        Draft(
            f,
            "hand",
            "by hand (0, 1): the order [h; c] gives (1, -1)",
            hand,
            ("hand", "saturation"),
            clauses=MIXED,
        ),
        Draft(
            f,
            "no-batch",
            "B = 0: h_tilde is empty, with all K columns",
            mixed("no-batch", 0, 3, 2),
            ("zero-length",),
            clauses=MIXED,
        ),
        Draft(f"{f}.vjp", "plain", "dc and dh exchanged", mixed("plain", 2, 3, 5), clauses=MIXED),
        Draft(
            f"{f}.vjp",
            "bias",
            "db_c the mean over the batch",
            mixed("bias", 4, 2, 3, bias=True),
            clauses=MIXED,
        ),
        Draft(
            f"{f}.vjp",
            "square",
            "K = 2 H: dW_c transposed",
            mixed("square", 3, 2, 4),
            ("square",),
            clauses=MIXED,
        ),
        Draft(
            f"{f}.vjp",
            "no-batch",
            "B = 0: dW_c is zeros of full shape",
            mixed("no-batch", 0, 3, 2, bias=True),
            ("zero-length",),
            clauses=MIXED,
        ),
    ]


def steps() -> list[Draft]:
    """translation_step and its VJP."""
    f = "translation_step"
    plain = step(f"{f} plain", 4, 2)
    bias = step(f"{f} bias", 5, 4, *BIASES, sizes=SMALL)
    square = step(f"{f} square", 4, 4, sizes=SQUARE)
    padded = {**step(f"{f} lengths-nan", 5, 4, "b_c"), "lengths": whole(3, 0, 5, 1)}
    padded = {**padded, "h_e": beyond(padded["h_e"], padded["lengths"], NAN)}
    constant = step(f"{f} same-states", 4, 2, sizes=SMALL)
    constant["h_e"] = np.repeat(constant["h_e"][:1], 4, axis=0)
    only_a = {
        "dlogits": np.zeros((2, SIZES["Z"])),
        "dh": np.zeros((2, SIZES["H"])),
    }
    everything = (*DECODER, *OUTPUT, *ATTENTION, *CONTEXT, *MIXED)
    return [
        Draft(
            f,
            "plain",
            "attention from h_{t-1}, as Bahdanau has it; the scores of words from h_t, without"
            " the attentional state; a softmax over them",
            plain,
            clauses=everything,
        ),
        Draft(
            f,
            "bias",
            "each of the biases in another's place, or left out",
            bias,
            clauses=everything,
        ),
        Draft(
            f,
            "square",
            "all sizes 4: U_d and W_d exchanged, matrices transposed",
            square,
            ("square",),
            clauses=everything,
        ),
        Draft(
            f,
            "same-states",
            "all states of the source equal: a = 1/4 and c = h_j, so that a fault here is not the"
            " attention's",
            constant,
            ("isolated",),
            clauses=(*DECODER, *MIXED, *OUTPUT),
        ),
        Draft(
            f,
            "lengths-nan",
            "lengths 3, 0, 5, 1 with NaN in the padding; without a source the context is 0",
            padded,
            ("lengths", "special"),
            clauses=everything,
        ),
        Draft(
            f,
            "no-source",
            "T = 0: the decoder goes on without a context",
            step(f"{f} no-source", 0, 2),
            ("zero-length",),
            clauses=everything,
        ),
        Draft(
            f,
            "no-batch",
            "B = 0: logits, state and weights are empty, in full shape",
            step(f"{f} no-batch", 4, 0),
            ("zero-length",),
            clauses=everything,
        ),
        Draft(
            f"{f}.vjp",
            "plain",
            "one of the ways of h_t left out: as a query, beside the context, to the next step",
            plain,
            clauses=everything,
        ),
        Draft(
            f"{f}.vjp",
            "bias",
            "gradients of the biases, summed over the batch",
            bias,
            clauses=everything,
        ),
        Draft(
            f"{f}.vjp",
            "square",
            "all sizes 4: gradients transposed",
            square,
            ("square",),
            clauses=everything,
        ),
        Draft(
            f"{f}.vjp",
            "weights-alone",
            "dlogits = dh = 0: the way through a(t, j) by itself; W_c and W_y have no gradient",
            {**plain, **only_a},
            ("isolated",),
            clauses=(*ATTENTION, *DECODER),
        ),
        Draft(
            f"{f}.vjp",
            "lengths-nan",
            "NaN in the padding spoils no gradient",
            padded,
            ("lengths", "special"),
            clauses=everything,
        ),
        Draft(
            f"{f}.vjp",
            "no-source",
            "T = 0: gradients of the decoder's weights as without attention",
            step(f"{f} no-source", 0, 2),
            ("zero-length",),
            clauses=everything,
        ),
    ]


def ragged(name: str, *biases: str, sizes: dict[str, int] = SIZES) -> Inputs:
    """Sentences of lengths 4, 2, 0 and targets of 3, 5, 2, with no words of the tables beyond."""
    inputs = sentences(name, 4, 5, 3, *biases, sizes=sizes)
    lengths, target_lengths = whole(4, 2, 0), whole(3, 5, 2)
    return {
        **inputs,
        "source": beyond(inputs["source"], lengths, -1),
        "target": beyond(inputs["target"], target_lengths, 99),
        "lengths": lengths,
        "target_lengths": target_lengths,
    }


def repeated(name: str) -> Inputs:
    """One word thrice in a source, and twice in a target."""
    inputs = sentences(name, 4, 5, 2, sizes=SMALL)
    inputs["source"] = np.array([[2, 5], [2, 0], [4, 1], [2, 5]])
    inputs["target"] = np.array([[3, 6], [1, 6], [3, 0], [5, 6], [0, 2]])
    return inputs


def forward() -> list[Draft]:
    """translation_forward and its VJP."""
    f = "translation_forward"
    plain = sentences(f"{f} plain", 4, 5, 2)
    bias = sentences(f"{f} bias", 5, 4, 3, *BIASES, sizes=SMALL)
    square = sentences(f"{f} square", 4, 4, 4, sizes=SQUARE)
    every = (*FORWARD, *ENCODER, *TEACHER)
    last = sentences(f"{f} last-word", 3, 4, 2, sizes=SMALL)
    other = {**last, "target": last["target"].copy()}
    other["target"][3] = (other["target"][3] + 1) % 7
    return [
        Draft(
            f,
            "plain",
            "step t reads the word that it predicts; the decoder starts from 0 and not from the"
            " encoder's last state",
            plain,
            attributes={"start": 3},
            clauses=every,
        ),
        Draft(
            f,
            "bias",
            "biases of encoder and decoder exchanged",
            bias,
            attributes={"start": 1},
            clauses=every,
        ),
        Draft(
            f,
            "square",
            "all sizes 4: the tables, the networks or a(t, j) exchanged",
            square,
            ("square",),
            attributes={"start": 2},
            clauses=every,
        ),
        Draft(
            f,
            "last-word",
            "another last word than in last-word-before: it changes nothing, since no step reads"
            " it",
            other,
            clauses=TEACHER,
        ),
        Draft(
            f,
            "last-word-before",
            "the last word of the target is not read, and the first step reads `start`",
            last,
            clauses=TEACHER,
        ),
        Draft(
            f,
            "start",
            "start = 6 on the words of last-word: the attribute ignored, 0 or 1 for it",
            last,
            attributes={"start": 6},
            clauses=TEACHER,
        ),
        Draft(
            f,
            "lengths",
            "sources of 4, 2, 0 words and targets of 3, 5, 2, with numbers of no word beyond: the"
            " state after the padding starts the decoder, or a look-up fails",
            ragged(f"{f} lengths", "b_e", "b_d", "b_c", "b_y"),
            ("lengths",),
            attributes={"start": 4},
            clauses=every,
        ),
        Draft(
            f,
            "one-word",
            "T = N = 1: the one weight is 1, and no axis of length 1 is dropped",
            sentences(f"{f} one-word", 1, 1, 2, sizes=SMALL),
            clauses=every,
        ),
        Draft(
            f,
            "no-source",
            "T = 0: a language model, without context",
            sentences(f"{f} no-source", 0, 4, 2, sizes=SMALL),
            ("zero-length",),
            clauses=every,
        ),
        Draft(
            f,
            "no-target",
            "N = 0: no scores",
            sentences(f"{f} no-target", 4, 0, 2, sizes=SMALL),
            ("zero-length",),
            clauses=every,
        ),
        Draft(
            f,
            "no-batch",
            "B = 0: logits and weights are empty, in full shape",
            sentences(f"{f} no-batch", 4, 5, 0, sizes=SMALL),
            ("zero-length",),
            clauses=every,
        ),
        Draft(
            f,
            "long",
            "40 words to 30: errors that add up",
            sentences(f"{f} long", 40, 30, 1, sizes=SMALL),
            ("long",),
            clauses=every,
        ),
        Draft(
            f"{f}.vjp",
            "plain",
            "the encoder trained by its last state alone, or by the attention alone",
            plain,
            attributes={"start": 3},
            clauses=every,
        ),
        Draft(
            f"{f}.vjp",
            "bias",
            "biases of encoder and decoder exchanged",
            bias,
            attributes={"start": 1},
            clauses=every,
        ),
        Draft(
            f"{f}.vjp",
            "repeated",
            "words that repeat: the last occurrence's gradient instead of the sum",
            repeated(f"{f} repeated"),
            clauses=every,
        ),
        Draft(
            f"{f}.vjp",
            "lengths",
            "gradients from the padding of source or target",
            ragged(f"{f} lengths", "b_e", "b_d", "b_c", "b_y"),
            ("lengths",),
            attributes={"start": 4},
            clauses=every,
        ),
        Draft(
            f"{f}.vjp",
            "no-source",
            "T = 0: zeros for the encoder",
            sentences(f"{f} no-source", 0, 4, 2, sizes=SMALL),
            ("zero-length",),
            clauses=every,
        ),
        Draft(
            f"{f}.vjp",
            "no-target",
            "N = 0: zeros of full shape for everything",
            sentences(f"{f} no-target", 4, 0, 2, sizes=SMALL),
            ("zero-length",),
            clauses=every,
        ),
    ]


def loss() -> list[Draft]:
    """translation_loss and its VJP."""
    f = "translation_loss"
    plain = sentences(f"{f} plain", 4, 5, 2)
    none = {**sentences(f"{f} no-words", 4, 5, 2, sizes=SMALL), "target_lengths": whole(0, 0)}
    # logits of thousands: log(softmax) is -inf, and 1e-9 added in the logarithm is -20
    sharp = sentences(f"{f} saturation", 3, 4, 2, sizes=SMALL, output=2000.0)
    even = {**sentences(f"{f} hand", 4, 3, 2, sizes={**SMALL, "Z": 8}), "W_c": np.zeros((5, 6))}
    sure = {**sentences(f"{f} sure", 4, 3, 2, sizes=SMALL), "W_c": np.zeros((5, 6))}
    sure = {**sure, "target": np.full((3, 2), 2), "b_y": np.array([0.0, -3, 40, 1, -1, 2, 0])}
    return [
        Draft(
            f,
            "plain",
            "a sum for the mean; the mean of each sentence; the scores compared with the word"
            " before",
            plain,
            attributes={"start": 3},
            clauses=LOSS,
        ),
        Draft(
            f,
            "lengths",
            "targets of 3, 5, 2 words: padding counts in the sum or in the number; the mean over"
            " sentences",
            ragged(f"{f} lengths", "b_e", "b_d", "b_c", "b_y"),
            ("lengths",),
            attributes={"start": 4},
            clauses=(*LOSS, *FORWARD),
        ),
        Draft(
            f,
            "square",
            "all sizes 4: N and B exchanged",
            sentences(f"{f} square", 4, 4, 4, sizes=SQUARE),
            ("square",),
            attributes={"start": 1},
            clauses=LOSS,
        ),
        Draft(
            f,
            "hand",
            "by hand log 8: eight words of equal scores; log to the base 2 gives 3, the"
            " perplexity is 8",
            even,
            ("hand", "isolated"),
            clauses=LOSS,
        ),
        Draft(
            f,
            "saturation",
            "logits of thousands: the logarithm of a softmax that has underflowed",
            sharp,
            ("saturation",),
            clauses=LOSS,
        ),
        Draft(
            f,
            "sure",
            "a word of probability 1 - 1e-17: the loss is e^-38 and not 0",
            sure,
            ("saturation", "isolated"),
            clauses=LOSS,
            dtypes=("float64",),
        ),
        Draft(
            f,
            "no-words",
            "targets of no words: 0, where 0 / 0 is NaN",
            none,
            ("lengths",),
            clauses=LOSS,
        ),
        Draft(
            f,
            "no-target",
            "N = 0: the loss of no words is 0, not NaN",
            sentences(f"{f} no-target", 4, 0, 2, sizes=SMALL),
            ("zero-length",),
            clauses=LOSS,
        ),
        Draft(
            f,
            "no-batch",
            "B = 0: the loss of no sentences is 0, not NaN",
            sentences(f"{f} no-batch", 4, 5, 0, sizes=SMALL),
            ("zero-length",),
            clauses=LOSS,
        ),
        Draft(
            f"{f}.vjp",
            "plain",
            "softmax - onehot not divided by the number of words; dloss left out",
            plain,
            attributes={"start": 3},
            clauses=LOSS,
        ),
        Draft(
            f"{f}.vjp",
            "lengths",
            "the padding's softmax in the gradient",
            ragged(f"{f} lengths", "b_e", "b_d", "b_c", "b_y"),
            ("lengths",),
            attributes={"start": 4},
            clauses=(*LOSS, *FORWARD),
        ),
        Draft(
            f"{f}.vjp",
            "square",
            "all sizes 4: gradients transposed",
            sentences(f"{f} square", 4, 4, 4, sizes=SQUARE),
            ("square",),
            attributes={"start": 1},
            clauses=LOSS,
        ),
        Draft(
            f"{f}.vjp",
            "repeated",
            "words that repeat: the sum of their gradients, in both tables",
            repeated(f"{f} repeated"),
            clauses=LOSS,
        ),
        Draft(
            f"{f}.vjp",
            "no-words",
            "targets of no words: zeros of full shape",
            none,
            ("lengths",),
            clauses=LOSS,
        ),
        Draft(
            f"{f}.vjp",
            "long",
            "12 words to 10: backpropagation cut off",
            sentences(f"{f} long", 12, 10, 2, sizes=SMALL),
            clauses=LOSS,
        ),
    ]


def first_step(name: str, b_y: list[float]) -> Inputs:
    """No source and a start of no embedding: the first step's scores are b_y itself, exactly."""
    sizes = {**SMALL, "Z": len(b_y)}
    inputs = {**to_translate(name, 0, 2, sizes=sizes, output=3), "b_y": np.array(b_y)}
    inputs["E_t"][0] = 0
    return inputs


def constant_scores(name: str, b_y: list[float], T: int = 4) -> Inputs:
    """W_c = 0: the scores are b_y at every step, exactly."""
    sizes = {**SMALL, "Z": len(b_y)}
    inputs = {**to_translate(name, T, 2, sizes=sizes), "b_y": np.array(b_y)}
    return {**inputs, "W_c": np.zeros((5, 6))}


TIED = [0.25, 1.5, -0.5, 1.5, 0.75, 1.5, 1.0]


def decoding(**attributes: int) -> dict[str, int]:
    """Attributes of a search."""
    return attributes


def greedy() -> list[Draft]:
    """translation_greedy."""
    f = "translation_greedy"
    lengths = {**to_translate(f"{f} lengths 1", 4, 4, *BIASES), "lengths": whole(2, 4, 0, 1)}
    lengths = {**lengths, "source": beyond(lengths["source"], lengths["lengths"], -1)}
    go = decoding(start=0, end=1, steps=6)
    return [
        Draft(
            f,
            "plain",
            "the word that was chosen is not read by the next step; the same word again and again",
            to_translate(f"{f} plain 26", 4, 3, *BIASES),
            attributes=go,
            clauses=GREEDY,
        ),
        Draft(
            f,
            "ends",
            "sentences that end at different steps: one that has ended goes on, or ends all; the"
            " length without its `end`",
            to_translate(f"{f} ends 46", 5, 6, *BIASES),
            attributes={**go, "end": 4},
            clauses=GREEDY,
        ),
        Draft(
            f,
            "start",
            "start = 5: the attribute ignored",
            to_translate(f"{f} plain 26", 4, 3, *BIASES),
            attributes={**go, "start": 5},
            clauses=GREEDY,
        ),
        Draft(
            f,
            "square",
            "all sizes 4: tables or networks exchanged",
            to_translate(f"{f} square 0", 4, 4, sizes=SQUARE),
            ("square",),
            attributes={**go, "end": 3},
            clauses=GREEDY,
        ),
        Draft(
            f,
            "lengths",
            "sources of 2, 4, 0, 1 words, no words beyond",
            lengths,
            ("lengths",),
            attributes=go,
            clauses=GREEDY,
        ),
        Draft(
            f,
            "tie",
            "three words of the same score at the first step: the first is taken, not the last",
            first_step(f"{f} tie", TIED),
            ("isolated",),
            attributes={**go, "end": 2, "steps": 4},
            clauses=GREEDY,
        ),
        Draft(
            f,
            "tie-always",
            "the same three at every step",
            constant_scores(f"{f} tie-always", TIED),
            ("isolated", "hand"),
            attributes={**go, "end": 2, "steps": 3},
            clauses=GREEDY,
        ),
        Draft(
            f,
            "tie-end",
            "the tie is of `end` and a higher word: `end` is a word like any other, and the first",
            constant_scores(f"{f} tie-end", TIED),
            ("isolated", "hand"),
            attributes={**go, "steps": 3},
            clauses=GREEDY,
        ),
        Draft(
            f,
            "one-step",
            "steps = 1: tokens are (1, B), and the length is 1 whether it ends or not",
            to_translate(f"{f} one-step", 4, 3),
            attributes={**go, "steps": 1},
            clauses=GREEDY,
        ),
        Draft(
            f,
            "no-steps",
            "steps = 0: no tokens, lengths of 0",
            to_translate(f"{f} no-steps", 4, 3),
            ("zero-length",),
            attributes={**go, "steps": 0},
            clauses=GREEDY,
        ),
        Draft(
            f,
            "no-source",
            "T = 0: a translation of nothing",
            to_translate(f"{f} no-source 31", 0, 2, *BIASES),
            ("zero-length",),
            attributes=go,
            clauses=GREEDY,
        ),
        Draft(
            f,
            "no-batch",
            "B = 0: tokens are (steps, 0)",
            to_translate(f"{f} no-batch", 4, 0),
            ("zero-length",),
            attributes=go,
            clauses=GREEDY,
        ),
    ]


def beam() -> list[Draft]:
    """translation_beam."""
    f = "translation_beam"
    every = BEAM + SCORE
    go = decoding(start=0, end=1, steps=5, width=3)
    lengths = {**to_translate(f"{f} lengths 92", 4, 4, *BIASES, output=3)}
    lengths |= {"lengths": whole(2, 4, 0, 1)}
    lengths = {**lengths, "source": beyond(lengths["source"], lengths["lengths"], -1)}
    return [
        Draft(
            f,
            "plain",
            "the greedy translation; hypotheses that do not keep their own states; the width"
            " ignored",
            to_translate(f"{f} plain 264", 4, 3, *BIASES, output=3),
            attributes=go,
            clauses=every,
        ),
        Draft(
            f,
            "width-2",
            "the same sentences with two hypotheses",
            to_translate(f"{f} plain 264", 4, 3, *BIASES, output=3),
            attributes={**go, "width": 2},
            clauses=every,
        ),
        Draft(
            f,
            "width-1",
            "width = 1 is the greedy translation, on the sentences of translation_greedy's ends",
            to_translate("translation_greedy ends 46", 5, 6, *BIASES),
            attributes={**go, "width": 1, "end": 4, "steps": 6},
            clauses=every,
        ),
        Draft(
            f,
            "ends",
            "hypotheses that end: divided by the length, taken out of the beam, or continued"
            " behind `end`",
            to_translate(f"{f} ends 60", 5, 4, *BIASES, output=3),
            attributes={**go, "end": 4},
            clauses=every,
        ),
        Draft(
            f,
            "place",
            "a hypothesis that has ended keeps its place: one that is kept beside the beam lets a"
            " worse beginning through, which wins in the end",
            to_translate(f"{f} place 75", 4, 3, *BIASES, output=3),
            attributes={**go, "end": 4, "width": 2},
            clauses=BEAM,
        ),
        Draft(
            f,
            "start-word",
            "start = 5: a search that begins with word 0 finds other words",
            to_translate(f"{f} start-word 4", 4, 3, *BIASES, output=3),
            attributes={**go, "start": 5},
            clauses=BEAM,
        ),
        Draft(
            f,
            "wide",
            "width = 20 where the first step has 7 continuations",
            to_translate(f"{f} wide 0", 3, 2, "b_y", output=3),
            attributes={**go, "width": 20, "steps": 3},
            clauses=every,
        ),
        Draft(
            f,
            "all",
            "width = 49 at two steps: every sentence is seen, and the most probable found",
            to_translate(f"{f} all 10", 4, 2, output=3),
            attributes={**go, "width": 49, "steps": 2},
            clauses=every,
        ),
        Draft(
            f,
            "square",
            "all sizes 4: tables or networks exchanged",
            to_translate(f"{f} square 0", 4, 4, sizes=SQUARE, output=3),
            ("square",),
            attributes={**go, "end": 3},
            clauses=every,
        ),
        Draft(
            f,
            "lengths",
            "sources of 2, 4, 0, 1 words, no words beyond",
            lengths,
            ("lengths",),
            attributes=go,
            clauses=every,
        ),
        Draft(
            f,
            "tie",
            "three words of the same score at the first step and a width of 2: the two lower are"
            " kept",
            first_step(f"{f} tie 2", TIED),
            ("isolated",),
            attributes={**go, "end": 2, "width": 2, "steps": 3},
            clauses=every,
        ),
        Draft(
            f,
            "tie-one-step",
            "the same with one step: the lowest is the result",
            first_step(f"{f} tie 2", TIED),
            ("isolated", "hand"),
            attributes={**go, "end": 2, "width": 2, "steps": 1},
            clauses=every,
        ),
        Draft(
            f,
            "sharp",
            "logits of hundreds: the logarithm of a softmax that has underflowed is no score",
            to_translate(f"{f} sharp", 4, 2, output=300),
            ("saturation",),
            attributes=go,
            clauses=SCORE,
        ),
        Draft(
            f,
            "no-steps",
            "steps = 0: no tokens, a score of 0",
            to_translate(f"{f} no-steps", 4, 3),
            ("zero-length",),
            attributes={**go, "steps": 0},
            clauses=every,
        ),
        Draft(
            f,
            "no-source",
            "T = 0: a translation of nothing",
            to_translate(f"{f} no-source", 0, 2, *BIASES, output=3),
            ("zero-length",),
            attributes=go,
            clauses=every,
        ),
        Draft(
            f,
            "no-batch",
            "B = 0: tokens are (steps, 0)",
            to_translate(f"{f} no-batch", 4, 0),
            ("zero-length",),
            attributes=go,
            clauses=every,
        ),
    ]
