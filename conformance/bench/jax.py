"""jax: one compiled function per point; recurrences as `lax.scan`, since jax ships no layer.

The weights of all gates are one matrix, the inputs' part of all steps is one product before the
scan, and several unroll factors are tried: the form that jax's own guides give.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nnspec.conformance.bench.contenders import Ready, Ways
from nnspec.conformance.bench.grid import Point
from nnspec.reference.array import Array

Tensor = Any

UNROLL = (16, 4, 1)


def start(threads: int) -> str:
    """Its threads are those of the processors to which this process is pinned."""
    jax.config.update("jax_platforms", "cpu")
    return f"jax {jax.__version__}"


def ways(name: str, point: Point, inputs: dict[str, Array]) -> Ways:
    """The scan with each unroll factor; `dot_product_attention`; `dot`."""
    if point.family == "recurrent":
        for unroll in UNROLL:
            yield f"unroll {unroll}", functools.partial(_recurrent, point, inputs, unroll)
    elif point.family == "attention":
        yield "", lambda: _attention(point, inputs)
    else:
        yield "", lambda: _ready(point, inputs, lambda a: (jnp.dot(a["x"], a["W"].T) + a["b"],))


def _ready(
    point: Point,
    arguments: Mapping[str, Array],
    forward: Callable[[dict[str, Tensor]], tuple[Tensor, ...]],
    named: Callable[[dict[str, Array]], dict[str, Array]] = lambda arrays: arrays,
) -> Ready:
    """`forward`, or its gradients by every argument that is no cotangent, compiled."""
    names = list(point.declared.outputs)
    cotangents = [n for n in point.declared.inputs if n.startswith("d")] if point.backward else []
    resident = {n: jnp.asarray(a) for n, a in arguments.items()}

    def function(given: dict[str, Tensor]) -> dict[str, Tensor]:
        if not point.backward:
            return dict(zip(names, forward(given), strict=True))
        variables = {n: x for n, x in given.items() if n not in cotangents}
        _, pull = jax.vjp(forward, variables)
        (gradients,) = pull(tuple(given[n] for n in cotangents))
        return {f"d{n}": g for n, g in gradients.items()}

    compiled = jax.jit(function)

    def call() -> Any:
        return jax.block_until_ready(compiled(resident))

    return Ready(call, lambda found: named({n: np.asarray(x) for n, x in found.items()}))


def _attention(point: Point, inputs: dict[str, Array]) -> Ready:
    """Its layout is (B, L, heads, K)."""
    turned = {n: np.ascontiguousarray(a.swapaxes(1, 2)) for n, a in inputs.items()}
    return _ready(
        point,
        turned,
        lambda a: (jax.nn.dot_product_attention(a["q"], a["k"], a["v"], is_causal=point.causal),),
        lambda arrays: {n: a.swapaxes(1, 2) for n, a in arrays.items()},
    )


def _rnn(state: Tensor, a: Tensor, W_h: Tensor, b_h: Tensor) -> tuple[Tensor, Tensor]:
    S = jnp.tanh(a + state @ W_h)
    return S, S


def _gru(h: Tensor, a: Tensor, W_h: Tensor, b_h: Tensor) -> tuple[Tensor, Tensor]:
    H = h.shape[-1]
    z, r = jnp.split(jax.nn.sigmoid(a[:, : 2 * H] + h @ W_h[:, : 2 * H]), 2, axis=-1)
    new = jnp.tanh(a[:, 2 * H :] + (r * h) @ W_h[:, 2 * H :])
    h = (1 - z) * h + z * new
    return h, h


def _gru_reset_after(h: Tensor, a: Tensor, W_h: Tensor, b_h: Tensor) -> tuple[Tensor, Tensor]:
    H = h.shape[-1]
    product = h @ W_h
    z, r = jnp.split(jax.nn.sigmoid(a[:, : 2 * H] + product[:, : 2 * H]), 2, axis=-1)
    new = jnp.tanh(a[:, 2 * H :] + r * (product[:, 2 * H :] + b_h))
    h = (1 - z) * new + z * h
    return h, h


def _lstm(state: Tensor, a: Tensor, W_h: Tensor, b_h: Tensor) -> tuple[Tensor, Tensor]:
    h, c = state
    i, f, g, o = jnp.split(a + h @ W_h, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


CELLS = {
    "rnn_sequence": _rnn,
    "gru_sequence": _gru,
    "gru_reset_after_sequence": _gru_reset_after,
    "lstm_sequence": _lstm,
}


def _recurrent(point: Point, inputs: dict[str, Array], unroll: int) -> Ready:
    H = point.numbers["H"]
    cell = CELLS[point.operation]
    states = point.declared.states
    # the gates in the spec's order; the columns of a gate are those of h, then of x
    gates = [n for n in inputs if n.startswith("W_")] or ["W"]
    if point.operation.startswith("gru"):
        gates = ["W_z", "W_r", "W"]
    biases = [n.replace("W", "b") for n in gates]
    if point.operation == "rnn_sequence":
        W_h, W_x = inputs["W"], inputs["U"]
    else:
        W_h = np.concatenate([inputs[n][:, :H] for n in gates])
        W_x = np.concatenate([inputs[n][:, H:] for n in gates])
    arguments = {
        "X": inputs["X"],
        "W_h": np.ascontiguousarray(W_h.T),
        "W_x": np.ascontiguousarray(W_x.T),
        "b": np.concatenate([inputs[n] for n in biases]),
        **{n: inputs[n] for n in ("b_h", *states) if n in inputs},
        **{n: a for n, a in inputs.items() if n.startswith("d")},
    }

    def forward(a: dict[str, Tensor]) -> tuple[Tensor, ...]:
        parts = a["X"] @ a["W_x"] + a["b"]
        begin = tuple(a[n] for n in states) if len(states) > 1 else a[states[0]]
        b_h = a.get("b_h", 0)

        def step(state: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
            return cell(state, part, a["W_h"], b_h)

        end, all_states = jax.lax.scan(step, begin, parts, unroll=unroll)
        return (all_states, *end) if isinstance(end, tuple) else (all_states, end)

    def named(found: dict[str, Array]) -> dict[str, Array]:
        if not point.backward:
            return found
        dW_h, dW_x, db = (found.pop(n) for n in ("dW_h", "dW_x", "db"))
        if point.operation == "rnn_sequence":
            return found | {"dW": dW_h.T, "dU": dW_x.T, "db": db}
        whole = np.split(np.concatenate([dW_h, dW_x]).T, len(gates))
        return (
            found
            | {f"d{n}": g for n, g in zip(gates, whole, strict=True)}
            | {f"d{n}": g for n, g in zip(biases, np.split(db, len(biases)), strict=True)}
        )

    return _ready(point, arguments, forward, named)
