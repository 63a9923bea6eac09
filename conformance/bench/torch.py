"""torch: its own layers, eager; inference mode, or gradients of every input by autograd."""

from collections.abc import Callable
from typing import Any

import torch

from nnspec.conformance.backends.conventions import FORMS, pack, unpack
from nnspec.conformance.bench.contenders import Ready, Ways
from nnspec.conformance.bench.grid import Point
from nnspec.reference.array import Array

LAYERS = {
    "rnn_sequence": (torch.nn.RNN, "torch.RNN"),
    "gru_reset_after_sequence": (torch.nn.GRU, "torch.GRU"),
    "lstm_sequence": (torch.nn.LSTM, "torch.LSTM"),
}


def start(threads: int) -> str:
    """Set the threads of one operation; operations run one after the other."""
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    return f"torch {torch.__version__}"


def ways(name: str, point: Point, inputs: dict[str, Array]) -> Ways:
    """One way: the layer, `scaled_dot_product_attention` or `linear`."""
    if point.family == "recurrent":
        if point.operation in LAYERS:
            yield "", lambda: _recurrent(point, inputs)
        return
    tensors = {n: torch.from_numpy(array) for n, array in inputs.items()}
    if point.family == "attention":
        q, k, v = (tensors[n] for n in "qkv")
        yield (
            "",
            lambda: _ready(
                point,
                lambda: torch.nn.functional.scaled_dot_product_attention(
                    q, k, v, is_causal=point.causal
                ),
                {"q": q, "k": k, "v": v},
                tensors,
            ),
        )
    else:
        x, W, b = (tensors[n] for n in ("x", "W", "b"))
        yield (
            "",
            lambda: _ready(
                point,
                lambda: torch.nn.functional.linear(x, W, b),
                {"x": x, "W": W, "b": b},
                tensors,
            ),
        )


def _ready(
    point: Point,
    forward: Callable[[], Any],
    variables: dict[str, Any],
    tensors: dict[str, Any],
    rename: Callable[[dict[str, Any]], dict[str, Array]] = lambda gradients: gradients,
) -> Ready:
    if not point.backward:

        def infer() -> Any:
            with torch.inference_mode():
                return forward()

        return Ready(infer, lambda y: point.named(_numpy(y)))
    cotangents = [tensors[f"d{n}"] for n in _outputs(point)]
    for variable in variables.values():
        variable.requires_grad_()

    def differentiate() -> Any:
        y = forward()
        return torch.autograd.grad(y, list(variables.values()), cotangents)

    def outputs(gradients: Any) -> dict[str, Array]:
        by_name = {n: g.numpy() for n, g in zip(variables, gradients, strict=True)}
        return {f"d{n}": g for n, g in rename(by_name).items()}

    return Ready(differentiate, outputs)


def _outputs(point: Point) -> list[str]:
    """Names of the forward operation's outputs."""
    return [n.removeprefix("d") for n in point.declared.inputs if n.startswith("d")]


def _numpy(y: Any) -> Any:
    return tuple(t.numpy() for t in y) if isinstance(y, tuple) else y.numpy()


def _recurrent(point: Point, inputs: dict[str, Array]) -> Ready:
    kind, form = LAYERS[point.operation]
    n = point.numbers
    weights = {k: torch.from_numpy(a) for k, a in inputs.items() if k[0] in "UWb"}
    packed = pack(FORMS[form], weights, torch.zeros(n["H"]), torch.cat)
    layer = kind(n["I"], n["H"])
    parameters = {array: getattr(layer, f"{array}_l0") for array in packed}
    with torch.no_grad():
        for array, values in packed.items():
            parameters[array].copy_(values)
    tensors = {k: torch.from_numpy(a) for k, a in inputs.items()}
    # the axis of layers, which states have here and in the deck's form do not
    lead = {k: tensors[k][None] for k in point.declared.states}
    last = {k: tensors[k][None] for k in tensors if k in ("dS_T", "dh_T", "dc_T")}
    start = tuple(lead.values()) if len(lead) > 1 else next(iter(lead.values()))
    X = tensors["X"]

    def forward() -> Any:
        states, end = layer(X, start)
        return (states, *end) if isinstance(end, tuple) else (states, end)

    def rename(gradients: dict[str, Any]) -> dict[str, Array]:
        found = unpack(FORMS[form], {k: gradients.pop(k) for k in packed})
        # a gate's bias that is there twice has the same gradient twice, and here their sum
        twice = {b[:-2] for blocks in FORMS[form].arrays.values() for b in blocks if b[-2:] == ".2"}
        found = {k: g / 2 if k in twice else g for k, g in found.items()}
        return found | {k: g[0] if k in lead else g for k, g in gradients.items()}

    variables = {"X": X, **lead, **parameters}
    if point.backward:
        return _ready(point, forward, variables, tensors | last, rename)
    ready = _ready(point, forward, variables, tensors)
    return Ready(ready.call, lambda y: _without_layers(point.named(_numpy(y))))


def _without_layers(outputs: dict[str, Array]) -> dict[str, Array]:
    """The last states without the axis of layers."""
    return {k: a[0] if k.endswith("_T") else a for k, a in outputs.items()}
