"""The smoke exchange: what a backend's process must hand back as it came, before any mathematics.

Whoever loses digits, signs or shapes here would fail every case, and look like one whose
mathematics is wrong.
"""

import json
import math
import re
from typing import Any

import msgspec
import numpy as np

from nnspec.conformance.formats import LIMITS, rounded
from nnspec.conformance.protocol import (
    ECHO,
    Hello,
    MessageError,
    OutputData,
    Reply,
    Request,
    read,
)
from nnspec.conformance.suite import DTYPES, ArrayData, encode, one_line
from nnspec.reference.array import Array

ID = "smoke"
BARE = re.compile(rb"(?<![\w\"])[-+]?(nan|inf|infinity)\b(?!\")", re.IGNORECASE)
HINT = "see 'echo' in spec/protocol.md"


def hard_values(dtype: str) -> Array:
    """Numbers of a format that a careless reader or printer loses."""
    limits = LIMITS[dtype]
    values = [-0.0, 0.0, 1.0, 0.1, -1 / 3, math.pi, 1 + limits.eps, limits.largest]
    tiny = [-limits.smallest_normal, limits.smallest_subnormal, 5 * limits.smallest_subnormal]
    words = [math.nan, math.inf, -math.inf]
    # two rows: who forgets the shape gives them back flat
    return rounded(np.array([*values, *tiny, *words]), dtype).reshape(2, 7)


def request(hello: Hello) -> Request:
    """The first request to a process that has said this hello."""
    floats = [dtype for dtype in DTYPES if dtype in hello.dtypes]
    inputs = {f"x_{dtype}": encode(hard_values(dtype), dtype) for dtype in floats}
    inputs["x_int64"] = encode(np.array([0, 1, -1, 127, 1_000_000], np.int64))
    inputs["x_bool"] = encode(np.array([True, False, True]))
    inputs["x_empty"] = ArrayData((floats or ["float64"])[0], [2, 0], [])  # type: ignore[arg-type]
    attributes: dict[str, str | int | float | bool] = {
        "text": 'héllo → 世界 "quoted" \\ \n \t 😀',
        "whole": -3,
        "number": 0.1,
        "truth": True,
    }
    return Request(ID, ECHO, attributes, inputs)


def complaint(asked: Request, line: bytes) -> str | None:
    """What is wrong with the answer to the smoke exchange, and why probably; None if nothing is."""
    try:
        reply = read(line, Reply)
    except MessageError as error:
        return f"{_unreadable(asked, line) or error}; {HINT}"
    if reply.id != asked.id:
        return f"the echo came back with the id '{one_line(reply.id, 60)}' for '{ID}'; {HINT}"
    if reply.unsupported is not None or reply.error is not None:
        words = one_line(reply.error or reply.unsupported or "")
        return f"the echo was refused: {words or 'without a reason'}; {HINT}"
    outputs = reply.outputs or {}
    for name, sent in asked.inputs.items():
        if name not in outputs:
            return f"the echo lacks '{name}': its outputs are the inputs, by their names; {HINT}"
        why = _differs(name, sent, outputs[name])
        if why is not None:
            return f"the echo is not what was sent: {why}; {HINT}"
    for name in outputs:
        if name not in asked.inputs:
            return f"the echo has an output '{one_line(name, 60)}', which was not sent; {HINT}"
    return None


def _unreadable(asked: Request, line: bytes) -> str | None:
    """Why an answer is no message, where that can be told."""
    found = BARE.search(line)
    if found is not None:
        return (
            f"the echo has a bare {found[0].decode()}: JSON has no such number, write"
            ' "NaN", "Infinity" and "-Infinity" as strings'
        )
    try:
        outputs = msgspec.json.decode(line)["outputs"]
        for name, sent in asked.inputs.items():
            if not isinstance(outputs[name]["data"], list):
                return f"the echo's {name} has no list of numbers as its data"
            for index, (want, got) in enumerate(
                zip(sent.data, outputs[name]["data"], strict=False)
            ):
                if isinstance(got, list):
                    return f"the echo's {name} has nested lists for data; it is flat, row by row"
                if isinstance(want, str) and got != want:
                    return _spelled(name, index, want, got)
    except (ValueError, RecursionError, TypeError, KeyError):
        pass
    return None


def _spelled(name: str, index: int, want: str, got: Any) -> str:
    shown = one_line(json.dumps(got), 40)
    cause = "; some JSON writers turn NaN and infinities into null" if got is None else ""
    return f'the echo\'s {name}, element {index}, is {shown} for "{want}"{cause}'


def _differs(name: str, sent: ArrayData, back: OutputData) -> str | None:
    """How an array differs from the one that was sent."""
    if back.dtype != sent.dtype:
        return f"{name} has dtype '{one_line(back.dtype, 40)}' for '{sent.dtype}'"
    if list(back.shape) != list(sent.shape):
        flat = math.prod(sent.shape) == math.prod(back.shape) and len(back.shape) == 1
        cause = ", flattened" if flat else ""
        return f"{name} has shape {str(back.shape)[:60]} for {sent.shape}{cause}"
    try:
        got = back.array().reshape(-1)
    except ValueError as error:
        return f"{name} cannot be read: {error}"
    want = sent.array().reshape(-1)
    for index in range(want.size):
        a, b = got[index], want[index]
        same = a == b and np.signbit(a) == np.signbit(b) if want.dtype.kind == "f" else a == b
        if not same and not (a != a and b != b):
            cause = _cause(float(a), float(b), sent.dtype)
            return f"{name}, element {index}, is {_shown(a)} for {_shown(b)}{cause}"
    return None


def _shown(value: Any) -> str:
    return repr(value.item())


def _cause(got: float, want: float, dtype: str) -> str:
    """What probably made one number of another, as the end of a sentence."""
    if dtype not in LIMITS or math.isnan(got):
        return ""
    if math.isnan(want) or math.isinf(want):
        return ', which goes as the string "NaN", "Infinity" or "-Infinity"'
    if got == want:
        return ": the sign of a zero is lost"
    if math.isinf(got):
        return ": it overflowed on the way"
    if got == 0:
        return ": subnormal numbers are flushed to zero"
    for narrow in ("bfloat16", "float16", "float32"):
        if narrow != dtype and float(rounded(np.array(want), narrow)) == got:
            return f": it went through {narrow}"
    for digits in range(1, 17):
        if float(rounded(np.array(float(f"{want:.{digits}g}")), dtype)) == got:
            return f": it was printed with {digits} digits, which is too few to read back"
    return ""
