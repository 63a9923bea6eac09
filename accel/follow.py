"""Gradients behind the steps back: what one thread has left, another takes at once.

There are queues, one for each part of the sums, for dX and for db. Each goes through blocks of
steps from the last one to the first, and who has it goes on as far as the errors are there. Both
threads look for a queue that nobody has: the other one while the steps go back, the first when it
has done them.
"""

from typing import Any

from nnspec.accel import threads
from nnspec.accel.arrays import Array
from nnspec.accel.jit import lean_helper, lean_kernel
from nnspec.accel.packed import ROWS
from nnspec.accel.recurrent import AHEAD, mark_of
from nnspec.accel.sums import add_errors, add_rows, in_a_row, put_inputs, put_rests
from nnspec.accel.team import LINE, done_of, let_go, look_again, marked, new_counter, seize

# parts of the sums
PARTS = 4


def new_queues() -> Array:
    """Of the parts of the sums, dX and db."""
    return new_counter(PARTS + 2)


@lean_helper
def _do(
    queue: int,
    units: int,
    start: int,
    end: int,
    before: bool,
    last: bool,
    da: Array,
    M: Array,
    zeros: Array,
    dX: Array,
    Ys: Any,
    places: Any,
    totals: Any,
    rests: Any,
    db: Array,
    room: Array,
) -> None:
    """A queue's part of rows start … end-1."""
    all_rows = 0, da.shape[1], False
    if queue < units:
        unit, unit_end = threads.share(totals[0].shape[1], queue, units, ROWS)
        into = Ys, totals, rests, places
        add_rows(da, all_rows, 0, start, end, before, db.shape[1], *into, room, unit, unit_end)
        if last:
            put_rests(*into, unit, unit_end)
    elif queue == units:
        put_inputs(da, all_rows, M, zeros, dX, start, end)
    else:
        add_errors(da, (start, end, False), db.reshape(db.size))


@lean_kernel
def follow(
    da: Array,  # (T, B, G, columns)
    M: Array,  # these three as for `put_inputs`
    zeros: Array,
    dX: Array,
    Ys: Any,  # these four as for `put_sums`
    places: Any,
    totals: Any,
    rests: Any,
    db: Array,  # (G, columns)
    room: Array,
    part: int,
    queues: Array,
    progress: Array,
) -> None:
    """The gradients of all steps, as their errors come; until all of them are done."""
    T, B = da.shape[:2]
    errors, inputs, rows = in_a_row(da, dX, Ys)
    what = errors, M, zeros, inputs, rows, places, totals, rests, db, room
    count, blocks = queues.size // LINE, -(-T // AHEAD)
    there, looks, left = 0, 0, True
    while left:
        while there < blocks and marked(mark_of(progress, (blocks - 1 - there) * AHEAD)):
            there += 1
        left, looks = False, look_again(looks)
        for k in range(count):
            number = (k + part * count // 2) % count
            queue = queues[number * LINE :]
            done = done_of(queue)
            left = left or done < blocks
            if done < there and seize(queue, done):
                start, end = (blocks - there) * AHEAD * B, min(T, (blocks - done) * AHEAD) * B
                _do(number, count - 2, start, end, done > 0, there == blocks, *what)
                let_go(queue, there - done)
                looks = 0
