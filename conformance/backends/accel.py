"""nnspec.accel as a backend: all operations of the spec, as Numba kernels."""

from collections.abc import Callable
from typing import Any

from nnspec.conformance.backends.reference import VERSION, find

__all__ = ["DTYPES", "UNSUPPORTED", "VERSION"]

DTYPES = ("float32", "float64")
UNSUPPORTED: dict[str, str] = {}


def __getattr__(name: str) -> Callable[..., Any]:
    return find("nnspec.accel", name)
