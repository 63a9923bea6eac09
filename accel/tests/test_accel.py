"""Kernels against the reference: signatures, agreement, awkward arrays, refusals, other modes."""

import importlib
import inspect
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nnspec.spec.loader import Operation, dimensions, spec

Array = npt.NDArray[Any]

ACCEL = Path(importlib.import_module("nnspec.accel").__path__[0])
OPERATIONS = [
    operation
    for operation in spec().operations.values()
    if (ACCEL / f"{operation.topic}.py").exists()
]
SIZES = {"T": 5, "B": 3, "I": 4, "H": 6, "O": 2, "J": 7, "N": 8, "M": 9, "P": 10}

each = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
both = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def function(room: str, operation: Operation) -> Any:
    module = importlib.import_module(f"nnspec.{room}.{operation.topic}")
    return getattr(module, operation.function)


def variants(operation: Operation) -> list[dict[str, Any]]:
    """Every combination of an operation's attributes."""
    choices = {
        name: value if isinstance(value, list) else {"axis": [0, 1, -1]}.get(name, [SIZES["T"]])
        for name, value in operation.attributes.items()
    }
    return [
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    ]


def draw(operation: Operation, *, optional: bool, **changed: int) -> dict[str, Array]:
    """Inputs of an operation in float64, by name, with or without the optional ones."""
    sizes = SIZES | changed
    rng = np.random.default_rng(len(operation.name))
    inputs = {}
    for name, shape in (operation.inputs | (operation.optional if optional else {})).items():
        if name in operation.integers:
            inputs[name] = np.array([0, sizes["T"], 2])[: sizes["B"]]
        elif shape == "...":
            # mlp's cotangent has the columns of its last layer
            last = sizes["P" if optional else "O"] if operation.base == "mlp" else 5
            # softmax along an axis of no elements is refused
            rows = SIZES["B"] if "axis" in operation.attributes else sizes["B"]
            inputs[name] = rng.normal(size=(rows, last))
        else:
            inputs[name] = 0.5 * rng.normal(size=dimensions(shape, sizes))
    return inputs


def cast(inputs: dict[str, Array], dtype: Any) -> dict[str, Array]:
    return {name: x.astype(dtype) if x.dtype.kind == "f" else x for name, x in inputs.items()}


def call(f: Any, operation: Operation, inputs: dict[str, Array], **attributes: Any) -> Any:
    """The outputs as a dict, whatever form the function returns them in."""
    required = [inputs[name] for name in operation.inputs]
    others = {name: x for name, x in inputs.items() if name not in operation.inputs}
    outputs = f(*required, **others, **attributes)
    if isinstance(outputs, dict):
        return outputs
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return dict(zip(operation.outputs, outputs, strict=True))


@each
def test_signature(operation: Operation) -> None:
    mine, reference = function("accel", operation), function("reference", operation)
    assert inspect.signature(mine) == inspect.signature(reference)


@each
@both
def test_agrees_with_the_reference(operation: Operation, dtype: Any) -> None:
    mine, reference = function("accel", operation), function("reference", operation)
    sizes: list[dict[str, int]] = [{}, {"B": 0}]
    if "steps" not in operation.attributes:
        sizes += [{"T": 0}]
    for changed, optional in itertools.product(sizes, [False, True]):
        inputs = cast(draw(operation, optional=optional, **changed), dtype)
        for attributes in variants(operation):
            # the reference in float64 on the very same numbers
            want = call(reference, operation, cast(inputs, np.float64), **attributes)
            got = call(mine, operation, inputs, **attributes)
            assert set(got) == set(want)
            for name in want:
                assert got[name].dtype == dtype, name
                assert got[name].shape == want[name].shape, name
                bound = 200 * float(np.finfo(dtype).eps)  # a smoke test: the vectors judge
                np.testing.assert_allclose(got[name], want[name], rtol=bound, atol=bound)


@each
@both
def test_any_layout_and_no_input_changed(operation: Operation, dtype: Any) -> None:
    mine = function("accel", operation)
    inputs = cast(draw(operation, optional=True), dtype)
    attributes = variants(operation)[-1]
    want = call(mine, operation, inputs, **attributes)
    spread = {name: np.repeat(x, 2, axis=-1)[..., ::2] for name, x in inputs.items()}
    fortran = {name: np.asfortranarray(x) for name, x in inputs.items()}
    reversed_ = {name: x[..., ::-1].copy()[..., ::-1] for name, x in inputs.items()}
    frozen = {name: x.copy() for name, x in inputs.items()}
    swapped = {name: x.astype(x.dtype.newbyteorder()) for name, x in inputs.items()}
    for x in frozen.values():
        x.flags.writeable = False
    for form in (inputs, spread, fortran, reversed_, frozen, swapped):
        before = {name: x.copy() for name, x in form.items()}
        got = call(mine, operation, form, **attributes)
        for name in want:
            np.testing.assert_array_equal(got[name], want[name])
            assert not any(np.shares_memory(got[name], x) for x in form.values())
            got[name][...] = 0  # the caller's own, to write to
        for name, x in form.items():
            np.testing.assert_array_equal(x, before[name])


@pytest.mark.parametrize(
    "operation",
    [operation for operation in OPERATIONS if len(operation.inputs) > 1],
    ids=lambda operation: operation.name,
)
def test_a_wrong_shape_is_refused(operation: Operation) -> None:
    mine = function("accel", operation)
    inputs = draw(operation, optional=True)
    attributes = variants(operation)[0]
    for name, x in inputs.items():
        longer = np.concatenate([x, x[..., :1]], axis=-1)
        for wrong in (longer, x[np.newaxis]):
            with pytest.raises(ValueError, match=r"shape|steps"):
                call(mine, operation, inputs | {name: wrong}, **attributes)


def test_other_dtypes_are_refused() -> None:
    primitives = importlib.import_module("nnspec.accel.primitives")
    with pytest.raises(TypeError, match="float16"):
        primitives.sigmoid(np.zeros(3, np.float16))
    with pytest.raises(TypeError, match="float16"):
        primitives.affine(np.zeros((2, 3), np.float16), np.zeros((4, 3), np.float16))


@both
def test_far_out(dtype: Any) -> None:
    primitives = importlib.import_module("nnspec.accel.primitives")
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([1e4, -1e4, np.inf, -np.inf, np.nan, -0.0, 3 * tiny], dtype)
    sigmoid, tanh = primitives.sigmoid(x), primitives.tanh(x)
    np.testing.assert_array_equal(sigmoid, [1, 0, 1, 0, np.nan, 0.5, 0.5])
    np.testing.assert_array_equal(tanh, [1, -1, 1, -1, np.nan, 0, 3 * tiny])
    assert np.signbit(tanh[5])
    np.testing.assert_array_equal(primitives.softplus(x)[:5], [1e4, 0, np.inf, 0, np.nan])
    np.testing.assert_array_equal(primitives.relu(x), [1e4, 0, np.inf, 0, np.nan, 0, 3 * tiny])
    tail = dtype(-16.7131)
    wanted = float(np.exp(np.float64(tail)) / (1 + np.exp(np.float64(tail))))
    assert (
        abs(float(primitives.sigmoid(np.array([tail]))[0]) / wanted - 1) < 4 * np.finfo(dtype).eps
    )


@both
def test_softmax_rows_keep_to_themselves(dtype: Any) -> None:
    primitives = importlib.import_module("nnspec.accel.primitives")
    nan, inf = np.nan, np.inf
    x = np.array([[1e4, -1e4, 0], [nan, 1, 2], [-inf, -inf, -inf], [inf, 0, 1], [0, 0, -inf]])
    want = np.array([[1, 0, 0], [nan] * 3, [nan] * 3, [nan] * 3, [0.5, 0.5, 0]])
    np.testing.assert_array_equal(primitives.softmax(x.astype(dtype)), want)
    np.testing.assert_array_equal(primitives.softmax(x.T.astype(dtype), axis=0), want.T)
    with pytest.raises(ValueError, match="no elements"):
        primitives.softmax(np.zeros((4, 0), dtype))


@pytest.mark.parametrize(
    "operation",
    [operation for operation in OPERATIONS if "lengths" in operation.optional],
    ids=lambda operation: operation.name,
)
def test_nothing_of_the_padding_is_used(operation: Operation) -> None:
    mine = function("accel", operation)
    clean = draw(operation, optional=True)
    lengths = clean["lengths"]
    dirty = dict(clean)
    shapes = operation.inputs | operation.optional
    for name, x in clean.items():
        if shapes[name].startswith("T B"):
            beyond = np.arange(len(x))[:, np.newaxis] >= lengths
            dirty[name] = x.copy()
            dirty[name][beyond] = np.nan
    attributes = variants(operation)[0]
    want = call(mine, operation, clean, **attributes)
    got = call(mine, operation, dirty, **attributes)
    for name in want:
        np.testing.assert_array_equal(got[name], want[name])
        if operation.outputs[name].startswith("T B"):
            beyond = np.arange(len(got[name]))[:, np.newaxis] >= lengths
            assert not got[name][beyond].any()


def test_long_sequences() -> None:
    gru = importlib.import_module("nnspec.accel.gru")
    operation = spec().operations["gru_sequence"]
    inputs = draw(operation, optional=False, T=10_000, B=1)
    h_0 = np.full((1, SIZES["H"]), 0.7)
    shut = np.full(SIZES["H"], -1e4)
    h, h_T = gru.gru_sequence(*inputs.values(), h_0=h_0, b_z=shut)
    np.testing.assert_array_equal(h_T, h_0)  # z = 0 holds the state to the last bit
    assert h.shape == (10_000, 1, SIZES["H"])


FEW = "softmax or affine.vjp or rnn_sequence.vjp or gru_sequence.vjp or gru_reset_after_step.vjp"


@pytest.mark.parametrize("mode", ["NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK"])
def test_in_another_mode(mode: str) -> None:
    """A few of the tests above as plain Python, and with every index checked."""
    if os.environ.get(mode):
        pytest.skip("this is that mode")
    options = ["-q", "-p", "no:cacheprovider", "-W", "error", "--import-mode=importlib"]
    chosen = f"test_agrees and ({FEW}) or far_out"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-k", chosen, __file__],
        env=os.environ | {mode: "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
