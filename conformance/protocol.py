"""The messages between nnspec and a backend's process: one JSON object a line, both ways."""

from typing import Any, Literal

import msgspec
import numpy as np

from nnspec.conformance.suite import DTYPES, MOST_ELEMENTS, ArrayData, Element
from nnspec.reference.array import Array

PROTOCOL = 1


class Hello(msgspec.Struct, frozen=True, omit_defaults=True):
    """The backend's first line: what it is and what it has, or why it cannot run (`refused`)."""

    hello: Literal["nnspec"]
    protocol: int
    backend: str
    version: str = ""
    operations: list[str] = []
    dtypes: list[str] = msgspec.field(default_factory=lambda: list(DTYPES))
    unsupported: dict[str, str] = {}
    refused: str = ""


class Request(msgspec.Struct, frozen=True):
    """One case to answer."""

    id: str
    operation: str
    attributes: dict[str, Any]
    inputs: dict[str, ArrayData]


class OutputData(msgspec.Struct, frozen=True):
    """An array in an answer, of whatever dtype the backend returned."""

    dtype: str
    shape: list[int]
    data: list[Element]

    def array(self) -> Array:
        """As a NumPy array; raises ValueError where it is none."""
        count = 1
        for size in self.shape:
            count *= size
        if min(self.shape, default=0) < 0 or count != len(self.data) or count > MOST_ELEMENTS:
            raise ValueError(f"{len(self.data)} elements do not fill the shape {self.shape}")
        try:
            dtype = np.dtype(self.dtype)
        except TypeError:
            raise ValueError(f"'{self.dtype}' is no dtype") from None
        if dtype.kind not in "fiub":
            raise ValueError(f"dtype {self.dtype} is not numeric")
        with np.errstate(over="ignore"):
            return np.array([float(v) for v in self.data]).astype(dtype).reshape(self.shape)


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a request: outputs, or why there are none."""

    id: str
    outputs: dict[str, OutputData] | None = None
    unsupported: str | None = None
    url: str = ""
    error: str | None = None


def output_data(array: Array) -> OutputData:
    """A result array as data, exactly."""
    flat = array.reshape(-1).astype(np.float64)
    values: list[float] = flat.tolist()
    data: list[Element] = list(values)
    if not np.isfinite(flat).all():
        data = [v if np.isfinite(v) else _word(v) for v in values]
    return OutputData(dtype=array.dtype.name, shape=list(array.shape), data=data)


def _word(value: float) -> Element:
    if np.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
