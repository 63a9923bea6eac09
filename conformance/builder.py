"""Builds the vector files from the drafts, bit for bit, and proves the stored ones again."""

import importlib
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import numpy as np

from nnspec.conformance import oracle
from nnspec.conformance.bfloat16 import in_bfloat16, native
from nnspec.conformance.cases.draft import FLAGS, Draft, draw
from nnspec.conformance.formats import LIMITS, rounded
from nnspec.conformance.pool import process_pool
from nnspec.conformance.suite import (
    SHORT_DTYPES,
    Case,
    Classes,
    SuiteError,
    VectorFile,
    as_outputs,
    encode,
    read_file,
    unpack,
)
from nnspec.conformance.verdict import judge
from nnspec.reference.array import Array
from nnspec.spec.loader import Operation, check_shapes, spec

SHORT = {dtype: short for short, dtype in SHORT_DTYPES.items()}
RETIRED = "retired.txt"

Progress = Callable[[], None]


def all_drafts(topics: Iterable[str] = ()) -> list[Draft]:
    """The drafts of these topics, or of all, in the order of the spec."""
    found: list[Draft] = []
    for topic in topics or spec().topics:
        if topic not in spec().topics:
            raise SuiteError(f"'{topic}' is no topic; there are {', '.join(spec().topics)}")
        module = importlib.import_module(f"nnspec.conformance.cases.{topic}")
        found.extend(module.drafts())
    return found


def case_id(draft: Draft, dtype: str) -> str:
    """The permanent id of a draft's case in one dtype."""
    return f"{draft.operation}-{draft.name}-{SHORT[dtype]}"


def complete(draft: Draft, operation: Operation, dtype: str) -> dict[str, Array]:
    """The inputs in the case's dtype and the operation's order, cotangents drawn if absent."""
    inputs: dict[str, Array] = {}
    for name, value in draft.inputs.items():
        array = np.asarray(value)
        if name in operation.integers or name in operation.booleans:
            inputs[name] = array.astype(np.int64 if name in operation.integers else bool)
            continue
        with np.errstate(over="ignore"):
            inputs[name] = rounded(array, dtype)
        if not np.array_equal(np.isfinite(inputs[name]), np.isfinite(array)):
            raise SuiteError(f"{case_id(draft, dtype)}: {name} overflows {dtype}")
    forward = spec().operations[operation.base]
    if operation is not forward and not all(f"d{name}" in inputs for name in forward.cotangents):
        primal = {n: v for n, v in inputs.items() if n[1:] not in forward.cotangents or n[0] != "d"}
        with np.errstate(all="ignore"):
            outputs = as_outputs(forward, oracle.reference(forward)(**primal, **draft.attributes))
        for name in forward.cotangents:
            value = outputs[name]
            key = f"{draft.operation} {draft.name} d{name}"
            inputs.setdefault(f"d{name}", rounded(draw(key, *value.shape), dtype))
    order = [*operation.inputs, *operation.optional]
    for name in inputs:
        if name not in order:
            raise SuiteError(f"{case_id(draft, dtype)}: {operation.name} has no input '{name}'")
    return {name: inputs[name] for name in order if name in inputs}


def complete_attributes(draft: Draft, operation: Operation) -> dict[str, Any]:
    """Every attribute of the operation, with its default where the draft has none."""
    attributes: dict[str, Any] = {}
    for name, declared in operation.attributes.items():
        choices = declared if isinstance(declared, list) else [declared]
        attributes[name] = draft.attributes.get(name, choices[0])
        if isinstance(declared, list) and attributes[name] not in declared:
            raise SuiteError(
                f"{draft.operation}-{draft.name}: {name} = {attributes[name]!r} is not one of"
                f" {', '.join(declared)}"
            )
    unknown = set(draft.attributes) - set(attributes)
    if unknown:
        raise SuiteError(f"{draft.operation}-{draft.name}: no attribute {', '.join(unknown)}")
    return attributes


def classes_of(draft: Draft, dtype: str, truth: Array) -> Classes:
    """Which elements of an output are classes rather than one number."""
    flat = truth.reshape(-1)
    normal = LIMITS[dtype].smallest_normal
    zero = [] if draft.exact_zeros else np.flatnonzero(flat == 0).tolist()
    tiny = (
        np.flatnonzero((np.abs(flat) < normal) & (flat != 0)).tolist()
        if draft.flush_allowed
        else []
    )
    return Classes(
        nan=np.flatnonzero(np.isnan(flat)).tolist(), zero_any_sign=zero, flush_allowed=tiny
    )


def build_case(draft: Draft, dtype: str) -> Case:
    """A draft's case: inputs completed, truth proven, VJP proven, budget measured.

    Raises SuiteError or OracleError with the case's id.
    """
    operation = spec().operations.get(draft.operation)
    identifier = case_id(draft, dtype)
    if operation is None:
        raise SuiteError(f"{identifier}: the spec has no operation '{draft.operation}'")
    for flag in draft.flags:
        if flag not in FLAGS:
            raise SuiteError(f"{identifier}: unknown flag '{flag}'")
    clauses = list(draft.clauses) or [
        clause.id for clause in spec().clauses.values() if clause.operation == operation.base
    ]
    for clause in clauses:
        if clause not in spec().clauses:
            raise SuiteError(f"{identifier}: the spec has no clause '{clause}'")
    attributes = complete_attributes(draft, operation)
    inputs = complete(draft, operation, dtype)
    wrong = check_shapes(operation, {name: value.shape for name, value in inputs.items()})
    if wrong:
        raise SuiteError(f"{identifier}: {wrong}")
    arguments = {**inputs, **attributes}
    try:
        truths = oracle.truth(operation, arguments, exact_zeros=draft.exact_zeros)
        if operation.name != operation.base:
            oracle.prove_vjp(operation, arguments, identifier, kinks="kink" in draft.flags)
        sigma = oracle.budget(operation, arguments, truths, dtype, identifier)
    except oracle.OracleError as error:
        raise oracle.OracleError(f"{identifier}: {error}") from None
    classes = {name: classes_of(draft, dtype, value) for name, value in truths.items()}
    case = Case(
        id=identifier,
        note=draft.note,
        flags=list(draft.flags),
        clauses=clauses,
        dtype=dtype,  # type: ignore[arg-type]
        attributes=attributes,
        inputs={
            name: encode(value, dtype if value.dtype.kind == "f" else "")
            for name, value in inputs.items()
        },
        outputs={
            name: encode(value.astype(np.int64) if name in operation.integers else value)
            for name, value in truths.items()
        },
        sigma={name: value.reshape(-1).tolist() for name, value in sigma.items()},
        classes={name: found for name, found in classes.items() if found != Classes()},
    )
    if dtype == "bfloat16":
        arguments |= {name: native(x) for name, x in inputs.items() if x.dtype.kind == "f"}
    with np.errstate(all="ignore"):
        outputs = as_outputs(operation, in_bfloat16(oracle.reference(operation))(**arguments))
    found = judge(unpack(case, operation, identifier), outputs)
    if found.verdict != "pass":
        raise oracle.OracleError(f"{identifier}: the reference itself fails: {found.reason}")
    return case


def render(file: VectorFile) -> str:
    """A vector file as text: one line for each array, so that a change shows as its own lines."""
    plain = msgspec.to_builtins(file)
    cases = [
        "{\n" + ",\n".join(_field(name, value) for name, value in case.items()) + "\n}"
        for case in plain.pop("cases")
    ]
    head = "".join(f"{json.dumps(name)}: {json.dumps(value)},\n" for name, value in plain.items())
    return "{\n" + head + '"cases": [\n' + ",\n".join(cases) + "\n]\n}\n"


def _field(name: str, value: Any) -> str:
    if name in ("inputs", "outputs", "sigma") and value:
        rows = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
        return f" {json.dumps(name)}: {{\n{rows}\n }}"
    return f" {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"


def schema() -> dict[str, Any]:
    """The JSON Schema of a vector file."""
    made: dict[str, Any] = msgspec.json.schema(VectorFile)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nnspec vector file",
        **made,
    }


def parallel(
    function: Callable[[Any], Any], tasks: list[Any], jobs: int, progress: Progress
) -> list[Any]:
    """function(task) for every task, in order, on so many processes; progress after each."""
    results = []
    if jobs == 1:
        for task in tasks:
            results.append(function(task))
            progress()
        return results
    with process_pool(jobs) as pool:
        # small chunks: one long sequence must not hold up a row of short cases
        for result in pool.map(function, tasks, chunksize=4):
            results.append(result)
            progress()
    return results


def _build(task: tuple[Draft, str]) -> Case | str:
    try:
        return build_case(*task)
    except (SuiteError, oracle.OracleError) as error:
        return str(error)


def tasks_of(drafts: list[Draft]) -> list[tuple[Draft, str]]:
    """Every case to build, as a draft with a dtype; raises SuiteError for an id used twice."""
    tasks = [(draft, dtype) for draft in drafts for dtype in draft.dtypes]
    seen: set[str] = set()
    for draft, dtype in tasks:
        identifier = case_id(draft, dtype)
        if not re.fullmatch(r"[a-z0-9_.-]+", identifier):
            raise SuiteError(f"'{identifier}': an id has small letters, digits, _ . and - only")
        if identifier in seen:
            raise SuiteError(f"{identifier}: two drafts have this id; rename the newer one")
        seen.add(identifier)
    return tasks


def build(folder: Path, jobs: int, progress: Progress, topics: Iterable[str] = ()) -> int:
    """Write the vector files of these topics or of all, the schema and the retired ids.

    Returns the number of cases. Raises SuiteError with one sentence per case that could not be
    built; nothing is written then.
    """
    topics = list(topics) or spec().topics
    tasks = tasks_of(all_drafts(topics))
    retired = read_retired(folder)
    reused = retired & {case_id(*task) for task in tasks}
    if reused:
        raise SuiteError(f"{', '.join(sorted(reused))}: retired ids are never used again")
    old = {path for topic in topics for path in (folder / topic).glob("*.json")}
    before = {case.id for path in old for case in read_file(path).cases}
    results = parallel(_build, tasks, jobs, progress)
    failures = [result for result in results if isinstance(result, str)]
    if failures:
        raise SuiteError("\n".join(failures))
    by_operation: dict[str, list[Case]] = {}
    for (draft, _), case in zip(tasks, results, strict=True):
        by_operation.setdefault(draft.operation, []).append(case)
    gone = before - {case.id for case in results}
    for name, cases in by_operation.items():
        path = folder / spec().operations[name].topic / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        file = VectorFile(suite="nnspec", format=1, operation=name, cases=cases)
        path.write_text(render(file), encoding="utf-8")
        old.discard(path)
    for path in old:
        path.unlink()
    (folder / RETIRED).write_text("".join(f"{i}\n" for i in sorted(retired | gone)))
    (folder / "schema.json").write_text(json.dumps(schema(), indent=1) + "\n")
    return len(results)


def read_retired(folder: Path) -> set[str]:
    """The ids of cases that are no longer in the suite."""
    path = folder / RETIRED
    return set(path.read_text().split()) if path.exists() else set()


def _verify(task: tuple[Case, str]) -> str | None:
    """Why a stored case does not hold, as one sentence; None where everything is proven again."""
    case, name = task
    operation = spec().operations[name]
    try:
        vector = unpack(case, operation, name)
        shapes = {field: value.shape for field, value in vector.inputs.items()}
        wrong = check_shapes(operation, shapes)
        if wrong:
            return f"{case.id}: {wrong}"
        exact_zeros = any(
            set(np.flatnonzero(value == 0).tolist())
            - set(case.classes.get(field, Classes()).zero_any_sign)
            for field, value in vector.outputs.items()
        )
        truths = oracle.truth(operation, vector.arguments, exact_zeros=exact_zeros)
        if operation.name != operation.base:
            oracle.prove_vjp(operation, vector.arguments, case.id, kinks="kink" in case.flags)
        sigma = oracle.budget(operation, vector.arguments, truths, case.dtype, case.id)
    except (SuiteError, oracle.OracleError) as error:
        return f"{case.id}: {error}"
    if truths.keys() != vector.outputs.keys():
        return f"{case.id}: outputs: {', '.join(vector.outputs)} stored, {', '.join(truths)} due"
    for field, truth in truths.items():
        found = vector.outputs[field]
        same = np.array_equal(found, truth, equal_nan=found.dtype.kind == "f")
        if not same or (exact_zeros and not np.array_equal(np.signbit(found), np.signbit(truth))):
            return f"{case.id}: outputs.{field}: the stored values are not the proven ones"
        if not np.array_equal(vector.sigma[field], sigma[field]):
            return f"{case.id}: sigma.{field}: the stored budget is not the measured one"
    return None


def stored(folder: Path, topics: Iterable[str] = ()) -> tuple[list[tuple[Case, str]], list[str]]:
    """The stored cases with their operations, and what is wrong with the files as such."""
    validator = jsonschema.Draft202012Validator(schema())
    tasks: list[tuple[Case, str]] = []
    wrong: list[str] = []
    stored_schema = folder / "schema.json"
    if not stored_schema.exists() or json.loads(stored_schema.read_text()) != schema():
        wrong.append("schema.json: is not the schema of this version; run 'nnspec vectors build'")
    wanted = set(topics)
    for path in sorted(folder.glob("*/*.json")):
        if wanted and path.parent.name not in wanted:
            continue
        try:
            file = read_file(path)
        except SuiteError as error:
            wrong.append(str(error))
            continue
        for misfit in validator.iter_errors(json.loads(path.read_text(encoding="utf-8"))):
            wrong.append(f"{path.name}: {misfit.json_path}: {misfit.message[:200]}")
        if file.operation not in spec().operations:
            wrong.append(f"{path.name}: operation: the spec has no '{file.operation}'")
            continue
        tasks.extend((case, file.operation) for case in file.cases)
    return tasks, wrong


def verify(tasks: list[tuple[Case, str]], jobs: int, progress: Progress) -> list[str]:
    """Prove every stored value again; one sentence for each case that does not hold."""
    return [failure for failure in parallel(_verify, tasks, jobs, progress) if failure]
