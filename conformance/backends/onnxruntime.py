"""onnxruntime on the CPU: each operation that ONNX expresses, as its model of `onnx_models`."""

import functools
import re
from collections.abc import Callable
from typing import Any

import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel

from nnspec.conformance.backends import Unsupported
from nnspec.conformance.onnx_models import FORWARD_ONLY, OPERATIONS, Model, model_of
from nnspec.conformance.onnx_models import UNSUPPORTED as INEXPRESSIBLE
from nnspec.reference.array import Array

INSTALL = "pip install 'nnspec[onnxruntime]'"
VERSION = f"onnxruntime {onnxruntime.__version__}"
DTYPES = ("float32", "float64", "float16")
_INFERENCE = "onnxruntime runs inference only; its training package is another."
UNSUPPORTED = {
    key: _INFERENCE if reason == FORWARD_ONLY else reason for key, reason in INEXPRESSIBLE.items()
}

# what it says of a kernel that it lacks
NO_KERNEL = re.compile(
    r"Could not find an implementation for \S+|\w+ operator does not support .*"
    r"|ONNX Runtime only \*guarantees\* support .*"
)


@functools.lru_cache(maxsize=1024)
def _session(model: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(model: Model) -> list[Array]:
    """The outputs of a model in its order; raises Unsupported where a kernel is not there."""
    try:
        session = _session(model.proto.SerializeToString(deterministic=True))
        results: list[Array] = session.run(None, model.feeds)
    except (NoKernel, RuntimeException, Fail) as error:
        # "Could not find an implementation for RNN(7) node with name ''" where a session is made;
        # the GRU is refused when it runs: "GRU operator does not support double yet"
        reason = NO_KERNEL.search(str(error))
        if reason is None:
            raise
        dtypes = [array.dtype.name for array in model.feeds.values() if array.dtype.kind == "f"]
        where = f"onnxruntime in {dtypes[0] if dtypes else 'int64'}"
        raise Unsupported(f"{where}: {reason[0].rstrip('.')}.") from None
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
