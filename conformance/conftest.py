"""Cases and fixtures of `pytest --pyargs nnspec.conformance --backend NAME`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nnspec.conformance import suite as suites
from nnspec.conformance.process import BackendProcess, ProcessRefusedError
from nnspec.conformance.runner import worker_command


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --backend the suite alone runs, not the project's own tests beside it."""
    if config.getoption("--backend", None) and collection_path.name == "tests":
        return True
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each selected case."""
    if "vector" not in metafunc.fixturenames:
        return
    dtype = metafunc.config.getoption("--dtype", None)
    try:
        vectors = suites.select(
            suites.suite().vectors,
            metafunc.config.getoption("--only", []),
            suites.SHORT_DTYPES.get(dtype, dtype),
        )
    except suites.SuiteError as error:
        raise pytest.UsageError(str(error)) from None
    metafunc.parametrize("vector", vectors, ids=[v.id for v in vectors])


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Iterator[tuple[BackendProcess, Any]]:
    """The backend's process, kept for the whole session and started again if it dies."""
    name = request.config.getoption("--backend", None) or "reference"
    process = BackendProcess(worker_command(name))
    try:
        hello = process.start()
    except ProcessRefusedError as error:
        pytest.exit(str(error), returncode=2)
    yield process, hello
    process.close()
