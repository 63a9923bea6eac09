"""ONNX's evaluator in NumPy: each operation that ONNX expresses, as its model of `onnx_models`."""

import functools
from collections.abc import Callable
from typing import Any

import onnx
from onnx.reference import ReferenceEvaluator

from nnspec.conformance.backends import Unsupported
from nnspec.conformance.onnx_models import OPERATIONS, UNSUPPORTED, Model, model_of
from nnspec.reference.array import Array

__all__ = ["DTYPES", "INSTALL", "UNSUPPORTED", "VERSION"]

INSTALL = "pip install 'nnspec[onnx]'"
VERSION = f"onnx {onnx.__version__}"
DTYPES = ("float32", "float64", "float16", "bfloat16")


def run(model: Model) -> list[Array]:
    """The outputs of a model in its order; raises Unsupported for an activation it lacks."""
    try:
        results: list[Array] = ReferenceEvaluator(model.proto).run(None, model.feeds)
    except RuntimeError as error:
        # "Unknown activation function 'Relu'." of RNN, which has tanh and affine alone
        if "Unknown activation function" not in str(error):
            raise
        raise Unsupported(f"onnx's evaluator: {error}") from None
    return results


def _answering(operation: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(operation)
    def answer(**arguments: Any) -> Any:
        results = run(model_of(operation.__name__, arguments))
        return results[0] if len(results) == 1 else tuple(results)

    return answer


def __getattr__(name: str) -> Any:
    if name not in OPERATIONS:
        raise AttributeError(name)
    return _answering(OPERATIONS[name])
