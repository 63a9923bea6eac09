"""The options of `pytest --pyargs nnspec.conformance`, an entry point that pytest loads.

pytest does not look for the conftest of a `--pyargs` package before it parses the command line. The
options are added only where the suite is asked for, so that no other project's are in the way.
"""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(parser: pytest.Parser, args: list[str]) -> None:
    """Add --backend, --only and --dtype where the arguments name the conformance suite."""
    if not any("nnspec.conformance" in word or "test_conformance" in word for word in args):
        return
    group = parser.getgroup("nnspec")
    group.addoption("--backend", default=None, help="the backend to validate")
    group.addoption("--only", action="append", default=[], help="a topic, clause or operation")
    group.addoption("--dtype", default=None, choices=["f32", "f64", "float32", "float64"])
