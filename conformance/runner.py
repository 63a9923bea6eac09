"""Runs a backend over the suite: in processes of its own, or in this one for a Python object."""

import shlex
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from nnspec.conformance import suite as suite_module
from nnspec.conformance.deviations import Deviation, applied
from nnspec.conformance.process import (
    BackendGoneError,
    BackendProcess,
    Limits,
    OutOfTurnError,
    ProcessRefusedError,
)
from nnspec.conformance.protocol import Hello, Reply, Request
from nnspec.conformance.suite import Vector, one_line, select
from nnspec.conformance.verdict import Result, judge, result
from nnspec.conformance.worker import answer, greet
from nnspec.reference.array import Array
from nnspec.spec.loader import spec

# larger outputs of a failing case are not kept with its verdict
MOST_KEPT = 20_000

OnResult = Callable[[Result], None]
OnHello = Callable[[Hello], Mapping[str, Result]]
Answer = tuple[Result, dict[str, Array]]


class Run(msgspec.Struct):
    """The verdicts of one backend, in the order of the suite, and what explains the failures."""

    backend: str
    version: str
    results: list[Result]
    damaged: list[str]
    complete: bool = True
    diagnoses: list[str] = []

    def count(self, *verdicts: str) -> int:
        """How many cases have one of these verdicts."""
        return sum(found.verdict in verdicts for found in self.results)


def worker_command(backend: str, device: str | None = None) -> list[str]:
    """The command that serves a Python backend."""
    # -P: no file of the user's folder may stand in for a module of Python or of a framework
    options = [] if device is None else ["--device", device]
    return [sys.executable, "-P", "-m", "nnspec.conformance.worker", *options, backend]


def command_of(backend: str | None, program: str | None, device: str | None = None) -> list[str]:
    """The command of a Python backend or of a program; raises ProcessRefusedError."""
    if program is None:
        if backend is None:
            raise ProcessRefusedError('name a BACKEND, or a program with --exec "COMMAND"')
        return worker_command(backend, device)
    if device is not None:
        raise ProcessRefusedError("--device is for backends in Python; name it in --exec's COMMAND")
    if backend is not None:
        raise ProcessRefusedError(f"'{backend}' and --exec exclude each other; leave one out")
    try:
        words = shlex.split(program)
    except ValueError as error:
        raise ProcessRefusedError(f"--exec {program}: {str(error).lower()}") from None
    if not words:
        raise ProcessRefusedError('--exec wants a command, such as --exec "node my_backend.js"')
    return words


def missing(hello: Hello, vector: Vector) -> str | None:
    """Why the backend's hello already rules a case out, or None."""
    operation = vector.operation
    if operation.name not in hello.operations:
        for key in (operation.name, operation.base, operation.topic):
            if key in hello.unsupported:
                return hello.unsupported[key]
        if operation.name != operation.base and "vjp" in hello.unsupported:
            return hello.unsupported["vjp"]
        return f"{hello.backend} has no {operation.function}"
    if vector.case.dtype not in hello.dtypes:
        return f"{hello.backend} does not take {vector.case.dtype}"
    return None


def request(vector: Vector) -> Request:
    """The case as a message."""
    case = vector.case
    return Request(case.id, vector.operation.name, dict(case.attributes), case.inputs)


def verdict_of(vector: Vector, reply: Reply, seconds: float) -> Answer:
    """The verdict on a reply."""
    given = [reply.outputs, reply.unsupported, reply.error]
    if sum(part is not None for part in given) != 1:
        reason = "the reply has not exactly one of outputs, unsupported and error"
        return result(vector, "error", reason, seconds), {}
    if reply.unsupported is not None:
        reason = one_line(reply.unsupported) or "without a reason"
        if reply.url:
            reason += f" ({one_line(reply.url)})"
        return result(vector, "unsupported", reason, seconds), {}
    if reply.error is not None:
        return result(vector, "error", one_line(reply.error) or "without a reason", seconds), {}
    assert reply.outputs is not None
    for name in reply.outputs:
        if name not in vector.operation.outputs:
            reason = f"'{one_line(name, 60)}' is no output of {vector.operation.name}"
            return result(vector, "fail", reason, seconds), {}
    try:
        arrays = {name: data.array() for name, data in reply.outputs.items()}
    except ValueError as error:
        return result(vector, "error", f"the reply cannot be read: {error}", seconds), {}
    dtypes = {name: data.dtype for name, data in reply.outputs.items()}
    found = judge(vector, arrays, seconds, dtypes)
    if found.verdict == "fail" and sum(a.size for a in arrays.values()) <= MOST_KEPT:
        found = msgspec.structs.replace(found, outputs=reply.outputs)
    return found, arrays


def ask(
    process: BackendProcess,
    hello: Hello,
    vector: Vector,
    on_left_over: Callable[[str], None] = lambda reason: None,
) -> Answer:
    """The verdict on one case from a backend's process, which is started again if it is gone.

    What may be left over from the case before, such as a second answer to it, is this case's own
    only if it comes again from a process that was asked nothing else; if not, `on_left_over` is
    told.
    """
    ruled_out = missing(hello, vector)
    if ruled_out is not None:
        return result(vector, "unsupported", ruled_out), {}
    begin = time.monotonic()
    try:
        if process.process is None:
            process.start()
        begin = time.monotonic()
        fresh = process.fresh
        try:
            reply = process.ask(request(vector))
        except OutOfTurnError as met:
            if fresh:
                raise
            process.start()
            begin = time.monotonic()
            reply = process.ask(request(vector))
            on_left_over(str(met))
    except TimeoutError as error:
        return result(vector, "timeout", str(error), time.monotonic() - begin), {}
    except (BackendGoneError, ProcessRefusedError) as error:
        reason = f"the backend's process {error}"
        return result(vector, "crash", reason, time.monotonic() - begin), {}
    return verdict_of(vector, reply, time.monotonic() - begin)


def result_of(vector: Vector, found: Result) -> Result:
    """The verdict with all that the vector says of its case."""
    blank = result(vector, found.verdict, found.reason)
    named = ("case", "operation", "clauses", "dtype")
    return msgspec.structs.replace(found, **{name: getattr(blank, name) for name in named})


def blamed(found: Result, left_over: str) -> Result:
    """The verdict on a case after whose answer something came that belongs to no other case."""
    if found.verdict not in ("pass", "unsupported"):
        return found
    reason = f"the backend's process, after its answer, {left_over}"
    return msgspec.structs.replace(found, verdict="crash", reason=reason)


def run_command(
    command: list[str],
    vectors: list[Vector],
    *,
    jobs: int = 1,
    limits: Limits | None = None,
    keep_stderr: Callable[[bytes], None] = lambda chunk: None,
    on_hello: OnHello = lambda hello: {},
    on_result: OnResult = lambda found: None,
    deviations: Mapping[str, Deviation] | None = None,
) -> Run:
    """Run the vectors against processes of this command, and keep whatever was obtained.

    `on_hello` returns the verdicts that are there already, by case, and may refuse the backend by
    raising. A case whose verdict changes, because of what its backend did after the answer, comes
    to `on_result` again. Raises ProcessRefusedError where the first process does not come up. After
    an interrupt the run holds the results so far and says that it is not complete.
    """
    first = BackendProcess(command, limits, keep_stderr)
    hello = first.start()
    known = deviations or {}
    results: dict[int, Result] = {}
    failing: dict[int, tuple[Vector, dict[str, Array]]] = {}
    waiting: deque[tuple[int, Vector]] = deque()
    try:
        # a list that is empty is a backend's first day; one of unknown names is a mistake
        if hello.operations and not any(name in spec().operations for name in hello.operations):
            raise ProcessRefusedError(
                f"'{hello.backend}' has no operation of the spec; its hello names operations such"
                " as 'gru_step' or 'gru_step.vjp' (see 'nnspec list operations')"
            )
        kept = on_hello(hello)
    except BaseException:
        first.close()
        raise
    for index, vector in enumerate(vectors):
        found = kept.get(vector.id)
        try:
            if found is None or found != result_of(vector, found):
                raise ValueError
            if found.verdict == "fail" and found.outputs is not None:
                failing[index] = vector, {n: data.array() for n, data in found.outputs.items()}
        except ValueError:
            waiting.append((index, vector))
            continue
        results[index] = found
    lock = threading.Lock()
    stop = threading.Event()
    broken: list[BaseException] = []

    def record(index: int, vector: Vector, found: Result, outputs: dict[str, Array]) -> None:
        with lock:
            results[index] = found
            if found.verdict == "fail":
                failing[index] = vector, outputs
            on_result(found)

    def work(process: BackendProcess, take: Callable[[], tuple[int, Vector]]) -> None:
        last: tuple[int, Vector] | None = None

        def blame(left_over: str) -> None:
            if last is not None and blamed(results[last[0]], left_over) != results[last[0]]:
                record(*last, blamed(results[last[0]], left_over), {})

        try:
            while not stop.is_set():
                with lock:
                    if not waiting:
                        break
                    index, vector = take()
                found, outputs = ask(process, hello, vector, blame)
                if stop.is_set():
                    return
                record(index, vector, found, outputs)
                if process.process is not None and process.last_id == vector.id:
                    last = index, vector
            left_over = process.finish()
            if left_over is not None:
                blame(left_over)
        except BaseException as error:
            broken.append(error)
            stop.set()
        finally:
            process.close()

    processes = [first, *(BackendProcess(command, limits, keep_stderr) for _ in range(jobs - 1))]
    # from both ends: a backend that compiles at an operation's first case seldom does so twice
    ends = [waiting.pop if number % 2 else waiting.popleft for number in range(jobs)]
    threads = [
        threading.Thread(target=work, args=each, daemon=True)
        for each in zip(processes, ends, strict=True)
    ]
    complete = True
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            # a join without a limit would keep an interrupt waiting
            while thread.is_alive():
                thread.join(0.2)
    except KeyboardInterrupt:
        complete = False
        stop.set()
        for process in processes:
            running = process.process
            if running is not None:
                running.kill()
        for thread in threads:
            if thread.is_alive():  # not every one needs to have begun
                thread.join(5)
    if broken:
        raise broken[0]
    ordered = [applied(results[index], known) for index in sorted(results)]
    unknown = [failing[index] for index in sorted(failing) if failing[index][0].id not in known]
    # who interrupts a run does not wait for an explanation
    diagnoses = explain(unknown) if complete else []
    return Run(hello.backend, hello.version, ordered, [], complete, diagnoses)


def explain(failing: list[tuple[Vector, dict[str, Array]]]) -> list[str]:
    """A sentence for each topic whose failing cases a known fault explains."""
    if not failing:
        return []
    # imported here: a run without failures does not pay for the mutants
    from nnspec.conformance.diagnosis import diagnose

    return [found.sentence() for found in diagnose(failing)]


def run_object(backend: Any, vectors: Iterable[Vector]) -> Run:
    """Run the vectors against a Python object in this process; a crash of it is a crash of both."""
    name = getattr(backend, "__name__", type(backend).__name__)
    hello = greet(backend, name)
    results, failing = [], []
    for vector in vectors:
        ruled_out = missing(hello, vector)
        if ruled_out is not None:
            results.append(result(vector, "unsupported", ruled_out))
            continue
        begin = time.monotonic()
        reply = answer(backend, request(vector))
        found, outputs = verdict_of(vector, reply, time.monotonic() - begin)
        results.append(found)
        if found.verdict == "fail":
            failing.append((vector, outputs))
    return Run(hello.backend, hello.version, results, [], diagnoses=explain(failing))


def run(
    backend: Any,
    *,
    only: Iterable[str] = (),
    dtype: str | None = None,
    jobs: int = 1,
) -> Run:
    """Run the suite: `run("onnxruntime")` in processes, `run(my_module)` in this one.

    `only` names topics, clauses, operations or cases; `dtype` is "float32" or "float64".
    Raises SuiteError for a name that does not exist, BackendError or ProcessRefusedError for a
    backend that cannot be used.
    """
    loaded = suite_module.suite()
    vectors = select(loaded.vectors, only, dtype)
    if isinstance(backend, str):
        done = run_command(worker_command(backend), vectors, jobs=jobs)
    else:
        done = run_object(backend, vectors)
    done.damaged = loaded.damaged
    return done
