"""Reads the TOML blocks of the spec pages into clauses and operations.

A page is prose for people. Its fenced TOML blocks, each below the heading that names it, are what
programs read: `[operation]` gives a callable's named arrays with their shapes, `[clause]` ties a
numbered statement to an operation and its reference function. The loader refuses everything it
does not know; each error names the file, the line and the field.
"""

import functools
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

PAGES = Path(__file__).parent

# a shape is "..." (any), "" (a scalar) or dimensions, each a sum of symbols and numbers: "H H+I"
SHAPE = re.compile(r"(\.\.\.|((\d+|[A-Z][A-Za-z_]*)([+*](\d+|[A-Z][A-Za-z_]*))*( |$))*)")


class SpecError(ValueError):
    """A spec page that cannot be read; the message names file, line and field."""


class Operation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A callable with named arrays in and out: the unit that a backend implements.

    `inputs`, `optional` and `outputs` map names to shapes, in the order of the arguments.
    `attributes` maps a name to its choices (the first is the default), or to its default.
    `gradients` are the inputs that the VJP differentiates, empty where there is no VJP; `states`
    are optional initial states, zero unless given, whose gradient is returned in any case;
    `integers` are inputs and outputs of type int64, `booleans` inputs of type bool.
    """

    name: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    optional: dict[str, str] = {}
    attributes: dict[str, list[str] | int | float | bool] = {}
    gradients: list[str] = []
    states: list[str] = []
    integers: list[str] = []
    booleans: list[str] = []
    topic: str = ""

    @property
    def base(self) -> str:
        """The forward operation's name: `gru_step` of `gru_step.vjp`."""
        return self.name.removesuffix(".vjp")

    @property
    def function(self) -> str:
        """The name that a Python backend gives it: `gru_step_vjp` of `gru_step.vjp`."""
        return self.name.replace(".", "_")

    @property
    def cotangents(self) -> list[str]:
        """The outputs that a VJP takes cotangents of: all but the integer ones."""
        return [name for name in self.outputs if name not in self.integers]

    def vjp(self) -> "Operation":
        """The operation `NAME.vjp`: inputs and cotangents to gradients."""
        shapes = self.inputs | self.optional
        return Operation(
            name=f"{self.name}.vjp",
            inputs=self.inputs | {f"d{name}": self.outputs[name] for name in self.cotangents},
            outputs={f"d{name}": shapes[name] for name in self.gradients},
            optional=self.optional,
            attributes=self.attributes,
            states=self.states,
            integers=self.integers,
            booleans=self.booleans,
            topic=self.topic,
        )


class Clause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One numbered statement of the spec, with the operation that answers for it."""

    id: str
    operation: str
    function: str
    status: Literal["normative", "variant", "informative"]
    topic: str = ""
    line: int = 0


class Spec(msgspec.Struct, frozen=True):
    """All pages: clauses by id; operations by name, VJPs included, in the order of the pages."""

    clauses: dict[str, Clause]
    operations: dict[str, Operation]

    @property
    def topics(self) -> list[str]:
        """The names of the pages, in order."""
        return list(dict.fromkeys(clause.topic for clause in self.clauses.values()))


def blocks(page: Path) -> list[tuple[int, str, str]]:
    """(line, heading, text) of each fenced TOML block of a page."""
    found = []
    heading, start, lines = "", 0, list[str]()
    fence = ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            if not fence:
                fence, start, lines = line, number + 1, []
            else:
                if fence == "```toml":
                    found.append((start, heading, "\n".join(lines)))
                fence = ""
        elif fence:
            lines.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("#").strip().strip("`")
    if fence:
        raise SpecError(f"{page.name}:{start}: the fenced block never ends; close it with ```")
    return found


def line_of(text: str, start: int, field: str) -> int:
    """The line in the page where a block's field stands, or the block's first line."""
    for offset, line in enumerate(text.splitlines()):
        if re.match(rf"\s*{re.escape(field)}\b", line):
            return start + offset
    return start


def parse_block(page: Path, start: int, heading: str, text: str) -> Operation | Clause:
    """One TOML block as an Operation or a Clause."""

    def refuse(field: str, why: str) -> SpecError:
        return SpecError(f"{page.name}:{line_of(text, start, field)}: {field}: {why}")

    try:
        table: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+)", str(error))
        line = start + (int(found[1]) - 1 if found else 0)
        raise SpecError(f"{page.name}:{line}: not TOML: {error}") from None
    if list(table) not in (["operation"], ["clause"]):
        raise SpecError(
            f"{page.name}:{start}: a TOML block holds one table, [operation] or [clause];"
            f" found {', '.join(table) or 'nothing'}"
        )
    kind, fields = next(iter(table.items()))
    for reserved in ("topic", "line"):
        if reserved in fields:
            raise refuse(reserved, "is set by the loader; delete it")
    try:
        entry: Operation | Clause
        if kind == "operation":
            entry = msgspec.convert(fields, Operation)
        else:
            entry = msgspec.convert(fields, Clause)
    except msgspec.ValidationError as error:
        message = str(error)
        named = re.search(r"\$\.(\w+)", message) or re.search(r"field `(\w+)`", message)
        field = named[1] if named else kind
        raise refuse(field, message) from None
    if isinstance(entry, Clause):
        if not re.fullmatch(rf"{page.stem}\.[a-z0-9_]+", entry.id):
            raise refuse("id", f"'{entry.id}' is not of the form {page.stem}.name")
        if entry.id != heading:
            raise refuse("id", f"'{entry.id}' stands below the heading '{heading}'; make them one")
        return msgspec.structs.replace(entry, topic=page.stem, line=start)
    if entry.name != heading:
        raise refuse("name", f"'{entry.name}' stands below the heading '{heading}'; make them one")
    shapes = entry.inputs | entry.optional
    for field, group in (
        ("inputs", entry.inputs),
        ("optional", entry.optional),
        ("outputs", entry.outputs),
    ):
        for name, shape in group.items():
            if not SHAPE.fullmatch(shape):
                raise refuse(field, f"'{shape}' of {name} is not a shape such as 'B H+I'")
    for field, names in (
        ("gradients", entry.gradients),
        ("states", entry.states),
        ("integers", entry.integers),
        ("booleans", entry.booleans),
    ):
        for name in names:
            if name not in shapes and (field != "integers" or name not in entry.outputs):
                raise refuse(field, f"'{name}' is not an input of {entry.name}")
    return msgspec.structs.replace(entry, topic=page.stem)


def load(folder: Path = PAGES) -> Spec:
    """Read every page of a folder; raises SpecError at the first thing that does not hold."""
    clauses: dict[str, Clause] = {}
    operations: dict[str, Operation] = {}
    pages = sorted(folder.glob("*.md"))
    if not pages:
        raise SpecError(f"{folder}: no spec pages (*.md) in this folder")
    for page in pages:
        for start, heading, text in blocks(page):
            entry = parse_block(page, start, heading, text)
            where = f"{page.name}:{start}"
            if isinstance(entry, Clause):
                if entry.id in clauses:
                    raise SpecError(f"{where}: id: clause '{entry.id}' is defined twice")
                clauses[entry.id] = entry
            else:
                if entry.name in operations:
                    raise SpecError(f"{where}: name: operation '{entry.name}' is defined twice")
                operations[entry.name] = entry
                if entry.gradients:
                    operations[f"{entry.name}.vjp"] = entry.vjp()
    for clause in clauses.values():
        if clause.operation not in operations:
            raise SpecError(
                f"{clause.topic}.md:{clause.line}: operation: clause '{clause.id}' names"
                f" '{clause.operation}', which no page defines"
            )
    answered = {clause.operation for clause in clauses.values()}
    for operation in operations.values():
        if operation.base not in answered:
            raise SpecError(
                f"{operation.topic}.md:1: operation '{operation.name}' belongs to no clause;"
                " write the clause that it answers for"
            )
    return Spec(clauses, operations)


@functools.cache
def spec() -> Spec:
    """The pages that ship with the package."""
    return load()


def dimensions(shape: str, sizes: dict[str, int]) -> tuple[int, ...]:
    """The numbers that a shape stands for: "B H+I" with B=2, H=3, I=4 is (2, 7)."""
    return tuple(
        sum(_product(term, sizes) for term in dimension.split("+")) for dimension in shape.split()
    )


def _product(term: str, sizes: dict[str, int]) -> int:
    value = 1
    for factor in term.split("*"):
        value *= int(factor) if factor.isdigit() else sizes[factor]
    return value


def check_shapes(operation: Operation, shapes: dict[str, tuple[int, ...]]) -> str | None:
    """Why these input shapes do not fit the operation, as one sentence; None where they do."""
    declared = operation.inputs | operation.optional
    sizes: dict[str, int] = {}
    for name in operation.inputs:
        if name not in shapes:
            return f"{operation.name}: input '{name}' is missing"
    # single symbols first: they give the sizes that the sums are checked with
    for name, shape in shapes.items():
        if name not in declared:
            return f"{operation.name}: no input is named '{name}'"
        wanted = declared[name].split()
        if wanted == ["..."]:
            continue
        if len(wanted) != len(shape):
            return f"{operation.name}: '{name}' has shape {shape}, wanted ({declared[name]})"
        for symbol, size in zip(wanted, shape, strict=True):
            if symbol.isidentifier() and sizes.setdefault(symbol, size) != size:
                return (
                    f"{operation.name}: '{name}' has shape {shape}, wanted ({declared[name]})"
                    f" with {symbol} = {sizes[symbol]}"
                )
    for name, shape in shapes.items():
        if declared[name] == "...":
            continue
        try:
            wanted_shape = dimensions(declared[name], sizes)
        except KeyError as error:
            return f"{operation.name}: nothing gives the size {error} of '{name}'"
        if wanted_shape != shape:
            return f"{operation.name}: '{name}' has shape {shape}, wanted {wanted_shape}"
    return None
