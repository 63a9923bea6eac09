"""The cases that ONNX operators express, as test folders of ONNX's own form.

    DIR/gru/test_gru_step-plain-f32/model.onnx                     the operation, from onnx_models
                                    data.json                      its tolerance: rtol, atol
                                    test_data_set_0/input_0.pb …   the case's inputs
                                    test_data_set_0/output_0.pb …  the truth, in the case's dtype
    DIR/manifest.json         every case: clauses, note, tolerance; and what is not there, why
    DIR/run_onnx_tests.py     ONNX's loader and runner on these folders

docs/onnx_export.md is the page for those who run them.
"""

import collections
import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import checker, helper, numpy_helper

from nnspec.conformance import run_onnx_tests
from nnspec.conformance.backends import Unsupported
from nnspec.conformance.backends.reference import VERSION
from nnspec.conformance.formats import LIMITS, rounded
from nnspec.conformance.onnx_models import Model, model_of
from nnspec.conformance.suite import Classes, Vector
from nnspec.conformance.verdict import K
from nnspec.reference.array import Array

# rtol and atol are rounded up to this many digits
DIGITS = 3
SIGN_OF_ZERO = "the sign of a zero"


class ExportError(ValueError):
    """A folder that cannot be written to; the message says why."""


class Tolerance(NamedTuple):
    """ONNX's tolerance: |got - want| <= atol + rtol * |want|.

    `typical` and `widest` are how many times it exceeds the case's own budget: the geometric mean
    and the maximum over all elements but zeros and subnormals.
    """

    rtol: float
    atol: float
    typical: float
    widest: float


def _needed(vector: Vector) -> tuple[Array, Array, Array]:
    """Of each finite element: what it needs, its size, whether it counts for what is paid.

    A zero or a subnormal that may be lost does not.
    """
    found: list[tuple[Array, Array, Array]] = []
    for name, truth in vector.outputs.items():
        if name in vector.operation.integers:
            continue
        truth, sigma = truth.reshape(-1), vector.sigma[name].reshape(-1)
        stored = rounded(truth, vector.case.dtype).astype(np.float64)
        with np.errstate(invalid="ignore"):
            need = K * sigma + np.abs(stored - truth)
        flush = vector.case.classes.get(name, Classes()).flush_allowed
        need[flush] = np.maximum(need[flush], np.abs(stored[flush]))
        telling = stored != 0
        telling[flush] = False
        finite = np.isfinite(stored)
        found.append((need[finite], np.abs(stored[finite]), telling[finite]))
    need, size, telling = (np.concatenate(parts) for parts in zip(*found, strict=True))
    # ONNX compares in the dtype, where the sum is rounded
    return need * (1 + 4 * LIMITS[vector.case.dtype].eps), size, telling


def tolerance(vector: Vector) -> Tolerance:
    """The narrowest pair that holds K sigma at every element of every output.

    An absolute tolerance is paid for by the small elements, a relative one by the large. Of the
    pairs that hold and cannot be narrowed, the one with the smallest `typical`.
    """
    if set(vector.outputs) <= set(vector.operation.integers):
        return Tolerance(0.0, 0.0, 1.0, 1.0)
    need, size, telling = _needed(vector)
    if not telling.any():
        return Tolerance(0.0, _up(need.max(initial=0.0), vector.case.dtype), 1.0, 1.0)
    shares = need[telling] / size[telling]
    pairs = []
    # a larger share than any element needs would leave no room for a smaller atol
    for share in [0.0, *shares, *np.geomspace(shares.min(), shares.max(), 200)]:
        rtol = _up(share, "float64")
        atol = _up((need - rtol * size).max(initial=0.0), vector.case.dtype)
        # in logarithms, since a quotient may overflow
        wider = np.log(atol + rtol * size[telling]) - np.log(need[telling])
        pairs.append((float(wider.mean()), float(wider.max()), rtol, atol))
    typical, widest, rtol, atol = min(pairs)
    return Tolerance(rtol, atol, math.exp(typical), math.exp(widest))


def _up(x: float, dtype: str) -> float:
    """The next decimal of a few digits, no subnormal that the dtype flushes to 0."""
    if x == 0:
        return 0.0
    x = max(x, 2 * LIMITS[dtype].smallest_subnormal)
    near = float(f"{x:.{DIGITS - 1}e}")
    if near >= x:
        return near
    step = 10.0 ** (np.floor(np.log10(x)) - (DIGITS - 1))
    return float(f"{x + step:.{DIGITS - 1}e}")


def _native(array: Array, dtype: str, floating: bool) -> Array:
    """As ONNX holds it: nnspec has bfloat16 as float32 with its values.

    Raises Unsupported where NumPy lacks the dtype.
    """
    if not floating:
        return array
    made = rounded(array, dtype)
    if dtype != "bfloat16":
        return made
    try:
        # imported here: no other case needs it
        from nnspec.conformance.bfloat16 import native
    except ModuleNotFoundError as error:
        raise Unsupported(f"bfloat16 needs the package '{error.name}', not installed.") from None
    return native(made)


def model_for(vector: Vector) -> Model:
    """The model of a case, checked, with its id and note.

    Raises Unsupported where ONNX has no operators for it.
    """
    case = vector.case
    floating = {
        name: name not in (*vector.operation.integers, *vector.operation.booleans)
        for name in vector.inputs
    }
    inputs = {n: _native(array, case.dtype, floating[n]) for n, array in vector.inputs.items()}
    model = model_of(vector.operation.name, {**inputs, **case.attributes})
    model.proto.graph.name = case.id
    model.proto.doc_string = case.note
    helper.set_model_props(
        model.proto, {"nnspec.case": case.id, "nnspec.clauses": " ".join(case.clauses)}
    )
    checker.check_model(model.proto, full_check=True)
    return model


def _write(vector: Vector, model: Model, folder: Path) -> Tolerance:
    data = folder / "test_data_set_0"
    data.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model.proto.SerializeToString(deterministic=True))
    wanted = {
        name: _native(
            vector.outputs[name], vector.case.dtype, name not in vector.operation.integers
        )
        for name in model.outputs
    }
    for kind, arrays in (("input", model.feeds), ("output", wanted)):
        for place, (name, array) in enumerate(arrays.items()):
            tensor = numpy_helper.from_array(array, name)
            (data / f"{kind}_{place}.pb").write_bytes(tensor.SerializeToString(deterministic=True))
    found = tolerance(vector)
    _json(folder / "data.json", {"rtol": found.rtol, "atol": found.atol})
    return found


def _json(path: Path, data: object) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _entry(vector: Vector, model: Model, given: Tolerance, folder: str) -> dict[str, Any]:
    case = vector.case
    signed = False
    for name, truth in vector.outputs.items():
        zeros = set(np.flatnonzero(truth == 0))
        any_sign = case.classes.get(name, Classes()).zero_any_sign
        signed |= name not in vector.operation.integers and bool(zeros - set(any_sign))
    return {
        "id": case.id,
        "folder": folder,
        "operation": vector.operation.name,
        "clauses": case.clauses,
        "note": case.note,
        "flags": case.flags,
        "dtype": case.dtype,
        "opset": model.proto.opset_import[0].version,
        "ir_version": model.proto.ir_version,
        "rtol": given.rtol,
        "atol": given.atol,
        "typical": float(f"{given.typical:.3g}"),
        "widest": float(f"{given.widest:.3g}"),
        "not_compared": [SIGN_OF_ZERO] if signed else [],
    }


def export(
    vectors: Sequence[Vector], folder: Path, on_case: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Write the folders of these cases and the manifest, which is returned.

    Raises ExportError where the folder is not empty or cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ExportError(f"{folder} is not empty; name a folder that is empty or not there")
        entries, refused = [], []
        for vector in vectors:
            on_case(vector.id)
            try:
                model = model_for(vector)
            except Unsupported as reason:
                refused.append({"id": vector.id, "reason": str(reason)})
                continue
            name = f"{vector.operation.topic}/test_{vector.id}"
            entries.append(_entry(vector, model, _write(vector, model, folder / name), name))
        manifest = {
            "suite": "nnspec",
            "version": VERSION,
            "onnx": onnx.__version__,
            "sigmas": K,
            "cases": entries,
            "not_exported": refused,
        }
        _json(folder / "manifest.json", manifest)
        shutil.copy(str(run_onnx_tests.__file__), folder / "run_onnx_tests.py")
    except OSError as error:
        raise ExportError(f"{error.filename or folder}: {error.strerror}") from None
    return manifest


def reasons(manifest: dict[str, Any]) -> list[tuple[str, int]]:
    """Why cases were not exported, and how many for each reason, the most first."""
    return collections.Counter(each["reason"] for each in manifest["not_exported"]).most_common()
