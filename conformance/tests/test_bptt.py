"""What the clauses of bptt say of several operations at once, on the vectors' own numbers."""

from typing import Any

import numpy as np
import pytest

from nnspec.conformance.suite import Vector, suite
from nnspec.reference import bptt


def cases(operation: str) -> list[Any]:
    found = [v for v in suite().vectors if v.operation.name == operation]
    assert found
    return [pytest.param(v, id=v.id) for v in found if v.case.dtype == "float64"]


def options(case: Vector) -> dict[str, Any]:
    """S_0, or None, and the attributes."""
    return {"S_0": case.inputs.get("S_0"), **case.case.attributes}


@pytest.mark.parametrize("case", cases("state_jacobian"))
def test_no_jacobian_exceeds_the_bound(case: Vector) -> None:
    J, W = case.outputs["J"], case.inputs["W"]
    activation = str(case.case.attributes["activation"])
    largest = np.linalg.norm(J, 2, axis=(-2, -1)) if J.size else np.zeros(J.shape[:2])
    for sigma in (np.linalg.norm(W, 2), bptt.frobenius_norm(W)):
        bound = bptt.jacobian_bound(np.asarray(sigma), steps=len(J) - 1, activation=activation)
        assert (largest <= bound[::-1, np.newaxis] * (1 + 1e-12)).all()


@pytest.mark.parametrize("name", ["isometry", "sigmoid-isometry", "vanishing", "exploding"])
def test_an_orthogonal_weight_attains_the_bound(name: str) -> None:
    case = {v.id: v for v in suite().vectors}[f"state_jacobian-{name}-f64"]
    J, sigma = case.outputs["J"], np.asarray(np.linalg.norm(case.inputs["W"], 2))
    activation = str(case.case.attributes["activation"])
    bound = bptt.jacobian_bound(sigma, steps=len(J) - 1, activation=activation)
    np.testing.assert_allclose(np.linalg.norm(J[:, 0], 2, axis=(-2, -1)), bound[::-1], rtol=1e-12)


@pytest.mark.parametrize("case", cases("bptt_forward.vjp"))
def test_the_three_steps_are_the_vjp(case: Vector) -> None:
    X, U, W, V = (case.inputs[name] for name in "XUWV")
    rest = options(case)
    S, O = bptt.bptt_forward(X, U, W, V, **rest)
    dO, nothing = case.inputs["dO"], np.zeros_like(S)
    delta, delta_O = bptt.bptt_delta(S, O, W, V, dO, activation=rest["activation"])
    got = bptt.bptt_gradient(X, S, delta, delta_O, S_0=rest["S_0"])
    want = bptt.bptt_forward_vjp(X, U, W, V, nothing, dO, **rest)
    for name, gradient in zip(("dU", "dW", "dV"), got, strict=True):
        np.testing.assert_allclose(gradient, want[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", cases("bptt_forward.vjp"))
def test_the_gradients_of_untied_weights_add_up(case: Vector) -> None:
    X, T = case.inputs["X"], len(case.inputs["X"])
    U, W, V = (np.broadcast_to(case.inputs[name], (T, *case.inputs[name].shape)) for name in "UWV")
    d = bptt.bptt_unfolded_vjp(X, U, W, V, case.inputs["dS"], case.inputs["dO"], **options(case))
    for name in ("dU", "dW", "dV"):
        np.testing.assert_allclose(d[name].sum(axis=0), case.outputs[name], atol=1e-12)
    for name in ("dX", "dS_0"):
        np.testing.assert_allclose(d[name], case.outputs[name], atol=1e-12)
