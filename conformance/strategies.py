"""Fresh inputs for an operation, drawn by Hypothesis from its declaration in the spec.

Sizes, optional inputs and attributes come from the declaration; which sizes may be 0, how many axes
a free shape has and which values a numeric attribute takes are read off the stored cases. What a
declaration cannot say (an index below a size, a probability) stands in the tables below. Every
element is a draw of its own, so that Hypothesis can shrink an array to the few numbers that matter.
"""

import dataclasses
import functools
import importlib
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.errors import Flaky

from nnspec.conformance.suite import VECTORS, SuiteError, as_outputs, read_file
from nnspec.reference.array import Array
from nnspec.spec.loader import Operation, dimensions, spec

# how far an attribute goes that is a size or a position; others keep to the values of stored cases
RANGES: dict[str, tuple[int, int]] = {
    "steps": (1, 4),
    "window": (1, 4),
    "heads": (1, 3),
    "g_w": (1, 3),
    "k": (1, 2),
    "width": (1, 3),
    "offset": (0, 6),
    "shift": (-3, 6),
    "size": (1, 5),
}
# the size that an integer input stays below, by topic and name
BELOW: dict[tuple[str, str], str] = {
    ("attention", "index"): "T",
    ("captioning", "index"): "L",
    ("captioning", "words"): "V",
    ("captioning", "first"): "V",
    ("captioning", "y"): "V",
    ("glimpse", "y"): "A",
    ("primitives", "targets"): "K",
    ("primitives", "index"): "V",
    ("transformer", "tokens"): "V",
    ("transformer", "source"): "V",
    ("transformer", "target"): "V",
    ("translation", "source"): "V",
    ("translation", "target"): "Z",
}
# the size that a length does not exceed; T unless it stands here
LENGTH: dict[tuple[str, str], str] = {
    ("transformer", "source_lengths"): "S",
    ("transformer", "memory_lengths"): "S",
    ("transformer", "target_lengths"): "L",
    ("translation", "target_lengths"): "N",
}
# inputs that are counts, and how far they go
COUNTS = {("recurrent_macs", "H"): 2000, ("recurrent_macs", "I"): 2000}
# inputs strictly between 0 and 1; inputs that add up to 1 over the last axis; inputs not negative
UNIT = {"u", "u_1", "u_2", "v_real", "v_fake"}
DISTRIBUTIONS = {"p_data", "p_g", "alpha"}
NOT_NEGATIVE = {("jacobian_bound", "sigma")}
# locations on an image, from somewhat outside of its edges
LOCATIONS = {("glimpse", "l"), ("glimpse", "l_0")}
# inputs of a free shape that have one and the same
SAME_SHAPE = {"sgd_step", "gan_prior_gaussian"}
# optional inputs that mean nothing without another, or that an integer input would have to fit
NEEDS = {("mlp", "b_3"): "W_3"}
LEFT_OUT = {
    ("hard_attention_score_gradient", "lengths"),
    ("hard_attention_score_gradient", "mask"),
}

# (spread, centre) of an array's elements: where functions bend, saturate, overflow and underflow
SPREADS = {
    "plain": (1.0, 0.3),
    "saturated": (8.0, 40.0, 300.0, 1e4),
    "cancelling": (1.0, 100.0),
    "tiny": (1e-4, 1e-8),
    "mixed": (1.0, 1e-4, 30.0, 1e3),
}
CENTRES = (0.0, 9.0, -9.0, 17.0, -17.0, 88.0, -88.0)
ELEMENT = st.integers(-9999, 9999)


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a property asks of the inputs besides the declaration.

    `least` sizes, sizes that are the `same` as another, `attributes` that are fixed, optional
    inputs that are `absent`; `gentle` inputs are of ordinary size.
    """

    least: Mapping[str, int] = dataclasses.field(default_factory=dict)
    same: Mapping[str, str] = dataclasses.field(default_factory=dict)
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    gentle: bool = False


ANY = Limits()


@dataclasses.dataclass
class Seen:
    """What the stored cases of an operation show of its domain."""

    zeros: set[str] = dataclasses.field(default_factory=set)
    ranks: dict[str, set[int]] = dataclasses.field(default_factory=dict)
    attributes: dict[str, set[Any]] = dataclasses.field(default_factory=dict)
    zero_lengths: set[str] = dataclasses.field(default_factory=set)


@functools.cache
def seen(name: str) -> Seen:
    """The domain of an operation as its stored cases span it; empty where it has none."""
    operation, found = spec().operations[name], Seen()
    try:
        cases = read_file(VECTORS / operation.topic / f"{name}.json").cases
    except SuiteError:
        return found
    declared = operation.inputs | operation.optional
    for case in cases:
        for attribute, value in case.attributes.items():
            found.attributes.setdefault(attribute, set()).add(value)
        for field, data in case.inputs.items():
            if declared.get(field, "...") == "...":
                found.ranks.setdefault(field, set()).add(len(data.shape))
                if 0 in data.shape:
                    found.zeros.add("...")
                continue
            symbols = declared[field].split()
            found.zeros.update(s for s, n in zip(symbols, data.shape, strict=True) if n == 0)
            if field.endswith("lengths") and 0 in data.data:
                found.zero_lengths.add(field)
    return found


def refusal(operation: Operation) -> str | None:
    """Why inputs of an operation cannot be drawn, or None."""
    for name in operation.integers:
        if (
            name in operation.inputs | operation.optional
            and not name.endswith("lengths")
            and (operation.topic, name) not in BELOW
            and (operation.base, name) not in COUNTS
        ):
            return f"conformance/strategies.py has no rule for its integer input '{name}'"
    return None


def symbols_of(operation: Operation) -> list[str]:
    """The size symbols of an operation's inputs, in order."""
    shapes = " ".join([*operation.inputs.values(), *operation.optional.values()])
    return list(dict.fromkeys(re.findall(r"[A-Za-z_]+", shapes)))


@st.composite
def arguments(
    draw: st.DrawFn, operation: Operation, dtype: str, limits: Limits = ANY
) -> dict[str, Any]:
    """Inputs and attributes of an operation by name, in the order of its declaration."""
    forward = spec().operations[operation.base]
    attributes = {n: draw(_attribute(operation, n, limits)) for n in operation.attributes}
    sizes = _sizes(draw, operation, forward, attributes, limits)
    present = [*forward.inputs]
    for name in forward.optional:
        wanted = NEEDS.get((forward.name, name))
        if name in limits.absent or (forward.name, name) in LEFT_OUT:
            continue
        if wanted is not None and wanted not in present:
            continue
        if draw(st.booleans()):
            present.append(name)
    style = Style(draw, dtype, limits.gentle)
    shapes: dict[str, tuple[int, ...]] = {}
    arrays: dict[str, Array] = {}
    declared = forward.inputs | forward.optional
    for name in present:
        shape = (
            _free_shape(draw, operation, forward, name, sizes, shapes)
            if declared[name] == "..."
            else dimensions(declared[name], sizes)
        )
        shapes[name] = shape
        arrays[name] = _array(operation, name, shape, sizes, attributes, style)
    if "axis" in attributes:
        rank = len(shapes["x"])
        attributes["axis"] = draw(st.integers(-rank, rank - 1))
    if operation is not forward:
        for name, shape in cotangent_shapes(forward, {**arrays, **attributes}).items():
            arrays[f"d{name}"] = style.floats(shape)
    order = [*operation.inputs, *operation.optional]
    return {**{name: arrays[name] for name in order if name in arrays}, **attributes}


def another(operation: Operation, given: Mapping[str, Any]) -> dict[str, Any]:
    """Other values in arrays of the same shapes, as valid as these."""
    changed = dict(given)
    for name, value in given.items():
        if not isinstance(value, np.ndarray):
            continue
        if value.dtype.kind != "f" or name in UNIT | DISTRIBUTIONS:
            changed[name] = value.reshape(-1)[::-1].reshape(value.shape).copy()
        elif (operation.base, name) not in NOT_NEGATIVE:
            changed[name] = np.asarray(0.5 - value, dtype=value.dtype)
    return changed


def cotangent_shapes(
    forward: Operation, arguments: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
    """The shapes of the outputs that a VJP takes cotangents of."""
    function = getattr(importlib.import_module(f"nnspec.reference.{forward.topic}"), forward.name)
    with np.errstate(all="ignore"):
        outputs = as_outputs(forward, function(**arguments))
    return {name: np.shape(outputs[name]) for name in forward.cotangents}


def _attribute(operation: Operation, name: str, limits: Limits) -> st.SearchStrategy[Any]:
    declared = operation.attributes[name]
    if name in limits.attributes:
        return st.just(limits.attributes[name])
    if isinstance(declared, list):
        return st.sampled_from(declared)
    if isinstance(declared, bool):
        return st.booleans()
    if name in RANGES:
        return st.integers(*RANGES[name])
    if isinstance(declared, int):
        return st.just(declared)
    others = seen(operation.name).attributes.get(name, set()) - {declared}
    return st.sampled_from([declared, *sorted(others)])


def _sizes(
    draw: st.DrawFn,
    operation: Operation,
    forward: Operation,
    attributes: Mapping[str, Any],
    limits: Limits,
) -> dict[str, int]:
    arrays = len(forward.inputs)
    most = 4 if arrays <= 6 else 3 if arrays <= 12 else 2
    zeros = seen(operation.name).zeros
    # an index needs something that it can point to
    floor = {BELOW[key] for n in forward.integers if (key := (forward.topic, n)) in BELOW}
    sizes: dict[str, int] = {}
    for symbol in symbols_of(forward):
        low = 0 if symbol in zeros and symbol not in floor else 1
        low = max(low, limits.least.get(symbol, 0))
        high = max(most, low)
        if symbol in ("T", "N") and not limits.gentle and arrays <= 12:
            chain = st.integers(16, 40)
            short = st.integers(low, most + 2)
            sizes[symbol] = draw(st.one_of(short, short, short, short, short, chain))
        elif symbol == "Z":
            sizes[symbol] = draw(st.integers(max(2, low), max(3, high)))
        else:
            sizes[symbol] = draw(st.integers(low, high))
    if forward.topic == "transformer":
        heads = attributes.get("heads", 1)
        # columns come in pairs, and heads share the columns of the projections
        sizes |= {s: 2 * n for s, n in sizes.items() if s == "D"}
        sizes |= {s: heads * min(n, 2) for s, n in sizes.items() if s in "PR" and heads > 1}
    if "R" in sizes and "g_w" in attributes:
        sizes["R"] = attributes["k"] * attributes["g_w"] ** 2
    sizes |= {symbol: sizes[other] for symbol, other in limits.same.items()}
    return sizes


def _free_shape(
    draw: st.DrawFn,
    operation: Operation,
    forward: Operation,
    name: str,
    sizes: Mapping[str, int],
    shapes: Mapping[str, tuple[int, ...]],
) -> tuple[int, ...]:
    if name == "mask":
        return sizes["L"], sizes.get("S", sizes["L"])
    if forward.name in SAME_SHAPE and shapes:
        return next(iter(shapes.values()))
    found = seen(operation.name)
    ranks = sorted(found.ranks.get(name, {1}))
    low = 0 if "..." in found.zeros else 1
    least_rank = 1 if "axis" in operation.attributes or forward.name == "layer_norm" else 0
    rank = draw(st.sampled_from([r for r in ranks if r >= least_rank and r <= 3] or [1]))
    shape = tuple(draw(st.integers(low, 4)) for _ in range(rank))
    if "axis" in operation.attributes:
        # the maximum over an axis without elements does not exist
        shape = tuple(max(1, n) for n in shape)
    return (*shape[:-1], sizes["D"]) if forward.name == "layer_norm" else shape


def _array(
    operation: Operation,
    name: str,
    shape: tuple[int, ...],
    sizes: Mapping[str, int],
    attributes: Mapping[str, Any],
    style: "Style",
) -> Array:
    key = (operation.topic, name)
    if name in operation.booleans:
        return style.numbers(shape, st.booleans().map(lambda x: not x)).astype(bool)
    if name.endswith("lengths"):
        symbol = LENGTH.get(key, "T" if "T" in sizes else "S" if "S" in sizes else "L")
        high = sizes[symbol]
        low = min(high, 0 if name in seen(operation.name).zero_lengths else 1)
        return style.numbers(shape, st.integers(low, high)).astype(np.int64)
    if name in operation.integers:
        count = COUNTS.get((operation.base, name))
        if count is None:
            count = attributes["size"] if "size" in attributes else sizes[BELOW[key]]
        return style.numbers(shape, st.integers(0, count - 1)).astype(np.int64)
    if name in UNIT:
        return (style.numbers(shape, st.integers(1, 1023)) / 1024).astype(style.dtype)
    if name in DISTRIBUTIONS:
        weights = style.numbers(shape, st.integers(1, 1000)).astype(np.float64)
        return np.asarray(weights / weights.sum(axis=-1, keepdims=True), dtype=style.dtype)
    if (operation.base, name) in NOT_NEGATIVE:
        return np.asarray(np.abs(style.floats(shape)))
    if key in LOCATIONS:
        return (style.numbers(shape, ELEMENT) * 1.5e-4).astype(style.dtype)
    return style.floats(shape)


class Style:
    """How the floating arrays of one input set are drawn: one regime for all of them."""

    def __init__(self, draw: st.DrawFn, dtype: str, gentle: bool):
        self.draw = draw
        self.dtype = dtype
        self.regime = "plain" if gentle else draw(st.sampled_from([*SPREADS]))

    def numbers(self, shape: tuple[int, ...], element: st.SearchStrategy[Any]) -> Array:
        """An array of draws of one kind."""
        count = int(np.prod(shape))
        return np.array(self.draw(st.lists(element, min_size=count, max_size=count))).reshape(shape)

    def floats(self, shape: tuple[int, ...]) -> Array:
        """An array of the regime: decimals around a centre, or halves that cancel."""
        spread = self.draw(st.sampled_from(SPREADS[self.regime]))
        centre = self.draw(st.sampled_from(CENTRES)) if self.regime == "saturated" else 0.0
        whole = self.numbers(shape, ELEMENT).astype(np.float64)
        values = centre + whole * spread / 1e4
        half = shape[-1] // 2 if shape else 0
        if self.regime == "cancelling" and half:
            sign = self.draw(st.sampled_from((1, -1)))
            # all but one part in a thousand
            values[..., half : 2 * half] = sign * values[..., :half] * (1 + 1e-3)
        return (
            np.array([float(f"{v:.6g}") for v in values.reshape(-1)])
            .reshape(shape)
            .astype(self.dtype)
        )


class Enough(BaseException):
    """Leaves Hypothesis at once, from inside a body; no exception that it would shrink."""


class Failing(Exception):  # noqa: N818 (what Hypothesis shrinks, not an error)
    """Tells Hypothesis that this input fails, so that it looks for a smaller one."""


def explore(
    strategy: st.SearchStrategy[Any],
    body: Callable[[Any], None],
    *,
    seed: int,
    examples: int,
    shrink: bool,
) -> None:
    """body(input) for inputs of a strategy, the same for the same seed.

    Where the body raises Failing, Hypothesis calls it with ever smaller inputs if `shrink` is set.
    """
    # Hypothesis would leave a folder of its own wherever it is called
    set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "nnspec-hypothesis")
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]

    @seeded(seed)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=phases,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(strategy)
    def run(found: Any) -> None:
        body(found)

    try:
        run()
    except Enough:
        pass
    except Failing:
        pass
    except Flaky:
        # the backend does not answer the same way twice; what it got wrong is noted already
        pass


def weight(arguments: Mapping[str, Any]) -> tuple[int, int, int]:
    """How much there is to read in an input set: elements, those that are not 0, digits."""
    arrays = [v for v in arguments.values() if isinstance(v, np.ndarray)]
    values = [x for array in arrays for x in array.reshape(-1).tolist()]
    return len(values), sum(x != 0 for x in values), sum(len(f"{x:g}") for x in values)


def jumps(operation: Operation, arguments: Mapping[str, Any], dtype: str) -> bool:
    """Whether the result is not continuous here: a few units of rounding in the inputs decide it.

    There a correct implementation may give another result (another index drawn, another side of a
    kink), so that a difference proves nothing.
    """
    function = getattr(
        importlib.import_module(f"nnspec.reference.{operation.topic}"), operation.function
    )
    unit = float(np.finfo(np.dtype(dtype)).eps) / 2
    coins = np.random.Generator(np.random.PCG64(1))

    def run(size: float) -> dict[str, Array]:
        moved = {
            name: value.astype(np.float64)
            + size * coins.uniform(-1, 1, value.shape) * np.abs(value).max(initial=0)
            if isinstance(value, np.ndarray) and value.dtype.kind == "f"
            else value
            for name, value in arguments.items()
        }
        with np.errstate(all="ignore"):
            outputs = as_outputs(operation, function(**moved))
        return {name: np.asarray(value) for name, value in outputs.items()}

    try:
        still = run(0.0)
        for _ in range(6):
            for name, other in run(4 * unit).items():
                first = still[name]
                if first.shape != other.shape:
                    return True
                if name in operation.integers:
                    if not np.array_equal(first, other):
                        return True
                    continue
                scale = np.abs(first).max(initial=0)
                if (np.abs(first - other) > 1e-3 * scale + 1e-30).any():
                    return True
    except (ValueError, IndexError, ArithmeticError):
        return True
    return False
