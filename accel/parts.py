"""float32 products on a unit for bfloat16 (AMX), as exact as fused multiply-adds or more so.

A float32 is the sum of three bfloat16, of 8 bits each: x = h + m + l, exactly. Of the nine products
of x's and M's parts, six are taken, each into the same float32 sum,

    x M ≈ l h + m h + m m + h m + h l + h h

and what is left out, m l + l m + l l, is hardly ever above 2^-24 of |x| |M|, on average 2^-27,
where the rounding of a float32 is 2^-25. The unit adds up 32 products before it rounds into the
sum, where a chain of multiply-adds rounds 32 times. Six products of bfloat16 take 0.4 of the time
of one of float32, and as long where another program has its share of the unit.

The unit takes subnormal numbers for 0 and infinite ones make NaN of their parts. So numbers have to
be 0 or of a magnitude from LEAST to MOST, where no part and no product of two is lost; others are
told, and their products are `packed`'s.

The parts of a panel follow its rows (see `packed`): for each BLOCK rows of it, and for each tile of
16 columns, h, m and l, each 16 lines of pairs from two successive rows. Parts are float32 to Numba,
which are only moved. The very last row begins with 1 where all numbers have a fitting magnitude.
"""

import struct
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from nnspec.accel.arrays import Array
from nnspec.accel.emit import loop
from nnspec.accel.host import AMX
from nnspec.accel.jit import config, lean_helper
from nnspec.accel.vectors import spread

# rows and columns of a tile, rows of a matrix that a tile's pairs take, bytes of a tile
SIDE, BLOCK, TILE = 16, 32, 1024
PARTS = 3
H, M, L = range(PARTS)
# the products of a part of x and one of M, small ones first; each has a part of the one before
ORDER = (L, H), (M, H), (M, M), (H, M), (H, L), (H, H)
# rows, rows of the matrix and panels from which on the unit is faster by much, rows that are split
# at once, and how deep: by little it would not be where another program has its share of the unit
FEW, SHALLOW, NARROW, AT_ONCE, DEEP = 24, 256, 8, 2 * SIDE, 512
LEAST, MOST = 2.0**-50, 2.0**50
# bytes of x's parts; numbers of a panel's row, rows of a panel that the parts of a block take
X_PARTS = PARTS * 2 * AT_ONCE * DEEP
PANEL = 2 * SIDE
BLOCK_ROWS = 2 * PARTS * TILE // (4 * PANEL)

ON = AMX and not config.DISABLE_JIT


@lean_helper
def panel_rows(K: int, w: int, rows: int, panels: int) -> int:
    """Rows of a panel of K rows and w columns: with parts where so many rows meet so many panels.

    w is of float32 where it is PANEL.
    """
    pays = w == PANEL and rows >= FEW and K >= SHALLOW and panels >= NARROW
    return K + -(-K // BLOCK) * BLOCK_ROWS + 1 if ON and pays else K


def _bits(value: float) -> int:
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


_FLAG, _INT_64, _BYTE, _FLOAT = ir.IntType(1), ir.IntType(64), ir.IntType(8), ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, SIDE)
_INTEGERS = ir.VectorType(ir.IntType(32), SIDE)
_WORDS = ir.VectorType(ir.IntType(16), 2 * SIDE)


def _all(value: int) -> Any:
    return ir.Constant(_INTEGERS, [value] * SIDE)


class _Emit:
    """LLVM's builder with what the emitters below share."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context, self.builder = context, builder

    def address(self, kind: Any, array: Any, start: Any) -> Any:
        """Where an array's element is, as a number."""
        data = self.context.make_array(kind)(self.context, self.builder, array).data
        return self.builder.ptrtoint(self.builder.gep(data, [start]), _INT_64)

    def moved(self, address: Any, *more: Any) -> Any:
        """The address, and so many bytes more."""
        for number in more:
            step = number if isinstance(number, ir.Value) else _INT_64(number)
            address = self.builder.add(address, step)
        return address

    def times(self, a: Any, b: int) -> Any:
        return self.builder.mul(a, _INT_64(b))

    def pointer(self, address: Any, kind: Any = _BYTE) -> Any:
        return self.builder.inttoptr(address, kind.as_pointer())

    def load(self, address: Any) -> Any:
        value = self.builder.load(self.pointer(address, _VECTOR))
        value.align = 4
        return value

    def some(self, address: Any, count: Any, first: int) -> Any:
        """A vector whose numbers count from `first` on, with zeros from `count` on."""
        numbers = ir.Constant(_INTEGERS, list(range(first, first + SIDE)))
        mask = self.builder.icmp_signed("<", numbers, spread(self.builder, count, SIDE))
        arguments = self.pointer(address, _VECTOR), ir.IntType(32)(4), mask
        zero = ir.Constant(_VECTOR, None)
        return self.call("masked.load.v16f32.p0", *arguments, zero, result=_VECTOR)

    def store(self, value: Any, address: Any) -> None:
        self.builder.store(value, self.pointer(address, value.type)).align = 4

    def call(self, name: str, *args: Any, result: Any = None) -> Any:
        """One of LLVM's own functions."""
        kind = ir.FunctionType(result or ir.VoidType(), [value.type for value in args])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}")
        return self.builder.call(function, args)

    def tile(self, name: str, *args: Any) -> None:
        """An instruction of the unit; a tile is known by its number."""
        self.call(f"x86.{name}", *(_BYTE(a) if isinstance(a, int) else a for a in args))

    def loop(self, start: Any, stop: Any, held: list[Any], body: Any) -> list[Any]:
        """Body(k, held) for k from start to before stop; what is held then."""
        return loop(self.builder, start, stop, 1, held, body)[1]

    def split(self, x: Any, seen: list[Any]) -> tuple[list[Any], list[Any]]:
        """(h, m, l) of a vector, and the least and the largest magnitude seen so far.

        As integers, of which a magnitude of 0 is the largest less one.
        """
        builder = self.builder
        parts = []
        rest = x
        for _ in range(PARTS - 1):
            bits = builder.bitcast(rest, _INTEGERS)
            rounded = builder.and_(builder.add(bits, _all(0x8000)), _all(0xFFFF0000))
            parts.append(rounded)
            rest = builder.fsub(rest, builder.bitcast(rounded, _VECTOR))
        parts.append(builder.bitcast(rest, _INTEGERS))
        size = builder.and_(builder.bitcast(x, _INTEGERS), _all(0x7FFFFFFF))
        least, most = seen
        less = builder.sub(size, _all(1))
        least = self.call("umin.v16i32", least, less, result=_INTEGERS)
        most = self.call("umax.v16i32", most, size, result=_INTEGERS)
        return parts, [least, most]

    def nothing_seen(self) -> list[Any]:
        return [_all(0xFFFFFFFF), _all(0)]

    def fit(self, seen: list[Any]) -> Any:
        """Whether all magnitudes are 0 or from LEAST to MOST."""
        names = ("umin", "umax")
        least, most = (
            self.call(f"vector.reduce.{name}.v16i32", value, result=ir.IntType(32))
            for name, value in zip(names, seen, strict=True)
        )
        word = ir.IntType(32)
        return self.builder.and_(
            self.builder.icmp_unsigned(">=", least, word(_bits(LEAST) - 1)),
            self.builder.icmp_unsigned("<=", most, word(_bits(MOST))),
        )


def _fits(array: Any) -> bool:
    """Whether the unit takes such an array; elsewhere its instructions are not even emitted."""
    return ON and array.dtype == types.float32


def _in_frame(builder: Any, size: int) -> Any:
    """The address of so many bytes in the function's frame; Numba's own way fills them with 0."""
    with builder.goto_entry_block():
        room = builder.alloca(ir.ArrayType(_BYTE, size))
    room.align = 64
    return builder.ptrtoint(room, _INT_64)


def _stack_room(typingctx: Any) -> Any:
    """The address of room in this function's frame: the parts of some rows of x, then sums."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _in_frame(builder, X_PARTS + 4 * TILE)

    return types.intp(), emit


def _split_rows(
    typingctx: Any, x: Any, start: Any, row: Any, rows: Any, columns: Any, room: Any
) -> Any:
    """The parts of up to AT_ONCE rows of x into the room; whether they fit.

    x has contiguous rows, `row` elements from each other. For each SIDE rows, and for each BLOCK
    columns, three tiles: h, m and l.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if not _fits(x):
            return _FLAG(0)
        x_array, start, row, rows, columns, room = args
        e = _Emit(context, builder)
        base = e.address(signature.args[0], x_array, start)
        blocks = builder.sdiv(builder.add(columns, _INT_64(BLOCK - 1)), _INT_64(BLOCK))
        whole = builder.sdiv(columns, _INT_64(BLOCK))
        rest = builder.trunc(builder.srem(columns, _INT_64(BLOCK)), ir.IntType(32))
        odd = list(range(1, 2 * SIDE, 2)) + list(range(2 * SIDE + 1, 4 * SIDE, 2))
        choice = ir.Constant(ir.VectorType(ir.IntType(32), 2 * SIDE), odd)

        def put(values: list[Any], into: Any, seen: list[Any]) -> list[Any]:
            first, seen = e.split(values[0], seen)
            second, seen = e.split(values[1], seen)
            for number, pair in enumerate(zip(first, second, strict=True)):
                left, right = (builder.bitcast(value, _WORDS) for value in pair)
                # the upper words, of the left vector and then of the right one
                words = builder.shuffle_vector(left, right, choice)
                e.store(words, e.moved(into, number * TILE))
            return seen

        def of_row(i: Any, seen: list[Any]) -> list[Any]:
            line = e.moved(base, e.times(builder.mul(i, row), 4))
            group = e.times(builder.mul(builder.sdiv(i, _INT_64(SIDE)), blocks), PARTS * TILE)
            target = e.moved(room, group, e.times(builder.srem(i, _INT_64(SIDE)), 4 * SIDE))

            def of_block(d: Any, seen: list[Any]) -> list[Any]:
                place = e.moved(line, e.times(d, 4 * BLOCK))
                values = [e.load(place), e.load(e.moved(place, 4 * SIDE))]
                return put(values, e.moved(target, e.times(d, PARTS * TILE)), seen)

            seen = e.loop(_INT_64(0), whole, seen, of_block)
            before = builder.block
            with builder.if_then(builder.icmp_signed("<", whole, blocks)):
                place = e.moved(line, e.times(whole, 4 * BLOCK))
                values = [e.some(e.moved(place, 4 * half), rest, half) for half in (0, SIDE)]
                last = put(values, e.moved(target, e.times(whole, PARTS * TILE)), seen)
                inside = builder.block
            merged = []
            for value, other in zip(seen, last, strict=True):
                phi = builder.phi(_INTEGERS)
                phi.add_incoming(value, before)
                phi.add_incoming(other, inside)
                merged.append(phi)
            return merged

        return e.fit(e.loop(_INT_64(0), rows, e.nothing_seen(), of_row))

    n = types.intp
    return types.boolean(x, n, n, n, n, n), emit


def _split_panel(typingctx: Any, packed: Any, start: Any, rows: Any, into: Any) -> Any:
    """The parts of a panel's rows, which are contiguous from `start` on, to `into`; do they fit?"""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if not _fits(packed):
            return _FLAG(0)
        array, start, rows, into = args
        e = _Emit(context, builder)
        base = e.address(signature.args[0], array, start)
        target = e.address(signature.args[0], array, into)
        pairs = builder.sdiv(rows, _INT_64(2))
        blocks = builder.sdiv(builder.add(rows, _INT_64(BLOCK - 1)), _INT_64(BLOCK))
        zero = ir.Constant(_VECTOR, None)

        def put(q: Any, seen: list[Any], there: int) -> list[Any]:
            """A line of each tile, of which so many rows are there."""
            place = e.moved(base, e.times(q, 2 * 4 * PANEL))
            block = e.times(builder.sdiv(q, _INT_64(SIDE)), 2 * PARTS * TILE)
            line = e.moved(target, block, e.times(builder.srem(q, _INT_64(SIDE)), 4 * SIDE))
            for half in (0, 1):
                rows = [
                    e.load(e.moved(place, 4 * (k * PANEL + half * SIDE))) if k < there else zero
                    for k in (0, 1)
                ]
                even, seen = e.split(rows[0], seen)
                odd, seen = e.split(rows[1], seen)
                for number, (a, b) in enumerate(zip(even, odd, strict=True)):
                    words = builder.or_(builder.lshr(a, _all(16)), b)
                    e.store(words, e.moved(line, (half * PARTS + number) * TILE))
            return seen

        seen = e.loop(_INT_64(0), pairs, e.nothing_seen(), lambda q, seen: put(q, seen, 2))
        more = builder.sdiv(builder.add(rows, _INT_64(1)), _INT_64(2))
        seen = e.loop(pairs, more, seen, lambda q, seen: put(q, seen, 1))
        seen = e.loop(more, e.times(blocks, SIDE), seen, lambda q, seen: put(q, seen, 0))
        return e.fit(seen)

    n = types.intp
    return types.boolean(packed, n, n, n), emit


def _configure(typingctx: Any, x: Any, rows: Any) -> Any:
    """The tiles of SIDE + 1 to AT_ONCE rows.

    0 and 1 are the sums of the first SIDE rows, 2 and 3 of the others; 4 and 5 x's, 6 and 7 M's.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if not _fits(x):
            return context.get_dummy_value()
        _, rows = args
        e, base = _Emit(context, builder), _in_frame(builder, 64)
        whole = _BYTE(SIDE)
        rest = builder.trunc(builder.sub(rows, _INT_64(SIDE)), _BYTE)
        counts = [whole, whole, rest, rest, whole, rest, whole, whole]
        e.store(ir.Constant(_INTEGERS, [1] + [0] * (SIDE - 1)), base)
        for number in range(8):
            word = ir.IntType(16)
            builder.store(word(4 * SIDE), e.pointer(e.moved(base, 16 + 2 * number), word)).align = 2
            builder.store(counts[number], e.pointer(e.moved(base, 48 + number))).align = 1
        e.tile("ldtilecfg", e.pointer(base))
        return context.get_dummy_value()

    return types.void(x, types.intp), emit


def _release(typingctx: Any, x: Any) -> Any:
    """No more tiles: a thread that holds some is slower to put aside."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _fits(x):
            _Emit(context, builder).tile("tilerelease")
        return context.get_dummy_value()

    return types.void(x), emit


def _add_tiles(
    typingctx: Any,
    room: Any,  # x's parts, then room for sums
    blocks: Any,
    packed: Any,
    parts: Any,  # where those of the panel begin
    s: Any,
    s_start: Any,
    s_row: Any,
    y: Any,
    y_start: Any,
    y_row: Any,
    rows: Any,
) -> Any:
    """y = s + x M of SIDE + 1 to AT_ONCE rows and one panel."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if not _fits(packed):
            return context.get_dummy_value()
        room, blocks, M_array, parts, s_array, s_start, s_row, *rest = args
        y_array, y_start, y_row, rows = rest
        e = _Emit(context, builder)
        first = e.address(signature.args[2], M_array, parts)
        x_group = e.times(blocks, PARTS * TILE)
        line = _INT_64(4 * SIDE)
        for number in range(4):
            e.tile("tilezero", number)

        def of_x(d: Any, group: int, part: int) -> Any:
            place = e.moved(room, e.times(d, PARTS * TILE), part * TILE)
            return e.pointer(e.moved(place, x_group) if group else place)

        def of_M(d: Any, tile: int, part: int) -> Any:
            place = e.moved(first, e.times(d, 2 * PARTS * TILE))
            return e.pointer(e.moved(place, (tile * PARTS + part) * TILE))

        def of_block(d: Any, nothing: list[Any]) -> list[Any]:
            x_there = M_there = None
            for x_part, M_part in ORDER:
                for each in (0, 1):
                    if x_part != x_there:
                        e.tile("tileloadd64", 4 + each, of_x(d, each, x_part), line)
                    if M_part != M_there:
                        e.tile("tileloadd64", 6 + each, of_M(d, each, M_part), line)
                x_there, M_there = x_part, M_part
                for number in range(4):
                    e.tile("tdpbf16ps", number, 4 + number // 2, 6 + number % 2)
            return nothing

        e.loop(_INT_64(0), blocks, [], of_block)
        sums = e.moved(room, X_PARTS)
        wide = 4 * SIDE * 2
        for number in range(4):
            group, tile = divmod(number, 2)
            place = e.moved(sums, group * SIDE * wide + tile * 4 * SIDE)
            e.tile("tilestored64", number, e.pointer(place), _INT_64(wide))
        s_base = e.address(signature.args[4], s_array, s_start)
        y_base = e.address(signature.args[7], y_array, y_start)

        def put(i: Any, nothing: list[Any]) -> list[Any]:
            here = e.moved(sums, e.times(i, wide))
            from_s = e.moved(s_base, e.times(builder.mul(i, s_row), 4))
            to_y = e.moved(y_base, e.times(builder.mul(i, y_row), 4))
            for tile in (0, 1):
                step = 4 * SIDE * tile
                a, b = (e.load(e.moved(place, step)) for place in (from_s, here))
                # added last: it may be larger than all of the terms
                e.store(builder.fadd(a, b), e.moved(to_y, step))
            return nothing

        e.loop(_INT_64(0), rows, [], put)
        return context.get_dummy_value()

    n = types.intp
    return types.void(n, n, packed, n, s, n, n, y, n, n, n), emit


_room: Any = intrinsic(_stack_room)
_begin: Any = intrinsic(_configure)
_end: Any = intrinsic(_release)
_put_x_parts: Any = intrinsic(_split_rows)
_put_parts: Any = intrinsic(_split_panel)
_add: Any = intrinsic(_add_tiles)


@lean_helper
def split_panels(packed: Array, K: int) -> None:
    """The parts of panels' first K rows, behind them where there is room; they are contiguous."""
    rows, w = packed.shape[1:]
    if not ON or rows == K:
        return
    flat = packed.reshape(packed.size)
    for p in range(packed.shape[0]):
        first = p * rows * w
        fit = _put_parts(flat, first, K, first + K * w)
        packed[p, rows - 1, 0] = 1 if fit else 0


@lean_helper
def add_parts(
    s: Array,
    s_row: int,
    x: Array,
    deep: int,
    depth: int,
    packed: Array,
    y: Array,
    first: int,
    last: int,
    row: int,
    row_end: int,
) -> bool:
    """y = s + x M of up to AT_ONCE rows and some panels, over `depth` of the columns of x.

    Where a number does not fit, or the rows are one tile's at most, nothing is done.
    """
    if not ON or row_end - row <= SIDE:
        return False
    K, w = x.shape[1], packed.shape[2]
    for p in range(first, last):
        if packed[p, packed.shape[1] - 1, 0] == 0:
            return False
    room, rows = _room(), row_end - row
    x_row, y_row = x.strides[0] // x.itemsize, y.strides[0] // y.itemsize
    if not _put_x_parts(x, row * x_row + deep, x_row, rows, depth, room):
        return False
    blocks, panel = -(-depth // BLOCK), packed.strides[0] // packed.itemsize
    parts = (K + deep // BLOCK * BLOCK_ROWS) * w
    _begin(x, rows)
    for p in range(first, last):
        sums = s, row * s_row + p * w, s_row, y, row * y_row + p * w, y_row, rows
        _add(room, blocks, packed, p * panel + parts, *sums)
    _end(x)
    return True
