"""What holds for every reference function, case by case of the suite."""

import importlib
import itertools
from typing import Any

import numpy as np
import pytest

from nnspec.conformance.suite import Vector, as_outputs, suite
from nnspec.reference import rnn
from nnspec.spec.loader import spec


def function_of(vector: Vector) -> Any:
    module = importlib.import_module(f"nnspec.reference.{vector.operation.topic}")
    return getattr(module, vector.operation.function)


def one_per_operation(dtype: str) -> list[Vector]:
    chosen = [v for v in suite().vectors if v.case.dtype == dtype]
    groups = itertools.groupby(chosen, key=lambda v: v.operation.name)
    return [next(group) for _, group in groups]


@pytest.mark.parametrize("vector", one_per_operation("float32"), ids=lambda v: v.id)
def test_float32_stays_float32_and_inputs_stay_as_they_are(vector: Vector) -> None:
    before = {name: value.copy() for name, value in vector.inputs.items()}
    outputs = as_outputs(vector.operation, function_of(vector)(**vector.arguments))
    for name, value in outputs.items():
        if name not in vector.operation.integers:
            assert np.asarray(value).dtype == np.float32, name
        for array in vector.inputs.values():
            assert not np.shares_memory(np.asarray(value), array) or value.size == 0
    for name, value in before.items():
        np.testing.assert_array_equal(vector.inputs[name], value)


@pytest.mark.parametrize("vector", one_per_operation("float32"), ids=lambda v: v.id)
def test_float16_stays_float16(vector: Vector) -> None:
    inputs = {
        name: value.astype(np.float16) if value.dtype.kind == "f" else value
        for name, value in vector.inputs.items()
    }
    with np.errstate(all="ignore"):
        result = function_of(vector)(**inputs, **vector.case.attributes)
    for name, value in as_outputs(vector.operation, result).items():
        if name not in vector.operation.integers:
            assert np.asarray(value).dtype == np.float16, name


@pytest.mark.parametrize("vector", one_per_operation("float64"), ids=lambda v: v.id)
def test_non_contiguous_inputs_give_the_same_result(vector: Vector) -> None:
    def spread(value: Any) -> Any:
        if not isinstance(value, np.ndarray) or value.ndim == 0:
            return value
        wide = np.zeros((*value.shape[:-1], 2 * value.shape[-1]), dtype=value.dtype)
        wide[..., ::2] = value
        return wide[..., ::2]

    function = function_of(vector)
    plain = as_outputs(vector.operation, function(**vector.arguments))
    strided = {name: spread(value) for name, value in vector.arguments.items()}
    for name, value in as_outputs(vector.operation, function(**strided)).items():
        np.testing.assert_allclose(value, plain[name], rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("flag", ["saturation"])
def test_saturation_raises_no_floating_point_error(flag: str) -> None:
    for vector in suite().vectors:
        if flag in vector.case.flags:
            with np.errstate(over="raise", invalid="raise", divide="raise"):
                function_of(vector)(**vector.arguments)


def test_the_nested_form_is_the_recurrence() -> None:
    draw = np.random.default_rng(0).standard_normal
    X, U, W, S_0 = draw((7, 2, 3)), draw((4, 3)), draw((4, 4)), draw((2, 4))
    for activation in ("tanh", "sigmoid"):
        _, S_T = rnn.rnn_sequence(X, U, W, S_0=S_0, activation=activation)
        nested = rnn.rnn_unrolled(X, U, W, S_0=S_0, activation=activation)
        np.testing.assert_array_equal(nested, S_T)


def test_five_thousand_steps_need_no_recursion() -> None:
    X = np.zeros((5000, 1, 2))
    assert rnn.rnn_unrolled(X, np.ones((3, 2)), np.eye(3), S_0=np.full((1, 3), 0.5)).shape == (1, 3)


def test_every_vjp_returns_the_gradients_that_the_spec_names() -> None:
    for vector in suite().vectors:
        operation = vector.operation
        if operation.name == operation.base or vector.case.dtype != "float64":
            continue
        forward = spec().operations[operation.base]
        due = {f"d{n}" for n in forward.gradients if n in vector.inputs or n in forward.states}
        assert set(vector.outputs) == due, vector.id
