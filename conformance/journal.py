"""The folder of a run: verdicts as they come, what was run, what the backend said on stderr.

A run that ends early, by whatever cause, leaves here all that it obtained; `--resume` goes on.
"""

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from nnspec.conformance.protocol import Hello
from nnspec.conformance.suite import VECTORS, SuiteError, one_line
from nnspec.conformance.verdict import Result

# what a backend that floods its standard error may take of the disk
MOST_STDERR = 1_000_000

Read = TypeVar("Read")


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a run is of: verdicts of another cannot be taken over."""

    nnspec: str
    backend: str
    version: str
    vectors: str
    only: list[str]
    dtype: str
    profile: str


def header(hello: Hello, only: Iterable[str], dtype: str, profile: str) -> Header:
    """The header of a run of this backend over this selection of the vectors that ship."""
    release = ""
    with contextlib.suppress(PackageNotFoundError):
        release = version("nnspec")
    return Header(
        nnspec=release,
        backend=hello.backend,
        version=hello.version,
        vectors=fingerprint(VECTORS),
        only=sorted(only),
        dtype=dtype,
        profile=profile,
    )


def fingerprint(folder: Path) -> str:
    """A hash of every vector file."""
    found = hashlib.sha256()
    for path in sorted(folder.glob("*/*.json")):
        found.update(f"{path.parent.name}/{path.name} {path.stat().st_size}\n".encode())
        found.update(path.read_bytes())
    return found.hexdigest()


class Journal:
    """A report folder that is being written; raises SuiteError where that cannot be."""

    def __init__(self, folder: Path, *, resume: bool):
        self.folder = folder
        self.resume = resume
        self.lock = threading.Lock()
        self.stderr: IO[bytes] | None = None
        self.results: IO[bytes] | None = None
        self.written: set[str] = set()
        self.last = ("", 0)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.stderr = (folder / "stderr.txt").open("ab" if resume else "wb", buffering=0)
            self.room = MOST_STDERR - self.stderr.tell()
        except OSError as error:
            raise SuiteError(f"--report {folder}: {error.strerror}") from None

    def open(self, head: Header) -> dict[str, Result]:
        """Begin, or go on; returns the verdicts that are there already, by case."""
        run, log = self.folder / "run.json", self.folder / "results.jsonl"
        try:
            kept, length = self._kept(head) if self.resume else ({}, 0)
            run.write_bytes(msgspec.json.format(msgspec.json.encode(head), indent=1) + b"\n")
            # those of the earlier run are of no use beside the verdicts of this one
            for stale in ("report.json", "junit.xml"):
                (self.folder / stale).unlink(missing_ok=True)
            self.results = log.open("ab", buffering=0)
            # a line that the end of the earlier run cut short goes
            self.results.truncate(length)
            self.written = set(kept)
        except OSError as error:
            raise SuiteError(f"--report {self.folder}: {error.strerror}") from None
        return kept

    def _kept(self, head: Header) -> tuple[dict[str, Result], int]:
        """The verdicts of the earlier run, and how many bytes of them are whole lines."""
        run, log = self.folder / "run.json", self.folder / "results.jsonl"
        if not run.exists() and not log.exists():
            return {}, 0
        again = "leave out --resume to start anew, or choose another folder"
        if not run.exists():
            raise SuiteError(f"--resume: {self.folder} has results of no known run; {again}")
        before = _decode(run.read_bytes(), Header, f"--resume: {run}", again)
        for field in Header.__struct_fields__:
            was, now = getattr(before, field), getattr(head, field)
            if was != now:
                raise SuiteError(f"--resume: {_difference(field, was, now)}; {again}")
        if not log.exists():
            return {}, 0
        whole, end, _ = log.read_bytes().rpartition(b"\n")
        kept: dict[str, Result] = {}
        for number, line in enumerate(whole.split(b"\n") if end else [], 1):
            found = _decode(line, Result, f"--resume: {log}, line {number}", again)
            kept[found.case] = found
        return kept, len(whole) + len(end)

    def record(self, found: Result) -> None:
        """Append a verdict; one that changed takes the place of the earlier one."""
        assert self.results is not None
        try:
            if found.case in self.written:
                self._remove(found.case)
            self.last = found.case, self.results.seek(0, os.SEEK_END)
            self.written.add(found.case)
            self.results.write(msgspec.json.encode(found) + b"\n")
        except OSError as error:
            raise SuiteError(
                f"--report {self.folder}: {error.strerror}; what was obtained is in results.jsonl,"
                " and --resume goes on from there"
            ) from None

    def _remove(self, case: str) -> None:
        assert self.results is not None
        if self.last[0] == case:
            self.results.truncate(self.last[1])
            return
        path = self.folder / "results.jsonl"
        beside = path.with_suffix(".tmp")
        lines = path.read_bytes().splitlines(keepends=True)
        beside.write_bytes(
            b"".join(x for x in lines if msgspec.json.decode(x, type=Result).case != case)
        )
        self.results.close()
        beside.replace(path)
        self.results = path.open("ab", buffering=0)

    def keep_stderr(self, chunk: bytes) -> None:
        """Append what a backend wrote to standard error, as far as there is room."""
        with self.lock:
            if self.room <= 0 or self.stderr is None:
                return
            kept = chunk[: self.room]
            self.room -= len(chunk)
            try:
                self.stderr.write(kept)
                if self.room <= 0:
                    self.stderr.write(b"\n(nnspec keeps no more than this)\n")
            except OSError:
                # a full disk: the verdicts will tell, and the backend must not be held up
                self.room = 0

    def close(self) -> None:
        """Close the files."""
        with self.lock:
            for file in (self.stderr, self.results):
                if file is not None:
                    file.close()
            self.stderr = self.results = None


def _decode(raw: bytes, kind: type[Read], where: str, again: str) -> Read:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (ValueError, RecursionError) as error:
        why = one_line(str(error), 300)
        raise SuiteError(f"{where}: cannot be read: {why}; {again}") from None


def _difference(field: str, was: object, now: object) -> str:
    if field == "vectors":
        return "the folder holds a run over other vectors"
    option = f"--{field} " if field in ("only", "dtype", "profile") else f"{field} "

    def shown(value: object) -> str:
        return ", ".join(value) if isinstance(value, list) and value else str(value or "none")

    return f"the folder holds a run with {option}{shown(was)}, this one has {shown(now)}"
