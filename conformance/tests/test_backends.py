"""The adapters: their conventions, their answers beside the reference's, their reasons."""

import importlib
import inspect
import warnings
from typing import Any

import numpy as np
import pytest

import nnspec.reference.gru
import nnspec.reference.lstm
import nnspec.reference.primitives
import nnspec.reference.rnn
from nnspec.conformance.backends import Unsupported, accel, reference
from nnspec.conformance.backends.conventions import FORMS, Form, pack, unpack
from nnspec.conformance.cases.draft import draw
from nnspec.conformance.suite import Vector, suite
from nnspec.reference.array import Array
from nnspec.spec.loader import Operation, dimensions, spec

FRAMEWORKS = ("torch", "jax", "onnxruntime")
SIZES = {"T": 5, "B": 2, "I": 3, "H": 4, "K": 7, "O": 6, "M": 7, "P": 8, "N": 4, "J": 5}
# what a correct float32 result may differ by at these sizes; the vectors hold the exact budgets
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}

RNN = {
    *("rnn_step", "rnn_sequence", "rnn_unrolled", "rnn_one_to_many", "rnn_many_to_one"),
    *("rnn_many_to_many", "rnn_encoder_decoder", "rnn_bidirectional", "rnn_stacked"),
    *("bptt_forward", "glimpse_core"),
}
GRU = {
    *("gru_step", "gru_sequence", "gru_reset_after_step", "gru_reset_after_sequence"),
    *("gru_bidirectional", "gru_stacked"),
}
LSTM = {
    *("lstm_step", "lstm_sequence", "lstm_peephole_step", "lstm_peephole_sequence"),
    *("lstm_bidirectional", "lstm_stacked"),
}
# what onnxruntime has no float64 kernel for, and what has an epsilon that its graphs cannot hold
NO_FLOAT64 = {"softplus", "encoder_layer", "decoder_layer"} | RNN | GRU | LSTM

# (framework, dtype, operation): what it errs by at plain inputs
DEVIATIONS = {
    # the divisor is the norm + 1e-6
    ("torch", "float32", "clip_gradient_norm"): 1e-6,
    ("torch", "float64", "clip_gradient_norm"): 1e-6,
    # jax makes the softmax in float32, onnxruntime holds the scale in it
    **{
        (framework, "float64", operation): 1e-6
        for framework in ("jax", "onnxruntime")
        for operation in (
            *("soft_attention", "soft_attention.vjp"),
            *("attention_weights", "scaled_dot_product_attention", "multi_head_attention"),
            *("attention_weights.vjp", "scaled_dot_product_attention.vjp"),
            *("translation_attention", "translation_attention.vjp"),
        )
    },
}


def adapter(name: str) -> Any:
    pytest.importorskip(name)
    return importlib.import_module(f"nnspec.conformance.backends.{name}")


def arguments(operation: Operation, dtype: str, optional: bool) -> dict[str, Any]:
    """Inputs of an operation (its forward's, where it is a VJP), all optional ones or none."""
    operation = spec().operations[operation.base]
    shapes = operation.inputs | (operation.optional if optional else {})
    given: dict[str, Any] = {
        name: draw(
            f"{operation.name} {name}", *((3, 4) if shape == "..." else dimensions(shape, SIZES))
        ).astype(dtype)
        for name, shape in shapes.items()
        if name not in operation.integers
    }
    if "steps" in operation.attributes:
        given["steps"] = 3
    return given | {name: np.array([2, 5]) for name in operation.integers if name in shapes}


def outputs(operation: Operation, result: Any) -> dict[str, Array]:
    if isinstance(result, dict):
        return result
    results = result if isinstance(result, tuple) else (result,)
    return dict(zip(operation.outputs, results, strict=True))


def with_cotangents(operation: Operation, given: dict[str, Any]) -> dict[str, Any]:
    forward = spec().operations[operation.base]
    made = outputs(forward, getattr(reference, forward.function)(**given))
    return given | {
        f"d{name}": draw(f"{operation.name} d{name}", *y.shape).astype(y.dtype)
        for name, y in made.items()
    }


def compare(backend: Any, operation: Operation, given: dict[str, Any], dtype: str) -> None:
    if operation.name != operation.base:
        given = with_cotangents(operation, given)
    wanted = outputs(operation, getattr(reference, operation.function)(**given))
    got = outputs(operation, getattr(backend, operation.function)(**given))
    assert got.keys() == wanted.keys()
    for name, value in wanted.items():
        assert isinstance(got[name], np.ndarray)
        assert got[name].dtype == dtype
        assert got[name].shape == value.shape
        np.testing.assert_allclose(
            got[name], value, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], err_msg=name
        )


# conventions


def gru_weights(hidden: int, inputs: int, *biases: str) -> dict[str, Array]:
    matrices = {
        name: draw(f"forms {name}", hidden, hidden + inputs) for name in ("W_z", "W_r", "W")
    }
    return matrices | {name: draw(f"forms {name}", hidden) for name in biases}


def rnn_weights(hidden: int, inputs: int, *biases: str) -> dict[str, Array]:
    matrices = {"U": draw("forms U", hidden, inputs), "W": draw("forms rnn W", hidden, hidden)}
    return matrices | {name: draw(f"forms {name}", hidden) for name in biases}


def lstm_weights(hidden: int, inputs: int, *vectors: str) -> dict[str, Array]:
    matrices = {
        name: draw(f"forms {name}", hidden, hidden + inputs)
        for name in ("W_i", "W_f", "W_g", "W_o")
    }
    return matrices | {name: draw(f"forms {name}", hidden) for name in vectors}


LSTM_BIASES = ("b_i", "b_f", "b_g", "b_o")
PEEPHOLES = ("p_i", "p_f", "p_o")


def weights_of(form: Form, biased: bool) -> dict[str, Array]:
    blocks = " ".join(block for row in form.arrays.values() for block in row)
    if "U" in blocks:
        return rnn_weights(4, 3, *("b" if biased else ""))
    if "W_i" in blocks:
        peepholes = PEEPHOLES if "p_i" in blocks else ()
        return lstm_weights(4, 3, *peepholes, *(LSTM_BIASES if biased else ()))
    biases = ["b_z", "b_r", "b"] + (["b_h"] if "b_h" in blocks else [])
    return gru_weights(4, 3, *(biases if biased else []))


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("name", FORMS)
def test_packing_is_undone_by_unpacking(name: str, biased: bool) -> None:
    weights = weights_of(FORMS[name], biased)
    packed = pack(FORMS[name], weights, np.zeros(4))
    restored = unpack(FORMS[name], packed)
    assert restored.keys() == weights.keys()
    for key, value in weights.items():
        np.testing.assert_array_equal(restored[key], value)
    assert biased or not any(key == "B" or key.startswith("bias") for key in packed)


def test_two_biases_of_one_gate_add_up() -> None:
    arrays = {
        "weight_ih": np.zeros((9, 2)),
        "weight_hh": np.zeros((9, 3)),
        "bias_ih": np.arange(9.0),
        "bias_hh": np.full(9, 10.0),
    }
    deck = unpack(FORMS["torch.GRU"], arrays)
    np.testing.assert_array_equal(deck["b_r"], [10, 11, 12])
    np.testing.assert_array_equal(deck["b_z"], [13, 14, 15])
    np.testing.assert_array_equal(deck["b"], [6, 7, 8])  # the candidate's second bias is b_h
    np.testing.assert_array_equal(deck["b_h"], [10, 10, 10])


def test_one_bias_brings_all_arrays_of_biases() -> None:
    packed = pack(FORMS["torch.GRU"], gru_weights(3, 2, "b_h"), np.zeros(3))
    np.testing.assert_array_equal(packed["bias_ih"], np.zeros(9))
    np.testing.assert_array_equal(packed["bias_hh"][:6], np.zeros(6))
    assert np.all(packed["bias_hh"][6:])


def test_the_forms_by_hand() -> None:
    # one unit, one input: [h_prev, x] has one column each
    weights = {
        "W_z": np.array([[1.0, 2.0]]),
        "W_r": np.array([[3.0, 4.0]]),
        "W": np.array([[5.0, 6.0]]),
        "b_z": np.array([7.0]),
        "b_r": np.array([8.0]),
        "b": np.array([9.0]),
    }
    zeros = np.zeros(1)
    onnx = pack(FORMS["onnx.GRU"], weights, zeros)
    assert onnx["W"].tolist() == [[[-2.0], [4.0], [6.0]]]
    assert onnx["R"].tolist() == [[[-1.0], [3.0], [5.0]]]
    assert onnx["B"].tolist() == [[-7.0, 8.0, 9.0, 0.0, 0.0, 0.0]]
    keras = pack(FORMS["keras.GRU"], weights, zeros)
    assert keras["kernel"].tolist() == [[-2.0, 4.0, 6.0]]
    assert keras["recurrent_kernel"].tolist() == [[-1.0, 3.0, 5.0]]
    assert keras["bias"].tolist() == [-7.0, 8.0, 9.0]
    variant = weights | {"b_h": np.array([10.0])}
    onnx = pack(FORMS["onnx.GRU reset after"], variant, zeros)
    assert onnx["W"].tolist() == [[[2.0], [4.0], [6.0]]]
    assert onnx["B"].tolist() == [[7.0, 8.0, 9.0, 0.0, 0.0, 10.0]]
    torch = pack(FORMS["torch.GRU"], variant, zeros)
    assert torch["weight_ih"].tolist() == [[4.0], [2.0], [6.0]]
    assert torch["weight_hh"].tolist() == [[3.0], [1.0], [5.0]]
    assert torch["bias_ih"].tolist() == [8.0, 7.0, 9.0]
    assert torch["bias_hh"].tolist() == [0.0, 0.0, 10.0]
    gates = {f"W_{gate}": np.array([[n, n + 0.5]]) for n, gate in enumerate("ifgo", start=1)} | {
        f"b_{gate}": np.array([10.0 * n]) for n, gate in enumerate("ifgo", start=1)
    }
    gates |= {"p_i": np.array([7.0]), "p_f": np.array([8.0]), "p_o": np.array([9.0])}
    onnx = pack(FORMS["onnx.LSTM peephole"], gates, zeros)
    assert onnx["W"].tolist() == [[[1.5], [4.5], [2.5], [3.5]]]
    assert onnx["R"].tolist() == [[[1.0], [4.0], [2.0], [3.0]]]
    assert onnx["B"].tolist() == [[10.0, 40.0, 20.0, 30.0, 0.0, 0.0, 0.0, 0.0]]
    assert onnx["P"].tolist() == [[7.0, 9.0, 8.0]]
    for name, kernel in (("torch.LSTM", "weight_ih"), ("keras.LSTM", "kernel")):
        packed = pack(FORMS[name], gates, zeros)
        assert packed[kernel].reshape(-1).tolist() == [1.5, 2.5, 3.5, 4.5]


def test_a_missing_matrix_and_a_bad_block_are_refused() -> None:
    with pytest.raises(KeyError, match="W_r"):
        pack(FORMS["torch.GRU"], {"W_z": np.zeros((3, 5)), "W": np.zeros((3, 5))}, np.zeros(3))
    with pytest.raises(ValueError, match=r"'W\.y' is not a block"):
        unpack(Form({"W": ("W.y",)}), {"W": np.zeros((3, 5))})


def evaluate_onnx(operator: str, form: str, weights: dict[str, Array], **attributes: Any) -> Array:
    """The states (T, B, H) of ONNX's own Python evaluator, a third implementation."""
    onnx = pytest.importorskip("onnx")
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator
    feeds = {"X": draw("forms X", 5, 2, 3), "h": draw("forms h", 2, 4)[None]}
    feeds |= pack(FORMS[form], weights, np.zeros(4))
    inputs = ["X", "W", "R", "B", "", "h"]
    if operator == "LSTM":
        feeds["c"] = draw("forms c", 2, 4)[None]
        inputs += ["c", "P" if "P" in feeds else ""]
    node = onnx.helper.make_node(operator, inputs, ["Y", ""], hidden_size=4, **attributes)
    double = onnx.TensorProto.DOUBLE
    graph = onnx.helper.make_graph(
        [node],
        "form",
        [onnx.helper.make_tensor_value_info(n, double, [None] * a.ndim) for n, a in feeds.items()],
        [onnx.helper.make_tensor_value_info("Y", double, None)],
    )
    opsets = [onnx.helper.make_opsetid("", 21)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    states: Array = evaluator(model).run(["Y"], feeds)[0]
    return states[:, 0]


def test_forms_beside_onnx_evaluator() -> None:
    X, state, cell = draw("forms X", 5, 2, 3), draw("forms h", 2, 4), draw("forms c", 2, 4)
    deck = gru_weights(4, 3, "b_z", "b_r", "b")
    variant = gru_weights(4, 3, "b_z", "b_r", "b", "b_h")
    elman: dict[str, Any] = rnn_weights(4, 3, "b")
    lstm: dict[str, Any] = lstm_weights(4, 3, *LSTM_BIASES)
    peephole: dict[str, Any] = lstm_weights(4, 3, *LSTM_BIASES, *PEEPHOLES)
    for got, wanted in (
        (
            evaluate_onnx("GRU", "onnx.GRU", deck, linear_before_reset=0),
            nnspec.reference.gru.gru_sequence(X, h_0=state, **deck)[0],
        ),
        (
            evaluate_onnx("GRU", "onnx.GRU reset after", variant, linear_before_reset=1),
            nnspec.reference.gru.gru_reset_after_sequence(X, h_0=state, **variant)[0],
        ),
        (
            evaluate_onnx("RNN", "onnx.RNN", elman, activations=["Tanh"]),
            nnspec.reference.rnn.rnn_sequence(X, S_0=state, **elman)[0],
        ),
        (
            evaluate_onnx("LSTM", "onnx.LSTM", lstm),
            nnspec.reference.lstm.lstm_sequence(X, h_0=state, c_0=cell, **lstm)[0],
        ),
        (
            evaluate_onnx("LSTM", "onnx.LSTM peephole", peephole),
            nnspec.reference.lstm.lstm_peephole_sequence(X, h_0=state, c_0=cell, **peephole)[0],
        ),
    ):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=TOLERANCE["float64"])


def test_forms_beside_torch_layers() -> None:
    torch = pytest.importorskip("torch")
    X, state, cell = draw("forms X", 5, 2, 3), draw("forms h", 2, 4), draw("forms c", 2, 4)
    variant = gru_weights(4, 3, "b_z", "b_r", "b", "b_h")
    elman: dict[str, Any] = rnn_weights(4, 3, "b")
    lstm: dict[str, Any] = lstm_weights(4, 3, *LSTM_BIASES)
    for layer, form, weights, wanted in (
        (
            torch.nn.GRU(3, 4, dtype=torch.float64),
            "torch.GRU",
            variant,
            nnspec.reference.gru.gru_reset_after_sequence(X, h_0=state, **variant)[0],
        ),
        (
            torch.nn.RNN(3, 4, dtype=torch.float64),
            "torch.RNN",
            elman,
            nnspec.reference.rnn.rnn_sequence(X, S_0=state, **elman)[0],
        ),
        (
            torch.nn.LSTM(3, 4, dtype=torch.float64),
            "torch.LSTM",
            lstm,
            nnspec.reference.lstm.lstm_sequence(X, h_0=state, c_0=cell, **lstm)[0],
        ),
    ):
        arrays = pack(FORMS[form], weights, np.zeros(4))
        layer.load_state_dict({f"{n}_l0": torch.from_numpy(a) for n, a in arrays.items()})
        first, second = (torch.from_numpy(s)[None] for s in (state, cell))
        with torch.no_grad():
            start = (first, second) if form == "torch.LSTM" else first
            got = layer(torch.from_numpy(X), start)[0].numpy()
        np.testing.assert_allclose(got, wanted, rtol=0, atol=TOLERANCE["float64"])


def test_forms_beside_keras_layers() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # keras imports what its backend deprecates
        keras = pytest.importorskip("keras")
    X, state, cell = draw("forms X", 5, 2, 3), draw("forms h", 2, 4), draw("forms c", 2, 4)
    deck = gru_weights(4, 3, "b_z", "b_r", "b")
    elman: dict[str, Any] = rnn_weights(4, 3, "b")
    lstm: dict[str, Any] = lstm_weights(4, 3, *LSTM_BIASES)
    for layer, form, weights, wanted in (
        (
            keras.layers.LSTM,
            "keras.LSTM",
            lstm,
            nnspec.reference.lstm.lstm_sequence(X, h_0=state, c_0=cell, **lstm)[0],
        ),
        (
            keras.layers.GRU,
            "keras.GRU",
            deck,
            nnspec.reference.gru.gru_sequence(X, h_0=state, **deck)[0],
        ),
        (
            keras.layers.SimpleRNN,
            "keras.SimpleRNN",
            elman,
            nnspec.reference.rnn.rnn_sequence(X, S_0=state, **elman)[0],
        ),
    ):
        made = layer(4, return_sequences=True, **FORMS[form].attributes)
        made.build((2, 5, 3))
        made.set_weights(list(pack(FORMS[form], weights, np.zeros(4)).values()))
        start = [s.astype("float32") for s in (state, cell)]
        got = np.asarray(
            made(
                X.swapaxes(0, 1).astype("float32"),
                initial_state=start if form == "keras.LSTM" else start[0],
            )
        ).swapaxes(0, 1)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=TOLERANCE["float32"])


# answers


# torch's heads share out the size of the model, and no vector of these has such heads
UNEQUAL_HEADS = {"encoder_layer.vjp", "decoder_layer.vjp"}


def refused_by(name: str, dtype: str) -> set[str]:
    return NO_FLOAT64 if (name, dtype) == ("onnxruntime", "float64") else set()


@pytest.mark.parametrize("optional", [False, True], ids=["required", "all"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_recurrent_layers_answer_as_the_reference(name: str, dtype: str, optional: bool) -> None:
    backend = adapter(name)
    refused, asked = set(), set()
    for operation in spec().operations.values():
        if operation.topic not in ("rnn", "gru", "lstm") or not hasattr(
            backend, operation.function
        ):
            continue
        asked.add(operation.name)
        try:
            compare(backend, operation, arguments(operation, dtype, optional), dtype)
        except Unsupported:
            refused.add(operation.name)
    assert refused == refused_by(name, dtype) & asked


def plain_vectors(dtype: str) -> dict[str, list[Vector]]:
    """By operation, cases without anything special about them, nor an empty input."""
    found: dict[str, list[Vector]] = {}
    for vector in suite().vectors:
        sizes = [array.size for array in vector.inputs.values()]
        harmless = set(vector.case.flags) <= {"plain", "square", "variant", "hand"}
        if vector.case.dtype == dtype and harmless and min(sizes):
            found.setdefault(vector.operation.name, []).append(vector)
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_plain_case_of_every_operation(name: str, dtype: str) -> None:
    backend, vectors = adapter(name), plain_vectors(dtype)
    refused = set()
    for operation in spec().operations.values():
        if not hasattr(backend, operation.function):
            continue
        for vector in vectors[operation.name]:
            try:
                result = getattr(backend, operation.function)(**vector.arguments)
            except Unsupported:
                continue  # perhaps in other shapes: torch's heads share out the model's size
            break
        else:
            refused.add(operation.name)
            continue
        tolerance = DEVIATIONS.get((name, dtype, operation.name), TOLERANCE[dtype])
        for output, got in outputs(operation, result).items():
            wanted = vector.outputs[output]
            assert got.shape == wanted.shape, vector.id
            assert got.dtype == ("int64" if output in operation.integers else dtype), vector.id
            np.testing.assert_allclose(
                got, wanted, rtol=tolerance, atol=tolerance, err_msg=f"{vector.id}: {output}"
            )
    assert refused == refused_by(name, dtype) | (UNEQUAL_HEADS if name == "torch" else set())


@pytest.mark.parametrize("name", ["torch", "onnxruntime"])
@pytest.mark.parametrize(
    "operation", ["scaled_dot_product_attention", "attention_weights", "soft_attention"]
)
def test_masks_of_attention(name: str, operation: str) -> None:
    backend, answered = adapter(name), set()
    for vector in suite().vectors:
        case = vector.case
        if vector.operation.name != operation or case.dtype != "float32":
            continue
        if {"special", "zero-length", "long"} & set(case.flags) or "nan" in case.id:
            continue
        result = getattr(backend, operation)(**vector.arguments)
        for output, got in outputs(vector.operation, result).items():
            np.testing.assert_allclose(
                got, vector.outputs[output], rtol=1e-5, atol=1e-5, err_msg=vector.id
            )
        answered |= {"mask", "lengths", "causal"} & (vector.inputs.keys() | case.attributes.keys())
    wanted = {"mask", "lengths"} | (set() if operation == "soft_attention" else {"causal"})
    assert answered == wanted


@pytest.mark.parametrize("name", ["torch", "onnxruntime"])
def test_a_score_of_minus_infinity_is_refused(name: str) -> None:
    scores = np.array([[0.0], [-np.inf]], dtype=np.float32)
    with pytest.raises(Unsupported, match=r"takes a score of -inf for a masked one\.$"):
        adapter(name).soft_attention(scores=scores, values=np.ones((2, 1, 3), dtype=np.float32))


@pytest.mark.parametrize("lengths", [False, True], ids=["full", "lengths"])
@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("name", ["multi_head_attention", "encoder_layer", "decoder_layer"])
def test_layers_of_torch_with_heads_of_its_size(name: str, norm: str, lengths: bool) -> None:
    sizes = {"B": 2, "L": 5, "S": 3, "D": 6, "P": 6, "R": 6, "H": 4}
    for suffix in ("", ".vjp"):
        declared = spec().operations[name + suffix]
        forward = spec().operations[name]
        given: dict[str, Any] = {
            given: draw(f"{name} {given}", *dimensions(shape, sizes))
            for given, shape in (forward.inputs | forward.optional).items()
            if given not in (*forward.integers, *forward.booleans)
        }
        given["heads"] = 3
        if "norm" in forward.attributes:
            given["norm"] = norm
        if lengths:
            # of the keys: as many as there are, and fewer
            given["lengths"] = np.array([2, 3] if name == "multi_head_attention" else [5, 4])
            if "memory_lengths" in forward.optional:
                given["memory_lengths"] = np.array([1, 3])
        compare(adapter("torch"), declared, given, "float64")


@pytest.mark.parametrize("name", ["torch", "onnxruntime"])
@pytest.mark.parametrize(
    "operation",
    [f"{cell}_{kind}" for cell in ("rnn", "gru", "lstm") for kind in ("bidirectional", "stacked")],
)
def test_biases_and_states_of_one_side_alone(name: str, operation: str) -> None:
    backend, declared = adapter(name), spec().operations[operation]
    if not hasattr(backend, operation):
        assert operation in backend.UNSUPPORTED
        return
    sizes = SIZES | {"K": 4}  # layers of one size are one layer object of torch
    for side in ("_fwd", "_bwd") if operation.endswith("bidirectional") else ("_1", "_2"):
        given = {
            given: draw(f"one side {given}", *dimensions(shape, sizes)).astype("float32")
            for given, shape in (declared.inputs | declared.optional).items()
            if given != "lengths" and (given in declared.inputs or given.endswith(side))
        }
        compare(backend, declared, given, "float32")
        first_bias = next(n for n in given if n.startswith("b"))
        compare(backend, declared, {n: a for n, a in given.items() if n != first_bias}, "float32")


@pytest.mark.parametrize("name", FRAMEWORKS)
@pytest.mark.parametrize(
    ("operation", "attribute", "values"),
    [
        ("softmax", "axis", [0, 1, -2]),
        ("mlp", "activation", ["tanh", "sigmoid", "relu", "identity"]),
        ("mlp", "output_activation", ["tanh", "sigmoid", "relu", "identity"]),
        ("rnn_output", "activation", ["tanh", "sigmoid", "identity"]),
        ("rnn_deep_output", "activation", ["tanh", "sigmoid", "relu"]),
        ("rnn_one_to_one", "activation", ["tanh", "sigmoid"]),
    ],
)
def test_attributes(name: str, operation: str, attribute: str, values: list[Any]) -> None:
    backend = adapter(name)
    for suffix in ("", ".vjp"):
        declared = spec().operations[operation + suffix]
        if hasattr(backend, declared.function):
            for value in values:
                given = arguments(declared, "float32", True) | {attribute: value}
                compare(backend, declared, given, "float32")


@pytest.mark.parametrize(
    "operation", ["rnn_step", "rnn_sequence", "rnn_one_to_many", "rnn_many_to_many"]
)
def test_onnxruntime_has_the_sigmoid_state(operation: str) -> None:
    declared = spec().operations[operation]
    given = arguments(declared, "float32", True) | {"activation": "sigmoid"}
    compare(adapter("onnxruntime"), declared, given, "float32")


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("torch", "affine.vjp"),
        ("torch", "gru_reset_after_sequence"),
        ("jax", "affine"),
        ("jax", "affine.vjp"),
        ("onnxruntime", "affine"),
        ("onnxruntime", "gru_sequence"),
    ],
)
def test_inputs_in_any_layout_are_read_and_left_alone(name: str, operation: str) -> None:
    backend, declared = adapter(name), spec().operations[operation]
    given = arguments(declared, "float32", True)
    for key, value in given.items():
        # the same values, stored backwards, and not to be written
        given[key] = value[::-1].copy()[::-1]
        given[key].flags.writeable = False
    compare(backend, declared, given, "float32")


@pytest.mark.parametrize("name", ["reference", "torch"])
def test_the_gradient_of_an_absent_state_is_returned(name: str) -> None:
    backend = reference if name == "reference" else adapter(name)
    declared = spec().operations["rnn_many_to_one.vjp"]
    given = with_cotangents(declared, arguments(declared, "float64", False))
    got = backend.rnn_many_to_one_vjp(**given)
    assert got.keys() == {"dX", "dU", "dW", "dV", "dS_0"}
    assert got["dS_0"].shape == (2, 4)


# what is not there


@pytest.mark.parametrize("name", [*FRAMEWORKS, "reference"])
def test_every_operation_is_there_or_has_a_reason(name: str) -> None:
    backend = reference if name == "reference" else adapter(name)
    for operation in spec().operations.values():
        reasons = {operation.name, operation.topic} & backend.UNSUPPORTED.keys()
        assert hasattr(backend, operation.function) or reasons, operation.name
        assert not (hasattr(backend, operation.function) and operation.name in reasons)
    for key, reason in backend.UNSUPPORTED.items():
        assert key in spec().operations or key in spec().topics
        assert reason.endswith(".")


@pytest.mark.parametrize("name", [*FRAMEWORKS, "reference", "accel"])
def test_what_a_backend_tells_of_itself(name: str) -> None:
    backend = {"reference": reference, "accel": accel}.get(name) or adapter(name)
    narrow = {"accel": (), "onnxruntime": ("float16",)}.get(name, ("float16", "bfloat16"))
    assert list(backend.DTYPES) == ["float32", "float64", *narrow]
    assert backend.VERSION.split()[0] == ("nnspec" if name in ("reference", "accel") else name)
    assert not hasattr(backend, "no_such_operation")


def test_reference_answers_by_name() -> None:
    assert inspect.unwrap(reference.gru_step_vjp) is nnspec.reference.gru.gru_step_vjp
    assert inspect.unwrap(reference.sigmoid) is nnspec.reference.primitives.sigmoid
    assert not hasattr(reference, "rename")  # a helper of the module, no operation


def test_accel_answers_by_name() -> None:
    primitives = importlib.import_module("nnspec.accel.primitives")
    assert accel.softmax is primitives.softmax


def test_torch_refuses_by_name() -> None:
    torch = adapter("torch")
    assert not hasattr(torch, "gru_step")
    assert "resets after" in torch.UNSUPPORTED["gru_sequence.vjp"]
    declared = spec().operations["rnn_sequence"]
    given = arguments(declared, "float32", True)
    with pytest.raises(Unsupported, match="tanh and relu, not sigmoid"):
        torch.rnn_sequence(**given | {"activation": "sigmoid"})
    with pytest.raises(Unsupported, match="greater than 0"):
        torch.rnn_sequence(**given | {"lengths": np.array([0, 5])})
    del given["lengths"]
    with pytest.raises(Unsupported, match="larger than 0"):
        torch.rnn_sequence(**given | {"X": given["X"][:0]})
    # a wrong call is an error of the caller, not a limit of torch
    with pytest.raises(RuntimeError):
        torch.rnn_sequence(**given | {"U": given["U"][:, :2]})


@pytest.mark.parametrize("name", ["torch", "onnxruntime"])
def test_no_steps_give_nothing(name: str) -> None:
    backend = adapter(name)
    for operation in ("rnn_one_to_many", "rnn_one_to_many.vjp"):
        declared = spec().operations[operation]
        if hasattr(backend, declared.function):
            compare(
                backend, declared, arguments(declared, "float32", True) | {"steps": 0}, "float32"
            )


def test_onnxruntime_refuses_by_name() -> None:
    onnxruntime = adapter("onnxruntime")
    assert "inference only" in onnxruntime.UNSUPPORTED["gru_step.vjp"]
    declared = spec().operations["rnn_step"]
    given = arguments(declared, "float64", True)
    with pytest.raises(Unsupported) as refused:
        onnxruntime.rnn_step(**given)
    reason = "onnxruntime in float64: Could not find an implementation for RNN(7)."
    assert str(refused.value) == reason
    with pytest.raises(Unsupported, match=r"float64: GRU operator does not support double yet\.$"):
        onnxruntime.gru_step(**arguments(spec().operations["gru_step"], "float64", True))
    given = {"x": np.ones((2, 3)), "gamma": np.ones(3), "beta": np.ones(3)}
    with pytest.raises(Unsupported, match=r"as a float32, and none of these is 1e-05\.$"):
        onnxruntime.layer_norm(**given)
    assert onnxruntime.layer_norm(**given, eps=0.25).dtype == np.float64
    # a wrong call is an error of the caller, not a limit of onnxruntime
    wrong = arguments(declared, "float32", True)
    with pytest.raises(Exception, match="Input"):
        onnxruntime.rnn_step(**wrong | {"S_prev": wrong["S_prev"][:1]})


def test_jax_refuses_by_topic() -> None:
    jax = adapter("jax")
    assert not hasattr(jax, "rnn_step")
    assert "no recurrent layer" in jax.UNSUPPORTED["rnn"]
    assert "no recurrent layer" in jax.UNSUPPORTED["gru"]
