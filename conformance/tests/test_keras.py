"""The keras adapter, which runs on jax: answers beside the truth, forms, reasons."""

import importlib
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from nnspec.conformance.backends import Unsupported
from nnspec.conformance.backends.conventions import FORMS, pack
from nnspec.conformance.cases.draft import draw
from nnspec.conformance.runner import run_object
from nnspec.conformance.suite import Vector, select, suite
from nnspec.reference.gru import gru_reset_after_sequence
from nnspec.spec.loader import spec

pytestmark = pytest.mark.filterwarnings("ignore")
for package in ("keras", "jax"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed", allow_module_level=True)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # keras imports what its backend deprecates
    from nnspec.conformance.backends import keras as backend


@pytest.fixture(scope="module", autouse=True)
def compiled_in_haste() -> Iterator[None]:
    """XLA without its optimisations: what is compiled here is run once."""
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


# keras hands heads of unequal sizes to jax, which has none: its plain case is one
UNEQUAL_HEADS = {"multi_head_attention"}


def plain(operation: str) -> Vector:
    """A float32 case without anything special about it."""
    return next(
        v
        for v in suite().vectors
        if v.operation.name == operation
        and v.case.dtype == "float32"
        and set(v.case.flags) <= {"plain", "square", "variant", "hand"}
        and min(array.size for array in v.inputs.values())
    )


def offered(vjp: bool) -> list[str]:
    return [
        o.name
        for o in spec().operations.values()
        if hasattr(backend, o.function) and (o.name != o.base) == vjp
    ]


def check(operation: str) -> None:
    vector = plain(operation)
    result = getattr(backend, vector.operation.function)(**vector.arguments)
    if not isinstance(result, dict):
        results = result if isinstance(result, tuple) else (result,)
        result = dict(zip(vector.operation.outputs, results, strict=True))
    assert result.keys() >= vector.outputs.keys()
    for name, truth in vector.outputs.items():
        got = result[name]
        integer = name in vector.operation.integers
        assert got.dtype == ("int32" if integer else "float32"), name
        assert got.shape == truth.shape, name
        np.testing.assert_allclose(got, truth, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("operation", sorted(set(offered(vjp=False)) - UNEQUAL_HEADS))
def test_a_plain_case_forward(operation: str) -> None:
    check(operation)


@pytest.mark.parametrize(
    "operation",
    [
        *("softmax.vjp", "affine.vjp", "layer_norm.vjp", "rnn_step.vjp", "gru_step.vjp"),
        *("lstm_step.vjp", "gru_sequence.vjp", "lstm_bidirectional.vjp", "cross_entropy.vjp"),
        *("scaled_dot_product_attention.vjp", "gru_reset_after_sequence.vjp"),
    ],
)
def test_a_plain_case_backward(operation: str) -> None:
    assert operation in offered(vjp=True)
    check(operation)


@pytest.mark.parametrize(
    ("case", "verdict"),
    [
        ("gru_sequence-lengths-f32", "pass"),
        ("lstm_sequence-lengths-nan-f32", "pass"),
        ("rnn_sequence-lengths-f32", "pass"),
        ("rnn_bidirectional-plain-f32", "pass"),
        ("multi_head_attention-square-f32", "pass"),
        ("gru_step-plain-bf16", "pass"),
        ("lstm_step-saturation-f16", "pass"),
        ("gru_sequence-no-steps-f32", "unsupported"),
    ],
)
def test_cases_of_the_suite(case: str, verdict: str) -> None:
    (found,) = run_object(backend, select(suite().vectors, [case])).results
    assert found.verdict == verdict, found.reason


@pytest.mark.parametrize("biased", [True, False])
def test_the_reset_after_form_is_keras_own_layer(biased: bool) -> None:
    import keras

    names = ("b_z", "b_r", "b", "b_h") if biased else ()
    weights: dict[str, Any] = {
        name: draw(f"keras {name}", 4, 7) for name in ("W_z", "W_r", "W")
    } | {name: draw(f"keras {name}", 4) for name in names}
    form = FORMS["keras.GRU reset after"]
    layer = keras.layers.GRU(
        4, return_sequences=True, use_bias=biased, dtype="float32", **form.attributes
    )
    layer.build((2, 5, 3))
    packed = pack(form, weights, np.zeros(4))
    if biased:
        packed["bias"] = np.stack([packed["bias"], packed.pop("bias_recurrent")])
    layer.set_weights(list(packed.values()))
    X, h_0 = draw("keras X", 5, 2, 3), draw("keras h_0", 2, 4)
    with backend._as_keras_has_it():
        got = np.asarray(layer(X.swapaxes(0, 1), initial_state=h_0)).swapaxes(0, 1)
    wanted = gru_reset_after_sequence(X, h_0=h_0, **weights)[0]
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5)


def test_float64_that_keras_would_round_to_float32_is_not_claimed() -> None:
    import keras

    assert "float64" not in backend.DTYPES
    assert keras.ops.tanh(np.ones(2)).dtype == "float32"


def test_every_operation_is_there_or_has_a_reason() -> None:
    for operation in spec().operations.values():
        there = hasattr(backend, operation.function)
        assert there or {operation.name, operation.topic} & backend.UNSUPPORTED.keys()
        assert not (there and operation.name in backend.UNSUPPORTED)
    for key, reason in backend.UNSUPPORTED.items():
        assert key in spec().operations or key in spec().topics
        assert reason.endswith(".")


def test_float16_attention_that_jax_cannot_compile_is_unsupported() -> None:
    (vector,) = select(suite().vectors, ["scaled_dot_product_attention-plain-f16"])
    try:
        getattr(backend, "scaled_dot_product_attention")(**vector.arguments)  # noqa: B009
    except Unsupported as reason:
        assert str(reason).startswith("jax under jit: The precision")  # noqa: PT017


def test_keras_on_another_backend_is_refused_in_one_sentence() -> None:
    program = (
        "import sys, types\n"
        "keras = types.ModuleType('keras')\n"
        "keras.backend = types.SimpleNamespace(backend=lambda: 'numpy')\n"
        "keras.__version__ = '3'\n"
        "keras.layers = keras.losses = keras.ops = None\n"
        "sys.modules['keras'] = keras\n"
        "from nnspec.conformance.backends import BackendError, load\n"
        "try:\n    load('keras')\nexcept BackendError as error:\n    print(error)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert "keras was imported before, on another backend than jax" in done.stdout
