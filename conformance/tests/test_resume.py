"""What a killed run obtained is kept, and the rest is all that remains to do."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nnspec.conformance import journal
from nnspec.conformance.cli import main
from nnspec.conformance.protocol import Hello
from nnspec.conformance.suite import SuiteError, select, suite
from nnspec.conformance.verdict import Result, result

PROGRAM = Path(__file__).with_name("program_for_tests.py")
BACKENDS = Path(__file__).with_name("backends_for_tests.py")
NNSPEC = [sys.executable, "-c", "from nnspec.conformance.cli import main; main()"]
SELECTED = ["run", f"{BACKENDS}:GivesNan", "--only", "sigmoid"]


def nnspec(*words: str) -> Any:
    return CliRunner().invoke(main, list(words))


def report(folder: Path) -> Any:
    """The report without what no two runs have in common."""
    found = json.loads((folder / "report.json").read_text())
    for each in found["results"]:
        each.pop("seconds", None)
    return found


def lines(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_killed_run_resumes_to_the_same_report(tmp_path: Path, jobs: str) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    # a case that sleeps, so that the run is in its midst for certain
    words = ["run", f"{BACKENDS}:SleepsAndGivesNan", "--only", "sigmoid", "--dtype", "f32"]
    words += ["--jobs", jobs]
    with subprocess.Popen([*NNSPEC, *words, "--report", str(killed)]) as running:
        until = time.monotonic() + 60
        while not (killed / "results.jsonl").exists() or len(lines(killed)) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        running.send_signal(signal.SIGKILL)
    before = lines(killed)
    assert len(before) >= 2
    assert not (killed / "report.json").exists()
    short = [*words, "--timeout", "1"]
    assert nnspec(*short, "--report", str(killed), "--resume").exit_code == 1
    assert nnspec(*short, "--report", str(whole)).exit_code == 1
    assert report(killed) == report(whole)
    # what was there is not run again, and stands there once
    assert lines(killed)[: len(before)] == before
    assert len({found["case"] for found in lines(killed)}) == len(lines(killed))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("recorded")
    assert nnspec(*SELECTED, "--report", str(made)).exit_code == 1
    return made


@pytest.fixture
def folder(recorded: Path, tmp_path: Path) -> Path:
    """A finished run's folder, to be changed."""
    return Path(shutil.copytree(recorded, tmp_path / "run"))


def test_a_torn_last_line_is_run_again(folder: Path) -> None:
    before = report(folder)
    log = folder / "results.jsonl"
    log.write_bytes(log.read_bytes()[:-20])
    done = nnspec(*SELECTED, "--report", str(folder), "--resume")
    assert done.exit_code == 1, done.output
    assert report(folder) == before
    assert len(lines(folder)) == len(before["results"])


def test_without_resume_a_run_starts_anew(folder: Path) -> None:
    (folder / "results.jsonl").write_text("rubbish\n")
    assert nnspec(*SELECTED, "--report", str(folder)).exit_code == 1
    assert len(lines(folder)) == len(report(folder)["results"])


def test_resume_in_an_empty_folder_is_a_run(tmp_path: Path) -> None:
    assert nnspec(*SELECTED, "--report", str(tmp_path / "new"), "--resume").exit_code == 1
    assert len(lines(tmp_path / "new")) > 10


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", f"{BACKENDS}:Honest", "--only", "sigmoid"], "with backend"),
        ([*SELECTED[:2], "--only", "tanh"], "with --only sigmoid, this one has tanh"),
        ([*SELECTED, "--dtype", "f32"], "with --dtype none, this one has float32"),
        ([*SELECTED, "--profile", "primitives-f32"], "with --profile none, this one has primi"),
    ],
)
def test_the_results_of_another_run_are_refused(
    folder: Path, words: list[str], sentence: str
) -> None:
    before = (folder / "results.jsonl").read_bytes()
    done = nnspec(*words, "--report", str(folder), "--resume")
    assert done.exit_code == 2
    assert sentence in done.output
    assert "leave out --resume to start anew" in done.output
    assert (folder / "results.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("run.json", b"{", "run.json: cannot be read"),
        ("run.json", b'{"nnspec": 1}', "run.json: cannot be read"),
        ("results.jsonl", b'{"case": 1}\n', "results.jsonl, line 1: cannot be read"),
        ("results.jsonl", b"[" * 100_000 + b"\n", "results.jsonl, line 1: cannot be read"),
        ("results.jsonl", b"\xff\n\n", "results.jsonl, line 1: cannot be read"),
    ],
)
def test_a_damaged_folder_is_one_sentence(
    folder: Path, name: str, content: bytes, sentence: str
) -> None:
    (folder / name).write_bytes(content)
    done = nnspec(*SELECTED, "--report", str(folder), "--resume")
    assert done.exit_code == 2
    assert sentence in done.output


def test_results_without_their_header_are_refused(folder: Path) -> None:
    (folder / "run.json").unlink()
    done = nnspec(*SELECTED, "--report", str(folder), "--resume")
    assert done.exit_code == 2
    assert "has results of no known run" in done.output


HEADER = journal.header(Hello("nnspec", 1, "x"), (), "", "")


def verdicts() -> list[Result]:
    return [result(v, "pass", "") for v in select(suite().vectors, ["tanh"])[:3]]


def test_a_changed_verdict_takes_the_place_of_the_earlier_one(tmp_path: Path) -> None:
    written = journal.Journal(tmp_path, resume=False)
    written.open(HEADER)
    first, second, third = verdicts()
    for found in (first, second):
        written.record(found)
    for changed in (second, first):
        written.record(result_like(changed, "crash"))
    written.record(third)
    written.close()
    assert {found["case"]: found["verdict"] for found in lines(tmp_path)} == {
        first.case: "crash",
        second.case: "crash",
        third.case: "pass",
    }
    assert len(lines(tmp_path)) == 3


def result_like(found: Result, verdict: Any) -> Result:
    vector = next(v for v in suite().vectors if v.id == found.case)
    return result(vector, verdict, "later")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    written = journal.Journal(tmp_path, resume=False)
    written.open(HEADER)
    assert written.results is not None
    written.results.close()
    written.results = Path("/dev/full").open("ab", buffering=0)  # noqa: SIM115 (closed by close)
    with pytest.raises(SuiteError, match=r"No space left on device; .* --resume goes on"):
        written.record(verdicts()[0])
    written.close()


# a shell's background jobs ignore interrupts, and so would what tests in one start
HEEDS = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
# a thread's start comes back a second late, as it may on a busy machine
LATE = """
import threading, time
start = threading.Thread.start
threading.Thread.start = lambda thread: (start(thread), time.sleep(1))
"""


@pytest.mark.parametrize("before", ["", LATE], ids=["waiting", "starting"])
def test_an_interrupt_keeps_what_there_is(tmp_path: Path, before: str) -> None:
    words = ["run", f"{BACKENDS}:SleepsAndGivesNan", "--only", "sigmoid"]
    python, option, code = NNSPEC
    with subprocess.Popen(
        [python, option, HEEDS + before + code, *words, "--report", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ,
    ) as running:
        until = time.monotonic() + 60
        while not (tmp_path / "results.jsonl").exists() or len(lines(tmp_path)) < 3:
            assert time.monotonic() < until
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=30)
    assert running.returncode == 2
    assert b"(interrupted)" in output
    assert len(report(tmp_path)["results"]) == len(lines(tmp_path))
