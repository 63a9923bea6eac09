"""`nnspec report`: what is read, refused, embedded; the summary, the badges, JUnit XML."""

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from junitparser import JUnitXml

from nnspec.conformance import report, suite
from nnspec.conformance.backends import load
from nnspec.conformance.cli import main
from nnspec.conformance.html_report import around, data_of, equations
from nnspec.conformance.recorded import labelled, read
from nnspec.conformance.runner import Run, run
from nnspec.conformance.summaries import claim, file_name, markdown
from nnspec.spec.loader import spec

FILE = Path(__file__).with_name("backends_for_tests.py")
Raises, WrongShape, Swapped, HOSTILE = (
    load(f"{FILE}:{name}") for name in ("Raises", "WrongShape", "Swapped", "HOSTILE")
)


def save(done: Run, folder: Path) -> Path:
    folder.mkdir()
    report.write(done, suite.suite().vectors, folder)
    lines = b"".join(msgspec.json.encode(found) + b"\n" for found in done.results)
    (folder / "results.jsonl").write_bytes(lines)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("runs")
    wrong = run(Swapped, only=["gru_step"], dtype="float32")
    wrong.backend = "/home/someone/wrong_gru.py"
    return [
        save(run("reference", only=["gru_step", "sigmoid"], dtype="float32"), root / "reference"),
        save(wrong, root / "wrong"),
        save(run(f"{FILE}:GivesNan", only=["sigmoid", "gru_step"], dtype="float32"), root / "nan"),
    ]


def nnspec(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def data_in(page: Path) -> Any:
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_the_command_writes_page_summary_and_badges_and_names_them(
    folders: list[Path], tmp_path: Path
) -> None:
    done = nnspec("report", *folders, "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "report.html",
        "summary.md",
        "badge-reference.svg",
        "badge-wrong_gru.py.svg",
        "badge-backends_for_tests.py-GivesNan.svg",
    }
    for name in names:
        assert str(tmp_path / "out" / name) in done.output


def test_the_page_asks_for_nothing(folders: list[Path], tmp_path: Path) -> None:
    nnspec("report", *folders, "--output", tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    namespaces = {"http://www.w3.org/1998/Math/MathML"}
    assert set(re.findall(r"https?://[^\s\"'<\\]+", text)) <= namespaces
    assert not re.search(r"<(link|iframe|object|embed)\b|\b(src|srcset)=|@import|url\(", text)


def test_a_case_that_did_not_pass_has_inputs_truth_and_got(
    folders: list[Path], tmp_path: Path
) -> None:
    nnspec("report", *folders, "--output", tmp_path)
    data = data_in(tmp_path / "report.html")
    index = next(i for i, c in enumerate(data["cases"]) if c["id"] == "gru_step-plain-f32")
    arrays = data["arrays"][str(index)]
    vector = next(v for v in suite.suite().vectors if v.id == "gru_step-plain-f32")
    assert arrays["inputs"]["x"]["parts"] == [[0, vector.case.inputs["x"].data]]
    assert arrays["outputs"]["h"]["parts"] == [[0, vector.case.outputs["h"].data]]
    # the wrong backend's, and not those of the one that passed
    assert list(arrays["outputs"]["h"]["got"]) == ["1"]
    got = arrays["outputs"]["h"]["got"]["1"]
    ((_, values),), ((_, errors),) = got["values"], got["errors"]
    expected = abs(np.array(values) - vector.outputs["h"].reshape(-1)) / vector.sigma["h"].ravel()
    np.testing.assert_allclose(errors, expected, rtol=6e-3)
    assert any(
        text.startswith("gru: equals 'gru.z_swapped'") for text in data["runs"][1]["diagnoses"]
    )
    passed = next(i for i, c in enumerate(data["cases"]) if c["id"] == "sigmoid-plain-f32")
    assert str(passed) not in data["arrays"]


def test_an_output_of_another_shape_is_shown_as_it_came(tmp_path: Path) -> None:
    folder = save(run(WrongShape, only=["sigmoid"], dtype="float32"), tmp_path / "shape")
    data = data_of(labelled([read(folder)]), suite.suite())
    others = [a["outputs"]["y"]["other"] for a in data["arrays"].values()]
    assert others
    assert all(len(other[0]["shape"]) == 1 for other in others if other)
    assert any(others)


def test_large_arrays_are_shortened_around_the_worst_elements() -> None:
    assert around(90, [3]) == [(0, 90)]
    assert around(1000, [500]) == [(492, 509)]
    assert around(1000, [2, 10, 999]) == [(0, 19), (991, 1000)]


def test_every_clause_has_its_equation() -> None:
    for clause in spec().clauses.values():
        found = equations(clause)
        assert found, clause.id
        for markup in found:
            tree = ElementTree.fromstring(markup)
            # a command that the converter does not know stays as it stood
            assert "\\" not in "".join(tree.itertext()), clause.id
            assert not any("style" in element.attrib for element in tree.iter()), clause.id


def hostile(folder: Path) -> Path:
    done = run(Raises, only=["sigmoid"], dtype="float32")
    done.backend = f"bad {HOSTILE}"
    done.diagnoses = [f"primitives: {HOSTILE}"]
    done.results = [
        msgspec.structs.replace(r, reason=HOSTILE) if r.verdict == "error" else r
        for r in done.results
    ]
    return save(done, folder)


def test_no_text_of_a_report_becomes_markup(tmp_path: Path) -> None:
    folder = hostile(tmp_path / "hostile")
    done = nnspec("report", folder, "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert text.count("<script") == 2
    assert "<img" not in text
    assert data_in(tmp_path / "out" / "report.html")["runs"][0]["backend"] == f"bad {HOSTILE}"
    (badge,) = (tmp_path / "out").glob("badge-*.svg")
    title = ElementTree.parse(badge).getroot()[0]
    assert title.text is not None
    assert title.text.startswith("nnspec ")
    summary = (tmp_path / "out" / "summary.md").read_text(encoding="utf-8")
    assert not re.search(r"(?<!\\)<", re.sub(r"(?<!\\)`[^`\n]*`", "", summary))
    assert all(line.isprintable() for line in summary.splitlines())


class Colourful:
    """Raises in colours, as many a framework does."""

    @staticmethod
    def sigmoid(x: Any) -> Any:
        raise RuntimeError("\x1b[31mred\x1b[0m <b>&\x00")


def test_junit_is_xml_whatever_a_backend_says(tmp_path: Path) -> None:
    folder = save(run(Colourful, only=["sigmoid"], dtype="float32"), tmp_path / "red")
    xml: Any = JUnitXml.fromfile(str(folder / "junit.xml"))
    (tested,) = xml
    raised = [case for case in tested if case.result[0].type != "skipped" and case.is_error]
    assert len(raised) == xml.errors > 0
    assert all("red" in case.result[0].message for case in raised)


def test_a_report_without_later_fields_is_read(folders: list[Path], tmp_path: Path) -> None:
    old = json.loads((folders[1] / "report.json").read_text())
    del old["diagnoses"], old["complete"]
    for found in old["results"]:
        for field in ("outputs", "reason", "seconds", "got"):
            found.pop(field, None)
        found["of_a_later_version"] = {"x": 1}
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "report.json").write_text(json.dumps(old))
    done = nnspec("report", tmp_path / "old", "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output


def broken_json(path: Path) -> None:
    (path / "report.json").write_bytes((path / "report.json").read_bytes()[:5000])


def wrong_verdict(path: Path) -> None:
    text = (path / "report.json").read_text()
    (path / "report.json").write_text(text.replace('"pass"', '"passed"', 1))


def twice(path: Path) -> None:
    found = json.loads((path / "report.json").read_text())
    found["results"].append(found["results"][0])
    (path / "report.json").write_text(json.dumps(found))


def wrong_array(path: Path) -> None:
    found = json.loads((path / "report.json").read_text())
    found["results"][0]["outputs"] = {"h": {"dtype": "float32", "shape": [7], "data": [1.0]}}
    (path / "report.json").write_text(json.dumps(found))


def broken_line(path: Path) -> None:
    (path / "report.json").unlink()
    lines = (path / "results.jsonl").read_bytes().splitlines(keepends=True)
    (path / "results.jsonl").write_bytes(b"".join([lines[0], b"{no\n", *lines[1:]]))


def neither(path: Path) -> None:
    for file in path.iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (broken_json, "report.json: damaged: "),
        (wrong_verdict, "Invalid enum value 'passed'"),
        (twice, "stands in it twice"),
        (wrong_array, "outputs.h: 1 elements do not fill the shape [7]"),
        (broken_line, "results.jsonl: damaged in line 2: "),
        (neither, "holds neither report.json nor results.jsonl; make them with: nnspec run"),
    ],
)
def test_a_damaged_folder_is_refused_by_name(
    folders: list[Path], tmp_path: Path, damage: Any, words: str
) -> None:
    shutil.copytree(folders[1], tmp_path / "damaged")
    damage(tmp_path / "damaged")
    done = nnspec("report", folders[0], tmp_path / "damaged", "--output", tmp_path / "out")
    assert done.exit_code == 2
    assert words in done.output
    assert str(tmp_path / "damaged") in done.output
    assert len(done.output.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_usage_errors(folders: list[Path], tmp_path: Path) -> None:
    missing = nnspec("report", tmp_path / "nothing")
    assert missing.exit_code == 2
    assert "there is no such folder" in missing.output
    assert nnspec("report").exit_code == 2
    (tmp_path / "file").write_text("")
    blocked = nnspec("report", folders[0], "--output", tmp_path / "file" / "x")
    assert blocked.exit_code == 2
    assert f"--output {tmp_path / 'file' / 'x'}" in blocked.output


def test_an_interrupted_run_is_said_to_be_one(folders: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    folder.mkdir()
    lines = (folders[0] / "results.jsonl").read_bytes().splitlines(keepends=True)
    # the last result of a case counts; the last line was cut off
    again = lines[0].replace(b'"pass"', b'"fail"')
    (folder / "results.jsonl").write_bytes(b"".join([*lines[:3], again, lines[4][:50]]))
    (folder / "run.json").write_text('{"backend": "mine", "version": "3", "vectors": "other"}')
    recorded = read(folder)
    assert recorded.run.backend == "mine"
    assert [r.verdict for r in recorded.run.results] == ["fail", "pass", "pass"]
    assert not recorded.run.complete
    assert claim(recorded, 3) == ("interrupted after 3 cases", claim(recorded, 3)[1])
    done = nnspec("report", folder, "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    for name in ("report.html", "summary.md"):
        text = (tmp_path / "out" / name).read_text(encoding="utf-8")
        for words in ("interrupted", "was cut off", "other vectors"):
            assert words in text, name


def test_a_case_that_the_suite_lacks_is_shown_as_such(folders: list[Path], tmp_path: Path) -> None:
    found = json.loads((folders[0] / "report.json").read_text())
    found["results"][0] |= {"case": "gru_step-of-old-f32", "clauses": ["gru.of_old"]}
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "report.json").write_text(json.dumps(found))
    done = nnspec("report", tmp_path / "old", "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    data = data_in(tmp_path / "out" / "report.html")
    assert [c["known"] for c in data["cases"] if c["id"] == "gru_step-of-old-f32"] == [False]
    (clause,) = [c for c in data["clauses"] if c["id"] == "gru.of_old"]
    assert clause["status"] == "not in this version of the spec"
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "1 of its cases are not in this version of the suite" in text


def test_the_summary_names_operations_and_diagnoses(folders: list[Path]) -> None:
    text = markdown(labelled([read(folder) for folder in folders]), len(suite.suite().vectors))
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert [row.split("|")[1].strip() for row in rows] == [
        "`reference`",
        "`wrong_gru.py`",
        "`backends_for_tests.py:GivesNan`",
    ]
    assert "diagnosis: gru: equals 'gru.z\\_swapped'" in text
    assert re.search(r"- `gru_step`: \d+ fail, of \d+ cases", text)
    assert "`sigmoid-extremes-f32`: y\\[0\\] is nan" in text


def test_a_badge_claims_what_was_shown(folders: list[Path]) -> None:
    right, wrong, _ = (read(folder) for folder in folders)
    cases = len(right.run.results)
    assert claim(right, cases)[0] == f"{cases} pass"
    green = claim(right, cases)[1]
    # a selection is no claim on the suite
    assert claim(right, cases + 5) == (f"{cases} pass · 5 not run", claim(right, cases + 5)[1])
    assert claim(right, cases + 5)[1] != green
    passed, failed = wrong.run.count("pass"), wrong.run.count("fail")
    unsupported = wrong.run.count("unsupported")
    assert claim(wrong, len(wrong.run.results))[0] == (
        f"{passed} of {passed + failed} pass · {unsupported} unsupported"
    )
    assert claim(wrong, len(wrong.run.results))[1] not in (green, claim(right, cases + 5)[1])


def test_labels_and_file_names_are_of_their_own(folders: list[Path]) -> None:
    same = labelled([read(folders[0]), read(folders[0]), read(folders[1])])
    assert [each.label for each in same] == ["reference", "reference (2)", "wrong_gru.py"]
    assert file_name("../../etc/x y") == "etc-x-y"
    assert file_name("...") == "backend"
