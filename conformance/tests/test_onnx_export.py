"""The exported cases: ONNX's checker, ONNX's runner on two runtimes, and what breaks them."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from nnspec.conformance.backends import Unsupported
from nnspec.conformance.cli import main
from nnspec.conformance.suite import Classes, Vector, select, suite
from nnspec.conformance.verdict import K

onnx = pytest.importorskip("onnx")

from onnx import numpy_helper  # noqa: E402

from nnspec.conformance.onnx_export import ExportError, export, tolerance  # noqa: E402
from nnspec.conformance.onnx_export_page import CAUSES, causes, written  # noqa: E402
from nnspec.conformance.onnx_models import OPERATIONS, model_of, opset_of  # noqa: E402


def of(*names: str) -> list[Vector]:
    return select(suite().vectors, names)


def sample() -> list[Vector]:
    """The first plain case of every operation, in each dtype, which runtimes agree upon."""
    found: dict[tuple[str, str], Vector] = {}
    for vector in suite().vectors:
        case = vector.case
        if vector.operation.name in OPERATIONS and {"plain", "bias"} & set(case.flags):
            found.setdefault((vector.operation.name, case.dtype), vector)
    return list(found.values())


def run_onnx(folder: Path, backend: str, *words: str) -> tuple[int, dict[str, Any], str]:
    """ONNX's runner in a process that cannot see nnspec: status, verdicts by folder, output."""
    report = folder.parent / f"{backend}.json"
    command = [sys.executable, "-P", str(folder / "run_onnx_tests.py"), backend, *words]
    done = subprocess.run(
        [*command, "--json", str(report)], capture_output=True, text=True, check=False, timeout=120
    )
    found = json.loads(report.read_text()) if report.exists() else {}
    return done.returncode, found, done.stdout + done.stderr


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx") / "cases"
    export(sample(), folder)
    return folder


def test_every_model_passes_the_checker_and_holds_its_case(exported: Path) -> None:
    manifest = json.loads((exported / "manifest.json").read_text(encoding="utf-8"))
    topics = {vector.operation.topic for vector in sample()}
    assert {path.name for path in exported.iterdir() if path.is_dir()} == topics
    assert len(topics) >= 9
    vectors = {vector.id: vector for vector in sample()}
    assert len(manifest["cases"]) + len(manifest["not_exported"]) == len(vectors)
    for entry in manifest["cases"]:
        folder, vector = exported / entry["folder"], vectors[entry["id"]]
        model = onnx.load(folder / "model.onnx")
        onnx.checker.check_model(model, full_check=True)
        assert model.doc_string == vector.case.note
        assert model.graph.name == vector.id
        assert model.opset_import[0].version == entry["opset"]
        assert [x.name for x in model.graph.output] == list(vector.operation.outputs)
        given = [x.name for x in model.graph.input]
        assert given == list(vector.inputs)
        for place, name in enumerate(given):
            tensor = onnx.load_tensor(folder / f"test_data_set_0/input_{place}.pb")
            assert tensor.name == name
            array = numpy_helper.to_array(tensor)
            np.testing.assert_array_equal(array.astype(np.float64), vector.inputs[name])
        for place, (name, truth) in enumerate(vector.outputs.items()):
            tensor = onnx.load_tensor(folder / f"test_data_set_0/output_{place}.pb")
            array = numpy_helper.to_array(tensor)
            integer = name in vector.operation.integers
            assert array.dtype.name == ("int64" if integer else vector.case.dtype)
            declared = model.graph.output[place].type.tensor_type.shape.dim
            assert tuple(d.dim_value for d in declared) == array.shape == truth.shape


@pytest.mark.parametrize("backend", ["onnx.reference", "onnxruntime"])
def test_runtimes_pass_the_plain_cases_in_onnx_runner(exported: Path, backend: str) -> None:
    pytest.importorskip(backend)
    status, found, output = run_onnx(exported, backend)
    assert len(found) == len([*exported.glob("*/test_*/model.onnx")]) > 100
    bad = {
        name.removeprefix("test_"): each
        for name, each in found.items()
        if each["verdict"] != "pass"
    }
    # raises where one of them has no known cause
    assert len(causes(backend, bad)) < len(CAUSES[backend])
    assert status == 1
    limits = {
        # no kernel, or a scale in float32; a tail
        "onnxruntime": r"-(f64|bf16)$|^sigmoid-moderate",
        # an RNN with Sigmoid or Relu
        "onnx.reference": "sigmoid|biases|glimpse_core",
    }
    assert [case for case in bad if not re.search(limits[backend], case)] == [], output


def test_a_crash_costs_its_own_case(tmp_path: Path) -> None:
    folder = tmp_path / "cases"
    export(of("sigmoid-plain-f32", "sigmoid-hand-f32", "relu-plain-f32"), folder)
    dying = tmp_path / "dying.py"
    dying.write_text(
        "import os\n"
        "import onnxruntime.backend as honest\n"
        "supports_device = honest.supports_device\n"
        "def prepare(model, device):\n"
        "    if model.graph.name == 'sigmoid-hand-f32':\n"
        "        os.abort()\n"
        "    return honest.prepare(model, device)\n"
    )
    pytest.importorskip("onnxruntime")
    done = subprocess.run(
        [sys.executable, str(folder / "run_onnx_tests.py"), "dying"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(tmp_path)},
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    assert "crash test_sigmoid-hand-f32: the process ended with status" in done.stdout
    assert "dying: 3 cases: 2 pass, 1 crash" in done.stdout


def test_a_backend_that_is_not_there_is_one_sentence(exported: Path) -> None:
    status, _, output = run_onnx(exported, "no_such_runtime")
    assert status == 2
    assert output == "no_such_runtime: ModuleNotFoundError: No module named 'no_such_runtime'\n"
    status, _, output = run_onnx(exported, "onnx.reference", "--only", "nothing")
    assert (status, output) == (2, f"{exported} has no such test folder\n")


def test_broken_weights_fail_in_onnx_runner(tmp_path: Path) -> None:
    folder = tmp_path / "cases"
    export(of("gru_step-plain-f32", "gru_step-bias-f32"), folder)
    path = folder / "gru/test_gru_step-plain-f32/model.onnx"
    model = onnx.load(path)
    # the gates of the input's weights as z, h, r for z, r, h
    stacking = next(node for node in model.graph.node if node.op_type == "Concat")
    stacking.input[1], stacking.input[2] = stacking.input[2], stacking.input[1]
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    status, found, _ = run_onnx(folder, "onnx.reference")
    assert status == 1
    assert found["test_gru_step-plain-f32"]["verdict"] == "fail"
    assert found["test_gru_step-bias-f32"]["verdict"] == "pass"


def test_the_same_bytes_twice(tmp_path: Path) -> None:
    vectors = of("gru_step", "encoder_layer-plain-f32", "soft_attention-plain-f64", "one_hot")

    def digest(folder: Path) -> dict[str, str]:
        export(vectors, folder)
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*")
            if path.is_file()
        }

    assert digest(tmp_path / "one") == digest(tmp_path / "two")


# the tolerance


def test_a_tolerance_holds_every_budget_and_little_more() -> None:
    for vector in sample():
        found = tolerance(vector)
        for name, truth in vector.outputs.items():
            if name in vector.operation.integers:
                continue
            given = found.atol + found.rtol * np.abs(truth)
            finite = np.isfinite(truth)
            assert np.all(given[finite] >= K * vector.sigma[name][finite] * (1 - 1e-12)), vector.id
            telling = finite & (truth != 0)
            telling.flat[vector.case.classes.get(name, Classes()).flush_allowed] = False
            excess = given[telling] / (K * vector.sigma[name][telling])
            # the rest is the rounding of the stored truth and of the comparison
            assert np.all(excess <= found.widest * 1.5), vector.id
        assert 1 <= found.typical <= found.widest


def test_a_tail_keeps_its_relative_tolerance() -> None:
    (vector,) = of("sigmoid-negative-tail-f32")
    found = tolerance(vector)
    assert found.rtol < 1e-5
    # no wider than the subnormals that may be flushed
    assert found.atol < 1.2e-38


def test_integers_are_exact() -> None:
    for vector in of("one_hot"):
        assert tolerance(vector)[:2] == (0.0, 0.0)


def test_classes_are_told_in_the_manifest(tmp_path: Path) -> None:
    manifest = export(of("one_hot_product-exact-f32", "gru_step-plain-f32"), tmp_path / "cases")
    told = {entry["id"]: entry["not_compared"] for entry in manifest["cases"]}
    assert told == {
        "one_hot_product-exact-f32": ["the sign of a zero"],
        "gru_step-plain-f32": [],
    }


# models


def test_the_lowest_opset_that_has_the_operator_for_the_dtype() -> None:
    float32, bfloat16 = onnx.TensorProto.FLOAT, onnx.TensorProto.BFLOAT16
    assert opset_of("GRU", float32) == 13
    assert opset_of("GRU", bfloat16) == 22
    assert opset_of("LayerNormalization", float32) == 17
    assert opset_of("ReduceL2", float32) == 18
    with pytest.raises(Unsupported, match=r"has no operator NoSuch for float\.$"):
        opset_of("NoSuch", float32)


def test_what_is_no_model_has_a_reason() -> None:
    for vector in suite().vectors:
        if vector.operation.name not in OPERATIONS:
            with pytest.raises(Unsupported, match=r"\.$"):
                model_of(vector.operation.name, vector.arguments)


# the command


def nnspec(*words: str) -> Any:
    return CliRunner().invoke(main, list(words))


def test_the_command_counts_and_refuses_a_folder_in_use(tmp_path: Path) -> None:
    folder = tmp_path / "cases"
    done = nnspec("export", "onnx", str(folder), "--only", "gru_step", "--dtype", "f32")
    assert done.exit_code == 0, done.output
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    words = f"{len(manifest['cases'])} cases written to {folder}"
    assert words in done.output
    assert f"{len(manifest['not_exported'])} cases left out: ONNX's operators run" in done.output
    again = nnspec("export", "onnx", str(folder), "--only", "gru_step")
    assert again.exit_code == 2
    assert (
        again.output == f"nnspec: {folder} is not empty; name a folder that is empty or not there\n"
    )
    assert nnspec("export", "onnx", str(tmp_path / "x"), "--only", "gruu").exit_code == 2
    with pytest.raises(ExportError, match="is not empty"):
        export([], folder)


def test_without_onnx_the_command_says_how_to_install_it(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "from nnspec.conformance.cli import main\n"
        f"main(['export', 'onnx', {str(tmp_path / 'cases')!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "nnspec: this command needs the package 'onnx', which is not installed; install it with:"
        " pip install 'nnspec[onnxruntime]'\n"
    )
    assert not (tmp_path / "cases").exists()


# the page


def test_a_failure_without_a_known_cause_is_refused() -> None:
    assert set(CAUSES) == {"onnxruntime", "onnx.reference"}
    known = {"rnn_step-sigmoid-f32": {"verdict": "error", "why": "Unknown activation 'Sigmoid'"}}
    assert causes("onnx.reference", known)[0].startswith("| onnx.reference | RNN has no activation")
    with pytest.raises(ValueError, match="by a cause that is not in CAUSES"):
        causes("onnxruntime", {"affine-plain-f32": {"verdict": "fail", "why": "Mismatch"}})


def test_the_tables_go_between_the_marks() -> None:
    page = (Path(__file__).parents[2] / "docs" / "onnx_export.md").read_text(encoding="utf-8")
    assert "\n| a | row |\n<!-- end" in written(page, "| a | row |")
    with pytest.raises(ValueError, match="has no lines"):
        written("# a page", "")
