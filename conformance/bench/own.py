"""Contenders of this package: the functions of accel and reference as a user calls them."""

import functools
import importlib
import importlib.metadata
import inspect

import numpy as np

from nnspec.conformance.bench.contenders import Ready, Ways
from nnspec.conformance.bench.grid import Point
from nnspec.reference.array import Array


def start(threads: int) -> str:
    """Set the threads of accel; the reference has those of NumPy's BLAS."""
    importlib.import_module("nnspec.accel.threads").limit(threads)
    return f"numpy {np.__version__}, numba {importlib.metadata.version('numba')}"


def ways(name: str, point: Point, inputs: dict[str, Array]) -> Ways:
    """The public function itself, NumPy arrays in and out; for accel also with packed weights.

    The peers' layers hold their weights as well: `torch.nn.LSTM`, an onnxruntime session.
    """
    public = point.function(name)
    function = functools.partial(public, **inputs, **point.attributes)
    yield "called with the weights", lambda: Ready(function, point.named)
    prepare = getattr(inspect.getmodule(public), f"{public.__name__}_of", None)
    if prepare is not None:
        held = [n for n in inspect.signature(prepare).parameters if n in inputs]
        weights = {n: inputs[n] for n in held} | point.attributes
        others = {n: array for n, array in inputs.items() if n not in held}
        yield (
            "weights packed once",
            lambda: Ready(functools.partial(prepare(**weights), **others), point.named),
        )


def truth(point: Point) -> dict[str, Array]:
    """What the reference gives in float64."""
    inputs = {name: array.astype(np.float64) for name, array in point.inputs().items()}
    return point.named(point.function("reference")(**inputs, **point.attributes))
