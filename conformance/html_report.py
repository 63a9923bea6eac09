"""Recorded runs of several backends as one HTML page that needs no network."""

import base64
import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jinja2
import latex2mathml.converter
import msgspec
import numpy as np
from markupsafe import Markup

from nnspec.conformance.protocol import OutputData
from nnspec.conformance.recorded import Recorded
from nnspec.conformance.suite import Classes, Element, Suite, Vector, encode
from nnspec.conformance.verdict import FAILED, VERDICTS, K, Result, deviations
from nnspec.spec.loader import PAGES, Clause, spec

TEMPLATES = Path(__file__).parent / "templates"
# an array of more elements is shown in parts
MOST_SHOWN = 96
# elements on either side of one that is shown for its error
AROUND = 8
# a number that JSON has not; the page and report.json write it as a large one
UNBOUNDED = 1e300

# what the converter does not know, by something that it does
UNKNOWN_TEX = {
    r"\arg": r"\mathrm{arg}",
    "{aligned}": "{split}",
    r"\big\lfloor": r"\lfloor",
    r"\big\rfloor": r"\rfloor",
    r"\Big\lfloor": r"\lfloor",
    r"\Big\rfloor": r"\rfloor",
}

Data = dict[str, Any]
Span = tuple[int, int]


def environment() -> jinja2.Environment:
    """The templates; everything that they are given is escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def page(runs: list[Recorded], suite: Suite) -> str:
    """The page. Its script and its style are the only ones that the browser may run."""
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    return (
        environment()
        .get_template("report.html")
        .render(
            runs=[heading(each, suite) for each in runs],
            damaged=suite.damaged,
            cases=len(suite.vectors),
            version=nnspec_version(),
            verdicts=[
                v for v in VERDICTS if v in VERDICTS[:3] or any(each.run.count(v) for each in runs)
            ],
            script=Markup(script),
            script_hash=digest(script),
            style=Markup(style),
            style_hash=digest(style),
            # the only way out of a JSON block is a tag
            data=Markup(msgspec.json.encode(data_of(runs, suite)).decode().replace("<", "\\u003c")),
        )
    )


def digest(text: str) -> str:
    """The hash by which a Content-Security-Policy names an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def nnspec_version() -> str:
    """The version of this package, or nothing in a source tree that is not installed."""
    try:
        return version("nnspec")
    except PackageNotFoundError:
        return ""


def heading(each: Recorded, suite: Suite) -> Data:
    """What the page's head says of a run."""
    known = {vector.id for vector in suite.vectors}
    run = each.run
    passing = [r.sigma_error for r in run.results if r.verdict == "pass" and r.sigma_error]
    return {
        "label": each.label,
        "backend": run.backend,
        "version": run.version,
        "written": each.written,
        "cases": len(run.results),
        "counts": {verdict: run.count(verdict) for verdict in VERDICTS},
        "worst": f"{max(passing):.2f}" if passing else "",
        "state": each.state(len(known)),
        "unknown": sum(found.case not in known for found in run.results),
        "notes": each.notes,
        "damaged": run.damaged,
        "diagnoses": [
            {"text": text, "clause": clause_in(text)} for text in run.diagnoses if text.strip()
        ],
    }


def clause_in(diagnosis: str) -> str:
    """The clause that a diagnosis sends the reader to, or nothing."""
    found = re.search(r"nnspec show (\S+)", diagnosis)
    return found[1] if found and found[1] in spec().clauses else ""


def data_of(runs: list[Recorded], suite: Suite) -> Data:
    """What the page's script works on: cases, clauses, results, arrays of what did not pass."""
    vectors = {vector.id: vector for vector in suite.vectors}
    results = [{found.case: found for found in each.run.results} for each in runs]
    used = [v.id for v in suite.vectors if any(v.id in by_case for by_case in results)]
    # in the order of the suite, and what only the runs know after it
    unknown = dict.fromkeys(case for by_case in results for case in by_case if case not in vectors)
    order = {case: index for index, case in enumerate([*used, *unknown])}
    reasons: dict[str, int] = {}
    return {
        "k": K,
        "verdicts": VERDICTS,
        "failed": FAILED,
        "runs": [
            {
                "label": each.label,
                "backend": each.run.backend,
                "diagnoses": each.run.diagnoses,
                "results": [row(found, order, reasons) for found in each.run.results],
            }
            for each in runs
        ],
        "reasons": list(reasons),
        "cases": [
            case_of(case, vectors.get(case), next(b[case] for b in results if case in b))
            for case in order
        ],
        "clauses": clauses_of(order, vectors, results),
        "arrays": {
            order[case]: arrays_of(vectors[case], [by_case.get(case) for by_case in results])
            for case in used
            if any(b[case].verdict not in ("pass", "unsupported") for b in results if case in b)
        },
    }


def row(found: Result, order: Mapping[str, int], reasons: dict[str, int]) -> list[Any]:
    """A result as the page's script reads it."""
    return [
        order[found.case],
        VERDICTS.index(found.verdict),
        rounded(found.sigma_error),
        rounded(found.ulp_error),
        found.worst,
        shortest(found.got, found.dtype),
        shortest(found.want, "float64"),
        reasons.setdefault(found.reason, len(reasons)),
    ]


def rounded(error: float | None) -> float | None:
    """An error to the digits that mean something."""
    return None if error is None else float(f"{error:.4g}")


def shortest(value: float | str | None, dtype: str) -> float | str | None:
    """A number of this dtype by its shortest decimals."""
    if not isinstance(value, float) or dtype not in ("float16", "float32"):
        return value
    with np.errstate(over="ignore"):
        short = np.dtype(dtype).type(value)
    # a result of another dtype than the case's stays as it is
    return float(str(short)) if float(short) == value else value


def case_of(case: str, vector: Vector | None, found: Result) -> Data:
    """What a case is; of one that the suite does not have, what the run says."""
    if vector is None:
        return {"id": case, "operation": found.operation, "dtype": found.dtype, "known": False}
    return {
        "id": case,
        "operation": vector.operation.name,
        "dtype": vector.case.dtype,
        "note": vector.case.note,
        "flags": vector.case.flags,
        "attributes": vector.case.attributes,
        "known": True,
    }


def clauses_of(
    order: Mapping[str, int],
    vectors: Mapping[str, Vector],
    results: Iterable[Mapping[str, Result]],
) -> list[Data]:
    """The clauses that some run has cases of, by topic, each with the indices of its cases."""
    members: dict[str, dict[int, None]] = {clause: {} for clause in spec().clauses}
    for case, index in order.items():
        known = vectors.get(case)
        if known is not None:
            names = known.case.clauses
        else:
            names = next(by_case[case].clauses for by_case in results if case in by_case)
        for name in names or ["(no clause)"]:
            members.setdefault(name, {})[index] = None
    found = []
    for name, indices in members.items():
        if not indices:
            continue
        clause = spec().clauses.get(name)
        found.append(
            {
                "id": name,
                "topic": clause.topic if clause else name.partition(".")[0],
                "operation": clause.operation if clause else "",
                "status": clause.status if clause else "not in this version of the spec",
                "equations": equations(clause) if clause else [],
                "cases": list(indices),
            }
        )
    # the clauses that the spec lacks stand with their topic
    topics = list(dict.fromkeys(each["topic"] for each in found))
    return sorted(found, key=lambda each: topics.index(each["topic"]))


@functools.cache
def pages() -> dict[str, str]:
    """The text of each page of the spec."""
    return {path.stem: path.read_text(encoding="utf-8") for path in PAGES.glob("*.md")}


def equations(clause: Clause) -> list[str]:
    """The displayed equations of a clause, before its sources and decisions, as MathML."""
    text = pages()[clause.topic]
    start = text.index(f"### {clause.id}\n")
    section = text[start:].split("\n### ")[0].split("**Source")[0]
    found = re.findall(r"\$\$(.+?)\$\$", section, re.DOTALL)
    return [mathml(tex.strip()) for tex in found]


def mathml(tex: str) -> str:
    """An equation as MathML, which a browser sets without fonts or scripts of its own."""
    for unknown, known in UNKNOWN_TEX.items():
        tex = tex.replace(unknown, known)
    return latex2mathml.converter.convert(tex, display="block")


def arrays_of(vector: Vector, found: list[Result | None]) -> Data:
    """A case's inputs and truth, and what each run's backend returned where it is recorded."""
    outputs = {}
    for name, truth in vector.outputs.items():
        got = {
            run: result.outputs[name]
            for run, result in enumerate(found)
            if result is not None and result.outputs and name in result.outputs
        }
        compared, other = {}, {}
        for run, data in got.items():
            if data.shape == list(truth.shape):
                compared[run] = errors_of(vector, name, data)
            else:
                other[run] = array(data.dtype, data.shape, short(data), ends(len(data.data)))
        worst = [index for r in found if r for index in place_of(r.worst, name, truth.shape)]
        worst += [int(errors.argmax()) for errors in compared.values() if errors.size]
        spans = around(truth.size, worst)
        case = vector.case.outputs[name]
        outputs[name] = {
            **array(case.dtype, case.shape, case.data, spans),
            "got": {
                run: {
                    "dtype": got[run].dtype,
                    "values": parts(short(got[run]), spans),
                    "errors": parts([bounded(e) for e in errors], spans),
                }
                for run, errors in compared.items()
            },
            "other": other,
        }
    inputs = {
        name: array(data.dtype, data.shape, data.data, ends(len(data.data)))
        for name, data in vector.case.inputs.items()
    }
    return {"inputs": inputs, "outputs": outputs}


def errors_of(vector: Vector, name: str, data: OutputData) -> Any:
    """The error of each element in sigma."""
    errors, _, _ = deviations(
        data.array().reshape(-1).astype(np.float64),
        vector.outputs[name].reshape(-1),
        vector.sigma[name].reshape(-1),
        vector.case.classes.get(name, Classes()),
        vector.case.dtype,
    )
    return errors


def bounded(error: float) -> float:
    """An error as a number that JSON has, to three digits."""
    return float(f"{min(float(error), UNBOUNDED):.3g}")


def short(data: OutputData) -> list[Element]:
    """The elements by the shortest decimals of their dtype."""
    return encode(data.array(), data.dtype).data


def place_of(place: str, name: str, shape: tuple[int, ...]) -> list[int]:
    """The flat index that `h[1, 0, 2]` names in the output `h`, if it does."""
    if place == name:
        return [0]
    found = re.fullmatch(r"(\w+)\[([\d, ]+)\]", place)
    if found is None or found[1] != name:
        return []
    index = [int(number) for number in found[2].split(",")]
    if len(index) != len(shape) or any(i >= n for i, n in zip(index, shape, strict=True)):
        return []
    return [int(np.ravel_multi_index(index, shape))]


def array(dtype: str, shape: list[int], data: list[Element], spans: list[Span]) -> Data:
    """An array, or the parts of it within the spans, each with the flat index where it begins."""
    return {"dtype": dtype, "shape": shape, "parts": parts(data, spans)}


def parts(data: list[Any], spans: list[Span]) -> list[tuple[int, list[Any]]]:
    """The parts of a flat list within the spans."""
    return [(start, data[start:stop]) for start, stop in spans]


def ends(size: int) -> list[Span]:
    """All of a small array, the beginning and the end of a large one."""
    if size <= MOST_SHOWN:
        return [(0, size)]
    return [(0, 2 * AROUND), (size - AROUND, size)]


def around(size: int, indices: list[int]) -> list[Span]:
    """All of a small array, the neighbours of these elements of a large one, in order."""
    if size <= MOST_SHOWN or not indices:
        return ends(size)
    spans: list[Span] = []
    for index in sorted(set(indices)):
        start, stop = max(0, index - AROUND), min(size, index + AROUND + 1)
        if spans and start <= spans[-1][1]:
            spans[-1] = spans[-1][0], stop
        else:
            spans.append((start, stop))
    return spans
