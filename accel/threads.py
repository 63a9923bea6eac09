"""Threads that share one kernel's work: Python threads in kernels that have let go of the GIL.

`NNSPEC_THREADS` says how many, else the processors that this process may use; `limit` changes it.
While one call has the threads, a call from another thread of the program runs on its own alone.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from nnspec.accel.arrays import Array
from nnspec.accel.jit import config, helper

# a thread needs some 30 µs to wake up: what takes less than five times that is done by one
WORTHWHILE = 150e-6
# multiply-adds a second that one thread is taken to do, to tell what is worthwhile
SPEED = 50e9

_busy = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_count = 0


def _available() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def limit(count: int | None) -> None:
    """Use this many threads from now on; None for as many as the process has processors.

    Raises ValueError for a number below 1.
    """
    global _count
    if count is not None and count < 1:
        raise ValueError(f"the number of threads is at least 1, not {count}")
    _count = count or _available()


def _from_environment() -> None:
    given = os.environ.get("NNSPEC_THREADS", "")
    limit(int(given) if given.isdigit() and int(given) else None)


_from_environment()


def limited() -> int:
    """How many threads a call may use."""
    return 1 if config.DISABLE_JIT else _count


def useful(multiply_adds: float) -> int:
    """How many threads are worthwhile for so much work."""
    return limited() if multiply_adds / SPEED > WORTHWHILE else 1


def _forget_pool() -> None:
    """In a forked child, which has none of its parent's threads."""
    global _pool, _busy
    _pool, _busy = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


@contextlib.contextmanager
def _all_threads() -> Iterator[bool]:
    mine = _busy.acquire(blocking=False)
    try:
        yield mine
    finally:
        if mine:
            _busy.release()


def together(count: int, work: Callable[[int, int], Any]) -> None:
    """work(0, n) … work(n - 1, n) at the same time; n is `count`, or 1 where others are at it."""
    global _pool
    if count > 1:
        with _all_threads() as mine:
            if mine:
                if _pool is None or _pool._max_workers < count - 1:
                    _pool = ThreadPoolExecutor(max(count, _count) - 1, "nnspec-accel")
                waiting = [_pool.submit(work, index, count) for index in range(1, count)]
                work(0, count)
                for each in waiting:
                    each.result()
                return
    work(0, 1)


def share(total: int, index: int, count: int, multiple: int = 1) -> tuple[int, int]:
    """The part of 0 … total-1 that thread `index` of `count` does, in whole multiples."""
    units = -(-total // multiple)
    first, last = units * index // count, units * (index + 1) // count
    return min(first * multiple, total), min(last * multiple, total)


def new_barrier() -> Array:
    """What `meet` counts in."""
    return np.zeros(8, np.int64)


def _count_in(typingctx: Any, barrier: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", data, ir.IntType(64)(1), "acq_rel")

    return types.int64(barrier), emit


def _counted(typingctx: Any, barrier: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.load_atomic(data, "acquire", 8)

    return types.int64(barrier), emit


_arrive: Any = intrinsic(_count_in)
_arrived: Any = intrinsic(_counted)
_give_way: Any = types.ExternalFunction(
    "SwitchToThread" if os.name == "nt" else "sched_yield", types.int32()
)


@helper
def meet(barrier: Array, count: int) -> None:
    """Wait until all `count` threads have come here as often as this one."""
    if count > 1:
        ticket = _arrive(barrier)
        wanted = (ticket // count + 1) * count
        spins = 0
        while _arrived(barrier) < wanted:
            spins += 1
            if spins > 500:  # somebody else has its processor
                _give_way()
