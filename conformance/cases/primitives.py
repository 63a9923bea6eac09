"""Cases of spec/primitives.md."""

from typing import Any

import numpy as np

from nnspec.conformance.cases.draft import NARROW, Draft, draw, narrowed

# magnitudes at which float32 and float64 exponentials lose, underflow and end
TAIL = [-16.7131, -18.5, -30.25, -60.125, -87.0, -88.5, -95.75, -103.25, -104.5, -710.0, -745.0]
EXTREMES = [1e4, -1e4, 3e38, -3e38]

# what people run in half precision: these drafts in float16 and bfloat16, too
HALF = {
    "sigmoid": "plain special moderate negative-tail positive-tail hand",
    "tanh": "plain special moderate small zeros",
    "softplus": "plain special moderate negative-tail threshold",
    "relu": "plain special zeros",
    "softmax": (
        "plain axis-0 axis-middle square large rows-far-apart wide equal-maxima one-element "
        "minus-infinity nan-row"
    ),
    "softmax.vjp": "plain axis-0 square saturated",
    "log_softmax": (
        "plain axis-middle square large rows-far-apart wide dominated equal-maxima minus-infinity"
    ),
    "cross_entropy": "plain square hand large sure-and-wrong doubtful minus-infinity",
    "layer_norm": "plain square one-axis hand eps offset-small constant-row nan-row",
    "layer_norm.vjp": "plain three-axes square eps",
    "affine": "plain bias square hand cancellation nan-row",
}


def drafts() -> list[Draft]:
    """All drafts of the topic."""
    return narrowed(
        [
            *elementwise(),
            *softmax(),
            *log_softmax(),
            *cross_entropy(),
            *layer_norm(),
            *words(),
            *affine(),
            *mlp(),
        ],
        HALF,
    )


def elementwise() -> list[Draft]:
    """Cases of sigmoid, tanh, softplus, relu and their VJPs."""
    nan, inf = np.nan, np.inf
    found: list[Draft] = []

    def add(operation: str, name: str, note: str, x: object, **more: object) -> None:
        inputs = {"x": np.array(x, dtype=np.float64)}
        if "dy" in more:
            inputs["dy"] = np.array(more.pop("dy"), dtype=np.float64)
        found.append(Draft(operation, name, note, inputs, **more))  # type: ignore[arg-type]

    for f in ("sigmoid", "tanh", "softplus", "relu"):
        add(
            f,
            "plain",
            "another function in its place (tanh for sigmoid, log2 for log), or an axis dropped:"
            " three axes of different sizes",
            draw(f"{f} plain x", 2, 3, 4, scale=4),
        )
        add(
            f,
            "special",
            "a comparison that lets NaN through as 0 or 1; an infinity that becomes NaN",
            [nan, inf, -inf, 0.5],
            flags=("special",),
        )
        add(
            f"{f}.vjp",
            "plain",
            "the derivative at y instead of at x, or dy forgotten",
            draw(f"{f}.vjp plain x", 3, 4, scale=3),
        )
        add(
            f,
            "empty",
            "a reduction or reshape that fails on no elements",
            np.zeros((0, 3)),
            flags=("zero-length",),
        )
    add(
        "sigmoid",
        "moderate",
        "an approximation of exp good to 1e-4 or 1e-6 only: a fine grid over ±12",
        np.linspace(-12, 12, 97).round(4),
    )
    add(
        "sigmoid",
        "negative-tail",
        "x clamped (to ±18, say), or 1 - σ(-x): far out σ(x) is e^x and"
        " must keep its relative precision",
        TAIL,
        flags=("saturation", "subnormal"),
    )
    add(
        "sigmoid",
        "extremes",
        "e^x / (1 + e^x) is NaN at +1e4; 1 / (1 + e^-x) overflows at -1e4",
        EXTREMES,
        flags=("saturation",),
    )
    add(
        "sigmoid",
        "positive-tail",
        "1 / (1 + e^-x) with a float16 exponential: results that are 1"
        " minus a few units in the last place",
        [8.5, 12.25, 15.5, 16.7131, 17.5, 25.0, 36.5],
        flags=("saturation",),
    )
    add(
        "sigmoid",
        "half-tail",
        "1 / (1 + e^-x): e^11.1 is infinite in float16, where the result is subnormal and not 0",
        [-9.5, -10.25, -11.25, -12.5, -14.75, -16.25, -17.5, -60.5, 6.5, 8.25, 11.5],
        flags=("saturation", "subnormal"),
        dtypes=NARROW,
        flush_allowed=False,
    )
    add(
        "sigmoid",
        "hand",
        "σ(0) = 1/2, σ(log 3) = 3/4 to the rounding of log 3",
        [0.0, -0.0, 1.0986122886681098],
        flags=("hand",),
    )
    add(
        "sigmoid",
        "subnormal",
        "1 + e^-x computed as if a subnormal x were not there; the result is 1/2",
        [1e-40, -1e-40, 1e-310, 5e-324],
        flags=("subnormal",),
    )
    add(
        "sigmoid.vjp",
        "saturated",
        "dy / (y (1 - y)) or a NaN from 0 · inf where y is exactly 0 or 1",
        [1e4, -1e4, 40.0, -40.0],
        flags=("saturation",),
    )
    add(
        "sigmoid.vjp",
        "tail",
        "y (1 - y) from a clamped y: in the negative tail the gradient is dy e^x",
        TAIL[:7],
        flags=("saturation",),
    )
    add(
        "sigmoid.vjp",
        "hand",
        "σ'(0) = 1/4, so dx = dy / 4",
        [0.0, 0.0],
        dy=[4.0, -2.0],
        flags=("hand",),
    )

    add(
        "tanh",
        "moderate",
        "a rational approximation good to 1e-4 or 1e-6 only: a fine grid over ±9",
        np.linspace(-9, 9, 91).round(4),
    )
    add(
        "tanh",
        "small",
        "(e^x - e^-x) / (e^x + e^-x) or 2σ(2x) - 1 cancel near 0, where tanh x is x",
        [1e-20, -3e-12, 1e-7, -2e-4, 0.0131, 0.1],
        flags=("cancellation",),
    )
    add(
        "tanh",
        "extremes",
        "the quotient of exponentials is inf / inf = NaN far out",
        EXTREMES,
        flags=("saturation",),
    )
    add(
        "tanh",
        "zeros",
        "the sign of a zero lost through 2σ(2x) - 1",
        [0.0, -0.0],
        flags=("signed-zero",),
        exact_zeros=True,
    )
    add(
        "tanh",
        "subnormal",
        "subnormals flushed to zero on the way in, where tanh x is x",
        [1e-40, -7e-42, 1e-45, 1e-310, -5e-324],
        flags=("subnormal",),
    )
    add(
        "tanh.vjp",
        "saturated",
        "1 / cosh² by exponentials overflows; 1 - y² is 0 here",
        [1e4, -1e4, 12.0, -25.0],
        flags=("saturation",),
    )
    add(
        "tanh.vjp",
        "small",
        "1 - x² in place of 1 - tanh² x, or the derivative taken at the output twice",
        [1e-20, -1e-4, 0.05, -0.3, 0.75],
        flags=("plain",),
    )

    add(
        "softplus",
        "moderate",
        "log(1 + e^x) with a plain log: the relative error grows to the left",
        np.linspace(-12, 12, 49).round(4),
    )
    add(
        "softplus",
        "negative-tail",
        "log(1 + e^x) is 0 as soon as e^x is below an ulp of 1, where the result is e^x",
        TAIL,
        flags=("saturation", "subnormal"),
    )
    add(
        "softplus",
        "extremes",
        "e^x overflows at 1e4, where the result is x",
        EXTREMES,
        flags=("saturation",),
    )
    add(
        "softplus",
        "hand",
        "softplus(0) = log 2; base-2 logarithm would give 1",
        [0.0, -0.0],
        flags=("hand",),
    )
    add(
        "softplus",
        "threshold",
        "a threshold above which x is returned set too low (at 10, or 20"
        " in float64): x + e^-x there",
        [9.5, 10.5, 14.25, 16.5, 20.5, 30.0, 36.0],
        flags=("saturation",),
    )
    add(
        "softplus",
        "half-overflow",
        "log(1 + e^x): e^11.25 is infinite in float16, e^89 in bfloat16",
        [11.25, 12.5, 20.0, 89.0, 1000.0, -11.25, -15.5],
        flags=("saturation",),
        dtypes=NARROW,
    )
    add(
        "softplus.vjp",
        "tails",
        "σ(x) from log-space with a clamp: e^x to the left, 1 to the right",
        [*TAIL[:7], 20.0, 1e4, -1e4],
        flags=("saturation",),
    )

    add(
        "relu",
        "zeros",
        "leaky slope or an offset near 0: zeros of either sign and the smallest numbers",
        [0.0, -0.0, 1e-30, -1e-30],
        flags=("signed-zero",),
    )
    add(
        "relu",
        "subnormal",
        "subnormals flushed: a value that is moved must arrive",
        [1e-40, -1e-40, 1e-45, 1e-310, 5e-324],
        flags=("subnormal",),
        flush_allowed=False,
    )
    add("relu", "large", "a ceiling (ReLU6)", [5.5, 6.5, 1e4, 3e38], flags=("saturation",))
    add(
        "relu.vjp",
        "kink",
        "a derivative of 1 or 1/2 at 0, where it is 0",
        [0.0, -0.0, 1.5, -1.5],
        dy=[1.25, -2.5, 3.0, 4.0],
        flags=("kink", "signed-zero"),
    )
    return found


def softmax() -> list[Draft]:
    """Cases of softmax and its VJP."""
    nan, inf = np.nan, np.inf

    def case(name: str, note: str, x: object, vjp: bool = False, **more: object) -> Draft:
        operation = "softmax.vjp" if vjp else "softmax"
        inputs = {"x": np.array(x, dtype=np.float64)}
        if "dy" in more:
            inputs["dy"] = np.array(more.pop("dy"), dtype=np.float64)
        return Draft(operation, name, note, inputs, **more)  # type: ignore[arg-type]

    return [
        case(
            "plain", "the sum over all elements instead of each row", draw("softmax plain x", 3, 5)
        ),
        case("axis-0", "the axis ignored", draw("softmax axis-0 x", 3, 4), attributes={"axis": 0}),
        case(
            "axis-middle",
            "the axis counted from the other end, or taken after a reshape",
            draw("softmax axis-middle x", 2, 5, 3),
            attributes={"axis": 1},
        ),
        case(
            "axis-negative",
            "a negative axis other than -1 refused or taken as 0",
            draw("softmax axis-negative x", 3, 4, 2),
            attributes={"axis": -2},
        ),
        case(
            "square",
            "rows and columns exchanged, which a square keeps silent about",
            draw("softmax square x", 4, 4, scale=2),
            flags=("square",),
        ),
        case(
            "large",
            "no maximum subtracted: e^1e4 overflows",
            [[1e4, 9999.0, 9990.0], [-1e4, -9999.0, -9990.0]],
            flags=("saturation",),
        ),
        case(
            "half-overflow",
            "no maximum subtracted: e^12 is infinite in float16, e^90 in bfloat16",
            [[12.0, 11.5, 10.25, -3.0], [90.0, 89.5, 87.0, 0.5]],
            flags=("saturation",),
            dtypes=NARROW,
        ),
        case(
            "rows-far-apart",
            "one maximum for the whole array: the low row underflows to 0 / 0",
            [[500.0, 501.0, 499.0], [-500.0, -501.0, -498.0]],
            flags=("saturation",),
        ),
        case(
            "wide",
            "weights below the least float32 turned into an epsilon, or kept at 1e-9",
            [[0.0, -20.0, -50.0, -85.0, -100.0, -110.0, -800.0]],
            flags=("subnormal",),
        ),
        case(
            "equal-maxima",
            "a hard argmax, or the maximum counted once",
            [[2.5, 2.5, -1.0, 2.5], [0.0, 0.0, 0.0, 0.0]],
            flags=("hand",),
        ),
        case(
            "one-element",
            "an epsilon in the denominator: one weight is exactly 1",
            [[-1e4], [0.25], [1e4]],
            flags=("hand",),
        ),
        case(
            "epsilon",
            "1e-9 or 1e-12 added to the sum: 128 equal weights of 1/128 and a far row",
            [[-3.0] * 128, [40.0] * 128],
        ),
        case(
            "minus-infinity",
            "-inf scores as masks: weight 0, and NaN from inf - inf avoided",
            [[-inf, 0.5, 1.0], [2.0, -inf, -inf], [0.25, 0.5, 0.75]],
            flags=("special",),
        ),
        case(
            "all-minus-infinity",
            "a row of -inf alone set to 0 or uniform: plain softmax is NaN"
            " there, and no other row is",
            [[-inf, -inf, -inf], [1.0, 2.0, 3.5]],
            flags=("special",),
        ),
        case(
            "nan-row",
            "a NaN that reaches another row, or is ignored in its own",
            [[0.5, nan, 1.0], [0.25, 1.0, -0.5], [inf, 0.0, 1.0]],
            flags=("special",),
        ),
        case("no-rows", "a batch of 0", np.zeros((0, 4)), flags=("zero-length",)),
        case(
            "long-row",
            "a float16 or unordered sum of many weights",
            draw("softmax long-row x", 1, 300, scale=2),
            flags=("long",),
        ),
        case("hand", "e^log 3 : e^0 = 3 : 1", [[1.0986122886681098, 0.0]], flags=("hand",)),
        case(
            "plain",
            "only the diagonal of the Jacobian: the sum over k forgotten",
            draw("softmax.vjp plain x", 3, 5),
            vjp=True,
        ),
        case(
            "axis-0",
            "the sum of dy y over the wrong axis",
            draw("softmax.vjp axis-0 x", 4, 3),
            vjp=True,
            attributes={"axis": 0},
        ),
        case(
            "square",
            "the Jacobian transposed or the axis swapped, silent on a square",
            draw("softmax.vjp square x", 4, 4),
            vjp=True,
            flags=("square",),
        ),
        case(
            "constant",
            "a constant cotangent has gradient 0: only cancellation is left",
            draw("softmax.vjp constant x", 2, 6),
            vjp=True,
            dy=np.full((2, 6), 0.75),
            flags=("cancellation",),
        ),
        case(
            "saturated",
            "a NaN where one weight is 1 and the others are 0",
            [[1e4, 0.0, -1e4], [30.0, -30.0, 29.0]],
            vjp=True,
            flags=("saturation",),
        ),
        case("no-rows", "a batch of 0", np.zeros((0, 4)), vjp=True, flags=("zero-length",)),
    ]


def log_softmax() -> list[Draft]:
    """Cases of log_softmax and its VJP."""
    nan, inf = np.nan, np.inf

    def case(name: str, note: str, x: object, vjp: bool = False, **more: Any) -> Draft:
        operation = "log_softmax.vjp" if vjp else "log_softmax"
        inputs = {"x": np.array(x, dtype=np.float64)}
        if "dy" in more:
            inputs["dy"] = np.array(more.pop("dy"), dtype=np.float64)
        return Draft(operation, name, note, inputs, **more)

    return [
        case(
            "plain",
            "the sum over all elements instead of each row; log2",
            draw("log_softmax plain x", 3, 5, scale=2),
        ),
        case(
            "axis-0",
            "the axis ignored",
            draw("log_softmax axis-0 x", 4, 3),
            attributes={"axis": 0},
        ),
        case(
            "axis-middle",
            "the axis counted from the other end, or a maximum of another axis",
            draw("log_softmax axis-middle x", 2, 5, 3, scale=3),
            attributes={"axis": 1},
        ),
        case(
            "square",
            "rows and columns exchanged, which a square keeps silent about",
            draw("log_softmax square x", 4, 4, scale=2),
            flags=("square",),
        ),
        case(
            "large",
            "no maximum subtracted: e^1e4 overflows",
            [[1e4, 9999.0, 9990.0], [-1e4, -9999.0, -9990.0]],
            flags=("saturation",),
        ),
        case(
            "rows-far-apart",
            "one maximum for the whole array: the low row's sum underflows to log 0",
            [[500.0, 501.0, 499.0], [-500.0, -501.0, -498.0]],
            flags=("saturation",),
        ),
        case(
            "wide",
            "log(softmax(x)): -inf, or the log of an epsilon, as soon as the weight underflows",
            [[0.0, -20.0, -50.0, -85.0, -100.0, -110.0, -800.0], [9e3, 1.0, 2.0, 3.0, 4, 5, 6]],
            flags=("saturation",),
        ),
        case(
            "dominated",
            "an epsilon of 1e-9 or 1e-12 inside the logarithm: the largest weight is nearly 1",
            [[12.5, -6.0, 1.5, -3.0], [0.0, -40.0, -60.0, -35.0]],
            flags=("saturation",),
        ),
        case(
            "equal-maxima",
            "by hand -log 3 and -log 4: the maximum counted once gives 0",
            [[700.0, 700.0, 700.0, -1e4], [0.0, 0.0, 0.0, 0.0]],
            flags=("hand",),
        ),
        case(
            "one-element",
            "log(1 + epsilon): the logarithm of one weight is exactly 0",
            [[-1e4], [0.25], [1e4]],
            flags=("hand",),
        ),
        case(
            "half-overflow",
            "no maximum subtracted: e^12 is infinite in float16, e^90 in bfloat16",
            [[12.0, 11.5, 10.25, -3.0], [90.0, 89.5, 87.0, 0.5]],
            flags=("saturation",),
            dtypes=NARROW,
        ),
        case(
            "minus-infinity",
            "-inf scores as masks: -inf for themselves, and no NaN for the others",
            [[-inf, 0.5, 1.0], [2.0, -inf, -inf], [0.25, 0.5, 0.75]],
            flags=("special",),
        ),
        case(
            "nan-row",
            "a NaN or a +inf that reaches another row, or a row of -inf taken as uniform",
            [[0.5, nan, 1.0], [0.25, 1.0, -0.5], [inf, 0.0, 1.0], [-inf, -inf, -inf]],
            flags=("special",),
        ),
        case("no-rows", "a batch of 0", np.zeros((0, 4)), flags=("zero-length",)),
        case(
            "long-row",
            "a float16 or unordered sum of many weights",
            draw("log_softmax long-row x", 1, 300, scale=2),
            flags=("long",),
        ),
        case(
            "plain",
            "dy - y sum dy with y the logarithm and not the weight, or the sum of dy y",
            draw("log_softmax.vjp plain x", 3, 5),
            vjp=True,
        ),
        case(
            "axis-0",
            "the sum of dy over the wrong axis",
            draw("log_softmax.vjp axis-0 x", 4, 3),
            vjp=True,
            attributes={"axis": 0},
        ),
        case(
            "square",
            "the Jacobian transposed, or the axis swapped, silent on a square",
            draw("log_softmax.vjp square x", 4, 4),
            vjp=True,
            flags=("square",),
        ),
        case(
            "axis-negative",
            "the sum of dy over the last axis, whatever the attribute",
            draw("log_softmax.vjp axis-negative x", 3, 4, 2),
            vjp=True,
            attributes={"axis": -2},
        ),
        case(
            "one-cotangent",
            "dy on one element of a row alone: the others' gradient is -softmax(x) dy, not 0",
            draw("log_softmax.vjp one-cotangent x", 2, 4),
            vjp=True,
            dy=[[0.0, 1.5, 0.0, 0.0], [0.0, 0.0, 0.0, -2.0]],
        ),
        case(
            "saturated",
            "a quotient dy / softmax(x) where a weight is 0",
            [[1e4, 0.0, -1e4], [30.0, -130.0, 29.0]],
            vjp=True,
            flags=("saturation",),
        ),
        case("no-rows", "a batch of 0", np.zeros((0, 4)), vjp=True, flags=("zero-length",)),
    ]


def cross_entropy() -> list[Draft]:
    """Cases of cross_entropy and its VJP."""
    log_3 = 1.0986122886681098

    def case(
        name: str, note: str, logits: object, targets: object, vjp: bool = False, **more: Any
    ) -> Draft:
        operation = "cross_entropy.vjp" if vjp else "cross_entropy"
        inputs = {
            "logits": np.array(logits, dtype=np.float64),
            "targets": np.array(targets, dtype=np.int64),
        }
        if "dloss" in more:
            inputs["dloss"] = np.array(more.pop("dloss"), dtype=np.float64)
        return Draft(operation, name, note, inputs, **more)

    return [
        case(
            "plain",
            "the sum over the batch for the mean, log2 for the natural logarithm, or the sign",
            draw("cross_entropy plain logits", 4, 5, scale=2),
            [3, 0, 4, 1],
        ),
        case(
            "square",
            "B = K: softmax over the batch, or the targets taken as columns' rows",
            draw("cross_entropy square logits", 4, 4, scale=2),
            [2, 0, 3, 0],
            flags=("square",),
        ),
        case(
            "ends",
            "classes counted from 1: the first and the last class",
            draw("cross_entropy ends logits", 2, 3),
            [0, 2],
        ),
        case(
            "batch-one",
            "an axis squeezed away, or (1,) for the scalar",
            draw("cross_entropy batch-one logits", 1, 6),
            [4],
        ),
        case(
            "hand",
            "scores log 3 and 0: -log(3/4) and -log(1/4), whose mean is log 4 - log(3) / 2",
            [[log_3, 0.0], [log_3, 0.0]],
            [0, 1],
            flags=("hand",),
        ),
        case(
            "large",
            "no maximum subtracted: e^1e4 overflows",
            [[1e4, 9999.0, 9998.5], [-1e4, -9999.5, -9999.0]],
            [1, 2],
            flags=("saturation",),
        ),
        case(
            "sure-and-wrong",
            "-log(softmax): infinite, 100 (torch's clamp) or 16.1 (a clip to 1e-7), for 1000",
            [[1000.0, 0.0, -3.0], [-250.0, 0.5, 250.0]],
            [1, 0],
            flags=("saturation",),
        ),
        case(
            "half-overflow",
            "no maximum subtracted: e^12 is infinite in float16, e^90 in bfloat16",
            [[12.0, 11.5, 10.25, -3.0], [90.0, 89.5, 87.0, 0.5]],
            [2, 0],
            flags=("saturation",),
            dtypes=NARROW,
        ),
        case(
            "doubtful",
            "a clip of probabilities to 1e-7 or of their logarithm to -100: losses of 20 and 101",
            [[20.0, 0.0, -1.5], [-50.5, 0.5, 50.5]],
            [1, 0],
            flags=("saturation",),
        ),
        case(
            "probabilities",
            "logits taken as probabilities: all in (0, 1), rows that sum to 1",
            [[0.5, 0.25, 0.125, 0.125], [0.125, 0.625, 0.125, 0.125]],
            [0, 3],
        ),
        case(
            "many",
            "a float16 sum over 300 examples, or a mean over B K",
            draw("cross_entropy many logits", 300, 3, scale=3),
            np.arange(300) % 3,
            flags=("long",),
        ),
        case(
            "no-batch",
            "the loss of no examples is 0, and not 0 / 0",
            np.zeros((0, 4)),
            np.zeros(0),
            flags=("zero-length",),
        ),
        case(
            "minus-infinity",
            "a class ruled out by -inf that is not the target costs nothing; 0 · -inf of a one-hot"
            " product is NaN",
            [[-np.inf, 0.5, 1.0], [0.25, -0.5, -np.inf]],
            [2, 0],
            flags=("special",),
        ),
        case(
            "nan",
            "a NaN in one example makes the mean NaN; one that is skipped does not",
            [[0.5, np.nan, 1.0], [0.25, -0.5, 0.125]],
            [0, 2],
            flags=("special",),
        ),
        case(
            "plain",
            "not divided by B, or softmax without the one-hot",
            draw("cross_entropy.vjp plain logits", 4, 5, scale=2),
            [3, 0, 4, 1],
            vjp=True,
        ),
        case(
            "square",
            "1 subtracted at [target, example] and not at [example, target]",
            draw("cross_entropy.vjp square logits", 4, 4, scale=2),
            [2, 0, 3, 0],
            vjp=True,
            flags=("square",),
        ),
        case(
            "cotangent",
            "dloss forgotten, which 1 would hide",
            draw("cross_entropy.vjp cotangent logits", 2, 3),
            [0, 2],
            vjp=True,
            dloss=-2.5,
        ),
        case(
            "hand",
            "equal scores of 4 classes: 1/4 everywhere, -3/4 at the target, over B = 2",
            [[2.0, 2.0, 2.0, 2.0], [-1.0, -1.0, -1.0, -1.0]],
            [1, 3],
            vjp=True,
            dloss=1.0,
            flags=("hand",),
        ),
        case(
            "sure-and-wrong",
            "a gradient that vanishes where the probability of the target has underflowed",
            [[1000.0, 0.0, -3.0], [-250.0, 0.5, 250.0], [40.0, -40.0, 0.0]],
            [1, 0, 0],
            vjp=True,
            dloss=1.0,
            flags=("saturation",),
        ),
        case(
            "doubtful",
            "a gradient cut off below a probability of 1e-7 or e^-100",
            [[20.0, 0.0, -1.5], [-50.5, 0.5, 50.5]],
            [1, 0],
            vjp=True,
            flags=("saturation",),
        ),
        case(
            "no-batch",
            "a gradient of shape (0, K)",
            np.zeros((0, 4)),
            np.zeros(0),
            vjp=True,
            flags=("zero-length",),
        ),
    ]


def layer_norm() -> list[Draft]:
    """Cases of layer_norm and its VJP."""

    def case(
        name: str,
        note: str,
        x: Any,
        vjp: bool = False,
        flags: tuple[str, ...] = ("plain",),
        **more: Any,
    ) -> Draft:
        operation = "layer_norm.vjp" if vjp else "layer_norm"
        x = np.array(x, dtype=np.float64)
        inputs = {
            "x": x,
            "gamma": more.pop("gamma", draw(f"{operation} {name} gamma", x.shape[-1])),
            "beta": more.pop("beta", draw(f"{operation} {name} beta", x.shape[-1])),
        }
        return Draft(operation, name, note, inputs, flags, more)

    # 1e8 is a multiple of 8, the spacing of float32 there; the spread is 8000 and less
    far = 1e8 + 8 * np.array([[0.0, 250, -900, 410, -35], [-730, 20, 1000, -15, 3]])
    flat = [[2.5, 2.5, 2.5, 2.5], [-0.75, -0.75, -0.75, -0.75], [0.5, 1.0, 2.0, -1.0]]
    return [
        case(
            "plain",
            "the unbiased variance, gain and bias exchanged, or one mean over two axes",
            draw("layer_norm plain x", 2, 4, 3),
        ),
        case(
            "square",
            "the mean over the batch: batch normalisation, silent on a square",
            draw("layer_norm square x", 4, 4, scale=2),
            flags=("square",),
        ),
        case("one-axis", "a batch axis taken for granted", draw("layer_norm one-axis x", 6)),
        case(
            "hand",
            "eps = 0: [1, 3] is [-1, 1], and [10, -10, 0, 0] is [√2, -√2, 0, 0]; divided by the"
            " variance it were not",
            [[1.0, 3.0, 1.0, 3.0], [10.0, -10.0, 0.0, 0.0]],
            flags=("hand",),
            eps=0.0,
            gamma=np.array([1.0, 2.0, -1.0, 0.5]),
            beta=np.array([0.0, 0.5, 0.0, -0.25]),
        ),
        case(
            "small-variance",
            "eps outside the root, or left out: the variance is 1e-6 and less",
            draw("layer_norm small-variance x", 3, 5, scale=1e-3),
        ),
        case(
            "small-variance-unbiased",
            "eps outside the root where the row has two elements: v + eps and its root differ most",
            [[1e-3, -1e-3], [4e-3, 1e-3], [5e-4, 0.0]],
        ),
        case(
            "eps",
            "the attribute ignored: Keras' 1e-3 on a variance of the same size",
            draw("layer_norm eps x", 2, 5, scale=0.05),
            eps=1e-3,
        ),
        case(
            "eps-tiny",
            "eps that is never below 1e-5 (cuDNN's least), where the variance is 1e-8",
            draw("layer_norm eps-tiny x", 2, 4, scale=1e-4),
            eps=1e-12,
        ),
        case(
            "offset",
            "E[x²] - E[x]², which has no digit left at an offset of 1e8",
            far,
            flags=("cancellation",),
        ),
        case(
            "offset-small",
            "E[x²] - E[x]² in float32, which is negative or wrong by its size at an offset of 100",
            100 + draw("layer_norm offset-small x", 3, 7, scale=0.25),
            flags=("cancellation",),
        ),
        case(
            "constant-row",
            "a constant row is beta exactly: 0 / 0 without eps",
            flat,
            flags=("hand",),
        ),
        case(
            "one-element",
            "D = 1 is beta, whatever x is; the unbiased variance is 0 / 0",
            [[-1e4], [0.25], [3e8]],
            flags=("hand",),
        ),
        case(
            "large",
            "squares in float16 or a variance that overflows early: 1e15 is 1e30 squared",
            draw("layer_norm large x", 2, 5, scale=1e15),
            flags=("saturation",),
        ),
        case(
            "tiny",
            "a row whose squares underflow: x / √eps is left, and 0 / 0 without eps",
            draw("layer_norm tiny x", 2, 4, scale=1e-30),
        ),
        case(
            "nan-row",
            "a NaN or an infinity that reaches another row",
            [[0.5, 1.0, -0.25], [np.nan, 1.0, 2.0], [0.25, np.inf, 0.5], [0.75, -0.5, 3.0]],
            flags=("special",),
        ),
        case("no-rows", "a batch of 0", np.zeros((0, 4)), flags=("zero-length",)),
        case(
            "wide",
            "19 columns and no multiple of 4 nor 8: those left over from a vector loop",
            draw("layer_norm wide x", 3, 19, scale=2),
        ),
        case(
            "long-row",
            "a float16 sum, which stops growing at 2048",
            2 + draw("layer_norm long-row x", 1, 1030),
            flags=("long",),
        ),
        case(
            "plain",
            "one of the two means forgotten; dgamma and dbeta averaged over the rows",
            draw("layer_norm.vjp plain x", 3, 5),
            vjp=True,
        ),
        case(
            "three-axes",
            "dgamma summed over the first axis only",
            draw("layer_norm.vjp three-axes x", 2, 4, 3),
            vjp=True,
        ),
        case(
            "square",
            "the means over the batch, silent on a square",
            draw("layer_norm.vjp square x", 4, 4),
            vjp=True,
            flags=("square",),
        ),
        case(
            "one-axis",
            "a batch axis taken for granted: dgamma has the row's shape",
            draw("layer_norm.vjp one-axis x", 6),
            vjp=True,
        ),
        case(
            "small-variance",
            "the derivative of √v + eps, or x_hat of v alone",
            draw("layer_norm.vjp small-variance x", 3, 5, scale=1e-3),
            vjp=True,
        ),
        case(
            "eps",
            "the attribute ignored in the backward pass",
            draw("layer_norm.vjp eps x", 2, 5, scale=0.05),
            vjp=True,
            eps=1e-3,
        ),
        case(
            "eps-tiny",
            "eps that is never below 1e-5 in the backward pass, where the variance is 1e-8",
            draw("layer_norm.vjp eps-tiny x", 2, 4, scale=1e-4),
            vjp=True,
            eps=1e-12,
        ),
        case(
            "offset",
            "x_hat from E[x²] - E[x]² in the backward pass alone",
            far,
            vjp=True,
            flags=("cancellation",),
        ),
        case(
            "constant-row",
            "a constant row: (dh - mean(dh)) / √eps, and not 0 nor NaN",
            flat,
            vjp=True,
        ),
        case(
            "no-rows",
            "dgamma and dbeta are zeros of full shape",
            np.zeros((0, 4)),
            vjp=True,
            flags=("zero-length",),
        ),
    ]


def words() -> list[Draft]:
    """Cases of one_hot, one_hot_product, embedding and the VJPs."""

    def case(
        operation: str, name: str, note: str, index: object, table: object = None, **more: Any
    ) -> Draft:
        inputs: dict[str, Any] = {"index": np.array(index, dtype=np.int64)}
        if table is not None:
            inputs["U" if "one_hot" in operation else "E"] = table
        return Draft(operation, name, note, inputs, **more)

    def moved(*shape: int) -> Any:
        """A table of numbers that arithmetic may lose: subnormals and zeros of both signs."""
        values = np.array([-0.0, 1e-40, 5e-324, 0.0, -1e-310, 0.5, -7e-42, 3e38, -0.0])
        return np.resize(values, shape)

    E = draw("embedding plain E", 7, 3)
    U = draw("one_hot_product plain U", 3, 7)
    holes = draw("embedding special E", 5, 3)
    holes[[0, 2]] = [[np.nan, np.inf, 1.0], [-np.inf, 0.5, np.nan]]
    exact = {"flags": ("signed-zero", "subnormal"), "exact_zeros": True, "flush_allowed": False}
    return [
        case(
            "one_hot",
            "deck",
            "words counted from 1: the first and the last of the slide's 2500",
            [0, 2499, 1249],
        ),
        case(
            "one_hot",
            "plain",
            "rows sorted or made unique: a word that stands twice, and one that does not",
            [3, 0, 2, 2, 4, 0],
            attributes={"size": 5},
        ),
        case(
            "one_hot",
            "square",
            "(size, B) for (B, size), silent on a square without symmetry",
            [2, 0, 3, 0],
            attributes={"size": 4},
            flags=("square",),
        ),
        case(
            "one_hot",
            "one-word",
            "size 1: an axis squeezed away",
            [0, 0],
            attributes={"size": 1},
            flags=("hand",),
        ),
        case(
            "one_hot",
            "no-batch",
            "no words: (0, size)",
            np.zeros(0),
            attributes={"size": 3},
            flags=("zero-length",),
        ),
        case(
            "one_hot_product",
            "plain",
            "a row of U for the column, or words counted from 1",
            [6, 0, 3, 3],
            U,
        ),
        case(
            "one_hot_product",
            "deck",
            "the slide's 2500 words: the first, the last and two between; an index in 8 bits",
            [0, 2499, 255, 1256],
            draw("one_hot_product deck U", 2, 2500),
            flags=("long",),
        ),
        case(
            "one_hot_product",
            "square",
            "U[i] for U[:, i], silent on a square",
            [2, 0, 3],
            draw("one_hot_product square U", 4, 4),
            flags=("square",),
        ),
        case(
            "one_hot_product",
            "special",
            "0 · NaN and 0 · inf of the other columns, which a product with a one-hot row adds",
            [1, 2, 4, 3],
            holes.T,
            flags=("special",),
        ),
        case(
            "one_hot_product",
            "exact",
            "the column bit for bit: a sum of products loses the sign of -0 and flushes subnormals",
            [0, 1, 4, 2, 3],
            moved(3, 5),
            **exact,
        ),
        case(
            "one_hot_product",
            "no-batch",
            "no words: (0, H)",
            np.zeros(0),
            U,
            flags=("zero-length",),
        ),
        case(
            "one_hot_product.vjp",
            "repeated",
            "dU[:, index] += da keeps the last of a word's errors only",
            [6, 2, 2, 0, 2],
            U,
        ),
        case(
            "one_hot_product.vjp",
            "unique",
            "the columns of other words not 0, or the batch's mean",
            [5, 1, 3],
            draw("one_hot_product.vjp unique U", 4, 6),
        ),
        case(
            "one_hot_product.vjp",
            "square",
            "the gradient transposed, silent on a square",
            [2, 0, 2],
            draw("one_hot_product.vjp square U", 4, 4),
            flags=("square",),
        ),
        case(
            "one_hot_product.vjp",
            "no-batch",
            "no words: zeros of full shape",
            np.zeros(0),
            U,
            flags=("zero-length",),
        ),
        case(
            "embedding", "plain", "words counted from 1, or a row of another word", [6, 0, 3, 3], E
        ),
        case(
            "embedding",
            "two-axes",
            "time and batch merged or exchanged: index (2, 4) gives (2, 4, D)",
            [[1, 6, 0, 2], [5, 5, 3, 4]],
            E,
        ),
        case("embedding", "one", "index without an axis: one word gives (D,)", 4, E),
        case(
            "embedding",
            "square",
            "a column for the row, silent on a square",
            [2, 0, 3],
            draw("embedding square E", 4, 4),
            flags=("square",),
        ),
        case(
            "embedding",
            "special",
            "0 · NaN of other rows, which a product with a one-hot row adds",
            [1, 2, 4, 3],
            holes,
            flags=("special",),
        ),
        case(
            "embedding",
            "exact",
            "the row bit for bit: the sign of -0 lost, subnormals flushed",
            [0, 1, 4, 2, 3],
            moved(5, 3),
            **exact,
        ),
        case("embedding", "no-words", "no words: (0, D)", np.zeros(0), E, flags=("zero-length",)),
        case(
            "embedding.vjp",
            "repeated",
            "dE[index] += dy keeps the last of a word's errors only",
            [6, 2, 2, 0, 2],
            E,
        ),
        case(
            "embedding.vjp",
            "two-axes",
            "repeats added along one axis of index only",
            [[1, 6, 1], [5, 1, 6]],
            E,
        ),
        case(
            "embedding.vjp",
            "unique",
            "gradients of absent words not 0, or rows in the order of index",
            [5, 1, 3],
            draw("embedding.vjp unique E", 6, 4),
        ),
        case(
            "embedding.vjp",
            "square",
            "index and word exchanged, silent on a square",
            [2, 0, 3, 2],
            draw("embedding.vjp square E", 4, 4),
            flags=("square",),
        ),
        case(
            "embedding.vjp",
            "no-words",
            "zeros of full shape",
            np.zeros(0),
            E,
            flags=("zero-length",),
        ),
    ]


def affine() -> list[Draft]:
    """Cases of affine and its VJP."""

    def case(
        name: str,
        note: str,
        B: int,
        I: int,
        O: int,
        vjp: bool = False,
        bias: bool = False,
        flags: tuple[str, ...] = ("plain",),
        **inputs: object,
    ) -> Draft:
        operation = "affine.vjp" if vjp else "affine"
        key = f"{operation} {name}"
        made: dict[str, object] = {"x": draw(f"{key} x", B, I), "W": draw(f"{key} W", O, I)}
        if bias:
            made["b"] = draw(f"{key} b", O)
        return Draft(operation, name, note, made | inputs, flags)

    return [
        case("plain", "W not transposed", 2, 3, 4),
        case("bias", "the bias forgotten, or added once per batch row sum", 3, 4, 5, bias=True),
        case("square", "x W for x Wᵀ, silent on a square", 3, 3, 3, bias=True, flags=("square",)),
        case("no-batch", "a batch of 0", 0, 3, 4, bias=True, flags=("zero-length",)),
        case(
            "one",
            "a vector squeezed out of (1, 1)",
            1,
            1,
            1,
            bias=True,
            flags=("hand",),
            x=[[0.5]],
            W=[[-3.0]],
            b=[0.25],
        ),
        case(
            "hand",
            "[1 2] times rows [3 4], [5 6], [7 -8] plus [0.5 -1 2] is [11.5 16 -7]",
            1,
            2,
            3,
            bias=True,
            flags=("hand",),
            x=[[1.0, 2.0]],
            W=[[3.0, 4.0], [5.0, 6.0], [7.0, -8.0]],
            b=[0.5, -1.0, 2.0],
        ),
        case(
            "cancellation",
            "float16 or bfloat16 accumulation: terms of 1e4 cancel to about 1",
            1,
            4,
            2,
            flags=("cancellation",),
            x=[[1e4, 1.0, -1e4, 1.0]],
            W=[[1.0, 0.5, 1.0, 0.25], [0.5, -0.75, 0.5, 0.3]],
        ),
        case(
            "long-sum",
            "a float16 accumulator, which stops growing at 2048",
            1,
            2500,
            2,
            flags=("long",),
            x=np.full((1, 2500), 0.75),
            W=np.stack([np.full(2500, 1.0), draw("affine long-sum row", 2500)]),
        ),
        case(
            "subnormal",
            "subnormal inputs read as 0: 1e-40 · 1e30 is an ordinary number",
            1,
            2,
            2,
            flags=("subnormal",),
            x=[[1e-40, -3e-41]],
            W=[[1e30, 2e30], [-5e29, 1e31]],
        ),
        Draft(
            "affine",
            "subnormal-weights",
            "subnormal weights read as 0, and the bias alone is left: inputs may be large",
            {
                "x": [[2e30, -1e31], [5e29, 3e30]],
                "W": [[1e-40, -3e-41], [-7e-41, 2e-40]],
                "b": [1e-10, -3e-10],
            },
            ("subnormal",),
            dtypes=("float32",),
        ),
        Draft(
            "affine",
            "subnormal-double",
            "float64's subnormals read as 0, which float32's do not show: 1e-310 · 1e300",
            {
                "x": [[1e-310, -3e-311], [4e-310, 2e-311]],
                "W": [[1e300, 2e300], [-5e299, 3e300]],
            },
            ("subnormal",),
            dtypes=("float64",),
        ),
        case(
            "nan-row",
            "a NaN in one example that reaches another",
            3,
            2,
            3,
            flags=("special",),
            x=[[0.5, 1.0], [np.nan, 1.0], [-0.25, np.inf]],
        ),
        case("plain", "dW transposed, or the mean over the batch for the sum", 2, 3, 4, vjp=True),
        case("bias", "db averaged over the batch, or left a matrix", 3, 4, 5, vjp=True, bias=True),
        case(
            "square",
            "dy Wᵀ for dy W, x dyᵀ for dyᵀ x, silent on a square",
            3,
            3,
            3,
            vjp=True,
            bias=True,
            flags=("square",),
        ),
        case(
            "no-batch",
            "gradients of a batch of 0 are zeros of full shape",
            0,
            3,
            4,
            vjp=True,
            bias=True,
            flags=("zero-length",),
        ),
        case(
            "cancellation",
            "a batch sum in float16: the examples' gradients cancel",
            4,
            2,
            3,
            vjp=True,
            bias=True,
            flags=("cancellation",),
            dy=[[1e4, 1.0, 0.5], [-1e4, 2.0, -0.5], [0.25, -3.0, 1e4], [0.5, 0.125, -1e4]],
        ),
    ]


def mlp() -> list[Draft]:
    """Cases of mlp and its VJP."""

    def case(
        name: str,
        note: str,
        vjp: bool = False,
        third: bool = False,
        biases: bool = False,
        hidden: str = "tanh",
        out: str = "identity",
        flags: tuple[str, ...] = ("plain",),
        sizes: tuple[int, ...] = (2, 3, 5, 4, 6),
        scale: float = 1.0,
    ) -> Draft:
        operation = "mlp.vjp" if vjp else "mlp"
        key = f"{operation} {name}"
        B, I, H, O, P = sizes
        inputs = {
            "x": draw(f"{key} x", B, I, scale=scale),
            "W_1": draw(f"{key} W_1", H, I),
            "W_2": draw(f"{key} W_2", O, H),
        }
        if third:
            inputs["W_3"] = draw(f"{key} W_3", P, O)
        if biases:
            inputs |= {"b_1": draw(f"{key} b_1", H), "b_2": draw(f"{key} b_2", O)}
            if third:
                inputs["b_3"] = draw(f"{key} b_3", P)
        return Draft(
            operation, name, note, inputs, flags, {"activation": hidden, "output_activation": out}
        )

    return [
        case("plain", "the hidden activation missing, or put on the output too"),
        case("bias", "the biases exchanged between layers or forgotten", biases=True),
        case("three-layers", "the middle layer without activation", third=True, biases=True),
        case("sigmoid", "tanh whatever the attribute says", hidden="sigmoid", biases=True),
        case("relu", "leaky or absolute value for relu", hidden="relu", biases=True),
        case("output-tanh", "the output's activation left out", out="tanh", biases=True),
        case(
            "output-sigmoid",
            "the discriminator's form: relu inside, a probability outside",
            hidden="relu",
            out="sigmoid",
            third=True,
            biases=True,
        ),
        case(
            "output-relu",
            "output activation taken from the hidden one",
            hidden="identity",
            out="relu",
            biases=True,
        ),
        case(
            "square",
            "every matrix transposed, silent on squares",
            third=True,
            biases=True,
            sizes=(4, 4, 4, 4, 4),
            flags=("square",),
        ),
        case(
            "saturated",
            "NaN from a saturated hidden layer",
            scale=1e4,
            biases=True,
            hidden="sigmoid",
            flags=("saturation",),
        ),
        case(
            "no-batch", "a batch of 0", sizes=(0, 3, 5, 4, 6), biases=True, flags=("zero-length",)
        ),
        case("plain", "the error passed back through the wrong layer's weights", vjp=True),
        case("bias", "bias gradients forgotten or exchanged", vjp=True, biases=True),
        case(
            "three-layers",
            "the activation's derivative skipped in the middle layer",
            vjp=True,
            third=True,
            biases=True,
        ),
        case(
            "sigmoid",
            "the derivative 1 - y² for sigmoid",
            vjp=True,
            hidden="sigmoid",
            out="sigmoid",
            biases=True,
        ),
        case(
            "relu",
            "the derivative of relu at the wrong sign",
            vjp=True,
            hidden="relu",
            out="tanh",
            third=True,
            biases=True,
        ),
        case(
            "square",
            "δ W for δ Wᵀ, silent on squares",
            vjp=True,
            third=True,
            biases=True,
            sizes=(4, 4, 4, 4, 4),
            flags=("square",),
        ),
        case("batch-one", "an axis squeezed away", vjp=True, sizes=(1, 3, 5, 4, 6), biases=True),
        case(
            "no-batch",
            "zero gradients of full shape",
            vjp=True,
            sizes=(0, 3, 5, 4, 6),
            biases=True,
            flags=("zero-length",),
        ),
    ]
