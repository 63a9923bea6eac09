"""Scaled dot-product attention, a block of queries at a time: memory grows with L, not with L².

A tile has one row for each key and one column for each query of a block, so that the softmax over
the keys is elementwise work on rows. Forward, a tile has so many keys as stay near, and what is
there of the results is scaled down where later keys have larger scores; backward, and for the
weights themselves, it has all of them. Its products are `panels`'s and `packed`'s. Where a
mask, or the order, hides a key from a query, the tile's element is selected away, and what is not
finite in the other factor is left out of the product and added pair by pair.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nnspec.accel import threads
from nnspec.accel.arrays import Array
from nnspec.accel.host import VECTOR
from nnspec.accel.jit import lean_helper, lean_kernel, lean_view
from nnspec.accel.packed import (
    MOST,
    PAIRS,
    fill,
    multiply,
    pack,
    pack_transposed,
    panels_in,
    room_for,
    rows_of_pair,
    rows_of_tile,
    width,
)
from nnspec.accel.panels import (
    add_means,
    add_pair_4,
    add_pair_6,
    add_product_4,
    add_product_most,
    all_finite,
    put_errors,
    put_pair_4,
    put_pair_6,
    put_product_4,
    put_product_most,
    put_transposed,
    take_in,
)
from nnspec.accel.scalar import ONE, ZERO
from nnspec.accel.team import new_counter, shared, take

# the columns of a tile
QUERIES = 64
# panels and keys of a tile, forward
PANELS, KEYS = 2, 128
# keys or queries that are looked at together where they do not see all of the others
GROUP = 12
# turns in which a thread does its share of the queries: who is slower does fewer of them
TURNS = 4


class See(NamedTuple):
    """Which key each query sees, as the kernels take it."""

    mask: Array  # (B or 1, N or 1, L or 1, S or 1)
    masked: bool  # whether there is a mask at all
    lengths: Array  # (B,)
    causal: bool

    @property
    def hides(self) -> bool:
        """Whether queries of one example may see different keys, or not the first ones."""
        return self.masked or self.causal


class _Call(NamedTuple):
    """What attention is called with."""

    q: Array  # (B, N, L, K)
    k: Array  # (B, N, S, K)
    v: Array  # (B, N, S, J)
    scale: Any
    mask: Array  # these four as in `See`
    masked: bool
    lengths: Array
    causal: bool
    w: int


@lean_helper
def _divide(x: Array, total: Array) -> None:
    for i in range(x.size):
        x[i] /= total[i]


@lean_helper
def _scale_by(p: Array, factor: Array) -> None:
    for i in range(p.size):
        p[i] *= factor[i]


@lean_helper
def _select(x: Array, keep: Array, value: Any) -> None:
    for i in range(x.size):
        x[i] = x[i] if keep[i] else value


@lean_helper
def _put_before(x: Array, end: int, value: Any) -> None:
    """`value` in the first elements: a loop over all of them is one of whole vectors."""
    for i in range(x.size):
        x[i] = value if i < end else x[i]


@lean_helper
def _hide(tile: Array, keep: Array, place: int, value: Any) -> None:
    """`value` for each pair that does not see each other.

    Where `keep` has no rows, a query sees no key after its own place; the first one is at `place`
    among the keys of the tile.
    """
    if keep.shape[0]:
        for j in range(tile.shape[0]):
            _select(tile[j], keep[j], value)
    else:
        for j in range(max(place + 1, 0), tile.shape[0]):
            _put_before(tile[j], j - place, value)


@lean_helper
def _mark(
    keep: Array,  # (keys, columns), written to
    mask: Array,  # (L or 1, S or 1)
    masked: bool,
    causal: bool,
    first: int,
    rows: int,
    begin: int,
    place: int,
) -> None:
    """Which keys from `begin` on the queries from `first` on see; that is at `place` among them."""
    keep[:] = True
    if masked:
        for i in range(rows):
            row = mask[first + i if mask.shape[0] > 1 else 0]
            if row.size > 1:
                for j in range(keep.shape[0]):
                    keep[j, i] = row[begin + j]
            elif row.size == 1:
                for j in range(keep.shape[0]):
                    keep[j, i] = row[0]
    if causal:
        for j in range(max(place + 1, 0), keep.shape[0]):
            keep[j, : min(j - place, keep.shape[1])] = False


@lean_helper
def _clean(packed: Array) -> bool:
    """Zeros in place of what is not finite in panels; whether there was any."""
    flat = packed.reshape(packed.size)
    if all_finite(flat, 0, packed.shape[0] * packed.shape[1]):
        return False
    for k in range(flat.size):
        flat[k] = flat[k] if abs(flat[k]) < np.inf else ZERO
    return True


@lean_helper
def _odd_part(a: Array, keep: Array, M: Array, y: Array) -> None:
    """y += a M over what is not finite in M (depth, N), of pairs that see each other.

    a is a tile (rows, depth) or its transpose, keep too.
    """
    for d in range(M.shape[0]):
        for c in range(M.shape[1]):
            if not abs(M[d, c]) < np.inf:
                for r in range(a.shape[0]):
                    if keep[r, d]:
                        y[r, c] += a[r, d] * M[d, c]


@lean_view
def _cut(room: Array, size: int) -> tuple[Array, Array]:
    """The first numbers of the room, and the rest."""
    return room[:size], room[size:]


@lean_view
def _rows_in(room: Array, rows: int, columns: int) -> Array:
    return room[: rows * columns].reshape(rows, columns)


@lean_helper
def _reach(seen: int, until: int, causal: bool) -> int:
    """How many of the keys the queries before place `until` see, of those that the block sees."""
    return min(seen, max(until, 0)) if causal else seen


@lean_helper
def _turn(x: Array, panels: Array) -> None:
    """xᵀ in panels, x (queries, K)."""
    (rows, K), w = x.shape, panels.shape[2]
    if rows == panels.shape[0] * w and K % (w // 2) == 0:
        for c in range(panels.shape[0]):
            put_transposed(x, c * w * K, K, K, panels[c])
    else:
        pack_transposed(x, panels)


@lean_helper
def _panel_scores(k: Array, q_T: Array, s: Array, c: int, pair: bool) -> None:
    """s = k qᵀ for panel c of the queries, or two: q_T in panels, s (the keys, all columns)."""
    (keys, K), w, row = k.shape, q_T.shape[2], s.shape[1]
    M, of_M = c * K * w, K * w
    i = 0
    while i + 4 <= keys:
        left = keys - i
        if pair and rows_of_pair(left) == 6:
            put_pair_6(k, K, i * K, q_T, M, of_M, K, s, row, i * row + c * w)
            i += 6
        elif pair:
            put_pair_4(k, K, i * K, q_T, M, of_M, K, s, row, i * row + c * w)
            i += 4
        elif rows_of_tile(left) == MOST:
            put_product_most(k, K, i * K, q_T, M, of_M, K, s, row, i * row + c * w)
            i += MOST
        else:
            put_product_4(k, K, i * K, q_T, M, of_M, K, s, row, i * row + c * w)
            i += 4
    panels = 2 if pair else 1
    if i < keys and keys >= 4:  # some of them again
        i = keys - 4
        if pair:
            put_pair_4(k, K, i * K, q_T, M, of_M, K, s, row, i * row + c * w)
        else:
            put_product_4(k, K, i * K, q_T, M, of_M, K, s, row, i * row + c * w)
    elif i < keys:
        some = s[:keys, c * w : (c + panels) * w]
        some[:] = 0
        multiply(k, q_T[c : c + panels], some, 0, panels)


@lean_helper
def _scores(k: Array, q_T: Array, s: Array, place: int, causal: bool) -> None:
    """s = k qᵀ: k (keys, K), q_T in panels; the first query is at a place among the keys.

    What is there for keys that no query of a panel sees is to be hidden.
    """
    panels, _, w = q_T.shape
    c = 0
    while c < panels:
        reach = _reach(k.shape[0], place + (c + 1) * w, causal)
        if PAIRS and c + 2 <= panels:
            further = _reach(k.shape[0], place + (c + 2) * w, causal)
            _panel_scores(k[:reach], q_T, s, c, True)
            _panel_scores(k[reach:further], q_T, s[reach:further], c + 1, False)
            c += 2
        else:
            _panel_scores(k[:reach], q_T, s, c, False)
            c += 1


@lean_helper
def _take_in(s: Array, scale: Any, before: bool, m: Array, total: Array, factor: Array) -> None:
    """`take_in` for all columns of a tile."""
    keys, columns = s.shape
    flat = s.reshape(s.size)
    for c in range(0, columns, 2 * (VECTOR // s.itemsize)):
        take_in(flat, c, columns, keys, scale, before, m, total, factor, c)


@lean_helper
def _add_to_mean(p: Array, dp: Array, factor: Array, mean: Array) -> None:
    """mean = mean factor + sum_j p dp, over more keys."""
    keys, columns = p.shape
    for c in range(0, columns, 2 * (VECTOR // p.itemsize)):
        add_means(p, dp, c, columns, keys, factor, mean, c)


@lean_helper
def _put_error(p: Array, dp: Array, factor: Array, mean: Array, scale: Any) -> None:
    """p factor the softmax itself, and scale p (dp - mean), in place of p and dp."""
    keys, columns = p.shape
    for c in range(0, columns, 2 * (VECTOR // p.itemsize)):
        put_errors(p, dp, c, columns, keys, factor, mean, c, scale)


@lean_helper
def _put_inverse(x: Array, y: Array) -> None:
    """y = 1 / x."""
    for i in range(x.size):
        y[i] = ONE / x[i]


@lean_helper
def _put_columns(p: Array, rows: Array) -> None:
    """rows = pᵀ, and 0 for the keys beyond the tile."""
    for start in range(0, p.shape[0], 64):  # what has been read stays in the cache
        end = min(start + 64, p.shape[0])
        for i in range(rows.shape[0]):
            for j in range(start, end):
                rows[i, j] = p[j, i]
    rows[:, p.shape[0] :] = 0


@lean_helper
def _add_transposed(dp: Array, rows: Array) -> None:
    """dp += rowsᵀ, but for the keys beyond the tile."""
    for start in range(0, dp.shape[0], 64):
        end = min(start + 64, dp.shape[0])
        for i in range(rows.shape[0]):
            for j in range(start, end):
                dp[j, i] += rows[i, j]


@lean_helper
def _sees_any(mask: Array, query: int, keys: int) -> bool:
    """Whether the query sees one of the first keys by its mask (L or 1, S or 1)."""
    row = mask[query if mask.shape[0] > 1 else 0]
    return keys > 0 and bool(row[:keys].any())


@lean_view
def _for_head(mask: Array, b: int, n: int) -> Array:
    """One head's mask, (L or 1, S or 1)."""
    one: Array = mask[b if mask.shape[0] > 1 else 0, n if mask.shape[1] > 1 else 0]
    return one


@lean_helper
def _put_times(x: Array, factor: Any, y: Array) -> None:
    """y = factor x."""
    for i in range(y.size):
        y[i] = factor * x[i]


@lean_helper
def _put_rows(total: Array, into: Array) -> None:
    """The first rows of `total`, as far as they go."""
    for j in range(into.shape[0]):
        fill(into[j], total[j, : into.shape[1]])


@lean_helper
def _add_values(
    p: Array,  # (keys, columns)
    M: Array,
    M_row: int,
    M_start: int,
    M_panel: int,
    total: Array,  # (columns, panels WIDTH)
    w: int,
    place: int,
    causal: bool,
    before: bool,
    factor: Array,
    last: bool,
    inverse: Array,
    y: Array,
    y_row: int,
    y_start: int,
) -> None:
    """total = total factor + pᵀ M, or the last of it times `inverse` in y.

    Where it is causal, the first query is at a place among the keys, and sees none after it.
    """
    (keys, columns), row = p.shape, total.shape[1]
    flat = total.reshape(total.size)
    panels = row // w
    c = 0
    while c < panels:
        pair = PAIRS and c + 2 <= panels
        from_M = M_start + c * M_panel
        i = 0
        while i < columns:
            left, from_total, from_y = columns - i, i * row + c * w, y_start + i * y_row + c * w
            if pair:
                rows = rows_of_pair(left)
            else:
                rows = rows_of_tile(left)
            depth = _reach(keys, place + i + rows, causal)
            product = p, columns, i, M, M_row, from_M, M_panel, depth
            sums = flat, row, from_total, before, factor, last, inverse, y, y_row, from_y
            if pair and rows == 6:
                add_pair_6(*product, *sums)
            elif pair:
                add_pair_4(*product, *sums)
            elif rows == MOST:
                add_product_most(*product, *sums)
            else:
                add_product_4(*product, *sums)
            i += rows
        c += 2 if pair else 1


@lean_helper
def _results(call: _Call, room: Array, unit: int, unit_end: int, y: Array) -> None:
    """The results of some blocks of queries."""
    q, k, v, scale, mask, masked, lengths, causal, w = call
    N, L, J = y.shape[1:]
    S, K = k.shape[2:]
    blocks = -(-L // QUERIES)
    behind = S - L
    by_J = -(-J // w)
    most = PANELS * w
    tile, room = _cut(room, KEYS * most)  # scores, then p
    maxima, room = _cut(room, most)
    totals, room = _cut(room, most)
    inverses, room = _cut(room, most)
    factors, room = _cut(room, most)
    crosswise, room = _cut(room, K * most)  # qᵀ
    part, room = _cut(room, by_J * w * most)  # y
    values, room = _cut(room, by_J * S * w)
    keep_room = room.view(np.bool_)  # as many as the tile has
    v_line, y_line = v.reshape(v.size), y.reshape(y.size)
    hides, odd, as_it_lies = masked or causal, False, False
    for u in range(unit, unit_end):
        b, n, first = u // blocks // N, u // blocks % N, u % blocks * QUERIES
        length = lengths[b]
        head = (b * N + n) * S * J
        if u == unit or first == 0:
            # what only one block of queries meets
            as_it_lies = J % w == 0 and L <= QUERIES
            if hides and as_it_lies:
                as_it_lies = all_finite(v_line, head, length * by_J)
            odd = False
            if not as_it_lies:
                packed = panels_in(values, by_J, length, w)
                pack(v[b, n, :length], packed)
                odd = hides and _clean(packed)
        M, M_row, M_start, M_panel = values, w, 0, length * w
        if as_it_lies:
            M, M_row, M_start, M_panel = v_line, J, head, w
        for start in range(first, min(first + QUERIES, L), most):
            rows, place = min(most, first + QUERIES - start, L - start), start + behind
            wide = -(-rows // w)
            columns = wide * w
            m, total = maxima[:columns], totals[:columns]
            inverse, factor = inverses[:columns], factors[:columns]
            q_T, out = panels_in(crosswise, wide, K, w), _rows_in(part, columns, by_J * w)
            reach = _reach(length, place + rows, causal)
            y_rows, y_start = y[b, n, start : start + rows], ((b * N + n) * L + start) * J
            if reach <= 0:
                y_rows[:] = 0
                continue
            straight = J % w == 0 and rows == columns and not odd
            _turn(q[b, n, start : start + rows], q_T)
            for begin in range(0, reach, KEYS):
                end = min(begin + KEYS, reach)
                p = _rows_in(tile, end - begin, columns)
                _scores(k[b, n, begin:end], q_T, p, place - begin, causal)
                keep = _rows_in(keep_room, 0, columns)
                if masked or odd:
                    keep = _rows_in(keep_room, end - begin, columns)
                    of_head = _for_head(mask, b, n)
                    _mark(keep, of_head, masked, causal, start, rows, begin, place - begin)
                if hides:
                    _hide(p, keep, place - begin, -np.inf)
                before, last = begin > 0, end == reach
                _take_in(p, scale, before, m, total, factor)
                if last:
                    _put_inverse(total, inverse)
                    for i in range(rows):
                        keys = _reach(length, place + i + 1, causal)
                        if total[i] == 0 and not _sees_any(_for_head(mask, b, n), start + i, keys):
                            inverse[i] = 0
                _add_values(
                    p, M, M_row, M_start + begin * M_row, M_panel, out, w, place - begin, causal,
                    before, factor, last and straight, inverse, y_line, J, y_start,
                )  # fmt: skip
                if odd:
                    _odd_part(p[:, :rows].T, keep[:, :rows].T, v[b, n, begin:end], out)
            if not straight:
                for i in range(rows):
                    _put_times(out[i], inverse[i], y_rows[i])


@lean_helper
def _part(number: int, call: _Call, rooms: Array, at_once: int, tickets: Array, y: Array) -> None:
    units = y.shape[0] * y.shape[1] * -(-y.shape[2] // QUERIES)
    room, unit = rooms[number], take(tickets) * at_once
    while unit < units:
        _results(call, room, unit, min(unit + at_once, units), y)
        unit = take(tickets) * at_once


_in_parallel = shared(_part)


@lean_kernel
def _attention(
    q: Array,  # these nine as in `_Call`, which from Python would take long to unpack
    k: Array,
    v: Array,
    scale: Any,
    mask: Array,
    masked: bool,
    lengths: Array,
    causal: bool,
    w: int,
    rooms: Array,  # one for each thread
    at_once: int,  # blocks of queries that a thread does in turn
    tickets: Array,
    y: Array,  # (B, N, L, J)
    team: Array,
    count: int,
) -> None:
    call = _Call(q, k, v, scale, mask, masked, lengths, causal, w)
    _in_parallel(team, count, (call, rooms, at_once, tickets, y))


@lean_kernel
def _weights(
    q: Array,  # (B, N, L, K)
    k: Array,  # (B, N, S, K)
    scale: Any,
    mask: Array,
    masked: bool,
    lengths: Array,
    causal: bool,
    room: Array,
    keep_room: Array,  # S columns
    w: int,
    unit: int,
    unit_end: int,
    weights: Array,  # (B, N, L, S)
) -> None:
    N, L, S = weights.shape[1:]
    K = k.shape[3]
    blocks = -(-L // QUERIES)
    behind = S - L
    most = -(-min(L, QUERIES) // w) * w
    tile, room = _cut(room, S * most)
    maxima, room = _cut(room, most)
    totals, room = _cut(room, most)
    factors, room = _cut(room, most)
    crosswise = room
    for u in range(unit, unit_end):
        b, n, first = u // blocks // N, u // blocks % N, u % blocks * QUERIES
        rows, place = min(QUERIES, L - first), first + behind
        wide = -(-rows // w)
        seen = _reach(lengths[b], place + rows, causal)
        p = _rows_in(tile, seen, wide * w)
        q_T = panels_in(crosswise, wide, K, w)
        _turn(q[b, n, first : first + rows], q_T)
        _scores(k[b, n, :seen], q_T, p, place, causal)
        keep = _rows_in(keep_room, 0, wide * w)
        if masked:
            keep = _rows_in(keep_room, seen, wide * w)
            _mark(keep, _for_head(mask, b, n), masked, causal, first, rows, 0, place)
        if masked or causal:
            _hide(p, keep, place, -np.inf)
        total = totals[: wide * w]
        _take_in(p, scale, False, maxima[: wide * w], total, factors[: wide * w])
        for j in range(seen):
            _divide(p[j], total)
        if masked or causal:
            _hide(p, keep, place, ZERO)
        _put_columns(p, weights[b, n, first : first + rows])


@lean_helper
def _gradients(
    call: _Call,
    dy: Array,  # (B, N, L, J)
    d_weights: Array,  # (B, N, L, S), or of no size
    room: Array,
    unit: int,
    unit_end: int,
    dq: Array,
    dk: Array,
    dv: Array,
    dk_rest: Array,  # (S, K): of the head that another thread began
    dv_rest: Array,  # (S, J)
) -> None:
    """The gradients of some blocks of queries."""
    q, k, v, scale, mask, masked, lengths, causal, w = call
    N, L, K = q.shape[1:]
    S, J = v.shape[2:]
    blocks = -(-L // QUERIES)
    behind = S - L
    hides = masked or causal
    by_K, by_J, most = -(-K // w), -(-J // w), -(-min(L, QUERIES) // w) * w
    tile, room = _cut(room, S * most)  # scores, then p
    d_tile, room = _cut(room, S * most)  # dp, then ds
    maxima, room = _cut(room, most)
    totals, room = _cut(room, most)
    factors, room = _cut(room, most)
    means, room = _cut(room, most)
    spares, room = _cut(room, most)
    risen_room, room = _cut(room, -(-S // KEYS) * most)  # maxima after each KEYS
    crosswise, room = _cut(room, K * most)  # qᵀ
    d_crosswise, room = _cut(room, J * most)  # dyᵀ
    along, room = _cut(room, by_J * most * w)  # dy
    q_room, room = _cut(room, by_K * most * w)
    dq_room, room = _cut(room, by_K * most * w)
    keys, room = _cut(room, by_K * S * w)
    dk_room, room = _cut(room, by_K * S * w)
    dv_room, room = _cut(room, by_J * S * w)
    keep_room = room.view(np.bool_)  # S columns of them, where something is hidden
    dk_part, dv_part = _rows_in(dk_room, S, by_K * w), _rows_in(dv_room, S, by_J * w)
    odd_k = False
    for u in range(unit, unit_end):
        b, n, first = u // blocks // N, u // blocks % N, u % blocks * QUERIES
        rows, length = min(QUERIES, L - first), lengths[b]
        wide = -(-rows // w)
        columns = wide * w
        k_panels = panels_in(keys, by_K, length, w)
        mine = unit <= u - u % blocks
        if u == unit or first == 0:
            if K % w == 0:  # no room is wanted
                dk_part = dk[b, n] if mine else dk_rest
            if J % w == 0:
                dv_part = dv[b, n] if mine else dv_rest
            pack(k[b, n, :length], k_panels)
            odd_k = hides and _clean(k_panels)
            dk_part[:] = 0
            dv_part[:] = 0
        seen = min(length, first + rows + behind) if causal else length
        if seen <= 0:
            dq[b, n, first : first + rows] = 0
        else:
            q_rows, dy_rows = q[b, n, first : first + rows], dy[b, n, first : first + rows]
            p, dp = _rows_in(tile, seen, columns), _rows_in(d_tile, seen, columns)
            m, total, factor = maxima[:columns], totals[:columns], factors[:columns]
            mean, spare = means[:columns], spares[:columns]
            risen = _rows_in(risen_room, -(-S // KEYS), columns)
            q_T, dy_T = panels_in(crosswise, wide, K, w), panels_in(d_crosswise, wide, J, w)
            dy_panels, q_panels = panels_in(along, by_J, rows, w), panels_in(q_room, by_K, rows, w)
            dq_part = _rows_in(dq_room, rows, by_K * w)
            if K % w == 0:
                dq_part = dq[b, n, first : first + rows]
            place = first + behind
            _turn(q_rows, q_T)
            _turn(dy_rows, dy_T)
            pack(dy_rows, dy_panels)
            pack(q_rows, q_panels)
            odd_dy = hides and _clean(dy_panels)
            odd_q = hides and _clean(q_panels)
            keep = _rows_in(keep_room, 0, columns)
            if masked or odd_dy or odd_q or odd_k:
                keep = _rows_in(keep_room, seen, columns)
                _mark(keep, _for_head(mask, b, n), masked, causal, first, rows, 0, place)
            mean[:] = 0
            for begin in range(0, seen, KEYS):
                end = min(begin + KEYS, seen)
                e, de, here = p[begin:end], dp[begin:end], place - begin
                _scores(k[b, n, begin:end], q_T, e, here, causal)
                _scores(v[b, n, begin:end], dy_T, de, here, causal)
                if d_weights.size:
                    _add_transposed(de, d_weights[b, n, first : first + rows, begin:end])
                if hides:
                    _hide(e, keep[begin:end], here, -np.inf)
                    _hide(de, keep[begin:end], here, ZERO)
                _take_in(e, scale, begin > 0, m, total, factor)
                _add_to_mean(e, de, factor, mean)
                fill(risen[begin // KEYS], m)
            # what the exponentials of each block are to be multiplied by
            _put_inverse(total, total)
            _scale_by(mean, total)
            finite = all_finite(total, 0, wide) and all_finite(mean, 0, wide)
            _take_in(risen[: -(-seen // KEYS)], scale, True, m, factor, spare)
            for block in range(-(-seen // KEYS)):
                _scale_by(risen[block], total)
            dq_part[:] = 0
            for begin in range(0, seen, KEYS):
                end = min(begin + KEYS, seen)
                e, de = p[begin:end], dp[begin:end]
                _put_error(e, de, risen[begin // KEYS], mean, scale)
                if hides and not finite:  # NaN where a query's scores are NaN, or it sees no key
                    _hide(e, keep[begin:end], place - begin, ZERO)
                    _hide(de, keep[begin:end], place - begin, ZERO)
                kept = keep[begin:end, :rows]
                # where not all see all, few keys at a time meet the queries that see them, …
                j, all_see = begin, min(end, place + 1) if causal else end
                while j < end:
                    j_end = all_see if j < all_see else min(j + GROUP, end)
                    i = max(j - place, 0) if causal else 0
                    some, d_some = p[j:j_end, i:rows], dp[j:j_end, i:rows]
                    multiply(some, dy_panels[:, i:rows], dv_part[j:j_end], 0, by_J)  # dv += p dy
                    multiply(d_some, q_panels[:, i:rows], dk_part[j:j_end], 0, by_K)  # dk += ds q
                    j = j_end
                # … and few queries the keys that they see: dq += dsᵀ k
                at_once = GROUP if causal and place < end else rows
                for i in range(0, rows, at_once):
                    i_end = min(i + at_once, rows)
                    cut = min(end, max(place + i_end, begin)) - begin if causal else end - begin
                    k_some = k_panels[:, begin : begin + cut]
                    multiply(de[:cut, i:i_end].T, k_some, dq_part[i:i_end], 0, by_K)
                if odd_dy:
                    _odd_part(e[:, :rows], kept, dy_rows, dv_part[begin:end])
                if odd_q:
                    _odd_part(de[:, :rows], kept, q_rows, dk_part[begin:end])
                if odd_k:
                    _odd_part(de[:, :rows].T, kept.T, k[b, n, begin:end], dq_part)
            if K % w:
                _put_rows(dq_part, dq[b, n, first : first + rows])
        if u + 1 == unit_end or u % blocks == blocks - 1:
            if K % w:
                _put_rows(dk_part, dk[b, n] if mine else dk_rest)
            if J % w:
                _put_rows(dv_part, dv[b, n] if mine else dv_rest)


@lean_helper
def _part_of_gradients(
    number: int,
    call: _Call,
    dy: Array,
    d_weights: Array,
    rooms: Array,  # one for each thread
    unit: int,
    unit_end: int,
    at_once: int,
    tickets: Array,
    dq: Array,
    dk: Array,
    dv: Array,
    dk_rest: Array,
    dv_rest: Array,
) -> None:
    room, begin = rooms[number], unit + take(tickets) * at_once
    while begin < unit_end:
        end = min(begin + at_once, unit_end)
        _gradients(call, dy, d_weights, room, begin, end, dq, dk, dv, dk_rest, dv_rest)
        begin = unit + take(tickets) * at_once


_gradients_in_parallel = shared(_part_of_gradients)


@lean_kernel
def _attention_vjp(
    q: Array,  # these nine as in `_attention`
    k: Array,
    v: Array,
    scale: Any,
    mask: Array,
    masked: bool,
    lengths: Array,
    causal: bool,
    w: int,
    dy: Array,
    d_weights: Array,
    rooms: Array,
    unit: int,
    unit_end: int,
    at_once: int,
    tickets: Array,
    dq: Array,
    dk: Array,
    dv: Array,
    dk_rest: Array,
    dv_rest: Array,
    team: Array,
    count: int,
) -> None:
    call = _Call(q, k, v, scale, mask, masked, lengths, causal, w)
    what = rooms, unit, unit_end, at_once, tickets, dq, dk, dv, dk_rest, dv_rest
    _gradients_in_parallel(team, count, (call, dy, d_weights, *what))


def _scale(dtype: Any, K: int) -> Any:
    """1 / √K."""
    return dtype.type(K**-0.5 if K else np.inf)


@functools.lru_cache(256)
def _plan(
    dtype: Any, B: int, N: int, L: int, K: int, S: int, J: int
) -> tuple[int, int, Any, tuple[int, ...]]:
    """WIDTH, the numbers of room that `_attention` takes, 1 / √K, and the shape of y."""
    w = width(dtype)
    by_J = -(-J // w)
    size = (PANELS * (KEYS + KEYS // dtype.itemsize + 4 + K + by_J * w) + by_J * S) * w
    return w, size, _scale(dtype, K), (B, N, L, J)


def attention(q: Array, k: Array, v: Array, see: See) -> Array:
    """softmax(q kᵀ / √K) v, (B, N, L, J)."""
    dtype, S, J = q.dtype, *v.shape[2:]
    w, size, scale, shape = _plan(dtype, *q.shape, S, J)
    y = np.empty(shape, dtype)
    if not y.size:
        return y
    B, N, L, _ = shape
    count = threads.useful(float(B) * N * L * S * (q.shape[3] + J), threads.COMPILED)
    blocks = -(-L // QUERIES)
    if count == 1:
        at_once = B * N * blocks
    elif TURNS * count <= B * N:
        at_once = blocks  # of a whole head, whose values are then packed once
    else:
        at_once = -(-B * N * blocks // (TURNS * count))
    rooms, tickets = room_for("attention", (count, size), dtype), new_counter()
    threads.in_team(count, _attention, q, k, v, scale, *see, w, rooms, at_once, tickets, y)
    return y


def weights(q: Array, k: Array, see: See) -> Array:
    """softmax(q kᵀ / √K), (B, N, L, S)."""
    (B, N, L, K), S = q.shape, k.shape[2]
    w = width(q.dtype)
    columns = -(-min(L, QUERIES) // w) * w
    p = np.empty((B, N, L, S), q.dtype)
    scale = _scale(q.dtype, K)

    def work(unit: int, unit_end: int) -> None:
        keep = np.empty(S * columns if see.masked else 0, np.bool_)
        room = room_for("attention", (columns * (S + 3 + K),), q.dtype)
        _weights(q, k, scale, *see, room, keep, w, unit, unit_end, p)

    _shared(q, k, K, see, work)
    return p


def attention_vjp(q: Array, k: Array, v: Array, dy: Array, see: See) -> tuple[Array, Array, Array]:
    """(dq, dk, dv), the weights computed again."""
    return _backward(q, k, v, dy, np.empty((0, 0, 0, 0), q.dtype), see)


def weights_vjp(q: Array, k: Array, dp: Array, see: See) -> tuple[Array, Array]:
    """(dq, dk)."""
    (B, N, L, S), none = dp.shape, np.empty
    v, dy = none((B, N, S, 0), q.dtype), none((B, N, L, 0), q.dtype)
    return _backward(q, k, v, dy, dp, see)[:2]


def _backward(
    q: Array, k: Array, v: Array, dy: Array, dp: Array, see: See
) -> tuple[Array, Array, Array]:
    (B, N, L, K), (S, J), dtype = q.shape, v.shape[2:], q.dtype
    w = width(dtype)
    columns, by_K, by_J = -(-min(L, QUERIES) // w) * w, -(-K // w), -(-J // w)
    make = np.empty if L else np.zeros
    d = make(q.shape, dtype), make(k.shape, dtype), make(v.shape, dtype)
    rows = columns * (2 * S + 5 + -(-S // KEYS) + K + J)
    size = rows + (columns * (by_J + 2 * by_K) + S * (2 * by_K + by_J)) * w
    size += -(-S * columns // dtype.itemsize) if see.hides else 0
    blocks = -(-L // QUERIES)
    given = q, k, v, _scale(dtype, K), *see, w, dy, dp
    pair = 3 * K + 2 * J
    count = threads.useful(float(B) * N * L * S * pair, threads.COMPILED)
    if TURNS * count <= B * N:  # whole heads
        rooms, none = room_for("attention", (count, size), dtype), np.empty((0, 0), dtype)
        what = rooms, 0, B * N * blocks, max(blocks, 1), new_counter(), *d, none, none
        threads.in_team(count, _attention_vjp, *given, *what)
        return d
    rests = []

    def work(unit: int, unit_end: int) -> None:
        begun = unit % blocks != 0
        rest = [np.empty((S if begun else 0, columns), dtype) for columns in (K, J)]
        rooms = room_for("attention", (1, size), dtype)
        what = rooms, unit, unit_end, unit_end - unit, new_counter(), *d, *rest
        threads.in_team(1, _attention_vjp, *given, *what)
        if begun:
            rests.append((unit // blocks // N, unit // blocks % N, *rest))

    _shared(q, k, pair, see, work)
    for b, n, dk_rest, dv_rest in rests:
        d[1][b, n] += dk_rest
        d[2][b, n] += dv_rest
    return d


def _shared(q: Array, k: Array, pair: int, see: See, work: Callable[[int, int], None]) -> None:
    """work(unit, unit_end) for all blocks of queries, in as many threads as pay.

    `pair`: multiply-adds for a query and a key.
    """
    B, N, L, _ = q.shape
    S = k.shape[2]
    blocks = -(-L // QUERIES)
    units = B * N * blocks
    count = threads.useful(float(B) * N * L * S * pair)
    if count == 1:
        if units:
            work(0, units)
        return
    ends = _ends(B, N, L, S, see, count)

    def part(index: int, count: int) -> None:
        if count == 1:
            work(0, units)
        elif ends[index] < ends[index + 1]:
            work(ends[index], ends[index + 1])

    threads.together(count, part)


def _ends(B: int, N: int, L: int, S: int, see: See, count: int) -> list[int]:
    """Where the parts of the threads begin and end, so that each has as many keys to look at."""
    lengths, causal = see.lengths, see.causal
    blocks = -(-L // QUERIES)
    units = B * N * blocks
    if not causal and (lengths == S).all():
        return [units * index // count for index in range(count + 1)]
    last = np.minimum((np.arange(blocks) + 1) * QUERIES, L) + (S - L) if causal else S
    keys = np.clip(np.minimum(last, lengths[:, np.newaxis]), 0, None) + np.zeros(blocks, int)
    done = np.cumsum(np.repeat(keys, N, axis=0))
    inner = [int(np.searchsorted(done, done[-1] * index / count)) for index in range(1, count)]
    return [0, *inner, units]
