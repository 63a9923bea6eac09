"""One run of the benchmarks: pytest underneath, everything that was measured, the machine."""

import contextlib
import datetime
import io
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from nnspec.conformance.bench.grid import WARM, Point
from nnspec.conformance.bench.roofline import Roofline
from nnspec.conformance.bench.turns import (
    BenchError,
    Contest,
    Effort,
    Measured,
    Process,
    processors,
)
from nnspec.reference.array import Array

BENCHMARKS = Path(__file__).with_name("benchmarks.py")


class Session:
    """The plan of a run and its results so far; a plugin of the pytest that runs it."""

    def __init__(
        self,
        points: Sequence[Point],
        threads: Sequence[int],
        names: Sequence[str],
        effort: Effort,
        tell: Callable[[str], None],
    ) -> None:
        self._points, self._threads = points, threads
        self._names, self.effort, self._tell = names, effort, tell
        self._contest: Contest | None = None
        self._truths: dict[Point, dict[str, Array]] = {}
        self.measured: list[Measured] = []
        self.rooflines: dict[int, Roofline] = {}
        self.peaks: dict[Point, dict[str, int | str]] = {}
        self.versions: dict[str, str] = {}
        self.absent: dict[str, str] = {}
        self.complete = True
        self.begin = machine()
        self.end: dict[str, str] = {}

    @pytest.fixture(name="session")
    def _session(self) -> "Session":
        return self

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test for each number of threads, point and contender, in this order."""
        metafunc.parametrize(
            ("threads", "point", "contender"),
            [(t, p.name, c) for t in self._threads for p in self._points for c in self._names],
            ids=[
                f"{p.name}-{t}-{c}".replace(" ", "_").replace("×", "x")
                for t in self._threads
                for p in self._points
                for c in self._names
            ],
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """End the processes before pytest-benchmark writes what it has."""
        self._finish()

    def pytest_benchmark_update_machine_info(
        self, config: pytest.Config, machine_info: dict[str, Any]
    ) -> None:
        """Add to pytest-benchmark's JSON what the tables say of the machine."""
        machine_info["nnspec"] = {
            "begin": self.begin,
            "end": machine(),
            "versions": self.versions,
            "rooflines": {
                threads: {
                    "flops": roof.flops,
                    "bandwidth": dict(roof.bandwidth),
                    "triad": roof.triad,
                    "parts": roof.parts,
                }
                for threads, roof in self.rooflines.items()
            },
        }

    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        """Add each contender's share of the roof, which is known at the end alone."""
        by_name = {measured.name: measured for measured in self.measured}
        for benchmark in output_json["benchmarks"]:
            info = benchmark["extra_info"]
            share = self.share_of_roof(by_name[benchmark["group"]], info["contender"])
            info["share_of_roof"] = share

    def measure(self, name: str, threads: int) -> Measured:
        """The rounds of the point of this name, measured at its first mention."""
        point = next(point for point in self._points if point.name == name)
        last = self.measured[-1] if self.measured else None
        if last is not None and (last.point, last.threads) == (point, threads):
            return last
        if self._contest is None or self._contest.threads != threads:
            self._begin(threads)
        assert self._contest is not None
        self._tell(f"{len(self.measured) + 1} of {len(self._points) * len(self._threads)}:"
                   f" {point.name}, threads: {threads}")  # fmt: skip
        self.measured.append(self._contest.measure(point))
        return self.measured[-1]

    def _begin(self, threads: int) -> None:
        self._finish()
        self._tell(f"starting {', '.join(self._names)} with {threads} threads")
        self._contest = Contest(self._names, threads, self.effort, self._truths)
        self.versions |= self._contest.versions
        self.absent |= self._contest.absent
        self.rooflines[threads] = self._contest.roofline()

    def _finish(self) -> None:
        """End the processes; the limits are the higher ones of before and after."""
        if self._contest is None:
            return
        contest, self._contest = self._contest, None
        try:
            roof = self.rooflines.get(contest.threads)
            if roof is not None:
                with contextlib.suppress(BenchError):
                    self.rooflines[contest.threads] = roof.higher(contest.roofline())
        finally:
            contest.close()

    def share_of_roof(self, measured: Measured, name: str) -> float | None:
        """The least time that the point can take, as a share of what this contender took."""
        median, roof = measured.median(name), self.rooflines.get(measured.threads)
        if median is None or roof is None:
            return None
        return roof.seconds(measured.point, measured.threads) / median

    def run(self, json: Path | None) -> None:
        """Measure every point. Raises BenchError where pytest could not."""
        words = [str(BENCHMARKS), "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        # no settings but these, wherever the package is: neither of a project nor of a user
        words += ["--config-file", os.devnull, "--rootdir", str(BENCHMARKS.parent)]
        # no capture: it would keep the progress on standard error to itself
        words += ["--import-mode=importlib", "--benchmark-quiet", "--capture=no"]
        words += [] if json is None else [f"--benchmark-json={json}"]
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):
                status = pytest.main(words, plugins=[self])
        finally:
            self._finish()
            self.end = machine()
        self.complete = status != pytest.ExitCode.INTERRUPTED
        if status not in (
            pytest.ExitCode.OK,
            pytest.ExitCode.TESTS_FAILED,
            pytest.ExitCode.INTERRUPTED,
        ) or (not self.measured and self.complete):
            raise BenchError(f"pytest could not run the benchmarks:\n{said.getvalue().strip()}")

    def weigh(self, points: Sequence[Point]) -> None:
        """The peak memory of every contender at these points, each in a process of its own."""
        threads = max(self._threads)
        try:
            for point in points:
                found = self.peaks.setdefault(point, {})
                small = Point(point.family, point.operation, WARM, point.causal, point.backward)
                for name in self._names:
                    if name == "reference":  # it holds every L×L matrix: that is known
                        continue
                    self._tell(f"memory of {name}: {point.name}")
                    process = None
                    try:
                        process = Process(name, threads)
                        self.versions[name] = process.version
                        peak = process.ask("peak", point, small)
                        if peak is not None:
                            found[name] = peak
                    except BenchError as error:
                        found[name] = str(error)
                    finally:
                        if process is not None:
                            process.close()
        except KeyboardInterrupt:
            self.complete = False
        self.end = machine()


def machine() -> dict[str, str]:
    """The processor, how it is driven, what else is running: now."""
    load = [f"{n:.2f}" for n in os.getloadavg()] if hasattr(os, "getloadavg") else ["not told"]
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return {
        "time": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "processors": str(len(processors())),
        "governor": governor.read_text().strip() if governor.is_file() else "not told",
        "load": ", ".join(load),
        "python": f"{platform.python_version()} on {sys.platform}",
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
