"""Inputs for spec/lstm.md: gate orders, the cell's memory, two directions, two layers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from nnspec.conformance.cases.draft import Draft, draw, narrowed
from nnspec.reference.array import Array
from nnspec.spec.loader import dimensions, spec

Inputs = dict[str, Any]
Sizes = Mapping[str, int]

STEP = ("lstm.step",)
INPUT = ("lstm.input_gate",)
FORGET = ("lstm.forget_gate",)
CANDIDATE = ("lstm.candidate",)
OUTPUT = ("lstm.output_gate",)
MEMORY = ("lstm.memory",)
CELL = ("lstm.cell",)
HIDDEN = ("lstm.hidden",)
BIAS = ("lstm.bias",)
SEQUENCE = ("lstm.sequence",)
INITIAL = ("lstm.initial_state",)
LENGTHS = ("lstm.lengths",)

BIASES = ("b_i", "b_f", "b_g", "b_o")
STATES = ("h_0", "c_0")
MIXED = (3, 0, 5, 1)


def inputs(operation: str, case: str, sizes: Sizes, *optional: str, scale: float = 1.0) -> Inputs:
    """Every required input of an operation and the named optional ones, drawn.

    `scale` is that of the weights, whose names begin with W.
    """
    declared = spec().operations[operation]
    shapes = declared.inputs | {name: declared.optional[name] for name in optional}
    return {
        name: draw(
            f"{operation} {case} {name}",
            *dimensions(shape, dict(sizes)),
            scale=scale if name.startswith("W") else 1.0,
        )
        for name, shape in shapes.items()
    }


def step(case: str, B: int, H: int, I: int, *bias: str, scale: float = 1.0) -> Inputs:
    """Inputs of lstm_step."""
    return inputs("lstm_step", case, {"B": B, "H": H, "I": I}, *bias, scale=scale)


def sequence(case: str, T: int, B: int, H: int, I: int, *optional: str) -> Inputs:
    """Inputs of lstm_sequence."""
    return inputs("lstm_sequence", case, {"T": T, "B": B, "H": H, "I": I}, *optional)


def with_lengths(made: Inputs, *lengths: int, padding: float | None = None) -> Inputs:
    """The inputs with these lengths, and `padding` in X beyond them."""
    X = made["X"]
    beyond = np.arange(len(X))[:, None, None] >= np.array(lengths, dtype=np.int64)[None, :, None]
    filler = {} if padding is None else {"X": np.where(beyond, padding, X)}
    return {**made, **filler, "lengths": np.array(lengths, dtype=np.int64)}


def filled(H: int, value: float) -> Array:
    """A bias of one value: 1e4 opens a gate wholly, -1e4 shuts it."""
    return np.full(H, value)


# what people run in half precision: these drafts in float16 and bfloat16, too
HALF = {
    "lstm_step": (
        "plain bias square input-gate forget-gate candidate output-gate cell large-cell "
        "saturation input-tail"
    ),
    "lstm_step.vjp": "plain bias cell-alone saturation",
    "lstm_sequence": "plain bias cube lengths lengths-nan",
}


def drafts() -> list[Draft]:
    """All drafts of the page."""
    return narrowed(
        [
            *steps(),
            *step_vjps(),
            *sequences(),
            *sequence_vjps(),
            *peepholes(),
            *peephole_vjps(),
            *coupled(),
            *counts(),
            *directions(),
            *layers(),
        ],
        HALF,
    )


# worked on paper: x = 1, h = (1/2, 1/4), c = (-1, -1998).
# Unit 1: every gate's sum is 0, so i = f = o = 1/2, and g = tanh(1e4) = 1: c = -1/2 + 1/2 = 0,
# h = 1/2 tanh(0) = 0. Unit 2: i = 1, f = o = 1/2, g = -1: c = -999 - 1 = -1000, h = -1/2.
HAND: Inputs = {
    "x": np.array([[1.0]]),
    "h_prev": np.array([[0.5, 0.25]]),
    "c_prev": np.array([[-1.0, -1998.0]]),
    "W_i": np.array([[2.0, -4.0, 0.0], [0.0, 0.0, 1e4]]),
    "W_f": np.array([[4.0, 0.0, -2.0], [0.0, 8.0, -2.0]]),
    "W_g": np.array([[0.0, 0.0, 1e4], [-2e4, 0.0, 0.0]]),
    "W_o": np.array([[0.0, 4.0, -1.0], [2.0, 0.0, -1.0]]),
}


def ends() -> Inputs:
    """Gates at their ends: i, f, o = (1, 1, 1), (0, 0, 1), (1, 0, 0), (0, 1, 1), (1, 1, 0)."""
    return {
        **step("saturation", 2, 5, 3, "b_g"),
        "b_i": np.array([1e4, -1e4, 1e4, -1e4, 1e4]),
        "b_f": np.array([1e4, -1e4, -1e4, 1e4, 1e4]),
        "b_o": np.array([1e4, 1e4, -1e4, 1e4, -1e4]),
    }


def input_alone() -> Inputs:
    """Gates f = 0 and o = 1, g = tanh(b_g): c = i tanh(b_g) and h = tanh(c)."""
    made = {**step("input-gate", 2, 3, 4, "b_g"), "W_g": np.zeros((3, 7))}
    return {**made, "b_f": filled(3, -1e4), "b_o": filled(3, 1e4)}


def forget_alone() -> Inputs:
    """Gates i = 0 and o = 1: c = f c_prev and h = tanh(c)."""
    made = step("forget-gate", 2, 3, 4)
    return {**made, "b_i": filled(3, -1e4), "b_o": filled(3, 1e4)}


def candidate_alone() -> Inputs:
    """Gates i = 1, f = 0 and o = 1: c = g and h = tanh(g)."""
    made = step("candidate", 2, 3, 4, "b_g")
    return {**made, "b_i": filled(3, 1e4), "b_f": filled(3, -1e4), "b_o": filled(3, 1e4)}


def output_alone() -> Inputs:
    """Gates i = 0 and f = 1: c = c_prev and h = o tanh(c_prev)."""
    made = step("output-gate", 2, 3, 4)
    return {**made, "b_i": filled(3, -1e4), "b_f": filled(3, 1e4)}


def memory(made: Inputs, H: int) -> Inputs:
    """Gates i = 0 and f = 1."""
    return {**made, "b_i": filled(H, -1e4), "b_f": filled(H, 1e4)}


def biases_alone() -> Inputs:
    """No weights: every gate is a function of its own bias."""
    zero = {name: np.zeros((3, 7)) for name in ("W_i", "W_f", "W_g", "W_o")}
    return {**step("cell", 2, 3, 4, *BIASES), **zero}


def large_cell() -> Inputs:
    """Cells from 3 to 400 in size, which tanh squashes and nothing clips."""
    made = step("large-cell", 2, 4, 3, "b_g")
    return {**made, "c_prev": np.array([[3.0, -20.0, 400.0, -90.0], [-8.0, 50.0, -5.0, 12.0]])}


def zero_states() -> Inputs:
    """h_prev = c_prev = 0, as in the first step of a sequence."""
    made = step("zero-state", 2, 3, 4, "b_f")
    return {**made, "h_prev": np.zeros((2, 3)), "c_prev": np.zeros((2, 3))}


def cancelling() -> Inputs:
    """Every unit's sums hold 4000 w - 4000 (w - small): 12 bits are lost, no more."""
    made = step("cancellation", 2, 3, 5)
    for name in ("W_i", "W_f", "W_g", "W_o"):
        made[name][:, 7] = 0.0004 - made[name][:, 6]
    made["x"][:, 3:5] = 4000.0
    return made


def special() -> Inputs:
    """A NaN in x, h_prev or c_prev and an infinity in x, each in a row of its own."""
    made = step("special", 6, 3, 5)
    made["x"][1, 2] = np.nan
    made["x"][2, 0] = np.inf
    made["x"][3, 4] = -np.inf
    made["h_prev"][4, 1] = np.nan
    made["c_prev"][5, 2] = np.nan
    return made


def subnormal(unit: float, large: float) -> Inputs:
    """Subnormal x, h_prev and c_prev, and a W_g so large that g is a normal number."""
    made = step("subnormal", 2, 3, 4)
    scaled = {name: made[name] * unit for name in ("x", "h_prev", "c_prev")}
    return {**made, **scaled, "W_g": made["W_g"] * large}


def subnormal_cell(unit: float) -> Inputs:
    """Every gate open, no weights; g of twice the unit, which is normal, and c of half of it."""
    made = step("subnormal-cell", 2, 3, 4, *BIASES)
    weights = {name: np.zeros((3, 7)) for name in ("W_i", "W_f", "W_g", "W_o")}
    gates = {name: filled(3, 1e4) for name in ("b_i", "b_f", "b_o")}
    b_g = np.array([2.0, 3.0, -2.5]) * unit
    return {**made, **weights, **gates, "b_g": b_g, "c_prev": made["c_prev"] * unit / 2}


def steps() -> list[Draft]:
    """lstm_step."""
    tail = {**step("tail", 2, 4, 3), "c_prev": np.zeros((2, 4))}
    every = (*STEP, *INPUT, *FORGET, *CANDIDATE, *OUTPUT, *CELL, *HIDDEN)

    def draft(name: str, note: str, made: Inputs, *flags: str, clauses: tuple[str, ...]) -> Draft:
        return Draft("lstm_step", name, note, made, flags or ("plain",), clauses=clauses)

    return [
        draft(
            "plain",
            "any two gates swapped, h after x, c returned for h, tanh(c) missing, f = 1 - i: each"
            " gives other numbers here, and no bias comes in between",
            step("plain", 2, 3, 4),
            clauses=every,
        ),
        draft(
            "bias",
            "biases given to each other's gate, as where weights and biases are packed differently",
            step("bias", 4, 3, 2, *BIASES),
            clauses=STEP + BIAS,
        ),
        draft(
            "bias-forget-alone",
            "b_f without the others: packed first in the line of biases it is in the input gate",
            step("bias-forget-alone", 2, 5, 3, "b_f"),
            clauses=BIAS + FORGET,
        ),
        draft(
            "bias-output-alone",
            "b_o without the others: an absent b_f must not become 1 then",
            step("bias-output-alone", 3, 4, 2, "b_o"),
            clauses=BIAS + OUTPUT,
        ),
        draft(
            "square",
            "B = H = I: [x, h] for [h, x], a W whose two halves are swapped or transposed, h and c"
            " swapped: nothing shows in a shape",
            step("square", 3, 3, 3),
            "square",
            clauses=STEP,
        ),
        draft(
            "square-bias",
            "H = I with another B: rows of a packed [W^x | W^h] read as [W^h | W^x]",
            step("square-bias", 2, 4, 4, *BIASES),
            "square",
            clauses=STEP + BIAS,
        ),
        draft(
            "hand",
            "by hand c = (0, -1000) and h = (0, -1/2); with i and f swapped c is (0, -1998.5), a"
            " cell clipped at 50 shows",
            HAND,
            "hand",
            "saturation",
            clauses=STEP,
        ),
        draft(
            "input-gate",
            "f = 0, o = 1 and g = tanh(b_g), so c = i tanh(b_g): a fault here is the input gate's",
            input_alone(),
            "isolated",
            "saturation",
            clauses=INPUT,
        ),
        draft(
            "forget-gate",
            "i = 0 and o = 1, so c = f c_prev: a fault here is the forget gate's, 1 added to its"
            " sum or 1 - f",
            forget_alone(),
            "isolated",
            "saturation",
            clauses=FORGET,
        ),
        draft(
            "candidate",
            "i = o = 1 and f = 0, so c = g: sigmoid for tanh, or 4 σ(a) - 2 as in 1997",
            candidate_alone(),
            "isolated",
            "saturation",
            clauses=CANDIDATE,
        ),
        draft(
            "output-gate",
            "i = 0 and f = 1, so h = o tanh(c_prev): a fault here is the output gate's, or a tanh"
            " that is missing",
            output_alone(),
            "isolated",
            "saturation",
            clauses=OUTPUT + HIDDEN,
        ),
        draft(
            "cell",
            "no weights, so every gate is a function of its own bias: the cell's sum and the output"
            " alone",
            biases_alone(),
            "isolated",
            clauses=CELL + HIDDEN + BIAS,
        ),
        draft(
            "memory",
            "f = 1 and i = 0 exactly: the cell is kept bit for bit; a clamped sigmoid lets a little"
            " of g in, or of c out",
            memory(step("memory", 3, 5, 2, "b_g", "b_o"), 5),
            "isolated",
            "saturation",
            clauses=MEMORY,
        ),
        draft(
            "no-forget",
            "f = 1 exactly, the cell of 1997: c = c_prev + i g; f = 1 - i makes it forget",
            {**step("no-forget", 2, 4, 3, "b_i"), "b_f": filled(4, 1e4)},
            "isolated",
            "saturation",
            clauses=MEMORY + CELL,
        ),
        draft(
            "large-cell",
            "cells from 3 to 400: a clip of the cell, a tanh of exponentials, a tanh on the cell"
            " itself",
            large_cell(),
            "saturation",
            clauses=CELL + HIDDEN,
        ),
        draft(
            "saturation",
            "gates at ±1e4, five triples of ends: 1 / (1 + e^-x) overflows, e^x / (1 + e^x) is NaN",
            ends(),
            "saturation",
            clauses=INPUT + FORGET + OUTPUT,
        ),
        draft(
            "candidate-saturation",
            "pre-activations of ±1e3 and more: a tanh of exponentials is NaN from 400 on",
            {
                **step("candidate-saturation", 3, 4, 2, "b_f"),
                "x": draw("lstm_step candidate-saturation x", 3, 2, scale=1e4),
            },
            "saturation",
            clauses=CANDIDATE,
        ),
        draft(
            "input-tail",
            "c_prev = 0 and i from e^-17 to e^-60: c = i g shows the sigmoid's tail, which is 0 or"
            " a constant where a kernel clamps at ±18",
            {**tail, "b_i": np.array([-17.0, -22.0, -35.0, -60.0])},
            "saturation",
            clauses=INPUT + CELL,
        ),
        draft(
            "output-tail",
            "o from e^-17 to e^-60: h = o tanh(c) shows the tail of the output gate",
            {
                **step("output-tail", 2, 4, 3),
                "b_o": np.array([-60.0, -35.0, -22.0, -17.0]),
            },
            "saturation",
            clauses=OUTPUT + HIDDEN,
        ),
        Draft(
            "lstm_step",
            "subnormal-f32",
            "states and input subnormal in float32 and W_g large: g is a normal number, and 0 where"
            " inputs are flushed",
            subnormal(1e-39, 1e20),
            ("subnormal",),
            clauses=STEP,
            dtypes=("float32",),
        ),
        Draft(
            "lstm_step",
            "subnormal-f64",
            "states and input subnormal in float64 and W_g large: g is a normal number, and 0 where"
            " inputs are flushed",
            subnormal(1e-309, 1e200),
            ("subnormal",),
            clauses=STEP,
            dtypes=("float64",),
        ),
        Draft(
            "lstm_step",
            "subnormal-cell-f32",
            "open gates, a subnormal cell and a candidate above: their sum is a normal number, and"
            " the candidate alone where the cell is flushed",
            subnormal_cell(1e-38),
            ("subnormal", "isolated"),
            clauses=MEMORY + CELL,
            dtypes=("float32",),
        ),
        Draft(
            "lstm_step",
            "subnormal-cell-f64",
            "as subnormal-cell-f32, for float64's subnormals",
            subnormal_cell(2e-308),
            ("subnormal", "isolated"),
            clauses=MEMORY + CELL,
            dtypes=("float64",),
        ),
        draft(
            "signed-zero",
            "-0.0 in x, h_prev, c_prev and a bias is 0: a sigmoid that branches on the sign bit"
            " takes the wrong form",
            {
                **step("signed-zero", 2, 3, 2),
                "x": np.array([[-0.0, 0.5], [0.0, -0.0]]),
                "h_prev": np.array([[-0.0, 0.25, -0.5], [0.75, -0.0, -0.0]]),
                "c_prev": np.array([[0.5, -0.0, -0.25], [-0.0, -0.0, 1.5]]),
                "b_f": np.array([-0.0, 0.5, 0.0]),
            },
            "signed-zero",
            clauses=STEP,
        ),
        draft(
            "cancellation",
            "the sums hold 4000 w - 4000 w': products kept in half precision or TF32 lose every"
            " digit",
            cancelling(),
            "cancellation",
            clauses=STEP,
        ),
        draft(
            "special",
            "a NaN in x or h_prev makes its own row NaN and no other, a NaN in c_prev its own unit;"
            " +inf and -inf in x drive the gates to their ends, and the states stay finite",
            special(),
            "special",
            clauses=STEP,
        ),
        draft(
            "no-batch",
            "B = 0 gives two states (0, H); onnxruntime 1.32 aborts the process",
            step("no-batch", 0, 3, 4, *BIASES),
            "zero-length",
            clauses=STEP,
        ),
        draft(
            "wide",
            "19 units and 14 inputs, no multiple of 4 nor 8: the rest that a vector loop leaves",
            step("wide", 3, 19, 14, *BIASES, scale=0.5),
            clauses=STEP + BIAS,
        ),
    ]


def step_vjps() -> list[Draft]:
    """lstm_step.vjp."""

    def draft(name: str, note: str, made: Inputs, *flags: str, clauses: tuple[str, ...]) -> Draft:
        return Draft("lstm_step.vjp", name, note, made, flags or ("plain",), clauses=clauses)

    return [
        draft(
            "plain",
            "one of the two errors of c forgotten; dc_prev without f; gradients of two gates"
            " swapped; a derivative taken at the pre-activation",
            step("plain", 2, 3, 4),
            clauses=STEP + CELL + HIDDEN,
        ),
        draft(
            "bias",
            "bias gradients averaged over the batch instead of summed, or given to each other's"
            " gate",
            step("bias", 4, 3, 2, *BIASES),
            clauses=STEP + BIAS,
        ),
        draft(
            "cell-alone",
            "dh = 0: the error of c reaches all but the output gate; dc left out gives zeros",
            {**step("cell-alone", 2, 4, 3, "b_o"), "dh": np.zeros((2, 4))},
            "isolated",
            clauses=CELL + MEMORY,
        ),
        draft(
            "hidden-alone",
            "dc = 0: the error of h reaches c through tanh; 1 - tanh(c)² left out or taken at"
            " c_prev",
            {**step("hidden-alone", 2, 4, 3, "b_f"), "dc": np.zeros((2, 4))},
            "isolated",
            clauses=HIDDEN + CELL,
        ),
        draft(
            "input-gate",
            "f = 0, so dW_i is all that the cell's error makes, and dc_prev and dW_f are 0",
            input_alone(),
            "isolated",
            "saturation",
            clauses=INPUT,
        ),
        draft(
            "forget-gate",
            "i = 0: dW_f comes from c_prev alone, and dW_g is 0; c_t in place of c_prev shows",
            forget_alone(),
            "isolated",
            "saturation",
            clauses=FORGET,
        ),
        draft(
            "output-gate",
            "f = 1 and i = 0: dc_prev is the whole error of c, dW_o has tanh(c) and not c",
            output_alone(),
            "isolated",
            "saturation",
            clauses=OUTPUT + MEMORY,
        ),
        draft(
            "saturation",
            "gates at ±1e4: σ(1 - σ) written as e^-x / (1 + e^-x)² is inf / inf",
            ends(),
            "saturation",
            clauses=INPUT + FORGET + OUTPUT,
        ),
        draft(
            "large-cell",
            "cells from 3 to 400: 1 - tanh² is as good as 0 for some, and what comes back is dc f",
            large_cell(),
            "saturation",
            clauses=CELL + HIDDEN,
        ),
        draft(
            "zero-state",
            "h_prev = c_prev = 0: dW_f and db_f are 0 and the gradients of the states are not; a"
            " first step that is skipped shows",
            zero_states(),
            clauses=STEP,
        ),
        draft(
            "no-batch",
            "B = 0: the gradients of weights and biases are zeros of full shape",
            step("no-batch", 0, 3, 4, *BIASES),
            "zero-length",
            clauses=STEP,
        ),
        draft(
            "wide",
            "19 units and 14 inputs: the rows and columns left over from a vector loop",
            step("wide", 3, 19, 14, *BIASES, scale=0.5),
            clauses=STEP + BIAS,
        ),
    ]


# worked on paper: f = 1, i = o = 1/2 and g the sign of x, so that the cell counts in halves from
# c_0 = 999: 999.5, 999, 999, 999.5; tanh(c) = 1 and h = 1/2.
HAND_SEQUENCE: Inputs = {
    "X": np.array([[[1.0]], [[-1.0]], [[0.0]], [[2.0]]]),
    "W_i": np.zeros((1, 2)),
    "W_f": np.zeros((1, 2)),
    "W_g": np.array([[0.0, 1e4]]),
    "W_o": np.zeros((1, 2)),
    "c_0": np.array([[999.0]]),
    "b_f": np.array([1e4]),
}


def special_sequence(operation: str, sizes: Sizes, *optional: str) -> Inputs:
    """A NaN at a time of the second example, an infinity in the third; T = 5, B = 3, I = 2."""
    made = inputs(operation, "special", {**sizes, "T": 5, "B": 3, "I": 2}, *optional)
    made["X"][2, 1, 0] = np.nan
    made["X"][1, 2, 1] = np.inf
    return made


def sequences() -> list[Draft]:
    """lstm_sequence."""

    def draft(name: str, note: str, made: Inputs, *flags: str, clauses: tuple[str, ...]) -> Draft:
        return Draft("lstm_sequence", name, note, made, flags or ("plain",), clauses=clauses)

    return [
        draft(
            "plain",
            "h_0 or c_0 ignored or swapped; a state not handed on; steps in reverse; h_T for c_T",
            sequence("plain", 4, 2, 3, 5, *STATES),
            clauses=SEQUENCE + INITIAL,
        ),
        draft(
            "bias",
            "absent states are 0: not what the last call left; biases in every step",
            sequence("bias", 5, 4, 3, 2, *BIASES),
            clauses=SEQUENCE + INITIAL,
        ),
        draft(
            "cell-state-alone",
            "c_0 without h_0: dropped where both are read only if both are given",
            sequence("cell-state-alone", 4, 3, 5, 2, "c_0"),
            clauses=INITIAL,
        ),
        draft(
            "hidden-state-alone",
            "h_0 without c_0: taken for both states where one array is made into two",
            sequence("hidden-state-alone", 4, 2, 5, 3, "h_0", "b_o"),
            clauses=INITIAL,
        ),
        draft(
            "hand",
            "by hand c_T = 999.5 and every h = 1/2: the cell counts; a clip or a tanh of the cell"
            " loses count",
            HAND_SEQUENCE,
            "hand",
            "saturation",
            clauses=SEQUENCE + MEMORY,
        ),
        draft(
            "cube",
            "T = B = H = I: time and batch swapped have the same shape",
            sequence("cube", 3, 3, 3, 3, *STATES),
            "square",
            clauses=SEQUENCE,
        ),
        draft(
            "lengths",
            "lengths 3, 0, 5, 1: h_T = h[T-1], a length 0 that gives 0 instead of h_0 and c_0, a"
            " cell that runs on in the padding while h is masked",
            with_lengths(sequence("lengths", 5, 4, 3, 2, *STATES, *BIASES), *MIXED),
            "lengths",
            clauses=LENGTHS + INITIAL,
        ),
        draft(
            "lengths-nan",
            "NaN in the padding: a mask that multiplies by 0 lets it into h, h_T and c_T",
            with_lengths(sequence("lengths-nan", 5, 4, 3, 2, *STATES), *MIXED, padding=np.nan),
            "lengths",
            "special",
            clauses=LENGTHS,
        ),
        draft(
            "lengths-all-zero",
            "every length 0: a loop to the longest has no step, h is 0 and the last states are the"
            " first",
            with_lengths(sequence("lengths-all-zero", 4, 2, 3, 5, *STATES, "b_f"), 0, 0),
            "lengths",
            clauses=LENGTHS + INITIAL,
        ),
        draft(
            "one-step",
            "T = 1: the step itself, h[0] = h_T; a squeezed time axis changes the shape",
            sequence("one-step", 1, 2, 3, 4, *STATES),
            clauses=SEQUENCE + INITIAL,
        ),
        draft(
            "no-steps",
            "T = 0: h is empty, h_T is h_0 and c_T is c_0; torch refuses it",
            sequence("no-steps", 0, 2, 3, 4, *STATES),
            "zero-length",
            clauses=SEQUENCE + INITIAL,
        ),
        draft(
            "no-batch",
            "B = 0: h is (T, 0, H), with a lengths of no element, whose maximum does not exist",
            with_lengths(sequence("no-batch", 4, 0, 3, 2)),
            "zero-length",
            "lengths",
            clauses=SEQUENCE + LENGTHS,
        ),
        draft(
            "special",
            "a NaN makes its row NaN from its time on, not before and in no other row; after a +inf"
            " the states are finite",
            special_sequence("lstm_sequence", {"H": 4}, *STATES),
            "special",
            clauses=SEQUENCE,
        ),
        draft(
            "long",
            "T = 1000: a recursion that runs out of stack, errors that add up in the cell",
            sequence("long", 1000, 1, 3, 2, *STATES, *BIASES),
            "long",
            clauses=SEQUENCE,
        ),
        draft(
            "long-memory",
            "f = 1 and i = 0 for 500 steps: c_T is c_0 bit for bit, while h goes on changing",
            memory(sequence("long-memory", 500, 1, 3, 2, *STATES, "b_g", "b_o"), 3),
            "long",
            "saturation",
            clauses=SEQUENCE + MEMORY,
        ),
        draft(
            "long-count",
            "f = i = 1 for 300 steps: the cell adds up what comes, without a bound",
            {
                **sequence("long-count", 300, 1, 3, 2, *STATES),
                "b_i": filled(3, 1e4),
                "b_f": filled(3, 1e4),
                "b_g": filled(3, 0.75),
            },
            "long",
            "saturation",
            clauses=SEQUENCE + CELL,
        ),
        draft(
            "input-tail",
            "f = 1, no c_0 and i about e^-25: all that the cell holds came through the tail of the"
            " input gate, which is 0 where a kernel clamps at ±18",
            {
                **sequence("input-tail", 6, 2, 3, 4, "h_0", "b_g"),
                "b_i": filled(3, -25.0),
                "b_f": filled(3, 1e4),
            },
            "saturation",
            clauses=SEQUENCE + CELL,
        ),
        Draft(
            "lstm_sequence",
            "slow-leak",
            "f about 1 - e^-20 and i about e^-20 for 1000 steps: the cell moves by 2e-6; a sigmoid"
            " that is 1 from 18 on holds it",
            {
                **sequence("slow-leak", 1000, 1, 3, 2, *STATES, "b_g"),
                "b_i": filled(3, -20.0),
                "b_f": filled(3, 20.0),
            },
            ("long", "saturation"),
            clauses=SEQUENCE + MEMORY,
            dtypes=("float64",),
        ),
    ]


def sequence_vjps() -> list[Draft]:
    """lstm_sequence.vjp."""

    def draft(name: str, note: str, made: Inputs, *flags: str, clauses: tuple[str, ...]) -> Draft:
        return Draft("lstm_sequence.vjp", name, note, made, flags or ("plain",), clauses=clauses)

    return [
        draft(
            "plain",
            "no error from time t + 1, of h or of c; gradients of the last step alone, overwritten"
            " and not summed; dW from h_t instead of h_{t-1}; dc_T left out",
            sequence("plain", 4, 2, 3, 5, *STATES),
            clauses=SEQUENCE + INITIAL,
        ),
        draft(
            "bias",
            "no state is given and dh_0 and dc_0 are returned all the same",
            sequence("bias", 5, 4, 3, 2, *BIASES),
            clauses=SEQUENCE + INITIAL,
        ),
        draft(
            "cell-alone",
            "dh = dh_T = 0 and dc_T not: a loss on the last cell reaches every time",
            {
                **sequence("cell-alone", 6, 2, 3, 4, *STATES, "b_f"),
                "dh": np.zeros((6, 2, 3)),
                "dh_T": np.zeros((2, 3)),
            },
            "isolated",
            clauses=SEQUENCE,
        ),
        draft(
            "final-alone",
            "dh = dc_T = 0 and dh_T not: a loss on the last state; backpropagation cut off after a"
            " step, or through the cell alone as in 1997",
            {
                **sequence("final-alone", 6, 2, 3, 4, *STATES, "b_g"),
                "dh": np.zeros((6, 2, 3)),
                "dc_T": np.zeros((2, 3)),
            },
            "isolated",
            clauses=SEQUENCE,
        ),
        draft(
            "lengths",
            "dh in the padding must not count, and dh_T and dc_T enter at each example's own last"
            " step; a length 0 hands them on as they are",
            with_lengths(sequence("lengths", 5, 4, 3, 2, *STATES, *BIASES), *MIXED),
            "lengths",
            clauses=LENGTHS + INITIAL,
        ),
        draft(
            "lengths-nan",
            "NaN in the padding of X: 0 * NaN in dWᵀ = daᵀ [h, x] spoils every weight's gradient;"
            " dX is 0 there",
            with_lengths(sequence("lengths-nan", 5, 4, 3, 2, "b_o"), *MIXED, padding=np.nan),
            "lengths",
            "special",
            clauses=LENGTHS + INITIAL,
        ),
        draft(
            "lengths-infinite",
            "infinities in the padding of X, other lengths: inf * 0 is NaN in dW as well",
            with_lengths(
                sequence("lengths-infinite", 5, 3, 4, 2, *STATES), 4, 5, 2, padding=np.inf
            ),
            "lengths",
            "special",
            clauses=LENGTHS,
        ),
        draft(
            "lengths-all-zero",
            "every length 0: dh has no effect at all, dh_0 is dh_T and dc_0 is dc_T",
            with_lengths(sequence("lengths-all-zero", 4, 2, 3, 5, *STATES, "b_f"), 0, 0),
            "lengths",
            clauses=LENGTHS + INITIAL,
        ),
        draft(
            "no-steps",
            "T = 0: dh_0 = dh_T, dc_0 = dc_T, zeros of full shape for the weights",
            sequence("no-steps", 0, 2, 3, 4, "b_i"),
            "zero-length",
            clauses=SEQUENCE + INITIAL,
        ),
        draft(
            "no-batch",
            "B = 0: zeros of full shape for weights and biases",
            sequence("no-batch", 4, 0, 3, 2, "b_f"),
            "zero-length",
            clauses=SEQUENCE,
        ),
        draft(
            "memory",
            "f = 1 and i = 0 for 7 steps: the error of the cell comes back as it went in, and dc_0"
            " is dc_T and what each h adds",
            memory(sequence("memory", 7, 2, 3, 4, *STATES, "b_o"), 3),
            "saturation",
            clauses=SEQUENCE + MEMORY,
        ),
        draft(
            "long",
            "T = 1000: backpropagation cut off after a few hundred steps, a sum of 1000 gradients"
            " that loses digits",
            sequence("long", 1000, 1, 3, 2, *STATES, *BIASES),
            "long",
            clauses=SEQUENCE,
        ),
    ]


def peephole_step(case: str, B: int, H: int, I: int, *bias: str) -> Inputs:
    """Inputs of lstm_peephole_step."""
    return inputs("lstm_peephole_step", case, {"B": B, "H": H, "I": I}, *bias)


def peephole_sequence(case: str, T: int, B: int, H: int, I: int, *optional: str) -> Inputs:
    """Inputs of lstm_peephole_sequence."""
    return inputs("lstm_peephole_sequence", case, {"T": T, "B": B, "H": H, "I": I}, *optional)


def isolated_peephole(gate: str) -> Inputs:
    """No weights and one peephole: of the three, that of `gate` alone is not 0."""
    made = peephole_step(f"peephole-{gate}", 2, 4, 3, *BIASES)
    zero = {name: np.zeros((4, 7)) for name in ("W_i", "W_f", "W_g", "W_o")}
    shut = {f"p_{other}": np.zeros(4) for other in "ifo" if other != gate}
    return {**made, **zero, **shut, "c_prev": 2 * made["c_prev"]}


# worked on paper: no weights, c = 4. p_i = 1/4 and b_i = -1: i = σ(0) = 1/2; p_f = 1/2 and b_f =
# -2: f = 1/2; b_g = 1e4: g = 1. c = 2 + 1/2 = 5/2. p_o = 4000 and b_o = -10000: o = σ(0) = 1/2 at
# the new cell, and σ(6000) = 1 at the old one. The second unit has the same with p_o = -4000 and
# b_o = 12000: σ(2000) = 1 at the new cell, σ(-4000) = 0 at the old.
HAND_PEEPHOLE: Inputs = {
    "x": np.array([[1.0]]),
    "h_prev": np.array([[0.5, 0.25]]),
    "c_prev": np.array([[4.0, 4.0]]),
    **{name: np.zeros((2, 3)) for name in ("W_i", "W_f", "W_g", "W_o")},
    "p_i": np.array([0.25, 0.25]),
    "p_f": np.array([0.5, 0.5]),
    "p_o": np.array([4000.0, -4000.0]),
    "b_i": np.array([-1.0, -1.0]),
    "b_f": np.array([-2.0, -2.0]),
    "b_g": np.array([1e4, 1e4]),
    "b_o": np.array([-1e4, 12e3]),
}


def peepholes() -> list[Draft]:
    """lstm_peephole_step and lstm_peephole_sequence."""
    op, over = "lstm_peephole_step", "lstm_peephole_sequence"
    nan_row = peephole_step("special", 4, 3, 5, "b_o")
    nan_row["x"][1, 2] = np.nan
    nan_row["c_prev"][2, 1] = np.nan
    nan_row["x"][3, 0] = np.inf
    return [
        Draft(
            op,
            "plain",
            "peepholes left out; p_o at c_{t-1}; p in the order i, o, f of ONNX read as i, f, o",
            peephole_step("plain", 2, 3, 4),
            ("variant",),
        ),
        Draft(
            op,
            "bias",
            "two gates swapped, with or without their peepholes, and biases in another order",
            peephole_step("bias", 4, 3, 2, *BIASES),
            ("variant",),
        ),
        Draft(
            op,
            "square",
            "B = H = I: a peephole taken as a matrix product or down the batch, c_prev of the wrong"
            " example",
            peephole_step("square", 3, 3, 3),
            ("variant", "square"),
        ),
        Draft(
            op,
            "hand",
            "by hand c = (5/2, 5/2) and o = (1/2, 1) at the new cell; (1, 0) at the old",
            HAND_PEEPHOLE,
            ("variant", "hand", "saturation"),
        ),
        Draft(
            op,
            "peephole-i",
            "p_i alone: it is in the input gate, and sees the old cell",
            isolated_peephole("i"),
            ("variant", "isolated"),
        ),
        Draft(
            op,
            "peephole-f",
            "p_f alone: it is in the forget gate, and sees the old cell",
            isolated_peephole("f"),
            ("variant", "isolated"),
        ),
        Draft(
            op,
            "peephole-o",
            "p_o alone: it sees the new cell, not the old, nor tanh(c)",
            isolated_peephole("o"),
            ("variant", "isolated"),
        ),
        Draft(
            op,
            "saturation",
            "cells of ±1e4 through the peepholes: the gates are at their ends, and stay so",
            {
                **peephole_step("saturation", 3, 4, 2, "b_f"),
                "c_prev": draw("lstm_peephole_step saturation c_prev", 3, 4, scale=1e4),
            },
            ("variant", "saturation"),
        ),
        Draft(
            op,
            "special",
            "a NaN in x makes its row NaN, one in c_prev its own unit: a peephole is no matrix",
            nan_row,
            ("variant", "special"),
        ),
        Draft(
            over,
            "plain",
            "c_0 ignored, so that the first step's peepholes see 0; peepholes in the first step"
            " alone",
            peephole_sequence("plain", 4, 2, 3, 5, *STATES, *BIASES),
            ("variant",),
        ),
        Draft(
            over,
            "cell-state-alone",
            "c_0 without h_0 and without biases: read by the peepholes from the first step on",
            peephole_sequence("cell-state-alone", 5, 3, 4, 2, "c_0"),
            ("variant",),
        ),
        Draft(
            over,
            "hidden-state-alone",
            "h_0 without c_0: the first step's peepholes see 0, not h_0",
            peephole_sequence("hidden-state-alone", 4, 2, 5, 3, "h_0", "b_f"),
            ("variant",),
        ),
        Draft(
            over,
            "lengths",
            "lengths 2, 5, 0, 4: the last states are those of each example's own last step",
            with_lengths(peephole_sequence("lengths", 5, 4, 3, 2, *STATES), 2, 5, 0, 4),
            ("variant", "lengths"),
        ),
        Draft(
            over,
            "lengths-nan",
            "lengths 3, 0, 5, 1 with NaN in the padding: a mask that multiplies, a length 0 that"
            " gives 0",
            with_lengths(
                peephole_sequence("lengths-nan", 5, 4, 3, 2, *STATES, *BIASES),
                *MIXED,
                padding=np.nan,
            ),
            ("variant", "lengths", "special"),
        ),
        Draft(
            over,
            "no-steps",
            "T = 0: h is empty, the last states are the first",
            peephole_sequence("no-steps", 0, 2, 3, 4, *STATES),
            ("variant", "zero-length"),
        ),
        Draft(
            over,
            "no-batch",
            "B = 0: h is (T, 0, H), the last states are (0, H)",
            peephole_sequence("no-batch", 4, 0, 3, 2, "b_o"),
            ("variant", "zero-length"),
        ),
        Draft(
            over,
            "long",
            "T = 500 without initial states: errors that add up",
            peephole_sequence("long", 500, 1, 3, 2, *BIASES),
            ("variant", "long"),
        ),
    ]


def peephole_vjps() -> list[Draft]:
    """lstm_peephole_step.vjp and lstm_peephole_sequence.vjp."""
    op, over = "lstm_peephole_step.vjp", "lstm_peephole_sequence.vjp"
    return [
        Draft(
            op,
            "plain",
            "no error back through the peepholes, as in the paper of 2002; dp_o from c_{t-1}",
            peephole_step("plain", 2, 3, 4),
            ("variant",),
        ),
        Draft(
            op,
            "bias",
            "dp averaged over the batch instead of summed, or not summed; dp_i and dp_f swapped",
            peephole_step("bias", 4, 3, 2, *BIASES),
            ("variant",),
        ),
        Draft(
            op,
            "peephole-o",
            "p_o alone: da_o p_o belongs into the error of the cell before the other gates have it",
            isolated_peephole("o"),
            ("variant", "isolated"),
        ),
        Draft(
            op,
            "cell-alone",
            "dh = 0: dp_o is 0, and dc_prev has the two peepholes of the old cell",
            {**peephole_step("cell-alone", 2, 4, 3), "dh": np.zeros((2, 4))},
            ("variant", "isolated"),
        ),
        Draft(
            over,
            "plain",
            "no error of c from time t + 1; dp overwritten and not summed over time",
            peephole_sequence("plain", 4, 2, 3, 5, *STATES, *BIASES),
            ("variant",),
        ),
        Draft(
            over,
            "final-alone",
            "dh = 0, T = 9: a loss on the last states reaches every time, by the peepholes too",
            {**peephole_sequence("final-alone", 9, 2, 3, 4, *STATES), "dh": np.zeros((9, 2, 3))},
            ("variant", "isolated"),
        ),
        Draft(
            over,
            "lengths-infinite",
            "infinities in the padding of X, lengths 2, 5, 0, 4; dh beyond them has no effect",
            with_lengths(
                peephole_sequence("lengths-infinite", 5, 4, 3, 2, *STATES),
                2,
                5,
                0,
                4,
                padding=np.inf,
            ),
            ("variant", "lengths", "special"),
        ),
        Draft(
            over,
            "lengths-nan",
            "NaN in the padding of X spoils no gradient, dh_T and dc_T enter at each example's last"
            " step, dc_0 comes back though c_0 is not given",
            with_lengths(
                peephole_sequence("lengths-nan", 5, 4, 3, 2, *BIASES), *MIXED, padding=np.nan
            ),
            ("variant", "lengths", "special"),
        ),
        Draft(
            over,
            "no-steps",
            "T = 0: dh_0 = dh_T, dc_0 = dc_T, zeros of full shape for weights and peepholes",
            peephole_sequence("no-steps", 0, 2, 3, 4),
            ("variant", "zero-length"),
        ),
    ]


def coupled() -> list[Draft]:
    """lstm_coupled_step and its VJP."""
    op = "lstm_coupled_step"

    def made(case: str, B: int, H: int, I: int, *bias: str) -> Inputs:
        return inputs(op, case, {"B": B, "H": H, "I": I}, *bias)

    hold = {**made("hold", 3, 5, 2, "b_g"), "b_i": filled(5, -1e4)}
    return [
        Draft(
            op,
            "plain",
            "i on the old state; tanh on the output; two independent gates",
            made("plain", 2, 3, 4),
        ),
        Draft(
            op,
            "bias",
            "b_i and b_g swapped",
            made("bias", 4, 3, 2, "b_i", "b_g"),
        ),
        Draft(
            op,
            "square",
            "B = H = I: [x, h] for [h, x]",
            made("square", 3, 3, 3, "b_i"),
            ("square",),
        ),
        Draft(
            op,
            "hold",
            "i = 0: the state is held bit for bit",
            hold,
            ("isolated", "saturation"),
        ),
        Draft(
            f"{op}.vjp",
            "plain",
            "the error of i without -h_prev, as where the two gates are independent",
            made("plain", 2, 3, 4),
        ),
        Draft(
            f"{op}.vjp",
            "bias",
            "bias gradients swapped or averaged",
            made("bias", 4, 3, 2, "b_i", "b_g"),
        ),
        Draft(
            f"{op}.vjp",
            "hold",
            "i = 0: dh_prev is dh, the gradients of the weights are 0",
            hold,
            ("isolated", "saturation"),
        ),
    ]


def counts() -> list[Draft]:
    """recurrent_macs."""

    def draft(name: str, note: str, H: int, I: int, *flags: str) -> Draft:
        sizes = {"H": np.array(H), "I": np.array(I)}
        return Draft("recurrent_macs", name, note, sizes, flags or ("plain",))

    return [
        draft("plain", "H and I swapped, biases counted, additions counted too", 5, 3),
        draft("square", "H = I: 2 H² for each gate", 4, 4, "square"),
        draft("hand", "by hand 1 · (1 + 2) = 3, 9 and 12", 1, 2, "hand"),
        draft("no-input", "I = 0: H² for each gate, of the recurrent weights alone", 7, 0),
        Draft(
            "recurrent_macs",
            "one-product-large",
            "one product is more than 2^31 already, and the LSTM's four more than 2^33",
            {"H": np.array(30000), "I": np.array(60000)},
            dtypes=("float64",),
        ),
        Draft(
            "recurrent_macs",
            "large",
            "more than 2^31: a count in 32 bits overflows",
            {"H": np.array(65536), "I": np.array(1000)},
            dtypes=("float64",),
        ),
    ]


FAMILIES = ("rnn", "gru", "lstm")
SMALL: Sizes = {"T": 4, "B": 2, "H": 3, "I": 5, "K": 6}
RAGGED: Sizes = {"T": 5, "B": 4, "H": 3, "I": 2, "K": 6}
CUBE: Sizes = {"T": 3, "B": 3, "H": 3, "I": 3, "K": 3}


def optional_of(operation: str, kind: str = "") -> list[str]:
    """The optional inputs but lengths: all, or the `states`, or the `biases` alone."""
    declared = spec().operations[operation]
    return [
        name
        for name in declared.optional
        if name != "lengths" and (not kind or (name in declared.states) == (kind == "states"))
    ]


def open_gates(family: str, suffix: str, through: float, back: float) -> Inputs:
    """A unit of one number that is, or for the LSTM adds up, the sign of through x + back s."""
    if family == "rnn":
        return {f"U_{suffix}": np.array([[through]]), f"W_{suffix}": np.array([[back]])}
    zero, row = np.zeros((1, 2)), np.array([[back, through]])
    if family == "gru":
        matrices = {f"W_z_{suffix}": zero, f"W_r_{suffix}": zero, f"W_{suffix}": row}
        return {**matrices, f"b_z_{suffix}": filled(1, 1e4), f"b_r_{suffix}": filled(1, 1e4)}
    matrices = {f"W_i_{suffix}": zero, f"W_f_{suffix}": zero, f"W_g_{suffix}": row}
    gates = {f"b_{gate}_{suffix}": filled(1, 1e4) for gate in "ifo"}
    return {**matrices, f"W_o_{suffix}": zero, **gates}


def both(operation: str, lengths_note: str) -> list[Draft]:
    """What directions and layers have in common."""
    everything = optional_of(operation)
    ragged = inputs(operation, "lengths-nan", RAGGED, *everything)
    uneven = inputs(operation, "lengths", RAGGED, *optional_of(operation, "states"))
    uneven = with_lengths(uneven, 2, 5, 0, 4)
    return [
        Draft(
            operation,
            "no-states",
            "absent states and biases are 0, in both, not those of the other",
            inputs(operation, "no-states", RAGGED),
            ("variant",),
        ),
        Draft(
            operation,
            "lengths-nan",
            lengths_note,
            with_lengths(ragged, *MIXED, padding=np.nan),
            ("variant", "lengths", "special"),
        ),
        Draft(
            operation,
            "lengths",
            "lengths 2, 5, 0, 4 and finite padding, which a wrong order of time does read",
            uneven,
            ("variant", "lengths"),
        ),
        Draft(
            operation,
            "no-steps",
            "T = 0: no output, the last states are the first of the same direction or layer",
            inputs(operation, "no-steps", {**SMALL, "T": 0}, *optional_of(operation, "states")),
            ("variant", "zero-length"),
        ),
        Draft(
            operation,
            "no-batch",
            "B = 0, with a lengths of no element",
            with_lengths(inputs(operation, "no-batch", {**SMALL, "B": 0})),
            ("variant", "zero-length", "lengths"),
        ),
        Draft(
            f"{operation}.vjp",
            "no-states",
            "the gradients of the initial states come back though none is given",
            inputs(operation, "no-states", RAGGED),
            ("variant",),
        ),
        Draft(
            f"{operation}.vjp",
            "lengths-nan",
            "NaN in the padding spoils no gradient, dX is 0 there; the last states' cotangents"
            " enter at each example's own end",
            with_lengths(ragged, *MIXED, padding=np.nan),
            ("variant", "lengths", "special"),
        ),
        Draft(
            f"{operation}.vjp",
            "lengths",
            "lengths 2, 5, 0, 4: cotangents in the padding have no effect in either",
            uneven,
            ("variant", "lengths"),
        ),
        Draft(
            f"{operation}.vjp",
            "no-steps",
            "T = 0: cotangents of the last states come back as gradients of the first",
            inputs(operation, "no-steps", {**SMALL, "T": 0}, *optional_of(operation, "biases")),
            ("variant", "zero-length"),
        ),
    ]


def directions() -> list[Draft]:
    """rnn_bidirectional, gru_bidirectional, lstm_bidirectional and their VJPs."""
    found: list[Draft] = []
    for family in FAMILIES:
        op = f"{family}_bidirectional"
        everything = optional_of(op)
        # worked on paper: with back > through the first sign that a direction reads stays, 1
        # forwards and -1 backwards (the LSTM's cell counts it: 3 and -3)
        sticky = {
            "X": np.array([[[1.0]], [[-1.0]], [[-1.0]]]),
            **open_gates(family, "fwd", 1e4, 2e4),
            **open_gates(family, "bwd", 1e4, 2e4),
        }
        found += [
            Draft(
                op,
                "plain",
                "backward states not put back into the order of time; [backward, forward]; the two"
                " directions' weights swapped; the backward last state taken at time T",
                inputs(op, "plain", SMALL, *everything),
                ("variant",),
            ),
            Draft(
                op,
                "cube",
                "T = B = H = I: batch or features reversed instead of time",
                inputs(op, "cube", CUBE, *optional_of(op, "states")),
                ("variant", "square"),
            ),
            Draft(
                op,
                "hand",
                "by hand: each direction keeps the first sign it reads, 1 forwards, -1 backwards;"
                " two forward directions agree",
                sticky,
                ("variant", "hand", "saturation"),
            ),
            Draft(
                op,
                "special",
                "a NaN goes forwards to later times in the first half and to earlier ones in the"
                " second, in its row alone",
                special_sequence(op, {"H": 4}, *optional_of(op, "states")),
                ("variant", "special"),
            ),
            *both(
                op,
                "lengths 3, 0, 5, 1 with NaN in the padding: the backward direction begins at the"
                " last valid step; reversing all T steps reads the padding first",
            ),
            Draft(
                f"{op}.vjp",
                "plain",
                "the two dX not added, or the backward one not put back into the order of time;"
                " halves of the cotangent swapped",
                inputs(op, "plain", SMALL, *everything),
                ("variant",),
            ),
        ]
    found.append(
        Draft(
            "rnn_bidirectional",
            "sigmoid",
            "σ in one direction and tanh in the other",
            inputs("rnn_bidirectional", "sigmoid", RAGGED, *optional_of("rnn_bidirectional")),
            ("variant",),
            attributes={"activation": "sigmoid"},
        )
    )
    return found


def layers() -> list[Draft]:
    """rnn_stacked, gru_stacked, lstm_stacked and their VJPs."""
    found: list[Draft] = []
    for family in FAMILIES:
        op = f"{family}_stacked"
        everything = optional_of(op)
        # worked on paper: the first layer keeps the first sign, 1; the second turns it round
        turned = {
            "X": np.array([[[1.0]], [[-1.0]], [[-1.0]]]),
            **open_gates(family, "1", 1e4, 2e4),
            **open_gates(family, "2", -1e4, 0.0),
        }
        found += [
            Draft(
                op,
                "plain",
                "the first layer's states returned; the second layer fed with its last state, or"
                " with x; states of the two layers swapped",
                inputs(op, "plain", SMALL, *everything),
                ("variant",),
            ),
            Draft(
                op,
                "cube",
                "T = B = I = H = K: layers in the wrong order, a skip connection from x",
                inputs(op, "cube", CUBE, *optional_of(op, "states")),
                ("variant", "square"),
            ),
            Draft(
                op,
                "hand",
                "by hand: the first layer keeps the first sign, 1, and the second has -1 (the LSTM"
                " adds them up); the same weights twice give 1",
                turned,
                ("variant", "hand", "saturation"),
            ),
            Draft(
                op,
                "special",
                "a NaN goes through both layers in its row from its time on, and no further",
                special_sequence(op, {"H": 4, "K": 6}, *optional_of(op, "states")),
                ("variant", "special"),
            ),
            *both(
                op,
                "lengths 3, 0, 5, 1 with NaN in the padding: the second layer has the same lengths;"
                " without them its last states run on over zeros",
            ),
            Draft(
                f"{op}.vjp",
                "plain",
                "no error from the second layer down to the first, or the first layer's own last"
                " state's left out",
                inputs(op, "plain", SMALL, *everything),
                ("variant",),
            ),
        ]
    found.append(
        Draft(
            "rnn_stacked",
            "sigmoid",
            "σ in the first layer and tanh in the second",
            inputs("rnn_stacked", "sigmoid", RAGGED, *optional_of("rnn_stacked")),
            ("variant",),
            attributes={"activation": "sigmoid"},
        )
    )
    return found
