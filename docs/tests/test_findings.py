"""Every block of the findings shows what it says, and they explain every failing case."""

import ast
import fnmatch
import importlib.metadata
import io
import re
import signal
import subprocess
import sys
import tokenize
from pathlib import Path
from typing import NamedTuple

import pytest

PAGE = Path(__file__).parents[1] / "findings.md"
CALIBRATION = PAGE.with_name("calibration.md")

# what a block is run with: the marked expressions are its arguments
SHOW = "def show_(value): print(' '.join(str(value).split()), flush=True)\n"


class Entry(NamedTuple):
    """One finding: its blocks and the patterns of the cases that it explains."""

    backend: str
    version: str  # "" for any
    title: str
    shared: str  # the section's own block, which comes first
    blocks: tuple[str, ...]
    patterns: tuple[str, ...]

    @property
    def distribution(self) -> str:
        """What has to be installed: the witness needs NumPy alone."""
        return "numpy" if self.backend == "witness" else self.backend


def code(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S))


def read() -> list[Entry]:
    """The entries of the page: `## backend version`, then `### title` and a paragraph of cases."""
    found = []
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        head, *entries = section.split("\n### ")
        if not entries:
            continue
        backend, _, rest = head.splitlines()[0].partition(" ")
        version = rest if re.fullmatch(r"[\d.]+", rest) else ""
        for entry in entries:
            cases = re.search(r"^Cases: (.*?)(?:\n\n|\Z)", entry, re.M | re.S)
            patterns = tuple(re.findall(r"`(.*?)`", cases[1])) if cases else ()
            title = entry.splitlines()[0]
            shared = "".join(code(head))
            found.append(Entry(backend.rstrip(":"), version, title, shared, code(entry), patterns))
    return found


ENTRIES = read()


def marked(block: str) -> tuple[str, list[str]]:
    """A block whose expressions with a `# ->` behind them are printed, and what they should be."""
    comments = {
        token.start[0]: token.string.removeprefix("# -> ")
        for token in tokenize.generate_tokens(io.StringIO(block).readline)
        if token.type == tokenize.COMMENT and token.string.startswith("# -> ")
    }
    tree = ast.parse(block)
    wanted = []
    for statement in tree.body:
        shown = comments.pop(statement.end_lineno or 0, None)
        if shown is not None:
            assert isinstance(statement, ast.Expr), f"`# ->` stands behind a statement: {shown}"
            statement.value = ast.Call(ast.Name("show_", ast.Load()), [statement.value], [])
            wanted.append(shown)
    assert not comments, f"`# ->` stands behind no expression of its own: {comments}"
    return ast.unparse(ast.fix_missing_locations(tree)), wanted


def shown(program: str) -> list[str]:
    """What a program prints in a process of its own, and the signal that ended it."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300
    )
    lines = done.stdout.splitlines()
    if done.returncode < 0:
        return [*lines, signal.Signals(-done.returncode).name]
    assert done.returncode == 0, done.stderr
    return lines


BLOCKS = [(entry, n) for entry in ENTRIES for n in range(len(entry.blocks))]


@pytest.mark.parametrize(
    ("entry", "n"),
    BLOCKS,
    ids=[f"{entry.backend}-{entry.title}-{n}" for entry, n in BLOCKS],
)
def test_the_block_shows_what_it_says(entry: Entry, n: int) -> None:
    try:
        installed = importlib.metadata.version(entry.distribution)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{entry.distribution} is not installed")
    # "+cpu" is a build, not a version
    if entry.version not in ("", installed.split("+")[0]):
        pytest.skip(f"found in {entry.backend} {entry.version}; {installed} is installed")
    program, wanted = marked(entry.blocks[n])
    assert wanted
    assert shown(SHOW + entry.shared + program) == wanted


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.backend}-{entry.title}")
def test_an_entry_has_a_block_and_cases(entry: Entry) -> None:
    assert entry.blocks
    assert entry.patterns


def failing() -> dict[str, list[str]]:
    """The failing cases of each backend in the calibration."""
    found: dict[str, list[str]] = {}
    listed = CALIBRATION.read_text(encoding="utf-8").partition("## Cases that fail")[2]
    for line in listed.splitlines():
        if line.startswith("- "):
            backend = line.removeprefix("- ").partition(",")[0]
            cases = re.findall(r"`([^` ]+)`", line[line.rindex("(") :])
            found.setdefault(backend, []).extend(cases)
    return found


def test_every_failing_case_is_explained_and_every_pattern_explains_one() -> None:
    cases = failing()
    assert cases
    patterns = {
        backend: [p for entry in ENTRIES if entry.backend == backend for p in entry.patterns]
        for backend in {*cases, *(entry.backend for entry in ENTRIES)}
    }
    unexplained = [
        f"{backend}: {case}"
        for backend, ids in cases.items()
        for case in ids
        if not any(fnmatch.fnmatchcase(case, pattern) for pattern in patterns[backend])
    ]
    idle = [
        f"{backend}: {pattern}"
        for backend, listed in patterns.items()
        for pattern in listed
        if not fnmatch.filter(cases.get(backend, []), pattern)
    ]
    assert not unexplained
    assert not idle


def test_the_versions_are_those_of_the_calibration() -> None:
    text = CALIBRATION.read_text(encoding="utf-8")
    for backend, version in {(entry.backend, entry.version) for entry in ENTRIES}:
        assert re.search(rf"^\| {backend} \S+ {re.escape(version)}", text, re.M), backend
