"""What attention does to panels of columns, in whole vectors: products, maxima, exponentials.

A panel is two vectors wide, as `packed`'s are; its rows may lie in a wider array. Each column may
be one softmax: its maximum and its sum stay in registers while the rows go by. The products are
tiles as `packed`'s, but begin at 0, take a matrix as it lies, and scale what there is.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from nnspec.accel.arrays import Array
from nnspec.accel.emit import Vectors, loop, view
from nnspec.accel.host import VECTOR
from nnspec.accel.jit import config
from nnspec.accel.packed import MOST, STEPS, apart, width
from nnspec.accel.vector_math import ROUND_32, ROUND_64

# rows that are read side by side: one after the other, each would wait for the one before
CHAINS = 4
# rows whose exponentials are taken side by side
ABREAST = 4 if VECTOR == 64 else 2

LOG2_E = 1.4426950408889634


class _Form(NamedTuple):
    """What 2^t takes in one dtype."""

    # (2^r - 1) / r for |r| ≤ 1/2, from the highest power down: `vector_math`'s in base 2
    powers: tuple[float, ...]
    rounding: float  # adding it rounds to an integer
    bias: int  # of the exponent
    shift: int  # bits of the significand
    lift: int  # 2^n is made that much too large, and 2^r too small: both are normal or 0

    @property
    def lowest(self) -> float:
        """There the power of two is 0 itself: to come to 0 by underflow takes 100 times as long."""
        return -float(self.bias + self.lift)


FORM_32 = _Form(
    (
        0.00015321074170060456, 0.0013390218373388052, 0.009618526324629784,
        0.05550362542271614, 0.24022647738456726, 0.6931471824645996,
    ),
    float(ROUND_32), 127, 23, 25,
)  # fmt: skip
FORM_64 = _Form(
    (
        2.5616723251767958e-11, 4.4561811148306883e-10, 7.0549789643953754e-09,
        1.0178054801362053e-07, 1.3215486589868185e-06, 1.5252733846528631e-05,
        0.0001540353039363388, 0.0013333558146402284, 0.009618129107628345,
        0.05550410866482163, 0.24022650695910072, 0.6931471805599453,
    ),
    ROUND_64, 1023, 52, 54,
)  # fmt: skip


def _times(v: Vectors, a: Any, b: float) -> Any:
    """a b of one number, b in double precision."""
    if v.size == 8:
        return v.builder.fmul(a, v.element(b))
    double = ir.DoubleType()
    product = v.builder.fmul(v.builder.fpext(a, double), double(b))
    return v.builder.fptrunc(product, v.element)


def _powers_of_two(v: Vectors, ts: list[Any], factor: Any, form: _Form) -> list[Any]:
    """2^(factor t) for each t, where factor t is between form.lowest and 0."""
    builder = v.builder
    # adding it rounds to an integer n, and leaves the exponent of 2^(n + lift) in the low bits
    rounding = v.constant(form.rounding + form.bias + form.lift)
    # step by step for all: one alone would wait for the result of each step
    ms = [v.fma(t, factor, rounding) for t in ts]
    ns = [builder.fsub(m, rounding) for m in ms]
    rs = [v.fma(t, factor, builder.fneg(n), once=True) for t, n in zip(ts, ns, strict=True)]
    first, *others = [v.constant(c * 2.0**-form.lift) for c in (*form.powers, 1.0)]
    ps = [first] * len(ts)
    for c in others:
        ps = [v.fma(p, r, c) for p, r in zip(ps, rs, strict=True)]
    shift = v.integer(form.shift)
    bits = [builder.shl(builder.bitcast(m, v.integers), shift) for m in ms]
    powers = [builder.bitcast(power, v.kind) for power in bits]
    return [builder.fmul(p, power) for p, power in zip(ps, powers, strict=True)]


def _maxima(v: Vectors, x_data: Any, row: Any, rows: Any, first: list[Any]) -> list[Any]:
    """The maxima of a panel's columns and of `first`; a NaN is no maximum."""
    builder = v.builder

    def several(chains: int) -> Callable[..., list[Any]]:
        def body(i: Any, maxima: list[Any]) -> list[Any]:
            values: list[Any] = []
            for chain in range(chains):
                place = builder.mul(builder.add(i, row.type(chain)), row)
                values += v.pair(x_data, place)
            return [v.larger(a, b) for a, b in zip(values, maxima, strict=True)]

        return body

    whole = builder.sub(rows, row.type(CHAINS - 1))
    i, maxima = loop(builder, row.type(0), whole, CHAINS, first * CHAINS, several(CHAINS))
    for chain in range(1, CHAINS):
        others = maxima[2 * chain : 2 * chain + 2]
        maxima[:2] = [v.larger(a, b) for a, b in zip(others, maxima[:2], strict=True)]
    return loop(builder, i, rows, 1, maxima[:2], several(1))[1]


def _exponentials(v: Vectors, x_data: Any, row: Any, rows: Any, power: Any) -> list[Any]:
    """power(values, a panel's row each) in place of a panel's rows; the sums of its columns."""
    builder = v.builder

    def several(count: int) -> Callable[..., list[Any]]:
        def body(i: Any, sums: list[Any]) -> list[Any]:
            places = [builder.mul(builder.add(i, row.type(k)), row) for k in range(count)]
            results = power([value for place in places for value in v.pair(x_data, place)])
            for k, place in enumerate(places):
                here = results[2 * k : 2 * k + 2]
                v.put_row(here, x_data, place)
                sums = [builder.fadd(a, b) for a, b in zip(sums, here, strict=True)]
            return sums

        return body

    whole = builder.sub(rows, row.type(ABREAST - 1))
    nothing = [v.constant(0.0)] * 2
    i, sums = loop(builder, row.type(0), whole, ABREAST, nothing, several(ABREAST))
    return loop(builder, i, rows, 1, sums, several(1))[1]


def _take_in(
    typingctx: Any,
    x: Any,
    start: Any,
    row: Any,
    rows: Any,
    scale: Any,
    before: Any,
    m: Any,
    total: Any,
    factor: Any,
    column: Any,
) -> Any:
    """x becomes e^(scale (x - m)) for more rows of a panel, m the maxima, total the sums.

    Where there were rows `before`, m and total are theirs and go on. factor is what their
    exponentials are to be multiplied by, as m has risen since. The three begin at a column.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x_array, start, row, rows, scale, before, m_array, total_array, factor_array, column = args
        v = Vectors(context, builder, x.dtype)
        zero, nothing, lowest = row.type(0), v.constant(0.0), v.constant(-np.inf)
        x_data = v.data(signature.args[0], x_array, start)
        m_data = v.data(signature.args[6], m_array, column)
        total_data = v.data(signature.args[7], total_array, column)
        factor_data = v.data(signature.args[8], factor_array, column)
        form = FORM_32 if v.size == 4 else FORM_64
        number = _times(v, scale, LOG2_E)
        by, low = v.splat(number), v.splat(builder.fdiv(v.element(form.lowest), number))

        old = [builder.select(before, value, lowest) for value in v.pair(m_data, zero)]
        maxima = _maxima(v, x_data, row, rows, old)
        v.put_row(maxima, m_data, zero)
        # any number serves where there is no maximum
        shift = [
            builder.select(builder.fcmp_ordered(">", value, lowest), value, nothing)
            for value in maxima
        ]

        def power(values: list[Any]) -> list[Any]:
            shifts = shift * (len(values) // 2)
            below = [builder.fsub(a, b) for a, b in zip(values, shifts, strict=True)]
            return _powers_of_two(v, [v.larger(low, t) for t in below], by, form)

        factors = power(old)
        v.put_row(factors, factor_data, zero)
        sums = _exponentials(v, x_data, row, rows, power)
        totals = [builder.select(before, value, nothing) for value in v.pair(total_data, zero)]
        totals = [v.fma(a, b, c) for a, b, c in zip(totals, factors, sums, strict=True)]
        v.put_row(totals, total_data, zero)
        return context.get_dummy_value()

    n = types.intp
    return types.void(x, n, n, n, x.dtype, types.boolean, m, total, factor, n), emit


def _add_means(
    typingctx: Any,
    p: Any,
    d: Any,
    start: Any,
    row: Any,
    rows: Any,
    factor: Any,
    mean: Any,
    column: Any,
) -> Any:
    """mean = mean factor + the sums of p d by the columns of a panel; both begin at a column."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        p_array, d_array, start, row, rows, factor_array, mean_array, column = args
        v = Vectors(context, builder, p.dtype)
        zero = row.type(0)
        p_data = v.data(signature.args[0], p_array, start)
        d_data = v.data(signature.args[1], d_array, start)
        factors = v.pair(v.data(signature.args[5], factor_array, column), zero)
        mean_data = v.data(signature.args[6], mean_array, column)

        def several(chains: int) -> Callable[..., list[Any]]:
            def body(i: Any, sums: list[Any]) -> list[Any]:
                ps: list[Any] = []
                ds: list[Any] = []
                for chain in range(chains):
                    place = builder.mul(builder.add(i, row.type(chain)), row)
                    ps += v.pair(p_data, place)
                    ds += v.pair(d_data, place)
                return [v.fma(a, b, c) for a, b, c in zip(ps, ds, sums, strict=True)]

            return body

        whole = builder.sub(rows, row.type(CHAINS - 1))
        nothing = [v.constant(0.0)] * (2 * CHAINS)
        i, sums = loop(builder, zero, whole, CHAINS, nothing, several(CHAINS))
        for chain in range(1, CHAINS):
            others = sums[2 * chain : 2 * chain + 2]
            sums[:2] = [builder.fadd(a, b) for a, b in zip(others, sums[:2], strict=True)]
        _, sums = loop(builder, i, rows, 1, sums[:2], several(1))
        before = v.pair(mean_data, zero)
        sums = [v.fma(a, b, c) for a, b, c in zip(before, factors, sums, strict=True)]
        v.put_row(sums, mean_data, zero)
        return context.get_dummy_value()

    n = types.intp
    return types.void(p, d, n, n, n, factor, mean, n), emit


def _put_errors(
    typingctx: Any,
    p: Any,
    d: Any,
    start: Any,
    row: Any,
    rows: Any,
    factor: Any,
    mean: Any,
    column: Any,
    scale: Any,
) -> Any:
    """p = p factor, then d = scale p (d - mean), in a panel; factor and mean begin at a column."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        p_array, d_array, start, row, rows, factor_array, mean_array, column, scale = args
        v = Vectors(context, builder, p.dtype)
        zero = row.type(0)
        p_data = v.data(signature.args[0], p_array, start)
        d_data = v.data(signature.args[1], d_array, start)
        factors = v.pair(v.data(signature.args[5], factor_array, column), zero)
        means = v.pair(v.data(signature.args[6], mean_array, column), zero)
        scales = v.splat(scale)

        def body(i: Any, nothing: list[Any]) -> list[Any]:
            place = builder.mul(i, row)
            ps, ds = v.pair(p_data, place), v.pair(d_data, place)
            ps = [builder.fmul(a, b) for a, b in zip(ps, factors, strict=True)]
            ds = [builder.fmul(builder.fsub(a, b), scales) for a, b in zip(ds, means, strict=True)]
            v.put_row(ps, p_data, place)
            v.put_row([builder.fmul(a, b) for a, b in zip(ps, ds, strict=True)], d_data, place)
            return nothing

        loop(builder, zero, rows, 1, [], body)
        return context.get_dummy_value()

    n = types.intp
    return types.void(p, d, n, n, n, factor, mean, n, p.dtype), emit


def _all_finite(typingctx: Any, x: Any, start: Any, rows: Any) -> Any:
    """Whether all numbers are, of so many rows of a panel, from `start` on."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x_array, start, rows = args
        v = Vectors(context, builder, x.dtype)
        zero = rows.type(0)
        x_data = v.data(signature.args[0], x_array, start)

        def several(chains: int) -> Callable[..., list[Any]]:
            def body(i: Any, sums: list[Any]) -> list[Any]:
                values: list[Any] = []
                for chain in range(chains):
                    row = builder.add(i, rows.type(chain))
                    values += v.pair(x_data, builder.mul(row, rows.type(2 * v.lanes)))
                # 0 as long as all are
                return [
                    v.fma(value, v.constant(0.0), total)
                    for value, total in zip(values, sums, strict=True)
                ]

            return body

        whole = builder.sub(rows, rows.type(CHAINS - 1))
        i, sums = loop(
            builder, zero, whole, CHAINS, [v.constant(0.0)] * (2 * CHAINS), several(CHAINS)
        )
        _, rest = loop(builder, i, rows, 1, sums[:2], several(1))
        total = rest[0]
        for other in (rest[1], *sums[2:]):
            total = builder.fadd(total, other)
        bits = ir.IntType(v.lanes)
        odd = builder.bitcast(builder.fcmp_unordered("uno", total, total), bits)
        return builder.icmp_unsigned("==", odd, bits(0))

    return types.boolean(x, types.intp, types.intp), emit


def _put_transposed(typingctx: Any, x: Any, start: Any, row: Any, columns: Any, y: Any) -> Any:
    """A panel y = xᵀ: x from `start` on has as many rows as a panel has columns.

    Its columns are a multiple of a vector's numbers.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x_array, start, row, columns, y_array = args
        v = Vectors(context, builder, x.dtype)
        w = 2 * v.lanes
        zero = row.type(0)
        x_data = v.data(signature.args[0], x_array, start)
        y_data = v.data(signature.args[4], y_array, zero)
        below = builder.gep(x_data, [builder.mul(row, row.type(v.lanes))])

        def body(k: Any, nothing: list[Any]) -> list[Any]:
            into = builder.gep(y_data, [builder.mul(k, row.type(w))])
            for half, base in enumerate((x_data, below)):
                for number, line in enumerate(v.turned(builder.gep(base, [k]), row)):
                    v.put(line, into, row.type(number * w + half * v.lanes))
            return nothing

        loop(builder, zero, columns, v.lanes, [], body)
        return context.get_dummy_value()

    n = types.intp
    return types.void(x, n, n, n, y), emit


def rows_times(
    v: Vectors,
    rows: int,
    panels: int,
    x_data: Any,
    strides: tuple[Any, Any],
    M_data: Any,
    M_strides: tuple[Any, Any],
    depth: Any,
) -> list[Any]:
    """The product of rows of x and panels of M: the vectors of the first row, of the second, …"""
    builder, (x_row, x_column), (M_row, M_panel) = v.builder, strides, M_strides
    n = depth.type
    lines = [builder.gep(x_data, [builder.mul(x_row, n(row))]) for row in range(rows)]
    if not isinstance(x_row, ir.Constant):
        lines = [apart(builder, line) for line in lines]
    bases = [builder.gep(M_data, [builder.mul(M_panel, n(panel))]) for panel in range(panels)]

    def multiples(stride: Any) -> list[Any]:
        """0, 1, 2 … times the stride, as a round of the loop adds them to its index.

        Where each step's index is computed from that of the step before, LLVM loads what all of
        them need first, more than there are registers for: 0.6 times as fast.
        """
        found = [builder.mul(stride, n(step)) for step in range(1, STEPS)]
        if not isinstance(stride, ir.Constant):
            found = [apart(builder, each) for each in found]
        return [n(0), *found]

    x_steps, M_steps = multiples(x_column), multiples(M_row)

    def several(steps: int) -> Callable[..., list[Any]]:
        def body(i: Any, sums: list[Any]) -> list[Any]:
            column, place = builder.mul(i, x_column), builder.mul(i, M_row)
            for step in range(steps):
                start = builder.add(place, M_steps[step])
                right = [value for base in bases for value in v.pair(base, start)]
                index = builder.add(column, x_steps[step])
                new = []
                for row, line in enumerate(lines):
                    left = v.splat(builder.load(builder.gep(line, [index])))
                    here = sums[row * len(right) : (row + 1) * len(right)]
                    new += [v.fma(left, a, b) for a, b in zip(right, here, strict=True)]
                sums = new
            return sums

        return body

    whole = builder.sub(depth, n(STEPS - 1))
    nothing = [v.constant(0.0)] * (2 * panels * rows)
    i, sums = loop(builder, n(0), whole, STEPS, nothing, several(STEPS))
    return loop(builder, i, depth, 1, sums, several(1))[1]


def _put_product(rows: int, panels: int) -> Any:
    """y = x M, of so many rows of x and panels of M side by side."""

    def tile(
        typingctx: Any,
        x: Any,
        x_row: Any,
        x_start: Any,
        M: Any,
        M_start: Any,
        M_panel: Any,
        depth: Any,
        y: Any,
        y_row: Any,
        y_start: Any,
    ) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x_array, x_row, x_start, M_array, M_start, M_panel, depth, y_array, *of_y = args
            y_row, y_start = of_y
            v = Vectors(context, builder, x.dtype)
            n = depth.type
            w = n(2 * v.lanes)
            x_data = v.data(signature.args[0], x_array, x_start)
            M_data = v.data(signature.args[3], M_array, M_start)
            y_data = v.data(signature.args[7], y_array, y_start)
            strides, M_strides = (x_row, n(1)), (w, M_panel)
            sums = rows_times(v, rows, panels, x_data, strides, M_data, M_strides, depth)
            for row in range(rows):
                here = sums[2 * panels * row : 2 * panels * (row + 1)]
                v.put_row(here, y_data, builder.mul(y_row, n(row)))
            return context.get_dummy_value()

        n = types.intp
        return types.void(x, n, n, M, n, n, n, y, n, n), emit

    def interpreted(
        x: Array,
        x_row: int,
        x_start: int,
        M: Array,
        M_start: int,
        M_panel: int,
        depth: int,
        y: Array,
        y_row: int,
        y_start: int,
    ) -> None:
        w = width(x.dtype)
        left = view(x, x_start, (rows, depth), (x_row, 1))
        for panel in range(panels):
            right = view(M, M_start + panel * M_panel, (depth, w), (w, 1))
            view(y, y_start + panel * w, (rows, w), (y_row, 1))[...] = left @ right

    return interpreted if config.DISABLE_JIT else intrinsic(tile)


def _add_product(rows: int, panels: int) -> Any:
    """total = total factor + xᵀ M, of so many columns of x and panels of M side by side.

    Where there was nothing `before`, total is taken to be 0; where this is the `last`, the result
    times `inverse` is put in y instead. factor and inverse have one number for each column.
    """

    def tile(
        typingctx: Any,
        x: Any,
        x_row: Any,
        column: Any,
        M: Any,
        M_row: Any,
        M_start: Any,
        M_panel: Any,
        depth: Any,
        total: Any,
        total_row: Any,
        total_start: Any,
        before: Any,
        factor: Any,
        last: Any,
        inverse: Any,
        y: Any,
        y_row: Any,
        y_start: Any,
    ) -> Any:
        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x_array, x_row, column, M_array, M_row, M_start, M_panel, depth, *rest = args
            total_array, total_row, total_start, before, factor_array, last, *rest = rest
            inverse_array, y_array, y_row, y_start = rest
            v = Vectors(context, builder, x.dtype)
            n, vectors = depth.type, 2 * panels
            x_data = v.data(signature.args[0], x_array, column)
            M_data = v.data(signature.args[3], M_array, M_start)
            total_data = v.data(signature.args[8], total_array, total_start)
            factor_data = v.data(signature.args[12], factor_array, column)
            inverse_data = v.data(signature.args[14], inverse_array, column)
            y_data = v.data(signature.args[15], y_array, y_start)
            strides, M_strides = (n(1), x_row), (M_row, M_panel)
            sums = rows_times(v, rows, panels, x_data, strides, M_data, M_strides, depth)

            def by_row(data: Any, row: int) -> Any:
                return v.splat(builder.load(builder.gep(data, [n(row)])))

            def of_row(values: list[Any], row: int) -> list[Any]:
                return values[vectors * row : vectors * (row + 1)]

            begun = builder.block
            with builder.if_then(before):
                scaled = []
                for row in range(rows):
                    factor = by_row(factor_data, row)
                    there = v.row(total_data, builder.mul(total_row, n(row)), vectors)
                    pairs = zip(there, of_row(sums, row), strict=True)
                    scaled += [v.fma(a, factor, b) for a, b in pairs]
                added = builder.block
            merged = []
            for value, other in zip(sums, scaled, strict=True):
                phi = builder.phi(v.kind)
                phi.add_incoming(value, begun)
                phi.add_incoming(other, added)
                merged.append(phi)
            with builder.if_else(last) as (at_last, otherwise):
                with at_last:
                    for row in range(rows):
                        by = by_row(inverse_data, row)
                        here = [builder.fmul(a, by) for a in of_row(merged, row)]
                        v.put_row(here, y_data, builder.mul(y_row, n(row)))
                with otherwise:
                    for row in range(rows):
                        v.put_row(of_row(merged, row), total_data, builder.mul(total_row, n(row)))
            return context.get_dummy_value()

        n, flag = types.intp, types.boolean
        kinds = x, n, n, M, n, n, n, n, total, n, n, flag, factor, flag, inverse, y, n, n
        return types.void(*kinds), emit

    def interpreted(
        x: Array,
        x_row: int,
        column: int,
        M: Array,
        M_row: int,
        M_start: int,
        M_panel: int,
        depth: int,
        total: Array,
        total_row: int,
        total_start: int,
        before: bool,
        factor: Array,
        last: bool,
        inverse: Array,
        y: Array,
        y_row: int,
        y_start: int,
    ) -> None:
        w = width(x.dtype)
        here = slice(column, column + rows)
        left = view(x, column, (rows, depth), (1, x_row))
        for panel in range(panels):
            there = view(total, total_start + panel * w, (rows, w), (total_row, 1))
            result = left @ view(M, M_start + panel * M_panel, (depth, w), (M_row, 1))
            if before:
                result += there * factor[here, np.newaxis]
            if last:
                result *= inverse[here, np.newaxis]
                view(y, y_start + panel * w, (rows, w), (y_row, 1))[...] = result
            else:
                there[...] = result

    return interpreted if config.DISABLE_JIT else intrinsic(tile)


def _panel(x: Array, start: int, row: int, rows: int) -> Array:
    """A panel of so many rows as a view."""
    return view(x, start, (rows, width(x.dtype)), (row, 1))


put_product_most, put_product_4 = _put_product(MOST, 1), _put_product(4, 1)
put_pair_6, put_pair_4 = _put_product(6, 2), _put_product(4, 2)
add_product_most, add_product_4 = _add_product(MOST, 1), _add_product(4, 1)
add_pair_6, add_pair_4 = _add_product(6, 2), _add_product(4, 2)

if config.DISABLE_JIT:

    def take_in(
        x: Array,
        start: int,
        row: int,
        rows: int,
        scale: Any,
        before: bool,
        m: Array,
        total: Array,
        factor: Array,
        column: int,
    ) -> None:
        """x becomes e^(scale (x - m)) for more rows of a panel, m the maxima, total the sums."""
        panel, here = _panel(x, start, row, rows), slice(column, column + width(x.dtype))
        old = m[here].copy() if before else np.full_like(m[here], -np.inf)
        new = old.copy()
        for values in panel:
            np.copyto(new, values, where=values > new)
        shift = np.where(new > -np.inf, new, 0)
        panel[...] = np.exp(scale * (panel - shift))
        m[here], factor[here] = new, np.exp(scale * (old - shift))
        total[here] = panel.sum(axis=0) + (total[here] * factor[here] if before else 0)

    def add_means(
        p: Array,
        d: Array,
        start: int,
        row: int,
        rows: int,
        factor: Array,
        mean: Array,
        column: int,
    ) -> None:
        """mean = mean factor + the sums of p d by the columns of a panel."""
        here = slice(column, column + width(p.dtype))
        sums = (_panel(p, start, row, rows) * _panel(d, start, row, rows)).sum(axis=0)
        mean[here] = mean[here] * factor[here] + sums

    def put_errors(
        p: Array,
        d: Array,
        start: int,
        row: int,
        rows: int,
        factor: Array,
        mean: Array,
        column: int,
        scale: Any,
    ) -> None:
        """p = p factor and then d = scale p (d - mean) in a panel."""
        here = slice(column, column + width(p.dtype))
        p_panel, d_panel = _panel(p, start, row, rows), _panel(d, start, row, rows)
        p_panel *= factor[here]
        d_panel[...] = p_panel * ((d_panel - mean[here]) * scale)

    def all_finite(x: Array, start: int, rows: int) -> bool:
        """Whether all numbers are, of so many rows of a panel, from `start` on."""
        return bool(np.isfinite(_panel(x, start, width(x.dtype), rows)).all())

    def put_transposed(x: Array, start: int, row: int, columns: int, y: Array) -> None:
        """A panel y = xᵀ: x from `start` on has as many rows as a panel has columns."""
        w = width(x.dtype)
        view(y, 0, (columns, w), (w, 1))[...] = view(x, start, (w, columns), (row, 1)).T

else:
    all_finite = intrinsic(_all_finite)
    put_transposed = intrinsic(_put_transposed)
    take_in = intrinsic(_take_in)
    add_means = intrinsic(_add_means)
    put_errors = intrinsic(_put_errors)
