"""How far correct implementations stay below K: the table that justifies it."""

import collections
from collections.abc import Iterable

from nnspec.conformance.runner import Run
from nnspec.conformance.suite import DTYPES
from nnspec.conformance.verdict import K

HEAD = f"""# Calibration

An element passes within K = {K:g} sigma of the truth: one K for the whole suite, whatever the
backend and the operation. It must lie above what correct implementations show and below what wrong
ones do. This table is written by `nnspec calibrate --write docs/calibration.md`; CI prints it anew
for the backends it has.

*cases* are those that gave numbers. *99 %* is the error in sigma that 99 of 100 of the passing
cases stay below, *worst* the largest of any passing case. The failing cases are listed one by one;
none is excused by a wider budget.

| backend | dtype | cases | pass | 99 % | worst | the case |
|---|---|---|---|---|---|---|
"""


def rows(run: Run) -> list[str]:
    """A row for each dtype of one backend."""
    found = []
    for dtype in DTYPES:
        measured = [
            (r.sigma_error, r.case, r.verdict)
            for r in run.results
            if r.dtype == dtype and r.sigma_error is not None
        ]
        passing = sorted((error, case) for error, case, verdict in measured if verdict == "pass")
        if not passing:
            continue
        ninety_nine = passing[int(0.99 * (len(passing) - 1))][0]
        worst, case = passing[-1]
        found.append(
            f"| {run.backend} {run.version} | {dtype} | {len(measured)} | {len(passing)}"
            f" | {ninety_nine:.2f} | {worst:.2f} | {case} |"
        )
    return found


def failures(run: Run) -> list[str]:
    """The failing cases of one backend, by operation, with the sentence of the worst."""
    groups = collections.defaultdict(list)
    for result in run.results:
        if result.verdict not in ("pass", "unsupported"):
            groups[result.operation].append(result)
    lines = []
    for operation, results in groups.items():
        worst = max(results, key=lambda r: r.sigma_error or 0)
        cases = ", ".join(f"`{r.case}`" for r in results)
        lines.append(f"- {run.backend}, {operation}: {worst.reason.split(';')[0]} ({cases})")
    return lines


def table(runs: Iterable[Run]) -> str:
    """The whole page as Markdown."""
    runs = list(runs)
    listed = [line for run in runs for line in failures(run)]
    text = HEAD + "\n".join(row for run in runs for row in rows(run)) + "\n"
    if listed:
        text += "\n## Cases that fail\n\n" + "\n".join(listed) + "\n"
    return text
