"""Inputs for spec/gru.md: which GRU a backend has built, told by numbers."""

from typing import Any

import numpy as np

from nnspec.conformance.cases.draft import Draft, draw, narrowed
from nnspec.reference.array import Array

Inputs = dict[str, Any]

STEP = ("gru.step",)
UPDATE = ("gru.update_gate",)
RESET = ("gru.reset_gate",)
CANDIDATE = ("gru.candidate",)
STATE = ("gru.state",)
BIAS = ("gru.bias",)
SEQUENCE = ("gru.sequence",)
INITIAL = ("gru.initial_state",)
LENGTHS = ("gru.lengths",)


def weights(key: str, H: int, I: int, scale: float = 1.0) -> Inputs:
    """W_z, W_r and W, drawn."""
    return {name: draw(f"{key} {name}", H, H + I, scale=scale) for name in ("W_z", "W_r", "W")}


def biases(key: str, H: int, *names: str) -> Inputs:
    """The named biases, drawn."""
    return {name: draw(f"{key} {name}", H) for name in names}


def step(key: str, B: int, H: int, I: int, *bias: str, scale: float = 1.0) -> Inputs:
    """Every required input of a step, and the named biases."""
    return {
        "x": draw(f"{key} x", B, I),
        "h_prev": draw(f"{key} h_prev", B, H),
        **weights(key, H, I, scale),
        **biases(key, H, *bias),
    }


def sequence(key: str, T: int, B: int, H: int, I: int, *optional: str) -> Inputs:
    """Every required input of a sequence, and the named optional ones."""
    state = {"h_0": draw(f"{key} h_0", B, H)} if "h_0" in optional else {}
    bias = [name for name in optional if name != "h_0"]
    return {
        "X": draw(f"{key} X", T, B, I),
        **weights(key, H, I),
        **state,
        **biases(key, H, *bias),
    }


def padded(X: Array, lengths: tuple[int, ...], value: float) -> Array:
    """X with `value` beyond each example's length."""
    beyond = np.arange(X.shape[0])[:, None, None] >= np.array(lengths)[None, :, None]
    return np.where(beyond, value, X)


def filled(H: int, value: float) -> Array:
    """A bias of one value: 1e4 opens a gate wholly, -1e4 shuts it."""
    return np.full(H, value)


# what people run in half precision: these drafts in float16 and bfloat16, too
HALF = {
    "gru_step": "plain bias square update-gate reset-gate candidate state saturation tail",
    "gru_step.vjp": "plain bias saturation",
    "gru_sequence": "plain bias cube lengths lengths-nan",
    "gru_reset_after_step": "plain bias square",
    "gru_reset_after_sequence": "plain lengths-nan",
}


def drafts() -> list[Draft]:
    """All drafts of the page."""
    return narrowed(
        [
            *steps(),
            *step_vjps(),
            *sequences(),
            *sequence_vjps(),
            *variants(),
            *variant_vjps(),
        ],
        HALF,
    )


# worked on paper: x = 1, h = (1/2, 1/4). z = (1/2, 1) and r = (1/2, 0), so r * h = (1/4, 0).
# Unit 1: 4 / 4 - 1 = 0, h~ = tanh(0) = 0, h = 1/2 * 1/2 + 0 = 1/4; with r after the product it
# were tanh(1/2 (2 + 25) - 1), about 1. Unit 2: -4e4 / 4 = -1e4, h~ = -1, h = 0 + 1 * -1 = -1.
HAND: Inputs = {
    "x": np.array([[1.0]]),
    "h_prev": np.array([[0.5, 0.25]]),
    "W_z": np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1e4]]),
    "W_r": np.array([[0.0, 0.0, 0.0], [0.0, 0.0, -1e4]]),
    "W": np.array([[4.0, 100.0, -1.0], [-4e4, 7.0, 0.0]]),
}

# every gate at its end, both ends in each of them: r, z = (1, 1), (0, 0), (0, 1), (1, 0)
ENDS: Inputs = {
    **step("gru_step saturation", 2, 4, 3),
    "b_z": np.array([1e4, -1e4, 1e4, -1e4]),
    "b_r": np.array([1e4, -1e4, -1e4, 1e4]),
    "b": draw("gru_step saturation b", 4),
}


def update_alone(key: str) -> Inputs:
    """W = 0 and no b: h~ = 0 and h = (1 - z) h_prev."""
    return {**step(key, 2, 3, 4), "W": np.zeros((3, 7))}


def reset_alone(key: str) -> Inputs:
    """Gate z = 1 and W = [diagonal | 0]: h_k = tanh(w_k r_k h_k), before and after the same."""
    W = np.concatenate([np.diag([0.75, -1.25, 0.5]), np.zeros((3, 4))], axis=1)
    return {**step(key, 2, 3, 4), "W": W, "b_z": filled(3, 1e4)}


def candidate_alone(key: str) -> Inputs:
    """Gates z = r = 1: h = tanh([h_prev, x] Wᵀ + b)."""
    return {**step(key, 2, 3, 4, "b"), "b_z": filled(3, 1e4), "b_r": filled(3, 1e4)}


def state_alone(key: str) -> Inputs:
    """No weights: z = σ(b_z) and h~ = tanh(b), h lies between h_prev and h~."""
    zero = {name: np.zeros((3, 7)) for name in ("W_z", "W_r", "W")}
    return {**step(key, 2, 3, 4, "b_z", "b_r", "b"), **zero}


def steps() -> list[Draft]:
    """gru_step."""
    plain = step("gru_step plain", 2, 3, 4)
    square = step("gru_step square", 2, 3, 3)
    special = step("gru_step special", 6, 3, 5)
    special["x"][1, 2] = np.nan
    special["x"][2, 0] = np.inf
    special["x"][3, 4] = -np.inf
    special["h_prev"][4, 1] = np.nan
    tail = step("gru_step tail", 2, 4, 3)
    tiny = step("gru_step subnormal", 2, 3, 4)

    def subnormal(unit: float, large: float) -> Inputs:
        # a large W, so that the result is normal though the inputs are not; r = 1, since a
        # subnormal r * h_prev has lost digits by itself
        scaled = {"x": tiny["x"] * unit, "h_prev": tiny["h_prev"] * unit, "W": tiny["W"] * large}
        return {**tiny, **scaled, "b_r": filled(3, 1e4)}

    cancelling = step("gru_step cancellation", 2, 3, 5)
    # every unit's sum holds 4000 w - 4000 (w - small): 12 bits are lost, no more
    for name in ("W_z", "W_r", "W"):
        cancelling[name][:, 7] = 0.0004 - cancelling[name][:, 6]
    cancelling["x"][:, 3:5] = 4000.0
    return [
        Draft(
            "gru_step",
            "plain",
            "z for 1 - z, r for z, h after x, r after the product, z from r * h, x scaled by r too:"
            " each gives other numbers here, and no bias comes in between",
            plain,
            clauses=(*STEP, *UPDATE, *RESET, *CANDIDATE, *STATE),
        ),
        Draft(
            "gru_step",
            "bias",
            "biases given to each other's gate, or left out; only W_z negated and not b_z, where"
            " z stands for 1 - z",
            step("gru_step bias", 4, 3, 2, "b_z", "b_r", "b"),
            clauses=STEP + BIAS,
        ),
        Draft(
            "gru_step",
            "bias-update-alone",
            "b_z = 2 without the other two: a converter that negates the rows of W_z and not b_z"
            " gives z at -2, and an absent b_r read as b_z shifts r",
            {**step("gru_step bias-update-alone", 2, 5, 3), "b_z": filled(5, 2.0)},
            clauses=BIAS + UPDATE,
        ),
        Draft(
            "gru_step",
            "bias-candidate-alone",
            "b without b_z and b_r: packed first in the line of biases it ends up in a gate",
            step("gru_step bias-candidate-alone", 3, 4, 2, "b"),
            clauses=BIAS + CANDIDATE,
        ),
        Draft(
            "gru_step",
            "square",
            "H = I: [x, h] for [h, x] has the same shape, and so has a W whose two halves are"
            " swapped",
            square,
            ("square",),
            clauses=STEP,
        ),
        Draft(
            "gru_step",
            "hand",
            "by hand h = (1/4, -1): r after the product gives 3/4 for the first unit, z for 1 - z"
            " gives 1/4 for the second",
            HAND,
            ("hand", "saturation"),
            clauses=STEP,
        ),
        Draft(
            "gru_step",
            "update-gate",
            "W = 0, so h = (1 - z) h_prev: a fault here is the update gate's, its rows, its order"
            " or its sign",
            update_alone("gru_step update-gate"),
            ("isolated",),
            clauses=UPDATE,
        ),
        Draft(
            "gru_step",
            "reset-gate",
            "z = 1 and a diagonal W, which reset before and after agree on: a fault here is the"
            " reset gate's own",
            reset_alone("gru_step reset-gate"),
            ("isolated", "saturation"),
            clauses=RESET,
        ),
        Draft(
            "gru_step",
            "candidate",
            "z = r = 1, so h = tanh([h, x] W + b): a fault here is the candidate's, sigmoid for"
            " tanh or another order",
            candidate_alone("gru_step candidate"),
            ("isolated", "saturation"),
            clauses=CANDIDATE,
        ),
        Draft(
            "gru_step",
            "state",
            "no weights, z = σ(b_z) and h~ = tanh(b): a fault here is the interpolation's, z on"
            " the old state or 1 - z missing",
            state_alone("gru_step state"),
            ("isolated",),
            clauses=STATE,
        ),
        Draft(
            "gru_step",
            "reset-closed",
            "r = 0 exactly: the candidate forgets the state and nothing else; a reset that scales"
            " x or b as well gives tanh(0)",
            {**step("gru_step reset-closed", 2, 3, 5, "b_z", "b"), "b_r": filled(3, -1e4)},
            ("isolated", "saturation"),
            clauses=RESET + CANDIDATE,
        ),
        Draft(
            "gru_step",
            "hold",
            "z = 0 exactly: the state is held bit for bit; e^x / (1 + e^x) or a clamped sigmoid"
            " lets a little through",
            {**step("gru_step hold", 3, 5, 2, "b_r", "b"), "b_z": filled(5, -1e4)},
            ("isolated", "saturation"),
            clauses=STATE + UPDATE,
        ),
        Draft(
            "gru_step",
            "saturation",
            "gates at ±1e4, all four pairs of ends: 1 / (1 + e^-x) overflows, e^x / (1 + e^x) is"
            " NaN",
            ENDS,
            ("saturation",),
            clauses=UPDATE + RESET + STATE,
        ),
        Draft(
            "gru_step",
            "candidate-saturation",
            "pre-activations of ±1e3 and more: a tanh of exponentials is NaN from 400 on",
            {
                **step("gru_step candidate-saturation", 3, 4, 2, "b_z"),
                "x": draw("gru_step candidate-saturation x", 3, 2, scale=1e4),
            },
            ("saturation",),
            clauses=CANDIDATE,
        ),
        Draft(
            "gru_step",
            "tail",
            "h_prev = 0 and z from e^-17 to e^-60: h = z h~ shows the sigmoid's tail, which is 0"
            " or a constant where a kernel clamps at ±18",
            {**tail, "h_prev": np.zeros((2, 4)), "b_z": np.array([-17.0, -22.0, -35.0, -60.0])},
            ("saturation",),
            clauses=UPDATE + STATE,
        ),
        Draft(
            "gru_step",
            "subnormal-f32",
            "x and h_prev subnormal in float32 and W large: the result is a normal number, and 0"
            " where inputs are flushed",
            subnormal(1e-39, 1e20),
            ("subnormal",),
            clauses=STEP,
            dtypes=("float32",),
        ),
        Draft(
            "gru_step",
            "subnormal-f64",
            "x and h_prev subnormal in float64 and W large: the result is a normal number, and 0"
            " where inputs are flushed",
            subnormal(1e-309, 1e200),
            ("subnormal",),
            clauses=STEP,
            dtypes=("float64",),
        ),
        Draft(
            "gru_step",
            "signed-zero",
            "-0.0 in x, h_prev, a weight and a bias is 0: a sigmoid that branches on the sign bit"
            " takes the wrong form",
            {
                "x": np.array([[-0.0, 0.5], [0.0, -0.0]]),
                "h_prev": np.array([[-0.0, 0.25, -0.5], [0.75, -0.0, -0.0]]),
                **weights("gru_step signed-zero", 3, 2),
                "b_z": np.array([-0.0, 0.5, 0.0]),
            },
            ("signed-zero",),
            clauses=STEP,
        ),
        Draft(
            "gru_step",
            "cancellation",
            "the sums hold 4000 w - 4000 w': products kept in half precision or TF32 lose every"
            " digit",
            cancelling,
            ("cancellation",),
            clauses=STEP,
        ),
        Draft(
            "gru_step",
            "special",
            "a NaN in x, or in one unit of the state, makes its own row NaN and no other; +inf and"
            " -inf in x drive gates and candidate to their ends, and the state stays finite",
            special,
            ("special",),
            clauses=STEP,
        ),
        Draft(
            "gru_step",
            "no-batch",
            "B = 0 gives (0, H)",
            step("gru_step no-batch", 0, 3, 4, "b_z", "b_r", "b"),
            ("zero-length",),
            clauses=STEP,
        ),
        Draft(
            "gru_step",
            "wide",
            "19 units and 14 inputs, no multiple of 4 nor 8: the units left over from a vector"
            " loop",
            step("gru_step wide", 3, 19, 14, "b_z", "b_r", "b", scale=0.5),
            clauses=STEP + BIAS,
        ),
    ]


def step_vjps() -> list[Draft]:
    """gru_step.vjp."""
    zero_state = step("gru_step zero-state", 2, 3, 4, "b_r")
    zero_state["h_prev"] = np.zeros((2, 3))
    return [
        Draft(
            "gru_step.vjp",
            "plain",
            "one of the four ways from h back to h_prev forgotten; dW from [h, x] instead of"
            " [r * h, x]; a derivative taken at the pre-activation",
            step("gru_step plain", 2, 3, 4),
            clauses=STEP,
        ),
        Draft(
            "gru_step.vjp",
            "bias",
            "bias gradients averaged over the batch instead of summed, or given to each other's"
            " gate",
            step("gru_step bias", 4, 3, 2, "b_z", "b_r", "b"),
            clauses=STEP + BIAS,
        ),
        Draft(
            "gru_step.vjp",
            "update-gate",
            "W = 0: nothing comes back through the candidate, so dh_prev and dx are the update"
            " gate's; dW is not 0",
            update_alone("gru_step update-gate"),
            ("isolated",),
            clauses=UPDATE + STATE,
        ),
        Draft(
            "gru_step.vjp",
            "reset-gate",
            "z = 1: all comes back through the candidate, and dW_r through r alone; a gradient"
            " that stops at r * h leaves it 0",
            reset_alone("gru_step reset-gate"),
            ("isolated", "saturation"),
            clauses=RESET,
        ),
        Draft(
            "gru_step.vjp",
            "saturation",
            "gates at ±1e4: z (1 - z) written as e^-x / (1 + e^-x)² is inf / inf",
            ENDS,
            ("saturation",),
            clauses=UPDATE + RESET + STATE,
        ),
        Draft(
            "gru_step.vjp",
            "zero-state",
            "h_prev = 0: dW_r and db_r are 0 and dh_prev is not; a first step that is skipped or a"
            " division by h_prev shows",
            zero_state,
            clauses=STEP,
        ),
        Draft(
            "gru_step.vjp",
            "no-batch",
            "B = 0: the gradients of weights and biases are zeros of full shape",
            step("gru_step no-batch", 0, 3, 4, "b_z", "b_r", "b"),
            ("zero-length",),
            clauses=STEP,
        ),
    ]


# worked on paper: W_z = W_r = 0, so z = r = 1/2; the candidate is the sign of x.
# h = 0, then (0 + 1) / 2, (1/2 - 1) / 2, (-1/4 + 0) / 2: 1/2, -1/4, -1/8.
HAND_SEQUENCE: Inputs = {
    "X": np.array([[[1.0]], [[-1.0]], [[0.0]]]),
    "W_z": np.zeros((1, 2)),
    "W_r": np.zeros((1, 2)),
    "W": np.array([[0.0, 1e4]]),
}

MIXED = (3, 0, 5, 1)


def mixed(key: str, *optional: str, padding: float | None = None) -> Inputs:
    """T = 5, B = 4, I = 2, H = 3 with lengths 3, 0, 5 and 1."""
    inputs = sequence(key, 5, 4, 3, 2, *optional)
    if padding is not None:
        inputs["X"] = padded(inputs["X"], MIXED, padding)
    return {**inputs, "lengths": np.array(MIXED, dtype=np.int64)}


def sequences() -> list[Draft]:
    """gru_sequence."""
    special = sequence("gru_sequence special", 5, 3, 4, 2, "h_0")
    special["X"][2, 1, 0] = np.nan
    special["X"][1, 2, 1] = np.inf
    return [
        Draft(
            "gru_sequence",
            "plain",
            "h_0 ignored; the state not handed on; steps in reverse; h_T the first state",
            sequence("gru_sequence plain", 4, 2, 3, 5, "h_0"),
            clauses=SEQUENCE + INITIAL,
        ),
        Draft(
            "gru_sequence",
            "bias",
            "h_0 absent is 0: not what the last call left, not the first input; biases in every"
            " step, not in the first alone",
            sequence("gru_sequence bias", 5, 4, 3, 2, "b_z", "b_r", "b"),
            clauses=SEQUENCE + INITIAL,
        ),
        Draft(
            "gru_sequence",
            "hand",
            "by hand h = 1/2, -1/4, -1/8: a mean of the old state and the sign of x",
            HAND_SEQUENCE,
            ("hand", "saturation"),
            clauses=SEQUENCE + INITIAL,
        ),
        Draft(
            "gru_sequence",
            "cube",
            "T = B = H = I: time and batch swapped have the same shape",
            sequence("gru_sequence cube", 3, 3, 3, 3, "h_0"),
            ("square",),
            clauses=SEQUENCE,
        ),
        Draft(
            "gru_sequence",
            "lengths",
            "lengths 3, 0, 5, 1: h_T = h[T-1], a length 0 that gives 0 instead of h_0, a state"
            " that runs on in the padding, a length one off",
            mixed("gru_sequence lengths", "h_0", "b_z", "b_r", "b"),
            ("lengths",),
            clauses=LENGTHS + INITIAL,
        ),
        Draft(
            "gru_sequence",
            "lengths-nan",
            "NaN in the padding: a mask that multiplies by 0 lets it into h and h_T",
            mixed("gru_sequence lengths-nan", "h_0", padding=np.nan),
            ("lengths", "special"),
            clauses=LENGTHS,
        ),
        Draft(
            "gru_sequence",
            "lengths-all-zero",
            "every length 0: a loop to the longest has no step, h is 0 and h_T is h_0",
            {
                **sequence("gru_sequence lengths-all-zero", 4, 2, 3, 5, "h_0", "b"),
                "lengths": np.zeros(2, dtype=np.int64),
            },
            ("lengths",),
            clauses=LENGTHS + INITIAL,
        ),
        Draft(
            "gru_sequence",
            "one-step",
            "T = 1: the step itself, h[0] = h_T; a squeezed time axis changes the shape",
            sequence("gru_sequence one-step", 1, 2, 3, 4, "h_0"),
            clauses=SEQUENCE + INITIAL,
        ),
        Draft(
            "gru_sequence",
            "no-steps",
            "T = 0: h is empty and h_T is h_0; onnxruntime 1.32 aborts the process",
            sequence("gru_sequence no-steps", 0, 2, 3, 4, "h_0"),
            ("zero-length",),
            clauses=SEQUENCE + INITIAL,
        ),
        Draft(
            "gru_sequence",
            "no-batch",
            "B = 0: h is (T, 0, H) and h_T is (0, H), with a lengths of no element, whose maximum"
            " does not exist",
            {
                **sequence("gru_sequence no-batch", 4, 0, 3, 2),
                "lengths": np.zeros(0, dtype=np.int64),
            },
            ("zero-length", "lengths"),
            clauses=SEQUENCE + LENGTHS,
        ),
        Draft(
            "gru_sequence",
            "special",
            "a NaN makes its row NaN from its time on, not before and in no other row; after a"
            " +inf the state is finite",
            special,
            ("special",),
            clauses=SEQUENCE,
        ),
        Draft(
            "gru_sequence",
            "long",
            "T = 1000: a recursion that runs out of stack, errors that add up",
            sequence("gru_sequence long", 1000, 1, 3, 2, "h_0", "b_z", "b_r", "b"),
            ("long",),
            clauses=SEQUENCE,
        ),
        Draft(
            "gru_sequence",
            "long-hold",
            "z = 0 for 1000 steps: h_T is h_0 bit for bit; rounding h + z (h~ - h) in every step"
            " must not drift",
            {
                **sequence("gru_sequence long-hold", 1000, 1, 3, 2, "h_0", "b_r", "b"),
                "b_z": filled(3, -1e4),
            },
            ("long", "saturation"),
            clauses=SEQUENCE,
        ),
        Draft(
            "gru_sequence",
            "slow-leak",
            "z about e^-20 for 1000 steps: the state moves by 2e-6; a sigmoid that is 0 from -18"
            " on holds it, one clamped there moves it by seven times as much",
            {
                **sequence("gru_sequence slow-leak", 1000, 1, 3, 2, "h_0", "b"),
                "b_z": filled(3, -20.0),
            },
            ("long", "saturation"),
            clauses=SEQUENCE,
            dtypes=("float64",),
        ),
    ]


def sequence_vjps() -> list[Draft]:
    """gru_sequence.vjp."""
    return [
        Draft(
            "gru_sequence.vjp",
            "plain",
            "no error from time t + 1; gradients of the last step alone, overwritten and not"
            " summed; dW from h_t instead of h_{t-1}; dh_T left out",
            sequence("gru_sequence plain", 4, 2, 3, 5, "h_0"),
            clauses=SEQUENCE + INITIAL,
        ),
        Draft(
            "gru_sequence.vjp",
            "bias",
            "h_0 is not given and dh_0 is returned all the same",
            sequence("gru_sequence bias", 5, 4, 3, 2, "b_z", "b_r", "b"),
            clauses=SEQUENCE + INITIAL,
        ),
        Draft(
            "gru_sequence.vjp",
            "final-alone",
            "dh = 0 and dh_T not: a loss on the last state reaches every time",
            {
                **sequence("gru_sequence final-alone", 6, 2, 3, 4, "h_0", "b"),
                "dh": np.zeros((6, 2, 3)),
            },
            clauses=SEQUENCE,
        ),
        Draft(
            "gru_sequence.vjp",
            "lengths",
            "dh in the padding must not count, and dh_T enters at each example's own last step;"
            " dh_0 of a length 0 is dh_T",
            mixed("gru_sequence lengths", "h_0", "b_z", "b_r", "b"),
            ("lengths",),
            clauses=LENGTHS + INITIAL,
        ),
        Draft(
            "gru_sequence.vjp",
            "lengths-nan",
            "NaN in the padding of X: 0 * NaN in dWᵀ = daᵀ [h, x] spoils every weight's gradient;"
            " dX is 0 there",
            mixed("gru_sequence lengths-nan", "b", padding=np.nan),
            ("lengths", "special"),
            clauses=LENGTHS + INITIAL,
        ),
        Draft(
            "gru_sequence.vjp",
            "no-steps",
            "T = 0: dh_0 = dh_T, zeros of full shape for the weights",
            sequence("gru_sequence no-steps", 0, 2, 3, 4, "b"),
            ("zero-length",),
            clauses=SEQUENCE + INITIAL,
        ),
        Draft(
            "gru_sequence.vjp",
            "no-batch",
            "B = 0: zeros of full shape for weights and biases",
            sequence("gru_sequence no-batch", 4, 0, 3, 2, "b_z"),
            ("zero-length",),
            clauses=SEQUENCE,
        ),
        Draft(
            "gru_sequence.vjp",
            "hold",
            "z = 0 for 7 steps: dh_0 is the plain sum of dh and dh_T, which no step shrinks",
            {
                **sequence("gru_sequence hold", 7, 2, 3, 4, "h_0", "b_r", "b"),
                "b_z": filled(3, -1e4),
            },
            ("saturation",),
            clauses=SEQUENCE,
        ),
        Draft(
            "gru_sequence.vjp",
            "long",
            "T = 1000: backpropagation cut off after a few hundred steps, a sum of 1000 gradients"
            " that loses digits",
            sequence("gru_sequence long", 1000, 1, 3, 2, "h_0", "b_z", "b_r", "b"),
            ("long",),
            clauses=SEQUENCE,
        ),
    ]


# worked on paper, z and r as in HAND. Unit 1: h~ = tanh(1/2 (2 + 25) - 13.5) = 0, h = 1/2 * 1/2;
# the deck's form has h~ = tanh(1 - 13.5), about -1. Unit 2: z = 1 holds 1/4; h~ is tanh(0) = 0.
HAND_AFTER: Inputs = {**HAND, "W": np.array([[4.0, 100.0, -13.5], [-4e4, 7.0, 0.0]])}

ALL = ("b_z", "b_r", "b", "b_h")


def variants() -> list[Draft]:
    """gru_reset_after_step and gru_reset_after_sequence."""
    special = sequence("gru_reset_after_sequence special", 5, 3, 4, 2, "h_0", "b_h")
    special["X"][2, 1, 0] = np.nan
    special["X"][1, 2, 1] = np.inf
    return [
        Draft(
            "gru_reset_after_step",
            "plain",
            "the deck's form in place of the variant: r before the product, z on the new state",
            step("gru_reset_after_step plain", 2, 3, 4),
            ("variant",),
        ),
        Draft(
            "gru_reset_after_step",
            "bias",
            "b_h outside of r, as when the two biases of the candidate are summed into one",
            step("gru_reset_after_step bias", 4, 3, 2, *ALL),
            ("variant",),
        ),
        Draft(
            "gru_reset_after_step",
            "bias-h-alone",
            "b_h without the others: taken for b, or left out with them",
            step("gru_reset_after_step bias-h-alone", 2, 5, 3, "b_h"),
            ("variant",),
        ),
        Draft(
            "gru_reset_after_step",
            "square",
            "B = H = I: W^h and W^x swapped, or the packed order r, z, n taken for z, r, n",
            step("gru_reset_after_step square", 3, 3, 3, "b_h"),
            ("variant", "square"),
        ),
        Draft(
            "gru_reset_after_step",
            "hand",
            "by hand h = (1/4, 1/4): the second unit has z = 1 and holds, where the deck's z takes"
            " the candidate",
            HAND_AFTER,
            ("variant", "hand", "saturation"),
        ),
        Draft(
            "gru_reset_after_step",
            "reset-closed",
            "r = 0 exactly: b_h is shut out with the state; outside of r it stays, and z on the"
            " old state shows beside it",
            {
                **step("gru_reset_after_step reset-closed", 2, 3, 5, "b_z", "b", "b_h"),
                "b_r": filled(3, -1e4),
            },
            ("variant", "isolated", "saturation"),
        ),
        Draft(
            "gru_reset_after_sequence",
            "plain",
            "h_0 ignored, or b_h in the first step alone",
            sequence("gru_reset_after_sequence plain", 4, 2, 3, 5, "h_0", *ALL),
            ("variant",),
        ),
        Draft(
            "gru_reset_after_sequence",
            "lengths-nan",
            "lengths 3, 0, 5, 1 with NaN in the padding: h_T = h[T-1], a length 0 that gives 0, a"
            " mask that multiplies",
            mixed("gru_reset_after_sequence lengths-nan", "h_0", *ALL, padding=np.nan),
            ("variant", "lengths", "special"),
        ),
        Draft(
            "gru_reset_after_sequence",
            "special",
            "a NaN stays in its row and in the times after it; after a +inf the state is finite",
            special,
            ("variant", "special"),
        ),
        Draft(
            "gru_reset_after_sequence",
            "no-steps",
            "T = 0: h is empty and h_T is h_0; torch.nn.GRU refuses it",
            sequence("gru_reset_after_sequence no-steps", 0, 2, 3, 4, "h_0", "b_h"),
            ("variant", "zero-length"),
        ),
        Draft(
            "gru_reset_after_sequence",
            "long",
            "T = 1000 without h_0: errors that add up",
            sequence("gru_reset_after_sequence long", 1000, 1, 3, 2, *ALL),
            ("variant", "long"),
        ),
    ]


def variant_vjps() -> list[Draft]:
    """gru_reset_after_step.vjp and gru_reset_after_sequence.vjp."""
    return [
        Draft(
            "gru_reset_after_step.vjp",
            "plain",
            "dW^h from r * h as in the deck's form, where the variant has dq = r da; z for 1 - z",
            step("gru_reset_after_step plain", 2, 3, 4),
            ("variant",),
        ),
        Draft(
            "gru_reset_after_step.vjp",
            "bias",
            "db_h = db, as when both are outside of r; b_h forgotten in the gradient of r",
            step("gru_reset_after_step bias", 4, 3, 2, *ALL),
            ("variant",),
        ),
        Draft(
            "gru_reset_after_step.vjp",
            "reset-closed",
            "r = 0 exactly: db_h and the rows of dW^h are 0 and db is not",
            {
                **step("gru_reset_after_step reset-closed", 2, 3, 5, "b_z", "b", "b_h"),
                "b_r": filled(3, -1e4),
            },
            ("variant", "isolated", "saturation"),
        ),
        Draft(
            "gru_reset_after_sequence.vjp",
            "plain",
            "no error from time t + 1; gradients overwritten and not summed over time, db_h too",
            sequence("gru_reset_after_sequence plain", 4, 2, 3, 5, "h_0", *ALL),
            ("variant",),
        ),
        Draft(
            "gru_reset_after_sequence.vjp",
            "lengths-nan",
            "NaN in the padding of X spoils no gradient, dh_T enters at each example's last step,"
            " dh_0 comes back though h_0 is not given",
            mixed("gru_reset_after_sequence lengths-nan", *ALL, padding=np.nan),
            ("variant", "lengths", "special"),
        ),
        Draft(
            "gru_reset_after_sequence.vjp",
            "no-steps",
            "T = 0: dh_0 = dh_T, zeros of full shape for the weights",
            sequence("gru_reset_after_sequence no-steps", 0, 2, 3, 4, "h_0", "b_h"),
            ("variant", "zero-length"),
        ),
    ]
