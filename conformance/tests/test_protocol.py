"""The page, the schema and the code say the same; numbers survive both ways."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nnspec.conformance import smoke
from nnspec.conformance.cli import main
from nnspec.conformance.process import LONGEST_LINE, SMOKE_SECONDS, START_SECONDS, Limits
from nnspec.conformance.protocol import (
    ECHO,
    Hello,
    MessageError,
    OutputData,
    Reply,
    output_data,
    read,
    schema,
)
from nnspec.conformance.suite import MOST_DIMENSIONS, MOST_ELEMENTS
from nnspec.conformance.worker import echo
from nnspec.spec.loader import PAGES, spec

PAGE = (PAGES / "protocol.md").read_text(encoding="utf-8")


def fenced(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("example") / "example.py"
    path.write_text(fenced("python"), encoding="utf-8")
    return path


def test_the_schema_beside_the_page_is_current() -> None:
    stored = json.loads((PAGES / "protocol.schema.json").read_text(encoding="utf-8"))
    assert stored == schema(), "python -m nnspec.conformance.protocol > spec/protocol.schema.json"


def test_the_page_is_no_topic() -> None:
    assert "protocol" not in spec().topics
    assert ECHO not in spec().operations


def test_the_page_names_every_field_and_limit() -> None:
    for kind in (Hello, Reply):
        for field in kind.__struct_fields__:
            assert f"`{field}`" in PAGE
    for number in (LONGEST_LINE, MOST_ELEMENTS):
        assert f"{number:,}" in PAGE
    assert f"{MOST_DIMENSIONS} dimensions" in PAGE
    for row, limit in (
        ("hello", f"{START_SECONDS:g} s"),
        ("smoke exchange", f"{SMOKE_SECONDS:g} s"),
        ("one case", f"{Limits().seconds:g} s"),
        ("memory of the process and its children", f"{Limits().memory / 1e9:g} GB"),
    ):
        assert f"| {row} | {limit} |" in PAGE


def test_the_transcript_is_what_the_example_says(example: Path) -> None:
    lines = fenced("text").splitlines()
    told = [line[2:] for line in lines if line.startswith("> ")]
    said = [line[2:] for line in lines if line.startswith("< ")]
    assert len(told) + len(said) == len(lines)
    done = subprocess.run(
        [sys.executable, str(example)],
        input="\n".join(told) + "\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout.splitlines() == said
    validator = jsonschema.Draft202012Validator(schema())
    for line in told + said:
        validator.validate(json.loads(line))


def test_the_example_passes(example: Path) -> None:
    done = CliRunner().invoke(
        main, ["run", "--exec", f"{sys.executable} {example}", "--only", "tanh"]
    )
    assert done.exit_code == 0, done.output
    assert re.search(r"example: \d+ cases: 16 pass, \d+ unsupported", done.output)


def test_a_python_worker_echoes_exactly() -> None:
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        asked = smoke.request(Hello("nnspec", 1, "x", dtypes=[dtype]))
        line = msgspec.json.encode(echo(asked))
        assert smoke.complaint(asked, line) is None


ASKED = smoke.request(Hello("nnspec", 1, "x"))


def answered(change: Any) -> bytes:
    reply = msgspec.to_builtins(echo(ASKED))
    change(reply["outputs"])
    return json.dumps(reply).encode()


def put(name: str, index: int, value: Any) -> Any:
    return lambda outputs: outputs[name]["data"].__setitem__(index, value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (put("x_float64", 5, 3.14159), "is 3.14159 for 3.141592653589793: it was printed with 6"),
        (put("x_float64", 5, float(np.float32(np.pi))), "it went through float32"),
        (put("x_float32", 0, 0.0), "x_float32, element 0, is 0.0 for -0.0: the sign of a zero"),
        (put("x_float32", 9, 0.0), "subnormal numbers are flushed to zero"),
        (put("x_float32", 7, "Infinity"), "it overflowed on the way"),
        (put("x_float64", 11, None), 'is null for "NaN"; some JSON writers turn NaN'),
        (put("x_float64", 11, "nan"), 'x_float64, element 11, is "nan" for "NaN"'),
        (put("x_float64", 11, 0.0), 'is 0.0 for nan, which goes as the string "NaN"'),
        (put("x_float64", 12, float("inf")), "a bare Infinity: JSON has no such number"),
        (put("x_bool", 0, 1), "x_bool cannot be read: 1 is not true or false"),
        (put("x_int64", 4, 1.5), "x_int64 cannot be read: 1.5 is no integer"),
        (lambda o: o["x_float32"].update(shape=[14]), "[14] for [2, 7], flattened"),
        (lambda o: o["x_empty"].update(shape=[0]), "x_empty has shape [0] for [2, 0]"),
        (lambda o: o["x_float64"].update(data=[[1.0] * 7] * 2), "nested lists for data"),
        (lambda o: o["x_float32"].update(dtype="float64"), "dtype 'float64' for 'float32'"),
        (lambda o: o.pop("x_bool"), "the echo lacks 'x_bool'"),
        (lambda o: o.update(y=o["x_bool"]), "an output 'y', which was not sent"),
    ],
)
def test_a_wrong_echo_names_the_element_and_the_cause(change: Any, sentence: str) -> None:
    wrong = smoke.complaint(ASKED, answered(change))
    assert wrong is not None
    assert sentence in wrong


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b'{"id": "1", "outputs": {}}', "came back with the id '1' for 'smoke'"),
        (b'{"id": "smoke", "unsupported": "no echo"}', "the echo was refused: no echo"),
        (b'{"id": "smoke"}', "the echo lacks 'x_float32'"),
        (b"rubbish", "JSON is malformed"),
        (b'{"id": "smoke", "outputs": {"x": {"data": [nan]}}}', "a bare nan"),
    ],
)
def test_an_answer_that_is_no_echo_is_named(line: bytes, sentence: str) -> None:
    wrong = smoke.complaint(ASKED, line)
    assert wrong is not None
    assert sentence in wrong


def test_minus_zero_is_read_however_it_is_written() -> None:
    line = b'{"id":"a","outputs":{"y":{"dtype":"float32","shape":[4],"data":[-0,-0.0, -0 ,-0]}}}'
    outputs = read(line, Reply).outputs
    assert outputs is not None
    assert np.signbit(outputs["y"].array()).all()


@pytest.mark.parametrize(
    ("dtype", "shape", "data", "sentence"),
    [
        ("float32", [3], "[1, 2]", "2 elements do not fill the shape [3]"),
        ("float32", [-1], "[1]", "no array has the size -1 in its shape"),
        ("float32", [10**30, 0], "[]", "no array has the size 1000000000"),
        ("float32", [1] * 33, "[1]", "33 dimensions are more than 32"),
        ("float32", [0] + [10**7] * 31, "[]", "array is too big"),
        ("float32", [1], "[true]", "true and false are no floating-point numbers"),
        ("float64", [1], "[1" + "0" * 400 + "]", "a number is too large for float64"),
        ("int64", [1], "[9223372036854775808]", "a number is too large for int64"),
        ("uint8", [1], "[-1]", "a number is too large for uint8"),
        ("int64", [1], '["NaN"]', "'NaN' is no integer"),
        ("bool", [1], "[0]", "0 is not true or false"),
        ("object", [1], "[0]", "'object' is no dtype of numbers"),
        ("f4,f4", [1], "[0]", "'f4,f4' is no dtype of numbers"),
        ("int128", [1], "[0]", "'int128' is no dtype of numbers"),
        ("complex64", [1], "[0]", "'complex64' is no dtype of numbers"),
    ],
)
def test_an_array_that_is_none_is_one_sentence(
    dtype: str, shape: list[int], data: str, sentence: str
) -> None:
    line = f'{{"id":"a","outputs":{{"y":{{"dtype":"{dtype}","shape":{shape},"data":{data}}}}}}}'
    outputs = read(line.encode(), Reply).outputs
    assert outputs is not None
    with pytest.raises(ValueError, match=re.escape(sentence)) as refusal:
        outputs["y"].array()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"[" * 200_000, "Expected `object`, got `array`"),
        (b'{"id":"a","more":' + b"[" * 200_000, "it is nested too deeply"),
        (b'{"id":"\xff"}', "it is not UTF-8"),
        (b'{"id":"\\ud800"}', "malformed|truncated"),
        (b'{"id":"a","outputs":{"y":{"dtype":"float32","shape":[1],"data":[1e999]}}}', "range"),
        (b'{"id":"a","outputs":{"y":{"dtype":"f","shape":[' + b"9" * 10**5 + b"]}}}", "range"),
        (b"\xef\xbb\xbf{}", "malformed"),
    ],
)
def test_a_line_that_is_no_message_is_one_sentence(line: bytes, sentence: str) -> None:
    with pytest.raises(MessageError, match=sentence) as refusal:
        read(line, Reply)
    assert len(str(refusal.value)) < 300
    assert str(refusal.value).isprintable()


KINDS = st.sampled_from([np.float16, np.float32, np.float64, np.int64, np.uint8, np.bool_])


@given(KINDS.flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, min_side=0))))
def test_every_array_survives_both_ways(array: Any) -> None:
    sent = msgspec.json.encode(output_data(array))
    back = msgspec.json.decode(sent, type=OutputData).array()
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert np.array_equal(back, array, equal_nan=array.dtype.kind == "f")
    if array.dtype.kind == "f":
        numbers = ~np.isnan(array)
        assert np.array_equal(np.signbit(back)[numbers], np.signbit(array)[numbers])
