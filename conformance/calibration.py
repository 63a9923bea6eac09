"""How far correct implementations stay below K: the table that justifies it."""

import collections
import re
from collections.abc import Iterable

from nnspec.conformance.runner import Run
from nnspec.conformance.suite import DTYPES
from nnspec.conformance.verdict import K

# an implementation that computes each step as well as its dtype allows stays below this
USUAL = 4.0
ABOVE = f"Cases that pass above {USUAL:g} sigma"
FAILING = "Cases that do not pass"

HEAD = f"""# Calibration

An element passes within K = {K:g} sigma of the truth: one K for the whole suite, whatever the
backend and the operation. It must lie above what correct implementations show and below what wrong
ones do. This table is written by `nnspec calibrate --write docs/calibration.md`; CI prints it anew
for the backends it has.

An implementation that computes each step as well as its dtype allows stays below {USUAL:g}. What
passes above that, and every case that does not pass, is listed below the table and has its cause
in [findings](findings.md); none is excused by a wider budget.

*cases* are those that the backend did not decline. *99 %* is the error in sigma that 99 of 100 of
the passing cases stay below, *worst* the largest of any passing case.

| backend | dtype | cases | pass | 99 % | worst | the case |
|---|---|---|---|---|---|---|
"""


def rows(run: Run) -> list[str]:
    """A row for each dtype of one backend."""
    found = []
    for dtype in DTYPES:
        answered = [r for r in run.results if r.dtype == dtype and r.verdict != "unsupported"]
        passing = [r for r in answered if r.verdict == "pass"]
        # one whose outputs are empty has no error
        errors = sorted((r.sigma_error, r.case) for r in passing if r.sigma_error is not None)
        if not answered:
            continue
        row = f"| {run.backend} {run.version} | {dtype} | {len(answered)} | {len(passing)}"
        if errors:
            worst, case = errors[-1]
            row += f" | {errors[int(0.99 * (len(errors) - 1))][0]:.2f} | {worst:.2f} | {case} |"
        else:
            row += " | | | |"
        found.append(row)
    return found


def unusual(run: Run) -> list[str]:
    """The passing cases of one backend whose error is not the usual one, the largest first."""
    found = [
        (r.sigma_error, r.case)
        for r in run.results
        if r.verdict == "pass" and r.sigma_error is not None and r.sigma_error >= USUAL
    ]
    return [f"- {run.backend}, {error:.2f} sigma (`{case}`)" for error, case in sorted(found)[::-1]]


def failures(run: Run) -> list[str]:
    """The cases of one backend that do not pass, by operation, with the sentence of the worst."""
    groups = collections.defaultdict(list)
    for result in run.results:
        if result.verdict not in ("pass", "unsupported"):
            groups[result.operation].append(result)
    lines = []
    for operation, results in groups.items():
        worst = max(results, key=lambda r: r.sigma_error or 0)
        cases = ", ".join(f"`{r.case}`" for r in results)
        # without the place in this machine's files where an exception came from
        reason = re.sub(r" at \S+:\d+$", "", worst.reason.split(";")[0])
        lines.append(f"- {run.backend}, {operation}: {reason} ({cases})")
    return lines


def table(runs: Iterable[Run]) -> str:
    """The whole page as Markdown."""
    runs = list(runs)
    text = HEAD + "\n".join(row for run in runs for row in rows(run)) + "\n"
    for title, list_of in ((ABOVE, unusual), (FAILING, failures)):
        listed = [line for run in runs for line in list_of(run)]
        if listed:
            text += f"\n## {title}\n\n" + "\n".join(listed) + "\n"
    return text
