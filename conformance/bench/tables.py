"""What was measured, for people: tables in the terminal and in Markdown."""

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nnspec.conformance.bench.contenders import OWN, PEERS
from nnspec.conformance.bench.grid import PASSES, SYMBOLS
from nnspec.conformance.bench.session import Session
from nnspec.conformance.bench.turns import BenchError, Measured

# how many times the least wait of threads that meet is far longer
FAR = 4

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


class Sheet(NamedTuple):
    """A table: its title, its columns, its rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def sheets(session: Session) -> list[Sheet]:
    """Every table of a run, in the order of its points."""
    found = []
    key = _family_and_threads
    for (family, threads), group in itertools.groupby(session.measured, key):
        found.append(_times(session, family, threads, list(group)))
    if session.peaks:
        found.append(_memory(session))
    if session.measured:
        found.append(_means(session))
        found.append(_limits(session))
    return found


def _family_and_threads(measured: Measured) -> tuple[str, int]:
    return measured.point.family, measured.threads


def _times(session: Session, family: str, threads: int, points: list[Measured]) -> Sheet:
    names = [n for n in (*OWN, *PEERS) if any(n in m.seconds or n in m.refused for m in points)]
    rows = []
    for m in points:
        fastest, roof = m.fastest(), session.share_of_roof(m, "accel")
        median, slower = m.median("accel"), m.ratio("reference")
        rows.append(
            [
                m.point.operation,
                m.point.shape,
                PASSES[m.point.backward],
                *(_milliseconds(m, n) for n in names),
                f"{fastest[1]:.2f} ({fastest[0]})" if fastest else "",
                f"{slower:.3g}" if slower else "",
                f"{m.point.flops / median / 1e9:.3g}" if median else "",
                f"{roof:.0%}" if roof else "",
            ]
        )
    return Sheet(
        f"{family}, {threads} thread{'s' * (threads > 1)}: milliseconds",
        [
            "operation",
            "×".join(SYMBOLS[family]),
            "pass",
            *names,
            "× fastest peer",
            "× reference",
            "GF/s",
            "of roof",
        ],
        rows,
    )


def _milliseconds(measured: Measured, name: str) -> str:
    if name in measured.refused:
        return "refused"
    median = measured.median(name)
    return "·" if median is None else f"{1e3 * median:.3g}"


def _memory(session: Session) -> Sheet:
    names = [n for n in (*OWN, *PEERS) if any(n in found for found in session.peaks.values())]
    rows = []
    for point, found in session.peaks.items():
        L = point.numbers["L"]
        cells = []
        for name in names:
            peak = found.get(name)
            if isinstance(peak, int):
                cells.append(f"{peak / 2**20:.0f} MiB, {peak / (4 * L * L):.3g}")
            else:
                cells.append("·" if peak is None else "gave up")
        rows.append([point.shape, PASSES[point.backward], *cells])
    return Sheet(
        "attention: peak memory beyond inputs and outputs, and as a share of one L×L matrix",
        ["B×N×L×K", "pass", *names],
        rows,
    )


def mean(ratios: Iterable[float]) -> float:
    """The geometric mean."""
    logs = [math.log(ratio) for ratio in ratios]
    return math.exp(sum(logs) / len(logs))


def _means(session: Session) -> Sheet:
    kinds: dict[tuple[str, int, bool], list[Measured]] = {}
    for m in session.measured:
        kinds.setdefault((m.point.family, m.threads, m.point.backward), []).append(m)
    peers = [name for name in PEERS if any(m.ratio(name) for m in session.measured)]
    rows = [
        [family, str(threads), PASSES[backward], *_mean_cells(session, points, peers)]
        for (family, threads, backward), points in kinds.items()
    ]
    rows.append(["all", "", "", *_mean_cells(session, session.measured, peers)])
    return Sheet(
        "accel's lead: geometric means",
        [
            *("family", "threads", "pass", "points", "× fastest peer", "least", "at the roof"),
            *(f"× {name}" for name in peers),
            "× reference",
        ],
        rows,
    )


def _mean_cells(session: Session, points: list[Measured], peers: list[str]) -> list[str]:
    known = [(m, lead) for m in points if (lead := _lead(m)) is not None]
    leads = [lead for _, lead in known]
    at_roof = [
        lead / min(1, share) for m, lead in known if (share := session.share_of_roof(m, "accel"))
    ]
    others = []
    for name in (*peers, "reference"):
        ratios = [ratio for m in points if (ratio := m.ratio(name)) is not None]
        others.append(f"{mean(ratios):.3g}" if ratios else "·")
    return [
        str(len(points)),
        f"{mean(leads):.2f}" if leads else "",
        f"{min(leads):.2f}" if leads else "",
        f"{mean(at_roof):.2f}" if at_roof else "",
        *others,
    ]


def _lead(measured: Measured) -> float | None:
    fastest = measured.fastest()
    return None if fastest is None else fastest[1]


def _limits(session: Session) -> Sheet:
    roofs = session.rooflines
    sizes = [size for size, _ in next(iter(roofs.values())).bandwidth]
    unit = any(roof.parts for roof in roofs.values())
    rows = [
        [
            str(threads),
            *(f"{rate / 1e9:.1f}" for rate in (roof.flops, roof.parts)[: 1 + unit]),
            *(f"{rate / 1e9:.1f}" for _, rate in roof.bandwidth),
            f"{roof.triad / 1e9:.1f}",
        ]
        for threads, roof in roofs.items()
    ]
    of_parts = "GF/s of products of bfloat16 parts, " if unit else ""
    sets = [f"{size / 2**10:.0f} KiB" for size in sizes]
    return Sheet(
        f"limits measured in this run: GF/s of multiply-adds, {of_parts}GB/s read from a thread's"
        " set, triad",
        ["threads", "multiply-adds", *["of parts"][:unit], *sets, "triad"],
        rows,
    )


def sentences(session: Session) -> list[str]:
    """What the tables do not say: where accel falls short, who was refused, the machine."""
    lines = []
    short = [(lead, m) for m in session.measured if (lead := _lead(m)) is not None and lead < 1]
    for lead, m in sorted(short, key=lambda each: each[0]):
        fastest = m.fastest()
        assert fastest is not None
        lines.append(f"falls short: {m.name}: {lead:.2f} of {fastest[0]}")
    for m in session.measured:
        roof, median = session.rooflines.get(m.threads), m.median("accel")
        if m.point.family == "product" and median is not None and roof is not None:
            share = m.point.flops / median / roof.flops
            lines.append(f"big product: {m.name}: {share:.0%} of the rate of multiply-adds")
    lines += [
        f"refused: {m.name}: {reason}" for m in session.measured for reason in m.refused.values()
    ]
    for point, found in session.peaks.items():
        lines += [f"gave up: {point.name}: {why}" for why in found.values() if isinstance(why, str)]
    lines += [f"left out: {reason}" for reason in session.absent.values()]
    lines += ways(session.measured)
    lines += meetings(session.measured)
    lines.append(", ".join(dict.fromkeys(session.versions.values())))
    effort = session.effort
    lines.append(f"rounds: {effort.rounds}, each turn at least {1e3 * effort.batch:.0f} ms")
    begin, end = session.begin, session.end or session.begin
    lines.append(
        f"{begin['processor']}, {begin['processors']} processors, governor {begin['governor']},"
        f" Python {begin['python']}; {begin['time']}"
    )
    lines.append(f"load average at the begin {begin['load']}, at the end {end['load']}")
    if not session.complete:
        lines.append("stopped before the end")
    return lines


def meetings(measured: list[Measured]) -> list[str]:
    """How long threads that meet waited for each other, and how often far longer than at best."""
    found: dict[int, list[float]] = {}
    for m in measured:
        found.setdefault(m.threads, []).extend(m.meetings)
    lines = []
    for threads, times in found.items():
        if times:
            least = min(times)
            far = sum(each > FAR * least for each in times)
            lines.append(
                f"{threads} threads met in {1e9 * least:.0f} to {1e9 * max(times):.0f} ns, in more"
                f" than {FAR} times the least at {far} of {len(times)} looks: their processors were"
                " far apart then, or not free"
            )
    return lines


def ways(measured: list[Measured]) -> list[str]:
    """How often each way of a contender was the fastest of its ways."""
    counts: dict[str, dict[str, int]] = {}
    for m in measured:
        for name, way in m.ways.items():
            if way:
                counts.setdefault(name, {}).setdefault(way, 0)
                counts[name][way] += 1
    return [
        f"{name} took its fastest way at each point: "
        + ", ".join(f"{way} at {count}" for way, count in sorted(found.items()))
        for name, found in counts.items()
    ]


def show(session: Session, console: Console) -> None:
    """Print everything."""
    for sheet in sheets(session):
        table = Table(title=sheet.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in sheet.columns:
            right = column not in ("operation", "pass", "family")
            table.add_column(column, justify="right" if right else "left", no_wrap=True)
        for row in sheet.rows:
            table.add_row(
                *(_coloured(cell, name) for cell, name in zip(row, sheet.columns, strict=True))
            )
        console.print(table)
    for line in sentences(session):
        console.print(escape(line), highlight=False, soft_wrap=True)


def _coloured(cell: str, column: str) -> str:
    lead = re.match(r"[\d.]+", cell)
    if column in ("× fastest peer", "least") and lead is not None and float(lead[0]) < 1:
        return f"[red]{escape(cell)}[/]"
    return escape(cell)


def markdown(session: Session) -> str:
    """Everything as Markdown."""
    parts = []
    for sheet in sheets(session):
        rows = [sheet.columns, ["---"] * len(sheet.columns), *sheet.rows]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        parts.append(f"### {sheet.title[0].upper()}{sheet.title[1:]}\n\n" + "\n".join(lines))
    parts.append("\n".join(f"- {line}" for line in sentences(session)))
    return "\n\n".join(parts)


def page_parts(page: Path) -> tuple[str, str]:
    """What a page has before and after its results; raises BenchError where it has no place."""
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise BenchError(f"--write {page}: {error.strerror}") from None
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchError(f"--write {page}: the page has no lines '{BEGIN}' and '{END}'")
    return before, after


def write(session: Session, page: Path) -> None:
    """Put the tables between the marks of a page."""
    before, after = page_parts(page)
    text = f"{before}{BEGIN}\n\n{markdown(session)}\n\n{END}{after}"
    page.write_text(text, encoding="utf-8")
