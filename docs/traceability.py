"""From each computable sentence of the deck to its clause, function, vectors and kernel.

`python -m nnspec.docs.traceability` prints the page `docs/traceability.md`.
"""

import importlib
import tomllib
from pathlib import Path

import msgspec

from nnspec.conformance.suite import suite
from nnspec.spec.loader import spec

HEAD = """# Traceability

One row for each clause that a sentence or formula of the deck stands behind. The sentences are
listed in `traceability.toml`; this page is written by `python -m nnspec.docs.traceability`, and a
test fails where it is stale or a cell would be empty.

| slide | the deck says | clause | reference function | vectors | kernel |
|---|---|---|---|---|---|
"""


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sentence or formula of the deck and the clauses that state it."""

    slide: str
    text: str
    clauses: list[str]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All rows, in the order of the deck."""

    row: list[Row]


def rows() -> list[Row]:
    """The rows of `traceability.toml`."""
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Table).row


def cells(row: Row, clause_id: str) -> list[str]:
    """Slide, text, clause, function, number of vectors, kernel; empty where there is none."""
    clause = spec().clauses.get(clause_id)
    if clause is None:
        return [row.slide, row.text, "", "", "", ""]
    operation = spec().operations[clause.operation]
    accel = importlib.import_module(f"nnspec.accel.{operation.topic}")
    count = sum(clause_id in vector.case.clauses for vector in suite().vectors)
    kernel = f"accel/{operation.topic}.py: {operation.function}"
    return [
        row.slide,
        row.text.replace("|", "\\|"),
        f"[{clause.id}](../spec/{clause.topic}.md)",
        f"reference/{clause.topic}.py: {clause.function}",
        str(count or ""),
        kernel if hasattr(accel, operation.function) else "",
    ]


def page() -> str:
    """The whole page as Markdown; slide and sentence stand in the first row of a group only."""
    lines = []
    slide = text = ""
    for row in rows():
        for clause in row.clauses:
            found = cells(row, clause)
            shown = [
                "" if found[0] == slide else found[0],
                "" if (found[0], found[1]) == (slide, text) else found[1],
            ]
            slide, text = found[0], found[1]
            lines.append(f"| {' | '.join([*shown, *found[2:]])} |")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
