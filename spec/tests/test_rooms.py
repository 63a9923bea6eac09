"""Spec, reference, witness, cases, vectors, accel and docs speak of the same things."""

import importlib
import inspect
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nnspec.accel.jit
import nnspec.conformance.suite
import nnspec.conformance.verdict
import nnspec.docs
import nnspec.reference.array
from nnspec.conformance.suite import suite
from nnspec.spec.loader import Clause, Operation, spec

OPERATIONS = list(spec().operations.values())
CLAUSES = list(spec().clauses.values())
LABEL = re.compile(r"# ([a-z]+\.[a-z0-9_]+(?:, [a-z]+\.[a-z0-9_]+)*)$", re.MULTILINE)


def functions(module: str) -> dict[str, Any]:
    return vars(importlib.import_module(module))


def name_of(entry: Operation | Clause) -> str:
    return entry.name if isinstance(entry, Operation) else entry.id


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_the_reference_has_the_signature_of_the_spec(operation: Operation) -> None:
    function = functions(f"nnspec.reference.{operation.topic}")[operation.function]
    parameters = inspect.signature(function).parameters
    positional = [n for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    keywords = {n: p.default for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert positional == list(operation.inputs)
    defaults = {
        name: choices[0] if isinstance(choices, list) else choices
        for name, choices in operation.attributes.items()
    }
    assert keywords == dict.fromkeys(operation.optional) | defaults


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_accel_has_the_signature_of_the_reference(operation: Operation) -> None:
    def parameters(room: str) -> list[tuple[str, Any, Any]]:
        function = functions(f"nnspec.{room}.{operation.topic}")[operation.function]
        found = inspect.signature(function).parameters.values()
        return [(p.name, p.kind, p.default) for p in found]

    assert parameters("accel") == parameters("reference")


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_every_operation_has_a_witness_and_vectors_in_both_dtypes(operation: Operation) -> None:
    assert operation.base in functions(f"nnspec.conformance.witness.{operation.topic}")
    counts = Counter(v.case.dtype for v in suite().vectors if v.operation == operation)
    assert min(counts["float32"], counts["float64"]) >= 2


@pytest.mark.parametrize("clause", CLAUSES, ids=name_of)
def test_every_clause_names_a_function_that_carries_its_label(clause: Clause) -> None:
    function: Callable[..., Any] = functions(f"nnspec.reference.{clause.topic}")[clause.function]
    labels = {x for found in LABEL.findall(inspect.getsource(function)) for x in found.split(", ")}
    assert clause.id in labels


@pytest.mark.parametrize("clause", CLAUSES, ids=name_of)
def test_every_clause_has_cases(clause: Clause) -> None:
    assert any(clause.id in vector.case.clauses for vector in suite().vectors)


@pytest.mark.parametrize("topic", spec().topics)
def test_every_label_in_the_code_is_a_clause(topic: str) -> None:
    source = inspect.getsource(importlib.import_module(f"nnspec.reference.{topic}"))
    for found in LABEL.findall(source):
        for label in found.split(", "):
            assert label in spec().clauses


def stems(folder: Path, pattern: str) -> set[str]:
    return {path.stem for path in folder.glob(pattern) if path.stem != "__init__"}


def test_the_rooms_hold_the_same_topics() -> None:
    topics = set(spec().topics)
    conformance = Path(nnspec.conformance.suite.__file__).parent
    reference = Path(nnspec.reference.array.__file__).parent
    accel = Path(nnspec.accel.jit.__file__).parent
    docs = Path(str(nnspec.docs.__file__)).parent
    assert stems(reference, "*.py") == topics | {"array"}
    assert stems(conformance / "witness", "*.py") == topics
    assert stems(conformance / "cases", "*.py") == topics | {"draft"}
    assert {path.name for path in (conformance / "vectors").iterdir() if path.is_dir()} == topics
    assert topics <= stems(accel, "*.py")
    assert topics <= stems(docs, "*.md")


def test_a_witness_does_not_look_at_the_reference() -> None:
    conformance = Path(nnspec.conformance.suite.__file__).parent
    for path in (conformance / "witness").glob("*.py"):
        for line in path.read_text().splitlines():
            if line.startswith(("from nnspec.reference", "import nnspec.reference")):
                assert line == "from nnspec.reference.array import Array"


def test_ids_are_unique_and_notes_are_sentences_of_their_own() -> None:
    vectors = suite().vectors
    assert len({vector.id for vector in vectors}) == len(vectors)
    assert all(len(vector.case.note) > 10 for vector in vectors)
    assert not suite().damaged
