"""Runs as `nnspec run --report` left them in folders, read back."""

import dataclasses
import datetime
from pathlib import Path, PurePath

import msgspec

from nnspec.conformance import journal
from nnspec.conformance.runner import Run
from nnspec.conformance.suite import VECTORS, one_line
from nnspec.conformance.verdict import Result

REPORT = "report.json"
LINES = "results.jsonl"
HEAD = "run.json"


class RecordedError(ValueError):
    """A folder or file that holds no readable run; the message names it and says what to do."""


class Head(msgspec.Struct, frozen=True):
    """What is used of run.json, which says what a run is of."""

    backend: str = ""
    version: str = ""
    vectors: str = ""


@dataclasses.dataclass(frozen=True)
class Recorded:
    """One run with its folder, and what a reader must know of how it came down to us."""

    folder: Path
    run: Run
    written: datetime.datetime
    label: str = ""
    notes: tuple[str, ...] = ()

    def state(self, cases: int) -> str:
        """Whether the run came to its end, and whether it was of all cases of the suite."""
        if not self.run.complete:
            return "interrupted"
        return "complete" if len(self.run.results) >= cases else "not the whole suite"


def read(folder: Path) -> Recorded:
    """The run in a folder: of report.json, else what results.jsonl kept of an interrupted one.

    Raises RecordedError.
    """
    report, lines = folder / REPORT, folder / LINES
    if not folder.is_dir():
        raise RecordedError(f"{folder}: there is no such folder; make it with: {_how(folder)}")
    head = _head(folder / HEAD)
    if report.is_file():
        path, run, notes = report, _report(report), []
        kept = _results(lines)[0] if lines.is_file() else run.results
        if len(kept) != len(run.results):
            notes.append(
                f"{lines} holds {len(kept)} results and {REPORT} {len(run.results)}: it is of a"
                " later run, which did not end and is left out here"
            )
    elif lines.is_file():
        path = lines
        results, notes = _results(lines)
        name, version = head.backend or folder.resolve().name, head.version
        run = Run(name, version, results, [], complete=False)
        notes.insert(0, f"there is no {report}: the run was interrupted, this is what it left")
    else:
        raise RecordedError(
            f"{folder}: holds neither {REPORT} nor {LINES}; make them with: {_how(folder)}"
        )
    _check(path, run)
    if head.vectors and head.vectors != journal.fingerprint(VECTORS):
        notes.append("it was run over other vectors than those of this version of the suite")
    written = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
    return Recorded(folder, run, written, notes=tuple(notes))


def _check(path: Path, run: Run) -> None:
    seen: set[str] = set()
    for found in run.results:
        if found.case in seen:
            raise RecordedError(
                f"{path}: damaged: case {found.case} stands in it twice; run the backend again"
            )
        seen.add(found.case)
        for name, data in (found.outputs or {}).items():
            try:
                data.array()
            except ValueError as error:
                raise RecordedError(
                    f"{path}: damaged: case {found.case}: outputs.{name}: {error}; run the"
                    " backend again"
                ) from None


def _how(folder: Path) -> str:
    return f"nnspec run BACKEND --report {folder}"


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RecordedError(f"{path}: cannot be read: {error.strerror}") from None


def _report(path: Path) -> Run:
    try:
        return msgspec.json.decode(_bytes(path), type=Run)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordedError(f"{path}: damaged: {error}; run the backend again") from None


def _head(path: Path) -> Head:
    if not path.is_file():
        return Head()
    try:
        return msgspec.json.decode(_bytes(path), type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordedError(f"{path}: damaged: {error}; run the backend again") from None


def _results(path: Path) -> tuple[list[Result], list[str]]:
    """The results in the lines of a run, the last of each case, and what is to be said of them."""
    *whole, last = _bytes(path).split(b"\n")
    results: dict[str, Result] = {}
    for number, line in enumerate(whole, 1):
        try:
            found = msgspec.json.decode(line, type=Result)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RecordedError(
                f"{path}: damaged in line {number}: {error}; run the backend again"
            ) from None
        results[found.case] = found
    notes = [f"the last line of {path} was cut off and is left out"] if last else []
    return list(results.values()), notes


def labelled(runs: list[Recorded]) -> list[Recorded]:
    """The same runs, each with a short label of its own to head its column."""
    found: list[Recorded] = []
    for each in runs:
        name = each.run.backend
        # a backend that is a file is called by its name, not by its folders
        short = one_line(PurePath(name.replace("\\", "/")).name, 40) or "?"
        label, number = short, 1
        while any(label == other.label for other in found):
            number += 1
            label = f"{short} ({number})"
        found.append(dataclasses.replace(each, label=label))
    return found
