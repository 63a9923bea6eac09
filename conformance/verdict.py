"""What a backend's answer to a case is worth: pass or fail, by the budget in the vector."""

import types
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np

from nnspec.conformance.formats import rounded, spacing
from nnspec.conformance.protocol import OutputData
from nnspec.conformance.suite import Classes, Vector
from nnspec.reference.array import Array

# An element passes within K sigma; one K for the whole suite, whatever the backend. In
# docs/calibration.md what passes above 4 is a known loss of digits (docs/findings.md) each time.
K = 6.0

# a deviation is a failure that the user's list of known ones has
Verdict = Literal["pass", "fail", "unsupported", "error", "crash", "timeout", "deviation"]
VERDICTS: tuple[Verdict, ...] = (
    "pass",
    "fail",
    "unsupported",
    "error",
    "crash",
    "timeout",
    "deviation",
)
FAILED: tuple[Verdict, ...] = ("fail", "error", "crash", "timeout")


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """The verdict on one case, with the worst element and its error, and what a failure gave."""

    case: str
    operation: str
    clauses: list[str]
    dtype: str
    verdict: Verdict
    reason: str = ""
    sigma_error: float | None = None
    ulp_error: float | None = None
    worst: str = ""
    got: float | str | None = None
    want: float | str | None = None
    flushed: int = 0
    seconds: float = 0.0
    outputs: dict[str, OutputData] | None = None


def result(vector: Vector, verdict: Verdict, reason: str, seconds: float = 0.0) -> Result:
    """A verdict that needs no comparison."""
    return Result(
        case=vector.id,
        operation=vector.operation.name,
        clauses=vector.case.clauses,
        dtype=vector.case.dtype,
        verdict=verdict,
        reason=reason,
        seconds=seconds,
    )


def plain(value: float) -> float | str:
    """A number that JSON can hold: NaN and infinities as words."""
    return float(value) if np.isfinite(value) else str(float(value))


def place(name: str, shape: tuple[int, ...], flat_index: int) -> str:
    """`h[1, 0, 2]`."""
    index = np.unravel_index(flat_index, shape)
    return f"{name}[{', '.join(str(int(i)) for i in index)}]" if shape else name


def judge(
    vector: Vector,
    outputs: Mapping[str, Any],
    seconds: float = 0.0,
    dtypes: Mapping[str, str] = types.MappingProxyType({}),
) -> Result:
    """Compare a backend's outputs with the truth, element by element, in units of sigma.

    `dtypes` names those of the outputs where the arrays cannot tell: nnspec holds bfloat16 as
    float32.
    """
    worst_error = -1.0
    found = result(vector, "pass", "", seconds)
    reasons: list[str] = []
    ulps, flushed = 0.0, 0
    for name, truth in vector.outputs.items():
        if name not in outputs:
            return result(vector, "fail", f"output '{name}' is missing", seconds)
        got = np.asarray(outputs[name])
        integer = name in vector.operation.integers
        dtype = dtypes.get(name, got.dtype.name)
        if got.dtype.kind not in "iu" if integer else dtype != vector.case.dtype:
            wanted = "an integer type" if integer else vector.case.dtype
            reason = f"output '{name}' has dtype {dtype}, wanted {wanted}"
            return result(vector, "fail", reason, seconds)
        if got.shape != truth.shape:
            reason = f"output '{name}' has shape {got.shape}, wanted {truth.shape}"
            return result(vector, "fail", reason, seconds)
        if not truth.size:
            continue
        classes = vector.case.classes.get(name, Classes())
        errors, ulp, zeros = deviations(
            got.reshape(-1).astype(np.float64),
            truth.reshape(-1),
            vector.sigma[name].reshape(-1),
            classes,
            vector.case.dtype,
        )
        flushed += zeros
        ulps = max(ulps, float(ulp.max()))
        index = int(errors.argmax())
        if errors[index] > worst_error:
            worst_error = float(errors[index])
            where = place(name, truth.shape, index)
            a, b = float(got.reshape(-1)[index]), float(truth.reshape(-1)[index])
            found = msgspec.structs.replace(found, worst=where, got=plain(a), want=plain(b))
            if worst_error > K:
                count = int((errors > K).sum())
                reasons = [_sentence(where, a, b, worst_error, float(ulp[index]), count)]
    return msgspec.structs.replace(
        found,
        verdict="fail" if reasons else "pass",
        reason=reasons[0] if reasons else "",
        sigma_error=None if worst_error < 0 else min(worst_error, 1e300),
        ulp_error=None if worst_error < 0 else min(ulps, 1e300),
        flushed=flushed,
    )


def _sentence(where: str, got: float, want: float, error: float, ulp: float, count: int) -> str:
    others = f"; {count - 1} more elements are off" if count > 1 else ""
    if np.isnan(got) or np.isinf(got):
        return f"{where} is {got}, where the truth is {want!r}{others}"
    if np.isnan(want) or np.isinf(want):
        return f"{where} is {got!r}, where the truth is {want}{others}"
    if got == want:
        return f"{where} is {got!r} with the wrong sign of zero{others}"
    return f"{where} is {got:.9g} for {want:.9g}: {error:.3g} sigma, {ulp:.3g} ulp{others}"


def deviations(
    got: Array, truth: Array, sigma: Array, classes: Classes, dtype: str
) -> tuple[Array, Array, int]:
    """(error in sigma, error in ulp, number of results flushed to zero), flat.

    An error is infinite where no tolerance could excuse it: NaN for a number, a number for NaN,
    the wrong infinity, the wrong sign of a zero that has one.
    """
    with np.errstate(all="ignore"):
        difference = np.abs(got - truth)
        errors = np.where(difference == 0, 0.0, difference / sigma)
        ulp = spacing(np.abs(truth), dtype)
        # where cancellation makes the budget many ulp, an error in ulp says nothing
        telling = sigma < 100 * ulp
        ulps = np.where((difference == 0) | ~telling, 0.0, difference / ulp)
    signed = (truth == 0) & (got == 0) & (np.signbit(truth) != np.signbit(got))
    signed[classes.zero_any_sign] = False
    same = (got == truth) | (np.isnan(got) & np.isnan(truth))
    hopeless = ~np.isfinite(truth) | ~np.isfinite(got)
    errors = np.where(same & ~signed, 0.0, np.where(hopeless | signed, np.inf, errors))
    ulps = np.where(same & ~signed, 0.0, np.where(hopeless, np.inf, ulps))
    flush = np.zeros(truth.shape, dtype=bool)
    flush[classes.flush_allowed] = True
    flush &= got == 0
    errors[flush] = 0.0
    ulps[flush] = 0.0
    # where the truth rounds to zero, zero is the right result
    return errors, ulps, int((flush & (rounded(truth, dtype) != 0)).sum())
