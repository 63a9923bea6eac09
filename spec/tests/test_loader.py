"""The loader reads the shipped pages, and names file, line and field of whatever it refuses."""

import shutil
from pathlib import Path

import pytest

from nnspec.spec.loader import PAGES, Operation, SpecError, check_shapes, load, spec

PAGE = """# demo

### demo_double

```toml
[operation]
name = "demo_double"
inputs = { x = "B I" }
outputs = { y = "B I" }
gradients = ["x"]
```

### demo.double

```toml
[clause]
id = "demo.double"
operation = "demo_double"
function = "demo_double"
status = "normative"
```
"""


def test_a_page_gives_its_clauses_operations_and_vjps(tmp_path: Path) -> None:
    (tmp_path / "demo.md").write_text(PAGE)
    found = load(tmp_path)
    assert list(found.clauses) == ["demo.double"]
    assert found.operations["demo_double.vjp"].inputs == {"x": "B I", "dy": "B I"}
    assert found.operations["demo_double.vjp"].outputs == {"dx": "B I"}
    assert found.topics == ["demo"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('status = "normative"', 'status = "maybe"', "demo.md:20: status: "),
        ('status = "normative"', 'colour = "red"', "demo.md:20: colour: "),
        ('gradients = ["x"]', 'gradients = ["z"]', "demo.md:10: gradients: 'z' is not an input"),
        ('{ x = "B I" }', '{ x = "B-I" }', "demo.md:8: inputs: 'B-I' of x is not a shape"),
        ('outputs = { y = "B I" }\n', "", "demo.md:6: outputs: Object missing required"),
        ('id = "demo.double"', 'id = "demo.triple"', "demo.md:17: id: 'demo.triple' stands below"),
        ('id = "demo.double"', 'id = "other.double"', "demo.md:17: id: 'other.double' is not of"),
        ('operation = "demo_double"', 'operation = "none"', "demo.md:16: operation: clause 'demo"),
        ("[clause]", "[clauses]", "demo.md:16: a TOML block holds one table"),
        ("[clause]", "[clause", "demo.md:16: not TOML"),
        ('name = "demo_double"', 'name = "demo_triple"', "demo.md:7: name: 'demo_triple' stands"),
        ('name = "demo_double"', 'name = "demo_double"\ntopic = "x"', "demo.md:8: topic: is set"),
    ],
)
def test_a_refusal_names_file_line_and_field(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    (tmp_path / "demo.md").write_text(PAGE.replace(old, new, 1))
    with pytest.raises(SpecError) as refusal:
        load(tmp_path)
    assert str(refusal.value).startswith(message)


def test_an_operation_without_clause_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo.md").write_text(PAGE[: PAGE.index("### demo.double")])
    with pytest.raises(SpecError, match="demo_double' belongs to no clause"):
        load(tmp_path)


def test_an_open_fence_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo.md").write_text(PAGE.rstrip().removesuffix("```"))
    with pytest.raises(SpecError, match=r"demo.md:16: the fenced block never ends"):
        load(tmp_path)


def test_a_clause_defined_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo.md").write_text(PAGE + PAGE[PAGE.index("### demo.double") :])
    with pytest.raises(SpecError, match=r"clause 'demo.double' is defined twice"):
        load(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no spec pages"):
        load(tmp_path)


def test_the_shipped_pages_load_from_any_folder(tmp_path: Path) -> None:
    for page in PAGES.glob("*.md"):
        shutil.copy(page, tmp_path)
    assert load(tmp_path) == spec()


SHAPED = Operation(
    name="f", inputs={"x": "B I", "W": "H H+I"}, outputs={"y": "B H"}, optional={"b": "H"}
)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"x": (2, 3), "W": (4, 7)}, None),
        ({"x": (2, 3), "W": (4, 7), "b": (4,)}, None),
        ({"x": (2, 3)}, "input 'W' is missing"),
        ({"x": (2, 3), "W": (4, 8)}, "'W' has shape (4, 8), wanted (4, 7)"),
        ({"x": (2, 3), "W": (4, 7), "b": (5,)}, "with H = 4"),
        ({"x": (2,), "W": (4, 7)}, "'x' has shape (2,), wanted (B I)"),
        ({"x": (2, 3), "W": (4, 7), "c": (4,)}, "no input is named 'c'"),
    ],
)
def test_shapes_are_checked_against_each_other(
    shapes: dict[str, tuple[int, ...]], message: str | None
) -> None:
    found = check_shapes(SHAPED, shapes)
    assert found is None if message is None else message in str(found)
