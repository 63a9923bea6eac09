"""Who takes part: each contender is a module that offers its ways to compute a point.

A module has `start(threads)`, called once in the contender's process before anything else, which
sets its threads and returns its version; and `ways(point, inputs)`, which yields the ways worth
trying: a word that tells them apart, and a function that makes a `Ready`. The fastest is timed.
"""

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from nnspec.reference.array import Array


class Ready(NamedTuple):
    """A computation whose inputs are in place."""

    call: Callable[[], Any]  # computes, and returns when the results are there
    outputs: Callable[[Any], dict[str, Array]]  # what `call` returned, by the spec's names


Ways = Iterator[tuple[str, Callable[[], Ready]]]

# a second form of a contender, accel with weights that stay packed say, is one more line
OWN = {
    "accel": "nnspec.conformance.bench.own",
    "reference": "nnspec.conformance.bench.own",
}
PEERS = {
    "torch": "nnspec.conformance.bench.torch",
    "onnxruntime": "nnspec.conformance.bench.onnxruntime",
    "jax": "nnspec.conformance.bench.jax",
}
MODULES = OWN | PEERS

# what a peer imports
PACKAGES = {"torch": ("torch",), "onnxruntime": ("onnxruntime", "onnx"), "jax": ("jax",)}


def missing(peer: str) -> str:
    """Why this peer cannot take part and what to do about it; empty where it can."""
    absent = [name for name in PACKAGES[peer] if importlib.util.find_spec(name) is None]
    if not absent:
        return ""
    return (
        f"{peer} needs the package '{absent[0]}', which is not installed; install it with:"
        f" pip install 'nnspec[{peer}]'"
    )


def module_of(name: str) -> Any:
    """The contender's module; a name that is none of these is a module's own."""
    return importlib.import_module(MODULES.get(name, name))
