"""The reference as a backend: all operations of the spec, in NumPy."""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from nnspec.spec.loader import spec

DTYPES = ("float32", "float64", "float16", "bfloat16")
UNSUPPORTED: dict[str, str] = {}

try:
    VERSION = f"nnspec {version('nnspec')}"
except PackageNotFoundError:  # a source tree that is not installed
    VERSION = "nnspec (not installed)"


def find(package: str, name: str) -> Callable[..., Any]:
    """The function `name` in the package's module for the topic that defines the operation.

    Raises AttributeError where the spec has no such operation or the package lacks it.
    """
    for operation in spec().operations.values():
        if operation.function == name:
            path = f"{package}.{operation.topic}"
            try:
                function: Callable[..., Any] = getattr(import_module(path), name)
            except ModuleNotFoundError as error:
                if error.name != path:
                    raise
                raise AttributeError(f"{package} has no module '{operation.topic}'") from None
            return function
    raise AttributeError(f"the spec has no operation '{name}'")


def __getattr__(name: str) -> Callable[..., Any]:
    function = find("nnspec.reference", name)
    try:
        # imported here: without the package of bfloat16 there are no such arrays either
        from nnspec.conformance.bfloat16 import in_bfloat16
    except ModuleNotFoundError:
        return function
    return in_bfloat16(function)
