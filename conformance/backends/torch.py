"""torch's own layers and functions; no equation of a cell is written here.

Compositions are of whole layers (`nn.RNN`, then `F.linear`, then `torch.tanh`), and a VJP is
`torch.autograd.grad` of the same forward. Not to be confused with the deck's GRU: `nn.GRU` is the
variant that resets after the product, and answers for that alone.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import linear
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from nnspec.conformance.backends import Unsupported
from nnspec.conformance.backends.conventions import FORMS, pack
from nnspec.reference.array import Array
from nnspec.spec.loader import dimensions, spec

Tensor = Any  # torch.Tensor, where torch is installed

INSTALL = "pip install 'nnspec[torch]'"
VERSION = f"torch {torch.__version__}"
DTYPES = ("float32", "float64")

_RESET = (
    "nn.GRU resets after the recurrent product and has no option for the deck's form, which"
    " resets before it; see gru_reset_after_step and gru_reset_after_sequence."
)
UNSUPPORTED = {
    name: _RESET for name in ("gru_step", "gru_step.vjp", "gru_sequence", "gru_sequence.vjp")
}

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "identity": lambda x: x,
}

torch.set_num_threads(1)


# primitives


def _softmax(x: Tensor, axis: int = -1) -> Tensor:
    return torch.softmax(x, dim=axis)


def _affine(x: Tensor, W: Tensor, b: Tensor = None) -> Tensor:
    return linear(x, W, b)


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
    y_1 = f(linear(x, W_1, b_1))
    if W_3 is None:
        return f_out(linear(y_1, W_2, b_2))
    return f_out(linear(f(linear(y_1, W_2, b_2)), W_3, b_3))


# recurrent layers


def _given(**weights: Tensor) -> dict[str, Tensor]:
    return {name: weight for name, weight in weights.items() if weight is not None}


def _step(cell: Any, form: str, x: Tensor, state: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """One step of nn.RNNCell or nn.GRUCell with the deck's weights."""
    parameters = pack(FORMS[form], weights, x.new_zeros(state.shape[-1]), torch.cat)
    # on "meta" the layer draws no weights of its own: the call brings them
    layer = cell(x.shape[-1], state.shape[-1], bias="bias_ih" in parameters, device="meta")
    return functional_call(layer, parameters, (x, state))


def _sequence(
    recurrent: Any,
    form: str,
    X: Tensor,
    state: Tensor,
    weights: dict[str, Tensor],
    lengths: Tensor = None,
) -> tuple[Tensor, Tensor]:
    """States of nn.RNN or nn.GRU, packed where lengths are given, and the final state (B, H)."""
    hidden = weights["W"].shape[0]
    parameters = pack(FORMS[form], weights, X.new_zeros(hidden), torch.cat)
    layer = recurrent(X.shape[-1], hidden, bias="bias_ih" in parameters, device="meta")
    start = None if state is None else state[None]
    try:
        inputs = X if lengths is None else pack_padded_sequence(X, lengths, enforce_sorted=False)
        states, final = functional_call(
            layer, {f"{name}_l0": array for name, array in parameters.items()}, (inputs, start)
        )
    except RuntimeError as error:
        if X.numel() and (lengths is None or 0 not in lengths):
            raise
        reason = str(error).splitlines()[0].rstrip(".")
        raise Unsupported(f"torch refuses an empty sequence or batch: {reason}.") from None
    return states, final[0]


def _on_states(f: Callable[[Tensor], Tensor], states: Tensor, steps: int) -> Tensor:
    """A layer on every valid state; packed states are padded with zeros afterwards."""
    if not isinstance(states, PackedSequence):
        return f(states)
    return pad_packed_sequence(states._replace(data=f(states.data)), total_length=steps)[0]


def _tanh_only(activation: str) -> None:
    if activation != "tanh":
        raise Unsupported(f"nn.RNN and nn.RNNCell have tanh and relu, not {activation}.")


def _rnn_step(
    x: Tensor, S_prev: Tensor, U: Tensor, W: Tensor, b: Tensor = None, activation: str = "tanh"
) -> Tensor:
    _tanh_only(activation)
    return _step(nn.RNNCell, "torch.RNN", x, S_prev, _given(U=U, W=W, b=b))


def _rnn_states(
    X: Tensor, U: Tensor, W: Tensor, S_0: Tensor, b: Tensor, lengths: Tensor, activation: str
) -> tuple[Tensor, Tensor]:
    _tanh_only(activation)
    return _sequence(nn.RNN, "torch.RNN", X, S_0, _given(U=U, W=W, b=b), lengths)


def _rnn_output(S: Tensor, V: Tensor, c: Tensor = None, activation: str = "tanh") -> Tensor:
    return ACTIVATIONS[activation](linear(S, V, c))


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
    hidden = ACTIVATIONS[activation](linear(_rnn_output(S, V, c), W_1, b_1))
    return linear(hidden, W_2, b_2)


def _rnn_sequence(
    X: Tensor,
    U: Tensor,
    W: Tensor,
    S_0: Tensor = None,
    b: Tensor = None,
    lengths: Tensor = None,
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    states, S_T = _rnn_states(X, U, W, S_0, b, lengths, activation)
    return _on_states(lambda S: S, states, len(X)), S_T


def _rnn_unrolled(
    X: Tensor, U: Tensor, W: Tensor, S_0: Tensor = None, b: Tensor = None, activation: str = "tanh"
) -> Tensor:
    return _rnn_states(X, U, W, S_0, b, None, activation)[1]


def _rnn_one_to_one(
    x: Tensor, U: Tensor, V: Tensor, b: Tensor = None, c: Tensor = None, activation: str = "tanh"
) -> Tensor:
    return _rnn_output(ACTIVATIONS[activation](linear(x, U, b)), V, c)


def _rnn_one_to_many(
    x: Tensor,
    U: Tensor,
    W: Tensor,
    V: Tensor,
    S_0: Tensor = None,
    b: Tensor = None,
    c: Tensor = None,
    activation: str = "tanh",
    steps: int = 1,
) -> Tensor:
    S = x.new_zeros(len(x), len(U)) if S_0 is None else S_0
    outputs = [x[None][:0]]  # what no steps at all give
    for _ in range(steps):
        S = _rnn_step(x, S, U, W, b, activation)
        x = _rnn_output(S, V, c)
        outputs.append(x[None])
    return torch.cat(outputs)


def _rnn_many_to_one(
    X: Tensor,
    U: Tensor,
    W: Tensor,
    V: Tensor,
    S_0: Tensor = None,
    b: Tensor = None,
    c: Tensor = None,
    lengths: Tensor = None,
    activation: str = "tanh",
) -> Tensor:
    return _rnn_output(_rnn_states(X, U, W, S_0, b, lengths, activation)[1], V, c)


def _rnn_many_to_many(
    X: Tensor,
    U: Tensor,
    W: Tensor,
    V: Tensor,
    S_0: Tensor = None,
    b: Tensor = None,
    c: Tensor = None,
    lengths: Tensor = None,
    activation: str = "tanh",
) -> Tensor:
    states, _ = _rnn_states(X, U, W, S_0, b, lengths, activation)
    return _on_states(lambda S: _rnn_output(S, V, c), states, len(X))


def _rnn_encoder_decoder(
    X: Tensor,
    Y: Tensor,
    U_e: Tensor,
    W_e: Tensor,
    U_d: Tensor,
    W_d: Tensor,
    V: Tensor,
    S_0: Tensor = None,
    b_e: Tensor = None,
    b_d: Tensor = None,
    c: Tensor = None,
    lengths: Tensor = None,
    activation: str = "tanh",
) -> Tensor:
    _, encoded = _rnn_states(X, U_e, W_e, S_0, b_e, lengths, activation)
    return _rnn_output(_rnn_states(Y, U_d, W_d, encoded, b_d, None, activation)[0], V, c)


def _gru_reset_after_step(x: Tensor, h_prev: Tensor, **weights: Tensor) -> Tensor:
    return _step(nn.GRUCell, "torch.GRU", x, h_prev, weights)


def _gru_reset_after_sequence(
    X: Tensor, h_0: Tensor = None, lengths: Tensor = None, **weights: Tensor
) -> tuple[Tensor, Tensor]:
    states, h_T = _sequence(nn.GRU, "torch.GRU", X, h_0, weights, lengths)
    return _on_states(lambda h: h, states, len(X)), h_T


# numpy in and out


def _tensors(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arrays as tensors of their own memory; attributes as they are."""
    return {
        name: value
        if isinstance(value, str | int | float)
        else torch.from_numpy(np.array(value, order="C"))
        for name, value in arguments.items()
    }


def _forward(function: Callable[..., Any]) -> Callable[..., Array | tuple[Array, ...]]:
    def forward(**arguments: Any) -> Array | tuple[Array, ...]:
        with torch.no_grad():
            outputs = function(**_tensors(arguments))
        if isinstance(outputs, tuple):
            return tuple(output.numpy() for output in outputs)
        array: Array = outputs.numpy()
        return array

    return forward


def _vjp(name: str, function: Callable[..., Any]) -> Callable[..., dict[str, Array]]:
    def vjp(**arguments: Any) -> dict[str, Array]:
        operation = spec().operations[name]
        tensors = _tensors(arguments)
        cotangents = [tensors.pop(f"d{output}") for output in operation.outputs]
        sizes = {
            symbol: size
            for given, shape in operation.inputs.items()
            for symbol, size in zip(shape.split(), tensors[given].shape, strict=False)
        }
        for state in operation.states:
            shape = dimensions(operation.optional[state], sizes)
            # an absent state is 0, and its gradient is wanted all the same
            tensors.setdefault(state, cotangents[0].new_zeros(shape))
        wanted = [given for given in operation.gradients if given in tensors]
        outputs = function(
            **{
                given: value.requires_grad_() if given in wanted else value
                for given, value in tensors.items()
            }
        )
        gradients = torch.autograd.grad(
            outputs,
            [tensors[given] for given in wanted],
            cotangents,
            allow_unused=True,
            materialize_grads=True,
        )
        return {f"d{given}": g.numpy() for given, g in zip(wanted, gradients, strict=True)}

    return vjp


OPERATIONS: dict[str, Callable[..., Any]] = {
    "sigmoid": lambda x: torch.sigmoid(x),
    "tanh": lambda x: torch.tanh(x),
    "softplus": lambda x: nn.functional.softplus(x),
    "relu": lambda x: torch.relu(x),
    "softmax": _softmax,
    "affine": _affine,
    "mlp": _mlp,
    "rnn_step": _rnn_step,
    "rnn_output": _rnn_output,
    "rnn_deep_output": _rnn_deep_output,
    "rnn_sequence": _rnn_sequence,
    "rnn_unrolled": _rnn_unrolled,
    "rnn_one_to_one": _rnn_one_to_one,
    "rnn_one_to_many": _rnn_one_to_many,
    "rnn_many_to_one": _rnn_many_to_one,
    "rnn_many_to_many": _rnn_many_to_many,
    "rnn_encoder_decoder": _rnn_encoder_decoder,
    "gru_reset_after_step": _gru_reset_after_step,
    "gru_reset_after_sequence": _gru_reset_after_sequence,
}

for _name, _function in OPERATIONS.items():
    globals()[_name] = _forward(_function)
    globals()[f"{_name}_vjp"] = _vjp(_name, _function)
