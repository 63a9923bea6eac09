"""The conformance suite: `run("onnxruntime")` or `run(my_module)`, a verdict for every case."""

from typing import Any


def __getattr__(name: str) -> Any:
    # imported on first use: a worker must start fast, and conftest imports this package too
    if name == "run":
        from nnspec.conformance.runner import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
