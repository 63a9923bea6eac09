"""Run the test folders beside this file with ONNX's own test runner.

    python run_onnx_tests.py [BACKEND] [--only PATTERN] [--json FILE]

BACKEND is `onnx.reference`, `onnxruntime`, or any module or class (`module:Class`) with the
functions of ONNX's backend API. Needs onnx and that runtime, and nothing of nnspec. ONNX's loader
finds the cases, its `Runner` makes a unittest of each, with the tolerance in its data.json. They
run in a process of their own: one that dies is a crash of the case that it was at, and another
process goes on with the rest. Exit status: 0 where nothing failed, 1 where something did, 2 for a
usage or set-up error.
"""

import argparse
import collections
import contextlib
import importlib
import json
import re
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx.backend.test import runner as onnx_runner
from onnx.backend.test.loader import load_model_tests
from onnx.reference import ReferenceEvaluator

DEVICE = "cpu"


class Prepared:
    """A model ready for `onnx.reference`."""

    def __init__(self, model: Any) -> None:
        self.evaluator = ReferenceEvaluator(model)

    def run(self, inputs: list[Any]) -> list[Any]:
        """The outputs for these inputs, in the model's order."""
        names = self.evaluator.input_names
        outputs: list[Any] = self.evaluator.run(None, dict(zip(names, inputs, strict=True)))
        return outputs


class Reference:
    """`onnx.reference` behind ONNX's backend API; onnx ships no such class."""

    @staticmethod
    def prepare(model: Any, device: str) -> Prepared:
        """A model made ready."""
        onnx.checker.check_model(model, full_check=True)
        return Prepared(model)

    @staticmethod
    def supports_device(device: str) -> bool:
        """Whether it runs there."""
        return device == "CPU"


def backend_of(name: str) -> Any:
    """The module or class with ONNX's backend API."""
    if name == "onnx.reference":
        return Reference
    module, _, attribute = name.partition(":")
    found = importlib.import_module("onnxruntime.backend" if name == "onnxruntime" else module)
    return getattr(found, attribute) if attribute else found


def tests_of(backend: Any, folder: Path) -> dict[str, unittest.TestCase]:
    """A unittest for each test folder, by the folder's name: ONNX's."""
    # ONNX's own cases stay out
    with unittest.mock.patch.object(onnx_runner, "load_model_tests", return_value=[]):
        runner = onnx_runner.Runner(backend, __name__)
    kinds = sorted(path.name for path in folder.iterdir() if [*path.glob("test_*/model.onnx")])
    for kind in kinds:
        for case in load_model_tests(data_dir=str(folder), kind=kind):
            runner._add_model_test(case, kind)
    suffix = f"_{DEVICE}"
    return {
        name.removesuffix(suffix): made(name)
        for made in runner.test_cases.values()
        for name in dir(made)
        if name.startswith("test_") and name.endswith(suffix)
    }


def child(backend: str, folder: Path) -> None:
    """Run the tests named on standard input; a line before and a line after each."""
    warnings.simplefilter("ignore")
    # what a runtime prints is none of the lines
    lines, sys.stdout = sys.stdout, sys.stderr
    tests = tests_of(backend_of(backend), folder)
    for name in sys.stdin.read().split():
        print(json.dumps({"begin": name}), file=lines, flush=True)
        found = unittest.TestResult()
        tests[name].run(found)
        verdict, why = "pass", ""
        for kind, trouble in (("fail", found.failures), ("error", found.errors)):
            if trouble:
                verdict, why = kind, trouble[0][1]
        if found.skipped:
            verdict, why = "skip", found.skipped[0][1]
        print(json.dumps({"verdict": verdict, "why": why}), file=lines, flush=True)


def verdicts(backend: str, folder: Path, names: list[str]) -> Iterator[tuple[str, str, str]]:
    """(name, verdict, why) of each case as it ends; raises RuntimeError where none can be run."""
    left = list(names)
    while left:
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(
                [sys.executable, __file__, backend, "--folder", str(folder), "--child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
            assert process.stdin is not None
            assert process.stdout is not None
            # one that ends at once does not listen
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write("\n".join(left))
            begun = ""
            for line in process.stdout:
                message = json.loads(line)
                if "begin" in message:
                    begun = message["begin"]
                else:
                    left.remove(begun)
                    yield begun, message["verdict"], message["why"]
                    begun = ""
            process.stdout.close()
            status = process.wait()
            if begun:
                left.remove(begun)
                yield begun, "crash", f"the process ended with status {status}"
            elif left:
                said.seek(0)
                words = said.read().strip().rpartition("\n")[2]
                raise RuntimeError(words or f"its process ended at once, with status {status}")


def main() -> int:
    """Run the tests; see the module."""
    parser = argparse.ArgumentParser(
        description="Run the test folders beside this file with ONNX's own test runner."
    )
    parser.add_argument("backend", nargs="?", default="onnx.reference")
    parser.add_argument("--only", default="", metavar="PATTERN", help="a regular expression")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every verdict there")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent, metavar="DIR")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.backend, given.folder)
        return 0
    cases = sorted(path.parent.name for path in given.folder.glob("*/test_*/model.onnx"))
    names = [name for name in cases if re.search(given.only, name)]
    if not names:
        print(f"{given.folder} has no such test folder", file=sys.stderr)
        return 2
    found = {}
    try:
        for name, verdict, why in verdicts(given.backend, given.folder, names):
            found[name] = {"verdict": verdict, "why": why}
            if verdict != "pass":
                # the last line names the exception, the one before it where NumPy differs
                print(f"{verdict} {name}: {' '.join(why.split())[-200:]}", flush=True)
    except RuntimeError as error:
        print(f"{given.backend}: {error}", file=sys.stderr)
        return 2
    finally:
        if given.json is not None:
            given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    counts = collections.Counter(each["verdict"] for each in found.values())
    shown = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    print(f"{given.backend}: {len(found)} cases: {shown}")
    return 0 if set(counts) <= {"pass", "skip"} else 1


if __name__ == "__main__":
    sys.exit(main())
