"""The reference beside ONNX's own node-test cases and ONNX's evaluator."""

from pathlib import Path

import numpy as np
import pytest

import nnspec.docs

onnx = pytest.importorskip("onnx")

from nnspec.conformance.onnx_node_cases import (  # noqa: E402
    BEGIN,
    CONVERTERS,
    Outcome,
    outcomes,
    share,
    written,
)

PAGE = Path(str(nnspec.docs.__file__)).parent / "onnx.md"


def of(operator: str) -> list[Outcome]:
    return [outcome for outcome in outcomes() if outcome.operator == operator]


@pytest.mark.parametrize("operator", CONVERTERS)
def test_every_case_agrees_or_has_a_reason(operator: str) -> None:
    for outcome in of(operator):
        # 0.2: float32 is far closer than ONNX's tolerance, and so is the reference
        assert outcome.reason or max(outcome.expected, outcome.evaluated) <= 0.2, outcome
        assert bool(outcome.reason) != bool(outcome.operations)


@pytest.mark.parametrize(
    "operator", ["RNN", "LSTM", "GRU", "Softmax", "LogSoftmax", "LayerNormalization"]
)
def test_all_cases_of_an_operator_are_converted(operator: str) -> None:
    assert of(operator)
    assert not [outcome for outcome in of(operator) if outcome.reason]


def test_the_table_on_the_page_is_what_was_found() -> None:
    page = PAGE.read_text(encoding="utf-8")
    if f"With onnx {onnx.__version__}:" not in page:
        pytest.skip(f"docs/onnx.md is of another version than the installed {onnx.__version__}")
    assert written(page) == page, f"write it anew with: {BEGIN[len('<!-- written by: ') : -4]}"


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="has no lines"):
        written("# a page")


def test_the_share_of_the_tolerance() -> None:
    want = np.array([1.0, np.nan, np.inf, 0.0])
    assert share(want, want, 1e-3, 1e-7) == 0
    assert share(np.array([1.001]), np.array([1.0]), 1e-3, 0) == pytest.approx(1)
    assert share(np.array([2e-7]), np.array([0.0]), 1e-3, 1e-7) == pytest.approx(2)
    assert share(np.array([0.0]), np.array([np.nan]), 1e-3, 1e-7) == np.inf
    assert share(np.zeros(2), np.zeros((2, 1)), 1e-3, 1e-7) == np.inf
    assert share(np.zeros(2), np.zeros(2, dtype=np.float32), 1e-3, 1e-7) == np.inf
    assert share(np.zeros(0), np.zeros(0), 1e-3, 1e-7) == 0
