"""Scaled dot-product attention, a block of queries at a time: memory grows with L, not with L².

A tile has one row for each key and one column for each query of a block, so that the softmax over
the keys is elementwise work on rows, and no row is ever rescaled. Its products with q, k, v and dy
are `packed`'s. Where a mask, or the order, hides a key from a query, the tile's element is selected
away, and what is not finite in the other factor is left out of the product and added pair by pair.
"""

import itertools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nnspec.accel import threads
from nnspec.accel.arrays import Array
from nnspec.accel.jit import contracted, helper, kernel
from nnspec.accel.packed import aligned, multiply, pack, pack_transposed, width
from nnspec.accel.scalar import ONE, ZERO
from nnspec.accel.vector_math import exp_below

# the columns of a tile
QUERIES = 64
# keys whose terms are one sum before they are added to the others
SUM_BLOCK = 256
# rows of a tile that elementwise work takes at once, and sums side by side
STRIP = 4
# bytes of scratch room that a thread keeps between calls: to make it takes longer than to use it
KEPT = 1 << 20

_last = threading.local()


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


@helper
def _raise(m: Array, s: Array) -> None:
    """m = max(m, s); a NaN is no maximum, and shows in the sum."""
    for i in range(m.size):
        m[i] = s[i] if s[i] > m[i] else m[i]


@helper
def _finite_or_zero(m: Array) -> None:
    """What scores are taken from: any number serves, so 0 where there is no maximum."""
    for i in range(m.size):
        m[i] = m[i] if m[i] > -np.inf else ZERO


@contracted
def _exponentials(s: Array, scale: Any, m: Array, total: Array) -> None:
    """e^(scale (s - m)), in place of s, and their sum."""
    for i in range(s.size):
        s[i] = exp_below(scale * (s[i] - m[i]))
        total[i] += s[i]


@helper
def _copy(x: Array, y: Array) -> None:
    for i in range(x.size):
        y[i] = x[i]


@helper
def _add(total: Array, part: Array) -> None:
    for i in range(total.size):
        total[i] += part[i]


@helper
def _divide(x: Array, total: Array) -> None:
    for i in range(x.size):
        x[i] /= total[i]


@helper
def _scale_by(p: Array, factor: Array) -> None:
    for i in range(p.size):
        p[i] *= factor[i]


@contracted
def _add_product(mean: Array, p: Array, dp: Array) -> None:
    """mean += p dp."""
    for i in range(p.size):
        mean[i] += p[i] * dp[i]


@helper
def _error(dp: Array, p: Array, mean: Array) -> None:
    """ds = p (dp - mean), in place of dp."""
    for i in range(p.size):
        dp[i] = p[i] * (dp[i] - mean[i])


@helper
def _select(x: Array, keep: Array, value: Any) -> None:
    for i in range(x.size):
        x[i] = x[i] if keep[i] else value


@helper
def _hide(tile: Array, keep: Array, start: int, value: Any) -> None:
    """`value` for each pair that does not see each other; all do before the key `start`."""
    for j in range(start, tile.shape[0]):
        _select(tile[j], keep[j], value)


@helper
def _mark(
    keep: Array,  # (keys, columns), written to
    mask: Array,  # (L or 1, S or 1)
    masked: bool,
    causal: bool,
    first: int,
    rows: int,
    behind: int,
) -> int:
    """Which keys the queries from `first` on see; all see the keys before the one returned."""
    seen = keep.shape[0]
    start: int = min(max(first + behind + 1, 0), seen) if causal else seen
    if masked:
        start = 0
    for j in range(start, seen):
        keep[j] = True
    if masked:
        for i in range(rows):
            row = mask[first + i if mask.shape[0] > 1 else 0]
            if row.size > 1:
                for j in range(seen):
                    keep[j, i] = row[j]
            elif row.size == 1:
                for j in range(seen):
                    keep[j, i] = row[0]
    if causal:
        for j in range(max(first + behind + 1, 0), seen):
            keep[j, : min(j - behind - first, keep.shape[1])] = False
    return start


@helper
def _clean(packed: Array) -> bool:
    """Zeros in place of what is not finite; whether there was any."""
    flat = packed.reshape(packed.size)
    odd = 0
    for k in range(flat.size):
        odd += 0 if abs(flat[k]) < np.inf else 1
    if odd:
        for k in range(flat.size):
            flat[k] = flat[k] if abs(flat[k]) < np.inf else ZERO
    return odd > 0


@helper
def _odd_part(a: Array, keep: Array, start: int, by_key: bool, M: Array, y: Array) -> None:
    """y += a M over what is not finite in M (depth, N), of pairs that see each other.

    a is a tile (rows, depth) or its transpose, keep too; y is in panels.
    """
    w = y.shape[2]
    for d in range(M.shape[0]):
        for c in range(M.shape[1]):
            if not abs(M[d, c]) < np.inf:
                for r in range(a.shape[0]):
                    if (r if by_key else d) < start or keep[r, d]:
                        y[c // w, r, c % w] += a[r, d] * M[d, c]


@helper
def _product(a: Array, packed: Array, y: Array) -> None:
    """y += a M for all panels, y in panels of its own: (panels, at least the rows of a, WIDTH)."""
    for start in range(0, a.shape[1], SUM_BLOCK):
        end = min(a.shape[1], start + SUM_BLOCK)
        for p in range(y.shape[0]):
            multiply(a[:, start:end], packed[p : p + 1, start:end], y[p], 0, 1)


@helper
def _panels(room: Array, count: int, depth: int, w: int) -> Array:
    """So many panels of so many rows, in the room's beginning."""
    return room[: count * depth * w].reshape(count, depth, w)


@helper
def _rows_in(room: Array, rows: int, columns: int) -> Array:
    return room[: rows * columns].reshape(rows, columns)


@helper
def _reach(seen: int, until: int, causal: bool) -> int:
    """How many of the keys the queries before place `until` see, of those that the block sees."""
    return min(seen, max(until, 0)) if causal else seen


@helper
def _scores(q: Array, k: Array, room: Array, s: Array, place: int, causal: bool) -> None:
    """s = k qᵀ: q (queries, K), k (keys, K); q[0] is at a place among the keys.

    Keys that no query of a panel sees are left 0.
    """
    w = room.shape[2]
    pack_transposed(q, room)
    s[:] = 0
    for p in range(room.shape[0]):
        multiply(k[: _reach(k.shape[0], place + (p + 1) * w, causal)], room, s, p, p + 1)


@helper
def _repeat(x: Array, columns: int) -> None:
    """The numbers of the columns, for every row of a strip."""
    for start in range(columns, x.size, columns):
        _copy(x[:columns], x[start : start + columns])


@helper
def _fold(total: Array, columns: int) -> None:
    """The sums of the columns, from those of the rows of a strip."""
    for start in range(columns, total.size, columns):
        _add(total[:columns], total[start : start + columns])


@helper
def _softmax(s: Array, scale: Any, m: Array, total: Array) -> None:
    """The softmax of s / √K over the keys but for the division by `total`, in place of s.

    m and total are strips; their first columns hold the result.
    """
    columns, wide = s.shape[1], m.size
    flat = s.reshape(s.size)
    m[:] = -np.inf
    total[:] = 0
    for start in range(0, flat.size, wide):
        some = flat[start : start + wide]
        _raise(m[: some.size], some)
    for start in range(columns, wide, columns):
        _raise(m[:columns], m[start : start + columns])
    _finite_or_zero(m[:columns])
    _repeat(m, columns)
    for start in range(0, flat.size, wide):
        some = flat[start : start + wide]
        _exponentials(some, scale, m[: some.size], total[: some.size])
    _fold(total, columns)


@helper
def _softmax_vjp(p: Array, dp: Array, total: Array, mean: Array) -> None:
    """p the softmax itself and ds = p (dp - sum_j p dp), in place of both; `mean` is a strip."""
    columns, wide = p.shape[1], mean.size
    flat, d_flat = p.reshape(p.size), dp.reshape(dp.size)
    for i in range(columns):
        total[i] = ONE / total[i]
    _repeat(total, columns)
    mean[:] = 0
    for start in range(0, flat.size, wide):
        some, d_some = flat[start : start + wide], d_flat[start : start + wide]
        _scale_by(some, total[: some.size])
        _add_product(mean[: some.size], some, d_some)
    _fold(mean, columns)
    _repeat(mean, columns)
    for start in range(0, flat.size, wide):
        some, d_some = flat[start : start + wide], d_flat[start : start + wide]
        _error(d_some, some, mean[: some.size])


@helper
def _normalise(p: Array, total: Array) -> None:
    """p / total, in place."""
    flat, wide = p.reshape(p.size), total.size
    _repeat(total, p.shape[1])
    for start in range(0, flat.size, wide):
        some = flat[start : start + wide]
        _divide(some, total[: some.size])


@helper
def _put_transposed(p: Array, rows: Array) -> None:
    """rows = pᵀ, and 0 for the keys beyond the tile."""
    for start in range(0, p.shape[0], 64):  # what has been read stays in the cache
        end = min(start + 64, p.shape[0])
        for i in range(rows.shape[0]):
            for j in range(start, end):
                rows[i, j] = p[j, i]
    rows[:, p.shape[0] :] = 0


@helper
def _add_transposed(dp: Array, rows: Array) -> None:
    """dp += rowsᵀ, but for the keys beyond the tile."""
    for start in range(0, dp.shape[0], 64):
        end = min(start + 64, dp.shape[0])
        for i in range(rows.shape[0]):
            for j in range(start, end):
                dp[j, i] += rows[i, j]


@helper
def _sees_any(keep: Array, start: int, i: int) -> bool:
    """Whether the query of column i sees a key."""
    return start > 0 or bool(keep[:, i].any())


@helper
def _for_head(mask: Array, b: int, n: int) -> Array:
    """One head's mask, (L or 1, S or 1)."""
    one: Array = mask[b if mask.shape[0] > 1 else 0, n if mask.shape[1] > 1 else 0]
    return one


@helper
def _put_scaled(x: Array, factor: Any, y: Array) -> None:
    """y = factor x."""
    for i in range(y.size):
        y[i] = factor * x[i]


@helper
def _put_rows(total: Array, factor: Any, into: Array) -> None:
    """The first rows of `total`, in panels, times a factor."""
    w = total.shape[2]
    for p in range(total.shape[0]):
        for j in range(into.shape[0]):
            _put_scaled(total[p, j], factor, into[j, p * w : (p + 1) * w])


@kernel
def _attention(
    q: Array,  # (B, N, L, K)
    k: Array,  # (B, N, S, K)
    v: Array,  # (B, N, S, J)
    scale: Any,
    mask: Array,
    masked: bool,
    lengths: Array,
    causal: bool,
    keep_room: Array,  # S columns
    tile: Array,  # S columns: scores, then p
    m: Array,  # STRIP columns: maxima, then 1 / total
    total: Array,  # STRIP columns
    crosswise: Array,  # columns K: qᵀ
    values: Array,  # panels S WIDTH
    part: Array,  # panels columns WIDTH: y
    w: int,
    unit: int,
    unit_end: int,
    y: Array,  # (B, N, L, J)
    weights: Array,  # (B, N, L, S), or of no size
) -> None:
    N, L, J = y.shape[1:]
    S, K = k.shape[2:]
    blocks = -(-L // QUERIES)
    behind = S - L
    hides = masked or causal
    by_J = -(-J // w)
    odd = False
    for u in range(unit, unit_end):
        b, n, first = u // blocks // N, u // blocks % N, u % blocks * QUERIES
        rows, length = min(QUERIES, L - first), lengths[b]
        wide = -(-rows // w)
        columns = wide * w
        M = _panels(values, by_J, length, w)
        if u == unit or first == 0:
            pack(v[b, n, :length], M)
            odd = hides and _clean(M)
        seen = min(length, first + rows + behind) if causal else length
        if seen <= 0:
            y[b, n, first : first + rows] = 0
            if weights.size:
                weights[b, n, first : first + rows] = 0
            continue
        p, keep, start = _rows_in(tile, seen, columns), _rows_in(keep_room, 0, columns), seen
        q_T = _panels(crosswise, wide, K, w)
        place = first + behind
        _scores(q[b, n, first : first + rows], k[b, n, :seen], q_T, p, place, causal)
        if hides:
            keep = _rows_in(keep_room, seen, columns)
            start = _mark(keep, _for_head(mask, b, n), masked, causal, first, rows, behind)
            _hide(p, keep, start, -np.inf)
        _softmax(p, scale, m[: STRIP * columns], total[: STRIP * columns])
        out = _panels(part, by_J, columns, w)
        out[:] = 0
        for c in range(0, rows, w):
            end = min(rows, c + w)
            reach = _reach(seen, place + end, causal)
            _product(p[:reach, c:end].T, M, out[:, c:end])
        if odd:
            _odd_part(p[:, :rows].T, keep[:, :rows].T, start, False, v[b, n, :seen], out)
        for i in range(rows):
            nothing = total[i] == 0 and not _sees_any(keep, start, i)
            m[i] = ZERO if nothing else ONE / total[i]
        for c in range(by_J):
            for i in range(rows):
                _put_scaled(out[c, i], m[i], y[b, n, first + i, c * w : (c + 1) * w])
        if weights.size:
            _normalise(p, total[: STRIP * columns])
            if hides:
                _hide(p, keep, start, ZERO)
            _put_transposed(p, weights[b, n, first : first + rows])


@kernel
def _attention_vjp(
    q: Array,  # (B, N, L, K)
    k: Array,  # (B, N, S, K)
    v: Array,  # (B, N, S, J)
    dy: Array,  # (B, N, L, J)
    d_weights: Array,  # (B, N, L, S), or of no size
    scale: Any,
    mask: Array,
    masked: bool,
    lengths: Array,
    causal: bool,
    keep_room: Array,  # S columns
    tile: Array,  # S columns: scores, then p
    d_tile: Array,  # S columns: dp, then ds
    m: Array,  # STRIP columns: maxima, then means
    total: Array,  # STRIP columns
    crosswise: Array,  # columns (K or J): qᵀ, then dyᵀ
    along: Array,  # panels columns WIDTH: dy, then q
    keys: Array,  # panels S WIDTH
    dq_room: Array,  # panels columns WIDTH
    dk_room: Array,  # panels S WIDTH
    dv_room: Array,  # panels S WIDTH
    w: int,
    unit: int,
    unit_end: int,
    dq: Array,
    dk: Array,
    dv: Array,
    dk_rest: Array,  # (S, K): of the head that another thread began
    dv_rest: Array,  # (S, J)
) -> None:
    N, L, K = q.shape[1:]
    S, J = v.shape[2:]
    blocks = -(-L // QUERIES)
    behind = S - L
    hides = masked or causal
    by_K, by_J = -(-K // w), -(-J // w)
    dk_part, dv_part = _panels(dk_room, by_K, S, w), _panels(dv_room, by_J, S, w)
    odd_k = False
    for u in range(unit, unit_end):
        b, n, first = u // blocks // N, u // blocks % N, u % blocks * QUERIES
        rows, length = min(QUERIES, L - first), lengths[b]
        wide = -(-rows // w)
        columns = wide * w
        k_panels = _panels(keys, by_K, length, w)
        if u == unit or first == 0:
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
            keep, start = _rows_in(keep_room, 0, columns), seen
            place = first + behind
            _scores(q_rows, k[b, n, :seen], _panels(crosswise, wide, K, w), p, place, causal)
            _scores(dy_rows, v[b, n, :seen], _panels(crosswise, wide, J, w), dp, place, causal)
            if d_weights.size:
                _add_transposed(dp, d_weights[b, n, first : first + rows])
            if hides:
                keep = _rows_in(keep_room, seen, columns)
                start = _mark(keep, _for_head(mask, b, n), masked, causal, first, rows, behind)
                _hide(p, keep, start, -np.inf)
                _hide(dp, keep, start, ZERO)
            _softmax(p, scale, m[: STRIP * columns], total[: STRIP * columns])
            _softmax_vjp(p, dp, total[: STRIP * columns], m[: STRIP * columns])
            if hides:  # NaN in a row whose scores are NaN, or that sees no key
                _hide(p, keep, start, ZERO)
                _hide(dp, keep, start, ZERO)
            # dv += p dy
            M = _panels(along, by_J, rows, w)
            pack(dy_rows, M)
            odd = hides and _clean(M)
            _product(p[:, :rows], M, dv_part)
            if odd:
                _odd_part(p[:, :rows], keep[:, :rows], start, True, dy_rows, dv_part)
            # dk += ds q
            M = _panels(along, by_K, rows, w)
            pack(q_rows, M)
            odd = hides and _clean(M)
            _product(dp[:, :rows], M, dk_part)
            if odd:
                _odd_part(dp[:, :rows], keep[:, :rows], start, True, q_rows, dk_part)
            # dq = dsᵀ k
            dq_part = _panels(dq_room, by_K, columns, w)
            dq_part[:] = 0
            _product(dp[:, :rows].T, k_panels, dq_part)
            if odd_k:
                ds_T, keep_T = dp[:, :rows].T, keep[:, :rows].T
                _odd_part(ds_T, keep_T, start, False, k[b, n, :seen], dq_part)
            _put_rows(dq_part, scale, dq[b, n, first : first + rows])
        if u + 1 == unit_end or u % blocks == blocks - 1:
            mine = unit <= u - u % blocks
            _put_rows(dk_part, scale, dk[b, n] if mine else dk_rest)
            _put_rows(dv_part, q.dtype.type(ONE), dv[b, n] if mine else dv_rest)


def _rooms(dtype: Any, *sizes: int) -> list[Array]:
    """Room for so many numbers each, from a vector's boundary on; little room is kept."""
    if getattr(_last, "sizes", None) == (dtype, sizes):
        return _last.rooms  # type: ignore[no-any-return]
    w = width(dtype)
    ends = [0]
    for size in sizes:
        ends.append(ends[-1] + -(-size // w) * w)
    room = aligned((ends[-1],), dtype)
    rooms = [room[a:b] for a, b in itertools.pairwise(ends)]
    if room.nbytes <= KEPT:
        _last.sizes, _last.rooms = (dtype, sizes), rooms
    return rooms


def _scale(q: Array) -> Any:
    """1 / √K in the dtype of q."""
    K = q.shape[-1]
    return q.dtype.type(K**-0.5 if K else np.inf)


def attention(q: Array, k: Array, v: Array, see: See) -> Array:
    """softmax(q kᵀ / √K) v, (B, N, L, J)."""
    return _forward(q, k, v, see, np.empty((0, 0, 0, 0), q.dtype))


def weights(q: Array, k: Array, see: See) -> Array:
    """softmax(q kᵀ / √K), (B, N, L, S)."""
    (B, N, L, _), S = q.shape, k.shape[2]
    p = np.empty((B, N, L, S), q.dtype)
    _forward(q, k, np.empty((B, N, S, 0), q.dtype), see, p)
    return p


def attention_vjp(q: Array, k: Array, v: Array, dy: Array, see: See) -> tuple[Array, Array, Array]:
    """(dq, dk, dv), the weights computed again."""
    return _backward(q, k, v, dy, np.empty((0, 0, 0, 0), q.dtype), see)


def weights_vjp(q: Array, k: Array, dp: Array, see: See) -> tuple[Array, Array]:
    """(dq, dk)."""
    (B, N, L, S), none = dp.shape, np.empty
    v, dy = none((B, N, S, 0), q.dtype), none((B, N, L, 0), q.dtype)
    return _backward(q, k, v, dy, dp, see)[:2]


def _forward(q: Array, k: Array, v: Array, see: See, p: Array) -> Array:
    (B, N, L, K), (S, J) = q.shape, v.shape[2:]
    w = width(q.dtype)
    columns, by_J = -(-min(L, QUERIES) // w) * w, -(-J // w)
    y = np.empty((B, N, L, J), q.dtype)
    strip = STRIP * columns
    sizes = S * columns, strip, strip, columns * K, by_J * S * w, by_J * columns * w
    scale = _scale(q)

    def work(unit: int, unit_end: int) -> None:
        keep = np.empty(S * columns if see.hides else 0, np.bool_)
        rooms = _rooms(q.dtype, *sizes)
        part: tuple[Any, ...] = (keep, *rooms, w, unit, unit_end, y, p)
        _attention(q, k, v, scale, *see, *part)

    _shared(q, k, v, see, work)
    return y


def _backward(
    q: Array, k: Array, v: Array, dy: Array, dp: Array, see: See
) -> tuple[Array, Array, Array]:
    (_, N, L, K), (S, J) = q.shape, v.shape[2:]
    w = width(q.dtype)
    columns, by_K, by_J = -(-min(L, QUERIES) // w) * w, -(-K // w), -(-J // w)
    make = np.empty if L else np.zeros
    d = make(q.shape, q.dtype), make(k.shape, q.dtype), make(v.shape, q.dtype)
    tile, strip, both = S * columns, STRIP * columns, max(by_K, by_J) * columns * w
    keys, values, crosswise = by_K * S * w, by_J * S * w, columns * max(K, J)
    sizes = tile, tile, strip, strip, crosswise, both, keys, by_K * columns * w, keys, values
    scale, blocks = _scale(q), -(-L // QUERIES)
    rests = []

    def work(unit: int, unit_end: int) -> None:
        keep = np.empty(tile if see.hides else 0, np.bool_)
        rooms = _rooms(q.dtype, *sizes)
        begun = unit % blocks != 0
        rest = [np.empty((S if begun else 0, size), q.dtype) for size in (K, J)]
        part: tuple[Any, ...] = (keep, *rooms, w, unit, unit_end, *d, *rest)
        _attention_vjp(q, k, v, dy, dp, scale, *see, *part)
        if begun:
            rests.append((unit // blocks // N, unit // blocks % N, *rest))

    _shared(q, k, v, see, work)
    for b, n, dk_rest, dv_rest in rests:
        d[1][b, n] += dk_rest
        d[2][b, n] += dv_rest
    return d


def _shared(q: Array, k: Array, v: Array, see: See, work: Callable[[int, int], None]) -> None:
    """work(unit, unit_end) for all blocks of queries, in as many threads as pay."""
    B, N, L, K = q.shape
    S, J = v.shape[2:]
    blocks = -(-L // QUERIES)
    units = B * N * blocks
    count = threads.useful(float(B) * N * L * S * (K + J))
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
