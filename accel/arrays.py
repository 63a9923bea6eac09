"""Inputs as the kernels take them: of one dtype, C-contiguous, writable, of the declared shapes.

The kernels do not check an index. A wrong shape is refused here, or nowhere.
"""

import functools
from collections.abc import Sequence
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
    given: Any
    given, wanted = zip(*inputs.values(), strict=True)
    dtype = getattr(given[0], "dtype", None)
    right = dtype in DTYPES
    for value in given:
        right = right and (value is None or _right(value, dtype))
    if not right:
        given, dtype = _converted(given)
    shapes = tuple([None if value is None else value.shape for value in given])
    due = _shapes(tuple(inputs), wanted, shapes)
    if None not in shapes:
        return list(given)
    return [
        np.zeros(shape, dtype) if value is None else value
        for value, shape in zip(given, due, strict=True)
    ]


def _converted(given: Sequence[Any]) -> tuple[list[Any], Any]:
    """The values as arrays of the dtype that holds them all, and that dtype."""
    there = [np.asarray(value) for value in given if value is not None]
    dtype = there[0].dtype
    if any(value.dtype != dtype for value in there) or not dtype.isnative:
        dtype = np.result_type(*there)
    if dtype not in DTYPES:
        raise TypeError(f"accel computes in float32 and float64, not in {dtype}")
    return [None if value is None else plain(value, dtype) for value in given], dtype


@functools.lru_cache(1024)
def _shapes(
    names: tuple[str, ...], wanted: tuple[str, ...], found: tuple[tuple[int, ...] | None, ...]
) -> list[tuple[int, ...]]:
    """The shapes that are due, where those found fit them; the same ones come again and again."""
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


def sequence_inputs(dtype: Any, I: int, H: int, X: Any, **states: Any) -> list[Array]:
    """X (T, B, I) and states (B, H), zeros where None, for weights of this dtype.

    What is right already costs a look: `arrays` takes longer than some steps of a small layer.
    Raises as `arrays` does, and TypeError where dtypes differ.
    """
    if isinstance(X, np.ndarray) and X.ndim == 3 and X.shape[2] == I and _right(X, dtype):
        shape = (X.shape[1], H)
        if all(s is None or (_right(s, dtype) and s.shape == shape) for s in states.values()):
            return [X, *(np.zeros(shape, dtype) if s is None else s for s in states.values())]
    shapes = {name: (state, f"B {H}") for name, state in states.items()}
    found = arrays(X=(X, f"T B {I}"), **shapes)
    if found[0].dtype != dtype:
        raise TypeError(f"the weights are {dtype}, and X is {found[0].dtype}: convert one of them")
    return found


def rows_for(dtype: Any, I: int, x: Any) -> Array:
    """x (B, I) for weights of this dtype; raises as `sequence_inputs`."""
    if isinstance(x, np.ndarray) and x.ndim == 2 and x.shape[1] == I and _right(x, dtype):
        return x
    (found,) = arrays(x=(x, f"B {I}"))
    if found.dtype != dtype:
        raise TypeError(f"the weights are {dtype}, and x is {found.dtype}: convert one of them")
    return found


def attention_inputs(q: Any, k: Any, v: Any) -> list[Array]:
    """q (B, N, L, K), k (B, N, S, K) and v (B, N, S, J); what is right already costs a look.

    Raises as `arrays` does.
    """
    dtype = getattr(q, "dtype", None)
    if dtype in DTYPES and _right(q, dtype) and _right(k, dtype) and _right(v, dtype):
        of_q, of_k, of_v = q.shape, k.shape, v.shape
        if len(of_q) == 4 and len(of_v) == 4:
            B, N, _, K = of_q
            if of_k == (B, N, of_v[2], K) and of_v[:2] == (B, N):
                return [q, k, v]
    return arrays(q=(q, "B N L K"), k=(k, "B N S K"), v=(v, "B N S J"))


def _right(value: Any, dtype: Any) -> bool:
    """Whether a kernel takes the value as it is."""
    return isinstance(value, np.ndarray) and value.dtype == dtype and value.flags.carray


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
