"""What every reference module shares: the array type and the choice between equal forms."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def nominal(x: Array) -> Array:
    """The values of x as float64: the middle of a ball, the value part of a dual number.

    Only for choosing between forms that are equal in exact arithmetic, never for a result: a
    branch on a ball that straddles the threshold would otherwise leave the ball's guarantee.
    """
    return np.asarray(x).astype(np.float64)


def constants(values: npt.ArrayLike, like: Array) -> Array:
    """Numbers of the kind of `like`, float64 where it holds floats of any width.

    For tables that an implementation builds once (positions, frequencies): they are computed in
    float64 and cast to the dtype at the end, and exactly where `like` holds balls.
    """
    wide = np.asarray(values, dtype=np.float64)
    if like.dtype != object:
        return wide
    number = _a_number(like)
    if number is None:
        return wide
    made = np.empty(wide.shape, dtype=object)
    made.reshape(-1)[:] = [number.constant(value) for value in wide.reshape(-1).tolist()]
    return made


def cast(table: Array, like: Array) -> Array:
    """A table of `constants` in the dtype of `like`, rounded as an implementation would hold it."""
    number = _a_number(like) if like.dtype == object else None
    if number is None:
        return table.astype(like.dtype)
    made = np.empty(table.shape, dtype=object)
    made.reshape(-1)[:] = [number.hold(value) for value in table.reshape(-1).tolist()]
    return made


def _a_number(objects: Array) -> Any:
    """A ball, dual or noisy number of an object array; a selection may leave plain zeros too."""
    return next((x for x in objects.reshape(-1).tolist() if hasattr(x, "constant")), None)
