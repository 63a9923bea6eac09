"""The vector files: their types, loading and selection.

The types are the format: `nnspec vectors build` writes the JSON Schema beside the vectors from
them, and a file that does not fit is refused with its name and the place.
"""

import functools
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from nnspec.conformance.formats import rounded
from nnspec.reference.array import Array
from nnspec.spec.loader import Operation, check_shapes, spec

VECTORS = Path(__file__).parent / "vectors"
# larger than any vector that ships, small enough that a hostile file cannot exhaust the memory
MOST_ELEMENTS = 10_000_000
MOST_DIMENSIONS = 32
MOST_BYTES = 30_000_000
MOST_WORDS = 500
# an id is shown, stored and made part of file names
ID = re.compile(r"[a-z0-9_.-]{1,150}")

Element = bool | int | float | Literal["NaN", "Infinity", "-Infinity"]
WIDE_DTYPES = ("float32", "float64")
NARROW_DTYPES = ("float16", "bfloat16")
DTYPES = (*WIDE_DTYPES, *NARROW_DTYPES)
SHORT_DTYPES = {"f32": "float32", "f64": "float64", "f16": "float16", "bf16": "bfloat16"}


class SuiteError(ValueError):
    """A vector file, id or selection that cannot be used; the message says which and why."""


def one_line(text: str, most: int = MOST_WORDS) -> str:
    """Words from outside as one printable line of bounded length, safe to show and to store."""
    words = " ".join(text[: 4 * most].split())
    shown = "".join(c if c.isprintable() else "\ufffd" for c in words)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def check_fill(shape: list[int], data: list[Element]) -> None:
    """Raise ValueError where these are not the elements of an array of this shape."""
    if len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"{len(shape)} dimensions are more than {MOST_DIMENSIONS}")
    for size in shape:
        if not 0 <= size <= MOST_ELEMENTS:
            raise ValueError(f"no array has the size {str(size)[:30]} in its shape")
    if math.prod(shape) != len(data):
        raise ValueError(f"{len(data)} elements do not fill the shape {shape}")


class ArrayData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An array in row-major order; decimals are the shortest that read back exactly."""

    dtype: Literal["float32", "float64", "float16", "bfloat16", "int64", "bool"]
    shape: list[Annotated[int, msgspec.Meta(ge=0)]]
    data: list[Element]

    def array(self) -> Array:
        """As a NumPy array of its dtype, bfloat16 as float32 with its values.

        Raises ValueError where data does not fit the shape.
        """
        check_fill(self.shape, self.data)
        kinds = {"int64": int, "bool": bool}
        kind = kinds.get(self.dtype)
        if kind is not None and not all(type(value) is kind for value in self.data):
            raise ValueError(f"an array of {self.dtype} holds nothing else")
        if kind is None and any(type(value) is bool for value in self.data):
            raise ValueError(f"true and false are no {self.dtype}")
        values = np.array([float(v) if isinstance(v, str) else v for v in self.data])
        made = values.astype(self.dtype) if kind is not None else rounded(values, self.dtype)
        return made.reshape(self.shape)


def encode(array: Array, dtype: str = "") -> ArrayData:
    """An array as data, with the shortest decimals that give the same number of its dtype.

    `dtype` is that of the array unless given: "bfloat16" for a float32 that holds one.
    """
    flat = array.reshape(-1)
    dtype = dtype or array.dtype.name
    data: list[Element]
    if array.dtype.kind in "ib":
        data = flat.tolist()
    else:
        data = [_decimal(value, dtype) for value in flat]
    return ArrayData(dtype=dtype, shape=list(array.shape), data=data)  # type: ignore[arg-type]


def _decimal(value: Any, dtype: str) -> Element:
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if dtype == "bfloat16":
        return _shortest_bfloat16(float(value))
    return float(str(value))


def _shortest_bfloat16(value: float) -> float:
    """The decimal of fewest digits that rounds to a bfloat16; four always do."""
    found = (float(f"{value:.{digits}e}") for digits in range(4))
    return next(x for x in found if rounded(np.array(x), "bfloat16") == value)


class Classes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Flat indices of the elements of one output whose result is a class, not one number."""

    nan: list[int] = []  # any NaN, of any sign and payload
    zero_any_sign: list[int] = []  # +0 or -0
    flush_allowed: list[int] = []  # subnormal in the dtype: the result or a zero


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input set with its true outputs and its error budget."""

    id: str
    note: str
    flags: list[str]
    clauses: list[str]
    dtype: Literal["float32", "float64", "float16", "bfloat16"]
    attributes: dict[str, str | int | float | bool]
    inputs: dict[str, ArrayData]
    outputs: dict[str, ArrayData]
    sigma: dict[str, list[float]]
    classes: dict[str, Classes]


class VectorFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cases of one operation."""

    suite: Literal["nnspec"]
    format: Literal[1]
    operation: str
    cases: list[Case]


class Vector(msgspec.Struct, frozen=True):
    """A case with its operation and its arrays, ready to run."""

    case: Case
    operation: Operation
    inputs: dict[str, Array]
    outputs: dict[str, Array]
    sigma: dict[str, Array]

    @property
    def id(self) -> str:
        """The case's permanent id."""
        return self.case.id

    @property
    def arguments(self) -> dict[str, Any]:
        """Inputs and attributes by name, as a Python function takes them; bfloat16 as float32."""
        return {**self.inputs, **self.case.attributes}


def read_file(path: Path) -> VectorFile:
    """A vector file; raises SuiteError naming the file and the place in it."""
    name = f"{path.parent.name}/{path.name}"
    restore = "restore it from the release"
    try:
        # a pipe would be waited for
        if not path.is_file():
            raise SuiteError(f"{name}: is no file; {restore}")
        # a link may lead anywhere
        if path.resolve().parent.parent != path.parent.parent.resolve():
            raise SuiteError(f"{name}: lies outside its folder; {restore}")
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise SuiteError(f"{name}: {size} bytes are more than the {MOST_BYTES} allowed")
        file = msgspec.json.decode(path.read_bytes(), type=VectorFile)
    except OSError as error:
        raise SuiteError(f"{name}: cannot be read: {error.strerror}") from None
    except RecursionError:
        raise SuiteError(f"{name}: damaged vector file: nested too deeply; {restore}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        why = one_line(str(error), 300)
        raise SuiteError(f"{name}: damaged vector file: {why}; {restore}") from None
    for case in file.cases:
        if not ID.fullmatch(case.id):
            raise SuiteError(f"{name}: {case.id[:60]!r} is no id; {restore}")
    return file


def misfit(case: Case, operation: Operation) -> str | None:
    """What of a case the spec does not know, or lacks; None where everything fits."""
    for clause in case.clauses:
        if clause not in spec().clauses:
            return f"clauses: the spec has no {clause[:60]!r}"
    for name, value in case.attributes.items():
        choices = operation.attributes.get(name)
        if choices is None or (isinstance(choices, list) and value not in choices):
            return f"attributes: {operation.name} has no {name[:60]!r} of {str(value)[:60]!r}"
    if not case.note.isprintable():
        return "note: holds characters that cannot be shown"
    # a VJP leaves out the gradients of inputs that were not given
    wanted = operation.outputs if operation.name == operation.base else []
    for name in wanted:
        if name not in case.outputs:
            return f"outputs.{name}: is missing"
    if not case.outputs:
        return "outputs: are missing"
    return None


def unpack(case: Case, operation: Operation, name: str) -> Vector:
    """A case as arrays; raises SuiteError where they do not fit each other."""

    def refuse(field: str, why: object) -> SuiteError:
        return SuiteError(f"{name}: case {case.id}: {field}: {why}; restore the file")

    arrays: dict[str, dict[str, Array]] = {"inputs": {}, "outputs": {}}
    for kind, found in arrays.items():
        for field, data in getattr(case, kind).items():
            try:
                found[field] = data.array()
            except (ValueError, OverflowError) as error:
                raise refuse(f"{kind}.{field}", error) from None
    known = {**operation.inputs, **operation.optional}
    for field in arrays["inputs"]:
        if field not in known:
            raise refuse(f"inputs.{field}", f"{operation.name} has no such input")
    for field in operation.inputs:
        if field not in arrays["inputs"]:
            raise refuse(f"inputs.{field}", "is missing")
    sigma = {}
    for field, truth in arrays["outputs"].items():
        if field not in operation.outputs:
            raise refuse(f"outputs.{field}", f"{operation.name} has no such output")
        if len(case.sigma.get(field, [])) != truth.size:
            raise refuse(f"sigma.{field}", f"{truth.size} numbers are due")
        sigma[field] = np.array(case.sigma[field], dtype=np.float64).reshape(truth.shape)
        classes = case.classes.get(field, Classes())
        for index in (*classes.nan, *classes.zero_any_sign, *classes.flush_allowed):
            if not 0 <= index < truth.size:
                raise refuse(f"classes.{field}", f"index {index} is outside the output")
    return Vector(case, operation, arrays["inputs"], arrays["outputs"], sigma)


class Suite(msgspec.Struct, frozen=True):
    """The vectors that could be read, and one sentence for each that could not."""

    vectors: list[Vector]
    damaged: list[str]


def load(folder: Path = VECTORS) -> Suite:
    """Every vector file of a folder; a damaged file or case costs itself alone."""
    operations = spec().operations
    vectors: list[Vector] = []
    damaged: list[str] = []
    seen: set[str] = set()
    for path in sorted(folder.glob("*/*.json")):
        name = f"{path.parent.name}/{path.name}"
        try:
            file = read_file(path)
            if file.operation not in operations:
                raise SuiteError(f"{name}: operation: the spec has no '{file.operation}'")
        except SuiteError as error:
            damaged.append(str(error))
            continue
        for case in file.cases:
            try:
                if case.id in seen:
                    raise SuiteError(f"{name}: case {case.id}: id: is used twice")
                seen.add(case.id)
                operation = operations[file.operation]
                vector = unpack(case, operation, name)
                shapes = {field: value.shape for field, value in vector.inputs.items()}
                why = misfit(case, operation) or check_shapes(operation, shapes)
                if why is not None:
                    raise SuiteError(f"{name}: case {case.id}: {why}; restore the file")
                vectors.append(vector)
            except SuiteError as error:
                damaged.append(str(error))
    if not vectors and not damaged:
        raise SuiteError(f"{folder}: no vector files (*/*.json) in this folder")
    return Suite(vectors, damaged)


@functools.cache
def suite() -> Suite:
    """The vectors that ship with the package."""
    return load()


def select(
    vectors: Iterable[Vector],
    only: Iterable[str] = (),
    dtype: str | None = None,
) -> list[Vector]:
    """The vectors whose topic, clause, operation or id is named in `only`, of one dtype.

    Raises SuiteError for a name that is none of these.
    """
    chosen = [v for v in vectors if dtype is None or v.case.dtype == dtype]
    wanted = list(only)
    if not wanted:
        return chosen
    by_name = {name: [v for v in chosen if name in names_of(v)] for name in wanted}
    for name, found in by_name.items():
        if not found and name not in all_names():
            raise SuiteError(
                f"'{name}' is no topic, clause, operation or case; see 'nnspec list clauses'"
            )
    ids = {v.id for found in by_name.values() for v in found}
    return [v for v in chosen if v.id in ids]


def names_of(vector: Vector) -> set[str]:
    """Everything that a case may be selected by."""
    operation = vector.operation
    return {vector.id, operation.topic, operation.name, operation.base, *vector.case.clauses}


def all_names() -> set[str]:
    """Every topic, clause, operation and case id."""
    return {
        *spec().topics,
        *spec().clauses,
        *spec().operations,
        *(vector.id for vector in suite().vectors),
    }


def as_outputs(operation: Operation, result: Any) -> Mapping[str, Any]:
    """What an operation returned, by output name: from a dict, a tuple or a single array.

    Raises ValueError where the result has not the operation's form.
    """
    names = list(operation.outputs)
    if isinstance(result, Mapping):
        return result
    if isinstance(result, tuple | list) and (len(names) > 1 or isinstance(result, tuple)):
        if len(result) != len(names):
            raise ValueError(
                f"{operation.name} returned {len(result)} outputs, wanted {len(names)}"
                f" ({', '.join(names)})"
            )
        return dict(zip(names, result, strict=True))
    if len(names) > 1:
        raise ValueError(
            f"{operation.name} returned one {type(result).__name__}, wanted"
            f" {len(names)} outputs ({', '.join(names)})"
        )
    return {names[0]: result}


def flat(nested: Any) -> list[Any]:
    """The scalars of an array or of nested lists, in row-major order."""
    if isinstance(nested, np.ndarray):
        return nested.reshape(-1).tolist()
    if isinstance(nested, list | tuple):
        return [scalar for part in nested for scalar in flat(part)]
    return [nested]
