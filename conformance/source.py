"""Arrays and arguments as Python source, for the programs that show a fault."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnspec.reference.array import Array


def source(array: Array) -> str:
    """An array as Python source that gives the same array again."""
    values = np.array2string(
        array, separator=", ", threshold=10**9, floatmode="unique", max_line_width=92
    )
    if array.size == 0:
        return f"np.zeros({array.shape}, dtype=np.{_kind(array)})"
    # NumPy separates matrices by an empty line
    values = re.sub(r"\n\s*\n", "\n", values)
    words = values.replace("nan", "np.nan").replace("inf", "np.inf")
    return f"np.array({words}, dtype=np.{_kind(array)})"


def _kind(array: Array) -> str:
    return "bool_" if array.dtype == bool else array.dtype.name


def keywords(given: Mapping[str, Any]) -> str:
    """Arguments as the lines of a dict display."""
    lines = []
    for name, value in given.items():
        text = source(value) if isinstance(value, np.ndarray) else repr(value)
        indented = text.replace("\n", "\n    ")
        lines.append(f'    "{name}": {indented},\n')
    return "{\n" + "".join(lines) + "}"
