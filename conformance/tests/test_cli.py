"""The command: exit statuses, one sentence for every error, reports that hold the results."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from junitparser import JUnitXml

from nnspec.conformance.cli import main

FILE = str(Path(__file__).with_name("backends_for_tests.py"))


def nnspec(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_a_run_that_passes() -> None:
    done = nnspec("run", "reference", "--only", "primitives", "--dtype", "f32")
    assert done.exit_code == 0, done.output
    assert "primitives.softmax" in done.output
    assert "fail, " not in done.output


def test_a_run_that_fails_says_where_and_why(tmp_path: Path) -> None:
    done = nnspec("run", f"{FILE}:GivesNan", "--only", "sigmoid", "--report", str(tmp_path))
    assert done.exit_code == 1
    words = " ".join(done.output.split())
    assert "sigmoid-extremes-f32: y[0] is nan, where the truth is 1.0" in words
    assert "e^x / (1 + e^x) is NaN at +1e4" in words
    report = json.loads((tmp_path / "report.json").read_text())
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert len(lines) == len(report["results"])
    xml: Any = JUnitXml.fromfile(str(tmp_path / "junit.xml"))
    assert xml.tests == len(lines)
    assert xml.failures == sum(found["verdict"] == "fail" for found in report["results"]) > 0
    assert xml.skipped == sum(found["verdict"] == "unsupported" for found in report["results"])


def test_an_unsupported_case_fails_only_a_claimed_profile() -> None:
    assert nnspec("run", f"{FILE}:Honest", "--only", "sigmoid").exit_code == 0
    claimed = nnspec("run", f"{FILE}:Honest", "--only", "sigmoid", "--profile", "primitives-f32")
    assert claimed.exit_code == 1
    assert "the profile is claimed as a whole" in claimed.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "no_such"], "nnspec: no backend 'no_such'"),
        (["run", "reference", "--only", "gru.nothing"], "'gru.nothing' is no topic, clause"),
        (["run", "reference", "--profile", "fast"], "there is no profile 'fast'; there are"),
        (["run", "reference", "--dtype", "f8"], "'f8' is not one of"),
        (["run"], 'name a BACKEND, or a program with --exec "COMMAND"'),
        (["run", "reference", "--exec", "x"], "'reference' and --exec exclude each other"),
        (["run", "--exec", "x 'y"], "--exec x 'y: no closing quotation"),
        (["run", "--exec", ""], "--exec wants a command"),
        (["run", "--exec", "no-such-program"], "cannot start 'no-such-program': No such file"),
        (["run", "reference", "--resume"], "name it with --report DIR"),
        (["run", "reference", "--memory", "8Q"], "'8Q' is no size such as 8G or 512M"),
        (["run", "reference", "--timeout", "0"], "0.0 is not in the range"),
        (["show", "gru.nothing"], "there is no clause 'gru.nothing'"),
        (["explain", "gru_step-nothing"], "there is no case 'gru_step-nothing'"),
        (["explain", "tanh-plain-f32", "--backend", "no_such"], "no backend 'no_such'"),
        (["run", "reference", "--only", "tanh", "--report", "/dev/null/x"], "--report /dev/null/x"),
        (
            ["run", "reference", "--only", "tanh", "--profile", "recurrent-f32"],
            "no case is left by this selection",
        ),
    ],
)
def test_a_usage_error_is_one_sentence_and_status_2(words: list[str], sentence: str) -> None:
    done = nnspec(*words)
    assert done.exit_code == 2
    assert sentence in done.output
    assert "Traceback" not in done.output


def test_list_names_everything() -> None:
    assert "gru.update_gate" in nnspec("list", "clauses").output
    assert "gru_step.vjp" in nnspec("list", "operations").output
    assert "onnxruntime" in nnspec("list", "backends").output
    assert "gru.z_swapped" in nnspec("list", "mutants", "--only", "gru.state").output
    assert "recurrent-f32" in nnspec("list", "profiles").output
    cases = nnspec("list", "cases", "--only", "gru.reset_gate").output.splitlines()
    assert cases
    assert all(line.startswith("gru_step") for line in cases)


def test_show_gives_equation_code_and_cases() -> None:
    text = nnspec("show", "gru.update_gate").output
    assert "$$z_t" in text
    assert "# gru.update_gate" in text
    assert "gru_step-" in text


def test_explain_gives_inputs_truth_and_result() -> None:
    done = nnspec("explain", "sigmoid-extremes-f64", "--backend", f"{FILE}:GivesNan")
    assert done.exit_code == 0
    for words in ("x (4,) =", "y: truth (4,) =", "nan", "fail"):
        assert words in done.output


def test_the_suite_runs_as_a_pytest_plugin(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "--pyargs", "nnspec.conformance", "-q", "-rfs"]
    done = subprocess.run(
        [*command, "--backend", f"{FILE}:GivesNan", "--only", "sigmoid", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "test_case[sigmoid-extremes-f32]" in done.stdout
    assert "y[0] is nan, where the truth is 1.0" in done.stdout
    assert "unsupported: " in done.stdout
    unknown = subprocess.run(
        [*command, "--backend", "no_such", "--only", "sigmoid", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert unknown.returncode == 2, unknown.stdout
    assert "no backend 'no_such'" in unknown.stdout + unknown.stderr
