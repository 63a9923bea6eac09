"""The threads that share one task: every part of it is done, once, whoever comes and when."""

import os
import time
from typing import Any

import numpy as np
import pytest

from nnspec.accel import jit, threads
from nnspec.accel.arrays import Array
from nnspec.accel.team import gathered, meet, new_counter, shared, take

compiled = pytest.mark.skipif(
    jit.config.DISABLE_JIT, reason="without compiled kernels there is one thread"
)


@jit.helper
def _add_units(part: int, y: Array, parts: Array, factor: Any, tickets: Array) -> None:
    unit = take(tickets)
    while unit < len(y):
        for k in range(y.shape[1]):
            y[unit, k] += factor * k
        parts[unit] = part
        unit = take(tickets)


_add_in_parallel = shared(_add_units)


@jit.kernel
def _add_all(y: Array, parts: Array, factor: Any, tickets: Array, team: Array, count: int) -> None:
    _add_in_parallel(team, count, (y, parts, factor, tickets))


def _added(count: int, units: int = 50, size: int = 300) -> Array:
    """The part that did each unit, all of which are found done once."""
    y, parts = np.zeros((units, size)), np.full(units, -1)
    threads.in_team(count, _add_all, y, parts, 0.5, new_counter())
    np.testing.assert_array_equal(y, np.broadcast_to(0.5 * np.arange(size), y.shape))
    assert parts.min() >= 0
    assert parts.max() < count
    return parts


@compiled
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_every_unit_is_done_once_awake_or_asleep(count: int) -> None:
    for pause in (0, 0, 0, 0.001, 0.05) * 3:  # a thread sleeps after some milliseconds
        time.sleep(pause)
        _added(count)
        _added(count, units=1)


@compiled
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there is one processor")
def test_the_others_come() -> None:
    limit = time.monotonic() + 60
    while _added(2, units=500, size=10_000).max() == 0:
        assert time.monotonic() < limit


@jit.lean_helper
def _walk(part: int, came: int, y: Array, counts: Array, barrier: Array) -> None:
    counts[part] = came
    for t in range(y.shape[0]):
        y[t, part] = t + part
        meet(barrier, came)
        for other in range(came):
            if y[t, other] != t + other:
                counts[part] = -1


_walk_together = gathered(_walk)


@jit.lean_kernel
def _walk_all(y: Array, counts: Array, barrier: Array, looks: int, team: Array, count: int) -> None:
    _walk_together(team, count, looks, (y, counts, barrier))


def _walked(count: int, looks: int) -> int:
    """How many came, each of whom has seen in each step what all of them wrote."""
    y, counts = np.full((30, count), -1.0), np.zeros(count)
    threads.in_team(count, _walk_all, y, counts, new_counter(), looks)
    came = int(counts[0])
    assert 1 <= came <= count
    np.testing.assert_array_equal(counts[:came], came)
    np.testing.assert_array_equal(counts[came:], 0)
    return came


@compiled
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_who_comes_in_time_waits_for_the_others(count: int) -> None:
    for pause in (0, 0, 0, 0.001, 0.05) * 3:
        for looks in (0, 100, 100_000):
            time.sleep(pause)
            _walked(count, looks)
        _added(count)


@compiled
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there is one processor")
def test_the_others_come_in_time() -> None:
    limit = time.monotonic() + 60
    while _walked(2, 10_000_000) < 2:
        assert time.monotonic() < limit


@compiled
def test_tasks_of_all_kinds_in_turn() -> None:
    done: list[int] = []
    for _ in range(200):
        _added(3)
        _walked(3, 1000)
        threads.together(3, lambda index, count: done.append(index))
    assert sorted(done) == sorted([0, 1, 2] * 200)


@compiled
def test_while_another_call_has_the_threads_one_runs_alone() -> None:
    seen: list[int] = []

    def work(index: int, count: int) -> None:
        if index == 0:
            seen.append(int(_added(4).max()))
            threads.together(2, lambda index, count: seen.append(count))

    threads.together(2, work)
    assert seen == [0, 1]
