"""Inputs for spec/glimpse.md: where a backend looks, and what it learns from having looked."""

from typing import Any

import numpy as np

from nnspec.conformance.cases.draft import Draft, draw
from nnspec.reference.array import Array

Inputs = dict[str, Any]

PIXEL = ("glimpse.pixel",)
ORDER = ("glimpse.order",)
SENSOR = ("glimpse.sensor",)
OUTSIDE = ("glimpse.outside",)
LOCALITY = ("glimpse.locality",)
ENCODERS = ("glimpse.encoders",)
NETWORK = ("glimpse.network",)
LOCATION = ("glimpse.location",)
SAMPLE = ("glimpse.sample",)
BASELINE = ("glimpse.baseline",)
BASELINE_LOSS = ("glimpse.baseline_loss",)
REWARD = ("glimpse.reward",)
ENTROPY = ("glimpse.cross_entropy",)
STEP = ("glimpse.train_step",)


def at(M: int, N: int, *pixels: tuple[int, int]) -> Array:
    """Locations in the middle of pixels (column, row), far from every edge."""
    return np.array([[round((2 * x + 1) / N - 1, 4), round((2 * y + 1) / M - 1, 4)]
                     for x, y in pixels]).reshape(-1, 2)  # fmt: skip


def drafts() -> list[Draft]:
    """All drafts of the page."""
    return [
        *sensors(),
        *sensor_vjps(),
        *networks(),
        *cores(),
        *locations(),
        *actions(),
        *rollouts(),
        *unrolls(),
        *reinforces(),
        *baselines(),
        *train_steps(),
    ]


def sensor(operation: str, name: str, note: str, X: Array, l: Any, **more: Any) -> Draft:
    """A draft of the sensor; what is not an option of Draft is an attribute, drho an input."""
    options = {key: more.pop(key) for key in ("flags", "clauses", "dtypes") if key in more}
    inputs = {"X": X, "l": np.asarray(l, dtype=np.float64).reshape(-1, 2)}
    if "drho" in more:
        inputs["drho"] = more.pop("drho")
    return Draft(operation, name, note, inputs, attributes=more, **options)


# worked on paper: l = (1/2, -1/2) is pixel (3, 1). The fine patch is rows 0, 1 and columns 2, 3;
# the coarse one rows -1 … 2 and columns 1 … 4, of which row -1 and column 4 are outside:
# (2 + 3) / 4, 4 / 4, (6 + 7 + 10 + 11) / 4, (8 + 12) / 4
HAND = np.arange(1.0, 17.0).reshape(1, 4, 4)

PLAIN_L = at(7, 11, (3, 2), (8, 4), (5, 5))
SCALES_L = at(13, 10, (4, 7), (2, 9))
CORNERS = [[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]
BEYOND = [[-4.0, 0.25], [4.0, 0.25], [0.25, -4.0], [0.25, 4.0], [1e4, -1e4], [1e30, 1e30]]


def blinded(value: float) -> Array:
    """Two 8 x 9 images with `value` outside of the 4 x 4 patch around pixels (4, 3), (6, 5)."""
    X = draw("glimpse_sensor blinded X", 2, 8, 9)
    for n, (x, y) in enumerate([(4, 3), (6, 5)]):
        seen = X[n, y - 2 : y + 2, x - 2 : x + 2].copy()
        X[n] = value
        X[n, y - 2 : y + 2, x - 2 : x + 2] = seen
    return X


def sensors() -> list[Draft]:
    """glimpse_sensor."""
    op = "glimpse_sensor"
    spoilt = draw("glimpse_sensor spoilt X", 3, 9, 8)
    spoilt[1, 2, 2] = np.nan
    spoilt[2, 4, 4] = np.inf
    return [
        sensor(
            op,
            "plain",
            "x and y swapped, patches one pixel off, a block's first pixel for its mean, the"
            " coarse patch first, the image of another example",
            draw("glimpse_sensor plain X", 3, 7, 11),
            PLAIN_L,
            g_w=2,
            k=2,
        ),
        sensor(
            op,
            "scales",
            "sides g, 2g, 3g for g, 2g, 4g: the third scale alone tells, and so it does for a"
            " coarse scale pooled from the rounded finer one",
            draw("glimpse_sensor scales X", 2, 13, 10),
            SCALES_L,
            g_w=3,
            k=3,
            clauses=SENSOR,
        ),
        sensor(
            op,
            "hand",
            "by hand 3, 4, 7, 8 and 5/4, 1, 17/2, 5: a mean over the pixels inside alone gives"
            " 5/2 and 4 at the top",
            HAND,
            [[0.5, -0.5]],
            g_w=2,
            k=2,
            flags=("hand",),
            clauses=SENSOR + OUTSIDE + ORDER,
        ),
        sensor(
            op,
            "square",
            "M = N and locations off the diagonal: a swap of x and y, or of rows and columns in"
            " the result, keeps every shape",
            draw("glimpse_sensor square X", 3, 8, 8),
            at(8, 8, (1, 6), (6, 2), (5, 3)),
            g_w=2,
            k=2,
            flags=("square",),
            clauses=ORDER + SENSOR,
        ),
        sensor(
            op,
            "transposed-image",
            "a wide image of 3 rows and k = 1: with x and y swapped the glimpse is outside of it",
            draw("glimpse_sensor transposed-image X", 2, 3, 17),
            at(3, 17, (14, 1), (2, 2)),
            g_w=3,
            k=1,
            flags=("isolated",),
            clauses=ORDER,
        ),
        sensor(
            op,
            "centre",
            "l = 0 in 5 rows and 6 columns is pixel (3, 2): (l + 1)(n - 1) / 2, half a pixel less"
            " or rounding give another column",
            draw("glimpse_sensor centre X", 1, 5, 6),
            [[0.0, 0.0]],
            g_w=2,
            k=2,
            flags=("isolated",),
            clauses=PIXEL,
        ),
        sensor(
            op,
            "corners",
            "l = ±1: -1 is pixel 0 and 1 is pixel n, one beyond the last; align-corners has n - 1"
            " there, a clamp too",
            draw("glimpse_sensor corners X", 4, 6, 5),
            CORNERS,
            g_w=3,
            k=2,
            clauses=PIXEL + OUTSIDE,
        ),
        sensor(
            op,
            "edges",
            "locations exactly on the edges between pixels, 8 columns and 4 rows: the pixel to"
            " the right and below, not the nearest",
            draw("glimpse_sensor edges X", 3, 4, 8),
            [[-0.75, 0.5], [0.25, -0.5], [0.75, 0.0]],
            g_w=1,
            k=2,
            flags=("isolated",),
            clauses=PIXEL,
        ),
        sensor(
            op,
            "below-minus-one",
            "pixel -1 for -1 - 2/n < l < -1: truncation towards 0 gives pixel 0",
            draw("glimpse_sensor below-minus-one X", 2, 7, 6),
            [[-1.125, 0.3], [0.2, -1.125]],
            g_w=3,
            k=2,
            flags=("isolated",),
            clauses=PIXEL + OUTSIDE,
        ),
        sensor(
            op,
            "odd-side",
            "g_w = 5: two pixels on each side of p; (size + 1) / 2 or a rounded half shifts it by"
            " one",
            draw("glimpse_sensor odd-side X", 2, 9, 12),
            at(9, 12, (6, 4), (4, 5)),
            g_w=5,
            k=1,
            flags=("isolated",),
            clauses=SENSOR,
        ),
        sensor(
            op,
            "one-cell",
            "g_w = 1: the coarse cells are means of 2 x 2 and 4 x 4 pixels, each one pixel off the"
            " middle",
            draw("glimpse_sensor one-cell X", 2, 8, 7),
            at(8, 7, (3, 4), (4, 3)),
            g_w=1,
            k=3,
            clauses=SENSOR,
        ),
        sensor(
            op,
            "default",
            "the attributes left out: one patch of 8 x 8, in an image that it does not fit into",
            draw("glimpse_sensor default X", 2, 10, 7),
            at(10, 7, (3, 5), (5, 2)),
            clauses=SENSOR,
        ),
        sensor(
            op,
            "dim",
            "an image of ones, the border crossed on all sides: cells are 1/4, 1/2, 1; 1 where"
            " the edge is repeated or the divisor counts the pixels inside",
            np.ones((1, 3, 5)),
            at(3, 5, (2, 1)),
            g_w=4,
            k=2,
            flags=("isolated",),
            clauses=OUTSIDE,
        ),
        sensor(
            op,
            "larger-than-the-image",
            "patches of 16 pixels around an image of 5 x 6: padding by half of the smallest"
            " patch is too little, and an index wraps around",
            draw("glimpse_sensor larger-than-the-image X", 2, 5, 6),
            at(5, 6, (4, 1), (1, 3)),
            g_w=4,
            k=3,
            clauses=OUTSIDE,
        ),
        sensor(
            op,
            "outside",
            "wholly outside, on every side and far away: zeros; a negative index counts from the"
            " end, 1e30 overflows an integer, a clamp looks at the border",
            draw("glimpse_sensor outside X", 6, 5, 6),
            BEYOND,
            g_w=2,
            k=2,
            flags=("isolated",),
            clauses=OUTSIDE,
        ),
        sensor(
            op,
            "touching",
            "one row or one column of the coarse patch inside, the fine one outside: left out by"
            " a test of the middle alone",
            draw("glimpse_sensor touching X", 4, 6, 7),
            at(6, 7, (-2, 3), (8, 2), (4, -2), (1, 7)),
            g_w=2,
            k=2,
            clauses=OUTSIDE,
        ),
        sensor(
            op,
            "infinite",
            "l = ±inf is outside: zeros, where the integer of an infinity is a surprise",
            draw("glimpse_sensor infinite X", 3, 5, 6),
            [[np.inf, 0.25], [0.25, -np.inf], [-np.inf, np.inf]],
            g_w=2,
            k=2,
            flags=("special",),
            clauses=OUTSIDE + PIXEL,
        ),
        sensor(
            op,
            "blinded-nan",
            "NaN everywhere outside of the largest patch: a mask that multiplies, a sum over the"
            " whole image, an interpolation with the next pixel lets it in",
            blinded(np.nan),
            at(8, 9, (4, 3), (6, 5)),
            g_w=2,
            k=2,
            flags=("special",),
            clauses=LOCALITY,
        ),
        sensor(
            op,
            "blinded-large",
            "1e30 everywhere outside of the largest patch: pooling before cropping, or a sum of"
            " the image less the rest, loses every digit",
            blinded(1e30),
            at(8, 9, (4, 3), (6, 5)),
            g_w=2,
            k=2,
            flags=("isolated",),
            clauses=LOCALITY,
        ),
        sensor(
            op,
            "nan-in-one-cell",
            "a NaN seen by the coarse scale alone spoils one cell; an inf seen by both, two; the"
            " other examples none",
            spoilt,
            at(9, 8, (3, 4), (3, 4), (4, 4)),
            g_w=2,
            k=2,
            flags=("special",),
            clauses=LOCALITY + SENSOR,
        ),
        sensor(
            op,
            "subnormal",
            "subnormal pixels under k = 1 are moved and not computed",
            draw("glimpse_sensor subnormal X", 1, 5, 4) * 1e-39,
            at(5, 4, (2, 2)),
            g_w=2,
            k=1,
            flags=("subnormal",),
            clauses=SENSOR,
            dtypes=("float32",),
        ),
        sensor(
            op,
            "no-batch",
            "B = 0: (0, k, g_w, g_w)",
            np.zeros((0, 5, 6)),
            np.zeros((0, 2)),
            g_w=3,
            k=2,
            flags=("zero-length",),
        ),
    ]


def sensor_vjps() -> list[Draft]:
    """glimpse_sensor.vjp."""
    op = "glimpse_sensor.vjp"
    return [
        sensor(
            op,
            "plain",
            "the share 1 / 4^i left out, the last scale overwriting the others, x and y swapped",
            draw("glimpse_sensor plain X", 3, 7, 11),
            PLAIN_L,
            g_w=2,
            k=2,
        ),
        sensor(
            op,
            "scales",
            "three nested patches: shares of 1, 1/4 and 1/16 add up",
            draw("glimpse_sensor scales X", 2, 13, 10),
            SCALES_L,
            g_w=3,
            k=3,
            clauses=SENSOR,
        ),
        sensor(
            op,
            "hand",
            "by hand: pixel (2, 0) has a fine cell's 1 and a quarter of the coarse 16, 5",
            HAND,
            [[0.5, -0.5]],
            drho=np.array([[[[1.0, 2.0], [3.0, 4.0]], [[16.0, 32.0], [64.0, 128.0]]]]),
            g_w=2,
            k=2,
            flags=("hand",),
            clauses=SENSOR + OUTSIDE,
        ),
        sensor(
            op,
            "square",
            "M = N: rows and columns swapped keep the shape",
            draw("glimpse_sensor square X", 3, 8, 8),
            at(8, 8, (1, 6), (6, 2), (5, 3)),
            g_w=2,
            k=2,
            flags=("square",),
            clauses=ORDER + SENSOR,
        ),
        sensor(
            op,
            "corners",
            "what falls outside is dropped: it neither wraps around nor piles up at the border",
            draw("glimpse_sensor corners X", 4, 6, 5),
            CORNERS,
            g_w=3,
            k=2,
            clauses=PIXEL + OUTSIDE,
        ),
        sensor(
            op,
            "larger-than-the-image",
            "patches of 16 pixels around 5 x 6: most of the cotangent has nowhere to go",
            draw("glimpse_sensor larger-than-the-image X", 2, 5, 6),
            at(5, 6, (4, 1), (1, 3)),
            g_w=4,
            k=3,
            clauses=OUTSIDE,
        ),
        sensor(
            op,
            "below-minus-one",
            "pixel -1: truncation towards 0 hands the error to the next column",
            draw("glimpse_sensor below-minus-one X", 2, 7, 6),
            [[-1.125, 0.3], [0.2, -1.125]],
            g_w=3,
            k=2,
            flags=("isolated",),
            clauses=PIXEL + OUTSIDE,
        ),
        sensor(
            op,
            "outside",
            "wholly outside: dX is 0",
            draw("glimpse_sensor outside X", 6, 5, 6),
            BEYOND,
            g_w=2,
            k=2,
            flags=("isolated",),
            clauses=OUTSIDE,
        ),
        sensor(
            op,
            "blinded-nan",
            "dX is 0 outside of the largest patch, whatever is there",
            blinded(np.nan),
            at(8, 9, (4, 3), (6, 5)),
            g_w=2,
            k=2,
            flags=("special",),
            clauses=LOCALITY,
        ),
        sensor(
            op,
            "no-batch",
            "B = 0: dX is (0, M, N)",
            np.zeros((0, 5, 6)),
            np.zeros((0, 2)),
            g_w=3,
            k=2,
            flags=("zero-length",),
        ),
    ]


def network(key: str, B: int, K: int, S: int, P: int, Q: int, G: int, *biases: str) -> Inputs:
    """Inputs of a glimpse network, and the named biases."""
    sizes = {"b_rho": P, "b_l": Q, "b_g": G}
    return {
        "rho": draw(f"{key} rho", B, K, S, S),
        "l": draw(f"{key} l", B, 2),
        "W_rho": draw(f"{key} W_rho", P, K * S * S),
        "W_l": draw(f"{key} W_l", Q, 2),
        "W_gr": draw(f"{key} W_gr", G, P),
        "W_gl": draw(f"{key} W_gl", G, Q),
        **{name: draw(f"{key} {name}", sizes[name]) for name in biases},
    }


ALL_SEEN = ("b_rho", "b_l", "b_g")

# worked on paper: h_g = Rect(1 * 2 - 3 * 1) = 0 and Rect(2 + 1) = 3; h_l = Rect(1/2 + 2 * 1/4) = 1;
# g = Rect(5 * 0 + 1 * 3 - 2 * 1) = 1 and Rect(1 * 0 - 1 * 3 + 1 * 1) = 0
NETWORK_HAND: Inputs = {
    "rho": np.array([[[[2.0]], [[1.0]]]]),
    "l": np.array([[0.5, 0.25]]),
    "W_rho": np.array([[1.0, -3.0], [1.0, 1.0]]),
    "W_l": np.array([[1.0, 2.0]]),
    "W_gr": np.array([[5.0, 1.0], [1.0, -1.0]]),
    "W_gl": np.array([[-2.0], [1.0]]),
}


def networks() -> list[Draft]:
    """glimpse_network and its VJP."""
    plain = network("glimpse_network plain", 2, 2, 3, 4, 5, 6)
    bias = network("glimpse_network bias", 3, 3, 2, 5, 4, 7, *ALL_SEEN)
    square = network("glimpse_network square", 4, 1, 2, 4, 4, 4, *ALL_SEEN)
    special = network("glimpse_network special", 4, 2, 2, 5, 3, 6, *ALL_SEEN)
    special["rho"][1, 0, 1, 0] = np.nan
    special["l"][2, 1] = np.nan
    blank = {**network("glimpse_network where-alone", 3, 2, 2, 4, 5, 6, "b_g")}
    blank["rho"] = np.zeros((3, 2, 2, 2))
    centre = network("glimpse_network what-alone", 3, 2, 3, 5, 4, 6, "b_g")
    centre["l"] = np.zeros((3, 2))
    shut = network("glimpse_network shut", 2, 2, 2, 4, 5, 6, *ALL_SEEN)
    # every second unit of each encoding far below 0
    shut["b_rho"][::2] = -1e4
    shut["b_l"][1::2] = -1e4
    order = network("glimpse_network order", 2, 2, 3, 3, 4, 5)
    # one cell for each unit: scale 0 row 0 column 2, scale 0 row 2 column 1, scale 1 row 1 column 0
    order["W_rho"] = np.zeros((3, 18))
    order["W_rho"][[0, 1, 2], [2, 7, 12]] = [2.0, 3.0, 5.0]
    order["rho"] = abs(order["rho"])
    none = network("glimpse_network no-batch", 0, 2, 3, 4, 5, 6, "b_rho")
    found = [
        (
            "plain",
            "the rectifier of an encoding left out, the sum of two rectified terms, ReLU for"
            " another activation",
            "the error not stopped where a unit is 0, dW_gr from dW_gl's input",
            plain,
            ("plain",),
            ENCODERS + NETWORK,
        ),
        (
            "bias",
            "biases given to each other, or added after the rectifier",
            "a bias gradient that is a mean over the batch",
            bias,
            ("plain",),
            ENCODERS + NETWORK,
        ),
        (
            "bias-where-alone",
            "b_l without the other two: packed first it is taken for b_rho",
            "db_l alone is returned",
            network("glimpse_network bias-where-alone", 2, 1, 3, 5, 4, 3, "b_l"),
            ("plain",),
            ENCODERS,
        ),
        (
            "square",
            "every matrix square but W_l: any of them transposed, or two of them swapped",
            "square weights: a transposed product keeps its shape",
            square,
            ("square",),
            ENCODERS + NETWORK,
        ),
        (
            "hand",
            "by hand g = (1, 0): without the encoder's rectifier the first is Rect(-5 + 3 - 2)",
            "by hand: the dead units hand nothing on",
            NETWORK_HAND,
            ("hand",),
            ENCODERS + NETWORK,
        ),
        (
            "where-alone",
            "rho = 0, so that g is a function of l alone: x and y swapped in W_l's columns",
            "rho = 0: dl is not 0, dW_rho is, and so is drho, since the rectifier's derivative at 0"
            " is 0",
            blank,
            ("isolated", "kink"),
            ENCODERS,
        ),
        (
            "what-alone",
            "l = 0, so that g is a function of rho alone",
            "l = 0: drho is not 0, dW_l is, and so is dl, by the derivative at 0",
            centre,
            ("isolated", "kink"),
            ENCODERS,
        ),
        (
            "order",
            "three units that each read one cell: scales last, or columns before rows, read others",
            "drho at three cells and 0 elsewhere: another layout puts it at others",
            order,
            ("isolated",),
            ENCODERS,
        ),
        (
            "shut",
            "half of the units of each encoding shut by -1e4: an activation that leaks lets a"
            " hundred through",
            "nothing goes back through a shut unit; the derivative taken at the other encoding"
            " lets it",
            shut,
            ("saturation",),
            ENCODERS + NETWORK,
        ),
        (
            "no-batch",
            "B = 0: (0, G)",
            "B = 0: zeros of full shape",
            none,
            ("zero-length",),
            (),
        ),
    ]
    return [
        *both("glimpse_network", found),
        Draft(
            "glimpse_network",
            "special",
            "a NaN in what is seen or in where makes its own row NaN: max(x, 0) must keep it, as"
            " x > 0 ? x : 0 does not",
            special,
            ("special",),
        ),
    ]


Pair = tuple[str, str, str, Inputs, tuple[str, ...], tuple[str, ...]]


def both(operation: str, found: list[Pair], **attributes: Any) -> list[Draft]:
    """(name, note forward, note of the VJP, inputs, flags, clauses) as drafts of both."""
    return [
        Draft(f"{operation}{suffix}", name, note, inputs, flags, attributes, clauses)
        for name, forward, backward, inputs, flags, clauses in found
        for suffix, note in (("", forward), (".vjp", backward))
    ]


def core(key: str, B: int, G: int, H: int, *biases: str) -> Inputs:
    """Inputs of the core, and its bias where named."""
    return {
        "g": draw(f"{key} g", B, G),
        "h_prev": draw(f"{key} h_prev", B, H),
        "U": draw(f"{key} U", H, G),
        "W": draw(f"{key} W", H, H),
        **{name: draw(f"{key} {name}", H) for name in biases},
    }


def cores() -> list[Draft]:
    """glimpse_core and its VJP."""
    special = core("glimpse_core special", 4, 3, 5, "b_h")
    special["g"][1, 2] = np.nan
    special["h_prev"][2, 0] = np.inf
    large = core("glimpse_core large", 2, 4, 3)
    large["h_prev"] = large["h_prev"] * 1e6
    first = core("glimpse_core first", 2, 5, 3)
    first["h_prev"] = np.zeros((2, 3))
    # by hand: 1 * 2 + 1 * 1 - 2 * 2 = -1 and 3 * 2 + 0 * 1 - 1 * 2 = 4
    hand = {
        "g": np.array([[2.0]]),
        "h_prev": np.array([[2.0, 1.0]]),
        "U": np.array([[-2.0], [-1.0]]),
        "W": np.array([[1.0, 1.0], [3.0, 0.0]]),
    }
    found: list[Pair] = [
        (
            "plain",
            "W transposed, U and W swapped, tanh for the rectifier",
            "dW from h_t, dg through W, the error of units at 0 let through",
            core("glimpse_core plain", 3, 5, 4),
            ("plain",),
            (),
        ),
        (
            "bias",
            "the bias left out or added outside of the rectifier",
            "db_h a mean, or returned before the rectifier",
            core("glimpse_core bias", 2, 3, 6, "b_h"),
            ("plain",),
            (),
        ),
        (
            "square",
            "G = H: U for W keeps every shape",
            "G = H = B: dU and dW swapped",
            core("glimpse_core square", 3, 3, 3, "b_h"),
            ("square",),
            (),
        ),
        ("hand", "by hand h = (0, 4)", "by hand: only unit 2 hands back", hand, ("hand",), ()),
        (
            "first",
            "h_prev = 0: the glimpse alone, as at the first time",
            "h_prev = 0: dW is 0 and dh_prev is not",
            first,
            ("isolated",),
            (),
        ),
        (
            "large",
            "a state of 1e6: it has no bound, and a clipped rectifier or a saturating one"
            " gives it one",
            "a state of 1e6 hands back as much as a small one",
            large,
            ("saturation",),
            (),
        ),
        (
            "no-batch",
            "B = 0: (0, H)",
            "B = 0: zeros of full shape",
            core("glimpse_core no-batch", 0, 4, 3, "b_h"),
            ("zero-length",),
            (),
        ),
    ]
    return [
        *both("glimpse_core", found),
        Draft(
            "glimpse_core",
            "special",
            "a NaN makes its row NaN, no other; an infinity gives infinities and zeros",
            special,
            ("special",),
        ),
    ]


def location(key: str, B: int, H: int, *biases: str, scale: float = 1.0) -> Inputs:
    """Inputs of the location network, and its bias where named."""
    return {
        "h": draw(f"{key} h", B, H, scale=scale),
        "eps": draw(f"{key} eps", B, 2, scale=2.0),
        "W_mu": draw(f"{key} W_mu", 2, H),
        **{name: draw(f"{key} {name}", 2) for name in biases},
    }


def locations() -> list[Draft]:
    """glimpse_location and its VJP."""
    op = "glimpse_location"
    far = location("glimpse_location far", 3, 4, "b_mu", scale=10.0)
    # by hand: mu = (2 - 1, 3/4) = (1, 3/4), l = (1 + 2/2, 3/4 - 1/2) with sigma = 1/2
    hand = {
        "h": np.array([[2.0, 1.0, 0.25]]),
        "eps": np.array([[2.0, -1.0]]),
        "W_mu": np.array([[1.0, -1.0, 0.0], [0.0, 0.5, 1.0]]),
    }
    linear: list[Pair] = [
        (
            "plain",
            "sigma taken for the variance, noise of the other coordinate, mu and l swapped",
            "dl left out, or dl times sigma",
            location("glimpse_location plain", 3, 4),
            ("plain",),
            (),
        ),
        (
            "bias",
            "b_mu left out, or given to l and not to mu",
            "db_mu a mean",
            location("glimpse_location bias", 4, 3, "b_mu"),
            ("plain",),
            (),
        ),
        (
            "square",
            "B = H = 2: W_mu transposed, x and y swapped",
            "B = H = 2: dW_mu transposed",
            location("glimpse_location square", 2, 2, "b_mu"),
            ("square",),
            (),
        ),
        (
            "far",
            "a mean and a sample far outside of the image: neither is clamped, nor wrapped",
            "outside of the image the gradient is the same as inside; a clamp's is 0",
            far,
            ("saturation",),
            LOCATION + SAMPLE,
        ),
        (
            "mean-itself",
            "eps = 0: l is mu",
            "eps = 0: dmu and dl add up all the same",
            {**location("glimpse_location mean-itself", 2, 5), "eps": np.zeros((2, 2))},
            ("isolated",),
            SAMPLE,
        ),
        (
            "no-batch",
            "B = 0: (0, 2) twice",
            "B = 0: zeros of full shape",
            location("glimpse_location no-batch", 0, 3, "b_mu"),
            ("zero-length",),
            (),
        ),
    ]
    tanh: list[Pair] = [
        (
            "tanh",
            "tanh over the sample and not over the mean, or over neither",
            "the derivative of tanh taken at l, or at the pre-activation",
            location("glimpse_location tanh", 3, 4),
            ("plain",),
            LOCATION,
        ),
        (
            "tanh-far",
            "means at the ends of tanh, ±1, and a sample beyond them, which is not clamped",
            "1 - mu² is 0 or nearly so where tanh is at its end",
            location("glimpse_location tanh-far", 3, 4, "b_mu", scale=6.0),
            ("saturation",),
            LOCATION + SAMPLE,
        ),
    ]
    wide: list[Pair] = [
        (
            "wide",
            "sigma = 3/2: its square is 9/4, its root 1.22",
            "sigma = 3/2 has no part in the gradient",
            location("glimpse_location wide", 2, 3),
            ("isolated",),
            SAMPLE,
        ),
    ]
    by_hand: list[Pair] = [
        (
            "hand",
            "by hand mu = (1, 3/4), l = (2, 1/4)",
            "by hand da = dmu + dl, whatever sigma is",
            hand,
            ("hand",),
            (),
        ),
    ]
    special = location("glimpse_location special", 4, 3)
    special["h"][1, 1] = np.nan
    special["eps"][2, 0] = np.nan
    return [
        *both(op, linear),
        *both(op, tanh, mean="tanh"),
        *both(op, wide, sigma=1.5),
        *both(op, by_hand, sigma=0.5),
        Draft(
            op,
            "special",
            "a NaN of the state makes both coordinates NaN, a NaN of the noise one of l alone",
            special,
            ("special",),
        ),
    ]


def action(key: str, B: int, H: int, A: int, *biases: str, scale: float = 1.0) -> Inputs:
    """Inputs of the action network, and its bias where named."""
    return {
        "h": draw(f"{key} h", B, H, scale=scale),
        "W_a": draw(f"{key} W_a", A, H),
        **{name: draw(f"{key} {name}", A) for name in biases},
    }


def actions() -> list[Draft]:
    """glimpse_action and its VJP."""
    op = "glimpse_action"
    even = action("glimpse_action even", 2, 3, 4)
    even["W_a"] = np.repeat(even["W_a"][:1], 4, axis=0)
    special = action("glimpse_action special", 3, 4, 5)
    special["h"][1, 2] = np.nan
    found: list[Pair] = [
        (
            "plain",
            "softmax over the batch, a sigmoid for each class, logits returned as they are",
            "the sum over classes left out of the softmax's VJP",
            action("glimpse_action plain", 3, 4, 5),
            ("plain",),
            (),
        ),
        (
            "bias",
            "b_a left out",
            "db_a a mean",
            action("glimpse_action bias", 2, 5, 3, "b_a"),
            ("plain",),
            (),
        ),
        (
            "square",
            "B = H = A: the wrong axis keeps the shape, W_a transposed too",
            "B = H = A: dW_a transposed",
            action("glimpse_action square", 3, 3, 3, "b_a"),
            ("square",),
            (),
        ),
        (
            "saturation",
            "logits of ±1e4: an exponential without the largest taken out is infinite, NaN after"
            " the division",
            "logits of ±1e4: the gradient is 0, not NaN",
            action("glimpse_action saturation", 3, 4, 5, scale=1e4),
            ("saturation",),
            (),
        ),
        (
            "even",
            "all classes alike: 1/4 each, exactly",
            "all classes alike: dp less its mean, over 4",
            even,
            ("hand",),
            (),
        ),
        (
            "one-class",
            "A = 1: the probability is 1",
            "A = 1: every gradient is 0",
            action("glimpse_action one-class", 2, 3, 1, "b_a"),
            ("isolated",),
            (),
        ),
        (
            "no-batch",
            "B = 0: (0, A)",
            "B = 0: zeros of full shape",
            action("glimpse_action no-batch", 0, 4, 3, "b_a"),
            ("zero-length",),
            (),
        ),
    ]
    return [
        *both(op, found),
        Draft(op, "special", "a NaN makes its own row NaN", special, ("special",)),
    ]


WEIGHTS = ("W_rho", "W_l", "W_gr", "W_gl", "U", "W", "W_mu", "W_a")
BIASES = ("b_rho", "b_l", "b_g", "b_h", "b_mu", "b_a")


def model(key: str, R: int, P: int, Q: int, G: int, H: int, A: int, *biases: str) -> Inputs:
    """Weights that keep states of order 1, and the named biases; locations move by about 1/2."""
    shapes: dict[str, tuple[int, ...]] = {
        **{"W_rho": (P, R), "W_l": (Q, 2), "W_gr": (G, P), "W_gl": (G, Q), "U": (H, G)},
        **{"W": (H, H), "W_mu": (2, H), "W_a": (A, H), "b_rho": (P,), "b_l": (Q,)},
        **{"b_g": (G,), "b_h": (H,), "b_mu": (2,), "b_a": (A,)},
    }
    scale = {"W_rho": 0.5, "W_gr": 0.7, "W_gl": 0.7, "U": 0.5, "W": 0.8}
    scale |= {"b_mu": 0.4, "b_a": 0.3}
    made = {
        name: draw(f"{key} {name}", *shapes[name], scale=scale.get(name, 1.0))
        for name in (*WEIGHTS, *biases)
    }
    # a little more than half of the units of the glimpse and of the state are awake
    made["W_gl"] = made["W_gl"] + 0.25
    made["U"] = made["U"] + 0.125
    if "b_h" in made:
        made["b_h"] = made["b_h"] + 0.5
    return made


def run(key: str, T: int, B: int, M: int, N: int, *rest: Any) -> Inputs:
    """Inputs of a rollout: rest is what `model` takes after the key."""
    return {
        "X": draw(f"{key} X", B, M, N),
        "l_0": draw(f"{key} l_0", B, 2),
        "eps": draw(f"{key} eps", T, B, 2, scale=2.0),
        **model(key, *rest),
    }


def rollouts() -> list[Draft]:
    """glimpse_rollout."""
    op = "glimpse_rollout"
    look = {"g_w": 3, "k": 2}
    wander = run("glimpse_rollout wander", 5, 2, 6, 8, 18, 4, 5, 6, 3, 7, *BIASES)
    wander["l_0"] = np.array([[-1.9, 0.3], [0.4, 1.8]])
    state = run("glimpse_rollout state", 4, 2, 9, 7, 18, 5, 6, 7, 3, 8)
    state["h_0"] = abs(draw("glimpse_rollout state h_0", 2, 3))
    still = run("glimpse_rollout still", 3, 2, 7, 9, 8, 4, 5, 6, 3, 4, *BIASES)
    still["eps"] = np.zeros((3, 2, 2))
    return [
        Draft(
            op,
            "plain",
            "the sensor at l_t and not at l_{t-1}, l_0 looked at twice, the glimpse network given"
            " mu for l, outputs shifted by one time",
            run("glimpse_rollout plain", 4, 2, 9, 7, 18, 5, 6, 7, 3, 8),
            attributes=look,
        ),
        Draft(
            op,
            "bias",
            "a bias in the first glimpse alone, or given to another network; sigma = 1/2 left at"
            " its default",
            run("glimpse_rollout bias", 5, 3, 7, 10, 12, 4, 6, 5, 3, 7, *BIASES),
            attributes={"g_w": 2, "k": 3, "sigma": 0.5},
        ),
        Draft(
            op,
            "tanh",
            "mean = tanh left at its default, or put over the sample",
            run("glimpse_rollout tanh", 4, 2, 8, 11, 18, 5, 4, 6, 3, 7, *BIASES),
            attributes={**look, "mean": "tanh"},
        ),
        Draft(
            op,
            "state",
            "h_0 given: ignored, or added at every time",
            state,
            attributes=look,
        ),
        Draft(
            op,
            "square",
            "M = N and P = Q = G = H = A: x and y swapped in the sensor, in W_mu or in the noise",
            run("glimpse_rollout square", 4, 4, 8, 8, 4, 4, 4, 4, 4, 4, *BIASES),
            ("square",),
            {"g_w": 2, "k": 1},
        ),
        Draft(
            op,
            "wander",
            "locations outside of the image: what the glimpse network is told is the location"
            " itself, not a clamped one",
            wander,
            attributes=look,
        ),
        Draft(
            op,
            "still",
            "eps = 0, as at test time: every location is the mean",
            still,
            ("isolated",),
            {"g_w": 2, "k": 2},
        ),
        Draft(
            op,
            "one-glimpse",
            "T = 1: at l_0, and the location that comes out is not looked at",
            run("glimpse_rollout one-glimpse", 1, 2, 6, 9, 8, 5, 4, 6, 3, 7),
            attributes={"g_w": 2, "k": 2},
        ),
        Draft(
            op,
            "no-glimpses",
            "T = 0: four empty outputs",
            run("glimpse_rollout no-glimpses", 0, 2, 6, 9, 8, 5, 4, 6, 3, 7),
            ("zero-length",),
            {"g_w": 2, "k": 2},
        ),
        Draft(
            op,
            "no-batch",
            "B = 0: four outputs of T times nothing",
            run("glimpse_rollout no-batch", 4, 0, 6, 9, 8, 5, 2, 6, 3, 7, *BIASES),
            ("zero-length",),
            {"g_w": 2, "k": 2},
        ),
    ]


def given(key: str, T: int, B: int, M: int, N: int, *rest: Any) -> Inputs:
    """Inputs of an unrolled run, its locations drawn from a box half as large again as the image.

    None lies within a hundredth of a pixel's edge.
    """
    made = run(key, T, B, M, N, *rest)
    del made["l_0"], made["eps"]
    l = draw(f"{key} l", T, B, 2, scale=1.5)
    for axis, n in ((0, N), (1, M)):
        pixels = (l[..., axis] + 1) * n / 2
        near = abs(pixels - np.round(pixels)) < 0.01
        l[..., axis] = np.where(near, np.round(l[..., axis] + 0.04 / n, 4), l[..., axis])
    return {**made, "l": l}


def unrolls() -> list[Draft]:
    """glimpse_unroll and its VJP."""
    op = "glimpse_unroll"
    state = given("glimpse_unroll state", 4, 2, 9, 7, 18, 5, 6, 7, 3, 8, *BIASES)
    state["h_0"] = abs(draw("glimpse_unroll state h_0", 2, 3))
    look: list[Pair] = [
        (
            "plain",
            "l[t] taken for the location after glimpse t, so that the first is at 0",
            "no error from glimpse t + 1, gradients overwritten and not summed over time, dh_0"
            " left out",
            given("glimpse_unroll plain", 4, 2, 9, 7, 18, 5, 6, 7, 3, 8),
            ("plain",),
            (),
        ),
        (
            "bias",
            "biases given to each other's network",
            "a bias gradient of the last glimpse alone",
            given("glimpse_unroll bias", 5, 3, 7, 10, 18, 4, 6, 5, 3, 7, *BIASES),
            ("plain",),
            (),
        ),
        (
            "state",
            "h_0 ignored",
            "dh_0 and dW of the first glimpse, from h_0",
            state,
            ("plain",),
            (),
        ),
        (
            "one-glimpse",
            "T = 1: the five networks in a row",
            "T = 1: no error comes from a later glimpse",
            given("glimpse_unroll one-glimpse", 1, 2, 6, 9, 18, 5, 4, 6, 3, 7, *BIASES),
            ("plain",),
            (),
        ),
        (
            "no-glimpses",
            "T = 0: three empty outputs",
            "T = 0: zeros of full shape, dh_0 too",
            given("glimpse_unroll no-glimpses", 0, 2, 6, 9, 18, 5, 4, 6, 3, 7, "b_h"),
            ("zero-length",),
            (),
        ),
        (
            "no-batch",
            "B = 0: three outputs of T times nothing",
            "B = 0: zeros of full shape",
            given("glimpse_unroll no-batch", 4, 0, 6, 9, 18, 5, 2, 6, 3, 7, "b_g"),
            ("zero-length",),
            (),
        ),
    ]
    square: list[Pair] = [
        (
            "square",
            "M = N and all layers of 4 units: x and y swapped, a matrix transposed",
            "square weights: a transposed product keeps its shape",
            given("glimpse_unroll square", 4, 4, 8, 8, 4, 4, 4, 4, 4, 4, *BIASES),
            ("square",),
            (),
        ),
    ]
    tanh: list[Pair] = [
        (
            "tanh",
            "mean = tanh left at its default",
            "the mean's error not taken through tanh on its way to the core",
            given("glimpse_unroll tanh", 4, 2, 8, 11, 18, 5, 4, 6, 3, 7, *BIASES),
            ("plain",),
            (),
        ),
    ]
    quiet = given("glimpse_unroll actions-alone", 4, 3, 7, 6, 18, 5, 4, 6, 3, 7, *BIASES)
    seen = given("glimpse_unroll same-place", 4, 2, 9, 7, 18, 5, 6, 7, 3, 8, *BIASES)
    seen["l"] = np.broadcast_to(at(9, 7, (3, 4), (2, 6)), (4, 2, 2)).copy()
    long = given("glimpse_unroll long", 40, 1, 9, 7, 18, 4, 5, 6, 3, 4, *BIASES)
    return [
        *both(op, look, g_w=3, k=2),
        *both(op, square, g_w=2, k=1),
        *both(op, tanh, g_w=3, k=2, mean="tanh"),
        Draft(
            f"{op}.vjp",
            "actions-alone",
            "only the last p has a cotangent: it reaches every glimpse by way of the states, and"
            " no mean",
            {
                **quiet,
                "dmu": np.zeros((4, 3, 2)),
                "dh": np.zeros((4, 3, 3)),
                "dp": np.concatenate([np.zeros((3, 3, 7)), draw(f"{op} dp", 1, 3, 7)]),
            },
            ("isolated",),
            {"g_w": 3, "k": 2},
        ),
        Draft(
            f"{op}.vjp",
            "same-place",
            "four glimpses at one place: dX is their sum, and not the last one's",
            seen,
            ("isolated",),
            {"g_w": 3, "k": 2},
        ),
        Draft(
            f"{op}.vjp",
            "long",
            "T = 40: backpropagation cut off after a few glimpses",
            long,
            ("long",),
            {"g_w": 3, "k": 2},
        ),
    ]


def policy(key: str, T: int, B: int, *optional: str) -> Inputs:
    """Inputs of REINFORCE's loss: samples beside their means, returns of 0 and 1."""
    mu = draw(f"{key} mu", T, B, 2)
    return {
        "l": np.round(mu + draw(f"{key} noise", T, B, 2, scale=0.5), 6),
        "mu": mu,
        "R": np.array([1.0, 0.0, 1.0, 1.0, 0.0][:B]),
        **{name: sixteenths(draw(f"{key} {name}", T, B)) for name in optional},
    }


def sixteenths(x: Array) -> Array:
    """x rounded so that R - b is exact in every dtype."""
    return np.round(16 * x) / 16


def reinforces() -> list[Draft]:
    """glimpse_reinforce and its VJP."""
    op = "glimpse_reinforce"
    outside = policy("glimpse_reinforce outside", 4, 2, "b")
    outside["l"] = outside["l"] * 3
    level = policy("glimpse_reinforce level", 3, 2)
    level["b"] = np.broadcast_to(level["R"], (3, 2)).copy()
    # by hand, sigma = 1/2, B = 2: advantages 3/4 and -1/2; distances² 1/4 + 1 and 1/4;
    # loss = (3/4 * 5/4 - 1/2 * 1/4) * 2 / 2 = 13/16; dmu = -A (l - mu) * 4 / 2
    hand = {
        "l": np.array([[[0.5, 1.0], [0.0, -0.5]]]),
        "mu": np.array([[[0.0, 0.0], [0.0, 0.0]]]),
        "R": np.array([1.0, 0.0]),
        "b": np.array([[0.25, 0.5]]),
    }
    returns = policy("glimpse_reinforce returns", 3, 4, "b")
    returns["R"] = sixteenths(draw("glimpse_reinforce returns R", 4, scale=50.0))
    plain: list[Pair] = [
        (
            "plain",
            "a mean over time as well, a sum over the batch, 1/σ for 1/σ²",
            "the sign: this is a loss and not a return; 1/σ for 1/σ², or none",
            policy("glimpse_reinforce plain", 4, 3),
            ("plain",),
            (),
        ),
        (
            "baseline",
            "the baseline of another time or example, or added",
            "R in place of R - b: right in expectation, and wrong",
            policy("glimpse_reinforce baseline", 5, 3, "b"),
            ("plain",),
            (),
        ),
        (
            "square",
            "T = B: the return of an example taken for the return of a time",
            "T = B: R spread over the wrong axis",
            policy("glimpse_reinforce square", 3, 3, "b"),
            ("square",),
            (),
        ),
        (
            "outside",
            "samples outside of the image: the score is at the sample that was drawn, not at a"
            " clamped one",
            "samples outside of the image: a clamp before the score shrinks it",
            outside,
            ("isolated",),
            (),
        ),
        (
            "returns",
            "returns of -50 … 50, not 0 and 1: a comparison with 0 in place of a product",
            "returns of either sign, not 0 and 1",
            returns,
            ("plain",),
            (),
        ),
        (
            "level",
            "R = b: the loss is 0",
            "R = b: the gradient is 0, with a constant baseline too",
            level,
            ("isolated",),
            (),
        ),
        (
            "no-times",
            "T = 0: the loss is 0",
            "T = 0: (0, B, 2)",
            policy("glimpse_reinforce no-times", 0, 3, "b"),
            ("zero-length",),
            (),
        ),
        (
            "no-batch",
            "B = 0: the loss is 0, not 0/0",
            "B = 0: (T, 0, 2)",
            policy("glimpse_reinforce no-batch", 4, 0),
            ("zero-length",),
            (),
        ),
    ]
    wide: list[Pair] = [
        (
            "wide",
            "sigma = 3/2: above 1 the square is on the other side",
            "sigma = 3/2: the gradient shrinks by 9/4",
            policy("glimpse_reinforce wide", 3, 2, "b"),
            ("isolated",),
            (),
        ),
    ]
    by_hand: list[Pair] = [
        (
            "hand",
            "by hand the loss is 13/16",
            "by hand: -3/4 (1/2, 1) 2 and 1/2 (0, -1/2) 2",
            {**hand},
            ("hand",),
            (),
        ),
    ]
    return [*both(op, plain), *both(op, wide, sigma=1.5), *both(op, by_hand, sigma=0.5)]


def baseline(key: str, T: int, B: int, H: int, *biases: str) -> Inputs:
    """Inputs of the baseline, and its bias where named."""
    return {
        "h": draw(f"{key} h", T, B, H),
        "R": np.array([1.0, 0.0, 1.0, 1.0, 0.0][:B]),
        "W_b": draw(f"{key} W_b", 1, H),
        **{name: draw(f"{key} {name}", 1) for name in biases},
    }


def baselines() -> list[Draft]:
    """glimpse_baseline and its VJP."""
    op = "glimpse_baseline"
    # by hand: b = 2 - 1/2 = 3/2 and 1 - 1/2 = 1/2, errors 1/2 and -1/2: loss (1/4 + 1/4) / 2
    hand = {
        "h": np.array([[[1.0, 0.0], [0.0, 1.0]]]),
        "R": np.array([1.0, 1.0]),
        "W_b": np.array([[2.0, 1.0]]),
        "b_b": np.array([-0.5]),
    }
    found: list[Pair] = [
        (
            "plain",
            "a mean over time as well, a half in the loss, errors not squared",
            "the cotangent of b left out, the 2 of the square left out",
            baseline("glimpse_baseline plain", 4, 3, 5),
            ("plain",),
            (),
        ),
        (
            "bias",
            "b_b left out, or a baseline that is rectified",
            "db_b a mean over time",
            baseline("glimpse_baseline bias", 5, 2, 4, "b_b"),
            ("plain",),
            (),
        ),
        (
            "square",
            "T = B = H: the return spread over time, states laid out the wrong way",
            "T = B = H: states and errors laid out in different orders",
            baseline("glimpse_baseline square", 3, 3, 3, "b_b"),
            ("square",),
            (),
        ),
        (
            "hand",
            "by hand b = (3/2, 1/2), loss 1/4",
            "by hand db gains 1/2 dL and -1/2 dL",
            hand,
            ("hand",),
            (),
        ),
        (
            "no-times",
            "T = 0: the loss is 0",
            "T = 0: zeros of full shape",
            baseline("glimpse_baseline no-times", 0, 2, 3, "b_b"),
            ("zero-length",),
            (),
        ),
        (
            "no-batch",
            "B = 0: the loss is 0, not 0/0",
            "B = 0: zeros of full shape",
            baseline("glimpse_baseline no-batch", 4, 0, 3),
            ("zero-length",),
            (),
        ),
    ]
    alone = baseline("glimpse_baseline loss-alone", 4, 3, 2, "b_b")
    return [
        *both(op, found),
        Draft(
            f"{op}.vjp",
            "loss-alone",
            "db = 0: what the squared error alone teaches",
            {**alone, "db": np.zeros((4, 3))},
            ("isolated",),
            clauses=BASELINE_LOSS,
        ),
        Draft(
            f"{op}.vjp",
            "value-alone",
            "dloss = 0: the error of the value itself",
            {**alone, "dloss": np.zeros(())},
            ("isolated",),
            clauses=BASELINE,
        ),
    ]


def train(key: str, y: list[int], T: int, M: int, N: int, *sizes: int) -> Inputs:
    """Inputs of a training step, every bias among them; sizes are R, P, Q, G, H, A."""
    H = sizes[4]
    return {
        **run(key, T, len(y), M, N, *sizes, *BIASES),
        "y": np.array(y, dtype=np.int64),
        "W_b": draw(f"{key} W_b", 1, H, scale=0.5),
        "b_b": draw(f"{key} b_b", 1),
    }


def train_steps() -> list[Draft]:
    """glimpse_train_step."""
    op = "glimpse_train_step"
    look = {"g_w": 2, "k": 2}
    tie = train("glimpse_train_step tie", [0, 1, 3], 3, 7, 9, 8, 4, 5, 6, 3, 4)
    tie["W_a"] = np.zeros((4, 3))
    tie["b_a"] = np.array([0.25, 0.25, -0.5, 0.25])
    sure = train("glimpse_train_step sure", [1, 2], 3, 7, 9, 8, 4, 5, 6, 3, 4)
    sure["b_a"] = np.array([0.0, 1e4, -1e4, 0.0])
    still = train("glimpse_train_step still", [2, 0], 3, 8, 6, 8, 5, 4, 6, 3, 5)
    still["eps"] = np.zeros((3, 2, 2))
    return [
        Draft(
            op,
            "plain",
            "a step uphill, a loss that is a sum over the batch, gradients of the last glimpse"
            " alone, a baseline that gets REINFORCE's gradient",
            train("glimpse_train_step plain", [3, 2, 0], 4, 9, 7, 8, 5, 6, 7, 3, 8),
            attributes=look,
        ),
        Draft(
            op,
            "all",
            "reinforce = all: the location's error goes on into the core and the glimpse network",
            train("glimpse_train_step all", [1, 4, 3], 4, 7, 10, 8, 5, 6, 7, 3, 5),
            attributes={**look, "reinforce": "all"},
            clauses=STEP,
        ),
        Draft(
            op,
            "tanh",
            "mean = tanh: its derivative left out of the location network's gradient; sigma and lr"
            " left at their defaults",
            train("glimpse_train_step tanh", [2, 0], 5, 8, 11, 12, 4, 6, 5, 3, 7),
            attributes={"g_w": 2, "k": 3, "mean": "tanh", "sigma": 0.5, "lr": 0.5},
            clauses=STEP,
        ),
        Draft(
            op,
            "all-tanh",
            "both: the error of the mean reaches the core by way of tanh",
            train("glimpse_train_step all-tanh", [3, 1, 2, 0], 3, 9, 8, 9, 5, 4, 6, 3, 5),
            attributes={"g_w": 3, "k": 1, "mean": "tanh", "reinforce": "all", "lr": 0.25},
            clauses=STEP,
        ),
        Draft(
            op,
            "square",
            "M = N and layers of 4: x and y swapped, weights transposed, parameters returned in"
            " another order",
            train("glimpse_train_step square", [1, 0, 3, 2], 4, 8, 8, 4, 4, 4, 4, 4, 4),
            ("square",),
            {"g_w": 2, "k": 1},
        ),
        Draft(
            op,
            "tie",
            "three classes exactly equal: the first is the answer, so that label 0 is rewarded and"
            " label 3 is not",
            tie,
            ("isolated",),
            look,
            REWARD,
        ),
        Draft(
            op,
            "sure",
            "a probability of e^-20000: its logarithm is -20000 from the logits and -inf from the"
            " probability, and a clamp gives another",
            sure,
            ("saturation",),
            look,
            ENTROPY + REWARD,
        ),
        Draft(
            op,
            "still",
            "eps = 0: REINFORCE teaches nothing, the location network stays as it is; where the"
            " sample is differentiated it moves",
            still,
            ("isolated",),
            look,
            STEP,
        ),
        Draft(
            op,
            "one-glimpse",
            "T = 1: the location that was drawn is rewarded, though nothing has looked at it",
            train("glimpse_train_step one-glimpse", [6, 0], 1, 6, 9, 8, 5, 4, 6, 3, 7),
            attributes=look,
        ),
        Draft(
            op,
            "no-batch",
            "B = 0: the parameters stay as they are, the losses are 0 and not 0/0",
            train("glimpse_train_step no-batch", [], 3, 6, 9, 8, 5, 4, 6, 3, 7),
            ("zero-length",),
            look,
        ),
    ]
