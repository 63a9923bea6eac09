"""Inputs as the kernels take them: of one dtype, C-contiguous, writable, of the declared shapes.

The kernels do not check an index. A wrong shape is refused here, or nowhere.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def arrays(**inputs: tuple[Any, str]) -> list[Array]:
    """Each `name=(array, shape)` as a kernel takes it; zeros where the array is None.

    A shape is words, each a number, a size's symbol or a sum of two: "2 H H+I". An array that is
    already right is passed on as it is, so kernels never write to an input.
    Raises ValueError for a shape that does not fit, TypeError for a dtype other than float32 and
    float64.
    """
    given, wanted = zip(*inputs.values(), strict=True)
    return _reader(tuple(inputs), wanted, None)(*given)


def reader(dtype: Any = None, /, **shapes: str) -> Callable[..., list[Array]]:
    """A function of arrays in this order that does as `arrays`, and takes half of its time.

    A small layer's steps take as long as that. Where a dtype is given, it is that of weights which
    are packed already, and any other raises TypeError.
    """
    return _reader(tuple(shapes), tuple(shapes.values()), dtype)


@functools.lru_cache(1024)
def _reader(
    names: tuple[str, ...], wanted: tuple[str, ...], of_weights: Any
) -> Callable[..., list[Array]]:
    @functools.lru_cache(256)  # the same shapes come again and again
    def due(found: tuple[tuple[int, ...] | None, ...]) -> list[tuple[int, ...]] | None:
        shapes = _shapes(names, wanted, found)
        return shapes if None in found else None

    def read(*given: Any) -> list[Array]:
        dtype = getattr(given[0], "dtype", None) if of_weights is None else of_weights
        values: Sequence[Any] = given
        if not _right(given, dtype):
            values, dtype = _converted(given)
            if of_weights is not None and dtype != of_weights:  # float64 equals None
                pairs = zip(names, given, strict=True)
                dtypes = [(name, np.asarray(x).dtype) for name, x in pairs if x is not None]
                name, other = next(each for each in dtypes if each[1] != of_weights)
                raise TypeError(
                    f"the weights are {of_weights}, and {name} is {other}: convert one of them"
                )
        shapes = due(tuple([None if value is None else value.shape for value in values]))
        if shapes is None:
            return list(values)
        return [
            np.zeros(shape, dtype) if value is None else value
            for value, shape in zip(values, shapes, strict=True)
        ]

    return read


def _right(values: Sequence[Any], dtype: Any) -> bool:
    """Whether a kernel takes the values, but for those that are None, as they are."""
    if dtype not in DTYPES:
        return False
    for value in values:
        if value is not None and not (
            isinstance(value, np.ndarray) and value.dtype == dtype and value.flags.carray
        ):
            return False
    return True


def _converted(given: Sequence[Any]) -> tuple[list[Any], Any]:
    """The values as arrays of the dtype that holds them all, and that dtype."""
    there = [np.asarray(value) for value in given if value is not None]
    dtype = there[0].dtype
    if any(value.dtype != dtype for value in there) or not dtype.isnative:
        dtype = np.result_type(*there)
    if dtype not in DTYPES:
        raise TypeError(f"accel computes in float32 and float64, not in {dtype}")
    return [None if value is None else plain(value, dtype) for value in given], dtype


def _shapes(
    names: tuple[str, ...], wanted: tuple[str, ...], found: tuple[tuple[int, ...] | None, ...]
) -> list[tuple[int, ...]]:
    """The shapes that are due, where those found fit them."""
    sizes: dict[str, int] = {}

    def misfit(name: str, shape: str, value: tuple[int, ...]) -> ValueError:
        known = ", ".join(f"{symbol} = {size}" for symbol, size in sizes.items())
        return ValueError(f"{name} has shape {value}, wanted ({shape}) with {known}")

    for name, shape, value in zip(names, wanted, found, strict=True):
        if value is None:
            continue
        words = shape.split()
        fits = len(words) == len(value)
        for word, size in zip(words, value, strict=False):
            if "+" not in word:
                expected = int(word) if word.isdigit() else sizes.setdefault(word, size)
                fits = fits and expected == size
        if not fits:
            raise misfit(name, shape, value)
    due = [
        tuple(
            sum(int(term) if term.isdigit() else sizes[term] for term in word.split("+"))
            for word in shape.split()
        )
        for shape in wanted
    ]
    for name, shape, value, needed in zip(names, wanted, found, due, strict=True):
        if value is not None and value != needed:
            raise misfit(name, shape, value)
    return due


def plain(value: Array, dtype: Any = None) -> Array:
    """The array itself where it is C-contiguous, aligned and writable, else a copy that is.

    Numba compiles a kernel anew for read-only arrays, hence the copy of those.
    """
    value = np.asarray(value, dtype=dtype, order="C")
    return value if value.flags.carray else value.copy()


def floating(x: Any, dy: Any = None) -> tuple[Array, Array]:
    """x of any shape, and a cotangent of the same shape (x itself unless given)."""
    x = np.asarray(x)
    dy = x if dy is None else np.asarray(dy)
    if (
        x.dtype in DTYPES
        and x.flags.carray
        and (dy is x or (dy.dtype == x.dtype and dy.shape == x.shape and dy.flags.carray))
    ):
        return x, dy
    dtype = np.result_type(x, dy)
    if dtype not in DTYPES:
        raise TypeError(f"accel computes in float32 and float64, not in {dtype}")
    if x.shape != dy.shape:
        raise ValueError(f"dy has shape {dy.shape}, wanted that of x, {x.shape}")
    return plain(x, dtype), plain(dy, dtype)


@functools.lru_cache(256)
def all_steps(T: int, B: int) -> Array:
    """T for each row of the batch: the same array at each call, so that a look tells it."""
    return np.full(B, T, dtype=np.int64)


def whole_or(lengths: Any, T: int, B: int) -> Array:
    """The number of valid steps of each row of the batch, (B,) int64: T where not given."""
    if lengths is None:
        return all_steps(T, B)
    lengths = np.asarray(lengths)
    if lengths.shape != (B,):
        raise ValueError(f"lengths has shape {lengths.shape}, wanted (B,) with B = {B}")
    if lengths.dtype.kind not in "iu" and B:
        raise TypeError(f"lengths are integers, not {lengths.dtype}")
    return plain(lengths, np.int64)


def transposed(W: Array) -> Array:
    """Wᵀ with contiguous rows, so that the inner loop of x Wᵀ runs over the outputs."""
    return np.ascontiguousarray(W.T)
