"""Contenders in turns: each in a process of its own, one at a time, A B C A B C and so on.

A process is pinned to the processors that its threads may use, before it imports anything. Between
its turns it is suspended: the frameworks' thread pools go on looking for work after the last call
(onnxruntime's for a second and more), at the cost of whoever is next, and to forbid them that would
slow them down in their own turns. A turn is a batch of iterations after one that is not timed,
which wakes the threads and fills the caches (but where it takes more than a second).
"""

import contextlib
import dataclasses
import gc
import multiprocessing
import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import psutil

from nnspec.conformance.bench import contenders, meetings, memory, own, roofline
from nnspec.conformance.bench.contenders import Ready
from nnspec.conformance.bench.grid import Point
from nnspec.reference.array import Array

# what a process may take to answer
TIMEOUT = 600.0
# seconds after which a call is not repeated but for its rounds
LONG = 1.0
# the largest error of a contender, as a share of the largest number of the output
AGREEMENT = 1e-4

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NNSPEC_THREADS",
)


class BenchError(Exception):
    """What a contender could not do; the message is one sentence."""


@dataclasses.dataclass(frozen=True)
class Effort:
    """How long is measured."""

    rounds: int = 15
    batch: float = 0.03  # seconds of a turn
    longest: float = 10.0  # seconds of all turns of one contender; three rounds in any case

    def rounds_of(self, turn: float) -> int:
        """In how many rounds a contender takes part whose turn takes so many seconds."""
        return min(self.rounds, max(3, int(self.longest / turn)))


FULL, QUICK = Effort(), Effort(rounds=3, batch=0.003, longest=0.5)


def processors() -> list[int]:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@contextlib.contextmanager
def _inherited(threads: int) -> Iterator[None]:
    """What a process that is started here inherits: its processors, and how many it has."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    allowed = processors()
    os.environ |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, allowed[:threads])
    try:
        yield
    finally:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, allowed)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class Process:
    """A contender's process."""

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        with _inherited(threads):
            self._process = context.Process(
                target=_serve, args=(theirs, name, threads), daemon=True
            )
            self._process.start()
        theirs.close()
        try:
            self.version = str(self._answer())
        except BenchError:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return self._process.is_alive()

    def ask(self, what: str, *arguments: Any) -> Any:
        """The process's answer; raises BenchError where it has none."""
        with contextlib.suppress(OSError):  # it is gone: the answer says so
            self._let_run(True)
            self._connection.send((what, *arguments))
        return self._answer()

    def _answer(self) -> Any:
        try:
            if not self._connection.poll(TIMEOUT):
                self.close()
                raise BenchError(f"{self.name} gave no answer for {TIMEOUT:.0f} s")
            failed, answer = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(10)
            code = self._process.exitcode
            self.close()
            raise BenchError(f"{self.name}'s process ended with status {code}") from None
        with contextlib.suppress(OSError):
            self._let_run(False)
        if failed:
            raise BenchError(f"{self.name}: {answer}")
        return answer

    def _let_run(self, runs: bool) -> None:
        """Resume or suspend it.

        By its number alone: it is a child that nobody has waited for, so the number is still its.
        psutil compares the times of its start, and takes it for another after a step of the clock.
        """
        pid = self._process.pid
        assert pid is not None
        if os.name == "posix":
            os.kill(pid, signal.SIGCONT if runs else signal.SIGSTOP)
        else:
            handle = psutil.Process(pid)
            (handle.resume if runs else handle.suspend)()

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.kill()
        self._process.join()


def _serve(connection: Connection, name: str, threads: int) -> None:
    """Answer until the other end is closed."""
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        try:
            module = contenders.module_of(name)
            connection.send((False, module.start(threads)))
        except Exception as error:
            connection.send((True, f"{type(error).__name__}: {error}"))
            return
        stage = _Stage(name, module)
        answers: dict[str, Callable[..., Any]] = {
            "prepare": stage.prepare,
            "turn": stage.turn,
            "truth": own.truth,
            "roofline": roofline.measure,
            "meeting": lambda threads: meetings.measure(processors()[:threads]),
            "peak": lambda point, small: memory.peak(module, name, point, small),
        }
        while True:
            what, *arguments = connection.recv()
            try:
                connection.send((False, answers[what](*arguments)))
            except Exception as error:
                words = " ".join(str(error).split())[:300]
                connection.send((True, f"{type(error).__name__}: {words}"))


class _Stage:
    """What a contender's process holds of the present point."""

    def __init__(self, name: str, module: Any) -> None:
        self._name, self._module = name, module
        self._ready: Ready | None = None

    def prepare(self, point: Point, batch: float) -> tuple[str, dict[str, Array], float] | None:
        """The fastest way, its outputs, the seconds of one iteration; None where there is none."""
        self._ready = None
        found: list[tuple[float, str]] = []
        makers = {}
        refused = result = None
        for word, make in self._module.ways(self._name, point, point.inputs()):
            makers[word] = make
            self._ready = None  # one at a time: idle threads of the last would take part
            try:
                self._ready = make()
                begin = time.perf_counter()
                result = self._ready.call()
                taken = time.perf_counter() - begin
                # who compiles nothing takes as long the next time
                long = taken > LONG and self._name == "reference"
                found.append((taken if long else _seconds(self._ready, batch), word))
            except Exception as error:
                refused = error
        if not found:
            if refused is not None:
                raise refused
            return None
        seconds, word = min(found)
        if word != list(makers)[-1]:
            self._ready = result = None
            self._ready = makers[word]()
            result = self._ready.call()
        assert self._ready is not None
        outputs = self._ready.outputs(result)
        return word, {n: np.ascontiguousarray(a) for n, a in outputs.items()}, seconds

    def turn(self, iterations: int, wake: bool) -> float:
        """Seconds of one iteration, their mean; `wake` calls it once before."""
        assert self._ready is not None
        call = self._ready.call
        gc.disable()
        if wake:
            call()
        begin = time.perf_counter()
        for _ in range(iterations):
            call()
        seconds = (time.perf_counter() - begin) / iterations
        gc.enable()
        return seconds


def _seconds(ready: Ready, batch: float) -> float:
    """About what an iteration takes: the least of three batches, each at least that long."""
    best = float("inf")
    iterations = 1
    for _ in range(3):
        while True:
            begin = time.perf_counter()
            for _ in range(iterations):
                ready.call()
            taken = time.perf_counter() - begin
            best = min(best, taken / iterations)
            if taken >= batch / 3:
                break
            iterations *= 2
        if taken > 1:
            break
    return best


def disagreement(got: dict[str, Array], wanted: dict[str, Array]) -> str:
    """Where these outputs are not what they should be, as a sentence; empty where they agree."""
    if sorted(got) != sorted(wanted):
        return f"its outputs are {sorted(got)}, not {sorted(wanted)}"
    for name, truth in wanted.items():
        if got[name].shape != truth.shape:
            return f"{name} has shape {got[name].shape}, not {truth.shape}"
        scale = float(np.max(np.abs(truth), initial=0)) or 1.0
        error = float(np.max(np.abs(got[name] - truth), initial=0)) / scale
        if not error <= AGREEMENT:
            return f"{name} is off by {error:.1e} of its largest number, more than {AGREEMENT:g}"
    return ""


@dataclasses.dataclass
class Measured:
    """The rounds of one point: for each contender its seconds in the rounds that it took part."""

    point: Point
    threads: int
    seconds: dict[str, list[float]]
    iterations: dict[str, int]
    ways: dict[str, str]
    refused: dict[str, str]  # who took part and is wrong or broke down, and how
    # seconds of a meeting of the threads before the rounds and after them, if there are several
    meetings: list[float] = dataclasses.field(default_factory=list)

    @property
    def name(self) -> str:
        """The point and its threads."""
        return f"{self.point.name}, {self.threads} thread{'s' * (self.threads > 1)}"

    def median(self, name: str) -> float | None:
        """The median of a contender's rounds, in seconds."""
        rounds = self.seconds.get(name)
        return statistics.median(rounds) if rounds else None

    def ratio(self, other: str) -> float | None:
        """How many times as long as accel another takes: the median over the rounds of both."""
        ours, theirs = self.seconds.get("accel"), self.seconds.get(other)
        if not ours or not theirs:
            return None
        return statistics.median(b / a for a, b in zip(ours, theirs, strict=False))

    def fastest(self) -> tuple[str, float] | None:
        """The peer that leaves accel the smallest lead, and that lead."""
        leads = [(lead, name) for name in contenders.PEERS if (lead := self.ratio(name))]
        if not leads:
            return None
        lead, name = min(leads)
        return name, lead


class Contest:
    """The processes of all contenders with so many threads each."""

    def __init__(
        self,
        names: Sequence[str],
        threads: int,
        effort: Effort,
        truths: dict[Point, dict[str, Array]] | None = None,  # of points that were measured before
    ) -> None:
        self.threads, self._effort = threads, effort
        self.absent: dict[str, str] = {}
        self._processes: dict[str, Process] = {}
        self._names = names
        self._truths = {} if truths is None else truths
        try:
            for name in names:
                self._start(name)
        except BaseException:
            self.close()
            raise

    def _start(self, name: str) -> None:
        try:
            self._processes[name] = Process(name, self.threads)
        except BenchError as error:
            if name in contenders.OWN:
                raise
            self._processes.pop(name, None)
            self.absent[name] = str(error)

    @property
    def versions(self) -> dict[str, str]:
        """What each contender says of itself."""
        return {name: process.version for name, process in self._processes.items()}

    def roofline(self) -> roofline.Roofline:
        """Speed and bandwidth, measured where accel runs."""
        found: roofline.Roofline = self._processes["accel"].ask("roofline", self.threads)
        return found

    def measure(self, point: Point) -> Measured:
        """Rounds of everyone who can compute the point, after each one's outputs were checked."""
        done = Measured(point, self.threads, {}, {}, {}, {})
        for name in self._names:  # who broke down at the last point is back for this one
            if name not in self.absent and not self._processes[name].alive:
                self._start(name)
        if point not in self._truths:
            self._truths[point] = self._processes["reference"].ask("truth", point)
        wanted = self._truths[point]
        turn: dict[str, float] = {}
        for name, process in self._processes.items():
            try:
                prepared = process.ask("prepare", point, self._effort.batch)
            except BenchError as error:
                done.refused[name] = str(error)
                continue
            if prepared is None:
                continue
            done.ways[name], outputs, seconds = prepared
            wrong = disagreement(outputs, wanted)
            if wrong:
                done.refused[name] = f"{name}: {wrong}"
                continue
            done.iterations[name] = max(1, round(self._effort.batch / seconds))
            turn[name] = seconds * done.iterations[name]
        self._meet(done)
        self._rounds(done, turn)
        self._meet(done)
        return done

    def _meet(self, done: Measured) -> None:
        with contextlib.suppress(BenchError):  # accel broke down: its rounds say so
            seconds = self._processes["accel"].ask("meeting", self.threads)
            if seconds is not None:
                done.meetings.append(seconds)

    def _rounds(self, done: Measured, turn: dict[str, float]) -> None:
        rounds = {name: self._effort.rounds_of(seconds) for name, seconds in turn.items()}
        for number in range(self._effort.rounds):
            for name in turn:
                if number >= rounds[name] or name in done.refused:
                    continue
                try:
                    wake = turn[name] < LONG
                    seconds = self._processes[name].ask("turn", done.iterations[name], wake)
                except BenchError as error:
                    done.refused[name] = str(error)
                    done.seconds.pop(name, None)
                else:
                    done.seconds.setdefault(name, []).append(seconds)

    def close(self) -> None:
        """End every process."""
        for process in self._processes.values():
            process.close()
