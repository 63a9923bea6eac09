"""onnxruntime: its operators with weights that are constants of the graph; it has no gradients.

Inputs are bound to the session once, and the weights packed when it is made.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from nnspec.conformance.backends.conventions import FORMS, pack
from nnspec.conformance.bench.contenders import Ready, Ways
from nnspec.conformance.bench.grid import Point
from nnspec.reference.array import Array

OPERATORS = {
    "rnn_sequence": ("RNN", "onnx.RNN"),
    "gru_sequence": ("GRU", "onnx.GRU"),
    "gru_reset_after_sequence": ("GRU", "onnx.GRU reset after"),
    "lstm_sequence": ("LSTM", "onnx.LSTM"),
}
# the first opset with Attention, and the last version of the format before it that is everywhere
OPSET, IR_VERSION = 23, 11

_options = onnxruntime.SessionOptions()


def start(threads: int) -> str:
    """Set the threads of one operator; operators run one after the other."""
    _options.intra_op_num_threads = threads
    _options.inter_op_num_threads = 1
    _options.log_severity_level = 4
    return f"onnxruntime {onnxruntime.__version__}"


def ways(name: str, point: Point, inputs: dict[str, Array]) -> Ways:
    """The operator of the layer; for attention both of its operators."""
    if point.backward:
        return
    if point.family == "recurrent":
        yield "", lambda: _recurrent(point, inputs)
    elif point.family == "attention":
        yield "Attention", lambda: _attention(point, inputs)
        yield "MultiHeadAttention", lambda: _multi_head_attention(point, inputs)
    else:
        node = helper.make_node("Gemm", ["x", "W", "b"], ["y"], transB=1)
        constants = {"W": inputs["W"], "b": inputs["b"]}
        yield "", lambda: _ready(node, {"x": inputs["x"]}, constants, ("y",), point.named)


def _ready(
    node: Any,
    feeds: dict[str, Array],
    constants: dict[str, Array],
    results: Sequence[str],
    named: Any,
) -> Ready:
    graph = helper.make_graph(
        [node],
        "point",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape) for n, a in feeds.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in results],
        [numpy_helper.from_array(np.ascontiguousarray(a), n) for n, a in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), _options, providers=["CPUExecutionProvider"]
    )
    binding = session.io_binding()
    for n, array in feeds.items():
        binding.bind_ortvalue_input(n, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    for n in results:
        binding.bind_output(n)

    def outputs(_: Any) -> dict[str, Array]:
        found: dict[str, Array] = named(tuple(binding.copy_outputs_to_cpu()))
        return found

    return Ready(lambda: session.run_with_iobinding(binding), outputs)


def _recurrent(point: Point, inputs: dict[str, Array]) -> Ready:
    operator, form = OPERATORS[point.operation]
    H = point.numbers["H"]
    weights = {k: a for k, a in inputs.items() if k[0] in "UWb"}
    packed = pack(FORMS[form], weights, np.zeros(H, np.float32))
    states = {k: inputs[k][None] for k in point.declared.states}
    results = list(point.declared.outputs)
    node = helper.make_node(
        operator,
        ["X", "W", "R", "B", "", *states],
        results,
        hidden_size=H,
        **FORMS[form].attributes,
    )

    def named(arrays: tuple[Array, ...]) -> dict[str, Array]:
        # the axis of directions: the second of all states, the first of the last one
        first, *last = arrays
        return point.named((first[:, 0], *(a[0] for a in last)))

    return _ready(node, {"X": inputs["X"], **states}, packed, results, named)


def _attention(point: Point, inputs: dict[str, Array]) -> Ready:
    if onnx.defs.onnx_opset_version() < OPSET:
        raise NotImplementedError(f"onnx {onnx.__version__} has no operator Attention")
    node = helper.make_node("Attention", ["q", "k", "v"], ["y"], is_causal=int(point.causal))
    return _ready(node, inputs, {}, ("y",), point.named)


def _multi_head_attention(point: Point, inputs: dict[str, Array]) -> Ready:
    """com.microsoft's, whose heads lie side by side in one row: (B, L, heads K)."""
    n = point.numbers
    node = helper.make_node(
        "MultiHeadAttention",
        ["q", "k", "v"],
        ["y"],
        domain="com.microsoft",
        num_heads=n["N"],
        unidirectional=int(point.causal),
    )
    rows = (n["B"], n["L"], n["N"] * n["K"])
    feeds = {k: np.ascontiguousarray(a.swapaxes(1, 2)).reshape(rows) for k, a in inputs.items()}

    def named(arrays: tuple[Array, ...]) -> dict[str, Array]:
        y = arrays[0].reshape(n["B"], n["L"], n["N"], n["K"])
        return point.named(y.swapaxes(1, 2))

    return _ready(node, feeds, {}, ("y",), named)
