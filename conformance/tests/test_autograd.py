"""The stored gradients beside torch's autograd, an engine that nobody here wrote.

The reference's forward function runs on object arrays whose elements are 0-d torch tensors, as the
oracle runs it on balls and duals. What torch.autograd makes of the recorded graph is compared with
the truth of the vectors, which comes from the hand-written VJPs. Both start from the same forward
function: what this test adds is an independent derivative, not an independent forward.
"""

import functools
import math
from typing import Any

import numpy as np
import pytest

from nnspec.conformance.oracle import reference
from nnspec.conformance.suite import Classes, Vector, as_outputs, suite
from nnspec.conformance.verdict import K, deviations
from nnspec.reference.array import Array
from nnspec.spec.loader import spec

torch = pytest.importorskip("torch")

Tensor = Any  # torch.Tensor, where torch is installed

# every element takes a node of the graph for each operation: larger cases would take minutes
MOST_ELEMENTS = 6000
# at a kink the derivative is a convention
LEFT_OUT = {"kink"}
# A NaN that a selection leaves out of the result is multiplied with a gradient of 0 by autograd,
# which makes it NaN again.
NAN_TIMES_ZERO = {
    "attention_weights.vjp-nan-f64",
    "attention_weights.vjp-nan-row-f64",
    "scaled_dot_product_attention.vjp-nan-f64",
    "scaled_dot_product_attention.vjp-nan-row-f64",
}
# Autograd adds up in an order of its own: where terms cancel, the error is that of the terms, here
# as a share of the gradient's largest element. A wrong gradient is off by far more.
OF_THE_LARGEST = 1e-14


class Traced:
    """A number whose history torch records: a 0-d tensor, with what a reference asks of numbers."""

    __slots__ = ("v",)

    def __init__(self, v: Tensor):
        self.v = v

    def constant(self, value: float) -> "Traced":
        return Traced(torch.tensor(float(value), dtype=torch.float64))

    def hold(self, other: "Traced") -> "Traced":
        return other

    def __add__(self, other: object) -> "Traced":
        return Traced(self.v + _tensor(other))

    def __radd__(self, other: object) -> "Traced":
        return Traced(_tensor(other) + self.v)

    def __sub__(self, other: object) -> "Traced":
        return Traced(self.v - _tensor(other))

    def __rsub__(self, other: object) -> "Traced":
        return Traced(_tensor(other) - self.v)

    def __mul__(self, other: object) -> "Traced":
        return Traced(self.v * _tensor(other))

    def __rmul__(self, other: object) -> "Traced":
        return Traced(_tensor(other) * self.v)

    def __truediv__(self, other: object) -> "Traced":
        return Traced(self.v / _tensor(other))

    def __rtruediv__(self, other: object) -> "Traced":
        return Traced(_tensor(other) / self.v)

    def __neg__(self) -> "Traced":
        return Traced(-self.v)

    def __abs__(self) -> "Traced":
        return Traced(abs(self.v))

    # a branch asks for the value alone
    def __float__(self) -> float:
        return float(self.v.detach())

    def __lt__(self, other: Any) -> bool:
        return float(self) < float(other)

    def __le__(self, other: Any) -> bool:
        return float(self) <= float(other)

    def __gt__(self, other: Any) -> bool:
        return float(self) > float(other)

    def __ge__(self, other: Any) -> bool:
        return float(self) >= float(other)

    def floor(self) -> int:
        return math.floor(float(self))

    def exp(self) -> "Traced":
        return Traced(self.v.exp())

    def log(self) -> "Traced":
        return Traced(self.v.log())

    def log1p(self) -> "Traced":
        return Traced(self.v.log1p())

    def tanh(self) -> "Traced":
        return Traced(self.v.tanh())

    def sqrt(self) -> "Traced":
        return Traced(self.v.sqrt())

    def sin(self) -> "Traced":
        return Traced(self.v.sin())

    def cos(self) -> "Traced":
        return Traced(self.v.cos())


def _tensor(x: object) -> Tensor:
    return x.v if isinstance(x, Traced) else float(x)  # type: ignore[arg-type]


class TracedArray(np.ndarray[Any, np.dtype[Any]]):
    """An object array of traced numbers that leaves its matrix products and sums to torch."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [np.asarray(x) if isinstance(x, TracedArray) else x for x in inputs]
        if ufunc is np.matmul and method == "__call__" and all(x.size for x in plain):
            return objects(stacked(plain[0]) @ stacked(plain[1]))
        if ufunc is np.add and method == "reduce" and plain[0].size:
            axis = options.get("axis", 0)
            axes = tuple(range(plain[0].ndim)) if axis is None else axis
            return objects(stacked(plain[0]).sum(axes, keepdim=options.get("keepdims", False)))
        if "out" in options:
            options["out"] = tuple(np.asarray(x) for x in options["out"])
        made = getattr(ufunc, method)(*plain, **options)
        return made.view(TracedArray) if getattr(made, "dtype", None) == np.dtype(object) else made


def stacked(x: Array) -> Tensor:
    """An array of traced or plain numbers as one tensor."""
    if x.dtype != object:
        return torch.from_numpy(x.astype(np.float64))
    numbers = [torch.as_tensor(_tensor(e), dtype=torch.float64) for e in x.reshape(-1).tolist()]
    return torch.stack(numbers).reshape(x.shape)


def objects(x: Tensor) -> Any:
    """A tensor as an array of traced numbers, or as a traced number where it has no axis."""
    if not x.ndim:
        return Traced(x)
    made = np.empty(tuple(x.shape), dtype=object)
    made.reshape(-1)[:] = [Traced(v) for v in x.reshape(-1).unbind()]
    return made.view(TracedArray)


def autograd(vector: Vector) -> dict[str, Array]:
    """The gradients of a `.vjp` case, by torch through the forward function."""
    forward = spec().operations[vector.operation.base]
    cotangents = {f"d{name}": name for name in forward.cotangents}
    arguments = {n: value for n, value in vector.arguments.items() if n not in cotangents}
    for state in forward.states:
        arguments.setdefault(state, np.zeros(vector.outputs[f"d{state}"].shape))
    leaves = {}
    for name, value in arguments.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            leaves[name] = torch.from_numpy(value.astype(np.float64)).requires_grad_()
            arguments[name] = objects(leaves[name]) if value.ndim else Traced(leaves[name])
    outputs = as_outputs(forward, reference(forward)(**arguments))
    made, errors = [], []
    for cotangent, name in cotangents.items():
        if np.size(outputs[name]):
            output = stacked(np.asarray(outputs[name], dtype=object))
            if output.requires_grad:
                made.append(output)
                errors.append(torch.from_numpy(vector.inputs[cotangent].astype(np.float64)))
    wanted = [name.removeprefix("d") for name in vector.outputs]
    if not made:
        return {f"d{name}": np.zeros(leaves[name].shape) for name in wanted}
    gradients = torch.autograd.grad(
        made,
        [leaves[name] for name in wanted],
        errors,
        allow_unused=True,
        materialize_grads=True,
    )
    return {f"d{name}": g.numpy() for name, g in zip(wanted, gradients, strict=True)}


@functools.cache
def vectors() -> dict[str, list[Vector]]:
    """The cases of each topic that autograd is asked for."""
    chosen: dict[str, list[Vector]] = {topic: [] for topic in spec().topics}
    for vector in suite().vectors:
        size = sum(array.size for array in vector.inputs.values())
        if (
            vector.operation.name.endswith(".vjp")
            and vector.case.dtype == "float64"
            and not LEFT_OUT & set(vector.case.flags)
            and vector.id not in NAN_TIMES_ZERO
            and size <= MOST_ELEMENTS
        ):
            chosen[vector.operation.topic].append(vector)
    return {topic: found for topic, found in chosen.items() if found}


@pytest.mark.parametrize(
    "topic", [pytest.param(t, id=f"{t}-{len(found)}-cases") for t, found in vectors().items()]
)
def test_autograd_agrees_with_the_stored_gradients(topic: str) -> None:
    failures = []
    for vector in vectors()[topic]:
        with np.errstate(all="ignore"):
            gradients = autograd(vector)
        for name, truth in vector.outputs.items():
            finite = np.abs(truth[np.isfinite(truth)])
            rounding = OF_THE_LARGEST * finite.max() / K if finite.size else 0.0
            errors, _, _ = deviations(
                gradients[name].reshape(-1),
                truth.reshape(-1) + 0.0,  # not the sign of a zero
                vector.sigma[name].reshape(-1) + rounding,
                Classes(zero_any_sign=list(range(truth.size))),
                "float64",
            )
            if errors.size and not errors.max() <= K:
                failures.append(f"{vector.id}: {name} is off by {errors.max():.3g} sigma")
    assert not failures, "\n".join(failures)


def test_every_differentiable_operation_has_such_a_case() -> None:
    asked = {vector.operation.name for found in vectors().values() for vector in found}
    declared = {v.operation.name for v in suite().vectors if v.operation.name.endswith(".vjp")}
    assert asked == declared
