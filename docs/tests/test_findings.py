"""Every block of the findings shows what it says, and they explain every failing case."""

import ast
import fnmatch
import importlib.metadata
import io
import json
import re
import signal
import subprocess
import sys
import tokenize
from pathlib import Path
from typing import NamedTuple

import pytest

from nnspec.conformance.calibration import ABOVE, FAILING, failures
from nnspec.conformance.runner import Run
from nnspec.conformance.suite import select, suite
from nnspec.conformance.verdict import FAILED, result

PAGE = Path(__file__).parents[1] / "findings.md"
CALIBRATION = PAGE.with_name("calibration.md")

# the marked expressions of a block are the arguments of show_
SHOW = "def show_(value): print(' '.join(str(value).split()), flush=True)\n"

# the blocks of a section one after the other, each in names of its own beside the section's
SECTION = """
import json, sys, traceback

shared, blocks = json.load(sys.stdin)
names, found = {}, []
names["show_"] = lambda value: found[-1].append(" ".join(str(value).split()))
exec(shared, names)
for block in blocks:
    found.append([])
    try:
        exec(block, dict(names))
    except Exception:
        found[-1].append(traceback.format_exc())
print(json.dumps(found))
"""

# backends that go by another name than what has to be installed for them
DISTRIBUTIONS = {"witness": "numpy", "onnx_reference": "onnx"}


class Entry(NamedTuple):
    """One finding: its blocks and the patterns of the cases that it explains."""

    backend: str
    version: str  # "" for any; "3.15.1 on jax 0.10.2" names two
    title: str
    shared: str  # the section's own block, which comes first
    blocks: tuple[str, ...]
    patterns: tuple[str, ...]  # of cases that do not pass
    above: tuple[str, ...]  # of cases that pass with an unusual error

    def needs(self) -> dict[str, str]:
        """The version that has to be installed of each distribution; "" for any."""
        first, *others = self.version.split(" on ")
        named = dict(other.split() for other in others)
        return {DISTRIBUTIONS.get(self.backend, self.backend): first} | named


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
        version = rest if re.fullmatch(r"[\d.]+( on \w+ [\d.]+)?", rest) else ""
        for entry in entries:
            title = entry.splitlines()[0]
            shared = "".join(code(head))
            named = patterns("Cases", entry), patterns("Above 4 sigma", entry)
            found.append(Entry(backend.rstrip(":"), version, title, shared, code(entry), *named))
    return found


def patterns(word: str, entry: str) -> tuple[str, ...]:
    """What stands in backticks in the paragraph that begins with this word."""
    cases = re.search(rf"^{word}: (.*?)(?:\n\n|\Z)", entry, re.M | re.S)
    return tuple(re.findall(r"`(.*?)`", cases[1])) if cases else ()


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


BLOCKS = [(entry, block) for entry in ENTRIES for block in entry.blocks]
# a block that ends its process
ENDS = [(entry, block) for entry, block in BLOCKS if "# -> SIG" in block]


def skip_unless_installed(entry: Entry) -> None:
    for distribution, version in entry.needs().items():
        try:
            installed = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{distribution} is not installed")
        # "+cpu" is a build, not a version
        if version not in ("", installed.split("+")[0]):
            pytest.skip(f"found in {distribution} {version}; {installed} is installed")


@pytest.mark.parametrize("backend", dict.fromkeys(entry.backend for entry in ENTRIES))
def test_the_blocks_show_what_they_say(backend: str) -> None:
    blocks = [each for each in BLOCKS if each[0].backend == backend and each not in ENDS]
    skip_unless_installed(blocks[0][0])
    programs = [marked(block)[0] for _, block in blocks]
    done = subprocess.run(
        [sys.executable, "-c", SECTION],
        input=json.dumps([blocks[0][0].shared, programs]),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for (entry, block), lines in zip(blocks, found, strict=True):
        assert lines == marked(block)[1], entry.title
        assert lines, entry.title


@pytest.mark.parametrize(("entry", "block"), ENDS, ids=[entry.title for entry, _ in ENDS])
def test_the_block_ends_its_process(entry: Entry, block: str) -> None:
    skip_unless_installed(entry)
    program, wanted = marked(block)
    assert shown(SHOW + entry.shared + program) == wanted


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.backend}-{entry.title}")
def test_an_entry_has_a_block_and_cases(entry: Entry) -> None:
    assert entry.blocks
    assert entry.patterns


def listed(title: str) -> dict[str, list[str]]:
    """The cases of each backend in the section of the calibration with this title."""
    found: dict[str, list[str]] = {}
    text = CALIBRATION.read_text(encoding="utf-8").partition(f"## {title}\n")[2]
    for line in text.partition("\n## ")[0].splitlines():
        if line.startswith("- "):
            backend = line.removeprefix("- ").partition(",")[0]
            cases = re.findall(r"`([^` ]+)`", line[line.rindex("(") :])
            found.setdefault(backend, []).extend(cases)
    return found


@pytest.mark.parametrize(("title", "field"), [(FAILING, "patterns"), (ABOVE, "above")])
def test_every_listed_case_is_explained_and_every_pattern_explains_one(
    title: str, field: str
) -> None:
    cases = listed(title)
    assert cases
    given = {
        backend: [p for e in ENTRIES if e.backend == backend for p in getattr(e, field)]
        for backend in {*cases, *(entry.backend for entry in ENTRIES)}
    }
    unexplained = [
        f"{backend}: {case}"
        for backend, ids in cases.items()
        for case in ids
        if not any(fnmatch.fnmatchcase(case, pattern) for pattern in given[backend])
    ]
    idle = [
        f"{backend}: {pattern}"
        for backend, mine in given.items()
        for pattern in mine
        if not fnmatch.filter(cases.get(backend, []), pattern)
    ]
    assert not unexplained
    assert not idle


def test_what_raised_or_crashed_is_listed_as_well_as_what_is_wrong() -> None:
    (vector, *others) = select(suite().vectors, ["sigmoid"])
    results = [result(vector, verdict, f"{verdict} at /x/y.py:3") for verdict in FAILED]
    results += [result(other, "unsupported", "no") for other in others]
    lines = failures(Run("some", "1", results, []))
    assert lines == [f"- some, sigmoid: fail ({', '.join([f'`{vector.id}`'] * len(FAILED))})"]


def test_the_versions_are_those_of_the_calibration() -> None:
    text = CALIBRATION.read_text(encoding="utf-8")
    for backend, version in {(entry.backend, entry.version) for entry in ENTRIES}:
        assert re.search(rf"^\| {backend} \S+ {re.escape(version)}", text, re.M), backend
