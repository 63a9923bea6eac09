"""softmax and log softmax along any axis, and their derivatives, as loops that vectorise.

A row goes through vectors by itself where it is long enough. Where the axis is not the last one, or
is short, the vectors hold neighbouring rows instead, one number of each.
"""

import math
from typing import Any

import numpy as np

from nnspec.accel import threads
from nnspec.accel.arrays import Array
from nnspec.accel.jit import contracted, helper, kernel
from nnspec.accel.packed import transpose
from nnspec.accel.reductions import dot, largest, total
from nnspec.accel.scalar import ONE
from nnspec.accel.vector_math import exp_below, log

# rows shorter than this are done side by side, as many as AT_ONCE
SHORT, AT_ONCE = 32, 128
# columns that are done together, and the numbers that a sum takes before it adds to the total
COLUMNS, PART = 256, 32
# what an exponential costs, in multiply-adds as `threads.useful` counts them
EXPONENTIAL = 20.0


@helper
def exp_minus(y: Array, x: Array, shift: Any) -> None:
    """y = e^(x - shift), where no x is larger than shift."""
    for k in range(x.size):
        y[k] = exp_below(x[k] - shift)


@contracted
def divide(y: Array, divisor: Any) -> None:
    """y /= divisor, by its inverse and what that leaves; not for a divisor near the limits."""
    inverse = ONE / divisor
    for k in range(y.size):
        quotient = y[k] * inverse
        y[k] = quotient + inverse * (y[k] - quotient * divisor)


@helper
def softmax_row(y: Array, x: Array) -> None:
    """y = softmax(x)."""
    exp_minus(y, x, largest(x))
    divide(y, total(y))


@helper
def _row(y: Array, x: Array, logarithm: bool) -> None:
    if logarithm:
        shift = largest(x)
        exp_minus(y, x, shift)
        rest = log(total(y))
        for k in range(x.size):
            y[k] = (x[k] - shift) - rest
    else:
        softmax_row(y, x)


@helper
def _row_vjp(dx: Array, y: Array, dy: Array, logarithm: bool) -> None:
    """From y = softmax(x)."""
    if logarithm:
        sum_of_them = total(dy)
        for k in range(y.size):
            dx[k] = dy[k] - y[k] * sum_of_them
    else:
        through = dot(dy, y)
        for k in range(y.size):
            dx[k] = y[k] * (dy[k] - through)


@helper
def _raise(high: Array, x: Array) -> None:
    for k in range(x.size):
        high[k] = x[k] if x[k] > high[k] else high[k]


@helper
def _exp_minus_each(y: Array, x: Array, shift: Array, part: Array) -> None:
    for k in range(x.size):
        y[k] = exp_below(x[k] - shift[k])
        part[k] += y[k]


@helper
def _divide_each(y: Array, divisor: Array) -> None:
    for k in range(y.size):
        y[k] /= divisor[k]


@helper
def _minus_both(y: Array, x: Array, shift: Array, rest: Array) -> None:
    for k in range(y.size):
        y[k] = (x[k] - shift[k]) - rest[k]


@helper
def _log_each(x: Array) -> None:
    for k in range(x.size):
        x[k] = log(x[k])


@helper
def add_row(y: Array, x: Array) -> None:
    """y += x."""
    for k in range(x.size):
        y[k] += x[k]


@helper
def _add_products(y: Array, a: Array, b: Array) -> None:
    for k in range(y.size):
        y[k] += a[k] * b[k]


@helper
def _columns(y: Array, x: Array, logarithm: bool, first: int, last: int, room: Array) -> None:
    """Columns first … last-1 of x (N, C), each by itself; room (3, COLUMNS)."""
    n = last - first
    high, sums, part = room[0, :n], room[1, :n], room[2, :n]
    high[:] = -np.inf
    sums[:] = 0
    for j in range(x.shape[0]):
        _raise(high, x[j, first:last])
    for start in range(0, x.shape[0], PART):
        part[:] = 0
        for j in range(start, min(start + PART, x.shape[0])):
            _exp_minus_each(y[j, first:last], x[j, first:last], high, part)
        add_row(sums, part)
    if logarithm:
        _log_each(sums)
    for j in range(x.shape[0]):
        if logarithm:
            _minus_both(y[j, first:last], x[j, first:last], high, sums)
        else:
            _divide_each(y[j, first:last], sums)


@helper
def _combine(dx: Array, y: Array, dy: Array, sums: Array, logarithm: bool) -> None:
    if logarithm:
        for k in range(dx.size):
            dx[k] = dy[k] - y[k] * sums[k]
    else:
        for k in range(dx.size):
            dx[k] = y[k] * (dy[k] - sums[k])


@helper
def _columns_vjp(
    dx: Array, y: Array, dy: Array, logarithm: bool, first: int, last: int, room: Array
) -> None:
    """From y = softmax(x), columns first … last-1."""
    n = last - first
    sums, part = room[1, :n], room[2, :n]
    sums[:] = 0
    for start in range(0, y.shape[0], PART):
        part[:] = 0
        for j in range(start, min(start + PART, y.shape[0])):
            if logarithm:
                add_row(part, dy[j, first:last])
            else:
                _add_products(part, dy[j, first:last], y[j, first:last])
        add_row(sums, part)
    for j in range(y.shape[0]):
        _combine(dx[j, first:last], y[j, first:last], dy[j, first:last], sums, logarithm)


@kernel
def _softmax(
    x: Array,  # (A, N, C), the axis in the middle
    y: Array,  # (A, N, C)
    logarithm: bool,
    first: int,
    last: int,
) -> None:
    _, N, C = x.shape
    room = np.empty((3, COLUMNS), x.dtype)
    if C == 1 and N < SHORT:
        x_rows, y_rows = x.reshape(x.shape[0], N), y.reshape(x.shape[0], N)
        x_T, y_T = np.empty((N, AT_ONCE), x.dtype), np.empty((N, AT_ONCE), x.dtype)
        for i in range(first, last, AT_ONCE):
            count = min(AT_ONCE, last - i)
            transpose(x_rows[i : i + count], x_T[:, :count])
            _columns(y_T, x_T, logarithm, 0, count, room)
            transpose(y_T[:, :count], y_rows[i : i + count])
    elif C == 1:
        for i in range(first, last):
            _row(y[i].reshape(N), x[i].reshape(N), logarithm)
    else:
        for i in range(first, last):
            for c in range(0, C, COLUMNS):
                _columns(y[i], x[i], logarithm, c, min(c + COLUMNS, C), room)


@kernel
def _softmax_vjp(
    x: Array,  # (A, N, C), the axis in the middle
    dy: Array,  # (A, N, C)
    dx: Array,  # (A, N, C)
    logarithm: bool,
    first: int,
    last: int,
) -> None:
    _, N, C = x.shape
    room = np.empty((3, COLUMNS), x.dtype)
    if C == 1 and N < SHORT:
        rows = x.shape[0], N
        x_rows, dy_rows, dx_rows = x.reshape(rows), dy.reshape(rows), dx.reshape(rows)
        x_T, y_T = np.empty((N, AT_ONCE), x.dtype), np.empty((N, AT_ONCE), x.dtype)
        dy_T = np.empty((N, AT_ONCE), x.dtype)
        for i in range(first, last, AT_ONCE):
            count = min(AT_ONCE, last - i)
            transpose(x_rows[i : i + count], x_T[:, :count])
            transpose(dy_rows[i : i + count], dy_T[:, :count])
            _columns(y_T, x_T, False, 0, count, room)
            _columns_vjp(x_T, y_T, dy_T, logarithm, 0, count, room)
            transpose(x_T[:, :count], dx_rows[i : i + count])
    elif C == 1:
        y_row = np.empty(N, x.dtype)
        for i in range(first, last):
            softmax_row(y_row, x[i].reshape(N))
            _row_vjp(dx[i].reshape(N), y_row, dy[i].reshape(N), logarithm)
    else:
        y = np.empty((N, C), x.dtype)
        for i in range(first, last):
            for c in range(0, C, COLUMNS):
                end = min(c + COLUMNS, C)
                _columns(y, x[i], False, c, end, room)
                _columns_vjp(dx[i], y, dy[i], logarithm, c, end, room)


def _with_axis(x: Array, axis: int) -> Array:
    """x as (A, N, C), the axis in the middle."""
    if x.ndim == 0:
        return x.reshape(1, 1, 1)
    if not -x.ndim <= axis < x.ndim:
        raise np.exceptions.AxisError(axis, x.ndim)
    axis %= x.ndim
    N = x.shape[axis]
    if N == 0:
        raise ValueError("softmax of no elements: the axis has size 0")
    before = math.prod(x.shape[:axis])
    return x.reshape(before, N, x.size // (before * N) if before else 0)


def _in_threads(shape: tuple[int, ...], work: Any) -> None:
    """Rows, or blocks of columns, shared out."""
    count = threads.useful(EXPONENTIAL * shape[0] * shape[1] * shape[2])
    if count == 1:
        work(0, shape[0])
    else:
        threads.together(count, lambda i, n: work(*threads.share(shape[0], i, n)))


def along(x: Array, axis: int, *, logarithm: bool) -> Array:
    """softmax(x) along an axis, or its logarithm."""
    y, x_3 = np.empty_like(x), _with_axis(x, axis)
    y_3 = y.reshape(x_3.shape)
    _in_threads(x_3.shape, lambda *part: _softmax(x_3, y_3, logarithm, *part))
    return y


def along_vjp(x: Array, dy: Array, axis: int, *, logarithm: bool) -> Array:
    """dx for the cotangent dy of `along`."""
    dx, x_3 = np.empty_like(x), _with_axis(x, axis)
    dy_3, dx_3 = dy.reshape(x_3.shape), dx.reshape(x_3.shape)
    _in_threads(x_3.shape, lambda *part: _softmax_vjp(x_3, dy_3, dx_3, logarithm, *part))
    return dx
