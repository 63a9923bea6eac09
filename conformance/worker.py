"""A Python backend in a process of its own: `python -m nnspec.conformance.worker BACKEND`.

Speaks the protocol on its standard streams. Whatever the backend prints goes to standard error, so
that it cannot spoil a message.
"""

import inspect
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import IO, Any

import msgspec
import numpy as np

from nnspec.conformance.backends import BackendError, Unsupported, load
from nnspec.conformance.protocol import (
    PROTOCOL,
    Hello,
    OutputData,
    Reply,
    Request,
    output_data,
)
from nnspec.conformance.suite import as_outputs
from nnspec.reference.array import Array
from nnspec.spec.loader import Operation, spec


def greet(backend: Any, name: str) -> Hello:
    """What a backend says of itself; raises BackendError where it has no operation at all."""
    operations = [
        operation.name
        for operation in spec().operations.values()
        if callable(getattr(backend, operation.function, None))
    ]
    if not operations:
        raise BackendError(
            f"backend '{name}' has no operation of the spec; its functions must be named like"
            " 'gru_step' or 'gru_step_vjp' (see 'nnspec list operations')"
        )
    return Hello(
        hello="nnspec",
        protocol=PROTOCOL,
        backend=name,
        version=str(getattr(backend, "VERSION", getattr(backend, "__version__", ""))),
        operations=operations,
        dtypes=list(getattr(backend, "DTYPES", ("float32", "float64"))),
        unsupported=dict(getattr(backend, "UNSUPPORTED", {})),
    )


def call(backend: Any, operation: Operation, arguments: dict[str, Any]) -> dict[str, Array]:
    """Run one operation; raises Unsupported where its signature cannot take the arguments.

    Raises ValueError for a result that is no array, or an input that was changed.
    """
    function = getattr(backend, operation.function)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        signature = None
    if signature is not None:
        kinds = {parameter.kind for parameter in signature.parameters.values()}
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            for name in arguments:
                if name in signature.parameters:
                    continue
                if name in operation.inputs:
                    raise ValueError(f"{operation.function} has no parameter '{name}'")
                if name in operation.attributes and arguments[name] == _default(operation, name):
                    continue
                raise Unsupported(f"{operation.function} has no parameter '{name}'")
            arguments = {n: v for n, v in arguments.items() if n in signature.parameters}
    kept = {n: v.copy() for n, v in arguments.items() if isinstance(v, np.ndarray)}
    outputs = {}
    for name, value in as_outputs(operation, function(**arguments)).items():
        if name not in operation.outputs:
            continue
        outputs[name] = as_array(name, value)
    for name, value in kept.items():
        if not np.array_equal(arguments[name], value, equal_nan=value.dtype.kind == "f"):
            raise ValueError(f"{operation.function} changed its input '{name}' in place")
    return outputs


def _default(operation: Operation, name: str) -> Any:
    declared = operation.attributes[name]
    return declared[0] if isinstance(declared, list) else declared


def as_array(name: str, value: Any) -> Array:
    """A result as a NumPy array of numbers, through __array__ or DLPack."""
    if not hasattr(value, "__array__") and hasattr(value, "__dlpack__"):
        return np.from_dlpack(value)
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"output '{name}' is a {type(value).__name__}, not an array of numbers")
    return array


def answer(backend: Any, request: Request) -> Reply:
    """Run one request; whatever goes wrong inside the backend becomes the reply."""
    operation = spec().operations[request.operation]
    try:
        arguments = {name: data.array() for name, data in request.inputs.items()}
        outputs = call(backend, operation, {**arguments, **request.attributes})
    except (Unsupported, NotImplementedError) as reason:
        return Reply(id=request.id, unsupported=str(reason) or "not implemented")
    except Exception as error:
        return Reply(id=request.id, error=describe(error))
    data: dict[str, OutputData] = {name: output_data(value) for name, value in outputs.items()}
    return Reply(id=request.id, outputs=data)


def describe(error: BaseException) -> str:
    """An exception in one line, with the place in the backend that raised it."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__
    ]
    at = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:300]}{at}"


def serve(
    name: str,
    requests: IO[bytes],
    replies: IO[bytes],
    wrap: Callable[[Any], Any] = lambda backend: backend,
) -> int:
    """Greet, then answer until the requests end; `wrap` may put something before the backend."""

    def send(message: Hello | Reply) -> None:
        replies.write(msgspec.json.encode(message) + b"\n")
        replies.flush()

    try:
        backend = wrap(load(name))
        send(greet(backend, name))
    except BackendError as error:
        send(Hello(hello="nnspec", protocol=PROTOCOL, backend=name, refused=str(error)))
        return 2
    for line in requests:
        send(answer(backend, msgspec.json.decode(line, type=Request)))
    return 0


def main(wrap: Callable[[Any], Any] = lambda backend: backend) -> int:
    """Serve the backend named on the command line, which may be a module of this folder."""
    sys.path.append(os.getcwd())
    warnings.simplefilter("ignore")
    # the messages keep the real standard output; everything else that prints goes to stderr
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return serve(sys.argv[1], sys.stdin.buffer, replies, wrap)


if __name__ == "__main__":
    sys.exit(main())
