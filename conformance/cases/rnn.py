"""Cases for spec/rnn.md."""

import numpy as np

from nnspec.conformance.cases.draft import Draft, draw, narrowed
from nnspec.reference.array import Array

STATE = ("rnn.state",)
SIGMA = ("rnn.state_sigmoid",)
SEQUENCE = ("rnn.sequence", "rnn.initial_state")
GIVEN = ("rnn.sequence",)
START = ("rnn.initial_state",)
LENGTHS = ("rnn.lengths", "rnn.sequence")

SIGMOID = {"activation": "sigmoid"}

# orthogonal, not symmetric, and its powers are exact in every type
TURN = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])


def drawn(key: str, **shapes: tuple[int, ...]) -> dict[str, Array]:
    """An input of each name and shape, with its own key."""
    return {name: draw(f"{key} {name}", *shape) for name, shape in shapes.items()}


def padded(X: Array, lengths: list[int], fill: float = np.nan) -> Array:
    """A copy of X with `fill` beyond each example's length."""
    copy = X.copy()
    for row, length in enumerate(lengths):
        copy[length:, row] = fill
    return copy


def step_shapes(B: int, I: int, H: int) -> dict[str, tuple[int, ...]]:
    """The inputs of a step."""
    return {"x": (B, I), "S_prev": (B, H), "U": (H, I), "W": (H, H)}


def sequence_shapes(T: int, B: int, I: int, H: int) -> dict[str, tuple[int, ...]]:
    """The required inputs of a sequence."""
    return {"X": (T, B, I), "U": (H, I), "W": (H, H)}


def step() -> list[Draft]:
    """One step of the memory unit."""
    plain = step_shapes(2, 3, 4)
    square = step_shapes(3, 3, 3)
    special = drawn("rnn_step nan", **step_shapes(3, 5, 4))
    special["x"][1, 2] = np.nan
    special["S_prev"][2, 3] = np.nan
    special["U"][0, 2] = 0
    infinite = drawn("rnn_step infinity", **step_shapes(3, 5, 4))
    infinite["x"][0, 1] = np.inf
    infinite["x"][1, 4] = -np.inf
    wide = drawn("rnn_step sigmoid tail", **plain, b=(4,))
    wide["x"][1] = [1e4, -1e4, 1e4]
    wide["b"] = np.array([-17.3, -30.5, -80.25, 12.75])
    zeros = drawn("rnn_step signed zero", **plain)
    zeros["x"][0] = [-0.0, 0.0, -0.0]
    zeros["S_prev"][0] = [0.0, -0.0, -0.0, 0.0]
    cancelling = drawn("rnn_step cancellation", **step_shapes(1, 3, 4))
    cancelling["x"] = np.array([[4096.5, -4096, 0.3]])
    cancelling["U"][:, 1] = cancelling["U"][:, 0]
    hand = {
        "x": np.array([[1.0, 2]]),
        "S_prev": np.array([[1.0, 0, -1]]),
        "U": np.array([[1.0, 0], [0, 1], [2, -1]]),
        "W": np.array([[0.0, 1, 1], [1, 0, 2], [0, 5, 1]]),
    }
    return [
        Draft(
            "rnn_step",
            "plain",
            "W applied untransposed (S @ W), S_prev or x ignored, tanh missing",
            drawn("rnn_step plain", **plain),
            clauses=STATE,
        ),
        Draft(
            "rnn_step",
            "bias",
            "the bias ignored, added after tanh, or added twice (once for each product)",
            drawn("rnn_step bias", **plain, b=(4,)),
            clauses=STATE,
        ),
        Draft(
            "rnn_step",
            "sigmoid",
            "the attribute ignored: tanh for sigma; or σ(a) = tanh(a) / 2 + ½, without halving a",
            drawn("rnn_step sigmoid", **plain, b=(4,)),
            attributes=SIGMOID,
            clauses=SIGMA,
        ),
        Draft(
            "rnn_step",
            "square",
            "B = I = H: U and W exchanged, x and S_prev exchanged, or either weight transposed"
            " keeps every shape",
            drawn("rnn_step square", **square),
            flags=("square",),
            clauses=STATE,
        ),
        Draft(
            "rnn_step",
            "hand",
            "U x = (1, 2, 0) and W S = (-1, -1, -1): S = (tanh 0, tanh 1, -tanh 1). Catches a"
            " weight read by columns",
            hand,
            flags=("hand",),
            clauses=STATE,
        ),
        Draft(
            "rnn_step",
            "saturation",
            "tanh as a quotient of exponentials is NaN at 1e4; the states are ±1 and the ordinary"
            " row stays ordinary",
            drawn("rnn_step saturation", **step_shapes(3, 2, 4))
            | {"x": draw("rnn_step saturation x", 3, 2) * np.array([[1e4], [1], [1e3]])},
            flags=("saturation",),
            clauses=STATE,
        ),
        Draft(
            "rnn_step",
            "sigmoid-tail",
            "σ clamped at about -17 gives a state of the wrong order of magnitude where the bias"
            " shuts a unit; e^a / (1 + e^a) is NaN at 1e4",
            wide,
            flags=("saturation",),
            attributes=SIGMOID,
            clauses=SIGMA,
        ),
        Draft(
            "rnn_step",
            "tiny",
            "tanh by exponentials is 0 at 1e-20, where it is its argument to the last digit",
            drawn("rnn_step tiny", **plain)
            | {
                "x": draw("rnn_step tiny x", 2, 3, scale=1e-20),
                "S_prev": draw("rnn_step tiny S_prev", 2, 4, scale=1e-20),
            },
            flags=("isolated",),
            clauses=STATE,
        ),
        *[
            Draft(
                "rnn_step",
                f"subnormal-{dtype}",
                "inputs flushed to zero: large weights make ordinary numbers of subnormal inputs",
                {
                    "x": draw(f"rnn_step subnormal {dtype} x", 2, 3, scale=scale),
                    "S_prev": draw(f"rnn_step subnormal {dtype} S_prev", 2, 4, scale=scale),
                    "U": draw(f"rnn_step subnormal {dtype} U", 4, 3, scale=1e6),
                    "W": draw(f"rnn_step subnormal {dtype} W", 4, 4, scale=1e6),
                },
                flags=("subnormal",),
                clauses=STATE,
                dtypes=(dtype,),
            )
            for dtype, scale in (("float32", 1e-39), ("float64", 1e-309))
        ],
        Draft(
            "rnn_step",
            "signed-zero",
            "a σ that branches on the sign bit, or divides by its argument: the row of zeros of"
            " both signs gives ½",
            zeros,
            flags=("signed-zero",),
            attributes=SIGMOID,
            clauses=SIGMA,
        ),
        Draft(
            "rnn_step",
            "nan",
            "a NaN in x, and one in the state, make their own rows NaN and no other; a zero weight"
            " does not hide it, as skipping zeros would",
            special,
            flags=("special",),
            clauses=STATE,
        ),
        Draft(
            "rnn_step",
            "infinity",
            "tanh(±inf) as inf / inf is NaN; it is ±1 by the sign of the weight, and the finite row"
            " is not touched",
            infinite,
            flags=("special",),
            clauses=STATE,
        ),
        Draft(
            "rnn_step",
            "cancellation",
            "products in bfloat16 or TF32 lose the ½ of 4096.5 before the equal weights cancel it",
            cancelling,
            flags=("cancellation",),
            clauses=STATE,
        ),
        Draft(
            "rnn_step",
            "no-batch",
            "B = 0 raises, or loses the size H of the empty result",
            drawn("rnn_step no batch", **step_shapes(0, 3, 4), b=(4,)),
            flags=("zero-length",),
            clauses=STATE,
        ),
    ]


def step_vjp() -> list[Draft]:
    """The gradients of one step."""
    large = drawn("rnn_step.vjp saturation", **step_shapes(2, 3, 4))
    large["x"][0] = [1e4, -1e4, 3e3]
    tail = drawn("rnn_step.vjp sigmoid tail", **step_shapes(2, 3, 4), b=(4,))
    tail["b"] = np.array([-17.3, -30.5, -60.25, 3.5])
    hand = {
        "x": np.array([[1.0, 2]]),
        "S_prev": np.array([[1.0, 0, -1]]),
        "U": np.array([[1.0, 0], [0, 1], [2, -1]]),
        "W": np.array([[0.0, 1, 1], [1, 0, 3], [1, 5, 1]]),
        "dS": np.array([[4.0, 8, -12]]),
    }
    return [
        Draft(
            "rnn_step.vjp",
            "plain",
            "the derivative taken at the pre-activation (1 - a²), batch means for sums, dW from S"
            " instead of S_prev",
            drawn("rnn_step.vjp plain", **step_shapes(2, 3, 4)),
            clauses=STATE,
        ),
        Draft(
            "rnn_step.vjp",
            "bias-sigmoid",
            "tanh's derivative for sigma's; db missing, or the batch's mean",
            drawn("rnn_step.vjp bias sigmoid", **step_shapes(5, 3, 4), b=(4,)),
            attributes=SIGMOID,
            clauses=SIGMA,
        ),
        Draft(
            "rnn_step.vjp",
            "square",
            "B = I = H: dW or dU transposed, dx and dS_prev exchanged keep every shape",
            drawn("rnn_step.vjp square", **step_shapes(3, 3, 3), b=(3,)),
            flags=("square",),
            clauses=STATE,
        ),
        Draft(
            "rnn_step.vjp",
            "hand",
            "U x + W S = 0, so S = ½ and δ = dS / 4 = (1, 2, -3): dx = (-5, 5), dS_prev ="
            " (-1, -14, 4), dU = δᵀ (1, 2). Catches δ Wᵀ for δ W",
            hand,
            flags=("hand",),
            attributes=SIGMOID,
            clauses=SIGMA,
        ),
        Draft(
            "rnn_step.vjp",
            "saturation",
            "1 / cosh² overflows at 1e4: the saturated row's gradient is 0, not NaN",
            large,
            flags=("saturation",),
            clauses=STATE,
        ),
        Draft(
            "rnn_step.vjp",
            "sigmoid-tail",
            "σ' computed from a clamped σ, or as ¼ - (σ - ½)², loses the tail e^a of a shut unit",
            tail,
            flags=("saturation",),
            attributes=SIGMOID,
            clauses=SIGMA,
        ),
    ]


def output() -> list[Draft]:
    """The output of one step, and the layers above it."""
    large = drawn("rnn_output saturation", S=(3, 4), V=(5, 4), c=(5,))
    large["V"] = draw("rnn_output saturation V", 5, 4, scale=1e4)
    large["S"][1] = 0
    hand = {
        "S": np.array([[1.0, 0, -1]]),
        "V": np.array([[1.0, 4, 1], [2, 1, 1]]),
        "W_1": np.array([[1.0, 0], [0, 1], [-1, 0]]),
        "b_1": np.array([2.0, 0, -3]),
        "W_2": np.array([[1.0, 9, 5], [-1, 9, 7]]),
        "b_2": np.array([10.0, 20]),
        "c": np.array([0.0, -1]),
    }
    deep = {"S": (2, 4), "V": (6, 4), "W_1": (5, 6), "W_2": (3, 5)}
    deep_square = {"S": (4, 4), "V": (4, 4), "W_1": (4, 4), "W_2": (4, 4)}
    biases = {"c": (6,), "b_1": (5,), "b_2": (3,)}
    return [
        Draft(
            "rnn_output",
            "plain",
            "tanh missing at the output, which only small V S hides",
            drawn("rnn_output plain", S=(2, 4), V=(5, 4)),
        ),
        Draft(
            "rnn_output",
            "bias-sigmoid",
            "the attribute or the bias ignored",
            drawn("rnn_output bias sigmoid", S=(2, 4), V=(5, 4), c=(5,)),
            attributes=SIGMOID,
        ),
        Draft(
            "rnn_output",
            "identity",
            "a score squashed although the loss is to take logits: results above 1",
            drawn("rnn_output identity", S=(2, 4), V=(5, 4), c=(5,))
            | {"S": draw("rnn_output identity S", 2, 4, scale=10)},
            attributes={"activation": "identity"},
        ),
        Draft(
            "rnn_output",
            "square",
            "B = H = O: V transposed keeps the shape",
            drawn("rnn_output square", S=(3, 3), V=(3, 3)),
            flags=("square",),
        ),
        Draft(
            "rnn_output",
            "saturation",
            "tanh by exponentials at 1e4 is NaN; a state of zeros gives tanh(c) beside it",
            large,
            flags=("saturation",),
        ),
        Draft(
            "rnn_output.vjp",
            "plain",
            "1 - (V S)² for 1 - O²; dV transposed or averaged over the batch",
            drawn("rnn_output.vjp plain", S=(2, 4), V=(5, 4), c=(5,)),
        ),
        Draft(
            "rnn_output.vjp",
            "sigmoid-square",
            "tanh's derivative for sigma's; δ Vᵀ for δ V, which B = H = O keeps silent",
            drawn("rnn_output.vjp sigmoid square", S=(3, 3), V=(3, 3)),
            flags=("square",),
            attributes=SIGMOID,
        ),
        Draft(
            "rnn_output.vjp",
            "identity",
            "a derivative of tanh where the output is linear",
            drawn("rnn_output.vjp identity", S=(2, 4), V=(5, 4), c=(5,)),
            attributes={"activation": "identity"},
        ),
        Draft(
            "rnn_deep_output",
            "plain",
            "the last layer squashed, or tanh missing at O_t below it",
            drawn("rnn_deep_output plain", **deep),
        ),
        Draft(
            "rnn_deep_output",
            "biases-sigmoid",
            "the attribute given to O_t as well, or a bias of the three ignored",
            drawn("rnn_deep_output biases sigmoid", **deep, **biases),
            attributes=SIGMOID,
        ),
        Draft(
            "rnn_deep_output",
            "hand",
            "O = (tanh 0, 0); relu of (2, 0, -3) is (2, 0, 0), so y = (12, 18). Catches a relu that"
            " lets the -3 through, and a squashed y",
            hand,
            flags=("hand",),
            attributes={"activation": "relu"},
        ),
        Draft(
            "rnn_deep_output",
            "square",
            "all sizes equal: V, W_1 and W_2 in another order, or transposed, keep every shape",
            drawn("rnn_deep_output square", **deep_square),
            flags=("square",),
        ),
        Draft(
            "rnn_deep_output.vjp",
            "biases",
            "the error stopped at O_t: dS and dV without the factor 1 - O²",
            drawn("rnn_deep_output.vjp biases", **deep, **biases),
        ),
        Draft(
            "rnn_deep_output.vjp",
            "relu",
            "relu's error passed where the unit is off, or masked by the sign of dy",
            drawn("rnn_deep_output.vjp relu", **deep, **biases),
            attributes={"activation": "relu"},
        ),
        Draft(
            "rnn_deep_output.vjp",
            "sigmoid-square",
            "all sizes equal: gradients of V, W_1 and W_2 exchanged or transposed",
            drawn("rnn_deep_output.vjp sigmoid square", **deep_square),
            flags=("square",),
            attributes=SIGMOID,
        ),
    ]


def sequence() -> list[Draft]:
    """States of whole sequences."""
    plain = sequence_shapes(5, 2, 3, 4)
    ragged = drawn("rnn_sequence lengths", **sequence_shapes(5, 4, 3, 6), S_0=(4, 6), b=(6,))
    ragged["lengths"] = np.array([3, 0, 5, 1])
    padding = drawn("rnn_sequence padding", **sequence_shapes(6, 4, 2, 3))
    padding["lengths"] = np.array([2, 6, 0, 5])
    padding["X"] = padded(padding["X"], [2, 6, 0, 5])
    padding["X"][5, 0] = np.inf
    special = drawn("rnn_sequence nan", **plain, S_0=(2, 4))
    special["X"][2, 1, 0] = np.nan
    repeated = drawn("rnn_sequence equal inputs", **plain, S_0=(2, 4))
    repeated["X"][:] = repeated["X"][:1, :1]
    vanishing = {
        "X": np.zeros((40, 2, 4)),
        "U": draw("rnn_sequence powers U", 3, 4),
        "W": TURN / 2,
        "S_0": draw("rnn_sequence powers S_0", 2, 3, scale=1e-20),
    }
    hand = {
        "X": np.array([[[1.0]], [[1.0]], [[0.0]]]),
        "U": np.array([[1.0], [-1.0]]),
        "W": np.array([[0.0, 1], [2, 1]]),
        "S_0": np.array([[1.0, -1.0]]),
    }
    return [
        Draft(
            "rnn_sequence",
            "plain",
            "W untransposed, the first step skipped, S_0 among the states, or time read backwards",
            drawn("rnn_sequence plain", **plain),
            clauses=SEQUENCE,
        ),
        Draft(
            "rnn_sequence",
            "state-and-bias",
            "a given S_0 ignored or used for every step; the bias only at the first step",
            drawn("rnn_sequence state and bias", **plain, S_0=(2, 4), b=(4,)),
            clauses=SEQUENCE,
        ),
        Draft(
            "rnn_sequence",
            "sigmoid",
            "σ at the first step only; or a zero state taken as ½, the middle of σ's range",
            drawn("rnn_sequence sigmoid", **plain),
            attributes=SIGMOID,
            clauses=SEQUENCE,
        ),
        Draft(
            "rnn_sequence",
            "square",
            "T = B = I = H: time and batch exchanged, or a weight transposed, keeps every shape",
            drawn("rnn_sequence square", **sequence_shapes(4, 4, 4, 4), S_0=(4, 4)),
            flags=("square",),
            clauses=SEQUENCE,
        ),
        Draft(
            "rnn_sequence",
            "hand",
            "S_1 = (0, 0), S_2 = (t, -t) with t = tanh 1, S_3 = (-tanh t, tanh t). Catches the"
            " state not carried on",
            hand,
            flags=("hand",),
            clauses=SEQUENCE,
        ),
        Draft(
            "rnn_sequence",
            "one-of-each",
            "T = B = I = H = 1: axes of length 1 squeezed away, S_T of shape (1,)",
            drawn("rnn_sequence one of each", **sequence_shapes(1, 1, 1, 1), S_0=(1, 1), b=(1,)),
            flags=("isolated",),
            clauses=SEQUENCE,
        ),
        Draft(
            "rnn_sequence",
            "no-steps",
            "T = 0 raises, or gives a final state of zeros where S_0 is due",
            drawn("rnn_sequence no steps", **sequence_shapes(0, 2, 3, 4), S_0=(2, 4), b=(4,)),
            flags=("zero-length",),
            clauses=START,
        ),
        Draft(
            "rnn_sequence",
            "no-batch",
            "B = 0 raises, or loses T or H of the empty result",
            drawn("rnn_sequence no batch", **sequence_shapes(5, 0, 3, 4)),
            flags=("zero-length",),
            clauses=SEQUENCE,
        ),
        Draft(
            "rnn_sequence",
            "equal-inputs",
            "one state shared by the batch: two examples with the same constant input differ by S_0"
            " alone",
            repeated,
            flags=("isolated",),
            clauses=SEQUENCE,
        ),
        Draft(
            "rnn_sequence",
            "long",
            "1000 steps: recursion, a reset at a block's edge, or states kept in a lower precision",
            {
                "X": draw("rnn_sequence long X", 1000, 1, 2),
                "U": draw("rnn_sequence long U", 3, 2),
                "W": draw("rnn_sequence long W", 3, 3, scale=0.5),
                "S_0": draw("rnn_sequence long S_0", 1, 3),
            },
            flags=("long",),
            clauses=GIVEN,
        ),
        Draft(
            "rnn_sequence",
            "lengths",
            "lengths ignored; S_T read at step T - 1; length 0 giving zeros for S_0; states carried"
            " on into the padding",
            ragged,
            flags=("lengths",),
            clauses=LENGTHS,
        ),
        Draft(
            "rnn_sequence",
            "padding",
            "NaN and infinity in the padding leak where it is removed by a product with 0",
            padding,
            flags=("lengths", "special"),
            attributes=SIGMOID,
            clauses=LENGTHS,
        ),
        Draft(
            "rnn_sequence",
            "nan",
            "a NaN at t = 2 of one example reaches its later states, and neither its earlier ones"
            " nor the other example's",
            special,
            flags=("special",),
            clauses=GIVEN,
        ),
        Draft(
            "rnn_sequence",
            "saturation",
            "states of exactly ±1 fed back for five steps: NaN from tanh by exponentials stays",
            drawn("rnn_sequence saturation", **plain)
            | {"X": draw("rnn_sequence saturation X", 5, 2, 3, scale=1e4)},
            flags=("saturation",),
            clauses=SEQUENCE,
        ),
        Draft(
            "rnn_sequence",
            "powers",
            "X = 0 and W = Q / 2 with Q orthogonal: S_T is S_0 turned 40 times and halved 40 times,"
            " to the last digit. Catches Wᵀ, a step too many, a flush of small states",
            vanishing,
            flags=("isolated", "long"),
            clauses=SEQUENCE,
        ),
    ]


def sequence_vjp() -> list[Draft]:
    """Backpropagation through time."""
    plain = sequence_shapes(5, 2, 3, 4)
    padding = drawn("rnn_sequence.vjp padding", **sequence_shapes(5, 4, 3, 6), S_0=(4, 6), b=(6,))
    padding["lengths"] = np.array([3, 0, 5, 1])
    padding["X"] = padded(padding["X"], [3, 0, 5, 1])
    padding["dS"] = padded(draw("rnn_sequence.vjp padding dS", 5, 4, 6), [3, 0, 5, 1], 1e4)
    ragged = drawn("rnn_sequence.vjp lengths", **sequence_shapes(6, 3, 2, 4))
    ragged["lengths"] = np.array([1, 6, 0])
    one_hot = drawn("rnn_sequence.vjp one-hot", **sequence_shapes(4, 2, 5, 3), S_0=(2, 3))
    one_hot["X"] = np.zeros((4, 2, 5))
    for t, (first, second) in enumerate(((2, 1), (0, 3), (4, 0), (1, 2))):
        one_hot["X"][t, 0, first] = 1
        one_hot["X"][t, 1, second] = 1
    last = drawn("rnn_sequence.vjp last", **plain, S_0=(2, 4))
    last["dS"] = np.zeros((5, 2, 4))
    middle = drawn("rnn_sequence.vjp middle", **plain, S_0=(2, 4))
    middle["dS"] = np.zeros((5, 2, 4))
    middle["dS"][2] = draw("rnn_sequence.vjp middle dS", 2, 4)
    middle["dS_T"] = np.zeros((2, 4))
    far = drawn("rnn_sequence.vjp far", **sequence_shapes(24, 2, 4, 3))
    far["X"] = draw("rnn_sequence.vjp far X", 24, 2, 4, scale=0.1)
    far["W"] = np.array([[0.588, -0.784, 0.02], [0.784, 0.588, -0.03], [0.01, 0.03, 0.98]])
    far["dS"] = np.zeros((24, 2, 3))
    powers = {
        "X": np.zeros((40, 2, 4)),
        "U": draw("rnn_sequence.vjp powers U", 3, 4),
        "W": TURN / 2,
        "S_0": draw("rnn_sequence.vjp powers S_0", 2, 3, scale=1e-20),
        "dS": np.zeros((40, 2, 3)),
    }
    return [
        Draft(
            "rnn_sequence.vjp",
            "plain",
            "no error from the next step's memory unit; gradients overwritten instead of summed;"
            " dS_0 left out because S_0 is not given",
            drawn("rnn_sequence.vjp plain", **plain),
            clauses=SEQUENCE,
        ),
        Draft(
            "rnn_sequence.vjp",
            "state-and-bias",
            "dW without the first step's S_0, or with S_t for S_{t-1}; db of the last step alone",
            drawn("rnn_sequence.vjp state and bias", **plain, S_0=(2, 4), b=(4,)),
            clauses=SEQUENCE,
        ),
        Draft(
            "rnn_sequence.vjp",
            "lengths",
            "σ with the attribute ignored in the backward pass; dS_T entering at step T - 1 of a"
            " shorter example",
            ragged,
            flags=("lengths",),
            attributes=SIGMOID,
            clauses=LENGTHS,
        ),
        Draft(
            "rnn_sequence.vjp",
            "square",
            "T = B = I = H: transposed gradients, or time and batch exchanged, keep every shape",
            drawn("rnn_sequence.vjp square", **sequence_shapes(4, 4, 4, 4), S_0=(4, 4), b=(4,)),
            flags=("square",),
            clauses=SEQUENCE,
        ),
        Draft(
            "rnn_sequence.vjp",
            "one-hot",
            "each word has a column of dU to itself, filled by its own time alone: shows which time"
            " is missing from the sum",
            one_hot,
            flags=("isolated",),
            clauses=GIVEN,
        ),
        Draft(
            "rnn_sequence.vjp",
            "last",
            "dS_T ignored where only S has a loss, or taken instead of dS[T-1]: here it is alone",
            last,
            flags=("isolated",),
            clauses=GIVEN,
        ),
        Draft(
            "rnn_sequence.vjp",
            "middle",
            "a loss at t = 2 alone: gradient at later times, or none at earlier ones",
            middle,
            flags=("isolated",),
            clauses=GIVEN,
        ),
        Draft(
            "rnn_sequence.vjp",
            "padding",
            "NaN in X and 1e4 in dS beyond the lengths: 0 · NaN in dU, a loss that counts padding,"
            " dX not 0 there, dS_0 of length 0 not dS_T",
            padding,
            flags=("lengths", "special"),
            clauses=LENGTHS,
        ),
        Draft(
            "rnn_sequence.vjp",
            "no-steps",
            "T = 0: dS_0 is dS_T, and the weights' gradients are zeros of full shape",
            drawn("rnn_sequence.vjp no steps", **sequence_shapes(0, 2, 3, 4), S_0=(2, 4), b=(4,)),
            flags=("zero-length",),
            clauses=START,
        ),
        Draft(
            "rnn_sequence.vjp",
            "no-batch",
            "B = 0: gradients of the weights missing, or empty instead of zeros of full shape",
            drawn("rnn_sequence.vjp no batch", **sequence_shapes(5, 0, 3, 4), b=(4,)),
            flags=("zero-length",),
            clauses=SEQUENCE,
        ),
        Draft(
            "rnn_sequence.vjp",
            "far",
            "truncated backpropagation: the only error is 24 steps away, and W hardly damps it",
            far,
            flags=("isolated", "long"),
            clauses=SEQUENCE,
        ),
        Draft(
            "rnn_sequence.vjp",
            "powers",
            "the vanishing gradient itself: X = 0, W = Q / 2, so dS_0 is dS_T turned back 40 times"
            " and 2^-40 as large; dU is exactly 0. Catches Wᵀ on the way back",
            powers,
            flags=("isolated", "long"),
            clauses=SEQUENCE,
        ),
        Draft(
            "rnn_sequence.vjp",
            "long",
            "1000 steps: recursion; sums of 1000 terms kept in a lower precision",
            {
                "X": draw("rnn_sequence.vjp long X", 1000, 1, 2),
                "U": draw("rnn_sequence.vjp long U", 3, 2),
                "W": draw("rnn_sequence.vjp long W", 3, 3, scale=0.5),
            },
            flags=("long",),
            clauses=SEQUENCE,
        ),
    ]


def unrolled() -> list[Draft]:
    """The nested expression."""
    plain = sequence_shapes(5, 2, 3, 4)
    return [
        Draft(
            "rnn_unrolled",
            "sigmoid",
            "the brackets built from the outside: X_1 where X_T belongs",
            drawn("rnn_unrolled sigmoid", **plain),
            attributes=SIGMOID,
        ),
        Draft(
            "rnn_unrolled",
            "state-and-bias",
            "S_0 left out of the innermost bracket; the bias in the outermost alone",
            drawn("rnn_unrolled state and bias", **plain, S_0=(2, 4), b=(4,)),
        ),
        Draft(
            "rnn_unrolled",
            "square",
            "T = B = I = H: U and W exchanged, a bracket over the batch for one over time",
            drawn("rnn_unrolled square", **sequence_shapes(4, 4, 4, 4), S_0=(4, 4)),
            flags=("square",),
        ),
        Draft(
            "rnn_unrolled",
            "no-steps",
            "no bracket at all: S_0 itself",
            drawn("rnn_unrolled no steps", **sequence_shapes(0, 2, 3, 4), S_0=(2, 4)),
            flags=("zero-length",),
        ),
        Draft(
            "rnn_unrolled",
            "thousand-brackets",
            "a call per bracket ends at the recursion limit; brackets cut off at a depth show,"
            " since W hardly damps",
            {
                "X": draw("rnn_unrolled thousand brackets X", 1000, 1, 2, scale=0.001),
                "U": draw("rnn_unrolled thousand brackets U", 3, 2),
                "W": TURN,
                "S_0": draw("rnn_unrolled thousand brackets S_0", 1, 3, scale=0.02),
            },
            flags=("long",),
        ),
        Draft(
            "rnn_unrolled.vjp",
            "state-and-bias",
            "the error of the outermost bracket alone, none through W f(…)",
            drawn("rnn_unrolled.vjp state and bias", **plain, S_0=(2, 4), b=(4,)),
        ),
        Draft(
            "rnn_unrolled.vjp",
            "sigmoid-square",
            "T = B = I = H with σ: the product of factors in the opposite order",
            drawn("rnn_unrolled.vjp sigmoid square", **sequence_shapes(4, 4, 4, 4)),
            flags=("square",),
            attributes=SIGMOID,
        ),
    ]


def one() -> list[Draft]:
    """One input: one output, or many."""
    single = {"x": (2, 3), "U": (4, 3), "V": (5, 4)}
    single_square = {"x": (3, 3), "U": (3, 3), "V": (3, 3)}
    many = {"x": (2, 3), "U": (4, 3), "W": (4, 4), "V": (3, 4)}
    many_square = {"x": (4, 4), "U": (4, 4), "W": (4, 4), "V": (4, 4)}
    all_given = {"S_0": (2, 4), "b": (4,), "c": (3,)}
    return [
        Draft(
            "rnn_one_to_one",
            "plain",
            "the hidden layer returned as the output, as an RNN layer with T = 1 does",
            drawn("rnn_one_to_one plain", **single),
        ),
        Draft(
            "rnn_one_to_one",
            "biases-sigmoid",
            "the attribute given to the output too, which is tanh; b and c exchanged or ignored",
            drawn("rnn_one_to_one biases sigmoid", **single, b=(4,), c=(5,)),
            attributes=SIGMOID,
        ),
        Draft(
            "rnn_one_to_one",
            "square",
            "all sizes equal: U and V exchanged or transposed",
            drawn("rnn_one_to_one square", **single_square),
            flags=("square",),
        ),
        Draft(
            "rnn_one_to_one.vjp",
            "biases",
            "the output's derivative forgotten on the way to dU",
            drawn("rnn_one_to_one.vjp biases", **single, b=(4,), c=(5,)),
        ),
        Draft(
            "rnn_one_to_one.vjp",
            "sigmoid-square",
            "all sizes equal: dU and dV exchanged or transposed; tanh's derivative for σ's",
            drawn("rnn_one_to_one.vjp sigmoid square", **single_square),
            flags=("square",),
            attributes=SIGMOID,
        ),
        Draft(
            "rnn_one_to_many",
            "plain",
            "x repeated at every step, zeros after the first, or the state fed back for the output",
            drawn("rnn_one_to_many plain", **many),
            attributes={"steps": 5},
        ),
        Draft(
            "rnn_one_to_many",
            "state-and-biases",
            "S_0 ignored; the output's bias left out of what is fed back; σ at the output",
            drawn("rnn_one_to_many state and biases", **many, **all_given),
            attributes={"activation": "sigmoid", "steps": 6},
        ),
        Draft(
            "rnn_one_to_many",
            "square",
            "all sizes equal: U, W and V exchanged or transposed, time and batch exchanged",
            drawn("rnn_one_to_many square", **many_square, S_0=(4, 4)),
            flags=("square",),
            attributes={"steps": 4},
        ),
        Draft(
            "rnn_one_to_many",
            "one-step",
            "steps not given is 1: an output too many (x itself) or too few",
            drawn("rnn_one_to_many one step", **many, **all_given),
            flags=("isolated",),
        ),
        Draft(
            "rnn_one_to_many",
            "no-steps",
            "steps = 0 raises, or gives one output",
            drawn("rnn_one_to_many no steps", **many),
            flags=("zero-length",),
            attributes={"steps": 0},
        ),
        Draft(
            "rnn_one_to_many.vjp",
            "plain",
            "no error through the input that is fed back; dx of every step added to dx",
            drawn("rnn_one_to_many.vjp plain", **many),
            attributes={"steps": 5},
        ),
        Draft(
            "rnn_one_to_many.vjp",
            "state-and-biases",
            "dc or dV from the output's own cotangent alone, without the fed-back error",
            drawn("rnn_one_to_many.vjp state and biases", **many, **all_given),
            attributes={"activation": "sigmoid", "steps": 6},
        ),
        Draft(
            "rnn_one_to_many.vjp",
            "square",
            "all sizes equal: gradients of U, W and V exchanged or transposed",
            drawn("rnn_one_to_many.vjp square", **many_square, S_0=(4, 4)),
            flags=("square",),
            attributes={"steps": 4},
        ),
    ]


def many() -> list[Draft]:
    """Many inputs: one output, or as many."""
    plain = sequence_shapes(5, 2, 3, 4) | {"V": (6, 4)}
    square = sequence_shapes(4, 4, 4, 4) | {"V": (4, 4)}
    ragged = sequence_shapes(5, 4, 3, 6) | {"V": (2, 6), "S_0": (4, 6), "b": (6,), "c": (2,)}
    drafts = []
    for operation, reads in (
        ("rnn_many_to_one", "the state of the first step, a mean of the states, or S_T unsquashed"),
        ("rnn_many_to_many", "O_t from S_{t-1}, from S_T at every time, or squashed twice"),
    ):
        forward = drawn(f"{operation} lengths", **ragged)
        forward["lengths"] = np.array([3, 0, 5, 1])
        forward["X"] = padded(forward["X"], [3, 0, 5, 1])
        backward = drawn(f"{operation}.vjp lengths", **ragged)
        backward["lengths"] = np.array([1, 5, 0, 4])
        backward["X"] = padded(backward["X"], [1, 5, 0, 4])
        if operation == "rnn_many_to_one":
            beyond = "O from step T - 1, which is padding; zeros for length 0, where V S_0 is due"
            counted = "the error entering at step T - 1; none reaching dS_0 for length 0"
        else:
            beyond = "tanh(c) in the padding, where the output is 0; NaN leaking out of it"
            cotangent = draw("rnn_many_to_many.vjp lengths dO", 5, 4, 2)
            backward["dO"] = padded(cotangent, [1, 5, 0, 4], 1e4)
            counted = "a loss that counts padding: 1e4 in dO beyond the lengths reaches dc or dV"
        drafts += [
            Draft(operation, "plain", reads, drawn(f"{operation} plain", **plain)),
            Draft(
                operation,
                "sigmoid",
                "the state's attribute given to the output, which is tanh; b and c exchanged",
                drawn(f"{operation} sigmoid", **plain, S_0=(2, 4), b=(4,), c=(6,)),
                attributes=SIGMOID,
            ),
            Draft(operation, "lengths", beyond, forward, flags=("lengths", "special")),
            Draft(
                operation,
                "square",
                "all sizes equal: V and W exchanged, V transposed, time and batch exchanged",
                drawn(f"{operation} square", **square, S_0=(4, 4)),
                flags=("square",),
            ),
            Draft(
                operation,
                "no-steps",
                "T = 0 raises; a single output is tanh(V S_0 + c), a sequence of them is empty",
                drawn(f"{operation} no steps", **plain | {"X": (0, 2, 3)}, S_0=(2, 4), c=(6,)),
                flags=("zero-length",),
            ),
            Draft(
                f"{operation}.vjp",
                "plain",
                "no error carried from a step to the one before; dS_0 left out as S_0 is not given",
                drawn(f"{operation}.vjp plain", **plain),
            ),
            Draft(
                f"{operation}.vjp",
                "lengths",
                counted,
                backward,
                flags=("lengths", "special"),
            ),
            Draft(
                f"{operation}.vjp",
                "sigmoid-square",
                "all sizes equal, σ in the state: dV and dW exchanged, σ' used for the output",
                drawn(f"{operation}.vjp sigmoid square", **square, S_0=(4, 4)),
                flags=("square",),
                attributes=SIGMOID,
            ),
        ]
    return drafts


def encoder_decoder() -> list[Draft]:
    """Two networks, hooked up by one state."""
    sides = {"U_e": (4, 3), "W_e": (4, 4), "U_d": (4, 6), "W_d": (4, 4), "V": (8, 4)}
    plain = {"X": (5, 2, 3), "Y": (7, 2, 6)} | sides
    given = {"S_0": (2, 4), "b_e": (4,), "b_d": (4,), "c": (8,)}
    weights = ("U_e", "W_e", "U_d", "W_d", "V")
    square = {"X": (4, 4, 4), "Y": (4, 4, 4)} | dict.fromkeys(weights, (4, 4))
    ragged = {"X": (5, 4, 3), "Y": (7, 4, 6)} | sides | given | {"S_0": (4, 4)}
    forward = drawn("rnn_encoder_decoder lengths", **ragged)
    forward["lengths"] = np.array([1, 3, 0, 5])
    forward["X"] = padded(forward["X"], [1, 3, 0, 5])
    backward = drawn("rnn_encoder_decoder.vjp lengths", **ragged)
    backward["lengths"] = np.array([0, 5, 1, 2])
    backward["X"] = padded(backward["X"], [0, 5, 1, 2])
    return [
        Draft(
            "rnn_encoder_decoder",
            "plain",
            "the decoder started at zero; the encoder's weights used for both; W_e and W_d"
            " exchanged",
            drawn("rnn_encoder_decoder plain", **plain),
        ),
        Draft(
            "rnn_encoder_decoder",
            "sigmoid",
            "S_0 given to the decoder; b_e and b_d exchanged; σ at the output",
            drawn("rnn_encoder_decoder sigmoid", **plain, **given),
            attributes=SIGMOID,
        ),
        Draft(
            "rnn_encoder_decoder",
            "lengths",
            "the source's lengths applied to the target; the state of padding handed over; length 0"
            " handing over zeros for S_0",
            forward,
            flags=("lengths", "special"),
        ),
        Draft(
            "rnn_encoder_decoder",
            "square",
            "all sizes equal: X and Y, encoder and decoder, or any two weights exchanged",
            drawn("rnn_encoder_decoder square", **square, S_0=(4, 4)),
            flags=("square",),
        ),
        Draft(
            "rnn_encoder_decoder",
            "no-source",
            "T = 0: the decoder starts from S_0",
            drawn("rnn_encoder_decoder no source", **plain | given | {"X": (0, 2, 3)}),
            flags=("zero-length",),
        ),
        Draft(
            "rnn_encoder_decoder.vjp",
            "plain",
            "no error from the decoder into the encoder: dX, dU_e and dW_e zero",
            drawn("rnn_encoder_decoder.vjp plain", **plain),
        ),
        Draft(
            "rnn_encoder_decoder.vjp",
            "lengths",
            "the decoder's error entering the encoder at step T - 1; dS_0 of the decoder returned"
            " for the encoder's",
            backward,
            flags=("lengths", "special"),
            attributes=SIGMOID,
        ),
        Draft(
            "rnn_encoder_decoder.vjp",
            "square",
            "all sizes equal: gradients of encoder and decoder exchanged, or transposed",
            drawn("rnn_encoder_decoder.vjp square", **square, S_0=(4, 4)),
            flags=("square",),
        ),
        Draft(
            "rnn_encoder_decoder.vjp",
            "no-target",
            "N = 0: every gradient is zeros of full shape, dS_0 among them",
            drawn("rnn_encoder_decoder.vjp no target", **plain | given | {"Y": (0, 2, 6)}),
            flags=("zero-length",),
        ),
    ]


# what people run in half precision: these drafts in float16 and bfloat16, too
HALF = {
    "rnn_step": "plain bias sigmoid square saturation sigmoid-tail tiny",
    "rnn_sequence": "plain state-and-bias square lengths padding saturation",
}


def drafts() -> list[Draft]:
    """Every case of the topic."""
    return narrowed(
        [
            *step(),
            *step_vjp(),
            *output(),
            *sequence(),
            *sequence_vjp(),
            *unrolled(),
            *one(),
            *many(),
            *encoder_decoder(),
        ],
        HALF,
    )
