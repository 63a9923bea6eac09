"""The benchmarks that `nnspec bench` runs under pytest; an ordinary test run does not collect them.

pytest-benchmark times its functions one after the other, which does not allow turns. So a point is
measured in turns when its first contender comes up, and each contender's rounds are then given to
pytest-benchmark through a `timer`: its statistics, its JSON, its `compare` are used as they are.
"""

from typing import Any

import pytest

from nnspec.conformance.bench.grid import PASSES
from nnspec.conformance.bench.session import Session

_now = [0.0]


def rounds_in_turns() -> float:
    """A timer that goes on by what was measured."""
    return _now[0]


@pytest.mark.benchmark(timer=rounds_in_turns)
def test_in_turns(
    benchmark: Any, session: Session, threads: int, point: str, contender: str
) -> None:
    """One contender's rounds of one point."""
    measured = session.measure(point, threads)
    what = measured.point
    if contender in measured.refused:
        pytest.fail(measured.refused[contender], pytrace=False)
    if contender not in measured.seconds:
        pytest.skip(f"{contender} has no such layer")
    rounds = iter(measured.seconds[contender])

    def go_on() -> None:
        _now[0] += next(rounds)

    benchmark.group = measured.name
    benchmark.extra_info |= {
        "contender": contender,
        "operation": what.operation,
        "shape": what.shape,
        "pass": PASSES[what.backward],
        "threads": threads,
        "iterations_of_a_round": measured.iterations[contender],
        "way": measured.ways[contender],
        "times_accel": measured.ratio(contender),
        "meetings": measured.meetings,
        "gflops": what.flops / (measured.median(contender) or 1) / 1e9,
    }
    benchmark.pedantic(go_on, rounds=len(measured.seconds[contender]))
