"""Inputs for spec/bptt.md: each step of backpropagation through time wrong by itself."""

from typing import Any

import numpy as np

from nnspec.conformance.cases.draft import Draft, draw
from nnspec.reference.array import Array

Inputs = dict[str, Any]

# W = ρ Q with Q orthogonal and exact in binary: no unit alone, no symmetry
HADAMARD = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [-1, -1, 1, 1], [1, -1, -1, 1]]) / 2


def drafts() -> list[Draft]:
    """All drafts of the page."""
    return [
        *forwards(),
        *deltas(),
        *gradients(),
        *unfolded(),
        *truncated(),
        *updates(),
        *jacobians(),
    ]


def network(
    key: str, T: int, B: int, I: int, H: int, O: int, *, start: bool = False, scale: float = 1.0
) -> Inputs:
    """X, U, W and V, and S_0 where wanted."""
    made = {
        "X": draw(f"{key} X", T, B, I),
        "U": draw(f"{key} U", H, I, scale=scale),
        "W": draw(f"{key} W", H, H, scale=scale),
        "V": draw(f"{key} V", O, H, scale=scale),
    }
    return made | ({"S_0": draw(f"{key} S_0", B, H)} if start else {})


def backward(key: str, T: int, B: int, H: int, O: int) -> Inputs:
    """S, O, W, V and dO, states and outputs drawn in (-1, 1)."""
    return {
        "S": draw(f"{key} S", T, B, H),
        "O": draw(f"{key} O", T, B, O),
        "W": draw(f"{key} W", H, H),
        "V": draw(f"{key} V", O, H),
        "dO": draw(f"{key} dO", T, B, O),
    }


def record(key: str, T: int, B: int, I: int, H: int, O: int, *, start: bool = False) -> Inputs:
    """X, S, delta and delta_O, and S_0 where wanted."""
    made = {
        "X": draw(f"{key} X", T, B, I),
        "S": draw(f"{key} S", T, B, H),
        "delta": draw(f"{key} delta", T, B, H),
        "delta_O": draw(f"{key} delta_O", T, B, O),
    }
    return made | ({"S_0": draw(f"{key} S_0", B, H)} if start else {})


def forwards() -> list[Draft]:
    """bptt_forward and its VJP."""

    def case(name: str, note: str, inputs: Inputs, vjp: bool = False, **more: Any) -> Draft:
        return Draft("bptt_forward.vjp" if vjp else "bptt_forward", name, note, inputs, **more)

    sizes = (5, 2, 3, 4, 6)
    return [
        case(
            "plain",
            "O from the sum and not from the state, or tanh missing on the output",
            network("bptt_forward plain", *sizes),
        ),
        case(
            "start",
            "S_0 ignored, or returned among the states",
            network("bptt_forward start", *sizes, start=True),
        ),
        case(
            "sigmoid",
            "the attribute taken for the outputs too, which stay tanh",
            network("bptt_forward sigmoid", *sizes, start=True),
            attributes={"activation": "sigmoid"},
        ),
        case(
            "sigmoid-saturated",
            "sums of ±1e4: states exactly 0 and 1, where tanh has -1",
            network("bptt_forward sigmoid-saturated", *sizes)
            | {"X": draw("bptt_forward sigmoid-saturated X", 5, 2, 3, scale=1e4)},
            attributes={"activation": "sigmoid"},
            flags=("saturation",),
        ),
        case(
            "square",
            "T = B = I = H = O: any axis or matrix exchanged keeps its shape",
            network("bptt_forward square", 4, 4, 4, 4, 4, start=True),
            flags=("square",),
        ),
        case(
            "no-time",
            "T = 0: (0, B, H) and (0, B, O)",
            network("bptt_forward no-time", 0, 2, 3, 4, 5, start=True),
            flags=("zero-length",),
        ),
        case(
            "no-batch",
            "B = 0: (T, 0, H) and (T, 0, O)",
            network("bptt_forward no-batch", 3, 0, 4, 2, 5),
            flags=("zero-length",),
        ),
        case(
            "plain",
            "an error that does not come from the next time: dS_t of the states is passed on too",
            network("bptt_forward plain", *sizes),
            vjp=True,
        ),
        case(
            "start",
            "dS_0 dropped, or the first time's dW from a state of 0",
            network("bptt_forward start", *sizes, start=True),
            vjp=True,
        ),
        case(
            "sigmoid",
            "1 - S² for S (1 - S)",
            network("bptt_forward sigmoid", *sizes, start=True),
            vjp=True,
            attributes={"activation": "sigmoid"},
        ),
        case(
            "sigmoid-outputs-alone",
            "σ's derivative on the outputs as well, which are tanh",
            network("bptt_forward sigmoid-outputs-alone", 3, 2, 4, 5, 6)
            | {"dS": np.zeros((3, 2, 5))},
            vjp=True,
            attributes={"activation": "sigmoid"},
        ),
        case(
            "outputs-alone",
            "dS = 0, what the three steps do: the gradients of the shared weights",
            network("bptt_forward outputs-alone", 4, 3, 2, 5, 3) | {"dS": np.zeros((4, 3, 5))},
            vjp=True,
        ),
        case(
            "square",
            "W for Wᵀ on the way back, silent on a square",
            network("bptt_forward square", 4, 4, 4, 4, 4, start=True),
            vjp=True,
            flags=("square",),
        ),
        case(
            "no-time",
            "T = 0: weights' gradients of full shape, dS_0 = 0",
            network("bptt_forward no-time", 0, 2, 3, 4, 5, start=True),
            vjp=True,
            flags=("zero-length",),
        ),
    ]


# worked on paper, H = 1, O = 1: S = (1/2, 0), O = (0, 1/2), W = 2, V = 3, dO = (1, 4).
# δO = (1, 4 · 3/4) = (1, 3). δ_2 = 1 · 3 · 3 = 9, δ_1 = (1 - 1/4) (3 · 1 + 2 · 9) = 63/4.
HAND_DELTA: Inputs = {
    "S": np.array([[[0.5]], [[0.0]]]),
    "O": np.array([[[0.0]], [[0.5]]]),
    "W": np.array([[2.0]]),
    "V": np.array([[3.0]]),
    "dO": np.array([[[1.0]], [[4.0]]]),
}


def deltas() -> list[Draft]:
    """bptt_delta."""

    def case(name: str, note: str, inputs: Inputs, **more: Any) -> Draft:
        return Draft("bptt_delta", name, note, inputs, **more)

    def last_alone(key: str, *sizes: int) -> Inputs:
        made = backward(key, *sizes)
        made["dO"][:-1] = 0
        return made

    logistic = backward("bptt_delta sigmoid", 5, 2, 4, 3)
    logistic_last = last_alone("bptt_delta sigmoid-last-alone", 7, 2, 3, 4)
    for made in (logistic, logistic_last):
        made["S"] = np.abs(made["S"])
    saturated = backward("bptt_delta saturated", 5, 2, 3, 4)
    saturated["S"][2] = [[1.0, -1.0, 1.0], [0.25, 1.0, -1.0]]
    saturated["O"][4, 0] = 1.0
    orthogonal = {
        "S": np.zeros((40, 1, 4)),
        "O": np.zeros((40, 1, 2)),
        "W": 0.5 * HADAMARD,
        "V": draw("bptt_delta vanishing V", 2, 4),
        "dO": np.concatenate([np.zeros((39, 1, 2)), [[[1.0, -0.5]]]]),
    }
    quiet = backward("bptt_delta recurrent-alone", 6, 2, 4, 3)
    quiet["dO"][:3] = 0
    special = backward("bptt_delta nan", 5, 3, 4, 2)
    special["dO"][2, 1, 0] = np.nan
    return [
        case(
            "plain",
            "one of the two sources forgotten, or f' on one of them only",
            backward("bptt_delta plain", 5, 2, 3, 4),
        ),
        case(
            "hand",
            "by hand δ = (63/4, 9): without the next time 9/4, with δ at the state 21",
            HAND_DELTA,
            flags=("hand",),
        ),
        case(
            "sigmoid",
            "1 - S² for S (1 - S), or σ's derivative on the outputs too",
            logistic,
            attributes={"activation": "sigmoid"},
        ),
        case(
            "sigmoid-last-alone",
            "S (1 - S) at the last time only: every time back takes a quarter or less",
            logistic_last,
            attributes={"activation": "sigmoid"},
            flags=("isolated",),
        ),
        case(
            "square",
            "W δ for Wᵀ δ, V for Vᵀ, silent on a square; T and B exchanged",
            backward("bptt_delta square", 4, 4, 4, 4),
            flags=("square",),
        ),
        case(
            "last-alone",
            "an output's error at the last time alone: all others come from the next time",
            last_alone("bptt_delta last-alone", 6, 2, 3, 4),
            flags=("isolated",),
        ),
        case(
            "one-step",
            "T = 1: an error from a time after the last",
            backward("bptt_delta one-step", 1, 3, 4, 2),
        ),
        case(
            "recurrent-alone",
            "times without an output's error skipped on the way back",
            quiet,
            flags=("isolated",),
        ),
        case(
            "no-recurrence",
            "W = 0: times do not know of each other; a δ passed on without W does",
            backward("bptt_delta no-recurrence", 4, 2, 3, 5) | {"W": np.zeros((3, 3))},
            flags=("isolated",),
        ),
        case(
            "near-one",
            "1 - S² squared in half precision: states within 1e-3 of ±1",
            backward("bptt_delta near-one", 4, 2, 3, 5)
            | {"S": np.sign(draw("bptt_delta near-one S", 4, 2, 3)) * 0.99951171875},
            flags=("cancellation",),
        ),
        case(
            "saturated",
            "a state at ±1 lets no error through, exactly; an epsilon in the derivative does",
            saturated,
            flags=("saturation",),
        ),
        case(
            "nan",
            "a NaN in one output's error that reaches a later time, or another example",
            special,
            flags=("special",),
        ),
        case(
            "vanishing",
            "W = Q / 2: 2^-39 of the last error is left at the first time, not 0 nor an epsilon",
            orthogonal,
            flags=("long",),
        ),
        case(
            "exploding",
            "W = 3 Q / 2: errors of 1e6, clipped by nobody who was not asked",
            orthogonal | {"W": 1.5 * HADAMARD},
            flags=("long",),
        ),
        case(
            "no-time",
            "T = 0: errors of shapes (0, B, H) and (0, B, O)",
            backward("bptt_delta no-time", 0, 2, 3, 4),
            flags=("zero-length",),
        ),
        case(
            "no-batch",
            "B = 0: errors of shapes (T, 0, H) and (T, 0, O)",
            backward("bptt_delta no-batch", 4, 0, 3, 2),
            flags=("zero-length",),
        ),
    ]


def gradients() -> list[Draft]:
    """bptt_untied and bptt_gradient."""

    def case(operation: str, name: str, note: str, inputs: Inputs, **more: Any) -> Draft:
        return Draft(operation, name, note, inputs, **more)

    long = record("bptt_gradient long", 300, 1, 2, 3, 1)
    cancelling = record("bptt_gradient cancellation", 4, 2, 3, 2, 5)
    cancelling["delta"][2:] = 1e-4 * cancelling["delta"][2:] - cancelling["delta"][:2]
    cancelling["X"][2:] = cancelling["X"][:2]
    fixed = record("bptt_gradient fixed-point", 5, 2, 3, 4, 2, start=True)
    fixed["S"][:] = fixed["S_0"]
    # worked on paper: X = (1, 2), S_0 = 3, S = (5, 7), δ = (1, 10), δO = (1/2, 1/4):
    # dU = 1 + 20, dW = 3 + 50, dV = 5/2 + 7/4
    hand = {
        "X": np.array([[[1.0]], [[2.0]]]),
        "S": np.array([[[5.0]], [[7.0]]]),
        "delta": np.array([[[1.0]], [[10.0]]]),
        "delta_O": np.array([[[0.5]], [[0.25]]]),
        "S_0": np.array([[3.0]]),
    }
    found = []
    for operation, form in (("bptt_untied", "each time's"), ("bptt_gradient", "summed")):
        found += [
            case(
                operation,
                "start",
                f"{form} dW with S_t for S_(t-1); the first time skipped, or met by S_T",
                record(f"{operation} start", 5, 2, 3, 4, 6, start=True),
            ),
            case(
                operation,
                "hand",
                "by hand dU = 1 and 20, dW = 3 and 50, dV = 5/2 and 7/4: dW with S_t is 5 and 70",
                hand,
                flags=("hand",),
            ),
            case(
                operation,
                "square",
                "a gradient transposed, time and batch exchanged: silent where all sizes are 4",
                record(f"{operation} square", 4, 4, 4, 4, 4, start=True),
                flags=("square",),
            ),
            case(
                operation,
                "one-step",
                "T = 1 without a start: dW is 0, since the state before is 0",
                record(f"{operation} one-step", 1, 3, 4, 2, 5),
            ),
            case(
                operation,
                "no-time",
                "T = 0: no times, or zeros of full shape",
                record(f"{operation} no-time", 0, 2, 3, 4, 5, start=True),
                flags=("zero-length",),
            ),
            case(
                operation,
                "no-batch",
                "B = 0: zeros of full shape, for every time",
                record(f"{operation} no-batch", 3, 0, 4, 2, 5),
                flags=("zero-length",),
            ),
        ]
    return [
        *found,
        case(
            "bptt_untied",
            "plain",
            "summed or running totals over time for each time's own, or averaged over the batch",
            record("bptt_untied plain", 4, 3, 2, 5, 6),
        ),
        case(
            "bptt_gradient",
            "plain",
            "the gradient of the last visited time alone, overwritten and not added; means for"
            " sums over time or batch",
            record("bptt_gradient plain", 4, 3, 2, 5, 6),
        ),
        case(
            "bptt_gradient",
            "fixed-point",
            "a sequence that stands still, where S_t for S_(t-1) is the same: a fault here is"
            " another",
            fixed,
            flags=("isolated",),
        ),
        case(
            "bptt_gradient",
            "long",
            "a float16 sum over 300 times",
            long,
            flags=("long",),
        ),
        case(
            "bptt_gradient",
            "cancellation",
            "errors of opposite times cancel to four digits: bfloat16 products keep none",
            cancelling,
            flags=("cancellation",),
        ),
    ]


def unfolded() -> list[Draft]:
    """bptt_unfolded and its VJP."""

    def deep(key: str, T: int, B: int, I: int, H: int, O: int, start: bool = True) -> Inputs:
        made = {
            "X": draw(f"{key} X", T, B, I),
            "U": draw(f"{key} U", T, H, I),
            "W": draw(f"{key} W", T, H, H),
            "V": draw(f"{key} V", T, O, H),
        }
        return made | ({"S_0": draw(f"{key} S_0", B, H)} if start else {})

    def tied(key: str, T: int, *sizes: int) -> Inputs:
        made = network(key, T, *sizes, start=True)
        return made | {name: np.stack([made[name]] * T) for name in ("U", "W", "V")}

    plain = deep("bptt_unfolded plain", 4, 2, 3, 5, 6)
    equal = tied("bptt_unfolded tied", 5, 2, 3, 4, 6)
    square = deep("bptt_unfolded square", 4, 4, 4, 4, 4)
    sigmoid = deep("bptt_unfolded sigmoid", 3, 2, 4, 3, 5)
    bare = deep("bptt_unfolded no-start", 3, 2, 4, 3, 5, False)
    empty = deep("bptt_unfolded no-time", 0, 2, 3, 4, 5)
    σ = {"activation": "sigmoid"}
    return [
        Draft("bptt_unfolded", "plain", "the first time's weights at every time", plain),
        Draft(
            "bptt_unfolded",
            "tied",
            "equal weights at all times are the RNN: the states of bptt_forward",
            equal,
        ),
        Draft(
            "bptt_unfolded",
            "square",
            "the axis of time taken for that of rows, silent where all sizes are 4",
            square,
            ("square",),
        ),
        Draft("bptt_unfolded", "sigmoid", "the attribute ignored", sigmoid, attributes=σ),
        Draft(
            "bptt_unfolded",
            "sigmoid-tied",
            "σ with equal weights: the other activation's RNN",
            equal,
            attributes=σ,
        ),
        Draft("bptt_unfolded", "no-start", "an absent S_0 that is not 0", bare),
        Draft(
            "bptt_unfolded", "no-time", "T = 0: no weights and no states", empty, ("zero-length",)
        ),
        Draft(
            "bptt_unfolded.vjp",
            "plain",
            "the error carried back by W of its own time, and not by the next time's",
            plain,
        ),
        Draft(
            "bptt_unfolded.vjp",
            "tied",
            "each time's gradient of equal weights: their sum is the RNN's, and none is the sum",
            equal,
        ),
        Draft(
            "bptt_unfolded.vjp",
            "square",
            "W for Wᵀ on the way back, silent where all sizes are 4",
            square,
            ("square",),
        ),
        Draft(
            "bptt_unfolded.vjp",
            "sigmoid",
            "the derivative 1 - S² for S (1 - S)",
            sigmoid,
            attributes=σ,
        ),
        Draft(
            "bptt_unfolded.vjp",
            "sigmoid-tied",
            "σ with equal weights: S (1 - S) at some times only",
            equal,
            attributes=σ,
        ),
        Draft("bptt_unfolded.vjp", "no-start", "dS_0 missing where S_0 is not given", bare),
        Draft(
            "bptt_unfolded.vjp",
            "no-time",
            "T = 0: dS_0 = 0 and no weights",
            empty,
            ("zero-length",),
        ),
    ]


def truncated() -> list[Draft]:
    """bptt_truncated and bptt_chunked."""

    def inputs(key: str, T: int, B: int, I: int, H: int, O: int, start: bool = True) -> Inputs:
        made = network(key, T, B, I, H, O, start=start, scale=0.8)
        return made | {"dO": draw(f"{key} dO", T, B, O)}

    found = []
    for operation in ("bptt_truncated", "bptt_chunked"):

        def case(
            name: str, note: str, window: int, made: Inputs, operation: str = operation, **more: Any
        ) -> Draft:
            attributes = {"window": window} | more.pop("attributes", {})
            return Draft(operation, name, note, made, attributes=attributes, **more)

        key = f"{operation} plain"
        plain = inputs(key, 7, 2, 3, 4, 5)
        last = inputs(f"{operation} last-alone", 7, 2, 3, 4, 5)
        last["dO"][:-1] = 0
        first = inputs(f"{operation} first-alone", 6, 2, 3, 4, 5)
        first["dO"][1:] = 0
        found += [
            case(
                "plain",
                "window and pieces exchanged; counted from the last step; one step more or less",
                3,
                plain,
            ),
            case(
                "two",
                "a window of 2 that reaches 2 steps back and not 1",
                2,
                plain,
            ),
            case(
                "one",
                "window 1: no error from the next time at all, and dV whole",
                1,
                plain,
            ),
            case(
                "whole",
                "window = T: the whole gradient; the first state is not reached by the last output",
                7,
                plain,
            ),
            case(
                "beyond",
                "window > T: indices before the first time",
                100,
                plain,
            ),
            case(
                "last-alone",
                "an error at the last time alone: how many states it reaches, counted",
                3,
                last,
                flags=("isolated",),
            ),
            case(
                "first-alone",
                "an error at the first time alone, which no window cuts: forward nothing is cut",
                2,
                first,
                flags=("isolated",),
            ),
            case(
                "sigmoid",
                "the attribute ignored on the way back",
                2,
                inputs(f"{operation} sigmoid", 5, 3, 2, 4, 3),
                attributes={"activation": "sigmoid"},
            ),
            case(
                "sigmoid-whole",
                "σ with a window as long as the sequence: S (1 - S) at every time",
                5,
                inputs(f"{operation} sigmoid-whole", 5, 2, 4, 3, 6),
                attributes={"activation": "sigmoid"},
            ),
            case(
                "square",
                "W for Wᵀ on the way back, silent where all sizes are 4",
                3,
                inputs(f"{operation} square", 4, 4, 4, 4, 4),
                flags=("square",),
            ),
            case(
                "no-start",
                "S_0 absent: the first time's dW from a state that is not 0",
                2,
                inputs(f"{operation} no-start", 5, 2, 3, 4, 6, False),
            ),
            case(
                "no-time",
                "T = 0: zeros of full shape",
                2,
                inputs(f"{operation} no-time", 0, 2, 3, 4, 5),
                flags=("zero-length",),
            ),
            case(
                "no-batch",
                "B = 0: zeros of full shape",
                2,
                inputs(f"{operation} no-batch", 5, 0, 3, 4, 2),
                flags=("zero-length",),
            ),
        ]
    return found


def updates() -> list[Draft]:
    """sgd_step, clip_gradient_norm and bptt_train_step."""

    def sgd(name: str, note: str, theta: object, g: object, **more: Any) -> Draft:
        made = {"theta": np.array(theta, dtype=float), "g": np.array(g, dtype=float)}
        return Draft("sgd_step", name, note, made, **more)

    def clip(name: str, note: str, g: tuple[object, ...], threshold: float, **more: Any) -> Draft:
        names = ("g_U", "g_W", "g_V")
        made = {n: np.array(v, dtype=float) for n, v in zip(names, g, strict=True)}
        attributes = {"threshold": threshold}
        return Draft("clip_gradient_norm", name, note, made, attributes=attributes, **more)

    def three(key: str, scale: float = 1.0) -> tuple[Array, Array, Array]:
        key = f"clip_gradient_norm {key}"
        return (
            draw(f"{key} g_U", 3, 2, scale=scale),
            draw(f"{key} g_W", 3, 3, scale=scale),
            draw(f"{key} g_V", 4, 3, scale=scale),
        )

    def train(name: str, note: str, *sizes: int, start: bool = False, **more: Any) -> Draft:
        key = f"bptt_train_step {name}"
        T, B, _, _, O = sizes
        made = network(key, *sizes, start=start) | {"Y": draw(f"{key} Y", T, B, O)}
        return Draft("bptt_train_step", name, note, made, **more)

    nan, inf = np.nan, np.inf
    exploded = three("exploded", 1e25)
    return [
        sgd(
            "plain",
            "up the gradient; the rate ignored or squared",
            draw("sgd_step plain theta", 3, 4),
            draw("sgd_step plain g", 3, 4),
            attributes={"eta": 0.125},
        ),
        sgd(
            "rate",
            "a rate of 0.1 or 0.001 for the 0.01 that holds unless given",
            draw("sgd_step rate theta", 2, 5),
            draw("sgd_step rate g", 2, 5, scale=30),
        ),
        sgd(
            "hand",
            "1 - 0.5 · 3 = -0.5, and -2 - 0.5 · -1 = -1.5",
            [1.0, -2.0],
            [3.0, -1.0],
            attributes={"eta": 0.5},
            flags=("hand",),
        ),
        sgd(
            "zero-gradient",
            "weight decay: a gradient of 0 leaves the weight bit for bit",
            [0.3, -7.0, 1e-30, 1e20],
            [0.0, -0.0, 0.0, 0.0],
            attributes={"eta": 0.1},
        ),
        sgd(
            "large-step",
            "a gradient clipped, or its sign taken, without being asked",
            [0.5, -0.25, 1.0],
            [1e6, -3e7, 2e-6],
            attributes={"eta": 0.75},
        ),
        sgd(
            "three-axes",
            "another shape than a matrix refused",
            draw("sgd_step three-axes theta", 2, 3, 2),
            draw("sgd_step three-axes g", 2, 3, 2),
            attributes={"eta": 1.0},
        ),
        sgd(
            "empty",
            "a weight without elements: (0, 3)",
            np.zeros((0, 3)),
            np.zeros((0, 3)),
            flags=("zero-length",),
        ),
        sgd(
            "nan",
            "a NaN that reaches another weight, or is taken for 0",
            [0.5, 1.5, -2.5],
            [1.0, nan, inf],
            flags=("special",),
        ),
        clip(
            "plain",
            "each array by its own norm, or each element; the factor on one array only",
            three("plain", 3),
            2.5,
        ),
        clip(
            "below",
            "scaled *up* to the threshold where the norm is below it",
            three("below"),
            20.0,
        ),
        clip(
            "hand",
            "‖(3, 4, 12)‖ = 13: clipped to 6.5 it is (1.5, 2, 6); the 1-norm is 19, the largest 12",
            ([[3.0]], [[4.0]], [[-12.0]]),
            6.5,
            flags=("hand",),
        ),
        clip(
            "equal",
            "norm and threshold both 13: unchanged, as torch's added 1e-6 does not leave it",
            ([[3.0]], [[4.0]], [[-12.0]]),
            13.0,
            flags=("hand",),
        ),
        clip(
            "small-threshold",
            "the norm plus 1e-6: with a threshold and a norm of this size the factor halves",
            three("small-threshold", 1e-6),
            1e-6,
        ),
        clip(
            "exploded",
            "squares of 1e25 overflow in float32: an infinite norm, and a gradient of 0",
            exploded,
            1.0,
            flags=("saturation",),
        ),
        clip(
            "exploded-f64",
            "squares of 1e200 overflow in float64",
            tuple(g * 1e175 for g in exploded),
            5.0,
            flags=("saturation",),
            dtypes=("float64",),
        ),
        clip(
            "vanished",
            "squares of 1e-25 vanish in float32: the norm is 1e-25 and not 0, above its threshold",
            three("vanished", 1e-25),
            1e-26,
        ),
        clip(
            "zero",
            "threshold / 0: gradients of 0 stay 0",
            (np.zeros((2, 3)), np.zeros((2, 2)), np.zeros((1, 2))),
            1.0,
        ),
        clip(
            "shapes",
            "matrices taken for granted: a vector, no elements and three axes",
            (draw("clip shapes a", 5, scale=4), np.zeros((0, 2)), draw("clip shapes b", 2, 1, 3)),
            3.0,
        ),
        clip(
            "nan",
            "a NaN in one array makes all NaN; a maximum that passes over it clips the others",
            ([[0.5, nan]], [[3.0]], [[-4.0, 0.25]]),
            1.0,
            flags=("special",),
        ),
        clip(
            "infinite",
            "an infinite gradient has an infinite norm; the finite ones become 0, itself NaN",
            ([[0.5, inf]], [[3.0]], [[-4.0, 0.25]]),
            1.0,
            flags=("special",),
        ),
        train(
            "plain",
            "V updated before it carries the errors back; up the gradient; the loss after the step",
            4,
            2,
            3,
            5,
            6,
            attributes={"eta": 0.5},
        ),
        train(
            "start",
            "S_0 forgotten in the gradient, or moved as well",
            5,
            3,
            2,
            4,
            3,
            start=True,
            attributes={"eta": 0.25},
        ),
        train(
            "sigmoid",
            "the attribute kept from one of the three steps",
            4,
            2,
            3,
            5,
            2,
            start=True,
            attributes={"eta": 0.5, "activation": "sigmoid"},
        ),
        train(
            "sigmoid-hot",
            "σ and a rate of 4: a weight that is updated and used again in the same step",
            6,
            3,
            4,
            2,
            5,
            attributes={"eta": 4.0, "activation": "sigmoid"},
        ),
        train(
            "small-rate",
            "means over batch or time for sums, which the rate of 0.01 almost hides",
            6,
            4,
            2,
            3,
            5,
        ),
        train(
            "square",
            "any two arrays exchanged, silent where all sizes are 4",
            4,
            4,
            4,
            4,
            4,
            start=True,
            attributes={"eta": 0.125},
            flags=("square",),
        ),
        train(
            "no-batch", "B = 0: weights unchanged, loss 0", 3, 0, 4, 2, 5, flags=("zero-length",)
        ),
        train(
            "no-time",
            "T = 0: weights unchanged, loss 0",
            0,
            2,
            3,
            4,
            5,
            start=True,
            flags=("zero-length",),
        ),
    ]


def jacobians() -> list[Draft]:
    """state_jacobian, frobenius_norm and jacobian_bound."""

    def case(name: str, note: str, S: Array, W: Array, **more: Any) -> Draft:
        return Draft("state_jacobian", name, note, {"S": S, "W": W}, **more)

    def norms(name: str, note: str, A: object, **more: Any) -> Draft:
        made = {"A": np.array(A, dtype=float)}
        return Draft("frobenius_norm", name, note, made, **more)

    def bound(name: str, note: str, sigma: float, steps: int, **more: Any) -> Draft:
        attributes = {"steps": steps} | more.pop("attributes", {})
        made = {"sigma": np.array(sigma)}
        return Draft("jacobian_bound", name, note, made, attributes=attributes, **more)

    σ = {"activation": "sigmoid"}
    exploding = draw("frobenius_norm exploded A", 2, 3, 3, scale=1e25)
    # eigenvalues 1/2 and 1/2, singular values far above: errors grow before they vanish
    shear = np.array([[0.5, 4.0, 0.0], [0.0, 0.5, 4.0], [0.0, 0.0, 0.5]])
    return [
        case(
            "plain",
            "factors in the order of time, or f' behind W: diag(f') W and W diag(f') differ",
            draw("state_jacobian plain S", 4, 2, 3),
            draw("state_jacobian plain W", 3, 3),
        ),
        case(
            "square",
            "rows and columns of J exchanged, the batch taken for a unit: T = B = H",
            draw("state_jacobian square S", 4, 4, 4),
            draw("state_jacobian square W", 4, 4),
            flags=("square",),
        ),
        case(
            "sigmoid",
            "1 - S² for S (1 - S)",
            np.abs(draw("state_jacobian sigmoid S", 3, 2, 4)),
            draw("state_jacobian sigmoid W", 4, 4),
            attributes=σ,
        ),
        case(
            "hand",
            "by hand: S = (1/2, 0) and W = [0 1; 2 0] give diag(3/4, 1) W = [0 3/4; 2 0]",
            np.array([[[0.5, 0.0]]]),
            np.array([[0.0, 1.0], [2.0, 0.0]]),
            flags=("hand",),
        ),
        case(
            "isometry",
            "S = 0 and W = Q: the bound with equality, every norm 1, for ever",
            np.zeros((12, 1, 4)),
            HADAMARD,
            clauses=("bptt.state_jacobian", "bptt.jacobian_bound"),
        ),
        case(
            "sigmoid-isometry",
            "S = 1/2 and W = 4 Q under σ: 1/4 · 4 = 1, the bound with equality; for tanh it grows",
            np.full((9, 1, 4), 0.5),
            4 * HADAMARD,
            attributes=σ,
            clauses=("bptt.state_jacobian", "bptt.jacobian_bound"),
        ),
        case(
            "vanishing",
            "S = 0 and W = 3 Q / 4: (3/4)^40 Q^40, about 1e-5, and not 0",
            np.zeros((40, 1, 4)),
            0.75 * HADAMARD,
            flags=("long",),
            clauses=("bptt.state_jacobian", "bptt.jacobian_bound"),
        ),
        case(
            "exploding",
            "S = 0 and W = 5 Q / 4: (5/4)^40, about 7500, without a clip",
            np.zeros((40, 1, 4)),
            1.25 * HADAMARD,
            flags=("long",),
            clauses=("bptt.state_jacobian", "bptt.jacobian_bound"),
        ),
        case(
            "shear",
            "all eigenvalues 1/2 and yet errors grow: the spectral radius bounds nothing here",
            0.25 * draw("state_jacobian shear S", 6, 1, 3),
            shear,
            clauses=("bptt.state_jacobian", "bptt.jacobian_bound"),
        ),
        case(
            "saturated",
            "a state at ±1 passes nothing on: rows of 0, exactly",
            np.array([[[0.5, -0.25, 0.75]], [[1.0, -1.0, 0.5]], [[-0.5, 0.25, 0.125]]]),
            draw("state_jacobian saturated W", 3, 3),
            flags=("saturation",),
        ),
        case(
            "no-time",
            "T = 0: the identity alone",
            np.zeros((0, 2, 3)),
            draw("state_jacobian no-time W", 3, 3),
            flags=("zero-length",),
        ),
        case(
            "no-batch",
            "B = 0: (T + 1, 0, H, H)",
            np.zeros((3, 0, 2)),
            draw("state_jacobian no-batch W", 2, 2),
            flags=("zero-length",),
        ),
        norms(
            "plain",
            "the sum without its root, or of absolute values, or over all matrices at once",
            draw("frobenius_norm plain A", 2, 4, 3, 5, scale=3),
        ),
        norms(
            "matrix", "axes before the two taken for granted", draw("frobenius_norm matrix A", 3, 5)
        ),
        norms(
            "hand",
            "√(1 + 4 + 4 + 16) = 5 = √(9 + 16): the traces are 5 and -1, the 2-norms 4.7 and 4",
            [[[1.0, 2.0], [-2.0, 4.0]], [[3.0, 0.0], [0.0, -4.0]]],
            flags=("hand",),
        ),
        norms(
            "exploded",
            "squares of 1e25 overflow in float32",
            exploding,
            flags=("saturation",),
        ),
        norms(
            "vanished",
            "squares of 1e-25 vanish in float32, beside a matrix of ordinary numbers",
            np.stack([exploding[0] * 1e-50, exploding[1] * 1e-25]),
        ),
        norms(
            "zero",
            "0 / 0 where a matrix is scaled by its largest element",
            [[[0.0, 0.0], [0.0, -0.0]], [[0.5, 0.0], [0.0, 2.0]]],
        ),
        norms(
            "special",
            "a NaN or an infinity that reaches another matrix",
            [[[1.0, np.nan]], [[3.0, 4.0]], [[-np.inf, 2.0]]],
            flags=("special",),
        ),
        norms(
            "empty",
            "no matrices: (0,), and no largest element to scale by",
            np.zeros((0, 3, 3)),
            flags=("zero-length",),
        ),
        bound("plain", "one power too many or too few: n = 0 is 1", 0.9, 5),
        bound("growing", "a bound capped at 1", 1.25, 12),
        bound(
            "sigmoid",
            "γ = 1 for σ, whose derivative is at most 1/4: 3 is below 4 and errors vanish",
            3.0,
            6,
            attributes=σ,
        ),
        bound("sigmoid-four", "σ_max = 4 is the edge for σ: 1 at every n", 4.0, 5, attributes=σ),
        bound("sigmoid-growing", "a bound capped at 1 for σ alone", 6.5, 8, attributes=σ),
        bound("zero-steps", "steps = 0: the one number 1", 0.5, 0),
        bound("nothing", "0⁰ is 1 and 0¹ is 0", 0.0, 3),
    ]
