"""onnxruntime on the CPU: each operation as a graph of the ONNX operators that answer for it.

A graph is a list of nodes: `node("Gemm", "x W b", "y", transB=1)`. An input name that is neither
fed nor made by another node is an absent optional input. Nothing is special-cased: what an operator
does with an empty batch or with a length of 0 is the result.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

from nnspec.conformance.backends import Unsupported
from nnspec.conformance.backends.conventions import FORMS, pack
from nnspec.reference.array import Array

INSTALL = "pip install 'nnspec[onnxruntime]'"
VERSION = f"onnxruntime {onnxruntime.__version__}"
DTYPES = ("float32", "float64")

# the newest that onnxruntime 1.20, the oldest that we take, reads
OPSET, IR_VERSION = 21, 10
ACTIVATIONS = {"tanh": "Tanh", "sigmoid": "Sigmoid", "relu": "Relu", "identity": "Identity"}

# what it says of a kernel that it lacks
NO_KERNEL = re.compile(r"Could not find an implementation for \S+|\w+ operator does not support .*")


class Node(NamedTuple):
    """One operator of a graph, its inputs and outputs by name."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[tuple[str, Any], ...]


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> Node:
    """A node whose inputs and outputs are names with spaces between them."""
    return Node(operator, tuple(inputs.split()), tuple(outputs.split()), tuple(attributes.items()))


@functools.lru_cache(maxsize=1024)
def _session(
    nodes: tuple[Node, ...], inputs: tuple[tuple[str, str, int], ...], outputs: tuple[str, ...]
) -> Any:
    """A session for a graph; inputs are (name, dtype, rank)."""
    known = {name for name, _, _ in inputs} | {name for n in nodes for name in n.outputs}
    floating = helper.np_dtype_to_tensor_dtype(
        np.dtype(next(dtype for _, dtype, _ in inputs if dtype.startswith("float")))
    )
    graph = helper.make_graph(
        [
            helper.make_node(
                n.operator,
                [name if name in known else "" for name in n.inputs],
                n.outputs,
                **dict(n.attributes),
            )
            for n in nodes
        ],
        "nnspec",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), [None] * rank
            )
            for name, dtype, rank in inputs
        ],
        [helper.make_tensor_value_info(name, floating, None) for name in outputs],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _run(nodes: Sequence[Node], outputs: str, **feeds: Array | None) -> list[Array]:
    """The named outputs of a graph; feeds that are None are left out."""
    used = {name for n in nodes for name in n.inputs}
    given = {
        name: np.array(array, order="C")
        for name, array in feeds.items()
        if array is not None and name in used
    }
    inputs = tuple((name, array.dtype.name, array.ndim) for name, array in given.items())
    try:
        session = _session(tuple(nodes), inputs, tuple(outputs.split()))
        results: list[Array] = session.run(outputs.split(), given)
    except (NoKernel, RuntimeException) as error:
        # "Could not find an implementation for RNN(14) node with name ''" where a session is made;
        # the GRU is refused when it runs: "GRU operator does not support double yet"
        reason = NO_KERNEL.search(str(error))
        if reason is None:
            raise
        dtype = next(dtype for _, dtype, _ in inputs if dtype.startswith("float"))
        raise Unsupported(f"onnxruntime in {dtype}: {reason[0].rstrip('.')}.") from None
    return results


# primitives


def sigmoid(x: Array) -> Array:
    """Sigmoid."""
    return _run([node("Sigmoid", "x", "y")], "y", x=x)[0]


def tanh(x: Array) -> Array:
    """Tanh."""
    return _run([node("Tanh", "x", "y")], "y", x=x)[0]


def softplus(x: Array) -> Array:
    """Softplus."""
    return _run([node("Softplus", "x", "y")], "y", x=x)[0]


def relu(x: Array) -> Array:
    """Relu."""
    return _run([node("Relu", "x", "y")], "y", x=x)[0]


def softmax(x: Array, axis: int = -1) -> Array:
    """Softmax."""
    return _run([node("Softmax", "x", "y", axis=axis)], "y", x=x)[0]


def _dense(x: str, W: str, b: str, y: str, activation: str = "identity") -> list[Node]:
    """Gemm and an activation: y = activation(x Wᵀ + b)."""
    return [
        node("Gemm", f"{x} {W} {b}", f"{y}.sum", transB=1),
        node(ACTIVATIONS[activation], f"{y}.sum", y),
    ]


def affine(x: Array, W: Array, b: Array | None = None) -> Array:
    """Gemm."""
    return _run([node("Gemm", "x W b", "y", transB=1)], "y", x=x, W=W, b=b)[0]


def mlp(
    x: Array,
    W_1: Array,
    W_2: Array,
    W_3: Array | None = None,
    b_1: Array | None = None,
    b_2: Array | None = None,
    b_3: Array | None = None,
    activation: str = "tanh",
    output_activation: str = "identity",
) -> Array:
    """Gemm and an activation, two or three times."""
    nodes = _dense("x", "W_1", "b_1", "y_1", activation)
    if W_3 is None:
        nodes += _dense("y_1", "W_2", "b_2", "y", output_activation)
    else:
        nodes += _dense("y_1", "W_2", "b_2", "y_2", activation)
        nodes += _dense("y_2", "W_3", "b_3", "y", output_activation)
    return _run(nodes, "y", x=x, W_1=W_1, W_2=W_2, W_3=W_3, b_1=b_1, b_2=b_2, b_3=b_3)[0]


# recurrent operators


def _packed(form: str, weights: Mapping[str, Array | None], prefix: str = "") -> dict[str, Array]:
    """The feeds W, R and B of an ONNX operator, from the deck's weights."""
    given = {name: array for name, array in weights.items() if array is not None}
    zeros = np.zeros(len(given["W"]), dtype=given["W"].dtype)
    arrays: dict[str, Array] = pack(FORMS[form], given, zeros)
    return {f"{prefix}{name}": array for name, array in arrays.items()}


def _int32(lengths: Array | None) -> Array | None:
    return None if lengths is None else lengths.astype(np.int32)


def _leading(state: Array | None) -> Array | None:
    """(B, H) as (1, B, H), for the axis of directions."""
    return None if state is None else state[np.newaxis]


def _rnn(
    X: str, initial: str, hidden: int, activation: str, prefix: str = "", lengths: str = ""
) -> list[Node]:
    """An RNN node; its outputs are `states` (T, 1, B, H) and `final` (1, B, H), with the prefix."""
    arrays = f"{prefix}W {prefix}R {prefix}B"
    return [
        node(
            "RNN",
            # an input that nobody feeds is an absent one
            f"{X} {arrays} {lengths or 'no_lengths'} {initial}",
            f"{prefix}states {prefix}final",
            activations=(ACTIVATIONS[activation],),
            hidden_size=hidden,
        )
    ]


def _squeeze(x: str, y: str, axis: int) -> list[Node]:
    """Y without an axis of length 1."""
    return [
        node("Constant", "", f"{y}.axis", value_ints=(axis,)),
        node("Squeeze", f"{x} {y}.axis", y),
    ]


def _outputs(S: str, O: str, biased: bool) -> list[Node]:
    """O = tanh(S Vᵀ + c) for S (T, B, H)."""
    nodes = [node("Transpose", "V", "V.columns"), node("MatMul", f"{S} V.columns", "sum")]
    if biased:
        return [*nodes, node("Add", "sum c", "biased"), node("Tanh", "biased", O)]
    return [*nodes, node("Tanh", "sum", O)]


def _valid(x: str, y: str) -> list[Node]:
    """Y is x (T, B, O), and 0 beyond the lengths."""
    return [
        node("Shape", x, "T", start=0, end=1),
        node("Squeeze", "T", "steps"),
        node("Constant", "", "first", value_int=0),
        node("Constant", "", "by", value_int=1),
        node("Range", "first steps by", "times"),
        node("Constant", "", "time_axes", value_ints=(1, 2)),
        node("Unsqueeze", "times time_axes", "t"),
        node("Cast", "lengths", "ends", to=int(TensorProto.INT64)),
        node("Constant", "", "batch_axes", value_ints=(0, 2)),
        node("Unsqueeze", "ends batch_axes", "end"),
        node("Less", "t end", "valid"),
        node("Constant", "", "zero", value_float=0.0),
        node("CastLike", f"zero {x}", "nothing"),
        node("Where", f"valid {x} nothing", y),
    ]


def rnn_step(
    x: Array, S_prev: Array, U: Array, W: Array, b: Array | None = None, activation: str = "tanh"
) -> Array:
    """RNN over one step."""
    return rnn_unrolled(x[np.newaxis], U, W, S_0=S_prev, b=b, activation=activation)


def rnn_output(S: Array, V: Array, c: Array | None = None, activation: str = "tanh") -> Array:
    """Gemm and an activation."""
    return _run(_dense("S", "V", "c", "O", activation), "O", S=S, V=V, c=c)[0]


def rnn_deep_output(
    S: Array,
    V: Array,
    W_1: Array,
    W_2: Array,
    c: Array | None = None,
    b_1: Array | None = None,
    b_2: Array | None = None,
    activation: str = "tanh",
) -> Array:
    """Gemm and Tanh, Gemm and an activation, Gemm."""
    nodes = [
        *_dense("S", "V", "c", "O", "tanh"),
        *_dense("O", "W_1", "b_1", "hidden", activation),
        *_dense("hidden", "W_2", "b_2", "y"),
    ]
    return _run(nodes, "y", S=S, V=V, W_1=W_1, W_2=W_2, c=c, b_1=b_1, b_2=b_2)[0]


def rnn_sequence(
    X: Array,
    U: Array,
    W: Array,
    S_0: Array | None = None,
    b: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> tuple[Array, Array]:
    """RNN."""
    nodes = _rnn("X", "S_0", len(W), activation, lengths="lengths")
    feeds = _packed("onnx.RNN", {"U": U, "W": W, "b": b})
    states, final = _run(
        nodes, "states final", X=X, S_0=_leading(S_0), lengths=_int32(lengths), **feeds
    )
    return states[:, 0], final[0]


def rnn_unrolled(
    X: Array,
    U: Array,
    W: Array,
    S_0: Array | None = None,
    b: Array | None = None,
    activation: str = "tanh",
) -> Array:
    """RNN, its final state."""
    nodes = _rnn("X", "S_0", len(W), activation)
    feeds = _packed("onnx.RNN", {"U": U, "W": W, "b": b})
    final = _run(nodes, "final", X=X, S_0=_leading(S_0), **feeds)[0]
    S_T: Array = final[0]
    return S_T


def rnn_one_to_one(
    x: Array,
    U: Array,
    V: Array,
    b: Array | None = None,
    c: Array | None = None,
    activation: str = "tanh",
) -> Array:
    """Gemm and an activation, Gemm and Tanh."""
    nodes = [*_dense("x", "U", "b", "S", activation), *_dense("S", "V", "c", "O", "tanh")]
    return _run(nodes, "O", x=x, U=U, V=V, b=b, c=c)[0]


def rnn_one_to_many(
    x: Array,
    U: Array,
    W: Array,
    V: Array,
    S_0: Array | None = None,
    b: Array | None = None,
    c: Array | None = None,
    activation: str = "tanh",
    steps: int = 1,
) -> Array:
    """RNN over one step, Gemm and Tanh: a graph that is run once for each step."""
    nodes = [
        *_rnn("X", "S_prev", len(W), activation),
        *_squeeze("final", "S", 0),
        *_dense("S", "V", "c", "O", "tanh"),
    ]
    feeds = _packed("onnx.RNN", {"U": U, "W": W, "b": b})
    O = np.zeros((steps, *x.shape), dtype=x.dtype)
    state = _leading(S_0)
    for t in range(steps):
        O[t], state = _run(nodes, "O final", X=x[np.newaxis], S_prev=state, V=V, c=c, **feeds)
        x = O[t]
    return O


def rnn_many_to_one(
    X: Array,
    U: Array,
    W: Array,
    V: Array,
    S_0: Array | None = None,
    b: Array | None = None,
    c: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> Array:
    """RNN, then Gemm and Tanh on its final state."""
    nodes = [
        *_rnn("X", "S_0", len(W), activation, lengths="lengths"),
        *_squeeze("final", "S_T", 0),
        *_dense("S_T", "V", "c", "O", "tanh"),
    ]
    feeds: dict[str, Any] = {"X": X, "V": V, "S_0": _leading(S_0), "c": c}
    feeds |= _packed("onnx.RNN", {"U": U, "W": W, "b": b})
    return _run(nodes, "O", **feeds, lengths=_int32(lengths))[0]


def rnn_many_to_many(
    X: Array,
    U: Array,
    W: Array,
    V: Array,
    S_0: Array | None = None,
    b: Array | None = None,
    c: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> Array:
    """RNN, then MatMul, Add and Tanh on every state, and 0 beyond the lengths."""
    nodes = [
        *_rnn("X", "S_0", len(W), activation, lengths="lengths"),
        *_squeeze("states", "S", 1),
        *_outputs("S", "O", c is not None),
    ]
    feeds: dict[str, Any] = {"X": X, "V": V, "S_0": _leading(S_0), "c": c}
    feeds |= _packed("onnx.RNN", {"U": U, "W": W, "b": b})
    if lengths is None:
        return _run(nodes, "O", **feeds)[0]
    nodes += _valid("O", "O_valid")
    return _run(nodes, "O_valid", **feeds, lengths=_int32(lengths))[0]


def rnn_encoder_decoder(
    X: Array,
    Y: Array,
    U_e: Array,
    W_e: Array,
    U_d: Array,
    W_d: Array,
    V: Array,
    S_0: Array | None = None,
    b_e: Array | None = None,
    b_d: Array | None = None,
    c: Array | None = None,
    lengths: Array | None = None,
    activation: str = "tanh",
) -> Array:
    """Two RNN nodes, the second from the first one's final state; MatMul, Add and Tanh."""
    nodes = [
        *_rnn("X", "S_0", len(W_e), activation, "encoder.", "lengths"),
        *_rnn("Y", "encoder.final", len(W_d), activation, "decoder."),
        *_squeeze("decoder.states", "S", 1),
        *_outputs("S", "O", c is not None),
    ]
    feeds: dict[str, Any] = {"X": X, "Y": Y, "V": V, "S_0": _leading(S_0), "c": c}
    feeds |= _packed("onnx.RNN", {"U": U_e, "W": W_e, "b": b_e}, "encoder.")
    feeds |= _packed("onnx.RNN", {"U": U_d, "W": W_d, "b": b_d}, "decoder.")
    return _run(nodes, "O", **feeds, lengths=_int32(lengths))[0]


def _gru(
    form: str, X: Array, h_0: Array | None, lengths: Array | None, **weights: Array | None
) -> tuple[Array, Array]:
    attributes = {"hidden_size": len(np.asarray(weights["W"])), **FORMS[form].attributes}
    nodes = [node("GRU", "X W R B lengths h_0", "states final", **attributes)]
    feeds = _packed(form, weights)
    states, final = _run(
        nodes, "states final", X=X, h_0=_leading(h_0), lengths=_int32(lengths), **feeds
    )
    return states[:, 0], final[0]


def gru_step(x: Array, h_prev: Array, **weights: Array | None) -> Array:
    """GRU over one step, linear_before_reset = 0."""
    return _gru("onnx.GRU", x[np.newaxis], h_prev, None, **weights)[1]


def gru_sequence(
    X: Array, h_0: Array | None = None, lengths: Array | None = None, **weights: Array | None
) -> tuple[Array, Array]:
    """GRU, linear_before_reset = 0."""
    return _gru("onnx.GRU", X, h_0, lengths, **weights)


def gru_reset_after_step(x: Array, h_prev: Array, **weights: Array | None) -> Array:
    """GRU over one step, linear_before_reset = 1."""
    return _gru("onnx.GRU reset after", x[np.newaxis], h_prev, None, **weights)[1]


def gru_reset_after_sequence(
    X: Array, h_0: Array | None = None, lengths: Array | None = None, **weights: Array | None
) -> tuple[Array, Array]:
    """GRU, linear_before_reset = 1."""
    return _gru("onnx.GRU reset after", X, h_0, lengths, **weights)


OPERATIONS = (
    *(sigmoid, tanh, softplus, relu, softmax, affine, mlp),
    *(rnn_step, rnn_output, rnn_deep_output, rnn_sequence, rnn_unrolled),
    *(rnn_one_to_one, rnn_one_to_many, rnn_many_to_one, rnn_many_to_many, rnn_encoder_decoder),
    *(gru_step, gru_sequence, gru_reset_after_step, gru_reset_after_sequence),
)

UNSUPPORTED = {
    f"{operation.__name__}.vjp": "onnxruntime runs inference only; its training package is another."
    for operation in OPERATIONS
}
