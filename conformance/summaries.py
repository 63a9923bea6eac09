"""Recorded runs in short: a Markdown summary for a CI job, a badge for each backend."""

import collections
import re
from collections.abc import Iterable
from pathlib import Path

from nnspec.conformance.html_report import environment, page
from nnspec.conformance.recorded import Recorded
from nnspec.conformance.suite import Suite, one_line
from nnspec.conformance.verdict import FAILED, VERDICTS, Result

# cases named for an operation; the page has all
SHOWN = 3

NARROW, WIDE = " ijlft.,:;'|!()[]·-", "mwMW"
GREEN, GREY, RED = "#22713a", "#5f6670", "#b3261e"


def write(runs: list[Recorded], suite: Suite, folder: Path) -> list[Path]:
    """The page, the summary and the badges in a folder; returns their paths."""
    cases = len(suite.vectors)
    texts = {"report.html": page(runs, suite), "summary.md": markdown(runs, cases)}
    for each in runs:
        texts[f"badge-{file_name(each.label)}.svg"] = badge(each, cases)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in texts]


def markdown(runs: Iterable[Recorded], cases: int) -> str:
    """A table of the runs, their diagnoses, and the operations with cases that did not pass."""
    runs = list(runs)
    seen = [v for v in VERDICTS if v in VERDICTS[:3] or any(each.run.count(v) for each in runs)]
    head = ["backend", "version", "state", "cases", *seen, "worst passing sigma"]
    lines = [
        "# nnspec conformance",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "|".join(["---"] * 3 + ["--:"] * (len(head) - 3)) + "|",
    ]
    for each in runs:
        run = each.run
        errors = [r.sigma_error or 0.0 for r in run.results if r.verdict == "pass"]
        cells = [
            code(each.label),
            words(run.version),
            each.state(cases),
            f"{len(run.results)} of {cases}",
            *(str(run.count(verdict)) for verdict in seen),
            f"{max(errors):.2f}" if errors else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    for each in runs:
        lines += of_run(each)
    return "\n".join(lines) + "\n"


def of_run(each: Recorded) -> list[str]:
    """What is to be said of one run below the table."""
    said = [f"- **{words(note)}**" for note in (*each.notes, *each.run.damaged)]
    said += [f"- diagnosis: {words(sentence)}" for sentence in each.run.diagnoses]
    groups: dict[str, list[Result]] = collections.defaultdict(list)
    totals = collections.Counter(found.operation for found in each.run.results)
    for found in each.run.results:
        if found.verdict in FAILED:
            groups[found.operation].append(found)
    for operation, results in groups.items():
        results.sort(key=lambda r: -(r.sigma_error or 0))
        verdicts = collections.Counter(found.verdict for found in results)
        counts = ", ".join(f"{n} {verdict}" for verdict, n in verdicts.items())
        said.append(f"- {code(operation)}: {counts}, of {totals[operation]} cases")
        said += [f"  - {code(r.case)}: {words(r.reason)}" for r in results[:SHOWN]]
        if len(results) > SHOWN:
            said.append(f"  - and {len(results) - SHOWN} more")
    return ["", f"## {words(each.label)}", "", *said] if said else []


def words(text: str) -> str:
    """Any text as plain words of Markdown on one line."""
    return re.sub(r"([\\`*_{}\[\]<>|#~&@$])", r"\\\1", one_line(text))


def code(text: str) -> str:
    """A name as code, in a table too."""
    return "`" + one_line(text).replace("`", "'").replace("|", "\\|") + "`"


def claim(each: Recorded, cases: int) -> tuple[str, str]:
    """What a badge may say of a run, and its colour.

    Passing cases are counted of those that the backend supports; what it does not support, or was
    not asked, is said. Green is for a complete run in which no supported case failed.
    """
    run = each.run
    passed, unsupported = run.count("pass"), run.count("unsupported")
    supported = len(run.results) - unsupported
    if not run.complete:
        return f"interrupted after {len(run.results)} cases", GREY
    said = [f"{passed} pass" if passed == supported else f"{passed} of {supported} pass"]
    if unsupported:
        said.append(f"{unsupported} unsupported")
    if len(run.results) < cases:
        said.append(f"{cases - len(run.results)} not run")
    whole = len(run.results) >= cases
    colour = RED if passed < supported else GREEN if whole and passed else GREY
    return " · ".join(said), colour


def badge(each: Recorded, cases: int) -> str:
    """The badge of a run as SVG."""
    message, colour = claim(each, cases)
    label = f"nnspec {each.label}"
    split = width_of(label) + 12
    return (
        environment()
        .get_template("badge.svg")
        .render(
            label=label,
            message=message,
            colour=colour,
            split=split,
            width=split + width_of(message) + 12,
        )
    )


def width_of(text: str) -> int:
    """The width of a text in 11 px Verdana, about; the badge fits the text to it."""
    return round(sum(4.2 if c in NARROW else 9.5 if c in WIDE else 6.9 for c in text))


def file_name(label: str) -> str:
    """A label as a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", label).strip("-.") or "backend"
