"""A backend in a process of its own whose arrays are not contiguous.

`python -m nnspec.conformance.layouts BACKEND` is the worker, except that each input array is a
view into a larger one: every other element of the last axis, back to front.
"""

import functools
import sys
from typing import Any

import numpy as np

from nnspec.conformance import worker
from nnspec.reference.array import Array


def strided(value: Any) -> Any:
    """The same array as a view with strides of its own; anything else as it is."""
    if not isinstance(value, np.ndarray) or value.ndim == 0:
        return value
    # filled with ones: a backend that reads on beyond the strides gets wrong numbers, not zeros
    room: Array = np.ones((*value.shape[:-1], 2 * value.shape[-1]), dtype=value.dtype)
    view = room[..., ::-2]
    view[...] = value
    return view


class Strided:
    """A backend whose functions get strided arrays."""

    def __init__(self, backend: Any):
        self.backend = backend

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.backend, name)
        if not callable(found):
            return found

        @functools.wraps(found)
        def call(**arguments: Any) -> Any:
            return found(**{n: strided(value) for n, value in arguments.items()})

        return call


def command(backend: str) -> list[str]:
    """The command that serves a Python backend in this way."""
    return [sys.executable, "-m", "nnspec.conformance.layouts", backend]


if __name__ == "__main__":
    sys.exit(worker.main(wrap=Strided))
