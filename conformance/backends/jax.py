"""jax.nn and jax.numpy: activations and dense layers; VJPs by jax.vjp of the same forward."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nnspec.reference.array import Array
from nnspec.spec.loader import spec

Tensor = Any  # jax.Array, where jax is installed

INSTALL = "pip install 'nnspec[jax]'"
VERSION = f"jax {jax.__version__}"
DTYPES = ("float32", "float64")

_NO_LAYER = "jax ships no recurrent layer; those of Flax and Haiku are libraries of their own."
UNSUPPORTED = {"rnn": _NO_LAYER, "gru": _NO_LAYER}

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "relu": jax.nn.relu,
    "identity": lambda x: x,
}

jax.config.update("jax_enable_x64", True)


def _affine(x: Tensor, W: Tensor, b: Tensor = None) -> Tensor:
    y = jnp.dot(x, W.T)
    return y if b is None else y + b


def _mlp(
    x: Tensor,
    W_1: Tensor,
    W_2: Tensor,
    W_3: Tensor = None,
    b_1: Tensor = None,
    b_2: Tensor = None,
    b_3: Tensor = None,
    activation: str = "tanh",
    output_activation: str = "identity",
) -> Tensor:
    f, f_out = ACTIVATIONS[activation], ACTIVATIONS[output_activation]
    y_1 = f(_affine(x, W_1, b_1))
    if W_3 is None:
        return f_out(_affine(y_1, W_2, b_2))
    return f_out(_affine(f(_affine(y_1, W_2, b_2)), W_3, b_3))


def _rnn_output(S: Tensor, V: Tensor, c: Tensor = None, activation: str = "tanh") -> Tensor:
    return ACTIVATIONS[activation](_affine(S, V, c))


def _rnn_deep_output(
    S: Tensor,
    V: Tensor,
    W_1: Tensor,
    W_2: Tensor,
    c: Tensor = None,
    b_1: Tensor = None,
    b_2: Tensor = None,
    activation: str = "tanh",
) -> Tensor:
    hidden = ACTIVATIONS[activation](_affine(_rnn_output(S, V, c), W_1, b_1))
    return _affine(hidden, W_2, b_2)


def _rnn_one_to_one(
    x: Tensor, U: Tensor, V: Tensor, b: Tensor = None, c: Tensor = None, activation: str = "tanh"
) -> Tensor:
    return _rnn_output(ACTIVATIONS[activation](_affine(x, U, b)), V, c)


def _split(arguments: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Arrays as jax arrays, and attributes."""
    attributes = {
        n: value for n, value in arguments.items() if isinstance(value, str | int | float)
    }
    arrays = {n: jnp.array(value) for n, value in arguments.items() if n not in attributes}
    return arrays, attributes


def _forward(function: Callable[..., Any]) -> Callable[..., Array]:
    def forward(**arguments: Any) -> Array:
        arrays, attributes = _split(arguments)
        return np.array(function(**arrays, **attributes))

    return forward


def _vjp(name: str, function: Callable[..., Any]) -> Callable[..., dict[str, Array]]:
    def vjp(**arguments: Any) -> dict[str, Array]:
        operation = spec().operations[name]
        arrays, attributes = _split(arguments)
        (cotangent,) = (arrays.pop(f"d{output}") for output in operation.outputs)
        _, pullback = jax.vjp(lambda given: function(**given, **attributes), arrays)
        (gradients,) = pullback(cotangent)
        return {f"d{given}": np.array(gradient) for given, gradient in gradients.items()}

    return vjp


OPERATIONS: dict[str, Callable[..., Any]] = {
    "sigmoid": lambda x: jax.nn.sigmoid(x),
    "tanh": lambda x: jnp.tanh(x),
    "softplus": lambda x: jax.nn.softplus(x),
    "relu": lambda x: jax.nn.relu(x),
    "softmax": lambda x, axis=-1: jax.nn.softmax(x, axis=axis),
    "affine": _affine,
    "mlp": _mlp,
    "rnn_output": _rnn_output,
    "rnn_deep_output": _rnn_deep_output,
    "rnn_one_to_one": _rnn_one_to_one,
}

for _name, _function in OPERATIONS.items():
    globals()[_name] = _forward(_function)
    globals()[f"{_name}_vjp"] = _vjp(_name, _function)
