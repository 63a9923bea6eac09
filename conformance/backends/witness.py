"""The witness's scalar loops in the case's own dtype: a naive implementation, for calibration.

Sums run from the first term to the last, and formulas stand as they are in the textbook. Forward
operations only.
"""

import importlib
from typing import Any

import numpy as np

from nnspec.conformance.backends.reference import VERSION  # noqa: F401 (the same package)
from nnspec.conformance.suite import as_outputs, flat
from nnspec.reference.array import Array
from nnspec.spec.loader import Operation, spec

UNSUPPORTED = {"vjp": "the witness has forward operations only"}


def __getattr__(name: str) -> Any:
    operation = spec().operations.get(name)
    if operation is None or operation.name != operation.base:
        raise AttributeError(name)
    return _called(operation)


def _called(operation: Operation) -> Any:
    naive = importlib.import_module(f"nnspec.conformance.witness.{operation.topic}")
    plain = importlib.import_module(f"nnspec.reference.{operation.topic}")

    def call(**arguments: Any) -> dict[str, Array]:
        # nested lists have no shape where they are empty, and no dtype; the reference's have
        with np.errstate(all="ignore"):
            like = as_outputs(operation, getattr(plain, operation.function)(**arguments))
            found = as_outputs(operation, getattr(naive, operation.function)(**arguments))
        return {
            name: np.array(flat(found[name]), dtype=np.asarray(value).dtype).reshape(
                np.shape(value)
            )
            for name, value in like.items()
        }

    return call
