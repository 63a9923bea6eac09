"""NumPy functions in bfloat16 throughout.

The promotions of ml_dtypes leave the format: a matrix product of two bfloat16 arrays is float32,
and so is a product with a Python number, or a choice between an array and one. A function written
for NumPy's own formats runs here as it does in float16.
"""

import functools
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from nnspec.reference.array import Array

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


class BFloat16Array(np.ndarray[Any, np.dtype[Any]]):
    """A bfloat16 array of whose operations the results are bfloat16."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """The result that ml_dtypes has, in bfloat16 unless a wider array took part."""
        if "out" in options:
            options["out"] = tuple(np.asarray(x) for x in options["out"])
        made = getattr(ufunc, method)(*map(_plain, inputs), **options)
        return _kept(made, inputs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """The same of `np.where`, `np.concatenate` and their like."""
        return _kept(super().__array_function__(func, types, args, kwargs), args)


def _plain(x: Any) -> Any:
    # a number takes the format of the array beside it, as it does beside NumPy's own formats
    if isinstance(x, float):
        return BFLOAT16.type(x)
    return np.asarray(x) if isinstance(x, BFloat16Array) else x


def _wider(x: Any) -> bool:
    if isinstance(x, list | tuple):
        return any(map(_wider, x))
    return isinstance(x, np.ndarray) and x.dtype in (np.float32, np.float64)


def _kept(x: Any, arguments: Any) -> Any:
    if isinstance(x, list | tuple):
        return type(x)(_kept(part, arguments) for part in x)
    if isinstance(x, np.ndarray | np.generic) and not _wider(arguments):
        if x.dtype in (np.float32, np.float64):
            x = x.astype(BFLOAT16)
        if x.dtype == BFLOAT16:
            return np.asarray(x).view(BFloat16Array)
    return x


def in_bfloat16(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which computes in bfloat16 where it is given such arrays."""

    @functools.wraps(function)
    def call(*args: Any, **arguments: Any) -> Any:
        given = {name: _viewed(value) for name, value in arguments.items()}
        return function(*map(_viewed, args), **given)

    return call


def _viewed(x: Any) -> Any:
    if isinstance(x, np.ndarray) and x.dtype == BFLOAT16:
        return x.view(BFloat16Array)
    return x


def native(array: Array) -> Array:
    """A float32 array that holds bfloat16 as an array of that dtype, as Python backends take it."""
    return array.astype(BFLOAT16)
