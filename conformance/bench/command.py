"""`nnspec bench`: its options checked before anything is measured, and what it writes."""

import importlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from nnspec.conformance.bench import contenders, tables
from nnspec.conformance.bench.grid import NAMES, chosen
from nnspec.conformance.bench.session import Session
from nnspec.conformance.bench.turns import FULL, QUICK, BenchError, processors


def run(
    only: Sequence[str],
    threads: Sequence[int],
    peers: Sequence[str],
    quick: bool,
    json: Path | None,
    plot: Path | None,
    page: Path | None,
    console: Console,
    tell: Callable[[str], None],
) -> bool:
    """Measure, show and write; whether everyone who took part was right, to the end.

    Raises BenchError.
    """
    _check(only, threads)
    left_out = _left_out(peers)
    points, long = chosen(only)
    names = [*contenders.OWN, *(p for p in peers or contenders.PEERS if p not in left_out)]
    draw = None if plot is None else _drawing(plot)
    for path in (json, plot):
        if path is not None:
            _writable(path)
    if page is not None:
        tables.page_parts(page)
    session = Session(points, threads, names, QUICK if quick else FULL, tell)
    session.absent |= left_out
    if points:
        session.run(json)
    elif json is not None:
        raise BenchError("--json holds what is timed, and --only memory times nothing")
    if session.complete:
        session.weigh(long)
    tables.show(session, console)
    if draw is not None and plot is not None and session.measured:
        draw(session, plot)
    if page is not None:
        tables.write(session, page)
    written = [str(path) for path in (json, plot, page) if path is not None]
    if written:
        console.print(f"written: {', '.join(written)}", highlight=False, soft_wrap=True)
    return session.complete and not any(m.refused for m in session.measured)


def _check(only: Sequence[str], threads: Sequence[int]) -> None:
    if importlib.util.find_spec("pytest_benchmark") is None:
        raise BenchError(
            "this command needs the package 'pytest-benchmark', which is not installed; install it"
            " with: pip install 'nnspec[bench]'"
        )
    for name in only:
        if name not in NAMES:
            raise BenchError(f"'{name}' is nothing that is measured; there are {', '.join(NAMES)}")
    most = len(processors())
    for count in threads:
        if not 1 <= count <= most:
            raise BenchError(f"--threads {count}: this process may use 1 to {most} processors")


def _left_out(peers: Sequence[str]) -> dict[str, str]:
    """The peers that are not installed; raises BenchError for one that was asked for."""
    reasons = {name: contenders.missing(name) for name in peers or contenders.PEERS}
    absent = {name: reason for name, reason in reasons.items() if reason}
    if peers and absent:
        raise BenchError(next(iter(absent.values())))
    return absent


def _drawing(path: Path) -> Callable[[Session, Path], None]:
    try:
        module = importlib.import_module("nnspec.conformance.bench.plot")
    except ModuleNotFoundError as error:
        raise BenchError(
            f"--plot needs the package '{error.name}', which is not installed; install it with:"
            " pip install 'nnspec[bench]'"
        ) from None
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise BenchError(f"--plot {path}: the name ends in .svg, .png or .pdf")
    draw: Callable[[Session, Path], None] = module.draw
    return draw


def _writable(path: Path) -> None:
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise BenchError(f"{path} cannot be written: its folder has to be there and yours to write")
