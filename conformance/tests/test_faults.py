"""Whatever a program does, its own case alone pays, the cause is said, and nothing hangs."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from nnspec.conformance import process
from nnspec.conformance.cli import main
from nnspec.conformance.journal import MOST_STDERR
from nnspec.conformance.process import BackendProcess, Limits, ProcessRefusedError
from nnspec.conformance.protocol import Request
from nnspec.conformance.runner import run_command, worker_command
from nnspec.conformance.suite import WIDE_DTYPES, ArrayData, Vector, select, suite
from nnspec.conformance.verdict import Result

PROGRAM = Path(__file__).with_name("program_for_tests.py")
BACKENDS = Path(__file__).with_name("backends_for_tests.py")
CASE = "tanh-plain-f64"
# a busy machine must not make a timeout of another fault
LIMITS = Limits(seconds=30, memory=300_000_000)
SHORT = Limits(seconds=1, memory=300_000_000)


def command(fault: str) -> list[str]:
    return [sys.executable, str(PROGRAM), fault]


def cases(operation: str = "tanh") -> list[Vector]:
    vectors = [v for v in select(suite().vectors, [operation]) if v.case.dtype in WIDE_DTYPES]
    return [v for v in vectors if v.operation.name == operation]


def run_program(fault: str, limits: Limits = LIMITS, jobs: int = 1) -> dict[str, Result]:
    done = run_command(command(fault), cases(), limits=limits, jobs=jobs)
    return {found.case: found for found in done.results}


FAULTS = [
    ("segfaults", "crash", "was killed by SIGSEGV"),
    ("exits", "crash", "exited with status 0"),
    ("exits with words", "crash", "exited with status 1; it last said: out of luck"),
    ("sleeps", "timeout", "no answer within 1 s"),
    ("spins", "timeout", "no answer within 1 s"),
    ("late", "timeout", "no answer within 1 s"),
    ("eats", "crash", r"used [\d.]+ [MG]B, more than the 300 MB allowed"),
    ("child eats", "crash", r"used [\d.]+ [MG]B, more than the 300 MB allowed"),
    ("rubbish before", "crash", r"wrote a line that is no reply: 'rubbish \{' \(JSON is malformed"),
    ("rubbish after", "crash", r"after its answer, wrote a line that is no reply: 'rubbish \{'"),
    ("empty line", "crash", "wrote a line that is no reply: ''"),
    ("half a line", "crash", """exited with status 0 in the middle of a line: '{"id": "tanh'"""),
    ("half a line and sleeps", "timeout", "it wrote 12 bytes of a line that does not end"),
    ("twice", "crash", f"after its answer, answered '{CASE}' a second time"),
    ("twice with another", "crash", f"after its answer, answered '{CASE}' a second time"),
    ("another id", "crash", f"answered 'tanh-nobody' when asked '{CASE}'"),
    ("the id before", "crash", f"answered '.*' when asked '{CASE}'"),
    ("wrong shape", "fail", r"output 'y' has shape \(24,\), wanted \(2, 3, 4\)"),
    ("wrong dtype", "fail", "output 'y' has dtype float32, wanted float64"),
    ("nan", "fail", r"y\[0, 0, 0\] is nan, where the truth is"),
    ("no outputs", "fail", "output 'y' is missing"),
    ("one more output", "fail", "'z' is no output of tanh"),
    ("nothing at all", "error", "not exactly one of outputs, unsupported and error"),
    ("outputs and error", "error", "not exactly one of outputs, unsupported and error"),
    ("error", "error", "no\ufffd\\[31m luck"),
    ("huge line", "crash", "wrote a line of more than 64,000,000 bytes"),
    ("nested", "crash", "it is nested too deeply"),
    ("no utf-8", "crash", "it is not UTF-8"),
    ("an array", "crash", "Expected `object`, got `array`"),
    ("1e999", "crash", "Number out of range"),
    ("a long integer", "crash", "Integer value out of range"),
    ("a wide integer", "error", "the reply cannot be read: a number is too large for float64"),
    ("null", "crash", "got `null`"),
    ("negative shape", "error", "no array has the size -1 in its shape"),
    ("overflowing shape", "error", "no array has the size 4611686018427387904 in its shape"),
    ("closes its output", "crash", "closed its output"),
    ("closes its input", "timeout", "no answer within 1 s"),
    ("floods stderr", "crash", "was killed by SIGABRT; it last said: all is lost"),
    ("floods stdout", "crash", "wrote a line that is no reply: 'yyy"),
    ("child lives on, parent dies", "crash", "was killed by SIGABRT"),
    ("child writes", "crash", "wrote a line that is no reply: 'rubbish of a child'"),
    ("answers and exits", "crash", "after its answer, exited with status 3"),
]


def gone(pid: int) -> bool:
    """Whether a process ends within a few seconds; its parent may not have asked for its status."""
    try:
        found = psutil.Process(pid)
        until = time.monotonic() + 5
        while found.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
            time.sleep(0.05)
        return bool(found.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def child_pid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHILD_PID", str(tmp_path / "pid"))
    return tmp_path / "pid"


@pytest.mark.parametrize(("fault", "verdict", "reason"), FAULTS, ids=[f[0] for f in FAULTS])
def test_a_fault_costs_its_own_case(
    fault: str, verdict: str, reason: str, child_pid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "FINISH_SECONDS", 0.5)
    begin = time.monotonic()
    found = run_program(fault, SHORT if verdict == "timeout" else LIMITS)
    assert found[CASE].verdict == verdict, found[CASE].reason
    assert re.search(reason, found[CASE].reason), found[CASE].reason
    assert found[CASE].reason.isprintable()
    others = {f.verdict for case, f in found.items() if case != CASE}
    assert others == {"pass"}
    assert len(found) == len(cases())
    assert time.monotonic() - begin < 20
    if child_pid.exists():
        assert gone(int(child_pid.read_text()))


@pytest.mark.parametrize("fault", ["child lives on", "child leaves"])
def test_a_child_does_not_outlive_the_run(fault: str, child_pid: Path) -> None:
    found = run_program(fault)
    assert {f.verdict for f in found.values()} == {"pass"}
    assert gone(int(child_pid.read_text()))


@pytest.mark.parametrize("fault", ["rubbish after", "twice", "exits", "sleeps"])
def test_two_processes_charge_the_same_case(fault: str) -> None:
    found = run_program(fault, SHORT if fault == "sleeps" else LIMITS, jobs=2)
    assert [case for case, f in found.items() if f.verdict != "pass"] == [CASE]


def test_a_second_answer_to_the_last_case_is_still_heard() -> None:
    last = [v for v in cases() if v.id == CASE]
    done = run_command(command("twice at the end"), last, limits=LIMITS)
    assert done.results[0].verdict == "crash"
    assert done.results[0].reason.endswith(f"after its answer, answered '{CASE}' a second time")


def test_a_program_that_never_reads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SMOKE_SECONDS", 0.5)
    with pytest.raises(ProcessRefusedError, match="did not answer the smoke exchange within"):
        BackendProcess(command("never reads")).start()


def test_a_large_request_to_a_program_that_does_not_read_ends_in_time() -> None:
    backend = BackendProcess(command("stops reading"))
    backend.start()
    large = ArrayData("float64", [1_000_000], [0.1] * 1_000_000)
    begin = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0.5 s"):
        backend.ask(Request("large", "tanh", {}, {"x": large}), 0.5)
    assert time.monotonic() - begin < 5
    assert backend.process is None


def test_a_program_that_does_not_come_up_again_is_given_up() -> None:
    backend = BackendProcess([sys.executable, "-c", "print('hi')"])
    for _ in range(process.MOST_REFUSALS):
        with pytest.raises(ProcessRefusedError, match="no hello: 'hi'"):
            backend.start()
    with pytest.raises(ProcessRefusedError, match="was given up after 3 starts"):
        backend.start()


@pytest.mark.parametrize(
    ("name", "verdict", "reason"),
    [
        ("Segfaults", "crash", "was killed by SIGSEGV"),
        ("Forks", "pass", ""),
        ("Eats", "crash", r"used .*, more than the .* allowed"),
    ],
)
def test_a_python_backend_pays_for_its_own_case(name: str, verdict: str, reason: str) -> None:
    limits = Limits(seconds=30, memory=400_000_000)
    others = set(started_here())  # of other tests, which may keep a backend
    done = run_command(worker_command(f"{BACKENDS}:{name}"), cases("sigmoid"), limits=limits)
    for found in done.results:
        wanted = verdict if found.case.startswith("sigmoid-empty") else "pass"
        assert found.verdict == wanted, found.reason
        if wanted != "pass":
            assert re.search(reason, found.reason), found.reason
    assert all(gone(pid) for pid in started_here() if pid not in others)


def started_here() -> list[int]:
    """The processes that came of a backend which this process started."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):
            mark = psutil.Process(pid).environ().get(process.MARK, "")
            if mark.startswith(f"{os.getpid()}-"):
                found.append(pid)
    return found


def test_the_report_keeps_a_bounded_stderr(tmp_path: Path) -> None:
    words = shlex.join(command("floods stderr"))
    done = CliRunner().invoke(
        main, ["run", "--exec", words, "--only", "tanh", "--report", str(tmp_path)]
    )
    assert done.exit_code == 1, done.output
    kept = (tmp_path / "stderr.txt").read_bytes()
    assert kept.startswith(b"all is lost")
    assert MOST_STDERR < len(kept) < MOST_STDERR + 100


def test_a_python_worker_does_not_outlive_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from nnspec.conformance.process import BackendProcess\n"
        "from nnspec.conformance.runner import request, worker_command\n"
        "from nnspec.conformance.suite import select, suite\n"
        f"backend = BackendProcess(worker_command({f'{BACKENDS}:Sleeps'!r}))\n"
        "backend.start()\n"
        "print(backend.process.pid, flush=True)\n"
        "backend.ask(request(select(suite().vectors, ['sigmoid-empty-f32'])[0]), 600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        worker = int(starter.stdout.readline())
        time.sleep(0.5)
        assert psutil.pid_exists(worker)
        starter.send_signal(signal.SIGKILL)
    assert gone(worker)
