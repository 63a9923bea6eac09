"""Products of rows and matrices: what the kernels share, and a layer f(x Wᵀ + b) with its VJP.

A product of many rows packs its matrix first, some columns of it at a time, which all rows then
meet; or the matrix is packed already, for many products. Threads share the columns, and the rows
where there are few columns.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from nnspec.accel import threads
from nnspec.accel.arrays import Array
from nnspec.accel.jit import contracted, helper, kernel, lean_helper, lean_kernel
from nnspec.accel.packed import (
    add_to,
    aligned,
    fill,
    multiply,
    pack_part,
    pack_transposed,
    panels_in,
    room_for,
    transpose,
    width,
)
from nnspec.accel.parts import FEW, panel_rows, split_panels
from nnspec.accel.reductions import dot
from nnspec.accel.scalar import IDENTITY, ONE, RELU, SIGMOID, SOFTPLUS, TANH, ZERO, relu, softplus
from nnspec.accel.team import new_counter, shared, take
from nnspec.accel.vector_math import sigmoid, tanh

# rows from which on it pays to pack the matrix
MANY = 8
# panels of the matrix that a thread packs at once, and how deep: half a megabyte, which stays in
# the second-level cache while the rows go by
PANELS, DEPTH = 8, 512
# units of a product for each thread, and the least rows of one: each packs its part of the matrix
UNITS, UNIT_ROWS = 2, 64
# rows that a bias's gradient sums up before it adds to the total
SUM_ROWS = 64


@contracted
def add_scaled(y: Array, factor: Any, x: Array) -> None:
    """y += factor x."""
    for k in range(y.size):
        y[k] += factor * x[k]


@contracted
def _add_four(y: Array, f: Array, a: Array, b: Array, c: Array, d: Array) -> None:
    f_a, f_b, f_c, f_d = f[0], f[1], f[2], f[3]
    for k in range(y.size):
        y[k] = (y[k] + f_a * a[k] + f_b * b[k]) + f_c * c[k] + f_d * d[k]


@helper
def add_product(y: Array, x: Array, M: Array) -> None:
    """y += x M, with y (N,), x (K,), M (K, N)."""
    K = M.shape[0]
    whole = K - K % 4
    for k in range(0, whole, 4):
        _add_four(y, x[k : k + 4], M[k], M[k + 1], M[k + 2], M[k + 3])
    for k in range(whole, K):
        add_scaled(y, x[k], M[k])


@helper
def add_outer(M: Array, y: Array, x: Array) -> None:
    """M += y xᵀ, with M (N, K), y (N,), x (K,)."""
    for n in range(M.shape[0]):
        add_scaled(M[n], y[n], x)


@lean_helper
def activate_row(y: Array, code: int) -> None:
    """f(y), in place."""
    if code == TANH:
        for k in range(y.size):
            y[k] = tanh(y[k])
    elif code == SIGMOID:
        for k in range(y.size):
            y[k] = sigmoid(y[k])
    elif code == RELU:
        for k in range(y.size):
            y[k] = relu(y[k])
    elif code == SOFTPLUS:
        for k in range(y.size):
            y[k] = softplus(y[k])


@helper
def _chain_row(da: Array, y: Array, dy: Array, code: int) -> None:
    """da = dy f'(a), written in y = f(a)."""
    if code == TANH:
        for k in range(y.size):
            da[k] = dy[k] * (ONE - y[k] * y[k])
    elif code == SIGMOID:
        for k in range(y.size):
            da[k] = dy[k] * (y[k] * (ONE - y[k]))
    elif code == RELU:
        for k in range(y.size):
            da[k] = dy[k] * (ONE if y[k] > ZERO else ZERO)
    else:
        for k in range(y.size):
            da[k] = dy[k]


@helper
def _add_row(total: Array, x: Array) -> None:
    for k in range(x.size):
        total[k] += x[k]


@lean_kernel
def _few_rows(
    x: Array,  # (B, K)
    M: Array,  # (N, K)
    b: Array,  # (N,)
    y: Array,  # (B, N)
    code: int,
    first: int,
    last: int,
) -> None:
    for n in range(first, last):
        for i in range(x.shape[0]):
            y[i, n] = b[n] + dot(x[i], M[n])
    for i in range(x.shape[0]):
        activate_row(y[i, first:last], code)


@lean_helper
def _pack_panels(
    M: Array,  # (N, K) where it is transposed, else (K, N)
    transposed: bool,
    first: int,
    last: int,
    deep: int,
    deep_end: int,
    packed: Array,  # (panels, deep_end - deep, perhaps with parts, WIDTH)
) -> None:
    depth = deep_end - deep
    if transposed:
        pack_transposed(M[first:last, deep:deep_end], packed[:, :depth])
    else:
        pack_part(M, deep, first, last, packed[:, :depth])
    split_panels(packed, depth)


@lean_helper
def _add_panels(
    x: Array,  # (B, K)
    packed: Array,  # as `_pack_panels` leaves it
    first: int,
    last: int,
    deep: int,
    deep_end: int,
    b: Array,  # (N,)
    y: Array,  # (B, N)
    rest: Array,  # (B, WIDTH): the last panel where y ends within it
    code: int,
    row: int,
    row_end: int,
) -> None:
    w, K = packed.shape[2], x.shape[1]
    whole = (last - first) // w
    inside = first + whole * w  # what comes then is within a panel
    some = x[row:row_end, deep:deep_end]
    if deep == 0:
        for i in range(row, row_end):
            fill(y[i, inside if K else first : last], b[inside if K else first : last])
        if K:
            add_to(b[first:last], 0, some, packed, y[row:row_end, first:last], 0, whole)
    else:
        multiply(some, packed, y[row:row_end, first:last], 0, whole)
    if inside < last:
        if deep == 0:
            rest[row:row_end] = 0
        multiply(some, packed[whole:], rest[row:row_end], 0, 1)
    if deep_end == K:
        for i in range(row, row_end):
            for j in range(inside, last):
                y[i, j] += rest[i, j - inside]
            activate_row(y[i, first:last], code)


@lean_helper
def _place(N: int, K: int, w: int, deep: int) -> tuple[int, int]:
    """Where the block of all panels from row `deep` on begins, and the rows of a panel in it.

    All of M (K, N) is packed: blocks of DEPTH rows, the last one perhaps of fewer, with parts each.
    """
    panels = -(-N // w)
    start = deep // DEPTH * panels * panel_rows(DEPTH, w, FEW, panels) * w
    return start, panel_rows(min(DEPTH, K - deep), w, FEW, panels)


@lean_helper
def _part_of_product(
    part: int,
    x: Array,
    M: Array,
    transposed: bool,
    b: Array,
    y: Array,
    rest: Array,
    code: int,
    rooms: Array,  # (threads, numbers of PANELS panels); or (1, all of M, packed)
    ready: bool,
    row_units: int,
    column_units: int,
    tickets: Array,
) -> None:
    w, K, N = rest.shape[1], x.shape[1], y.shape[1]
    unit = take(tickets)
    while unit < row_units * column_units:
        row, row_end = threads.share(len(x), unit // column_units, row_units, 4)
        panel, panel_end = threads.share(-(-N // w), unit % column_units, column_units, 2)
        first, last, panels = panel * w, min(panel_end * w, N), panel_end - panel
        for deep in range(0, max(K, 1), DEPTH):
            deep_end = min(deep + DEPTH, K)
            if ready:
                start, deeper = _place(N, K, w, deep)
                packed = panels_in(rooms[0, start + panel * deeper * w :], panels, deeper, w)
            else:
                deeper = panel_rows(deep_end - deep, w, row_end - row, panels)
                packed = panels_in(rooms[part], panels, deeper, w)
                _pack_panels(M, transposed, first, last, deep, deep_end, packed)
            _add_panels(x, packed, first, last, deep, deep_end, b, y, rest, code, row, row_end)
        unit = take(tickets)


_in_parallel = shared(_part_of_product)


@lean_kernel
def _product(
    x: Array,
    M: Array,
    transposed: bool,
    b: Array,
    y: Array,
    rest: Array,
    code: int,
    rooms: Array,
    ready: bool,
    row_units: int,
    column_units: int,
    tickets: Array,
    team: Array,
    count: int,
) -> None:
    """y = f(x M + b), by some columns of M at a time and perhaps some rows of x."""
    units = row_units, column_units, tickets
    _in_parallel(team, count, (x, M, transposed, b, y, rest, code, rooms, ready, *units))


@lean_kernel
def _pack_all(M: Array, room: Array, w: int) -> None:
    """Mᵀ, M (N, K), as `_part_of_product` wants it."""
    N, K = M.shape
    for deep in range(0, K, DEPTH):
        start, deeper = _place(N, K, w, deep)
        packed = panels_in(room[start:], -(-N // w), deeper, w)
        _pack_panels(M, True, 0, N, deep, min(deep + DEPTH, K), packed)


def product(
    x: Array, M: Array, b: Array | None = None, code: int = IDENTITY, *, transposed: bool = True
) -> Array:
    """f(x Mᵀ + b), or f(x M + b) where M is not transposed: x (B, K), f by its code."""
    x, M = np.ascontiguousarray(x), np.ascontiguousarray(M)
    B, K = x.shape
    N = M.shape[0 if transposed else 1]
    start = np.zeros(N, x.dtype) if b is None else b
    if B < MANY and transposed:
        y = aligned((B, N), x.dtype, zeros=False)
        count = threads.useful(float(B) * K * N)
        if count == 1:
            _few_rows(x, M, start, y, code, 0, N)
            return y
        threads.together(
            count, lambda i, n: _few_rows(x, M, start, y, code, *threads.share(N, i, n, 16))
        )
        return y
    return _many_rows(x, M, transposed, start, code, None)


def _many_rows(
    x: Array, M: Array, transposed: bool, b: Array, code: int, packed: Array | None
) -> Array:
    """`product`, of packed panels; they are made of M where there are none yet."""
    (B, K), dtype = x.shape, x.dtype
    N = M.shape[0 if transposed else 1]
    y = aligned((B, N), dtype, zeros=False)
    count = threads.useful(float(B) * K * N, threads.COMPILED)
    w = width(dtype)
    panels, wanted = -(-N // w), UNITS * count if count > 1 else 1
    at_once = PANELS if count == 1 else max(2, min(PANELS, panels // wanted // 2 * 2))
    column_units = -(-panels // at_once)
    row_units = max(1, min(B // UNIT_ROWS, wanted // max(column_units, 1)))
    rest = np.empty((B if N % w else 0, w), dtype)
    if packed is None:
        at_most = min(PANELS, panels)
        size = at_most * panel_rows(min(K, DEPTH), w, B, at_most) * w
        rooms = room_for("product", (count, size), dtype)
    else:
        rooms = packed
    units = row_units, column_units, new_counter()
    ready = packed is not None
    threads.in_team(count, _product, x, M, transposed, b, y, rest, code, rooms, ready, *units)
    return y


def layer_of(W: Array, b: Array, code: int) -> Callable[[Array], Array]:
    """f(x Wᵀ + b) as a function of x (B, I), with W (O, I) packed once."""
    (O, I), w = W.shape, width(W.dtype)
    panels = -(-O // w)
    rows = sum(panel_rows(min(DEPTH, I - deep), w, FEW, panels) for deep in range(0, I, DEPTH))
    packed = aligned((1, panels * rows * w), W.dtype, zeros=False)
    _pack_all(W, packed[0], w)
    none, b = np.empty((O, 0), W.dtype), b.copy()  # the caller may change its own
    return lambda x: _many_rows(x, none, True, b, code, packed)


def layer(x: Array, W: Array, b: Array, code: int) -> Array:
    """f(x Wᵀ + b), with x (B, I), W (O, I), b (O,): arrays as `arrays` makes them."""
    return product(x, W, b, code)


@kernel
def _few_rows_vjp(
    x: Array,  # (B, I)
    W: Array,  # (O, I)
    y: Array,  # (B, O): f(x Wᵀ + b)
    dy: Array,  # (B, O)
    code: int,
    dx: Array,  # (B, I)
    dW: Array,  # (O, I)
    db: Array,  # (O,)
) -> None:
    da = np.empty_like(dy)
    db[:] = 0
    dx[:] = 0
    for i in range(x.shape[0]):
        _chain_row(da[i], y[i], dy[i], code)
        _add_row(db, da[i])
        add_product(dx[i], da[i], W)
    for n in range(W.shape[0]):
        dW[n] = 0
        for i in range(x.shape[0]):
            add_scaled(dW[n], da[i, n], x[i])


@kernel
def _errors(
    y: Array,  # (B, O): f(x Wᵀ + b)
    dy: Array,  # (B, O)
    code: int,
    da: Array,  # (B, O), or nothing where f is the identity
    da_T: Array,  # (O, B)
    db: Array,  # (O,), zeros
    first: int,
    last: int,
) -> None:
    B = dy.shape[0]
    part = np.zeros(last - first, dy.dtype)
    for start in range(0, B, SUM_ROWS):
        end = min(start + SUM_ROWS, B)
        part[:] = 0
        for i in range(start, end):
            if code == IDENTITY:
                _add_row(part, dy[i, first:last])
            else:
                _chain_row(da[i, first:last], y[i, first:last], dy[i, first:last], code)
                _add_row(part, da[i, first:last])
        _add_row(db[first:last], part)
        errors = dy if code == IDENTITY else da
        transpose(errors[start:end, first:last], da_T[first:last, start:end])


def layer_vjp(
    x: Array,  # (B, I)
    W: Array,  # (O, I)
    y: Array,  # (B, O): f(x Wᵀ + b)
    dy: Array,  # (B, O)
    code: int,
) -> tuple[Array, Array, Array]:
    """(dx, dW, db) of a layer with the output y."""
    x, W, y, dy = (np.ascontiguousarray(array) for array in (x, W, y, dy))
    B, O = len(x), len(W)
    if B < MANY:
        dx, dW, db = np.empty_like(x), np.empty_like(W), np.empty(O, x.dtype)
        _few_rows_vjp(x, W, y, dy, code, dx, dW, db)
        return dx, dW, db
    da = dy if code == IDENTITY else room_for("da", dy.shape, x.dtype)
    da_T, db = room_for("da_T", (O, B), x.dtype), np.zeros(O, x.dtype)

    def part(index: int, count: int) -> None:
        _errors(y, dy, code, da, da_T, db, *threads.share(O, index, count, 16))

    threads.together(threads.useful(16.0 * B * O), part)
    return product(da, W, transposed=False), product(da_T, x, transposed=False), db


def named(**gradients: tuple[Array, Any]) -> dict[str, Array]:
    """The gradients whose input, beside each, was given."""
    return {name: gradient for name, (gradient, given) in gradients.items() if given is not None}
