"""How long threads wait for each other where they meet: it tells whether they share a cache.

A virtual machine's processors may have a cache in common at one time and none at another. What one
thread writes and another reads takes several times as long then, while each by itself is as fast.
"""

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numba

from nnspec.accel.team import meet, new_counter
from nnspec.reference.array import Array

# meetings of one measurement, the shortest of which counts
MEETINGS, TRIES = 300, 3


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _meet(barrier: Array, count: int, times: int) -> None:
    for _ in range(times):
        meet(barrier, count)


def measure(processors: Sequence[int]) -> float | None:
    """Seconds of one meeting of a thread on each processor; None where there is one."""
    count = len(processors)
    if count < 2:
        return None
    _meet(new_counter(), 1, 1)  # compiles
    best = float("inf")
    with ThreadPoolExecutor(count) as pool:
        for _ in range(TRIES):
            barrier, line = new_counter(), threading.Barrier(count)

            def run(
                processor: int, barrier: Array = barrier, line: threading.Barrier = line
            ) -> float:
                if hasattr(os, "sched_setaffinity"):
                    os.sched_setaffinity(0, {processor})  # of this thread, which ends with the pool
                line.wait()
                begin = time.perf_counter()
                _meet(barrier, count, MEETINGS)
                return (time.perf_counter() - begin) / MEETINGS

            best = min(best, *pool.map(run, processors))
    return best
