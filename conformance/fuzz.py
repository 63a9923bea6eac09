"""Fresh inputs against the oracle: a campaign over operations, and the smallest failing inputs.

A campaign is cut into tasks of one operation, one dtype and one seed, which any
`concurrent.futures` executor may run: a task is plain data, and so is what it returns. A task that
finds something returns at once with the input as drawn, so that nothing is lost to an interrupt;
a second task with the same seed then lets Hypothesis shrink it.
"""

import atexit
import importlib
import multiprocessing
import os
import random
import signal
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from nnspec.conformance import oracle
from nnspec.conformance.process import BackendProcess, ProcessRefusedError
from nnspec.conformance.program import Subject
from nnspec.conformance.protocol import Hello
from nnspec.conformance.runner import ask
from nnspec.conformance.source import keywords
from nnspec.conformance.strategies import (
    Enough,
    Failing,
    arguments,
    explore,
    jumps,
    refusal,
    weight,
)
from nnspec.conformance.suite import (
    SHORT_DTYPES,
    Case,
    Classes,
    SuiteError,
    Vector,
    VectorFile,
    as_outputs,
    encode,
    unpack,
)
from nnspec.conformance.verdict import K, Result, judge
from nnspec.reference.array import Array
from nnspec.spec.loader import Operation, check_shapes, spec

START_SECONDS = 120.0
SHRINK_SECONDS = 20.0
TASK_SECONDS = 5.0
# an executor that loses more tasks than this is of no use
MOST_LOST = 20
# a fresh input that needs more is a tie, which the oracle would pursue to its limit
MOST_BITS = 4096
# each is 64 more runs with random rounding, before a failure is believed
MORE_BUDGETS = 5
SHORT = {dtype: short for short, dtype in SHORT_DTYPES.items()}

# balls have one precision for the whole process: tasks of one process take turns
TURN = threading.Lock()
PROCESSES: dict[Subject, tuple[BackendProcess, Hello]] = {}


class Task(msgspec.Struct, frozen=True):
    """So many inputs for one operation, or the search for the smallest failing one of them."""

    subject: Subject
    operation: str
    dtype: str
    seed: int
    inputs: int
    seconds: float = TASK_SECONDS
    shrink: bool = False


class Finding(msgspec.Struct, frozen=True):
    """An input on which the backend is wrong, as a case like those of the suite."""

    operation: str
    verdict: str
    reason: str
    case: Case
    shrunk: bool = False

    @property
    def name(self) -> str:
        """The file name of its case."""
        return f"{self.case.id}.json"


class Outcome(msgspec.Struct):
    """What came of a task."""

    task: Task
    inputs: int = 0
    undecided: int = 0
    refused: int = 0
    seconds: float = 0.0
    finding: Finding | None = None
    unsupported: str = ""
    doubts: list[str] = []


def process_of(subject: Subject) -> tuple[BackendProcess, Hello]:
    """Its running process, started once; raises ProcessRefusedError."""
    if subject not in PROCESSES:
        process = BackendProcess(subject.command())
        PROCESSES[subject] = process, process.start(START_SECONDS)
    return PROCESSES[subject]


@atexit.register
def close_processes() -> None:
    """End the backends that this process started."""
    while PROCESSES:
        PROCESSES.popitem()[1][0].close()


def case_of(operation: Operation, dtype: str, identifier: str, given: Mapping[str, Any]) -> Case:
    """A case that has inputs, and no truth yet."""
    return Case(
        id=identifier,
        note="a fresh input of nnspec fuzz",
        flags=[],
        clauses=[c.id for c in spec().clauses.values() if c.operation == operation.base],
        dtype=dtype,  # type: ignore[arg-type]
        attributes={n: v for n, v in given.items() if n in operation.attributes},
        inputs={n: encode(v) for n, v in given.items() if isinstance(v, np.ndarray)},
        outputs={},
        sigma={},
        classes={},
    )


def with_truth(
    case: Case, operation: Operation, truths: Mapping[str, Array], sigma: Mapping[str, Array]
) -> Vector:
    """The case with its true outputs and their budget, ready for a verdict."""
    normal = float(np.finfo(np.dtype(case.dtype)).smallest_normal)
    classes = {}
    for name, value in truths.items():
        flat = value.reshape(-1)
        tiny = np.flatnonzero((np.abs(flat) < normal) & (flat != 0)).tolist()
        zero = np.flatnonzero(flat == 0).tolist()
        if tiny or zero:
            classes[name] = Classes(zero_any_sign=zero, flush_allowed=tiny)
    outputs = {
        name: encode(value.astype(np.int64) if name in operation.integers else value)
        for name, value in truths.items()
    }
    budget = {name: value.reshape(-1).tolist() for name, value in sigma.items()}
    full = msgspec.structs.replace(case, outputs=outputs, sigma=budget, classes=classes)
    return unpack(full, operation, case.id)


def floor_of(truths: Mapping[str, Array], dtype: str) -> dict[str, Array]:
    """What no budget of the oracle is below: half an ulp and the dtype's least number."""
    kind = np.finfo(np.dtype(dtype))
    # 0.99: a budget has three digits
    return {
        name: np.maximum(0.99 * float(kind.eps) / 2 * np.abs(t), float(kind.smallest_subnormal))
        for name, t in truths.items()
    }


class Examiner:
    """Puts inputs of one operation to a backend and the oracle."""

    def __init__(self, task: Task):
        self.task = task
        self.operation = spec().operations[task.operation]
        self.process, self.hello = process_of(task.subject)
        self.outcome = Outcome(task, doubts=[])
        self.identifier = f"{task.operation}-fuzz-{task.seed}-{SHORT[task.dtype]}"

    def finding(self, given: dict[str, Any]) -> Finding | None:
        """What is wrong with the backend's answer to these inputs; None where nothing is."""
        case = case_of(self.operation, self.task.dtype, self.identifier, given)
        vector = Vector(case, self.operation, _arrays(given), {}, {})
        if not self._in_range(given):
            self.outcome.undecided += 1
            return None
        found, answers = ask(self.process, self.hello, vector)
        if found.verdict == "unsupported":
            self.outcome.refused += 1
            self.outcome.unsupported = found.reason
            return None
        if found.verdict != "pass":
            return self._found(found, self._with_budget(case, given) or vector)
        try:
            truths = oracle.truth(self.operation, given, most_bits=MOST_BITS)
        except (oracle.OracleError, TypeError, AttributeError) as error:
            self._undecided(error)
            return None
        quick = with_truth(case, self.operation, truths, floor_of(truths, self.task.dtype))
        if judge(quick, answers).verdict == "pass":
            return None
        full = self._with_budget(case, given, truths)
        if full is None:
            return None
        found = judge(full, answers)
        if found.verdict == "pass":
            return None
        if self._excused(full, given, answers, found):
            self.outcome.undecided += 1
            return None
        return self._found(found, full)

    def _excused(
        self, full: Vector, given: dict[str, Any], answers: Mapping[str, Array], found: Result
    ) -> bool:
        """Whether rounding alone may explain a failure.

        64 noisy runs can miss what happens once in a hundred: a gate that rounds to its limit, a
        word chosen at a near tie. So the reference in the dtype itself, more noisy runs, and inputs
        moved by a few units each get a chance to go as far.
        """
        if jumps(self.operation, given, self.task.dtype):
            return True
        with np.errstate(all="ignore"):
            outputs = oracle.reference(self.operation)(**given)
        plain = judge(full, as_outputs(self.operation, outputs))
        if plain.verdict != "pass" and _error(found) <= 100 * _error(plain):
            if len(self.outcome.doubts) < 1:
                self.outcome.doubts.append(
                    f"{self.identifier}: the budget is too narrow for the reference itself:"
                    f" {plain.reason}"
                )
            return True
        sigma = dict(full.sigma)
        for number in range(MORE_BUDGETS):
            try:
                other = oracle.budget(
                    self.operation, given, full.outputs, self.task.dtype, f"more {number}"
                )
            except oracle.OracleError:
                return True
            sigma = {name: np.maximum(value, other[name]) for name, value in sigma.items()}
        wider = msgspec.structs.replace(full, sigma=sigma)
        return judge(wider, answers).verdict == "pass"

    def _in_range(self, given: dict[str, Any]) -> bool:
        """Whether the result is finite in the dtype: what the budget is defined for."""
        most = float(np.finfo(np.dtype(self.task.dtype)).max) / 4
        wide = {
            n: v.astype(np.float64) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v
            for n, v in given.items()
        }
        try:
            outputs = oracle.evaluate(oracle.reference(self.operation), self.operation, wide)
        except (ValueError, IndexError, ArithmeticError):
            return False
        return all(bool((np.abs(np.array(v, dtype=float)) < most).all()) for v in outputs.values())

    def _with_budget(
        self, case: Case, given: dict[str, Any], truths: dict[str, Array] | None = None
    ) -> Vector | None:
        try:
            if truths is None:
                truths = oracle.truth(self.operation, given, most_bits=MOST_BITS)
            sigma = oracle.budget(self.operation, given, truths, self.task.dtype, case.id)
        except (oracle.OracleError, TypeError, AttributeError) as error:
            self._undecided(error)
            return None
        return with_truth(case, self.operation, truths, sigma)

    def _undecided(self, error: Exception) -> None:
        self.outcome.undecided += 1
        # balls that stay apart are no doubt; two transcriptions that disagree, or a function that
        # does not run on balls, are
        ours = not isinstance(error, oracle.OracleError) or "witness" in str(error)
        if ours and len(self.outcome.doubts) < 3:
            self.outcome.doubts.append(
                f"{self.identifier}: the oracle: {type(error).__name__}: {error}"
            )

    def _found(self, found: Result, vector: Vector) -> Finding:
        case = msgspec.structs.replace(vector.case, note=f"{found.verdict}: {found.reason}")
        return Finding(self.operation.name, found.verdict, found.reason, case, self.task.shrink)


def _error(found: Result) -> float:
    """The error in sigma, beyond all others where the result has not even the right form."""
    return found.sigma_error if found.sigma_error is not None else np.inf


def _arrays(given: Mapping[str, Any]) -> dict[str, Array]:
    return {name: value for name, value in given.items() if isinstance(value, np.ndarray)}


def work(task: Task) -> Outcome:
    """Run a task; the function that an executor calls, in whatever process."""
    inside_pool = multiprocessing.parent_process() is not None
    if inside_pool and threading.current_thread() is threading.main_thread():
        # Ctrl-C reaches the whole group of processes; the campaign's own process answers it
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with TURN:
        return _work(task)


def _work(task: Task) -> Outcome:
    begin = time.monotonic()
    examiner = Examiner(task)
    outcome = examiner.outcome
    best: list[tuple[tuple[int, int, int], Finding]] = []
    until = [begin + task.seconds]

    def body(given: dict[str, Any]) -> None:
        if time.monotonic() > until[0]:
            raise Enough
        wrong = check_shapes(examiner.operation, {n: v.shape for n, v in _arrays(given).items()})
        if wrong is not None:
            raise SuiteError(f"drawn inputs do not fit: {wrong}")
        outcome.inputs += 1
        finding = examiner.finding(given)
        if finding is None:
            return
        size = weight(given)
        if not best or size < best[0][0]:
            best[:] = [(size, finding)]
        # to wait for a hanging backend again and again is worth no smaller input
        if not task.shrink or finding.verdict == "timeout":
            raise Enough
        if len(best) == 1 and until[0] == begin + task.seconds:
            until[0] = time.monotonic() + SHRINK_SECONDS
        raise Failing

    explore(
        arguments(examiner.operation, task.dtype),
        body,
        seed=task.seed,
        examples=task.inputs,
        shrink=task.shrink,
    )
    outcome.finding = best[0][1] if best else None
    outcome.seconds = time.monotonic() - begin
    return outcome


class Inline(Executor):
    """Runs each task at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """The finished future of fn(*args)."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Tally(msgspec.Struct):
    """The inputs of one operation so far."""

    inputs: int = 0
    undecided: int = 0
    seconds: float = 0.0


class Campaign(msgspec.Struct):
    """What a campaign has found so far; `complete` unless it was interrupted."""

    subject: Subject
    seed: int
    backend: str = ""  # what it calls itself
    findings: dict[str, Finding] = {}
    tallies: dict[str, Tally] = {}
    unsupported: dict[str, str] = {}
    doubts: list[str] = []
    broken: list[str] = []
    complete: bool = True

    @property
    def inputs(self) -> int:
        """How many inputs were tried."""
        return sum(tally.inputs for tally in self.tallies.values())


def tasks(
    subject: Subject, pairs: list[tuple[str, str]], seed: int, done: Callable[[str, str], bool]
) -> Iterator[Task]:
    """Tasks for these operations and dtypes in a drawn order, round after round, ever larger."""
    order = list(pairs)
    random.Random(seed).shuffle(order)
    turn = 0
    while not all(done(*pair) for pair in order):
        for name, dtype in order:
            if not done(name, dtype):
                key = f"{seed} {name} {dtype} {turn}".encode()
                yield Task(subject, name, dtype, zlib.crc32(key), min(8 << turn, 64))
        turn += 1


def run(
    campaign: Campaign,
    pairs: list[tuple[str, str]],
    *,
    seconds: float,
    executor: Executor | None = None,
    in_flight: int | None = None,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Campaign:
    """Fuzz for so many seconds, into `campaign`; an interrupt ends it early and loses nothing.

    `pairs` are (operation, dtype). Of the executor only `submit` and `shutdown` are used;
    `in_flight` tasks are with it at a time, two for each core unless given.
    """
    if executor is None:
        executor, in_flight = Inline(), 1
    else:
        # a pool may fork, and a backend's process answers only the one that started it
        close_processes()
    most = in_flight or 2 * (getattr(executor, "_max_workers", None) or os.cpu_count() or 1)
    until = time.monotonic() + seconds

    def done(name: str, dtype: str) -> bool:
        return f"{name} {dtype}" in campaign.findings or f"{name} {dtype}" in campaign.unsupported

    waiting: set[Future[Outcome]] = set()
    again: list[Task] = []
    fresh = tasks(campaign.subject, pairs, campaign.seed, done)
    interrupted, restore = listen()
    try:
        while not interrupted.is_set():
            while len(waiting) < most:
                if again:
                    task = again.pop()
                elif time.monotonic() < until:
                    drawn = next(fresh, None)
                    if drawn is None:
                        break
                    left = max(0.5, min(TASK_SECONDS, until - time.monotonic()))
                    task = msgspec.structs.replace(drawn, seconds=left)
                else:
                    break
                waiting.add(executor.submit(work, task))
            if not waiting:
                break
            # a wait without a limit would keep an interrupt waiting
            ended, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in ended:
                outcome = _collect(campaign, future)
                if outcome is None:
                    continue
                if outcome.finding is not None and not outcome.task.shrink:
                    again.append(
                        msgspec.structs.replace(
                            outcome.task, shrink=True, seconds=SHRINK_SECONDS + TASK_SECONDS
                        )
                    )
                on_outcome(outcome)
            if len(campaign.broken) > MOST_LOST:
                campaign.complete = False
                break
        campaign.complete = campaign.complete and not interrupted.is_set()
    except KeyboardInterrupt:
        campaign.complete = False
    except BrokenExecutor as error:
        campaign.broken.append(f"the executor broke down: {error}")
        campaign.complete = False
    finally:
        restore()
        for future in waiting:
            future.cancel()
        executor.shutdown(wait=campaign.complete)
    return campaign


def listen() -> tuple[threading.Event, Callable[[], None]]:
    """An event that an interrupt sets besides raising, and the call that ends the listening.

    An interrupt that arrives in a callback of C code is printed and forgotten by Python; the event
    still tells.
    """
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        return interrupted, lambda: None

    def on_interrupt(number: int, frame: object) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, on_interrupt)

    def restore() -> None:
        signal.signal(signal.SIGINT, before)

    return interrupted, restore


def _collect(campaign: Campaign, future: "Future[Outcome]") -> Outcome | None:
    try:
        outcome = future.result()
    except ProcessRefusedError:
        raise
    except (Exception, CancelledError) as error:
        campaign.broken.append(f"a task was lost: {type(error).__name__}: {error}")
        return None
    key = f"{outcome.task.operation} {outcome.task.dtype}"
    if outcome.refused and outcome.refused + outcome.undecided == outcome.inputs:
        campaign.unsupported[key] = outcome.unsupported
    campaign.doubts.extend(d for d in outcome.doubts if d not in campaign.doubts)
    if not outcome.task.shrink:
        tally = campaign.tallies.setdefault(outcome.task.operation, Tally())
        tally.inputs += outcome.inputs
        tally.undecided += outcome.undecided
        tally.seconds += outcome.seconds
    if outcome.finding is not None:
        known = campaign.findings.get(key)
        if known is None or known.case.id == outcome.finding.case.id:
            campaign.findings[key] = outcome.finding
        else:
            # another task came first; one counter-example for each operation and dtype is enough
            outcome.finding = None
    return outcome


def pairs_of(
    hello: Hello, operations: Iterable[Operation], dtypes: Iterable[str]
) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """(operation, dtype) pairs that the backend has, and why some of them cannot be drawn."""
    had = [o for o in operations if o.name in hello.operations]
    refused = {o.name: words for o in had if (words := refusal(o)) is not None}
    kinds = [dtype for dtype in dtypes if dtype in hello.dtypes]
    return [(o.name, kind) for o in had if o.name not in refused for kind in kinds], refused


def load_executor(name: str) -> Executor:
    """The executor that the callable `module:callable` returns; raises SuiteError."""
    module_name, _, attribute = name.partition(":")
    if not attribute:
        raise SuiteError(
            f"--executor {name}: wants module:callable, such as"
            " concurrent.futures:ProcessPoolExecutor"
        )
    try:
        made = getattr(importlib.import_module(module_name), attribute)()
    except ModuleNotFoundError as error:
        hint = (
            "; install it with: pip install 'nnspec[dask]'"
            if error.name in ("dask", "distributed")
            else ""
        )
        raise SuiteError(f"--executor {name}: there is no module '{error.name}'{hint}") from None
    except Exception as error:
        raise SuiteError(f"--executor {name}: {type(error).__name__}: {error}") from None
    if not callable(getattr(made, "submit", None)):
        raise SuiteError(f"--executor {name}: returned a {type(made).__name__} without 'submit'")
    executor: Executor = made
    return executor


def seconds_of(text: str) -> float:
    """60s, 5m, 1.5h or plain seconds; raises SuiteError."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e9:
        raise SuiteError(f"--time {text}: wants a duration such as 60s, 5m or 2h")
    return seconds


def write(finding: Finding, folder: Path) -> Path:
    """The finding's case as a vector file of its own; returns where."""
    # imported here: the builder needs more packages than a campaign
    from nnspec.conformance.builder import render

    path = folder / finding.name
    file = VectorFile(suite="nnspec", format=1, operation=finding.operation, cases=[finding.case])
    path.write_text(render(file), encoding="utf-8")
    return path


def snippet(finding: Finding, subject: Subject) -> str:
    """A Python program that shows the fault and ends with status 1 while it is there."""
    needed, made = subject.source()
    operation = spec().operations[finding.operation]
    vector = unpack(finding.case, operation, finding.case.id)
    lines = [
        f"# {finding.operation} in {finding.case.dtype}, {finding.verdict}: {finding.reason}",
        "import numpy as np",
        "",
        needed,
        "from nnspec.conformance.worker import call",
        "from nnspec.spec.loader import spec",
        "",
        f"arguments = {keywords(vector.arguments)}",
        f"got = call({made}, spec().operations[{finding.operation!r}], arguments)",
    ]
    if vector.outputs:
        lines += [
            f"truth = {keywords(vector.outputs)}",
            f"sigma = {keywords(vector.sigma)}",
            "for name in truth:",
            "    print(name, got[name], 'for', truth[name])",
            f"    assert (abs(got[name] - truth[name]) <= {K:g} * sigma[name]).all(), name",
        ]
    return "\n".join(lines) + "\n"
