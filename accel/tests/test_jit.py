"""The disk cache: never stale, safe for processes that start together, no need to be writable."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SIGMOID = """
import numpy as np
from nnspec.accel import primitives
print(primitives.sigmoid(np.zeros(1, {dtype!r}))[0])
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package, in which helpers can be edited; the folder to put on the path."""
    accel = Path(importlib.import_module("nnspec.accel").__path__[0])
    ignored = shutil.ignore_patterns("__pycache__", "tests")
    shutil.copytree(accel, tmp_path / "nnspec" / "accel", ignore=ignored)
    return tmp_path


def start(copy: Path, code: str, **changed: str) -> "subprocess.Popen[str]":
    # no cache but in the copy, unless `changed` says so
    env = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    homes = dict.fromkeys(("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"), str(copy / "home"))
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        env=env | homes | {"PYTHONPATH": str(copy)} | changed,
        cwd=copy,  # which comes before everything else on the path
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(copy: Path, code: str, **changed: str) -> str:
    process = start(copy, code, **changed)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output.splitlines()[-1]  # above it, what was compiled


def cached(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.nbc")}


# the last line of the sigmoid
LINE = "return q + lost * r"


def edit(copy: Path, old: str, new: str) -> None:
    path = copy / "nnspec" / "accel" / "vector_math.py"
    source = path.read_text(encoding="utf-8")
    assert old in source
    path.write_text(source.replace(old, new), encoding="utf-8")


def test_an_edited_helper_is_not_served_from_the_cache(copy: Path) -> None:
    code = SIGMOID.format(dtype="f8")
    assert run(copy, code) == "0.5"
    first = cached(copy)
    assert first
    assert run(copy, code) == "0.5"
    assert cached(copy) == first  # loaded, not compiled again
    edit(copy, LINE, "return 6 * (q + lost * r)")
    assert run(copy, code) == "3.0"
    assert not set(cached(copy)) & set(first)  # and the old is gone


def test_an_edit_after_the_import_is_not_cached_under_the_new_text(copy: Path) -> None:
    path = copy / "nnspec" / "accel" / "vector_math.py"
    late = f"""
from pathlib import Path
from nnspec.accel import primitives
path = Path({str(path)!r})
text = path.read_text(encoding="utf-8")
assert {LINE!r} in text
path.write_text(text.replace({LINE!r}, "return 2 * (q + lost * r)"), encoding="utf-8")
"""
    assert run(copy, late + SIGMOID.format(dtype="f8")) == "0.5"
    assert run(copy, SIGMOID.format(dtype="f8")) == "1.0"


def test_a_cached_kernel_without_checks_is_not_served_to_a_run_with_checks(copy: Path) -> None:
    code = """
import numpy as np
from nnspec.accel import dense
ones = np.ones(9)
try:
    # b is too short for nine outputs; it is a view, so that what is read past its end is ours
    dense._few_rows(np.ones((1, 1)), np.ones((9, 1)), ones[:1], np.ones((1, 9)), 0, 0, 9)
except IndexError:
    print("checked")
else:
    print("unchecked")
"""
    assert run(copy, code) == "unchecked"
    assert run(copy, code, NUMBA_BOUNDSCHECK="1") == "checked"


def test_processes_that_start_together(copy: Path) -> None:
    together = [start(copy, SIGMOID.format(dtype=dtype)) for dtype in ("f4", "f8") * 2]
    for process in together:
        output, _ = process.communicate()
        assert process.returncode == 0, output
        assert output.splitlines()[-1] == "0.5"
    for dtype in ("f4", "f8"):
        before = cached(copy)
        assert run(copy, SIGMOID.format(dtype=dtype)) == "0.5"
        assert cached(copy) == before


def test_a_package_that_cannot_be_written_to(copy: Path) -> None:
    # a file where a folder is wanted: cannot be written, not even by root
    (copy / "nnspec" / "accel" / "__pycache__").write_text("")
    assert run(copy, SIGMOID.format(dtype="f4")) == "0.5"
    assert cached(copy / "home")
    shutil.rmtree(copy / "home")
    (copy / "home").write_text("")
    assert run(copy, SIGMOID.format(dtype="f4")) == "0.5"
    assert not cached(copy)
    elsewhere = copy / "elsewhere"
    assert run(copy, SIGMOID.format(dtype="f4"), NUMBA_CACHE_DIR=str(elsewhere)) == "0.5"
    assert cached(elsewhere)


def test_sources_follow_imports() -> None:
    jit = importlib.import_module("nnspec.accel.jit")
    importlib.import_module("nnspec.accel.rnn")
    found = set(jit.sources("nnspec.accel.rnn"))
    assert found >= {f"nnspec.accel.{name}" for name in ("rnn", "dense", "scalar", "jit", "arrays")}
    assert "nnspec.accel.gru" not in found
    assert jit.sources("numpy") == {}
