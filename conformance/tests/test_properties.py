"""Planted faults are found by the property they break, shrunk, and shown as program and JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nnspec.conformance import properties
from nnspec.conformance.cli import main

FILE = str(Path(__file__).with_name("faulty_for_tests.py"))


def nnspec(*words: str) -> Result:
    return CliRunner().invoke(main, ["properties", *words])


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(properties, "SHRINK_SECONDS", 1.5)


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("Remembers", "determinism"),
        ("InPlace", "inputs"),
        ("ReadsOn", "strides"),
        ("MixesRows", "rows"),
        ("DropsState", "handover"),
        ("LooksAhead", "causality"),
        ("FirstCounts", "permutation"),
        ("NoMaximum", "shift"),
    ],
)
def test_each_property_finds_its_fault(fault: str, name: str, tmp_path: Path) -> None:
    done = nnspec(
        f"{FILE}:{fault}", "--property", name, "--dtype", "f32", "--report", str(tmp_path)
    )
    assert done.exit_code == 1, done.output
    (case,) = (json.loads(path.read_text()) for path in tmp_path.glob("*.json"))
    assert case["property"] == name
    # a handful of numbers, not whatever was drawn first
    sizes = [len(v["data"]) for v in case["calls"][0].values() if isinstance(v, dict)]
    assert sum(sizes) <= 40, sizes
    (program,) = tmp_path.glob("*.py")
    assert program.read_text() in done.output
    shown = subprocess.run([sys.executable, str(program)], capture_output=True, check=False)
    # the leak depends on what the process was asked before
    assert shown.returncode == 1 or fault == "Remembers", shown.stderr.decode()


def test_a_program_that_speaks_the_protocol_is_checked_too(tmp_path: Path) -> None:
    program = f"{sys.executable} -m nnspec.conformance.worker {FILE}:MixesRows"
    words = "--property", "rows", "--dtype", "f32", "--report", str(tmp_path)
    done = nnspec("--exec", program, *words)
    assert done.exit_code == 1, done.output
    (path,) = tmp_path.glob("*.py")
    assert "Program(" in path.read_text()
    shown = subprocess.run([sys.executable, str(path)], capture_output=True, check=False)
    assert shown.returncode == 1, shown.stderr.decode()
    # Python's strides do not reach it
    done = nnspec("--exec", program, "--property", "strides")
    assert done.exit_code == 2
    assert "no operation that these properties are about" in done.output


def test_an_honest_backend_breaks_none() -> None:
    done = nnspec(f"{FILE}:Honest", "--trials", "4")
    assert done.exit_code == 0, done.output
    assert "handover" in done.output


def test_what_cannot_be_checked_is_named() -> None:
    done = nnspec(f"{FILE}:Honest", "--property", "shift", "--only", "primitives")
    assert done.exit_code == 0, done.output
    assert "not checked" in done.output
    assert "sigmoid" in done.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["reference", "--property", "beauty"], "'beauty' is no property; there are determinism"),
        (["reference", "--only", "nothing"], "'nothing' is no topic, clause or operation"),
        (["no_such"], "no backend 'no_such'"),
        (["reference", "--property", "shift", "--only", "tanh"], "has no operation that these"),
        (["reference", "--report", "/dev/null/x"], "--report /dev/null/x"),
    ],
)
def test_a_usage_error_is_one_sentence_and_status_2(words: list[str], sentence: str) -> None:
    done = nnspec(*words)
    assert done.exit_code == 2, done.output
    assert sentence in done.output
    assert "Traceback" not in done.output
