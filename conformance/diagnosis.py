"""Which known fault explains a backend's failing cases: the nearest mutant, or a wrong layout."""

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from nnspec.conformance.formats import LIMITS
from nnspec.conformance.mutants import MutantError, all_mutants, applied, outputs_of
from nnspec.conformance.suite import Vector
from nnspec.conformance.verdict import K
from nnspec.reference.array import Array

Outputs = Mapping[str, Array]
# enough cases to tell the candidates apart, few enough to answer at once
MOST_CASES = 12
FIRST_CASES = 3


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """The candidate that explains the most failing cases of a topic."""

    topic: str
    name: str
    clause: str
    did: str
    mend: str
    sigma: float
    explained: int
    tried: int

    def sentence(self) -> str:
        """One line for people."""
        how_many = "all" if self.explained == self.tried else f"{self.explained}"
        advice = f"{self.mend}; see" if self.mend else "see"
        return (
            f"{self.topic}: equals '{self.name}' to {self.sigma:.2g} sigma on {how_many} of"
            f" {self.tried} failing cases: you {self.did}. {advice} nnspec show {self.clause}"
        )


def reference_of(topic: str) -> ModuleType:
    """The reference module of a topic."""
    return importlib.import_module(f"nnspec.reference.{topic}")


def batch_major(vector: Vector) -> Outputs:
    """What comes of reading time-major sequences as batch-major ones, and answering so."""
    operation = vector.operation
    shapes = {**operation.inputs, **operation.optional, **operation.outputs}
    sequences = [n for n, shape in shapes.items() if shape.startswith(("T B", "N B"))]
    if not any(name in vector.inputs for name in sequences):
        raise ValueError
    swapped = {
        name: value.swapaxes(0, 1) if name in sequences else value
        for name, value in vector.inputs.items()
    }
    found = run_with(vector, swapped)
    return {n: v.swapaxes(0, 1) if n in sequences else v for n, v in found.items()}


def weights_transposed(vector: Vector) -> Outputs:
    """What comes of square weights used without their transposition."""
    square = {
        name: value.T
        if name[0] in "UVW" and value.ndim == 2 and value.shape[0] == value.shape[1]
        else value
        for name, value in vector.inputs.items()
    }
    return run_with(vector, square)


def time_reversed(vector: Vector) -> Outputs:
    """What comes of running a sequence from its end."""
    if "X" not in vector.inputs or "lengths" in vector.inputs:
        raise ValueError
    found = dict(run_with(vector, {**vector.inputs, "X": vector.inputs["X"][::-1]}))
    return {
        name: value[::-1] if vector.operation.outputs[name].startswith("T B") else value
        for name, value in found.items()
    }


def run_with(vector: Vector, inputs: Mapping[str, Array]) -> Outputs:
    """The reference's outputs on other inputs than the vector's."""
    module = reference_of(vector.operation.topic)
    with np.errstate(all="ignore"):
        function = getattr(module, vector.operation.function)
        result = function(**inputs, **vector.case.attributes)
    names = list(vector.operation.outputs)
    if isinstance(result, dict):
        return result
    return dict(zip(names, result if isinstance(result, tuple) else (result,), strict=True))


LAYOUTS: dict[str, tuple[Callable[[Vector], Outputs], str, str]] = {
    "layout.batch_major": (
        batch_major,
        "read sequences as (B, T, …)",
        "sequences are time-major here, (T, B, …)",
    ),
    "layout.weights_transposed": (
        weights_transposed,
        "used a square weight without its transposition",
        "weights act as x @ W.T: rows are outputs",
    ),
    "layout.time_reversed": (
        time_reversed,
        "ran the sequence from its end",
        "time 0 comes first",
    ),
}


def distance(vector: Vector, got: Outputs, candidate: Outputs) -> float:
    """The largest |got - candidate| in the case's sigma; infinite where they cannot be compared."""
    worst = 0.0
    for name, truth in vector.outputs.items():
        if name not in got or name not in candidate:
            return float("inf")
        a, b = np.asarray(got[name], np.float64), np.asarray(candidate[name], np.float64)
        if a.shape != b.shape:
            return float("inf")
        # the budget belongs to the truth; the candidate rounds at its own size
        unit = LIMITS[vector.case.dtype].eps
        if b.shape == truth.shape:
            sigma = np.maximum(vector.sigma[name], unit * np.abs(b))
        else:
            sigma = 10 * unit * (1 + np.abs(b))
        with np.errstate(all="ignore"):
            error = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.abs(a - b) / sigma)
        if error.size:
            largest = float(np.nan_to_num(error, nan=np.inf).max())
            worst = max(worst, largest)
    return worst


def diagnose(failing: Sequence[tuple[Vector, Outputs]]) -> list[Diagnosis]:
    """The best explanation for each topic that has failing cases with outputs, if there is one.

    A candidate must explain more than half of the cases tried to within K sigma. Forward cases go
    before VJPs: a wrong forward pass spoils both.
    """
    topics = dict.fromkeys(vector.operation.topic for vector, _ in failing)
    found = []
    for topic in topics:
        cases = [(v, got) for v, got in failing if v.operation.topic == topic]
        forward = [(v, got) for v, got in cases if v.operation.name == v.operation.base]
        chosen = sorted(forward or cases, key=lambda c: sum(x.size for x in c[0].inputs.values()))
        best = best_of(topic, chosen[:MOST_CASES])
        if best is not None:
            found.append(best)
    return found


def best_of(topic: str, cases: Sequence[tuple[Vector, Outputs]]) -> Diagnosis | None:
    """The candidate with the most cases explained, then the smallest distance."""
    ranked: list[tuple[int, float, Diagnosis]] = []

    def rank(name: str, clause: str, did: str, mend: str, distances: list[float]) -> None:
        near = [d for d in distances if d <= K]
        if 2 * len(near) > len(distances):
            found = Diagnosis(topic, name, clause, did, mend, max(near), len(near), len(distances))
            ranked.append((len(near), -max(near), found))

    # the smallest cases decide which candidates are worth the rest
    first, rest = cases[:FIRST_CASES], cases[FIRST_CASES:]
    called = reachable(topic, {vector.operation.function for vector, _ in first})
    for m in all_mutants([topic]):
        if m.equivalent or m.function not in called:
            continue
        try:
            with applied(m) as module:
                distances = [near(v, got, module) for v, got in first]
                if min(distances) <= K:
                    distances += [near(v, got, module) for v, got in rest]
                    rank(m.name, m.clause, m.did, m.mend, distances)
        except MutantError:
            continue
    clause = cases[0][0].case.clauses[0]
    for name, (run, did, mend) in LAYOUTS.items():
        rank(name, clause, did, mend, [near_layout(v, got, run) for v, got in cases])
    return max(ranked, key=lambda r: r[:2])[2] if ranked else None


def reachable(topic: str, functions: set[str]) -> set[str]:
    """The functions of a reference module that these call, directly or not, and they themselves."""
    names = vars(reference_of(topic))
    found: set[str] = set()
    waiting = [name for name in functions if inspect.isfunction(names.get(name))]
    while waiting:
        name = waiting.pop()
        found.add(name)
        for used in mentioned(names[name].__code__):
            if used not in found and inspect.isfunction(names.get(used)):
                waiting.append(used)
    return found


def mentioned(code: CodeType) -> set[str]:
    """The global names that a function's code mentions, those of its inner functions included."""
    inner = [mentioned(part) for part in code.co_consts if isinstance(part, CodeType)]
    return set(code.co_names).union(*inner)


def near(vector: Vector, got: Outputs, module: ModuleType) -> float:
    """The distance of a backend's outputs from a mutant's; infinite where the mutant raises."""
    try:
        return distance(vector, got, outputs_of(module, vector))
    except Exception:
        return float("inf")


def near_layout(vector: Vector, got: Outputs, run: Callable[[Vector], Any]) -> float:
    """The distance of a backend's outputs from a layout's; infinite where it does not apply."""
    try:
        return distance(vector, got, run(vector))
    except Exception:
        return float("inf")
