"""A Python backend in a process of its own: `python -m nnspec.conformance.worker BACKEND`.

`--device NAME` before BACKEND makes it compute there.

Speaks the protocol on its standard streams. Whatever the backend prints goes to standard error, so
that it cannot spoil a message.
"""

import inspect
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from typing import IO, Any

import msgspec
import numpy as np

from nnspec.conformance.backends import BackendError, Unsupported, load
from nnspec.conformance.devices import choose
from nnspec.conformance.protocol import (
    ECHO,
    PROTOCOL,
    Hello,
    OutputData,
    Reply,
    Request,
    output_data,
)
from nnspec.conformance.suite import WIDE_DTYPES, ArrayData, as_outputs
from nnspec.reference.array import Array
from nnspec.spec.loader import Operation, spec


def greet(backend: Any, name: str) -> Hello:
    """What a backend says of itself.

    Raises BackendError where it has no operation and no UNSUPPORTED to tell that it is meant as a
    backend all the same.
    """
    operations = [
        operation.name
        for operation in spec().operations.values()
        if callable(getattr(backend, operation.function, None))
    ]
    if not operations and not hasattr(backend, "UNSUPPORTED"):
        raise BackendError(
            f"backend '{name}' has no operation of the spec; its functions must be named like"
            " 'gru_step' or 'gru_step_vjp' (see 'nnspec list operations'), and where there is none"
            " yet UNSUPPORTED = {} says that it is a backend"
        )
    return Hello(
        hello="nnspec",
        protocol=PROTOCOL,
        backend=name,
        version=str(getattr(backend, "VERSION", getattr(backend, "__version__", ""))),
        operations=operations,
        dtypes=list(getattr(backend, "DTYPES", WIDE_DTYPES)),
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
        if not np.array_equal(arguments[name], value, equal_nan=value.dtype.kind in "fV"):
            raise ValueError(f"{operation.function} changed its input '{name}' in place")
    return outputs


def _default(operation: Operation, name: str) -> Any:
    declared = operation.attributes[name]
    return declared[0] if isinstance(declared, list) else declared


def taken(data: ArrayData) -> Array:
    """An input as a Python backend takes it; raises Unsupported where NumPy lacks its dtype."""
    if data.dtype != "bfloat16":
        return data.array()
    try:
        # imported here: no other case needs it
        from nnspec.conformance.bfloat16 import native
    except ModuleNotFoundError as error:
        raise Unsupported(
            f"bfloat16 needs the package '{error.name}', which is not installed; install it with:"
            " pip install 'nnspec[bfloat16]'"
        ) from None
    return native(data.array())


def as_array(name: str, value: Any) -> Array:
    """A result as a NumPy array of numbers, through __array__ or DLPack."""
    if not hasattr(value, "__array__") and hasattr(value, "__dlpack__"):
        return np.from_dlpack(value)
    array = np.asarray(value)
    # ml_dtypes' kind is "V", that of raw bytes
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise ValueError(f"output '{name}' is a {type(value).__name__}, not an array of numbers")
    return array


def answer(backend: Any, request: Request) -> Reply:
    """Run one request; whatever goes wrong inside the backend becomes the reply."""
    if request.operation == ECHO:
        return echo(request)
    operation = spec().operations[request.operation]
    try:
        arguments = {name: taken(data) for name, data in request.inputs.items()}
        outputs = call(backend, operation, {**arguments, **request.attributes})
    except (Unsupported, NotImplementedError) as reason:
        return Reply(id=request.id, unsupported=str(reason) or "not implemented")
    except Exception as error:
        return Reply(id=request.id, error=describe(error))
    data: dict[str, OutputData] = {name: output_data(value) for name, value in outputs.items()}
    return Reply(id=request.id, outputs=data)


def echo(request: Request) -> Reply:
    """The inputs as they came, through the same arrays that a backend gets and gives."""
    outputs = {
        # nnspec holds bfloat16 as float32
        name: msgspec.structs.replace(output_data(data.array()), dtype=data.dtype)
        for name, data in request.inputs.items()
    }
    return Reply(id=request.id, outputs=outputs)


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
    device: str | None = None,
) -> int:
    """Greet, then answer until the requests end; `wrap` may put something before the backend."""

    def send(message: Hello | Reply) -> None:
        replies.write(msgspec.json.encode(message) + b"\n")
        replies.flush()

    try:
        plain = load(name)
        if device is not None:
            choose(plain, name, device)
        backend = wrap(plain)
        hello = greet(backend, name)
        on = f" on {device}" if device is not None else ""
        send(msgspec.structs.replace(hello, version=hello.version + on))
    except BackendError as error:
        send(Hello(hello="nnspec", protocol=PROTOCOL, backend=name, refused=str(error)))
        return 2
    for line in requests:
        send(answer(backend, msgspec.json.decode(line, type=Request)))
    return 0


def end_with_parent() -> None:
    """End this process when the one that started it is gone, even in the midst of a case."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(wrap: Callable[[Any], Any] = lambda backend: backend) -> int:
    """Serve the backend named on the command line, which may be a module of this folder."""
    end_with_parent()
    sys.path.append(os.getcwd())
    warnings.simplefilter("ignore")
    # the messages keep the real standard output; everything else that prints goes to stderr
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    *options, name = sys.argv[1:]
    device = options[1] if options else None
    return serve(name, sys.stdin.buffer, replies, wrap, device)


if __name__ == "__main__":
    sys.exit(main())
