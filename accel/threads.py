"""Threads that share one kernel's work: Python threads in kernels that have let go of the GIL.

`NNSPEC_THREADS` says how many, else the processors that this process may use; `limit` changes it.
While one call has the threads, a call from another thread of the program runs on its own alone.

Between calls that follow each other the threads look out for work, outside of the GIL, for about a
millisecond; then they sleep. To wake one takes longer than a small call.
"""

import atexit
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from nnspec.accel.arrays import Array
from nnspec.accel.jit import config, lean_helper
from nnspec.accel.team import LIMIT, TASK, all_left, announce, new_team, serve

# a thread that is awake begins a task of Python's some 20 µs after its caller, as both need the
# GIL, and a compiled one within 2: what takes less than a few times that is done by one, unless it
# is done beside the caller, who has enough to do meanwhile
WORTHWHILE, COMPILED, BESIDE = 75e-6, 25e-6, 5e-6
# multiply-adds a second that one thread is taken to do, to tell what is worthwhile
SPEED = 80e9

_busy = threading.Lock()
_team: "_Team | None" = None
# what `shared` wants for no team at all
ALONE = new_team(), 1
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


def useful(multiply_adds: float, least: float = WORTHWHILE) -> int:
    """How many threads are worthwhile for so much work, if it takes `least` seconds or more."""
    return limited() if multiply_adds / SPEED > least else 1


def _forget_team() -> None:
    """In a forked child, which has none of its parent's threads."""
    global _team, _busy
    _team, _busy = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_team)


def _the_team() -> "_Team":
    global _team
    if _team is None:
        _team = _Team()
    return _team


def together(count: int, work: Callable[[int, int], Any]) -> None:
    """work(0, n) … work(n - 1, n) at the same time; n is `count`, or 1 where others are at it."""
    if count > 1 and _busy.acquire(blocking=False):
        try:
            _the_team().run(count, work)
        finally:
            _busy.release()
    else:
        work(0, 1)


def in_team(count: int, function: Callable[..., Any], *arguments: Any) -> None:
    """A kernel with its arguments, and those that `shared` wants: the team, and how many threads.

    That is 1 where others are at it.
    """
    if count > 1 and _busy.acquire(blocking=False):
        try:
            function(*arguments, _the_team().awake(count), count)
        finally:
            _busy.release()
    else:
        function(*arguments, *ALONE)


@lean_helper
def share(total: int, index: int, count: int, multiple: int = 1) -> tuple[int, int]:
    """The part of 0 … total-1 that thread `index` of `count` does, in whole multiples."""
    units = -(-total // multiple)
    first, last = units * index // count, units * (index + 1) // count
    return min(first * multiple, total), min(last * multiple, total)


class _Worker:
    """A thread of the team."""

    def __init__(self, team: "_Team") -> None:
        self.team = team
        self.asleep = False
        self.alarm: SimpleQueue[None] = SimpleQueue()
        self.thread = threading.Thread(target=self.live, name="nnspec-accel", daemon=True)
        self.thread.start()

    def live(self) -> None:
        """Do one task after the other until there comes one without work."""
        team, last, finished = self.team, 0, False
        while True:
            entered, word = serve(team.state, last, finished)
            last, finished = word // TASK, entered
            if not entered:
                self.asleep = True
                # a task that came meanwhile may have found the worker awake, and rung no alarm
                if int(team.state[0]) // TASK == last:
                    self.alarm.get()
                self.asleep = False
                continue
            work, count = team.work, word // LIMIT % LIMIT + 1
            if work is None:
                return
            try:
                work(word % LIMIT + 1, count)
            except BaseException as error:
                team.errors.append(error)


class _Team:
    """The threads beside the caller's, one task at a time."""

    def __init__(self) -> None:
        self.state = new_team()
        self.work: Callable[[int, int], Any] | None = None
        self.workers: list[_Worker] = []
        self.errors: list[BaseException] = []
        # a thread in compiled code must not outlive it
        atexit.register(self.stop)

    def awake(self, count: int) -> Array:
        """The team, so many of which are awake or about to be."""
        while len(self.workers) < count - 1:
            self.workers.append(_Worker(self))
        for worker in self.workers[: count - 1]:
            if worker.asleep:
                worker.asleep = False
                worker.alarm.put(None)
        return self.state

    def run(self, count: int, work: Callable[[int, int], Any]) -> None:
        """work(0, count) here, the other parts in the workers; an error of any is raised."""
        self.work = work
        # first, for who is about to sleep looks once more whether there is a task
        announce(self.state, count - 1)
        self.awake(count)
        try:
            work(0, count)
        finally:
            all_left(self.state, count - 1)
        if self.errors:
            error = self.errors[0]
            self.errors.clear()
            raise error

    def stop(self) -> None:
        self.work = None
        announce(self.state, len(self.workers))
        self.awake(len(self.workers) + 1)
        for worker in self.workers:
            worker.thread.join(1)
