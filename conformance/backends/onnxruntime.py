"""onnxruntime on the CPU: each operation as a graph of the ONNX operators that answer for it.

A graph is a list of nodes: `node("Gemm", "x W b", "y", transB=1)`. An input name that is neither
fed nor made by another node is an absent optional input. Nothing is special-cased: what an operator
does with an empty batch or with a length of 0 is the result.
"""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel

from nnspec.conformance.backends import Unsupported
from nnspec.conformance.backends.conventions import FORMS, pack
from nnspec.reference.array import Array
from nnspec.spec.loader import spec

INSTALL = "pip install 'nnspec[onnxruntime]'"
VERSION = f"onnxruntime {onnxruntime.__version__}"
DTYPES = ("float32", "float64")

# the newest that onnxruntime 1.20, the oldest that we take, reads
OPSET, IR_VERSION = 21, 10
# where Attention is, which onnxruntime has since 1.23
ATTENTION_OPSET, ATTENTION_IR_VERSION = 23, 11
ACTIVATIONS = {"tanh": "Tanh", "sigmoid": "Sigmoid", "relu": "Relu", "identity": "Identity"}

# what it says of a kernel that it lacks
NO_KERNEL = re.compile(
    r"Could not find an implementation for \S+|\w+ operator does not support .*"
    r"|ONNX Runtime only \*guarantees\* support .*"
)


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
    nodes: tuple[Node, ...],
    inputs: tuple[tuple[str, str, int], ...],
    outputs: tuple[str, ...],
) -> Any:
    """A session for a graph; inputs are (name, dtype, rank)."""
    known = {name for name, _, _ in inputs} | {name for n in nodes for name in n.outputs}
    attending = any(n.operator == "Attention" for n in nodes)
    opset, ir_version = (
        (ATTENTION_OPSET, ATTENTION_IR_VERSION) if attending else (OPSET, IR_VERSION)
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
        [helper.make_empty_tensor_value_info(name) for name in outputs],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version
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
    except (NoKernel, RuntimeException, Fail) as error:
        # "Could not find an implementation for RNN(14) node with name ''" where a session is made;
        # the GRU is refused when it runs: "GRU operator does not support double yet"
        reason = NO_KERNEL.search(str(error))
        if reason is None:
            raise
        dtype = next((dtype for _, dtype, _ in inputs if dtype.startswith("float")), "int64")
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


def log_softmax(x: Array, axis: int = -1) -> Array:
    """LogSoftmax."""
    return _run([node("LogSoftmax", "x", "y", axis=axis)], "y", x=x)[0]


def cross_entropy(logits: Array, targets: Array) -> Array:
    """SoftmaxCrossEntropyLoss."""
    nodes = [node("SoftmaxCrossEntropyLoss", "logits targets", "loss", reduction="mean")]
    return _run(nodes, "loss", logits=logits, targets=targets)[0]


def _refuse_epsilon(eps: float, x: Array) -> None:
    if float(np.float32(eps)) != eps and x.dtype == np.float64:
        raise Unsupported(f"ONNX holds an epsilon as a float32, and none of these is {eps!r}.")


def layer_norm(x: Array, gamma: Array, beta: Array, eps: float = 1e-5) -> Array:
    """LayerNormalization, whose attributes are float32 in a graph of any dtype."""
    _refuse_epsilon(eps, x)
    nodes = [node("LayerNormalization", "x gamma beta", "y", axis=-1, epsilon=eps)]
    return _run(nodes, "y", x=x, gamma=gamma, beta=beta)[0]


def one_hot(index: Array, size: int = 2500) -> Array:
    """OneHot."""
    nodes = [
        node("Constant", "", "depth", value_int=size),
        node("Constant", "", "values", value_ints=(0, 1)),
        node("OneHot", "index depth values", "y", axis=-1),
    ]
    return _run(nodes, "y", index=index)[0]


def one_hot_product(index: Array, U: Array) -> Array:
    """Gather along the columns."""
    nodes = [node("Gather", "U index", "columns", axis=1), node("Transpose", "columns", "a")]
    return _run(nodes, "a", index=index, U=U)[0]


def embedding(index: Array, E: Array) -> Array:
    """Gather."""
    return _run([node("Gather", "E index", "y", axis=0)], "y", index=index, E=E)[0]


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


def _rows(x: str, W: str, y: str, b: str = "") -> list[Node]:
    """MatMul with Wᵀ, and Add where there is a bias b: what Gemm is for more axes than two."""
    product = f"{y}.product" if b else y
    nodes = [node("Transpose", W, f"{y}.{W}.T"), node("MatMul", f"{x} {y}.{W}.T", product)]
    return [*nodes, node("Add", f"{product} {b}", y)] if b else nodes


# recurrent operators


def _packed(form: str, weights: Mapping[str, Array | None], prefix: str = "") -> dict[str, Array]:
    """The feeds W, R and B of an ONNX operator, from the deck's weights."""
    given = {name: array for name, array in weights.items() if array is not None}
    first = next(iter(given.values()))
    zeros = np.zeros(len(first), dtype=first.dtype)
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


def _lstm(
    form: str,
    X: Array,
    h_0: Array | None,
    c_0: Array | None,
    lengths: Array | None,
    **weights: Array | None,
) -> tuple[Array, Array, Array]:
    hidden = len(np.asarray(weights["W_i"]))
    nodes = [
        node("LSTM", "X W R B lengths h_0 c_0 P", "states final cell", hidden_size=hidden),
    ]
    feeds: dict[str, Any] = _packed(form, weights)
    feeds |= {"X": X, "h_0": _leading(h_0), "c_0": _leading(c_0), "lengths": _int32(lengths)}
    states, final, cell = _run(nodes, "states final cell", **feeds)
    return states[:, 0], final[0], cell[0]


def lstm_step(
    x: Array, h_prev: Array, c_prev: Array, **weights: Array | None
) -> tuple[Array, Array]:
    """LSTM over one step."""
    return _lstm("onnx.LSTM", x[np.newaxis], h_prev, c_prev, None, **weights)[1:]


def lstm_sequence(
    X: Array,
    h_0: Array | None = None,
    c_0: Array | None = None,
    lengths: Array | None = None,
    **weights: Array | None,
) -> tuple[Array, Array, Array]:
    """LSTM."""
    return _lstm("onnx.LSTM", X, h_0, c_0, lengths, **weights)


def lstm_peephole_step(
    x: Array, h_prev: Array, c_prev: Array, **weights: Array | None
) -> tuple[Array, Array]:
    """LSTM with peepholes over one step."""
    return _lstm("onnx.LSTM peephole", x[np.newaxis], h_prev, c_prev, None, **weights)[1:]


def lstm_peephole_sequence(
    X: Array,
    h_0: Array | None = None,
    c_0: Array | None = None,
    lengths: Array | None = None,
    **weights: Array | None,
) -> tuple[Array, Array, Array]:
    """LSTM with peepholes."""
    return _lstm("onnx.LSTM peephole", X, h_0, c_0, lengths, **weights)


def _sides(
    operator: str, X: Array, names: tuple[str, str], arguments: Mapping[str, Array | None]
) -> list[dict[str, Array]]:
    """The feeds of both directions, or of both layers, each with an axis of directions.

    Where one has biases or an initial state, the other has them too: 0.
    """
    form = FORMS[f"onnx.{operator}"]
    state_names = {"S_0": "h_0", "h_0": "h_0", "c_0": "c_0"}
    sides = [
        {
            n.removesuffix(name): a
            for n, a in arguments.items()
            if n.endswith(name) and a is not None
        }
        for name in names
    ]
    biased = any(n.startswith("b") for side in sides for n in side)
    given = {state_names[n] for side in sides for n in side if n in state_names}
    found = []
    for side in sides:
        states = {state_names[n]: a for n, a in side.items() if n in state_names}
        weights = {n: a for n, a in side.items() if n not in state_names}
        zeros = np.zeros(len(next(iter(weights.values()))), dtype=X.dtype)
        if biased:
            weights.setdefault(form.arrays["B"][0].removeprefix("-"), zeros)
        nothing = np.zeros((X.shape[1], len(zeros)), dtype=X.dtype)
        feeds = pack(form, weights, zeros)
        found.append(feeds | {n: states.get(n, nothing)[np.newaxis] for n in given})
    return found


def _outputs_of(operator: str) -> list[str]:
    return ["final", "cell"] if operator == "LSTM" else ["final"]


def _bidirectional(
    operator: str,
    X: Array,
    arguments: Mapping[str, Array | None],
    lengths: Array | None,
    **attributes: Any,
) -> tuple[Array, ...]:
    forward, backward = _sides(operator, X, ("_fwd", "_bwd"), arguments)
    feeds: dict[str, Any] = {n: np.concatenate([forward[n], backward[n]]) for n in forward}
    ends = _outputs_of(operator)
    names = "X W R B lengths h_0" + (" c_0" if operator == "LSTM" else "")
    outputs = " ".join(["states", *ends])
    hidden = feeds["R"].shape[-1]
    options = {"direction": "bidirectional", "hidden_size": hidden, **attributes}
    states, *finals = _run(
        [node(operator, names, outputs, **options)],
        outputs,
        X=X,
        lengths=_int32(lengths),
        **feeds,
    )
    T, _, B, _ = states.shape
    both = states.swapaxes(1, 2).reshape(T, B, 2 * hidden)
    return both, *(final[d] for d in (0, 1) for final in finals)


def _stacked(
    operator: str,
    X: Array,
    arguments: Mapping[str, Array | None],
    lengths: Array | None,
    **attributes: Any,
) -> tuple[Array, ...]:
    """Two nodes, the states of the first the input of the second."""
    feeds: dict[str, Any] = {"X": X, "lengths": _int32(lengths)}
    nodes, outputs = [], []
    ends = _outputs_of(operator)
    for layer, side in enumerate(_sides(operator, X, ("_1", "_2"), arguments), start=1):
        feeds |= {f"{name}_{layer}": array for name, array in side.items()}
        inputs = [f"W_{layer}", f"R_{layer}", f"B_{layer}", "lengths", f"h_0_{layer}"]
        inputs += [f"c_0_{layer}"] if operator == "LSTM" else []
        made = [f"{name}_{layer}" for name in ("states", *ends)]
        before = "X" if layer == 1 else "between"
        options = {"hidden_size": side["R"].shape[-1], **attributes}
        nodes.append(node(operator, " ".join([before, *inputs]), " ".join(made), **options))
        nodes += _squeeze("states_1", "between", 1) if layer == 1 else []
        outputs += made[1:]
    states, *finals = _run(nodes, " ".join(["states_2", *outputs]), **feeds)
    return states[:, 0], *(final[0] for final in finals)


def rnn_bidirectional(
    X: Array, lengths: Array | None = None, activation: str = "tanh", **arguments: Array | None
) -> tuple[Array, ...]:
    """RNN, bidirectional."""
    activations = (ACTIVATIONS[activation],) * 2
    return _bidirectional("RNN", X, arguments, lengths, activations=activations)


def gru_bidirectional(
    X: Array, lengths: Array | None = None, **arguments: Array | None
) -> tuple[Array, ...]:
    """GRU, bidirectional, linear_before_reset = 0."""
    return _bidirectional("GRU", X, arguments, lengths, **FORMS["onnx.GRU"].attributes)


def lstm_bidirectional(
    X: Array, lengths: Array | None = None, **arguments: Array | None
) -> tuple[Array, ...]:
    """LSTM, bidirectional."""
    return _bidirectional("LSTM", X, arguments, lengths)


def rnn_stacked(
    X: Array, lengths: Array | None = None, activation: str = "tanh", **arguments: Array | None
) -> tuple[Array, ...]:
    """Two RNN nodes."""
    return _stacked("RNN", X, arguments, lengths, activations=(ACTIVATIONS[activation],))


def gru_stacked(
    X: Array, lengths: Array | None = None, **arguments: Array | None
) -> tuple[Array, ...]:
    """Two GRU nodes, linear_before_reset = 0."""
    return _stacked("GRU", X, arguments, lengths, **FORMS["onnx.GRU"].attributes)


def lstm_stacked(
    X: Array, lengths: Array | None = None, **arguments: Array | None
) -> tuple[Array, ...]:
    """Two LSTM nodes."""
    return _stacked("LSTM", X, arguments, lengths)


def bptt_forward(
    X: Array,
    U: Array,
    W: Array,
    V: Array,
    S_0: Array | None = None,
    activation: str = "tanh",
) -> tuple[Array, Array]:
    """RNN, then MatMul and Tanh on every state."""
    nodes = [
        *_rnn("X", "S_0", len(W), activation),
        *_squeeze("states", "S", 1),
        *_outputs("S", "O", False),
    ]
    feeds = _packed("onnx.RNN", {"U": U, "W": W})
    S, O = _run(nodes, "S O", X=X, V=V, S_0=_leading(S_0), **feeds)
    return S, O


def glimpse_core(g: Array, h_prev: Array, U: Array, W: Array, b_h: Array | None = None) -> Array:
    """RNN over one step, with Relu."""
    return rnn_unrolled(g[np.newaxis], U, W, S_0=h_prev, b=b_h, activation="relu")


def frobenius_norm(A: Array) -> Array:
    """ReduceL2 over the last two axes."""
    nodes = [
        node("Constant", "", "axes", value_ints=(-2, -1)),
        node("ReduceL2", "A axes", "norm", keepdims=0),
    ]
    return _run(nodes, "norm", A=A)[0]


# attention and the Transformer


def _keep(
    mask: Array | None, lengths: Array | None, causal: bool, shape: tuple[int, ...]
) -> Array | None:
    """Which keys each query may see (B, N, L, S); None where it is all of them."""
    L, S = shape[2:]
    keep = np.ones(shape, dtype=bool)
    if mask is not None:
        keep = keep & mask
    if lengths is not None:
        keep = keep & (np.arange(S) < lengths[:, None, None, None])
    if causal:
        # is_causal begins at the first key, ours ends at the last one
        keep = keep & np.tri(L, S, S - L, dtype=bool)
    return None if mask is None and lengths is None and not causal else keep


# an attention's fourth output is its weights, after the softmax
WEIGHTS = ("qk_matmul_output_mode", 3)


def scaled_dot_product_attention(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None = None,
    lengths: Array | None = None,
    causal: bool = False,
) -> Array:
    """Attention."""
    keep = _keep(mask, lengths, causal, (*q.shape[:3], k.shape[2]))
    return _run([node("Attention", "q k v keep", "y")], "y", q=q, k=k, v=v, keep=keep)[0]


def attention_weights(
    q: Array,
    k: Array,
    mask: Array | None = None,
    lengths: Array | None = None,
    causal: bool = False,
) -> Array:
    """Attention's fourth output, the weights after the softmax."""
    keep = _keep(mask, lengths, causal, (*q.shape[:3], k.shape[2]))
    # "" is an output that is not asked for
    nodes = [Node("Attention", ("q", "k", "k", "keep"), ("y", "", "", "p"), (WEIGHTS,))]
    return _run(nodes, "p", q=q, k=k, keep=keep)[0]


def soft_attention(
    scores: Array, values: Array, lengths: Array | None = None, mask: Array | None = None
) -> tuple[Array, Array]:
    """Attention, whose queries and keys are 0, with the scores as its additive mask."""
    if np.isneginf(scores).any():
        raise Unsupported("ONNX's Attention takes a score of -inf for a masked one.")
    T, B = scores.shape
    keep = _keep(None if mask is None else mask.T[:, None, None], lengths, False, (B, 1, 1, T))
    added = scores.T[:, np.newaxis, np.newaxis]
    if keep is not None:
        added = np.where(keep, added, -np.inf).astype(scores.dtype)
    q, k = np.zeros((B, 1, 1, 1), scores.dtype), np.zeros((B, 1, T, 1), scores.dtype)
    nodes = [Node("Attention", ("q", "k", "v", "added"), ("y", "", "", "p"), (WEIGHTS,))]
    y, p = _run(nodes, "y p", q=q, k=k, v=values.swapaxes(0, 1)[:, np.newaxis], added=added)
    return y[:, 0, 0], p[:, 0, 0].T


def translation_attention(h_d: Array, h_e: Array, lengths: Array | None = None) -> Array:
    """Attention's weights, with scores that are not scaled."""
    q, k = (h.swapaxes(0, 1)[:, np.newaxis] for h in (h_d, h_e))
    keep = _keep(None, lengths, False, (len(q), 1, len(h_d), len(h_e)))
    attributes = (("scale", 1.0), WEIGHTS)
    nodes = [Node("Attention", ("q", "k", "k", "keep"), ("y", "", "", "p"), attributes)]
    a: Array = _run(nodes, "p", q=q, k=k, keep=keep)[0][:, 0].transpose(1, 2, 0)
    return a


def translation_attentional_state(
    c: Array, h: Array, W_c: Array, b_c: Array | None = None
) -> Array:
    """Concat, Gemm and Tanh."""
    nodes = [node("Concat", "c h", "ch", axis=-1), *_dense("ch", "W_c", "b_c", "y", "tanh")]
    return _run(nodes, "y", c=c, h=h, W_c=W_c, b_c=b_c)[0]


def _heads(
    q: str, k: str, v: str, y: str, heads: int, given: Mapping[str, Array | None], side: str = ""
) -> list[Node]:
    """Projections by MatMul around an Attention that splits the heads and joins them.

    `side` is the prefix of the weights, and that of the mask `keep`.
    """
    nodes = []
    for name, x in (("q", q), ("k", k), ("v", v)):
        bias = f"{side}b_{name}" if given.get(f"{side}b_{name}") is not None else ""
        nodes += _rows(x, f"{side}W_{name}", f"{y}.{name}", bias)
    bias = f"{side}b_o" if given.get(f"{side}b_o") is not None else ""
    options = {"q_num_heads": heads, "kv_num_heads": heads}
    nodes.append(node("Attention", f"{y}.q {y}.k {y}.v {side}keep", f"{y}.heads", **options))
    return nodes + _rows(f"{y}.heads", f"{side}W_o", y, bias)


def multi_head_attention(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None = None,
    lengths: Array | None = None,
    heads: int = 1,
    causal: bool = False,
    **weights: Array | None,
) -> Array:
    """MatMul and Add, Attention, MatMul and Add."""
    keep = _keep(mask, lengths, causal, (len(q), heads, q.shape[1], k.shape[1]))
    nodes = _heads("q", "k", "v", "y", heads, weights)
    return _run(nodes, "y", q=q, k=k, v=v, keep=keep, **weights)[0]


def _feed(x: str, y: str, given: Mapping[str, Array | None]) -> list[Node]:
    b_1, b_2 = (name if given.get(name) is not None else "" for name in ("b_1", "b_2"))
    return [
        *_rows(x, "W_1", f"{y}.sum", b_1),
        node("Relu", f"{y}.sum", f"{y}.hidden"),
        *_rows(f"{y}.hidden", "W_2", y, b_2),
    ]


def feed_forward(
    x: Array, W_1: Array, W_2: Array, b_1: Array | None = None, b_2: Array | None = None
) -> Array:
    """MatMul, Add and Relu, MatMul and Add."""
    feeds = {"W_1": W_1, "W_2": W_2, "b_1": b_1, "b_2": b_2}
    return _run(_feed("x", "y", feeds), "y", x=x, **feeds)[0]


EPSILON = 1e-5


def _add_norm(
    x: str, y: str, n: int, norm: str, inner: Callable[[str, str], list[Node]]
) -> list[Node]:
    """A sublayer with its residual connection, Add, and LayerNormalization behind or before."""

    def normalised(a: str, b: str) -> Node:
        return node("LayerNormalization", f"{a} gamma_{n} beta_{n}", b, axis=-1, epsilon=EPSILON)

    if norm == "post":
        return [
            *inner(x, f"{y}.inner"),
            node("Add", f"{x} {y}.inner", f"{y}.sum"),
            normalised(f"{y}.sum", y),
        ]
    return [
        normalised(x, f"{y}.normalised"),
        *inner(f"{y}.normalised", f"{y}.inner"),
        node("Add", f"{x} {y}.inner", y),
    ]


def _within(y: Array, lengths: Array | None) -> Array:
    """Padding as the spec has it, 0."""
    if lengths is None:
        return y
    return np.where((np.arange(y.shape[1]) < lengths[:, np.newaxis])[..., np.newaxis], y, 0)


def encoder_layer(
    x: Array,
    mask: Array | None = None,
    lengths: Array | None = None,
    heads: int = 1,
    norm: str = "post",
    **weights: Array | None,
) -> Array:
    """The operators of `multi_head_attention` and `feed_forward`, Add and LayerNormalization."""
    _refuse_epsilon(EPSILON, x)
    keep = _keep(mask, lengths, False, (len(x), heads, x.shape[1], x.shape[1]))
    nodes = [
        *_add_norm("x", "a", 1, norm, lambda i, o: _heads(i, i, i, o, heads, weights, "self_")),
        *_add_norm("a", "y", 2, norm, lambda i, o: _feed(i, o, weights)),
    ]
    return _within(_run(nodes, "y", x=x, self_keep=keep, **weights)[0], lengths)


def decoder_layer(
    x: Array,
    memory: Array,
    lengths: Array | None = None,
    memory_lengths: Array | None = None,
    heads: int = 1,
    norm: str = "post",
    **weights: Array | None,
) -> Array:
    """Attention to itself and to the memory, the feed-forward network: as in `encoder_layer`."""
    _refuse_epsilon(EPSILON, x)
    (B, L, _), S = x.shape, memory.shape[1]
    keep = _keep(None, lengths, True, (B, heads, L, L))
    look = _keep(None, memory_lengths, False, (B, heads, L, S))

    def cross(i: str, o: str) -> list[Node]:
        return _heads(i, "memory", "memory", o, heads, weights, "cross_")

    nodes = [
        *_add_norm("x", "a", 1, norm, lambda i, o: _heads(i, i, i, o, heads, weights, "self_")),
        *_add_norm("a", "c", 2, norm, cross),
        *_add_norm("c", "y", 3, norm, lambda i, o: _feed(i, o, weights)),
    ]
    feeds = {"x": x, "memory": memory, "self_keep": keep, "cross_keep": look, **weights}
    return _within(_run(nodes, "y", **feeds)[0], lengths)


# multi-layer perceptrons by their names elsewhere


def glimpse_action(h: Array, W_a: Array, b_a: Array | None = None) -> Array:
    """Gemm and Softmax."""
    nodes = [node("Gemm", "h W_a b_a", "a", transB=1), node("Softmax", "a", "p", axis=-1)]
    return _run(nodes, "p", h=h, W_a=W_a, b_a=b_a)[0]


def gan_generator(
    z: Array,
    W_G1: Array,
    W_G2: Array,
    b_G1: Array | None = None,
    b_G2: Array | None = None,
    activation: str = "relu",
    output_activation: str = "identity",
) -> Array:
    """Gemm and an activation, twice."""
    return mlp(z, W_G1, W_G2, None, b_G1, b_G2, None, activation, output_activation)


def gan_discriminator(
    x: Array,
    W_D1: Array,
    W_D2: Array,
    b_D1: Array | None = None,
    b_D2: Array | None = None,
    activation: str = "relu",
) -> tuple[Array, Array]:
    """Gemm and an activation, Gemm, and Sigmoid."""
    nodes = [
        *_dense("x", "W_D1", "b_D1", "hidden", activation),
        *_dense("hidden", "W_D2", "b_D2", "column"),
        *_squeeze("column", "a", 1),
        node("Sigmoid", "a", "v"),
    ]
    v, a = _run(nodes, "v a", x=x, W_D1=W_D1, W_D2=W_D2, b_D1=b_D1, b_D2=b_D2)
    return v, a


OPERATIONS = (
    *(sigmoid, tanh, softplus, relu, softmax, log_softmax, cross_entropy, layer_norm),
    *(one_hot, one_hot_product, embedding, affine, mlp),
    *(rnn_step, rnn_output, rnn_deep_output, rnn_sequence, rnn_unrolled),
    *(rnn_one_to_one, rnn_one_to_many, rnn_many_to_one, rnn_many_to_many, rnn_encoder_decoder),
    *(gru_step, gru_sequence, gru_reset_after_step, gru_reset_after_sequence),
    *(lstm_step, lstm_sequence, lstm_peephole_step, lstm_peephole_sequence),
    *(rnn_bidirectional, gru_bidirectional, lstm_bidirectional),
    *(rnn_stacked, gru_stacked, lstm_stacked, bptt_forward, frobenius_norm),
    *(scaled_dot_product_attention, attention_weights, multi_head_attention, feed_forward),
    *(encoder_layer, decoder_layer),
    *(soft_attention, translation_attention, translation_attentional_state),
    *(glimpse_core, glimpse_action, gan_generator, gan_discriminator),
)

_INFERENCE = "onnxruntime runs inference only; its training package is another."
UNSUPPORTED = {
    **{
        f"{operation.__name__}.vjp": _INFERENCE
        for operation in OPERATIONS
        if f"{operation.__name__}.vjp" in spec().operations
    },
    "attention": "ONNX's Attention has neither scores for themselves nor a draw.",
    "bptt": _INFERENCE,
    "captioning": "ONNX has no operator for captioning, nor a layer of it.",
    "gan": "ONNX has no loss on logits and no draw from given numbers; inference has no training.",
    "glimpse": "ONNX has no sensor of several scales, and inference has no training.",
    "lstm": "ONNX's LSTM has three gates and squashes its cell; a graph counts nothing.",
    "transformer": "ONNX has no positions of words as an operator.",
    "translation": "ONNX has no operator for translation; its attention answers here.",
}
