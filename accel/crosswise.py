"""The product xᵀ M of two matrices that lie side by side, put in y or added: a sum over rows.

It is the gradient of a weight, from the errors and what these met. A tile takes a few columns of
one and two panels of the other, and these lie next to each other in every row: each row costs as
many lines of the cache as a packed one would. What many columns meet is better packed even so, as
rows far apart share few places in the first-level cache.
"""

from typing import Any

from numba import types
from numba.extending import intrinsic

from nnspec.accel.arrays import Array
from nnspec.accel.emit import Vectors, view
from nnspec.accel.jit import config, inlined, lean_helper
from nnspec.accel.packed import CHUNK, PAIRS, PANEL, rows_of_pair, width
from nnspec.accel.panels import rows_times


def _make(rows: int, panels: int) -> Any:
    """y += xᵀ M, of so many columns of x and panels of M side by side.

    Where there was nothing `before`, y is taken to be 0.
    """

    def tile(
        typingctx: Any,
        x: Any,
        x_row: Any,
        x_start: Any,
        M: Any,
        M_row: Any,
        M_start: Any,
        M_panel: Any,
        depth: Any,
        before: Any,
        y: Any,
        y_row: Any,
        y_start: Any,
    ) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x_array, x_row, x_start, M_array, M_row, M_start, M_panel, depth, *of_y = args
            before, y_array, y_row, y_start = of_y
            v = Vectors(context, builder, x.dtype)
            n = depth.type
            x_data = v.data(signature.args[0], x_array, x_start)
            M_data = v.data(signature.args[3], M_array, M_start)
            y_data = v.data(signature.args[9], y_array, y_start)
            strides, M_strides = (n(1), x_row), (M_row, M_panel)
            sums = rows_times(v, rows, panels, x_data, strides, M_data, M_strides, depth)
            with builder.if_else(before) as (further, first):
                for add, branch in ((True, further), (False, first)):
                    with branch:
                        for row in range(rows):
                            here = sums[2 * panels * row : 2 * panels * (row + 1)]
                            start = builder.mul(y_row, n(row))
                            if add:
                                there = v.row(y_data, start, 2 * panels)
                                pairs = zip(there, here, strict=True)
                                here = [builder.fadd(a, b) for a, b in pairs]
                            v.put_row(here, y_data, start)
            return context.get_dummy_value()

        n = types.intp
        return types.void(x, n, n, M, n, n, n, n, types.boolean, y, n, n), emit

    def interpreted(
        x: Array,
        x_row: int,
        x_start: int,
        M: Array,
        M_row: int,
        M_start: int,
        M_panel: int,
        depth: int,
        before: bool,
        y: Array,
        y_row: int,
        y_start: int,
    ) -> None:
        w = width(x.dtype)
        left = view(x, x_start, (rows, depth), (1, x_row))
        for panel in range(panels):
            right = view(M, M_start + panel * M_panel, (depth, w), (M_row, 1))
            there = view(y, y_start + panel * w, (rows, w), (y_row, 1))
            there[...] = there + left @ right if before else left @ right

    return interpreted if config.DISABLE_JIT else intrinsic(tile)


def _of_rows(panels: int) -> Any:
    """A helper (rows, arguments): the tile of so many rows and these panels."""
    six, four, two, one = (_make(rows, panels) for rows in (6, 4, 2, 1))

    @inlined
    def tile(rows: int, arguments: tuple[Any, ...]) -> None:
        if rows == 6:
            six(*arguments)
        elif rows == 4:
            four(*arguments)
        elif rows == 2:
            two(*arguments)
        else:
            one(*arguments)

    return tile


_add_pair, _add_panel = _of_rows(2), _of_rows(1)


@lean_helper
def add_crosswise(
    x: Array,  # (rows, at least `last` columns), of contiguous rows
    first: int,
    last: int,
    M: Array,  # an array of one axis, with …
    M_start: int,  # … the first panel from this element on, …
    M_row: int,  # … and the element strides from row to row …
    M_panel: int,  # … and from panel to panel
    panels: int,
    before: bool,
    y: Array,  # (last - first, at least the panels' columns), of contiguous rows
) -> None:
    """y += xᵀ M of columns first … last-1 of x and so many panels.

    Where there was nothing `before`, y is taken to be 0; x has a row at least.
    """
    x_row, y_row, w = x.strides[0] // x.itemsize, y.strides[0] // y.itemsize, PANEL // x.itemsize
    depth, i = x.shape[0], first
    while i < last:
        left = last - i
        rows = rows_of_pair(left) if left >= 4 else 2 if left >= 2 else 1
        for k in range(0, depth, CHUNK):
            c = 0
            while c < panels:
                here, place = min(CHUNK, depth - k), M_start + c * M_panel + k * M_row
                of_x, of_M = (x, x_row, k * x_row + i), (M, M_row, place, M_panel, here)
                of_y = before or k > 0, y, y_row, (i - first) * y_row + c * w
                if PAIRS and c + 2 <= panels:
                    _add_pair(rows, (*of_x, *of_M, *of_y))
                    c += 2
                else:
                    _add_panel(rows, (*of_x, *of_M, *of_y))
                    c += 1
        i += rows
