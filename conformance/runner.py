"""Runs a backend over the suite: in processes of its own, or in this one for a Python object."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from nnspec.conformance import suite as suite_module
from nnspec.conformance.process import BackendGoneError, BackendProcess, ProcessRefusedError
from nnspec.conformance.protocol import Hello, Reply, Request
from nnspec.conformance.suite import Vector, select
from nnspec.conformance.verdict import Result, judge, result
from nnspec.conformance.worker import answer, greet
from nnspec.reference.array import Array

# a first call may compile; a case on its own takes milliseconds
CASE_SECONDS = 120.0

OnResult = Callable[[Result], None]
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


def worker_command(backend: str) -> list[str]:
    """The command that serves a Python backend."""
    # -P: no file of the user's folder may stand in for a module of Python or of a framework
    return [sys.executable, "-P", "-m", "nnspec.conformance.worker", backend]


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
    if reply.unsupported is not None:
        return result(vector, "unsupported", reply.unsupported, seconds), {}
    if reply.error is not None:
        return result(vector, "error", reply.error, seconds), {}
    if reply.outputs is None:
        return result(vector, "error", "the reply has neither outputs nor a reason", seconds), {}
    try:
        arrays = {name: data.array() for name, data in reply.outputs.items()}
    except ValueError as error:
        return result(vector, "error", f"the reply cannot be read: {error}", seconds), {}
    return judge(vector, arrays, seconds), arrays


def ask(process: BackendProcess, hello: Hello, vector: Vector) -> Answer:
    """The verdict on one case from a backend's process, which is started again if it is gone."""
    ruled_out = missing(hello, vector)
    if ruled_out is not None:
        return result(vector, "unsupported", ruled_out), {}
    begin = time.monotonic()
    try:
        if process.process is None:
            process.start(CASE_SECONDS)
        reply = process.ask(request(vector), CASE_SECONDS)
    except TimeoutError as error:
        return result(vector, "timeout", str(error), time.monotonic() - begin), {}
    except (BackendGoneError, ProcessRefusedError) as error:
        reason = f"the backend's process {error}"
        return result(vector, "crash", reason, time.monotonic() - begin), {}
    return verdict_of(vector, reply, time.monotonic() - begin)


def run_command(
    command: list[str],
    vectors: list[Vector],
    *,
    jobs: int = 1,
    on_result: OnResult = lambda found: None,
) -> Run:
    """Run the vectors against processes of this command, and keep whatever was obtained.

    Raises ProcessRefusedError where the first process does not come up. After an interrupt the run
    holds the results so far and says that it is not complete.
    """
    first = BackendProcess(command)
    hello = first.start(CASE_SECONDS)
    waiting = deque(enumerate(vectors))
    results: dict[int, Result] = {}
    failing: dict[int, tuple[Vector, dict[str, Array]]] = {}
    lock = threading.Lock()
    stop = threading.Event()

    def work(process: BackendProcess) -> None:
        try:
            while not stop.is_set():
                with lock:
                    if not waiting:
                        return
                    index, vector = waiting.popleft()
                found, outputs = ask(process, hello, vector)
                if stop.is_set():
                    return
                with lock:
                    results[index] = found
                    if found.verdict == "fail":
                        failing[index] = vector, outputs
                    on_result(found)
        finally:
            process.close()

    processes = [first, *(BackendProcess(command) for _ in range(jobs - 1))]
    threads = [threading.Thread(target=work, args=(p,), daemon=True) for p in processes]
    for thread in threads:
        thread.start()
    complete = True
    try:
        for thread in threads:
            # a join without a limit would keep an interrupt waiting
            while thread.is_alive():
                thread.join(0.2)
    except KeyboardInterrupt:
        complete = False
        stop.set()
        for process in processes:
            if process.process is not None:
                process.process.kill()
        for thread in threads:
            thread.join(5)
    ordered = [results[index] for index in sorted(results)]
    diagnoses = explain([failing[index] for index in sorted(failing)])
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
