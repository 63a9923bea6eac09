"""The files are what the drafts give, bit for bit, and a changed file does not verify."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnspec.conformance import builder
from nnspec.conformance.cases.draft import Draft, draw
from nnspec.conformance.suite import VECTORS, SuiteError


def nothing() -> None:
    """No progress is shown."""


def test_a_topic_builds_the_same_bytes_that_are_stored(tmp_path: Path) -> None:
    builder.build(tmp_path, 1, nothing, ["primitives"])
    stored = {path.name: path.read_bytes() for path in (VECTORS / "primitives").glob("*.json")}
    built = {path.name: path.read_bytes() for path in (tmp_path / "primitives").glob("*.json")}
    assert built == stored
    assert (tmp_path / "schema.json").read_text() == (VECTORS / "schema.json").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "primitives").mkdir()
    shutil.copy(VECTORS / "primitives" / "affine.vjp.json", tmp_path / "primitives")
    shutil.copy(VECTORS / "schema.json", tmp_path)
    return tmp_path


def verify(folder: Path) -> list[str]:
    tasks, wrong = builder.stored(folder)
    return wrong + builder.verify(tasks, 1, nothing)


def test_the_stored_values_verify(folder: Path) -> None:
    assert verify(folder) == []


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("outputs", "affine.vjp-plain-f32: outputs.dx: the stored values are not the proven ones"),
        ("sigma", "affine.vjp-plain-f32: sigma.dx: the stored budget is not the measured one"),
    ],
)
def test_a_changed_digit_does_not_verify(folder: Path, field: str, sentence: str) -> None:
    path = folder / "primitives" / "affine.vjp.json"
    file: Any = json.loads(path.read_text())
    target = file["cases"][0][field]["dx"]
    data = target if field == "sigma" else target["data"]
    data[0] = float(np.nextafter(data[0], np.inf))
    path.write_text(json.dumps(file))
    assert verify(folder) == [sentence]


def test_a_stored_file_must_fit_the_schema(folder: Path) -> None:
    (folder / "schema.json").write_text("{}")
    assert verify(folder) == [
        "schema.json: is not the schema of this version; run 'nnspec vectors build'"
    ]


def draft(**change: Any) -> Draft:
    inputs = {"x": draw("test x", 2, 3), "W": draw("test W", 4, 3)}
    return Draft(
        **({"operation": "affine", "name": "t", "note": "test", "inputs": inputs} | change)
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"operation": "sine"}, "sine-t-f32: the spec has no operation 'sine'"),
        ({"flags": ("odd",)}, "affine-t-f32: unknown flag 'odd'"),
        ({"clauses": ("no.such",)}, "affine-t-f32: the spec has no clause 'no.such'"),
        ({"attributes": {"axis": 1}}, "affine-t: no attribute axis"),
        ({"inputs": {"x": np.ones((2, 3))}}, "affine-t-f32: affine: input 'W' is missing"),
        (
            {"inputs": {"x": np.ones((2, 3)), "W": np.ones((4, 5))}},
            "affine-t-f32: affine: 'W' has shape (4, 5), wanted (O I) with I = 3",
        ),
        ({"inputs": {"x": np.full((2, 3), 1e300), "W": np.ones((4, 3))}}, "x overflows float32"),
        (
            {"operation": "mlp", "attributes": {"activation": "gelu"}},
            "mlp-t: activation = 'gelu' is not one of tanh",
        ),
    ],
)
def test_a_draft_that_does_not_hold_together_is_refused(
    change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SuiteError) as refusal:
        builder.build_case(draft(**change), "float32")
    assert sentence in str(refusal.value)


def test_two_drafts_of_one_name_are_refused() -> None:
    with pytest.raises(SuiteError, match="affine-t-f32: two drafts have this id"):
        builder.tasks_of([draft(), draft()])


def test_a_retired_id_is_never_used_again(folder: Path) -> None:
    (folder / "retired.txt").write_text("affine-plain-f32\n")
    with pytest.raises(SuiteError, match="affine-plain-f32: retired ids are never used again"):
        builder.build(folder, 1, nothing, ["primitives"])


def test_a_drawn_number_never_changes() -> None:
    assert draw("a key", 2, 2).tolist() == [[-0.0781, -0.755], [-0.9844, 0.8838]]
    assert draw("a key", 0, 2).shape == (0, 2)
    assert (draw("a key", 1000) != 0).all()
