"""A planted fault is found and shrunk; an honest backend yields nothing; no result is lost."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nnspec.conformance import fuzz
from nnspec.conformance.cli import main
from nnspec.conformance.program import Subject
from nnspec.conformance.strategies import refusal
from nnspec.conformance.suite import SuiteError, read_file
from nnspec.spec.loader import spec

FILE = str(Path(__file__).with_name("faulty_for_tests.py"))


def nnspec(*words: str) -> Result:
    return CliRunner().invoke(main, ["fuzz", *words])


@pytest.mark.parametrize(("fault", "elements"), [("Clamped", 1), ("NoMaximum", 2), ("Dies", 1)])
def test_a_fault_is_found_and_shrunk(fault: str, elements: int, tmp_path: Path) -> None:
    name = f"{FILE}:{fault}"
    done = nnspec(name, "--time", "3s", "--dtype", "f32", "--seed", "3", "--report", str(tmp_path))
    assert done.exit_code == 1, done.output
    (path,) = tmp_path.glob("*.json")
    (case,) = read_file(path).cases
    assert len(case.inputs["x"].data) <= elements
    assert case.note.startswith("crash" if fault == "Dies" else "fail")
    program = path.with_suffix(".py")
    assert program.read_text() in done.output
    shown = subprocess.run([sys.executable, str(program)], capture_output=True, check=False)
    assert shown.returncode != 0


def test_a_program_that_speaks_the_protocol_is_fuzzed_too(tmp_path: Path) -> None:
    program = f"{sys.executable} -m nnspec.conformance.worker {FILE}:Clamped"
    words = "--time", "3s", "--dtype", "f32", "--seed", "3", "--report", str(tmp_path)
    done = nnspec("--exec", program, *words)
    assert done.exit_code == 1, done.output
    (path,) = tmp_path.glob("*.py")
    assert "Program(" in path.read_text()
    shown = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert shown.returncode == 1
    assert "AssertionError" in shown.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("reference", "--exec", "true"), "'reference' and --exec exclude each other"),
        ((), "name a BACKEND, or a program with --exec"),
    ],
)
def test_a_backend_or_a_program(words: tuple[str, ...], sentence: str) -> None:
    done = nnspec(*words)
    assert done.exit_code == 2
    assert sentence in done.output


def test_the_same_seed_finds_the_same() -> None:
    task = fuzz.Task(Subject(f"{FILE}:Clamped"), "sigmoid", "float32", 7, 40)
    first, second = fuzz.work(task), fuzz.work(task)
    assert first.finding is not None
    assert first.finding == second.finding
    assert first.inputs == second.inputs


def test_an_honest_backend_yields_nothing() -> None:
    done = nnspec(f"{FILE}:Honest", "--time", "3s", "--seed", "1")
    assert done.exit_code == 0, done.output
    assert "gru" in done.output


def test_every_operation_can_be_drawn_or_says_why_not() -> None:
    for operation in spec().operations.values():
        assert refusal(operation) is None, refusal(operation)


def test_an_interrupt_keeps_what_was_found(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from nnspec.conformance.cli import main; main()"),
            *("fuzz", f"{FILE}:Clamped", "--time", "100s", "--seed", "3"),
            *("--report", str(tmp_path)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 30
    while not list(tmp_path.glob("*.json")) and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1, err
    assert "import numpy as np" in out
    assert "Traceback" not in err
    assert list(tmp_path.glob("sigmoid-fuzz-*.json"))


# a fork of the tests' own process would copy the threads of whatever framework was imported
SPAWN = multiprocessing.get_context("spawn")


class Counting(ProcessPoolExecutor):
    """A pool that counts what it is given."""

    submitted = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        type(self).submitted += 1
        return super().submit(fn, *args, **kwargs)


def test_a_process_pool_does_the_work() -> None:
    campaign = fuzz.Campaign(Subject(f"{FILE}:Clamped"), 3)
    pairs = [("sigmoid", "float32"), ("sigmoid", "float64")]
    fuzz.run(campaign, pairs, seconds=10, executor=Counting(2, mp_context=SPAWN))
    assert Counting.submitted >= 4
    assert not campaign.broken
    assert {finding.shrunk for finding in campaign.findings.values()} == {True}
    assert len(campaign.findings) == 2


def test_the_command_takes_a_pool() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from nnspec.conformance.cli import main; main()"),
            *("fuzz", f"{FILE}:Honest", "--time", "3s", "--only", "sigmoid"),
            *("--executor", "concurrent.futures:ProcessPoolExecutor"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "doubt" not in done.stdout


def test_an_executor_that_loses_its_tasks_is_named_and_left() -> None:
    campaign = fuzz.Campaign(Subject(f"{FILE}:Honest"), 3)
    pool = ProcessPoolExecutor(1, mp_context=SPAWN)
    pool.submit(os._exit, 1)
    fuzz.run(campaign, [("sigmoid", "float32")], seconds=20, executor=pool)
    assert not campaign.complete
    assert campaign.broken


def test_dask_does_the_work() -> None:
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    )
    with cluster, distributed.Client(cluster) as client:
        campaign = fuzz.Campaign(Subject(f"{FILE}:Clamped"), 3)
        pairs = [("sigmoid", "float32"), ("sigmoid", "float64")]
        fuzz.run(campaign, pairs, seconds=10, executor=client.get_executor(), in_flight=2)
    assert not campaign.broken
    assert len(campaign.findings) == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["reference", "--time", "soon"], "--time soon: wants a duration such as 60s"),
        (["reference", "--executor", "pool"], "--executor pool: wants module:callable"),
        (["reference", "--executor", "no_such:pool"], "there is no module 'no_such'"),
        (["reference", "--executor", "os:getcwd"], "returned a str without 'submit'"),
        (["reference", "--only", "nothing"], "'nothing' is no topic, clause or operation"),
        (["no_such"], "no backend 'no_such'"),
    ],
)
def test_a_usage_error_is_one_sentence_and_status_2(words: list[str], sentence: str) -> None:
    done = nnspec(*words)
    assert done.exit_code == 2, done.output
    assert sentence in done.output
    assert "Traceback" not in done.output


def test_a_missing_package_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nnspec.conformance.fuzz", None)
    done = nnspec("reference")
    assert done.exit_code == 2
    assert "pip install 'nnspec[fuzz]'" in done.output


@pytest.mark.parametrize(("text", "seconds"), [("60s", 60), ("5m", 300), ("1.5h", 5400), ("7", 7)])
def test_durations(text: str, seconds: float) -> None:
    assert fuzz.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "nan", "inf", "0"])
def test_no_durations(text: str) -> None:
    with pytest.raises(SuiteError):
        fuzz.seconds_of(text)


def test_a_finding_is_json_that_any_language_reads(tmp_path: Path) -> None:
    task = fuzz.Task(Subject(f"{FILE}:Clamped"), "sigmoid", "float32", 7, 40, shrink=True)
    outcome = fuzz.work(task)
    assert outcome.finding is not None
    path = fuzz.write(outcome.finding, tmp_path)
    plain = json.loads(path.read_text())
    assert plain["operation"] == "sigmoid"
    assert plain["cases"][0]["sigma"]["y"]
