"""What `fuzz` and `properties` test: a Python backend, or a program that speaks the protocol."""

import atexit
from typing import Any

import msgspec
import numpy as np

from nnspec.conformance.process import BackendProcess
from nnspec.conformance.protocol import Request
from nnspec.conformance.runner import command_of
from nnspec.conformance.suite import encode
from nnspec.reference.array import Array
from nnspec.spec.loader import Operation, spec

CALL_SECONDS = 120.0


class Subject(msgspec.Struct, frozen=True):
    """What is tested, as plain data: a Python backend's name, or a program's command."""

    backend: str | None
    program: str | None = None

    def command(self) -> list[str]:
        """The command that serves it here; raises ProcessRefusedError."""
        return command_of(self.backend, self.program)

    def source(self) -> tuple[str, str]:
        """The import that a Python program needs to call it, and the expression that makes it."""
        if self.program is None:
            return "from nnspec.conformance.backends import load", f"load({self.backend!r})"
        return "from nnspec.conformance.program import Program", f"Program({self.program!r})"


class Program:
    """A program as a Python backend: its operations are methods of the reference's names.

    Raises ProcessRefusedError where it does not come up, BackendGoneError where it dies or is
    silent, ValueError for what it answers other than outputs.
    """

    def __init__(self, command: str):
        self._process = BackendProcess(command_of(None, command))
        self._hello = self._process.start(CALL_SECONDS)
        atexit.register(self._process.close)

    def __getattr__(self, name: str) -> Any:
        for operation in spec().operations.values():
            if operation.function == name and operation.name in self._hello.operations:
                return self._method(operation)
        raise AttributeError(f"the program has no operation of the function '{name}'")

    def _method(self, operation: Operation) -> Any:
        def method(**arguments: Any) -> dict[str, Array]:
            data = {n: encode(v) for n, v in arguments.items() if isinstance(v, np.ndarray)}
            attributes = {n: v for n, v in arguments.items() if n in operation.attributes}
            reply = self._process.ask(
                Request(operation.name, operation.name, attributes, data), CALL_SECONDS
            )
            if reply.outputs is None:
                raise ValueError(f"the program answers: {reply.error or reply.unsupported}")
            return {n: output.array() for n, output in reply.outputs.items()}

        return method
