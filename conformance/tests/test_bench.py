"""The benchmark: whoever is wrong gets no time, and what is measured is shown and written.

Nothing here is about how long anything takes.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from nnspec.conformance.bench import contenders, grid, meetings, tables, turns
from nnspec.conformance.bench.grid import GRID, Point
from nnspec.conformance.bench.roofline import Roofline
from nnspec.conformance.bench.tables import BEGIN, END
from nnspec.conformance.bench.turns import QUICK, Contest, Measured, disagreement
from nnspec.conformance.cli import main

SMALL = [
    Point("recurrent", "lstm_sequence", (5, 3, 4, 6)),
    Point("recurrent", "gru_reset_after_sequence", (5, 3, 4, 6), backward=True),
    Point("recurrent", "gru_sequence", (5, 3, 4, 6), backward=True),
    Point("recurrent", "rnn_sequence", (5, 3, 4, 6), backward=True),
    Point("attention", grid.SDPA, (2, 3, 7, 4), causal=True),
    Point("attention", grid.SDPA, (2, 3, 7, 4), causal=True, backward=True),
    Point("product", "affine", (3, 4, 5), backward=True),
]
# torch takes as long to import as everything else here
LIGHT = [name for name in ("onnxruntime", "jax") if not contenders.missing(name)]

WRONG = """
from nnspec.conformance.bench import own
from nnspec.conformance.bench.contenders import Ready


def start(threads):
    return "wrong"


def ways(name, point, inputs):
    ((_, make),) = own.ways("reference", point, inputs)
    ready = make()
    yield "", lambda: Ready(ready.call, lambda found: {
        name: 1.001 * array for name, array in ready.outputs(found).items()
    })
"""


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contest]:
    folder = tmp_path_factory.mktemp("contenders")
    (folder / "wrong_contender.py").write_text(WRONG)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        contest = Contest(["accel", "reference", *LIGHT, "wrong_contender"], 1, QUICK)
        yield contest
        contest.close()


def test_everyone_computes_the_same_and_who_does_not_gets_no_time(contest: Contest) -> None:
    assert set(contest.versions) == {"accel", "reference", *LIGHT, "wrong_contender"}
    for point in SMALL:
        measured = contest.measure(point)
        assert set(measured.refused) == {"wrong_contender"}, measured.refused
        assert "off by 1.0e-03 of its largest number" in measured.refused["wrong_contender"]
        # onnxruntime has no gradients
        able = {name for name in LIGHT if not (point.backward and name == "onnxruntime")}
        assert set(measured.seconds) == {"accel", "reference", *able}
        assert all(len(rounds) == QUICK.rounds for rounds in measured.seconds.values())


def test_a_contender_that_died_is_back_at_the_next_point(contest: Contest) -> None:
    contest._processes["wrong_contender"].close()
    assert "off by" in contest.measure(SMALL[0]).refused["wrong_contender"]


@pytest.mark.parametrize(
    ("got", "words"),
    [
        ({"y": np.array([1.0, -2.0])}, ""),
        ({"y": np.array([1.0, -2.0001])}, ""),
        ({"y": np.array([1.0, -2.001])}, "y is off by 5.0e-04"),
        ({"y": np.array([1.0, np.nan])}, "y is off by nan"),
        ({"y": np.array([[1.0, -2.0]])}, "y has shape (1, 2), not (2,)"),
        ({"z": np.array([1.0, -2.0])}, "its outputs are ['z'], not ['y']"),
    ],
)
def test_disagreement_is_one_sentence(got: dict[str, np.ndarray], words: str) -> None:
    found = disagreement(got, {"y": np.array([1.0, -2.0])})
    assert found.startswith(words)
    assert bool(found) == bool(words)


@pytest.mark.parametrize(("name", "once"), [("reference", True), ("accel", False)])
def test_a_long_first_call_is_only_the_measure_of_who_compiles_nothing(
    name: str, once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    class Slow:
        @staticmethod
        def ways(name: str, point: Point, inputs: dict[str, np.ndarray]) -> contenders.Ways:
            yield "", lambda: contenders.Ready(lambda: calls.append(1), lambda found: {})

    monkeypatch.setattr(turns, "LONG", 0.0)
    turns._Stage(name, Slow).prepare(SMALL[0], 0.001)
    assert (len(calls) == 1) == once


def test_ratios_are_paired_by_round() -> None:
    # the machine was twice as slow in the second round: to both
    seconds = {"accel": [1.0, 2.0, 1.0], "jax": [3.0, 6.0, 3.0], "torch": [2.0, 4.0]}
    measured = Measured(SMALL[0], 1, seconds, {}, {}, {})
    assert measured.ratio("jax") == 3.0
    assert measured.fastest() == ("torch", 2.0)
    assert measured.ratio("onnxruntime") is None


def test_how_long_threads_wait_where_they_meet() -> None:
    assert meetings.measure([0]) is None
    two = turns.processors()[:2]
    found = meetings.measure(two)
    if len(two) == 2:
        assert found is not None
        assert 0 < found < 1
    alone = Measured(SMALL[0], 1, {}, {}, {}, {})
    near, far = (Measured(SMALL[0], 2, {}, {}, {}, {}, [ns * 1e-9, 50e-9]) for ns in (40, 300))
    (line,) = tables.meetings([alone, near, far])
    assert line.startswith(
        "2 threads met in 40 to 300 ns, in more than 4 times the least at 1 of 4"
    )


def test_the_roof_is_the_longer_of_products_and_bytes() -> None:
    roof = Roofline(1e9, ((2**14, 1e12), (2**28, 1e6)), 1e6)
    product = Point("product", "affine", (100, 100, 100))
    assert roof.seconds(product, 1) == pytest.approx(4 * (3 * 100**2 + 100) / 1e6)
    fast = Roofline(1e3, roof.bandwidth, 1e6)
    assert fast.seconds(product, 1) == pytest.approx(2 * 100**3 / 1e3)


def test_parts_lift_the_roof_of_products_alone() -> None:
    roof = Roofline(1e3, ((2**28, 1e12),), 1e12, parts=4e3)
    product = Point("product", "affine", (64, 64, 64))
    sequence = Point("recurrent", "rnn_sequence", (5, 64, 8, 8))
    assert roof.seconds(product, 1) == pytest.approx(product.flops / 4e3)
    assert roof.seconds(sequence, 1) == pytest.approx(sequence.flops / 1e3)


def test_the_grid_has_every_pass_of_every_operation_once() -> None:
    assert len({point.name for point in GRID}) == len(GRID)
    assert {p.operation for p in GRID if p.family == "recurrent"} == set(grid.GATES)


RUN = """
import sys
from pathlib import Path
from rich.console import Console
from nnspec.conformance.bench import plot, tables
from nnspec.conformance.bench.grid import Point
from nnspec.conformance.bench.session import Session
from nnspec.conformance.bench.turns import QUICK

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    recurrent = Point("recurrent", "rnn_sequence", (5, 3, 4, 6))
    points = [recurrent, Point("product", "affine", (3, 4, 5))]
    session = Session(points, [1], ["accel", "reference", *sys.argv[2:]], QUICK, print)
    session.run(folder / "bench.json")
    tables.show(session, Console(width=190))
    tables.write(session, folder / "page.md")
    plot.draw(session, folder / "bench.svg")
"""


def test_tables_json_page_and_plot(tmp_path: Path) -> None:
    pytest.importorskip("pytest_benchmark")
    pytest.importorskip("matplotlib")
    script, page = tmp_path / "run.py", tmp_path / "page.md"
    script.write_text(RUN)
    page.write_text(f"before\n{BEGIN}\noutdated\n{END}\nafter\n")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), *LIGHT[:1]],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=tmp_path,
        # pytest-benchmark writes nothing where it finds itself in a worker of xdist
        env={name: v for name, v in os.environ.items() if not name.startswith("PYTEST_XDIST")},
    )
    assert done.returncode == 0, done.stderr
    assert "recurrent, 1 thread: milliseconds" in done.stdout
    assert "big product: affine 3×4×5 forward, 1 thread" in done.stdout
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["machine_info"]["nnspec"]["rooflines"]["1"]["flops"] > 0
    assert len(report["benchmarks"]) == 2 * (2 + len(LIGHT[:1]))
    for benchmark in report["benchmarks"]:
        assert len(benchmark["stats"]["data"]) == QUICK.rounds
        assert benchmark["stats"]["min"] > 0
        info = benchmark["extra_info"]
        assert info["threads"] == 1
        assert info["share_of_roof"] > 0
        assert (info["times_accel"] == 1) == (info["contender"] == "accel")
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "| rnn_sequence | 5×3×4×6 | forward |" in text
    assert "outdated" not in text
    assert "<svg" in (tmp_path / "bench.svg").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--only", "nothing"], "'nothing' is nothing that is measured; there are"),
        (["--threads", "0"], "--threads 0: this process may use 1 to"),
        (["--threads", "a"], "--threads a: give numbers such as 1,2"),
        (["--peer", "keras"], "'keras' is not one of"),
        (["--json", "/no/such/file.json"], "/no/such/file.json cannot be written"),
        (["--plot", "plot.txt"], "--plot plot.txt: the name ends in"),
        (["--write", "no-such-page.md"], "--write no-such-page.md: No such file"),
        (["--only", "memory", "--json", "x.json"], "--only memory times nothing"),
    ],
)
def test_a_usage_error_is_one_sentence_and_status_2(words: list[str], sentence: str) -> None:
    done = CliRunner().invoke(main, ["bench", *words])
    assert done.exit_code == 2, done.output
    assert sentence in done.output
