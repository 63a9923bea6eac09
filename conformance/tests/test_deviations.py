"""The list of known deviations is strict: it excuses its own cases alone, while they fail."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from junitparser import JUnitXml

from nnspec.conformance import deviations
from nnspec.conformance.cli import main
from nnspec.conformance.suite import SuiteError

BACKENDS = Path(__file__).with_name("backends_for_tests.py")


def listed(path: Path, cases: list[str], reason: str = "e^x overflows") -> Path:
    file = path / "known.toml"
    file.write_text(f"[[deviation]]\ncases = {json.dumps(cases)}\nreason = '{reason}'\nurl = 'u'\n")
    return file


def run(backend: str, *words: str) -> Any:
    return CliRunner().invoke(main, ["run", f"{BACKENDS}:{backend}", "--only", "sigmoid", *words])


def failing(folder: Path) -> list[str]:
    run("GivesNan", "--report", str(folder))
    results = json.loads((folder / "report.json").read_text())["results"]
    return [found["case"] for found in results if found["verdict"] == "fail"]


def test_known_failures_are_shown_apart_and_do_not_fail_the_run(tmp_path: Path) -> None:
    cases = failing(tmp_path)
    assert len(cases) == 4
    file = listed(tmp_path, cases)
    done = run("GivesNan", "--deviations", str(file), "--report", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert "known deviations" in done.output
    assert "4 known deviations" in done.output
    assert "e^x overflows (u); fail: y[0] is nan" in done.output
    assert "diagnosis" not in done.output
    results = json.loads((tmp_path / "report.json").read_text())["results"]
    assert [found["case"] for found in results if found["verdict"] == "deviation"] == cases
    xml: Any = JUnitXml.fromfile(str(tmp_path / "junit.xml"))
    assert xml.failures == xml.errors == 0
    # the verdicts as obtained are those of the journal, so that a resumed run may use another list
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["verdict"] == "fail" for line in lines) == 4


def test_a_failure_that_is_not_listed_still_fails(tmp_path: Path) -> None:
    cases = failing(tmp_path)
    done = run("GivesNan", "--deviations", str(listed(tmp_path, cases[1:])))
    assert done.exit_code == 1
    assert "1 fail, " in done.output
    assert "3 known deviations" in done.output


def test_a_listed_case_that_passes_is_an_error(tmp_path: Path) -> None:
    done = run("Honest", "--deviations", str(listed(tmp_path, ["sigmoid-extremes-f32"])))
    assert done.exit_code == 1
    words = " ".join(done.output.split())
    assert "passes, but is listed as a known deviation: take it from the list" in words
    assert "1 error" in done.output


def test_a_listed_case_that_is_not_selected_is_no_matter(tmp_path: Path) -> None:
    done = run("Honest", "--deviations", str(listed(tmp_path, ["tanh-plain-f32"])))
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("deviation = 3", "Expected `array`, got `int`"),
        ("", "missing required field `deviation`"),
        ("[[deviation]]\ncases = []\nreason = 'x'", "entry 1: lists no case"),
        ("[[deviation]]\ncases = ['a']\nreason = ' '", "entry 1: the reason is empty"),
        ("[[deviation]]\ncases = ['a', 'a']\nreason = 'x'", "entry 1: case 'a' is listed twice"),
        (
            "[[deviation]]\ncases = ['a']\nreason = 'x'\n" * 2,
            "entry 2: case 'a' is listed twice",
        ),
        ("[[deviation]]\ncases = ['a*']\nreason = 'x'", "entry 1: there is no case 'a*'"),
        ("[[deviation]]\ncases = ['a']", "missing required field `reason`"),
        ("[[deviation]]\ncases = ['a']\nreason = 'x'\nwhy = 'y'", "unknown field `why`"),
        ("[[deviation]", "is not TOML"),
    ],
)
def test_a_list_that_is_not_exact_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "known.toml"
    file.write_text(text)
    with pytest.raises(SuiteError) as refusal:
        deviations.load(file, {"a"})
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_list_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    done = run("Honest", "--deviations", str(tmp_path / "none.toml"))
    assert done.exit_code == 2
    assert "cannot be read: No such file or directory" in done.output
    (tmp_path / "bad.toml").write_bytes(b"\xff")
    done = run("Honest", "--deviations", str(tmp_path / "bad.toml"))
    assert done.exit_code == 2
    assert "is not UTF-8" in done.output
