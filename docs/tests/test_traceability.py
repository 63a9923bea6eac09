"""Every computable sentence of the deck has a clause, a function, vectors and a kernel."""

from pathlib import Path

import pytest

from nnspec.docs.traceability import Row, cells, page, rows
from nnspec.spec.loader import spec

CELLS = [(row, clause) for row in rows() for clause in row.clauses]


@pytest.mark.parametrize(("row", "clause"), CELLS, ids=lambda v: v if isinstance(v, str) else "")
def test_no_cell_is_empty(row: Row, clause: str) -> None:
    assert all(cells(row, clause)), cells(row, clause)


def test_no_row_is_empty_and_no_topic_is_without_a_row() -> None:
    assert all(row.clauses for row in rows())
    assert {clause.split(".")[0] for row in rows() for clause in row.clauses} == set(spec().topics)


def test_the_page_is_up_to_date() -> None:
    stored = Path(__file__).parents[1] / "traceability.md"
    assert stored.read_text(encoding="utf-8") == page()
