"""What a run looks like: tables on the terminal, JSON and JUnit XML in a folder."""

import collections
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import junitparser
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nnspec.conformance.mutants import Score
from nnspec.conformance.runner import Run
from nnspec.conformance.suite import Vector
from nnspec.conformance.verdict import FAILED, VERDICTS, K, Result
from nnspec.spec.loader import spec

STYLES = {"pass": "green", "fail": "red", "unsupported": "yellow", "deviation": "yellow"}
# enough to see what is wrong; the report has all
SHOWN = 3


def clause_table(run: Run) -> Table:
    """One row per clause: verdicts and the worst error of the cases that gave a result."""
    by_clause: dict[str, list[Result]] = {clause: [] for clause in spec().clauses}
    for found in run.results:
        for clause in found.clauses:
            by_clause[clause].append(found)
    seen = [v for v in VERDICTS if run.count(v) or v in ("pass", "fail", "unsupported")]
    table = Table(title=f"{run.backend} {run.version}".strip(), title_justify="left")
    table.add_column("clause", no_wrap=True)
    for verdict in seen:
        table.add_column(verdict, justify="right")
    table.add_column("worst sigma", justify="right")
    table.add_column("worst ulp", justify="right")
    for clause, results in by_clause.items():
        if not results:
            continue
        counts = [sum(found.verdict == v for found in results) for v in seen]
        cells = [
            f"[{STYLES.get(v, 'magenta')}]{n}[/]" if n else "[dim]·[/]"
            for v, n in zip(seen, counts, strict=True)
        ]
        table.add_row(clause, *cells, worst(results, "sigma_error"), worst(results, "ulp_error"))
    return table


def worst(results: Iterable[Result], field: str) -> str:
    """The largest error of these results, or nothing where none was measured."""
    errors = [error for found in results if (error := getattr(found, field)) is not None]
    if not errors:
        return ""
    largest = max(errors)
    if largest >= 1e300:
        return "[red]∞[/]"
    shown = f"{largest:.2f}" if largest < 1000 else f"{largest:.1e}"
    return f"[red]{shown}[/]" if field == "sigma_error" and largest > K else shown


def show(run: Run, vectors: Iterable[Vector], console: Console) -> None:
    """The verdicts on the terminal: table, failures with their notes, reasons, sums."""
    notes = {vector.id: vector.case.note for vector in vectors}
    for sentence in run.diagnoses:
        console.print(f"[bold]diagnosis[/] {escape(sentence)}", highlight=False, soft_wrap=True)
    console.print(clause_table(run))
    groups: dict[tuple[str, str], list[Result]] = collections.defaultdict(list)
    for found in run.results:
        if found.verdict in FAILED:
            groups[found.verdict, found.operation].append(found)
    for (verdict, operation), results in groups.items():
        console.print(
            f"\n[bold red]{verdict}[/] [bold]{operation}[/]: {len(results)} of"
            f" {sum(found.operation == operation for found in run.results)} cases"
        )
        for found in sorted(results, key=lambda r: -(r.sigma_error or 0))[:SHOWN]:
            console.print(
                f"  {found.case}: {escape(found.reason)}", highlight=False, soft_wrap=True
            )
            console.print(
                f"    [dim]{', '.join(found.clauses)}; the case is there to catch:"
                f" {escape(notes[found.case])}[/]",
                highlight=False,
                soft_wrap=True,
            )
        if len(results) > SHOWN:
            others = ", ".join(found.case for found in results[SHOWN : SHOWN + 6])
            more = f" … ({len(results) - SHOWN} in all)" if len(results) > SHOWN + 6 else ""
            console.print(f"    [dim]and {others}{more}[/]", highlight=False, soft_wrap=True)
    listed = [found for found in run.results if found.verdict == "deviation"]
    if listed:
        console.print("\n[bold yellow]known deviations[/]")
    for found in listed:
        console.print(f"  {found.case}: {escape(found.reason)}", highlight=False, soft_wrap=True)
    reasons: dict[str, list[Result]] = collections.defaultdict(list)
    for found in run.results:
        if found.verdict == "unsupported":
            reasons[found.reason].append(found)
    if reasons:
        console.print("\n[bold yellow]unsupported[/]")
    for reason, results in sorted(reasons.items(), key=lambda item: -len(item[1])):
        operations = list(dict.fromkeys(found.operation for found in results))
        named = ", ".join(operations[:4]) + (" …" if len(operations) > 4 else "")
        console.print(
            f"  {len(results)} cases: {escape(reason)} [dim]({named})[/]", highlight=False
        )
    for sentence in run.damaged:
        console.print(f"[bold red]damaged[/] {escape(sentence)}", highlight=False, soft_wrap=True)
    console.print("\n" + summary(run), highlight=False, soft_wrap=True)


def show_mutants(scores: list[Score], console: Console, *, kills: bool) -> None:
    """The mutation score by topic, and every mutant that fewer than two cases kill."""
    table = Table(title="mutation score", title_justify="left")
    columns = ("topic", "mutants", "killed twice", "killed once", "alive", "right ones spared")
    for column in columns:
        table.add_column(column, justify="left" if column == "topic" else "right")
    topics = dict.fromkeys(score.mutant.topic for score in scores)
    for topic in [*topics, "all"]:
        chosen = [s for s in scores if topic in (s.mutant.topic, "all")]
        counts = [len(s.killers) for s in chosen if not s.mutant.equivalent]
        right = [s for s in chosen if s.mutant.equivalent]
        cells = (
            len(counts),
            sum(count >= 2 for count in counts),
            sum(count == 1 for count in counts),
            sum(count == 0 for count in counts),
        )
        spared = f"{sum(s.holds for s in right)} of {len(right)}"
        table.add_row(topic, *map(str, cells), spared)
    console.print(table)
    for score in scores:
        listed = ", ".join(score.killers) or "no case"
        if not score.holds:
            verb = "is right and killed by" if score.mutant.equivalent else "is killed by"
            console.print(f"[red]{score.mutant.name}[/] {verb} {listed}", highlight=False)
        elif kills:
            console.print(
                f"{score.mutant.name} ({score.mutant.clause}): {escape(score.mutant.did)}\n"
                f"    [dim]{len(score.killers)}: {listed}[/]",
                highlight=False,
                soft_wrap=True,
            )


def show_onnx_score(scores: list[Score], theirs: list[list[str]], console: Console) -> None:
    """The same mutants against this suite and against ONNX's node tests."""
    table = Table(title="wrong forward passes killed, side by side", title_justify="left")
    for column in ("topic", "mutants", "nnspec", "ONNX node tests"):
        table.add_column(column, justify="left" if column == "topic" else "right")
    topics = dict.fromkeys(score.mutant.topic for score in scores)
    for topic in [*topics, "all"]:
        pairs = [
            (ours, onnx)
            for ours, onnx in zip(scores, theirs, strict=True)
            if topic in (ours.mutant.topic, "all")
        ]
        killed = sum(bool(onnx) for _, onnx in pairs)
        table.add_row(topic, str(len(pairs)), str(sum(o.holds for o, _ in pairs)), str(killed))
    console.print(table)


def summary(run: Run) -> str:
    """One line of sums."""
    counts = [f"{run.count(v)} {v}" for v in VERDICTS if run.count(v) and v != "deviation"]
    known = run.count("deviation")
    if known:
        counts.append(f"{known} known deviation{'s' if known > 1 else ''}")
    flushed = sum(found.flushed for found in run.results)
    extra = f"; {flushed} subnormal results flushed to zero" if flushed else ""
    stopped = "" if run.complete else " (interrupted)"
    cases = f"{len(run.results)} cases"
    return f"{run.backend}: {cases}{stopped}: {', '.join(counts) or 'none'}{extra}"


def write(run: Run, vectors: Iterable[Vector], folder: Path) -> None:
    """report.json and junit.xml in a folder."""
    (folder / "report.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n"
    )
    notes = {vector.id: vector.case.note for vector in vectors}
    suite = junitparser.TestSuite(f"nnspec {run.backend}")
    cases = []
    for found in run.results:
        case = junitparser.TestCase(found.case, f"nnspec.{found.operation}", found.seconds)
        words = f"{found.reason} ({', '.join(found.clauses)}: {notes[found.case]})"
        if found.verdict == "unsupported":
            case.result = [junitparser.Skipped(f"unsupported: {found.reason}")]
        elif found.verdict == "deviation":
            case.result = [junitparser.Skipped(f"known deviation: {found.reason}")]
        elif found.verdict == "fail":
            case.result = [junitparser.Failure(words)]
        elif found.verdict != "pass":
            case.result = [junitparser.Error(f"{found.verdict}: {words}")]
        cases.append(case)
    for sentence in run.damaged:
        case = junitparser.TestCase("vectors", "nnspec")
        case.result = [junitparser.Error(sentence)]
        cases.append(case)
    # all at once: adding one case counts all the others again
    suite.add_testcases(cases)
    xml = junitparser.JUnitXml()
    xml.add_testsuite(suite)
    xml.write(str(folder / "junit.xml"))


def show_properties(
    found: Iterable[Any], properties: Mapping[str, Any], asked: Iterable[Any], console: Console
) -> None:
    """One row for each property: how many operations it was checked on, what does not hold."""
    done = list(found)
    table = Table(title="properties", title_justify="left")
    for heading in ("property", "statement"):
        table.add_column(heading)
    for heading in ("operations", "trials", "undecided", "violated"):
        table.add_column(heading, justify="right")
    for name, stated in properties.items():
        rows = [each for each in done if each.property == name]
        if not rows:
            continue
        wrong = sum(each.violation is not None for each in rows)
        table.add_row(
            name,
            stated.statement,
            str(len({each.operation for each in rows})),
            str(sum(each.trials for each in rows)),
            str(sum(each.undecided for each in rows)),
            f"[red]{wrong}[/]" if wrong else "[green]0[/]",
        )
    console.print(table)
    for each in done:
        if each.violation is not None:
            words = f"{each.property}: {each.operation} in {each.dtype}: {each.violation.reason}"
            console.print(escape(words), style="red", highlight=False, soft_wrap=True)
        elif each.unsupported:
            words = f"{each.property}: {each.operation} in {each.dtype}: unsupported: "
            console.print(escape(words + each.unsupported), highlight=False, soft_wrap=True)
    untouched = [o.name for o in asked if o.name not in {each.operation for each in done}]
    if len(untouched) > 40:
        line = f"not checked: {len(untouched)} operations, which the backend lacks or to which"
        console.print(f"{line} none of these properties applies", highlight=False, soft_wrap=True)
    elif untouched:
        console.print(f"not checked: {', '.join(untouched)}", highlight=False, soft_wrap=True)


def show_campaign(
    campaign: Any, pairs: Iterable[tuple[str, str]], refused: Mapping[str, str], console: Console
) -> None:
    """What a fuzz campaign tried and found, and what it could not decide or try."""
    topics: dict[str, list[tuple[str, Any]]] = {}
    for name, tally in campaign.tallies.items():
        topics.setdefault(spec().operations[name].topic, []).append((name, tally))
    console.print(f"fuzz {escape(campaign.backend)}, seed {campaign.seed}", highlight=False)
    table = Table()
    table.add_column("topic")
    for heading in ("operations", "inputs", "undecided", "inputs/s", "found"):
        table.add_column(heading, justify="right")
    for topic in (t for t in spec().topics if t in topics):
        tallies = [tally for _, tally in topics[topic]]
        names = {name for name, _ in topics[topic]}
        inputs, seconds = sum(t.inputs for t in tallies), sum(t.seconds for t in tallies)
        wrong = sum(finding.operation in names for finding in campaign.findings.values())
        table.add_row(
            topic,
            str(len(names)),
            str(inputs),
            str(sum(t.undecided for t in tallies)),
            f"{inputs / seconds:.0f}" if seconds else "",
            f"[red]{wrong}[/]" if wrong else "[green]0[/]",
        )
    console.print(table)

    def line(words: str) -> None:
        console.print(escape(words), highlight=False, soft_wrap=True)

    for finding in campaign.findings.values():
        small = "smallest found" if finding.shrunk else "not shrunk"
        line(f"{finding.case.id} ({small}): {finding.verdict}: {finding.reason}")
    for key, reason in campaign.unsupported.items():
        line(f"unsupported: {key}: {reason}")
    for name, reason in refused.items():
        line(f"not drawn: {name}: {reason}")
    for words in (*campaign.doubts, *campaign.broken):
        line(f"doubt: {words}")
    untried = len({name for name, _ in pairs} - set(campaign.tallies) - set(campaign.unsupported))
    if untried:
        line(f"{untried} operations were not reached in this time")
    if not campaign.complete:
        line("stopped; what was found so far is above")
