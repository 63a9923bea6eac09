"""Faults of a backend cost their own case alone, each with one clear sentence."""

import sys
from pathlib import Path

import numpy as np
import pytest

from nnspec.conformance import run
from nnspec.conformance.backends import BackendError
from nnspec.conformance.process import BackendProcess, Limits, ProcessRefusedError
from nnspec.conformance.runner import Run, run_command, worker_command
from nnspec.conformance.suite import WIDE_DTYPES, SuiteError, select, suite
from nnspec.conformance.verdict import Result, judge

FILE = str(Path(__file__).with_name("backends_for_tests.py"))


def run_fault(
    name: str, operation: str = "sigmoid", jobs: int = 1, limits: Limits | None = None
) -> Run:
    vectors = [v for v in select(suite().vectors, [operation]) if v.case.dtype in WIDE_DTYPES]
    return run_command(worker_command(f"{FILE}:{name}"), vectors, jobs=jobs, limits=limits)


def by_case(done: Run) -> dict[str, Result]:
    return {found.case: found for found in done.results}


def test_an_honest_backend_passes_and_the_rest_is_unsupported() -> None:
    done = run_fault("Honest")
    assert done.count("pass") == done.count("pass", "fail")
    assert done.count("pass") > 10
    reasons = {found.reason for found in done.results if found.verdict == "unsupported"}
    assert reasons == {f"{FILE}:Honest has no sigmoid_vjp"}


def test_a_raising_operation_is_an_error_in_one_line() -> None:
    found = by_case(run_fault("Raises"))
    assert found["sigmoid-plain-f32"].verdict == "error"
    reason = found["sigmoid-plain-f32"].reason
    assert reason.startswith("RuntimeError: three axes are too many at ")
    assert "\n" not in reason
    assert found["sigmoid-moderate-f32"].verdict == "pass"


@pytest.mark.parametrize(
    ("fault", "verdict", "reason"),
    [
        ("WrongShape", "fail", "output 'y' has shape (24,), wanted (2, 3, 4)"),
        ("WrongDtype", "fail", "output 'y' has dtype float64, wanted float32"),
        ("NoArray", "error", "ValueError: output 'y' is a str, not an array of numbers"),
        ("ChangesInput", "error", "ValueError: sigmoid changed its input 'x' in place"),
    ],
)
def test_a_wrong_answer_is_named(fault: str, verdict: str, reason: str) -> None:
    found = by_case(run_fault(fault))["sigmoid-plain-f32"]
    assert found.verdict == verdict
    assert found.reason.startswith(reason)


def test_nan_where_none_is_due_fails_with_its_place() -> None:
    found = by_case(run_fault("GivesNan"))["sigmoid-extremes-f32"]
    assert found.verdict == "fail"
    assert found.reason.startswith("y[0] is nan, where the truth is 1.0")


@pytest.mark.parametrize(
    ("fault", "words"),
    [("Dies", "was killed by SIGABRT"), ("Leaves", "exited with status 0")],
)
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_dead_process_costs_one_case(fault: str, words: str, jobs: int) -> None:
    done = run_fault(fault, jobs=jobs)
    found = by_case(done)
    assert found["sigmoid-empty-f32"].verdict == "crash"
    assert words in found["sigmoid-empty-f32"].reason
    assert done.count("crash") == 2
    assert done.count("pass") == by_case_count("Honest") - 2


def by_case_count(name: str) -> int:
    return run_fault(name).count("pass")


def test_a_silent_process_is_a_timeout() -> None:
    done = run_fault("Sleeps", limits=Limits(seconds=1))
    assert done.count("timeout") == 2
    assert by_case(done)["sigmoid-empty-f32"].reason == "no answer within 1 s"
    assert done.count("pass") > 10


def test_what_a_backend_prints_cannot_spoil_an_answer() -> None:
    assert run_fault("Prints").count("pass") == by_case_count("Honest")


def test_arguments_go_by_name_and_missing_biases_are_unsupported() -> None:
    found = by_case(run_fault("NoBias", "gru_step"))
    plain = [f for f in found.values() if not f.operation.endswith(".vjp")]
    assert {f.verdict for f in plain} == {"pass", "unsupported"}
    assert {f.reason for f in plain if f.verdict == "unsupported"} <= {
        f"gru_step has no parameter '{name}'" for name in ("b", "b_z", "b_r")
    }


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no_such_backend", "no backend 'no_such_backend': it is neither one that ships"),
        ("json", "backend 'json' has no operation of the spec"),
        ("no/such/file.py", "backend 'no/such/file.py': there is no such file"),
        (f"{FILE}:Nobody", "module"),
        (f"{FILE}:Empty", "has no operation of the spec"),
    ],
)
def test_a_backend_that_cannot_be_loaded_is_one_sentence(name: str, sentence: str) -> None:
    with pytest.raises(ProcessRefusedError) as refusal:
        run(name, only=["sigmoid"])
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_backend_without_operations_yet_is_unsupported_throughout() -> None:
    done = run_fault("FirstDay")
    assert done.count("unsupported") == len(done.results) > 10
    assert "not written yet" in {found.reason for found in done.results}


def test_a_module_that_raises_when_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNSPEC_TEST", "nnspec_test_broken_import")
    with pytest.raises(ProcessRefusedError, match="raised SystemExit: this module"):
        run(FILE, only=["sigmoid"])


def test_an_unknown_clause_is_refused_before_anything_runs() -> None:
    with pytest.raises(SuiteError, match=r"'gru.nothing' is no topic, clause, operation or case"):
        run("reference", only=["gru.nothing"])


def test_a_python_object_runs_in_this_process() -> None:
    class Mine:
        @staticmethod
        def tanh(x: object) -> object:
            return __import__("numpy").tanh(x)

    done = run(Mine(), only=["primitives.tanh"], dtype="float64")
    assert done.backend == "Mine"
    assert done.count("pass") > 5
    with pytest.raises(BackendError, match="has no operation of the spec"):
        run(object(), only=["primitives.tanh"])


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("print('hi')", "began with a line that is no hello"),
        ("", "exited with status 0"),
        ("import sys; sys.exit('out of luck')", "exited with status 1; it last said: out of luck"),
        ('print(\'{"hello": "nnspec", "protocol": 9, "backend": "x"}\')', "protocol 9"),
    ],
)
def test_a_program_that_is_no_backend_is_refused(script: str, sentence: str) -> None:
    process = BackendProcess([sys.executable, "-c", script])
    with pytest.raises(ProcessRefusedError) as refusal:
        process.start(20)
    assert sentence in str(refusal.value)
    process.close()


def test_a_command_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ProcessRefusedError, match="cannot start 'no-such-program'"):
        BackendProcess(["no-such-program"]).start(5)


def test_only_a_result_that_is_no_zero_counts_as_flushed() -> None:
    (vector,) = select(suite().vectors, ["sigmoid-negative-tail-f32"])
    (truth,) = vector.outputs.values()
    rounded = truth.astype(np.float32)
    assert (rounded == 0).any()
    tiny = np.finfo(np.float32).tiny
    flushed = np.where(np.abs(rounded) < tiny, np.float32(0), rounded)
    lost = int((flushed != rounded).sum())
    assert lost
    for got, count in ((rounded, 0), (flushed, lost)):
        found = judge(vector, dict.fromkeys(vector.outputs, got))
        assert (found.verdict, found.flushed) == ("pass", count)
