"""Cases of spec/primitives.md."""

import numpy as np

from nnspec.conformance.cases.draft import Draft, draw

# magnitudes at which float32 and float64 exponentials lose, underflow and end
TAIL = [-16.7131, -18.5, -30.25, -60.125, -87.0, -88.5, -95.75, -103.25, -104.5, -710.0, -745.0]
EXTREMES = [1e4, -1e4, 3e38, -3e38]


def drafts() -> list[Draft]:
    """All drafts of the topic."""
    return [*elementwise(), *softmax(), *affine(), *mlp()]


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
