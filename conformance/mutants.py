"""Mutants: deliberately wrong implementations that measure the suite and name a backend's fault.

A mutant is the reference with one function rewritten in one or a few places of its source, the way
an implementer would get it wrong. `conformance/wrong/TOPIC.py` has the tables. A case kills a
mutant when the mutant fails it; the suite is good when every mutant is killed by two cases or more.
"""

import contextlib
import dataclasses
import importlib
import inspect
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from nnspec.conformance import wrong
from nnspec.conformance.suite import WIDE_DTYPES, Vector, as_outputs, suite
from nnspec.conformance.verdict import judge
from nnspec.spec.loader import spec

Edit = tuple[str, str]


class MutantError(ValueError):
    """A mutant whose text no longer fits the reference; the message says which."""


@dataclasses.dataclass(frozen=True)
class Mutant:
    """`function` of `nnspec.reference.TOPIC` with each (old, new) of `edits` replaced, once each.

    `did` says in one sentence what the implementer did, `mend` what to change where the clause
    does not say it. `equivalent` marks a rewrite that is right and must survive.
    """

    name: str
    clause: str
    did: str
    function: str
    edits: tuple[Edit, ...]
    equivalent: bool = False
    mend: str = ""

    @property
    def topic(self) -> str:
        """The reference module that is rewritten."""
        return self.clause.split(".")[0]


def mutant(
    clause: str,
    name: str,
    did: str,
    function: str,
    *edits: Edit,
    equivalent: bool = False,
    mend: str = "",
) -> Mutant:
    """A mutant named TOPIC.name."""
    topic = clause.split(".")[0]
    return Mutant(f"{topic}.{name}", clause, did, function, edits, equivalent, mend)


def all_mutants(topics: Iterable[str] = ()) -> list[Mutant]:
    """The mutants of these topics, or of all; raises MutantError for a name used twice."""
    found: list[Mutant] = []
    for topic in topics or spec().topics:
        module = importlib.import_module(f"nnspec.conformance.wrong.{topic}")
        found.extend(module.mutants())
    names = [m.name for m in found]
    for name in names:
        if names.count(name) > 1:
            raise MutantError(f"mutant '{name}' is defined twice; rename one")
    return found


def rewritten(m: Mutant, module: ModuleType) -> str:
    """The source of the mutant's function; raises MutantError where an edit does not fit once."""
    source = textwrap.dedent(inspect.getsource(getattr(module, m.function)))
    for old, new in m.edits:
        if source.count(old) != 1:
            raise MutantError(
                f"mutant '{m.name}': '{old}' stands {source.count(old)} times in"
                f" {m.function}, wanted once"
            )
        source = source.replace(old, new)
    return source


@contextlib.contextmanager
def applied(m: Mutant) -> Iterator[ModuleType]:
    """The reference module of the mutant's topic with its function replaced inside the block."""
    module = importlib.import_module(f"nnspec.reference.{m.topic}")
    names = vars(module)
    source = rewritten(m, module)
    before = dict(names)
    try:
        names["wrong"] = wrong
        # names the module's own dict as globals, so that other functions call the mutant
        exec(compile(source, f"<mutant {m.name}>", "exec"), names)
        yield module
    finally:
        names.clear()
        names.update(before)


def outputs_of(module: ModuleType, vector: Vector) -> dict[str, Any]:
    """What a (mutated) module answers to a case; whatever it raises is passed on."""
    function = getattr(module, vector.operation.function)
    arguments = {
        name: value.copy() if isinstance(value, np.ndarray) else value
        for name, value in vector.arguments.items()
    }
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs = as_outputs(vector.operation, function(**arguments))
        return {name: np.asarray(value) for name, value in outputs.items()}


@dataclasses.dataclass(frozen=True)
class Score:
    """What the suite does to one mutant."""

    mutant: Mutant
    killers: list[str]

    @property
    def holds(self) -> bool:
        """Whether a wrong one is killed by two cases or more, and a right one by none."""
        return not self.killers if self.mutant.equivalent else len(self.killers) >= 2

    @property
    def forward(self) -> bool:
        """Whether it is a wrong rnn, gru or lstm that a forward case kills, as ONNX's could."""
        return (
            self.mutant.topic in ONNX_OPERATORS
            and not self.mutant.equivalent
            and any(".vjp-" not in case for case in self.killers)
        )


def score(m: Mutant) -> Score:
    """The score of one mutant over all cases of its topic."""
    return Score(m, killers(m))


# the operators whose node tests ONNX ships, by the topic whose mutants they are scored on
ONNX_OPERATORS = {"rnn": "RNN", "gru": "GRU", "lstm": "LSTM"}


def onnx_killers(m: Mutant) -> list[str]:
    """The node tests of ONNX that kill a mutant of rnn, gru or lstm, at ONNX's own tolerance."""
    # imported here: it needs onnx, which the suite's own score does not
    from nnspec.conformance.onnx_node_cases import check, node_cases

    found = []
    operator = ONNX_OPERATORS[m.topic]
    with applied(m), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in node_cases():
            if case.model.graph.node[0].op_type != operator:
                continue
            try:
                outcome = check(case)
            except Exception:
                found.append(case.name)
                continue
            if not outcome.reason and outcome.expected > 1:
                found.append(case.name)
    return found


def candidates(m: Mutant) -> list[Vector]:
    """The cases that could kill a mutant, the long ones last."""
    # not in half precision, where the wider budgets hide more faults than the cases find
    vectors = [
        v for v in suite().vectors if v.operation.topic == m.topic and v.case.dtype in WIDE_DTYPES
    ]
    return sorted(vectors, key=lambda v: sum(x.size for x in v.inputs.values()))


def killers(m: Mutant, most: int | None = None) -> list[str]:
    """The ids of the cases that kill a mutant; stops at `most` where it is given.

    Raises MutantError for a mutant that never gives a wrong number but only raises: it does not
    run, and measures nothing.
    """
    found: list[str] = []
    wrong_numbers = 0
    with applied(m) as module:
        for vector in candidates(m):
            try:
                if judge(vector, outputs_of(module, vector)).verdict == "pass":
                    continue
                wrong_numbers += 1
            except Exception as error:
                last = f"{type(error).__name__}: {error}"
            found.append(vector.id)
            if most is not None and len(found) >= most and wrong_numbers:
                break
    if found and not wrong_numbers:
        raise MutantError(f"mutant '{m.name}' does not run: {last}")
    return found
