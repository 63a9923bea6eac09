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
