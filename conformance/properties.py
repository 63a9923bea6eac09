"""Properties that hold on any backend without a truth: equal calls, equal rows, no look ahead.

Each property draws a trial: calls of one operation and equations between parts of their outputs.
A trial is data, so that a counter-example prints as a program and as JSON. Hypothesis shrinks it.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from hypothesis import strategies as st

from nnspec.conformance import layouts
from nnspec.conformance.process import BackendGoneError, BackendProcess, ProcessRefusedError
from nnspec.conformance.program import CALL_SECONDS, Subject
from nnspec.conformance.protocol import Hello, Reply, Request
from nnspec.conformance.source import keywords
from nnspec.conformance.strategies import (
    Enough,
    Failing,
    Limits,
    another,
    arguments,
    explore,
    jumps,
    refusal,
    symbols_of,
    weight,
)
from nnspec.conformance.suite import ArrayData, encode
from nnspec.reference.array import Array
from nnspec.spec.loader import Operation, spec

SHRINK_SECONDS = 10.0
# Two ways to the same number may round differently; a fault of the kinds below is far larger. In
# units of the dtype's rounding, relative to the largest element.
SLACK = 2000.0


@dataclasses.dataclass(frozen=True)
class Given:
    """An input that is the output of an earlier call, or a part of it."""

    call: int
    output: str
    index: tuple[Any, ...] = ()


@dataclasses.dataclass(frozen=True)
class Part:
    """An output of a call, or a part of it."""

    call: int
    output: str
    index: tuple[Any, ...] = ()


@dataclasses.dataclass
class Trial:
    """Calls in order, and parts of their outputs that have to be equal; `exact` means bit for bit.

    `strided` calls get arrays that are not contiguous.
    """

    calls: list[dict[str, Any]]
    equal: list[tuple[Part, Part]]
    exact: bool = False
    strided: frozenset[int] = frozenset()


class Property(msgspec.Struct, frozen=True):
    """A statement, the operations that it is about, and how a trial of it is drawn."""

    name: str
    statement: str
    applies: Callable[[Operation], bool]
    trial: Callable[[Operation, str], st.SearchStrategy[Trial]]


# the inputs at a later time or position, their symbol and its axis, that must not be seen earlier
CAUSAL: dict[str, tuple[str, tuple[str, ...], dict[str, Any], dict[str, str]]] = {
    "bptt_forward": ("T", ("X",), {}, {}),
    "rnn_sequence": ("T", ("X",), {}, {}),
    "rnn_many_to_many": ("T", ("X",), {}, {}),
    "rnn_encoder_decoder": ("N", ("Y",), {}, {}),
    "rnn_stacked": ("T", ("X",), {}, {}),
    "gru_sequence": ("T", ("X",), {}, {}),
    "gru_reset_after_sequence": ("T", ("X",), {}, {}),
    "gru_stacked": ("T", ("X",), {}, {}),
    "lstm_sequence": ("T", ("X",), {}, {}),
    "lstm_peephole_sequence": ("T", ("X",), {}, {}),
    "lstm_stacked": ("T", ("X",), {}, {}),
    "captioning_forward": ("T", ("words",), {}, {}),
    "translation_forward": ("N", ("target",), {}, {}),
    "glimpse_rollout": ("T", ("eps",), {}, {}),
    "glimpse_unroll": ("T", ("l",), {}, {}),
    "attention_weights": ("L", ("q", "k"), {"causal": True}, {"S": "L"}),
    "scaled_dot_product_attention": ("L", ("q", "k", "v"), {"causal": True}, {"S": "L"}),
    "multi_head_attention": ("L", ("q", "k", "v"), {"causal": True}, {"S": "L"}),
    "decoder_layer": ("L", ("x",), {}, {}),
    "transformer_forward": ("L", ("target",), {}, {}),
}
# the size over which the order of the items means nothing, and attributes under which it is so
UNORDERED: dict[str, tuple[str, dict[str, Any]]] = {
    "attention_dot_scores": ("T", {}),
    "attention_general_scores": ("T", {}),
    "attention_additive_scores": ("T", {}),
    "soft_attention": ("T", {}),
    "captioning_scores": ("L", {}),
    "captioning_soft": ("L", {}),
    "captioning_init": ("L", {}),
    "captioning_step": ("L", {}),
    "translation_attention": ("T", {}),
    "translation_context": ("T", {}),
    "translation_step": ("T", {}),
    "attention_weights": ("S", {"causal": False}),
    "scaled_dot_product_attention": ("S", {"causal": False}),
    "multi_head_attention": ("S", {"causal": False}),
    "encoder_layer": ("L", {}),
    "contextual_embedding": ("L", {"position": "none"}),
}
# what is handed over besides the states
CARRIED = {"glimpse_rollout": {"l_0": Part(0, "l", (-1,))}}
# operations whose result is the gradient of a mean over the batch
MEANS = {"hard_attention_score_gradient"}
# the input that a constant may be added to
SHIFTED: dict[str, str] = {
    "softmax": "x",
    "log_softmax": "x",
    "cross_entropy": "logits",
    "soft_attention": "scores",
    "captioning_soft": "e",
}


def axes(operation: Operation, name: str, symbol: str) -> int | None:
    """Which axis of an input or output has this size, or None."""
    shapes = operation.inputs | operation.optional | operation.outputs
    dimensions = shapes.get(name, "").split()
    return dimensions.index(symbol) if symbol in dimensions else None


def at(axis: int, where: Any) -> tuple[Any, ...]:
    """An index on one axis."""
    return (*(slice(None),) * axis, where)


def results(operation: Operation, given: Mapping[str, Any]) -> list[str]:
    """The outputs that are due: a VJP has no gradient of an optional input that is not given."""
    if operation.name == operation.base:
        return list(operation.outputs)
    return [n for n in operation.outputs if n[1:] in given or n[1:] in operation.states]


def later_states(operation: Operation) -> dict[str, Part]:
    """For each initial state, the output that holds the last one; {} where one has none.

    A bidirectional layer has none: its second direction begins at the end.
    """
    found = dict(CARRIED.get(operation.name, {}))
    for state in operation.states:
        last = state.replace("_0", "_T")
        whole = state.removesuffix("_0")
        if state.endswith(("_fwd", "_bwd")):
            return {}
        if last in operation.outputs:
            found[state] = Part(0, last)
        elif axes(operation, whole, "T") == 0:
            found[state] = Part(0, whole, (-1,))
        else:
            return {}
    return found


def _gentle(**options: Any) -> Limits:
    return Limits(gentle=True, **options)


@st.composite
def _repeat(draw: st.DrawFn, operation: Operation, dtype: str) -> Trial:
    one = draw(arguments(operation, dtype, _gentle()))
    # before: other values of the same shapes, or other shapes
    other = another(operation, one)
    if draw(st.booleans()):
        other = draw(arguments(operation, dtype, _gentle()))
    equal = [(Part(1, name), Part(2, name)) for name in results(operation, one)]
    return Trial([other, one, one], equal, exact=True)


@st.composite
def _once(draw: st.DrawFn, operation: Operation, dtype: str) -> Trial:
    return Trial([draw(arguments(operation, dtype))], [])


@st.composite
def _strided(draw: st.DrawFn, operation: Operation, dtype: str) -> Trial:
    one = draw(arguments(operation, dtype, _gentle()))
    equal = [(Part(0, name), Part(1, name)) for name in results(operation, one)]
    return Trial([one, one], equal, strided=frozenset({1}))


@st.composite
def _rows(draw: st.DrawFn, operation: Operation, dtype: str) -> Trial:
    given = draw(arguments(operation, dtype, _gentle(least={"B": 2})))
    rows = next(
        v.shape[axis]
        for n, v in given.items()
        if isinstance(v, np.ndarray) and (axis := axes(operation, n, "B")) is not None
    )
    row = draw(st.integers(0, rows - 1))
    index = slice(row, row + 1)
    alone = {
        n: v[at(axis, index)] if (axis := axes(operation, n, "B")) is not None else v
        for n, v in given.items()
    }
    equal = [
        (Part(0, name, at(axis, index)), Part(1, name))
        for name in results(operation, given)
        if (axis := axes(operation, name, "B")) is not None
    ]
    return Trial([given, alone], equal)


@st.composite
def _handover(draw: st.DrawFn, operation: Operation, dtype: str) -> Trial:
    given = draw(
        arguments(operation, dtype, _gentle(least={"T": 2}, absent=frozenset({"lengths"})))
    )
    timed = [n for n in operation.inputs if axes(operation, n, "T") == 0]
    T = given[timed[0]].shape[0]
    cut = draw(st.integers(1, T - 1))
    first = {n: v[:cut] if n in timed else v for n, v in given.items()}
    second = {n: v[cut:] if n in timed else v for n, v in given.items()}
    equal = []
    for state, last in later_states(operation).items():
        second[state] = Given(1, last.output, last.index)
        if not last.index:
            equal.append((Part(0, last.output), Part(2, last.output)))
    for name in operation.outputs:
        if axes(operation, name, "T") == 0:
            equal.append((Part(0, name, (slice(None, cut),)), Part(1, name)))
            equal.append((Part(0, name, (slice(cut, None),)), Part(2, name)))
    return Trial([given, first, second], equal)


@st.composite
def _causal(draw: st.DrawFn, operation: Operation, dtype: str) -> Trial:
    symbol, names, attributes, same = CAUSAL[operation.name]
    limits = _gentle(
        least={symbol: 2},
        attributes=attributes,
        same=same,
        absent=frozenset({"lengths", "target_lengths", "mask"}),
    )
    given = draw(arguments(operation, dtype, limits))
    where = {
        n: next(a for s in (symbol, *same) if (a := axes(operation, n, s)) is not None)
        for n in names
    }
    length = given[names[0]].shape[where[names[0]]]
    cut = draw(st.integers(1, length - 1))
    changed = dict(given)
    for name, position in where.items():
        # what is later is turned about: other values of the same kind
        index = at(position, slice(cut, None))
        value = given[name].copy()
        if name in operation.integers:
            bound = int(value.max(initial=0)) + 1
            value[index] = (value[index] + 1) % max(bound, 2) if bound > 1 else value[index]
        else:
            value[index] = 0.5 - value[index]
        changed[name] = value
    before = slice(None, cut)
    equal = [
        (Part(0, name, at(axis, before)), Part(1, name, at(axis, before)))
        for name in operation.outputs
        if (axis := axes(operation, name, symbol)) is not None
    ]
    return Trial([given, changed], equal)


@st.composite
def _permuted(draw: st.DrawFn, operation: Operation, dtype: str) -> Trial:
    symbol, attributes = UNORDERED[operation.name]
    limits = _gentle(
        least={symbol: 2}, attributes=attributes, absent=frozenset({"lengths", "mask"})
    )
    given = draw(arguments(operation, dtype, limits))
    length = next(
        v.shape[axis]
        for n, v in given.items()
        if isinstance(v, np.ndarray) and (axis := axes(operation, n, symbol)) is not None
    )
    order = draw(st.permutations(range(length)))
    moved = {
        n: v[at(axis, order)] if (axis := axes(operation, n, symbol)) is not None else v
        for n, v in given.items()
    }
    equal = []
    for name in operation.outputs:
        items = axes(operation, name, symbol)
        equal.append((Part(0, name, () if items is None else at(items, order)), Part(1, name)))
    return Trial([given, moved], equal)


@st.composite
def _shifted(draw: st.DrawFn, operation: Operation, dtype: str) -> Trial:
    given = draw(arguments(operation, dtype, _gentle()))
    name = SHIFTED[operation.name]
    # eighths and a whole number: the sum is exact, and so is the equation
    scores = np.round(given[name] * 8) / 8
    constant = draw(st.sampled_from((1.0, -3.0, 50.0, 1000.0, -1000.0)))
    first = {**given, name: scores.astype(dtype)}
    second = {**given, name: (scores + constant).astype(dtype)}
    equal = [(Part(0, output), Part(1, output)) for output in operation.outputs]
    return Trial([first, second], equal)


def _always(operation: Operation) -> bool:
    return True


def _batched(operation: Operation) -> bool:
    """Whether rows stand alone: not where a mean over the batch scales what each of them gets."""
    forward = spec().operations[operation.base]
    return (
        operation.name not in MEANS
        and "B" in symbols_of(operation)
        and "..." not in operation.inputs.values()
        and any(axes(operation, name, "B") is not None for name in operation.outputs)
        and (
            operation is forward
            or all(axes(forward, name, "B") is not None for name in forward.cotangents)
        )
    )


def _forward(table: Mapping[str, Any]) -> Callable[[Operation], bool]:
    return lambda operation: operation.name in table


PROPERTIES = {
    p.name: p
    for p in (
        Property(
            "determinism",
            "the same call twice gives the same bits, whatever came before",
            _always,
            _repeat,
        ),
        Property("inputs", "inputs are not changed", _always, _once),
        Property("strides", "inputs need not be contiguous", _always, _strided),
        Property("rows", "a row of the batch does not depend on the others", _batched, _rows),
        Property(
            "handover",
            "T1 steps, then T2 from the state reached, are T1 + T2 steps",
            lambda o: o.name == o.base and bool(later_states(o)) and "T" in symbols_of(o),
            _handover,
        ),
        Property("causality", "later inputs change no earlier output", _forward(CAUSAL), _causal),
        Property("permutation", "the order of the items is lost", _forward(UNORDERED), _permuted),
        Property("shift", "a constant added to all scores is lost", _forward(SHIFTED), _shifted),
    )
}


class Violation(msgspec.Struct):
    """A trial that does not hold, and why."""

    property: str
    operation: str
    dtype: str
    reason: str
    trial: Trial

    def file(self) -> str:
        """The file name of its JSON case."""
        return f"{self.property}-{self.operation}-{self.dtype}.json"


class Checked(msgspec.Struct):
    """One property of one operation in one dtype."""

    property: str
    operation: str
    dtype: str
    trials: int = 0
    undecided: int = 0
    unsupported: str = ""
    violation: Violation | None = None


class Backend:
    """A backend in two processes: one that gets plain arrays, one that gets strided ones.

    A program that speaks the protocol gets no arrays of Python, and has the first alone.
    """

    def __init__(self, subject: Subject):
        self.subject = subject
        self.plain = BackendProcess(subject.command())
        name = subject.backend
        self.strided = None if name is None else BackendProcess(layouts.command(name))
        self.hello: Hello = self.plain.start(CALL_SECONDS)

    def ask(self, operation: Operation, given: Mapping[str, Any], strided: bool) -> Reply:
        """The reply; a process that is gone or silent is an error in the reply."""
        process = self.strided if strided and self.strided is not None else self.plain
        data = {n: encode(v) for n, v in given.items() if isinstance(v, np.ndarray)}
        attributes = {n: v for n, v in given.items() if n in operation.attributes}
        try:
            if process.process is None:
                process.start(CALL_SECONDS)
            return process.ask(Request("property", operation.name, attributes, data), CALL_SECONDS)
        except (BackendGoneError, ProcessRefusedError, TimeoutError) as error:
            return Reply("property", error=f"the backend's process {error}")

    def close(self) -> None:
        """End both processes."""
        self.plain.close()
        if self.strided is not None:
            self.strided.close()


def judge(
    backend: Backend, operation: Operation, trial: Trial, dtype: str
) -> tuple[str, bool] | None:
    """Why a trial does not hold, and whether results differ; None where it holds.

    Raises Unsupported where the backend does not take such a call.
    """
    outputs: list[dict[str, Array]] = []
    for number, call in enumerate(trial.calls):
        given = {
            n: outputs[v.call][v.output][v.index] if isinstance(v, Given) else v
            for n, v in call.items()
        }
        reply = backend.ask(operation, given, number in trial.strided)
        if reply.unsupported is not None:
            raise Unsupported(reply.unsupported)
        if reply.error is not None or reply.outputs is None:
            return f"call {number + 1}: {reply.error or 'no outputs'}", False
        outputs.append({n: data.array() for n, data in reply.outputs.items()})
    for left, right in trial.equal:
        try:
            a = outputs[left.call][left.output][left.index]
            b = outputs[right.call][right.output][right.index]
        except (KeyError, IndexError):
            return f"output '{left.output}' is missing or too small", False
        words = difference(a, b, dtype, exact=trial.exact)
        if words is not None:
            return f"{phrase(left)} {words} {phrase(right)}", True
    return None


class Unsupported(Exception):  # noqa: N818 (a verdict, not an error)
    """The backend does not take such a call."""


def difference(a: Array, b: Array, dtype: str, *, exact: bool) -> str | None:
    """How two results differ, as words; None where they are equal, or close if that is enough."""
    if a.shape != b.shape:
        return f"has shape {a.shape}, not {b.shape} as"
    if np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
        return None
    if exact or a.dtype.kind != "f":
        return "is not the same as"
    size = max(float(np.abs(a).max()), float(np.abs(b).max()))
    bound = SLACK * float(np.finfo(np.dtype(dtype)).eps) / 2 * size
    apart = float(np.abs(a - b).max())
    if np.isfinite(apart) and apart <= bound:
        return None
    return f"is {apart:.3g} away from"


NAMES = ("first", "second", "third")


def phrase(part: Part) -> str:
    """`second["h"][:2]`."""
    return f'{NAMES[part.call]}["{part.output}"]{index_source(part.index)}'


def index_source(index: tuple[Any, ...]) -> str:
    """An index as Python source."""
    if not index:
        return ""

    def one(item: Any) -> str:
        if isinstance(item, slice):
            ends = ("" if end is None else str(end) for end in (item.start, item.stop))
            return ":".join(ends)
        return str(list(item)) if isinstance(item, list | tuple) else str(item)

    return f"[{', '.join(one(item) for item in index)}]"


def check(
    backend: Backend,
    found: Property,
    operation: Operation,
    dtype: str,
    *,
    seed: int,
    trials: int,
) -> Checked:
    """So many trials of a property of an operation, and the smallest that does not hold."""
    done = Checked(found.name, operation.name, dtype)
    best: list[tuple[tuple[int, int, int], Violation]] = []
    until: list[float] = []

    def body(trial: Trial) -> None:
        if until and time.monotonic() > until[0]:
            raise Enough
        done.trials += 1
        try:
            wrong = judge(backend, operation, trial, dtype)
        except Unsupported as why:
            done.unsupported = str(why)
            done.undecided += 1
            return
        if wrong is None:
            return
        reason, differ = wrong
        if (
            differ
            and not trial.exact
            and any(jumps(operation, call, dtype) for call in trial.calls if not _handed(call))
        ):
            done.undecided += 1
            return
        size = weight(trial.calls[0])
        if not best or size < best[0][0]:
            best[:] = [(size, Violation(found.name, operation.name, dtype, reason, trial))]
        if not until:
            until.append(time.monotonic() + SHRINK_SECONDS)
        raise Failing

    try:
        explore(found.trial(operation, dtype), body, seed=seed, examples=trials, shrink=True)
    finally:
        done.violation = best[0][1] if best else None
        if done.undecided < done.trials:
            done.unsupported = ""
    return done


def _handed(call: Mapping[str, Any]) -> bool:
    return any(isinstance(value, Given) for value in call.values())


def plan(
    backend: Backend, names: Iterable[str], operations: Iterable[Operation], dtypes: Iterable[str]
) -> list[tuple[Property, Operation, str]]:
    """What there is to check on a backend: (property, operation, dtype)."""
    hello = backend.hello
    return [
        (PROPERTIES[name], operation, dtype)
        for name in names
        for operation in operations
        for dtype in dtypes
        if operation.name in hello.operations
        and dtype in hello.dtypes
        and (name != "strides" or backend.strided is not None)
        and PROPERTIES[name].applies(operation)
        and refusal(operation) is None
    ]


def write(violation: Violation, folder: Path) -> Path:
    """The violation as a JSON case; returns where."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            data: ArrayData = encode(value)
            return data
        if isinstance(value, Given):
            return {"output": f"{phrase(Part(value.call, value.output, value.index))}"}
        return value

    trial = violation.trial
    case = {
        "suite": "nnspec",
        "format": 1,
        "property": violation.property,
        "operation": violation.operation,
        "dtype": violation.dtype,
        "reason": violation.reason,
        "calls": [{n: plain(v) for n, v in call.items()} for call in trial.calls],
        "strided": sorted(trial.strided),
        "exact": trial.exact,
        "equal": [[phrase(a), phrase(b)] for a, b in trial.equal],
    }
    path = folder / violation.file()
    path.write_bytes(msgspec.json.format(msgspec.json.encode(case), indent=1) + b"\n")
    return path


def snippet(violation: Violation, subject: Subject) -> str:
    """A Python program that shows the violation and ends with status 1 while it is there."""
    needed, made = subject.source()
    trial, name = violation.trial, violation.operation
    statement = PROPERTIES[violation.property].statement
    lines = [
        f"# {name} in {violation.dtype}: {statement}",
        f"# {violation.reason}",
        "import numpy as np",
        "",
        needed,
    ]
    if trial.strided:
        lines.append("from nnspec.conformance.layouts import strided")
    lines += [
        "from nnspec.conformance.worker import call",
        "from nnspec.spec.loader import spec",
        "",
        f"backend, operation = {made}, spec().operations[{name!r}]",
    ]
    seen: list[int] = []
    for number, given in enumerate(trial.calls):
        handed = {n: v for n, v in given.items() if isinstance(v, Given)}
        drawn = {n: v for n, v in given.items() if n not in handed}
        same = next((i for i in seen if trial.calls[i] is given), None)
        lines.append(
            f"inputs_{number + 1} = "
            + (f"inputs_{same + 1}" if same is not None else keywords(drawn))
        )
        seen.append(number)
        for n, v in handed.items():
            lines.append(f'inputs_{number + 1}["{n}"] = {phrase(Part(v.call, v.output, v.index))}')
        form = f"inputs_{number + 1}"
        if number in trial.strided:
            form = f"{{n: strided(v) for n, v in {form}.items()}}"
        lines.append(f"{NAMES[number]} = call(backend, operation, {form})")
    for left, right in trial.equal:
        if trial.exact:
            lines.append(f"np.testing.assert_array_equal({phrase(left)}, {phrase(right)})")
        else:
            unit = float(np.finfo(np.dtype(violation.dtype)).eps) / 2
            lines += [
                f"a, b = {phrase(left)}, {phrase(right)}",
                f"bound = {SLACK * unit:.3g} * max(abs(a).max(initial=0), abs(b).max(initial=0))",
                "np.testing.assert_allclose(a, b, rtol=0, atol=bound)",
            ]
    return "\n".join(lines) + "\n"
