"""The messages between nnspec and a backend's process: one JSON object a line, both ways.

spec/protocol.md is the page for those who write a backend. `python -m nnspec.conformance.protocol`
prints the JSON Schema beside it.
"""

import json
import re
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np

from nnspec.conformance.formats import LIMITS, rounded
from nnspec.conformance.suite import WIDE_DTYPES, ArrayData, Element, check_fill, one_line
from nnspec.reference.array import Array

PROTOCOL = 1
# the reserved operation of the smoke exchange; no operation of the spec has this name
ECHO = "echo"
NUMERIC = re.compile(r"bool|bfloat16|(float|u?int)\d{1,3}")
# a JSON reader that sees an integer here would lose the sign
NEGATIVE_ZERO = re.compile(rb"(?<=[\[,: \t])-0(?=[\],} \t])")

Message = TypeVar("Message")


class MessageError(ValueError):
    """A line that is not the message that was due; the message says why."""


class Hello(msgspec.Struct, frozen=True, omit_defaults=True):
    """The backend's first line: what it is and what it has, or why it cannot run (`refused`)."""

    hello: Literal["nnspec"]
    protocol: int
    backend: str
    version: str = ""
    operations: list[str] = []
    dtypes: list[str] = msgspec.field(default_factory=lambda: list(WIDE_DTYPES))
    unsupported: dict[str, str] = {}
    refused: str = ""


class Request(msgspec.Struct, frozen=True):
    """One case to answer."""

    id: str
    operation: str
    attributes: dict[str, str | int | float | bool]
    inputs: dict[str, ArrayData]


class OutputData(msgspec.Struct, frozen=True):
    """An array in an answer, of whatever dtype the backend returned."""

    dtype: str
    shape: list[int]
    data: list[Element]

    def array(self) -> Array:
        """As a NumPy array, bfloat16 as float32 with its values; raises ValueError for no array."""
        check_fill(self.shape, self.data)
        try:
            if self.dtype in LIMITS:
                return rounded(np.array(_floats(self.data)), self.dtype).reshape(self.shape)
            dtype = np.dtype(self.dtype) if NUMERIC.fullmatch(self.dtype) else np.dtype(object)
            if dtype.kind not in "fiub":
                raise TypeError
            if dtype.kind == "f":
                return np.array(_floats(self.data)).astype(dtype).reshape(self.shape)
            whole = _booleans if dtype.kind == "b" else _integers
            return np.array(whole(self.data), dtype).reshape(self.shape)
        except TypeError:
            raise ValueError(f"'{one_line(self.dtype, 40)}' is no dtype of numbers") from None
        except OverflowError:
            raise ValueError(f"a number is too large for {self.dtype}") from None


def _floats(data: list[Element]) -> list[float]:
    if any(type(v) is bool for v in data):
        raise ValueError("true and false are no floating-point numbers")
    return [float(v) for v in data]


def _integers(data: list[Element]) -> list[int]:
    for v in data:
        # 3.0 is an integer to JSON, and to the languages that have no other numbers
        if type(v) is not int and not (type(v) is float and v.is_integer()):
            raise ValueError(f"{v!r} is no integer")
    return [int(v) for v in data]


def _booleans(data: list[Element]) -> list[bool]:
    for v in data:
        if type(v) is not bool:
            raise ValueError(f"{v!r} is not true or false")
    return [bool(v) for v in data]


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a request: outputs, or why there are none."""

    id: str
    outputs: dict[str, OutputData] | None = None
    unsupported: str | None = None
    url: str = ""
    error: str | None = None


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def read(line: bytes, kind: type[Message]) -> Message:
    """The message in a line; raises MessageError."""
    try:
        return msgspec.json.decode(NEGATIVE_ZERO.sub(rb"-0.0", line), type=kind)
    except RecursionError:
        why = "it is nested too deeply"
    except ValueError as error:  # which of them, and in what words, differs by msgspec's version
        why = one_line(str(error), 300) if _is_utf8(line) else "it is not UTF-8"
    raise MessageError(f"{excerpt(line)} ({why})")


def excerpt(line: bytes) -> str:
    """The beginning of a line, in quotes."""
    return repr(one_line(line[:240].decode(errors="replace"), 60))


def output_data(array: Array) -> OutputData:
    """A result array as data, exactly."""
    flat = array.reshape(-1)
    if array.dtype.kind in "iub":
        return OutputData(array.dtype.name, list(array.shape), flat.tolist())
    values: list[float] = flat.astype(np.float64).tolist()
    data: list[Element] = list(values)
    if not np.isfinite(values).all():
        data = [v if np.isfinite(v) else _word(v) for v in values]
    return OutputData(array.dtype.name, list(array.shape), data)


def _word(value: float) -> Element:
    if np.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def schema() -> dict[str, Any]:
    """The JSON Schema of the messages, which spec/protocol.schema.json holds."""
    kinds = (Hello, Request, Reply)
    _, definitions = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    for definition in definitions.values():
        # a later version may add fields, which a reader ignores
        definition.pop("additionalProperties", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"nnspec protocol {PROTOCOL}: every line is one of these messages",
        "anyOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in kinds],
        "$defs": definitions,
    }


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))
