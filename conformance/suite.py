"""The vector files: their types, loading and selection.

The types are the format: `nnspec vectors build` writes the JSON Schema beside the vectors from
them, and a file that does not fit is refused with its name and the place.
"""

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from nnspec.reference.array import Array
from nnspec.spec.loader import Operation, spec

VECTORS = Path(__file__).parent / "vectors"
# larger than any vector that ships, small enough that a hostile file cannot exhaust the memory
MOST_ELEMENTS = 10_000_000
MOST_BYTES = 100_000_000

Element = bool | int | float | Literal["NaN", "Infinity", "-Infinity"]
DTYPES = ("float32", "float64")
SHORT_DTYPES = {"f32": "float32", "f64": "float64"}


class SuiteError(ValueError):
    """A vector file, id or selection that cannot be used; the message says which and why."""


class ArrayData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An array in row-major order; decimals are the shortest that read back exactly."""

    dtype: Literal["float32", "float64", "int64", "bool"]
    shape: list[Annotated[int, msgspec.Meta(ge=0)]]
    data: list[Element]

    def array(self) -> Array:
        """As a NumPy array of its dtype; raises ValueError where data does not fit the shape."""
        count = 1
        for size in self.shape:
            count *= size
        if count > MOST_ELEMENTS:
            raise ValueError(f"{count} elements are more than the {MOST_ELEMENTS} allowed")
        if len(self.data) != count:
            raise ValueError(f"{len(self.data)} elements do not fill the shape {self.shape}")
        kinds = {"int64": int, "bool": bool}
        kind = kinds.get(self.dtype)
        if kind is not None and not all(type(value) is kind for value in self.data):
            raise ValueError(f"an array of {self.dtype} holds nothing else")
        return (
            np.array([float(v) if isinstance(v, str) else v for v in self.data])
            .astype(self.dtype)
            .reshape(self.shape)
        )


def encode(array: Array) -> ArrayData:
    """An array as data; float32 as the shortest decimals that give the same float32."""
    flat = array.reshape(-1)
    data: list[Element]
    if array.dtype.kind in "ib":
        data = flat.tolist()
    else:
        data = [_decimal(value) for value in flat]
    return ArrayData(dtype=array.dtype.name, shape=list(array.shape), data=data)  # type: ignore[arg-type]


def _decimal(value: Any) -> Element:
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(str(value))


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
    dtype: Literal["float32", "float64"]
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
        """Inputs and attributes by name, as a Python backend takes them."""
        return {**self.inputs, **self.case.attributes}


def read_file(path: Path) -> VectorFile:
    """A vector file; raises SuiteError naming the file and the place in it."""
    name = f"{path.parent.name}/{path.name}"
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise SuiteError(f"{name}: {size} bytes are more than the {MOST_BYTES} allowed")
        return msgspec.json.decode(path.read_bytes(), type=VectorFile)
    except OSError as error:
        raise SuiteError(f"{name}: cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise SuiteError(
            f"{name}: damaged vector file: {error}; restore it from the release"
        ) from None


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
                vectors.append(unpack(case, operations[file.operation], name))
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
