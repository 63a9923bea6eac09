"""ONNX models of the operations: each one a graph of the ONNX operators that answer for it.

A graph takes the spec's inputs and gives the spec's outputs, by name and in their layout. What has
to be done to them for an operator (weights stacked gate by gate, lengths as int32, an axis for the
directions) is done by operators of the same graph: whoever runs the model has nothing to convert.

An operation is a function with the reference's signature on `Tensor`s, which stand for the values
of a graph; `op` adds an operator to it. Sizes are those of the inputs. Nothing is special-cased:
what an operator does with an empty batch or with a length of 0 is the result.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import (
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    defs,
    helper,
    numpy_helper,
    shape_inference,
)

from nnspec.conformance.backends import Unsupported
from nnspec.conformance.backends.conventions import FORMS, pack
from nnspec.conformance.suite import as_outputs
from nnspec.reference.array import Array
from nnspec.spec.loader import spec

ACTIVATIONS = {"tanh": "Tanh", "sigmoid": "Sigmoid", "relu": "Relu", "identity": "Identity"}

# since when Squeeze and Unsqueeze take their axes as an input and Softmax works along one axis
OPSET = 13
# operators whose form here, with the axes as an input, is newer than they are
NEWER = {"ReduceL2": 18}


def kind_of(dtype: np.dtype[Any]) -> int:
    """ONNX's number for a dtype; raises Unsupported where the installed onnx knows none."""
    try:
        kind: int = helper.np_dtype_to_tensor_dtype(dtype)
    except ValueError:
        raise Unsupported(f"onnx {onnx.__version__} takes no {dtype} from NumPy.") from None
    return kind


# on conditions, whatever the dtype of the graph
LOGICAL = {"And"}


@functools.cache
def opset_of(operator: str, kind: int) -> int:
    """The lowest opset from OPSET on in which this operator takes tensors of this type.

    Raises Unsupported where the installed onnx has none.
    """
    name = TensorProto.DataType.Name(kind).lower()
    for opset in range(NEWER.get(operator, OPSET), defs.onnx_opset_version() + 1):
        try:
            schema = defs.get_schema(operator, opset)
        except defs.SchemaError:
            continue
        types = {given for declared in schema.inputs for given in declared.types}
        if f"tensor({name})" in types or operator in LOGICAL:
            return opset
    raise Unsupported(f"onnx {onnx.__version__} has no operator {operator} for {name}.")


class Graph:
    """A graph that grows by `ops`."""

    def __init__(self) -> None:
        self.inputs: dict[str, Tensor] = {}
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def input(self, name: str, array: Array) -> "Tensor":
        """A new input, with the array that will be fed."""
        self.inputs[name] = Tensor(self, name, array)
        return self.inputs[name]

    def constant(self, array: Array) -> str:
        """The name of a new constant."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def model(self, name: str, outputs: Mapping[str, tuple["Tensor", np.dtype[Any]]]) -> ModelProto:
        """The model whose outputs are these, in the lowest opset that has its operators."""
        # a node of its own for each output: two may be the same value, or one an input
        named = [helper.make_node("Identity", [x.name], [n]) for n, (x, _) in outputs.items()]
        kind = kind_of(next(dtype for _, dtype in outputs.values()))
        opset = max(opset_of(node.op_type, kind) for node in [*self.nodes, *named])
        opsets = [helper.make_opsetid("", opset)]
        graph = helper.make_graph(
            [*self.nodes, *named],
            name,
            [_declared(n, x.array.dtype, x.shape) for n, x in self.inputs.items()],
            [_declared(n, dtype, None) for n, (_, dtype) in outputs.items()],
            self.constants,
        )
        proto = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=helper.find_min_ir_version_for(opsets),
            producer_name="nnspec",
        )
        inferred = shape_inference.infer_shapes(proto, data_prop=True)
        for declared, found in zip(proto.graph.output, inferred.graph.output, strict=True):
            declared.CopyFrom(found)
        return proto


def _declared(name: str, dtype: np.dtype[Any], shape: Sequence[int] | None) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind_of(dtype), shape)


class Tensor:
    """A value of a graph; one that is fed has an array, and by it a shape and a dtype."""

    def __init__(self, graph: Graph, name: str, array: Array | None = None) -> None:
        self.graph = graph
        self.name = name
        self._array = array

    @property
    def array(self) -> Array:
        """What is fed."""
        assert self._array is not None, f"{self.name} is no input of the graph"
        return self._array

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what is fed."""
        return self.array.shape

    def __neg__(self) -> "Tensor":
        return op("Neg", self)

    def __getitem__(self, index: Any) -> "Tensor":
        """The two forms that `pack` uses: `x[..., begin:end]` and `x[None]`."""
        if index is None:
            return unsqueeze(self, 0)
        columns = index[1]
        begin, end = columns.start or 0, columns.stop
        end = np.iinfo(np.int64).max if end is None else end
        return op("Slice", self, *(np.array([n], dtype=np.int64) for n in (begin, end, -1)))


Value = Tensor | Array  # an array is a constant of the graph


def ops(
    operator: str, *inputs: Value | None, outputs: Sequence[int], **attributes: Any
) -> list[Tensor]:
    """The outputs of a new operator at the places `outputs`; the others are not asked for.

    An input that is None is an absent optional one.
    """
    graph = next(x.graph for x in inputs if isinstance(x, Tensor))
    names = [
        "" if x is None else x.name if isinstance(x, Tensor) else graph.constant(x) for x in inputs
    ]
    while not names[-1]:
        names.pop()
    stem = f"{operator}_{len(graph.nodes)}"
    made = [""] * (max(outputs) + 1)
    for place in outputs:
        made[place] = f"{stem}.{place}" if len(made) > 1 else stem
    graph.nodes.append(helper.make_node(operator, names, made, **attributes))
    return [Tensor(graph, made[place]) for place in outputs]


def op(operator: str, *inputs: Value | None, **attributes: Any) -> Tensor:
    """The first output of a new operator."""
    return ops(operator, *inputs, outputs=(0,), **attributes)[0]


def unsqueeze(x: Tensor, *axes: int) -> Tensor:
    """X with axes of length 1 at these places."""
    return op("Unsqueeze", x, np.array(axes, dtype=np.int64))


def squeeze(x: Tensor, *axes: int) -> Tensor:
    """X without these axes of length 1."""
    return op("Squeeze", x, np.array(axes, dtype=np.int64))


def join(parts: Sequence[Value]) -> Value:
    """Concatenation along the first axis."""
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    return np.concatenate(arrays) if len(arrays) == len(parts) else op("Concat", *parts, axis=0)


# primitives


def sigmoid(x: Tensor) -> Tensor:
    """Sigmoid."""
    return op("Sigmoid", x)


def tanh(x: Tensor) -> Tensor:
    """Tanh."""
    return op("Tanh", x)


def softplus(x: Tensor) -> Tensor:
    """Softplus."""
    return op("Softplus", x)


def relu(x: Tensor) -> Tensor:
    """Relu."""
    return op("Relu", x)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Softmax."""
    return op("Softmax", x, axis=axis)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """LogSoftmax."""
    return op("LogSoftmax", x, axis=axis)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """SoftmaxCrossEntropyLoss."""
    return op("SoftmaxCrossEntropyLoss", logits, targets, reduction="mean")


def _refuse_epsilon(eps: float, x: Tensor) -> None:
    if float(np.float32(eps)) != eps and x.array.dtype == np.float64:
        raise Unsupported(f"ONNX holds an epsilon as a float32, and none of these is {eps!r}.")


def layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5) -> Tensor:
    """LayerNormalization, whose attributes are float32 in a graph of any dtype."""
    _refuse_epsilon(eps, x)
    return op("LayerNormalization", x, gamma, beta, axis=-1, epsilon=eps)


def one_hot(index: Tensor, size: int = 2500) -> Tensor:
    """OneHot."""
    depth, values = np.array(size, dtype=np.int64), np.array([0, 1], dtype=np.int64)
    return op("OneHot", index, depth, values, axis=-1)


def one_hot_product(index: Tensor, U: Tensor) -> Tensor:
    """Gather along the columns."""
    return op("Transpose", op("Gather", U, index, axis=1))


def embedding(index: Tensor, E: Tensor) -> Tensor:
    """Gather."""
    return op("Gather", E, index, axis=0)


def affine(x: Tensor, W: Tensor, b: Tensor | None = None) -> Tensor:
    """Gemm."""
    return op("Gemm", x, W, b, transB=1)


def _dense(x: Tensor, W: Tensor, b: Tensor | None, activation: str = "identity") -> Tensor:
    """Gemm and an activation: activation(x Wᵀ + b)."""
    return op(ACTIVATIONS[activation], affine(x, W, b))


def mlp(
    x: Tensor,
    W_1: Tensor,
    W_2: Tensor,
    W_3: Tensor | None = None,
    b_1: Tensor | None = None,
    b_2: Tensor | None = None,
    b_3: Tensor | None = None,
    activation: str = "tanh",
    output_activation: str = "identity",
) -> Tensor:
    """Gemm and an activation, two or three times."""
    y_1 = _dense(x, W_1, b_1, activation)
    if W_3 is None:
        return _dense(y_1, W_2, b_2, output_activation)
    return _dense(_dense(y_1, W_2, b_2, activation), W_3, b_3, output_activation)


def _rows(x: Tensor, W: Tensor, b: Tensor | None = None) -> Tensor:
    """MatMul with Wᵀ, and Add where there is a bias b: what Gemm is for more axes than two."""
    product = op("MatMul", x, op("Transpose", W))
    return product if b is None else op("Add", product, b)


# recurrent operators


def _packed(form: str, weights: Mapping[str, Tensor | None]) -> dict[str, Value]:
    """The inputs W and R of an ONNX operator, and its B and P, from the deck's weights."""
    given = {name: tensor for name, tensor in weights.items() if tensor is not None}
    first = next(iter(given.values()))
    zeros = np.zeros(first.shape[0], dtype=first.array.dtype)
    arrays: dict[str, Value] = pack(FORMS[form], given, zeros, join)
    return arrays


def _leading(state: Tensor | None) -> Tensor | None:
    """(B, H) as (1, B, H), for the axis of directions."""
    return None if state is None else unsqueeze(state, 0)


def _recurrent(
    operator: str,
    X: Tensor,
    arrays: Mapping[str, Value],
    lengths: Tensor | None,
    initial: Sequence[Value | None],  # (directions, B, H): h_0, and c_0 of an LSTM
    **attributes: Any,
) -> list[Tensor]:
    """The states (T, directions, B, H), and for each initial state a final one."""
    return ops(
        operator,
        X,
        *(arrays.get(name) for name in ("W", "R", "B")),
        None if lengths is None else op("Cast", lengths, to=int(TensorProto.INT32)),
        *initial,
        arrays.get("P"),
        outputs=range(1 + len(initial)),
        **attributes,
    )


def _rnn(
    X: Tensor,
    U: Tensor,
    W: Tensor,
    b: Tensor | None,
    initial: Tensor | None,
    activation: str,
    lengths: Tensor | None = None,
) -> list[Tensor]:
    """RNN."""
    arrays = _packed("onnx.RNN", {"U": U, "W": W, "b": b})
    attributes = {"activations": (ACTIVATIONS[activation],), "hidden_size": W.shape[0]}
    return _recurrent("RNN", X, arrays, lengths, [initial], **attributes)


def _outputs(S: Tensor, V: Tensor, c: Tensor | None) -> Tensor:
    """O = tanh(S Vᵀ + c) for S (T, B, H)."""
    return op("Tanh", _rows(S, V, c))


def _within(y: Tensor, lengths: Tensor | None, like: Tensor, axis: int) -> Tensor:
    """Padding as the spec has it, 0: y (B, L, D) or (T, B, D), whose places are along the axis.

    `like` is an input with the same batch, places and dtype.
    """
    if lengths is None:
        return y
    ends = unsqueeze(lengths, axis, 2)
    places = np.arange(like.shape[axis]).reshape(-1, *[1] * (2 - axis))
    return op("Where", op("Less", places, ends), y, np.zeros((), dtype=like.array.dtype))


def rnn_step(
    x: Tensor,
    S_prev: Tensor,
    U: Tensor,
    W: Tensor,
    b: Tensor | None = None,
    activation: str = "tanh",
) -> Tensor:
    """RNN over one step."""
    return rnn_unrolled(unsqueeze(x, 0), U, W, S_0=S_prev, b=b, activation=activation)


def rnn_output(S: Tensor, V: Tensor, c: Tensor | None = None, activation: str = "tanh") -> Tensor:
    """Gemm and an activation."""
    return _dense(S, V, c, activation)


def rnn_deep_output(
    S: Tensor,
    V: Tensor,
    W_1: Tensor,
    W_2: Tensor,
    c: Tensor | None = None,
    b_1: Tensor | None = None,
    b_2: Tensor | None = None,
    activation: str = "tanh",
) -> Tensor:
    """Gemm and Tanh, Gemm and an activation, Gemm."""
    return _dense(_dense(_dense(S, V, c, "tanh"), W_1, b_1, activation), W_2, b_2)


def rnn_sequence(
    X: Tensor,
    U: Tensor,
    W: Tensor,
    S_0: Tensor | None = None,
    b: Tensor | None = None,
    lengths: Tensor | None = None,
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """RNN."""
    states, final = _rnn(X, U, W, b, _leading(S_0), activation, lengths)
    return squeeze(states, 1), squeeze(final, 0)


def rnn_unrolled(
    X: Tensor,
    U: Tensor,
    W: Tensor,
    S_0: Tensor | None = None,
    b: Tensor | None = None,
    activation: str = "tanh",
) -> Tensor:
    """RNN, its final state."""
    return squeeze(_rnn(X, U, W, b, _leading(S_0), activation)[1], 0)


def rnn_one_to_one(
    x: Tensor,
    U: Tensor,
    V: Tensor,
    b: Tensor | None = None,
    c: Tensor | None = None,
    activation: str = "tanh",
) -> Tensor:
    """Gemm and an activation, Gemm and Tanh."""
    return _dense(_dense(x, U, b, activation), V, c, "tanh")


def rnn_one_to_many(
    x: Tensor,
    U: Tensor,
    W: Tensor,
    V: Tensor,
    S_0: Tensor | None = None,
    b: Tensor | None = None,
    c: Tensor | None = None,
    activation: str = "tanh",
    steps: int = 1,
) -> Tensor:
    """RNN over one step, Gemm and Tanh, once for each step."""
    outputs, state = [], _leading(S_0)
    # no steps are none of one
    for _ in range(max(steps, 1)):
        X = unsqueeze(x, 0)
        _, state = _rnn(X, U, W, b, state, activation)
        x = _dense(squeeze(state, 0), V, c, "tanh")
        outputs.append(unsqueeze(x, 0))
    O = op("Concat", *outputs, axis=0)
    return O if steps else op("Slice", O, *(np.array([n], dtype=np.int64) for n in (0, 0, 0)))


def rnn_many_to_one(
    X: Tensor,
    U: Tensor,
    W: Tensor,
    V: Tensor,
    S_0: Tensor | None = None,
    b: Tensor | None = None,
    c: Tensor | None = None,
    lengths: Tensor | None = None,
    activation: str = "tanh",
) -> Tensor:
    """RNN, then Gemm and Tanh on its final state."""
    final = _rnn(X, U, W, b, _leading(S_0), activation, lengths)[1]
    return _dense(squeeze(final, 0), V, c, "tanh")


def rnn_many_to_many(
    X: Tensor,
    U: Tensor,
    W: Tensor,
    V: Tensor,
    S_0: Tensor | None = None,
    b: Tensor | None = None,
    c: Tensor | None = None,
    lengths: Tensor | None = None,
    activation: str = "tanh",
) -> Tensor:
    """RNN, then MatMul, Add and Tanh on every state, and 0 beyond the lengths."""
    states = _rnn(X, U, W, b, _leading(S_0), activation, lengths)[0]
    return _within(_outputs(squeeze(states, 1), V, c), lengths, X, 0)


def rnn_encoder_decoder(
    X: Tensor,
    Y: Tensor,
    U_e: Tensor,
    W_e: Tensor,
    U_d: Tensor,
    W_d: Tensor,
    V: Tensor,
    S_0: Tensor | None = None,
    b_e: Tensor | None = None,
    b_d: Tensor | None = None,
    c: Tensor | None = None,
    lengths: Tensor | None = None,
    activation: str = "tanh",
) -> Tensor:
    """Two RNN nodes, the second from the first one's final state; MatMul, Add and Tanh."""
    final = _rnn(X, U_e, W_e, b_e, _leading(S_0), activation, lengths)[1]
    states = _rnn(Y, U_d, W_d, b_d, final, activation)[0]
    return _outputs(squeeze(states, 1), V, c)


def _rows_of(W: Tensor | None) -> int:
    assert W is not None
    return W.shape[0]


def _gru(
    form: str, X: Tensor, h_0: Tensor | None, lengths: Tensor | None, **weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    attributes = {"hidden_size": _rows_of(weights["W"]), **FORMS[form].attributes}
    arrays = _packed(form, weights)
    states, final = _recurrent("GRU", X, arrays, lengths, [_leading(h_0)], **attributes)
    return squeeze(states, 1), squeeze(final, 0)


def gru_step(x: Tensor, h_prev: Tensor, **weights: Tensor | None) -> Tensor:
    """GRU over one step, linear_before_reset = 0."""
    return _gru("onnx.GRU", unsqueeze(x, 0), h_prev, None, **weights)[1]


def gru_sequence(
    X: Tensor, h_0: Tensor | None = None, lengths: Tensor | None = None, **weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    """GRU, linear_before_reset = 0."""
    return _gru("onnx.GRU", X, h_0, lengths, **weights)


def gru_reset_after_step(x: Tensor, h_prev: Tensor, **weights: Tensor | None) -> Tensor:
    """GRU over one step, linear_before_reset = 1."""
    return _gru("onnx.GRU reset after", unsqueeze(x, 0), h_prev, None, **weights)[1]


def gru_reset_after_sequence(
    X: Tensor, h_0: Tensor | None = None, lengths: Tensor | None = None, **weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    """GRU, linear_before_reset = 1."""
    return _gru("onnx.GRU reset after", X, h_0, lengths, **weights)


def _lstm(
    form: str,
    X: Tensor,
    h_0: Tensor | None,
    c_0: Tensor | None,
    lengths: Tensor | None,
    **weights: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    arrays, initial = _packed(form, weights), [_leading(h_0), _leading(c_0)]
    hidden = _rows_of(weights["W_i"])
    states, final, cell = _recurrent("LSTM", X, arrays, lengths, initial, hidden_size=hidden)
    return squeeze(states, 1), squeeze(final, 0), squeeze(cell, 0)


def lstm_step(
    x: Tensor, h_prev: Tensor, c_prev: Tensor, **weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    """LSTM over one step."""
    return _lstm("onnx.LSTM", unsqueeze(x, 0), h_prev, c_prev, None, **weights)[1:]


def lstm_sequence(
    X: Tensor,
    h_0: Tensor | None = None,
    c_0: Tensor | None = None,
    lengths: Tensor | None = None,
    **weights: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """LSTM."""
    return _lstm("onnx.LSTM", X, h_0, c_0, lengths, **weights)


def lstm_peephole_step(
    x: Tensor, h_prev: Tensor, c_prev: Tensor, **weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    """LSTM with peepholes over one step."""
    return _lstm("onnx.LSTM peephole", unsqueeze(x, 0), h_prev, c_prev, None, **weights)[1:]


def lstm_peephole_sequence(
    X: Tensor,
    h_0: Tensor | None = None,
    c_0: Tensor | None = None,
    lengths: Tensor | None = None,
    **weights: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """LSTM with peepholes."""
    return _lstm("onnx.LSTM peephole", X, h_0, c_0, lengths, **weights)


def _sides(
    operator: str, X: Tensor, names: tuple[str, str], arguments: Mapping[str, Tensor | None]
) -> list[tuple[dict[str, Value], list[Value | None], int]]:
    """Of both directions, or of both layers: arrays, initial states, the number of units.

    Where one has biases or an initial state, the other has them too: 0.
    """
    form = FORMS[f"onnx.{operator}"]
    state_names = {"S_0": "h_0", "h_0": "h_0", "c_0": "c_0"}
    sides = [
        {
            n.removesuffix(name): tensor
            for n, tensor in arguments.items()
            if n.endswith(name) and tensor is not None
        }
        for name in names
    ]
    biased = any(n.startswith("b") for side in sides for n in side)
    given = {state_names[n] for side in sides for n in side if n in state_names}
    found = []
    for side in sides:
        states = {state_names[n]: tensor for n, tensor in side.items() if n in state_names}
        weights: dict[str, Value] = {n: w for n, w in side.items() if n not in state_names}
        hidden, dtype = next(iter(weights.values())).shape[0], X.array.dtype
        zeros = np.zeros(hidden, dtype=dtype)
        if biased:
            weights.setdefault(form.arrays["B"][0].removeprefix("-"), zeros)
        nothing = np.zeros((1, X.shape[1], hidden), dtype=dtype)
        initial = [
            None if n not in given else _leading(states[n]) if n in states else nothing
            for n in (("h_0", "c_0") if operator == "LSTM" else ("h_0",))
        ]
        found.append((pack(form, weights, zeros, join), initial, hidden))
    return found


def _bidirectional(
    operator: str,
    X: Tensor,
    arguments: Mapping[str, Tensor | None],
    lengths: Tensor | None,
    **attributes: Any,
) -> tuple[Tensor, ...]:
    (forward, starts, hidden), (backward, other_starts, _) = _sides(
        operator, X, ("_fwd", "_bwd"), arguments
    )
    states, *finals = _recurrent(
        operator,
        X,
        {name: join([forward[name], backward[name]]) for name in forward},
        lengths,
        [
            None if a is None or b is None else join([a, b])
            for a, b in zip(starts, other_starts, strict=True)
        ],
        direction="bidirectional",
        hidden_size=hidden,
        **attributes,
    )
    # (T, 2, B, H) as (T, B, 2 * H), whose T and B are the transposed one's
    shape = np.array([0, 0, 2 * hidden], dtype=np.int64)
    both = op("Reshape", op("Transpose", states, perm=(0, 2, 1, 3)), shape)
    side = [np.array(d, dtype=np.int64) for d in (0, 1)]
    return both, *(op("Gather", final, d, axis=0) for d in side for final in finals)


def _stacked(
    operator: str,
    X: Tensor,
    arguments: Mapping[str, Tensor | None],
    lengths: Tensor | None,
    **attributes: Any,
) -> tuple[Tensor, ...]:
    """Two nodes, the states of the first the input of the second."""
    outputs, finals = X, []
    for arrays, initial, hidden in _sides(operator, X, ("_1", "_2"), arguments):
        states, *ends = _recurrent(
            operator, outputs, arrays, lengths, initial, hidden_size=hidden, **attributes
        )
        outputs = squeeze(states, 1)
        finals += [squeeze(end, 0) for end in ends]
    return outputs, *finals


def rnn_bidirectional(
    X: Tensor, lengths: Tensor | None = None, activation: str = "tanh", **arguments: Tensor | None
) -> tuple[Tensor, ...]:
    """RNN, bidirectional."""
    activations = (ACTIVATIONS[activation],) * 2
    return _bidirectional("RNN", X, arguments, lengths, activations=activations)


def gru_bidirectional(
    X: Tensor, lengths: Tensor | None = None, **arguments: Tensor | None
) -> tuple[Tensor, ...]:
    """GRU, bidirectional, linear_before_reset = 0."""
    return _bidirectional("GRU", X, arguments, lengths, **FORMS["onnx.GRU"].attributes)


def lstm_bidirectional(
    X: Tensor, lengths: Tensor | None = None, **arguments: Tensor | None
) -> tuple[Tensor, ...]:
    """LSTM, bidirectional."""
    return _bidirectional("LSTM", X, arguments, lengths)


def rnn_stacked(
    X: Tensor, lengths: Tensor | None = None, activation: str = "tanh", **arguments: Tensor | None
) -> tuple[Tensor, ...]:
    """Two RNN nodes."""
    return _stacked("RNN", X, arguments, lengths, activations=(ACTIVATIONS[activation],))


def gru_stacked(
    X: Tensor, lengths: Tensor | None = None, **arguments: Tensor | None
) -> tuple[Tensor, ...]:
    """Two GRU nodes, linear_before_reset = 0."""
    return _stacked("GRU", X, arguments, lengths, **FORMS["onnx.GRU"].attributes)


def lstm_stacked(
    X: Tensor, lengths: Tensor | None = None, **arguments: Tensor | None
) -> tuple[Tensor, ...]:
    """Two LSTM nodes."""
    return _stacked("LSTM", X, arguments, lengths)


def bptt_forward(
    X: Tensor,
    U: Tensor,
    W: Tensor,
    V: Tensor,
    S_0: Tensor | None = None,
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """RNN, then MatMul and Tanh on every state."""
    S = squeeze(_rnn(X, U, W, None, _leading(S_0), activation)[0], 1)
    return S, _outputs(S, V, None)


def glimpse_core(
    g: Tensor, h_prev: Tensor, U: Tensor, W: Tensor, b_h: Tensor | None = None
) -> Tensor:
    """RNN over one step, with Relu."""
    return rnn_unrolled(unsqueeze(g, 0), U, W, S_0=h_prev, b=b_h, activation="relu")


def frobenius_norm(A: Tensor) -> Tensor:
    """ReduceL2 over the last two axes."""
    return op("ReduceL2", A, np.array([-2, -1], dtype=np.int64), keepdims=0)


# attention and the Transformer


def _keep(
    mask: Tensor | None, lengths: Tensor | None, causal: bool, shape: tuple[int, ...]
) -> Value | None:
    """Which keys each query may see (B, N, L, S); None where it is all of them."""
    L, S = shape[2:]
    # is_causal begins at the first key, ours ends at the last one
    keep: Value | None = np.tri(L, S, S - L, dtype=bool) if causal else None
    within = None if lengths is None else op("Less", np.arange(S), unsqueeze(lengths, 1, 2, 3))
    for part in (mask, within):
        if part is not None:
            keep = part if keep is None else op("And", keep, part)
    if keep is None or isinstance(keep, np.ndarray):
        return None if keep is None else np.broadcast_to(keep, shape)
    return op("Expand", keep, np.array(shape, dtype=np.int64))


# an attention's fourth output is its weights, after the softmax
WEIGHTS = {"qk_matmul_output_mode": 3}


def scaled_dot_product_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    causal: bool = False,
) -> Tensor:
    """Attention."""
    return op("Attention", q, k, v, _keep(mask, lengths, causal, (*q.shape[:3], k.shape[2])))


def attention_weights(
    q: Tensor,
    k: Tensor,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    causal: bool = False,
) -> Tensor:
    """Attention's fourth output, the weights after the softmax."""
    keep = _keep(mask, lengths, causal, (*q.shape[:3], k.shape[2]))
    return ops("Attention", q, k, k, keep, outputs=(0, 3), **WEIGHTS)[1]


def soft_attention(
    scores: Tensor, values: Tensor, lengths: Tensor | None = None, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Attention, whose queries and keys are 0, with the scores as its additive mask."""
    if (scores.array == -np.inf).any():
        raise Unsupported("ONNX's Attention takes a score of -inf for a masked one.")
    (T, B), dtype = scores.shape, scores.array.dtype
    rows = None if mask is None else unsqueeze(op("Transpose", mask), 1, 2)
    keep = _keep(rows, lengths, False, (B, 1, 1, T))
    added = unsqueeze(op("Transpose", scores), 1, 2)
    if keep is not None:
        added = op("Where", keep, added, np.array(-np.inf, dtype=dtype))
    q, k = np.zeros((B, 1, 1, 1), dtype), np.zeros((B, 1, T, 1), dtype)
    v = unsqueeze(op("Transpose", values, perm=(1, 0, 2)), 1)
    y, p = ops("Attention", q, k, v, added, outputs=(0, 3), **WEIGHTS)
    return squeeze(y, 1, 2), op("Transpose", squeeze(p, 1, 2))


def translation_attention(h_d: Tensor, h_e: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Attention's weights, with scores that are not scaled."""
    q, k = (unsqueeze(op("Transpose", h, perm=(1, 0, 2)), 1) for h in (h_d, h_e))
    keep = _keep(None, lengths, False, (h_d.shape[1], 1, h_d.shape[0], h_e.shape[0]))
    _, p = ops("Attention", q, k, k, keep, outputs=(0, 3), scale=1.0, **WEIGHTS)
    return op("Transpose", squeeze(p, 1), perm=(1, 2, 0))


def translation_attentional_state(
    c: Tensor, h: Tensor, W_c: Tensor, b_c: Tensor | None = None
) -> Tensor:
    """Concat, Gemm and Tanh."""
    return _dense(op("Concat", c, h, axis=-1), W_c, b_c, "tanh")


def _heads(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: int,
    weights: Mapping[str, Tensor | None],
    keep: Value | None,
    side: str = "",
) -> Tensor:
    """Projections by MatMul around an Attention that splits the heads and joins them.

    `side` is the prefix of the weights.
    """

    def projected(x: Tensor, name: str) -> Tensor:
        W = weights[f"{side}W_{name}"]
        assert W is not None
        return _rows(x, W, weights.get(f"{side}b_{name}"))

    inputs = projected(q, "q"), projected(k, "k"), projected(v, "v"), keep
    return projected(op("Attention", *inputs, q_num_heads=heads, kv_num_heads=heads), "o")


def multi_head_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    heads: int = 1,
    causal: bool = False,
    **weights: Tensor | None,
) -> Tensor:
    """MatMul and Add, Attention, MatMul and Add."""
    keep = _keep(mask, lengths, causal, (q.shape[0], heads, q.shape[1], k.shape[1]))
    return _heads(q, k, v, heads, weights, keep)


def feed_forward(
    x: Tensor, W_1: Tensor, W_2: Tensor, b_1: Tensor | None = None, b_2: Tensor | None = None
) -> Tensor:
    """MatMul, Add and Relu, MatMul and Add."""
    return _rows(op("Relu", _rows(x, W_1, b_1)), W_2, b_2)


def _feeding(weights: Mapping[str, Tensor | None]) -> Callable[[Tensor], Tensor]:
    given: dict[str, Any] = {name: weights.get(name) for name in ("W_1", "W_2", "b_1", "b_2")}
    return functools.partial(feed_forward, **given)


EPSILON = 1e-5


def _add_norm(
    x: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    norm: str,
    inner: Callable[[Tensor], Tensor],
) -> Tensor:
    """A sublayer with its residual connection, Add, and LayerNormalization behind or before."""

    def normalised(a: Tensor) -> Tensor:
        return op("LayerNormalization", a, gamma, beta, axis=-1, epsilon=EPSILON)

    if norm == "post":
        return normalised(op("Add", x, inner(x)))
    return op("Add", x, inner(normalised(x)))


def encoder_layer(
    x: Tensor,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    heads: int = 1,
    norm: str = "post",
    **weights: Tensor | None,
) -> Tensor:
    """The operators of `multi_head_attention` and `feed_forward`, Add and LayerNormalization."""
    _refuse_epsilon(EPSILON, x)
    keep = _keep(mask, lengths, False, (x.shape[0], heads, x.shape[1], x.shape[1]))

    def attend(a: Tensor) -> Tensor:
        return _heads(a, a, a, heads, weights, keep, "self_")

    a = _add_norm(x, weights["gamma_1"], weights["beta_1"], norm, attend)
    y = _add_norm(a, weights["gamma_2"], weights["beta_2"], norm, _feeding(weights))
    return _within(y, lengths, x, 1)


def decoder_layer(
    x: Tensor,
    memory: Tensor,
    lengths: Tensor | None = None,
    memory_lengths: Tensor | None = None,
    heads: int = 1,
    norm: str = "post",
    **weights: Tensor | None,
) -> Tensor:
    """Attention to itself and to the memory, the feed-forward network: as in `encoder_layer`."""
    _refuse_epsilon(EPSILON, x)
    (B, L, _), S = x.shape, memory.shape[1]
    keep = _keep(None, lengths, True, (B, heads, L, L))
    look = _keep(None, memory_lengths, False, (B, heads, L, S))

    def attend(a: Tensor) -> Tensor:
        return _heads(a, a, a, heads, weights, keep, "self_")

    def cross(a: Tensor) -> Tensor:
        return _heads(a, memory, memory, heads, weights, look, "cross_")

    a = _add_norm(x, weights["gamma_1"], weights["beta_1"], norm, attend)
    c = _add_norm(a, weights["gamma_2"], weights["beta_2"], norm, cross)
    y = _add_norm(c, weights["gamma_3"], weights["beta_3"], norm, _feeding(weights))
    return _within(y, lengths, x, 1)


# multi-layer perceptrons by their names elsewhere


def glimpse_action(h: Tensor, W_a: Tensor, b_a: Tensor | None = None) -> Tensor:
    """Gemm and Softmax."""
    return op("Softmax", affine(h, W_a, b_a), axis=-1)


def gan_generator(
    z: Tensor,
    W_G1: Tensor,
    W_G2: Tensor,
    b_G1: Tensor | None = None,
    b_G2: Tensor | None = None,
    activation: str = "relu",
    output_activation: str = "identity",
) -> Tensor:
    """Gemm and an activation, twice."""
    return mlp(z, W_G1, W_G2, None, b_G1, b_G2, None, activation, output_activation)


def gan_discriminator(
    x: Tensor,
    W_D1: Tensor,
    W_D2: Tensor,
    b_D1: Tensor | None = None,
    b_D2: Tensor | None = None,
    activation: str = "relu",
) -> tuple[Tensor, Tensor]:
    """Gemm and an activation, Gemm, and Sigmoid."""
    a = squeeze(_dense(_dense(x, W_D1, b_D1, activation), W_D2, b_D2), 1)
    return op("Sigmoid", a), a


_FUNCTIONS: tuple[Callable[..., Any], ...] = (
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
OPERATIONS: dict[str, Callable[..., Any]] = {each.__name__: each for each in _FUNCTIONS}

FORWARD_ONLY = "ONNX's operators run forward only."
# why the other operations are no models, by operation and by topic
UNSUPPORTED = {
    **{f"{name}.vjp": FORWARD_ONLY for name in OPERATIONS if f"{name}.vjp" in spec().operations},
    "attention": "ONNX's Attention has neither scores for themselves nor a draw.",
    "bptt": FORWARD_ONLY,
    "captioning": "ONNX has no operator for captioning, nor a layer of it.",
    "gan": "ONNX has no loss on logits and no draw from given numbers; its operators run forward.",
    "glimpse": "ONNX has no sensor of several scales, and its operators run forward.",
    "lstm": "ONNX's LSTM has three gates and squashes its cell; a graph counts nothing.",
    "transformer": "ONNX has no positions of words as an operator.",
    "translation": "ONNX has no operator for translation; its attention answers here.",
}


class Model(NamedTuple):
    """A model of one operation at the sizes of its inputs, and those inputs by name."""

    proto: ModelProto
    feeds: dict[str, Array]
    outputs: tuple[str, ...]

    def read(self, results: Sequence[Array]) -> dict[str, Array]:
        """The results of a run by output name."""
        return dict(zip(self.outputs, results, strict=True))


def model_of(name: str, arguments: Mapping[str, Any]) -> Model:
    """The model of an operation of this name for these inputs and attributes.

    Raises Unsupported where ONNX's operators cannot express it.
    """
    operation = spec().operations[name]
    if name not in OPERATIONS:
        raise Unsupported(
            next(UNSUPPORTED[key] for key in (name, operation.topic) if key in UNSUPPORTED)
        )
    graph = Graph()
    given = {
        argument: graph.input(argument, np.array(value, order="C"))
        if isinstance(value, np.ndarray)
        else value
        for argument, value in arguments.items()
        if value is not None
    }
    made = as_outputs(operation, OPERATIONS[name](**given))
    # bfloat16 is of no kind of NumPy's
    floats = [x.array.dtype for x in graph.inputs.values() if x.array.dtype.kind in "fV"]
    outputs = {
        output: np.dtype(np.int64) if output in operation.integers else floats[0]
        for output in operation.outputs
    }
    proto = graph.model(name, {output: (made[output], dtype) for output, dtype in outputs.items()})
    return Model(proto, {n: x.array for n, x in graph.inputs.items()}, tuple(outputs))
