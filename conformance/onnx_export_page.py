"""What runtimes make of the exported cases in ONNX's runner, beside the suite's own verdicts.

`python -m nnspec.conformance.onnx_export_page docs/onnx_export.md` exports every case, runs the
folders with `run_onnx_tests.py`, which imports nothing of nnspec, and the same cases through the
suite's adapter, and writes the tables of that page. It takes about two minutes.
"""

import collections
import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import onnx

from nnspec.conformance.backends import SHIPPED
from nnspec.conformance.onnx_export import export
from nnspec.conformance.runner import run
from nnspec.conformance.suite import suite
from nnspec.conformance.verdict import Result

BEGIN = "<!-- written by: python -m nnspec.conformance.onnx_export_page docs/onnx_export.md -->"
END = "<!-- end of what is written -->"

# what ONNX's runner is given, and the suite's adapter of the same runtime
RUNTIMES = {"onnxruntime": "onnxruntime", "onnx.reference": "onnx_reference"}
VERDICTS = ("pass", "fail", "error", "crash")
# the runner knows no verdict "unsupported": what an adapter calls so is an error there
SAME = {("unsupported", "error")}


ATTENTION_NAN = "(attention|weights|layer)-(nan|mask-(nan|inf)|lengths-(nan|and-mask))"
GATES = "tail|moderate|tiny|subnormal|hand|saturation|powers|brackets"


class Cause(NamedTuple):
    """A known defect or limit of a runtime, and how its cases are told."""

    words: str
    case: str
    why: str = ""


CAUSES = {
    "onnxruntime": (
        Cause("it has no kernel for this dtype", "", "NOT_IMPLEMENTED|does not support double"),
        Cause("it takes no bfloat16 here", "bf16$", "RuntimeError|Type Error"),
        Cause("a size of 0 ends the process", "-no-", "process ended"),
        Cause("Attention scales in float32 in a graph of float64", "attention.*-f64$", "toler"),
        Cause(
            "with no steps, the final state is 0 or what was in memory", "-no-|all-zero", "toler"
        ),
        Cause("a size of 0 is refused", "-no-"),
        Cause("NaN comes out as a number", "special|cross_entropy-nan|log_softmax-nan"),
        Cause("NaN or infinity at a masked place is multiplied, not left out", ATTENTION_NAN),
        Cause("the final state of a shorter example is not its last one, or 0", "lengths"),
        Cause("Sigmoid, and the gates' Sigmoid and Tanh: tails and small values are lost", GATES),
        Cause("the sum of squares overflows or vanishes", "frobenius"),
    ),
    "onnx.reference": (
        Cause("RNN has no activation but Tanh and Affine", "", "Unknown activation"),
        Cause("a size of 0 is refused", "-no-"),
        Cause("RNN, GRU and LSTM do not look at the lengths", "^(rnn|gru|lstm).*lengths"),
        Cause("NaN or infinity at a masked place is multiplied, not left out", ATTENTION_NAN),
        Cause("log(softmax(x)): the logarithm of a share that is 0", "log_softmax|cross_entropy"),
        Cause("1 - z is 0 where z rounds to 1: a tail is lost", "gru_step-tail"),
        Cause("the sum of squares overflows or vanishes", "frobenius"),
    ),
}


def run_by_onnx(backend: str, folder: Path) -> Mapping[str, Mapping[str, str]]:
    """ONNX's verdict and its reason by case id."""
    found = folder / f"{backend}.json"
    command = [sys.executable, str(folder / "run_onnx_tests.py"), backend, "--json", str(found)]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    read = json.loads(found.read_text(encoding="utf-8"))
    return {name.removeprefix("test_"): each for name, each in read.items()}


def cause_of(runtime: str, case: str, why: str) -> str:
    """The words of the first cause that fits; empty where none does."""
    for cause in CAUSES[runtime]:
        if re.search(cause.case, case) and re.search(cause.why, why):
            return cause.words
    return ""


def by_suite(adapter: str, cases: set[str]) -> dict[str, Result]:
    """The suite's results for these cases by id; none where the adapter is not there."""
    if adapter not in SHIPPED:
        return {}
    return {r.case: r for r in run(adapter).results if r.case in cases}


def counts(runtime: str, entries: list[dict[str, Any]], found: Mapping[str, Any]) -> list[str]:
    """A row of the first table for each dtype."""
    rows = []
    for dtype in dict.fromkeys(entry["dtype"] for entry in entries):
        mine = [found[entry["id"]]["verdict"] for entry in entries if entry["dtype"] == dtype]
        numbers = " | ".join(str(mine.count(verdict)) for verdict in VERDICTS)
        rows.append(f"| {runtime} | {dtype} | {len(mine)} | {numbers} |")
    return rows


def causes(runtime: str, found: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The causes of what did not pass, with their cases; raises ValueError for an unknown one."""
    groups: dict[str, list[str]] = collections.defaultdict(list)
    for case, each in found.items():
        if each["verdict"] != "pass":
            groups[cause_of(runtime, case, each["why"])].append(case)
    if "" in groups:
        raise ValueError(f"{runtime} fails {groups['']} by a cause that is not in CAUSES")
    return [
        f"| {runtime} | {words} | {len(cases)} | `{cases[0]}` |"
        for words, cases in sorted(groups.items(), key=lambda group: -len(group[1]))
    ]


def beside(found: Mapping[str, Mapping[str, str]], judged: Mapping[str, Result]) -> list[str]:
    """How the verdicts compare with the suite's, and each case where they part."""
    pairs = collections.Counter[tuple[str, str]]()
    parted = []
    for case, result in judged.items():
        pair = result.verdict, found[case]["verdict"]
        pairs[pair] += 1
        if pair[0] != pair[1] and pair not in SAME:
            # of a traceback, the line that says what was wrong
            why = result.reason or found[case]["why"].strip().splitlines()[-1]
            parted.append(f"- `{case}`: {pair[0]}, {pair[1]} in ONNX's runner: {why}")
    table = [f"| {mine} | {theirs} | {n} |" for (mine, theirs), n in pairs.most_common()]
    return [
        "| the suite's adapter | ONNX's runner | cases |",
        "|---|---|---|",
        *table,
        "",
        *(parted or ["No verdict differs."]),
    ]


def tables() -> str:
    """All tables as Markdown."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "cases"
        entries = export(suite().vectors, folder)["cases"]
        found = {runtime: run_by_onnx(runtime, folder) for runtime in RUNTIMES}
    typical = sorted(entry["typical"] for entry in entries)
    opsets = collections.Counter(entry["opset"] for entry in entries)
    lines = [
        f"{len(entries)} cases, with onnx {onnx.__version__} and"
        f" onnxruntime {importlib.metadata.version('onnxruntime')}. Opsets:"
        f" {', '.join(f'{opset} ({count})' for opset, count in sorted(opsets.items()))}."
        f" The tolerance is typically {typical[len(typical) // 2]} times the case's own budget,"
        f" below {typical[len(typical) * 99 // 100]} times in 99 of 100 cases.",
        "",
        "| runtime | dtype | cases | pass | fail | error | crash |",
        "|---|---|---|---|---|---|---|",
        *(row for runtime in RUNTIMES for row in counts(runtime, entries, found[runtime])),
        "",
        "What does not pass, by cause:",
        "",
        "| runtime | cause | cases | one of them |",
        "|---|---|---|---|",
        *(row for runtime in RUNTIMES for row in causes(runtime, found[runtime])),
    ]
    for runtime, adapter in RUNTIMES.items():
        judged = by_suite(adapter, {entry["id"] for entry in entries})
        # what the adapter does not take is no verdict on the case
        judged = {c: r for c, r in judged.items() if "does not take" not in r.reason}
        if judged:
            lines += ["", f"{runtime}, beside `nnspec run {adapter}`:", ""]
            lines += beside(found[runtime], judged)
    return "\n".join(lines)


def written(page: str, made: str) -> str:
    """A page with the tables between its two marks; raises ValueError where they are missing."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no lines '{BEGIN}' and '{END}'")
    return pattern.sub(lambda _: f"{BEGIN}\n{made}\n{END}", page)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(written(path.read_text(encoding="utf-8"), tables()), encoding="utf-8")
