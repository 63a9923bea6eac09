"""The suite as tests: one for each case, against the backend that --backend names."""

from typing import Any

import pytest

from nnspec.conformance.process import BackendProcess
from nnspec.conformance.runner import ask
from nnspec.conformance.suite import Vector


def test_case(vector: Vector, backend: tuple[BackendProcess, Any]) -> None:
    """Passes, fails with the worst element and the note, or is skipped as unsupported."""
    process, hello = backend
    found, _ = ask(process, hello, vector)
    if found.verdict == "unsupported":
        pytest.skip(f"unsupported: {found.reason}")
    assert found.verdict == "pass", (
        f"{found.verdict}: {found.reason}\n{', '.join(found.clauses)};"
        f" the case is there to catch: {vector.case.note}"
    )
