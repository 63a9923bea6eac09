"""Threads that share one kernel's work: Python threads in kernels that have let go of the GIL.

`NNSPEC_THREADS` says how many, else the processors that this process may use; `limit` changes it.
While one call has the threads, a call from another thread of the program runs on its own alone.

Between calls that follow each other the threads look out for work, outside of the GIL, for about a
millisecond; then they sleep. To wake one takes longer than a small call.
"""

import atexit
import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from nnspec.accel.arrays import Array
from nnspec.accel.jit import config, kernel, lean_helper

# a thread that is awake begins some 20 µs after its caller: what takes less than a few times that
# is done by one
WORTHWHILE = 75e-6
# multiply-adds a second that one thread is taken to do, to tell what is worthwhile
SPEED = 80e9

# how often a thread looks before it gives its processor to others, how often until it sleeps, and
# how often it gives way, some 10 µs, until its caller has let go of the GIL that both need
LOOKS, PATIENCE, PAUSE = 500, 2000, 20
# a barrier that has counted so far is open
OPEN = 1 << 40

_busy = threading.Lock()
_team: "_Team | None" = None
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


def _forget_team() -> None:
    """In a forked child, which has none of its parent's threads."""
    global _team, _busy
    _team, _busy = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_team)


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
    global _team
    if count > 1:
        with _all_threads() as mine:
            if mine:
                if _team is None:
                    _team = _Team()
                _team.run(count, work)
                return
    work(0, 1)


Phase = tuple[int, Callable[[int], Any]]  # so many units, work(unit) for each


def in_turn(count: int, *phases: Phase) -> None:
    """work(unit) for each of 0 … units-1, by whichever of the threads is free; phase by phase.

    Processors that others use as well are seldom equally fast: of two halves one comes late.
    """
    if count == 1:
        for units, work in phases:
            for unit in range(units):
                work(unit)
        return
    tickets = [itertools.count() for _ in phases]
    barrier = new_barrier()

    def part(_: int, parts: int) -> None:
        try:
            for number, (units, work) in enumerate(phases):
                if number:
                    _meet(barrier, parts)
                while (unit := next(tickets[number])) < units:
                    work(unit)
        except BaseException:
            _open(barrier)
            raise

    together(count, part)


def share(total: int, index: int, count: int, multiple: int = 1) -> tuple[int, int]:
    """The part of 0 … total-1 that thread `index` of `count` does, in whole multiples."""
    units = -(-total // multiple)
    first, last = units * index // count, units * (index + 1) // count
    return min(first * multiple, total), min(last * multiple, total)


def new_barrier() -> Array:
    """What `meet` counts in."""
    return np.zeros(8, np.int64)


def _count_in(typingctx: Any, barrier: Any, number: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", data, args[1], "acq_rel")

    return types.int64(barrier, types.int64), emit


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


@lean_helper
def _wait(counter: Array, wanted: int) -> None:
    """Until the counter has come so far."""
    looks = 0
    while _arrived(counter) < wanted:
        looks += 1
        if looks > LOOKS:  # somebody else has its processor
            _give_way()


@lean_helper
def meet(barrier: Array, count: int) -> None:
    """Wait until all `count` threads have come here as often as this one."""
    if count > 1:
        ticket = _arrive(barrier, 1)
        if ticket < OPEN:
            _wait(barrier, (ticket // count + 1) * count)


@kernel
def _meet(barrier: Array, count: int) -> None:
    meet(barrier, count)


@kernel
def _open(barrier: Array) -> None:
    """Let all pass from now on: somebody will not come."""
    _arrive(barrier, OPEN)


@kernel
def _announce(tickets: Array) -> None:
    _arrive(tickets, 1)


@kernel
def _all_done(done: Array, wanted: int) -> None:
    _wait(done, wanted)


@kernel
def _another(tickets: Array, done: Array, last: int, finished: bool) -> bool:
    """Whether a task after the last one is there within a worker's patience.

    That the last one is finished is said here, where the GIL is free for the caller to go on.
    """
    if finished:
        _arrive(done, 1)
    for look in range(PATIENCE):
        if _arrived(tickets) > last:
            for _ in range(PAUSE):
                _give_way()
            return True
        if look > LOOKS:
            _give_way()
    return False


Task = tuple[int, Callable[[int, int], Any] | None, int]  # its number, the work, for how many


class _Worker:
    """A thread of the team, number `index` of each work that has so many parts."""

    def __init__(self, team: "_Team", index: int) -> None:
        self.team, self.index, self.last = team, index, team.task[0]
        self.asleep = False
        self.alarm: SimpleQueue[None] = SimpleQueue()
        self.thread = threading.Thread(target=self.live, name=f"nnspec-accel-{index}", daemon=True)
        self.thread.start()

    def live(self) -> None:
        """Do one task after the other until there comes one without work."""
        team, finished = self.team, False
        while True:
            there = _another(team.tickets, team.done, self.last, finished)
            finished = False
            if not there:
                self.asleep = True
                # a task that came meanwhile may have found the worker awake, and rung no alarm
                if team.task[0] == self.last:
                    self.alarm.get()
                self.asleep = False
                continue
            self.last, work, count = team.task
            if work is None:
                return
            if self.index < count:
                try:
                    work(self.index, count)
                except BaseException as error:
                    team.errors.append(error)
                finished = True


class _Team:
    """The threads beside the caller's, one task at a time."""

    def __init__(self) -> None:
        self.tickets, self.done = new_barrier(), new_barrier()
        self.task: Task = (0, None, 0)
        self.wanted = 0
        self.workers: list[_Worker] = []
        self.errors: list[BaseException] = []
        # a thread in compiled code must not outlive it
        atexit.register(self.stop)

    def give(self, count: int, work: Callable[[int, int], Any] | None) -> None:
        self.task = self.task[0] + 1, work, count
        _announce(self.tickets)
        for worker in self.workers[: count - 1]:
            if worker.asleep:
                worker.asleep = False
                worker.alarm.put(None)

    def run(self, count: int, work: Callable[[int, int], Any]) -> None:
        """work(0, count) here, the other parts in the workers; an error of any is raised."""
        while len(self.workers) < count - 1:
            self.workers.append(_Worker(self, len(self.workers) + 1))
        self.wanted += count - 1
        self.give(count, work)
        try:
            work(0, count)
        finally:
            _all_done(self.done, self.wanted)
        if self.errors:
            error = self.errors[0]
            self.errors.clear()
            raise error

    def stop(self) -> None:
        self.give(len(self.workers) + 1, None)
        for worker in self.workers:
            worker.thread.join(1)
