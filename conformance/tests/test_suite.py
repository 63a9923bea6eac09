"""Damaged vector files and cases cost themselves alone, and are named."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nnspec.conformance.suite import VECTORS, SuiteError, encode, load, read_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "primitives").mkdir()
    for name in ("sigmoid", "tanh"):
        shutil.copy(VECTORS / "primitives" / f"{name}.json", tmp_path / "primitives")
    return tmp_path


def edit(folder: Path, change: Any) -> None:
    path = folder / "primitives" / "sigmoid.json"
    file = json.loads(path.read_text())
    change(file)
    path.write_text(json.dumps(file))


def test_the_stored_files_load(folder: Path) -> None:
    found = load(folder)
    assert not found.damaged
    assert {v.operation.name for v in found.vectors} == {"sigmoid", "tanh"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "sigmoid.json: damaged vector file: Input data was truncated"),
        ("{]", "sigmoid.json: damaged vector file: JSON is malformed"),
        ('{"suite": "nnspec", "format": 2, "operation": "sigmoid", "cases": []}', "$.format"),
        ('{"suite": "nnspec", "format": 1, "operation": "sinus", "cases": []}', "no 'sinus'"),
    ],
)
def test_a_damaged_file_is_named_and_the_others_load(
    folder: Path, text: str, sentence: str
) -> None:
    (folder / "primitives" / "sigmoid.json").write_text(text)
    found = load(folder)
    assert len(found.damaged) == 1
    assert sentence in found.damaged[0]
    assert {v.operation.name for v in found.vectors} == {"tanh"}


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("inputs", {}, "inputs.x: is missing"),
        ("sigma", {}, "sigma.y: 24 numbers are due"),
        ("outputs", {"z": {"dtype": "float64", "shape": [0], "data": []}}, "no such output"),
        ("classes", {"y": {"nan": [99]}}, "index 99 is outside the output"),
        (
            "inputs",
            {"x": {"dtype": "float32", "shape": [3], "data": [1, 2]}},
            "2 elements do not fill the shape [3]",
        ),
        (
            "inputs",
            {"x": {"dtype": "int64", "shape": [1], "data": [1.5]}},
            "an array of int64 holds nothing else",
        ),
        (
            "inputs",
            {"x": {"dtype": "float32", "shape": [10**9, 10**9], "data": []}},
            "no array has the size 1000000000 in its shape",
        ),
    ],
)
def test_a_damaged_case_is_named_and_the_others_load(
    folder: Path, field: str, value: Any, sentence: str
) -> None:
    edit(folder, lambda file: file["cases"][0].update({field: value}))
    found = load(folder)
    assert len(found.damaged) == 1
    assert "primitives/sigmoid.json: case sigmoid-plain-f32: " in found.damaged[0]
    assert sentence in found.damaged[0]
    assert len([v for v in found.vectors if v.operation.name == "sigmoid"]) > 10


def test_an_unknown_field_is_refused(folder: Path) -> None:
    edit(folder, lambda file: file["cases"][0].update(colour="red"))
    with pytest.raises(SuiteError, match="unknown field `colour`"):
        read_file(folder / "primitives" / "sigmoid.json")


def test_an_id_used_twice_is_refused(folder: Path) -> None:
    edit(folder, lambda file: file["cases"].append(file["cases"][0]))
    assert "is used twice" in load(folder).damaged[0]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="no vector files"):
        load(tmp_path)


@given(
    st.sampled_from([np.float32, np.float64]).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0))
    )
)
def test_every_array_reads_back_as_it_was(array: Any) -> None:
    back = encode(array).array()
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    # to the bit, the payload of a NaN excepted
    same = (back == array) & (np.signbit(back) == np.signbit(array))
    assert np.all(same | (np.isnan(back) & np.isnan(array)))


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_raise_anything_else(tmp_path_factory: Any, raw: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "x.json"
    path.write_bytes(raw)
    with pytest.raises(SuiteError):
        read_file(path)
